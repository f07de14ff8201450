//! Collects what counts in the merged view: files that are read wherever they lie, and files that are
//! read in places of their own.

mod links;
mod places;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::catalog::{FileFacts, Place};
use super::super::layer::{Kind, Seen};
use super::super::{Gap, GapKind, Package};
use super::GAPS_MAX;
use super::view::{Directory, File, Item, View};

/// Paths of interest that links lead to, and whose files were not read as what they are there.
const WANTED_MAX: usize = 10_000;
/// Bytes of all paths of files that were read, and of those by which links lead to files of interest.
const PATHS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a file says that counts.
#[derive(Debug)]
pub(super) struct Used<'a> {
    pub(super) layer: usize,
    /// Where it really is.
    pub(super) path: String,
    /// Where it was asked for.
    pub(super) asked: String,
    pub(super) facts: &'a FileFacts,
    /// The packages that links' names say it is, beside those that it says itself.
    pub(super) named: Vec<Package>,
}

/// A file that was read, as this image has it.
#[derive(Debug, Default)]
struct Found {
    /// Where it lies: the path that it was read by where that is there.
    path: String,
    is_read_by_path: bool,
    /// Which of its readings were by a path of this image. What links of other images made of it is no
    /// concern of this one.
    reached: BTreeSet<usize>,
}

/// A file that links lead to by a name of a kind.
type Asked<K> = BTreeMap<(File, K), Vec<String>>;

pub(super) struct Collector<'a, 'v, K> {
    view: &'v View<'a, K>,
    pub(super) used: Vec<Used<'a>>,
    pub(super) wanted: BTreeMap<usize, BTreeMap<(u32, K), String>>,
    pub(super) gaps: BTreeSet<Gap>,
    wanted_count: usize,
    files: HashMap<File, Found>,
    asked: Asked<K>,
    path_bytes: usize,
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
            files: HashMap::new(),
            asked: BTreeMap::new(),
            path_bytes: 0,
            placed: K::placed(),
            placed_used: BTreeSet::new(),
        }
    }

    pub(super) fn collect(&mut self) {
        let root = self.view.root();
        each_below(self.view, &root, &mut |path, item| self.visit(path, item));
        let mut files: Vec<_> = std::mem::take(&mut self.files).into_iter().collect();
        files.sort_unstable_by_key(|(file, _)| *file);
        let mut named = self.links(&files);
        self.everywhere(&files, &mut named);
        self.in_places();
        self.out_of_place(&files);
        self.foreign();
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

    fn visit(&mut self, path: &[u8], item: Item<'a>) {
        match item {
            Item::Directory(_) | Item::Special => {}
            Item::File { file, is_link } => {
                self.found(path, file);
                if is_link {
                    self.consider(path, file);
                }
            }
            Item::LinkBelow { .. } => match self.view.settled(item) {
                Some(Item::File { file, .. }) => {
                    self.visit(path, Item::File { file, is_link: true });
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

    /// A file where it lies, or at another of its hard links.
    fn found(&mut self, path: &[u8], file: File) {
        let seen = self.seen(file);
        if seen.is_empty() {
            return;
        }
        let path = text(path);
        let reached: Vec<usize> = reached_by(seen, &path).collect();
        if !self.has_room(path.len()) {
            return;
        }
        let found = self.files.entry(file).or_default();
        // One file counts once, by the path that it was read by where that is there.
        if found.path.is_empty() || (!found.is_read_by_path && !reached.is_empty()) {
            found.path = path;
            found.is_read_by_path = !reached.is_empty();
        }
        found.reached.extend(reached);
    }

    /// Whether a path may still be kept.
    fn has_room(&mut self, bytes: usize) -> bool {
        self.path_bytes = self.path_bytes.saturating_add(bytes);
        let has_room = self.path_bytes <= PATHS_BYTES_MAX;
        if !has_room {
            let text = format!("paths of its files have more than {PATHS_BYTES_MAX} bytes");
            self.gap(GapKind::Limit, None, &text);
        }
        has_room
    }

    fn everywhere(
        &mut self,
        files: &[(File, Found)],
        named: &mut BTreeMap<(File, K), Vec<Package>>,
    ) {
        let installed = self.installed(files);
        for (file, found) in files {
            let path = &found.path;
            for seen in self.counted(*file, found) {
                if seen.kind.place() == Place::Anywhere {
                    if seen.kind.yields_to(path).is_some_and(|to| is_installed(&installed, &to)) {
                        continue;
                    }
                    let named = named.remove(&(*file, seen.kind)).unwrap_or_default();
                    self.add(*file, path.clone(), path.clone(), seen, named);
                } else if !self.placed.contains(&seen.kind) {
                    self.gap(GapKind::Unsupported, Some(path.clone()), "its place is not known");
                }
            }
        }
    }

    /// The files that list a package, by their kinds.
    fn installed(&self, files: &[(File, Found)]) -> BTreeSet<(K, String)> {
        let mut installed = BTreeSet::new();
        for (file, found) in files {
            let listing = self.counted(*file, found).filter(|seen| !seen.facts.packages.is_empty());
            installed.extend(listing.map(|seen| (seen.kind, found.path.clone())));
        }
        installed
    }

    /// What a file was read as that counts in this image: what its contents say it is, or one of its
    /// paths here.
    fn counted(&self, file: File, found: &Found) -> impl Iterator<Item = &'a Seen<K>> + use<'a, K> {
        let reached = found.reached.clone();
        let seen = self.seen(file).iter().enumerate();
        seen.filter(move |(index, seen)| seen.kind.is_by_contents() || reached.contains(index))
            .map(|(_, seen)| seen)
    }

    fn add(
        &mut self,
        file: File,
        path: String,
        asked: String,
        seen: &'a Seen<K>,
        named: Vec<Package>,
    ) {
        self.used.push(Used { layer: file.layer, path, asked, facts: &seen.facts, named });
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
        // One more than are told, so that it is seen that there are more.
        if self.gaps.len() <= GAPS_MAX {
            self.gaps.insert(Gap { kind, path, layer: None, text: text.to_owned() });
        }
    }
}

/// Which readings were by this path.
fn reached_by<K>(seen: &[Seen<K>], path: &str) -> impl Iterator<Item = usize> {
    seen.iter().enumerate().filter(move |(_, seen)| seen.path == path).map(|(index, _)| index)
}

/// Shows all that is below a directory, but no directories.
fn each_below<'a, K: Kind>(
    view: &View<'a, K>,
    directory: &Directory<'a>,
    show: &mut dyn FnMut(&[u8], Item<'a>),
) {
    let mut path = Vec::new();
    let mut open = vec![(0, view.children(directory).into_iter())];
    while let Some((length, children)) = open.last_mut() {
        path.truncate(*length);
        let Some((name, item)) = children.next() else {
            open.pop();
            continue;
        };
        push(&mut path, name);
        match item {
            Item::Directory(directory) => {
                open.push((path.len(), view.children(&directory).into_iter()));
            }
            Item::File { .. } | Item::LinkBelow { .. } | Item::Special | Item::Symlink(_) => {
                show(&path, item);
            }
        }
    }
}

fn push(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend(name);
}

pub(super) fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Whether a file of that kind, whose path begins so, lists a package.
fn is_installed<K: Kind>(installed: &BTreeSet<(K, String)>, to: &(K, String)) -> bool {
    let first = installed.range(to.clone()..).next();
    first.is_some_and(|(kind, path)| *kind == to.0 && path.starts_with(&to.1))
}
