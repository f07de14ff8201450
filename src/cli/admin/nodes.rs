//! What the doctors of nodes found: sent to the server, and read back for all of them.

use std::process::ExitCode;

use super::connect;
use super::table::{Column, Table};
use crate::cli::{CliError, Connection, Exit, output};
use crate::doctor::{Finding, Report, State};
use crate::mirror::desk::nodes::{NodeView, NodesView};

/// Sends what a doctor found.
///
/// # Errors
/// When the server cannot be reached or says no.
pub(in crate::cli) async fn send(connection: &Connection, report: &Report) -> Result<(), CliError> {
    connect::client(connection)?.post("/nodes", report).await.map(|_: NodeView| ())
}

/// `doctor --cluster`
///
/// # Errors
/// When the server cannot be reached or says no.
pub(in crate::cli) async fn cluster(connection: &Connection) -> Result<ExitCode, CliError> {
    let view: NodesView = connect::client(connection)?.get("/nodes").await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&table(&view, connection))?;
    }
    Ok(exit(&view).into())
}

/// A node that is open is worse than one of which nothing is known.
fn exit(view: &NodesView) -> Exit {
    let is_open = |node: &NodeView| node.report.state() == State::Open;
    let is_unknown = |node: &NodeView| node.is_silent || node.report.state() == State::Untried;
    if view.nodes.iter().any(is_open) {
        return Exit::Refused;
    }
    if view.nodes.is_empty() || view.nodes.iter().any(is_unknown) {
        return Exit::Unreachable;
    }
    Exit::Done
}

fn table(view: &NodesView, connection: &Connection) -> String {
    if view.nodes.is_empty() {
        return "No node has reported since the server started; on each: pratique doctor --every 5m \
            --report URL --token-file FILE\n"
            .to_owned();
    }
    let times = connect::times(connection);
    let mut table = Table::new([
        Column::Fixed("STATE"),
        Column::Name("NODE"),
        Column::Fixed("REPORTED"),
        Column::Fixed("BY"),
        Column::Text("SAW"),
    ]);
    for node in &view.nodes {
        let report = &node.report;
        let state = report.state().as_str();
        let state = if node.is_silent { format!("silent, was {state}") } else { state.to_owned() };
        let worst: Vec<String> = report
            .findings
            .iter()
            .filter(|it| it.state == report.state() && it.state != State::Closed)
            .take(2)
            .map(said)
            .collect();
        let worst = if worst.is_empty() { "every way closed".to_owned() } else { worst.join("; ") };
        table.row([
            state,
            report.node.to_string(),
            times.past(node.received_at),
            node.reporter.clone(),
            worst,
        ]);
    }
    let mut text = table.render();
    text.push_str("Each line is what the node says of itself.\n");
    text
}

fn said(finding: &Finding) -> String {
    let Finding { way, by, about, saw, .. } = finding;
    format!("{} by {by}, {about}: {saw}", way.as_str())
}
