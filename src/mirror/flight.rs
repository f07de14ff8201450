//! Flights: one piece of work for everybody who wants its result.
//!
//! The work belongs to the mirror, never to a request: whoever asked first may leave, and it goes
//! on for the others. A panic in the work lands as [`Abandoned`], never as a wait without an end.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Error;
use crate::tasks::Tasks;

/// The work ended without a result: it panicked, or the program is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work was abandoned")]
pub struct Abandoned;

/// The flights of one kind, by what they are for.
pub(crate) struct Flights<K, V> {
    seats: Seats<K, V>,
    tasks: Tasks,
    limit: usize,
}

type Seats<K, V> = Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>;

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// No flights yet; there will be no more than `limit` at a time.
    pub(crate) fn new(tasks: Tasks, limit: usize) -> Self {
        Self { seats: Arc::default(), tasks, limit }
    }

    /// Takes a seat in the flight for `key`, which `start` begins if there is none.
    ///
    /// `start` is called with the seat table locked and must only make a future.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when it would have to begin and too many are under way.
    pub(crate) fn join<F>(&self, key: K, start: impl FnOnce() -> F) -> Result<Seat<V>, Error>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut seats = lock(&self.seats);
        if let Some(landing) = seats.get(&key) {
            return Ok(Seat { landing: landing.clone() });
        }
        if seats.len() >= self.limit {
            return Err(Error::Overloaded);
        }
        let (land, landing) = watch::channel(None);
        seats.insert(key.clone(), landing.clone());
        let clear = Clear { seats: Arc::clone(&self.seats), key };
        let work = start();
        drop(self.tasks.spawn(async move {
            let result = work.await;
            // The seat is cleared before the result is seen, so that whoever comes after it has
            // landed starts anew instead of reading an old result.
            drop(clear);
            land.send_replace(Some(result));
        }));
        Ok(Seat { landing })
    }
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

/// A place in a flight.
#[derive(Debug, Clone)]
pub(crate) struct Seat<V> {
    landing: watch::Receiver<Option<V>>,
}

impl<V: Clone> Seat<V> {
    /// Waits for the flight to land.
    ///
    /// # Cancel safety
    /// Leaving early harms neither the flight nor the others in it.
    pub(crate) async fn landed(mut self) -> Result<V, Abandoned> {
        let landed = self.landing.wait_for(Option::is_some).await.map_err(|_closed| Abandoned)?;
        landed.clone().ok_or(Abandoned)
    }
}

/// Clears the seat table entry however the work ends.
struct Clear<K: Eq + Hash, V> {
    seats: Seats<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Clear<K, V> {
    fn drop(&mut self) {
        lock(&self.seats).remove(&self.key);
    }
}

/// A poisoned table is still a table: its entries are only inserted and removed whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn many_who_wait_cause_one_piece_of_work() {
        let flights = Flights::<u8, usize>::new(Tasks::new(), 9);
        let runs = Arc::new(AtomicUsize::new(0));
        let go = Arc::new(Notify::new());
        let seats: Vec<_> = (0..40)
            .map(|_| {
                let (runs, go) = (Arc::clone(&runs), Arc::clone(&go));
                let seat = flights.join(1, || async move {
                    go.notified().await;
                    runs.fetch_add(1, Ordering::SeqCst) + 1
                });
                seat.unwrap()
            })
            .collect();
        go.notify_one();
        for seat in seats {
            assert_eq!(seat.landed().await, Ok(1));
        }
        let again = flights.join(1, || async { 2 }).unwrap();
        assert_eq!(again.landed().await, Ok(2), "a landed flight is not joined");
    }

    #[tokio::test]
    async fn the_first_to_leave_spoils_nothing() {
        let flights = Flights::<u8, u8>::new(Tasks::new(), 9);
        let go = Arc::new(Notify::new());
        let wait = Arc::clone(&go);
        let first = flights.join(1, || async move {
            wait.notified().await;
            7
        });
        let second = flights.join(1, || async { 8 }).unwrap();
        drop(first);
        go.notify_one();
        assert_eq!(second.landed().await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_lands_as_abandoned_and_clears_the_seat() {
        let flights = Flights::<u8, u8>::new(Tasks::new(), 9);
        let doomed = flights.join(1, || async { panic!("on purpose") }).unwrap();
        assert_eq!(doomed.landed().await, Err(Abandoned));
        assert_eq!(flights.join(1, || async { 3 }).unwrap().landed().await, Ok(3));
    }

    #[tokio::test]
    async fn no_more_than_the_limit_fly_and_who_joins_needs_no_room() {
        let flights = Flights::<u8, u8>::new(Tasks::new(), 2);
        let go = Arc::new(Notify::new());
        let begin = |key| {
            let go = Arc::clone(&go);
            flights.join(key, || async move {
                go.notified().await;
                key
            })
        };
        let (one, two) = (begin(1).unwrap(), begin(2).unwrap());
        assert!(matches!(begin(3), Err(Error::Overloaded)));
        let joined = begin(1).unwrap();
        tokio::task::yield_now().await;
        go.notify_waiters();
        assert_eq!((one.landed().await, two.landed().await), (Ok(1), Ok(2)));
        assert_eq!(joined.landed().await, Ok(1));
        let third = begin(3).unwrap();
        tokio::task::yield_now().await;
        go.notify_waiters();
        assert_eq!(third.landed().await, Ok(3));
    }
}
