//! What clusters report of what runs, and where something runs.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;

use super::AdminState;
use super::body::{JsonBody, Parameters, json};
use super::problem::Problem;
use crate::cluster::{ClusterName, InventoryReport, REPORT_BYTES_MAX};
use crate::ledger::Caller;
use crate::mirror::desk::inventory::{NotKept, SoughtAs};

/// `GET /inventory`
pub(super) async fn clusters(State(state): State<AdminState>) -> Response {
    json(&state.desk.clusters().await)
}

/// `POST /inventory`
pub(super) async fn report(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(report): JsonBody<InventoryReport, REPORT_BYTES_MAX>,
) -> Result<Response, Problem> {
    let kept = state.desk.report_inventory(report, &caller.name()).await;
    kept.map(|view| json(&view)).map_err(|error| match error {
        NotKept::Bounds => Problem::invalid(error.to_string()),
        NotKept::Full | NotKept::Others { .. } => Problem::conflict(error.to_string()),
    })
}

/// Which cluster.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    /// The cluster.
    cluster: ClusterName,
}

/// `GET /inventory/images?cluster=`
pub(super) async fn images(
    State(state): State<AdminState>,
    Parameters(Of { cluster }): Parameters<Of>,
) -> Result<Response, Problem> {
    let view = Box::pin(state.desk.running_images(&cluster)).await?;
    view.map(|view| json(&view))
        .ok_or_else(|| Problem::not_found(format!("nothing was reported of cluster {cluster}")))
}

/// What is sought.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sought {
    /// An image with or without tag or digest, a digest, a finding (`CVE-2026-1234`), somebody who signed (a
    /// signer of the policy, or an identity, which may end in `*`), or a request.
    #[schemars(length(min = 1, max = 1_024))]
    what: String,
    /// As what, where its form could be something else, too.
    r#as: Option<SoughtAs>,
}

/// `GET /inventory/where?what=&as=`
pub(super) async fn whereabouts(
    State(state): State<AdminState>,
    Parameters(Sought { what, r#as: sought_as }): Parameters<Sought>,
) -> Result<Response, Problem> {
    Ok(json(&Box::pin(state.desk.whereabouts(&what, sought_as)).await?))
}
