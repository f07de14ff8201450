//! What lies on a node already and would have to be shadowed, for `install`.

use std::path::{Path, PathBuf};

use super::tree::Tree;
use super::{Report, certs_d, config_toml, registries_conf};
use crate::node::Kit;

/// What containerd's configuration says of registries.
#[derive(Debug, Default)]
pub(crate) struct Containerd {
    /// `config_path` and the place where it stands, `file:line`.
    pub(crate) config_path: Option<(String, String)>,
    /// The place of `registry.mirrors`.
    pub(crate) mirrors: Option<String>,
}

/// What `config.toml` and its imports say.
pub(crate) fn containerd(root: &Path, kit: &Kit) -> Containerd {
    config_toml::said(&Tree::at(root), kit, &mut Report::new(kit))
}

/// The folders of registries in `certs_d`, with the registry that each is for.
pub(crate) fn folders(root: &Path, certs_d: &Path) -> Vec<(String, String)> {
    certs_d::folders(&Tree::at(root), certs_d)
}

/// The blocks of `registries.conf` and its drop-ins: prefix, file and line.
pub(crate) fn blocks(root: &Path, kit: &Kit) -> Vec<(String, PathBuf, usize)> {
    registries_conf::blocks(&Tree::at(root), &mut Report::new(kit))
}
