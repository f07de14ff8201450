//! The directory: what lies where, who may use it, and how names come and go.
//!
//! ```text
//! store.lock                 held exclusively while a process uses the directory
//! blobs/sha256/ab/<hex>      0444, complete, verified and synced before it gets this name
//! blobs/sha512/ab/<hex>
//! ingest/                    partial files; swept at start
//! index/                     the rebuildable index
//! ```
//!
//! Everything here blocks.

use std::collections::HashSet;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;

use super::content::Identity;
use super::error::Error;
use crate::metrics::Metrics;
use crate::oci::{Algorithm, Digest};

/// The directory of one store, locked for this process as long as this value lives.
#[derive(Debug)]
pub(super) struct Layout {
    dir: PathBuf,
    metrics: Arc<Metrics>,
    names: Mutex<Names>,
    partial: AtomicU64,
    _lock: File,
}

/// What is known about the names under `blobs/`; whoever adds or removes one holds it.
#[derive(Debug, Default)]
struct Names {
    /// Directories that have been counted; others are about to be, with what is in them then.
    counted: HashSet<PathBuf>,
    blobs: u64,
    bytes: u64,
}

/// A partial file; removed when dropped, unless it was given a name.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    is_placed: bool,
}

impl Layout {
    /// Takes the directory for this process, makes what is missing in it, and removes what an
    /// earlier process left half done.
    pub(super) fn open(dir: &Path, metrics: Arc<Metrics>) -> Result<Self, Error> {
        make_dir(dir).map_err(Error::directory(dir))?;
        let lock = lock(dir)?;
        let layout = Self {
            dir: dir.to_owned(),
            metrics,
            names: Mutex::default(),
            partial: AtomicU64::new(0),
            _lock: lock,
        };
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let path = layout.blobs(algorithm);
            make_dir(&path).map_err(Error::directory(path))?;
        }
        let ingest = layout.ingest();
        make_dir(&ingest).map_err(Error::directory(&ingest))?;
        sweep(&ingest).map_err(Error::directory(&ingest))?;
        Ok(layout)
    }

    /// Where the index lies.
    pub(super) fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    /// Where the blob lies, if it is stored.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let prefix = hex.get(..2).unwrap_or_default();
        self.blobs(digest.algorithm()).join(prefix).join(&hex)
    }

    /// A new, empty file to write `digest` to, with its place.
    pub(super) fn new_partial(&self, digest: &Digest) -> io::Result<(File, Partial)> {
        let number = self.partial.fetch_add(1, Ordering::Relaxed);
        let path = self.ingest().join(format!("{number}-{}", digest.short()));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        Ok((file, Partial { path, is_placed: false }))
    }

    /// Syncs a complete and verified file and gives it its name, in the place of whatever has it.
    pub(super) fn place(
        &self,
        digest: &Digest,
        file: &File,
        mut partial: Partial,
    ) -> io::Result<()> {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        file.set_permissions(permissions)?;
        file.sync_all()?;
        let size = file.metadata()?.len();
        let path = self.path(digest);
        let parent = path.parent().ok_or(ErrorKind::NotFound)?;
        make_dir(parent)?;
        {
            let mut names = self.names();
            let before = match std::fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    std::fs::remove_dir_all(&path)?;
                    None
                }
                Ok(metadata) => metadata.is_file().then_some(metadata.len()),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            std::fs::rename(&partial.path, &path)?;
            partial.is_placed = true;
            names.count(parent, before, Some(size));
            self.publish(&names);
        }
        sync_dir(parent)
    }

    /// Removes whatever has the name of `digest`; with `only`, only if it is that file. Gives
    /// whether there was something to remove.
    pub(super) fn remove(&self, digest: &Digest, only: Option<Identity>) -> io::Result<bool> {
        let path = self.path(digest);
        let mut names = self.names();
        let metadata = match std::fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if only.is_some_and(|only| !only.is_same_file(&metadata)) {
            return Ok(false);
        }
        if metadata.is_dir() {
            std::fs::remove_dir_all(&path)?;
        } else {
            std::fs::remove_file(&path)?;
        }
        if let Some(parent) = path.parent() {
            names.count(parent, metadata.is_file().then_some(metadata.len()), None);
        }
        self.publish(&names);
        Ok(true)
    }

    /// How many blobs there are, and their bytes, as far as they have been counted.
    pub(super) fn totals(&self) -> (u64, u64) {
        let names = self.names();
        (names.blobs, names.bytes)
    }

    /// Counts what is stored, one directory after the other, until `keep_on` says no. Files with
    /// names that are not digests are left alone: nothing can ask for them.
    pub(super) fn count(&self, keep_on: impl Fn() -> bool) -> io::Result<()> {
        let mut foreign = 0_u64;
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for prefix in 0..=u8::MAX {
                if !keep_on() {
                    return Ok(());
                }
                let prefix = hex::encode([prefix]);
                foreign += self.count_dir(algorithm, &prefix)?;
            }
        }
        if foreign > 0 {
            tracing::warn!(foreign, dir = %self.dir.display(), "files in the store that are no blobs");
        }
        Ok(())
    }

    /// Counts one directory; gives how many things in it are no blobs.
    fn count_dir(&self, algorithm: Algorithm, prefix: &str) -> io::Result<u64> {
        let dir = self.blobs(algorithm).join(prefix);
        let mut names = self.names();
        let (mut blobs, mut bytes, mut foreign) = (0, 0, 0);
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = entry.file_name();
            let digest =
                name.to_str().and_then(|hex| format!("{}:{hex}", algorithm.as_str()).parse().ok());
            if metadata.is_file() && digest.is_some_and(|digest| self.path(&digest) == entry.path())
            {
                blobs += 1;
                bytes += metadata.len();
            } else {
                foreign += 1;
            }
        }
        names.blobs += blobs;
        names.bytes += bytes;
        names.counted.insert(dir);
        self.publish(&names);
        Ok(foreign)
    }

    fn blobs(&self, algorithm: Algorithm) -> PathBuf {
        self.dir.join("blobs").join(algorithm.as_str())
    }

    fn ingest(&self) -> PathBuf {
        self.dir.join("ingest")
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, names: &Names) {
        self.metrics.store_blobs.set(i64::try_from(names.blobs).unwrap_or(i64::MAX));
        self.metrics.store_bytes.set(i64::try_from(names.bytes).unwrap_or(i64::MAX));
    }
}

impl Names {
    /// Notes that a name in `dir` led to a file of `before` bytes and leads to one of `after` now.
    fn count(&mut self, dir: &Path, before: Option<u64>, after: Option<u64>) {
        if !self.counted.contains(dir) {
            return;
        }
        if let Some(size) = before {
            self.blobs = self.blobs.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(size);
        }
        if let Some(size) = after {
            self.blobs += 1;
            self.bytes += size;
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.is_placed {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "partial file stays until the next start");
        }
    }
}

/// Takes the exclusive lock of the directory, which ends with the process at the latest.
fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("store.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(Error::directory(&path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Locked { dir: dir.to_owned() }),
        Err(errno) => Err(Error::directory(path)(errno.into())),
    }
}

/// Makes a directory and those above it, for this user only, durably.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().unwrap_or(Path::new(""));
    make_dir(parent)?;
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !dir.is_dir() => Err(error),
        _ => sync_dir(parent),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

/// Removes everything in the directory of partial files.
fn sweep(ingest: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(ingest)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
