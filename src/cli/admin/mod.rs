//! The admin commands: clients of the admin API.

use std::process::ExitCode;

use super::{CliError, Connection};

/// What an admin asks a running server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum AdminCommand {}

/// Runs `command` against the server that `connection` leads to.
///
/// # Errors
/// When the server cannot be reached, or says no.
#[expect(clippy::unused_async, reason = "every command talks to the server")]
pub(crate) async fn run(
    command: AdminCommand,
    _connection: Connection,
) -> Result<ExitCode, CliError> {
    match command {}
}
