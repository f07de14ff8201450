//! Approvals that were given elsewhere and count here: of the same content under another name, and of an index
//! that lists it.

use serde::{Deserialize, Serialize};

use super::checks::Finding;
use super::text::day;
use super::{CheckState, Standing, Subject};
use crate::oci::{Digest, Tag};
use crate::policy::{ApprovalPolicy, Artifact, Mode, Policy, Rule, Trust, UnseenFinding};
use crate::time::Timestamp;

/// Another subject that people approved, which may count for the one that is decided about: what is given was
/// not found to have run out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// What was approved.
    pub subject: Subject,
    /// The approval, which is that subject's own: none that it has from elsewhere.
    pub standing: Standing,
    /// The tags that were seen to stand for it.
    pub tags: Vec<Tag>,
    /// What kind of artifact it is; `None` is a container image.
    pub artifact_type: Option<String>,
    /// What it lists, where it is an index.
    pub children: Vec<Digest>,
}

/// Whose approval a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// What was approved.
    pub from: Subject,
    /// When.
    pub at: Timestamp,
}

/// The approval among `elsewhere` that counts for `subject` under `rule` at `now`, if one does.
///
/// It has to be in force where it was given: there the rule that applies asks people in earnest, and was
/// content with those who said yes. They are as many as are asked here, under the same approval policy or one
/// that the rule names. It counts for the very digest only, or for what an approved index of the same
/// repository lists.
pub fn counting<'a>(
    subject: &Subject,
    rule: &Rule,
    policy: &Policy,
    elsewhere: &'a [Elsewhere],
    now: Timestamp,
) -> Option<&'a Elsewhere> {
    elsewhere.iter().find(|it| counts(subject, rule, policy, it, now))
}

fn counts(subject: &Subject, rule: &Rule, policy: &Policy, it: &Elsewhere, now: Timestamp) -> bool {
    let Standing::Approved { expires, voters, .. } = &it.standing else { return false };
    if expires.is_some_and(|expires| expires <= now) {
        return false;
    }
    let (name, artifact) = (&it.subject.name, Artifact::from(it.artifact_type.as_deref()));
    let Some(theirs) = policy.rule_for(name, artifact, &it.tags) else { return false };
    let in_earnest = theirs.trust() == Trust::Approve
        && theirs.mode(now) == Mode::Enforce
        && policy.refuses_outright(name, now).is_none();
    let said_yes = voters.len().max(1);
    let asks = |rule: &Rule| rule.approval().map_or(1, |approval| approval.quorum());
    if !in_earnest || said_yes < asks(theirs) || said_yes < asks(rule) {
        return false;
    }
    let policy_of = |rule: &'_ Rule| rule.approval().map(|it| it.name().to_owned());
    let (here, there) = (policy_of(rule), policy_of(theirs));
    let (is_same_digest, is_same_name) =
        (it.subject.digest == subject.digest, it.subject.name == subject.name);
    match (is_same_digest, is_same_name) {
        (true, false) => rule.carries().is_some_and(|carries| {
            let is_named = there.as_ref().is_some_and(|it| carries.policies().contains(it));
            carries.covers(name) && (here == there || is_named)
        }),
        (false, true) => {
            let covers = rule.approval().is_some_and(|it| ApprovalPolicy::covers_children(it));
            covers && here == there && it.children.contains(&subject.digest)
        }
        _ => false,
    }
}

/// What becomes of an approval where it was given, when something is found that nobody was shown.
pub(super) fn on_new_finding(it: &Elsewhere, policy: &Policy) -> Option<UnseenFinding> {
    let artifact = Artifact::from(it.artifact_type.as_deref());
    policy.rule_for(&it.subject.name, artifact, &it.tags)?.approval()?.on_new_finding()
}

/// What the check for an approval says of one that was given elsewhere.
pub(super) fn finding(it: &Elsewhere) -> Option<Finding> {
    let Standing::Approved { by, at, expires, voters, .. } = &it.standing else { return None };
    let by = if voters.is_empty() { by.clone() } else { voters.join(", ") };
    let until = expires.map(|expires| format!(" until {}", day(expires))).unwrap_or_default();
    let text = format!("by {by} on {}{until}, for {}", day(*at), it.subject);
    let carried = Some(Box::new(Carried { from: it.subject.clone(), at: *at }));
    let finding = Finding::new("approval", CheckState::Pass, text);
    Some(Finding { until: *expires, rests_until: *expires, carried, ..finding })
}
