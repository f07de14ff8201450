//! `yarn.lock`: of yarn 1, a format of its own, and of later ones, YAML of the same outline.
//!
//! ```text
//! "@scope/name@^1.0.0", "@scope/name@npm:^1.1.0":
//!   version "1.2.3"
//!   resolution: "@scope/name@npm:1.2.3"
//! ```

use super::super::super::FileFacts;
use super::super::listing::Listing;
use super::split_name;
use crate::scan::{Limits, PackageKind};

/// An entry so far.
#[derive(Default)]
struct Entry<'a> {
    /// What was asked for: the first of it.
    asked: &'a str,
    version: Option<&'a str>,
    resolution: Option<&'a str>,
}

/// What would be installed: yarn does not say what is for development only.
pub(in super::super) fn lock(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let mut listing = Listing::new(PackageKind::Npm, path, limits);
    let text = String::from_utf8_lossy(bytes);
    let mut entry: Option<Entry<'_>> = None;
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.starts_with(' ') {
            finish(entry.take(), &mut listing);
            match line.strip_suffix(':') {
                Some(key) => entry = Some(Entry { asked: first(key), ..Entry::default() }),
                None => listing.malformed("it has a line that is no entry of a lock file"),
            }
        } else if let (Some(entry), Some(field)) = (&mut entry, line.strip_prefix("  "))
            && let Some((name, value)) = field.split_once([':', ' '])
        {
            let value = Some(unquoted(value.trim()));
            match name {
                "version" => entry.version = value,
                "resolution" => entry.resolution = value,
                _ => {}
            }
        }
    }
    finish(entry, &mut listing);
    listing.done()
}

fn finish(entry: Option<Entry<'_>>, listing: &mut Listing<'_>) {
    let Some(entry) = entry else { return };
    if entry.asked == "__metadata" {
        return;
    }
    let version = entry.version.unwrap_or_default();
    // Later ones say what they found, with the name that it has itself.
    if let Some((name, rest)) = entry.resolution.and_then(split_name) {
        let is_local = ["workspace:", "link:", "portal:"].iter().any(|kind| rest.starts_with(kind));
        if !is_local {
            listing.add(name, version);
        }
        return;
    }
    let Some((name, range)) = split_name(entry.asked) else {
        return listing.malformed("it has an entry without a name");
    };
    // `alias@npm:name@range` is another package under a name of one's choice.
    match range.strip_prefix("npm:").and_then(split_name) {
        Some((name, _)) => listing.add(name, version),
        None => listing.add(name, version),
    }
}

/// The first of several descriptors.
fn first(key: &str) -> &str {
    unquoted(key.split(", ").next().unwrap_or_default().trim())
        .split(", ")
        .next()
        .unwrap_or_default()
}

fn unquoted(text: &str) -> &str {
    text.trim_start_matches('"').trim_end_matches('"')
}
