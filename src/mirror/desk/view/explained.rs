//! Why an image is served, or not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::alternatives::AlternativeView;
use super::{StandingView, UnseenView};
use crate::gate::{EmergencyId, Excepted, Silenced};
use crate::ledger::RequestId;
use crate::oci::{Digest, Name, Platform};
use crate::time::Timestamp;

/// One reason why something is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ReasonView {
    /// Stable code, kebab-case: `unsigned`, `no-rule`, `approval-needed`.
    pub code: String,
    /// What is so, in a few words: `not signed by team`.
    pub text: String,
    /// What would have to change for this reason to go away.
    pub remedy: String,
}

/// What one gate found.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CheckView {
    /// The gate: `allowlist`, `signature`, `approval`.
    pub name: String,
    /// `pass`, `fail`, `waiting`, `not-asked`, `not-looked` or `failed` (could not tell).
    pub state: String,
    /// What was found; more lines are details.
    pub text: String,
}

/// Everything known about one image.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ExplainView {
    /// The image as it was asked about, canonical.
    pub image: String,
    /// The canonical repository.
    pub name: Name,
    /// The digest that was judged; none when the answer needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// `index`, `image`, or the artifact type; none when the manifest was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// The policy that was applied.
    pub policy: PolicyName,
    /// The rule that applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleMatch>,
    /// One entry per gate, in order.
    pub checks: Vec<CheckView>,
    /// What was found in its images and does not count, because VEX documents say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silenced: Vec<Silenced>,
    /// What was found in its images and does not count, because an exception takes it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excepted: Vec<Excepted>,
    /// What was found that nobody was shown who approved it, where the policy asks for that (`onNewFinding` of
    /// an approval policy); at most 2,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<UnseenView>,
    /// Signatures that were found, whether they help or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<SignaturesView>,
    /// `admit`, `pending`, `deny` or `undecided`.
    pub verdict: String,
    /// Whether the verdict is enforced; if not, nodes are served all the same.
    pub enforced: bool,
    /// The break-glass by which alone nodes are served, while one is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<ServedByView>,
    /// Whether nodes are told with a warning what would be refused: mode warn.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub warns: bool,
    /// What overlays would refuse that only watch, when it is admitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<ReasonView>,
    /// Every reason, when it is not admitted.
    pub reasons: Vec<ReasonView>,
    /// What people decided, if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingView>,
    /// The request it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RequestId>")]
    pub request: Option<String>,
    /// When the verdict was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// When the subject was seen first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    /// What the tag meant over time, newest first; empty when asked by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tag_history: Vec<TagMoveView>,
    /// The digest that the tag is served at, when that is not the one judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_instead: Option<Digest>,
    /// That it is served all the same as it was admitted before, when nothing can be decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<StaleView>,
    /// The last decisions about the subject, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<StandingView>,
    /// Versions of the same line that are admitted here, when this one is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<AlternativeView>,
}

/// What is served on although nothing can be decided (`onError: stale`).
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct StaleView {
    /// Since when the verdict that admitted it is not in force.
    pub since: Timestamp,
    /// Until when it is served at most.
    pub until: Timestamp,
    /// Why nothing can be decided.
    pub why: String,
}

/// A break-glass by which something is served that is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ServedByView {
    /// Its number.
    #[schemars(with = "EmergencyId")]
    pub id: String,
    /// Until when that holds.
    pub until: Timestamp,
}

/// A policy, by name.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PolicyName {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.revision`.
    pub revision: u64,
    /// Hash of its content.
    pub id: String,
}

/// How a rule came to apply.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RuleMatch {
    /// Its id.
    pub id: String,
    /// The pattern that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// How many rules match; the most specific applies.
    pub matching: u64,
    /// The file that has it, where the policy is a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Who answers for that file, where it has a scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// What was found when signatures were looked for.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SignaturesView {
    /// The signatures.
    pub found: Vec<SignatureView>,
    /// Where they were looked for.
    pub looked_for: Vec<String>,
    /// What was there and could not be read, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SignatureView {
    /// Its form.
    pub form: String,
    /// The manifest that it came from.
    pub source: Digest,
    /// The image it is over, where that is one that the index lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Digest>,
}

/// A moment at which a tag was seen to mean a digest.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TagMoveView {
    /// The digest.
    pub digest: Digest,
    /// Since when, as far as this mirror saw.
    pub seen_at: Timestamp,
}
