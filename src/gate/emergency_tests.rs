//! What a break-glass has served, what it does not override, and that it admits nothing.

use super::scan::tests::{found, report, scanned, scans};
use super::tests::{codes, context, decided, evidence, facts, policy, revoked, subject};
use super::*;
use crate::scan::{Inventory, Severity};

const GLASS: &str = "breakGlass: {who: [\"group:oncall\"]";
const RULES: &str = r#"
- {id: asked, match: ["up.test/asked"], trust: approve}
- {id: shut, match: ["up.test/shut"], trust: deny}
- {id: watched, match: ["up.test/watched"], trust: deny, mode: audit}
- {id: open, match: ["up.test/open"], trust: allow}
"#;

/// A policy with the floor `floor` and a glass that may be broken, but for `kept`.
fn glass(floor: &str, kept: &str) -> ReadyPolicy {
    policy(&format!("floor: {{registries: [up.test]{floor}}}\n{GLASS}{kept}}}\nrules:{RULES}"))
}

fn emergency() -> Emergency {
    let until = "2026-11-20T12:00:00Z".parse().unwrap();
    Emergency { id: "B-3".parse().unwrap(), until }
}

fn in_emergency(policy: &ReadyPolicy) -> Context<'_> {
    Context { emergency: Some(emergency()), ..context(policy) }
}

#[track_caller]
fn judged(name: &str, evidence: &Evidence, context: &Context<'_>) -> Judgement {
    decided(decide(&subject(name), evidence, context))
}

#[test]
fn it_serves_what_is_denied_unlisted_or_waits_and_admits_nothing() {
    let policy = glass("", "");
    for (name, code) in [
        ("up.test/shut", ReasonCode::DeniedByRule),
        ("up.test/unlisted", ReasonCode::NoRule),
        ("up.test/asked", ReasonCode::ApprovalNeeded),
    ] {
        let seen = evidence(facts());
        let without = judged(name, &seen, &context(&policy));
        assert_eq!((without.served_by(), codes(&without)), (None, vec![code]), "{name}");
        let with = judged(name, &seen, &in_emergency(&policy));
        assert!(!with.admits(), "{name}: the verdict stays what it is");
        assert_eq!((&with.verdict, &with.rule), (&without.verdict, &without.rule), "{name}");
        let by = with.served_by().expect("served");
        assert_eq!((by.id.to_string(), by.until), ("B-3".to_owned(), emergency().until));
        assert_eq!(with.good_until, Some(by.until));
        let told = with.checks.last().unwrap();
        assert_eq!(told.text, "admitted by break-glass B-3 until 2026-11-20T12:00:00Z");
    }
    let open = judged("up.test/open", &evidence(facts()), &in_emergency(&policy));
    assert!(open.admits() && open.by_emergency.is_none(), "it needs none");
    let watched = judged("up.test/watched", &evidence(facts()), &in_emergency(&policy));
    assert!(!watched.enforced && watched.served_by().is_none(), "it is served anyhow");
}

#[test]
fn it_ends_at_its_moment_and_without_the_block_there_is_none() {
    let allowed = glass("", "");
    let until = emergency().until;
    let last = Timestamp::from_milliseconds(until.milliseconds() - 1);
    for (now, serves) in [(last, true), (until, false)] {
        let context = Context { now, ..in_emergency(&allowed) };
        let judgement = judged("up.test/shut", &evidence(facts()), &context);
        assert_eq!(judgement.served_by().is_some(), serves, "{now}");
    }
    let silent = policy(&format!("rules:{RULES}"));
    let elsewhere = glass("", ", match: [\"up.test/other\"]");
    for policy in [&silent, &elsewhere] {
        let judgement = judged("up.test/shut", &evidence(facts()), &in_emergency(policy));
        assert!(judgement.served_by().is_none());
        assert!(!judgement.by_emergency.unwrap().serves);
    }
}

#[test]
fn the_lists_and_bounds_of_the_floor_hold_and_so_does_what_people_said() {
    let digest = subject("up.test/shut").digest;
    let listed = format!(", denyImages: [{{digest: \"{digest}\", reason: backdoor}}]");
    let holds = |policy: &ReadyPolicy, seen: &Evidence, name: &str, code: ReasonCode| {
        let judgement = judged(name, seen, &in_emergency(policy));
        assert!(judgement.served_by().is_none(), "{code:?}");
        assert!(codes(&judgement).contains(&code), "{code:?}: {:?}", codes(&judgement));
        assert!(!judgement.by_emergency.unwrap().serves, "{code:?}");
    };
    holds(&glass(&listed, ""), &evidence(facts()), "up.test/shut", ReasonCode::DeniedImage);
    let plain = glass("", "");
    holds(&plain, &evidence(facts()), "other.test/a", ReasonCode::RegistryNotAllowed);
    let child = Digest::sha256(b"child");
    let listed = format!(", denyImages: [{{digest: \"{child}\", reason: backdoor}}]");
    let index = ManifestFacts { is_index: true, children: vec![child], ..facts() };
    holds(&glass(&listed, ""), &evidence(index), "up.test/shut", ReasonCode::DeniedImage);
    let broken = ManifestFacts { malformed: Some("two names".to_owned()), ..facts() };
    holds(&plain, &evidence(broken), "up.test/shut", ReasonCode::Malformed);
    let foreign = ManifestFacts { foreign_layer: Some(child), ..facts() };
    holds(&plain, &evidence(foreign), "up.test/shut", ReasonCode::ForeignLayer);
    let few = glass(", limits: {layers: 2}", "");
    holds(&few, &evidence(facts()), "up.test/asked", ReasonCode::TooManyLayers);
    let arm = glass(", platforms: [linux/arm64]", "");
    holds(&arm, &evidence(facts()), "up.test/asked", ReasonCode::PlatformNotAllowed);
    let gone = Evidence { manifest: Gathered::Absent, ..evidence(facts()) };
    holds(&plain, &gone, "up.test/asked", ReasonCode::NotFound);
    let revoked = revoked();
    let context = Context { standing: Some(&revoked), ..in_emergency(&plain) };
    let judgement = judged("up.test/shut", &evidence(facts()), &context);
    assert!(judgement.served_by().is_none(), "people take back what people refused");
}

#[test]
fn what_could_not_be_decided_is_served_unless_the_floor_needs_it() {
    let signed = "signatures: {atLeast: 1, of: [team]}";
    let pem = include_str!("../../tests/fixtures/signatures/p256.pub");
    let indented: Vec<String> = pem.lines().map(|line| format!("      {line}")).collect();
    let rule = format!(
        "{GLASS}}}\nsigners:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{}\n\
         rules:\n- {{id: a, match: [\"up.test/**\"], trust: allow, {signed}}}\n",
        indented.join("\n")
    );
    let asked = policy(&rule);
    let failed = Evidence {
        signatures: Gathered::Failed("upstream is away".to_owned()),
        ..evidence(facts())
    };
    let before = decide(&subject("up.test/a"), &failed, &context(&asked));
    assert!(matches!(before, Outcome::Undecided(_)), "{before:?}");
    let judgement = judged("up.test/a", &failed, &in_emergency(&asked));
    assert!(judgement.served_by().is_some() && !judgement.admits());
    assert_eq!(codes(&judgement), [ReasonCode::EvidenceUnavailable]);
    assert_eq!(judgement.rule.unwrap().as_str(), "a");
    // What is not there yet is gathered first, so that the reasons are told.
    let fresh = Evidence { signatures: Gathered::NotGathered, ..evidence(facts()) };
    let outcome = decide(&subject("up.test/a"), &fresh, &in_emergency(&asked));
    assert!(matches!(outcome, Outcome::Missing(_)), "{outcome:?}");
    // The manifest is what is served.
    let unread = Evidence { manifest: Gathered::Failed("away".to_owned()), ..evidence(facts()) };
    let outcome = decide(&subject("up.test/a"), &unread, &in_emergency(&asked));
    assert!(matches!(outcome, Outcome::Undecided(_)), "{outcome:?}");
    // Where the policy keeps signatures, what cannot be verified is not served.
    let kept = policy(&rule.replace("oncall\"]}", "oncall\"], cannotOverride: [signatures]}"));
    let outcome = decide(&subject("up.test/a"), &failed, &in_emergency(&kept));
    assert!(matches!(outcome, Outcome::Undecided(_)), "{outcome:?}");
    let unsigned = judged("up.test/a", &evidence(facts()), &in_emergency(&kept));
    assert!(unsigned.served_by().is_none());
    assert_eq!(codes(&unsigned), [ReasonCode::Unsigned]);
    assert!(judged("up.test/a", &evidence(facts()), &in_emergency(&asked)).served_by().is_some());
}

#[test]
fn where_the_floor_refuses_malware_nothing_is_served_that_was_not_scanned() {
    let floor = ", vulnerabilities: {denyMalware: true}";
    let floored = glass(floor, "");
    for name in ["up.test/shut", "up.test/unlisted", "up.test/asked"] {
        let outcome = decide(&subject(name), &evidence(facts()), &in_emergency(&floored));
        assert_eq!(outcome, Outcome::Missing(vec![EvidenceKind::Scan]), "{name}");
        let failed = Evidence { scan: Gathered::Failed("away".to_owned()), ..evidence(facts()) };
        let outcome = decide(&subject(name), &failed, &in_emergency(&floored));
        assert!(matches!(outcome, Outcome::Undecided(_)), "{name}: {outcome:?}");
    }
    let digest = subject("up.test/shut").digest;
    let seen = scanned(&[(digest, "i")]);
    let clean = scans(vec![("i", Inventory::default(), report(Vec::new()))]);
    let context = Context { scans: &clean, ..in_emergency(&floored) };
    assert!(judged("up.test/shut", &seen, &context).served_by().is_some());
    let bad = crate::scan::Finding { malware: true, ..found("MAL-1", None) };
    let bad = scans(vec![("i", Inventory::default(), report(vec![bad]))]);
    let context = Context { scans: &bad, ..in_emergency(&floored) };
    let judgement = judged("up.test/shut", &seen, &context);
    assert!(judgement.served_by().is_none());
    assert_eq!(codes(&judgement), [ReasonCode::Malware, ReasonCode::DeniedByRule]);
    let lost = Scans { no_database: Some("there is none".to_owned()), ..Scans::default() };
    let context = Context { scans: &lost, ..in_emergency(&floored) };
    let outcome = decide(&subject("up.test/shut"), &seen, &context);
    assert!(matches!(outcome, Outcome::Undecided(_)), "{outcome:?}");
}

#[test]
fn what_is_exploited_holds_where_the_policy_says_so_and_a_gate_of_a_rule_holds_for_malware_alone() {
    let floor = ", vulnerabilities: {denyKEV: true}";
    let exploited = crate::scan::Finding { exploited: true, ..found("CVE-1", None) };
    let digest = subject("up.test/shut").digest;
    let seen = scanned(&[(digest, "i")]);
    let known = scans(vec![("i", Inventory::default(), report(vec![exploited]))]);
    let kept = ", cannotOverride: [floor.vulnerabilities.denyKEV]";
    for (kept, serves) in [("", true), (kept, false)] {
        let policy = glass(floor, kept);
        let context = Context { scans: &known, ..in_emergency(&policy) };
        let judgement = judged("up.test/asked", &seen, &context);
        assert_eq!(judgement.served_by().is_some(), serves, "{kept}");
        assert!(codes(&judgement).contains(&ReasonCode::Vulnerable), "{kept}");
    }
    let gated = policy(&format!(
        "{GLASS}}}\ngates: {{strict: {{deny: [{{severity: high}}]}}}}\n\
         rules:\n- {{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}}\n"
    ));
    let malware = crate::scan::Finding { malware: true, ..found("MAL-1", None) };
    let high = found("CVE-2", Some(Severity::High));
    for (finding, serves) in [(high, true), (malware, false)] {
        let known = scans(vec![("i", Inventory::default(), report(vec![finding]))]);
        let context = Context { scans: &known, ..in_emergency(&gated) };
        let judgement = judged("up.test/shut", &seen, &context);
        assert!(!judgement.admits());
        assert_eq!(judgement.served_by().is_some(), serves);
    }
    let failed = Evidence { scan: Gathered::Failed("away".to_owned()), ..evidence(facts()) };
    let judgement = judged("up.test/shut", &failed, &in_emergency(&gated));
    assert!(judgement.served_by().is_some(), "the floor does not ask for it");
}

#[test]
fn what_the_policy_keeps_is_kept() {
    for (kept, name, serves) in [
        ("", "up.test/asked", true),
        (", cannotOverride: [approval]", "up.test/asked", false),
        (", cannotOverride: [approval]", "up.test/shut", true),
        (", cannotOverride: [rules]", "up.test/shut", false),
        (", cannotOverride: [rules]", "up.test/unlisted", false),
        (", cannotOverride: [rules]", "up.test/asked", true),
        (", cannotOverride: [attestations, gates, expressions]", "up.test/asked", true),
    ] {
        let policy = glass("", kept);
        let judgement = judged(name, &evidence(facts()), &in_emergency(&policy));
        assert_eq!(judgement.served_by().is_some(), serves, "{kept} {name}");
    }
}

#[test]
fn a_number_is_written_in_one_way_and_read_in_few() {
    for text in ["B-3", "b-3", "3"] {
        assert_eq!(text.parse::<EmergencyId>().unwrap().to_string(), "B-3", "{text}");
    }
    for text in ["", "B-", "B-0", "B-03", "R-3", "B--3", "B-3 ", "B-9999999999999999999"] {
        assert!(text.parse::<EmergencyId>().is_err(), "{text}");
    }
}
