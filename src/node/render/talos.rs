//! A patch of the Talos machine configuration.
//!
//! `skipFallback` takes the registry away as the last endpoint; it is there since Talos 1.9
//! (siderolabs/talos#9723). From 1.12 on mirrors are documents of their own, `RegistryMirrorConfig`.
//! `overridePath` is not needed: the mirror answers under `/v2/` and is told the registry as `ns`.
//!
//! Sources: <https://docs.siderolabs.com/talos/v1.12/reference/configuration/cri/registrymirrorconfig>,
//! <https://www.talos.dev/v1.9/reference/configuration/v1alpha1/config/>, `machine.registries`.

use super::{RenderError, Rendered, line, yaml};
use crate::node::Kit;

/// The patch.
pub(super) fn files(kit: &Kit, default: bool) -> Result<Vec<Rendered>, RenderError> {
    if kit.client.is_some() {
        return Err(RenderError::Unsayable(
            "Talos takes client certificates by their content, not by a path: add machine.registries.config.HOST.tls.clientIdentity by hand".to_owned(),
        ));
    }
    let mut text = introduction(kit);
    let documents = kit.runtime.is_at_least(1, 12, 0);
    let mirrors: Vec<_> = kit.mirrors.iter().map(|mirror| mirror.url().to_owned()).collect();
    let mut write = |name: &str, endpoints: &[String], closed: bool| {
        let piece = if documents {
            document(name, endpoints, closed)
        } else {
            entry(name, endpoints, closed)
        };
        text.push_str(&piece);
    };
    for registry in &kit.registries {
        write(registry.as_str(), &mirrors, !kit.open);
    }
    for registry in &kit.direct {
        write(registry.as_str(), &[format!("https://{registry}")], false);
    }
    if default {
        write("*", &mirrors, !kit.open);
    }
    Ok(vec![Rendered::at("pratique.patch.yaml", text)])
}

fn introduction(kit: &Kit) -> String {
    let mut text = String::from(if kit.open {
        "# Open: on any refusal Talos goes to the registry itself. NOT A GATE.\n"
    } else {
        "# Closed: skipFallback takes the registry away as the last endpoint.\n"
    });
    line(&mut text, "# talosctl patch machineconfig --patch @pratique.patch.yaml");
    if kit.ca.is_some() {
        line(
            &mut text,
            "# The mirror's authority belongs into a TrustedRootsConfig document: Talos reads no path.",
        );
    }
    if !kit.runtime.is_at_least(1, 12, 0) {
        text.push_str("machine:\n  registries:\n    mirrors:\n");
    }
    text
}

fn entry(name: &str, endpoints: &[String], closed: bool) -> String {
    let mut text = format!("      {}:\n        endpoints:\n", yaml(name));
    for endpoint in endpoints {
        line(&mut text, &format!("          - {}", yaml(endpoint)));
    }
    if closed {
        line(&mut text, "        skipFallback: true");
    }
    text
}

fn document(name: &str, endpoints: &[String], closed: bool) -> String {
    let mut text = format!(
        "---\napiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: {}\nendpoints:\n",
        yaml(name)
    );
    for endpoint in endpoints {
        line(&mut text, &format!("  - url: {}", yaml(endpoint)));
    }
    if closed {
        line(&mut text, "skipFallback: true");
    }
    text
}
