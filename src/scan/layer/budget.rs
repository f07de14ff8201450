//! How much is kept of what files say, so that a layer full of lists does not fill memory.

use super::facts::Seen;
use crate::scan::catalog::{Maker, Owned, OwnedFile};
use crate::scan::{Limits, Package};

/// Bytes of all that files of a layer say, as it lies in memory.
const FACTS_BYTES_MAX: usize = 40 * 1024 * 1024;
/// Packages, and bytes, of files that count only if a link leads to them.
const BY_LINK_PACKAGES_MAX: usize = 10_000;
const BY_LINK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// About what a package or a file costs beside its texts.
const RECORD_BYTES: usize = 192;

/// How much files of a layer may still say.
pub(super) struct Budget {
    packages: usize,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { packages: limits.packages, bytes: FACTS_BYTES_MAX }
    }

    /// For files that count only if a link leads to them: what has no room is read when that turns out.
    pub(super) fn by_link() -> Self {
        Self { packages: BY_LINK_PACKAGES_MAX, bytes: BY_LINK_BYTES_MAX }
    }

    /// Whether there is room for it.
    pub(super) fn take<K>(&mut self, seen: &Seen<K>) -> bool {
        let (bytes, packages) = (weight(seen), seen.facts.packages.len());
        let has_room = bytes <= self.bytes && packages <= self.packages;
        if has_room {
            self.bytes -= bytes;
            self.packages -= packages;
        }
        has_room
    }
}

/// About how many bytes what a file says takes in memory.
pub(super) fn weight<K>(seen: &Seen<K>) -> usize {
    let facts = &seen.facts;
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let package = |package: &Package| {
        let source = package.source.as_ref();
        let source = source.map_or(0, |source| source.name.len() + source.version.len());
        let optional = text(&package.architecture) + text(&package.module);
        let named = package.name.len() + package.version.len() + package.found_in.len();
        RECORD_BYTES + named + optional + source
    };
    let packages: usize = facts.packages.iter().map(package).sum();
    let file = |file: &OwnedFile| size_of::<OwnedFile>() + file.path.len();
    let of_package = |owned: &Owned| {
        RECORD_BYTES + owned.package.len() + owned.files.iter().map(file).sum::<usize>()
    };
    let made = |(name, _): &(String, Maker)| size_of::<(String, Maker)>() + name.len();
    let owned = facts.owns.iter().map(of_package).sum::<usize>()
        + facts.makers.iter().map(made).sum::<usize>();
    let gaps: usize = facts.gaps.iter().map(|(_, text)| text.len() + size_of::<String>()).sum();
    RECORD_BYTES + seen.path.len() + packages + owned + gaps
}
