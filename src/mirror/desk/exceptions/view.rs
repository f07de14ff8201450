//! Exceptions as people and programs see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::view::VotesView;
use super::super::words;
use crate::ledger::{ExceptionId, ExceptionRow};
use crate::oci::{Digest, Name};
use crate::time::Timestamp;

/// Longest name of a vulnerability or a package, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// Longest reference to a ticket, in characters.
pub const TICKET_LENGTH_MAX: usize = 200;

/// An exception that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionBody {
    /// The image by tag or digest, or the repository.
    #[schemars(with = "crate::oci::ImageReference")]
    pub image: String,
    /// `image`: what the image is now, by its digest; `repository`: every image of its repository.
    #[schemars(extend("enum" = ["image", "repository"]))]
    #[serde(default = "of_image")]
    pub scope: String,
    /// The vulnerability, by any of its names.
    #[schemars(schema_with = "words::one_word")]
    pub vulnerability: String,
    /// The package that it is about; none is any.
    #[schemars(schema_with = "words::maybe_one_word")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Why; required.
    #[schemars(schema_with = "words::reason")]
    pub reason: String,
    /// Where else it is written down.
    #[schemars(schema_with = "words::maybe_ticket")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Until when; required.
    pub expires: Timestamp,
    /// Why the finding does no harm, in a word of `OpenVEX`.
    #[schemars(schema_with = "words::maybe_justification")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
}

fn of_image() -> String {
    "image".to_owned()
}

/// A yes or a no to an exception that waits.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionVoteBody {
    /// `grant` or `refuse`.
    #[schemars(extend("enum" = ["grant", "refuse"]))]
    pub decision: String,
    /// Why.
    #[schemars(schema_with = "words::reason")]
    pub reason: String,
    /// Until when at most, where that is sooner than it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// The end of an exception.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionEndBody {
    /// Why.
    #[schemars(schema_with = "words::reason")]
    pub reason: String,
}

/// The answer to whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ExceptionAskedView {
    /// The exception that stands for it.
    pub exception: ExceptionView,
    /// Whether they had asked for it before, so that nothing was changed.
    pub already: bool,
}

/// The answer to whoever votes, refuses or ends.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ExceptionDecidedView {
    /// `voted`, `granted`, `refused` or `ended`.
    pub decision: String,
    /// The exception as it is now.
    pub exception: ExceptionView,
}

/// Somebody who asked.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AskerView {
    /// Who, as records have it.
    pub by: String,
    /// What they are called.
    pub display: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Where else that is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// How an exception was granted.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct GrantingView {
    /// Who granted it.
    pub by: Vec<String>,
    /// When.
    pub at: Timestamp,
    /// Why, in the words of the last of them.
    pub reason: String,
    /// Until when.
    pub expires: Timestamp,
    /// The rule that asked them.
    pub rule: String,
    /// The approval policy that named them.
    pub approval: String,
}

/// How an exception was refused or ended.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ClosedView {
    /// Who; `server` where it has expired.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// `expired`, `withdrawn` or `refused`.
    pub how: String,
}

/// An exception: one finding that does not count for a while, of one image or one repository.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ExceptionView {
    /// Its number.
    pub id: ExceptionId,
    /// `asked`, `granted`, `refused` or `ended`.
    pub state: String,
    /// The image by its digest, or the repository.
    pub image: String,
    /// The repository.
    pub name: Name,
    /// The digest; none is every image of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The vulnerability.
    pub vulnerability: String,
    /// The package; none is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Until when it was asked for.
    pub expires: Timestamp,
    /// Why the finding does no harm, in a word of `OpenVEX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// Who asked, first come first.
    pub asked: Vec<AskerView>,
    /// What it would take out now, while it waits; told of one exception only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finding: Vec<String>,
    /// What would still refuse images with it, while it waits; told of one exception only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_refused: Vec<String>,
    /// How the votes stand, while it waits; told of one exception only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<VotesView>,
    /// Why nobody can vote on it now, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_votable: Option<String>,
    /// How it was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<GrantingView>,
    /// How it was refused or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<ClosedView>,
}

impl From<&ExceptionRow> for ExceptionView {
    fn from(row: &ExceptionRow) -> Self {
        let asked = row.askers.iter().map(|asker| AskerView {
            by: asker.by.to_string(),
            display: asker.display.clone(),
            at: asker.at,
            reason: asker.reason.clone(),
            ticket: asker.ticket.clone(),
        });
        let granted = row.granted.as_ref().map(|granted| GrantingView {
            by: granted.by.clone(),
            at: granted.at,
            reason: granted.reason.clone(),
            expires: granted.expires,
            rule: granted.rule.clone(),
            approval: granted.approval.clone(),
        });
        let is_refused = row.state == crate::ledger::ExceptionState::Refused;
        let closed = row.closed.as_ref().map(|closed| ClosedView {
            by: closed.by.clone(),
            at: closed.at,
            reason: closed.reason.clone(),
            how: match (is_refused, closed.expired) {
                (true, _) => "refused",
                (false, true) => "expired",
                (false, false) => "withdrawn",
            }
            .to_owned(),
        });
        Self {
            id: row.id,
            state: row.state.to_string(),
            image: row.scope.image(),
            name: row.scope.name.clone(),
            digest: row.scope.digest,
            vulnerability: row.scope.vulnerability.clone(),
            package: row.scope.package.clone(),
            expires: row.expires,
            justification: row.justification.clone(),
            asked: asked.collect(),
            finding: Vec::new(),
            still_refused: Vec::new(),
            votes: None,
            not_votable: None,
            granted,
            closed,
        }
    }
}
