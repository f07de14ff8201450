//! Showing an upstream what it asks for, and showing it to nobody else.
//!
//! A login goes to the upstream's own origin (Basic) or to a token service that is at that origin or
//! stands in `token_hosts`; a token goes to the upstream's own origin. There is no third place.
//!
//! Spec: <https://distribution.github.io/distribution/spec/auth/token/> (GET) and
//! <https://distribution.github.io/distribution/spec/auth/oauth/> (POST)

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::breaker::retry_after;
use super::challenge::Challenge;
use super::credentials::{Credential, Login, Refused};
use super::error::Error;
use super::location::{Location, Scheme};
use super::registry::{Ask, Upstream};
use super::tokens::{Token, TokenKey};
use super::transport::{Call, Content};
use crate::oci::Secret;

/// Requests for one answer, at most: with what is known, after a challenge, after a changed login.
const ROUNDS_MAX: usize = 3;
/// What stays as it is in a query or form.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const CLIENT_ID: &str = "pratique";

/// What an upstream asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// User name and password with every request.
    Basic,
    /// A token.
    Bearer(Service),
}

/// A token service that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    realm: Location,
    service: Option<String>,
}

/// What a request showed.
enum Shown {
    Basic(Login),
    Bearer { key: TokenKey, token: Secret, is_new: bool },
}

impl Shown {
    fn header(&self) -> Option<HeaderValue> {
        let value = match self {
            Self::Basic(login) => basic(login),
            Self::Bearer { token, .. } => format!("Bearer {}", token.expose()),
        };
        sensitive(value)
    }
}

/// Who asks: the credential of the repository and its login, if there is one.
struct Identity {
    credential: Option<(Arc<Credential>, Login)>,
}

impl Identity {
    fn login(&self) -> Option<&Login> {
        self.credential.as_ref().map(|(_, login)| login)
    }

    /// After the login was refused: goes on with a changed one, or fails.
    async fn refused(&mut self, otherwise: Error) -> Result<(), Error> {
        let Some((credential, login)) = &mut self.credential else { return Err(otherwise) };
        *login = credential.login_after_refusal(login).await?;
        Ok(())
    }
}

impl Upstream {
    /// The answer of the upstream's own origin to `ask`, asked with whatever it takes; 401 only
    /// when nothing helped.
    pub(super) async fn authorised(&self, ask: &Ask) -> Result<Response<Content>, Error> {
        let credential = match self.credentials.of(&ask.repository) {
            Some(credential) => {
                Some((Arc::clone(credential), credential.login(&ask.repository).await?))
            }
            None => None,
        };
        let mut identity = Identity { credential };
        let known = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut shown = match known {
            Some(asked) => self.show(&asked, ask, &mut identity).await?,
            None => None,
        };
        for _ in 0..ROUNDS_MAX {
            let answer = match self.send_shown(ask, shown.as_ref(), &identity).await {
                Err(error @ Error::Unauthorized { .. }) => {
                    identity.refused(error).await?;
                    shown = identity.login().cloned().map(Shown::Basic);
                    continue;
                }
                answer => answer?,
            };
            if answer.status() != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            let asked = self.choose(answer.headers(), identity.login().is_some())?;
            answer.into_body().discard().await;
            match shown {
                Some(Shown::Basic(_)) if asked == Asked::Basic => {
                    identity.refused(self.unauthorized()).await?;
                }
                Some(Shown::Bearer { is_new: true, .. }) if asked != Asked::Basic => {
                    return Err(self.unauthorized());
                }
                Some(Shown::Bearer { key, token, .. }) => self.tokens.forget(&key, &token),
                Some(Shown::Basic(_)) | None => {}
            }
            shown = self.show(&asked, ask, &mut identity).await?;
            *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        }
        Err(self.unauthorized())
    }

    /// The answer to `ask` with what is `shown`; a password is shown only by leave of its
    /// credential, which hears what became of it.
    async fn send_shown(
        &self,
        ask: &Ask,
        shown: Option<&Shown>,
        identity: &Identity,
    ) -> Result<Response<Content>, Error> {
        let call = ask.call(shown.and_then(Shown::header));
        let (Some(Shown::Basic(login)), Some((credential, _))) = (shown, &identity.credential)
        else {
            return self.transport.send(&call).await;
        };
        let _turn = credential.trial(login).await?;
        let answer = self.transport.send(&call).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            credential.refused(login, &ask.repository, Refused::Login);
        } else {
            credential.accepted(login);
        }
        Ok(answer)
    }

    /// The challenge that can be met: a token from an allowed service before a password.
    fn choose(&self, headers: &HeaderMap, has_login: bool) -> Result<Asked, Error> {
        let challenges = Challenge::all(headers);
        let mut refused = false;
        for challenge in challenges.iter().filter(|challenge| challenge.scheme == "bearer") {
            match self.service(challenge) {
                Some(service) => return Ok(Asked::Bearer(service)),
                None => refused = true,
            }
        }
        if has_login && challenges.iter().any(|challenge| challenge.scheme == "basic") {
            return Ok(Asked::Basic);
        }
        if refused {
            return Err(Error::RealmRefused { registry: self.registry.clone() });
        }
        Err(self.unauthorized())
    }

    fn service(&self, challenge: &Challenge) -> Option<Service> {
        let realm = Location::parse(challenge.parameter("realm")?).ok()?;
        let is_own = realm.origin == self.base.origin;
        let is_listed = self.token_hosts.contains(&realm.origin)
            && (realm.origin.scheme == Scheme::Https || self.allows_plain_http);
        if !is_own && !is_listed {
            tracing::warn!(
                registry = %self.registry,
                realm = %realm.origin,
                "token service refused: neither the upstream itself nor in token_hosts"
            );
            return None;
        }
        let service = challenge.parameter("service").map(str::to_owned);
        Some(Service { realm, service })
    }

    /// What to show for `asked`; `None`: nothing, for there is no login.
    async fn show(
        &self,
        asked: &Asked,
        ask: &Ask,
        identity: &mut Identity,
    ) -> Result<Option<Shown>, Error> {
        let service = match asked {
            Asked::Basic => return Ok(identity.login().cloned().map(Shown::Basic)),
            Asked::Bearer(service) => service,
        };
        let scope = format!("repository:{}:pull", ask.repository);
        loop {
            let key = TokenKey {
                login: identity
                    .credential
                    .as_ref()
                    .map(|(credential, login)| (credential.id, login.generation)),
                realm: service.realm.absolute_form(),
                service: service.service.clone(),
                scope: scope.clone(),
            };
            let is_new = AtomicBool::new(false);
            let token = {
                let fetch = || {
                    is_new.store(true, Ordering::Relaxed);
                    self.token_for(service, ask, &scope, identity)
                };
                self.tokens.get(key.clone(), fetch).await
            };
            match token {
                Ok(token) => {
                    return Ok(Some(Shown::Bearer { key, token, is_new: is_new.into_inner() }));
                }
                // Ends: either the login is another one now, or this is an error.
                Err(error @ Error::Unauthorized { .. }) => identity.refused(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// A new token; the credential gives leave, and hears what became of its login.
    async fn token_for(
        &self,
        service: &Service,
        ask: &Ask,
        scope: &str,
        identity: &Identity,
    ) -> Result<Token, Error> {
        let Some((credential, login)) = &identity.credential else {
            return self.fetch_token(service, scope, None).await;
        };
        let _turn = credential.trial(login).await?;
        let token = self.fetch_token(service, scope, Some(login)).await;
        match &token {
            Ok(_) => credential.accepted(login),
            Err(Error::Unauthorized { .. }) => {
                credential.refused(login, &ask.repository, Refused::Login);
            }
            Err(Error::AccessDenied { .. }) => {
                credential.refused(login, &ask.repository, Refused::Repository);
            }
            Err(_) => {}
        }
        token
    }

    async fn fetch_token(
        &self,
        service: &Service,
        scope: &str,
        login: Option<&Login>,
    ) -> Result<Token, Error> {
        let answer = match login {
            Some(login) if login.is_refresh_token() => {
                self.token_by_post(service, scope, login).await?
            }
            login => {
                let answer = self.token_by_get(service, scope, login).await?;
                let not_offered = matches!(
                    answer.status(),
                    StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
                );
                match login {
                    Some(login) if not_offered => {
                        answer.into_body().discard().await;
                        self.token_by_post(service, scope, login).await?
                    }
                    _ => answer,
                }
            }
        };
        let (registry, status) = (self.registry.clone(), answer.status());
        let longest = self.limits.retry_after_max;
        let retry_after = retry_after(answer.headers(), self.clock.now(), longest);
        match status {
            StatusCode::OK => {
                let body = answer.into_body().read_all(self.limits.token_bytes).await?;
                Token::parse(&body).ok_or(Error::Malformed { registry, what: "token" })
            }
            StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN if login.is_some() => {
                Err(Error::AccessDenied { registry })
            }
            StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => {
                Err(self.unauthorized())
            }
            StatusCode::TOO_MANY_REQUESTS => {
                self.metrics.upstream_rate_limited.increment();
                let retry_after = retry_after.unwrap_or(self.limits.breaker_probe);
                Err(Error::RateLimited { registry, retry_after })
            }
            _ => Err(Error::Status { registry, status, retry_after }),
        }
    }

    async fn token_by_get(
        &self,
        service: &Service,
        scope: &str,
        login: Option<&Login>,
    ) -> Result<Response<Content>, Error> {
        let target = &service.realm.target;
        let mut query = target.query().map(|query| format!("{query}&")).unwrap_or_default();
        if let Some(service) = &service.service {
            query = format!("{query}service={}&", encode(service));
        }
        let target = format!("{}?{query}scope={}", target.path(), encode(scope));
        let location = service
            .realm
            .at(&target)
            .map_err(|_| Error::RealmRefused { registry: self.registry.clone() })?;
        let mut headers = HeaderMap::new();
        if let Some(value) = login.and_then(|login| sensitive(basic(login))) {
            headers.insert(AUTHORIZATION, value);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.transport
            .send(&Call { method: Method::GET, location, headers, body: Bytes::new() })
            .await
    }

    async fn token_by_post(
        &self,
        service: &Service,
        scope: &str,
        login: &Login,
    ) -> Result<Response<Content>, Error> {
        let name = service.service.as_deref().unwrap_or_default();
        let (name, scope, password) =
            (encode(name), encode(scope), encode(login.password.expose()));
        let common = format!("service={name}&scope={scope}&client_id={CLIENT_ID}");
        let form = if login.is_refresh_token() {
            format!("grant_type=refresh_token&{common}&refresh_token={password}")
        } else {
            let user = encode(&login.username);
            format!("grant_type=password&{common}&username={user}&password={password}")
        };
        let mut headers = HeaderMap::new();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form_type);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let (location, body) = (service.realm.clone(), form.into());
        self.transport.send(&Call { method: Method::POST, location, headers, body }).await
    }

    fn unauthorized(&self) -> Error {
        Error::Unauthorized { registry: self.registry.clone() }
    }
}

fn basic(login: &Login) -> String {
    let pair = format!("{}:{}", login.username, login.password.expose());
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

/// A header value that `Debug` does not show.
fn sensitive(value: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}
