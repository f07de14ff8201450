//! Who may change what the runtime reads.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::finding::{Finding, Report};
use super::tree::Tree;

/// Write permission for others than the owner.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Read permission for all.
const READABLE_BY_ALL: u32 = 0o004;
/// Folders that anybody may write into keep what is others' by this bit.
const STICKY: u32 = 0o1000;

/// Looks at `path` and the folder that it lies in.
pub(super) fn verify(tree: &Tree, path: &Path, report: &mut Report) {
    for place in [Some(path), path.parent()].into_iter().flatten() {
        let Ok(Some(metadata)) = tree.metadata(place) else { continue };
        let mode = metadata.mode();
        if mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0 {
            let text = format!(
                "mode {:04o}: others than root may change it, and so lead the node past the mirror",
                mode & 0o7777
            );
            let todo = format!("chmod go-w {}", place.display());
            report.add(Finding::hole("writable-by-others", place, None, text, todo));
        }
        if !tree.trusts(metadata.uid()) {
            let text = format!(
                "belongs to uid {}, who may change it and so lead the node past the mirror",
                metadata.uid()
            );
            let todo = format!("chown root:root {}", place.display());
            report.add(Finding::hole("owned-by-others", place, None, text, todo));
        }
    }
}

/// Looks at the key at `path`.
pub(super) fn verify_key(tree: &Tree, path: &Path, report: &mut Report) {
    if let Ok(Some(metadata)) = tree.metadata(path)
        && metadata.mode() & READABLE_BY_ALL != 0
    {
        let text = "everybody on the node may read this key, and pull in the node's name";
        let todo = format!("chmod 0600 {}", path.display());
        report.add(Finding::hole("key-readable", path, None, text, todo));
    }
}
