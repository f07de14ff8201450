//! What rules ask of scans, and what is excepted from it.

use std::fmt;
use std::time::Duration;

use super::document::RuleId;
use super::overlay::label;
use super::pattern::Pattern;
use super::problem::{FileNumber, Position};
use super::scanners::Scanners;
use super::vex::VexRule;
use crate::oci::{Digest, Name};
use crate::time::Timestamp;

/// A gate of the policy: what a scan has to show. What it says nothing of denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanGate {
    /// Its name.
    pub name: String,
    /// The overlay that names it, where no rule does.
    pub overlay: Option<RuleId>,
    /// The file with a scope that asks for it; `None` is the base file.
    pub part: Option<FileNumber>,
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
    /// How much of an image is read, where it is not what the settings say.
    pub limits: ScanLimits,
    /// Whether it is the floor's, from which nothing is excepted.
    pub is_floor: bool,
    /// The scanners that it asks.
    pub scanners: Scanners,
    /// The signers whose attested scans count, where [`Scanners::ATTESTED`] is asked.
    pub attested_by: Vec<String>,
    /// How old what another scanner says may be when an image is admitted by it, and after how long that one
    /// is asked again.
    pub report_age_max: Duration,
    /// From which age on the vulnerability database is complained about.
    pub database_age_warn: Duration,
    /// How old the vulnerability database may be.
    pub database_age_max: Duration,
    /// The signers whose attested bills of materials are put to what is read in an image.
    pub sbom_from: Vec<String>,
}

impl ScanGate {
    /// When a vulnerability database is complained about, unless the policy says otherwise.
    pub const DATABASE_AGE_WARN: Duration = Duration::from_hours(24);
    /// How old a vulnerability database may be, unless the policy says otherwise.
    pub const DATABASE_AGE_MAX: Duration = Duration::from_hours(120);
    /// How old what another scanner says may be, unless the policy says otherwise.
    pub const REPORT_AGE_MAX: Duration = Duration::from_hours(24);

    /// What it asks of an image, in a form that stays the same whatever it is called, and whatever later
    /// versions let it say besides: what is not said does not appear. How old a database may be and what
    /// becomes of later findings are asked afresh every time, and are no part of it.
    pub fn asks_for(&self) -> String {
        let Self { deny, unrated, unknown, incomplete, not_applicable, .. } = self;
        let mut conditions: Vec<String> = deny.iter().map(FindingCondition::canonical).collect();
        conditions.sort();
        let said = [
            (*unrated != Rating::Critical, format!("unrated {unrated}")),
            (*unknown != Answer::Deny, "unknown allow".to_owned()),
            (*incomplete != Answer::Deny, "incomplete allow".to_owned()),
            (*not_applicable != Answer::Deny, "notApplicable allow".to_owned()),
            (self.counts_kernel_headers, "kernelHeaders count".to_owned()),
            (self.scanners != Scanners::default(), self.scanners.to_string()),
            (
                !self.attested_by.is_empty(),
                format!("attested by {}", self.attested_by.join(" and ")),
            ),
        ];
        conditions.extend(said.into_iter().filter(|(is_said, _)| *is_said).map(|(_, text)| text));
        conditions.join(", ")
    }

    /// What stands in front of what it refuses: who asks for it, where that is not the rule.
    pub fn label(&self) -> String {
        label(self.overlay.as_ref())
    }

    /// Where the policy has it, for messages about it.
    pub fn place(&self) -> String {
        if self.is_floor { self.name.clone() } else { format!("gates.{}", self.name) }
    }
}

/// What becomes of an image that passed before, when something is found later. Malware is never served
/// on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NewFinding {
    /// It is refused once the grace for such a finding is over.
    Revoke(Grace),
    /// It goes on being served, and it is told.
    #[default]
    Serve,
}

/// For how long an image that passed before is served on, from when something was found, by how bad that
/// is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grace([Duration; Rating::CHOICES.len()]);

impl Grace {
    /// What is written about some ratings: one about which nothing is written has the grace of the next
    /// worse one, so that nothing has less than what is worse.
    pub(super) fn new(written: &[(Rating, Duration)]) -> Self {
        let mut times = [Duration::ZERO; Rating::CHOICES.len()];
        let mut time = Duration::ZERO;
        for ((_, rating), place) in Rating::CHOICES.iter().zip(&mut times).rev() {
            time = written.iter().find(|(it, _)| it == rating).map_or(time, |(_, time)| *time);
            *place = time;
        }
        Self(times)
    }

    /// The grace for what is as bad as `rating`; zero is none.
    pub fn of(&self, rating: Rating) -> Duration {
        let mut times = Rating::CHOICES.iter().zip(self.0);
        times.find(|((_, it), _)| *it == rating).map_or(Duration::ZERO, |(_, time)| time)
    }
}

/// How much of an image is read before it is given up, where a gate says so: images of models and of
/// CUDA are larger than all others. `None` is what the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanLimits {
    /// Bytes of one layer, inflated.
    pub layer_bytes: Option<u64>,
    /// How many times its compressed size a layer may have.
    pub ratio: Option<u64>,
    /// Entries of one layer.
    pub entries: Option<u64>,
    /// Bytes of a file that says what is installed.
    pub file_bytes: Option<u64>,
    /// Bytes of a program that is looked into.
    pub program_bytes: Option<u64>,
    /// Bytes of a Java archive.
    pub archive_bytes: Option<u64>,
    /// Bytes of one archive with all that is in it, inflated.
    pub archive_inflated_bytes: Option<u64>,
    /// Time for one layer.
    pub layer_time: Option<Duration>,
    /// Time for all layers of one subject, their fetching included.
    pub time: Option<Duration>,
}

impl ScanLimits {
    /// The larger one of each limit that either says.
    #[must_use]
    pub fn or_larger(self, other: Self) -> Self {
        Self {
            layer_bytes: self.layer_bytes.max(other.layer_bytes),
            ratio: self.ratio.max(other.ratio),
            entries: self.entries.max(other.entries),
            file_bytes: self.file_bytes.max(other.file_bytes),
            program_bytes: self.program_bytes.max(other.program_bytes),
            archive_bytes: self.archive_bytes.max(other.archive_bytes),
            archive_inflated_bytes: self.archive_inflated_bytes.max(other.archive_inflated_bytes),
            layer_time: self.layer_time.max(other.layer_time),
            time: self.time.max(other.time),
        }
    }
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
    /// All of them, the least bad first.
    pub const ALL: [Self; 5] = [Self::None, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Their names, the least bad first.
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

impl FindingCondition {
    fn canonical(&self) -> String {
        let Self { severity, fixable, older_than, exploited, likelihood } = self;
        let said = [
            severity.map(|severity| format!("severity {severity}")),
            fixable.map(|fixable| format!("fixable {fixable}")),
            older_than.map(|time| format!("olderThan {}", time.as_secs())),
            exploited.map(|exploited| format!("exploited {exploited}")),
            likelihood.map(|share| format!("likelihood {share}")),
        ];
        said.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }
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
    /// The file with a scope that has it; `None` is the base file.
    pub part: Option<FileNumber>,
    pub(super) position: Position,
}

impl Exception {
    /// The longest time for which an exception is in force, unless the policy says otherwise.
    pub const TIME_MAX: Duration = Duration::from_hours(90 * 24);

    /// Whether it speaks of the manifest `digest` of `name`.
    pub fn covers(&self, name: &Name, digest: &Digest) -> bool {
        self.digest.is_none_or(|only| only == *digest) && self.images.matches(&name.to_string())
    }

    /// Whether it may take out what `gate` refuses: nothing is taken from the floor, and one of a file with a
    /// scope takes from what that file asks for and from nothing else.
    pub fn takes_from(&self, gate: &ScanGate) -> bool {
        !gate.is_floor && self.part.is_none_or(|part| gate.part == Some(part))
    }

    /// Whether it is in force at `now`, when none may end later than `time_max` from then.
    pub fn is_in_force(&self, now: Timestamp, time_max: Duration) -> bool {
        now < self.expires && self.expires <= now.after(time_max)
    }
}
