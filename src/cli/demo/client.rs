//! The client of the show.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::cli::exit::CliError;

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The reason phrase, as a person would see it.
    pub(super) phrase: String,
    /// The body, empty where it did not end cleanly.
    pub(super) body: Bytes,
}

/// A client of one listener; each request has a connection of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    address: SocketAddr,
}

impl Client {
    pub(super) const fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, CliError> {
        self.ask("GET", path, None, None).await
    }

    pub(super) async fn head(&self, path: &str) -> Result<Answer, CliError> {
        self.ask("HEAD", path, None, None).await
    }

    pub(super) async fn authorized(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, CliError> {
        self.ask(method, path, Some(token), body).await
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Bytes>,
    ) -> Result<Answer, CliError> {
        let failed = || CliError::failed(format!("the demo got no answer to {method} {path}"));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| failed().caused_by(error))?;
        let stream =
            TcpStream::connect(self.address).await.map_err(|error| failed().caused_by(error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed().caused_by(error))?;
        let asking = async {
            let response = sender.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body =
                body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let phrase = parts.extensions.get::<ReasonPhrase>();
            let phrase = phrase.map_or_else(
                || parts.status.canonical_reason().unwrap_or_default().to_owned(),
                |phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
            );
            Ok::<_, hyper::Error>(Answer { status: parts.status.as_u16(), phrase, body })
        };
        let answer = async {
            tokio::pin!(connection);
            tokio::pin!(asking);
            tokio::select! {
                answer = &mut asking => answer,
                _ = &mut connection => asking.await,
            }
        };
        answer.await.map_err(|error| failed().caused_by(error))
    }
}
