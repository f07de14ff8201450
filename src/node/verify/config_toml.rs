//! containerd's own configuration: where it looks for registries' files, if anywhere.
//!
//! Sources: `services/server/config/config.go` of 1.7.24, `cmd/containerd/server/config/config.go` of
//! 2.x (`LoadConfig`, `resolveImports`, `mergeConfig`); `pkg/cri/config/config.go` of 1.x and
//! `internal/cri/config/config.go` of 2.x (`config_path`, `mirrors`); `core/transfer/registry/registry.go`
//! of 2.1 and later, by which the CRI plugin pulls since then.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::finding::{Finding, Gravity, Report};
use super::tree::Tree;
use super::{access, certs_d};
use crate::node::problem::line_of;
use crate::node::render::CONTAINERD_CONFIG;
use crate::node::{Kit, Runtime};

/// Most files that one configuration imports.
const IMPORTS_MAX: usize = 256;
/// What 2.2 and later take when nothing is said.
const DEFAULT_SINCE_2_2: &str = "/etc/containerd/certs.d:/etc/docker/certs.d";
/// The section of the CRI plugin in files of version 1, 2 and 3.
const SECTIONS: [(i64, &str); 3] =
    [(1, "cri"), (2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.images")];

/// A value and where it stands.
#[derive(Debug, Clone)]
struct At<T> {
    value: T,
    file: PathBuf,
    line: usize,
}

/// What all files together say of registries.
#[derive(Debug, Default)]
struct Said {
    config_path: Option<At<String>>,
    mirrors: Option<At<Vec<String>>>,
    local_pull: bool,
}

/// Looks at config.toml and what it leads to.
pub(super) fn verify(tree: &Tree, kit: &Kit, report: &mut Report) {
    let Some(said) = read(tree, kit.runtime, report) else { return };
    let main = Path::new(CONTAINERD_CONFIG);
    if let Some(mirrors) = &said.mirrors {
        report.add(legacy(mirrors, said.config_path.as_ref()));
        if said.config_path.is_none() {
            return;
        }
    }
    let (paths, file, line) = match &said.config_path {
        Some(At { value, file, line }) => (value.as_str(), file.as_path(), Some(*line)),
        None if kit.runtime.is_at_least(2, 2, 0) => (DEFAULT_SINCE_2_2, main, None),
        None => {
            let text = "no config_path: containerd reads no hosts.toml at all and pulls from the registries themselves";
            report.add(Finding::hole("config-path-missing", main, None, text, todo(kit)));
            return;
        }
    };
    let folders: Vec<_> =
        paths.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    // What is certainly older splits the list itself.
    let splits =
        said.local_pull || kit.runtime.version.is_some_and(|version| !version.is_at_least(2, 1, 0));
    if folders.len() > 1 && !splits {
        let text = format!(
            "config_path is the list {paths:?}: containerd 2.1 and later take it for the name of one folder, find none, and pull from the registries themselves"
        );
        report.add(Finding::hole("config-path-list", file, line, text, todo(kit)));
        return;
    }
    for folder in &folders {
        if !matches!(tree.metadata(folder), Ok(Some(metadata)) if metadata.is_dir()) {
            let text =
                format!("config_path names {}, and there is no such folder", folder.display());
            let finding = Finding::hole("config-path-nowhere", file, line, text, todo(kit));
            if folders.len() == 1 {
                report.add(finding);
                return;
            }
            report.add(finding.but(Gravity::Note));
        }
    }
    certs_d::verify(tree, kit, &folders, report);
}

/// What the files say, for others.
pub(super) fn said(tree: &Tree, kit: &Kit, report: &mut Report) -> super::ways::Containerd {
    let said = read(tree, kit.runtime, report).unwrap_or_default();
    let place = |file: &Path, line: usize| format!("{}:{line}", file.display());
    super::ways::Containerd {
        config_path: said.config_path.map(|at| (at.value, place(&at.file, at.line))),
        mirrors: said.mirrors.map(|at| place(&at.file, at.line)),
    }
}

fn todo(kit: &Kit) -> String {
    let section = if kit.runtime.is_at_least(2, 0, 0) { SECTIONS[2].1 } else { SECTIONS[1].1 };
    format!(
        "config_path = \"{}\" under [plugins.\"{section}\".registry], then restart containerd; pratique node install does it",
        crate::node::render::CERTS_D
    )
}

fn legacy(mirrors: &At<Vec<String>>, config_path: Option<&At<String>>) -> Finding {
    let names = mirrors.value.join(", ");
    let todo = "remove registry.mirrors, and let pratique node install set config_path; then restart containerd";
    if config_path.is_some() {
        let text = format!(
            "registry.mirrors ({names}) beside config_path: containerd's CRI plugin does not load"
        );
        return Finding::hole(
            "mirrors-and-config-path",
            &mirrors.file,
            Some(mirrors.line),
            text,
            todo,
        )
        .but(Gravity::Broken);
    }
    let text = format!(
        "registry.mirrors ({names}) is the old form, in which the registry itself is always the last endpoint; hosts.toml is not read"
    );
    Finding::hole("legacy-mirrors", &mirrors.file, Some(mirrors.line), text, todo)
}

/// What the files say; `None` when containerd does not start with them.
fn read(tree: &Tree, runtime: Runtime, report: &mut Report) -> Option<Said> {
    let mut said = Said::default();
    let mut waiting = VecDeque::from([PathBuf::from(CONTAINERD_CONFIG)]);
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut replaces = None;
    while let Some(path) = waiting.pop_front() {
        if seen.contains(&path) || seen.len() == IMPORTS_MAX {
            continue;
        }
        let is_main = seen.is_empty();
        seen.push(path.clone());
        let text = match tree.read(&path) {
            Ok(Some(text)) => text,
            Ok(None) if is_main => return Some(said),
            Ok(None) => return broken(&path, None, "is imported and not there", report),
            Err(error) => return broken(&path, None, &format!("cannot be read ({error})"), report),
        };
        access::verify(tree, &path, report);
        let document = match DeTable::parse(&text) {
            Ok(document) => document,
            Err(error) => {
                let line = error.span().map(|span| line_of(&text, span.start));
                return broken(&path, line, &format!("is no TOML ({})", error.message()), report);
            }
        };
        let file = File { path: &path, text: &text, table: document.get_ref() };
        let replaces = *replaces.get_or_insert_with(|| replaces_sections(runtime, &file));
        file.add_to(&mut said, replaces);
        waiting.extend(file.imports(tree));
    }
    Some(said)
}

fn broken(path: &Path, line: Option<usize>, what: &str, report: &mut Report) -> Option<Said> {
    let text = format!("{what}: containerd does not start with it");
    let finding =
        Finding::hole("config-unreadable", path, line, text, "repair it, and restart containerd");
    report.add(finding.but(Gravity::Broken));
    None
}

/// Whether an imported section replaces the one before it whole: so does containerd 1.x.
fn replaces_sections(runtime: Runtime, main: &File<'_>) -> bool {
    match runtime.version {
        Some(version) => !version.is_at_least(2, 0, 0),
        None => main.version() < 3,
    }
}

/// One file of the configuration.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
    table: &'a DeTable<'a>,
}

impl<'a> File<'a> {
    fn version(&self) -> i64 {
        let version = self.table.get("version").and_then(|version| version.get_ref().as_integer());
        version.and_then(|version| version.as_str().parse().ok()).unwrap_or(1)
    }

    fn at<T>(&self, value: T, offset: usize) -> At<T> {
        At { value, file: self.path.to_owned(), line: line_of(self.text, offset) }
    }

    fn add_to(&self, said: &mut Said, replaces: bool) {
        let plugins = self.table.get("plugins").and_then(|plugins| plugins.get_ref().as_table());
        for (version, name) in SECTIONS {
            let counts = if replaces {
                // 1.x knows no third section, whatever version a file says it is of.
                version == self.version().min(2)
            } else {
                // A file of version 2 may have the section of version 3 too, which 2.x reads.
                version == self.version() || (version == 3 && self.version() == 2)
            };
            let section = plugins.and_then(|plugins| plugins.get(name)).filter(|_| counts);
            let Some(section) = section.and_then(|section| section.get_ref().as_table()) else {
                continue;
            };
            if replaces {
                *said = Said::default();
            }
            self.add_section(said, section);
        }
    }

    fn add_section(&self, said: &mut Said, section: &'a DeTable<'a>) {
        if let Some(local) =
            section.get("use_local_image_pull").and_then(|local| local.get_ref().as_bool())
        {
            said.local_pull = local;
        }
        let Some(registry) =
            section.get("registry").and_then(|registry| registry.get_ref().as_table())
        else {
            return;
        };
        if let Some(path) = registry.get("config_path")
            && let Some(text) = path.get_ref().as_str()
            && !text.is_empty()
        {
            said.config_path = Some(self.at(text.to_owned(), path.span().start));
        }
        let mirrors = registry.get_key_value("mirrors").and_then(|(key, mirrors)| {
            let table = mirrors.get_ref().as_table().filter(|table| !table.is_empty())?;
            // The tables are usually written by a header each, so that the first of them has the line.
            let first = table.keys().map(|key| key.span().start).min().unwrap_or(key.span().start);
            Some((table, first))
        });
        if let Some((table, first)) = mirrors {
            let names = table.keys().map(|key| key.get_ref().to_string()).collect();
            said.mirrors = Some(self.at(names, first));
        }
    }

    /// The files that this one imports, as containerd finds them: `*` matches within one name.
    fn imports(&self, tree: &Tree) -> Vec<PathBuf> {
        let imports = self.table.get("imports").and_then(|imports| imports.get_ref().as_array());
        let texts = imports.into_iter().flat_map(|imports| imports.iter());
        let texts = texts.filter_map(|import| import.get_ref().as_str());
        texts.flat_map(|import| self.matches(tree, import)).collect()
    }

    fn matches(&self, tree: &Tree, import: &str) -> Vec<PathBuf> {
        let base = self.path.parent().unwrap_or(Path::new("/"));
        let path = base.join(import);
        let (Some(folder), Some(name)) =
            (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            return Vec::new();
        };
        if !name.contains('*') {
            return vec![path];
        }
        let names = tree.list(folder).unwrap_or_default();
        let fits =
            |found: &std::ffi::OsString| found.to_str().is_some_and(|found| glob(name, found));
        names.into_iter().filter(fits).map(|found| folder.join(found)).collect()
    }
}

/// Whether `name` fits `pattern`, in which `*` stands for anything.
fn glob(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| glob(after, rest)))
}

/// Whether `value` is a list of texts.
pub(super) fn is_texts(value: &DeValue<'_>) -> bool {
    value.as_array().is_some_and(|array| array.iter().all(|entry| entry.get_ref().is_str()))
}
