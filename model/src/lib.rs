//! The synchronous core of the mirror, tried under many interleavings of threads.
//!
//! The files are those of the program; only their locks are others, which let a scheduler decide who
//! goes on. `model/run` runs all of it.

#[cfg(test)]
#[path = "../../src/mirror/seats.rs"]
mod seats;
#[cfg(test)]
mod sync {
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;
}
#[cfg(test)]
mod tests;
