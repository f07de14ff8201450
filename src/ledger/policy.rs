//! Which policy is in force, and that it never silently becomes an older one.

use std::collections::BTreeMap;
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

/// Most files whose revisions are remembered; of those that are gone the last by name are forgotten first.
const PARTS_MAX: usize = 2_000;

/// Most files whose new revisions one record names.
const PARTS_TOLD: usize = 50;

/// A policy that came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Its identity.
    pub id: PolicyId,
    /// Its revision.
    pub revision: u64,
    /// Its name.
    pub name: String,
    /// The revisions of its files with a scope, by their names; of those that are gone, the last they had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, u64>,
    /// Since when.
    pub since: Timestamp,
}

/// A policy that is to come into force.
#[derive(Debug, Clone)]
pub struct Offered {
    /// Its identity.
    pub id: PolicyId,
    /// Its revision.
    pub revision: u64,
    /// Its name.
    pub name: String,
    /// Its files with a scope, by their names, each with its revision if it has one.
    pub parts: BTreeMap<String, Option<u64>>,
}

/// Whether an older policy may come into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollback {
    /// It may, because the program was started so.
    AtStart,
    /// It may, because somebody said so.
    By {
        /// Who.
        who: String,
        /// Why.
        reason: String,
    },
    /// It may not.
    Refused,
}

/// What is older in a policy than what is in force.
#[derive(Debug, PartialEq, Eq)]
struct Older {
    /// Of which file; `None` is the policy as a whole.
    part: Option<String>,
    in_force: u64,
    offered: u64,
}

impl Offered {
    /// What is older in it than in `before`.
    fn older_than(&self, before: &InForce) -> Option<Older> {
        if before.revision > self.revision {
            return Some(Older { part: None, in_force: before.revision, offered: self.revision });
        }
        before.parts.iter().find_map(|(part, in_force)| {
            // A file that has no revision any more may be of any time.
            let offered = self.parts.get(part)?.unwrap_or(0);
            let (part, in_force) = (Some(part.clone()), *in_force);
            (in_force > offered).then_some(Older { part, in_force, offered })
        })
    }

    /// Whether anything of it is newer than in `before`.
    fn is_newer(&self, before: &InForce) -> bool {
        let newer = |(part, revision): (&String, &Option<u64>)| {
            revision.is_some_and(|it| before.parts.get(part).is_none_or(|before| it > *before))
        };
        self.revision > before.revision || self.parts.iter().any(newer)
    }

    /// The revisions of its files, and of those that are gone, so that nothing comes back older by being
    /// taken away in between.
    fn remembered(&self, before: Option<&InForce>) -> BTreeMap<String, u64> {
        let own =
            self.parts.iter().filter_map(|(part, revision)| Some((part.clone(), (*revision)?)));
        let mut parts: BTreeMap<String, u64> = own.collect();
        let gone = before.into_iter().flat_map(|before| &before.parts);
        for (part, revision) in gone.filter(|(part, _)| !self.parts.contains_key(*part)) {
            if parts.len() < PARTS_MAX {
                parts.insert(part.clone(), *revision);
            }
        }
        parts
    }
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
        offered: &Offered,
        rollback: &Rollback,
    ) -> Result<PolicyChange, Error> {
        let before = load(self.connection)?;
        let older = before.as_ref().and_then(|before| offered.older_than(before));
        let change = match (&before, older) {
            (Some(before), _) if before.id == offered.id => return Ok(PolicyChange::Unchanged),
            (_, Some(Older { part, in_force, offered })) if *rollback == Rollback::Refused => {
                return Err(Error::PolicyRollback { part, in_force, offered });
            }
            (_, Some(_)) => PolicyChange::RolledBack,
            (Some(before), None) if !offered.is_newer(before) => PolicyChange::SameRevision,
            (Some(_) | None, None) => PolicyChange::Newer,
        };
        let Offered { id, revision, ref name, .. } = *offered;
        let (name, parts) = (name.clone(), offered.remembered(before.as_ref()));
        let new = InForce { id, revision, name, parts, since: self.now };
        let sealed = Sealed::new(self.connection.sealer, "policies", &[], &new)?;
        self.connection.execute(
            "INSERT INTO policies (body, seal) VALUES (?1, ?2)",
            params![sealed.body, sealed.seal],
        )?;
        self.audit(&event_of(&new, before.as_ref(), (change, rollback)))?;
        self.after_commit(move |memory| {
            *memory.in_force.write().unwrap_or_else(PoisonError::into_inner) = Some(new);
        });
        Ok(change)
    }
}

/// What the audit has of `new` after `before`.
fn event_of(
    new: &InForce,
    before: Option<&InForce>,
    (change, rollback): (PolicyChange, &Rollback),
) -> AuditEvent {
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
    let changed = new.parts.iter().filter(|(part, revision)| {
        before.is_none_or(|before| before.parts.get(*part) != Some(*revision))
    });
    let changed: Vec<String> =
        changed.take(PARTS_TOLD).map(|(part, revision)| format!("{part} {revision}")).collect();
    if !changed.is_empty() {
        event = event.with("files", changed.join(", "));
    }
    if let Some(before) = before {
        event = event.with("before", before.id).with("revision_before", before.revision);
    }
    if let (PolicyChange::RolledBack, Rollback::By { who, reason }) = (change, rollback) {
        event = event.with("allowed_by", who);
        event.reason = Some(reason.clone());
    }
    event
}

impl Ledger {
    /// The policy that was last recorded; `None` in a new ledger.
    pub fn policy_in_force(&self) -> Option<InForce> {
        self.inner.memory.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that a policy comes into force, with an audit row if it is another one than before.
    ///
    /// # Errors
    /// [`Error::PolicyRollback`] when its revision, or that of one of its files, is lower than the one in
    /// force and `rollback` does not let that be; else when it did not reach the disk.
    pub async fn record_policy(
        &self,
        offered: Offered,
        rollback: Rollback,
    ) -> Result<PolicyChange, Error> {
        self.write(move |writing| writing.record_policy(&offered, &rollback)).await
    }
}
