//! From a [`Kit`] to the files that make a node pull through the mirror, for each runtime in its own
//! words.
//!
//! Closed, the default, means that the mirror is the only place that the runtime knows, so that a
//! refusal is one. Open means that the runtime goes to the registry itself on every refusal. Where a
//! runtime cannot be closed at all, [`files`] says so instead of writing something that looks closed.

mod carriers;
mod containerd;
mod containers;
mod images;
mod rancher;
mod talos;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub use self::carriers::Carrier;
pub use self::containerd::{CERTS_D, CONFIG as CONTAINERD_CONFIG, HOSTS_TOML, config_section};
pub use self::containers::{CONF as REGISTRIES_CONF, CONF_D as REGISTRIES_CONF_D};
pub use self::rancher::{config_folder as rancher_config_folder, registries_yaml};
use super::{Kind, Kit, quoted};

/// The mode of what holds no secret.
const PUBLIC: u32 = 0o644;

/// A file of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Where the runtime looks for it: an absolute path on the node, or a name for what is given to
    /// something else than a node.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
    /// Its mode.
    pub mode: u32,
}

impl Rendered {
    fn at(path: impl Into<PathBuf>, text: String) -> Self {
        Self { path: path.into(), text, mode: PUBLIC }
    }
}

/// Why nothing was rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The runtime has no closed form.
    #[error("{runtime} cannot be closed: {why}. {instead} (--open renders what there is)")]
    NotClosable {
        /// Which.
        runtime: &'static str,
        /// Why not.
        why: &'static str,
        /// What closes it instead.
        instead: &'static str,
    },
    /// The version has no closed form.
    #[error("{runtime} is too old to be closed: {why}")]
    TooOld {
        /// Which.
        runtime: String,
        /// What is missing, and since when it is there.
        why: &'static str,
    },
    /// The format cannot say what was asked for.
    #[error("{0}")]
    Unsayable(String),
    /// The carrier has no use for what this runtime reads.
    #[error(
        "{runtime} is not configured by files of a node, so --as {carrier} has nothing to carry"
    )]
    NoFiles {
        /// Which.
        runtime: &'static str,
        /// What was to carry them.
        carrier: &'static str,
    },
}

/// The files for what `kit` says; with `default` what stands for every registry that is not listed is
/// among them.
///
/// # Errors
/// When the runtime cannot be closed, and `kit` is not open.
pub fn files(kit: &Kit, default: bool) -> Result<Vec<Rendered>, RenderError> {
    if !kit.open {
        closable(kit)?;
    }
    match kit.runtime.kind {
        Kind::Containerd => Ok(containerd::files(kit, default)),
        Kind::Crio | Kind::Podman | Kind::Buildah => Ok(vec![containers::file(kit)]),
        Kind::K3s | Kind::Rke2 => Ok(rancher::files(kit, default)),
        Kind::Talos => talos::files(kit, default),
        Kind::Docker => images::docker(kit),
        Kind::Bottlerocket => Ok(vec![images::bottlerocket(kit, default)]),
        Kind::OpenShift => Ok(images::openshift(kit)),
        Kind::BuildKit => Ok(vec![images::buildkit(kit)]),
        Kind::Kaniko => Ok(vec![images::kaniko(kit)]),
    }
}

/// The `hosts.toml` for every registry, as it is printed without a folder to write to.
pub fn hosts_toml_for_any(kit: &Kit) -> String {
    containerd::hosts_toml(None, kit)
}

/// Whether the runtime of `kit` can be closed at all.
///
/// # Errors
/// When it cannot; the error says what closes it instead.
pub fn closable(kit: &Kit) -> Result<(), RenderError> {
    let not = |why, instead| {
        Err(RenderError::NotClosable { runtime: kit.runtime.kind.name(), why, instead })
    };
    let too_old = |why| Err(RenderError::TooOld { runtime: kit.runtime.to_string(), why });
    let before = |major, minor| {
        kit.runtime.version.is_some_and(|version| (version.major, version.minor) < (major, minor))
    };
    match kit.runtime.kind {
        Kind::Docker => not(
            "registry-mirrors of Docker Engine always falls back to Docker Hub, and knows no other registry",
            "Pull by the mirror's name, MIRROR/docker.io/library/redis, and let a firewall keep the host from registries",
        ),
        Kind::Bottlerocket => not(
            "its mirrors always end at the registry itself (bottlerocket-os/bottlerocket#4891)",
            "Let a firewall keep the nodes from registries",
        ),
        Kind::BuildKit => not(
            "mirrors of buildkitd.toml always end at the registry itself",
            "Name base images by the mirror, FROM MIRROR/docker.io/library/alpine, and let a firewall keep builders from registries",
        ),
        Kind::Containerd if before(1, 6) => {
            too_old("hosts.toml is read this way since containerd 1.6")
        }
        Kind::Talos if before(1, 9) => too_old("skipFallback is there since Talos 1.9"),
        Kind::K3s | Kind::Rke2 if before(1, 26) => too_old(
            "disable-default-registry-endpoint is there since 1.26.13, 1.27.10, 1.28.6 and 1.29.1",
        ),
        Kind::Kaniko if before(1, 23) => too_old(
            "--registry-map with --skip-default-registry-fallback is there since kaniko 1.23",
        ),
        Kind::Containerd
        | Kind::Crio
        | Kind::Podman
        | Kind::Buildah
        | Kind::K3s
        | Kind::Rke2
        | Kind::Talos
        | Kind::OpenShift
        | Kind::Kaniko => Ok(()),
    }
}

/// `line` and its end.
fn line(text: &mut String, line: &str) {
    let written = writeln!(text, "{line}");
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

/// A path as TOML writes it.
fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// `text` as YAML and JSON both write it.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
