//! What is shown of approval files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::words;
use crate::mirror::approval_file::Said;
use crate::oci::Digest;
use crate::time::Timestamp;

/// What would be approved or rejected in a file.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftTarget {
    /// `R-42`, `IMAGE@DIGEST` or `IMAGE:TAG`.
    #[schemars(schema_with = "words::target")]
    pub target: String,
}

/// The folder with approval files, as of the last look.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct ApprovalFilesView {
    /// The folder; none where the settings name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// When it was last read whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// Why nothing is taken back for now; the files are then those of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// The files, by their paths.
    pub files: Vec<ApprovalFileView>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalFileState {
    /// It counts.
    Counts,
    /// It is no vote of anybody whom the policy knows.
    Invalid,
    /// It is somebody's, and does not count, or does not any more.
    Void,
    /// It cannot be said yet.
    Waits,
}

impl ApprovalFileState {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Invalid => "invalid",
            Self::Void => "void",
            Self::Waits => "waits",
        }
    }
}

/// An approval file, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ApprovalFileView {
    /// Its path from the folder on.
    pub file: String,
    /// What became of it.
    pub state: ApprovalFileState,
    /// Why, in words.
    pub why: String,
    /// The digest of its envelope, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The image that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Said>,
    /// Who says so, as they call themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// When they signed it, as they say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}
