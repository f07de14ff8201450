//! The HTTP side of the fake.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pratique::oci::{Digest, RangeRequest};
use pratique::tasks::Tasks;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::ledger::Seen;
use super::{Fault, Gate, Presence, Repository, Shared, State, image, token};

type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(super) type Answer = Response<Body>;

/// Serves `listener` until the sender of `presence` is gone.
pub(super) fn spawn(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    mut presence: watch::Receiver<Presence>,
) {
    let tasks = Tasks::new();
    drop(tasks.clone().spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                gone = presence.changed() => match gone {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let Ok((stream, _)) = accepted else { return };
            shared.ledger.connected();
            if *presence.borrow() == Presence::Away {
                continue;
            }
            let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
            let mut presence = presence.clone();
            drop(tasks.spawn(async move {
                tokio::select! {
                    () = accept(stream, acceptor, shared) => {}
                    _ = presence.changed() => {}
                }
            }));
        }
    }));
}

async fn accept(stream: tokio::net::TcpStream, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    match acceptor {
        None => connection(stream, shared).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                connection(stream, shared).await;
            }
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { respond(&shared, request).await }
    });
    // A connection that a fault cut ends with an error, and that is as it should be.
    drop(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

async fn respond(shared: &Shared, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let seen = Seen::new(&parts, String::from_utf8_lossy(&body).into_owned());
    shared.ledger.record(seen.clone());
    let fault = take_fault(&mut shared.state(), &seen);
    if let Some(Fault::Hold(gate)) = &fault {
        gate.passed().await;
    }
    let range = match fault {
        Some(Fault::IgnoreRange) => None,
        _ => seen.range().and_then(RangeRequest::parse),
    };
    let (answer, content) = answer(&mut shared.state(), &seen, range);
    Ok(finish(answer, content, fault, seen.method == Method::HEAD.as_str()))
}

fn take_fault(state: &mut State, seen: &Seen) -> Option<Fault> {
    let rule = state
        .faults
        .iter_mut()
        .rev()
        .find(|rule| rule.left != Some(0) && seen.fits(&rule.needle))?;
    rule.left = rule.left.map(|left| left - 1);
    Some(rule.fault.clone())
}

/// Head and content of the right answer.
fn answer(state: &mut State, seen: &Seen, range: Option<RangeRequest>) -> (Answer, Bytes) {
    let path = seen.path.as_str();
    if path == "/token" {
        return (token::answer(state, seen), Bytes::new());
    }
    if let Some(file) = state.files.get(path) {
        return ranged(seen, range, file.clone(), "application/octet-stream", None);
    }
    let Some((name, kind, last)) = split(path) else {
        let known = matches!(path, "/v2/" | "/v2");
        let status_code = if known { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let challenge = known.then(|| token::challenge(state, seen, "")).flatten();
        return (challenged(challenge).unwrap_or_else(|| status(status_code)), Bytes::new());
    };
    if let Some(refusal) = challenged(token::challenge(state, seen, &name)) {
        return (refusal, Bytes::new());
    }
    let (offered, page) = (state.referrers_api, state.page_length);
    let Some(repository) = state.repositories.get_mut(&name) else {
        return (status(StatusCode::NOT_FOUND), Bytes::new());
    };
    let (mut answer, content) = match kind {
        "blobs" => match last.parse().ok().and_then(|digest: Digest| {
            repository.blobs.get(&digest).map(|content| (digest, content.clone()))
        }) {
            Some((digest, content)) => {
                ranged(seen, range, content, "application/octet-stream", Some(digest))
            }
            None => (status(StatusCode::NOT_FOUND), Bytes::new()),
        },
        "manifests" => manifest(seen, repository, &last),
        "referrers" if offered => referrers(seen, repository, &last, page),
        "tags" => tags(seen, repository, &name, page),
        _ => (status(StatusCode::NOT_FOUND), Bytes::new()),
    };
    for (name, value) in &state.headers {
        set(&mut answer, name, value);
    }
    (answer, content)
}

/// `/v2/<name>/<kind>/<last>`.
fn split(path: &str) -> Option<(String, &str, String)> {
    let (rest, last) = path.strip_prefix("/v2/")?.rsplit_once('/')?;
    let (name, kind) = rest.rsplit_once('/')?;
    Some((name.to_owned(), kind, last.to_owned()))
}

fn manifest(seen: &Seen, repository: &mut Repository, reference: &str) -> (Answer, Bytes) {
    let digest = match repository.tags.get_mut(reference) {
        Some(digests) if digests.len() > 1 => digests.pop_front(),
        Some(digests) => digests.front().copied(),
        None => reference.parse().ok(),
    };
    let found = digest.and_then(|digest| {
        repository.manifests.get(&digest).map(|(media_type, bytes)| (digest, media_type, bytes))
    });
    match found {
        Some((digest, media_type, bytes)) => {
            ranged(seen, None, bytes.clone(), media_type.as_str(), Some(digest))
        }
        None => (status(StatusCode::NOT_FOUND), Bytes::new()),
    }
}

fn referrers(
    seen: &Seen,
    repository: &Repository,
    subject: &str,
    page: Option<usize>,
) -> (Answer, Bytes) {
    let Ok(subject) = subject.parse::<Digest>() else {
        return (status(StatusCode::BAD_REQUEST), Bytes::new());
    };
    let all = repository.referrers.get(&subject).map(Vec::as_slice).unwrap_or_default();
    let (listed, next) = paged(seen, all, page);
    let index = image::referrers_index(listed);
    let (mut answer, content) =
        ranged(seen, None, index, pratique::oci::MediaType::OCI_INDEX, None);
    if let Some(next) = next {
        set(&mut answer, "link", &format!("<{}?page={next}>; rel=\"next\"", seen.path));
    }
    (answer, content)
}

fn tags(seen: &Seen, repository: &Repository, name: &str, page: Option<usize>) -> (Answer, Bytes) {
    let all: Vec<_> = repository.tags.keys().collect();
    let (listed, next) = paged(seen, &all, page);
    let body = json!({"name": name, "tags": listed}).to_string();
    let (mut answer, content) = ranged(seen, None, body.into(), "application/json", None);
    if let Some(next) = next {
        set(&mut answer, "link", &format!("<{}?page={next}>; rel=\"next\"", seen.path));
    }
    (answer, content)
}

/// The page of `all` that the query asks for, and the number of the next.
fn paged<'a, T>(seen: &Seen, all: &'a [T], length: Option<usize>) -> (&'a [T], Option<usize>) {
    let Some(length) = length else { return (all, None) };
    let query = seen.query.as_deref().unwrap_or_default();
    let number: usize =
        query.strip_prefix("page=").and_then(|number| number.parse().ok()).unwrap_or(0);
    let start = (number * length).min(all.len());
    let end = (start + length).min(all.len());
    (&all[start..end], (end < all.len()).then_some(number + 1))
}

/// `content` with all its headers, or the part of it that was asked for.
fn ranged(
    seen: &Seen,
    range: Option<RangeRequest>,
    content: Bytes,
    media_type: &str,
    digest: Option<Digest>,
) -> (Answer, Bytes) {
    let size = image::size(&content);
    let etag = format!("\"{}\"", Digest::sha256(&content));
    let current = seen.header("if-range").is_none_or(|condition| condition == etag);
    let (mut answer, content) = match range.filter(|_| current).map(|range| range.resolve(size)) {
        None => (status(StatusCode::OK), content),
        Some(Err(_)) => {
            let mut answer = status(StatusCode::RANGE_NOT_SATISFIABLE);
            set(&mut answer, "content-range", &format!("bytes */{size}"));
            return (answer, Bytes::new());
        }
        Some(Ok(range)) => {
            let mut answer = status(StatusCode::PARTIAL_CONTENT);
            let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            set(&mut answer, "content-range", &shown);
            let index = |position| usize::try_from(position).expect("within memory");
            (answer, content.slice(index(range.start)..index(range.end)))
        }
    };
    set(&mut answer, "content-type", media_type);
    set(&mut answer, "etag", &etag);
    if let Some(digest) = digest {
        set(&mut answer, "docker-content-digest", &digest.to_string());
    }
    (answer, content)
}

/// Puts head and content together, with the fault that was ordered.
fn finish(mut answer: Answer, content: Bytes, fault: Option<Fault>, is_head: bool) -> Answer {
    let length = content.len();
    match fault {
        None | Some(Fault::Hold(_) | Fault::IgnoreRange) => {}
        Some(Fault::Body(bytes)) => return with_body(answer, bytes.len(), full(bytes), is_head),
        Some(Fault::CutAfter(count)) => {
            return with_body(answer, length, cut(&content, count), is_head);
        }
        Some(Fault::Header(name, value)) => set(&mut answer, name, &value),
        Some(Fault::NoLength) => {
            *answer.body_mut() = chunked(content);
            return answer;
        }
        Some(Fault::Redirect(code, location)) => {
            answer = status(StatusCode::from_u16(code).expect("a status"));
            set(&mut answer, "location", &location);
            return answer;
        }
        Some(Fault::StallAfter(count, gate)) => {
            return with_body(answer, length, stalled(&content, count, gate), is_head);
        }
        Some(Fault::Status(code)) => return status(StatusCode::from_u16(code).expect("a status")),
        Some(Fault::StatusRetryAfter(code, after)) => {
            answer = status(StatusCode::from_u16(code).expect("a status"));
            set(&mut answer, "retry-after", &after);
            return answer;
        }
    }
    if content.is_empty() {
        return answer;
    }
    with_body(answer, length, full(content), is_head)
}

fn with_body(mut answer: Answer, length: usize, body: Body, is_head: bool) -> Answer {
    set(&mut answer, header::CONTENT_LENGTH.as_str(), &length.to_string());
    *answer.body_mut() = if is_head { full(Bytes::new()) } else { body };
    answer
}

fn set(answer: &mut Answer, name: &str, value: &str) {
    let name: HeaderName = name.parse().expect("a header name");
    let value = HeaderValue::from_str(value).expect("a header value");
    answer.headers_mut().insert(name, value);
}

fn challenged(challenge: Option<String>) -> Option<Answer> {
    let mut answer = status(StatusCode::UNAUTHORIZED);
    set(&mut answer, "www-authenticate", &challenge?);
    Some(answer)
}

/// An answer with an error body that no client should ever repeat.
pub(super) fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(full(if status.is_success() {
        Bytes::new()
    } else {
        Bytes::from_static(br#"{"errors":[{"code":"UNKNOWN","message":"text of the upstream"}]}"#)
    }));
    *answer.status_mut() = status;
    answer
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn chunked(content: Bytes) -> Body {
    StreamBody::new(stream::iter([Ok(Frame::data(content))])).boxed_unsync()
}

fn cut(content: &Bytes, count: usize) -> Body {
    let start = content.slice(..count.min(content.len()));
    let broken = io::Error::other("cut on purpose");
    StreamBody::new(stream::unfold(Some((start, broken)), |left| async move {
        let (start, broken) = left?;
        if start.is_empty() {
            // Only now, so that the bytes before have left this machine's buffers.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            return Some((Err(broken), None));
        }
        Some((Ok(Frame::data(start)), Some((Bytes::new(), broken))))
    }))
    .boxed_unsync()
}

fn stalled(content: &Bytes, count: usize, gate: Gate) -> Body {
    let start = content.slice(..count.min(content.len()));
    let rest = content.slice(start.len()..);
    let parts = [(None, start), (Some(gate), rest)];
    StreamBody::new(stream::unfold(parts.into_iter(), |mut parts| async move {
        let (gate, bytes) = parts.next()?;
        if let Some(gate) = gate {
            gate.passed().await;
        }
        Some((Ok(Frame::data(bytes)), parts))
    }))
    .boxed_unsync()
}

/// A TLS acceptor for `127.0.0.1` and `localhost`, and the authority behind it.
pub(super) fn tls() -> (TlsAcceptor, String) {
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = ["127.0.0.1", "localhost"].map(str::to_owned).to_vec();
    let leaf = rcgen::CertificateParams::new(names)
        .and_then(|leaf| leaf.signed_by(&key, &issuer))
        .expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a server configuration");
    (TlsAcceptor::from(Arc::new(config)), ca_certificate.pem())
}
