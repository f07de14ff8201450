//! The blobs that are arriving, each fetched once for everybody who asks the same registry for it.
//!
//! Registries do not share a fetch: what one of them does slowly, wrongly or not at all is nobody
//! else's matter. Repositories of one registry do; when the one that is asked first does not have the
//! blob or fails before it sends anything, those of the others who wait are asked in turn.
//!
//! A fetch that everybody left is given up soon, unless it has come halfway or the blob is pinned.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tracing::{debug, warn};

use super::seats::{Flight, Full, Pilot, Seat, Seats, Taken};
use super::shares::{Budget, Shares};
use super::{Error, Parts};
use crate::metrics::Metrics;
use crate::oci::{Digest, Name, Registry};
use crate::store::{Arriving, Blob};
use crate::upstream::BlobStream;

/// Blobs that are waited for or fetched at a time; more are refused for now.
const BOARDED_MAX: usize = 1_024;
/// Fetches of blobs that run at one time. Ten registries that take all they can get stay below what
/// the store ingests at a time.
const FETCHES: Budget = Budget { own: 8, common: 48, wait_max: Duration::from_secs(20) };
/// How long a fetch that everybody left goes on: clients that were cut off come back.
const LEFT_GRACE: Duration = Duration::from_secs(2);

/// Says of which blobs a fetch is finished although nobody waits for it.
pub type PinCheck = Box<dyn Fn(&Digest) -> bool + Send + Sync>;

/// One blob: a repository may lie about a size, so the size is part of the key.
type Key = (Registry, Digest, u64);
type Table = Seats<Key, Name, Fetch>;

/// A place in the fetch of a blob; the fetch is for those who hold one.
pub(crate) type Place = Seat<Key, Name, Fetch>;

/// A fetch under way.
#[derive(Debug)]
pub(crate) struct Fetch {
    state: watch::Sender<State>,
    written: AtomicU64,
    left: Notify,
}

/// How far a fetch has come, for those who wait for its beginning.
#[derive(Debug, Clone)]
enum State {
    Arriving(Arriving),
    Failed(Error),
    Stored(Blob),
    Waiting,
}

/// A blob that somebody fetched, or is fetching.
#[derive(Debug, Clone)]
pub(crate) enum Boarded {
    /// It grows while it is read.
    Arriving(Arriving, Arc<Place>),
    /// It had been stored meanwhile.
    Stored(Blob),
}

impl Flight for Fetch {
    fn emptied(&self) {
        self.left.notify_one();
    }
}

/// All blobs under way; clones are the same board.
#[derive(Clone)]
pub(crate) struct Boards {
    parts: Parts,
    seats: Arc<Table>,
    shares: Arc<Shares>,
    pinned: Arc<OnceLock<PinCheck>>,
}

impl Boards {
    pub(crate) fn new(parts: Parts) -> Self {
        let (seats, shares) = (Arc::new(Seats::new(BOARDED_MAX)), Arc::new(Shares::new(FETCHES)));
        Self { parts, seats, shares, pinned: Arc::default() }
    }

    /// Has `pinned` asked about fetches that everybody left; the first one stays.
    pub(crate) fn keep_whole_if(&self, pinned: PinCheck) {
        if self.pinned.set(pinned).is_err() {
            warn!("what is pinned is asked of somebody already");
        }
    }

    /// Joins the fetch of a blob, or begins it, and waits until its first bytes can be read; `stream`
    /// is used if upstream was asked already.
    ///
    /// # Errors
    /// Why nobody could begin to fetch it.
    ///
    /// # Cancel safety
    /// Dropping the future is leaving the fetch, which goes on for the others.
    pub(crate) async fn board(
        &self,
        name: &Name,
        digest: &Digest,
        size: u64,
        stream: Option<BlobStream>,
    ) -> Result<Boarded, Error> {
        let key = (name.registry().clone(), *digest, size);
        loop {
            let seat = match self.seats.take(&key, name.clone(), Fetch::new) {
                Ok(Taken::Joined(seat)) => seat,
                Ok(Taken::Begun(seat, pilot)) => {
                    self.take_off(digest, size, stream, pilot);
                    return seat.started().await;
                }
                Err(Full) => return Err(Error::Overloaded),
            };
            match seat.started().await? {
                // Its readers know already, and its task not yet: who tries again must not board it.
                Boarded::Arriving(arriving, seat) if arriving.has_failed() => seat.end(),
                boarded @ (Boarded::Arriving(..) | Boarded::Stored(_)) => return Ok(boarded),
            }
        }
    }

    fn take_off(
        &self,
        digest: &Digest,
        size: u64,
        stream: Option<BlobStream>,
        pilot: Pilot<Key, Name, Fetch>,
    ) {
        let (boards, digest) = (self.clone(), *digest);
        let flying = Flying::new(pilot, Arc::clone(&self.parts.metrics));
        drop(self.parts.tasks.spawn_bulk(async move {
            let pilot = &flying.pilot;
            let fetching = boards.fetch(pilot, &digest, size, stream);
            let outcome = tokio::select! {
                outcome = fetching => outcome.map(Some),
                () = boards.left_alone(pilot, &digest, size) => Ok(None),
            };
            // Before the outcome is seen, so that whoever comes after it begins anew.
            pilot.end();
            match outcome {
                Ok(Some(blob)) => debug!(%digest, bytes = blob.size(), "blob fetched"),
                Ok(None) => debug!(%digest, "nobody waits for the blob any more"),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(%digest, %error, cause, "blob not fetched");
                    pilot.flight().state.send_replace(State::Failed(error));
                }
            }
            drop(flying);
        }));
    }

    async fn fetch(
        &self,
        pilot: &Pilot<Key, Name, Fetch>,
        digest: &Digest,
        size: u64,
        stream: Option<BlobStream>,
    ) -> Result<Blob, Error> {
        let fetch = pilot.flight();
        // Whoever saw no blob a moment ago may have missed the end of the fetch before this one.
        if stream.is_none()
            && let Ok(Some(blob)) = self.parts.store.open_blob(digest, Some(size)).await
        {
            fetch.state.send_replace(State::Stored(blob.clone()));
            return Ok(blob);
        }
        let first = pilot.next_source(0).ok_or(Error::Abandoned(super::Abandoned))?;
        let _permit = self.shares.acquire(first.registry()).await?;
        // Room first: what cannot be kept is not fetched for keeping.
        let mut ingest = self.parts.store.ingest(digest, size)?;
        ingest.ready().await?;
        let mut stream = match stream {
            Some(stream) => stream,
            None => self.first_that_answers(pilot, digest, first).await?,
        };
        fetch.state.send_replace(State::Arriving(ingest.arriving()));
        while let Some(chunk) = stream.next().await? {
            let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            ingest.write(chunk).await?;
            fetch.written.fetch_add(length, Ordering::Relaxed);
        }
        Ok(ingest.commit().await?)
    }

    /// Asks one repository after the other of those for which somebody waits.
    async fn first_that_answers(
        &self,
        pilot: &Pilot<Key, Name, Fetch>,
        digest: &Digest,
        first: Name,
    ) -> Result<BlobStream, Error> {
        let (mut name, mut asked, mut failure) = (first, 1, None);
        loop {
            let failed = match self.parts.client.fetch_blob(&name, digest).await {
                Ok(Some(stream)) => return Ok(stream),
                Ok(None) => Error::Absent(format!("{name}@{digest}").into()),
                Err(error) => error.into(),
            };
            debug!(%name, %digest, error = %failed, "not fetched from this repository");
            // It is absent only when everybody says so.
            if failure.as_ref().is_none_or(|known| matches!(known, Error::Absent(_))) {
                failure = Some(failed);
            }
            match pilot.next_source(asked) {
                Some(next) => (name, asked) = (next, asked + 1),
                None => return Err(failure.unwrap_or(Error::Abandoned(super::Abandoned))),
            }
        }
    }

    /// Completes when everybody left the fetch and it is not worth finishing.
    async fn left_alone(&self, pilot: &Pilot<Key, Name, Fetch>, digest: &Digest, size: u64) {
        let fetch = pilot.flight();
        loop {
            fetch.left.notified().await;
            tokio::time::sleep(LEFT_GRACE).await;
            let half_done = fetch.written.load(Ordering::Relaxed) >= size.div_ceil(2);
            let pinned = self.pinned.get().is_some_and(|pinned| pinned(digest));
            if !half_done && !pinned && pilot.end_if_empty() {
                return;
            }
        }
    }
}

impl Fetch {
    fn new() -> Self {
        let state = watch::Sender::new(State::Waiting);
        Self { state, written: AtomicU64::new(0), left: Notify::new() }
    }
}

impl Place {
    /// Waits until there is something to read.
    fn started(self) -> impl Future<Output = Result<Boarded, Error>> {
        let mut state = self.flight().state.subscribe();
        async move {
            let begun = state
                .wait_for(|state| !matches!(state, State::Waiting))
                .await
                .map_err(|_closed| Error::Abandoned(super::Abandoned))?
                .clone();
            match begun {
                State::Arriving(arriving) => Ok(Boarded::Arriving(arriving, Arc::new(self))),
                State::Failed(error) => Err(error),
                State::Stored(blob) => Ok(Boarded::Stored(blob)),
                State::Waiting => Err(Error::Abandoned(super::Abandoned)),
            }
        }
    }
}

/// A fetch under way, which ends however its task does: a panic must leave nobody waiting.
struct Flying {
    pilot: Pilot<Key, Name, Fetch>,
    metrics: Arc<Metrics>,
}

impl Flying {
    fn new(pilot: Pilot<Key, Name, Fetch>, metrics: Arc<Metrics>) -> Self {
        metrics.flights.add(1);
        Self { pilot, metrics }
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        self.pilot.end();
        self.metrics.flights.add(-1);
        self.pilot.flight().state.send_if_modified(|state| {
            let waits = matches!(state, State::Waiting);
            if waits {
                *state = State::Failed(Error::Abandoned(super::Abandoned));
            }
            waits
        });
    }
}

impl fmt::Debug for Boards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Boards").field("seats", &self.seats).finish_non_exhaustive()
    }
}
