//! What time lets pass, and what it refuses.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::gate::scan::tests::{found as finding, report, scanned, scans};
use crate::gate::tests::{Pen, codes, context, decided, evidence, facts, policy, subject};
use crate::gate::{
    ChildImage, Judgement, Outcome, Predecessor, ReadyPolicy, Scans, SignatureSearch, decide,
};
use crate::oci::Tag;
use crate::scan::{Finding as Known, Inventory, Severity};

/// When the context decides.
const NOW: &str = "2026-11-20T10:00:00Z";

fn with_gate(gate: &str, rest: &str) -> ReadyPolicy {
    policy(&format!(
        "{rest}\ngates: {{fresh: {{{gate}}}, scanned: {{deny: [{{severity: critical}}]}}}}\nrules: \
         [{{id: r, match: [\"up.test/**\"], trust: allow, gates: [fresh]}}]\n"
    ))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn config(created: Option<&str>) -> ConfigOf {
    let created = created.map(|created| format!("\"created\":\"{created}\"")).unwrap_or_default();
    match ImageConfig::parse(format!("{{{created}}}").as_bytes()) {
        Ok(config) => ConfigOf::Read(Box::new(config)),
        Err(error) => ConfigOf::Unreadable(error.to_string()),
    }
}

fn with_configs(facts: ManifestFacts, configs: Vec<(Digest, ConfigOf)>) -> Evidence {
    let images = configs.into_iter().collect();
    let configs = Gathered::Found(ImageConfigs { images, read_by: ImageConfig::READING });
    Evidence { configs, ..evidence(facts) }
}

/// What `gate` says of an image with that configuration, which is proven to have been there `existed_at`.
fn checked(gate: &str, config: ConfigOf, existed_at: Option<Timestamp>) -> Finding {
    let (policy, subject) = (with_gate(gate, ""), subject("up.test/a"));
    let evidence = with_configs(facts(), vec![(subject.digest, config)]);
    let demands = Demands::new(policy.rules().first(), Vec::new());
    let found = Found { certain: false, existed_at, images_existed_at: BTreeMap::new() };
    match check(&subject, &evidence, &context(&policy), &demands, &found) {
        Checked::Finding(finding) => finding,
        Checked::Failed(_) | Checked::Missing(_) | Checked::Nothing => panic!("no finding"),
    }
}

#[test]
fn an_image_is_as_old_as_it_says_and_no_younger_than_what_was_signed() {
    const AGE: &str = "maxImageAge: 180d";
    const UNDATED: &str = "maxImageAge: 180d, undated: allow";
    const SOON: Option<&str> = Some("2026-11-19T10:00:00Z");
    const LONG_AGO: Option<&str> = Some("2025-11-20T10:00:00Z");
    const UNKNOWN: Option<&str> = Some("nothing says when it was built");
    let old = |day: &str| Some(format!("built {day}, more than 180 days ago"));
    let signed_long_ago = || Some("signed 2025-11-20, more than 180 days ago".to_owned());
    for (gate, created, signed, expected) in [
        (AGE, SOON, None, None),
        (AGE, LONG_AGO, None, old("2025-11-20")),
        // The very moment.
        (AGE, Some("2026-05-24T10:00:00.001Z"), None, None),
        (AGE, Some("2026-05-24T10:00:00Z"), None, old("2026-05-24")),
        // What was signed was there; that it was signed again makes nothing younger.
        (AGE, SOON, LONG_AGO, signed_long_ago()),
        (AGE, LONG_AGO, SOON, old("2025-11-20")),
        (AGE, None, SOON, None),
        (AGE, None, LONG_AGO, signed_long_ago()),
        // What builds the same twice writes no time.
        (AGE, Some("1970-01-01T00:00:00Z"), None, UNKNOWN.map(str::to_owned)),
        (AGE, Some("1980-01-01T00:00:01Z"), None, UNKNOWN.map(str::to_owned)),
        (AGE, Some("0001-01-01T00:00:00Z"), SOON, None),
        (AGE, Some("last week"), None, UNKNOWN.map(str::to_owned)),
        (AGE, None, None, UNKNOWN.map(str::to_owned)),
        (UNDATED, None, None, None),
        (UNDATED, LONG_AGO, None, old("2025-11-20")),
    ] {
        let finding = checked(gate, config(created), signed.map(at));
        let text = finding.reasons.first().map(|reason| reason.text.clone());
        assert_eq!(text, expected, "{gate} {created:?} {signed:?}");
        assert_eq!(finding.denies(), expected.is_some());
    }
}

#[test]
fn a_date_that_is_to_come_is_believed_by_no_gate() {
    const UNDATED: &str = "maxImageAge: 180d, undated: allow";
    for (created, expected) in [
        ("2026-11-21T09:00:00Z", None),
        ("2026-11-22T10:00:00Z", Some("says that it was built 2026-11-22, which is to come")),
        ("9999-01-01T00:00:00Z", Some("says that it was built 9999-01-01, which is to come")),
    ] {
        for signed in [None, Some(at("2026-11-19T10:00:00Z"))] {
            let finding = checked(UNDATED, config(Some(created)), signed);
            let text = finding.reasons.first().map(|reason| reason.text.as_str());
            assert_eq!(text, expected, "{created}");
        }
    }
}

#[test]
fn a_date_that_is_to_come_is_looked_at_again_once_it_may_be_right() {
    let finding = checked("maxImageAge: 180d", config(Some("2026-11-25T10:00:00Z")), None);
    assert_eq!(finding.until, Some(at("2026-11-24T10:00:00Z")));
}

#[test]
fn a_proof_of_a_time_that_cannot_be_is_none() {
    for (time, expected) in [
        ("1970-01-01T00:00:00Z", false),
        ("2009-12-31T23:59:59Z", false),
        ("2010-01-01T00:00:00Z", true),
        (NOW, true),
        ("2026-11-21T10:00:00Z", true),
        ("2026-11-21T10:00:01Z", false),
    ] {
        assert_eq!(is_plausible(at(time), at(NOW)), expected, "{time}");
    }
}

#[test]
fn what_cannot_be_read_has_no_date_whatever_is_allowed_for_the_undated() {
    for (config, text) in [
        (ConfigOf::Absent, "its configuration is not there upstream, so it has no date"),
        (
            ConfigOf::Unreadable("is torn".to_owned()),
            "its configuration cannot be read, so it has no date",
        ),
    ] {
        let finding = checked("maxImageAge: 180d, undated: allow", config, Some(at(NOW)));
        assert_eq!(finding.reasons[0].code, ReasonCode::ConfigUnreadable, "it may come later");
        assert_eq!(finding.reasons[0].text, text);
    }
    assert!(checked("maxImageAge: 180d, undated: allow", ConfigOf::NoImage, None).denies());
    let allowed = "maxImageAge: 180d, notApplicable: allow";
    assert!(!checked(allowed, ConfigOf::NoImage, None).denies());
}

#[test]
fn what_nothing_dates_may_be_dated_by_a_signature_where_the_rule_asks_for_one() {
    let pen = Pen::new();
    let subject = subject("up.test/a");
    let undated = with_configs(facts(), vec![(subject.digest, config(None))]);
    let undated = signed(&[&pen], undated);
    for (asks, expected) in [("", false), (", signatures: {atLeast: 1, of: [team]}", true)] {
        let policy = policy(&format!(
            "signers: {{team: {{key: {{pem: \"{}\"}}, transparencyLog: none}}}}\ngates: {{fresh: \
             {{maxImageAge: 30d}}}}\nrules: [{{id: r, match: [\"up.test/**\"], trust: allow, \
             gates: [fresh]{asks}}}]\n",
            pen.pem()
        ));
        let judgement = decided(decide(&subject, &undated, &context(&policy)));
        assert_eq!(codes(&judgement), [ReasonCode::Undated]);
        assert_eq!(judgement.rests_on_absence(), expected, "{asks}");
        let remedy = &judgement.reasons()[0].remedy;
        assert_eq!(remedy.contains("A signature that proves a time"), expected, "{remedy}");
    }
}

#[test]
fn each_image_of_an_index_is_no_younger_than_its_own_signature() {
    let subject = subject("up.test/a");
    let (amd, arm) = (Digest::sha256(b"amd64"), Digest::sha256(b"arm64"));
    let listed =
        |digest, platform: &str| ChildImage { digest, platform: Some(platform.parse().unwrap()) };
    let images = Some(vec![listed(amd, "linux/amd64"), listed(arm, "linux/arm64")]);
    let facts = ManifestFacts { is_index: true, images, ..facts() };
    let configs = vec![(amd, config(Some(NOW))), (arm, config(Some(NOW)))];
    let evidence = with_configs(facts, configs);
    let policy = with_gate("maxImageAge: 30d", "");
    let images_existed_at = BTreeMap::from([(arm, at("2025-11-20T10:00:00Z"))]);
    let found = Found { certain: false, existed_at: None, images_existed_at };
    let demands = Demands::new(policy.rules().first(), Vec::new());
    let checked = check(&subject, &evidence, &context(&policy), &demands, &found);
    let Checked::Finding(finding) = checked else { panic!("no finding") };
    let texts: Vec<&str> = finding.reasons.iter().map(|reason| reason.text.as_str()).collect();
    assert_eq!(texts, ["linux/arm64: signed 2025-11-20, more than 30 days ago"]);
}

#[test]
fn what_was_admitted_once_waits_no_more() {
    let policy = with_gate("minObservedAge: 72h", "");
    let context = Context { waited: true, ..context(&policy) };
    let judgement = decided(decide(&subject("up.test/a"), &evidence(facts()), &context));
    assert!(judgement.admits());
    assert_eq!(judgement.good_until, None);
}

#[test]
fn whoever_shortens_a_wait_is_not_asked_for_again() {
    let (team, other) = (Pen::new(), Pen::new());
    let key = |pen: &Pen| format!("{{key: {{pem: \"{}\"}}, transparencyLog: none}}", pen.pem());
    let policy = policy(&format!(
        "signers: {{team: {}, other: {}}}\ngates: {{fresh: {{minObservedAge: 72h, fastTrack: {{signers: \
         [team]}}}}}}\nrules: [{{id: r, match: [\"up.test/**\"], trust: allow, gates: [fresh]}}]\n",
        key(&team),
        key(&other)
    ));
    let tag: Tag = "1".parse().unwrap();
    let old = Digest::sha256(b"old");
    for (pen, expected) in [(&team, vec![]), (&other, vec![ReasonCode::SignerChanged])] {
        let search = SignatureSearch {
            found: vec![pen.sign("up.test/a", &old)],
            ..SignatureSearch::default()
        };
        let before = Evidence { signatures: Gathered::Found(search), ..evidence(facts()) };
        let line = [Predecessor { tag: &tag, digest: old, evidence: &before, at: [at(NOW); 2] }];
        let first_seen = Some(at("2026-11-01T00:00:00Z"));
        let context = Context { before: &line, first_seen, ..context(&policy) };
        let judgement = decided(decide(&subject("up.test/a"), &evidence(facts()), &context));
        assert_eq!(codes(&judgement), expected);
    }
}

#[test]
fn a_verdict_ends_with_the_first_image_that_grows_too_old() {
    let subject = subject("up.test/a");
    let (amd, arm) = (Digest::sha256(b"amd64"), Digest::sha256(b"arm64"));
    let listed =
        |digest, platform: &str| ChildImage { digest, platform: Some(platform.parse().unwrap()) };
    let images = Some(vec![listed(amd, "linux/amd64"), listed(arm, "linux/arm64")]);
    let facts = || ManifestFacts { is_index: true, images: images.clone(), ..facts() };
    let policy = with_gate("maxImageAge: 30d", "");
    let judged = |of_arm: &str| {
        let configs =
            vec![(amd, config(Some("2026-11-10T00:00:00Z"))), (arm, config(Some(of_arm)))];
        decided(decide(&subject, &with_configs(facts(), configs), &context(&policy)))
    };
    let judgement = judged("2026-11-01T00:00:00Z");
    assert!(judgement.admits());
    assert_eq!(judgement.good_until, Some(at("2026-12-01T00:00:00Z")));
    let judgement = judged("2026-10-01T00:00:00Z");
    let expected = "linux/arm64: built 2026-10-01, more than 30 days ago";
    assert_eq!(judgement.reasons()[0].text, expected);
    assert_eq!(codes(&judgement), [ReasonCode::TooOld]);
    assert!(!judgement.rests_on_absence());
    // One of them was not asked for when the others were.
    let some = with_configs(facts(), vec![(amd, config(Some(NOW)))]);
    let missing = Outcome::Missing(vec![EvidenceKind::Configs]);
    assert_eq!(decide(&subject, &some, &context(&policy)), missing);
}

#[test]
fn what_an_earlier_version_read_is_read_again_only_for_what_it_did_not_keep() {
    let subject = subject("up.test/a");
    let new = with_configs(facts(), vec![(subject.digest, config(Some(NOW)))]);
    let read = new.configs.found().unwrap().clone();
    let old = ImageConfigs { read_by: ImageConfig::READS_CONTAINER, ..read };
    let old = Evidence { configs: Gathered::Found(old), ..new };
    let by_age = with_gate("maxImageAge: 30d", "");
    let missing = Outcome::Missing(vec![EvidenceKind::Configs]);
    assert_eq!(decide(&subject, &old, &context(&by_age)), missing);
    let by_ports = with_gate("exposedPorts: {deny: [22]}", "");
    assert!(decided(decide(&subject, &old, &context(&by_ports))).admits());
}

#[test]
fn what_is_no_image_has_no_date() {
    let subject = subject("up.test/a");
    let chart = ManifestFacts { artifact_type: Some("application/x.chart".to_owned()), ..facts() };
    for (gate, expected) in [
        ("maxImageAge: 30d", vec![ReasonCode::Undated]),
        ("maxImageAge: 30d, notApplicable: allow", vec![]),
        ("minObservedAge: 1h", vec![ReasonCode::CoolingDown]),
    ] {
        let policy = with_gate(gate, "");
        let judgement = decided(decide(&subject, &evidence(chart.clone()), &context(&policy)));
        assert_eq!(codes(&judgement), expected, "{gate}");
    }
}

#[test]
fn a_digest_is_served_once_it_has_been_known_for_long_enough() {
    let subject = subject("up.test/a");
    let policy = with_gate("minObservedAge: 72h", "");
    let judged = |first_seen: Option<&str>| {
        let context = Context { first_seen: first_seen.map(at), ..context(&policy) };
        decided(decide(&subject, &evidence(facts()), &context))
    };
    for (seen, since, from) in [
        (None, "2026-11-20T10:00Z", "2026-11-23T10:01Z"),
        (Some(NOW), "2026-11-20T10:00Z", "2026-11-23T10:01Z"),
        (Some("2026-11-18T10:00:30Z"), "2026-11-18T10:00Z", "2026-11-21T10:01Z"),
        (Some("2026-11-17T10:00:00.001Z"), "2026-11-17T10:00Z", "2026-11-20T10:01Z"),
        // A clock that was ahead when it was first seen shortens nothing.
        (Some("2027-01-01T00:00:00Z"), "2027-01-01T00:00Z", "2027-01-04T00:01Z"),
    ] {
        let judgement = judged(seen);
        let expected = format!("cooling down until {from}, here since {since}");
        assert_eq!(judgement.reasons()[0].text, expected, "{seen:?}");
        assert_eq!(codes(&judgement), [ReasonCode::CoolingDown]);
        let seen = seen.map_or(at(NOW), at);
        assert_eq!(judgement.good_until, Some(seen.after(Duration::from_hours(72))));
        assert!(!judgement.rests_on_absence(), "nothing upstream changes that");
    }
    let judgement = judged(Some("2026-11-17T10:00:00Z"));
    assert!(judgement.admits());
    assert_eq!(judgement.good_until, None);
    let check = judgement.checks.iter().find(|check| check.name == NAME).unwrap();
    assert_eq!(check.text, "here since 2026-11-17T10:00Z");
}

/// A policy with a fast track for `team`, where `other` signs, too; its rule scans.
fn tracked(team: &Pen, other: &Pen, when: &str) -> ReadyPolicy {
    let key = |pen: &Pen| format!("{{key: {{pem: \"{}\"}}, transparencyLog: none}}", pen.pem());
    let signers = format!("signers: {{team: {}, other: {}}}", key(team), key(other));
    let gate = format!("minObservedAge: 72h, fastTrack: {{signers: [team]{when}}}");
    policy(&format!(
        "{signers}\ngates: {{fresh: {{{gate}}}, scanned: {{deny: [{{severity: critical, \
         olderThan: 900d}}]}}}}\nrules: [{{id: r, match: [\"up.test/**\"], trust: allow, \
         signerChange: allow, gates: [fresh, scanned]}}]\n"
    ))
}

fn signed(by: &[&Pen], evidence: Evidence) -> Evidence {
    let digest = subject("up.test/a").digest;
    let found = by.iter().map(|pen| pen.sign("up.test/a", &digest)).collect();
    let search = SignatureSearch { found, ..SignatureSearch::default() };
    Evidence { signatures: Gathered::Found(search), ..evidence }
}

fn judged_with(policy: &ReadyPolicy, evidence: &Evidence, scans: &Scans) -> Judgement {
    decided(decide(&subject("up.test/a"), evidence, &Context { scans, ..context(policy) }))
}

#[test]
fn whoever_the_gate_names_shortens_the_wait_by_signing_the_digest() {
    let (team, other) = (Pen::new(), Pen::new());
    let policy = tracked(&team, &other, "");
    let digest = subject("up.test/a").digest;
    let scans = scans(vec![("i", Inventory::default(), report(Vec::new()))]);
    let scanned = || scanned(&[(digest, "i")]);
    for (by, admits) in
        [(&[][..], false), (&[&other], false), (&[&team], true), (&[&other, &team], true)]
    {
        let judgement = judged_with(&policy, &signed(by, scanned()), &scans);
        assert_eq!(judgement.admits(), admits, "{}", by.len());
        if !admits {
            assert_eq!(codes(&judgement), [ReasonCode::CoolingDown]);
            assert!(judgement.rests_on_absence(), "it may be signed in a minute");
            let remedy = &judgement.reasons()[0].remedy;
            assert!(
                remedy.contains("sooner if signed by team (gates.fresh.fastTrack)"),
                "{remedy}"
            );
        }
    }
    // One that could not be looked for shortens nothing, and leaves nothing open.
    let failed = Gathered::Failed("upstream is away".to_owned());
    let unknown = Evidence { signatures: failed, ..scanned() };
    assert_eq!(codes(&judged_with(&policy, &unknown, &scans)), [ReasonCode::CoolingDown]);
    let unasked = Evidence { signatures: Gathered::NotGathered, ..scanned() };
    let asked =
        decide(&subject("up.test/a"), &unasked, &Context { scans: &scans, ..context(&policy) });
    assert_eq!(asked, Outcome::Missing(vec![EvidenceKind::Signatures]));
}

#[test]
fn what_is_fixed_is_told_by_what_the_tag_stood_for_before() {
    let (team, other) = (Pen::new(), Pen::new());
    let policy = tracked(&team, &other, ", when: fixes-critical");
    let digest = subject("up.test/a").digest;
    let critical = |id: &str| finding(id, Some(Severity::Critical));
    let high = |id: &str| finding(id, Some(Severity::High));
    let malware = |id: &str| Known { malware: true, ..finding(id, None) };
    let headers = |id: &str| Known { kernel_headers: true, ..critical(id) };
    let tag: Tag = "1".parse().unwrap();
    let none = "it ended a critical finding of what its tag stood for before";
    for (then, now, expected) in [
        (vec![critical("CVE-1")], vec![], Ok("ends CVE-1 openssl")),
        (vec![critical("CVE-1"), high("CVE-2")], vec![high("CVE-3")], Ok("ends CVE-1 openssl")),
        (vec![malware("MAL-1")], vec![], Ok("ends MAL-1 openssl")),
        (vec![critical("CVE-1")], vec![critical("CVE-1")], Err(none)),
        (vec![], vec![], Err(none)),
        (vec![high("CVE-1")], vec![], Err(none)),
        (vec![headers("CVE-1")], vec![], Err(none)),
        (vec![finding("CVE-1", None)], vec![], Err(none)),
        (
            vec![critical("CVE-1")],
            vec![critical("CVE-2")],
            Err("it brought no critical finding of its own, as CVE-2 openssl"),
        ),
    ] {
        let mut scans = scans(vec![("i", Inventory::default(), report(now))]);
        scans.before.insert(Digest::sha256(b"before"), Arc::new(report(then)));
        let before = scanned(&[(Digest::sha256(b"old"), "before")]);
        let line = [Predecessor {
            tag: &tag,
            digest: Digest::sha256(b"old"),
            evidence: &before,
            at: [at(NOW); 2],
        }];
        let evidence = signed(&[&team], scanned(&[(digest, "i")]));
        let context = Context { scans: &scans, before: &line, ..context(&policy) };
        let judgement = decided(decide(&subject("up.test/a"), &evidence, &context));
        let check = judgement.checks.iter().find(|check| check.name == NAME).unwrap();
        match expected {
            Ok(text) => assert!(check.text.ends_with(text), "{check:?}"),
            Err(text) => {
                let reasons = judgement.reasons();
                let told = reasons.iter().any(|reason| reason.remedy.contains(text));
                assert!(told, "{text}: {reasons:?}");
            }
        }
        assert_eq!(check.state == CheckState::Pass, expected.is_ok());
        // Without a signature, and without anything to compare with, nothing is fixed.
        let unsigned = signed(&[&other], evidence.clone());
        let judgement = decided(decide(&subject("up.test/a"), &unsigned, &context));
        assert!(codes(&judgement).contains(&ReasonCode::CoolingDown));
        let lost = Scans { before: BTreeMap::new(), ..scans.clone() };
        let context = Context { scans: &lost, ..context };
        let judgement = decided(decide(&subject("up.test/a"), &evidence, &context));
        assert!(codes(&judgement).contains(&ReasonCode::CoolingDown));
    }
}

#[test]
fn what_is_refused_anyway_is_not_looked_at() {
    let subject = subject("up.test/a");
    let policy = with_gate("maxImageAge: 30d, minObservedAge: 72h", "");
    let revoked = crate::gate::tests::revoked();
    let context = Context { standing: Some(&revoked), ..context(&policy) };
    let judgement = decided(decide(&subject, &evidence(facts()), &context));
    assert_eq!(codes(&judgement), [ReasonCode::Revoked]);
    let check = judgement.checks.iter().find(|check| check.name == NAME).unwrap();
    assert_eq!(check.state, CheckState::NotLooked);
}
