//! `pratique verify`: judges images by a policy file as a mirror would, without a running one.
//!
//! It is a mirror, for as long as that takes: the same gathering, the same gate, the same explanation,
//! over a temporary folder that is removed at the end. Nothing is served and nothing is kept.

mod bench;
pub(super) mod target;

use std::process::ExitCode;

use clap::Args;
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use self::bench::Benches;
use self::target::Target;
use super::{CliError, Connection, Exit, admin, output, policy};
use crate::config::{self, Settings};
use crate::gate::{ReadyPolicy, refuse_by_name};
use crate::mirror::desk::view::ExplainView;
use crate::mirror::load_policy;
use crate::time::{Clock as _, SystemClock};

/// Most images of one call.
const TARGETS_MAX: usize = 100;
/// Images that are judged at one time.
const AT_ONCE: usize = 4;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique verify ghcr.io/acme/app:1.4 --policy policy.yaml
  pratique verify --policy policy.yaml --config pratique.toml registry.corp:5000/app@sha256:...
      The registries, their credentials and the way to them are those of the settings file.
  pratique verify oci:build:1.4 --name ghcr.io/acme/app:1.4 --policy policy.yaml
      An OCI image layout in the folder `build`, before it is pushed. What it is called decides
      which rule applies, and only you can say: what a layout says of its name is not believed.
  pratique verify --json --allow-pending --policy policy.yaml IMAGE...  |  jq -r .verdict

What is printed is what `pratique explain` prints; with --json, one object a line and image.
Signatures are looked for at the registry, or in the layout. Where a rule asks for an approval,
all other gates are judged: nobody can approve here. Nothing is kept.

Exit codes: 0 admitted, 3 not admitted (also: waits for an approval; --allow-pending makes that 0),
2 could not decide, reach or read, 64 wrong use. Of several images the worst counts: 3, then 2.";

/// What is judged, and by what.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// An image by tag or digest, or an image layout: oci:FOLDER[:TAG|@DIGEST], the folder, or
    /// an archive of one, or of docker save (.tar, .tar.gz, .tar.zst)
    #[arg(required = true, value_name = "IMAGE|LAYOUT|TAR")]
    targets: Vec<String>,
    /// Decide by this policy [default: the one that the settings file names]
    #[arg(long, value_name = "FILE")]
    policy: Option<std::path::PathBuf>,
    /// What the image in a layout is called; once for each layout, in their order
    #[arg(long = "name", value_name = "NAME[:TAG]")]
    names: Vec<String>,
    /// End with 0, too, where all that is missing is an approval
    #[arg(long)]
    allow_pending: bool,
}

/// How an image fares, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Admitted,
    Waiting,
    Undecided,
    Denied,
}

/// What came of one image.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    /// It was looked at, and this is what the gate says.
    Explained(Box<ExplainView>),
    /// It could not be looked at.
    Failed {
        /// `absent`, or `undecided`.
        verdict: &'static str,
        /// Why.
        error: String,
    },
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    /// The image as it was written.
    target: &'a str,
    #[serde(flatten)]
    answer: &'a Answer,
}

impl Answer {
    fn grade(&self) -> Grade {
        let verdict = match self {
            Self::Explained(view) => view.verdict.as_str(),
            Self::Failed { .. } => return Grade::Undecided,
        };
        match verdict {
            "admit" => Grade::Admitted,
            "deny" => Grade::Denied,
            "pending" => Grade::Waiting,
            _ => Grade::Undecided,
        }
    }
}

/// Judges every image, prints what came of each, and gives the code of the worst.
///
/// # Errors
/// When settings, policy or arguments cannot be used; when it is stopped by a signal.
pub(crate) async fn run(
    arguments: VerifyArguments,
    connection: Connection,
) -> Result<ExitCode, CliError> {
    let VerifyArguments { targets, policy, names, allow_pending } = arguments;
    let settings = config::load_for_client(connection.config.as_deref())
        .map_err(|failure| CliError::misused(failure.to_string()))?;
    let Some(file) = policy.or_else(|| settings.policy.clone()) else {
        return Err(CliError::misused("by which policy? give --policy FILE"));
    };
    let policy =
        load_policy(Some(&file)).map_err(|error| policy::refused(error, connection.json))?;
    // Since when it is known is what a mirror knows.
    let policy = policy.without_waits();
    if targets.len() > TARGETS_MAX {
        return Err(CliError::misused(format!("name 1 to {TARGETS_MAX} images at a time")));
    }
    let targets = target::read(&targets, &names)?;
    known(&targets, &settings, &policy)?;
    let folder = tempfile::Builder::new()
        .prefix("pratique-verify-")
        .tempdir()
        .map_err(|error| CliError::failed("no temporary folder").caused_by(error))?;
    let benches = Benches::new(settings, policy, folder.path().to_owned());
    let outcome = tokio::select! {
        outcome = all(&targets, &benches, &connection) => outcome,
        stopped = stopped() => Err(stopped),
    };
    benches.clear().await;
    folder.close().map_err(|error| {
        CliError::failed("the temporary folder was not removed").caused_by(error)
    })?;
    Ok(exit(&outcome?, allow_pending).into())
}

/// Only registries that are configured can be asked; what the policy refuses by name needs none.
fn known(targets: &[Target], settings: &Settings, policy: &ReadyPolicy) -> Result<(), CliError> {
    for target in targets {
        let Target::Image { image, .. } = target else { continue };
        let registry = image.name.registry();
        let configured = settings.upstream.registries.iter().any(|it| it.registry == *registry);
        let by_name = refuse_by_name(policy, &image.name, image.tag.as_ref(), SystemClock.now());
        if !configured && by_name.is_none() {
            return Err(CliError::misused(format!(
                "{image}: registry {registry} is not known; name it as an [[upstream]] in the file of --config"
            )));
        }
    }
    Ok(())
}

async fn all(
    targets: &[Target],
    benches: &Benches,
    connection: &Connection,
) -> Result<Vec<Grade>, CliError> {
    let work = targets.iter().map(|target| benches.judge(target));
    let mut answers =
        futures_util::stream::iter(work).buffered(AT_ONCE).zip(futures_util::stream::iter(targets));
    let mut grades = Vec::new();
    while let Some((answer, target)) = answers.next().await {
        print(target, &answer, connection, grades.is_empty())?;
        grades.push(answer.grade());
    }
    summarize(&grades);
    Ok(grades)
}

fn print(
    target: &Target,
    answer: &Answer,
    connection: &Connection,
    is_first: bool,
) -> Result<(), CliError> {
    if connection.json {
        let line = serde_json::to_string(&Line { target: target.written(), answer });
        let failed =
            |error| CliError::failed("could not write the answer as JSON").caused_by(error);
        return output::print(&line.map_err(failed)?);
    }
    match answer {
        Answer::Explained(view) => {
            let gap = if is_first { "" } else { "\n" };
            output::print(&format!("{gap}{}", admin::explanation(view, connection)))
        }
        Answer::Failed { error, .. } => {
            output::message(error);
            Ok(())
        }
    }
}

/// Says what is not printed already: how many there are of what, and what a wait means.
fn summarize(grades: &[Grade]) {
    let count = |grade| grades.iter().filter(|other| **other == grade).count();
    let waiting = count(Grade::Waiting);
    if grades.len() > 1 {
        output::message(&format!(
            "{} images: {} admitted, {} denied, {waiting} waiting for an approval, {} undecided",
            grades.len(),
            count(Grade::Admitted),
            count(Grade::Denied),
            count(Grade::Undecided),
        ));
    } else if waiting == 1 {
        output::message("only an approval is missing, which people give at the mirror");
    }
}

fn exit(grades: &[Grade], allow_pending: bool) -> Exit {
    match grades.iter().max() {
        None | Some(Grade::Admitted) => Exit::Done,
        Some(Grade::Waiting) if allow_pending => Exit::Done,
        // Whether an approval would be enough is known; what could not be decided is not.
        Some(Grade::Waiting | Grade::Denied) => Exit::Refused,
        Some(Grade::Undecided) if !allow_pending && grades.contains(&Grade::Waiting) => {
            Exit::Refused
        }
        Some(Grade::Undecided) => Exit::Unreachable,
    }
}

/// Completes when somebody wants it to end.
async fn stopped() -> CliError {
    let cannot = |error| CliError::failed("signals cannot be received").caused_by(error);
    let (mut interrupt, mut terminate) =
        match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
            (Err(error), _) | (_, Err(error)) => return cannot(error),
        };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    CliError::failed("stopped; not all images were judged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_images_the_worst_counts() {
        use Grade::{Admitted, Denied, Undecided, Waiting};
        let code = |grades: &[Grade]| (exit(grades, false), exit(grades, true));
        assert_eq!(code(&[Admitted, Admitted]), (Exit::Done, Exit::Done));
        assert_eq!(code(&[Admitted, Waiting]), (Exit::Refused, Exit::Done));
        assert_eq!(code(&[Undecided, Admitted]), (Exit::Unreachable, Exit::Unreachable));
        assert_eq!(code(&[Undecided, Waiting]), (Exit::Refused, Exit::Unreachable));
        assert_eq!(code(&[Denied, Undecided, Waiting]), (Exit::Refused, Exit::Refused));
    }
}
