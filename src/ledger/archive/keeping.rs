//! Which records leave the database, when, and how that is done.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;

use super::super::audit::{AuditEvent, AuditKind, Stored};
use super::super::sealer::Tables;
use super::super::verify::{follow, hash_at};
use super::super::{Error, Ledger, emergencies, exceptions, head, webhooks};
use super::writing::{self, Stretch, Written};
use super::{Place, Records, SEGMENT_RECORDS_MAX, Segment, base};
use crate::tasks::Tasks;
use crate::time::Timestamp;

/// How often it is looked whether records are old enough.
const LOOK_EVERY: Duration = Duration::from_hours(1);
/// Least time between two archivings that nobody asked for.
const ARCHIVE_EVERY: Duration = Duration::from_hours(24);
/// Records that are read in one go.
const PAGE: u64 = 4_096;
/// Who archives what nobody asked for.
const SERVER: &str = "server";

/// What is to leave the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archiving {
    /// All records from the first one on that were written before this.
    pub before: Timestamp,
    /// Who wants it.
    pub by: String,
    /// Why, in their words.
    pub reason: Option<String>,
}

/// What would leave the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The first record that would.
    pub from: u64,
    /// The last one; less than `from` when there is none.
    pub to: u64,
    /// When these two were written.
    pub times: Option<(Timestamp, Timestamp)>,
    /// What keeps back more.
    pub held: Option<Held>,
}

/// What needs records that would leave the database otherwise: a webhook that has not dealt with them, a
/// break-glass that is not settled, or an exception that waits or is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What it is called: `webhook desk`, `break-glass B-1`, `exception X-1`.
    pub by: String,
    /// The last record that it does not need.
    pub sequence: u64,
}

/// What left the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The segments that were written, oldest first.
    pub segments: Vec<Segment>,
    /// What kept back more.
    pub held: Option<Held>,
}

/// How far records may go.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    before: Timestamp,
    /// The last record that may go: a checkpoint covers it.
    until: u64,
    /// Most records.
    count: u64,
}

/// What of a record matters here.
#[derive(Deserialize)]
struct Seen {
    at: Timestamp,
}

/// What needs the most records.
fn needed(place: &Place<'_>) -> Result<Option<Held>, Error> {
    let Some(sealer) = place.sealer else { return Ok(None) };
    let tables = Tables { connection: place.connection, sealer };
    let webhook = webhooks::furthest_behind(&tables)?
        .map(|(name, sequence)| Held { by: format!("webhook {name}"), sequence });
    let emergency = emergencies::unsettled_since(&tables)?.map(|(id, begun)| {
        let sequence = begun.saturating_sub(1);
        Held { by: format!("break-glass {id}"), sequence }
    });
    let exception = exceptions::open_since(&tables)?.map(|(id, last)| {
        let sequence = last.saturating_sub(1);
        Held { by: format!("exception {id}"), sequence }
    });
    let all = webhook.into_iter().chain(emergency).chain(exception);
    Ok(all.min_by_key(|held| held.sequence))
}

/// The records from the front of the database on that may go, and what keeps back more.
fn stretch(place: &Place<'_>, bounds: Bounds) -> Result<(Option<Stretch>, Option<Held>), Error> {
    let before = base(place.connection, place.sealer)?;
    let behind = needed(place)?;
    let anchored = match head::read(place.dir) {
        Ok(head) => head.map_or(0, |head| head.count),
        Err(_) => 0,
    };
    // A head that stayed behind has to be found in the database at the next start.
    let until = bounds.until.min(anchored);
    let most = before.0.count.saturating_add(bounds.count).min(until);
    let (mut chain, mut tree) = before.clone();
    let (mut times, mut held, mut is_done) = (None, None, false);
    let mut records = Records::after(chain.count);
    let mut take = |stored: &Stored| {
        if is_done || chain.count >= most {
            is_done = true;
            return Ok(());
        }
        let next = follow(&chain, stored).map_err(Error::ChainBroken)?;
        let seen: Seen = serde_json::from_str(&stored.body)
            .map_err(|_| Error::corrupt("audit", stored.sequence))?;
        is_done = seen.at >= bounds.before;
        if !is_done {
            held = behind.clone().filter(|behind| next.count > behind.sequence);
            is_done = held.is_some();
        }
        if !is_done {
            tree.push(stored.body.as_bytes());
            times = Some((times.map_or(seen.at, |(first, _)| first), seen.at));
            chain = next;
        }
        Ok(())
    };
    while records.read(place, PAGE, &mut take)? == PAGE && records.place() < most {}
    let stretch = times.map(|(first_at, last_at)| Stretch {
        before,
        after: (chain, tree),
        first_at,
        last_at,
    });
    Ok((stretch, held))
}

impl Ledger {
    /// What [`archive`](Self::archive) would do. Nothing is changed, but a checkpoint may be signed.
    ///
    /// # Errors
    /// As there.
    pub async fn plan_archive(&self, before: Timestamp) -> Result<Plan, Error> {
        let _one_at_a_time = self.inner.archiving.lock().await;
        let bounds = Bounds { before, until: u64::MAX, count: u64::MAX };
        let (stretch, held) = self.next_stretch(bounds).await?;
        let dir = self.inner.dir.clone();
        let begin = self.read(move |connection| {
            let place = Place::of(connection, &dir);
            Ok(base(place.connection, place.sealer)?.0.count)
        });
        let begin = begin.await?;
        Ok(Plan {
            from: begin + 1,
            to: stretch.as_ref().map_or(begin, Stretch::to),
            times: stretch.map(|stretch| (stretch.first_at, stretch.last_at)),
            held,
        })
    }

    /// Moves the oldest records out of the database into files of up to 100,000 records. What is done when
    /// it fails half-way is done.
    ///
    /// # Errors
    /// [`Error::ChainBroken`] when one of them is not what was written: they stay where they are. Else when
    /// no checkpoint can be signed, or the disk or the database fails.
    ///
    /// # Cancel safety
    /// Once polled, records may leave even if the future is dropped; each segment is done as a whole.
    pub async fn archive(&self, wish: Archiving) -> Result<Archived, Error> {
        let _one_at_a_time = self.inner.archiving.lock().await;
        let mut archived = Archived { segments: Vec::new(), held: None };
        // What says that records were archived is not archived by the same call.
        let until = self.checkpoint().await?.map_or(0, |checkpoint| checkpoint.size());
        loop {
            let bounds = Bounds { before: wish.before, until, count: SEGMENT_RECORDS_MAX };
            let (stretch, held) = self.next_stretch(bounds).await?;
            archived.held = held;
            let Some(stretch) = stretch else { return Ok(archived) };
            archived.segments.push(self.archive_stretch(stretch, &wish).await?);
        }
    }

    async fn next_stretch(
        &self,
        mut bounds: Bounds,
    ) -> Result<(Option<Stretch>, Option<Held>), Error> {
        let covered = self.checkpoint().await?.map_or(0, |checkpoint| checkpoint.size());
        bounds.until = bounds.until.min(covered);
        let dir = self.inner.dir.clone();
        self.read(move |connection| stretch(&Place::of(connection, &dir), bounds)).await
    }

    async fn archive_stretch(&self, stretch: Stretch, wish: &Archiving) -> Result<Segment, Error> {
        let (own, key) = self.sign_within(stretch.after.1.clone()).await?;
        let stretch = Arc::new(stretch);
        let written = {
            let (dir, clock) = (self.inner.dir.clone(), Arc::clone(&self.inner.clock));
            let stretch = Arc::clone(&stretch);
            self.read(move |connection| {
                let place = Place::of(connection, &dir);
                writing::write(&place, &stretch, &own, &key, clock.as_ref())
            })
            .await?
        };
        let (path, wish) = (written.path.clone(), wish.clone());
        let kept = self.write(move |writing| writing.archive(&stretch, &written, &wish)).await;
        if kept.is_err() {
            // Nothing relies on it; the records are where they were.
            drop(std::fs::remove_file(path));
        }
        kept
    }

    /// From now on, moves records that are older than `keep` out of the database, at most once a day.
    pub fn keep_archiving(&self, keep: Duration, tasks: &Tasks) {
        let (ledger, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn(async move {
            tokio::select! {
                () = stopping => {}
                () = ledger.go_on_archiving(keep) => {}
            }
        });
    }

    async fn go_on_archiving(&self, keep: Duration) {
        loop {
            match self.archive_when_due(keep).await {
                Ok(archived) => {
                    if let Some(held) = archived.and_then(|archived| archived.held) {
                        let Held { by, sequence } = held;
                        tracing::warn!(by, sequence, "keeps old audit records from being archived");
                    }
                }
                Err(error) => {
                    self.inner.metrics.audit_archive_failures.increment();
                    let source = std::error::Error::source(&error);
                    tracing::error!(%error, ?source, "old audit records were not archived");
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Archives what is older than `keep`, unless that was done within a day.
    pub(in crate::ledger) async fn archive_when_due(
        &self,
        keep: Duration,
    ) -> Result<Option<Archived>, Error> {
        let now = self.inner.clock.now();
        let last =
            self.read(|connection| super::preceding(connection, Some(connection.sealer), u64::MAX));
        if last.await?.is_some_and(|last| now.since(last.archived_at) < ARCHIVE_EVERY) {
            return Ok(None);
        }
        let (before, by) = (now.before(keep), SERVER.to_owned());
        self.archive(Archiving { before, by, reason: None }).await.map(Some)
    }
}

impl super::Writing<'_> {
    /// Keeps `stretch` as the segment that was written, deletes its records, and puts that on record.
    fn archive(
        &mut self,
        stretch: &Stretch,
        written: &Written,
        wish: &Archiving,
    ) -> Result<Segment, Error> {
        let (chain, tree) = &stretch.after;
        let now = base(self.connection, Some(self.connection.sealer))?;
        if now.0 != stretch.before.0 || hash_at(self.connection, chain.count)? != Some(chain.hash) {
            return Err(Error::ArchiveRefused("the chain is not the one that was read before"));
        }
        let segment = Segment {
            from: stretch.from(),
            to: chain.count,
            hash: chain.hash,
            subtrees: tree.subtrees().to_vec(),
            file: written.file.clone(),
            bytes: written.bytes,
            digest: written.digest,
            first_at: stretch.first_at,
            last_at: stretch.last_at,
            archived_at: self.now,
            recorded: self.chain.count + 1,
        };
        self.keep_segment(&segment)?;
        let mut event = AuditEvent::new(AuditKind::AuditArchived, wish.by.clone())
            .with("before", wish.before)
            .with("digest", segment.digest)
            .with("file", &segment.file)
            .with("from", segment.from)
            .with("hash", segment.hash)
            .with("root", tree.root())
            .with("to", segment.to);
        event.reason.clone_from(&wish.reason);
        self.audit(&event)?;
        Ok(segment)
    }
}
