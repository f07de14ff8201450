//! What package managers of languages leave, and what programs and archives say of themselves.
//!
//! | language | read | not read |
//! |---|---|---|
//! | Python | metadata of installed distributions (`.dist-info`, `.egg-info`), vendored ones too | requirement files: they are wishes |
//! | Conda | that there is an environment: nobody publishes advisories for what is no Python distribution in it, so it is a gap | its records: Python's own metadata lies beside |
//! | npm | `package.json` of installed packages; lock files of npm, yarn and pnpm where nothing is installed beside | an application's own `package.json`; lock files that packages bring along |
//! | Go | build information in ELF programs: modules with replacements, and the toolchain as `stdlib` | the main module where it is `(devel)` and the linker was told no version |
//! | Rust | what `cargo auditable` left in ELF programs, without what only built them | |
//! | Java | `pom.properties`, manifest and name of archives, and of archives in them | classes |
//! | Ruby | installed specifications; `Gemfile.lock` where none is there | specifications in sources |
//! | PHP | `installed.json` of Composer; `composer.lock` where nothing is installed beside | |
//! | .NET | `*.deps.json`: packages and runtime packs | |
//!
//! What is a gap and what is ordinary differs by kind, and follows from what runs such files: what the
//! language itself could not load hides no package, and what it would load and we cannot read does.
//! - A `package.json` without name or version is ordinary (packages keep such ones to switch the kind of
//!   modules), as is a broken one among the tests of a package (they are full of them). Any other broken
//!   one is a gap.
//! - A file that begins as an ELF program is one, whatever it is called, and a gap where its name says that
//!   it is something else; an archive may stand behind one.
//! - An ELF program without a list is ordinary. One that names a list which cannot be read is a gap; so
//!   is a Go program that lost its list, one that UPX packed, and one of .NET with its bundle in it.
//! - A file with an archive's name and no archive's end is ordinary, except where it begins like one.
//! - Every other file that is read is a gap when it is not what its name says.

mod archive;
mod dotnet;
mod elf;
mod go;
mod json;
mod linked;
mod listing;
mod node;
mod php;
mod program;
mod python;
mod ruby;
mod rust;

#[cfg(any(test, feature = "fuzzing"))]
pub(in crate::scan) mod fuzzing;

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::{Checksum, FileFacts, whole};
use crate::scan::{GapKind, Limits, Package, PackageKind};

/// A file of a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum File {
    /// What Composer installed.
    ComposerInstalled,
    /// What Composer would install.
    ComposerLock,
    /// The history of a Conda environment.
    CondaHistory,
    /// What a .NET program needs at run time.
    DotnetDependencies,
    /// The specification of a gem that came with Ruby itself.
    GemDefault,
    /// The specification of an installed gem.
    GemInstalled,
    /// What Bundler would install.
    GemLock,
    /// A Java archive.
    JavaArchive,
    /// An installed package of npm.
    NodePackage,
    /// What npm would install, or says that it did.
    NpmLock,
    /// What pnpm would install.
    PnpmLock,
    /// An ELF program or library.
    Program,
    /// The metadata of an installed Python distribution.
    PythonMetadata,
    /// What yarn would install.
    YarnLock,
}

/// Where it is written what is installed, for a file that says what would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scan) enum Installed {
    /// In any file of this kind in the image.
    Anywhere(File),
    /// In files of this kind under this directory, whose path ends with a slash.
    Under(File, String),
}

impl File {
    /// What a file is, by its path, and by its first bytes where names do not tell. It is asked for
    /// every entry of every layer.
    pub(super) fn of(path: &str, head: &[u8]) -> Option<Self> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let by_name = match name {
            "METADATA" => has_suffix(directory, ".dist-info").then_some(Self::PythonMetadata),
            "PKG-INFO" => python::is_egg_directory(directory).then_some(Self::PythonMetadata),
            "package.json" => node::is_package(directory).then_some(Self::NodePackage),
            "package-lock.json" | "npm-shrinkwrap.json" => of_project(directory, Self::NpmLock),
            ".package-lock.json" => is_in(directory, "node_modules").then_some(Self::NpmLock),
            "yarn.lock" => of_project(directory, Self::YarnLock),
            "pnpm-lock.yaml" => of_project(directory, Self::PnpmLock),
            "history" => is_in(directory, "conda-meta").then_some(Self::CondaHistory),
            "installed.json" => is_in(directory, "composer").then_some(Self::ComposerInstalled),
            "composer.lock" => of_project(directory, Self::ComposerLock),
            "Gemfile.lock" | "gems.locked" => of_project(directory, Self::GemLock),
            _ => of_suffix(directory, name),
        };
        by_name.or_else(|| of_head(head))
    }

    /// What a file would be if a link led to it: packages of npm are often linked from where they lie
    /// (`node_modules/left -> ../packages/left`; Debian has all of its own so). One within another package
    /// is left to be read when it is asked for: what its path says of it counts.
    pub(super) fn by_link(path: &str) -> Option<Self> {
        let directory = path.strip_suffix("/package.json")?;
        (!directory.split('/').any(|name| name == "node_modules")).then_some(Self::NodePackage)
    }

    /// What a file is that begins as a program: an archive with one before it stays an archive, too.
    pub(super) fn of_program(path: &str) -> Self {
        match Self::of(path, &[]) {
            Some(Self::JavaArchive) => Self::JavaArchive,
            Some(_) | None => Self::Program,
        }
    }

    /// The package that a path alone says that a file of this kind is.
    pub(super) fn named_by(self, path: &str) -> Option<Package> {
        let (kind, name, version) = match self {
            Self::JavaArchive => archive::named_by(path).map(|(n, v)| (PackageKind::Maven, n, v)),
            Self::PythonMetadata => {
                python::named_by(path).map(|(n, v)| (PackageKind::Python, n, v))
            }
            Self::GemDefault | Self::GemInstalled => {
                ruby::named_by(path).map(|(n, v)| (PackageKind::Gem, n.to_owned(), v.to_owned()))
            }
            Self::ComposerInstalled
            | Self::ComposerLock
            | Self::CondaHistory
            | Self::DotnetDependencies
            | Self::GemLock
            | Self::NodePackage
            | Self::NpmLock
            | Self::PnpmLock
            | Self::Program
            | Self::YarnLock => None,
        }?;
        listing::named(kind, &name, &version, path)
    }

    /// Where it is written what is installed, if this file only says what would be: where a package is
    /// listed there, what this file lists does not count. The merged view decides it.
    pub(in crate::scan) fn yields_to(self, path: &str) -> Option<Installed> {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let beside = |file: File, name: &str| match directory {
            "" => Some(Installed::Under(file, format!("{name}/"))),
            directory => Some(Installed::Under(file, format!("{directory}/{name}/"))),
        };
        match self {
            Self::NpmLock if is_in(directory, "node_modules") => {
                Some(Installed::Under(Self::NodePackage, format!("{directory}/")))
            }
            Self::NpmLock | Self::PnpmLock | Self::YarnLock => {
                beside(Self::NodePackage, "node_modules")
            }
            Self::ComposerLock => beside(Self::ComposerInstalled, "vendor"),
            Self::GemLock => Some(Installed::Anywhere(Self::GemInstalled)),
            Self::ComposerInstalled
            | Self::CondaHistory
            | Self::DotnetDependencies
            | Self::GemDefault
            | Self::GemInstalled
            | Self::JavaArchive
            | Self::NodePackage
            | Self::Program
            | Self::PythonMetadata => None,
        }
    }

    pub(super) fn read(
        self,
        path: &str,
        size: u64,
        contents: &mut dyn Read,
        limits: &Limits,
    ) -> io::Result<FileFacts> {
        let (bytes_max, bound) = match self {
            Self::CondaHistory => return Ok(python::conda()),
            Self::JavaArchive => (limits.archive_bytes, "archive_bytes"),
            Self::Program if size > limits.program_bytes => {
                return program::search(path, size, contents, limits);
            }
            Self::Program => (limits.program_bytes, "program_bytes"),
            Self::ComposerInstalled
            | Self::ComposerLock
            | Self::DotnetDependencies
            | Self::GemDefault
            | Self::GemInstalled
            | Self::GemLock
            | Self::NodePackage
            | Self::NpmLock
            | Self::PnpmLock
            | Self::PythonMetadata
            | Self::YarnLock => (limits.file_bytes, "file_bytes"),
        };
        let bytes = match whole(size, contents, bytes_max, bound)? {
            Ok(bytes) => bytes,
            Err(too_large) => return Ok(too_large),
        };
        let mut facts = self.read_bytes(path, &bytes, limits);
        if !facts.packages.is_empty() && Checksum::counts_at(path) {
            facts.checksums = Checksum::all_of(&bytes);
        }
        Ok(facts)
    }

    /// What all of its bytes say.
    fn read_bytes(self, path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
        let reader = match self {
            Self::CondaHistory => return python::conda(),
            Self::ComposerInstalled => php::installed,
            Self::ComposerLock => php::lock,
            Self::DotnetDependencies => dotnet::dependencies,
            Self::GemDefault | Self::GemInstalled => ruby::specification,
            Self::GemLock => ruby::lock,
            Self::JavaArchive => archive_or_both,
            Self::NodePackage => node::package,
            Self::NpmLock => node::npm_lock,
            Self::PnpmLock => node::pnpm_lock,
            Self::Program => program::look_into,
            Self::PythonMetadata => python::metadata,
            Self::YarnLock => node::yarn_lock,
        };
        reader(path, bytes, limits)
    }
}

/// An archive, which may stand behind a program.
fn archive_or_both(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let mut facts = archive::look_into(path, bytes, limits);
    if is_program(bytes) {
        let program = program::look_into(path, bytes, limits);
        facts.packages.extend(program.packages);
        facts.gaps.extend(program.gaps);
    }
    facts
}

/// Whether a file begins as programs do.
pub(super) fn is_program(head: &[u8]) -> bool {
    head.starts_with(elf::MAGIC)
}

/// What has a name of its own before a suffix that tells.
fn of_suffix(directory: &str, name: &str) -> Option<File> {
    let (_, suffix) = name.rsplit_once('.')?;
    match suffix {
        "json" => name.ends_with(".deps.json").then_some(File::DotnetDependencies),
        "gemspec" => ruby::of(directory),
        "egg-info" => Some(File::PythonMetadata),
        _ => archive::has_suffix(suffix).then_some(File::JavaArchive),
    }
}

/// Programs have all kinds of names, and archives may.
fn of_head(head: &[u8]) -> Option<File> {
    if is_program(head) {
        return Some(File::Program);
    }
    archive::is_head(head).then_some(File::JavaArchive)
}

/// A lock file of what the image is made of, and not one that an installed package brought along.
fn of_project(directory: &str, file: File) -> Option<File> {
    let brought = directory.split('/').any(|name| {
        matches!((name, file), ("node_modules", _) | ("gems", File::GemLock))
            || (name == "vendor" && file == File::ComposerLock)
    });
    (!brought).then_some(file)
}

/// Whether a directory has this name.
fn is_in(directory: &str, name: &str) -> bool {
    directory.rsplit('/').next() == Some(name)
}

/// Whether a text ends so, however it is written.
fn has_suffix(text: &str, suffix: &str) -> bool {
    let start = text.len().checked_sub(suffix.len());
    start.and_then(|start| text.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

/// Something wrong with a file, as a gap says it.
type Trouble = (GapKind, String);

#[cfg(test)]
mod tests;
