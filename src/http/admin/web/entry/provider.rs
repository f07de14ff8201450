//! Signing in at the provider: leaving for it, and coming back.
//!
//! What was begun is kept here, and the browser has the id of it in a cookie of its own; that one comes
//! along when the provider's page leads back, which the session's cookie would not. It is good for one
//! answer. So nobody is signed in by a link that somebody else made.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::header::REFRESH;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;
use tracing::{info, warn};

use super::login::page as login_page;
use super::travellers::{Away, Travellers};
use super::{From, address_of, begin_session_id, with_cookie};
use crate::http::admin::AdminState;
use crate::http::admin::problem::Problem;
use crate::http::admin::web::cookie::Cookie;
use crate::http::admin::web::form::{Asked, local};
use crate::http::admin::web::page::{Page, Place};
use crate::http::admin::web::trouble::{Trouble, see_other};
use crate::ledger::{self, Caller, PersonId, Role, Vouched};
use crate::mirror::desk;
use crate::people::oidc::{Attempt, Error, Identity, Provider};

/// Longest name that is shown of somebody who has none, in characters.
const SUBJECT_SHOWN_MAX: usize = 64;
/// Says where a request comes from; scripts cannot set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The provider, who is there at the moment, and what its groups mean here.
#[derive(Debug)]
pub(super) struct Elsewhere {
    provider: Provider,
    roles: Vec<(String, Role)>,
    label: String,
    away: Travellers,
}

/// Where to go after signing in, and whether the provider has to ask who it is though it knows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http::admin::web) struct Leaving {
    next: Option<String>,
    again: Option<String>,
}

/// What the provider sends back; more may be among it.
#[derive(Deserialize)]
pub(in crate::http::admin::web) struct Answer {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

impl Elsewhere {
    pub(super) fn new(provider: Provider, roles: Vec<(String, Role)>, label: String) -> Self {
        Self { provider, roles, label, away: Travellers::default() }
    }

    /// What the provider is called.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Where to go to leave for it, and to see `next` afterwards.
    pub(super) fn path(next: &str) -> String {
        let query = serde_urlencoded::to_string([("next", next)]).unwrap_or_default();
        format!("/login/oidc?{query}")
    }

    /// As [`Self::path`], where the provider has to ask who it is though it knows.
    pub(super) fn path_again(next: &str) -> String {
        format!("{}&again=yes", Self::path(next))
    }

    /// What somebody in `groups` may do: by the first line of the table that names one of them.
    fn role(&self, groups: &[String]) -> Option<Role> {
        let line = self.roles.iter().find(|(group, _)| groups.contains(group));
        line.map(|(_, role)| *role)
    }
}

/// `GET /login/oidc`: to the provider.
pub(in crate::http::admin::web) async fn leave(
    State(state): State<AdminState>,
    from: From,
    headers: HeaderMap,
    Asked(leaving): Asked<Leaving>,
) -> Result<Response, Trouble> {
    let elsewhere = elsewhere(&state)?;
    let next = leaving.next.as_deref().and_then(local).unwrap_or("/");
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        // Another site's link begins nothing: whoever follows it decides for themselves, on our page.
        return Ok(see_other("/login"));
    }
    let begun = match leaving.again {
        Some(_) => Attempt::again(state.desk.mirror().now()),
        None => Attempt::begin(),
    };
    let begun = begun.map_err(Error::from);
    let attempt = begun.map_err(|error| trouble(&error))?;
    let target = match elsewhere.provider.authorization(&attempt).await {
        Ok(target) => target,
        Err(error) => return Ok(away(&state, next, &error)),
    };
    let now = state.desk.mirror().clock().monotonic();
    let id = elsewhere.away.keep(attempt, next, address_of(from), now);
    let id = id.map_err(|error| Problem::internal(error.to_string()))?;
    Ok(with_cookie(see_other(&target), Cookie::Provider.set(&id, state.is_tls)))
}

/// `GET /login/oidc/callback`: back from the provider; the session begins.
pub(in crate::http::admin::web) async fn callback(
    State(state): State<AdminState>,
    from: From,
    headers: HeaderMap,
    Asked(answer): Asked<Answer>,
) -> Result<Response, Trouble> {
    let elsewhere = elsewhere(&state)?;
    let now = state.desk.mirror().clock().monotonic();
    let id = Cookie::Provider.id(&headers, state.is_tls);
    let begun = id.and_then(|id| elsewhere.away.take(id, now));
    let Answer { code, state: echo, iss, error } = answer;
    let is_ours = |one: &Away| echo.as_deref().is_some_and(|echo| one.attempt.is_answered_by(echo));
    let begun = begun.filter(is_ours).ok_or_else(|| trouble(&Error::Foreign))?;
    if let Some(error) = error {
        return Err(trouble(&Error::refused(&error)));
    }
    let code = code.unwrap_or_default();
    let identity = elsewhere.provider.identity(&begun.attempt, &code, iss.as_deref()).await;
    let identity = identity.map_err(|error| trouble(&error))?;
    let caller = let_in(&state, elsewhere, identity).await?;
    let session = begin_session_id(&state, &caller, address_of(from), &headers)?;
    if begun.attempt.since().is_some() {
        state.sessions.proved(session.expose(), state.desk.mirror().clock().monotonic());
    }
    let cookie = Cookie::Session.set(&session, state.is_tls);
    Ok(with_cookie(with_cookie(arrived(&begun.next), cookie), Cookie::Provider.clear(state.is_tls)))
}

fn elsewhere(state: &AdminState) -> Result<&Elsewhere, Trouble> {
    let elsewhere = state.entrance.elsewhere.as_ref();
    elsewhere.ok_or_else(|| Problem::not_found("there is no provider to sign in at").into())
}

/// Lets the provider's word count as far as the table of roles goes.
async fn let_in(
    state: &AdminState,
    elsewhere: &Elsewhere,
    identity: Identity,
) -> Result<Caller, Trouble> {
    let ledger = state.desk.mirror().ledger();
    let failed = |error: ledger::Error| Trouble::from(Problem::from(desk::Error::from(error)));
    let Identity { issuer, subject, name, groups } = identity;
    let shown: String = subject.chars().take(SUBJECT_SHOWN_MAX).collect();
    let display = name.unwrap_or(shown);
    let Some(role) = elsewhere.role(&groups) else {
        let id = PersonId::Oidc { issuer, subject };
        info!(who = %id, "signed in at the provider, and no group of theirs has a role here");
        ledger.not_vouched(&id).await.map_err(failed)?;
        let text = format!(
            "You are {display} there, and none of your groups has a role here. Ask an administrator."
        );
        return Err(Problem::forbidden("You may do nothing here", &text).into());
    };
    let groups: BTreeSet<String> = groups.into_iter().collect();
    match ledger.vouch(Vouched { issuer, subject, display, role, groups }).await {
        Ok(caller) => Ok(caller),
        Err(ledger::Error::NotLetIn) => {
            let text = "An administrator of this server keeps you out.";
            Err(Problem::forbidden("You may not sign in here", text).into())
        }
        Err(error) => Err(failed(error)),
    }
}

/// Goes on to `next` by itself: a redirect would still count as the provider's page leading here, and the
/// session's cookie would stay behind.
fn arrived(next: &str) -> Response {
    let main = html! {
        section.narrow {
            h1 { "You are signed in" }
            p { a href=(next) { "Go on" } }
        }
    };
    let (status, title, place) = (StatusCode::OK, "Signed in", Place::Elsewhere);
    let page = Page::to_anybody((status, title, place), main);
    let mut response = page.into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("0; url={next}")) {
        response.headers_mut().insert(REFRESH, value);
    }
    response
}

/// The sign-in page, which has the other ways: the provider cannot be asked.
fn away(state: &AdminState, next: &str, error: &Error) -> Response {
    log(error);
    let told = html! {
        p.alert role="alert" id="why" {
            "The provider cannot be asked at the moment. Sign in with a password or a token, or try again \
             shortly."
        }
    };
    login_page(state, StatusCode::SERVICE_UNAVAILABLE, next, Some(&told), true)
}

/// What went wrong, as whoever signs in is told; causes go to the log.
fn trouble(error: &Error) -> Trouble {
    log(error);
    match error {
        Error::Unreachable(_) | Error::Resting | Error::Status { .. } | Error::Secret(_) => {
            Problem::busy(error.to_string()).into()
        }
        Error::Random(_) => Problem::internal(error.to_string()).into(),
        Error::Foreign
        | Error::Malformed { .. }
        | Error::Metadata(_)
        | Error::OtherIssuer
        | Error::Refused { .. }
        | Error::Token(_) => {
            let text = format!("Nobody was signed in: {error}. Begin again at the sign-in page.");
            Problem::forbidden("This sign-in does not count", &text).into()
        }
    }
}

fn log(error: &Error) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    warn!(%error, cause, "sign-in at the provider failed");
}
