//! The check of an export: the same walk, over lines.

use std::io::{self, BufRead, Read as _};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::Error;
use super::super::audit::{Chain, Stored};
use super::super::export::{FORMAT, Heading};
use super::Trust;
use super::judge::{self, Claims};
use super::report::{AuditFault, AuditProblem, AuditReport};
use super::walk::Walk;
use crate::oci::Digest;
use crate::transparency::{Checkpoint, Tree};

/// Longest line in bytes: a record has a few hundred, and reasons of any length.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// Most checkpoints that are taken in.
const CHECKPOINTS_MAX: usize = 1 << 16;

/// A line after the first.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    record: Option<&'a RawValue>,
    previous: Option<Digest>,
    hash: Option<Digest>,
    checkpoint: Option<String>,
    end: Option<u64>,
}

/// Lines, one by one, each bounded.
struct Lines<R> {
    from: R,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its end; `None` after the last one that has an end.
    fn next(&mut self) -> Result<Option<&str>, Error> {
        self.line.clear();
        self.number += 1;
        let mut bounded = (&mut self.from).take(LINE_BYTES_MAX);
        bounded.read_until(b'\n', &mut self.line).map_err(Error::Read)?;
        let Some(line) = self.line.strip_suffix(b"\n") else {
            if u64::try_from(self.line.len()).is_ok_and(|length| length >= LINE_BYTES_MAX) {
                return Err(not_an_export(self.number, "it is longer than any"));
            }
            return Ok(None);
        };
        let text =
            std::str::from_utf8(line).map_err(|_| not_an_export(self.number, "it is no text"))?;
        Ok(Some(text))
    }
}

fn not_an_export(line: u64, problem: impl std::fmt::Display) -> Error {
    Error::NotAnExport { line, problem: problem.to_string() }
}

/// Reads an export of an audit chain and names its first bad record.
///
/// # Errors
/// [`Error::NotAnExport`] when it is none, or of a later version; [`Error::Read`] when it cannot be read.
/// A bad chain is a report.
pub fn verify_export(from: impl io::Read, trust: &Trust) -> Result<AuditReport, Error> {
    let mut lines = Lines { from: io::BufReader::new(from), number: 0, line: Vec::new() };
    let heading = heading(&mut lines)?;
    let mut claims = Claims::default();
    for key in &heading.keys {
        let key = key.parse().map_err(|error| not_an_export(1, format!("a key in it: {error}")))?;
        claims.keys.push(key);
    }
    claims.latest = heading.latest.as_deref().map(Checkpoint::parse);
    let tree = Tree::resume(heading.from - 1, heading.subtrees);
    let tree = tree.ok_or_else(|| not_an_export(1, "its subtrees are not those of its records"))?;
    let before = Chain { count: heading.from - 1, hash: heading.previous };
    let walk = records(&mut lines, &mut claims, trust, before, tree, heading.to)?;
    Ok(judge::judge(walk, &claims, trust))
}

fn heading<R: BufRead>(lines: &mut Lines<R>) -> Result<Heading, Error> {
    let none = || not_an_export(1, "it is not the heading of an export");
    let text = lines.next()?.ok_or_else(none)?;
    let heading: Heading = serde_json::from_str(text).map_err(|_| none())?;
    if heading.format != FORMAT {
        let problem = format!("its format is {:?}, this program reads {FORMAT:?}", heading.format);
        return Err(not_an_export(1, problem));
    }
    if heading.from == 0 {
        return Err(none());
    }
    Ok(heading)
}

/// The checkpoints, which come first, and the records up to the last line.
fn records<R: BufRead>(
    lines: &mut Lines<R>,
    claims: &mut Claims,
    trust: &Trust,
    before: Chain,
    tree: Tree,
    to: u64,
) -> Result<Walk, Error> {
    let mut beginning = Some((before, tree));
    let mut walk: Option<Walk> = None;
    let mut begin = |claims: &Claims| {
        let (chain, tree) = beginning.take().unwrap_or((Chain::empty(), Tree::default()));
        Walk::begin(chain, tree, judge::sizes(claims, trust))
    };
    let mut is_ended = false;
    while !is_ended {
        let number = lines.number + 1;
        let Some(text) = lines.next()? else { break };
        let line: Line<'_> =
            serde_json::from_str(text).map_err(|error| not_an_export(number, error))?;
        match line {
            Line { checkpoint: Some(text), record: None, end: None, .. } if walk.is_none() => {
                if claims.journal.len() == CHECKPOINTS_MAX {
                    return Err(not_an_export(number, "it has more checkpoints than any"));
                }
                claims.journal.push(Checkpoint::parse(&text));
            }
            Line {
                record: Some(record),
                previous: Some(previous),
                hash: Some(hash),
                checkpoint: None,
                end: None,
            } => {
                let walk = walk.get_or_insert_with(|| begin(claims));
                if !walk.row(&stored(walk.chain.count + 1, record, previous, hash)) {
                    break;
                }
            }
            Line { end: Some(_), record: None, checkpoint: None, .. } => is_ended = true,
            Line { .. } => return Err(not_an_export(number, "it is no line of an export")),
        }
    }
    let mut walk = walk.unwrap_or_else(|| begin(claims));
    if walk.problem.is_none() && (!is_ended || walk.chain.count < to) {
        let sequence = walk.chain.count + 1;
        walk.problem = Some(AuditProblem { sequence, fault: AuditFault::Unfinished });
    }
    Ok(walk)
}

/// The record as it is stored in a database; its number is the one in its own text, so that one that is
/// missing shows.
fn stored(expected: u64, record: &RawValue, previous: Digest, hash: Digest) -> Stored {
    #[derive(Deserialize)]
    struct Numbered {
        sequence: u64,
    }
    let body = record.get().to_owned();
    let numbered: Option<Numbered> = serde_json::from_str(&body).ok();
    let sequence = match numbered {
        // One that is gone; anything else is another record in this one's place.
        Some(Numbered { sequence }) if sequence > expected => sequence,
        Some(_) | None => expected,
    };
    Stored {
        sequence,
        body,
        previous: previous.as_bytes().to_vec(),
        hash: hash.as_bytes().to_vec(),
    }
}
