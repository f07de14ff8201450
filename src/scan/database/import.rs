//! Many records: read by several threads, taken in the order in which they came.

use std::io::{Read, Seek};
use std::num::NonZero;
use std::thread;

use super::ImportError;
use super::advisory::{Advisory, Score};
use super::record::RECORD_BYTES_MAX;
use super::zip::{Archive, Entry, ZipError};

/// Records of one feed that may be unreadable before the feed is.
pub(super) const UNREADABLE_MAX: usize = 100;
/// Of a hundred, how many may be, however few a feed has.
pub(super) const UNREADABLE_PERCENT_MAX: u64 = 1;
/// Threads that read records.
const THREADS_MAX: usize = 8;
/// Records that are read at a time, by all threads together.
const ROUND_RECORDS: usize = 4_096;
/// Bytes that are read at a time, inflated, and beyond them at most one record more.
const ROUND_BYTES: u64 = 32 * 1024 * 1024;

/// A record that has not been read yet.
#[derive(Debug)]
pub(super) struct Document {
    name: Box<str>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Packed(Entry, Vec<u8>),
    Plain(Vec<u8>),
    Refused(String),
}

/// What became of a record.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) name: Box<str>,
    pub(super) advisory: Result<Advisory, String>,
}

impl Document {
    pub(super) fn plain(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), body: Body::Plain(bytes) }
    }

    fn bytes(&self) -> u64 {
        match &self.body {
            // What is held is the raw bytes until they are read, whatever their size is said to be then.
            Body::Packed(entry, _) => entry.size.max(entry.compressed),
            Body::Plain(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Body::Refused(_) => 0,
        }
    }

    fn read(self, score: Score) -> Outcome {
        let bytes = match self.body {
            Body::Packed(entry, raw) => {
                entry.contents(raw, RECORD_BYTES_MAX).map_err(|error| error.to_string())
            }
            Body::Plain(bytes) => match u64::try_from(bytes.len()) {
                Ok(length) if length <= RECORD_BYTES_MAX => Ok(bytes),
                _ => Err("more than RECORD_BYTES_MAX".to_owned()),
            },
            Body::Refused(reason) => Err(reason),
        };
        Outcome { name: self.name, advisory: bytes.and_then(|b| Advisory::read(&b, score)) }
    }
}

/// The records of an archive, and how many other files are in it.
pub(super) fn of_zip<R: Read + Seek>(
    reader: R,
    label: &str,
) -> Result<(impl Iterator<Item = Result<Document, ImportError>>, u64), ImportError> {
    let mut archive = Archive::open(reader).map_err(|error| refusal(error, label))?;
    let (records, others): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut archive.entries)
        .into_iter()
        .filter(|entry| !entry.name.ends_with('/'))
        .partition(|entry| is_record(&entry.name));
    let ignored = u64::try_from(others.len()).unwrap_or(u64::MAX);
    let label = label.to_owned();
    let documents = records.into_iter().map(move |entry| {
        let name = entry.name.clone();
        let body = match archive.raw(&entry, RECORD_BYTES_MAX) {
            Ok(_) if entry.size > RECORD_BYTES_MAX => {
                Body::Refused("more than RECORD_BYTES_MAX".to_owned())
            }
            Ok(raw) => Body::Packed(entry, raw),
            Err(error @ ZipError::Io(_)) => return Err(refusal(error, &label)),
            Err(error) => Body::Refused(error.to_string()),
        };
        Ok(Document { name, body })
    });
    Ok((documents, ignored))
}

/// Whether a file holds a record, by its name.
pub(super) fn is_record(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("json"))
}

fn refusal(error: ZipError, label: &str) -> ImportError {
    let label = label.to_owned();
    match error {
        ZipError::Io(source) => ImportError::Io { label, source },
        ZipError::Malformed(reason) => ImportError::Malformed { label, reason: reason.to_owned() },
        ZipError::TooLarge(bound) => ImportError::TooLarge { label, bound },
    }
}

/// Reads all `documents` and gives them to `absorb`, in their order.
///
/// # Errors
/// The first error of either.
pub(super) fn read_all(
    documents: impl Iterator<Item = Result<Document, ImportError>>,
    score: Score,
    label: &str,
    mut absorb: impl FnMut(Outcome) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    let mut documents = documents.peekable();
    let mut ready: Vec<Outcome> = Vec::new();
    while documents.peek().is_some() {
        let round = round(&mut documents)?;
        // What was read in the last round is taken while this one is being read.
        ready = thread::scope(|scope| {
            let readers: Vec<_> = shares(round, threads)
                .into_iter()
                .map(|share| {
                    let read = move |document: Document| document.read(score);
                    scope.spawn(move || share.into_iter().map(read).collect::<Vec<_>>())
                })
                .collect();
            std::mem::take(&mut ready).into_iter().try_for_each(&mut absorb)?;
            let mut next = Vec::new();
            for reader in readers {
                let reason = "a record made the reader panic".to_owned();
                let label = label.to_owned();
                let failed = |_| ImportError::Malformed { label, reason };
                next.extend(reader.join().map_err(failed)?);
            }
            Ok::<_, ImportError>(next)
        })?;
    }
    ready.into_iter().try_for_each(absorb)
}

/// As many documents as are read at a time.
fn round(
    documents: &mut impl Iterator<Item = Result<Document, ImportError>>,
) -> Result<Vec<Document>, ImportError> {
    let (mut round, mut bytes) = (Vec::new(), 0_u64);
    while round.len() < ROUND_RECORDS && bytes < ROUND_BYTES {
        let Some(document) = documents.next() else { break };
        let document = document?;
        bytes = bytes.saturating_add(document.bytes());
        round.push(document);
    }
    Ok(round)
}

/// A round in one part for each thread, in its order.
fn shares(mut round: Vec<Document>, threads: usize) -> Vec<Vec<Document>> {
    let each = round.len().div_ceil(threads).max(1);
    let mut shares = Vec::new();
    while !round.is_empty() {
        let rest = round.split_off(each.min(round.len()));
        shares.push(round);
        round = rest;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::database::testing::{File, archive, reader};

    #[test]
    fn what_is_held_is_bounded_whatever_an_archive_says_of_sizes() {
        let stored = |n: usize| {
            let mut file = File::new(&format!("{n}.json"), b"");
            (file.raw, file.method) = (vec![b' '; 4 << 20], 0);
            file
        };
        let files: Vec<File> = (0..20).map(stored).collect();
        let (mut documents, _) = of_zip(reader(&archive(&files, false)), "zip").unwrap();
        let round = round(&mut documents).unwrap();
        assert_eq!(round.len(), usize::try_from(ROUND_BYTES >> 22).unwrap());
    }
}
