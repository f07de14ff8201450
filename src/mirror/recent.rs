//! A bounded memory of recent things.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Remembers the last `capacity` keys that were set; the oldest is forgotten first.
pub(crate) struct Recent<K, V> {
    capacity: usize,
    entries: Mutex<Entries<K, V>>,
}

struct Entries<K, V> {
    values: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Clone + Eq + Hash, V: Clone> Recent<K, V> {
    /// An empty memory for `capacity` keys.
    pub(crate) fn new(capacity: usize) -> Self {
        let entries = Entries { values: HashMap::new(), order: VecDeque::new() };
        Self { capacity, entries: Mutex::new(entries) }
    }

    /// What was last set for `key`, if it is still remembered.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.lock().values.get(key).cloned()
    }

    /// Remembers `value` for `key`.
    pub(crate) fn set(&self, key: K, value: V) {
        let mut entries = self.lock();
        if entries.values.insert(key.clone(), value).is_some() {
            return;
        }
        entries.order.push_back(key);
        while entries.order.len() > self.capacity {
            if let Some(oldest) = entries.order.pop_front() {
                entries.values.remove(&oldest);
            }
        }
    }

    /// Forgets the value of `key`; its place in the order stays until it is the oldest.
    pub(crate) fn forget(&self, key: &K) {
        let mut entries = self.lock();
        if entries.values.remove(key).is_some() {
            entries.order.retain(|kept| kept != key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> fmt::Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let recent = Recent::new(2);
        recent.set(1, 'a');
        recent.set(2, 'b');
        recent.set(1, 'c');
        recent.set(3, 'd');
        assert_eq!((recent.get(&1), recent.get(&2), recent.get(&3)), (None, Some('b'), Some('d')));
        recent.forget(&2);
        recent.set(4, 'e');
        assert_eq!((recent.get(&3), recent.get(&4)), (Some('d'), Some('e')));
    }
}
