//! Fuzz target for what an upstream says: heads of answers, and the bodies that are small.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::address::is_public;
use super::breaker::{rate_limit, retry_after};
use super::challenge::Challenge;
use super::location::{Location, Scheme};
use super::tokens::Token;
use super::{blob, link, lists};
use crate::time::Timestamp;

/// Lines of a head, and a body after the first empty one.
pub(crate) fn upstream(bytes: &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(end);
    let headers = headers(head);
    challenges(&headers);
    waits(&headers);
    if let Some(next) = link::next(&headers) {
        assert!(!next.contains('>') && next.trim() == next, "{next:?} is no target");
        joined(&next);
    }
    for value in headers.values().filter_map(|value| value.to_str().ok()) {
        joined(value);
        let is_range = blob::content_range(value).is_some();
        let digits = |c: char| c.is_ascii_digit() || "bytes -/*".contains(c);
        assert!(!is_range || value.chars().all(digits), "{value:?} is no range");
    }
    bodies(body.get(2..).unwrap_or_default());
    if let Some(Ok(octets)) = bytes.get(..16).map(<[u8; 16]>::try_from) {
        addresses(Ipv6Addr::from(octets));
    }
}

fn headers(head: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if let Ok(name) = HeaderName::from_bytes(name)
            && let Ok(value) = HeaderValue::from_bytes(value.trim_ascii())
        {
            headers.append(name, value);
        }
    }
    headers
}

/// What was understood of a challenge is understood again when it is written properly.
fn challenges(headers: &HeaderMap) {
    let challenges = Challenge::all(headers);
    assert!(challenges.len() <= 8, "{} challenges", challenges.len());
    for challenge in challenges {
        let lower = challenge.scheme.to_ascii_lowercase();
        assert_eq!(challenge.scheme, lower, "schemes are lower case");
        let written = written(&challenge);
        let again = Challenge::parse(&written);
        assert!(written.len() > 4096 || again == [challenge], "{written:?} is {again:?}");
    }
}

fn written(challenge: &Challenge) -> String {
    let parameter = |(name, value): &(String, String)| {
        format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    };
    let parameters: Vec<_> = challenge.parameters.iter().map(parameter).collect();
    format!("{} {}", challenge.scheme, parameters.join(", "))
}

fn waits(headers: &HeaderMap) {
    const LONGEST: Duration = Duration::from_mins(10);
    let now = Timestamp::from_milliseconds(1_780_000_000_000);
    if let Some(wait) = retry_after(headers, now, LONGEST) {
        assert!(wait <= LONGEST, "{wait:?} is longer than anybody waits");
    }
    assert!(rate_limit(headers).is_none() || headers.contains_key("ratelimit-limit"));
}

/// A place to go on to is plain web, has no login in it, and is at another origin only when it says
/// so.
fn joined(reference: &str) {
    let Ok(base) = Location::parse("https://registry.test/v2/team/app/blobs/x?y=z") else { return };
    if let Ok(location) = base.join(reference) {
        let here = location.origin == base.origin;
        let says = reference.starts_with("//") || reference.contains("://");
        assert!(here || says, "{reference:?} leads to {location}");
        check(&location);
    }
    if let Ok(location) = Location::parse(reference) {
        check(&location);
    }
}

fn check(location: &Location) {
    let origin = &location.origin;
    assert!(matches!(origin.scheme, Scheme::Http | Scheme::Https));
    let lower = origin.host.to_ascii_lowercase();
    assert!(!lower.is_empty() && lower == origin.host, "{origin}");
    assert!(!origin.host.contains(['@', '/', '?', '#', '%', ' ']), "{origin}");
    assert_ne!(origin.port, 0, "{origin}");
    let absolute = location.absolute_form();
    assert!(!origin.authority().contains('@'), "{absolute}");
    let again = Location::parse(&absolute);
    let same = again.map(|again| (again.origin == *origin, again.absolute_form()));
    assert_eq!(same, Ok((true, absolute)));
}

fn bodies(body: &[u8]) {
    let strict = crate::oci::check_strict(body).is_ok();
    if let Some(token) = Token::parse(body) {
        assert!(strict, "a token came in JSON that is not strict");
        assert!(token.use_for <= Duration::from_hours(1), "{:?}", token.use_for);
        let value = HeaderValue::try_from(format!("Bearer {}", token.secret.expose()));
        let shown = value.as_ref().is_ok_and(|value| value.to_str().is_ok());
        assert!(shown, "a token that does not fit {AUTHORIZATION}");
    }
    if let Some(tags) = lists::tags_of(body) {
        assert!(strict, "tags came in JSON that is not strict");
        for tag in tags {
            assert_eq!(tag.as_str().parse().ok(), Some(tag));
        }
    }
}

/// An address that carries another one is as public as that.
fn addresses(address: Ipv6Addr) {
    if let Some(inner) = address.to_ipv4_mapped() {
        assert_eq!(is_public(address.into()), is_public(inner.into()), "{address}");
    }
    let special = address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local();
    assert!(!(special && is_public(IpAddr::V6(address))), "{address} is not public");
}
