//! Forgeries and damage, each refused; and what must pass.

mod forger;
mod forms;
mod keys;
mod vectors;
