//! My account: who I am here, where I am signed in, and my password.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use tracing::info;

use super::cookie::Cookie;
use super::entry::{self, From};
use super::form::{Asked, Form};
use super::page::{Page, Place};
use super::session::{OwnSession, Visitor};
use super::trouble::{Trouble, see_other};
use super::words::ago;
use crate::http::admin::AdminState;
use crate::ledger::PersonId;
use crate::mirror::desk::view::TokenView;
use crate::people::{PASSWORD_BYTES_MAX, PASSWORD_LENGTH_MIN};
use crate::text::span;
use crate::time::Timestamp;

/// What was just done, to be told once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    done: Option<String>,
}

/// A new password; no `Debug`, so that it is in no log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordForm {
    form_token: String,
    old: String,
    password: String,
    again: String,
}

/// Whoever ends all that they are signed in with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutForm {
    form_token: String,
}

/// `GET /account`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Asked(Done { done }): Asked<Done>,
) -> Response {
    let done = match done.as_deref() {
        Some("password") => {
            Some("Your password is another now. Everywhere else you are signed out.")
        }
        _ => None,
    };
    page(&state, &visitor, &headers, (StatusCode::OK, done, None))
}

/// `POST /account/password`
pub(super) async fn change(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    from: From,
    headers: HeaderMap,
    Form(form): Form<PasswordForm>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&form.form_token) {
        return Err(Trouble::foreign_form());
    }
    let PasswordForm { old, password, again, .. } = form;
    let wished = entry::NewPassword { old, password, again };
    if let Err(why) =
        entry::change_password(&state, &visitor.caller, (from, &headers), wished).await?
    {
        let told = (why.status(), None, Some(why.text()));
        return Ok(page(&state, &visitor, &headers, told));
    }
    state.sessions.end_all(&visitor.caller.id, Cookie::Session.id(&headers, state.is_tls));
    info!(by = %visitor.caller.id, "password changed");
    Ok(see_other("/account?done=password"))
}

/// `POST /account/out`: out, everywhere.
pub(super) async fn out(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Form(OutForm { form_token }): Form<OutForm>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&form_token) {
        return Err(Trouble::foreign_form());
    }
    state.sessions.end_all(&visitor.caller.id, None);
    entry::end_pending(&state, &visitor.caller.id);
    info!(by = %visitor.caller.id, "signed out everywhere");
    Ok(entry::sent_out(&state))
}

fn page(
    state: &AdminState,
    visitor: &Visitor,
    headers: &HeaderMap,
    (status, done, wrong): (StatusCode, Option<&str>, Option<String>),
) -> Response {
    let mirror = state.desk.mirror();
    let own = Cookie::Session.id(headers, state.is_tls);
    let sessions = state.sessions.of(&visitor.caller.id, own, mirror.clock().monotonic());
    let id = visitor.caller.name();
    let tokens: Vec<TokenView> =
        state.desk.tokens().into_iter().filter(|it| it.of.as_ref() == Some(&id)).collect();
    let main = html! {
        div.head { h1 { "My account" } }
        @if let Some(done) = done { p.done role="status" { (done) } }
        (facts(visitor))
        (signed_in(visitor, &sessions))
        @if !tokens.is_empty() { (own_tokens(&tokens, mirror.clock().now())) }
        @if matches!(visitor.caller.id, PersonId::Local { .. }) {
            (password(visitor, wrong.as_deref()))
        }
    };
    let page = Page::new("My account", Place::Elsewhere, visitor, main);
    Page { status, ..page }.into_response()
}

fn facts(visitor: &Visitor) -> Markup {
    let caller = &visitor.caller;
    let groups: Vec<&str> = caller.groups.iter().map(String::as_str).collect();
    html! {
        section aria-labelledby="who" {
            h2 #who { "Who I am here" }
            dl.facts {
                div { dt { "Name" } dd { bdi { (caller.display) } } }
                div { dt { "On record as" } dd { code { bdi { (caller.id) } } } }
                div { dt { "Role" } dd { (caller.role) } }
                div { dt { "Groups" } dd {
                    @if groups.is_empty() { span.quiet { "none" } } @else { bdi { (groups.join(", ")) } }
                } }
                div { dt { "Signs in" } dd {
                    @match &caller.id {
                        PersonId::Local { .. } => "with a password and an authenticator",
                        PersonId::Oidc { issuer, .. } => { "at " bdi { (issuer) } }
                        PersonId::Signer { .. } => "not at all: with a key that signs files",
                        PersonId::Token { .. } => "with a token, which has no password",
                    }
                } }
            }
        }
    }
}

fn signed_in(visitor: &Visitor, sessions: &[OwnSession]) -> Markup {
    html! {
        section aria-labelledby="sessions" {
            h2 #sessions { "Where I am signed in" }
            table {
                caption.unseen { "Sessions, the one used last first" }
                thead { tr { th scope="col" { "Session" } th scope="col" { "Began" } th scope="col" { "Last used" } } }
                tbody {
                    @for session in sessions {
                        tr {
                            th scope="row" { @if session.is_this { "this browser" } @else { "another browser" } }
                            td data-label="Began" { (span(session.age)) " ago" }
                            td data-label="Last used" { (span(session.rest)) " ago" }
                        }
                    }
                }
            }
            form action="/account/out" method="post" {
                input type="hidden" name="form_token" value=(visitor.form_token());
                button.no type="submit" { "Sign out everywhere" }
            }
            p.quiet { "Tokens are not ended by it." }
        }
    }
}

fn own_tokens(tokens: &[TokenView], now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="tokens" {
            h2 #tokens { "My tokens" }
            table {
                caption.unseen { "Tokens for commands, by name" }
                thead { tr { th scope="col" { "Token" } th scope="col" { "Role" } th scope="col" { "Made" } th scope="col" { "Ends" } } }
                tbody {
                    @for token in tokens {
                        tr {
                            th scope="row" { bdi { (token.name) } }
                            td data-label="Role" { (token.role) }
                            td data-label="Made" { (ago(token.created_at, now)) }
                            td data-label="Ends" {
                                @match token.expires_at {
                                    Some(at) if token.expired => { "ended " (ago(at, now)) }
                                    Some(at) => { (super::words::until(at, now)) }
                                    None => { span.quiet { "when it is ended" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn password(visitor: &Visitor, wrong: Option<&str>) -> Markup {
    html! {
        section.narrow-form aria-labelledby="password-title" {
            h2 #password-title { "Another password" }
            @if let Some(wrong) = wrong { p.alert role="alert" id="why" { (wrong) } }
            form action="/account/password" method="post" {
                input type="hidden" name="form_token" value=(visitor.form_token());
                input type="text" name="username" value=(visitor.caller.display) autocomplete="username" hidden disabled;
                label for="old" { "The password of now" }
                input #old type="password" name="old" required maxlength=(PASSWORD_BYTES_MAX)
                    autocomplete="current-password" aria-describedby=[wrong.map(|_| "why")];
                label for="password" { "The new one" }
                input #password type="password" name="password" required minlength=(PASSWORD_LENGTH_MIN)
                    maxlength=(PASSWORD_BYTES_MAX) autocomplete="new-password" aria-describedby="rule";
                p.quiet id="rule" { "At least " (PASSWORD_LENGTH_MIN) " characters of any kind." }
                label for="again" { "The new one again" }
                input #again type="password" name="again" required maxlength=(PASSWORD_BYTES_MAX)
                    autocomplete="new-password";
                button type="submit" { "Change the password" }
            }
            p.quiet { "Everywhere else you are signed out by it. The authenticator stays as it is." }
        }
    }
}
