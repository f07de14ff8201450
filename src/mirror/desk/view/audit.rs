//! The audit, and the keys by which it is checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ledger::RequestId;
use crate::time::Timestamp;

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
    /// The sizes of the checkpoints that were given and could not be held against the records, because those
    /// were not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<u64>,
    /// What is on record, is no fault, and should be known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
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
