//! What other scanners say of an image, in our words.
//!
//! Promises: what cannot be understood of a report is said, and is never as if nothing had been found;
//! everything is bounded. It must not run anything or fetch.

mod harbor;

pub use harbor::{HARBOR_REPORT_BYTES_MAX, HarborAsked, HarborReportError};

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::time::Timestamp;

/// What another scanner found in one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reported {
    /// The scanner and its version, in printable ASCII, bounded: `Trivy 0.76.0`.
    pub scanner: String,
    /// As of when its database is; `None` where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Timestamp>,
    /// When it looked.
    pub at: Timestamp,
    /// What it knows against the packages of the image: each vulnerability once per package, worst first.
    pub findings: Vec<Finding>,
    /// What it could not read, or what of its report could not be. Not empty: the scan is incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
    /// What it can say nothing about: a distribution that it does not know, or that gets no fixes any
    /// more. Not empty: the outcome is unknown, not clean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}
