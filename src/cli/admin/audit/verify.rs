//! `audit verify`: of a running server, of a data directory, of an export.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::connect;
use super::super::text::{Times, count, printable};
use super::{data_dir, unreadable};
use crate::cli::{CliError, Connection, Exit, output};
use crate::ledger::{self, AuditReport, Trust};
use crate::mirror::desk::audit::report_view;
use crate::mirror::desk::view::AuditReportView;
use crate::transparency::{Checkpoint, VerifierKey};

/// Longest checkpoint file that is read, in bytes.
const CHECKPOINT_BYTES_MAX: u64 = 64 << 10;
/// Said where everything that was checked comes from one place.
const OWN_WORD: &str = "\
Key and checkpoints are the ledger's own. Whoever rewrote them with the records is caught by
--key and --checkpoint that were kept elsewhere.
";

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique audit verify                            ask the running server
  pratique audit verify --offline                  read the data directory, server running or not
  pratique audit verify /var/lib/pratique          the same, of that directory
  pratique audit verify audit.jsonl                read an export, on any machine
  pratique audit verify --offline --segment /archive/000000000001-000000081234.jsonl.zst
                                                   read records, too, that left the database
  pratique audit verify --key \"$(cat audit.vkey)\" --checkpoint audit.checkpoint
                                                   trust what was kept elsewhere, and nothing else

It ends with 3 when something is wrong, and names the first bad record; with 2 when a checkpoint that was
given is of records that were not read.";

/// What to check, and what to trust.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    /// A data directory, or a file that `audit export` wrote; without it, the server is asked, or the data
    /// directory of the settings is read where something below says so
    path: Option<PathBuf>,
    /// Read the data directory, whether a server runs or not; nothing in it is changed
    #[arg(long)]
    offline: bool,
    /// Count only checkpoints that are signed by this public key, as `audit key` printed it; may be given
    /// several times
    #[arg(long = "key", value_name = "VKEY")]
    keys: Vec<String>,
    /// Demand that the records continue the checkpoint in this file, as `audit checkpoint` printed it; may
    /// be given several times
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Read this file with archived records, too, wherever it is kept; may be given several times. Those in
    /// audit/segments of a data directory are read without being named
    #[arg(long = "segment", value_name = "FILE")]
    segments: Vec<PathBuf>,
}

/// `audit verify`; a damaged audit ends with the code for no.
///
/// # Errors
/// When what is to be checked, or to be trusted, cannot be read.
pub(super) async fn run(
    connection: &Connection,
    arguments: VerifyArguments,
) -> Result<ExitCode, CliError> {
    let trust = Trust {
        keys: arguments.keys.iter().map(|key| verifier_key(key)).collect::<Result<_, _>>()?,
        checkpoints: arguments
            .checkpoints
            .iter()
            .map(|path| checkpoint(path))
            .collect::<Result<_, _>>()?,
        segments: arguments.segments,
    };
    let trusts_itself = trust.keys.is_empty() && trust.checkpoints.is_empty();
    let view = match &arguments.path {
        None if trusts_itself && trust.segments.is_empty() && !arguments.offline => {
            connect::client(connection)?.get("/audit/verify").await?
        }
        None => report_view(&directory(&data_dir(connection)?, &trust)?),
        Some(path) if path.is_dir() => report_view(&directory(path, &trust)?),
        Some(path) => report_view(&export(path, &trust)?),
    };
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&render(&view, trusts_itself, connect::times(connection)))?;
    }
    Ok(if !view.intact {
        Exit::Refused
    } else if view.unchecked.is_empty() {
        Exit::Done
    } else {
        // What was demanded could not be looked at.
        Exit::Unreachable
    }
    .into())
}

fn directory(dir: &Path, trust: &Trust) -> Result<AuditReport, CliError> {
    ledger::verify_audit(dir, trust).map_err(unreadable)
}

fn export(path: &Path, trust: &Trust) -> Result<AuditReport, CliError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        CliError::unreachable(format!("{} cannot be checked", path.display())).caused_by(error)
    };
    let file = File::open(path).map_err(|error| failed(error.into()))?;
    ledger::verify_export(file, trust).map_err(|error| failed(error.into()))
}

fn verifier_key(text: &str) -> Result<VerifierKey, CliError> {
    text.trim().parse().map_err(|error| {
        CliError::misused(format!("{text:?} is no public key of `pratique audit key`"))
            .caused_by(error)
    })
}

fn checkpoint(path: &Path) -> Result<Checkpoint, CliError> {
    let failed = |error: std::io::Error| {
        CliError::unreachable(format!("the checkpoint {} cannot be read", path.display()))
            .caused_by(error)
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(CHECKPOINT_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Checkpoint::parse(&text).map_err(|error| {
        CliError::misused(format!("{} is no checkpoint", path.display())).caused_by(error)
    })
}

fn render(view: &AuditReportView, trusts_itself: bool, times: Times) -> String {
    let records = count(view.records, "record");
    let mut out = if view.intact {
        format!("audit intact: {records}, head {}\n", view.head.as_deref().unwrap_or("none"))
    } else {
        format!("audit DAMAGED after {records}: {}\n", view.problems.join("; "))
    };
    let signed = match (&view.key, view.covered) {
        (Some(key), covered) => format!(
            "up to record {covered}, by {} with\n             {}",
            count(view.checkpoints, "checkpoint"),
            printable(key)
        ),
        (None, 0) => "no record".to_owned(),
        (None, covered) => format!("up to record {covered}, by the checkpoint that was given"),
    };
    let _infallible = writeln!(out, "signed       {signed}");
    if let Some(since) = view.uncovered_since {
        let from = view.covered + 1;
        let _infallible =
            writeln!(out, "not covered  from record {from} on, written {}", times.past(since));
    }
    for note in &view.notes {
        for (place, line) in super::super::text::wrap(note, 87).iter().enumerate() {
            let label = if place == 0 { "note" } else { "" };
            let _infallible = writeln!(out, "{label:<13}{line}");
        }
    }
    if trusts_itself {
        out.push_str(OWN_WORD);
    }
    out
}
