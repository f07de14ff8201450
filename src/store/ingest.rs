//! Writing a blob while it arrives.
//!
//! One writer per blob, on the pool for blocking work, hashes and writes what comes through a
//! bounded channel. The file lies under `ingest/` until it is complete, has its digest, and is
//! synced; then it gets its name. Whatever else happens, the file is removed, and the readers get an
//! error.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::blob::Blob;
use super::content::{Content, Identity};
use super::error::Error;
use super::keep::Reservation;
use super::layout::Partial;
use super::length_of;
use super::progress::{self, Reporter, Watch};
use super::reader::{ArrivingReader, BlobReader, ReadMode};
use super::room::Room;
use crate::oci::{ByteRange, Digest, Hasher};
use crate::tasks::give_way;

/// Chunks that may wait for the writer; a faster sender waits.
const QUEUE_CHUNKS: usize = 16;

/// Bytes that are hashed before other threads have their turn: 64 KiB, some 30 µs.
const HASH_BYTES: usize = 64 * 1024;
/// While more chunks wait, readers are told of new bytes only this often: 256 KiB.
const REPORT_BYTES: u64 = 256 * 1024;

/// A blob being written; dropping it without [`Ingest::commit`] removes what was written.
#[derive(Debug)]
pub struct Ingest {
    arriving: Arriving,
    /// `None` after too much was offered.
    queue: Option<mpsc::Sender<Message>>,
    written: u64,
    /// `None` once there is a file.
    ready: Option<oneshot::Receiver<()>>,
}

/// A blob that arrives, for those who want to read it meanwhile; stays readable after that.
#[derive(Clone)]
pub struct Arriving {
    room: Arc<Room>,
    content: Arc<Content>,
    progress: Watch,
}

enum Message {
    Chunk(Bytes),
    Commit(oneshot::Sender<Result<Blob, Error>>),
}

struct Writer {
    room: Arc<Room>,
    content: Arc<Content>,
    reporter: Reporter,
    written: u64,
    reported: u64,
    _permit: OwnedSemaphorePermit,
}

impl Ingest {
    pub(super) fn begin(
        room: &Arc<Room>,
        digest: Digest,
        size: u64,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let content = Arc::new(Content::arriving(digest, size));
        let (reporter, progress) = progress::begin(0);
        let (queue, messages) = mpsc::channel(QUEUE_CHUNKS);
        let writer = Writer {
            room: Arc::clone(room),
            content: Arc::clone(&content),
            reporter,
            written: 0,
            reported: 0,
            _permit: permit,
        };
        let (tell, ready) = oneshot::channel();
        room.tasks.spawn_bulk_blocking(move || writer.run(messages, tell));
        let arriving = Arriving { room: Arc::clone(room), content, progress };
        Self { arriving, queue: Some(queue), written: 0, ready: Some(ready) }
    }

    /// Waits until there is room for all of the blob, and a file to write it to.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if nothing can give way for it; [`Error::Write`] if the disk failed.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn ready(&mut self) -> Result<(), Error> {
        let Some(ready) = &mut self.ready else { return Ok(()) };
        ready.await.map_err(|_| self.arriving.failure())?;
        self.ready = None;
        Ok(())
    }

    /// Takes the next bytes of the blob; waits while the disk is behind.
    ///
    /// # Errors
    /// [`Error::TooLong`] if they are more than the blob has, which ends the ingest;
    /// [`Error::Write`] if the disk failed, perhaps on bytes taken before.
    ///
    /// # Cancel safety
    /// If dropped before it is done, nothing of `chunk` was taken.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let length = length_of(&chunk);
        if length > self.arriving.size() - self.written {
            self.queue = None;
        }
        let Some(queue) = &self.queue else {
            return Err(Error::TooLong {
                digest: self.arriving.digest(),
                size: self.arriving.size(),
            });
        };
        if queue.send(Message::Chunk(chunk)).await.is_err() {
            return Err(self.arriving.failure());
        }
        self.written += length;
        Ok(())
    }

    /// Bytes taken so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Completes the blob: when this is done it is verified, durable and has its name. Readers may
    /// end as soon as it is verified, which is a little earlier.
    ///
    /// # Errors
    /// [`Error::TooShort`], [`Error::TooLong`] and [`Error::DigestMismatch`] if it is not the blob
    /// it was announced as; [`Error::Write`] if the disk failed.
    ///
    /// # Cancel safety
    /// If dropped before it is done, the blob is either committed all the same or leaves nothing
    /// behind.
    pub async fn commit(self) -> Result<Blob, Error> {
        let (digest, size) = (self.arriving.digest(), self.arriving.size());
        let Some(queue) = &self.queue else { return Err(Error::TooLong { digest, size }) };
        if self.written < size {
            return Err(Error::TooShort { digest, size, written: self.written });
        }
        let (reply, committed) = oneshot::channel();
        if queue.send(Message::Commit(reply)).await.is_err() {
            return Err(self.arriving.failure());
        }
        committed.await.unwrap_or_else(|_| Err(self.arriving.failure()))
    }

    /// The blob for those who want to read it while it arrives.
    pub fn arriving(&self) -> Arriving {
        self.arriving.clone()
    }
}

impl Arriving {
    /// The size it was announced with, in bytes.
    pub fn size(&self) -> u64 {
        self.content.size
    }

    /// The digest it was announced with.
    pub fn digest(&self) -> Digest {
        self.content.digest
    }

    /// A stream, by copying, of the bytes in `range`, cut to the blob's size.
    pub fn reader(&self, range: ByteRange) -> ArrivingReader {
        self.reader_in(range, ReadMode::Copy)
    }

    /// A stream of the bytes in `range`, cut to the blob's size, read as `mode` says.
    pub fn reader_in(&self, range: ByteRange, mode: ReadMode) -> ArrivingReader {
        let progress = Some(self.progress.clone());
        BlobReader::new(Arc::clone(&self.room), Arc::clone(&self.content), range, mode, progress)
    }

    /// Whether the bytes turned out to be wrong, or did not come or stay.
    pub fn has_failed(&self) -> bool {
        matches!(self.progress.borrow().settled, Some(Err(_)))
    }

    /// Why the writer is gone.
    fn failure(&self) -> Error {
        match &self.progress.borrow().settled {
            Some(Err(error)) => error.clone(),
            _ => Error::Interrupted,
        }
    }
}

impl Writer {
    fn run(mut self, mut messages: mpsc::Receiver<Message>, ready: oneshot::Sender<()>) {
        let mut ready = Some(ready);
        let outcome = self.write(&mut messages, &mut ready);
        if let Err(error) = outcome {
            let error = self.room.count(error);
            // Before the channel closes, so that whoever finds it closed learns why.
            progress::settle(&self.reporter, Err(error));
        }
    }

    /// Takes room, and a file to write to, and then what comes.
    fn write(
        &mut self,
        messages: &mut mpsc::Receiver<Message>,
        ready: &mut Option<oneshot::Sender<()>>,
    ) -> Result<(), Error> {
        let (digest, content) = (self.content.digest, Arc::clone(&self.content));
        let mut reserved = self.room.reserve(&digest, content.size)?;
        let created = self.room.layout.new_partial(&digest);
        let (file, partial) = created.map_err(Error::write(digest))?;
        if ready.take().is_some_and(|ready| ready.send(()).is_err()) {
            tracing::trace!(%digest, "nobody waits for the file");
        }
        self.receive(content.opened(file), partial, messages, &mut reserved)
    }

    /// Writes what comes until it is complete, or fails; then the file is gone before anyone hears.
    fn receive(
        &mut self,
        mut file: &File,
        partial: Partial,
        messages: &mut mpsc::Receiver<Message>,
        reserved: &mut Reservation,
    ) -> Result<(), Error> {
        let digest = self.content.digest;
        let mut hasher = digest.algorithm().hasher();
        loop {
            match messages.blocking_recv() {
                None => return Err(Error::Aborted { digest }),
                Some(Message::Chunk(chunk)) => {
                    for piece in chunk.chunks(HASH_BYTES) {
                        hasher.update(piece);
                        give_way();
                    }
                    file.write_all(&chunk).map_err(Error::write(digest))?;
                    self.written += length_of(&chunk);
                    give_way();
                    if messages.is_empty() || self.written - self.reported >= REPORT_BYTES {
                        self.reported = self.written;
                        progress::advance(&self.reporter, self.written);
                        reserved.landed(self.written);
                    }
                }
                Some(Message::Commit(reply)) => {
                    let committed = self.commit(hasher, file, partial, reserved);
                    let outcome = committed.as_ref().map(|_| ()).map_err(Error::clone);
                    progress::settle(&self.reporter, outcome.clone());
                    if reply.send(committed).is_err() {
                        tracing::debug!(%digest, "nobody waits for the commit any more");
                    }
                    return outcome;
                }
            }
        }
    }

    fn commit(
        &self,
        hasher: Hasher,
        file: &File,
        partial: Partial,
        reserved: &mut Reservation,
    ) -> Result<Blob, Error> {
        let digest = self.content.digest;
        let found = hasher.finish();
        if found != digest {
            self.room.metrics.digest_mismatches.increment();
            return Err(Error::DigestMismatch { digest, found: Box::new(found) });
        }
        // Verified: readers may have the rest now, and need not wait for the disk, nor care for it.
        progress::advance(&self.reporter, self.written);
        progress::settle(&self.reporter, Ok(()));
        let placed = self.room.layout.place(&digest, file, partial, || reserved.release());
        placed.map_err(Error::write(digest))?;
        self.content.completed(Identity::of(file).map_err(Error::write(digest))?);
        self.room.trust_in(&self.content);
        Ok(Blob::new(Arc::clone(&self.room), Arc::clone(&self.content)))
    }
}

impl std::fmt::Debug for Arriving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arriving")
            .field("digest", &self.content.digest)
            .field("size", &self.content.size)
            .field("progress", &*self.progress.borrow())
            .finish_non_exhaustive()
    }
}
