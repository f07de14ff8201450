//! Approval policies, and the rules that name them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::approval::{AllowedFindings, ApprovalPolicy, Principal, StandingApproval};
use super::super::document::{Signer, Trust};
use super::super::fields::{Fields, Problems, Words, extract};
use super::super::yaml::Node;
use super::rules::read_tags;
use super::{check, checked_name, units};

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
const OF_RULE: Words = Words { known: &["policy", "standing"], later: &[] };
const STANDING: Words = Words { known: &["tags", "signers", "findings"], later: &[] };
/// Most standing approvals of one rule.
const STANDING_MAX: usize = 20;
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

/// What a rule says of whom it asks.
#[derive(Default)]
pub(super) struct OfRule {
    pub(super) policy: Option<Arc<ApprovalPolicy>>,
    pub(super) standing: Vec<StandingApproval>,
}

/// Whom a rule asks, and what it need not ask about; `scans` says whether it has a gate that scans.
pub(super) fn of_rule(
    rule: &mut Fields,
    (trust, scans): (Option<Trust>, bool),
    (approvals, signers): (&Approvals, &[Signer]),
    problems: &mut Problems,
) -> OfRule {
    let Some(node) = rule.take("approval") else { return OfRule::default() };
    let position = node.position;
    let path = rule.path_of("approval");
    let Some(mut fields) = Fields::of(node, &path, OF_RULE, problems) else {
        return OfRule::default();
    };
    if trust.is_some_and(|trust| trust != Trust::Approve) {
        let text = "has no effect: nobody is asked unless the rule says trust: approve";
        problems.add(position, &path, text);
    }
    if !fields.has("policy") && !fields.has("standing") {
        let text =
            "says nothing; write policy: four-eyes, a name of approvalPolicies, or standing: [...]";
        problems.add(position, &path, text);
    }
    let policy = fields.text("policy", problems).and_then(|(name, at)| {
        let found = approvals.get(&name);
        if found.is_none() {
            let text = format!("\"{}\" is not among the approvalPolicies", extract(&name));
            problems.add(at, &fields.path_of("policy"), text);
        }
        found.cloned().flatten()
    });
    let items = fields.list("standing", problems).unwrap_or_default();
    if items.len() > STANDING_MAX {
        let text = format!("has more than {STANDING_MAX} entries");
        problems.add(position, &fields.path_of("standing"), text);
        return OfRule { policy, standing: Vec::new() };
    }
    let standing = items.into_iter();
    let standing = standing
        .filter_map(|(node, path)| standing_approval(node, &path, (signers, scans), problems));
    OfRule { policy, standing: standing.collect() }
}

fn standing_approval(
    node: Node,
    path: &str,
    (signers, scans): (&[Signer], bool),
    problems: &mut Problems,
) -> Option<StandingApproval> {
    let mut fields = Fields::of(node, path, STANDING, problems)?;
    let hint = "what nobody looks at has to be told apart: {semver: \">=7.4, <8\"}";
    let tags = fields.require("tags", hint, problems);
    let tags = tags.and_then(|node| read_tags(node, &fields.path_of("tags"), problems));
    let of = fields.texts("signers", problems);
    if of.is_none() {
        let text = "is missing; somebody has to have signed what nobody looks at";
        problems.add(fields.position, &fields.path_of("signers"), text);
    }
    let position = fields.position;
    let findings = fields.choice("findings", &AllowedFindings::CHOICES, &[], problems);
    let findings = findings.unwrap_or(AllowedFindings::NoWorse);
    if findings == AllowedFindings::NoWorse && !scans {
        let text = "cannot be compared: no gate of the rule scans; name one, or write any";
        problems.add(position, &fields.path_of("findings"), text);
    }
    let of = of?;
    check::known(&of, signers, problems);
    let signers = of.into_iter().map(|(name, ..)| name).collect();
    Some(StandingApproval { tags: tags?, signers, findings })
}
