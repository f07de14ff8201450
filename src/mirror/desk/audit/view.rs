//! What is told of the audit, as it is written in JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ledger::RequestId;
use crate::mirror::desk::view::AuditView;
use crate::oci::{Digest, Name};
use crate::time::Timestamp;

/// A signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CheckpointView {
    /// Which log it is of.
    pub origin: String,
    /// How many records it covers.
    pub size: u64,
    /// The root of the Merkle tree over them, in base64.
    pub root: String,
    /// The checkpoint itself: a signed note, to be kept as it is.
    pub checkpoint: String,
    /// The public key that signs checkpoints now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The public keys that sign checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct KeysView {
    /// The one in use last.
    pub keys: Vec<String>,
}

/// The proof that a record is in the audit.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ProofView {
    /// The number of the record, from 1.
    pub sequence: u64,
    /// The index of its leaf, from 0.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// The record as it was hashed: the content of the leaf.
    pub record: String,
    /// The hashes from the sibling of the leaf upwards, in base64.
    pub hashes: Vec<String>,
    /// The signed checkpoint of that tree.
    pub checkpoint: String,
    /// All of it as one text that other tools read: a `tlog-proof`.
    pub proof: String,
}

/// Why an image ran, or did not, at some time.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WhyView {
    /// The image as it was asked for.
    pub image: String,
    /// The time that is asked about.
    pub at: Timestamp,
    /// Its repository.
    pub name: Name,
    /// Its digest then.
    pub digest: Digest,
    /// `admitted`, `break-glass`, `observed`, `refused`, `pending`, `undecided` or `unknown`.
    pub state: String,
    /// The answer in a sentence.
    pub because: String,
    /// How the digest was come by, where a tag was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<WhyTag>,
    /// The index whose verdict it was served by, where it had none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// The last verdict of then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<WhyVerdict>,
    /// The last decision of a person by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<WhyDecision>,
    /// The break-glass by which alone it was served then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<WhyBreakGlass>,
    /// The policy in force then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<WhyPolicy>,
    /// The last records about it up to then, oldest first.
    pub before: Vec<AuditView>,
    /// What was recorded since: about it, and policies, oldest first.
    pub since: Vec<AuditView>,
    /// What the audit does not know.
    pub unknown: Vec<String>,
}

/// A break-glass by which something was served that was not admitted.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WhyBreakGlass {
    /// Its number.
    pub id: String,
    /// Who used it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Until when it held by itself.
    pub until: Timestamp,
    /// The record that says that it was used.
    pub sequence: u64,
}

/// What a tag meant.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WhyTag {
    /// The tag.
    pub tag: String,
    /// Since when it was served as that digest.
    pub since: Timestamp,
    /// The record that says so.
    pub sequence: u64,
}

/// A verdict, as the audit has it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WhyVerdict {
    /// `admit`, `pending` or `deny`.
    pub verdict: String,
    /// When it was reached.
    pub at: Timestamp,
    /// The rule that applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Whether it was acted on, or only written down.
    pub enforced: bool,
    /// The hash of the policy that it was reached under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasons: Option<String>,
    /// What each gate said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<String>,
    /// The vulnerability database that it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The record that says so.
    pub sequence: u64,
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WhyDecision {
    /// `approved`, `rejected`, `revoked` or `reinstated`.
    pub decision: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, as they wrote it.
    pub reason: String,
    /// When it ran out, or would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The request that it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RequestId>")]
    pub request: Option<String>,
    /// The record that says so.
    pub sequence: u64,
}

/// A policy in force.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WhyPolicy {
    /// Its hash.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: String,
    /// Since when.
    pub since: Timestamp,
    /// The record that says so.
    pub sequence: u64,
}

/// What is to leave the database of the audit.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveBody {
    /// All records from the first one on that were written before this.
    pub before: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What left the database of the audit, or would.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ArchivedView {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// How many records.
    pub records: u64,
    /// The number of the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The number of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// When the first one was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Timestamp>,
    /// When the last one was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// The files that were written.
    pub segments: Vec<SegmentView>,
    /// What needs further records that are older, too, and keeps them back: a webhook that has still to be told of
    /// them, a break-glass that has to be ended and reviewed first, or an exception that waits or is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
}

/// A file with records that left the database.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SegmentView {
    /// The number of its first record.
    pub from: u64,
    /// The number of its last record.
    pub to: u64,
    /// Its name in `audit/segments`.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub digest: Digest,
    /// When its first record was written.
    pub first_at: Timestamp,
    /// When its last record was written.
    pub last_at: Timestamp,
    /// When it left the database.
    pub archived_at: Timestamp,
    /// The number of the record that says so.
    pub recorded: u64,
    /// Whether the file is there.
    pub here: bool,
}

/// The files with records that left the database.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SegmentsView {
    /// Oldest first.
    pub segments: Vec<SegmentView>,
    /// The number of the first record that is in the database.
    pub begins: u64,
}
