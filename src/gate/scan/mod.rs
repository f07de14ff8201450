//! Whether what is in an image, and what is known against it, lets it pass the gates of its rule.
//!
//! That nothing was found counts only where everything was looked at: what could not be read, what
//! nothing is known about, and what is no image are outcomes of their own, which pass only where the
//! policy says so.

mod attestations;
mod bills;
mod exceptions;
#[cfg(test)]
mod exceptions_tests;
mod findings;
mod others;
#[cfg(test)]
mod others_tests;
mod seen;
mod testimony;
#[cfg(test)]
pub(super) mod tests;
mod told;
mod vex;
#[cfg(test)]
mod vex_tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::checks::{Checked, Finding, reason};
use super::images::Judging;
use super::{
    CheckState, Context, Evidence, EvidenceKind, Gathered, ReasonCode, ScannedImage, ScannedImages,
    Subject,
};
use crate::oci::Digest;
use crate::policy::{Answer, Demands, FindingCondition, Rule, ScanGate};
use crate::scan::{Attested, DatabaseId, Inventory, Report};
use crate::time::Timestamp;

use attestations::Attestations;
pub(super) use bills::signers as bill_signers;
pub use bills::{BillSearch, Bills};
pub(super) use exceptions::{Exceptions, InForce};
pub(super) use findings::{
    as_rated, at_least as findings_from, described as told_of, is_denied, name as name_of,
    rating_by,
};
pub use others::OtherScan;
use seen::Pictured;
use testimony::Testimonies;
use told::Told;
use vex::Voices;

const NAME: &str = "scan";
const JUDGING: Judging = Judging {
    check: NAME,
    code: ReasonCode::ScanIncomplete,
    most: ScannedImages::IMAGES_MAX,
    none: "lists no image that could be scanned",
    are_judged: "are scanned",
};
/// How far the clock of whoever made a database may be ahead.
const CLOCKS_APART_MAX: Duration = Duration::from_hours(24);

/// What the scanner knows: inventories and reports by the digest of the inventory.
#[derive(Debug, Clone, Default)]
pub struct Scans {
    /// Why nothing can be compared, when there is no database to compare with.
    pub no_database: Option<String>,
    /// What it depends on how much of an image is read: the catalogs, and the bounds for the subject.
    pub reading: Option<Digest>,
    /// What is known.
    pub known: BTreeMap<Digest, ImageScan>,
    /// What is known against what the tags of the subject were last admitted as, by the digest of the
    /// inventory, where a rule may ask what is fixed of that.
    pub before: BTreeMap<Digest, Arc<Report>>,
    /// What other scanners said, by the digest of their reports.
    pub others: BTreeMap<Digest, Arc<OtherScan>>,
    /// The bills of materials that count, once they were looked at; what is known has what they add.
    pub bills: Option<Arc<Bills>>,
}

impl Scans {
    /// The database that everything was compared with.
    pub(super) fn database(&self) -> Option<Box<DatabaseId>> {
        self.known.values().next().map(|scan| Box::new(scan.report.database.clone()))
    }
}

impl Scans {
    /// Whether anybody knows of malware in it.
    pub(super) fn has_malware(&self) -> bool {
        self.known.values().any(|scan| scan.report.has_malware())
            || self.others.values().any(|scan| scan.report.has_malware())
    }
}

/// What is in one image, and what is known against it.
#[derive(Debug, Clone)]
pub struct ImageScan {
    /// What is in it.
    pub inventory: Arc<Inventory>,
    /// What is known against it.
    pub report: Arc<Report>,
    /// What of it only bills of materials tell of.
    pub attested: Arc<Attested>,
}

/// Judges what scans of the subject have to show. With `certain`, the verdict is a denial
/// already.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    demands: &Demands<'_>,
    certain: bool,
) -> Checked {
    let gates = demands.gates();
    let Some(facts) = evidence.manifest.found().filter(|_| !gates.is_empty()) else {
        return Checked::Nothing;
    };
    if facts.artifact_type.is_some() {
        return Checked::Finding(not_applicable(gates));
    }
    if certain {
        return Checked::Finding(Finding::new(NAME, CheckState::NotLooked, "not looked at"));
    }
    let images = match JUDGING.images(subject, facts, context) {
        Ok(images) => images,
        Err(checked) => return *checked,
    };
    let signers = bill_signers(gates);
    if !signers.is_empty()
        && let Some(checked) = bills::not_at_hand(evidence, context)
    {
        return checked;
    }
    let scanned = match &evidence.scan {
        Gathered::Found(scanned) => scanned,
        Gathered::Failed(why) => return Checked::Failed(why.clone()),
        Gathered::Absent | Gathered::NotGathered => return Checked::Missing(EvidenceKind::Scan),
    };
    if let Some(why) = &context.scans.no_database
        && gates.iter().any(|gate| gate.scanners.need_embedded())
    {
        return Checked::Failed(why.clone());
    }
    // What is malicious is refused whatever anybody says.
    let hears = !vex::heard_by(gates).is_empty() && !context.scans.has_malware();
    let mut attested = None;
    if hears || !testimony::attested_by(gates).is_empty() {
        match Attestations::gather((facts, &images), evidence, context) {
            Ok(found) => attested = Some(found),
            Err(missing) => return Checked::Missing(missing),
        }
    }
    let voices = attested.as_ref().filter(|_| hears);
    let voices = voices.and_then(|found| Voices::hear(subject, found, context, gates));
    let testimonies = attested
        .as_ref()
        .and_then(|found| Testimonies::hear(subject, &images, found, context, gates));
    let asked_for = asked_for(gates);
    let passed = context.passed.filter(|passed| passed.gates == asked_for);
    let mut told = Told::new(gates, passed, context);
    match (&context.scans.bills, &context.scans.no_database) {
        _ if signers.is_empty() => {}
        (Some(bills), _) => told.bills(bills, &signers),
        // Nothing is compared with them.
        (None, Some(_)) => {}
        (None, None) => return Checked::Missing(EvidenceKind::Attestations),
    }
    let (voices, testimonies) = (voices.as_ref(), testimonies.as_ref());
    let rule = demands.rule();
    let looked = Looked { subject, scanned, gates, rule, context, voices, testimonies };
    if let Err(checked) = looked.tell(images, &mut told) {
        return *checked;
    }
    told.unused_testimonies(testimonies);
    let finding = told.finding(asked_for, voices);
    match voices.and_then(|voices| voices.open.as_ref()) {
        // What takes it away may be among what could not be had.
        Some(why) if finding.denies() && may_be_silenced(&finding) => {
            Checked::Failed(format!("could not look for VEX documents: {why}"))
        }
        Some(_) | None => Checked::Finding(finding),
    }
}

/// What was looked at.
struct Looked<'a> {
    subject: &'a Subject,
    scanned: &'a ScannedImages,
    gates: &'a [Arc<ScanGate>],
    /// The rule that applies; none where only overlays are asked.
    rule: Option<&'a Rule>,
    context: &'a Context<'a>,
    voices: Option<&'a Voices<'a>>,
    testimonies: Option<&'a Testimonies<'a>>,
}

impl<'a> Looked<'a> {
    /// Says what is to be said of each of `images`.
    ///
    /// # Errors
    /// What is missing, or cannot be decided by.
    fn tell(&self, images: Vec<(String, Digest)>, told: &mut Told<'a>) -> Result<(), Box<Checked>> {
        let Self { subject, scanned, gates, rule, context, voices, testimonies } = *self;
        for (label, digest) in images {
            let image = scanned.images.get(&digest);
            let is_as_now = |image: &&ScannedImage| {
                image.is_complete || Some(image.read_by) == context.scans.reading
            };
            // It was not asked for when the others were scanned, or more of it may be read now: another
            // policy was in force, or other settings, or another program.
            let Some(image) = image.filter(is_as_now) else {
                return Err(Box::new(Checked::Missing(EvidenceKind::Scan)));
            };
            let digests = [digest, subject.digest];
            let inventory = image.inventory.as_ref();
            let inventory = inventory.and_then(|it| context.scans.known.get(it));
            let inventory = inventory.map(|scan| scan.inventory.as_ref());
            let words = voices.map(|voices| voices.about(&digests, inventory));
            let exceptions = Exceptions::of(subject, digest, context, rule);
            let (exceptions, words) = (&exceptions, words.as_ref());
            let pictured = Pictured { digest, image, context, testimonies, exceptions, words };
            told.begin(&label, digest, image.inventory);
            for (seen, gates) in pictured.by_gates(gates)? {
                told.seen(&seen, &gates, exceptions, words);
            }
        }
        Ok(())
    }
}

/// Whether VEX documents could take away all that speaks against it.
fn may_be_silenced(finding: &Finding) -> bool {
    finding.reasons.iter().all(|reason| reason.code == ReasonCode::Vulnerable)
}

/// Nothing can be found in what is no image: that passes only where every gate says so.
fn not_applicable(gates: &[Arc<ScanGate>]) -> Finding {
    let Some(gate) = gates.iter().find(|gate| gate.not_applicable == Answer::Deny) else {
        return Finding::new(NAME, CheckState::Pass, "not applicable: it is no image");
    };
    let text = format!("{}is no image, so that a scan says nothing", gate.label());
    let remedy = format!("{} would have to say notApplicable: allow.", gate.place());
    let reasons = vec![reason(ReasonCode::NotScannable, &text, remedy)];
    Finding { reasons, ..Finding::new(NAME, CheckState::Fail, text) }
}

/// Why nothing can be decided by the database of `report`: it, or a list in it that the gate asks for, is
/// not there, too old, or of a time that is to come. What was admitted goes on being judged by what is
/// known: it is served without anybody's help.
fn unfit(report: &Report, gate: &ScanGate, context: &Context<'_>) -> Option<String> {
    if context.passed.is_some() {
        return None;
    }
    let asks = |of: fn(&FindingCondition) -> bool| gate.deny.iter().any(of);
    let all = [
        ("vulnerability database", Some(report.database.as_of), true),
        ("KEV catalogue", report.exploited_as_of, asks(|it| it.exploited.is_some())),
        ("list of EPSS", report.likelihood_as_of, asks(|it| it.likelihood.is_some())),
    ];
    let mut asked = all.into_iter().filter(|(.., is_asked)| *is_asked);
    let most = gate.database_age_max;
    asked.find_map(|(what, as_of, _)| too_old(what, as_of, most, context.now))
}

fn too_old(what: &str, as_of: Option<Timestamp>, most: Duration, now: Timestamp) -> Option<String> {
    let Some(as_of) = as_of else {
        return Some(format!("vulnerability database has no {what}; run pratique db import"));
    };
    if as_of > now.after(CLOCKS_APART_MAX) {
        return Some(format!("{what} is as of {as_of}, which is to come"));
    }
    let age = now.since(as_of);
    (age > most).then(|| {
        let (age, most) = (hours(age), hours(most));
        format!("{what} is {age} old, more than {most}")
    })
}

/// What all of `gates` ask for, in short.
fn asked_for(gates: &[Arc<ScanGate>]) -> Digest {
    let mut texts: Vec<String> = gates.iter().map(|gate| gate.asks_for()).collect();
    texts.sort();
    Digest::sha256(texts.join("\n").as_bytes())
}

/// A time in the unit that people think of.
pub(super) fn hours(time: Duration) -> String {
    match time.as_secs() / 3600 {
        0 => "less than 1 h".to_owned(),
        hours @ 1..=239 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}
