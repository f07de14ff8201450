//! Which policy is in force, and that it never silently becomes an older one.

use std::sync::PoisonError;

use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::rows::Sealed;
use super::sealer::Tables;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::policy::PolicyId;
use crate::time::Timestamp;

/// A policy that came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Its identity.
    pub id: PolicyId,
    /// Its revision.
    pub revision: u64,
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: Timestamp,
}

/// What the policy recorded is to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyChange {
    /// Of a higher revision, or the first.
    Newer,
    /// Of a lower revision, which was allowed.
    RolledBack,
    /// Of the same revision, with other content: worth a warning.
    SameRevision,
    /// The same.
    Unchanged,
}

/// Reads the policy in force.
pub(super) fn load(connection: &Tables<'_>) -> Result<Option<InForce>, Error> {
    let row = connection
        .query_row("SELECT body, seal FROM policies ORDER BY id DESC LIMIT 1", [], |row| {
            Sealed::from_row(row, 0)
        })
        .optional()?;
    row.map(|sealed| sealed.open(connection.sealer, "policies", &[])).transpose()
}

impl Writing<'_> {
    fn record_policy(
        &mut self,
        new: InForce,
        rollback_allowed: bool,
    ) -> Result<PolicyChange, Error> {
        let before = load(self.connection)?;
        let change = match &before {
            Some(before) if before.id == new.id => return Ok(PolicyChange::Unchanged),
            Some(before) if before.revision > new.revision && !rollback_allowed => {
                return Err(Error::PolicyRollback {
                    in_force: before.revision,
                    offered: new.revision,
                });
            }
            Some(before) if before.revision > new.revision => PolicyChange::RolledBack,
            Some(before) if before.revision == new.revision => PolicyChange::SameRevision,
            Some(_) | None => PolicyChange::Newer,
        };
        let sealed = Sealed::new(self.connection.sealer, "policies", &[], &new)?;
        self.connection.execute(
            "INSERT INTO policies (body, seal) VALUES (?1, ?2)",
            params![sealed.body, sealed.seal],
        )?;
        let kind = match change {
            PolicyChange::RolledBack => AuditKind::PolicyRolledBack,
            PolicyChange::Newer | PolicyChange::SameRevision | PolicyChange::Unchanged => {
                AuditKind::PolicyLoaded
            }
        };
        let mut event = AuditEvent::new(kind, "server")
            .with("id", new.id)
            .with("name", &new.name)
            .with("revision", new.revision);
        if let Some(before) = before {
            event = event.with("before", before.id).with("revision_before", before.revision);
        }
        self.audit(&event)?;
        self.after_commit(move |memory| {
            *memory.in_force.write().unwrap_or_else(PoisonError::into_inner) = Some(new);
        });
        Ok(change)
    }
}

impl Ledger {
    /// The policy that was last recorded; `None` in a new ledger.
    pub fn policy_in_force(&self) -> Option<InForce> {
        self.inner.memory.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that a policy comes into force, with an audit row if it is another one than before.
    ///
    /// # Errors
    /// [`Error::PolicyRollback`] when its revision is lower than that of the one in force and
    /// `rollback_allowed` is not set; else when it did not reach the disk.
    pub async fn record_policy(
        &self,
        id: PolicyId,
        revision: u64,
        name: &str,
        rollback_allowed: bool,
    ) -> Result<PolicyChange, Error> {
        let (name, since) = (name.to_owned(), self.inner.clock.now());
        let new = InForce { id, revision, name, since };
        self.write(move |writing| writing.record_policy(new, rollback_allowed)).await
    }
}
