//! `[[notify.webhook]]`: who is told of what happens.

use std::collections::BTreeSet;
use std::time::Duration;

use super::section::Section;
use super::{Given, address};
use crate::notify::{Address, EventPattern, Format, WEBHOOKS_MAX, WebhookSettings};
use crate::oci::Secret;
use crate::policy::is_plain_name;

/// How long an answer may take.
const TIMEOUT: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(30);
/// The same, unless the settings say otherwise.
const TIMEOUT_USUAL: Duration = Duration::from_secs(15);

/// What all blocks say.
pub(super) fn read(block: Section<'_>, given: &Given<'_>) -> Vec<WebhookSettings> {
    let mut names = BTreeSet::new();
    let blocks = block.sections("webhook");
    if blocks.len() > WEBHOOKS_MAX {
        block.problem("webhook", format!("has more than {WEBHOOKS_MAX} blocks"));
    }
    let webhooks = blocks.into_iter().filter_map(|block| one(block, &mut names, given)).collect();
    block.finish();
    webhooks
}

fn one(
    block: Section<'_>,
    names: &mut BTreeSet<String>,
    given: &Given<'_>,
) -> Option<WebhookSettings> {
    let name = name(&block, names);
    let danger_plain_http = block.flag("danger_plain_http");
    let address = receiver(&block, danger_plain_http, given);
    let format = block.parsed("format", format).map_or(Format::default(), |found| found.value);
    let secret_file = block.file("secret_file");
    given.must_be_readable(&block, "secret_file", secret_file.as_ref());
    if !block.has("secret_file") && format != Format::Slack {
        block.problem(
            "secret_file",
            "is missing; name a file with whsec_ and the base64 of 24 to 64 random bytes",
        );
    }
    let events = events(&block);
    let ca_file = block.file("ca_file");
    given.must_be_readable(&block, "ca_file", ca_file.as_ref());
    let allow_private = block.flag("allow_private");
    let timeout = block.duration("timeout", TIMEOUT);
    block.finish();
    Some(WebhookSettings {
        name: name?,
        address: address?,
        secret_file: secret_file.map(|found| found.value),
        format,
        events,
        ca_file: ca_file.map(|found| found.value),
        allow_private,
        danger_plain_http,
        timeout: timeout.unwrap_or(TIMEOUT_USUAL),
    })
}

fn name(block: &Section<'_>, names: &mut BTreeSet<String>) -> Option<String> {
    let Some(found) = block.text("name") else {
        if !block.has("name") {
            block.problem("name", "is missing; it is what the webhook is called everywhere");
        }
        return None;
    };
    let name = found.value.to_owned();
    if !is_plain_name(&name) {
        block.problem("name", format!("{name:?} is not a plain name: letters, digits, . _ -"));
    } else if names.insert(name.clone()) {
        return Some(name);
    } else {
        block.problem("name", format!("{name:?} has a block already; keep one of them"));
    }
    None
}

fn receiver(block: &Section<'_>, danger_plain_http: bool, given: &Given<'_>) -> Option<Address> {
    let url = block.parsed("url", address::receiver).map(|found| found.value);
    let file = block.file("url_file");
    given.must_be_readable(block, "url_file", file.as_ref());
    let file = file.map(|found| found.value);
    if block.has("url") && block.has("url_file") {
        block.problem("url_file", "stands beside url; keep one of them");
    } else if !block.has("url") && !block.has("url_file") {
        let text = "is missing; write where the receiver is, or name a file that does as url_file";
        block.problem("url", text);
    }
    if url.as_ref().is_some_and(|url| url.starts_with("http://")) && !danger_plain_http {
        block.problem(
            "url",
            "is plain http: what is sent can be read and changed on the way; use https or set danger_plain_http = true",
        );
    }
    url.map(|url| Address::Url(Secret::new(url))).or_else(|| file.map(Address::File))
}

fn format(text: &str) -> Result<Format, String> {
    Format::ALL
        .into_iter()
        .find(|format| format.as_str() == text)
        .ok_or_else(|| format!("{text:?} is not one of \"cloudevents\", \"slack\", \"mail-json\""))
}

fn events(block: &Section<'_>) -> Vec<EventPattern> {
    let Some(texts) = block.list("events") else { return vec![EventPattern::all()] };
    let mut events = Vec::new();
    for text in texts {
        match text.parse::<EventPattern>() {
            Ok(pattern) => events.push(pattern),
            Err(error) => block.problem("events", error.to_string()),
        }
    }
    events
}
