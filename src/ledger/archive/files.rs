//! The files of segments.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek as _};
use std::path::Path;

use super::super::lines::{Item, Reading};
use super::super::{Error, database, head};
use super::{Segment, directory};
use crate::oci::{Algorithm, Digest};

/// What stands behind the name of a segment that is being written.
pub(super) const PARTIAL: &str = ".partial";
/// Bytes that are hashed in one go.
const HASHED_BYTES: usize = 64 << 10;
/// Most names of files that are told.
const STRAYS_MAX: usize = 20;

/// The name of the file with the records `from` to `to`.
pub(super) fn name(from: u64, to: u64) -> String {
    format!("{from:012}-{to:012}.jsonl.zst")
}

/// The SHA-256 and the length of what is left of `file`.
pub(in crate::ledger) fn digest_of(file: &mut File) -> std::io::Result<(Digest, u64)> {
    let mut hasher = Algorithm::Sha256.hasher();
    let (mut piece, mut bytes) = (vec![0; HASHED_BYTES], 0_u64);
    loop {
        let length = file.read(&mut piece)?;
        let read = piece.get(..length).unwrap_or_default();
        if read.is_empty() {
            return Ok((hasher.finish(), bytes));
        }
        hasher.update(read);
        bytes = bytes.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
    }
}

/// Begins to read the file of `segment` in the data directory `dir`, which is exactly what was archived.
///
/// # Errors
/// [`Error::Archived`] when it is not there; [`Error::Damaged`] when it is another one.
pub(super) fn open(segment: &Segment, dir: &Path) -> Result<Reading<'static>, Error> {
    let path = segment.path(dir);
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(segment.missing()),
        opened => opened.map_err(Error::file("open", &path))?,
    };
    let (digest, _) = digest_of(&mut file).map_err(Error::file("read", &path))?;
    if digest != segment.digest {
        let problem = format!(
            "it is not the segment that was archived, which has the digest {}; put back that one",
            segment.digest
        );
        return Err(Error::Damaged { path, problem });
    }
    file.rewind().map_err(Error::file("read", &path))?;
    Reading::begin(file)
}

/// The next record in `reading`; `None` at the end.
pub(super) fn next(
    reading: &mut Reading<'_>,
    expected: u64,
) -> Result<Option<super::super::audit::Stored>, Error> {
    loop {
        match reading.next(expected)? {
            Some(Item::Checkpoint(_)) => {}
            Some(Item::Record(stored)) => return Ok(Some(stored)),
            Some(Item::End) | None => return Ok(None),
        }
    }
}

/// Makes the directory of the segments, and takes away what was left half written there.
pub(super) fn prepare(dir: &Path) -> Result<(), Error> {
    head::prepare(dir)?;
    let segments = directory(dir);
    fs::create_dir_all(&segments).map_err(Error::file("create", &segments))?;
    database::sync_directory(&dir.join(head::AUDIT_DIR))?;
    for name in names(dir)?.iter().filter(|name| name.ends_with(PARTIAL)) {
        let path = segments.join(name);
        fs::remove_file(&path).map_err(Error::file("remove", &path))?;
    }
    Ok(())
}

/// The files among the segments in `dir` that are none of `segments`: what was left by an end without
/// warning, or is of a ledger that was replaced; the first twenty.
///
/// # Errors
/// When the directory cannot be read.
pub(in crate::ledger) fn strays(dir: &Path, segments: &[Segment]) -> Result<Vec<String>, Error> {
    let known: BTreeSet<&str> = segments.iter().map(|segment| segment.file.as_str()).collect();
    let mut strays = names(dir)?;
    strays.retain(|name| !known.contains(name.as_str()) && !name.ends_with(PARTIAL));
    strays.sort_unstable();
    strays.truncate(STRAYS_MAX);
    Ok(strays)
}

/// The names of the files in the directory of the segments; none when there is no such directory.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let segments = directory(dir);
    let entries = match fs::read_dir(&segments) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        outcome => outcome.map_err(Error::file("read", &segments))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::file("read", &segments))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}
