//! When content was last asked for, coarsely, without a lock or a write per hit.
//!
//! A fixed table of atomics remembers for the contents in demand in which minute they were last
//! asked for; the index is told once an hour. Two contents that fall into one slot displace each
//! other: that costs notes to the index, never a wrong answer that matters, because what was
//! promised to a node stands in a list of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::oci::Digest;
use crate::time::Timestamp;

/// Contents whose last minute is remembered: 128 KiB.
const SLOTS: usize = 16_384;
/// How long what was promised stays, on the monotonic clock.
pub(super) const PROMISE_KEPT: Duration = Duration::from_mins(10);
/// Promises that are remembered; the one that ends first gives way.
const PROMISES_MAX: usize = 32_768;

const MINUTE_MILLISECONDS: i64 = 60_000;
const HOUR_MINUTES: u32 = 60;

/// What was asked for lately.
pub(in crate::store) struct Recency {
    /// Fingerprint of a digest in the high half, minute in the low half; 0 is nothing.
    slots: Box<[AtomicU64]>,
    /// Until when each promise is kept.
    promises: Mutex<HashMap<Digest, Duration>>,
}

impl Default for Recency {
    fn default() -> Self {
        let slots = std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect();
        Self { slots, promises: Mutex::default() }
    }
}

impl Recency {
    /// Notes that `digest` is asked for; gives whether the index should be told.
    pub(super) fn touch(&self, digest: &Digest, now: Timestamp) -> bool {
        let Some((slot, fingerprint)) = self.slot(digest) else { return true };
        let minute = minute(now);
        let (before, value) = (slot.load(Ordering::Relaxed), join(fingerprint, minute));
        if before == value {
            return false;
        }
        slot.store(value, Ordering::Relaxed);
        let (known, last) = split(before);
        known != fingerprint || last / HOUR_MINUTES != minute / HOUR_MINUTES
    }

    /// The minute in which `digest` was last asked for, if it is remembered.
    pub(super) fn last(&self, digest: &Digest) -> Option<Timestamp> {
        let (slot, fingerprint) = self.slot(digest)?;
        let (known, last) = split(slot.load(Ordering::Relaxed));
        let milliseconds = i64::from(last) * MINUTE_MILLISECONDS;
        (known == fingerprint).then(|| Timestamp::from_milliseconds(milliseconds))
    }

    /// Keeps `digest` for [`PROMISE_KEPT`] from `now`, which is monotonic.
    pub(super) fn promise(&self, digest: &Digest, now: Duration) {
        let mut promises = self.promises.lock().unwrap_or_else(PoisonError::into_inner);
        if promises.len() >= PROMISES_MAX && !promises.contains_key(digest) {
            promises.retain(|_, until| *until > now);
            if promises.len() >= PROMISES_MAX
                && let Some(first) = promises.iter().min_by_key(|(_, until)| **until)
            {
                let first = *first.0;
                promises.remove(&first);
            }
        }
        promises.insert(*digest, now + PROMISE_KEPT);
    }

    /// Whether `digest` was promised and the promise still holds at `now`, which is monotonic.
    pub(super) fn is_promised(&self, digest: &Digest, now: Duration) -> bool {
        let promises = self.promises.lock().unwrap_or_else(PoisonError::into_inner);
        promises.get(digest).is_some_and(|until| *until > now)
    }

    fn slot(&self, digest: &Digest) -> Option<(&AtomicU64, u32)> {
        let bytes = digest.as_bytes();
        let number = |at: usize| {
            let four = bytes.get(at..at + 4)?;
            four.try_into().ok().map(u32::from_be_bytes)
        };
        let slot = usize::try_from(number(0)?).ok()? % SLOTS;
        // Never 0, so that no digest is taken for an empty slot.
        Some((self.slots.get(slot)?, number(4)? | 1))
    }
}

fn minute(at: Timestamp) -> u32 {
    u32::try_from(at.milliseconds() / MINUTE_MILLISECONDS).unwrap_or_default()
}

fn join(fingerprint: u32, minute: u32) -> u64 {
    u64::from(fingerprint) << 32 | u64::from(minute)
}

fn split(value: u64) -> (u32, u32) {
    let low = u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default();
    (u32::try_from(value >> 32).unwrap_or_default(), low)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_hot_content_is_noted_once_an_hour() {
        let (recency, digest) = (Recency::default(), Digest::sha256(b"hot"));
        let hits = (0..3 * 60).map(|minute| Timestamp::from_milliseconds(minute * 60_000));
        let noted = hits.filter(|now| recency.touch(&digest, *now)).count();
        assert_eq!(noted, 3);
        assert!(!recency.touch(&digest, Timestamp::from_milliseconds(3 * HOUR - 1)));
        assert!(recency.touch(&digest, Timestamp::from_milliseconds(0)), "a clock set back");
    }

    #[test]
    fn what_was_asked_for_last_is_known_to_the_minute() {
        let (recency, digest) = (Recency::default(), Digest::sha256(b"hot"));
        assert_eq!(recency.last(&digest), None);
        recency.touch(&digest, Timestamp::from_milliseconds(HOUR + 59_000));
        assert_eq!(recency.last(&digest), Some(Timestamp::from_milliseconds(HOUR)));
    }

    #[test]
    fn a_promise_is_kept_for_ten_minutes_and_memory_is_bounded() {
        let recency = Recency::default();
        let digest = |number: usize| Digest::sha256(&number.to_be_bytes());
        recency.promise(&digest(0), Duration::from_secs(5));
        assert!(recency.is_promised(&digest(0), Duration::from_secs(604)));
        assert!(!recency.is_promised(&digest(0), Duration::from_secs(605)));
        for number in 0..PROMISES_MAX + 3 {
            recency.promise(&digest(number), Duration::from_secs(700));
        }
        assert_eq!(recency.promises.lock().unwrap().len(), PROMISES_MAX);
        assert!(recency.is_promised(&digest(PROMISES_MAX + 2), Duration::from_secs(701)));
    }
}
