//! Berkeley DB's hash format, as rpm had it up to RHEL 8: pages of keys and values, and long values on
//! pages of their own.
//!
//! All pages are looked at, not only those that the hash table leads to: what a table would find is
//! among them. The layout is that of `src/dbinc/db_page.h` in Berkeley DB 5.3.

use super::bytes::{Order, Pages};
use super::{Fault, Headers};

const HASH_MAGIC: u32 = 0x0006_1561;
const BTREE_MAGIC: u32 = 0x0005_3162;
const PAGE_BYTES_MIN: usize = 512;
const PAGE_BYTES_MAX: usize = 64 * 1024;
const PAGE_HEADER_BYTES: usize = 26;
/// In the first page: whether its pages have checksums, which makes their headers longer.
const FLAG_CHECKSUM: u8 = 1;

const PAGE_HASH_UNSORTED: u8 = 2;
const PAGE_OVERFLOW: u8 = 7;
const PAGE_HASH: u8 = 13;

const ITEM_INLINE: u8 = 1;
const ITEM_ON_PAGES: u8 = 3;

/// The key, with its type, under which there is no package.
const COUNTER: [u8; 5] = [ITEM_INLINE, 0, 0, 0, 0];

/// A database whose first page made sense.
struct Database<'a> {
    order: Order,
    page_bytes: usize,
    pages: Pages<'a>,
}

/// Hands over the headers of a database.
pub(super) fn read(bytes: &[u8], headers: &mut Headers<'_, '_>) -> Result<(), Fault> {
    let mut database = open(bytes)?;
    if database.pages.count() * database.page_bytes != bytes.len() {
        headers.fault(Fault::malformed("a database that ends within a page"));
    }
    let last = database.order.size(bytes, 32).unwrap_or(usize::MAX);
    if last >= database.pages.count() {
        headers.fault(Fault::malformed("a database without its last pages"));
    }
    for number in 1..database.pages.count() {
        let Some(page) = database.pages.get(number) else { break };
        let is_hash = matches!(page.get(25), Some(&(PAGE_HASH | PAGE_HASH_UNSORTED)));
        if is_hash && !database.read_page(page, headers)? {
            break;
        }
    }
    Ok(())
}

fn open(bytes: &[u8]) -> Result<Database<'_>, Fault> {
    let magic = |order: Order| order.u32(bytes, 12);
    let order = match (magic(Order::Little), magic(Order::Big)) {
        (Some(HASH_MAGIC), _) => Order::Little,
        (_, Some(HASH_MAGIC)) => Order::Big,
        (Some(BTREE_MAGIC), _) | (_, Some(BTREE_MAGIC)) => {
            return Err(Fault::unsupported("a Berkeley DB that is no hash table"));
        }
        _ => return Err(Fault::malformed("no Berkeley DB")),
    };
    let page_bytes = order.size(bytes, 20).unwrap_or(0);
    if !(PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&page_bytes) || !page_bytes.is_power_of_two() {
        return Err(Fault::malformed("a Berkeley DB with pages of a size that there is not"));
    }
    let is_encrypted = bytes.get(24).is_none_or(|&algorithm| algorithm != 0);
    let has_checksums = bytes.get(26).is_none_or(|&flags| flags & FLAG_CHECKSUM != 0);
    if is_encrypted || has_checksums {
        return Err(Fault::unsupported("a Berkeley DB that is encrypted or has checksums"));
    }
    Ok(Database { order, page_bytes, pages: Pages::new(bytes, page_bytes) })
}

impl Database<'_> {
    /// Hands over the headers that a page of keys and values leads to; `false` to stop.
    fn read_page(&mut self, page: &[u8], headers: &mut Headers<'_, '_>) -> Result<bool, Fault> {
        let broken = || Fault::malformed("a page whose entries are not where it says");
        let entries = usize::from(self.order.u16(page, 20).ok_or_else(broken)?);
        let index = page.get(PAGE_HEADER_BYTES..).and_then(|it| it.get(..entries.checked_mul(2)?));
        let index = index.ok_or_else(broken)?;
        // Entries lie one before the other, the first at the end of the page.
        let mut end = page.len();
        let mut key = None;
        for offset in index.chunks_exact(2) {
            let start = usize::from(self.order.u16(offset, 0).ok_or_else(broken)?);
            let item = page.get(start..end).filter(|item| !item.is_empty()).ok_or_else(broken)?;
            end = start;
            match key.take() {
                None => key = Some(item),
                Some(key) => {
                    if !self.read_value(key, item, headers) {
                        return Ok(false);
                    }
                }
            }
        }
        if key.is_some() { Err(broken()) } else { Ok(true) }
    }

    fn read_value(&mut self, key: &[u8], item: &[u8], headers: &mut Headers<'_, '_>) -> bool {
        match item.split_first() {
            // Under the number zero is the largest number given so far.
            Some((&ITEM_INLINE, value)) if key == COUNTER && value.len() == 4 => true,
            Some((&ITEM_INLINE, value)) => headers.take(value),
            Some((&ITEM_ON_PAGES, _)) => {
                if let Some(value) = self.value_on_pages(item) {
                    return headers.take(&value);
                }
                headers.fault(Fault::malformed("a package whose pages are not there"));
                true
            }
            _ => {
                headers.fault(Fault::malformed("an entry of a kind that rpm does not make"));
                true
            }
        }
    }

    /// The value on a chain of pages: type, three unused bytes, first page, length.
    fn value_on_pages(&mut self, item: &[u8]) -> Option<Vec<u8>> {
        let mut number = self.order.size(item, 4)?;
        let length = self.order.size(item, 8)?;
        let mut value = Vec::new();
        while number != 0 {
            let page = self.pages.take(number)?;
            if page.get(25) != Some(&PAGE_OVERFLOW) {
                return None;
            }
            let part = usize::from(self.order.u16(page, 22)?);
            value.extend_from_slice(page.get(PAGE_HEADER_BYTES..)?.get(..part)?);
            number = self.order.size(page, 16)?;
        }
        (value.len() == length).then_some(value)
    }
}
