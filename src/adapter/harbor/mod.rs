//! Scanners behind Harbor's scanner API: we ask as Harbor does, and the adapter, a service beside the
//! scanner, gets the image from here and reports.
//!
//! Promises:
//! - What is sent (whose word opens an image, and the adapter's own login) goes to the adapter's address
//!   only; no redirect is followed, and neither is in an error text, whatever the adapter repeats.
//! - The report is about the manifest that was asked about, or there is none.
//! - What the adapter is set to leave out is a gap of every report of it.
//!
//! A report of this interface does not say what was looked at: see [`Reported::from_harbor`].
//!
//! Spec: <https://github.com/goharbor/pluggable-scanner-spec/blob/master/api/spec/scanner-adapter-openapi-v1.2.yaml>
//! (versions 1.0 and 1.1 are asked in the same way).

mod asked;
mod error;
mod metadata;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tracing::debug;

pub use asked::HarborAdapter;
pub use error::HarborError;

use crate::oci::{Digest, MediaType, Secret};
use crate::scan::{HARBOR_REPORT_BYTES_MAX, HarborAsked, Reported};
use crate::tasks::Tasks;
use crate::time::Clock;
use crate::upstream::{ProxySettings, Service, ServiceAnswer, ServiceSettings};
use metadata::{Form, Metadata, Mime};

/// Failures in a row to ask for a report before it is given up: adapters restart, and stand behind
/// proxies.
const POLL_FAILURES_MAX: u32 = 3;
/// Shortest wait between two questions for a report, whatever the settings say.
const POLL_MIN: Duration = Duration::from_millis(20);
/// How long is waited where the adapter does not say how long.
const POLL_USUAL: Duration = Duration::from_secs(5);
/// Most bytes of what an adapter says of itself, and of what it says to a scan that it begins.
const METADATA_BYTES_MAX: usize = 256 * 1024;
const BEGUN_BYTES_MAX: usize = 16 * 1024;

/// Where an adapter is, and how long it is waited for.
#[derive(Debug, Clone)]
pub struct HarborSettings {
    /// Its address, without `/api/v1`: `https://host[:port][/path]`.
    pub url: String,
    /// PEM file of authorities that are trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whether `url` may be plain HTTP although it is not on this machine: what is sent, a pass to the
    /// image included, can then be read on the way, and what it reports changed.
    pub danger_plain_http: bool,
    /// The way out of this network.
    pub proxy: ProxySettings,
    /// The value of the `Authorization` header that the adapter asks for: `Bearer …`, `Basic …`.
    pub authorization: Option<Secret>,
    /// How long one scan may take, from the first question to the report.
    pub timeout: Duration,
    /// Shortest wait between two questions for the report; else, as the adapter says.
    pub poll_min: Duration,
    /// Longest wait between two questions for the report.
    pub poll_max: Duration,
}

impl HarborSettings {
    /// An adapter at `url` of which nothing else is known.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            danger_plain_http: false,
            proxy: ProxySettings::default(),
            authorization: None,
            timeout: Duration::from_mins(10),
            poll_min: Duration::from_secs(1),
            poll_max: Duration::from_secs(30),
        }
    }
}

/// What an adapter is asked to scan, and how it gets it.
#[derive(Debug, Clone)]
pub struct HarborJob {
    /// Where the adapter finds the registry, that is us: `https://mirror.example:5000`.
    pub registry_url: String,
    /// The value of the `Authorization` header with which it may read the image there.
    pub authorization: Secret,
    /// The repository, as it is called there: `docker.io/library/alpine`.
    pub repository: String,
    /// The image's manifest.
    pub digest: Digest,
    /// The type of the manifest.
    pub media_type: MediaType,
}

/// A scanner behind an adapter.
#[derive(Debug)]
pub struct HarborScanner {
    settings: HarborSettings,
    service: Service,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
}

impl HarborScanner {
    /// The scanner behind the adapter that `settings` name; nothing is asked yet.
    ///
    /// # Errors
    /// [`HarborError::Setting`] when the address, a proxy, the certificate file or the login cannot be
    /// used.
    pub fn new(
        settings: HarborSettings,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
    ) -> Result<Self, HarborError> {
        let place = &settings.url;
        let asked = ServiceSettings {
            url: place.clone(),
            ca_file: settings.ca_file.clone(),
            danger_plain_http: settings.danger_plain_http,
            proxy: settings.proxy.clone(),
        };
        let service = Service::new(&asked, tasks.clone())
            .map_err(|source| HarborError::setting(shown_place(place), source))?;
        if let Some(login) = &settings.authorization {
            wire::sensitive(login).ok_or(HarborError::Setting {
                place: shown_place(place),
                setting: "authorization",
                source: None,
            })?;
        }
        Ok(Self { settings, service, clock, tasks })
    }

    /// What the scanner says of an image.
    ///
    /// # Errors
    /// See [`HarborError`]: without a report that is read and about this image, there is none.
    ///
    /// # Cancel safety
    /// Dropping the future gives the report up; the adapter is not told, and goes on.
    pub async fn scan(&self, job: &HarborJob) -> Result<Reported, HarborError> {
        let after = self.settings.timeout;
        match tokio::time::timeout(after, self.scanned(job)).await {
            Ok(reported) => reported,
            Err(_elapsed) => Err(HarborError::TimedOut { place: self.place(), after }),
        }
    }

    async fn scanned(&self, job: &HarborJob) -> Result<Reported, HarborError> {
        let metadata = self.metadata().await?;
        // Before the scan: the database may become newer meanwhile, and never older.
        let database = metadata.database(self.clock.now());
        let form = metadata.form_for(&job.media_type).ok_or_else(|| HarborError::Incapable {
            place: self.place(),
            media_type: job.media_type.clone(),
        })?;
        let id = self.begun(job, form).await?;
        debug!(place = %self.place(), digest = %job.digest, "scan begun elsewhere");
        let bytes = self.report(&id, form, job).await?;
        let (digest, now, scanner) = (job.digest, self.clock.now(), metadata.scanner());
        let reading = self.tasks.spawn_blocking(move || {
            let scanner = scanner.as_deref();
            Reported::from_harbor(&bytes, &HarborAsked { digest: &digest, now, database, scanner })
        });
        let abandoned = |_panicked| HarborError::Abandoned { place: self.place() };
        let read = reading.await.map_err(abandoned)?;
        let mut reported =
            read.map_err(|source| HarborError::Report { place: self.place(), source })?;
        reported.gaps.extend(metadata.left_out());
        Ok(reported)
    }

    async fn metadata(&self) -> Result<Metadata, HarborError> {
        const WHAT: &str = "metadata";
        let headers = self.headers(&[("accept", wire::METADATA)]);
        let asked = self.service.get("/api/v1/metadata", headers, METADATA_BYTES_MAX).await;
        let answer = self.answered(asked, WHAT)?;
        if answer.status != StatusCode::OK {
            return Err(self.trouble(WHAT, &answer, None));
        }
        let told = Mime::of(wire::content_type(&answer));
        if told.essence == wire::METADATA_ESSENCE
            && let Some(version) = told.version
            && !version.starts_with("1.")
        {
            let version = wire::printable(&version);
            return Err(HarborError::Version { place: self.place(), version });
        }
        self.read(WHAT, &answer.body)
    }

    /// Has a scan begun, and gives the path at which its report will be.
    async fn begun(&self, job: &HarborJob, form: Form) -> Result<String, HarborError> {
        const WHAT: &str = "a scan";
        let (body, media_type) = wire::request(job, form);
        let headers = self.headers(&[("content-type", media_type), ("accept", wire::BEGUN)]);
        let body = Bytes::from(body);
        let asked = self.service.post("/api/v1/scan", headers, body, BEGUN_BYTES_MAX).await;
        let answer = self.answered(asked, WHAT)?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(self.trouble(WHAT, &answer, Some(job)));
        }
        let begun: wire::Begun = self.read(WHAT, &answer.body)?;
        let why = ": its id cannot be asked for".to_owned();
        let malformed = || HarborError::Malformed { place: self.place(), what: WHAT, why };
        begun.report_path().ok_or_else(malformed)
    }

    /// The bytes of the report, once it is there.
    async fn report(&self, path: &str, form: Form, job: &HarborJob) -> Result<Bytes, HarborError> {
        const WHAT: &str = "a report";
        let (mut wait, mut failures) = (self.within_poll(Duration::ZERO), 0);
        loop {
            tokio::time::sleep(wait).await;
            let headers = self.headers(&[("accept", form.media_type)]);
            let asked = self.service.get(path, headers, HARBOR_REPORT_BYTES_MAX).await;
            let trouble = match self.answered(asked, WHAT) {
                Ok(answer) if answer.status == StatusCode::OK => {
                    return self.in_form(answer);
                }
                Ok(answer) if answer.status == StatusCode::FOUND => {
                    failures = 0;
                    wait = self.within_poll(wire::refresh_after(&answer).unwrap_or(POLL_USUAL));
                    continue;
                }
                Ok(answer) => {
                    let trouble = self.trouble(WHAT, &answer, Some(job));
                    if !wire::is_passing(answer.status) {
                        return Err(trouble);
                    }
                    trouble
                }
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error),
            };
            failures += 1;
            if failures >= POLL_FAILURES_MAX {
                return Err(trouble);
            }
            debug!(error = %trouble, "report asked for again");
            wait = self.within_poll(POLL_USUAL);
        }
    }

    /// A report, unless it says itself that it is of another form.
    fn in_form(&self, answer: ServiceAnswer) -> Result<Bytes, HarborError> {
        let told = Mime::of(wire::content_type(&answer)).essence;
        let is_ours = metadata::FORMS.iter().any(|form| Mime::of(form).essence == told);
        if told.starts_with("application/vnd.") && !is_ours {
            let why = format!(", but {}", wire::printable(&told));
            return Err(HarborError::Malformed { place: self.place(), what: "a report", why });
        }
        Ok(answer.body)
    }

    fn within_poll(&self, wait: Duration) -> Duration {
        wait.min(self.settings.poll_max).max(self.settings.poll_min).max(POLL_MIN)
    }

    fn headers(&self, given: &[(&'static str, &'static str)]) -> http::HeaderMap {
        wire::headers(given, self.settings.authorization.as_ref())
    }

    fn answered(
        &self,
        asked: Result<ServiceAnswer, crate::upstream::Error>,
        what: &'static str,
    ) -> Result<ServiceAnswer, HarborError> {
        asked.map_err(|source| HarborError::Unreachable { place: self.place(), what, source })
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        what: &'static str,
        body: &Bytes,
    ) -> Result<T, HarborError> {
        crate::oci::from_strict_slice(body)
            .map_err(|error| HarborError::malformed(&self.place(), what, &error))
    }

    /// What an answer that is none says, without the secrets that it may repeat.
    fn trouble(
        &self,
        what: &'static str,
        answer: &ServiceAnswer,
        job: Option<&HarborJob>,
    ) -> HarborError {
        let secrets = job.map(|job| &job.authorization).into_iter();
        let secrets = secrets.chain(self.settings.authorization.as_ref());
        let said = wire::said(&answer.body, secrets);
        HarborError::Answer { place: self.place(), what, status: answer.status.as_u16(), said }
    }

    fn place(&self) -> String {
        shown_place(&self.settings.url)
    }
}

/// An address so that it can be shown.
fn shown_place(url: &str) -> String {
    wire::printable(url)
}
