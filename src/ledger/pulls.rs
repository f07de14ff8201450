//! How often what was pulled: counted in memory, written every minute, given up first.
//!
//! Nothing here is evidence: it may be lost in a crash, it is dropped while the disk fails, and the
//! audit chain knows nothing of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::requests::RequestRow;
use super::rows::{integer, parsed, unsigned};
use super::writer::Writing;
use super::{Error, Inner, Ledger};
use crate::gate::Subject;
use crate::oci::Name;
use crate::tasks::Tasks;
use crate::time::Timestamp;

/// How often counts are written.
const FLUSH_INTERVAL: Duration = Duration::from_mins(1);
/// Milliseconds in a minute.
const MINUTE: i64 = 60_000;
/// Milliseconds in an hour.
const HOUR: i64 = 60 * MINUTE;
/// How far apart in time rows may be that one flush wrote in any order.
const FLUSH_SLACK: i64 = 10 * MINUTE;
/// Most counts in memory between two writes; beyond it, pulls are not counted.
const COUNTS_MAX: usize = 10_000;
/// Most counts on disk; beyond it, the oldest go.
const COUNT_ROWS_MAX: i64 = 1_000_000;
/// Most counts that one read gives.
const COUNTS_PAGE_MAX: u32 = 1000;
/// Most subjects in use that one read gives.
const IN_USE_MAX: u32 = 10_000;
/// Most pairs of a repository and a client that one read gives.
const CLIENTS_MAX: u32 = 100_000;
/// Longest name of a client that is kept, in bytes.
const CLIENT_LENGTH_MAX: usize = 256;

/// What a pull came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullOutcome {
    /// Served.
    Admitted,
    /// Served by a break-glass alone.
    BreakGlass,
    /// Refused.
    Denied,
    /// Served although enforcement would have refused it.
    Observed,
    /// Not served yet.
    Pending,
}

impl PullOutcome {
    const ALL: [Self; 5] =
        [Self::Admitted, Self::BreakGlass, Self::Denied, Self::Observed, Self::Pending];

    /// The outcome in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::BreakGlass => "break-glass",
            Self::Denied => "denied",
            Self::Observed => "observed",
            Self::Pending => "pending",
        }
    }
}

impl std::str::FromStr for PullOutcome {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|outcome| outcome.as_str() == text);
        found.ok_or("not an outcome of a pull")
    }
}

/// How often a client pulled a subject within a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PullCount {
    /// The beginning of the minute.
    pub minute: Timestamp,
    /// Who.
    pub client: String,
    /// What came of it.
    pub outcome: PullOutcome,
    /// How often.
    pub count: u64,
}

/// Something that was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// What.
    pub subject: Subject,
    /// How often.
    pub pulls: u64,
    /// To how many clients.
    pub clients: u64,
    /// The minute of the first time.
    pub first: Timestamp,
    /// The minute of the last time.
    pub last: Timestamp,
}

/// The counts that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    counts: HashMap<Counted, u64>,
    dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Counted {
    minute: i64,
    subject: Subject,
    client: Arc<str>,
    outcome: PullOutcome,
}

impl Pulls {
    fn count(&mut self, counted: Counted) {
        let full = self.counts.len() >= COUNTS_MAX;
        match self.counts.entry(counted) {
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                *entry.get_mut() = entry.get().saturating_add(1);
            }
            std::collections::hash_map::Entry::Vacant(entry) if !full => {
                entry.insert(1);
            }
            std::collections::hash_map::Entry::Vacant(_) => {
                self.dropped = self.dropped.saturating_add(1);
            }
        }
    }
}

impl Writing<'_> {
    fn save_pulls(&mut self, counts: &[(Counted, u64)]) -> Result<(), Error> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO pulls (minute, name, digest, client, outcome, count)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for (counted, count) in counts {
            insert.execute(params![
                counted.minute,
                counted.subject.name.to_string(),
                counted.subject.digest.to_string(),
                &*counted.client,
                counted.outcome.as_str(),
                integer(*count)
            ])?;
        }
        self.connection.execute(
            "DELETE FROM pulls WHERE id <= (SELECT max(id) FROM pulls) - ?1",
            [COUNT_ROWS_MAX],
        )?;
        Ok(())
    }
}

/// What one flush writes.
struct Batch {
    counts: Vec<(Counted, u64)>,
    requests: Vec<RequestRow>,
}

impl Batch {
    fn take(inner: &Inner) -> Option<Self> {
        let pulls =
            std::mem::take(&mut *inner.memory.pulls.lock().unwrap_or_else(PoisonError::into_inner));
        if pulls.dropped > 0 {
            tracing::warn!(pulls = pulls.dropped, "too many pulls to be counted");
        }
        let requests = {
            let mut desk = inner.memory.desk.lock().unwrap_or_else(PoisonError::into_inner);
            desk.take_unwritten()
        };
        let counts: Vec<_> = pulls.counts.into_iter().collect();
        (!counts.is_empty() || !requests.is_empty()).then_some(Self { counts, requests })
    }
}

impl Ledger {
    /// Counts a pull of `subject` by `client`; never waits, and may be lost.
    pub fn count_pull(&self, subject: &Subject, client: impl Into<Arc<str>>, outcome: PullOutcome) {
        let minute =
            self.inner.clock.now().milliseconds().div_euclid(MINUTE).saturating_mul(MINUTE);
        let mut client = client.into();
        if client.len() > CLIENT_LENGTH_MAX {
            client =
                client.get(..client.floor_char_boundary(CLIENT_LENGTH_MAX)).unwrap_or("").into();
        }
        let counted = Counted { minute, subject: subject.clone(), client, outcome };
        self.inner.memory.pulls.lock().unwrap_or_else(PoisonError::into_inner).count(counted);
    }

    /// The latest counts of pulls of `subject`, newest first, up to `limit` (at most 1,000).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pulls(&self, subject: &Subject, limit: u32) -> Result<Vec<PullCount>, Error> {
        let (name, digest) = (subject.name.to_string(), subject.digest.to_string());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT minute, client, outcome, count FROM pulls
                 WHERE name = ?1 AND digest = ?2 ORDER BY id DESC LIMIT ?3",
            )?;
            let rows = statement
                .query_map(params![name, digest, limit.min(COUNTS_PAGE_MAX)], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?))
                })?;
            rows.map(|row| {
                let (minute, client, outcome, count) = row?;
                let minute = Timestamp::from_milliseconds(minute);
                let outcome = parsed("pulls", &outcome)?;
                Ok(PullCount { minute, client, outcome, count: unsigned(count) })
            })
            .collect()
        })
        .await
    }

    /// How many subjects were served since `moment`, as far as that was written.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn subjects_pulled_since(&self, moment: Timestamp) -> Result<u64, Error> {
        self.read(move |connection| {
            let count: i64 = connection.query_row(
                "SELECT COUNT(*) FROM (SELECT DISTINCT name, digest FROM pulls
                 WHERE minute >= ?1 AND outcome = 'admitted')",
                params![moment.milliseconds()],
                |row| row.get(0),
            )?;
            Ok(unsigned(count))
        })
        .await
    }

    /// What was served since `moment`, the most pulled first, at most `limit` of it (and at most 10,000), as
    /// far as that was written.
    ///
    /// # Errors
    /// When the database fails, or a row is not what was written.
    pub async fn in_use_since(&self, moment: Timestamp, limit: u32) -> Result<Vec<InUse>, Error> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name, digest, SUM(count) AS pulls, COUNT(DISTINCT client), MIN(minute),
                     MAX(minute)
                 FROM pulls WHERE minute >= ?1 AND outcome IN ('admitted', 'observed')
                 GROUP BY name, digest ORDER BY pulls DESC, name, digest LIMIT ?2",
            )?;
            let limit = limit.min(IN_USE_MAX);
            let rows = statement.query_map(params![moment.milliseconds(), limit], |row| {
                let texts: (String, String) = (row.get(0)?, row.get(1)?);
                Ok((texts, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            })?;
            rows.map(|row| {
                let ((name, digest), pulls, clients, first, last): (_, i64, i64, i64, i64) = row?;
                let (name, digest) = (parsed("pulls", &name)?, parsed("pulls", &digest)?);
                Ok(InUse {
                    subject: Subject { name, digest },
                    pulls: unsigned(pulls),
                    clients: unsigned(clients),
                    first: Timestamp::from_milliseconds(first),
                    last: Timestamp::from_milliseconds(last),
                })
            })
            .collect()
        })
        .await
    }

    /// Who was served what since `moment`, by repository, as far as that was written; at most 100,000 pairs.
    ///
    /// # Errors
    /// When the database fails, or a row is not what was written.
    pub async fn clients_since(
        &self,
        moment: Timestamp,
    ) -> Result<BTreeMap<Name, BTreeSet<String>>, Error> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT name, client FROM pulls
                 WHERE minute >= ?1 AND outcome IN ('admitted', 'observed') LIMIT ?2",
            )?;
            let rows = statement.query_map(params![moment.milliseconds(), CLIENTS_MAX], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            let mut clients: BTreeMap<Name, BTreeSet<String>> = BTreeMap::new();
            for row in rows {
                let (name, client) = row?;
                clients.entry(parsed("pulls", &name)?).or_default().insert(client);
            }
            Ok(clients)
        })
        .await
    }

    /// How often each of `subjects` was asked for since `moment` and when it was last, as far as that was
    /// written, in their order; what came of it makes no difference.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pulls_since(
        &self,
        subjects: Vec<Subject>,
        moment: Timestamp,
    ) -> Result<Vec<(u64, Option<Timestamp>)>, Error> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT COALESCE(SUM(count), 0), MAX(minute) FROM pulls
                 WHERE name = ?1 AND digest = ?2 AND minute >= ?3",
            )?;
            let since = moment.milliseconds();
            let mut pulls = Vec::with_capacity(subjects.len());
            for Subject { name, digest } in subjects {
                let of = params![name.to_string(), digest.to_string(), since];
                let row = statement.query_row(of, |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
                })?;
                pulls.push((unsigned(row.0), row.1.map(Timestamp::from_milliseconds)));
            }
            Ok(pulls)
        })
        .await
    }

    /// How often was pulled what came to the same, by the hour since `moment`, as far as that was written.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pulls_by_hour(
        &self,
        moment: Timestamp,
    ) -> Result<Vec<(Timestamp, PullOutcome, u64)>, Error> {
        self.read(move |connection| {
            let first = first_since(connection, moment.milliseconds().saturating_sub(FLUSH_SLACK))?;
            let mut statement = connection.prepare_cached(
                "SELECT minute - minute % ?3, outcome, SUM(count) FROM pulls
                 WHERE id >= ?1 AND minute >= ?2 GROUP BY 1, 2 ORDER BY 1",
            )?;
            let rows = statement.query_map(params![first, moment.milliseconds(), HOUR], |row| {
                Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
            })?;
            rows.map(|row| {
                let (hour, outcome, count) = row?;
                let outcome = parsed("pulls", &outcome)?;
                Ok((Timestamp::from_milliseconds(hour), outcome, unsigned(count)))
            })
            .collect()
        })
        .await
    }

    /// How often anything was asked for since `moment`, as far as that was written.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn all_pulls_since(&self, moment: Timestamp) -> Result<u64, Error> {
        self.read(move |connection| {
            let sql = "SELECT COALESCE(SUM(count), 0) FROM pulls WHERE minute >= ?1";
            let count: i64 =
                connection.query_row(sql, params![moment.milliseconds()], |row| row.get(0))?;
            Ok(unsigned(count))
        })
        .await
    }

    /// Writes what was counted; what cannot be written is given up.
    pub async fn flush(&self) {
        let Some(batch) = Batch::take(&self.inner) else { return };
        let written = self
            .write(move |writing| {
                writing.save_pulls(&batch.counts)?;
                writing.save_counts(&batch.requests)
            })
            .await;
        if let Err(error) = written {
            tracing::warn!(%error, "counts of pulls are given up");
        }
    }
}

/// The number of the first row of `moment` or later, found by halving: rows are written in the order of time,
/// but for what one flush has.
fn first_since(connection: &Connection, moment: i64) -> Result<i64, Error> {
    let (mut low, high): (i64, i64) = connection.query_row(
        "SELECT COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) + 1 FROM pulls",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut high = high;
    let mut statement =
        connection.prepare_cached("SELECT minute FROM pulls WHERE id >= ?1 ORDER BY id LIMIT 1")?;
    while low < high {
        let middle = low + (high - low) / 2;
        let minute: Option<i64> = statement.query_row([middle], |row| row.get(0)).optional()?;
        if minute.is_some_and(|minute| minute < moment) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Writes the counts every minute, and once more when the program stops.
pub(super) fn start_flushing(tasks: &Tasks, inner: Weak<Inner>) {
    let stopping = tasks.stopping();
    tasks.spawn(async move {
        tokio::pin!(stopping);
        loop {
            let stop = tokio::select! {
                () = &mut stopping => true,
                () = tokio::time::sleep(FLUSH_INTERVAL) => false,
            };
            let Some(inner) = inner.upgrade() else { break };
            Ledger { inner }.flush().await;
            if stop {
                break;
            }
        }
    });
}
