//! Approval policies, and the rules that name them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::approval::{ApprovalPolicy, Principal};
use super::super::document::Trust;
use super::super::fields::{Fields, Problems, Words, extract};
use super::super::yaml::Node;
use super::{checked_name, units};

/// Most approval policies in one policy.
const APPROVAL_POLICIES_MAX: usize = 100;
/// Most requesters, and most approvers, of one.
const PRINCIPALS_MAX: usize = 100;

const WORDS: Words = Words {
    known: &[
        "requesters",
        "approvers",
        "quorum",
        "distinctGroups",
        "selfApproval",
        "binds",
        "expiresAfter",
        "pendingTimeout",
    ],
    later: &["onNewFinding", "reEvaluate", "tagFollow"],
};
const OF_RULE: Words = Words { known: &["policy"], later: &[] };
const TRUTH: [(&str, bool); 2] = [("true", true), ("false", false)];

/// The approval policies of a document, by name; `None` where something is wrong with one.
pub(super) type Approvals = BTreeMap<String, Option<Arc<ApprovalPolicy>>>;

pub(super) fn read(node: Node, problems: &mut Problems) -> Approvals {
    let position = node.position;
    let mut approvals = Approvals::new();
    let entries = Fields::free(node, "approvalPolicies", problems);
    if entries.len() > APPROVAL_POLICIES_MAX {
        let text = format!("has more than {APPROVAL_POLICIES_MAX} entries");
        problems.add(position, "approvalPolicies", text);
        return approvals;
    }
    for entry in entries {
        let path = format!("approvalPolicies.{}", extract(&entry.key));
        let Some(name) = checked_name(entry.key, entry.position, &path, problems) else { continue };
        let approval = approval(&name, entry.value, &path, problems).map(Arc::new);
        approvals.insert(name, approval);
    }
    approvals
}

fn approval(name: &str, node: Node, path: &str, problems: &mut Problems) -> Option<ApprovalPolicy> {
    let before = problems.0.len();
    let mut fields = Fields::of(node, path, WORDS, problems)?;
    let requesters = principals(&mut fields, "requesters", problems).unwrap_or_default();
    let approvers = principals(&mut fields, "approvers", problems);
    if approvers.is_none() {
        let text = "is missing; whose yes counts has to be written: [\"group:platform-security\"]";
        problems.add(fields.position, &fields.path_of("approvers"), text);
    }
    let approvers = approvers.unwrap_or_default();
    let distinct_groups = fields.choice("distinctGroups", &TRUTH, &[], problems).unwrap_or(false);
    let quorum = quorum(&mut fields, distinct_groups, approvers.len(), problems);
    let self_approval = fields.choice("selfApproval", &TRUTH, &[], problems).unwrap_or(false);
    // An approval is bound to a digest, and its children are covered by that; there is no other kind.
    fields.choice("binds", &[("digest", ())], &["digest+children"], problems);
    let expires_after = units::time_at(&mut fields, "expiresAfter", problems);
    let pending_timeout = units::time_at(&mut fields, "pendingTimeout", problems);
    (problems.0.len() == before).then(|| ApprovalPolicy {
        name: name.to_owned(),
        requesters,
        approvers,
        quorum,
        distinct_groups,
        self_approval,
        expires_after,
        pending_timeout,
    })
}

fn principals(fields: &mut Fields, key: &str, problems: &mut Problems) -> Option<Vec<Principal>> {
    let texts = fields.texts(key, problems)?;
    if let Some((_, position, path)) = texts.get(PRINCIPALS_MAX) {
        problems.add(*position, path, format!("is one more than {PRINCIPALS_MAX}"));
    }
    let mut principals = Vec::new();
    for (text, position, path) in texts {
        match text.parse::<Principal>() {
            Ok(principal) if principals.contains(&principal) => {
                problems.add(position, &path, "is listed twice; keep one");
            }
            Ok(principal) => principals.push(principal),
            Err(error) => {
                let text = format!("\"{}\" names nobody; {error}", extract(&text));
                problems.add(position, &path, text);
            }
        }
    }
    Some(principals)
}

fn quorum(
    fields: &mut Fields,
    distinct_groups: bool,
    approvers: usize,
    problems: &mut Problems,
) -> usize {
    let Some((number, position)) = fields.number("quorum", problems) else { return 1 };
    let path = fields.path_of("quorum");
    let quorum = usize::try_from(number).unwrap_or(usize::MAX);
    if !(1..=ApprovalPolicy::QUORUM_MAX).contains(&number) {
        let text = format!("must be a number from 1 to {}", ApprovalPolicy::QUORUM_MAX);
        problems.add(position, &path, text);
    } else if distinct_groups && approvers > 0 && quorum > approvers {
        let text = format!(
            "can never be reached: with distinctGroups only {approvers} of the approvers can say yes"
        );
        problems.add(position, &path, text);
    }
    quorum
}

/// The approval policy that a rule names.
pub(super) fn of_rule(
    rule: &mut Fields,
    trust: Option<Trust>,
    approvals: &Approvals,
    problems: &mut Problems,
) -> Option<Arc<ApprovalPolicy>> {
    let node = rule.take("approval")?;
    let position = node.position;
    let mut fields = Fields::of(node, &rule.path_of("approval"), OF_RULE, problems)?;
    let hint = "write approval: {policy: four-eyes}, a name of approvalPolicies";
    let (name, at) = fields.require_text("policy", hint, problems)?;
    if trust.is_some_and(|trust| trust != Trust::Approve) {
        let text = "has no effect: nobody is asked unless the rule says trust: approve";
        problems.add(position, &rule.path_of("approval"), text);
    }
    let Some(found) = approvals.get(&name) else {
        let text = format!("\"{}\" is not among the approvalPolicies", extract(&name));
        problems.add(at, &fields.path_of("policy"), text);
        return None;
    };
    found.clone()
}
