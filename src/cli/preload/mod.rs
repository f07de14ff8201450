//! `pratique preload`: the images that bring a cluster up, saved from the mirror, looked through, and
//! brought into a node's runtime before kubelet starts.

mod load;
mod save;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use super::{CliError, Connection, server_runtime};

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique preload save --from https://mirror.example:5000 --images bring-up.txt -o set
      On any machine: Pratique's own image, pause, CNI, CSI, kube-proxy, one reference a line.
  pratique preload verify set
      Before it is copied to the nodes, and after.
  pratique preload load /var/lib/pratique-preload
      On the node, before kubelet starts; what pratique-preload.service runs.";

/// What can be done with a set of images.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PreloadCommand {
    /// Save images from the mirror into a folder
    #[command(after_help = save::EXAMPLES)]
    Save(save::SaveArguments),
    /// Look through a saved set, without a mirror and without a runtime
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArguments),
    /// Bring a saved set into this node's runtime, and pin it there
    #[command(after_help = load::EXAMPLES)]
    Load(load::LoadArguments),
}

/// Runs `command`.
///
/// # Errors
/// When something cannot be fetched, read or written, or is not as it should be.
pub(super) fn run(command: PreloadCommand, connection: &Connection) -> Result<ExitCode, CliError> {
    match command {
        PreloadCommand::Save(arguments) => {
            server_runtime()?.block_on(save::run(arguments, connection.json))
        }
        PreloadCommand::Verify(arguments) => verify::run(&arguments, connection.json),
        PreloadCommand::Load(arguments) => {
            server_runtime()?.block_on(load::run(arguments, connection.json))
        }
    }
}

/// The folder of a set.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Folder {
    /// The folder of the set
    #[arg(value_name = "DIR", default_value = crate::preload::FOLDER)]
    path: PathBuf,
}
