//! `GET /live`: that something was put on record, so that a page that is open can be loaded anew.
//!
//! Promises: what happened is not told here, only that something did, at most once a second; a stream ends
//! with the session that opened it, and keeps none awake; how many are open is bounded.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::cookie::Cookie;
use super::page;
use super::trouble::Trouble;
use crate::http::admin::AdminState;
use crate::http::admin::events::EVENT_STREAM;
use crate::ledger::Permission;
use crate::oci::Secret;

/// Where the stream is.
pub(super) const PATH: &str = "/live";
/// With what the script of the page loads it by itself.
const BY_ITSELF: HeaderName = HeaderName::from_static("pratique-live");
/// How long nothing more is told after something was.
const PAUSE: Duration = Duration::from_secs(1);
/// How often is looked whether the session still is, and told that the stream is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a browser that was cut off is to come back, in milliseconds.
const RETRY_MS: u32 = 10_000;

/// Whether a script sends `request`, and nobody.
pub(super) fn is_by_itself(request: &Request) -> bool {
    let is_marked = request.headers().contains_key(BY_ITSELF) || request.uri().path() == PATH;
    is_marked && matches!(*request.method(), Method::GET | Method::HEAD)
}

/// One open stream.
struct Listening {
    state: AdminState,
    session: Secret,
    grown: watch::Receiver<u64>,
    hello: Option<Bytes>,
    _permit: OwnedSemaphorePermit,
}

/// `GET /live`
pub(super) async fn listen(
    State(state): State<AdminState>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let Some(session) = Cookie::Session.id(&headers, state.is_tls).map(Secret::new) else {
        return Ok(ended());
    };
    let permit = state.streams.open()?;
    let mut grown = state.desk.mirror().ledger().grown();
    grown.mark_unchanged();
    let hello = Some(Bytes::from(format!("retry: {RETRY_MS}\n\n")));
    let listening = Listening { state, session, grown, hello, _permit: permit };
    let mut response = Body::from_stream(stream::unfold(listening, next)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    page::guard(&mut response);
    Ok(response)
}

/// What a browser is told whose session has ended: not to come back.
pub(super) fn ended() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// The next piece; none when the mirror stops or the session has ended.
async fn next(mut listening: Listening) -> Option<(Result<Bytes, Infallible>, Listening)> {
    if let Some(hello) = listening.hello.take() {
        return Some((Ok(hello), listening));
    }
    let tasks = listening.state.desk.mirror().tasks().clone();
    let piece = tokio::select! {
        () = tasks.stopping() => return None,
        changed = listening.grown.changed() => {
            changed.ok()?;
            tokio::select! {
                () = tasks.stopping() => return None,
                () = tokio::time::sleep(PAUSE) => {}
            }
            let count = *listening.grown.borrow_and_update();
            Bytes::from(format!("event: grown\ndata: {count}\n\n"))
        }
        () = tokio::time::sleep(KEEP_ALIVE) => Bytes::from_static(b": still here\n\n"),
    };
    listening.may_look().then_some((Ok(piece), listening))
}

impl Listening {
    /// Whether the session still is one that may look.
    fn may_look(&self) -> bool {
        let mirror = self.state.desk.mirror();
        let now = mirror.clock().monotonic();
        let as_of_now = |id: &_| mirror.ledger().caller(id);
        let visitor = self.state.sessions.at_rest(self.session.expose(), now, as_of_now);
        visitor.is_some_and(|visitor| visitor.caller.may(Permission::Look))
    }
}
