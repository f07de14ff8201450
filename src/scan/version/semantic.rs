//! Semantic Versioning 2, as npm, Cargo and Go have it.
//!
//! Spec: <https://semver.org/spec/v2.0.0.html>

use std::borrow::Cow;
use std::cmp::Ordering;

use semver::{BuildMetadata, Prerelease};

/// A semantic version; build metadata is not part of it. Numbers are bounded by what the library takes:
/// 64 bits, more than npm and as much as Cargo.
#[derive(Debug, Clone)]
pub(in crate::scan) struct Semantic(semver::Version);

impl Semantic {
    /// Reads a version leniently, as npm does: with `v` or `=` before it, and as records have bounds: with
    /// one or two numbers.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim_start_matches('=').trim_ascii_start();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (version, build) =
            text.split_once('+').map_or((text, None), |(version, build)| (version, Some(build)));
        if build.is_some_and(|build| build.is_empty() || !build.bytes().all(is_of_build)) {
            return Err("its build metadata has a character that is not allowed");
        }
        let parsed = semver::Version::parse(&completed(version));
        parsed.map(Self).map_err(|_| "it is not a semantic version")
    }

    /// A version of a release, or of what comes before it.
    pub(super) fn of(release: [u64; 3], prerelease: &str) -> Result<Self, &'static str> {
        let [major, minor, patch] = release;
        let pre = Prerelease::new(prerelease).map_err(|_| "its pre-release is none")?;
        Ok(Self(semver::Version { major, minor, patch, pre, build: BuildMetadata::EMPTY }))
    }
}

/// Go appends a second `+` (`+incompatible+dirty`); nothing of it is compared.
fn is_of_build(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-+".contains(&byte)
}

/// The version with all its three numbers.
fn completed(version: &str) -> Cow<'_, str> {
    let (release, prerelease) = match version.split_once('-') {
        Some((release, _)) => (release, version.get(release.len()..).unwrap_or_default()),
        None => (version, ""),
    };
    match release.bytes().filter(|byte| *byte == b'.').count() {
        0 => Cow::Owned(format!("{release}.0.0{prerelease}")),
        1 => Cow::Owned(format!("{release}.0{prerelease}")),
        _ => Cow::Borrowed(version),
    }
}

impl Ord for Semantic {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }
}

impl PartialOrd for Semantic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Semantic {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Semantic {}
