//! Exceptions of the desk: one finding that people take out for a while, of one image or one repository.
//!
//! Somebody asks, those whom the rule's approval policy names say yes, and what they granted is in force
//! until it ends. Every change of state is a record of the audit in the same transaction, and a row counts
//! only where the last record about it is the one that it names: a row that is put back makes no exception.
//! What is in force is in memory, by repository, with a number that changes whenever any of it does, so that
//! a verdict knows whether it still goes by what is so.

mod asking;
mod deciding;
mod reading;
mod ringing;
mod votes;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use asking::ExceptionWish;
pub use deciding::{ExceptionEnd, ExceptionGrant};
pub use reading::{ExceptionCounts, ExceptionFilter};
pub(super) use reading::{Known, load, open_since};
pub use votes::{CastExceptionVote, ExceptionBallot, ExceptionVote};

use super::caller::PersonId;
use crate::gate::{DeskException, Subject};
use crate::oci::{Digest, Name};
use crate::time::Timestamp;

/// Most exceptions that wait for people, in all.
const ASKED_MAX: u64 = 1_000;
/// Most exceptions that wait and were first asked for by one person.
const ASKED_PER_PERSON_MAX: u64 = 200;
/// Most exceptions of one repository that are in force at a time.
const IN_FORCE_PER_REPOSITORY_MAX: usize = 500;
/// Most exceptions that are in force at a time.
const IN_FORCE_MAX: usize = 10_000;
/// Most people who ask for one exception.
const ASKERS_MAX: usize = 64;

/// The number of an exception; printed `X-7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExceptionId(pub u64);

/// A text is not the number of an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an exception is written X-7")]
pub struct ExceptionIdError;

impl fmt::Display for ExceptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X-{}", self.0)
    }
}

impl FromStr for ExceptionId {
    type Err = ExceptionIdError;

    fn from_str(text: &str) -> Result<Self, ExceptionIdError> {
        let digits = text.strip_prefix("X-").or_else(|| text.strip_prefix("x-"));
        let digits = digits.ok_or(ExceptionIdError)?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse::<u64>().ok().filter(|number| plain && *number > 0);
        let fits = number.filter(|number| i64::try_from(*number).is_ok());
        fits.map(Self).ok_or(ExceptionIdError)
    }
}

impl JsonSchema for ExceptionId {
    fn schema_name() -> Cow<'static, str> {
        "ExceptionId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[Xx]-0{0,3}[1-9][0-9]{0,14}$",
            "description": "The number of an exception.",
            "examples": ["X-7"],
        })
    }
}

impl Serialize for ExceptionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExceptionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where an exception stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExceptionState {
    /// It waits for people.
    Asked,
    /// It was granted or asked for, and has expired or was withdrawn.
    Ended,
    /// It is in force.
    Granted,
    /// A person refused it.
    Refused,
}

impl ExceptionState {
    /// Every state, in the order in which one comes after the other.
    pub const ALL: [Self; 4] = [Self::Asked, Self::Granted, Self::Refused, Self::Ended];

    /// The state in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Ended => "ended",
            Self::Granted => "granted",
            Self::Refused => "refused",
        }
    }

    /// Whether nothing comes after it.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Ended | Self::Refused)
    }
}

impl fmt::Display for ExceptionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an exception is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExceptionScope {
    /// The repository.
    pub name: Name,
    /// The manifest; `None` is every one of the repository.
    pub digest: Option<Digest>,
    /// The vulnerability, by one of its names.
    pub vulnerability: String,
    /// The package; `None` is any.
    pub package: Option<String>,
}

impl ExceptionScope {
    /// The subject, where it is for one image.
    pub fn subject(&self) -> Option<Subject> {
        self.digest.map(|digest| Subject { name: self.name.clone(), digest })
    }

    /// The image or the repository.
    pub fn image(&self) -> String {
        self.subject().map_or_else(|| self.name.to_string(), |subject| subject.to_string())
    }

    /// What tells it from others: no part of it has a blank.
    fn key(&self) -> String {
        let package = self.package.as_deref().unwrap_or_default();
        format!("{} {} {package}", self.image(), self.vulnerability)
    }
}

/// Somebody who asked for an exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// Who.
    pub by: PersonId,
    /// What they are called.
    pub display: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Where else that is written down.
    pub ticket: Option<String>,
}

/// How an exception was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granting {
    /// Who granted it, the last of them last.
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
    /// How many they are, as that counts them.
    pub counted: u64,
}

/// How an exception was refused or came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Who did it; `server` where it has expired.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Whether it has expired.
    pub expired: bool,
}

/// An exception, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionRow {
    /// Its number.
    pub id: ExceptionId,
    /// What it is about.
    pub scope: ExceptionScope,
    /// Where it stands.
    pub state: ExceptionState,
    /// Until when it was asked for.
    pub expires: Timestamp,
    /// Why the finding does no harm, in the word of `OpenVEX`, if that was said.
    pub justification: Option<String>,
    /// Who asked, first come first.
    pub askers: Vec<Asker>,
    /// How it was granted, if it was.
    pub granted: Option<Granting>,
    /// How it was refused or ended, if it was.
    pub closed: Option<Closed>,
    /// The record of the audit of the last change of its state.
    pub(super) sequence: u64,
    /// The last step, in days before its end, of which people were told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rung: Option<u64>,
}

impl ExceptionRow {
    /// Until when it is in force or was, or is to be.
    pub fn ends(&self) -> Timestamp {
        self.granted.as_ref().map_or(self.expires, |granted| granted.expires)
    }

    /// As the gate takes it, while it is granted.
    fn for_gate(&self) -> Option<DeskException> {
        let granted = self.granted.as_ref().filter(|_| self.state == ExceptionState::Granted)?;
        Some(DeskException {
            id: self.id.to_string(),
            digest: self.scope.digest,
            vulnerability: self.scope.vulnerability.clone(),
            package: self.scope.package.clone(),
            expires: granted.expires,
            approval: granted.approval.clone(),
            by: granted.by.clone(),
            counted: usize::try_from(granted.counted).unwrap_or(0),
        })
    }
}
