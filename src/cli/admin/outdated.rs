//! `outdated`.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::connect;
use super::table::{Column, Table};
use super::text::{Times, count, printable};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::outdated::{FindingsView, NewerVersion, OutdatedView};

/// What stands where nothing is known.
const NONE: &str = "-";

/// How far back to look.
#[derive(Debug, clap::Args)]
pub(crate) struct OutdatedArguments {
    /// Look at what was served in the last so many days
    #[arg(long, value_name = "DAYS", default_value_t = crate::mirror::desk::outdated::DAYS)]
    days: u32,
    /// End with 3 when something could be newer, or is of a line that is mended no more
    #[arg(long)]
    exit_code: bool,
}

/// Lists what could be newer.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    arguments: OutdatedArguments,
) -> Result<ExitCode, CliError> {
    let path = format!("/outdated?days={}", arguments.days);
    let view: OutdatedView = connect::client(connection)?.get(&path).await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&rendered(&view, connect::times(connection)))?;
    }
    let has_ended = view.ending.iter().any(|image| image.ended);
    let is_no = arguments.exit_code && (has_ended || !view.images.is_empty());
    Ok(if is_no { Exit::Refused } else { Exit::Done }.into())
}

fn rendered(view: &OutdatedView, times: Times) -> String {
    let mut table = Table::new([
        Column::Name("IMAGE"),
        Column::Fixed("CLIENTS"),
        Column::Fixed("LAST"),
        Column::Fixed("STEP"),
        Column::Fixed("NEWER"),
        Column::Fixed("STATE"),
        Column::Text("MENDS, AND BRINGS"),
    ]);
    for image in &view.images {
        for (place, newer) in image.newer.iter().enumerate() {
            let (name, clients, last) = if place == 0 {
                let name = format!("{}:{}", image.name, image.tag);
                (name, image.clients.to_string(), times.past(image.last))
            } else {
                (String::new(), String::new(), String::new())
            };
            let (tag, state) = (newer.tag.to_string(), state(newer));
            table.row([name, clients, last, newer.step.clone(), tag, state, change(newer)]);
        }
    }
    let mut out = if view.images.is_empty() { String::new() } else { table.render() };
    let outdated = u64::try_from(view.images.len()).unwrap_or(u64::MAX);
    let of = count(view.in_use, "image");
    _ = write!(out, "{outdated} of {of} served in {} days could be newer", view.days);
    if view.without_version > 0 {
        let tags = view.without_version;
        _ = write!(out, "; {tags} without a version in their tag are compared with nothing");
    }
    out.push_str(".\n");
    for image in &view.ending {
        let ends = image.ends.to_string();
        let day = ends.split_once('T').map_or(ends.as_str(), |(day, _)| day);
        let is = if image.ended { "is mended no more since" } else { "is mended until" };
        let line = format!("{}:{}: line {} {is} {day}", image.name, image.tag, image.line);
        _ = writeln!(out, "{}", printable(&line));
    }
    for why in &view.not_listed {
        _ = writeln!(out, "not listed: {}", printable(why));
    }
    out
}

fn state(newer: &NewerVersion) -> String {
    match newer.request.filter(|_| newer.state != "admitted") {
        Some(request) => format!("{} {request}", newer.state),
        None => newer.state.clone(),
    }
}

fn change(newer: &NewerVersion) -> String {
    match (&newer.mends, &newer.brings) {
        (Some(mends), Some(brings)) => format!("{}, and {}", findings(mends), findings(brings)),
        _ => NONE.to_owned(),
    }
}

fn findings(view: &FindingsView) -> String {
    let severities = ["critical", "high", "medium", "low", "unrated"];
    let counts = severities.iter().filter_map(|word| {
        let count = view.by_severity.get(*word).filter(|count| **count > 0)?;
        Some(format!("{count} {word}"))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        return "none".to_owned();
    }
    format!("{} ({})", counts.join(", "), view.worst.join(", "))
}
