//! The distribution API for nodes: GET and HEAD of manifests, blobs, referrers and tags.
//!
//! A request carries a path and nothing else that is believed: no body, no forwarded address, no
//! credential of somebody else is looked at or passed on. Whoever shows a pass is answered elsewhere
//! (`passing`).

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, Response, StatusCode, Version};
use rustls::pki_types::CertificateDer;
use tracing::{Instrument as _, debug, info, info_span};

use super::body::NodeBody;
use super::passing::Presented;
use super::punctual::Patience;
use super::respond::{self, Refused};
use super::{NodeSettings, RefuseAt};
use crate::metrics::Metrics;
use crate::mirror::{BlobAnswer, Decision, Error, Mirror, Pull};
use crate::oci::{
    self, ByteRange, Digest, Endpoint, ErrorCode, Name, RangeRequest, Reference, TagsPage,
};
use crate::people::oidc::ServiceAccounts;
use crate::store::ReadMode;

/// Most bytes of a request's head, without what stands between the fields.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Longest client name that is kept, in bytes.
const CLIENT_NAME_MAX: usize = 128;

/// The node API; clones are the same.
#[derive(Debug, Clone)]
pub struct Node {
    pub(super) mirror: Mirror,
    pub(super) settings: Arc<NodeSettings>,
    pub(super) pods: Option<Arc<ServiceAccounts>>,
}

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(super) client: Arc<str>,
    encrypted: bool,
}

impl Peer {
    /// Somebody known by address only.
    pub(crate) fn plain(address: IpAddr) -> Self {
        Self { client: address.to_canonical().to_string().into(), encrypted: false }
    }

    /// Somebody who came by TLS, perhaps with a checked certificate.
    pub(crate) fn tls(address: IpAddr, certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let name = certificates.and_then(<[_]>::first).and_then(common_name);
        let client = name.map_or_else(|| address.to_canonical().to_string().into(), Into::into);
        Self { client, encrypted: true }
    }
}

/// The common name in a certificate's subject, printable and bounded.
pub(super) fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    use x509_cert::der::Decode as _;
    use x509_cert::der::oid::db::rfc4519::CN;
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let subject = certificate.tbs_certificate.subject;
    let attribute = subject.0.iter().flat_map(|rdn| rdn.0.iter()).find(|a| a.oid == CN)?;
    let text = std::str::from_utf8(attribute.value.value()).ok()?;
    let name: String = text.chars().filter(|c| !c.is_control()).take(CLIENT_NAME_MAX).collect();
    (!name.is_empty()).then_some(name)
}

impl Node {
    /// The node API of `mirror`.
    pub fn new(mirror: Mirror, settings: NodeSettings) -> Self {
        Self { mirror, settings: Arc::new(settings), pods: None }
    }

    /// The same, which tells pods apart by `pods`.
    #[must_use]
    pub fn telling_apart(self, pods: Option<Arc<ServiceAccounts>>) -> Self {
        Self { pods, ..self }
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        self.mirror.metrics()
    }

    /// How long clients are waited for.
    pub(super) fn patience(&self) -> Patience {
        Patience { head: self.settings.header_timeout, idle: self.settings.idle_timeout }
    }

    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: &Arc<Peer>,
    ) -> Response<NodeBody> {
        if let Some(pass) = Presented::in_headers(request.headers()) {
            return Box::pin(self.answer_by_pass(&request, peer, &pass)).await;
        }
        match self.answer_known(&request, peer) {
            Some(response) => response,
            // Boxed: a connection moves the future of every answer about, and most are warm.
            None => Box::pin(self.answer_any(request, peer)).await,
        }
    }

    /// The answer to a pull of a manifest that takes nothing but a look into memory. It has no span,
    /// because writing one down would be a large part of what it costs.
    fn answer_known(&self, request: &Request<Incoming>, peer: &Peer) -> Option<Response<NodeBody>> {
        let path = request.uri().path();
        if !path.contains("/manifests/") || refused_by_form(request).is_some() {
            return None;
        }
        let registry = &self.settings.default_registry;
        let asked = oci::Request::parse(path, request.uri().query(), registry).ok()?;
        let oci::Request::Repository { name, endpoint: Endpoint::Manifest(reference) } = asked
        else {
            return None;
        };
        if self.mirror.policy().clients_of(&name).is_some() {
            return None;
        }
        let by_digest = matches!(reference, Reference::Digest(_));
        let pull = Pull { name, reference, client: Arc::clone(&peer.client) };
        let answer = self.mirror.pull_known(&pull)?;
        debug!(name = %pull.name, client = %peer.client, digest = %answer.digest, "warm manifest served");
        let unchanged = by_digest && is_known_to(request.headers(), &answer.digest);
        let mut response = respond::manifest(&answer, unchanged);
        respond::namespace(&mut response, pull.name.registry());
        let is_head = request.method() == Method::HEAD;
        Some(if is_head { without_body(response) } else { response })
    }

    async fn answer_any(&self, request: Request<Incoming>, peer: &Arc<Peer>) -> Response<NodeBody> {
        let span = info_span!(
            "node",
            method = %request.method(),
            path = %request.uri().path().escape_debug(),
            client = %peer.client,
        );
        let answering = async {
            let head = request.method() == Method::HEAD;
            let response = self.routed(&request, peer).await;
            debug!(status = response.status().as_u16(), "answered");
            if head { without_body(response) } else { response }
        };
        answering.instrument(span).await
    }

    async fn routed(&self, request: &Request<Incoming>, peer: &Peer) -> Response<NodeBody> {
        if let Some(response) = refused_by_form(request) {
            return response;
        }
        let path = request.uri().path();
        match path {
            "/livez" => return respond::text(StatusCode::OK, "ok\n"),
            "/readyz" => return self.readiness(),
            _ => {}
        }
        if let Some(id) = path.strip_prefix("/r/") {
            return self.request_page(id).await;
        }
        let default_registry = &self.settings.default_registry;
        match oci::Request::parse(path, request.uri().query(), default_registry) {
            Ok(oci::Request::Base) => respond::base(),
            Ok(oci::Request::Catalog) => respond::unsupported("the catalog is not offered"),
            Ok(oci::Request::Repository { name, endpoint }) => {
                let mut response = match self.not_for(request, &name, &endpoint) {
                    Some(response) => response,
                    None => self.endpoint(request, peer, &name, endpoint).await,
                };
                respond::namespace(&mut response, name.registry());
                response
            }
            Err(error) => respond::malformed(&error),
        }
    }

    async fn endpoint(
        &self,
        request: &Request<Incoming>,
        peer: &Peer,
        name: &Name,
        endpoint: Endpoint,
    ) -> Response<NodeBody> {
        let unknown = respond::unknown(&endpoint);
        let answered = match endpoint {
            // Boxed: judging is a deep future, and every connection would carry room for it.
            Endpoint::Manifest(reference) => {
                Box::pin(self.manifest(request, peer, name, reference)).await
            }
            Endpoint::Blob(digest) => self.blob(request, peer, name, &digest).await,
            Endpoint::Referrers { digest, artifact_type } => {
                self.referrers(name, &digest, artifact_type.as_deref()).await
            }
            Endpoint::Tags(page) => self.tags(request, name, &page).await,
        };
        answered.unwrap_or_else(|error| self.refusal(&error, name, unknown))
    }

    async fn manifest(
        &self,
        request: &Request<Incoming>,
        peer: &Peer,
        name: &Name,
        reference: Reference,
    ) -> Result<Response<NodeBody>, Error> {
        let by_digest = matches!(reference, Reference::Digest(_));
        let pull = Pull { name: name.clone(), reference, client: Arc::clone(&peer.client) };
        let answer = match self.mirror.pull_manifest(&pull).await {
            Err(Error::Refused(refusal)) if self.refuses_later(request, refusal.decision) => {
                match self.mirror.preview(&refusal).await {
                    Some(answer) => answer,
                    None => return Err(Error::Refused(refusal)),
                }
            }
            other => other?,
        };
        let unchanged = by_digest && is_known_to(request.headers(), &answer.digest);
        // Pulls are counted in the ledger and the metrics; a line each would be the largest cost of
        // a warm one.
        if let Some(warning) = &answer.warning {
            info!(digest = %answer.digest, warning, "manifest served");
        } else {
            debug!(digest = %answer.digest, "manifest served");
        }
        Ok(respond::manifest(&answer, unchanged))
    }

    /// `refuse_at = "get"`: HEAD answers as if admitted.
    fn refuses_later(&self, request: &Request<Incoming>, decision: Decision) -> bool {
        self.settings.refuse_at == RefuseAt::Get
            && request.method() == Method::HEAD
            && decision != Decision::Checking
    }

    async fn blob(
        &self,
        request: &Request<Incoming>,
        peer: &Peer,
        name: &Name,
        digest: &Digest,
    ) -> Result<Response<NodeBody>, Error> {
        let with_body = request.method() != Method::HEAD;
        let answer = self.mirror.pull_blob(name, digest, with_body).await?;
        let warning = answer.warning();
        let mut response = self.sent_blob(request, peer, answer).await?;
        if let Some(warning) = warning {
            info!(%digest, warning, "blob served");
            respond::warn(&mut response, &warning);
        }
        Ok(response)
    }

    /// The answer to a request for a blob, or a part of it, that may be sent.
    pub(super) async fn sent_blob(
        &self,
        request: &Request<Incoming>,
        peer: &Peer,
        answer: BlobAnswer,
    ) -> Result<Response<NodeBody>, Error> {
        let BlobAnswer { digest, size, body, .. } = answer;
        let with_body = request.method() != Method::HEAD;
        let range = with_body.then(|| wanted_range(request.headers(), &digest)).flatten();
        let resolved = match range.map(|range| range.resolve(size)) {
            None => ByteRange::whole(size),
            Some(Ok(range)) => range,
            Some(Err(_)) => return Ok(respond::unsatisfiable(&digest, size)),
        };
        if with_body && size == 0 {
            // No body could end with an error after this: that nothing is all there is, a manifest
            // may merely claim.
            let mut reader = body.reader(resolved, ReadMode::Copy);
            while reader.next().await?.is_some() {}
        }
        if !with_body || size == 0 {
            return Ok(respond::blob(&digest, size, None, NodeBody::empty()));
        }
        // A memory map under TLS would be read by the cipher, where a bad sector is a signal and
        // not an error; see the architecture notes.
        let mode = if peer.encrypted { ReadMode::Copy } else { ReadMode::Map };
        let metrics = Arc::clone(self.metrics());
        let body = NodeBody::blob(body.reader(resolved, mode), resolved.length(), metrics);
        Ok(respond::blob(&digest, size, range.map(|_| resolved), body))
    }

    async fn referrers(
        &self,
        name: &Name,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Response<NodeBody>, Error> {
        let referrers = self.mirror.referrers(name, digest, artifact_type).await?;
        Ok(respond::referrers(&referrers, artifact_type.is_some()))
    }

    async fn tags(
        &self,
        request: &Request<Incoming>,
        name: &Name,
        page: &TagsPage,
    ) -> Result<Response<NodeBody>, Error> {
        let token = bearer(request.headers());
        let list = self.mirror.tags(name, page, token).await?;
        Ok(respond::tags(name, &list))
    }

    fn readiness(&self) -> Response<NodeBody> {
        if self.mirror.tasks().is_stopping() {
            return respond::text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        respond::text(StatusCode::OK, "ready\n")
    }

    async fn request_page(&self, id: &str) -> Response<NodeBody> {
        match self.mirror.request_text(id).await {
            Ok(Some(text)) => respond::text(StatusCode::OK, text),
            Ok(None) => respond::text(StatusCode::NOT_FOUND, "no such request\n"),
            Err(error) => {
                info!(%error, "request not shown");
                respond::text(StatusCode::SERVICE_UNAVAILABLE, "the request cannot be read now\n")
            }
        }
    }

    pub(super) fn refusal(
        &self,
        error: &Error,
        name: &Name,
        unknown: ErrorCode,
    ) -> Response<NodeBody> {
        let public_url = self.settings.public_url.as_deref();
        let refused = Refused::new(error, name, unknown, public_url);
        refused.log(error);
        refused.response()
    }
}

/// Requests that are refused by their form, whatever they ask for.
pub(super) fn refused_by_form(request: &Request<Incoming>) -> Option<Response<NodeBody>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Some(respond::method_not_allowed());
    }
    let headers = request.headers();
    if head_bytes(request) > HEAD_BYTES_MAX {
        return Some(respond::head_too_large());
    }
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
        || !request.body().is_end_stream();
    if has_body {
        return Some(respond::bad_request("a request for content has no body"));
    }
    names_one_host(request).err().map(respond::bad_request)
}

/// The size of a head: hyper bounds it only to twice what it may buffer.
fn head_bytes(request: &Request<Incoming>) -> usize {
    let target = request.uri().path().len() + request.uri().query().map_or(0, str::len);
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    fields.fold(target, usize::saturating_add)
}

/// Which host is asked decides nothing here, but a request that names none or two may be read
/// otherwise by whoever stands in front of us (RFC 9112 section 3.2).
fn names_one_host(request: &Request<Incoming>) -> Result<(), &'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("more than one Host header");
    }
    if host.is_none() && request.version() == Version::HTTP_11 {
        return Err("no Host header");
    }
    match (request.uri().authority(), host) {
        (Some(asked), Some(host)) if asked.as_str().as_bytes() != host.as_bytes() => {
            Err("the request is for another host than its Host header names")
        }
        _ => Ok(()),
    }
}

/// The range that is asked for, unless `If-Range` names other content.
pub(super) fn wanted_range(headers: &HeaderMap, digest: &Digest) -> Option<RangeRequest> {
    if headers.get_all(header::RANGE).iter().count() != 1 {
        return None;
    }
    if let Some(condition) = headers.get(header::IF_RANGE)
        && condition.as_bytes() != respond::etag(digest).as_bytes()
    {
        return None;
    }
    RangeRequest::parse(headers.get(header::RANGE)?.to_str().ok()?)
}

/// Whether `If-None-Match` names this digest.
pub(super) fn is_known_to(headers: &HeaderMap, digest: &Digest) -> bool {
    if !headers.contains_key(header::IF_NONE_MATCH) {
        return false;
    }
    let etag = respond::etag(digest);
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|candidate| candidate.trim().trim_start_matches("W/") == etag)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// HEAD: the same headers, no body.
pub(super) fn without_body(response: Response<NodeBody>) -> Response<NodeBody> {
    response.map(|_| NodeBody::empty())
}
