//! What is known against an inventory.

use std::cmp::Reverse;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Gap, Package};
use crate::oci::Digest;
use crate::time::Timestamp;

/// What a database says of an inventory. It is not a verdict: what counts is the policy's to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it was compared with.
    pub database: DatabaseId,
    /// As of when the database knows what is exploited: the oldest of such lists, 1970 where one does not
    /// say. `None`: it has none, and [`Finding::exploited`] says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploited_as_of: Option<Timestamp>,
    /// As of when it knows how likely exploitation is, in the same way; `None`: it does not, and
    /// [`Finding::likelihood`] says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood_as_of: Option<Timestamp>,
    /// What is known against its packages: each vulnerability once per package, worst first.
    pub findings: Vec<Finding>,
    /// Packages that nothing can be said about. Not empty: the outcome is unknown, not clean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<Unmatched>,
    /// Where the report was cut off, because a bound was reached. Not empty: the scan is incomplete, just
    /// as with gaps of the inventory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

impl Report {
    /// Whether a package is known to be malicious.
    pub fn has_malware(&self) -> bool {
        self.findings.iter().any(|finding| finding.malware)
    }
}

/// Which database, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
pub struct DatabaseId {
    /// Of its file.
    pub digest: Digest,
    /// When what it was built from was published: the oldest of its feeds.
    pub as_of: Timestamp,
}

/// One vulnerability in one package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its best known name: a CVE where it has one.
    pub id: String,
    /// All other names that it goes by, those of records about it alone included. Packages share them.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub aliases: Arc<[String]>,
    /// Advisories over several vulnerabilities that tell of it (`DSA-5532-1`), bounded: no names of it, as
    /// they name others just as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advisories: Vec<String>,
    /// The package. Findings share it.
    pub package: Arc<Package>,
    /// How bad it is; `None` where no record says so in a way that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The CVSS base score times ten, where there is a whole vector: `98` is 9.8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<u8>,
    /// Whether there is a version without it.
    pub fix: Fix,
    /// When it was first published, as far as the records say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
    /// Whether it is known to be exploited (CISA's catalogue).
    #[serde(default, skip_serializing_if = "is_false")]
    pub exploited: bool,
    /// How likely it is to be exploited within 30 days, in hundredths of a per cent (EPSS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<u16>,
    /// Whether the package itself is malicious (`MAL-` records).
    #[serde(default, skip_serializing_if = "is_false")]
    pub malware: bool,
    /// Whether it is of the kernel, in a package that only has its headers or its documentation: no
    /// kernel runs out of an image.
    #[serde(default, skip_serializing_if = "is_false")]
    pub kernel_headers: bool,
}

/// Sorts findings as reports have them: worst first, and what is as bad by name and package.
pub(in crate::scan) fn sort_worst_first(findings: &mut [Finding]) {
    // Names lie all over the memory: what can be told by numbers is not looked up there.
    findings.sort_by_cached_key(Finding::rank);
    for same in findings.chunk_by_mut(|a, b| a.rank() == b.rank()) {
        same.sort_by(|a, b| (&a.id, &a.package).cmp(&(&b.id, &b.package)));
    }
}

impl Finding {
    /// Where it stands: by how bad it is, and by the first bytes of its name.
    fn rank(&self) -> (Reverse<u64>, u128) {
        let or_none = |value: Option<u64>| value.map_or(0, |value| value + 1);
        // Each has a field that is wide enough for it.
        let badness = [
            (1, u64::from(self.malware)),
            (3, or_none(self.severity.map(Severity::rank))),
            (1, u64::from(self.exploited)),
            (9, or_none(self.score.map(u64::from))),
            (17, or_none(self.likelihood.map(u64::from))),
        ];
        let badness = badness.iter().fold(0, |all, (bits, value)| all << bits | value);
        let mut begins = [0; size_of::<u128>()];
        begins.iter_mut().zip(self.id.bytes()).for_each(|(at, byte)| *at = byte);
        (Reverse(badness), u128::from_be_bytes(begins))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Whether a version without a vulnerability is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fix {
    /// In this version, the lowest one above the package's own.
    In(String),
    /// None yet.
    None,
    /// Its keepers will not make one.
    WillNot,
}

/// How bad a vulnerability is: the words of CVSS 3 and 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// No impact at all.
    None,
    /// Up to 3.9; what Debian calls unimportant, too.
    Low,
    /// Up to 6.9.
    Medium,
    /// Up to 8.9.
    High,
    /// 9.0 and above.
    Critical,
}

impl Severity {
    const fn rank(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Low => 1,
            Self::Medium => 2,
            Self::High => 3,
            Self::Critical => 4,
        }
    }
}

/// A package that nothing can be said about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmatched {
    /// Why.
    pub kind: UnmatchedKind,
    /// The package; `None` where it concerns all of a kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// In words.
    pub text: String,
}

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnmatchedKind {
    /// The image does not say which distribution it is, or one that is not known.
    UnknownDistribution,
    /// The distribution's release gets no fixes any more, so that silence says nothing.
    EndOfLife,
    /// The database has no feed for the distribution's release or the kind of package.
    NoFeed,
    /// The image says that it is of a distribution, and has no list of that one's packages: they may be
    /// there all the same.
    NoPackages,
    /// Its version, or one in a record about it, cannot be compared.
    Version,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::PackageKind;

    fn finding(id: &str, package: &str, severity: Option<Severity>) -> Finding {
        Finding {
            id: id.to_owned(),
            aliases: [].into(),
            advisories: Vec::new(),
            package: Arc::new(Package::new(PackageKind::Deb, package, "1", "status")),
            severity,
            score: None,
            fix: Fix::None,
            published: None,
            exploited: false,
            likelihood: None,
            malware: false,
            kernel_headers: false,
        }
    }

    #[test]
    fn the_worst_comes_first_and_names_are_told_apart_by_all_their_letters() {
        let high = Some(Severity::High);
        let mut malware = finding("Z", "z", None);
        malware.malware = true;
        let long = "GHSA-aaaa-bbbb-cccc";
        let mut findings = vec![
            finding("CVE-2026-2", "b", None),
            finding("GHSA-aaaa-bbbb-cccd", "a", high),
            finding(long, "b", high),
            finding("CVE-2026-10", "a", high),
            malware,
            finding(long, "a", high),
            finding("CVE-2026-10", "a", Some(Severity::Critical)),
            finding("CVE-2026-2", "a", None),
            finding("CVE-2026-1", "c", None),
        ];
        sort_worst_first(&mut findings);
        let all: Vec<(&str, &str)> =
            findings.iter().map(|it| (it.id.as_str(), it.package.name.as_str())).collect();
        assert_eq!(
            all,
            [
                ("Z", "z"),
                ("CVE-2026-10", "a"),
                ("CVE-2026-10", "a"),
                (long, "a"),
                (long, "b"),
                ("GHSA-aaaa-bbbb-cccd", "a"),
                ("CVE-2026-1", "c"),
                ("CVE-2026-2", "a"),
                ("CVE-2026-2", "b"),
            ]
        );
    }
}
