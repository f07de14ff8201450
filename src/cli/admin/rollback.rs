//! `rollback`: back to a snapshot of the ledger, while the server is down.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::connect;
use super::table::{Column, Table};
use super::text::{Times, count, printable};
use crate::cli::{CliError, Connection, Exit, output};
use crate::ledger::{self, Loss, Snapshot};
use crate::time::SystemClock;

/// To which snapshot, and whether to do it.
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArguments {
    /// The snapshot, by the name in the list; without it, the list is printed
    snapshot: Option<String>,
    /// Do it, with the loss that is shown without this
    #[arg(long, requires = "snapshot")]
    yes: bool,
}

/// Lists snapshots, shows what going back to one would lose, or goes back.
///
/// # Errors
/// When there is no such snapshot, it is not whole, or a server uses the data directory.
pub(super) fn run(
    connection: &Connection,
    arguments: &RollbackArguments,
) -> Result<ExitCode, CliError> {
    let dir = connect::settings(connection)?.data_dir;
    let times = connect::times(connection);
    let Some(name) = &arguments.snapshot else { return list(connection, &dir, times) };
    let failed = |error: ledger::Error| CliError::failed("nothing was changed").caused_by(error);
    let snapshot = ledger::snapshot(&dir, name).map_err(failed)?;
    let loss = ledger::loss(&dir, &snapshot).map_err(failed)?;
    if !arguments.yes {
        if connection.json {
            output::print_json(
                &json!({"snapshot": name, "done": false, "lost": loss_view(&loss)}),
            )?;
        } else {
            output::print(&shown(&snapshot, &loss, times))?;
        }
        return Ok(Exit::Refused.into());
    }
    let restored = ledger::roll_back(&dir, &snapshot, &SystemClock).map_err(failed)?;
    if connection.json {
        let replaced = &restored.replaced;
        let view = loss_view(&loss);
        output::print_json(
            &json!({"snapshot": name, "done": true, "lost": view, "replaced": replaced}),
        )?;
        return Ok(Exit::Done.into());
    }
    let kept = restored.replaced.map(|old| format!("; what it was is kept as {}", old.display()));
    output::print(&format!(
        "{} is as it was in {name}, of schema version {}{}.\n{}\
         Start the version of the program that wrote it; a later one upgrades it again.",
        dir.display(),
        snapshot.schema,
        kept.unwrap_or_default(),
        told(&loss, times),
    ))?;
    Ok(Exit::Done.into())
}

fn list(connection: &Connection, dir: &Path, times: Times) -> Result<ExitCode, CliError> {
    let snapshots = ledger::snapshots(dir)
        .map_err(|error| CliError::failed("no snapshots can be listed").caused_by(error))?;
    let losses: Vec<Option<Loss>> =
        snapshots.iter().map(|snapshot| ledger::loss(dir, snapshot).ok()).collect();
    if connection.json {
        let views: Vec<Value> = snapshots
            .iter()
            .zip(&losses)
            .map(|(snapshot, loss)| {
                json!({
                    "name": snapshot.name,
                    "schema": snapshot.schema,
                    "taken_at": snapshot.taken_at,
                    "lost": loss.as_ref().map(loss_view),
                })
            })
            .collect();
        output::print_json(&views)?;
        return Ok(Exit::Done.into());
    }
    if snapshots.is_empty() {
        output::print("There are no snapshots: no upgrade has changed this ledger's schema.")?;
        return Ok(Exit::Done.into());
    }
    let mut table = Table::new([
        Column::Name("SNAPSHOT"),
        Column::Fixed("SCHEMA"),
        Column::Fixed("TAKEN"),
        Column::Text("WOULD LOSE"),
    ]);
    for (snapshot, loss) in snapshots.iter().zip(&losses) {
        table.row([
            snapshot.name.clone(),
            snapshot.schema.to_string(),
            times.past(snapshot.taken_at),
            loss.as_ref().map_or_else(|| "it cannot be read".to_owned(), summary),
        ]);
    }
    output::print(&table.render())?;
    Ok(Exit::Done.into())
}

fn summary(loss: &Loss) -> String {
    match loss {
        Loss::Known(rows) if rows.records == 0 => "nothing on record".to_owned(),
        Loss::Known(rows) => format!(
            "{}, {} of people among them",
            count(rows.records, "audit record"),
            count(rows.decisions, "decision")
        ),
        Loss::Unknown { why } => format!("unknown: {why}"),
    }
}

/// What would be lost, decision by decision.
fn told(loss: &Loss, times: Times) -> String {
    let mut out = format!("Lost: {}.\n", summary(loss));
    let Loss::Known(rows) = loss else { return out };
    for decision in &rows.told {
        let _infallible = writeln!(
            out,
            "  {} {} by {} {}: {}",
            printable(&decision.verb),
            printable(&decision.subject),
            printable(&decision.by),
            times.past(decision.at),
            printable(&decision.reason),
        );
    }
    let untold = rows.decisions.saturating_sub(u64::try_from(rows.told.len()).unwrap_or(u64::MAX));
    if untold > 0 {
        let _infallible = writeln!(out, "  and {untold} more");
    }
    out
}

fn shown(snapshot: &Snapshot, loss: &Loss, times: Times) -> String {
    let told = told(loss, times).replacen("Lost:", "Would be lost:", 1);
    format!("{told}Nothing was changed; pratique rollback {} --yes goes back.\n", snapshot.name)
}

fn loss_view(loss: &Loss) -> Value {
    match loss {
        Loss::Known(rows) => {
            let told: Vec<Value> = rows
                .told
                .iter()
                .map(|decision| {
                    json!({
                        "sequence": decision.sequence,
                        "at": decision.at,
                        "decision": decision.verb,
                        "by": decision.by,
                        "subject": decision.subject,
                        "reason": decision.reason,
                    })
                })
                .collect();
            json!({"records": rows.records, "decisions": rows.decisions, "told": told})
        }
        Loss::Unknown { why } => json!({"unknown": why}),
    }
}
