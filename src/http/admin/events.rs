//! `GET /events`: what is put on record, as it is, for whoever keeps listening.
//!
//! Promises: nothing is left out and nothing comes twice, because the audit itself is what is read, from the
//! record on that the listener names; a listener that is slow holds up nobody and costs no more than one
//! stretch of records; whoever may not look any more is told nothing more.
//!
//! Spec: <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::warn;

use super::AdminState;
use super::auth::bearer;
use super::problem::Problem;
use crate::ledger::Permission;
use crate::mirror::desk::Desk;
use crate::mirror::desk::view::AuditView;
use crate::oci::Secret;

/// What the answer is.
pub(super) const EVENT_STREAM: &str = "text/event-stream";
/// Most streams at one time.
const STREAMS_MAX: usize = 64;
/// Most records that are read at a time.
const STRETCH: u32 = 100;
/// How often a stream says that it is there while nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a listener that was cut off is to come back, in milliseconds.
const RETRY_MS: u32 = 3_000;
/// From which record on.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The streams that may be open.
#[derive(Debug)]
pub(super) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS_MAX)))
    }
}

impl Streams {
    /// A place for one more, until it is dropped.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn open(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = Arc::clone(&self.0).try_acquire_owned();
        permit.map_err(|_| Problem::busy("too many listen already"))
    }
}

/// One open stream.
struct Listening {
    desk: Desk,
    grown: watch::Receiver<u64>,
    /// The next record to be read.
    next: u64,
    waiting: VecDeque<Bytes>,
    token: Secret,
    _permit: OwnedSemaphorePermit,
}

/// `GET /events`: records of the audit as they are written, from the one after `Last-Event-ID` on, or from
/// now on.
pub(super) async fn listen(
    State(state): State<AdminState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = last_seen(&headers)?;
    let token = bearer(&headers).map(Secret::new).ok_or_else(Problem::unauthenticated)?;
    let permit = state.streams.open()?;
    let grown = state.desk.mirror().ledger().grown();
    let last = last.unwrap_or(*grown.borrow());
    // Records that left for a file that is not there: whoever missed them is told so, and by which.
    state.desk.audit(Some(last.saturating_add(1)), Some(1)).await?;
    let hello = Bytes::from(format!("retry: {RETRY_MS}\n\n"));
    let listening = Listening {
        desk: state.desk.clone(),
        grown,
        next: last.saturating_add(1),
        waiting: VecDeque::from([hello]),
        token,
        _permit: permit,
    };
    let mut response = Body::from_stream(stream::unfold(listening, next)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// The number of the record that was seen last, if the listener says it.
fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let number = value.to_str().ok().filter(|text| !text.is_empty());
    let number = number.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Problem::invalid("Last-Event-ID is the number of a record"))
}

/// The next piece; none when the mirror stops, its ledger cannot be read, or the token has ended: a listener
/// comes back.
async fn next(mut listening: Listening) -> Option<(Result<Bytes, Infallible>, Listening)> {
    let tasks = listening.desk.mirror().tasks().clone();
    loop {
        // Before each piece: what was read while they might look is not told when they may not.
        if !listening.may_look() {
            return None;
        }
        if let Some(piece) = listening.waiting.pop_front() {
            return Some((Ok(piece), listening));
        }
        // Seen before it is read, so that nothing is missed that is written meanwhile.
        let count = *listening.grown.borrow_and_update();
        if listening.next <= count {
            listening.read().await?;
            continue;
        }
        tokio::select! {
            () = tasks.stopping() => return None,
            changed = listening.grown.changed() => changed.ok()?,
            () = tokio::time::sleep(KEEP_ALIVE) => {
                listening.waiting.push_back(Bytes::from_static(b": still here\n\n"));
            }
        }
    }
}

impl Listening {
    /// Whether the token is still one by which everything on record may be looked at.
    fn may_look(&self) -> bool {
        let ledger = self.desk.mirror().ledger();
        let token = ledger.authenticate(self.token.expose());
        let caller = token.and_then(|token| ledger.holder_of(&token));
        caller.is_some_and(|it| it.may(Permission::Look) && it.scope.is_everything())
    }

    /// Reads the next stretch of records.
    async fn read(&mut self) -> Option<()> {
        match self.desk.audit(Some(self.next), Some(STRETCH)).await {
            Ok(page) => {
                self.next = page.records.last()?.sequence.saturating_add(1);
                self.waiting.extend(page.records.iter().map(event));
                Some(())
            }
            Err(error) => {
                warn!(%error, "a stream of events ends: the audit cannot be read");
                None
            }
        }
    }
}

/// A record as an event. JSON has no line breaks, so it is one line.
fn event(record: &AuditView) -> Bytes {
    let data = serde_json::to_string(record).unwrap_or_default();
    Bytes::from(format!("id: {}\nevent: audit\ndata: {data}\n\n", record.sequence))
}
