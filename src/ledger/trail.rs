//! What the audit chain says about one thing, found by reading all of it.

use std::collections::VecDeque;

use super::archive::{Place, Records};
use super::audit::{AuditRow, Stored};
use super::{Error, Ledger, Segment};

/// Records that are searched in one go.
const PAGE: u64 = 20_000;
/// Most records that are kept; beyond it, the oldest go.
const ROWS_MAX: usize = 10_000;

/// The records about one thing, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trail {
    /// The latest ten thousand.
    pub rows: VecDeque<AuditRow>,
    /// How many there are beside these.
    pub left_out: u64,
    /// The segments that would have had to be read and are not there, oldest first.
    pub unread: Vec<Segment>,
}

impl Ledger {
    /// The records whose text has `text` in it and that `keep` keeps. Reads every record, those too that left
    /// the database, as far as their files are there.
    ///
    /// # Errors
    /// When the database fails, or a record that has it is not what was written.
    pub async fn trail<K>(&self, text: &str, keep: K) -> Result<Trail, Error>
    where
        K: Fn(&AuditRow) -> bool + Clone + Send + 'static,
    {
        let (mut trail, mut records) = (Trail::default(), Some(Records::after(0)));
        while let Some(at) = records.take() {
            let (text, keep, dir) = (text.to_owned(), keep.clone(), self.inner.dir.clone());
            let searching = self.read(move |connection| {
                let place = Place::of(connection, &dir);
                let records = search(&place, &text, at, &keep, &mut trail)?;
                Ok((trail, records))
            });
            (trail, records) = searching.await?;
        }
        Ok(trail)
    }
}

/// Searches the next records of `records`; gives where to go on.
fn search(
    place: &Place<'_>,
    text: &str,
    mut records: Records,
    keep: &impl Fn(&AuditRow) -> bool,
    trail: &mut Trail,
) -> Result<Option<Records>, Error> {
    let mut look = |stored: &Stored| {
        if !stored.body.contains(text) {
            return Ok(());
        }
        let row = stored.open()?;
        if !keep(&row) {
            return Ok(());
        }
        if trail.rows.len() == ROWS_MAX {
            trail.rows.pop_front();
            trail.left_out += 1;
        }
        trail.rows.push_back(row);
        Ok(())
    };
    match records.read(place, PAGE, &mut look) {
        Ok(count) => Ok((count == PAGE).then_some(records)),
        Err(Error::Archived(segment)) => {
            let after = segment.to;
            trail.unread.push(*segment);
            Ok(Some(Records::after(after)))
        }
        Err(error) => Err(error),
    }
}
