//! Turns: of the work for one key, one piece runs at a time, however long it takes.
//!
//! Work in a thread cannot be stopped: what took too long runs on after whoever wanted it has gone.
//! Those who come next wait until it has ended, each as long as it likes, so that one key holds one
//! thread and never one for each who asks.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Whose turn it is, by key. There are as many keys as there is work that runs or waits.
pub(super) struct Turns<K: Eq + Hash> {
    seats: Seats<K>,
}

type Seats<K> = Arc<Mutex<HashMap<K, Arc<Semaphore>>>>;

impl<K: Eq + Hash> Default for Turns<K> {
    fn default() -> Self {
        Self { seats: Arc::default() }
    }
}

impl<K: Clone + Eq + Hash> Turns<K> {
    /// Waits until nobody else works for `key`, in the order in which it was asked for.
    ///
    /// # Cancel safety
    /// Who leaves early has had no turn, and holds up nobody.
    pub(super) async fn take(&self, key: K) -> Turn<K> {
        let seat = {
            let mut seats = lock(&self.seats);
            let seat = seats.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(1)));
            Arc::clone(seat)
        };
        let place = Place { seats: Arc::clone(&self.seats), key, seat: Some(Arc::clone(&seat)) };
        // Nobody closes it.
        let permit = seat.acquire_owned().await.ok();
        Turn { _permit: permit, _place: place }
    }
}

/// It ends when this is dropped, and the next one begins.
pub(super) struct Turn<K: Eq + Hash> {
    // The first that is dropped.
    _permit: Option<OwnedSemaphorePermit>,
    _place: Place<K>,
}

/// Clears the table of a key that nobody works for or waits for any more.
struct Place<K: Eq + Hash> {
    seats: Seats<K>,
    key: K,
    seat: Option<Arc<Semaphore>>,
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut seats = lock(&self.seats);
        // With the table locked, so that the last of two that leave at once sees that it is.
        drop(self.seat.take());
        if seats.get(&self.key).is_some_and(|seat| Arc::strong_count(seat) == 1) {
            seats.remove(&self.key);
        }
    }
}

/// A poisoned table is still a table: its entries are only inserted and removed whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_has_the_turn_and_the_next_has_it_when_that_ends() {
        let turns = Turns::<u8>::default();
        let first = turns.take(1).await;
        let mut second = Box::pin(turns.take(1));
        let mut third = Box::pin(turns.take(1));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        assert!(turns.take(2).now_or_never().is_some(), "another key has turns of its own");
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "in the order of asking");
        let second = second.now_or_never().unwrap();
        drop(second);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_leaves_while_waiting_holds_up_nobody_and_nothing_is_kept() {
        let turns = Turns::<u8>::default();
        let first = turns.take(1).await;
        let mut gone = Box::pin(turns.take(1));
        let mut next = Box::pin(turns.take(1));
        assert!(gone.as_mut().now_or_never().is_none());
        assert!(next.as_mut().now_or_never().is_none());
        drop(first);
        drop(gone);
        drop(next.now_or_never().unwrap());
        assert!(lock(&turns.seats).is_empty());
        drop(Box::pin(turns.take(3)));
        let waiting = turns.take(1).await;
        assert_eq!(lock(&turns.seats).len(), 1);
        drop(waiting);
        assert!(lock(&turns.seats).is_empty());
    }
}
