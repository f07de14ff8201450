//! Fuzz targets for the headers of nodes, their certificates, and both listeners.

use std::net::{IpAddr, Ipv4Addr};

use axum::Router;
use axum::body::Body;
use http_body_util::{BodyExt as _, Limited};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use rustls::pki_types::CertificateDer;
use tokio::io::DuplexStream;
use tower::ServiceExt as _;

use super::listen::{self, AdminAddress};
use super::node::{self, Node, Peer};
use super::respond;
use crate::oci::Digest;
use crate::tasks::Tasks;

/// Most bytes of an admin answer that are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Each line as a condition of a request for a blob.
pub(crate) fn conditions(bytes: &[u8]) {
    let digest = Digest::sha256(b"");
    let etag = respond::etag(&digest);
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        let with = |pairs: &[(HeaderName, &HeaderValue)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.clone(), (*value).clone())).collect()
        };
        let alone = node::wanted_range(&with(&[(header::RANGE, &value)]), &digest);
        let two = [(header::RANGE, &value), (header::IF_RANGE, &value)];
        let both = node::wanted_range(&with(&two), &digest);
        assert!(both.is_none() || line == etag.as_bytes(), "a range of other content");
        let mut twice = with(&[(header::RANGE, &value)]);
        twice.append(header::RANGE, value.clone());
        assert_eq!(node::wanted_range(&twice, &digest), None, "two Range headers: {alone:?}");
        let known = node::is_known_to(&with(&[(header::IF_NONE_MATCH, &value)]), &digest);
        let named = line.windows(etag.len()).any(|part| part == etag.as_bytes());
        assert!(!known || named, "{value:?} does not name {etag}");
    }
}

/// A certificate in DER.
pub(crate) fn certificate(bytes: &[u8]) {
    if let Some(name) = node::common_name(&CertificateDer::from(bytes)) {
        let plain = name.chars().all(|c| !c.is_control());
        assert!(plain && !name.is_empty() && name.chars().count() <= 128, "{name:?}");
    }
}

/// Serves one connection of a node until it ends.
pub(crate) async fn serve(stream: DuplexStream, node: Node, tasks: Tasks) {
    let peer = Peer::plain(IpAddr::V4(Ipv4Addr::LOCALHOST));
    listen::serve_node(stream, node, peer, tasks).await;
}

/// One request of an admin: method and path in the first line, the body after it.
pub(crate) async fn admin(router: Router, token: &str, bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, body) = bytes.split_at(end);
    let Some((method, path)) = std::str::from_utf8(line).ok().and_then(|l| l.split_once(' '))
    else {
        return;
    };
    // None is about parsing: one would take our own token away, one fills the disk, one never ends.
    let apart = ["/api/v1/backup", "/api/v1/events"];
    if method == "DELETE" || apart.iter().any(|it| path.starts_with(it)) {
        return;
    }
    let body = body.get(1..).unwrap_or_default().to_vec();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "mirror.test")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .extension(AdminAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)))
        .body(Body::from(body));
    let Ok(request) = request else { return };
    let Ok(response) = router.oneshot(request).await;
    let (parts, body) = response.into_parts();
    let status = parts.status;
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let is_page = content_type.is_some_and(|it| it.as_bytes().starts_with(b"text/html"));
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{method} {path}: {body:?}");
    assert_ne!(status, StatusCode::UNAUTHORIZED, "{method} {path}: {body:?}");
    if !is_page && (status.is_client_error() || status.is_server_error()) {
        let value = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
        let said = value.get("status").and_then(serde_json::Value::as_u64);
        assert_eq!(said, Some(u64::from(status.as_u16())), "{method} {path}: {body:?}");
        assert!(body.len() <= 4096, "{method} {path}: an error of {} bytes", body.len());
    }
}
