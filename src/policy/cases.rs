//! Tests of a policy: images as people describe them, and what they expect the policy to say.

use std::time::Duration;

use super::document::RuleId;
use super::problem::Position;
use super::scanned::Rating;
use crate::oci::{Digest, ImageReference, Platform, Tag};
use crate::time::Timestamp;

/// One image and the verdict that is expected about it.
///
/// What a case does not say is not known, and a verdict that hangs on it is none: only of signatures
/// and attestations one list speaks for the other, because both come of one search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The line of the case in its file, from one.
    pub line: usize,
    /// The image, as it is asked for.
    pub image: ImageReference,
    /// What is said of it.
    pub facts: CaseFacts,
    /// What is expected.
    pub expected: Expected,
}

/// What a case says of its image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseFacts {
    /// The tags that were seen to stand for it, besides the one by which it is asked for.
    pub tags: Vec<Tag>,
    /// The platforms that it is for: more than one make it an index.
    pub platforms: Vec<Platform>,
    /// What kind of artifact it is; `None` is a container image.
    pub artifact_type: Option<String>,
    /// The number of its layers.
    pub layers: Option<u64>,
    /// The sum of config and layers, in bytes.
    pub image_bytes: Option<u64>,
    /// The signers of the policy who signed it.
    pub signed_by: Option<Vec<String>>,
    /// The signers of the policy who signed each of the images that an index lists.
    pub images_signed_by: Option<Vec<String>>,
    /// What is attested about it.
    pub attested: Option<Vec<AttestedFact>>,
    /// What every scanner finds in it.
    pub findings: Option<Vec<FindingFact>>,
    /// How much of it a scan could say something about.
    pub scan: ScanFact,
    /// What its configuration says.
    pub config: Option<ConfigFact>,
    /// What people decided about it.
    pub standing: Option<StandingFact>,
    /// For how long the mirror has known it; `None` is not at all.
    pub known_for: Option<Duration>,
    /// When it is asked for; `None` is when the test runs.
    pub now: Option<Timestamp>,
}

/// A statement that a signer of the policy attests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestedFact {
    /// The URI of its predicate type.
    pub predicate_type: String,
    /// The signer.
    pub signer: String,
    /// Who built it, in provenance.
    pub builder: Option<String>,
    /// What it says, in JSON.
    pub predicate: Option<String>,
}

/// One vulnerability that is known against one package of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingFact {
    /// Its name; one that begins with `MAL-` is malware.
    pub id: String,
    /// The package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// How bad it is; `None` where no record says.
    pub severity: Option<Rating>,
    /// The version without it, if there is one.
    pub fixed: Option<String>,
    /// For how long it has been known; `None` where no record says.
    pub age: Option<Duration>,
    /// Whether it is known to be exploited.
    pub exploited: bool,
    /// How likely it is to be exploited, in hundredths of a per cent.
    pub likelihood: Option<u16>,
}

/// How much of an image a scan could say something about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScanFact {
    /// All of it.
    #[default]
    Complete,
    /// Not all of it could be read.
    Incomplete,
    /// Nothing is known about some of what is in it.
    Unknown,
}

/// What the configuration of an image says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigFact {
    /// As whom it runs; empty is root.
    pub user: String,
    /// Its environment, `NAME=value` each.
    pub env: Vec<String>,
    /// The ports that it exposes.
    pub exposed_ports: Vec<String>,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// Whether it has a health check.
    pub healthcheck: bool,
    /// When it says that it was built.
    pub created: Option<Timestamp>,
}

/// What people decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandingFact {
    /// They said yes.
    Approved {
        /// Until when, if that ends.
        expires: Option<Timestamp>,
    },
    /// They said no before it was served.
    Rejected,
    /// They said no afterwards.
    Revoked,
}

/// What is expected of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The verdict.
    pub verdict: ExpectedVerdict,
    /// The codes of all reasons, in any order, with their places; `None` is any.
    pub reasons: Option<Vec<(String, Position, String)>>,
    /// The rule that decides; `None` is any.
    pub rule: Option<RuleId>,
}

/// A verdict, as tests name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVerdict {
    /// It is served.
    Admit,
    /// It is refused.
    Deny,
    /// It waits for people.
    Pending,
}

impl ExpectedVerdict {
    /// Their names.
    pub(super) const CHOICES: [(&'static str, Self); 3] =
        [("admit", Self::Admit), ("pending", Self::Pending), ("deny", Self::Deny)];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Deny => "deny",
            Self::Pending => "pending",
        }
    }
}

impl Case {
    /// The digest of the image: the one that is written, or one that stands for it.
    pub fn digest(&self) -> Digest {
        let stand_in = || Digest::sha256(format!("test {}", self.image).as_bytes());
        self.image.digest.unwrap_or_else(stand_in)
    }
}
