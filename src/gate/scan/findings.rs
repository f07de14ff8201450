//! Which findings count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::exceptions::Exceptions;
use super::hours;
use super::vex::{self, Word, Words};
use crate::gate::text::{REASON_LENGTH_MAX, cut_middle, printable};
use crate::gate::{Excepted, Silenced};
use crate::oci::Digest;
use crate::policy::{FindingCondition, Rating, ScanGate};
use crate::scan::vex::Status;
use crate::scan::{Finding, Fix, Report, Severity};
use crate::time::Timestamp;

/// What VEX documents say and does not count, of one image, that is told.
const UNHEARD_MAX: usize = 20;
/// What is left of the name of a package, and of a version, where the whole does not fit, in characters.
const PACKAGE_LENGTH: usize = 20;
const VERSION_LENGTH: usize = 12;
/// What the names of malware begin with.
pub(super) const MALWARE: &str = "MAL-";

/// What came of weighing the findings about one image.
#[derive(Default)]
pub(super) struct Weighed<'a> {
    /// What is refused, worst first.
    pub(super) denied: Vec<Denied<'a>>,
    /// What exceptions take out.
    pub(super) excepted: BTreeSet<Excepted>,
    /// The names of what would count, and does not for a while: excepted, or not known for long enough.
    pub(super) passing: BTreeSet<String>,
    /// The names of what counts, or would.
    pub(super) found: BTreeSet<String>,
    /// When one of them may count that does not now.
    pub(super) until: Option<Timestamp>,
    /// When the first exception ends that took something out.
    pub(super) excepted_until: Option<Timestamp>,
    /// What VEX documents take away.
    pub(super) silenced: BTreeSet<Silenced>,
    /// What they say and does not count.
    pub(super) unheard: BTreeSet<String>,
}

/// By what findings of one image are weighed.
#[derive(Clone, Copy)]
pub(super) struct Scales<'a, 'w> {
    pub(super) image: Digest,
    pub(super) gates: &'w [&'a ScanGate],
    pub(super) exceptions: &'w Exceptions<'a>,
    /// What VEX documents say of it, where a gate hears somebody.
    pub(super) words: Option<&'w Words<'w>>,
    pub(super) now: Timestamp,
}

/// A finding that is refused.
pub(super) struct Denied<'a> {
    pub(super) finding: &'a Finding,
    /// The gates that refuse it, one at least.
    pub(super) by: Vec<&'a ScanGate>,
}

/// A finding, by its name and its package: what it is called from one database to the next.
pub(in crate::gate) fn name(finding: &Finding) -> String {
    format!("{} {}", finding.id, finding.package.name)
}

/// The findings of `report` that are at least that bad, malware among them; what no record rates is not, and
/// headers are no running kernel.
pub(in crate::gate) fn at_least(report: &Report, least: Rating) -> impl Iterator<Item = &Finding> {
    report.findings.iter().filter(move |finding| {
        let is_rated = finding.severity.is_some_and(|severity| rating(severity) >= least);
        finding.malware || (is_rated && !finding.kernel_headers)
    })
}

/// What is to be complained about, although it passes.
pub(super) fn warning(report: &Report, gates: &[&ScanGate], now: Timestamp) -> Option<String> {
    let age = now.since(report.database.as_of);
    let is_old = gates.iter().any(|gate| age > gate.database_age_warn);
    is_old.then(|| format!("vulnerability database is {} old", hours(age)))
}

impl<'a> Weighed<'a> {
    /// Weighs every finding of `report` by every gate.
    pub(super) fn of(report: &'a Report, scales: Scales<'a, '_>) -> Self {
        let mut weighed = Self::default();
        for finding in &report.findings {
            weighed.weigh(finding, scales);
        }
        weighed
    }

    fn weigh(&mut self, finding: &'a Finding, scales: Scales<'a, '_>) {
        let mut by: Vec<&ScanGate> = Vec::new();
        let (mut waits, mut silenced) = (false, None);
        for gate in scales.gates.iter().copied() {
            let denies = denies(gate, finding, scales.now);
            if matches!(denies, Denies::Never) {
                continue;
            }
            if let Some(cleared) = self.cleared(gate, finding, scales) {
                silenced = Some(cleared);
                continue;
            }
            if let Denies::From(moment) = denies {
                self.lasts_until(moment);
                waits = true;
            } else {
                by.push(gate);
            }
        }
        if by.is_empty() && !waits && silenced.is_none() {
            return;
        }
        let mut passes = waits || silenced.is_some();
        for exception in scales.exceptions.from(finding) {
            let before = by.len();
            by.retain(|gate| !exception.takes_from(gate));
            if by.len() < before {
                self.excepted.insert(exception.taking_out(scales.image, finding));
                self.lasts_until(exception.expires());
                let ends = self.excepted_until.into_iter().chain([exception.expires()]);
                self.excepted_until = ends.min();
                passes = true;
            }
        }
        let name = name(finding);
        if passes {
            self.passing.insert(name.clone());
        }
        self.found.insert(name);
        if by.is_empty() {
            self.silenced.extend(silenced);
        } else {
            self.denied.push(Denied { finding, by });
        }
    }

    /// What those whom `gate` hears say, where that is that `finding` does not matter.
    fn cleared(
        &mut self,
        gate: &ScanGate,
        finding: &Finding,
        scales: Scales<'a, '_>,
    ) -> Option<Silenced> {
        let (words, rule) = (scales.words?, gate.vex.as_ref()?);
        match words.on(finding, rule) {
            Word::Clears(speaker, statement) => {
                if let Some(until) = speaker.until {
                    self.lasts_until(until);
                }
                Some(vex::silenced(scales.image, finding, (speaker, statement)))
            }
            Word::Counts(why) => {
                if self.unheard.len() < UNHEARD_MAX {
                    self.unheard.extend(why);
                }
                None
            }
        }
    }

    fn lasts_until(&mut self, moment: Timestamp) {
        self.until = self.until.into_iter().chain([moment]).min();
    }

    /// What was seen, in one line.
    pub(super) fn summary(&self, report: &Report) -> String {
        let mut counts: BTreeMap<Option<Severity>, usize> = BTreeMap::new();
        for finding in &report.findings {
            *counts.entry(finding.severity).or_default() += 1;
        }
        let worst_first = [
            (Some(Severity::Critical), "critical"),
            (Some(Severity::High), "high"),
            (Some(Severity::Medium), "medium"),
            (Some(Severity::Low), "low"),
            (None, "unrated"),
        ];
        let counted = worst_first.iter().filter_map(|(severity, word)| {
            counts.get(severity).map(|count| format!("{count} {word}"))
        });
        let mut found = counted.collect::<Vec<_>>().join(", ");
        if found.is_empty() {
            "nothing".clone_into(&mut found);
        }
        let mut text = format!("{found} found");
        if !self.denied.is_empty() {
            text = format!("{text}, {} of them refused", self.denied.len());
        }
        let mut excepted: BTreeMap<&str, (usize, &Excepted)> = BTreeMap::new();
        for one in &self.excepted {
            excepted.entry(&one.exception).or_insert((0, one)).0 += 1;
        }
        for (id, (count, one)) in excepted {
            text = format!("{text}, {count} excepted by {id}");
            if !one.by.is_empty() {
                text = format!("{text} (granted by {} until {})", one.by.join(", "), one.until);
            }
        }
        let mut by: BTreeMap<(Status, &str), usize> = BTreeMap::new();
        for silenced in &self.silenced {
            *by.entry((silenced.status, &silenced.by)).or_default() += 1;
        }
        for ((status, by), count) in by {
            text = format!("{text}, {count} {status}, by {by}");
        }
        text
    }
}

/// When a finding is refused.
enum Denies {
    Never,
    Now,
    /// From then on, nothing else being known by then.
    From(Timestamp),
}

fn denies(gate: &ScanGate, finding: &Finding, now: Timestamp) -> Denies {
    if finding.malware {
        return Denies::Now;
    }
    if finding.kernel_headers && !gate.counts_kernel_headers {
        return Denies::Never;
    }
    let mut answer = Denies::Never;
    for condition in &gate.deny {
        if !is_met_but_for_age(condition, gate, finding) {
            continue;
        }
        match old_enough_from(condition.older_than, finding.published) {
            Some(moment) if moment >= now => {
                answer = match answer {
                    Denies::From(earlier) if earlier <= moment => Denies::From(earlier),
                    Denies::Never | Denies::Now | Denies::From(_) => Denies::From(moment),
                };
            }
            Some(_) | None => return Denies::Now,
        }
    }
    answer
}

/// Whether `gate` refuses `finding` at `now`, whatever is excepted from it.
pub(in crate::gate) fn is_denied(gate: &ScanGate, finding: &Finding, now: Timestamp) -> bool {
    matches!(denies(gate, finding, now), Denies::Now)
}

fn is_met_but_for_age(condition: &FindingCondition, gate: &ScanGate, finding: &Finding) -> bool {
    let FindingCondition { severity, fixable, older_than: _, exploited, likelihood } = condition;
    let rating = rating_by(gate, finding);
    let can_be_fixed = matches!(finding.fix, Fix::In(_));
    severity.is_none_or(|least| rating >= least)
        && fixable.is_none_or(|wanted| wanted == can_be_fixed)
        && exploited.is_none_or(|wanted| wanted == finding.exploited)
        && likelihood.is_none_or(|least| finding.likelihood.is_some_and(|it| it >= least))
}

/// From when on a finding is old enough; `None` is always, and what does not say since when it is known
/// is.
fn old_enough_from(
    older_than: Option<Duration>,
    published: Option<Timestamp>,
) -> Option<Timestamp> {
    Some(published?.after(older_than?))
}

/// As how bad `finding` counts under `gate`.
pub(in crate::gate) fn rating_by(gate: &ScanGate, finding: &Finding) -> Rating {
    finding.severity.map_or(gate.unrated, rating)
}

/// As how bad `finding` counts under a gate that says nothing of what is not rated.
pub(in crate::gate) fn as_rated(finding: &Finding) -> Rating {
    finding.severity.map_or(Rating::Critical, rating)
}

fn rating(severity: Severity) -> Rating {
    match severity {
        Severity::None => Rating::None,
        Severity::Low => Rating::Low,
        Severity::Medium => Rating::Medium,
        Severity::High => Rating::High,
        Severity::Critical => Rating::Critical,
    }
}

/// What was found, for people: `CVE-2026-1 in openssl 3.0.11, fixed in 3.0.13`. What does not fit loses the
/// middle of the package's name first, and then of the versions, so that the fix is still told.
pub(in crate::gate) fn described(finding: &Finding) -> String {
    let told =
        [(usize::MAX, usize::MAX), (PACKAGE_LENGTH, usize::MAX), (PACKAGE_LENGTH, VERSION_LENGTH)];
    let mut told = told.map(|(name, version)| described_within(finding, name, version)).into_iter();
    let fits = |text: &String| text.len() <= REASON_LENGTH_MAX;
    let shortest = told.next_back().unwrap_or_default();
    told.find(fits).unwrap_or(shortest)
}

fn described_within(finding: &Finding, name_length: usize, version_length: usize) -> String {
    let (id, package) = (&finding.id, &finding.package);
    let name = cut_middle(&printable(&package.name), name_length);
    let version = cut_middle(&printable(&package.version), version_length);
    if finding.malware {
        return format!("malware {id}: {name} {version}");
    }
    let exploited = if finding.exploited { ", exploited" } else { "" };
    let fix = match &finding.fix {
        Fix::In(fixed) => format!(", fixed in {}", cut_middle(&printable(fixed), version_length)),
        Fix::None => ", no fix yet".to_owned(),
        Fix::WillNot => ", will not be fixed".to_owned(),
    };
    format!("{id} in {name} {version}{fix}{exploited}")
}

/// What would have to change.
pub(super) fn remedy(finding: &Finding, gate: &ScanGate) -> String {
    let (id, name) = (&finding.id, &finding.package.name);
    match &finding.fix {
        _ if finding.malware => format!("The image would have to be built without {name}."),
        Fix::In(fixed) if gate.is_floor => {
            format!("The image would have to be built with {name} {fixed} or later.")
        }
        Fix::In(fixed) => format!(
            "The image would have to be built with {name} {fixed} or later, or the policy would have to \
             except {id}."
        ),
        Fix::None | Fix::WillNot => {
            let place = gate.place();
            if gate.is_floor {
                return format!("{place} would have to let it pass; nothing is excepted from it.");
            }
            format!("{place} would have to let it pass, or the policy to except {id}.")
        }
    }
}
