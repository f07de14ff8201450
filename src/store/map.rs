//! Reading by memory map: windows of a blob's file, straight from the page cache.
//!
//! The only unsafe code of the program. Why it is sound and does not end the process:
//!
//! - **The bytes under a map do not change.** A window is mapped read-only, of a file that this
//!   store made, holds exclusively (the lock of the directory) and never rewrites or truncates:
//!   a growing file is only appended to, and only what has been written is mapped; a complete file
//!   is mode 0444 and is only ever unlinked, which leaves the inode to whoever has it open. Someone
//!   with the rights to write to the data directory could break this, but could also replace the
//!   program.
//! - **No byte under a map is read by this program itself.** Windows go to plain sockets, where the
//!   kernel does the copying: a page that cannot be read then is `EFAULT` from `write`, which ends
//!   one connection, and not `SIGBUS`, which would end the process. Hashing, TLS and everything else
//!   that looks at content takes the copying reader.
//! - **A window is read in before it is handed out**, here, on the pool for blocking work: so a
//!   runtime worker does not wait for a disk, and a bad sector or a truncated file is an error in
//!   time. Pages that memory pressure took back since then cost the worker a wait, no more.
//!
//! Windows, and not one map of the whole file, so that what is mapped at a time is small: unmapping
//! a gigabyte takes milliseconds of a runtime worker, and mapped pages count as the process's own.
#![expect(unsafe_code, reason = "a memory map cannot be had otherwise; argued above")]

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use memmap2::{Advice, Mmap, MmapOptions};
use rustix::fs::Advice as FileAdvice;

use super::buffers::BUFFER_BYTES;

/// Size of a window: 8 MiB.
pub(super) const WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// The `length` bytes of `file` from `offset` on, mapped and read in, cut to [`WINDOW_BYTES`];
/// all of them must have been written. Blocks until the disk has delivered them.
///
/// # Errors
/// When the file cannot be mapped or read, or ends before (`UnexpectedEof`).
pub(super) fn window(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let length = length.min(WINDOW_BYTES);
    let mut options = MmapOptions::new();
    options.offset(offset).len(usize::try_from(length).map_err(io::Error::other)?);
    // SAFETY: the file's bytes in this window are written and never change while it is mapped, as
    // the module's documentation argues; the map is read-only and owns its address range.
    let map = unsafe { options.map(file)? };
    // The kernel fills the page in which a file ends with zeros: no error, and not its content.
    if file.metadata()?.len() < offset.saturating_add(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if map.advise(Advice::PopulateRead).is_err() {
        // An older kernel, or a page that cannot be had: reading tells which, and what is wrong.
        read_through(file, offset, &map)?;
    }
    read_ahead(file, offset.saturating_add(length));
    Ok(Bytes::from_owner(map))
}

fn read_through(file: &File, offset: u64, map: &Mmap) -> io::Result<()> {
    let mut scratch = vec![0; BUFFER_BYTES];
    let mut left = map.len();
    let mut offset = offset;
    while left > 0 {
        let length = left.min(BUFFER_BYTES);
        file.read_exact_at(scratch.get_mut(..length).unwrap_or_default(), offset)?;
        left -= length;
        offset = offset.saturating_add(u64::try_from(length).map_err(io::Error::other)?);
    }
    Ok(())
}

/// Lets the disk fetch the next window while this one is being sent; only a hint, so it may fail.
fn read_ahead(file: &File, offset: u64) {
    let hint =
        rustix::fs::fadvise(file, offset, NonZeroU64::new(WINDOW_BYTES), FileAdvice::WillNeed);
    if let Err(error) = hint {
        tracing::trace!(%error, "no read-ahead for a mapped blob");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, content).unwrap();
        file
    }

    #[test]
    fn a_window_holds_the_bytes_of_its_place_even_off_page_boundaries() {
        let content: Vec<u8> = (0..100_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let file = file(&content);
        assert_eq!(window(&file, 0, 100_000).unwrap(), content);
        assert_eq!(window(&file, 4_097, 50_001).unwrap(), content[4_097..54_098]);
    }

    #[test]
    fn a_file_that_ends_too_early_is_an_error_before_anything_is_handed_out() {
        let file = file(&[7; 10_000]);
        for length in [10_001, 20_000] {
            let error = window(&file, 0, length).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{length}");
        }
    }

    #[test]
    fn reading_through_stands_in_where_the_kernel_cannot_populate() {
        let file = file(&vec![7; 300_000]);
        let map = window(&file, 0, 300_000).unwrap();
        assert_eq!(map.len(), 300_000);
        let mapped = MmapOptions::new().len(300_000).map_anon().unwrap().make_read_only().unwrap();
        read_through(&file, 0, &mapped).unwrap();
        assert_eq!(
            read_through(&file, 1, &mapped).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
