//! The queue as an Atom feed, for whoever reads feeds.
//!
//! Feed readers know no bearer tokens, so that a token may also be sent as the password of HTTP's basic
//! authentication. Readers keep it in the clear and send it again and again: only one that may do no
//! more than look is taken in that way. Nothing else on this listener takes a password, so that a browser
//! that remembers one opens nothing by it.
//!
//! Spec: RFC 4287 (Atom), RFC 7617 (basic authentication), RFC 9110 section 13 (conditional requests)

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};
use tracing::info;

use super::AdminState;
use super::auth::{TOKEN_LENGTH_MAX, bearer};
use super::problem::Problem;
use crate::http::listen::AdminAddress;
use crate::ledger::{Caller, Permission};
use crate::mirror::desk::queue::{NEEDS_INFO, QueueFilter};
use crate::mirror::desk::view::RequestView;
use crate::oci::Digest;
use crate::text::plain_to_see;
use crate::time::Timestamp;

/// Where it is.
pub(super) const PATH: &str = "/feed.atom";
/// Most requests in it.
const ENTRIES_MAX: usize = 100;
/// Most pages of the queue that are looked at for it: a token may be for few of the repositories.
const PAGES_MAX: usize = 20;
/// What a reader without a token is told.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"pratique feed\"");
/// When nothing ever waited.
const NEVER: &str = "1970-01-01T00:00:00Z";

/// `GET /feed.atom`
pub(super) async fn show(
    State(state): State<AdminState>,
    request: Request,
) -> Result<Response, Problem> {
    let Some(caller) = enter(&state, request.headers())? else {
        return Ok(stranger(&state, &request));
    };
    let requests = newest(&state, &caller).await?;
    let base = state.public_url.as_deref().unwrap_or_default();
    let text = plain_to_see(&document(&requests, base).into_string());
    // What is a character and none of XML's.
    let text = text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    let text = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{text}");
    let tag = format!("\"{}\"", Digest::sha256(text.as_bytes()).hex());
    let mut response = if is_known(request.headers(), &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        text.into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/atom+xml; charset=utf-8"));
    // Kept by nobody but who asked, and asked for anew each time.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (ETAG, tag)));
    Ok(response)
}

/// Lets in who holds a token that may look; `None` where there is no valid one.
fn enter(state: &AdminState, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    let ledger = state.desk.mirror().ledger();
    let known = |text: &str| ledger.authenticate(text).and_then(|token| ledger.holder_of(&token));
    if let Some(caller) = bearer(headers).and_then(known) {
        return may_look(caller).map(Some);
    }
    let Some(caller) = password(headers).as_deref().and_then(known) else { return Ok(None) };
    let caller = may_look(caller)?;
    if [Permission::Decide, Permission::Administer].iter().any(|it| caller.may(*it)) {
        let detail = "a feed reader keeps its password in the clear; make a token with role viewer \
                      for it";
        return Err(Problem::forbidden("This token may do more than look", detail));
    }
    Ok(Some(caller))
}

fn may_look(caller: Caller) -> Result<Caller, Problem> {
    if caller.may(Permission::Look) {
        Ok(caller)
    } else {
        Err(Problem::role(&caller, Permission::Look))
    }
}

/// What somebody without a valid token is told.
fn stranger(state: &AdminState, request: &Request) -> Response {
    let address = request
        .extensions()
        .get::<AdminAddress>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.0);
    let now = state.desk.mirror().clock().monotonic();
    if let Some(wait) = state.throttle.failed(address, now) {
        return Problem::throttled(wait.as_secs().max(1)).into_response();
    }
    info!(%address, "feed asked for without a valid token");
    let mut response = Problem::unauthenticated().into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    response
}

/// The password of basic authentication, whoever it says it is of, if exactly one is sent.
fn password(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() || value.len() > 2 * TOKEN_LENGTH_MAX {
        return None;
    }
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let login = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    login.split_once(':').map(|(_, password)| password.to_owned())
}

/// Whether who asks has what `tag` stands for.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// The newest requests that are open and of repositories that `caller`'s token is for.
async fn newest(state: &AdminState, caller: &Caller) -> Result<Vec<RequestView>, Problem> {
    let mut filter = QueueFilter::default();
    let mut requests = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = state.desk.queue(&filter).await?;
        requests.extend(page.requests.into_iter().filter(|it| caller.scope.covers(&it.name)));
        filter.before = page.next;
        if filter.before.is_none() || requests.len() >= ENTRIES_MAX {
            break;
        }
    }
    requests.truncate(ENTRIES_MAX);
    Ok(requests)
}

/// The feed; the same as long as the requests are the same, so that its tag stays.
fn document(requests: &[RequestView], base: &str) -> Markup {
    let newest = requests.iter().map(changed_at).max();
    let updated = newest.map_or_else(|| NEVER.to_owned(), |at| at.to_string());
    html! {
        feed xmlns="http://www.w3.org/2005/Atom" {
            id { "urn:pratique:queue" }
            title { "Pratique: the queue" }
            updated { (updated) }
            author { name { "Pratique" } }
            (link("self", &format!("{base}{PATH}")))
            (link("alternate", &format!("{base}/")))
            @for request in requests { (entry(request, base)) }
        }
    }
}

/// When what an entry says of `request` last became another.
fn changed_at(request: &RequestView) -> Timestamp {
    let said = request.remarks.iter().map(|remark| remark.at);
    said.fold(request.first_asked, Timestamp::max)
}

fn entry(request: &RequestView, base: &str) -> Markup {
    let (id, at) = (&request.id, request.first_asked.to_string());
    let digest = request.digest.map(|digest| format!(" ({})", digest.short())).unwrap_or_default();
    html! {
        entry {
            id { "urn:pratique:request:" (id) }
            title { (id) " " (request.state) ": " (request.image) (digest) }
            published { (at) }
            updated { (changed_at(request)) }
            (link("alternate", &format!("{base}/requests/{id}")))
            category term=(request.state) {}
            @if request.needs_info { category term=(NEEDS_INFO) {} }
            content type="text" { (why(request)) }
        }
    }
}

/// An empty element, which maud writes as HTML has it.
fn link(rel: &str, href: &str) -> Markup {
    html! { link rel=(rel) href=(href) {} }
}

/// Why it waits; no counts, which change with each pull.
fn why(request: &RequestView) -> String {
    let rule = match &request.rule {
        Some(rule) => format!("rule {rule}"),
        None => "no rule matches".to_owned(),
    };
    let reasons = request.reasons.iter().map(|reason| reason.text.clone());
    let group = request.group.iter().map(|group| format!("belongs to {group}"));
    let said =
        request.remarks.iter().map(|it| format!("{} by {}: {}", it.kind, it.display, it.text));
    std::iter::once(rule).chain(reasons).chain(group).chain(said).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &http::HeaderName, values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| (name.clone(), value.parse().unwrap()));
        values.collect()
    }

    #[test]
    fn a_password_is_taken_from_one_login_of_a_sane_length() {
        let login = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        let found = |value: &str| password(&headers(&AUTHORIZATION, &[value]));
        assert_eq!(found(&login("anybody:token")).as_deref(), Some("token"));
        assert_eq!(found(&login(":to:ken")).as_deref(), Some("to:ken"));
        for bad in
            ["Basic", "Basic !!!", "Bearer abc", &login("no colon"), &login(&"x".repeat(2000))]
        {
            assert_eq!(found(bad), None, "{bad}");
        }
        let two = headers(&AUTHORIZATION, &[&login("a:b"), &login("a:b")]);
        assert_eq!(password(&two), None);
    }

    #[test]
    fn a_tag_is_known_alone_in_a_list_and_as_a_weak_one() {
        let known = |value: &str| is_known(&headers(&IF_NONE_MATCH, &[value]), "\"abc\"");
        assert!(known("\"abc\"") && known("\"x\", W/\"abc\"") && known("*"));
        assert!(!known("\"abcd\"") && !known("abc") && !known(""));
    }
}
