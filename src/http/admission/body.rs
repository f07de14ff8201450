//! What comes in and goes out on the admission listener: bounded JSON, and plain words where there is none.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;

use crate::admission::{self, BYTES_MAX};

/// How long a body may take to arrive: API servers give up after 30 s at most.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request is not answered with a review. An API server takes any of them for a failure of the webhook.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    text: String,
}

impl Problem {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes POST")
    }

    pub(super) fn no_certificate() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "a client certificate is needed here; give the API server one (docs/admission.md)",
        )
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this path")
    }

    pub(super) fn unreadable(error: &admission::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.text)).into_response();
        plain(&mut response, "text/plain; charset=utf-8");
        response
    }
}

/// The body of `request`, if it is JSON, not too large, and comes in time.
pub(super) async fn read(request: Request) -> Result<Bytes, Problem> {
    let content_type = request.headers().get(CONTENT_TYPE);
    let essence = content_type.and_then(|it| it.to_str().ok()).and_then(|it| it.split(';').next());
    if !essence.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json")) {
        let text = "the body has to be application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let body = Limited::new(request.into_body(), BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = format!("the body is larger than {} MiB", BYTES_MAX >> 20);
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text))
        }
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

/// `document` as the answer; never cached.
pub(super) fn json(document: &Value) -> Response {
    let mut response = document.to_string().into_response();
    plain(&mut response, "application/json");
    response
}

fn plain(response: &mut Response, content_type: &'static str) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
