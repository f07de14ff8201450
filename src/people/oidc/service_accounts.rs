//! Which pod pulls: the tokens that a cluster gives to its pods about their service account.
//!
//! They are ID tokens in all but the sign-in: signed by the cluster, for one audience, with an end. The
//! keys are read from a file (`kubectl get --raw /openid/v1/jwks`), so that nothing is asked of the
//! cluster and nothing of a token goes anywhere.
//!
//! Spec: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use super::id_token::{Audience, Times, TokenProblem, milliseconds, signed};
use super::keys::{self, KEYS_BYTES_MAX, Key};
use crate::oci::Digest;
use crate::policy::Workload;
use crate::time::{Clock, Timestamp};

/// Most tokens whose check is remembered: a pull shows one with every request.
const REMEMBERED_MAX: usize = 4_096;
/// How often the file with the keys is read again at most, when a token names a key that is not in it.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// Longest that a token may last: what never ends is no token of a pod.
const LIFE_MS_MAX: i64 = 7 * 24 * 3_600 * 1_000;

/// The cluster whose tokens count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccountSettings {
    /// Its issuer, as `--service-account-issuer` of the API server says.
    pub issuer: String,
    /// The file with its public keys, as `/openid/v1/jwks` gives them.
    pub keys: PathBuf,
    /// Whom the tokens have to be for.
    pub audience: String,
}

/// Why the file with the keys is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeysFile {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It has no key that counts.
    #[error(
        "{path} has no public key of a cluster; kubectl get --raw /openid/v1/jwks writes such a file"
    )]
    None {
        /// The file.
        path: PathBuf,
    },
}

/// The tokens of one cluster's pods.
#[derive(Debug)]
pub struct ServiceAccounts {
    settings: ServiceAccountSettings,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keys: Arc<[Key]>,
    /// On the monotonic clock.
    read_at: Duration,
    /// By the hash of a token: who it is about, and until when that holds.
    remembered: HashMap<Digest, (Arc<Workload>, Timestamp)>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
}

impl ServiceAccounts {
    /// Those of `settings`.
    ///
    /// # Errors
    /// When the file with the keys cannot be used.
    pub fn new(settings: ServiceAccountSettings, clock: Arc<dyn Clock>) -> Result<Self, KeysFile> {
        let keys = Arc::from(read(&settings.keys)?);
        let read_at = clock.monotonic();
        let state = Mutex::new(State { keys, read_at, remembered: HashMap::new() });
        Ok(Self { settings, clock, state })
    }

    /// Which pod's `token` it is.
    ///
    /// A token that was checked before is known by its hash until it ends. When it names a key that is
    /// not there, the file is read again, at most every five seconds: a cluster changes its keys.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn workload(&self, token: &str) -> Result<Arc<Workload>, TokenProblem> {
        let hash = Digest::sha256(token.as_bytes());
        let now = self.clock.now();
        if let Some(known) = self.remembered(&hash, now) {
            return Ok(known);
        }
        let keys = Arc::clone(&self.lock().keys);
        let (workload, until) = match self.verify(token, &keys, now) {
            Err(TokenProblem::KeyUnknown) if self.read_again() => {
                let keys = Arc::clone(&self.lock().keys);
                self.verify(token, &keys, now)?
            }
            other => other?,
        };
        let workload = Arc::new(workload);
        self.remember(hash, Arc::clone(&workload), until, now);
        Ok(workload)
    }

    /// Reads the file with the keys again; what it cannot be read for is what is said.
    ///
    /// # Errors
    /// The keys stay as they were then.
    pub fn reload(&self) -> Result<(), KeysFile> {
        let keys: Arc<[Key]> = Arc::from(read(&self.settings.keys)?);
        let mut state = self.lock();
        if *state.keys != *keys {
            state.keys = keys;
            // What a key that is gone has signed counts no longer.
            state.remembered.clear();
        }
        Ok(())
    }

    fn verify(
        &self,
        token: &str,
        keys: &[Key],
        now: Timestamp,
    ) -> Result<(Workload, Timestamp), TokenProblem> {
        let claims: Claims = signed(token, keys)?;
        if claims.iss != self.settings.issuer {
            return Err(TokenProblem::Issuer);
        }
        if !claims.aud.is_only(&self.settings.audience) {
            return Err(TokenProblem::Audience);
        }
        let since = Times { exp: claims.exp, iat: claims.iat, nbf: claims.nbf }.check(now)?;
        let until = milliseconds(claims.exp)?;
        if until.saturating_sub(since) > LIFE_MS_MAX {
            return Err(TokenProblem::Old);
        }
        let account = claims.sub.strip_prefix("system:serviceaccount:");
        let (namespace, name) =
            account.and_then(|account| account.split_once(':')).ok_or(TokenProblem::Subject)?;
        if !is_name(namespace) || !is_name(name) {
            return Err(TokenProblem::Subject);
        }
        let workload =
            Workload { namespace: namespace.to_owned(), service_account: name.to_owned() };
        Ok((workload, Timestamp::from_milliseconds(until)))
    }

    fn remembered(&self, hash: &Digest, now: Timestamp) -> Option<Arc<Workload>> {
        let state = self.lock();
        let (workload, until) = state.remembered.get(hash)?;
        (now < *until).then(|| Arc::clone(workload))
    }

    fn remember(&self, hash: Digest, workload: Arc<Workload>, until: Timestamp, now: Timestamp) {
        let mut state = self.lock();
        if state.remembered.len() >= REMEMBERED_MAX {
            state.remembered.retain(|_, (_, until)| now < *until);
        }
        // With so many at once they are checked each time, which is slower and no less true.
        if state.remembered.len() < REMEMBERED_MAX {
            state.remembered.insert(hash, (workload, until));
        }
    }

    /// Whether the keys may be others now.
    fn read_again(&self) -> bool {
        let now = self.clock.monotonic();
        {
            let mut state = self.lock();
            if now.saturating_sub(state.read_at) < READ_AGAIN {
                return false;
            }
            state.read_at = now;
        }
        match self.reload() {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "the keys of the cluster stay as they were");
                false
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name of Kubernetes: RFC 1123.
fn is_name(text: &str) -> bool {
    let plain =
        |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, b'-' | b'.');
    (1..=253).contains(&text.len()) && text.bytes().all(plain)
}

fn read(path: &Path) -> Result<Vec<Key>, KeysFile> {
    let failed = |source| KeysFile::Io { path: path.to_owned(), source };
    let none = || KeysFile::None { path: path.to_owned() };
    let size = fs::metadata(path).map_err(failed)?.len();
    if usize::try_from(size).map_or(true, |size| size > KEYS_BYTES_MAX) {
        return Err(none());
    }
    let bytes = fs::read(path).map_err(failed)?;
    let keys = keys::parse(&bytes).filter(|keys| !keys.is_empty());
    keys.ok_or_else(none)
}
