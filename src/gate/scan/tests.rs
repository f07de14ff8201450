//! What scans let pass, and what they refuse.

use std::collections::BTreeSet;

use super::*;
use crate::gate::Passed;
use crate::gate::against::REASONS_MAX;
use crate::gate::tests::{NOW, context, evidence, facts, policy, subject};
use crate::gate::{
    ChildImage, Judgement, ManifestFacts, Outcome, ReadyPolicy, ScannedImage, Verdict, decide,
    phrase,
};
use crate::scan::{
    DatabaseId, Finding as Found, Fix, Gap, GapKind, Package, PackageKind, Severity, Unmatched,
    UnmatchedKind,
};
use crate::time::Timestamp;

const GATE: &str = "deny: [{severity: high}]";

fn with_gate(gate: &str, rest: &str) -> ReadyPolicy {
    policy(&format!(
        "gates:\n  strict: {{{gate}}}\n{rest}\nrules:\n- {{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}}\n"
    ))
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn hours_ago(hours: u64) -> Timestamp {
    let before = i64::try_from(hours * 3_600_000).unwrap();
    Timestamp::from_milliseconds(now().milliseconds() - before)
}

pub(in crate::gate) fn found(id: &str, severity: Option<Severity>) -> Found {
    Found {
        id: id.to_owned(),
        aliases: ["DSA-1".to_owned()].into(),
        advisories: Vec::new(),
        package: Package::new(PackageKind::Deb, "openssl", "3.0.11", "var/lib/dpkg/status").into(),
        severity,
        score: None,
        fix: Fix::In("3.0.13".to_owned()),
        published: Some(hours_ago(1000)),
        exploited: false,
        likelihood: None,
        malware: false,
        kernel_headers: false,
    }
}

pub(in crate::gate) fn report(findings: Vec<Found>) -> Report {
    let database = DatabaseId { digest: Digest::sha256(b"db"), as_of: hours_ago(2) };
    let (exploited_as_of, likelihood_as_of) = (Some(hours_ago(2)), Some(hours_ago(2)));
    let (unmatched, gaps) = (Vec::new(), Vec::new());
    Report { database, exploited_as_of, likelihood_as_of, findings, unmatched, gaps }
}

pub(in crate::gate) fn scans(of: Vec<(&str, Inventory, Report)>) -> Scans {
    let known = of.into_iter().map(|(name, inventory, report)| {
        let (inventory, report) = (Arc::new(inventory), Arc::new(report));
        (Digest::sha256(name.as_bytes()), ImageScan { inventory, report, attested: Arc::default() })
    });
    Scans { known: known.collect(), ..Scans::default() }
}

pub(in crate::gate) fn scanned(images: &[(Digest, &str)]) -> Evidence {
    let image = |name: &str| ScannedImage {
        inventory: Some(Digest::sha256(name.as_bytes())),
        unread: Vec::new(),
        is_complete: true,
        read_by: Digest::sha256(b"all"),
        others: BTreeMap::new(),
    };
    let images = images.iter().map(|(digest, name)| (*digest, image(name))).collect();
    Evidence { scan: Gathered::Found(ScannedImages { images }), ..evidence(facts()) }
}

/// What is decided about one image with `inventory` and `report`.
fn outcome(policy: &ReadyPolicy, inventory: Inventory, report: Report) -> Outcome {
    let subject = subject("up.test/a");
    let scans = scans(vec![("i", inventory, report)]);
    let context = Context { scans: &scans, ..context(policy) };
    decide(&subject, &scanned(&[(subject.digest, "i")]), &context)
}

fn judged(policy: &ReadyPolicy, findings: Vec<Found>) -> Judgement {
    decided(outcome(policy, Inventory::default(), report(findings)))
}

pub(in crate::gate) fn decided(outcome: Outcome) -> Judgement {
    let Outcome::Decided(judgement) = outcome else { panic!("{outcome:?}") };
    judgement
}

pub(in crate::gate) fn codes(judgement: &Judgement) -> Vec<ReasonCode> {
    judgement.reasons().iter().map(|reason| reason.code).collect()
}

#[test]
fn a_report_that_was_cut_off_is_incomplete_whatever_is_allowed_for_the_unknown() {
    let text =
        "what is known is more than FINDINGS_MAX: the report is cut off at openssl".to_owned();
    let gap = Gap { kind: GapKind::Limit, path: None, layer: None, text };
    let cut = || Report { gaps: vec![gap.clone()], ..report(Vec::new()) };
    for (gate, verdict) in [
        ("deny: [{severity: high}], unknown: allow", vec![ReasonCode::ScanIncomplete]),
        ("deny: [{severity: high}], incomplete: allow", vec![]),
    ] {
        let judgement = decided(outcome(&with_gate(gate, ""), Inventory::default(), cut()));
        assert_eq!(codes(&judgement), verdict, "{gate}");
    }
}

#[test]
fn what_was_read_completely_and_has_nothing_against_it_passes() {
    let judgement = judged(&with_gate(GATE, ""), vec![found("CVE-1", Some(Severity::Medium))]);
    assert_eq!(judgement.verdict, Verdict::Admit);
    let check = judgement.checks.iter().find(|check| check.name == "scan").unwrap();
    assert_eq!(check.state, CheckState::Pass);
    assert_eq!(check.text, "0 packages, 1 medium found");
    assert_eq!(judgement.database.unwrap().digest, Digest::sha256(b"db"));
}

#[test]
fn a_refusal_names_vulnerability_package_and_versions() {
    let judgement = judged(&with_gate(GATE, ""), vec![found("CVE-2026-1", Some(Severity::High))]);
    assert_eq!(codes(&judgement), [ReasonCode::Vulnerable]);
    let text = "Denied by rule a: CVE-2026-1 in openssl 3.0.11, fixed in 3.0.13";
    assert!(
        phrase(&judgement, None, None).starts_with(text),
        "{:?}",
        phrase(&judgement, None, None)
    );
    let link = Some("https://mirror.corp/r/42");
    crate::gate::tests::assert_promised(&phrase(&judgement, Some("R-42"), link));
}

#[test]
fn a_finding_that_is_too_long_keeps_its_id_and_its_fix() {
    let name = "github.com/organisation/repository/some/very/deep/module";
    let package = Package::new(PackageKind::Deb, name, "3.0.11", "var/lib/dpkg/status").into();
    let long = Found { package, ..found("GHSA-aaaa-bbbb-cccc", Some(Severity::High)) };
    let judgement = judged(&with_gate(GATE, ""), vec![long]);
    let text = phrase(&judgement, Some("R-42"), Some("https://mirror.corp/r/42"));
    let begin = "Denied by rule a: GHSA-aaaa-bbbb-cccc in github.com/o...";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.contains(", fixed in 3.0.13, see https://mirror.corp/r/42"), "{text}");
}

#[test]
fn nothing_is_decided_before_it_was_looked_at() {
    let policy = with_gate(GATE, "");
    let subject = subject("up.test/a");
    let empty = scans(Vec::new());
    let missing = Outcome::Missing(vec![EvidenceKind::Scan]);
    let asked = |evidence: &Evidence, scans: &Scans| {
        decide(&subject, evidence, &Context { scans, ..context(&policy) })
    };
    assert_eq!(asked(&evidence(facts()), &empty), missing, "not gathered");
    let other = scanned(&[(Digest::sha256(b"other"), "i")]);
    assert_eq!(asked(&other, &empty), missing, "another image");
    let gone = scanned(&[(subject.digest, "i")]);
    assert_eq!(asked(&gone, &empty), missing, "the inventory is lost");
    let no_database = Scans { no_database: Some("there is none".to_owned()), ..empty.clone() };
    assert!(matches!(asked(&gone, &no_database), Outcome::Undecided(_)), "no database");
    let failed =
        Evidence { scan: Gathered::Failed("a layer is away".to_owned()), ..evidence(facts()) };
    assert!(matches!(asked(&failed, &empty), Outcome::Undecided(_)), "a layer is away");
}

#[test]
fn a_database_that_is_too_old_decides_nothing_new_and_takes_nothing_back() {
    let policy = with_gate("deny: [{severity: high}], scanner: {maxDbAge: 2d}", "");
    let subject = subject("up.test/a");
    let passed = Passed {
        gates: Digest::sha256(b"whichever"),
        images: BTreeMap::new(),
        known: BTreeSet::new(),
        found_since: BTreeMap::new(),
    };
    for (age, passed, decides) in
        [(47, None, true), (49, None, false), (49, Some(&passed), true), (47, Some(&passed), true)]
    {
        let mut report = report(Vec::new());
        report.database.as_of = hours_ago(age);
        let scans = scans(vec![("i", Inventory::default(), report)]);
        let context = Context { scans: &scans, passed, ..context(&policy) };
        let outcome = decide(&subject, &scanned(&[(subject.digest, "i")]), &context);
        assert_eq!(matches!(outcome, Outcome::Decided(_)), decides, "{age} {passed:?}");
        if !decides {
            let Outcome::Undecided(reasons) = outcome else { panic!("{outcome:?}") };
            assert!(reasons[0].text.contains("49 h old"), "{reasons:?}");
        }
    }
}

#[test]
fn what_passed_the_same_gates_is_served_on_unless_they_say_otherwise() {
    let subject = subject("up.test/a");
    let evidence = scanned(&[(subject.digest, "i")]);
    let high = || found("CVE-1", Some(Severity::High));
    let mut malware = found("MAL-1", None);
    malware.malware = true;
    let unknown =
        Unmatched { kind: UnmatchedKind::NoFeed, package: None, text: "3 npm packages".to_owned() };
    let since = |findings: Vec<Found>, gate: &str, same: bool| {
        let policy = with_gate(&format!("{GATE}, {gate}"), "");
        let clean = scans(vec![("i", Inventory::default(), report(Vec::new()))]);
        let before = Context { scans: &clean, ..context(&policy) };
        let mut before = decided(decide(&subject, &evidence, &before));
        if !same {
            before.passed.as_mut().unwrap().gates = Digest::sha256(b"other gates");
        }
        let found = Report { unmatched: vec![unknown.clone()], ..report(findings) };
        let scans = scans(vec![("i", Inventory::default(), found)]);
        let context =
            Context { scans: &scans, passed: before.passed.as_deref(), ..context(&policy) };
        decided(decide(&subject, &evidence, &context))
    };
    let served = since(vec![high()], "", true);
    assert!(served.admits());
    let check = served.checks.iter().find(|check| check.name == "scan").unwrap();
    assert!(check.text.contains("served on with 1 found since it was admitted"), "{}", check.text);
    assert_eq!(served.passed, since(vec![high()], "", true).passed);
    assert_eq!(codes(&since(vec![high(), malware], "", true)), [ReasonCode::Malware]);
    let both = [ReasonCode::Vulnerable, ReasonCode::ScanUnknown];
    assert_eq!(codes(&since(vec![high()], "onNewFinding: revoke", true)), both);
    assert_eq!(codes(&since(vec![high()], "", false)), both, "other gates are another question");
}

#[test]
fn an_old_database_is_complained_about() {
    let mut old = report(Vec::new());
    old.database.as_of = hours_ago(30);
    let judgement = decided(outcome(&with_gate(GATE, ""), Inventory::default(), old));
    assert!(judgement.admits());
    let check = judgement.checks.iter().find(|check| check.name == "scan").unwrap();
    assert!(check.text.ends_with("; vulnerability database is 30 h old"), "{}", check.text);
}

#[test]
fn what_could_not_be_read_or_is_not_known_is_refused_unless_the_policy_says_otherwise() {
    let gap = Gap {
        kind: GapKind::Malformed,
        path: Some("var/lib/dpkg/status".to_owned()),
        layer: None,
        text: "line 3 is no field".to_owned(),
    };
    let incomplete = Inventory { gaps: vec![gap], ..Inventory::default() };
    let unmatched = Unmatched {
        kind: UnmatchedKind::UnknownDistribution,
        package: None,
        text: "distribution acme 1".to_owned(),
    };
    let unknown = Report { unmatched: vec![unmatched], ..report(Vec::new()) };
    for (gate, admits) in [
        ("", false),
        ("incomplete: allow", false),
        ("unknown: allow", false),
        ("incomplete: allow, unknown: allow", true),
    ] {
        let policy = with_gate(&format!("{GATE}, {gate}"), "");
        let judgement = decided(outcome(&policy, incomplete.clone(), unknown.clone()));
        assert_eq!(judgement.admits(), admits, "{gate}");
        let codes = codes(&judgement);
        assert_eq!(codes.contains(&ReasonCode::ScanIncomplete), !gate.contains("incomplete"));
        assert_eq!(codes.contains(&ReasonCode::ScanUnknown), !gate.contains("unknown"));
    }
}

#[test]
fn what_nothing_can_be_read_of_is_incomplete() {
    let policy = with_gate(GATE, "");
    let subject = subject("up.test/a");
    let unread = vec!["layer 1 is no archive".to_owned()];
    let image = ScannedImage {
        inventory: None,
        unread,
        is_complete: true,
        read_by: Digest::sha256(b"all"),
        others: BTreeMap::new(),
    };
    let images = [(subject.digest, image)].into();
    let evidence =
        Evidence { scan: Gathered::Found(ScannedImages { images }), ..evidence(facts()) };
    let judgement = decided(decide(&subject, &evidence, &context(&policy)));
    assert_eq!(codes(&judgement), [ReasonCode::ScanIncomplete]);
    assert!(judgement.reasons()[0].text.contains("layer 1 is no archive"));
}

#[test]
fn what_is_no_image_passes_only_where_the_policy_says_so() {
    for (gate, admits) in [("", false), ("notApplicable: allow", true)] {
        let policy = with_gate(&format!("{GATE}, {gate}"), "");
        let mut facts = facts();
        facts.artifact_type = Some("application/vnd.acme".to_owned());
        let outcome = decide(&subject("up.test/a"), &evidence(facts), &context(&policy));
        let judgement = decided(outcome);
        assert_eq!(judgement.admits(), admits, "{gate}");
        let expected: &[ReasonCode] = if admits { &[] } else { &[ReasonCode::NotScannable] };
        assert_eq!(codes(&judgement), expected);
    }
}

#[test]
fn conditions_are_met_when_everything_that_they_say_is() {
    let base = || found("CVE-1", Some(Severity::High));
    let cases: [(&str, Found, bool); 22] = [
        ("severity: high", base(), true),
        ("severity: critical", base(), false),
        ("severity: none", Found { severity: Some(Severity::None), ..base() }, true),
        ("severity: critical", Found { severity: None, ..base() }, true),
        ("severity: high, fixable: true", base(), true),
        ("severity: high, fixable: true", Found { fix: Fix::None, ..base() }, false),
        ("severity: high, fixable: true", Found { fix: Fix::WillNot, ..base() }, false),
        ("severity: high, fixable: false", base(), false),
        ("severity: high, fixable: false", Found { fix: Fix::None, ..base() }, true),
        ("exploited: true", base(), false),
        ("exploited: true", Found { exploited: true, ..base() }, true),
        ("exploited: false, severity: low", Found { exploited: true, ..base() }, false),
        ("likelihood: 10%", base(), false),
        ("likelihood: 10%", Found { likelihood: Some(999), ..base() }, false),
        ("likelihood: 10%", Found { likelihood: Some(1000), ..base() }, true),
        ("severity: high, olderThan: 7d", base(), true),
        ("severity: high, olderThan: 60d", base(), false),
        ("severity: high, olderThan: 60d", Found { published: None, ..base() }, true),
        ("severity: critical, olderThan: 7d", base(), false),
        ("severity: high", Found { kernel_headers: true, ..base() }, false),
        ("exploited: true", Found { malware: true, severity: None, ..base() }, true),
        ("exploited: true", Found { malware: true, kernel_headers: true, ..base() }, true),
    ];
    for (condition, finding, refused) in cases {
        let policy = with_gate(&format!("deny: [{{{condition}}}]"), "");
        let judgement = judged(&policy, vec![finding.clone()]);
        assert_eq!(!judgement.admits(), refused, "{condition} {finding:?}");
    }
    let counting = with_gate(&format!("{GATE}, kernelHeaders: count"), "");
    let headers = Found { kernel_headers: true, ..base() };
    assert!(!judged(&counting, vec![headers]).admits());
}

#[test]
fn what_nobody_rates_counts_as_the_policy_says() {
    for (gate, admits) in [
        ("", false),
        ("unrated: critical", false),
        ("unrated: high", false),
        ("unrated: medium", true),
        ("unrated: none", true),
    ] {
        let policy = with_gate(&format!("{GATE}, {gate}"), "");
        assert_eq!(judged(&policy, vec![found("CVE-1", None)]).admits(), admits, "{gate}");
    }
}

#[test]
fn malware_comes_first_and_is_named() {
    let mut bad = found("MAL-2026-1", None);
    bad.malware = true;
    bad.package =
        Package::new(PackageKind::Npm, "evil", "1.0.0", "node_modules/evil/package.json").into();
    let policy = with_gate(GATE, "");
    let judgement = judged(&policy, vec![found("CVE-1", Some(Severity::Critical)), bad]);
    assert_eq!(codes(&judgement), [ReasonCode::Malware, ReasonCode::Vulnerable]);
    assert_eq!(judgement.reasons()[0].text, "malware MAL-2026-1: evil 1.0.0");
}

#[test]
fn a_verdict_ends_when_a_finding_grows_old_enough() {
    let policy =
        with_gate("deny: [{severity: high, olderThan: 7d}, {severity: high, olderThan: 9d}]", "");
    let mut fresh = found("CVE-1", Some(Severity::High));
    fresh.published = Some(hours_ago(24));
    let judgement = judged(&policy, vec![fresh.clone()]);
    assert!(judgement.admits());
    assert_eq!(judgement.good_until, Some(hours_ago(24).after(Duration::from_hours(7 * 24))));
    // The moment itself is not later than it.
    fresh.published = Some(hours_ago(7 * 24));
    assert!(judged(&policy, vec![fresh.clone()]).admits());
    fresh.published = Some(Timestamp::from_milliseconds(hours_ago(7 * 24).milliseconds() - 1));
    assert!(!judged(&policy, vec![fresh]).admits());
}

#[test]
fn an_exception_takes_out_one_finding_of_what_it_names_for_a_time() {
    let exception = |images: &str, check: &str, expires: &str| {
        format!(
            "exceptions:\n- {{id: W-1, match: \"{images}\", check: {{{check}}}, reason: tried, expires: {expires}}}"
        )
    };
    let soon = "2026-12-01T00:00:00Z";
    let digest = subject("up.test/a").digest;
    for (images, check, expires, admits) in [
        ("up.test/a", "vulnerability: CVE-1", soon, true),
        ("up.test/**", "vulnerability: CVE-1", soon, true),
        (&format!("up.test/a@{digest}"), "vulnerability: CVE-1", soon, true),
        ("up.test/a", "vulnerability: DSA-1", soon, true),
        ("up.test/a", "vulnerability: CVE-1, package: openssl", soon, true),
        ("up.test/a", "vulnerability: CVE-1, package: libssl3", soon, false),
        ("up.test/a", "vulnerability: CVE-2", soon, false),
        ("up.test/b", "vulnerability: CVE-1", soon, false),
        (&format!("up.test/a@{}", Digest::sha256(b"x")), "vulnerability: CVE-1", soon, false),
        ("up.test/a", "vulnerability: CVE-1", "2026-11-20T10:00:00Z", false),
        ("up.test/a", "vulnerability: CVE-1", "2026-11-20T10:00:01Z", true),
        // One that lasts longer than any may is none yet.
        ("up.test/a", "vulnerability: CVE-1", "2027-11-20T00:00:00Z", false),
    ] {
        let policy = with_gate(GATE, &exception(images, check, expires));
        let judgement = judged(&policy, vec![found("CVE-1", Some(Severity::High))]);
        assert_eq!(judgement.admits(), admits, "{images} {check} {expires}");
        if admits {
            assert_eq!(judgement.good_until, Some(expires.parse().unwrap()), "it ends with it");
            let check = judgement.checks.iter().find(|check| check.name == "scan").unwrap();
            assert!(check.text.ends_with(", 1 excepted by W-1"), "{}", check.text);
        }
    }
}

#[test]
fn what_an_exception_let_pass_is_refused_when_it_ends() {
    let exception = "exceptions: [{id: W-1, match: up.test/a, check: {vulnerability: CVE-1}, \
                     reason: tried, expires: 2026-11-20T10:00:01Z}]";
    let policy = with_gate(GATE, exception);
    let subject = subject("up.test/a");
    let evidence = scanned(&[(subject.digest, "i")]);
    let high = report(vec![found("CVE-1", Some(Severity::High))]);
    let scans = scans(vec![("i", Inventory::default(), high)]);
    let before = Context { scans: &scans, ..context(&policy) };
    let judged = decided(decide(&subject, &evidence, &before));
    let later = now().after(Duration::from_secs(1));
    let after = Context { now: later, passed: judged.passed.as_deref(), ..before };
    assert_eq!(codes(&decided(decide(&subject, &evidence, &after))), [ReasonCode::Vulnerable]);
}

#[test]
fn of_an_index_the_images_that_are_served_are_scanned_and_each_counts() {
    let policy = with_gate(GATE, "floor: {platforms: [linux/amd64, linux/arm64]}");
    let (amd, arm, other) =
        (Digest::sha256(b"amd"), Digest::sha256(b"arm"), Digest::sha256(b"s390x"));
    let child =
        |digest, platform: &str| ChildImage { digest, platform: Some(platform.parse().unwrap()) };
    let images =
        vec![child(amd, "linux/amd64"), child(arm, "linux/arm64"), child(other, "linux/s390x")];
    let mut index = facts();
    (index.is_index, index.images) = (true, Some(images));
    index.platforms.push("linux/arm64".parse().unwrap());
    let subject = subject("up.test/a");
    let clean = ("clean", Inventory::default(), report(Vec::new()));
    let bad = report(vec![found("CVE-1", Some(Severity::High))]);
    let scans = scans(vec![clean, ("bad", Inventory::default(), bad)]);
    let context = Context { scans: &scans, ..context(&policy) };
    let asked = |images: &[(Digest, &str)]| {
        let evidence = Evidence { manifest: Gathered::Found(index.clone()), ..scanned(images) };
        decide(&subject, &evidence, &context)
    };
    assert!(decided(asked(&[(amd, "clean"), (arm, "clean")])).admits());
    assert_eq!(asked(&[(amd, "clean")]), Outcome::Missing(vec![EvidenceKind::Scan]));
    let judgement = decided(asked(&[(amd, "clean"), (arm, "bad")]));
    assert_eq!(
        judgement.reasons()[0].text,
        "linux/arm64: CVE-1 in openssl 3.0.11, fixed in 3.0.13"
    );
    let empty = Evidence {
        manifest: Gathered::Found(ManifestFacts { images: Some(Vec::new()), ..index.clone() }),
        ..scanned(&[])
    };
    assert_eq!(codes(&decided(decide(&subject, &empty, &context))), [ReasonCode::ScanIncomplete]);
}

#[test]
fn a_flood_of_findings_is_told_in_part() {
    let flood = (0..100).map(|i| found(&format!("CVE-{i}"), Some(Severity::High))).collect();
    let judgement = judged(&with_gate(GATE, ""), flood);
    assert_eq!(judgement.reasons().len(), REASONS_MAX + 1);
    assert_eq!(judgement.reasons()[REASONS_MAX].text, "80 more like these");
}

#[test]
fn a_rule_without_gates_asks_for_no_scan() {
    let policy = policy("rules:\n- {id: a, match: [\"up.test/**\"], trust: allow}\n");
    let judgement = decided(decide(&subject("up.test/a"), &evidence(facts()), &context(&policy)));
    assert!(judgement.admits());
    assert!(judgement.checks.iter().all(|check| check.name != "scan"));
}

#[test]
fn what_is_found_later_is_served_on_for_its_grace_and_no_longer() {
    let later = "onNewFinding: {action: revoke, grace: {critical: 24h, high: 7d}}";
    let policy = with_gate(&format!("deny: [{{severity: low}}], {later}"), "");
    let subject = subject("up.test/a");
    let evidence = scanned(&[(subject.digest, "i")]);
    let judged = |findings: Vec<Found>, before: Option<&Judgement>, hours: u64| {
        let scans = scans(vec![("i", Inventory::default(), report(findings))]);
        let now = now().after(Duration::from_hours(hours));
        let passed = before.and_then(|before| before.passed.as_deref());
        let context = Context { scans: &scans, passed, now, ..context(&policy) };
        decided(decide(&subject, &evidence, &context))
    };
    let of = |id: &str, severity| found(id, Some(severity));
    let since = |judged: &Judgement| judged.passed.as_ref().unwrap().found_since.clone();
    let clean = judged(Vec::new(), None, 0);
    assert!(clean.admits() && since(&clean).is_empty(), "{clean:?}");
    // A new image has no grace.
    assert!(!judged(vec![of("CVE-1", Severity::Low)], None, 0).admits());
    let both = || vec![of("CVE-1", Severity::Critical), of("CVE-2", Severity::Low)];
    let first = judged(both(), Some(&clean), 1);
    assert!(first.admits(), "{first:?}");
    assert_eq!(first.good_until, Some(now().after(Duration::from_hours(25))));
    let second = judged(both(), Some(&first), 24);
    assert!(second.admits(), "the grace began when it was found, and is not over");
    assert_eq!(since(&second), since(&first));
    let third = judged(both(), Some(&second), 25);
    assert_eq!(codes(&third), [ReasonCode::Vulnerable], "the critical one");
    // What is less bad than anything that is written has the time of the least bad that is.
    let only_low = judged(vec![of("CVE-2", Severity::Low)], Some(&second), 168);
    assert!(only_low.admits());
    assert_eq!(since(&only_low).len(), 1, "what is gone is forgotten");
    let over = judged(vec![of("CVE-2", Severity::Low)], Some(&only_low), 169);
    assert_eq!(codes(&over), [ReasonCode::Vulnerable]);
    let mut malware = found("MAL-1", None);
    malware.malware = true;
    assert_eq!(codes(&judged(vec![malware], Some(&clean), 1)), [ReasonCode::Malware]);
}

#[test]
fn what_cannot_be_said_any_more_has_the_grace_of_what_is_not_rated() {
    let later = "onNewFinding: {action: revoke, grace: {critical: 24h}}";
    let policy = with_gate(&format!("{GATE}, {later}"), "");
    let subject = subject("up.test/a");
    let evidence = scanned(&[(subject.digest, "i")]);
    let unknown =
        Unmatched { kind: UnmatchedKind::EndOfLife, package: None, text: "debian 10".to_owned() };
    let mut before = None;
    for (hours, unmatched, admits) in
        [(0, vec![], true), (1, vec![unknown.clone()], true), (25, vec![unknown], false)]
    {
        let found = Report { unmatched, ..report(Vec::new()) };
        let scans = scans(vec![("i", Inventory::default(), found)]);
        let now = now().after(Duration::from_hours(hours));
        let passed = before.as_ref().and_then(|before: &Judgement| before.passed.as_deref());
        let context = Context { scans: &scans, passed, now, ..context(&policy) };
        let judged = decided(decide(&subject, &evidence, &context));
        assert_eq!(judged.admits(), admits, "{hours} {judged:?}");
        before = Some(judged);
    }
}

#[test]
fn the_floor_refuses_under_every_rule_and_excepts_nothing() {
    let exploited = || Found { exploited: true, ..found("CVE-1", Some(Severity::Low)) };
    let plain = |rest: &str| {
        policy(&format!("{rest}\nrules: [{{id: a, match: [\"up.test/**\"], trust: allow}}]\n"))
    };
    let floor = "floor: {vulnerabilities: {denyKEV: true}}";
    let exception = "exceptions: [{id: W-1, match: up.test/a, check: {vulnerability: CVE-1}, \
                     reason: tried, expires: 2026-11-21T10:00:00Z}]";
    let one = |policy: &ReadyPolicy, found: Found| codes(&judged(policy, vec![found]));
    assert_eq!(one(&plain(""), exploited()), [], "nothing is asked of scans");
    assert_eq!(one(&plain(floor), exploited()), [ReasonCode::Vulnerable]);
    assert_eq!(one(&plain(floor), found("CVE-1", Some(Severity::Critical))), []);
    let excepted = plain(&format!("{floor}\n{exception}"));
    assert_eq!(one(&excepted, exploited()), [ReasonCode::Vulnerable]);
    let gate = with_gate("deny: [{severity: low}]", exception);
    assert_eq!(one(&gate, exploited()), [], "a gate's finding is excepted");
    let mut malware = found("MAL-1", None);
    malware.malware = true;
    let only_malware = plain("floor: {vulnerabilities: {denyMalware: true}}");
    assert_eq!(one(&only_malware, malware), [ReasonCode::Malware]);
    assert_eq!(one(&only_malware, exploited()), []);
    let reasons = judged(&plain(floor), vec![exploited()]);
    assert!(!reasons.reasons()[0].remedy.contains("except"), "{:?}", reasons.reasons());
}

#[test]
fn what_could_not_be_read_is_read_again_when_more_of_it_may_be() {
    let policy = with_gate(GATE, "");
    let subject = subject("up.test/a");
    let (little, much) = (Digest::sha256(b"little"), Digest::sha256(b"much"));
    let gap = Gap { kind: GapKind::Limit, path: None, layer: None, text: "too much".to_owned() };
    let image = ScannedImage {
        inventory: Some(Digest::sha256(b"i")),
        unread: Vec::new(),
        is_complete: false,
        read_by: little,
        others: BTreeMap::new(),
    };
    let images = BTreeMap::from([(subject.digest, image)]);
    let evidence =
        Evidence { scan: Gathered::Found(ScannedImages { images }), ..evidence(facts()) };
    let inventory = Inventory { gaps: vec![gap], ..Inventory::default() };
    let known = scans(vec![("i", inventory, report(Vec::new()))]);
    for (reading, is_missing) in [(little, false), (much, true)] {
        let scans = Scans { reading: Some(reading), ..known.clone() };
        let context = Context { scans: &scans, ..context(&policy) };
        let outcome = decide(&subject, &evidence, &context);
        let missing = Outcome::Missing(vec![EvidenceKind::Scan]);
        assert_eq!(outcome == missing, is_missing, "{outcome:?}");
    }
}

/// What is decided about one image with `findings` by `policy`, after `hours`, having passed as `before`.
fn later(
    policy: &ReadyPolicy,
    findings: Vec<Found>,
    hours: u64,
    before: Option<&Judgement>,
) -> Judgement {
    let subject = subject("up.test/a");
    let scans = scans(vec![("i", Inventory::default(), report(findings))]);
    let now = now().after(Duration::from_hours(hours));
    let passed = before.and_then(|before| before.passed.as_deref());
    let context = Context { scans: &scans, passed, now, ..context(policy) };
    decided(decide(&subject, &scanned(&[(subject.digest, "i")]), &context))
}

#[test]
fn what_was_excepted_is_refused_when_the_exception_is_withdrawn() {
    let exception = |id: &str, more: &str| {
        format!(
            "exceptions: [{{id: W-1, match: up.test/a, check: {{vulnerability: {id}}}, reason: tried, \
             expires: 2026-12-01T10:00:00Z}}]\n{more}"
        )
    };
    let high = || vec![found("CVE-1", Some(Severity::High))];
    let excepting = with_gate(GATE, &exception("CVE-1", ""));
    let admitted = later(&excepting, high(), 0, None);
    assert!(admitted.admits());
    for (rest, what) in [
        (String::new(), "withdrawn"),
        (exception("CVE-2", ""), "about another one"),
        (exception("CVE-1", "maxException: 1d"), "longer than may be"),
    ] {
        let judged = later(&with_gate(GATE, &rest), high(), 1, Some(&admitted));
        assert_eq!(codes(&judged), [ReasonCode::Vulnerable], "{what}");
    }
    // Judged again meanwhile, it is still what was known.
    let again = later(&excepting, high(), 2, Some(&admitted));
    assert_eq!(again.passed, admitted.passed);
    let withdrawn = with_gate(GATE, "");
    assert_eq!(codes(&later(&withdrawn, high(), 3, Some(&again))), [ReasonCode::Vulnerable]);
}

#[test]
fn what_was_too_new_to_count_counts_when_it_is_old_enough() {
    let policy = with_gate("deny: [{severity: high, olderThan: 7d}]", "");
    let mut high = found("CVE-1", Some(Severity::High));
    high.published = Some(hours_ago(24));
    let first = later(&policy, vec![high.clone()], 0, None);
    assert!(first.admits());
    assert_eq!(first.good_until, Some(now().after(Duration::from_hours(6 * 24))));
    assert!(later(&policy, vec![high.clone()], 5 * 24, Some(&first)).admits());
    let over = later(&policy, vec![high.clone()], 7 * 24, Some(&first));
    assert_eq!(codes(&over), [ReasonCode::Vulnerable], "it was known when the image passed");
    // One that was found later is served on, however old it grows.
    let clean = later(&policy, Vec::new(), 0, None);
    let found_later = later(&policy, vec![high.clone()], 1, Some(&clean));
    assert!(later(&policy, vec![high], 7 * 24, Some(&found_later)).admits());
}

#[test]
fn the_strictest_of_several_gates_takes_back() {
    for order in ["[serves, revokes]", "[revokes, serves]"] {
        let policy = policy(&format!(
            "gates:\n  serves: {{{GATE}}}\n  revokes: {{{GATE}, onNewFinding: revoke}}\n\
             rules:\n- {{id: a, match: [\"up.test/**\"], trust: allow, gates: {order}}}\n"
        ));
        let clean = later(&policy, Vec::new(), 0, None);
        let high = vec![found("CVE-1", Some(Severity::High))];
        let judged = later(&policy, high, 1, Some(&clean));
        assert_eq!(codes(&judged), [ReasonCode::Vulnerable], "{order}");
    }
}

#[test]
fn only_images_that_passed_are_served_on() {
    let subject = subject("up.test/a");
    let (amd, arm) = (Digest::sha256(b"amd"), Digest::sha256(b"arm"));
    let child =
        |digest, platform: &str| ChildImage { digest, platform: Some(platform.parse().unwrap()) };
    let mut index = facts();
    let images = vec![child(amd, "linux/amd64"), child(arm, "linux/arm64")];
    (index.is_index, index.images) = (true, Some(images));
    index.platforms.push("linux/arm64".parse().unwrap());
    let bad = || report(vec![found("CVE-1", Some(Severity::High))]);
    let clean = ("clean", Inventory::default(), report(Vec::new()));
    let scans = scans(vec![clean, ("bad", Inventory::default(), bad())]);
    let judged = |platforms: &str, images: &[(Digest, &str)], before: Option<&Judgement>| {
        let policy = with_gate(GATE, &format!("floor: {{platforms: [{platforms}]}}"));
        let evidence = Evidence { manifest: Gathered::Found(index.clone()), ..scanned(images) };
        let passed = before.and_then(|before| before.passed.as_deref());
        let context = Context { scans: &scans, passed, ..context(&policy) };
        decided(decide(&subject, &evidence, &context))
    };
    let one = judged("linux/amd64", &[(amd, "clean")], None);
    assert!(one.admits());
    let both = judged("linux/amd64, linux/arm64", &[(amd, "clean"), (arm, "bad")], Some(&one));
    assert_eq!(codes(&both), [ReasonCode::Vulnerable], "one that never passed");
    let other = judged("linux/amd64", &[(amd, "bad")], Some(&one));
    assert_eq!(codes(&other), [ReasonCode::Vulnerable], "the same, read again with other contents");
}

#[test]
fn a_report_that_was_cut_off_is_incomplete() {
    let text = "from openssl on".to_owned();
    let cut_off = Gap { kind: GapKind::Limit, path: None, layer: None, text };
    for (gate, codes_expected) in [
        ("unknown: allow", vec![ReasonCode::ScanIncomplete]),
        ("unknown: allow, incomplete: allow", vec![]),
        ("incomplete: allow", vec![]),
    ] {
        let policy = with_gate(&format!("{GATE}, {gate}"), "");
        let report = Report { gaps: vec![cut_off.clone()], ..report(Vec::new()) };
        let judged = decided(outcome(&policy, Inventory::default(), report));
        assert_eq!(codes(&judged), codes_expected, "{gate}");
    }
}

#[test]
fn a_database_of_a_time_to_come_decides_nothing() {
    let policy = with_gate(GATE, "");
    for (ahead, decides) in [(23, true), (25, false)] {
        let mut report = report(Vec::new());
        report.database.as_of = now().after(Duration::from_hours(ahead));
        let outcome = outcome(&policy, Inventory::default(), report);
        assert_eq!(matches!(outcome, Outcome::Decided(_)), decides, "{ahead} h: {outcome:?}");
    }
}

#[test]
fn malware_is_excepted_by_its_own_name_only() {
    let exception = |id: &str| {
        let text = format!(
            "exceptions: [{{id: W-1, match: up.test/a, check: {{vulnerability: {id}}}, reason: tried, \
             expires: 2026-12-01T10:00:00Z}}]"
        );
        with_gate(GATE, &text)
    };
    let malware = || Found { malware: true, ..found("MAL-1", None) };
    assert_eq!(codes(&judged(&exception("DSA-1"), vec![malware()])), [ReasonCode::Malware]);
    assert!(judged(&exception("MAL-1"), vec![malware()]).admits());
}

#[test]
fn what_is_asked_for_has_one_form_whatever_it_is_called() {
    let asks = |gate: &str, name: &str| {
        let policy = policy(&format!(
            "gates:\n  {name}: {{{gate}}}\nrules:\n- {{id: a, match: [\"up.test/**\"], trust: allow, gates: [{name}]}}\n"
        ));
        asked_for(policy.rules()[0].alone().gates)
    };
    let plain = asks("deny: [{severity: high}, {exploited: true}]", "a");
    for (gate, is_same) in [
        ("deny: [{exploited: true}, {severity: high}], unrated: critical, unknown: deny", true),
        ("deny: [{severity: high}, {exploited: true}], onNewFinding: revoke", true),
        ("deny: [{severity: high}, {exploited: true}], scanner: {maxDbAge: 1h}", true),
        ("deny: [{severity: high}, {exploited: true}], limits: {ratio: 7}", true),
        ("deny: [{severity: high}]", false),
        ("deny: [{severity: high, exploited: true}]", false),
        ("deny: [{severity: high}, {exploited: true}], unrated: low", false),
        ("deny: [{severity: high}, {exploited: true}], unknown: allow", false),
        ("deny: [{severity: high}, {exploited: true}], incomplete: allow", false),
        ("deny: [{severity: high}, {exploited: true}], notApplicable: allow", false),
        ("deny: [{severity: high}, {exploited: true}], kernelHeaders: count", false),
    ] {
        assert_eq!(asks(gate, "b") == plain, is_same, "{gate}");
    }
}
