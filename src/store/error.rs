//! What can go wrong in the store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::oci::Digest;

/// Why the store could not do what was asked; clones, because every reader of one blob gets it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The blob stopped arriving before it was committed.
    #[error("blob {digest} stopped arriving before it was complete")]
    Aborted {
        /// The blob.
        digest: Digest,
    },
    /// The stored bytes are not those of the digest, or the disk cannot read them; they have been
    /// removed, so that the blob can be fetched again.
    #[error("stored blob {digest} was damaged and has been removed")]
    Corrupt {
        /// The blob.
        digest: Digest,
    },
    /// The content has another digest than the one it was offered under.
    #[error("content offered as {digest} has the digest {found}")]
    DigestMismatch {
        /// The digest it was offered under.
        digest: Digest,
        /// The digest it has.
        found: Box<Digest>,
    },
    /// A directory or file of the store's own could not be prepared.
    #[error("cannot prepare {path} for the store", path = path.display())]
    Directory {
        /// What could not be prepared.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The work did not run to its end, because the program is stopping or it panicked.
    #[error("work of the store was interrupted")]
    Interrupted,
    /// Another process uses the directory.
    #[error("store directory {dir} is in use by another process", dir = dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// There is no room for the blob, and nothing that may give way.
    #[error("no room in the cache for the {bytes} bytes of blob {digest}")]
    NoRoom {
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A stored blob could not be opened.
    #[error("cannot open stored blob {digest}")]
    Open {
        /// The blob.
        digest: Digest,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A blob could not be read.
    #[error("cannot read blob {digest}")]
    Read {
        /// The blob.
        digest: Digest,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A stored blob could not be removed.
    #[error("cannot remove stored blob {digest}")]
    Remove {
        /// The blob.
        digest: Digest,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The stored content is larger than the caller wants in memory.
    #[error("stored blob {digest} has {size} bytes, more than the limit of {limit_bytes}")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// The caller's limit.
        limit_bytes: usize,
    },
    /// More bytes arrived than the blob has.
    #[error("more than the {size} bytes of blob {digest} arrived")]
    TooLong {
        /// The blob.
        digest: Digest,
        /// The size it was announced with.
        size: u64,
    },
    /// Too many blobs are being written at once.
    #[error("{limit} blobs are being written already")]
    TooManyIngests {
        /// How many may be written at once.
        limit: usize,
    },
    /// Fewer bytes arrived than the blob has.
    #[error("only {written} of the {size} bytes of blob {digest} arrived")]
    TooShort {
        /// The blob.
        digest: Digest,
        /// The size it was announced with.
        size: u64,
        /// The bytes that arrived.
        written: u64,
    },
    /// A blob could not be written, synced or given its name.
    #[error("cannot write blob {digest}")]
    Write {
        /// The blob.
        digest: Digest,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
}

impl Error {
    /// Whether there was no room on the disk, or no more of it for this user.
    pub fn is_disk_full(&self) -> bool {
        matches!(self,
            Self::Directory { source, .. } | Self::Write { source, .. }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// Whether content could not be kept for want of room or because the disk failed: the content
    /// itself may be had without the store.
    pub fn is_disk_trouble(&self) -> bool {
        matches!(self, Self::Directory { .. } | Self::NoRoom { .. } | Self::Write { .. })
    }

    /// Whether the store failed, and not the content or the caller.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Self::Directory { .. }
            | Self::Interrupted
            | Self::Open { .. }
            | Self::Read { .. }
            | Self::Remove { .. }
            | Self::Write { .. } => true,
            Self::Aborted { .. }
            | Self::Corrupt { .. }
            | Self::DigestMismatch { .. }
            | Self::Locked { .. }
            | Self::NoRoom { .. }
            | Self::TooLarge { .. }
            | Self::TooLong { .. }
            | Self::TooManyIngests { .. }
            | Self::TooShort { .. } => false,
        }
    }

    pub(super) fn directory(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Directory { path, source: Arc::new(source) }
    }

    pub(super) fn open(digest: Digest) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Open { digest, source: Arc::new(source) }
    }

    pub(super) fn read(digest: Digest) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { digest, source: Arc::new(source) }
    }

    pub(super) fn remove(digest: Digest) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Remove { digest, source: Arc::new(source) }
    }

    pub(super) fn write(digest: Digest) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { digest, source: Arc::new(source) }
    }
}
