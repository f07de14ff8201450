//! Logins: where they come from, when they are read again, and when they are left alone.
//!
//! A refused login is not shown again for a while, and for longer each time, so that a wrong password
//! in a file locks nobody's account; changing the file ends that at once. As long as a login has not
//! been taken, it is shown by one request at a time, whatever the number of those that wait.
//!
//! A login that was taken may still be refused for one repository: then that repository rests and not
//! the login, so that nobody who asks for what is not theirs locks the others out. Other credentials
//! are not touched by either.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::Error;
use super::helper;
use super::pattern::Pattern;
use super::settings::{CredentialSettings, CredentialSource, Limits};
use crate::metrics::Metrics;
use crate::oci::{Registry, Repository, Secret};
use crate::time::Clock;

/// Largest user name or password file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Refusals without a success in between after which a login is left alone that was good before, or
/// that was refused for what it was to be used for.
const STRIKES_MAX: u32 = 3;
/// Longest rest of a refused login.
const LOGIN_REST_MAX: Duration = Duration::from_hours(1);
/// How long a repository rests for which a good login was refused.
const REPOSITORY_REST: Duration = Duration::from_mins(1);
/// Most repositories that rest at a time; beyond, all of them are asked for again.
const REPOSITORIES_MAX: usize = 1024;
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
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// One reader at a time: a helper is not started twenty times over.
    turn: Semaphore,
    /// Held while a login is shown that is not known to be good.
    trial: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    login: Option<(Login, Seen)>,
    refusals: Refusals,
}

/// What became of the login as it is now.
#[derive(Debug, Default)]
struct Refusals {
    is_proven: bool,
    /// Refusals since it was taken last, or since its last rest.
    strikes: u32,
    /// Rests since it was taken last.
    rests: u32,
    until: Duration,
    repositories: HashMap<Repository, Duration>,
}

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The login, as far as the upstream says.
    Login,
    /// What it was to be used for.
    Repository,
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
        metrics: &Arc<Metrics>,
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
                metrics: Arc::clone(metrics),
                state: Mutex::default(),
                turn: Semaphore::new(1),
                trial: Semaphore::new(1),
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

    /// How many of them were refused and are left alone now.
    pub(super) fn resting(&self) -> usize {
        self.0.iter().filter(|credential| credential.is_resting()).count()
    }
}

impl State {
    fn has(&self, login: &Login) -> bool {
        self.login.as_ref().is_some_and(|(known, _)| known.generation == login.generation)
    }
}

impl Credential {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The login as it is now, to be shown for `repository`.
    ///
    /// # Errors
    /// When it cannot be read, or was refused a short while ago and has not changed since.
    pub(super) async fn login(&self, repository: &Repository) -> Result<Login, Error> {
        let login = self.current(false).await?;
        let now = self.clock.monotonic();
        let state = self.state();
        if state.refusals.until > now {
            return Err(self.refusal());
        }
        if state.refusals.repositories.get(repository).is_some_and(|until| *until > now) {
            return Err(self.access_denied());
        }
        Ok(login)
    }

    /// Leave to show `login`: at once when it is known to be good, else for one at a time.
    ///
    /// # Errors
    /// [`Error::LoginRefused`] when it turned out to be bad while this waited;
    /// [`Error::Unauthorized`] when it is another one by now.
    pub(super) async fn trial(&self, login: &Login) -> Result<Option<SemaphorePermit<'_>>, Error> {
        let is_good = || {
            let state = self.state();
            if state.refusals.until > self.clock.monotonic() {
                return Err(self.refusal());
            }
            if !state.has(login) {
                return Err(Error::Unauthorized { registry: self.registry.clone() });
            }
            Ok(state.refusals.is_proven && state.refusals.strikes == 0)
        };
        if is_good()? {
            return Ok(None);
        }
        // Never closed, so this cannot fail; a caller that goes away hands its turn on.
        let permit = self.trial.acquire().await.ok();
        Ok(if is_good()? { None } else { permit })
    }

    /// Notes that `login` was taken.
    pub(super) fn accepted(&self, login: &Login) {
        let mut state = self.state();
        if state.has(login) {
            let Refusals { is_proven, strikes, rests, .. } = &mut state.refusals;
            (*is_proven, *strikes, *rests) = (true, 0, 0);
        }
    }

    /// Notes that `login` was refused for `repository`, and decides what rests.
    pub(super) fn refused(&self, login: &Login, repository: &Repository, what: Refused) {
        let mut state = self.state();
        if !state.has(login) {
            return;
        }
        let now = self.clock.monotonic();
        let refusals = &mut state.refusals;
        refusals.strikes += 1;
        let is_bad = what == Refused::Login && !refusals.is_proven;
        if !is_bad && refusals.strikes < STRIKES_MAX {
            if refusals.repositories.len() >= REPOSITORIES_MAX {
                refusals.repositories.clear();
            }
            refusals.repositories.insert(repository.clone(), now.saturating_add(REPOSITORY_REST));
            return;
        }
        let rest = self.limits.login_rest.saturating_mul(1 << refusals.rests.min(16));
        let rest = rest.min(LOGIN_REST_MAX.max(self.limits.login_rest));
        (refusals.is_proven, refusals.strikes) = (false, 0);
        refusals.rests += 1;
        refusals.until = now.saturating_add(rest);
        self.metrics.breaker_opened.increment();
        tracing::error!(
            registry = %self.registry,
            credential = self.id,
            rest_s = rest.as_secs(),
            "credentials were refused and are left alone"
        );
    }

    /// After `refused` was refused and that was noted: the login if it is another one by now, else
    /// why it is not shown again.
    pub(super) async fn login_after_refusal(&self, refused: &Login) -> Result<Login, Error> {
        let login = self.current(true).await?;
        if login.generation != refused.generation {
            return Ok(login);
        }
        Err(if self.is_resting() { self.refusal() } else { self.access_denied() })
    }

    /// Whether the login is left alone now.
    pub(super) fn is_resting(&self) -> bool {
        self.state().refusals.until > self.clock.monotonic()
    }

    fn access_denied(&self) -> Error {
        Error::AccessDenied { registry: self.registry.clone() }
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
            state.refusals = Refusals::default();
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
