//! What cases say, and that the gate hears it.

use super::*;
use crate::policy::Policy;

const NOW: &str = "2026-11-20T10:00:00Z";
const PEM: &str = include_str!("../../tests/fixtures/signatures/p256.pub");

fn ready(rest: &str) -> ReadyPolicy {
    let head = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n";
    let read = |path: &std::path::Path| match path.to_str() {
        Some("key.pub") => Ok(PEM.into()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let policy = Policy::parse(&format!("{head}{rest}"), &read);
    policy.and_then(ReadyPolicy::new).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn cases(policy: &ReadyPolicy, cases: &str) -> Result<Vec<Case>, String> {
    let text = format!("apiVersion: pratique.dev/v1\nkind: PolicyTests\ncases:\n{cases}");
    Case::read_all(&text, policy)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// What differs in each of the cases.
fn differences(policy: &ReadyPolicy, text: &str) -> Vec<String> {
    let cases = cases(policy, text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(unknown_reasons(&cases), Vec::new());
    let rehearsal = Rehearsal::new(policy, NOW.parse().unwrap()).unwrap();
    cases.iter().map(|case| rehearsal.play(case).differences.join("; ")).collect()
}

#[track_caller]
fn assert_all_hold(policy: &ReadyPolicy, text: &str) {
    for (index, difference) in differences(policy, text).iter().enumerate() {
        assert_eq!(difference, "", "case {index} of\n{text}");
    }
}

/// A policy with all kinds of signers: a real key, an identity, a certificate that cannot be had here.
const SIGNERS: &str = r#"
signers:
  team: {key: {pem: file:key.pub, notAfter: 2026-12-01T00:00:00Z}, transparencyLog: none}
  ci: {keyless: {issuer: "https://issuer.test", subject: "ci@acme.test"}}
"#;

#[test]
fn rules_floor_and_people_are_heard() {
    let policy = ready(
        r#"
floor:
  registries: [up.test]
  platforms: [linux/amd64]
  forbidTags: [latest]
  limits: {layers: 10, imageBytes: 1GiB}
  denyImages:
  - {digest: "sha256:1111111111111111111111111111111111111111111111111111111111111111", reason: bad}
rules:
- {id: open, match: ["up.test/open/**"], trust: allow}
- {id: asked, match: ["up.test/asked/**"], trust: approve}
- {id: shut, match: ["up.test/shut/**"], trust: deny}
- {id: charts, match: {images: ["up.test/charts/*"], artifact: [chart]}, trust: allow}
- {id: tagged, match: ["up.test/tagged/*"], tags: {semver: ">=1, <2"}, trust: allow}
"#,
    );
    assert_all_hold(
        &policy,
        r#"
- {image: "up.test/open/a:1", expect: admit, rule: open, reasons: []}
- {image: "up.test/open/a:latest", expect: deny, reasons: [forbidden-tag]}
- {image: "up.test/open/a", expect: deny, reasons: [forbidden-tag]}
- {image: "up.test/open/a:latest@sha256:2222222222222222222222222222222222222222222222222222222222222222", expect: admit}
- {image: "up.test/open/a@sha256:1111111111111111111111111111111111111111111111111111111111111111", expect: deny, reasons: [denied-image]}
- {image: "up.test/open/a:1", platforms: [linux/arm64], expect: deny, reasons: [platform-not-allowed]}
- {image: "up.test/open/a:1", platforms: [linux/arm64, linux/amd64], expect: admit}
- {image: "up.test/open/a:1", layers: 11, expect: deny, reasons: [too-many-layers]}
- {image: "up.test/open/a:1", imageBytes: 2GiB, layers: 11, expect: deny, reasons: [too-many-layers, image-too-large]}
- {image: "up.test/asked/a:1", expect: pending, rule: asked, reasons: [approval-needed]}
- {image: "up.test/asked/a:1", standing: approved, expect: admit}
- {image: "up.test/asked/a:1", standing: approved, approvalExpires: 2026-11-19T00:00:00Z, expect: pending, reasons: [approval-expired]}
- {image: "up.test/asked/a:1", standing: approved, approvalExpires: 2026-11-19T00:00:00Z, now: 2026-11-18T00:00:00Z, expect: admit}
- {image: "up.test/open/a:1", standing: revoked, expect: deny, reasons: [revoked]}
- {image: "up.test/open/a:1", standing: rejected, expect: deny, reasons: [rejected]}
- {image: "up.test/shut/a:1", expect: deny, rule: shut, reasons: [denied-by-rule]}
- {image: "up.test/charts/a:1", artifactType: chart, expect: admit}
- {image: "up.test/charts/a:1", expect: deny, reasons: [no-rule]}
- {image: "up.test/tagged/a:1.2.0", expect: admit}
- {image: "up.test/tagged/a:2.0.0", expect: deny}
- {image: "up.test/tagged/a:2.0.0", tags: ["1.0.0"], expect: admit}
- {image: "up.test/none:1", expect: deny, reasons: [no-rule]}
- {image: "evil.test/a:1", expect: deny, reasons: [registry-not-allowed]}
"#,
    );
}

#[test]
fn signers_are_whoever_the_case_says_and_nobody_else() {
    let policy = ready(&format!(
        r#"{SIGNERS}
floor: {{platforms: [linux/amd64, linux/arm64]}}
rules:
- {{id: both, match: ["up.test/both"], trust: allow, signatures: {{atLeast: 2, of: [team, ci]}}}}
- {{id: one, match: ["up.test/one"], trust: allow, signatures: {{atLeast: 1, of: [team]}}}}
- {{id: each, match: ["up.test/each"], trust: allow, signatures: {{atLeast: 1, of: [ci], scope: every-platform}}}}
- id: built
  match: ["up.test/built"]
  trust: allow
  attestations:
  - {{type: slsaprovenance1, signers: [ci], builder: "https://builder.test"}}
  - {{type: vuln, signers: [ci], cel: "predicate.clean == true"}}
"#
    ));
    assert_all_hold(
        &policy,
        r#"
- {image: "up.test/both:1", signedBy: [team, ci], expect: admit}
- {image: "up.test/both:1", signedBy: [team], expect: deny, reasons: [wrong-signer]}
- {image: "up.test/both:1", signedBy: [], expect: deny, reasons: [unsigned]}
- {image: "up.test/one:1", signedBy: [team], expect: admit}
- {image: "up.test/one:1", signedBy: [ci], expect: deny, reasons: [wrong-signer]}
# The real key counts until December; so does the one in its place.
- {image: "up.test/one:1", signedBy: [team], now: 2026-12-02T00:00:00Z, expect: deny, reasons: [wrong-signer]}
- {image: "up.test/each:1", platforms: [linux/amd64, linux/arm64], imagesSignedBy: [ci], expect: admit}
- {image: "up.test/each:1", platforms: [linux/amd64, linux/arm64], signedBy: [ci], expect: deny}
- {image: "up.test/each:1", signedBy: [ci], expect: admit}
- image: up.test/built:1
  attested:
  - {type: slsaprovenance1, signer: ci, builder: "https://builder.test"}
  - {type: vuln, signer: ci, predicate: '{"clean": true}'}
  expect: admit
- image: up.test/built:1
  attested:
  - {type: slsaprovenance1, signer: team, builder: "https://builder.test"}
  - {type: vuln, signer: ci, predicate: '{"clean": true}'}
  expect: deny
  reasons: [not-attested]
- image: up.test/built:1
  attested:
  - {type: slsaprovenance1, signer: ci, builder: "https://elsewhere.test"}
  - {type: vuln, signer: ci, predicate: '{"clean": false}'}
  expect: deny
"#,
    );
}

#[test]
fn scans_and_configurations_are_what_the_case_says() {
    let policy = ready(
        r#"
floor: {vulnerabilities: {denyMalware: true}}
gates:
  strict: {deny: [{severity: high, fixable: true, olderThan: 7d}, {likelihood: "10%"}]}
  other: {scanner: {all: [trivy]}, deny: [{severity: critical}]}
  config: {user: {nonRoot: true}, env: {denySecretLike: true}, exposedPorts: {deny: [22]}, labels: {require: [source]}, healthcheck: require}
exceptions:
- {id: E-1, match: "up.test/scanned", check: {vulnerability: CVE-3}, reason: not reached, expires: 2026-12-01T00:00:00Z}
rules:
- {id: scanned, match: ["up.test/scanned"], trust: allow, gates: [strict]}
- {id: others, match: ["up.test/others"], trust: allow, gates: [other]}
- {id: configured, match: ["up.test/configured"], trust: allow, gates: [config]}
- {id: plain, match: ["up.test/plain"], trust: allow}
"#,
    );
    assert_all_hold(
        &policy,
        r#"
- {image: "up.test/scanned:1", findings: [], expect: admit}
- {image: "up.test/scanned:1", platforms: [linux/amd64, linux/arm64], findings: [], expect: admit}
- {image: "up.test/scanned:1", findings: [{id: CVE-1, package: a, severity: high, fixed: "2", age: 8d}], expect: deny, reasons: [vulnerable]}
- {image: "up.test/scanned:1", findings: [{id: CVE-1, package: a, severity: high, fixed: "2", age: 6d}], expect: admit}
- {image: "up.test/scanned:1", findings: [{id: CVE-1, package: a, severity: high, age: 8d}], expect: admit}
- {image: "up.test/scanned:1", findings: [{id: CVE-1, package: a, severity: low, likelihood: "12%"}], expect: deny}
- {image: "up.test/scanned:1", findings: [{id: CVE-3, package: a, severity: critical, fixed: "2"}], expect: admit}
- {image: "up.test/scanned:1", findings: [{id: CVE-3, package: a, severity: critical, fixed: "2"}], now: 2026-12-02T00:00:00Z, expect: deny}
- {image: "up.test/scanned:1", findings: [], scan: incomplete, expect: deny, reasons: [scan-incomplete]}
- {image: "up.test/scanned:1", findings: [], scan: unknown, expect: deny, reasons: [scan-unknown]}
- {image: "up.test/plain:1", findings: [{id: MAL-1, package: a}], expect: deny, reasons: [malware]}
- {image: "up.test/others:1", findings: [{id: CVE-1, package: a, severity: critical}], expect: deny}
- {image: "up.test/others:1", findings: [{id: CVE-1, package: a, severity: high}], expect: admit}
- {image: "up.test/configured:1", config: {user: app, env: [A=b], exposedPorts: [80/tcp], labels: [source], healthcheck: true}, findings: [], expect: admit}
- {image: "up.test/configured:1", config: {user: app, env: [A=b], exposedPorts: [22/tcp], labels: [source], healthcheck: true}, findings: [], expect: deny, reasons: [config-not-allowed]}
- {image: "up.test/configured:1", config: {labels: [source], healthcheck: true}, findings: [], expect: deny}
- {image: "up.test/configured:1", config: {user: app, labels: [source], healthcheck: true, env: ["K=AKIAIOSFODNN7EXAMPLE"]}, findings: [], expect: deny}
"#,
    );
}

#[test]
fn time_is_what_the_case_says() {
    let policy = ready(&format!(
        r#"{SIGNERS}
gates:
  young: {{maxImageAge: 180d}}
  known: {{minObservedAge: 72h, fastTrack: {{signers: [ci]}}}}
rules:
- {{id: young, match: ["up.test/young"], trust: allow, gates: [young]}}
- {{id: known, match: ["up.test/known"], trust: allow, gates: [known]}}
"#
    ));
    assert_all_hold(
        &policy,
        r#"
- {image: "up.test/young:1", config: {created: 2026-11-01T00:00:00Z}, signedBy: [], expect: admit}
- {image: "up.test/young:1", config: {created: 2026-01-01T00:00:00Z}, signedBy: [], expect: deny, reasons: [too-old]}
- {image: "up.test/young:1", config: {}, signedBy: [], expect: deny, reasons: [undated]}
- {image: "up.test/known:1", knownFor: 73h, signedBy: [], expect: admit}
- {image: "up.test/known:1", knownFor: 71h, signedBy: [], expect: deny, reasons: [cooling-down]}
- {image: "up.test/known:1", signedBy: [], expect: deny, reasons: [cooling-down]}
- {image: "up.test/known:1", signedBy: [ci], expect: admit}
- {image: "up.test/known:1", signedBy: [team], expect: deny, reasons: [cooling-down]}
"#,
    );
}

#[test]
fn what_a_case_does_not_say_is_not_taken_for_good() {
    let policy = ready(&format!(
        r#"{SIGNERS}
gates: {{scan: {{deny: [{{severity: high}}]}}, config: {{user: {{nonRoot: true}}}}}}
rules:
- {{id: signed, match: ["up.test/signed"], trust: allow, signatures: {{atLeast: 1, of: [team]}}}}
- {{id: each, match: ["up.test/each"], trust: allow, signatures: {{atLeast: 1, of: [ci], scope: every-platform}}}}
- {{id: scanned, match: ["up.test/scanned"], trust: allow, gates: [scan]}}
- {{id: configured, match: ["up.test/configured"], trust: allow, gates: [config]}}
"#
    ));
    let found = differences(
        &policy,
        r#"
- {image: "up.test/signed:1", expect: admit}
- {image: "up.test/signed:1", expect: deny}
- {image: "up.test/each:1", platforms: [linux/amd64, linux/arm64], expect: admit}
- {image: "up.test/scanned:1", expect: admit}
- {image: "up.test/configured:1", expect: admit}
- {image: "up.test/scanned:1", standing: revoked, expect: deny}
"#,
    );
    for (difference, expected) in found.iter().zip([
        "write signedBy: [NAME]",
        "write signedBy: [NAME]",
        "write imagesSignedBy: [NAME]",
        "or findings: []",
        "or config: {}",
        "",
    ]) {
        assert!(difference.contains(expected), "{difference}, not {expected}");
        assert_eq!(difference.is_empty(), expected.is_empty(), "{difference}");
    }
}

#[test]
fn what_is_not_as_expected_is_told() {
    let policy = ready(
        "rules:\n- {id: a, match: [\"up.test/**\"], trust: approve}\n- {id: b, match: [\"b.test/**\"], trust: deny}\n",
    );
    let found = differences(
        &policy,
        r#"
- {image: "up.test/a:1", expect: admit}
- {image: "up.test/a:1", expect: pending, rule: b, reasons: [unsigned]}
"#,
    );
    assert_eq!(
        found,
        [
            "is pending, not admit: rule a asks for approval",
            "reasons are [approval-needed], not [unsigned]; a decides, not b",
        ]
    );
}

#[test]
fn mistakes_in_tests_are_told_with_their_place() {
    let policy =
        ready(&format!("{SIGNERS}rules: [{{id: a, match: [\"up.test/**\"], trust: allow}}]\n"));
    for (text, expected) in [
        ("- {expect: admit}", "line 4:3    cases[0].image  is missing"),
        ("- {image: UPPER, expect: admit}", "cases[0].image  \"UPPER\": "),
        ("- {image: a.io/b:1}", "cases[0].expect  is missing; write admit, pending or deny"),
        ("- {image: a.io/b:1, expect: yes}", "cases[0].expect  \"yes\" is not one of: admit"),
        (
            "- {image: a.io/b:1, expect: admit, rule: x}",
            "cases[0].rule  \"x\" is not among the rules",
        ),
        ("- {image: a.io/b:1, expect: admit, signedby: [team]}", "did you mean signedBy?"),
        (
            "- {image: a.io/b:1, expect: admit, signedBy: [x]}",
            "cases[0].signedBy[0]  \"x\" is not among the signers",
        ),
        (
            "- {image: a.io/b:1, expect: admit, attested: [{type: x, signer: team}]}",
            "attested[0].type  \"x\" is not known",
        ),
        (
            "- {image: a.io/b:1, expect: admit, attested: [{type: vuln, signer: team, predicate: \"{\"}]}",
            "is not JSON",
        ),
        (
            "- {image: a.io/b:1, expect: admit, findings: [{id: CVE-1}]}",
            "findings[0].package  is missing",
        ),
        (
            "- {image: a.io/b:1, expect: admit, approvalExpires: 2026-12-01T00:00:00Z}",
            "goes with standing: approved",
        ),
        ("- {image: a.io/b:1, image: a.io/c:1, expect: admit}", "duplicate key"),
        ("- &x {image: a.io/b:1, expect: admit}", "anchors are not allowed"),
    ] {
        let found = cases(&policy, text).expect_err(text);
        assert!(found.contains(expected), "{text}: {found}");
    }
    let written = cases(&policy, "- {image: a.io/b:1, expect: deny, reasons: [unsinged]}").unwrap();
    let unknown = unknown_reasons(&written);
    assert_eq!(unknown[0].key, "cases[0].reasons[0]");
    assert!(unknown[0].text.contains("\"unsinged\" is no code"), "{unknown:?}");
}

#[test]
fn a_policy_with_stand_in_keys_is_another_policy() {
    let policy =
        ready(&format!("{SIGNERS}rules: [{{id: a, match: [\"up.test/**\"], trust: allow}}]\n"));
    let rehearsal = Rehearsal::new(&policy, NOW.parse().unwrap()).unwrap();
    assert_ne!(rehearsal.policy.id(), policy.id());
}
