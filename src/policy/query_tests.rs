//! What a policy says about repositories, tags and digests.

use super::*;
use crate::oci::{Digest, Name, Tag};
use crate::time::Timestamp;

fn policy(rest: &str) -> Policy {
    let head = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n";
    let files = |_: &std::path::Path| Ok(Vec::new());
    Policy::parse(&format!("{head}{rest}"), &files).unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

#[test]
fn audit_holds_only_when_every_possible_outcome_is_audited() {
    let policy = policy(
        r#"
floor: {registries: [up.test]}
rules:
- {id: a, match: ["up.test/a/*"], trust: allow, mode: audit}
- {id: b, match: ["up.test/a/b"], trust: allow}
- {id: c, match: ["up.test/c"], tags: {exact: [x]}, trust: allow, mode: audit}
- {id: d, match: ["up.test/d"], trust: allow, mode: audit}
- {id: e, match: ["up.test/d"], tags: {exact: [x]}, trust: deny}
"#,
    );
    for (text, expected) in [
        ("up.test/a/x", Mode::Audit),
        ("up.test/a/b", Mode::Enforce),
        ("up.test/c", Mode::Enforce),
        ("up.test/d", Mode::Enforce),
        ("up.test/none", Mode::Enforce),
        ("evil.test/a/x", Mode::Enforce),
    ] {
        assert_eq!(policy.mode_for(&name(text), now()), expected, "{text}");
    }
}

#[test]
fn only_what_is_certain_is_refused_outright() {
    let policy = policy(
        r#"
floor: {registries: [up.test], forbidTags: [latest, "nightly-*"]}
rules:
- {id: a, match: ["up.test/a/**"], trust: deny}
- {id: b, match: ["up.test/a/b/*"], tags: {exact: [x]}, trust: allow}
- {id: c, match: {images: ["up.test/c"], artifact: [chart]}, trust: deny}
"#,
    );
    for (text, cause, rule) in [
        ("up.test/a/x", Some(OutrightCause::Rule), Some("a")),
        ("up.test/a/b/x", None, None),
        ("up.test/c", Some(OutrightCause::Rule), Some("c")),
        ("up.test/none", Some(OutrightCause::NoRule), None),
        ("evil.test/a", Some(OutrightCause::Registry), None),
    ] {
        let found = policy.refuses_outright(&name(text), now());
        assert_eq!(found.as_ref().map(|found| found.cause), cause, "{text}");
        let by = found.and_then(|found| found.rule);
        assert_eq!(by.as_ref().map(RuleId::as_str), rule, "{text}");
    }
    for (tag, expected) in [("latest", true), ("nightly-1", true), ("1.0", false)] {
        assert_eq!(policy.refuses_tag(&tag.parse().unwrap()), expected, "{tag}");
    }
}

#[test]
fn a_tag_that_moved_is_refused_where_any_rule_that_could_apply_says_so() {
    let policy = policy(
        r#"
rules:
- {id: a, match: ["up.test/a"], trust: allow}
- {id: b, match: ["up.test/a"], tags: {exact: [x]}, trust: allow, tagMove: strict}
- {id: c, match: ["up.test/c"], trust: allow}
"#,
    );
    assert_eq!(policy.tag_move(&name("up.test/a")), TagMove::Strict);
    assert_eq!(policy.tag_move(&name("up.test/c")), TagMove::HoldNew);
}

const RANKED: &str = r#"
rules:
- {id: all, match: ["**"], trust: deny}
- {id: wide, match: ["up.test/**"], trust: allow}
- {id: app, match: ["up.test/app", "up.test/charts"], trust: approve}
- {id: range, match: ["up.test/app"], tags: {semver: ">=1.5"}, trust: allow}
- {id: exact, match: ["up.test/app"], tags: {exact: ["1.0", "1.5.0"]}, trust: allow}
- {id: chart, match: {images: ["up.test/charts"], artifact: [chart]}, trust: allow}
- {id: image, match: {images: ["up.test/kinds"], artifact: [image]}, trust: allow}
"#;
const CHART: Artifact<'_> = Artifact::Other("application/vnd.cncf.helm.config.v1+json");

#[test]
fn the_most_specific_rule_of_what_it_is_and_is_called_applies() {
    let policy = policy(RANKED);
    let other = Artifact::Other("application/vnd.other+json");
    for (text, artifact, tags, expected) in [
        ("a.test/x", Artifact::Image, &[][..], Some("all")),
        ("up.test/x", Artifact::Image, &[], Some("wide")),
        ("up.test/app", Artifact::Image, &[], Some("app")),
        ("up.test/app", Artifact::Image, &["1.0"], Some("exact")),
        ("up.test/app", Artifact::Image, &["0.1", "1.0"], Some("exact")),
        ("up.test/app", Artifact::Image, &["0.1"], Some("app")),
        ("up.test/app", Artifact::Image, &["1.6.0"], Some("range")),
        ("up.test/app", Artifact::Image, &["1.5.0"], Some("exact")),
        ("up.test/app", CHART, &["1.6.0"], Some("range")),
        ("up.test/charts", CHART, &["1.0"], Some("chart")),
        ("up.test/charts", other, &[], Some("app")),
        ("up.test/charts", Artifact::Image, &[], Some("app")),
        ("up.test/kinds", Artifact::Image, &[], Some("image")),
        ("up.test/kinds", CHART, &["y"], Some("wide")),
    ] {
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        let rule = policy.rule_for(&name(text), artifact, &tags);
        assert_eq!(rule.map(|rule| rule.id().as_str()), expected, "{text} {artifact:?} {tags:?}");
    }
    for (text, expected) in [
        ("up.test/app", &["exact", "range", "app"][..]),
        ("up.test/charts", &["chart", "app"]),
        ("up.test/kinds", &["image", "wide"]),
        ("a.test/x", &["all"]),
    ] {
        let candidates = policy.candidates(&name(text));
        let ids: Vec<&str> = candidates.iter().map(|rule| rule.id().as_str()).collect();
        assert_eq!(ids, expected, "{text}");
    }
    let some = self::policy("rules: [{id: a, match: [\"up.test/a\"], trust: allow}]");
    assert!(some.candidates(&name("up.test/b")).is_empty());
    assert!(some.rule_for(&name("up.test/b"), Artifact::Image, &[]).is_none());
}

#[test]
fn the_mode_is_that_of_everything_that_could_come_about() {
    let rules = r#"
floor: {registries: [up.test]}
rules:
- {id: some, match: ["up.test/some"], tags: {exact: [x]}, trust: allow, mode: audit}
- {id: firm, match: ["up.test/firm"], tags: {exact: [x]}, trust: allow, mode: enforce}
- {id: rest, match: ["up.test/firm"], trust: deny, mode: audit}
- {id: shut, match: ["up.test/shut"], trust: deny, mode: audit}
- {id: lock, match: ["up.test/lock"], trust: deny, mode: enforce}
"#;
    let enforcing = policy(rules);
    let auditing = policy(&format!("mode: audit{rules}"));
    for (text, by_enforcing, by_auditing, cause) in [
        ("up.test/some", Mode::Enforce, Mode::Audit, None),
        ("up.test/firm", Mode::Enforce, Mode::Enforce, None),
        ("up.test/shut", Mode::Audit, Mode::Audit, Some(OutrightCause::Rule)),
        ("up.test/lock", Mode::Enforce, Mode::Enforce, Some(OutrightCause::Rule)),
        ("up.test/none", Mode::Enforce, Mode::Audit, Some(OutrightCause::NoRule)),
        ("evil.test/a", Mode::Enforce, Mode::Audit, Some(OutrightCause::Registry)),
    ] {
        for (policy, mode) in [(&enforcing, by_enforcing), (&auditing, by_auditing)] {
            assert_eq!(
                policy.mode_for(&name(text), now()),
                mode,
                "{text} {:?}",
                policy.mode(now())
            );
            let found = policy.refuses_outright(&name(text), now());
            assert_eq!(found.as_ref().map(|found| found.cause), cause, "{text}");
            let enforced = found.map(|found| found.mode == Mode::Enforce);
            let expected = cause.map(|_| mode == Mode::Enforce);
            assert_eq!(enforced, expected, "{text} {:?}", policy.mode(now()));
        }
    }
}

#[test]
fn tags_may_move_where_every_rule_that_could_apply_lets_them() {
    let rules = r#"
rules:
- {id: some, match: ["up.test/some"], tags: {exact: [x]}, trust: allow, tagMove: hold-new}
- {id: calm, match: ["up.test/calm"], trust: allow, tagMove: hold-new}
- {id: firm, match: ["up.test/firm"], trust: allow, tagMove: strict}
- {id: silent, match: ["up.test/silent"], trust: allow}
"#;
    let held = policy(rules);
    let strict = policy(&format!("tagMove: strict{rules}"));
    for (text, by_held, by_strict) in [
        ("up.test/some", TagMove::HoldNew, TagMove::Strict),
        ("up.test/calm", TagMove::HoldNew, TagMove::HoldNew),
        ("up.test/firm", TagMove::Strict, TagMove::Strict),
        ("up.test/silent", TagMove::HoldNew, TagMove::Strict),
        ("up.test/none", TagMove::HoldNew, TagMove::Strict),
    ] {
        assert_eq!(held.tag_move(&name(text)), by_held, "{text}");
        assert_eq!(strict.tag_move(&name(text)), by_strict, "{text}");
    }
}

#[test]
fn what_the_floor_lists_is_what_it_says() {
    let denied = Digest::sha256(b"denied");
    let policy = policy(&format!(
        "floor: {{registries: [up.test], platforms: [linux/amd64], denyImages: [{{digest: \"{denied}\", reason: xz}}]}}\nrules: [{{id: a, match: [\"up.test/a\"], trust: allow}}]"
    ));
    assert_eq!(policy.denied_image(&denied), Some("xz"));
    assert_eq!(policy.denied_image(&Digest::sha256(b"other")), None);
    assert_eq!(policy.platforms(), ["linux/amd64".parse().unwrap()]);
    assert_eq!(policy.registries(), Some(&["up.test".parse().unwrap()][..]));
    assert_eq!((policy.name(), policy.revision(), policy.rules().len()), ("t", 1, 1));
    let signers = self::policy(
        "trustRoots: {acme: {notation: {ca: [file:/ca.pem]}}}\nsigners:\n  x: {notation: {root: acme, identity: \"*\"}}\n  y: {notation: {root: acme, identity: \"x509.subject: C=US, ST=WA, O=Acme\"}}\nrules: [{id: a, match: [\"up.test/a\"], trust: allow}]",
    );
    for name in ["x", "y"] {
        assert_eq!(signers.signer(name).map(Signer::name), Some(name));
    }
    assert!(signers.signer("z").is_none());
}
