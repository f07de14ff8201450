//! `requests`, `show`, `explain`, `observed`, `audit`, `status`.

use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::encoded;
use super::text::Times;
use super::{connect, explain, lists};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::view::{
    AuditPage, AuditReportView, ExplainView, ObservedPage, RequestView, StatusView,
};

/// Which requests to list.
#[derive(Debug, clap::Args)]
pub(super) struct RequestsArguments {
    /// Only those in this state: pending, denied, approved, rejected, revoked, lapsed, or all
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Show at most so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
}

/// Which stretch of the audit to list, or to check it.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct AuditArguments {
    /// Begin with this record; without it, the last ones are shown
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    /// Show so many
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: u32,
    #[command(subcommand)]
    command: Option<AuditCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum AuditCommand {
    /// Check that no record was changed, removed, moved or cut off
    Verify,
}

async fn show_answer<T: Serialize + DeserializeOwned>(
    connection: &Connection,
    path: &str,
    render: impl FnOnce(&T, Times) -> String,
) -> Result<T, CliError> {
    let view: T = connect::client(connection)?.get(path).await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&render(&view, connect::times(connection)))?;
    }
    Ok(view)
}

/// `requests`
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn requests(
    connection: &Connection,
    arguments: RequestsArguments,
) -> Result<ExitCode, CliError> {
    let state = arguments.state.map(|state| format!("state={}", encoded(&state)));
    let limit = arguments.limit.map(|limit| format!("limit={limit}"));
    let query: Vec<String> = state.into_iter().chain(limit).collect();
    let path = format!("/requests?{}", query.join("&"));
    show_answer::<Vec<RequestView>>(connection, &path, |views, times| {
        lists::requests(views, times)
    })
    .await?;
    Ok(Exit::Done.into())
}

/// `show`
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn show(connection: &Connection, request: &str) -> Result<ExitCode, CliError> {
    let path = format!("/requests/{}", encoded(request));
    show_answer(connection, &path, lists::request).await?;
    Ok(Exit::Done.into())
}

/// `explain`; what is not admitted ends with the code for no.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn explain(connection: &Connection, image: &str) -> Result<ExitCode, CliError> {
    let path = format!("/explain?image={}", encoded(image));
    let view: ExplainView = show_answer(connection, &path, explain::render).await?;
    Ok(match view.verdict.as_str() {
        "admit" => Exit::Done,
        "deny" | "pending" => Exit::Refused,
        _ => Exit::Unreachable,
    }
    .into())
}

/// `observed`
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn observed(
    connection: &Connection,
    limit: Option<u32>,
) -> Result<ExitCode, CliError> {
    let limit = limit.map(|limit| format!("?limit={limit}")).unwrap_or_default();
    let path = format!("/observed{limit}");
    show_answer::<ObservedPage>(connection, &path, lists::observed).await?;
    Ok(Exit::Done.into())
}

/// `audit` and `audit verify`; a damaged chain ends with the code for no.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn audit(
    connection: &Connection,
    arguments: AuditArguments,
) -> Result<ExitCode, CliError> {
    if let Some(AuditCommand::Verify) = arguments.command {
        let report = show_answer(connection, "/audit/verify", report).await?;
        return Ok(if report.intact { Exit::Done } else { Exit::Refused }.into());
    }
    let from = arguments.from.map(|from| format!("&from={from}")).unwrap_or_default();
    let path = format!("/audit?limit={}{from}", arguments.limit);
    show_answer::<AuditPage>(connection, &path, lists::audit).await?;
    Ok(Exit::Done.into())
}

fn report(view: &AuditReportView, _times: Times) -> String {
    let records = super::text::count(view.records, "record");
    if view.intact {
        let head = view.head.as_deref().unwrap_or("none");
        return format!("audit intact: {records}, head {head}\n");
    }
    format!("audit DAMAGED after {records}: {}\n", view.problems.join("; "))
}

/// `status`
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn status(connection: &Connection) -> Result<ExitCode, CliError> {
    show_answer::<StatusView>(connection, "/status", lists::status).await?;
    Ok(Exit::Done.into())
}
