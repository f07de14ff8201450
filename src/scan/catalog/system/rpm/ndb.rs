//! rpm's own database format, as SUSE has it: slots at the front, each leading to a blob.
//!
//! There is no document of the format; it is that of `lib/backend/ndb/rpmpkg.c` in rpm 4.17.

use super::bytes::Order;
use super::{Fault, Headers};

const HEADER_MAGIC: u32 = u32::from_le_bytes(*b"RpmP");
const SLOT_MAGIC: u32 = u32::from_le_bytes(*b"Slot");
const BLOB_MAGIC: u32 = u32::from_le_bytes(*b"BlbS");
const TAIL_MAGIC: u32 = u32::from_le_bytes(*b"BlbE");
const VERSION: u32 = 0;

/// Bytes of a page of slots. The first two slots of the first page are the file's header.
const SLOT_PAGE_BYTES: usize = 4096;
const HEADER_BYTES: usize = 32;
const SLOT_BYTES: usize = 16;
/// Blobs are counted in these.
const BLOCK_BYTES: usize = 16;
/// Bytes before a blob: magic, number of the package, generation, length.
const BLOB_HEAD_BYTES: usize = 16;
/// Bytes after a blob and its padding: checksum, length, magic.
const BLOB_TAIL_BYTES: usize = 12;

/// Hands over the headers of a database.
pub(super) fn read(bytes: &[u8], headers: &mut Headers<'_, '_>) -> Result<(), Fault> {
    let order = Order::Little;
    if order.u32(bytes, 0) != Some(HEADER_MAGIC) {
        return Err(Fault::malformed("no database of rpm's own format"));
    }
    if order.u32(bytes, 4) != Some(VERSION) {
        return Err(Fault::unsupported("a version of rpm's own format that is not known"));
    }
    let slots = order
        .size(bytes, 12)
        .and_then(|pages| pages.checked_mul(SLOT_PAGE_BYTES))
        .and_then(|end| bytes.get(HEADER_BYTES..end))
        .ok_or_else(|| Fault::malformed("a database without its slots"))?;
    // Blobs do not overlap, so together they are no longer than the file.
    let mut left = bytes.len();
    for slot in slots.chunks_exact(SLOT_BYTES) {
        if order.u32(slot, 0) != Some(SLOT_MAGIC) {
            return Err(Fault::malformed("a slot that is none"));
        }
        if order.u32(slot, 4) == Some(0) {
            continue;
        }
        let Some(blob) = blob(bytes, slot) else {
            headers.fault(Fault::malformed("a slot that leads to no package"));
            continue;
        };
        left = left
            .checked_sub(blob.len())
            .ok_or_else(|| Fault::malformed("packages that lie in each other"))?;
        if !headers.take(blob) {
            break;
        }
    }
    Ok(())
}

/// The blob that a slot leads to.
fn blob<'a>(bytes: &'a [u8], slot: &[u8]) -> Option<&'a [u8]> {
    let order = Order::Little;
    let start = order.size(slot, 8)?.checked_mul(BLOCK_BYTES)?;
    let length = order.size(slot, 12)?.checked_mul(BLOCK_BYTES)?;
    let blocks = bytes.get(start..start.checked_add(length)?)?;
    let blob_bytes = order.size(blocks, 12)?;
    let blob = blocks.get(BLOB_HEAD_BYTES..)?.get(..blob_bytes)?;
    let tail = blocks.get(length.checked_sub(BLOB_TAIL_BYTES)?..)?;
    let is_whole = order.u32(blocks, 0)? == BLOB_MAGIC
        && order.u32(blocks, 4)? == order.u32(slot, 4)?
        && order.u32(tail, 8)? == TAIL_MAGIC
        && order.size(tail, 4)? == blob_bytes;
    is_whole.then_some(blob)
}
