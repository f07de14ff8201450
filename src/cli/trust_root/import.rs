//! `pratique trust-root import`: a newer root in the place of an older one, never the other way round.

use std::path::PathBuf;

use super::place::{Candidate, check_name};
use super::{mistakes_text, text_of};
use crate::cli::{CliError, output};
use crate::signature::{TrustRoot, mistakes_in};

/// What is put where.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArguments {
    /// The file to take: a `trusted_root.json`
    file: PathBuf,
    /// What the policy calls it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Where to put it
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// Replace what is there even by something that is older, lists less, or counts for longer
    #[arg(long)]
    force: bool,
}

/// Runs the command.
///
/// # Errors
/// When the file has mistakes, is not taken, or cannot be written.
pub(super) fn run(arguments: &ImportArguments, json: bool) -> Result<(), CliError> {
    let ImportArguments { file, name, to, force } = arguments;
    check_name(name)?;
    let text = text_of(file)?;
    let Ok(root) = TrustRoot::from_json(&text) else {
        return Err(CliError::misused(mistakes_text(file, &mistakes_in(&text))));
    };
    let placed = Candidate { name, to, text: &text, root: &root }.place(*force)?;
    if json {
        return output::print_json(&placed);
    }
    for warning in &placed.warnings {
        output::message(&format!("warning: {warning}"));
    }
    output::print(&placed.told())
}
