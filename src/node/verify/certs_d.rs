//! Which file containerd takes for which registry.
//!
//! For `host:port` it looks for `host_port_`, then `host:port`, then `_default`, and takes the first
//! that is there, whatever is in it: a folder without `hosts.toml` counts, and leads to the registry.
//!
//! Sources: `core/remotes/docker/config/config_unix.go` (`hostPaths`), `hosts.go` (`HostDirFromRoot`,
//! `loadHostDir`), `internal/cri/server/images/image_pull.go` (`hostDirFromRoots`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Gravity, Report};
use super::tree::Tree;
use super::{access, hosts_toml};
use crate::node::Kit;
use crate::node::render::HOSTS_TOML;

/// The folder for registries that have none.
const DEFAULT_FOLDER: &str = "_default";

/// Looks at the folders `roots`, of which the first that knows a registry counts.
pub(super) fn verify(tree: &Tree, kit: &Kit, roots: &[PathBuf], report: &mut Report) {
    let mut hosts: BTreeSet<String> = kit.registries.iter().map(ToString::to_string).collect();
    hosts.extend(kit.direct.iter().map(ToString::to_string));
    for root in roots {
        access::verify(tree, root, report);
        hosts.extend(folders(tree, root).into_iter().map(|(_, host)| host));
    }
    for host in &hosts {
        look_at(tree, kit, roots, host, report);
    }
    let default =
        roots.iter().map(|root| root.join(DEFAULT_FOLDER)).find(|path| is_there(tree, path));
    let Some(folder) = default else {
        let root = roots.first().map_or(Path::new("/"), PathBuf::as_path);
        let text =
            "no folder _default: a registry that has no folder of its own is pulled from directly";
        let todo = "pratique node install writes it";
        report.add(Finding::hole("no-default", &root.join(DEFAULT_FOLDER), None, text, todo));
        return;
    };
    hosts_toml::verify(tree, kit, &folder.join(HOSTS_TOML), None, report);
}

/// The folders of registries in `root`, with the registry that each is for.
pub(super) fn folders(tree: &Tree, root: &Path) -> Vec<(String, String)> {
    let names = tree.list(root).unwrap_or_default();
    let folder = |name: &std::ffi::OsString| {
        // A plain file there is no registry.
        let is_folder =
            matches!(tree.metadata(&root.join(name)), Ok(Some(found)) if found.is_dir());
        // No registry begins with a dot; what is being written or removed does.
        let is_registry = |name: &&str| *name != DEFAULT_FOLDER && !name.starts_with('.');
        let name = name.to_str().filter(is_registry).filter(|_| is_folder)?;
        Some((name.to_owned(), host_of(name)))
    };
    names.iter().filter_map(folder).collect()
}

/// Looks at what counts for `host`, if that is not `_default`.
fn look_at(tree: &Tree, kit: &Kit, roots: &[PathBuf], host: &str, report: &mut Report) {
    for root in roots {
        let candidates = candidates(host);
        let there: Vec<_> = candidates
            .iter()
            .map(|name| root.join(name))
            .filter(|path| is_there(tree, path))
            .collect();
        if let Some((first, others)) = there.split_first() {
            hosts_toml::verify(tree, kit, &first.join(HOSTS_TOML), Some(host), report);
            for other in others {
                let text = format!("is not read: containerd takes {} before it", first.display());
                let finding = Finding::hole("not-read", other, None, text, "remove one of both");
                report.add(finding.but(Gravity::Note));
            }
            return;
        }
        if is_there(tree, &root.join(DEFAULT_FOLDER)) {
            return;
        }
    }
}

fn is_there(tree: &Tree, path: &Path) -> bool {
    !matches!(tree.metadata(path), Ok(None))
}

/// The folders for `host`, in the order in which they are looked for.
fn candidates(host: &str) -> Vec<String> {
    let with_port = host.rsplit_once(':').map(|(name, port)| format!("{name}_{port}_"));
    with_port.into_iter().chain([host.to_owned()]).collect()
}

/// The registry that a folder is for.
fn host_of(folder: &str) -> String {
    let host = folder.strip_suffix('_').and_then(|rest| rest.rsplit_once('_'));
    match host {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{host}:{port}")
        }
        _ => folder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_registries_belong_to_each_other() {
        for (folder, host) in [
            ("docker.io", "docker.io"),
            ("up.test_5000_", "up.test:5000"),
            ("up.test:5000", "up.test:5000"),
            ("a_b_", "a_b_"),
        ] {
            assert_eq!(host_of(folder), host);
        }
        assert_eq!(candidates("up.test:5000"), ["up.test_5000_", "up.test:5000"]);
        assert_eq!(candidates("docker.io"), ["docker.io"]);
    }
}
