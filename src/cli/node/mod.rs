//! `pratique node`: the files that make a node pull through the mirror, put there, looked at, kept and
//! taken away again.

mod arguments;
mod install;
mod keep;
mod open;
mod permit;
mod render;
mod taint;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use super::{CliError, Exit};

/// What can be done about nodes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum NodeCommand {
    /// Write the files that make a node pull through the mirror, and from nowhere else
    #[command(after_help = render::EXAMPLES)]
    Render(render::RenderArguments),
    /// Configure this node, keeping what was there
    #[command(after_help = install::EXAMPLES)]
    Install(install::InstallArguments),
    /// Put back exactly what was there before `install`
    #[command(after_help = install::UNINSTALL_EXAMPLES)]
    Uninstall(install::UninstallArguments),
    /// Read what is on this node with the runtime's own rules, and tell every way past the mirror
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArguments),
    /// Look at this node again and again, and install what drifted
    #[command(after_help = keep::EXAMPLES)]
    Keep(keep::KeepArguments),
    /// Let this node pull past the mirror for a while, by a permit that two people have signed
    #[command(after_help = open::EXAMPLES)]
    Open(open::OpenArguments),
    /// Close this node again before its time is over
    #[command(after_help = open::CLOSE_EXAMPLES)]
    Close(open::CloseArguments),
    /// Make permits for `node open`
    #[command(subcommand, after_help = permit::EXAMPLES)]
    Permit(permit::PermitCommand),
}

/// Runs `command`; `file` is the settings file, and `json` asks for JSON.
///
/// # Errors
/// When arguments do not fit together, or files cannot be read or written.
pub(crate) fn run(
    command: NodeCommand,
    file: Option<&Path>,
    json: bool,
) -> Result<ExitCode, CliError> {
    match command {
        NodeCommand::Render(arguments) => render::run(&arguments, file).map(|()| Exit::Done.into()),
        NodeCommand::Install(arguments) => install::run(&arguments, file, json),
        NodeCommand::Uninstall(arguments) => install::undo(&arguments, json),
        NodeCommand::Verify(arguments) => verify::run(&arguments, file, json),
        NodeCommand::Keep(arguments) => keep::run(&arguments).map(|()| Exit::Done.into()),
        NodeCommand::Open(arguments) => open::open(&arguments),
        NodeCommand::Close(arguments) => open::close(&arguments),
        NodeCommand::Permit(command) => permit::run(&command, json),
    }
}
