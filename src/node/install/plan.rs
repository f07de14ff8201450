//! What would be written, and what is in the way.

use std::path::{Path, PathBuf};

use super::InstallError;
use super::config_path::with_config_path;
use super::hands::Hands;
use super::journal::Journal;
use crate::node::render::{
    self, CERTS_D, CONTAINERD_CONFIG, HOSTS_TOML, REGISTRIES_CONF_D, registries_yaml,
};
use crate::node::verify::ways;
use crate::node::{Kind, Kit, kit};
use crate::oci::Registry;

/// What containerd 2.2 and later take when nothing is said, in whole or in part.
const USUAL_FOLDERS: [&str; 2] = [CERTS_D, "/etc/docker/certs.d"];
/// Where podman, CRI-O and the like look for certificates of a host.
const HOSTS_CERTIFICATES: &str = "/etc/containers/certs.d";

/// One file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its path on the node.
    pub path: PathBuf,
    /// What will be in it.
    pub content: Vec<u8>,
    /// Its mode.
    pub mode: u32,
}

/// Everything to be written, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub(super) kind: Kind,
    /// The files.
    pub files: Vec<Planned>,
    /// What the node will say of itself; registries that were found there may be added.
    pub kit: Kit,
}

impl Plan {
    /// What makes of the node below `root` what `kit` says. With `replace`, what others configured is
    /// replaced, and kept for `uninstall`.
    ///
    /// # Errors
    /// With everything that is in the way at once.
    pub fn make(root: &Path, kit: &Kit, replace: bool) -> Result<Self, InstallError> {
        let hands = Hands::at(root);
        let mut kit = kit.clone();
        let mut refusals = Vec::new();
        let journal = Journal::read(&hands)?.unwrap_or_default();
        let is_ours = |path: &Path| journal.files.iter().any(|kept| kept.path == path);
        let mut edit = None;
        match kit.runtime.kind {
            Kind::Containerd => {
                folders(root, &mut kit, replace, &is_ours, &mut refusals);
                edit = config(&hands, root, &kit, replace, &mut refusals)?;
            }
            Kind::Crio | Kind::Podman | Kind::Buildah => {
                blocks(root, &kit, replace, &mut refusals);
            }
            Kind::K3s | Kind::Rke2 => {
                let path = PathBuf::from(registries_yaml(kit.runtime.kind));
                if !replace && !is_ours(&path) && hands.read(&path)?.is_some() {
                    refusals.push(format!(
                        "{} is there: its mirrors and credentials would be gone; --replace takes its place, and uninstall puts it back",
                        path.display()
                    ));
                }
            }
            Kind::Docker
            | Kind::Talos
            | Kind::Bottlerocket
            | Kind::OpenShift
            | Kind::BuildKit
            | Kind::Kaniko => {
                return Err(InstallError::NotInstallable(kit.runtime.kind.name()));
            }
        }
        let files = render::files(&kit, true)?;
        if !refusals.is_empty() {
            return Err(InstallError::Refused(refusals));
        }
        let mut plan = Self { kind: kit.runtime.kind, files: Vec::new(), kit: kit.clone() };
        // First what the node is to be, so that a run that ends early can be completed by it.
        plan.add(kit::FILE, kit.to_toml().into_bytes(), 0o644);
        certificates(&hands, &kit, &mut plan)?;
        let into_config = |path: &Path| path.starts_with("/etc/containerd/conf.d");
        for file in files.into_iter().filter(|file| !into_config(&file.path)) {
            plan.add(&file.path, file.text.into_bytes(), file.mode);
        }
        stand_ins(&journal, &kit, &mut plan);
        // Last what has the others read.
        if let Some((text, mode)) = edit {
            plan.add(CONTAINERD_CONFIG, text.into_bytes(), mode);
        } else if is_ours(Path::new(CONTAINERD_CONFIG))
            && let Some(content) = hands.read(Path::new(CONTAINERD_CONFIG))?
        {
            // It says already what it should, and is ours still.
            let mode = hands.mode(Path::new(CONTAINERD_CONFIG))?.unwrap_or(0o644);
            plan.add(CONTAINERD_CONFIG, content, mode);
        }
        Ok(plan)
    }

    fn add(&mut self, path: impl Into<PathBuf>, content: Vec<u8>, mode: u32) {
        self.files.push(Planned { path: path.into(), content, mode });
    }
}

/// Folders of registries that are not listed: each hides `_default`.
fn folders(
    root: &Path,
    kit: &mut Kit,
    replace: bool,
    is_ours: &dyn Fn(&Path) -> bool,
    refusals: &mut Vec<String>,
) {
    for (folder, host) in ways::folders(root, Path::new(CERTS_D)) {
        let listed = |list: &[Registry]| list.iter().any(|registry| registry.as_str() == host);
        let path = Path::new(CERTS_D).join(&folder).join(HOSTS_TOML);
        if listed(&kit.registries) || listed(&kit.direct) || is_ours(&path) {
            continue;
        }
        match host.parse::<Registry>() {
            Ok(registry) if replace => kit.registries.push(registry),
            Ok(_) => refusals.push(format!(
                "{CERTS_D}/{folder} is there and hides _default: --registry {host} leads it to the mirror, --direct {host} declares it a hole, --replace leads all of these to the mirror"
            )),
            Err(_) => refusals.push(format!("{CERTS_D}/{folder} is there, and names no registry; remove it")),
        }
    }
}

/// The change to `config.toml`, with the mode of the file.
fn config(
    hands: &Hands,
    root: &Path,
    kit: &Kit,
    replace: bool,
    refusals: &mut Vec<String>,
) -> Result<Option<(String, u32)>, InstallError> {
    let path = Path::new(CONTAINERD_CONFIG);
    let ways = ways::containerd(root, kit);
    if let Some(mirrors) = ways.mirrors {
        refusals.push(format!(
            "{mirrors}: registry.mirrors is there, the old form, beside which containerd does not start with config_path; remove it"
        ));
        return Ok(None);
    }
    match &ways.config_path {
        Some((value, _)) if value == CERTS_D => return Ok(None),
        Some((value, place)) => {
            let usual = value.split(':').all(|folder| USUAL_FOLDERS.contains(&folder));
            if !usual && !replace {
                refusals.push(format!(
                    "{place}: config_path is {value:?}, whose files would not be read any more; move what is needed to {CERTS_D}, then --replace"
                ));
            }
            if !place.starts_with(CONTAINERD_CONFIG) {
                refusals.push(format!(
                    "{place}: config_path is set in an imported file; write {CERTS_D:?} there"
                ));
            }
        }
        None => {}
    }
    let text = hands.read(path)?.map(|content| String::from_utf8_lossy(&content).into_owned());
    let mode = hands.mode(path)?.unwrap_or(0o644);
    match with_config_path(text.as_deref(), kit) {
        Ok(changed) => Ok(changed.map(|text| (text, mode))),
        Err(why) => {
            refusals.push(format!("{CONTAINERD_CONFIG} {why}"));
            Ok(None)
        }
    }
}

/// Blocks that others wrote for what is listed, or for part of it.
fn blocks(root: &Path, kit: &Kit, replace: bool, refusals: &mut Vec<String>) {
    let ours = Path::new(REGISTRIES_CONF_D).join("50-pratique.conf");
    for (prefix, file, line) in ways::blocks(root, kit) {
        let listed = kit.registries.iter().any(|registry| {
            prefix
                .strip_prefix(registry.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        // One for the same prefix that is read earlier is replaced by ours; no other is.
        let is_replaced = replace
            && file < ours
            && kit.registries.iter().any(|registry| registry.as_str() == prefix);
        if file != ours && listed && !is_replaced {
            refusals.push(format!(
                "{}:{line}: has a block for {prefix}; remove it{}",
                file.display(),
                if file < ours { ", or --replace it if it is for the whole registry" } else { "" }
            ));
        }
    }
}

/// Copies of certificates where podman, CRI-O and the like look for them.
fn certificates(hands: &Hands, kit: &Kit, plan: &mut Plan) -> Result<(), InstallError> {
    if !kit.runtime.kind.reads_registries_conf() {
        return Ok(());
    }
    let client = kit.client.as_ref();
    let wanted = [
        (kit.ca.as_ref(), "ca.crt", 0o644),
        (client.map(|client| &client.cert), "client.cert", 0o644),
        (client.map(|client| &client.key), "client.key", 0o600),
    ];
    for mirror in kit.mirrors.iter().filter(|mirror| !mirror.is_plain()) {
        for (from, name, mode) in wanted {
            let Some(from) = from else { continue };
            let Some(content) = hands.read(from)? else {
                return Err(InstallError::Refused(vec![format!(
                    "{} is not there",
                    from.display()
                )]));
            };
            plan.add(
                Path::new(HOSTS_CERTIFICATES).join(mirror.authority()).join(name),
                content,
                mode,
            );
        }
    }
    Ok(())
}

/// Files of ours that stand in for somebody's and are not listed any more: putting theirs back could
/// open what is closed, so they go on leading to the mirror.
fn stand_ins(journal: &Journal, kit: &Kit, plan: &mut Plan) {
    if kit.runtime.kind != Kind::Containerd {
        return;
    }
    for kept in &journal.files {
        let is_planned = plan.files.iter().any(|file| file.path == kept.path);
        if !is_planned && kept.original.is_some() && kept.path.ends_with(HOSTS_TOML) {
            plan.add(&kept.path, render::hosts_toml_for_any(kit).into_bytes(), 0o644);
        }
    }
}
