//! The queue as people page through it: newest first, filtered, searched, in bounded steps.

use super::show::STATES;
use super::view::RequestView;
use super::{Desk, Error};
use crate::ledger::{Caller, RequestFilter, RequestId, RequestRow, RequestState};

/// Requests on one page.
pub const QUEUE_PAGE: usize = 50;
/// Most requests that are looked at for one page; the next one goes on from there.
pub const QUEUE_LOOKED_AT_MAX: u64 = 20_000;
/// How many requests are read in the first step; each further step reads twice as many.
const STEP_FIRST: u64 = 128;
/// Most requests in one step.
const STEP_MAX: u64 = 1_000;
/// The word for requests about which a question waits for an answer, beside those for states.
pub const NEEDS_INFO: &str = "needs-info";
/// Longest text that is searched for, in characters.
pub const SEARCH_LENGTH_MAX: usize = 200;

/// Which requests a page of the queue has.
#[derive(Debug, Clone, Default)]
pub struct QueueFilter {
    /// Only these states: one by its name, `open`, or `all`.
    pub state: Option<String>,
    /// Only those that wait for a yes of this person.
    pub mine: Option<Caller>,
    /// Only those of this group; those without one are of that of their repository.
    pub group: Option<String>,
    /// Only those that have this text, in any letter case, in image, digest, rule, reason, client or
    /// note.
    pub search: Option<String>,
    /// Only those before this one.
    pub before: Option<String>,
}

/// A page of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePage {
    /// The requests, newest first.
    pub requests: Vec<RequestView>,
    /// Before which request the next page begins; none when there is no more.
    pub next: Option<String>,
}

/// What of a request says whether a list has it.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Only these states; empty is all.
    pub(super) states: Vec<RequestState>,
    /// Only those that wait for a yes of this person.
    pub(super) mine: Option<Caller>,
    /// Only those of this group.
    pub(super) group: Option<String>,
    /// Only those about which a question waits for an answer.
    pub(super) needs_info: bool,
    /// Only those that say this, in lower case.
    pub(super) search: Option<String>,
}

impl Wanted {
    /// Those of which the state is `word`; those that are open where nothing is said.
    pub(super) fn of(word: Option<&str>) -> Result<Self, Error> {
        let states = match word {
            None | Some("open" | NEEDS_INFO) => {
                STATES.into_iter().filter(|state| state.is_open()).collect()
            }
            Some("all") => Vec::new(),
            Some(word) => vec![super::requests::state_of(word)?],
        };
        let needs_info = word == Some(NEEDS_INFO);
        Ok(Self { states, needs_info, ..Self::default() })
    }

    fn has(&self, row: &RequestRow) -> bool {
        (row.needs_info || !self.needs_info)
            && self.group.as_ref().is_none_or(|group| is_of(row, group))
            && self.search.as_ref().is_none_or(|text| has(row, text))
    }
}

impl Desk {
    /// Those of `rows` that are `wanted`.
    pub(super) async fn of_those(
        &self,
        mut rows: Vec<RequestRow>,
        wanted: &Wanted,
    ) -> Result<Vec<RequestRow>, Error> {
        rows.retain(|row| wanted.has(row));
        match &wanted.mine {
            Some(caller) => self.waiting_for(rows, caller).await,
            None => Ok(rows),
        }
    }

    /// A page of the queue, newest first.
    ///
    /// # Errors
    /// When the state is none, what it is to begin before is no request, or the ledger cannot be read.
    pub async fn queue(&self, filter: &QueueFilter) -> Result<QueuePage, Error> {
        let search = filter.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let wanted = Wanted {
            mine: filter.mine.clone(),
            group: filter.group.clone(),
            search: search.map(str::to_lowercase),
            ..Wanted::of(filter.state.as_deref())?
        };
        let mut end = match filter.before.as_deref() {
            Some(text) => number_of(text)?,
            None => self.last_request().await?.saturating_add(1),
        };
        let floor = end.saturating_sub(QUEUE_LOOKED_AT_MAX);
        let (mut rows, mut step) = (Vec::new(), STEP_FIRST);
        // One more than fits tells whether there is a next page.
        while end > 1 && end > floor && rows.len() <= QUEUE_PAGE {
            let start = end.saturating_sub(step).max(1);
            let sieve = wanted.search.as_deref().filter(|text| is_plain(text));
            let stretch = self.stretch(&wanted.states, sieve, start, end).await?;
            rows.extend(self.of_those(stretch, &wanted).await?.into_iter().rev());
            (end, step) = (start, step.saturating_mul(2).min(STEP_MAX));
        }
        let next = match rows.get(QUEUE_PAGE) {
            Some(beyond) => Some(RequestId(beyond.id.0.saturating_add(1))),
            None => (end > 1).then_some(RequestId(end)),
        };
        rows.truncate(QUEUE_PAGE);
        let requests = self.listed(&rows).await?;
        Ok(QueuePage { requests, next: next.map(|id| id.to_string()) })
    }

    /// How many requests are open: waiting for people, or refused and not settled.
    pub fn open_requests(&self) -> u64 {
        u64::try_from(self.mirror.metrics().open_requests.value()).unwrap_or(0)
    }

    /// The requests in `states` with numbers from `start` on and before `end`, in order.
    async fn stretch(
        &self,
        states: &[RequestState],
        sieve: Option<&str>,
        start: u64,
        end: u64,
    ) -> Result<Vec<RequestRow>, Error> {
        let filter = RequestFilter {
            states: states.to_vec(),
            name: None,
            sieve: sieve.map(str::to_owned),
            after: start.checked_sub(1).filter(|before| *before > 0).map(RequestId),
            limit: u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX),
        };
        let mut rows = self.mirror.ledger().requests(filter).await?;
        rows.retain(|row| row.id.0 < end);
        Ok(rows)
    }

    /// The number of the last request, 0 when there is none; found by halving, as numbers only grow.
    async fn last_request(&self) -> Result<u64, Error> {
        let (mut last, mut beyond) = (0, 1);
        while self.has_request_after(beyond - 1).await? {
            (last, beyond) = (beyond, beyond.saturating_mul(2));
        }
        while beyond - last > 1 {
            let middle = last + (beyond - last) / 2;
            if self.has_request_after(middle - 1).await? {
                last = middle;
            } else {
                beyond = middle;
            }
        }
        Ok(last)
    }

    async fn has_request_after(&self, number: u64) -> Result<bool, Error> {
        let after = Some(number).filter(|number| *number > 0).map(RequestId);
        let filter = RequestFilter { states: Vec::new(), name: None, sieve: None, after, limit: 1 };
        Ok(!self.mirror.ledger().requests(filter).await?.is_empty())
    }
}

/// Whether `row` belongs to `group`: by what people said, or else by its repository.
fn is_of(row: &RequestRow, group: &str) -> bool {
    match &row.group {
        Some(own) => own == group,
        None => row.name.to_string() == group,
    }
}

fn number_of(text: &str) -> Result<u64, Error> {
    let id = super::target::request_id(text);
    id.map(|id| id.0).ok_or_else(|| Error::RequestUnknown { text: text.to_owned() })
}

/// Whether `text` stands in a row as it is written.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b) || b == b' ')
}

/// Whether `row` says `text`, which is in lower case.
fn has(row: &RequestRow, text: &str) -> bool {
    let says = |said: &str| said.to_lowercase().contains(text);
    says(&row.name.to_string())
        || says(&row.reference.to_string())
        || row.tag.as_ref().is_some_and(|tag| says(tag.as_str()))
        || row.digest.is_some_and(|digest| says(&digest.to_string()))
        || row.rule.as_deref().is_some_and(says)
        || row.note.as_deref().is_some_and(says)
        || row.group.as_deref().is_some_and(says)
        || row.ticket.as_deref().is_some_and(says)
        || row.reasons.iter().any(|reason| says(&reason.text))
        || row.clients.iter().any(|client| says(&client.client))
        || says(&row.id.to_string())
}
