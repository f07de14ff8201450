//! Fuzz target for what a distribution leaves in an image: which file it is, and its bytes.

use super::File;
use crate::scan::Limits;

/// How long what is wrong with a file may be told, in bytes.
const GAP_BYTES_MAX: usize = 1_024;

/// One path of each kind; the first byte says which.
const PATHS: [&str; 10] = [
    "etc/os-release",
    "lib/apk/db/installed",
    "var/lib/dpkg/info/a.md5sums",
    "var/lib/dpkg/status",
    "var/lib/dpkg/status.d/a",
    "var/lib/rpm/Packages",
    "var/lib/rpm/Packages.db",
    "var/lib/rpm/rpmdb.sqlite",
    "var/lib/rpm/rpmdb.sqlite-wal",
    "var/lib/rpmmanifest/container-manifest-2",
];

/// Any bytes have an answer, it is the same each time, no longer than what was read, and what is wrong
/// is told in words that may be shown.
pub(crate) fn system(bytes: &[u8]) {
    let Some((&kind, contents)) = bytes.split_first() else { return };
    let path = PATHS.get(usize::from(kind) % PATHS.len()).copied().unwrap_or_default();
    let limits = Limits { packages: 1_000, ..Limits::default() };
    let Some(file) = File::of(path) else { return };
    let facts = file.read_bytes(path, contents, &limits);
    assert_eq!(facts, file.read_bytes(path, contents, &limits), "two answers to one question");
    assert!(facts.packages.len() <= limits.packages);
    for (_, text) in &facts.gaps {
        assert!(text.len() <= GAP_BYTES_MAX, "a long gap: {text}");
        assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "a gap that cannot be shown");
    }
    for package in &facts.packages {
        assert!(!package.name.is_empty() && !package.version.is_empty());
        assert!(package.name.is_ascii() && package.version.is_ascii());
    }
    for file in facts.owns.iter().flat_map(|owned| &owned.files) {
        let path = &file.path;
        assert!(path.len() <= limits.path_bytes && !path.starts_with('/'), "{path}");
    }
}
