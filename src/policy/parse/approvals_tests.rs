//! Who is asked, as policies write it.

use std::path::Path;
use std::time::Duration;

use super::super::{ApprovalPolicy, Policy};

const HEAD: &str = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n";

fn parse(approval: &str, rule: &str) -> Result<Policy, String> {
    let no_files = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let rules = format!("rules: [{{id: a, match: [\"up.test/**\"], {rule}}}]\n");
    let text = format!("{HEAD}approvalPolicies: {{eyes: {approval}}}\n{rules}");
    Policy::parse(&text, &no_files)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

const ASKING: &str = "trust: approve, approval: {policy: eyes}";

fn approval(text: &str) -> Result<ApprovalPolicy, String> {
    let policy = parse(text, ASKING)?;
    Ok(policy.rules()[0].approval().expect("a policy").as_ref().clone())
}

#[test]
fn one_of_the_approvers_is_asked_unless_more_is_written() {
    let plain = approval("{approvers: [\"group:security\"]}").unwrap();
    assert_eq!((plain.quorum(), plain.distinct_groups(), plain.self_approval()), (1, false, false));
    assert_eq!((plain.expires_after(), plain.pending_timeout()), (None, None));
    assert_eq!(
        (plain.requesters().len(), plain.to_string().as_str()),
        (0, "one of group:security")
    );
    let full = approval(
        "{requesters: [\"group:developers\"], approvers: [\"group:a\", \"user:b\"], quorum: 2,
          distinctGroups: true, selfApproval: true, binds: digest, expiresAfter: 90d,
          pendingTimeout: 12h}",
    )
    .unwrap();
    assert_eq!(full.to_string(), "2 of group:a, user:b, each from another");
    assert_eq!(full.expires_after(), Some(Duration::from_hours(90 * 24)));
    assert_eq!(full.pending_timeout(), Some(Duration::from_hours(12)));
    assert!(full.self_approval() && full.requesters()[0].to_string() == "group:developers");
}

#[test]
fn what_asks_nobody_or_can_never_be_reached_is_refused() {
    for (text, expected) in [
        ("{}", "approvalPolicies.eyes.approvers  is missing"),
        ("{approvers: []}", "approvers  is an empty list"),
        ("{approvers: [alice]}", "approvers[0]  \"alice\" names nobody; write group:NAME"),
        ("{approvers: [\"group:a\", \"group:a\"]}", "approvers[1]  is listed twice"),
        ("{approvers: [\"group:a\"], quorum: 0}", "quorum  must be a number from 1 to 10"),
        ("{approvers: [\"group:a\"], quorum: 11}", "quorum  must be a number from 1 to 10"),
        (
            "{approvers: [\"group:a\", \"group:b\"], quorum: 3, distinctGroups: true}",
            "can never be reached",
        ),
        ("{approvers: [\"group:a\"], selfApproval: perhaps}", "is not one of: true, false"),
        ("{approvers: [\"group:a\"], binds: tag}", "is not one of: digest"),
        ("{approvers: [\"group:a\"], expiresAfter: 90}", "must be a time like 12h or 7d"),
        ("{approvers: [\"group:a\"], quorums: 2}", "did you mean quorum?"),
    ] {
        let found = approval(text).unwrap_err();
        assert!(found.contains(expected), "{text}: {found}");
    }
}

#[test]
fn a_rule_names_an_approval_policy_that_there_is_and_asks_people() {
    const EYES: &str = "{approvers: [\"group:a\"]}";
    for (rule, expected) in [
        ("trust: allow, approval: {policy: eyes}", "approval  has no effect: nobody is asked"),
        ("trust: approve, approval: {policy: four-eyes}", "\"four-eyes\" is not among the"),
        ("trust: approve, approval: {}", "approval  says nothing; write policy: four-eyes"),
        ("trust: approve, approval: eyes", "approval  must be a map"),
    ] {
        let found = parse(EYES, rule).unwrap_err();
        assert!(found.contains(expected), "{rule}: {found}");
    }
    assert!(parse(EYES, "trust: approve").unwrap().rules()[0].approval().is_none());
}

#[test]
fn what_needs_nobodys_yes_is_told_apart_by_tags_and_signers() {
    const EYES: &str = "{approvers: [\"group:a\"]}";
    let standing =
        |text: &str| parse(EYES, &format!("trust: approve, approval: {{standing: [{text}]}}"));
    for (text, expected) in [
        ("{signers: [x]}", "standing[0].tags  is missing"),
        ("{tags: {exact: [\"1\"]}}", "standing[0].signers  is missing"),
        ("{tags: {exact: [\"1\"]}, signers: []}", "signers  is an empty list"),
        ("{tags: {exact: [\"1\"]}, signers: [x]}", "\"x\" is not among the signers"),
        (
            "{tags: {exact: [\"1\"]}, signers: [x]}",
            "findings  cannot be compared: no gate of the rule",
        ),
        ("{tags: {exact: [\"1\"]}, signers: [x], findings: few}", "is not one of: no-worse, any"),
        ("{tags: {semver: one}, signers: [x], findings: any}", "is not a range of versions"),
    ] {
        let found = standing(text).unwrap_err();
        assert!(found.contains(expected), "{text}: {found}");
    }
}

#[test]
fn approvals_of_other_names_count_only_where_they_are_named_narrowly() {
    let eyes = "{approvers: [\"group:a\"], binds: digest+children}";
    let asking = |carries: &str| {
        parse(eyes, &format!("trust: approve, approval: {{policy: eyes, carries: {carries}}}"))
    };
    let policy = asking("{from: [\"up.test/team/**\", \"b.test/te*\"], policies: [eyes]}").unwrap();
    let rule = &policy.rules()[0];
    assert!(rule.hears_elsewhere() && rule.approval().unwrap().covers_children());
    let carries = rule.carries().unwrap();
    for (name, covers) in
        [("up.test/team/a/b", true), ("b.test/tea", true), ("up.test/prod/a", false)]
    {
        assert_eq!(carries.covers(&name.parse().unwrap()), covers, "{name}");
    }
    let wide = "carries.from[0]  is too wide; write at least the registry and how the repository";
    for (carries, expected) in [
        ("{from: [\"**\"]}", "carries.from[0]"),
        ("{from: [\"up.test/**\"]}", wide),
        ("{from: [\"up.test/*\"]}", wide),
        ("{from: [\"*/team/**\"]}", "carries.from[0]"),
        ("{from: [\"u*/team/**\"]}", "carries.from[0]"),
        ("{from: [team]}", "carries.from[0]"),
        ("{policies: [eyes]}", "carries.from  is missing"),
        (
            "{from: [\"up.test/team/*\"], policies: [ears]}",
            "\"ears\" is not among the approvalPolicies",
        ),
        ("{from: [\"up.test/team/*\"], until: 1}", "carries.until  unknown key"),
    ] {
        let refused = asking(carries).unwrap_err();
        assert!(refused.contains(expected), "{carries}: {refused}");
    }
    let many = format!("{{from: [{}]}}", vec!["\"up.test/team/*\""; 21].join(", "));
    assert!(asking(&many).unwrap_err().contains("more than 20 entries"));
    let untrusting = parse(eyes, "trust: allow, approval: {carries: {from: [\"up.test/team/*\"]}}");
    assert!(untrusting.unwrap_err().contains("has no effect: nobody is asked"));
}

/// A document with `signers`, and one approval policy that says `approval`; `more` at its end.
fn with_signers(signers: &str, approval: &str, more: &str) -> Result<Policy, String> {
    let no_files = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let text = format!(
        "{HEAD}signers:\n{signers}approvalPolicies: {{eyes: {approval}}}\n\
         rules: [{{id: a, match: [\"up.test/**\"], {ASKING}}}]\n{more}"
    );
    Policy::parse(&text, &no_files)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn who_signs_files_is_a_key_of_the_policy_and_approves_images_only() {
    let key = |body: &str| {
        format!(
            "key: {{pem: \"-----BEGIN PUBLIC KEY-----\\n{body}\\n-----END PUBLIC KEY-----\\n\"}}"
        )
    };
    let signers = format!(
        "  alice: {{{}, transparencyLog: none}}\n  logged: {{{}, transparencyLog: public-good}}\n  \
         ci: {{keyless: {{issuer: \"https://i.test\", subject: \"a@b.test\"}}}}\n",
        key("QUJD"),
        key("REVG")
    );
    let signers = signers.as_str();
    let good = with_signers(signers, "{approvers: [\"signer:alice\", \"group:a\"]}", "").unwrap();
    let rule = good.rules()[0].approval().expect("a policy");
    assert_eq!(rule.signers().collect::<Vec<_>>(), ["alice"]);
    for (approval, more, expected) in [
        (
            "{approvers: [\"signer:bob\"]}",
            "",
            "approvers[0]  signer \"bob\" is not among the signers",
        ),
        ("{approvers: [\"signer:logged\"]}", "", "signs into a log"),
        ("{approvers: [\"group:a\", \"signer:ci\"]}", "", "approvers[1]  signer \"ci\" is no key"),
        (
            "{approvers: [\"group:a\"], requesters: [\"signer:alice\"]}",
            "",
            "requesters[0]  \"signer:alice\" signs approval files, which do nothing here",
        ),
        (
            "{approvers: [\"group:a\"]}",
            "breakGlass: {who: [\"signer:alice\"], maxTTL: 1h}\n",
            "breakGlass.who[0]  \"signer:alice\" signs approval files",
        ),
        (
            "{approvers: [\"signer:alice\"]}",
            "defaults: {exceptionApproval: {policy: eyes}}\n",
            "files approve images only",
        ),
    ] {
        let found = with_signers(signers, approval, more).unwrap_err();
        assert!(found.contains(expected), "{expected}: {found}");
    }
}
