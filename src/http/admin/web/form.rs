//! What forms and addresses of pages say: bounded, and refused in our words.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::trouble::Trouble;
use crate::http::admin::problem::Problem;

/// Most bytes of a form.
pub(super) const FORM_BYTES_MAX: usize = 64 * 1024;
/// How long a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest path to go to after signing in or deciding, in bytes.
const LOCAL_PATH_LENGTH_MAX: usize = 1_024;
/// Says where a request comes from; scripts cannot set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A form of type `T`.
#[derive(Debug)]
pub(super) struct Form<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = Trouble;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Trouble> {
        let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = value.and_then(|value| value.split(';').next()).map(str::trim);
        if !essence.is_some_and(|it| it.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
            return Err(Problem::form_type().into());
        }
        let reading = Limited::new(request.into_body(), FORM_BYTES_MAX).collect();
        let bytes = match tokio::time::timeout(FORM_TIMEOUT, reading).await {
            Ok(Ok(collected)) => collected.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(Problem::too_large(FORM_BYTES_MAX).into());
            }
            Ok(Err(_)) => return Err(Problem::invalid("the form broke off").into()),
            Err(_elapsed) => return Err(Problem::timeout().into()),
        };
        match serde_urlencoded::from_bytes(&bytes) {
            Ok(form) => Ok(Self(form)),
            // What is wrong may quote what was sent, and that may be a token.
            Err(_) => Err(Problem::invalid("the form is not as expected").into()),
        }
    }
}

/// The query parameters as `T`.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Trouble> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|_| {
            Problem::invalid("the address asks for something that there is not").into()
        })
    }
}

/// What the last part of the path says.
#[derive(Debug)]
pub(super) struct InPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for InPath {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Trouble> {
        let segment = Path::<String>::from_request_parts(parts, state).await;
        let segment = segment.map_err(|_| Problem::invalid("the address is no text"))?;
        Ok(Self(segment.0))
    }
}

/// Whether a request that changes something was sent by a page of ours.
///
/// Browsers say so by `Sec-Fetch-Site`, which no page can set, wherever nobody can listen: over TLS, and
/// on this machine. Where one does not, it has to name our own address as the origin.
pub(super) fn is_own(headers: &HeaderMap, uri: &Uri) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    if let Some(site) = sites.next() {
        return site == "same-origin" && sites.next().is_none();
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).or_else(|| uri.authority().map(http::uri::Authority::as_str));
    let origin = text(ORIGIN).and_then(|origin| origin.split_once("://"));
    match (origin, host) {
        (Some(("http" | "https", origin)), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// `path`, if it leads to a page of ours and nowhere else.
pub(super) fn local(path: &str) -> Option<&str> {
    let begins = ["/requests/", "/images/", "/audit", "/policy", "/health", "/?"];
    let is_ours = path == "/" || begins.iter().any(|begin| path.starts_with(begin));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%:@?&=+,".contains(&byte);
    let fits = path.len() <= LOCAL_PATH_LENGTH_MAX && path.bytes().all(plain);
    (is_ours && fits && !path.contains("//")).then_some(path)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_a_page_of_ours_sends_is_own() {
        for (lines, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://desk.test:1")], false),
            (&[("origin", "http://desk.test:1")], true),
            (&[("origin", "https://desk.test:1")], true),
            (&[("origin", "http://desk.test")], false),
            (&[("origin", "http://evil.test:1")], false),
            (&[("origin", "http://desk.test:1.evil.test")], false),
            (&[("origin", "null")], false),
            (&[("origin", "file://desk.test:1")], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("desk.test:1"));
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_own(&headers, &Uri::from_static("/login")), expected, "{lines:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static("https://desk.test"));
        assert!(is_own(&headers, &Uri::from_static("https://desk.test/login")), "HTTP/2");
        assert!(!is_own(&headers, &Uri::from_static("/login")));
    }

    #[test]
    fn nothing_leads_to_another_site() {
        for path in
            ["/", "/requests/R-1", "/images/up.test:5000/a/b:1", "/?state=all&q=a%20b", "/audit"]
        {
            assert_eq!(local(path), Some(path));
        }
        for path in [
            "",
            "//evil.test",
            "/\\evil.test",
            "https://evil.test/",
            "/requests//evil.test",
            "/requests/\r\nSet-Cookie: a=b",
            "/logout",
            "/api/v1/status",
            "javascript:alert(1)",
            "/requests/<script>",
        ] {
            assert_eq!(local(path), None, "{path}");
        }
        assert_eq!(local(&format!("/requests/{}", "a".repeat(2_000))), None);
    }
}
