//! What gives way: the least recently asked for, small content last, nothing that is held.
//!
//! Each search goes through the directories one by one and keeps no more than the oldest candidates
//! that are needed; between two directories nothing is locked. The cost is that of listing the store,
//! once for a tenth of the quota, so that no order of all blobs has to be kept anywhere.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic;

use crate::oci::Digest;
use crate::store::Error;
use crate::store::content::Identity;
use crate::store::layout::Stored;
use crate::store::room::Room;
use crate::time::Timestamp;

/// Candidates of one search, about 2 MB.
const CANDIDATES_MAX: usize = 8_192;
/// Searches in one go; more are left to the next.
const SEARCHES_MAX: usize = 64;
/// Content up to this size goes last: manifests and configs, without which no layer is of use.
const SMALL_BYTES: u64 = 64 * 1024;
/// A file time further ahead than this is a lie of some clock: nothing is known then.
const AHEAD_MAX_MILLISECONDS: i64 = 24 * 3_600_000;

/// What was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evicted {
    /// How many blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What may give way; the first in order goes first.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    is_small: bool,
    used: Timestamp,
    digest: Digest,
    size: u64,
    identity: Identity,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |candidate: &Self| (candidate.is_small, candidate.used, candidate.digest);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The candidates that go first, no more than are needed for `most` bytes.
struct Candidates {
    heap: BinaryHeap<Candidate>,
    bytes: u64,
    most: u64,
    /// Bytes of everything that may give way.
    evictable: u64,
    /// Whether candidates were left out for their number.
    is_cut: bool,
}

impl Candidates {
    fn offer(&mut self, candidate: Candidate) {
        self.evictable = self.evictable.saturating_add(candidate.size);
        self.bytes += candidate.size;
        self.heap.push(candidate);
        while let Some(last) = self.heap.peek() {
            let is_enough = self.bytes - last.size >= self.most;
            let is_too_many = self.heap.len() > CANDIDATES_MAX;
            if !is_enough && !is_too_many {
                break;
            }
            self.is_cut |= is_too_many && !is_enough;
            self.bytes -= last.size;
            self.heap.pop();
        }
    }
}

impl Room {
    /// Evicts down to the low watermark if there is more than the high one allows. Blocks.
    pub(super) fn evict_to_low(&self) -> Result<Evicted, Error> {
        let _one_at_a_time = self.keep.evicting();
        let is_held = self.is_before(self.keep.held_until.load(atomic::Ordering::Relaxed));
        if is_held || !self.is_above_high() {
            return Ok(Evicted::default());
        }
        let low = self.keep.settings.low_bytes().unwrap_or(u64::MAX);
        let over = self.used_and_reserved().saturating_sub(low);
        let evicted = self.evict_bytes(0, over)?;
        if evicted.bytes < over && self.is_above_high() {
            self.keep.held_until.store(self.rest_ends(), atomic::Ordering::Relaxed);
            tracing::warn!(
                over,
                evicted = evicted.bytes,
                "cache is above its watermark, and the rest is held"
            );
        }
        Ok(evicted)
    }

    /// Evicts until `most` bytes are gone; nothing at all if what may give way is less than `least`.
    /// The caller holds the turn. Blocks.
    pub(super) fn evict_bytes(&self, least: u64, most: u64) -> Result<Evicted, Error> {
        let mut evicted = Evicted::default();
        for _ in 0..SEARCHES_MAX {
            let missing = most.saturating_sub(evicted.bytes);
            if missing == 0 || self.tasks.is_stopping() {
                break;
            }
            let found = self.candidates(missing, None)?;
            if evicted.bytes.saturating_add(found.evictable) < least {
                break;
            }
            let is_cut = found.is_cut;
            let gone = self.remove_all(found, missing);
            evicted.blobs += gone.blobs;
            evicted.bytes += gone.bytes;
            if !is_cut || gone.blobs == 0 {
                break;
            }
        }
        self.report(evicted, "evicted for room");
        Ok(evicted)
    }

    /// Evicts what nobody has asked for since `before`, whatever there is room for. Blocks.
    pub(super) fn evict_unused_since(&self, before: Timestamp) -> Result<Evicted, Error> {
        let _one_at_a_time = self.keep.evicting();
        let mut evicted = Evicted::default();
        for _ in 0..SEARCHES_MAX {
            let found = self.candidates(u64::MAX, Some(before))?;
            let is_cut = found.is_cut;
            let gone = self.remove_all(found, u64::MAX);
            evicted.blobs += gone.blobs;
            evicted.bytes += gone.bytes;
            if !is_cut || gone.blobs == 0 || self.tasks.is_stopping() {
                break;
            }
        }
        self.report(evicted, "evicted because nobody asks for it");
        Ok(evicted)
    }

    fn report(&self, evicted: Evicted, why: &str) {
        if evicted.blobs > 0 {
            self.metrics.store_evicted_blobs.add(evicted.blobs);
            self.metrics.store_evicted_bytes.add(evicted.bytes);
            tracing::info!(blobs = evicted.blobs, bytes = evicted.bytes, why, "blobs evicted");
        }
    }

    /// The oldest `most` bytes of what may give way, or all of it that was last used before `before`.
    fn candidates(&self, most: u64, before: Option<Timestamp>) -> Result<Candidates, Error> {
        let heap = BinaryHeap::new();
        let mut found = Candidates { heap, bytes: 0, most, evictable: 0, is_cut: false };
        let Some(pinned) = self.keep.pinned() else {
            tracing::debug!("nothing is evicted before the pins are known");
            return Ok(found);
        };
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        for (algorithm, prefix) in crate::store::layout::directories() {
            if self.tasks.is_stopping() {
                break;
            }
            let listed = self.layout.list(algorithm, prefix);
            let listed =
                listed.map_err(Error::directory(self.layout.directory(algorithm, prefix)))?;
            if listed.blobs.is_empty() {
                continue;
            }
            let used = self.index.used_in(algorithm, prefix);
            for stored in listed.blobs {
                let digest = stored.digest;
                if pinned.contains(&digest) || self.keep.recency.is_promised(&digest, monotonic) {
                    continue;
                }
                let used = last_used(&stored, &used, now).max(self.keep.recency.last(&digest));
                let used = used.unwrap_or(Timestamp::from_milliseconds(0));
                if before.is_none_or(|before| used < before) {
                    let is_small = stored.size <= SMALL_BYTES;
                    let Stored { size, identity, .. } = stored;
                    found.offer(Candidate { is_small, used, digest, size, identity });
                }
            }
        }
        Ok(found)
    }

    /// Removes candidates, first things first, until `most` bytes are gone. What was asked for, or
    /// came to be held, since they were searched for stays.
    fn remove_all(&self, found: Candidates, most: u64) -> Evicted {
        let mut gone = Evicted::default();
        for candidate in found.heap.into_sorted_vec() {
            if gone.bytes >= most || self.tasks.is_stopping() {
                break;
            }
            let digest = candidate.digest;
            let is_held = self.keep.recency.last(&digest).is_some_and(|last| last > candidate.used)
                || self.keep.recency.is_promised(&digest, self.clock.monotonic())
                || self.keep.pinned().is_none_or(|pinned| pinned.contains(&digest));
            if is_held {
                continue;
            }
            match self.remove(&digest, Some(candidate.identity)) {
                Ok(true) => {
                    gone.blobs += 1;
                    gone.bytes += candidate.size;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%digest, %error, "blob cannot be evicted"),
            }
        }
        gone
    }
}

/// When content was last asked for: what the index remembers or the file's own times say, whichever
/// is later and not a lie.
fn last_used(
    stored: &Stored,
    used: &HashMap<Digest, Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let latest = now.milliseconds().saturating_add(AHEAD_MAX_MILLISECONDS);
    let known = [used.get(&stored.digest).copied(), Some(stored.modified), Some(stored.accessed)];
    known.into_iter().flatten().filter(|at| at.milliseconds() <= latest).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(number: u64, size: u64, used: i64) -> Candidate {
        Candidate {
            is_small: size <= SMALL_BYTES,
            used: Timestamp::from_milliseconds(used),
            digest: Digest::sha256(&number.to_be_bytes()),
            size,
            identity: Identity::of(&std::fs::File::open("/dev/null").unwrap()).unwrap(),
        }
    }

    fn search(most: u64) -> Candidates {
        Candidates { heap: BinaryHeap::new(), bytes: 0, most, evictable: 0, is_cut: false }
    }

    #[test]
    fn the_oldest_go_first_and_no_more_of_them_than_needed() {
        let mut found = search(250_000);
        for used in [5_i64, 3, 9, 1, 7] {
            found.offer(candidate(used.unsigned_abs(), 100_000, used));
        }
        assert_eq!(found.evictable, 500_000);
        let order: Vec<i64> =
            found.heap.into_sorted_vec().iter().map(|c| c.used.milliseconds()).collect();
        assert_eq!(order, [1, 3, 5]);
    }

    #[test]
    fn small_content_goes_last_however_old() {
        let mut found = search(100_001);
        found.offer(candidate(1, 1_000, 0));
        found.offer(candidate(2, 100_000, 99));
        let sizes: Vec<u64> = found.heap.into_sorted_vec().iter().map(|c| c.size).collect();
        assert_eq!(sizes, [100_000, 1_000]);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_are_those_that_are_kept() {
        let mut found = search(u64::MAX);
        let count = i64::try_from(CANDIDATES_MAX).unwrap() + 500;
        for used in (0..count).rev() {
            found.offer(candidate(used.unsigned_abs(), 100_000, used));
        }
        assert!(found.is_cut && found.heap.len() == CANDIDATES_MAX);
        assert_eq!(found.heap.into_sorted_vec().last().unwrap().used.milliseconds(), count - 501);
    }
}
