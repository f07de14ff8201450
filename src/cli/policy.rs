//! `pratique policy check`: what the mirror would say to a policy file, without a mirror.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{CliError, output};
use crate::mirror::{PolicyError, load_policy};

const EXAMPLES: &str = "\
Examples:
  pratique policy check policy.yaml
  pratique policy check --json policy.yaml

Exit codes: 0 good, 64 with mistakes, 2 not readable.";

/// What can be done with a policy file.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PolicyCommand {
    /// Name every mistake in a policy file, and in the key files that it names
    #[command(after_help = EXAMPLES)]
    Check {
        /// The policy file
        file: PathBuf,
    },
}

/// A policy file without mistakes.
#[derive(Debug, Serialize)]
struct Good<'a> {
    file: &'a Path,
    name: &'a str,
    revision: u64,
    rules: usize,
}

/// One mistake.
#[derive(Debug, Serialize)]
struct Mistake<'a> {
    line: usize,
    column: usize,
    key: &'a str,
    text: &'a str,
}

/// Runs `command`.
///
/// # Errors
/// When the file has mistakes or cannot be read.
pub(crate) fn run(command: PolicyCommand, json: bool) -> Result<(), CliError> {
    let PolicyCommand::Check { file } = command;
    let policy = load_policy(Some(&file)).map_err(|error| refused(error, json))?;
    let (name, revision, rules) = (policy.name(), policy.revision(), policy.rules().len());
    if json {
        return output::print_json(&Good { file: &file, name, revision, rules });
    }
    let plural = if rules == 1 { "" } else { "s" };
    output::print(&format!(
        "{}: no problems (policy {name}, revision {revision}, {rules} rule{plural})",
        file.display()
    ))
}

/// What to say of a policy that is not taken; with `json`, its mistakes are printed as such.
pub(super) fn refused(error: PolicyError, json: bool) -> CliError {
    match error {
        PolicyError::Problems { problems, .. } if json => {
            let mistakes: Vec<_> = problems
                .iter()
                .map(|problem| Mistake {
                    line: problem.line,
                    column: problem.column,
                    key: &problem.key,
                    text: &problem.text,
                })
                .collect();
            match output::print_json(&serde_json::json!({ "problems": mistakes })) {
                Ok(()) => CliError::misused("the policy has mistakes"),
                Err(error) => error,
            }
        }
        error @ PolicyError::Problems { .. } => CliError::misused(error.to_string()),
        error @ (PolicyError::Ledger { .. } | PolicyError::Read { .. }) => {
            CliError::unreachable("no policy").caused_by(error)
        }
    }
}
