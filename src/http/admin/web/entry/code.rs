//! The second step: a code of the authenticator.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;

use super::login::throttled;
use super::pending::{Step, Waiting};
use super::{From, address_of, admitted, failed, origin, wait, waiting};
use crate::http::admin::AdminState;
use crate::http::admin::guesses::Factor;
use crate::http::admin::problem::Problem;
use crate::http::admin::web::form::Form;
use crate::http::admin::web::page::{Page, Place};
use crate::http::admin::web::trouble::{Trouble, see_other};
use crate::ledger::{self, Caller};
use crate::mirror::desk;

/// Most characters of a code as people write it.
pub(super) const CODE_LENGTH_MAX: usize = 16;

/// A code; no `Debug`, so that it is in no log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http::admin::web) struct CodeForm {
    form_token: String,
    code: String,
}

/// `GET /login/code`
pub(in crate::http::admin::web) async fn show_code(
    State(state): State<AdminState>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let (_, waiting) = waiting(&state, &headers)?;
    Ok(match waiting.step {
        Step::Code => page(&waiting, None),
        Step::Enrolment(_) => see_other("/login/enrol"),
    })
}

/// `POST /login/code`: the session begins.
pub(in crate::http::admin::web) async fn check_code(
    State(state): State<AdminState>,
    from: From,
    headers: HeaderMap,
    Form(CodeForm { form_token, code }): Form<CodeForm>,
) -> Result<Response, Trouble> {
    let (pending, waiting) = waiting(&state, &headers)?;
    if !waiting.sent(&form_token) || !matches!(waiting.step, Step::Code) {
        return Err(Trouble::foreign_form());
    }
    let origin = origin(&state, address_of(from), &headers);
    let (mirror, entrance) = (state.desk.mirror(), &state.entrance);
    if let Some(wait) = wait(&state, Factor::Code, &waiting.name, origin) {
        return Err(throttled(wait));
    }
    let code = Some(code).filter(|code| code.len() <= CODE_LENGTH_MAX).unwrap_or_default();
    let let_in = match mirror.ledger().code_of(&waiting.id, &code) {
        Some(step) => {
            let signing = mirror.ledger().sign_in(&waiting.id, waiting.since, step);
            let_in(signing.await)?
        }
        None => None,
    };
    let Some(caller) = let_in else {
        failed(&state, origin, &waiting.name, Factor::Code, Some(&waiting.id));
        entrance.pending.wrong(&pending);
        let text = "That is no code of now, or it was used already. Wait for the next one.";
        return Ok(page(&waiting, Some(text)));
    };
    admitted(&state, &caller, (&waiting.name, &waiting.next), origin, &headers)
}

/// Who was let in; `None` where what was shown does not count any more.
pub(super) fn let_in(outcome: Result<Caller, ledger::Error>) -> Result<Option<Caller>, Trouble> {
    match outcome {
        Ok(caller) => Ok(Some(caller)),
        Err(ledger::Error::NotLetIn | ledger::Error::NoSuchPerson(_)) => Ok(None),
        Err(error) => Err(Problem::from(desk::Error::from(error)).into()),
    }
}

fn page(waiting: &Waiting, wrong: Option<&str>) -> Response {
    let status = if wrong.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let main = html! {
        section.narrow {
            h1 { "Sign in" }
            @if let Some(wrong) = wrong { p.alert role="alert" id="why" { (wrong) } }
            form.card action="/login/code" method="post" {
                input type="hidden" name="form_token" value=(waiting.form_token());
                label for="code" { "Code of your authenticator" }
                input #code type="text" name="code" required autofocus inputmode="numeric"
                    maxlength=(CODE_LENGTH_MAX) autocomplete="one-time-code" spellcheck="false"
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "why")];
                button type="submit" { "Sign in" }
            }
            p.quiet {
                "Six digits, for " bdi { (waiting.name) } ". Without the authenticator, ask an \
                 administrator for a new one-time secret. " a href="/login" { "Begin again" }
            }
        }
    };
    let (title, place) = ("Sign in", Place::Elsewhere);
    Page::to_anybody((status, title, place), main).into_response()
}
