//! One request, one answer: no authentication, no redirects, no second try.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::dial::Dialer;
use super::error::Error;
use super::location::{HostList, Location, Origin, Scheme};
use super::pool::{Pool, Sender};
use super::settings::Limits;
use crate::metrics::Metrics;
use crate::oci::Registry;
use crate::tasks::Tasks;

const AGENT: &str = concat!("pratique/", env!("CARGO_PKG_VERSION"));
/// Most that is read of a body nobody wants, so that its connection can be used again, in bytes.
const DRAIN_BYTES_MAX: usize = 16 * 1024;
/// Longest time spent on that.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);
/// Longest wait for a kept connection to take a request; it is at once or not worth it.
const READY_TIME_MAX: Duration = Duration::from_secs(1);
/// Read buffer of a connection: room for the largest head, and big pieces of bodies.
const BUFFER_BYTES: usize = 256 * 1024;
/// What has to come of a body within the idle time-out, in bytes: whoever sends less is as good as
/// silent, and would otherwise hold a fetch for ever with a byte now and then.
const PACE_BYTES_MIN: usize = 16 * 1024;
/// Most header lines of an answer.
const HEADER_LINES_MAX: usize = 200;

/// A request in the making.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) location: Location,
    /// Without `Host` and the like; values that are secrets are marked as sensitive.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Sends the requests of one upstream.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) registry: Registry,
    pub(super) dialer: Dialer,
    /// Hosts of the configuration: the only ones that may have an address that is not public.
    pub(super) exempt: Vec<HostList>,
    pub(super) pool: Arc<Pool>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) limits: Arc<Limits>,
    pub(super) tasks: Tasks,
    pub(super) metrics: Arc<Metrics>,
}

impl Transport {
    /// The answer to `call`, whatever its status is, with its body still to be read.
    ///
    /// # Errors
    /// When there is no connection, no answer in time, or one whose head is too large or whose
    /// content is encoded.
    pub(super) async fn send(&self, call: &Call) -> Result<Response<Content>, Error> {
        let permit = self.permit().await?;
        let origin = &call.location.origin;
        while let Some(mut sender) = self.pool.take(origin) {
            // A kept connection may have been closed by the other side at any moment; then a new
            // one gets the request, which is a GET, a HEAD or a login and safe to repeat.
            if !matches!(tokio::time::timeout(READY_TIME_MAX, sender.ready()).await, Ok(Ok(()))) {
                continue;
            }
            match self.exchange(&mut sender, call).await {
                Ok(answer) => return self.accept(answer, sender, origin, permit),
                Err(Error::Transport { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        let mut sender = self.connect(origin).await?;
        let answer = self.exchange(&mut sender, call).await?;
        self.accept(answer, sender, origin, permit)
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let acquired = tokio::time::timeout(
            self.limits.first_byte_timeout,
            Arc::clone(&self.permits).acquire_owned(),
        );
        match acquired.await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(self.timed_out("free connection")),
        }
    }

    async fn connect(&self, origin: &Origin) -> Result<Sender, Error> {
        let exempt = self.exempt.iter().any(|hosts| hosts.contains(origin));
        let stream = self.dialer.dial(origin, exempt).await?;
        let (sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .max_headers(HEADER_LINES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(error))?;
        drop(self.tasks.spawn(async move {
            // The sender, or the body being read, hears of the error too.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to an upstream ended with an error");
            }
        }));
        Ok(sender)
    }

    async fn exchange(
        &self,
        sender: &mut Sender,
        call: &Call,
    ) -> Result<Response<Incoming>, Error> {
        self.metrics.upstream_requests.increment();
        let request = self.request(call)?;
        let sent =
            tokio::time::timeout(self.limits.first_byte_timeout, sender.send_request(request));
        match sent.await {
            Ok(answer) => answer.map_err(|error| self.broken(error)),
            Err(_) => Err(self.timed_out("first byte")),
        }
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, Error> {
        let origin = &call.location.origin;
        let malformed = || Error::Malformed { registry: self.registry.clone(), what: "address" };
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.headers_mut() = call.headers.clone();
        let forwarded = self.dialer.proxies.to(origin).filter(|_| origin.scheme == Scheme::Http);
        *request.uri_mut() = match forwarded {
            None => call.location.target.clone().into(),
            Some(proxy) => {
                if let Some(authorization) = &proxy.authorization {
                    request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
                }
                call.location.absolute_form().parse().map_err(|_| malformed())?
            }
        };
        let host = HeaderValue::try_from(origin.authority()).map_err(|_| malformed())?;
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Ok(request)
    }

    fn accept(
        &self,
        answer: Response<Incoming>,
        sender: Sender,
        origin: &Origin,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<Content>, Error> {
        let head: usize = answer
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        if head > self.limits.header_bytes {
            let limit_bytes = self.limits.header_bytes;
            return Err(Error::HeadersTooLarge { registry: self.registry.clone(), limit_bytes });
        }
        let encoded = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
        if answer.headers().get_all(CONTENT_ENCODING).iter().any(encoded) {
            return Err(Error::ContentEncoded { registry: self.registry.clone() });
        }
        let lease = Lease { sender, origin: origin.clone(), pool: Arc::clone(&self.pool) };
        Ok(answer.map(|incoming| Content {
            incoming,
            lease: Some(lease),
            _permit: permit,
            registry: self.registry.clone(),
            pace: Pace::default(),
            limits: Arc::clone(&self.limits),
            metrics: Arc::clone(&self.metrics),
        }))
    }

    fn broken(&self, error: hyper::Error) -> Error {
        Error::Transport { registry: self.registry.clone(), source: Arc::new(error) }
    }

    fn timed_out(&self, stage: &'static str) -> Error {
        Error::TimedOut { registry: self.registry.clone(), stage }
    }
}

/// The body of an answer.
///
/// Its connection goes back to the pool when the body was read to its end, and is closed otherwise.
#[derive(Debug)]
pub(super) struct Content {
    incoming: Incoming,
    lease: Option<Lease>,
    _permit: OwnedSemaphorePermit,
    registry: Registry,
    pace: Pace,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
}

/// How fast a body has come lately; only the time that was spent waiting for it counts.
#[derive(Debug, Default)]
struct Pace {
    waited: Duration,
    bytes: usize,
}

impl Pace {
    /// Adds `bytes` that were waited for so long; gives whether that is too slow.
    fn is_too_slow(&mut self, waited: Duration, bytes: usize, window: Duration) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.bytes >= PACE_BYTES_MIN {
            *self = Self::default();
        }
        self.waited > window
    }
}

#[derive(Debug)]
struct Lease {
    sender: Sender,
    origin: Origin,
    pool: Arc<Pool>,
}

impl Content {
    /// The next piece; `None` at the end. Waits no longer than the idle time-out, and no longer than
    /// that for [`PACE_BYTES_MIN`] in many pieces.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let since = Instant::now();
            let waited = tokio::time::timeout(self.limits.idle_timeout, self.incoming.frame());
            let Ok(frame) = waited.await else { return Err(self.too_slow()) };
            match frame {
                None => {
                    if let Some(lease) = self.lease.take() {
                        lease.pool.put(lease.origin, lease.sender);
                    }
                    return Ok(None);
                }
                Some(Ok(frame)) => {
                    // Anything else is a trailer, which nobody asked for.
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        self.metrics.upstream_bytes.add(u64::try_from(data.len()).unwrap_or(0));
                        let (waited, window) = (since.elapsed(), self.limits.idle_timeout);
                        if self.pace.is_too_slow(waited, data.len(), window) {
                            return Err(self.too_slow());
                        }
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    let registry = self.registry.clone();
                    return Err(Error::Transport { registry, source: Arc::new(error) });
                }
            }
        }
    }

    fn too_slow(&self) -> Error {
        Error::TimedOut { registry: self.registry.clone(), stage: "body" }
    }

    /// The whole rest, which may have `limit_bytes` at most, and is small: it has to be there within
    /// the idle time-out.
    pub(super) async fn read_all(self, limit_bytes: usize) -> Result<Bytes, Error> {
        let (window, too_slow) = (self.limits.idle_timeout, self.too_slow());
        tokio::time::timeout(window, self.read_to_end(limit_bytes)).await.unwrap_or(Err(too_slow))
    }

    async fn read_to_end(mut self, limit_bytes: usize) -> Result<Bytes, Error> {
        let too_large = || Error::TooLarge { registry: self.registry.clone(), limit_bytes };
        let announced = self.incoming.size_hint().lower();
        if usize::try_from(announced).map_or(true, |announced| announced > limit_bytes) {
            return Err(too_large());
        }
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            if whole.len() + piece.len() > limit_bytes {
                return Err(Error::TooLarge { registry: self.registry, limit_bytes });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }

    /// Reads a small body to its end, so that the connection can be used again; a big or slow one
    /// costs the connection.
    pub(super) async fn discard(mut self) {
        let drained = tokio::time::timeout(DRAIN_TIME_MAX, async {
            let mut read = 0;
            while let Ok(Some(piece)) = self.next().await {
                read += piece.len();
                if read > DRAIN_BYTES_MAX {
                    return;
                }
            }
        });
        // Not in time is as good as too big.
        drained.await.unwrap_or_default();
    }
}
