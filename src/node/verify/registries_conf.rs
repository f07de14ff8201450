//! `registries.conf` and its drop-ins, as CRI-O, podman, buildah and skopeo read them.
//!
//! Files are read in order, the main one first; a block for a prefix that was there before replaces it.
//! Of all prefixes that an image's name begins with the longest counts. `blocked` forbids the location,
//! not the mirrors of its block.
//!
//! Source: `pkg/sysregistriesv2/system_registries_v2.go` of containers/image, and its
//! `containers-registries.conf.5`, `containers-registries.conf.d.5`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::access;
use super::finding::{Finding, Gravity, Report};
use super::tree::Tree;
use crate::node::problem::line_of;
use crate::node::render::{REGISTRIES_CONF, REGISTRIES_CONF_D};
use crate::node::{Endpoint, Kit};

/// What to do about most of it.
const INSTALL: &str = "pratique node install writes its block anew; remove the other one";

/// A block, and where it stands.
#[derive(Debug, Clone)]
struct Block {
    file: PathBuf,
    line: usize,
    location: Place,
    mirrors: Vec<Place>,
    is_blocked: bool,
}

/// A location.
#[derive(Debug, Clone)]
struct Place {
    text: String,
    line: usize,
    is_insecure: bool,
}

/// What all files together say.
#[derive(Debug, Default)]
struct Said {
    blocks: BTreeMap<String, Block>,
    search: Option<(Vec<String>, PathBuf, usize)>,
}

/// Looks at the files.
pub(super) fn verify(tree: &Tree, kit: &Kit, report: &mut Report) {
    let folder = Path::new(REGISTRIES_CONF_D);
    let mut said = Said::default();
    for path in files(tree) {
        read(tree, &path, &mut said, report);
    }
    for (prefix, block) in &said.blocks {
        look_at(kit, prefix, block, report);
    }
    for registry in &kit.registries {
        if !said.blocks.contains_key(registry.as_str()) {
            let text = format!("{registry} has no block: it is pulled from directly");
            report.add(Finding::hole(
                "no-block",
                folder,
                None,
                text,
                "pratique node install writes it",
            ));
        }
    }
    if let Some((names, file, line)) = &said.search {
        for name in names.iter().filter(|name| !is_covered(&said, kit, name)) {
            let text = format!(
                "short names are looked up at {name}, which has no block: they are pulled from directly"
            );
            let todo = format!(
                "pratique node install --registry {name}, or take it out of unqualified-search-registries"
            );
            report.add(Finding::hole("search-not-covered", file, Some(*line), text, todo));
        }
    }
    let text = "a registry that has no block is pulled from directly: this format has no word for all others";
    let todo =
        "\"default\": [{\"type\": \"reject\"}] in /etc/containers/policy.json, or a firewall";
    report.add(Finding::hole("no-default-form", folder, None, text, todo).but(Gravity::Note));
}

/// The files that are read, in order.
fn files(tree: &Tree) -> Vec<PathBuf> {
    let folder = Path::new(REGISTRIES_CONF_D);
    let names = tree.list(folder).unwrap_or_default();
    let drop_ins =
        names.iter().filter(|name| Path::new(name).extension().is_some_and(|end| end == "conf"));
    [PathBuf::from(REGISTRIES_CONF)]
        .into_iter()
        .chain(drop_ins.map(|name| folder.join(name)))
        .collect()
}

/// Every block of every file: its prefix, its file and its line.
pub(super) fn blocks(tree: &Tree, report: &mut Report) -> Vec<(String, PathBuf, usize)> {
    let mut all = Vec::new();
    for path in files(tree) {
        let mut said = Said::default();
        read(tree, &path, &mut said, report);
        all.extend(said.blocks.into_iter().map(|(prefix, block)| (prefix, block.file, block.line)));
    }
    all
}

fn is_covered(said: &Said, kit: &Kit, name: &str) -> bool {
    said.blocks.contains_key(name) || kit.direct.iter().any(|direct| direct.as_str() == name)
}

fn read(tree: &Tree, path: &Path, said: &mut Said, report: &mut Report) {
    let broken = |line, what: String, report: &mut Report| {
        let text = format!("{what}: nothing is pulled until it is repaired");
        let finding = Finding::hole("unreadable", path, line, text, "repair it, or remove it");
        report.add(finding.but(Gravity::Broken));
    };
    let text = match tree.read(path) {
        Ok(Some(text)) => text,
        Ok(None) => return,
        Err(error) => return broken(None, format!("cannot be read ({error})"), report),
    };
    access::verify(tree, path, report);
    let document = match DeTable::parse(&text) {
        Ok(document) => document,
        Err(error) => {
            let line = error.span().map(|span| line_of(&text, span.start));
            return broken(line, format!("is no TOML ({})", error.message()), report);
        }
    };
    let table = document.get_ref();
    if table.contains_key("registries") {
        let what = "has [registries.search], the first version of the format, which knows neither locations nor mirrors";
        let text = format!("{what}: its registries are pulled from directly");
        report.add(Finding::hole(
            "first-version",
            path,
            None,
            text,
            "write it anew in the second version",
        ));
    }
    if let Some(search) = table.get("unqualified-search-registries") {
        let texts = search.get_ref().as_array().into_iter().flat_map(|list| list.iter());
        let names = texts.filter_map(|name| name.get_ref().as_str().map(str::to_owned)).collect();
        said.search = Some((names, path.to_owned(), line_of(&text, search.span().start)));
    }
    let blocks = table.get("registry").and_then(|blocks| blocks.get_ref().as_array());
    for block in blocks.into_iter().flat_map(|blocks| blocks.iter()) {
        if let Some((prefix, block)) = block_of(path, &text, block) {
            said.blocks.insert(prefix, block);
        }
    }
}

fn block_of(path: &Path, text: &str, entry: &Spanned<DeValue<'_>>) -> Option<(String, Block)> {
    let table = entry.get_ref().as_table()?;
    let line = line_of(text, entry.span().start);
    let prefix = table.get("prefix").and_then(|prefix| prefix.get_ref().as_str());
    let location = place(text, table).or_else(|| {
        Some(Place { text: prefix?.to_owned(), line, is_insecure: flag(table, "insecure") })
    })?;
    let mirrors = table.get("mirror").and_then(|mirrors| mirrors.get_ref().as_array());
    let mirrors = mirrors.into_iter().flat_map(|mirrors| mirrors.iter());
    let mirrors = mirrors.filter_map(|mirror| place(text, mirror.get_ref().as_table()?)).collect();
    let block = Block {
        file: path.to_owned(),
        line,
        location: location.clone(),
        mirrors,
        is_blocked: flag(table, "blocked"),
    };
    Some((prefix.unwrap_or(&location.text).to_owned(), block))
}

fn place(text: &str, table: &DeTable<'_>) -> Option<Place> {
    let location = table.get("location")?;
    Some(Place {
        text: location.get_ref().as_str()?.to_owned(),
        line: line_of(text, location.span().start),
        is_insecure: flag(table, "insecure"),
    })
}

fn flag(table: &DeTable<'_>, key: &str) -> bool {
    table.get(key).and_then(|value| value.get_ref().as_bool()).unwrap_or(false)
}

/// Where pulls of `prefix` go.
fn look_at(kit: &Kit, prefix: &str, block: &Block, report: &mut Report) {
    if kit.direct.iter().any(|direct| direct.as_str() == prefix) {
        let text = format!("{prefix} is reached past the mirror, as declared");
        let finding = Finding::hole(
            "direct",
            &block.file,
            Some(block.line),
            text,
            "nothing, as long as that is meant",
        );
        report.add(finding.but(Gravity::Declared));
        return;
    }
    let hole = |code, place: &Place, text: String| {
        Finding::hole(code, &block.file, Some(place.line), text, INSTALL)
    };
    let mut places: Vec<(&Place, &str)> =
        block.mirrors.iter().map(|mirror| (mirror, "mirror")).collect();
    if !block.is_blocked {
        places.push((&block.location, "location"));
    }
    for (place, what) in places {
        let Some(mirror) = kit.mirrors.iter().find(|mirror| is_at(mirror, &place.text)) else {
            let is_itself =
                what == "location" && (place.text == prefix || prefix.starts_with("*."));
            let (code, leads) = if is_itself && !block.mirrors.is_empty() {
                (
                    "location-is-registry",
                    "on every refusal of its mirrors it is pulled from the registry itself"
                        .to_owned(),
                )
            } else if is_itself {
                ("location-is-registry", "it is pulled from the registry itself".to_owned())
            } else {
                ("location-elsewhere", format!("{what} {:?} is no mirror of this node", place.text))
            };
            report.add(hole(code, place, format!("{prefix}: {leads}")));
            continue;
        };
        if place.is_insecure && !mirror.is_plain() {
            let text = format!(
                "{prefix}: insecure, though the mirror has TLS: whoever is between may answer instead"
            );
            report.add(hole("insecure", place, text));
        }
    }
}

/// Whether `location` lies at `mirror`.
fn is_at(mirror: &Endpoint, location: &str) -> bool {
    let host = location.split_once('/').map_or(location, |(host, _)| host);
    host.eq_ignore_ascii_case(mirror.authority())
}
