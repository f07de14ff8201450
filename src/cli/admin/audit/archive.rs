//! `audit archive`: old records leave the database.

use std::process::ExitCode;

use super::super::connect;
use super::super::text::{bytes, count, printable};
use crate::cli::{CliError, Connection, Exit, output};
use crate::config;
use crate::mirror::desk::audit::view::{ArchiveBody, ArchivedView, SegmentView, SegmentsView};
use crate::text::absolute;
use crate::time::Timestamp;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique audit archive --before 400d --dry-run   what would go: all that is older than 400 days
  pratique audit archive --before 2026-01-01 --reason \"retention, SEC-12\"
  pratique audit archive --list                    what went, and which files are here

Records go from the first one on, into audit/segments of the data directory. What is kept of them is
enough to verify all that comes after; with the files, everything is verified. Keep the files: copy them
elsewhere, and delete them by your own policy. No record goes that no signed checkpoint covers, that a
webhook has still to be told of, or that a break-glass which is not ended and reviewed, or an exception
which waits or is in force, rests on.";

/// Which records.
#[derive(Debug, clap::Args)]
pub(crate) struct ArchiveArguments {
    /// All that were written before this: a date (its beginning, UTC), a time, or an age such as 400d
    #[arg(
        long,
        value_name = "DATE|AGE",
        required_unless_present = "list",
        conflicts_with = "list"
    )]
    before: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", requires = "before")]
    reason: Option<String>,
    /// Only say what would be done
    #[arg(long, requires = "before")]
    dry_run: bool,
    /// List the files with what went before
    #[arg(long)]
    list: bool,
}

/// The moment that `text` means, at `now`.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, CliError> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>()
        && let Ok(at) = format!("{day}T00:00:00Z").parse()
    {
        return Ok(at);
    }
    config::duration(text).map(|age| now.before(age)).map_err(|_| {
        CliError::misused(format!(
            "{text:?} is neither a date such as 2026-01-01 nor an age such as 400d"
        ))
    })
}

/// `audit archive`
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    arguments: ArchiveArguments,
) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    let Some(before) = arguments.before else {
        let view: SegmentsView = client.get("/audit/archives").await?;
        if connection.json {
            output::print_json(&view)?;
        } else {
            output::print(&listed(&view))?;
        }
        return Ok(Exit::Done.into());
    };
    let before = moment(&before, connect::now())?;
    let body = ArchiveBody { before, reason: arguments.reason, dry_run: arguments.dry_run };
    let view: ArchivedView = client.post("/audit/archives", &body).await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&told(&view))?;
    }
    Ok(Exit::Done.into())
}

fn told(view: &ArchivedView) -> String {
    let mut lines = Vec::new();
    match (view.from, view.to) {
        (Some(from), Some(to)) => {
            let verb = if view.dry_run { "would be archived" } else { "archived" };
            let until = view.last_at.map(absolute).unwrap_or_default();
            lines.push(format!(
                "{} {verb}: {from} to {to}, the last one of {until}",
                count(view.records, "record")
            ));
        }
        _ => lines
            .push("no record is older, covered by a checkpoint, and needed by nothing".to_owned()),
    }
    lines.extend(view.segments.iter().map(line));
    if let Some(holder) = &view.held_by {
        lines.push(format!(
            "{} keeps back records that are older, too: a webhook has still to be told of them, a break-glass \
             has to be ended and reviewed, or an exception has to end first",
            printable(holder)
        ));
    }
    lines.join("\n")
}

fn listed(view: &SegmentsView) -> String {
    let mut lines: Vec<String> = view.segments.iter().map(line).collect();
    lines.push(format!("from record {} on, the audit is in the database", view.begins));
    lines.join("\n")
}

fn line(segment: &SegmentView) -> String {
    let here = if segment.here { "" } else { "  NOT HERE" };
    format!(
        "{}  {} to {}, until {}, {}  {}{here}",
        printable(&segment.file),
        segment.from,
        segment.to,
        absolute(segment.last_at),
        bytes(segment.bytes),
        segment.digest
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_beginning_and_an_age_counts_from_now() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let at = |text| moment(text, now).map(|at| at.to_string());
        assert_eq!(at("2026-01-02").unwrap(), "2026-01-02T00:00:00Z");
        assert_eq!(at("2026-01-02T03:04:05Z").unwrap(), "2026-01-02T03:04:05Z");
        assert_eq!(at("10d").unwrap(), "2026-11-10T10:00:00Z");
        for wrong in ["", "yesterday", "2026-13-01", "400", "-1d"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }
}
