//! People: list, make, change, reset, remove.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::AdminState;
use super::body::{InPath, JsonBody, Parameters, json};
use super::paging::{Stretch, page};
use super::problem::Problem;
use crate::ledger::Caller;
use crate::mirror::desk::people::{PersonBody, PersonChangeBody};

/// `GET /people?limit=&after=`
pub(super) async fn list(
    State(state): State<AdminState>,
    Parameters(stretch): Parameters<Stretch>,
) -> Response {
    page("/people", &stretch, state.desk.people(), |person| person.id.clone())
}

/// `GET /people/{id}`
pub(super) async fn show(
    State(state): State<AdminState>,
    InPath(id): InPath,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.person(&id)?))
}

/// `POST /people`: an answer that carries a secret.
pub(super) async fn add(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<PersonBody>,
) -> Result<Response, Problem> {
    let told = state.desk.add_person(body, &caller.name()).await?;
    Ok((StatusCode::CREATED, json(&told)).into_response())
}

/// `POST /people/{id}`: what the body names is different from now on.
pub(super) async fn change(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
    JsonBody(body): JsonBody<PersonChangeBody>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.change_person(&id, body, &caller.name()).await?))
}

/// `POST /people/{id}/reset`: the other answer that carries a secret.
pub(super) async fn reset(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.reset_person(&id, &caller.name()).await?))
}

/// `DELETE /people/{id}`
pub(super) async fn remove(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
) -> Result<StatusCode, Problem> {
    state.desk.remove_person(&id, &caller.name()).await?;
    Ok(StatusCode::NO_CONTENT)
}
