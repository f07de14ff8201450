//! One entry of a report as a finding.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Cvss, Gaps, Item};
use crate::scan::database::printable;
use crate::scan::{Finding, Fix, Package, PackageKind, Severity, cvss};

/// Longest name of a vulnerability, in bytes.
const ID_BYTES_MAX: usize = 128;
/// Most links of one entry that are looked at.
const LINKS_MAX: usize = 100;
/// Most advisories that one finding names.
pub(super) const ADVISORIES_MAX: usize = 20;
/// How records of packages that are malicious themselves are named.
const MALWARE: &str = "MAL-";
/// How those advisories are named that tell of several vulnerabilities.
const ADVISORIES: [&str; 12] = [
    "ALAS", "ALBA-", "ALSA-", "DLA-", "DSA-", "ELSA-", "GLSA-", "RHBA-", "RHSA-", "RLSA-", "SUSE-",
    "USN-",
];

/// What vendors tell of a package beside the specification, in the words that they use.
#[derive(Deserialize, Default)]
struct Vendor {
    #[serde(alias = "packageType", alias = "pkg_type", alias = "type")]
    package_type: Option<String>,
    #[serde(alias = "packagePath", alias = "path")]
    package_path: Option<String>,
}

/// The finding that `item`, the one with this index, is. What of it is not understood goes to `gaps`;
/// `None` only where it does not say which vulnerability it is, or in what.
pub(super) fn finding(item: &Item, index: usize, gaps: &mut Gaps) -> Option<Finding> {
    let number = index + 1;
    let Some(id) = item.id.as_deref().map(str::trim).filter(|id| is_id(id)) else {
        let id = printable(item.id.as_deref().unwrap_or_default());
        gaps.add(format!("entry {number} has no name of a vulnerability: {id:?}"));
        return None;
    };
    let Some(name) = item.package.as_deref().map(str::trim).filter(|name| !name.is_empty()) else {
        gaps.add(format!("entry {number}, {id}, names no package"));
        return None;
    };
    let severity = item.severity.as_deref().map_or(Ok(None), severity).unwrap_or_else(|word| {
        gaps.add(format!("severity {word} of {id} is none that is known"));
        None
    });
    let score = item.preferred_cvss.as_ref().and_then(|cvss| {
        let score = score(cvss);
        score.unwrap_or_else(|what| {
            gaps.add(format!("CVSS {what} of {id} is none"));
            None
        })
    });
    Some(Finding {
        id: id.to_owned(),
        aliases: Arc::from([]),
        advisories: advisories(item.links.as_deref().unwrap_or_default()),
        package: package(item, name).into(),
        severity: severity.or(score.map(Severity::from_score)),
        score,
        fix: fix(item),
        published: None,
        exploited: false,
        likelihood: None,
        malware: id.starts_with(MALWARE),
        kernel_headers: false,
    })
}

fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:+/".contains(&byte);
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(plain)
}

/// The severity that `word` is; `Ok(None)` where it says that nobody has judged yet.
///
/// # Errors
/// The word, fit to be shown, when it is none of the specification's.
pub(super) fn severity(word: &str) -> Result<Option<Severity>, String> {
    let word = word.trim();
    if word.is_empty() || word.eq_ignore_ascii_case("unknown") {
        return Ok(None);
    }
    Severity::from_word(word).map(Some).ok_or_else(|| format!("{:?}", printable(word)))
}

/// The worst base score that is told, in tenths: by numbers, and by vectors where they are whole. One of
/// version 2 counts only where nothing is told by version 3.
///
/// # Errors
/// What is no score.
fn score(told: &Cvss) -> Result<Option<u8>, &'static str> {
    let of = |number: Option<f64>, vector: &Option<String>, what: &'static str| {
        let number = number.map(|number| tenths(number).ok_or(what)).transpose()?;
        // Many that only know a number leave vectors empty or half.
        let vector = vector.as_deref().and_then(|vector| cvss::score(vector).ok());
        Ok::<_, &'static str>(number.max(vector))
    };
    let newer = of(told.score_v3, &told.vector_v3, "score_v3")?;
    let older = of(told.score_v2, &told.vector_v2, "score_v2")?;
    Ok(newer.or(older))
}

/// A score in tenths, rounded up.
fn tenths(score: f64) -> Option<u8> {
    // Less than what a float of 32 bits loses of a score.
    const SLACK: f64 = 0.001;
    (0..=100_u8).find(|tenths| score >= 0.0 && f64::from(*tenths) >= score * 10.0 - SLACK)
}

fn package(item: &Item, name: &str) -> Package {
    let vendor: Vendor = told(item.vendor_attributes.as_deref()).unwrap_or_default();
    let kind = vendor.package_type.as_deref().map_or(PackageKind::Other, kind);
    let path = vendor.package_path.as_deref().unwrap_or_default().trim_start_matches('/');
    let version = item.version.as_deref().unwrap_or_default().trim();
    Package::new(kind, &printable(name), &printable(version), &printable(path))
}

/// The kind of package that scanners mean by a word.
fn kind(word: &str) -> PackageKind {
    match word.trim().to_ascii_lowercase().as_str() {
        "alpine" | "apk" | "apkg" => PackageKind::Apk,
        "cargo" | "rust-crate" | "rustbinary" => PackageKind::Cargo,
        "composer" | "php-composer" => PackageKind::Composer,
        "deb" | "debian" | "dpkg" | "ubuntu" => PackageKind::Deb,
        "gem" | "gemspec" | "rubygems" => PackageKind::Gem,
        "go" | "go-module" | "gobinary" | "golang" | "gomod" => PackageKind::Go,
        "jar" | "java" | "java-archive" | "maven" => PackageKind::Maven,
        "node-pkg" | "nodejs" | "npm" => PackageKind::Npm,
        "dotnet" | "dotnet-core" | "nuget" => PackageKind::Nuget,
        "pypi" | "python" | "python-pkg" => PackageKind::Python,
        "redhat" | "rpm" => PackageKind::Rpm,
        _ => PackageKind::Other,
    }
}

fn fix(item: &Item) -> Fix {
    if let Some(version) = item.fix_version.as_deref().map(str::trim).filter(|it| !it.is_empty()) {
        return Fix::In(printable(version));
    }
    match told::<String>(item.status.as_deref()).as_deref() {
        Some("will_not_fix" | "end_of_life") => Fix::WillNot,
        _ => Fix::None,
    }
}

/// The advisories over several vulnerabilities that links lead to.
fn advisories(links: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for link in links.iter().take(LINKS_MAX) {
        let path = link.split(['?', '#']).next().unwrap_or_default();
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let is_advisory = |prefix: &&str| last.len() > prefix.len() && last.starts_with(*prefix);
        let is_new = !found.iter().any(|known| known == last);
        if is_id(last) && is_new && ADVISORIES.iter().any(is_advisory) {
            found.push(last.to_owned());
        }
    }
    found.truncate(ADVISORIES_MAX);
    found
}

/// What stands outside of the specification, where it has the form that is known of it.
fn told<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}
