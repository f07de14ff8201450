//! Collects what counts in the merged view: files that are read wherever they lie, and files that are
//! read in places of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::catalog::{FileFacts, Place};
use super::super::layer::{Kind, Seen};
use super::super::{Gap, GapKind};
use super::view::{Directory, File, Item, Missing, Target, View};

/// How deep a directory that a link leads to is looked through for files that are of interest by the
/// link's name: far enough for `node_modules -> …` with a scope in it.
const LINKED_DEPTH_MAX: usize = 3;
/// Paths of interest that links lead to, and whose files were not read as what they are there.
const WANTED_MAX: usize = 10_000;

/// What a file says that counts.
#[derive(Debug)]
pub(super) struct Used<'a> {
    pub(super) layer: usize,
    /// Where it really is.
    pub(super) path: String,
    /// Where it was asked for.
    pub(super) asked: String,
    /// By which path it was read.
    pub(super) read: &'a str,
    pub(super) facts: &'a FileFacts,
}

pub(super) struct Collector<'a, 'v, K> {
    view: &'v View<'a, K>,
    pub(super) used: Vec<Used<'a>>,
    pub(super) wanted: BTreeMap<usize, BTreeMap<(u32, K), String>>,
    pub(super) gaps: BTreeSet<Gap>,
    wanted_count: usize,
    placed: Vec<K>,
    placed_used: BTreeSet<(K, File)>,
}

impl<'a, 'v, K: Kind> Collector<'a, 'v, K> {
    pub(super) fn new(view: &'v View<'a, K>) -> Self {
        Self {
            view,
            used: Vec::new(),
            wanted: BTreeMap::new(),
            gaps: BTreeSet::new(),
            wanted_count: 0,
            placed: K::placed(),
            placed_used: BTreeSet::new(),
        }
    }

    pub(super) fn collect(&mut self) {
        self.everywhere();
        self.in_places();
        if self.wanted_count > WANTED_MAX {
            // All of it or none: a second reading has to be the last.
            self.wanted.clear();
            let text = format!("links lead to more than {WANTED_MAX} files that are to be read");
            self.gap(GapKind::Limit, None, &text);
        }
        if self.view.is_exhausted() {
            let text = "its directories and links take more steps than are taken";
            self.gap(GapKind::Limit, None, text);
        }
    }

    fn everywhere(&mut self) {
        let mut files: HashMap<File, String> = HashMap::new();
        each_below(self.view, &self.view.root(), Vec::new(), usize::MAX, &mut |path, item| {
            self.visit(path, item, &mut files);
        });
        let mut files: Vec<_> = files.into_iter().collect();
        files.sort_unstable();
        let installed = self.installed(&files);
        for (file, path) in files {
            for seen in self.seen(file) {
                if seen.kind.place() == Place::Anywhere {
                    if seen.kind.yields_to(&path).is_some_and(|to| is_installed(&installed, &to)) {
                        continue;
                    }
                    self.add(file, path.clone(), path.clone(), seen);
                } else if !self.placed.contains(&seen.kind) {
                    self.gap(GapKind::Unsupported, Some(path.clone()), "its place is not known");
                }
            }
        }
    }

    /// The files that list a package, by their kinds.
    fn installed(&self, files: &[(File, String)]) -> BTreeSet<(K, String)> {
        let mut installed = BTreeSet::new();
        for (file, path) in files {
            let listing = self.seen(*file).iter().filter(|seen| !seen.facts.packages.is_empty());
            installed.extend(listing.map(|seen| (seen.kind, path.clone())));
        }
        installed
    }

    fn visit(&mut self, path: &[u8], item: Item<'a>, files: &mut HashMap<File, String>) {
        match item {
            Item::Directory(_) | Item::Special => {}
            Item::File { file, is_link } => {
                if let Some(seen) = self.seen(file).first() {
                    let path = text(path);
                    // One file counts once, by the path that it was read by where that is there.
                    if path == seen.path {
                        files.insert(file, path);
                    } else {
                        files.entry(file).or_insert(path);
                    }
                }
                if is_link {
                    self.consider(path, file);
                }
            }
            Item::LinkBelow { .. } => match self.view.settled(item) {
                Some(Item::File { file, .. }) => {
                    self.visit(path, Item::File { file, is_link: true }, files);
                }
                Some(Item::Special) => {}
                Some(Item::Symlink(_) | Item::Directory(_) | Item::LinkBelow { .. }) => {
                    let text_ = "it is a hard link to a link of a layer below";
                    self.gap(GapKind::Unsupported, Some(text(path)), text_);
                }
                None => {
                    let text_ = "it is a hard link to nothing";
                    self.gap(GapKind::Malformed, Some(text(path)), text_);
                }
            },
            Item::Symlink(_) => self.follow(path),
        }
    }

    /// A link: what it leads to may be of interest by the link's name.
    fn follow(&mut self, path: &[u8]) {
        let Ok(Target { item, .. }) = self.view.resolve(path) else { return };
        match item {
            Item::File { file, .. } => self.consider(path, file),
            Item::Directory(directory) => {
                let mut found = Vec::new();
                let linked = path.to_vec();
                each_below(self.view, &directory, linked, LINKED_DEPTH_MAX, &mut |path, item| {
                    if let Item::File { file, .. } = item
                        && let Some(kind) = kind_anywhere(&text(path))
                    {
                        found.push((file, kind, text(path)));
                    }
                });
                for (file, kind, path) in found {
                    self.consider_as(file, kind, path);
                }
            }
            Item::LinkBelow { .. } | Item::Special | Item::Symlink(_) => {}
        }
    }

    fn consider(&mut self, path: &[u8], file: File) {
        let path = text(path);
        if let Some(kind) = kind_anywhere(&path) {
            self.consider_as(file, kind, path);
        }
    }

    fn consider_as(&mut self, file: File, kind: K, path: String) {
        if !self.seen(file).iter().any(|seen| seen.kind == kind) {
            self.want(file, kind, path);
        }
    }

    fn in_places(&mut self) {
        for kind in self.placed.clone() {
            match kind.place() {
                Place::Anywhere => {}
                Place::At(paths) => {
                    for path in paths {
                        self.at(kind, path);
                    }
                }
                Place::FirstOf(paths) => {
                    let _: Option<_> = paths.iter().find(|path| self.at(kind, path));
                }
                Place::In(directories) => {
                    for directory in directories {
                        self.inside(kind, directory);
                    }
                }
            }
        }
    }

    /// Whether there is a file at a path where a kind counts.
    fn at(&mut self, kind: K, path: &str) -> bool {
        let odd = match self.view.resolve(path.as_bytes()) {
            Ok(Target { path: really, item: Item::File { file, .. } }) => {
                self.use_placed(kind, file, text(&really), path);
                return true;
            }
            Ok(_) => Some((GapKind::Malformed, "it is no file")),
            Err(Missing::Nothing) => None,
            Err(Missing::Dangling) => Some((GapKind::Malformed, "a link leads to nothing here")),
            Err(Missing::TooManyLinks) => Some((GapKind::Limit, "it goes through more than links")),
        };
        if let Some((gap, text)) = odd {
            self.gap(gap, Some(path.to_owned()), text);
        }
        false
    }

    fn inside(&mut self, kind: K, directory: &str) {
        let children = match self.view.resolve(directory.as_bytes()) {
            Ok(Target { item: Item::Directory(found), .. }) => self.view.children(&found),
            Ok(_) | Err(Missing::Nothing) => return,
            Err(Missing::Dangling | Missing::TooManyLinks) => {
                let text = "a link leads to nothing here";
                return self.gap(GapKind::Malformed, Some(directory.to_owned()), text);
            }
        };
        for (name, item) in children {
            let path = format!("{directory}/{}", text(name));
            if K::of(&path, &[]) == Some(kind) && !matches!(item, Item::Directory(_)) {
                self.at(kind, &path);
            }
        }
    }

    fn use_placed(&mut self, kind: K, file: File, really: String, asked: &str) {
        if !self.placed_used.insert((kind, file)) {
            return;
        }
        let facts = self.view.layer(file.layer);
        match facts.and_then(|facts| facts.seen(file.entry, kind, asked)) {
            Some(seen) => self.add(file, really, asked.to_owned(), seen),
            None => self.want(file, kind, asked.to_owned()),
        }
    }

    fn add(&mut self, file: File, path: String, asked: String, seen: &'a Seen<K>) {
        let (layer, read, facts) = (file.layer, seen.path.as_str(), &seen.facts);
        self.used.push(Used { layer, path, asked, read, facts });
    }

    fn want(&mut self, file: File, kind: K, path: String) {
        let files = self.wanted.entry(file.layer).or_default();
        if files.contains_key(&(file.entry, kind)) {
            return;
        }
        self.wanted_count += 1;
        if self.wanted_count <= WANTED_MAX {
            files.insert((file.entry, kind), path);
        }
    }

    fn seen(&self, file: File) -> &'a [Seen<K>] {
        let seen = self.view.layer(file.layer).and_then(|facts| facts.files.get(&file.entry));
        seen.map_or(&[], Vec::as_slice)
    }

    fn gap(&mut self, kind: GapKind, path: Option<String>, text: &str) {
        self.gaps.insert(Gap { kind, path, layer: None, text: text.to_owned() });
    }
}

/// The kind that a path alone says, if it counts anywhere.
fn kind_anywhere<K: Kind>(path: &str) -> Option<K> {
    K::of(path, &[]).filter(|kind| kind.place() == Place::Anywhere)
}

/// Shows all that is below a directory, which is at `path`, but no directories.
fn each_below<'a, K: Kind>(
    view: &View<'a, K>,
    directory: &Directory<'a>,
    mut path: Vec<u8>,
    depth_max: usize,
    show: &mut dyn FnMut(&[u8], Item<'a>),
) {
    let mut open = vec![(path.len(), view.children(directory).into_iter())];
    while let Some((length, children)) = open.last_mut() {
        path.truncate(*length);
        let Some((name, item)) = children.next() else {
            open.pop();
            continue;
        };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(name);
        match item {
            Item::Directory(directory) if open.len() < depth_max => {
                open.push((path.len(), view.children(&directory).into_iter()));
            }
            Item::Directory(_) => {}
            Item::File { .. } | Item::LinkBelow { .. } | Item::Special | Item::Symlink(_) => {
                show(&path, item);
            }
        }
    }
}

pub(super) fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Whether a file of that kind, whose path begins so, lists a package.
fn is_installed<K: Kind>(installed: &BTreeSet<(K, String)>, to: &(K, String)) -> bool {
    let first = installed.range(to.clone()..).next();
    first.is_some_and(|(kind, path)| *kind == to.0 && path.starts_with(&to.1))
}
