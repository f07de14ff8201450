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
use crate::ledger::{Caller, RequestId, RequestState};
use crate::mirror::desk::view::{ImagesBody, PrefetchView};
use crate::mirror::desk::{self, Desk, STATES};

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
    /// How many; at most 1000 are given.
    limit: Option<u32>,
    /// Those after this one.
    after: Option<RequestId>,
}

/// The words for states, and `all`; none is those that are open.
fn states(_: &mut SchemaGenerator) -> Schema {
    let states = STATES.map(RequestState::as_str);
    let words: Vec<&str> = ["all"].into_iter().chain(states).collect();
    json_schema!({"type": "string", "enum": words})
}

/// `GET /requests?state=&limit=&after=`
pub(super) async fn list(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    Parameters(filter): Parameters<Filter>,
) -> Result<Response, Problem> {
    let (word, limit) = (filter.state.as_deref(), many(filter.limit));
    let mut views = state.desk.requests(word, filter.limit, filter.after).await?;
    let last = views.last().filter(|_| views.len() == limit).map(|view| view.id.clone());
    views.retain(|view| caller.scope.covers(&view.name));
    let response = json(&views);
    let Some(last) = last else { return Ok(response) };
    let limit = limit.to_string();
    let mut query = vec![("limit", limit.as_str()), ("after", last.as_str())];
    query.extend(word.map(|word| ("state", word)));
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

/// `POST /requests`
pub(super) async fn ask(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<ImagesBody>,
) -> Result<Response, Problem> {
    state.desk.check_scope(&caller, &body.images)?;
    Ok(json(&state.desk.ask(&body.images, &caller, body.reason.as_deref()).await?))
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
