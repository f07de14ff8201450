//! What a database knows against an inventory.
//!
//! Promises:
//! - Distributions' packages are compared with the feed of the release that the image says it is, by
//!   what they were built from where the feed names that; and no other feed.
//! - One vulnerability is one finding per package, whatever number of records tell of it.
//! - What cannot be compared, has no feed, or is too much, is said to be unmatched or a gap:
//!   never left out.
//!
//! It must not: weigh findings, or leave some out because they do not matter.

mod feeds;
mod kernel;
mod merge;
mod package;
mod range;
mod rpm;
#[cfg(test)]
mod tests;

pub(super) use kernel::has_only_headers;

use super::database::{Database, DatabaseError};
use super::report::sort_worst_first;
use super::{Inventory, Report};
use crate::time::Timestamp;
use package::Matcher;

/// Compares an inventory with a database.
///
/// # Errors
/// When the database is damaged.
pub(super) fn report(
    database: &Database,
    inventory: &Inventory,
    now: Timestamp,
) -> Result<Report, DatabaseError> {
    let (feeds, unmatched) = feeds::choose(database, inventory, now);
    let mut matcher = Matcher::new(database, now, unmatched);
    for package in &inventory.packages {
        if let Some(chosen) = feeds.get(&package.kind) {
            matcher.add(package, chosen)?;
        }
    }
    let mut report = matcher.finish();
    sort_worst_first(&mut report.findings);
    Ok(report)
}
