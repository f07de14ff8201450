//! What becomes of an approval, when something is found that nobody was shown.

use std::time::Duration;

use super::scan::tests::{codes, decided, found, report, scanned, scans};
use super::tests::{NOW, context, policy, subject};
use super::*;
use crate::scan::{Finding, Inventory, Severity};

const HOLD: &str = "onNewFinding: {action: hold, grace: {critical: 24h, high: 7d}}";
const AT_ONCE: &str = "onNewFinding: hold";

fn asks(action: &str, rest: &str) -> ReadyPolicy {
    policy(&format!(
        "approvalPolicies: {{eyes: {{approvers: [\"group:a\"], {action}}}}}\n\
         gates: {{strict: {{deny: [{{severity: critical}}]}}}}\n{rest}\nrules:\n\
         - {{id: a, match: [\"up.test/**\"], trust: approve, gates: [strict], approval: {{policy: eyes}}}}\n"
    ))
}

fn now(hours: u64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap().after(Duration::from_hours(hours))
}

fn of(id: &str, severity: Severity) -> Finding {
    found(id, Some(severity))
}

fn exploited(id: &str, severity: Severity) -> Finding {
    Finding { exploited: true, ..of(id, severity) }
}

fn known(findings: Vec<Finding>) -> Scans {
    scans(vec![("i", Inventory::default(), report(findings))])
}

fn evidence_of() -> Evidence {
    scanned(&[(subject("up.test/a").digest, "i")])
}

/// An approval of people who were shown `findings`; `None` is one that does not say.
fn approved(findings: Option<Vec<Finding>>) -> Standing {
    let seen = findings.map(|it| SeenFindings::of(&evidence_of(), &known(it)).expect("scanned"));
    Standing::Approved {
        by: "alice".to_owned(),
        at: now(0),
        expires: None,
        reason: "looked at it".to_owned(),
        voters: Vec::new(),
        files: Vec::new(),
        seen: seen.map(Box::new),
    }
}

/// What is decided at that hour, after `before`, by what is known then.
fn judged(
    policy: &ReadyPolicy,
    standing: &Standing,
    findings: Vec<Finding>,
    (before, hours): (Option<&Judgement>, u64),
) -> Judgement {
    let scans = known(findings);
    let none = BTreeMap::new();
    let context = Context {
        scans: &scans,
        standing: Some(standing),
        passed: before.and_then(|before| before.passed.as_deref()),
        unseen: before.map_or(&none, |before| &before.unseen),
        now: now(hours),
        ..context(policy)
    };
    decided(decide(&subject("up.test/a"), &evidence_of(), &context))
}

fn approval_of(judgement: &Judgement) -> &Check {
    judgement.checks.iter().find(|check| check.name == "approval").unwrap()
}

#[test]
fn what_nobody_was_shown_is_served_for_its_grace_then_people_are_asked_again() {
    let policy = asks(HOLD, "");
    let shown = || vec![of("CVE-1", Severity::High)];
    let standing = approved(Some(shown()));
    let first = judged(&policy, &standing, shown(), (None, 0));
    assert!(first.admits() && first.unseen.is_empty(), "{first:?}");
    let both = || vec![of("CVE-1", Severity::High), of("CVE-2", Severity::Critical)];
    let grace = judged(&policy, &standing, both(), (Some(&first), 1));
    assert!(grace.admits(), "{grace:?}");
    assert_eq!(grace.good_until, Some(now(25)), "it is judged again when the grace is over");
    assert!(approval_of(&grace).text.contains("served on with CVE-2 in openssl"), "{grace:?}");
    let later = judged(&policy, &standing, both(), (Some(&grace), 24));
    assert!(later.admits() && later.unseen == grace.unseen, "the grace does not begin again");
    let over = judged(&policy, &standing, both(), (Some(&later), 25));
    assert_eq!(codes(&over), [ReasonCode::FoundSinceApproval]);
    assert!(matches!(over.verdict, Verdict::Pending(_)) && over.asks_again(), "{over:?}");
    let told = phrase(&over, None, None);
    assert!(told.contains("CVE-2 in openssl"), "{told}");
    assert!(over.passed.is_some(), "the gate let it pass as before");
    // Who approves again was shown both.
    let again = judged(&policy, &approved(Some(both())), both(), (Some(&over), 26));
    assert!(again.admits() && again.unseen.is_empty(), "{again:?}");
}

#[test]
fn what_is_exploited_has_no_grace_and_malware_is_refused() {
    let policy = asks(HOLD, "");
    let standing = approved(Some(Vec::new()));
    let first = judged(&policy, &standing, Vec::new(), (None, 0));
    let kev = vec![exploited("CVE-1", Severity::Low)];
    let held = judged(&policy, &standing, kev, (Some(&first), 0));
    assert_eq!(codes(&held), [ReasonCode::FoundSinceApproval], "however bad it is rated");
    let malware = Finding { malware: true, ..found("MAL-1", None) };
    let refused = judged(&policy, &standing, vec![malware], (Some(&first), 0));
    assert!(matches!(refused.verdict, Verdict::Deny(_)), "{refused:?}");
    assert_eq!(codes(&refused), [ReasonCode::Malware]);
}

#[test]
fn what_was_shown_counts_as_shown_only_as_bad_as_it_was() {
    let policy = asks(AT_ONCE, "");
    let standing = approved(Some(vec![of("CVE-1", Severity::High)]));
    let first = judged(&policy, &standing, vec![of("CVE-1", Severity::High)], (None, 0));
    for (now, asked) in [
        (of("CVE-1", Severity::High), false),
        (of("CVE-1", Severity::Medium), false),
        (of("CVE-9", Severity::Medium), false),
        (of("CVE-1", Severity::Critical), true),
        (exploited("CVE-1", Severity::High), true),
        (exploited("CVE-1", Severity::Low), true),
        (of("CVE-9", Severity::High), true),
        (found("CVE-9", None), true),
        (Finding { kernel_headers: true, ..of("CVE-9", Severity::Critical) }, false),
    ] {
        let judged = judged(&policy, &standing, vec![now.clone()], (Some(&first), 0));
        assert_eq!(judged.asks_again(), asked, "{now:?} {judged:?}");
        assert_eq!(judged.admits(), !asked);
    }
    let standing = approved(Some(vec![exploited("CVE-1", Severity::Critical)]));
    for shown in [of("CVE-1", Severity::High), exploited("CVE-1", Severity::High)] {
        let judged = judged(&policy, &standing, vec![shown], (Some(&first), 0));
        assert!(judged.admits(), "it was shown as worse: {judged:?}");
    }
}

#[test]
fn an_approval_that_does_not_say_what_was_shown_showed_nothing() {
    let one = || vec![of("CVE-1", Severity::High)];
    let held = judged(&asks(AT_ONCE, ""), &approved(None), one(), (None, 0));
    assert_eq!(codes(&held), [ReasonCode::FoundSinceApproval]);
    let clean = judged(&asks(AT_ONCE, ""), &approved(None), Vec::new(), (None, 0));
    assert!(clean.admits(), "{clean:?}");
}

#[test]
fn each_action_does_what_it_says_and_nothing_is_done_where_nothing_is_said() {
    let shown = approved(Some(Vec::new()));
    let one = || vec![of("CVE-1", Severity::High)];
    for (action, code, told) in [
        ("quorum: 1", None, false),
        ("onNewFinding: serve", None, true),
        ("onNewFinding: {action: serve}", None, true),
        (AT_ONCE, Some(ReasonCode::FoundSinceApproval), true),
        ("onNewFinding: revoke", Some(ReasonCode::Vulnerable), true),
        ("onNewFinding: {action: revoke, grace: {high: 1h}}", None, true),
    ] {
        let policy = asks(action, "");
        let first = judged(&policy, &shown, Vec::new(), (None, 0));
        let judged = judged(&policy, &shown, one(), (Some(&first), 0));
        assert_eq!(codes(&judged), code.into_iter().collect::<Vec<_>>(), "{action}");
        assert_eq!(!judged.unseen.is_empty(), told, "{action}");
        assert_eq!(approval_of(&judged).text.contains("CVE-1"), told, "{action}");
    }
    let takes_back = asks("onNewFinding: revoke", "");
    let revoked = judged(&takes_back, &shown, one(), (None, 0));
    assert!(matches!(revoked.verdict, Verdict::Deny(_)), "{revoked:?}");
}

#[test]
fn what_is_excepted_is_no_reason_to_ask_until_the_exception_ends() {
    let exception = "exceptions: [{id: W-1, match: up.test/a, check: {vulnerability: CVE-1}, \
                     reason: tried, expires: 2026-11-21T10:00:00Z}]";
    let policy = asks(AT_ONCE, exception);
    let standing = approved(Some(Vec::new()));
    let one = || vec![of("CVE-1", Severity::High)];
    let first = judged(&policy, &standing, one(), (None, 0));
    assert!(first.admits() && first.unseen.is_empty(), "{first:?}");
    assert_eq!(first.good_until, Some(now(24)), "the end of the exception");
    let over = judged(&policy, &standing, one(), (Some(&first), 25));
    assert_eq!(codes(&over), [ReasonCode::FoundSinceApproval]);
}

#[test]
fn a_grace_outlives_a_refusal_and_no_clock_makes_it_longer() {
    let policy = asks(HOLD, "");
    let standing = approved(Some(Vec::new()));
    let one = || vec![of("CVE-1", Severity::Critical)];
    let first = judged(&policy, &standing, Vec::new(), (None, 10));
    let grace = judged(&policy, &standing, one(), (Some(&first), 10));
    // Without what it passed the gate refuses it, and what was found when is kept.
    let forgotten = Judgement { passed: None, ..grace.clone() };
    let denied = judged(&policy, &standing, one(), (Some(&forgotten), 11));
    assert_eq!(codes(&denied), [ReasonCode::Vulnerable]);
    assert_eq!(denied.unseen, grace.unseen);
    // The clock is set back and forth: it began no later than it was seen to.
    let back = judged(&policy, &standing, one(), (Some(&grace), 2));
    assert_eq!(back.unseen.values().collect::<Vec<_>>(), [&now(2)]);
    let over = judged(&policy, &standing, one(), (Some(&back), 26));
    assert_eq!(codes(&over), [ReasonCode::FoundSinceApproval]);
}

#[test]
fn nothing_is_served_on_against_what_nobody_was_shown() {
    let policy = asks(AT_ONCE, "");
    let (standing, scans) = (approved(Some(Vec::new())), known(vec![of("CVE-1", Severity::High)]));
    let context = Context { scans: &scans, standing: Some(&standing), ..context(&policy) };
    let known = decided(known_against(&subject("up.test/a"), &evidence_of(), &context));
    assert_eq!(codes(&known), [ReasonCode::FoundSinceApproval]);
}

#[test]
fn more_than_is_kept_counts_as_nothing_shown_and_so_does_what_was_not_scanned() {
    let many = |count: usize| -> Vec<Finding> {
        (0..count).map(|i| of(&format!("CVE-{i}"), Severity::High)).collect()
    };
    let of = |count| SeenFindings::of(&evidence_of(), &known(many(count)));
    assert_eq!(of(SeenFindings::MAX).map(|seen| seen.count()), Some(SeenFindings::MAX));
    assert_eq!(of(SeenFindings::MAX + 1), None);
    assert_eq!(SeenFindings::of(&evidence_of(), &Scans::default()), None);
    assert_eq!(SeenFindings::of(&Evidence::default(), &known(Vec::new())), None);
}

#[test]
fn a_break_glass_that_does_not_override_approvals_heeds_what_nobody_was_shown() {
    let standing = approved(Some(Vec::new()));
    let scans = known(vec![of("CVE-1", Severity::High)]);
    let until = now(2);
    let emergency = Some(Emergency { id: "B-3".parse().unwrap(), until });
    for (kept, serves) in [("", true), (", cannotOverride: [approval]", false)] {
        let glass = format!("breakGlass: {{who: [\"group:oncall\"]{kept}}}");
        let policy = asks(AT_ONCE, &glass);
        let context =
            Context { scans: &scans, standing: Some(&standing), emergency, ..context(&policy) };
        let judged = decided(decide(&subject("up.test/a"), &evidence_of(), &context));
        assert_eq!(judged.served_by().is_some(), serves, "{kept} {judged:?}");
    }
}
