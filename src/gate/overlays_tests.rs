//! Overlays: what they add, that they loosen nothing, and what becomes of what only watches.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::scan::tests::{found as finding, report, scanned, scans};
use super::tests::{NOW, Pen, codes, context, decided, evidence, facts, policy, revoked, subject};
use super::*;
use crate::oci::{Digest, ImageConfig};
use crate::scan::{Inventory, Severity};

const NAME: &str = "up.test/a";

fn signers(pens: &[(&str, &Pen)]) -> String {
    let signer = |(name, pen): &(&str, &Pen)| {
        format!("  {name}: {{key: {{pem: \"{}\"}}, transparencyLog: none}}\n", pen.pem())
    };
    format!("signers:\n{}", pens.iter().map(signer).collect::<Vec<_>>().concat())
}

const GATES: &str = "gates:\n  strict: {deny: [{severity: high}]}\n  user: {user: {nonRoot: true}}\n  \
                     old: {maxImageAge: 30d}\n  cool: {minObservedAge: 24h}\n";

fn signed(by: &[&Pen]) -> Evidence {
    let digest = subject(NAME).digest;
    let found = by.iter().map(|pen| pen.sign(NAME, &digest)).collect();
    let search = SignatureSearch { found, ..SignatureSearch::default() };
    Evidence { signatures: Gathered::Found(search), ..evidence(facts()) }
}

fn configured(config: &str, evidence: Evidence) -> Evidence {
    let config = ConfigOf::Read(Box::new(ImageConfig::parse(config.as_bytes()).unwrap()));
    let images = [(subject(NAME).digest, config)].into();
    let configs = Gathered::Found(ImageConfigs { images, read_by: ImageConfig::READING });
    Evidence { configs, ..evidence }
}

fn texts(judgement: &Judgement) -> Vec<&str> {
    judgement.reasons().iter().map(|reason| reason.text.as_str()).collect()
}

fn judged(policy: &ReadyPolicy, evidence: &Evidence) -> Judgement {
    decided(decide(&subject(NAME), evidence, &context(policy)))
}

const RULE: &str = "rules: [{id: r, match: [\"up.test/**\"], trust: allow, signerChange: allow}]\n";

#[test]
fn an_image_needs_what_its_rule_and_what_every_overlay_asks() {
    let [a, b, c] = [Pen::new(), Pen::new(), Pen::new()];
    let policy = policy(&format!(
        "{}rules:\n- {{id: r, match: [\"up.test/**\"], trust: allow, signerChange: allow, signatures: {{atLeast: 1, of: [a]}}}}\n\
         overlays:\n- {{id: all, match: [\"**\"], signatures: {{atLeast: 1, of: [b]}}}}\n\
         - {{id: some, match: [\"up.test/a\"], signatures: {{atLeast: 1, of: [c]}}}}\n\
         - {{id: none, match: [\"up.test/b\"], signatures: {{atLeast: 1, of: [c]}}}}\n",
        signers(&[("a", &a), ("b", &b), ("c", &c)])
    ));
    for (by, expected) in [
        (&[&a, &b, &c][..], &[][..]),
        (&[&a, &b], &["overlay some: not signed by c"]),
        (&[&a, &c], &["overlay all: not signed by b"]),
        (&[&b, &c], &["not signed by a"]),
        (&[&a], &["overlay all: not signed by b", "overlay some: not signed by c"]),
        (
            &[],
            &["not signed by a", "overlay all: not signed by b", "overlay some: not signed by c"],
        ),
    ] {
        let judgement = judged(&policy, &signed(by));
        assert_eq!(texts(&judgement), expected);
        assert_eq!(judgement.admits(), expected.is_empty());
        assert!(judgement.enforced && !judgement.warns && judgement.watched.is_empty());
        assert_eq!(judgement.rule.as_ref().unwrap().as_str(), "r");
    }
    let message = message(&NAME, &judged(&policy, &signed(&[&a])), None, None);
    assert!(message.contains("Overlay all asks for it."), "{message}");
    let other = subject("up.test/c");
    let only = decide(&other, &signed(&[]), &context(&policy));
    assert_eq!(texts(&decided(only)), ["not signed by a", "overlay all: not signed by b"]);
}

#[test]
fn an_overlay_that_denies_does_so_whatever_the_rule_says() {
    for (mode, when, is_served) in [
        ("enforce", "image.size > 0", false),
        ("enforce", "image.size < 0", true),
        ("warn", "image.size > 0", true),
        ("audit", "image.size > 0", true),
    ] {
        let policy = policy(&format!(
            "{RULE}overlays: [{{id: o, match: [\"up.test/a\"], trust: deny, when: \"{when}\", mode: {mode}}}]\n"
        ));
        let judgement = judged(&policy, &evidence(facts()));
        assert_eq!(judgement.admits(), is_served, "{mode} {when}: {judgement:?}");
        if !is_served {
            assert_eq!(texts(&judgement), ["overlay o: up.test/a is not served"]);
            assert_eq!(codes(&judgement), [ReasonCode::DeniedByRule]);
        }
        let other = decided(decide(&subject("up.test/b"), &evidence(facts()), &context(&policy)));
        assert!(other.admits());
    }
}

#[test]
fn an_overlay_alone_admits_nothing() {
    let pen = Pen::new();
    let overlay = "overlays: [{id: o, match: [\"**\"], signatures: {atLeast: 1, of: [a]}}]\n";
    for (rules, code) in [
        ("rules: [{id: r, match: [\"other.test/**\"], trust: allow}]\n", ReasonCode::NoRule),
        (
            "rules: [{id: r, match: [\"up.test/a\"], tags: {exact: [x]}, trust: allow}]\n",
            ReasonCode::NoRule,
        ),
        ("rules: [{id: r, match: [\"up.test/**\"], trust: deny}]\n", ReasonCode::DeniedByRule),
        ("rules: [{id: r, match: [\"up.test/**\"], trust: approve}]\n", ReasonCode::ApprovalNeeded),
        (
            "floor: {registries: [other.test]}\nrules: [{id: r, match: [\"up.test/**\"], trust: allow}]\n",
            ReasonCode::RegistryNotAllowed,
        ),
    ] {
        let policy = policy(&format!("{}{rules}{overlay}", signers(&[("a", &pen)])));
        let judgement = judged(&policy, &signed(&[&pen]));
        assert!(!judgement.admits() && judgement.enforced, "{rules}");
        assert_eq!(codes(&judgement), [code], "{rules}");
        let evidence = signed(&[&pen]);
        let context = Context { standing: Some(&revoked()), ..context(&policy) };
        let judgement = decided(decide(&subject(NAME), &evidence, &context));
        assert!(!judgement.admits(), "{rules}");
    }
}

#[test]
fn every_kind_of_gate_is_heard_from_an_overlay_and_says_so() {
    let overlay = |gate: &str| {
        policy(&format!("{GATES}{RULE}overlays: [{{id: o, match: [\"**\"], gates: [{gate}]}}]\n"))
    };
    let root = configured("{\"created\": \"2026-01-01T00:00:00Z\"}", evidence(facts()));
    for (gate, code, text) in [
        ("user", ReasonCode::ConfigNotAllowed, "overlay o: "),
        ("old", ReasonCode::TooOld, "overlay o: built 2026-01-01"),
        ("cool", ReasonCode::CoolingDown, "overlay o: cooling down"),
    ] {
        let judgement = judged(&overlay(gate), &root);
        assert_eq!(codes(&judgement), [code], "{gate}");
        assert!(texts(&judgement)[0].starts_with(text), "{:?}", texts(&judgement));
    }
    let strict = overlay("strict");
    let high = report(vec![finding("CVE-2026-1", Some(Severity::High))]);
    let seen = scans(vec![("a", Inventory::default(), high)]);
    let evidence = scanned(&[(subject(NAME).digest, "a")]);
    let context = Context { scans: &seen, ..context(&strict) };
    let judgement = decided(decide(&subject(NAME), &evidence, &context));
    assert_eq!(codes(&judgement), [ReasonCode::Vulnerable]);
    assert!(texts(&judgement)[0].starts_with("overlay o: CVE-2026-1"), "{:?}", texts(&judgement));
    // What is asked by the rule too is asked once, and is the rule's.
    let both = policy(&format!(
        "{GATES}rules: [{{id: r, match: [\"**\"], trust: allow, gates: [strict]}}]\noverlays: [{{id: o, match: [\"**\"], gates: [strict]}}]\n"
    ));
    let context = Context { policy: &both, ..context };
    let judgement = decided(decide(&subject(NAME), &evidence, &context));
    assert!(texts(&judgement)[0].starts_with("CVE-2026-1"), "{:?}", texts(&judgement));
    assert_eq!(judgement.reasons().len(), 1);
}

#[test]
fn what_only_an_overlay_asks_for_is_gathered() {
    use EvidenceKind::{Attestations, Configs, Manifest, Scan, Signatures};
    let pen = Pen::new();
    let missing = |rest: &str, evidence: &Evidence| {
        let policy = policy(&format!(
            "{}{GATES}{RULE}overlays: [{{id: o, match: [\"**\"]{rest}}}]\n",
            signers(&[("a", &pen)])
        ));
        match decide(&subject(NAME), evidence, &context(&policy)) {
            Outcome::Missing(kinds) => kinds,
            other => panic!("{rest}: {other:?}"),
        }
    };
    let unsearched = Evidence { signatures: Gathered::NotGathered, ..evidence(facts()) };
    for mode in ["", ", mode: audit", ", mode: warn"] {
        for (rest, kind, known) in [
            (", signatures: {atLeast: 1, of: [a]}", Signatures, &unsearched),
            (", attestations: [{type: spdx, signers: [a]}]", Signatures, &unsearched),
            (", gates: [user]", Configs, &evidence(facts())),
            (", gates: [old]", Configs, &evidence(facts())),
            (", gates: [strict]", Scan, &evidence(facts())),
        ] {
            let rest = format!("{rest}{mode}");
            assert_eq!(missing(&rest, known), [kind], "{rest}");
            // With the manifest all that is sure to be needed is asked for at once.
            let first = missing(&rest, &Evidence::default());
            let expected = [vec![Manifest], vec![Manifest, Signatures]];
            assert!(expected.contains(&first), "{rest}: {first:?}");
        }
    }
    let search = SignatureSearch {
        attestations: vec![crate::signature::FoundAttestation {
            source: Digest::sha256(b"s"),
            content: Digest::sha256(b"c"),
            size: 1,
            form: crate::signature::AttestationForm::Envelope {
                proof: crate::signature::SimpleSigningProof::default(),
            },
        }],
        ..SignatureSearch::default()
    };
    let found = Evidence { signatures: Gathered::Found(search), ..evidence(facts()) };
    let rest = ", attestations: [{type: spdx, signers: [a]}]";
    assert_eq!(missing(rest, &found), [Attestations]);
}

/// Rule and overlay, each with its mode, and whether the image has what each asks for.
fn served(rule: (&str, bool), overlay: (&str, bool)) -> Judgement {
    let [a, b] = [Pen::new(), Pen::new()];
    let policy = policy(&format!(
        "{}rules: [{{id: r, match: [\"**\"], trust: allow, signerChange: allow, signatures: {{atLeast: 1, of: [a]}}, mode: {}}}]\n\
         overlays: [{{id: o, match: [\"**\"], signatures: {{atLeast: 1, of: [b]}}, mode: {}}}]\n",
        signers(&[("a", &a), ("b", &b)]),
        rule.0,
        overlay.0
    ));
    let pens = [(rule.1, &a), (overlay.1, &b)];
    let by: Vec<&Pen> = pens.iter().filter(|(signs, _)| *signs).map(|(_, pen)| *pen).collect();
    judged(&policy, &signed(&by))
}

#[test]
fn what_enforces_holds_whatever_only_watches() {
    let modes = ["audit", "warn", "enforce"];
    for (rule_at, rule) in modes.iter().enumerate() {
        for (overlay_at, overlay) in modes.iter().enumerate() {
            for (rule_passes, overlay_passes) in
                [(true, true), (true, false), (false, true), (false, false)]
            {
                let case = format!("{rule} {rule_passes}, {overlay} {overlay_passes}");
                let judgement = served((rule, rule_passes), (overlay, overlay_passes));
                let rank = |at: usize, passes: bool| if passes { None } else { Some(at) };
                let worst = rank(rule_at, rule_passes).max(rank(overlay_at, overlay_passes));
                let is_served = judgement.admits() || !judgement.enforced;
                assert_eq!(is_served, worst != Some(2), "{case}");
                assert_eq!(judgement.warns, worst == Some(1), "{case}");
                assert_eq!(judgement.would_refuse_for().is_empty(), worst.is_none(), "{case}");
                // By what is as strict as the rule, it is admitted: what is weaker is told beside.
                let passes = rule_passes && (overlay_passes || overlay_at < rule_at);
                assert_eq!(judgement.admits(), passes, "{case}");
                assert!(judgement.admits() || judgement.watched.is_empty(), "{case}");
            }
        }
    }
}

#[test]
fn what_only_watches_holds_nothing_up() {
    let pen = Pen::new();
    let text = |mode: &str, rule_mode: &str| {
        format!(
            "{}{GATES}rules: [{{id: r, match: [\"**\"], trust: allow, mode: {rule_mode}, gates: [user]}}]\n\
             overlays: [{{id: o, match: [\"**\"], signatures: {{atLeast: 1, of: [a]}}, mode: {mode}}}]\n",
            signers(&[("a", &pen)])
        )
    };
    let failed = Evidence {
        signatures: Gathered::Failed("upstream timed out".to_owned()),
        ..configured("{\"config\": {\"User\": \"1000\"}}", evidence(facts()))
    };
    for mode in ["audit", "warn"] {
        let policy = policy(&text(mode, "enforce"));
        let judgement = judged(&policy, &failed);
        assert!(judgement.admits() && judgement.watched.is_empty(), "{mode}: {judgement:?}");
        let again: Timestamp = NOW.parse().unwrap();
        let again = again.after(std::time::Duration::from_mins(10));
        assert_eq!(judgement.good_until, Some(again), "it is looked at again");
        let check = judgement.checks.last().unwrap();
        assert_eq!((check.name.as_str(), check.state), ("watching", CheckState::Failed));
    }
    // What enforces is not known: nobody is served by what only watches.
    for rule in ["audit", "warn", "enforce"] {
        let policy = policy(&text("enforce", rule));
        let outcome = decide(&subject(NAME), &failed, &context(&policy));
        assert!(matches!(outcome, Outcome::Undecided(_)), "{rule}: {outcome:?}");
    }
    // The overlay passes, and what the rule would say is not known: it is served, and not admitted.
    let policy = policy(&text("enforce", "audit"));
    let unread = Evidence { configs: Gathered::Failed("no time".to_owned()), ..signed(&[&pen]) };
    let judgement = judged(&policy, &unread);
    assert!(!judgement.admits() && !judgement.enforced && !judgement.warns, "{judgement:?}");
    assert_eq!(codes(&judgement), [ReasonCode::EvidenceUnavailable]);
    assert!(judgement.good_until.is_some());
}

#[test]
fn an_overlay_that_enforces_is_asked_where_everything_else_only_watches() {
    let pen = Pen::new();
    let text = |rules: &str| {
        format!(
            "{}mode: audit\n{rules}overlays: [{{id: o, match: [\"**\"], signatures: {{atLeast: 1, of: [a]}}, mode: enforce}}]\n",
            signers(&[("a", &pen)])
        )
    };
    for rules in [
        "rules: [{id: r, match: [\"other.test/**\"], trust: allow}]\n",
        "rules: [{id: r, match: [\"up.test/**\"], trust: deny}]\n",
        "floor: {registries: [other.test]}\nrules: [{id: r, match: [\"up.test/**\"], trust: allow}]\n",
    ] {
        let policy = policy(&text(rules));
        // It is refused by its name already, in audit mode: the overlay has to be asked all the same.
        let nothing = decide(&subject(NAME), &Evidence::default(), &context(&policy));
        assert!(matches!(nothing, Outcome::Missing(_)), "{rules}: {nothing:?}");
        let failed = Evidence { manifest: Gathered::Failed("x".into()), ..Evidence::default() };
        let failed = decide(&subject(NAME), &failed, &context(&policy));
        assert!(matches!(failed, Outcome::Undecided(_)), "{rules}: {failed:?}");
        let refused = judged(&policy, &signed(&[]));
        assert!(!refused.admits() && refused.enforced, "{rules}");
        assert_eq!(texts(&refused), ["overlay o: not signed by a"], "{rules}");
        let watched = judged(&policy, &signed(&[&pen]));
        assert!(!watched.admits() && !watched.enforced, "{rules}");
    }
}

#[test]
fn a_verdict_ends_with_the_mode_that_it_rests_on() {
    let pen = Pen::new();
    let until = "2026-12-01T00:00:00Z".parse().ok();
    let overlay = "overlays: [{id: o, match: [\"**\"], signatures: {atLeast: 1, of: [a]}, mode: warn, modeUntil: 2026-12-01}]\n";
    let policy_of = |rest: &str| policy(&format!("{}{rest}", signers(&[("a", &pen)])));
    let allow = "rules: [{id: r, match: [\"**\"], trust: allow, signerChange: allow}]\n";
    let warned = policy_of(&format!("{allow}{overlay}"));
    let rule = policy_of(
        "rules: [{id: r, match: [\"**\"], trust: deny, mode: audit, modeUntil: 2026-12-01}]\n",
    );
    let whole = policy_of(
        "mode: warn\nmodeUntil: 2026-12-01\nrules: [{id: r, match: [\"x.test/**\"], trust: deny}]\n",
    );
    for (policy, admits) in [(&warned, true), (&rule, false), (&whole, false)] {
        let before = judged(policy, &signed(&[]));
        assert_eq!((before.admits(), before.good_until), (admits, until));
        assert!(before.admits() || !before.enforced);
        let at = |moment: &str| {
            let context = Context { now: moment.parse().unwrap(), ..context(policy) };
            decided(decide(&subject(NAME), &signed(&[]), &context))
        };
        let last = at("2026-11-30T23:59:59.999Z");
        assert!(last.admits() || !last.enforced);
        let after = at("2026-12-01T00:00:00Z");
        assert!(!after.admits() && after.enforced && !after.warns);
        assert_eq!(after.good_until, None, "it is refused in earnest, and stays so");
        let by_name = refuse_by_name(policy, &subject(NAME).name, None, after_day());
        assert!(by_name.is_none_or(|refused| refused.enforced));
    }
    // What enforces anyhow does not end with what is elsewhere.
    let other = policy_of(
        "rules:\n- {id: r, match: [\"up.test/**\"], trust: allow}\n- {id: s, match: [\"x.test/**\"], trust: allow, mode: warn, modeUntil: 2026-12-01}\n",
    );
    assert_eq!(judged(&other, &signed(&[])).good_until, None);
}

fn after_day() -> Timestamp {
    "2026-12-01T00:00:00Z".parse().unwrap()
}

#[test]
fn what_an_overlay_has_signed_dates_nothing() {
    let pen = Pen::new();
    let undated = configured("{}", signed(&[&pen]));
    let rule =
        "rules: [{id: r, match: [\"**\"], trust: allow, signerChange: allow, gates: [old]}]\n";
    let without = policy(&format!("{}{GATES}{rule}", signers(&[("a", &pen)])));
    let with = policy(&format!(
        "{}{GATES}{rule}overlays: [{{id: o, match: [\"**\"], signatures: {{atLeast: 1, of: [a]}}}}]\n",
        signers(&[("a", &pen)])
    ));
    assert_eq!(codes(&judged(&without, &undated)), [ReasonCode::Undated]);
    assert_eq!(codes(&judged(&with, &undated)), [ReasonCode::Undated]);
}

/// What an overlay may ask for.
const ASKS: [&str; 8] = [
    "trust: deny",
    "signatures: {atLeast: 1, of: [a]}",
    "signatures: {atLeast: 2, of: [a, b]}",
    "signatures: {atLeast: 1, of: [b], scope: either}",
    "gates: [user]",
    "gates: [old]",
    "gates: [cool]",
    "signatures: {atLeast: 1, of: [b]}, gates: [user, old]",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Whatever overlays there are, nothing is served that would not be served without them.
    #[test]
    fn no_overlay_ever_loosens_anything(
        rule in 0_usize..10,
        rule_mode in 0_usize..3,
        overlays in prop::collection::vec((0_usize..ASKS.len(), 0_usize..3, any::<bool>()), 1..4),
        signs in any::<[bool; 2]>(),
        config in 0_usize..4,
        known in any::<bool>(),
        tagged in any::<bool>(),
    ) {
        let [a, b] = [Pen::new(), Pen::new()];
        let modes = ["audit", "warn", "enforce"];
        let asks = ["trust: deny", "trust: allow", "trust: approve"];
        let rest = match rule {
            0..3 => asks[rule].to_owned(),
            _ => format!("trust: allow, {}", ASKS[rule - 2]),
        };
        let base = format!(
            "{}{GATES}rules: [{{id: r, match: [\"**\"], signerChange: allow, mode: {}, {rest}}}]\n",
            signers(&[("a", &a), ("b", &b)]),
            modes[rule_mode]
        );
        let list: Vec<String> = overlays.iter().enumerate().map(|(at, (asks, mode, tags))| {
            let tags = if *tags { "tags: {exact: [x]}, " } else { "" };
            format!("- {{id: o{at}, match: [\"**\"], {tags}{}, mode: {}}}", ASKS[*asks], modes[*mode])
        }).collect();
        let (without, with) =
            (policy(&base), policy(&format!("{base}overlays:\n{}\n", list.join("\n"))));
        let by: Vec<&Pen> = signs.iter().zip([&a, &b]).filter(|(it, _)| **it).map(|(_, p)| p).collect();
        let created = ["", ", \"created\": \"2026-11-19T00:00:00Z\"", ", \"created\": \"2020-01-01T00:00:00Z\"", ""][config];
        let user = if config == 3 { "0" } else { "1000" };
        let text = format!("{{\"config\": {{\"User\": \"{user}\"}}{created}}}");
        let evidence = configured(&text, signed(&by));
        let tags = if tagged { vec!["x".parse().unwrap()] } else { Vec::new() };
        let first_seen = known.then(|| "2026-01-01T00:00:00Z".parse().unwrap());
        let contents = BTreeMap::new();
        let judge = |policy: &ReadyPolicy| {
            let context = Context { tags: &tags, first_seen, contents: &contents, ..context(policy) };
            decided(decide(&subject(NAME), &evidence, &context))
        };
        let (alone, judgement) = (judge(&without), judge(&with));
        let is_served = |it: &Judgement| it.admits() || !it.enforced;
        prop_assert!(is_served(&alone) || !is_served(&judgement), "{alone:?} {judgement:?}");
        prop_assert!(alone.admits() || !judgement.admits(), "{alone:?} {judgement:?}");
        // And overlays that only watch change nothing about what is served.
        if overlays.iter().all(|(_, mode, _)| *mode < 2) {
            prop_assert_eq!(is_served(&alone), is_served(&judgement));
        }
    }
}
