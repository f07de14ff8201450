//! Scans that somebody attested, in the form of cosign.
//!
//! Spec: <https://github.com/sigstore/cosign/blob/v3.0.2/specs/COSIGN_VULN_ATTESTATION_SPEC.md>

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Asked, ReportError, Reported, document, grype, or_default, trivy};
use crate::scan::database::printable;
use crate::time::Timestamp;

const FORM: &str = "attested scan";

#[derive(Deserialize)]
struct Predicate {
    scanner: Scanner,
    #[serde(default, deserialize_with = "or_default")]
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Scanner {
    #[serde(default, deserialize_with = "or_default")]
    uri: String,
    #[serde(default, deserialize_with = "or_default")]
    version: String,
    #[serde(default, deserialize_with = "or_default")]
    db: Database,
    result: Option<Box<RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Database {
    last_update: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    scan_started_on: Option<String>,
    scan_finished_on: Option<String>,
}

/// By what the two forms are told apart, whatever the scanner calls itself.
#[derive(Deserialize)]
struct Form {
    #[serde(rename = "SchemaVersion")]
    of_trivy: Option<serde::de::IgnoredAny>,
    #[serde(rename = "matches")]
    of_grype: Option<serde::de::IgnoredAny>,
}

/// Reads a predicate.
pub(super) fn read(predicate: &[u8], asked: &Asked<'_>) -> Result<Reported, ReportError> {
    let Predicate { scanner, metadata } = document(predicate, FORM)?;
    let result = scanner.result.as_deref().map(RawValue::get);
    let result = result.ok_or_else(|| ReportError::malformed(FORM, "it has no result"))?;
    let stated = [&metadata.scan_started_on, &metadata.scan_finished_on];
    let stated = stated.into_iter().filter_map(|text| moment(text.as_deref())).min();
    let form: Form = serde_json::from_str(result)
        .map_err(|_| ReportError::malformed(FORM, "its result is no object"))?;
    let read = match form {
        Form { of_trivy: Some(_), of_grype: None } => trivy::read,
        Form { of_trivy: None, of_grype: Some(_) } => grype::read,
        Form { .. } => {
            let scanner = printable(&format!("{} {}", scanner.uri, scanner.version));
            return Err(ReportError::UnknownScanner { scanner: scanner.trim_end().to_owned() });
        }
    };
    let reported = match read(result.as_bytes(), asked, None) {
        // It says itself when it looked: a date that the signer wrote around it makes it no younger.
        Ok(reported) => {
            Reported { at: stated.map_or(reported.at, |at| at.min(reported.at)), ..reported }
        }
        Err(ReportError::NoTime) => read(result.as_bytes(), asked, stated)?,
        Err(error) => return Err(error),
    };
    let database = older(reported.database, moment(scanner.db.last_update.as_deref()));
    Ok(Reported { database, ..named(reported, &scanner.version) })
}

fn moment(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok().filter(|at: &Timestamp| at.milliseconds() > 0)
}

fn older(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Older reports of Trivy do not have their version: the predicate does.
fn named(reported: Reported, version: &str) -> Reported {
    if reported.scanner.contains(' ') || version.is_empty() {
        return reported;
    }
    Reported { scanner: printable(&format!("{} {version}", reported.scanner)), ..reported }
}
