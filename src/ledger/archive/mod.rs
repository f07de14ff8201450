//! Old records in files of their own: what keeps the chain verifiable when they leave the database.
//!
//! Records leave from the front of the chain, in segments: an export each (see [`super::export`]), packed
//! with zstd, in `audit/segments`. Promises:
//! - a record is deleted only when the segment that holds it is on the disk, was read back and found good,
//!   and in the same transaction as what is kept of it is written and a record says so: ended at any moment,
//!   all of that is done or nothing;
//! - what is kept of a segment (how far it goes, the hash of its last record, the complete subtrees over
//!   all records up to there, the SHA-256 of its file) is enough to verify all that comes after, and is
//!   held three times: sealed in the database, in the chain, and under every later checkpoint;
//! - no record leaves that no signed checkpoint covers, or that a webhook has not dealt with;
//! - a file that is there is read as if its records had never left; one that is not is named.

mod files;
mod keeping;
mod reading;
mod writing;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

pub(super) use files::{digest_of, strays};
pub use keeping::{Archived, Archiving, Held, Plan};
pub(super) use reading::{Place, Records};

use super::audit::Chain;
use super::rows::{Sealed, integer, unsigned};
use super::sealer::Sealer;
use super::writer::Writing;
use super::{Error, Ledger, head};
use crate::oci::Digest;
use crate::time::Timestamp;
use crate::transparency::{NodeHash, Tree};

/// The table with what is kept of segments.
pub(super) const TABLE: &str = "segments";
/// Most records in one segment: what one transaction deletes, and how far a record in it is from its start.
const SEGMENT_RECORDS_MAX: u64 = 100_000;
/// Most segments: one a day for a few decades, or a billion records.
const SEGMENTS_MAX: u64 = 10_000;

/// What is kept of records that left the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// The number of its first record.
    pub from: u64,
    /// The number of its last record.
    pub to: u64,
    /// The hash of that one.
    pub hash: Digest,
    /// The complete subtrees over all records up to that one.
    pub(super) subtrees: Vec<NodeHash>,
    /// The name of its file.
    pub file: String,
    /// The size of that, in bytes.
    pub bytes: u64,
    /// The SHA-256 of that.
    pub digest: Digest,
    /// When its first record was written.
    pub first_at: Timestamp,
    /// When its last record was written.
    pub last_at: Timestamp,
    /// When it left the database.
    pub archived_at: Timestamp,
    /// The number of the record that says so.
    pub recorded: u64,
}

impl Segment {
    /// The chain up to its last record.
    pub(super) const fn chain(&self) -> Chain {
        Chain { count: self.to, hash: self.hash }
    }

    /// The tree over all records up to its last one; `None`: that is not what it was.
    pub(super) fn tree(&self) -> Option<Tree> {
        Tree::resume(self.to, self.subtrees.clone())
    }

    /// Where its file belongs in the data directory `dir`.
    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        directory(dir).join(&self.file)
    }

    /// That its file would have to be read and is not there.
    pub(super) fn missing(&self) -> Error {
        Error::Archived(Box::new(self.clone()))
    }
}

/// The directory of the segments in the data directory `dir`.
pub(super) fn directory(dir: &Path) -> PathBuf {
    dir.join(head::AUDIT_DIR).join("segments")
}

/// Whether the schema is one with segments.
fn has_table(connection: &Connection) -> Result<bool, Error> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = ?1";
    let count: i64 = connection.query_row(sql, [TABLE], |row| row.get(0))?;
    Ok(count > 0)
}

/// The segment in a row; without `sealer`, whose seal it has is not looked at.
fn opened(last: i64, row: &Sealed, sealer: Option<&Sealer>) -> Result<Segment, Error> {
    let key = last.to_string();
    let corrupt = || Error::corrupt(TABLE, &key);
    let segment: Segment = match sealer {
        Some(sealer) => row.open(sealer, TABLE, &[&key])?,
        None => serde_json::from_str(&row.body).map_err(|_| corrupt())?,
    };
    let is_plain = !segment.file.contains('/') && !segment.file.starts_with('.');
    let fits = integer(segment.to) == last && (1..=segment.to).contains(&segment.from);
    if fits && is_plain && segment.tree().is_some() { Ok(segment) } else { Err(corrupt()) }
}

/// Every segment of the database behind `connection`, oldest first: they follow each other from record 1 on.
///
/// # Errors
/// [`Error::CorruptRow`] when one is not what was written, or one is missing. Else when the database fails.
pub(super) fn all(connection: &Connection, sealer: Option<&Sealer>) -> Result<Vec<Segment>, Error> {
    if !has_table(connection)? {
        return Ok(Vec::new());
    }
    let mut statement =
        connection.prepare_cached("SELECT last, body, seal FROM segments ORDER BY last")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, Sealed::from_row(row, 1)?)))?;
    let mut segments: Vec<Segment> = Vec::new();
    for row in rows {
        let (last, found) = row?;
        let segment = opened(last, &found, sealer)?;
        if segment.from != segments.last().map_or(1, |before| before.to + 1) {
            return Err(Error::corrupt(TABLE, last));
        }
        segments.push(segment);
    }
    Ok(segments)
}

/// The segment with the first record after `after`; `None`: that one is in the database, or nowhere.
///
/// # Errors
/// As [`all`].
fn following(
    connection: &Connection,
    sealer: Option<&Sealer>,
    after: u64,
) -> Result<Option<Segment>, Error> {
    one(connection, sealer, "SELECT min(last) FROM segments WHERE last > ?1", after)
}

/// The last segment that ends with the record `until` or before it.
///
/// # Errors
/// As [`all`].
pub(super) fn preceding(
    connection: &Connection,
    sealer: Option<&Sealer>,
    until: u64,
) -> Result<Option<Segment>, Error> {
    one(connection, sealer, "SELECT max(last) FROM segments WHERE last <= ?1", until)
}

fn one(
    connection: &Connection,
    sealer: Option<&Sealer>,
    which: &str,
    bound: u64,
) -> Result<Option<Segment>, Error> {
    if !has_table(connection)? {
        return Ok(None);
    }
    let mut statement = connection
        .prepare_cached(&format!("SELECT last, body, seal FROM segments WHERE last = ({which})"))?;
    let row = statement
        .query_row([integer(bound)], |row| Ok((row.get(0)?, Sealed::from_row(row, 1)?)))
        .optional()?;
    row.map(|(last, found)| opened(last, &found, sealer)).transpose()
}

/// Where the chain in the database begins: after the last segment, or at its very beginning.
///
/// # Errors
/// As [`all`].
pub(super) fn base(
    connection: &Connection,
    sealer: Option<&Sealer>,
) -> Result<(Chain, Tree), Error> {
    beginning(preceding(connection, sealer, u64::MAX)?)
}

/// How things stand after `segment`.
pub(super) fn beginning(segment: Option<Segment>) -> Result<(Chain, Tree), Error> {
    let Some(segment) = segment else { return Ok((Chain::empty(), Tree::default())) };
    let tree = segment.tree().ok_or_else(|| Error::corrupt(TABLE, segment.to))?;
    Ok((segment.chain(), tree))
}

impl Writing<'_> {
    /// Notes what is kept of `segment`, and deletes its records.
    fn keep_segment(&mut self, segment: &Segment) -> Result<(), Error> {
        let key = segment.to.to_string();
        let count: i64 =
            self.connection.query_row("SELECT count(*) FROM segments", [], |row| row.get(0))?;
        if unsigned(count) >= SEGMENTS_MAX {
            return Err(Error::TooManySegments(SEGMENTS_MAX));
        }
        let sealed = Sealed::new(self.connection.sealer, TABLE, &[&key], segment)?;
        self.connection
            .prepare_cached("INSERT INTO segments (last, body, seal) VALUES (?1, ?2, ?3)")?
            .execute(params![integer(segment.to), sealed.body, sealed.seal])?;
        let deleted = self
            .connection
            .prepare_cached("DELETE FROM audit WHERE sequence <= ?1")?
            .execute([integer(segment.to)])?;
        // What is deleted is what was written to the file, and nothing beside it.
        if u64::try_from(deleted).ok() != Some(segment.to + 1 - segment.from) {
            return Err(Error::corrupt("audit", segment.from));
        }
        Ok(())
    }
}

impl Ledger {
    /// Every segment that left the database, oldest first, and whether its file is there.
    ///
    /// # Errors
    /// When the database fails, or a row is not what was written.
    pub async fn segments(&self) -> Result<Vec<(Segment, bool)>, Error> {
        let dir = self.inner.dir.clone();
        self.read(move |connection| {
            let segments = all(connection, Some(connection.sealer))?;
            let with_file = |segment: Segment| {
                let is_here = segment.path(&dir).is_file();
                (segment, is_here)
            };
            Ok(segments.into_iter().map(with_file).collect())
        })
        .await
    }
}
