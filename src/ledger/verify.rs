//! The check of the audit chain, row by row, and against its head.

use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;

use super::audit::{AuditKind, Body, Chain, Stored, link};
use super::rows::{hash_of, integer};
use super::{Error, Ledger, head};

/// What a check of the audit chain came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// How many records were read and found good.
    pub records: u64,
    /// The first bad one; `None` when the chain is whole.
    pub problem: Option<AuditProblem>,
}

impl AuditReport {
    /// Whether nothing was found.
    pub fn is_whole(&self) -> bool {
        self.problem.is_none()
    }
}

/// The first bad record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AuditProblem {
    /// Its place in the chain.
    pub sequence: u64,
    /// What is wrong with it.
    pub fault: AuditFault,
}

impl std::fmt::Display for AuditProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sequence, fault } = self;
        match fault {
            AuditFault::Changed => write!(f, "record {sequence} was changed"),
            AuditFault::Cut => write!(f, "the chain was cut before record {sequence}"),
            AuditFault::HeadMissing => {
                write!(f, "the head that should hold the chain at record {sequence} is gone")
            }
            AuditFault::Moved => write!(f, "record {sequence} stands in another's place"),
            AuditFault::Removed => write!(f, "record {sequence} was removed"),
        }
    }
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditFault {
    /// It is not what was written.
    Changed,
    /// It and all after it are gone, although the head, or a later finding at start, knows of them.
    Cut,
    /// The head is missing or unreadable, so that a cut would not show.
    HeadMissing,
    /// What stands in its place was written as another record.
    Moved,
    /// It is missing from the middle.
    Removed,
}

impl Ledger {
    /// Reads the whole audit chain and names its first bad record.
    ///
    /// Success does not prove that nobody rewrote database and head together.
    ///
    /// # Errors
    /// When the database fails; a bad chain is a report.
    pub async fn verify_audit(&self) -> Result<AuditReport, Error> {
        let dir = self.inner.dir.clone();
        self.read(move |connection| {
            // Read first: the chain may grow meanwhile, and must then be longer, never shorter.
            let head = match head::read(&dir) {
                Ok(head) => head,
                Err(Error::Damaged { .. }) => None,
                Err(error) => return Err(error),
            };
            verify(connection, head)
        })
        .await
    }
}

/// Checks the chain in `connection`'s database against itself and `head`.
pub(super) fn verify(connection: &Connection, head: Option<Chain>) -> Result<AuditReport, Error> {
    let snapshot = connection.unchecked_transaction()?;
    let mut chain = Chain::empty();
    let mut cut = None;
    let mut problem = None;
    let mut statement =
        snapshot.prepare("SELECT sequence, body, previous, hash FROM audit ORDER BY sequence")?;
    for stored in statement.query_map([], Stored::from_row)? {
        match follow(&chain, &stored?) {
            Ok((next, found)) => {
                chain = next;
                cut = cut.or(found);
            }
            Err(found) => {
                problem = Some(found);
                break;
            }
        }
    }
    let problem = match problem {
        Some(found) => Some(found),
        None => against_head(&snapshot, &chain, head)?,
    };
    let earlier = |one: AuditProblem, other: AuditProblem| {
        if other.sequence < one.sequence { other } else { one }
    };
    let problem = match (problem, cut) {
        (Some(problem), Some(cut)) => Some(earlier(problem, cut)),
        (problem, cut) => problem.or(cut),
    };
    Ok(AuditReport { records: chain.count, problem })
}

/// The chain one row on, and the cut that this row reports if it is such a report.
fn follow(chain: &Chain, stored: &Stored) -> Result<(Chain, Option<AuditProblem>), AuditProblem> {
    let expected = chain.count + 1;
    let fault = |fault| AuditProblem { sequence: expected, fault };
    if stored.sequence != expected {
        return Err(fault(AuditFault::Removed));
    }
    let hash = link(&stored.previous, &stored.body);
    if hash.as_bytes() != stored.hash {
        return Err(fault(AuditFault::Changed));
    }
    let body: Body = serde_json::from_str(&stored.body).map_err(|_| fault(AuditFault::Changed))?;
    if body.sequence != expected {
        return Err(fault(AuditFault::Moved));
    }
    if stored.previous != chain.hash.as_bytes() {
        // This row is as it was written, so the one before is not, although its own hash fits.
        let sequence = chain.count.max(1);
        return Err(AuditProblem { sequence, fault: AuditFault::Changed });
    }
    let cut = (body.event.kind == AuditKind::ChainCut).then(|| fault(AuditFault::Cut));
    Ok((Chain { count: expected, hash }, cut))
}

fn against_head(
    connection: &Connection,
    chain: &Chain,
    head: Option<Chain>,
) -> Result<Option<AuditProblem>, Error> {
    let Some(head) = head else {
        let fault = AuditFault::HeadMissing;
        return Ok(Some(AuditProblem { sequence: chain.count, fault }));
    };
    if head.count > chain.count {
        return Ok(Some(AuditProblem { sequence: chain.count + 1, fault: AuditFault::Cut }));
    }
    let changed = AuditProblem { sequence: head.count, fault: AuditFault::Changed };
    Ok((hash_at(connection, head.count)? != Some(head.hash)).then_some(changed))
}

/// The hash of the chain at row `count`.
pub(super) fn hash_at(
    connection: &Connection,
    count: u64,
) -> Result<Option<crate::oci::Digest>, Error> {
    if count == 0 {
        return Ok(Some(Chain::empty().hash));
    }
    let hash: Option<Vec<u8>> = connection
        .query_row("SELECT hash FROM audit WHERE sequence = ?1", [integer(count)], |row| row.get(0))
        .optional()?;
    Ok(hash.and_then(|hash| hash_of(&hash)))
}
