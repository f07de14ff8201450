//! How the mirror is: its policy, its cache, its upstreams, and what is on its way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PolicyName, ReasonView};
use crate::ledger::RequestId;
use crate::oci::{Digest, Name, Tag};
use crate::scan::DatabaseId;
use crate::time::Timestamp;

/// The policy in force.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PolicyView {
    /// Its name, revision and hash.
    #[serde(flatten)]
    pub policy: PolicyName,
    /// Its rules, in file order.
    pub rules: Vec<RuleView>,
}

/// A rule of the policy.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RuleView {
    /// Its id.
    pub id: String,
    /// Its patterns.
    #[serde(rename = "match")]
    pub patterns: Vec<String>,
    /// `allow`, `approve` or `deny`.
    pub trust: String,
    /// The file that has it, where the policy is a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Who answers for that file, where it has a scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// What enforcing would have refused.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ObservedView {
    /// The canonical repository.
    pub name: Name,
    /// The digest.
    pub digest: Digest,
    /// Tags that were seen to mean it.
    pub tags: Vec<Tag>,
    /// `pending` or `deny`.
    pub verdict: String,
    /// The rule that decided, if one matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why.
    pub reasons: Vec<ReasonView>,
    /// When it was seen first.
    pub first_seen: Timestamp,
}

/// The list of what enforcing would have refused.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ObservedPage {
    /// Subjects looked at.
    pub examined: u64,
    /// Subjects that would have been refused.
    pub refused: Vec<ObservedView>,
    /// Whether there are more than are listed.
    pub truncated: bool,
}

/// An approval that ends soon, of an image that is still pulled.
#[derive(Debug, JsonSchema, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndingView {
    /// The image, with a tag where one is known.
    pub image: String,
    /// The canonical repository.
    pub name: Name,
    /// The digest that was approved.
    pub digest: Digest,
    /// Who approved it.
    pub approved_by: String,
    /// When that ends.
    pub ends: Timestamp,
    /// The request that it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RequestId>")]
    pub request: Option<String>,
    /// When it was last served, to the minute.
    pub last_pulled: Timestamp,
}

/// How the mirror is.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct StatusView {
    /// Version of the server.
    pub version: String,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// The policy in force.
    pub policy: PolicyName,
    /// Requests that wait for people.
    pub pending_requests: u64,
    /// Exceptions that wait for people.
    #[serde(default)]
    pub asked_exceptions: u64,
    /// Exceptions that are in force.
    #[serde(default)]
    pub granted_exceptions: u64,
    /// Break-glasses that wait for more people.
    #[serde(default)]
    pub waiting_break_glass: u64,
    /// Break-glasses that are in force.
    #[serde(default)]
    pub open_break_glass: u64,
    /// Break-glasses that were in force, and that nobody has reviewed.
    #[serde(default)]
    pub unreviewed_break_glass: u64,
    /// Whether stored verdicts of an earlier program wait to be decided again by this one's logic.
    #[serde(default)]
    pub rejudgement_waits: bool,
    /// Approvals that end within 14 days, of images that are still pulled, soonest first, at most twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endings: Vec<EndingView>,
    /// The cache.
    pub store: StoreView,
    /// The upstream registries.
    pub upstreams: Vec<UpstreamView>,
}

/// How the cache is.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct StoreView {
    /// Blobs in it.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether its index could be opened; without it everything works, slower.
    pub index_available: bool,
}

/// How an upstream registry is.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct UpstreamView {
    /// The registry, as image references name it.
    pub registry: String,
    /// `ok`, `resting` (it failed often, and is left alone for a while) or `unused`.
    pub state: String,
    /// Pulls left in its rate limit, if it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_remaining: Option<u64>,
    /// Its rate limit, if it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u64>,
    /// The window of its rate limit in seconds, if it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_window_seconds: Option<u64>,
    /// When no pull is left at the present rate; absent while the window gives back enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_exhausted_at: Option<Timestamp>,
    /// How many of its credentials were refused and are left alone for a while.
    #[serde(default)]
    pub credentials_refused: u64,
    /// When it last answered well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Timestamp>,
    /// When it last failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Timestamp>,
}

/// What deciding again by the logic of the running program changes, or would change.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RejudgementView {
    /// The version of the running program's logic.
    pub logic: String,
    /// The version that stored verdicts were last brought to.
    pub logic_confirmed: String,
    /// Whether stored verdicts may still be of another logic than the running program's.
    pub waits: bool,
    /// Whether it was done; else it is only shown.
    pub confirmed: bool,
    /// Verdicts of another logic that were looked at.
    pub examined: u64,
    /// How many of them change.
    pub changed: u64,
    /// How many cannot be decided now, and hold as they are.
    pub left: u64,
    /// Those that change; the first thousand.
    pub changes: Vec<RejudgedView>,
}

/// A verdict that changes by being decided again.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RejudgedView {
    /// The subject: repository and digest.
    pub image: String,
    /// The version of the logic that reached the verdict in force.
    pub logic: String,
    /// That verdict: `admit`, `pending` or `deny`.
    pub before: String,
    /// The new one: `admit`, `pending`, `deny`, or `undecided`, and then the old one holds.
    pub after: String,
    /// Why the new one is not to admit.
    pub reasons: Vec<ReasonView>,
}

/// That the next policy may be older than the one in force.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RollbackAllowedView {
    /// The policy in force.
    pub in_force: PolicyName,
    /// Who allowed it.
    pub by: String,
    /// Until when; once is enough to end it, and so is a restart.
    pub until: Timestamp,
}

/// A finding that nobody was shown who approved the image.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct UnseenView {
    /// The vulnerability and the package: `CVE-2026-1 openssl`.
    pub finding: String,
    /// Since when it is known here.
    pub since: Timestamp,
}

/// What came of judging every scanned image again.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ScansReleasedView {
    /// The vulnerability database in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseId>,
    /// Images that were looked at.
    pub examined: u64,
    /// Those whose verdict is another now.
    pub changed: u64,
    /// Those that were admitted and are not any more.
    pub revoked: u64,
}

/// What looking again for signatures and attestations of approved images came to.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ReevaluatedView {
    /// Images that rest on what upstream lost, and are served on until a person has seen it; at most 10,000.
    pub held: Vec<String>,
    /// Images that were looked at in the last pass.
    pub looked: u64,
    /// Those that were admitted and are not any more.
    pub revoked: u64,
    /// Those of which something could not be looked for, so that they are as they were.
    pub failed: u64,
    /// Images whose signatures were looked for twice as long ago as the policy says.
    pub overdue: u64,
    /// Whether what was held has been taken back with this.
    pub applied: bool,
}
