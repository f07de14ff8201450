//! What a node is to be, from flags, from its own file, or from the mirror's settings.

use std::path::{Path, PathBuf};

use crate::cli::CliError;
use crate::cli::scan::look::platform_here;
use crate::node::verify::{self, Report};
use crate::node::{ClientCertificate, Endpoint, Kind, Kit, Runtime, kit};
use crate::oci::{ImageReference, Registry};
use crate::{config, preload};

/// What a node is to be.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct KitArguments {
    /// What pulls on the node, with its version if that is known: containerd@1.7.24, crio, k3s
    #[arg(long, value_name = "NAME[@VERSION]")]
    pub(super) runtime: Option<Runtime>,
    /// Leave the way to the registries themselves open; not a gate
    #[arg(long)]
    pub(super) open: bool,
    /// A registry with a file of its own; may be repeated [default: every configured one]
    #[arg(long, value_name = "REGISTRY")]
    pub(super) registry: Vec<Registry>,
    /// A registry that is reached past the mirror, as a declared hole; may be repeated
    #[arg(long, value_name = "REGISTRY")]
    pub(super) direct: Vec<Registry>,
    /// The mirror as nodes reach it, https://host:port; repeat it for several, which are asked in order
    #[arg(long, value_name = "URL")]
    pub(super) mirror: Vec<Endpoint>,
    /// The file on the node with the authority of the mirror's certificate
    #[arg(long, value_name = "PATH")]
    pub(super) ca: Option<PathBuf>,
    /// The file on the node with its client certificate
    #[arg(long, value_name = "PATH", requires = "client_key")]
    pub(super) client_cert: Option<PathBuf>,
    /// The file on the node with the key of its client certificate
    #[arg(long, value_name = "PATH", requires = "client_cert")]
    pub(super) client_key: Option<PathBuf>,
    /// An image that only a way past the mirror could pull, for `doctor`; may be repeated
    #[arg(long, value_name = "IMAGE")]
    pub(super) canary: Vec<ImageReference>,
    /// The folder on the node with the images that bring it up (`pratique preload save`): `node verify` looks
    /// whether it is whole
    #[arg(long, value_name = "DIR")]
    pub(super) preload: Option<PathBuf>,
}

impl KitArguments {
    /// Whether anything was said.
    pub(super) fn are_empty(&self) -> bool {
        self.runtime.is_none()
            && !self.open
            && self.registry.is_empty()
            && self.direct.is_empty()
            && self.mirror.is_empty()
            && self.ca.is_none()
            && self.client_cert.is_none()
            && self.canary.is_empty()
            && self.preload.is_none()
    }

    /// The kit that the flags make, together with the settings in `file`.
    ///
    /// # Errors
    /// When the mirror's address is missing, or flags do not fit together.
    pub(super) fn kit(&self, file: Option<&Path>) -> Result<Kit, CliError> {
        let settings = config::load_for_client(file).map_err(|error| {
            CliError::misused("no settings to take the rest from").caused_by(error)
        })?;
        let mirrors = match (self.mirror.as_slice(), settings.node_url()) {
            ([], None) => {
                return Err(CliError::misused(
                    "the mirror listens on every address; say --mirror https://HOST:PORT, as nodes reach it",
                ));
            }
            ([], Some(url)) => {
                let parsed: Result<Endpoint, _> = url.parse();
                vec![parsed.map_err(|error| {
                    CliError::misused("the settings name no mirror").caused_by(error)
                })?]
            }
            (named, _) => named.to_vec(),
        };
        if mirrors.iter().all(Endpoint::is_plain)
            && (self.ca.is_some() || self.client_cert.is_some())
        {
            return Err(CliError::misused("--ca and --client-cert belong to an https mirror"));
        }
        let configured = settings.upstream.registries.into_iter().map(|upstream| upstream.registry);
        let named = !self.registry.is_empty();
        let mut registries: Vec<_> =
            if named { self.registry.clone() } else { configured.collect() };
        if let Some(both) = self.direct.iter().find(|direct| self.registry.contains(direct)) {
            return Err(CliError::misused(format!("{both} is both --registry and --direct")));
        }
        registries.retain(|registry| !self.direct.contains(registry));
        Ok(Kit {
            runtime: self.runtime.unwrap_or(Kind::Containerd.into()),
            mirrors,
            ca: self.ca.clone(),
            client: self
                .client_cert
                .clone()
                .zip(self.client_key.clone())
                .map(|(cert, key)| ClientCertificate { cert, key }),
            registries,
            direct: self.direct.clone(),
            open: self.open,
            canaries: self.canary.clone(),
            preload: self.preload.clone(),
        })
    }
}

/// What there is to say of the node below `root`: its ways past the mirror, and the set that it should have.
pub(super) fn looked_at(root: &Path, kit: &Kit) -> Result<Report, CliError> {
    let report = verify::verify(root, kit);
    let Some(folder) = &kit.preload else { return Ok(report) };
    let platform = platform_here().parse().map_err(CliError::misused)?;
    Ok(report.with(preload::findings(root, folder, platform)))
}

/// What the node below `root` says that it was configured to.
///
/// # Errors
/// When its file cannot be read or has mistakes.
pub(super) fn configured(root: &Path) -> Result<Option<Kit>, CliError> {
    let path = root.join(kit::FILE.trim_start_matches('/'));
    Kit::read(&path).map_err(|error| {
        CliError::unreachable("what the node was configured to cannot be told").caused_by(error)
    })
}
