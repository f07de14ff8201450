//! Which findings count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::hours;
use super::vex::{self, Word, Words};
use crate::gate::{Context, Silenced, Subject};
use crate::oci::Digest;
use crate::policy::{Exception, FindingCondition, Rating, ScanGate};
use crate::scan::vex::Status;
use crate::scan::{Finding, Fix, Report, Severity};
use crate::time::Timestamp;

/// What VEX documents say and does not count, of one image, that is told.
const UNHEARD_MAX: usize = 20;

/// What came of weighing the findings about one image.
#[derive(Default)]
pub(super) struct Weighed<'a> {
    /// What is refused, worst first, each with the gate that does, and once.
    pub(super) denied: Vec<(&'a Finding, &'a ScanGate)>,
    /// How many findings an exception of the policy, by its name, takes out.
    excepted: BTreeMap<&'a str, usize>,
    /// What an exception took out that has ended: it was known when the image passed.
    pub(super) ended: BTreeSet<&'a str>,
    /// When one of them may count that does not now.
    pub(super) until: Option<Timestamp>,
    /// What VEX documents take away, with what is kept of that.
    cleared: Vec<(&'a Finding, Silenced)>,
    /// What they say and does not count.
    pub(super) unheard: BTreeSet<String>,
    /// What is complained about, although it passes.
    pub(super) warning: Option<String>,
}

impl<'a> Weighed<'a> {
    /// Weighs every finding of `report` about the image `digest` of the subject by `gate`.
    pub(super) fn by(
        &mut self,
        gate: &'a ScanGate,
        subject: &Subject,
        digest: Digest,
        report: &'a Report,
        context: &Context<'a>,
        words: Option<&Words<'_>>,
    ) {
        let now = context.now;
        let age = now.since(report.database.as_of);
        if age > gate.database_age_warn {
            self.warning = Some(format!("vulnerability database is {} old", hours(age)));
        }
        let (exceptions, over) = exceptions(subject, digest, context);
        for finding in &report.findings {
            let denies = denies(gate, finding, now);
            if !matches!(denies, Denies::Never) && self.is_cleared(gate, digest, finding, words) {
                continue;
            }
            let counts = match denies {
                Denies::Never => continue,
                Denies::Now => true,
                Denies::From(moment) => {
                    self.lasts_until(moment);
                    false
                }
            };
            if !counts || self.denied.iter().any(|(known, _)| std::ptr::eq(*known, finding)) {
                continue;
            }
            let mut in_force = exceptions.iter().filter(|_| !gate.is_floor);
            if let Some(exception) = in_force.find(|it| excepts(it, finding)) {
                *self.excepted.entry(exception.id.as_str()).or_default() += 1;
                self.lasts_until(exception.expires);
                continue;
            }
            if over.iter().any(|exception| excepts(exception, finding)) {
                self.ended.insert(&finding.id);
            }
            self.denied.push((finding, gate));
        }
    }

    /// Whether those whom `gate` hears say that `finding` does not matter.
    fn is_cleared(
        &mut self,
        gate: &ScanGate,
        digest: Digest,
        finding: &'a Finding,
        words: Option<&Words<'_>>,
    ) -> bool {
        let (Some(words), Some(rule)) = (words, &gate.vex) else { return false };
        match words.on(finding, rule) {
            Word::Clears(speaker, statement) => {
                if let Some(until) = speaker.until {
                    self.lasts_until(until);
                }
                let silenced = vex::silenced(digest, finding, (speaker, statement));
                self.cleared.push((finding, silenced));
                true
            }
            Word::Counts(None) => false,
            Word::Counts(Some(why)) => {
                if self.unheard.len() < UNHEARD_MAX {
                    self.unheard.insert(why);
                }
                false
            }
        }
    }

    /// What does not count by any of the gates, each once.
    pub(super) fn silenced(&self) -> Vec<Silenced> {
        let counts =
            |finding: &Finding| self.denied.iter().any(|(it, _)| std::ptr::eq(*it, finding));
        let cleared = self.cleared.iter().filter(|(finding, _)| !counts(finding));
        let silenced: BTreeSet<&Silenced> = cleared.map(|(_, silenced)| silenced).collect();
        silenced.into_iter().cloned().collect()
    }

    fn lasts_until(&mut self, moment: Timestamp) {
        self.until = self.until.into_iter().chain([moment]).min();
    }

    /// What was seen, in one line.
    pub(super) fn summary(&self, report: &Report, packages: usize) -> String {
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
        let mut text = format!("{packages} packages, {found} found");
        if !self.denied.is_empty() {
            text = format!("{text}, {} of them refused", self.denied.len());
        }
        for (id, count) in &self.excepted {
            text = format!("{text}, {count} excepted by {id}");
        }
        let mut by: BTreeMap<(Status, String), usize> = BTreeMap::new();
        for silenced in self.silenced() {
            *by.entry((silenced.status, silenced.by)).or_default() += 1;
        }
        for ((status, by), count) in by {
            text = format!("{text}, {count} {status}, by {by}");
        }
        text
    }
}

/// The exceptions that are in force for an image, and those that have ended: they may name the subject or
/// the image itself.
fn exceptions<'a>(
    subject: &Subject,
    digest: Digest,
    context: &Context<'a>,
) -> (Vec<&'a Exception>, Vec<&'a Exception>) {
    let policy: &'a crate::policy::Policy = context.policy;
    let (mut in_force, mut over) = (Vec::new(), Vec::new());
    for digest in [subject.digest, digest] {
        let (found, time_max) = policy.exceptions_for(&subject.name, &digest);
        for exception in found {
            if exception.is_in_force(context.now, time_max) {
                in_force.push(exception);
            } else if exception.expires <= context.now {
                over.push(exception);
            }
        }
    }
    (in_force, over)
}

fn excepts(exception: &Exception, finding: &Finding) -> bool {
    let wanted = &exception.vulnerability;
    let is_it = finding.id == *wanted || finding.aliases.contains(wanted);
    let package = &finding.package;
    let is_there = exception
        .package
        .as_ref()
        .is_none_or(|only| *only == package.name || only == package.source_name());
    is_it && is_there
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
pub(super) fn rating_by(gate: &ScanGate, finding: &Finding) -> Rating {
    finding.severity.map_or(gate.unrated, rating)
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

/// What was found, for people: `CVE-2026-1 in openssl 3.0.11, fixed in 3.0.13`.
pub(super) fn described(finding: &Finding) -> String {
    let (id, package) = (&finding.id, &finding.package);
    let (name, version) = (&package.name, &package.version);
    if finding.malware {
        return format!("malware {id}: {name} {version}");
    }
    let exploited = if finding.exploited { ", exploited" } else { "" };
    let fix = match &finding.fix {
        Fix::In(fixed) => format!(", fixed in {fixed}"),
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
