//! `pratique preload load`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Folder;
use super::save::number;
use super::verify::problems;
use crate::cli::scan::look::platform_here;
use crate::cli::{CliError, Exit, output};
use crate::node::{Kind, Runtime};
use crate::oci::Platform;
use crate::preload::{self, Containerd, LoadError, Loaded};
use crate::tasks::Tasks;
use crate::text::plain_to_see;

/// Shown beneath the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  pratique preload load
      The set in /var/lib/pratique-preload, into containerd at its usual place.
  pratique preload load set --address /run/k3s/containerd/containerd.sock --ctr /usr/local/bin/ctr

Everything is read and hashed before the runtime sees any of it. What it has already, whole and
unpacked, is left as it is. Each image is pinned, so that kubelet does not collect it: containerd 1.7
and later tell kubelet so; 1.6 does not, and there the set comes back at the next boot.
CRI-O and podman are not loaded by this command: skopeo copy oci:DIR:NAME containers-storage:NAME
does it, and pinned_images in crio.conf.

Exit codes: 0 all of it is there, 1 the runtime did not take it, 2 not readable, 3 the set is damaged.";

/// What to bring in, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArguments {
    #[command(flatten)]
    folder: Folder,
    /// What runs containers on this node
    #[arg(long, value_name = "NAME", default_value = "containerd")]
    runtime: Runtime,
    /// containerd's socket [default: /run/containerd/containerd.sock]
    #[arg(long, value_name = "SOCKET")]
    address: Option<PathBuf>,
    /// containerd's namespace [default: k8s.io, which kubelet sees]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// containerd's own program [default: ctr at the usual places]
    #[arg(long, value_name = "PATH")]
    ctr: Option<PathBuf>,
}

/// Brings the set in.
///
/// # Errors
/// When it is damaged, or the runtime does not take it.
pub(super) async fn run(arguments: LoadArguments, json: bool) -> Result<ExitCode, CliError> {
    if !matches!(arguments.runtime.kind, Kind::Containerd | Kind::K3s | Kind::Rke2) {
        return Err(CliError::misused(format!(
            "{} is not loaded by this command; skopeo copy oci:DIR:NAME containers-storage:NAME brings an image of the set into it",
            arguments.runtime.kind.name()
        )));
    }
    let (program, address) = (arguments.ctr.as_deref(), arguments.address.as_deref());
    let runtime = Containerd::new(program, address, arguments.namespace.as_deref())
        .map_err(|error| CliError::misused("nothing was loaded").caused_by(error))?;
    let platform: Platform = platform_here().parse().map_err(CliError::misused)?;
    let tell = |name: &str| output::message(&plain_to_see(&format!("loading  {name}")));
    let tasks = Tasks::new();
    let path = &arguments.folder.path;
    let loaded = preload::load(path, platform, &runtime, &tasks, tell).await;
    match loaded {
        Ok(loaded) => {
            if json {
                output::print_json(&loaded)?;
            } else {
                output::print(&shown(&loaded))?;
            }
            Ok(Exit::Done.into())
        }
        Err(error) => Err(told(error)),
    }
}

fn shown(loaded: &Loaded) -> String {
    let Loaded { imported, pinned, there } = loaded;
    format!(
        "loaded   {} imported, {} pinned that were there, {} there already",
        number(imported.len(), "name"),
        pinned.len(),
        there.len()
    )
}

fn told(error: LoadError) -> CliError {
    match error {
        LoadError::Damaged(ref found) => {
            let text = format!("{error}\n{}", problems(found));
            CliError::refused(plain_to_see(text.trim_end()))
        }
        LoadError::NotKept(ref found) => {
            let text = format!("{error}\n{}", problems(found));
            CliError::failed(plain_to_see(text.trim_end()))
        }
        error @ LoadError::Layout(_) => {
            CliError::unreachable("nothing was loaded").caused_by(error)
        }
        error @ (LoadError::Runtime { .. } | LoadError::Unreached(_)) => {
            CliError::failed("not loaded; the same command goes on where this one ended")
                .caused_by(error)
        }
    }
}
