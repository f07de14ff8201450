//! What is sent: an event as a `CloudEvent`, as a message for a chat, or as one to be mailed on.

use bytes::Bytes;
use serde_json::{Value, json};

use super::event::Event;
use super::told::{Next, Told, link};

/// Longest subject of a mail, in characters.
const SUBJECT_LENGTH_MAX: usize = 200;
/// Longest text of a block of a chat message, in characters; Slack takes 3,000.
const BLOCK_LENGTH_MAX: usize = 2_900;

/// The shape of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A `CloudEvent`, for programs.
    #[default]
    CloudEvents,
    /// Subject and text, for what sends mail.
    MailJson,
    /// A message for Slack, and for what understands the same.
    Slack,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::CloudEvents, Self::MailJson, Self::Slack];

    /// The format in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CloudEvents => "cloudevents",
            Self::MailJson => "mail-json",
            Self::Slack => "slack",
        }
    }

    /// The media type of what is sent.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::CloudEvents => "application/cloudevents+json; charset=utf-8",
            Self::MailJson | Self::Slack => "application/json; charset=utf-8",
        }
    }

    /// The body that tells of `event`: the same bytes whenever the same is told.
    pub(super) fn body(self, event: &Event, from: &From) -> Bytes {
        let url = from.public_url.as_deref();
        let value = match self {
            Self::CloudEvents => cloud_event(event, from),
            Self::MailJson => mail(&Told::of(event, url)),
            Self::Slack => chat(&Told::of(event, url)),
        };
        value.to_string().into()
    }
}

/// Who tells.
#[derive(Debug, Clone)]
pub(super) struct From {
    /// The `source` of a `CloudEvent`.
    pub(super) source: String,
    /// Where people find requests.
    pub(super) public_url: Option<String>,
}

/// Spec: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
fn cloud_event(event: &Event, from: &From) -> Value {
    let mut data = json!({ "sequence": event.sequence, "by": event.by, "details": event.details });
    let facts = [
        ("image", event.image()),
        ("digest", event.subject.as_ref().map(|subject| subject.digest.to_string())),
        ("request", event.request.map(|id| id.to_string())),
        ("link", link(event, from.public_url.as_deref())),
        ("reason", event.reason.clone()),
    ];
    add(&mut data, facts);
    let mut whole = json!({
        "specversion": "1.0",
        "id": event.id,
        "source": from.source,
        "type": event.kind,
        "time": event.at,
        "datacontenttype": "application/json",
        "data": data,
    });
    add(&mut whole, [("subject", event.subject.as_ref().map(ToString::to_string))]);
    whole
}

fn add(value: &mut Value, facts: impl IntoIterator<Item = (&'static str, Option<String>)>) {
    let Some(object) = value.as_object_mut() else { return };
    for (key, fact) in facts {
        if let Some(fact) = fact {
            object.insert(key.to_owned(), Value::String(fact));
        }
    }
}

fn mail(told: &Told) -> Value {
    let mut text = vec![told.what.clone()];
    text.extend(told.why.iter().cloned());
    text.extend(told.next.as_ref().map(|next| match next {
        Next::Link { name, url } => format!("{name}: {url}"),
        Next::Run(command) => format!("Run: {command}"),
    }));
    let subject: String =
        format!("[pratique] {}", told.what).chars().take(SUBJECT_LENGTH_MAX).collect();
    json!({ "subject": subject, "text": text.join("\n") })
}

/// What people wrote stands in blocks of plain text, which Slack does not read for links and names; the
/// whole text beside it is for notifications and for others, and is escaped.
///
/// Spec: <https://api.slack.com/reference/surfaces/formatting#escaping>
fn chat(told: &Told) -> Value {
    let mut lines = vec![told.what.clone()];
    lines.extend(told.why.iter().cloned());
    let plain: String = lines.join("\n").chars().take(BLOCK_LENGTH_MAX).collect();
    let next = told.next.as_ref().map(|next| match next {
        Next::Link { name, url } => format!("<{}|{}>", escaped(url), escaped(name)),
        Next::Run(command) => format!("Run: {}", escaped(command)),
    });
    let mut text = escaped(&plain);
    if let Some(next) = &next {
        text.push('\n');
        text.push_str(next);
    }
    let section = |kind: &str, text: &str| json!({ "type": "section", "text": { "type": kind, "text": text } });
    let mut blocks = vec![section("plain_text", &plain.replace('@', AT))];
    blocks.extend(next.as_deref().map(|next| section("mrkdwn", next)));
    json!({ "text": text, "blocks": blocks, "unfurl_links": false, "unfurl_media": false })
}

/// An at sign that calls nobody.
const AT: &str = "\u{ff20}";

/// `text` for a chat: no link, no name of somebody, no call for a channel is made of it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('@', AT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{AuditEvent, AuditKind, AuditRow};
    use crate::oci::Digest;
    use crate::time::Timestamp;

    fn from() -> From {
        let public_url = Some("https://mirror.test".to_owned());
        From { source: "https://mirror.test".to_owned(), public_url }
    }

    fn event(event: AuditEvent) -> Event {
        let at = "2026-11-20T10:00:00Z".parse::<Timestamp>().unwrap();
        let (previous, hash) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        Event::of(&AuditRow { sequence: 7, at, event, previous, hash }).unwrap()
    }

    fn said(format: Format, event: &Event) -> Value {
        serde_json::from_slice(&format.body(event, &from())).unwrap()
    }

    /// A reason of somebody who wants to call everybody, to lead them astray and to end the text early.
    const HOSTILE: &str =
        "<!channel> <https://evil.test|R-1> @here & \"quoted\"\r\nBcc: x@y\u{202e}z\u{0}";

    #[test]
    fn what_people_wrote_makes_no_link_no_call_and_no_line_of_a_chat_message() {
        let mut revoked = AuditEvent::new(AuditKind::Revoked, "alice@corp");
        revoked.reason = Some(HOSTILE.to_owned());
        revoked.request = Some("R-42".parse().unwrap());
        let body = said(Format::Slack, &event(revoked));
        let text = body["text"].as_str().unwrap();
        assert_eq!(text.matches('<').count(), 1, "{text}");
        assert!(text.ends_with("\n<https://mirror.test/requests/R-42|R-42>"), "{text}");
        assert!(text.contains("&lt;!channel&gt; &lt;https://evil.test|R-1&gt;"), "{text}");
        assert!(!text.contains('@') && !text.contains('\u{202e}'), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        let first = &body["blocks"][0]["text"];
        assert_eq!(first["type"], "plain_text");
        assert!(!first["text"].as_str().unwrap().contains('@'), "{first}");
    }

    #[test]
    fn what_people_wrote_makes_no_header_and_no_line_of_a_mail() {
        let mut approved = AuditEvent::new(AuditKind::Approved, format!("alice\r\nBcc: {HOSTILE}"));
        approved.reason = Some(HOSTILE.to_owned());
        let body = said(Format::MailJson, &event(approved));
        let (subject, text) = (body["subject"].as_str().unwrap(), body["text"].as_str().unwrap());
        assert!(!subject.contains(['\r', '\n', '\u{202e}', '\0']), "{subject:?}");
        assert!(subject.starts_with("[pratique] alice Bcc: ") && subject.chars().count() <= 200);
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn a_cloud_event_has_the_facts_and_their_link() {
        let filed = AuditEvent::new(AuditKind::RequestFiled, "node-1")
            .with("image", "docker.io/library/redis 7.4")
            .with("state", "pending");
        let filed = AuditEvent { request: Some("R-42".parse().unwrap()), ..filed };
        let event = event(filed);
        let body = said(Format::CloudEvents, &event);
        assert_eq!(body["specversion"], "1.0");
        assert_eq!(body["id"], event.id);
        assert_eq!(
            (&body["type"], &body["source"]),
            (&json!("request.created"), &json!("https://mirror.test"))
        );
        assert_eq!(body["time"], "2026-11-20T10:00:00Z");
        let data = &body["data"];
        assert_eq!(data["image"], "docker.io/library/redis:7.4");
        assert_eq!(data["link"], "https://mirror.test/requests/R-42");
        assert_eq!(data["details"]["state"], "pending");
        assert!(body.get("subject").is_none(), "no digest is known");
        let slack = said(Format::Slack, &event);
        let text = slack["text"].as_str().unwrap();
        assert!(text.starts_with("docker.io/library/redis:7.4 waits for an approval\n"), "{text}");
    }

    #[test]
    fn an_exception_is_told_with_its_finding_its_image_and_where_it_is() {
        let of = |kind, key: &str| {
            AuditEvent::new(kind, "alice")
                .with(key, "X-7")
                .with("vulnerability", "CVE-2026-1")
                .with("package", "openssl")
                .with("repository", "up.test/app")
                .with("expires", "2026-12-01T00:00:00Z")
                .with("days", 3)
        };
        let what = "X-7 (CVE-2026-1 in openssl of every image of up.test/app)";
        for (kind, key, name, text) in [
            (AuditKind::ExceptionAsked, "exception", "exception.asked", "alice asks for exception"),
            (AuditKind::ExceptionVoted, "vote_on", "exception.vote", "alice said yes to exception"),
            (
                AuditKind::ExceptionGranted,
                "exception",
                "exception.granted",
                "alice granted exception",
            ),
            (
                AuditKind::ExceptionRefused,
                "exception",
                "exception.refused",
                "alice refused exception",
            ),
            (AuditKind::ExceptionEnded, "exception", "exception.ended", "alice ended exception"),
            (AuditKind::ExceptionExpiring, "ending", "exception.expiring", "Exception"),
        ] {
            let event = event(of(kind, key));
            let told = said(Format::CloudEvents, &event);
            assert_eq!(told["type"], name);
            assert_eq!(told["data"]["link"], "https://mirror.test/exceptions/X-7");
            assert_eq!(told["data"]["image"], "up.test/app");
            let mail = said(Format::MailJson, &event)["text"].as_str().unwrap().to_owned();
            assert!(mail.starts_with(&format!("{text} {what}")), "{mail}");
        }
        let expired = event(of(AuditKind::ExceptionEnded, "exception").with("how", "expired"));
        let mail = said(Format::MailJson, &expired)["text"].as_str().unwrap().to_owned();
        assert!(mail.starts_with(&format!("Exception {what} has expired")), "{mail}");
    }
}
