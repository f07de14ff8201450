//! Connections: name look-up, address filter, TCP, proxy, TLS.
//!
//! Addresses are judged here, on the very address that is dialled, and nowhere else: a name that
//! resolves differently a second time gains nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::is_public;
use super::error::Error;
use super::location::{Origin, Scheme};
use super::proxy::{Proxies, Proxy};
use crate::metrics::Metrics;
use crate::oci::Registry;

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;
/// Longest answer of a proxy to `CONNECT`, in bytes.
const CONNECT_ANSWER_BYTES_MAX: usize = 16 * 1024;

/// A byte stream to an origin.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Makes the connections of one upstream.
#[derive(Debug)]
pub(super) struct Dialer {
    pub(super) registry: Registry,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) proxies: Arc<Proxies>,
    pub(super) connect_timeout: Duration,
    pub(super) metrics: Arc<Metrics>,
}

impl Dialer {
    /// A stream to `origin`, within the connect time-out.
    ///
    /// `exempt` lifts the address filter: only for hosts written in the configuration.
    pub(super) async fn dial(
        &self,
        origin: &Origin,
        exempt: bool,
    ) -> Result<Box<dyn Stream>, Error> {
        match tokio::time::timeout(self.connect_timeout, self.dial_now(origin, exempt)).await {
            Ok(dialled) => dialled,
            Err(_) => Err(Error::TimedOut { registry: self.registry.clone(), stage: "connect" }),
        }
    }

    async fn dial_now(&self, origin: &Origin, exempt: bool) -> Result<Box<dyn Stream>, Error> {
        let tcp = match self.proxies.to(origin) {
            None => self.direct(origin, exempt).await?,
            Some(proxy) => {
                if !exempt {
                    self.judge_by_local_answer(origin).await?;
                }
                self.through(proxy, origin).await?
            }
        };
        match origin.scheme {
            Scheme::Http => Ok(Box::new(tcp)),
            Scheme::Https => {
                let tls_error = |source| self.tls_error(source);
                let name = ServerName::try_from(origin.host.clone())
                    .map_err(|error| tls_error(io::Error::other(error)))?;
                let connector = TlsConnector::from(Arc::clone(&self.tls));
                Ok(Box::new(connector.connect(name, tcp).await.map_err(tls_error)?))
            }
        }
    }

    async fn direct(&self, origin: &Origin, exempt: bool) -> Result<TcpStream, Error> {
        let addresses =
            look_up(&origin.host, origin.port).await.map_err(|e| self.connect_error(e))?;
        let found = !addresses.is_empty();
        let mut last = None;
        for address in addresses {
            if !exempt && !is_public(address.ip()) {
                self.metrics.addresses_refused.increment();
                tracing::warn!(
                    registry = %self.registry,
                    host = %origin.host,
                    address = %address.ip(),
                    "address refused: not public, and the host does not stand in the configuration"
                );
                continue;
            }
            match connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => Err(self.connect_error(error)),
            None if found => Err(self.address_refused(origin)),
            None => Err(self.connect_error(io::Error::other("name has no address"))),
        }
    }

    /// Behind a proxy only literal addresses and what this machine itself resolves can be judged;
    /// a name that only the proxy can resolve passes.
    async fn judge_by_local_answer(&self, origin: &Origin) -> Result<(), Error> {
        let addresses = look_up(&origin.host, origin.port).await.unwrap_or_default();
        if addresses.iter().all(|address| is_public(address.ip())) {
            return Ok(());
        }
        self.metrics.addresses_refused.increment();
        Err(self.address_refused(origin))
    }

    async fn through(&self, proxy: &Proxy, origin: &Origin) -> Result<TcpStream, Error> {
        let failed = |error| self.connect_error(error);
        let mut stream = None;
        let mut last = io::Error::other("proxy has no address");
        for address in look_up(&proxy.host, proxy.port).await.map_err(failed)? {
            match connect(address).await {
                Ok(connected) => {
                    stream = Some(connected);
                    break;
                }
                Err(error) => last = error,
            }
        }
        let mut stream = stream.ok_or_else(|| failed(last))?;
        if origin.scheme == Scheme::Https {
            tunnel(&mut stream, proxy, origin).await.map_err(failed)?;
        }
        Ok(stream)
    }

    fn connect_error(&self, source: io::Error) -> Error {
        Error::Connect { registry: self.registry.clone(), source: Arc::new(source) }
    }

    fn tls_error(&self, source: io::Error) -> Error {
        Error::Tls { registry: self.registry.clone(), source: Arc::new(source) }
    }

    fn address_refused(&self, origin: &Origin) -> Error {
        Error::AddressRefused { registry: self.registry.clone(), host: origin.host.clone() }
    }
}

/// The addresses of `host`, at most [`ADDRESSES_MAX`].
async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    Ok(tokio::net::lookup_host((host, port)).await?.take(ADDRESSES_MAX).collect())
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Asks `proxy` for a tunnel to `origin`.
///
/// Spec: RFC 9110 section 9.3.6.
async fn tunnel(stream: &mut TcpStream, proxy: &Proxy, origin: &Origin) -> io::Result<()> {
    let target = origin.host_and_port();
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    let mut answer = Vec::new();
    // One byte at a time: whatever follows the head belongs to the tunnel.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= CONNECT_ANSWER_BYTES_MAX {
            return Err(io::Error::other("answer of the proxy is too long"));
        }
        answer.push(stream.read_u8().await?);
    }
    let status = answer.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    if answer.starts_with(b"HTTP/1.") && status.starts_with(b"2") && status.len() == 3 {
        return Ok(());
    }
    Err(io::Error::other("proxy refused the tunnel"))
}
