//! Request heads that do not come, or do not come to an end: not for ever.
//!
//! Two kinds of silence are told apart, which hyper's own timeout cannot: a connection that rests
//! between two requests may rest long, because clients keep connections for later; a head that has
//! begun has to end soon, because only an attacker sends one byte at a time.
//!
//! The one timer of a connection is moved only when it is found to stand wrong, so that a request on
//! a busy connection costs a look at the clock and no timer at all. It has to run while an answer is
//! sent, too: hyper does not read again by itself after one.
//!
//! A connection that has rested for a moment says so by an error of its own ([`Punctual::rests`]), on
//! which the protocol's state and its 16 KiB of buffers can be dropped: ten thousand nodes that ask
//! nothing then cost little more than their sockets. [`Punctual::stirs`] waits for the next byte. What
//! the protocol had read and not looked at yet has to be given back ([`Punctual::give_back`]): a head
//! may have begun in the same bytes in which the one before it ended.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a connection rests before its protocol's state is dropped.
const REST_BEGINS: Duration = Duration::from_millis(250);
/// The longest pause between two looks at whether a long answer has ended.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(4);
/// Answers of so many bytes and more are large ones.
pub(super) const LARGE_BYTES: u64 = 256 * 1024;
/// Bytes that are read to see that a connection rests no more.
const FIRST_BYTES: usize = 64;

/// How long a client is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the rest of a head that has begun.
    pub(super) head: Duration,
    /// For the first byte of the next head.
    pub(super) idle: Duration,
}

/// What the two ends of a connection tell each other: the reader of bytes and the answering service.
#[derive(Debug, Clone)]
pub(super) struct Heads(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    begun: Instant,
    /// Heads that were read to their end.
    read: AtomicU32,
    answering: AtomicBool,
    /// Whether the answer under way is a large one.
    large: AtomicBool,
    /// When the last answer ended, in milliseconds after `begun`.
    answered: AtomicU64,
}

impl Heads {
    /// Those of a connection that begins now.
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            begun: Instant::now(),
            read: AtomicU32::new(0),
            answering: AtomicBool::new(false),
            large: AtomicBool::new(false),
            answered: AtomicU64::new(0),
        }))
    }

    /// A head was read; the client is answered until the guard is dropped.
    pub(super) fn read(&self) -> Answering {
        self.0.read.fetch_add(1, Ordering::Relaxed);
        self.0.answering.store(true, Ordering::Relaxed);
        Answering(Arc::clone(&self.0))
    }

    fn count(&self) -> u32 {
        self.0.read.load(Ordering::Relaxed)
    }

    fn is_answering(&self) -> bool {
        self.0.answering.load(Ordering::Relaxed)
    }

    /// Whether the client is being sent something large.
    pub(super) fn is_sending_large(&self) -> bool {
        self.0.large.load(Ordering::Relaxed)
    }

    /// Since when the connection rests: the end of the last answer, or its own beginning.
    fn resting_since(&self) -> Instant {
        self.0.begun + Duration::from_millis(self.0.answered.load(Ordering::Relaxed))
    }
}

/// While it lives, the client waits for us and not we for the client.
#[derive(Debug)]
pub(super) struct Answering(Arc<Shared>);

impl Drop for Answering {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.answered.store(now, Ordering::Relaxed);
        self.0.large.store(false, Ordering::Relaxed);
        self.0.answering.store(false, Ordering::Relaxed);
    }
}

/// A body whose end is the end of the answer.
#[derive(Debug)]
pub(super) struct Answer<B> {
    body: B,
    _answering: Answering,
}

impl<B: Body> Answer<B> {
    /// `body`, sent while `answering`.
    pub(super) fn new(body: B, answering: Answering) -> Self {
        if body.size_hint().lower() >= LARGE_BYTES {
            answering.0.large.store(true, Ordering::Relaxed);
        }
        Self { body, _answering: answering }
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection on which reading fails when the client keeps us waiting for a head.
#[derive(Debug)]
pub(super) struct Punctual<S> {
    inner: S,
    heads: Heads,
    patience: Patience,
    /// Bytes of a head have come; how many heads had been read before them.
    begun: Option<u32>,
    /// Since when the rest of that head is waited for.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When to look next whether the answer has ended; grows with the answer.
    look_pause: Duration,
    /// What was written last has not all left.
    unsent: bool,
    rests: bool,
    /// Bytes that were read before anybody asked for them.
    first: Bytes,
}

impl<S> Punctual<S> {
    /// `inner`, whose answers are told of by `heads`.
    pub(super) fn new(inner: S, heads: Heads, patience: Patience) -> Self {
        Self {
            inner,
            heads,
            patience,
            begun: None,
            since: None,
            timer: None,
            look_pause: REST_BEGINS,
            unsent: false,
            rests: false,
            first: Bytes::new(),
        }
    }

    /// Whether the connection ended for no other reason than that it rests.
    pub(super) fn rests(&self) -> bool {
        self.rests
    }

    /// Takes back what was read from here and not used, for the next read.
    pub(super) fn give_back(&mut self, unused: Bytes) {
        self.first = unused;
    }

    fn sent<T>(&mut self, sent: Poll<T>) -> Poll<T> {
        self.unsent = sent.is_pending();
        sent
    }

    fn has_read(&mut self) {
        let count = self.heads.count();
        if self.begun != Some(count) {
            self.begun = Some(count);
            self.since = None;
            self.look_pause = REST_BEGINS;
        }
    }

    /// Nothing can be read now: whether that has lasted too long.
    fn waits(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let in_head = self.begun == Some(self.heads.count());
        if self.heads.is_answering() {
            self.since = None;
            return self.look_again(context);
        }
        let rest_begins = REST_BEGINS.min(self.patience.idle);
        let deadline = if in_head {
            *self.since.get_or_insert_with(Instant::now) + self.patience.head
        } else if self.unsent {
            self.heads.resting_since() + self.patience.idle
        } else {
            self.heads.resting_since() + rest_begins
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= deadline {
                self.rests = !in_head && !self.unsent;
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// Has the reader woken in a while: the answer may have ended by then.
    fn look_again(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pause = self.look_pause.min(self.patience.idle);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        while timer.as_mut().poll(context).is_ready() {
            self.look_pause = (self.look_pause * 2).min(LOOK_PAUSE_MAX);
            timer.as_mut().reset(Instant::now() + self.look_pause.min(self.patience.idle));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> Punctual<S> {
    /// Waits for the first byte of the next head; false when the connection ended or rested too long.
    ///
    /// # Cancel safety
    /// Cancel safe: what was read is kept for the next read.
    pub(super) async fn stirs(&mut self) -> bool {
        self.rests = false;
        self.timer = None;
        let deadline = self.heads.resting_since() + self.patience.idle;
        let reading = poll_fn(|context| {
            if !self.first.is_empty() {
                return Poll::Ready(true);
            }
            let mut bytes = [0; FIRST_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer));
            self.first = Bytes::copy_from_slice(buffer.filled());
            Poll::Ready(read.is_ok() && !self.first.is_empty())
        });
        tokio::time::timeout_at(deadline, reading).await.unwrap_or(false)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Punctual<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(self.first.get(..length).unwrap_or_default());
            self.first.advance(length);
            self.has_read();
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Pending => self.waits(context),
            ready @ Poll::Ready(_) => {
                if buffer.filled().len() > before {
                    self.has_read();
                }
                ready
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Punctual<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.sent(sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.sent(sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.inner).poll_flush(context);
        self.sent(sent)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rests {
            // Only the protocol ends.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATIENCE: Patience =
        Patience { head: Duration::from_secs(10), idle: Duration::from_secs(75) };

    async fn read(server: &mut Punctual<tokio::io::DuplexStream>) -> io::Result<usize> {
        server.read(&mut [0; 64]).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_rests_is_closed_after_the_idle_time() {
        let (mut client, server) = tokio::io::duplex(64);
        let heads = Heads::new();
        let mut server = Punctual::new(server, heads.clone(), PATIENCE);
        for _ in 0..3 {
            let resting = tokio::time::timeout(Duration::from_secs(72), server.stirs()).await;
            assert!(resting.is_err(), "given up early");
            client.write_all(b"GET").await.unwrap();
            assert!(server.stirs().await);
            assert_eq!(read(&mut server).await.unwrap(), 3);
            drop(heads.read());
            let started = Instant::now();
            assert_eq!(read(&mut server).await.unwrap_err().kind(), ErrorKind::TimedOut);
            assert!(server.rests() && started.elapsed() == REST_BEGINS);
        }
        let started = Instant::now();
        assert!(!server.stirs().await);
        assert_eq!(started.elapsed() + REST_BEGINS, PATIENCE.idle);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_dropped_while_an_answer_has_not_left() {
        let (mut client, server) = tokio::io::duplex(4);
        let heads = Heads::new();
        let mut server = Punctual::new(server, heads.clone(), PATIENCE);
        drop(heads.read());
        let sending = tokio::time::timeout(Duration::from_secs(1), server.write_all(b"too long"));
        assert!(sending.await.is_err());
        let started = Instant::now();
        assert_eq!(read(&mut server).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(!server.rests());
        assert_eq!(started.elapsed() + Duration::from_secs(1), PATIENCE.idle);
        assert_eq!(client.read(&mut [0; 64]).await.unwrap(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_given_up_ten_seconds_after_it_began() {
        let (mut client, server) = tokio::io::duplex(64);
        let heads = Heads::new();
        let mut server = Punctual::new(server, heads.clone(), PATIENCE);
        let resting = tokio::time::timeout(Duration::from_mins(1), server.stirs()).await;
        assert!(resting.is_err());
        let started = Instant::now();
        let dripping = async {
            loop {
                client.write_all(b"x").await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let reading = async {
            assert!(server.stirs().await);
            while read(&mut server).await.is_ok() {}
            assert!(!server.rests());
        };
        tokio::select! {
            () = reading => {}
            () = dripping => {}
        }
        assert_eq!(started.elapsed(), PATIENCE.head);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_last_and_what_is_sent_meanwhile_counts_from_its_end() {
        let (mut client, server) = tokio::io::duplex(64);
        let heads = Heads::new();
        let mut server = Punctual::new(server, heads.clone(), PATIENCE);
        client.write_all(b"GET 1").await.unwrap();
        assert_eq!(read(&mut server).await.unwrap(), 5);
        let answering = heads.read();
        client.write_all(b"GE").await.unwrap();
        assert_eq!(read(&mut server).await.unwrap(), 2);
        let long = tokio::time::timeout(Duration::from_hours(1), read(&mut server)).await;
        assert!(long.is_err(), "closed while the client was being answered");
        drop(answering);
        let started = Instant::now();
        assert_eq!(read(&mut server).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(started.elapsed(), PATIENCE.head);
    }
}
