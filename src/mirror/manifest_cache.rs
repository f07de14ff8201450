//! Verified manifests in memory, so that a warm pull reads no disk and hashes nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;

use crate::oci::Digest;

/// Bytes of manifests kept in memory.
const MANIFEST_CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Manifests larger than this are read from disk each time.
const MANIFEST_CACHED_BYTES_MAX: usize = 256 * 1024;

/// Content by digest; whoever inserts has checked that it has that digest.
#[derive(Debug, Default)]
pub(crate) struct ManifestCache {
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    contents: HashMap<Digest, Bytes>,
    order: VecDeque<Digest>,
    bytes: usize,
}

impl ManifestCache {
    /// The content with this digest, if it is in memory.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Bytes> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.contents.get(digest).cloned()
    }

    /// Keeps verified content; the oldest gives way.
    pub(crate) fn insert(&self, digest: Digest, content: Bytes) {
        if content.len() > MANIFEST_CACHED_BYTES_MAX {
            return;
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let length = content.len();
        if entries.contents.insert(digest, content).is_some() {
            return;
        }
        entries.bytes += length;
        entries.order.push_back(digest);
        while entries.bytes > MANIFEST_CACHE_BYTES {
            let Some(oldest) = entries.order.pop_front() else { break };
            let freed = entries.contents.remove(&oldest).map_or(0, |content| content.len());
            entries.bytes = entries.bytes.saturating_sub(freed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_stays_within_its_bytes() {
        let cache = ManifestCache::default();
        let content = Bytes::from(vec![0_u8; MANIFEST_CACHED_BYTES_MAX]);
        let digests: Vec<_> = (0_u32..100).map(|i| Digest::sha256(&i.to_be_bytes())).collect();
        for digest in &digests {
            cache.insert(*digest, content.clone());
        }
        let kept = digests.iter().filter(|digest| cache.get(digest).is_some()).count();
        assert_eq!(kept, MANIFEST_CACHE_BYTES / MANIFEST_CACHED_BYTES_MAX);
        assert!(cache.get(digests.last().unwrap()).is_some());
    }
}
