//! The client: what the rest of the program asks upstreams for.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::blob::BlobStream;
use super::breaker::Health;
use super::credentials::Credentials;
use super::error::Error;
use super::lines::Lines;
use super::location::{HostList, Location, Scheme};
use super::registry::{Upstream, UpstreamStatus};
use super::settings::{RegistrySettings, Settings};
use super::tokens::Tokens;
use super::transport::Content;
use crate::metrics::Metrics;
use crate::oci::{Digest, Endpoint, MediaType, Name, Reference, Registry, Tag};
use crate::tasks::Tasks;
use crate::time::Clock;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Where a tag points, by the word of the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteTag {
    /// The digest the upstream names: a claim, to be believed when bytes with that digest have come.
    /// `None`: it names none, and only fetching the manifest tells.
    pub digest: Option<Digest>,
}

/// A manifest as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteManifest {
    /// The bytes.
    pub bytes: Bytes,
    /// Their digest, computed here.
    pub digest: Digest,
    /// What the upstream calls them.
    pub media_type: Option<MediaType>,
}

/// Fetches from the configured registries; clones share connections, tokens and health.
#[derive(Clone)]
pub struct Client {
    upstreams: Arc<HashMap<Registry, Arc<Upstream>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.registries()).finish()
    }
}

/// What all upstreams of one client have in common.
struct Common {
    lines: Lines,
    clock: Arc<dyn Clock>,
    /// Whether what they are at is a mirror, which is told whose content is asked for.
    is_mirror: bool,
}

impl Client {
    /// A client for the registries of `settings`; reads certificate files.
    ///
    /// # Errors
    /// When a setting or a certificate file cannot be used.
    pub fn new(
        settings: Settings,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let lines = Lines::new(&settings.proxy, settings.limits, tasks, metrics)?;
        Self::over(settings.registries, &Common { lines, clock, is_mirror: false })
    }

    /// The same where each registry's address is that of a mirror of many registries: it is asked as
    /// containerd asks it, with the registry that is meant as `ns` behind each path.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn through_mirror(
        settings: Settings,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let lines = Lines::new(&settings.proxy, settings.limits, tasks, metrics)?;
        Self::over(settings.registries, &Common { lines, clock, is_mirror: true })
    }

    fn over(registries: Vec<RegistrySettings>, common: &Common) -> Result<Self, Error> {
        let upstream = |registry: RegistrySettings| {
            let upstream = common.upstream(&registry)?;
            Ok((registry.registry, Arc::new(upstream)))
        };
        let upstreams = registries.into_iter().map(upstream).collect::<Result<_, Error>>()?;
        Ok(Self { upstreams: Arc::new(upstreams) })
    }

    /// Whether `registry` is configured.
    pub fn knows(&self, registry: &Registry) -> bool {
        self.upstreams.contains_key(registry)
    }

    /// The address at which `registry` is, where that is all of its place: what publishers who push
    /// there call it.
    pub fn address(&self, registry: &Registry) -> Option<Registry> {
        let base = &self.upstreams.get(registry)?.base;
        if base.target.path() != "/" {
            return None;
        }
        base.origin.authority().parse().ok()
    }

    /// All configured registries, in order of their names.
    pub fn registries(&self) -> Vec<Registry> {
        let mut registries: Vec<_> = self.upstreams.keys().cloned().collect();
        registries.sort_unstable();
        registries
    }

    /// How the upstreams are, in order of their names.
    pub fn status(&self) -> Vec<UpstreamStatus> {
        let mut status: Vec<_> =
            self.upstreams.values().map(|upstream| upstream.status()).collect();
        status.sort_unstable_by(|a, b| a.registry.cmp(&b.registry));
        status
    }

    pub(super) fn upstream(&self, name: &Name) -> Result<&Arc<Upstream>, Error> {
        let registry = name.registry();
        let unknown = || Error::UnknownRegistry { registry: registry.clone() };
        self.upstreams.get(registry).ok_or_else(unknown)
    }

    /// Where `tag` points now, by a HEAD; `None`: the upstream says there is no such tag.
    ///
    /// # Errors
    /// When the upstream cannot be asked or gives no answer that means something.
    pub async fn resolve_tag(&self, name: &Name, tag: &Tag) -> Result<Option<RemoteTag>, Error> {
        let upstream = self.upstream(name)?;
        let path = Endpoint::Manifest(Reference::Tag(tag.clone())).path(name.repository());
        let mut ask = upstream.ask(Method::HEAD, name.repository(), &path)?;
        ask.headers.insert(ACCEPT, HeaderValue::from_static(MediaType::ACCEPT));
        let answer = upstream.request(&ask).await?;
        if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
            return Ok(Some(RemoteTag { digest: None }));
        }
        let Some(answer) = upstream.found(answer).await? else { return Ok(None) };
        let digest = claimed_digest(answer.headers());
        answer.into_body().discard().await;
        Ok(Some(RemoteTag { digest }))
    }

    /// The manifest that `reference` names; `None`: the upstream says there is none.
    ///
    /// # Errors
    /// Also when it is too large ([`super::Limits::manifest_bytes`]), or its bytes are not those of the
    /// digest that was asked for, or that the upstream itself names for a tag.
    pub async fn fetch_manifest(
        &self,
        name: &Name,
        reference: &Reference,
    ) -> Result<Option<RemoteManifest>, Error> {
        let upstream = self.upstream(name)?;
        let path = Endpoint::Manifest(reference.clone()).path(name.repository());
        let mut ask = upstream.ask(Method::GET, name.repository(), &path)?;
        ask.headers.insert(ACCEPT, HeaderValue::from_static(MediaType::ACCEPT));
        let answer = upstream.request(&ask).await?;
        let Some(answer) = upstream.found(answer).await? else { return Ok(None) };
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.map(MediaType::new);
        let expected = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => claimed_digest(answer.headers()),
        };
        let bytes = answer.into_body().read_all(upstream.limits.manifest_bytes).await?;
        let digest = match expected {
            Some(expected) => Digest::of(expected.algorithm(), &bytes),
            None => Digest::sha256(&bytes),
        };
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            upstream.metrics.digest_mismatches.increment();
            let registry = name.registry().clone();
            return Err(Error::DigestMismatch {
                registry,
                expected: Box::new(expected),
                actual: Box::new(digest),
            });
        }
        Ok(Some(RemoteManifest { bytes, digest, media_type }))
    }

    /// The blob `digest`, unverified, as it arrives; `None`: the upstream says there is none.
    ///
    /// # Errors
    /// When the upstream cannot be asked or gives no answer that means something.
    pub async fn fetch_blob(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<BlobStream>, Error> {
        let upstream = self.upstream(name)?;
        let path = Endpoint::Blob(*digest).path(name.repository());
        let mut ask = upstream.ask(Method::GET, name.repository(), &path)?;
        ask.headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let answer = upstream.request(&ask).await?;
        let found = upstream.found(answer).await?;
        Ok(found.map(|answer| BlobStream::new(Arc::clone(upstream), ask, answer)))
    }
}

impl Upstream {
    /// The answer if it is 200, `None` if it is 404, an error for every other status.
    pub(super) async fn found(
        &self,
        answer: Response<Content>,
    ) -> Result<Option<Response<Content>>, Error> {
        match answer.status() {
            StatusCode::OK => Ok(Some(answer)),
            StatusCode::NOT_FOUND => {
                answer.into_body().discard().await;
                Ok(None)
            }
            status => {
                let registry = self.registry.clone();
                Err(Error::Status { registry, status, retry_after: None })
            }
        }
    }
}

fn claimed_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get(DOCKER_CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

impl Common {
    fn upstream(&self, settings: &RegistrySettings) -> Result<Upstream, Error> {
        let registry = settings.registry.clone();
        let wrong = |setting| Error::Setting { registry: registry.to_string(), setting };
        let base = Location::parse(&settings.url).map_err(|_| wrong("url"))?;
        let is_plain = base.origin.scheme == Scheme::Http;
        if base.target.query().is_some() || (is_plain && !settings.danger_plain_http) {
            return Err(wrong("url"));
        }
        let hosts = |entries: &[String], setting| HostList::parse(entries).ok_or(wrong(setting));
        let token_hosts = hosts(&settings.token_hosts, "token_hosts")?;
        let redirect_hosts = hosts(&settings.redirect_hosts, "redirect_hosts")?;
        let own = hosts(&[base.origin.host_and_port()], "url")?;
        let exempt = vec![own, token_hosts.clone(), redirect_hosts.clone()];
        let transport = self.lines.transport(&registry, settings.ca_file.as_deref(), exempt)?;
        let Lines { limits, metrics, .. } = &self.lines;
        Ok(Upstream {
            base,
            allows_plain_http: settings.danger_plain_http,
            namespace: self.is_mirror.then(|| format!("ns={registry}")),
            token_hosts,
            redirect_hosts,
            transport,
            credentials: Credentials::new(
                &registry,
                &settings.credentials,
                limits,
                &self.clock,
                metrics,
            ),
            tokens: Tokens::new(Arc::clone(&self.clock)),
            health: Health::new(limits.breaker_failures, limits.breaker_probe),
            asked: Mutex::default(),
            limits: Arc::clone(limits),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(metrics),
            registry,
        })
    }
}
