//! The audit: its records, whether they are whole, checkpoints, proofs, exports, and why something ran.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use super::AdminState;
use super::body::{JsonBody, Parameters, json};
use super::paging::{linked, many};
use super::problem::Problem;
use crate::ledger::{Caller, Export, Ledger};
use crate::mirror::desk::audit::view::ArchiveBody;
use crate::oci::ImageReference;
use crate::time::Timestamp;

/// A stretch of a list.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stretch {
    /// The number of the first record; without it, the last ones are given.
    from: Option<u64>,
    /// How many; at most 1000 are given.
    limit: Option<u32>,
}

/// From which record on.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// The number of the first record.
    from: Option<u64>,
}

/// Which record.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sequence {
    /// The number of the record, from 1.
    seq: u64,
}

/// Which image, and when.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageThen {
    /// The image.
    #[schemars(with = "ImageReference")]
    image: String,
    /// When; without it, now.
    at: Option<Timestamp>,
}

/// `GET /audit?from=&limit=`
pub(super) async fn list(
    State(state): State<AdminState>,
    Parameters(Stretch { from, limit }): Parameters<Stretch>,
) -> Result<Response, Problem> {
    let page = state.desk.audit(from, limit).await?;
    let response = json(&page);
    let Some(next) = page.next else { return Ok(response) };
    let (limit, next) = (many(limit).to_string(), next.to_string());
    Ok(linked(response, "/audit", &[("limit", &limit), ("from", &next)]))
}

/// `GET /audit/verify`
pub(super) async fn verify(State(state): State<AdminState>) -> Result<Response, Problem> {
    Ok(json(&state.desk.verify_audit().await?))
}

/// `GET /audit/checkpoint`: the last one.
pub(super) async fn checkpoint(State(state): State<AdminState>) -> Result<Response, Problem> {
    Ok(json(&state.desk.checkpoint().await?))
}

/// `POST /audit/checkpoint`: one of every record that there is.
pub(super) async fn new_checkpoint(State(state): State<AdminState>) -> Result<Response, Problem> {
    Ok(json(&state.desk.new_checkpoint().await?))
}

/// `GET /audit/keys`
pub(super) async fn keys(State(state): State<AdminState>) -> Result<Response, Problem> {
    Ok(json(&state.desk.audit_keys().await?))
}

/// `GET /audit/proof?seq=`
pub(super) async fn proof(
    State(state): State<AdminState>,
    Parameters(Sequence { seq }): Parameters<Sequence>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.audit_proof(seq).await?))
}

/// `GET /audit/why?image=&at=`
pub(super) async fn why(
    State(state): State<AdminState>,
    Parameters(ImageThen { image, at }): Parameters<ImageThen>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.why(&image, at).await?))
}

/// `GET /audit/archives`
pub(super) async fn archives(State(state): State<AdminState>) -> Result<Response, Problem> {
    Ok(json(&state.desk.audit_segments().await?))
}

/// `POST /audit/archives`
pub(super) async fn archive(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<ArchiveBody>,
) -> Result<Response, Problem> {
    Ok(json(&state.desk.archive_audit(body, &caller.name()).await?))
}

/// `GET /audit/export?from=`: JSON lines, as they are read.
pub(super) async fn export(
    State(state): State<AdminState>,
    Parameters(From { from }): Parameters<From>,
) -> Result<Response, Problem> {
    let export = state.desk.begin_export(from).await?;
    let ledger = state.desk.mirror().ledger().clone();
    let stream = futures_util::stream::try_unfold((ledger, export), next_piece);
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

type Exporting = (Ledger, Export);

/// Reads on. What fails breaks the answer off, which has no last line then.
async fn next_piece((ledger, export): Exporting) -> std::io::Result<Option<(Bytes, Exporting)>> {
    let piece = ledger.next_piece(export).await.map_err(std::io::Error::other)?;
    Ok(piece.map(|(piece, export)| (Bytes::from(piece), (ledger, export))))
}
