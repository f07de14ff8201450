//! Exceptions that people granted at the desk: what each takes out, and what none does.

use std::time::Duration;

use super::tests::{codes, decided, found, report, scanned, scans};
use super::*;
use crate::gate::tests::{NOW, context, policy, subject};
use crate::gate::{DeskException, Judgement, ReadyPolicy, Standing, decide};
use crate::scan::{Finding as Found, Package, PackageKind, Severity};

const FOUR_EYES: &str = "{policy: four-eyes, longest: 30d}";
const SOON: &str = "2026-12-01T00:00:00Z";

/// A policy with a gate that refuses what is high, and `granting` as who grants exceptions.
fn granting(granting: &str, rest: &str) -> ReadyPolicy {
    policy(&format!(
        "gates: {{strict: {{deny: [{{severity: high}}]}}}}\n\
         approvalPolicies:\n  four-eyes: {{approvers: [\"group:security\"], quorum: 2}}\n  \
         one: {{approvers: [\"group:leads\"]}}\n{rest}\n\
         rules:\n- {{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict], \
         exceptionApproval: {granting}}}\n"
    ))
}

fn exception() -> DeskException {
    DeskException {
        id: "X-7".to_owned(),
        digest: None,
        vulnerability: "CVE-1".to_owned(),
        package: None,
        expires: SOON.parse().unwrap(),
        approval: "four-eyes".to_owned(),
        by: vec!["alice".to_owned(), "bob".to_owned()],
        counted: 2,
    }
}

fn high(id: &str, package: &str) -> Found {
    let package = Package::new(PackageKind::Deb, package, "1.0", "var/lib/dpkg/status");
    Found {
        package: package.into(),
        aliases: [format!("GHSA-{id}")].into(),
        ..found(id, Some(Severity::High))
    }
}

/// What is decided about an image with `findings` where `granted` are on record, at `now`.
fn judged(
    policy: &ReadyPolicy,
    granted: &[DeskException],
    findings: Vec<Found>,
    now: &str,
) -> Judgement {
    let subject = subject("up.test/a");
    let scans = scans(vec![("i", Inventory::default(), report(findings))]);
    let now = now.parse().unwrap();
    let context = Context { scans: &scans, granted, now, ..context(policy) };
    decided(decide(&subject, &scanned(&[(subject.digest, "i")]), &context))
}

#[test]
fn what_was_granted_takes_out_one_finding_until_it_ends_and_says_who_granted_it() {
    let policy = granting(FOUR_EYES, "");
    let judgement = judged(&policy, &[exception()], vec![high("CVE-1", "zlib")], NOW);
    assert!(judgement.admits(), "{judgement:?}");
    assert_eq!(judgement.good_until, Some(SOON.parse().unwrap()), "the verdict ends with it");
    let [excepted] = judgement.excepted.as_slice() else { panic!("{judgement:?}") };
    assert_eq!((excepted.exception.as_str(), &excepted.by[..]), ("X-7", &exception().by[..]));
    assert_eq!(excepted.described(), "CVE-1 in zlib: high, fixed in 3.0.13");
    let check = judgement.checks.iter().find(|check| check.name == "scan").unwrap();
    let told = "1 excepted by X-7 (granted by alice, bob until 2026-12-01T00:00:00Z)";
    assert!(check.text.contains(told), "{}", check.text);
    let ends = DeskException { expires: NOW.parse().unwrap(), ..exception() };
    let after = judged(&policy, &[ends], vec![high("CVE-1", "zlib")], NOW);
    assert_eq!(codes(&after), [ReasonCode::Vulnerable], "ended to the moment");
}

#[test]
fn an_exception_holds_for_what_it_says_and_where_the_rule_still_lets_it() {
    let image = subject("up.test/a").digest;
    let only = |change: fn(&mut DeskException)| {
        let mut one = exception();
        change(&mut one);
        one
    };
    for (what, one, text, admits) in [
        ("as it is", exception(), FOUR_EYES, true),
        ("by another name", only(|it| it.vulnerability = "GHSA-CVE-1".to_owned()), FOUR_EYES, true),
        ("of the package", only(|it| it.package = Some("zlib".to_owned())), FOUR_EYES, true),
        ("of another one", only(|it| it.package = Some("openssl".to_owned())), FOUR_EYES, false),
        ("another finding", only(|it| it.vulnerability = "CVE-2".to_owned()), FOUR_EYES, false),
        ("of a part of a name", only(|it| it.vulnerability = "CVE".to_owned()), FOUR_EYES, false),
        ("a pattern is none", only(|it| it.vulnerability = "*".to_owned()), FOUR_EYES, false),
        ("of the digest", DeskException { digest: Some(image), ..exception() }, FOUR_EYES, true),
        ("of another", only(|it| it.digest = Some(Digest::sha256(b"x"))), FOUR_EYES, false),
        ("too few granted it", only(|it| it.counted = 1), FOUR_EYES, false),
        ("others granted it", only(|it| it.approval = "one".to_owned()), FOUR_EYES, false),
        ("nobody grants any more", exception(), "none", false),
        ("others grant now", exception(), "{policy: one}", false),
        ("longer than may be now", exception(), "{policy: four-eyes, longest: 7d}", false),
    ] {
        let judgement = judged(&granting(text, ""), &[one], vec![high("CVE-1", "zlib")], NOW);
        assert_eq!(judgement.admits(), admits, "{what}");
    }
    let bound = granting(FOUR_EYES, "maxException: 7d");
    assert!(!judged(&bound, &[exception()], vec![high("CVE-1", "zlib")], NOW).admits());
}

/// GHSA-gg4x-fgg2-h9w9 is of exceptions that were put together.
#[test]
fn two_exceptions_do_not_combine_to_more_than_each_says() {
    let policy = granting(FOUR_EYES, "");
    let of = |id: &str, vulnerability: &str, package: &str| DeskException {
        id: id.to_owned(),
        vulnerability: vulnerability.to_owned(),
        package: Some(package.to_owned()),
        ..exception()
    };
    let both = [of("X-1", "CVE-1", "zlib"), of("X-2", "CVE-2", "openssl")];
    for (id, package, admits) in [
        ("CVE-1", "zlib", true),
        ("CVE-2", "openssl", true),
        ("CVE-1", "openssl", false),
        ("CVE-2", "zlib", false),
    ] {
        let judgement = judged(&policy, &both, vec![high(id, package)], NOW);
        assert_eq!(judgement.admits(), admits, "{id} {package}");
    }
    // Of too few people each, and of a digest and a time that fit only together.
    let halves = [
        DeskException { by: vec!["alice".to_owned()], counted: 1, ..exception() },
        DeskException { by: vec!["bob".to_owned()], counted: 1, ..exception() },
        DeskException { digest: Some(Digest::sha256(b"x")), ..exception() },
        DeskException { expires: NOW.parse().unwrap(), ..exception() },
    ];
    assert!(!judged(&policy, &halves, vec![high("CVE-1", "zlib")], NOW).admits());
    // What one takes out leaves the rest where it is.
    let mixed = vec![high("CVE-1", "zlib"), high("CVE-3", "zlib")];
    let judgement = judged(&policy, &both, mixed, NOW);
    assert_eq!(codes(&judgement), [ReasonCode::Vulnerable]);
    assert!(judgement.reasons()[0].text.starts_with("CVE-3"), "{judgement:?}");
}

#[test]
fn a_clock_that_is_moved_back_makes_no_exception_longer_than_may_be() {
    let policy = granting(FOUR_EYES, "");
    let long = DeskException { expires: "2026-12-20T10:00:00Z".parse().unwrap(), ..exception() };
    for (now, admits) in [
        ("2026-11-20T10:00:00Z", true),
        ("2026-11-20T09:59:59Z", false),
        ("2025-11-20T10:00:00Z", false),
        ("2026-12-20T10:00:00Z", false),
        ("2030-01-01T00:00:00Z", false),
    ] {
        // The database is of the same day as the clock.
        let subject = subject("up.test/a");
        let mut report = report(vec![high("CVE-1", "zlib")]);
        report.database.as_of = now.parse::<Timestamp>().unwrap();
        let scans = scans(vec![("i", Inventory::default(), report)]);
        let granted = [long.clone()];
        let now = now.parse().unwrap();
        let context = Context { scans: &scans, granted: &granted, now, ..context(&policy) };
        let outcome = decide(&subject, &scanned(&[(subject.digest, "i")]), &context);
        assert_eq!(decided(outcome).admits(), admits, "{now}");
    }
}

#[test]
fn the_floor_and_malware_are_beyond_the_desk() {
    let exploited = || Found { exploited: true, ..high("CVE-1", "zlib") };
    let floor = granting(FOUR_EYES, "floor: {vulnerabilities: {denyKEV: true, denyMalware: true}}");
    let judgement = judged(&floor, &[exception()], vec![exploited()], NOW);
    assert_eq!(codes(&judgement), [ReasonCode::Vulnerable]);
    let plain = granting(FOUR_EYES, "");
    assert!(judged(&plain, &[exception()], vec![exploited()], NOW).admits(), "of a gate it is one");
    let malware = || Found { malware: true, ..high("MAL-1", "zlib") };
    let named = DeskException { vulnerability: "MAL-1".to_owned(), ..exception() };
    let aliased = DeskException { vulnerability: "GHSA-MAL-1".to_owned(), ..exception() };
    for policy in [&plain, &floor] {
        let judgement = judged(policy, &[named.clone(), aliased.clone()], vec![malware()], NOW);
        assert_eq!(codes(&judgement), [ReasonCode::Malware]);
    }
}

#[test]
fn an_exception_is_no_approval_and_undoes_no_refusal_of_people() {
    let policy = granting(FOUR_EYES, "");
    let subject = subject("up.test/a");
    let scans = scans(vec![("i", Inventory::default(), report(vec![high("CVE-1", "zlib")]))]);
    let standing = Standing::Revoked {
        by: "bob".to_owned(),
        at: NOW.parse().unwrap(),
        reason: "no".to_owned(),
    };
    let granted = [exception()];
    let context =
        Context { scans: &scans, granted: &granted, standing: Some(&standing), ..context(&policy) };
    let judgement = decided(decide(&subject, &scanned(&[(subject.digest, "i")]), &context));
    assert_eq!(codes(&judgement), [ReasonCode::Revoked]);
}

#[test]
fn what_was_granted_and_is_ended_refuses_and_is_nothing_that_was_found_later() {
    let policy = granting(FOUR_EYES, "");
    let finding = || vec![high("CVE-1", "zlib")];
    let admitted = judged(&policy, &[exception()], finding(), NOW);
    let subject = subject("up.test/a");
    let scans = scans(vec![("i", Inventory::default(), report(finding()))]);
    let now = NOW.parse::<Timestamp>().unwrap().after(Duration::from_secs(1));
    let passed = admitted.passed.as_deref();
    let context = Context { scans: &scans, passed, now, ..context(&policy) };
    let judgement = decided(decide(&subject, &scanned(&[(subject.digest, "i")]), &context));
    assert_eq!(codes(&judgement), [ReasonCode::Vulnerable]);
}
