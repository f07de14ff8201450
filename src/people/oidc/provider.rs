//! The provider itself: its description, its keys, and the exchange of a code.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde::Deserialize;

use super::attempt::Attempt;
use super::id_token::{self, TokenProblem};
use super::keys::{self, KEYS_BYTES_MAX, Key};
use super::metadata::{METADATA_BYTES_MAX, Metadata};
use super::{Error, Identity, Settings};
use crate::oci::{Secret, from_strict_slice};
use crate::tasks::Tasks;
use crate::time::Clock;
use crate::upstream::{self, Service, ServiceAnswer, ServiceSettings};

/// How long what the provider says about itself is believed.
const FRESH_MAX: Duration = Duration::from_mins(10);
/// How soon keys are asked for again when a token names one that is not known.
const KEYS_AGAIN_MIN: Duration = Duration::from_secs(30);
/// Longest that one request to the provider takes, from the first byte to the last.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(15);
/// Most bytes of an answer of the token endpoint.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long a provider that failed is left alone: whoever waited for it need not wait again.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Longest code that is handed on, in bytes.
const CODE_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of the file with the secret.
const SECRET_BYTES_MAX: usize = 4 * 1024;
/// Longest error code of the provider that is repeated, in characters.
const ERROR_LENGTH_MAX: usize = 40;

/// The provider that people sign in at; clones share what is known of it.
#[derive(Debug, Clone)]
pub struct Provider {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<Known>>,
    /// One question to the provider about itself at a time; when one failed last.
    asking: tokio::sync::Mutex<Option<Duration>>,
}

#[derive(Debug, Clone)]
struct Known {
    metadata: Arc<Metadata>,
    keys: Arc<[Key]>,
    since: Duration,
    keys_since: Duration,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
    token_type: Option<String>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: Option<String>,
}

impl Provider {
    /// The provider of `settings`. It is not asked for anything yet: one that is away keeps nobody from
    /// starting.
    ///
    /// # Errors
    /// When its address or the certificate file cannot be used.
    pub fn new(settings: Settings, tasks: Tasks, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let (known, asking) = (Mutex::default(), tokio::sync::Mutex::default());
        let provider = Self { inner: Arc::new(Inner { settings, tasks, clock, known, asking }) };
        let issuer = provider.inner.settings.issuer.clone();
        provider.service(&issuer)?;
        Ok(provider)
    }

    /// Who the provider is.
    pub fn issuer(&self) -> &str {
        &self.inner.settings.issuer
    }

    /// Where a browser goes to sign in for `attempt`.
    ///
    /// # Errors
    /// When the provider cannot be reached, or cannot be used.
    pub async fn authorization(&self, attempt: &Attempt) -> Result<String, Error> {
        let known = self.known(None).await?;
        let Settings { client_id, redirect_uri, scopes, .. } = &self.inner.settings;
        let scopes: Vec<&str> =
            std::iter::once("openid").chain(scopes.iter().map(String::as_str)).collect();
        let scope = scopes.join(" ");
        let challenge = attempt.challenge();
        // Asked of providers twice: `max_age` has the token say when it was, `prompt` has everybody asked.
        let again = [("prompt", "login"), ("max_age", "0")];
        let again = again.into_iter().filter(|_| attempt.since().is_some());
        let query = [
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", redirect_uri),
            ("scope", scope.as_str()),
            ("state", attempt.state()),
            ("nonce", attempt.nonce()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        let query = serde_urlencoded::to_string(query.into_iter().chain(again).collect::<Vec<_>>());
        let query = query.map_err(|_| Error::Malformed { what: "request" })?;
        let endpoint = &known.metadata.authorization_endpoint;
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{endpoint}{joint}{query}"))
    }

    /// Who signed in for `attempt`, on the word of the provider for its `code`. `issuer` is who the answer
    /// says it comes from.
    ///
    /// # Errors
    /// See [`Error`]; nobody is signed in then.
    pub async fn identity(
        &self,
        attempt: &Attempt,
        code: &str,
        issuer: Option<&str>,
    ) -> Result<Identity, Error> {
        let known = self.known(None).await?;
        match issuer {
            Some(issuer) if issuer != self.issuer() => return Err(Error::OtherIssuer),
            None if known.metadata.names_itself => return Err(Error::OtherIssuer),
            Some(_) | None => {}
        }
        if code.is_empty() || code.len() > CODE_BYTES_MAX {
            return Err(Error::Malformed { what: "code" });
        }
        let token = self.exchange(&known.metadata, attempt, code).await?;
        let settings = &self.inner.settings;
        let verify = |keys: &[Key]| {
            let now = self.inner.clock.now();
            id_token::verify(&token, keys, settings, (attempt.nonce(), attempt.since()), now)
        };
        match verify(&known.keys) {
            // The provider may have a new key since it was asked last.
            Err(TokenProblem::KeyUnknown) => {
                let newer = self.known(Some(&known)).await?;
                Ok(verify(&newer.keys)?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        attempt: &Attempt,
        code: &str,
    ) -> Result<String, Error> {
        let Settings { client_id, redirect_uri, .. } = &self.inner.settings;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", attempt.verifier()),
        ];
        let mut headers = accept_json();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let secret = self.secret().await?;
        match &secret {
            Some(secret) if !metadata.secret_in_form => {
                headers.insert(AUTHORIZATION, basic(client_id, secret)?);
            }
            Some(secret) => {
                form.extend([
                    ("client_id", client_id.as_str()),
                    ("client_secret", secret.expose()),
                ]);
            }
            None => form.push(("client_id", client_id)),
        }
        let malformed = |what| Error::Malformed { what };
        let body = serde_urlencoded::to_string(&form).map_err(|_| malformed("request"))?;
        let (service, path) = self.endpoint(&metadata.token_endpoint)?;
        let sent = service.post(&path, headers, Bytes::from(body), ANSWER_BYTES_MAX);
        let answer = self.in_time(sent).await?;
        if !answer.status.is_success() {
            let error: Option<ErrorAnswer> = from_strict_slice(&answer.body).ok();
            return Err(match error.and_then(|error| error.error) {
                Some(code) => Error::Refused { code: plain(&code) },
                None => Error::Status { status: answer.status.as_u16() },
            });
        }
        let parsed: TokenAnswer =
            from_strict_slice(&answer.body).map_err(|_| malformed("token answer"))?;
        if !parsed.token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(malformed("token type"));
        }
        parsed.id_token.ok_or_else(|| malformed("no ID token"))
    }

    /// The client's secret, as its file says now: it may be changed while we run.
    async fn secret(&self) -> Result<Option<Secret>, Error> {
        let Some(path) = self.inner.settings.client_secret_file.clone() else { return Ok(None) };
        let reading = self.inner.tasks.spawn_blocking(move || {
            let text = std::fs::read_to_string(path)?;
            if text.len() > SECRET_BYTES_MAX || text.trim().is_empty() {
                return Err(std::io::Error::other("it is empty, or too long for a secret"));
            }
            Ok(Secret::new(text.trim()))
        });
        let read =
            reading.await.unwrap_or_else(|_| Err(std::io::Error::other("the reading ended")));
        read.map(Some).map_err(Error::Secret)
    }

    /// What is known of the provider, asked for when it is not fresh; with `stale`, its keys are asked for
    /// again unless that was a moment ago.
    async fn known(&self, stale: Option<&Known>) -> Result<Known, Error> {
        let now = self.inner.clock.monotonic();
        if stale.is_none()
            && let Some(known) = self.fresh(now)
        {
            return Ok(known);
        }
        let mut failed = self.inner.asking.lock().await;
        let now = self.inner.clock.monotonic();
        // Somebody else may have asked meanwhile.
        let before = self.fresh(now);
        if let Some(known) = &before {
            let is_newer = stale.is_some_and(|stale| known.keys_since > stale.keys_since);
            let is_young = now.saturating_sub(known.keys_since) < KEYS_AGAIN_MIN;
            if stale.is_none() || is_newer || is_young {
                return Ok(known.clone());
            }
        }
        if failed.is_some_and(|at| now.saturating_sub(at) < REST_AFTER_FAILURE) {
            return Err(Error::Resting);
        }
        let asked = self.ask(before, now).await;
        *failed = asked.is_err().then(|| self.inner.clock.monotonic());
        if let Ok(known) = &asked {
            let mut kept = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = Some(known.clone());
        }
        asked
    }

    /// Asks for the keys, and for what they are of where that is not known.
    async fn ask(&self, before: Option<Known>, now: Duration) -> Result<Known, Error> {
        let (metadata, since) = match before {
            Some(known) => (known.metadata, known.since),
            None => (Arc::new(self.metadata().await?), now),
        };
        let keys = self.keys(&metadata).await?;
        Ok(Known { metadata, keys, since, keys_since: now })
    }

    fn fresh(&self, now: Duration) -> Option<Known> {
        let known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone().filter(|known| now.saturating_sub(known.since) < FRESH_MAX)
    }

    async fn metadata(&self) -> Result<Metadata, Error> {
        let service = self.service(self.issuer())?;
        let path = "/.well-known/openid-configuration";
        let asked = service.get(path, accept_json(), METADATA_BYTES_MAX);
        let answer = self.in_time(asked).await?;
        Ok(Metadata::parse(&body_of(answer)?, &self.inner.settings)?)
    }

    async fn keys(&self, metadata: &Metadata) -> Result<Arc<[Key]>, Error> {
        let (service, path) = self.endpoint(&metadata.jwks_uri)?;
        let asked = service.get(&path, accept_json(), KEYS_BYTES_MAX);
        let answer = self.in_time(asked).await?;
        let keys = keys::parse(&body_of(answer)?).ok_or(Error::Malformed { what: "keys" })?;
        Ok(keys.into())
    }

    async fn in_time(
        &self,
        asked: impl Future<Output = Result<ServiceAnswer, upstream::Error>>,
    ) -> Result<ServiceAnswer, Error> {
        let in_time = tokio::time::timeout(REQUEST_TIME_MAX, asked).await;
        Ok(in_time.map_err(|_| Error::Malformed { what: "it does not end" })??)
    }

    /// A service for the host of the endpoint `url`, and what to ask for there.
    fn endpoint(&self, url: &str) -> Result<(Service, String), Error> {
        let malformed = || Error::Malformed { what: "endpoint" };
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or_else(malformed)?;
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Ok((self.service(&format!("{scheme}://{authority}"))?, path.to_owned()))
    }

    fn service(&self, url: &str) -> Result<Service, Error> {
        let Settings { ca_file, danger_plain_http, proxy, .. } = &self.inner.settings;
        let (url, ca_file, proxy) = (url.to_owned(), ca_file.clone(), proxy.clone());
        let danger_plain_http = *danger_plain_http;
        let settings = ServiceSettings { url, ca_file, danger_plain_http, proxy };
        Ok(Service::new(&settings, self.inner.tasks.clone())?)
    }
}

fn body_of(answer: ServiceAnswer) -> Result<Bytes, Error> {
    match answer.status {
        StatusCode::OK => Ok(answer.body),
        status => Err(Error::Status { status: status.as_u16() }),
    }
}

fn accept_json() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
}

/// Name and secret as HTTP's Basic takes them, each encoded as in a form.
///
/// Spec: RFC 6749 section 2.3.1.
fn basic(client_id: &str, secret: &Secret) -> Result<HeaderValue, Error> {
    let encoded = |text: &str| {
        let pair = serde_urlencoded::to_string([("", text)]).unwrap_or_default();
        pair.trim_start_matches('=').to_owned()
    };
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose()));
    let text = format!("Basic {}", STANDARD.encode(pair));
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| Error::Malformed { what: "secret" })?;
    value.set_sensitive(true);
    Ok(value)
}

/// An error code of the provider as it may be shown: short, and nothing but a word.
pub(super) fn plain(code: &str) -> String {
    let is_word = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == '-';
    code.chars().filter(is_word).take(ERROR_LENGTH_MAX).collect()
}

impl Error {
    /// What an answer says that carries `error` instead of a code.
    pub fn refused(error: &str) -> Self {
        Self::Refused { code: plain(error) }
    }
}
