//! A service that is no registry: single requests to paths below one address, over the same connections,
//! proxies and bounds as everything else.
//!
//! One request is one connection and is sent once: nothing is sent again, and no redirect is followed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::error::Error;
use super::files::is_loopback;
use super::lines::Lines;
use super::location::{HostList, Location, Scheme};
use super::settings::{Limits, ProxySettings};
use super::tls;
use super::transport::{Call, Transport};
use crate::metrics::Metrics;
use crate::oci::Registry;
use crate::tasks::Tasks;

/// How long the body of an answer may take, and how long one may be silent.
const BODY_TIME_MAX: Duration = Duration::from_mins(1);
/// How long the head of an answer may take.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// Most bytes of the body of an answer that is not a success: a text that says why.
const TROUBLE_BYTES_MAX: usize = 16 * 1024;

/// Where the service is, and the way there.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// What the paths are below: `https://host[:port][/path]`.
    pub url: String,
    /// PEM file of authorities that are trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whether `url` may be plain HTTP although it is not on this machine. Everything sent, credentials
    /// included, can then be read and changed on the way.
    pub danger_plain_http: bool,
    /// The way out of this network.
    pub proxy: ProxySettings,
}

/// A service.
#[derive(Debug)]
pub struct Service {
    base: Location,
    transport: Transport,
}

/// What a service answered.
#[derive(Debug, Clone)]
pub struct ServiceAnswer {
    /// The status.
    pub status: StatusCode,
    /// The head.
    pub headers: HeaderMap,
    /// The body; empty when the status is no success and what came is too much or did not end.
    pub body: Bytes,
}

impl Service {
    /// # Errors
    /// When the address, a proxy or the certificate file cannot be used.
    pub fn new(settings: &ServiceSettings, tasks: Tasks) -> Result<Self, Error> {
        Self::reached(settings, tasks, false)
    }

    /// The same, where the authorities in `ca_file` are believed and no other: not those of the web either.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn believing_only(settings: &ServiceSettings, tasks: Tasks) -> Result<Self, Error> {
        Self::reached(settings, tasks, true)
    }

    fn reached(settings: &ServiceSettings, tasks: Tasks, own_only: bool) -> Result<Self, Error> {
        let wrong = || Error::Setting { registry: settings.url.clone(), setting: "url" };
        let base = Location::parse(&settings.url).map_err(|_| wrong())?;
        let origin = &base.origin;
        let is_plain = origin.scheme == Scheme::Http && !is_loopback(&origin.host);
        if base.target.query().is_some() || (is_plain && !settings.danger_plain_http) {
            return Err(wrong());
        }
        let place: Registry = origin.host_and_port().parse().map_err(|_| wrong())?;
        let own = HostList::parse(&[origin.host_and_port()]).ok_or_else(wrong)?;
        let limits = Limits {
            first_byte_timeout: HEAD_TIME_MAX,
            idle_timeout: BODY_TIME_MAX,
            // A kept connection may turn out to be closed, and the request would be sent once more.
            pool_idle_max: 0,
            ..Limits::default()
        };
        let lines = Lines::new(&settings.proxy, limits, tasks, Arc::new(Metrics::default()))?;
        let ca_file = settings.ca_file.as_deref();
        let mut transport = lines.transport(&place, ca_file, vec![own])?;
        if let Some(ca_file) = ca_file.filter(|_| own_only) {
            transport.dialer.tls = Arc::new(tls::own_authority(ca_file)?);
        }
        Ok(Self { base, transport })
    }

    /// The answer to a GET of `path`, which begins with a slash and is below the address, whatever its
    /// status is; a body of a success may have `bytes_max` at most.
    ///
    /// # Errors
    /// When there is no answer, or what comes is too large or too slow.
    pub async fn get(
        &self,
        path: &str,
        headers: HeaderMap,
        bytes_max: usize,
    ) -> Result<ServiceAnswer, Error> {
        self.send(Method::GET, path, headers, Bytes::new(), bytes_max).await
    }

    /// The same for a POST of `body`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(
        &self,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        bytes_max: usize,
    ) -> Result<ServiceAnswer, Error> {
        self.send(Method::POST, path, headers, body, bytes_max).await
    }

    /// The same for a PATCH with `body`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn patch(
        &self,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        bytes_max: usize,
    ) -> Result<ServiceAnswer, Error> {
        self.send(Method::PATCH, path, headers, body, bytes_max).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        bytes_max: usize,
    ) -> Result<ServiceAnswer, Error> {
        let registry = || self.transport.registry.clone();
        let malformed = |_| Error::Malformed { registry: registry(), what: "path" };
        let folder = self.base.target.path().trim_end_matches('/');
        let location = self.base.at(&format!("{folder}{path}")).map_err(malformed)?;
        let answer = self.transport.send(&Call { method, location, headers, body }).await?;
        let (head, content) = answer.into_parts();
        let body = if head.status.is_success() {
            content.read_all(bytes_max).await?
        } else {
            content.read_all(TROUBLE_BYTES_MAX).await.unwrap_or_default()
        };
        Ok(ServiceAnswer { status: head.status, headers: head.headers, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_on_this_machine_is_reached_over_https_unless_somebody_says_otherwise() {
        let made = |url: &str, danger_plain_http| {
            let (url, proxy) = (url.to_owned(), ProxySettings::default());
            let settings = ServiceSettings { url, ca_file: None, danger_plain_http, proxy };
            Service::new(&settings, Tasks::new()).is_ok()
        };
        for url in ["https://a.test", "https://a.test:8443/x/", "http://127.0.0.1:1"] {
            assert!(made(url, false), "{url}");
        }
        for url in ["http://a.test", "http://10.0.0.1", "http://localhost.test/"] {
            assert!(!made(url, false) && made(url, true), "{url}");
        }
        for url in ["a.test", "ftp://a.test", "https://u:p@a.test", "https://a.test/?x", ""] {
            assert!(!made(url, true), "{url}");
        }
    }
}
