//! Reading a node's files, on the node itself or below a folder that holds its root.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use crate::node::place;

/// Most links that are followed to one file, as the kernel does it.
const LINKS_MAX: usize = 40;
/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// The files of a node.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    /// Who owns the root of the node: whoever unpacked an image of it is as good as its root.
    owner: u32,
}

impl Tree {
    pub(super) fn at(root: &Path) -> Self {
        let owner = fs::metadata(root).map_or(0, |metadata| metadata.uid());
        Self { root: root.to_owned(), owner }
    }

    /// Whether files of `uid` are as much the node's as root's are.
    pub(super) fn trusts(&self, uid: u32) -> bool {
        uid == 0 || uid == self.owner
    }

    /// What is at `path`, links followed; `None` when nothing is, a link into nowhere included.
    pub(super) fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        absent(self.locate(path).and_then(fs::metadata))
    }

    /// The text of the file at `path`; `None` when there is none.
    pub(super) fn read(&self, path: &Path) -> io::Result<Option<String>> {
        let Some(place) = absent(self.locate(path))? else { return Ok(None) };
        let Some(content) = place::read(&place)? else { return Ok(None) };
        let text = String::from_utf8(content);
        text.map(Some).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
    }

    /// The names in the folder at `path`, in order; none when there is no folder.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let Some(entries) = absent(self.locate(path).and_then(fs::read_dir))? else {
            return Ok(Vec::new());
        };
        let names = entries.take(ENTRIES_MAX).map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// Where `path` of the node lies here: an absolute link means the node's root, not this machine's.
    fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        if self.root == Path::new("/") {
            return Ok(path.to_owned());
        }
        let mut waiting: Vec<OsString> = parts(path);
        let (mut inside, mut links) = (PathBuf::new(), 0);
        while let Some(name) = waiting.pop() {
            if name == ".." {
                inside.pop();
                continue;
            }
            let next = inside.join(&name);
            let Ok(target) = fs::read_link(self.root.join(&next)) else {
                inside = next;
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(io::Error::other("too many links"));
            }
            if target.is_absolute() {
                inside = PathBuf::new();
            }
            waiting.extend(parts(&target));
        }
        Ok(self.root.join(inside))
    }
}

/// The names of `path`, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().rev().filter_map(name).collect()
}

fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
