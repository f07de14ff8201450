//! Connections of admins on which nothing moves: not for ever.
//!
//! An HTTP/2 connection always has something that looks alive: pings, settings, windows of one byte.
//! What counts here is what is worth keeping it open for: a request that comes, an answer that gets on.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// How long a connection may take to carry its first request.
pub(super) const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may rest between two requests.
pub(super) const REST_MAX: Duration = Duration::from_secs(75);
/// How long the answers of a connection may stand still.
pub(super) const STANDSTILL_MAX: Duration = Duration::from_mins(5);

/// What happens on one connection; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    last: Instant,
    asked: bool,
    /// Requests that are not answered to the end.
    open: usize,
}

impl Activity {
    /// That of a connection which has just been made.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { last: Instant::now(), asked: false, open: 0 })))
    }

    /// A request has come; it is answered to the end when the guard is dropped.
    pub(super) fn request(&self) -> Open {
        let mut state = self.state();
        state.last = Instant::now();
        state.asked = true;
        state.open += 1;
        Open(self.clone())
    }

    /// Returns when nothing has moved for too long.
    pub(super) async fn lapsed(&self) {
        loop {
            let deadline = self.state().deadline();
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deadline(&self) -> Instant {
        self.last
            + match (self.asked, self.open) {
                (false, _) => FIRST_REQUEST_TIMEOUT,
                (true, 0) => REST_MAX,
                (true, _) => STANDSTILL_MAX,
            }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Open(Activity);

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.last = Instant::now();
        state.open = state.open.saturating_sub(1);
    }
}

/// A body whose every piece is a sign of life.
#[derive(Debug)]
pub(super) struct Attended<B> {
    body: B,
    open: Open,
}

impl<B> Attended<B> {
    /// `body` as the answer to the request of `open`.
    pub(super) fn new(body: B, open: Open) -> Self {
        Self { body, open }
    }
}

impl<B: Body + Unpin> Body for Attended<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            self.open.0.state().last = Instant::now();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_while_its_answers_get_on_and_no_longer() {
        let activity = Activity::new();
        let started = Instant::now();
        let open = activity.request();
        let mut body = Attended::new(http_body_util::Full::new(bytes::Bytes::from("x")), open);
        let moving = async {
            tokio::time::sleep(STANDSTILL_MAX - Duration::from_secs(1)).await;
            assert!(http_body_util::BodyExt::frame(&mut body).await.is_some());
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = moving => {}
            () = activity.lapsed() => {}
        }
        assert_eq!(started.elapsed(), STANDSTILL_MAX * 2 - Duration::from_secs(1));
        let started = Instant::now();
        drop(body);
        activity.lapsed().await;
        assert_eq!(started.elapsed(), REST_MAX);
    }
}
