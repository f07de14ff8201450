//! Requests: list, show, ask; and prefetching, which tells how it goes.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::AdminState;
use super::body::{InPath, JsonBody, NDJSON, Parameters, json};
use super::paging::{linked, many};
use super::problem::Problem;
use crate::ledger::{Caller, RemarkKind, RequestId, RequestState};
use crate::mirror::desk::queue::NEEDS_INFO;
use crate::mirror::desk::simulate::SimulateBody;
use crate::mirror::desk::view::{AskBody, ImagesBody, PrefetchView, RemarkBody};
use crate::mirror::desk::{self, Belonging, Desk, Listing, STATES};

/// How often a prefetch under way says that it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// Lines that wait for a slow reader.
const LINES_MAX: usize = 16;

/// Which requests to list.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Those in this state, those that are open, or all.
    #[schemars(schema_with = "states")]
    state: Option<String>,
    /// Only those that wait for a yes of whoever asks.
    mine: Option<bool>,
    /// Only those of this group; those without one are of that of their repository.
    group: Option<String>,
    /// How many; at most 1000 are given.
    limit: Option<u32>,
    /// Those after this one.
    after: Option<RequestId>,
}

/// The words for states, `all`, and `needs-info`; none is those that are open.
fn states(_: &mut SchemaGenerator) -> Schema {
    let states = STATES.map(RequestState::as_str);
    let words: Vec<&str> = ["all", NEEDS_INFO].into_iter().chain(states).collect();
    json_schema!({"type": "string", "enum": words})
}

/// `GET /requests?state=&mine=&group=&limit=&after=`
pub(super) async fn list(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    Parameters(filter): Parameters<Filter>,
) -> Result<Response, Problem> {
    let Filter { state: word, mine, group, limit, after } = filter;
    let is_mine = mine.unwrap_or(false);
    let listing = Listing {
        state: word.clone(),
        mine: is_mine.then(|| caller.clone()),
        group: group.clone(),
        limit,
        after,
    };
    let (mut views, next) = state.desk.requests(&listing).await?;
    views.retain(|view| caller.scope.covers(&view.name));
    let response = json(&views);
    let Some(next) = next else { return Ok(response) };
    let (limit, next) = (many(limit).to_string(), next.to_string());
    let mut query = vec![("limit", limit.as_str()), ("after", next.as_str())];
    query.extend(word.as_deref().map(|word| ("state", word)));
    query.extend(is_mine.then_some(("mine", "true")));
    query.extend(group.as_deref().map(|group| ("group", group)));
    Ok(linked(response, "/requests", &query))
}

/// `GET /requests/{id}`; the `ETag` is for `If-Match` of a decision.
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
) -> Result<Response, Problem> {
    let (view, version) = state.desk.request(&id).await?;
    if !caller.scope.covers(&view.name) {
        return Err(desk::Error::RequestUnknown { text: id }.into());
    }
    let mut response = json(&view);
    if let Ok(version) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, version);
    }
    Ok(response)
}

/// What is to be counted.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Figures {
    /// What each change would do to what was pulled in so many days; nothing is counted where nothing is said.
    #[schemars(range(min = 1, max = SimulateBody::DAYS_MAX))]
    days: Option<u32>,
}

/// `GET /requests/{id}/proposal?days=`
pub(super) async fn proposal(
    State(state): State<AdminState>,
    InPath(id): InPath,
    Parameters(Figures { days }): Parameters<Figures>,
) -> Result<Response, Problem> {
    Ok(json(&Box::pin(state.desk.rule_proposals(&id, days)).await?))
}

/// `POST /requests`
pub(super) async fn ask(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<AskBody>,
) -> Result<Response, Problem> {
    let AskBody { images, reason, group, ticket } = body;
    state.desk.check_scope(&caller, &images)?;
    let belonging = Belonging { group, ticket };
    Ok(json(&state.desk.ask(&images, &caller, reason.as_deref(), &belonging).await?))
}

/// `POST /requests/{id}/questions`
pub(super) async fn question(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
    JsonBody(RemarkBody { text }): JsonBody<RemarkBody>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.remark(&id, RemarkKind::Question, &caller, &text).await?))
}

/// `POST /requests/{id}/answers`
pub(super) async fn answer(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath,
    JsonBody(RemarkBody { text }): JsonBody<RemarkBody>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.remark(&id, RemarkKind::Answer, &caller, &text).await?))
}

/// `POST /prefetch`: one JSON line per image when it is done, and one now and then while it is not.
pub(super) async fn prefetch(
    State(state): State<AdminState>,
    JsonBody(body): JsonBody<ImagesBody>,
) -> Result<Response, Problem> {
    state.desk.check_images(&body.images)?;
    let (lines, reader) = mpsc::channel(LINES_MAX);
    let desk = state.desk.clone();
    drop(state.desk.mirror().tasks().spawn(prefetch_all(desk, body.images, lines)));
    let stream = futures_util::stream::unfold(reader, |mut reader| async move {
        let line: Bytes = reader.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), reader))
    });
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Ends early when nobody reads any more; what has begun to arrive goes on arriving.
async fn prefetch_all(desk: Desk, images: Vec<String>, lines: mpsc::Sender<Bytes>) {
    let stopping = desk.mirror().tasks().stopping();
    tokio::pin!(stopping);
    for image in images {
        let fetching = desk.prefetch(&image);
        tokio::pin!(fetching);
        let done = loop {
            tokio::select! {
                done = &mut fetching => break done,
                () = &mut stopping => return,
                () = lines.closed() => return,
                () = tokio::time::sleep(SIGN_OF_LIFE) => {
                    if lines.send(line(&under_way(&image))).await.is_err() {
                        return;
                    }
                }
            }
        };
        if lines.send(line(&done)).await.is_err() {
            return;
        }
    }
}

fn under_way(image: &str) -> PrefetchView {
    PrefetchView {
        image: image.to_owned(),
        digest: None,
        state: "fetching".to_owned(),
        blobs: 0,
        bytes: 0,
        why: None,
    }
}

fn line(view: &PrefetchView) -> Bytes {
    let mut line = serde_json::to_vec(view).unwrap_or_default();
    line.push(b'\n');
    line.into()
}
