//! `pratique node render`: the files, without touching a node.

use std::path::{Path, PathBuf};

use super::arguments::KitArguments;
use crate::cli::{CliError, output};
use crate::node::render::{
    CERTS_D, Carrier, HOSTS_TOML, Rendered, config_section, files, hosts_toml_for_any,
};
use crate::node::{Kind, Kit, kit, place};

/// Shown beneath the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  pratique node render --mirror https://mirror.example:5000 --ca /etc/containerd/mirror-ca.pem -o certs.d
      One folder per configured registry and _default; copy certs.d to /etc/containerd/certs.d.
  pratique node render --open --mirror https://mirror.example:5000 -o certs.d
      The first days, with `mode: audit` in the policy. Not a gate.
  pratique node render --runtime containerd@2.1 --drop-in
      The section of containerd's config.toml that has it read /etc/containerd/certs.d.
  pratique node render --runtime k3s --mirror https://a.example:5000 --mirror https://b.example:5000
      Two mirrors, asked in this order.
  pratique node render --runtime containerd@2.1 --as cloud-init --mirror https://mirror.example:5000
      The same files for a node that is yet to be made.

Runtimes: containerd, crio, podman, buildah, k3s, rke2, talos, openshift and kaniko can be closed;
docker, bottlerocket and buildkit cannot, and are rendered with --open only (docs/nodes.md says what
closes them instead). Without -o the files are printed; for containerd the one that fits every registry.";

/// What the files are to say, and where they go.
#[derive(Debug, clap::Args)]
pub(crate) struct RenderArguments {
    #[command(flatten)]
    kit: KitArguments,
    /// Make it something that brings the files onto a node
    #[arg(long = "as", value_enum, value_name = "CARRIER")]
    carrier: Option<CarrierName>,
    /// Print the section of containerd's config.toml that has it read the folder
    #[arg(long, conflicts_with_all = ["carrier", "output"])]
    drop_in: bool,
    /// Write into this folder instead of printing
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// What brings files onto a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CarrierName {
    /// #cloud-config with `write_files`
    CloudInit,
    /// An Ignition configuration, spec 3.3
    Ignition,
    /// A `KubeadmConfigTemplate` of Cluster API
    ClusterApi,
}

impl From<CarrierName> for Carrier {
    fn from(name: CarrierName) -> Self {
        match name {
            CarrierName::CloudInit => Self::CloudInit,
            CarrierName::Ignition => Self::Ignition,
            CarrierName::ClusterApi => Self::ClusterApi,
        }
    }
}

/// Prints or writes what `arguments` ask for.
///
/// # Errors
/// When the runtime cannot be closed, or a file cannot be written.
pub(super) fn run(arguments: &RenderArguments, file: Option<&Path>) -> Result<(), CliError> {
    let kit = arguments.kit.kit(file)?;
    let is_containerd = kit.runtime.kind == Kind::Containerd;
    if arguments.drop_in {
        if !is_containerd {
            return Err(CliError::misused("--drop-in is a section of containerd's config.toml"));
        }
        return output::print(&config_section(&kit));
    }
    let default = arguments.kit.registry.is_empty() || arguments.carrier.is_some();
    let rendered = files(&kit, default)
        .map_err(|error| CliError::misused("nothing was rendered").caused_by(error))?;
    let rendered = match arguments.carrier {
        Some(carrier) => vec![carried(&kit, carrier.into(), rendered)?],
        None => rendered,
    };
    match &arguments.output {
        Some(folder) => write(folder, &rendered, is_containerd && arguments.carrier.is_none()),
        None if is_containerd && arguments.carrier.is_none() => {
            output::print(&one(&kit, &rendered))
        }
        None => output::print(&printed(&rendered)),
    }
}

/// The files and what the node is to say of itself, as something that brings them onto it.
fn carried(kit: &Kit, carrier: Carrier, mut files: Vec<Rendered>) -> Result<Rendered, CliError> {
    let own = Rendered { path: PathBuf::from(kit::FILE), text: kit.to_toml(), mode: 0o644 };
    if files.iter().all(|file| file.path.is_absolute()) {
        files.insert(0, own);
    }
    carrier
        .carry(kit.runtime.kind, &files)
        .map_err(|error| CliError::misused("nothing was rendered").caused_by(error))
}

/// The file for the one registry that was named, or the one that fits every registry.
fn one(kit: &Kit, files: &[Rendered]) -> String {
    let hosts: Vec<_> = files.iter().filter(|file| file.path.ends_with(HOSTS_TOML)).collect();
    match hosts.as_slice() {
        [only] => only.text.clone(),
        _ => hosts_toml_for_any(kit),
    }
}

fn printed(files: &[Rendered]) -> String {
    match files {
        [only] => only.text.clone(),
        // Mirror sets and the like are documents of one stream.
        several => {
            let text = |file: &Rendered| format!("# {}\n{}", file.path.display(), file.text);
            several.iter().map(text).collect::<Vec<_>>().join("---\n")
        }
    }
}

/// Writes `files` into `folder`: for containerd those of certs.d, as they lie there.
fn write(folder: &Path, files: &[Rendered], of_certs_d: bool) -> Result<(), CliError> {
    for file in files {
        let inside = file.path.strip_prefix(CERTS_D);
        let relative = match (of_certs_d, inside) {
            (true, Ok(inside)) => inside,
            (true, Err(_)) => continue,
            (false, _) => file.path.file_name().map_or(file.path.as_path(), Path::new),
        };
        let path = folder.join(relative);
        place::replace(&path, file.text.as_bytes(), file.mode).map_err(|error| {
            CliError::failed(format!("{} was not written", path.display())).caused_by(error)
        })?;
        output::message(&format!("wrote {}", path.display()));
    }
    if of_certs_d {
        warn_of_others(folder, files);
    }
    Ok(())
}

/// Says which folders in `folder` are not among `files`: each of them is a way past the mirror.
fn warn_of_others(folder: &Path, files: &[Rendered]) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let relative = Path::new(&entry.file_name()).join(HOSTS_TOML);
        let is_ours = files.iter().any(|file| file.path == Path::new(CERTS_D).join(&relative));
        if !is_ours && folder.join(&relative).exists() {
            let path = folder.join(&relative);
            let text = format!(
                "{} was there before and hides _default: it may lead past the mirror",
                path.display()
            );
            output::message(&text);
        }
    }
}
