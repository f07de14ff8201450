//! The connections that read, on the blocking pool; they never wait for the writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::sealer::{Sealer, Tables};
use super::{Error, Ledger, database};
use crate::tasks::Tasks;

/// Most reads at a time.
const READERS_MAX: usize = 4;

/// A few connections, opened when needed and thrown away when they fail.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    sealer: Arc<Sealer>,
    tasks: Tasks,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// Readers of the database in `path`.
    pub(super) fn new(path: PathBuf, sealer: Arc<Sealer>, tasks: Tasks) -> Self {
        let permits = Arc::new(Semaphore::new(READERS_MAX));
        Self { path, sealer, tasks, permits, idle: Arc::default() }
    }

    /// Runs `work` with a connection on the blocking pool.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&Tables<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|_| Error::Closed)?;
        let (path, sealer) = (self.path.clone(), Arc::clone(&self.sealer));
        let idle = Arc::clone(&self.idle);
        let read = move || {
            let _permit = permit;
            let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match pooled {
                Some(connection) => connection,
                None => database::open_reader(&path)?,
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                work(&Tables { connection: &connection, sealer: &sealer })
            }));
            let outcome = outcome.unwrap_or(Err(Error::Panicked));
            if !matches!(outcome, Err(Error::Database(_) | Error::Panicked)) {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            outcome
        };
        self.tasks.spawn_blocking(read).await.map_err(|_| Error::Closed)?
    }

    /// Lets no more reads begin, and waits for those under way.
    pub(super) async fn close(&self) {
        let all = u32::try_from(READERS_MAX).unwrap_or(u32::MAX);
        if let Ok(permits) = self.permits.acquire_many(all).await {
            self.permits.close();
            drop(permits);
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Ledger {
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&Tables<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let outcome = self.inner.readers.read(work).await;
        if let Err(error) = &outcome
            && error.is_failure()
        {
            self.inner.metrics.ledger_failures.increment();
            tracing::error!(%error, source = ?std::error::Error::source(error), "ledger could not read");
        }
        outcome
    }
}
