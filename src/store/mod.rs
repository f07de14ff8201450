//! This machine's cache: blobs on disk and their rebuildable index.
//!
//! What it promises:
//! - Nothing has the name of a digest before it was verified and synced; a crash leaves partial
//!   files in `ingest/`, which the next start removes.
//! - A stream that ends cleanly carries right bytes: content that was not hashed by this process,
//!   or whose file has changed since, is hashed beside the stream, the last block held back.
//! - What is not a regular file, or has another size or hash, is never served; it is removed.
//! - A blob removed while it is read can be read to its end.
//! - What it writes fits: room is reserved first, and what nobody asks for gives way (`keep`).
//! - Losing `index/` costs time, never content and never trust.
//!
//! What it must not do: decide who may read what (that is what grants are for), fetch, or block a
//! runtime worker. Every blocking call is on the pool for that; no lock is held across an await.

mod blob;
mod buffers;
mod content;
mod error;
mod facts;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod index;
mod ingest;
mod keep;
mod layout;
mod map;
mod maps;
mod progress;
mod reader;
mod room;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

pub use self::blob::Blob;
pub use self::error::Error;
pub use self::facts::{FactKind, Facts};
pub use self::index::SeenTag;
pub use self::ingest::{Arriving, Ingest};
pub use self::keep::{Evicted, Keeping, ScrubReport, Scrubbing, Tidied};
pub use self::reader::{ArrivingReader, BlobReader, CHUNK_BYTES_MAX, HOLD_BACK_BYTES, ReadMode};

use self::content::Content;
use self::index::Index;
use self::layout::Layout;
use self::room::Room;
use crate::metrics::Metrics;
use crate::oci::{Digest, Name, Tag};
use crate::tasks::Tasks;
use crate::time::{Clock, Timestamp};

/// Blobs that may be written at once, each with a thread of its own.
pub const INGESTS_MAX: usize = 128;

/// How a store is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory; one process at a time.
    pub dir: PathBuf,
    /// When stored content is hashed again.
    pub verify_reads: VerifyReads,
    /// Memory that the index may use as its cache, in bytes.
    pub index_cache_bytes: u64,
    /// How much may lie there, and what gives way.
    pub keeping: Keeping,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("pratique-data"),
            verify_reads: VerifyReads::default(),
            index_cache_bytes: 16 * 1024 * 1024,
            keeping: Keeping::default(),
        }
    }
}

/// When stored content is hashed again before the end of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerifyReads {
    /// For every reader.
    Always,
    /// For the first reader after a start, and whenever the file differs from what was hashed.
    #[default]
    Changed,
    /// Never; only for a file system that checks by itself.
    Never,
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Blobs, as far as they have been counted since the start.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether all of them have been counted.
    pub is_counted: bool,
    /// Whether the index works.
    pub index_available: bool,
    /// Bytes that are reserved for blobs under way.
    pub reserved_bytes: u64,
    /// Bytes that the file system has left, if it says.
    pub disk_available_bytes: Option<u64>,
    /// Contents that are pinned; `None` while nobody has said, and nothing is evicted.
    pub pinned: Option<u64>,
    /// What has been evicted since the start.
    pub evicted: Evicted,
    /// The scrub under way, or the last one since the start.
    pub scrub: Option<ScrubReport>,
    /// When a scrub last came to its end.
    pub scrub_ended: Option<Timestamp>,
    /// How the cache is kept.
    pub keeping: Keeping,
}

/// The store; clones share one directory, which stays locked until the last is dropped.
#[derive(Clone)]
pub struct Store {
    room: Arc<Room>,
    ingests: Arc<Semaphore>,
}

impl Store {
    /// Opens the store: takes the directory's lock, makes what is missing, removes partial files,
    /// opens the index or goes on without it, and begins to count what is there.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process has the directory; [`Error::Directory`] if it cannot be
    /// prepared.
    pub async fn open(
        settings: Settings,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let Settings { dir, verify_reads, index_cache_bytes, keeping } = settings;
        let counters = Arc::clone(&metrics);
        let layout = tasks.spawn_blocking(move || Layout::open(&dir, counters)).await;
        let layout = layout.unwrap_or(Err(Error::Interrupted))?;
        let index = Index::open(&layout.index(), index_cache_bytes, &tasks, &metrics).await;
        let files = (layout, index);
        let room = Arc::new(Room::new(files, clock, tasks, metrics, verify_reads, keeping));
        drop(room.tasks.spawn(keep::run(Arc::downgrade(&room))));

        let counted = Arc::downgrade(&room);
        room.tasks.spawn_blocking(move || {
            let Some(room) = counted.upgrade() else { return };
            if let Err(error) = room.layout.count(|| !room.tasks.is_stopping()) {
                tracing::warn!(%error, "stored blobs could not be counted");
            }
            room.keep.wake();
        });
        Ok(Self { room, ingests: Arc::new(Semaphore::new(INGESTS_MAX)) })
    }

    /// The blob, if it is stored and has `size`. What is not a regular file is removed, and so is one
    /// of another size whose hash is another, too; that a claim about the size is wrong costs nothing.
    ///
    /// # Errors
    /// [`Error::Open`] and [`Error::Remove`] if the disk fails.
    pub async fn open_blob(
        &self,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<Option<Blob>, Error> {
        let digest = *digest;
        let content = match self.room.already_open(&digest) {
            Some(content) => Some(content),
            None => self.room.blocking(move |room| room.open(&digest)).await?,
        };
        let Some(content) = content else { return Ok(None) };
        if size.is_some_and(|size| size != content.size) {
            // Either the file is damaged or the claim is wrong, and a manifest may lie: the hash tells,
            // and removes what is damaged.
            if !self.room.trusts(&content) {
                self.room.hashed(&content).await;
            }
            return Ok(None);
        }
        self.room.touch(&digest);
        Ok(Some(Blob::new(Arc::clone(&self.room), content)))
    }

    /// Small content, hashed at every read; one that does not have its digest is removed and not
    /// given.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond `limit_bytes`; [`Error::Open`], [`Error::Read`] and
    /// [`Error::Remove`] if the disk fails.
    pub async fn read(&self, digest: &Digest, limit_bytes: usize) -> Result<Option<Bytes>, Error> {
        let digest = *digest;
        let read = self.room.blocking(move |room| room.read(&digest, limit_bytes)).await?;
        if read.is_some() {
            self.room.touch(&digest);
        }
        Ok(read)
    }

    /// Stores small content; when this is done it is durable. Nothing is written if it is there.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`] if the content has another digest; [`Error::NoRoom`] if there is no
    /// room; [`Error::Write`] if the disk failed.
    ///
    /// # Cancel safety
    /// If dropped before it is done, the content is stored all the same, or nothing is left behind.
    pub async fn put(&self, digest: &Digest, content: Bytes) -> Result<(), Error> {
        let digest = *digest;
        self.room.blocking(move |room| room.put(&digest, &content)).await
    }

    /// Begins to write the blob, which has `size` bytes. Must be called on a runtime.
    ///
    /// # Errors
    /// [`Error::TooManyIngests`] if [`INGESTS_MAX`] are being written.
    pub fn ingest(&self, digest: &Digest, size: u64) -> Result<Ingest, Error> {
        let permit = Arc::clone(&self.ingests).try_acquire_owned();
        let permit = permit.map_err(|_| Error::TooManyIngests { limit: INGESTS_MAX })?;
        Ok(Ingest::begin(&self.room, *digest, size, permit))
    }

    /// Removes the blob; gives whether it was there. Who reads it reads on.
    ///
    /// # Errors
    /// [`Error::Remove`] if the disk fails.
    pub async fn remove(&self, digest: &Digest) -> Result<bool, Error> {
        let digest = *digest;
        self.room
            .blocking(move |room| room.remove(&digest, None).map_err(Error::remove(digest)))
            .await
    }

    /// What the tag pointed to when it was last seen, as far as the index remembers; from memory.
    pub fn seen_tag(&self, name: &Name, tag: &Tag) -> Option<SeenTag> {
        self.room.index.seen_tag(name, tag)
    }

    /// Notes what the tag points to; may be lost, never waits.
    pub fn record_seen_tag(&self, name: &Name, tag: &Tag, seen: SeenTag) {
        self.room.index.record_seen_tag(name, tag, seen);
    }

    /// When the blob was last asked for, as far as the index remembers.
    pub async fn last_used(&self, digest: &Digest) -> Option<Timestamp> {
        self.room.index.last_used(*digest).await
    }

    /// Notes that content is asked for which the caller has in memory; one atomic load, nearly always.
    pub fn touch(&self, digest: &Digest) {
        self.room.touch(digest);
    }

    /// Notes that content is asked for by somebody who comes back for it: it is not evicted for ten
    /// minutes.
    pub fn promise(&self, digest: &Digest) {
        self.room.promise(digest);
    }

    /// Says what is pinned, in the place of what was. Nothing is evicted before this is called once.
    pub fn set_pinned(&self, pinned: HashSet<Digest>) {
        self.room.keep.set_pinned(pinned);
    }

    /// Whether the content is pinned.
    pub fn is_pinned(&self, digest: &Digest) -> bool {
        self.room.keep.pinned().is_some_and(|pinned| pinned.contains(digest))
    }

    /// Damaged blobs as they are found and removed, so that they can be fetched again; given once.
    pub fn take_damaged(&self) -> Option<mpsc::Receiver<Digest>> {
        self.room.keep.take_damaged()
    }

    /// Sweeps partial files that nobody writes, lets go what the retention says, and evicts down to
    /// the low watermark if there is more than the high one allows.
    ///
    /// # Errors
    /// [`Error::Directory`] if the disk fails.
    pub async fn tidy(&self) -> Result<Tidied, Error> {
        self.room.blocking(|room| room.tidy()).await
    }

    /// Begins to hash everything again, or joins the scrub under way; `rate_bytes` a second, or as
    /// the settings say. Must be called on a runtime.
    pub fn scrub(&self, rate_bytes: Option<u64>) -> Scrubbing {
        self.room.scrub(rate_bytes)
    }

    /// Which of `digests` are stored, with their sizes on the disk.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if the program stops.
    pub async fn sizes(&self, digests: Vec<Digest>) -> Result<Vec<Option<u64>>, Error> {
        self.room
            .blocking(move |room| {
                Ok(digests.iter().map(|digest| room.layout.size(digest)).collect())
            })
            .await
    }

    /// What the store holds.
    pub async fn status(&self) -> Status {
        // Those who change the totals hold them while they wait for the disk.
        let look = |room: &Arc<Room>| {
            Ok((room.layout.totals(), room.layout.is_counted(), room.layout.space()))
        };
        let ((blobs, bytes), is_counted, space) =
            self.room.blocking(look).await.unwrap_or_default();
        let (keep, metrics) = (&self.room.keep, &self.room.metrics);
        Status {
            blobs,
            bytes,
            is_counted,
            index_available: self.room.index.is_available(),
            reserved_bytes: keep.reserved(),
            disk_available_bytes: space.map(|space| space.available),
            pinned: keep.pinned().map(|pinned| u64::try_from(pinned.len()).unwrap_or(u64::MAX)),
            evicted: Evicted {
                blobs: metrics.store_evicted_blobs.value(),
                bytes: metrics.store_evicted_bytes.value(),
            },
            scrub: self.room.scrubbing(),
            scrub_ended: self.room.scrub_ended().await,
            keeping: keep.settings.clone(),
        }
    }
}

impl Room {
    /// [`Store::read`]. Blocks.
    fn read(&self, digest: &Digest, limit_bytes: usize) -> Result<Option<Bytes>, Error> {
        let Some(content) = self.find(digest)? else { return Ok(None) };
        let size = content.size;
        let fits = usize::try_from(size).ok().filter(|size| *size <= limit_bytes);
        let Some(length) = fits else {
            return Err(Error::TooLarge { digest: *digest, size, limit_bytes });
        };
        match content.read_all(length) {
            Ok(bytes) if digest.matches(&bytes) => {
                self.trust_in(&content);
                Ok(Some(bytes.into()))
            }
            Ok(_) => {
                self.discard(&content, "its hash is another");
                Ok(None)
            }
            Err(error) => {
                let error = self.read_failed(&content, error);
                if matches!(error, Error::Corrupt { .. }) { Ok(None) } else { Err(error) }
            }
        }
    }

    /// [`Store::put`]. Blocks.
    fn put(&self, digest: &Digest, bytes: &Bytes) -> Result<(), Error> {
        use std::io::Write as _;

        let found = Digest::of(digest.algorithm(), bytes);
        if found != *digest {
            self.metrics.digest_mismatches.increment();
            return Err(Error::DigestMismatch { digest: *digest, found: Box::new(found) });
        }
        if self.read(digest, bytes.len()).is_ok_and(|stored| stored.is_some()) {
            return Ok(());
        }
        let mut reserved = self.reserve(digest, length_of(bytes))?;
        let (mut file, partial) = self.layout.new_partial(digest).map_err(Error::write(*digest))?;
        file.write_all(bytes).map_err(Error::write(*digest))?;
        let placed = self.layout.place(digest, &file, partial, || reserved.release());
        placed.map_err(Error::write(*digest))?;
        let content = Content::arriving(*digest, length_of(bytes));
        content.completed(content::Identity::of(&file).map_err(Error::write(*digest))?);
        self.trust_in(&content);
        Ok(())
    }
}

/// A length in memory as sizes of files are counted.
fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("layout", &self.room.layout).finish_non_exhaustive()
    }
}
