//! Files at a place that is no registry: a plain GET each, over the same connections, proxies and bounds
//! as everything else. No login and no second try; redirects only where it is said.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::error::Error;
use super::lines::Lines;
use super::location::{HostList, Location, LocationError, Scheme};
use super::registry::is_redirect;
use super::settings::{Limits, ProxySettings};
use super::transport::{Call, Content, Transport};
use crate::metrics::Metrics;
use crate::oci::Registry;
use crate::tasks::Tasks;
use crate::time::Timestamp;

/// How long the body of a small file may take, and how long one may be silent.
const FILE_TIME_MAX: Duration = Duration::from_secs(15);
/// Most redirects from a file to where it is.
const REDIRECTS_MAX: usize = 5;

/// Where the files are, and the way there.
#[derive(Debug, Clone)]
pub struct FilesSettings {
    /// The folder that they are in: `https://host[:port][/path]`.
    pub url: String,
    /// PEM file of authorities that are trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whether `url` may be plain HTTP although it is not on this machine.
    pub danger_plain_http: bool,
    /// The way out of this network.
    pub proxy: ProxySettings,
}

/// The files of one place.
#[derive(Debug)]
pub struct Files {
    base: Location,
    transport: Transport,
}

impl Files {
    /// # Errors
    /// When the address, a proxy or the certificate file cannot be used.
    pub fn new(settings: &FilesSettings, tasks: Tasks) -> Result<Self, Error> {
        let wrong = || Error::Setting { registry: settings.url.clone(), setting: "url" };
        let base = Location::parse(&settings.url).map_err(|_| wrong())?;
        let origin = &base.origin;
        let is_plain = origin.scheme == Scheme::Http && !is_loopback(&origin.host);
        if base.target.query().is_some() || (is_plain && !settings.danger_plain_http) {
            return Err(wrong());
        }
        let place: Registry = origin.host_and_port().parse().map_err(|_| wrong())?;
        let own = HostList::parse(&[origin.host_and_port()]).ok_or_else(wrong)?;
        let metrics = Arc::new(Metrics::default());
        let limits = Limits { idle_timeout: FILE_TIME_MAX, ..Limits::default() };
        let lines = Lines::new(&settings.proxy, limits, tasks, metrics)?;
        let transport = lines.transport(&place, settings.ca_file.as_deref(), vec![own])?;
        Ok(Self { base, transport })
    }

    /// The file `name` below the place, which may have `bytes_max` at most; or the status of an
    /// answer that is not it.
    ///
    /// # Errors
    /// When there is no answer, or what comes is too large or too slow.
    pub async fn get(
        &self,
        name: &str,
        bytes_max: usize,
    ) -> Result<Result<Bytes, StatusCode>, Error> {
        let answer = self.transport.send(&self.call(name)?).await?;
        let (status, body) = (answer.status(), answer.into_body());
        if status == StatusCode::OK {
            return body.read_all(bytes_max).await.map(Ok);
        }
        body.discard().await;
        Ok(Err(status))
    }

    /// The file `name` below the place, to be read piece by piece, wherever on public hosts it is over
    /// https; or the status of an answer that is not it. Whoever reads it bounds it.
    ///
    /// # Errors
    /// When there is no answer, or redirects do not end or lead to where none may.
    pub async fn open(&self, name: &str) -> Result<Result<FileStream, StatusCode>, Error> {
        let mut call = self.call(name)?;
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.transport.send(&call).await?;
            let (head, body) = answer.into_parts();
            if head.status == StatusCode::OK {
                let modified = head.headers.get(LAST_MODIFIED).and_then(moment);
                return Ok(Ok(FileStream { body, modified }));
            }
            body.discard().await;
            if !is_redirect(head.status) {
                return Ok(Err(head.status));
            }
            call.location = self.redirected(&call.location, &head.headers)?;
        }
        Err(self.redirect_refused("too often"))
    }

    fn call(&self, name: &str) -> Result<Call, Error> {
        let malformed = |_| Error::Malformed {
            registry: self.transport.registry.clone(),
            what: "name of a file",
        };
        let folder = self.base.target.path().trim_end_matches('/');
        let location = self.base.at(&format!("{folder}/{name}")).map_err(malformed)?;
        let accept = (ACCEPT, HeaderValue::from_static("*/*"));
        let headers = HeaderMap::from_iter([accept]);
        Ok(Call { method: Method::GET, location, headers, body: Bytes::new() })
    }

    fn redirected(&self, from: &Location, headers: &HeaderMap) -> Result<Location, Error> {
        let reference = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let reference = reference.ok_or_else(|| self.redirect_refused("without an address"))?;
        let target = from.join(reference).map_err(|error| self.redirect_refused(error.reason()))?;
        let may_be_plain = target.origin == self.base.origin;
        if target.origin.scheme == Scheme::Http && !may_be_plain {
            return Err(self.redirect_refused(LocationError::Scheme.reason()));
        }
        Ok(target)
    }

    fn redirect_refused(&self, reason: &'static str) -> Error {
        Error::RedirectRefused { registry: self.transport.registry.clone(), reason }
    }
}

/// A file on its way.
#[derive(Debug)]
pub struct FileStream {
    body: Content,
    modified: Option<Timestamp>,
}

impl FileStream {
    /// Since when it is as it is, as whoever sends it says.
    pub fn modified(&self) -> Option<Timestamp> {
        self.modified
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When it ends too early, or nothing comes for too long.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        self.body.next().await
    }
}

/// A date of HTTP.
fn moment(value: &HeaderValue) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(value.to_str().ok()?).ok()?;
    Some(Timestamp::from_milliseconds(date.timestamp().as_millisecond()))
}

/// Whether `host` is this machine whatever the network says.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(url: &str, danger_plain_http: bool) -> Result<Files, Error> {
        let proxy = ProxySettings::default();
        let url = url.to_owned();
        Files::new(&FilesSettings { url, ca_file: None, danger_plain_http, proxy }, Tasks::new())
    }

    #[test]
    fn what_is_not_on_this_machine_is_reached_over_https_unless_somebody_says_otherwise() {
        for url in
            ["https://a.test", "https://a.test:8443/x/", "http://127.0.0.1:1", "http://[::1]:1/x"]
        {
            assert!(made(url, false).is_ok(), "{url}");
        }
        for url in
            ["http://a.test", "http://10.0.0.1", "http://localhost.test/", "http://127.0.0.1.test"]
        {
            assert!(made(url, false).is_err(), "{url}");
            assert!(made(url, true).is_ok(), "{url}");
        }
        for url in
            ["a.test", "ftp://a.test", "https://u:p@a.test", "https://a.test/?x", "https://", ""]
        {
            assert!(made(url, true).is_err(), "{url}");
        }
    }
}
