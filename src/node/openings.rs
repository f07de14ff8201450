//! `/etc/pratique/node/openings.jsonl`: what was opened and closed on this node, one line each, bound to the
//! line before.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::opened::Opened;
use super::place;
use crate::oci::{Digest, from_strict_slice};
use crate::time::Timestamp;

/// Where it lies on a node.
pub const JOURNAL: &str = "/etc/pratique/node/openings.jsonl";
const MODE: u32 = 0o644;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The node was closed.
    Closed,
    /// The node was opened.
    Opened,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NodeOpening")]
pub struct Line {
    /// When, by the node's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What.
    pub what: What,
    /// Until when it was to be open.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// The permit.
    pub permit: String,
    /// Whose signatures it has, by the names of their keys; of a closing none.
    pub signers: Vec<String>,
    /// Why.
    pub reason: String,
    /// Who did it, as the system knows them.
    pub by: String,
    /// The digest of the line before; missing in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Digest")]
    pub before: Option<Digest>,
}

impl Line {
    pub(crate) fn opened(at: Timestamp, opened: &Opened, signers: &[String], by: &str) -> Self {
        Self { what: What::Opened, signers: signers.to_vec(), ..Self::closed(at, opened, by) }
    }

    pub(crate) fn closed(at: Timestamp, opened: &Opened, by: &str) -> Self {
        Self {
            at,
            what: What::Closed,
            until: opened.until,
            permit: opened.permit.clone(),
            signers: Vec::new(),
            reason: opened.reason.clone(),
            by: by.to_owned(),
            before: None,
        }
    }
}

/// The last lines on the node below `root`, at most `most`, the oldest first. What is no line of these is left
/// out: it was cut when the machine stopped.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn last(root: &Path, most: usize) -> io::Result<Vec<Line>> {
    let content = place::read(&path(root))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    let mut lines: Vec<Line> = text
        .lines()
        .rev()
        .filter_map(|line| from_strict_slice(line.as_bytes()).ok())
        .take(most)
        .collect();
    lines.reverse();
    Ok(lines)
}

fn path(root: &Path) -> PathBuf {
    root.join(JOURNAL.trim_start_matches('/'))
}

/// Writes `line` at the end; durable when it returns. A last line that is cut is ended first, and the
/// new one is bound to what is left of it.
pub(crate) fn append(root: &Path, line: &Line) -> io::Result<()> {
    let path = path(root);
    let there = place::read(&path)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&there);
    let before = text.lines().last().map(|last| Digest::sha256(last.as_bytes()));
    let line = serde_json::to_string(&Line { before, ..line.clone() }).map_err(io::Error::other)?;
    let end = if there.is_empty() || there.ends_with(b"\n") { "" } else { "\n" };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::options().create(true).append(true).mode(MODE).open(&path)?;
    file.write_all(format!("{end}{line}\n").as_bytes())?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
