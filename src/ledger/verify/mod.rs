//! The check of the audit chain: row by row, against its head, and against signed checkpoints.
//!
//! One walk ([`walk`]) reads the records in order, whatever they come from, and remembers how the tree
//! stood wherever a checkpoint says something about it. What the checkpoints come to is judged after
//! that ([`judge`]), so that the first bad record can be named. Where the chain is whole, what the ledger
//! goes by is compared with it ([`decided`]).

mod archived;
mod decided;
mod exported;
mod judge;
mod report;
mod walk;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _};

use decided::LastWords;
pub use exported::verify_export;
use judge::Claims;
pub use report::{AuditFault, AuditNote, AuditProblem, AuditReport, Coverage};
use walk::Walk;
pub(super) use walk::follow;

use super::audit::{Chain, Stored};
use super::checkpoints::{journal, keys};
use super::rows::{hash_of, integer};
use super::sealer::{self, Sealer};
use super::{Error, Ledger, archive, database, head, open};
use crate::oci::Digest;
use crate::transparency::{Checkpoint, Tree, VerifierKey};
use archived::Shelf;

/// What is trusted beside what the ledger says of itself, because it was kept elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// If there are any, the only keys whose checkpoints count.
    pub keys: Vec<VerifierKey>,
    /// Checkpoints that the chain has to continue.
    pub checkpoints: Vec<Checkpoint>,
    /// Files with records that left the ledger, wherever they are. They are not trusted: they have to be what
    /// was archived.
    pub segments: Vec<PathBuf>,
}

impl Ledger {
    /// Reads the whole audit chain and names its first bad record.
    ///
    /// It goes by the key and the checkpoints in the data directory: whoever rewrote these as well is
    /// caught only by what was kept elsewhere, see [`verify_audit`].
    ///
    /// # Errors
    /// When the database fails; a bad chain is a report.
    pub async fn verify_audit(&self) -> Result<AuditReport, Error> {
        let dir = self.inner.dir.clone();
        self.read(move |connection| {
            check(connection, Some(connection.sealer), &dir, &Trust::default())
        })
        .await
    }
}

/// Reads the whole audit chain of the ledger in `dir`, whether a program has it open or not, and names
/// its first bad record. No byte of it is changed.
///
/// # Errors
/// When there is no ledger, or it cannot be read; a bad chain is a report.
pub fn verify_audit(dir: &Path, trust: &Trust) -> Result<AuditReport, Error> {
    let path = open::database_path(dir);
    check(&database::open_still(&path)?, sealer::known(dir).as_ref(), dir, trust)
}

fn check(
    connection: &Connection,
    sealer: Option<&Sealer>,
    dir: &Path,
    trust: &Trust,
) -> Result<AuditReport, Error> {
    // All of this is read first: the chain may grow meanwhile, and must then be longer, never shorter.
    let head = match head::read(dir) {
        Ok(head) => head,
        Err(Error::Damaged { .. }) => None,
        Err(error) => return Err(error),
    };
    let latest = journal::latest(dir)?;
    let journal = journal::read(dir)?;
    let claims = Claims { keys: keys::public(dir)?, journal: journal.entries, latest };
    let shelf = Shelf { sealer, dir: Some(dir), given: &trust.segments };
    let mut walk = walk_over(connection, head, &shelf, judge::sizes(&claims, trust))?;
    walk.notes.extend(journal.is_torn.then_some(AuditNote::TornJournal));
    Ok(judge::judge(walk, &claims, trust))
}

/// Checks the chain in the database of a backup against itself and `head`, and against nothing else.
pub(super) fn verify(connection: &Connection, head: Option<Chain>) -> Result<AuditReport, Error> {
    let (claims, trust) = (Claims::default(), Trust::default());
    let shelf = Shelf { sealer: Some(&Sealer::plain()), dir: None, given: &[] };
    let walk = walk_over(connection, head, &shelf, judge::sizes(&claims, &trust))?;
    Ok(judge::judge(walk, &claims, &trust))
}

fn walk_over(
    connection: &Connection,
    head: Option<Chain>,
    shelf: &Shelf<'_>,
    sizes: Vec<u64>,
) -> Result<Walk, Error> {
    // What leaves the database meanwhile is in it here, or what is kept of it is.
    let snapshot = connection.unchecked_transaction()?;
    let mut walk = Walk::begin(Chain::empty(), Tree::default(), sizes);
    let mut words = LastWords::default();
    let segments = archived::walk_over(&snapshot, shelf, &mut walk, &mut words)?;
    let mut statement =
        snapshot.prepare("SELECT sequence, body, previous, hash FROM audit ORDER BY sequence")?;
    if walk.problem.is_none() {
        for stored in statement.query_map([], Stored::from_row)? {
            let stored = stored?;
            if !walk.row(&stored) {
                break;
            }
            words.hear(&stored);
        }
    }
    if walk.problem.is_none() {
        walk.problem = against_head(&snapshot, &walk.chain, head)?;
    }
    if walk.problem.is_none() {
        archived::against_records(&segments, &mut walk);
    }
    if walk.problem.is_none() {
        let (contradicted, not_compared) = words.contradicted(&snapshot, walk.chain.count)?;
        walk.contradicted = contradicted;
        if not_compared > 0 {
            walk.notes.push(AuditNote::NotCompared { rows: not_compared });
        }
    }
    Ok(walk)
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
pub(super) fn hash_at(connection: &Connection, count: u64) -> Result<Option<Digest>, Error> {
    if count == 0 {
        return Ok(Some(Chain::empty().hash));
    }
    let hash: Option<Vec<u8>> = connection
        .query_row("SELECT hash FROM audit WHERE sequence = ?1", [integer(count)], |row| row.get(0))
        .optional()?;
    if let Some(hash) = hash {
        return Ok(hash_of(&hash));
    }
    // It may be the last one that left. A row that is damaged is told by the check of the chain.
    let segment = archive::preceding(connection, None, count).ok().flatten();
    Ok(segment.filter(|segment| segment.to == count).map(|segment| segment.hash))
}
