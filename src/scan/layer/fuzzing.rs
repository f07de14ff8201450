//! Fuzz target for layers: whatever comes, there is an answer, and it is the same after it was kept.

use std::sync::Arc;
use std::time::Duration;

use super::LayerFacts;
use crate::oci::Digest;
use crate::scan::{Layer, Limits, Merged};

/// Small bounds, so that they are reached.
fn limits() -> Limits {
    const MIB: u64 = 1024 * 1024;
    Limits {
        layer_bytes: 4 * MIB,
        ratio_from_bytes: MIB,
        entries: 1_000,
        packages: 1_000,
        archive_inflated_bytes: 4 * MIB,
        time: Duration::from_mins(1),
        ..Limits::default()
    }
}

/// Two layers; the first two bytes say how long the first is.
pub(crate) fn layer(bytes: &[u8]) {
    let (Some(length), Some(rest)) = (bytes.first_chunk::<2>(), bytes.get(2..)) else { return };
    let split = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (lower, upper) = rest.split_at(split);
    let limits = limits();
    let read = |bytes: &[u8]| LayerFacts::read(&Digest::sha256(bytes), bytes, &limits).ok();
    let layers: Vec<Layer> = [lower, upper]
        .into_iter()
        .filter_map(|bytes| {
            let facts = read(bytes);
            assert!(facts.is_some(), "memory can be read");
            let facts = facts?;
            let kept = LayerFacts::from_bytes(&facts.to_bytes(&limits), facts.blob(), &limits);
            assert!(kept.as_ref() == Some(&facts), "what was kept is something else");
            let diff_id = facts.diff_id().copied();
            Some(Layer { diff_id, facts: Arc::new(facts) })
        })
        .collect();
    let merged = Merged::of(&layers, &|_| true, &limits);
    assert!(merged.inventory.packages.is_sorted(), "packages are not sorted");
    assert!(merged.inventory.packages.len() <= limits.packages, "more packages than the bound");
}
