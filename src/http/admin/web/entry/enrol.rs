//! The first time: a password of one's own, and an authenticator, before anything else.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;

use super::code::let_in;
use super::login::not_compared;
use super::pending::{Step, Waiting};
use super::{From, address_of, admitted, origin, waiting};
use crate::http::admin::AdminState;
use crate::http::admin::problem::Problem;
use crate::http::admin::web::form::Form;
use crate::http::admin::web::page::{self, Page, Place};
use crate::http::admin::web::trouble::{Trouble, see_other};
use crate::ledger::Enrolment;
use crate::oci::Secret;
use crate::people::{PASSWORD_BYTES_MAX, PASSWORD_LENGTH_MIN, TotpKey, check_password, qr_code};

/// What authenticators show beside the name.
const ISSUER: &str = "Pratique";
/// Characters of the key between two spaces.
const GROUP_LENGTH: usize = 4;

/// What somebody chose; no `Debug`, so that it is in no log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http::admin::web) struct EnrolmentForm {
    form_token: String,
    password: String,
    again: String,
    code: String,
}

/// `GET /login/enrol`
pub(in crate::http::admin::web) async fn show_enrolment(
    State(state): State<AdminState>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let (_, waiting) = waiting(&state, &headers)?;
    Ok(match &waiting.step {
        Step::Enrolment(key) => page(&waiting, key, None),
        Step::Code => see_other("/login/code"),
    })
}

/// `GET /login/enrol/key.svg`: the key as a picture, for whoever is enrolling.
pub(in crate::http::admin::web) async fn picture(
    State(state): State<AdminState>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let (_, waiting) = waiting(&state, &headers)?;
    let Step::Enrolment(key) = &waiting.step else {
        return Err(Problem::not_found("there is no key to show").into());
    };
    let picture = qr_code(key.uri(ISSUER, &waiting.name).expose());
    let picture = picture.ok_or_else(|| Problem::internal("the key is too long for a picture"))?;
    let mut response = picture.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    page::guard(&mut response);
    Ok(response)
}

/// `POST /login/enrol`: the session begins, and the one-time secret is over.
pub(in crate::http::admin::web) async fn enrol(
    State(state): State<AdminState>,
    from: From,
    headers: HeaderMap,
    Form(form): Form<EnrolmentForm>,
) -> Result<Response, Trouble> {
    let (_, waiting) = waiting(&state, &headers)?;
    let Step::Enrolment(key) = &waiting.step else { return Err(Trouble::foreign_form()) };
    if !waiting.sent(&form.form_token) {
        return Err(Trouble::foreign_form());
    }
    let EnrolmentForm { password, again, code, .. } = form;
    if let Err(problem) = check_password(&password, &waiting.name) {
        return Ok(page(&waiting, key, Some(&problem.to_string())));
    }
    if password != again {
        return Ok(page(&waiting, key, Some("The two passwords are not the same.")));
    }
    let mirror = state.desk.mirror();
    let Some(used) = key.check(&code, mirror.clock().now(), None) else {
        let text = "That is no code of now for this key. Is the clock of the authenticator right?";
        return Ok(page(&waiting, key, Some(text)));
    };
    let hashed = state.entrance.hasher.hash(Secret::new(password)).await;
    let password = hashed.map_err(not_compared)?;
    let enrolment = Enrolment { password, totp: key.clone(), used };
    let enrolled = mirror.ledger().enrol(&waiting.id, waiting.since, enrolment).await;
    let Some(caller) = let_in(enrolled)? else {
        let text = "The one-time secret was used or has ended. Ask an administrator for a new one.";
        return Err(Problem::forbidden("This secret is over", text).into());
    };
    let origin = origin(&state, address_of(from), &headers);
    admitted(&state, &caller, (&waiting.name, &waiting.next), origin, &headers)
}

fn page(waiting: &Waiting, key: &TotpKey, wrong: Option<&str>) -> Response {
    let status = if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let (text, uri) = (key.text(), key.uri(ISSUER, &waiting.name));
    let grouped: Vec<&str> = text
        .expose()
        .as_bytes()
        .chunks(GROUP_LENGTH)
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    let main = html! {
        section.narrow {
            h1 { "Welcome, " bdi { (waiting.name) } }
            p { "Choose a password and set up an authenticator. From then on you sign in with both." }
            @if let Some(wrong) = wrong { p.alert role="alert" id="why" { (wrong) } }
            form.card action="/login/enrol" method="post" {
                input type="hidden" name="form_token" value=(waiting.form_token());
                input type="text" name="username" value=(waiting.name) autocomplete="username" hidden disabled;
                label for="password" { "New password" }
                input #password type="password" name="password" required autofocus
                    minlength=(PASSWORD_LENGTH_MIN) maxlength=(PASSWORD_BYTES_MAX)
                    autocomplete="new-password" aria-describedby="rule";
                p.quiet id="rule" {
                    "At least " (PASSWORD_LENGTH_MIN) " characters of any kind. A few words that only \
                     you would put together are best."
                }
                label for="again" { "The same again" }
                input #again type="password" name="again" required maxlength=(PASSWORD_BYTES_MAX)
                    autocomplete="new-password";
                h2 { "Authenticator" }
                p { "Read this picture with an authenticator on your telephone, or type the key." }
                p { img.key src="/login/enrol/key.svg" alt="The key below as a QR code" width="220" height="220"; }
                dl.facts {
                    div { dt { "Key" } dd { code #key { (grouped.join(" ")) } } }
                    div { dt { "Address" } dd { code { (uri.expose()) } } }
                }
                label for="code" { "The code that it shows" }
                input #code type="text" name="code" required inputmode="numeric" maxlength="16"
                    autocomplete="one-time-code" spellcheck="false";
                button type="submit" { "Sign in" }
            }
        }
    };
    let (title, place) = ("Welcome", Place::Elsewhere);
    Page::to_anybody((status, title, place), main).into_response()
}
