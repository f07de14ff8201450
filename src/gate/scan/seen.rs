//! What each of the scanners that gates ask saw of an image, and by which of it each gate goes.

use std::sync::Arc;

use super::exceptions::Exceptions;
use super::findings::{Denied, Scales, Weighed};
use super::testimony::{Testimonies, Testimony};
use super::vex::Words;
use super::{CLOCKS_APART_MAX, ImageScan, OtherScan, hours, unfit};
use crate::gate::checks::Checked;
use crate::gate::{Context, EvidenceKind, ScannedByOther, ScannedImage};
use crate::oci::Digest;
use crate::policy::{Answer, Combined, ScanGate, Scanners};
use crate::scan::{Attested, Report};
use crate::time::Timestamp;

/// What is not known is asked for.
const MISSING: Checked = Checked::Missing(EvidenceKind::Scan);

/// What one scanner saw of one image.
#[derive(Clone)]
pub(super) struct Seen<'a> {
    /// Its name in the policy.
    pub(super) scanner: &'a str,
    /// Its name with its version, where it is not the scanner inside.
    pub(super) version: Option<&'a str>,
    /// What it found; `None` when it could read nothing.
    pub(super) report: Option<&'a Report>,
    /// How many packages it read, where that is known.
    pub(super) packages: Option<usize>,
    /// What only bills of materials tell of.
    pub(super) attested: Option<&'a Attested>,
    /// What it could not read.
    pub(super) gaps: Vec<String>,
    /// What it can say nothing about.
    pub(super) unknown: Vec<&'a str>,
    /// Why there is nothing that it saw, where somebody would have to see to that.
    pub(super) lacks: Option<String>,
    /// Until when what it says counts, where that ends by itself.
    pub(super) until: Option<Timestamp>,
}

impl<'a> Seen<'a> {
    /// Nothing yet.
    fn nothing(scanner: &'a str) -> Self {
        Self {
            scanner,
            version: None,
            report: None,
            packages: None,
            attested: None,
            gaps: Vec::new(),
            unknown: Vec::new(),
            lacks: None,
            until: None,
        }
    }

    /// Whether it is what `other` is. By one name gates may go by different scans: each names its own
    /// signers.
    fn is_same(&self, other: &Self) -> bool {
        let reports = (self.report, other.report);
        self.scanner == other.scanner
            && self.lacks == other.lacks
            && match reports {
                (Some(one), Some(other)) => std::ptr::eq(one, other),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }
}

/// What a scanner came to.
enum Came<'a> {
    Saw(Box<Seen<'a>>),
    /// It was not asked to look, by those who could have: in words.
    Lacks(String),
    /// It could not look, or what it says does not count: why.
    CouldNot(String),
}

/// One image, and all that is known of it.
pub(super) struct Pictured<'a, 'w> {
    pub(super) digest: Digest,
    pub(super) image: &'a ScannedImage,
    pub(super) context: &'a Context<'a>,
    pub(super) testimonies: Option<&'a Testimonies<'a>>,
    pub(super) exceptions: &'w Exceptions<'a>,
    pub(super) words: Option<&'w Words<'w>>,
}

impl<'a> Pictured<'a, '_> {
    /// What counts, each with the gates that go by it, in the order in which gates name scanners.
    ///
    /// # Errors
    /// What is missing, or why a gate cannot decide.
    pub(super) fn by_gates(
        &self,
        gates: &'a [Arc<ScanGate>],
    ) -> Result<Vec<(Seen<'a>, Vec<&'a ScanGate>)>, Box<Checked>> {
        let mut counted: Vec<(Seen<'a>, Vec<&'a ScanGate>)> = Vec::new();
        for gate in gates {
            for seen in self.by_gate(gate)? {
                match counted.iter_mut().find(|(known, _)| known.is_same(&seen)) {
                    Some((_, asking)) => asking.push(gate),
                    None => counted.push((seen, vec![gate.as_ref()])),
                }
            }
        }
        Ok(counted)
    }

    /// What counts under one gate.
    fn by_gate(&self, gate: &'a ScanGate) -> Result<Vec<Seen<'a>>, Box<Checked>> {
        let (mut seen, mut lacking, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for name in gate.scanners.names() {
            match self.by(name, gate)? {
                Came::Saw(it) => seen.push(*it),
                Came::Lacks(why) => lacking.push(Seen { lacks: Some(why), ..Seen::nothing(name) }),
                Came::CouldNot(why) => failed.push(why),
            }
        }
        // That nobody attested a scan refuses where it is needed: nothing was tried in vain.
        if gate.scanners.combined == Combined::All || (seen.is_empty() && failed.is_empty()) {
            seen.append(&mut lacking);
        }
        let undecided = |why: String| Err(Box::new(Checked::Failed(why)));
        match gate.scanners.combined {
            Combined::All if !failed.is_empty() => undecided(failed.join("; ")),
            Combined::Any | Combined::Worst if seen.is_empty() => undecided(failed.join("; ")),
            Combined::All | Combined::Worst => Ok(seen),
            Combined::Any => Ok(self.enough(seen, gate)),
        }
    }

    /// The one that lets the image pass, or else the first; what knows of malware comes before all.
    fn enough(&self, seen: Vec<Seen<'a>>, gate: &'a ScanGate) -> Vec<Seen<'a>> {
        let malicious = |it: &Seen<'_>| it.report.is_some_and(Report::has_malware);
        let chosen = seen.iter().position(malicious);
        let chosen = chosen.or_else(|| seen.iter().position(|it| self.lets_pass(it, gate)));
        seen.into_iter().skip(chosen.unwrap_or(0)).take(1).collect()
    }

    fn lets_pass(&self, seen: &Seen<'a>, gate: &'a ScanGate) -> bool {
        let Some(report) = seen.report else { return false };
        let scales = Scales {
            image: self.digest,
            gates: &[gate],
            exceptions: self.exceptions,
            words: self.words,
            now: self.context.now,
        };
        let denied: Vec<Denied<'_>> = Weighed::of(report, scales).denied;
        denied.is_empty()
            && (seen.gaps.is_empty() || gate.incomplete == Answer::Allow)
            && (seen.unknown.is_empty() || gate.unknown == Answer::Allow)
    }

    fn by(&self, name: &'a str, gate: &'a ScanGate) -> Result<Came<'a>, Box<Checked>> {
        match name {
            Scanners::EMBEDDED => self.by_embedded(gate),
            Scanners::ATTESTED => Ok(self.by_attested(gate)),
            _ => self.by_other(name, gate),
        }
    }

    fn by_embedded(&self, gate: &'a ScanGate) -> Result<Came<'a>, Box<Checked>> {
        let scans = self.context.scans;
        if let Some(why) = &scans.no_database {
            return Ok(Came::CouldNot(why.clone()));
        }
        let blank = Seen::nothing(Scanners::EMBEDDED);
        let Some(inventory) = &self.image.inventory else {
            let gaps = self.image.unread.clone();
            return Ok(Came::Saw(Box::new(Seen { gaps, ..blank })));
        };
        let Some(scan) = scans.known.get(inventory) else { return Err(Box::new(MISSING)) };
        let ImageScan { inventory, report, attested } = scan;
        if let Some(why) = unfit(report, gate, self.context) {
            return Ok(Came::CouldNot(why));
        }
        let gaps = inventory.gaps.iter().chain(&report.gaps).map(ToString::to_string);
        let unknown = report.unmatched.iter().map(|it| &it.text).chain(&attested.unknown);
        Ok(Came::Saw(Box::new(Seen {
            report: Some(report),
            packages: Some(inventory.packages.len()),
            attested: Some(attested),
            gaps: gaps.collect(),
            unknown: unknown.map(String::as_str).collect(),
            ..blank
        })))
    }

    fn by_other(&self, name: &'a str, gate: &'a ScanGate) -> Result<Came<'a>, Box<Checked>> {
        let (digest, at) = match self.image.others.get(name) {
            Some(ScannedByOther::Reported { report, at }) => (report, *at),
            Some(ScannedByOther::Failed(why)) => {
                return Ok(Came::CouldNot(format!("{name}: {why}")));
            }
            None => return Err(Box::new(MISSING)),
        };
        let Some(scan) = self.context.scans.others.get(digest) else {
            return Err(Box::new(MISSING));
        };
        // What was admitted goes on being judged by what is known.
        if self.context.passed.is_none() {
            if self.context.now.since(at) > gate.report_age_max {
                return Err(Box::new(MISSING));
            }
            let why = match scan.database {
                Some(_) => unfit(&scan.report, gate, self.context),
                None => Some("does not say how old its database is".to_owned()),
            };
            if let Some(why) = why {
                return Ok(Came::CouldNot(format!("{name}: {why}")));
            }
        }
        let OtherScan { scanner, report, gaps, unknown, .. } = scan.as_ref();
        Ok(Came::Saw(Box::new(Seen {
            version: Some(scanner),
            report: Some(report),
            gaps: gaps.clone(),
            unknown: unknown.iter().map(String::as_str).collect(),
            ..Seen::nothing(name)
        })))
    }

    fn by_attested(&self, gate: &'a ScanGate) -> Came<'a> {
        let Some(testimonies) = self.testimonies else {
            return Came::CouldNot("attested scans were not looked for".to_owned());
        };
        let by = gate.attested_by.join(" or ");
        let found = testimonies.latest(&self.digest, gate);
        let (Some(testimony), now) = (found, self.context.now) else {
            return match testimonies.open() {
                Some(why) => Came::CouldNot(format!("could not look for attested scans: {why}")),
                None => Came::Lacks(format!("no scan is attested by {by}")),
            };
        };
        let Testimony { signer, until, at, scan } = testimony;
        if self.context.passed.is_none() {
            let age = now.since(*at);
            if *at > now.after(CLOCKS_APART_MAX) {
                return Came::Lacks(format!(
                    "scan attested by {signer} is of {at}, which is to come"
                ));
            }
            if age > gate.report_age_max {
                return Came::Lacks(format!("scan attested by {signer} is {} old", hours(age)));
            }
            // One that does not say how old its database was is as of when it was made.
            if let Some(why) = unfit(&scan.report, gate, self.context) {
                return Came::Lacks(format!("scan attested by {signer}: {why}"));
            }
        }
        let OtherScan { scanner, report, gaps, unknown, .. } = scan.as_ref();
        Came::Saw(Box::new(Seen {
            version: Some(scanner),
            report: Some(report),
            gaps: gaps.clone(),
            unknown: unknown.iter().map(String::as_str).collect(),
            until: *until,
            ..Seen::nothing(Scanners::ATTESTED)
        }))
    }
}
