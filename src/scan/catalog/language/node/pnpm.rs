//! `pnpm-lock.yaml`, versions 5 to 9: the keys below `packages`.
//!
//! ```text
//! packages:
//!   /@scope/name/1.2.3_peer@1.0.0:        (5)
//!   /@scope/name@1.2.3(peer@1.0.0):       (6)
//!   '@scope/name@1.2.3':                  (9)
//! ```

use super::super::super::FileFacts;
use super::super::listing::{Listing, quoted};
use super::split_name;
use crate::scan::{Limits, PackageKind};

/// What would be installed for use, as far as the version says what is for development only.
pub(in super::super) fn lock(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let mut listing = Listing::new(PackageKind::Npm, path, limits);
    let text = String::from_utf8_lossy(bytes);
    let (mut section, mut is_lock) = ("", false);
    let mut package: Option<&str> = None;
    for line in text.lines().map(str::trim_end) {
        let indent = line.len() - line.trim_start().len();
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        match indent {
            0 => {
                is_lock |= content.starts_with("lockfileVersion:");
                section = content;
            }
            2 if section.starts_with("packages:") => {
                finish(package.take(), &mut listing);
                package = Some(key(content));
            }
            4 if content == "dev: true" => package = None,
            _ => {}
        }
    }
    finish(package, &mut listing);
    if !is_lock {
        listing.malformed("it does not say which version of a lock file it is");
    }
    listing.done()
}

/// A key of a line, without what may be around it.
fn key(line: &str) -> &str {
    let key = line.split_once(": {").map_or(line, |(key, _)| key);
    key.trim_end_matches(':').trim_matches(['\'', '"'])
}

fn finish(key: Option<&str>, listing: &mut Listing<'_>) {
    let Some(key) = key else { return };
    // What is a file or a directory of the application is no package of a registry.
    if key.starts_with("file:") || key.contains("@file:") || key.contains("@link:") {
        return;
    }
    match name_and_version(key) {
        Some((name, version)) => listing.add(name, version),
        None => listing.malformed(format!("{} is no package", quoted(key))),
    }
}

fn name_and_version(key: &str) -> Option<(&str, &str)> {
    let key = key.split_once('(').map_or(key, |(key, _)| key);
    let path = key.strip_prefix('/').unwrap_or(key);
    if let Some((name, version)) = split_name(path) {
        // In version 5 there is none but in the name of a peer, which comes after a slash more.
        if name.matches('/').count() == usize::from(name.starts_with('@')) {
            return Some((name, version));
        }
    }
    // Before the name of version 5 may be the registry's host, instead of nothing.
    let path = if key == path { path.split_once('/')?.1 } else { path };
    let slash = path.match_indices('/').nth(usize::from(path.starts_with('@')))?.0;
    let (name, version) = (path.get(..slash)?, path.get(slash + 1..)?);
    Some((name, version.split(['_', '/']).next()?))
}
