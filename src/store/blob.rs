//! A stored blob.

use std::sync::Arc;

use super::content::Content;
use super::reader::{BlobReader, ReadMode};
use super::room::Room;
use crate::oci::{ByteRange, Digest};

/// A blob that is stored; clones share its open file, which stays readable after removal.
#[derive(Clone)]
pub struct Blob {
    pub(super) room: Arc<Room>,
    pub(super) content: Arc<Content>,
}

impl Blob {
    pub(super) fn new(room: Arc<Room>, content: Arc<Content>) -> Self {
        Self { room, content }
    }

    /// The digest under which it is stored; readers see to it that the content has it.
    pub fn digest(&self) -> Digest {
        self.content.digest
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.content.size
    }

    /// A stream of the bytes in `range`, cut to the blob's size. Must be called on a runtime: if
    /// the file has to be hashed again, that begins now, on the pool for blocking work, once for
    /// all readers of the blob.
    pub fn reader(&self, range: ByteRange, mode: ReadMode) -> BlobReader {
        let progress = self.room.hashing(&self.content);
        BlobReader::new(Arc::clone(&self.room), Arc::clone(&self.content), range, mode, progress)
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blob")
            .field("digest", &self.content.digest)
            .field("size", &self.content.size)
            .finish_non_exhaustive()
    }
}
