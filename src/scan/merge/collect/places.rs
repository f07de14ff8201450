//! Places of their own: where lists of what is installed count, where they do not, and lists that are not
//! read.

use super::super::super::GapKind;
use super::super::super::catalog::{FOREIGN, Place};
use super::super::super::layer::Kind;
use super::super::view::{File, Item, Missing, Target};
use super::{Collector, Found, push, text};

impl<K: Kind> Collector<'_, '_, K> {
    pub(super) fn in_places(&mut self) {
        for kind in self.placed.clone() {
            match kind.place() {
                Place::Anywhere => {}
                Place::At(paths) => {
                    for path in paths {
                        self.at(kind, path.as_bytes());
                    }
                }
                Place::FirstOf(paths) => {
                    let _: Option<_> = paths.iter().find(|path| self.at(kind, path.as_bytes()));
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
    fn at(&mut self, kind: K, path: &[u8]) -> bool {
        let odd = match self.view.resolve(path) {
            Ok(Target { path: really, item: Item::File { file, .. } }) => {
                self.use_placed(kind, file, text(&really), text(path));
                return true;
            }
            Ok(_) => Some((GapKind::Malformed, "it is no file")),
            Err(Missing::Nothing) => None,
            Err(Missing::Dangling) => Some((GapKind::Malformed, "a link leads to nothing here")),
            Err(Missing::TooManyLinks) => Some((GapKind::Limit, "it goes through more than links")),
        };
        if let Some((gap, words)) = odd {
            self.gap(gap, Some(text(path)), words);
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
            let mut path = directory.as_bytes().to_vec();
            push(&mut path, name);
            if K::of(&text(&path), &[]) == Some(kind) && !matches!(item, Item::Directory(_)) {
                self.at(kind, &path);
            }
        }
    }

    fn use_placed(&mut self, kind: K, file: File, really: String, asked: String) {
        if !self.placed_used.insert((kind, file)) {
            return;
        }
        let facts = self.view.layer(file.layer);
        match facts.and_then(|facts| facts.seen(file.entry, kind, &asked)) {
            Some(seen) => self.add(file, really, asked, seen, Vec::new()),
            None => self.want(file, kind, asked),
        }
    }

    /// A list of what is installed that is not where it would count: of a root within the root, say.
    pub(super) fn out_of_place(&mut self, files: &[(File, Found)]) {
        for (file, found) in files {
            for seen in self.counted(*file, found) {
                let is_placed = self.placed.contains(&seen.kind);
                let is_used = self.placed_used.contains(&(seen.kind, *file));
                if is_placed && !is_used && !seen.facts.packages.is_empty() {
                    let text = "it lists packages, and is not where those of the image are listed";
                    self.gap(GapKind::Unsupported, Some(found.path.clone()), text);
                }
            }
        }
    }

    /// What is installed by package managers whose lists are not read.
    pub(super) fn foreign(&mut self) {
        for (path, whose) in FOREIGN {
            let Ok(Target { item, .. }) = self.view.resolve(path.as_bytes()) else { continue };
            let lists = match item {
                Item::Directory(directory) => !self.view.children(&directory).is_empty(),
                Item::File { .. } => true,
                Item::LinkBelow { .. } | Item::Special | Item::Symlink(_) => false,
            };
            if lists {
                let text = format!("packages of {whose}, whose lists are not read");
                self.gap(GapKind::Unsupported, Some((*path).to_owned()), &text);
            }
        }
    }
}
