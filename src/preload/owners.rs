//! Who may change a set: whoever may decides what the node runs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::archive::Problem;

/// Write permission for others than the owner.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// What decides what is in a set; blobs are known by their digests.
const PLACES: [&str; 5] = ["", "oci-layout", "index.json", "blobs", "blobs/sha256"];

/// Each place of the set at `path` that others than root, or than who runs this, may write.
pub(super) fn find(path: &Path) -> Vec<Problem> {
    let own = rustix::process::geteuid().as_raw();
    let mut found = Vec::new();
    for place in PLACES {
        let place = if place.is_empty() { path.to_owned() } else { path.join(place) };
        // What is not there or is a link is told by whoever reads it.
        let Ok(metadata) = fs::metadata(&place) else { continue };
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        if mode & WRITABLE_BY_OTHERS != 0 {
            let text = format!("mode {mode:04o}: others may change what the node runs; chmod go-w");
            found.push(Problem::new("writable", place.display(), text));
        } else if owner != 0 && owner != own {
            let text =
                format!("belongs to uid {owner}, who may change what the node runs; chown root");
            found.push(Problem::new("writable", place.display(), text));
        }
    }
    found
}
