//! A draft of the policy: what it says that the one in force does not, and what it would do to what was pulled.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::form::BigForm;
use super::page::{Page, Place};
use super::rules::tally;
use super::session::Visitor;
use super::trouble::Trouble;
use super::words::{ago, image_path, state as state_mark};
use crate::http::admin::AdminState;
use crate::http::admin::problem::Problem;
use crate::ledger::Permission;
use crate::mirror::desk;
use crate::mirror::desk::simulate::{Effect, FlipView, SimulateBody, SimulationView};
use crate::policy::{Change, ChangeKind};
use crate::text::count;
use crate::time::Timestamp;

/// How long a page waits for what a draft would change.
const TRYING_MAX: Duration = Duration::from_mins(1);
/// Most images, and most differences, that are shown.
const SHOWN_MAX: usize = 200;

/// The form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    form_token: String,
    policy: String,
    days: u32,
}

/// What came of a draft.
enum Tried {
    /// It is no policy, or could not be tried: what is to be said of it.
    Not(StatusCode, String, Vec<crate::policy::Problem>),
    Done(Vec<Change>, Box<SimulationView>, Vec<FlipView>),
}

/// `POST /policy/draft`
pub(super) async fn try_draft(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    BigForm(sent): BigForm<Sent>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&sent.form_token) {
        return Err(Trouble::foreign_form());
    }
    // A browser sends line breaks of a text as two characters.
    let text = sent.policy.replace("\r\n", "\n");
    let may_compute = visitor.caller.may(Permission::Administer);
    let tried = Box::pin(tried(&state, text.clone(), sent.days, may_compute)).await;
    let now = state.desk.mirror().clock().now();
    let status = match &tried {
        Tried::Not(status, ..) => *status,
        Tried::Done(..) => StatusCode::OK,
    };
    let main = html! {
        div.head { h1 { "What would this change do" } p { a href="/policy" { "The policy in force" } } }
        (told(&tried, now))
        (form(&visitor, &text, sent.days))
    };
    let page = Page::new("A draft of the policy", Place::Policy, &visitor, main);
    Ok(Page { status, ..page }.into_response())
}

async fn tried(state: &AdminState, text: String, days: u32, may_compute: bool) -> Tried {
    let desk = &state.desk;
    let mistaken = |problems: Vec<crate::policy::Problem>| {
        let text = "The draft has mistakes. Nothing was tried.".to_owned();
        Tried::Not(StatusCode::BAD_REQUEST, text, problems)
    };
    let not = |error: desk::Error| {
        if let desk::Error::Draft { problems } = error {
            return mistaken(problems);
        }
        let problem = Problem::from(error);
        Tried::Not(problem.status(), problem.detail().to_owned(), Vec::new())
    };
    let simulation = match desk.simulate_typed(text.clone(), days, may_compute).await {
        Ok(simulation) => simulation,
        Err(error) => return not(error),
    };
    let changes = match desk.differences(&text) {
        Ok(changes) => changes,
        Err(problems) => return mistaken(problems),
    };
    match tokio::time::timeout(TRYING_MAX, Box::pin(simulation.run())).await {
        Ok(Ok((view, flips))) => Tried::Done(changes, Box::new(view), flips),
        Ok(Err(error)) => not(error),
        Err(_elapsed) => {
            let text = "There is too much on record to try it while a page waits. \
                pratique policy diff FILE --against-history does it.";
            Tried::Not(StatusCode::SERVICE_UNAVAILABLE, text.to_owned(), Vec::new())
        }
    }
}

/// The form, with what was typed.
pub(super) fn form(visitor: &Visitor, text: &str, days: u32) -> Markup {
    html! {
        section aria-labelledby="draft" {
            h2 #draft { "What would a change do" }
            p.quiet #draft-note { "Paste a whole policy. It is compared with the one in force and tried on what was \
                pulled; nothing comes into force. Files that it names are those of the policy in force." }
            form action="/policy/draft" method="post" {
                input type="hidden" name="form_token" value=(visitor.form_token());
                label for="draft-text" { "The draft" }
                textarea.code #draft-text name="policy" rows="16" required spellcheck="false"
                    aria-describedby="draft-note" { (text) }
                label for="draft-days" { "Pulls of the last days" }
                input #draft-days type="number" name="days" min="1" max=(SimulateBody::DAYS_MAX)
                    value=(days) required;
                div.buttons { button type="submit" { "Try it" } }
            }
        }
    }
}

fn told(tried: &Tried, now: Timestamp) -> Markup {
    match tried {
        Tried::Not(_, text, problems) => html! {
            div.alert role="alert" {
                p { strong { bdi { (text) } } }
                @if !problems.is_empty() {
                    ul { @for it in problems {
                        li { "Line " (it.line) ", column " (it.column) ": "
                            @if !it.key.is_empty() { code { bdi { (it.key) } } " " }
                            bdi { (it.text) } }
                    } }
                }
            }
        },
        Tried::Done(changes, view, flips) => html! {
            (differs(changes, view))
            (would(view, flips, now))
        },
    }
}

fn differs(changes: &[Change], view: &SimulationView) -> Markup {
    let is_raised = view.draft.revision > view.in_force.revision;
    html! {
        section aria-labelledby="differs" {
            h2 #differs { "What it says otherwise" }
            @if changes.is_empty() { p { "Nothing: it says the same as the policy in force." } }
            @if !is_raised {
                p.note { "Its revision is not higher than " (view.in_force.revision) ", which is in force; raise it." }
            }
            ul {
                @for change in changes.iter().take(SHOWN_MAX) {
                    li {
                        @match change.kind {
                            ChangeKind::Added => "New: ",
                            ChangeKind::Changed => "Changed: ",
                            ChangeKind::Removed => "Gone: ",
                        }
                        code { bdi { (change.key) } } " "
                        @if let Some(old) = &change.old { bdi { (old) } }
                        @if change.old.is_some() && change.new.is_some() { " -> " }
                        @if let Some(new) = &change.new { bdi { (new) } }
                    }
                }
            }
            @if changes.len() > SHOWN_MAX { p.quiet { "And " (changes.len() - SHOWN_MAX) " more." } }
        }
    }
}

fn would(view: &SimulationView, flips: &[FlipView], now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="would" {
            h2 #would { "What would become of what was pulled" }
            p { (count(view.examined, "image")) " on record, " (count(view.pulls, "pull")) " in "
                (view.days) " days: " (tally(&view.before, &view.after)) }
            @if flips.is_empty() { p { "It would change nothing about them." } }
            @else { (table(flips, now)) }
            @let more = u64::try_from(flips.len().saturating_sub(SHOWN_MAX)).unwrap_or(u64::MAX);
            @if more + view.not_listed > 0 {
                p.quiet { (count(more + view.not_listed, "image")) " more: "
                    code { "pratique policy diff FILE --against-history" } "." }
            }
        }
    }
}

fn table(flips: &[FlipView], now: Timestamp) -> Markup {
    html! {
        table.queue {
            caption.unseen { "Images of which something would change, the worst first" }
            thead { tr {
                th scope="col" { "Image" } th scope="col" { "Now" } th scope="col" { "Then" }
                th scope="col" { "Pulls" } th scope="col" { "Why" }
            } }
            tbody { @for flip in flips.iter().take(SHOWN_MAX) { (row(flip, now)) } }
        }
    }
}

fn row(flip: &FlipView, now: Timestamp) -> Markup {
    let (name, _) = flip.image.split_once('@').unwrap_or((&flip.image, ""));
    html! {
        tr data-row {
            td {
                a data-open href=(image_path(&flip.image)) {
                    bdi.image { (name) @if let Some(tag) = flip.tags.first() { ":" (tag) } }
                }
                code.digest title=(flip.digest.to_string()) { (flip.digest.short()) }
            }
            td { (state_mark(&flip.before)) }
            td {
                (state_mark(&flip.after))
                " " span.quiet { (effect(flip.effect)) }
            }
            td { (flip.pulls) @if let Some(at) = flip.last_pull { " " span.quiet { "last " (ago(at, now)) } } }
            td {
                @if flip.rule_before != flip.rule_after {
                    span.quiet { "rule " bdi { (flip.rule_before.as_deref().unwrap_or("none")) } " -> "
                        bdi { (flip.rule_after.as_deref().unwrap_or("none")) } } " "
                }
                @for reason in &flip.reasons { span { bdi { (reason.text) } } " " }
            }
        }
    }
}

const fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Refused => "would not be served any more",
        Effect::Unknown => "not known: nobody gathered it yet",
        Effect::Served => "would be served",
        Effect::Otherwise => "the same effect",
        Effect::TagForbidden => "not by this tag any more",
    }
}
