//! What of the rows counts after a start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::OptionalExtension as _;
use serde::Deserialize;

use super::{Emergencies, EmergencyRow, EmergencyState, Held, TABLE};
use crate::gate::EmergencyId;
use crate::ledger::Error;
use crate::ledger::audit::{Chain, Stored};
use crate::ledger::rows::{Sealed, integer, unsigned};
use crate::ledger::sealer::Tables;
use crate::ledger::verify;
use crate::time::{Clock, Timestamp};

/// What of a record of the chain matters here.
#[derive(Deserialize)]
pub(super) struct Seen {
    #[serde(default)]
    details: BTreeMap<String, String>,
}

impl Seen {
    /// Which one the record is about, and the how manieth change of it that is.
    pub(super) fn word(&self) -> Option<(&str, u64)> {
        let version = self.details.get("version")?.parse().ok()?;
        Some((self.details.get("break_glass")?.as_str(), version))
    }
}

/// Reads all that something is left to be done about. What is not what was written, or is not the last word of
/// the chain about it, is left out: it opens nothing.
pub(in crate::ledger) fn load(
    connection: &Tables<'_>,
    clock: &dyn Clock,
) -> Result<Emergencies, Error> {
    let rows = whole(connection)?;
    let could_open = |row: &&EmergencyRow| row.state != EmergencyState::Ended;
    let first = rows.iter().filter(could_open).map(|row| row.begun).min();
    let words = match first {
        Some(first) => last_words(connection, first)?,
        None => Some(BTreeMap::new()),
    };
    let last_at = last_record(connection)?;
    let (now, monotonic) = (clock.now(), clock.monotonic());
    let mut held = Emergencies::new();
    for row in rows {
        let id = row.id.to_string();
        let known = words.as_ref().and_then(|words| words.get(&id)).copied();
        if row.state != EmergencyState::Ended && known != Some(row.version) {
            tracing::error!(%id, "a break-glass is not the one that the audit knows of; it opens nothing");
            continue;
        }
        // Something was put on record after its end: whatever the clock says now, it is over.
        let is_over = row.until.is_some_and(|until| last_at.is_some_and(|last| until <= last));
        let left = row.until.map_or(Duration::ZERO, |until| until.since(now)).min(row.ttl());
        let deadline = if is_over { Duration::ZERO } else { monotonic + left };
        held.insert(row.id, Held { row: Arc::new(row), deadline });
    }
    Ok(held)
}

fn whole(connection: &Tables<'_>) -> Result<Vec<EmergencyRow>, Error> {
    let mut statement = connection.prepare("SELECT id, body, seal FROM emergencies ORDER BY id")?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, Sealed::from_row(row, 1)?)))?;
    let mut whole = Vec::new();
    for row in rows {
        let (id, sealed) = row?;
        let key = format!("B-{}", unsigned(id));
        match sealed.open::<EmergencyRow>(connection.sealer, TABLE, &[&key]) {
            Ok(row) if !row.is_settled() => whole.push(row),
            Ok(_) => {}
            Err(error @ Error::CorruptRow { .. }) => tracing::error!(%error, "left out"),
            Err(error) => return Err(error),
        }
    }
    Ok(whole)
}

/// The one with the earliest beginning about which something is left to be done, and the record of that: from
/// there on, the chain has to be there.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn unsettled_since(
    connection: &Tables<'_>,
) -> Result<Option<(EmergencyId, u64)>, Error> {
    let rows = whole(connection)?;
    Ok(rows.iter().map(|row| (row.id, row.begun)).min_by_key(|(_, begun)| *begun))
}

/// The last change of each that the chain knows of, from record `first` on; `None` where the chain is broken
/// after that, so that it says nothing.
fn last_words(connection: &Tables<'_>, first: u64) -> Result<Option<BTreeMap<String, u64>>, Error> {
    let count = first.saturating_sub(1);
    let Some(hash) = verify::hash_at(connection, count)? else { return Ok(None) };
    let mut chain = Chain { count, hash };
    let mut words = BTreeMap::new();
    let mut statement = connection.prepare(
        "SELECT sequence, body, previous, hash FROM audit WHERE sequence >= ?1 ORDER BY sequence",
    )?;
    for stored in statement.query_map([integer(first)], Stored::from_row)? {
        let stored = stored?;
        match verify::follow(&chain, &stored) {
            Ok(next) => chain = next,
            Err(problem) => {
                tracing::error!(%problem, "the audit chain is broken; no break-glass counts");
                return Ok(None);
            }
        }
        if stored.body.contains("\"break_glass\"")
            && let Ok(seen) = serde_json::from_str::<Seen>(&stored.body)
            && let Some((id, version)) = seen.word()
        {
            words.insert(id.to_owned(), version);
        }
    }
    Ok(Some(words))
}

/// When something was last put on record.
fn last_record(connection: &Tables<'_>) -> Result<Option<Timestamp>, Error> {
    let body: Option<String> = connection
        .query_row("SELECT body FROM audit ORDER BY sequence DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    let at = |body: String| {
        let value: serde_json::Value = serde_json::from_str(&body).ok()?;
        value.get("at")?.as_str()?.parse().ok()
    };
    Ok(body.and_then(at))
}

/// The last change of `id` that the chain knows of, from record `first` on.
pub(super) fn last_word(
    connection: &Tables<'_>,
    id: EmergencyId,
    first: u64,
) -> Result<Option<u64>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT body FROM audit WHERE sequence >= ?1 AND body LIKE ?2 ORDER BY sequence DESC",
    )?;
    let pattern = format!("%\"break_glass\":\"{id}\"%");
    let bodies = statement
        .query_map(rusqlite::params![integer(first), pattern], |row| row.get::<_, String>(0))?;
    for body in bodies {
        let Ok(seen) = serde_json::from_str::<Seen>(&body?) else { continue };
        if let Some((of, version)) = seen.word()
            && of == id.to_string()
        {
            return Ok(Some(version));
        }
    }
    Ok(None)
}
