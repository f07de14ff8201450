//! What is known of vulnerabilities: records of OSV, and what others add, in one file that is searched
//! where it lies.
//!
//! Promises:
//! - Records that cannot be read are counted and named, and too many of them fail the import: a
//!   database never silently knows less than its feeds.
//! - A record that was withdrawn, or that a newer one of its id took the place of, says nothing.
//! - What a file says is believed only if its checksum fits, or the caller vouches for its bytes; and
//!   whatever leads outside is an error, never "nothing known".
//! - Equal feeds, at an equal time, make equal files.
//!
//! It must not: open files (it gets readers and bytes), say which versions are affected (that is
//! matching's; here they are only put in the order that `version` gives them).

mod advisory;
mod artifacts;
mod assemble;
mod before;
mod build;
mod coverage;
mod error;
mod extras;
mod feed;
#[cfg(feature = "fuzzing")]
pub(in crate::scan) mod fuzzing;
mod groups;
mod import;
mod intern;
mod layout;
pub(super) mod names;
mod open;
mod record;
mod rows;
mod shared;
mod statement;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod versions;
mod wire;
mod zip;

pub use advisory::Score;
pub(super) use advisory::{Authority, Bound};
pub(super) use before::{Asked, Matched, without_place};
pub use build::{Builder, Summary};
pub use error::{DatabaseError, ImportError};
pub(super) use feed::printable;
pub use feed::{Feed, FeedKind, Status, Unreadable};
pub use open::Database;
pub(super) use open::Ecosystem;
pub(super) use statement::{Event, Statement};
pub(super) use versions::{BEGINNING, Versions};
