//! Reading by copy: bounded `pread` into buffers that are used again.
//!
//! A buffer travels to the socket inside a [`Bytes`] and comes back here when the last clone of it
//! is dropped, so that steady copying allocates nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::io::ReadWriteFlags;

/// Size of one buffer, and so of the largest chunk that is copied: 128 KiB.
pub(super) const BUFFER_BYTES: usize = 128 * 1024;

/// Buffers kept for later use; more may be in use at a time, one or two for each reader.
const BUFFERS_KEPT_MAX: usize = 64;

/// Buffers to read into; clones share one set.
#[derive(Clone, Default)]
pub(super) struct Buffers {
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
}

impl Buffers {
    /// The `length` bytes of `file` from `offset` on, cut to [`BUFFER_BYTES`], if all of them are
    /// in the page cache: never waits for a disk, so it may run on a runtime worker.
    pub(super) fn read_resident(&self, file: &File, offset: u64, length: u64) -> Option<Bytes> {
        let mut buffer = self.take(length);
        let into = &mut [io::IoSliceMut::new(buffer.bytes.get_mut(..buffer.length)?)];
        let read = rustix::io::preadv2(file, into, offset, ReadWriteFlags::NOWAIT);
        (read == Ok(buffer.length)).then(|| Bytes::from_owner(buffer))
    }

    /// The `length` bytes of `file` from `offset` on, cut to [`BUFFER_BYTES`]. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read, or ends before (`UnexpectedEof`).
    pub(super) fn read(&self, file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
        let mut buffer = self.take(length);
        let length = buffer.length;
        file.read_exact_at(buffer.bytes.get_mut(..length).unwrap_or_default(), offset)?;
        Ok(Bytes::from_owner(buffer))
    }

    fn take(&self, length: u64) -> Buffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = free.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice());
        let length = usize::try_from(length).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        Buffer { bytes, length, home: self.clone() }
    }
}

/// A buffer in use; goes home when dropped.
struct Buffer {
    bytes: Box<[u8]>,
    length: usize,
    home: Buffers,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.home.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < BUFFERS_KEPT_MAX {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_after_its_last_clone_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"some content").unwrap();
        let file = File::open(path).unwrap();
        let buffers = Buffers::default();

        let first = buffers.read(&file, 5, 7).unwrap();
        let clone = first.slice(0..3);
        let address = first.as_ptr();
        drop(first);
        assert_eq!(&clone[..], b"con");
        assert_ne!(buffers.read(&file, 0, 4).unwrap().as_ptr(), address, "still in use");
        drop(clone);
        assert_eq!(buffers.read(&file, 0, 4).unwrap().as_ptr(), address);
    }

    #[test]
    fn a_file_that_ends_too_early_is_an_error_and_never_a_short_chunk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"short").unwrap();
        let file = File::open(path).unwrap();
        let buffers = Buffers::default();
        let error = buffers.read(&file, 3, 7).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(buffers.read_resident(&file, 3, 7).is_none(), "short");
    }
}
