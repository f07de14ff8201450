//! `question` and `answer`: what whoever decides about a request has to know first.

use std::process::ExitCode;

use super::client::encoded;
use super::{connect, lists};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::view::{RemarkBody, RequestView};

/// What is asked or answered, and about which request.
#[derive(Debug, clap::Args)]
pub(crate) struct RemarkArguments {
    /// The request, for example R-42
    request: String,
    /// What is asked, or said; kept with the request and in the audit
    #[arg(long, value_name = "TEXT")]
    text: String,
}

/// Sends it to the `questions` or the `answers` of the request, and shows the request.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn send(
    connection: &Connection,
    to: &str,
    arguments: RemarkArguments,
) -> Result<ExitCode, CliError> {
    let RemarkArguments { request, text } = arguments;
    let path = format!("/requests/{}/{to}", encoded(&request));
    let view: RequestView = connect::client(connection)?.post(&path, &RemarkBody { text }).await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&lists::request(&view, connect::times(connection)))?;
    }
    Ok(Exit::Done.into())
}
