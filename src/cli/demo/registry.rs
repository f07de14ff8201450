//! A registry in this process, on a loopback port.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::images::Image;
use crate::oci::{Digest, MediaType};
use crate::tasks::Tasks;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Content by request path.
type Contents = Arc<Mutex<HashMap<String, (Bytes, &'static str)>>>;

/// A running registry.
#[derive(Debug)]
pub(super) struct DemoRegistry {
    address: SocketAddr,
    contents: Contents,
}

impl DemoRegistry {
    /// Serves an empty registry as a task of `tasks`.
    pub(super) async fn start(tasks: &Tasks) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let registry = Self { address: listener.local_addr()?, contents: Contents::default() };
        let contents = Arc::clone(&registry.contents);
        let own = tasks.clone();
        drop(tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = own.stopping() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else { return };
                let contents = Arc::clone(&contents);
                let stopping = own.stopping();
                drop(own.spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = answer(&contents, &request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let serving = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        () = stopping => {}
                        ended = serving => drop(ended),
                    }
                }));
            }
        }));
        Ok(registry)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts `image` into `repository` under `tag`.
    pub(super) fn publish(&self, repository: &str, tag: &str, image: &Image) {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        for reference in [tag.to_owned(), image.digest().to_string()] {
            let path = format!("/v2/{repository}/manifests/{reference}");
            contents.insert(path, (image.manifest.clone(), MediaType::OCI_MANIFEST));
        }
        for blob in &image.blobs {
            let path = format!("/v2/{repository}/blobs/{}", Digest::sha256(blob));
            contents.insert(path, (blob.clone(), "application/octet-stream"));
        }
    }
}

fn answer(contents: &Contents, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let contents = contents.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((content, media_type)) = contents.get(request.uri().path()) else {
        let mut absent = Response::new(Full::default());
        *absent.status_mut() = StatusCode::NOT_FOUND;
        return absent;
    };
    let mut response = Response::new(Full::new(content.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert("content-length", HeaderValue::from(content.len()));
    if let Ok(digest) = HeaderValue::from_str(&Digest::sha256(content).to_string()) {
        headers.insert(CONTENT_DIGEST, digest);
    }
    if request.method() == Method::HEAD { response.map(|_| Full::default()) } else { response }
}
