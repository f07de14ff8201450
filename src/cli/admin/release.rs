//! `db apply`: what the vulnerability database takes back, although it is much.

use std::process::ExitCode;

use super::connect;
use super::text::count;
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::view::{RejudgeBody, ScansReleasedView};

/// Has it done, and tells what came of it.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(in crate::cli) async fn run(
    connection: &Connection,
    reason: String,
) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    let view: ScansReleasedView = client.post("/scans/releases", &RejudgeBody { reason }).await?;
    if connection.json {
        output::print_json(&view)?;
        return Ok(Exit::Done.into());
    }
    let database = view.database.as_ref().map_or("no database".to_owned(), |database| {
        format!("database {} of {}", database.digest.short(), database.as_of)
    });
    let (changed, revoked) = (view.changed, view.revoked);
    let examined = count(view.examined, "image");
    output::print(&format!(
        "{examined} judged again by {database}: {changed} verdicts changed, {revoked} images taken back."
    ))?;
    Ok(Exit::Done.into())
}
