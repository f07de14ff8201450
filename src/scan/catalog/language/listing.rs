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
/// Gaps of one file. One makes it incomplete; a few more help to see why.
const GAPS_MAX: usize = 8;

/// What a file lists so far.
pub(super) struct Listing<'a> {
    kind: PackageKind,
    packages_max: usize,
    found_in: &'a str,
    facts: FileFacts,
}

impl<'a> Listing<'a> {
    pub(super) fn new(kind: PackageKind, found_in: &'a str, limits: &Limits) -> Self {
        Self { kind, packages_max: limits.packages, found_in, facts: FileFacts::default() }
    }

    /// Takes a package that the file itself says is there.
    pub(super) fn add(&mut self, name: &str, version: &str) {
        self.add_in(name, version, self.found_in);
    }

    /// Takes a package that something in the file says is there.
    pub(super) fn add_in(&mut self, name: &str, version: &str, found_in: &str) {
        if self.facts.packages.len() >= self.packages_max {
            let text = format!("it lists more than packages = {} packages", self.packages_max);
            return self.gap((GapKind::Limit, text));
        }
        if !is_plain(name, NAME_BYTES_MAX) {
            return self.gap((GapKind::Malformed, format!("{} is no name", quoted(name))));
        }
        if !is_plain(version, VERSION_BYTES_MAX) {
            let text = format!("{} is no version of {}", quoted(version), quoted(name));
            return self.gap((GapKind::Malformed, text));
        }
        self.facts.packages.push(Package::new(self.kind, name, version, found_in));
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
