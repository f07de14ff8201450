//! The requests in memory: every open one, and those refused by people that are asked for again.

use std::collections::HashMap;

use super::{Filing, RequestId, RequestRow, RequestState};
use crate::time::Timestamp;

/// Most requests in memory that are not open.
const REFUSED_MAX: usize = 10_000;

/// The requests in memory, by key.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Desk {
    rows: HashMap<String, Entry>,
    open: usize,
    closed: u64,
}

#[derive(Debug)]
struct Entry {
    row: RequestRow,
    unwritten: bool,
}

impl Entry {
    fn count(&mut self, client: &str, now: Timestamp) {
        self.row.count(client, now);
        self.unwritten = true;
    }
}

impl Desk {
    /// Counts `filing` on the request that stands for it already; `None` when there is none, or it
    /// stands differently, and the filing has to be written.
    pub(super) fn count(
        &mut self,
        key: &str,
        filing: &Filing,
        now: Timestamp,
    ) -> Option<RequestId> {
        let entry = self.rows.get_mut(key)?;
        if changes(&entry.row, filing) {
            return None;
        }
        entry.count(&super::bounded(&filing.client), now);
        Some(entry.row.id)
    }

    /// Counts a pull on the request `id`, if it is in memory.
    pub(super) fn count_on(&mut self, key: &str, id: RequestId, client: &str, now: Timestamp) {
        if let Some(entry) = self.rows.get_mut(key)
            && entry.row.id == id
        {
            entry.count(client, now);
        }
    }

    /// Takes `row`, which was just committed; counts that memory has ahead of it stay.
    pub(in crate::ledger) fn put(&mut self, mut row: RequestRow) {
        let key = row.key();
        let before = self.rows.remove(&key);
        let was_open = before.as_ref().is_some_and(|entry| entry.row.state.is_open());
        self.open -= usize::from(was_open);
        self.closed += u64::from(was_open && !row.state.is_open());
        let mut unwritten = false;
        if let Some(before) = before.filter(|before| before.row.id == row.id)
            && before.row.pulls > row.pulls
        {
            row.take_counts(&before.row);
            unwritten = true;
        }
        let refused = matches!(row.state, RequestState::Rejected | RequestState::Revoked);
        let open = row.state.is_open();
        if open || (refused && self.rows.len() - self.open < REFUSED_MAX) {
            self.open += usize::from(open);
            self.rows.insert(key, Entry { row, unwritten });
        }
    }

    /// How many ceased to be open since the start.
    pub(in crate::ledger) fn closed(&self) -> u64 {
        self.closed
    }

    /// How many are open.
    pub(in crate::ledger) fn open(&self) -> usize {
        self.open
    }

    /// The counts of `row` as they are by now.
    pub(in crate::ledger) fn bring_up_to_date(&self, row: &mut RequestRow) {
        if let Some(entry) = self.rows.get(&row.key())
            && entry.row.id == row.id
        {
            row.take_counts(&entry.row);
        }
    }

    /// The requests whose counts are ahead of the database; they count as written from now on.
    pub(in crate::ledger) fn take_unwritten(&mut self) -> Vec<RequestRow> {
        let take =
            |entry: &mut Entry| std::mem::take(&mut entry.unwritten).then(|| entry.row.clone());
        self.rows.values_mut().filter_map(take).collect()
    }
}

/// Whether `filing` says something that `row` does not, beside being one pull more.
pub(super) fn changes(row: &RequestRow, filing: &Filing) -> bool {
    let same_state = match row.state {
        RequestState::Denied | RequestState::Pending => row.state == filing.state,
        RequestState::Rejected | RequestState::Revoked => filing.state == RequestState::Denied,
        RequestState::Approved | RequestState::Lapsed => false,
    };
    let refused = !row.state.is_open();
    let same_words = refused || (row.rule == filing.rule && row.reasons == filing.reasons);
    let same_note = filing.note.is_none() || row.note == filing.note;
    let same_tag = filing.tag.is_none() || row.tag == filing.tag;
    let same_group = filing.group.is_none() || row.group == filing.group;
    let same_ticket = filing.ticket.is_none() || row.ticket == filing.ticket;
    let same_people = filing.requester.as_ref().is_none_or(|it| row.requesters.contains(it));
    let same_place = same_group && same_ticket;
    !(same_state && same_words && same_note && same_tag && same_people && same_place)
}
