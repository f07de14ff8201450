//! `sandboxed`: this process confines itself as `serve` does, and tries to break out.
//!
//! Nobody needs it by hand: it is how tests see that nothing of it goes ([`crate::sandbox`]).

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;

use super::{CliError, output, serve};
use crate::config::{self, Overrides};
use crate::sandbox::{self, Targets};

/// At what it is tried.
#[derive(Debug, Args)]
pub(super) struct SandboxedArguments {
    /// A folder outside with the files `secret`, `victim` and `log`
    #[arg(long, value_name = "DIR", required_unless_present = "command")]
    outside: Option<PathBuf>,
    /// A port that no listener has
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// An abstract socket at which somebody listens
    #[arg(long, value_name = "NAME", default_value = "")]
    socket: String,
    /// Become this program instead
    #[arg(last = true, value_name = "PROGRAM")]
    command: Vec<PathBuf>,
}

/// Prints a line for each attempt: its name, and `went` or why it did not.
pub(super) fn run(
    arguments: &SandboxedArguments,
    file: Option<&Path>,
) -> Result<ExitCode, CliError> {
    let settings = config::load(file, &Overrides::default())
        .map_err(|error| CliError::misused("no settings").caused_by(error))?;
    serve::confine(&settings)?;
    if let Some((program, rest)) = arguments.command.split_first() {
        let error = Command::new(program).args(rest).exec();
        return Err(CliError::failed("it cannot be run").caused_by(error));
    }
    let targets = Targets {
        outside: arguments.outside.clone().unwrap_or_default(),
        inside: settings.data_dir.clone(),
        port: arguments.port,
        socket: arguments.socket.clone(),
    };
    let lines = sandbox::attempts(&targets).into_iter().map(|attempt| match attempt.outcome {
        Ok(()) => format!("{}: went", attempt.name),
        Err(error) => format!("{}: {error}", attempt.name),
    });
    output::print(&lines.collect::<Vec<_>>().join("\n"))?;
    Ok(ExitCode::SUCCESS)
}
