//! Reading an export of the audit, line by line, packed with zstd or not.
//!
//! It is read as a stream: no more than one line is held, and what unpacks it has a bounded window.

use std::io::{self, BufRead, BufReader, Read};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Error;
use super::audit::Stored;
use super::export::{FORMAT, Heading};
use crate::oci::Digest;

/// Longest line in bytes: a record has a few hundred, and reasons of any length.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// First bytes of what is packed with zstd.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Largest window of what is unpacked, as a power of two: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;

/// What a line after the heading is.
pub(super) enum Item {
    /// A checkpoint, which is not read yet.
    Checkpoint(String),
    /// The last line.
    End,
    /// A record.
    Record(Stored),
}

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
struct Lines<'a> {
    from: Box<dyn BufRead + Send + 'a>,
    number: u64,
    line: Vec<u8>,
}

/// An export whose heading was read.
pub(super) struct Reading<'a> {
    lines: Lines<'a>,
    pub(super) heading: Heading,
}

impl std::fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("line", &self.lines.number).finish_non_exhaustive()
    }
}

impl<'a> Reading<'a> {
    /// Begins to read `from`.
    ///
    /// # Errors
    /// [`Error::NotAnExport`] when it is none, or of a later version; [`Error::Read`] when it cannot be read.
    pub(super) fn begin(from: impl Read + Send + 'a) -> Result<Self, Error> {
        let from = unpacked(from).map_err(Error::Read)?;
        let mut lines = Lines { from, number: 0, line: Vec::new() };
        let none = || not_an_export(1, "it is not the heading of an export");
        let text = lines.next()?.ok_or_else(none)?;
        let heading: Heading = serde_json::from_str(text).map_err(|_| none())?;
        if heading.format != FORMAT {
            let problem =
                format!("its format is {:?}, this program reads {FORMAT:?}", heading.format);
            return Err(not_an_export(1, problem));
        }
        if heading.from == 0 {
            return Err(none());
        }
        Ok(Self { lines, heading })
    }

    /// The next line, of which a record is expected to be number `expected`; `None` after the last one that
    /// has an end.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(super) fn next(&mut self, expected: u64) -> Result<Option<Item>, Error> {
        let number = self.lines.number + 1;
        let Some(text) = self.lines.next()? else { return Ok(None) };
        let line: Line<'_> =
            serde_json::from_str(text).map_err(|error| not_an_export(number, error))?;
        Ok(Some(match line {
            Line { checkpoint: Some(text), record: None, end: None, .. } => Item::Checkpoint(text),
            Line {
                record: Some(record),
                previous: Some(previous),
                hash: Some(hash),
                checkpoint: None,
                end: None,
            } => Item::Record(stored(expected, record, previous, hash)),
            Line { end: Some(_), record: None, checkpoint: None, .. } => Item::End,
            Line { .. } => return Err(not_an_export(number, "it is no line of an export")),
        }))
    }

    /// That the last line stands where it must not.
    pub(super) fn not_a_line(&self) -> Error {
        not_an_export(self.lines.number, "it is no line of an export")
    }

    /// Whether anything follows.
    ///
    /// # Errors
    /// [`Error::Read`] when it cannot be read.
    pub(super) fn has_more(&mut self) -> Result<bool, Error> {
        Ok(!self.lines.from.fill_buf().map_err(Error::Read)?.is_empty())
    }

    /// That something stands where nothing must.
    pub(super) fn too_long(&self) -> Error {
        not_an_export(self.lines.number + 1, "something follows its last line")
    }

    /// That the last line is one too many of its kind.
    pub(super) fn too_many(&self) -> Error {
        not_an_export(self.lines.number, "it has more checkpoints than any")
    }
}

impl Lines<'_> {
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

pub(super) fn not_an_export(line: u64, problem: impl std::fmt::Display) -> Error {
    Error::NotAnExport { line, problem: problem.to_string() }
}

/// What `from` holds, unpacked if it begins as something packed does.
fn unpacked<'a>(mut from: impl Read + Send + 'a) -> io::Result<Box<dyn BufRead + Send + 'a>> {
    let mut start = Vec::new();
    let length = u64::try_from(ZSTD_MAGIC.len()).unwrap_or(u64::MAX);
    from.by_ref().take(length).read_to_end(&mut start)?;
    let is_packed = start == ZSTD_MAGIC;
    let whole = io::Cursor::new(start).chain(from);
    if !is_packed {
        return Ok(Box::new(BufReader::new(whole)));
    }
    let mut unpacking = zstd::Decoder::new(whole)?;
    unpacking.window_log_max(WINDOW_LOG_MAX)?;
    Ok(Box::new(BufReader::new(unpacking)))
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
