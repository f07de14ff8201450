//! One `hosts.toml`, by the rules of the containerd that reads it.
//!
//! What containerd cannot decode it logs and then does as if there were no file (`loadHostDir`), so that
//! the registry itself is asked. A certificate that cannot be read fails the pull instead.
//!
//! Sources: `parseHostsFile`, `parseHostConfig` and `getSortedHosts` of `core/remotes/docker/config/hosts.go`
//! in 2.3.4, and of `remotes/docker/config/hosts.go` in 1.6.20 and 1.7.24.

use std::path::{Path, PathBuf};

use http::Uri;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::access;
use super::config_toml::is_texts;
use super::finding::{Finding, Gravity, Report};
use super::tree::Tree;
use crate::node::problem::line_of;
use crate::node::{Endpoint, Kit};

/// What a pull of docker.io goes to.
const HUB: [&str; 4] =
    ["registry-1.docker.io", "index.docker.io", "docker.io", "registry.hub.docker.com"];
/// What happens with a file that containerd cannot decode.
const AS_IF_NONE: &str =
    "containerd does as if there were no file, and pulls from the registry itself";
/// What to do about most of it.
const INSTALL: &str = "pratique node install writes it anew";

/// Looks at the file at `path` for `registry`, or for every one that has none.
pub(super) fn verify(
    tree: &Tree,
    kit: &Kit,
    path: &Path,
    registry: Option<&str>,
    report: &mut Report,
) {
    access::verify(tree, path, report);
    let direct = registry.filter(|registry| {
        kit.direct.iter().any(|direct| direct.as_str().eq_ignore_ascii_case(registry))
    });
    if let Some(registry) = direct {
        let text = format!("{registry} is reached past the mirror, as declared");
        let finding =
            Finding::hole("direct", path, None, text, "nothing, as long as that is meant");
        report.add(finding.but(Gravity::Declared));
        return;
    }
    let text = match tree.read(path) {
        Ok(Some(text)) if !text.is_empty() => text,
        Ok(found) => {
            let what =
                if found.is_some() { "is empty" } else { "is not there, though its folder is" };
            let hides = if registry.is_some() { ", which hides _default" } else { "" };
            let text = format!("{what}{hides}: containerd pulls from the registry itself");
            let todo = format!("remove the folder, or {INSTALL}");
            report.add(Finding::hole("no-file", path, None, text, todo));
            return;
        }
        Err(error) => {
            let finding = Finding::hole(
                "unreadable",
                path,
                None,
                format!("cannot be read ({error}): pulls fail"),
                INSTALL,
            );
            report.add(finding.but(Gravity::Broken));
            return;
        }
    };
    let file = File { path, text: &text, registry, kit, tree };
    file.verify(report);
}

/// A file that is there.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
    registry: Option<&'a str>,
    kit: &'a Kit,
    tree: &'a Tree,
}

/// Why containerd cannot decode a file: its code, the offset, and what is wrong.
struct Undecodable(&'static str, usize, String);

impl File<'_> {
    fn verify(&self, report: &mut Report) {
        let document = match DeTable::parse(self.text) {
            Ok(document) => document,
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let what =
                    format!("is no TOML ({})", error.message().lines().next().unwrap_or_default());
                report.add(self.hole("parse-error", offset, format!("{what}: {AS_IF_NONE}")));
                return;
            }
        };
        let table = document.get_ref();
        if let Err(Undecodable(code, offset, what)) = self.decodable(table) {
            report.add(self.hole(code, offset, format!("{what}: {AS_IF_NONE}")));
            return;
        }
        self.endpoints(table, report);
    }

    fn hole(&self, code: &'static str, offset: usize, text: impl Into<String>) -> Finding {
        Finding::hole(code, self.path, Some(line_of(self.text, offset)), text, INSTALL)
    }

    /// Whether this containerd can decode it.
    fn decodable(&self, table: &DeTable<'_>) -> Result<(), Undecodable> {
        expect(table, "server", "text", is_text)?;
        self.decodable_entry(table)?;
        let Some(hosts) = table.get("host") else {
            // An entry of the tree that is missing was an error until then.
            if self.kit.runtime.is_at_least(1, 7, 32) {
                return Ok(());
            }
            let what = "has no [host] table, which containerd 1.6 and 1.7 before 1.7.32 take for a mistake";
            return Err(Undecodable("no-host-table", 0, what.to_owned()));
        };
        expect(table, "host", "a table", is_table)?;
        for (name, host) in hosts.get_ref().as_table().into_iter().flatten() {
            let at = host.span().start;
            let Some(entry) = host.get_ref().as_table() else {
                return Err(Undecodable(
                    "wrong-type",
                    at,
                    format!("host.{:?} is not a table", name.get_ref()),
                ));
            };
            self.decodable_entry(entry)?;
            if authority_of(name.get_ref()).is_none() {
                let what = format!("[host.{:?}] is no address", name.get_ref());
                return Err(Undecodable("no-address", name.span().start, what));
            }
        }
        Ok(())
    }

    fn decodable_entry(&self, entry: &DeTable<'_>) -> Result<(), Undecodable> {
        expect(entry, "skip_verify", "true or false", is_flag)?;
        expect(entry, "override_path", "true or false", is_flag)?;
        expect(entry, "capabilities", "a list of texts", is_texts)?;
        expect(entry, "ca", "a path or a list of paths", |value| {
            value.is_str() || is_texts(value)
        })?;
        expect(entry, "client", "a path, or a list of paths or of pairs", is_client)?;
        expect(entry, "header", "a table of texts", is_header)?;
        if self.kit.runtime.version.is_none_or(|version| version.major >= 2) {
            expect(entry, "dial_timeout", "a span of time such as \"1s\"", is_span)?;
        }
        let capabilities = entry.get("capabilities").and_then(|list| list.get_ref().as_array());
        for capability in capabilities.into_iter().flat_map(|list| list.iter()) {
            let word = capability.get_ref().as_str().unwrap_or_default().to_ascii_lowercase();
            let known = matches!(word.as_str(), "pull" | "resolve" | "push")
                || (word == "referrers" && self.kit.runtime.is_at_least(2, 2, 0));
            if !known {
                let since = if word == "referrers" { " before 2.2.0" } else { "" };
                let what = format!("capability {word:?} is not known{since}");
                return Err(Undecodable("unknown-capability", capability.span().start, what));
            }
        }
        Ok(())
    }

    /// Where pulls go, entry by entry; `server` is the last.
    fn endpoints(&self, table: &DeTable<'_>, report: &mut Report) {
        let hosts = table.get("host").and_then(|hosts| hosts.get_ref().as_table());
        for (name, host) in hosts.into_iter().flatten() {
            let at = name.span().start;
            self.endpoint("host", name.get_ref(), at, report);
            if let Some(entry) = host.get_ref().as_table() {
                self.entry(name.get_ref(), entry, report);
            }
        }
        let server = table
            .get("server")
            .and_then(|server| Some((server.get_ref().as_str()?, server.span())));
        match server {
            Some((url, span)) if !url.is_empty() => {
                self.endpoint("server", url, span.start, report);
                self.entry(url, table, report);
            }
            _ => {
                let text =
                    "no server: after every refusal containerd pulls from the registry itself";
                report.add(self.hole("server-missing", 0, text));
            }
        }
    }

    /// What `url` leads to, which stands as `what`.
    fn endpoint(&self, what: &str, url: &str, at: usize, report: &mut Report) {
        let Some((authority, is_plain)) = authority_of(url) else {
            report.add(self.hole(
                "no-address",
                at,
                format!("{what} {url:?} is no address: {AS_IF_NONE}"),
            ));
            return;
        };
        let Some(mirror) =
            self.kit.mirrors.iter().find(|mirror| same_place(mirror, &authority, is_plain))
        else {
            let is_itself = match self.registry {
                Some(registry) if registry != "docker.io" => {
                    authority == registry.to_ascii_lowercase()
                }
                _ => HUB.contains(&authority.as_str()),
            };
            let code = match (is_itself, what) {
                (true, "server") => "server-is-registry",
                (true, _) => "host-is-registry",
                (false, "server") => "server-elsewhere",
                (false, _) => "host-elsewhere",
            };
            let place = if is_itself {
                "the registry itself".to_owned()
            } else {
                format!("{authority}, which is no mirror of this node")
            };
            let when = if what == "server" { "on every refusal" } else { "in its turn" };
            report.add(self.hole(
                code,
                at,
                format!("{what} {url:?} is {place}: {when} containerd pulls from there"),
            ));
            return;
        };
        if is_plain && !mirror.is_plain() {
            let text = format!(
                "{what} {url:?} asks the mirror in clear, though it has TLS: whoever is between may answer instead"
            );
            report.add(self.hole("plain-http", at, text));
        }
    }

    /// What the entry for `url` says about certificates.
    fn entry(&self, url: &str, entry: &DeTable<'_>, report: &mut Report) {
        let is_plain = authority_of(url).is_some_and(|(_, is_plain)| is_plain);
        if let Some(skip) = entry.get("skip_verify")
            && skip.get_ref().as_bool() == Some(true)
            && !is_plain
        {
            let text = format!(
                "skip_verify for {url:?}: whoever is between node and mirror may answer instead"
            );
            report.add(self.hole("skip-verify", skip.span().start, text));
        }
        for (path, at, is_key) in certificates(entry) {
            let path = self.path.parent().unwrap_or(Path::new("/")).join(path);
            if matches!(self.tree.metadata(&path), Ok(Some(found)) if found.is_file()) {
                if is_key {
                    access::verify_key(self.tree, &path, report);
                }
                continue;
            }
            let text = format!("names {}, and there is no such file: pulls fail", path.display());
            report.add(self.hole("certificate-missing", at, text).but(Gravity::Broken));
        }
    }
}

fn expect(
    table: &DeTable<'_>,
    key: &str,
    kind: &str,
    fits: impl FnOnce(&DeValue<'_>) -> bool,
) -> Result<(), Undecodable> {
    match table.get(key) {
        Some(value) if !fits(value.get_ref()) => {
            Err(Undecodable("wrong-type", value.span().start, format!("{key} is not {kind}")))
        }
        _ => Ok(()),
    }
}

fn is_text(value: &DeValue<'_>) -> bool {
    value.is_str()
}

fn is_table(value: &DeValue<'_>) -> bool {
    value.is_table()
}

fn is_flag(value: &DeValue<'_>) -> bool {
    value.is_bool()
}

fn is_client(value: &DeValue<'_>) -> bool {
    let pair =
        |pair: &DeValue<'_>| is_texts(pair) && pair.as_array().is_some_and(|pair| pair.len() == 2);
    let entry = |entry: &Spanned<DeValue<'_>>| entry.get_ref().is_str() || pair(entry.get_ref());
    value.is_str() || value.as_array().is_some_and(|array| array.iter().all(entry))
}

fn is_header(value: &DeValue<'_>) -> bool {
    let value_fits =
        |value: &Spanned<DeValue<'_>>| value.get_ref().is_str() || is_texts(value.get_ref());
    value.as_table().is_some_and(|table| table.values().all(value_fits))
}

/// Whether Go's `time.ParseDuration` takes it, as far as people write it: `1s`, `500ms`, `1m30s`.
fn is_span(value: &DeValue<'_>) -> bool {
    const UNITS: [&str; 7] = ["ns", "us", "µs", "ms", "s", "m", "h"];
    let Some(mut rest) = value.as_str() else { return false };
    if matches!(rest, "" | "0") {
        return true;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit = rest.get(digits..).unwrap_or_default();
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        if digits == 0 || !unit.get(..end).is_some_and(|unit| UNITS.contains(&unit)) {
            return false;
        }
        rest = unit.get(end..).unwrap_or_default();
    }
    true
}

/// The host and port of `url` without the port of its scheme, and whether it is without TLS.
fn authority_of(url: &str) -> Option<(String, bool)> {
    let with_scheme =
        if url.starts_with("http") { url.to_owned() } else { format!("https://{url}") };
    let uri: Uri = with_scheme.parse().ok()?;
    let is_plain = match uri.scheme_str()? {
        "http" => true,
        "https" => false,
        _ => return None,
    };
    Some((plain(uri.authority()?.as_str(), is_plain), is_plain))
}

fn plain(authority: &str, is_plain: bool) -> String {
    let lower = authority.to_ascii_lowercase();
    let port = if is_plain { ":80" } else { ":443" };
    lower.strip_suffix(port).unwrap_or(&lower).to_owned()
}

fn same_place(mirror: &Endpoint, authority: &str, is_plain: bool) -> bool {
    plain(mirror.authority(), mirror.is_plain()) == authority
        // In clear the same host with its port written is the mirror still, and is told as such.
        || (is_plain && mirror.authority().eq_ignore_ascii_case(authority))
}

/// The paths of an entry, with where they stand and whether they may hold a key.
fn certificates(entry: &DeTable<'_>) -> Vec<(PathBuf, usize, bool)> {
    let mut found = Vec::new();
    let mut add = |value: &Spanned<DeValue<'_>>, is_key| {
        if let Some(path) = value.get_ref().as_str() {
            found.push((PathBuf::from(path), value.span().start, is_key));
        }
    };
    for (key, is_client) in [("ca", false), ("client", true)] {
        let Some(value) = entry.get(key) else { continue };
        add(value, is_client);
        for one in value.get_ref().as_array().into_iter().flat_map(|array| array.iter()) {
            add(one, is_client);
            // Of a pair only the second is the key.
            for (at, part) in
                one.get_ref().as_array().into_iter().flat_map(|pair| pair.iter()).enumerate()
            {
                add(part, is_client && at == 1);
            }
        }
    }
    found
}
