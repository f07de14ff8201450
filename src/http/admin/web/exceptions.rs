//! Exceptions: all of them, and one with what is asked, who said what of it, and what may be done.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::form::{Asked, InPath};
use super::page::{Page, Place};
use super::people::votes;
use super::session::Visitor;
use super::trouble::{Trouble, unchanged};
use super::words::{ago, exception_path, image_path, short, state as state_mark, until};
use crate::http::admin::AdminState;
use crate::http::admin::problem::Problem;
use crate::ledger::{ExceptionId, Permission};
use crate::mirror::desk::REASON_LENGTH_MAX;
use crate::mirror::desk::exceptions::ExceptionView;
use crate::time::Timestamp;

/// Exceptions on one page.
const PAGE: u32 = 50;
/// The lists there are: word, and what it is called.
const LISTS: [(&str, &str); 6] = [
    ("open", "Open"),
    ("asked", "Waiting"),
    ("granted", "In force"),
    ("refused", "Refused"),
    ("ended", "Ended"),
    ("all", "All"),
];

/// Which exceptions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    state: Option<String>,
    before: Option<String>,
}

/// What was just done, to be told once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    done: Option<String>,
}

/// A word on an exception that was not taken, to be shown with what was typed.
pub(super) struct Refused {
    pub(super) verb: &'static str,
    pub(super) reason: String,
    pub(super) problem: Problem,
}

/// `GET /exceptions?state=&before=`
pub(super) async fn list(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Trouble> {
    let word = wanted.state.filter(|word| !word.is_empty());
    let word = word.as_deref().unwrap_or("open");
    let before = wanted.before.filter(|text| !text.is_empty());
    let before = before.map(|text| number(&text)).transpose()?;
    let (views, next) = state.desk.exceptions_page(Some(word), before, PAGE).await?;
    let now = state.desk.mirror().clock().now();
    let main = html! {
        div.head { h1 { "Exceptions" } }
        p.quiet { "One finding each that does not count for a while, of one image or one repository. \
                   Ask for one on the page of an image." }
        nav.tabs aria-label="Exceptions by state" {
            ul {
                @for (it, name) in LISTS {
                    li { a href=(path(it, None)) aria-current=[(it == word).then_some("true")] { (name) } }
                }
            }
        }
        @if views.is_empty() { div.empty { p { "There is none." } } }
        @else { (table(&views, now)) }
        nav.pages aria-label="Pages" {
            @if before.is_some() { a href=(path(word, None)) { "Newest" } }
            @if let Some(next) = next { a rel="next" href=(path(word, Some(next))) { "Older" } }
        }
    };
    Ok(Page::new("Exceptions", Place::Exceptions, &visitor, main).into_response())
}

fn path(word: &str, before: Option<ExceptionId>) -> String {
    match before {
        Some(before) => format!("/exceptions?state={word}&before={before}"),
        None => format!("/exceptions?state={word}"),
    }
}

pub(super) fn number(text: &str) -> Result<ExceptionId, Trouble> {
    let unknown = |_| Problem::not_found(format!("there is no exception {text}")).into();
    text.parse().map_err(unknown)
}

/// Exceptions as a table.
pub(super) fn table(views: &[ExceptionView], now: Timestamp) -> Markup {
    html! {
        table.queue {
            caption.unseen { "Exceptions" }
            thead { tr {
                th scope="col" { "Exception" } th scope="col" { "Finding" }
                th scope="col" { "Image" } th scope="col" { "Until" } th scope="col" { "By" }
            } }
            tbody {
                @for view in views {
                    tr data-row {
                        td {
                            a.id data-open href=(exception_path(&view.id.to_string())) { (view.id) } " "
                            (state_mark(word(view)))
                        }
                        td { bdi { (view.vulnerability) }
                            @if let Some(package) = &view.package { " in " bdi { (package) } } }
                        td { bdi.image { (view.name) } " "
                            @match &view.digest {
                                Some(digest) => (short(digest)),
                                None => { span.quiet { "every image" } }
                            } }
                        td { (until(ends(view), now)) }
                        td { (who(view)) }
                    }
                }
            }
        }
    }
}

/// The state as it is marked.
fn word(view: &ExceptionView) -> &str {
    match view.state.as_str() {
        "asked" => "waiting",
        "granted" => "in force",
        other => other,
    }
}

fn ends(view: &ExceptionView) -> Timestamp {
    view.granted.as_ref().map_or(view.expires, |granted| granted.expires)
}

/// Who closed, granted or asked, whichever came last.
fn who(view: &ExceptionView) -> Markup {
    html! {
        @if let Some(closed) = &view.closed { (closed.how) " by " bdi { (closed.by) } }
        @else if let Some(granted) = &view.granted { bdi { (granted.by.join(", ")) } }
        @else { "asked by " bdi {
            (view.asked.iter().map(|asker| asker.display.as_str()).collect::<Vec<_>>().join(", "))
        } }
    }
}

/// `GET /exceptions/{id}`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    InPath(text): InPath,
    Asked(Done { done }): Asked<Done>,
) -> Result<Response, Trouble> {
    let done = done.as_deref().and_then(self::done);
    page(&state, &visitor, number(&text)?, done, None).await
}

/// The page of the exception `id`.
pub(super) async fn page(
    state: &AdminState,
    visitor: &Visitor,
    id: ExceptionId,
    done: Option<&'static str>,
    refused: Option<&Refused>,
) -> Result<Response, Trouble> {
    let (view, version) = Box::pin(state.desk.exception_with_version(id)).await?;
    let now = state.desk.mirror().clock().now();
    let shown = Shown { view: &view, version: &version, visitor, now, refused };
    let main = html! {
        @if let Some(done) = done { p.done role="status" { (done) } }
        (shown.main())
    };
    let status = refused.map(|refused| StatusCode::from_u16(refused.problem.view().status));
    let status =
        status.map_or(StatusCode::OK, |it| it.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    let title = format!("{} {}", view.id, view.vulnerability);
    let page = Page::new(&title, Place::Exceptions, visitor, main);
    Ok(Page { status, ..page }.into_response())
}

/// What is said after something was done.
fn done(text: &str) -> Option<&'static str> {
    Some(match text {
        "asked" => "Asked. Those who may grant it see it in the queue.",
        "already" => "You had asked for that before; nothing was changed.",
        "voted" => "Your yes is on record. It is not enough alone: who is missing is said below.",
        "granted" => "Granted. It is in force from the next pull on.",
        "refused" => "Refused. Who asks again begins anew.",
        "ended" => "Ended. What it let pass is refused from the next pull on.",
        _ => return None,
    })
}

/// An exception as it is shown to somebody.
struct Shown<'a> {
    view: &'a ExceptionView,
    version: &'a str,
    visitor: &'a Visitor,
    now: Timestamp,
    refused: Option<&'a Refused>,
}

impl Shown<'_> {
    fn main(&self) -> Markup {
        let view = self.view;
        html! {
            div.head {
                h1 { span.number { (view.id) " " } bdi { (view.vulnerability) }
                    @if let Some(package) = &view.package { " in " bdi { (package) } } }
                p.verdict { (state_mark(word(view))) }
            }
            p.line {
                @match &view.digest {
                    Some(digest) => {
                        a href=(image_path(&view.image)) { bdi.image { (view.name) } } " " (short(digest))
                    }
                    None => { "every image of " bdi.image { (view.name) } }
                }
                span { "until " (until(ends(view), self.now)) }
                @if let Some(word) = &view.justification { span { bdi { (word) } } }
            }
            (self.taken_out())
            (self.decide())
            (self.asked())
        }
    }

    /// What it would take out, and what not.
    fn taken_out(&self) -> Markup {
        let view = self.view;
        html! {
            @if !view.finding.is_empty() {
                section aria-labelledby="takes-out" {
                    h2 #takes-out { "What it takes out" }
                    ul { @for finding in &view.finding { li { bdi { (finding) } } } }
                }
            }
            @if !view.still_refused.is_empty() {
                section aria-labelledby="still" {
                    h2 #still { "What refuses images all the same" }
                    ul.reasons { @for reason in &view.still_refused { li { strong { bdi { (reason) } } } } }
                }
            }
        }
    }

    fn decide(&self) -> Markup {
        let view = self.view;
        html! {
            section.people aria-labelledby="decide" {
                h2 #decide { (if view.closed.is_some() { "What was decided" } else { "Decide" }) }
                @if let Some(refused) = self.refused { (unchanged(&refused.problem)) }
                @if let Some(granted) = &view.granted {
                    p.standing { "Granted by " bdi { (granted.by.join(", ")) } " " (ago(granted.at, self.now))
                        " until " (until(granted.expires, self.now)) ": " q { bdi { (granted.reason) } }
                        span.quiet { " by rule " bdi { (granted.rule) } ", approval policy " bdi { (granted.approval) } } }
                }
                @if let Some(closed) = &view.closed {
                    p.standing { (closed.how) " by " bdi { (closed.by) } " " (ago(closed.at, self.now)) ": "
                        q { bdi { (closed.reason) } } }
                }
                @if let Some(why) = &view.not_votable {
                    p.alert { "It cannot be granted now: " bdi { (why) } "." }
                }
                @if let Some(votes) = &view.votes { (self::votes(votes, self.now)) }
                div.choices { (self.choices()) }
            }
        }
    }

    /// The forms for what whoever looks may do.
    fn choices(&self) -> Markup {
        let (view, caller) = (self.view, &self.visitor.caller);
        let decides = caller.may(Permission::Decide);
        let is_own = view.asked.iter().all(|asker| asker.by == caller.name());
        html! {
            @match view.state.as_str() {
                "asked" => {
                    @if decides && view.votes.is_some() { (self.form("grant", "yes")) }
                    @if decides { (self.form("refuse", "no")) }
                    @if is_own && caller.may(Permission::Ask) { (self.form("end", "no")) }
                }
                "granted" if decides => { (self.form("end", "no")) }
                _ => {}
            }
        }
    }

    fn form(&self, verb: &'static str, class: &str) -> Markup {
        let kept = self.refused.filter(|refused| refused.verb == verb);
        let (reason, note) = (format!("{verb}-reason"), format!("{verb}-note"));
        let action = if verb == "end" { "/exceptions/endings" } else { "/exceptions/decisions" };
        let (name, meaning) = match verb {
            "grant" => (
                "Grant",
                "With the last yes the finding does not count any more, until the day above and for \
                 nothing else.",
            ),
            "refuse" => ("Refuse", "It is closed; who asks again begins anew."),
            _ if self.view.state == "asked" => {
                ("Take back", "It is closed; nobody has granted it.")
            }
            _ => ("End", "What it let pass is refused from the next pull on; what runs goes on."),
        };
        html! {
            details.choice.(class) data-verb=(verb) open[kept.is_some()] {
                summary { (name) "…" }
                form action=(action) method="post" {
                    input type="hidden" name="form_token" value=(self.visitor.form_token());
                    input type="hidden" name="exception" value=(self.view.id);
                    @if verb != "end" {
                        input type="hidden" name="verb" value=(verb);
                        input type="hidden" name="seen" value=(self.version);
                    }
                    div.meaning id=(note) {
                        p { (meaning) }
                        p.quiet { "It is put on record for good under your name, "
                            bdi { (self.visitor.caller.display) } ", with what you write here." }
                    }
                    label for=(reason) { "Why" }
                    textarea id=(reason) name="reason" rows="2" required maxlength=(REASON_LENGTH_MAX)
                        aria-describedby=(note) { (kept.map_or("", |kept| kept.reason.as_str())) }
                    button type="submit" { (name) }
                }
            }
        }
    }

    fn asked(&self) -> Markup {
        html! {
            section aria-labelledby="asked" {
                h2 #asked { "Who asks" }
                ul {
                    @for asker in &self.view.asked {
                        li {
                            bdi { (asker.display) }
                            @if asker.display != asker.by { " " span.quiet { bdi { (asker.by) } } }
                            " " (ago(asker.at, self.now)) ": " q { bdi { (asker.reason) } }
                            @if let Some(ticket) = &asker.ticket { " " span.quiet { bdi { (ticket) } } }
                        }
                    }
                }
            }
        }
    }
}
