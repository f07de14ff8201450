//! `hosts.toml` for containerd 1.6 and later, and the section of `config.toml` that has it read.
//!
//! The closed form names the mirror twice. containerd 1.6 to 1.6.39 and 1.7.0 to 1.7.31 ignore a file
//! without a `[host]` table and go to the registry (`getSortedHosts`); every version goes to the
//! registry when `server` is missing or names it. Certificates are repeated because those under
//! `[host]` are not used for `server`. `"referrers"` is not among the capabilities: before 2.2.0 an
//! unknown one makes the whole file unreadable, and that opens the gate.
//!
//! Sources: <https://github.com/containerd/containerd/blob/main/docs/hosts.md>, and
//! `core/remotes/docker/config/hosts.go` (before 2.0: `remotes/docker/config/hosts.go`) of 1.6.20,
//! 1.7.24, 2.1.9 and 2.3.4.

use std::path::Path;

use super::{Rendered, line, quoted_path};
use crate::node::{Endpoint, Kit, quoted};
use crate::oci::Registry;

/// The folder that the configuration is written to: `config_path`.
pub const CERTS_D: &str = "/etc/containerd/certs.d";
/// containerd's own configuration.
pub const CONFIG: &str = "/etc/containerd/config.toml";
/// The name that containerd gives the file of a registry.
pub const HOSTS_TOML: &str = "hosts.toml";
/// The folder for registries that have none.
const DEFAULT_FOLDER: &str = "_default";
/// What containerd 2 imports, where `config.toml` says `imports = ["/etc/containerd/conf.d/*.toml"]`.
const DROP_IN: &str = "/etc/containerd/conf.d/50-pratique.toml";

/// A file for each registry, declared holes among them, and with `default` one for all that have none.
pub(super) fn files(kit: &Kit, default: bool) -> Vec<Rendered> {
    let at =
        |folder: &str, text| Rendered::at(Path::new(CERTS_D).join(folder).join(HOSTS_TOML), text);
    let closed = |registry| at(&folder(registry), hosts_toml(Some(registry), kit));
    let past = |registry| at(&folder(registry), direct(registry));
    let mut files: Vec<_> = kit.registries.iter().map(closed).collect();
    files.extend(kit.direct.iter().map(past));
    files.extend(default.then(|| at(DEFAULT_FOLDER, hosts_toml(None, kit))));
    // Imports of containerd 1.x replace all that config.toml says of the plugin, its cgroup driver
    // among it, so that there is a drop-in for 2.x only.
    if kit.runtime.is_at_least(2, 0, 0) {
        files.push(Rendered::at(DROP_IN, config_section(kit)));
    }
    files
}

/// The section of `config.toml` that has containerd read the folder.
///
/// Sources: `internal/cri/config/config.go` (2.x) and `pkg/cri/config/config.go` (1.x): `config_path`.
/// One folder only: 2.1 and later take a list of them for one name and read nothing
/// (`core/transfer/registry/registry.go`, `NewOCIRegistry`).
pub fn config_section(kit: &Kit) -> String {
    let (version, section) = if kit.runtime.is_at_least(2, 0, 0) {
        (3, "io.containerd.cri.v1.images")
    } else {
        (2, "io.containerd.grpc.v1.cri")
    };
    format!(
        "# containerd reads one folder per registry below this one. A change here needs a restart of containerd.\n\
         version = {version}\n\n[plugins.\"{section}\".registry]\n  config_path = \"{CERTS_D}\"\n"
    )
}

/// The folder that containerd looks for first: `host`, or `host_port_`.
fn folder(registry: &Registry) -> String {
    match registry.as_str().rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => format!("{host}_{port}_"),
        _ => registry.to_string(),
    }
}

/// The file for `registry`, or for every one.
pub(super) fn hosts_toml(registry: Option<&Registry>, kit: &Kit) -> String {
    let mut text = String::new();
    if kit.open {
        line(
            &mut text,
            "# Open: on any refusal containerd goes to the registry itself. NOT A GATE.",
        );
        if let Some(registry) = registry {
            line(&mut text, &format!("server = {}", quoted(&itself(registry))));
        }
    } else {
        line(
            &mut text,
            "# Closed: the mirror is the only place to pull from. Both entries are needed.",
        );
        if let Some(last) = kit.mirrors.last() {
            line(&mut text, &format!("server = {}", quoted(last.url())));
            certificates(&mut text, kit, last, "");
        }
    }
    for mirror in &kit.mirrors {
        line(&mut text, &format!("\n[host.{}]", quoted(mirror.url())));
        line(&mut text, "  capabilities = [\"pull\", \"resolve\"]");
        certificates(&mut text, kit, mirror, "  ");
    }
    text
}

/// The file for a registry that is reached past the mirror: without it `_default` would count.
fn direct(registry: &Registry) -> String {
    let url = quoted(&itself(registry));
    format!(
        "# A declared hole: this registry is reached past the mirror.\nserver = {url}\n\n[host.{url}]\n  capabilities = [\"pull\", \"resolve\"]\n"
    )
}

/// Where containerd finds the registry when it is told nothing.
fn itself(registry: &Registry) -> String {
    if *registry == Registry::docker_hub() {
        return "https://registry-1.docker.io".to_owned();
    }
    format!("https://{registry}")
}

fn certificates(text: &mut String, kit: &Kit, mirror: &Endpoint, indent: &str) {
    if mirror.is_plain() {
        return;
    }
    if let Some(ca) = &kit.ca {
        line(text, &format!("{indent}ca = {}", quoted_path(ca)));
    }
    if let Some(client) = &kit.client {
        let (cert, key) = (quoted_path(&client.cert), quoted_path(&client.key));
        line(text, &format!("{indent}client = [[{cert}, {key}]]"));
    }
}
