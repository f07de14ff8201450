//! What this program knows of versions and scores, for those who match and import.

use super::database::{Builder, Database, DatabaseError};
use super::{Inventory, Report, cvss, matching};
use crate::time::Timestamp;

impl Database {
    /// What is known against `inventory`. It blocks, for milliseconds, and
    /// longer the first time that a kind of package is asked for: its versions are put in order then.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn report(&self, inventory: &Inventory, now: Timestamp) -> Result<Report, DatabaseError> {
        matching::report(self, inventory, now)
    }
}

impl Builder {
    /// A database that is made at `now`, with the scores of CVSS as this program reads them.
    pub fn at(now: Timestamp) -> Self {
        Self::new(now, |vector| cvss::score(vector).ok())
    }
}
