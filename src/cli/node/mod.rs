//! `pratique node render`: the files that make a node pull through the mirror.
//!
//! In the closed form, the default, the mirror is the only place that the node knows, and so a gate.
//! In the open form the node falls back to the registry itself on every refusal.

mod containerd;
mod containers;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use http::Uri;

use super::{CliError, output};
use crate::config;
use crate::oci::Registry;

const EXAMPLES: &str = "\
Examples:
  pratique node render --mirror https://mirror.example:5000 --ca /etc/containerd/mirror-ca.pem -o certs.d
      One folder per configured registry and _default; copy certs.d to /etc/containerd/certs.d.
  pratique node render --open --mirror https://mirror.example:5000 -o certs.d
      The first days, with `mode: audit` in the policy. Not a gate.
  pratique node render --runtime crio --mirror https://mirror.example:5000
      For CRI-O, podman, buildah and skopeo, on standard output.

Without -o the file is printed; for containerd it then fits every registry. The address of the
mirror comes from the settings if they name one that others can reach.";

/// What can be made for nodes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum NodeCommand {
    /// Write the files that make a node pull through the mirror, and from nowhere else
    #[command(after_help = EXAMPLES)]
    Render(RenderArguments),
}

/// What the files are to say.
#[derive(Debug, clap::Args)]
pub(crate) struct RenderArguments {
    /// What pulls on the node
    #[arg(long, value_enum, default_value_t = Runtime::Containerd)]
    runtime: Runtime,
    /// Leave the way to the registries themselves open; not a gate
    #[arg(long)]
    open: bool,
    /// Only for this registry; may be repeated [default: every configured one]
    #[arg(long, value_name = "REGISTRY")]
    registry: Vec<Registry>,
    /// The mirror as nodes reach it: https://host:port
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// The file on the node with the authority of the mirror's certificate
    #[arg(long, value_name = "PATH")]
    ca: Option<String>,
    /// The file on the node with its client certificate
    #[arg(long, value_name = "PATH", requires = "client_key")]
    client_cert: Option<String>,
    /// The file on the node with the key of its client certificate
    #[arg(long, value_name = "PATH", requires = "client_cert")]
    client_key: Option<String>,
    /// Write into this folder instead of printing
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// What pulls on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Runtime {
    /// containerd 1.6 and later: hosts.toml
    Containerd,
    /// CRI-O, podman, buildah, skopeo: registries.conf
    Crio,
}

/// The mirror as a node is to know it.
#[derive(Debug)]
struct Mirror {
    /// `https://host:port`, without a slash at the end.
    url: String,
    /// `host:port`.
    authority: String,
    is_plain: bool,
    ca: Option<String>,
    /// Certificate and key.
    client: Option<(String, String)>,
}

/// A file and where it belongs, relative to the folder for all of them.
struct Rendered {
    path: PathBuf,
    text: String,
}

/// Runs `command`; `file` is the settings file.
///
/// # Errors
/// When the mirror's address is missing or wrong, or a file cannot be written.
pub(crate) fn run(command: NodeCommand, file: Option<&Path>) -> Result<(), CliError> {
    let NodeCommand::Render(arguments) = command;
    let settings = config::load_for_client(file)
        .map_err(|error| CliError::misused("no settings to render from").caused_by(error))?;
    let written = arguments.mirror.clone().or_else(|| settings.node_url()).ok_or_else(|| {
        CliError::misused("the mirror listens on every address; say --mirror https://HOST:PORT, as nodes reach it")
    })?;
    let mirror = Mirror::new(&written, &arguments)?;
    let configured = settings.upstream.registries.into_iter().map(|upstream| upstream.registry);
    let named = !arguments.registry.is_empty();
    let registries: Vec<_> = if named { arguments.registry.clone() } else { configured.collect() };
    let Some(folder) = &arguments.output else {
        return output::print(&printed(&arguments, &registries, &mirror));
    };
    let files = match arguments.runtime {
        Runtime::Containerd => containerd::files(&registries, &mirror, arguments.open, !named),
        Runtime::Crio => vec![containers::file(&registries, &mirror, arguments.open)],
    };
    for file in &files {
        write(&folder.join(&file.path), &file.text)?;
    }
    if arguments.runtime == Runtime::Containerd {
        warn_of_others(folder, &files);
    }
    Ok(())
}

fn printed(arguments: &RenderArguments, registries: &[Registry], mirror: &Mirror) -> String {
    match (arguments.runtime, arguments.registry.as_slice()) {
        (Runtime::Containerd, [one]) => containerd::hosts_toml(Some(one), mirror, arguments.open),
        (Runtime::Containerd, _) => containerd::hosts_toml(None, mirror, arguments.open),
        (Runtime::Crio, _) => containers::file(registries, mirror, arguments.open).text,
    }
}

impl Mirror {
    fn new(written: &str, arguments: &RenderArguments) -> Result<Self, CliError> {
        let wrong =
            || CliError::misused(format!("--mirror {written:?} is not http[s]://HOST[:PORT]"));
        let uri: Uri = written.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong());
        };
        let has_more = !matches!(uri.path(), "" | "/") || uri.query().is_some();
        if !matches!(scheme, "http" | "https")
            || has_more
            || authority.as_str().parse::<Registry>().is_err()
        {
            return Err(wrong());
        }
        let is_plain = scheme == "http";
        let client = arguments.client_cert.clone().zip(arguments.client_key.clone());
        if is_plain && (arguments.ca.is_some() || client.is_some()) {
            return Err(CliError::misused("--ca and --client-cert belong to an https mirror"));
        }
        Ok(Self {
            url: format!("{scheme}://{authority}"),
            authority: authority.to_string(),
            is_plain,
            ca: arguments.ca.clone(),
            client,
        })
    }
}

/// `text` as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Puts `text` at `path` in one step: containerd ignores a file that it cannot parse, and then pulls
/// past the mirror, so it must never see half of one.
fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let placed = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let beside = path.with_extension("new");
        fs::write(&beside, text)?;
        fs::rename(&beside, path)
    };
    placed().map_err(|error| {
        CliError::failed(format!("{} was not written", path.display())).caused_by(error)
    })?;
    output::message(&format!("wrote {}", path.display()));
    Ok(())
}

/// Says which folders in `folder` are not among `files`: each of them is a way past the mirror.
fn warn_of_others(folder: &Path, files: &[Rendered]) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = Path::new(&entry.file_name()).join(containerd::FILE);
        let is_ours = files.iter().any(|file| file.path == path);
        if !is_ours && folder.join(&path).exists() {
            let text = format!(
                "{} was there before and hides _default: it may lead past the mirror",
                folder.join(&path).display()
            );
            output::message(&text);
        }
    }
}

#[cfg(test)]
mod tests;
