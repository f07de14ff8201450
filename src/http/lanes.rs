//! Which lane serves a connection: small answers in the common one, large ones in the bulk lane when
//! they are many.
//!
//! A crowd of downloads keeps every thread busy with copying, and a manifest that is asked for
//! meanwhile waits for one of them. So connections move: while they send something large in a crowd,
//! they are served by threads that the operating system lets run after all others.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use super::punctual::Heads;
use crate::metrics::Metrics;
use crate::tasks::{Tasks, give_way};

/// Answers of blobs under way from which on they are a crowd: fewer keep nobody waiting for long.
const CROWD: i64 = 8;

/// One of the two lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Common,
    Bulk,
}

impl Lane {
    /// Where the connection whose answers `heads` tells of is to be served; one that is in the bulk
    /// lane stays there until its large answer has ended, however few are left by then.
    fn fitting(self, heads: &Heads, metrics: &Metrics) -> Self {
        let is_crowd = || self == Self::Bulk || metrics.blob_answers.value() >= CROWD;
        if heads.is_sending_large() && is_crowd() { Self::Bulk } else { Self::Common }
    }
}

/// Serves `connection` to its end, now in the one lane and now in the other, and gives it back with how
/// it ended; `None` when serving it panicked. `wind_up` is called when shutdown begins.
pub(super) async fn serve<C>(
    mut connection: Box<C>,
    wind_up: fn(Pin<&mut C>),
    heads: &Heads,
    metrics: &Arc<Metrics>,
    tasks: &Tasks,
) -> Option<(Box<C>, C::Output)>
where
    C: Future<Output: Send> + Unpin + Send + 'static,
{
    let mut lane = Lane::Common;
    loop {
        let (heads, metrics) = (heads.clone(), Arc::clone(metrics));
        let stretch = Stretch { connection, wind_up, lane, heads, metrics };
        let outcome = match lane {
            Lane::Common => stretch.serve(tasks.stopping()).await,
            Lane::Bulk => tasks.spawn_bulk(stretch.serve(tasks.stopping())).await.ok()?,
        };
        match outcome {
            Outcome::Ended(connection, ended) => return Some((connection, ended)),
            Outcome::Moves(moved, to) => (connection, lane) = (moved, to),
        }
    }
}

/// A connection while it is in one lane.
struct Stretch<C> {
    connection: Box<C>,
    wind_up: fn(Pin<&mut C>),
    lane: Lane,
    heads: Heads,
    metrics: Arc<Metrics>,
}

enum Outcome<C: Future> {
    Ended(Box<C>, C::Output),
    Moves(Box<C>, Lane),
}

impl<C: Future + Unpin> Stretch<C> {
    async fn serve(mut self, stopping: impl Future<Output = ()>) -> Outcome<C> {
        let ended = tokio::select! {
            ended = self.poll_in_lane() => ended,
            () = stopping => {
                (self.wind_up)(Pin::new(&mut self.connection));
                self.poll_in_lane().await
            }
        };
        match ended {
            Ok(ended) => Outcome::Ended(self.connection, ended),
            Err(to) => Outcome::Moves(self.connection, to),
        }
    }

    /// How the connection ended, or in which lane it is to be served from here on.
    async fn poll_in_lane(&mut self) -> Result<C::Output, Lane> {
        poll_fn(|context| {
            if self.lane == Lane::Bulk {
                give_way();
            }
            match Pin::new(&mut self.connection).poll(context) {
                Poll::Ready(ended) => Poll::Ready(Ok(ended)),
                Poll::Pending => match self.lane.fitting(&self.heads, &self.metrics) {
                    lane if lane == self.lane => Poll::Pending,
                    lane => Poll::Ready(Err(lane)),
                },
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;
    use std::time::Duration;

    use super::super::body::NodeBody;
    use super::super::punctual::{Answer, LARGE_BYTES};
    use super::*;

    /// A connection that sends `bytes` from its first poll to its second and ends with the third; gives
    /// the threads by which it was polled.
    struct Recorded {
        heads: Heads,
        bytes: usize,
        sending: Option<Answer<NodeBody>>,
        threads: Vec<String>,
    }

    impl Future for Recorded {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            self.threads.push(name);
            self.sending = (self.threads.len() == 1)
                .then(|| Answer::new(NodeBody::whole(vec![0; self.bytes]), self.heads.read()));
            if self.threads.len() == 3 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }

    /// Which polls were done in the bulk lane, of a connection that sends `bytes` beside `others`.
    async fn polls_in_bulk(bytes: u64, others: i64) -> Vec<bool> {
        let (heads, metrics) = (Heads::new(), Arc::new(Metrics::default()));
        let tasks = Tasks::with_bulk_lane().unwrap();
        metrics.blob_answers.add(others);
        let bytes = usize::try_from(bytes).unwrap();
        let connection =
            Recorded { heads: heads.clone(), bytes, sending: None, threads: Vec::new() };
        let wind_up = |_: Pin<&mut Recorded>| unreachable!("nobody stops it");
        let served = serve(Box::new(connection), wind_up, &heads, &metrics, &tasks).await;
        let (connection, ()) = served.unwrap();
        tasks.shut_down(Duration::from_secs(10)).await;
        connection.threads.iter().map(|thread| thread == "bulk").collect()
    }

    #[tokio::test]
    async fn a_large_answer_in_a_crowd_is_sent_in_the_bulk_lane_and_nothing_else_is() {
        assert_eq!(polls_in_bulk(LARGE_BYTES, CROWD).await, [false, true, false]);
        assert_eq!(polls_in_bulk(LARGE_BYTES - 1, CROWD).await, [false; 3]);
        assert_eq!(polls_in_bulk(LARGE_BYTES, CROWD - 1).await, [false; 3]);
    }
}
