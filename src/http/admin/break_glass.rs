//! Break-glass: use, vote, end, review, list.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use super::AdminState;
use super::body::{InPath, JsonBody, Parameters, json};
use super::paging::{linked, many};
use super::problem::Problem;
use crate::gate::EmergencyId;
use crate::ledger::Caller;
use crate::mirror::desk::emergencies::view::{
    BreakGlassBody, BreakGlassReviewBody, BreakGlassVoteBody,
};

/// Which stretch of the list, newest first.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stretch {
    /// How many; at most 1000 are given.
    limit: Option<u32>,
    /// The last entry of the stretch before, as the `Link` to this one has it.
    #[schemars(with = "Option<EmergencyId>")]
    before: Option<String>,
}

/// Why one is ended.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// Why, in a line.
    reason: Option<String>,
}

/// `GET /break-glass?limit=&before=`
pub(super) async fn list(
    State(state): State<AdminState>,
    Parameters(stretch): Parameters<Stretch>,
) -> Result<Response, Problem> {
    let limit = many(stretch.limit);
    let asked = u32::try_from(limit).unwrap_or(u32::MAX);
    let views = state.desk.break_glasses(stretch.before.as_deref(), asked).await?;
    let next = views.last().filter(|_| views.len() >= limit).map(|view| view.id.clone());
    let response = json(&views);
    Ok(match next {
        Some(before) => {
            let query = [("limit", limit.to_string()), ("before", before)];
            let query = query.each_ref().map(|(key, value)| (*key, value.as_str()));
            linked(response, "/break-glass", &query)
        }
        None => response,
    })
}

/// `GET /break-glass/{id}`
pub(super) async fn show(
    State(state): State<AdminState>,
    InPath(id): InPath,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.break_glass_view(&id).await?))
}

/// `POST /break-glass`: in force when this is answered, unless it takes more people.
pub(super) async fn break_glass(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<BreakGlassBody>,
) -> Result<Response, Problem> {
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    // A task of its own: whoever hangs up after asking has used it.
    let using = tasks.spawn(async move { Box::pin(desk.break_glass(&caller, &body, None)).await });
    match using.await {
        Ok(view) => Ok((StatusCode::CREATED, json(&view?)).into_response()),
        Err(_) => {
            Err(Problem::internal("it was cut short; see the list for whether it is in force"))
        }
    }
}

/// `POST /break-glass/{id}/votes`
pub(super) async fn vote(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
    JsonBody(body): JsonBody<BreakGlassVoteBody>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.vote_break_glass(&caller, &id, &body.comment, None).await?))
}

/// `DELETE /break-glass/{id}?reason=`: nothing is served by it any more when this is answered.
pub(super) async fn end(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
    Parameters(why): Parameters<Why>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.end_break_glass(&caller, &id, why.reason.as_deref()).await?))
}

/// `POST /break-glass/{id}/review`
pub(super) async fn review(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
    JsonBody(body): JsonBody<BreakGlassReviewBody>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.review_break_glass(&caller, &id, &body).await?))
}
