//! `pratique node permit`: the word of two people that nodes may be opened, made beforehand.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{CliError, Exit, output};
use crate::node::place;
use crate::opening::{Permit, PermitError, PermitFile};
use crate::signature::SigningKey;
use crate::time::{Clock as _, SystemClock};

/// Shown beneath the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  pratique node permit new --node 'worker-*' --longest 60 --valid 90d --for \"mirror lost, runbook 12\" \\
      --key alice.pem -o permit.jsonl
  pratique node permit sign permit.jsonl --key bob.pem
      The second person reads what it says and adds their signature.
  pratique node permit show permit.jsonl

The public keys lie on each node in /etc/pratique/openers, a PEM file each, owned by root: two of them have
to have signed. Keep the permit where it can be had with everything down.";

/// Longest file with a permit or a key, in bytes.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// What to do with permits.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PermitCommand {
    /// Write a permit, with your signature
    New(NewArguments),
    /// Add your signature to a permit
    Sign(SignArguments),
    /// Tell what a permit says
    Show(ShowArguments),
}

/// What the permit is to say.
#[derive(Debug, clap::Args)]
pub(crate) struct NewArguments {
    /// A node that it is for, by name; worker-* for all that begin so; may be repeated
    #[arg(long, value_name = "NAME", required = true)]
    node: Vec<String>,
    /// For how many minutes a node is open by it at most
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    longest: u32,
    /// How long it counts, from now on: 12h, 90d
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = super::open::time)]
    valid: std::time::Duration,
    /// What it is for
    #[arg(long = "for", value_name = "TEXT")]
    made_for: String,
    /// Your private key: PKCS#8 without a passphrase (PEM), ECDSA P-256 or P-384, or Ed25519
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to, a new file
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// Who signs what.
#[derive(Debug, clap::Args)]
pub(crate) struct SignArguments {
    /// The permit
    permit: PathBuf,
    /// Your private key, as for `new`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Which permit to show.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArguments {
    /// The permit
    permit: PathBuf,
}

/// Runs `command`.
///
/// # Errors
/// When a file cannot be read or written, or what it would say is no permit.
pub(super) fn run(command: &PermitCommand, json: bool) -> Result<ExitCode, CliError> {
    match command {
        PermitCommand::New(arguments) => new(arguments)?,
        PermitCommand::Sign(arguments) => sign(arguments)?,
        PermitCommand::Show(arguments) => show(arguments, json)?,
    }
    Ok(Exit::Done.into())
}

fn new(arguments: &NewArguments) -> Result<(), CliError> {
    let now = SystemClock.now();
    let mut id = [0; 4];
    aws_lc_rs::rand::fill(&mut id)
        .map_err(|_| CliError::failed("the system gives no random bytes"))?;
    let permit = Permit {
        id: format!("NP-{}", hex::encode(id)),
        nodes: arguments.node.clone(),
        not_before: now,
        not_after: now.after(arguments.valid),
        minutes: arguments.longest,
        made_for: arguments.made_for.trim().to_owned(),
    };
    let envelope = permit.sign(&key(&arguments.key)?).map_err(told)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o644);
    let written = options
        .open(&arguments.output)
        .and_then(|mut file| file.write_all(format!("{}\n", envelope.text()).as_bytes()));
    written.map_err(|error| {
        let text = format!("{} was not written", arguments.output.display());
        CliError::failed(text).caused_by(error)
    })?;
    output::print(&format!("{permit}\nsigned by one; it counts when another has signed it, too"))
}

fn sign(arguments: &SignArguments) -> Result<(), CliError> {
    let text = read(&arguments.permit)?;
    let file = PermitFile::parse(&text).map_err(told)?;
    let key = key(&arguments.key)?;
    if file.key_ids().any(|id| id == key.public().id()) {
        return Err(CliError::misused("this key has signed it already; another person has to"));
    }
    let envelope = file.permit.sign(&key).map_err(told)?;
    let text = format!("{}\n{}\n", text.trim_end(), envelope.text());
    place::replace(&arguments.permit, text.as_bytes(), 0o644).map_err(|error| {
        let text = format!("{} was not written", arguments.permit.display());
        CliError::failed(text).caused_by(error)
    })?;
    let count = file.key_ids().count() + 1;
    output::print(&format!("{}\nsigned by {count}", file.permit))
}

fn show(arguments: &ShowArguments, json: bool) -> Result<(), CliError> {
    let file = PermitFile::parse(&read(&arguments.permit)?).map_err(told)?;
    let keys: Vec<&str> = file.key_ids().collect();
    if json {
        return output::print_json(&serde_json::json!({"permit": file.permit, "keys": keys}));
    }
    let keys = keys.join("\n         ");
    output::print(&format!(
        "{}\nkeys     {keys}\nwhose they are says the node: pratique node open",
        file.permit
    ))
}

fn key(path: &Path) -> Result<SigningKey, CliError> {
    let pem = read(path)?;
    SigningKey::from_pem(&pem)
        .map_err(|error| CliError::misused(format!("{} {error}", path.display())))
}

/// The text of a small file.
pub(super) fn read(path: &Path) -> Result<String, CliError> {
    let failed = || CliError::unreachable(format!("{} cannot be read", path.display()));
    let content = place::read(path).map_err(|error| failed().caused_by(error))?;
    let content = content.ok_or_else(failed)?;
    if content.len() > FILE_BYTES_MAX {
        let text = format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display());
        return Err(CliError::misused(text));
    }
    String::from_utf8(content).map_err(|error| failed().caused_by(error))
}

/// What does not count is a no; what is none is wrong use.
pub(super) fn told(error: PermitError) -> CliError {
    let told = match &error {
        PermitError::Form(_) | PermitError::Sign(_) => CliError::misused("this is of no use"),
        PermitError::Io { .. } => CliError::unreachable("the permit cannot be looked at"),
        PermitError::OtherNode { .. }
        | PermitError::Time { .. }
        | PermitError::Signatures { .. }
        | PermitError::Openers { .. } => CliError::refused("the permit does not count here"),
    };
    told.caused_by(error)
}
