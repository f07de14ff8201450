//! `audit`: the records, whether they are whole, what is signed of them, and why something ran.

mod archive;
mod export;
mod follow;
mod verify;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use super::{connect, lists};
use crate::cli::{CliError, Connection, Exit, output};
use crate::ledger;
use crate::mirror::desk::audit::view::{CheckpointView, KeysView, ProofView};
use crate::mirror::desk::view::AuditPage;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique audit                                   the last records
  pratique audit --follow                          and each that is written from now on
  pratique audit why ghcr.io/acme/app:1.4 --at 2026-11-20
  pratique audit key > audit.vkey                  once, to be kept elsewhere
  pratique audit checkpoint > audit.checkpoint     now and then, to be kept elsewhere
  pratique audit verify --key \"$(cat audit.vkey)\" --checkpoint audit.checkpoint
  pratique audit export audit.jsonl                for another machine
  pratique audit verify audit.jsonl                there, offline
  pratique audit archive --before 400d             move old records into files";

/// Which stretch of the audit to list, or what else to do with it.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct AuditArguments {
    /// Begin with this record; without it, the last ones are shown
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    /// Show so many
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: u32,
    /// Go on with each record that is written, until stopped
    #[arg(long, conflicts_with = "from")]
    follow: bool,
    #[command(subcommand)]
    command: Option<AuditCommand>,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum AuditCommand {
    /// Move old records out of the database into files that keep the chain verifiable
    #[command(after_help = archive::EXAMPLES)]
    Archive(archive::ArchiveArguments),
    /// Print the last signed checkpoint, to be kept elsewhere
    Checkpoint(CheckpointArguments),
    /// Write the records and checkpoints to a file, for another machine
    Export(export::ExportArguments),
    /// Print the public key that signs checkpoints, to be kept elsewhere
    Key(KeyArguments),
    /// Prove that one record is in the audit, for who has a checkpoint and not the audit
    Proof {
        /// The number of the record
        number: u64,
    },
    /// Check that no record was changed, removed, moved or cut off, and what is signed
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArguments),
    /// Tell why an image ran at some time, or did not: rule, policy, who approved it, what changed since
    #[command(after_help = why::EXAMPLES)]
    Why(why::WhyArguments),
}

/// Which checkpoint.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckpointArguments {
    /// Have one signed first that covers every record
    #[arg(long, conflicts_with = "offline")]
    now: bool,
    /// Read it from the data directory, whether a server runs or not
    #[arg(long)]
    offline: bool,
}

/// Which keys.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArguments {
    /// Print the keys that signed before, too, the oldest first
    #[arg(long)]
    all: bool,
    /// Read them from the data directory, whether a server runs or not
    #[arg(long)]
    offline: bool,
}

/// `audit` and what is below it.
///
/// # Errors
/// When the server or the file cannot be reached or read, or the server says no.
pub(super) async fn run(
    connection: &Connection,
    arguments: AuditArguments,
) -> Result<ExitCode, CliError> {
    match arguments.command {
        None if arguments.follow => {
            follow::run(connection, &format!("/audit?limit={}", arguments.limit)).await
        }
        None => list(connection, arguments.from, arguments.limit).await,
        Some(AuditCommand::Archive(arguments)) => archive::run(connection, arguments).await,
        Some(AuditCommand::Checkpoint(arguments)) => checkpoint(connection, &arguments).await,
        Some(AuditCommand::Export(arguments)) => export::run(connection, &arguments).await,
        Some(AuditCommand::Key(arguments)) => key(connection, &arguments).await,
        Some(AuditCommand::Proof { number }) => proof(connection, number).await,
        Some(AuditCommand::Verify(arguments)) => verify::run(connection, arguments).await,
        Some(AuditCommand::Why(arguments)) => why::run(connection, arguments).await,
    }
}

async fn list(
    connection: &Connection,
    from: Option<u64>,
    limit: u32,
) -> Result<ExitCode, CliError> {
    let from = from.map(|from| format!("&from={from}")).unwrap_or_default();
    let client = connect::client(connection)?;
    let mut page: AuditPage = client.get(&format!("/audit?limit={limit}{from}")).await?;
    // The server gives so many at a time, and says where it goes on.
    while let Some(next) = page.next {
        let have = u32::try_from(page.records.len()).unwrap_or(u32::MAX);
        let missing = limit.saturating_sub(have);
        if missing == 0 {
            break;
        }
        let more: AuditPage = client.get(&format!("/audit?limit={missing}&from={next}")).await?;
        page.records.extend(more.records);
        page.next = more.next;
    }
    if connection.json {
        output::print_json(&page)?;
    } else {
        output::print(&lists::audit(&page, connect::times(connection)))?;
    }
    Ok(Exit::Done.into())
}

async fn checkpoint(
    connection: &Connection,
    arguments: &CheckpointArguments,
) -> Result<ExitCode, CliError> {
    let view: CheckpointView = if arguments.offline {
        checkpoint_in(&data_dir(connection)?)?
    } else if arguments.now {
        connect::client(connection)?.post("/audit/checkpoint", &serde_json::json!({})).await?
    } else {
        connect::client(connection)?.get("/audit/checkpoint").await?
    };
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&view.checkpoint)?;
    }
    Ok(Exit::Done.into())
}

fn checkpoint_in(dir: &std::path::Path) -> Result<CheckpointView, CliError> {
    let checkpoint = ledger::last_checkpoint(dir).map_err(unreadable)?;
    let checkpoint = checkpoint.ok_or_else(|| {
        CliError::failed(format!("there is no checkpoint of the audit in {}", dir.display()))
    })?;
    let keys = ledger::audit_keys(dir).map_err(unreadable)?;
    Ok(CheckpointView {
        origin: checkpoint.origin().to_owned(),
        size: checkpoint.size(),
        root: checkpoint.root().to_string(),
        checkpoint: checkpoint.as_str().to_owned(),
        key: keys.last().map(ToString::to_string),
    })
}

async fn key(connection: &Connection, arguments: &KeyArguments) -> Result<ExitCode, CliError> {
    let view: KeysView = if arguments.offline {
        let keys = ledger::audit_keys(&data_dir(connection)?).map_err(unreadable)?;
        KeysView { keys: keys.iter().map(ToString::to_string).collect() }
    } else {
        connect::client(connection)?.get("/audit/keys").await?
    };
    if view.keys.is_empty() {
        return Err(CliError::failed("there is no key for checkpoints yet"));
    }
    if connection.json {
        output::print_json(&view)?;
        return Ok(Exit::Done.into());
    }
    let shown = if arguments.all { 0 } else { view.keys.len() - 1 };
    output::print(&view.keys.get(shown..).unwrap_or_default().join("\n"))?;
    Ok(Exit::Done.into())
}

async fn proof(connection: &Connection, number: u64) -> Result<ExitCode, CliError> {
    let path = format!("/audit/proof?seq={number}");
    let view: ProofView = connect::client(connection)?.get(&path).await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&view.proof)?;
    }
    Ok(Exit::Done.into())
}

fn data_dir(connection: &Connection) -> Result<PathBuf, CliError> {
    Ok(connect::settings(connection)?.data_dir)
}

fn unreadable(error: ledger::Error) -> CliError {
    CliError::unreachable("the audit cannot be read").caused_by(error)
}
