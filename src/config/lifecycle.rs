//! `[[lifecycle]]`: until when lines of images are mended.

use serde::Serialize;

use super::section::Section;
use crate::mirror::{LINES_MAX, LineEnd};
use crate::policy::Pattern;
use crate::time::Timestamp;

/// What all blocks say.
pub(super) fn read(root: &Section<'_>) -> Vec<LineEnd> {
    let blocks = root.sections("lifecycle");
    if blocks.len() > LINES_MAX {
        root.problem("lifecycle", format!("has more than {LINES_MAX} blocks"));
        return Vec::new();
    }
    blocks.into_iter().filter_map(one).collect()
}

fn one(block: Section<'_>) -> Option<LineEnd> {
    for (key, text) in [
        ("match", "is missing; write the repositories as in the policy: docker.io/library/redis"),
        ("line", "is missing; write with which numbers the versions begin: \"6.2\""),
        ("ends", "is missing; write the last day on which the line is mended: \"2026-07-31\""),
    ] {
        if !block.has(key) {
            block.problem(key, text);
        }
    }
    let pattern = block.parsed("match", str::parse::<Pattern>);
    let ends = block.parsed("ends", day);
    let line = block.text("line");
    let read = pattern.zip(ends).zip(line).and_then(|((pattern, ends), line)| {
        let read = LineEnd::new(pattern.value, line.value, ends.value);
        read.map_err(|problem| block.problem("line", format!("{:?} {problem}", line.value))).ok()
    });
    block.finish();
    read
}

/// The first moment of a day.
fn day(text: &str) -> Result<Timestamp, String> {
    let is_day = text.len() == "2026-07-31".len();
    let moment = is_day.then(|| format!("{text}T00:00:00Z").parse::<Timestamp>().ok());
    moment.flatten().ok_or_else(|| format!("{text:?} is no day; write it as \"2026-07-31\""))
}

/// A block, as it is in force.
#[derive(Debug, Serialize)]
pub(super) struct Lifecycle {
    #[serde(rename = "match")]
    pattern: String,
    line: String,
    ends: String,
}

impl From<&LineEnd> for Lifecycle {
    fn from(line: &LineEnd) -> Self {
        let ends = line.ends.to_string();
        Self {
            pattern: line.pattern.to_string(),
            line: line.line.clone(),
            ends: ends.split_once('T').map_or_else(|| ends.clone(), |(day, _)| day.to_owned()),
        }
    }
}
