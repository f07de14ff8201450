//! The desk: who may ask, what people may decide, and that it is said in words.

mod access;
mod archives;
mod audit;
mod cache;
mod command_line;
mod decisions;
mod described;
mod events;
mod exceptions;
mod idempotency;
mod instead;
mod learning;
mod manifests;
mod outdated;
mod paging;
mod people;
mod proposing;
mod questions;
mod simulate;
mod tokens;
mod upgrading;
mod votes;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use pratique::oci::Digest;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::mirror::TestMirror;
use crate::support::upstream::Image;

/// Rules for every kind of answer.
const RULES: &str = r#"
- {id: open, match: ["up.test/open/**"], trust: allow}
- {id: asked, match: ["up.test/asked/**"], trust: approve}
- {id: never, match: ["up.test/never/**"], trust: deny}
"#;

/// A mirror and someone who holds a token of it.
pub(crate) struct Desk {
    pub(crate) mirror: TestMirror,
    pub(crate) token: String,
}

/// An answer of the admin API.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("text")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The type of a problem, without what all have in front.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status, "{body}");
        for member in ["title", "detail"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        }
        let kind = body["type"].as_str().expect("a type");
        kind.strip_prefix("urn:pratique:problem:").expect("our type").to_owned()
    }
}

/// What comes first of a body that does not end.
async fn first_piece(mut body: Incoming) -> Bytes {
    let frame = body.frame().await.expect("a piece").expect("no error");
    frame.into_data().expect("bytes")
}

impl Desk {
    pub(crate) async fn start() -> Self {
        Self::of(TestMirror::start(RULES).await)
    }

    pub(crate) fn of(mirror: TestMirror) -> Self {
        let path = mirror.folder().join("data/admin.token");
        let token = std::fs::read_to_string(path).expect("the first token");
        Self { mirror, token: token.trim().to_owned() }
    }

    /// Pushes an image and gives its digest.
    pub(crate) fn push(&self, repository: &str, tag: &str, content: &str) -> Digest {
        let image = Image::new().layer(content.to_owned()).build();
        self.mirror.upstream.push(repository, tag, &image)
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Some(&self.token), None, &[]).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(&self.token), Some(body.to_string()), &[]).await
    }

    /// Decides with a reason.
    pub(crate) async fn decide(&self, path: &str, target: &str) -> Reply {
        self.post(path, &json!({"target": target, "reason": "because"})).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<String>,
        headers: &[(&'static str, &str)],
    ) -> Reply {
        let url = self.mirror.admin_url();
        let address = url.strip_prefix("http://").expect("plain HTTP");
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        let driving = self.mirror.mirror().tasks().spawn(connection);
        let mut request =
            Request::builder().method(method.clone()).uri(path).header("host", "desk.test");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())));
        let response = sender.send_request(request.expect("a request")).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let is_endless =
            parts.headers.get("content-type").is_some_and(|it| it == "text/event-stream");
        let body = if is_endless {
            first_piece(body).await
        } else {
            body.collect().await.expect("a whole body").to_bytes()
        };
        driving.abort();
        let reply = Reply { status: parts.status.as_u16(), headers: parts.headers, body };
        described::check(method.as_str(), path, &reply);
        reply
    }
}
