//! The client of the admin API: one small HTTP/1.1 request at a time.
//!
//! It sends the token only to the address that the person named or the settings file gives, follows
//! no redirect, and reads bounded answers. Unreachable is one kind of error, a no is another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LINK, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::cli::CliError;
use crate::mirror::desk::view::{ProblemView, problem};
use crate::oci::Secret;
use crate::tasks::Tasks;

/// How long connecting and the TLS handshake may take, each.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the head of an answer may take: judging an image gathers evidence from upstream.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(3);
/// How long a body may pause.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of an answer that is read whole.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Longest line of an answer that is read line by line, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Most stretches of a list that are followed.
const PAGES_MAX: usize = 1_000;
/// Where the API begins.
const BASE: &str = "/api/v1";

/// Where the admin API is.
#[derive(Debug, Clone)]
struct Address {
    host: String,
    port: u16,
    tls: Option<Arc<rustls::ClientConfig>>,
    prefix: String,
}

/// A client of one server.
#[derive(Debug, Clone)]
pub(super) struct Client {
    url: String,
    address: Address,
    token: Secret,
    tasks: Tasks,
}

impl Client {
    /// A client of the server at `url` that shows `token`; over https it trusts the web's roots and
    /// the certificates in `roots_pem`.
    ///
    /// # Errors
    /// When `url` is not `http://host[:port]` or `https://host[:port]`, or the roots are no PEM.
    pub(super) fn new(url: &str, token: Secret, roots_pem: &[u8]) -> Result<Self, CliError> {
        let wrong = || {
            CliError::misused(format!("{url:?} is not an address such as http://127.0.0.1:5001"))
        };
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or_else(wrong)?;
        if uri.query().is_some() {
            return Err(wrong());
        }
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => (Some(tls_config(roots_pem)?), 443),
            _ => return Err(wrong()),
        };
        let address = Address {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(port),
            tls,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        };
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { url, address, token, tasks: Tasks::new() })
    }

    /// `GET path`, as JSON.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.read(self.send(Method::GET, path, None).await?).await
    }

    /// `GET path`, a list, and all that it goes on with.
    ///
    /// # Errors
    /// When the server cannot be reached or says no, or the list does not end.
    pub(super) async fn get_all<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Vec<T>, CliError> {
        let (mut all, mut path) = (Vec::new(), path.to_owned());
        for _ in 0..PAGES_MAX {
            let response = self.send(Method::GET, &path, None).await?;
            let next = next_page(response.headers());
            all.extend(self.read::<Vec<T>>(response).await?);
            let Some(next) = next else { return Ok(all) };
            path = next;
        }
        Err(self.unreachable("its list does not end"))
    }

    /// `POST path` with a JSON body, answered with JSON.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub(super) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, CliError> {
        self.read(self.post_open(path, body).await?.0).await
    }

    /// `DELETE path`, answered with nothing.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub(super) async fn delete(&self, path: &str) -> Result<(), CliError> {
        self.send(Method::DELETE, path, None).await.map(drop)
    }

    /// `DELETE path`, answered with JSON.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub(super) async fn delete_for<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.read(self.send(Method::DELETE, path, None).await?).await
    }

    /// `POST path` with a JSON body, answered with a body that is read as it comes.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub(super) async fn post_open<B: Serialize>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<(Response<Incoming>, &Self), CliError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| CliError::failed("could not write the request").caused_by(error))?;
        Ok((self.send(Method::POST, path, Some(body.into())).await?, self))
    }

    /// `GET path`, answered with a body that is read as it comes.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub(super) async fn get_open(
        &self,
        path: &str,
    ) -> Result<(Response<Incoming>, &Self), CliError> {
        Ok((self.send(Method::GET, path, None).await?, self))
    }

    /// `GET path`, a stream of events after the one that has the number `last`.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub(super) async fn listen(&self, path: &str, last: u64) -> Result<Incoming, CliError> {
        let mut request = self.request(Method::GET, path, None)?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        request.headers_mut().insert("last-event-id", HeaderValue::from(last));
        Ok(self.exchanged(request).await?.into_body())
    }

    /// The next piece of a body; `None` at its end.
    ///
    /// # Errors
    /// When it breaks off or pauses too long.
    pub(super) async fn next_piece(&self, body: &mut Incoming) -> Result<Option<Bytes>, CliError> {
        loop {
            let frame = tokio::time::timeout(IDLE_TIMEOUT, body.frame()).await;
            let frame = frame.map_err(|_| self.unreachable("it stopped in the middle"))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame =
                frame.map_err(|error| self.unreachable("its answer broke off").caused_by(error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// Reads a body of JSON lines and hands each to `each`.
    ///
    /// # Errors
    /// When it breaks off, a line is not as expected, or `each` fails.
    pub(super) async fn lines<T: DeserializeOwned>(
        &self,
        mut body: Incoming,
        mut each: impl FnMut(T) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let mut rest: Vec<u8> = Vec::new();
        while let Some(piece) = self.next_piece(&mut body).await? {
            rest.extend_from_slice(&piece);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                each(self.parse(&line)?)?;
            }
            if rest.len() > LINE_BYTES_MAX {
                return Err(self.unreachable("its answer has a line that is too long"));
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(self.unreachable("its answer broke off")) }
    }

    async fn read<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<T, CliError> {
        let bytes = self.whole(response).await?;
        self.parse(&bytes)
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CliError> {
        serde_json::from_slice(bytes).map_err(|error| {
            self.unreachable("its answer is not that of an admin API").caused_by(error)
        })
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Bytes, CliError> {
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let read = tokio::time::timeout(ANSWER_TIMEOUT, body.collect()).await;
        let read = read.map_err(|_| self.unreachable("its answer did not end"))?;
        let read =
            read.map_err(|error| self.unreachable("its answer broke off").caused_by(error))?;
        Ok(read.to_bytes())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Response<Incoming>, CliError> {
        self.exchanged(self.request(method, path, body)?).await
    }

    /// The answer to `request`, over a connection of its own.
    async fn exchanged(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, CliError> {
        let Address { host, port, tls, .. } = &self.address;
        let connecting = TcpStream::connect((host.as_str(), *port));
        let stream = self.in_time(connecting).await?;
        let answer = match tls {
            None => self.exchange(stream, request).await?,
            Some(config) => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| CliError::misused("not a host name").caused_by(error))?;
                let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
                let stream = self.in_time(handshake).await?;
                self.exchange(stream, request).await?
            }
        };
        if answer.status().is_success() { Ok(answer) } else { Err(self.said_no(answer).await) }
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = std::io::Result<T>>,
    ) -> Result<T, CliError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.unreachable("no connection").caused_by(error)),
            Err(_) => Err(self.unreachable("no connection in time")),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Request<Full<Bytes>>, CliError> {
        let Address { host, port, prefix, .. } = &self.address;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let wrong = |error: http::Error| CliError::misused("not a request").caused_by(error);
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.token.expose()))
            .map_err(|_| CliError::unreachable("the token file holds no token"))?;
        bearer.set_sensitive(true);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{prefix}{BASE}{path}"))
            .header(HOST, format!("{host}:{port}"))
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("pratique/", env!("CARGO_PKG_VERSION")));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(body.unwrap_or_default())).map_err(wrong)
    }

    async fn exchange<S>(
        &self,
        stream: S,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, CliError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| self.unreachable("no answer").caused_by(error);
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // What goes wrong with the connection shows in the request, too.
        drop(self.tasks.spawn(async move { drop(connection.await) }));
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await;
        answer.map_err(|_| self.unreachable("no answer in time"))?.map_err(failed)
    }

    async fn said_no(&self, answer: Response<Incoming>) -> CliError {
        let status = answer.status();
        let body = match self.whole(answer).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        match serde_json::from_slice::<ProblemView>(&body) {
            Ok(view) => no(status, &view),
            Err(_) => self.unreachable(&format!("it answered {status}, not as an admin API")),
        }
    }

    fn unreachable(&self, what: &str) -> CliError {
        CliError::unreachable(format!("could not ask the server at {}: {what}", self.url))
    }
}

/// The error for a problem document: scripts tell "decided no" from "could not".
fn no(status: StatusCode, view: &ProblemView) -> CliError {
    let text = view.detail.clone();
    match view.kind.as_str() {
        problem::DECISION_REFUSED => CliError::refused(text),
        problem::INVALID => CliError::misused(text),
        problem::UNAUTHENTICATED => CliError::unreachable(format!(
            "the server does not know this token; give another one by --token-file, or make one \
             with `pratique token new --offline` ({text})"
        )),
        problem::UNDECIDED | problem::THROTTLED => CliError::unreachable(text),
        _ if status.is_server_error() => CliError::unreachable(text),
        _ => CliError::failed(text),
    }
}

/// Where a list goes on, if it does: only ever a path of the API.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (target, relation) = link.strip_prefix('<')?.split_once('>')?;
    let is_next = relation.split(';').any(|it| it.trim() == "rel=\"next\"");
    target.strip_prefix(BASE).filter(|rest| is_next && rest.starts_with('/')).map(str::to_owned)
}

fn tls_config(roots_pem: &[u8]) -> Result<Arc<rustls::ClientConfig>, CliError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for certificate in CertificateDer::pem_slice_iter(roots_pem) {
        let certificate = certificate
            .map_err(|error| CliError::unreachable("the certificate is no PEM").caused_by(error))?;
        roots.add(certificate).map_err(|error| {
            CliError::unreachable("the certificate cannot be trusted").caused_by(error)
        })?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CliError::failed("TLS is not to be had").caused_by(error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// `text` for use as a path segment or a query value.
pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    fn new(url: &str) -> Result<Client, CliError> {
        Client::new(url, Secret::new("t"), b"")
    }

    #[test]
    fn only_plain_web_addresses_are_taken() {
        for (url, host, port) in [
            ("http://127.0.0.1:5001", "127.0.0.1", 5001),
            ("http://mirror.corp/", "mirror.corp", 80),
            ("https://mirror.corp", "mirror.corp", 443),
            ("http://[::1]:5001", "::1", 5001),
        ] {
            let client = new(url).unwrap();
            assert_eq!((client.address.host.as_str(), client.address.port), (host, port), "{url}");
        }
        for url in ["127.0.0.1:5001", "ftp://x", "http://", "http://u:p@x", "http://x/?a", ""] {
            assert_eq!(new(url).unwrap_err().exit(), Exit::Misused, "{url}");
        }
    }

    #[test]
    fn problems_become_the_exit_codes_that_scripts_know() {
        let exit = |status: u16, kind: &str| {
            let view = ProblemView {
                kind: kind.to_owned(),
                title: String::new(),
                status,
                detail: "because".to_owned(),
                reasons: Vec::new(),
            };
            no(StatusCode::from_u16(status).unwrap(), &view).exit()
        };
        assert_eq!(exit(403, problem::DECISION_REFUSED), Exit::Refused);
        assert_eq!(exit(403, problem::ROLE), Exit::Failed);
        assert_eq!(exit(401, problem::UNAUTHENTICATED), Exit::Unreachable);
        assert_eq!(exit(400, problem::INVALID), Exit::Misused);
        assert_eq!(exit(404, problem::NOT_FOUND), Exit::Failed);
        assert_eq!(exit(409, problem::CONFLICT), Exit::Failed);
        assert_eq!(exit(503, problem::UNDECIDED), Exit::Unreachable);
        assert_eq!(exit(500, problem::INTERNAL), Exit::Unreachable);
    }
}
