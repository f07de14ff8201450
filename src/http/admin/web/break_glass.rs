//! Break-glass: the list, and the forms to use, vote, end and review.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::entry::{self, From};
use super::form::{Asked, Form, one_line};
use super::page::{Page, Place};
use super::session::Visitor;
use super::trouble::{Trouble, see_other, unchanged};
use super::words::{ago, image_path, moment, short, until};
use crate::http::admin::AdminState;
use crate::http::admin::problem::Problem;
use crate::ledger::{self, Permission};
use crate::mirror::desk::emergencies::view::{
    BreakGlassBody, BreakGlassReviewBody, BreakGlassView,
};
use crate::mirror::desk::{Error, REASON_LENGTH_MAX};
use crate::oci::ImageReference;
use crate::time::Timestamp;

/// Where it is.
pub(super) const PATH: &str = "/break-glass";
/// How many are shown.
const SHOWN_MAX: u32 = 50;

/// Which stretch of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    before: Option<String>,
}

/// The form that uses one; no `Debug`, so that what proves somebody is in no log.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Use {
    form_token: String,
    what: String,
    #[serde(default)]
    whole: String,
    reason: String,
    ticket: String,
    ttl: String,
    #[serde(default)]
    proof: String,
}

/// The form that does something about one; no `Debug` either.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Act {
    form_token: String,
    id: String,
    verb: String,
    reason: String,
    #[serde(default)]
    proof: String,
}

/// `GET /break-glass?before=`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Trouble> {
    answer(&state, &visitor, wanted.before.as_deref(), None).await
}

/// `POST /break-glass`
pub(super) async fn break_glass(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    from: From,
    headers: HeaderMap,
    Form(sent): Form<Use>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&sent.form_token) {
        return Err(Trouble::foreign_form());
    }
    let proof = match entry::prove(&state, &visitor, (from, &headers), &sent.proof)? {
        Ok(proof) => Some(proof),
        Err(why) => return answer(&state, &visitor, None, Some((not_proved(why), sent))).await,
    };
    let what = Some(sent.what.trim().to_owned());
    let (image, repository) = if sent.whole.is_empty() { (what, None) } else { (None, what) };
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let (reason, ticket, ttl) = (one_line(&sent.reason), some(&sent.ticket), some(&sent.ttl));
    let body = BreakGlassBody { image, repository, reason, ticket, ttl };
    let (desk, caller) = (state.desk.clone(), visitor.caller.clone());
    let tasks = state.desk.mirror().tasks().clone();
    // A task of its own: whoever hangs up after asking has used it.
    let using = tasks.spawn(async move { Box::pin(desk.break_glass(&caller, &body, proof)).await });
    match using.await {
        Ok(Ok(_)) => Ok(see_other(PATH)),
        Ok(Err(error)) => answer(&state, &visitor, None, Some((refused(error), sent))).await,
        Err(_) => Err(Problem::internal("it was cut short; see whether it is in the list").into()),
    }
}

/// `POST /break-glass/act`
pub(super) async fn act(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    from: From,
    headers: HeaderMap,
    Form(sent): Form<Act>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&sent.form_token) {
        return Err(Trouble::foreign_form());
    }
    let (desk, caller, id) = (&state.desk, &visitor.caller, sent.id.as_str());
    let text = one_line(&sent.reason);
    let review =
        |verdict: &str| BreakGlassReviewBody { verdict: verdict.to_owned(), comment: text.clone() };
    let done = match sent.verb.as_str() {
        "vote" => match entry::prove(&state, &visitor, (from, &headers), &sent.proof)? {
            Ok(proof) => desk.vote_break_glass(caller, id, &text, Some(proof)).await,
            Err(why) => {
                let told = Some((not_proved(why), Use::default()));
                return answer(&state, &visitor, None, told).await;
            }
        },
        "end" => desk.end_break_glass(caller, id, Some(&text)).await,
        "justified" | "not-justified" => {
            if !visitor.may_decide() {
                return Err(Problem::role(caller, Permission::Decide).into());
            }
            desk.review_break_glass(caller, id, &review(&sent.verb)).await
        }
        _ => return Err(Problem::invalid("that cannot be done to a break-glass").into()),
    };
    match done {
        Ok(_) => Ok(see_other(PATH)),
        Err(error) => answer(&state, &visitor, None, Some((refused(error), Use::default()))).await,
    }
}

/// What is told of somebody who did not prove once more who they are.
fn not_proved(why: &str) -> Problem {
    Problem::forbidden("A session alone opens no break-glass", why)
}

/// What is told of `error`. A code that another request used meanwhile is one that was used.
fn refused(error: Error) -> Problem {
    if let Error::Ledger(inner) = &error
        && matches!(**inner, ledger::Error::NotLetIn)
    {
        return not_proved(entry::NO_CODE);
    }
    error.into()
}

async fn answer(
    state: &AdminState,
    visitor: &Visitor,
    before: Option<&str>,
    refused: Option<(Problem, Use)>,
) -> Result<Response, Trouble> {
    let views = state.desk.break_glasses(before, SHOWN_MAX).await?;
    let shown = Shown {
        visitor,
        may: state.desk.may_break_glass(&visitor.caller),
        now: state.desk.mirror().now(),
        is_full: views.len() >= usize::try_from(SHOWN_MAX).unwrap_or(usize::MAX),
    };
    let (status, problem, kept) = match refused {
        Some((problem, kept)) => (problem.status(), Some(problem), kept),
        None => (StatusCode::OK, None, Use::default()),
    };
    let main = shown.main(&views, problem.as_ref(), &kept);
    let page = Page::new("Break-glass", Place::BreakGlass, visitor, main);
    Ok(Page { status, ..page }.into_response())
}

struct Shown<'a> {
    visitor: &'a Visitor,
    /// Whether the policy names them.
    may: bool,
    now: Timestamp,
    is_full: bool,
}

impl Shown<'_> {
    fn main(&self, views: &[BreakGlassView], problem: Option<&Problem>, kept: &Use) -> Markup {
        html! {
            h1 { "Break-glass" }
            @if let Some(problem) = problem { (unchanged(problem)) }
            p { "An image, or a repository, is served for a while although nothing admitted it. The lists and \
                 bounds of the floor, malware, what is not whole and what people refused hold all the same." }
            @if self.may { (self.form(kept)) }
            @else {
                p.quiet { "The policy does not name you in " code { "breakGlass.who" } ", so that you cannot use one." }
            }
            @if views.is_empty() { p { "Nobody has broken the glass." } }
            @for view in views { (self.one(view)) }
            @if let Some(last) = views.last().filter(|_| self.is_full) {
                nav.pages aria-label="Pages" {
                    a rel="next" href=(format!("{PATH}?before={}", last.id)) { "Older" }
                }
            }
        }
    }

    fn form(&self, kept: &Use) -> Markup {
        html! {
            details.choice.no open[!kept.what.is_empty()] {
                summary { "Break the glass…" }
                form action=(PATH) method="post" {
                    input type="hidden" name="form_token" value=(self.visitor.form_token());
                    label for="glass-what" { "Image or repository" }
                    input #glass-what name="what" required maxlength="600" value=(kept.what)
                        placeholder="docker.io/library/redis:7.4" autocomplete="off" spellcheck="false";
                    label { input type="checkbox" name="whole" value="yes" checked[!kept.whole.is_empty()];
                        " every image of this repository" }
                    label for="glass-reason" { "Why" }
                    textarea #glass-reason name="reason" rows="2" required maxlength=(REASON_LENGTH_MAX) { (kept.reason) }
                    label for="glass-ticket" { "Ticket" }
                    input #glass-ticket name="ticket" maxlength="200" value=(kept.ticket) autocomplete="off";
                    label for="glass-ttl" { "For how long, as 30m or 2h" }
                    input #glass-ttl name="ttl" maxlength="8" value=(kept.ttl) placeholder="1h" autocomplete="off";
                    (entry::proof_field(self.visitor, "glass-proof", PATH))
                    p.quiet { "It is told loudly and put on record for good under your name, "
                        bdi { (self.visitor.caller.display) } ", and somebody else has to review it." }
                    button type="submit" { "Break the glass" }
                }
            }
        }
    }

    fn one(&self, view: &BreakGlassView) -> Markup {
        html! {
            section.glass aria-labelledby=(view.id) {
                h2 id=(view.id) { (view.id) " " (state(view)) }
                p {
                    @if let Some(image) = &view.image { a href=(image_path(image)) { bdi { (image) } } }
                    @else { "every image of " bdi { (view.repository.to_string()) } }
                }
                dl {
                    div { dt { "Used" } dd { "by " bdi { (view.display) } " " (ago(view.asked_at, self.now)) ": "
                        bdi { (view.reason) }
                        @if let Some(ticket) = &view.ticket { " (" bdi { (ticket) } ")" } } }
                    @for vote in &view.votes {
                        div { dt { "Yes" } dd { "by " bdi { (vote.display) } " " (ago(vote.at, self.now)) ": "
                            bdi { (vote.comment) } } }
                    }
                    @if let Some(end) = &view.ended {
                        div { dt { "Ended" } dd { "by " bdi { (end.by) } " " (ago(end.at, self.now)) ": " bdi { (end.why) } } }
                    } @else if let Some(end) = view.until {
                        div { dt { "Ends" } dd { (until(end, self.now)) } }
                    }
                    @if let Some(review) = &view.review {
                        div { dt { "Review" } dd { (review.verdict) " by " bdi { (review.display) } " "
                            (ago(review.at, self.now)) ": " bdi { (review.comment) } } }
                    } @else if let Some(by) = view.review_by {
                        div { dt { "Review" } dd { "somebody else has to, by " (moment(by))
                            @if view.overdue { strong { ", which is over" } } } }
                    }
                }
                (self.acts(view))
            }
        }
    }

    /// What whoever looks may do about it.
    fn acts(&self, view: &BreakGlassView) -> Markup {
        let name = self.visitor.caller.name();
        let is_own = view.by == name || view.votes.iter().any(|vote| vote.by == name);
        let decides = self.visitor.may_decide();
        let is_over = view.state == "ended";
        let verbs: &[(&str, &str)] = match view.state.as_str() {
            "waiting" if self.may && !is_own => &[("vote", "Say yes"), ("end", "End it")],
            "ended" if decides && !is_own && view.review_by.is_some() => {
                &[("justified", "It was justified"), ("not-justified", "It was not justified")]
            }
            _ if !is_over && (decides || view.by == name) => &[("end", "End it")],
            _ => &[],
        };
        let field = format!("{}-reason", view.id);
        html! {
            @if !verbs.is_empty() {
                form.acts action=(format!("{PATH}/act")) method="post" {
                    input type="hidden" name="form_token" value=(self.visitor.form_token());
                    input type="hidden" name="id" value=(view.id);
                    label for=(field) { "Why" }
                    input id=(field) name="reason" required maxlength=(REASON_LENGTH_MAX) autocomplete="off";
                    @if verbs.iter().any(|(verb, _)| *verb == "vote") {
                        (entry::proof_field(self.visitor, &format!("{}-proof", view.id), PATH))
                    }
                    @for (verb, text) in verbs {
                        button type="submit" name="verb" value=(verb) { (text) }
                    }
                }
            }
        }
    }
}

fn state(view: &BreakGlassView) -> Markup {
    let (class, text) = match (view.state.as_str(), view.overdue) {
        ("open", _) => ("denied", "in force".to_owned()),
        ("waiting", _) => ("pending", format!("waits, {} of {}", view.have, view.quorum)),
        (_, true) => ("denied", "not reviewed in time".to_owned()),
        (_, false) if view.review_by.is_some() => ("pending", "to be reviewed".to_owned()),
        (_, false) => ("plain", "over".to_owned()),
    };
    html! { span.state.(class) { (text) } }
}

/// What is served, on one line.
fn served(view: &BreakGlassView) -> Markup {
    let image = view.image.as_ref().and_then(|image| image.parse::<ImageReference>().ok());
    let digest = image.and_then(|image| image.digest);
    html! {
        @match (&digest, &view.image) {
            (Some(digest), _) => { bdi { (view.repository.to_string()) } " (" (short(digest)) ")" }
            (None, Some(image)) => { bdi { (image) } }
            (None, None) => { "every image of " bdi { (view.repository.to_string()) } }
        }
    }
}

/// What every page says while one is in force.
pub(super) fn banner(open: &[BreakGlassView]) -> Markup {
    html! {
        @for view in open {
            div.glass-banner role="alert" {
                strong { "Break-glass " (view.id) } " is in force: "
                (served(view)) " is served although nothing admitted it"
                @if let Some(end) = view.until { ", until " (moment(end)) }
                ". " a href=(PATH) { "Look at it" }
            }
        }
    }
}

/// Those that whoever decides has still to look at.
pub(super) fn unreviewed(views: &[BreakGlassView]) -> Markup {
    let due: Vec<_> = views.iter().filter(|it| it.state == "ended").collect();
    html! {
        @if !due.is_empty() {
            section.glass-due aria-labelledby="glass-due" {
                h2 #glass-due { "Break-glass to be reviewed" }
                ul {
                    @for view in due {
                        li { a href=(format!("{PATH}#{}", view.id)) { (view.id) } ", used by " bdi { (view.display) } ": "
                            bdi { (view.reason) }
                            @if view.overdue { strong { " (overdue)" } } }
                    }
                }
            }
        }
    }
}
