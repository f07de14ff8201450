//! What is in memory in front of the database: bounded, and never older than the last commit.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::Settings;
use super::emergencies::Emergencies;
use super::exceptions::Known as Exceptions;
use super::grants::Granted;
use super::people::People;
use super::policy::InForce;
use super::pulls::Pulls;
use super::records::Record;
use super::requests::Desk;
use super::tags::TagRecord;
use super::tokens::Known;
use crate::oci::{Algorithm, Name, Tag};

/// Most tags in memory, in bytes.
const TAG_MEMORY_BYTES: u64 = 4 << 20;
/// Most answers "there is nothing" in memory, in bytes, for each kind of thing.
const NOTHING_MEMORY_BYTES: u64 = 1 << 20;
/// Parts of a cache, each with its own lock.
const SHARDS: usize = 16;
/// What an entry costs beside its own weight, in bytes: key, slot, place in the order.
const ENTRY_BYTES: u64 = 160;
/// What a value is taken to hold in memory for each byte of its stored form: text in boxes of its own,
/// and what the allocator rounds up. Estimated to be too much rather than too little.
const HELD_PER_STORED: u64 = 4;

/// Everything the ledger holds in memory.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) records: Answers<Arc<Record>>,
    pub(super) grants: Answers<Arc<[Granted]>>,
    pub(super) tags: Answers<Arc<TagRecord>>,
    pub(super) tags_of: Cache<Arc<[Tag]>>,
    pub(super) desk: Mutex<Desk>,
    pub(super) tokens: RwLock<Vec<Known>>,
    pub(super) people: RwLock<People>,
    pub(super) emergencies: RwLock<Emergencies>,
    pub(super) exceptions: RwLock<Exceptions>,
    pub(super) in_force: RwLock<Option<InForce>>,
    pub(super) pulls: Mutex<Pulls>,
}

impl Memory {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            records: Answers::new(settings.record_memory_bytes),
            grants: Answers::new(settings.grant_memory_bytes),
            tags: Answers::new(TAG_MEMORY_BYTES),
            tags_of: Cache::new(TAG_MEMORY_BYTES),
            desk: Mutex::default(),
            tokens: RwLock::default(),
            people: RwLock::default(),
            emergencies: RwLock::default(),
            exceptions: RwLock::default(),
            in_force: RwLock::default(),
            pulls: Mutex::default(),
        }
    }
}

/// The hash of a name and something in it: short, and as good as the two themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// The key of `item` (a digest or a tag) in the repository `name`.
    pub(super) fn new(name: &Name, item: &[u8]) -> Self {
        let mut hasher = Algorithm::Sha256.hasher();
        for part in [name.registry().as_str(), "/", name.repository().as_str(), "\0"] {
            hasher.update(part.as_bytes());
        }
        hasher.update(item);
        let mut key = [0; 32];
        for (to, from) in key.iter_mut().zip(hasher.finish().as_bytes()) {
            *to = *from;
        }
        Self(key)
    }

    fn shard(&self) -> usize {
        let [first, ..] = self.0;
        usize::from(first) % SHARDS
    }
}

/// What the database says under each key, which may be: nothing.
///
/// That there is nothing is worth as much as what there is: most questions about children of an index
/// have that answer, and it must not need the disk. It has memory of its own, so that questions about
/// things that do not exist, which anybody can ask without end, displace nothing that does.
#[derive(Debug)]
pub(super) struct Answers<V> {
    there: Cache<V>,
    nothing: Cache<()>,
}

impl<V: Clone> Answers<V> {
    fn new(bytes_max: u64) -> Self {
        Self { there: Cache::new(bytes_max), nothing: Cache::new(NOTHING_MEMORY_BYTES) }
    }

    /// What is known under `key`; the inner `None` is known, too.
    #[expect(clippy::option_option, reason = "not known, and known to be nothing")]
    pub(super) fn get(&self, key: &Key) -> Option<Option<V>> {
        match self.there.get(key) {
            Some(value) => Some(Some(value)),
            None => self.nothing.get(key).map(|()| None),
        }
    }

    /// As [`Cache::moment`].
    pub(super) fn moment(&self) -> Moments {
        Moments { there: self.there.moment(), nothing: self.nothing.moment() }
    }

    /// As [`Cache::offer`]: a value with its weight, or nothing.
    pub(super) fn offer(&self, key: Key, found: Option<(V, u64)>, moments: Moments) {
        match found {
            Some((value, bytes)) => self.there.offer(key, value, bytes, moments.there),
            None => self.nothing.offer(key, (), 0, moments.nothing),
        }
    }

    /// Takes what was just committed: a value with its weight, or that there is nothing.
    pub(super) fn set(&self, key: Key, found: Option<(V, u64)>) {
        // Both count a change, so that neither takes what was read before it.
        if let Some((value, bytes)) = found {
            self.there.set(key, value, bytes);
            self.nothing.forget(&key);
        } else {
            self.nothing.set(key, (), 0);
            self.there.forget(&key);
        }
    }

    /// As [`Cache::forget`].
    pub(super) fn forget(&self, key: &Key) {
        self.there.forget(key);
        self.nothing.forget(key);
    }

    /// As [`Cache::is_full`], for what there is.
    pub(super) fn is_full(&self) -> bool {
        self.there.is_full()
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.there.count()
    }
}

/// When a read began, for [`Answers`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    there: Moment,
    nothing: Moment,
}

/// A bounded map; when full, what was not asked for lately goes first (second chance).
#[derive(Debug)]
pub(super) struct Cache<V> {
    shards: [RwLock<Shard<V>>; SHARDS],
    shard_bytes: u64,
}

#[derive(Debug)]
struct Shard<V> {
    entries: HashMap<Key, Slot<V>>,
    order: VecDeque<Key>,
    bytes: u64,
    changes: u64,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    bytes: u64,
    asked: AtomicBool,
}

/// When a read of the database began, as a cache counts time: by changes, per shard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment([u64; SHARDS]);

impl<V: Clone> Cache<V> {
    fn new(bytes_max: u64) -> Self {
        let shard =
            || Shard { entries: HashMap::new(), order: VecDeque::new(), bytes: 0, changes: 0 };
        let shards = std::array::from_fn(|_| RwLock::new(shard()));
        let parts = u64::try_from(SHARDS).unwrap_or(1);
        Self { shards, shard_bytes: bytes_max / parts }
    }

    #[expect(clippy::indexing_slicing, reason = "a key's shard is below SHARDS")]
    fn shard(&self, key: &Key) -> &RwLock<Shard<V>> {
        &self.shards[key.shard()]
    }

    /// What is known under `key`.
    pub(super) fn get(&self, key: &Key) -> Option<V> {
        let shard = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
        let slot = shard.entries.get(key)?;
        slot.asked.store(true, Ordering::Relaxed);
        Some(slot.value.clone())
    }

    /// Now, to be taken before the database is read for [`offer`](Self::offer).
    pub(super) fn moment(&self) -> Moment {
        let changes =
            |shard: &RwLock<Shard<V>>| shard.read().unwrap_or_else(PoisonError::into_inner).changes;
        Moment(self.shards.each_ref().map(changes))
    }

    /// Takes `value`, read from the database since `moment`, unless a commit came in between: then it
    /// may be older than what was committed.
    pub(super) fn offer(&self, key: Key, value: V, bytes: u64, moment: Moment) {
        let mut shard = self.shard(&key).write().unwrap_or_else(PoisonError::into_inner);
        if moment.0.get(key.shard()) == Some(&shard.changes) {
            shard.put(key, value, bytes, self.shard_bytes);
        }
    }

    /// Takes `value`, which was just committed.
    pub(super) fn set(&self, key: Key, value: V, bytes: u64) {
        let mut shard = self.shard(&key).write().unwrap_or_else(PoisonError::into_inner);
        shard.changes += 1;
        shard.put(key, value, bytes, self.shard_bytes);
    }

    /// Forgets what is known under `key`, which a commit just changed.
    pub(super) fn forget(&self, key: &Key) {
        let mut shard = self.shard(key).write().unwrap_or_else(PoisonError::into_inner);
        shard.changes += 1;
        shard.remove(key);
    }

    /// Bytes held, and whether a further entry would push another one out.
    pub(super) fn is_full(&self) -> bool {
        self.shards.iter().any(|shard| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.bytes.saturating_add(ENTRY_BYTES) > self.shard_bytes
        })
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap().entries.len()).sum()
    }
}

impl<V> Shard<V> {
    fn put(&mut self, key: Key, value: V, bytes: u64, bytes_max: u64) {
        let bytes = bytes.saturating_mul(HELD_PER_STORED).saturating_add(ENTRY_BYTES);
        let asked = AtomicBool::new(false);
        match self.entries.insert(key, Slot { value, bytes, asked }) {
            Some(old) => self.bytes = self.bytes.saturating_sub(old.bytes),
            None => self.order.push_back(key),
        }
        self.bytes = self.bytes.saturating_add(bytes);
        while self.bytes > bytes_max {
            let Some(oldest) = self.order.pop_front() else { break };
            let spared = self.entries.get(&oldest).is_some_and(|slot| {
                // The newest is not spared from its own arrival, or one huge entry empties all.
                slot.asked.swap(false, Ordering::Relaxed) && oldest != key
            });
            if spared {
                self.order.push_back(oldest);
            } else if let Some(slot) = self.entries.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(slot.bytes);
            }
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(slot) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(slot.bytes);
            self.order.retain(|other| other != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        Key::new(&"up.test/a".parse().unwrap(), &number.to_be_bytes())
    }

    #[test]
    fn a_full_cache_keeps_what_is_asked_for() {
        let cache = Cache::new(16 * 10 * (ENTRY_BYTES + 10 * HELD_PER_STORED));
        cache.set(key(0), 0, 10);
        for number in 1..10_000 {
            assert_eq!(cache.get(&key(0)), Some(0), "after {number}");
            cache.set(key(number), number, 10);
        }
        assert!(cache.count() <= 160, "{}", cache.count());
        assert!(cache.is_full());
    }

    #[test]
    fn what_was_read_before_a_commit_never_replaces_what_was_committed() {
        let cache = Cache::new(1 << 20);
        let moment = cache.moment();
        cache.set(key(1), "committed", 1);
        cache.forget(&key(1));
        cache.offer(key(1), "read before", 1, moment);
        assert_eq!(cache.get(&key(1)), None);
        cache.offer(key(1), "read after", 1, cache.moment());
        assert_eq!(cache.get(&key(1)), Some("read after"));
    }

    #[test]
    fn nothing_and_something_take_each_others_place_and_older_reads_do_not() {
        let known = Answers::new(1 << 20);
        let before = known.moment();
        known.set(key(1), Some(("written", 1)));
        known.offer(key(1), None, before);
        assert_eq!(known.get(&key(1)), Some(Some("written")));
        let before = known.moment();
        known.set(key(1), None);
        known.offer(key(1), Some(("read before", 1)), before);
        assert_eq!(known.get(&key(1)), Some(None));
        let before = known.moment();
        known.forget(&key(1));
        known.offer(key(1), None, before);
        assert_eq!(known.get(&key(1)), None);
        known.offer(key(1), None, known.moment());
        assert_eq!(known.get(&key(1)), Some(None));
    }

    #[test]
    fn questions_about_nothing_displace_nothing_that_is_there() {
        let known = Answers::new(1 << 20);
        known.set(key(0), Some(("there", 10)));
        for number in 1..100_000 {
            known.offer(key(number), None, known.moment());
        }
        assert_eq!(known.get(&key(0)), Some(Some("there")));
        let most = usize::try_from(NOTHING_MEMORY_BYTES / ENTRY_BYTES).unwrap();
        assert!(known.nothing.count() <= most, "{}", known.nothing.count());
    }

    #[test]
    fn the_same_item_in_two_repositories_has_two_keys() {
        let one = Key::new(&"up.test/a".parse().unwrap(), b"x");
        let other = Key::new(&"up.test/b".parse().unwrap(), b"x");
        assert_ne!(one, other);
    }
}
