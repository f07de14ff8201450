//! The audit chain as JSON lines, for another machine and another program.
//!
//! The first line is a [`Heading`], then come the checkpoints, then the records, then an [`Ending`]. A
//! record is its canonical bytes as they were hashed, with its hash and the one before, so that the
//! chain can be checked by anybody with SHA-256. Part of a chain has the subtrees of what is before it
//! in its heading, so that later checkpoints can be checked all the same.

use std::io::Write;
use std::path::Path;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::audit::{Chain, Stored};
use super::checkpoints::{grow, journal, keys};
use super::rows::{hash_of, integer};
use super::{Error, Ledger, database, open};
use crate::oci::Digest;
use crate::transparency::{NodeHash, Tree};

/// What the format is called, with its version.
pub(super) const FORMAT: &str = "pratique audit export 1";
/// Records in one piece.
const PAGE: u64 = 1_000;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Heading {
    pub(super) format: String,
    /// The first record.
    pub(super) from: u64,
    /// The last record; less than `from` when there is none.
    pub(super) to: u64,
    /// The hash before the first record.
    pub(super) previous: Digest,
    /// The complete subtrees of the tree over the records before the first.
    pub(super) subtrees: Vec<NodeHash>,
    /// The keys that sign checkpoints, the one in use last.
    pub(super) keys: Vec<String>,
    /// The last checkpoint, which is among those that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) latest: Option<String>,
}

/// A line with a checkpoint.
#[derive(Debug, Serialize)]
struct CheckpointLine<'a> {
    checkpoint: &'a str,
}

/// A line with a record.
#[derive(Debug, Serialize)]
struct RecordLine<'a> {
    record: &'a RawValue,
    previous: Digest,
    hash: Digest,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Ending {
    end: u64,
}

/// An export under way: piece by piece, so that neither side ever holds all of it.
#[derive(Debug, Clone)]
pub struct Export {
    next: u64,
    to: u64,
    step: Step,
}

#[derive(Debug, Clone)]
enum Step {
    /// The records before the first one are read.
    Before {
        tree: Tree,
        chain: Chain,
    },
    Records,
    Ended,
}

impl Export {
    /// Of the records from `from` on, up to the last one that there is now.
    fn begin(connection: &Connection, from: u64) -> Result<Self, Error> {
        let (next, to) = (from.max(1), Chain::load(connection)?.count);
        let step = Step::Before { tree: Tree::default(), chain: Chain::empty() };
        Ok(Self { next, to, step })
    }

    /// The next piece, which may be empty; `None` at the end.
    fn piece(&mut self, connection: &Connection, dir: &Path) -> Result<Option<Vec<u8>>, Error> {
        let mut piece = Vec::new();
        match &mut self.step {
            Step::Before { tree, chain } => {
                let before = (self.next - 1).min(self.to);
                if tree.size() < before {
                    let missing = before - tree.size();
                    if grow(connection, tree, chain, missing)? > 0 {
                        return Ok(Some(piece));
                    }
                }
                let heading = Heading {
                    format: FORMAT.to_owned(),
                    from: chain.count + 1,
                    to: self.to,
                    previous: chain.hash,
                    subtrees: tree.subtrees().to_vec(),
                    keys: keys::public(dir)?.iter().map(ToString::to_string).collect(),
                    latest: None,
                };
                self.next = chain.count + 1;
                put_beginning(&mut piece, heading, dir)?;
                self.step = Step::Records;
            }
            Step::Records => {
                let count = put_records(&mut piece, connection, self.next, self.to)?;
                self.next += count;
                if self.next > self.to || count == 0 {
                    put(&mut piece, &Ending { end: self.next - 1 })?;
                    self.step = Step::Ended;
                }
            }
            Step::Ended => return Ok(None),
        }
        Ok(Some(piece))
    }
}

/// The heading and the checkpoints. Those were signed over records that are read later.
fn put_beginning(piece: &mut Vec<u8>, mut heading: Heading, dir: &Path) -> Result<(), Error> {
    let latest = journal::latest(dir)?;
    heading.latest = latest.and_then(Result::ok).map(|latest| latest.as_str().to_owned());
    put(piece, &heading)?;
    // What is unreadable is no checkpoint anywhere else either; the check of the ledger itself tells.
    for checkpoint in journal::read(dir)?.entries.iter().flatten() {
        put(piece, &CheckpointLine { checkpoint: checkpoint.as_str() })?;
    }
    Ok(())
}

fn put_records(
    piece: &mut Vec<u8>,
    connection: &Connection,
    from: u64,
    to: u64,
) -> Result<u64, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, body, previous, hash FROM audit
         WHERE sequence BETWEEN ?1 AND ?2 ORDER BY sequence LIMIT ?3",
    )?;
    let bounds = params![integer(from), integer(to), integer(PAGE)];
    let mut count = 0;
    for stored in statement.query_map(bounds, Stored::from_row)? {
        let stored = stored?;
        let corrupt = || Error::corrupt("audit", stored.sequence);
        let line = RecordLine {
            record: serde_json::from_str(&stored.body).map_err(|_| corrupt())?,
            previous: hash_of(&stored.previous).ok_or_else(corrupt)?,
            hash: hash_of(&stored.hash).ok_or_else(corrupt)?,
        };
        put(piece, &line)?;
        count += 1;
    }
    Ok(count)
}

fn put<T: Serialize>(piece: &mut Vec<u8>, line: &T) -> Result<(), Error> {
    serde_json::to_writer(&mut *piece, line)?;
    piece.push(b'\n');
    Ok(())
}

impl Ledger {
    /// Begins an export of the audit chain from record `from` on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_export(&self, from: u64) -> Result<Export, Error> {
        self.read(move |connection| Export::begin(connection, from)).await
    }

    /// The next piece of `export`, which may be empty; `None` at its end.
    ///
    /// # Errors
    /// When the database fails, or a record cannot be read.
    pub async fn next_piece(&self, mut export: Export) -> Result<Option<(Vec<u8>, Export)>, Error> {
        let dir = self.inner.dir.clone();
        self.read(move |connection| {
            let piece = export.piece(connection, &dir)?;
            Ok(piece.map(|piece| (piece, export)))
        })
        .await
    }
}

/// Writes the audit chain of the ledger in `dir` to `to`, from record `from` on, whether a program has it
/// open or not.
///
/// # Errors
/// [`Error::Write`] when `to` does not take it; else when the ledger cannot be read.
pub fn export_audit(dir: &Path, from: u64, to: &mut dyn Write) -> Result<(), Error> {
    let connection = database::open_still(&open::database_path(dir))?;
    let mut export = Export::begin(&connection, from)?;
    while let Some(piece) = export.piece(&connection, dir)? {
        to.write_all(&piece).map_err(Error::Write)?;
    }
    to.flush().map_err(Error::Write)
}
