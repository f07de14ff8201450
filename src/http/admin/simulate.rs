//! `POST /simulate`: what a draft of a policy would change.

use std::pin::Pin;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

use super::AdminState;
use super::body::{JsonBody, NDJSON};
use super::problem::Problem;
use crate::ledger::{Caller, Permission};
use crate::mirror::desk;
use crate::mirror::desk::simulate::{
    Examined, FlipView, SimulateBody, SimulationLine, SimulationView,
};

/// Most bytes of a draft with all files that it names: policies have at most 1 MiB, and so has each of the
/// files, which are few.
pub(super) const DRAFT_BYTES_MAX: usize = 8 << 20;
/// How often it says how far it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

type Work =
    Pin<Box<dyn Future<Output = Result<(SimulationView, Vec<FlipView>), desk::Error>> + Send>>;

/// `POST /simulate`: JSON lines, a sign of life now and then, and at the end what would become of images
/// and what all that comes to. Whoever stops reading stops it.
pub(super) async fn simulate(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<SimulateBody, DRAFT_BYTES_MAX>,
) -> Result<Response, Problem> {
    let simulation = state.desk.simulate(body, caller.may(Permission::Administer)).await?;
    let examined = simulation.examined();
    let work: Work = Box::pin(simulation.run());
    let lines = stream::unfold(Some((work, examined)), next_lines).flatten();
    let mut response = Body::from_stream(lines).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

type Line = Result<Bytes, std::convert::Infallible>;
type Running = Option<(Work, Examined)>;

/// Waits for the end of `running`, but not longer than a sign of life may take.
async fn next_lines(running: Running) -> Option<(impl Stream<Item = Line>, Running)> {
    let (mut work, examined) = running?;
    let (lines, rest) = match tokio::time::timeout(SIGN_OF_LIFE, &mut work).await {
        Err(_elapsed) => (vec![SimulationLine::Examined(examined.count())], Some((work, examined))),
        Ok(Ok((view, flips))) => {
            let flips = flips.into_iter().map(|flip| SimulationLine::Flip(Box::new(flip)));
            (flips.chain([SimulationLine::Done(Box::new(view))]).collect(), None)
        }
        Ok(Err(error)) => (vec![failed(error)], None),
    };
    Some((stream::iter(lines.into_iter().map(|line| Ok(bytes_of(&line)))), rest))
}

/// What to say of an end before the end: as any other answer would have it.
fn failed(error: desk::Error) -> SimulationLine {
    SimulationLine::Failed(Problem::from(error).detail().to_owned())
}

fn bytes_of(line: &SimulationLine) -> Bytes {
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}
