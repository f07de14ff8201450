//! From what the gate and the ledger keep to what people and programs are shown.

use serde::Serialize;

use super::view::{CheckView, PolicyName, ReasonView, StandingView};
use crate::gate::{Check, CheckState, Judgement, Outcome, Reason, Standing, Verdict};
use crate::ledger::RequestState;
use crate::policy::Policy;

pub(super) fn reason_views(reasons: &[Reason]) -> Vec<ReasonView> {
    reasons.iter().map(ReasonView::from).collect()
}

impl From<&Reason> for ReasonView {
    fn from(reason: &Reason) -> Self {
        Self { code: word(&reason.code), text: reason.text.clone(), remedy: reason.remedy.clone() }
    }
}

/// The word by which a closed list of words is written in JSON.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or("unknown").to_owned()
}

pub(super) fn check_view(check: &Check) -> CheckView {
    let state = match check.state {
        CheckState::Fail => "fail",
        CheckState::Failed => "failed",
        CheckState::NotAsked => "not-asked",
        CheckState::NotLooked => "not-looked",
        CheckState::Pass => "pass",
        CheckState::Waiting => "waiting",
    };
    CheckView { name: check.name.clone(), state: state.to_owned(), text: check.text.clone() }
}

pub(super) fn standing_view(standing: &Standing) -> StandingView {
    let (decision, by, at, expires, reason) = match standing {
        Standing::Approved { by, at, expires, reason, .. } => {
            ("approved", by, at, *expires, reason)
        }
        Standing::Rejected { by, at, reason } => ("rejected", by, at, None, reason),
        Standing::Revoked { by, at, reason } => ("revoked", by, at, None, reason),
    };
    StandingView {
        decision: decision.to_owned(),
        by: by.clone(),
        at: *at,
        expires,
        reason: reason.clone(),
        voters: match standing {
            Standing::Approved { voters, .. } => voters.clone(),
            Standing::Rejected { .. } | Standing::Revoked { .. } => Vec::new(),
        },
    }
}

pub(super) fn policy_name(policy: &Policy) -> PolicyName {
    PolicyName {
        name: policy.name().to_owned(),
        revision: policy.revision(),
        id: policy.id().to_string(),
    }
}

/// `admit`, `pending`, `deny` or `undecided`.
pub(super) const fn verdict_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Decided(judgement) => judgement_word(judgement),
        Outcome::Missing(_) | Outcome::Undecided(_) => "undecided",
    }
}

pub(super) const fn judgement_word(judgement: &Judgement) -> &'static str {
    match judgement.verdict {
        Verdict::Admit => "admit",
        Verdict::Deny(_) => "deny",
        Verdict::Pending(_) => "pending",
    }
}

/// The states of requests.
pub const STATES: [RequestState; 6] = [
    RequestState::Approved,
    RequestState::Denied,
    RequestState::Lapsed,
    RequestState::Pending,
    RequestState::Rejected,
    RequestState::Revoked,
];
