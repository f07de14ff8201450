//! Several requests, decided about by one form: each holds for what was shown of it.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::deciding::expires;
use super::form::{Asked, Form};
use super::page::{Page, Place};
use super::people::{self, TERMS, packed, unpacked};
use super::session::Visitor;
use super::trouble::Trouble;
use super::words::{ago, request_path, short, state as state_mark};
use crate::http::admin::AdminState;
use crate::http::admin::problem::Problem;
use crate::mirror::desk::together::{Brief, Judged, TOGETHER_MAX};
use crate::mirror::desk::view::{DecidedView, RequestView};
use crate::mirror::desk::{self, Desk, REASON_LENGTH_MAX, Shown, Verb, Wish};
use crate::time::Timestamp;

/// Reasons that are shown of each.
const REASONS_SHOWN: usize = 3;

/// `GET /together?id=&id=`, `GET /together?group=`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Asked(pairs): Asked<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let (mut ids, mut group) = (Vec::new(), None);
    for (key, value) in pairs {
        match key.as_str() {
            "id" => ids.push(value),
            "group" if group.is_none() => group = Some(value),
            _ => return Err(Problem::invalid("name requests by id, or one group").into()),
        }
    }
    let mut goes_on = false;
    if let Some(group) = &group {
        let (found, more) = state.desk.waiting_in(group).await?;
        ids.extend(found);
        goes_on = more;
    }
    let briefs = Box::pin(state.desk.briefs(&ids)).await?;
    let now = state.desk.mirror().clock().now();
    let main = main(&briefs, (group.as_deref(), goes_on), &visitor, now);
    Ok(Page::new("Decide together", Place::Queue, &visitor, main).into_response())
}

/// What the form says.
struct Sent {
    verb: Verb,
    reason: String,
    term: String,
    picked: Vec<(String, Option<Shown>)>,
}

impl Sent {
    fn of(pairs: Vec<(String, String)>, visitor: &Visitor) -> Result<Self, Trouble> {
        let invalid = || Problem::invalid("the form is not as expected");
        let (mut token, mut verb, mut reason, mut term) = (None, None, None, None);
        let (mut picked, mut shown) = (Vec::<String>::new(), Vec::new());
        for (key, value) in pairs {
            let once = |field: &mut Option<String>, value| match field.replace(value) {
                None => Ok(()),
                Some(_) => Err(invalid()),
            };
            match key.as_str() {
                "form_token" => once(&mut token, value)?,
                "verb" => once(&mut verb, value)?,
                "reason" => once(&mut reason, value)?,
                "term" => once(&mut term, value)?,
                "pick" if !picked.contains(&value) => picked.push(value),
                "shown" => {
                    let (id, text) = value.split_once(':').ok_or_else(invalid)?;
                    shown.push((id.to_owned(), unpacked(text).ok_or_else(invalid)?));
                }
                _ => return Err(invalid().into()),
            }
        }
        if !visitor.sent(token.as_deref().unwrap_or_default()) {
            return Err(Trouble::foreign_form());
        }
        let verb = verb.as_deref().and_then(people::verb);
        let verb = verb.filter(|verb| matches!(verb, Verb::Approve | Verb::Reject));
        let verb = verb.ok_or_else(|| Problem::invalid("those are approved or rejected"))?;
        if picked.is_empty() || picked.len() > TOGETHER_MAX {
            let text = format!("choose 1 to {TOGETHER_MAX} requests");
            return Err(Problem::invalid(text).into());
        }
        let shown_of = |id: &str| shown.iter().find(|(of, _)| of == id).map(|(_, it)| it.clone());
        let picked = picked.into_iter().map(|id| (shown_of(&id), id)).map(|(it, id)| (id, it));
        let reason = reason.unwrap_or_default();
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self { verb, reason, term: term.unwrap_or_default(), picked: picked.collect() })
    }
}

/// How it ended for one of them.
struct Ended {
    id: String,
    outcome: Result<DecidedView, (Problem, Vec<String>)>,
}

/// `POST /together`
pub(super) async fn decide(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let sent = Sent::of(pairs, &visitor)?;
    if sent.reason.is_empty() {
        return Err(Problem::invalid(desk::Error::ReasonForm.to_string()).into());
    }
    let expires = match sent.verb {
        Verb::Approve => expires(&sent.term, state.desk.mirror().clock().now())?,
        Verb::Reinstate | Verb::Reject | Verb::Revoke => None,
    };
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    let by = visitor.caller.clone();
    // A task of its own: someone who hangs up after deciding has decided.
    let deciding = tasks.spawn(async move {
        let mut ended = Vec::with_capacity(sent.picked.len());
        for (id, shown) in sent.picked {
            let wish = Wish {
                verb: sent.verb,
                target: id.clone(),
                by: by.clone(),
                reason: sent.reason.clone(),
                expires,
                seen: None,
                shown,
            };
            ended.push(Ended { outcome: Box::pin(one(&desk, &wish)).await, id });
        }
        ended
    });
    let Ok(ended) = deciding.await else {
        let text = "it was cut short; look which of them were decided about";
        return Err(Problem::internal(text).into());
    };
    let is_done = ended.iter().any(|one| one.outcome.is_ok());
    let status = if is_done { StatusCode::OK } else { StatusCode::CONFLICT };
    let page = Page::new("Decided together", Place::Queue, &visitor, told(&ended));
    Ok(Page { status, ..page }.into_response())
}

async fn one(desk: &Desk, wish: &Wish) -> Result<DecidedView, (Problem, Vec<String>)> {
    // What could not be judged was shown without evidence: then only a no is taken.
    if wish.shown.is_none() && wish.verb == Verb::Approve {
        return Err((Problem::invalid("the form does not say what was shown of it"), Vec::new()));
    }
    Box::pin(desk.decide(wish)).await.map_err(|error| {
        let changes = error.changes().to_vec();
        (error.into(), changes)
    })
}

fn told(ended: &[Ended]) -> Markup {
    let done = || ended.iter().filter_map(|one| Some((&one.id, one.outcome.as_ref().ok()?)));
    let not_done = || ended.iter().filter_map(|one| Some((&one.id, one.outcome.as_ref().err()?)));
    let again: Vec<_> = not_done().map(|(id, _)| ("id", id.as_str())).collect();
    html! {
        div.head {
            h1 { "Decided together" }
            p.quiet { (done().count()) " of " (crate::text::count(u64::try_from(ended.len()).unwrap_or(0), "request")) }
        }
        @if done().next().is_some() {
            section aria-labelledby="done" {
                h2 #done { "Done" }
                ul.plain { @for (id, view) in done() {
                    li {
                        a href=(request_path(id)) { (id) } " " bdi.image { (view.name) } " " (short(&view.digest)) ": "
                        @if view.already { "that had been decided before" } @else { (said(view)) }
                    }
                } }
            }
        }
        @if !again.is_empty() {
            section aria-labelledby="left" {
                h2 #left { "Not done" }
                ul.plain { @for (id, (problem, changes)) in not_done() {
                    li {
                        a href=(request_path(id)) { (id) } ": "
                        @if changes.is_empty() { bdi { (problem.view().detail) } }
                        @else {
                            "it is not what you were shown"
                            ul { @for change in changes { li { bdi { (change) } } } }
                        }
                    }
                } }
                p { a href=(format!("/together?{}", serde_urlencoded::to_string(&again).unwrap_or_default())) {
                    "Look at those again" } }
            }
        }
        p { a href="/" { "Back to the queue" } }
    }
}

fn said(view: &DecidedView) -> String {
    match (&view.votes, view.decision.as_str()) {
        (Some(votes), "voted") => {
            format!("your yes is on record, {} of {}", votes.have, votes.needed)
        }
        (_, decision) => decision.to_owned(),
    }
}

fn main(
    briefs: &[Brief],
    (group, goes_on): (Option<&str>, bool),
    visitor: &Visitor,
    now: Timestamp,
) -> Markup {
    html! {
        div.head {
            h1 { "Decide together" }
            @if let Some(group) = group { p.quiet { "what waits of " bdi { (group) } } }
        }
        @if goes_on { p.note { "These are the newest " (TOGETHER_MAX) "; there are more." } }
        @if briefs.is_empty() {
            div.empty { p { strong { "Nothing is chosen." } } p { "Choose requests in the " a href="/" { "queue" } "." } }
        } @else {
            form.together action="/together" method="post" {
                input type="hidden" name="form_token" value=(visitor.form_token());
                (table(briefs, now))
                section.people aria-labelledby="decide" {
                    h2 #decide { "Decide" }
                    p #together-note { "Each is a decision of its own, about the digest that is shown here. What changed \
                        since you were shown it is left alone, and you are told why." }
                    label for="together-reason" { "Why" }
                    textarea #together-reason name="reason" rows="2" required maxlength=(REASON_LENGTH_MAX)
                        aria-describedby="together-note" {}
                    label for="together-term" { "An approval holds" }
                    select #together-term name="term" {
                        @for (days, name) in TERMS { option value=(days) { (name) } }
                    }
                    div.buttons {
                        button type="submit" name="verb" value="approve" { "Approve those chosen" }
                        button.no type="submit" name="verb" value="reject" { "Reject those chosen" }
                    }
                }
            }
        }
    }
}

fn table(briefs: &[Brief], now: Timestamp) -> Markup {
    html! {
        table.queue {
            caption.unseen { "The requests that were chosen" }
            thead { tr {
                th scope="col" { "Request" } th scope="col" { "Image" } th scope="col" { "What speaks against it" }
                th scope="col" { "Findings" } th scope="col" { "Votes" }
            } }
            tbody { @for brief in briefs { (row(brief, now)) } }
        }
    }
}

fn row(brief: &Brief, now: Timestamp) -> Markup {
    let request = &brief.request;
    let is_open = matches!(request.state.as_str(), "pending" | "denied");
    let may = is_open && request.digest.is_some();
    html! {
        tr data-row {
            td {
                @if may {
                    input type="checkbox" name="pick" value=(request.id) checked[request.state == "pending"]
                        aria-label=(format!("Choose {}", request.id));
                    @if let Some(judged) = &brief.judged {
                        input type="hidden" name="shown" value=(format!("{}:{}", request.id, packed(&judged.shown)));
                    }
                }
                a.id data-open href=(request_path(&request.id)) { (request.id) } " " (state_mark(&request.state))
                @if request.needs_info { " " span.state.pending { "needs info" } }
            }
            td {
                bdi.image { (request.image) }
                @if let Some(digest) = &request.digest { " " (short(digest)) }
                span.quiet { (crate::text::count(request.clients, "client")) ", first " (ago(request.first_asked, now)) }
            }
            td { (against(brief)) }
            td data-label="Findings" { (findings(brief.judged.as_ref())) }
            td data-label="Votes" { (votes(request)) }
        }
    }
}

fn against(brief: &Brief) -> Markup {
    let reasons = brief.judged.as_ref().map_or(&brief.request.reasons, |judged| &judged.reasons);
    let more = reasons.len().saturating_sub(REASONS_SHOWN);
    html! {
        @for reason in reasons.iter().take(REASONS_SHOWN) { p { bdi { (reason.text) } } }
        @if more > 0 { span.quiet { "and " (more) " more" } }
        @if reasons.is_empty() { span.quiet { "nothing" } }
        @if let Some(asked) = brief.request.remarks.last().filter(|_| brief.request.needs_info) {
            p.asked { bdi { (asked.display) } " asks: " q { bdi { (asked.text) } } }
        }
        @if let Some(why) = &brief.not_judged { p.unknown { "It cannot be judged now, and only be rejected: " bdi { (why) } } }
        @if brief.request.digest.is_none() { p.unknown { "It has no digest to decide on." } }
    }
}

fn findings(judged: Option<&Judged>) -> Markup {
    let counts = judged.and_then(|judged| judged.findings.as_ref());
    html! {
        @match counts {
            None => { span.unknown { "not known" } }
            Some(counts) if counts.is_empty() => { "none" }
            Some(counts) => {
                @for word in ["critical", "high", "medium", "low", "unrated"] {
                    @if let Some(count) = counts.get(word) { span class=(format!("severity {word}")) { (count) " " (word) } " " }
                }
            }
        }
    }
}

fn votes(request: &RequestView) -> Markup {
    html! {
        @match &request.votes {
            Some(votes) => { (votes.have) " of " (votes.needed) }
            None => { span.quiet { "one yes" } }
        }
    }
}
