//! Approve, reject, revoke, reinstate; decide again by the logic of a newer program.

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::response::Response;

use super::AdminState;
use super::body::{InPath, JsonBody, json};
use super::problem::Problem;
use crate::ledger::Caller;
use crate::mirror::desk::view::{
    DecidedView, DecisionBody, RejudgeBody, UndatedDecisionBody, VoteBody,
};
use crate::mirror::desk::{self, Verb, Wish};

type Body = JsonBody<DecisionBody>;

/// `POST /approvals`
pub(super) async fn approve(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    decide(&state, Verb::Approve, caller, &headers, body).await
}

/// `POST /reinstatements`
pub(super) async fn reinstate(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<UndatedDecisionBody>,
) -> Result<Response, Problem> {
    decide(&state, Verb::Reinstate, caller, &headers, JsonBody(body.into())).await
}

/// `POST /rejections`
pub(super) async fn reject(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<UndatedDecisionBody>,
) -> Result<Response, Problem> {
    decide(&state, Verb::Reject, caller, &headers, JsonBody(body.into())).await
}

/// `POST /revocations`
pub(super) async fn revoke(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<UndatedDecisionBody>,
) -> Result<Response, Problem> {
    decide(&state, Verb::Revoke, caller, &headers, JsonBody(body.into())).await
}

/// `POST /requests/{id}/votes`: yes or no to one request, as one of those whom its rule asks.
pub(super) async fn vote(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
    headers: HeaderMap,
    JsonBody(VoteBody { decision, reason, expires }): JsonBody<VoteBody>,
) -> Result<Response, Problem> {
    let verb = match decision.as_str() {
        "approve" => Verb::Approve,
        "reject" => Verb::Reject,
        _ => return Err(Problem::invalid("a decision on a request is approve or reject")),
    };
    let body = DecisionBody { target: id, reason, expires };
    decide(&state, verb, caller, &headers, JsonBody(body)).await
}

/// `GET /rejudgements`: what deciding again would change.
pub(super) async fn rejudge_dry(State(state): State<AdminState>) -> Result<Response, Problem> {
    Ok(json(&state.desk.rejudge_dry().await?))
}

/// `POST /rejudgements`: decides again.
pub(super) async fn rejudge(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(RejudgeBody { reason }): JsonBody<RejudgeBody>,
) -> Result<Response, Problem> {
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    let rejudging =
        tasks.spawn(async move { Box::pin(desk.rejudge(&caller.name(), &reason)).await });
    match rejudging.await {
        Ok(done) => Ok(json(&done?)),
        Err(_) => Err(Problem::invalid("it was cut short; what was decided so far is decided")),
    }
}

/// `GET /reevaluations`: what rests on what upstream lost.
pub(super) async fn reevaluated(State(state): State<AdminState>) -> Response {
    json(&state.desk.reevaluated())
}

/// `POST /reevaluations`: takes back what rests on what upstream lost, without the brake.
pub(super) async fn release_reevaluation(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(RejudgeBody { reason }): JsonBody<RejudgeBody>,
) -> Result<Response, Problem> {
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    let releasing = tasks
        .spawn(async move { Box::pin(desk.release_reevaluation(&caller.name(), &reason)).await });
    match releasing.await {
        Ok(done) => Ok(json(&done?)),
        Err(_) => Err(Problem::invalid("it was cut short; what was decided so far is decided")),
    }
}

/// `POST /scans/releases`: judges every scanned image again, without the brake.
pub(super) async fn release_scans(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(RejudgeBody { reason }): JsonBody<RejudgeBody>,
) -> Result<Response, Problem> {
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    let releasing =
        tasks.spawn(async move { Box::pin(desk.release_scans(&caller.name(), &reason)).await });
    match releasing.await {
        Ok(done) => Ok(json(&done?)),
        Err(_) => Err(Problem::invalid("it was cut short; what was decided so far is decided")),
    }
}

/// `POST /policy/rollbacks`: lets the next policy be older, once.
pub(super) async fn allow_rollback(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(RejudgeBody { reason }): JsonBody<RejudgeBody>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.allow_policy_rollback(&caller.name(), &reason).await?))
}

async fn decide(
    state: &AdminState,
    verb: Verb,
    caller: Caller,
    headers: &HeaderMap,
    JsonBody(body): Body,
) -> Result<Response, Problem> {
    let DecisionBody { target, reason, expires } = body;
    let seen = seen(headers)?;
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    let wish = Wish { verb, target, by: caller, reason, expires, seen, shown: None };
    // A task of its own: someone who hangs up after deciding has decided.
    let deciding = tasks.spawn(async move { Box::pin(desk.decide(&wish)).await });
    decided(deciding.await)
}

/// The answer to a decision whose task ended so. One that was cut short may have been taken: that is
/// our failure and not the admin's, and nothing that a script may take for a no.
fn decided<E>(ended: Result<Result<DecidedView, desk::Error>, E>) -> Result<Response, Problem> {
    match ended {
        Ok(decided) => Ok(json(&decided?)),
        Err(_) => Err(Problem::internal("the decision was cut short; look whether it was taken")),
    }
}

/// The version in `If-Match`, which `GET /requests/{id}` gave as `ETag`.
pub(super) fn seen(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let quoted = value.to_str().ok().and_then(|v| v.strip_prefix('"')?.strip_suffix('"'));
    let version = quoted.ok_or_else(|| Problem::invalid("If-Match is not one quoted version"))?;
    Ok(Some(version.to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::IntoResponse as _;

    use super::*;

    #[test]
    fn a_decision_that_was_cut_short_is_our_failure_and_no_mistake_of_the_admin() {
        let problem = decided(Err("the task was aborted")).unwrap_err();
        assert_eq!(problem.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
