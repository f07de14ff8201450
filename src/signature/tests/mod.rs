//! Forgeries and damage, each refused; and what must pass.

mod demands;
mod forger;
mod forms;
mod jwks;
mod keyless;
mod keys;
mod log;
mod vectors;
mod windows;
