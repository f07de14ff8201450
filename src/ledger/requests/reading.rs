//! Reading requests, with the counts that memory has ahead of the database.

use std::sync::PoisonError;

use rusqlite::{OptionalExtension as _, Row, params};

use super::{RequestFilter, RequestId, RequestRow};
use crate::ledger::rows::{Sealed, integer, unsigned};
use crate::ledger::sealer::{Sealer, Tables};
use crate::ledger::{Error, Ledger};

/// Most requests that one read gives.
const REQUESTS_PAGE_MAX: u32 = 1000;

/// A row as it is stored: number, key, state, body and seal.
struct Stored {
    id: RequestId,
    key: String,
    state: String,
    sealed: Sealed,
}

const COLUMNS: &str = "id, key, state, body, seal";

impl Stored {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let id = RequestId(unsigned(row.get(0)?));
        Ok(Self { id, key: row.get(1)?, state: row.get(2)?, sealed: Sealed::from_row(row, 3)? })
    }

    fn open(&self, sealer: &Sealer) -> Result<RequestRow, Error> {
        let row: RequestRow =
            self.sealed.open(sealer, "requests", &[&self.id.to_string(), &self.key])?;
        if row.id != self.id || row.state.as_str() != self.state {
            return Err(Error::corrupt("requests", self.id));
        }
        Ok(row)
    }
}

/// The request `id`.
pub(in crate::ledger) fn load(
    connection: &Tables<'_>,
    id: RequestId,
) -> Result<Option<RequestRow>, Error> {
    let stored = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM requests WHERE id = ?1"))?
        .query_row([integer(id.0)], Stored::from_row)
        .optional()?;
    stored.map(|stored| stored.open(connection.sealer)).transpose()
}

/// The last request filed under `key`.
pub(super) fn latest(connection: &Tables<'_>, key: &str) -> Result<Option<RequestRow>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM requests WHERE key = ?1 ORDER BY id DESC LIMIT 1");
    let stored = connection.prepare_cached(&sql)?.query_row([key], Stored::from_row).optional()?;
    stored.map(|stored| stored.open(connection.sealer)).transpose()
}

/// As [`latest`], but a damaged one is logged and taken for none.
pub(in crate::ledger) fn latest_readable(
    connection: &Tables<'_>,
    key: &str,
) -> Result<Option<RequestRow>, Error> {
    match latest(connection, key) {
        Err(error @ Error::CorruptRow { .. }) => {
            tracing::error!(%error, "left alone");
            Ok(None)
        }
        outcome => outcome,
    }
}

/// Every open request that is what was written.
pub(in crate::ledger) fn load_open(connection: &Tables<'_>) -> Result<Vec<RequestRow>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM requests WHERE state IN ('denied', 'pending')");
    let mut statement = connection.prepare(&sql)?;
    let mut open = Vec::new();
    for stored in statement.query_map([], Stored::from_row)? {
        match stored?.open(connection.sealer) {
            Ok(row) => open.push(row),
            // A pull that needs it files another.
            Err(error @ Error::CorruptRow { .. }) => tracing::error!(%error, "left out"),
            Err(error) => return Err(error),
        }
    }
    Ok(open)
}

impl Ledger {
    /// The requests that `filter` wants, in the order in which they were filed.
    ///
    /// # Errors
    /// When the database fails, or a row is not what was written.
    pub async fn requests(&self, filter: RequestFilter) -> Result<Vec<RequestRow>, Error> {
        let mut rows = self
            .read(move |connection| {
                let limit = match filter.limit {
                    0 => REQUESTS_PAGE_MAX,
                    limit => limit.min(REQUESTS_PAGE_MAX),
                };
                let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
                let sql = format!(
                    "SELECT {COLUMNS} FROM requests
                     WHERE id > ?1 AND (?2 IS NULL OR name = ?2)
                     AND (?3 = '[]' OR state IN (SELECT value FROM json_each(?3)))
                     AND (?5 IS NULL OR instr(lower(body), ?5) > 0)
                     ORDER BY id LIMIT ?4"
                );
                let mut statement = connection.prepare_cached(&sql)?;
                let rows = statement.query_map(
                    params![
                        integer(filter.after.map_or(0, |id| id.0)),
                        filter.name.map(|name| name.to_string()),
                        serde_json::to_string(&states)?,
                        limit,
                        filter.sieve.map(|text| text.to_ascii_lowercase())
                    ],
                    Stored::from_row,
                )?;
                rows.map(|row| row?.open(connection.sealer)).collect::<Result<Vec<_>, Error>>()
            })
            .await?;
        let desk = self.inner.memory.desk.lock().unwrap_or_else(PoisonError::into_inner);
        for row in &mut rows {
            desk.bring_up_to_date(row);
        }
        Ok(rows)
    }

    /// The request `id`; `None` when there is no such request.
    ///
    /// # Errors
    /// When the database fails, or the row is not what was written.
    pub async fn request(&self, id: RequestId) -> Result<Option<RequestRow>, Error> {
        let mut row = self.read(move |connection| load(connection, id)).await?;
        if let Some(row) = &mut row {
            let desk = self.inner.memory.desk.lock().unwrap_or_else(PoisonError::into_inner);
            desk.bring_up_to_date(row);
        }
        Ok(row)
    }
}
