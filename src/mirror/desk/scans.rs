//! What people decide about scans.

use tracing::info;

use super::view::ScansReleasedView;
use super::{Desk, Error};
use crate::ledger::{AuditEvent, AuditKind};

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
}
