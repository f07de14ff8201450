//! The policy file, or the folder of them: read at start, and again on SIGHUP or when it changes.
//!
//! A file that cannot be used changes nothing: the policy in force stays, and the log and a metric
//! say why. What keeps a good file from being used, such as a full disk under the ledger, may pass: it
//! is tried again until then.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::Mirror;
use super::policy_disk::{PolicyOnDisk, load_policy};
use crate::ledger::{self, Ledger, Offered, PolicyChange, Rollback};
use crate::oci::Digest;
use crate::policy::{Policy, Problem};
use crate::time::Timestamp;

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// For how long a person's word lets an older policy in.
const ROLLBACK_TIME: Duration = Duration::from_mins(10);

/// Why a policy is not put in force.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It changes faster than it can be read.
    #[error("policy {0} changed while it was read, again and again")]
    Changing(PathBuf),
    /// The ledger could not be asked which policy was in force before, or refused this one because
    /// its revision is lower.
    #[error("policy {name} revision {revision} is not put in force")]
    Ledger {
        /// The policy's name.
        name: String,
        /// Its revision.
        revision: u64,
        /// Why.
        #[source]
        source: Box<ledger::Error>,
    },
    /// The file has mistakes.
    #[error("{}", Problems { path, problems })]
    Problems {
        /// The file.
        path: PathBuf,
        /// All of them.
        problems: Vec<Problem>,
    },
    /// The file cannot be read.
    #[error("policy {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl PolicyError {
    /// Whether the same file may be taken a little later.
    fn passes(&self) -> bool {
        match self {
            Self::Ledger { source, .. } => source.is_failure(),
            Self::Problems { .. } => false,
            Self::Changing(_) | Self::Read { .. } => true,
        }
    }
}

struct Problems<'a> {
    path: &'a Path,
    problems: &'a [Problem],
}

impl fmt::Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{}: {count} problem{plural}", self.path.display())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Writes into the ledger that `policy` is in force from now on, and gives what it is to the one before.
///
/// # Errors
/// When its revision, or that of one of its files, is lower than the one before and `rollback` does not let
/// that be, or the ledger fails.
pub async fn record_policy(
    ledger: &Ledger,
    policy: &Policy,
    rollback: Rollback,
) -> Result<PolicyChange, PolicyError> {
    let (name, revision) = (policy.name().to_owned(), policy.revision());
    let parts = policy.files().iter().filter(|file| file.owner().is_some());
    let parts = parts.map(|file| (file.name().to_owned(), file.revision())).collect();
    let offered = Offered { id: *policy.id(), revision, name: name.clone(), parts };
    let change = ledger
        .record_policy(offered, rollback)
        .await
        .map_err(|source| PolicyError::Ledger { name, revision, source: Box::new(source) })?;
    if change == PolicyChange::SameRevision {
        warn!(revision, "policy changed without a new revision; raise it with each change");
    }
    Ok(change)
}

/// That the next policy may be older, once and not for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RollbackGrant {
    pub(super) by: String,
    pub(super) reason: String,
    /// When it ends, by the time that passed since the start.
    until: Duration,
}

/// How the policy is followed.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// Asks for the policy to be read again now.
    now: Notify,
    grant: Mutex<Option<RollbackGrant>>,
    /// Whether a policy is followed at all.
    follows: AtomicBool,
}

impl Mirror {
    /// Follows the policy in `path` until shutdown: whenever it changes or that is asked for, it is read and
    /// put in force, and all stored verdicts are decided again.
    pub fn follow_policy(&self, path: PathBuf) {
        self.inner.following.follows.store(true, Ordering::Relaxed);
        let (mirror, tasks) = (self.clone(), self.tasks().clone());
        drop(self.tasks().spawn(async move {
            // It may have changed since the start read it, so the first look reads it again.
            let mut seen = None;
            loop {
                let asked = tokio::select! {
                    () = tasks.stopping() => return,
                    () = mirror.inner.following.now.notified() => true,
                    () = tokio::time::sleep(LOOK_INTERVAL) => false,
                };
                let stamp = mirror.policy_stamp(&path).await;
                if asked || stamp != seen {
                    let is_settled = mirror.reload_policy(&path).await;
                    seen = stamp.filter(|_| is_settled);
                }
            }
        }));
    }

    /// Has the policy read again now.
    pub fn reload_policy_soon(&self) {
        self.inner.following.now.notify_one();
    }

    /// Whether a policy is followed that could become another one.
    pub(super) fn follows_policy(&self) -> bool {
        self.inner.following.follows.load(Ordering::Relaxed)
    }

    /// Lets the next policy be older, if it comes soon; gives until when. That this was said is for the
    /// caller to put on record before.
    pub(super) fn allow_rollback(&self, by: String, reason: String) -> Timestamp {
        let until = self.clock().monotonic().saturating_add(ROLLBACK_TIME);
        let mut grant = self.inner.following.grant.lock().unwrap_or_else(PoisonError::into_inner);
        *grant = Some(RollbackGrant { by, reason, until });
        drop(grant);
        self.reload_policy_soon();
        self.clock().now().after(ROLLBACK_TIME)
    }

    /// What lets an older policy in now.
    fn rollback(&self) -> Rollback {
        let mut grant = self.inner.following.grant.lock().unwrap_or_else(PoisonError::into_inner);
        if grant.as_ref().is_some_and(|grant| grant.until <= self.clock().monotonic()) {
            *grant = None;
        }
        grant.as_ref().map_or(Rollback::Refused, |grant| Rollback::By {
            who: grant.by.clone(),
            reason: grant.reason.clone(),
        })
    }

    async fn policy_stamp(&self, path: &Path) -> Option<Digest> {
        let path = path.to_owned();
        let read = self.tasks().spawn_blocking(move || match PolicyOnDisk::read(&path) {
            Ok(disk) => Some(disk.stamp()),
            // What is wrong with it is told once.
            Err(error @ PolicyError::Problems { .. }) => {
                Some(Digest::sha256(error.to_string().as_bytes()))
            }
            Err(_) => None,
        });
        read.await.ok().flatten()
    }

    /// Gives whether there is no point in trying the same file again: it is in force, or it is the
    /// file that is wrong.
    async fn reload_policy(&self, path: &Path) -> bool {
        let owned = path.to_owned();
        let loading = self.tasks().spawn_blocking(move || load_policy(Some(&owned)));
        let rollback = self.rollback();
        let loaded = match loading.await {
            Ok(Ok(policy)) => {
                let recorded = record_policy(self.ledger(), &policy, rollback).await;
                recorded.map(|change| (policy, change))
            }
            Ok(Err(error)) => Err(error),
            Err(_panicked) => return true,
        };
        let passes = loaded.as_ref().is_err_and(PolicyError::passes);
        match loaded {
            Ok((policy, _)) if policy.id() == self.policy().id() => {
                info!(name = policy.name(), revision = policy.revision(), "policy unchanged");
            }
            Ok((policy, change)) => {
                if change == PolicyChange::RolledBack {
                    *self.inner.following.grant.lock().unwrap_or_else(PoisonError::into_inner) =
                        None;
                }
                info!(name = policy.name(), revision = policy.revision(), "policy in force");
                self.put_in_force(policy);
                match self.judge_all_again().await {
                    Ok(count) => info!(count, "verdicts decided again"),
                    Err(error) => {
                        warn!(%error, "verdicts not all decided again; each will be when asked for");
                    }
                }
            }
            Err(error) => {
                self.metrics().policy_rejected.increment();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                error!(%error, cause, "policy not reloaded; the old one stays in force");
            }
        }
        !passes
    }
}
