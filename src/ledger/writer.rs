//! The one thread that writes: it takes what waits, up to 256 jobs, and commits them together.
//!
//! A job that fails is rolled back to its own savepoint and harms no neighbour. Every job of a group
//! is answered after the group is on the disk and memory shows it, so that whoever has the answer,
//! and everybody after, sees the effect. A panic in a job is its failure, not the thread's end.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::audit::Chain;
use super::memory::Memory;
use super::sealer::{Sealer, Tables};
use super::{Error, Ledger, head};
use crate::metrics::Metrics;
use crate::time::{Clock, Timestamp};
use crate::transparency::NoteSigner;

/// Most jobs in one transaction.
const GROUP_MAX: usize = 256;
/// Most jobs that wait; more, and callers wait in turn.
const QUEUE_MAX: usize = 1024;

/// What a job works with.
pub(super) struct Writing<'a> {
    /// The database, inside the transaction.
    pub(super) connection: &'a Tables<'a>,
    /// The audit chain as this transaction leaves it.
    pub(super) chain: &'a mut Chain,
    /// The time of this group.
    pub(super) now: Timestamp,
    /// What signs votes.
    pub(super) signer: &'a NoteSigner,
    effects: &'a mut Vec<Effect>,
}

type Effect = Box<dyn FnOnce(&Memory) + Send>;

impl Writing<'_> {
    /// Has `effect` shown in memory once the transaction is on the disk, and only then.
    pub(super) fn after_commit(&mut self, effect: impl FnOnce(&Memory) + Send + 'static) {
        self.effects.push(Box::new(effect));
    }
}

trait Job: Send {
    /// Does the work; gives whether it is to be kept.
    fn run(&mut self, writing: &mut Writing<'_>) -> bool;
    /// Answers: `failure` is what became of the transaction, unless the work failed by itself.
    fn answer(self: Box<Self>, failure: Option<Error>);
}

struct Pending<F, T> {
    work: Option<F>,
    outcome: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<F, T> Job for Pending<F, T>
where
    F: FnOnce(&mut Writing<'_>) -> Result<T, Error> + Send,
    T: Send,
{
    fn run(&mut self, writing: &mut Writing<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        let outcome = catch_unwind(AssertUnwindSafe(|| work(writing)));
        let outcome = outcome.unwrap_or(Err(Error::Panicked));
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn answer(self: Box<Self>, failure: Option<Error>) {
        let outcome = match (self.outcome, failure) {
            (Some(Err(error)), _) | (_, Some(error)) => Err(error),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(Error::Closed),
        };
        // Whoever asked may be gone; the work is done all the same.
        drop(self.reply.send(outcome));
    }
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    ended: watch::Receiver<bool>,
    grown: watch::Receiver<u64>,
}

/// What the thread owns.
pub(super) struct Owned {
    pub(super) connection: Connection,
    pub(super) chain: Chain,
    pub(super) dir: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) memory: Arc<Memory>,
    pub(super) sealer: Arc<Sealer>,
    pub(super) signer: NoteSigner,
    /// Keeps every other process out for as long as the thread lives.
    pub(super) lock: File,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(mut owned: Owned) -> Result<Self, Error> {
        let (queue, mut jobs) = mpsc::channel::<Box<dyn Job>>(QUEUE_MAX);
        let (ending, ended) = watch::channel(false);
        let (growing, grown) = watch::channel(owned.chain.count);
        let dir = owned.dir.clone();
        let thread = move || {
            while let Some(first) = jobs.blocking_recv() {
                let mut group = vec![first];
                while group.len() < GROUP_MAX {
                    let Ok(job) = jobs.try_recv() else { break };
                    group.push(job);
                }
                owned.commit(group, &growing);
            }
            let Owned { connection, lock, .. } = owned;
            drop(connection); // checkpoints
            drop(lock);
            ending.send_replace(true);
        };
        std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(thread)
            .map_err(Error::file("start the writer of", &dir))?;
        Ok(Self { queue: Mutex::new(Some(queue)), ended, grown })
    }

    /// How many audit records there are, as it grows.
    pub(super) fn grown(&self) -> watch::Receiver<u64> {
        self.grown.clone()
    }

    fn queue(&self) -> Result<mpsc::Sender<Box<dyn Job>>, Error> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.clone().ok_or(Error::Closed)
    }

    /// Has `work` done in a transaction and gives its outcome once that is on the disk.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Writing<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Pending { work: Some(work), outcome: None, reply });
        self.queue()?.send(job).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Takes no more jobs, and waits until those taken are done and the file is closed.
    pub(super) async fn close(&self) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(queue);
        let mut ended = self.ended.clone();
        if ended.wait_for(|ended| *ended).await.is_err() {
            tracing::error!("the ledger's writer ended early");
        }
    }
}

impl Owned {
    fn commit(&mut self, mut group: Vec<Box<dyn Job>>, growing: &watch::Sender<u64>) {
        let before = self.chain;
        let mut effects = Vec::new();
        let outcome = self.run(&mut group, &mut effects);
        match outcome {
            Ok(()) => {
                for effect in effects {
                    effect(&self.memory);
                }
                self.anchor(before);
                // Before anybody is answered: whoever was finds their record counted.
                growing.send_if_modified(|count| {
                    std::mem::replace(count, self.chain.count) != self.chain.count
                });
                for job in group {
                    job.answer(None);
                }
            }
            Err(error) => {
                self.chain = before;
                self.metrics.ledger_failures.increment();
                if !self.connection.is_autocommit() {
                    // After a failure of the disk there may be nothing left to roll back.
                    drop(self.connection.execute_batch("ROLLBACK"));
                }
                tracing::error!(%error, jobs = group.len(), "ledger could not commit");
                let error = Arc::new(error);
                for job in group {
                    job.answer(Some(Error::Commit(Arc::clone(&error))));
                }
            }
        }
    }

    fn run(
        &mut self,
        group: &mut [Box<dyn Job>],
        effects: &mut Vec<Effect>,
    ) -> rusqlite::Result<()> {
        let Self { connection, chain, clock, sealer, signer, .. } = self;
        let tables = &Tables { connection, sealer };
        let statement = |sql| connection.prepare_cached(sql)?.execute([]).map(drop);
        statement("BEGIN IMMEDIATE")?;
        for job in group {
            let (chain_before, effects_before) = (*chain, effects.len());
            statement("SAVEPOINT job")?;
            let now = clock.now();
            let keep = job.run(&mut Writing { connection: tables, chain, now, signer, effects });
            if !keep {
                *chain = chain_before;
                effects.truncate(effects_before);
                // Fails if the failure took the whole transaction with it: then nobody's work is kept.
                statement("ROLLBACK TO job")?;
            }
            statement("RELEASE job")?;
        }
        statement("COMMIT")
    }

    /// Writes the head if the chain grew. A failure leaves it behind, which is not a cut.
    fn anchor(&self, before: Chain) {
        if self.chain == before {
            return;
        }
        if let Err(error) = head::write(&self.dir, self.chain) {
            self.metrics.ledger_failures.increment();
            tracing::error!(%error, "ledger could not write the head of the audit chain");
        }
    }
}

impl Ledger {
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Writing<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        self.inner.writer.write(work).await
    }
}
