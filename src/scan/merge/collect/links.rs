//! Links: what they lead to may be of interest by the link's name.

use std::collections::BTreeMap;

use super::super::super::Package;
use super::super::super::catalog::Place;
use super::super::super::layer::{Kind, Seen};
use super::super::view::{File, Item, Target};
use super::{Collector, Found, push, reached_by, text};

/// How deep a directory that a link leads to is looked through for files that are of interest by the
/// link's name: far enough for `node_modules -> …` with a scope in it. Links on the way count as what they
/// lead to.
const LINKED_DEPTH_MAX: usize = 3;

impl<'a, K: Kind> Collector<'a, '_, K> {
    /// Looks at what a link leads to.
    pub(super) fn follow(&mut self, path: &[u8]) {
        if let Ok(Target { item, .. }) = self.view.resolve(path) {
            self.behind(path, item, LINKED_DEPTH_MAX);
        }
    }

    /// Looks at what is at a path that goes through a link.
    fn behind(&mut self, path: &[u8], item: Item<'a>, depth: usize) {
        match item {
            Item::File { file, .. } => self.consider(path, file),
            Item::Directory(directory) if depth > 0 => {
                for (name, item) in self.view.children(&directory) {
                    let mut path = path.to_vec();
                    push(&mut path, name);
                    match item {
                        Item::Symlink(_) | Item::LinkBelow { .. } => {
                            if let Ok(Target { item, .. }) = self.view.resolve(&path) {
                                self.behind(&path, item, depth - 1);
                            }
                        }
                        Item::Directory(_) | Item::File { .. } | Item::Special => {
                            self.behind(&path, item, depth - 1);
                        }
                    }
                }
            }
            Item::Directory(_) | Item::LinkBelow { .. } | Item::Special | Item::Symlink(_) => {}
        }
    }

    /// Remembers a file that a link leads to, if the path says a kind.
    pub(super) fn consider(&mut self, path: &[u8], file: File) {
        let path = text(path);
        let Some(kind) = kind_anywhere(&path) else { return };
        let seen = self.seen(file);
        let by_link = |seen: &Seen<K>| seen.path.is_empty() && seen.kind == kind;
        let by_link = seen.iter().position(by_link);
        let reached: Vec<usize> = reached_by(seen, &path).chain(by_link).collect();
        if !reached.is_empty() {
            self.files.entry(file).or_default().reached.extend(reached);
        }
        if self.has_room(path.len()) {
            self.asked.entry((file, kind)).or_default().push(path);
        }
    }

    /// Wants what was not read as what links' names say, and gives the packages that these name of what
    /// was.
    pub(super) fn links(&mut self, files: &[(File, Found)]) -> BTreeMap<(File, K), Vec<Package>> {
        let mut named: BTreeMap<(File, K), Vec<Package>> = BTreeMap::new();
        for ((file, kind), paths) in std::mem::take(&mut self.asked) {
            let found = files.binary_search_by_key(&file, |(file, _)| *file).ok();
            let found = found.and_then(|at| files.get(at));
            let read = found
                .and_then(|(_, found)| self.counted(file, found).find(|seen| seen.kind == kind));
            match read {
                Some(seen) => {
                    let packages = paths.iter().filter_map(|path| {
                        kind.named_by(path).filter(|package| !says(seen, package))
                    });
                    named.entry((file, kind)).or_default().extend(packages);
                }
                None => {
                    if let Some(path) = paths.into_iter().next() {
                        self.want(file, kind, path);
                    }
                }
            }
        }
        named
    }
}

/// Whether a file says itself that it is a package, in whatever version.
fn says<K>(seen: &Seen<K>, package: &Package) -> bool {
    seen.facts.packages.iter().any(|said| {
        let artifact = said.name.rsplit(':').next();
        said.kind == package.kind
            && (said.name == package.name || artifact == Some(package.name.as_str()))
    })
}

/// The kind that a path alone says, if it counts anywhere.
fn kind_anywhere<K: Kind>(path: &str) -> Option<K> {
    K::of(path, &[]).filter(|kind| kind.place() == Place::Anywhere)
}
