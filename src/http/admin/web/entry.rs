//! Signing in with a token, and out again.

use std::net::{IpAddr, Ipv4Addr};

use axum::Extension;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use tracing::info;

use super::cookie;
use super::form::{Asked, Form, local};
use super::page::{Page, Place};
use super::session::Visitor;
use super::trouble::{Trouble, see_other};
use crate::http::admin::AdminState;
use crate::http::admin::problem::Problem;
use crate::http::listen::AdminAddress;
use crate::ledger::Permission;

/// Longest token that is looked at, in bytes: ours are much shorter.
const TOKEN_LENGTH_MAX: usize = 512;

/// Where to go after signing in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Next {
    next: Option<String>,
}

/// Who signs in; it has no `Debug`, so that no token is in a log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    token: String,
    next: Option<String>,
}

/// Who signs out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignOut {
    form_token: String,
}

/// `GET /login`
pub(super) async fn show(Asked(Next { next }): Asked<Next>) -> Response {
    let next = next.as_deref().and_then(local).unwrap_or("/");
    let note = (next != "/").then_some("Sign in to see this page.");
    let note = note.map(|note| html! { p { (note) } });
    page(StatusCode::OK, next, note.as_ref())
}

/// `POST /login`: a token becomes a session. A valid one passes however often others failed from the same
/// address, as in the API.
pub(super) async fn sign_in(
    State(state): State<AdminState>,
    address: Option<Extension<AdminAddress>>,
    headers: HeaderMap,
    Form(SignIn { token, next }): Form<SignIn>,
) -> Result<Response, Trouble> {
    let address = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(address)| address.0);
    let next = next.as_deref().and_then(local).unwrap_or("/");
    let (ledger, now) = (state.desk.mirror().ledger(), state.desk.mirror().clock().monotonic());
    let text = Some(token.trim()).filter(|text| text.len() <= TOKEN_LENGTH_MAX);
    let Some(token) = text.and_then(|text| ledger.authenticate(text)) else {
        if let Some(wait) = state.throttle.failed(address, now) {
            return Err(Problem::throttled(wait.as_secs().max(1)).into());
        }
        info!(%address, "sign-in without a valid token");
        return Ok(refused(next, "That is no valid token."));
    };
    let caller = token.caller();
    if !caller.may(Permission::Look) {
        let text = "This token may list tags, and see no page; it takes one with another role.";
        return Ok(refused(next, text));
    }
    if let Some(id) = cookie::id(&headers, state.is_tls) {
        state.sessions.end(id);
    }
    let begun = state.sessions.begin(&caller, now);
    let id = begun.map_err(|error| Problem::internal(error.to_string()))?;
    info!(by = %caller.id, role = %caller.role, %address, "signed in");
    Ok(with_cookie(see_other(next), cookie::set(&id, state.is_tls)))
}

/// `POST /logout`
pub(super) async fn sign_out(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(SignOut { form_token }): Form<SignOut>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&form_token) {
        return Err(Trouble::foreign_form());
    }
    if let Some(id) = cookie::id(&headers, state.is_tls) {
        state.sessions.end(id);
    }
    info!(by = %visitor.caller.id, "signed out");
    Ok(with_cookie(see_other("/login"), cookie::clear(state.is_tls)))
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// 403 and not 401: browsers would ask for a password of their own.
fn refused(next: &str, why: &str) -> Response {
    let told = html! { p.alert role="alert" id="why" { (why) } };
    page(StatusCode::FORBIDDEN, next, Some(&told))
}

fn page(status: StatusCode, next: &str, told: Option<&Markup>) -> Response {
    let is_refused = status != StatusCode::OK;
    let main = html! {
        section.narrow {
            h1 { "Sign in" }
            @if let Some(told) = told { (told) }
            form.card action="/login" method="post" {
                input type="hidden" name="next" value=(next);
                label for="token" { "Token" }
                input #token type="password" name="token" required autofocus maxlength="512"
                    autocomplete="off" spellcheck="false" aria-invalid=[is_refused.then_some("true")]
                    aria-describedby=[is_refused.then_some("why")];
                button type="submit" { "Sign in" }
            }
            p.quiet {
                "It is a token of the admin API. The first one is in " code { "admin.token" }
                " in the data directory; " code { "pratique token new NAME --role admin" }
                " makes another for each person. It is not kept: this page gets a session for it, which \
                 ends when the token does, after 30 minutes of rest, or after 12 hours."
            }
        }
    };
    let (title, place) = ("Sign in", Place::Elsewhere);
    Page { status, title, place, visitor: None, search: "", main }.into_response()
}
