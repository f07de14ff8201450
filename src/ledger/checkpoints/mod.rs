//! Signed checkpoints of the audit chain: what shows that somebody rewrote it as a whole.
//!
//! A checkpoint says how many records there are and what the root of the Merkle tree over them is,
//! signed with a key of its own. The leaves of the tree are the records' canonical bytes. Promises:
//! - None is signed that is not a continuation of the last one: a chain that is not gets a record that
//!   says so first, and another origin, by which every tool takes it for another log.
//! - No decision waits for one, and none that fails takes anything away but itself.
//! - The journal ([`journal`]) is only appended to, one note after the other; it is bounded, because a
//!   later checkpoint covers what an earlier one did.

pub(super) mod journal;
pub(super) mod keys;
mod restored;
mod signing;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

pub(super) use restored::sign_restored;
use signing::State;
pub(super) use signing::grow;

use super::{Error, Ledger};
use crate::tasks::Tasks;
use crate::transparency::{Checkpoint, VerifierKey};

/// Longest time that a record waits for a checkpoint while the disk works.
const EVERY: Duration = Duration::from_mins(1);
/// So many records do not wait for the time to be up.
const RECORDS: u64 = 1_000;
/// Longest time that closing waits for the last one.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(5);
/// What the origin of a chain that was restored has after the key's name; the number of the record that
/// says so follows.
const RESTORED: &str = "/restored-";
/// As [`RESTORED`], of a chain that is not the one that was signed before.
const CUT: &str = "/cut-";

/// What a ledger knows of its checkpoints; nothing is read before the first is wanted.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    state: Mutex<Option<State>>,
    kept: AtomicBool,
    signed: watch::Sender<Option<Checkpoint>>,
}

impl Ledger {
    /// From now on, has a checkpoint signed at once, and then at most a minute after each record, or a
    /// thousand records after the last one, and when the ledger is closed.
    pub fn keep_checkpoints(&self, tasks: &Tasks) {
        self.inner.checkpoints.kept.store(true, Ordering::Release);
        let (ledger, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn(async move {
            tokio::select! {
                () = stopping => {}
                () = ledger.go_on_signing() => {}
            }
        });
    }

    async fn go_on_signing(&self) {
        let mut grown = self.inner.writer.grown();
        loop {
            let covered = match self.checkpoint().await {
                Ok(checkpoint) => checkpoint.map_or(0, |checkpoint| checkpoint.size()),
                Err(error) => {
                    self.count_failure(&error);
                    sleep(EVERY).await;
                    continue;
                }
            };
            if grown.wait_for(|count| *count > covered).await.is_err() {
                return;
            }
            let enough = covered.saturating_add(RECORDS);
            // Whichever comes first; a writer that is gone shows above.
            drop(timeout(EVERY, grown.wait_for(|count| *count >= enough)).await);
        }
    }

    fn count_failure(&self, error: &Error) {
        self.inner.metrics.audit_checkpoint_failures.increment();
        let source = std::error::Error::source(error);
        tracing::error!(%error, ?source, "no checkpoint of the audit chain was signed");
    }

    /// Signs the last checkpoint of a ledger that is being closed, if it keeps any.
    pub(super) async fn sign_last(&self) {
        if !self.inner.checkpoints.kept.load(Ordering::Acquire) {
            return;
        }
        match timeout(CLOSING_TIME_MAX, self.checkpoint()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => self.count_failure(&error),
            Err(_) => tracing::warn!("closed without a last checkpoint; the next start signs it"),
        }
    }

    /// A checkpoint of every record that was acknowledged before this began: the last one, or a new one,
    /// which is on the disk then. `None` when there are no records.
    ///
    /// # Errors
    /// When the chain is broken, the key cannot be used, or the disk fails.
    ///
    /// # Cancel safety
    /// Once polled, the checkpoint may be signed even if the future is dropped.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let mut state = self.inner.checkpoints.state.lock().await;
        let mut known = match state.take() {
            Some(known) => known,
            None => self.resume_signing().await?,
        };
        // What fails half-way is read again from the disk, which is right whatever came of it.
        self.catch_up(&mut known, u64::MAX).await?;
        let signed = self.sign(&mut known).await?;
        self.inner.metrics.audit_records_covered.set(
            signed.as_ref().map_or(0, |signed| i64::try_from(signed.size()).unwrap_or(i64::MAX)),
        );
        *state = Some(known);
        let tell = |last: &mut Option<Checkpoint>| {
            let is_new = *last != signed;
            last.clone_from(&signed);
            is_new
        };
        self.inner.checkpoints.signed.send_if_modified(tell);
        Ok(signed)
    }

    /// The last checkpoint of this run of the program, as it changes; `None` before the first.
    pub fn signed(&self) -> watch::Receiver<Option<Checkpoint>> {
        self.inner.checkpoints.signed.subscribe()
    }

    /// The last checkpoint that was signed; `None` when there is none yet.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn last_checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let dir = self.inner.dir.clone();
        self.read(move |_connection| last_checkpoint(&dir)).await
    }

    /// The keys that sign checkpoints, the one in use last; empty before the first start.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn audit_keys(&self) -> Result<Vec<VerifierKey>, Error> {
        let dir = self.inner.dir.clone();
        self.read(move |_connection| keys::public(&dir)).await
    }
}

/// The last checkpoint of the ledger in `dir`, whether a program has it open or not.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn last_checkpoint(dir: &std::path::Path) -> Result<Option<Checkpoint>, Error> {
    match journal::latest(dir)? {
        None => Ok(None),
        Some(Ok(checkpoint)) => Ok(Some(checkpoint)),
        Some(Err(problem)) => {
            Err(Error::Damaged { path: journal::latest_path(dir), problem: problem.to_string() })
        }
    }
}

/// The keys that sign checkpoints of the ledger in `dir`, the one in use last.
///
/// # Errors
/// When they cannot be read.
pub fn audit_keys(dir: &std::path::Path) -> Result<Vec<VerifierKey>, Error> {
    keys::public(dir)
}

/// The origin of a chain under `name` from the record `sequence` on, which says that it was restored.
pub(super) fn restored_origin(name: &str, sequence: u64) -> String {
    format!("{name}{RESTORED}{sequence}")
}

fn cut_origin(name: &str, sequence: u64) -> String {
    format!("{name}{CUT}{sequence}")
}

/// What the origin of a checkpoint says of its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is another's.
    Foreign,
    /// It is ours, as it always was or was found to be.
    Ours,
    /// It is ours, and was restored with this record.
    Restored(u64),
}

/// What `origin` says of a chain whose key has that `name`.
pub(super) fn read_origin(origin: &str, name: &str) -> Origin {
    let Some(rest) = origin.strip_prefix(name) else { return Origin::Foreign };
    let number = |prefix| rest.strip_prefix(prefix).and_then(|number| number.parse().ok());
    match (rest, number(RESTORED), number(CUT)) {
        ("", _, _) | (_, _, Some(_)) => Origin::Ours,
        (_, Some(sequence), _) => Origin::Restored(sequence),
        _ => Origin::Foreign,
    }
}
