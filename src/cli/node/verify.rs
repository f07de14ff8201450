//! `pratique node verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::arguments::{KitArguments, configured, looked_at};
use crate::cli::{CliError, Exit, output};
use crate::node::Kit;
use crate::node::verify::{Finding, Gravity, Report};
use crate::text::{count, plain_to_see};

/// Shown beneath the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  pratique node verify
      Against what /etc/pratique/node.toml says that the node was configured to.
  pratique node verify --runtime containerd@1.7.24 --mirror https://mirror.example:5000
  pratique node verify --root /mnt/image --json

A version that is not named counts as the one with the most holes. Exit codes: 0 closed, 3 holes, or
something broken.";

/// Which node, and what it should be.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    kit: KitArguments,
    /// The folder that holds the node's root
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Looks at the node.
///
/// # Errors
/// When nothing says what the node should be.
pub(super) fn run(
    arguments: &VerifyArguments,
    file: Option<&Path>,
    json: bool,
) -> Result<ExitCode, CliError> {
    let kit = expected(&arguments.kit, &arguments.root, file)?;
    let report = looked_at(&arguments.root, &kit)?;
    if json {
        output::print_json(&report)?;
    } else {
        output::print(&shown(&report))?;
    }
    Ok(exit(&report))
}

/// What the node's own file says, with what the flags say instead.
fn expected(arguments: &KitArguments, root: &Path, file: Option<&Path>) -> Result<Kit, CliError> {
    let Some(mut kit) = configured(root)? else {
        if arguments.mirror.is_empty() && file.is_none() {
            return Err(CliError::misused(
                "/etc/pratique/node.toml is not there, so nothing says which mirror is the right one; say --mirror https://HOST:PORT",
            ));
        }
        return arguments.kit(file);
    };
    if let Some(runtime) = arguments.runtime {
        kit.runtime = runtime;
    }
    if !arguments.mirror.is_empty() {
        kit.mirrors.clone_from(&arguments.mirror);
    }
    if !arguments.registry.is_empty() {
        kit.registries.clone_from(&arguments.registry);
    }
    if !arguments.direct.is_empty() {
        kit.direct.clone_from(&arguments.direct);
    }
    if arguments.preload.is_some() {
        kit.preload.clone_from(&arguments.preload);
    }
    Ok(kit)
}

/// How a look ends.
pub(super) fn exit(report: &Report) -> ExitCode {
    if report.closed { Exit::Done } else { Exit::Refused }.into()
}

/// `report` for people.
pub(super) fn shown(report: &Report) -> String {
    let number =
        |gravity| report.findings.iter().filter(|finding| finding.gravity == gravity).count();
    let counted = |gravity, noun| count(u64::try_from(number(gravity)).unwrap_or(u64::MAX), noun);
    let mut text = if report.closed {
        format!(
            "closed   {} pulls from {} and nowhere else",
            report.runtime,
            report.mirrors.join(", ")
        )
    } else {
        let holes = counted(Gravity::Hole, "hole");
        match number(Gravity::Broken) {
            0 => format!("OPEN     {}: {holes}", report.runtime),
            broken => format!("OPEN     {}: {holes}, {broken} broken", report.runtime),
        }
    };
    for finding in &report.findings {
        text.push('\n');
        text.push_str(&line(finding));
    }
    plain_to_see(&text)
}

fn line(finding: &Finding) -> String {
    let word = match finding.gravity {
        Gravity::Hole => "hole",
        Gravity::Broken => "broken",
        Gravity::Declared => "declared",
        Gravity::Note => "note",
    };
    let place = match finding.line {
        Some(line) => format!("{}:{line}", finding.file.display()),
        None => finding.file.display().to_string(),
    };
    format!("{word:<8} {place}\n         {}\n         to do: {}", finding.text, finding.todo)
}
