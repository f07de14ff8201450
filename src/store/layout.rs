//! The directory: what lies where, who may use it, and how names come and go.
//!
//! ```text
//! store.lock                 held exclusively while a process uses the directory
//! blobs/sha256/ab/<hex>      0444, complete, verified and synced before it gets this name
//! blobs/sha512/ab/<hex>
//! ingest/                    partial files; swept at start, and now and then
//! aside/                     what lay among the blobs and is none
//! index/                     the rebuildable index
//! ```
//!
//! Everything here blocks.

use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FallocateFlags, FlockOperation};

use super::content::Identity;
use super::error::Error;
use crate::metrics::Metrics;
use crate::oci::{Algorithm, Digest};
use crate::time::Timestamp;

/// Most things that are kept under `aside/`; what is found then stays where it is.
const ASIDE_MAX: usize = 1_000;

/// The directory of one store, locked for this process as long as this value lives.
#[derive(Debug)]
pub(super) struct Layout {
    dir: PathBuf,
    metrics: Arc<Metrics>,
    names: Mutex<Names>,
    partial: AtomicU64,
    /// Names of the partial files that somebody writes to.
    live: Arc<Mutex<HashSet<PathBuf>>>,
    _lock: File,
}

/// A blob as it lies in its directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) identity: Identity,
    pub(super) modified: Timestamp,
    pub(super) accessed: Timestamp,
}

/// What is in one directory of blobs.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) blobs: Vec<Stored>,
    /// What is no blob, or not in its place.
    pub(super) foreign: Vec<PathBuf>,
}

/// What the file system says about itself, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct DiskSpace {
    pub(super) available: u64,
    pub(super) total: u64,
}

/// All directories that blobs lie in, in order.
pub(super) fn directories() -> impl Iterator<Item = (Algorithm, u8)> {
    [Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .flat_map(|algorithm| (0..=u8::MAX).map(move |prefix| (algorithm, prefix)))
}

/// What is known about the names under `blobs/`; whoever adds or removes one holds it.
#[derive(Debug, Default)]
struct Names {
    /// Blobs and bytes of the directories that have been counted; others are about to be, with what
    /// is in them then.
    counted: HashMap<PathBuf, (u64, u64)>,
    /// Sums over all of them.
    blobs: u64,
    bytes: u64,
    /// Whether all of them have been.
    is_counted: bool,
}

/// A partial file; removed when dropped, unless it was given a name.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    is_placed: bool,
    live: Arc<Mutex<HashSet<PathBuf>>>,
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
            live: Arc::default(),
            _lock: lock,
        };
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let path = layout.blobs(algorithm);
            make_dir(&path).map_err(Error::directory(path))?;
        }
        let ingest = layout.ingest();
        make_dir(&ingest).map_err(Error::directory(&ingest))?;
        sweep(&ingest, |_| false).map_err(Error::directory(&ingest))?;
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
        lock_live(&self.live).insert(path.clone());
        // Gone from the list, and from the disk, with whoever writes to it.
        let partial = Partial { path, is_placed: false, live: Arc::clone(&self.live) };
        let options = File::options().read(true).write(true).create_new(true).open(&partial.path);
        match options {
            Ok(file) => Ok((file, partial)),
            Err(error) => {
                partial.never_made();
                Err(error)
            }
        }
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
        let mut foreign = 0;
        for (algorithm, prefix) in directories() {
            if !keep_on() {
                return Ok(());
            }
            foreign += self.count_directory(algorithm, prefix)?;
        }
        self.names().is_counted = true;
        if foreign > 0 {
            tracing::warn!(foreign, dir = %self.dir.display(), "files in the store that are no blobs");
        }
        Ok(())
    }

    /// Counts one directory, in the place of what was counted there before; gives how many things in
    /// it are no blobs.
    pub(super) fn count_directory(&self, algorithm: Algorithm, prefix: u8) -> io::Result<usize> {
        // Held, so that what comes and goes meanwhile is counted once.
        let mut names = self.names();
        let listed = self.list(algorithm, prefix)?;
        let blobs = u64::try_from(listed.blobs.len()).unwrap_or(u64::MAX);
        let bytes = listed.blobs.iter().map(|stored| stored.size).sum();
        let before = names.counted.insert(self.directory(algorithm, prefix), (blobs, bytes));
        let before = before.unwrap_or_default();
        names.blobs = (names.blobs + blobs).saturating_sub(before.0);
        names.bytes = (names.bytes + bytes).saturating_sub(before.1);
        self.publish(&names);
        Ok(listed.foreign.len())
    }

    /// Whether everything has been counted since the start.
    pub(super) fn is_counted(&self) -> bool {
        self.names().is_counted
    }

    /// What is in one directory of blobs; nothing if there is no such directory.
    pub(super) fn list(&self, algorithm: Algorithm, prefix: u8) -> io::Result<Listed> {
        let dir = self.directory(algorithm, prefix);
        let mut listed = Listed::default();
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(listed),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                listed.foreign.push(dir);
                return Ok(listed);
            }
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed while the directory was read.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let name = entry.file_name();
            let digest: Option<Digest> =
                name.to_str().and_then(|hex| format!("{}:{hex}", algorithm.as_str()).parse().ok());
            match digest {
                Some(digest) if metadata.is_file() && self.path(&digest) == entry.path() => {
                    let milliseconds = |seconds: i64, nanoseconds: i64| {
                        let whole = seconds.saturating_mul(1_000);
                        Timestamp::from_milliseconds(whole.saturating_add(nanoseconds / 1_000_000))
                    };
                    listed.blobs.push(Stored {
                        digest,
                        size: metadata.len(),
                        identity: Identity::from_metadata(&metadata),
                        modified: milliseconds(metadata.mtime(), metadata.mtime_nsec()),
                        accessed: milliseconds(metadata.atime(), metadata.atime_nsec()),
                    });
                }
                _ => listed.foreign.push(entry.path()),
            }
        }
        Ok(listed)
    }

    /// The size of the stored blob; `None` if it is not stored.
    pub(super) fn size(&self, digest: &Digest) -> Option<u64> {
        let metadata = std::fs::symlink_metadata(self.path(digest)).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Moves what is no blob out of the way; gives where it is now. A blob of that name may come to
    /// lie there again.
    pub(super) fn set_aside(&self, path: &Path) -> io::Result<PathBuf> {
        let aside = self.dir.join("aside");
        make_dir(&aside)?;
        if std::fs::read_dir(&aside)?.take(ASIDE_MAX).count() >= ASIDE_MAX {
            return Err(io::Error::other("too much has been set aside already"));
        }
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        // One at a time, and no blob is placed between the look and the move.
        let _names = self.names();
        let found = std::fs::symlink_metadata(path)?;
        let hex_is_ours = |hex: &str| {
            [Algorithm::Sha256, Algorithm::Sha512].iter().any(|algorithm| {
                let digest = format!("{}:{hex}", algorithm.as_str()).parse::<Digest>();
                digest.is_ok_and(|digest| self.path(&digest) == path)
            })
        };
        if found.is_file() && name.to_str().is_some_and(hex_is_ours) {
            return Err(io::Error::other("it is a blob by now"));
        }
        for number in 0..=ASIDE_MAX {
            let to = aside.join(format!("{number}-{}", name.display()));
            if to.symlink_metadata().is_err() {
                std::fs::rename(path, &to)?;
                return Ok(to);
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Removes partial files that nobody writes to; gives how many.
    pub(super) fn sweep_stale(&self) -> io::Result<u64> {
        sweep(&self.ingest(), |path| lock_live(&self.live).contains(path))
    }

    /// How much room the file system says there is; `None` if it does not say.
    pub(super) fn space(&self) -> Option<DiskSpace> {
        let said = rustix::fs::statvfs(&self.dir).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(said.f_frsize);
        Some(DiskSpace { available: bytes(said.f_bavail), total: bytes(said.f_blocks) })
    }

    /// Finds out whether the file system really gives `bytes`, by taking and returning them.
    pub(super) fn try_space(&self, bytes: u64) -> io::Result<()> {
        let digest = Digest::sha256(b"");
        let (file, _partial) = self.new_partial(&digest)?;
        match rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, bytes.max(1)) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) | Ok(()) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The directory of the blobs whose hash begins with `prefix`.
    pub(super) fn directory(&self, algorithm: Algorithm, prefix: u8) -> PathBuf {
        self.blobs(algorithm).join(hex::encode([prefix]))
    }

    fn blobs(&self, algorithm: Algorithm) -> PathBuf {
        self.dir.join("blobs").join(algorithm.as_str())
    }

    /// Where partial files lie.
    pub(super) fn ingest(&self) -> PathBuf {
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
        let Some((blobs, bytes)) = self.counted.get_mut(dir) else { return };
        if let Some(size) = before {
            *blobs = blobs.saturating_sub(1);
            *bytes = bytes.saturating_sub(size);
            self.blobs = self.blobs.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(size);
        }
        if let Some(size) = after {
            *blobs += 1;
            *bytes += size;
            self.blobs += 1;
            self.bytes += size;
        }
    }
}

impl Partial {
    /// There is no such file.
    fn never_made(mut self) {
        self.is_placed = true;
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        lock_live(&self.live).remove(&self.path);
        if self.is_placed {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "partial file stays until the next sweep");
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

fn lock_live(live: &Mutex<HashSet<PathBuf>>) -> MutexGuard<'_, HashSet<PathBuf>> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes everything in the directory of partial files but what is live, which is asked about each
/// after it was found: a writer makes that known before it makes its file. Gives how many.
fn sweep(ingest: &Path, is_live: impl Fn(&Path) -> bool) -> io::Result<u64> {
    let mut swept = 0;
    for entry in std::fs::read_dir(ingest)? {
        let entry = entry?;
        if is_live(&entry.path()) {
            continue;
        }
        let removed = if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())
        } else {
            std::fs::remove_file(entry.path())
        };
        match removed {
            Ok(()) => swept += 1,
            // Whoever wrote to it has removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(swept)
}
