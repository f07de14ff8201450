//! Where the readers put what they read: bounded, and each vulnerability once per package.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::said::Said;
use super::{ReportError, Reported};
use crate::scan::database::printable;
use crate::scan::report::sort_worst_first;
use crate::scan::{Finding, Fix, Package};
use crate::time::Timestamp;

/// Findings of one report; real images have a few thousand.
const FINDINGS_MAX: usize = 100_000;
/// Other names of one vulnerability.
pub(super) const NAMES_MAX: usize = 100;
/// Bytes of a name or a version.
const NAME_BYTES_MAX: usize = 500;
/// Gaps that are told one by one, and as many unknowns.
const TOLD_MAX: usize = 50;

/// A report that is being read.
#[derive(Debug, Default)]
pub(super) struct Sink {
    findings: Vec<Finding>,
    /// Where each vulnerability of each package is.
    places: HashMap<(String, Arc<Package>), usize>,
    beyond: usize,
    gaps: Told,
    unknown: Told,
}

/// Texts, each once, and how many were too many.
#[derive(Debug, Default)]
struct Told {
    texts: Vec<String>,
    more: usize,
}

impl Told {
    fn add(&mut self, text: &str) {
        let text = printable(text);
        if self.texts.contains(&text) {
            return;
        }
        if self.texts.len() < TOLD_MAX {
            self.texts.push(text);
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.texts.push(format!("{} more like these", self.more));
        }
        self.texts
    }
}

impl Sink {
    /// Notes what could not be read.
    pub(super) fn gap(&mut self, text: &str) {
        self.gaps.add(text);
    }

    /// Notes what the scanner can say nothing about.
    pub(super) fn unknown(&mut self, text: &str) {
        self.unknown.add(text);
    }

    /// A name or a version as it is kept; one that is too long is cut, and a gap.
    pub(super) fn name(&mut self, text: &str) -> String {
        let text = text.trim();
        let mut end = text.len().min(NAME_BYTES_MAX);
        if end < text.len() {
            self.gap(&format!("a name of more than {NAME_BYTES_MAX} bytes: {text}"));
            while !text.is_char_boundary(end) {
                end -= 1;
            }
        }
        let shown = |c: char| if c.is_control() { '?' } else { c };
        text.get(..end).unwrap_or_default().chars().map(shown).collect()
    }

    /// Takes in what is said of one vulnerability in one package.
    pub(super) fn add(&mut self, mut said: Said) {
        if said.id.is_empty() || said.package.name.is_empty() {
            self.gap("a finding without a vulnerability or without a package");
            return;
        }
        if said.related.len() > NAMES_MAX {
            self.gap(&format!("more than {NAMES_MAX} names of {}", said.id));
            said.related.truncate(NAMES_MAX);
        }
        for finding in said.findings() {
            match self.places.entry((finding.id.clone(), finding.package.clone())) {
                Entry::Occupied(place) => {
                    if let Some(known) = self.findings.get_mut(*place.get()) {
                        merge(known, finding);
                    }
                }
                Entry::Vacant(_) if self.findings.len() >= FINDINGS_MAX => self.beyond += 1,
                Entry::Vacant(place) => {
                    place.insert(self.findings.len());
                    self.findings.push(finding);
                }
            }
        }
    }

    /// The report, of `scanner` in its `version`.
    ///
    /// # Errors
    /// When nobody says when it was made.
    pub(super) fn finish(
        mut self,
        (scanner, version): (&str, &str),
        database: Option<Timestamp>,
        at: Option<Timestamp>,
    ) -> Result<Reported, ReportError> {
        if self.beyond > 0 {
            let text = format!("{} findings beyond {FINDINGS_MAX}", self.beyond);
            self.gap(&text);
        }
        sort_worst_first(&mut self.findings);
        Ok(Reported {
            scanner: printable(format!("{scanner} {version}").trim_end()),
            database,
            at: at.ok_or(ReportError::NoTime)?,
            findings: self.findings,
            gaps: self.gaps.finish(),
            unknown: self.unknown.finish(),
        })
    }
}

/// Two entries about one vulnerability in one package: the worse of each.
fn merge(known: &mut Finding, other: Finding) {
    let either = |a: Option<Timestamp>, b: Option<Timestamp>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    known.severity = known.severity.max(other.severity);
    known.score = known.score.max(other.score);
    known.published = either(known.published, other.published);
    known.exploited |= other.exploited;
    known.likelihood = known.likelihood.max(other.likelihood);
    known.malware |= other.malware;
    if hope(&other.fix) > hope(&known.fix) {
        known.fix = other.fix;
    }
    let united = |a: &[String], b: &[String]| {
        let mut all: Vec<String> = a.iter().chain(b).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all.truncate(NAMES_MAX);
        all
    };
    known.aliases = united(&known.aliases, &other.aliases).into();
    known.advisories = united(&known.advisories, &other.advisories);
}

/// A policy may let pass what cannot be fixed, so that whoever knows of a fix is believed.
const fn hope(fix: &Fix) -> u8 {
    match fix {
        Fix::WillNot => 0,
        Fix::None => 1,
        Fix::In(_) => 2,
    }
}
