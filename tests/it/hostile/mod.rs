//! What a hostile upstream can do to the mirror, and what comes of it: nothing.
//!
//! After every fault all promises are checked that can be read from outside; see
//! `support::hostile::invariants`.

mod bodies;
mod heads;
mod health;
mod logins;
mod manifests;
mod tokens;
