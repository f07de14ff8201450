//! The sign-in page, and its two forms: by name and password, and by token.

use std::net::IpAddr;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use tracing::{info, warn};

use super::pending::Step;
use super::provider::Elsewhere;
use super::{From, address_of, begin_session, failed, origin, sent_on, wait};
use crate::http::admin::AdminState;
use crate::http::admin::guesses::Factor;
use crate::http::admin::problem::Problem;
use crate::http::admin::web::cookie::Cookie;
use crate::http::admin::web::form::{Asked, Form, local};
use crate::http::admin::web::page::{Page, Place};
use crate::http::admin::web::session::Visitor;
use crate::http::admin::web::trouble::Trouble;
use crate::ledger::{Permission, PersonId};
use crate::oci::Secret;
use crate::people::{HashError, PASSWORD_BYTES_MAX, TotpKey};

/// Longest token that is looked at, in bytes: ours are much shorter.
pub(super) const TOKEN_LENGTH_MAX: usize = 512;
/// Longest name that is looked at, in bytes: no longer one can be given.
const NAME_LENGTH_MAX: usize = 64;
/// What is said of a wrong name and of a wrong password.
const WRONG: &str = "The name or the password is not right.";

/// Where to go after signing in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http::admin::web) struct Next {
    next: Option<String>,
}

impl Next {
    /// That, if it is a page of ours; else the first one.
    pub(super) fn path(&self) -> &str {
        self.next.as_deref().and_then(local).unwrap_or("/")
    }
}

/// Who signs in; it has no `Debug`, so that no secret is in a log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http::admin::web) struct SignIn {
    token: Option<String>,
    name: Option<String>,
    password: Option<String>,
    next: Option<String>,
}

/// Who signs out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http::admin::web) struct SignOut {
    form_token: String,
}

/// `GET /login`
pub(in crate::http::admin::web) async fn show(
    State(state): State<AdminState>,
    Asked(next): Asked<Next>,
) -> Response {
    let next = next.path();
    let note = (next != "/").then(|| html! { p { "Sign in to see this page." } });
    page(&state, StatusCode::OK, next, note.as_ref(), false)
}

/// `POST /login`: a token becomes a session, a password half of one.
pub(in crate::http::admin::web) async fn sign_in(
    State(state): State<AdminState>,
    from: From,
    headers: HeaderMap,
    Form(SignIn { token, name, password, next }): Form<SignIn>,
) -> Result<Response, Trouble> {
    let address = address_of(from);
    let next = next.as_deref().and_then(local).unwrap_or("/");
    match (token, name, password) {
        (Some(token), None, None) => by_token(&state, address, &headers, &token, next),
        (None, Some(name), Some(password)) => {
            by_password(&state, address, &headers, (&name, password), next).await
        }
        _ => Err(Problem::invalid("the form is not as expected").into()),
    }
}

/// A valid token passes however often others failed from the same address, as in the API.
fn by_token(
    state: &AdminState,
    address: IpAddr,
    headers: &HeaderMap,
    token: &str,
    next: &str,
) -> Result<Response, Trouble> {
    let (ledger, now) = (state.desk.mirror().ledger(), state.desk.mirror().clock().monotonic());
    let text = Some(token.trim()).filter(|text| text.len() <= TOKEN_LENGTH_MAX);
    let Some(token) = text.and_then(|text| ledger.authenticate(text)) else {
        if let Some(wait) = state.throttle.failed(address, now) {
            return Err(throttled(wait));
        }
        info!(%address, "sign-in without a valid token");
        return Ok(refused(state, next, "That is no valid token.", true));
    };
    if token.owner.is_some() {
        let text = "This token is a person's, for commands; sign in with your password.";
        return Ok(refused(state, next, text, true));
    }
    let Some(caller) = ledger.holder_of(&token).filter(|it| it.may(Permission::Look)) else {
        let text = "This token may list tags, and see no page; it takes one with another role.";
        return Ok(refused(state, next, text, true));
    };
    if !caller.scope.is_everything() {
        let text = "This token is for some repositories only; pages show all of them.";
        return Ok(refused(state, next, text, true));
    }
    Ok(sent_on(next, begin_session(state, &caller, address, headers)?))
}

async fn by_password(
    state: &AdminState,
    address: IpAddr,
    headers: &HeaderMap,
    (name, password): (&str, String),
    next: &str,
) -> Result<Response, Trouble> {
    let name: String = name.trim().to_ascii_lowercase();
    let name = name.get(..NAME_LENGTH_MAX).unwrap_or(&name);
    let (mirror, entrance) = (state.desk.mirror(), &state.entrance);
    let now = mirror.clock().monotonic();
    let origin = origin(state, address, headers);
    let password = Some(password).filter(|it| it.len() <= PASSWORD_BYTES_MAX).unwrap_or_default();
    let known = mirror.ledger().knowledge(name, &password);
    // Whoever has a one-time secret did not guess it, and is not held up by those who guess.
    let is_invited = known.as_ref().is_some_and(|known| known.is_invited);
    let held_up = || wait(state, Factor::Password, name, origin).filter(|_| !is_invited);
    // Before a password is compared: else a guess would be worth as much as one that may be made.
    if let Some(wait) = held_up() {
        return Err(throttled(wait));
    }
    let hash = known.as_ref().and_then(|known| known.password.clone());
    let matches = entrance.hasher.verify(Secret::new(password), hash).await;
    let matches = matches.map_err(not_compared)?;
    // Nor does one count, right or wrong, that others overtook on the way: many at once are no more than few.
    if let Some(wait) = held_up() {
        return Err(throttled(wait));
    }
    let Some(known) = known.as_ref().filter(|known| matches || known.is_invited) else {
        let there = PersonId::Local { name: name.to_owned() };
        let there = mirror.ledger().person(&there).map(|(person, _)| person.id);
        failed(state, origin, name, Factor::Password, there.as_ref());
        return Ok(refused(state, next, WRONG, false));
    };
    let (step, path) = if matches {
        (Step::Code, "/login/code")
    } else {
        let key = TotpKey::generate().map_err(|error| Problem::internal(error.to_string()))?;
        (Step::Enrolment(key), "/login/enrol")
    };
    if let Some(id) = Cookie::Session.id(headers, state.is_tls) {
        state.sessions.end(id);
        entrance.pending.end(id);
    }
    let who = (known.id.clone(), known.since);
    let id = entrance.pending.begin(who, name, step, next, now);
    let id = id.map_err(|error| Problem::internal(error.to_string()))?;
    Ok(sent_on(path, Cookie::Session.set(&id, state.is_tls)))
}

/// `POST /logout`
pub(in crate::http::admin::web) async fn sign_out(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(SignOut { form_token }): Form<SignOut>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&form_token) {
        return Err(Trouble::foreign_form());
    }
    if let Some(id) = Cookie::Session.id(&headers, state.is_tls) {
        state.sessions.end(id);
    }
    info!(by = %visitor.caller.id, "signed out");
    Ok(sent_on("/login", Cookie::Session.clear(state.is_tls)))
}

pub(super) fn throttled(wait: Duration) -> Trouble {
    Problem::throttled(wait.as_secs().max(1)).into()
}

/// When there was no answer whether a password fits.
pub(super) fn not_compared(error: HashError) -> Trouble {
    match error {
        HashError::Busy => Problem::busy(error.to_string()).into(),
        HashError::Failed | HashError::Random(_) => {
            warn!(%error, "a password could not be compared");
            Problem::internal(error.to_string()).into()
        }
    }
}

/// 403 and not 401: browsers would ask for a password of their own.
fn refused(state: &AdminState, next: &str, why: &str, by_token: bool) -> Response {
    let told = html! { p.alert role="alert" id="why" { (why) } };
    page(state, StatusCode::FORBIDDEN, next, Some(&told), by_token)
}

/// The sign-in page with `told` on it.
pub(super) fn page(
    state: &AdminState,
    status: StatusCode,
    next: &str,
    told: Option<&Markup>,
    by_token: bool,
) -> Response {
    let has_people = state.desk.mirror().ledger().has_local_people();
    let elsewhere = state.entrance.elsewhere.as_ref();
    let is_refused = status != StatusCode::OK;
    let token_alone = !has_people && elsewhere.is_none();
    let main = html! {
        section.narrow {
            h1 { "Sign in" }
            @if let Some(told) = told { (told) }
            @if let Some(elsewhere) = elsewhere {
                p.card { a.button href=(Elsewhere::path(next)) { "Sign in with " (elsewhere.label()) } }
            }
            @if has_people { (by_name_form(next, is_refused && !by_token)) }
            @if token_alone {
                (token_form(next, is_refused))
            } @else {
                details open[by_token] {
                    summary { "Sign in with a token" }
                    (token_form(next, is_refused && by_token))
                }
            }
        }
    };
    let (title, place) = ("Sign in", Place::Elsewhere);
    Page::to_anybody((status, title, place), main).into_response()
}

fn by_name_form(next: &str, is_refused: bool) -> Markup {
    html! {
        form.card action="/login" method="post" {
            input type="hidden" name="next" value=(next);
            label for="name" { "Name" }
            input #name type="text" name="name" required autofocus maxlength=(NAME_LENGTH_MAX)
                autocomplete="username" autocapitalize="none" spellcheck="false"
                aria-invalid=[is_refused.then_some("true")]
                aria-describedby=[is_refused.then_some("why")];
            label for="password" { "Password, or one-time secret" }
            input #password type="password" name="password" required maxlength=(PASSWORD_BYTES_MAX)
                autocomplete="current-password" aria-invalid=[is_refused.then_some("true")]
                aria-describedby=[is_refused.then_some("why")];
            button type="submit" { "Go on" }
        }
    }
}

fn token_form(next: &str, is_refused: bool) -> Markup {
    html! {
        form.card action="/login" method="post" {
            input type="hidden" name="next" value=(next);
            label for="token" { "Token" }
            input #token type="password" name="token" required maxlength=(TOKEN_LENGTH_MAX)
                autocomplete="off" spellcheck="false" aria-invalid=[is_refused.then_some("true")]
                aria-describedby=[is_refused.then_some("why")];
            button type="submit" { "Sign in" }
        }
        p.quiet {
            "It is a token of the admin API. The first one is in " code { "admin.token" }
            " in the data directory; " code { "pratique token new NAME --role approver" }
            " makes another, and " code { "pratique user add NAME --role approver" }
            " somebody who signs in with a password. A token is not kept: this page gets a session for \
             it, which ends when the token does, after 30 minutes of rest, or after 12 hours."
        }
    }
}
