//! The only spawner: every task is known, and shutdown waits for it.

mod apart;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use self::apart::Apart;

/// How much less than everything else the threads of the bulk lane count to the scheduler, as of nice(1).
const BULK_NICE: i32 = 10;
/// Tasks that a worker polls before it asks the kernel what has come in; tokio's own 61, each of
/// which copies hundreds of kilobytes to a socket, are milliseconds for a small request.
pub const POLLS_BETWEEN_EVENTS: u32 = 8;

/// Spawns and tracks the tasks of one running program; clones share one set.
///
/// There may be a second lane with threads of its own, for what moves many bytes and for which a
/// millisecond more or less is nothing. The operating system lets it run when nobody else has
/// something to do, so that small answers need not wait until a crowd of large ones has been served.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stopping: CancellationToken,
    bulk: Option<Arc<BulkLane>>,
    apart: Apart,
}

#[derive(Debug)]
struct BulkLane(Option<Runtime>);

impl BulkLane {
    fn start() -> io::Result<Self> {
        let lane = Builder::new_multi_thread()
            .enable_all()
            .event_interval(POLLS_BETWEEN_EVENTS)
            .thread_name("bulk")
            .on_thread_start(|| {
                // Of this thread alone: that is what Linux makes of it.
                if let Err(error) = rustix::process::nice(BULK_NICE) {
                    tracing::debug!(%error, "bulk work runs at the common priority");
                }
            })
            .build()?;
        Ok(Self(Some(lane)))
    }
}

/// Lets threads that have waited run, between two pieces of bulk work: some kernels take a thread off
/// the processor only when its slice of several milliseconds is over, however low its priority.
pub fn give_way() {
    std::thread::yield_now();
}

impl Drop for BulkLane {
    fn drop(&mut self) {
        // Never by waiting: the last clone may end within a task.
        if let Some(lane) = self.0.take() {
            lane.shutdown_background();
        }
    }
}

impl Tasks {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty set with a bulk lane.
    ///
    /// # Errors
    /// When the operating system gives no threads.
    pub fn with_bulk_lane() -> io::Result<Self> {
        Ok(Self { bulk: Some(Arc::new(BulkLane::start()?)), ..Self::default() })
    }

    fn bulk(&self) -> Option<&Runtime> {
        self.bulk.as_ref().and_then(|lane| lane.0.as_ref())
    }

    /// As [`spawn`](Self::spawn), in the bulk lane if there is one.
    pub fn spawn_bulk<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.bulk() {
            Some(lane) => self.tracker.spawn_on(future, lane.handle()),
            None => self.spawn(future),
        }
    }

    /// As [`spawn_blocking`](Self::spawn_blocking), in the bulk lane if there is one.
    pub fn spawn_bulk_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.bulk() {
            Some(lane) => self.tracker.spawn_blocking_on(work, lane.handle()),
            None => self.spawn_blocking(work),
        }
    }

    /// As [`spawn_bulk_blocking`](Self::spawn_bulk_blocking), on threads for work that fills much memory,
    /// of which there are as many as ever work at once.
    pub fn spawn_bulk_apart<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let apart = self.apart.clone();
        // Whoever waits for it is told as of any other work that could not be done.
        let failed = |panicked| std::panic::resume_unwind(panicked);
        self.spawn_bulk_blocking(move || apart.run(work).unwrap_or_else(failed))
    }

    /// Runs `future` as a task that shutdown waits for.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(future)
    }

    /// Runs `work` on the runtime's pool for blocking work; shutdown waits for it.
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.tracker.spawn_blocking(work)
    }

    /// Completes when shutdown begins; long-lived loops select on it.
    pub fn stopping(&self) -> WaitForCancellationFutureOwned {
        self.stopping.clone().cancelled_owned()
    }

    /// Whether shutdown has begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Begins shutdown and waits up to `grace` for every task to end; gives whether all did.
    pub async fn shut_down(&self, grace: Duration) -> bool {
        self.stopping.cancel();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_bulk_has_threads_of_a_lower_priority_and_is_waited_for() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let common = priority();
        let tasks = Tasks::with_bulk_lane().unwrap();
        let bulk = (common + BULK_NICE).min(19);
        assert_eq!(tasks.spawn_bulk(async move { priority() }).await.unwrap(), bulk);
        assert_eq!(tasks.spawn_bulk_blocking(priority).await.unwrap(), bulk);
        assert_eq!(tasks.spawn_bulk_apart(priority).await.unwrap(), bulk);
        assert_eq!(priority(), common);
        let stopping = tasks.stopping();
        let polite = tasks.spawn_bulk(stopping);
        assert!(tasks.shut_down(Duration::from_secs(10)).await);
        polite.await.unwrap();
        let without = Tasks::new().spawn_bulk_blocking(priority).await.unwrap();
        assert_eq!(without, common);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_tasks_and_only_so_long() {
        let tasks = Tasks::new();
        let stopping = tasks.stopping();
        let polite = tasks.spawn(async move {
            stopping.await;
            7
        });
        assert!(tasks.shut_down(Duration::from_secs(5)).await);
        assert_eq!(polite.await.unwrap(), 7);

        let stubborn = Tasks::new();
        let task = stubborn.spawn(std::future::pending::<()>());
        assert!(!stubborn.shut_down(Duration::from_secs(5)).await);
        task.abort();
    }
}
