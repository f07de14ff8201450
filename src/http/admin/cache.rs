//! The cache: how it is, tidying, scrubbing, pins.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use super::AdminState;
use super::body::{JsonBody, NDJSON, Parameters, json};
use super::paging::{Stretch, page};
use super::problem::Problem;
use crate::ledger::Caller;
use crate::mirror::desk::cache::{PinBody, ScrubBody, ScrubView};
use crate::oci::ImageReference;
use crate::store::Scrubbing;

/// How often a scrub under way says how far it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Which image is not to be pinned any more.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Image {
    /// The image.
    #[schemars(with = "ImageReference")]
    image: String,
}

/// `GET /cache`
pub(super) async fn status(State(state): State<AdminState>) -> Response {
    json(&state.desk.cache().await)
}

/// `POST /cache/gc`
pub(super) async fn gc(State(state): State<AdminState>) -> Result<Response, Problem> {
    Ok(json(&state.desk.tidy_cache().await?))
}

/// `GET /cache/pins?limit=&after=`
pub(super) async fn pins(
    State(state): State<AdminState>,
    Parameters(stretch): Parameters<Stretch>,
) -> Result<Response, Problem> {
    let pins = state.desk.pins().await?;
    Ok(page("/cache/pins", &stretch, pins, |pin| pin.subject.clone()))
}

/// `POST /cache/pins`
pub(super) async fn pin(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<PinBody>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.pin(&body.image, &caller.name()).await?))
}

/// `DELETE /cache/pins?image=`
pub(super) async fn unpin(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    Parameters(Image { image }): Parameters<Image>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.unpin(&image, &caller.name()).await?))
}

/// `POST /cache/scrub`: a JSON line now and then, and one when it is done. Whoever stops reading does
/// not stop the scrub.
pub(super) async fn scrub(
    State(state): State<AdminState>,
    JsonBody(body): JsonBody<ScrubBody>,
) -> Response {
    let scrubbing = state.desk.scrub_cache(body);
    let stream = futures_util::stream::unfold(Some(scrubbing), next_line);
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

type Line = Result<Bytes, std::convert::Infallible>;

/// Waits for the end of the scrub, but not longer than a sign of life may take.
async fn next_line(scrubbing: Option<Scrubbing>) -> Option<(Line, Option<Scrubbing>)> {
    let mut scrubbing = scrubbing?;
    let ended = tokio::time::timeout(SIGN_OF_LIFE, scrubbing.wait_for(|report| report.is_done));
    let goes_on = ended.await.is_err();
    let view = ScrubView::from(*scrubbing.borrow());
    let mut line = serde_json::to_vec(&view).unwrap_or_default();
    line.push(b'\n');
    Some((Ok(line.into()), goes_on.then_some(scrubbing)))
}
