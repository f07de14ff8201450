//! What people decide about scans.

use tracing::info;

use super::view::{ReevaluatedView, ScansReleasedView};
use super::{Desk, Error};
use crate::gate::Subject;
use crate::ledger::{AuditEvent, AuditKind};
use crate::mirror::LookedAgain;

impl Desk {
    /// Has every scanned image judged by the vulnerability database in force, however much that takes
    /// back, for `by`. That `by` said so is on record before anything changes.
    ///
    /// # Errors
    /// [`Error::ReasonForm`]; else when the ledger fails, and then what was decided so far is decided.
    pub async fn release_scans(&self, by: &str, reason: &str) -> Result<ScansReleasedView, Error> {
        super::decide::check_reason(reason)?;
        let _one_at_a_time = self.deciding.lock().await;
        let ledger = self.mirror.ledger();
        let database = self.mirror.scanner().database();
        let mut event = AuditEvent::new(AuditKind::ScansReleased, by);
        if let Ok(database) = &database {
            event = event.with("database", database.id().digest);
        }
        event.reason = Some(reason.trim().to_owned());
        ledger.append_audit(event).await?;
        let done = self.mirror.rejudge_scanned(true).await;
        let done = done.map_err(|error| super::target::mirror_error("scans".to_owned(), error))?;
        info!(by, ?done, "scans released");
        Ok(ScansReleasedView {
            database: database.ok().map(|database| database.id().clone()),
            examined: done.examined,
            changed: done.changed,
            revoked: done.revoked,
        })
    }

    /// What looking again for what is attached upstream came to the last time, and what is held.
    pub fn reevaluated(&self) -> ReevaluatedView {
        let (held, done) = self.mirror.looked_again();
        reevaluated_view(&held, done, false)
    }

    /// Has taken back, for `by`, what rests on what upstream lost and is held, if it is still lost. That `by`
    /// said so is on record before anything changes.
    ///
    /// # Errors
    /// [`Error::ReasonForm`]; else when the ledger fails, and then what was decided so far is decided.
    pub async fn release_reevaluation(
        &self,
        by: &str,
        reason: &str,
    ) -> Result<ReevaluatedView, Error> {
        super::decide::check_reason(reason)?;
        let (held, _) = self.mirror.looked_again();
        let mut event =
            AuditEvent::new(AuditKind::ReevaluationReleased, by).with("held", held.len());
        event.reason = Some(reason.trim().to_owned());
        self.mirror.ledger().append_audit(event).await?;
        let done = Box::pin(self.mirror.look_again(true)).await;
        let done = done.map_err(|error| super::target::mirror_error("images".to_owned(), error))?;
        info!(by, ?done, "reevaluation released");
        let (held, _) = self.mirror.looked_again();
        Ok(reevaluated_view(&held, done, true))
    }
}

fn reevaluated_view(held: &[Subject], done: LookedAgain, applied: bool) -> ReevaluatedView {
    let LookedAgain { looked, revoked, failed, overdue, held: _ } = done;
    let held = held.iter().map(ToString::to_string).collect();
    ReevaluatedView { held, looked, revoked, failed, overdue, applied }
}
