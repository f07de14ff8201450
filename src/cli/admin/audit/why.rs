//! `audit why`: why an image ran at some time.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::super::client::encoded;
use super::super::connect;
use super::super::text::{Times, printable, short, wrap};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::audit::view::WhyView;
use crate::mirror::desk::view::AuditView;
use crate::text::absolute;
use crate::time::Timestamp;

/// Where the text of a line begins.
const INDENT: usize = 11;
/// Longest line of text.
const WIDTH: usize = 89;
/// Most records that are printed, before and since, each; JSON has more.
const RECORDS_SHOWN: usize = 10;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique audit why ghcr.io/acme/app@sha256:9f1c... --at 2026-11-20
  pratique audit why ghcr.io/acme/app:1.4 --at 2026-11-20T10:00:00Z --json
  pratique audit why ghcr.io/acme/app:1.4          now

A date means its end (UTC). It ends with 0 when the image was served (admitted, watched, or by a break-glass), 3 when it was
refused or waited, 2 when the audit does not know.";

/// Which image, and when.
#[derive(Debug, clap::Args)]
pub(crate) struct WhyArguments {
    /// The image, by digest, or by a tag as it was served then
    image: String,
    /// The time, as 2026-11-20 or 2026-11-20T10:00:00Z; without it, now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
}

/// The moment that `text` means; a date is its end.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let day = text.parse::<jiff::civil::Date>().map_err(|_| ());
    let at = day.and_then(|day| format!("{day}T23:59:59.999Z").parse().map_err(|_| ()));
    at.map_err(|()| "write it as 2026-11-20 or 2026-11-20T10:00:00Z".to_owned())
}

/// `audit why`
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    arguments: WhyArguments,
) -> Result<ExitCode, CliError> {
    let at = arguments.at.map(|at| format!("&at={}", encoded(&at.to_string())));
    let path = format!("/audit/why?image={}{}", encoded(&arguments.image), at.unwrap_or_default());
    let view: WhyView = connect::client(connection)?.get(&path).await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&render(&view, connect::times(connection)))?;
    }
    Ok(match view.state.as_str() {
        "admitted" | "break-glass" | "observed" => Exit::Done,
        "refused" | "pending" => Exit::Refused,
        _ => Exit::Unreachable,
    }
    .into())
}

fn line(out: &mut String, label: &str, text: &str) {
    for (place, text) in wrap(text, WIDTH).iter().enumerate() {
        let label = if place == 0 { label } else { "" };
        let _infallible = writeln!(out, "{label:<INDENT$}{text}");
    }
}

fn render(view: &WhyView, times: Times) -> String {
    let mut out = format!("{}  ->  {}\n", printable(&view.image), short(&view.digest));
    let at = absolute(view.at);
    line(&mut out, "at", &at);
    line(&mut out, "state", &format!("{}: {}", view.state.to_uppercase(), view.because));
    if let Some(tag) = &view.tag {
        let since = absolute(tag.since);
        let text = format!("{} was this digest since {since} (record {})", tag.tag, tag.sequence);
        line(&mut out, "tag", &text);
    }
    if let Some(index) = &view.index {
        line(&mut out, "index", index);
    }
    facts(&mut out, view);
    let skipped = view.before.len().saturating_sub(RECORDS_SHOWN);
    records(&mut out, "before", view.before.iter().skip(skipped), times);
    records(&mut out, "since", view.since.iter().take(RECORDS_SHOWN), times);
    for unknown in &view.unknown {
        line(&mut out, "not known", unknown);
    }
    out
}

/// What was judged, decided and in force.
fn facts(out: &mut String, view: &WhyView) {
    if let Some(verdict) = &view.verdict {
        let mut text = verdict.verdict.clone();
        if let Some(rule) = &verdict.rule {
            let _infallible = write!(text, " by rule {rule}");
        }
        let _infallible = write!(text, ", {} (record {})", absolute(verdict.at), verdict.sequence);
        line(out, "verdict", &text);
        for (label, part) in
            [("reasons", &verdict.reasons), ("checks", &verdict.checks), ("under", &verdict.policy)]
        {
            if let Some(part) = part {
                line(out, label, part);
            }
        }
    }
    if let Some(decision) = &view.decision {
        let mut text = format!("{} by {}", decision.decision, decision.by);
        if let Some(request) = &decision.request {
            let _infallible = write!(text, ", answering {request}");
        }
        if let Some(expires) = decision.expires {
            let _infallible = write!(text, ", until {}", absolute(expires));
        }
        let at = absolute(decision.at);
        let _infallible =
            write!(text, ", {at} (record {}): {}", decision.sequence, decision.reason);
        line(out, "people", &text);
    }
    if let Some(policy) = &view.policy {
        let text = format!(
            "{} revision {} since {} (record {}), {}",
            policy.name,
            policy.revision,
            absolute(policy.since),
            policy.sequence,
            policy.id
        );
        line(out, "policy", &text);
    }
}

fn records<'a>(
    out: &mut String,
    label: &str,
    records: impl Iterator<Item = &'a AuditView>,
    times: Times,
) {
    for (place, record) in records.enumerate() {
        let label = if place == 0 { label } else { "" };
        let why = record.reason.as_deref().unwrap_or_default();
        let text = format!(
            "{} {} {} by {}: {why}",
            record.sequence,
            times.past(record.at),
            record.action,
            record.by
        );
        // One line each; the record itself has the rest.
        let mut lines = wrap(&text, WIDTH);
        lines.truncate(1);
        line(out, label, &lines.concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_or_the_end_of_a_day() {
        assert_eq!(moment("2026-11-20").unwrap().to_string(), "2026-11-20T23:59:59.999Z");
        assert_eq!(moment("2026-11-20T10:00:00Z").unwrap().to_string(), "2026-11-20T10:00:00Z");
        for wrong in ["", "yesterday", "2026-13-40"] {
            assert!(moment(wrong).unwrap_err().contains("2026-11-20T10"), "{wrong}");
        }
    }
}
