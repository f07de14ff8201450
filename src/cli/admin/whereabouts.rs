//! `where`: what runs an image, a finding, or what somebody signed.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::client::{Client, encoded};
use super::connect;
use super::table::{Column, Table};
use super::text::{Times, WIDTH, count, printable, short, wrap};
use crate::cli::{CliError, Connection, Exit, output};
use crate::doctor::NodeName;
use crate::mirror::desk::inventory::{Match, RunsView, SoughtAs, WhereView};

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique where docker.io/library/redis            every tag and digest of it
  pratique where docker.io/library/redis:7.4        what is written so, and what the tag stands for
  pratique where sha256:9f1c03ab77de...             an index, an image of it, or a configuration
  pratique where CVE-2026-1234                      by what was found in the images
  pratique where acme-ci                            by who signed: a signer of the policy, or an identity
  pratique where 'https://github.com/acme/*'

What runs is what clusters reported (`pratique inventory report`); each report is a claim.
Exit codes: 0 something runs or lies on a node, 1 nothing does, 2 no cluster was reported or the server is away.";

/// Nodes that are named in a row.
const NODES_SHOWN: usize = 3;

/// What is sought.
#[derive(Debug, clap::Args)]
pub(crate) struct WhereArguments {
    /// An image, a digest, a CVE or what else a finding is called, a signer, or a request
    what: String,
    /// As what, where its form could be something else, too
    #[arg(long, value_name = "KIND", value_parser = kind)]
    r#as: Option<SoughtAs>,
}

fn kind(text: &str) -> Result<SoughtAs, String> {
    match text {
        "digest" => Ok(SoughtAs::Digest),
        "finding" => Ok(SoughtAs::Finding),
        "image" => Ok(SoughtAs::Image),
        "signer" => Ok(SoughtAs::Signer),
        "target" => Ok(SoughtAs::Target),
        _ => Err("it is digest, finding, image, signer or target".to_owned()),
    }
}

const fn word(kind: SoughtAs) -> &'static str {
    match kind {
        SoughtAs::Digest => "digest",
        SoughtAs::Finding => "finding",
        SoughtAs::Image => "image",
        SoughtAs::Signer => "signer",
        SoughtAs::Target => "target",
    }
}

/// Tells where something runs.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    arguments: WhereArguments,
) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    let view = whereabouts(&client, &arguments.what, arguments.r#as).await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&rendered(&view, connect::times(connection)))?;
    }
    let exit = match (view.clusters.is_empty(), view.running.is_empty() && view.cached.is_empty()) {
        (true, _) => Exit::Unreachable,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Done,
    };
    Ok(exit.into())
}

/// Where `what` runs, as the server knows it.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn whereabouts(
    client: &Client,
    what: &str,
    sought_as: Option<SoughtAs>,
) -> Result<WhereView, CliError> {
    let sought_as = sought_as.map_or_else(String::new, |it| format!("&as={}", word(it)));
    client.get(&format!("/inventory/where?what={}{sought_as}", encoded(what))).await
}

/// What people read of it.
pub(super) fn rendered(view: &WhereView, times: Times) -> String {
    if view.clusters.is_empty() {
        return "No cluster was reported, so nothing is known of what runs: pratique inventory report --cluster \
            NAME\n"
            .to_owned();
    }
    let mut out = String::new();
    if !view.running.is_empty() {
        out.push_str(&running(view, times));
    }
    if !view.cached.is_empty() {
        let mut table = Table::new([
            Column::Fixed("CACHED IN"),
            Column::Name("IMAGE"),
            Column::Fixed("DIGEST"),
            Column::Text("NODES"),
        ]);
        for it in &view.cached {
            table.row([
                cluster(it.cluster.as_str(), it.is_stale),
                it.name.to_string(),
                short(&it.digest),
                nodes(&it.nodes, it.more_nodes),
            ]);
        }
        out.push_str(&table.render());
    }
    if view.more > 0 {
        _ = writeln!(out, "and {} more", count(view.more, "row"));
    }
    let workloads = u64::try_from(view.running.len()).unwrap_or(u64::MAX).saturating_add(view.more);
    let what = printable(&view.what);
    if view.running.is_empty() {
        _ = writeln!(out, "Nothing runs {what} in {}.", count(len(view), "cluster"));
    } else {
        let pods = count(view.pods, "pod");
        _ = writeln!(out, "{pods} in {} run {what}.", count(workloads, "row"));
    }
    out.push_str(&caveats(view, times));
    out
}

fn len(view: &WhereView) -> u64 {
    u64::try_from(view.clusters.len()).unwrap_or(u64::MAX)
}

fn running(view: &WhereView, times: Times) -> String {
    let has_reasons = view.running.iter().any(|it| it.because.is_some());
    let mut table = Table::new([
        Column::Fixed("CLUSTER"),
        Column::Name("WORKLOAD"),
        Column::Fixed("PODS"),
        Column::Fixed("SINCE"),
        Column::Name("IMAGE"),
        Column::Fixed("DIGEST"),
        Column::Text(if has_reasons { "NODES, AND WHY" } else { "NODES" }),
    ]);
    for it in &view.running {
        let mut last = nodes(&it.nodes, it.more_nodes);
        for why in [it.because.as_deref(), matched(it)].into_iter().flatten() {
            last = format!("{last}; {why}");
        }
        table.row([
            cluster(it.cluster.as_str(), it.is_stale),
            format!("{}/{}", it.namespace, it.workload),
            it.pods.to_string(),
            it.since.map_or_else(|| "not yet".to_owned(), |since| times.past(since)),
            it.image.split_once('@').map_or(it.image.as_str(), |(name, _)| name).to_owned(),
            it.digest.or(it.config).map_or_else(|| "not known".to_owned(), |it| short(&it)),
            last,
        ]);
    }
    table.render()
}

/// What is to be said of how a row was found.
const fn matched(row: &RunsView) -> Option<&'static str> {
    match row.matched {
        Match::Same => None,
        Match::InIndex => {
            Some("an index that has it runs, and the node's platform says which image")
        }
        Match::OfIndex => Some("an image of it runs"),
        Match::Config => Some("its configuration runs; the runtime says no more"),
        Match::Written => Some("it is written so, and the runtime says no digest"),
    }
}

fn cluster(name: &str, is_stale: bool) -> String {
    if is_stale { format!("{name} (stale)") } else { name.to_owned() }
}

fn nodes(nodes: &[NodeName], more: u64) -> String {
    let shown: Vec<&str> = nodes.iter().take(NODES_SHOWN).map(NodeName::as_str).collect();
    let hidden = u64::try_from(nodes.len().saturating_sub(shown.len())).unwrap_or(u64::MAX);
    match hidden.saturating_add(more) {
        0 if shown.is_empty() => "no node yet".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What the answer does not say.
fn caveats(view: &WhereView, times: Times) -> String {
    let mut out = String::new();
    if view.not_known > 0 {
        let is = if view.not_known == 1 { "it is" } else { "they are" };
        let images = count(view.not_known, "running image");
        _ = writeln!(out, "Of {images} it is not known: {is} not scanned or not looked into here.");
    }
    if view.without_digest > 0 && view.sought_as != SoughtAs::Image {
        let pods = count(view.without_digest, "container");
        _ = writeln!(out, "The nodes name no manifest of {pods}; those are found by name alone.");
    }
    for it in &view.clusters {
        if it.is_stale {
            let age = times.past(it.received_at);
            _ = writeln!(out, "What is known of {} is stale: it is of {age}.", it.cluster);
        }
        for what in &it.left_out {
            let line = format!("Not in what {} told: {what}", it.cluster);
            _ = writeln!(out, "{}", wrap(&line, WIDTH).join("\n"));
        }
    }
    out
}
