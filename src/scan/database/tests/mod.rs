//! Imports that should fail, and what is left of those that do not.

mod archives;
mod damage;
mod real;
mod records;
