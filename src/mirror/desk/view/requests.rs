//! Requests, votes, and what becomes of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::alternatives::AlternativeView;
use super::ReasonView;
use crate::ledger::RequestId;
use crate::oci::{Digest, Name, Tag};
use crate::time::Timestamp;

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
    /// How the votes stand, where the rule says whom it asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<VotesView>,
    /// Whose yes it waits for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// What it belongs to: images that were asked for together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Where else it is spoken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Whether a question about it waits for an answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_info: bool,
    /// Questions about it and answers, oldest first; in lists only the last two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<RemarkView>,
    /// Versions of the same line that are admitted here, to be used instead; left out of lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<AlternativeView>,
}

/// A question about a request, or an answer.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RemarkView {
    /// `question` or `answer`.
    pub kind: String,
    /// Who, as records have it.
    pub by: String,
    /// What they are called.
    pub display: String,
    /// When.
    pub at: Timestamp,
    /// What they said.
    pub text: String,
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
    /// `approved`, `rejected` or `revoked`; in a history also `reinstated` and `withdrawn`.
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
