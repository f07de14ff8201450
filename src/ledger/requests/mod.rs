//! Requests: what waits for people, or was refused, and who asked for it.
//!
//! One subject has at most one open request, however many nodes ask; requests without a digest are
//! told apart by what was asked for. Open requests are capped, in all and per client. Counts of
//! pulls are kept in memory and written every minute: after a crash they may be a minute behind.

mod desk;
mod filing;
mod reading;
mod remarks;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) use desk::Desk;
pub(super) use filing::Closing;
pub(super) use reading::{latest_readable, load, load_open};
pub use remarks::{REMARKS_MAX, Remark, RemarkKind};

use super::caller::PersonId;
use crate::gate::{Reason, Subject};
use crate::oci::{Digest, Name, Reference, Tag};
use crate::time::Timestamp;

/// Most clients that are listed by name on a request.
pub(super) const CLIENTS_PER_REQUEST_MAX: usize = 256;
/// Most people that are told apart on one request.
pub(super) const REQUESTERS_MAX: usize = 64;
/// Longest name of a client that is kept, in bytes.
const CLIENT_LENGTH_MAX: usize = 256;

/// The number of a request; printed `R-42`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A text is not the number of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request is written R-42")]
pub struct RequestIdError;

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R-{}", self.0)
    }
}

impl FromStr for RequestId {
    type Err = RequestIdError;

    fn from_str(text: &str) -> Result<Self, RequestIdError> {
        let digits = text.strip_prefix("R-").or_else(|| text.strip_prefix("r-")).unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse::<u64>().ok().filter(|number| plain && *number > 0);
        let fits = number.filter(|number| i64::try_from(*number).is_ok());
        fits.map(Self).ok_or(RequestIdError)
    }
}

impl JsonSchema for RequestId {
    fn schema_name() -> Cow<'static, str> {
        "RequestId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([Rr]-)?0{0,3}[1-9][0-9]{0,14}$",
            "description": "The number of a request.",
            "examples": ["R-42"],
        })
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestState {
    /// A person approved it.
    Approved,
    /// The policy refuses it; an approval would not help.
    Denied,
    /// It waits no more without anyone having decided: a rule admits it now, another request took
    /// its place, or nobody asked any more.
    Lapsed,
    /// It waits for people.
    Pending,
    /// A person rejected it.
    Rejected,
    /// It was approved, and revoked.
    Revoked,
}

impl RequestState {
    /// Whether nobody decided yet.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Denied | Self::Pending)
    }

    /// The state in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Lapsed => "lapsed",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refused pull, or a person's wish, to be filed.
#[derive(Debug, Clone)]
pub struct Filing {
    /// The repository.
    pub name: Name,
    /// What was asked for.
    pub reference: Reference,
    /// The digest it means, when that is known.
    pub digest: Option<Digest>,
    /// The tag it was asked by, if one was.
    pub tag: Option<Tag>,
    /// [`RequestState::Pending`] or [`RequestState::Denied`].
    pub state: RequestState,
    /// The rule that applied.
    pub rule: Option<String>,
    /// Why it is not served.
    pub reasons: Vec<Reason>,
    /// Who asked.
    pub client: String,
    /// What a person wrote to go with it.
    pub note: Option<String>,
    /// The person who asks; `None` for nodes.
    pub requester: Option<PersonId>,
    /// What it belongs to, when a person said so.
    pub group: Option<String>,
    /// Where else it is spoken of.
    pub ticket: Option<String>,
}

/// A client that asked, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCount {
    /// Who.
    pub client: String,
    /// How many pulls.
    pub pulls: u64,
    /// When last.
    pub last_asked: Timestamp,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRow {
    /// Its number.
    pub id: RequestId,
    /// The repository.
    pub name: Name,
    /// What was asked for first.
    pub reference: Reference,
    /// What it is about; without it, nobody can approve it.
    pub digest: Option<Digest>,
    /// The tag it was last asked by, if one was.
    pub tag: Option<Tag>,
    /// Where it stands.
    pub state: RequestState,
    /// The rule that applied.
    pub rule: Option<String>,
    /// Why it is not served.
    pub reasons: Vec<Reason>,
    /// What a person wrote to go with it.
    pub note: Option<String>,
    /// The people who asked, beside nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requesters: Vec<PersonId>,
    /// What it belongs to, when a person said so: a release, a chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Where else it is spoken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Questions about it and answers, oldest first, at most [`REMARKS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
    /// Whether the last question waits for an answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_info: bool,
    /// Who asked first; it counts against this client's cap.
    pub filed_by: String,
    /// When it was first asked for.
    pub first_asked: Timestamp,
    /// When it was last asked for.
    pub last_asked: Timestamp,
    /// How many pulls.
    pub pulls: u64,
    /// Who asked: the first 256.
    pub clients: Vec<ClientCount>,
    /// How many of the pulls came from clients that are not listed.
    pub unlisted_pulls: u64,
    /// Who decided, `None` while nobody did.
    pub decided_by: Option<String>,
    /// When they did, or when it lapsed.
    pub decided_at: Option<Timestamp>,
    /// Why they did.
    pub decision_reason: Option<String>,
}

impl RequestRow {
    /// What an approval would be about.
    pub fn subject(&self) -> Option<Subject> {
        self.digest.map(|digest| Subject { name: self.name.clone(), digest })
    }

    /// What is told apart: the subject, or what was asked for.
    pub(super) fn key(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.name),
            None => reference_key(&self.name, &self.reference),
        }
    }

    fn count(&mut self, client: &str, now: Timestamp) {
        self.pulls = self.pulls.saturating_add(1);
        self.last_asked = now;
        if let Some(known) = self.clients.iter_mut().find(|known| known.client == client) {
            known.pulls = known.pulls.saturating_add(1);
            known.last_asked = now;
        } else if self.clients.len() < CLIENTS_PER_REQUEST_MAX {
            self.clients.push(ClientCount { client: client.to_owned(), pulls: 1, last_asked: now });
        } else {
            self.unlisted_pulls = self.unlisted_pulls.saturating_add(1);
        }
    }

    fn take_counts(&mut self, other: &Self) {
        self.last_asked = other.last_asked;
        self.pulls = other.pulls;
        self.clients.clone_from(&other.clients);
        self.unlisted_pulls = other.unlisted_pulls;
    }
}

/// Which requests to give.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Only these states; empty is all.
    pub states: Vec<RequestState>,
    /// Only this repository.
    pub name: Option<Name>,
    /// Only those whose row has this somewhere, in any case of ASCII letters: a first sieve, which lets
    /// through more than what says it, and nothing less as long as it is ASCII without quotes and
    /// backslashes.
    pub sieve: Option<String>,
    /// Only those after this one.
    pub after: Option<RequestId>,
    /// How many at most, up to 1,000; 0 is 1,000.
    pub limit: u32,
}

/// The key of requests about `subject`.
pub(super) fn subject_key(subject: &Subject) -> String {
    subject.to_string()
}

/// The key of requests that have no digest.
fn reference_key(name: &Name, reference: &Reference) -> String {
    format!("{name} {reference}")
}

/// `client` as it is kept: bounded.
fn bounded(client: &str) -> String {
    let end =
        (0..=CLIENT_LENGTH_MAX.min(client.len())).rev().find(|at| client.is_char_boundary(*at));
    client.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}
