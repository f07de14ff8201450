//! People, for administrators: who may sign in, letting somebody in, and what else is done about them.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::form::{Asked, Form};
use super::page::{Page, Place};
use super::session::Visitor;
use super::trouble::{Trouble, see_other, unchanged};
use super::words::{ago, person_path, until};
use crate::http::admin::AdminState;
use crate::http::admin::problem::Problem;
use crate::ledger::Role;
use crate::mirror::desk::people::{InvitationView, PersonBody, PersonChangeBody, PersonView};
use crate::time::Timestamp;

/// Most people on one page: whoever wants all of them has the command.
const PEOPLE_SHOWN: usize = 500;

/// Whom.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    id: Option<String>,
    done: Option<String>,
}

/// Somebody to be let in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invited {
    form_token: String,
    name: String,
    role: String,
    #[serde(default)]
    groups: String,
}

/// What is to be done about somebody.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Act {
    form_token: String,
    id: String,
    #[serde(rename = "act")]
    what: String,
    role: Option<String>,
    groups: Option<String>,
}

/// `GET /people`, `GET /people?id=`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Asked(Wanted { id, done }): Asked<Wanted>,
) -> Result<Response, Trouble> {
    let now = state.desk.mirror().clock().now();
    let done = done.as_deref().and_then(told);
    if let Some(id) = id {
        let person = state.desk.person(&id)?;
        let shown = One { person: &person, visitor: &visitor, now, done, refused: None };
        return Ok(shown.page());
    }
    Ok(list(&state, &visitor, done, None))
}

/// `POST /people`
pub(super) async fn invite(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Form(sent): Form<Invited>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&sent.form_token) {
        return Err(Trouble::foreign_form());
    }
    let (name, role) = (sent.name.trim().to_owned(), sent.role.clone());
    let body = PersonBody { name, role, groups: groups_of(&sent.groups) };
    match state.desk.add_person(body, &visitor.caller.name()).await {
        Ok(invitation) => Ok(secret(&visitor, &invitation)),
        Err(error) => Ok(list(&state, &visitor, None, Some(&(&sent, error.into())))),
    }
}

/// `POST /people/act`
pub(super) async fn act(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Form(sent): Form<Act>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&sent.form_token) {
        return Err(Trouble::foreign_form());
    }
    let (desk, by) = (&state.desk, visitor.caller.name());
    let kept_out =
        |disabled| PersonChangeBody { disabled: Some(disabled), ..PersonChangeBody::default() };
    let outcome = match sent.what.as_str() {
        "change" => {
            let groups = sent.groups.as_deref().map(groups_of);
            let body = PersonChangeBody { role: sent.role.clone(), groups, disabled: None };
            desk.change_person(&sent.id, body, &by).await.map(|_| "changed")
        }
        "disable" => desk.change_person(&sent.id, kept_out(true), &by).await.map(|_| "disabled"),
        "enable" => desk.change_person(&sent.id, kept_out(false), &by).await.map(|_| "enabled"),
        "remove" => desk.remove_person(&sent.id, &by).await.map(|()| "removed"),
        "reset" => match desk.reset_person(&sent.id, &by).await {
            Ok(invitation) => return Ok(secret(&visitor, &invitation)),
            Err(error) => Err(error),
        },
        _ => return Err(Problem::invalid("that is nothing that is done about people").into()),
    };
    match outcome {
        Ok("removed") => Ok(see_other("/people?done=removed")),
        Ok(done) => Ok(see_other(&format!("{}&done={done}", person_path(&sent.id)))),
        Err(error) => {
            let person = desk.person(&sent.id)?;
            let now = desk.mirror().clock().now();
            let refused = Some(Problem::from(error));
            let shown = One { person: &person, visitor: &visitor, now, done: None, refused };
            Ok(shown.page())
        }
    }
}

fn told(done: &str) -> Option<&'static str> {
    Some(match done {
        "changed" => "Changed. It holds from their next click on.",
        "disabled" => "Kept out, at once: every session of theirs is over.",
        "enabled" => "Let in again.",
        "removed" => "Removed. What they decided stays on record.",
        _ => return None,
    })
}

/// The names in `text`, between commas or spaces.
fn groups_of(text: &str) -> Vec<String> {
    let names = text.split(|c: char| c == ',' || c.is_whitespace());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The one page that shows a one-time secret.
fn secret(visitor: &Visitor, invitation: &InvitationView) -> Response {
    let main = html! {
        section.narrow {
            h1 { "For " bdi { (invitation.name) } }
            p { "Give them this. With it and their name they sign in for the first time, choose a password and \
                set up an authenticator." }
            p.secret { code { (invitation.secret) } }
            p.note { "It is shown this once, and good until " (invitation.until) ". It is kept nowhere in clear." }
            p { a href="/people" { "Back to people" } }
        }
    };
    Page::new("One-time secret", Place::People, visitor, main).into_response()
}

fn list(
    state: &AdminState,
    visitor: &Visitor,
    done: Option<&str>,
    refused: Option<&(&Invited, Problem)>,
) -> Response {
    let (people, now) = (state.desk.people(), state.desk.mirror().clock().now());
    let status = refused.map_or(StatusCode::OK, |(_, problem)| problem.status());
    let main = html! {
        div.head {
            h1 { "People" }
            p.quiet { (super::words::count(people.len(), "person").replace("persons", "people")) " may sign in" }
        }
        @if let Some(done) = done { p.done role="status" { (done) } }
        @if people.is_empty() {
            div.empty { p { strong { "Nobody signs in with a name yet." } } p { "Let somebody in below, or have them \
                sign in at your provider." } }
        } @else { (table(&people, now)) }
        @if people.len() > PEOPLE_SHOWN {
            p.quiet { "The first " (PEOPLE_SHOWN) "; all of them: " code { "pratique user ls" } "." }
        }
        (invitation_form(visitor, refused))
    };
    let page = Page::new("People", Place::People, visitor, main);
    Page { status, ..page }.into_response()
}

fn table(people: &[PersonView], now: Timestamp) -> Markup {
    html! {
        table.queue {
            caption.unseen { "People, by who they are" }
            thead { tr {
                th scope="col" { "Name" } th scope="col" { "Role" } th scope="col" { "Groups" }
                th scope="col" { "State" } th scope="col" { "Last here" }
            } }
            tbody {
                @for person in people.iter().take(PEOPLE_SHOWN) {
                    tr data-row {
                        td { a data-open href=(person_path(&person.id)) { bdi { (person.name) } }
                            span.quiet { bdi { (person.id) } } }
                        td data-label="Role" { (person.role) }
                        td data-label="Groups" { (groups(person)) }
                        td data-label="State" { (state_of(person, now)) }
                        td data-label="Last here" {
                            @match person.signed_in_at { Some(at) => (ago(at, now)), None => { span.quiet { "never" } } }
                        }
                    }
                }
            }
        }
    }
}

fn groups(person: &PersonView) -> Markup {
    html! {
        @if person.groups.is_empty() { span.quiet { "none" } } @else { bdi { (person.groups.join(", ")) } }
    }
}

fn state_of(person: &PersonView, now: Timestamp) -> Markup {
    let class = match person.state.as_str() {
        "active" => "admitted",
        "invited" => "pending",
        "disabled" => "revoked",
        _ => "plain",
    };
    html! {
        span class=(format!("state {class}")) { (person.state) } " "
        @if let Some(at) = person.invited_until { span.quiet { "until " (until(at, now)) } }
    }
}

fn invitation_form(visitor: &Visitor, refused: Option<&(&Invited, Problem)>) -> Markup {
    let kept = refused.map(|(sent, _)| *sent);
    html! {
        section.narrow-form aria-labelledby="invite" {
            h2 #invite { "Let somebody in" }
            @if let Some((_, problem)) = refused { p.alert role="alert" id="why" { bdi { (problem.view().detail) } } }
            form action="/people" method="post" {
                input type="hidden" name="form_token" value=(visitor.form_token());
                label for="name" { "Name" }
                input #name type="text" name="name" required maxlength="64" value=(kept.map_or("", |it| &it.name))
                    autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="invite-note";
                (role_field("role", kept.map_or(Role::Viewer.as_str(), |it| &it.role)))
                (groups_field("groups", kept.map_or("", |it| &it.groups)))
                p.quiet id="invite-note" { "You get a one-time secret to give to them, good for three days." }
                button type="submit" { "Let them in" }
            }
        }
    }
}

fn role_field(id: &str, chosen: &str) -> Markup {
    html! {
        label for=(id) { "Role" }
        select id=(id) name="role" {
            @for role in Role::ALL.into_iter().filter(|role| !role.is_for_tokens()) {
                option value=(role) selected[role.as_str() == chosen] { (role) }
            }
        }
    }
}

fn groups_field(id: &str, value: &str) -> Markup {
    html! {
        label for=(id) { "Groups" }
        input id=(id) type="text" name="groups" value=(value) maxlength="2200" autocomplete="off" spellcheck="false"
            placeholder="security, leads";
    }
}

/// Somebody, as they are shown to an administrator.
struct One<'a> {
    person: &'a PersonView,
    visitor: &'a Visitor,
    now: Timestamp,
    done: Option<&'a str>,
    refused: Option<Problem>,
}

impl One<'_> {
    fn page(&self) -> Response {
        let status = self.refused.as_ref().map_or(StatusCode::OK, Problem::status);
        let page = Page::new(&self.person.name, Place::People, self.visitor, self.main());
        Page { status, ..page }.into_response()
    }

    fn is_local(&self) -> bool {
        self.person.id.starts_with("user:")
    }

    fn main(&self) -> Markup {
        let person = self.person;
        html! {
            div.head {
                h1 { bdi { (person.name) } }
                p { (state_of(person, self.now)) }
            }
            @if let Some(done) = self.done { p.done role="status" { (done) } }
            @if let Some(problem) = &self.refused { (unchanged(problem)) }
            section aria-labelledby="who" {
                h2 #who { "Who" }
                dl.facts {
                    div { dt { "On record as" } dd { code { bdi { (person.id) } } } }
                    div { dt { "Role" } dd { (person.role) } }
                    div { dt { "Groups" } dd { (groups(person)) } }
                    div { dt { "Made" } dd { (ago(person.created_at, self.now)) } }
                    div { dt { "Last here" } dd {
                        @match person.signed_in_at { Some(at) => (ago(at, self.now)), None => { span.quiet { "never" } } }
                    } }
                }
            }
            section aria-labelledby="act" {
                h2 #act { "Change" }
                @if !self.is_local() { p.quiet { "What they may do is for their provider to say." } }
                div.choices {
                    @if self.is_local() { (self.change()) }
                    @if self.is_local() {
                        (self.choice("reset", "Reset", "no", "Password and authenticator are forgotten, every session \
                            ends, and you get a one-time secret to give to them: for a lost telephone or a forgotten \
                            password."))
                    }
                    @if person.state == "disabled" {
                        (self.choice("enable", "Let in again", "yes", "They sign in as before."))
                    } @else {
                        (self.choice("disable", "Keep out", "no", "They are out at once, with every session and token of \
                            theirs, until somebody lets them in again. Their votes count no more."))
                    }
                    (self.choice("remove", "Remove", "no", "They are out for good. What they decided stays on record under \
                        this name, and whoever gets the name after them is somebody else."))
                }
            }
            p { a href="/people" { "Back to people" } }
        }
    }

    fn fields(&self, act: &str) -> Markup {
        html! {
            input type="hidden" name="form_token" value=(self.visitor.form_token());
            input type="hidden" name="id" value=(self.person.id);
            input type="hidden" name="act" value=(act);
        }
    }

    fn change(&self) -> Markup {
        html! {
            details.choice.yes data-act="change" {
                summary { "Role and groups…" }
                form action="/people/act" method="post" {
                    (self.fields("change"))
                    (role_field("new-role", &self.person.role))
                    (groups_field("new-groups", &self.person.groups.join(", ")))
                    p.quiet { "Groups are the names by which approval policies call people." }
                    button type="submit" { "Change" }
                }
            }
        }
    }

    fn choice(&self, act: &str, name: &str, class: &str, meaning: &str) -> Markup {
        html! {
            details class=(format!("choice {class}")) data-act=(act) {
                summary { (name) "…" }
                form action="/people/act" method="post" {
                    (self.fields(act))
                    p { (meaning) }
                    button type="submit" { (name) }
                }
            }
        }
    }
}
