//! What the node's files say, read by the rules of its runtime: it tells why a way is open, and finds those
//! that nothing pulled by.

use std::path::Path;

use crate::doctor::{Finding, State, Way};
use crate::node::verify::{self, Gravity};
use crate::node::{Kit, kit};

/// Most findings about files that are told; `pratique node verify` has them all.
const TOLD_MAX: usize = 32;

/// What is found below `root` against what `kit` says the node was configured to.
pub(super) fn look(root: &Path, kit: &Kit) -> Vec<Finding> {
    let report = verify::verify(root, kit);
    let mut findings = Vec::new();
    for found in report.findings.iter().take(TOLD_MAX) {
        let state = match found.gravity {
            // Nothing is known of such files, and nothing is known to be wrong with them.
            Gravity::Hole if found.code == "not-verifiable" => State::Untried,
            Gravity::Hole => State::Open,
            Gravity::Broken => State::Weak,
            Gravity::Declared => State::Declared,
            Gravity::Note => continue,
        };
        let file = found.file.display().to_string();
        let about = found.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"));
        let remedy = Some(found.todo.as_str());
        findings.push(Finding::new(Way::Files, "self", &about, state, found.text.as_str(), remedy));
    }
    if findings.is_empty() {
        let saw = format!("what {} reads leads to the mirror alone", report.runtime);
        findings.push(Finding::new(Way::Files, "self", kit::FILE, State::Closed, saw, None));
    }
    findings
}
