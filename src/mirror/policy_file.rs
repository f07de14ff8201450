//! The policy file: read at start, and again on SIGHUP or when it changes.
//!
//! A file that cannot be used changes nothing: the policy in force stays, and the log and a metric
//! say why. What keeps a good file from being used, such as a full disk under the ledger, may pass: it
//! is tried again until then.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::Mirror;
use crate::gate::ReadyPolicy;
use crate::ledger::{self, Ledger, PolicyChange};
use crate::oci::Digest;
use crate::policy::{Policy, Problem};

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Largest file that a policy refers to (a public key, a trust root), in bytes.
const REFERRED_BYTES_MAX: u64 = 1024 * 1024;

/// Why a policy is not put in force.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
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
            Self::Read { .. } => true,
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

/// Reads the policy in `path`, or the built-in one where there is no file.
///
/// # Errors
/// When the file cannot be read or has mistakes; every one of them is named.
pub fn load_policy(path: Option<&Path>) -> Result<ReadyPolicy, PolicyError> {
    let Some(path) = path else { return Ok(ReadyPolicy::built_in()) };
    let text = std::fs::read_to_string(path)
        .map_err(|source| PolicyError::Read { path: path.to_owned(), source })?;
    let read = referred_from(path);
    let failed = |problems| PolicyError::Problems { path: path.to_owned(), problems };
    Policy::parse(&text, &read).and_then(ReadyPolicy::new).map_err(failed)
}

/// What reads the files that the policy in `path` refers to: paths that are not absolute begin where it
/// lies, and of each file 1 MiB is read.
pub fn referred_from(path: &Path) -> impl Fn(&Path) -> io::Result<Vec<u8>> {
    let folder = path.parent().unwrap_or_else(|| Path::new(".")).to_owned();
    move |file: &Path| read_bounded(&folder.join(file))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(REFERRED_BYTES_MAX).read_to_end(&mut content)?;
    Ok(content)
}

/// Writes into the ledger that `policy` is in force from now on.
///
/// # Errors
/// When its revision is lower than the one before and `rollback_allowed` is not given, or the ledger
/// fails.
pub async fn record_policy(
    ledger: &Ledger,
    policy: &Policy,
    rollback_allowed: bool,
) -> Result<(), PolicyError> {
    let (name, revision) = (policy.name().to_owned(), policy.revision());
    ledger
        .record_policy(*policy.id(), revision, &name, rollback_allowed)
        .await
        .map(|change| {
            if change == PolicyChange::SameRevision {
                warn!(revision, "policy changed without a new revision; raise it with each change");
            }
        })
        .map_err(|source| PolicyError::Ledger { name, revision, source: Box::new(source) })
}

impl Mirror {
    /// Follows the policy in `path` until shutdown: whenever it changes or `now` is notified, it is
    /// read and put in force, and all stored verdicts are decided again.
    pub fn follow_policy(&self, path: PathBuf, now: Arc<Notify>) {
        let (mirror, tasks) = (self.clone(), self.tasks().clone());
        drop(self.tasks().spawn(async move {
            // The file may have changed since the start read it, so the first look reads it again.
            let mut seen = None;
            loop {
                let asked = tokio::select! {
                    () = tasks.stopping() => return,
                    () = now.notified() => true,
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

    async fn policy_stamp(&self, path: &Path) -> Option<Digest> {
        let path = path.to_owned();
        let read = self.tasks().spawn_blocking(move || std::fs::read(path).ok());
        read.await.ok().flatten().map(|content| Digest::sha256(&content))
    }

    /// Gives whether there is no point in trying the same file again: it is in force, or it is the
    /// file that is wrong.
    async fn reload_policy(&self, path: &Path) -> bool {
        let owned = path.to_owned();
        let loading = self.tasks().spawn_blocking(move || load_policy(Some(&owned)));
        let loaded = match loading.await {
            Ok(Ok(policy)) => record_policy(self.ledger(), &policy, false).await.map(|()| policy),
            Ok(Err(error)) => Err(error),
            Err(_panicked) => return true,
        };
        let passes = loaded.as_ref().is_err_and(PolicyError::passes);
        match loaded {
            Ok(policy) if policy.id() == self.policy().id() => {
                info!(name = policy.name(), revision = policy.revision(), "policy unchanged");
            }
            Ok(policy) => {
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
