//! Installed Python distributions: the metadata that installers leave beside the modules.

use super::super::FileFacts;
use super::listing::Listing;
use super::{has_suffix, is_in};
use crate::scan::{GapKind, Limits, PackageKind};

/// Whether a directory holds the metadata of an egg.
pub(super) fn is_egg_directory(directory: &str) -> bool {
    has_suffix(directory, ".egg-info") || is_in(directory, "EGG-INFO")
}

/// What the metadata says. Where it has no name or no version, the name of its directory does, as for
/// installers.
pub(super) fn metadata(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let mut listing = Listing::new(PackageKind::Python, path, limits);
    let named = said_by(path);
    let name = field(bytes, "name").or_else(|| named.map(|(name, _)| name.to_owned()));
    let version = field(bytes, "version").or_else(|| named.map(|(_, version)| version.to_owned()));
    match (name, version) {
        (Some(name), Some(version)) => listing.add(&normalised(&name), &version),
        (Some(_), None) => listing.malformed("it has no version"),
        (None, _) => listing.malformed("it has no name"),
    }
    listing.done()
}

/// A field of the header, which ends with an empty line.
fn field(bytes: &[u8], name: &str) -> Option<String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut header = lines.take_while(|line| !line.is_empty());
    header.find_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (key, value) = line.split_at_checked(colon)?;
        if !key.eq_ignore_ascii_case(name.as_bytes()) {
            return None;
        }
        let value = String::from_utf8_lossy(value.get(1..)?);
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    })
}

/// The package that the metadata's own file or directory names.
pub(super) fn named_by(path: &str) -> Option<(String, String)> {
    said_by(path).map(|(name, version)| (normalised(name), version.to_owned()))
}

/// The name and the version that the metadata's own file or directory has: `name-version.dist-info`,
/// `name-version-py3.11.egg-info`, `name-version-py3.11.egg/EGG-INFO`.
fn said_by(path: &str) -> Option<(&str, &str)> {
    let mut segments = path.rsplit('/');
    let stem = segments.find(|name| !matches!(*name, "METADATA" | "PKG-INFO" | "EGG-INFO"))?;
    let (stem, suffix) = stem.rsplit_once('.')?;
    let stem = match suffix.to_ascii_lowercase().as_str() {
        "dist-info" => stem,
        "egg-info" | "egg" => match stem.rsplit_once("-py") {
            Some((before, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => before,
            _ => stem,
        },
        _ => return None,
    };
    let (name, version) = stem.rsplit_once('-')?;
    version.starts_with(|c: char| c.is_ascii_digit()).then_some((name, version))
}

/// A name as PEP 503 compares it: lower case, and one hyphen for every run of hyphens, dots and
/// underscores.
fn normalised(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if text.ends_with('-') => {}
            '-' | '_' | '.' => text.push('-'),
            c => text.extend(c.to_lowercase()),
        }
    }
    text
}

/// A Conda environment: its Python distributions have metadata of their own, and for the rest there are
/// no advisories to compare with.
pub(super) fn conda() -> FileFacts {
    let text = "a Conda environment: what in it is no Python distribution cannot be matched";
    FileFacts::gap(GapKind::Unsupported, text)
}
