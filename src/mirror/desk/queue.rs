//! The queue as people page through it: newest first, filtered, searched, in bounded steps.

use super::requests::view;
use super::show::STATES;
use super::view::RequestView;
use super::{Desk, Error};
use crate::ledger::{RequestFilter, RequestId, RequestRow, RequestState};

/// Requests on one page.
pub const QUEUE_PAGE: usize = 50;
/// Most requests that are looked at for one page; the next one goes on from there.
pub const QUEUE_LOOKED_AT_MAX: u64 = 20_000;
/// How many requests are read in the first step; each further step reads twice as many.
const STEP_FIRST: u64 = 128;
/// Most requests in one step.
const STEP_MAX: u64 = 1_000;
/// Longest text that is searched for, in characters.
pub const SEARCH_LENGTH_MAX: usize = 200;

/// Which requests a page of the queue has.
#[derive(Debug, Clone, Default)]
pub struct QueueFilter {
    /// Only these states: one by its name, `open`, or `all`.
    pub state: Option<String>,
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

impl Desk {
    /// A page of the queue, newest first.
    ///
    /// # Errors
    /// When the state is none, what it is to begin before is no request, or the ledger cannot be read.
    pub async fn queue(&self, filter: &QueueFilter) -> Result<QueuePage, Error> {
        let states = states_of(filter.state.as_deref())?;
        let search = filter.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let search = search.map(str::to_lowercase);
        let mut end = match filter.before.as_deref() {
            Some(text) => number_of(text)?,
            None => self.last_request().await?.saturating_add(1),
        };
        let floor = end.saturating_sub(QUEUE_LOOKED_AT_MAX);
        let (mut requests, mut step) = (Vec::new(), STEP_FIRST);
        // One more than fits tells whether there is a next page.
        while end > 1 && end > floor {
            let start = end.saturating_sub(step).max(1);
            let sieve = search.as_deref().filter(|text| is_plain(text));
            for row in self.stretch(&states, sieve, start, end).await?.iter().rev() {
                if search.as_ref().is_some_and(|text| !has(row, text)) {
                    continue;
                }
                if requests.len() == QUEUE_PAGE {
                    let next = RequestId(row.id.0.saturating_add(1)).to_string();
                    return Ok(QueuePage { requests, next: Some(next) });
                }
                requests.push(RequestView { client_names: Vec::new(), ..view(row) });
            }
            (end, step) = (start, step.saturating_mul(2).min(STEP_MAX));
        }
        let next = (end > 1).then(|| RequestId(end).to_string());
        Ok(QueuePage { requests, next })
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

fn states_of(word: Option<&str>) -> Result<Vec<RequestState>, Error> {
    match word {
        None | Some("open") => Ok(STATES.into_iter().filter(|state| state.is_open()).collect()),
        Some("all") => Ok(Vec::new()),
        Some(word) => Ok(vec![super::requests::state_of(word)?]),
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
        || row.reasons.iter().any(|reason| says(&reason.text))
        || row.clients.iter().any(|client| says(&client.client))
        || says(&row.id.to_string())
}
