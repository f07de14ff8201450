//! What a look at a node says of the set that it should have.

use std::path::Path;

use super::examine;
use crate::node::verify::{Finding, Gravity};
use crate::oci::Platform;

/// The unit that brings the set in at boot.
pub const UNIT: &str = "pratique-preload.service";
/// Where units are started from, and where they lie, on a node.
const WANTS: [&str; 3] = [
    "etc/systemd/system/multi-user.target.wants",
    "etc/systemd/system/containerd.service.wants",
    "etc/systemd/system/kubelet.service.wants",
];
/// Most problems of a set that are told.
const TOLD_MAX: usize = 20;

/// What is wrong with the set in `folder`, as the node below `root` names it, for `platform`: everything is
/// read and hashed.
pub fn findings(root: &Path, folder: &Path, platform: Platform) -> Vec<Finding> {
    let broken = |code: &'static str, text: String, todo: &str| Finding {
        gravity: Gravity::Broken,
        code,
        file: folder.to_owned(),
        line: None,
        text,
        todo: todo.to_owned(),
    };
    let here = root.join(folder.strip_prefix("/").unwrap_or(folder));
    let mut found = Vec::new();
    if here.symlink_metadata().is_err() {
        let text = "the images that bring this node up are not there: with its runtime wiped and the mirror away it does not come back";
        let todo =
            "pratique preload save where the mirror can be reached, and copy the folder here";
        found.push(broken("preload-missing", text.to_owned(), todo));
    } else {
        let again = "pratique preload save once more; it fetches only what is missing or damaged";
        match examine(&here, &[platform]) {
            Ok(contents) => {
                for problem in contents.problems.iter().take(TOLD_MAX) {
                    let text = format!("{}: {} ({})", problem.what, problem.text, problem.code);
                    found.push(broken("preload-damaged", text, again));
                }
            }
            Err(error) => {
                let source = std::error::Error::source(&error);
                let source = source.map(|source| format!(": {source}")).unwrap_or_default();
                found.push(broken("preload-damaged", format!("{error}{source}"), again));
            }
        }
    }
    if !WANTS.iter().any(|wants| root.join(wants).join(UNIT).symlink_metadata().is_ok()) {
        let text = format!("{UNIT} is not enabled: nothing brings the set in when the node starts");
        let todo = "install deploy/systemd/pratique-preload.service, then systemctl enable pratique-preload";
        found.push(broken("preload-not-enabled", text, todo));
    }
    found
}
