//! Asking the mirror itself: whether it answers, whether it is the one that is meant, and whether it
//! refuses what it must refuse for a canary to prove anything.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::tasks::Tasks;
use crate::time::Timestamp;

/// How long connecting and the TLS handshake may take, each.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take: the mirror may hold what it judges for 25 seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Longest certificate or key file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The mirror as the node knows it.
#[derive(Debug, Clone)]
pub struct MirrorAccess {
    url: String,
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    /// The same without the node's own certificate, where it has one.
    bare: Option<Arc<ClientConfig>>,
    client_ends: Option<Timestamp>,
}

/// Why there is no mirror to ask.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// It is no address of a mirror.
    #[error("{0:?} is not http[s]://HOST[:PORT]")]
    Address(String),
    /// A file cannot be used.
    #[error("{} {why}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
        /// What the operating system says, where it says something.
        #[source]
        source: Option<io::Error>,
    },
    /// Certificates without TLS.
    #[error("certificates belong to an https mirror")]
    Plain,
    /// TLS cannot be set up.
    #[error("TLS cannot be used")]
    Tls(#[from] rustls::Error),
}

/// What the mirror said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) status: StatusCode,
    /// The reason phrase, as a runtime shows it.
    pub(super) phrase: String,
    /// The message of the error in the body, where there is one.
    pub(super) message: Option<String>,
    /// Whether it calls this a decision of its own: only Pratique does.
    pub(super) is_decision: bool,
    /// Until when its certificate is valid.
    pub(super) certificate_ends: Option<Timestamp>,
}

impl Said {
    /// Whether a client that was answered so shows it: the text that is looked for in what it says.
    pub(super) fn is_in(&self, shown: &str) -> bool {
        let shown = squeezed(shown);
        let heads = [Some(self.phrase.as_str()), self.message.as_deref()];
        heads
            .into_iter()
            .flatten()
            .map(recognisable)
            .any(|it| !it.is_empty() && shown.contains(it.as_str()))
    }
}

/// What of a refusal is enough to know it by: its beginning, without what quotes and wraps may change.
fn recognisable(text: &str) -> String {
    const ENOUGH: usize = 60;
    let plain: String = squeezed(text).chars().take_while(|c| *c != '"').take(ENOUGH).collect();
    plain.trim_end().to_owned()
}

/// `text` with one space wherever there is some.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl MirrorAccess {
    /// The mirror at `url`; over https it is believed by the authorities in `ca` alone, or by those of the
    /// web where that is missing, and shown the `client` certificate and key.
    ///
    /// # Errors
    /// When the address or a file is of no use.
    pub fn new(
        url: &str,
        ca: Option<&Path>,
        client: Option<(&Path, &Path)>,
    ) -> Result<Self, MirrorError> {
        let wrong = || MirrorError::Address(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority =
            uri.authority().filter(|it| !it.as_str().contains('@')).ok_or_else(wrong)?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong());
        }
        let (port, tls, bare, client_ends) = match uri.scheme_str() {
            Some("http") if ca.is_some() || client.is_some() => return Err(MirrorError::Plain),
            Some("http") => (80, None, None, None),
            Some("https") => {
                let (config, ends) = tls_config(ca, client)?;
                let bare = client.map(|_| tls_config(ca, None)).transpose()?;
                (443, Some(config), bare.map(|(config, _)| config), ends)
            }
            _ => return Err(wrong()),
        };
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(port),
            tls,
            bare,
            client_ends,
        })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Until when the node's own certificate is valid, where it has one.
    pub(super) fn client_ends(&self) -> Option<Timestamp> {
        self.client_ends
    }

    /// The answer to `GET path_and_query`.
    pub(super) async fn get(&self, path_and_query: &str, tasks: &Tasks) -> io::Result<Said> {
        self.got(self.tls.as_ref(), path_and_query, tasks).await
    }

    /// The answer to somebody without a certificate; `None` where the node has none itself.
    pub(super) async fn get_bare(&self, path: &str, tasks: &Tasks) -> Option<io::Result<Said>> {
        let bare = self.bare.as_ref()?;
        Some(self.got(Some(bare), path, tasks).await)
    }

    async fn got(
        &self,
        tls: Option<&Arc<ClientConfig>>,
        path: &str,
        tasks: &Tasks,
    ) -> io::Result<Said> {
        let stream = in_time(TcpStream::connect((self.host.as_str(), self.port))).await?;
        let Some(config) = tls else { return self.exchange(stream, path, tasks).await };
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let stream = in_time(TlsConnector::from(Arc::clone(config)).connect(name, stream)).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let ends = certificates.and_then(<[_]>::first).and_then(valid_until);
        let said = self.exchange(stream, path, tasks).await?;
        Ok(Said { certificate_ends: ends, ..said })
    }

    async fn exchange<S>(&self, stream: S, path: &str, tasks: &Tasks) -> io::Result<Said>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let request = Request::get(path)
            .header(HOST, format!("{host}:{}", self.port))
            .header(ACCEPT, "*/*")
            .header(USER_AGENT, concat!("pratique-doctor/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let asking = async {
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
            drop(tasks.spawn(async move { drop(connection.await) }));
            let answer = sender.send_request(request).await.map_err(io::Error::other)?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(io::Error::other)?.to_bytes();
            let phrase = parts.extensions.get::<ReasonPhrase>();
            let phrase = phrase.map_or_else(
                || parts.status.canonical_reason().unwrap_or_default().to_owned(),
                |phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
            );
            Ok(Said {
                status: parts.status,
                phrase,
                message: message_of(&body),
                is_decision: parts.headers.contains_key("x-mirror-decision"),
                certificate_ends: None,
            })
        };
        timeout(ANSWER_TIMEOUT, asking).await.unwrap_or_else(|_| Err(too_slow()))
    }
}

fn message_of(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    body.pointer("/errors/0/message")?.as_str().map(str::to_owned)
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

pub(super) async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(CONNECT_TIMEOUT, work).await.unwrap_or_else(|_| Err(too_slow()))
}

/// The last moment of a certificate.
pub(super) fn valid_until(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    use x509_cert::der::Decode as _;
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    i64::try_from(end.as_millis()).ok().map(Timestamp::from_milliseconds)
}

fn tls_config(
    ca: Option<&Path>,
    client: Option<(&Path, &Path)>,
) -> Result<(Arc<ClientConfig>, Option<Timestamp>), MirrorError> {
    let roots = match ca {
        Some(path) => authorities(path)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let (mut config, ends) = match client {
        None => (builder.with_no_client_auth(), None),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let ends = chain.first().and_then(valid_until);
            let bytes = read(key)?;
            let key = PrivateKeyDer::from_pem_slice(&bytes)
                .map_err(|_| unusable(key, "holds no private key"))?;
            (builder.with_client_auth_cert(chain, key)?, ends)
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), ends))
}

fn authorities(path: &Path) -> Result<RootCertStore, MirrorError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, MirrorError> {
    let bytes = read(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unusable(path, "holds no certificate")),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, MirrorError> {
    use std::io::Read as _;
    let failed = |source| MirrorError::File {
        path: path.to_owned(),
        why: "cannot be read",
        source: Some(source),
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn unusable(path: &Path, why: &'static str) -> MirrorError {
    MirrorError::File { path: path.to_owned(), why, source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(phrase: &str, message: Option<&str>) -> Said {
        Said {
            status: StatusCode::FORBIDDEN,
            phrase: phrase.to_owned(),
            message: message.map(str::to_owned),
            is_decision: true,
            certificate_ends: None,
        }
    }

    #[test]
    fn a_refusal_is_known_by_its_phrase_or_its_message_however_it_is_wrapped() {
        let refusal = said(
            "Denied by rule canary: nothing may be pulled, see https://m/r/1",
            Some("up.test/canary:1 is denied by rule canary: \"no\". Ask."),
        );
        assert!(refusal.is_in(
            "HEAD http://m: 403 Denied by rule canary: nothing may be\n pulled, see https://m/r/1"
        ));
        assert!(refusal.is_in("denied: up.test/canary:1 is denied by rule canary: \\\"no\\\""));
        assert!(!refusal.is_in("403 Forbidden"));
        assert!(!said("", None).is_in("anything"));
    }

    #[test]
    fn a_mirror_is_a_host_and_certificates_need_tls() {
        for bad in ["mirror", "ftp://m", "http://u:p@m", "https://m/v2", "https://m?x"] {
            assert!(
                matches!(MirrorAccess::new(bad, None, None), Err(MirrorError::Address(_))),
                "{bad}"
            );
        }
        let plain = MirrorAccess::new("http://m", Some(Path::new("/ca")), None);
        assert!(matches!(plain, Err(MirrorError::Plain)));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca");
        std::fs::write(&file, "no certificate").unwrap();
        for path in [file.as_path(), Path::new("/nowhere/ca")] {
            let missing = MirrorAccess::new("https://m", Some(path), None);
            assert!(matches!(missing, Err(MirrorError::File { .. })), "{}", path.display());
        }
        assert!(
            MirrorAccess::new("http://[::1]:5000/", None, None).is_ok_and(|it| it.port == 5000)
        );
    }
}
