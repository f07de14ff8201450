//! What both formats come to.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Product;
use crate::time::Timestamp;

/// A VEX document, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// What it is called, by whoever wrote it: a later version of it goes by the same name.
    pub id: Option<String>,
    /// Its version, by its own word; higher ones replace lower ones of the same name.
    pub version: u64,
    /// What it says, in its own order.
    pub statements: Vec<Statement>,
    /// What of it was not understood, and takes nothing away: bounded, printable.
    pub problems: Vec<String>,
}

/// What is said of one vulnerability in some products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// All names of the vulnerability, the main one first.
    pub vulnerability: Vec<String>,
    /// What is said of it.
    pub status: Status,
    /// Why it does not affect them, as one of the labels that the format has.
    pub justification: Option<String>,
    /// The same in words, cut to a bounded length.
    pub impact: Option<String>,
    /// What to do about it, in words, cut to a bounded length.
    pub action: Option<String>,
    /// Of what it is said; `None` is whatever the document is attached to.
    pub products: Option<Vec<Product>>,
    /// When it was known to be true, or was last changed.
    pub at: Option<Timestamp>,
}

impl Statement {
    /// Whether it says why: by a label of the format or, as both formats have it, in words instead.
    pub const fn is_justified(&self) -> bool {
        self.justification.is_some() || self.impact.is_some()
    }

    /// Why, in one text.
    pub fn why(&self) -> Option<&str> {
        self.justification.as_deref().or(self.impact.as_deref()).or(self.action.as_deref())
    }

    /// Where it stands among others about the same: the highest is the last word. One without a time
    /// is older than any that takes a finding away, and newer than any that does not.
    pub(super) fn rank(&self) -> (Timestamp, bool) {
        let clears = self.status.clears();
        let unknown = if clears { i64::MIN } else { i64::MAX };
        (self.at.unwrap_or(Timestamp::from_milliseconds(unknown)), !clears)
    }
}

/// How a product stands to a vulnerability.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "VexStatus")]
pub enum Status {
    /// It is affected.
    Affected,
    /// It was, and has been mended.
    Fixed,
    /// Nothing needs to be done about it.
    NotAffected,
    /// Nobody knows yet.
    UnderInvestigation,
    /// A word that the format does not have: nothing is known but that it was said.
    Unknown,
}

impl Status {
    /// Whether it says that the finding does not matter (any more).
    pub const fn clears(self) -> bool {
        match self {
            Self::Fixed | Self::NotAffected => true,
            Self::Affected | Self::UnderInvestigation | Self::Unknown => false,
        }
    }

    /// The word for it, as OpenVEX has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Affected => "affected",
            Self::Fixed => "fixed",
            Self::NotAffected => "not_affected",
            Self::UnderInvestigation => "under_investigation",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAffected => "not affected",
            Self::UnderInvestigation => "under investigation",
            Self::Affected | Self::Fixed | Self::Unknown => self.as_str(),
        })
    }
}
