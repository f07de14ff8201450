//! An rpm header as a database has it: an index of tags, and their values behind it.
//!
//! Spec: <https://rpm-software-management.github.io/rpm/manual/format_header.html>

use super::Fault;
use super::bytes::Order;

/// Bytes before the index: how many entries it has, and how many bytes of values follow.
const PREAMBLE_BYTES: usize = 8;
/// Bytes of an entry of the index: tag, type, offset of its value, count.
const ENTRY_BYTES: usize = 16;

pub(super) const NAME: u32 = 1000;
pub(super) const VERSION: u32 = 1001;
pub(super) const RELEASE: u32 = 1002;
pub(super) const EPOCH: u32 = 1003;
pub(super) const VENDOR: u32 = 1011;
pub(super) const ARCHITECTURE: u32 = 1022;
pub(super) const FILE_DIGESTS: u32 = 1035;
pub(super) const SOURCE_RPM: u32 = 1044;
pub(super) const DIRECTORY_INDEXES: u32 = 1116;
pub(super) const BASE_NAMES: u32 = 1117;
pub(super) const DIRECTORY_NAMES: u32 = 1118;
pub(super) const FILE_DIGEST_ALGORITHM: u32 = 5011;
pub(super) const MODULARITY_LABEL: u32 = 5096;

const TYPE_INT32: u32 = 4;
const TYPE_STRING: u32 = 6;
const TYPE_STRING_ARRAY: u32 = 8;

/// A header, as it lies in its database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    index: &'a [u8],
    values: &'a [u8],
}

/// An entry of the index, without its tag.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    kind: u32,
    count: usize,
    /// The values from its own on.
    values: &'a [u8],
}

impl<'a> Header<'a> {
    /// Takes a blob apart.
    pub(super) fn read(blob: &'a [u8]) -> Result<Self, Fault> {
        let parts = || {
            let entries = Order::Big.size(blob, 0)?;
            let values_bytes = Order::Big.size(blob, 4)?;
            let index_bytes = entries.checked_mul(ENTRY_BYTES)?;
            let (index, values) = blob.get(PREAMBLE_BYTES..)?.split_at_checked(index_bytes)?;
            (values.len() == values_bytes).then_some(Self { index, values })
        };
        parts().ok_or_else(|| Fault::malformed("a header that is not as long as it says"))
    }

    /// The entry of a tag. Where there are two, who reads the first and who reads the last would see
    /// different packages.
    fn entry(&self, tag: u32) -> Result<Option<Entry<'a>>, Fault> {
        let mut entries = self
            .index
            .chunks_exact(ENTRY_BYTES)
            .filter_map(|entry| (Order::Big.u32(entry, 0)? == tag).then_some(entry));
        let Some(entry) = entries.next() else { return Ok(None) };
        if entries.next().is_some() {
            return Err(Fault::malformed(format!("a header with two entries for tag {tag}")));
        }
        let read = || {
            let offset = Order::Big.size(entry, 8)?;
            Some(Entry {
                kind: Order::Big.u32(entry, 4)?,
                count: Order::Big.size(entry, 12)?,
                values: self.values.get(offset..)?,
            })
        };
        let broken = || Fault::malformed(format!("a header whose tag {tag} has no value"));
        read().map(Some).ok_or_else(broken)
    }

    /// A text, without the zero byte that ends it.
    pub(super) fn string(&self, tag: u32) -> Result<Option<&'a [u8]>, Fault> {
        let Some(entry) = self.entry(tag)? else { return Ok(None) };
        let end = entry.values.iter().position(|&byte| byte == 0);
        let text = end.and_then(|end| entry.values.get(..end));
        match text {
            Some(text) if entry.kind == TYPE_STRING && entry.count == 1 => Ok(Some(text)),
            _ => Err(Fault::malformed(format!("a header whose tag {tag} is no text"))),
        }
    }

    /// A single number.
    pub(super) fn number(&self, tag: u32) -> Result<Option<u32>, Fault> {
        let Some(entry) = self.entry(tag)? else { return Ok(None) };
        match Order::Big.u32(entry.values, 0) {
            Some(number) if entry.kind == TYPE_INT32 && entry.count == 1 => Ok(Some(number)),
            _ => Err(Fault::malformed(format!("a header whose tag {tag} is no number"))),
        }
    }

    /// The texts of an array, as many as are there.
    pub(super) fn strings(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let entry = self.entry(tag).ok().flatten().filter(|it| it.kind == TYPE_STRING_ARRAY);
        let (values, count) = entry.map_or((&[][..], 0), |entry| (entry.values, entry.count));
        values.split(|&byte| byte == 0).take(count)
    }

    /// The numbers of an array, as many as are there.
    pub(super) fn numbers(&self, tag: u32) -> impl Iterator<Item = u32> + use<'a> {
        let entry = self.entry(tag).ok().flatten().filter(|it| it.kind == TYPE_INT32);
        let (values, count) = entry.map_or((&[][..], 0), |entry| (entry.values, entry.count));
        values.chunks_exact(4).filter_map(|number| Order::Big.u32(number, 0)).take(count)
    }
}
