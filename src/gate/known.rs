//! What is known against a subject where not everything can be asked: for what goes on being served because
//! nothing can be decided, and never against anything that is known.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::{self, Checked, Finding, reason};
use super::decide::{Applicable, CHECKS, as_shown, judgement};
use super::expressions::{self, Conditions};
use super::{
    CheckState, Context, Evidence, Outcome, Passed, ReasonCode, Subject, elsewhere, fresh,
    standing_approval,
};
use crate::oci::Digest;
use crate::policy::Trust;

/// What is known against `subject`, by the evidence and the policy in `context`: everything is asked, in
/// earnest and whatever mode it is in, and what cannot be answered says nothing. Always decided; where it
/// admits, nothing is known against it, which alone is no reason to serve anything.
///
/// A vulnerability database may be as old as it likes: what it knows is known. Where something that would
/// have to speak for the subject cannot be asked (a manifest that was not read, people who were not asked),
/// that speaks against it.
pub fn known_against(subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Outcome {
    let policy = context.policy;
    let outright = policy.refuses_outright(&subject.name, context.now);
    let floor = checks::floor(subject, evidence, policy, outright.as_ref());
    let facts = evidence.manifest.found().filter(|facts| facts.malformed.is_none());
    let Some(facts) = facts else {
        let text = "its manifest is not known";
        let remedy = "It would have to be gathered again.";
        let unread = reason(ReasonCode::EvidenceUnavailable, text, remedy);
        let mut finding = Finding::new("manifest", CheckState::Fail, text);
        finding.reasons.push(unread);
        return Outcome::Decided(judgement(None, vec![floor, finding]));
    };
    let mut demands = policy.demands(&subject.name, facts.artifact(), context.tags);
    // An overlay of which it cannot be said whether it applies does.
    if let Ok(conditions) = Conditions::ask(subject, evidence, context, &demands) {
        demands = demands.where_applies(|overlay| conditions.let_apply(overlay));
    }
    let rule = demands.rule();
    let applicable = rule.map_or(Applicable::None, Applicable::Rule);
    let mut findings = vec![
        floor,
        checks::allowlist(subject, applicable, outright.as_ref()),
        checks::manifest(&evidence.manifest, policy),
    ];
    let nothing = nothing_passed();
    let passed = context.passed.or(Some(&nothing));
    let context = &Context { passed, ..*context };
    let mut take = |checked| {
        if let Checked::Finding(finding) = checked {
            findings.push(finding);
        }
    };
    for (_, check) in CHECKS {
        take(check(subject, evidence, context, &demands, false));
    }
    let so_far =
        fresh::Found { certain: false, existed_at: None, images_existed_at: BTreeMap::new() };
    take(fresh::check(subject, evidence, context, &demands, &so_far));
    take(expressions::check(subject, evidence, context, &demands, false));
    if !demands.gates().is_empty() && context.scans.has_malware() {
        take(Checked::Finding(malware()));
    }
    let approval = checks::approval(applicable, context.standing, context.now);
    let of = (subject, evidence, context);
    let approval = as_shown(approval, (context.standing, None), of, &demands, &findings);
    let approval = match rule.filter(|rule| rule.trust() == Trust::Approve) {
        Some(rule) if approval.check.state == CheckState::Waiting => {
            let given = elsewhere::counting(subject, rule, policy, context.elsewhere, context.now);
            let given = given.and_then(|given| {
                let finding = elsewhere::finding(given)?;
                let there = elsewhere::on_new_finding(given, policy);
                let given = (Some(&given.standing), there);
                let finding = as_shown(finding, given, of, &demands, &findings);
                Some(Checked::Finding(finding))
            });
            match given
                .unwrap_or_else(|| standing_approval::check(subject, evidence, context, rule))
            {
                Checked::Finding(standing) => standing,
                Checked::Failed(_) | Checked::Missing(_) | Checked::Nothing => approval,
            }
        }
        Some(_) | None => approval,
    };
    findings.push(approval);
    Outcome::Decided(judgement(rule.map(|rule| rule.id().clone()), findings))
}

/// What was let pass by no gate: a database that is too old to admit by it is asked all the same.
fn nothing_passed() -> Passed {
    Passed {
        gates: Digest::sha256(b""),
        images: BTreeMap::new(),
        known: BTreeSet::new(),
        found_since: BTreeMap::new(),
    }
}

fn malware() -> Finding {
    let text = "malware is known in it";
    let mut finding = Finding::new("scan", CheckState::Fail, text);
    let remedy = "It would have to be built and pushed anew.";
    finding.reasons.push(reason(ReasonCode::Malware, text, remedy));
    finding
}
