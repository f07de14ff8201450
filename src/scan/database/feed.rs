//! The feeds that a database was built from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What a feed is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedKind {
    /// How likely exploitation is (EPSS).
    Epss,
    /// What is known to be exploited (CISA's catalogue).
    Kev,
    /// Records of OSV.
    Osv,
}

/// A feed, as it was when it was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// What it was called.
    pub label: String,
    /// What it is of.
    pub kind: FeedKind,
    /// Its records that could be read, withdrawn ones included.
    pub records: u64,
    /// Those that were withdrawn: they say nothing.
    #[serde(default)]
    pub withdrawn: u64,
    /// Those that could not be read, each with the reason; never more than a bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// Files in it that are no records by their names.
    #[serde(default)]
    pub ignored: u64,
    /// The latest change that a record of it tells of, none from the future.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// As of when it is: as was said when it was imported, else by what is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// The file it is in: printable ASCII, bounded.
    pub name: String,
    /// Why: printable ASCII, bounded.
    pub reason: String,
}

impl Feed {
    /// A feed that nothing is known of yet.
    pub(super) fn new(kind: FeedKind, label: &str) -> Self {
        Self {
            label: printable(label),
            kind,
            records: 0,
            withdrawn: 0,
            unreadable: Vec::new(),
            ignored: 0,
            modified: None,
            as_of: None,
        }
    }
}

/// Characters of a text that came from a feed and is shown.
const SHOWN_MAX: usize = 200;

/// A text from a feed so that it can be shown.
pub(in crate::scan) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.chars().take(SHOWN_MAX).map(shown).collect()
}

/// What a database says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program that made it.
    pub importer: String,
    /// When it was made.
    pub built: Timestamp,
    /// As of when it is: the oldest of its feeds of records; 1970 where one does not say.
    pub as_of: Timestamp,
    /// What it was made of.
    pub feeds: Vec<Feed>,
    /// Records that count: neither withdrawn nor older than another of the same id.
    pub records: u32,
    /// Records that a newer one of the same id, or just the same one, took the place of.
    pub superseded: u64,
    /// Vulnerabilities that the records are about.
    pub vulnerabilities: u32,
    /// What the records say, by ecosystem: how many statements about a package.
    pub ecosystems: BTreeMap<String, u32>,
}
