//! When a page cannot be shown, or a form not be taken: a page that says why, and what to do.

use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::page::{self, Page, Place};
use crate::http::admin::problem::Problem;
use crate::mirror::desk;

/// Why a page is not the one that was asked for.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is told on a page of its own.
    Told(Box<Problem>),
    /// Nobody is signed in; where to go after that.
    SignIn(String),
}

impl Trouble {
    /// A form that does not come from a page of ours.
    pub(super) fn foreign_form() -> Self {
        Problem::forbidden(
            "This form does not come from a page of this server",
            "Open the page again and send it from there. A browser says where a form comes from over \
             TLS and on 127.0.0.1 only: where the page is opened by another address in clear, put TLS \
             in front of it.",
        )
        .into()
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Told(Box::new(problem))
    }
}

impl From<desk::Error> for Trouble {
    fn from(error: desk::Error) -> Self {
        Problem::from(error).into()
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn(next) => see_other(&sign_in_at(&next)),
            Self::Told(problem) => told(&problem),
        }
    }
}

/// Where somebody signs in who is to see `next` then.
fn sign_in_at(next: &str) -> String {
    let query = serde_urlencoded::to_string([("next", next)]).unwrap_or_default();
    format!("/login?{query}")
}

/// 303: a page is to be asked for at `path`.
pub(super) fn see_other(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    page::guard(&mut response);
    response
}

/// What a page says on which a form did nothing, because of `problem`.
pub(super) fn unchanged(problem: &Problem) -> Markup {
    html! {
        div.alert role="alert" id="refused" {
            p { strong { "Nothing was changed." } " " bdi { (problem.detail()) } }
        }
    }
}

fn told(problem: &Problem) -> Response {
    let view = problem.view();
    let main = html! {
        section.narrow {
            h1 { (view.title) }
            p.alert role="alert" { (view.detail) }
            p { a href="/" { "Back to the queue" } }
        }
    };
    let status = StatusCode::from_u16(view.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (title, place) = (view.title.as_str(), Place::Elsewhere);
    let page = Page::to_anybody((status, title, place), main);
    let mut response = page.into_response();
    if let Some(seconds) = problem.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
