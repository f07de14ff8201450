//! Expressions: what they refuse, which overlays apply, what is gathered for them, and until when they hold.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scan::tests::{found as finding, report, scanned, scans};
use super::tests::{NOW, Pen, codes, context, decided, evidence, facts, policy, revoked, subject};
use super::*;
use crate::oci::{Digest, ImageConfig, MediaType};
use crate::scan::{Inventory, Severity};

const NAME: &str = "up.test/lib/app";

fn asking(when: &str) -> ReadyPolicy {
    asking_on(&Pen::new(), when, "trust: allow")
}

/// A policy with the signer `team`, one rule and one expression.
fn asking_on(team: &Pen, when: &str, rule: &str) -> ReadyPolicy {
    policy(&format!(
        "signers: {{team: {{key: {{pem: \"{}\"}}, transparencyLog: none}}}}\n\
         rules: [{{id: r, match: [\"up.test/**\"], signerChange: allow, {rule}}}]\n\
         expressions: [{{id: x, when: \"{when}\", message: this is not served}}]\n",
        team.pem()
    ))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn judged(policy: &ReadyPolicy, evidence: &Evidence, tags: &[&str]) -> Judgement {
    let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    decided(decide(&subject(NAME), evidence, &Context { tags: &tags, ..context(policy) }))
}

fn configured(config: &str) -> Evidence {
    let config = ConfigOf::Read(Box::new(ImageConfig::parse(config.as_bytes()).unwrap()));
    let images = [(subject(NAME).digest, config)].into();
    let configs = Gathered::Found(ImageConfigs { images, read_by: ImageConfig::READING });
    Evidence { configs, ..evidence(facts()) }
}

fn signed(by: &[&Pen]) -> Evidence {
    let digest = subject(NAME).digest;
    let found = by.iter().map(|pen| pen.sign(NAME, &digest)).collect();
    let search = SignatureSearch { found, ..SignatureSearch::default() };
    Evidence { signatures: Gathered::Found(search), ..evidence(facts()) }
}

#[test]
fn what_does_not_hold_is_refused_with_the_message_and_the_name() {
    let whole = configured(
        "{\"created\": \"2026-11-19T10:00:00Z\", \"config\": {\"User\": \"1000\", \"Env\": [\"A=b\"], \"ExposedPorts\": {\"22/tcp\": {}}}}",
    );
    for (when, tags, holds) in [
        ("!image.tag.endsWith('-debug')", &["1.0"][..], true),
        ("!image.tag.endsWith('-debug')", &["1.0", "1.0-debug"], false),
        ("!image.tag.endsWith('-debug')", &[], true),
        ("image.tag != ''", &[], false),
        ("image.tags.size() > 0", &[], false),
        ("image.registry == 'up.test' && image.repository == 'lib/app'", &[], true),
        ("image.digest.startsWith('sha256:') && !image.isIndex", &[], true),
        ("image.size <= 1048576 && image.layers == 3", &[], true),
        ("image.platforms == ['linux/amd64'] && image.artifactType == ''", &[], true),
        ("image.config.user == '1000' && !image.config.healthcheck", &[], true),
        ("!('22/tcp' in image.config.exposedPorts)", &[], false),
        ("image.config.env.exists(name, name == 'A')", &[], true),
        ("now - image.created <= duration('24h')", &[], true),
        ("now - image.created < duration('24h')", &[], false),
        ("signatures.size() == 0", &[], true),
        ("attestations.size() == 0", &[], true),
    ] {
        let judgement = judged(&asking(when), &whole, tags);
        assert_eq!(judgement.admits(), holds, "{when} {tags:?}: {judgement:?}");
        if !holds {
            assert_eq!(codes(&judgement), [ReasonCode::ExpressionNotMet], "{when}");
            let text = &judgement.reasons()[0].text;
            assert_eq!(text, "expression x: this is not served", "{when}");
        }
    }
    let refused = judged(&asking("image.tag == 'x'"), &whole, &["y"]);
    assert_eq!(
        phrase(&refused, Some("R-1"), None),
        "Denied by rule r: expression x: this is not served, run: pratique show R-1"
    );
}

#[test]
fn what_cannot_be_answered_is_refused_and_says_why() {
    let undated = configured("{}");
    for when in [
        "now - image.created < duration('24h')",
        "signatures[0].signer == 'team'",
        "attestations[0].type == 'x'",
        "image.tags[0] == 'x'",
    ] {
        let judgement = judged(&asking(when), &undated, &[]);
        assert_eq!(codes(&judgement), [ReasonCode::ExpressionNotMet], "{when}");
        let remedy = &judgement.reasons()[0].remedy;
        assert!(remedy.contains('('), "{when}: {remedy}");
    }
    // Whatever guards it is heard.
    let guarded = asking("!has(image.created) || now - image.created < duration('24h')");
    assert!(judged(&guarded, &undated, &[]).admits());
    // What is no image has no configuration and no scan.
    let chart = ManifestFacts {
        artifact_type: Some("application/vnd.cncf.helm.config.v1+json".to_owned()),
        ..facts()
    };
    for (when, admits) in [
        ("scan.findings.size() == 0", false),
        ("image.config.user != 'root'", false),
        ("image.artifactType != '' || scan.findings.size() == 0", true),
    ] {
        assert_eq!(judged(&asking(when), &evidence(chart.clone()), &[]).admits(), admits, "{when}");
    }
    // A flood of tags is no way around.
    let many: Vec<String> = (0..300).map(|at| format!("t{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let judgement = judged(&asking("image.tag != 'x'"), &undated, &many);
    assert_eq!(codes(&judgement), [ReasonCode::ExpressionNotMet]);
}

#[test]
fn expressions_are_asked_last_and_admit_nothing() {
    let pen = Pen::new();
    let policy = asking_on(&pen, "signatures.size() >= 0", "trust: allow");
    let unsearched = Evidence { signatures: Gathered::NotGathered, ..evidence(facts()) };
    // What is refused anyhow is not asked about, and nothing is gathered for it.
    let standing = revoked();
    let context = Context { standing: Some(&standing), ..context(&policy) };
    let refused = decided(decide(&subject(NAME), &unsearched, &context));
    assert_eq!(codes(&refused), [ReasonCode::Revoked]);
    let check = refused.checks.iter().find(|check| check.name == "expressions").unwrap();
    assert_eq!(check.state, CheckState::NotLooked);
    for (rule, code) in [
        ("trust: deny", ReasonCode::DeniedByRule),
        ("trust: approve", ReasonCode::ApprovalNeeded),
        ("trust: allow, signatures: {atLeast: 1, of: [team]}", ReasonCode::Unsigned),
    ] {
        let policy = asking_on(&pen, "image.size > 0", rule);
        let judgement = judged(&policy, &evidence(facts()), &[]);
        assert!(!judgement.admits(), "{rule}");
        assert_eq!(codes(&judgement), [code], "{rule}");
    }
    // In audit mode it is written down, as everything of the rule.
    let policy = asking_on(&pen, "image.size > 5000000", "trust: allow, mode: audit");
    let judgement = judged(&policy, &evidence(facts()), &[]);
    assert!(!judgement.admits() && !judgement.enforced);
}

#[test]
fn what_is_named_is_gathered_and_what_could_not_be_had_leaves_it_open() {
    let missing = |when: &str, evidence: &Evidence| match decide(
        &subject(NAME),
        evidence,
        &context(&asking(when)),
    ) {
        Outcome::Missing(kinds) => kinds,
        other => panic!("{when}: {other:?}"),
    };
    let known = evidence(facts());
    let unsearched = Evidence { signatures: Gathered::NotGathered, ..known.clone() };
    assert_eq!(missing("signatures.size() > 0", &unsearched), [EvidenceKind::Signatures]);
    assert_eq!(missing("attestations.size() > 0", &unsearched), [EvidenceKind::Signatures]);
    assert_eq!(missing("image.config.user != ''", &known), [EvidenceKind::Configs]);
    assert_eq!(missing("has(image.created)", &known), [EvidenceKind::Configs]);
    assert_eq!(missing("scan.complete", &known), [EvidenceKind::Scan]);
    let first = missing("signatures.size() > 0", &Evidence::default());
    assert_eq!(first, [EvidenceKind::Manifest, EvidenceKind::Signatures]);
    for (when, evidence) in [
        (
            "signatures.size() >= 0",
            Evidence { signatures: Gathered::Failed("x".into()), ..known.clone() },
        ),
        (
            "image.config.user == ''",
            Evidence { configs: Gathered::Failed("x".into()), ..known.clone() },
        ),
        ("scan.complete || true", Evidence { scan: Gathered::Failed("x".into()), ..known.clone() }),
        (
            // Whatever is asked of what was found, it may be about what was not.
            "signatures.size() == 0",
            Evidence {
                signatures: Gathered::Found(SignatureSearch {
                    incomplete: Some("x".to_owned()),
                    ..SignatureSearch::default()
                }),
                ..known.clone()
            },
        ),
    ] {
        let outcome = decide(&subject(NAME), &evidence, &context(&asking(when)));
        assert!(matches!(outcome, Outcome::Undecided(_)), "{when}: {outcome:?}");
    }
}

#[test]
fn who_signed_and_what_is_found_is_known_to_expressions() {
    let (team, stranger) = (Pen::new(), Pen::new());
    let when = "signatures.exists(s, s.signer == 'team' && s.by != '')";
    let policy = asking_on(&team, when, "trust: allow");
    assert!(judged(&policy, &signed(&[&team]), &[]).admits());
    for by in [&[][..], &[&stranger]] {
        let judgement = judged(&policy, &signed(by), &[]);
        assert_eq!(codes(&judgement), [ReasonCode::ExpressionNotMet]);
        assert!(judgement.rests_on_absence(), "a signature may come");
    }
    let known = |severity, fixed: bool| {
        let mut found = finding("CVE-2026-1", Some(severity));
        if !fixed {
            found.fix = crate::scan::Fix::None;
        }
        scans(vec![("a", Inventory::default(), report(vec![found]))])
    };
    let evidence = scanned(&[(subject(NAME).digest, "a")]);
    let when = "scan.complete && scan.findings.all(f, f.severity != 'high' || f.fixed == '')";
    let policy = asking(when);
    for (scans, admits) in [
        (known(Severity::High, true), false),
        (known(Severity::High, false), true),
        (known(Severity::Low, true), true),
    ] {
        let context = Context { scans: &scans, ..context(&policy) };
        let judgement = decided(decide(&subject(NAME), &evidence, &context));
        assert_eq!(judgement.admits(), admits);
        assert!(judgement.database.is_some(), "another database may say otherwise");
    }
    let lost = Scans::default();
    let outcome = decide(&subject(NAME), &evidence, &Context { scans: &lost, ..context(&policy) });
    assert_eq!(outcome, Outcome::Missing(vec![EvidenceKind::Scan]));
}

#[test]
fn nothing_that_hangs_on_time_is_believed_for_longer_than_an_hour() {
    let hour = Some(at(NOW).after(Duration::from_hours(1)));
    let whole = configured("{\"created\": \"2026-11-19T10:30:00Z\"}");
    let young = asking("now - image.created <= duration('24h')");
    let judge = |now: &str| {
        let context = Context { now: at(now), ..context(&young) };
        decided(decide(&subject(NAME), &whole, &context))
    };
    let judgement = judge(NOW);
    assert_eq!((judgement.admits(), judgement.good_until), (true, hour));
    // Asked again when it ends, it is true of that time.
    assert!(judge("2026-11-20T10:30:00Z").admits());
    assert!(!judge("2026-11-20T10:30:01Z").admits());
    // A denial ends as well: what is too early may be right later.
    let later = asking("now > timestamp('2026-11-20T10:30:00Z')");
    let judgement = judged(&later, &whole, &[]);
    assert_eq!((judgement.admits(), judgement.good_until), (false, hour));
    // What does not hang on it holds on.
    assert_eq!(judged(&asking("image.size > 0"), &whole, &[]).good_until, None);
    let signed_one = asking("signatures.size() == 0");
    assert_eq!(judged(&signed_one, &whole, &[]).good_until, hour);
}

/// A policy with one overlay that asks for `team` where `when` holds.
fn overlaid(team: &Pen, when: &str, rest: &str) -> ReadyPolicy {
    policy(&format!(
        "signers: {{team: {{key: {{pem: \"{}\"}}, transparencyLog: none}}}}\n\
         rules: [{{id: r, match: [\"up.test/lib/*\"], trust: allow, signerChange: allow}}]\n\
         overlays: [{{id: o, match: [\"**\"], when: \"{when}\", signatures: {{atLeast: 1, of: [team]}}{rest}}}]\n",
        team.pem()
    ))
}

#[test]
fn an_overlay_applies_unless_it_is_sure_that_its_condition_does_not_hold() {
    let team = Pen::new();
    let unsigned = evidence(facts());
    let failed = Evidence { configs: Gathered::Failed("no time".into()), ..unsigned.clone() };
    let undated = Evidence { configs: configured("{}").configs, ..unsigned.clone() };
    let chart = evidence(ManifestFacts {
        artifact_type: Some(MediaType::new("application/x").as_str().to_owned()),
        ..facts()
    });
    for (when, evidence, tags, applies) in [
        ("image.size > 5", &unsigned, &[][..], true),
        ("image.size < 5", &unsigned, &[], false),
        // Any tag does: whoever tags anew takes nothing off.
        ("image.tag == 'prod'", &unsigned, &["dev", "prod"], true),
        ("image.tag == 'prod'", &unsigned, &["dev"], false),
        ("image.tag == 'prod'", &unsigned, &[], false),
        // Whatever is not known applies.
        ("image.tags[0] == 'x'", &unsigned, &[], true),
        ("now - image.created > duration('1h')", &undated, &[], true),
        ("image.config.user == 'root'", &failed, &[], true),
        ("image.config.user == 'root'", &chart, &[], true),
        ("scan.findings.size() > 3", &chart, &[], true),
        ("has(image.created)", &undated, &[], false),
    ] {
        let judgement = judged(&overlaid(&team, when, ""), evidence, tags);
        assert_eq!(judgement.admits(), !applies, "{when} {tags:?}: {judgement:?}");
        if applies {
            assert!(judgement.reasons()[0].text.starts_with("overlay o: not signed"), "{when}");
        }
    }
}

#[test]
fn what_a_condition_wants_to_know_is_gathered_unless_it_is_refused_anyhow() {
    let team = Pen::new();
    let rooted = overlaid(&team, "image.config.user == 'root'", "");
    let outcome = decide(&subject(NAME), &evidence(facts()), &context(&rooted));
    assert_eq!(outcome, Outcome::Missing(vec![EvidenceKind::Configs]));
    let other = decide(&subject("up.test/other"), &evidence(facts()), &context(&rooted));
    assert_eq!(codes(&decided(other)), [ReasonCode::NoRule]);
    // The time that a condition speaks of ends the verdict, whichever way it was answered.
    let hour = Some(at(NOW).after(Duration::from_hours(1)));
    for when in
        ["now > timestamp('2020-01-01T00:00:00Z')", "now < timestamp('2020-01-01T00:00:00Z')"]
    {
        let judgement = judged(&overlaid(&team, when, ""), &signed(&[&team]), &[]);
        assert_eq!((judgement.admits(), judgement.good_until), (true, hour), "{when}");
    }
    // What one condition cannot know is no other one's matter.
    let both = policy(&format!(
        "signers: {{team: {{key: {{pem: \"{}\"}}, transparencyLog: none}}}}\n\
         rules: [{{id: r, match: [\"**\"], trust: allow, signerChange: allow}}]\n\
         overlays:\n- {{id: size, match: [\"**\"], when: \"image.size < 5\", signatures: {{atLeast: 1, of: [team]}}}}\n\
         - {{id: root, match: [\"**\"], when: \"image.config.user == 'root'\", signatures: {{atLeast: 1, of: [team]}}}}\n",
        team.pem()
    ));
    let failed = Evidence { configs: Gathered::Failed("no time".into()), ..evidence(facts()) };
    let judgement = judged(&both, &failed, &[]);
    let texts: Vec<&str> = judgement.reasons().iter().map(|it| it.text.as_str()).collect();
    assert_eq!(texts, ["overlay root: not signed by team"]);
}

#[test]
fn every_image_of_an_index_is_asked_about() {
    let (amd, arm) = (Digest::sha256(b"amd"), Digest::sha256(b"arm"));
    let child = |digest, platform: &str| ChildImage { digest, platform: platform.parse().ok() };
    let index = ManifestFacts {
        is_index: true,
        children: vec![amd, arm],
        images: Some(vec![child(amd, "linux/amd64"), child(arm, "linux/arm64")]),
        ..facts()
    };
    let config = |user: &str| {
        let text = format!("{{\"config\": {{\"User\": \"{user}\"}}}}");
        ConfigOf::Read(Box::new(ImageConfig::parse(text.as_bytes()).unwrap()))
    };
    for (users, admits) in [(["1", "2"], true), (["1", "0"], false), (["0", "1"], false)] {
        let images = BTreeMap::from([(amd, config(users[0])), (arm, config(users[1]))]);
        let configs = Gathered::Found(ImageConfigs { images, read_by: ImageConfig::READING });
        let evidence = Evidence { configs, ..evidence(index.clone()) };
        let policy = asking("image.config.user != '0'");
        assert_eq!(judged(&policy, &evidence, &[]).admits(), admits, "{users:?}");
    }
}
