//! What differs between two policies, by what they say and not by how they are written.
//!
//! Rules, exceptions and denied images are told apart by their ids, whatever their order; the order within
//! lists says nothing; what may be written in two places is in one; and a file is what is in it. It works on
//! the documents themselves, so that no key of the format can be forgotten here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use serde::Serialize;

use super::problem::Problem;
use super::yaml::{self, Content, Node};
use crate::oci::Digest;

/// What is in force where neither the top nor `defaults` says something else.
const DEFAULTS: [(&str, &str); 4] =
    [("mode", "enforce"), ("onError", "deny"), ("signerChange", "hold"), ("tagMove", "hold-new")];
/// By what the entries of a list are told apart, where they have it.
const IDENTITIES: [&str; 2] = ["id", "digest"];
/// Under what a text that begins with `file:` names a file.
const WITH_FILES: [&str; 2] = ["signers", "trustRoots"];

/// The text of a policy, or of one file of it, and how the files that it names are read.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    /// Where it lies in its directory; empty where the policy is one file.
    pub path: &'a str,
    /// The text.
    pub text: &'a str,
    /// Reads a file, as the policy names it.
    pub read_file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

impl std::fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({} bytes)", self.text.len())
    }
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// How.
    pub kind: ChangeKind,
    /// Where: `rules.acme.trust`, `floor.registries`.
    pub key: String,
    /// What it said before; `None` where it said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// What it says now; `None` where it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// It said something else.
    Changed,
    /// It is not there any more.
    Removed,
}

/// What differs between the policies `old` and `new`, by key, each with all of its files; that they are good
/// policies is the caller's to know. Names and revisions are no part of it.
///
/// # Errors
/// What is wrong with the YAML of the first that is none.
pub fn changes(old: &[Document<'_>], new: &[Document<'_>]) -> Result<Vec<Change>, Vec<Problem>> {
    let (old, new) = (tree_of_all(old)?, tree_of_all(new)?);
    let mut changes = Vec::new();
    compare("", &old, &new, &mut changes);
    Ok(changes)
}

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tree {
    Map(BTreeMap<String, Tree>),
    Set(BTreeSet<String>),
    Text(String),
}

impl Tree {
    /// In one line.
    fn shown(&self) -> String {
        match self {
            Self::Map(entries) => {
                let entry = |(key, value): (&String, &Self)| format!("{key}: {}", value.shown());
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
            Self::Set(items) => {
                format!("[{}]", items.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            Self::Text(text) => text.clone(),
        }
    }
}

/// What all files of a policy say together.
fn tree_of_all(documents: &[Document<'_>]) -> Result<Tree, Vec<Problem>> {
    let mut all = BTreeMap::new();
    for document in documents {
        merge(&mut all, top_of(document)?);
    }
    normalize(&mut all);
    Ok(Tree::Map(all))
}

/// Puts what one file says into what the others do: names and ids are those of one file only.
fn merge(all: &mut BTreeMap<String, Tree>, more: BTreeMap<String, Tree>) {
    for (key, value) in more {
        match (all.get_mut(&key), value) {
            (Some(Tree::Map(there)), Tree::Map(value)) => merge(there, value),
            (_, value) => drop(all.insert(key, value)),
        }
    }
}

fn top_of(document: &Document<'_>) -> Result<BTreeMap<String, Tree>, Vec<Problem>> {
    let mut problems = Vec::new();
    let root = yaml::read(document.text, &mut problems);
    let Some(root) = root.filter(|_| problems.is_empty()) else { return Err(problems) };
    let Tree::Map(mut top) = tree(root, document, false) else { return Ok(BTreeMap::new()) };
    for fixed in ["apiVersion", "kind"] {
        top.remove(fixed);
    }
    if let Some(Tree::Map(mut metadata)) = top.remove("metadata") {
        metadata.remove("revision");
        let name = metadata.remove("name");
        if let (Some(Tree::Text(name)), true) = (name, metadata.contains_key("scope")) {
            belong_to(&mut top, &name);
            let file = BTreeMap::from([(name, Tree::Map(metadata))]);
            top.insert("files".to_owned(), Tree::Map(file));
        } else if let Some(scopes) = metadata.remove("scopes") {
            top.insert("scopes".to_owned(), scopes);
        }
    }
    Ok(top)
}

/// Notes of rules and overlays that they stand in the file `name`: it hangs on that what may be excepted.
fn belong_to(top: &mut BTreeMap<String, Tree>, name: &str) {
    for key in ["rules", "overlays"] {
        let Some(Tree::Map(entries)) = top.get_mut(key) else { continue };
        for entry in entries.values_mut() {
            if let Tree::Map(entry) = entry {
                entry.insert("file".to_owned(), Tree::Text(name.to_owned()));
            }
        }
    }
}

/// Puts what may be written in two ways into one.
fn normalize(top: &mut BTreeMap<String, Tree>) {
    let mut defaults = match top.remove("defaults") {
        Some(Tree::Map(defaults)) => defaults,
        Some(Tree::Set(_) | Tree::Text(_)) | None => BTreeMap::new(),
    };
    for (key, value) in DEFAULTS {
        let written = top.remove(key).unwrap_or_else(|| Tree::Text(value.to_owned()));
        defaults.entry(key.to_owned()).or_insert(written);
    }
    if let Some(until) = top.remove("modeUntil") {
        defaults.entry("modeUntil".to_owned()).or_insert(until);
    }
    top.insert("defaults".to_owned(), Tree::Map(defaults));
    for key in ["rules", "overlays"] {
        if let Some(Tree::Map(rules)) = top.get_mut(key) {
            rules.values_mut().for_each(name_images);
        }
    }
}

/// Writes the patterns of a rule or an overlay in the longer one of their two forms.
fn name_images(rule: &mut Tree) {
    if let Tree::Map(rule) = rule
        && let Some(patterns @ Tree::Set(_)) = rule.get("match").cloned()
    {
        let images = BTreeMap::from([("images".to_owned(), patterns)]);
        rule.insert("match".to_owned(), Tree::Map(images));
    }
}

fn tree(node: Node, document: &Document<'_>, names_files: bool) -> Tree {
    match node.content {
        Content::Null => Tree::Text(String::new()),
        Content::Text(text) => Tree::Text(content_of(text.text, document, names_files)),
        Content::Map(entries) => {
            let entry = |entry: yaml::Entry| {
                let names_files = names_files || WITH_FILES.contains(&entry.key.as_str());
                (entry.key, tree(entry.value, document, names_files))
            };
            Tree::Map(entries.into_iter().map(entry).collect())
        }
        Content::List(items) => {
            let items = items.into_iter().map(|item| tree(item, document, names_files));
            by_identity(&items.collect::<Vec<_>>())
        }
    }
}

/// The entries of a list by what tells them apart, or else as they are.
fn by_identity(items: &[Tree]) -> Tree {
    let mut entries = BTreeMap::new();
    for item in items {
        let Tree::Map(entry) = item else { continue };
        let identity = IDENTITIES.iter().find_map(|key| match entry.get(*key) {
            Some(Tree::Text(text)) => Some((*key, text.clone())),
            Some(Tree::Map(_) | Tree::Set(_)) | None => None,
        });
        if let Some((key, identity)) = identity {
            let mut entry = entry.clone();
            entry.remove(key);
            entries.insert(identity, Tree::Map(entry));
        }
    }
    if !items.is_empty() && entries.len() == items.len() {
        return Tree::Map(entries);
    }
    Tree::Set(items.iter().map(Tree::shown).collect())
}

/// The text, with a digest of the file that it names, if it does.
fn content_of(text: String, document: &Document<'_>, names_files: bool) -> String {
    let file = text.strip_prefix("file:").filter(|_| names_files);
    let folder = Path::new(document.path).parent().unwrap_or(Path::new(""));
    match file.map(|file| (document.read_file)(&folder.join(file.trim()))) {
        Some(Ok(bytes)) => format!("{text} ({})", Digest::sha256(&bytes)),
        Some(Err(_)) | None => text,
    }
}

fn compare(path: &str, old: &Tree, new: &Tree, changes: &mut Vec<Change>) {
    let key = || path.to_owned();
    match (old, new) {
        (Tree::Map(old), Tree::Map(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match (old.get(key), new.get(key)) {
                    (Some(old), Some(new)) => compare(&path, old, new, changes),
                    (None, Some(new)) => changes.push(one(ChangeKind::Added, path, new)),
                    (Some(old), None) => changes.push(one(ChangeKind::Removed, path, old)),
                    (None, None) => {}
                }
            }
        }
        (Tree::Set(old), Tree::Set(new)) => {
            let item = |kind, item: &String| one(kind, key(), &Tree::Text(item.clone()));
            changes.extend(old.difference(new).map(|it| item(ChangeKind::Removed, it)));
            changes.extend(new.difference(old).map(|it| item(ChangeKind::Added, it)));
        }
        _ if old == new => {}
        _ => {
            let (old, new) = (Some(old.shown()), Some(new.shown()));
            changes.push(Change { kind: ChangeKind::Changed, key: key(), old, new });
        }
    }
}

fn one(kind: ChangeKind, key: String, tree: &Tree) -> Change {
    let shown = Some(tree.shown());
    let (old, new) = if kind == ChangeKind::Removed { (shown, None) } else { (None, shown) };
    Change { kind, key, old, new }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &str, new: &str) -> Vec<String> {
        let read = |path: &Path| match path.to_str() {
            Some("one") => Ok(b"1".to_vec()),
            Some("two") => Ok(b"2".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let document = |text| [Document { path: "", text, read_file: &read }];
        let line = |change: &Change| {
            let sign = match change.kind {
                ChangeKind::Added => '+',
                ChangeKind::Changed => '~',
                ChangeKind::Removed => '-',
            };
            let said: Vec<&str> =
                [&change.old, &change.new].into_iter().flatten().map(String::as_str).collect();
            format!("{sign} {} {}", change.key, said.join(" -> "))
        };
        changes(&document(old), &document(new)).unwrap().iter().map(line).collect()
    }

    #[test]
    fn how_it_is_written_makes_no_difference() {
        let old = "metadata: {name: a, revision: 1}\nmode: audit\nfloor: {registries: [a.io, b.io]}\n\
                   rules: [{id: x, match: [a.io/*, b.io/*], trust: allow}, {id: y, match: [c.io/*], trust: deny}]\n";
        let new = "metadata:\n  name: a\n  revision: 2\ndefaults: {mode: audit, tagMove: hold-new}\n\
                   floor:\n  registries: ['b.io', \"a.io\"]\nrules:\n- {id: y, trust: deny, match: {images: [c.io/*]}}\n\
                   - {trust: allow, id: x, match: [b.io/*, a.io/*]}\n";
        assert_eq!(told(old, new), Vec::<String>::new());
    }

    #[test]
    fn what_differs_is_told_by_key_and_id() {
        let old = "floor: {registries: [a.io, b.io], denyImages: [{digest: 'sha256:1', reason: bad}]}\n\
                   signers: {team: {key: {pem: file:one}}}\ngates: {strict: {deny: [{severity: high}]}}\n\
                   rules: [{id: x, match: [a.io/*], trust: approve}, {id: gone, match: [b.io/*], trust: deny}]\n";
        let new = "mode: audit\nfloor: {registries: [a.io, c.io], denyImages: [{digest: 'sha256:1', reason: worse}]}\n\
                   signers: {team: {key: {pem: file:two}}}\ngates: {strict: {deny: [{severity: high}, {exploited: true}]}}\n\
                   rules: [{id: new, match: [c.io/*], trust: allow}, {id: x, match: [a.io/*, d.io/*], trust: allow, gates: [strict]}]\n";
        let (one, two) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
        assert_eq!(
            told(old, new),
            [
                "~ defaults.mode enforce -> audit",
                "~ floor.denyImages.sha256:1.reason bad -> worse",
                "- floor.registries b.io",
                "+ floor.registries c.io",
                "+ gates.strict.deny {exploited: true}",
                "- rules.gone {match: {images: [b.io/*]}, trust: deny}",
                "+ rules.new {match: {images: [c.io/*]}, trust: allow}",
                "+ rules.x.gates [strict]",
                "+ rules.x.match.images d.io/*",
                "~ rules.x.trust approve -> allow",
                &format!("~ signers.team.key.pem file:one ({one}) -> file:two ({two})"),
            ]
        );
    }

    #[test]
    fn the_files_of_a_directory_are_compared_as_one_policy() {
        let read = |path: &Path| match path.to_str() {
            Some("teams/one") => Ok(b"1".to_vec()),
            Some("teams/two") => Ok(b"2".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let base = "metadata: {name: site, revision: 1, scopes: {shop: [a.io/**]}}\nrules: [{id: x, match: [b.io/*]}]\n";
        let part = |owner: &str, file: &str| {
            format!(
                "metadata: {{name: shop, owner: {owner}, scope: [a.io/**]}}\nrules: [{{id: y, match: [a.io/*]}}]\n\
                 signers: {{team: {{key: {{pem: file:{file}}}}}}}\n"
            )
        };
        let (old, new) = (part("group:a", "one"), part("group:b", "two"));
        let of = |path, text| Document { path, text, read_file: &read };
        let told = changes(
            &[of("base.yaml", base), of("teams/shop.yaml", &old)],
            &[of("teams/shop.yaml", &new), of("base.yaml", base)],
        );
        let keys: Vec<String> = told.unwrap().into_iter().map(|it| it.key).collect();
        assert_eq!(keys, ["files.shop.owner", "signers.team.key.pem"]);
        let moved = format!("{base}- {{id: y, match: [a.io/*]}}\n");
        let moved = moved
            .replace("rules: [{id: x, match: [b.io/*]}]", "rules:\n- {id: x, match: [b.io/*]}");
        let told =
            changes(&[of("base.yaml", base), of("teams/shop.yaml", &old)], &[of("", &moved)]);
        let keys: Vec<String> = told.unwrap().into_iter().map(|it| it.key).collect();
        assert_eq!(keys, ["files", "rules.y.file", "signers"]);
    }

    #[test]
    fn a_file_is_read_only_where_the_format_names_one() {
        let old = "exceptions: [{id: a, reason: file:one}]\n";
        let new = "exceptions: [{id: a, reason: file:two}]\n";
        assert_eq!(told(old, new), ["~ exceptions.a.reason file:one -> file:two"]);
        let missing = "signers: {a: {key: {pem: file:none}}}\n";
        assert_eq!(told(missing, missing), Vec::<String>::new());
    }
}
