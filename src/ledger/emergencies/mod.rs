//! Broken glass: emergency grants, who used them, who voted, how they ended, and who looked at it afterwards.
//!
//! One row each, sealed as everything here, and a record of the audit with every change. A row that was
//! written before fits its seal, too; so what is in force has to be the last word of the chain about it as
//! well. Whoever puts an older row back opens nothing by that.

mod changing;
mod loading;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::caller::PersonId;
use super::rows::{Sealed, integer, unsigned};
use super::sealer::Tables;
use super::{Error, Ledger};
use crate::gate::{Emergency, EmergencyId, Subject};
use crate::oci::Name;
use crate::policy::PolicyId;
use crate::time::Timestamp;

pub use changing::{EmergencyChange, EmergencyProof, NewEmergency};
pub(super) use loading::{load, unsettled_since};

/// The table.
pub(super) const TABLE: &str = "emergencies";
/// Most that wait or are in force at one time.
pub const EMERGENCIES_OPEN_MAX: usize = 20;
/// Most that nobody has reviewed; beyond it none is begun.
pub const EMERGENCIES_UNREVIEWED_MAX: usize = 500;
/// How long one waits for more people.
pub const EMERGENCY_WAIT_MAX: Duration = Duration::from_hours(1);
/// Most that one read gives.
const PAGE_MAX: u32 = 1_000;

/// What one is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EmergencyScope {
    /// One image, with what it lists.
    Image {
        /// The image.
        subject: Subject,
    },
    /// Every image of a repository.
    Repository {
        /// The repository.
        name: Name,
    },
}

impl EmergencyScope {
    /// The repository that it is about, or within.
    pub fn name(&self) -> &Name {
        match self {
            Self::Image { subject } => &subject.name,
            Self::Repository { name } => name,
        }
    }

    /// The image, where it is about one.
    pub fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Image { subject } => Some(subject),
            Self::Repository { .. } => None,
        }
    }

    /// Whether `subject` is meant.
    pub fn covers(&self, subject: &Subject) -> bool {
        match self {
            Self::Image { subject: own } => own == subject,
            Self::Repository { name } => *name == subject.name,
        }
    }
}

impl std::fmt::Display for EmergencyScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Image { subject } => subject.fmt(f),
            Self::Repository { name } => name.fmt(f),
        }
    }
}

/// How one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmergencyState {
    /// It is over, or never began.
    Ended,
    /// It is in force until its end.
    Open,
    /// More people have to say yes.
    Waiting,
}

impl EmergencyState {
    /// The state in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Open => "open",
            Self::Waiting => "waiting",
        }
    }
}

/// Somebody who said yes beside whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyVote {
    /// Who.
    pub by: PersonId,
    /// Since when that identity is theirs.
    pub since: Timestamp,
    /// What they are called.
    pub display: String,
    /// When.
    pub at: Timestamp,
    /// What they wrote.
    pub comment: String,
}

/// How one ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyEnd {
    /// When.
    pub at: Timestamp,
    /// Who ended it: somebody, or the server.
    pub by: String,
    /// Why.
    pub why: String,
}

/// What somebody else made of one afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyReview {
    /// Who.
    pub by: PersonId,
    /// What they are called.
    pub display: String,
    /// When.
    pub at: Timestamp,
    /// Whether it was justified.
    pub is_justified: bool,
    /// What they wrote.
    pub comment: String,
}

/// A break-glass on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyRow {
    /// Its number.
    pub id: EmergencyId,
    /// What it is for.
    pub scope: EmergencyScope,
    /// Who used it.
    pub by: PersonId,
    /// Since when that identity is theirs.
    pub since: Timestamp,
    /// What they are called.
    pub display: String,
    /// Why.
    pub reason: String,
    /// The ticket that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// For how long, in milliseconds, once it is in force.
    pub ttl_ms: u64,
    /// How many people it takes, whoever used it among them.
    pub quorum: u64,
    /// The policy that was in force.
    pub policy: PolicyId,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Who said yes beside them.
    pub votes: Vec<EmergencyVote>,
    /// How it stands.
    pub state: EmergencyState,
    /// When it came into force, if it did.
    pub in_force_at: Option<Timestamp>,
    /// When it ends by itself, once it is in force.
    pub until: Option<Timestamp>,
    /// When somebody else has to have looked at it, once it was in force.
    pub review_by: Option<Timestamp>,
    /// How it ended, if it did.
    pub ended: Option<EmergencyEnd>,
    /// What somebody else made of it, once somebody did.
    pub review: Option<EmergencyReview>,
    /// Whether people were told that nobody reviewed it in time.
    pub overdue_told: bool,
    /// The record of the audit with which it began.
    pub(super) begun: u64,
    /// How often it changed.
    pub(super) version: u64,
}

impl EmergencyRow {
    /// For how long, once it is in force.
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }

    /// Whether it was in force and nobody reviewed it.
    pub fn is_unreviewed(&self) -> bool {
        self.in_force_at.is_some() && self.review.is_none()
    }

    /// Whether nobody reviewed it in time.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.is_unreviewed() && self.review_by.is_some_and(|by| by <= now)
    }

    /// Whether nothing is left to be done about it.
    fn is_settled(&self) -> bool {
        self.state == EmergencyState::Ended && !self.is_unreviewed()
    }

    /// Whether somebody used it or said yes to it.
    pub fn is_of(&self, person: &PersonId) -> bool {
        self.by == *person || self.votes.iter().any(|vote| vote.by == *person)
    }
}

/// One that something is left to be done about, in memory.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) row: Arc<EmergencyRow>,
    /// When it is over by the clock that never goes back.
    pub(super) deadline: Duration,
}

/// All of those, by number.
pub(super) type Emergencies = BTreeMap<EmergencyId, Held>;

/// Reads the row of `id`.
fn read(connection: &Tables<'_>, id: EmergencyId) -> Result<Option<EmergencyRow>, Error> {
    let sealed = connection
        .prepare_cached("SELECT body, seal FROM emergencies WHERE id = ?1")?
        .query_row([integer(id.number())], |row| Sealed::from_row(row, 0))
        .optional()?;
    sealed.map(|sealed| sealed.open(connection.sealer, TABLE, &[&id.to_string()])).transpose()
}

impl Ledger {
    fn held(&self) -> Emergencies {
        let held = &self.inner.memory.emergencies;
        held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those that wait, are in force, or were and nobody has reviewed; by number.
    pub fn emergencies_held(&self) -> Vec<Arc<EmergencyRow>> {
        self.held().into_values().map(|held| held.row).collect()
    }

    /// Whether the time of `row` is over at `now`: by either clock, so that none that is set back makes it
    /// longer.
    pub fn is_emergency_over(&self, row: &EmergencyRow, now: Timestamp) -> bool {
        let held = self.held().remove(&row.id);
        let Some(Held { row, deadline }) = held else { return true };
        match row.state {
            EmergencyState::Ended => true,
            EmergencyState::Open => !is_in_force(&row, now, deadline, self.inner.clock.monotonic()),
            EmergencyState::Waiting => row.asked_at.after(EMERGENCY_WAIT_MAX) <= now,
        }
    }

    /// Those in force at `now` for which `counts` says yes; the one that ends last comes first.
    pub fn emergencies_in_force(
        &self,
        now: Timestamp,
        counts: impl Fn(&EmergencyRow) -> bool,
    ) -> Vec<Emergency> {
        let held = &self.inner.memory.emergencies;
        let held = held.read().unwrap_or_else(PoisonError::into_inner);
        if held.is_empty() {
            return Vec::new();
        }
        let monotonic = self.inner.clock.monotonic();
        let found = held.values().filter_map(|Held { row, deadline }| {
            let in_force = is_in_force(row, now, *deadline, monotonic) && counts(row);
            let until = row.until.filter(|_| in_force)?;
            Some(Emergency { id: row.id, until })
        });
        let mut found: Vec<Emergency> = found.collect();
        found.sort_by_key(|it| std::cmp::Reverse((it.until, it.id)));
        found
    }

    /// The latest, newest first, below `before` where that is given; at most `limit` (up to 1,000). Rows that
    /// are not what was written are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn emergencies(
        &self,
        before: Option<EmergencyId>,
        limit: u32,
    ) -> Result<Vec<EmergencyRow>, Error> {
        let before = before.map_or(i64::MAX, |id| integer(id.number()));
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, body, seal FROM emergencies WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let rows = statement.query_map(params![before, limit.min(PAGE_MAX)], |row| {
                Ok((row.get::<_, i64>(0)?, Sealed::from_row(row, 1)?))
            })?;
            let mut found = Vec::new();
            for row in rows {
                let (id, sealed) = row?;
                let key = format!("B-{}", unsigned(id));
                match sealed.open(connection.sealer, TABLE, &[&key]) {
                    Ok(row) => found.push(row),
                    Err(error @ Error::CorruptRow { .. }) => tracing::error!(%error, "left out"),
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
        .await
    }

    /// The one with that number.
    ///
    /// # Errors
    /// When the database fails, or its row is not what was written.
    pub async fn emergency(&self, id: EmergencyId) -> Result<Option<EmergencyRow>, Error> {
        self.read(move |connection| read(connection, id)).await
    }
}

/// Whether `row` is in force at `now`, with its `deadline` by the clock that shows `monotonic`.
fn is_in_force(
    row: &EmergencyRow,
    now: Timestamp,
    deadline: Duration,
    monotonic: Duration,
) -> bool {
    let begun = row.in_force_at.is_some_and(|at| at <= now);
    let ends = row.until.is_some_and(|until| now < until);
    row.state == EmergencyState::Open && begun && ends && monotonic < deadline
}
