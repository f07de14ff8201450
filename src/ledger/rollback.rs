//! Going back to a snapshot, and what that would lose.
//!
//! Going back works on the data directory while no program has it, and leaves the schema as the
//! snapshot has it, for the program that wrote it. Nothing is destroyed: the ledger that is replaced
//! is moved aside. Nothing is lost in silence either: what people decided since the snapshot can be
//! listed first, and the chain of the restored ledger says how many of its records went.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::archive::{Place, Records};
use super::audit::{AuditEvent, AuditKind, Chain, Stored};
use super::rows::hash_of;
use super::snapshots::Snapshot;
use super::{Error, Restored, backup, database, open, sealer};
use crate::time::{Clock, Timestamp};

/// Records that are read in one go.
const PAGE: u64 = 4_096;
/// Decisions that are told one by one.
const TOLD_MAX: usize = 1000;
/// What people decide, by the words of the audit; whatever program wrote it.
const DECISIONS: [&str; 11] = [
    "approval-withdrawn",
    "approved",
    "break-glass-ended",
    "break-glass-reviewed",
    "break-glass-used",
    "exception-ended",
    "exception-granted",
    "exception-refused",
    "reinstated",
    "rejected",
    "revoked",
];
/// Who ends what has expired: that is no decision.
const SERVER: &str = "server";

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
    /// What the audit calls it, as `approved`, `revoked`, `exception-granted` or `break-glass-used`.
    pub verb: String,
    /// Who decided.
    pub by: String,
    /// About what: the image; with the number and the finding of an exception, and that of a break-glass.
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
    #[serde(default)]
    details: BTreeMap<String, serde_json::Value>,
}

impl Row {
    fn is_decision(&self) -> bool {
        DECISIONS.contains(&self.kind.as_str()) && self.by != SERVER
    }

    /// What it is about, in words.
    fn about(&self) -> String {
        let detail = |key: &str| self.details.get(key).and_then(serde_json::Value::as_str);
        let image = match &self.subject {
            Some(serde_json::Value::String(subject)) => subject.clone(),
            Some(subject) => {
                let part = |key: &str| subject.get(key).and_then(|it| it.as_str()).unwrap_or("?");
                format!("{}@{}", part("name"), part("digest"))
            }
            None => detail("repository").unwrap_or("?").to_owned(),
        };
        if let Some(id) = detail("exception") {
            let finding = detail("vulnerability").unwrap_or("?");
            let place =
                detail("package").map(|package| format!("{package} of ")).unwrap_or_default();
            return format!("{id} ({finding} in {place}{image})");
        }
        match detail("break_glass") {
            Some(id) => format!("{id} ({image})"),
            None => image,
        }
    }
}

/// What going back to `snapshot` would lose of the ledger in `dir`.
///
/// # Errors
/// When the snapshot cannot be read.
pub fn loss(dir: &Path, snapshot: &Snapshot) -> Result<Loss, Error> {
    let then = snapshot.chain()?;
    let path = open::database_path(dir);
    let sealer = sealer::known(dir);
    let read = database::open_reader(&path).and_then(|connection| {
        lost_rows(&Place { connection: &connection, sealer: sealer.as_ref(), dir }, then)
    });
    let unknown = |why: String| Ok(Loss::Unknown { why });
    match read {
        Ok(Some(rows)) => Ok(Loss::Known(rows)),
        Ok(None) => unknown("the ledger did not grow from this snapshot".to_owned()),
        Err(error) => unknown(format!("{} cannot be read ({error})", path.display())),
    }
}

/// The rows after `then`; `None` when the chain does not hold it.
///
/// # Errors
/// [`Error::Archived`] when they are in a segment that is not there.
fn lost_rows(place: &Place<'_>, then: Chain) -> Result<Option<LostRows>, Error> {
    let mut records = Records::after(then.count.saturating_sub(1));
    let mut found = Chain::empty();
    if then.count > 0 {
        records.read(place, 1, &mut |stored| {
            let hash = hash_of(&stored.hash);
            let hash = hash.ok_or_else(|| Error::corrupt("audit", stored.sequence))?;
            found = Chain { count: stored.sequence, hash };
            Ok(())
        })?;
    }
    if found != then {
        return Ok(None);
    }
    let mut lost = LostRows { records: 0, decisions: 0, told: Vec::new() };
    let mut count = |stored: &Stored| {
        lost.records += 1;
        let row: Row = serde_json::from_str(&stored.body)
            .map_err(|_| Error::corrupt("audit", stored.sequence))?;
        if !row.is_decision() {
            return Ok(());
        }
        lost.decisions += 1;
        if lost.told.len() < TOLD_MAX {
            lost.told.push(told(stored.sequence, row));
        }
        Ok(())
    };
    while records.read(place, PAGE, &mut count)? == PAGE {}
    Ok(Some(lost))
}

fn told(sequence: u64, row: Row) -> LostDecision {
    let subject = row.about();
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
