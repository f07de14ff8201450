//! The short page of a request, which takes no session: where the link in a refusal leads.

use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::page::{Page, Place};
use super::words::{ago, request_path, short, state as state_mark};
use crate::http::admin::AdminState;
use crate::http::admin::body::{InPath, json};
use crate::http::admin::open::text;
use crate::http::admin::problem::Problem;
use crate::mirror::desk::view::PublicRequestView;
use crate::time::Timestamp;

/// `GET /r/{id}`: a page for browsers, JSON if that is asked for, and else a text.
pub(in crate::http::admin) async fn request_page(
    State(state): State<AdminState>,
    InPath(id): InPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = state.desk.public_request(&id).await?;
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        let main = main(&view, state.desk.mirror().clock().now());
        let (status, title, place) = (StatusCode::OK, view.id.as_str(), Place::Elsewhere);
        return Ok(Page::to_anybody((status, title, place), main).into_response());
    }
    if accept.contains("application/json") {
        return Ok(json(&view));
    }
    Ok(text("text/plain; charset=utf-8", view.to_text()))
}

fn main(view: &PublicRequestView, now: Timestamp) -> Markup {
    html! {
        section.narrow {
            h1 { (view.id) " " (state_mark(&view.state)) }
            dl.facts {
                div { dt { "Image" } dd { bdi.image { (view.image) } } }
                @if let Some(digest) = &view.digest { div { dt { "Digest" } dd { (short(digest)) } } }
                div { dt { "Rule" } dd { bdi { (view.rule.as_deref().unwrap_or("none matches")) } } }
                @for reason in &view.reasons {
                    div { dt { "Why" } dd { bdi { (reason.text) } } }
                }
                div { dt { "First asked" } dd { (ago(view.first_asked, now)) } }
            }
            p.next { bdi { (view.next) } }
            p { a href=(request_path(&view.id)) { "Open it at the desk" } ", to look closer or decide." }
        }
    }
}
