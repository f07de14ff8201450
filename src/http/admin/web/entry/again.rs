//! Proving once more, in the middle of a session, who one is: whoever has somebody's session and nothing else
//! cannot. Guesses are counted as at the sign-in, and with them.

use axum::http::HeaderMap;
use maud::{Markup, html};
use tracing::info;

use super::code::CODE_LENGTH_MAX;
use super::login::{TOKEN_LENGTH_MAX, throttled};
use super::provider::Elsewhere;
use super::{From, address_of, failed, origin, wait};
use crate::http::admin::AdminState;
use crate::http::admin::guesses::Factor;
use crate::http::admin::web::session::Visitor;
use crate::http::admin::web::trouble::Trouble;
use crate::ledger::{EmergencyProof, PersonId};

/// What is said of a code that does not count.
pub(in crate::http::admin::web) const NO_CODE: &str =
    "That is no code of now, or it was used already. Wait for the next one.";

/// What of a form asks `visitor` to prove once more who they are; `id` tells its fields from others. Whoever
/// has to leave for their provider comes back to `next`.
pub(in crate::http::admin::web) fn field(visitor: &Visitor, id: &str, next: &str) -> Markup {
    match &visitor.caller.id {
        PersonId::Local { .. } => html! {
            label for=(id) { "Code of your authenticator" }
            input id=(id) type="text" name="proof" inputmode="numeric" maxlength=(CODE_LENGTH_MAX)
                autocomplete="one-time-code" spellcheck="false";
        },
        PersonId::Token { .. } => html! {
            label for=(id) { "Your token, once more" }
            input id=(id) type="password" name="proof" maxlength=(TOKEN_LENGTH_MAX) autocomplete="off"
                spellcheck="false";
        },
        // Nobody comes in with a key that signs files.
        PersonId::Signer { .. } => html! {},
        PersonId::Oidc { .. } if visitor.has_proved => html! {
            p.quiet { "You signed in once more just now." }
        },
        PersonId::Oidc { .. } => html! {
            p { "Before that, " a href=(Elsewhere::path_again(next)) { "sign in once more" } "." }
        },
    }
}

/// Whether `visitor` is who they say, by what they `presented` in that field; else what to tell them.
///
/// # Errors
/// When too many were wrong; then nothing is compared.
pub(in crate::http::admin::web) fn prove(
    state: &AdminState,
    visitor: &Visitor,
    (from, headers): (From, &HeaderMap),
    presented: &str,
) -> Result<Result<EmergencyProof, &'static str>, Trouble> {
    let (mirror, caller) = (state.desk.mirror(), &visitor.caller);
    let address = address_of(from);
    Ok(match &caller.id {
        PersonId::Local { name } => {
            let origin = origin(state, address, headers);
            if let Some(wait) = wait(state, Factor::Code, name, origin) {
                return Err(throttled(wait));
            }
            let code = Some(presented).filter(|code| code.len() <= CODE_LENGTH_MAX);
            let step = code.and_then(|code| mirror.ledger().code_of(&caller.id, code));
            if step.is_none() {
                failed(state, origin, name, Factor::Code, Some(&caller.id));
            }
            step.map(EmergencyProof::Code).ok_or(NO_CODE)
        }
        PersonId::Signer { .. } => Err(NO_CODE),
        PersonId::Token { .. } => {
            let text = Some(presented.trim()).filter(|text| text.len() <= TOKEN_LENGTH_MAX);
            let token = text.and_then(|text| mirror.ledger().authenticate(text));
            let holder = token.and_then(|token| mirror.ledger().holder_of(&token));
            let is_theirs =
                |it: &crate::ledger::Caller| it.id == caller.id && it.since == caller.since;
            if holder.as_ref().is_some_and(is_theirs) {
                return Ok(Ok(EmergencyProof::Token));
            }
            if let Some(wait) = state.throttle.failed(address, mirror.clock().monotonic()) {
                return Err(throttled(wait));
            }
            info!(%address, by = %caller.id, "no token of whoever has the session");
            Err("That is not the token that you signed in with.")
        }
        PersonId::Oidc { .. } if visitor.has_proved => Ok(EmergencyProof::Provider),
        PersonId::Oidc { .. } => {
            Err("Sign in once more at your provider, and send it within five minutes.")
        }
    })
}
