//! Answers to nodes: the one place that knows status codes.
//!
//! "Decided no" is 403, "could not decide" is 503, and 404 is said only of what upstream confirmed
//! to be absent: containerd falls back to other hosts on any of them, but retries 429 in bursts and
//! loses the text of 404. The reason phrase is what reaches the person whose pod does not start, so
//! it says what happened to which image, by which rule, and what to do.

mod refused;
#[cfg(test)]
mod tests;

pub(crate) use refused::Refused;

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::body::NodeBody;
use crate::gate;
use crate::mirror::{Decision, ManifestAnswer, TagList};
use crate::oci::{
    ByteRange, Descriptor, Digest, Endpoint, EndpointError, ErrorCode, MediaType, Name, Registry,
};

/// Longest error body in bytes.
const ERROR_BODY_MAX: usize = 4 * 1024;
/// Longest reason phrase and `Warning` text in characters.
const PHRASE_MAX: usize = gate::PHRASE_LENGTH_MAX;
/// When it is worth asking again after our own failure.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Headers of a usual answer, with room for the date.
const HEADERS_USUAL: usize = 8;

/// Bytes of the entity tag of content that is named by SHA-256.
const ETAG_BYTES_USUAL: usize = 2 + 7 + 64;

const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"pratique\"");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const DECISION: HeaderName = HeaderName::from_static("x-mirror-decision");
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");

/// A strong entity tag: the digest.
#[expect(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
pub(crate) fn etag(digest: &Digest) -> String {
    let mut text = String::with_capacity(ETAG_BYTES_USUAL);
    let _ = write!(text, "\"{digest}\"");
    text
}

/// `GET /v2/`
pub(crate) fn base() -> Response<NodeBody> {
    let mut response = json_body(StatusCode::OK, b"{}".to_vec());
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

/// Plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Response<NodeBody> {
    let text: String = text.into();
    let mut response = sized(status, text.len());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.map(|_| NodeBody::whole(text))
}

/// A manifest, or 304 when the client said that it has it.
pub(crate) fn manifest(answer: &ManifestAnswer, unchanged: bool) -> Response<NodeBody> {
    let status = if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let mut response = sized(status, answer.bytes.len());
    let headers = response.headers_mut();
    headers.reserve(HEADERS_USUAL);
    insert(headers, header::CONTENT_TYPE, answer.media_type.as_str());
    insert_digest(headers, &answer.digest);
    if let Some(warning) = &answer.warning {
        insert(headers, header::WARNING, &format!("299 - \"{}\"", printable(warning, PHRASE_MAX)));
    }
    if unchanged {
        headers.remove(header::CONTENT_LENGTH);
        return response;
    }
    response.map(|_| NodeBody::whole(answer.bytes.clone()))
}

/// Tells in `response` what is to be told besides.
pub(crate) fn warn(response: &mut Response<NodeBody>, warning: &str) {
    let text = format!("299 - \"{}\"", printable(warning, PHRASE_MAX));
    insert(response.headers_mut(), header::WARNING, &text);
}

/// A blob or a part of it.
pub(crate) fn blob(
    digest: &Digest,
    size: u64,
    part: Option<ByteRange>,
    body: NodeBody,
) -> Response<NodeBody> {
    let status = if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let length = part.map_or(size, ByteRange::length);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=31536000, immutable, no-transform"),
    );
    insert_digest(headers, digest);
    if let Some(part) = part {
        let last = part.end.saturating_sub(1);
        insert(headers, header::CONTENT_RANGE, &format!("bytes {}-{last}/{size}", part.start));
    }
    response
}

/// 416
pub(crate) fn unsatisfiable(digest: &Digest, size: u64) -> Response<NodeBody> {
    let error = error_value(ErrorCode::SizeInvalid, "the range lies outside the blob", &json!({}));
    let mut response = error_response(StatusCode::RANGE_NOT_SATISFIABLE, None, &error);
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
    insert(response.headers_mut(), CONTENT_DIGEST, &digest.to_string());
    response
}

/// The referrers of a subject, as an index.
pub(crate) fn referrers(referrers: &[Descriptor], filtered: bool) -> Response<NodeBody> {
    let index = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_INDEX,
        "manifests": referrers,
    });
    let mut response = json_body(StatusCode::OK, index.to_string().into_bytes());
    let headers = response.headers_mut();
    insert(headers, header::CONTENT_TYPE, MediaType::OCI_INDEX);
    if filtered {
        headers.insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    response
}

/// A page of tags.
pub(crate) fn tags(name: &Name, list: &TagList) -> Response<NodeBody> {
    let body = json!({"name": name.repository(), "tags": list.tags});
    let mut response = json_body(StatusCode::OK, body.to_string().into_bytes());
    if let Some(last) = list.next_after.as_ref() {
        let limit = list.tags.len();
        let link = format!(
            "</v2/{}/tags/list?n={limit}&last={last}&ns={}>; rel=\"next\"",
            name.repository(),
            name.registry()
        );
        insert(response.headers_mut(), header::LINK, &link);
    }
    response
}

/// Names the registry that was meant (distribution-spec, "Registry Proxying").
pub(crate) fn namespace(response: &mut Response<NodeBody>, registry: &Registry) {
    insert(response.headers_mut(), NAMESPACE, registry.as_str());
}

/// 405 for everything that would write.
pub(crate) fn method_not_allowed() -> Response<NodeBody> {
    let message = "this is a read-only mirror";
    let error = error_value(ErrorCode::Unsupported, message, &json!({}));
    let mut response = error_response(StatusCode::METHOD_NOT_ALLOWED, None, &error);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 400, and the connection is closed: what follows on it cannot be told from a body.
pub(crate) fn bad_request(message: &str) -> Response<NodeBody> {
    let error = error_value(ErrorCode::Unsupported, message, &json!({}));
    let mut response = error_response(StatusCode::BAD_REQUEST, None, &error);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 431, and the connection is closed.
pub(crate) fn head_too_large() -> Response<NodeBody> {
    let message = "the head of the request is too large";
    let error = error_value(ErrorCode::Unsupported, message, &json!({}));
    let mut response = error_response(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, None, &error);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 401 for a pass that is none, or not in force any more.
pub(crate) fn no_such_pass() -> Response<NodeBody> {
    let message = "this pass is not in force: it ended, or there never was one";
    let error = error_value(ErrorCode::Unauthorized, message, &json!({}));
    let mut response = error_response(StatusCode::UNAUTHORIZED, None, &error);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    response
}

/// 401 for whoever must say who they are: `name` is not for everybody.
pub(crate) fn who_is_it(name: &Name) -> Response<NodeBody> {
    let phrase = format!("{name} is not for everybody: a pod's token is asked for");
    let error = error_value(ErrorCode::Unauthorized, &phrase, &json!({}));
    let mut response = error_response(StatusCode::UNAUTHORIZED, Some(&phrase), &error);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    response
}

/// 403 for whom it is not for, which `text` says.
pub(crate) fn not_for(text: &str) -> Response<NodeBody> {
    let error = error_value(ErrorCode::Denied, text, &json!({}));
    let mut response = error_response(StatusCode::FORBIDDEN, Some(text), &error);
    let denied = HeaderValue::from_static(Decision::Denied.as_str());
    response.headers_mut().insert(DECISION, denied);
    response
}

/// 403 for everything that a pass does not open.
pub(crate) fn beyond_pass() -> Response<NodeBody> {
    let message = "this pass opens one image, by digest, and nothing else";
    let error = error_value(ErrorCode::Denied, message, &json!({}));
    error_response(StatusCode::FORBIDDEN, None, &error)
}

/// 404 for what the API does not have.
pub(crate) fn unsupported(message: &str) -> Response<NodeBody> {
    let error = error_value(ErrorCode::Unsupported, message, &json!({}));
    error_response(StatusCode::NOT_FOUND, None, &error)
}

/// The code for what `endpoint` asks for, when upstream does not have it.
pub(crate) const fn unknown(endpoint: &Endpoint) -> ErrorCode {
    match endpoint {
        Endpoint::Blob(_) => ErrorCode::BlobUnknown,
        Endpoint::Manifest(_) | Endpoint::Referrers { .. } => ErrorCode::ManifestUnknown,
        Endpoint::Tags(_) => ErrorCode::NameUnknown,
    }
}

/// A path or query that is no request.
pub(crate) fn malformed(error: &EndpointError) -> Response<NodeBody> {
    let status = match error {
        EndpointError::NoSuchPath | EndpointError::Tag(_) => StatusCode::NOT_FOUND,
        EndpointError::Digest(_)
        | EndpointError::Name(_)
        | EndpointError::Namespace
        | EndpointError::Query(_) => StatusCode::BAD_REQUEST,
    };
    error_response(status, None, &error_value(error.code(), &error.to_string(), &json!({})))
}

fn error_value(code: ErrorCode, message: &str, detail: &Value) -> Value {
    json!({"errors": [{"code": code, "message": message, "detail": detail}]})
}

/// An error answer; a detail that would make it too long is left out.
fn error_response(status: StatusCode, phrase: Option<&str>, error: &Value) -> Response<NodeBody> {
    let mut body = error.to_string();
    if body.len() > ERROR_BODY_MAX {
        let first = error.pointer("/errors/0").unwrap_or(&Value::Null);
        let message = first.get("message").and_then(Value::as_str).unwrap_or_default();
        let short: String = message.chars().take(ERROR_BODY_MAX / 8).collect();
        body = json!({"errors": [{"code": first.get("code"), "message": short}]}).to_string();
    }
    let mut response = json_body(status, body.into_bytes());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(phrase) = phrase
        && let Ok(phrase) = ReasonPhrase::try_from(printable(phrase, PHRASE_MAX).into_bytes())
    {
        response.extensions_mut().insert(phrase);
    }
    response
}

fn json_body(status: StatusCode, body: Vec<u8>) -> Response<NodeBody> {
    let mut response = sized(status, body.len());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.map(|_| NodeBody::whole(body))
}

fn sized(status: StatusCode, length: usize) -> Response<NodeBody> {
    let mut response = Response::new(NodeBody::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// Sets a header, unless its value cannot be one (which no value made here is).
fn insert(headers: &mut hyper::HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Sets what names the content: its digest, and that again as the entity tag. One allocation for
/// both, because every warm answer has them.
fn insert_digest(headers: &mut hyper::HeaderMap, digest: &Digest) {
    let quoted = Bytes::from(etag(digest));
    let plain = quoted.slice(1..quoted.len().saturating_sub(1));
    for (name, value) in [(CONTENT_DIGEST, plain), (header::ETAG, quoted)] {
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            headers.insert(name, value);
        }
    }
}

/// ASCII without control characters and quotes, at most `length` characters.
fn printable(text: &str, length: usize) -> String {
    let plain = |c: char| {
        if c == '"' || c == '\\' {
            '\''
        } else if (' '..='~').contains(&c) {
            c
        } else {
            '?'
        }
    };
    text.chars().map(plain).take(length).collect()
}
