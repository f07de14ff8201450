//! `rejudge`: what this version decides differently from the one before.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::connect;
use super::table::{Column, Table};
use super::text::{count, printable};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::view::{RejudgeBody, RejudgementView};

/// Whether to look or to do it.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub(crate) struct RejudgeArguments {
    /// Show what would change, and change nothing
    #[arg(long, group = "what")]
    dry_run: bool,
    /// Decide again; what cannot be decided now holds as it is
    #[arg(long, group = "what", requires = "reason")]
    confirm: bool,
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Shows or does it.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    arguments: RejudgeArguments,
) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    let view: RejudgementView = match arguments.reason.filter(|_| arguments.confirm) {
        Some(reason) => client.post("/rejudgements", &RejudgeBody { reason }).await?,
        None => client.get("/rejudgements").await?,
    };
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&render(&view))?;
    }
    Ok(Exit::Done.into())
}

fn render(view: &RejudgementView) -> String {
    let mut out = String::new();
    if !view.changes.is_empty() {
        let mut table = Table::new([
            Column::Fixed("NOW"),
            Column::Fixed(if view.confirmed { "AFTER" } else { "WOULD BE" }),
            Column::Name("IMAGE"),
            Column::Text("WHY"),
        ]);
        for change in &view.changes {
            let why: Vec<&str> = change.reasons.iter().map(|reason| reason.text.as_str()).collect();
            table.row([
                change.before.clone(),
                change.after.clone(),
                printable(&change.image),
                why.join("; "),
            ]);
        }
        out = table.render();
    }
    let examined = count(view.examined, "verdict");
    let (changed, left) = (view.changed, view.left);
    let _infallible = match (view.confirmed, view.waits) {
        (true, false) => writeln!(out, "{examined} decided again, {changed} changed."),
        (true, true) => writeln!(
            out,
            "{examined} decided again, {changed} differ, {left} could not be decided now and hold \
             as they are; try again later."
        ),
        (false, true) => writeln!(
            out,
            "{examined} of an earlier version, {changed} would change. Nothing was changed; \
             pratique rejudge --confirm --reason TEXT does it."
        ),
        (false, false) if view.examined == 0 => {
            writeln!(out, "Nothing to decide again: all verdicts are of logic {}.", view.logic)
        }
        (false, false) => {
            writeln!(out, "{examined} of another version, {changed} would change.")
        }
    };
    out
}
