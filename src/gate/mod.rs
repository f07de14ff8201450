//! The decision: subject, evidence and policy in, verdict with every reason out. Pure and total.
//!
//! Promises: the same input gives the same answer; nothing is admitted on evidence that is missing
//! or failed; every reason that the evidence supports is listed; nothing here panics or waits.
//! "Decided no" and "could not decide" are different outcomes, and neither serves.

mod against;
mod attestations;
mod by_name;
mod checks;
mod children;
mod condition;
mod configured;
mod continuity;
mod decide;
mod distinct;
#[cfg(test)]
mod edges;
mod elsewhere;
#[cfg(test)]
mod elsewhere_tests;
mod emergency;
#[cfg(test)]
mod emergency_tests;
mod evidence;
mod excepted;
mod expressions;
#[cfg(test)]
mod expressions_tests;
mod facts;
mod fresh;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod images;
mod known;
mod learned;
mod levels;
mod logic;
#[cfg(test)]
mod overlays_tests;
mod phrase;
mod ready;
mod scan;
mod signatures;
mod silenced;
mod standing;
mod standing_approval;
mod subject;
#[cfg(test)]
mod tests;
mod text;
mod together;
mod unseen;
#[cfg(test)]
mod unseen_tests;
mod verdict;

pub use by_name::refuse_by_name;
pub use continuity::Predecessor;
pub use decide::decide;
pub(crate) use distinct::distinct;
pub use elsewhere::{Carried, Elsewhere, counting};
pub use emergency::{ByEmergency, Emergency, EmergencyId, EmergencyIdError};
pub use evidence::{
    AttachedTag, AttestationContents, ChildImage, ChildSignatures, ConfigOf, Evidence,
    EvidenceKind, Gathered, Grant, GrantKind, ImageConfigs, ManifestFacts, ScannedByOther,
    ScannedImage, ScannedImages, SignatureSearch,
};
pub use excepted::{DeskException, Excepted};
pub use fresh::tracks_fixes;
pub use known::known_against;
pub use learned::{findings_refused, findings_seen, signatures_seen};
pub use logic::Logic;
pub use phrase::{
    PHRASE_LENGTH_MAX, checking_phrase, later_phrase, message, phrase, refused_phrase,
    undecided_phrase,
};
pub use ready::ReadyPolicy;
pub use scan::{BillSearch, Bills, ImageScan, OtherScan, Scans};
pub use silenced::Silenced;
pub use standing::Standing;
pub use standing_approval::compares_line;
pub use subject::Subject;
pub use unseen::SeenFindings;
pub use verdict::{
    Check, CheckState, Judgement, Outcome, Passed, Reason, ReasonCode, RuleOwner, Verdict,
};

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::oci::{Digest, Registry, Tag};
pub use crate::policy::RuleId;
use crate::time::Timestamp;

/// Everything beside the evidence that a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The policy in force.
    pub policy: &'a ReadyPolicy,
    /// The tags that were seen, by our own history, to resolve to this digest.
    pub tags: &'a [Tag],
    /// What people decided about the subject.
    pub standing: Option<&'a Standing>,
    /// Approvals that were given elsewhere and may count; where a rule hears such.
    pub elsewhere: &'a [Elsewhere],
    /// The address of the subject's registry, by which its signers may call it too.
    pub address: Option<&'a Registry>,
    /// The time, for approvals and signatures that run out.
    pub now: Timestamp,
    /// What the same tags were last served as, if that is something else.
    pub before: &'a [Predecessor<'a>],
    /// What is admitted of the lines that its tags are of, nearest first; where a rule compares with it.
    pub line: &'a [Predecessor<'a>],
    /// The contents of attestations that are at hand.
    pub contents: &'a BTreeMap<Digest, Bytes>,
    /// What the scanner knows about what is in the images.
    pub scans: &'a Scans,
    /// What gates let pass when the subject was last admitted, if it was: that goes on being served
    /// without anybody's help, so that a vulnerability database that grew old takes nothing back.
    pub passed: Option<&'a Passed>,
    /// What VEX documents had taken away when it was last judged: it is no new finding when they do not
    /// any more.
    pub silenced: &'a [Silenced],
    /// Since when something is known against it that nobody was shown who approved it, by finding and package.
    pub unseen: &'a BTreeMap<String, Timestamp>,
    /// The exceptions for the subject's repository that people granted at the desk, in force or not.
    pub granted: &'a [DeskException],
    /// When it was first heard of here; `None` is now.
    pub first_seen: Option<Timestamp>,
    /// Whether it was admitted before, so that it waits no more.
    pub waited: bool,
    /// The break-glass that is in force for the subject.
    pub emergency: Option<Emergency>,
}
