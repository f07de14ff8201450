//! Why the desk does not do what was asked of it.

use std::path::PathBuf;

use super::REASON_LENGTH_MAX;
use super::emergencies::EmergencyError;
use crate::gate::{Reason, Subject};
use crate::ledger::{self, ExceptionId, ExceptionState, RequestId};
use crate::mirror;
use crate::oci::NameError;
use crate::policy::Problem;
use crate::store;
use crate::summary::KeyFileError;
use crate::time::Timestamp;

/// Why the desk does not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody broke the glass, or nothing was done about one.
    #[error(transparent)]
    Emergency(#[from] EmergencyError),
    /// Upstream has no such image.
    #[error("{image} does not exist upstream")]
    Absent {
        /// The image as it was written.
        image: String,
    },
    /// The backup cannot be written.
    #[error("the backup cannot be written to {path}")]
    Backup {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no key to sign with.
    #[error("the signing key")]
    SigningKey {
        /// Why not.
        #[source]
        source: KeyFileError,
    },
    /// Someone else decided since the request was looked at, or a vote would be bound to something else.
    #[error(
        "{request}, or what is known of its image, has changed since you looked at it: it is {state} now"
    )]
    Changed {
        /// The request.
        request: RequestId,
        /// Its state now.
        state: String,
    },
    /// No policy could become another one.
    #[error("the policy is the built-in one, which never changes; there is nothing to roll back")]
    NoPolicyFollowed,
    /// A simulation over no days, or too many.
    #[error("days is a number from 1 to {most}")]
    Days {
        /// The bound.
        most: u32,
    },
    /// What was sent as a draft is no policy.
    #[error("the draft has mistakes: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Draft {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// There is no such record in the audit.
    #[error("there is no record {sequence} in the audit")]
    AuditRecordUnknown {
        /// Its number.
        sequence: u64,
    },
    /// Nothing was signed yet.
    #[error("there is no checkpoint of the audit yet")]
    NoCheckpoint,
    /// The tag was served as nothing by then.
    #[error("{image} was not served under that tag by {at}, as far as the audit knows")]
    TagNotServed {
        /// The image.
        image: String,
        /// Until when.
        at: Timestamp,
    },
    /// An approval that would have run out already.
    #[error("the expiry is in the past")]
    ExpiryPast,
    /// Only approvals run out.
    #[error("only approvals have an expiry")]
    ExpiryUnwanted,
    /// A text is not an image.
    #[error("{text:?} is not an image")]
    Image {
        /// The text.
        text: String,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// The ledger failed.
    #[error("the trust ledger failed")]
    Ledger(#[source] Box<ledger::Error>),
    /// Without it, nobody could make another.
    #[error("{name} is the last admin token; make another one first")]
    LastAdminToken {
        /// The token.
        name: String,
    },
    /// Somebody whose yes does not count for this rule.
    #[error("{voter} is none of those whom rule {rule} asks: {approval}")]
    NotApprover {
        /// Who would vote.
        voter: String,
        /// The rule.
        rule: String,
        /// Whom it asks.
        approval: String,
    },
    /// A rule about whose images no file says anything.
    #[error(
        "{approval} of rule {rule} has no approvers that sign files; the policy names them as signer:NAME, with a \
         key under signers"
    )]
    NoFileApprovers {
        /// The rule.
        rule: String,
        /// Whom it asks.
        approval: String,
    },
    /// Somebody who may not ask for what this rule decides about.
    #[error("{requester} is none of those who may ask for what rule {rule} decides about")]
    NotRequester {
        /// Who would ask.
        requester: String,
        /// The rule.
        rule: String,
    },
    /// Somebody who asked for the image themselves.
    #[error("{voter} asked for this image, and rule {rule} takes no yes of those who ask")]
    OwnRequest {
        /// Who would vote.
        voter: String,
        /// The rule.
        rule: String,
    },
    /// The mirror failed.
    #[error("{subject}: {error}")]
    Mirror {
        /// What it was asked about.
        subject: String,
        /// How.
        error: mirror::Error,
    },
    /// A request that was refused before it had a digest; there is nothing to bind a decision to.
    #[error(
        "{request} has no digest to decide on: {image} was refused without a look upstream ({why})"
    )]
    NoDigest {
        /// The request.
        request: RequestId,
        /// The image.
        image: String,
        /// The reasons why it was refused.
        why: String,
    },
    /// The policy does not let people decide this so.
    #[error("{image} cannot be {wish}: {}", sentence(reasons))]
    NotAllowed {
        /// The image.
        image: String,
        /// What was wanted: `approved`, `reinstated`.
        wish: &'static str,
        /// What stands against it, each with what would have to change.
        reasons: Vec<Reason>,
    },
    /// The rule admits it without anybody's approval.
    #[error("rule {rule} admits {subject} without an approval, so there is nothing to approve{}",
        if *refused { "; undo the standing refusal with reinstate" } else { "" })]
    NotAskedFor {
        /// The subject.
        subject: Box<Subject>,
        /// The rule.
        rule: String,
        /// Whether a person's refusal stands against it.
        refused: bool,
    },
    /// There is no refusal to undo.
    #[error("{subject} is neither rejected nor revoked, so there is nothing to undo")]
    NothingToUndo {
        /// The subject.
        subject: Box<Subject>,
    },
    /// The rule asks for an approval, and that is how a refusal is undone there.
    #[error("rule {rule} asks for an approval of {subject}: approve it instead")]
    ApproveInstead {
        /// The subject.
        subject: Box<Subject>,
        /// The rule.
        rule: String,
    },
    /// It is not pinned.
    #[error("{image} is not pinned; `pratique cache pins` lists what is")]
    NotPinned {
        /// The image as it was written.
        image: String,
    },
    /// A decision has a reason.
    #[error("a decision needs a reason of 1 to {REASON_LENGTH_MAX} characters on one line")]
    ReasonForm,
    /// A question or an answer has a text.
    #[error("a question or an answer has 1 to {REASON_LENGTH_MAX} characters on one line")]
    RemarkForm,
    /// A group or a ticket has a text.
    #[error("a {what} has 1 to {most} characters on one line")]
    LabelForm {
        /// Which of them.
        what: &'static str,
        /// Most characters.
        most: usize,
    },
    /// Whoever a provider vouches for has no password here.
    #[error("{text} signs in elsewhere and has no password here; disable or remove them instead")]
    NoPassword {
        /// Who.
        text: String,
    },
    /// A repository that a token is not for.
    #[error("{who} is for {scope}, and {name} is not among them")]
    OutOfScope {
        /// The repository.
        name: String,
        /// Who asks.
        who: String,
        /// What they may ask for.
        scope: String,
    },
    /// There is nobody of that name.
    #[error("there is nobody called {text}")]
    PersonUnknown {
        /// What was asked for.
        text: String,
    },
    /// There is no such request.
    #[error("there is no request {text}")]
    RequestUnknown {
        /// What was asked for.
        text: String,
    },
    /// The word is not a role.
    #[error(
        "{text:?} is not a role; there are admin, approver, auditor, discover, requester and viewer"
    )]
    Role {
        /// The word.
        text: String,
    },
    /// What speaks for and against it changed since whoever decides was shown it.
    #[error("{image} has changed since you looked at it: {}", changes.join("; "))]
    Stale {
        /// The image.
        image: String,
        /// What is different now, in sentences.
        changes: Vec<String>,
    },
    /// What was learnt makes no policy: a mistake of this program.
    #[error("what was learnt is no policy: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Proposal {
        /// All that is wrong with it.
        problems: Vec<Problem>,
    },
    /// Only one simulation is made at a time.
    #[error("another simulation is under way; try again when it is done")]
    Simulating,
    /// An exception has changed since it was looked at.
    #[error(
        "{exception} has changed since you looked at it: it is {state}, and who said what of it, the finding or the policy may be others now"
    )]
    ExceptionChanged {
        /// Which.
        exception: ExceptionId,
        /// Its state now.
        state: ExceptionState,
    },
    /// A part of an exception is not well-formed.
    #[error("{what}")]
    ExceptionForm {
        /// What is not as it has to be, and how it would be.
        what: &'static str,
    },
    /// The word is not a state of exceptions.
    #[error("{text:?} is not a state of exceptions; there are all, open, {known}")]
    ExceptionState {
        /// The word.
        text: String,
        /// The states.
        known: String,
    },
    /// An exception that would last longer than any may.
    #[error(
        "exceptions from rule {rule} last {days} days at most: that is its exceptionApproval.longest, or maxException of the policy"
    )]
    ExceptionTooLong {
        /// The rule.
        rule: String,
        /// The bound.
        days: u64,
    },
    /// There is no such exception.
    #[error("there is no exception {exception}")]
    ExceptionUnknown {
        /// Its number.
        exception: ExceptionId,
    },
    /// The policy lets nobody grant exceptions at the desk.
    #[error(
        "the desk grants no exceptions from rule {rule}: exceptionApproval, at the rule or under defaults of \
         the policy, would say who may"
    )]
    NoExceptions {
        /// The rule.
        rule: String,
    },
    /// An exception would take nothing out.
    #[error("there is nothing to except {vulnerability} from in {image}: {why}")]
    NothingToExcept {
        /// The vulnerability.
        vulnerability: String,
        /// The image or the repository.
        image: String,
        /// Why.
        why: String,
    },
    /// Somebody who may only take back what they asked for alone.
    #[error(
        "{who} may take back only what nobody else asked for and nobody has granted; {exception} is for those to end who decide"
    )]
    NotYourException {
        /// Who.
        who: String,
        /// Which.
        exception: ExceptionId,
    },
    /// Somebody who asked for the exception themselves.
    #[error("{voter} asked for this exception, and rule {rule} takes no yes of those who ask")]
    OwnException {
        /// Who would vote.
        voter: String,
        /// The rule.
        rule: String,
    },
    /// The word is not a state.
    #[error("{text:?} is not a state of requests; there are {known}")]
    State {
        /// The word.
        text: String,
        /// The states.
        known: String,
    },
    /// The cache failed.
    #[error("the cache failed")]
    Store(#[source] store::Error),
    /// The first token's file cannot be written.
    #[error("the token file {path} cannot be written")]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no such token.
    #[error("there is no token {name}")]
    TokenUnknown {
        /// The name.
        name: String,
    },
    /// More images than are looked at in one go.
    #[error("name 1 to {limit} images at a time")]
    TooManyImages {
        /// The bound.
        limit: usize,
    },
    /// More requests than are decided about in one go.
    #[error("choose 1 to {limit} requests at a time")]
    TooManyTogether {
        /// The bound.
        limit: usize,
    },
    /// The gate could not decide, so nobody can know what an approval would mean.
    #[error("{subject} could not be judged: {}", sentence(reasons))]
    Undecided {
        /// The subject.
        subject: Box<Subject>,
        /// Why not.
        reasons: Vec<Reason>,
    },
}

impl From<ledger::Error> for Error {
    fn from(error: ledger::Error) -> Self {
        Self::Ledger(Box::new(error))
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl Error {
    /// What changed since whoever decides was shown it, when that is why.
    pub fn changes(&self) -> &[String] {
        if let Self::Stale { changes, .. } = self {
            return changes;
        }
        &[]
    }

    /// The reasons of the gate, when they are why.
    pub fn reasons(&self) -> &[Reason] {
        if let Self::NotAllowed { reasons, .. } | Self::Undecided { reasons, .. } = self {
            return reasons;
        }
        &[]
    }
}

/// All reasons with what would have to change, in one sentence.
fn sentence(reasons: &[Reason]) -> String {
    if reasons.is_empty() {
        return "the gate gives no reason".to_owned();
    }
    let one = |reason: &Reason| match reason.remedy.as_str() {
        "" => reason.text.clone(),
        remedy => format!("{} ({remedy})", reason.text),
    };
    reasons.iter().map(one).collect::<Vec<_>>().join("; ")
}
