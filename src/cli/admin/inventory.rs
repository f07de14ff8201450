//! `inventory`: what runs in a cluster, told to the server; and what the server was told.

use std::path::PathBuf;
use std::process::ExitCode;

use super::table::{Column, Table};
use super::text::{WIDTH, count, printable, wrap};
use super::{connect, text};
use crate::cli::{CliError, Connection, Exit, doctor, output};
use crate::cluster::{self, ACCOUNT_DIR, ApiServer, ClusterName, Found, InventoryReport};
use crate::config;
use crate::doctor::Every;
use crate::mirror::desk::inventory::{ClusterView, ClustersView};
use crate::tasks::Tasks;

pub(super) const EXAMPLES: &str = "\
Examples:
  kubectl get pods,nodes -A -o json | pratique inventory report --cluster test --file -
      Once, from a machine with kubectl.
  pratique inventory report --cluster production --every 5m \\
      --admin-url https://mirror.example:5001 --token-file /etc/pratique/token
      In a pod, by its account: deploy/kubernetes/inventory.
  pratique inventory report --cluster test --file pods.json --dry-run --json
      Only look at what would be told.
  pratique inventory ls

The token is one of role node, which opens nothing else: pratique token new NAME --role node.
What runs is asked with `pratique where`.

Exit codes: 0 told, 2 cluster, file or server could not be read, 1 the server did not take it, 64 wrong use.";

/// What to do about inventories.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum InventoryCommand {
    /// List the clusters that the server was told of, and how old that is
    Ls,
    /// Read what runs in a cluster, and tell the server
    #[command(after_help = EXAMPLES)]
    Report(ReportArguments),
}

/// What to read, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArguments {
    /// What the cluster is called; what was told of it before is replaced
    #[arg(long, value_name = "NAME")]
    cluster: ClusterName,
    /// What `kubectl get pods,nodes -A -o json` printed, - being the standard input, instead of asking the API
    /// server of the pod that this runs in
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// Look again and again: 5m, 1h
    #[arg(long, value_name = "LENGTH", value_parser = doctor::every, conflicts_with = "file")]
    every: Option<Every>,
    /// The folder with the account of the pod: token and ca.crt
    #[arg(long, value_name = "DIR", default_value = ACCOUNT_DIR)]
    account: PathBuf,
    /// Only read, and tell nobody
    #[arg(long)]
    dry_run: bool,
}

/// Runs a command about inventories.
///
/// # Errors
/// When the cluster, a file or the server cannot be read, or the server says no.
pub(super) async fn run(
    connection: &Connection,
    command: InventoryCommand,
) -> Result<ExitCode, CliError> {
    match command {
        InventoryCommand::Ls => ls(connection).await,
        InventoryCommand::Report(arguments) => report(connection, &arguments).await,
    }
}

async fn report(
    connection: &Connection,
    arguments: &ReportArguments,
) -> Result<ExitCode, CliError> {
    let tasks = Tasks::new();
    let Some(every) = arguments.every else {
        look(connection, arguments, &tasks).await?;
        return Ok(Exit::Done.into());
    };
    let ending = doctor::asked_to_end()?;
    tokio::pin!(ending);
    let mut ticks = tokio::time::interval(every.duration());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut ending => return Ok(Exit::Done.into()),
            _ = ticks.tick() => {}
        }
        let looked = tokio::select! {
            () = &mut ending => return Ok(Exit::Done.into()),
            looked = look(connection, arguments, &tasks) => looked,
        };
        // What goes wrong once is said, and is no reason to look no more.
        if let Err(error) = looked {
            output::message(&error.chain());
        }
    }
}

/// One look, told.
async fn look(
    connection: &Connection,
    arguments: &ReportArguments,
    tasks: &Tasks,
) -> Result<(), CliError> {
    let found = found(arguments, tasks).await?;
    let report = found.report(arguments.cluster.clone(), connect::now(), arguments.every);
    if !arguments.dry_run {
        let view: ClusterView = connect::client(connection)?.post("/inventory", &report).await?;
        drop(view);
    }
    if connection.json && arguments.every.is_some() {
        let line = serde_json::to_string(&report)
            .map_err(|error| CliError::failed("no JSON").caused_by(error))?;
        output::print(&line)
    } else if connection.json {
        output::print_json(&report)
    } else {
        output::print(&told(&report, arguments.dry_run))
    }
}

async fn found(arguments: &ReportArguments, tasks: &Tasks) -> Result<Found, CliError> {
    let Some(file) = &arguments.file else {
        let (host, port) = config::api_server().ok_or_else(|| {
            CliError::misused(
                "this runs in no pod (KUBERNETES_SERVICE_HOST is not set); give --file FILE or --file -",
            )
        })?;
        let unknown = |error: cluster::Error| {
            CliError::unreachable("what runs in the cluster is not known").caused_by(error)
        };
        let server = ApiServer::open(&host, &port, &arguments.account, tasks).map_err(unknown)?;
        let reading = cluster::from_api(&server);
        return output::with_progress("inventory", "reading pods and nodes", reading)
            .await
            .map_err(unknown);
    };
    let named = if file == "-" { "standard input".to_owned() } else { printable(file) };
    let read = if file == "-" {
        cluster::from_json(std::io::stdin().lock())
    } else {
        let opened = std::fs::File::open(file).map_err(|error| {
            CliError::unreachable(format!("{named} cannot be read")).caused_by(error)
        })?;
        cluster::from_json(opened)
    };
    read.map_err(|error| CliError::unreachable(named).caused_by(error))
}

fn told(report: &InventoryReport, is_dry: bool) -> String {
    let verb = if is_dry { "would report" } else { "reported" };
    let entries = u64::try_from(report.running.len()).unwrap_or(u64::MAX);
    let mut text = format!(
        "{verb} {} of cluster {}: {}",
        count(report.pods, "pod"),
        report.cluster,
        count_of(entries, "entry", "entries")
    );
    if let Some(nodes) = report.nodes {
        let cached = u64::try_from(report.cached.len()).unwrap_or(u64::MAX);
        text.extend([format!(", {} on {}", count(cached, "cached image"), count(nodes, "node"))]);
    }
    text.push('\n');
    for what in &report.left_out {
        text.push_str(&wrap(&format!("not in it: {what}"), WIDTH).join("\n"));
        text.push('\n');
    }
    text
}

fn count_of(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

async fn ls(connection: &Connection) -> Result<ExitCode, CliError> {
    let view: ClustersView = connect::client(connection)?.get("/inventory").await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&clusters(&view, connect::times(connection)))?;
    }
    Ok(Exit::Done.into())
}

fn clusters(view: &ClustersView, times: text::Times) -> String {
    if view.clusters.is_empty() {
        return "No cluster was reported: pratique inventory report --cluster NAME\n".to_owned();
    }
    let mut table = Table::new([
        Column::Name("CLUSTER"),
        Column::Fixed("REPORTED"),
        Column::Fixed("PODS"),
        Column::Fixed("DIGESTS"),
        Column::Fixed("NODES"),
        Column::Fixed("BY"),
        Column::Text("NOT IN IT"),
    ]);
    for it in &view.clusters {
        let age = times.past(it.received_at);
        table.row([
            it.cluster.to_string(),
            if it.is_stale { format!("stale, {age}") } else { age },
            it.pods.to_string(),
            it.digests.to_string(),
            it.nodes.map_or_else(|| "not asked".to_owned(), |it| it.to_string()),
            it.reporter.clone(),
            it.left_out.join("; "),
        ]);
    }
    table.render()
}
