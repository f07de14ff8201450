//! One bounded request to a mirror.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::settings::{Settings, authority};

/// Largest file with certificates or a key in bytes.
const PEM_BYTES_MAX: usize = 1024 * 1024;
/// How long a mirror may take to take the connection, of all the time there is.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Says to the mirror that nobody pulls: a verifier knows no pod, and gets no content.
const QUESTION: &str = "pratique-question";
const AGENT: &str = concat!("pratique-image-verifier/", env!("CARGO_PKG_VERSION"));

/// What a mirror said.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    /// The reason phrase, where it is not the usual one.
    pub(super) reason: Option<String>,
    /// `Docker-Content-Digest`.
    pub(super) digest: Option<String>,
    pub(super) body: Bytes,
}

/// Why a mirror said nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    #[error("{0} does not answer in time")]
    Late(&'static str),
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("no HTTP answer: {0}")]
    Http(hyper::Error),
    #[error("the answer is larger than {0} bytes")]
    Large(usize),
    #[error("{0}")]
    Settings(String),
}

/// Asks `mirror` with `method` for `path`; the body of the answer has at most `body_max` bytes.
///
/// # Errors
/// See [`Silence`]; nothing takes longer than `time`.
pub(super) fn exchange(
    mirror: &str,
    settings: &Settings,
    (method, path): (Method, &str),
    body_max: usize,
    time: Duration,
) -> Result<Response, Silence> {
    let broken = |error: &dyn std::fmt::Display| Silence::Settings(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| broken(&error))?;
    let (is_secure, authority) =
        authority(mirror).ok_or_else(|| broken(&format_args!("{mirror:?} is no address")))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, authority.as_str())
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .header(QUESTION, "verdict")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(&error))?;
    let connected = async {
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']);
        let connecting =
            tokio::time::timeout(CONNECT_MAX.min(time), TcpStream::connect((host, port)));
        let stream =
            connecting.await.map_err(|_| Silence::Late("the host"))?.map_err(Silence::Connect)?;
        if !is_secure {
            return send(stream, request, body_max).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| broken(&error))?;
        let config = Arc::new(client_config(settings).map_err(|error| broken(&error))?);
        let stream =
            TlsConnector::from(config).connect(name, stream).await.map_err(Silence::Tls)?;
        send(stream, request, body_max).await
    };
    let answered = async { tokio::time::timeout(time, connected).await };
    runtime.block_on(answered).map_err(|_| Silence::Late("the mirror"))?
}

async fn send<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
    request: Request<Empty<Bytes>>,
    body_max: usize,
) -> Result<Response, Silence> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(Silence::Http)?;
    let exchanged = async move {
        let response = sender.send_request(request).await.map_err(Silence::Http)?;
        let (head, body) = response.into_parts();
        let phrase = head.extensions.get::<ReasonPhrase>();
        let phrase = phrase.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
        let digest = head.headers.get("docker-content-digest");
        let digest = digest.and_then(|it| it.to_str().ok()).map(str::to_owned);
        let body = Limited::new(body, body_max).collect().await;
        let body = body.map_err(|_| Silence::Large(body_max))?.to_bytes();
        Ok(Response { status: head.status, reason: phrase, digest, body })
    };
    // Whatever ends the connection, the exchange on it hears of.
    let driven = async {
        drop(connection.await);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        done = exchanged => done,
        () = driven => Err(Silence::Late("the mirror")),
    }
}

fn client_config(settings: &Settings) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match &settings.ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => certificates(path)?.into_iter().try_for_each(|certificate| {
            roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))
        })?,
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let mut config = match settings.client_cert.as_ref().zip(settings.client_key.as_ref()) {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", key.display());
            let pem = read_bounded(key, PEM_BYTES_MAX).map_err(|error| failed(&error))?;
            let pair = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| failed(&error))?;
            let chain = certificates(certificate)?;
            builder.with_client_auth_cert(chain, pair).map_err(|error| failed(&error))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let pem = read_bounded(path, PEM_BYTES_MAX).map_err(|error| failed(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| failed(&error))?;
    if found.is_empty() { Err(failed(&"holds no certificate")) } else { Ok(found) }
}

/// The file at `path`, which must be a file and has at most `bytes_max` bytes.
pub(super) fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("is no file"));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(io::Error::other(format!("is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}
