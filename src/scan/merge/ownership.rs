//! Which files the distribution's package manager put there. What it owns is known to the feed of the
//! distribution, which fixes what a language's feed still calls vulnerable.

use std::collections::{HashMap, HashSet};

use super::super::layer::Kind;
use super::collect::{Used, text};
use super::view::{Target, View};

/// Where no distribution puts anything, whatever a list says.
const LOCAL: &str = "usr/local/";

/// Of `files` (really there, with their layers), those that lists of the distribution name.
///
/// A file of a later layer than the list is not what the list means: it was put over it.
pub(super) fn owned<K: Kind>(
    view: &View<'_, K>,
    used: &[Used<'_>],
    files: &HashMap<String, usize>,
) -> HashSet<String> {
    let names: HashSet<&str> = files.keys().map(|path| split(path).1).collect();
    let mut directories: HashMap<&str, Option<String>> = HashMap::new();
    let mut owned = HashSet::new();
    // Whoever puts a package of their own into a distribution is not followed by its feed.
    let strangers: HashSet<&str> =
        used.iter().flat_map(|file| &file.facts.strangers).map(String::as_str).collect();
    for list in used {
        if list.facts.owner.as_deref().is_some_and(|owner| strangers.contains(owner)) {
            continue;
        }
        for path in &list.facts.owns {
            let (directory, name) = split(path);
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
            let layer = files.get(&really);
            if layer.is_some_and(|layer| *layer <= list.layer) && !really.starts_with(LOCAL) {
                owned.insert(really);
            }
        }
    }
    owned
}

/// The directory and the name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
