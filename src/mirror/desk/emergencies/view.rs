//! Break-glasses as they are shown, and what is sent about them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gate::EmergencyId;
use crate::ledger::{EmergencyRow, EmergencyVote};
use crate::mirror::desk::words;
use crate::oci::{ImageReference, Name};
use crate::time::Timestamp;

/// A break-glass to be used.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassBody {
    /// The image, by digest, or by a tag: what that stands for now. Either this or `repository`.
    #[schemars(with = "Option<ImageReference>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A whole repository.
    #[schemars(with = "Option<Name>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Why.
    #[schemars(schema_with = "words::reason")]
    pub reason: String,
    /// The ticket that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// For how long, as 30m or 2h; an hour where nothing is said, or less if the policy allows less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

/// A yes to a break-glass that takes several people.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassVoteBody {
    /// Why.
    #[schemars(schema_with = "words::reason")]
    pub comment: String,
}

/// What somebody else makes of a break-glass afterwards.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassReviewBody {
    /// `justified` or `not-justified`.
    #[schemars(schema_with = "review_word")]
    pub verdict: String,
    /// Why.
    #[schemars(schema_with = "words::reason")]
    pub comment: String,
}

fn review_word(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "enum": ["justified", "not-justified"] })
}

/// A break-glass.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct BreakGlassView {
    /// Its number: `B-3`.
    #[schemars(with = "EmergencyId")]
    pub id: String,
    /// `waiting` for more people, `open` (in force), or `ended`.
    pub state: String,
    /// The repository that it is for, or within.
    pub repository: Name,
    /// The image that it is for, where it is not for the whole repository: `NAME@DIGEST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Who used it, as the audit has it.
    pub by: String,
    /// What they are called.
    pub display: String,
    /// Why.
    pub reason: String,
    /// The ticket that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// For how long, in seconds, once it is in force.
    pub ttl_seconds: u64,
    /// How many people it takes, whoever used it among them.
    pub quorum: u64,
    /// How many it has.
    pub have: u64,
    /// Who said yes beside whoever used it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<BreakGlassVoteView>,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When it came into force, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force_at: Option<Timestamp>,
    /// When it ends by itself, once it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<BreakGlassEndView>,
    /// When somebody else has to have looked at it, where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_by: Option<Timestamp>,
    /// Whether that time is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
    /// What somebody else made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<BreakGlassReviewView>,
}

/// Somebody who said yes to a break-glass.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct BreakGlassVoteView {
    /// Who, as the audit has it.
    pub by: String,
    /// What they are called.
    pub display: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub comment: String,
}

/// How a break-glass ended.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct BreakGlassEndView {
    /// When.
    pub at: Timestamp,
    /// Who ended it: somebody, or `server`.
    pub by: String,
    /// Why.
    pub why: String,
}

/// What somebody else made of a break-glass.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct BreakGlassReviewView {
    /// `justified` or `not-justified`.
    pub verdict: String,
    /// Who says so, as the audit has it.
    pub by: String,
    /// What they are called.
    pub display: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub comment: String,
}

impl BreakGlassView {
    /// `row` as it is at `now`.
    pub(super) fn of(row: &EmergencyRow, now: Timestamp) -> Self {
        let vote = |vote: &EmergencyVote| BreakGlassVoteView {
            by: vote.by.to_string(),
            display: vote.display.clone(),
            at: vote.at,
            comment: vote.comment.clone(),
        };
        let review = row.review.as_ref().map(|review| BreakGlassReviewView {
            verdict: if review.is_justified { "justified" } else { "not-justified" }.to_owned(),
            by: review.by.to_string(),
            display: review.display.clone(),
            at: review.at,
            comment: review.comment.clone(),
        });
        let ended = row.ended.as_ref().map(|end| BreakGlassEndView {
            at: end.at,
            by: end.by.clone(),
            why: end.why.clone(),
        });
        Self {
            id: row.id.to_string(),
            state: row.state.as_str().to_owned(),
            repository: row.scope.name().clone(),
            image: row.scope.subject().map(ToString::to_string),
            by: row.by.to_string(),
            display: row.display.clone(),
            reason: row.reason.clone(),
            ticket: row.ticket.clone(),
            ttl_seconds: row.ttl().as_secs(),
            quorum: row.quorum,
            have: u64::try_from(row.votes.len()).unwrap_or(u64::MAX).saturating_add(1),
            votes: row.votes.iter().map(vote).collect(),
            asked_at: row.asked_at,
            in_force_at: row.in_force_at,
            until: row.until,
            ended,
            review_by: row.review_by.filter(|_| row.is_unreviewed()),
            overdue: row.is_overdue(now),
            review,
        }
    }
}
