//! Reports of scanners that speak Harbor's scanner API, in our words.
//!
//! Such a report lists what was found and nothing else: neither what was looked at nor what could not be
//! read. That its list is empty proves less than an empty list of the scanner here does: an image of a
//! distribution that the scanner does not know looks the same.
//!
//! Spec: <https://github.com/goharbor/pluggable-scanner-spec/blob/master/api/spec/scanner-adapter-openapi-v1.2.yaml>
//! (`HarborVulnerabilityReport`; the reports of versions 1.0 and 1.1 differ in fields that may be missing).

mod item;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::Reported;
use crate::oci::{Digest, JsonError, from_strict_slice};
use crate::scan::database::printable;
use crate::scan::{Finding, Fix, Severity};
use crate::time::Timestamp;

/// Largest report that is read, in bytes.
pub const HARBOR_REPORT_BYTES_MAX: usize = 64 << 20;
/// Most findings that are kept of one report; beyond, it is cut off and says so.
const FINDINGS_MAX: usize = 100_000;
/// Most gaps that are told one by one.
const GAPS_MAX: usize = 20;
/// Longest name of a scanner that is kept, in bytes.
const SCANNER_BYTES_MAX: usize = 100;

/// What a report must answer, and what is known beside it.
#[derive(Debug, Clone, Copy)]
pub struct HarborAsked<'a> {
    /// The manifest that was to be scanned.
    pub digest: &'a Digest,
    /// What time it is: nothing is believed to have been looked at later.
    pub now: Timestamp,
    /// As of when the scanner's database is, where its adapter says so.
    pub database: Option<Timestamp>,
    /// What the adapter calls its scanner, for reports that do not.
    pub scanner: Option<&'a str>,
}

/// Why a report says nothing about the image.
#[derive(Debug, thiserror::Error)]
pub enum HarborReportError {
    /// Not strict JSON of the form of such a report.
    #[error("report is not of the form of Harbor's: {}", .0.without_content())]
    Malformed(#[source] JsonError),
    /// It is about something else.
    #[error("report is about {found}, not about {asked}")]
    OtherImage {
        /// What it should be about.
        asked: Box<Digest>,
        /// What it says that it is about, in printable ASCII, bounded.
        found: String,
    },
    /// More than [`HARBOR_REPORT_BYTES_MAX`].
    #[error("report has more than {HARBOR_REPORT_BYTES_MAX} bytes")]
    TooLarge,
}

#[derive(Deserialize)]
struct Document {
    generated_at: Option<String>,
    artifact: Option<Artifact>,
    scanner: Option<Scanner>,
    severity: Option<String>,
    vulnerabilities: Option<Vec<Item>>,
    /// What no version of the specification knows.
    #[serde(flatten)]
    #[expect(clippy::zero_sized_map_values, reason = "what is left over is a map to serde")]
    more: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Artifact {
    digest: Option<String>,
}

#[derive(Deserialize)]
struct Scanner {
    name: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    id: Option<String>,
    package: Option<String>,
    version: Option<String>,
    fix_version: Option<String>,
    severity: Option<String>,
    links: Option<Vec<String>>,
    preferred_cvss: Option<Cvss>,
    vendor_attributes: Option<Box<RawValue>>,
    /// Of Trivy's adapter, in no specification: what its keepers do about it.
    status: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Cvss {
    score_v3: Option<f64>,
    score_v2: Option<f64>,
    vector_v3: Option<String>,
    vector_v2: Option<String>,
}

impl Reported {
    /// What the report in `bytes` says of the image that was asked about.
    ///
    /// Packages are of the kind [`crate::scan::PackageKind::Other`] unless the report tells their type.
    /// A list that is missing is an empty one, for that is how adapters write it, unless the report has
    /// something that is not known in its place.
    ///
    /// # Errors
    /// See [`HarborReportError`]; what single entries say in a way that is not understood is no error but
    /// one of [`Reported::gaps`].
    pub fn from_harbor(bytes: &[u8], asked: &HarborAsked<'_>) -> Result<Self, HarborReportError> {
        if bytes.len() > HARBOR_REPORT_BYTES_MAX {
            return Err(HarborReportError::TooLarge);
        }
        let document: Document = from_strict_slice(bytes).map_err(HarborReportError::Malformed)?;
        is_about(document.artifact.as_ref(), asked.digest)?;
        let mut gaps = Gaps::default();
        let at = match document.generated_at.as_deref().map(str::parse::<Timestamp>) {
            None => asked.now,
            Some(Ok(at)) => at.min(asked.now),
            Some(Err(_)) => {
                gaps.add("when it was made is no time".to_owned());
                asked.now
            }
        };
        // Adapters leave an empty list out; but then nothing else may stand in its place.
        if let (None, Some((key, _))) = (&document.vulnerabilities, document.more.first_key_value())
        {
            let key = printable(key);
            gaps.add(format!("it has no list of vulnerabilities, and something unknown: {key:?}"));
        }
        let findings = findings(document.vulnerabilities.unwrap_or_default(), &mut gaps);
        compare_with_whole(document.severity.as_deref(), &findings, &mut gaps);
        let scanner =
            document.scanner.as_ref().and_then(named).or(asked.scanner.map(str::to_owned));
        let scanner = scanner.unwrap_or_else(|| "a scanner without a name".to_owned());
        Ok(Self {
            scanner: scanner_name(&scanner),
            database: asked.database,
            at,
            findings,
            gaps: gaps.finish(),
            unknown: Vec::new(),
        })
    }
}

/// The name of a scanner so that it can be shown.
fn scanner_name(text: &str) -> String {
    let mut shown = printable(text.trim());
    shown.truncate(SCANNER_BYTES_MAX);
    shown
}

fn named(scanner: &Scanner) -> Option<String> {
    let name = scanner.name.as_deref().map(str::trim).filter(|name| !name.is_empty())?;
    let version = scanner.version.as_deref().unwrap_or_default();
    Some(format!("{name} {version}"))
}

fn is_about(artifact: Option<&Artifact>, asked: &Digest) -> Result<(), HarborReportError> {
    let found = artifact.and_then(|artifact| artifact.digest.as_deref());
    if found.is_some_and(|found| found.parse::<Digest>().as_ref() == Ok(asked)) {
        return Ok(());
    }
    let found = found.map_or_else(|| "nothing that it names".to_owned(), printable);
    Err(HarborReportError::OtherImage { asked: Box::new(*asked), found })
}

/// Each vulnerability once per package, worst first.
fn findings(items: Vec<Item>, gaps: &mut Gaps) -> Vec<Finding> {
    let count = items.len();
    let mut places: HashMap<(String, String, String), usize> = HashMap::new();
    let mut findings: Vec<Finding> = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        if findings.len() >= FINDINGS_MAX {
            gaps.add(format!("only {index} of {count} vulnerabilities are kept"));
            break;
        }
        let Some(finding) = item::finding(&item, index, gaps) else { continue };
        let package = &finding.package;
        let key = (finding.id.clone(), package.name.clone(), package.version.clone());
        match places.entry(key) {
            Entry::Vacant(place) => {
                place.insert(findings.len());
                findings.push(finding);
            }
            Entry::Occupied(place) => {
                if let Some(before) = findings.get_mut(*place.get()) {
                    take_in(before, finding);
                }
            }
        }
    }
    findings.sort_by(|a, b| {
        let badness = |it: &Finding| Reverse((it.malware, it.severity, it.score));
        badness(a).cmp(&badness(b)).then_with(|| (&a.id, &a.package).cmp(&(&b.id, &b.package)))
    });
    findings
}

/// Takes the worse of what two entries say of one vulnerability in one package. A fix counts as one: a
/// policy may look away from what cannot be fixed.
fn take_in(before: &mut Finding, other: Finding) {
    before.severity = before.severity.max(other.severity);
    before.score = before.score.max(other.score);
    let weight = |fix: &Fix| match fix {
        Fix::WillNot => 0,
        Fix::None => 1,
        Fix::In(_) => 2,
    };
    if weight(&other.fix) > weight(&before.fix) {
        before.fix = other.fix;
    }
    for advisory in other.advisories {
        if before.advisories.len() < item::ADVISORIES_MAX && !before.advisories.contains(&advisory)
        {
            before.advisories.push(advisory);
        }
    }
}

/// A report that is worse as a whole than all that it lists has left something out.
fn compare_with_whole(whole: Option<&str>, findings: &[Finding], gaps: &mut Gaps) {
    let Some(word) = whole.map(str::trim).filter(|word| !word.is_empty()) else { return };
    let worst = findings.iter().filter_map(|finding| finding.severity).max();
    match item::severity(word) {
        Ok(None) => {}
        Ok(Some(severity)) if severity <= worst.unwrap_or(Severity::None) => {}
        Ok(Some(_)) => {
            let word = printable(word);
            gaps.add(format!("it says {word} of the whole and lists nothing as bad as that"));
        }
        Err(word) => gaps.add(format!("severity {word} of the whole is none that is known")),
    }
}

/// What of a report is not understood: the first of it in words, the rest as a number.
#[derive(Default)]
struct Gaps {
    told: Vec<String>,
    more: usize,
}

impl Gaps {
    fn add(&mut self, gap: String) {
        if self.told.len() < GAPS_MAX {
            self.told.push(gap);
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("{} more of the kind", self.more));
        }
        self.told
    }
}
