//! Writing a segment: whole, on the disk, and read back before anything relies on it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek as _, Write};
use std::path::{Path, PathBuf};

use super::super::audit::{Chain, Stored};
use super::super::export::{put_beginning, put_ending, put_record};
use super::super::verify::{Trust, follow, hash_at, verify_export};
use super::super::{Error, database};
use super::files::{self, PARTIAL};
use super::{Place, Records, directory};
use crate::oci::Digest;
use crate::time::{Clock, Timestamp};
use crate::transparency::{Checkpoint, Tree, VerifierKey};

/// How hard it is packed: small enough, and as fast as the disk.
const COMPRESSION_LEVEL: i32 = 3;
/// Lines that are put together before they are packed, in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// Records that are to become a segment.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    /// The chain and the tree before the first.
    pub(super) before: (Chain, Tree),
    /// The chain and the tree up to the last.
    pub(super) after: (Chain, Tree),
    /// When the first and the last was written.
    pub(super) first_at: Timestamp,
    pub(super) last_at: Timestamp,
}

impl Stretch {
    pub(super) const fn from(&self) -> u64 {
        self.before.0.count + 1
    }

    pub(super) const fn to(&self) -> u64 {
        self.after.0.count
    }
}

/// A file with a stretch of the chain.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) file: String,
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    pub(super) bytes: u64,
}

/// Sees to it that the file with `stretch` is in its place, written by this or by an earlier call that was
/// ended, and that it is good. `own` is a checkpoint of exactly what it reaches.
///
/// # Errors
/// When it cannot be written, or is not what it has to be when it is read back.
pub(super) fn write(
    place: &Place<'_>,
    stretch: &Stretch,
    own: &Checkpoint,
    key: &VerifierKey,
    clock: &dyn Clock,
) -> Result<Written, Error> {
    files::prepare(place.dir)?;
    let file = files::name(stretch.from(), stretch.to());
    let path = directory(place.dir).join(&file);
    clear(place, stretch, &path, clock)?;
    let partial = directory(place.dir).join(format!("{file}{PARTIAL}"));
    let written = write_to(&partial, place, stretch, own)
        .and_then(|()| read_back(&partial, stretch, key))
        .and_then(|read| {
            fs::rename(&partial, &path).map_err(Error::file("rename", &partial))?;
            database::sync_directory(&directory(place.dir))?;
            Ok(read)
        });
    match written {
        Ok((digest, bytes)) => Ok(Written { file, path, digest, bytes }),
        Err(error) => {
            drop(fs::remove_file(&partial));
            Err(error)
        }
    }
}

fn write_to(
    partial: &Path,
    place: &Place<'_>,
    stretch: &Stretch,
    own: &Checkpoint,
) -> Result<(), Error> {
    let failed = |error: io::Error| Error::file("write", partial)(error);
    let file = database::private()
        .create_new(true)
        .open(partial)
        .map_err(Error::file("create", partial))?;
    let mut packing =
        zstd::Encoder::new(BufWriter::new(&file), COMPRESSION_LEVEL).map_err(failed)?;
    packing.include_checksum(true).map_err(failed)?;
    let (chain, tree) = &stretch.before;
    let mut piece = Vec::new();
    put_beginning(&mut piece, (*chain, tree), stretch.to(), place.dir, Some(own))?;
    let mut put = |stored: &Stored| {
        put_record(&mut piece, stored)?;
        if piece.len() >= PIECE_BYTES {
            packing.write_all(&piece).map_err(failed)?;
            piece.clear();
        }
        Ok(())
    };
    Records::after(chain.count).read(place, stretch.to() - chain.count, &mut put)?;
    put_ending(&mut piece, stretch.to())?;
    packing.write_all(&piece).map_err(failed)?;
    let buffered = packing.finish().map_err(failed)?;
    buffered.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(Error::file("sync", partial))
}

/// Reads the file in `path` as anybody would, from the disk; gives its digest and its size.
fn read_back(path: &Path, stretch: &Stretch, key: &VerifierKey) -> Result<(Digest, u64), Error> {
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    let (digest, bytes) = files::digest_of(&mut file).map_err(Error::file("read", path))?;
    file.rewind().map_err(Error::file("read", path))?;
    let trust = Trust { keys: vec![key.clone()], ..Trust::default() };
    let report = verify_export(file, &trust)?;
    let chain = stretch.after.0;
    let is_it = report.is_whole()
        && (report.first, report.records) == (stretch.from(), chain.count)
        && report.head == chain.hash.to_string()
        && report.coverage.records == chain.count;
    if is_it {
        return Ok((digest, bytes));
    }
    let problem = report.problem.map_or_else(
        || "it was not read back as it was written".to_owned(),
        |problem| problem.to_string(),
    );
    Err(Error::Damaged { path: path.to_owned(), problem })
}

/// Makes way for the file in `path`: of files that begin with the same record and that the ledger knows
/// nothing of, those go whose records are all in the database still, as after an end without warning. One of
/// other records is of a ledger that was replaced: it is left, and moved aside where it has that very name.
fn clear(
    place: &Place<'_>,
    stretch: &Stretch,
    path: &Path,
    clock: &dyn Clock,
) -> Result<(), Error> {
    let begin = files::name(stretch.from(), 0);
    let begin = begin.split_once('-').map_or("", |(begin, _)| begin);
    for name in files::names(place.dir)? {
        if !name.ends_with(".jsonl.zst") || name.split_once('-').map(|it| it.0) != Some(begin) {
            continue;
        }
        let left = directory(place.dir).join(&name);
        if is_of(place, stretch, &left)? {
            fs::remove_file(&left).map_err(Error::file("remove", &left))?;
        } else if left == path {
            let aside = left.with_extension(format!("zst.replaced-{}", clock.now().milliseconds()));
            fs::rename(&left, &aside).map_err(Error::file("rename", &left))?;
        }
    }
    Ok(())
}

/// Whether every record in the file in `path` is in the database, too: it follows from the same record, and
/// its last hash is that of the record of that number.
fn is_of(place: &Place<'_>, stretch: &Stretch, path: &Path) -> Result<bool, Error> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    let Ok(mut reading) = super::super::lines::Reading::begin(file) else { return Ok(false) };
    let mut chain = stretch.before.0;
    if reading.heading.previous != chain.hash || reading.heading.from != stretch.from() {
        return Ok(false);
    }
    while let Ok(Some(stored)) = files::next(&mut reading, chain.count + 1) {
        let Ok(next) = follow(&chain, &stored) else { return Ok(false) };
        chain = next;
    }
    Ok(chain.count >= stretch.from() && hash_at(place.connection, chain.count)? == Some(chain.hash))
}
