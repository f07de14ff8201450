//! What layers and their merge ask of the catalogers, so that tests can bring their own.

use std::fmt;
use std::hash::Hash;
use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::scan::catalog::{FileFacts, FileKind, Place};
use crate::scan::{Limits, Package};

/// A kind of file that is read.
pub(in crate::scan) trait Kind:
    Copy + Eq + Ord + Hash + fmt::Debug + Serialize + DeserializeOwned
{
    /// What a file is; see [`FileKind::of`].
    fn of(path: &str, head: &[u8]) -> Option<Self>;

    /// What a file would be, by its name, if a link led to it from where its kind is told by the directory;
    /// see [`FileKind::by_link`].
    fn by_link(_path: &str) -> Option<Self> {
        None
    }

    /// Where it counts.
    fn place(self) -> Place;

    /// All kinds that do not count anywhere, but in places of their own.
    fn placed() -> Vec<Self>;

    /// Whether contents may tell it, whatever the file's name is.
    fn is_by_contents(self) -> bool;

    /// The package that a path alone says a file of this kind is, if one does.
    fn named_by(self, _path: &str) -> Option<Package> {
        None
    }

    /// Where it is written what is installed, if the file at `path` only says what would be: in files of a
    /// kind whose paths begin so. Where one of them lists a package, this file does not count.
    fn yields_to(self, _path: &str) -> Option<(Self, String)> {
        None
    }

    /// Reads a file; see [`FileKind::read`].
    ///
    /// # Errors
    /// When `contents` cannot be read on.
    fn read(
        self,
        path: &str,
        size: u64,
        contents: &mut dyn Read,
        limits: &Limits,
    ) -> io::Result<FileFacts>;
}

impl Kind for FileKind {
    fn of(path: &str, head: &[u8]) -> Option<Self> {
        Self::of(path, head)
    }

    fn by_link(path: &str) -> Option<Self> {
        Self::by_link(path)
    }

    fn place(self) -> Place {
        self.place()
    }

    fn placed() -> Vec<Self> {
        Self::placed()
    }

    fn is_by_contents(self) -> bool {
        self.is_by_contents()
    }

    fn named_by(self, path: &str) -> Option<Package> {
        self.named_by(path)
    }

    fn yields_to(self, path: &str) -> Option<(Self, String)> {
        self.yields_to(path)
    }

    fn read(
        self,
        path: &str,
        size: u64,
        contents: &mut dyn Read,
        limits: &Limits,
    ) -> io::Result<FileFacts> {
        self.read(path, size, contents, limits)
    }
}
