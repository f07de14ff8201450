//! The only spawner: every task is known, and shutdown waits for it.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// Spawns and tracks the tasks of one running program; clones share one set.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stopping: CancellationToken,
}

impl Tasks {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
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
