//! What gates and exceptions may say.

use std::path::Path;
use std::time::Duration;

use crate::policy::{
    Answer, Combined, Exception, FindingCondition, Grace, NewFinding, Policy, Rating, ScanGate,
    ScanLimits, Scanners, VexAccept, VexRule,
};

const RULES: &str = "rules: [{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}]\n";
const HEAD: &str = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n";

fn parsed(rest: &str) -> Result<Policy, String> {
    let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    Policy::parse(&format!("{HEAD}{rest}"), &no_files)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn gate(text: &str) -> Result<ScanGate, String> {
    let policy = parsed(&format!("gates: {{strict: {{{text}}}}}\n{RULES}"))?;
    Ok((*policy.rules[0].alone().gates[0]).clone())
}

#[test]
fn what_a_gate_does_not_say_denies() {
    let found = gate("deny: [{severity: critical}]").unwrap();
    let severity = Some(Rating::Critical);
    assert_eq!(found.deny, [FindingCondition { severity, ..FindingCondition::default() }]);
    assert_eq!(found.unrated, Rating::Critical);
    for answer in [found.unknown, found.incomplete, found.not_applicable] {
        assert_eq!(answer, Answer::Deny);
    }
    assert!(!found.counts_kernel_headers);
    assert_eq!(found.on_new_finding, NewFinding::Serve);
    let ages = (found.database_age_warn, found.database_age_max);
    assert_eq!(ages, (Duration::from_hours(24), Duration::from_hours(120)));
}

#[test]
fn everything_that_a_gate_may_say_is_read() {
    let found = gate(
        "scanner: {maxDbAge: 48h, warnDbAge: 12h}, deny: [{severity: high, fixable: true, olderThan: 7d, \
         exploited: false, likelihood: 0.5%}], unrated: low, unknown: allow, incomplete: allow, \
         notApplicable: allow, kernelHeaders: count, onNewFinding: revoke, \
         limits: {layerBytes: 40GiB}",
    );
    let expected = ScanGate {
        overlay: None,
        part: None,
        name: "strict".to_owned(),
        deny: vec![FindingCondition {
            severity: Some(Rating::High),
            fixable: Some(true),
            older_than: Some(Duration::from_hours(7 * 24)),
            exploited: Some(false),
            likelihood: Some(50),
        }],
        unrated: Rating::Low,
        unknown: Answer::Allow,
        incomplete: Answer::Allow,
        not_applicable: Answer::Allow,
        counts_kernel_headers: true,
        on_new_finding: NewFinding::Revoke(Grace::default()),
        limits: ScanLimits { layer_bytes: Some(40 << 30), ..ScanLimits::default() },
        is_floor: false,
        vex: None,
        scanners: Scanners::default(),
        attested_by: Vec::new(),
        report_age_max: ScanGate::REPORT_AGE_MAX,
        database_age_warn: Duration::from_hours(12),
        database_age_max: Duration::from_hours(48),
        sbom_from: Vec::new(),
    };
    assert_eq!(found.unwrap(), expected);
    let others =
        gate("scanner: {any: [trivy, pratique], maxReportAge: 6h}, deny: [{severity: low}]")
            .unwrap();
    assert_eq!(others.scanners.combined, Combined::Any);
    assert_eq!(others.scanners.names().collect::<Vec<_>>(), ["trivy", "pratique"]);
    assert_eq!(others.report_age_max, Duration::from_hours(6));
    let short = gate("scanner: {maxDbAge: 6h}, deny: [{severity: low}]").unwrap();
    assert_eq!(short.database_age_warn, Duration::from_hours(6), "never later than it ends");
}

#[test]
fn bills_of_materials_are_taken_from_signers_that_exist() {
    const PEM: &str = include_str!("../../../../tests/fixtures/signatures/p256.pub");
    let key = PEM.replace('\n', "\\n");
    let signers =
        format!("signers: {{team: {{key: {{pem: \"{key}\"}}, transparencyLog: none}}}}\n");
    let from = |names: &str| {
        let gate = format!("gates: {{strict: {{deny: [{{severity: high}}], sbom: {names}}}}}\n");
        parsed(&format!("{signers}{gate}{RULES}"))
    };
    let policy = from("{from: [team]}").unwrap();
    assert_eq!(policy.rules[0].alone().gates[0].sbom_from, ["team"]);
    for (names, expected) in [
        ("{from: [other]}", "gates.strict.sbom.from[0]  \"other\" is not among the signers"),
        ("{from: [team, team]}", "gates.strict.sbom.from[1]  \"team\" is listed twice"),
        ("{from: []}", "gates.strict.sbom.from"),
        ("{}", "gates.strict.sbom.from  is missing"),
        ("{of: [team]}", "gates.strict.sbom.of"),
        ("[team]", "gates.strict.sbom"),
    ] {
        let problems = from(names).unwrap_err();
        assert!(problems.contains(expected), "{names}: {problems}");
    }
}

#[test]
fn what_a_gate_cannot_say_is_a_problem_with_its_place() {
    for (text, expected) in [
        ("{}", "gates.strict.deny  is missing; write deny: [{severity: critical}]"),
        ("{deny: []}", "gates.strict.deny  is an empty list"),
        ("{deny: [{}]}", "gates.strict.deny[0]  says nothing"),
        ("{deny: [{severity: bad}]}", "\"bad\" is not one of: none, low, medium, high, critical"),
        ("{deny: [{severity: high, fixed: true}]}", "gates.strict.deny[0].fixed  unknown key"),
        ("{deny: [{olderThan: 1w}]}", "gates.strict.deny[0].olderThan  must be a time like"),
        ("{deny: [{likelihood: 0.5}]}", "gates.strict.deny[0].likelihood  must be a percentage"),
        ("{deny: [{exploited: yes}]}", "is not one of: true, false"),
        (
            "{deny: [{severity: low}], unknown: ignore}",
            "gates.strict.unknown  \"ignore\" is not one",
        ),
        (
            "{deny: [{severity: low}], setuidFiles: {max: 0}}",
            "gates.strict.setuidFiles  not supported by this version",
        ),
        (
            "{deny: [{severity: low}], scanner: {any: [trivy, trivy]}}",
            "gates.strict.scanner.any[1]  \"trivy\" is listed twice",
        ),
        ("{deny: [{severity: low}], scanner: {any: []}}", "gates.strict.scanner.any"),
        (
            "{deny: [{severity: low}], scanner: {any: [trivy], all: [pratique]}}",
            "gates.strict.scanner.any  is one too many",
        ),
        (
            "{deny: [{severity: low}], scanner: {all: [\"a b\"]}}",
            "gates.strict.scanner.all[0]  \"a b\" is not a plain name",
        ),
        (
            "{deny: [{severity: low}], scanner: {all: [pratique], maxReportAge: 1d}}",
            "gates.strict.scanner.maxReportAge  has no effect",
        ),
        (
            "{deny: [{exploited: true}], scanner: {all: [pratique, trivy]}}",
            "gates.strict.deny  asks for exploited or likelihood",
        ),
        (
            "{deny: [{severity: low}], scanner: {any: [attested]}}",
            "gates.strict.scanner.attestedBy  is missing",
        ),
        (
            "{deny: [{severity: low}], scanner: {any: [attested], attestedBy: [nobody]}}",
            "gates.strict.scanner.attestedBy[0]  \"nobody\" is not among the signers",
        ),
        (
            "{deny: [{severity: low}], scanner: {any: [trivy], attestedBy: [nobody]}}",
            "gates.strict.scanner.attestedBy  has no effect",
        ),
        (
            "{deny: [{severity: low}], scanner: {worst: [a, b, c, d, e, f, g, h, i]}}",
            "gates.strict.scanner.worst  has more than 8 scanners",
        ),
        (
            "{deny: [{severity: low}], scanner: {maxDbAge: 1d, warnDbAge: 2d}}",
            "gates.strict.scanner.warnDbAge  is longer than maxDbAge",
        ),
        ("[]", "gates.strict  must be a map"),
    ] {
        let problems = parsed(&format!("gates: {{strict: {text}}}\n{RULES}")).unwrap_err();
        assert!(problems.contains(expected), "{text}: {problems}");
        assert!(!problems.contains("is not among the gates"), "{text}: {problems}");
    }
    let unnamed = parsed(&format!("gates: {{a b: {{deny: [{{severity: low}}]}}}}\n{RULES}"));
    assert!(unnamed.unwrap_err().contains("is not a plain name"));
}

#[test]
fn rules_name_gates_that_exist_each_once() {
    let gates = "gates: {strict: {deny: [{severity: low}]}}\n";
    for (rule, expected) in [
        ("trust: allow, gates: [strict, strict]", "rules[0].gates[1]  \"strict\" is listed twice"),
        ("trust: allow, gates: [other]", "rules[0].gates[0]  \"other\" is not among the gates"),
        ("trust: allow, gates: []", "rules[0].gates  is an empty list"),
        ("trust: deny, gates: [strict]", "rules[0].gates  has no effect on a rule that denies"),
    ] {
        let rules = format!("rules: [{{id: a, match: [\"up.test/**\"], {rule}}}]\n");
        let problems = parsed(&format!("{gates}{rules}")).unwrap_err();
        assert!(problems.contains(expected), "{rule}: {problems}");
    }
}

fn exceptions(list: &str) -> Result<Vec<Exception>, String> {
    let gates = "gates: {strict: {deny: [{severity: low}]}}\n";
    Ok(parsed(&format!("{gates}exceptions: {list}\n{RULES}"))?.exceptions)
}

#[test]
fn an_exception_says_what_why_and_until_when() {
    const WHOLE: &str = "id: W-1, match: up.test/a, check: {vulnerability: CVE-1}, reason: tried, \
                         expires: 2026-12-31T00:00:00Z";
    let found = exceptions(&format!("[{{{WHOLE}}}]")).unwrap();
    assert_eq!((found[0].id.as_str(), found[0].vulnerability.as_str()), ("W-1", "CVE-1"));
    for (key, expected) in [
        ("id: W-1, ", "exceptions[0].id  is missing"),
        ("match: up.test/a, ", "exceptions[0].match  is missing"),
        ("check: {vulnerability: CVE-1}, ", "exceptions[0].check  is missing"),
        ("reason: tried, ", "exceptions[0].reason  is missing"),
        (", expires: 2026-12-31T00:00:00Z", "exceptions[0].expires  is missing; no exception is"),
    ] {
        let problems = exceptions(&format!("[{{{}}}]", WHOLE.replace(key, ""))).unwrap_err();
        assert!(problems.contains(expected), "{key}: {problems}");
    }
    for (from, to, expected) in [
        (
            "2026-12-31T00:00:00Z",
            "2026-12-31",
            "exceptions[0].expires  must be a time with its zone",
        ),
        ("up.test/a", "nginx", "exceptions[0].match  \"nginx\": names no registry"),
        ("up.test/a", "\"up.test/a@sha256:12\"", "exceptions[0].match  "),
        ("CVE-1", "\"CVE-1 CVE-2\"", "exceptions[0].check.vulnerability  is not one word"),
        ("{vulnerability: CVE-1}", "{package: x}", "check.vulnerability  is missing"),
    ] {
        let problems = exceptions(&format!("[{{{}}}]", WHOLE.replace(from, to))).unwrap_err();
        assert!(problems.contains(expected), "{to}: {problems}");
    }
    let twice = exceptions(&format!("[{{{WHOLE}}}, {{{WHOLE}}}]")).unwrap_err();
    assert!(twice.contains("exceptions[1].id  \"W-1\" is the id of another one"), "{twice}");
}

/// What a gate with this `vex` comes to, in a policy with signers.
fn vex(text: &str) -> Result<VexRule, String> {
    let key =
        |of: &str| format!("\"-----BEGIN PUBLIC KEY-----\\n{of}\\n-----END PUBLIC KEY-----\"");
    let signers = format!(
        "signers:\n  team: {{key: {{pem: {}}}, transparencyLog: none}}\n  \
         others: {{key: {{pem: {}}}, transparencyLog: none}}\n  \
         stamps: {{notation: {{root: corp, identity: \"*\"}}}}\n\
         trustRoots: {{corp: {{notation: {{ca: [\"file:ca.pem\"]}}}}}}\n",
        key("dGVhbQ=="),
        key("b3RoZXJz"),
    );
    let gates = format!("gates: {{strict: {{deny: [{{severity: low}}], vex: {text}}}}}\n");
    let read_file = |_: &Path| Ok(b"certificates".to_vec());
    let policy = Policy::parse(&format!("{HEAD}{signers}{gates}{RULES}"), &read_file);
    let policy = policy.map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    Ok(policy.rules[0].alone().gates[0].vex.clone().unwrap())
}

#[test]
fn vex_is_heard_from_whom_the_gate_names() {
    let plain = vex("{from: [team]}").unwrap();
    let accept = VexAccept { not_affected: true, fixed: true };
    let from = vec!["team".to_owned()];
    assert_eq!(plain, VexRule { from, accept, requires_justification: true });
    let whole =
        vex("{from: [others, team], accept: [fixed], requireJustification: false}").unwrap();
    assert_eq!(whole.from, ["others", "team"]);
    assert_eq!(whole.accept, VexAccept { not_affected: false, fixed: true });
    assert!(!whole.requires_justification);
    assert!(!vex("{from: [team], accept: [not_affected]}").unwrap().accept.fixed);
    for (text, expected) in [
        ("{}", "gates.strict.vex.from  is missing; whoever speaks counts only by name"),
        ("[team]", "gates.strict.vex  must be a map"),
        ("{from: []}", "gates.strict.vex.from  is an empty list"),
        ("{from: team}", "gates.strict.vex.from  must be a list"),
        ("{from: [nobody]}", "gates.strict.vex.from[0]  \"nobody\" is not among the signers"),
        ("{from: [team, team]}", "gates.strict.vex.from[1]  \"team\" is listed twice"),
        ("{from: [stamps]}", "gates.strict.vex.from[0]  \"stamps\" signs by notation"),
        ("{from: [team], accept: []}", "gates.strict.vex.accept  is an empty list"),
        ("{from: [team], accept: [fixed, fixed]}", "accept[1]  \"fixed\" is listed twice"),
        ("{from: [team], accept: [affected]}", "accept[0]  \"affected\" takes no finding away"),
        ("{from: [team], accept: [mended]}", "accept[0]  \"mended\" is not one of: not_affected"),
        ("{from: [team], requireJustification: yes}", "requireJustification  \"yes\" is not one"),
        ("{from: [team], maxAge: 1d}", "gates.strict.vex.maxAge  not supported by this version"),
        ("{from: [team], trusted: true}", "gates.strict.vex.trusted  unknown key"),
    ] {
        let problems = vex(text).unwrap_err();
        assert!(problems.contains(expected), "{text}: {problems}");
    }
}

#[test]
fn a_grace_holds_for_what_is_less_bad_too() {
    let grace = |text: &str| {
        let gate = gate(&format!("deny: [{{severity: low}}], onNewFinding: {text}"))?;
        match gate.on_new_finding {
            NewFinding::Revoke(grace) => {
                Ok(Rating::CHOICES.map(|(_, rating)| grace.of(rating).as_secs() / 3600))
            }
            NewFinding::Serve => Err("serve".to_owned()),
        }
    };
    let none_to_critical = |text| grace(text).unwrap();
    assert_eq!(none_to_critical("revoke"), [0; 5]);
    assert_eq!(none_to_critical("{action: revoke}"), [0; 5]);
    let two = "{action: revoke, grace: {critical: 24h, high: 7d}}";
    assert_eq!(none_to_critical(two), [168, 168, 168, 168, 24]);
    assert_eq!(none_to_critical("{action: revoke, grace: {medium: 1h}}"), [1, 1, 1, 0, 0]);
    assert_eq!(grace("{action: serve}").unwrap_err(), "serve");
    for (text, expected) in [
        ("{grace: {high: 1h}}", "onNewFinding.action  is missing; write action: revoke"),
        ("{action: serve, grace: {high: 1h}}", "onNewFinding.grace  has no effect"),
        ("{action: revoke, grace: {critical: 7d, low: 1d}}", "what is worse more time"),
        ("{action: revoke, grace: {critical: 7}}", "must be a time like 12h or 7d"),
        ("{action: revoke, running: serve-existing}", "not supported by this version"),
        ("grace", "is not one of: revoke, serve"),
        ("[revoke]", "must be a text"),
    ] {
        let problem = grace(text).unwrap_err();
        assert!(problem.contains(expected), "{text}: {problem}");
    }
}

#[test]
fn a_gate_may_let_more_be_read_within_bounds() {
    let limits = |text: &str| gate(&format!("deny: [{{severity: low}}], limits: {text}"));
    let all = "{layerBytes: 1TiB, ratio: 5, entries: 7, fileBytes: 1GiB, programBytes: 4GiB, \
               archiveBytes: 2MiB, archiveInflatedBytes: 3GiB, layerTime: 30m, time: 2h}";
    let read = ScanLimits {
        layer_bytes: Some(1 << 40),
        ratio: Some(5),
        entries: Some(7),
        file_bytes: Some(1 << 30),
        program_bytes: Some(4 << 30),
        archive_bytes: Some(2 << 20),
        archive_inflated_bytes: Some(3 << 30),
        layer_time: Some(Duration::from_mins(30)),
        time: Some(Duration::from_hours(2)),
    };
    assert_eq!(limits(all).unwrap().limits, read);
    for (text, expected) in [
        ("{layerBytes: 2TiB}", "limits.layerBytes  must be between 1 and"),
        ("{layerBytes: 0B}", "must be between 1 and"),
        ("{layerBytes: 7}", "must be a whole number with a unit"),
        ("{entries: many}", "must be a whole number"),
        ("{time: 25h}", "limits.time  is longer than 24h"),
        ("{layerTime: 30}", "limits.layerTime  must be a time like 30m or 2h"),
        ("{layers: 7}", "unknown key"),
        ("7", "must be a map"),
    ] {
        let problem = limits(text).unwrap_err();
        assert!(problem.contains(expected), "{text}: {problem}");
    }
    let gates = "gates: {small: {deny: [{severity: low}], limits: {ratio: 3, entries: 9}}, \
                 large: {deny: [{severity: low}], limits: {ratio: 5}}}\n";
    let rules = "rules: [{id: a, match: [up.test/a], trust: allow, gates: [small, large]}]\n";
    let policy = parsed(&format!("{gates}{rules}")).unwrap();
    let limits = policy.scan_limits(&"up.test/a".parse().unwrap());
    assert_eq!((limits.ratio, limits.entries, limits.time), (Some(5), Some(9), None));
    assert_eq!(policy.scan_limits(&"up.test/b".parse().unwrap()), ScanLimits::default());
}

#[test]
fn the_floor_puts_a_gate_before_every_rule_that_serves() {
    let rules = "rules: [{id: a, match: [up.test/a], trust: allow}, \
                 {id: b, match: [up.test/b], trust: deny}]\n";
    let floor = |text: &str| parsed(&format!("floor: {{vulnerabilities: {text}}}\n{rules}"));
    let policy = floor("{denyKEV: true, unknown: allow}").unwrap();
    let gates: Vec<_> = policy.rules().iter().map(|rule| rule.alone().gates.len()).collect();
    assert_eq!(gates, [1, 0]);
    let gate = &policy.rules()[0].alone().gates[0];
    assert_eq!((gate.unknown, gate.incomplete), (Answer::Allow, Answer::Deny));
    assert!(gate.is_floor && gate.place() == "floor.vulnerabilities");
    for (text, expected) in [
        ("{}", "floor.vulnerabilities  refuses nothing"),
        ("{denyKEV: false}", "floor.vulnerabilities  refuses nothing"),
        ("{denyKEV: 1}", "is not one of: true, false"),
        ("{denyMalware: true, deny: []}", "unknown key"),
        ("{denyMalware: true, onNewFinding: keep}", "is not one of: revoke, serve"),
    ] {
        let problem = floor(text).unwrap_err();
        assert!(problem.contains(expected), "{text}: {problem}");
    }
}
