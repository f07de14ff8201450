//! What other scanners say of an image, in our words.
//!
//! Promises:
//! - What cannot be understood of a report is said, and is never as if nothing had been found: a gap
//!   where something was not read, unknown where silence says nothing.
//! - What a scanner was told to leave out (its ignore rules, VEX) is a finding all the same: what does not
//!   count is the policy's to say.
//! - A report of another image than the one that was asked about is refused, as far as it names its image.
//! - Everything is bounded.
//!
//! It must not run anything or fetch, or check who wrote a report.

mod asked;
mod attested;
mod error;
mod grype;
mod harbor;
mod said;
mod sink;
#[cfg(test)]
mod tests;
mod trivy;

use serde::{Deserialize, Deserializer, Serialize};

use super::Finding;
use super::database::printable;
use crate::oci::from_strict_slice;
use crate::time::Timestamp;

pub use asked::Asked;
pub use error::ReportError;
pub use harbor::{HARBOR_REPORT_BYTES_MAX, HarborAsked, HarborReportError};

/// Bytes of a report that are read; those of images with a thousand packages have about 5 MiB.
pub const REPORT_BYTES_MAX: usize = 64 * 1024 * 1024;

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

impl Reported {
    /// What Trivy's report says (`--format json`). `at` is when it looked, where that is known; else the
    /// report has to say it. Of its database a report knows only what a Trivy server said.
    ///
    /// # Errors
    /// When it is no such report, is more than [`REPORT_BYTES_MAX`], is of no image or of another one, or
    /// nobody says when it was made.
    ///
    /// Spec: <https://trivy.dev/docs/latest/configuration/reporting/#json>
    pub fn from_trivy(
        json: &[u8],
        asked: &Asked<'_>,
        at: Option<Timestamp>,
    ) -> Result<Self, ReportError> {
        trivy::read(json, asked, at)
    }

    /// What Grype's report says (`-o json`), its database's age included. `at` as in
    /// [`from_trivy`](Self::from_trivy).
    ///
    /// # Errors
    /// As [`from_trivy`](Self::from_trivy).
    ///
    /// Spec: <https://oss.anchore.com/docs/guides/vulnerability/interpreting-results/>
    pub fn from_grype(
        json: &[u8],
        asked: &Asked<'_>,
        at: Option<Timestamp>,
    ) -> Result<Self, ReportError> {
        grype::read(json, asked, at)
    }

    /// What an attested scan says: the predicate of a statement of the type [`Self::PREDICATE_TYPE`], with
    /// a report of Trivy or Grype in it. Whoever asks has verified who signed it, and over which image.
    ///
    /// Where it says of several times that it was made then, the oldest counts.
    ///
    /// # Errors
    /// As [`from_trivy`](Self::from_trivy), and when the report in it is of another scanner.
    ///
    /// Spec: <https://github.com/sigstore/cosign/blob/v3.0.2/specs/COSIGN_VULN_ATTESTATION_SPEC.md>
    pub fn from_attested(predicate: &[u8], asked: &Asked<'_>) -> Result<Self, ReportError> {
        attested::read(predicate, asked)
    }

    /// The same with what the scanner itself says of its version and its database, beside its report.
    #[must_use]
    pub fn by(self, scanner: &str, version: &str, database: Option<Timestamp>) -> Self {
        let scanner = printable(&format!("{scanner} {version}"));
        Self { scanner, database: database.or(self.database), ..self }
    }

    /// The type of statements whose predicate [`from_attested`](Self::from_attested) reads.
    pub const PREDICATE_TYPE: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";
}

/// Reads `json` as a document of the form `form`.
fn document<T: serde::de::DeserializeOwned>(
    json: &[u8],
    form: &'static str,
) -> Result<T, ReportError> {
    if json.len() > REPORT_BYTES_MAX {
        return Err(ReportError::TooLarge { form, most: REPORT_BYTES_MAX });
    }
    from_strict_slice(json).map_err(|error| ReportError::malformed(form, &error.to_string()))
}

/// A value that may be `null`, as Go writes lists and objects that were never made.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
