//! `pratique preload verify`.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::Folder;
use super::save::{SavedImage, images, lines, number};
use crate::archive::{Contents, Problem};
use crate::cli::{CliError, Exit, output};
use crate::oci::Platform;
use crate::preload::examine;
use crate::text::{bytes, plain_to_see};

/// Shown beneath the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  pratique preload verify set
  pratique preload verify --platform linux/arm64 --json set
      Every image has to be there for that platform.

Everything is read and hashed. A blob that is missing or changed, a file that nothing lists, a link,
and a folder that others than root may write are told.

Exit codes: 0 whole, 2 not readable, 3 damaged.";

/// What to look through.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    folder: Folder,
    /// A platform for which every image has to be there; may be repeated
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<Platform>,
}

#[derive(Serialize)]
struct View<'a> {
    folder: &'a Path,
    whole: bool,
    platforms: Vec<String>,
    images: Vec<SavedImage>,
    blobs: usize,
    bytes: u64,
    problems: &'a [Problem],
}

/// Looks through a set.
///
/// # Errors
/// When it is none, or cannot be read.
pub(super) fn run(arguments: &VerifyArguments, json: bool) -> Result<ExitCode, CliError> {
    let path = &arguments.folder.path;
    let contents = examine(path, &arguments.platform).map_err(|error| {
        CliError::unreachable("there is no set that could be read").caused_by(error)
    })?;
    let whole = contents.problems.is_empty();
    if json {
        let Contents { blobs, bytes, .. } = contents;
        let platforms = contents.platforms.iter().map(ToString::to_string).collect();
        let problems = &contents.problems;
        let images = images(&contents);
        let view = View { folder: path, whole, platforms, images, blobs, bytes, problems };
        output::print_json(&view)?;
    } else {
        output::print(&plain_to_see(&shown(path, &contents)))?;
    }
    Ok(if whole { Exit::Done } else { Exit::Refused }.into())
}

fn shown(path: &Path, contents: &Contents) -> String {
    let mut lines = lines(contents);
    if contents.problems.is_empty() {
        lines.push(format!(
            "whole    {}, {}, {}",
            number(contents.images.len(), "image"),
            number(contents.blobs, "blob"),
            bytes(contents.bytes)
        ));
        return lines.join("\n");
    }
    let found = number(contents.problems.len(), "problem");
    lines.push(format!("DAMAGED  {}: {found}", path.display()));
    lines.push(problems(&contents.problems));
    let todo = "pratique preload save once more; it fetches only what is missing or damaged";
    lines.push(format!("to do    {todo}"));
    lines.join("\n")
}

/// A line for each problem.
pub(super) fn problems(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
    lines.join("\n")
}
