//! `pratique config check`: what the mirror would be told, without a mirror.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{CliError, output};
use crate::config::{self, Failure, Overrides, Problems};
use crate::mirror::load_policy;

const EXAMPLES: &str = "\
Examples:
  pratique config check /etc/pratique/pratique.toml
  pratique config check            the defaults
  pratique config check --json     for programs

Prints every setting that would be in force, defaults included, as a settings file. Secrets are
paths there and stay paths. Exit codes: 0 good, 64 with mistakes, 2 not readable.";

/// What can be done with a settings file.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Name every mistake in a settings file, or print what is in force
    #[command(after_help = EXAMPLES)]
    Check {
        /// The settings file, instead of --config
        file: Option<PathBuf>,
    },
}

/// One mistake.
#[derive(Debug, Serialize)]
struct Mistake<'a> {
    line: Option<usize>,
    key: &'a str,
    text: &'a str,
}

/// Runs `command`; `common_file` is what `--config` says.
///
/// # Errors
/// When the file, or the policy that it names, has mistakes or cannot be read.
pub(crate) fn run(
    command: ConfigCommand,
    common_file: Option<&Path>,
    json: bool,
) -> Result<(), CliError> {
    let ConfigCommand::Check { file } = command;
    let file = file.as_deref().or(common_file);
    let settings =
        config::load(file, &Overrides::default()).map_err(|error| refused(error, json))?;
    if let Err(error) = load_policy(settings.policy.as_deref()) {
        return Err(CliError::misused(error.to_string()));
    }
    if json {
        return output::print_json(&settings.effective());
    }
    let text = toml::to_string(&settings.effective())
        .map_err(|error| CliError::failed("the settings cannot be shown").caused_by(error))?;
    output::print(&text)
}

fn refused(failure: Failure, json: bool) -> CliError {
    match failure {
        Failure::Problems(problems) if json => match print_mistakes(&problems) {
            Ok(()) => CliError::misused("the settings have mistakes"),
            Err(error) => error,
        },
        Failure::Problems(problems) => {
            let policy = problems.policy.as_deref().and_then(|path| load_policy(Some(path)).err());
            let policy = policy.map_or(String::new(), |error| format!("\n{error}"));
            CliError::misused(format!("{problems}{policy}"))
        }
        failure @ Failure::Read { .. } => CliError::unreachable("no settings").caused_by(failure),
    }
}

fn print_mistakes(problems: &Problems) -> Result<(), CliError> {
    let mistakes: Vec<_> = problems
        .problems
        .iter()
        .map(|problem| Mistake { line: problem.line, key: &problem.key, text: &problem.text })
        .collect();
    output::print_json(&serde_json::json!({ "problems": mistakes }))
}
