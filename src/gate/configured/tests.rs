//! What configurations let pass, and what they refuse.

use serde_json::json;

use super::*;
use crate::gate::tests::{codes, context, decided, evidence, facts, policy, revoked, subject};
use crate::gate::{
    Check, ChildImage, Judgement, ManifestFacts, Outcome, ReadyPolicy, Verdict, decide, message,
    phrase,
};
use crate::oci::Digest;

fn with_gate(gate: &str, rest: &str) -> ReadyPolicy {
    policy(&format!(
        "gates: {{strict: {{{gate}}}}}\n{rest}\nrules: [{{id: r, match: [\"up.test/**\"], trust: allow, \
         gates: [strict]}}]\n"
    ))
}

/// A configuration whose part about the container is `config`.
fn config(config: &str) -> ConfigOf {
    match ImageConfig::parse(format!("{{\"config\":{config}}}").as_bytes()) {
        Ok(config) => ConfigOf::Read(Box::new(config)),
        Err(error) => ConfigOf::Unreadable(error.to_string()),
    }
}

fn with_configs(facts: ManifestFacts, configs: Vec<(Digest, ConfigOf)>) -> Evidence {
    let images = configs.into_iter().collect();
    let configs = Gathered::Found(ImageConfigs { images, read_by: ImageConfig::READING });
    Evidence { configs, ..evidence(facts) }
}

fn judged(gate: &str, found: ConfigOf) -> Judgement {
    let (policy, subject) = (with_gate(gate, ""), subject("up.test/a"));
    let evidence = with_configs(facts(), vec![(subject.digest, found)]);
    decided(decide(&subject, &evidence, &context(&policy)))
}

fn texts(judgement: &Judgement) -> Vec<&str> {
    judgement.reasons().iter().map(|reason| reason.text.as_str()).collect()
}

fn check_of(judgement: &Judgement) -> &Check {
    judgement.checks.iter().find(|check| check.name == NAME).unwrap()
}

/// What `gate` refuses of an image whose container is `found`, and where it says that this is asked.
#[track_caller]
fn refused(gate: &str, found: &str) -> Option<String> {
    let judgement = judged(gate, config(found));
    let text = judgement.reasons().first().map(|reason| reason.text.clone());
    assert_eq!(judgement.admits(), text.is_none());
    if let [reason, ..] = judgement.reasons() {
        assert_eq!(codes(&judgement), [ReasonCode::ConfigNotAllowed]);
        assert!(!judgement.rests_on_absence(), "its configuration never changes");
        let key = gate.split(':').next().unwrap();
        assert!(reason.remedy.ends_with(&format!(" (gates.strict.{key}).")), "{reason:?}");
    }
    text
}

#[test]
fn each_part_refuses_what_it_names_and_says_so() {
    const NO_USER: Option<&str> = Some("runs as root: its configuration has no USER");
    const PORTS: &str = "exposedPorts: {deny: [22]}";
    const LABELS: &str = "labels: {require: [a]}";
    const HEALTH: &str = "healthcheck: require";
    for (gate, found, expected) in [
        ("user: {nonRoot: true}", r#"{"User":"app"}"#, None),
        ("user: {nonRoot: true}", "{}", NO_USER),
        ("user: {nonRoot: true}", "null", NO_USER),
        ("user: {nonRoot: true}", r#"{"User":"+0:7"}"#, Some("runs as root: its USER is +0:7")),
        ("user: {nonRoot: numeric}", r#"{"User":"7"}"#, None),
        ("user: {nonRoot: numeric}", r#"{"User":"app"}"#, Some("its USER app is not a number")),
        (PORTS, r#"{"ExposedPorts":{"80/tcp":{}}}"#, None),
        (PORTS, r#"{"ExposedPorts":{"22/tcp":{}}}"#, Some("port 22/tcp is exposed")),
        (PORTS, r#"{"ExposedPorts":{"20-25":{}}}"#, Some("port 22 is exposed, by 20-25")),
        (PORTS, r#"{"ExposedPorts":{"ssh":{}}}"#, Some("exposed port \"ssh\" cannot be read")),
        (LABELS, r#"{"Labels":{"a":"1"}}"#, None),
        (LABELS, r#"{"Labels":{"a":""}}"#, Some("label a is missing")),
        (LABELS, r#"{"Labels":{"A":"1"}}"#, Some("label a is missing")),
        (HEALTH, r#"{"Healthcheck":{"Test":["CMD","true"]}}"#, None),
        (HEALTH, r#"{"Healthcheck":{"Test":["NONE"]}}"#, Some("has no health check")),
    ] {
        assert_eq!(refused(gate, found).as_deref(), expected, "{gate} {found}");
    }
}

#[test]
fn variables_are_refused_by_name_and_by_what_their_values_look_like() {
    const SECRETS: &str = "env: {denySecretLike: true}";
    const NAMES: &str = "env: {denyNames: [\"*password\"]}";
    let aws = ["AKI", "AIOSFODNN7EXAMPLE"].concat();
    let (key, withheld) = (format!("KEY={aws}"), format!("PASSWORD {aws}=x"));
    for (gate, entry, expected) in [
        (SECRETS, "PASSWORD=hunter2", None),
        (SECRETS, &key, Some("KEY looks like a secret (AWS key id)")),
        (SECRETS, &withheld, Some("(name withheld) looks like a secret (AWS key id)")),
        (NAMES, &key, None),
        (NAMES, "DB_PASSWORD=", Some("DB_PASSWORD is refused by its name")),
        (NAMES, "db_password", Some("db_password is refused by its name")),
        // A name that may not be told could be any.
        (NAMES, &withheld, Some("(name withheld) is refused by its name")),
    ] {
        let expected = expected.map(|expected| format!("environment variable {expected}"));
        let found = json!({"User": "7", "Env": ["PATH=/bin", entry]}).to_string();
        assert_eq!(refused(gate, &found), expected, "{gate} {entry}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_words_for_people() {
    let all = "user: {nonRoot: true}, exposedPorts: {deny: [22]}, labels: {require: [a, b]}, \
               env: {denyNames: [TOKEN]}, healthcheck: require";
    let found =
        config(r#"{"Env":["TOKEN=canary"],"ExposedPorts":{"22":{}},"Labels":{"b":"canary"}}"#);
    let judgement = judged(all, found);
    let expected = [
        "runs as root: its configuration has no USER",
        "environment variable TOKEN is refused by its name",
        "port 22 is exposed",
        "label a is missing",
        "has no health check",
    ];
    assert_eq!(texts(&judgement), expected);
    let check = check_of(&judgement);
    assert_eq!((check.state, check.text.as_str()), (CheckState::Fail, &*expected.join("; ")));
    let phrase = phrase(&judgement, Some("R-1"), None);
    let begin = "Denied by rule r: runs as root: its configuration has no USER (and 4 more)";
    assert!(phrase.starts_with(begin), "{phrase}");
    let told = message(&"up.test/a", &judgement, None, None);
    assert!(told.contains("gates.strict.user") && !told.contains("canary"), "{told}");
    assert!(!serde_json::to_string(&judgement).unwrap().contains("canary"));
    let passed =
        config(r#"{"User":"7","Labels":{"a":"1","b":"1"},"Healthcheck":{"Test":["CMD","x"]}}"#);
    let judgement = judged(all, passed);
    assert_eq!(check_of(&judgement).text, "configuration as strict asks");
}

#[test]
fn what_cannot_be_read_passes_no_gate() {
    // Asked for something that nothing in it would break.
    const GATE: &str = "exposedPorts: {deny: [22]}";
    for (found, expected) in [
        (config(r#"{"User":"app","user":"root"}"#), "its configuration is not well formed: "),
        (config("[]"), "its configuration is not well formed: "),
        (ConfigOf::Absent, "its configuration is not there upstream"),
        (ConfigOf::Unreadable("is larger than 4 MiB".to_owned()), "is larger than 4 MiB"),
    ] {
        for gate in [GATE, "exposedPorts: {deny: [22]}, notApplicable: allow"] {
            let judgement = judged(gate, found.clone());
            assert_eq!(codes(&judgement), [ReasonCode::ConfigUnreadable], "{found:?}");
            assert!(texts(&judgement)[0].contains(expected), "{judgement:?}");
            assert!(judgement.rests_on_absence(), "it may be there later");
        }
    }
    for (gate, admits) in
        [(GATE, false), ("exposedPorts: {deny: [22]}, notApplicable: allow", true)]
    {
        assert_eq!(judged(gate, ConfigOf::NoImage).admits(), admits, "{gate}");
    }
}

#[test]
fn a_chart_passes_only_where_the_gate_says_so() {
    let subject = subject("up.test/a");
    let chart = ManifestFacts { artifact_type: Some("a/chart".to_owned()), ..facts() };
    for (gate, admits) in [("", false), (", notApplicable: allow", true)] {
        let policy = with_gate(&format!("healthcheck: require{gate}"), "");
        let judgement = decided(decide(&subject, &evidence(chart.clone()), &context(&policy)));
        assert_eq!(judgement.admits(), admits, "{judgement:?}");
        assert!(admits || texts(&judgement)[0].starts_with("is no image"));
    }
}

#[test]
fn what_was_not_read_is_asked_for_and_what_failed_decides_nothing() {
    let (policy, subject) = (with_gate("healthcheck: require", ""), subject("up.test/a"));
    let ask = |configs| {
        let evidence = Evidence { configs, ..evidence(facts()) };
        decide(&subject, &evidence, &context(&policy))
    };
    let missing = Outcome::Missing(vec![EvidenceKind::Configs]);
    assert_eq!(ask(Gathered::NotGathered), missing);
    assert_eq!(ask(Gathered::Absent), missing);
    assert_eq!(ask(Gathered::Found(ImageConfigs::default())), missing, "read by nobody");
    let other = Digest::sha256(b"other");
    let of_other = with_configs(facts(), vec![(other, config("{}"))]).configs;
    assert_eq!(ask(of_other), missing, "that of another image says nothing");
    let old = with_configs(facts(), vec![(subject.digest, config("{}"))]).configs;
    let old = ImageConfigs { read_by: 0, ..old.found().unwrap().clone() };
    assert_eq!(ask(Gathered::Found(old)), missing, "more is read of it by now");
    let Outcome::Undecided(reasons) = ask(Gathered::Failed("no route".to_owned())) else {
        panic!()
    };
    assert_eq!(reasons[0].text, "could not get the configuration: no route");
}

#[test]
fn a_denial_that_is_certain_asks_for_no_configuration_and_a_rule_without_gates_neither() {
    let (policy, subject) = (with_gate("healthcheck: require", ""), subject("up.test/a"));
    let standing = revoked();
    let context_of = Context { standing: Some(&standing), ..context(&policy) };
    let judgement = decided(decide(&subject, &evidence(facts()), &context_of));
    assert_eq!(check_of(&judgement).state, CheckState::NotLooked);
    let without =
        crate::gate::tests::policy("rules: [{id: r, match: [\"up.test/**\"], trust: allow}]\n");
    let judgement = decided(decide(&subject, &evidence(facts()), &context(&without)));
    assert!(judgement.admits() && judgement.checks.iter().all(|check| check.name != NAME));
}

fn index_of(platforms: &[&str]) -> (ManifestFacts, Vec<Digest>) {
    let image = |platform: &&str| ChildImage {
        digest: Digest::sha256(platform.as_bytes()),
        platform: Some(platform.parse().unwrap()),
    };
    let images: Vec<ChildImage> = platforms.iter().map(image).collect();
    let digests = images.iter().map(|image| image.digest).collect();
    let platforms = platforms.iter().map(|platform| platform.parse().unwrap()).collect();
    (ManifestFacts { is_index: true, images: Some(images), platforms, ..facts() }, digests)
}

#[test]
fn every_image_of_an_index_that_is_served_must_pass() {
    let (good, bad) = (config(r#"{"User":"7"}"#), config("{}"));
    let (index, digests) = index_of(&["linux/amd64", "linux/arm64"]);
    let evidence = with_configs(index, vec![(digests[0], good.clone()), (digests[1], bad.clone())]);
    let subject = subject("up.test/a");
    for (floor, expected) in [
        ("", vec!["linux/arm64: runs as root: its configuration has no USER"]),
        ("floor: {platforms: [linux/amd64]}", vec![]),
        // The only one that is served needs no name.
        ("floor: {platforms: [linux/arm64]}", vec!["runs as root: its configuration has no USER"]),
    ] {
        let policy = with_gate("user: {nonRoot: true}", floor);
        let judgement = decided(decide(&subject, &evidence, &context(&policy)));
        assert_eq!(texts(&judgement), expected, "{floor}");
    }
}

#[test]
fn an_index_of_no_image_or_of_too_many_is_refused() {
    let policy = with_gate("user: {nonRoot: true}", "");
    let subject = subject("up.test/a");
    let many: Vec<String> = (0..=ImageConfigs::IMAGES_MAX).map(|i| format!("linux/a{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (platforms, expected) in [
        (&[][..], "lists no image whose configuration could be judged"),
        (&many[..], "lists 65 images, of which 64 are judged by their configurations"),
    ] {
        let (index, _) = index_of(platforms);
        let judgement = decided(decide(&subject, &evidence(index), &context(&policy)));
        assert_eq!(texts(&judgement), [expected]);
        assert!(matches!(judgement.verdict, Verdict::Deny(_)));
    }
    let unknown = ManifestFacts { is_index: true, images: None, ..facts() };
    let asked = decide(&subject, &evidence(unknown), &context(&policy));
    assert_eq!(asked, Outcome::Missing(vec![EvidenceKind::Manifest]));
}

#[test]
fn a_flood_of_what_is_wrong_is_told_in_short() {
    let env: Vec<String> = (0..1000).map(|i| format!("\"TOKEN{i}=x\"")).collect();
    let judgement =
        judged("env: {denyNames: [\"*\"]}", config(&format!(r#"{{"Env":[{}]}}"#, env.join(","))));
    assert_eq!(judgement.reasons().len(), 21);
    assert_eq!(judgement.reasons()[20].text, "980 more like these");
    assert_eq!(judgement.reasons()[20].remedy, "They are told once these are mended.");
    let long = format!(r#"{{"Env":["{}\u001b[31m\n=x"]}}"#, "A".repeat(10_000));
    let judgement = judged("env: {denyNames: [\"*\"]}", config(&long));
    let text = texts(&judgement)[0];
    assert!(text.len() <= 80 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
    let text = &check_of(&judgement).text;
    assert!(text.len() <= 80 && text.is_ascii(), "{text}");
}

#[test]
fn two_gates_ask_for_both_and_say_each_thing_once() {
    let subject = subject("up.test/a");
    let policy = policy(
        "gates: {one: {user: {nonRoot: true}}, two: {user: {nonRoot: numeric}, healthcheck: require}}\n\
         rules: [{id: r, match: [\"up.test/**\"], trust: allow, gates: [one, two]}]\n",
    );
    let evidence = with_configs(facts(), vec![(subject.digest, config("{}"))]);
    let judgement = decided(decide(&subject, &evidence, &context(&policy)));
    let expected = ["runs as root: its configuration has no USER", "has no health check"];
    assert_eq!(texts(&judgement), expected);
}

#[test]
fn records_of_before_have_no_configurations_and_keep_their_form() {
    let before = serde_json::to_value(evidence(facts())).unwrap();
    assert!(before.get("configs").is_none());
    let read: Evidence = serde_json::from_value(before).unwrap();
    assert_eq!(read.configs, Gathered::NotGathered);
    for found in
        [config(r#"{"User":"7","Env":["A=1"]}"#), config("[]"), ConfigOf::NoImage, ConfigOf::Absent]
    {
        let evidence = with_configs(facts(), vec![(Digest::sha256(b"a"), found)]);
        let text = serde_json::to_string(&evidence).unwrap();
        assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
    }
}
