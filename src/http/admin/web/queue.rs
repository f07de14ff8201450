//! The queue: what waits, what was refused, and what became of it.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::form::Asked;
use super::page::{Page, Place};
use super::session::Visitor;
use super::trouble::Trouble;
use super::words::{ago, image_path, request_path, short, state as state_mark, until};
use crate::http::admin::AdminState;
use crate::mirror::desk::queue::{QueueFilter, QueuePage, SEARCH_LENGTH_MAX};
use crate::mirror::desk::view::{EndingView, RequestView};
use crate::text::count;
use crate::time::Timestamp;

/// The lists there are: word, and what it is called.
const LISTS: [(&str, &str); 7] = [
    ("open", "Open"),
    ("pending", "Waiting"),
    ("denied", "Refused"),
    ("approved", "Approved"),
    ("rejected", "Rejected"),
    ("revoked", "Revoked"),
    ("all", "All"),
];

/// Approvals that end soon and are shown beside the queue.
const ENDINGS: u32 = 10;

/// Which requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    state: Option<String>,
    q: Option<String>,
    before: Option<String>,
}

/// `GET /?state=&q=&before=`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Trouble> {
    let search: Option<String> =
        wanted.q.map(|text| text.trim().chars().take(SEARCH_LENGTH_MAX).collect());
    let search = search.filter(|text| !text.is_empty());
    let filter = QueueFilter {
        state: wanted.state.filter(|word| !word.is_empty()),
        search: search.clone(),
        before: wanted.before.filter(|id| !id.is_empty()),
    };
    let found = state.desk.queue(&filter).await?;
    let is_first = filter.before.is_none();
    let ends_soon = if is_first { state.desk.endings(ENDINGS).await? } else { Vec::new() };
    let shown = Shown {
        ends_soon,
        word: filter.state.as_deref().unwrap_or("open"),
        search: search.as_deref().unwrap_or_default(),
        is_first,
        open: state.desk.open_requests(),
        now: state.desk.mirror().clock().now(),
    };
    let main = shown.main(&found);
    let page = Page::new("Queue", Place::Queue, &visitor, main);
    Ok(Page { search: shown.search, ..page }.into_response())
}

/// What is shown, and how it was asked for.
struct Shown<'a> {
    word: &'a str,
    search: &'a str,
    is_first: bool,
    open: u64,
    ends_soon: Vec<EndingView>,
    now: Timestamp,
}

impl Shown<'_> {
    fn main(&self, found: &QueuePage) -> Markup {
        html! {
            div.head {
                h1 { "Queue" }
                p.quiet { (count(self.open, "open request")) }
            }
            nav.tabs aria-label="Requests by state" {
                ul {
                    @for (word, name) in LISTS {
                        li {
                            a href=(self.path(word, None))
                                aria-current=[(word == self.word).then_some("true")] { (name) }
                        }
                    }
                }
            }
            @if !self.search.is_empty() {
                p { "Those that say " strong { bdi { (self.search) } } ". "
                    a href=(format!("/?state={}", self.word)) { "All of them" } }
            }
            @if found.requests.is_empty() { (self.nothing(found)) }
            @else { (self.table(&found.requests)) }
            nav.pages aria-label="Pages" {
                @if !self.is_first { a href=(self.path(self.word, None)) { "Newest" } }
                @if let Some(next) = &found.next {
                    a rel="next" href=(self.path(self.word, Some(next))) { "Older" }
                }
            }
            @if !self.ends_soon.is_empty() { (self.endings()) }
        }
    }

    /// Approvals of images that are still pulled and will not be served any more.
    fn endings(&self) -> Markup {
        html! {
            section aria-labelledby="ends-soon" {
                h2 #ends-soon { "Ends soon" }
                table {
                    caption.unseen { "Approvals that end soon, soonest first" }
                    thead {
                        tr {
                            th scope="col" { "Image" }
                            th scope="col" { "Ends" }
                            th scope="col" { "Approved by" }
                            th scope="col" { "Last pulled" }
                        }
                    }
                    tbody {
                        @for ending in &self.ends_soon { (self.ending(ending)) }
                    }
                }
            }
        }
    }

    fn ending(&self, ending: &EndingView) -> Markup {
        let path = image_path(&format!("{}@{}", ending.name, ending.digest));
        html! {
            tr {
                td { a href=(path) { bdi.image { (ending.image) } } " " (short(&ending.digest)) }
                td { (until(ending.ends, self.now)) }
                td { bdi { (ending.approved_by) } }
                td { (ago(ending.last_pulled, self.now)) }
            }
        }
    }

    fn nothing(&self, found: &QueuePage) -> Markup {
        html! {
            div.empty {
                @if found.next.is_some() {
                    p { "None among the newer ones; older ones were not looked at yet." }
                } @else if !self.search.is_empty() || self.word != "open" {
                    p { "There is none." }
                } @else {
                    p { strong { "Nothing waits." } }
                    p { "Refused pulls appear here by themselves. Try "
                        code { "crane manifest MIRROR/docker.io/library/alpine:3.20" } "." }
                }
            }
        }
    }

    fn table(&self, requests: &[RequestView]) -> Markup {
        html! {
            table.queue {
                caption.unseen { "Requests, newest first" }
                thead {
                    tr {
                        th scope="col" { "Request" }
                        th scope="col" { "Image" }
                        th scope="col" { "Why" }
                        th scope="col" { "Asked for" }
                    }
                }
                tbody {
                    @for request in requests { (self.row(request)) }
                }
            }
        }
    }

    fn row(&self, request: &RequestView) -> Markup {
        let more = request.reasons.len().saturating_sub(1);
        html! {
            tr data-row {
                td { a.id data-open href=(request_path(&request.id)) { (request.id) } " " (state_mark(&request.state)) }
                td {
                    bdi.image { (request.image) }
                    @if let Some(digest) = &request.digest { " " (short(digest)) }
                }
                td {
                    @match request.reasons.first() {
                        Some(reason) => {
                            bdi { (reason.text) }
                            @if more > 0 { span.quiet { " and " (more) " more" } }
                        }
                        None => { span.quiet { "still being checked" } }
                    }
                    @match &request.rule {
                        Some(rule) => { span.rule { "rule " bdi { (rule) } } }
                        None => { span.rule { "no rule matches" } }
                    }
                }
                td {
                    (count(request.clients, "client")) ", " (count(request.pulls, "pull"))
                    span.quiet { "first " (ago(request.first_asked, self.now)) }
                }
            }
        }
    }

    fn path(&self, word: &str, before: Option<&str>) -> String {
        let mut query = vec![("state", word)];
        if !self.search.is_empty() {
            query.push(("q", self.search));
        }
        query.extend(before.map(|before| ("before", before)));
        let query = serde_urlencoded::to_string(query).unwrap_or_default();
        format!("/?{query}")
    }
}
