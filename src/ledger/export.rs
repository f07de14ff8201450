//! The audit chain as JSON lines, for another machine and another program.
//!
//! The first line is a [`Heading`], then come the checkpoints, then the records, then an [`Ending`]. A
//! record is its canonical bytes as they were hashed, with its hash and the one before, so that the
//! chain can be checked by anybody with SHA-256. Part of a chain has the subtrees of what is before it
//! in its heading, so that later checkpoints can be checked all the same.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::archive::{self, Place, Records};
use super::audit::{Chain, Stored};
use super::checkpoints::{journal, keys};
use super::rows::hash_of;
use super::verify::follow;
use super::{Error, Ledger, database, open, sealer};
use crate::oci::Digest;
use crate::transparency::{Checkpoint, NodeHash, Tree};

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
#[derive(Debug)]
pub struct Export {
    from: u64,
    to: u64,
    records: Records,
    step: Step,
}

#[derive(Debug)]
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
    ///
    /// # Errors
    /// [`Error::Archived`] when some of them are in a segment that is not there.
    fn begin(place: &Place<'_>, from: u64) -> Result<Self, Error> {
        let (from, to) = (from.max(1), Chain::load(place.connection)?.count);
        let before = archive::preceding(place.connection, place.sealer, from - 1)?;
        let after = before.as_ref().map_or(0, |segment| segment.to);
        for segment in archive::all(place.connection, place.sealer)? {
            if segment.to > after && !segment.path(place.dir).is_file() {
                return Err(segment.missing());
            }
        }
        let (chain, tree) = archive::beginning(before)?;
        let records = Records::after(chain.count);
        Ok(Self { from, to, records, step: Step::Before { tree, chain } })
    }

    /// The next piece, which may be empty; `None` at the end.
    fn piece(&mut self, place: &Place<'_>) -> Result<Option<Vec<u8>>, Error> {
        let mut piece = Vec::new();
        match &mut self.step {
            Step::Before { tree, chain } => {
                let before = (self.from - 1).min(self.to);
                if tree.size() < before {
                    let missing = (before - tree.size()).min(PAGE);
                    let mut grow = |stored: &Stored| {
                        *chain = follow(chain, stored).map_err(Error::ChainBroken)?;
                        tree.push(stored.body.as_bytes());
                        Ok(())
                    };
                    if self.records.read(place, missing, &mut grow)? > 0 {
                        return Ok(Some(piece));
                    }
                }
                put_beginning(&mut piece, (*chain, tree), self.to, place.dir, None)?;
                self.step = Step::Records;
            }
            Step::Records => {
                let left = self.to.saturating_sub(self.records.place());
                let mut put = |stored: &Stored| put_record(&mut piece, stored);
                let count = self.records.read(place, left.min(PAGE), &mut put)?;
                if count == 0 || self.records.place() >= self.to {
                    put_ending(&mut piece, self.records.place())?;
                    self.step = Step::Ended;
                }
            }
            Step::Ended => return Ok(None),
        }
        Ok(Some(piece))
    }
}

/// The heading of the records up to `to` that come after a chain and the tree over it, and the checkpoints:
/// `own` alone, or those of the journal that are of no more records than these.
pub(super) fn put_beginning(
    piece: &mut Vec<u8>,
    (chain, tree): (Chain, &Tree),
    to: u64,
    dir: &Path,
    own: Option<&Checkpoint>,
) -> Result<(), Error> {
    let fits = |checkpoint: &Checkpoint| checkpoint.size() <= to;
    let (checkpoints, latest): (Vec<Checkpoint>, _) = match own {
        Some(own) => (vec![own.clone()], Some(own.clone())),
        // What is unreadable is no checkpoint anywhere else either; the check of the ledger itself tells.
        None => (
            journal::read(dir)?.entries.into_iter().flatten().filter(fits).collect(),
            journal::latest(dir)?.and_then(Result::ok).filter(fits),
        ),
    };
    let latest = latest.as_ref().or(checkpoints.last());
    let heading = Heading {
        format: FORMAT.to_owned(),
        from: chain.count + 1,
        to,
        previous: chain.hash,
        subtrees: tree.subtrees().to_vec(),
        keys: keys::public(dir)?.iter().map(ToString::to_string).collect(),
        latest: latest.map(|latest| latest.as_str().to_owned()),
    };
    put(piece, &heading)?;
    for checkpoint in &checkpoints {
        put(piece, &CheckpointLine { checkpoint: checkpoint.as_str() })?;
    }
    Ok(())
}

/// The line of a record.
pub(super) fn put_record(piece: &mut Vec<u8>, stored: &Stored) -> Result<(), Error> {
    let corrupt = || Error::corrupt("audit", stored.sequence);
    let line = RecordLine {
        record: serde_json::from_str(&stored.body).map_err(|_| corrupt())?,
        previous: hash_of(&stored.previous).ok_or_else(corrupt)?,
        hash: hash_of(&stored.hash).ok_or_else(corrupt)?,
    };
    put(piece, &line)
}

/// The last line.
pub(super) fn put_ending(piece: &mut Vec<u8>, end: u64) -> Result<(), Error> {
    put(piece, &Ending { end })
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
    /// [`Error::Archived`] when some of them are in a segment that is not there; else when the database
    /// fails.
    pub async fn begin_export(&self, from: u64) -> Result<Export, Error> {
        let dir = self.inner.dir.clone();
        self.read(move |connection| Export::begin(&Place::of(connection, &dir), from)).await
    }

    /// The next piece of `export`, which may be empty; `None` at its end.
    ///
    /// # Errors
    /// When the database fails, or a record cannot be read.
    pub async fn next_piece(&self, mut export: Export) -> Result<Option<(Vec<u8>, Export)>, Error> {
        let dir = self.inner.dir.clone();
        self.read(move |connection| {
            let piece = export.piece(&Place::of(connection, &dir))?;
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
    let sealer = sealer::known(dir);
    let place = Place { connection: &connection, sealer: sealer.as_ref(), dir };
    let mut export = Export::begin(&place, from)?;
    while let Some(piece) = export.piece(&place)? {
        to.write_all(&piece).map_err(Error::Write)?;
    }
    to.flush().map_err(Error::Write)
}
