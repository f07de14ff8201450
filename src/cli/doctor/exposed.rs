//! The figures of the last look, for whoever collects them over HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::cli::CliError;
use crate::tasks::Tasks;

/// How long a connection may last.
const VISIT_MAX: Duration = Duration::from_secs(30);
/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Most connections at a time; more wait.
const VISITS_MAX: usize = 16;

/// What is served at `/metrics`.
#[derive(Debug, Clone, Default)]
pub(super) struct Exposed(Arc<Mutex<Bytes>>);

impl Exposed {
    /// Serves at `address` as tasks of `tasks`; nothing is there before the first look.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(super) async fn start(address: SocketAddr, tasks: &Tasks) -> Result<Self, CliError> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            CliError::failed(format!("{address} cannot be listened at")).caused_by(error)
        })?;
        let exposed = Self::default();
        let (serving, own) = (exposed.clone(), tasks.clone());
        let room = Arc::new(Semaphore::new(VISITS_MAX));
        drop(tasks.spawn(async move {
            loop {
                let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
                let accepted = tokio::select! {
                    () = own.stopping() => return,
                    accepted = listener.accept() => accepted,
                };
                // One that is gone again before it was taken is no reason to take no more.
                let Ok((stream, _)) = accepted else { continue };
                let (serving, stopping) = (serving.clone(), own.stopping());
                drop(own.spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = serving.answer(&request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let mut builder = http1::Builder::new();
                    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                    let visit = builder.serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        () = stopping => {}
                        _ = tokio::time::timeout(VISIT_MAX, visit) => {}
                    }
                    drop(place);
                }));
            }
        }));
        Ok(exposed)
    }

    /// Shows `text` from now on.
    pub(super) fn show(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    fn answer<B>(&self, request: &hyper::Request<B>) -> Response<Full<Bytes>> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut response = Response::new(Full::default());
        if request.uri().path() != "/metrics" {
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
        if text.is_empty() {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return response;
        }
        let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response.map(|_| Full::new(text))
    }
}
