//! `approval sign`: from a draft to a file.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::expiry;
use super::{read, read_text, text, write_new};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::approval_file::{DRAFT_BYTES_MAX, Draft, DraftError, Said, Word};
use crate::mirror::desk::REASON_LENGTH_MAX;
use crate::signature::SigningKey;
use crate::time::{Clock as _, SystemClock};

/// What is signed, with which key.
#[derive(Debug, clap::Args)]
pub(crate) struct SignArguments {
    /// The draft, as `pratique approval draft` wrote it
    draft: PathBuf,
    /// Your private key: PKCS#8 without a passphrase (PEM), ECDSA P-256 or P-384, or Ed25519
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Your name: what the policy calls your key under signers
    #[arg(long = "as", value_name = "NAME")]
    signer: String,
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Say no instead of yes
    #[arg(long)]
    reject: bool,
    /// Until when an approval is to hold: a length (12h, 90d, 8w) or a date (2027-02-21)
    #[arg(long, value_name = "WHEN", conflicts_with = "reject")]
    expires: Option<String>,
    /// Where to, a new file; without it, to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Signs.
///
/// # Errors
/// When a file cannot be read or written, or the draft is none that this signer may sign.
pub(super) fn run(connection: &Connection, arguments: SignArguments) -> Result<ExitCode, CliError> {
    let SignArguments { draft: path, key, signer, reason, reject, expires, output: to } = arguments;
    let now = SystemClock.now();
    let length = reason.chars().count();
    if reason.trim().is_empty()
        || length > REASON_LENGTH_MAX
        || reason.chars().any(char::is_control)
    {
        let text = format!("--reason is one line of 1 to {REASON_LENGTH_MAX} characters");
        return Err(CliError::misused(text));
    }
    let expires = expires.map(|text| expiry::parse(&text, now)).transpose();
    let expires = expires.map_err(|error| CliError::misused(error.to_string()))?;
    let of = |path: &std::path::Path, error: &dyn std::fmt::Display| {
        format!("{} {error}", path.display())
    };
    let content = read(&path, DRAFT_BYTES_MAX)?;
    let draft = Draft::parse(&content).map_err(|error| refused(of(&path, &error), &error))?;
    let pem = read_text(&key)?;
    let signing = SigningKey::from_pem(&pem);
    let signing = signing.map_err(|error| CliError::misused(of(&key, &error)))?;
    let decision = if reject { Said::Reject } else { Said::Approve };
    let reason = reason.trim().to_owned();
    let word = Word { decision, signer, at: now, reason, expires };
    let file = draft.sign(word, &signing);
    let file = file.map_err(|error| refused(of(&path, &error), &error))?;
    // What is signed is shown where the file does not go to.
    if !connection.json {
        output::message(&text::signing(&draft, &file, signing.public()));
    }
    let line = format!("{}\n", file.envelope.text());
    match to {
        Some(to) => write_new(&to, &line)?,
        None => output::print(&line)?,
    }
    Ok(Exit::Done.into())
}

fn refused(text: String, error: &DraftError) -> CliError {
    match error {
        DraftError::Altered(_) | DraftError::NotAsked(..) => CliError::refused(text),
        DraftError::Key(_) | DraftError::Json(_) => CliError::failed(text),
        DraftError::Kind | DraftError::Unreadable(_) => CliError::misused(text),
    }
}
