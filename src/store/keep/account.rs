//! Room for what is to be written: reserved before the first byte, given back at the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{FRUITLESS_REST, MIN_FREE_SHARE};
use crate::metrics::Metrics;
use crate::oci::Digest;
use crate::store::Error;
use crate::store::layout::DiskSpace;
use crate::store::room::Room;

/// How often room is made for one blob that others take before it is reserved.
const ROUNDS_MAX: usize = 8;

/// What is reserved now.
#[derive(Debug, Default)]
pub(in crate::store) struct Account {
    held: Mutex<Held>,
    /// Until when, on the monotonic clock in milliseconds, searching for room is known to be in
    /// vain; over as soon as a blob has landed.
    fruitless_until: AtomicU64,
}

/// Sums over all reservations.
#[derive(Debug, Default, Clone, Copy)]
struct Held {
    /// Bytes that are reserved.
    reserved: u64,
    /// Those of them that the disk has already.
    landed: u64,
}

/// Room for one blob; given back when dropped, or in the moment the blob is counted as stored.
#[derive(Debug)]
pub(in crate::store) struct Reservation {
    account: Arc<Account>,
    metrics: Arc<Metrics>,
    bytes: u64,
    landed: u64,
}

impl Account {
    pub(super) fn reserved(&self) -> u64 {
        self.held().reserved
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something may give way now that did not before.
    pub(super) fn search_again(&self) {
        self.fruitless_until.store(0, Ordering::Relaxed);
    }
}

impl Reservation {
    /// Notes that so many bytes in all are on the disk by now.
    pub(in crate::store) fn landed(&mut self, written: u64) {
        let written = written.min(self.bytes);
        let more = written.saturating_sub(self.landed);
        self.landed += more;
        self.account.held().landed += more;
    }

    /// Gives the room back: the blob is counted as stored from now on, or given up.
    pub(in crate::store) fn release(&mut self) {
        let mut held = self.account.held();
        held.reserved = held.reserved.saturating_sub(std::mem::take(&mut self.bytes));
        held.landed = held.landed.saturating_sub(std::mem::take(&mut self.landed));
        self.metrics.store_reserved_bytes.set(i64::try_from(held.reserved).unwrap_or(i64::MAX));
        self.account.search_again();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

impl Room {
    /// Room for `bytes` of `digest`; evicts what has to give way for it. Blocks.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if that is not enough, or the disk says so.
    pub(in crate::store) fn reserve(
        &self,
        digest: &Digest,
        bytes: u64,
    ) -> Result<Reservation, Error> {
        let no_room = || Error::NoRoom { digest: *digest, bytes };
        // Wanted now: not the next to give way when it has arrived.
        self.touch(digest);
        let reservation = match self.try_reserve(bytes) {
            Ok(reservation) => reservation,
            Err(_) if self.is_fruitless() => return Err(no_room()),
            Err(_) => {
                let _one_at_a_time = self.keep.evicting();
                match self.try_reserve(bytes) {
                    Ok(reservation) => reservation,
                    Err(_) if self.is_fruitless() => return Err(no_room()),
                    Err(short) => self.make_room(bytes, short)?.ok_or_else(no_room)?,
                }
            }
        };
        if self.keep.suspect.load(Ordering::Relaxed) {
            // Dropping the reservation gives its room back.
            self.try_the_disk(bytes).map_err(|error| {
                tracing::debug!(%error, bytes, "the disk is still full");
                no_room()
            })?;
            self.keep.suspect.store(false, Ordering::Relaxed);
        }
        if self.is_above_high() {
            self.keep.wake.notify_one();
        }
        Ok(reservation)
    }

    /// Evicts for `bytes`, of which `short` are missing; `None` if too little may give way. Room that
    /// others take meanwhile is made again, a few times. The caller holds the turn. Blocks.
    fn make_room(&self, bytes: u64, mut short: u64) -> Result<Option<Reservation>, Error> {
        for _ in 0..ROUNDS_MAX {
            let gone = self.evict_bytes(short, short.saturating_add(self.slack()))?;
            match self.try_reserve(bytes) {
                Ok(reservation) => return Ok(Some(reservation)),
                Err(_) if gone.bytes < short => break,
                Err(still) => short = still,
            }
        }
        self.rest_from_searching();
        Ok(None)
    }

    /// Room for `bytes` if there is; else how many bytes have to go first.
    fn try_reserve(&self, bytes: u64) -> Result<Reservation, u64> {
        let space = self.layout.space();
        let settings = &self.keep.settings;
        self.layout.with_bytes(|used| {
            let mut held = self.keep.account.held();
            let wanted = used.saturating_add(held.reserved).saturating_add(bytes);
            let over = settings.quota_bytes.map_or(0, |quota| wanted.saturating_sub(quota));
            let short = space.map_or(0, |DiskSpace { available, total }| {
                let keep_free = settings.min_free_bytes.min(total / MIN_FREE_SHARE);
                let coming = held.reserved.saturating_sub(held.landed).saturating_add(bytes);
                coming.saturating_add(keep_free).saturating_sub(available)
            });
            let missing = over.max(short);
            if missing > 0 {
                return Err(missing);
            }
            held.reserved = held.reserved.saturating_add(bytes);
            self.metrics.store_reserved_bytes.set(i64::try_from(held.reserved).unwrap_or(i64::MAX));
            Ok(())
        })?;
        let (account, metrics) = (Arc::clone(&self.keep.account), Arc::clone(&self.metrics));
        Ok(Reservation { account, metrics, bytes, landed: 0 })
    }

    /// What goes beyond the need of the moment, so that not every blob has to search.
    fn slack(&self) -> u64 {
        let settings = &self.keep.settings;
        match (settings.quota_bytes, settings.low_bytes()) {
            (Some(quota), Some(low)) => quota.saturating_sub(low),
            _ => settings.min_free_bytes,
        }
    }

    /// Whether more is used and reserved than the high watermark allows.
    pub(super) fn is_above_high(&self) -> bool {
        self.keep.settings.high_bytes().is_some_and(|high| self.used_and_reserved() > high)
    }

    /// Bytes that are stored or reserved.
    pub(super) fn used_and_reserved(&self) -> u64 {
        self.layout.with_bytes(|used| used.saturating_add(self.keep.account.reserved()))
    }

    /// Whether the last search found too little, and not long ago.
    fn is_fruitless(&self) -> bool {
        self.is_before(self.keep.account.fruitless_until.load(Ordering::Relaxed))
    }

    fn rest_from_searching(&self) {
        self.keep.account.fruitless_until.store(self.rest_ends(), Ordering::Relaxed);
    }

    /// When a rest that begins now ends.
    pub(super) fn rest_ends(&self) -> u64 {
        milliseconds(self.clock.monotonic() + FRUITLESS_REST)
    }

    pub(super) fn is_before(&self, moment: u64) -> bool {
        milliseconds(self.clock.monotonic()) < moment
    }

    /// Whether the file system really gives `bytes`; what it says about itself leaves quotas of
    /// users and much else out.
    fn try_the_disk(&self, bytes: u64) -> std::io::Result<()> {
        self.layout.try_space(bytes)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
