//! The open file of one blob, complete or growing.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::buffers::BUFFER_BYTES;
use super::map::WholeMap;
use crate::oci::Digest;
use crate::tasks::{Tasks, give_way};

/// What tells one state of a file from another without reading it.
///
/// The time of the last status change is part of it, because no program can set it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// The state of `file` now.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from_metadata(&file.metadata()?))
    }

    /// Whether both are states of one and the same file.
    pub(super) fn is_same_file(&self, metadata: &std::fs::Metadata) -> bool {
        (self.device, self.inode) == (metadata.dev(), metadata.ino())
    }

    pub(super) fn from_metadata(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A blob's bytes; those who hold it can read them even after the file has lost its name.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) digest: Digest,
    /// Size when complete, in bytes.
    pub(super) size: u64,
    /// Set from the start for a stored blob, and before the first byte for an arriving one.
    file: OnceLock<File>,
    /// The state of the file when it was opened; a blob that is still arriving has none.
    identity: OnceLock<Identity>,
    /// The map by which it is read while it arrives, by all readers; `None` if it cannot be mapped.
    growing: OnceLock<Option<WholeMap>>,
}

/// What was found under the name of a blob.
#[derive(Debug)]
pub(super) enum Found {
    /// A regular file.
    Content(Content),
    /// Something that the store does not put there: a link, a directory, a FIFO, a device.
    Foreign,
    /// Nothing.
    Nothing,
}

impl Content {
    /// What is at `path`; follows no link, and never waits for the other end of a FIFO. Blocks.
    pub(super) fn open(digest: Digest, path: &Path) -> io::Result<Found> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
        let file = match File::options().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) => {
                return match Errno::from_io_error(&error) {
                    Some(Errno::NOENT) => Ok(Found::Nothing),
                    Some(Errno::LOOP | Errno::NXIO) => Ok(Found::Foreign),
                    _ => Err(error),
                };
            }
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Found::Foreign);
        }
        let identity = Identity::from_metadata(&metadata);
        let content = Self::arriving(digest, metadata.size());
        content.opened(file);
        content.completed(identity);
        Ok(Found::Content(content))
    }

    /// A blob of which nothing has arrived yet.
    pub(super) fn arriving(digest: Digest, size: u64) -> Self {
        let (file, identity, growing) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { digest, size, file, identity, growing }
    }

    /// Gives the blob its file; the first one stays.
    pub(super) fn opened(&self, file: File) -> &File {
        self.file.get_or_init(|| file)
    }

    /// Notes the state in which the file is complete.
    pub(super) fn completed(&self, identity: Identity) {
        self.identity.get_or_init(|| identity);
    }

    /// The state in which the file was complete.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity.get().copied()
    }

    /// The file; there is one as soon as there is a byte to read.
    pub(super) fn file(&self) -> io::Result<&File> {
        self.file.get().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The map of a file that is still being written, as long as it will be: what is not written yet
    /// lies beyond its end. Goes when the last reader of the arriving blob does; waits for no disk.
    pub(super) fn growing(&self, tasks: &Tasks) -> Option<WholeMap> {
        let map = || WholeMap::of(self.file().ok()?, self.size, tasks).ok();
        self.growing.get_or_init(map).clone()
    }

    /// Whether the open file is still what its name in the store leads to, and unchanged. Asks only
    /// about the open file, which never waits for a disk.
    pub(super) fn is_current(&self) -> bool {
        let metadata = self.file().and_then(File::metadata);
        metadata.is_ok_and(|now| {
            now.nlink() > 0 && self.identity() == Some(Identity::from_metadata(&now))
        })
    }

    /// The first `length` bytes of the file. Blocks.
    pub(super) fn read_all(&self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file()?.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// The digest that the first `size` bytes of the file have. Blocks; reads by copying, calls
    /// `keep_on` between pieces, and gives `None` when that says no.
    pub(super) fn hash(&self, keep_on: impl Fn() -> bool) -> io::Result<Option<Digest>> {
        let file = self.file()?;
        let mut hasher = self.digest.algorithm().hasher();
        let mut scratch = vec![0; BUFFER_BYTES];
        let mut offset = 0;
        while offset < self.size {
            if !keep_on() {
                return Ok(None);
            }
            let left = usize::try_from(self.size - offset).unwrap_or(BUFFER_BYTES);
            let piece = scratch.get_mut(..left.min(BUFFER_BYTES)).unwrap_or_default();
            file.read_exact_at(piece, offset)?;
            hasher.update(piece);
            give_way();
            offset += u64::try_from(piece.len()).map_err(io::Error::other)?;
        }
        Ok(Some(hasher.finish()))
    }
}

/// Whether reading failed because the content is not there any more: the file ends too early, or
/// the disk has lost it.
pub(super) fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
        || matches!(Errno::from_io_error(error), Some(Errno::IO | Errno::FAULT | Errno::HWPOISON))
}
