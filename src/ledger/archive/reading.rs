//! Reading the chain in order, wherever its records are.

use std::path::Path;

use rusqlite::{Connection, params};

use super::super::audit::Stored;
use super::super::lines::Reading;
use super::super::rows::integer;
use super::super::sealer::Sealer;
use super::super::{Error, sealer};
use super::{Segment, files, following};

/// Where records are: a database, what seals its rows (`None`: that is not known here), and the data
/// directory with its segments.
#[derive(Clone, Copy)]
pub(in crate::ledger) struct Place<'a> {
    pub(in crate::ledger) connection: &'a Connection,
    pub(in crate::ledger) sealer: Option<&'a Sealer>,
    pub(in crate::ledger) dir: &'a Path,
}

impl<'a> Place<'a> {
    /// The records of an open ledger.
    pub(in crate::ledger) fn of(tables: &sealer::Tables<'a>, dir: &'a Path) -> Self {
        Self { connection: tables.connection, sealer: Some(tables.sealer), dir }
    }
}

/// A place in the chain that records are read from; it costs one line of memory, and one open file while it
/// is within a segment.
#[derive(Debug)]
pub(in crate::ledger) struct Records {
    after: u64,
    open: Option<(Segment, Reading<'static>)>,
}

impl Records {
    /// The records after `after`.
    pub(in crate::ledger) const fn after(after: u64) -> Self {
        Self { after, open: None }
    }

    /// The number of the last record that was read.
    pub(in crate::ledger) const fn place(&self) -> u64 {
        self.after
    }

    /// Calls `each` with the next records in order, at most `limit` of them; gives how many there were: fewer
    /// only at the end.
    ///
    /// # Errors
    /// [`Error::Archived`] when they are in a segment that is not there; what `each` gives; else when they
    /// cannot be read.
    pub(in crate::ledger) fn read(
        &mut self,
        place: &Place<'_>,
        limit: u64,
        each: &mut dyn FnMut(&Stored) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        // What is archived meanwhile is in the database of this transaction, or in the segments of it.
        let snapshot = place.connection.unchecked_transaction()?;
        let mut count = 0;
        while count < limit {
            if self.open.is_none() {
                let Some(segment) = following(&snapshot, place.sealer, self.after)? else { break };
                let reading = files::open(&segment, place.dir)?;
                let mut opened = (segment, reading);
                for expected in opened.0.from..=self.after {
                    files::next(&mut opened.1, expected)?;
                }
                self.open = Some(opened);
            }
            count += self.read_segment(limit - count, each)?;
        }
        if count < limit {
            count += self.read_rows(&snapshot, limit - count, each)?;
        }
        Ok(count)
    }

    fn read_segment(
        &mut self,
        limit: u64,
        each: &mut dyn FnMut(&Stored) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let Some((segment, reading)) = &mut self.open else { return Ok(0) };
        let mut count = 0;
        while count < limit && self.after < segment.to {
            let next = files::next(reading, self.after + 1)?;
            let stored = next.ok_or_else(|| Error::corrupt("audit", self.after + 1))?;
            each(&stored)?;
            self.after += 1;
            count += 1;
        }
        if self.after >= segment.to {
            self.open = None;
        }
        Ok(count)
    }

    fn read_rows(
        &mut self,
        connection: &Connection,
        limit: u64,
        each: &mut dyn FnMut(&Stored) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let mut statement = connection.prepare_cached(
            "SELECT sequence, body, previous, hash FROM audit
             WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
        )?;
        let mut count = 0;
        for stored in
            statement.query_map(params![integer(self.after), integer(limit)], Stored::from_row)?
        {
            let stored = stored?;
            each(&stored)?;
            self.after = stored.sequence;
            count += 1;
        }
        Ok(count)
    }
}
