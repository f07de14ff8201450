//! Looking whether everything is still what its name says.
//!
//! One scrub at a time reads all blobs, no faster than it is told, hashes them, and removes what is
//! damaged; whoever listens to [`crate::store::Store::take_damaged`] fetches it again. What is no blob is set aside.
//! How far it came, and when it last came to the end, stands in the index: a restart goes on there.

use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{Advice, OFlags};
use tokio::sync::watch;

use crate::oci::{Algorithm, Digest};
use crate::store::Error;
use crate::store::content::{Content, is_damage};
use crate::store::layout::Stored;
use crate::store::room::Room;
use crate::time::Timestamp;

/// Bytes that are read and hashed between two looks at the rate.
const PIECE_BYTES: usize = 1024 * 1024;
/// The slowest that a scrub may be told to be, in bytes a second.
pub(super) const RATE_BYTES_MIN: u64 = 64 * 1024;
/// The notes in the index: when the last scrub ended, and up to which directory this one came.
const ENDED: &str = "scrub-ended";
const CAME_TO: &str = "scrub-came-to";

/// How a scrub goes, or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubReport {
    /// Whether it has come to its end.
    pub is_done: bool,
    /// Blobs that were hashed.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that were damaged and have been removed.
    pub damaged: u64,
    /// Things that were no blobs and have been set aside.
    pub foreign: u64,
    /// Blobs that could not be looked at.
    pub failed: u64,
    /// Directories that were gone through, of [`ScrubReport::DIRECTORIES`].
    pub directories: u64,
}

impl ScrubReport {
    /// Directories that a whole scrub goes through.
    pub const DIRECTORIES: u64 = 512;
}

/// A scrub under way, as it is now.
pub type Scrubbing = watch::Receiver<ScrubReport>;

/// The scrub of one store.
#[derive(Default)]
pub(super) struct Scrubs {
    now: Mutex<Option<Scrubbing>>,
    /// How many directories the scrub has gone through; `None` is as the index says.
    came_to: Mutex<Option<usize>>,
    /// Bytes a second; 0 is as the settings say.
    rate_bytes: AtomicU64,
}

impl Room {
    /// Begins a scrub, or joins the one under way; `rate_bytes` a second, or as the settings say.
    /// Must be called on a runtime.
    pub(in crate::store) fn scrub(self: &Arc<Self>, rate_bytes: Option<u64>) -> Scrubbing {
        let scrubs = &self.keep.scrubs;
        let mut now = scrubs.lock();
        scrubs.rate_bytes.store(rate_bytes.unwrap_or(0), Ordering::Relaxed);
        if let Some(scrubbing) = now.as_ref().filter(|scrubbing| is_under_way(scrubbing)) {
            return scrubbing.clone();
        }
        let (tell, scrubbing) = watch::channel(ScrubReport::default());
        *now = Some(scrubbing.clone());
        let room = Arc::clone(self);
        drop(self.tasks.spawn(async move { room.scrub_all(&tell).await }));
        scrubbing
    }

    /// The scrub under way, or the last one since the start.
    pub(in crate::store) fn scrubbing(&self) -> Option<ScrubReport> {
        self.keep.scrubs.lock().as_ref().map(|scrubbing| *scrubbing.borrow())
    }

    /// When a scrub last came to its end.
    pub(in crate::store) async fn scrub_ended(&self) -> Option<Timestamp> {
        let text = self.index.note(ENDED).await?;
        Some(Timestamp::from_milliseconds(text.parse().ok()?))
    }

    async fn scrub_all(self: &Arc<Self>, tell: &watch::Sender<ScrubReport>) {
        let first = self.came_to().await;
        let mut report = ScrubReport {
            directories: u64::try_from(first).unwrap_or(0),
            ..ScrubReport::default()
        };
        let mut pace = Pace::new();
        for (number, (algorithm, prefix)) in
            crate::store::layout::directories().enumerate().skip(first)
        {
            let listing =
                self.blocking(move |room| room.list_and_set_aside(algorithm, prefix)).await;
            match listing {
                Ok((blobs, foreign)) => {
                    report.foreign += foreign;
                    for stored in blobs {
                        if self.tasks.is_stopping() {
                            return;
                        }
                        self.scrub_one(&stored, &mut report, &mut pace, tell).await;
                    }
                }
                Err(error) => {
                    report.failed += 1;
                    tracing::warn!(%error, "directory cannot be scrubbed");
                }
            }
            report.directories += 1;
            self.record_came_to(number + 1);
            tell.send_replace(report);
        }
        self.record_came_to(0);
        self.index.record_note(ENDED, self.clock.now().milliseconds().to_string());
        report.is_done = true;
        tell.send_replace(report);
        let ScrubReport { blobs, bytes, damaged, foreign, failed, .. } = report;
        tracing::info!(blobs, bytes, damaged, foreign, failed, "scrub done");
    }

    /// How many directories the scrub that goes on now has gone through before.
    async fn came_to(&self) -> usize {
        let known = *self.keep.scrubs.came_to.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(known) => known,
            None => self.index.note(CAME_TO).await.and_then(|text| text.parse().ok()).unwrap_or(0),
        }
    }

    fn record_came_to(&self, number: usize) {
        *self.keep.scrubs.came_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
        self.index.record_note(CAME_TO, number.to_string());
    }

    async fn scrub_one(
        self: &Arc<Self>,
        stored: &Stored,
        report: &mut ScrubReport,
        pace: &mut Pace,
        tell: &watch::Sender<ScrubReport>,
    ) {
        match self.hash_slowly(stored.digest, pace).await {
            Ok(Looked::Damaged) => report.damaged += 1,
            Ok(Looked::Gone) => return,
            Ok(Looked::Right) => {}
            Err(error) => {
                report.failed += 1;
                tracing::warn!(digest = %stored.digest, %error, "blob cannot be scrubbed");
            }
        }
        report.blobs += 1;
        report.bytes += stored.size;
        self.metrics.store_scrubbed_blobs.increment();
        self.metrics.store_scrubbed_bytes.add(stored.size);
        tell.send_replace(*report);
    }

    /// Hashes one blob piece by piece, at the rate; the last reads are not kept in memory by the
    /// system unless somebody else asks for the blob too.
    async fn hash_slowly(
        self: &Arc<Self>,
        digest: Digest,
        pace: &mut Pace,
    ) -> Result<Looked, Error> {
        let opened = self.blocking(move |room| room.open_for_scrub(&digest)).await?;
        let Some(content) = opened.map(Arc::new) else { return Ok(Looked::Gone) };
        let mut hasher = digest.algorithm().hasher();
        let mut offset = 0;
        while offset < content.size {
            let length =
                usize::try_from(content.size - offset).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let (file, from) = (Arc::clone(&content), offset);
            let piece = self.blocking(move |_| {
                let mut piece = vec![0; length];
                Ok(file.file().and_then(|file| file.read_exact_at(&mut piece, from)).map(|()| {
                    hasher.update(&piece);
                    hasher
                }))
            });
            hasher = match piece.await? {
                Ok(hasher) => hasher,
                Err(error) if is_damage(&error) => {
                    let damaged = Arc::clone(&content);
                    return self.discard_after_scrub(damaged, "it cannot be read").await;
                }
                Err(error) => return Err(Error::read(digest)(error)),
            };
            let length = u64::try_from(length).unwrap_or(u64::MAX);
            offset += length;
            pace.after(length, self.rate()).await;
            if self.tasks.is_stopping() {
                return Ok(Looked::Gone);
            }
        }
        if hasher.finish() != digest {
            return self.discard_after_scrub(content, "its hash is another").await;
        }
        self.trust_in(&content);
        if self.keep.recency.last(&digest).is_none() {
            let forgotten = Arc::clone(&content);
            self.blocking(move |_| {
                drop_from_memory(&forgotten);
                Ok(())
            })
            .await?;
        }
        Ok(Looked::Right)
    }

    /// The blob, opened so that reading it leaves the time of its last use alone. Blocks.
    fn open_for_scrub(&self, digest: &Digest) -> Result<Option<Content>, Error> {
        let content = self.find(digest)?;
        if let Some(file) = content.as_ref().and_then(|content| content.file().ok())
            && let Err(errno) = rustix::fs::fcntl_setfl(file, OFlags::NOATIME)
        {
            tracing::trace!(%digest, %errno, "the scrub counts as a use");
        }
        Ok(content)
    }

    async fn discard_after_scrub(
        self: &Arc<Self>,
        content: Arc<Content>,
        why: &'static str,
    ) -> Result<Looked, Error> {
        self.blocking(move |room| {
            room.discard(&content, why);
            Ok(Looked::Damaged)
        })
        .await
    }

    /// What is in a directory, once what is no blob is out of it. Blocks.
    fn list_and_set_aside(
        &self,
        algorithm: Algorithm,
        prefix: u8,
    ) -> Result<(Vec<Stored>, u64), Error> {
        let failed = Error::directory(self.layout.directory(algorithm, prefix));
        let listed = self.layout.list(algorithm, prefix).map_err(failed)?;
        let mut foreign = 0;
        for path in listed.foreign {
            match self.layout.set_aside(&path) {
                Ok(to) => {
                    foreign += 1;
                    self.metrics.store_foreign.increment();
                    tracing::warn!(path = %path.display(), to = %to.display(), "not a blob; set aside");
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "not a blob, and stays");
                }
            }
        }
        // What was changed from outside is counted as it is now.
        self.layout
            .count_directory(algorithm, prefix)
            .map_err(Error::directory(self.layout.directory(algorithm, prefix)))?;
        Ok((listed.blobs, foreign))
    }

    fn rate(&self) -> u64 {
        match self.keep.scrubs.rate_bytes.load(Ordering::Relaxed) {
            0 => self.keep.settings.scrub_rate_bytes,
            rate => rate,
        }
        .max(RATE_BYTES_MIN)
    }
}

/// Lets the system forget the pages of a file that nobody asks for. Blocks.
fn drop_from_memory(content: &Content) {
    if let Ok(file) = content.file()
        && let Err(errno) = rustix::fs::fadvise(file, 0, None, Advice::DontNeed)
    {
        tracing::trace!(digest = %content.digest, %errno, "pages stay in memory");
    }
}

/// What came of hashing one blob.
enum Looked {
    Damaged,
    /// It was evicted meanwhile, or the program stops.
    Gone,
    Right,
}

/// Begins a scrub if the last one is long enough ago. A store that has never been scrubbed is taken
/// for scrubbed now: everything in it was hashed when it came.
pub(super) async fn begin_if_due(room: &Arc<Room>) {
    let Some(every) = room.keep.settings.scrub_every else { return };
    let now = room.clock.now();
    match room.scrub_ended().await {
        None => room.index.record_note(ENDED, now.milliseconds().to_string()),
        Some(ended) if now.since(ended) >= every => drop(room.scrub(None)),
        Some(_) => {}
    }
}

fn is_under_way(scrubbing: &Scrubbing) -> bool {
    scrubbing.has_changed().is_ok() && !scrubbing.borrow().is_done
}

/// Keeps to a rate by waiting after each piece.
struct Pace {
    free_at: tokio::time::Instant,
}

impl Pace {
    fn new() -> Self {
        Self { free_at: tokio::time::Instant::now() }
    }

    async fn after(&mut self, bytes: u64, rate_bytes: u64) {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(rate_bytes.max(1));
        let cost = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        // Time in which nothing was read is not made up for.
        self.free_at = self.free_at.max(tokio::time::Instant::now()) + cost;
        tokio::time::sleep_until(self.free_at).await;
    }
}

impl Scrubs {
    fn lock(&self) -> MutexGuard<'_, Option<Scrubbing>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
