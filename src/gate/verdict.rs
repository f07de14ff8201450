//! The verdict and everything it says about itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ByEmergency, Carried, EvidenceKind, Excepted, Silenced};
use crate::oci::Digest;
use crate::policy::RuleId;
use crate::scan::DatabaseId;
use crate::time::Timestamp;

/// What [`decide`](super::decide) comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are judgements, and none is kept in this form"
)]
pub enum Outcome {
    /// There is a verdict.
    Decided(Judgement),
    /// These kinds of evidence were not gathered yet and are needed.
    Missing(Vec<EvidenceKind>),
    /// Needed evidence could not be had: neither yes nor no, and nothing is served.
    Undecided(Vec<Reason>),
}

/// Who answers for a rule, as the policy names them: `group:shop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleOwner(pub String);

impl std::fmt::Display for RuleOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A verdict and how it came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Yes, not yet, or no.
    pub verdict: Verdict,
    /// The rule that applied, if one did.
    pub rule: Option<RuleId>,
    /// Who answers for that rule, where the file of the policy that has it is somebody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Box<RuleOwner>>,
    /// Whether the verdict is acted on; in audit mode it is only written down.
    pub enforced: bool,
    /// Whether it is served with a warning: what is refused is refused in warn mode.
    #[serde(default, skip_serializing_if = "is_false")]
    pub warns: bool,
    /// What overlays would refuse that are in a weaker mode than the rule, by which it is admitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<Reason>,
    /// One entry per gate, in the order in which they are asked.
    pub checks: Vec<Check>,
    /// When something that it rests on ends, so that it has to be reached again: a signature or a
    /// certificate that expires, a revocation list that grows too old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_until: Option<Timestamp>,
    /// When the first of what people granted ends that it rests on (exceptions, approvals): it is not served
    /// beyond that, whatever else becomes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rests_until: Option<Timestamp>,
    /// Whose approval it rests on, where that is another subject's: it ends with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Box<Carried>>,
    /// What the gates of the rule let pass, where they were asked and did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<Box<Passed>>,
    /// The vulnerability database that the images were compared with, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Box<DatabaseId>>,
    /// What was found and does not count, because VEX documents say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silenced: Vec<Silenced>,
    /// What was found and does not count, because an exception takes it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excepted: Vec<Excepted>,
    /// Since when something is known against it that nobody was shown who approved it, where the policy asks
    /// for that: by finding and package.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unseen: BTreeMap<String, Timestamp>,
    /// Whether the rule hears VEX documents and it is not admitted: one that takes away what was found
    /// may appear upstream.
    #[serde(default, skip_serializing_if = "is_false")]
    pub awaits_vex: bool,
    /// Reasons that a signature which comes later could end.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub awaits_signature: BTreeSet<ReasonCode>,
    /// What a break-glass that was in force made of a verdict that does not admit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_emergency: Option<Box<ByEmergency>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Judgement {
    /// Whether the content may be served on the strength of this verdict alone.
    pub fn admits(&self) -> bool {
        matches!(self.verdict, Verdict::Admit)
    }

    /// The break-glass by which the content may be served although it is not admitted, while that one is
    /// in force.
    pub fn served_by(&self) -> Option<&ByEmergency> {
        self.by_emergency.as_deref().filter(|it| it.serves && self.enforced && !self.admits())
    }

    /// Why not; empty when admitted. The reason that weighs most comes first.
    pub fn reasons(&self) -> &[Reason] {
        self.verdict.reasons()
    }

    /// Why it would not be served if everything were enforced: why it is refused, or what overlays say that
    /// only watch.
    pub fn would_refuse_for(&self) -> &[Reason] {
        if self.admits() { &self.watched } else { self.reasons() }
    }

    /// Whether all that it waits for is that people are asked again, because something was found that they were
    /// not shown.
    pub fn asks_again(&self) -> bool {
        let Verdict::Pending(reasons) = &self.verdict else { return false };
        reasons.iter().all(|reason| reason.code == ReasonCode::FoundSinceApproval)
    }

    /// Whether this is a denial that may end when evidence is gathered again, because all it rests on is
    /// that something was not there (yet).
    pub fn rests_on_absence(&self) -> bool {
        self.verdict.rests_on(|code| {
            code.is_absence()
                || (self.awaits_vex && code == ReasonCode::Vulnerable)
                || self.awaits_signature.contains(&code)
        })
    }
}

/// What gates let pass: that goes on being served when something is found later, unless they say
/// otherwise, for as long as they ask for the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// What they ask for, in short.
    pub gates: Digest,
    /// The images that passed, each with its inventory; `None` where nothing of it could be read.
    pub images: BTreeMap<Digest, Option<Digest>>,
    /// What was known against them then, and did not count for a while, by finding and package: it was
    /// excepted, or was not known for long enough. That is not found later.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub known: BTreeSet<String>,
    /// Since when something is known against them that was found later, and is refused once the grace
    /// for it is over: by the name of the finding.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub found_since: BTreeMap<String, Timestamp>,
}

/// Yes, not yet, or no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "reasons", rename_all = "kebab-case")]
pub enum Verdict {
    /// The subject may be served.
    Admit,
    /// People have to say yes first.
    Pending(Vec<Reason>),
    /// The subject is refused.
    Deny(Vec<Reason>),
}

impl Verdict {
    /// Why not; empty when admitted.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Admit => &[],
            Self::Pending(reasons) | Self::Deny(reasons) => reasons,
        }
    }

    /// Whether this is a denial that may end when evidence is gathered again, because all it rests
    /// on is that something was not there (yet).
    pub fn rests_on_absence(&self) -> bool {
        self.rests_on(ReasonCode::is_absence)
    }

    /// Whether it is a denial for nothing but reasons that are `meant`.
    fn rests_on(&self, meant: impl Fn(ReasonCode) -> bool) -> bool {
        match self {
            Self::Admit | Self::Pending(_) => false,
            Self::Deny(reasons) => {
                let mut denials = reasons.iter().filter(|reason| !reason.code.is_waiting());
                denials.all(|reason| meant(reason.code))
            }
        }
    }
}

/// One reason against serving a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What kind of reason it is, for programs.
    pub code: ReasonCode,
    /// What is wrong, short and in printable ASCII: `not signed by team`.
    pub text: String,
    /// What would have to change, as a sentence.
    pub remedy: String,
}

/// The kinds of reasons; a closed list that programs may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonCode {
    /// It was approved, and the approval has run out.
    ApprovalExpired,
    /// The rule asks for an approval and there is none.
    ApprovalNeeded,
    /// Its configuration says something that a gate of the rule refuses, or lacks what one asks for.
    ConfigNotAllowed,
    /// Its configuration cannot be judged: it is not there, or cannot be read.
    ConfigUnreadable,
    /// It is not known here for as long as a gate of the rule asks.
    CoolingDown,
    /// The rule that applies denies.
    DeniedByRule,
    /// The digest, or that of a child, is on the policy's list of denied images.
    DeniedImage,
    /// Evidence could not be gathered; nothing was decided.
    EvidenceUnavailable,
    /// An expression of the policy does not hold, or cannot be answered.
    ExpressionNotMet,
    /// The policy forbids asking by this tag.
    ForbiddenTag,
    /// A layer is meant to be fetched around the mirror.
    ForeignLayer,
    /// It was approved, and something was found since that nobody was shown who approved it.
    FoundSinceApproval,
    /// Config and layers are larger than the policy allows.
    ImageTooLarge,
    /// The content is not a well-formed manifest.
    Malformed,
    /// A package in it is known to be malicious.
    Malware,
    /// The manifest is larger than the policy allows.
    ManifestTooLarge,
    /// No rule of the policy matches.
    NoRule,
    /// What the rule wants to have attested is not, or not by whom it names, or says something else.
    NotAttested,
    /// The upstream does not have the manifest.
    NotFound,
    /// It is no image, so that a scan says nothing about it.
    NotScannable,
    /// It runs on no platform that the policy allows.
    PlatformNotAllowed,
    /// The policy does not list the registry.
    RegistryNotAllowed,
    /// Someone rejected it.
    Rejected,
    /// Someone revoked it.
    Revoked,
    /// Not all of it could be read by the scanner.
    ScanIncomplete,
    /// Nothing is known about some of what is in it.
    ScanUnknown,
    /// The manifest is of the retired schema 1, whose digest is ambiguous.
    Schema1,
    /// It was signed by a signer whom the policy knows, and now is not.
    SignerChanged,
    /// It was built longer ago than a gate of the rule allows.
    TooOld,
    /// It has more layers than the policy allows.
    TooManyLayers,
    /// It has more signatures than the policy lets anyone look at.
    TooManySignatures,
    /// Nothing that can be believed says when it was built.
    Undated,
    /// There is no signature at all.
    Unsigned,
    /// Something is known against it that a gate of the rule refuses.
    Vulnerable,
    /// There are signatures, but not by enough of the signers that the rule wants.
    WrongSigner,
}

impl ReasonCode {
    /// Whether the reason is that something was not there when it was looked for.
    pub const fn is_absence(self) -> bool {
        matches!(
            self,
            Self::ConfigUnreadable
                | Self::NotAttested
                | Self::NotFound
                | Self::TooManySignatures
                | Self::Unsigned
                | Self::WrongSigner
        )
    }

    /// Whether the reason is one of the floor's lists, which nothing loosens.
    pub const fn is_floor(self) -> bool {
        matches!(self, Self::DeniedImage | Self::RegistryNotAllowed)
    }

    /// Whether no break-glass overrides it: the lists and bounds of the floor, malware, what is not whole,
    /// and what people refused.
    pub const fn outlasts_emergency(self) -> bool {
        matches!(
            self,
            Self::DeniedImage
                | Self::ForbiddenTag
                | Self::ForeignLayer
                | Self::ImageTooLarge
                | Self::Malformed
                | Self::Malware
                | Self::ManifestTooLarge
                | Self::NotFound
                | Self::PlatformNotAllowed
                | Self::RegistryNotAllowed
                | Self::Rejected
                | Self::Revoked
                | Self::Schema1
                | Self::TooManyLayers
        )
    }

    /// Whether the reason is that people said no.
    pub const fn is_by_people(self) -> bool {
        matches!(self, Self::Rejected | Self::Revoked)
    }

    /// Whether the reason is only that people have not said yes.
    pub const fn is_waiting(self) -> bool {
        matches!(
            self,
            Self::ApprovalExpired
                | Self::ApprovalNeeded
                | Self::FoundSinceApproval
                | Self::SignerChanged
        )
    }
}

/// What one gate made of the subject, for explanations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The gate: `floor`, `allowlist`, `manifest`, `overlays` where one denies, `signature`, `attestation` where the rule asks for some,
    /// `continuity` where it was signed before, `config`, `scan` and `freshness` where the rule has gates
    /// that ask for it, `expressions` where the policy has some, `approval`; and `watching` for what only
    /// watches; `break-glass` where one is in force.
    pub name: String,
    /// What came of it.
    pub state: CheckState,
    /// What it saw, in words.
    pub text: String,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckState {
    /// It speaks against serving.
    Fail,
    /// It could not be made.
    Failed,
    /// The rule does not ask for it.
    NotAsked,
    /// Its evidence was not gathered, because the verdict does not hang on it.
    NotLooked,
    /// Nothing against it.
    Pass,
    /// People have to say yes first.
    Waiting,
}
