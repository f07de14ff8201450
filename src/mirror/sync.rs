//! The locks of what is tried under a model of threads: there, this module is another one.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
