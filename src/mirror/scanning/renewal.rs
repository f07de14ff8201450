//! Asking other scanners again about what is served: what they said grows old, and nobody pulls to have it
//! renewed.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::rejudge::{RECORDS_PAGE, RejudgedScans};
use crate::gate::{ScannedByOther, Subject};
use crate::ledger::Record;
use crate::mirror::{Error, Mirror};

/// How often what other scanners said is looked through.
const LOOK_INTERVAL: Duration = Duration::from_mins(15);

impl Mirror {
    /// Renews what other scanners said about what is known, until shutdown; nothing where there are none.
    pub(super) fn follow_others(&self) {
        if self.scanner().others.is_empty() {
            return;
        }
        let (mirror, tasks) = (self.clone(), self.tasks().clone());
        drop(self.tasks().spawn(async move {
            loop {
                tokio::select! {
                    () = tasks.stopping() => return,
                    () = tokio::time::sleep(LOOK_INTERVAL) => {}
                }
                match mirror.renew_reports().await {
                    Ok(done) if done == RejudgedScans::default() => {}
                    Ok(done) => info!(?done, "asked other scanners again"),
                    Err(error) => warn!(%error, "other scanners not asked again"),
                }
            }
        }));
    }

    /// Asks other scanners again about every subject of which what they said is older than its gates want it
    /// to be, one after the other, and decides by it. What would take back more than the brake allows is
    /// held.
    ///
    /// # Errors
    /// When the ledger cannot be read; what was renewed so far is renewed.
    pub async fn renew_reports(&self) -> Result<RejudgedScans, Error> {
        let mut done = RejudgedScans::default();
        let old = self.subjects_with_old_reports().await?;
        for subject in old {
            if self.tasks().is_stopping() {
                break;
            }
            done.examined += 1;
            match self.scanned_anew(&subject).await {
                Ok(change) => self.apply(change.into_iter().collect(), false, &mut done).await?,
                Err(why) => {
                    // It is served on by what is known.
                    warn!(%subject, why, "other scanners not asked again");
                    done.left += 1;
                }
            }
        }
        Ok(done)
    }

    async fn subjects_with_old_reports(&self) -> Result<Vec<Subject>, Error> {
        let (mut old, mut after) = (Vec::new(), None);
        loop {
            let page = self.ledger().subjects(after.as_ref(), RECORDS_PAGE).await?;
            let Some(last) = page.last() else { return Ok(old) };
            after = Some(last.subject.clone());
            let is_old = |record: &&Arc<Record>| self.has_old_reports(record);
            old.extend(page.iter().filter(is_old).map(|record| record.subject.clone()));
        }
    }

    /// Whether a judgement in force rests on what another scanner said, and that is too old by now.
    fn has_old_reports(&self, record: &Arc<Record>) -> bool {
        if self.scanned_before(record).is_none() {
            return false;
        }
        let asked = self.policy().other_scanners(&record.subject.name);
        let images = record.evidence.scan.found().into_iter().flat_map(|it| it.images.values());
        let mut others = images.flat_map(|image| &image.others);
        others.any(|(name, came)| {
            let age = match came {
                ScannedByOther::Reported { at, .. } => self.now().since(*at),
                ScannedByOther::Failed(_) => Duration::MAX,
            };
            asked.get(name).is_some_and(|most| age > *most)
        })
    }
}
