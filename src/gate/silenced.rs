//! Findings that VEX documents took away.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::oci::Digest;
use crate::scan::{Finding, vex};
use crate::time::Timestamp;

/// A finding that would be refused, had not a signer of the policy said that it does not matter.
///
/// It is kept with the judgement: what was known when an image passed, and is refused once nobody says
/// that any more, is no new finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
pub struct Silenced {
    /// The image that it is in.
    pub image: Digest,
    /// Its best known name.
    pub vulnerability: String,
    /// The package that it is in.
    pub package: String,
    /// The version of that.
    pub version: String,
    /// What was said.
    pub status: vex::Status,
    /// Why, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// By whom: a signer of the policy.
    pub by: String,
    /// As of when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Silenced {
    /// Most of these that a judgement keeps.
    pub const MAX: usize = 1_000;

    /// Whether it is `finding`.
    pub(super) fn is(&self, image: &Digest, finding: &Finding) -> bool {
        let (package, version) = (&finding.package.name, &finding.package.version);
        self.vulnerability == finding.id
            && self.package == *package
            && self.version == *version
            && self.image == *image
    }
}
