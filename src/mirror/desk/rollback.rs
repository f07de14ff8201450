//! Letting an older policy in.

use tracing::info;

use super::show::policy_name;
use super::view::RollbackAllowedView;
use super::{Desk, Error};
use crate::ledger::{AuditEvent, AuditKind};

impl Desk {
    /// Lets the next policy be older than the one in force, once, if it comes within ten minutes, for `by`.
    /// That `by` said so is on record before it holds; a restart ends it.
    ///
    /// # Errors
    /// [`Error::ReasonForm`], [`Error::NoPolicyFollowed`]; else when the ledger fails.
    pub async fn allow_policy_rollback(
        &self,
        by: &str,
        reason: &str,
    ) -> Result<RollbackAllowedView, Error> {
        super::decide::check_reason(reason)?;
        if !self.mirror.follows_policy() {
            return Err(Error::NoPolicyFollowed);
        }
        let in_force = policy_name(&self.mirror.policy());
        let mut event = AuditEvent::new(AuditKind::PolicyRollbackAllowed, by)
            .with("id", &in_force.id)
            .with("revision", in_force.revision);
        event.reason = Some(reason.trim().to_owned());
        self.mirror.ledger().append_audit(event).await?;
        let until = self.mirror.allow_rollback(by.to_owned(), reason.trim().to_owned());
        info!(by, "an older policy is let in, once");
        Ok(RollbackAllowedView { in_force, by: by.to_owned(), until })
    }
}
