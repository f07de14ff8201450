//! Webhooks: single requests to an address that the settings name and that is no registry.
//!
//! What is sent is sent once, to that address and to none that it redirects to. Unlike a registry, the
//! host gains nothing by standing in the settings: whether its address is public is looked at on the
//! very address that is dialled, unless the settings say for this webhook that it need not be.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::breaker::retry_after;
use super::error::Error;
use super::lines::Lines;
use super::location::{HostList, Location, Scheme};
use super::settings::{Limits, ProxySettings};
use super::transport::{Call, Content, Transport};
use crate::metrics::Metrics;
use crate::oci::{Registry, Secret};
use crate::tasks::Tasks;
use crate::time::Timestamp;

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// How long reading them may take; the status is known by then.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// How long an unused connection is kept, for the next of many.
const KEPT: Duration = Duration::from_secs(30);
/// Requests that one webhook has under way at most: one, and a test beside it.
const AT_ONCE: usize = 2;
/// Longest `Retry-After` that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// The way to the receiver of a webhook.
#[derive(Debug, Clone)]
pub struct HookSettings {
    /// PEM file of authorities that are trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whether its address may be one that is not public.
    pub allow_private: bool,
    /// Whether it may be plain HTTP: everything sent can then be read and changed on the way.
    pub danger_plain_http: bool,
    /// How long the head of an answer may take.
    pub timeout: Duration,
    /// The way out of this network.
    pub proxy: ProxySettings,
}

/// What a receiver answered.
#[derive(Debug, Clone)]
pub struct HookAnswer {
    /// The status.
    pub status: StatusCode,
    /// When it wants to be asked again, if it said so; at most an hour.
    pub retry_after: Option<Duration>,
    /// The beginning of the body, at most 4 KiB.
    pub text: Bytes,
}

/// Sends to one receiver.
#[derive(Debug)]
pub struct Hook {
    settings: HookSettings,
    tasks: Tasks,
    line: Mutex<Option<Arc<Line>>>,
}

/// The way to one address, with a connection that may be used again.
#[derive(Debug)]
struct Line {
    url: Secret,
    location: Location,
    transport: Transport,
}

/// What may be told of the address `url`: scheme, host and port. What follows may be as good as a password.
pub fn origin_of(url: &Secret) -> Option<String> {
    Location::parse(url.expose()).ok().map(|location| location.origin.to_string())
}

impl Hook {
    /// A webhook that sends by `settings`; nothing is dialled before something is sent.
    pub fn new(settings: HookSettings, tasks: Tasks) -> Self {
        Self { settings, tasks, line: Mutex::default() }
    }

    /// Checks that `url` is an address to which something may be sent.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, url: &Secret) -> Result<(), Error> {
        self.location(url).map(drop)
    }

    fn location(&self, url: &Secret) -> Result<(Location, Registry), Error> {
        let wrong = || Error::Setting { registry: "of a webhook".to_owned(), setting: "url" };
        let location = Location::parse(url.expose()).map_err(|_| wrong())?;
        if location.origin.scheme == Scheme::Http && !self.settings.danger_plain_http {
            return Err(wrong());
        }
        let place = location.origin.host_and_port().parse().map_err(|_| wrong())?;
        Ok((location, place))
    }

    /// The answer to a POST of `body` to `url`, whatever its status is. `now` is for dates that the
    /// receiver names.
    ///
    /// # Errors
    /// When there is no connection, no answer in time, or the address is none that may be dialled.
    pub async fn post(
        &self,
        url: &Secret,
        headers: HeaderMap,
        body: Bytes,
        now: Timestamp,
    ) -> Result<HookAnswer, Error> {
        let line = self.line(url).await?;
        let location = line.location.clone();
        let call = Call { method: Method::POST, location, headers, body };
        let answer = line.transport.send(&call).await.inspect_err(|_| self.forget())?;
        let (head, content) = answer.into_parts();
        let retry_after = retry_after(&head.headers, now, RETRY_AFTER_MAX);
        Ok(HookAnswer { status: head.status, retry_after, text: beginning(content).await })
    }

    /// The way to `url`: the one that was used before, if that was the same.
    async fn line(&self, url: &Secret) -> Result<Arc<Line>, Error> {
        if let Some(line) = &*self.kept()
            && line.url == *url
        {
            return Ok(Arc::clone(line));
        }
        let (location, place) = self.location(url)?;
        let HookSettings { proxy, ca_file, timeout, allow_private, .. } = self.settings.clone();
        let limits = Limits {
            first_byte_timeout: timeout,
            pool_idle_timeout: KEPT,
            pool_idle_max: 1,
            exchanges_max: AT_ONCE,
            ..Limits::default()
        };
        let exempt = HostList::parse(&[location.origin.host_and_port()]).filter(|_| allow_private);
        let (tasks, metrics) = (self.tasks.clone(), Arc::new(Metrics::default()));
        let registry = place.clone();
        let making = self.tasks.spawn_blocking(move || {
            let lines = Lines::new(&proxy, limits, tasks, metrics)?;
            lines.transport(&registry, ca_file.as_deref(), Vec::from_iter(exempt))
        });
        let stopped = |_| Error::TimedOut { registry: place, stage: "connect" };
        let transport = making.await.map_err(stopped)??;
        let line = Arc::new(Line { url: url.clone(), location, transport });
        *self.kept() = Some(Arc::clone(&line));
        Ok(line)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Arc<Line>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the next request find its way anew: certificates and proxies may have changed.
    fn forget(&self) {
        *self.kept() = None;
    }
}

/// The beginning of a body: as much as comes of it soon. What is longer costs the connection.
async fn beginning(mut content: Content) -> Bytes {
    let mut text = Vec::new();
    let reading = async {
        while text.len() < ANSWER_BYTES_MAX {
            let Ok(Some(piece)) = content.next().await else { break };
            let room = ANSWER_BYTES_MAX - text.len();
            text.extend(piece.iter().take(room));
        }
    };
    // What has come by then will do.
    tokio::time::timeout(ANSWER_TIME_MAX, reading).await.unwrap_or_default();
    text.into()
}
