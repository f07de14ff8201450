//! How the mirror was over the last day, for curves: pulls as the ledger counts them, and what is only known
//! in memory, looked at every few minutes and forgotten after a day or with the program.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Desk, Error};
use crate::ledger::PullOutcome;
use crate::time::Timestamp;

/// How often it is looked.
const EVERY: Duration = Duration::from_mins(5);
/// Looks that are remembered: a day of them.
const LOOKS_MAX: usize = 24 * 12;
/// Registries whose budget is remembered; the first ones by name.
const REGISTRIES_MAX: usize = 4;
/// Hours that pulls are counted for.
const HOURS: i64 = 24;
/// Milliseconds in an hour.
const HOUR_MS: i64 = 60 * 60 * 1000;

/// What was so at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    at: Timestamp,
    /// Blobs that nodes got from the cache, since the start.
    cached: u64,
    /// Those that had to be fetched.
    fetched: u64,
    /// How many of a hundred pulls are left, by registry.
    left: BTreeMap<String, u64>,
    /// How old the vulnerability database is.
    database_age: Option<Duration>,
}

/// The looks of the last day.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<VecDeque<Look>>);

impl Looks {
    fn add(&self, look: Look) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.push_back(look);
        while looks.len() > LOOKS_MAX {
            looks.pop_front();
        }
    }

    fn all(&self) -> Vec<Look> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The last day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trends {
    /// Pulls by the hour, oldest first; the last hour is not over.
    pub hours: Vec<Hour>,
    /// What was seen now and then, oldest first.
    pub seen: Vec<Seen>,
}

/// Pulls of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    /// When it begins.
    pub from: Timestamp,
    /// Pulls that were served.
    pub served: u64,
    /// Pulls that were refused, or wait.
    pub refused: u64,
}

/// What was seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// Of a hundred blobs since the moment before, how many were in the cache; nothing where none was asked
    /// for.
    pub hits: Option<u64>,
    /// Of a hundred pulls that a registry allows, how many are left, by registry.
    pub left: BTreeMap<String, u64>,
    /// Hours since the vulnerability database was made.
    pub database_hours: Option<u64>,
}

impl Desk {
    /// Looks now and then, for [`Desk::trends`].
    pub fn keep_trends(&self) {
        let (desk, tasks) = (self.clone(), self.mirror.tasks().clone());
        let stopping = tasks.stopping();
        tasks.spawn(async move {
            let looking = async {
                loop {
                    desk.look();
                    tokio::time::sleep(EVERY).await;
                }
            };
            tokio::select! {
                () = stopping => {}
                () = looking => {}
            }
        });
    }

    fn look(&self) {
        let metrics = self.mirror.metrics();
        let now = self.mirror.clock().now();
        let database = self.mirror.scanner().database();
        let status = self.mirror.client().status();
        let left = status.iter().filter_map(|registry| {
            let limit = registry.rate_limit?;
            let percent = limit.remaining.saturating_mul(100).checked_div(limit.limit)?;
            Some((registry.registry.to_string(), percent.min(100)))
        });
        self.looks.add(Look {
            at: now,
            cached: metrics.blobs_cached.value(),
            fetched: metrics.blobs_arriving.value(),
            left: left.take(REGISTRIES_MAX).collect(),
            database_age: database.ok().map(|database| now.since(database.id().as_of)),
        });
    }

    /// The last day in numbers.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn trends(&self) -> Result<Trends, Error> {
        let now = self.mirror.clock().now().milliseconds();
        let first = now.div_euclid(HOUR_MS).saturating_sub(HOURS - 1).saturating_mul(HOUR_MS);
        let since = Timestamp::from_milliseconds(first);
        let counts = self.mirror.ledger().pulls_by_hour(since).await?;
        let hours = (0..HOURS).map(|hour| {
            let from = first.saturating_add(hour.saturating_mul(HOUR_MS));
            let from = Timestamp::from_milliseconds(from);
            let of = |wanted: &[PullOutcome]| {
                let of_it = counts.iter().filter(|it| it.0 == from && wanted.contains(&it.1));
                of_it.map(|it| it.2).sum()
            };
            let served = of(&[PullOutcome::Admitted, PullOutcome::Observed]);
            Hour { from, served, refused: of(&[PullOutcome::Denied, PullOutcome::Pending]) }
        });
        Ok(Trends { hours: hours.collect(), seen: seen(&self.looks.all()) })
    }
}

/// From what was counted since the start to what happened between two looks.
fn seen(looks: &[Look]) -> Vec<Seen> {
    let before = [None].into_iter().chain(looks.iter().map(Some));
    let told = looks.iter().zip(before).map(|(look, before)| {
        let since = |now: u64, then: fn(&Look) -> u64| now.saturating_sub(before.map_or(0, then));
        let cached = since(look.cached, |it| it.cached);
        let all = cached.saturating_add(since(look.fetched, |it| it.fetched));
        Seen {
            at: look.at,
            hits: cached.saturating_mul(100).checked_div(all),
            left: look.left.clone(),
            database_hours: look.database_age.map(|age| age.as_secs() / 3600),
        }
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(minute: i64, cached: u64, fetched: u64) -> Look {
        let at = Timestamp::from_milliseconds(minute * 60_000);
        Look { at, cached, fetched, left: BTreeMap::new(), database_age: None }
    }

    #[test]
    fn hits_are_those_between_two_looks_and_unknown_where_nothing_was_asked_for() {
        let looks = [look(0, 0, 0), look(5, 30, 10), look(10, 30, 10), look(15, 30, 11)];
        let hits: Vec<_> = seen(&looks).iter().map(|it| it.hits).collect();
        assert_eq!(hits, [None, Some(75), None, Some(0)]);
    }

    #[test]
    fn a_day_of_looks_is_remembered_and_no_more() {
        let looks = Looks::default();
        for minute in 0..1_000 {
            looks.add(look(minute, 0, 0));
        }
        let all = looks.all();
        assert_eq!((all.len(), all[0].at.milliseconds()), (LOOKS_MAX, (1_000 - 288) * 60_000));
    }
}
