//! A bounded memory of recent things.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Remembers the last `capacity` keys that were set, and no more than they may weigh together; the
/// oldest is forgotten first.
pub(crate) struct Recent<K, V> {
    capacity: usize,
    weight_max: u64,
    entries: Mutex<Entries<K, V>>,
}

struct Entries<K, V> {
    values: HashMap<K, (V, u64)>,
    order: VecDeque<K>,
    weight: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Recent<K, V> {
    /// An empty memory for `capacity` keys.
    pub(crate) fn new(capacity: usize) -> Self {
        Self::weighing(capacity, u64::MAX)
    }

    /// An empty memory for `capacity` keys whose values weigh `weight_max` at most, in whatever unit
    /// [`Self::set_weighing`] is told.
    pub(crate) fn weighing(capacity: usize, weight_max: u64) -> Self {
        let entries = Entries { values: HashMap::new(), order: VecDeque::new(), weight: 0 };
        Self { capacity, weight_max, entries: Mutex::new(entries) }
    }

    /// What was last set for `key`, if it is still remembered.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.lock().values.get(key).map(|(value, _)| value.clone())
    }

    /// Remembers `value` for `key`.
    pub(crate) fn set(&self, key: K, value: V) {
        self.set_weighing(key, value, 0);
    }

    /// Remembers `value`, which weighs `weight`, for `key`; one that weighs more than all may is not.
    pub(crate) fn set_weighing(&self, key: K, value: V, weight: u64) {
        if weight > self.weight_max {
            return;
        }
        let mut entries = self.lock();
        entries.weight = entries.weight.saturating_add(weight);
        if let Some((_, before)) = entries.values.insert(key.clone(), (value, weight)) {
            entries.weight = entries.weight.saturating_sub(before);
        } else {
            entries.order.push_back(key);
        }
        while entries.order.len() > self.capacity || entries.weight > self.weight_max {
            let Some(oldest) = entries.order.pop_front() else { break };
            if let Some((_, weight)) = entries.values.remove(&oldest) {
                entries.weight = entries.weight.saturating_sub(weight);
            }
        }
    }

    /// Forgets the value of `key`.
    pub(crate) fn forget(&self, key: &K) {
        let mut entries = self.lock();
        if let Some((_, weight)) = entries.values.remove(key) {
            entries.weight = entries.weight.saturating_sub(weight);
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
    #[test]
    fn together_they_weigh_no_more_than_they_may() {
        let recent = Recent::weighing(9, 10);
        recent.set_weighing(1, 'a', 6);
        recent.set_weighing(2, 'b', 4);
        recent.set_weighing(1, 'c', 3);
        recent.set_weighing(3, 'd', 3);
        assert_eq!(
            (recent.get(&1), recent.get(&2), recent.get(&3)),
            (Some('c'), Some('b'), Some('d'))
        );
        recent.set_weighing(4, 'e', 11);
        assert_eq!((recent.get(&4), recent.get(&3)), (None, Some('d')), "it alone is too much");
        recent.set_weighing(5, 'f', 9);
        assert_eq!((recent.get(&2), recent.get(&3), recent.get(&5)), (None, None, Some('f')));
    }
}
