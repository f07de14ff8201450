//! The entries of a tar archive, one after the other, as Go's `archive/tar` gives them to a node.
//!
//! Two programs that read one archive differently are how content is smuggled past a scanner. So this is
//! no general reader of tar: where Go is lenient it is, where Go refuses it stops, and what Go does not
//! know it does not either.

use std::io::Read;

use super::Stop;
use super::extended::{self, Extended};
use super::header::{BLOCK_BYTES, Header};
use super::inflated::Inflated;
use crate::scan::{GapKind, Limits};

/// An entry of the archive, with its extended headers applied.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: EntryKind,
    /// Bytes of contents in the archive.
    pub(super) size: u64,
    /// Whether it sets an attribute that overlayfs takes as an order.
    pub(super) has_overlay_attribute: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    Directory,
    File,
    /// A global extended header, which nodes treat as an entry that makes nothing.
    Global,
    HardLink,
    /// A device or a pipe.
    Special,
    /// A file whose contents are stored with holes: `true` where nodes expand it, `false` where they
    /// refuse it.
    Sparse(bool),
    Symlink,
    /// A kind that nodes refuse.
    Unknown(u8),
}

/// A walk over the entries of a layer.
pub(super) struct Archive<R: Read> {
    pub(super) bytes: Inflated<R>,
    header_bytes_max: u64,
    /// Bytes of the current entry's contents that were not taken.
    left: u64,
    /// Bytes behind them, up to the next block.
    padding: u64,
}

/// What headers said of the entry that follows them.
#[derive(Default)]
struct Pending {
    extended: Option<Extended>,
    long_name: Vec<u8>,
    long_link: Vec<u8>,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(bytes: Inflated<R>, limits: &Limits) -> Self {
        Self { bytes, header_bytes_max: limits.header_bytes, left: 0, padding: 0 }
    }

    /// The next entry; what was not taken of the one before is skipped.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Stop> {
        let mut pending = Pending::default();
        loop {
            self.skip_rest()?;
            let Some(block) = self.block()? else { return Ok(None) };
            let header = Header::parse(&block)
                .ok_or_else(|| Stop::malformed("it is not, or not all of it is, a tar archive"))?;
            let size =
                header.size().ok_or_else(|| Stop::malformed("an entry has no valid size"))?;
            match header.typeflag() {
                b'x' => pending.extended = Some(self.extended(size)?),
                b'L' => pending.long_name = extended::long_name(&self.special(size)?),
                b'K' => pending.long_link = extended::long_name(&self.special(size)?),
                b'g' => {
                    // What came before it does not reach the entry behind it.
                    let global =
                        Pending { extended: Some(self.extended(size)?), ..Pending::default() };
                    return global.entry(&header, 0).map(Some);
                }
                _ => return self.entry(pending, &header, size).map(Some),
            }
        }
    }

    fn entry(&mut self, pending: Pending, header: &Header<'_>, size: u64) -> Result<Entry, Stop> {
        let entry = pending.entry(header, size)?;
        if entry.kind == EntryKind::Sparse(false) {
            self.skip_sparse_map(header.has_more_of_sparse_map())?;
        }
        self.expect(entry.size);
        Ok(entry)
    }

    /// The next bytes of the entry's contents without taking them, as many of `count` as there are.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8], Stop> {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(count);
        let there = self.bytes.peek(count)?;
        if there.len() < count { Err(truncated()) } else { Ok(there) }
    }

    /// Takes bytes of the entry's contents.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let there = self.bytes.some()?;
        if there.is_empty() {
            return Err(truncated());
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let count = there.len().min(left).min(buffer.len());
        let (to, from) = (buffer.get_mut(..count), there.get(..count));
        to.unwrap_or_default().copy_from_slice(from.unwrap_or_default());
        self.bytes.consume(count);
        self.left -= u64::try_from(count).unwrap_or(0);
        Ok(count)
    }

    fn expect(&mut self, size: u64) {
        let block = u64::try_from(BLOCK_BYTES).unwrap_or(1);
        self.left = size;
        self.padding = (block - size % block) % block;
    }

    fn skip_rest(&mut self) -> Result<(), Stop> {
        let missing = self.bytes.skip(std::mem::take(&mut self.left))?;
        if missing > 0 {
            return Err(truncated());
        }
        // Nodes do not mind when the padding of the last entry is missing.
        self.bytes.skip(std::mem::take(&mut self.padding))?;
        Ok(())
    }

    /// The next header block; `None` at the end, which is two blocks of zeros or no more bytes.
    fn block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, Stop> {
        let Some(block) = self.whole_block()? else { return Ok(None) };
        if block.iter().any(|byte| *byte != 0) {
            return Ok(Some(block));
        }
        match self.whole_block()? {
            Some(second) if second.iter().any(|byte| *byte != 0) => {
                Err(Stop::malformed("a block of zeros is among its entries"))
            }
            _ => Ok(None),
        }
    }

    fn whole_block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, Stop> {
        let there = self.bytes.peek(BLOCK_BYTES)?;
        if there.is_empty() {
            return Ok(None);
        }
        let block = there.try_into().map_err(|_| truncated())?;
        self.bytes.consume(BLOCK_BYTES);
        Ok(Some(block))
    }

    fn extended(&mut self, size: u64) -> Result<Extended, Stop> {
        let records = self.special(size)?;
        Extended::parse(&records).ok_or_else(|| Stop::malformed("an extended header is malformed"))
    }

    /// All of a header's contents.
    fn special(&mut self, size: u64) -> Result<Vec<u8>, Stop> {
        if size > self.header_bytes_max {
            let max = self.header_bytes_max;
            return Err(Stop::limit(format!(
                "an extended header has more than header_bytes = {max}"
            )));
        }
        self.expect(size);
        let mut contents = vec![0; usize::try_from(size).unwrap_or(0)];
        let mut filled = 0;
        while let Some(room) = contents.get_mut(filled..).filter(|room| !room.is_empty()) {
            filled += self.read(room)?;
        }
        Ok(contents)
    }

    /// The old sparse map of GNU goes on in blocks of its own while each says that there is one more.
    fn skip_sparse_map(&mut self, mut more: bool) -> Result<(), Stop> {
        while more {
            let block = self.whole_block()?.ok_or_else(truncated)?;
            more = block.get(504).is_some_and(|byte| *byte != 0);
        }
        Ok(())
    }
}

impl Pending {
    fn entry(self, header: &Header<'_>, size: u64) -> Result<Entry, Stop> {
        let extended = self.extended.unwrap_or_default();
        let mut name = extended.path.unwrap_or_else(|| header.name());
        let mut link = extended.link.unwrap_or_else(|| header.link());
        if !self.long_name.is_empty() {
            name = self.long_name;
        }
        if !self.long_link.is_empty() {
            link = self.long_link;
        }
        let kind = match header.typeflag() {
            0 if name.ends_with(b"/") => EntryKind::Directory,
            0 | b'0' if extended.is_sparse => EntryKind::Sparse(true),
            0 | b'0' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' | b'4' | b'6' => EntryKind::Special,
            b'5' => EntryKind::Directory,
            b'g' => EntryKind::Global,
            b'S' => EntryKind::Sparse(false),
            flag => EntryKind::Unknown(flag),
        };
        let size = match (kind, extended.size) {
            (EntryKind::File | EntryKind::Sparse(_) | EntryKind::Unknown(_), None) => size,
            (EntryKind::File | EntryKind::Sparse(_) | EntryKind::Unknown(_), Some(size)) => {
                u64::try_from(size).map_err(|_| Stop::malformed("an entry has a negative size"))?
            }
            // These have no contents, whatever their size says.
            (
                EntryKind::Directory
                | EntryKind::Global
                | EntryKind::HardLink
                | EntryKind::Special
                | EntryKind::Symlink,
                _,
            ) => 0,
        };
        let name = extended.sparse_name.filter(|_| kind == EntryKind::Sparse(true)).unwrap_or(name);
        let has_overlay_attribute = extended.has_overlay_attribute;
        Ok(Entry { name, link, kind, size, has_overlay_attribute })
    }
}

fn truncated() -> Stop {
    Stop::Gap(GapKind::Malformed, "it ends in the middle of an entry".to_owned())
}
