//! The order in which everything is asked, and how the answers make a verdict.

use super::checks::{self, Checked, Finding};
use super::signatures;
use super::text::ascii;
use super::{
    Context, Evidence, EvidenceKind, Gathered, Judgement, Outcome, Reason, ReasonCode, RuleId,
    Silenced, Standing, Subject, Verdict,
};
use super::{attestations, configured, continuity, fresh, scan};
use crate::policy::{Artifact, Mode, Rule, Scope, SignatureRule};

/// Decides about `subject`. Pure and total: no I/O, no clock, no panic.
///
/// Refused without a look at any evidence is only what the floor's lists, people, or every rule
/// that could apply refuse already. Otherwise evidence that is needed and not there is asked for
/// ([`Outcome::Missing`]), and evidence that could not be had leaves the question open
/// ([`Outcome::Undecided`]), unless what is known denies by itself.
pub fn decide(subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Outcome {
    let policy = context.policy;
    let outright = policy.refuses_outright(&subject.name);
    let floor = checks::floor(subject, evidence, policy, outright.as_ref());
    let by_people =
        matches!(context.standing, Some(Standing::Rejected { .. } | Standing::Revoked { .. }));
    let certain = outright.is_some() || floor.denies() || by_people;
    match &evidence.manifest {
        Gathered::NotGathered if !certain => {
            return Outcome::Missing(needed(subject, evidence, context));
        }
        Gathered::Failed(why) if !certain => return undecided("manifest", why),
        Gathered::Absent | Gathered::Failed(_) | Gathered::Found(_) | Gathered::NotGathered => {}
    }

    // Which rule applies is settled only once it is known what the content is.
    let facts = evidence.manifest.found().filter(|facts| facts.malformed.is_none());
    let applicable = facts.map_or(Applicable::Unsettled, |facts| {
        let rule = policy.rule_for(&subject.name, facts.artifact(), context.tags);
        rule.map_or(Applicable::None, Applicable::Rule)
    });
    let allowlist = checks::allowlist(subject, applicable, outright.as_ref());
    let manifest = checks::manifest(&evidence.manifest, policy);
    let mut findings = vec![floor, allowlist, manifest];
    let floor_denies = findings.first().is_some_and(Finding::denies);
    if let Err(open) =
        look_closer(subject, evidence, context, applicable.rule(), &mut findings, certain)
    {
        return *open;
    }
    let found = fresh::Found {
        certain: certain || findings.iter().any(Finding::denies),
        existed_at: findings.iter().filter_map(|finding| finding.existed_at).min(),
        images_existed_at: findings
            .iter_mut()
            .flat_map(|finding| std::mem::take(&mut finding.images_existed_at))
            .collect(),
    };
    match fresh::check(subject, evidence, context, applicable.rule(), &found) {
        Checked::Finding(finding) => findings.push(finding),
        Checked::Nothing => {}
        Checked::Missing(kind) => return Outcome::Missing(vec![kind]),
        Checked::Failed(why) => return undecided("configuration", &why),
    }
    let approval = checks::approval(applicable, context.standing, context.now);

    let rule = match (&outright, applicable) {
        (Some(outright), _) => outright.rule.clone(),
        (None, Applicable::Rule(rule)) => Some(rule.id().clone()),
        (None, Applicable::None) => None,
        (None, Applicable::Unsettled) => {
            probable_rule(subject, context).map(|rule| rule.id().clone())
        }
    };
    let mode = match (&outright, applicable) {
        // No rule loosens the floor, not even by watching only.
        _ if floor_denies => policy.mode(),
        (None, Applicable::Rule(rule)) => rule.mode(),
        (None, Applicable::None) => policy.mode(),
        (Some(_), _) | (None, Applicable::Unsettled) => policy.mode_for(&subject.name),
    };
    findings.push(approval);
    let judgement = judgement(rule, mode == Mode::Enforce, findings);
    let is_scanned = applicable.rule().is_some_and(|rule| !rule.gates().is_empty());
    let database = context.scans.database().filter(|_| is_scanned);
    let hears = |rule: &Rule| rule.gates().iter().any(|gate| gate.vex.is_some());
    let awaits_vex = applicable.rule().is_some_and(hears) && !judgement.admits();
    Outcome::Decided(Judgement { database, awaits_vex, ..judgement })
}

/// What is asked of the scanner, which says by itself what it lacks.
const SCAN: &str = "scan";

/// Asks everything that needs more evidence than the manifest, cheapest first, and adds what it found.
/// What denies already leaves the rest unasked.
///
/// # Errors
/// What is missing, or could not be had.
fn look_closer(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    rule: Option<&Rule>,
    findings: &mut Vec<Finding>,
    certain: bool,
) -> Result<(), Box<Outcome>> {
    type Check = fn(&Subject, &Evidence, &Context<'_>, Option<&Rule>, bool) -> Checked;
    const CHECKS: [(&str, Check); 5] = [
        ("signatures", signatures::check),
        ("attestations", attestations::check),
        ("signatures", continuity::check),
        ("configuration", configured::check),
        (SCAN, scan::check),
    ];
    for (what, check) in CHECKS {
        let certain = certain || findings.iter().any(Finding::denies);
        match check(subject, evidence, context, rule, certain) {
            Checked::Finding(finding) => findings.push(finding),
            Checked::Nothing => {}
            Checked::Missing(kind) => return Err(Box::new(Outcome::Missing(vec![kind]))),
            Checked::Failed(why) => return Err(Box::new(undecided(what, &why))),
        }
    }
    Ok(())
}

/// Which rule applies to the subject.
#[derive(Debug, Clone, Copy)]
pub(super) enum Applicable<'a> {
    /// None does.
    None,
    /// This one does.
    Rule(&'a Rule),
    /// It is not known what the content is, so that several could.
    Unsettled,
}

impl<'a> Applicable<'a> {
    fn rule(self) -> Option<&'a Rule> {
        match self {
            Self::Rule(rule) => Some(rule),
            Self::None | Self::Unsettled => None,
        }
    }
}

fn judgement(rule: Option<RuleId>, enforced: bool, findings: Vec<Finding>) -> Judgement {
    let mut checks = Vec::with_capacity(findings.len());
    let (mut floor, mut people) = (Vec::new(), Vec::new());
    let (mut others, mut waits) = (Vec::new(), Vec::new());
    let good_until = findings.iter().filter_map(|finding| finding.until).min();
    let awaits_signature =
        findings.iter().flat_map(|finding| finding.awaits_signature.iter().copied()).collect();
    let (mut silenced, mut passed) = (Vec::new(), None);
    for finding in findings {
        silenced.extend(finding.silenced);
        passed = passed.or(finding.passed);
        for reason in finding.reasons {
            let group = if reason.code.is_floor() {
                &mut floor
            } else if reason.code.is_by_people() {
                &mut people
            } else if reason.code.is_waiting() {
                &mut waits
            } else {
                &mut others
            };
            group.push(reason);
        }
        checks.push(finding.check);
    }
    // What the floor forbids weighs most, then what people said, then all the rest.
    let denials: Vec<Reason> = floor.into_iter().chain(people).chain(others).collect();
    let verdict = match (denials.is_empty(), waits.is_empty()) {
        (true, true) => Verdict::Admit,
        (true, false) => Verdict::Pending(waits),
        (false, _) => Verdict::Deny(denials.into_iter().chain(waits).collect()),
    };
    silenced.truncate(Silenced::MAX);
    Judgement {
        verdict,
        rule,
        enforced,
        checks,
        good_until,
        passed,
        database: None,
        silenced,
        awaits_vex: false,
        awaits_signature,
    }
}

/// The manifest is needed; signatures too, at the same time, if they are needed whatever it turns
/// out to be.
fn needed(subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Vec<EvidenceKind> {
    let candidates = context.policy.candidates(&subject.name);
    let asks = |rule: &&Rule| {
        // Of an index it may be that only what is below it counts.
        let over_itself = matches!(
            rule.signatures(),
            Some(SignatureRule::Signed { scope, .. }) if *scope != Scope::EveryPlatform
        );
        let hears = rule.gates().iter().any(|gate| gate.vex.is_some());
        over_itself
            || hears
            || !rule.attestations().is_empty()
            || !scan::bill_signers(rule.gates()).is_empty()
            || fresh::signers(rule).next().is_some()
    };
    let mut kinds = vec![EvidenceKind::Manifest];
    // Who signs is found out the first time, too, where it is compared the next.
    let watches = |rule: &&Rule| !continuity::watched(rule, context.policy).is_empty();
    if evidence.signatures == Gathered::NotGathered
        && (candidates.iter().all(asks) || candidates.iter().any(watches))
    {
        kinds.push(EvidenceKind::Signatures);
    }
    kinds
}

/// The rule to name when the content cannot be read: the one that applies to images, or else the
/// first that could apply.
fn probable_rule<'a>(subject: &Subject, context: &Context<'a>) -> Option<&'a Rule> {
    let policy = context.policy;
    let for_images = policy.rule_for(&subject.name, Artifact::Image, context.tags);
    for_images.or_else(|| policy.candidates(&subject.name).first().copied())
}

fn undecided(what: &str, why: &str) -> Outcome {
    Outcome::Undecided(vec![Reason {
        code: ReasonCode::EvidenceUnavailable,
        text: ascii(&if what == SCAN {
            why.to_owned()
        } else {
            format!("could not get the {what}: {why}")
        }),
        remedy: "Nothing has to change: it is tried again by itself.".to_owned(),
    }])
}
