//! Logins: where they come from, when they are read again, and when they are left alone.
//!
//! A refused login is not shown again for a while, so that a wrong password in a file locks nobody's
//! account; changing the file ends that at once. Other credentials are not touched by it.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;

use super::error::Error;
use super::helper;
use super::pattern::Pattern;
use super::settings::{CredentialSettings, CredentialSource, Limits};
use crate::oci::{Registry, Repository, Secret};
use crate::time::Clock;

/// Largest user name or password file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// The user name that says the password is a refresh token.
const REFRESH_TOKEN_USER: &str = "<token>";

/// A user name and password as they were at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: Secret,
    /// Counts the changes of this credential; what was got with an earlier one is not used with a
    /// later one.
    pub(super) generation: u64,
}

impl Login {
    /// Whether the password is a refresh token rather than a password.
    pub(super) fn is_refresh_token(&self) -> bool {
        self.username == REFRESH_TOKEN_USER
    }
}

/// All credentials of one upstream.
#[derive(Debug)]
pub(super) struct Credentials(Vec<Arc<Credential>>);

/// One configured credential.
#[derive(Debug)]
pub(super) struct Credential {
    /// Its place in the configuration: part of what tokens are cached under.
    pub(super) id: usize,
    registry: Registry,
    pattern: Option<Pattern>,
    source: CredentialSource,
    limits: Arc<Limits>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// One reader at a time: a helper is not started twenty times over.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    login: Option<(Login, Seen)>,
    refused_until: Duration,
}

/// By what a login is known to be current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// From a helper, at this monotonic time.
    Asked(Duration),
    /// Inode, size and modification time of both files.
    Files([(u64, u64, i64, i64); 2]),
}

impl Credentials {
    pub(super) fn new(
        registry: &Registry,
        settings: &[CredentialSettings],
        limits: &Arc<Limits>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let prefix = format!("{registry}/");
        let credential = |(id, settings): (usize, &CredentialSettings)| {
            let pattern = settings.pattern.as_deref();
            let pattern =
                pattern.map(|text| Pattern::new(text.strip_prefix(&prefix).unwrap_or(text)));
            Arc::new(Credential {
                id,
                registry: registry.clone(),
                pattern,
                source: settings.source.clone(),
                limits: Arc::clone(limits),
                clock: Arc::clone(clock),
                state: Mutex::default(),
                turn: Semaphore::new(1),
            })
        };
        Self(settings.iter().enumerate().map(credential).collect())
    }

    /// The credential for `repository`: the most specific that matches; `None`: anonymous.
    pub(super) fn of(&self, repository: &Repository) -> Option<&Arc<Credential>> {
        let matching = self.0.iter().filter(|credential| {
            credential.pattern.as_ref().is_none_or(|pattern| pattern.matches(repository))
        });
        matching.max_by_key(|credential| credential.pattern.as_ref().map(Pattern::rank))
    }
}

impl Credential {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The login as it is now.
    ///
    /// # Errors
    /// When it cannot be read, or was refused a short while ago and has not changed since.
    pub(super) async fn login(&self) -> Result<Login, Error> {
        let login = self.current(false).await?;
        if self.state().refused_until > self.clock.monotonic() {
            return Err(self.refusal());
        }
        Ok(login)
    }

    /// After `refused` was refused: the login if it is another one by now, else an error, and no
    /// more tries for a while.
    pub(super) async fn login_after_refusal(&self, refused: &Login) -> Result<Login, Error> {
        let login = self.current(true).await?;
        if login.generation != refused.generation {
            return Ok(login);
        }
        tracing::error!(registry = %self.registry, credential = self.id, "credentials were refused");
        self.state().refused_until = self.clock.monotonic().saturating_add(self.limits.login_rest);
        Err(self.refusal())
    }

    fn refusal(&self) -> Error {
        Error::LoginRefused { registry: self.registry.clone() }
    }

    async fn current(&self, anew: bool) -> Result<Login, Error> {
        let read = async {
            let _turn = self.turn.acquire().await.map_err(io::Error::other)?;
            match &self.source {
                CredentialSource::Files { username, password } => {
                    self.in_files(username, password, anew).await
                }
                CredentialSource::Helper(program) => self.of_helper(program, anew).await,
            }
        };
        read.await.map_err(|source| Error::Credentials {
            registry: self.registry.clone(),
            source: Arc::new(source),
        })
    }

    async fn in_files(&self, username: &Path, password: &Path, anew: bool) -> io::Result<Login> {
        let seen = Seen::Files([stamp(username).await?, stamp(password).await?]);
        if let Some(login) = self.known(|known| !anew && known == seen) {
            return Ok(login);
        }
        let (username, password) = (read(username).await?, read(password).await?);
        Ok(self.keep(&username, Secret::new(password), seen))
    }

    async fn of_helper(&self, program: &str, anew: bool) -> io::Result<Login> {
        let now = self.clock.monotonic();
        let lifetime = self.limits.helper_lifetime;
        let current = |known| match known {
            Seen::Asked(at) => now.saturating_sub(at) < lifetime,
            Seen::Files(_) => false,
        };
        if let Some(login) = self.known(|known| !anew && current(known)) {
            return Ok(login);
        }
        let login = helper::ask(program, &self.registry, self.limits.helper_timeout).await?;
        Ok(self.keep(&login.username, login.password, Seen::Asked(now)))
    }

    fn known(&self, is_current: impl FnOnce(Seen) -> bool) -> Option<Login> {
        let state = self.state();
        state.login.as_ref().filter(|(_, seen)| is_current(*seen)).map(|(login, _)| login.clone())
    }

    fn keep(&self, username: &str, password: Secret, seen: Seen) -> Login {
        let mut state = self.state();
        let generation = match &state.login {
            Some((known, _)) if known.username == username && known.password == password => {
                known.generation
            }
            Some((known, _)) => known.generation + 1,
            None => 0,
        };
        if state.login.as_ref().is_some_and(|(known, _)| known.generation != generation) {
            state.refused_until = Duration::ZERO;
        }
        let login = Login { username: username.to_owned(), password, generation };
        state.login = Some((login.clone(), seen));
        login
    }
}

async fn stamp(path: &Path) -> io::Result<(u64, u64, i64, i64)> {
    let metadata = tokio::fs::metadata(path).await?;
    Ok((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}

/// The text of a small file without its final line break.
async fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).await?;
    let trimmed = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(trimmed);
    Ok(text)
}
