//! Events in words: what happened to which image, why, and the next step.

use super::event::{Event, TEST};
use crate::oci::Digest;
use crate::text::{count, plain_to_see};

/// An event as people read it. Nothing in it is escaped for any format, and nothing in it is unseen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// What happened, in one line.
    pub(super) what: String,
    /// Why, and what else there is to know; a line each.
    pub(super) why: Vec<String>,
    /// What can be done.
    pub(super) next: Option<Next>,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// A page.
    Link {
        /// What is there: `R-42`.
        name: String,
        url: String,
    },
    /// A command.
    Run(String),
}

impl Told {
    /// `event` in words; requests are found below `public_url`.
    pub(super) fn of(event: &Event, public_url: Option<&str>) -> Self {
        Self {
            what: line(&what(event)),
            why: why(event).iter().map(|text| line(text)).collect(),
            next: next(event, public_url),
        }
    }
}

/// `text` in one line, without characters that nobody sees.
fn line(text: &str) -> String {
    plain_to_see(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn what(event: &Event) -> String {
    of_an_image(event).or_else(|| of_people(event)).unwrap_or_else(|| of_the_mirror(event))
}

/// What happened to an image, if it happened to one.
fn of_an_image(event: &Event) -> Option<String> {
    let by = &event.by;
    let image = image(event);
    Some(match event.kind {
        "approval.expiring" => format!("The approval of {image} ends {}", in_days(event)),
        "image.blocked" => match event.detail("rule") {
            Some(rule) => format!("{image} is blocked by rule {rule}"),
            None => format!("{image} is blocked: no rule lists it"),
        },
        "image.reinstated" => format!("{by} reinstated {image}"),
        "image.revoked" => format!("{by} revoked {image}"),
        "request.approved" => match event.detail("expires") {
            Some(expires) => format!("{by} approved {image} until {}", day(expires)),
            None => format!("{by} approved {image}"),
        },
        "request.created" if event.detail("state") == Some("pending") => {
            format!("{image} waits for an approval")
        }
        "request.created" => format!("{image} was refused"),
        "request.rejected" => format!("{by} rejected {image}"),
        "request.vote" => format!("{by} said yes to {image}, which is not enough by itself"),
        "upstream.tag-moved" => {
            let before = event.detail("before").map(short).unwrap_or_default();
            format!("{image} is what upstream has now under a tag that was {before}")
        }
        _ => return None,
    })
}

/// What happened to somebody or a token, if it did.
fn of_people(event: &Event) -> Option<String> {
    let by = &event.by;
    let detail = |key: &str| event.detail(key).unwrap_or("?");
    let person = detail("person");
    Some(match event.kind {
        "person.changed" => format!("{by} gave {person} role {}", detail("role")),
        "person.created" => format!("{by} lets {person} sign in with role {}", detail("role")),
        "person.disabled" => format!("{by} keeps {person} out"),
        "person.enabled" => format!("{by} lets {person} in again"),
        "person.removed" => format!("{by} removed {person}"),
        "person.reset" => format!("{by} had password and code of {person} forgotten"),
        "sign-in.failed" => format!("Sign-ins of {person} failed, {} times", detail("times")),
        "token.created" => {
            format!("{by} made the token {} with role {}", detail("token"), detail("role"))
        }
        "token.revoked" => format!("{by} ended the token {}", detail("token")),
        _ => return None,
    })
}

fn of_the_mirror(event: &Event) -> String {
    let by = &event.by;
    let detail = |key: &str| event.detail(key).unwrap_or("?");
    match event.kind {
        "audit.cut" => "The audit chain is not the one that was signed before".to_owned(),
        "audit.key-replaced" => "Another key signs the audit from now on".to_owned(),
        "ledger.restored" => "The trust ledger was restored from a backup".to_owned(),
        "policy.changed" => {
            format!("Policy {} is in force, revision {}", detail("name"), detail("revision"))
        }
        "signing-key.rotated" => format!("{by} made a new key for what this mirror signs"),
        TEST => format!("{by} tried whether this webhook arrives: it does"),
        other => other.to_owned(),
    }
}

fn why(event: &Event) -> Vec<String> {
    let mut why = Vec::new();
    why.extend(event.reason.as_ref().map(|reason| format!("Why: {reason}")));
    why.extend(event.detail("reasons").map(|reasons| format!("Why: {reasons}")));
    why.extend(event.detail("approved_by").map(|by| format!("It was approved by {by}.")));
    if event.kind == "upstream.tag-moved" {
        why.push("The mirror serves what was admitted until the new one is.".to_owned());
    }
    if event.kind == "request.created" {
        why.push(format!("First asked for by {}.", event.by));
    }
    why
}

fn next(event: &Event, public_url: Option<&str>) -> Option<Next> {
    if let Some(id) = event.request {
        let name = id.to_string();
        return Some(match link(event, public_url) {
            Some(url) => Next::Link { name, url },
            None => Next::Run(format!("pratique show {name}")),
        });
    }
    let subject = event.subject.as_ref()?;
    Some(Next::Run(format!("pratique explain {subject}")))
}

/// Where the request of `event` is.
pub(super) fn link(event: &Event, public_url: Option<&str>) -> Option<String> {
    let (id, url) = event.request.zip(public_url)?;
    Some(format!("{url}/requests/{id}"))
}

fn image(event: &Event) -> String {
    let name = event.image().unwrap_or_else(|| "an image".to_owned());
    match &event.subject {
        Some(subject) => format!("{name} ({})", subject.digest.short()),
        None => name,
    }
}

fn in_days(event: &Event) -> String {
    let days = event.detail("days").and_then(|days| days.parse().ok()).unwrap_or(0);
    let on = event.detail("expires").map(day).unwrap_or_default();
    format!("within {}, on {on}", count(days, "day"))
}

/// The day of a time.
fn day(time: &str) -> &str {
    time.split_once('T').map_or(time, |(day, _)| day)
}

fn short(digest: &str) -> String {
    digest.parse::<Digest>().map_or_else(|_| "another".to_owned(), |digest| digest.short().clone())
}
