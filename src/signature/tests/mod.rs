//! Forgeries and damage, each refused; and what must pass.

mod bounds;
mod damage;
mod demands;
pub(super) mod forger;
mod forms;
pub(super) mod instance;
mod jwks;
mod keyless;
mod keys;
mod log;
mod logs;
mod people;
mod shapes;
mod times;
mod vectors;
mod windows;
mod work;
