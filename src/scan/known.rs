//! What this program knows of versions and scores, for those who match and import.

use super::database::{Builder, Database, DatabaseError};
use super::matching::{self, Rules};
use super::version::{Scheme, Version};
use super::{Inventory, PackageKind, Report, cvss};
use crate::time::Timestamp;

/// The rules by which everything is matched.
pub(super) struct Known;

impl Rules for Known {
    type Version = Version;

    fn version(&self, kind: PackageKind, text: &str) -> Option<Version> {
        Version::parse(Scheme::of(kind), text).ok()
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
