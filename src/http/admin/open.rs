//! What is told without a token: health, metrics, and the short page of a request.

use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::AdminState;
use super::body::{InPath, json};
use super::problem::Problem;
use crate::upstream::render_gauges;

/// `GET /livez`
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: ready from the moment the listener answers until shutdown begins.
pub(super) async fn readyz(State(state): State<AdminState>) -> (StatusCode, &'static str) {
    if state.desk.mirror().tasks().is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    (StatusCode::OK, "ready\n")
}

/// `GET /metrics`
pub(super) async fn metrics(State(state): State<AdminState>) -> Response {
    let mirror = state.desk.mirror();
    let upstreams = render_gauges(&mirror.client().status(), mirror.clock().now());
    text("text/plain; version=0.0.4; charset=utf-8", mirror.metrics().render() + &upstreams)
}

/// `GET /r/{id}`: where the link in a refusal leads; text, or JSON if that is asked for.
pub(super) async fn request_page(
    State(state): State<AdminState>,
    InPath(id): InPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = state.desk.public_request(&id).await?;
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("application/json") {
        return Ok(json(&view));
    }
    Ok(text("text/plain; charset=utf-8", view.to_text()))
}

fn text(content_type: &'static str, text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
