//! The policy document: parse, lint, match. Pure.
//!
//! A [`Policy`] exists only when its document was understood completely: an unknown key, a duplicate,
//! an alias, a tie between rules, a word of the format that this version does not act on, all of them
//! are load errors, reported together with their place. Nothing is silently ignored.
//!
//! Promises: for one repository, kind of artifact and tag history at most one rule applies, and it is
//! the most specific; names are compared in canonical form only; no match costs more than pattern
//! times name. It must not do I/O: files that a policy refers to come through the caller's function.

mod approval;
mod attested;
mod break_glass;
mod cases;
mod clients;
mod configured;
mod demands;
mod difference;
mod document;
mod edit;
mod explained;
mod expressions;
mod fields;
mod files;
mod fresh;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod import;
mod isolation;
mod lately;
pub mod learned;
mod mode;
mod on_error;
mod overlay;
mod parse;
mod pattern;
mod problem;
mod proposed;
mod query;
#[cfg(test)]
mod query_tests;
mod scanned;
mod scanners;
mod schema;
mod signed;
mod source;
mod stand_in;
mod tags;
mod vex;
mod yaml;

pub use approval::{
    AllowedFindings, ApprovalPolicy, Carries, ExceptionApproval, Principal, PrincipalError,
    ReEvaluate, StandingApproval, TagFollow, UnseenFinding,
};
pub use attested::{AttestationRule, AttestationType};
pub use break_glass::{BreakGlass, Kept};
pub use cases::{
    AttestedFact, Case, CaseFacts, ConfigFact, Expected, ExpectedVerdict, FindingFact, ScanFact,
    StandingFact,
};
pub use clients::{ClientRule, Workload};
pub use configured::{ConfigGate, EnvPattern, UserRule};
pub use demands::{Demanded, Demands};
pub use difference::{Change, ChangeKind, Document, changes};
pub use document::{
    Artifact, ArtifactKind, DeniedImage, FloorLimits, KeyText, Level, NotationRoot, PolicyId, Rule,
    RuleId, Signer, SignerChange, SubjectType, TagMove, Trust, TrustRoot, TrustRootKind,
    WantedText, Who,
};
pub use explained::{Asked, Match};
pub use expressions::{FactKinds, NamedExpression, When};
pub use files::{PolicyFile, PolicySource};
pub use fresh::{FastTrack, FastTrackWhen, FreshGate};
pub use import::{Import, ImportFormat, ImportSource, Imported, Lost};
pub use isolation::{EGRESS_DENIED, EGRESS_LABEL, Isolation};
pub use mode::{Mode, ModeUntil};
pub use on_error::OnError;
pub use overlay::{Alone, Overlay};
pub use parse::{is_plain_name, time_in};
pub use pattern::Pattern;
pub use problem::{FileNumber, Position, Problem};
pub use proposed::{About, NotProposed, Proposed};
pub use scanned::{
    Answer, Exception, FindingCondition, Grace, NewFinding, Rating, ScanGate, ScanLimits,
};
pub use scanners::{Combined, Scanners};
pub use schema::SCHEMA;
pub use signed::{Quorum, Quorums, Scope, SignatureRule};
pub use source::Source;
pub use tags::TagFilter;
pub use vex::{VexAccept, VexRule};

use std::sync::Arc;
use std::time::Duration;

use document::Floor;
use lately::Lately;

/// A policy, understood and free of contradictions.
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    revision: u64,
    id: PolicyId,
    files: Vec<PolicyFile>,
    mode: ModeUntil,
    tag_move: TagMove,
    floor: Floor,
    trust_roots: Vec<TrustRoot>,
    signers: Vec<Signer>,
    exceptions: Vec<Exception>,
    exception_time_max: Duration,
    rules: Vec<Rule>,
    overlays: Vec<Overlay>,
    expressions: Vec<NamedExpression>,
    break_glass: Option<Arc<BreakGlass>>,
    clients: Vec<ClientRule>,
    lately: Lately,
    source: Arc<Source>,
}

/// A refusal that needs no look at the content and no request upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outright {
    /// What refuses.
    pub cause: OutrightCause,
    /// The rule that denies, if one does.
    pub rule: Option<RuleId>,
    /// Why, short and in ASCII: `no rule lists docker.io/acme/tool`.
    pub text: String,
    /// Whether the refusal is acted on, or only told or written down.
    pub mode: Mode,
}

/// What refuses a repository outright.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutrightCause {
    /// No rule speaks of the repository.
    NoRule,
    /// The policy does not list the registry.
    Registry,
    /// Every rule that could apply denies.
    Rule,
}
