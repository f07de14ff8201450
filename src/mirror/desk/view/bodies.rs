//! What is sent by whoever asks and decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{IMAGES_MAX, words};
use crate::oci::ImageReference;
use crate::time::Timestamp;

/// The confirmation of deciding again.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejudgeBody {
    /// Why; required.
    #[schemars(schema_with = "words::reason")]
    pub reason: String,
}

/// Images to bring into the cache: the body of a prefetch.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesBody {
    /// The images, as people write them.
    #[schemars(with = "Vec<ImageReference>", length(min = 1, max = IMAGES_MAX))]
    pub images: Vec<String>,
}

/// Images to ask for, all of which belong together.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskBody {
    /// The images, as people write them.
    #[schemars(with = "Vec<ImageReference>", length(min = 1, max = IMAGES_MAX))]
    pub images: Vec<String>,
    /// Why they are needed; kept with the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What they belong to: a release, a chart. Several images without one get one of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "words::group")]
    pub group: Option<String>,
    /// Where else it is spoken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "words::ticket")]
    pub ticket: Option<String>,
}

/// A question about a request, or an answer.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemarkBody {
    /// What is asked, or said.
    #[schemars(schema_with = "words::reason")]
    pub text: String,
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
