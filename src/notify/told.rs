//! Events in words: what happened to which image, why, and the next step.

use super::event::{CHECKPOINT, Event, TEST};
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
    let told = of_a_break_glass(event).or_else(|| of_an_exception(event));
    let told = told.or_else(|| of_an_image(event)).or_else(|| of_people(event));
    told.unwrap_or_else(|| of_the_mirror(event))
}

/// What happened to an exception, if it happened to one.
fn of_an_exception(event: &Event) -> Option<String> {
    let (by, id) = (&event.by, event.exception()?);
    let finding = event.detail("vulnerability").unwrap_or("a finding");
    let package = event.detail("package").map(|package| format!(" in {package}"));
    let of = match event.detail("repository") {
        Some(repository) => format!("every image of {repository}"),
        None => image(event),
    };
    let what = format!("{id} ({finding}{} of {of})", package.unwrap_or_default());
    Some(match event.kind {
        "exception.asked" => format!("{by} asks for exception {what}"),
        "exception.ended" if event.detail("how") == Some("expired") => {
            format!("Exception {what} has expired")
        }
        "exception.ended" => format!("{by} ended exception {what}"),
        "exception.expiring" => format!("Exception {what} ends {}", in_days(event)),
        "exception.granted" => {
            let until = event.detail("expires").map(day).unwrap_or_default();
            format!("{by} granted exception {what} until {until}")
        }
        "exception.refused" => format!("{by} refused exception {what}"),
        "exception.vote" => {
            format!("{by} said yes to exception {what}, which may not be enough by itself")
        }
        _ => return None,
    })
}

/// What happened to an image, if it happened to one.
fn of_an_image(event: &Event) -> Option<String> {
    let by = &event.by;
    let image = image(event);
    Some(match event.kind {
        "approval.withdrawn" => {
            format!("The approval of {image} is withdrawn: a file that it rests on is gone")
        }
        "approval.expiring" => format!("The approval of {image} ends {}", in_days(event)),
        "image.blocked" => match event.detail("rule") {
            Some(rule) => format!("{image} is blocked by rule {rule}"),
            None => format!("{image} is blocked: no rule lists it"),
        },
        "image.reinstated" => format!("{by} reinstated {image}"),
        "image.revoked" => format!("{by} revoked {image}"),
        "image.stale" => match event.detail("until") {
            Some(until) => format!("{image} cannot be confirmed and is served on until {until}"),
            None => format!("{image} cannot be confirmed and is served on for a while"),
        },
        "request.answer" => format!("{by} answers what was asked about {image}"),
        "request.question" => format!("{by} asks about {image}"),
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
        "request.vote-withdrawn" => {
            let voter = event.detail("voter").unwrap_or("somebody");
            format!("The yes of {voter} to {image} is withdrawn: its file is gone")
        }
        "upstream.tag-moved" => {
            let before = event.detail("before").map(short).unwrap_or_default();
            format!("{image} is what upstream has now under a tag that was {before}")
        }
        _ => return None,
    })
}

/// What became of a break-glass, if it is about one.
fn of_a_break_glass(event: &Event) -> Option<String> {
    let by = &event.by;
    let detail = |key: &str| event.detail(key).unwrap_or("?");
    let id = detail("break_glass");
    let what = event.detail("repository").map_or_else(|| image(event), str::to_owned);
    let is_open = event.detail("state") == Some("open");
    let stands = if is_open {
        format!("served until {} although nothing admitted it", detail("until"))
    } else {
        format!("not served yet, more people have to say yes ({})", detail("quorum"))
    };
    Some(match event.kind {
        "breakglass.ended" => format!("Break-glass {id} for {what} is over, ended by {by}"),
        "breakglass.reviewed" => {
            format!("{by} reviewed break-glass {id} for {what}: {}", detail("review"))
        }
        "breakglass.unreviewed" => {
            format!(
                "Nobody has reviewed break-glass {id} for {what}, used by {}",
                detail("used_by")
            )
        }
        "breakglass.used" => format!("BREAK-GLASS {id}: {by} used it for {what}: {stands}"),
        "breakglass.vote" => format!("BREAK-GLASS {id}: {by} said yes to it for {what}: {stands}"),
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
        "person.password-changed" => format!("{person} chose another password"),
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
        "audit.archived" => format!("{by} had old audit records moved out of the database"),
        CHECKPOINT => format!("A checkpoint of {} audit records was signed", detail("records")),
        "audit.cut" => "The audit chain is not the one that was signed before".to_owned(),
        "audit.key-replaced" => "Another key signs the audit from now on".to_owned(),
        "node.closed" => format!("Node {} says that it is closed again", detail("node")),
        "node.opened" => format!(
            "NODE OPENED: {} pulls past the mirror until {}, by permit {}",
            detail("node"),
            detail("until"),
            detail("permit")
        ),
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
    let label = match event.kind {
        "request.answer" => "Answer",
        "request.question" => "Question",
        _ => "Why",
    };
    why.extend(event.reason.as_ref().map(|reason| format!("{label}: {reason}")));
    why.extend(event.detail("reasons").map(|reasons| format!("Why: {reasons}")));
    why.extend(event.detail("ticket").map(|ticket| format!("Ticket: {ticket}")));
    why.extend(event.detail("root").map(|root| format!("The root of their tree is {root}.")));
    why.extend(event.detail("approved_by").map(|by| format!("It was approved by {by}.")));
    if event.kind == "upstream.tag-moved" {
        why.push("The mirror serves what was admitted until the new one is.".to_owned());
    }
    if event.kind == "request.created" {
        why.push(format!("First asked for by {}.", event.by));
        why.extend(event.detail("group").map(|group| format!("It belongs to: {group}")));
        why.extend(event.detail("ticket").map(|ticket| format!("Ticket: {ticket}")));
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
    if let Some(id) = event.detail("break_glass") {
        let name = id.to_owned();
        return Some(match public_url {
            Some(url) => Next::Link { url: format!("{url}/break-glass"), name },
            None => Next::Run(format!("pratique break-glass show {name}")),
        });
    }
    if let Some(id) = event.exception() {
        let name = id.to_owned();
        return Some(match link(event, public_url) {
            Some(url) => Next::Link { name, url },
            None => Next::Run(format!("pratique exception show {name}")),
        });
    }
    let subject = event.subject.as_ref()?;
    Some(Next::Run(format!("pratique explain {subject}")))
}

/// Where the request or the exception of `event` is.
pub(super) fn link(event: &Event, public_url: Option<&str>) -> Option<String> {
    let url = public_url?;
    match (event.request, event.exception()) {
        (Some(id), _) => Some(format!("{url}/requests/{id}")),
        (None, Some(id)) => Some(format!("{url}/exceptions/{id}")),
        (None, None) => None,
    }
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
