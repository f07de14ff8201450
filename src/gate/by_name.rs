//! Refusals that need no digest: what the policy says of a repository or a tag alone.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::{self, Finding};
use super::decide::owner_of;
use super::{CheckState, Judgement, ReasonCode, Verdict};
use crate::oci::{Name, Tag};
use crate::policy::{Mode, OutrightCause, Policy};
use crate::time::Timestamp;

/// The refusal of everything of `name`, or of asking for it by `tag`; `None` when it takes a look at
/// the content to decide.
///
/// So that nothing is asked upstream about what cannot be served anyway.
pub fn refuse_by_name(
    policy: &Policy,
    name: &Name,
    tag: Option<&Tag>,
    now: Timestamp,
) -> Option<Judgement> {
    if let Some(outright) = policy.refuses_outright(name, now) {
        let (check, reason) = match outright.cause {
            OutrightCause::NoRule => ("allowlist", checks::no_rule(&outright.text, name)),
            OutrightCause::Registry => {
                ("floor", checks::registry_not_allowed(&outright.text, name))
            }
            OutrightCause::Rule => ("allowlist", checks::denied_by_rule(&outright.text)),
        };
        let finding = Finding::new(check, CheckState::Fail, outright.text.clone());
        return Some(Judgement {
            verdict: Verdict::Deny(vec![reason]),
            owner: outright.rule.as_ref().and_then(|rule| owner_of(rule, policy)),
            rule: outright.rule,
            enforced: outright.mode == Mode::Enforce,
            warns: outright.mode == Mode::Warn,
            checks: vec![finding.check],
            watched: Vec::new(),
            good_until: None,
            rests_until: None,
            carried: None,
            passed: None,
            database: None,
            silenced: Vec::new(),
            excepted: Vec::new(),
            unseen: BTreeMap::new(),
            awaits_vex: false,
            awaits_signature: BTreeSet::new(),
            by_emergency: None,
        });
    }
    let tag = tag.filter(|tag| policy.refuses_tag(tag))?;
    let text = format!("tag {tag} is forbidden");
    let remedy =
        "Ask by digest or by another tag; the policy lists forbidden tags in floor.forbidTags.";
    let mode = policy.mode_for(name, now);
    Some(Judgement {
        verdict: Verdict::Deny(vec![checks::reason(ReasonCode::ForbiddenTag, &text, remedy)]),
        rule: None,
        owner: None,
        enforced: mode == Mode::Enforce,
        warns: mode == Mode::Warn,
        watched: Vec::new(),
        checks: vec![Finding::new("floor", CheckState::Fail, text).check],
        good_until: None,
        rests_until: None,
        carried: None,
        passed: None,
        database: None,
        silenced: Vec::new(),
        excepted: Vec::new(),
        unseen: BTreeMap::new(),
        awaits_vex: false,
        awaits_signature: BTreeSet::new(),
        by_emergency: None,
    })
}
