//! What gates say of time.

use std::path::Path;
use std::time::Duration;

use super::super::super::fresh::{FastTrack, FastTrackWhen, FreshGate};
use super::super::super::{Answer, Policy, Rating};

const HEAD: &str = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n";

/// The part about time of a gate, in a policy with the signers `team` and `other`.
fn gate(text: &str, rest: &str) -> Result<FreshGate, String> {
    let key =
        |of: &str| format!("\"-----BEGIN PUBLIC KEY-----\\n{of}\\n-----END PUBLIC KEY-----\"");
    let signer = |of: &str| format!("{{key: {{pem: {}}}, transparencyLog: none}}", key(of));
    let signers =
        format!("signers: {{team: {}, other: {}}}\n", signer("dGVhbQ=="), signer("b3RoZXJz"));
    let rules = "rules: [{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}]\n";
    let no_files = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let text = format!("{HEAD}{signers}gates: {{strict: {{{text}}}}}\n{rest}{rules}");
    let policy = Policy::parse(&text, &no_files).map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    let rule = &policy.rules()[0];
    assert!(rule.alone().configured.is_empty(), "it is about time alone");
    Ok(rule.alone().fresh[0].as_ref().clone())
}

/// The beginning of a fast track.
const TRACK: &str = "minObservedAge: 72h, fastTrack: {signers: [team, other]";

#[test]
fn a_gate_may_be_about_time_alone_or_beside_a_scan() {
    let plain = FreshGate {
        overlay: None,
        name: "strict".to_owned(),
        observed_age_min: Some(Duration::from_hours(72)),
        image_age_max: None,
        undated: Answer::Deny,
        not_applicable: Answer::Deny,
        fast_track: None,
    };
    assert_eq!(gate("minObservedAge: 72h", "").unwrap(), plain);
    let dated = gate("maxImageAge: 180d, undated: allow, notApplicable: allow", "").unwrap();
    let expected = FreshGate {
        observed_age_min: None,
        image_age_max: Some(Duration::from_hours(180 * 24)),
        undated: Answer::Allow,
        not_applicable: Answer::Allow,
        ..plain.clone()
    };
    assert_eq!(dated, expected);
    let track =
        |when| Some(FastTrack { signers: vec!["team".to_owned(), "other".to_owned()], when });
    let signed = gate(&format!("{TRACK}}}"), "").unwrap();
    assert_eq!(signed.fast_track, track(FastTrackWhen::Signed));
    for (word, rating) in [("fixes-critical", Rating::Critical), ("fixes-high", Rating::High)] {
        let scans = "deny: [{severity: critical}]";
        let fixes = gate(&format!("{TRACK}, when: {word}}}, {scans}"), "").unwrap();
        assert_eq!(fixes.fast_track, track(FastTrackWhen::Fixes(rating)));
    }
}

#[test]
fn what_is_wrong_with_time_is_named() {
    for (text, expected) in [
        ("minObservedAge: 72", "gates.strict.minObservedAge  must be a time like 12h or 7d"),
        ("minObservedAge: 0h", "gates.strict.minObservedAge  must be a time like 12h or 7d"),
        ("maxImageAge: 1y", "gates.strict.maxImageAge  must be a time like 12h or 7d"),
        ("maxImageAge: -1d", "gates.strict.maxImageAge  must be a time like 12h or 7d"),
        ("undated: allow", "gates.strict.undated  has no effect without maxImageAge"),
        (
            "minObservedAge: 1h, undated: allow",
            "gates.strict.undated  has no effect without maxImageAge",
        ),
        (
            "maxImageAge: 1d, fastTrack: {signers: [team]}",
            "gates.strict.fastTrack  has no effect without minObservedAge",
        ),
        ("maxImageAge: 1d, undated: maybe", "gates.strict.undated  \"maybe\" is not one of"),
        ("minObservedAge: 1h, fastTrack: {}", "gates.strict.fastTrack.signers  is missing"),
        ("minObservedAge: 1h, fastTrack: [team]", "gates.strict.fastTrack  must be a map"),
        (
            "minObservedAge: 1h, fastTrack: {signers: [nobody]}",
            "gates.strict.fastTrack.signers[0]  \"nobody\" is not among the signers",
        ),
        (
            "minObservedAge: 1h, fastTrack: {signers: [team, team]}",
            "gates.strict.fastTrack.signers[1]  \"team\" is listed twice",
        ),
        (
            "minObservedAge: 1h, fastTrack: {signers: [team], when: urgent}",
            "gates.strict.fastTrack.when  \"urgent\" is not one of: signed, fixes-critical",
        ),
        (
            "minObservedAge: 1h, fastTrack: {signers: [team], reason: x}",
            "gates.strict.fastTrack.reason  unknown key",
        ),
        (
            "minObservedAge: 1h, fastTrack: {signers: [team], when: fixes-critical}",
            "rules[0].gates  \"strict\" asks what is fixed, and no gate here asks",
        ),
        (
            "minObservedAge: 1h, deny: [{severity: low}], scanner: {all: [trivy]}, fastTrack: \
             {signers: [team], when: fixes-high}",
            "rules[0].gates  \"strict\" asks what is fixed, and no gate here asks",
        ),
        (
            "minObservedAge: 1h, notApplicable: allow",
            "gates.strict.notApplicable  has no effect: whatever it is, it waits",
        ),
    ] {
        let problems = gate(text, "").unwrap_err();
        assert!(problems.contains(expected), "{text}: {problems}");
        assert!(!problems.contains("is not among the gates"), "{text}: {problems}");
    }
}
