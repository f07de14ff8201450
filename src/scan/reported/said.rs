//! What a report says of one vulnerability in one package, and by which of its names we know it.

use std::sync::Arc;

use crate::scan::matching::has_only_headers;
use crate::scan::version::{Scheme, Version};
use crate::scan::{Finding, Fix, Package, PackageKind, Severity};
use crate::time::Timestamp;

/// How a CVE is named.
const CVE: &str = "CVE-";
/// Records of packages that are malicious themselves.
const MALWARE: &str = "MAL-";
/// Whose records are about one vulnerability each, so that their names are names of it. All others
/// (`DSA-5532-1`, `RHSA-2024:1`) may be over several.
const OF_ONE: [&str; 13] = [
    CVE,
    "CGA-",
    "DEBIAN-CVE-",
    "GHSA-",
    "GMS-",
    "GO-",
    "GSD-",
    MALWARE,
    "OSV-",
    "PYSEC-",
    "RUSTSEC-",
    "TEMP-",
    "UBUNTU-CVE-",
];

/// One vulnerability in one package, as a report tells it.
#[derive(Debug)]
pub(super) struct Said {
    /// What the scanner calls it.
    pub(super) id: String,
    /// What else goes with it: other names, and advisories.
    pub(super) related: Vec<String>,
    pub(super) package: Package,
    pub(super) severity: Option<Severity>,
    pub(super) score: Option<u8>,
    pub(super) fix: Fix,
    pub(super) published: Option<Timestamp>,
    pub(super) exploited: bool,
    pub(super) likelihood: Option<u16>,
}

impl Said {
    /// The findings: one for each CVE that it names, or one by its own name where it names none.
    pub(super) fn findings(mut self) -> Vec<Finding> {
        let mut names = std::mem::take(&mut self.related);
        names.push(self.id.clone());
        names.sort_unstable();
        names.dedup();
        let cves: Vec<String> =
            names.iter().filter(|name| name.starts_with(CVE)).cloned().collect();
        match cves.as_slice() {
            [] => vec![self.finding(&self.id, &names)],
            [cve] => vec![self.finding(cve, &names)],
            // What is over several is a name of none of them: an exception for it would excuse them all.
            several => {
                names.retain(|name| !name.starts_with(CVE));
                let one = |cve: &String| {
                    let advisories = names.clone();
                    Finding { advisories, ..self.finding(cve, &[]) }
                };
                several.iter().map(one).collect()
            }
        }
    }

    fn finding(&self, id: &str, names: &[String]) -> Finding {
        let others = || names.iter().filter(|name| *name != id);
        let is_of_one = |name: &String| OF_ONE.iter().any(|prefix| name.starts_with(prefix));
        let aliases: Arc<[String]> = others().filter(|name| is_of_one(name)).cloned().collect();
        let mut all = names.iter().chain([&self.id]);
        let malware = all.any(|name| name.starts_with(MALWARE));
        Finding {
            id: id.to_owned(),
            aliases,
            advisories: others().filter(|name| !is_of_one(name)).cloned().collect(),
            severity: self.severity.or_else(|| self.score.map(Severity::from_score)),
            score: self.score,
            fix: self.fix.clone(),
            published: self.published,
            exploited: self.exploited,
            likelihood: self.likelihood,
            malware,
            kernel_headers: has_only_headers(&self.package),
            package: Arc::new(self.package.clone()),
        }
    }
}

/// The lowest of the versions that `package` is fixed in that is above its own; the first one where they
/// cannot be compared. `None`: there is none.
pub(super) fn fixed_in<'a>(
    package: &Package,
    versions: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let versions: Vec<&str> = versions.map(str::trim).filter(|it| !it.is_empty()).collect();
    let scheme = Scheme::of(package.kind);
    let read = |text: &str| Version::parse(scheme, text).ok();
    let above = |own: Version| {
        let readable = versions.iter().filter_map(|text| Some((read(text)?, *text)));
        readable.filter(|(version, _)| *version > own).min().map(|(_, text)| text)
    };
    let comparable = package.kind != PackageKind::Other;
    let lowest = comparable.then(|| read(&package.version)).flatten().and_then(above);
    lowest.or(versions.first().copied()).map(str::to_owned)
}

/// A score in tenths, if it is one.
pub(super) fn tenths(score: f64) -> Option<u8> {
    (0..=100).find(|tenths| (f64::from(*tenths) - score * 10.0).abs() < 0.05)
}

/// A probability in hundredths of a per cent, if it is one.
pub(super) fn likelihood(probability: f64) -> Option<u16> {
    if !(0.0..=1.0).contains(&probability) {
        return None;
    }
    let hundredths = (probability * 10_000.0).round();
    (0..=10_000).find(|it| (f64::from(*it) - hundredths).abs() < 0.5)
}
