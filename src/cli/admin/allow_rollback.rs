//! `policy allow-rollback`: an older policy, once.

use std::process::ExitCode;

use super::connect;
use super::text::printable;
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::view::{RejudgeBody, RollbackAllowedView};

/// Has it allowed, and tells until when.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(in crate::cli) async fn run(
    connection: &Connection,
    reason: String,
) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    let body = RejudgeBody { reason };
    let view: RollbackAllowedView = client.post("/policy/rollbacks", &body).await?;
    if connection.json {
        output::print_json(&view)?;
        return Ok(Exit::Done.into());
    }
    let (name, revision) = (&view.in_force.name, view.in_force.revision);
    output::print(&printable(&format!(
        "the next policy may be older than {name} revision {revision}: once, and until {}",
        view.until
    )))?;
    Ok(Exit::Done.into())
}
