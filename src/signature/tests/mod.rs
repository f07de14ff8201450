//! Forgeries and damage, each refused; and what must pass.

mod damage;
pub(super) mod forger;
mod forms;
pub(super) mod instance;
mod keyless;
mod keys;
mod logs;
mod people;
mod shapes;
mod times;
mod vectors;
mod work;
