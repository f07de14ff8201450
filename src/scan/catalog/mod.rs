//! The catalogers: which files of an image say what is installed, and what they say.
//!
//! A cataloger reads one file at a time, while its layer streams by, and knows nothing of other files or
//! layers: what survives in the merged view is decided later, by path. It never fails an image: what it
//! cannot read is a gap.

mod checksum;
pub(super) mod language;
mod maker;
mod md5;
pub(super) mod system;

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

pub(super) use self::checksum::Checksum;
pub(super) use self::maker::Maker;
use super::{Distribution, GapKind, Limits, Package};

/// Of all that catalogers find, to be raised when one of them reads more, or reads otherwise: what was
/// learnt of layers by another version is learnt anew.
pub(super) const VERSION: u32 = 2;

/// A file that is read, by what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FileKind {
    /// It belongs to the distribution or its package manager.
    System(system::File),
    /// It belongs to a language's package manager, or is a program or archive with a list of its own.
    Language(language::File),
}

/// Where a file of a kind counts in the merged view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Wherever it lies.
    Anywhere,
    /// Only as what one of these paths leads to, links followed; of several, all that are there.
    At(&'static [&'static str]),
    /// As `At`, and only the first of them that is there.
    FirstOf(&'static [&'static str]),
    /// Only as what is directly in one of these directories, links followed.
    In(&'static [&'static str]),
}

/// What one file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileFacts {
    /// The packages that it lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) packages: Vec<Package>,
    /// Checksums of all of the file's contents, where it lists packages and may be one of the
    /// distribution's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) checksums: Vec<Checksum>,
    /// Files that it says the distribution's package manager installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) owns: Vec<Owned>,
    /// Who made packages that it lists, where they say so and `owns` does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) makers: Vec<(String, Maker)>,
    /// What it says the distribution is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) distribution: Option<Distribution>,
    /// What of it could not be read, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gaps: Vec<(GapKind, String)>,
}

/// Files of one package of the distribution's package manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owned {
    /// The package's name.
    pub(super) package: String,
    /// Who made it; `None`: the list of what is installed says so, and whether it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) maker: Option<Maker>,
    /// Its files, without those that are of no interest.
    pub(super) files: Vec<OwnedFile>,
}

/// A file as its package has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnedFile {
    /// Its path, without a leading slash; links are not resolved.
    pub(super) path: String,
    /// Of its contents.
    pub(super) checksum: Checksum,
}

/// Where package managers keep their lists that are not read, and whose they are: a file, or a directory
/// that is not empty.
pub(super) const FOREIGN: &[(&str, &str)] = &[
    ("gnu/store", "Guix"),
    ("home/linuxbrew/.linuxbrew/Cellar", "Homebrew"),
    ("nix/store", "Nix"),
    ("usr/lib/opkg/status", "opkg"),
    ("var/db/pkg", "Portage"),
    ("var/db/xbps", "XBPS"),
    ("var/lib/opkg/status", "opkg"),
    ("var/lib/pacman/local", "pacman"),
    ("var/lib/pkgtools/packages", "pkgtools"),
];

impl FileFacts {
    /// Nothing but a gap.
    pub(super) fn gap(kind: GapKind, text: impl Into<String>) -> Self {
        Self { gaps: vec![(kind, text.into())], ..Self::default() }
    }
}

impl FileKind {
    /// What a file is by its normalised path (no leading slash), and by its first bytes: `head` has at
    /// least [`HEAD_BYTES`] of them, or all there are. A program is one whatever it is called.
    pub(super) fn of(path: &str, head: &[u8]) -> Option<Self> {
        if language::is_program(head) {
            return Some(Self::Language(language::File::of_program(path)));
        }
        let system = system::File::of(path).map(Self::System);
        system.or_else(|| language::File::of(path, head).map(Self::Language))
    }

    /// What a file that is of no kind where it lies would be if a link led to it: it is read with the rest, so
    /// that its layer need not be read once more for it.
    pub(super) fn by_link(path: &str) -> Option<Self> {
        language::File::by_link(path).map(Self::Language)
    }

    /// Whether contents may tell it, whatever the file's name is.
    pub(super) fn is_by_contents(self) -> bool {
        matches!(self, Self::Language(language::File::JavaArchive | language::File::Program))
    }

    /// The package that a path alone says a file of this kind is, if one does.
    pub(super) fn named_by(self, path: &str) -> Option<Package> {
        match self {
            Self::System(_) => None,
            Self::Language(file) => file.named_by(path),
        }
    }

    /// All kinds that do not count anywhere, but in places of their own.
    pub(super) fn placed() -> Vec<Self> {
        system::File::PLACED.iter().copied().map(Self::System).collect()
    }

    /// Where it is written what is installed, if the file at `path` only says what would be: in files of
    /// this kind whose paths begin so.
    pub(super) fn yields_to(self, path: &str) -> Option<(Self, String)> {
        let Self::Language(file) = self else { return None };
        let (file, prefix) = match file.yields_to(path)? {
            language::Installed::Anywhere(file) => (file, String::new()),
            language::Installed::Under(file, directory) => (file, directory),
        };
        Some((Self::Language(file), prefix))
    }

    /// Where it counts.
    pub(super) fn place(self) -> Place {
        match self {
            Self::System(file) => file.place(),
            Self::Language(_) => Place::Anywhere,
        }
    }

    /// Reads the file at `path`, of `size` bytes. What is not needed of `contents` may be left unread.
    ///
    /// # Errors
    /// Only when `contents` cannot be read on: that is the layer's trouble, not the file's.
    pub(super) fn read(
        self,
        path: &str,
        size: u64,
        contents: &mut dyn Read,
        limits: &Limits,
    ) -> io::Result<FileFacts> {
        let mut facts = match self {
            Self::System(file) => file.read(path, size, contents, limits),
            Self::Language(file) => file.read(path, size, contents, limits),
        }?;
        let is_program = self == Self::Language(language::File::Program);
        if is_program && Self::of(path, &[]).is_some() {
            // What reads it by its name may find there what is not looked for in a program.
            let text = "it is a program, and its name says that it is something else";
            facts.gaps.push((GapKind::Malformed, text.to_owned()));
        }
        Ok(facts)
    }
}

/// How many bytes of a file are looked at to tell what it is.
pub(super) const HEAD_BYTES: usize = 64;

/// Reads all of a file, or says what is wrong when it has more than `bytes_max`.
///
/// # Errors
/// When `contents` cannot be read on.
pub(super) fn whole(
    size: u64,
    contents: &mut dyn Read,
    bytes_max: u64,
    bound: &str,
) -> io::Result<Result<Vec<u8>, FileFacts>> {
    if size > bytes_max {
        let text = format!("it has {size} bytes, more than {bound} = {bytes_max}");
        return Ok(Err(FileFacts::gap(GapKind::Limit, text)));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    contents.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(Ok(bytes))
}
