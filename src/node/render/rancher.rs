//! `registries.yaml` for k3s and RKE2, and the setting that takes the way to the registries away.
//!
//! A registry that stands under `configs` keeps its default endpoint whatever the setting says
//! (`getHostConfigs`), so only mirrors stand there.
//!
//! Sources: <https://docs.k3s.io/installation/private-registry>, "Default Endpoint Fallback" and
//! "Wildcard Support"; <https://docs.rke2.io/install/private_registry>; `pkg/agent/containerd/config.go`
//! of k3s.

use super::{Rendered, line, yaml};
use crate::node::{Kind, Kit};
use crate::oci::Registry;

/// The setting.
const SETTING: &str = "disable-default-registry-endpoint";

/// The file with mirrors.
pub fn registries_yaml(kind: Kind) -> String {
    format!("/etc/rancher/{}/registries.yaml", kind.name())
}

/// The folder with pieces of the agent's configuration; `config.yaml` lies beside it.
pub fn config_folder(kind: Kind) -> String {
    format!("/etc/rancher/{}/config.yaml.d", kind.name())
}

/// The mirrors, and closed the setting.
pub(super) fn files(kit: &Kit, default: bool) -> Vec<Rendered> {
    let kind = kit.runtime.kind;
    let mut files = vec![Rendered::at(registries_yaml(kind), registries(kit, default))];
    if !kit.open {
        let text = format!(
            "# Closed: a registry with mirrors in registries.yaml is pulled from them only. Needs a restart of {kind}.\n{SETTING}: true\n",
            kind = kind.name()
        );
        files.push(Rendered::at(format!("{}/50-pratique.yaml", config_folder(kind)), text));
    }
    files
}

fn registries(kit: &Kit, default: bool) -> String {
    let mut text = String::from(if kit.open {
        "# Open: on any refusal containerd goes to the registry itself. NOT A GATE.\nmirrors:\n"
    } else {
        "# Closed, together with disable-default-registry-endpoint: true in config.yaml.d/50-pratique.yaml.\nmirrors:\n"
    });
    let mirrors: Vec<_> = kit.mirrors.iter().map(|mirror| mirror.url().to_owned()).collect();
    for registry in &kit.registries {
        endpoints(&mut text, registry.as_str(), &mirrors);
    }
    for registry in &kit.direct {
        line(&mut text, "  # A declared hole: this registry is reached past the mirror.");
        endpoints(&mut text, registry.as_str(), &[itself(registry)]);
    }
    if default {
        endpoints(&mut text, "*", &mirrors);
    }
    configs(&mut text, kit);
    text
}

fn endpoints(text: &mut String, registry: &str, endpoints: &[String]) {
    line(text, &format!("  {}:\n    endpoint:", yaml(registry)));
    for endpoint in endpoints {
        line(text, &format!("      - {}", yaml(endpoint)));
    }
}

fn itself(registry: &Registry) -> String {
    let hub = *registry == Registry::docker_hub();
    if hub { "https://registry-1.docker.io".to_owned() } else { format!("https://{registry}") }
}

fn configs(text: &mut String, kit: &Kit) {
    let mut tls = String::new();
    if let Some(ca) = &kit.ca {
        line(&mut tls, &format!("      ca_file: {}", yaml(&ca.to_string_lossy())));
    }
    if let Some(client) = &kit.client {
        line(&mut tls, &format!("      cert_file: {}", yaml(&client.cert.to_string_lossy())));
        line(&mut tls, &format!("      key_file: {}", yaml(&client.key.to_string_lossy())));
    }
    if tls.is_empty() {
        return;
    }
    line(text, "configs:");
    for mirror in kit.mirrors.iter().filter(|mirror| !mirror.is_plain()) {
        line(text, &format!("  {}:\n    tls:", yaml(mirror.authority())));
        text.push_str(&tls);
    }
}
