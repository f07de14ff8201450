//! What forms and addresses of pages say: bounded, and refused in our words.

use std::sync::LazyLock;
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
/// Most bytes of a form with a policy, which has at most 1 MiB: as forms are sent, a character may take three.
const BIG_FORM_BYTES_MAX: usize = 4 << 20;
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
        read(request, FORM_BYTES_MAX).await.map(Self)
    }
}

/// A form of type `T` with a whole policy in it.
#[derive(Debug)]
pub(super) struct BigForm<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for BigForm<T> {
    type Rejection = Trouble;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Trouble> {
        read(request, BIG_FORM_BYTES_MAX).await.map(Self)
    }
}

async fn read<T: DeserializeOwned>(request: Request, bytes_max: usize) -> Result<T, Trouble> {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).map(str::trim);
    if !essence.is_some_and(|it| it.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        return Err(Problem::form_type().into());
    }
    let reading = Limited::new(request.into_body(), bytes_max).collect();
    let bytes = match tokio::time::timeout(FORM_TIMEOUT, reading).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Problem::too_large(bytes_max).into());
        }
        Ok(Err(_)) => return Err(Problem::invalid("the form broke off").into()),
        Err(_elapsed) => return Err(Problem::timeout().into()),
    };
    match serde_urlencoded::from_bytes(&bytes) {
        Ok(form) => Ok(form),
        // What is wrong may quote what was sent, and that may be a token.
        Err(_) => Err(Problem::invalid("the form is not as expected").into()),
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

/// `text` on one line: a browser sends line breaks as two characters, and a reason is one line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `path`, if it leads to a page of ours and nowhere else: one that the table of the pages names, and that is
/// looked at by whoever signed in.
pub(super) fn local(path: &str) -> Option<&str> {
    static PAGES: LazyLock<Vec<&'static str>> = LazyLock::new(super::pages);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%:@?&=+,".contains(&byte);
    let fits = path.len() <= LOCAL_PATH_LENGTH_MAX && path.bytes().all(plain);
    let before_query = path.split_once('?').map_or(path, |(page, _)| page);
    let is_ours = fits && PAGES.iter().any(|page| leads_to(before_query, page));
    (is_ours && !path.contains("//")).then_some(path)
}

/// Whether `path` is one of `page`, a path of the table with `{name}` for a segment and `{*name}` for a rest.
fn leads_to(path: &str, page: &str) -> bool {
    let (mut said, mut wanted) = (path.split('/'), page.split('/'));
    loop {
        match (said.next(), wanted.next()) {
            (None, None) => return true,
            (Some(part), Some(wanted)) if wanted.starts_with("{*") => return !part.is_empty(),
            (Some(part), Some(wanted)) if wanted.starts_with('{') && !part.is_empty() => {}
            (Some(part), Some(wanted)) if part == wanted => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Method};

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
        for path in [
            "/",
            "/requests/R-1",
            "/images/up.test:5000/a/b:1",
            "/?state=all&q=a%20b",
            "/audit",
            "/exceptions/new?image=up.test/a:1",
            "/exceptions/X-1",
            "/people?id=user:anna",
            "/together?r=R-1",
        ] {
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
            "/requests/",
            "/requests",
            "/requests/R-1/more",
            "/images/",
            "/audits",
            "/policy.evil.test",
            "/policy/draft",
            "/exceptions/../api/v1/backup",
            "/live",
            "/login",
            "/style.css",
            "?next=/",
            "audit",
        ] {
            assert_eq!(local(path), None, "{path}");
        }
        assert_eq!(local(&format!("/requests/{}", "a".repeat(2_000))), None);
    }

    #[test]
    fn every_page_of_the_table_may_be_returned_to_and_nothing_else_of_it() {
        let table = super::super::routes();
        assert!(table.len() > 20, "{table:?}");
        for route in &table {
            let path = route.path.replace("{*image}", "up.test/a/b:1").replace("{id}", "R-1");
            let is_page = table.iter().any(|it| {
                let leads = it.path == route.path || it.path.contains('{');
                let shows = it.method == Method::GET && it.needs.is_some();
                shows && it.path != "/live" && leads && leads_to(&path, it.path)
            });
            for path in [path.clone(), format!("{path}?q=a%20b")] {
                assert_eq!(local(&path).is_some(), is_page, "{path}");
            }
        }
        for page in ["/exceptions", "/break-glass", "/people", "/account", "/together", "/outdated"]
        {
            assert_eq!(local(page), Some(page));
        }
    }
}
