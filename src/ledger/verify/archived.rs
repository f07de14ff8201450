//! The part of the chain that left the database: read from its files where they are, and held against what
//! is kept of it in any case.

use std::path::{Path, PathBuf};

use super::super::archive::{self, Segment};
use super::super::lines::{Item, Reading};
use super::super::{Error, sealer::Sealer};
use super::decided::LastWords;
use super::exported;
use super::report::{AuditFault, AuditNote, AuditProblem};
use super::walk::{Archival, Walk};
use crate::oci::Digest;

/// Where segments are.
pub(super) struct Shelf<'a> {
    /// What seals the rows with what is kept of them; `None`: that is not known here.
    pub(super) sealer: Option<&'a Sealer>,
    /// The data directory, if there is one.
    pub(super) dir: Option<&'a Path>,
    /// Files that were given.
    pub(super) given: &'a [PathBuf],
}

/// Goes over all records that left the database behind `connection`; gives what is kept of them.
///
/// # Errors
/// [`Error::NotASegment`] when a file that was given is none of this ledger's; else when the database or a
/// directory cannot be read. What is wrong with a segment is a problem of the walk.
pub(super) fn walk_over(
    connection: &rusqlite::Connection,
    shelf: &Shelf<'_>,
    walk: &mut Walk,
    words: &mut LastWords,
) -> Result<Vec<Segment>, Error> {
    let segments = match archive::all(connection, shelf.sealer) {
        Ok(segments) => segments,
        Err(Error::CorruptRow { table: archive::TABLE, key }) => {
            let sequence = key.parse().unwrap_or(0);
            walk.problem = Some(AuditProblem { sequence, fault: AuditFault::ArchiveChanged });
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let given = match_given(shelf, &segments)?;
    for (place, segment) in segments.iter().enumerate() {
        if walk.problem.is_some() {
            break;
        }
        let given = given.iter().find(|(of, _)| *of == place).map(|(_, path)| path.clone());
        let here = || shelf.dir.map(|dir| segment.path(dir)).filter(|path| path.exists());
        match given.or_else(here) {
            Some(path) => read(&path, segment, walk, words),
            None => skip(segment, walk, words),
        }
    }
    let strays = match shelf.dir {
        Some(dir) => archive::strays(dir, &segments)?,
        None => Vec::new(),
    };
    walk.notes.extend(strays.into_iter().map(|file| AuditNote::Stray { file }));
    if shelf.sealer.is_none() && !segments.is_empty() {
        walk.notes.push(AuditNote::SealsUnknown);
    }
    Ok(segments)
}

/// Which of `segments` each given file is, by the records that it says it has.
fn match_given(shelf: &Shelf<'_>, segments: &[Segment]) -> Result<Vec<(usize, PathBuf)>, Error> {
    let mut matched = Vec::new();
    for path in shelf.given {
        let (_, reading) = exported::open(path)?;
        let heading = &reading.heading;
        let is_it = |it: &Segment| (it.from, it.to) == (heading.from, heading.to);
        let Some(place) = segments.iter().position(is_it) else {
            let problem =
                format!("this ledger has archived no records {} to {}", heading.from, heading.to);
            let source = Box::new(super::super::lines::not_an_export(1, problem));
            return Err(Error::NotASegment { path: path.clone(), source });
        };
        matched.push((place, path.clone()));
    }
    Ok(matched)
}

/// Goes on after `segment` without reading it.
fn skip(segment: &Segment, walk: &mut Walk, words: &mut LastWords) {
    let Some(tree) = segment.tree() else { return };
    words.skip();
    walk.skip_to(segment.chain(), tree);
    let Segment { from, to, file, digest, .. } = segment;
    if let Some(AuditNote::NotRead { to: until, more, .. }) = walk.notes.last_mut()
        && *until + 1 == *from
    {
        (*until, *more) = (*to, *more + 1);
        return;
    }
    let (from, to, file, digest) = (*from, *to, file.clone(), *digest);
    walk.notes.push(AuditNote::NotRead { from, to, file, digest, more: 0 });
}

/// Reads the file of `segment` in `path`, which has to be what was archived, to the last byte.
fn read(path: &Path, segment: &Segment, walk: &mut Walk, words: &mut LastWords) {
    let is_same = match exported::open(path) {
        Ok((digest, reading)) => {
            records(reading, segment, walk, words);
            digest == segment.digest
        }
        Err(_) => return fault(walk, segment.from, AuditFault::SegmentUnreadable),
    };
    if walk.problem.is_some() {
        return;
    }
    let tree = segment.tree().map(|tree| tree.root());
    if !is_same {
        return fault(walk, segment.from, AuditFault::SegmentChanged);
    }
    if walk.chain != segment.chain() || tree != Some(walk.root()) {
        fault(walk, segment.to, AuditFault::ArchiveChanged);
    }
}

fn fault(walk: &mut Walk, sequence: u64, fault: AuditFault) {
    walk.problem = walk.problem.or(Some(AuditProblem { sequence, fault }));
}

fn records(
    mut reading: Reading<'static>,
    segment: &Segment,
    walk: &mut Walk,
    words: &mut LastWords,
) {
    while walk.problem.is_none() && walk.chain.count < segment.to {
        let expected = walk.chain.count + 1;
        match reading.next(expected) {
            Ok(Some(Item::Checkpoint(_))) => {}
            Ok(Some(Item::Record(stored))) => {
                if walk.row(&stored) {
                    words.hear(&stored);
                }
            }
            Ok(Some(Item::End) | None) | Err(_) => {
                fault(walk, expected, AuditFault::SegmentUnreadable);
            }
        }
    }
}

/// Holds what is kept of `segments` against the records that say that they left.
pub(super) fn against_records(segments: &[Segment], walk: &mut Walk) {
    let mut known = Vec::new();
    for segment in segments {
        let archival = walk.archivals.iter().find(|it| it.sequence == segment.recorded);
        let found = match archival {
            Some(archival) if says(archival, segment) => None,
            Some(_) => Some((segment.to, AuditFault::ArchiveChanged)),
            None if walk.has_skipped(segment.recorded) => None,
            None => Some((segment.from, AuditFault::NotArchived)),
        };
        if let Some((sequence, found)) = found {
            return fault(walk, sequence, found);
        }
        known.push(segment.recorded);
    }
    let unknown = walk.archivals.iter().find(|it| !known.contains(&it.sequence));
    if let Some(sequence) = unknown.map(|it| it.sequence) {
        fault(walk, sequence, AuditFault::ArchiveUnknown);
    }
}

/// Whether `archival` says of `segment` what is kept of it.
fn says(archival: &Archival, segment: &Segment) -> bool {
    let detail = |key: &str| archival.details.get(key).map(String::as_str);
    let root = segment.tree().map(|tree| tree.root().to_string());
    detail("from") == Some(&segment.from.to_string())
        && detail("to") == Some(&segment.to.to_string())
        && detail("hash") == Some(&segment.hash.to_string())
        && detail("root") == root.as_deref()
        && same_digest(archival, segment.digest)
}

/// Whether `archival` is of a file with that digest.
pub(super) fn same_digest(archival: &Archival, digest: Digest) -> bool {
    archival.details.get("digest") == Some(&digest.to_string())
}
