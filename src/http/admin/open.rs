//! What is told without a token: health and metrics; the short page of a request is beside it.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::AdminState;
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
    let all = mirror.metrics().render() + &upstreams + &state.notifier.render_gauges();
    text("text/plain; version=0.0.4; charset=utf-8", all)
}

/// `text` as an answer, never cached.
pub(super) fn text(content_type: &'static str, text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
