//! Tokens: list, make, end.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::AdminState;
use super::body::{InPath, JsonBody, Parameters, json};
use super::paging::{Stretch, page};
use super::problem::Problem;
use crate::ledger::Caller;
use crate::mirror::desk::view::TokenBody;

/// `GET /tokens?limit=&after=`
pub(super) async fn list(
    State(state): State<AdminState>,
    Parameters(stretch): Parameters<Stretch>,
) -> Response {
    page("/tokens", &stretch, state.desk.tokens(), |token| token.name.clone())
}

/// `POST /tokens`: the one answer that carries a secret.
pub(super) async fn create(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<TokenBody>,
) -> Result<Response, Problem> {
    let token = state.desk.create_token(body, &caller.name()).await?;
    Ok((StatusCode::CREATED, json(&token)).into_response())
}

/// `DELETE /tokens/{name}`
pub(super) async fn revoke(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(name): InPath,
) -> Result<StatusCode, Problem> {
    state.desk.revoke_token(&name, &caller.name()).await?;
    Ok(StatusCode::NO_CONTENT)
}
