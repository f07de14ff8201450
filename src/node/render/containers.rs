//! `registries.conf` for CRI-O, podman, buildah and skopeo.
//!
//! Only `location` is a gate: on any refusal of a `[[registry.mirror]]` these clients go on, at last to
//! `location`. So the last mirror is the location, and the others stand before it.
//!
//! Source: <https://github.com/containers/image/blob/v5.36.2/docs/containers-registries.conf.5.md>,
//! "Remapping and mirroring registries".

use super::{Rendered, line};
use crate::node::{Endpoint, Kit, quoted};
use crate::oci::Registry;

/// The file that is read first.
pub const CONF: &str = "/etc/containers/registries.conf";
/// Drop-ins, in the order of their names; the last one to speak of a prefix counts.
pub const CONF_D: &str = "/etc/containers/registries.conf.d";
/// The drop-in that is written.
const FILE: &str = "/etc/containers/registries.conf.d/50-pratique.conf";
/// Where these clients look for the certificates of a host.
const CERTS_D: &str = "/etc/containers/certs.d";

/// One block for each registry, declared holes among them.
pub(super) fn file(kit: &Kit) -> Rendered {
    let mut text = introduction(kit);
    for registry in &kit.registries {
        text.push('\n');
        text.push_str(&block(registry, kit));
    }
    for registry in &kit.direct {
        let name = quoted(registry.as_str());
        line(&mut text, "\n# A declared hole: this registry is reached past the mirror.");
        line(&mut text, &format!("[[registry]]\nprefix = {name}\nlocation = {name}"));
    }
    Rendered::at(FILE, text)
}

fn introduction(kit: &Kit) -> String {
    let mut text = String::from(if kit.open {
        "# Open: on any refusal the client goes to the registry itself. NOT A GATE.\n"
    } else {
        "# Closed: these registries are pulled from the mirror only. What has no block is pulled past it.\n"
    });
    for mirror in kit.mirrors.iter().filter(|mirror| !mirror.is_plain()) {
        let folder = format!("{CERTS_D}/{}", mirror.authority());
        if let Some(ca) = &kit.ca {
            line(&mut text, &comment(&format!("copy {} to {folder}/ca.crt", ca.display())));
        }
        if let Some(client) = &kit.client {
            let (cert, key) = (client.cert.display(), client.key.display());
            let copies =
                format!("copy {cert} to {folder}/client.cert and {key} to {folder}/client.key");
            line(&mut text, &comment(&copies));
        }
    }
    text
}

/// `text` as one line of comment, whatever it contains.
fn comment(text: &str) -> String {
    format!("# {}", text.replace(char::is_control, " "))
}

fn block(registry: &Registry, kit: &Kit) -> String {
    let name = quoted(registry.as_str());
    let mut text = format!("[[registry]]\nprefix = {name}\n");
    let before = if kit.open {
        line(&mut text, &format!("location = {name}"));
        kit.mirrors.as_slice()
    } else {
        let Some((last, before)) = kit.mirrors.split_last() else { return text };
        text.push_str(&location(registry, last));
        before
    };
    for mirror in before {
        line(&mut text, "[[registry.mirror]]");
        text.push_str(&location(registry, mirror));
    }
    text
}

fn location(registry: &Registry, mirror: &Endpoint) -> String {
    let place = quoted(&format!("{}/{registry}", mirror.authority()));
    let insecure = if mirror.is_plain() { "insecure = true\n" } else { "" };
    format!("location = {place}\n{insecure}")
}
