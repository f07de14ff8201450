//! What is accepted, what is refused, and in which words.

use proptest::prelude::*;

use super::*;
use crate::policy::{
    Artifact, AttestationType, KeyText, Level, PolicyId, Quorum, Rule, Scope, SignatureRule, Trust,
    TrustRootKind, WantedText, Who,
};

use crate::time::Window;

const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE3c9mpor6fkuDzDRsAmEZm8AhMhLH
JIKJ43piywQgOGecmKkFM8EPCl+THSzrOwv2MbF1f1OKER6dZl7TJtHNfQ==
-----END PUBLIC KEY-----
";

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("/etc/pratique/team.pub") => Ok(KEY.as_bytes().to_vec()),
        Some("/etc/pratique/root.json") => Ok(b"{}".to_vec()),
        Some("/etc/pratique/crlf.pub") => Ok(KEY.replace('\n', "\r\n").into_bytes()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    }
}

fn parse(text: &str) -> Result<Policy, Vec<Problem>> {
    Policy::parse(text, &read_file)
}

fn with(rest: &str) -> String {
    format!("apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {{name: t, revision: 1}}\n{rest}")
}

/// The problems of a document, one a line.
fn problems(rest: &str) -> String {
    let problems = parse(&with(rest)).expect_err("has problems");
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_refused(rest: &str, expected: &str) {
    let found = problems(rest);
    assert!(found.contains(expected), "expected: {expected}\nfound:\n{found}");
}

/// The quorums that `rule` asks for.
fn quorums(rule: &Rule) -> Vec<(usize, Vec<&str>)> {
    let Some(SignatureRule::Signed { by, .. }) = rule.alone().signatures else { return Vec::new() };
    by.as_slice().iter().map(pair).collect()
}

fn pair(quorum: &Quorum) -> (usize, Vec<&str>) {
    (quorum.at_least, quorum.of.iter().map(String::as_str).collect())
}

const RULES: &str = "rules: [{id: a, match: [\"**\"], trust: deny}]\n";

#[test]
fn the_policy_of_the_documentation_is_accepted() {
    let policy = parse(
        r#"
apiVersion: pratique.dev/v1
kind: Policy
metadata: {name: site, revision: 1}
signers:
  team: {key: {pem: file:/etc/pratique/team.pub}, transparencyLog: none}   # or an inline PEM block
floor:
  registries: [up.test]
  platforms: [linux/amd64]
rules:
- {id: open,   match: ["up.test/open/**"],   trust: allow}
- {id: signed, match: ["up.test/signed/**"], trust: allow, signatures: {atLeast: 1, of: [team]}}
- {id: asked,  match: ["up.test/asked/**"],  trust: approve}
"#,
    )
    .unwrap();
    assert_eq!((policy.name(), policy.revision()), ("site", 1));
    let key = Who::Key {
        text: KeyText::Pem(KEY.to_owned()),
        log: None,
        window: Window::default(),
        algorithm: None,
    };
    assert_eq!(policy.signers()[0].who(), &key);
    let name = "up.test/signed/a/b".parse().unwrap();
    let rule = policy.rule_for(&name, Artifact::Image, &[]).unwrap();
    assert_eq!(quorums(rule), [(1, vec!["team"])]);
}

#[test]
fn the_example_file_is_accepted_whole() {
    let policy = parse(include_str!("../../../config/policy.yaml")).unwrap();
    assert_eq!(policy.rules().len(), 6);
    let rule = policy.rule_for(&"ghcr.io/acme/lab/x".parse().unwrap(), Artifact::Image, &[]);
    assert_eq!(rule.unwrap().id().as_str(), "acme-lab");
}

#[test]
fn the_built_in_policy_asks_for_an_approval_of_everything_it_knows() {
    let policy = Policy::built_in();
    assert_eq!((policy.name(), policy.revision()), ("built-in", 0));
    for name in ["nginx", "ghcr.io/a/b", "quay.io/a/b", "mcr.microsoft.com/a", "registry.k8s.io/a"]
    {
        let rule = policy.rule_for(&name.parse().unwrap(), Artifact::Image, &[]).unwrap();
        assert_eq!(rule.trust(), Trust::Approve, "{name}");
    }
    let now = crate::time::Timestamp::from_milliseconds(0);
    assert!(policy.refuses_outright(&"evil.test/a".parse().unwrap(), now).is_some());
}

#[test]
fn json_is_a_policy_too() {
    let text = r#"{"apiVersion": "pratique.dev/v1", "kind": "Policy",
        "metadata": {"name": "j", "revision": 7},
        "rules": [{"id": "a", "match": ["up.test/**"], "trust": "allow"}]}"#;
    assert_eq!(parse(text).unwrap().revision(), 7);
}

#[test]
fn what_is_wrong_with_an_entry_of_a_long_name_is_told_once() {
    let long = "n".repeat(60);
    let text = format!(
        "signers:\n  {long}: {{key: {{pem: \"nothing\"}}, transparencyLog: none}}\n\
         gates: {{{long}: {{deny: [{{severity: worst}}]}}}}\n\
         rules: [{{id: a, match: [\"**\"], trust: allow, gates: [{long}], signatures: {{atLeast: 1, of: [{long}]}}}}]\n"
    );
    let problems = parse(&with(&text)).expect_err("two mistakes");
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys.len(), 2, "{problems:?}");
    assert!(keys.iter().any(|key| key.ends_with(".key.pem")), "{keys:?}");
    assert!(keys.iter().any(|key| key.starts_with("gates.nnn")), "{keys:?}");
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let found = problems(
        "mode: warm
floor: {registrys: [up.test], limits: {attestationBytes: 1MiB}}
rules:
- {id: a, match: [nginx], trust: allow}
- {id: a, match: [\"up.test/**\"]}
- {id: b, match: [\"up.test/**\"], trust: alow, gates: [x]}
",
    );
    let expected = [
        "line 4:7    mode  \"warm\" is not one of: enforce, warn, audit",
        "line 5:9    floor.registrys  unknown key; did you mean registries?",
        "line 5:40   floor.limits.attestationBytes  not supported by this version; an attestation has 16 MiB at most, whatever is written; signaturesPerImage bounds how many are looked at",
        "line 7:19   rules[0].match[0]  \"nginx\": names no registry; write the registry too: \"docker.io/library/nginx\"",
        "line 8:3    rules[1].trust  is missing; write allow (no human needed), approve (a person decides) or deny",
        "line 8:8    rules[1].id  \"a\" is the id of rules[0] too; give one another id",
        "line 9:19   rules[2].match  rules[1], rules[2] both match \"up.test/**\" equally; make one more specific",
        "line 9:41   rules[2].trust  \"alow\" is not one of: allow, approve, deny",
        "line 9:55   rules[2].gates[0]  \"x\" is not among the gates",
    ];
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn what_later_versions_act_on_is_refused_and_never_ignored() {
    for (key, value) in [("waivers", "[]"), ("maxWaiver", "90d"), ("import", "[]")] {
        let expected = format!("{key}  not supported by this version");
        assert_refused(&format!("{key}: {value}\n{RULES}"), &expected);
    }
    for (rule, expected) in [
        (
            "attestations: [{type: spdx, signers: [x], scope: either}]",
            "rules[0].attestations[0].scope  not supported",
        ),
        ("signatures: {any: []}", "rules[0].signatures.any  not supported"),
    ] {
        let text = format!("rules: [{{id: a, match: [\"**\"], trust: allow, {rule}}}]\n");
        assert_refused(&text, expected);
    }
    for (rest, expected) in [
        ("floor: {limits: {attestationBytes: 1MiB}}", "floor.limits.attestationBytes  not supp"),
        ("trustRoots: {y: {tuf: z}}", "trustRoots.y.tuf  not supported"),
        ("trustRoots: {y: {sigstore: {trustedRoot: z, tuf: z}}}", "sigstore.tuf  not supported"),
    ] {
        assert_refused(&format!("{rest}\n{RULES}"), expected);
    }
}

#[test]
fn yaml_that_means_something_else_than_it_says_is_refused() {
    for (rest, expected) in [
        ("mode: &a audit\n", "anchors are not allowed"),
        ("mode: *a\n", "aliases are not allowed"),
        ("metadata: &m {name: t}\ndefaults: *m\n", "aliases are not allowed"),
        ("defaults: {<<: {mode: audit}}\n", "merge keys are not allowed"),
        ("mode: !!str audit\n", "tags are not allowed"),
        ("mode: audit\nmode: enforce\n", "mode  duplicate key, first written in line 4"),
        ("---\nkind: Policy\n", "a second document begins here"),
        ("mode: [\n", "is not well-formed YAML"),
        ("? [a]\n: b\n", "a key must be a text, this is a list"),
        ("%YAML 1.1\n", "is not well-formed YAML"),
        ("mode: ~\n", "mode  must be a text, this is nothing"),
    ] {
        assert_refused(&format!("{rest}{RULES}"), expected);
    }
    let deep = format!("mode: {}{}\n{RULES}", "[".repeat(5000), "]".repeat(5000));
    assert!(parse(&with(&deep)).is_err());
    let long = format!("# {}\n", "x".repeat(1 << 20));
    assert!(parse(&long).unwrap_err()[0].to_string().contains("larger than 1 MiB"));
    for empty in ["", "# nothing\n", "---\n", "a", "[]"] {
        assert!(parse(empty).is_err(), "{empty:?}");
    }
}

#[test]
fn numbers_and_tags_are_taken_as_written() {
    for bad in ["0x10", "1e3", "\"1\"", "-1", "1.0", "010", "1_000", "18446744073709551616"] {
        let text = with(RULES).replace("revision: 1", &format!("revision: {bad}"));
        let found = parse(&text).unwrap_err()[0].to_string();
        assert!(found.contains("must be a whole number"), "{bad}: {found}");
    }
    let rules = "rules: [{id: a, match: [\"**\"], trust: allow, tags: {exact: [1.10, 1e3]}}]\n";
    let policy = parse(&with(rules)).unwrap();
    let name = "up.test/a".parse().unwrap();
    let applies = |tag: &str| policy.rule_for(&name, Artifact::Image, &[tag.parse().unwrap()]);
    assert!(applies("1.10").is_some() && applies("1e3").is_some() && applies("1.1").is_none());
}

#[test]
fn a_quorum_counts_people_not_names() {
    let signer = |name: &str, file: &str| {
        format!("  {name}: {{key: {{pem: file:/etc/pratique/{file}}}, transparencyLog: none}}\n")
    };
    let (team, twin) = (signer("team", "team.pub"), signer("twin", "crlf.pub"));
    let quorum = |signatures: &str| {
        format!("rules: [{{id: a, match: [\"**\"], trust: allow, signatures: {signatures}}}]\n")
    };
    let one = quorum("{atLeast: 1, of: [team]}");
    assert!(parse(&with(&format!("signers:\n{team}{one}"))).is_ok());
    assert_refused(
        &format!("signers:\n{team}{twin}{one}"),
        "signers.twin.key.pem  is the same key as that of signer team; one key is one signer",
    );
    for (signatures, expected) in [
        ("{atLeast: 0, of: [team]}", "atLeast  must be at least 1"),
        ("{atLeast: 2, of: [team]}", "atLeast  can never be reached: only 1 signers"),
        ("{atLeast: 1, of: [team, team]}", "of[1]  \"team\" is listed twice"),
        ("{atLeast: 1, of: [other]}", "of[0]  \"other\" is not among the signers"),
        ("{atLeast: 1, of: []}", "of  is an empty list"),
        ("{of: [team]}", "atLeast  is missing"),
        ("{atLeast: 1}", "asks for nothing"),
        ("{}", "asks for nothing"),
        ("{none: \"\"}", "none  is empty"),
        ("{none: why, of: [team]}", "says none and asks for some"),
        ("{none: why, scope: index}", "says none and asks for some"),
        (
            "{atLeast: 1, of: [team], scope: platforms}",
            "scope  \"platforms\" is not one of: index, every-platform, either",
        ),
        ("{atLeast: 1, of: [team], scope: Index}", "scope  \"Index\" is not one of"),
        ("{all: [{atLeast: 1, of: [team], scope: index}]}", "all[0].scope  unknown key"),
        ("{none: why, all: [{atLeast: 1, of: [team]}]}", "says none and asks for some"),
        ("{all: []}", "signatures.all  is an empty list"),
        ("{all: {atLeast: 1, of: [team]}}", "signatures.all  must be a list"),
        ("{all: [{}]}", "signatures.all[0]  asks for nothing"),
        ("{all: [[]]}", "signatures.all[0]  must be a map"),
        ("{all: [{of: [team]}]}", "signatures.all[0].atLeast  is missing"),
        ("{all: [{atLeast: 0, of: [team]}]}", "all[0].atLeast  must be at least 1"),
        ("{all: [{atLeast: 2, of: [team]}]}", "all[0].atLeast  can never be reached: only 1"),
        ("{all: [{atLeast: 1, of: [team, team]}]}", "all[0].of[1]  \"team\" is listed twice"),
        ("{all: [{atLeast: 1, of: [x]}]}", "all[0].of[0]  \"x\" is not among the signers"),
        ("{all: [{none: why}]}", "all[0].none  unknown key; known here: atLeast, of"),
        ("{all: [{all: []}]}", "all[0].all  unknown key"),
        (
            "{all: [{atLeast: 1, of: [team]}], of: [team]}",
            "signatures  takes either atLeast and of",
        ),
        (
            "{all: [{atLeast: 1, of: [team]}], atLeast: 1}",
            "signatures  takes either atLeast and of",
        ),
    ] {
        assert_refused(&format!("signers:\n{team}{}", quorum(signatures)), expected);
    }
}

#[test]
fn a_scope_is_the_index_unless_the_rule_says_otherwise() {
    let signer =
        "signers: {team: {key: {pem: file:/etc/pratique/team.pub}, transparencyLog: none}}";
    for (written, expected) in [
        ("", Scope::Index),
        (", scope: index", Scope::Index),
        (", scope: every-platform", Scope::EveryPlatform),
        (", scope: either", Scope::Either),
    ] {
        let rule = format!(
            "{signer}\nrules: [{{id: a, match: [\"**\"], trust: allow, signatures: {{atLeast: 1, of: [team]{written}}}}}]\n"
        );
        let policy = parse(&with(&rule)).unwrap();
        let Some(SignatureRule::Signed { scope, .. }) = policy.rules()[0].alone().signatures else {
            panic!("asks for none");
        };
        assert_eq!(*scope, expected, "{written}");
    }
}

#[test]
fn several_quorums_are_about_different_signers_each() {
    let signers = "signers:
  a: {key: {pem: file:/etc/pratique/team.pub}, transparencyLog: none}
  b: {keyless: {issuer: \"https://i.test\", subject: b@i.test}}
";
    let text = |all: &str| {
        format!(
            "{signers}rules: [{{id: a, match: [\"**\"], trust: allow, signatures: {{all: [{all}]}}}}]\n"
        )
    };
    let two = "{atLeast: 1, of: [b]}, {atLeast: 2, of: [a, b]}";
    let policy = parse(&with(&text(two))).unwrap();
    assert_eq!(quorums(&policy.rules()[0]), [(1, vec!["b"]), (2, vec!["a", "b"])]);
    assert_refused(
        &text("{atLeast: 1, of: [a, b]}, {atLeast: 2, of: [b, a]}"),
        "all[1]  asks the same signers as rules[0].signatures.all[0]; keep the one with the higher",
    );
    let many = vec!["{atLeast: 1, of: [a]}"; 17].join(", ");
    assert_refused(&text(&many), "signatures.all  has more than 16 entries");
    let found = problems(&text("{atLeast: 3, of: [c, c]}, {atLeast: 0, of: [a]}"));
    let expected = [
        "all[0].atLeast  can never be reached: only 2 signers are listed",
        "all[0].of[0]  \"c\" is not among the signers",
        "all[0].of[1]  \"c\" is listed twice; keep one",
        "all[1].atLeast  must be at least 1",
    ];
    for expected in expected {
        assert!(found.contains(expected), "expected: {expected}\nfound:\n{found}");
    }
}

#[test]
fn an_identity_is_issuer_and_subject_under_a_root() {
    let rules = "rules: [{id: a, match: [\"**\"], trust: allow}]\n";
    let keyless = |inner: &str| format!("signers: {{x: {{keyless: {{{inner}}}}}}}\n{rules}");
    let text = keyless("issuer: \"https://i.test\", subjectRegexp: 'https://h\\.test/.*'");
    let policy = parse(&with(&text)).unwrap();
    assert_eq!(
        policy.signers()[0].who(),
        &Who::Keyless {
            root: "public-good".to_owned(),
            issuer: WantedText::Exact("https://i.test".to_owned()),
            subject: WantedText::Regexp(r"https://h\.test/.*".to_owned()),
            subject_type: None,
        }
    );
    let root = "trustRoots: {corp: {sigstore: {trustedRoot: file:/etc/pratique/root.json}}}\n";
    let at_corp =
        format!("{root}{}", keyless("root: corp, issuer: i, subject: s, subjectType: uri"));
    let policy = parse(&with(&at_corp)).unwrap();
    let TrustRootKind::Sigstore { json, .. } = policy.trust_roots()[0].kind() else { panic!() };
    assert_eq!(json, "{}");
    let logged = "signers: {x: {key: {pem: file:/etc/pratique/team.pub}, transparencyLog: corp}}\n";
    assert!(parse(&with(&format!("{root}{logged}{rules}"))).is_ok());
    for (inner, expected) in [
        (
            "issuer: i",
            "signers.x.keyless.subject  is missing; whose signature counts is always both",
        ),
        ("subject: s", "signers.x.keyless.issuer  is missing"),
        ("issuer: i, issuerRegexp: i, subject: s", "issuerRegexp  stands beside issuer"),
        ("issuer: i, subject: s, subjectRegExp: x", "unknown key; did you mean subjectRegexp?"),
        ("issuer: i, subject: s, subjectType: dns", "\"dns\" is not one of: email, uri"),
        ("issuer: \"i\\nj\", subject: s", "has control characters"),
        ("root: corp, issuer: i, subject: s", "root  \"corp\" is not among the trustRoots"),
    ] {
        assert_refused(&keyless(inner), expected);
    }
    for (signers, expected) in [
        (
            "{x: {keyless: {issuer: i, subject: s}, transparencyLog: none}}",
            "signers.x.transparencyLog  does not go with keyless",
        ),
        (
            "{x: {keyless: {issuer: i, subject: s}}, y: {keyless: {issuer: i, subject: s}}}",
            "signers.y.keyless.subject  is the same identity as that of signer x",
        ),
        (
            "{x: {keyless: {issuer: i, subject: s}}, \
              y: {keyless: {issuer: i, subject: s, subjectType: email}}}",
            "signers.y.keyless.subject  is the same identity as that of signer x",
        ),
    ] {
        assert_refused(&format!("signers: {signers}\n{rules}"), expected);
    }
    for (roots, expected) in [
        ("{y: {}}", "trustRoots.y.sigstore  is missing"),
        ("{y: {sigstore: {trustedRoot: x.json}}}", "must be the path of a file"),
        ("{y: {sigstore: {trustedRoot: file:/nowhere}}}", "cannot read /nowhere"),
    ] {
        assert_refused(&format!("trustRoots: {roots}\n{rules}"), expected);
    }
}

#[test]
fn a_trust_root_says_how_many_logs_and_whether_a_timestamp_is_needed() {
    let root = |inner: &str| {
        let file = "trustedRoot: file:/etc/pratique/root.json";
        format!("trustRoots: {{corp: {{sigstore: {{{file}{inner}}}}}}}\n{RULES}")
    };
    for (inner, expected) in [
        ("", (1, false)),
        (", minLogs: 1", (1, false)),
        (", minLogs: 2, requireTSA: true", (2, true)),
        (", requireTSA: false", (1, false)),
    ] {
        let policy = parse(&with(&root(inner))).unwrap();
        let TrustRootKind::Sigstore { logs_min, timestamp, .. } = policy.trust_roots()[0].kind()
        else {
            panic!("a root of sigstore")
        };
        assert_eq!((*logs_min, *timestamp), expected, "{inner}");
    }
    for (inner, expected) in [
        (", minLogs: 0", "sigstore.minLogs  must be at least 1"),
        (", minLogs: -1", "sigstore.minLogs  must be a whole number"),
        (", minLogs: '2'", "sigstore.minLogs  must be a whole number"),
        (", minLogs: 1.5", "sigstore.minLogs  must be a whole number"),
        (", minlogs: 2", "unknown key; did you mean minLogs?"),
        (", requireTSA: yes", "\"yes\" is not one of: true, false"),
        (", requireTSA: 2", "\"2\" is not one of: true, false"),
        (", requireTsa: true", "unknown key; did you mean requireTSA?"),
    ] {
        assert_refused(&root(inner), expected);
    }
    for outer in ["minLogs", "requireTSA"] {
        let text = format!(
            "trustRoots: {{corp: {{sigstore: {{trustedRoot: file:/etc/pratique/root.json}}, \
             {outer}: 1}}}}\n{RULES}"
        );
        assert_refused(&text, &format!("trustRoots.corp.{outer}  belongs into sigstore"));
    }
}

#[test]
fn whoever_looks_for_content_trust_is_told_that_it_is_retired() {
    for word in ["notary", "Notary", "notaryV1", "contentTrust", "dockerContentTrust", "dct", "DCT"]
    {
        for text in [
            format!("signers: {{x: {{{word}: {{root: file:root.json}}}}}}"),
            format!("trustRoots: {{x: {{{word}: {{root: file:root.json}}}}}}"),
            format!("trustRoots: {{x: {{sigstore: {{{word}: file:root.json}}}}}}"),
            format!("{word}: true"),
        ] {
            let expected = format!(
                "{word}  Docker Content Trust (Notary v1) is retired and not supported; sign with \
                 cosign (key or keyless) or notation instead"
            );
            assert_refused(&format!("{text}\n{RULES}"), &expected);
        }
    }
    let named = "signers: {notary: {keyless: {issuer: i, subject: s}}}\n";
    assert!(parse(&with(&format!("{named}{RULES}"))).is_ok());
}

#[test]
fn what_must_be_attested_is_a_kind_of_statement_by_names() {
    let signer = "signers: {x: {keyless: {issuer: i, subject: s}}}\n";
    let rule = |inner: &str| {
        format!(
            "{signer}rules: [{{id: a, match: [\"**\"], trust: allow, attestations: [{{{inner}}}]}}]\n"
        )
    };
    let whole = "type: slsaprovenance1, signers: [x], atLeast: 1, builderRegexp: 'https://ci/.*', \
        cel: \"predicate.a == 1\"";
    let policy = parse(&with(&rule(whole))).unwrap();
    let [asked] = policy.rules()[0].alone().attestations else { panic!("one is asked for") };
    assert!(asked.kind.takes("https://slsa.dev/provenance/v1"));
    assert_eq!((asked.at_least, asked.signers.as_slice()), (1, &["x".to_owned()][..]));
    assert_eq!(asked.builder, Some(WantedText::Regexp("https://ci/.*".to_owned())));
    assert_eq!(asked.condition.as_deref(), Some("predicate.a == 1"));
    for (inner, expected) in [
        ("signers: [x]", "attestations[0].type  is missing"),
        ("type: sbom, signers: [x]", "type  \"sbom\" is not known; write one of: slsaprovenance"),
        ("type: spdx", "attestations[0].signers  is missing"),
        ("type: spdx, signers: []", "signers  is an empty list"),
        ("type: spdx, signers: [y]", "signers[0]  \"y\" is not among the signers"),
        ("type: spdx, signers: [x, x]", "signers[1]  \"x\" is listed twice"),
        ("type: spdx, signers: [x], atLeast: 0", "atLeast  must be at least 1"),
        ("type: spdx, signers: [x], atLeast: 2", "atLeast  can never be reached"),
        ("type: spdx, signers: [x], builder: b", "builder  goes with provenance only"),
        (
            "type: slsaprovenance, signers: [x], builder: b, builderRegexp: b",
            "stands beside builder",
        ),
        ("type: spdx, signers: [x], condition: y", "condition  unknown key"),
    ] {
        assert_refused(&rule(inner), expected);
    }
    let denies =
        "[{id: a, match: [\"**\"], trust: deny, attestations: [{type: vuln, signers: [x]}]}]";
    assert_refused(&format!("{signer}rules: {denies}\n"), "has no effect on a rule that denies");
}

#[test]
fn a_kind_of_statement_takes_its_own_uri_and_versions_of_it() {
    for (name, takes, not) in [
        ("slsaprovenance", "https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1"),
        ("slsaprovenance1", "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v1.0"),
        ("spdx", "https://spdx.dev/Document/v2.3", "https://spdx.dev/DocumentX"),
        ("spdxjson", "https://spdx.dev/Document", "https://spdx.dev/Document/x"),
        ("cyclonedx", "https://cyclonedx.org/bom/v1.4", "https://cyclonedx.org/vex"),
        ("openvex", "https://openvex.dev/ns/v0.2.0", "https://openvex.dev/nsx"),
        ("https://a.test/x", "https://a.test/x", "https://a.test/x/v1"),
    ] {
        let kind = AttestationType::named(name).unwrap();
        assert!(kind.takes(takes) && !kind.takes(not), "{name}");
    }
}

#[test]
fn a_signer_of_notation_is_a_name_under_a_trust_store() {
    let rules = "rules: [{id: a, match: [\"**\"], trust: allow}]\n";
    let root = "trustRoots: {acme: {notation: {ca: [file:/etc/pratique/root.json]}}}\n";
    let signer = |inner: &str| format!("{root}signers: {{x: {{notation: {{{inner}}}}}}}\n{rules}");
    let whole = "root: acme, identity: \"x509.subject: C=US, ST=WA, O=Acme\", level: permissive, \
        override: {expiry: enforce, revocation: skip}";
    let policy = parse(&with(&signer(whole))).unwrap();
    assert_eq!(
        policy.signers()[0].who(),
        &Who::Notation {
            root: "acme".to_owned(),
            identity: Some("C=US, ST=WA, O=Acme".to_owned()),
            level: Level { authentic_timestamp: false, expiry: true, revocation: false },
        }
    );
    let any = parse(&with(&signer("root: acme, identity: \"*\""))).unwrap();
    let strict = Level { authentic_timestamp: true, expiry: true, revocation: true };
    let expected = Who::Notation { root: "acme".to_owned(), identity: None, level: strict };
    assert_eq!(any.signers()[0].who(), &expected);
    for (inner, expected) in [
        ("root: acme", "signers.x.notation.identity  is missing"),
        ("identity: \"*\"", "signers.x.notation.root  is missing"),
        ("root: acme, identity: CN=a", "identity  does not begin with x509.subject:"),
        ("root: other, identity: \"*\"", "root  \"other\" is not among the trustRoots"),
        ("root: public-good, identity: \"*\"", "\"public-good\" is not among the trustRoots"),
        ("root: acme, identity: \"*\", level: audit", "level  would let anybody sign"),
        ("root: acme, identity: \"*\", level: skip", "level  would let anybody sign"),
        ("root: acme, identity: \"*\", level: loose", "level  is not one of: strict, permissive"),
        ("root: acme, identity: \"*\", override: {expiry: skip}", "\"skip\" is not one of: enf"),
        ("root: acme, identity: \"*\", override: {integrity: log}", "override.integrity  unknown"),
        ("root: acme, identity: \"*\", override: {authenticity: log}", "authenticity  unknown"),
    ] {
        assert_refused(&signer(inner), expected);
    }
    for (roots, expected) in [
        ("{y: {notation: {}}}", "trustRoots.y.notation.ca  is missing"),
        ("{y: {notation: {ca: [ca.pem]}}}", "ca[0]  must be the path of a file"),
        ("{y: {notation: {ca: [file:/nowhere]}}}", "cannot read /nowhere"),
        ("{y: {notation: {ca: []}}}", "ca  is an empty list"),
        (
            "{y: {notation: {ca: [file:/etc/pratique/root.json], crlMaxAge: 7}}}",
            "crlMaxAge  must be a time",
        ),
        (
            "{y: {notation: {ca: [file:/etc/pratique/root.json], revocation: hardfail}}}",
            "revocation  refuses every signer without",
        ),
        (
            "{y: {sigstore: {trustedRoot: file:/etc/pratique/root.json}, notation: {}}}",
            "notation  stands beside sigstore",
        ),
    ] {
        assert_refused(&format!("trustRoots: {roots}\n{rules}"), expected);
    }
    let mixed = "signers: {x: {keyless: {root: acme, issuer: i, subject: s}}}\n";
    assert_refused(&format!("{root}{mixed}{rules}"), "\"acme\" is a trust root of notation");
    let twice = "signers: {x: {notation: {root: acme, identity: \"*\"}}, \
        y: {notation: {root: acme, identity: \"*\", level: permissive}}}\n";
    assert_refused(&format!("{root}{twice}{rules}"), "is the same identity as that of signer x");
}

#[test]
fn a_signer_is_one_public_key_and_says_which_log_is_asked_for() {
    let key = |pem: &str| format!("signers: {{x: {{key: {{pem: {pem}}}, transparencyLog: none}}}}");
    for (signers, expected) in [
        (
            "signers: {x: {key: {pem: file:/etc/pratique/team.pub}}}".to_owned(),
            "signers.x.transparencyLog  is missing; write transparencyLog: none to accept",
        ),
        (
            "signers: {x: {key: {pem: file:/etc/pratique/team.pub}, transparencyLog: rekor}}"
                .to_owned(),
            "signers.x.transparencyLog  \"rekor\" is not among the trustRoots",
        ),
        ("signers: {x: {transparencyLog: none}}".to_owned(), "signers.x.key  is missing"),
        (key("file:/nowhere"), "signers.x.key.pem  cannot read /nowhere"),
        (key("hello"), "is not one block from -----BEGIN PUBLIC KEY-----"),
        (
            key("\"-----BEGIN EC PRIVATE KEY-----\\nAA==\\n-----END EC PRIVATE KEY-----\""),
            "is a private key",
        ),
        (key("\"-----BEGIN PUBLIC KEY-----\\n!\\n-----END PUBLIC KEY-----\""), "is damaged"),
        (
            format!("signers: {{x: {{key: {{pem: {:?}}}, transparencyLog: none}}}}", KEY.repeat(2)),
            "is not one block",
        ),
    ] {
        assert_refused(&format!("{signers}\n{RULES}"), expected);
    }
}

#[test]
fn a_key_counts_within_its_window_by_its_algorithm_and_stands_in_one_form() {
    let key = |inner: &str| {
        let pem = "pem: file:/etc/pratique/team.pub";
        let inner =
            if inner.contains("jwk") { inner.to_owned() } else { format!("{pem}, {inner}") };
        format!("signers: {{x: {{key: {{{inner}}}, transparencyLog: none}}}}\n{RULES}")
    };
    let time = |text: &str| Some(text.parse().unwrap());
    let (start, end) = ("2026-01-01T00:00:00Z", "2027-06-30T02:00:00+02:00");
    let text = key(&format!("notBefore: {start}, notAfter: {end}, algorithm: ecdsa-p256-sha256"));
    let policy = parse(&with(&text)).unwrap();
    let expected = Who::Key {
        text: KeyText::Pem(KEY.to_owned()),
        log: None,
        window: Window { start: time(start), end: time("2027-06-30T00:00:00Z") },
        algorithm: Some("ecdsa-p256-sha256".to_owned()),
    };
    assert_eq!(policy.signers()[0].who(), &expected);
    let policy =
        parse(&with(&key("jwk: '{\"kty\": \"EC\"}', notAfter: 2027-06-30T00:00:00Z"))).unwrap();
    let Who::Key { text, window, .. } = policy.signers()[0].who() else { panic!("a key") };
    assert_eq!(text, &KeyText::Jwk("{\"kty\": \"EC\"}".to_owned()));
    assert_eq!(*window, Window { start: None, end: time("2027-06-30T00:00:00Z") });
    assert_eq!(policy.signers()[0].path_of(text.part()), "signers.x.key.jwk");
    for (inner, expected) in [
        ("notAfter: 2027-06-30", "key.notAfter  must be a time with its zone"),
        ("notAfter: 2027-06-30T00:00:00", "key.notAfter  must be a time with its zone"),
        ("notBefore: yesterday", "key.notBefore  must be a time with its zone"),
        ("notBefore: [2026-01-01T00:00:00Z]", "key.notBefore  must be a text"),
        ("notbefore: 2026-01-01T00:00:00Z", "unknown key; did you mean notBefore?"),
        (
            "notBefore: 2027-01-01T00:00:00Z, notAfter: 2026-01-01T00:00:00Z",
            "key.notAfter  is not after notBefore (2027-01-01T00:00:00Z)",
        ),
        (
            "notBefore: 2027-01-01T00:00:00Z, notAfter: 2027-01-01T00:00:00Z",
            "key.notAfter  is not after notBefore",
        ),
        ("algorithm: ''", "key.algorithm  is empty"),
        ("algorithm: [x]", "key.algorithm  must be a text"),
        ("jwk: file:/nowhere", "key.jwk  cannot read /nowhere"),
        ("jwk: hello", "key.jwk  is not a JSON Web Key"),
        ("jwk: {kty: EC}", "key.jwk  must be file:/path/of/key.jwk or the JSON as 'text'"),
        ("jwk: '{}', pem: file:/etc/pratique/team.pub", "key.jwk  stands beside pem"),
    ] {
        assert_refused(&key(inner), expected);
    }
    let long = key(&format!("jwk: '{{{}}}'", " ".repeat(9000)));
    assert_refused(&long, "key.jwk  is larger than 8 KiB");
}

#[test]
fn rules_that_could_both_win_are_refused() {
    let rules = |a: &str, b: &str| {
        with(&format!("rules:\n- {{id: a, trust: allow, {a}}}\n- {{id: b, trust: deny, {b}}}\n"))
    };
    for (a, b) in [
        ("match: [\"up.test/*\"]", "match: [\"up.test/*\"]"),
        ("match: [\"up.test/*a*\"]", "match: [\"up.test/*b*\"]"),
        ("match: [\"docker.io/library/x\"]", "match: [\"index.docker.io/library/x\"]"),
        (
            "match: [\"up.test/*\"], tags: {exact: [a]}",
            "match: [\"up.test/*\"], tags: {exact: [b]}",
        ),
        (
            "match: [\"up.test/*\"], tags: {exact: [a]}",
            "match: {images: [\"up.test/*\"], artifact: [chart]}",
        ),
        (
            "match: {images: [\"up.test/*\"], artifact: [image, chart]}",
            "match: {images: [\"up.test/*\"], artifact: [chart]}",
        ),
    ] {
        let found = parse(&rules(a, b)).unwrap_err()[0].to_string();
        assert!(found.contains("equally; make one more specific"), "{a} {b}: {found}");
    }
    for (a, b) in [
        ("match: [\"up.test/*a\"]", "match: [\"up.test/*b\"]"),
        ("match: [\"up.test/a*c\"]", "match: [\"up.test/ab*\"]"),
        ("match: [\"up.test/*\"], tags: {exact: [a]}", "match: [\"up.test/*\"]"),
        (
            "match: [\"up.test/*\"], tags: {exact: [a]}",
            "match: [\"up.test/*\"], tags: {glob: [\"*\"]}",
        ),
        (
            "match: {images: [\"up.test/*\"], artifact: [image]}",
            "match: {images: [\"up.test/*\"], artifact: [chart]}",
        ),
        ("match: [\"up.test/*\"]", "match: {images: [\"up.test/*\"], artifact: [chart]}"),
    ] {
        assert!(parse(&rules(a, b)).is_ok(), "{a} {b}");
    }
}

#[test]
fn the_identity_of_a_policy_covers_the_files_it_refers_to() {
    let text = with(&format!(
        "signers: {{x: {{key: {{pem: file:k.pub}}, transparencyLog: none}}}}\n{RULES}"
    ));
    let id = |key: &str| *Policy::parse(&text, &|_| Ok(key.into())).unwrap().id();
    let other = KEY.replace("3c9m", "3c9n");
    assert_ne!(id(KEY), id(&other));
    assert_eq!(id(KEY), id(KEY));
    assert_eq!(id(KEY).to_string().parse::<PolicyId>().unwrap(), id(KEY));
    assert_ne!(
        parse(&with(RULES)).unwrap().id(),
        parse(&with(&format!("{RULES}# x\n"))).unwrap().id()
    );
}

#[test]
fn the_floor_says_what_is_wrong_with_its_values() {
    for (floor, expected) in [
        ("registries: [\"a b\"]", "floor.registries[0]  \"a b\": registry is not host"),
        (
            "registries: [docker.io, index.docker.io]",
            "floor.registries[1]  \"index.docker.io\" is listed twice",
        ),
        ("registries: []", "floor.registries  is an empty list"),
        ("platforms: [amd64]", "a platform is written os/architecture"),
        ("denyImages: [{digest: x, reason: y}]", "denyImages[0].digest  digest has no algorithm"),
        ("denyImages: [{reason: y}]", "denyImages[0].digest  is missing"),
        ("forbidTags: [\"a/b\"]", "has a character that no tag has"),
        ("limits: {manifestBytes: 5MiB}", "is more than this program ever reads; at most 4194304"),
        ("limits: {layers: 0}", "0 would refuse everything"),
        ("limits: {imageBytes: 10}", "must be a whole number with a unit"),
        ("limits: {imageBytes: 99999999999TiB}", "must be a whole number with a unit"),
    ] {
        assert_refused(&format!("floor: {{{floor}}}\n{RULES}"), expected);
    }
}

#[test]
fn a_default_stands_in_one_place() {
    assert_refused(
        &format!("mode: audit\ndefaults: {{mode: audit}}\n{RULES}"),
        "defaults.mode  stands at the top as mode too; keep one of them",
    );
    for text in ["mode: audit\n", "defaults: {mode: audit}\n"] {
        let policy = parse(&with(&format!("{text}{RULES}"))).unwrap();
        assert_eq!(
            (policy.mode.mode, policy.rules[0].mode.mode),
            (super::super::Mode::Audit, super::super::Mode::Audit)
        );
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "[a-z:{}\\[\\]\\-&*!,\"' \n#|>?%]{0,200}") {
        drop(parse(&text));
        drop(parse(&with(&text)));
    }

    #[test]
    fn the_most_specific_rule_wins_whatever_the_order(order in Just(vec![
        ("one", "up.test/a/b"),
        ("two", "up.test/a/*"),
        ("three", "up.test/a/**"),
        ("four", "up.test/**"),
        ("five", "**"),
    ]).prop_shuffle()) {
        let rules = order.iter().map(|(id, pattern)| {
            format!("- {{id: {id}, match: [\"{pattern}\"], trust: allow}}\n")
        });
        let policy = parse(&with(&format!("rules:\n{}", rules.collect::<String>()))).unwrap();
        for (name, expected) in [
            ("up.test/a/b", "one"),
            ("up.test/a/c", "two"),
            ("up.test/a/b/c", "three"),
            ("up.test/b", "four"),
            ("other.test/a/b", "five"),
        ] {
            let rule = policy.rule_for(&name.parse().unwrap(), Artifact::Image, &[]).unwrap();
            prop_assert_eq!(rule.id().as_str(), expected);
        }
    }
}
