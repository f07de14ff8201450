//! The keys with which summaries are signed.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::AdminState;
use super::body::json;
use super::problem::Problem;
use crate::ledger::Caller;

/// `GET /public-keys`
pub(super) async fn show(State(state): State<AdminState>) -> Result<Response, Problem> {
    Ok(json(&state.desk.public_keys().await?))
}

/// `POST /public-keys`
pub(super) async fn rotate(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.rotate_signing_key(&caller.name()).await?))
}
