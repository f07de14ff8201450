//! Forms about exceptions: asking for one on the page of an image, granting, refusing, ending.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::exceptions::{self, Refused, number};
use super::form::{Asked, Form, one_line};
use super::page::{Page, Place};
use super::session::Visitor;
use super::trouble::{Trouble, see_other, unchanged};
use super::words::{exception_path, image_path};
use crate::http::admin::AdminState;
use crate::http::admin::problem::Problem;
use crate::mirror::desk::REASON_LENGTH_MAX;
use crate::mirror::desk::exceptions::{
    ExceptionBody, ExceptionOffer, ExceptionVerb, ExceptionWord, TICKET_LENGTH_MAX,
};
use crate::scan::vex::JUSTIFICATIONS;
use crate::time::Timestamp;

/// For how long an exception may be asked for, in days; as far as the policy lets one last.
const TERMS: [u64; 6] = [1, 3, 7, 14, 30, 90];
/// Milliseconds in a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What an exception is asked for from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    image: String,
    vulnerability: String,
    #[serde(default)]
    package: String,
}

/// The form that asks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    form_token: String,
    image: String,
    vulnerability: String,
    #[serde(default)]
    package: String,
    scope: String,
    term: String,
    reason: String,
    #[serde(default)]
    ticket: String,
    #[serde(default)]
    justification: String,
    /// `grant`, where whoever asks may say yes to it at once.
    #[serde(default)]
    then: String,
}

/// A word on an exception that waits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Word {
    form_token: String,
    exception: String,
    verb: String,
    seen: String,
    reason: String,
}

/// The end of an exception.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    form_token: String,
    exception: String,
    reason: String,
}

/// `GET /exceptions/new?image=&vulnerability=&package=`
pub(super) async fn new(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Asked(about): Asked<About>,
) -> Result<Response, Trouble> {
    form(&state, &visitor, &about, None).await
}

/// What was typed in a form that was not taken, and why it was not.
struct Kept {
    wanted: Wanted,
    problem: Problem,
}

async fn form(
    state: &AdminState,
    visitor: &Visitor,
    about: &About,
    kept: Option<&Kept>,
) -> Result<Response, Trouble> {
    let package = Some(about.package.clone()).filter(|package| !package.is_empty());
    let offer = state.desk.offer_exception(
        &about.image,
        (&about.vulnerability, package.as_deref()),
        &visitor.caller,
    );
    let offer = Box::pin(offer).await;
    let main = html! {
        div.head { h1 { "Ask for an exception" } }
        p.line {
            bdi { (about.vulnerability) }
            @if let Some(package) = &package { span { "in " bdi { (package) } } }
            span { a href=(image_path(&about.image)) { bdi.image { (about.image) } } }
        }
        @if let Some(kept) = kept { (unchanged(&kept.problem)) }
        @match &offer {
            Ok(offer) => (asking(visitor, about, offer, kept.map(|kept| &kept.wanted))),
            Err(error) => { p.alert { bdi { (error) } "." } }
        }
    };
    let status = kept.map(|kept| kept.problem.view().status);
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let page = Page::new("Ask for an exception", Place::Exceptions, visitor, main);
    Ok(Page { status: status.unwrap_or(StatusCode::OK), ..page }.into_response())
}

fn asking(
    visitor: &Visitor,
    about: &About,
    offer: &ExceptionOffer,
    kept: Option<&Wanted>,
) -> Markup {
    let typed = |of: fn(&Wanted) -> &String| kept.map_or("", |kept| of(kept).as_str());
    let terms = TERMS.into_iter().filter(|days| *days <= offer.longest_days);
    let of_repository = typed(|it| &it.scope) == "repository";
    html! {
        section aria-labelledby="takes-out" {
            h2 #takes-out { "What it takes out" }
            ul { @for finding in &offer.finding { li { bdi { (finding) } } } }
            @if offer.still_refused.is_empty() { p { "With it the image is served, as far as is known now." } }
            @else {
                p { "The image is refused all the same:" }
                ul.reasons { @for reason in &offer.still_refused { li { strong { bdi { (reason) } } } } }
            }
            p.quiet { "It takes " bdi { (offer.approval) } " to grant it, by rule " bdi { (offer.rule) } "." }
        }
        section.people aria-labelledby="ask" {
            h2 #ask { "Ask" }
            form action="/exceptions" method="post" data-verb="ask" {
                input type="hidden" name="form_token" value=(visitor.form_token());
                input type="hidden" name="image" value=(about.image);
                input type="hidden" name="vulnerability" value=(about.vulnerability);
                input type="hidden" name="package" value=(about.package);
                label for="scope" { "It is for" }
                select #scope name="scope" {
                    option value="image" selected[!of_repository] { "this image only, by its digest" }
                    option value="repository" selected[of_repository] { "every image of the repository" }
                }
                label for="term" { "It holds" }
                select #term name="term" {
                    @for days in terms {
                        option value=(days) selected[typed(|it| &it.term) == days.to_string()] {
                            "for " (crate::text::count(days, "day"))
                        }
                    }
                }
                label for="reason" { "Why" }
                textarea #reason name="reason" rows="2" required maxlength=(REASON_LENGTH_MAX) {
                    (typed(|it| &it.reason)) }
                label for="justification" { "Why it does no harm, if it does none" }
                select #justification name="justification" {
                    option value="" { "not said" }
                    @for word in JUSTIFICATIONS {
                        option value=(word) selected[typed(|it| &it.justification) == word] {
                            (word.replace('_', " ")) }
                    }
                }
                label for="ticket" { "Ticket" }
                input #ticket type="text" name="ticket" maxlength=(TICKET_LENGTH_MAX)
                    autocomplete="off" value=(typed(|it| &it.ticket));
                p.quiet { "It is put on record for good under your name, " bdi { (visitor.caller.display) } "." }
                button type="submit" { "Ask" }
                @if offer.may_grant { " " button type="submit" name="then" value="grant" { "Ask and grant" } }
            }
        }
    }
}

/// When an exception for `term` days ends that is asked for at `now`: with the time of day, so that it is no
/// longer than that.
fn expires(term: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let days = TERMS.into_iter().find(|days| days.to_string() == term);
    let days = days.and_then(|days| i64::try_from(days).ok());
    let days = days.ok_or_else(|| Problem::invalid("that is no time for an exception"))?;
    let end = now.milliseconds().saturating_add(days.saturating_mul(DAY_MS));
    Ok(Timestamp::from_milliseconds(end))
}

/// `POST /exceptions`
pub(super) async fn ask(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&wanted.form_token) {
        return Err(Trouble::foreign_form());
    }
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let body = ExceptionBody {
        image: wanted.image.clone(),
        scope: wanted.scope.clone(),
        vulnerability: wanted.vulnerability.clone(),
        package: said(&wanted.package),
        reason: one_line(&wanted.reason),
        ticket: said(wanted.ticket.trim()),
        expires: expires(&wanted.term, state.desk.mirror().clock().now())?,
        justification: said(&wanted.justification),
    };
    let (desk, by) = (state.desk.clone(), visitor.caller.clone());
    let grants = wanted.then == "grant";
    let asking = state.desk.mirror().tasks().spawn(async move {
        let asked = Box::pin(desk.ask_exception(&body, &by)).await?;
        let id = asked.exception.id;
        if !grants {
            return Ok((id, if asked.already { "already" } else { "asked" }.to_owned()));
        }
        let (verb, reason) = (ExceptionVerb::Grant, body.reason);
        let word = ExceptionWord { exception: id, verb, by, reason, expires: None, seen: None };
        Ok((id, Box::pin(desk.decide_exception(&word)).await?.decision))
    });
    let Ok(asked) = asking.await else {
        return Err(Problem::internal("it was cut short; look whether it was asked for").into());
    };
    match asked {
        Ok((id, done)) => {
            let path = exception_path(&id.to_string());
            Ok(see_other(&format!("{path}?done={done}")))
        }
        Err(error) => {
            let error: crate::mirror::desk::Error = error;
            let About { image, vulnerability, package } = About {
                image: wanted.image.clone(),
                vulnerability: wanted.vulnerability.clone(),
                package: wanted.package.clone(),
            };
            let kept = Kept { wanted, problem: error.into() };
            form(&state, &visitor, &About { image, vulnerability, package }, Some(&kept)).await
        }
    }
}

/// `POST /exceptions/decisions`
pub(super) async fn decide(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Form(sent): Form<Word>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&sent.form_token) {
        return Err(Trouble::foreign_form());
    }
    let (verb, name) = match sent.verb.as_str() {
        "grant" => (ExceptionVerb::Grant, "grant"),
        "refuse" => (ExceptionVerb::Refuse, "refuse"),
        _ => return Err(Problem::invalid("that is no decision").into()),
    };
    let exception = number(&sent.exception)?;
    let (by, reason, seen) = (visitor.caller.clone(), one_line(&sent.reason), Some(sent.seen));
    let word = ExceptionWord { exception, verb, by, reason, expires: None, seen };
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    // A task of its own: someone who hangs up after deciding has decided.
    let deciding = tasks.spawn(async move { Box::pin(desk.decide_exception(&word)).await });
    let Ok(decided) = deciding.await else {
        return Err(Problem::internal("it was cut short; look whether it was taken").into());
    };
    let decided = decided.map(|view| view.decision);
    answer(&state, &visitor, (exception, name, sent.reason), decided).await
}

/// `POST /exceptions/endings`
pub(super) async fn end(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Form(sent): Form<End>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&sent.form_token) {
        return Err(Trouble::foreign_form());
    }
    let exception = number(&sent.exception)?;
    let (by, reason) = (visitor.caller.clone(), one_line(&sent.reason));
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    let ending = tasks.spawn(async move { desk.end_exception(exception, &by, &reason).await });
    let Ok(ended) = ending.await else {
        return Err(Problem::internal("it was cut short; look whether it was ended").into());
    };
    let ended = ended.map(|view| view.decision);
    answer(&state, &visitor, (exception, "end", sent.reason), ended).await
}

/// The page of an exception after a word on it.
async fn answer(
    state: &AdminState,
    visitor: &Visitor,
    (exception, verb, reason): (crate::ledger::ExceptionId, &'static str, String),
    done: Result<String, crate::mirror::desk::Error>,
) -> Result<Response, Trouble> {
    match done {
        Ok(done) => {
            let path = exception_path(&exception.to_string());
            Ok(see_other(&format!("{path}?done={done}")))
        }
        Err(error) => {
            let refused = Refused { verb, reason, problem: error.into() };
            exceptions::page(state, visitor, exception, None, Some(&refused)).await
        }
    }
}
