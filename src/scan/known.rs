//! What this program knows of versions, distributions and scores, for those who match and import.

use super::database::{Builder, Database, DatabaseError};
use super::matching::{self, Rules};
use super::version::{Scheme, Version};
use super::{Distribution, Inventory, PackageKind, Report, cvss};
use crate::time::Timestamp;

/// The rules by which everything is matched.
struct Known;

impl Rules for Known {
    type Version = Version;

    fn version(&self, kind: PackageKind, text: &str) -> Option<Version> {
        Version::parse(Scheme::of(kind), text).ok()
    }

    fn feed(&self, distribution: &Distribution) -> Option<String> {
        distribution.feed().map(|feed| feed.to_string())
    }

    fn has_ended(&self, distribution: &Distribution, now: Timestamp) -> bool {
        distribution.end_of_life().has_passed(now).unwrap_or(false)
    }
}

impl Database {
    /// What is known against `inventory`. It blocks, for milliseconds.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn report(&self, inventory: &Inventory, now: Timestamp) -> Result<Report, DatabaseError> {
        matching::report(self, inventory, now, &Known)
    }
}

impl Builder {
    /// A database that is made at `now`, with the scores of CVSS as this program reads them.
    pub fn at(now: Timestamp) -> Self {
        Self::new(now, |vector| cvss::score(vector).ok())
    }
}
