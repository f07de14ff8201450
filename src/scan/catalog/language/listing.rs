//! The packages that one file lists, within bounds.

use super::super::FileFacts;
use super::Trouble;
use crate::scan::{GapKind, Limits, Package, PackageKind};

/// Longest name of a package.
const NAME_BYTES_MAX: usize = 512;
/// Longest version.
const VERSION_BYTES_MAX: usize = 256;
/// Longest piece of a file that is quoted in a gap.
const QUOTE_CHARS_MAX: usize = 96;
/// Bytes of all names, versions and places of one file.
const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Gaps of one file. One makes it incomplete; a few more help to see why.
const GAPS_MAX: usize = 8;

/// What a file lists so far.
pub(super) struct Listing<'a> {
    kind: PackageKind,
    packages_max: usize,
    path: &'a str,
    text_bytes: usize,
    is_full: bool,
    facts: FileFacts,
}

impl<'a> Listing<'a> {
    pub(super) fn new(kind: PackageKind, path: &'a str, limits: &Limits) -> Self {
        let facts = FileFacts::default();
        let packages_max = limits.packages;
        Self { kind, packages_max, path, text_bytes: 0, is_full: false, facts }
    }

    /// Whether there is no room for any more packages; that is a gap, and there is no use in reading on.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Takes a package that the file itself says is there.
    pub(super) fn add(&mut self, name: &str, version: &str) {
        self.add_in(name, version, self.path);
    }

    /// Takes a package that something in the file says is there: at a place that begins with its path.
    pub(super) fn add_in(&mut self, name: &str, version: &str, place: &str) {
        if self.is_full {
            return;
        }
        if !is_plain(name, NAME_BYTES_MAX) {
            return self.gap((GapKind::Malformed, format!("{} is no name", quoted(name))));
        }
        if !is_plain(version, VERSION_BYTES_MAX) {
            let text = format!("{} is no version of {}", quoted(version), quoted(name));
            return self.gap((GapKind::Malformed, text));
        }
        let inside = place.strip_prefix(self.path).unwrap_or(place);
        self.text_bytes += name.len() + version.len() + inside.len();
        if self.facts.packages.len() >= self.packages_max || self.text_bytes > TEXT_BYTES_MAX {
            self.is_full = true;
            let text = format!(
                "it lists more than packages = {} packages, or than is kept",
                self.packages_max
            );
            return self.gap((GapKind::Limit, text));
        }
        self.facts.packages.push(Package::new(self.kind, name, version, inside));
    }

    /// Notes what could not be read.
    pub(super) fn gap(&mut self, trouble: Trouble) {
        if self.facts.gaps.len() < GAPS_MAX && !self.facts.gaps.contains(&trouble) {
            self.facts.gaps.push(trouble);
        }
    }

    /// Notes that the file is not what it should be.
    pub(super) fn malformed(&mut self, text: impl Into<String>) {
        self.gap((GapKind::Malformed, text.into()));
    }

    /// All of it: each package once, in order.
    pub(super) fn done(mut self) -> FileFacts {
        self.facts.packages.sort_unstable();
        self.facts.packages.dedup();
        self.facts
    }
}

/// The package that a path names, if it is one.
pub(super) fn named(kind: PackageKind, name: &str, version: &str, path: &str) -> Option<Package> {
    let is_good = is_plain(name, NAME_BYTES_MAX) && is_plain(version, VERSION_BYTES_MAX);
    is_good.then(|| Package::new(kind, name, version, path))
}

/// Whether a text can stand for a name or a version: something, not too long, on one line.
fn is_plain(text: &str, bytes_max: usize) -> bool {
    !text.is_empty()
        && text.len() <= bytes_max
        && text.trim() == text
        && !text.chars().any(char::is_control)
}

/// A piece of a file, so that it can be shown.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(QUOTE_CHARS_MAX).flat_map(char::escape_default).collect();
    if text.chars().nth(QUOTE_CHARS_MAX).is_some() {
        format!("'{shown}...'")
    } else {
        format!("'{shown}'")
    }
}
