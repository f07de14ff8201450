//! What becomes of what was approved, as policies write it.

use std::path::Path;
use std::time::Duration;

use super::super::{ApprovalPolicy, Policy, Rating, UnseenFinding};

/// A policy where the approval policy `eyes` says `text`, on a line of its own; `rule` is the rest of a rule.
fn parse(text: &str, rule: &str) -> Result<Policy, String> {
    let no_files = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let text = format!(
        "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {{name: t, revision: 1}}\n\
         gates: {{strict: {{deny: [{{severity: critical}}]}}}}\n\
         approvalPolicies:\n  plain: {{approvers: [\"group:a\"]}}\n  eyes:\n    \
         approvers: [\"group:a\"]\n    {text}\n\
         rules:\n- {{id: a, match: [\"up.test/**\"], trust: approve, {rule}}}\n"
    );
    Policy::parse(&text, &no_files)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

const SCANS: &str = "gates: [strict], approval: {policy: eyes}";

fn approval(text: &str) -> ApprovalPolicy {
    let policy = parse(text, SCANS).expect("a policy");
    policy.rules()[0].approval().expect("an approval policy").as_ref().clone()
}

/// Holds each text against all that is told of it.
fn assert_told(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(parse(text, SCANS).map(drop), Err((*expected).to_owned()), "{text}");
    }
}

#[test]
fn what_becomes_of_a_new_finding_is_one_of_three_with_a_grace_or_without() {
    let hours = |grace: crate::policy::Grace| {
        [Rating::Critical, Rating::High].map(|rating| grace.of(rating).as_secs() / 3600)
    };
    for (text, expected) in [
        ("hold", Some(("hold", [0, 0]))),
        ("{action: hold, grace: {critical: 24h, high: 7d}}", Some(("hold", [24, 168]))),
        ("{action: hold, grace: {critical: 24h}}", Some(("hold", [24, 24]))),
        ("{action: hold, grace: {high: 24h}}", Some(("hold", [0, 24]))),
        ("{action: revoke, grace: {}}", Some(("revoke", [0, 0]))),
        ("revoke", Some(("revoke", [0, 0]))),
        ("serve", Some(("serve", [0, 0]))),
    ] {
        let found = approval(&format!("onNewFinding: {text}")).on_new_finding();
        let found = found.map(|action| match action {
            UnseenFinding::Hold(grace) => ("hold", hours(grace)),
            UnseenFinding::Revoke(grace) => ("revoke", hours(grace)),
            UnseenFinding::Serve => ("serve", [0, 0]),
        });
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(approval("quorum: 1").on_new_finding(), None);
}

#[test]
fn a_new_finding_that_is_written_wrong_is_told_with_its_place() {
    assert_told(&[
        (
            "onNewFinding: ask",
            "line 9:19   approvalPolicies.eyes.onNewFinding  \"ask\" is not one of: hold, revoke, serve",
        ),
        (
            "onNewFinding: {action: ask}",
            "line 9:28   approvalPolicies.eyes.onNewFinding.action  \"ask\" is not one of: hold, revoke, serve",
        ),
        (
            "onNewFinding: {grace: {high: 7d}}",
            "line 9:19   approvalPolicies.eyes.onNewFinding.action  is missing; write action: hold",
        ),
        (
            "onNewFinding: {}",
            "line 9:19   approvalPolicies.eyes.onNewFinding.action  is missing; write action: hold",
        ),
        (
            "onNewFinding: [hold]",
            "line 9:19   approvalPolicies.eyes.onNewFinding  must be a text, this is a list",
        ),
        (
            "onNewFinding: {action: serve, grace: {high: 7d}}",
            "line 9:42   approvalPolicies.eyes.onNewFinding.grace  has no effect on what is served on; write action: hold",
        ),
        (
            "onNewFinding: {action: hold, grace: {medium: 7d}}",
            "line 9:42   approvalPolicies.eyes.onNewFinding.grace.medium  unknown key; known here: critical, high",
        ),
        (
            "onNewFinding: {action: hold, grace: {critical: 7d, high: 1d}}",
            "line 9:41   approvalPolicies.eyes.onNewFinding.grace  gives what is worse more time than what is less bad",
        ),
        (
            "onNewFinding: {action: hold, grace: {high: 0h}}",
            "line 9:48   approvalPolicies.eyes.onNewFinding.grace.high  must be a time like 12h or 7d",
        ),
    ]);
}

#[test]
fn when_it_is_looked_again_is_a_time_of_hours_or_days() {
    for (text, hours) in [
        ("reEvaluate: {every: 1h}", Some(1)),
        ("reEvaluate: {every: 7d, on: [new-cve]}", Some(168)),
        ("reEvaluate: {on: [policy-change, upstream-tag-moved]}", None),
        ("quorum: 1", None),
    ] {
        let found = approval(text).looks_again_after();
        assert_eq!(found, hours.map(Duration::from_hours), "{text}");
    }
}

#[test]
fn looking_again_that_is_written_wrong_is_told_with_its_place() {
    for every in ["0", "0h", "0d", "59m", "90s", "1.5h", "24", "-1h", "100000d", "daily"] {
        let text = format!("reEvaluate: {{every: {every}}}");
        let told =
            "line 9:25   approvalPolicies.eyes.reEvaluate.every  must be a time like 12h or 7d";
        assert_eq!(parse(&text, SCANS).map(drop), Err(told.to_owned()), "{text}");
    }
    assert_told(&[
        (
            "reEvaluate: {}",
            "line 9:17   approvalPolicies.eyes.reEvaluate  says nothing; write every: 24h, or on: [new-cve]",
        ),
        (
            "reEvaluate: 24h",
            "line 9:17   approvalPolicies.eyes.reEvaluate  must be a map, this is a text",
        ),
        (
            "reEvaluate: {on: []}",
            "line 9:22   approvalPolicies.eyes.reEvaluate.on  is an empty list; fill it or remove the key",
        ),
        (
            "reEvaluate: {on: [new-cve, new-cve]}",
            "line 9:32   approvalPolicies.eyes.reEvaluate.on[1]  is listed twice; keep one",
        ),
        (
            "reEvaluate: {on: [full-moon]}",
            "line 9:23   approvalPolicies.eyes.reEvaluate.on[0]  \"full-moon\" is not one of: new-cve, policy-change, signer-revoked, upstream-tag-moved",
        ),
        (
            "reEvaluate: {after: 24h}",
            "line 9:17   approvalPolicies.eyes.reEvaluate  says nothing; write every: 24h, or on: [new-cve]\n\
             line 9:18   approvalPolicies.eyes.reEvaluate.after  unknown key; known here: every, on",
        ),
    ]);
}

#[test]
fn what_is_compared_takes_a_gate_that_scans_here_in_each_rule_that_counts_such_approvals() {
    const HOLD: &str = "onNewFinding: hold";
    let told = |place: &str, path: &str| {
        format!(
            "line {place:<6} rules[0].approval.{path}  asks about findings (onNewFinding), and no gate of the rule \
             scans; name one that scans here"
        )
    };
    let carries = |rest: &str| {
        format!("approval: {{carries: {{from: [\"up.test/team/**\"], policies: [eyes]}}, {rest}}}")
    };
    let named = parse(HOLD, "approval: {policy: eyes}").map(drop);
    assert_eq!(named, Err(told("11:60", "policy")));
    let elsewhere = parse(HOLD, &carries("policy: plain")).map(drop);
    assert_eq!(elsewhere, Err(told("11:109", "carries.policies[0]")));
    for rule in [SCANS, "approval: {policy: plain}"] {
        assert!(parse(HOLD, rule).is_ok(), "{rule}");
    }
    assert!(parse(HOLD, &format!("gates: [strict], {}", carries("policy: plain"))).is_ok());
    assert!(parse("quorum: 1", &carries("policy: plain")).is_ok());
}
