//! `approve`, `reject`, `revoke`, `reinstate`.

use std::process::ExitCode;

use super::{connect, expiry, lists, whereabouts};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::inventory::SoughtAs;
use crate::mirror::desk::view::{DecidedView, DecisionBody};
use crate::time::{Clock as _, SystemClock, Timestamp};

/// Most that is decided about by one command.
const TARGETS_MAX: usize = 50;

/// What is decided about, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct DecisionArguments {
    /// Requests or images (IMAGE@DIGEST, or IMAGE:TAG for what the tag means now); several get one
    /// decision each, with the same reason
    #[arg(required = true, value_name = "TARGET", num_args = 1..=TARGETS_MAX)]
    targets: Vec<String>,
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// What is approved, why, and until when.
#[derive(Debug, clap::Args)]
pub(crate) struct ApproveArguments {
    #[command(flatten)]
    decision: DecisionArguments,
    /// Until when: a length (12h, 90d, 8w) or a date (2027-02-21); without it, until undone
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
}

pub(super) const REVOKE_EXAMPLES: &str = "\
Examples:
  pratique revoke docker.io/library/redis@sha256:9f1c03ab77de... --dry-run
      Only tell what runs it now, as clusters reported.
  pratique revoke R-42 --reason \"key of the vendor compromised, SEC-991\"";

/// What is revoked, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArguments {
    /// Requests or images (IMAGE@DIGEST, or IMAGE:TAG for what the tag means now); several get one
    /// decision each, with the same reason
    #[arg(required = true, value_name = "TARGET", num_args = 1..=TARGETS_MAX)]
    targets: Vec<String>,
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Only tell what runs them now, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Revokes, or tells what runs what would be revoked.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn revoke(
    connection: &Connection,
    arguments: RevokeArguments,
) -> Result<ExitCode, CliError> {
    let RevokeArguments { targets, reason, dry_run } = arguments;
    if !dry_run {
        let arguments = DecisionArguments { targets, reason: reason.unwrap_or_default() };
        return send(connection, "/revocations", arguments, None).await;
    }
    let client = connect::client(connection)?;
    let mut views = Vec::with_capacity(targets.len());
    for target in targets {
        let view = whereabouts::whereabouts(&client, &target, Some(SoughtAs::Target)).await?;
        if !connection.json {
            output::print(&whereabouts::rendered(&view, connect::times(connection)))?;
        }
        views.push(view);
    }
    match views.as_slice() {
        [view] if connection.json => output::print_json(view)?,
        views if connection.json => output::print_json(&views)?,
        _ => output::message("nothing was revoked"),
    }
    Ok(Exit::Done.into())
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
    send(connection, "/approvals", arguments.decision, expires).await
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
    send(connection, path, arguments, None).await
}

/// Decides about each target on its own. Of several, one that fails does not keep the others from being
/// decided about, unless the server cannot be reached any more.
async fn send(
    connection: &Connection,
    path: &str,
    arguments: DecisionArguments,
    expires: Option<Timestamp>,
) -> Result<ExitCode, CliError> {
    let DecisionArguments { targets, reason } = arguments;
    let client = connect::client(connection)?;
    let is_one = targets.len() == 1;
    let (mut views, mut exit, mut cut) = (Vec::new(), Exit::Done, None);
    for target in targets {
        let body = DecisionBody { target: target.clone(), reason: reason.clone(), expires };
        match client.post::<_, DecidedView>(path, &body).await {
            Ok(view) => {
                if !connection.json {
                    output::print(&lists::decided(&view, connect::times(connection)))?;
                }
                views.push(view);
            }
            Err(error) if is_one => return Err(error),
            Err(error) if error.exit() == Exit::Unreachable => {
                cut = Some(error);
                break;
            }
            Err(error) => {
                output::message(&format!("{target}: {}", error.chain()));
                if exit == Exit::Done {
                    exit = error.exit();
                }
            }
        }
    }
    if connection.json {
        match views.as_slice() {
            [view] if is_one => output::print_json(view)?,
            views => output::print_json(&views)?,
        }
    }
    cut.map_or_else(|| Ok(exit.into()), Err)
}
