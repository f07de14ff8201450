//! `audit --follow`: records as they are written.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::admin::client::Client;
use crate::cli::admin::{connect, lists};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::view::{AuditPage, AuditView};

/// How long to wait before listening again, when the stream was cut off.
const PAUSE: Duration = Duration::from_secs(3);
/// Longest line of an event, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Prints the records of `path`, and then each that is written, until it is stopped.
///
/// # Errors
/// When the server cannot be reached at first, or says no.
pub(super) async fn run(connection: &Connection, path: &str) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    let page: AuditPage = client.get(path).await?;
    let mut last = page.records.last().map_or(0, |record| record.sequence);
    for record in &page.records {
        show(connection, record)?;
    }
    loop {
        match listen(connection, &client, &mut last).await {
            Ok(()) => {}
            // A server that restarts is away for a while.
            Err(error) if error.exit() == Exit::Unreachable => output::message(&error.to_string()),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Prints what is written after `last`, until the stream ends.
async fn listen(connection: &Connection, client: &Client, last: &mut u64) -> Result<(), CliError> {
    let mut body = client.listen("/events", *last).await?;
    let mut rest: Vec<u8> = Vec::new();
    while let Some(piece) = client.next_piece(&mut body).await? {
        rest.extend_from_slice(&piece);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if let Some(record) = record_in(&line) {
                *last = record.sequence;
                show(connection, &record)?;
            }
        }
        if rest.len() > LINE_BYTES_MAX {
            return Err(CliError::failed("an event has a line that is too long"));
        }
    }
    Ok(())
}

/// The record in a line of the stream, if it has one.
fn record_in(line: &[u8]) -> Option<AuditView> {
    serde_json::from_slice(line.strip_prefix(b"data: ")?).ok()
}

fn show(connection: &Connection, record: &AuditView) -> Result<(), CliError> {
    if !connection.json {
        return output::print(&lists::audit_line(record, connect::times(connection)));
    }
    let line = serde_json::to_string(record);
    let line = line.map_err(|error| CliError::failed("could not write JSON").caused_by(error))?;
    output::print(&line)
}
