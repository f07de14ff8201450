//! What the desk shows: the JSON of the admin API, shared by the server and the command line.
//!
//! Field names are `snake_case` and stable. States, verdicts and codes are text here, so that an older
//! client still reads what a newer server says. Digests are whole, times are RFC 3339.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{IMAGES_MAX, words};
use crate::gate::Silenced;
use crate::ledger::{RequestId, Role};
use crate::oci::{Digest, ImageReference, Name, Platform, Tag};
use crate::scan::DatabaseId;
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

/// A request: a subject that waits for people, or was refused.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RequestView {
    /// `R-42`.
    #[schemars(with = "RequestId")]
    pub id: String,
    /// `pending`, `denied`, `approved`, `rejected`, `revoked` or `lapsed`.
    pub state: String,
    /// The image as it was asked for: `docker.io/library/redis:7.4`.
    pub image: String,
    /// The canonical repository.
    pub name: Name,
    /// The tag by which it was asked for, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// What a decision would be bound to; none when it was refused without a look upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The rule that decided, if one matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why it waits or was refused.
    pub reasons: Vec<ReasonView>,
    /// How many clients asked.
    pub clients: u64,
    /// Who they are; left out of lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_names: Vec<String>,
    /// How many times it was asked for.
    pub pulls: u64,
    /// When it was asked for first.
    pub first_asked: Timestamp,
    /// When it was asked for last.
    pub last_asked: Timestamp,
    /// What the person who asked wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What people decided about the subject, if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingView>,
    /// The people who asked, beside nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requesters: Vec<String>,
    /// How the votes stand, where the rule asks several people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<VotesView>,
}

/// How the votes about a subject stand.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct VotesView {
    /// The rule that asks.
    pub rule: String,
    /// The approval policy that says whom.
    pub approval: String,
    /// How many people it asks.
    pub needed: u64,
    /// How many of them said yes.
    pub have: u64,
    /// Who is missing, in words; empty when nobody is.
    pub missing: String,
    /// Every vote: those that count first, then those that do not any more.
    pub votes: Vec<VoteView>,
    /// How many votes on record are not what was written, and count for nothing.
    #[serde(default)]
    pub damaged: u64,
}

/// A yes of one person.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct VoteView {
    /// Who, as records have it.
    pub by: String,
    /// What they are called.
    pub display: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Until when it is to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// For which approvers they stand.
    pub stands_for: Vec<String>,
    /// Why it does not count any more, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void: Option<String>,
}

/// What people decided about a subject.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct StandingView {
    /// `approved`, `rejected` or `revoked`; in a history also `reinstated`.
    pub decision: String,
    /// Name of the token that decided.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Until when an approval holds; none means until it is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// Everybody whose yes an approval took, where it took more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voters: Vec<String>,
}

/// A request as anybody who knows its number may see it: no clients, no people.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PublicRequestView {
    /// `R-42`.
    #[schemars(with = "RequestId")]
    pub id: String,
    /// `pending`, `denied`, `approved`, `rejected`, `revoked` or `lapsed`.
    pub state: String,
    /// The image as it was asked for.
    pub image: String,
    /// What a decision would be bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The rule that decided, if one matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why it waits or was refused.
    pub reasons: Vec<ReasonView>,
    /// When it was asked for first.
    pub first_asked: Timestamp,
    /// What happens next, in a sentence.
    pub next: String,
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
    /// Signatures that were found, whether they help or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<SignaturesView>,
    /// `admit`, `pending`, `deny` or `undecided`.
    pub verdict: String,
    /// Whether the verdict is enforced; if not, nodes are served all the same.
    pub enforced: bool,
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
    /// The last decisions about the subject, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<StandingView>,
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

/// The answer to a decision.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DecidedView {
    /// `approved`, `rejected`, `revoked` or `reinstated`; `voted` where it was a yes and others are missing.
    pub decision: String,
    /// The subject: repository and digest.
    pub image: String,
    /// The repository of the subject.
    pub name: Name,
    /// The digest that the decision is bound to.
    pub digest: Digest,
    /// The request that it settles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RequestId>")]
    pub request: Option<String>,
    /// Name of the token that decided.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Until when an approval holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whether this had been decided before, so that nothing was changed.
    pub already: bool,
    /// The standing decision that this one replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<StandingView>,
    /// Clients that had asked for it.
    pub clients: u64,
    /// How the votes stand, where the rule asks several people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<VotesView>,
    /// The verdict now; none when it could not be made at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// How one image of a `request` fares.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AskedView {
    /// The image as it was written.
    pub image: String,
    /// The digest that it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// `admitted`, `pending`, `denied`, `absent` or `undecided`.
    pub state: String,
    /// The request, if it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RequestId>")]
    pub request: Option<String>,
    /// Why it is not admitted.
    pub reasons: Vec<ReasonView>,
}

/// One line of a prefetch: an image that is being fetched, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PrefetchView {
    /// The image as it was written.
    pub image: String,
    /// The digest that it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// `fetching`, `done`, `refused`, or `failed`.
    pub state: String,
    /// Blobs in the cache now, when done.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why it was refused or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One record of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AuditView {
    /// Place in the chain, from 1.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// Who: a token's name, or `pratique` itself.
    pub by: String,
    /// What was done: `approved`, `policy-changed`.
    pub action: String,
    /// To what, if to something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The request concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RequestId>")]
    pub request: Option<String>,
    /// Why, as people wrote it, or what else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Hash of the record, which the next one carries.
    pub hash: String,
}

/// A stretch of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AuditPage {
    /// The records, in order.
    pub records: Vec<AuditView>,
    /// Where to go on reading; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// What checking the whole audit chain found.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AuditReportView {
    /// Whether every record is as it was written, and none is missing.
    pub intact: bool,
    /// How many records were checked.
    pub records: u64,
    /// Hash of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// What is wrong.
    pub problems: Vec<String>,
    /// The number of the first record that is bad, or that something is wrong with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<u64>,
    /// How many signed checkpoints were verified and fit the records.
    #[serde(default)]
    pub checkpoints: u64,
    /// The number of the last record that one of them covers; 0 when there is none.
    #[serde(default)]
    pub covered: u64,
    /// The public key that signed the latest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When the first record was written that no checkpoint covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncovered_since: Option<Timestamp>,
    /// What is on record, is no fault, and should be known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TokenView {
    /// Its name, which the audit carries.
    pub name: String,
    /// What whoever holds it may do.
    #[schemars(with = "Role")]
    pub role: String,
    /// The groups that whoever holds it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether it has.
    #[serde(default)]
    pub expired: bool,
    /// The repositories that it is for; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// Whose it is, where it is a person's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// A token that was just made; the only time its secret is told.
#[derive(Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct NewTokenView {
    /// Its name.
    pub name: String,
    /// Its role.
    #[schemars(with = "Role")]
    pub role: String,
    /// The secret.
    pub token: String,
}

impl std::fmt::Debug for NewTokenView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewTokenView {{ name: {:?}, token: [redacted] }}", self.name)
    }
}

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

/// The confirmation of deciding again.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejudgeBody {
    /// Why; required.
    #[schemars(schema_with = "words::reason")]
    pub reason: String,
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

/// Images to ask for: the body of a request and of a prefetch.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesBody {
    /// The images, as people write them.
    #[schemars(with = "Vec<ImageReference>", length(min = 1, max = IMAGES_MAX))]
    pub images: Vec<String>,
    /// Why they are needed; kept with the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A decision to take: the body of approvals.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionBody {
    /// `IMAGE@DIGEST`, `IMAGE:TAG` or `R-42`.
    #[schemars(schema_with = "words::target")]
    pub target: String,
    /// Why; required.
    #[schemars(schema_with = "words::reason")]
    pub reason: String,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// A decision that holds until another: the body of rejections, revocations and reinstatements.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndatedDecisionBody {
    /// `IMAGE@DIGEST`, `IMAGE:TAG` or `R-42`.
    #[schemars(schema_with = "words::target")]
    pub target: String,
    /// Why; required.
    #[schemars(schema_with = "words::reason")]
    pub reason: String,
}

impl From<UndatedDecisionBody> for DecisionBody {
    fn from(body: UndatedDecisionBody) -> Self {
        let UndatedDecisionBody { target, reason } = body;
        Self { target, reason, expires: None }
    }
}

/// A yes or a no to one request.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteBody {
    /// `approve` or `reject`.
    #[schemars(extend("enum" = ["approve", "reject"]))]
    pub decision: String,
    /// Why.
    #[schemars(schema_with = "words::reason")]
    pub reason: String,
    /// Until when an approval is to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// A token to make.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// Its name.
    #[schemars(schema_with = "words::name")]
    pub name: String,
    /// What whoever holds it may do.
    #[schemars(with = "Role")]
    pub role: String,
    /// The groups that whoever holds it is in.
    #[schemars(schema_with = "words::groups")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The repositories that it is for, as the policy's `match` has them; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "words::patterns")]
    pub repositories: Vec<String>,
    /// Whose it is, as the audit calls them (`user:alice`); what is done with it is done by them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// An error answer.
///
/// Spec: <https://www.rfc-editor.org/rfc/rfc9457#section-3>
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ProblemView {
    /// What kind of problem it is: a URN that stays as it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The type in words.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// What happened to what, and what to do.
    pub detail: String,
    /// Reasons, when something is not admitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ReasonView>,
}

/// The types of problems; clients compare these, people read the title and the detail.
pub mod problem {
    /// Someone else decided in between, or there is nothing to undo.
    pub const CONFLICT: &str = "urn:pratique:problem:conflict";
    /// The policy does not let this be decided so.
    pub const DECISION_REFUSED: &str = "urn:pratique:problem:decision-refused";
    /// A fault of this program or its disk.
    pub const INTERNAL: &str = "urn:pratique:problem:internal";
    /// The request is not well-formed.
    pub const INVALID: &str = "urn:pratique:problem:invalid";
    /// The `Idempotency-Key` belongs to another request.
    pub const KEY_REUSED: &str = "urn:pratique:problem:key-reused";
    /// The body is not `application/json`.
    pub const MEDIA_TYPE: &str = "urn:pratique:problem:media-type";
    /// The path is there, the method is not.
    pub const METHOD: &str = "urn:pratique:problem:method";
    /// There is no such thing.
    pub const NOT_FOUND: &str = "urn:pratique:problem:not-found";
    /// The token's role does not allow this.
    pub const ROLE: &str = "urn:pratique:problem:role";
    /// Too many failed logins, or too many requests.
    pub const THROTTLED: &str = "urn:pratique:problem:throttled";
    /// The body did not arrive in time.
    pub const TIMEOUT: &str = "urn:pratique:problem:timeout";
    /// The body is too large.
    pub const TOO_LARGE: &str = "urn:pratique:problem:too-large";
    /// There is no token, or it is not valid.
    pub const UNAUTHENTICATED: &str = "urn:pratique:problem:unauthenticated";
    /// It could not be decided now; trying again may help.
    pub const UNDECIDED: &str = "urn:pratique:problem:undecided";
}

/// The keys with which summaries are signed.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PublicKeysView {
    /// The one in force.
    pub current: PublicKeyView,
    /// Those before it, the newest first.
    pub retired: Vec<PublicKeyView>,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PublicKeyView {
    /// The SHA-256 of its `SubjectPublicKeyInfo`, in lower-case hexadecimal.
    pub id: String,
    /// A `PUBLIC KEY` block.
    pub pem: String,
}
