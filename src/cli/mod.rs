//! The command line: one file per subcommand.
//!
//! `serve` runs the mirror; the commands of [`admin`] are clients of a running one's admin API; the
//! rest look at files and need no server. Results go to standard output, everything said about them
//! to standard error; exit codes are those of [`Exit`].

mod admin;
mod exit;
mod output;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::exit::{CliError, Exit};

const EXAMPLES: &str = "\
Examples:
  pratique serve                                  a mirror on 127.0.0.1:5000, nothing to configure
  crane manifest 127.0.0.1:5000/docker.io/library/alpine:3.20
  pratique requests                               what waits for a decision
  pratique approve R-1 --reason \"base image, reviewed\"
  pratique explain docker.io/library/alpine:3.20  why it is served, or why not

Exit codes: 0 done, 1 failed, 2 could not reach or read, 3 decided no, 64 wrong use.";

/// The trusted registry mirror: serves only images whose digests have passed the gates.
#[derive(Debug, Parser)]
#[command(name = "pratique", version, about, after_help = EXAMPLES, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
struct Common {
    /// The settings file; without it every setting has its default
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the admin API is, instead of what the settings say
    #[arg(long, global = true, value_name = "URL")]
    admin_url: Option<String>,
    /// The file with the admin token, instead of admin.token in the data directory
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print JSON for programs instead of tables for people
    #[arg(long, global = true)]
    json: bool,
    /// Print times as absolute UTC instead of relative to now
    #[arg(long, global = true)]
    utc: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Admin(admin::AdminCommand),
}

/// How an admin command finds its server, and how it prints.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The settings file to take the listener and the data directory from.
    pub(crate) config: Option<PathBuf>,
    /// The base of the admin API; wins over the settings file.
    pub(crate) admin_url: Option<String>,
    /// The file that holds the token; wins over `admin.token` in the data directory.
    pub(crate) token_file: Option<PathBuf>,
    /// Whether to print JSON.
    pub(crate) json: bool,
    /// Whether to print absolute times.
    pub(crate) utc: bool,
}

impl From<Common> for Connection {
    fn from(common: Common) -> Self {
        let Common { config, admin_url, token_file, json, utc } = common;
        Self { config, admin_url, token_file, json, utc }
    }
}

/// Parses `arguments` (the program's name first), runs the command and gives the code to end with;
/// what went wrong is printed.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Arguments { common, command } = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(help) => return print_help(&help),
    };
    match dispatch(command, common) {
        Ok(code) => code,
        Err(error) => {
            output::message(&error.chain());
            error.exit().into()
        }
    }
}

/// Help and version are results; anything else that clap says is wrong use.
fn print_help(help: &clap::Error) -> ExitCode {
    let printed = help.print();
    match (help.use_stderr(), printed) {
        (true, _) => Exit::Misused.into(),
        (false, Ok(())) => Exit::Done.into(),
        (false, Err(_)) => Exit::Failed.into(),
    }
}

fn dispatch(command: Command, common: Common) -> Result<ExitCode, CliError> {
    match command {
        Command::Admin(command) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| CliError::failed("could not start").caused_by(error))?;
            runtime.block_on(admin::run(command, common.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Arguments::command().debug_assert();
    }
}
