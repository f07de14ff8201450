//! Reading by memory map: a blob's file, straight from the page cache.
//!
//! A stored blob is mapped whole and once (`maps` keeps the map for the next reader): its page
//! tables fill as its pages are sent, and a warm response costs neither filling nor clearing them.
//! Where there is no room for that, windows are mapped one after the other.
//!
//! The only unsafe code of the program. Why it is sound and does not end the process:
//!
//! - **The bytes under a map do not change.** It is read-only, of a file that this store made, holds
//!   exclusively (the lock of the directory) and never rewrites or truncates: a growing file is only
//!   appended to, and only what has been written is mapped; a complete file is mode 0444 and is only
//!   ever unlinked, which leaves the inode to whoever has it open or mapped. Someone with the rights
//!   to write to the data directory could break this, but could also replace the program.
//! - **No byte under a map is read by this program itself.** Stretches go to plain sockets, where the
//!   kernel does the copying: a page that cannot be read then is `EFAULT` from `write`, which ends
//!   one connection, and not `SIGBUS`, which would end the process. Hashing, TLS and everything else
//!   that looks at content takes the copying reader.
//! - **A stretch is in memory before it is handed out.** [`WholeMap::resident`] asks the kernel, and
//!   what is not there is read in first, on the pool for blocking work: so a runtime worker does not
//!   wait for a disk, and a bad sector or a truncated file is an error in time. Pages that memory
//!   pressure took back since then cost the worker a wait, no more.
//! - **`mincore` writes one byte for each page it is asked about**, into an array of this module that
//!   is at least as long, and is asked about a range that lies within a live map.
//!
//! Unmapping a gigabyte takes milliseconds, so the last one to drop a whole map has the pool do it.
#![expect(unsafe_code, reason = "a memory map cannot be had otherwise; argued above")]

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::{Advice, Mmap, MmapOptions};
use rustix::fs::Advice as FileAdvice;
use tokio::runtime::Handle;

use super::buffers::BUFFER_BYTES;
use crate::tasks::Tasks;

/// Size of a window, and of the largest stretch of a whole map that is handed out at once: 8 MiB.
pub(super) const WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// The smallest page of any machine: 4 KiB.
const PAGE_BYTES_MIN: usize = 4 * 1024;

/// Most pages that a stretch touches; it need not begin on a page's boundary.
const STRETCH_PAGES_MAX: usize = 8 * 1024 * 1024 / PAGE_BYTES_MIN + 1;

/// A whole file, mapped; clones and the stretches handed out keep it so, even after the file has
/// lost its name.
#[derive(Debug, Clone)]
pub(super) struct WholeMap(Arc<Owner>);

/// What owns the map of a file.
#[derive(Debug)]
struct Owner {
    /// `None` once it has been handed over for unmapping.
    map: Option<Mmap>,
    tasks: Tasks,
}

/// Some of a map.
struct Stretch {
    whole: WholeMap,
    range: Range<usize>,
}

impl WholeMap {
    /// The first `size` bytes of `file`, all of which must have been written for good. Does not wait
    /// for a disk: no page is read in.
    ///
    /// # Errors
    /// When the file cannot be mapped.
    pub(super) fn of(file: &File, size: u64, tasks: &Tasks) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        options.len(usize::try_from(size).map_err(io::Error::other)?);
        // SAFETY: the file is complete and its bytes never change while it is mapped, as the module's
        // documentation argues; the map is read-only and owns its address range.
        let map = unsafe { options.map(file)? };
        Ok(Self(Arc::new(Owner { map: Some(map), tasks: tasks.clone() })))
    }

    /// The `length` bytes from `offset` on, cut to [`WINDOW_BYTES`], if `file`, which this is the map
    /// of, still has them and all of them are in memory: never waits for a disk, so it may run on a
    /// runtime worker.
    pub(super) fn resident(&self, file: &File, offset: u64, length: u64) -> Option<Bytes> {
        let stretch = self.stretch(file, offset, length).ok()?;
        let page_bytes = rustix::param::page_size();
        let begin = stretch.as_ptr().addr() & !(page_bytes - 1);
        let length = stretch.as_ptr().addr().checked_add(stretch.len())?.checked_sub(begin)?;
        let mut pages = [0_u8; STRETCH_PAGES_MAX];
        let pages = pages.get_mut(..length.div_ceil(page_bytes))?;
        let first = stretch.as_ptr().with_addr(begin).cast_mut().cast();
        // SAFETY: the range lies within the map, which begins on a page's boundary and which
        // `stretch` keeps alive; the array has a byte for each page of it; nothing of the range
        // itself is touched.
        let asked = unsafe { libc::mincore(first, length, pages.as_mut_ptr()) };
        (asked == 0 && pages.iter().all(|page| page & 1 == 1)).then_some(stretch)
    }

    /// As [`Self::resident`], after reading in what is not in memory. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read, or ends before (`UnexpectedEof`).
    pub(super) fn read_in(&self, file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
        let length = length.min(WINDOW_BYTES);
        read_ahead(file, offset, length.saturating_mul(2));
        read_through(file, offset, length)?;
        self.stretch(file, offset, length)
    }

    fn stretch(&self, file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
        let length = length.min(WINDOW_BYTES);
        ends_not_before(file, offset.saturating_add(length))?;
        let begin = usize::try_from(offset).map_err(io::Error::other)?;
        let end = begin.saturating_add(usize::try_from(length).map_err(io::Error::other)?);
        if end > self.0.bytes().len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Bytes::from_owner(Stretch { whole: self.clone(), range: begin..end }))
    }

    /// Whether nobody else has it, or a stretch of it.
    pub(super) fn is_unused(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Its length in bytes.
    pub(super) fn size(&self) -> u64 {
        super::length_of(self.0.bytes())
    }
}

impl Owner {
    fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

impl AsRef<[u8]> for Stretch {
    fn as_ref(&self) -> &[u8] {
        self.whole.0.bytes().get(self.range.clone()).unwrap_or_default()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let map = self.map.take();
        if Handle::try_current().is_ok() {
            self.tasks.spawn_blocking(move || drop(map));
        }
    }
}

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
    ends_not_before(file, offset.saturating_add(length))?;
    if map.advise(Advice::PopulateRead).is_err() {
        // An older kernel, or a page that cannot be had: reading tells which, and what is wrong.
        read_through(file, offset, length)?;
    }
    read_ahead(file, offset.saturating_add(length), WINDOW_BYTES);
    Ok(Bytes::from_owner(map))
}

/// The kernel fills the page in which a file ends with zeros: no error, and not its content.
fn ends_not_before(file: &File, end: u64) -> io::Result<()> {
    if file.metadata()?.len() < end {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn read_through(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let mut scratch = vec![0; BUFFER_BYTES];
    let (mut offset, end) = (offset, offset.saturating_add(length));
    while offset < end {
        let piece = usize::try_from(end - offset).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        file.read_exact_at(scratch.get_mut(..piece).unwrap_or_default(), offset)?;
        offset = offset.saturating_add(u64::try_from(piece).map_err(io::Error::other)?);
    }
    Ok(())
}

/// Lets the disk fetch what is sent next while this is being sent; only a hint, so it may fail.
fn read_ahead(file: &File, offset: u64, length: u64) {
    let hint = rustix::fs::fadvise(file, offset, NonZeroU64::new(length), FileAdvice::WillNeed);
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
        read_through(&file, 0, 300_000).unwrap();
        let error = read_through(&file, 1, 300_000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_stretch_of_a_whole_map_holds_the_bytes_of_its_place_and_outlives_the_map() {
        let content: Vec<u8> = (0..100_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let file = file(&content);
        let whole = WholeMap::of(&file, 100_000, &Tasks::new()).unwrap();
        let stretch = whole.resident(&file, 4_097, 50_001).expect("just written");
        assert!(!whole.is_unused());
        drop(whole);
        assert_eq!(stretch, content[4_097..54_098]);
    }

    #[test]
    fn what_is_not_in_memory_is_not_handed_out_before_it_was_read_in() {
        // On a disk, not in /tmp, which may be memory that is never given up.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![7; 3_000_000]).unwrap();
        let file = File::open(path).unwrap();
        file.sync_all().unwrap();
        let whole = WholeMap::of(&file, 3_000_000, &Tasks::new()).unwrap();
        rustix::fs::fadvise(&file, 0, None, FileAdvice::DontNeed).unwrap();
        if whole.resident(&file, 0, 3_000_000).is_some() {
            println!("left out: this file system keeps every page");
            return;
        }
        assert_eq!(whole.read_in(&file, 0, 3_000_000).unwrap().len(), 3_000_000);
        assert!(whole.resident(&file, 0, 3_000_000).is_some());
    }

    #[test]
    fn a_file_that_was_cut_under_its_whole_map_is_an_error_and_gives_no_stretch() {
        let file = file(&[7; 50_000]);
        let whole = WholeMap::of(&file, 50_000, &Tasks::new()).unwrap();
        assert!(whole.resident(&file, 0, 50_000).is_some());
        file.set_len(49_000).unwrap();
        for (offset, length) in [(0, 50_000), (48_000, 2_000)] {
            assert!(whole.resident(&file, offset, length).is_none());
            let error = whole.read_in(&file, offset, length).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert!(whole.resident(&file, 0, 49_000).is_some(), "what is left");
    }
}
