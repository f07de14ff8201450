//! Tokens: one per credential, service and scope, fetched once however many wait for it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Semaphore;

use super::error::Error;
use crate::oci::{Secret, from_strict_slice};
use crate::time::Clock;

/// Most tokens kept for one upstream.
const TOKENS_MAX: usize = 1024;
/// Longest token, in bytes: it must fit a header.
const TOKEN_BYTES_MAX: usize = 32 * 1024;
/// How long a token is good whose service does not say.
///
/// Spec: <https://distribution.github.io/distribution/spec/auth/token/>
const LIFETIME_DEFAULT: Duration = Duration::from_mins(1);
/// The longest that a token is used, whatever its service says.
const LIFETIME_MAX: Duration = Duration::from_hours(1);

/// What a token is for; a token is never used for anything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TokenKey {
    /// Credential and generation of its login; `None`: anonymous.
    pub(super) login: Option<(usize, u64)>,
    /// Address of the token service.
    pub(super) realm: String,
    /// The service it is for.
    pub(super) service: Option<String>,
    /// `repository:<name>:pull`.
    pub(super) scope: String,
}

/// A token and for how long it is to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) secret: Secret,
    pub(super) use_for: Duration,
}

/// The tokens of one upstream.
#[derive(Debug)]
pub(super) struct Tokens {
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<TokenKey, Arc<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    state: Mutex<SlotState>,
    /// The permit of whoever fetches; the others wait for it and then find the token.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct SlotState {
    token: Option<(Secret, Duration)>,
    failures: u64,
    last_failure: Option<Error>,
}

impl Tokens {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, slots: Mutex::default() }
    }

    /// The token for `key`: the kept one while it is fresh, else what `fetch` gets. Of many callers
    /// at once one fetches and all get its token, or its error.
    pub(super) async fn get<F>(
        &self,
        key: TokenKey,
        fetch: impl FnOnce() -> F,
    ) -> Result<Secret, Error>
    where
        F: Future<Output = Result<Token, Error>>,
    {
        let slot = self.slot(key);
        let failures_before = match slot.look(self.clock.monotonic()) {
            Ok(token) => return Ok(token),
            Err(failures) => failures,
        };
        // Never closed, so this cannot fail; a caller that goes away hands its turn on.
        let _turn = slot.turn.acquire().await.ok();
        match slot.look(self.clock.monotonic()) {
            Ok(token) => return Ok(token),
            Err(failures) if failures != failures_before => {
                if let Some(failure) = slot.state().last_failure.clone() {
                    return Err(failure);
                }
            }
            Err(_) => {}
        }
        let fetched = fetch().await;
        let mut state = slot.state();
        match fetched {
            Ok(token) => {
                let until = self.clock.monotonic().saturating_add(token.use_for);
                state.token = Some((token.secret.clone(), until));
                state.last_failure = None;
                Ok(token.secret)
            }
            Err(error) => {
                state.failures += 1;
                state.last_failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Forgets the token for `key` if it is still `token`, which was refused.
    pub(super) fn forget(&self, key: &TokenKey, token: &Secret) {
        let slot = self.slots().get(key).cloned();
        if let Some(slot) = slot {
            let mut state = slot.state();
            if state.token.as_ref().is_some_and(|(kept, _)| kept == token) {
                state.token = None;
            }
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<TokenKey, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, key: TokenKey) -> Arc<Slot> {
        let mut slots = self.slots();
        if slots.len() >= TOKENS_MAX && !slots.contains_key(&key) {
            let now = self.clock.monotonic();
            slots.retain(|_, slot| slot.look(now).is_ok());
            if slots.len() >= TOKENS_MAX {
                slots.clear();
            }
        }
        let slot = || Arc::new(Slot { state: Mutex::default(), turn: Semaphore::new(1) });
        Arc::clone(slots.entry(key).or_insert_with(slot))
    }
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token if it is fresh at `now`, else how often fetching one failed so far.
    fn look(&self, now: Duration) -> Result<Secret, u64> {
        let state = self.state();
        let fresh = state.token.as_ref().filter(|(_, until)| *until > now);
        fresh.map(|(token, _)| token.clone()).ok_or(state.failures)
    }
}

impl Token {
    /// Reads the answer of a token service; `None` when it holds no token that can be sent.
    ///
    /// The token is used for 80 % of the time that the service gives it.
    pub(super) fn parse(answer: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<serde_json::Value>,
        }
        let answer: Answer = from_strict_slice(answer).ok()?;
        let present = |token: &String| !token.is_empty();
        let secret = answer.token.filter(present).or(answer.access_token.filter(present))?;
        // Only what is visible may become part of a header.
        let visible = secret.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || secret.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let seconds = answer.expires_in.as_ref().and_then(serde_json::Value::as_u64);
        let lifetime = match seconds {
            None | Some(0) => LIFETIME_DEFAULT,
            Some(seconds) => Duration::from_secs(seconds).min(LIFETIME_MAX),
        };
        Some(Self { secret: Secret::new(secret), use_for: lifetime / 5 * 4 })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::time::{ManualClock, Timestamp};

    fn key(scope: &str) -> TokenKey {
        TokenKey { login: None, realm: "r".into(), service: None, scope: scope.into() }
    }

    #[test]
    fn answers_of_token_services_are_read_with_care() {
        let token = |seconds| Some(("abc".to_owned(), seconds));
        for (answer, expected) in [
            (r#"{"token":"abc","expires_in":300}"#, token(240)),
            (r#"{"access_token":"abc"}"#, token(48)),
            (r#"{"token":"","access_token":"abc","expires_in":100}"#, token(80)),
            (r#"{"token":"abc","access_token":"other","expires_in":100}"#, token(80)),
            (r#"{"token":"abc","expires_in":-1}"#, token(48)),
            (r#"{"token":"abc","expires_in":0}"#, token(48)),
            (r#"{"token":"abc","expires_in":"300"}"#, token(48)),
            (r#"{"token":"abc","expires_in":1000000000000000000}"#, token(2880)),
            (r#"{"token":"a\r\nX-Evil: 1"}"#, None),
            (r#"{"token":"a b"}"#, None),
            (r#"{"token":"ä"}"#, None),
            (r#"{"token":5}"#, None),
            (r#"{"expires_in":300}"#, None),
            ("<html>", None),
            ("", None),
        ] {
            let parsed = Token::parse(answer.as_bytes())
                .map(|token| (token.secret.expose().to_owned(), token.use_for.as_secs()));
            assert_eq!(parsed, expected, "{answer}");
        }
    }

    #[tokio::test]
    async fn twenty_callers_share_one_fetch_and_another_scope_has_its_own() {
        let clock = ManualClock::at(Timestamp::from_milliseconds(0));
        let tokens = Tokens::new(Arc::new(clock.clone()));
        let fetches = AtomicUsize::new(0);
        let fetch = || async {
            let number = fetches.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let secret = Secret::new(format!("token-{number}"));
            Ok(Token { secret, use_for: Duration::from_secs(80) })
        };
        let all = (0..20).map(|_| tokens.get(key("a"), fetch));
        for token in futures_util::future::join_all(all).await {
            assert_eq!(token.unwrap().expose(), "token-0");
        }
        assert_eq!(tokens.get(key("b"), fetch).await.unwrap().expose(), "token-1");
        clock.advance(Duration::from_secs(81));
        assert_eq!(tokens.get(key("a"), fetch).await.unwrap().expose(), "token-2");
        tokens.forget(&key("a"), &Secret::new("token-0"));
        assert_eq!(tokens.get(key("a"), fetch).await.unwrap().expose(), "token-2");
        tokens.forget(&key("a"), &Secret::new("token-2"));
        assert_eq!(tokens.get(key("a"), fetch).await.unwrap().expose(), "token-3");
    }

    #[tokio::test]
    async fn those_who_waited_share_a_failure_and_the_next_one_tries_again() {
        let tokens = Tokens::new(Arc::new(ManualClock::at(Timestamp::from_milliseconds(0))));
        let fetches = AtomicUsize::new(0);
        let fetch = || async {
            fetches.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Err(Error::Malformed { registry: "up.test".parse().unwrap(), what: "token" })
        };
        let all = (0..20).map(|_| tokens.get(key("a"), fetch));
        assert!(futures_util::future::join_all(all).await.iter().all(Result::is_err));
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
        assert!(tokens.get(key("a"), fetch).await.is_err());
        assert_eq!(fetches.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_while_fetching_hands_its_turn_on() {
        let tokens = Tokens::new(Arc::new(ManualClock::at(Timestamp::from_milliseconds(0))));
        let gone = tokio::time::timeout(
            Duration::from_millis(1),
            tokens.get(key("a"), std::future::pending),
        );
        assert!(gone.await.is_err());
        let secret = Secret::new("x");
        let fetch =
            || async { Ok(Token { secret: secret.clone(), use_for: Duration::from_secs(1) }) };
        assert_eq!(tokens.get(key("a"), fetch).await.unwrap(), secret);
    }
}
