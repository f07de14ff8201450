//! One upstream registry: requests with retries, rests and redirects.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::auth::Asked;
use super::breaker::{Breaker, Health, RateLimit, Rest, retry_after};
use super::credentials::Credentials;
use super::error::Error;
use super::location::{HostList, Location, LocationError, Origin, Scheme};
use super::settings::Limits;
use super::tokens::Tokens;
use super::transport::{Call, Content, Transport};
use crate::metrics::Metrics;
use crate::oci::{Registry, Repository};
use crate::time::{Clock, Timestamp};

/// How long an upstream rests that limits the rate without saying for how long.
const RATE_LIMIT_REST: Duration = Duration::from_secs(10);

/// How one upstream is, as far as is known here.
#[derive(Debug, Clone)]
pub struct UpstreamStatus {
    /// The registry.
    pub registry: Registry,
    /// Whether it is being asked.
    pub breaker: Breaker,
    /// What it said last about its rate limit.
    pub rate_limit: Option<RateLimit>,
    /// When nothing is left of its rate limit at the present rate; `None`: not in this window.
    pub rate_exhausted_at: Option<Timestamp>,
    /// How many of its credentials were refused and are left alone.
    pub credentials_refused: usize,
    /// When it last answered.
    pub last_success: Option<Timestamp>,
    /// When it last failed.
    pub last_failure: Option<Timestamp>,
}

/// A registry and everything that belongs to it alone: connections, logins, tokens, health.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) registry: Registry,
    /// Origin and path prefix.
    pub(super) base: Location,
    pub(super) allows_plain_http: bool,
    /// The query behind every path where a mirror of several registries is asked.
    pub(super) namespace: Option<String>,
    pub(super) token_hosts: HostList,
    pub(super) redirect_hosts: HostList,
    pub(super) transport: Transport,
    pub(super) credentials: Credentials,
    pub(super) tokens: Tokens,
    pub(super) health: Health,
    /// What the last challenge asked for, so that the next request brings it at once.
    pub(super) asked: Mutex<Option<Asked>>,
    pub(super) limits: Arc<Limits>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
}

/// Where redirects led, as an extension of the answer.
#[derive(Debug, Clone)]
pub(super) struct Reached(pub(super) Location);

/// A request for something of a repository.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) repository: Repository,
    /// Always at the upstream's own origin.
    pub(super) location: Location,
    /// No credentials: these headers go along with redirects.
    pub(super) headers: HeaderMap,
    /// Whether 303 is followed like other redirects, or given back.
    pub(super) follows_see_other: bool,
}

impl Ask {
    pub(super) fn call(&self, authorization: Option<HeaderValue>) -> Call {
        let mut headers = self.headers.clone();
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        let (method, location) = (self.method.clone(), self.location.clone());
        Call { method, location, headers, body: Bytes::new() }
    }
}

impl Upstream {
    /// A request for `target` (path and query below the base) of `repository`.
    pub(super) fn ask(
        &self,
        method: Method,
        repository: &Repository,
        target: &str,
    ) -> Result<Ask, Error> {
        let prefix = self.base.target.path().trim_end_matches('/');
        let joint = if target.contains('?') { '&' } else { '?' };
        let namespace = self.namespace.as_ref().map(|namespace| format!("{joint}{namespace}"));
        let location = self
            .base
            .at(&format!("{prefix}{target}{}", namespace.unwrap_or_default()))
            .map_err(|_| Error::Malformed { registry: self.registry.clone(), what: "address" })?;
        let (repository, headers) = (repository.clone(), HeaderMap::new());
        Ok(Ask { method, repository, location, headers, follows_see_other: true })
    }

    /// The answer to `ask`: any status but 401, 429, 5xx and followed redirects, which are errors
    /// or dealt with.
    ///
    /// Sent again, with growing and random waits, while the failure is of a kind that passes.
    pub(super) async fn request(&self, ask: &Ask) -> Result<Response<Content>, Error> {
        let mut attempt = 1;
        loop {
            let error = match self.attempt(ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let delay = self.delay_after(attempt, &error);
            let Some(delay) = delay.filter(|_| attempt < self.limits.attempts) else {
                return Err(error);
            };
            tracing::debug!(registry = %self.registry, %error, attempt, "request is sent again");
            self.metrics.upstream_retries.increment();
            tokio::time::sleep(delay).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, ask: &Ask) -> Result<Response<Content>, Error> {
        self.admit()?;
        let first = match self.authorised(ask).await {
            Ok(answer) => self.judged(answer, true).await,
            Err(error) => Err(error),
        };
        self.note(&first);
        self.follow(first?, ask).await
    }

    fn admit(&self) -> Result<(), Error> {
        let registry = self.registry.clone();
        self.health.admit(self.clock.monotonic()).map_err(|rest| match rest {
            Rest::Limited(retry_after) => Error::RateLimited { registry, retry_after },
            Rest::Unwell(retry_after) => Error::Resting { registry, retry_after },
        })
    }

    /// Keeps account of how the upstream is.
    fn note<T>(&self, outcome: &Result<T, Error>) {
        let answered = match outcome {
            Ok(_) => true,
            Err(error) if error.is_outage() => {
                self.metrics.upstream_failures.increment();
                tracing::warn!(
                    registry = %self.registry,
                    %error,
                    cause = std::error::Error::source(error).map(tracing::field::display),
                    "request to an upstream failed"
                );
                if self.health.failed(self.clock.monotonic(), self.clock.now()) {
                    self.metrics.breaker_opened.increment();
                    tracing::error!(registry = %self.registry, "upstream is given a rest");
                }
                return;
            }
            Err(error) => matches!(error, Error::Unauthorized { .. } | Error::RateLimited { .. }),
        };
        if answered {
            self.health.succeeded(self.clock.now());
        }
    }

    /// The wait before the next attempt; `None`: there is no point in one.
    fn delay_after(&self, attempt: u32, error: &Error) -> Option<Duration> {
        if !error.is_transient() {
            return None;
        }
        match error.retry_after() {
            Some(wait) => (wait <= self.limits.retry_after_wait).then_some(wait),
            None => Some(self.backoff(attempt)),
        }
    }

    /// Twice the wait with every attempt, half of it random.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let whole = self.limits.retry_delay.saturating_mul(1 << attempt.saturating_sub(1).min(6));
        let mut random = [0; 2];
        // Without randomness the wait is merely less well spread.
        let random = aws_lc_rs::rand::fill(&mut random).map_or(0, |()| u16::from_le_bytes(random));
        whole / 2 + (whole / 2).mul_f64(f64::from(random) / f64::from(u16::MAX))
    }

    /// Statuses that are errors for every kind of request.
    pub(super) async fn judged(
        &self,
        answer: Response<Content>,
        is_own: bool,
    ) -> Result<Response<Content>, Error> {
        let (registry, status) = (self.registry.clone(), answer.status());
        if is_own {
            self.account(answer.headers());
        }
        let longest = self.limits.retry_after_max;
        let retry_after = retry_after(answer.headers(), self.clock.now(), longest);
        let error = match status {
            StatusCode::UNAUTHORIZED => Error::Unauthorized { registry },
            StatusCode::TOO_MANY_REQUESTS => {
                self.metrics.upstream_rate_limited.increment();
                let retry_after = retry_after.unwrap_or(RATE_LIMIT_REST);
                if is_own {
                    let until = self.clock.monotonic().saturating_add(retry_after);
                    self.health.limit_until(until);
                }
                Error::RateLimited { registry, retry_after }
            }
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                Error::Status { registry, status, retry_after }
            }
            _ => return Ok(answer),
        };
        answer.into_body().discard().await;
        Err(error)
    }

    fn account(&self, headers: &HeaderMap) {
        if let Some(limit) = self.health.account(headers, self.clock.monotonic()) {
            tracing::warn!(
                registry = %self.registry,
                remaining = limit.remaining,
                limit = limit.limit,
                window_s = limit.window.map(|window| window.as_secs()),
                "little is left of the rate limit of an upstream"
            );
        }
    }

    async fn follow(
        &self,
        mut answer: Response<Content>,
        ask: &Ask,
    ) -> Result<Response<Content>, Error> {
        let mut call = ask.call(None);
        let mut hops = 0;
        while is_redirect(answer.status())
            && (ask.follows_see_other || answer.status() != StatusCode::SEE_OTHER)
        {
            hops += 1;
            if hops > self.limits.redirects {
                return Err(self.redirect_refused("too often"));
            }
            call.location = self.redirect_target(&call.location, answer.headers())?;
            answer.into_body().discard().await;
            answer = self.judged(self.transport.send(&call).await?, false).await?;
        }
        if hops > 0 {
            answer.extensions_mut().insert(Reached(call.location));
        }
        Ok(answer)
    }

    fn redirect_target(&self, from: &Location, headers: &HeaderMap) -> Result<Location, Error> {
        let reference = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let reference = reference.ok_or_else(|| self.redirect_refused("without an address"))?;
        let target = from.join(reference).map_err(|error| self.redirect_refused(error.reason()))?;
        if target.origin.scheme == Scheme::Http && !self.may_be_plain(&target.origin) {
            tracing::warn!(registry = %self.registry, host = %target.origin.host, "redirect to plain http refused");
            return Err(self.redirect_refused(LocationError::Scheme.reason()));
        }
        Ok(target)
    }

    fn may_be_plain(&self, origin: &Origin) -> bool {
        self.redirect_hosts.contains(origin)
            || (self.allows_plain_http && *origin == self.base.origin)
    }

    fn redirect_refused(&self, reason: &'static str) -> Error {
        Error::RedirectRefused { registry: self.registry.clone(), reason }
    }

    /// How this upstream is.
    pub(super) fn status(&self) -> UpstreamStatus {
        let state = self.health.snapshot();
        UpstreamStatus {
            registry: self.registry.clone(),
            breaker: self.health.breaker(),
            rate_limit: state.rate_limit,
            rate_exhausted_at: state
                .runs_out_in(self.clock.monotonic())
                .map(|left| self.clock.now().after(left)),
            credentials_refused: self.credentials.resting(),
            last_success: state.last_success,
            last_failure: state.last_failure,
        }
    }
}

/// Whether `status` sends the client elsewhere for the same.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}
