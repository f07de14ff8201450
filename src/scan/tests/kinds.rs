//! Kinds of files for tests of layers and merging, so that these rest on no cataloger: simple ones, and
//! some that misbehave.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::super::catalog::{Checksum, FileFacts, Maker, Owned, OwnedFile, Place};
use super::super::layer::{Facts, Kind, read, read_more};
use super::super::merge::merged;
use super::super::{Distribution, GapKind, Inventory, Limits, Package, PackageKind};
use crate::oci::Digest;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::scan) enum TestKind {
    /// Reading it fails as no cataloger should.
    Faulty,
    /// What dpkg says a package put there.
    List,
    OsRelease,
    Panicking,
    /// A program, told by its first bytes: what follows them is its name and version.
    Program,
    Python,
    Status,
    StatusDirectory,
}

impl Kind for TestKind {
    fn of(path: &str, head: &[u8]) -> Option<Self> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        match name {
            "status" if directory.ends_with("dpkg") => Some(Self::Status),
            "os-release" => Some(Self::OsRelease),
            "METADATA" if directory.ends_with(".dist-info") => Some(Self::Python),
            "faulty" => Some(Self::Faulty),
            "panicking" => Some(Self::Panicking),
            _ if directory.ends_with("dpkg/status.d") => Some(Self::StatusDirectory),
            _ if directory.ends_with("dpkg/info") => name.strip_suffix(".list").map(|_| Self::List),
            _ if head.starts_with(b"\x7fELF") => Some(Self::Program),
            _ => None,
        }
    }

    fn place(self) -> Place {
        match self {
            Self::Faulty | Self::Panicking | Self::Program | Self::Python => Place::Anywhere,
            Self::List => Place::In(&["var/lib/dpkg/info"]),
            Self::OsRelease => Place::FirstOf(&["etc/os-release", "usr/lib/os-release"]),
            Self::Status => Place::At(&["var/lib/dpkg/status"]),
            Self::StatusDirectory => Place::In(&["var/lib/dpkg/status.d"]),
        }
    }

    fn is_by_contents(self) -> bool {
        self == Self::Program
    }

    fn named_by(self, path: &str) -> Option<Package> {
        let (_, name) = path.strip_suffix(".dist-info/METADATA")?.rsplit_once('/')?;
        let (name, version) = name.split_once('-')?;
        (self == Self::Python).then(|| Package::new(PackageKind::Python, name, version, path))
    }

    fn placed() -> Vec<Self> {
        vec![Self::List, Self::OsRelease, Self::Status, Self::StatusDirectory]
    }

    fn read(
        self,
        path: &str,
        size: u64,
        contents: &mut dyn Read,
        limits: &Limits,
    ) -> io::Result<FileFacts> {
        if size > limits.file_bytes {
            return Ok(FileFacts::gap(GapKind::Limit, "it has more than file_bytes"));
        }
        assert!(self != Self::Panicking, "of a cataloger");
        let mut bytes = Vec::new();
        contents.read_to_end(&mut bytes)?;
        if self == Self::Faulty {
            return Err(io::Error::other("a cataloger's own error"));
        }
        assert_eq!(
            u64::try_from(bytes.len()).unwrap(),
            size,
            "a cataloger gets all of its file, and no more"
        );
        let text = String::from_utf8_lossy(&bytes);
        Ok(match self {
            Self::List => FileFacts { owns: vec![owned(path, &text)], ..FileFacts::default() },
            Self::OsRelease => {
                let id = text.lines().find_map(|line| line.strip_prefix("ID=")).unwrap_or_default();
                let distribution = Distribution { id: id.to_owned(), ..Distribution::default() };
                FileFacts { distribution: Some(distribution), ..FileFacts::default() }
            }
            Self::Program => packages(PackageKind::Go, "\u{7f}ELF", &text),
            Self::Python => {
                let checksums = Checksum::all_of(&bytes);
                FileFacts { checksums, ..packages(PackageKind::Python, "Name: ", &text) }
            }
            Self::Status | Self::StatusDirectory => {
                let installed = |stanza: &&str| stanza.contains("install ok installed");
                let stanzas: Vec<_> = text
                    .split("\n\n")
                    .filter(installed)
                    .filter(|stanza| !stanza.contains("deinstall"))
                    .collect();
                let facts = packages(PackageKind::Deb, "Package: ", &stanzas.join("\n"));
                let made = |package: &Package| (package.name.clone(), Maker::Debian);
                let is_debian = text.contains("@debian.org");
                let makers = facts.packages.iter().filter(|_| is_debian).map(made).collect();
                FileFacts { makers, ..facts }
            }
            Self::Faulty | Self::Panicking => FileFacts::default(),
        })
    }
}

/// A checksum and a path on each line.
fn owned(list: &str, text: &str) -> Owned {
    let package = list.rsplit('/').next().unwrap().trim_end_matches(".list").to_owned();
    let file = |line: &str| {
        let (checksum, path) = line.split_once("  ")?;
        let path = path.trim_start_matches('/').to_owned();
        Some(OwnedFile { path, checksum: checksum.parse().ok()? })
    };
    Owned { package, maker: None, files: text.lines().filter_map(file).collect() }
}

/// One package for each line that begins with `key`; the `Version: ` after it is its version.
fn packages(kind: PackageKind, key: &str, text: &str) -> FileFacts {
    let mut packages: Vec<Package> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix(key) {
            packages.push(Package::new(kind, name, "", ""));
        } else if let (Some(version), Some(last)) =
            (line.strip_prefix("Version: "), packages.last_mut())
        {
            version.clone_into(&mut last.version);
        }
    }
    FileFacts { packages, ..FileFacts::default() }
}

/// What is learnt of a layer, and that it can be kept.
pub(in crate::scan) fn learn<K: Kind>(layer: &[u8], limits: &Limits) -> Facts<K> {
    let facts: Facts<K> = read(&Digest::sha256(layer), layer, limits).unwrap();
    let kept = facts.to_bytes(limits);
    assert_eq!(
        Facts::from_bytes(&kept, &facts.blob, limits).as_ref(),
        Some(&facts),
        "what is kept"
    );
    facts
}

/// What is in an image, with links' files read in a second pass.
pub(in crate::scan) fn inventory<K: Kind>(layers: &[Vec<u8>]) -> Inventory {
    inventory_with::<K>(layers, &Limits::default())
}

pub(in crate::scan) fn inventory_with<K: Kind>(layers: &[Vec<u8>], limits: &Limits) -> Inventory {
    let mut facts: Vec<Facts<K>> = layers.iter().map(|layer| learn(layer, limits)).collect();
    let merge = |facts: &[Facts<K>]| {
        let layers: Vec<_> = facts.iter().map(|facts| (facts.diff_id, facts)).collect();
        merged(&layers, &|_| true, limits)
    };
    let (first, wanted) = merge(&facts);
    if wanted.is_empty() {
        return first;
    }
    assert!(!first.is_complete(), "what is still to be read is a gap");
    for (layer, files) in wanted {
        facts[layer] = read_more(&facts[layer], layers[layer].as_slice(), &files, limits).unwrap();
    }
    let (second, wanted) = merge(&facts);
    assert_eq!(wanted, BTreeMap::new(), "nothing is wanted twice");
    second
}

/// The texts of all gaps, for comparing.
pub(in crate::scan) fn gaps(inventory: &Inventory) -> Vec<(GapKind, &str, &str)> {
    inventory
        .gaps
        .iter()
        .map(|gap| (gap.kind, gap.path.as_deref().unwrap_or(""), gap.text.as_str()))
        .collect()
}
