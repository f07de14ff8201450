//! What k3s and RKE2 make `hosts.toml` from.
//!
//! Without `disable-default-registry-endpoint` the registry is the last endpoint of each. With it, a
//! registry that stands under `configs` keeps its endpoint all the same.
//!
//! Source: `pkg/agent/containerd/config.go` of k3s (`getHostConfigs`); pieces of the configuration are
//! read in the order of their names, the later ones count (<https://docs.k3s.io/installation/configuration>).

use std::path::{Path, PathBuf};

use super::access;
use super::finding::{Finding, Gravity, Report};
use super::tree::Tree;
use crate::node::Kit;
use crate::node::render::{rancher_config_folder, registries_yaml};

/// The setting.
const SETTING: &str = "disable-default-registry-endpoint";
/// What to do about most of it.
const INSTALL: &str = "pratique node install writes it anew";

/// Looks at the files.
pub(super) fn verify(tree: &Tree, kit: &Kit, report: &mut Report) {
    let path = PathBuf::from(registries_yaml(kit.runtime.kind));
    setting(tree, kit, report);
    let text = match tree.read(&path) {
        Ok(Some(text)) => text,
        Ok(None) => {
            let text = "is not there: every registry is pulled from directly";
            report.add(Finding::hole("no-file", &path, None, text, INSTALL));
            return;
        }
        Err(error) => return unreadable(&path, &error.to_string(), report),
    };
    access::verify(tree, &path, report);
    match serde_saphyr::from_str::<serde_json::Value>(&text) {
        Ok(document) => File { path: &path, text: &text, kit, tree }.verify(&document, report),
        Err(error) => unreadable(&path, &error.to_string(), report),
    }
}

fn unreadable(path: &Path, why: &str, report: &mut Report) {
    let why = why.lines().next().unwrap_or_default();
    let text = format!("cannot be read ({why}): the agent does not start with it");
    report.add(Finding::hole("unreadable", path, None, text, INSTALL).but(Gravity::Broken));
}

/// Whether the way to the registries is taken away.
fn setting(tree: &Tree, kit: &Kit, report: &mut Report) {
    let folder = PathBuf::from(rancher_config_folder(kit.runtime.kind));
    let main = folder.with_extension("");
    let names = tree.list(&folder).unwrap_or_default();
    let is_yaml =
        |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let pieces = names.iter().map(|name| folder.join(name)).filter(is_yaml);
    let (mut is_set, mut by) = (false, main.clone());
    for path in [main].into_iter().chain(pieces) {
        let Ok(Some(text)) = tree.read(&path) else { continue };
        access::verify(tree, &path, report);
        match serde_saphyr::from_str::<serde_json::Value>(&text) {
            Ok(document) => {
                if let Some(value) = document.get(SETTING) {
                    is_set = value == true || value == "true";
                    by = path;
                }
            }
            Err(error) => unreadable(&path, &error.to_string(), report),
        }
    }
    if !is_set {
        let text = format!("{SETTING} is not true: on every refusal the registry itself is asked");
        let todo =
            format!("{SETTING}: true, and restart the agent; pratique node install writes it");
        report.add(Finding::hole("default-endpoint", &by, None, text, todo));
    }
}

/// `registries.yaml`.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
    kit: &'a Kit,
    tree: &'a Tree,
}

impl File<'_> {
    /// The first line on which `word` stands.
    fn line_of(&self, word: &str) -> Option<usize> {
        self.text.lines().position(|line| line.contains(word)).map(|at| at + 1)
    }

    fn hole(&self, code: &'static str, word: &str, text: impl Into<String>) -> Finding {
        Finding::hole(code, self.path, self.line_of(word), text, INSTALL)
    }

    fn is_direct(&self, registry: &str) -> bool {
        self.kit.direct.iter().any(|direct| direct.as_str() == registry)
    }

    fn is_mirror(&self, host: &str) -> bool {
        self.kit.mirrors.iter().any(|mirror| mirror.authority().eq_ignore_ascii_case(host))
    }

    fn verify(&self, document: &serde_json::Value, report: &mut Report) {
        let table = |name| document.get(name).and_then(serde_json::Value::as_object);
        let mirrors = table("mirrors");
        for (registry, mirror) in mirrors.into_iter().flatten() {
            self.mirror(registry, mirror, report);
        }
        if !mirrors.is_some_and(|mirrors| mirrors.contains_key("*")) {
            let text = "no mirror for \"*\": a registry that is not listed is pulled from directly";
            report.add(self.hole("no-default", "mirrors", text));
        }
        for (host, config) in table("configs").into_iter().flatten() {
            self.config(host, config, report);
        }
    }

    fn mirror(&self, registry: &str, mirror: &serde_json::Value, report: &mut Report) {
        if self.is_direct(registry) {
            let text = format!("{registry} is reached past the mirror, as declared");
            report.add(self.hole("direct", registry, text).but(Gravity::Declared));
            return;
        }
        let endpoints = mirror.get("endpoint").and_then(serde_json::Value::as_array);
        let endpoints: Vec<_> =
            endpoints.into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
        if endpoints.is_empty() {
            let text = format!("{registry} has no endpoint: it is pulled from directly");
            report.add(self.hole("no-endpoint", registry, text));
        }
        for endpoint in endpoints {
            let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
            let host = rest.split_once('/').map_or(rest, |(host, _)| host);
            let found = self
                .kit
                .mirrors
                .iter()
                .find(|mirror| mirror.authority().eq_ignore_ascii_case(host));
            let Some(found) = found else {
                let text = format!("{registry}: endpoint {endpoint:?} is no mirror of this node");
                report.add(self.hole("host-elsewhere", endpoint, text));
                continue;
            };
            if scheme == "http" && !found.is_plain() {
                let text = format!(
                    "{registry}: endpoint {endpoint:?} asks the mirror in clear, though it has TLS: whoever is between may answer instead"
                );
                report.add(self.hole("plain-http", endpoint, text));
            }
        }
    }

    fn config(&self, host: &str, config: &serde_json::Value, report: &mut Report) {
        if !self.is_mirror(host) && !self.is_direct(host) {
            let text = format!(
                "configs has an entry for {host}: it keeps the registry itself as its last endpoint, whatever {SETTING} says"
            );
            report.add(self.hole("config-keeps-endpoint", host, text));
        }
        let tls = config.get("tls");
        if tls.and_then(|tls| tls.get("insecure_skip_verify"))
            == Some(&serde_json::Value::Bool(true))
        {
            let text = format!(
                "insecure_skip_verify for {host}: whoever is between node and mirror may answer instead"
            );
            report.add(self.hole("skip-verify", "insecure_skip_verify", text));
        }
        for key in ["ca_file", "cert_file", "key_file"] {
            let Some(path) = tls.and_then(|tls| tls.get(key)).and_then(serde_json::Value::as_str)
            else {
                continue;
            };
            if matches!(self.tree.metadata(Path::new(path)), Ok(Some(found)) if found.is_file()) {
                continue;
            }
            let text = format!("{key} names {path}, and there is no such file: pulls fail");
            report.add(self.hole("certificate-missing", path, text).but(Gravity::Broken));
        }
    }
}
