//! Forgeries and damage, each refused; and what must pass.

mod forger;
mod forms;
mod keyless;
mod keys;
mod vectors;
