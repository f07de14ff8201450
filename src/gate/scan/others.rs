//! What scanners beside the one inside say of an image.

use std::sync::Arc;

use crate::oci::Digest;
use crate::scan::{DatabaseId, Report, Reported};
use crate::time::Timestamp;

/// What another scanner said of one image.
#[derive(Debug, Clone)]
pub struct OtherScan {
    /// The scanner, with its version.
    pub scanner: String,
    /// As of when its database was; `None` where it does not say.
    pub database: Option<Timestamp>,
    /// What it found, in our words. Its database is known by the digest of the report.
    pub report: Arc<Report>,
    /// What it could not read.
    pub gaps: Vec<String>,
    /// What it can say nothing about.
    pub unknown: Vec<String>,
}

impl OtherScan {
    /// The report of that digest.
    pub fn of(digest: Digest, reported: Reported) -> Self {
        let Reported { scanner, database, at, findings, gaps, unknown } = reported;
        let as_of = database.unwrap_or(at);
        let report = Report {
            database: DatabaseId { digest, as_of },
            exploited_as_of: None,
            likelihood_as_of: None,
            findings,
            unmatched: Vec::new(),
            gaps: Vec::new(),
        };
        Self { scanner, database, report: Arc::new(report), gaps, unknown }
    }
}
