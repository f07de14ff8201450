//! Long lists, stretch by stretch: how many, from where on, and where it goes on.

use axum::http::HeaderValue;
use axum::http::header::LINK;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::json;
use super::routes::API;
use crate::mirror::desk::PAGE_MAX;

/// Which stretch of a list.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stretch {
    /// How many; at most 1000 are given.
    limit: Option<u32>,
    /// The last entry of the stretch before, as the `Link` to this one has it.
    after: Option<String>,
}

/// The stretch of `list` that is asked for, as an answer at `path`. Entries are ordered by `name`, which
/// each has to itself.
pub(super) fn page<T: Serialize>(
    path: &str,
    stretch: &Stretch,
    mut list: Vec<T>,
    name: impl Fn(&T) -> String,
) -> Response {
    list.sort_by_cached_key(&name);
    if let Some(after) = &stretch.after {
        list.retain(|entry| name(entry) > *after);
    }
    let limit = many(stretch.limit);
    let goes_on = list.len() > limit;
    list.truncate(limit);
    let next = list.last().filter(|_| goes_on).map(&name);
    let response = json(&list);
    match next {
        Some(after) => linked(response, path, &[("limit", &limit.to_string()), ("after", &after)]),
        None => response,
    }
}

/// How many entries are given where so many are asked for.
pub(super) fn many(limit: Option<u32>) -> usize {
    usize::try_from(limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX)).unwrap_or(1)
}

/// `response` with where the list goes on: at `path` with these parameters.
pub(super) fn linked(mut response: Response, path: &str, query: &[(&str, &str)]) -> Response {
    let encoded = |(name, value): &(&str, &str)| {
        format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
    };
    let query: Vec<String> = query.iter().map(encoded).collect();
    let link = format!("<{API}{path}?{}>; rel=\"next\"", query.join("&"));
    if let Ok(link) = HeaderValue::from_str(&link) {
        response.headers_mut().insert(LINK, link);
    }
    response
}
