//! The pages of a database, and the trees that they make.

use std::borrow::Cow;

use super::record::varint;
use crate::scan::catalog::system::rpm::bytes::{Order, Pages};
use crate::scan::catalog::system::rpm::{Fault, Headers};

const MAGIC: &[u8] = b"SQLite format 3\0";
const FILE_HEADER_BYTES: usize = 100;
const PAGE_BYTES_MIN: usize = 512;
const PAGE_BYTES_MAX: usize = 64 * 1024;
/// The least that is left of a page without what is reserved.
const USABLE_BYTES_MIN: usize = 480;
/// Newest version of the format that can be read: 2 is with a write-ahead log.
const READ_VERSION_MAX: u8 = 2;
const PAGE_INTERIOR: u8 = 5;
const PAGE_LEAF: u8 = 13;

/// What is done with each row: `false` to stop.
pub(super) type Visit<'v> = dyn FnMut(&[u8], &mut Headers<'_, '_>) -> Result<bool, Fault> + 'v;

/// A database whose first bytes made sense.
pub(super) struct Database<'a> {
    pages: Pages<'a>,
    page_bytes: usize,
    /// Bytes of a page without what is reserved at its end.
    usable_bytes: usize,
}

impl<'a> Database<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Fault> {
        if !bytes.starts_with(MAGIC) || bytes.len() < FILE_HEADER_BYTES {
            return Err(Fault::malformed("no SQLite database"));
        }
        if bytes.get(19).is_none_or(|&version| version > READ_VERSION_MAX) {
            return Err(Fault::unsupported("a version of SQLite's format that is not known"));
        }
        let page_bytes = match Order::Big.u16(bytes, 16) {
            Some(1) => PAGE_BYTES_MAX,
            bytes => usize::from(bytes.unwrap_or(0)),
        };
        let reserved_bytes = bytes.get(20).map_or(0, |&bytes| usize::from(bytes));
        let usable_bytes = page_bytes.saturating_sub(reserved_bytes);
        let is_size = page_bytes >= PAGE_BYTES_MIN && page_bytes.is_power_of_two();
        if !is_size || usable_bytes < USABLE_BYTES_MIN {
            return Err(Fault::malformed(
                "a SQLite database with pages of a size that there is not",
            ));
        }
        Ok(Self { pages: Pages::new(bytes, page_bytes), page_bytes, usable_bytes })
    }

    /// What is wrong with the file as a whole.
    pub(super) fn faults(&self, bytes: &[u8]) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.pages.count() * self.page_bytes != bytes.len() {
            faults.push(Fault::malformed("a database that ends within a page"));
        }
        // The count of pages is only kept by newer versions, which say that they did.
        let is_kept = Order::Big.u32(bytes, 24) == Order::Big.u32(bytes, 92);
        if is_kept && Order::Big.size(bytes, 28).is_some_and(|count| count > self.pages.count()) {
            faults.push(Fault::malformed("a database without its last pages"));
        }
        faults
    }

    /// Visits the rows of the tree whose first page is `root`, counted from one. Each page of a file is
    /// visited once, in all walks together.
    pub(super) fn walk(
        &mut self,
        root: usize,
        headers: &mut Headers<'_, '_>,
        visit: &mut Visit<'_>,
    ) {
        let mut pending = Vec::new();
        self.visit_later(root, &mut pending, headers);
        while let Some(number) = pending.pop() {
            match self.walk_page(number, &mut pending, headers, visit) {
                Ok(true) => {}
                Ok(false) => return,
                Err(fault) => headers.fault(fault),
            }
        }
    }

    fn visit_later(
        &mut self,
        number: usize,
        pending: &mut Vec<usize>,
        headers: &mut Headers<'_, '_>,
    ) {
        // A page that is claimed when it is put down is not put down twice.
        if number.checked_sub(1).is_some_and(|index| self.pages.claim(index)) {
            pending.push(number);
        } else {
            headers.fault(Fault::malformed("a page that is not there, or linked twice"));
        }
    }

    fn walk_page(
        &mut self,
        number: usize,
        pending: &mut Vec<usize>,
        headers: &mut Headers<'_, '_>,
        visit: &mut Visit<'_>,
    ) -> Result<bool, Fault> {
        let broken = || Fault::malformed("a page that is not as it says");
        let page = number.checked_sub(1).and_then(|index| self.pages.get(index));
        let page = page.and_then(|page| page.get(..self.usable_bytes)).ok_or_else(broken)?;
        let start = if number == 1 { FILE_HEADER_BYTES } else { 0 };
        let header = page.get(start..).ok_or_else(broken)?;
        let cells = usize::from(Order::Big.u16(header, 3).ok_or_else(broken)?);
        let (header_bytes, is_leaf) = match header.first() {
            Some(&PAGE_LEAF) => (8, true),
            Some(&PAGE_INTERIOR) => (12, false),
            _ => return Err(Fault::malformed("a page that is of no table")),
        };
        let offsets = header.get(header_bytes..).and_then(|it| it.get(..cells.checked_mul(2)?));
        // Cells do not overlap, so together they are no longer than the page.
        let mut left = page.len();
        for offset in offsets.ok_or_else(broken)?.chunks_exact(2) {
            let offset = usize::from(Order::Big.u16(offset, 0).ok_or_else(broken)?);
            let cell = page.get(offset..).ok_or_else(broken)?;
            if !is_leaf {
                self.visit_later(Order::Big.size(cell, 0).ok_or_else(broken)?, pending, headers);
                continue;
            }
            let (row, used) = self.row(cell)?;
            left = left.checked_sub(used).ok_or_else(broken)?;
            match visit(&row, headers) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(fault) => headers.fault(fault),
            }
        }
        if !is_leaf {
            self.visit_later(Order::Big.size(header, 8).ok_or_else(broken)?, pending, headers);
        }
        Ok(true)
    }

    /// The row in a cell, and how many bytes of the page it has: its length, its number, its beginning,
    /// and where the rest is if it is long.
    fn row(&mut self, cell: &'a [u8]) -> Result<(Cow<'a, [u8]>, usize), Fault> {
        let mut read = || {
            let (length, rest) = varint(cell)?;
            let (_, rest) = varint(rest)?;
            let length = usize::try_from(length).ok()?;
            let local_bytes = self.local_bytes(length);
            let (local, rest) = rest.split_at_checked(local_bytes)?;
            if local_bytes == length {
                return Some((Cow::Borrowed(local), cell.len() - rest.len()));
            }
            let first = Order::Big.size(rest, 0)?;
            let row = self.with_overflow(local, first, length)?;
            Some((Cow::Owned(row), cell.len() - rest.len() + 4))
        };
        read().ok_or_else(|| Fault::malformed("a row that is not all there"))
    }

    /// How many bytes of a row are on its own page. Spec: section 1.6.
    fn local_bytes(&self, length: usize) -> usize {
        let usable = self.usable_bytes;
        let most = usable - 35;
        let least = (usable - 12) * 32 / 255 - 23;
        if length <= most {
            return length;
        }
        let fitting = least + (length - least) % (usable - 4);
        if fitting <= most { fitting } else { least }
    }

    /// A row whose rest is on a chain of pages.
    fn with_overflow(&mut self, local: &[u8], first: usize, length: usize) -> Option<Vec<u8>> {
        let mut row = local.to_vec();
        let mut number = first;
        while row.len() < length {
            let page = self.pages.take(number.checked_sub(1)?)?;
            let content = page.get(4..self.usable_bytes)?;
            let wanted = content.len().min(length - row.len());
            row.extend_from_slice(content.get(..wanted)?);
            number = Order::Big.size(page, 0)?;
        }
        Some(row)
    }
}
