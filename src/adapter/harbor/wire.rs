//! What goes over the wire to an adapter, and the small things that come back.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::HarborJob;
use super::metadata::{Form, VULNERABILITY};
use crate::oci::Secret;
use crate::upstream::ServiceAnswer;

/// What is asked for of an adapter's description of itself: what all of them know.
pub(super) const METADATA: &str = "application/vnd.scanner.adapter.metadata+json; version=1.0";
pub(super) const METADATA_ESSENCE: &str = "application/vnd.scanner.adapter.metadata+json";
/// What is asked for of a scan that begins.
pub(super) const BEGUN: &str = "application/vnd.scanner.adapter.scan.response+json; version=1.0";
/// How a scan is asked for: without capabilities, and with them.
const REQUEST: &str = "application/vnd.scanner.adapter.scan.request+json; version=1.0";
const REQUEST_OF_KIND: &str = "application/vnd.scanner.adapter.scan.request+json; version=1.1";
const REFRESH_AFTER: HeaderName = HeaderName::from_static("refresh-after");
/// Longest id of a scan, in bytes.
const ID_BYTES_MAX: usize = 256;
/// Most characters that are repeated of what an adapter says.
const SAID_MAX: usize = 200;
/// What stands where a secret was repeated.
const REDACTED: &str = "[redacted]";
/// Shortest part of a secret that is looked for in what an adapter says, in bytes.
const SECRET_BYTES_MIN: usize = 4;
/// What may stand in a segment of a path as it is (RFC 3986 section 2.3).
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A scan that has begun.
#[derive(Debug, Deserialize)]
pub(super) struct Begun {
    id: String,
}

impl Begun {
    /// Where its report will be; `None` for an id that no path can hold.
    pub(super) fn report_path(&self) -> Option<String> {
        let id = self.id.as_str();
        let is_usable = !id.is_empty() && id.len() <= ID_BYTES_MAX && id != "." && id != "..";
        let id = utf8_percent_encode(id, IN_SEGMENT);
        is_usable.then(|| format!("/api/v1/scan/{id}/report"))
    }
}

/// The body that asks for a scan, and its type.
pub(super) fn request(job: &HarborJob, form: Form) -> (String, &'static str) {
    let mut body = json!({
        "registry": {
            "url": job.registry_url,
            "authorization": job.authorization.expose(),
        },
        "artifact": {
            "repository": job.repository,
            "digest": job.digest,
            "mime_type": job.media_type,
        },
    });
    if !form.has_kinds {
        return (body.to_string(), REQUEST);
    }
    let capability = json!({"type": VULNERABILITY, "produces_mime_types": [form.media_type]});
    if let Some(fields) = body.as_object_mut() {
        fields.insert("enabled_capabilities".to_owned(), json!([capability]));
    }
    (body.to_string(), REQUEST_OF_KIND)
}

/// The headers in `given`, and a login.
pub(super) fn headers(given: &[(&'static str, &'static str)], login: Option<&Secret>) -> HeaderMap {
    let given = given
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let login = login.and_then(sensitive).map(|value| (AUTHORIZATION, value));
    given.chain(login).collect()
}

/// A secret as a header that no log shows; `None` when it cannot be one.
pub(super) fn sensitive(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(secret.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

pub(super) fn content_type(answer: &ServiceAnswer) -> &str {
    answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// When to ask for the report again, as the adapter says.
pub(super) fn refresh_after(answer: &ServiceAnswer) -> Option<Duration> {
    let seconds = answer.headers.get(REFRESH_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Whether a status is that of somebody who stands before the adapter, and may pass.
pub(super) fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// What an adapter says about an error, after a colon, in printable ASCII and bounded; empty when it says
/// nothing in the specification's form. None of `secrets` is in it, in any form that the adapter knows.
///
/// Spec: `ErrorResponse`.
pub(super) fn said<'a>(body: &[u8], secrets: impl Iterator<Item = &'a Secret>) -> String {
    #[derive(Deserialize)]
    struct Told {
        error: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let Ok(Told { error: Message { message } }) = serde_json::from_slice(body) else {
        return String::new();
    };
    let message = secrets.fold(message, |message, secret| without(message, secret.expose()));
    format!(": {}", printable(message.trim()))
}

/// `message` without `authorization`, its credential, and the password in that.
fn without(message: String, authorization: &str) -> String {
    let credential = authorization.split_once(' ').map_or(authorization, |(_, rest)| rest.trim());
    let login = BASE64_STANDARD.decode(credential).ok().and_then(|it| String::from_utf8(it).ok());
    let password = login.as_deref().and_then(|login| login.split_once(':')).map(|(_, rest)| rest);
    let parts = [Some(authorization), Some(credential), login.as_deref(), password];
    let parts = parts.into_iter().flatten().filter(|part| part.len() >= SECRET_BYTES_MIN);
    parts.fold(message, |message, part| message.replace(part, REDACTED))
}

/// `text` in printable ASCII, and at most [`SAID_MAX`] characters of it.
pub(super) fn printable(text: &str) -> String {
    let plain = |c: char| match c {
        ' '..='~' => c,
        _ if c.is_whitespace() => ' ',
        _ => '?',
    };
    text.chars().take(SAID_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, MediaType};

    #[test]
    fn the_path_of_a_report_is_below_the_scans_whatever_the_id_is() {
        let path = |id: &str| Begun { id: id.to_owned() }.report_path();
        let plain = "3fa85f64-5717-4562-b3fc-2c963f66afa6";
        assert_eq!(path(plain).unwrap(), format!("/api/v1/scan/{plain}/report"));
        assert_eq!(path("../metadata?x#y").unwrap(), "/api/v1/scan/..%2Fmetadata%3Fx%23y/report");
        assert_eq!(path("a b\r\nc%\u{e9}").unwrap(), "/api/v1/scan/a%20b%0D%0Ac%25%C3%A9/report");
        for id in ["", ".", "..", &"x".repeat(ID_BYTES_MAX + 1)] {
            assert_eq!(path(id), None, "{id}");
        }
    }

    #[test]
    fn no_secret_is_repeated_in_whatever_form() {
        let basic = format!("Basic {}", BASE64_STANDARD.encode("pratique:pratique-pass-x"));
        let secrets = [Secret::new(basic.as_str()), Secret::new("Bearer abcdef")];
        for message in [
            format!("expected <type> <credentials> got {basic}"),
            format!("cannot decode {}", &basic[6..]),
            "login pratique:pratique-pass-x refused".to_owned(),
            "password pratique-pass-x refused, and abcdef".to_owned(),
            format!("{} pratique-pass-x", "x".repeat(SAID_MAX - 10)),
        ] {
            let body = json!({"error": {"message": message}}).to_string();
            let said = said(body.as_bytes(), secrets.iter());
            for secret in ["pratique-pass", &basic[6..], "abcdef"] {
                assert!(!said.contains(secret), "{said}");
            }
            assert!(said.len() <= SAID_MAX + 2, "{said}");
        }
    }

    #[test]
    fn what_is_said_is_said_shortly_or_not_at_all() {
        let say = |body: &str| said(body.as_bytes(), std::iter::empty());
        let message = r#"{"error": {"message": " no\nroom\u001b[31m é "}}"#;
        assert_eq!(say(message), ": no room?[31m ?");
        for nothing in ["", "<html>", "{}", r#"{"error": "no"}"#, r#"{"error": {"message": 1}}"#] {
            assert_eq!(say(nothing), "", "{nothing}");
        }
    }

    #[test]
    fn a_scan_is_asked_for_as_the_version_of_the_adapter_wants_it() {
        let job = HarborJob {
            registry_url: "https://mirror.test:5000".to_owned(),
            authorization: Secret::new("Basic x"),
            repository: "docker.io/library/mongo".to_owned(),
            digest: Digest::sha256(b"x"),
            media_type: MediaType::new(MediaType::OCI_MANIFEST),
        };
        let media_type = super::super::metadata::FORMS[0];
        let (old, kind) = request(&job, Form { media_type, has_kinds: false });
        assert!(kind.ends_with("version=1.0") && !old.contains("enabled_capabilities"), "{old}");
        let (new, kind) = request(&job, Form { media_type, has_kinds: true });
        assert!(kind.ends_with("version=1.1"), "{kind}");
        let new: serde_json::Value = serde_json::from_str(&new).unwrap();
        assert_eq!(new["registry"]["authorization"], "Basic x");
        assert_eq!(new["artifact"]["digest"], Digest::sha256(b"x").to_string());
        assert_eq!(new["artifact"]["mime_type"], MediaType::OCI_MANIFEST);
        assert_eq!(new["enabled_capabilities"][0]["type"], "vulnerability");
        assert!(!format!("{job:?}").contains("Basic x"));
    }
}
