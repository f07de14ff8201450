//! `requests`, `show`, `explain`, `observed`, `status`.

use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::encoded;
use super::text::Times;
use super::{connect, explain, lists};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::view::{ExplainView, ObservedPage, RequestView, StatusView};

/// Which requests to list.
#[derive(Debug, clap::Args)]
pub(crate) struct RequestsArguments {
    /// Only those in this state: pending, denied, approved, rejected, revoked, lapsed, needs-info (open, and
    /// somebody asked what it is for), or all
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only those that wait for your yes: their rule counts it, and you have given none
    #[arg(long)]
    mine: bool,
    /// Only those of this group; those without one belong to that of their repository
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Show at most so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
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
    let is_bounded = limit.is_some();
    let mine = arguments.mine.then(|| "mine=true".to_owned());
    let group = arguments.group.map(|group| format!("group={}", encoded(&group)));
    let query: Vec<String> = state.into_iter().chain(mine).chain(group).chain(limit).collect();
    let path = format!("/requests?{}", query.join("&"));
    let client = connect::client(connection)?;
    let views: Vec<RequestView> =
        if is_bounded { client.get(&path).await? } else { client.get_all(&path).await? };
    if connection.json {
        output::print_json(&views)?;
    } else {
        output::print(&lists::requests(&views, connect::times(connection)))?;
    }
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

/// `status`
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn status(connection: &Connection) -> Result<ExitCode, CliError> {
    show_answer::<StatusView>(connection, "/status", lists::status).await?;
    Ok(Exit::Done.into())
}
