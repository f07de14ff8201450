//! `cache status`, `cache gc`, `cache scrub`, `cache pin`, `cache unpin`, `cache pins`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use super::client::{Client, encoded};
use super::connect;
use super::table::{Column, Table};
use super::text::{Times, bytes, count, printable, span};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::cache::{
    CacheView, EvictedView, PinBody, PinView, ScrubBody, ScrubView, TidiedView,
};

const PIN_HELP: &str = "\
A pin keeps the manifest and every layer of one digest from being evicted, whatever its tag comes to
mean. It fetches nothing and admits nothing: `pratique prefetch --pin IMAGE` also brings it into the
cache, and what the policy refuses stays refused.";

const SCRUB_HELP: &str = "\
Everything in the cache is read and hashed again. What is damaged is removed and fetched again, if an
admitted image still lists it; what is no blob is moved to aside/ in the data directory. Nodes are
served all the while. Ctrl-C stops the watching, not the scrub. Exit code 1: something was damaged.";

/// What to do about the cache.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum CacheCommand {
    /// Let go what nobody asks for, down to the low watermark, now instead of when it is due
    Gc,
    /// Keep an image in the cache
    #[command(after_help = PIN_HELP)]
    Pin {
        /// The images, by tag or digest
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// List what is pinned, and how much of it is in the cache
    Pins,
    /// Hash everything again, and fetch again what is damaged
    #[command(after_help = SCRUB_HELP)]
    Scrub {
        /// Read at most so many MB a second, instead of what the settings say
        #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        rate: Option<u64>,
        /// Print nothing but how it ended
        #[arg(long)]
        quiet: bool,
    },
    /// Tell how full the cache is, what gave way, and whether it is whole
    Status,
    /// Let an image give way again
    Unpin {
        /// The images, as they were pinned or by digest
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
}

/// Runs a command about the cache.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    command: CacheCommand,
) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    match command {
        CacheCommand::Gc => {
            let view: TidiedView = client.post("/cache/gc", &serde_json::json!({})).await?;
            show(connection, &view, tidied)?;
        }
        CacheCommand::Pin { images } => {
            for image in images {
                show(connection, &pin(&client, image).await?, pinned)?;
            }
        }
        CacheCommand::Pins => {
            let views: Vec<PinView> = client.get_all("/cache/pins").await?;
            show(connection, &views, |views| pins(views, connect::times(connection)))?;
        }
        CacheCommand::Scrub { rate, quiet } => {
            return scrub(connection, &client, rate, quiet).await;
        }
        CacheCommand::Status => {
            let view: CacheView = client.get("/cache").await?;
            show(connection, &view, |view| status(view, connect::times(connection)))?;
        }
        CacheCommand::Unpin { images } => {
            for image in images {
                let path = format!("/cache/pins?image={}", encoded(&image));
                let gone: Vec<String> = client.delete_for(&path).await?;
                let text = |gone: &Vec<String>| {
                    let lines =
                        gone.iter().map(|subject| format!("unpinned {}\n", printable(subject)));
                    lines.collect()
                };
                show(connection, &gone, text)?;
            }
        }
    }
    Ok(Exit::Done.into())
}

fn show<T: serde::Serialize>(
    connection: &Connection,
    view: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<(), CliError> {
    if connection.json { output::print_json(view) } else { output::print(&text(view)) }
}

/// Pins one image.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn pin(client: &Client, image: String) -> Result<PinView, CliError> {
    client.post("/cache/pins", &PinBody { image }).await
}

/// What came of pinning, in a line.
pub(super) fn pinned(view: &PinView) -> String {
    let mut text = format!("pinned   {}  {}", printable(&view.subject), share(view));
    if view.cached < view.contents {
        text.push_str("; bring in the rest: pratique prefetch IMAGE");
    }
    text
}

fn share(view: &PinView) -> String {
    format!(
        "{} of {} in the cache, {}",
        view.cached,
        count(view.contents, "content"),
        bytes(view.bytes)
    )
}

fn pins(views: &[PinView], times: Times) -> String {
    let mut table = Table::new([
        Column::Name("IMAGE"),
        Column::Fixed("DIGEST"),
        Column::Fixed("CACHED"),
        Column::Fixed("SIZE"),
        Column::Fixed("BY"),
        Column::Fixed("SINCE"),
    ]);
    for view in views {
        let digest = view.subject.rsplit_once(':').map_or("", |(_, hex)| hex);
        table.row([
            view.image.clone(),
            digest.chars().take(12).collect(),
            format!("{}/{}", view.cached, view.contents),
            bytes(view.bytes),
            view.by.clone(),
            times.past(view.at),
        ]);
    }
    table.render()
}

async fn scrub(
    connection: &Connection,
    client: &Client,
    rate: Option<u64>,
    quiet: bool,
) -> Result<ExitCode, CliError> {
    let body = ScrubBody { rate_bytes: rate.map(|megabytes| megabytes * 1_000_000) };
    let (answer, _) = client.post_open("/cache/scrub", &body).await?;
    let mut last = None;
    client
        .lines(answer.into_body(), |view: ScrubView| {
            if !view.done && !quiet && !connection.json {
                output::message(&format!(
                    "{:>3} %  {}, {}",
                    view.percent,
                    count(view.blobs, "blob"),
                    bytes(view.bytes)
                ));
            }
            last = Some(view);
            Ok(())
        })
        .await?;
    let Some(view) = last.filter(|view| view.done) else {
        output::message("the server stopped before the scrub was done; it goes on at the next one");
        return Ok(Exit::Failed.into());
    };
    show(connection, &view, scrubbed)?;
    let is_whole = view.damaged == 0 && view.failed == 0;
    Ok(if is_whole { Exit::Done } else { Exit::Failed }.into())
}

fn scrubbed(view: &ScrubView) -> String {
    let mut text = format!("{} hashed, {}", count(view.blobs, "blob"), bytes(view.bytes));
    if view.damaged == 0 && view.failed == 0 {
        text.push_str(", all whole");
    }
    if view.damaged > 0 {
        let _infallible =
            write!(text, "; {} damaged and removed, to be fetched again", view.damaged);
    }
    if view.failed > 0 {
        let _infallible = write!(text, "; {} could not be read, see the log", view.failed);
    }
    if view.foreign > 0 {
        let _infallible = write!(text, "; {} set aside that are no blobs", view.foreign);
    }
    text
}

fn tidied(view: &TidiedView) -> String {
    let mut parts = Vec::new();
    let mut part = |gone: EvictedView, why: &str| {
        if gone.blobs > 0 {
            parts.push(format!("{} ({}) {why}", count(gone.blobs, "blob"), bytes(gone.bytes)));
        }
    };
    part(view.evicted, "evicted for room");
    part(view.retired, "let go that nobody asked for");
    if view.stale > 0 {
        parts.push(format!("{} swept", count(view.stale, "partial file")));
    }
    let what = if parts.is_empty() { "nothing had to go".to_owned() } else { parts.join(", ") };
    format!("{what}; {} in the cache", bytes(view.bytes))
}

fn status(view: &CacheView, times: Times) -> String {
    let mut out = String::new();
    let mut line = |key: &str, text: String| {
        let _infallible = writeln!(out, "{key:<9} {text}");
    };
    let counting = if view.counted { "" } else { ", still counting" };
    line("holds", format!("{}, {}{counting}", count(view.blobs, "blob"), bytes(view.bytes)));
    line("quota", quota(view));
    if view.reserved_bytes > 0 {
        line("arriving", format!("{} reserved", bytes(view.reserved_bytes)));
    }
    if let Some(left) = view.disk_available_bytes {
        line(
            "disk",
            format!("{} left, {} of it kept free", bytes(left), bytes(view.min_free_bytes)),
        );
    }
    line(
        "pinned",
        match view.pinned_contents {
            Some(contents) => count(contents, "content"),
            None => "not known yet; nothing is evicted until then".to_owned(),
        },
    );
    if let Some(seconds) = view.retention_seconds {
        line(
            "retention",
            format!("{} without being asked for", span(Duration::from_secs(seconds))),
        );
    }
    let evicted = view.evicted;
    line("evicted", format!("{}, {}", count(evicted.blobs, "blob"), bytes(evicted.bytes)));
    if view.passed_through > 0 {
        let blobs = count(view.passed_through, "blob");
        line("no room", format!("{blobs} sent past the cache, not kept"));
    }
    line("scrub", scrub_text(view, times));
    if view.damaged > 0 {
        line("damaged", format!("{} found, {} fetched again", view.damaged, view.healed));
    }
    if !view.index_available {
        line("index", "not available: slower, otherwise whole".to_owned());
    }
    out
}

fn quota(view: &CacheView) -> String {
    match (view.quota_bytes, view.high_bytes, view.low_bytes) {
        (Some(quota), Some(high), Some(low)) => {
            let percent = view.bytes.saturating_mul(100) / quota.max(1);
            format!(
                "{percent} % of {}; evicts above {} down to {}",
                bytes(quota),
                bytes(high),
                bytes(low)
            )
        }
        _ => "none; set cache.quota to bound it".to_owned(),
    }
}

fn scrub_text(view: &CacheView, times: Times) -> String {
    match (&view.scrub, view.scrub_ended) {
        (Some(scrub), _) if !scrub.done => {
            let blobs = count(scrub.blobs, "blob");
            format!("{} % done, {blobs} hashed, {} damaged", scrub.percent, scrub.damaged)
        }
        (Some(scrub), Some(at)) => format!("{}: {}", times.past(at), scrubbed(scrub)),
        (_, Some(at)) => format!("not due; everything counts as looked at {}", times.past(at)),
        (_, None) => "never; everything was hashed when it came".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn view() -> CacheView {
        CacheView {
            blobs: 1_204,
            bytes: 47_000_000_000,
            counted: true,
            reserved_bytes: 1_200_000_000,
            quota_bytes: Some(50_000_000_000),
            high_bytes: Some(47_500_000_000),
            low_bytes: Some(42_500_000_000),
            disk_available_bytes: Some(100_000_000_000),
            min_free_bytes: 536_870_912,
            retention_seconds: Some(90 * 86_400),
            pinned_contents: Some(12),
            evicted: EvictedView { blobs: 3, bytes: 900_000_000 },
            damaged: 1,
            healed: 1,
            passed_through: 0,
            index_available: true,
            scrub_ended: Some(Timestamp::from_milliseconds(0)),
            scrub: None,
        }
    }

    #[test]
    fn the_status_says_how_full_what_gave_way_and_whether_it_is_whole() {
        let times = Times::new(Timestamp::from_milliseconds(3 * 86_400_000), false);
        let expected = "\
holds     1204 blobs, 47.0 GB
quota     94 % of 50.0 GB; evicts above 47.5 GB down to 42.5 GB
arriving  1.2 GB reserved
disk      100.0 GB left, 536.9 MB of it kept free
pinned    12 contents
retention 90 d without being asked for
evicted   3 blobs, 900.0 MB
scrub     not due; everything counts as looked at 3 d ago
damaged   1 found, 1 fetched again
";
        assert_eq!(status(&view(), times), expected);
    }

    #[test]
    fn a_scrub_says_plainly_what_it_found() {
        let whole = ScrubView {
            done: true,
            percent: 100,
            blobs: 2,
            bytes: 1_000,
            damaged: 0,
            foreign: 0,
            failed: 0,
        };
        assert_eq!(scrubbed(&whole), "2 blobs hashed, 1.0 kB, all whole");
        let bad = ScrubView { damaged: 1, foreign: 2, ..whole };
        assert_eq!(
            scrubbed(&bad),
            "2 blobs hashed, 1.0 kB; 1 damaged and removed, to be fetched again; 2 set aside that are no blobs"
        );
    }

    #[test]
    fn a_tidying_with_nothing_to_do_says_so() {
        let none = EvictedView { blobs: 0, bytes: 0 };
        let view = TidiedView { evicted: none, retired: none, stale: 0, bytes: 5 };
        assert_eq!(tidied(&view), "nothing had to go; 5 B in the cache");
    }
}
