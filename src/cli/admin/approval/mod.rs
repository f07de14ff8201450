//! `approval`: draft, sign, verify and list approval files.

mod sign;
mod text;

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::client::encoded;
use super::connect;
use crate::cli::{CliError, Connection, Exit, output};
use crate::config;
use crate::mirror::approval_file::{ApprovalFile, DRAFT_BYTES_MAX, Draft};
use crate::mirror::desk::files::ApprovalFilesView;
use crate::mirror::load_policy;
use crate::signature::{DSSE_BYTES_MAX, Key};
use crate::time::{Clock as _, SystemClock};

/// What `--help` ends with.
pub(super) const EXAMPLES: &str = "\
Somebody says yes by a file that they sign, and puts it into the folder that [approvals] path names, by git for
example. The policy names them: a key under signers with transparencyLog: none, and approvers: [\"signer:alice\"].

  pratique approval draft R-42 -o draft.json        what would be signed; asks the mirror
  pratique approval sign draft.json --key alice.pem --as alice --reason \"base image, reviewed\" \\
      -o approvals/redis-alice.json                 offline; shows what is signed, in words
  pratique approval verify approvals/*.json --policy policy.yaml
  pratique approval ls                              what became of each file, and why

Exit codes: 0 done, 1 failed, 2 could not reach or read, 3 decided no, 64 wrong use.";

/// What is asked about approval files.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ApprovalCommand {
    /// Write what a file about an image would be bound to now, to be signed
    Draft {
        /// A request or an image (IMAGE@DIGEST, or IMAGE:TAG for what the tag means now)
        target: String,
        /// Where to, a new file; without it, to standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List the approval files that the mirror found, whether each counts, and why not
    Ls,
    /// Sign a draft with a key of your own, offline
    Sign(sign::SignArguments),
    /// Verify approval files offline: who signed them, and what they say
    Verify(VerifyArguments),
}

/// Which files, and by what.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    /// Approval files
    #[arg(required = true, value_name = "FILE", num_args = 1..=FILES_MAX)]
    files: Vec<PathBuf>,
    /// The policy by which they have to count: its signers and approvers; without it, that of the settings
    #[arg(long, value_name = "POLICY", conflicts_with = "key")]
    policy: Option<PathBuf>,
    /// The public key that has to have signed them (PEM); whether the policy asks that signer is not looked at
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Most files that are verified at once.
const FILES_MAX: usize = 5_000;

/// Runs `command`.
///
/// # Errors
/// When the server cannot be reached, a file cannot be read, or the answer is no.
pub(super) async fn run(
    connection: &Connection,
    command: ApprovalCommand,
) -> Result<ExitCode, CliError> {
    match command {
        ApprovalCommand::Draft { target, output } => {
            draft(connection, &target, output.as_deref()).await
        }
        ApprovalCommand::Ls => list(connection).await,
        ApprovalCommand::Sign(arguments) => sign::run(connection, arguments),
        ApprovalCommand::Verify(arguments) => verify(connection, &arguments),
    }
}

async fn draft(
    connection: &Connection,
    target: &str,
    to: Option<&Path>,
) -> Result<ExitCode, CliError> {
    let path = format!("/approval-draft?target={}", encoded(target));
    let draft: Draft = connect::client(connection)?.get(&path).await?;
    draft.check().map_err(|error| CliError::failed(format!("the draft {error}")))?;
    match to {
        None => output::print_json(&draft)?,
        Some(to) => {
            let text = serde_json::to_string_pretty(&draft)
                .map_err(|error| CliError::failed("the draft is no JSON").caused_by(error))?;
            write_new(to, &format!("{text}\n"))?;
            output::message(&format!(
                "{} is drafted for {}@{}; sign it: pratique approval sign {} --key KEY.pem --as NAME --reason TEXT",
                to.display(),
                draft.name,
                draft.digest,
                to.display()
            ));
        }
    }
    Ok(Exit::Done.into())
}

async fn list(connection: &Connection) -> Result<ExitCode, CliError> {
    let view: ApprovalFilesView = connect::client(connection)?.get("/approval-files").await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&text::listed(&view, connect::times(connection)))?;
    }
    Ok(Exit::Done.into())
}

/// What came of a file that was verified.
#[derive(Debug, Serialize)]
struct Verified {
    file: String,
    #[serde(rename = "verified")]
    good: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<text::Says>,
}

fn verify(connection: &Connection, arguments: &VerifyArguments) -> Result<ExitCode, CliError> {
    let by = By::of(connection, arguments)?;
    let (mut all, mut exit) = (Vec::new(), Exit::Done);
    for path in &arguments.files {
        let content = read(path, u64::try_from(DSSE_BYTES_MAX).unwrap_or(u64::MAX))?;
        let parsed = ApprovalFile::parse(&content).map_err(|error| error.to_string());
        let checked = parsed.as_ref().map_err(Clone::clone).and_then(|file| by.check(file));
        if checked.is_err() {
            exit = Exit::Refused;
        }
        all.push(Verified {
            file: path.display().to_string(),
            good: checked.is_ok(),
            why: checked.err(),
            says: parsed.ok().map(|file| text::Says::from(&file.statement)),
        });
    }
    if connection.json {
        output::print_json(&all)?;
    } else {
        for it in &all {
            output::print(&text::verified(&it.file, it.why.as_deref(), it.says.as_ref()))?;
        }
    }
    Ok(exit.into())
}

/// By what files are verified.
enum By {
    Key(Box<Key>),
    Policy(Box<crate::gate::ReadyPolicy>),
}

impl By {
    fn of(connection: &Connection, arguments: &VerifyArguments) -> Result<Self, CliError> {
        if let Some(path) = &arguments.key {
            let pem = read_text(path)?;
            let key = Key::from_pem(&pem);
            let key =
                key.map_err(|error| CliError::misused(format!("{}: {error}", path.display())))?;
            return Ok(Self::Key(Box::new(key)));
        }
        let path = if let Some(path) = &arguments.policy {
            path.clone()
        } else {
            let settings = config::load_for_client(connection.config.as_deref());
            let settings = settings.map_err(|error| CliError::misused(error.to_string()))?;
            settings.policy.ok_or_else(|| {
                CliError::misused("say by what: --policy POLICY, or --key FILE with a public key")
            })?
        };
        let policy = load_policy(Some(&path));
        let policy = policy.map_err(|error| CliError::misused(error.to_string()))?;
        Ok(Self::Policy(Box::new(policy)))
    }

    fn check(&self, file: &ApprovalFile) -> Result<(), String> {
        match self {
            Self::Key(key) => file.envelope.verify(key).map_err(|error| error.to_string()),
            Self::Policy(policy) => file.fits(policy, SystemClock.now()),
        }
    }
}

/// The content of the file at `path`, of at most `most` bytes.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, CliError> {
    let failed = |error: io::Error| {
        CliError::unreachable(format!("{} cannot be read", path.display())).caused_by(error)
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut content = Vec::new();
    // One byte more, so that a file that is too large shows.
    file.take(most.saturating_add(1)).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

fn read_text(path: &Path) -> Result<String, CliError> {
    let content = read(path, DRAFT_BYTES_MAX)?;
    String::from_utf8(content)
        .map_err(|_| CliError::misused(format!("{} is not text in UTF-8", path.display())))
}

/// Writes `text` to `path`, which must not exist.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |error: io::Error| {
        CliError::failed(format!("{} cannot be written", path.display())).caused_by(error)
    };
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o644).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}
