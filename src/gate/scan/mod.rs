//! Whether what is in an image, and what is known against it, lets it pass the gates of its rule.
//!
//! That nothing was found counts only where everything was looked at: what could not be read, what
//! nothing is known about, and what is no image are outcomes of their own, which pass only where the
//! policy says so.

mod findings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::checks::{Checked, Finding, reason};
use super::text::few;
use super::{
    CheckState, Context, Evidence, EvidenceKind, Gathered, ManifestFacts, Passed, Reason,
    ReasonCode, ScannedImage, ScannedImages, Subject,
};
use crate::oci::Digest;
use crate::policy::{Answer, NewFinding, Rating, Rule, ScanGate};
use crate::scan::{DatabaseId, Inventory, Report};
use crate::time::Timestamp;

use findings::Weighed;

const NAME: &str = "scan";
/// Reasons of one kind that are told one by one.
const REASONS_MAX: usize = 20;
/// Findings of one subject whose grace is counted; the rest has none.
const FOUND_SINCE_MAX: usize = 2_000;

/// What the scanner knows: inventories and reports by the digest of the inventory.
#[derive(Debug, Clone, Default)]
pub struct Scans {
    /// Why nothing can be compared, when there is no database to compare with.
    pub no_database: Option<String>,
    /// What it depends on how much of an image is read: the catalogs, and the bounds for the subject.
    pub reading: Option<Digest>,
    /// What is known.
    pub known: BTreeMap<Digest, ImageScan>,
}

impl Scans {
    /// The database that everything was compared with.
    pub(super) fn database(&self) -> Option<Box<DatabaseId>> {
        self.known.values().next().map(|scan| Box::new(scan.report.database.clone()))
    }
}

/// What is in one image, and what is known against it.
#[derive(Debug, Clone)]
pub struct ImageScan {
    /// What is in it.
    pub inventory: Arc<Inventory>,
    /// What is known against it.
    pub report: Arc<Report>,
}

/// Judges what scans of the subject have to show by `rule`. With `certain`, the verdict is a denial
/// already.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    rule: Option<&Rule>,
    certain: bool,
) -> Checked {
    let gates = rule.map(Rule::gates).unwrap_or_default();
    let Some(facts) = evidence.manifest.found().filter(|_| !gates.is_empty()) else {
        return Checked::Nothing;
    };
    if facts.artifact_type.is_some() {
        return Checked::Finding(not_applicable(gates));
    }
    if certain {
        return Checked::Finding(Finding::new(NAME, CheckState::NotLooked, "not looked at"));
    }
    let images = match images(subject, facts, context) {
        Ok(images) => images,
        Err(checked) => return checked,
    };
    let scanned = match &evidence.scan {
        Gathered::Found(scanned) => scanned,
        Gathered::Failed(why) => return Checked::Failed(why.clone()),
        Gathered::Absent | Gathered::NotGathered => return Checked::Missing(EvidenceKind::Scan),
    };
    if let Some(why) = &context.scans.no_database {
        return Checked::Failed(why.clone());
    }
    let gates_now = fingerprint(gates);
    let passed = context.passed.filter(|passed| Some(passed.gates) == gates_now.as_ref());
    let mut told = Told::new(passed, context.now);
    for (label, digest) in images {
        let image = scanned.images.get(&digest);
        let is_as_now = |image: &&ScannedImage| {
            image.incomplete_by.is_none_or(|reading| Some(reading) == context.scans.reading)
        };
        // It was not asked for when the others were scanned, or more of it may be read now: another
        // policy was in force, or other settings, or another program.
        let Some(image) = image.filter(is_as_now) else {
            return Checked::Missing(EvidenceKind::Scan);
        };
        let Some(inventory) = &image.inventory else {
            told.incomplete(gates, &label, &image.unread);
            continue;
        };
        let Some(scan) = context.scans.known.get(inventory) else {
            return Checked::Missing(EvidenceKind::Scan);
        };
        if let Some(why) = stale(scan, gates, context) {
            return Checked::Failed(why);
        }
        told.image(subject, digest, &label, scan, gates, context);
    }
    Checked::Finding(told.finding())
}

/// The images that are scanned, each with what to call it in front of what is said of it.
fn images(
    subject: &Subject,
    facts: &ManifestFacts,
    context: &Context<'_>,
) -> Result<Vec<(String, Digest)>, Checked> {
    if !facts.is_index {
        return Ok(vec![(String::new(), subject.digest)]);
    }
    let Some(images) = facts.images_for(context.policy.platforms()) else {
        return Err(Checked::Missing(EvidenceKind::Manifest));
    };
    let count = images.len();
    let text = match count {
        0 => "lists no image that could be scanned".to_owned(),
        1..=ScannedImages::IMAGES_MAX => {
            let label = |platform: Option<String>| platform.map(|it| format!("{it}: "));
            let named = images.into_iter().map(|image| {
                let platform = image.platform.as_ref().map(ToString::to_string);
                let label = label(platform).filter(|_| count > 1).unwrap_or_default();
                (label, image.digest)
            });
            return Ok(named.collect());
        }
        _ => format!("lists {count} images, of which {} are scanned", ScannedImages::IMAGES_MAX),
    };
    let remedy = "floor.platforms would have to list platforms that it has, and fewer of them.";
    let reasons = vec![reason(ReasonCode::ScanIncomplete, &text, remedy)];
    Err(Checked::Finding(Finding { reasons, ..Finding::new(NAME, CheckState::Fail, text) }))
}

/// Nothing can be found in what is no image: that passes only where every gate says so.
fn not_applicable(gates: &[Arc<ScanGate>]) -> Finding {
    const TEXT: &str = "is no image, so that a scan says nothing";
    let Some(gate) = gates.iter().find(|gate| gate.not_applicable == Answer::Deny) else {
        return Finding::new(NAME, CheckState::Pass, "not applicable: it is no image");
    };
    let remedy = format!("{} would have to say notApplicable: allow.", gate.place());
    let reasons = vec![reason(ReasonCode::NotScannable, TEXT, remedy)];
    Finding { reasons, ..Finding::new(NAME, CheckState::Fail, TEXT) }
}

/// Why the database is too old to decide by. What was admitted goes on being judged by what is known:
/// it is served without anybody's help.
fn stale(scan: &ImageScan, gates: &[Arc<ScanGate>], context: &Context<'_>) -> Option<String> {
    let as_of = scan.report.database.as_of;
    let age = context.now.since(as_of);
    let most = gates.iter().map(|gate| gate.database_age_max).min()?;
    let is_stale = age > most && context.passed.is_none();
    is_stale.then(|| {
        let (age, most) = (hours(age), hours(most));
        format!("vulnerability database is {age} old, more than {most}")
    })
}

/// What `gates` are, in short; `None` when there are none.
pub(super) fn fingerprint(gates: &[Arc<ScanGate>]) -> Option<Digest> {
    (!gates.is_empty()).then(|| Digest::sha256(format!("{gates:?}").as_bytes()))
}

/// A time in the unit that people think of.
pub(super) fn hours(time: Duration) -> String {
    match time.as_secs() / 3600 {
        0 => "less than 1 h".to_owned(),
        hours @ 1..=239 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}

/// What is to be said of all images together.
struct Told<'a> {
    /// What the same gates let pass before, if they did.
    passed: Option<Passed<'a>>,
    now: Timestamp,
    /// What speaks against it: of malware, of vulnerabilities, and of what is not known.
    malware: Vec<Reason>,
    vulnerable: Vec<Reason>,
    open: Vec<Reason>,
    texts: Vec<String>,
    until: Option<Timestamp>,
    found_since: BTreeMap<String, Timestamp>,
}

impl<'a> Told<'a> {
    fn new(passed: Option<Passed<'a>>, now: Timestamp) -> Self {
        let (malware, vulnerable, open) = Default::default();
        let (texts, until, found_since) = Default::default();
        Self { passed, now, malware, vulnerable, open, texts, until, found_since }
    }

    fn image(
        &mut self,
        subject: &Subject,
        digest: Digest,
        label: &str,
        scan: &ImageScan,
        gates: &[Arc<ScanGate>],
        context: &Context<'_>,
    ) {
        let ImageScan { inventory, report } = scan;
        let gaps: Vec<String> = inventory.gaps.iter().map(ToString::to_string).collect();
        if !gaps.is_empty() {
            self.incomplete(gates, label, &gaps);
        }
        let unknown: Vec<&str> = report.unmatched.iter().map(|it| it.text.as_str()).collect();
        let mut denying = gates.iter().filter(|gate| gate.unknown == Answer::Deny);
        let denies = |gate: &&Arc<ScanGate>| self.asks(gate, "unknown", gate.unrated);
        if !unknown.is_empty() && let Some(gate) = denying.find(denies) {
            let text = format!("{label}nothing is known about {}", few(&unknown));
            let remedy = format!("{} would have to say unknown: allow.", gate.place());
            self.open.push(reason(ReasonCode::ScanUnknown, &text, remedy));
        }
        let mut weighed = Weighed::default();
        for gate in gates {
            weighed.by(gate, subject, digest, report, context);
        }
        self.until = self.until.into_iter().chain(weighed.until).min();
        let mut since = 0_usize;
        for (finding, gate) in &weighed.denied {
            let rating = findings::rating_by(gate, finding);
            let is_new = !finding.malware && !weighed.ended.contains(finding.id.as_str());
            if is_new && !self.asks(gate, &finding.id, rating) {
                since += 1;
                continue;
            }
            let (code, group) = if finding.malware {
                (ReasonCode::Malware, &mut self.malware)
            } else {
                (ReasonCode::Vulnerable, &mut self.vulnerable)
            };
            let text = format!("{label}{}", findings::described(finding));
            group.push(reason(code, &text, findings::remedy(finding, gate)));
        }
        let summary = weighed.summary(report, inventory.packages.len());
        let unknown = if unknown.is_empty() {
            String::new()
        } else {
            format!("; nothing known about {}", few(&unknown))
        };
        let since = match since {
            0 => String::new(),
            since => format!("; served on with {since} found since it was admitted"),
        };
        let warning = weighed.warning.map(|text| format!("; {text}")).unwrap_or_default();
        self.texts.push(format!("{label}{summary}{since}{unknown}{warning}"));
    }

    /// Whether `gate` is asked about what is known as `what`: an image that it let pass before goes on
    /// being served, unless the gate says otherwise and the grace for it is over.
    fn asks(&mut self, gate: &ScanGate, what: &str, rating: Rating) -> bool {
        let Some(passed) = self.passed else { return true };
        let NewFinding::Revoke(grace) = gate.on_new_finding else { return false };
        let grace = grace.of(rating);
        if grace.is_zero() {
            return true;
        }
        let is_known = passed.found_since.contains_key(what) || self.found_since.contains_key(what);
        if !is_known && self.found_since.len() >= FOUND_SINCE_MAX {
            return true;
        }
        let since = passed.found_since.get(what).copied().unwrap_or(self.now);
        self.found_since.insert(what.to_owned(), since);
        let end = since.after(grace);
        if end <= self.now {
            return true;
        }
        self.until = self.until.into_iter().chain([end]).min();
        false
    }

    /// Some of an image could not be read.
    fn incomplete(&mut self, gates: &[Arc<ScanGate>], label: &str, gaps: &[String]) {
        let gaps: Vec<&str> = gaps.iter().map(String::as_str).collect();
        let text = format!("{label}could not be read completely: {}", few(&gaps));
        let mut denying = gates.iter().filter(|gate| gate.incomplete == Answer::Deny);
        let denies = |gate: &&Arc<ScanGate>| self.asks(gate, "incomplete", gate.unrated);
        if let Some(gate) = denying.find(denies) {
            let remedy = format!("{} would have to say incomplete: allow.", gate.place());
            self.open.push(reason(ReasonCode::ScanIncomplete, &text, remedy));
        }
        self.texts.push(text);
    }

    fn finding(self) -> Finding {
        let mut reasons = Vec::new();
        for group in [self.malware, self.vulnerable, self.open] {
            let more = group.len().saturating_sub(REASONS_MAX);
            let last = group.first().map(|first| first.code).filter(|_| more > 0);
            reasons.extend(group.into_iter().take(REASONS_MAX));
            if let Some(code) = last {
                let text = format!("{more} more like these");
                reasons.push(reason(code, &text, "pratique explain lists them all."));
            }
        }
        let text = self.texts.join("; ");
        if reasons.is_empty() {
            let (until, found_since) = (self.until, self.found_since);
            return Finding { until, found_since, ..Finding::new(NAME, CheckState::Pass, text) };
        }
        Finding { reasons, ..Finding::new(NAME, CheckState::Fail, text) }
    }
}
