//! Accepting connections: TLS, bounds, drain.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::util::MapRequestLayer;
use tracing::{debug, warn};

use super::body::NodeBody;
use super::node::{Node, Peer};
use super::stall::Stall;
use super::tls::{Error, Reloading, TlsSettings};
use crate::metrics::Metrics;
use crate::tasks::Tasks;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting rests after the machine has run out of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client may leave what it was sent unread.
const WRITE_PATIENCE: Duration = Duration::from_mins(5);
/// How long an admin's connection may take to carry its first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header fields of a request.
const HEADERS_MAX: usize = 128;
/// Nodes speak HTTP/1.1 only: a reason phrase does not exist in later versions.
const NODE_PROTOCOLS: &[&[u8]] = &[b"http/1.1"];
const ADMIN_PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// A bound port, not yet served.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsSettings>,
    permits: Arc<Semaphore>,
}

/// Binds `address`.
///
/// # Errors
/// When the address cannot be had.
pub async fn bind(
    address: SocketAddr,
    tls: Option<TlsSettings>,
    connections_max: usize,
) -> std::io::Result<Listener> {
    let socket = TcpListener::bind(address).await?;
    Ok(Listener { socket, tls, permits: Arc::new(Semaphore::new(connections_max)) })
}

impl Listener {
    /// Where it listens; the port is the one that was given out when 0 was asked for.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn tls(&self, protocols: &'static [&'static [u8]], tasks: &Tasks) -> Result<Tls, Error> {
        let reloading = self.tls.clone();
        reloading.map(|settings| Reloading::start(settings, protocols, tasks)).transpose()
    }

    /// The next connection within the bound, or none when stopping.
    async fn accept(&self, metrics: &Metrics, tasks: &Tasks) -> Option<(Accepted, IpAddr)> {
        loop {
            let accepted = tokio::select! {
                () = tasks.stopping() => return None,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match Arc::clone(&self.permits).try_acquire_owned() {
                    Ok(permit) => {
                        if let Err(error) = stream.set_nodelay(true) {
                            debug!(%peer, %error, "TCP_NODELAY not set");
                        }
                        return Some((Accepted { stream, _permit: permit }, peer.ip()));
                    }
                    Err(_) => metrics.connections_refused.increment(),
                },
                Err(error) => {
                    warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

type Tls = Option<Reloading>;

struct Accepted {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

/// Serves nodes on `listener` until shutdown begins, as a task of `tasks`.
///
/// # Errors
/// When the certificates cannot be used.
pub fn serve_nodes(listener: Listener, node: Node, tasks: &Tasks) -> Result<(), Error> {
    let tls = listener.tls(NODE_PROTOCOLS, tasks)?;
    let tasks = tasks.clone();
    drop(tasks.clone().spawn(async move {
        let metrics = Arc::clone(node.metrics());
        while let Some((accepted, address)) = listener.accept(&metrics, &tasks).await {
            let (node, tls, connection_tasks) = (node.clone(), tls.clone(), tasks.clone());
            drop(tasks.spawn(async move {
                node.metrics().connections.add(1);
                let _open = Open(Arc::clone(node.metrics()));
                let Accepted { stream, _permit } = accepted;
                match tls {
                    None => {
                        let peer = Peer::plain(address);
                        serve_node(stream, node, peer, connection_tasks).await;
                    }
                    Some(tls) => {
                        if let Some(stream) = handshake(stream, &tls, address).await {
                            let peer = Peer::tls(address, stream.get_ref().1.peer_certificates());
                            serve_node(stream, node, peer, connection_tasks).await;
                        }
                    }
                }
            }));
        }
    }));
    Ok(())
}

/// Counts a connection as closed, however it ended.
struct Open(Arc<Metrics>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.add(-1);
    }
}

async fn handshake(
    stream: TcpStream,
    tls: &Reloading,
    address: IpAddr,
) -> Option<TlsStream<TcpStream>> {
    let accepting = TlsAcceptor::from(tls.current()).accept(stream);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            debug!(%address, %error, "TLS handshake failed");
            None
        }
        Err(_) => {
            debug!(%address, "TLS handshake timed out");
            None
        }
    }
}

pub(super) async fn serve_node<S>(stream: S, node: Node, peer: Peer, tasks: Tasks)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = Arc::new(peer);
    let header_timeout = node.header_timeout();
    let service = service_fn(move |request: Request<Incoming>| {
        let (node, peer) = (node.clone(), Arc::clone(&peer));
        async move { Ok::<Response<NodeBody>, Infallible>(node.answer(request, &peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(Stall::new(stream, WRITE_PATIENCE)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(error = %Chain(&error), "connection of a node ended");
    }
}

/// Serves `router` to admins on `listener` until shutdown begins, as a task of `tasks`.
///
/// # Errors
/// When the certificates cannot be used.
pub fn serve_admins(
    listener: Listener,
    router: axum::Router,
    metrics: Arc<Metrics>,
    tasks: &Tasks,
) -> Result<(), Error> {
    let tls = listener.tls(ADMIN_PROTOCOLS, tasks)?;
    let tasks = tasks.clone();
    drop(tasks.clone().spawn(async move {
        while let Some((accepted, address)) = listener.accept(&metrics, &tasks).await {
            let (router, tls, connection_tasks) = (router.clone(), tls.clone(), tasks.clone());
            drop(tasks.spawn(async move {
                let Accepted { stream, _permit } = accepted;
                match tls {
                    None => serve_admin(stream, router, address, connection_tasks).await,
                    Some(tls) => {
                        if let Some(stream) = handshake(stream, &tls, address).await {
                            serve_admin(stream, router, address, connection_tasks).await;
                        }
                    }
                }
            }));
        }
    }));
    Ok(())
}

/// The address of an admin, as a request extension.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdminAddress(pub(super) IpAddr);

async fn serve_admin<S>(stream: S, router: axum::Router, address: IpAddr, tasks: Tasks)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let first = Arc::clone(&asked);
    let note = MapRequestLayer::new(move |request: axum::extract::Request| {
        first.store(true, Ordering::Relaxed);
        request
    });
    let router = router.layer(axum::Extension(AdminAddress(address))).layer(note);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .max_buf_size(HEAD_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(64);
    let service = TowerToHyperService::new(router);
    let stream = Stall::new(stream, WRITE_PATIENCE);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let silent = async {
        tokio::time::sleep(FIRST_REQUEST_TIMEOUT).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = silent => {
            debug!(%address, "connection of an admin asked nothing");
            return;
        }
        () = tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%address, %error, "connection of an admin ended");
    }
}

/// An error with its causes.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test(start_paused = true)]
    async fn an_admin_connection_that_asks_nothing_is_closed() {
        let (client, server) = tokio::io::duplex(64);
        let started = tokio::time::Instant::now();
        serve_admin(server, axum::Router::new(), ADDRESS, Tasks::new()).await;
        assert_eq!(started.elapsed(), FIRST_REQUEST_TIMEOUT);
        drop(client);
    }

    #[tokio::test]
    async fn an_admin_connection_that_asks_is_answered() {
        let (mut client, server) = tokio::io::duplex(4096);
        let tasks = Tasks::new();
        let serving = tasks.spawn(serve_admin(server, axum::Router::new(), ADDRESS, tasks.clone()));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        serving.await.unwrap();
    }
}
