//! Somebody who receives webhooks, well or badly.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use pratique::tasks::Tasks;
use serde_json::Value;
use tokio::net::TcpListener;

/// How a receiver answers.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// With this status and these headers.
    Says(u16, Vec<(&'static str, String)>),
    /// With success and a body that never ends.
    Endless,
    /// Never.
    Silent,
    /// By closing the connection.
    HangsUp,
}

impl Manner {
    pub(crate) fn says(status: u16) -> Self {
        Self::Says(status, Vec::new())
    }
}

/// Something that was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }
}

#[derive(Debug)]
struct Shared {
    received: Vec<Received>,
    /// How the next are answered, one after the other.
    next: VecDeque<Manner>,
    /// How all others are.
    usual: Manner,
}

/// A receiver on a port of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    shared: Arc<Mutex<Shared>>,
    address: std::net::SocketAddr,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::on(listener)
    }

    /// A receiver that listens where `listener` does.
    pub(crate) fn on(listener: TcpListener) -> Self {
        let usual = Manner::says(204);
        let shared = Shared { received: Vec::new(), next: VecDeque::new(), usual };
        let address = listener.local_addr().expect("an address");
        let receiver = Self { shared: Arc::new(Mutex::new(shared)), address };
        let (own, tasks) = (receiver.clone(), Tasks::new());
        drop(tasks.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                drop(tasks.spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let own = own.clone();
                        async move { own.answer(request).await }
                    });
                    let serving = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    drop(serving.await);
                }));
            }
        }));
        receiver
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, &'static str> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| "no whole body")?.to_bytes();
        let path = parts.uri.to_string();
        let manner = {
            let mut shared = self.shared.lock().unwrap();
            shared.received.push(Received { path, headers: parts.headers, body });
            shared.next.pop_front().unwrap_or_else(|| shared.usual.clone())
        };
        let empty = Full::new(Bytes::from_static(b"heard")).boxed_unsync();
        match manner {
            Manner::Says(status, headers) => {
                let mut response = Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                Ok(response.body(empty).expect("an answer"))
            }
            Manner::Endless => {
                let piece = || Ok(Frame::data(Bytes::from_static(&[b'x'; 1024])));
                let endless = stream::repeat_with(piece).boxed();
                Ok(Response::new(StreamBody::new(endless).boxed_unsync()))
            }
            Manner::Silent => std::future::pending().await,
            Manner::HangsUp => Err("hangs up"),
        }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?key=s3cr3t", self.address)
    }

    /// Answers the next ones so, and then as usual.
    pub(crate) fn next(&self, manners: impl IntoIterator<Item = Manner>) {
        self.shared.lock().unwrap().next.extend(manners);
    }

    /// Answers so from now on.
    pub(crate) fn usually(&self, manner: Manner) {
        self.shared.lock().unwrap().usual = manner;
    }

    /// What was received so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.lock().unwrap().received.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.shared.lock().unwrap().received.len()
    }

    /// Waits until `count` were received, and gives all.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        for _ in 0..1500 {
            if self.count() >= count {
                return self.received();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("only {} of {count} came: {:?}", self.count(), self.kinds());
    }

    fn kinds(&self) -> Vec<String> {
        self.received().iter().map(Received::kind).collect()
    }
}
