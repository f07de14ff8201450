//! Webhooks: how they are, and a try whether one arrives.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::AdminState;
use super::body::{InPath, json};
use super::problem::Problem;
use crate::ledger::Caller;

/// `GET /webhooks`
pub(super) async fn list(State(state): State<AdminState>) -> Response {
    json(&state.notifier.list())
}

/// `POST /webhooks/{name}/test`: sends an event that is none, and tells what came back.
pub(super) async fn test(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(name): InPath,
) -> Result<Response, Problem> {
    let tested = state.notifier.test(&name, &caller.name()).await;
    tested.map(|view| json(&view)).ok_or_else(|| Problem::not_found("there is no such webhook"))
}
