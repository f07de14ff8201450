//! Going back to a snapshot, and what that would lose.
//!
//! Going back works on the data directory while no program has it, and leaves the schema as the
//! snapshot has it, for the program that wrote it. Nothing is destroyed: the ledger that is replaced
//! is moved aside. Nothing is lost in silence either: what people decided since the snapshot can be
//! listed first, and the chain of the restored ledger says how many of its records went.

use std::path::Path;

use rusqlite::{Connection, params};
use serde::Deserialize;

use super::audit::{AuditEvent, AuditKind, Chain};
use super::rows::{integer, unsigned};
use super::snapshots::Snapshot;
use super::{Error, Restored, backup, database, open, verify};
use crate::time::{Clock, Timestamp};

/// Decisions that are told one by one.
const TOLD_MAX: usize = 1000;
/// What people decide, by the words of the audit; whatever program wrote it.
const DECISIONS: [&str; 4] = ["approved", "reinstated", "rejected", "revoked"];

/// What going back to a snapshot would lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// The ledger is the snapshot, and these audit records after it.
    Known(LostRows),
    /// The ledger cannot be read, or is not one that grew from the snapshot: everything since then.
    Unknown {
        /// Why it cannot be told.
        why: String,
    },
}

/// Audit records after a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRows {
    /// How many.
    pub records: u64,
    /// How many of them are decisions of people.
    pub decisions: u64,
    /// Those decisions, oldest first; the first thousand.
    pub told: Vec<LostDecision>,
}

/// A decision of a person that is not in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostDecision {
    /// Its place in the audit chain.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// `approved`, `reinstated`, `rejected` or `revoked`.
    pub verb: String,
    /// Who decided.
    pub by: String,
    /// About what.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// The part of an audit record that every program writes alike.
#[derive(Deserialize)]
struct Row {
    at: Timestamp,
    kind: String,
    by: String,
    subject: Option<serde_json::Value>,
    reason: Option<String>,
}

/// What going back to `snapshot` would lose of the ledger in `dir`.
///
/// # Errors
/// When the snapshot cannot be read.
pub fn loss(dir: &Path, snapshot: &Snapshot) -> Result<Loss, Error> {
    let then = snapshot.chain()?;
    let path = open::database_path(dir);
    let read = database::open_reader(&path).and_then(|connection| lost_rows(&connection, then));
    let unknown = |why: String| Ok(Loss::Unknown { why });
    match read {
        Ok(Some(rows)) => Ok(Loss::Known(rows)),
        Ok(None) => unknown("the ledger did not grow from this snapshot".to_owned()),
        Err(error) => unknown(format!("{} cannot be read ({error})", path.display())),
    }
}

/// The rows after `then`; `None` when the chain does not hold it.
fn lost_rows(connection: &Connection, then: Chain) -> Result<Option<LostRows>, Error> {
    if verify::hash_at(connection, then.count)? != Some(then.hash) {
        return Ok(None);
    }
    let mut lost = LostRows { records: 0, decisions: 0, told: Vec::new() };
    let mut statement = connection
        .prepare("SELECT sequence, body FROM audit WHERE sequence > ?1 ORDER BY sequence")?;
    let rows = statement.query_map(params![integer(then.count)], |row| {
        Ok((unsigned(row.get(0)?), row.get::<_, String>(1)?))
    })?;
    for row in rows {
        let (sequence, body) = row?;
        lost.records += 1;
        let row: Row =
            serde_json::from_str(&body).map_err(|_| Error::corrupt("audit", sequence))?;
        if !DECISIONS.contains(&row.kind.as_str()) {
            continue;
        }
        lost.decisions += 1;
        if lost.told.len() < TOLD_MAX {
            lost.told.push(told(sequence, row));
        }
    }
    Ok(Some(lost))
}

fn told(sequence: u64, row: Row) -> LostDecision {
    let subject = row.subject.unwrap_or_default();
    let part = |key: &str| subject.get(key).and_then(|part| part.as_str()).unwrap_or("?");
    let subject = match subject.as_str() {
        Some(subject) => subject.to_owned(),
        None => format!("{}@{}", part("name"), part("digest")),
    };
    let reason = row.reason.unwrap_or_default();
    LostDecision { sequence, at: row.at, verb: row.kind, by: row.by, subject, reason }
}

/// Puts `snapshot` in the place of the ledger in `dir`, which no process may have open.
///
/// # Errors
/// [`Error::AlreadyOpen`]; [`Error::Damaged`], [`Error::CorruptRow`], [`Error::NewerSchema`] when
/// the snapshot is not whole. In all of them, nothing was changed.
pub fn roll_back(dir: &Path, snapshot: &Snapshot, clock: &dyn Clock) -> Result<Restored, Error> {
    let _lock = open::lock(dir)?;
    // A kind that every program knows: the snapshot is for an earlier one.
    let event = AuditEvent::new(AuditKind::Restored, "rollback").with("snapshot", &snapshot.name);
    let event = match loss(dir, snapshot)? {
        Loss::Known(lost) => {
            event.with("lost_records", lost.records).with("lost_decisions", lost.decisions)
        }
        Loss::Unknown { .. } => event.with("lost_records", "unknown"),
    };
    backup::put_in_place(&snapshot.path, dir, clock, event, |_connection, _coming| Ok(()))
}
