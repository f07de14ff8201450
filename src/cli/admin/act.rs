//! `approve`, `reject`, `revoke`, `reinstate`.

use std::process::ExitCode;

use super::{connect, expiry, lists};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::view::{DecidedView, DecisionBody};
use crate::time::{Clock as _, SystemClock};

/// What is decided about, and why.
#[derive(Debug, clap::Args)]
pub(super) struct DecisionArguments {
    /// A request or an image (IMAGE@DIGEST, or IMAGE:TAG for what the tag means now)
    target: String,
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// What is approved, why, and until when.
#[derive(Debug, clap::Args)]
pub(super) struct ApproveArguments {
    #[command(flatten)]
    decision: DecisionArguments,
    /// Until when: a length (12h, 90d, 8w) or a date (2027-02-21); without it, until undone
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
}

/// Approves.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn approve(
    connection: &Connection,
    arguments: ApproveArguments,
) -> Result<ExitCode, CliError> {
    let parse = |text: String| expiry::parse(&text, SystemClock.now());
    let expires = arguments.expires.map(parse).transpose();
    let expires = expires.map_err(|error| CliError::misused(error.to_string()))?;
    let DecisionArguments { target, reason } = arguments.decision;
    send(connection, "/approvals", DecisionBody { target, reason, expires }).await
}

/// Decides by a POST to `path`.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn decide(
    connection: &Connection,
    path: &str,
    arguments: DecisionArguments,
) -> Result<ExitCode, CliError> {
    let DecisionArguments { target, reason } = arguments;
    send(connection, path, DecisionBody { target, reason, expires: None }).await
}

async fn send(
    connection: &Connection,
    path: &str,
    body: DecisionBody,
) -> Result<ExitCode, CliError> {
    let view: DecidedView = connect::client(connection)?.post(path, &body).await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&lists::decided(&view, connect::times(connection)))?;
    }
    Ok(Exit::Done.into())
}
