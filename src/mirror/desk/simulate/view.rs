//! The words of a simulation, as the API has them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::view::{PolicyName, ReasonView};
use crate::oci::{Digest, Tag};
use crate::time::Timestamp;

/// A draft of a policy, to be tried on what was gathered.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulateBody {
    /// The text of the policy, where that is one file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy: String,
    /// The texts of the files of a policy that is a directory, by their paths in it; either this or
    /// `policy`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub directory: BTreeMap<String, String>,
    /// The contents of the files that it names, in base64, by the paths as it has them. No file of the
    /// server is read for a draft.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// In how many of the last days pulls count.
    #[serde(default = "SimulateBody::default_days")]
    #[schemars(range(min = 1, max = Self::DAYS_MAX))]
    pub days: u32,
}

impl SimulateBody {
    /// In how many of the last days pulls count where nobody says it.
    pub const DAYS: u32 = 30;
    /// Most days in which pulls count.
    pub const DAYS_MAX: u32 = 366;

    const fn default_days() -> u32 {
        Self::DAYS
    }
}

/// One line of the answer, which comes line by line.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SimulationLine {
    /// A sign of life: so many images were looked at.
    Examined(u64),
    /// What would become of one image.
    Flip(Box<FlipView>),
    /// That was all: what it comes to.
    Done(Box<SimulationView>),
    /// It could not be brought to its end, and what came before says nothing.
    Failed(String),
}

/// What would become of one image.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FlipView {
    /// Its repository and digest.
    pub image: String,
    /// Its digest.
    pub digest: Digest,
    /// A few of the tags that were seen to stand for it.
    pub tags: Vec<Tag>,
    /// What changes for whoever pulls it.
    pub effect: Effect,
    /// The verdict by the policy in force: `admit`, `pending`, `deny` or `undecided`.
    pub before: String,
    /// The verdict by the draft.
    pub after: String,
    /// The rule of the policy in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_before: Option<String>,
    /// The rule of the draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_after: Option<String>,
    /// Why the draft does not admit it, the weightiest reason first.
    pub reasons: Vec<ReasonView>,
    /// How often it was pulled in those days.
    pub pulls: u64,
    /// When it was pulled last in those days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pull: Option<Timestamp>,
}

/// What changes for whoever pulls an image.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It is served now, and would not be.
    Refused,
    /// Whether it would be served hangs on something that nobody has gathered yet.
    Unknown,
    /// It is not served now, and would be.
    Served,
    /// It would be served as it is now, or not, by another verdict or rule.
    Otherwise,
    /// It would be served as now, but no longer for whoever asks by one of its tags.
    TagForbidden,
}

/// What a simulation comes to.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SimulationView {
    /// The draft.
    pub draft: PolicyName,
    /// The policy in force.
    pub in_force: PolicyName,
    /// In how many of the last days pulls counted.
    pub days: u32,
    /// Images on record that were looked at.
    pub examined: u64,
    /// Those that would not be served any more.
    pub refused: u64,
    /// Those of which that is not known.
    pub unknown: u64,
    /// Those that would be served.
    pub served: u64,
    /// Those whose verdict or rule would be another, and nothing else.
    pub otherwise: u64,
    /// Those that could not be asked for by one of their tags any more.
    pub tag_forbidden: u64,
    /// What became of the images on record that were pulled in those days, by the policy in force.
    pub before: TallyView,
    /// What would become of them by the draft.
    pub after: TallyView,
    /// All pulls in those days.
    pub pulls: u64,
    /// Pulls in those days of images that would not be served any more.
    pub pulls_refused: u64,
    /// Pulls in those days of images of which that is not known.
    pub pulls_unknown: u64,
    /// Images that change and were not listed: those with the fewest pulls.
    pub not_listed: u64,
}

/// Images that were pulled, by what is said of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct TallyView {
    /// Served.
    pub admitted: PulledView,
    /// Waiting for people, or for time.
    pub held: PulledView,
    /// Refused.
    pub refused: PulledView,
    /// It is not known.
    pub unknown: PulledView,
}

/// Images, and how often they were pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct PulledView {
    /// How many images.
    pub images: u64,
    /// How many pulls of them.
    pub pulls: u64,
}
