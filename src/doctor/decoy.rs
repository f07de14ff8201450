//! A registry on this node's loopback addresses that nobody configured: whoever comes went past the mirror.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::image::DecoyImage;
use crate::oci::{Digest, MediaType};
use crate::tasks::Tasks;

/// Where the images of the decoy are.
pub(super) const REPOSITORY: &str = "pratique-canary";
/// What marks a layer that is named by its address alone.
const URLS: &str = "/urls/";
/// How long a visitor may take to say something.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long a connection may last.
const VISIT_MAX: Duration = Duration::from_mins(1);
/// Most visits that are noted one by one; more are as good as these.
const NOTED_MAX: usize = 256;
/// Longest path that is noted, in bytes.
const PATH_BYTES_MAX: usize = 512;
/// What a TLS connection begins with.
const TLS_HANDSHAKE: u8 = 0x16;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Somebody who came to the decoy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Visit {
    /// By HTTP, for this path.
    Asked(String),
    /// By TLS, which the decoy does not speak.
    Tls,
}

impl Visit {
    /// Whether it came for a layer by its address.
    pub(super) fn is_for_urls(&self) -> bool {
        matches!(self, Self::Asked(path) if path.starts_with(URLS))
    }
}

/// The running decoy; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Decoy {
    port: u16,
    counter: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    contents: Mutex<HashMap<String, (Bytes, &'static str)>>,
    visits: Mutex<Vec<Visit>>,
}

impl Shared {
    fn contents(&self) -> MutexGuard<'_, HashMap<String, (Bytes, &'static str)>> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn visits(&self) -> MutexGuard<'_, Vec<Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, visit: Visit) {
        let mut visits = self.visits();
        if visits.len() < NOTED_MAX {
            visits.push(visit);
        }
    }
}

/// An image that the decoy has under a name of its own.
#[derive(Debug)]
pub(super) struct Bait {
    /// Its repository: `pratique-canary/…`.
    pub(super) repository: String,
    /// The tag.
    pub(super) tag: &'static str,
}

impl Decoy {
    /// Serves on a free port of both loopback addresses, as tasks of `tasks`.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub(super) async fn start(tasks: &Tasks) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let decoy = Self { port, counter: Arc::default(), shared: Arc::default() };
        decoy.serve(listener, tasks);
        // `localhost` may be either; where there is no IPv6, nobody can come by it.
        if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            decoy.serve(listener, tasks);
        }
        Ok(decoy)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Puts a new image there.
    ///
    /// # Errors
    /// When there is no randomness to name it by.
    pub(super) fn plain(&self) -> io::Result<Bait> {
        let nonce = self.nonce()?;
        Ok(self.publish(&nonce, &DecoyImage::plain(&nonce)))
    }

    /// Puts a new image there whose layer can be had by its address at the decoy alone.
    ///
    /// # Errors
    /// As [`plain`](Self::plain).
    pub(super) fn with_url(&self) -> io::Result<Bait> {
        let nonce = self.nonce()?;
        let url = format!("http://127.0.0.1:{}{URLS}{nonce}", self.port);
        Ok(self.publish(&nonce, &DecoyImage::with_url(&nonce, &url)))
    }

    /// Who came since this was last asked.
    pub(super) fn visits(&self) -> Vec<Visit> {
        std::mem::take(&mut *self.shared.visits())
    }

    fn nonce(&self) -> io::Result<String> {
        let mut random = [0_u8; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
        Ok(format!("{}-{}", hex::encode(random), self.counter.fetch_add(1, Ordering::Relaxed)))
    }

    fn publish(&self, nonce: &str, image: &DecoyImage) -> Bait {
        const TAG: &str = "1";
        let repository = format!("{REPOSITORY}/{nonce}");
        let mut contents = self.shared.contents();
        // One at a time: what was there before is wanted no more.
        contents.clear();
        let digest = Digest::sha256(&image.manifest);
        for reference in [TAG.to_owned(), digest.to_string()] {
            let path = format!("/v2/{repository}/manifests/{reference}");
            contents.insert(path, (image.manifest.clone().into(), MediaType::OCI_MANIFEST));
        }
        let blobs = [Some(&image.config), image.layer.as_ref()];
        for blob in blobs.into_iter().flatten() {
            let path = format!("/v2/{repository}/blobs/{}", Digest::sha256(blob));
            contents.insert(path, (blob.clone().into(), "application/octet-stream"));
        }
        Bait { repository, tag: TAG }
    }

    fn serve(&self, listener: TcpListener, tasks: &Tasks) {
        let (shared, own) = (Arc::clone(&self.shared), tasks.clone());
        drop(tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = own.stopping() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else { return };
                let (shared, stopping) = (Arc::clone(&shared), own.stopping());
                drop(own.spawn(async move {
                    tokio::select! {
                        () = stopping => {}
                        _ = timeout(VISIT_MAX, visit(&shared, stream)) => {}
                    }
                }));
            }
        }));
    }
}

async fn visit(shared: &Arc<Shared>, stream: TcpStream) {
    let mut first = [0_u8; 1];
    match timeout(SILENCE_MAX, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first == [TLS_HANDSHAKE] => return shared.note(Visit::Tls),
        Ok(Ok(1)) => {}
        // Somebody who says nothing wants no image.
        _ => return,
    }
    let service = service_fn(move |request| {
        let answer = answer(shared, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(SILENCE_MAX);
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

fn answer(shared: &Shared, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    // Of what else passes by on a loopback address nothing is to be learnt.
    if path.starts_with("/v2") || path.starts_with(URLS) {
        let noted = path.get(..PATH_BYTES_MAX).unwrap_or(path);
        shared.note(Visit::Asked(noted.to_owned()));
    }
    if matches!(path, "/v2" | "/v2/") {
        return Response::new(Full::from("{}"));
    }
    let Some((content, media_type)) = shared.contents().get(path).cloned() else {
        let mut absent = Response::new(Full::default());
        *absent.status_mut() = StatusCode::NOT_FOUND;
        return absent;
    };
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert("content-length", HeaderValue::from(content.len()));
    if let Ok(digest) = HeaderValue::from_str(&Digest::sha256(&content).to_string()) {
        headers.insert(CONTENT_DIGEST, digest);
    }
    if request.method() == Method::HEAD { response } else { response.map(|_| Full::new(content)) }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn said(port: u16, text: &[u8]) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        stream.write_all(text).await.unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn whoever_asks_for_an_image_is_noted_and_whoever_only_passes_by_is_not() {
        let tasks = Tasks::new();
        let decoy = Decoy::start(&tasks).await.unwrap();
        let bait = decoy.plain().unwrap();
        let get = |path: &str| {
            format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").into_bytes()
        };
        assert!(said(decoy.port(), &get("/metrics")).await.starts_with("HTTP/1.1 404"));
        assert_eq!(decoy.visits(), []);
        let path = format!("/v2/{}/manifests/{}", bait.repository, bait.tag);
        let answer = said(decoy.port(), &get(&path)).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("sha256:"), "{answer}");
        said(decoy.port(), &[TLS_HANDSHAKE, 3, 1, 0, 1, 0]).await;
        assert_eq!(decoy.visits(), [Visit::Asked(path), Visit::Tls]);
        assert_eq!(decoy.visits(), [], "asked for, they are forgotten");
        assert!(tasks.shut_down(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_layer_with_an_address_is_to_be_had_nowhere_and_who_comes_for_it_is_known() {
        let tasks = Tasks::new();
        let decoy = Decoy::start(&tasks).await.unwrap();
        let bait = decoy.with_url().unwrap();
        let nonce = bait.repository.rsplit('/').next().unwrap();
        let request = format!("GET /urls/{nonce} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        assert!(said(decoy.port(), request.as_bytes()).await.starts_with("HTTP/1.1 404"));
        assert!(decoy.visits().iter().all(Visit::is_for_urls));
        assert!(tasks.shut_down(Duration::from_secs(5)).await);
    }
}
