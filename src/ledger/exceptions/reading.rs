//! Reading exceptions: from the database, and what is in force from memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use rusqlite::{OptionalExtension as _, Row, params};
use serde::Deserialize;

use super::{ExceptionId, ExceptionRow, ExceptionState, IN_FORCE_MAX};
use crate::gate::DeskException;
use crate::ledger::rows::{Sealed, integer, unsigned};
use crate::ledger::sealer::Tables;
use crate::ledger::{Error, Ledger, archive};
use crate::oci::Name;
use crate::time::Timestamp;

/// Most exceptions that one read gives.
const PAGE_MAX: u32 = 1_000;
const COLUMNS: &str = "id, key, state, body, seal";
/// The exception that a record of the audit is about: the expression of the index `audit_by_exception`.
const ABOUT: &str = "CASE WHEN json_valid(body) THEN json_extract(body, '$.details.exception') END";

/// Which exceptions to list.
#[derive(Debug, Clone, Default)]
pub struct ExceptionFilter {
    /// Only these states; none listed is all.
    pub states: Vec<ExceptionState>,
    /// Only those of this repository.
    pub name: Option<Name>,
    /// Only those after this one.
    pub after: Option<ExceptionId>,
    /// Newest first, and only those before [`after`](Self::after).
    pub newest_first: bool,
    /// How many at most, up to 1,000; 0 is 1,000.
    pub limit: u32,
}

/// How many exceptions there are that matter now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExceptionCounts {
    /// Those that wait for people.
    pub asked: u64,
    /// Those that are in force.
    pub granted: u64,
}

/// A row as it is stored.
struct Stored {
    id: ExceptionId,
    key: String,
    state: String,
    sealed: Sealed,
}

impl Stored {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let id = ExceptionId(unsigned(row.get(0)?));
        Ok(Self { id, key: row.get(1)?, state: row.get(2)?, sealed: Sealed::from_row(row, 3)? })
    }

    /// The exception, if it is what was written, and the last record about it in the audit is the one that
    /// made it what it is: a row that was, and is not any more, has a seal that fits.
    fn open(&self, connection: &Tables<'_>) -> Result<ExceptionRow, Error> {
        let id = self.id.to_string();
        let corrupt = || Error::corrupt("exceptions", &id);
        let row: ExceptionRow =
            self.sealed.open(connection.sealer, "exceptions", &[&id, &self.key])?;
        let is_itself = row.id == self.id && row.state.as_str() == self.state;
        if !is_itself || row.scope.key() != self.key {
            return Err(corrupt());
        }
        let sql = format!(
            "SELECT sequence, body FROM audit WHERE {ABOUT} = ?1 ORDER BY sequence DESC LIMIT 1"
        );
        let last = connection
            .prepare_cached(&sql)?
            .query_row([&id], |row| Ok((unsigned(row.get(0)?), row.get::<_, String>(1)?)))
            .optional()?;
        let says = |body: &str| {
            serde_json::from_str::<Said>(body).is_ok_and(|said| said.kind == kind_of(row.state))
        };
        let is_over = matches!(row.state, ExceptionState::Ended | ExceptionState::Refused);
        match last {
            Some((sequence, body)) if sequence == row.sequence && says(&body) => Ok(row),
            // Its records left the database. Those of one that may still come to something stay.
            None if is_over && has_left(connection, row.sequence)? => Ok(row),
            Some(_) | None => Err(corrupt()),
        }
    }
}

/// Whether the record `sequence` is one of those that left the database.
fn has_left(connection: &Tables<'_>, sequence: u64) -> Result<bool, Error> {
    let (chain, _) = archive::base(connection, Some(connection.sealer))?;
    Ok(sequence <= chain.count)
}

/// The exception that waits or is in force whose last record is the oldest, and that record: from there on,
/// records have to stay.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn open_since(
    connection: &Tables<'_>,
) -> Result<Option<(ExceptionId, u64)>, Error> {
    let sql = "SELECT id, json_extract(body, '$.sequence') FROM exceptions
               WHERE state IN ('asked', 'granted') AND json_valid(body)";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement
        .query_map([], |row| Ok((ExceptionId(unsigned(row.get(0)?)), unsigned(row.get(1)?))))?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(rows.into_iter().min_by_key(|(_, sequence)| *sequence))
}

/// What of a record of the audit matters here.
#[derive(Deserialize)]
struct Said {
    kind: String,
}

/// The record that makes an exception `state`.
const fn kind_of(state: ExceptionState) -> &'static str {
    match state {
        ExceptionState::Asked => "exception-asked",
        ExceptionState::Ended => "exception-ended",
        ExceptionState::Granted => "exception-granted",
        ExceptionState::Refused => "exception-refused",
    }
}

/// The rows that `condition` takes, up to 1,000. Damaged ones are left out, and logged: no exception comes of
/// them.
fn find(
    connection: &Tables<'_>,
    condition: &str,
    of: impl rusqlite::Params,
) -> Result<Vec<ExceptionRow>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM exceptions WHERE {condition}");
    let mut statement = connection.prepare_cached(&sql)?;
    let stored = statement.query_map(of, Stored::from_row)?;
    let stored = stored.collect::<rusqlite::Result<Vec<Stored>>>()?;
    let mut rows = Vec::with_capacity(stored.len());
    for one in stored {
        match one.open(connection) {
            Ok(row) => rows.push(row),
            Err(error @ Error::CorruptRow { .. }) => {
                tracing::error!(%error, "an exception that nobody made here is none");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

/// The exception `id`.
pub(super) fn by_id(
    connection: &Tables<'_>,
    id: ExceptionId,
) -> Result<Option<ExceptionRow>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM exceptions WHERE id = ?1");
    let stored =
        connection.prepare_cached(&sql)?.query_row([integer(id.0)], Stored::from_row).optional()?;
    stored.map(|stored| stored.open(connection)).transpose()
}

/// The exception of `key` that waits for people.
pub(super) fn waiting(connection: &Tables<'_>, key: &str) -> Result<Option<ExceptionRow>, Error> {
    let found = find(connection, "key = ?1 AND state = 'asked' ORDER BY id DESC LIMIT 1", [key])?;
    Ok(found.into_iter().next())
}

/// The exceptions of the repository `name` that are granted.
pub(super) fn in_force_of(
    connection: &Tables<'_>,
    name: &Name,
) -> Result<Vec<ExceptionRow>, Error> {
    let condition = format!("name = ?1 AND state = 'granted' ORDER BY id LIMIT {PAGE_MAX}");
    find(connection, &condition, [name.to_string()])
}

/// Refuses one more where as many are granted as may be.
pub(super) fn check_in_force(connection: &Tables<'_>) -> Result<(), Error> {
    let sql = "SELECT count(*) FROM exceptions WHERE state = 'granted'";
    let count: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let limit = u64::try_from(IN_FORCE_MAX).unwrap_or(u64::MAX);
    if unsigned(count) >= limit {
        return Err(Error::TooManyExceptions { of: "in force", limit });
    }
    Ok(())
}

/// What is asked or granted and has expired by `now`.
pub(super) fn expired(connection: &Tables<'_>, now: Timestamp) -> Result<Vec<ExceptionRow>, Error> {
    // Texts of times with and without a fraction of a second are ordered only to the second.
    let by = now.after(std::time::Duration::from_secs(1)).to_string();
    let condition =
        format!("state IN ('asked', 'granted') AND ends <= ?1 ORDER BY ends LIMIT {PAGE_MAX}");
    let mut rows = find(connection, &condition, [by])?;
    rows.retain(|row| row.ends() <= now);
    Ok(rows)
}

/// What is granted and ends between `now` and `until`, soonest first.
pub(super) fn ending(
    connection: &Tables<'_>,
    (now, until): (Timestamp, Timestamp),
) -> Result<Vec<ExceptionRow>, Error> {
    let by = until.after(std::time::Duration::from_secs(1)).to_string();
    let condition = format!("state = 'granted' AND ends <= ?1 ORDER BY ends LIMIT {PAGE_MAX}");
    let mut rows = find(connection, &condition, [by])?;
    rows.retain(|row| now < row.ends() && row.ends() <= until);
    Ok(rows)
}

/// What is in force, by repository.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Known {
    of: HashMap<Name, OfRepository>,
    asked: HashMap<ExceptionId, Timestamp>,
}

#[derive(Debug, Clone)]
struct OfRepository {
    granted: Arc<[DeskException]>,
    /// The record of the last change of any of them.
    changed: u64,
}

impl Known {
    /// Takes `row`, which was just written or read.
    pub(super) fn put(&mut self, row: &ExceptionRow) {
        self.asked.remove(&row.id);
        if row.state == ExceptionState::Asked {
            self.asked.insert(row.id, row.expires);
        }
        // What was never in force changes nothing about what is.
        if row.granted.is_none() {
            return;
        }
        let known = self.of.entry(row.scope.name.clone());
        let known = known.or_insert_with(|| OfRepository { granted: Arc::new([]), changed: 0 });
        let id = row.id.to_string();
        let others = known.granted.iter().filter(|other| other.id != id).cloned();
        known.granted = others.chain(row.for_gate()).collect();
        known.changed = known.changed.max(row.sequence);
    }

    fn of(&self, name: &Name) -> (Arc<[DeskException]>, u64) {
        match self.of.get(name) {
            Some(known) => (Arc::clone(&known.granted), known.changed),
            None => (Arc::new([]), 0),
        }
    }
}

/// Everything that is in force or waits, and what changed last for each repository.
pub(in crate::ledger) fn load(connection: &Tables<'_>) -> Result<Known, Error> {
    let mut known = Known::default();
    let mut after = 0;
    loop {
        let sql = format!("SELECT {COLUMNS} FROM exceptions WHERE id > ?1 ORDER BY id LIMIT ?2");
        let mut statement = connection.prepare_cached(&sql)?;
        let stored = statement.query_map(params![after, PAGE_MAX], Stored::from_row)?;
        let stored = stored.collect::<rusqlite::Result<Vec<Stored>>>()?;
        let Some(last) = stored.last() else { return Ok(known) };
        after = integer(last.id.0);
        for one in stored {
            match one.open(connection) {
                Ok(row) => known.put(&row),
                Err(error @ Error::CorruptRow { .. }) => {
                    tracing::error!(%error, "an exception that nobody made here is none");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Ledger {
    /// The exceptions that are granted for the repository `name`, whether they have expired or not, and the
    /// number of the last change of any of them: a verdict that was reached by another number does not know
    /// what is so now. From memory.
    pub fn exceptions_of(&self, name: &Name) -> (Arc<[DeskException]>, u64) {
        self.inner.memory.exceptions.read().unwrap_or_else(PoisonError::into_inner).of(name)
    }

    /// How many wait and are in force. From memory.
    pub fn exception_counts(&self) -> ExceptionCounts {
        let known = self.inner.memory.exceptions.read().unwrap_or_else(PoisonError::into_inner);
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let granted = known.of.values().map(|it| it.granted.len()).sum();
        ExceptionCounts { asked: count(known.asked.len()), granted: count(granted) }
    }

    /// When the next one ends that waits or is in force. From memory.
    pub fn next_exception_end(&self) -> Option<Timestamp> {
        let known = self.inner.memory.exceptions.read().unwrap_or_else(PoisonError::into_inner);
        let granted = known.of.values().flat_map(|it| it.granted.iter()).map(|it| it.expires);
        granted.chain(known.asked.values().copied()).min()
    }

    /// The exception `id`; none when there is none, or its row is not what was written.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn exception(&self, id: ExceptionId) -> Result<Option<ExceptionRow>, Error> {
        self.read(move |connection| match by_id(connection, id) {
            Err(error @ Error::CorruptRow { .. }) => {
                tracing::error!(%error, "an exception that nobody made here is none");
                Ok(None)
            }
            found => found,
        })
        .await
    }

    /// The exceptions that `filter` wants, by number. Damaged ones are left out, and logged.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn exceptions(&self, filter: ExceptionFilter) -> Result<Vec<ExceptionRow>, Error> {
        self.read(move |connection| {
            let limit = match filter.limit {
                0 => PAGE_MAX,
                limit => limit.min(PAGE_MAX),
            };
            let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
            let states = serde_json::to_string(&states)?;
            let name = filter.name.map(|name| name.to_string());
            let after = filter.after.map(|after| integer(after.0));
            let place = if filter.newest_first {
                "(?1 IS NULL OR id < ?1)"
            } else {
                "(?1 IS NULL OR id > ?1)"
            };
            let order = if filter.newest_first { "DESC" } else { "ASC" };
            let condition = format!(
                "{place} AND (?2 IS NULL OR name = ?2)
                 AND (?3 = '[]' OR state IN (SELECT value FROM json_each(?3)))
                 ORDER BY id {order} LIMIT ?4"
            );
            find(connection, &condition, params![after, name, states, limit])
        })
        .await
    }
}
