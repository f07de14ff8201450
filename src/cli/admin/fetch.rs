//! `request` and `prefetch`: asking for images ahead of the nodes.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::client::{Client, encoded};
use super::manifests::{self, Wanted};
use super::{cache, connect, lists};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::IMAGES_MAX;
use crate::mirror::desk::view::{AskBody, AskedView, ExplainView, ImagesBody, PrefetchView};
use crate::oci::ImageReference;

/// How often waiting looks again.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// What to ask for.
#[derive(Debug, clap::Args)]
pub(crate) struct RequestArguments {
    /// The images
    #[arg(required_unless_present = "manifests", value_name = "IMAGE")]
    images: Vec<String>,
    /// Ask for every image that these Kubernetes objects name, as `helm template` prints them; - is the
    /// standard input
    #[arg(long, value_name = "FILE")]
    manifests: Option<String>,
    /// With --manifests: only print the images
    #[arg(long, requires = "manifests", conflicts_with = "wait")]
    dry_run: bool,
    /// Why they are needed; shown to those who decide
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// What they belong to: a release, a chart; several images without one are a group of their own
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Where else it is spoken of, for example SEC-991
    #[arg(long, value_name = "TEXT")]
    ticket: Option<String>,
    /// Wait until people have decided about all of them
    #[arg(long)]
    wait: bool,
    /// With --wait: give up after so many seconds, or 90s, 30m, 2h
    #[arg(long, value_name = "LENGTH", requires = "wait", value_parser = length)]
    timeout: Option<Duration>,
}

/// What to bring into the cache.
#[derive(Debug, clap::Args)]
pub(crate) struct PrefetchArguments {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Print nothing but how each ended
    #[arg(long)]
    quiet: bool,
    /// Keep them there, too, until `pratique cache unpin`
    #[arg(long)]
    pin: bool,
}

fn length(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.chars().last() {
        Some('s') => (text.trim_end_matches('s'), 1),
        Some('m') => (text.trim_end_matches('m'), 60),
        Some('h') => (text.trim_end_matches('h'), 3_600),
        _ => (text, 1),
    };
    let number: Option<u64> = digits.parse().ok();
    let seconds = number.and_then(|number| number.checked_mul(unit));
    seconds.map(Duration::from_secs).ok_or_else(|| "write it as 90s, 30m or 2h".to_owned())
}

/// `request`
///
/// # Errors
/// When the server cannot be reached, says no, or waiting takes longer than asked for.
pub(super) async fn request(
    connection: &Connection,
    arguments: RequestArguments,
) -> Result<ExitCode, CliError> {
    let RequestArguments { images, manifests, dry_run, reason, group, ticket, wait, timeout } =
        arguments;
    let Wanted { images, group } = match manifests {
        Some(file) => manifests::wanted(&file, images, group)?,
        None => Wanted { images, group },
    };
    if dry_run {
        return only_told(connection, &images, group.as_deref());
    }
    let client = connect::client(connection)?;
    let mut views: Vec<AskedView> = Vec::with_capacity(images.len());
    // One group, however many requests it takes.
    for images in images.chunks(IMAGES_MAX) {
        let (images, reason) = (images.to_vec(), reason.clone());
        let body = AskBody { images, reason, group: group.clone(), ticket: ticket.clone() };
        views.extend(client.post::<_, Vec<AskedView>>("/requests", &body).await?);
    }
    if wait && views.iter().any(waits) {
        if !connection.json {
            output::print(&lists::asked(&views))?;
            output::message("waiting for a decision; Ctrl-C stops the waiting, not the request");
        }
        let waiting = wait_for_all(&client, &mut views);
        let in_time = match timeout {
            None => Some(waiting.await),
            Some(timeout) => tokio::time::timeout(timeout, waiting).await.ok(),
        };
        in_time.transpose()?;
    }
    if connection.json {
        output::print_json(&views)?;
    } else {
        output::print(&lists::asked(&views))?;
    }
    Ok(exit_of(&views, wait).into())
}

/// What would be asked for.
fn only_told(
    connection: &Connection,
    images: &[String],
    group: Option<&str>,
) -> Result<ExitCode, CliError> {
    if connection.json {
        output::print_json(&json!({"group": group, "images": images}))?;
    } else {
        output::print(&images.join("\n"))?;
    }
    Ok(Exit::Done.into())
}

fn waits(view: &AskedView) -> bool {
    matches!(view.state.as_str(), "pending" | "undecided")
}

/// Without waiting, a request that waits was filed as wished; after waiting, it is one too many.
fn exit_of(views: &[AskedView], waited: bool) -> Exit {
    if views.iter().any(|view| view.state == "denied") {
        return Exit::Refused;
    }
    if views.iter().any(|view| view.state == "undecided") {
        return Exit::Unreachable;
    }
    let unmet = |view: &AskedView| view.state == "absent" || (waited && view.state == "pending");
    if views.iter().any(unmet) { Exit::Failed } else { Exit::Done }
}

/// Looks again until nothing waits any more. What cannot be decided now is looked at again, too.
async fn wait_for_all(client: &Client, views: &mut [AskedView]) -> Result<(), CliError> {
    while views.iter().any(waits) {
        tokio::time::sleep(LOOK_INTERVAL).await;
        for view in views.iter_mut().filter(|view| waits(view)) {
            let path = format!("/explain?image={}", encoded(&pinned(view)));
            let now: ExplainView = client.get(&path).await?;
            view.digest = now.digest.or(view.digest);
            view.reasons = now.reasons;
            match now.verdict.as_str() {
                "admit" => "admitted",
                "deny" => "denied",
                "pending" => "pending",
                _ => "undecided",
            }
            .clone_into(&mut view.state);
        }
    }
    Ok(())
}

/// The image by the digest that was asked about: a tag may move while people decide.
fn pinned(view: &AskedView) -> String {
    match (view.image.parse::<ImageReference>(), view.digest) {
        (Ok(image), Some(digest)) => format!("{}@{digest}", image.name),
        _ => view.image.clone(),
    }
}

/// `prefetch`
///
/// # Errors
/// When the server cannot be reached or says no.
pub(super) async fn prefetch(
    connection: &Connection,
    arguments: PrefetchArguments,
) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    let PrefetchArguments { images, quiet, pin } = arguments;
    let total = images.len();
    let (answer, _) = client.post_open("/prefetch", &ImagesBody { images }).await?;
    let (mut ended, mut to_pin) = (Vec::new(), Vec::new());
    let (json, mut under_way) = (connection.json, String::new());
    client
        .lines(answer.into_body(), |view: PrefetchView| {
            if view.state == "fetching" {
                if !quiet && !json && under_way != view.image {
                    let done = ended.len();
                    output::message(&format!(
                        "fetching {} ({done} of {total} images done)",
                        view.image
                    ));
                    under_way = view.image;
                }
                return Ok(());
            }
            if json {
                print_line(&view)?;
            } else {
                output::print(&lists::prefetched(&view))?;
            }
            if let (true, "done", Some(digest)) = (pin, view.state.as_str(), view.digest)
                && let Ok(image) = view.image.parse::<ImageReference>()
            {
                to_pin.push(format!("{}@{digest}", image.name));
            }
            ended.push(view.state);
            Ok(())
        })
        .await?;
    for image in to_pin {
        let pinned = cache::pin(&client, image).await?;
        if !json {
            output::print(&cache::pinned(&pinned))?;
        }
    }
    if ended.len() < total {
        output::message("the server stopped before all images were fetched; run it again to go on");
        return Ok(Exit::Failed.into());
    }
    let any = |state: &str| ended.iter().any(|ended| ended == state);
    let exit = match (any("refused"), any("failed")) {
        (true, _) => Exit::Refused,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Done,
    };
    Ok(exit.into())
}

fn print_line(view: &PrefetchView) -> Result<(), CliError> {
    let line = serde_json::to_string(view)
        .map_err(|error| CliError::failed("could not write the answer as JSON").caused_by(error))?;
    output::print(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(state: &str) -> AskedView {
        AskedView {
            image: "up.test/a:1".to_owned(),
            digest: None,
            state: state.to_owned(),
            request: None,
            reasons: Vec::new(),
        }
    }

    #[test]
    fn a_filed_request_is_done_unless_one_waited_for_it() {
        assert_eq!(exit_of(&[view("admitted"), view("pending")], false), Exit::Done);
        assert_eq!(exit_of(&[view("admitted"), view("pending")], true), Exit::Failed);
        assert_eq!(exit_of(&[view("pending"), view("denied")], true), Exit::Refused);
        assert_eq!(exit_of(&[view("undecided")], false), Exit::Unreachable);
        assert_eq!(exit_of(&[view("absent")], false), Exit::Failed);
    }

    #[test]
    fn lengths_are_seconds_unless_they_say_otherwise() {
        assert_eq!(length("90").unwrap().as_secs(), 90);
        assert_eq!(length("30m").unwrap().as_secs(), 1_800);
        assert!(length("soon").is_err() && length("").is_err() && length("1ss1").is_err());
    }
}
