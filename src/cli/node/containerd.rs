//! `hosts.toml` for containerd 1.6 and later.
//!
//! The closed form names the mirror twice. containerd up to 1.6.39 and from 1.7.0 to 1.7.31 ignores
//! a file without a `[host]` table and goes to the registry; every version goes to the registry when
//! `server` is missing or names it. Certificates are repeated because those under `[host]` are not
//! used for `server`. `"referrers"` is not among the capabilities: before 2.2.0 an unknown one makes
//! the whole file unreadable, and that opens the gate.

use std::fmt::Write as _;
use std::path::Path;

use super::{Mirror, Rendered, quoted};
use crate::oci::Registry;

/// The name that containerd gives the file.
pub(super) const FILE: &str = "hosts.toml";
/// The folder for registries that have none.
const DEFAULT_FOLDER: &str = "_default";

/// A file for each registry, and with `default` one for all that have none.
pub(super) fn files(
    registries: &[Registry],
    mirror: &Mirror,
    open: bool,
    default: bool,
) -> Vec<Rendered> {
    let of = |registry: &Registry| Rendered {
        path: Path::new(&folder(registry)).join(FILE),
        text: hosts_toml(Some(registry), mirror, open),
    };
    let mut files: Vec<_> = registries.iter().map(of).collect();
    files.extend(default.then(|| Rendered {
        path: Path::new(DEFAULT_FOLDER).join(FILE),
        text: hosts_toml(None, mirror, open),
    }));
    files
}

/// The folder that containerd looks for first: `host`, or `host_port_`.
fn folder(registry: &Registry) -> String {
    match registry.as_str().rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => format!("{host}_{port}_"),
        _ => registry.to_string(),
    }
}

/// The file for `registry`, or for every one.
pub(super) fn hosts_toml(registry: Option<&Registry>, mirror: &Mirror, open: bool) -> String {
    let mut text = String::new();
    let url = quoted(&mirror.url);
    if open {
        text.push_str(
            "# Open: on any refusal containerd goes to the registry itself. NOT A GATE.\n",
        );
        if let Some(registry) = registry {
            line(&mut text, &format!("server = {}\n", quoted(&itself(registry))));
        }
    } else {
        text.push_str(
            "# Closed: the mirror is the only place to pull from. Both entries are needed.\n",
        );
        line(&mut text, &format!("server = {url}"));
        certificates(&mut text, mirror, "");
        text.push('\n');
    }
    line(&mut text, &format!("[host.{url}]"));
    line(&mut text, "  capabilities = [\"pull\", \"resolve\"]");
    certificates(&mut text, mirror, "  ");
    text
}

/// Where containerd finds the registry when it is told nothing.
fn itself(registry: &Registry) -> String {
    if *registry == Registry::docker_hub() {
        return "https://registry-1.docker.io".to_owned();
    }
    format!("https://{registry}")
}

fn certificates(text: &mut String, mirror: &Mirror, indent: &str) {
    if let Some(ca) = &mirror.ca {
        line(text, &format!("{indent}ca = {}", quoted(ca)));
    }
    if let Some((cert, key)) = &mirror.client {
        line(text, &format!("{indent}client = [[{}, {}]]", quoted(cert), quoted(key)));
    }
}

fn line(text: &mut String, line: &str) {
    let written = writeln!(text, "{line}");
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}
