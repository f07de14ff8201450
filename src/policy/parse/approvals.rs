//! Approval policies, and the rules that name them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::approval::{
    AllowedFindings, ApprovalPolicy, Carries, Principal, ReEvaluate, StandingApproval, TagFollow,
};
use super::super::document::{Signer, Trust, Who};
use super::super::fields::{Fields, Problems, Words, choice, extract};
use super::super::pattern::Pattern;
use super::super::problem::Position;
use super::super::yaml::Node;
use super::rules::read_tags;
use super::{check, checked_name, gates, units};

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
        "tagFollow",
        "onNewFinding",
        "reEvaluate",
    ],
    later: &[],
};
const RE_EVALUATE: Words = Words { known: &["every", "on"], later: &[] };
const OF_RULE: Words = Words { known: &["policy", "standing", "carries"], later: &[] };
const STANDING: Words = Words { known: &["tags", "signers", "findings"], later: &[] };
const CARRIES: Words = Words { known: &["from", "policies"], later: &[] };
/// Most patterns of repositories whose approvals count elsewhere, and most approval policies of theirs.
const CARRIES_MAX: usize = 20;
/// Most standing approvals of one rule.
const STANDING_MAX: usize = 20;
/// What is said where an approval policy compares findings, and there are none.
const NOT_COMPARED: &str =
    "asks about findings (onNewFinding), and no gate of the rule scans; name one that scans here";
const TRUTH: [(&str, bool); 2] = [("true", true), ("false", false)];

/// The approval policies of a document, by name; `None` where something is wrong with one.
pub(super) type Approvals = BTreeMap<String, Option<Arc<ApprovalPolicy>>>;

/// Where an approval policy names a signer: the name, the place, and its path.
pub(super) type NamedSigner = (String, Position, String);

/// The approval policies of `node`, and the signers that they name.
pub(super) fn read(node: Node, problems: &mut Problems) -> (Approvals, Vec<NamedSigner>) {
    let position = node.position;
    let (mut approvals, mut named) = (Approvals::new(), Vec::new());
    let entries = Fields::free(node, "approvalPolicies", problems);
    if entries.len() > APPROVAL_POLICIES_MAX {
        let text = format!("has more than {APPROVAL_POLICIES_MAX} entries");
        problems.add(position, "approvalPolicies", text);
        return (approvals, named);
    }
    for entry in entries {
        let path = format!("approvalPolicies.{}", extract(&entry.key));
        let Some(name) = checked_name(entry.key, entry.position, &path, problems) else { continue };
        let approval = approval(&name, entry.value, (&path, &mut named), problems).map(Arc::new);
        approvals.insert(name, approval);
    }
    (approvals, named)
}

/// The signers that approval policies name are there, and files can be verified by them.
pub(super) fn check_signers(named: &[NamedSigner], signers: &[Signer], problems: &mut Problems) {
    for (name, position, path) in named {
        let found = signers.iter().find(|it| it.name() == name);
        let text = match found.map(Signer::who) {
            None => "is not among the signers of this file",
            Some(Who::Key { log: None, .. }) => continue,
            Some(Who::Key { log: Some(_), .. }) => {
                "signs into a log, and signatures of approval files stand in none; give people a key of \
                 their own with transparencyLog: none"
            }
            Some(Who::Keyless { .. } | Who::Notation { .. }) => {
                "is no key, and approval files are signed with one; give it key: {pem: file:...} and \
                 transparencyLog: none"
            }
        };
        problems.add(*position, path, format!("signer \"{}\" {text}", extract(name)));
    }
}

fn approval(
    name: &str,
    node: Node,
    (path, named): (&str, &mut Vec<NamedSigner>),
    problems: &mut Problems,
) -> Option<ApprovalPolicy> {
    let before = problems.0.len();
    let mut fields = Fields::of(node, path, WORDS, problems)?;
    let requesters = people(&mut fields, "requesters", problems).unwrap_or_default();
    let approvers = located_principals(&mut fields, "approvers", problems);
    if approvers.is_none() {
        let text = "is missing; whose yes counts has to be written: [\"group:platform-security\"]";
        problems.add(fields.position, &fields.path_of("approvers"), text);
    }
    let approvers: Vec<Principal> = approvers
        .unwrap_or_default()
        .into_iter()
        .map(|(principal, position, path)| {
            if let Principal::Signer(name) = &principal {
                named.push((name.clone(), position, path));
            }
            principal
        })
        .collect();
    let distinct_groups = fields.choice("distinctGroups", &TRUTH, &[], problems).unwrap_or(false);
    let quorum = quorum(&mut fields, distinct_groups, approvers.len(), problems);
    let self_approval = fields.choice("selfApproval", &TRUTH, &[], problems).unwrap_or(false);
    let binds = [("digest", false), ("digest+children", true)];
    let covers_children = fields.choice("binds", &binds, &[], problems).unwrap_or(false);
    let tag_follow = fields.choice("tagFollow", &TagFollow::CHOICES, &[], problems);
    let expires_after = units::time_at(&mut fields, "expiresAfter", problems);
    let pending_timeout = units::time_at(&mut fields, "pendingTimeout", problems);
    let on_new_finding = gates::unseen(&mut fields, problems);
    let re_evaluate = re_evaluate(&mut fields, problems);
    (problems.0.len() == before).then(|| ApprovalPolicy {
        name: name.to_owned(),
        requesters,
        approvers,
        quorum,
        distinct_groups,
        self_approval,
        covers_children,
        tag_follow: tag_follow.unwrap_or_default(),
        expires_after,
        pending_timeout,
        on_new_finding,
        re_evaluate,
    })
}

/// `reEvaluate: {every: 24h, on: [new-cve, policy-change]}`.
fn re_evaluate(fields: &mut Fields, problems: &mut Problems) -> Option<ReEvaluate> {
    let node = fields.take("reEvaluate")?;
    let mut fields = Fields::of(node, &fields.path_of("reEvaluate"), RE_EVALUATE, problems)?;
    if !fields.has("every") && !fields.has("on") {
        let text = "says nothing; write every: 24h, or on: [new-cve]";
        problems.add(fields.position, &fields.path, text);
    }
    let every = units::time_at(&mut fields, "every", problems);
    let mut named: Vec<&str> = Vec::new();
    for (node, path) in fields.list("on", problems).unwrap_or_default() {
        let position = node.position;
        match choice(node, &path, &ReEvaluate::CAUSES, &[], problems) {
            Some(cause) if named.contains(&cause) => {
                problems.add(position, &path, "is listed twice; keep one");
            }
            cause => named.extend(cause),
        }
    }
    Some(ReEvaluate { every, named: named.len() })
}

/// Those at `key` who sign in or hold a token.
pub(super) fn people(
    fields: &mut Fields,
    key: &str,
    problems: &mut Problems,
) -> Option<Vec<Principal>> {
    let principals = located_principals(fields, key, problems)?;
    for (principal, position, path) in &principals {
        if matches!(principal, Principal::Signer(_)) {
            let text = format!(
                "\"{}\" signs approval files, which do nothing here; name people or tokens",
                extract(&principal.to_string())
            );
            problems.add(*position, path, text);
        }
    }
    Some(principals.into_iter().map(|(principal, ..)| principal).collect())
}

fn located_principals(
    fields: &mut Fields,
    key: &str,
    problems: &mut Problems,
) -> Option<Vec<(Principal, Position, String)>> {
    let texts = fields.texts(key, problems)?;
    if let Some((_, position, path)) = texts.get(PRINCIPALS_MAX) {
        problems.add(*position, path, format!("is one more than {PRINCIPALS_MAX}"));
    }
    let mut principals: Vec<(Principal, Position, String)> = Vec::new();
    for (text, position, path) in texts {
        match text.parse::<Principal>() {
            Ok(principal) if principals.iter().any(|(it, ..)| *it == principal) => {
                problems.add(position, &path, "is listed twice; keep one");
            }
            Ok(principal) => principals.push((principal, position, path)),
            Err(error) => {
                let text = format!("\"{}\" names nobody; {error}", extract(&text));
                problems.add(position, &path, text);
            }
        }
    }
    Some(principals)
}

pub(super) fn quorum(
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

/// Whether findings are compared with what people were shown.
const fn compares(approval: &ApprovalPolicy) -> bool {
    approval.on_new_finding.is_some()
}

/// What a rule says of whom it asks.
#[derive(Default)]
pub(super) struct OfRule {
    pub(super) policy: Option<Arc<ApprovalPolicy>>,
    pub(super) standing: Vec<StandingApproval>,
    pub(super) carries: Option<Carries>,
}

/// Whom a rule asks, and what it need not ask about; `scans` says whether it has a gate that scans, and whether
/// one has a scanner look that is asked here.
pub(super) fn of_rule(
    rule: &mut Fields,
    (trust, (scans, is_scanned_here)): (Option<Trust>, (bool, bool)),
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
    if !["policy", "standing", "carries"].iter().any(|key| fields.has(key)) {
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
    if policy.as_deref().is_some_and(compares) && !is_scanned_here {
        problems.add(position, &fields.path_of("policy"), NOT_COMPARED);
    }
    let carries = carries(&mut fields, (approvals, is_scanned_here), problems);
    let items = fields.list("standing", problems).unwrap_or_default();
    if items.len() > STANDING_MAX {
        let text = format!("has more than {STANDING_MAX} entries");
        problems.add(position, &fields.path_of("standing"), text);
        return OfRule { policy, standing: Vec::new(), carries };
    }
    let standing = items.into_iter();
    let standing = standing
        .filter_map(|(node, path)| standing_approval(node, &path, (signers, scans), problems));
    OfRule { policy, standing: standing.collect(), carries }
}

/// Whose approvals of the same content count under the rule.
fn carries(
    rule: &mut Fields,
    (approvals, is_scanned_here): (&Approvals, bool),
    problems: &mut Problems,
) -> Option<Carries> {
    let node = rule.take("carries")?;
    let mut fields = Fields::of(node, &rule.path_of("carries"), CARRIES, problems)?;
    let position = fields.position;
    let texts = fields.texts("from", problems);
    if texts.is_none() {
        let text = "is missing; write whose approvals count: [\"registry.corp/team/**\"]";
        problems.add(position, &fields.path_of("from"), text);
    }
    let texts = texts.unwrap_or_default();
    let policies = fields.texts("policies", problems).unwrap_or_default();
    if texts.len() > CARRIES_MAX || policies.len() > CARRIES_MAX {
        problems.add(position, &fields.path_of("from"), format!("more than {CARRIES_MAX} entries"));
        return None;
    }
    let mut from = Vec::new();
    for (text, position, path) in texts {
        match Pattern::of_names(&text) {
            Ok(pattern) if is_narrow(&pattern) => from.push(pattern),
            Ok(_) => problems.add(
                position,
                &path,
                "is too wide; write at least the registry and how the repository begins",
            ),
            Err(error) => problems.add(position, &path, format!("\"{}\": {error}", extract(&text))),
        }
    }
    for (name, position, path) in &policies {
        let found = approvals.get(name);
        if found.is_none() {
            let text = format!("\"{}\" is not among the approvalPolicies", extract(name));
            problems.add(*position, path, text);
        }
        if found.is_some_and(|it| it.as_deref().is_some_and(compares)) && !is_scanned_here {
            problems.add(*position, path, NOT_COMPARED);
        }
    }
    let policies = policies.into_iter().map(|(name, ..)| name).collect();
    Some(Carries { from, policies })
}

/// Whether a pattern says which registry is meant, and how its repositories begin.
fn is_narrow(pattern: &Pattern) -> bool {
    pattern.literal_prefix().split_once('/').is_some_and(|(_, begins)| !begins.is_empty())
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
