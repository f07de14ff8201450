//! What comes in and goes out: bounded, strict JSON; and no refusal in other words than ours.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::oci::from_strict_slice;

/// Most bytes of a request's body.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// The type of a body that has a JSON value on each line.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body of type `T` and at most `MOST` bytes.
#[derive(Debug)]
pub(super) struct JsonBody<T, const MOST: usize = BODY_BYTES_MAX>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync, const MOST: usize> FromRequest<S> for JsonBody<T, MOST> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::media_type());
        }
        let bytes = read_bounded(request.into_body(), MOST).await?;
        let value = from_strict_slice(&bytes);
        value
            .map(Self)
            .map_err(|error| Problem::invalid(format!("the body is not as expected: {error}")))
    }
}

/// All of `body`, if it has at most so many bytes and comes in time.
pub(super) async fn read_bounded(body: Body, most: usize) -> Result<Vec<u8>, Problem> {
    let body = Limited::new(body, most);
    let read = tokio::time::timeout(BODY_TIMEOUT, read_all(body, most)).await;
    read.map_err(|_| Problem::timeout())?
}

async fn read_all(body: Limited<Body>, most: usize) -> Result<Vec<u8>, Problem> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::too_large(most)),
        Err(_) => Err(Problem::invalid("the body broke off")),
    }
}

/// Only this type cannot be sent by a form of another site without a preflight.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

/// The query parameters as `T`.
#[derive(Debug)]
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let query = query.map_err(|error| Problem::invalid(error.body_text()))?;
        Ok(Self(query.0))
    }
}

/// What the last segment of the path says.
#[derive(Debug)]
pub(super) struct InPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for InPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segment = Path::<String>::from_request_parts(parts, state).await;
        let segment = segment.map_err(|error| Problem::invalid(error.body_text()))?;
        Ok(Self(segment.0))
    }
}

/// `value` as the JSON answer; never cached.
pub(super) fn json<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = bytes.into_response();
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            response
        }
        Err(error) => Problem::invalid(error.to_string()).into_response(),
    }
}
