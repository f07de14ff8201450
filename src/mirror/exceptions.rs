//! Exceptions that come into force and end: what hangs on them is judged again, from stored evidence.
//!
//! Nobody waits for that: a verdict that does not know of the last change is no verdict in force
//! ([`Mirror::in_force`]), so that the next pull is judged by what is so.

use std::time::Duration;

use tracing::{info, warn};

use super::{Error, Mirror};
use crate::ledger;
use crate::oci::Name;

/// Records of a repository that are judged again in one go.
const RECORDS_PAGE: u32 = 256;
/// How often it is looked whether an exception has expired, where none does before that.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The shortest time between two looks.
const LOOK_AFTER_MIN: Duration = Duration::from_millis(100);

impl Mirror {
    /// Ends what has expired, so that it stays ended whatever a clock says later, and has judged again what
    /// hung on it; gives how many that were.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn end_exceptions(&self) -> Result<usize, ledger::Error> {
        let now = self.now();
        if self.ledger().next_exception_end().is_none_or(|end| end > now) {
            return Ok(0);
        }
        let ended = self.ledger().end_expired_exceptions(now).await?;
        for row in &ended {
            info!(exception = %row.id, "an exception has expired");
            if row.granted.is_some() {
                self.judge_repository_again(&row.scope.name);
            }
        }
        Ok(ended.len())
    }

    /// Ends exceptions as they expire, until the program stops.
    pub(super) async fn follow_exceptions(self) {
        let mut stopping = std::pin::pin!(self.tasks().stopping());
        loop {
            if let Err(error) = self.end_exceptions().await {
                warn!(%error, "what has expired is not on record as ended yet; it is not in force");
            }
            let next = self.ledger().next_exception_end().map(|end| end.since(self.now()));
            let pause = next.map_or(LOOK_EVERY, |next| next.clamp(LOOK_AFTER_MIN, LOOK_EVERY));
            tokio::select! {
                () = &mut stopping => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Has everything of the repository `name` judged again, by itself and from stored evidence: an exception
    /// came into force or ended.
    pub(super) fn judge_repository_again(&self, name: &Name) {
        let (mirror, name) = (self.clone(), name.clone());
        drop(self.tasks().spawn(async move {
            if let Err(error) = Box::pin(mirror.judge_each_of(&name)).await {
                warn!(%name, %error, "not all judged again; each is when it is asked for");
            }
        }));
    }

    async fn judge_each_of(&self, name: &Name) -> Result<(), Error> {
        let mut before = None;
        loop {
            let page = self.ledger().subjects_of(name, before.as_ref(), RECORDS_PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            before = Some(last.subject.clone());
            for record in page.iter().filter(|record| record.judgement.is_some()) {
                if let Err(error) = Box::pin(self.judged_from_stored(&record.subject)).await {
                    warn!(subject = %record.subject, %error, "not judged again");
                }
            }
            if self.tasks().is_stopping() {
                return Ok(());
            }
        }
    }
}
