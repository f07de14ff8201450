//! What rules ask of scans, and what is excepted from it.

use std::fmt;
use std::time::Duration;

use super::pattern::Pattern;
use super::vex::VexRule;
use crate::oci::{Digest, Name};
use crate::time::Timestamp;

/// A gate of the policy: what a scan has to show. What it says nothing of denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanGate {
    /// Its name.
    pub name: String,
    /// The findings that deny: each that meets one of these.
    pub deny: Vec<FindingCondition>,
    /// As what a finding counts that no record rates.
    pub unrated: Rating,
    /// What becomes of packages about which nothing can be said.
    pub unknown: Answer,
    /// What becomes of images that could not be read completely.
    pub incomplete: Answer,
    /// What becomes of artifacts that are no images, in which a scan finds nothing by its nature.
    pub not_applicable: Answer,
    /// Whether findings of the kernel count against packages that only have its headers.
    pub counts_kernel_headers: bool,
    /// What becomes of an image that passed before, when something is found later.
    pub on_new_finding: NewFinding,
    /// Whose VEX documents take findings away, and which.
    pub vex: Option<VexRule>,
    /// From which age on the vulnerability database is complained about.
    pub database_age_warn: Duration,
    /// How old the vulnerability database may be.
    pub database_age_max: Duration,
}

impl ScanGate {
    /// When a vulnerability database is complained about, unless the policy says otherwise.
    pub const DATABASE_AGE_WARN: Duration = Duration::from_hours(24);
    /// How old a vulnerability database may be, unless the policy says otherwise.
    pub const DATABASE_AGE_MAX: Duration = Duration::from_hours(120);
}

/// What becomes of an image that passed before, when something is found later. Malware is never served
/// on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NewFinding {
    /// It is refused from then on.
    Revoke,
    /// It goes on being served, and it is told.
    #[default]
    Serve,
}

/// What becomes of an outcome that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// It passes.
    Allow,
    /// It is refused.
    #[default]
    Deny,
}

/// How bad a finding is, in the words of CVSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rating {
    /// Not at all.
    None,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Rating {
    pub(super) const CHOICES: [(&'static str, Self); 5] = [
        ("none", Self::None),
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("critical", Self::Critical),
    ];
}

impl fmt::Display for Rating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::CHOICES.iter().find(|(_, rating)| rating == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

/// What a finding is refused for: everything that is said must hold of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingCondition {
    /// It is at least that bad.
    pub severity: Option<Rating>,
    /// A version without it is there, or is not.
    pub fixable: Option<bool>,
    /// It has been known for longer. One that does not say since when is older than anything.
    pub older_than: Option<Duration>,
    /// It is known to be exploited, or is not.
    pub exploited: Option<bool>,
    /// It is at least that likely to be exploited, in hundredths of a per cent. One whose likelihood is
    /// not known does not meet this.
    pub likelihood: Option<u16>,
}

/// One finding that does not count, until a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Its name.
    pub id: String,
    pub(super) images: Pattern,
    pub(super) digest: Option<Digest>,
    /// The vulnerability, by any of its names.
    pub vulnerability: String,
    /// The package that it is about; `None` is any.
    pub package: Option<String>,
    /// Why, as the policy says it.
    pub reason: String,
    /// When it ends.
    pub expires: Timestamp,
}

impl Exception {
    /// The longest time for which an exception is in force, unless the policy says otherwise.
    pub const TIME_MAX: Duration = Duration::from_hours(90 * 24);

    /// Whether it speaks of the manifest `digest` of `name`.
    pub fn covers(&self, name: &Name, digest: &Digest) -> bool {
        self.digest.is_none_or(|only| only == *digest) && self.images.matches(&name.to_string())
    }

    /// Whether it is in force at `now`, when none may end later than `time_max` from then.
    pub fn is_in_force(&self, now: Timestamp, time_max: Duration) -> bool {
        now < self.expires && self.expires <= now.after(time_max)
    }
}
