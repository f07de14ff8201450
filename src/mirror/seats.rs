//! Who takes part in which flight: the synchronous core of "one fetch for everybody".
//!
//! For one key at most one flight can be joined at a time. Whoever begins it is its pilot, and so
//! are all who may still take a seat sure of its result: a flight that ends for want of passengers
//! or of places to ask leaves the table in the same step in which that is decided, so nobody boards
//! a flight that has given up. Nothing here waits or does I/O, so every interleaving can be tried.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use super::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places that one flight can be told to ask.
const SOURCES_MAX: usize = 64;

/// Too many flights are under way, or too many places are to be asked for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// What a flight carries, and how it hears that its last passenger left.
pub(crate) trait Flight {
    /// Nobody waits any more; called with the table locked, so it must not come back to it.
    fn emptied(&self);
}

/// The flights of one kind, at most `limit` of them.
pub(crate) struct Seats<K, S, F> {
    table: Arc<Mutex<Table<K, S, F>>>,
    limit: usize,
}

type Table<K, S, F> = HashMap<K, Entry<S, F>>;

struct Entry<S, F> {
    flight: Arc<F>,
    sources: Vec<S>,
    passengers: usize,
}

/// What came of asking for a seat.
pub(crate) enum Taken<K: Eq + Hash, S, F: Flight> {
    /// There was no flight: whoever asked has to fly this one.
    Begun(Seat<K, S, F>, Pilot<K, S, F>),
    /// There was one.
    Joined(Seat<K, S, F>),
}

/// A passenger's place; dropping it is leaving.
pub(crate) struct Seat<K: Eq + Hash, S, F: Flight> {
    place: Place<K, S, F>,
}

/// The right and duty to end one flight; dropping it ends it.
pub(crate) struct Pilot<K: Eq + Hash, S, F: Flight> {
    place: Place<K, S, F>,
}

struct Place<K, S, F> {
    table: Arc<Mutex<Table<K, S, F>>>,
    key: K,
    flight: Arc<F>,
}

impl<K: Clone + Eq + Hash, S: PartialEq, F: Flight> Seats<K, S, F> {
    /// No flights yet.
    pub(crate) fn new(limit: usize) -> Self {
        Self { table: Arc::new(Mutex::new(HashMap::new())), limit }
    }

    /// Takes a seat in the flight for `key`, which begins with `flight` if there is none; `source` is
    /// one more place that it may ask.
    ///
    /// # Errors
    /// [`Full`] when a flight would have to begin and `limit` are under way, or when the one there is
    /// has too many places to ask already.
    pub(crate) fn take(
        &self,
        key: &K,
        source: S,
        flight: impl FnOnce() -> F,
    ) -> Result<Taken<K, S, F>, Full> {
        let mut table = lock(&self.table);
        if let Some(entry) = table.get_mut(key) {
            if !entry.sources.contains(&source) {
                if entry.sources.len() >= SOURCES_MAX {
                    return Err(Full);
                }
                entry.sources.push(source);
            }
            entry.passengers += 1;
            return Ok(Taken::Joined(Seat { place: self.place(key, &entry.flight) }));
        }
        if table.len() >= self.limit {
            return Err(Full);
        }
        let flight = Arc::new(flight());
        let (seat, pilot) = (self.place(key, &flight), self.place(key, &flight));
        table.insert(key.clone(), Entry { flight, sources: vec![source], passengers: 1 });
        Ok(Taken::Begun(Seat { place: seat }, Pilot { place: pilot }))
    }

    fn place(&self, key: &K, flight: &Arc<F>) -> Place<K, S, F> {
        Place { table: Arc::clone(&self.table), key: key.clone(), flight: Arc::clone(flight) }
    }
}

impl<K: Eq + Hash, S: Clone, F: Flight> Pilot<K, S, F> {
    /// The next place to ask after the first `asked` ones. `None`: there is no other, and nobody can
    /// join any more.
    pub(crate) fn next_source(&self, asked: usize) -> Option<S> {
        let mut table = lock(&self.place.table);
        let entry = self.place.entry(&mut table)?;
        let source = entry.sources.get(asked).cloned();
        if source.is_none() {
            table.remove(&self.place.key);
        }
        source
    }

    /// Ends the flight if nobody waits for it; gives whether it did. From then on nobody can join.
    pub(crate) fn end_if_empty(&self) -> bool {
        let mut table = lock(&self.place.table);
        match self.place.entry(&mut table) {
            Some(entry) if entry.passengers > 0 => false,
            Some(_) => {
                table.remove(&self.place.key);
                true
            }
            None => false,
        }
    }

    /// Ends the flight: from then on whoever asks begins another one.
    pub(crate) fn end(&self) {
        self.place.remove();
    }

    /// What the flight carries.
    pub(crate) fn flight(&self) -> &F {
        &self.place.flight
    }
}

impl<K: Eq + Hash, S, F: Flight> Seat<K, S, F> {
    /// What the flight carries.
    pub(crate) fn flight(&self) -> &F {
        &self.place.flight
    }

    /// Ends the flight, which a passenger may find to have failed before its pilot does.
    pub(crate) fn end(&self) {
        self.place.remove();
    }
}

impl<K: Eq + Hash, S, F> Place<K, S, F> {
    /// The entry of this flight, not of a later one for the same key.
    fn entry<'a>(&self, table: &'a mut Table<K, S, F>) -> Option<&'a mut Entry<S, F>> {
        table.get_mut(&self.key).filter(|entry| Arc::ptr_eq(&entry.flight, &self.flight))
    }

    fn remove(&self) {
        let mut table = lock(&self.table);
        if self.entry(&mut table).is_some() {
            table.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash, S, F: Flight> Drop for Seat<K, S, F> {
    fn drop(&mut self) {
        let mut table = lock(&self.place.table);
        if let Some(entry) = self.place.entry(&mut table) {
            entry.passengers = entry.passengers.saturating_sub(1);
            if entry.passengers == 0 {
                entry.flight.emptied();
            }
        }
    }
}

impl<K: Eq + Hash, S, F: Flight> Drop for Pilot<K, S, F> {
    fn drop(&mut self) {
        self.place.remove();
    }
}

impl<K, S, F> fmt::Debug for Seats<K, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seats").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, S, F: Flight> fmt::Debug for Seat<K, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}

/// A poisoned table is still a table: its entries are only inserted and removed whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
