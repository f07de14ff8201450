//! What lies in the folder of a layout and is no part of it.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::{BLOBS, INDEX, MARKER, Problem, UNFINISHED};
use crate::oci::Digest;

/// Most entries of one folder that are looked at.
const ENTRIES_MAX: usize = 50_000;
/// Most strays that are told.
const TOLD_MAX: usize = 100;
/// The folders that blobs may lie in.
const ALGORITHMS: [&str; 2] = ["sha256", "sha512"];

/// Everything in the layout at `path` that is not among `known`, and every link.
pub(super) fn find(path: &Path, known: &HashSet<Digest>) -> Vec<Problem> {
    let mut found = Vec::new();
    look(path, &mut found, |name, is_folder| match name {
        MARKER | INDEX => !is_folder,
        BLOBS => is_folder,
        _ => false,
    });
    let blobs = path.join(BLOBS);
    look(&blobs, &mut found, |name, is_folder| is_folder && ALGORITHMS.contains(&name));
    for algorithm in ALGORITHMS {
        look(&blobs.join(algorithm), &mut found, |name, is_folder| {
            let digest = format!("{algorithm}:{name}").parse::<Digest>();
            !is_folder && digest.is_ok_and(|digest| known.contains(&digest))
        });
    }
    found
}

/// Tells each entry of `folder` that does not belong there; no link belongs anywhere.
fn look(folder: &Path, found: &mut Vec<Problem>, belongs: impl Fn(&str, bool) -> bool) {
    // A link in the place of a folder is told where it lies, and not gone through.
    if !fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir()) {
        return;
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            found.push(Problem::new("unreadable", folder.display(), error.to_string()));
            return;
        }
    };
    for (number, entry) in entries.enumerate() {
        if found.len() >= TOLD_MAX {
            return;
        }
        let (entry, kind) =
            match entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))) {
                Ok(entry) => entry,
                Err(error) => {
                    found.push(Problem::new("unreadable", folder.display(), error.to_string()));
                    continue;
                }
            };
        if number >= ENTRIES_MAX {
            let text = format!("has more than {ENTRIES_MAX} entries");
            found.push(Problem::new("extra", folder.display(), text));
            return;
        }
        let name = entry.to_str().unwrap_or_default();
        let place = folder.join(&entry);
        let place = place.display();
        if kind.is_symlink() || !(kind.is_file() || kind.is_dir()) {
            found.push(Problem::new("link", place, "is a link, or no file"));
        } else if name.starts_with(UNFINISHED) {
            found.push(Problem::new(
                "extra",
                place,
                "was left by a run that was ended; save again",
            ));
        } else if !belongs(name, kind.is_dir()) {
            found.push(Problem::new("extra", place, "is no part of what is listed"));
        }
    }
}
