//! The order in which everything is asked, and how the answers make a verdict.

use std::collections::BTreeMap;

use super::checks::{self, Checked, Finding};
use super::expressions::{self, Conditions};
use super::levels::{Level, levels};
use super::signatures;
use super::text::ascii;
use super::unseen::Approved;
use super::{
    Check, CheckState, Context, Evidence, EvidenceKind, Excepted, Gathered, Judgement, Outcome,
    Reason, ReasonCode, RuleId, RuleOwner, Silenced, Standing, Subject, Verdict,
};
use super::{
    attestations, configured, continuity, elsewhere, emergency, fresh, scan, standing_approval,
};
use crate::policy::{
    Artifact, Demands, Mode, Outright, Policy, Rule, Scope, SignatureRule, UnseenFinding,
};
use crate::time::Timestamp;

/// Decides about `subject`. Pure and total: no I/O, no clock, no panic.
///
/// Refused without a look at any evidence is only what the floor's lists, people, or every rule
/// that could apply refuse already. Otherwise evidence that is needed and not there is asked for
/// ([`Outcome::Missing`]), and evidence that could not be had leaves the question open
/// ([`Outcome::Undecided`]), unless what is known denies by itself.
///
/// Where overlays are in another mode than the rule, what the stricter ones say is decided first: what only
/// watches never decides about what enforces, and is told beside the verdict.
///
/// What a break-glass that is in force makes of that is told beside the verdict, see
/// [`Judgement::served_by`].
pub fn decide(subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Outcome {
    emergency::apply(by_policy(subject, evidence, context), subject, evidence, context)
}

/// Decides by the policy alone.
fn by_policy(subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Outcome {
    let mut asked = Asked::new(subject, evidence, context);
    let mode = asked.mode();
    if let Some(open) = asked.open_for_overlays(mode) {
        return open;
    }
    if let Err(kind) = asked.settle_conditions(mode) {
        return Outcome::Missing(vec![kind]);
    }
    let levels = levels(mode, &asked.demands, context.now);
    let (weaker, deciding): (Vec<_>, Vec<_>) = levels.into_iter().partition(|it| it.mode < mode);
    let mut passes_stricter = false;
    let mut verdict = None;
    for level in &deciding {
        let outcome = if level.has_rule { asked.all(level) } else { asked.by_overlays(level) };
        match outcome {
            Outcome::Decided(judgement) if judgement.admits() && !level.has_rule => {
                passes_stricter = true;
            }
            Outcome::Decided(judgement) => {
                verdict = Some(asked.acted_on(judgement, level.mode));
                break;
            }
            // What enforces lets it pass, and what only watches cannot say.
            Outcome::Undecided(reasons) if passes_stricter => {
                return Outcome::Decided(asked.unwatched_rule(reasons, level.mode));
            }
            open @ (Outcome::Missing(_) | Outcome::Undecided(_)) => return open,
        }
    }
    match verdict {
        Some(judgement) if judgement.admits() => asked.watched(judgement, &weaker),
        Some(judgement) => Outcome::Decided(judgement),
        // The level of the rule is always among them.
        None => undecided("policy", "it asks for nothing"),
    }
}

/// How long a verdict counts beside which something that only watches could not be judged.
const WATCHED_AGAIN: std::time::Duration = std::time::Duration::from_mins(10);

/// What there is to decide about, and by what.
struct Asked<'a> {
    subject: &'a Subject,
    evidence: &'a Evidence,
    context: &'a Context<'a>,
    outright: Option<Outright>,
    applicable: Applicable<'a>,
    /// What is asked of it: by the rule that applies, and by the overlays that match.
    demands: Demands<'a>,
    /// Whether what scans find was asked for to say which overlays apply.
    is_scanned: bool,
    /// Until when it is so that these overlays apply.
    until: Option<Timestamp>,
}

impl<'a> Asked<'a> {
    fn new(subject: &'a Subject, evidence: &'a Evidence, context: &'a Context<'a>) -> Self {
        let policy = context.policy;
        let outright = policy.refuses_outright(&subject.name, context.now);
        // Which rule applies is settled only once it is known what the content is.
        let facts = evidence.manifest.found().filter(|facts| facts.malformed.is_none());
        let demands =
            facts.map(|facts| policy.demands(&subject.name, facts.artifact(), context.tags));
        let applicable = demands.as_ref().map_or(Applicable::Unsettled, |demands| {
            demands.rule().map_or(Applicable::None, Applicable::Rule)
        });
        let demands = demands.unwrap_or_default();
        Self {
            subject,
            evidence,
            context,
            outright,
            applicable,
            demands,
            is_scanned: false,
            until: None,
        }
    }

    /// What the lists of the floor say.
    fn floor(&self) -> Finding {
        let policy = self.context.policy;
        checks::floor(self.subject, self.evidence, policy, self.outright.as_ref())
    }

    /// The mode of everything but the overlays.
    fn mode(&self) -> Mode {
        let (policy, now) = (self.context.policy, self.context.now);
        match (&self.outright, self.applicable) {
            // No rule loosens the floor, not even by watching only.
            _ if self.floor().denies() => policy.mode(now),
            (Some(outright), _) => outright.mode,
            (None, Applicable::Rule(rule)) => rule.mode(now),
            (None, Applicable::None) => policy.mode(now),
            // Overlays that might match are asked once it is known what it is.
            (None, Applicable::Unsettled) => policy.mode_for(&self.subject.name, now),
        }
    }

    /// What has to be known before the overlays can be asked that are stricter than all that refuses already.
    fn open_for_overlays(&self, mode: Mode) -> Option<Outcome> {
        let Self { subject, evidence, context, .. } = self;
        if context.policy.mode_for(&subject.name, context.now) <= mode {
            return None;
        }
        match &evidence.manifest {
            Gathered::NotGathered => Some(Outcome::Missing(needed(subject, evidence, context))),
            Gathered::Failed(why) => Some(undecided("manifest", why)),
            Gathered::Absent | Gathered::Found(_) => None,
        }
    }

    /// Leaves out the overlays whose condition does not hold.
    ///
    /// # Errors
    /// The evidence that it takes to say so. Nothing is asked for where everything is refused anyhow.
    fn settle_conditions(&mut self, mode: Mode) -> Result<(), EvidenceKind> {
        if self.demands.overlays().iter().all(|overlay| overlay.when().is_none()) {
            return Ok(());
        }
        let is_refused = self.outright.is_some() || self.floor().denies() || self.by_people();
        if is_refused && mode == Mode::Enforce {
            self.demands = self.demands.where_applies(|overlay| overlay.when().is_none());
            return Ok(());
        }
        let Self { subject, evidence, context, .. } = self;
        self.is_scanned = self.demands.facts().scan;
        let conditions = Conditions::ask(subject, evidence, context, &self.demands)?;
        self.demands = self.demands.where_applies(|overlay| conditions.let_apply(overlay));
        self.until = conditions.until;
        Ok(())
    }

    /// Whether people said no.
    fn by_people(&self) -> bool {
        let standing = self.context.standing;
        matches!(standing, Some(Standing::Rejected { .. } | Standing::Revoked { .. }))
    }

    /// Decides by everything that is heard at `level`, the rule among it.
    fn all(&self, level: &Level<'_>) -> Outcome {
        let Self { subject, evidence, context, outright, applicable, .. } = self;
        let floor = self.floor();
        let certain = outright.is_some() || floor.denies() || self.by_people();
        match &evidence.manifest {
            Gathered::NotGathered if !certain => {
                return Outcome::Missing(needed(subject, evidence, context));
            }
            Gathered::Failed(why) if !certain => return undecided("manifest", why),
            Gathered::Absent | Gathered::Failed(_) | Gathered::Found(_) | Gathered::NotGathered => {
            }
        }
        let allowlist = checks::allowlist(subject, *applicable, outright.as_ref());
        let manifest = checks::manifest(&evidence.manifest, context.policy);
        let mut findings = vec![floor, allowlist, manifest];
        if let Err(open) = self.look_closer(&level.demands, &mut findings, certain) {
            return *open;
        }
        let certain = certain || findings.iter().any(Finding::denies);
        let checked = expressions::check(subject, evidence, context, &level.demands, certain);
        if let Err(open) = found("facts", checked, &mut findings) {
            return *open;
        }
        let approval = checks::approval(*applicable, context.standing, context.now);
        let refused = certain || findings.iter().any(Finding::denies);
        let approval = if refused {
            // What was found when is not forgotten while something else refuses it.
            Finding { unseen: context.unseen.clone(), ..approval }
        } else {
            self.as_shown(approval, (context.standing, None), &findings)
        };
        match self.without_people(approval, refused, &findings) {
            Ok(approval) => findings.push(approval),
            Err(kind) => return Outcome::Missing(vec![kind]),
        }
        Outcome::Decided(self.beside(judgement(self.rule(), findings), level))
    }

    /// `approval` by what was decided as `given` says, for what its people were shown.
    fn as_shown(&self, approval: Finding, given: Given<'_>, findings: &[Finding]) -> Finding {
        let Self { subject, evidence, context, demands, .. } = self;
        as_shown(approval, given, (subject, evidence, context), demands, findings)
    }

    /// What takes the place of `approval` where people were not asked yet and need not be.
    ///
    /// # Errors
    /// The evidence that it takes to say so; none where it is refused anyhow.
    fn without_people(
        &self,
        approval: Finding,
        refused: bool,
        findings: &[Finding],
    ) -> Result<Finding, EvidenceKind> {
        let Self { subject, evidence, context, applicable, .. } = self;
        let (Applicable::Rule(rule), false) = (applicable, refused || self.by_people()) else {
            return Ok(approval);
        };
        if approval.check.state != CheckState::Waiting {
            return Ok(approval);
        }
        let (policy, now) = (context.policy, context.now);
        let given = elsewhere::counting(subject, rule, policy, context.elsewhere, now);
        if let Some(given) = given
            && let Some(finding) = elsewhere::finding(given)
        {
            let there = elsewhere::on_new_finding(given, policy);
            let finding = self.as_shown(finding, (Some(&given.standing), there), findings);
            // What nobody was shown there may have been shown here, or the other way round.
            if finding.check.state == CheckState::Pass || approval.unseen.is_empty() {
                return Ok(finding);
            }
        }
        match standing_approval::check(subject, evidence, context, rule) {
            Checked::Finding(finding) => Ok(finding),
            Checked::Missing(kind) => Err(kind),
            Checked::Nothing | Checked::Failed(_) => Ok(approval),
        }
    }

    /// `judgement` with what was asked of scans for it.
    fn beside(&self, judgement: Judgement, level: &Level<'_>) -> Judgement {
        let demands = &self.demands;
        let is_scanned = self.is_scanned || !demands.gates().is_empty() || demands.facts().scan;
        let database = self.context.scans.database().filter(|_| is_scanned);
        let hears = level.demands.gates().iter().any(|gate| gate.vex.is_some());
        let awaits_vex = hears && !judgement.admits();
        Judgement { database, awaits_vex, ..judgement }
    }

    /// Decides by the overlays alone that are heard at `level`, where the rule only watches.
    fn by_overlays(&self, level: &Level<'_>) -> Outcome {
        let Self { evidence, context, .. } = self;
        // What cannot be read shows nothing of what is asked for.
        let mut findings = vec![checks::manifest(&evidence.manifest, context.policy)];
        if let Err(open) = self.look_closer(&level.demands, &mut findings, false) {
            return *open;
        }
        Outcome::Decided(self.beside(judgement(self.rule(), findings), level))
    }

    /// What is admitted, with what overlays that are weaker than the rule would refuse.
    fn watched(&self, admitted: Judgement, weaker: &[Level<'_>]) -> Outcome {
        let mut judgement = admitted;
        for level in weaker {
            match self.all(level) {
                Outcome::Decided(watched) if watched.admits() => {
                    let ends = judgement.good_until.into_iter().chain(watched.good_until);
                    judgement.good_until = ends.min();
                }
                Outcome::Decided(watched) => {
                    let texts = watched.reasons().iter().map(|reason| reason.text.as_str());
                    let text =
                        format!("would be refused: {}", texts.collect::<Vec<_>>().join("; "));
                    judgement.checks.push(watching(CheckState::Fail, text));
                    judgement.warns |= level.mode == Mode::Warn;
                    judgement.watched = watched.reasons().to_vec();
                    let ends = judgement.good_until.into_iter().chain(watched.good_until);
                    judgement.good_until = ends.min();
                    break;
                }
                Outcome::Undecided(reasons) => {
                    judgement.checks.push(watching(CheckState::Failed, first(&reasons)));
                    let again = self.context.now.after(WATCHED_AGAIN);
                    judgement.good_until = judgement.good_until.into_iter().chain([again]).min();
                    break;
                }
                missing @ Outcome::Missing(_) => return missing,
            }
        }
        Outcome::Decided(judgement)
    }

    /// What the rule, which only watches, would have said cannot be known now: it is no admission.
    fn unwatched_rule(&self, reasons: Vec<Reason>, mode: Mode) -> Judgement {
        let again = self.context.now.after(WATCHED_AGAIN);
        let checks = vec![Finding::new("watching", CheckState::Failed, first(&reasons))];
        let mut judgement = self.acted_on(judgement(self.rule(), checks), mode);
        judgement.verdict = Verdict::Deny(reasons);
        judgement.good_until = judgement.good_until.into_iter().chain([again]).min();
        judgement
    }

    /// Asks everything that needs more evidence than the manifest, cheapest first, and adds what it found.
    /// What denies already leaves the rest unasked; time comes last, because proofs bound it.
    ///
    /// # Errors
    /// What is missing, or could not be had.
    fn look_closer(
        &self,
        demands: &Demands<'_>,
        findings: &mut Vec<Finding>,
        certain: bool,
    ) -> Result<(), Box<Outcome>> {
        let Self { subject, evidence, context, .. } = self;
        for (what, check) in CHECKS {
            let certain = certain || findings.iter().any(Finding::denies);
            let checked = check(subject, evidence, context, demands, certain);
            found(what, checked, findings)?;
        }
        let so_far = fresh::Found {
            certain: certain || findings.iter().any(Finding::denies),
            existed_at: findings.iter().filter_map(|finding| finding.existed_at).min(),
            images_existed_at: findings
                .iter_mut()
                .flat_map(|finding| std::mem::take(&mut finding.images_existed_at))
                .collect(),
        };
        let checked = fresh::check(subject, evidence, context, demands, &so_far);
        found("configuration", checked, findings)
    }

    /// The rule that is told.
    fn rule(&self) -> Option<RuleId> {
        match (&self.outright, self.applicable) {
            (Some(outright), _) => outright.rule.clone(),
            (None, Applicable::Rule(rule)) => Some(rule.id().clone()),
            (None, Applicable::None) => None,
            (None, Applicable::Unsettled) => {
                probable_rule(self.subject, self.context).map(|rule| rule.id().clone())
            }
        }
    }

    /// `judgement` in that mode; it ends where a mode does by which it was reached.
    fn acted_on(&self, judgement: Judgement, mode: Mode) -> Judgement {
        let (policy, now) = (self.context.policy, self.context.now);
        // What is refused in earnest stays so: modes only become stricter.
        let is_settled =
            mode == Mode::Enforce && (!judgement.admits() || self.demands.are_enforced(now));
        let ends = if is_settled { None } else { policy.mode_changes_after(now) };
        let good_until = judgement.good_until.into_iter().chain(ends).chain(self.until).min();
        let (enforced, warns) = (mode == Mode::Enforce, mode == Mode::Warn && !judgement.admits());
        let owner = judgement.rule.as_ref().and_then(|rule| owner_of(rule, policy));
        Judgement { owner, enforced, warns, good_until, ..judgement }
    }
}

/// What people decided, and what the policy asks of new findings where that was elsewhere.
pub(super) type Given<'a> = (Option<&'a Standing>, Option<UnseenFinding>);

/// `approval`, which was given as `standing` says, for what its people were shown; `findings` are what else was
/// found.
pub(super) fn as_shown(
    approval: Finding,
    (standing, there): Given<'_>,
    (subject, evidence, context): (&Subject, &Evidence, &Context<'_>),
    demands: &Demands<'_>,
    findings: &[Finding],
) -> Finding {
    let Some(Standing::Approved { seen, at, .. }) = standing else { return approval };
    if approval.check.state != CheckState::Pass {
        return approval;
    }
    let silenced: Vec<Silenced> =
        findings.iter().flat_map(|finding| finding.silenced.iter().cloned()).collect();
    let (seen, at) = (seen.as_deref(), *at);
    let silenced = silenced.as_slice();
    Approved { subject, evidence, context, demands, silenced, seen, at, there }.weigh(approval)
}

/// Who answers for the rule `id`, where the file that has it is somebody's.
pub(super) fn owner_of(id: &RuleId, policy: &Policy) -> Option<Box<RuleOwner>> {
    let owner = policy.file_of(id)?.owner()?;
    Some(Box::new(RuleOwner(owner.to_string())))
}

/// A check that is told of what only watches.
fn watching(state: CheckState, text: String) -> Check {
    Check { name: "watching".to_owned(), state, text }
}

fn first(reasons: &[Reason]) -> String {
    reasons.first().map(|reason| reason.text.clone()).unwrap_or_default()
}

pub(super) type Ask = fn(&Subject, &Evidence, &Context<'_>, &Demands<'_>, bool) -> Checked;

/// What is asked, in this order.
pub(super) const CHECKS: [(&str, Ask); 6] = [
    ("overlays", checks::overlays),
    ("signatures", signatures::check),
    ("attestations", attestations::check),
    ("signatures", continuity::check),
    ("configuration", configured::check),
    (SCAN, scan::check),
];

/// Adds what a check found.
///
/// # Errors
/// What is missing, or could not be had.
fn found(what: &str, checked: Checked, findings: &mut Vec<Finding>) -> Result<(), Box<Outcome>> {
    match checked {
        Checked::Finding(finding) => findings.push(finding),
        Checked::Nothing => {}
        Checked::Missing(kind) => return Err(Box::new(Outcome::Missing(vec![kind]))),
        Checked::Failed(why) => return Err(Box::new(undecided(what, &why))),
    }
    Ok(())
}

/// What is asked of the scanner, which says by itself what it lacks.
const SCAN: &str = "scan";

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

pub(super) fn judgement(rule: Option<RuleId>, findings: Vec<Finding>) -> Judgement {
    let mut checks = Vec::with_capacity(findings.len());
    let (mut floor, mut people) = (Vec::new(), Vec::new());
    let (mut others, mut waits) = (Vec::new(), Vec::new());
    let good_until = findings.iter().filter_map(|finding| finding.until).min();
    let rests_until = findings.iter().filter_map(|finding| finding.rests_until).min();
    let awaits_signature =
        findings.iter().flat_map(|finding| finding.awaits_signature.iter().copied()).collect();
    let (mut silenced, mut excepted) = (Vec::new(), Vec::new());
    let (mut passed, mut carried) = (None, None);
    let mut unseen = BTreeMap::new();
    for finding in findings {
        unseen.extend(finding.unseen);
        silenced.extend(finding.silenced);
        excepted.extend(finding.excepted);
        passed = passed.or(finding.passed);
        carried = carried.or(finding.carried);
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
    excepted.truncate(Excepted::MAX);
    Judgement {
        verdict,
        rule,
        owner: None,
        enforced: true,
        warns: false,
        watched: Vec::new(),
        checks,
        good_until,
        rests_until,
        carried,
        passed,
        database: None,
        silenced,
        excepted,
        unseen,
        awaits_vex: false,
        awaits_signature,
        by_emergency: None,
    }
}

/// The manifest is needed; signatures too, at the same time, if they are needed whatever it turns
/// out to be.
fn needed(subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Vec<EvidenceKind> {
    let possible = context.policy.possible_demands(&subject.name);
    let asks = |demands: &Demands<'_>| {
        // Of an index it may be that only what is below it counts.
        let over_itself = demands.signatures().iter().any(|asked| {
            matches!(
                asked.what,
                SignatureRule::Signed { scope, .. } if *scope != Scope::EveryPlatform
            )
        });
        let hears = demands.gates().iter().any(|gate| gate.vex.is_some());
        over_itself
            || hears
            || demands.facts().are_attached()
            || !demands.attestations().is_empty()
            || !scan::bill_signers(demands.gates()).is_empty()
            || fresh::signers(demands).next().is_some()
    };
    let mut kinds = vec![EvidenceKind::Manifest];
    // Who signs is found out the first time, too, where it is compared the next.
    let watches = |demands: &Demands<'_>| {
        let watched = |rule| !continuity::watched(rule, context.policy).is_empty();
        demands.rule().is_some_and(watched)
    };
    if evidence.signatures == Gathered::NotGathered
        && (possible.iter().all(asks) || possible.iter().any(watches))
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

pub(super) fn undecided(what: &str, why: &str) -> Outcome {
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
