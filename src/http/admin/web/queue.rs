//! The queue: what waits, what was refused, and what became of it.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::break_glass::unreviewed;
use super::exceptions;
use super::form::Asked;
use super::page::{Page, Place};
use super::session::Visitor;
use super::trouble::Trouble;
use super::words::{ago, group_path, image_path, request_path, short, state as state_mark, until};
use crate::http::admin::AdminState;
use crate::mirror::desk::emergencies::view::BreakGlassView;
use crate::mirror::desk::exceptions::ExceptionView;
use crate::mirror::desk::queue::{NEEDS_INFO, QueueFilter, QueuePage, SEARCH_LENGTH_MAX};
use crate::mirror::desk::view::{EndingView, RequestView};
use crate::text::count;
use crate::time::Timestamp;

/// The lists there are: word, and what it is called.
const LISTS: [(&str, &str); 9] = [
    ("open", "Open"),
    (MINE, "For you"),
    ("pending", "Waiting"),
    (NEEDS_INFO, "Questions"),
    ("denied", "Refused"),
    ("approved", "Approved"),
    ("rejected", "Rejected"),
    ("revoked", "Revoked"),
    ("all", "All"),
];

/// The list of those that wait for a yes of whoever looks.
const MINE: &str = "mine";

/// Approvals that end soon and are shown beside the queue.
const ENDINGS: u32 = 10;
/// Exceptions that wait and are shown beside the queue.
const EXCEPTIONS: u32 = 10;

/// Which requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    state: Option<String>,
    group: Option<String>,
    q: Option<String>,
    before: Option<String>,
}

/// `GET /?state=&group=&q=&before=`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Trouble> {
    let search: Option<String> =
        wanted.q.map(|text| text.trim().chars().take(SEARCH_LENGTH_MAX).collect());
    let search = search.filter(|text| !text.is_empty());
    let word = wanted.state.filter(|word| !word.is_empty());
    let mine = word.as_deref().is_some_and(|word| word == MINE).then(|| visitor.caller.clone());
    let filter = QueueFilter {
        state: if mine.is_some() { Some("pending".to_owned()) } else { word.clone() },
        mine,
        group: wanted.group.filter(|group| !group.is_empty()),
        search: search.clone(),
        before: wanted.before.filter(|id| !id.is_empty()),
    };
    let found = state.desk.queue(&filter).await?;
    let is_first = filter.before.is_none();
    let ends_soon = if is_first { state.desk.endings(ENDINGS).await? } else { Vec::new() };
    let waiting = if is_first {
        state.desk.exceptions_page(Some("asked"), None, EXCEPTIONS).await?.0
    } else {
        Vec::new()
    };
    let shown = Shown {
        exceptions: waiting,
        asked: state.desk.mirror().ledger().exception_counts().asked,
        ends_soon,
        word: word.as_deref().unwrap_or("open"),
        may_decide: visitor.may_decide(),
        emergencies: &visitor.emergencies,
        search: search.as_deref().unwrap_or_default(),
        group: filter.group.as_deref(),
        is_first,
        open: state.desk.open_requests(),
        now: state.desk.mirror().clock().now(),
    };
    let main = shown.main(&found);
    let page = Page::new("Queue", Place::Queue, &visitor, main).live();
    Ok(Page { search: shown.search, ..page }.into_response())
}

/// What is shown, and how it was asked for.
struct Shown<'a> {
    word: &'a str,
    search: &'a str,
    group: Option<&'a str>,
    is_first: bool,
    may_decide: bool,
    emergencies: &'a [BreakGlassView],
    open: u64,
    /// The exceptions that wait, newest first, and how many there are in all.
    exceptions: Vec<ExceptionView>,
    asked: u64,
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
            @if self.may_decide && self.is_first { (unreviewed(self.emergencies)) }
            nav.tabs aria-label="Requests by state" {
                ul {
                    @for (word, name) in LISTS.into_iter().filter(|(word, _)| self.may_decide || *word != MINE) {
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
            @if let Some(group) = self.group {
                p { "Those of " strong { bdi { (group) } } ". " a href="/" { "All of them" } }
            }
            @if found.requests.is_empty() { (self.nothing(found)) }
            @else if self.may_choose(found) { (self.choosing(found)) }
            @else { (self.table(&found.requests)) }
            nav.pages aria-label="Pages" {
                @if !self.is_first { a href=(self.path(self.word, None)) { "Newest" } }
                @if let Some(next) = &found.next {
                    a rel="next" href=(self.path(self.word, Some(next))) { "Older" }
                }
            }
            @if !self.exceptions.is_empty() { (self.waiting_exceptions()) }
            @if !self.ends_soon.is_empty() { (self.endings()) }
        }
    }

    /// Exceptions that wait for people.
    fn waiting_exceptions(&self) -> Markup {
        html! {
            section aria-labelledby="exceptions" {
                h2 #exceptions { "Exceptions that wait" }
                (exceptions::table(&self.exceptions, self.now))
                p.quiet { (count(self.asked, "exception")) " in all: "
                    a href="/exceptions?state=asked" { "see them" } "." }
            }
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
                } @else if self.word == MINE && self.search.is_empty() {
                    p { strong { "Nothing waits for you." } }
                    p { "Requests are listed here of which the rule counts your yes, and you have given none." }
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

    /// Whether somebody who decides looks at something to decide about.
    fn may_choose(&self, found: &QueuePage) -> bool {
        self.may_decide && found.requests.iter().any(can_be_chosen)
    }

    /// The requests, of which several can be chosen to be decided about together.
    fn choosing(&self, found: &QueuePage) -> Markup {
        html! {
            @if let Some(group) = self.group {
                form.bulk action="/together" method="get" {
                    input type="hidden" name="group" value=(group);
                    button type="submit" { "Decide about all that wait of it…" }
                }
            }
            form action="/together" method="get" {
                (self.table(&found.requests))
                p.bulk { button.plain type="submit" { "Decide about those chosen…" } }
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
                        th scope="col" { "Waits for" }
                        th scope="col" { "Asked for" }
                    }
                }
                tbody {
                    @for request in requests { (self.row(request, requests)) }
                }
            }
        }
    }

    fn row(&self, request: &RequestView, all: &[RequestView]) -> Markup {
        let more = request.reasons.len().saturating_sub(1);
        html! {
            tr data-row {
                td {
                    @if self.may_decide && can_be_chosen(request) {
                        input type="checkbox" name="id" value=(request.id) aria-label=(format!("Choose {}", request.id));
                        " "
                    }
                    a.id data-open href=(request_path(&request.id)) { (request.id) } " " (state_mark(&request.state))
                    @if request.needs_info { " " span.state.pending { "needs info" } } }
                td {
                    bdi.image { (request.image) }
                    @if let Some(digest) = &request.digest { " " (short(digest)) }
                    @if self.group.is_none() { (together(request, all)) }
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
                    @if let Some(asked) = request.remarks.last().filter(|_| request.needs_info) {
                        span.asked { bdi { (asked.display) } " asks: " q { bdi { (asked.text) } } }
                    }
                }
                td.votes data-label="Waits for" { (waits_for(request)) }
                td {
                    (count(request.clients, "client")) ", " (count(request.pulls, "pull"))
                    span.quiet { "first " (ago(request.first_asked, self.now)) }
                }
            }
        }
    }

    fn path(&self, word: &str, before: Option<&str>) -> String {
        let mut query = vec![("state", word)];
        query.extend(self.group.map(|group| ("group", group)));
        if !self.search.is_empty() {
            query.push(("q", self.search));
        }
        query.extend(before.map(|before| ("before", before)));
        let query = serde_urlencoded::to_string(query).unwrap_or_default();
        format!("/?{query}")
    }
}

/// Whether there is something to decide about.
fn can_be_chosen(request: &RequestView) -> bool {
    request.state == "pending" && request.digest.is_some()
}

/// What `request` belongs to: what people said, or its repository where `all` has more of that.
fn together(request: &RequestView, all: &[RequestView]) -> Markup {
    let of_repository = |other: &&RequestView| other.group.is_none() && other.name == request.name;
    let number = all.iter().filter(of_repository).count();
    html! {
        @match &request.group {
            Some(group) => { span.quiet { "of " a href=(group_path(group)) { bdi { (group) } } } }
            None if number > 1 => {
                span.quiet { a href=(group_path(&request.name.to_string())) { (number) " of this repository" } }
            }
            None => {}
        }
    }
}

/// How the votes stand, and whose yes is missing.
fn waits_for(request: &RequestView) -> Markup {
    html! {
        @match (&request.votes, &request.waits_for) {
            (Some(votes), missing) => {
                strong { (votes.have) " of " (votes.needed) " votes" }
                @if let Some(missing) = missing { span.quiet { "missing: " bdi { (missing) } } }
                @if votes.damaged > 0 { span.quiet { (count(votes.damaged, "vote")) " not what was written" } }
            }
            (None, Some(whom)) => { (whom) }
            (None, None) => { span.quiet { "nobody" } }
        }
    }
}
