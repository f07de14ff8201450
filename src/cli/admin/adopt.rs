//! `adopt`: what runs in a cluster is fetched, judged and asked for, so that people decide about it before the
//! cluster is closed.

use std::process::ExitCode;

use super::client::{Client, encoded};
use super::table::{Column, Table};
use super::text::{count, printable, short, wrap};
use super::{connect, text};
use crate::cli::{CliError, Connection, Exit, output};
use crate::cluster::ClusterName;
use crate::mirror::desk::inventory::{RunningImageView, RunningImagesView};
use crate::mirror::desk::view::{AskBody, AskedView, ImagesBody, PrefetchView};

/// Images that are judged, and asked for, by one request to the server.
const AT_ONCE: usize = 20;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique adopt --from-cluster production --dry-run     what runs there, and how it stands here
  pratique adopt --from-cluster production --reason \"what runs today, SEC-991\"

What runs is what was reported of the cluster (`pratique inventory report`). Each image is fetched by its digest
and judged, no more of them at a time than pulls would be, and what is admitted is then in the cache. A request is
filed for what is not, the worst findings first, then what nobody signed, then what most pods run; all are one group.
It admits nothing by itself. Run it again to go on: what was judged and asked for is not so twice.

Exit codes: 0 everything that runs is admitted or waits for people, 3 some is denied, 2 some could not be judged or
the server is away, 1 nothing is known of the cluster.";

/// What to adopt.
#[derive(Debug, clap::Args)]
pub(crate) struct AdoptArguments {
    /// The cluster, by the name under which it is reported
    #[arg(long, value_name = "NAME")]
    from_cluster: ClusterName,
    /// Why; shown to those who decide
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Where else it is spoken of, for example SEC-991
    #[arg(long, value_name = "TEXT")]
    ticket: Option<String>,
    /// Only tell what runs, and how it stands
    #[arg(long)]
    dry_run: bool,
}

/// Adopts what runs.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    arguments: AdoptArguments,
) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    let cluster = &arguments.from_cluster;
    let mut view = running(&client, cluster).await?;
    if !arguments.dry_run {
        judge(&client, &view, connection).await?;
        // By now it is known what is in them, and so in which order to ask.
        view = running(&client, cluster).await?;
        ask(&client, &view, &arguments, connection).await?;
        view = running(&client, cluster).await?;
    }
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&rendered(&view, connect::times(connection)))?;
    }
    Ok(exit_of(&view, arguments.dry_run).into())
}

async fn running(client: &Client, cluster: &ClusterName) -> Result<RunningImagesView, CliError> {
    client.get(&format!("/inventory/images?cluster={}", encoded(cluster.as_str()))).await
}

fn named(image: &RunningImageView) -> String {
    format!("{}@{}", image.name, image.digest)
}

/// Has everything fetched and judged; what is admitted is in the cache then.
async fn judge(
    client: &Client,
    view: &RunningImagesView,
    connection: &Connection,
) -> Result<(), CliError> {
    let (total, mut done) = (view.images.len(), 0_usize);
    for images in view.images.chunks(AT_ONCE) {
        let body = ImagesBody { images: images.iter().map(named).collect() };
        let (answer, _) = client.post_open("/prefetch", &body).await?;
        client
            .lines(answer.into_body(), |one: PrefetchView| {
                if one.state == "fetching" {
                    return Ok(());
                }
                done += 1;
                if !connection.json {
                    let why = one.why.map_or_else(String::new, |why| format!(": {why}"));
                    let told = format!("{done} of {total}  {}  {}{why}", one.state, one.image);
                    output::message(&printable(&told));
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}

/// Asks for everything that is not admitted, in the order of the list.
async fn ask(
    client: &Client,
    view: &RunningImagesView,
    arguments: &AdoptArguments,
    connection: &Connection,
) -> Result<(), CliError> {
    let wanted: Vec<&RunningImageView> =
        view.images.iter().filter(|it| it.state != "admitted").collect();
    let reason = arguments.reason.clone();
    let reason = reason.unwrap_or_else(|| format!("it runs in {}", arguments.from_cluster));
    for images in wanted.chunks(AT_ONCE) {
        let body = AskBody {
            images: images.iter().map(|it| named(it)).collect(),
            reason: Some(reason.clone()),
            group: Some(format!("adopt {}", arguments.from_cluster)),
            ticket: arguments.ticket.clone(),
        };
        let asked: Vec<AskedView> = client.post("/requests", &body).await?;
        for one in asked.iter().filter(|it| it.request.is_none() && it.state != "admitted") {
            if !connection.json {
                let why: Vec<&str> = one.reasons.iter().map(|it| it.text.as_str()).collect();
                let told = format!("{}  {}: {}", one.state, one.image, why.join("; "));
                output::message(&printable(&told));
            }
        }
    }
    Ok(())
}

fn exit_of(view: &RunningImagesView, is_dry: bool) -> Exit {
    let any = |state: &str| view.images.iter().any(|it| it.state == state);
    if is_dry {
        return Exit::Done;
    }
    match (any("denied"), any("unseen")) {
        (true, _) => Exit::Refused,
        (false, true) => Exit::Unreachable,
        (false, false) => Exit::Done,
    }
}

fn rendered(view: &RunningImagesView, times: text::Times) -> String {
    let mut table = Table::new([
        Column::Name("IMAGE"),
        Column::Fixed("DIGEST"),
        Column::Fixed("PODS"),
        Column::Fixed("STATE"),
        Column::Fixed("REQUEST"),
        Column::Fixed("SIGNED"),
        Column::Text("FINDINGS"),
    ]);
    for it in &view.images {
        let signed = match it.is_signed {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not known",
        };
        table.row([
            it.name.to_string(),
            short(&it.digest),
            it.pods.to_string(),
            it.state.clone(),
            it.request.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            signed.to_owned(),
            findings(it),
        ]);
    }
    let mut out = table.render();
    let number = |state: &str| view.images.iter().filter(|it| it.state == state).count();
    let total = u64::try_from(view.images.len()).unwrap_or(u64::MAX).saturating_add(view.more);
    out.extend([format!(
        "{} in {}: {} admitted, {} pending, {} denied, {} not judged.\n",
        count(total, "image"),
        view.cluster.cluster,
        number("admitted"),
        number("pending"),
        number("denied"),
        number("unseen"),
    )]);
    if view.more > 0 {
        let more = count(view.more, "image");
        out.extend([format!("{more} that fewer pods run are not shown and not adopted.\n")]);
    }
    if view.not_named > 0 {
        let pods = count(view.not_named, "container");
        out.extend([format!("The nodes name no manifest of {pods}; those are not among these.\n")]);
    }
    if view.cluster.is_stale {
        let age = times.past(view.cluster.received_at);
        out.extend([format!("What is known of the cluster is stale: it is of {age}.\n")]);
    }
    for what in &view.cluster.left_out {
        let line = format!("Not in what it told: {what}");
        out.push_str(&wrap(&line, text::WIDTH).join("\n"));
        out.push('\n');
    }
    out
}

fn findings(image: &RunningImageView) -> String {
    let Some(findings) = &image.findings else { return "not known".to_owned() };
    let words = ["critical", "high", "medium", "low", "unrated"];
    let counts = words.iter().filter_map(|word| {
        let number = findings.get(*word).filter(|number| **number > 0)?;
        Some(format!("{number} {word}"))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}
