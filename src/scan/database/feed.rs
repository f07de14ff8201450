//! The feeds that a database was built from.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Files and folders in it that are no records by their names: nothing of them was read.
    #[serde(default)]
    pub ignored: u64,
    /// The ecosystems that it is of: `Debian`, `npm`. Its records may name packages of others, too, of
    /// which it says next to nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<String>,
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
            covers: Vec::new(),
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
    /// Ecosystems that whoever made it says are covered, whatever its feeds look like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declared: Vec<String>,
}

/// Names that are told where many are lost.
const LOST_MAX: usize = 5;

impl Status {
    /// Whether a feed is of an ecosystem, or it was said that it is covered: `Debian`, `npm`. Where not, a
    /// package without a record may have any number of them elsewhere.
    pub fn covers(&self, ecosystem: &str) -> bool {
        self.covered().any(|covered| covered == ecosystem)
    }

    fn covered(&self) -> impl Iterator<Item = &str> {
        let of_feeds = self.feeds.iter().flat_map(|feed| &feed.covers);
        of_feeds.chain(&self.declared).map(String::as_str)
    }

    /// As of when it knows what is exploited; `None` without a list of it.
    pub fn exploited_as_of(&self) -> Option<Timestamp> {
        self.as_of_kind(FeedKind::Kev)
    }

    /// As of when it knows how likely exploitation is; `None` without a list of it.
    pub fn likelihood_as_of(&self) -> Option<Timestamp> {
        self.as_of_kind(FeedKind::Epss)
    }

    /// As of when the oldest feed of a kind is, and 1970 if one does not say; `None` without any.
    pub(super) fn as_of_kind(&self, kind: FeedKind) -> Option<Timestamp> {
        oldest(&self.feeds, kind)
    }

    /// What the database `before` knows and this one does not: nothing where it may take its place.
    pub fn lacks(&self, before: &Self) -> Vec<String> {
        let mut lacking = Vec::new();
        let mut compare =
            |what: &str, now: Option<Timestamp>, before: Option<Timestamp>| match (now, before) {
                (Some(now), Some(before)) if now < before => {
                    lacking.push(format!("{what} as of {now}, the one there of {before}"));
                }
                (None, Some(before)) => {
                    lacking.push(format!("it has no {what}, the one there has one as of {before}"));
                }
                (Some(_), _) | (None, None) => {}
            };
        compare("it is", Some(self.as_of), Some(before.as_of));
        compare(
            "list of what is exploited (KEV)",
            self.exploited_as_of(),
            before.exploited_as_of(),
        );
        compare("list of likelihoods (EPSS)", self.likelihood_as_of(), before.likelihood_as_of());
        let gone = before.ecosystems.keys().filter(|name| !self.ecosystems.contains_key(*name));
        lost(
            &mut lacking,
            "ecosystems would be lost",
            &gone.map(String::as_str).collect::<Vec<_>>(),
        );
        let uncovered = before.covered().filter(|name| !self.covers(name));
        // Several feeds may be of one.
        let uncovered: BTreeSet<&str> = uncovered.collect();
        let what = "ecosystems would have no feed of their own any more";
        lost(&mut lacking, what, &uncovered.into_iter().collect::<Vec<_>>());
        lacking
    }
}

fn lost(lacking: &mut Vec<String>, what: &str, names: &[&str]) {
    if let Some(few) = names.get(..LOST_MAX.min(names.len())).filter(|few| !few.is_empty()) {
        lacking.push(format!("{} {what}, such as {}", names.len(), few.join(", ")));
    }
}

/// As of when the oldest of the feeds of a kind is, and 1970 if one does not say; `None` without any.
pub(super) fn oldest(feeds: &[Feed], kind: FeedKind) -> Option<Timestamp> {
    let unknown = Timestamp::from_milliseconds(0);
    let of_kind = feeds.iter().filter(|feed| feed.kind == kind);
    of_kind.map(|feed| feed.as_of.unwrap_or(unknown)).min()
}
