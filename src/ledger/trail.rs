//! What the audit chain says about one thing, found by reading all of it.

use std::collections::VecDeque;

use rusqlite::{Connection, params};

use super::audit::{AuditRow, Stored};
use super::rows::integer;
use super::{Error, Ledger};

/// Records that are searched in one go.
const PAGE: i64 = 20_000;
/// Most records that are kept; beyond it, the oldest go.
const ROWS_MAX: usize = 10_000;

/// The records about one thing, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trail {
    /// The latest ten thousand.
    pub rows: VecDeque<AuditRow>,
    /// How many there are beside these.
    pub left_out: u64,
}

impl Ledger {
    /// The records whose text has `text` in it and that `keep` keeps. Reads every record.
    ///
    /// # Errors
    /// When the database fails, or a record that has it is not what was written.
    pub async fn trail<K>(&self, text: &str, keep: K) -> Result<Trail, Error>
    where
        K: Fn(&AuditRow) -> bool + Clone + Send + 'static,
    {
        let mut trail = Trail::default();
        let mut after = Some(0);
        while let Some(place) = after {
            let (text, keep) = (text.to_owned(), keep.clone());
            let searching = self.read(move |connection| {
                let after = search(connection, &text, place, &keep, &mut trail)?;
                Ok((trail, after))
            });
            (trail, after) = searching.await?;
        }
        Ok(trail)
    }
}

/// Searches the records after `after`; gives where to go on.
fn search(
    connection: &Connection,
    text: &str,
    after: u64,
    keep: &impl Fn(&AuditRow) -> bool,
    trail: &mut Trail,
) -> Result<Option<u64>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, body, previous, hash FROM audit
         WHERE sequence > ?1 AND sequence <= ?2 AND instr(body, ?3) > 0 ORDER BY sequence",
    )?;
    let last: i64 =
        connection
            .query_row("SELECT coalesce(max(sequence), 0) FROM audit", [], |row| row.get(0))?;
    let until = integer(after).saturating_add(PAGE);
    for stored in statement.query_map(params![integer(after), until, text], Stored::from_row)? {
        let row = stored?.open()?;
        if !keep(&row) {
            continue;
        }
        if trail.rows.len() == ROWS_MAX {
            trail.rows.pop_front();
            trail.left_out += 1;
        }
        trail.rows.push_back(row);
    }
    Ok((until < last).then(|| super::rows::unsigned(until)))
}
