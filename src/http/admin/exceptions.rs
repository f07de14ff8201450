//! Exceptions: ask, list, show, vote, end.

use axum::Extension;
use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::AdminState;
use super::body::{InPath, JsonBody, Parameters, json};
use super::decisions::seen;
use super::paging::{linked, many};
use super::problem::Problem;
use crate::ledger::{Caller, ExceptionId, ExceptionState};
use crate::mirror::desk;
use crate::mirror::desk::exceptions::{
    ExceptionBody, ExceptionEndBody, ExceptionVerb, ExceptionVoteBody, ExceptionWord,
};
use crate::oci::Name;

/// Which exceptions to list.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Those in this state, those that wait or are in force (`open`), or all.
    #[schemars(schema_with = "states")]
    state: Option<String>,
    /// Those of this repository only.
    repository: Option<Name>,
    /// How many; at most 1000 are given.
    limit: Option<u32>,
    /// Those after this one.
    after: Option<ExceptionId>,
}

/// The words for states; none is those that wait or are in force.
fn states(_: &mut SchemaGenerator) -> Schema {
    let states = ExceptionState::ALL.map(ExceptionState::as_str);
    let words: Vec<&str> = ["all", "open"].into_iter().chain(states).collect();
    json_schema!({"type": "string", "enum": words})
}

/// `GET /exceptions?state=&repository=&limit=&after=`
pub(super) async fn list(
    State(state): State<AdminState>,
    Parameters(filter): Parameters<Filter>,
) -> Result<Response, Problem> {
    let (word, limit) = (filter.state.as_deref(), many(filter.limit));
    let repository = filter.repository.as_ref().map(ToString::to_string);
    let page = (filter.limit, filter.after);
    let views = state.desk.exceptions(word, filter.repository, page).await?;
    let last = views.last().filter(|_| views.len() == limit).map(|view| view.id.to_string());
    let response = json(&views);
    let Some(last) = last else { return Ok(response) };
    let limit = limit.to_string();
    let mut query = vec![("limit", limit.as_str()), ("after", last.as_str())];
    query.extend(word.map(|word| ("state", word)));
    query.extend(repository.as_deref().map(|name| ("repository", name)));
    Ok(linked(response, "/exceptions", &query))
}

/// `GET /exceptions/{id}`; the `ETag` is for `If-Match` of a vote.
pub(super) async fn show(
    State(state): State<AdminState>,
    InPath(id): InPath,
) -> Result<Response, Problem> {
    let (view, version) = Box::pin(state.desk.exception_with_version(number(&id)?)).await?;
    let mut response = json(&view);
    if let Ok(version) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, version);
    }
    Ok(response)
}

/// `POST /exceptions`
pub(super) async fn ask(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<ExceptionBody>,
) -> Result<Response, Problem> {
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    let asking = async move { Box::pin(desk.ask_exception(&body, &caller)).await };
    told(tasks.spawn(asking).await)
}

/// `POST /exceptions/{id}/votes`
pub(super) async fn vote(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
    headers: HeaderMap,
    JsonBody(ExceptionVoteBody { decision, reason, expires }): JsonBody<ExceptionVoteBody>,
) -> Result<Response, Problem> {
    let verb = match decision.as_str() {
        "grant" => ExceptionVerb::Grant,
        "refuse" => ExceptionVerb::Refuse,
        _ => return Err(Problem::invalid("a decision on an exception is grant or refuse")),
    };
    let (exception, seen) = (number(&id)?, seen(&headers)?);
    let word = ExceptionWord { exception, verb, by: caller, reason, expires, seen };
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    // A task of its own: someone who hangs up after deciding has decided.
    told(tasks.spawn(async move { Box::pin(desk.decide_exception(&word)).await }).await)
}

/// `POST /exceptions/{id}/end`
pub(super) async fn end(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
    JsonBody(ExceptionEndBody { reason }): JsonBody<ExceptionEndBody>,
) -> Result<Response, Problem> {
    let id = number(&id)?;
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    told(tasks.spawn(async move { desk.end_exception(id, &caller, &reason).await }).await)
}

/// The answer to what was done in a task of its own.
fn told<T: serde::Serialize, E>(
    ended: Result<Result<T, desk::Error>, E>,
) -> Result<Response, Problem> {
    match ended {
        Ok(done) => Ok(json(&done?)),
        Err(_) => Err(Problem::internal("it was cut short; look whether it was done")),
    }
}

/// The number in the path.
fn number(text: &str) -> Result<ExceptionId, Problem> {
    text.parse().map_err(|_| Problem::not_found(format!("there is no exception {text}")))
}
