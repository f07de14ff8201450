//! A container runtime by its socket: gRPC as containerd speaks it, with the behaviour of a test.

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::net::UnixListener;

/// What the runtime answers to a call.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Well, with this message.
    Message(Vec<u8>),
    /// Not, and why, as it stands in the trailer.
    Failure(String),
    /// Bytes that are no message.
    Broken(Vec<u8>),
    /// Never.
    Silence,
}

/// A name on its way to a registry.
pub(super) type Pulling = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// A running socket; calls of the methods other than `PullImage` are answered as by a runtime that
/// remembers what it pulled.
pub(super) struct FakeCri {
    folder: TempDir,
    calls: Arc<Mutex<Vec<String>>>,
}

impl FakeCri {
    pub(super) fn start(pull: impl Fn(String) -> Pulling + Send + Sync + 'static) -> Self {
        Self::holding(Vec::new(), pull)
    }

    /// One that has `images` already.
    pub(super) fn holding(
        images: Vec<String>,
        pull: impl Fn(String) -> Pulling + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("sock")).unwrap();
        let (calls, pull) = (Arc::new(Mutex::new(Vec::new())), Arc::new(pull));
        let noted = Arc::clone(&calls);
        pratique::tasks::Tasks::new().spawn(async move {
            let kept = Arc::new(Mutex::new(images));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (noted, kept, pull) =
                    (Arc::clone(&noted), Arc::clone(&kept), Arc::clone(&pull));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (noted, kept, pull) =
                        (Arc::clone(&noted), Arc::clone(&kept), Arc::clone(&pull));
                    async move {
                        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        // A prefix of 5, then two fields with a length of one byte each.
                        let image = String::from_utf8(body[9..].to_vec()).unwrap();
                        noted.lock().unwrap().push(format!("{method} {image}"));
                        let reply = match method.as_str() {
                            "PullImage" => {
                                let reply = pull(image.clone()).await;
                                if matches!(reply, Reply::Message(_)) {
                                    kept.lock().unwrap().push(image);
                                }
                                reply
                            }
                            "ImageStatus" if kept.lock().unwrap().contains(&image) => {
                                let found =
                                    [field(1, b"sha256:id"), field(2, image.as_bytes())].concat();
                                Reply::Message(field(1, &found))
                            }
                            "RemoveImage" => {
                                kept.lock().unwrap().retain(|it| *it != image);
                                Reply::Message(Vec::new())
                            }
                            _ => Reply::Message(Vec::new()),
                        };
                        Ok::<_, Infallible>(answer(reply).await)
                    }
                });
                pratique::tasks::Tasks::new().spawn(async move {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { folder, calls }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    /// The calls of `method`, by their images.
    pub(super) fn calls(&self, method: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .filter_map(|it| it.strip_prefix(&format!("{method} ")))
            .map(str::to_owned)
            .collect()
    }
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 128);
    [&[number << 3 | 2, length], content].concat()
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn answer(reply: Reply) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    let body = match reply {
        Reply::Message(message) => {
            trailers.insert("grpc-status", "0".parse().unwrap());
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            [&[0], &length[..], &message].concat()
        }
        Reply::Failure(said) => {
            trailers.insert("grpc-status", "2".parse().unwrap());
            trailers.insert("grpc-message", said.parse().unwrap());
            Vec::new()
        }
        Reply::Broken(bytes) => return response(Full::new(Bytes::from(bytes)).boxed()),
        Reply::Silence => std::future::pending().await,
    };
    let frames = [Ok(Frame::data(Bytes::from(body))), Ok(Frame::trailers(trailers))];
    response(StreamBody::new(futures_util::stream::iter(frames)).boxed())
}

fn response(body: Body) -> Response<Body> {
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}
