//! What an overlay may say, and that nothing of it is understood as something else.

use super::super::{Artifact, Mode, Policy, Problem};
use crate::oci::{Name, Tag};
use crate::time::Timestamp;

const KEY: &str = include_str!("../../../tests/fixtures/signatures/p256.pub");

fn parsed(rest: &str) -> Result<Policy, Vec<Problem>> {
    let head = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n\
                signers: {team: {key: {pem: file:key.pub}, transparencyLog: none}}\n\
                gates: {strict: {deny: [{severity: high}]}, listed: {deny: [{severity: high}], sbom: {from: [team]}}}\n";
    Policy::parse(&format!("{head}{rest}"), &|_| Ok(KEY.into()))
}

const RULES: &str = "rules: [{id: r, match: [\"up.test/**\"], trust: allow}]\n";

/// The problems of a policy with one overlay that goes on with `rest`.
fn problems(rest: &str) -> String {
    let overlay = format!("{RULES}overlays: [{{id: o, match: [\"up.test/**\"]{rest}}}]\n");
    told(parsed(&overlay))
}

fn told(parsed: Result<Policy, Vec<Problem>>) -> String {
    let problems = parsed.err().unwrap_or_default();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const ASKS: &str = ", signatures: {atLeast: 1, of: [team]}";

#[test]
fn an_overlay_that_would_do_nothing_or_loosen_something_is_no_policy() {
    assert_eq!(problems(ASKS), "");
    for (rest, expected) in [
        ("", "overlays[0]  asks for nothing"),
        (", mode: audit", "overlays[0]  asks for nothing"),
        (
            ", signatures: {none: \"no need\"}",
            "overlays[0].signatures.none  an overlay takes nothing",
        ),
        (
            ", trust: allow, signatures: {atLeast: 1, of: [team]}",
            "overlays[0].trust  \"allow\" is not one of: deny",
        ),
        (", trust: approve, gates: [strict]", "overlays[0].trust  \"approve\" is not one of: deny"),
        (
            ", trust: deny, gates: [strict]",
            "overlays[0].gates  has no effect on a rule that denies",
        ),
        (", tagMove: strict, gates: [strict]", "overlays[0].tagMove  is for rules"),
        (", signerChange: allow, gates: [strict]", "overlays[0].signerChange  is for rules"),
        (", gates: [strict, strict]", "\"strict\" is listed twice"),
        (", gates: [none]", "\"none\" is not among the gates"),
        (", gates: [listed]", "overlays[0].gates  \"listed\" takes bills of materials"),
        (", signatures: {atLeast: 1, of: [nobody]}", "\"nobody\" is not among the signers"),
        (", signatures: {atLeast: 2, of: [team]}", "can never be reached"),
        (", attestations: [{type: spdx}]", "overlays[0].attestations[0].signers  is missing"),
        (", attestations: [{type: spdx, signers: [nobody]}]", "\"nobody\" is not among"),
        (", gates: [strict], floor: {}", "overlays[0].floor  unknown key"),
        (", gates: [strict], when: \"true\"", "overlays[0].when  says nothing of the image"),
        (", when: \"image.tag == 'x'\"", "overlays[0]  asks for nothing"),
        (
            ", gates: [strict], when: \"client.namespace == 'prod'\"",
            "overlays[0].when  speaks of client, which is not known when an image is judged",
        ),
        (", gates: [strict], when: [x]", "overlays[0].when  must be a text"),
        (", gates: [strict], tags: {}", "takes exactly one of semver"),
        (", match: [\"**\"]", "duplicate key"),
    ] {
        let found = problems(rest);
        assert!(found.contains(expected), "{rest}: {found}");
    }
    for (rest, expected) in [
        ("overlays: []", "overlays  is an empty list"),
        ("overlays: {}", "overlays  must be a list"),
        ("overlays: [x]", "overlays[0]  must be a map"),
        ("overlays: [{match: [\"**\"], gates: [strict]}]", "overlays[0].id  is missing"),
        ("overlays: [{id: o, gates: [strict]}]", "overlays[0].match  is missing"),
        ("overlays: [{id: o, match: [nginx], gates: [strict]}]", "names no registry"),
        (
            "overlays: [{id: r, match: [\"**\"], gates: [strict]}]",
            "overlays[0].id  \"r\" is the id of rules[0] too",
        ),
        (
            "overlays: [{id: o, match: [\"**\"], gates: [strict]}, {id: o, match: [\"**\"], gates: [strict]}]",
            "overlays[1].id  \"o\" is the id of overlays[0] too",
        ),
    ] {
        let found = told(parsed(&format!("{RULES}{rest}\n")));
        assert!(found.contains(expected), "{rest}: {found}");
    }
    let many: Vec<String> =
        (0..201).map(|at| format!("- {{id: o{at}, match: [\"**\"], gates: [strict]}}")).collect();
    let found = told(parsed(&format!("{RULES}overlays:\n{}\n", many.join("\n"))));
    assert!(found.contains("has more than 200 overlays"), "{found}");
}

#[test]
fn every_overlay_that_matches_is_heard_and_no_other() {
    let policy = parsed(
        r#"
rules:
- {id: all, match: ["up.test/**"], trust: allow}
- {id: one, match: ["up.test/a"], tags: {exact: [x]}, trust: allow}
overlays:
- {id: wide, match: ["**"], gates: [strict]}
- {id: narrow, match: ["up.test/a", "up.test/b"], gates: [strict]}
- {id: tagged, match: ["up.test/a"], tags: {semver: ">=1"}, gates: [strict]}
- {id: charts, match: {images: ["up.test/a"], artifact: [chart]}, gates: [strict]}
"#,
    )
    .unwrap();
    let chart = Artifact::Other("application/vnd.cncf.helm.config.v1+json");
    for (name, artifact, tags, expected) in [
        ("up.test/a", Artifact::Image, &[][..], &["wide", "narrow"][..]),
        ("up.test/a", Artifact::Image, &["0.9.0", "1.2.3"], &["wide", "narrow", "tagged"]),
        ("up.test/a", chart, &["x"], &["wide", "narrow", "charts"]),
        ("up.test/b", chart, &["1.2.3"], &["wide", "narrow"]),
        ("other.test/c", Artifact::Image, &[], &["wide"]),
    ] {
        let name: Name = name.parse().unwrap();
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        let demands = policy.demands(&name, artifact, &tags);
        let ids: Vec<&str> = demands.overlays().iter().map(|it| it.id().as_str()).collect();
        assert_eq!(ids, expected, "{name} {artifact:?} {tags:?}");
        // Who gathers evidence expects at least these, under whichever rule.
        let possible = policy.possible_demands(&name);
        assert!(!possible.is_empty(), "{name}");
        for one in possible {
            let ids: Vec<&str> = one.overlays().iter().map(|it| it.id().as_str()).collect();
            assert!(expected.iter().all(|id| ids.contains(id)), "{name}: {ids:?}");
            assert_eq!(one.gates().len(), 1, "one gate is asked once");
        }
    }
}

#[test]
fn a_mode_ends_when_it_says_and_nothing_else_is_a_date() {
    use Mode::{Audit, Enforce, Warn};
    let policy = parsed(
        r#"
mode: audit
modeUntil: 2027-01-31
rules:
- {id: inherits, match: ["up.test/a"], trust: allow}
- {id: own, match: ["up.test/b"], trust: allow, mode: warn}
- {id: dated, match: ["up.test/c"], trust: allow, mode: warn, modeUntil: 2027-03-01T12:00:00Z}
- {id: later, match: ["up.test/d"], trust: allow, modeUntil: 2027-03-01}
- {id: strict, match: ["up.test/e"], trust: allow, mode: enforce}
"#,
    )
    .unwrap();
    let modes = |moment: &str| -> Vec<Mode> {
        policy.rules().iter().map(|rule| rule.mode(at(moment))).collect()
    };
    assert_eq!(modes("2027-01-30T23:59:59Z"), [Audit, Warn, Warn, Audit, Enforce]);
    assert_eq!(modes("2027-01-31T00:00:00Z"), [Enforce, Warn, Warn, Audit, Enforce]);
    assert_eq!(modes("2027-03-01T00:00:00Z"), [Enforce, Warn, Warn, Enforce, Enforce]);
    assert_eq!(modes("2027-03-01T12:00:00Z"), [Enforce, Warn, Enforce, Enforce, Enforce]);
    assert_eq!(policy.mode(at("2027-01-31T00:00:00Z")), Enforce);
    assert_eq!(
        policy.mode_changes_after(at("2027-01-31T00:00:00Z")),
        Some(at("2027-03-01T00:00:00Z"))
    );
    assert_eq!(policy.mode_changes_after(at("2027-03-01T12:00:00Z")), None);

    for (rest, expected) in [
        ("mode: warn\nmodeUntil: 31.1.2027\n", "modeUntil  must be a day like 2027-01-31"),
        ("mode: warn\nmodeUntil: 2027-02-30\n", "modeUntil  must be a day"),
        ("mode: warn\nmodeUntil: 30d\n", "modeUntil  must be a day"),
        ("mode: warn\nmodeUntil: never\n", "modeUntil  must be a day"),
        ("mode: warn\nmodeUntil: 2027-01-31T00:00:00\n", "modeUntil  must be a day"),
        ("modeUntil: 2027-01-31\n", "modeUntil  has no effect: it enforces already"),
        ("mode: enforce\nmodeUntil: 2027-01-31\n", "modeUntil  has no effect"),
        (
            "mode: warn\nmodeUntil: 2027-01-31\ndefaults: {modeUntil: 2027-01-31}\n",
            "defaults.modeUntil  stands at the top as modeUntil too",
        ),
    ] {
        let found = told(parsed(&format!("{rest}{RULES}")));
        assert!(found.contains(expected), "{rest}: {found}");
    }
    let found = problems(", gates: [strict], modeUntil: 2027-01-31");
    assert!(found.contains("overlays[0].modeUntil  has no effect"), "{found}");
    let rule = "mode: audit\nrules: [{id: r, match: [\"**\"], trust: allow, mode: enforce, modeUntil: 2027-01-31}]\n";
    assert!(told(parsed(rule)).contains("rules[0].modeUntil  has no effect"));
}

#[test]
fn the_mode_of_a_repository_is_that_of_the_strictest_that_may_decide() {
    let policy = parsed(
        r#"
mode: audit
rules:
- {id: a, match: ["up.test/a"], trust: allow}
- {id: b, match: ["up.test/b"], trust: allow, mode: warn, modeUntil: 2027-01-31}
- {id: c, match: ["up.test/c"], trust: allow}
overlays:
- {id: o, match: ["up.test/c", "up.test/none"], mode: enforce, gates: [strict]}
- {id: w, match: ["up.test/b"], mode: warn, gates: [strict]}
"#,
    )
    .unwrap();
    let mode = |name: &str, moment: &str| policy.mode_for(&name.parse().unwrap(), at(moment));
    let (before, after) = ("2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z");
    for (name, expected) in [
        ("up.test/a", [Mode::Audit, Mode::Audit]),
        ("up.test/b", [Mode::Warn, Mode::Enforce]),
        ("up.test/c", [Mode::Enforce, Mode::Enforce]),
        // No rule lists it, which is only watched; the overlay is not.
        ("up.test/none", [Mode::Enforce, Mode::Enforce]),
        ("up.test/other", [Mode::Audit, Mode::Audit]),
    ] {
        // Asked in either order: what is remembered of a repository must not outlive its truth.
        assert_eq!([before, after].map(|moment| mode(name, moment)), expected, "{name}");
        assert_eq!([after, before].map(|moment| mode(name, moment)), [expected[1], expected[0]]);
    }
}
