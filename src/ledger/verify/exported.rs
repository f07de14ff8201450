//! The check of an export: the same walk, over lines.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::Path;

use super::super::Error;
use super::super::archive::digest_of;
use super::super::audit::Chain;
use super::super::lines::{Item, Reading, not_an_export};
use super::Trust;
use super::archived::same_digest;
use super::judge::{self, Claims};
use super::report::{AuditFault, AuditProblem, AuditReport};
use super::walk::Walk;
use crate::oci::Digest;
use crate::transparency::{Checkpoint, Tree};

/// Most checkpoints that are taken in.
const CHECKPOINTS_MAX: usize = 1 << 16;

/// Reads an export of an audit chain, after the segments that are given with it, and names its first bad
/// record.
///
/// # Errors
/// [`Error::NotAnExport`] when it is none, or of a later version; [`Error::Read`] when it cannot be read;
/// [`Error::NotASegment`] when a segment that was given is of something else. A bad chain is a report.
pub fn verify_export(from: impl io::Read + Send, trust: &Trust) -> Result<AuditReport, Error> {
    let mut reading = Reading::begin(from)?;
    let segments = given(trust, reading.heading.from)?;
    let mut claims = Claims::default();
    for key in &reading.heading.keys {
        let key = key.parse().map_err(|error| not_an_export(1, format!("a key in it: {error}")))?;
        claims.keys.push(key);
    }
    claims.latest = reading.heading.latest.as_deref().map(Checkpoint::parse);
    let (before, tree) = beginning(&reading)?;
    let first = checkpoints(&mut reading, before.count + 1, &mut claims.journal)?;
    let mut walk = Walk::begin(Chain::empty(), Tree::default(), judge::sizes(&claims, trust));
    let mut digests = Vec::new();
    for segment in segments {
        let (digest, to) = read_segment(&mut walk, segment)?;
        digests.push((to, digest));
    }
    join(&mut walk, before, tree);
    records(&mut reading, first, &mut walk)?;
    for (to, digest) in digests {
        let archival =
            walk.archivals.iter().find(|it| it.details.get("to") == Some(&to.to_string()));
        if walk.problem.is_none() && archival.is_some_and(|it| !same_digest(it, digest)) {
            let fault = AuditFault::SegmentChanged;
            walk.problem = Some(AuditProblem { sequence: to, fault });
        }
    }
    Ok(judge::judge(walk, &claims, trust))
}

/// How things stood before the first record of `reading`, as it says.
fn beginning(reading: &Reading<'_>) -> Result<(Chain, Tree), Error> {
    let heading = &reading.heading;
    let tree = Tree::resume(heading.from - 1, heading.subtrees.clone());
    let tree = tree.ok_or_else(|| not_an_export(1, "its subtrees are not those of its records"))?;
    Ok((Chain { count: heading.from - 1, hash: heading.previous }, tree))
}

/// A segment that was given.
struct Given {
    digest: Digest,
    reading: Reading<'static>,
}

/// Begins to read the file in `path`, whose digest is known then.
pub(super) fn open(path: &Path) -> Result<(Digest, Reading<'static>), Error> {
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    let (digest, _) = digest_of(&mut file).map_err(Error::file("read", path))?;
    file.rewind().map_err(Error::file("read", path))?;
    let reading = Reading::begin(file)
        .map_err(|source| Error::NotASegment { path: path.to_owned(), source: Box::new(source) })?;
    Ok((digest, reading))
}

/// The segments that were given, in order; all of them are of records before `before`.
fn given(trust: &Trust, before: u64) -> Result<Vec<Given>, Error> {
    let mut all = Vec::new();
    for path in &trust.segments {
        let (digest, reading) = open(path)?;
        if reading.heading.to >= before {
            let problem = format!("it has records from {before} on, which the export has as well");
            let source = Box::new(not_an_export(1, problem));
            return Err(Error::NotASegment { path: path.clone(), source });
        }
        all.push(Given { digest, reading });
    }
    all.sort_by_key(|given| given.reading.heading.from);
    Ok(all)
}

fn read_segment(walk: &mut Walk, given: Given) -> Result<(Digest, u64), Error> {
    let Given { digest, mut reading } = given;
    let to = reading.heading.to;
    let (before, tree) = beginning(&reading)?;
    join(walk, before, tree);
    let first = checkpoints(&mut reading, before.count + 1, &mut Vec::new())?;
    records(&mut reading, first, walk)?;
    Ok((digest, to))
}

/// Goes on after `before`, which may be where `walk` is.
fn join(walk: &mut Walk, before: Chain, tree: Tree) {
    if walk.problem.is_some() {
        return;
    }
    if walk.chain.count < before.count {
        walk.skip_to(before, tree);
    } else if walk.chain != before || walk.root() != tree.root() {
        // What is before it is not what it says, whichever of the two was changed.
        let fault = AuditFault::Changed;
        walk.problem = Some(AuditProblem { sequence: before.count.max(1), fault });
    }
}

/// The checkpoints, which come first; gives what comes after them.
fn checkpoints(
    reading: &mut Reading<'_>,
    expected: u64,
    journal: &mut Vec<super::super::checkpoints::journal::Entry>,
) -> Result<Option<Item>, Error> {
    loop {
        match reading.next(expected)? {
            Some(Item::Checkpoint(_)) if journal.len() == CHECKPOINTS_MAX => {
                return Err(reading.too_many());
            }
            Some(Item::Checkpoint(text)) => journal.push(Checkpoint::parse(&text)),
            next => return Ok(next),
        }
    }
}

/// The records from `first` on, up to the last line.
fn records(reading: &mut Reading<'_>, first: Option<Item>, walk: &mut Walk) -> Result<(), Error> {
    let mut item = first;
    let mut is_ended = false;
    while walk.problem.is_none() {
        match item {
            Some(Item::Record(stored)) => {
                if !walk.row(&stored) {
                    break;
                }
            }
            Some(Item::Checkpoint(_)) => return Err(reading.not_a_line()),
            Some(Item::End) => {
                is_ended = true;
                break;
            }
            None => break,
        }
        item = reading.next(walk.chain.count + 1)?;
    }
    if is_ended && reading.has_more()? {
        return Err(reading.too_long());
    }
    if walk.problem.is_none() && (!is_ended || walk.chain.count < reading.heading.to) {
        let sequence = walk.chain.count + 1;
        walk.problem = Some(AuditProblem { sequence, fault: AuditFault::Unfinished });
    }
    Ok(())
}
