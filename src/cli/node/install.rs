//! `pratique node install` and `uninstall`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::arguments::{KitArguments, configured, looked_at};
use super::verify;
use crate::cli::{CliError, Exit, output};
use crate::node::Kit;
use crate::node::install::{InstallError, Plan, install, uninstall};

/// Shown beneath the help of `install`.
pub(super) const EXAMPLES: &str = "\
Examples:
  pratique node install --runtime containerd@1.7.24 --mirror https://mirror.example:5000 --ca /etc/pratique/ca.pem
  pratique node install --direct harbor.corp --mirror https://mirror.example:5000
      harbor.corp is reached past the mirror: a hole that is declared, and shown by verify and doctor.
  pratique node install --dry-run --mirror https://mirror.example:5000
  pratique node install
      Once more what /etc/pratique/node.toml says; completes a run that was ended.

What was there is kept under /etc/pratique/node and put back by uninstall. Exit codes: 0 closed, 3 there
are holes left (they are listed), 64 something is in the way and nothing was changed.";

/// Shown beneath the help of `uninstall`.
pub(super) const UNINSTALL_EXAMPLES: &str = "\
Examples:
  pratique node uninstall
      The node pulls as it did before `install`: from the registries, if nothing else closes it.

Files that others changed since are left as they are, and told.";

/// How to configure a node.
#[derive(Debug, clap::Args)]
pub(crate) struct InstallArguments {
    #[command(flatten)]
    kit: KitArguments,
    /// The folder that holds the node's root
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Take the place of what others configured; it is kept for uninstall
    #[arg(long)]
    replace: bool,
}

/// Which node to put back.
#[derive(Debug, clap::Args)]
pub(crate) struct UninstallArguments {
    /// The folder that holds the node's root
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Configures the node.
///
/// # Errors
/// When something is in the way, or a file cannot be written.
pub(super) fn run(
    arguments: &InstallArguments,
    file: Option<&Path>,
    json: bool,
) -> Result<ExitCode, CliError> {
    let kit = wanted(&arguments.kit, &arguments.root, file)?;
    let plan = Plan::make(&arguments.root, &kit, arguments.replace).map_err(told)?;
    if arguments.dry_run {
        let paths: Vec<_> = plan.files.iter().map(|file| file.path.display().to_string()).collect();
        output::print(&format!("would write\n  {}\nnothing was changed", paths.join("\n  ")))?;
        return Ok(Exit::Done.into());
    }
    let done = install(&arguments.root, &plan).map_err(told)?;
    let report = looked_at(&arguments.root, &plan.kit)?;
    if json {
        output::print_json(&serde_json::json!({ "installed": done, "verified": report }))?;
        return Ok(verify::exit(&report));
    }
    let mut lines: Vec<String> = Vec::new();
    lines.extend(done.written.iter().map(|path| format!("wrote    {}", path.display())));
    lines.extend(done.removed.iter().map(|path| format!("undid    {}", path.display())));
    lines.extend(done.changed.iter().map(|(path, aside)| {
        format!(
            "replaced {}, which somebody had changed; that is in {}",
            path.display(),
            aside.display()
        )
    }));
    if lines.is_empty() {
        lines.push("nothing to do: the files are as they should be".to_owned());
    }
    lines.push(match done.restart {
        Some(command) => format!("in force after: {command}"),
        None => "in force at once".to_owned(),
    });
    lines.push(verify::shown(&report));
    output::print(&lines.join("\n"))?;
    Ok(verify::exit(&report))
}

/// What the node is to be: what the flags say, or what it was before.
pub(super) fn wanted(
    arguments: &KitArguments,
    root: &Path,
    file: Option<&Path>,
) -> Result<Kit, CliError> {
    if arguments.are_empty()
        && let Some(kit) = configured(root)?
    {
        return Ok(kit);
    }
    arguments.kit(file)
}

/// Puts the node back.
///
/// # Errors
/// When nothing was installed, or a file cannot be written.
pub(super) fn undo(arguments: &UninstallArguments, json: bool) -> Result<ExitCode, CliError> {
    let Some(undone) = uninstall(&arguments.root).map_err(told)? else {
        output::message("nothing was installed here, so nothing was changed");
        return Ok(Exit::Done.into());
    };
    if json {
        output::print_json(&undone)?;
    } else {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(undone.restored.iter().map(|path| format!("as it was  {}", path.display())));
        lines.extend(undone.removed.iter().map(|path| format!("removed    {}", path.display())));
        lines.extend(undone.left.iter().map(|(path, kept)| {
            let kept = kept.as_ref().map_or("nothing was there before".to_owned(), |kept| {
                format!("what was there before is in {}", kept.display())
            });
            format!("left       {}, which others changed since; {kept}", path.display())
        }));
        output::print(&lines.join("\n"))?;
    }
    Ok(if undone.left.is_empty() { Exit::Done } else { Exit::Refused }.into())
}

/// What is in the way is wrong use; a disk that fails is a failure.
pub(super) fn told(error: InstallError) -> CliError {
    let told = match &error {
        InstallError::Refused(_) | InstallError::Render(_) | InstallError::NotInstallable(_) => {
            CliError::misused("the node was not configured")
        }
        InstallError::Journal { .. } => CliError::unreachable("the node was left as it is"),
        InstallError::Busy | InstallError::Io { .. } => {
            CliError::failed("not finished; the same command goes on where this one ended")
        }
    };
    told.caused_by(error)
}
