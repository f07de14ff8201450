//! What came up against an approved image that nobody was shown who approved it.
//!
//! An approval says which findings its people were shown. A critical, high or exploited one that is not among
//! them is new, by whichever scanner that is asked here; so is one that has become worse since. What a gate
//! does about new findings is its own matter, and comes before: this is about what people said.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::checks::{Finding, reason};
use super::scan::{Exceptions, InForce, as_rated, name_of, rating_by, told_of};
use super::text::{day, few};
use super::{CheckState, Context, Evidence, ReasonCode, ScannedByOther, Scans, Silenced, Subject};
use super::{Gathered, ScannedImage};
use crate::oci::Digest;
use crate::policy::{Demands, Rating, ScanGate, UnseenFinding};
use crate::scan::{self, Report};
use crate::time::Timestamp;

/// Findings that are this bad at least are a reason to ask again.
const LEAST: Rating = Rating::High;
/// Findings of one subject whose grace is counted; the rest has none.
const SINCE_MAX: usize = 2_000;
/// What is told of what is known to be exploited.
const EXPLOITED: &str = " exploited";

/// The findings that people were shown when they approved a subject, as far as they may be a reason to ask
/// again: each by its name, its package and how bad it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeenFindings(BTreeSet<String>);

impl SeenFindings {
    /// Most that are kept. Of a subject with more, nothing counts as shown.
    pub const MAX: usize = 5_000;

    /// What is known against the images of a subject; `None` where it was not scanned, nothing can be said of
    /// one of its images, or there is more than is kept.
    pub fn of(evidence: &Evidence, scans: &Scans) -> Option<Self> {
        let images = &evidence.scan.found()?.images;
        let mut seen = BTreeSet::new();
        for image in images.values() {
            let reports = reports_of(image, scans);
            if reports.is_empty() {
                return None;
            }
            let findings = reports.into_iter().flat_map(|report| &report.findings);
            seen.extend(findings.filter(|it| may_matter(as_rated(it), it)).map(mark));
            if seen.len() > Self::MAX {
                return None;
            }
        }
        (!images.is_empty()).then_some(Self(seen))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Stands for all of them.
    pub fn digest(&self) -> Digest {
        let all: Vec<&str> = self.0.iter().map(String::as_str).collect();
        Digest::sha256(all.join("\n").as_bytes())
    }

    /// Whether `finding` was shown, as bad as it is now at least.
    fn cover(&self, finding: &scan::Finding) -> bool {
        let name = name_of(finding);
        let exploited: &[&str] = if finding.exploited { &[EXPLOITED] } else { &["", EXPLOITED] };
        let ratings = Rating::ALL.into_iter().filter(|rating| *rating >= as_rated(finding));
        ratings.into_iter().any(|rating| {
            exploited
                .iter()
                .any(|exploited| self.0.contains(&format!("{name} {rating}{exploited}")))
        })
    }
}

fn mark(finding: &scan::Finding) -> String {
    let exploited = if finding.exploited { EXPLOITED } else { "" };
    format!("{} {}{exploited}", name_of(finding), as_rated(finding))
}

fn may_matter(rating: Rating, finding: &scan::Finding) -> bool {
    finding.malware || finding.exploited || rating >= LEAST
}

/// What the scanners that are asked here say of `image`.
fn reports_of<'a>(image: &ScannedImage, scans: &'a Scans) -> Vec<&'a Report> {
    let inside = image.inventory.as_ref().and_then(|inventory| scans.known.get(inventory));
    let others = image.others.values().filter_map(|other| match other {
        ScannedByOther::Reported { report, .. } => scans.others.get(report),
        ScannedByOther::Failed(_) => None,
    });
    let inside = inside.map(|scan| &*scan.report);
    inside.into_iter().chain(others.map(|other| &*other.report)).collect()
}

/// What is decided about, and what its approval has to hold for.
pub(super) struct Approved<'a> {
    pub(super) subject: &'a Subject,
    pub(super) evidence: &'a Evidence,
    pub(super) context: &'a Context<'a>,
    pub(super) demands: &'a Demands<'a>,
    /// What VEX documents took away.
    pub(super) silenced: &'a [Silenced],
    /// What its people were shown; `None` where that was not kept, and then it was nothing.
    pub(super) seen: Option<&'a SeenFindings>,
    /// When they approved it.
    pub(super) at: Timestamp,
    /// What is asked where they approved it, if that was elsewhere.
    pub(super) there: Option<UnseenFinding>,
}

/// One that nobody was shown.
struct Unseen<'a> {
    finding: &'a scan::Finding,
    rating: Rating,
}

impl<'a> Approved<'a> {
    /// What becomes of `approval`, by which the subject would pass, because of what nobody was shown.
    pub(super) fn weigh(&self, approval: Finding) -> Finding {
        let rule = self.demands.rule();
        let here = rule.and_then(|rule| rule.approval()).and_then(|it| it.on_new_finding());
        let actions: Vec<UnseenFinding> = here.into_iter().chain(self.there).collect();
        if actions.is_empty() || !matches!(self.evidence.scan, Gathered::Found(_)) {
            return approval;
        }
        let (unseen, ends) = self.unseen();
        if unseen.is_empty() {
            let until = approval.until.into_iter().chain(ends).min();
            return Finding { until, ..approval };
        }
        let now = self.context.now;
        let mut since = BTreeMap::new();
        let (mut due, mut until, mut is_revoked) = (Vec::new(), ends, false);
        for (name, one) in &unseen {
            let first = self.context.unseen.get(name).map_or(now, |at| (*at).min(now));
            if since.len() < SINCE_MAX {
                since.insert(name.clone(), first);
            }
            let has_grace =
                since.contains_key(name) && !one.finding.exploited && !one.finding.malware;
            let end_of = |action: &UnseenFinding| match action {
                UnseenFinding::Hold(grace) | UnseenFinding::Revoke(grace) => {
                    Some(if has_grace { first.after(grace.of(one.rating)) } else { now })
                }
                UnseenFinding::Serve => None,
            };
            let revokes = |action: &&UnseenFinding| matches!(action, UnseenFinding::Revoke(_));
            is_revoked |= actions.iter().filter(revokes).filter_map(end_of).any(|end| end <= now);
            match actions.iter().filter_map(end_of).min() {
                Some(end) if end <= now => due.push(one),
                end => until = until.into_iter().chain(end).min(),
            }
        }
        let until = approval.until.into_iter().chain(until).min();
        let mut finding = if due.is_empty() {
            let all = told(unseen.values());
            let check = &approval.check;
            let text = format!("{}; served on with {all} found since", check.text);
            Finding { check: super::Check { text, ..check.clone() }, ..approval }
        } else {
            self.refused(is_revoked, &due)
        };
        (finding.unseen, finding.until) = (since, until);
        finding
    }

    /// Everything that nobody was shown and that counts, by name; and when the first exception ends that takes
    /// something out of it.
    fn unseen(&self) -> (BTreeMap<String, Unseen<'a>>, Option<Timestamp>) {
        let Self { subject, evidence, context, demands, .. } = self;
        let gates = demands.gates();
        let mut unseen: BTreeMap<String, Unseen<'a>> = BTreeMap::new();
        let mut ends: Option<Timestamp> = None;
        let images = evidence.scan.found().into_iter().flat_map(|scanned| &scanned.images);
        for (digest, image) in images {
            let exceptions = Exceptions::of(subject, *digest, context, demands.rule());
            let reports = reports_of(image, context.scans);
            for finding in reports.into_iter().flat_map(|report| &report.findings) {
                let Some(rating) = self.counts(finding, digest) else { continue };
                let takes = |gate: &ScanGate| {
                    let all = exceptions.from(finding);
                    all.into_iter().find(|it| it.takes_from(gate)).map(InForce::expires)
                };
                if let Some(end) = gates.iter().filter_map(|gate| takes(gate)).max() {
                    ends = ends.into_iter().chain([end]).min();
                    continue;
                }
                let worse = |known: &Unseen<'_>| {
                    let bad = |it: &scan::Finding| (it.malware, it.exploited);
                    (bad(finding), rating) > (bad(known.finding), known.rating)
                };
                let name = name_of(finding);
                if unseen.get(&name).is_none_or(worse) {
                    unseen.insert(name, Unseen { finding, rating });
                }
            }
        }
        (unseen, ends)
    }

    /// As how bad `finding` of the image `digest` counts, if it was not shown and nobody says that it does not
    /// matter.
    fn counts(&self, finding: &scan::Finding, digest: &Digest) -> Option<Rating> {
        let gates = self.demands.gates();
        let by_gates = gates.iter().map(|gate| rating_by(gate, finding)).max();
        let rating = by_gates.unwrap_or_else(|| as_rated(finding));
        let is_running = !finding.kernel_headers
            || finding.malware
            || gates.iter().any(|gate| gate.counts_kernel_headers);
        let is_silenced =
            || !finding.malware && self.silenced.iter().any(|it| it.is(digest, finding));
        let counts = may_matter(rating, finding)
            && is_running
            && !self.seen.is_some_and(|seen| seen.cover(finding))
            && !is_silenced();
        counts.then_some(rating)
    }

    fn refused(&self, is_revoked: bool, due: &[&Unseen<'a>]) -> Finding {
        let malware = due.iter().copied().filter(|it| it.finding.malware);
        if let Some(one) = malware.clone().next() {
            let text = format!("{} found since it was approved {}", told(malware), day(self.at));
            let name = &one.finding.package.name;
            let remedy = format!("The image would have to be built without {name}.");
            return refusal(CheckState::Fail, ReasonCode::Malware, &text, remedy);
        }
        let all = told(due.iter().copied());
        let text = format!("{all} found since it was approved {}", day(self.at));
        let rule = self.demands.rule();
        let approval = rule.and_then(|rule| rule.approval());
        let whom = approval.map(ToString::to_string).unwrap_or_default();
        if is_revoked {
            let remedy = "It would have to be built without that, or the policy to except it.";
            return refusal(CheckState::Fail, ReasonCode::Vulnerable, &text, remedy.to_owned());
        }
        let remedy = format!("This digest would have to be approved again by {whom}.");
        refusal(CheckState::Waiting, ReasonCode::FoundSinceApproval, &text, remedy)
    }
}

fn refusal(state: CheckState, code: ReasonCode, text: &str, remedy: String) -> Finding {
    let mut finding = Finding::new("approval", state, text);
    finding.reasons.push(reason(code, text, remedy));
    finding
}

/// In a few words, the worst first.
fn told<'a, 'b: 'a>(all: impl Iterator<Item = &'a Unseen<'b>>) -> String {
    let mut all: Vec<&Unseen<'_>> = all.collect();
    all.sort_by_key(|it| {
        (
            !it.finding.malware,
            !it.finding.exploited,
            std::cmp::Reverse(it.rating),
            name_of(it.finding),
        )
    });
    let texts: Vec<String> =
        all.iter().map(|it| format!("{} ({})", told_of(it.finding), it.rating)).collect();
    few(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}
