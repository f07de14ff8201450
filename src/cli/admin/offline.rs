//! `backup`, and what works on the data directory while the server is down: `restore` and
//! `token new --offline`, `user add --offline`, `user reset --offline`.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::connect;
use super::text::bytes;
use crate::cli::{CliError, Connection, Exit, output};
use crate::ledger::{self, Ledger};
use crate::metrics::Metrics;
use crate::mirror::desk;
use crate::mirror::desk::people::{self, InvitationView, PersonBody};
use crate::mirror::desk::view::{NewTokenView, TokenBody};
use crate::tasks::Tasks;
use crate::time::SystemClock;

/// Who the audit names for what was done on the data directory itself.
const BY: &str = "offline";

/// What to restore.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArguments {
    /// The backup
    file: PathBuf,
    /// Put it in the place of a ledger that is there; the old one is kept beside it
    #[arg(long)]
    replace: bool,
}

/// Writes a backup to `path`, which is made, never overwritten, and readable by its owner alone.
///
/// # Errors
/// When the file exists or cannot be written, or the server cannot be reached.
pub(super) async fn backup(connection: &Connection, path: &Path) -> Result<ExitCode, CliError> {
    let failed = |error: std::io::Error| {
        CliError::failed(format!("could not write {}", path.display())).caused_by(error)
    };
    let client = connect::client(connection)?;
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let copied = async {
        let (answer, client) = client.post_open("/backup", &json!({})).await?;
        let mut body = answer.into_body();
        let mut size: u64 = 0;
        while let Some(piece) = client.next_piece(&mut body).await? {
            file.write_all(&piece).map_err(failed)?;
            size += u64::try_from(piece.len()).unwrap_or(0);
        }
        file.sync_all().map_err(failed)?;
        sync_folder_of(path).map_err(failed)?;
        Ok(size)
    };
    match copied.await {
        Ok(size) => {
            if connection.json {
                output::print_json(&json!({"file": path, "bytes": size}))?;
            } else {
                output::print(&format!("backup written to {}, {}", path.display(), bytes(size)))?;
            }
            Ok(Exit::Done.into())
        }
        Err(error) => {
            // Half a backup is none; it was made by us a moment ago.
            drop(std::fs::remove_file(path));
            Err(error)
        }
    }
}

fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Puts a backup in the place of the ledger.
///
/// # Errors
/// When a server uses the data directory, there is a ledger and `--replace` is not given, or the
/// backup is not whole.
pub(super) fn restore(
    connection: &Connection,
    arguments: &RestoreArguments,
) -> Result<ExitCode, CliError> {
    let data_dir = connect::settings(connection)?.data_dir;
    let RestoreArguments { file, replace } = arguments;
    let restored = ledger::restore(file, &data_dir, *replace, &SystemClock).map_err(|error| {
        let hint = if matches!(error, ledger::Error::Exists { .. }) {
            "nothing was restored; --replace puts the backup in the place of what is there"
        } else {
            "nothing was restored"
        };
        CliError::failed(hint).caused_by(error)
    })?;
    if connection.json {
        let records = restored.audit_records;
        output::print_json(&json!({"audit_records": records, "replaced": restored.replaced}))?;
        return Ok(Exit::Done.into());
    }
    let kept = restored.replaced.map(|old| format!("; the old one is {}", old.display()));
    output::print(&format!(
        "restored {} with {} audit records{}",
        data_dir.display(),
        restored.audit_records,
        kept.unwrap_or_default()
    ))?;
    Ok(Exit::Done.into())
}

/// Makes a token in the data directory, while no server runs.
///
/// # Errors
/// When a server uses the data directory, or the token cannot be made.
pub(super) async fn new_token(
    connection: &Connection,
    body: TokenBody,
) -> Result<NewTokenView, CliError> {
    let ledger = opened(connection).await?;
    let made = desk::new_token(&ledger, body, BY).await;
    ledger.close().await;
    made.map_err(|error| not_made(error, "no token was made"))
}

/// Makes a person in the data directory, while no server runs.
///
/// # Errors
/// As [`new_token`].
pub(super) async fn new_person(
    connection: &Connection,
    body: PersonBody,
) -> Result<InvitationView, CliError> {
    let ledger = opened(connection).await?;
    let made = people::new_person(&ledger, body, BY).await;
    ledger.close().await;
    made.map_err(|error| not_made(error, "nobody was made"))
}

/// Takes a person of the data directory back to a one-time secret, while no server runs.
///
/// # Errors
/// As [`new_token`].
pub(super) async fn reset_person(
    connection: &Connection,
    user: &str,
) -> Result<InvitationView, CliError> {
    let ledger = opened(connection).await?;
    let made = people::reset_person(&ledger, user, BY).await;
    ledger.close().await;
    made.map_err(|error| not_made(error, "nothing was changed"))
}

/// The ledger of the data directory, which no server uses.
async fn opened(connection: &Connection) -> Result<Ledger, CliError> {
    let data_dir = connect::settings(connection)?.data_dir;
    if !data_dir.is_dir() {
        let text = format!("there is no data directory {}", data_dir.display());
        return Err(CliError::unreachable(text));
    }
    let tasks = Tasks::new();
    let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::default()));
    Ledger::open(&data_dir, clock, tasks, metrics).await.map_err(|error| {
        CliError::unreachable(format!("could not open the ledger in {}", data_dir.display()))
            .caused_by(error)
    })
}

fn not_made(error: desk::Error, nothing: &str) -> CliError {
    if matches!(error, desk::Error::Role { .. }) {
        return CliError::misused(error.to_string());
    }
    CliError::failed(nothing).caused_by(error)
}
