//! Connections that wait for their next request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::location::Origin;
use crate::tasks::Tasks;

/// The sending half of a connection.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Idle connections of one upstream: bounded in number and in time.
///
/// Each upstream has a pool of its own, so that a connection made under one's exemptions and
/// certificates never carries another's requests.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Idle>,
    idle_max: usize,
    idle_timeout: Duration,
    tasks: Tasks,
}

#[derive(Debug, Default)]
struct Idle {
    by_origin: HashMap<Origin, Vec<(Sender, Instant)>>,
    is_swept: bool,
}

impl Pool {
    pub(super) fn new(idle_max: usize, idle_timeout: Duration, tasks: Tasks) -> Self {
        Self { idle: Mutex::default(), idle_max, idle_timeout, tasks }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection to `origin` that was used last, if one is left.
    pub(super) fn take(&self, origin: &Origin) -> Option<Sender> {
        let mut idle = self.idle();
        let waiting = idle.by_origin.get_mut(origin)?;
        while let Some((sender, since)) = waiting.pop() {
            if !sender.is_closed() && since.elapsed() < self.idle_timeout {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps `sender` for the next request; drops it when there is no room.
    pub(super) fn put(self: &Arc<Self>, origin: Origin, sender: Sender) {
        if sender.is_closed() || self.tasks.is_stopping() {
            return;
        }
        let mut idle = self.idle();
        if idle.by_origin.values().map(Vec::len).sum::<usize>() >= self.idle_max {
            return;
        }
        idle.by_origin.entry(origin).or_default().push((sender, Instant::now()));
        if !std::mem::replace(&mut idle.is_swept, true) {
            let pool = Arc::clone(self);
            drop(self.tasks.spawn(async move { pool.sweep().await }));
        }
    }

    /// Closes what nobody came for; ends when nothing is left, or at shutdown with everything.
    async fn sweep(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.idle_timeout) => {}
                () = self.tasks.stopping() => self.idle().by_origin.clear(),
            }
            let mut idle = self.idle();
            for waiting in idle.by_origin.values_mut() {
                waiting.retain(|(sender, since)| {
                    !sender.is_closed() && since.elapsed() < self.idle_timeout
                });
            }
            idle.by_origin.retain(|_, waiting| !waiting.is_empty());
            if idle.by_origin.is_empty() {
                idle.is_swept = false;
                return;
            }
        }
    }
}
