//! Which files the distribution's package manager put there. What it owns is known to the feed of the
//! distribution, which fixes what a language's feed still calls vulnerable.
//!
//! To leave out what is not owned would hide it, to list twice what is only costs a look. So a file is
//! owned only where a package that is installed, and that the image's own distribution made, has it in its
//! list, with the checksum that its contents have, and where distributions put files.

use std::collections::{HashMap, HashSet};

use super::super::catalog::{Checksum, Maker, Owned};
use super::super::layer::Kind;
use super::collect::{Used, text};
use super::view::{Target, View};

/// Files that list packages of languages, by where they really are, with the checksums of their contents.
pub(super) type Files<'a> = HashMap<&'a str, &'a [Checksum]>;

/// Of `files`, those that lists of packages of `maker` have as they are.
pub(super) fn owned<K: Kind>(
    view: &View<'_, K>,
    used: &[Used<'_>],
    maker: Maker,
    files: &Files<'_>,
) -> HashSet<String> {
    let names: HashSet<&str> = files.keys().map(|path| split(path).1).collect();
    let mut directories: HashMap<&str, Option<String>> = HashMap::new();
    let mut found = HashSet::new();
    for owned in owners(used, maker) {
        for file in &owned.files {
            let (directory, name) = split(&file.path);
            if !names.contains(name) {
                continue;
            }
            let really = directories.entry(directory).or_insert_with(|| {
                let Target { path, .. } = view.resolve(directory.as_bytes()).ok()?;
                Some(text(&path))
            });
            let Some(really) = really else { continue };
            let really =
                if really.is_empty() { name.to_owned() } else { format!("{really}/{name}") };
            let checksums = files.get(really.as_str());
            let is_same = checksums.is_some_and(|them| them.contains(&file.checksum));
            if is_same && Checksum::counts_at(&really) {
                found.insert(really);
            }
        }
    }
    found
}

/// The packages with files that are installed, and of a maker.
fn owners<'a>(used: &'a [Used<'_>], maker: Maker) -> impl Iterator<Item = &'a Owned> {
    let made = used.iter().flat_map(|file| &file.facts.makers);
    let of_maker = made.filter(move |(_, it)| *it == maker).map(|(name, _)| name.as_str());
    let installed: HashSet<&str> = of_maker.collect();
    let owns = used.iter().flat_map(|file| &file.facts.owns);
    owns.filter(move |owned| match owned.maker {
        Some(it) => it == maker,
        None => installed.contains(owned.package.as_str()),
    })
}

/// The directory and the name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
