//! What gates may say of configurations.

use std::path::Path;

use crate::policy::{Answer, ConfigGate, Policy, UserRule};

const RULES: &str = "rules: [{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}]\n";
const HEAD: &str = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n";

fn parsed(gate: &str) -> Result<Policy, String> {
    let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    Policy::parse(&format!("{HEAD}gates: {{strict: {gate}}}\n{RULES}"), &no_files)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn gate(text: &str) -> ConfigGate {
    let policy = parsed(text).unwrap_or_else(|problems| panic!("{text}: {problems}"));
    (*policy.rules[0].alone().configured[0]).clone()
}

#[test]
fn everything_that_a_gate_may_say_is_read_and_asks_for_no_scan() {
    let text = "{user: {nonRoot: numeric}, env: {denyNames: [\"*_TOKEN\", \"*password*\"], \
                denySecretLike: true}, exposedPorts: {deny: [22, 2375]}, \
                labels: {require: [org.opencontainers.image.source]}, healthcheck: require, \
                notApplicable: allow}";
    let found = gate(text);
    assert_eq!((found.name.as_str(), found.place().as_str()), ("strict", "gates.strict"));
    assert_eq!(found.user, Some(UserRule::Numeric));
    let patterns: Vec<_> = found.denied_env.iter().map(ToString::to_string).collect();
    assert_eq!(patterns, ["*_TOKEN", "*password*"]);
    assert!(found.denies_secret_like && found.requires_healthcheck);
    assert_eq!(found.denied_ports, [22, 2375]);
    assert_eq!(found.required_labels, ["org.opencontainers.image.source"]);
    assert_eq!(found.not_applicable, Answer::Allow);
    assert!(parsed(text).unwrap().rules[0].alone().gates.is_empty());
}

#[test]
fn what_is_not_said_is_not_asked_for_and_what_is_no_image_is_refused() {
    let found = gate("{user: {nonRoot: true}}");
    assert_eq!(found.user, Some(UserRule::NonRoot));
    assert!(found.denied_env.is_empty() && !found.denies_secret_like);
    assert!(found.denied_ports.is_empty() && found.required_labels.is_empty());
    assert!(!found.requires_healthcheck);
    assert_eq!(found.not_applicable, Answer::Deny);
}

#[test]
fn one_gate_may_ask_for_both_and_for_either_alone() {
    for (text, scans, configs) in [
        ("{deny: [{severity: high}], user: {nonRoot: true}, notApplicable: allow}", 1, 1),
        ("{deny: [{severity: high}]}", 1, 0),
        ("{deny: [{severity: high}], healthcheck: ignore}", 1, 0),
        ("{healthcheck: require}", 0, 1),
    ] {
        let policy = parsed(text).unwrap_or_else(|problems| panic!("{text}: {problems}"));
        let rule = &policy.rules[0];
        assert_eq!(
            (rule.alone().gates.len(), rule.alone().configured.len()),
            (scans, configs),
            "{text}"
        );
        for gate in rule.alone().gates.iter().filter(|_| configs > 0) {
            assert_eq!(gate.not_applicable, Answer::Allow, "it holds for both");
        }
    }
}

#[test]
fn names_are_covered_in_any_letter_case_whatever_is_in_them() {
    let found = gate("{env: {denyNames: [\"*_TOKEN\", \"Db**pass*\", EXACT]}}");
    for (name, expected) in [
        ("GITHUB_TOKEN", true),
        ("github_token", true),
        ("_token", true),
        ("a/b_Token", true),
        ("TOKEN", false),
        ("TOKEN_", false),
        ("DB_PASSWORD", true),
        ("db/x/pass", true),
        ("exact", true),
        ("exactly", false),
        ("", false),
    ] {
        let is_covered = found.denied_env.iter().any(|pattern| pattern.covers(name));
        assert_eq!(is_covered, expected, "{name}");
    }
}

#[test]
fn what_a_gate_cannot_say_is_a_problem_with_its_place() {
    let many: Vec<String> = (1..=101).map(|port| port.to_string()).collect();
    let many = format!("{{exposedPorts: {{deny: [{}]}}}}", many.join(", "));
    for (text, expected) in [
        ("{user: {}}", "gates.strict.user.nonRoot  is missing; write nonRoot: true, or"),
        ("{user: true}", "gates.strict.user  must be a map"),
        ("{user: {nonRoot: false}}", "user.nonRoot  \"false\" is not one of: true, numeric"),
        ("{user: {nonroot: true}}", "unknown key; did you mean nonRoot?"),
        ("{env: {}}", "gates.strict.env  says nothing; write denySecretLike: true"),
        ("{env: {denySecretLike: false}}", "gates.strict  refuses nothing"),
        ("{env: {denySecretLike: 1}}", "\"1\" is not one of: true, false"),
        ("{env: {denyNames: []}}", "gates.strict.env.denyNames  is an empty list"),
        ("{env: {denyNames: [A, A]}}", "env.denyNames[1]  \"A\" is listed twice"),
        ("{env: {denyNames: [\"A=b\"]}}", "env.denyNames[0]  \"A=b\" has a =; write the name"),
        ("{env: {denyNames: [\"***\"]}}", "env.denyNames[0]  \"***\" has more than two *"),
        ("{env: {denyNames: A}}", "gates.strict.env.denyNames  must be a list"),
        ("{exposedPorts: {}}", "gates.strict.exposedPorts.deny  is missing; write deny: [22]"),
        ("{exposedPorts: [22]}", "gates.strict.exposedPorts  must be a map"),
        ("{exposedPorts: {deny: [0]}}", "exposedPorts.deny[0]  \"0\" is not a port between 1 and"),
        ("{exposedPorts: {deny: [65536]}}", "\"65536\" is not a port"),
        ("{exposedPorts: {deny: [\"22/tcp\"]}}", "\"22/tcp\" is not a port"),
        ("{exposedPorts: {deny: [+22]}}", "\"+22\" is not a port"),
        ("{exposedPorts: {deny: [022]}}", "\"022\" is not a port"),
        ("{exposedPorts: {deny: [22, 22]}}", "exposedPorts.deny[1]  \"22\" is listed twice"),
        (&many, "gates.strict.exposedPorts.deny  has more than 100 entries"),
        ("{labels: {}}", "gates.strict.labels.require  is missing; write require: ["),
        ("{labels: {require: [a, a]}}", "labels.require[1]  \"a\" is listed twice"),
        ("{labels: {require: [[a]]}}", "gates.strict.labels.require[0]  must be a text"),
        (
            "{healthcheck: true}",
            "gates.strict.healthcheck  \"true\" is not one of: require, ignore",
        ),
        ("{healthcheck: ignore}", "gates.strict  refuses nothing; write user: {nonRoot: true}"),
        ("{healthcheck: require, unknown: allow}", "gates.strict.deny  is missing"),
        ("{healthcheck: require, notApplicable: no}", "gates.strict.notApplicable  \"no\" is not"),
        ("{setuidFiles: {max: 0}}", "gates.strict.setuidFiles  not supported by this version"),
        ("{user: {nonRoot: true}, setuidFiles: 1}", "setuidFiles  not supported by this"),
    ] {
        let problems = parsed(text).unwrap_err();
        assert!(problems.contains(expected), "{text}: {problems}");
        assert!(problems.starts_with("line 4:"), "{text}: {problems}");
        assert!(!problems.contains("is not among the gates"), "{text}: {problems}");
    }
}
