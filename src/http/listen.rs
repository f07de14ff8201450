//! Accepting connections: TLS, bounds, drain.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::attended::{Activity, Attended};
use super::body::NodeBody;
use super::descriptors::{Share, connections_allowed};
use super::lanes;
use super::node::{Node, Peer};
use super::punctual::{Answer, Heads, Punctual};
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
/// How long the head of an admin's request may take, and how long HTTP/1.1 may rest between two.
const ADMIN_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests that an admin's connection may carry at one time.
const ADMIN_STREAMS_MAX: u32 = 64;
/// Streams of an admin that were reset before they were looked at; one more ends the connection.
const ADMIN_RESETS_PENDING_MAX: usize = 20;
/// Streams of an admin that we had to reset for its mistakes; one more ends the connection.
const ADMIN_RESETS_MAX: usize = 256;
/// Most bytes of a request's head in HTTP/2; frames that continue it are bounded by this too.
const ADMIN_HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
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
    connections_max: usize,
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
    Ok(Listener { socket, tls, connections_max })
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

    /// One permit for each connection that there may be.
    fn permits(&self, share: Share) -> Arc<Semaphore> {
        let most = connections_allowed(self.connections_max, share);
        Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))
    }

    /// The next connection within the bound, or none when stopping.
    async fn accept(
        &self,
        permits: &Arc<Semaphore>,
        metrics: &Metrics,
        tasks: &Tasks,
    ) -> Option<(Accepted, IpAddr)> {
        loop {
            let accepted = tokio::select! {
                () = tasks.stopping() => return None,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match Arc::clone(permits).try_acquire_owned() {
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
    let permits = listener.permits(Share::Nodes);
    let tasks = tasks.clone();
    drop(tasks.clone().spawn(async move {
        let metrics = Arc::clone(node.metrics());
        while let Some((accepted, address)) = listener.accept(&permits, &metrics, &tasks).await {
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
    let (heads, metrics) = (Heads::new(), Arc::clone(node.metrics()));
    let stream = Stall::new(stream, WRITE_PATIENCE);
    let mut stream = Punctual::new(stream, heads.clone(), node.patience());
    let reading = heads.clone();
    let mut service = service_fn(move |request: Request<Incoming>| {
        let (node, peer, answering) = (node.clone(), Arc::clone(&peer), reading.read());
        async move {
            let response = node.answer(request, &peer).await;
            let response = response.map(|body| Answer::new(body, answering));
            Ok::<Response<Answer<NodeBody>>, Infallible>(response)
        }
    });
    let mut protocol = http1::Builder::new();
    protocol
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .half_close(false);
    loop {
        let stirs = tokio::select! {
            stirs = stream.stirs() => stirs,
            () = tasks.stopping() => false,
        };
        if !stirs {
            return;
        }
        // Boxed: a connection that rests has none.
        let connection = Box::new(protocol.serve_connection(TokioIo::new(stream), service));
        let wind_up = http1::Connection::graceful_shutdown;
        let served = lanes::serve(connection, wind_up, &heads, &metrics, &tasks).await;
        let Some((connection, ended)) = served else { return };
        let parts = connection.into_parts();
        (stream, service) = (parts.io.into_inner(), parts.service);
        stream.give_back(parts.read_buf);
        if !stream.rests() {
            if let Err(error) = ended {
                debug!(error = %Chain(&error), "connection of a node ended");
            }
            return;
        }
    }
}

/// Serves `router`, of admins or of admission, on `listener` until shutdown begins, as a task of `tasks`.
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
    let permits = listener.permits(Share::Admins);
    let tasks = tasks.clone();
    drop(tasks.clone().spawn(async move {
        while let Some((accepted, address)) = listener.accept(&permits, &metrics, &tasks).await {
            let (router, tls, connection_tasks) = (router.clone(), tls.clone(), tasks.clone());
            drop(tasks.spawn(async move {
                let Accepted { stream, _permit } = accepted;
                match tls {
                    None => {
                        let peer = AdminPeer { address, has_certificate: false };
                        serve_admin(stream, router, peer, connection_tasks).await;
                    }
                    Some(tls) => {
                        if let Some(stream) = handshake(stream, &tls, address).await {
                            let shown = stream.get_ref().1.peer_certificates();
                            let has_certificate = shown.is_some_and(|it| !it.is_empty());
                            let peer = AdminPeer { address, has_certificate };
                            serve_admin(stream, router, peer, connection_tasks).await;
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

/// Whether a certificate was shown that the listener's settings accept, as a request extension.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownCertificate(pub(super) bool);

/// Who is at the other end of a connection that a router is served on.
#[derive(Debug, Clone, Copy)]
struct AdminPeer {
    address: IpAddr,
    has_certificate: bool,
}

async fn serve_admin<S>(stream: S, router: axum::Router, peer: AdminPeer, tasks: Tasks)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let AdminPeer { address, has_certificate } = peer;
    let router = router
        .layer(axum::Extension(AdminAddress(address)))
        .layer(axum::Extension(ShownCertificate(has_certificate)));
    let asked = activity.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (open, answering) = (asked.request(), router.clone().oneshot(request));
        async move { answering.await.map(|response| response.map(|body| Attended::new(body, open))) }
    });
    let builder = admin_protocol();
    let stream = Stall::new(stream, WRITE_PATIENCE);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = activity.lapsed() => {
            debug!(%address, "connection of an admin closed: nothing moved on it");
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

/// HTTP/1.1 and 2 within their bounds.
fn admin_protocol() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(ADMIN_HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(ADMIN_STREAMS_MAX)
        .max_pending_accept_reset_streams(ADMIN_RESETS_PENDING_MAX)
        .max_local_error_reset_streams(ADMIN_RESETS_MAX)
        .max_header_list_size(ADMIN_HEADER_LIST_BYTES_MAX);
    builder
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

    use super::super::attended::FIRST_REQUEST_TIMEOUT;
    use super::*;

    const PEER: AdminPeer =
        AdminPeer { address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), has_certificate: false };

    #[tokio::test(start_paused = true)]
    async fn an_admin_connection_that_asks_nothing_is_closed() {
        let (client, server) = tokio::io::duplex(64);
        let started = tokio::time::Instant::now();
        serve_admin(server, axum::Router::new(), PEER, Tasks::new()).await;
        assert_eq!(started.elapsed(), FIRST_REQUEST_TIMEOUT);
        drop(client);
    }

    #[tokio::test]
    async fn an_admin_connection_that_asks_is_answered() {
        let (mut client, server) = tokio::io::duplex(4096);
        let tasks = Tasks::new();
        let serving = tasks.spawn(serve_admin(server, axum::Router::new(), PEER, tasks.clone()));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        serving.await.unwrap();
    }
}
