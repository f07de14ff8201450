//! Reading a blob, stored or arriving: one stream of chunks behind a mark.
//!
//! A reader gives what can be read already, but the last [`HOLD_BACK_BYTES`] of its own range only
//! once the *whole* blob has been found to have its digest. So a stream that ends cleanly carries
//! right bytes, also for a range, and a stream of wrong bytes ends with an error, never cleanly.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::content::Content;
use super::error::Error;
use super::length_of;
use super::map::{self, WholeMap};
use super::progress::Watch;
use super::room::Room;
use crate::oci::ByteRange;

/// How much of the end of every response waits until the blob is verified: 64 KiB.
pub const HOLD_BACK_BYTES: u64 = 64 * 1024;

/// The largest chunk that a reader gives: 1 MiB.
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// Stretches up to this are copied in [`ReadMode::Map`] too: mapping them costs more.
const MAP_BYTES_MIN: u64 = 64 * 1024;

/// How a reader gets at the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// By copying into buffers: for everything that looks at the bytes, such as TLS.
    Copy,
    /// By memory map: for plain sockets, to which the kernel copies by itself. The receiver must
    /// not look at the bytes: a failing disk would end the process (see the `map` module).
    Map,
}

/// A stream of some of a blob's bytes; keeps the blob readable after it was removed.
pub struct BlobReader {
    room: Arc<Room>,
    content: Arc<Content>,
    mode: ReadMode,
    /// What has been given lies before it.
    position: u64,
    end: u64,
    /// `None` once the blob is trusted.
    progress: Option<Watch>,
    /// Bytes from `position` on that may be given.
    stretch: Bytes,
    whole: Whole,
    pending: Option<Pin<Box<dyn Future<Output = Step> + Send>>>,
    failed: Option<Error>,
}

/// A stream of some bytes of a blob that may still be arriving.
pub type ArrivingReader = BlobReader;

/// The map of the whole blob, as far as a reader knows of one.
enum Whole {
    Mapped(WholeMap),
    None,
    Unasked,
}

/// What a reader has waited for.
enum Step {
    Moved(Watch),
    Read(Result<Bytes, Error>),
}

impl BlobReader {
    pub(super) fn new(
        room: Arc<Room>,
        content: Arc<Content>,
        range: ByteRange,
        mode: ReadMode,
        progress: Option<Watch>,
    ) -> Self {
        let end = range.end.min(content.size);
        let position = range.start.min(end);
        Self {
            room,
            content,
            mode,
            position,
            end,
            progress,
            stretch: Bytes::new(),
            whole: Whole::Unasked,
            pending: None,
            failed: None,
        }
    }

    /// The next chunk, of at most [`CHUNK_BYTES_MAX`]; `None` when all was given and is verified.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a stored blob turns out damaged, which removes it; what made an
    /// arriving blob fail, [`Error::Aborted`] if it just stopped; [`Error::Read`] if the disk fails.
    /// After an error every call gives that error.
    ///
    /// # Cancel safety
    /// Cancel safe: what was waited for is kept, and a chunk is either given or still to come.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// What [`Self::next`] waits for, as a poll, for response bodies.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        let result = ready!(self.poll_chunk(context));
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.stretch.clear();
        }
        Poll::Ready(result)
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if !self.stretch.is_empty() {
                let chunk = self.stretch.split_to(self.stretch.len().min(CHUNK_BYTES_MAX));
                self.position += length_of(&chunk);
                return Poll::Ready(Ok(Some(chunk)));
            }
            if let Some(pending) = &mut self.pending {
                let step = ready!(pending.as_mut().poll(context));
                self.pending = None;
                match step {
                    Step::Moved(progress) => self.progress = Some(progress),
                    Step::Read(stretch) => self.stretch = stretch?,
                }
                continue;
            }
            let until = self.readable()?;
            if until > self.position {
                self.read(until);
            } else if let Some(progress) = self.progress.take() {
                self.pending = Some(Box::pin(moved(progress)));
            } else {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// Up to where may be given now.
    fn readable(&mut self) -> Result<u64, Error> {
        let Some(progress) = &mut self.progress else { return Ok(self.end) };
        let (available, settled) = {
            let now = progress.borrow_and_update();
            (now.available, now.settled.clone())
        };
        match settled {
            None => Ok(available.min(self.end.saturating_sub(HOLD_BACK_BYTES))),
            Some(Ok(())) => {
                self.progress = None;
                Ok(self.end)
            }
            Some(Err(error)) => Err(error),
        }
    }

    /// Reads a stretch that ends before `until`: at once if it is in memory, else on the pool for
    /// blocking work.
    fn read(&mut self, until: u64) {
        let (offset, length) = (self.position, until - self.position);
        let is_copy = self.mode == ReadMode::Copy || length <= MAP_BYTES_MIN;
        let whole = if is_copy { None } else { self.whole() };
        if let Ok(file) = self.content.file() {
            let resident = match &whole {
                Some(whole) => whole.resident(file, offset, length),
                None if is_copy => self.room.buffers.read_resident(file, offset, length),
                None => None,
            };
            if let Some(stretch) = resident {
                self.stretch = stretch;
                return;
            }
        }
        let (room, content) = (Arc::clone(&self.room), Arc::clone(&self.content));
        let work = self.room.tasks.spawn_blocking(move || {
            let file = content.file();
            let mapped = match (&file, &whole) {
                (Ok(file), Some(whole)) => whole.read_in(file, offset, length),
                (Ok(file), None) if !is_copy => map::window(file, offset, length),
                _ => Err(std::io::ErrorKind::Unsupported.into()),
            };
            let copied = |_| room.buffers.read(file?, offset, length);
            mapped.or_else(copied).map_err(|error| room.count(room.read_failed(&content, error)))
        });
        self.pending =
            Some(Box::pin(async { Step::Read(work.await.unwrap_or(Err(Error::Interrupted))) }));
    }

    /// The map of the whole blob, if there is room for one; asked for once.
    fn whole(&mut self) -> Option<WholeMap> {
        if matches!(self.whole, Whole::Unasked) {
            self.whole = self.room.maps.of(&self.content).map_or(Whole::None, Whole::Mapped);
        }
        match &self.whole {
            Whole::Mapped(whole) => Some(whole.clone()),
            Whole::None | Whole::Unasked => None,
        }
    }
}

/// Waits until there is something new to see. One who reports no more has left the last word, or
/// has been stopped without one.
async fn moved(mut progress: Watch) -> Step {
    if progress.changed().await.is_ok() || progress.borrow().settled.is_some() {
        return Step::Moved(progress);
    }
    Step::Read(Err(Error::Interrupted))
}

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobReader")
            .field("digest", &self.content.digest)
            .field("position", &self.position)
            .field("end", &self.end)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
