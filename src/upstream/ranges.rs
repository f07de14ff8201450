//! The rest of a large blob over several connections at once: segments of it, asked for by `Range`,
//! given out in order.
//!
//! Each segment is taken up again on its own when it breaks off. An answer that is not exactly what
//! was asked for, of the blob that was begun with, ends the whole: the caller goes on over one
//! connection, from where it is. Memory is bounded by the number of segments at a time, those of all
//! blobs counted together, times their size.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_RANGE, IF_RANGE, RANGE};
use http::{HeaderValue, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::blob::{content_range, length, strong_etag, text};
use super::error::Error;
use super::location::Location;
use super::pace::{Growth, Step, rate};
use super::registry::{Ask, Reached, Upstream};
use super::transport::Content;

/// Segments at a time, of all blobs of all upstreams.
pub(super) const SEGMENTS_MAX: usize = 16;

/// Smaller pieces are put together, so that a piece is worth its place in a queue: 16 KiB.
const PIECE_BYTES_MIN: usize = 16 * 1024;

/// Why a blob does not come in ranges any more.
#[derive(Debug)]
pub(super) enum Ended {
    /// Too many segments are on their way already, or the program stops.
    Crowded,
    /// A segment cannot be had.
    Failed(Error),
    /// An answer is not the range that was asked for, or not of the same blob.
    Irregular,
    /// More connections bring nothing.
    NoGain,
}

/// What all segments of a blob have in common.
pub(super) struct Source {
    pub(super) upstream: Arc<Upstream>,
    pub(super) ask: Ask,
    /// Where redirects led, so that the registry need not be asked for each segment.
    pub(super) reached: Mutex<Option<Location>>,
    pub(super) size: u64,
    pub(super) etag: Option<HeaderValue>,
    /// Bytes that have come, given out or not.
    received: AtomicU64,
    resumes: AtomicU32,
    /// Whether the upstream asked to slow down.
    is_limited: AtomicBool,
}

/// The segments on their way.
pub(super) struct Ranges {
    source: Arc<Source>,
    segments: VecDeque<Segment>,
    /// Where the first segment begins.
    start: u64,
    /// Where the next one will.
    next: u64,
    connections: usize,
    growth: Growth,
    /// When the present number of connections began, and what had come by then.
    since: (Instant, u64),
    is_retiring: bool,
}

struct Segment {
    left: u64,
    pieces: mpsc::Receiver<Result<Bytes, Ended>>,
    /// `true` once an answer was found to be right and has brought something.
    opened: watch::Receiver<bool>,
    task: JoinHandle<()>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Source {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        ask: Ask,
        reached: Option<Location>,
        size: u64,
        etag: Option<HeaderValue>,
    ) -> Self {
        Self {
            upstream,
            ask,
            reached: Mutex::new(reached),
            size,
            etag,
            received: AtomicU64::new(0),
            resumes: AtomicU32::new(0),
            is_limited: AtomicBool::new(false),
        }
    }

    fn reached(&self) -> Option<Location> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The bytes from `from` up to `until`, by an answer that says it is them.
    async fn open(&self, from: u64, until: u64) -> Result<Content, Ended> {
        let mut ask = self.ask.clone();
        let range = format!("bytes={from}-{}", until.saturating_sub(1));
        ask.headers.insert(RANGE, HeaderValue::try_from(range).map_err(|_| Ended::Irregular)?);
        if let Some(etag) = &self.etag {
            ask.headers.insert(IF_RANGE, etag.clone());
        }
        if let Some(reached) = self.reached() {
            let mut call = ask.call(None);
            call.location = reached;
            let answer = self.upstream.transport.send(&call).await.map_err(Ended::Failed)?;
            if !has_expired(answer.status()) {
                let answer = self.upstream.judged(answer, false).await.map_err(Ended::Failed)?;
                return self.checked(answer, from, until);
            }
            answer.into_body().discard().await;
        }
        let answer = self.upstream.request(&ask).await.map_err(Ended::Failed)?;
        let reached = answer.extensions().get::<Reached>().map(|reached| reached.0.clone());
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = reached;
        self.checked(answer, from, until)
    }

    fn checked(&self, answer: Response<Content>, from: u64, until: u64) -> Result<Content, Ended> {
        let headers = answer.headers();
        let range = text(headers, CONTENT_RANGE).and_then(content_range);
        let etag = strong_etag(headers);
        let is_right = answer.status() == StatusCode::PARTIAL_CONTENT
            && range == Some((from, until.saturating_sub(1), Some(self.size)))
            && length(headers).is_none_or(|length| length == until - from)
            && etag.zip(self.etag.as_ref()).is_none_or(|(now, then)| now == *then);
        if is_right { Ok(answer.into_body()) } else { Err(Ended::Irregular) }
    }

    /// Sends the bytes from `at` up to `until` into `pieces`, over as many connections as it takes.
    async fn fetch(
        &self,
        mut at: u64,
        until: u64,
        pieces: &mpsc::Sender<Result<Bytes, Ended>>,
        opened: &watch::Sender<bool>,
    ) -> Result<(), Ended> {
        let mut resumed_at = None;
        loop {
            let broke = match self.open(at, until).await {
                Ok(mut content) => {
                    let passed = self.pass_on(&mut content, &mut at, until, (pieces, opened));
                    match passed.await? {
                        None => return Ok(()),
                        Some(error) => error,
                    }
                }
                Err(Ended::Failed(error)) => error,
                Err(ended) => return Err(ended),
            };
            let has_begun = *opened.borrow();
            let progressed = resumed_at.replace(at).is_none_or(|before| at > before);
            let wait = if let Error::RateLimited { retry_after, .. } = &broke {
                self.is_limited.store(true, Ordering::Relaxed);
                Some(*retry_after).filter(|wait| *wait <= self.upstream.limits.idle_timeout)
            } else {
                let passes = matches!(broke, Error::Transport { .. } | Error::TimedOut { .. });
                (passes && progressed).then(|| self.upstream.backoff(1))
            };
            let resumes = self.resumes.fetch_add(1, Ordering::Relaxed);
            let Some(wait) = wait.filter(|_| has_begun && resumes < self.upstream.limits.resumes)
            else {
                return Err(Ended::Failed(broke));
            };
            self.upstream.metrics.upstream_retries.increment();
            tokio::time::sleep(wait).await;
        }
    }

    /// Passes on what `content` brings, up to `until`; gives what broke it off before, if anything
    /// did.
    async fn pass_on(
        &self,
        content: &mut Content,
        at: &mut u64,
        until: u64,
        (pieces, opened): (&mpsc::Sender<Result<Bytes, Ended>>, &watch::Sender<bool>),
    ) -> Result<Option<Error>, Ended> {
        let mut gathered = BytesMut::new();
        let broke = loop {
            let piece = match content.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break None,
                Err(error) => break Some(error),
            };
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            if length > until - *at {
                return Err(Ended::Irregular);
            }
            opened.send_replace(true);
            *at += length;
            self.received.fetch_add(length, Ordering::Relaxed);
            if gathered.is_empty() && piece.len() >= PIECE_BYTES_MIN {
                send(pieces, piece).await?;
                continue;
            }
            gathered.extend_from_slice(&piece);
            if gathered.len() >= PIECE_BYTES_MIN {
                send(pieces, gathered.split().freeze()).await?;
            }
        };
        if !gathered.is_empty() {
            send(pieces, gathered.freeze()).await?;
        }
        if broke.is_none() && *at < until {
            return Err(Ended::Irregular);
        }
        Ok(broke.filter(|_| *at < until))
    }
}

async fn send(pieces: &mpsc::Sender<Result<Bytes, Ended>>, piece: Bytes) -> Result<(), Ended> {
    // The receiver is gone only together with the task that this runs in.
    pieces.send(Ok(piece)).await.map_err(|_| Ended::Crowded)
}

/// Whether a signed address may have run out: then the registry is asked for a new one.
fn has_expired(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::GONE | StatusCode::NOT_FOUND
    )
}

impl Ranges {
    /// Asks for the first segment, which begins at `start`. [`Self::opened`] tells whether the
    /// upstream plays along; until then nothing depends on it.
    ///
    /// `rate_of_one` is what one connection gave, in bytes in a second; without it nothing is tried,
    /// and all connections are used at once.
    pub(super) fn begin(
        source: Source,
        start: u64,
        rate_of_one: Option<u64>,
    ) -> Result<Self, Ended> {
        let max = source.upstream.limits.range_connections;
        let (connections, growth) = match rate_of_one {
            Some(rate) => (max.min(2), Growth::from_one(rate, max)),
            None => (max, Growth::settled()),
        };
        let mut ranges = Self {
            source: Arc::new(source),
            segments: VecDeque::new(),
            start,
            next: start,
            connections,
            growth,
            since: (Instant::now(), 0),
            is_retiring: false,
        };
        if ranges.ask_for_next() { Ok(ranges) } else { Err(Ended::Crowded) }
    }

    /// Where the first segment begins.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Whether the first answer is what was asked for, and brings something; waits for it no longer than a connection may
    /// take.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn opened(&mut self) -> bool {
        let patience = self.source.upstream.limits.connect_timeout;
        let Some(first) = self.segments.front_mut() else { return false };
        let answered = first.opened.wait_for(|opened| *opened);
        let is_open = matches!(tokio::time::timeout(patience, answered).await, Ok(Ok(_)));
        self.since = (Instant::now(), self.source.received.load(Ordering::Relaxed));
        is_open
    }

    /// The next piece; `None` at the end of the blob.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Ended> {
        loop {
            self.adapt();
            self.refill();
            let Some(first) = self.segments.front_mut() else {
                return match self.next >= self.source.size {
                    true => Ok(None),
                    false if self.is_retiring => Err(Ended::NoGain),
                    false => Err(Ended::Crowded),
                };
            };
            match first.pieces.recv().await {
                Some(Ok(piece)) => {
                    let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                    first.left = first.left.saturating_sub(length);
                    return Ok(Some(piece));
                }
                Some(Err(ended)) => return Err(ended),
                // Only now, so that its connection could be kept for the next segment.
                None if first.left == 0 => drop(self.segments.pop_front()),
                None => return Err(Ended::Crowded),
            }
        }
    }

    /// Finds out whether the present number of connections is worth it.
    fn adapt(&mut self) {
        if self.source.is_limited.load(Ordering::Relaxed) {
            self.growth = Growth::settled();
            self.connections = 1;
        }
        let (since, before) = self.since;
        let elapsed = since.elapsed();
        if self.growth.is_settled() || elapsed < self.period() {
            return;
        }
        let received = self.source.received.load(Ordering::Relaxed);
        let found = rate(received.saturating_sub(before), elapsed);
        let step = self.growth.step(found, self.connections);
        tracing::debug!(rate = found, connections = self.connections, ?step, "blob in ranges");
        match step {
            Step::Grow(connections) => self.connections = connections,
            Step::Retire => self.is_retiring = true,
            Step::Stay => {}
        }
        self.since = (Instant::now(), received);
    }

    fn period(&self) -> Duration {
        self.source.upstream.limits.range_after
    }

    fn refill(&mut self) {
        while !self.is_retiring
            && self.segments.len() < self.connections
            && self.next < self.source.size
            && self.ask_for_next()
        {}
    }

    /// Asks for one more segment; gives whether there was room for it.
    fn ask_for_next(&mut self) -> bool {
        let source = Arc::clone(&self.source);
        let permits = Arc::clone(&source.upstream.transport.segments);
        let Ok(permit) = permits.try_acquire_owned() else { return false };
        let segment = source.upstream.limits.range_segment_bytes.max(1);
        let (from, until) = (self.next, self.next.saturating_add(segment).min(source.size));
        let places = usize::try_from(segment).unwrap_or(usize::MAX) / PIECE_BYTES_MIN;
        let resumes = usize::try_from(source.upstream.limits.resumes).unwrap_or(usize::MAX);
        // Each piece but the last of each connection has its least size, so a segment always fits.
        let (send, pieces) = mpsc::channel(places.saturating_add(resumes).saturating_add(2));
        let (open, opened) = watch::channel(false);
        let tasks = source.upstream.transport.tasks.clone();
        let task = tasks.spawn_bulk(async move {
            if let Err(ended) = source.fetch(from, until, &send, &open).await {
                // Nobody listens any more: then nobody needs to know.
                send.send(Err(ended)).await.unwrap_or_default();
            }
        });
        let left = until - from;
        self.segments.push_back(Segment { left, pieces, opened, task, _permit: permit });
        self.next = until;
        true
    }
}
