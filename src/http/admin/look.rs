//! Looking: explain, observed, policy, status, backup.

use std::io::Read as _;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use super::AdminState;
use super::body::{Parameters, json};
use super::problem::Problem;
use crate::ledger::Caller;
use crate::mirror::desk::files::DraftTarget;
use crate::mirror::desk::outdated;
use crate::mirror::desk::simulate::SimulateBody;
use crate::oci::ImageReference;
use crate::tasks::Tasks;

/// Bytes of a backup that are read at a time.
const BACKUP_CHUNK_BYTES: usize = 256 * 1024;

/// The image to explain.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Image {
    /// The image.
    #[schemars(with = "ImageReference")]
    image: String,
}

/// How many entries.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    /// How many; at most 1000 are given.
    limit: Option<u32>,
}

/// `GET /explain?image=`
pub(super) async fn explain(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    Parameters(Image { image }): Parameters<Image>,
) -> Result<Response, Problem> {
    state.desk.check_scope(&caller, std::slice::from_ref(&image))?;
    Ok(json(&state.desk.explain(&image).await?))
}

/// `GET /approval-draft?target=`
pub(super) async fn approval_draft(
    State(state): State<AdminState>,
    Parameters(DraftTarget { target }): Parameters<DraftTarget>,
) -> Result<Response, Problem> {
    Ok(json(&Box::pin(state.desk.approval_draft(&target)).await?))
}

/// `GET /approval-files`
pub(super) async fn approval_files(State(state): State<AdminState>) -> Response {
    json(&state.desk.approval_files())
}

/// `GET /observed?limit=`
pub(super) async fn observed(
    State(state): State<AdminState>,
    Parameters(Limit { limit }): Parameters<Limit>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.observed(limit).await?))
}

/// How far back.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Days {
    /// Images that were served in so many days; 30 where nothing is said.
    #[schemars(range(min = 1, max = outdated::DAYS_MAX))]
    days: Option<u32>,
}

/// `GET /outdated?days=`
pub(super) async fn outdated(
    State(state): State<AdminState>,
    Parameters(Days { days }): Parameters<Days>,
) -> Result<Response, Problem> {
    Ok(json(&Box::pin(state.desk.outdated(days)).await?))
}

/// `GET /policy`
pub(super) async fn policy(State(state): State<AdminState>) -> Response {
    json(&state.desk.policy())
}

/// What a proposal rests on.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct History {
    /// What was pulled in so many days counts; 30 where nothing is said.
    #[schemars(range(min = 1, max = SimulateBody::DAYS_MAX))]
    days: Option<u32>,
    /// Repositories that were pulled less often get no rule; 3 where nothing is said.
    min_pulls: Option<u64>,
}

/// `GET /policy/proposal?days=&min_pulls=`
pub(super) async fn proposal(
    State(state): State<AdminState>,
    Parameters(History { days, min_pulls }): Parameters<History>,
) -> Result<Response, Problem> {
    Ok(json(&Box::pin(state.desk.learn(days, min_pulls)).await?))
}

/// `GET /status`
pub(super) async fn status(State(state): State<AdminState>) -> Result<Response, Problem> {
    Ok(json(&state.desk.status().await?))
}

/// `POST /backup`: the backup itself, as bytes.
pub(super) async fn backup(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let (file, size) = state.desk.backup(&state.data_dir, &caller.name()).await?;
    let tasks = state.desk.mirror().tasks().clone();
    let stream = futures_util::stream::try_unfold((Some(file), tasks), next_chunk);
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, size.into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

type Reading = (Option<std::fs::File>, Tasks);

/// Reads on, on the pool for blocking work.
async fn next_chunk((file, tasks): Reading) -> std::io::Result<Option<(Bytes, Reading)>> {
    let Some(mut file) = file else { return Ok(None) };
    let reading = tasks.spawn_blocking(move || {
        let mut chunk = vec![0; BACKUP_CHUNK_BYTES];
        let length = file.read(&mut chunk)?;
        chunk.truncate(length);
        Ok::<_, std::io::Error>((chunk, file))
    });
    let (chunk, file) = reading.await.map_err(std::io::Error::other)??;
    if chunk.is_empty() {
        return Ok(None);
    }
    Ok(Some((Bytes::from(chunk), (Some(file), tasks))))
}
