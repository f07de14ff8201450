//! What the desk shows: the JSON of the admin API, shared by the server and the command line.
//!
//! Field names are `snake_case` and stable. States, verdicts and codes are text here, so that an older
//! client still reads what a newer server says. Digests are whole, times are RFC 3339.

mod audit;
mod bodies;
mod explained;
pub mod problem;
mod requests;
mod state;
mod tokens;

pub use audit::{AuditPage, AuditReportView, AuditView, PublicKeyView, PublicKeysView};
pub use bodies::{
    AskBody, DecisionBody, ImagesBody, RejudgeBody, RemarkBody, UndatedDecisionBody, VoteBody,
};
pub use explained::{
    CheckView, ExplainView, PolicyName, ReasonView, RuleMatch, ServedByView, SignatureView,
    SignaturesView, StaleView, TagMoveView,
};
pub use problem::ProblemView;
pub use requests::{
    AskedView, DecidedView, PrefetchView, PublicRequestView, RemarkView, RequestView, StandingView,
    VoteView, VotesView,
};
pub use state::{
    EndingView, ObservedPage, ObservedView, PolicyView, ReevaluatedView, RejudgedView,
    RejudgementView, RollbackAllowedView, RuleView, ScansReleasedView, StatusView, StoreView,
    UnseenView, UpstreamView,
};
pub use tokens::{NewTokenView, TokenBody, TokenView};
