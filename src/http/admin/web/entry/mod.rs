//! Signing in, and out again.
//!
//! Promises: nobody has a session before everything that their way in asks for was shown: a token, or a
//! password and a code, or a provider's word; whoever was told a one-time secret chooses a password and
//! sets up an authenticator first. What is wrong is told alike, whether there is such a person or not.
//! Every try is counted, and a failure costs no more than a count.
//!
//! Between two steps the browser holds the id of a [`pending`] sign-in, which opens no page.

mod again;
mod change;
mod code;
mod enrol;
mod failures;
mod login;
mod pending;
mod provider;
mod travellers;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use tracing::info;

pub(super) use again::{NO_CODE, field as proof_field, prove};
pub(super) use change::{NewPassword, change_password, end_pending};
pub(super) use code::{check_code, show_code};
pub(super) use enrol::{enrol, picture, show_enrolment};
pub(super) use login::{show, sign_in, sign_out};
pub(super) use provider::{callback, leave};

use super::cookie::Cookie;
use super::trouble::{Trouble, see_other};
use crate::http::OidcSettings;
use crate::http::admin::AdminState;
use crate::http::admin::guesses::{Factor, Guesses, Origin};
use crate::http::admin::problem::Problem;
use crate::http::listen::AdminAddress;
use crate::ledger::{Caller, PersonId};
use crate::oci::Secret;
use crate::people::Hasher;
use crate::people::oidc::{self, Provider};
use crate::tasks::Tasks;
use crate::time::Clock;
use failures::Failures;
use pending::Waiting;

/// What signing in needs beside the ledger.
#[derive(Debug)]
pub(in crate::http::admin) struct Entrance {
    hasher: Hasher,
    guesses: Guesses,
    failures: Arc<Failures>,
    pending: pending::Pendings,
    elsewhere: Option<provider::Elsewhere>,
}

impl Entrance {
    /// An entrance with the provider of `settings`, if there is one.
    ///
    /// # Errors
    /// When that provider cannot be used.
    pub(in crate::http::admin) fn new(
        settings: Option<OidcSettings>,
        tasks: &Tasks,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, oidc::Error> {
        let elsewhere = settings
            .map(|settings| {
                let OidcSettings { provider, roles, label } = settings;
                let provider = Provider::new(provider, tasks.clone(), Arc::clone(clock))?;
                Ok::<_, oidc::Error>(provider::Elsewhere::new(provider, roles, label))
            })
            .transpose()?;
        Ok(Self {
            hasher: Hasher::new(tasks.clone()),
            guesses: Guesses::default(),
            failures: Arc::default(),
            pending: pending::Pendings::default(),
            elsewhere,
        })
    }
}

/// Where a request comes from.
pub(super) type From = Option<Extension<AdminAddress>>;

fn address_of(from: From) -> IpAddr {
    from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(address)| address.0)
}

/// Counts a failure of `who`, or of nobody that there is, at `factor`.
fn failed(
    state: &AdminState,
    origin: Origin<'_>,
    name: &str,
    factor: Factor,
    who: Option<&PersonId>,
) {
    let mirror = state.desk.mirror();
    let now = mirror.clock().monotonic();
    let address = origin.address;
    state.throttle.failed(address, now);
    state.entrance.guesses.wrong(factor, name, origin, now);
    Failures::count(&state.entrance.failures, mirror, who, factor, address);
    // A name that nobody has may be a password in the wrong field.
    let who = who.map(ToString::to_string);
    info!(%address, who, factor = factor.as_str(), "sign-in failed");
}

/// Where a request comes from, as guesses are counted.
fn origin<'a>(state: &AdminState, address: IpAddr, headers: &'a HeaderMap) -> Origin<'a> {
    Origin { address, device: Cookie::Device.id(headers, state.is_tls) }
}

/// How long a guess at the `factor` of `name` has to wait, if it has to. Who has signed in with this browser
/// is not held up by what others do from the same address.
fn wait(state: &AdminState, factor: Factor, name: &str, origin: Origin<'_>) -> Option<Duration> {
    let (guesses, now) = (&state.entrance.guesses, state.desk.mirror().clock().monotonic());
    let wait = guesses.wait(factor, name, origin, now);
    if guesses.knows(name, origin) {
        return wait;
    }
    wait.or_else(|| state.throttle.wait(origin.address, now))
}

/// Lets in `caller`, who signed in as `name`, and sends them to `next`.
fn admitted(
    state: &AdminState,
    caller: &Caller,
    (name, next): (&str, &str),
    origin: Origin<'_>,
    headers: &HeaderMap,
) -> Result<Response, Trouble> {
    let device = state.entrance.guesses.right(name, origin);
    let device = device.map_err(|error| Problem::internal(error.to_string()))?;
    let device = device.and_then(|id| Cookie::Device.set(&id, state.is_tls));
    let session = begin_session(state, caller, origin.address, headers)?;
    Ok(with_cookie(sent_on(next, session), device))
}

/// Begins the session of `caller`; gives its cookie.
fn begin_session(
    state: &AdminState,
    caller: &Caller,
    address: IpAddr,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, Trouble> {
    let id = begin_session_id(state, caller, address, headers)?;
    Ok(Cookie::Session.set(&id, state.is_tls))
}

/// As [`begin_session`]; gives its id.
fn begin_session_id(
    state: &AdminState,
    caller: &Caller,
    address: IpAddr,
    headers: &HeaderMap,
) -> Result<Secret, Trouble> {
    if let Some(id) = Cookie::Session.id(headers, state.is_tls) {
        state.sessions.end(id);
        state.entrance.pending.end(id);
    }
    let begun = state.sessions.begin(caller, state.desk.mirror().clock().monotonic());
    let id = begun.map_err(|error| Problem::internal(error.to_string()))?;
    info!(by = %caller.id, role = %caller.role, %address, "signed in");
    Ok(id)
}

/// The sign-in that the browser is in the middle of.
fn waiting(state: &AdminState, headers: &HeaderMap) -> Result<(String, Waiting), Trouble> {
    let id = Cookie::Session.id(headers, state.is_tls);
    let now = state.desk.mirror().clock().monotonic();
    let found = id.and_then(|id| Some((id.to_owned(), state.entrance.pending.get(id, now)?)));
    found.ok_or_else(|| {
        let text = "It took too long, or there were too many wrong codes. Begin again at the sign-in page.";
        Problem::forbidden("This sign-in is over", text).into()
    })
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn sent_on(next: &str, cookie: Option<HeaderValue>) -> Response {
    with_cookie(see_other(next), cookie)
}

/// To the sign-in page, without a session.
pub(super) fn sent_out(state: &AdminState) -> Response {
    sent_on("/login", Cookie::Session.clear(state.is_tls))
}
