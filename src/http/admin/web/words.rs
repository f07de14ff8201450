//! Small things that all pages show alike: states, digests, times, names.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::oci::{Digest, Name};
use crate::text::{Times, absolute};
use crate::time::Timestamp;

/// What stays as it is in the path of a link; all of it is legible, nothing of it ends the path.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b':').remove(b'@').remove(b'-').remove(b'.').remove(b'_');

/// A moment in the past, relative, with the absolute one beside it.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    let relative = Times::new(now, false).past(at);
    html! { time datetime=(at.to_string()) title=(absolute(at)) { (relative) } }
}

/// A moment in the future.
pub(super) fn until(at: Timestamp, now: Timestamp) -> Markup {
    let relative = Times::new(now, false).until(at);
    html! { time datetime=(at.to_string()) title=(absolute(at)) { (relative) } }
}

/// A moment as it is, whenever it is looked at.
pub(super) fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(at.to_string()) { (absolute(at)) } }
}

/// A digest by its first digits, with the whole beside it.
pub(super) fn short(digest: &Digest) -> Markup {
    html! { code.digest title=(digest.to_string()) { (digest.short()) } }
}

/// A digest that leads to what is known about it.
pub(super) fn linked(name: &Name, digest: &Digest) -> Markup {
    html! { a href=(image_path(&format!("{name}@{digest}"))) { (short(digest)) } }
}

/// The page of `image`.
pub(super) fn image_path(image: &str) -> String {
    format!("/images/{}", utf8_percent_encode(image, IN_PATH))
}

/// The page of a request.
pub(super) fn request_path(id: &str) -> String {
    format!("/requests/{}", utf8_percent_encode(id, IN_PATH))
}

/// The page of somebody.
pub(super) fn person_path(id: &str) -> String {
    format!("/people?{}", serde_urlencoded::to_string([("id", id)]).unwrap_or_default())
}

/// The open requests of a group.
pub(super) fn group_path(group: &str) -> String {
    format!("/?{}", serde_urlencoded::to_string([("group", group)]).unwrap_or_default())
}

/// The page of an exception.
pub(super) fn exception_path(id: &str) -> String {
    format!("/exceptions/{}", utf8_percent_encode(id, IN_PATH))
}

/// A state or verdict: a word, a shape and a colour. What has no shape of its own is only a word.
pub(super) fn state(word: &str) -> Markup {
    let class = match word {
        "pending" | "waiting" => "pending",
        "admit" | "admitted" | "approved" | "pass" | "reinstated" | "ok" | "in force" => "admitted",
        "deny" | "denied" | "rejected" | "fail" | "refused" => "denied",
        "revoked" | "resting" | "ended" => "revoked",
        _ => "plain",
    };
    html! { span.state.(class) { (said(word)) } }
}

/// A state as people say it.
pub(super) fn said(word: &str) -> &str {
    match word {
        "admit" => "admitted",
        "deny" => "denied",
        "fail" => "against it",
        "failed" => "could not tell",
        "not-asked" => "not asked for",
        "not-looked" => "not looked at",
        other => other,
    }
}

/// A text of several lines.
pub(super) fn lines(text: &str) -> Markup {
    html! {
        @for (number, line) in text.lines().enumerate() {
            @if number > 0 { br; }
            (line)
        }
    }
}

/// `number` of something, with its noun.
pub(super) fn count(number: usize, noun: &str) -> String {
    crate::text::count(u64::try_from(number).unwrap_or(u64::MAX), noun)
}
