//! Fuzz target for what the index holds.

use super::index::SeenTag;

/// The value of a tag in the index.
pub(crate) fn seen_tag(bytes: &[u8]) {
    if let Some(seen) = SeenTag::parse(bytes) {
        assert_eq!(SeenTag::parse(seen.print().as_bytes()), Some(seen));
    }
}
