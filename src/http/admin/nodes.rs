//! What the doctors of nodes report.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::AdminState;
use super::body::{JsonBody, json};
use super::problem::Problem;
use crate::doctor::Report;
use crate::ledger::Caller;

/// Most bytes of a report: every finding at its longest, with what JSON needs around it.
pub(super) const REPORT_BYTES_MAX: usize = 256 * 1024;

/// `GET /nodes`
pub(super) async fn list(State(state): State<AdminState>) -> Response {
    json(&state.desk.nodes())
}

/// `POST /nodes`
pub(super) async fn report(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(report): JsonBody<Report, REPORT_BYTES_MAX>,
) -> Result<Response, Problem> {
    let kept = state.desk.report_node(report, &caller.name()).await?;
    kept.map(|view| json(&view)).ok_or_else(|| {
        Problem::invalid("the report has more findings, or other texts, than a doctor writes")
    })
}
