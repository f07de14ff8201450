//! What lies on a node, read with the rules of the runtime that reads it: every way past the mirror,
//! with its file, its line, what happens there and what to do.
//!
//! The rules are those of the sources, version by version; what is not known of a version counts as
//! the worse. `tests/real/cases/node.sh` shows for each of containerd's that the real program does what
//! is said here.

mod access;
mod certs_d;
mod config_toml;
mod finding;
mod hosts_toml;
mod rancher;
mod registries_conf;
mod tree;
pub(crate) mod ways;

use std::path::Path;

pub use self::finding::{Finding, Gravity, Report};
use self::tree::Tree;
use super::opened::Opened;
use super::{Kind, Kit};

/// Looks at the node whose files lie below `root` (`/` on a node), which was to be configured as
/// `kit` says.
///
/// Nothing fails: what cannot be read is a finding.
pub fn verify(root: &Path, kit: &Kit) -> Report {
    let tree = Tree::at(root);
    let mut report = Report::new(kit);
    match Opened::read(root) {
        Ok(Some(opened)) => report.add(finding::opened(&opened)),
        Ok(None) if kit.open => report.add(finding::open()),
        Ok(None) => {}
        Err(error) => report.add(finding::opening_unreadable(&error)),
    }
    match kit.runtime.kind {
        Kind::Containerd => config_toml::verify(&tree, kit, &mut report),
        Kind::Crio | Kind::Podman | Kind::Buildah => {
            registries_conf::verify(&tree, kit, &mut report);
        }
        Kind::K3s | Kind::Rke2 => rancher::verify(&tree, kit, &mut report),
        Kind::Docker
        | Kind::Talos
        | Kind::Bottlerocket
        | Kind::OpenShift
        | Kind::BuildKit
        | Kind::Kaniko => report.add(finding::not_verifiable(kit.runtime.kind)),
    }
    if kit.open {
        // That refusals lead to the registry is said once; what else is wrong is told all the same.
        report.keep(|finding| !finding.is_open_form());
    }
    access::verify(&tree, Path::new(super::kit::FILE), &mut report);
    report.settle();
    report
}

#[cfg(test)]
mod tests;
