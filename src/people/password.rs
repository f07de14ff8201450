//! Passwords as argon2id hashes, made by few threads at once.
//!
//! Spec: RFC 9106; the parameters are above the least of OWASP's password storage cheat sheet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{
    PasswordHash as Parsed, PasswordHasher as _, PasswordVerifier as _, SaltString,
};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{NoRandomness, random};
use crate::oci::Secret;
use crate::tasks::Tasks;

/// Memory that one hash fills, in KiB (46 MiB).
const MEMORY_KIB: u32 = 47_104;
/// How often it is gone through.
const PASSES: u32 = 2;
/// Lanes of a hash; more would take more threads for one.
const LANES: u32 = 1;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;
/// Random bytes in a salt.
const SALT_BYTES: usize = 16;
/// Hashes that are made at once: what they fill together is 92 MiB.
const AT_ONCE_MAX: usize = 2;
/// Hashes that are made or wait; more are refused.
const WAITING_MAX: usize = 32;
/// Longest wait for a hash to begin.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Most memory that a hash which is read back may ask for, in KiB: no row of a database fills ours.
const MEMORY_KIB_MAX: u32 = 4 * MEMORY_KIB;

/// A password as it is kept: a PHC string.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password hash]")
    }
}

/// Why a password could not be hashed or compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait already.
    #[error("too many people sign in at this moment; try again shortly")]
    Busy,
    /// What is kept is no hash of ours, or there was no memory for it.
    #[error("the password could not be compared")]
    Failed,
    /// No salt.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// Makes and compares hashes, a bounded number at once; clones share the bound.
#[derive(Debug, Clone)]
pub struct Hasher {
    tasks: Tasks,
    places: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

impl Hasher {
    /// One whose threads are of `tasks`.
    pub fn new(tasks: Tasks) -> Self {
        let places = Arc::new(Semaphore::new(WAITING_MAX));
        Self { tasks, places, working: Arc::new(Semaphore::new(AT_ONCE_MAX)) }
    }

    /// The hash of `password`, with a salt of its own.
    ///
    /// # Errors
    /// See [`HashError`].
    ///
    /// # Cancel safety
    /// A hash that has begun is made to its end and holds its place until then.
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash, HashError> {
        let salt = SaltString::encode_b64(&random::<SALT_BYTES>()?).map_err(failed)?;
        self.at_work(move || {
            let hashed = hashing()?.hash_password(password.expose().as_bytes(), &salt);
            Ok(PasswordHash(hashed.map_err(failed)?.to_string()))
        })
        .await
    }

    /// Whether `password` is the one that `known` was made of. Where there is none it is compared all the
    /// same, with nothing, so that nobody learns from the time whether there is.
    ///
    /// # Errors
    /// See [`HashError`].
    ///
    /// # Cancel safety
    /// As [`Self::hash`].
    pub async fn verify(
        &self,
        password: Secret,
        known: Option<PasswordHash>,
    ) -> Result<bool, HashError> {
        let Some(PasswordHash(known)) = known else {
            self.hash(password).await?;
            return Ok(false);
        };
        self.at_work(move || {
            let parsed = Parsed::new(&known).map_err(failed)?;
            let params = Params::try_from(&parsed).map_err(failed)?;
            if params.m_cost() > MEMORY_KIB_MAX {
                return Err(HashError::Failed);
            }
            match hashing()?.verify_password(password.expose().as_bytes(), &parsed) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::Password) => Ok(false),
                Err(_) => Err(HashError::Failed),
            }
        })
        .await
    }

    async fn at_work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| HashError::Busy)?;
        let waiting = Arc::clone(&self.working).acquire_owned();
        let permit = tokio::time::timeout(WAIT_MAX, waiting).await;
        let permit = permit.map_err(|_| HashError::Busy)?.map_err(|_| HashError::Busy)?;
        let working = self.tasks.spawn_blocking(move || {
            let outcome = work();
            drop((place, permit));
            outcome
        });
        working.await.map_err(|_| HashError::Failed)?
    }
}

fn hashing() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES));
    let params = params.map_err(|_| HashError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn failed(_: argon2::password_hash::Error) -> HashError {
    HashError::Failed
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[tokio::test]
    async fn the_right_password_is_known_and_no_other_and_no_two_hashes_are_alike() {
        let hasher = Hasher::new(Tasks::new());
        let hash = hasher.hash(secret("a fine password")).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=47104,t=2,p=1$"), "{}", hash.0);
        assert_eq!(format!("{hash:?}"), "[password hash]");
        assert_ne!(hash, hasher.hash(secret("a fine password")).await.unwrap());
        let verify = async |text: &str| hasher.verify(secret(text), Some(hash.clone())).await;
        assert_eq!(verify("a fine password").await, Ok(true));
        for other in
            ["", "a fine passwor", "A fine password", "a fine password ", "a fine password\0"]
        {
            assert_eq!(verify(other).await, Ok(false), "{other:?}");
        }
    }

    #[tokio::test]
    async fn nobody_is_compared_as_long_as_somebody() {
        let hasher = Hasher::new(Tasks::new());
        let hash = hasher.hash(secret("a fine password")).await.unwrap();
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..5 {
            for (known, times) in [Some(hash.clone()), None].into_iter().zip(&mut times) {
                let begun = Instant::now();
                assert_eq!(hasher.verify(secret("a guess"), known).await, Ok(false));
                times.push(begun.elapsed());
            }
        }
        let [known, nobody] = times.map(|times| times.into_iter().min().unwrap());
        assert!(nobody * 2 > known && known * 2 > nobody, "{known:?} {nobody:?}");
    }

    #[tokio::test]
    async fn what_is_no_hash_of_ours_fails_and_fills_no_memory() {
        let hasher = Hasher::new(Tasks::new());
        for bad in [
            "",
            "plain",
            "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=0,t=0,p=0$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
            "$scrypt$ln=1,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
        ] {
            let known = Some(PasswordHash(bad.to_owned()));
            assert_eq!(hasher.verify(secret("x"), known).await, Err(HashError::Failed), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_flood_is_refused_beyond_what_may_wait() {
        let hasher = Hasher::new(Tasks::new());
        let tries = (0..WAITING_MAX + 20).map(|_| hasher.verify(secret("x"), None));
        let outcomes = futures_util::future::join_all(tries).await;
        let busy = outcomes.iter().filter(|outcome| **outcome == Err(HashError::Busy)).count();
        assert!(busy >= 20, "{busy}");
        assert_eq!(hasher.verify(secret("x"), None).await, Ok(false), "and it goes on after that");
    }
}
