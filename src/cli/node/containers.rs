//! `registries.conf` for CRI-O, podman, buildah and skopeo.
//!
//! Only `location` is a gate: on any refusal of a `[[registry.mirror]]` these clients go to the
//! registry itself.

use std::path::PathBuf;

use super::{Mirror, Rendered, quoted};
use crate::oci::Registry;

/// A drop-in of `/etc/containers/registries.conf.d`.
const FILE: &str = "50-pratique.conf";

/// One block for each registry.
pub(super) fn file(registries: &[Registry], mirror: &Mirror, open: bool) -> Rendered {
    let mut text = introduction(mirror, open);
    for registry in registries {
        text.push('\n');
        text.push_str(&block(registry, mirror, open));
    }
    Rendered { path: PathBuf::from(FILE), text }
}

fn introduction(mirror: &Mirror, open: bool) -> String {
    let what = if open {
        "# Open: on any refusal the client goes to the registry itself. NOT A GATE.\n"
    } else {
        "# Closed: these registries are pulled from the mirror only. What has no block is pulled past it.\n"
    };
    let folder = format!("/etc/containers/certs.d/{}", mirror.authority);
    let ca = mirror.ca.as_ref().map(|ca| comment(&format!("copy {ca} to {folder}/ca.crt")));
    let client = mirror.client.as_ref().map(|(cert, key)| {
        let copies =
            format!("copy {cert} to {folder}/client.cert and {key} to {folder}/client.key");
        comment(&copies)
    });
    [Some(what.to_owned()), ca, client].into_iter().flatten().collect()
}

/// `text` as one line of comment, whatever it contains.
fn comment(text: &str) -> String {
    format!("# {}\n", text.replace(char::is_control, " "))
}

fn block(registry: &Registry, mirror: &Mirror, open: bool) -> String {
    let name = quoted(registry.as_str());
    let at_mirror = quoted(&format!("{}/{registry}", mirror.authority));
    let insecure = if mirror.is_plain { "insecure = true\n" } else { "" };
    if open {
        return format!(
            "[[registry]]\nprefix = {name}\nlocation = {name}\n[[registry.mirror]]\nlocation = {at_mirror}\n{insecure}"
        );
    }
    format!("[[registry]]\nprefix = {name}\nlocation = {at_mirror}\n{insecure}")
}
