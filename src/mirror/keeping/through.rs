//! A blob that goes past the store, because there is no room for it or the disk fails.
//!
//! Nothing is shared and nothing kept: each node gets a stream of its own, hashed on the way. The last
//! 64 KiB of a response wait for the hash of the whole blob, as everywhere, so that a stream which
//! ends cleanly carries right bytes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::debug;

use crate::mirror::{Error, Mirror};
use crate::oci::{ByteRange, Digest, Name};
use crate::store::{self, HOLD_BACK_BYTES};
use crate::tasks::Tasks;
use crate::upstream::BlobStream;

/// Blobs that go past the store at one time; more are told to come again.
const THROUGHS_MAX: usize = 32;
/// Pieces that wait for a slow client; upstream waits then.
const QUEUE_PIECES: usize = 4;

/// The permits for blobs that go past the store.
#[derive(Debug, Clone)]
pub(crate) struct Throughs(Arc<Semaphore>);

impl Default for Throughs {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(THROUGHS_MAX)))
    }
}

/// A blob that goes past the store, once.
#[derive(Clone)]
pub struct Through {
    digest: Digest,
    size: u64,
    why: Arc<store::Error>,
    tasks: Tasks,
    /// Taken by the first reader.
    source: Arc<Mutex<Option<Source>>>,
}

struct Source {
    stream: BlobStream,
    permit: OwnedSemaphorePermit,
}

/// Bytes of a blob that goes past the store.
#[derive(Debug)]
pub struct ThroughReader {
    pieces: mpsc::Receiver<Result<Bytes, store::Error>>,
    digest: Digest,
    failed: Option<store::Error>,
    left: u64,
}

impl Mirror {
    /// The blob as upstream sends it, hashed on the way, because the store cannot take it (`why`).
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too many go that way already; when upstream does not send it.
    pub(in crate::mirror) async fn pass_through(
        &self,
        name: &Name,
        digest: &Digest,
        size: u64,
        why: Arc<store::Error>,
    ) -> Result<Through, Error> {
        let permits = Arc::clone(&self.inner.throughs.0);
        let permit = permits.try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let stream = self.client().fetch_blob(name, digest).await?;
        let stream = stream.ok_or_else(|| Error::Absent(format!("{name}@{digest}").into()))?;
        debug!(%name, %digest, %why, "blob goes past the store");
        self.metrics().blobs_through.increment();
        let source = Arc::new(Mutex::new(Some(Source { stream, permit })));
        Ok(Through { digest: *digest, size, why, tasks: self.tasks().clone(), source })
    }
}

impl Through {
    /// Why it is not in the store.
    pub(in crate::mirror) fn why_not_stored(&self) -> Error {
        Error::Store(Arc::clone(&self.why))
    }

    /// The bytes in `range`; only the first reader gets any. Must be called on a runtime.
    pub(in crate::mirror) fn reader(&self, range: ByteRange) -> ThroughReader {
        let (send, pieces) = mpsc::channel(QUEUE_PIECES);
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
        let end = range.end.min(self.size);
        let range = ByteRange { start: range.start.min(end), end };
        if let Some(source) = source {
            let pump = Pump { digest: self.digest, size: self.size, range, send };
            drop(self.tasks.spawn(pump.run(source)));
        }
        let left = range.end - range.start;
        ThroughReader { pieces, digest: self.digest, failed: None, left }
    }
}

impl ThroughReader {
    /// The next bytes; `None` at the clean end.
    ///
    /// # Errors
    /// When upstream fails, or sent something else; every call after that gives the same.
    pub(in crate::mirror) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, store::Error>> {
        if let Some(failed) = &self.failed {
            return Poll::Ready(Err(failed.clone()));
        }
        let piece = match std::task::ready!(self.pieces.poll_recv(context)) {
            Some(Ok(piece)) => {
                self.left = self.left.saturating_sub(length(&piece));
                return Poll::Ready(Ok(Some(piece)));
            }
            Some(Err(error)) => error,
            // An end that the pump did not reach is no clean one, whatever became of it.
            None if self.left == 0 => return Poll::Ready(Ok(None)),
            None => store::Error::Aborted { digest: self.digest },
        };
        self.failed = Some(piece.clone());
        Poll::Ready(Err(piece))
    }
}

/// Hashes a stream and hands on what lies in a range.
struct Pump {
    digest: Digest,
    size: u64,
    range: ByteRange,
    send: mpsc::Sender<Result<Bytes, store::Error>>,
}

impl Pump {
    async fn run(self, source: Source) {
        let Source { stream, permit } = source;
        if let Err(error) = self.pump(stream).await {
            debug!(digest = %self.digest, %error, "blob did not get past the store");
            // Whoever read may be gone.
            drop(self.send.send(Err(error)).await);
        }
        drop(permit);
    }

    async fn pump(&self, mut stream: BlobStream) -> Result<(), store::Error> {
        let Self { digest, size, range, send } = self;
        let (mut hasher, mut position) = (digest.algorithm().hasher(), 0);
        let (mut held, mut held_bytes) = (VecDeque::new(), 0);
        let aborted = || store::Error::Aborted { digest: *digest };
        loop {
            let next = tokio::select! {
                next = stream.next() => next,
                () = send.closed() => return Err(aborted()),
            };
            let piece = next.map_err(|error| {
                debug!(%digest, %error, "upstream failed");
                aborted()
            })?;
            let Some(piece) = piece else { break };
            hasher.update(&piece);
            let (start, end) = (position, position + length(&piece));
            position = end;
            if end > *size {
                return Err(store::Error::TooLong { digest: *digest, size: *size });
            }
            let (from, to) = (range.start.clamp(start, end), range.end.clamp(start, end));
            if from < to {
                held.push_back(piece.slice(index(from - start)..index(to - start)));
                held_bytes += to - from;
            }
            while let Some(first) = held.front()
                && held_bytes - length(first) >= HOLD_BACK_BYTES
                && let Some(first) = held.pop_front()
            {
                held_bytes -= length(&first);
                send.send(Ok(first)).await.map_err(|_gone| aborted())?;
            }
        }
        if position < *size {
            let (digest, size) = (*digest, *size);
            return Err(store::Error::TooShort { digest, size, written: position });
        }
        let found = hasher.finish();
        if found != *digest {
            return Err(store::Error::DigestMismatch { digest: *digest, found: Box::new(found) });
        }
        for piece in held {
            send.send(Ok(piece)).await.map_err(|_gone| aborted())?;
        }
        Ok(())
    }
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

impl fmt::Debug for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Through")
            .field("digest", &self.digest)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
