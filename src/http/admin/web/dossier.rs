//! One image, and everything that whoever decides about it looks at.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::form::{Asked, InPath};
use super::page::{Page, Place};
use super::people::{self, Refused};
use super::session::Visitor;
use super::trouble::Trouble;
use super::words::{ago, count, group_path, image_path, lines, linked, short, state as state_mark};
use super::{difference, evidence, exceptions, findings, history, remarks, rules};
use crate::http::admin::AdminState;
use crate::ledger::Permission;
use crate::mirror::desk::dossier::Dossier;
use crate::mirror::desk::exceptions::ExceptionView;
use crate::mirror::desk::propose::RuleProposalsView;
use crate::mirror::desk::view::{ExplainView, ReasonView, RequestView};
use crate::time::Timestamp;

/// Clients that are named.
const CLIENTS_SHOWN: usize = 20;

/// What was just done, to be told once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    done: Option<String>,
    /// In how many days pulls are counted for what could be made a rule.
    figures: Option<u32>,
}

/// `GET /requests/{id}`, `GET /images/{*image}`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    InPath(text): InPath,
    Asked(Done { done, figures }): Asked<Done>,
) -> Result<Response, Trouble> {
    let dossier = Box::pin(state.desk.dossier(&text)).await?;
    let rules = rules_for(&state, &dossier, figures).await;
    let now = state.desk.mirror().clock().now();
    let done = done.as_deref().and_then(people::done);
    let exceptions = exceptions_of(&state, &dossier).await?;
    let (dossier, visitor, rules) = (&dossier, &visitor, rules.as_ref());
    Ok(Shown { dossier, visitor, exceptions, now, done, rules, refused: None }.page())
}

/// The page of `text` with a decision about it that was refused.
pub(super) async fn refused(
    state: &AdminState,
    visitor: &Visitor,
    text: &str,
    refused: Refused,
) -> Result<Response, Trouble> {
    let Ok(dossier) = Box::pin(state.desk.dossier(text)).await else {
        return Err(refused.problem.into());
    };
    let rules = rules_for(state, &dossier, None).await;
    let now = state.desk.mirror().clock().now();
    let exceptions = exceptions_of(state, &dossier).await?;
    let (dossier, rules, refused) = (&dossier, rules.as_ref(), Some(&refused));
    Ok(Shown { dossier, visitor, exceptions, now, done: None, rules, refused }.page())
}

/// What could be made a rule of what `dossier` is about, where that is a request.
async fn rules_for(
    state: &AdminState,
    dossier: &Dossier,
    figures: Option<u32>,
) -> Option<RuleProposalsView> {
    let request = dossier.request.as_ref()?;
    match Box::pin(state.desk.rule_proposals(&request.id, figures)).await {
        Ok(view) => Some(view),
        // Whatever is wrong with that, people can decide.
        Err(error) => {
            tracing::warn!(request = request.id, %error, "nothing is offered as a rule");
            None
        }
    }
}

/// The exceptions that wait or are in force for the image of `dossier`.
async fn exceptions_of(
    state: &AdminState,
    dossier: &Dossier,
) -> Result<Vec<ExceptionView>, Trouble> {
    let Some(subject) = &dossier.subject else { return Ok(Vec::new()) };
    let all = state.desk.exceptions(None, Some(subject.name.clone()), (None, None)).await?;
    let is_of = |it: &ExceptionView| it.digest.is_none_or(|digest| digest == subject.digest);
    Ok(all.into_iter().filter(is_of).collect())
}

/// A dossier as it is shown to somebody.
pub(super) struct Shown<'a> {
    pub(super) dossier: &'a Dossier,
    pub(super) visitor: &'a Visitor,
    /// The exceptions that wait or are in force.
    exceptions: Vec<ExceptionView>,
    pub(super) now: Timestamp,
    /// What was just done, in a sentence.
    done: Option<&'static str>,
    /// What could be made a rule.
    rules: Option<&'a RuleProposalsView>,
    /// What was just refused.
    pub(super) refused: Option<&'a Refused>,
}

impl Shown<'_> {
    fn page(&self) -> Response {
        let title = match &self.dossier.request {
            Some(request) => format!("{} {}", request.id, self.image()),
            None => self.image(),
        };
        let status = self.refused.map_or(StatusCode::OK, Refused::status);
        let page = Page::new(&title, Place::Queue, self.visitor, self.main()).live();
        Page { status, ..page }.into_response()
    }

    /// The image as it was asked for.
    pub(super) fn image(&self) -> String {
        let explained = self.dossier.explained.as_ref().map(|it| it.image.clone());
        let asked = self.dossier.request.as_ref().map(|request| request.image.clone());
        asked.or(explained).unwrap_or_else(|| "image".to_owned())
    }

    /// The verdict, or what else it is.
    fn word(&self) -> &str {
        let standing = self.dossier.explained.as_ref().and_then(|it| it.standing.as_ref());
        let by_people = standing.filter(|it| it.decision != "approved");
        match (&self.dossier.explained, &self.dossier.request) {
            (Some(_), _) if by_people.is_some() => by_people.map_or("", |it| it.decision.as_str()),
            (Some(explained), _) => &explained.verdict,
            (None, Some(request)) => &request.state,
            (None, None) => "undecided",
        }
    }

    fn main(&self) -> Markup {
        let Dossier { explained, request, not_judged, .. } = self.dossier;
        html! {
            @if let Some(done) = self.done { p.done role="status" { (done) } }
            div.head {
                h1 {
                    @if let Some(request) = request { span.number { (request.id) " " } }
                    bdi.image { (self.image()) }
                }
                p.verdict {
                    (state_mark(self.word()))
                    @if request.as_ref().is_some_and(|it| it.needs_info) { " " span.state.pending { "needs info" } }
                    @if let Some(explained) = explained { (self.rule(explained)) }
                }
            }
            (self.line())
            @if let Some(why) = not_judged {
                p.alert role="alert" { "It could not be judged now: " bdi { (why) }
                    ". What follows is what was kept." }
            }
            (self.instead())
            (self.reasons())
            (difference::section(self.dossier, self.now))
            (people::panel(self))
            @if !self.exceptions.is_empty() {
                section aria-labelledby="exceptions" {
                    h2 #exceptions { "Exceptions" }
                    (exceptions::table(&self.exceptions, self.now))
                }
            }
            @if let Some(rules) = self.rules { (rules::section(rules)) }
            @if let Some(request) = request { (remarks::section(self, request)) (self.asked(request)) }
            @if let Some(explained) = explained { (evidence::section(explained, self.now)) }
            @if let Some(facts) = &self.dossier.facts {
                (findings::section(facts, explained.as_ref(), (self.now, self.visitor.caller.may(Permission::Ask))))
                (evidence::configurations(facts))
                (evidence::contents(facts, explained.as_ref(), self.now))
            }
            (history::section(self))
        }
    }

    fn rule(&self, explained: &ExplainView) -> Markup {
        html! {
            @match &explained.rule {
                Some(rule) => {
                    " by rule " bdi { (rule.id) }
                    @if let Some(trust) = self.dossier.trust {
                        span.quiet {
                            @match trust {
                                "approve" => ", which asks people",
                                "deny" => ", which denies",
                                _ => ", which asks nobody",
                            }
                        }
                    }
                }
                None => { " as no rule matches" }
            }
            @if !explained.enforced && explained.verdict != "admit" {
                span.quiet {
                    "; served all the same, mode "
                    @if explained.warns { "warn only warns" } @else { "audit only watches" }
                }
            }
        }
    }

    /// What it is in one line: digest, kind, platforms, when it was seen.
    fn line(&self) -> Markup {
        let Dossier { subject, explained, tag, .. } = self.dossier;
        html! {
            p.line {
                @match subject {
                    Some(subject) => { (short(&subject.digest)) }
                    None => { "It was refused without a look at the registry, so it has no digest to decide on." }
                }
                @if let Some(explained) = explained {
                    @if let Some(kind) = &explained.kind { span { bdi { (kind) } } }
                    @for platform in &explained.platforms { span { bdi { (platform) } } }
                    @if let Some(seen) = explained.first_seen { span { "first seen " (ago(seen, self.now)) } }
                    @if let Some(at) = explained.decided_at { span { "judged " (ago(at, self.now)) } }
                }
                @if let (Some(tag), None) = (tag, &self.dossier.request) { span { "tag " bdi { (tag) } } }
            }
            @if let Some(stale) = explained.as_ref().and_then(|it| it.stale.as_ref()) {
                p.note { "Meanwhile it is served as it was admitted before, until " (stale.until)
                    " at most: it could not be confirmed since " (ago(stale.since, self.now)) "." }
            }
            @if let Some((instead, subject)) = explained.as_ref().and_then(|it| it.served_instead).zip(subject.as_ref()) {
                p.note { "Meanwhile the tag is served as " (linked(&subject.name, &instead))
                    ", which was admitted last." }
            }
        }
    }

    /// What may be pulled instead.
    fn instead(&self) -> Markup {
        html! {
            @for other in &self.dossier.alternatives {
                p.instead {
                    strong { a href=(image_path(&other.image)) {
                        bdi { (other.tag) } } }
                    " is " (other.relation) " (" (other.step) ") and "
                    @match &other.approved_by {
                        Some(by) => { "approved by " bdi { (by) } " " (ago(other.since, self.now)) }
                        None => { "admitted here, known " (ago(other.since, self.now)) }
                    }
                    ". Use it: " code { (other.image) }
                }
            }
        }
    }

    fn reasons(&self) -> Markup {
        let explained = self.dossier.explained.as_ref().map(|it| &it.reasons);
        let asked = self.dossier.request.as_ref().map(|it| &it.reasons);
        let reasons: &[ReasonView] = explained.or(asked).map_or(&[], Vec::as_slice);
        html! {
            @if !reasons.is_empty() {
                section aria-labelledby="why" {
                    h2 #why { "What speaks against it" }
                    ul.reasons {
                        @for reason in reasons {
                            li {
                                strong { bdi { (reason.text) } }
                                @if !reason.remedy.is_empty() { span.quiet { bdi { (lines(&reason.remedy)) } } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn asked(&self, request: &RequestView) -> Markup {
        let more = request.client_names.len().saturating_sub(CLIENTS_SHOWN);
        html! {
            section aria-labelledby="asked" {
                h2 #asked { "Who asks" }
                p {
                    (crate::text::count(request.clients, "client")) ", "
                    (crate::text::count(request.pulls, "pull")) ", first "
                    (ago(request.first_asked, self.now)) ", last " (ago(request.last_asked, self.now))
                }
                @if !request.client_names.is_empty() {
                    ul.inline {
                        @for client in request.client_names.iter().take(CLIENTS_SHOWN) {
                            li { bdi { (client) } }
                        }
                        @if more > 0 { li { (count(more, "more")) } }
                    }
                }
                @if let Some(note) = &request.note { blockquote { bdi { (note) } } }
                @if let Some(group) = &request.group {
                    p { "It belongs to " a href=(group_path(group)) { bdi { (group) } } "." }
                }
                @if let Some(ticket) = &request.ticket { p { "Ticket: " bdi { (ticket) } } }
            }
        }
    }
}
