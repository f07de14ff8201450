//! Keeping the cache: how much may lie in it, what gives way, and whether it is still whole.
//!
//! What it promises:
//! - Space is reserved before a blob is fetched; without room nothing is begun, and what is stored
//!   goes on being served.
//! - What a pin holds, and what a node was promised in the last minutes, is never evicted; small
//!   content, without which nothing can be served, goes last.
//! - Nothing of this is on the way of a read: no lock, no write per hit, and a removed file is read
//!   to its end by who has it open.
//! - What is evicted is read off the store itself: file sizes, file times, and the index where it
//!   knows better. There is no list on the side that could lie, and none in memory.
//!
//! What it must not do: evict while nobody has said what is pinned.

mod account;
mod evict;
mod recency;
mod scrub;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

pub use self::evict::Evicted;
pub use self::scrub::{ScrubReport, Scrubbing};

pub(super) use self::account::Reservation;

use self::account::Account;
use self::recency::Recency;
use self::scrub::Scrubs;
use super::Error;
use super::room::Room;
use crate::metrics::Metrics;
use crate::oci::Digest;
use crate::time::Timestamp;

/// How often stale partial files are swept and the retention is looked at.
const ROUND_INTERVAL: Duration = Duration::from_hours(1);
/// How long nothing is evicted after a search that found too little.
const FRUITLESS_REST: Duration = Duration::from_secs(10);
/// Damaged blobs that wait to be fetched again; more are fetched when they are next asked for.
const DAMAGED_MAX: usize = 1_024;
/// The largest share of the file system that is kept free, one part in so many, so that a small disk
/// is of use as well.
const MIN_FREE_SHARE: u64 = 10;

/// How the cache is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// Most bytes of blobs, partial files included; `None` is as much as the disk has.
    pub quota_bytes: Option<u64>,
    /// Percent of the quota at which evicting begins in the background.
    pub high_percent: u8,
    /// Percent of the quota down to which it evicts.
    pub low_percent: u8,
    /// Bytes of the file system that are left free, though never more than a tenth of it.
    pub min_free_bytes: u64,
    /// How long content stays that nobody asks for; `None` is until it has to give way.
    pub retention: Option<Duration>,
    /// Bytes that the scrub reads in a second.
    pub scrub_rate_bytes: u64,
    /// How often everything is hashed again; `None` is only when somebody asks for it.
    pub scrub_every: Option<Duration>,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            quota_bytes: None,
            high_percent: 95,
            low_percent: 85,
            min_free_bytes: 512 * 1024 * 1024,
            retention: None,
            scrub_rate_bytes: 32 * 1024 * 1024,
            scrub_every: Some(Duration::from_hours(7 * 24)),
        }
    }
}

impl Keeping {
    /// The level above which evicting begins; `None` without a quota.
    pub fn high_bytes(&self) -> Option<u64> {
        self.quota_bytes.map(|quota| percent(quota, self.high_percent))
    }

    /// The level down to which it evicts; `None` without a quota.
    pub fn low_bytes(&self) -> Option<u64> {
        self.quota_bytes.map(|quota| percent(quota, self.low_percent))
    }
}

fn percent(of: u64, percent: u8) -> u64 {
    (of / 100).saturating_mul(u64::from(percent.min(100)))
        + (of % 100) * u64::from(percent.min(100)) / 100
}

/// What a person asked the keeper to do, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tidied {
    /// What gave way for the low watermark.
    pub evicted: Evicted,
    /// What nobody had asked for within the retention.
    pub retired: Evicted,
    /// Partial files without a writer.
    pub stale: u64,
}

/// The keeper's part of a store.
pub(super) struct Keep {
    pub(super) settings: Keeping,
    pub(super) account: Arc<Account>,
    pub(super) recency: Recency,
    /// `None` until somebody has said what is pinned: nothing is evicted before.
    pinned: RwLock<Option<Arc<HashSet<Digest>>>>,
    /// One search for what can give way at a time.
    evicting: Mutex<()>,
    /// Until when, on the monotonic clock in milliseconds, the watermark is left alone because what
    /// is above it is held.
    held_until: AtomicU64,
    /// A write found the disk full: the next reservation tries the disk before it is given.
    suspect: AtomicBool,
    scrubs: Scrubs,
    wake: Arc<Notify>,
    damaged: mpsc::Sender<Digest>,
    healing: Mutex<Option<mpsc::Receiver<Digest>>>,
}

impl Keep {
    pub(super) fn new(settings: Keeping, metrics: &Metrics) -> Self {
        let quota = settings.quota_bytes.and_then(|quota| i64::try_from(quota).ok());
        metrics.store_quota_bytes.set(quota.unwrap_or(0));
        let (damaged, healing) = mpsc::channel(DAMAGED_MAX);
        Self {
            settings,
            account: Arc::default(),
            recency: Recency::default(),
            pinned: RwLock::default(),
            evicting: Mutex::default(),
            held_until: AtomicU64::new(0),
            suspect: AtomicBool::new(false),
            scrubs: Scrubs::default(),
            wake: Arc::default(),
            damaged,
            healing: Mutex::new(Some(healing)),
        }
    }

    /// What is pinned; `None` if nobody has said yet.
    pub(super) fn pinned(&self) -> Option<Arc<HashSet<Digest>>> {
        self.pinned.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_pinned(&self, pinned: HashSet<Digest>) {
        *self.pinned.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pinned));
        self.forget_rests();
        self.wake.notify_one();
    }

    /// Something may give way now that did not before.
    fn forget_rests(&self) {
        self.held_until.store(0, Ordering::Relaxed);
        self.account.search_again();
    }

    /// Who wants to hear of damaged blobs; given once.
    pub(super) fn take_damaged(&self) -> Option<mpsc::Receiver<Digest>> {
        self.healing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells that a damaged blob was removed, so that it can be fetched again.
    pub(super) fn found_damaged(&self, digest: Digest) {
        if self.damaged.try_send(digest).is_err() {
            tracing::debug!(%digest, "damaged blob will be fetched when it is next asked for");
        }
    }

    /// Tells that a write failed; a full disk is tried before the next reservation is given.
    pub(super) fn write_failed(&self, error: &Error) {
        if error.is_disk_full() {
            self.suspect.store(true, Ordering::Relaxed);
        }
    }

    /// Bytes that are reserved now.
    pub(super) fn reserved(&self) -> u64 {
        self.account.reserved()
    }

    /// Has a look whether something should give way.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    fn evicting(&self) -> MutexGuard<'_, ()> {
        self.evicting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Notes that `digest` is asked for. Lock-free, and nearly always one load.
    pub(super) fn touch(&self, digest: &Digest) {
        let now = self.clock.now();
        if self.keep.recency.touch(digest, now) {
            self.index.record_used(*digest, now);
        }
    }

    /// Notes that `digest` is asked for and that whoever asked comes back for it: it is not evicted
    /// for some minutes.
    pub(super) fn promise(&self, digest: &Digest) {
        self.touch(digest);
        self.keep.recency.promise(digest, self.clock.monotonic());
    }

    /// Sweeps, lets go what the retention says, and evicts down to the low watermark. Blocks.
    pub(super) fn tidy(&self) -> Result<Tidied, Error> {
        self.keep.forget_rests();
        let stale = self.layout.sweep_stale().map_err(Error::directory(self.layout.ingest()))?;
        let retired = self.retire()?;
        let evicted = self.evict_to_low()?;
        Ok(Tidied { evicted, retired, stale })
    }

    /// Lets go what nobody asked for within the retention. Blocks.
    fn retire(&self) -> Result<Evicted, Error> {
        let Some(retention) = self.keep.settings.retention else { return Ok(Evicted::default()) };
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let before = self.clock.now().milliseconds().saturating_sub(retention);
        self.evict_unused_since(Timestamp::from_milliseconds(before))
    }
}

/// Keeps the room in order until the program stops or the store is gone.
pub(super) async fn run(room: Weak<Room>) {
    let (mut stopping, wake) = match room.upgrade() {
        Some(room) => (Box::pin(room.tasks.stopping()), Arc::clone(&room.keep.wake)),
        None => return,
    };
    let mut next_round = tokio::time::Instant::now() + ROUND_INTERVAL;
    loop {
        let is_round = tokio::select! {
            () = &mut stopping => return,
            () = wake.notified() => false,
            () = tokio::time::sleep_until(next_round) => true,
        };
        let Some(room) = room.upgrade() else { return };
        let work = move |room: &Arc<Room>| {
            if is_round { room.tidy().map(drop) } else { room.evict_to_low().map(drop) }
        };
        if let Err(error) = room.blocking(work).await {
            tracing::warn!(%error, "the cache could not be kept in order");
        }
        if is_round {
            next_round = tokio::time::Instant::now() + ROUND_INTERVAL;
            scrub::begin_if_due(&room).await;
        }
    }
}
