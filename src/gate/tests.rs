//! What is admitted, what is not, and in which words.

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::oci::{Digest, MediaType};
use crate::policy::Policy;
use crate::signature::{FoundSignature, Material, SimpleSigningProof};

static NO_CONTENTS: BTreeMap<Digest, Bytes> = BTreeMap::new();
static NONE_UNSEEN: BTreeMap<String, Timestamp> = BTreeMap::new();
static NO_SCANS: Scans = Scans {
    no_database: None,
    reading: None,
    known: BTreeMap::new(),
    before: BTreeMap::new(),
    others: BTreeMap::new(),
    bills: None,
};
pub(super) const NOW: &str = "2026-11-20T10:00:00Z";

pub(super) fn policy(rest: &str) -> ReadyPolicy {
    ReadyPolicy::new(parsed(rest)).unwrap()
}

fn parsed(rest: &str) -> Policy {
    let head = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n";
    let no_files = |_: &std::path::Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    Policy::parse(&format!("{head}{rest}"), &no_files).unwrap()
}

pub(super) fn subject(name: &str) -> Subject {
    Subject { name: name.parse().unwrap(), digest: Digest::sha256(b"subject") }
}

pub(super) fn facts() -> ManifestFacts {
    ManifestFacts {
        media_type: MediaType::new(MediaType::OCI_MANIFEST),
        size: 500,
        artifact_type: None,
        is_index: false,
        platforms: vec!["linux/amd64".parse().unwrap()],
        children: Vec::new(),
        images: None,
        layers: 3,
        image_bytes: 1 << 20,
        foreign_layer: None,
        malformed: None,
    }
}

pub(super) fn evidence(facts: ManifestFacts) -> Evidence {
    let signatures = Gathered::Found(SignatureSearch {
        looked_for: vec!["tag sha256-x.sig".to_owned()],
        ..SignatureSearch::default()
    });
    Evidence { manifest: Gathered::Found(facts), signatures, ..Evidence::default() }
}

pub(super) fn context(policy: &ReadyPolicy) -> Context<'_> {
    Context {
        unseen: &NONE_UNSEEN,
        first_seen: None,
        emergency: None,
        waited: false,
        policy,
        tags: &[],
        standing: None,
        elsewhere: &[],
        address: None,
        now: NOW.parse().unwrap(),
        before: &[],
        line: &[],
        contents: &NO_CONTENTS,
        scans: &NO_SCANS,
        passed: None,
        silenced: &[],
        granted: &[],
    }
}

fn approved(expires: Option<&str>) -> Standing {
    Standing::Approved {
        by: "alice".to_owned(),
        at: "2026-11-01T00:00:00Z".parse().unwrap(),
        expires: expires.map(|expires| expires.parse().unwrap()),
        reason: "reviewed".to_owned(),
        voters: Vec::new(),
        seen: None,
        files: Vec::new(),
    }
}

pub(super) fn revoked() -> Standing {
    Standing::Revoked {
        by: "bob".to_owned(),
        at: NOW.parse().unwrap(),
        reason: "key of vendor compromised".to_owned(),
    }
}

#[track_caller]
pub(super) fn decided(outcome: Outcome) -> Judgement {
    match outcome {
        Outcome::Decided(judgement) => judgement,
        other => panic!("not decided: {other:?}"),
    }
}

pub(super) fn codes(judgement: &Judgement) -> Vec<ReasonCode> {
    judgement.reasons().iter().map(|reason| reason.code).collect()
}

const RULES: &str = r#"
floor: {registries: [up.test], platforms: [linux/amd64], limits: {layers: 10, imageBytes: 1GiB}}
rules:
- {id: open, match: ["up.test/open/**"], trust: allow}
- {id: asked, match: ["up.test/asked/**"], trust: approve}
- {id: shut, match: ["up.test/shut/**"], trust: deny}
- {id: charts, match: {images: ["up.test/charts/*"], artifact: [chart]}, trust: allow}
- {id: tagged, match: ["up.test/tagged/*"], tags: {semver: ">=1, <2"}, trust: allow}
- {id: watched, match: ["up.test/watched/*"], trust: deny, mode: audit}
"#;

pub(super) struct Pen(EcdsaKeyPair);

impl Pen {
    pub(super) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        // The header of an SPKI with an uncompressed P-256 point (RFC 5480).
        let header = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
        let spki = [header.as_slice(), self.0.public_key().as_ref()].concat();
        let body = STANDARD.encode(spki);
        format!("-----BEGIN PUBLIC KEY-----\\n{body}\\n-----END PUBLIC KEY-----\\n")
    }

    pub(super) fn sign_bytes(&self, bytes: &[u8]) -> String {
        STANDARD.encode(self.0.sign(&SystemRandom::new(), bytes).unwrap())
    }

    pub(super) fn sign(&self, name: &str, digest: &Digest) -> FoundSignature {
        let payload = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{name}"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        let signature = self.0.sign(&SystemRandom::new(), payload.as_bytes()).unwrap();
        FoundSignature {
            source: Digest::sha256(b"source"),
            material: Material::SimpleSigning {
                payload: STANDARD.encode(payload),
                signature: STANDARD.encode(signature),
                proof: SimpleSigningProof::default(),
            },
        }
    }
}

fn signed_policy(pens: &[(&str, &Pen)], at_least: usize) -> ReadyPolicy {
    let names = pens.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    asking(pens, &format!("{{atLeast: {at_least}, of: [{names}]}}"))
}

/// A policy with those signers that asks for `signatures`.
fn asking(pens: &[(&str, &Pen)], signatures: &str) -> ReadyPolicy {
    asking_on(pens, signatures, "{}")
}

/// The same above `floor`.
pub(super) fn asking_on(pens: &[(&str, &Pen)], signatures: &str, floor: &str) -> ReadyPolicy {
    let signer = |(name, pen): &(&str, &Pen)| {
        format!("  {name}: {{key: {{pem: \"{}\"}}, transparencyLog: none}}\n", pen.pem())
    };
    let signers = pens.iter().map(signer).collect::<Vec<_>>().concat();
    policy(&format!(
        "signers:\n{signers}floor: {floor}\nrules: [{{id: signed, match: [\"up.test/a\"], trust: allow, signatures: {signatures}}}]\n"
    ))
}

fn with_signatures(found: Vec<FoundSignature>) -> Evidence {
    let search = SignatureSearch { found, ..SignatureSearch::default() };
    Evidence { signatures: Gathered::Found(search), ..evidence(facts()) }
}

#[test]
fn each_rule_gives_its_verdict() {
    let policy = policy(RULES);
    for (name, expected) in [
        ("up.test/open/a", vec![]),
        ("up.test/asked/a", vec![ReasonCode::ApprovalNeeded]),
        ("up.test/shut/a", vec![ReasonCode::DeniedByRule]),
        ("up.test/charts/a", vec![ReasonCode::NoRule]),
        ("up.test/tagged/a", vec![ReasonCode::NoRule]),
        ("up.test/none", vec![ReasonCode::NoRule]),
        ("evil.test/open/a", vec![ReasonCode::RegistryNotAllowed]),
    ] {
        let judgement = decided(decide(&subject(name), &evidence(facts()), &context(&policy)));
        assert_eq!(codes(&judgement), expected, "{name}");
        assert_eq!(judgement.admits(), expected.is_empty(), "{name}");
        assert!(judgement.enforced, "{name}");
        let names: Vec<&str> = judgement.checks.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, ["floor", "allowlist", "manifest", "signature", "approval"]);
    }
    let chart = ManifestFacts {
        artifact_type: Some("application/vnd.cncf.helm.config.v1+json".to_owned()),
        platforms: Vec::new(),
        ..facts()
    };
    let charts = subject("up.test/charts/a");
    assert!(decided(decide(&charts, &evidence(chart), &context(&policy))).admits());
    for (tag, expected) in [("v1.5.0", true), ("1.0.0", true), ("2.0.0", false), ("1.0", false)] {
        let tags = [tag.parse().unwrap(), "other".parse().unwrap()];
        let context = Context { tags: &tags, ..context(&policy) };
        let judgement = decided(decide(&subject("up.test/tagged/a"), &evidence(facts()), &context));
        assert_eq!(judgement.admits(), expected, "{tag}");
    }
}

#[test]
fn an_image_is_no_artifact_and_a_chart_is_one_however_their_types_are_written() {
    let policy = policy(RULES);
    let judge = |name: &str, written: &str, platform: &str| {
        let platforms = vec![platform.parse().unwrap()];
        let artifact_type = Some(written.to_owned());
        let facts = ManifestFacts { artifact_type, platforms, ..facts() };
        codes(&decided(decide(&subject(name), &evidence(facts), &context(&policy))))
    };
    for config in [MediaType::OCI_CONFIG, MediaType::DOCKER_CONFIG] {
        for written in [config.to_owned(), format!("{config}; x=1"), config.to_uppercase()] {
            let windows = judge("up.test/open/a", &written, "windows/amd64");
            assert_eq!(windows, [ReasonCode::PlatformNotAllowed], "{written}");
            assert_eq!(judge("up.test/open/a", &written, "linux/amd64"), [], "{written}");
            let as_chart = judge("up.test/charts/a", &written, "linux/amd64");
            assert_eq!(as_chart, [ReasonCode::NoRule], "{written}");
        }
    }
    let chart = "application/vnd.cncf.helm.config.v1+json";
    for written in [chart.to_owned(), format!("{chart};x=1"), chart.to_uppercase()] {
        assert_eq!(judge("up.test/charts/a", &written, "windows/amd64"), [], "{written}");
    }
    let other = judge("up.test/charts/a", "application/vnd.other+json", "linux/amd64");
    assert_eq!(other, [ReasonCode::NoRule]);
}

#[test]
fn what_the_policy_refuses_outright_needs_no_evidence() {
    let policy = policy(RULES);
    for name in ["up.test/shut/a", "up.test/none", "evil.test/a", "up.test/watched/a"] {
        let judgement = decided(decide(&subject(name), &Evidence::default(), &context(&policy)));
        assert!(matches!(judgement.verdict, Verdict::Deny(_)), "{name}");
        assert_eq!(judgement.enforced, name != "up.test/watched/a");
        let looked = judgement.checks.iter().find(|check| check.name == "manifest").unwrap();
        assert_eq!(looked.state, CheckState::NotLooked, "{name}");
    }
    for name in ["up.test/open/a", "up.test/asked/a", "up.test/charts/a", "up.test/tagged/a"] {
        let outcome = decide(&subject(name), &Evidence::default(), &context(&policy));
        assert_eq!(outcome, Outcome::Missing(vec![EvidenceKind::Manifest]), "{name}");
    }
}

#[test]
fn an_approval_counts_only_where_the_rule_asks_for_one() {
    let policy = policy(RULES);
    let standing = approved(None);
    for (name, admits) in [
        ("up.test/asked/a", true),
        ("up.test/shut/a", false),
        ("up.test/none", false),
        ("evil.test/a", false),
    ] {
        let context = Context { standing: Some(&standing), ..context(&policy) };
        let judgement = decided(decide(&subject(name), &evidence(facts()), &context));
        assert_eq!(judgement.admits(), admits, "{name}");
    }
}

#[test]
fn an_approval_that_ran_out_waits_again() {
    let policy = policy(RULES);
    for (expires, expected) in [
        (Some("2026-11-20T10:00:00.001Z"), vec![]),
        (Some(NOW), vec![ReasonCode::ApprovalExpired]),
        (None, vec![]),
    ] {
        let standing = approved(expires);
        let context = Context { standing: Some(&standing), ..context(&policy) };
        let judgement = decided(decide(&subject("up.test/asked/a"), &evidence(facts()), &context));
        assert_eq!(codes(&judgement), expected, "{expires:?}");
    }
}

#[test]
fn what_people_revoked_is_denied_under_every_rule_and_without_evidence() {
    let policy = policy(RULES);
    let standing = revoked();
    for name in ["up.test/open/a", "up.test/asked/a", "up.test/charts/a"] {
        for evidence in [Evidence::default(), evidence(facts())] {
            let context = Context { standing: Some(&standing), ..context(&policy) };
            let judgement = decided(decide(&subject(name), &evidence, &context));
            assert_eq!(codes(&judgement)[0], ReasonCode::Revoked, "{name}");
            assert!(!judgement.verdict.rests_on_absence());
        }
    }
}

#[test]
fn a_denied_image_is_denied_over_an_approval_and_inside_an_index() {
    let denied = Digest::sha256(b"subject");
    let child = Digest::sha256(b"child");
    let policy = policy(&format!(
        "floor: {{denyImages: [{{digest: \"{denied}\", reason: xz}}, {{digest: \"{child}\", reason: INC-77}}]}}\nrules: [{{id: a, match: [\"**\"], trust: approve, mode: audit}}]\n"
    ));
    let standing = approved(None);
    let context = Context { standing: Some(&standing), ..context(&policy) };
    let judgement = decided(decide(&subject("up.test/a"), &Evidence::default(), &context));
    assert_eq!(codes(&judgement), [ReasonCode::DeniedImage]);
    assert!(judgement.enforced, "no rule loosens the floor");
    let index = Subject { digest: Digest::sha256(b"index"), ..subject("up.test/a") };
    let lists = ManifestFacts { is_index: true, children: vec![child], ..facts() };
    let judgement = decided(decide(&index, &evidence(lists), &context));
    assert_eq!(codes(&judgement), [ReasonCode::DeniedImage]);
    assert!(judgement.reasons()[0].text.ends_with("INC-77"));
}

#[test]
fn every_reason_that_the_evidence_supports_is_listed() {
    let policy = policy(RULES);
    let bad = ManifestFacts {
        foreign_layer: Some(Digest::sha256(b"layer")),
        layers: 11,
        image_bytes: 2 << 30,
        platforms: vec!["windows/amd64".parse().unwrap()],
        ..facts()
    };
    let standing = revoked();
    let context = Context { standing: Some(&standing), ..context(&policy) };
    let judgement = decided(decide(&subject("up.test/asked/a"), &evidence(bad), &context));
    let expected = [
        ReasonCode::Revoked,
        ReasonCode::ForeignLayer,
        ReasonCode::ImageTooLarge,
        ReasonCode::TooManyLayers,
        ReasonCode::PlatformNotAllowed,
    ];
    assert_eq!(codes(&judgement), expected);
    for reason in judgement.reasons() {
        assert!(reason.text.len() <= 80 && reason.remedy.ends_with('.'), "{reason:?}");
    }
}

#[test]
fn malformed_content_is_denied_and_missing_content_may_come() {
    let policy = policy(RULES);
    let malformed = ManifestFacts { malformed: Some("index is ambiguous".into()), ..facts() };
    let schema1 = ManifestFacts {
        media_type: MediaType::new("application/vnd.docker.distribution.manifest.v1+json"),
        malformed: Some("schema 1".into()),
        ..facts()
    };
    for (manifest, expected, may_come) in [
        (Gathered::Found(malformed), ReasonCode::Malformed, false),
        (Gathered::Found(schema1), ReasonCode::Schema1, false),
        (Gathered::Absent, ReasonCode::NotFound, true),
    ] {
        let evidence = Evidence { manifest, ..Evidence::default() };
        let judgement = decided(decide(&subject("up.test/asked/a"), &evidence, &context(&policy)));
        assert_eq!(codes(&judgement), [expected]);
        assert_eq!(judgement.verdict.rests_on_absence(), may_come);
        assert_eq!(judgement.rule.unwrap().as_str(), "asked");
    }
}

#[test]
fn a_search_that_is_not_complete_admits_on_what_it_found_and_denies_nothing() {
    let (pen, stranger) = (Pen::new(), Pen::new());
    let signed = signed_policy(&[("team", &pen)], 1);
    let image = subject("up.test/a");
    let incomplete = |pen: &Pen| {
        let search = SignatureSearch {
            found: vec![pen.sign("up.test/a", &image.digest)],
            incomplete: Some("referrers API: upstream timed out".to_owned()),
            ..SignatureSearch::default()
        };
        Evidence { signatures: Gathered::Found(search), ..evidence(facts()) }
    };
    assert!(decided(decide(&image, &incomplete(&pen), &context(&signed))).admits());
    let outcome = decide(&image, &incomplete(&stranger), &context(&signed));
    assert!(matches!(outcome, Outcome::Undecided(_)), "{outcome:?}");
}

#[test]
fn evidence_that_failed_leaves_the_question_open_unless_something_else_denies() {
    let pen = Pen::new();
    let signed = signed_policy(&[("team", &pen)], 1);
    let failed = || "upstream timed out".to_owned();
    let nothing = Evidence { manifest: Gathered::Failed(failed()), ..Evidence::default() };
    let Outcome::Undecided(reasons) = decide(&subject("up.test/a"), &nothing, &context(&signed))
    else {
        panic!("decided on failed evidence");
    };
    assert_eq!(
        undecided_phrase(&reasons),
        "Could not decide yet: could not get the manifest: upstream timed out, try again shortly"
    );
    let half = Evidence { signatures: Gathered::Failed(failed()), ..evidence(facts()) };
    let outcome = decide(&subject("up.test/a"), &half, &context(&signed));
    assert!(matches!(outcome, Outcome::Undecided(_)), "{outcome:?}");
    let foreign = ManifestFacts { foreign_layer: Some(Digest::sha256(b"x")), ..facts() };
    let half = Evidence { manifest: Gathered::Found(foreign), ..half };
    let judgement = decided(decide(&subject("up.test/a"), &half, &context(&signed)));
    assert_eq!(codes(&judgement), [ReasonCode::ForeignLayer]);
}

#[test]
fn evidence_that_is_needed_is_asked_for_all_at_once() {
    let pen = Pen::new();
    let signed = signed_policy(&[("team", &pen)], 1);
    let outcome = decide(&subject("up.test/a"), &Evidence::default(), &context(&signed));
    let both = vec![EvidenceKind::Manifest, EvidenceKind::Signatures];
    assert_eq!(outcome, Outcome::Missing(both));
    let half = Evidence { signatures: Gathered::NotGathered, ..evidence(facts()) };
    let outcome = decide(&subject("up.test/a"), &half, &context(&signed));
    assert_eq!(outcome, Outcome::Missing(vec![EvidenceKind::Signatures]));
}

#[test]
fn only_the_wanted_signer_on_this_image_in_this_repository_counts() {
    let (pen, other) = (Pen::new(), Pen::new());
    let policy = signed_policy(&[("team", &pen)], 1);
    let subject = subject("up.test/a");
    let cases = [
        (vec![pen.sign("up.test/a", &subject.digest)], None),
        (
            vec![other.sign("up.test/a", &subject.digest), pen.sign("up.test/a", &subject.digest)],
            None,
        ),
        (vec![], Some("not signed by team")),
        (vec![other.sign("up.test/a", &subject.digest)], Some("not signed by team")),
        (
            vec![pen.sign("up.test/b", &subject.digest)],
            Some("not signed by team (signed for another repository (up.test/b))"),
        ),
    ];
    for (found, expected) in cases {
        let judgement = decided(decide(&subject, &with_signatures(found), &context(&policy)));
        assert_eq!(judgement.reasons().first().map(|reason| reason.text.as_str()), expected);
        assert_eq!(judgement.verdict.rests_on_absence(), expected.is_some());
    }
    let elsewhere = with_signatures(vec![pen.sign("up.test/a", &Digest::sha256(b"other"))]);
    let judgement = decided(decide(&subject, &elsewhere, &context(&policy)));
    assert_eq!(codes(&judgement), [ReasonCode::WrongSigner]);
}

#[test]
fn a_quorum_counts_signers_and_not_signatures() {
    let (a, b, c) = (Pen::new(), Pen::new(), Pen::new());
    let policy = signed_policy(&[("a", &a), ("b", &b), ("c", &c)], 2);
    let subject = subject("up.test/a");
    let by = |pen: &Pen| pen.sign("up.test/a", &subject.digest);
    let twice = with_signatures(vec![by(&a), by(&a), by(&a)]);
    let judgement = decided(decide(&subject, &twice, &context(&policy)));
    assert_eq!(judgement.reasons()[0].text, "signed by 1 of 2 needed, not by b, c");
    let two = with_signatures(vec![by(&a), by(&c)]);
    assert!(decided(decide(&subject, &two, &context(&policy))).admits());
    let flood = with_signatures(vec![by(&a); 65]);
    let judgement = decided(decide(&subject, &flood, &context(&policy)));
    assert_eq!(codes(&judgement), [ReasonCode::TooManySignatures]);
}

#[test]
fn every_quorum_must_be_met_and_each_that_is_not_is_named() {
    let pens @ [a, b, c] = &[Pen::new(), Pen::new(), Pen::new()];
    let named = [("a", a), ("b", b), ("c", c)];
    let all = "{all: [{atLeast: 1, of: [a]}, {atLeast: 2, of: [b, c]}]}";
    let policy = asking(&named, all);
    let subject = subject("up.test/a");
    let by = |pen: &Pen| pen.sign("up.test/a", &subject.digest);
    for (signed, expected) in [
        (vec![0, 1, 2], vec![]),
        (vec![1, 2], vec!["not signed by a"]),
        (vec![0, 1], vec!["not signed by c"]),
        (vec![0, 0, 0], vec!["signed by 0 of 2 needed, not by b, c"]),
        (vec![], vec!["not signed by a", "signed by 0 of 2 needed, not by b, c"]),
    ] {
        let found = signed.iter().map(|at| by(&pens[*at])).collect();
        let judgement = decided(decide(&subject, &with_signatures(found), &context(&policy)));
        let texts: Vec<_> = judgement.reasons().iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, expected, "{signed:?}");
        assert_eq!(judgement.admits(), expected.is_empty(), "{signed:?}");
        assert_eq!(judgement.verdict.rests_on_absence(), !expected.is_empty());
    }
    let unsigned = decided(decide(&subject, &evidence(facts()), &context(&policy)));
    let check = unsigned.checks.iter().find(|check| check.name == "signature").unwrap();
    assert_eq!(check.text, "needs 1 of [a] and 2 of [b, c]; no signature found");
    assert_eq!(
        message(&subject.name, &unsigned, None, None),
        "up.test/a is denied by rule signed: not signed by a; signed by 0 of 2 needed, not by b, c. \
         It would have to be signed by a. It would have to be signed by b, c. \
         Looked in tag sha256-x.sig. Ask the admin of this mirror."
    );
}

#[test]
fn one_person_may_count_in_two_quorums_and_only_once_in_each() {
    let (a, b) = (Pen::new(), Pen::new());
    let named = [("a", &a), ("b", &b)];
    let subject = subject("up.test/a");
    let by = |pen: &Pen| pen.sign("up.test/a", &subject.digest);
    let admits = |signatures: &str, found| {
        let policy = asking(&named, signatures);
        decided(decide(&subject, &with_signatures(found), &context(&policy))).admits()
    };
    let one_and_any = "{all: [{atLeast: 1, of: [a]}, {atLeast: 1, of: [a, b]}]}";
    assert!(admits(one_and_any, vec![by(&a)]), "each quorum is judged by itself");
    assert!(!admits(one_and_any, vec![by(&b)]));
    let one_and_both = "{all: [{atLeast: 1, of: [a]}, {atLeast: 2, of: [a, b]}]}";
    assert!(!admits(one_and_both, vec![by(&a), by(&a)]));
    assert!(admits(one_and_both, vec![by(&a), by(&b)]));
}

#[test]
fn a_pem_that_is_no_key_is_found_before_the_policy_is_in_force() {
    let policy = parsed(
        "signers: {x: {key: {pem: \"-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----\"}, transparencyLog: none}}\nrules: [{id: a, match: [\"**\"], trust: allow, signatures: {atLeast: 1, of: [x]}}]\n",
    );
    let problems = ReadyPolicy::new(policy).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().starts_with("line 4:"), "{}", problems[0]);
    assert_eq!(problems[0].key, "signers.x.key.pem");
}

#[test]
fn audit_mode_judges_and_does_not_act() {
    let policy = policy(
        "mode: audit\nrules:\n- {id: shut, match: [\"up.test/shut\"], trust: deny}\n- {id: firm, match: [\"up.test/firm\"], trust: deny, mode: enforce}\n",
    );
    for (name, enforced) in
        [("up.test/shut", false), ("up.test/none", false), ("up.test/firm", true)]
    {
        let judgement = decided(decide(&subject(name), &evidence(facts()), &context(&policy)));
        assert!(!judgement.admits());
        assert_eq!(judgement.enforced, enforced, "{name}");
        let mode = policy.mode_for(&name.parse().unwrap(), NOW.parse().unwrap());
        assert_eq!(mode == crate::policy::Mode::Enforce, enforced, "{name}");
    }
}

#[test]
fn what_is_refused_by_name_is_refused_by_decide_too_and_for_the_same_reason() {
    let policy = policy(&RULES.replace("floor: {", "floor: {forbidTags: [latest], "));
    for name in NAMES {
        let subject = subject(name);
        let by_name = refuse_by_name(&policy, &subject.name, None, NOW.parse().unwrap());
        let whole = decide(&subject, &Evidence::default(), &context(&policy));
        match by_name {
            None => assert!(matches!(whole, Outcome::Missing(_)), "{name}"),
            Some(by_name) => {
                let whole = decided(whole);
                assert_eq!(by_name.verdict, whole.verdict, "{name}");
                assert_eq!((by_name.rule, by_name.enforced), (whole.rule, whole.enforced));
            }
        }
    }
    let open = "up.test/open/a".parse().unwrap();
    let refused =
        refuse_by_name(&policy, &open, Some(&"latest".parse().unwrap()), NOW.parse().unwrap())
            .unwrap();
    assert_eq!(codes(&refused), [ReasonCode::ForbiddenTag]);
    assert!(
        refuse_by_name(&policy, &open, Some(&"1.0".parse().unwrap()), NOW.parse().unwrap())
            .is_none()
    );
}

#[test]
fn a_judgement_survives_being_stored() {
    let policy = policy(RULES);
    let judgement =
        decided(decide(&subject("up.test/asked/a"), &evidence(facts()), &context(&policy)));
    let text = serde_json::to_string(&judgement).unwrap();
    assert!(text.contains(r#""code":"approval-needed""#), "{text}");
    assert_eq!(serde_json::from_str::<Judgement>(&text).unwrap(), judgement);
    let evidence = evidence(facts());
    let text = serde_json::to_string(&evidence).unwrap();
    assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
    let standing = approved(Some(NOW));
    let text = serde_json::to_string(&standing).unwrap();
    assert_eq!(serde_json::from_str::<Standing>(&text).unwrap(), standing);
}

#[test]
fn phrases_say_what_why_and_the_way_on() {
    let policy = policy(RULES);
    let link = Some("https://mirror.corp/r/42");
    let say = |name: &str, standing: Option<&Standing>, link: Option<&str>| {
        let context = Context { standing, ..context(&policy) };
        let judgement = decided(decide(&subject(name), &evidence(facts()), &context));
        phrase(&judgement, Some("R-42"), link)
    };
    let standing = revoked();
    for (found, expected) in [
        (say("up.test/asked/a", None, link), "Pending approval R-42, see https://mirror.corp/r/42"),
        (say("up.test/asked/a", None, None), "Pending approval R-42, run: pratique show R-42"),
        (
            say("up.test/none", None, link),
            "Denied: no rule lists up.test/none, see https://mirror.corp/r/42",
        ),
        (
            say("up.test/open/a", Some(&standing), link),
            "Revoked 2026-11-20: key of vendor compromised, see https://mirror.corp/r/42",
        ),
        (
            say("evil.test/a", None, link),
            "Denied: evil.test is not among the policy's registries, see https://mirror.corp/r/42",
        ),
        (
            say("up.test/shut/a", None, None),
            "Denied by rule shut: nothing of up.test/shut/a is served, run: pratique show R-42",
        ),
        (checking_phrase(Some("R-42")), "Still checking R-42, try again shortly"),
    ] {
        assert_eq!(found, expected);
    }
    let signed = signed_policy(&[("team", &Pen::new())], 1);
    let judgement = decided(decide(&subject("up.test/a"), &evidence(facts()), &context(&signed)));
    assert_eq!(
        phrase(&judgement, Some("R-44"), Some("https://mirror.corp/r/44")),
        "Denied by rule signed: not signed by team, see https://mirror.corp/r/44"
    );
    let image = subject("up.test/a");
    assert_eq!(
        message(&image.name, &judgement, Some("R-44"), None),
        "up.test/a is denied by rule signed: not signed by team. It would have to be signed by team. \
         Looked in tag sha256-x.sig. Request R-44: run pratique show R-44"
    );
}

/// The table of texts that people are promised.
const MESSAGES: &str = include_str!("../../docs/messages.md");

/// Panics unless the table promises `text`, with the status of a refusal.
pub(super) fn assert_promised(text: &str) {
    let row = format!("| 403 | `{text}` |");
    assert!(MESSAGES.contains(&row), "docs/messages.md has no {row}");
}

#[test]
fn the_texts_of_the_documentation_are_those_of_the_gate() {
    let policy = policy(RULES);
    let link = Some("https://mirror.corp/r/42");
    let say = |name: &str, facts: ManifestFacts, standing: Option<&Standing>| {
        let context = Context { standing, ..context(&policy) };
        let judgement = decided(decide(&subject(name), &evidence(facts), &context));
        phrase(&judgement, Some("R-42"), link)
    };
    assert_promised(&say("up.test/asked/a", facts(), None));
    assert_promised(&say("up.test/shut/a", facts(), None));
    assert_promised(&say("up.test/none", facts(), None));
    assert_promised(&say("up.test/open/a", facts(), Some(&revoked())));
    let foreign = ManifestFacts { foreign_layer: Some(Digest::sha256(b"layer")), ..facts() };
    assert_promised(&say("up.test/open/a", foreign, None));
    assert_promised(&checking_phrase(Some("R-42")));
    let signed = signed_policy(&[("team", &Pen::new())], 1);
    let judgement = decided(decide(&subject("up.test/a"), &evidence(facts()), &context(&signed)));
    assert_promised(&phrase(&judgement, Some("R-42"), link));
}

#[test]
fn what_is_long_is_cut_where_it_matters_least() {
    let policy = policy(RULES);
    let link = "https://mirror.corp/r/42";
    let mut judgement =
        decided(decide(&subject("up.test/shut/a"), &evidence(facts()), &context(&policy)));
    let rule = format!("first{}last", "-x".repeat(27));
    judgement.rule = Some(serde_json::from_value(serde_json::json!(rule)).unwrap());
    judgement.owner = Some(Box::new(RuleOwner("group:platform-security".to_owned())));
    let denied =
        |text: &str| Verdict::Deny(vec![checks::reason(ReasonCode::DeniedByRule, text, "Ask.")]);
    // The owner goes before the rule, and the rule before the reason.
    judgement.verdict = denied("no");
    let text = phrase(&judgement, None, Some(link));
    assert_eq!(text, format!("Denied by rule {rule}: no, see {link}"));
    judgement.verdict = denied("CVE-2026-1 in openssl 3.0.11, fixed in 3.0.13");
    let text = phrase(&judgement, None, Some(link));
    let end = "last: CVE-2026-1 in openssl 3.0.11, fixed in 3.0.13, see https://mirror.corp/r/42";
    assert!(text.starts_with("Denied by rule first-x") && text.ends_with(end), "{text}");
    judgement.verdict = denied(&format!("CVE-2026-1 in {}, fixed in 3.0.13", "p".repeat(48)));
    let text = phrase(&judgement, None, Some(link));
    // Which rule it is stays; what is left of the reason after that gives way.
    assert!(
        text.starts_with("Denied by rule first-x") && text.contains("xlast: CVE-2026-1 in"),
        "{text}"
    );
    assert!(text.ends_with(", see https://mirror.corp/r/42"), "{text}");
    assert_eq!(text.len(), PHRASE_LENGTH_MAX);
    // The longest link that is shown, and one that gives way to the request.
    let long = format!("https://{}/r/42", "m".repeat(74 - 13));
    assert!(phrase(&judgement, Some("R-42"), Some(&long)).ends_with(&format!(", see {long}")));
    let longer = format!("{long}2");
    let text = phrase(&judgement, Some("R-42"), Some(&longer));
    assert!(text.ends_with(", run: pratique show R-42") && !text.contains("mmm"), "{text}");
    let text = refused_phrase(&format!("Denied: registry {} is not configured", "r".repeat(255)));
    assert!(text.ends_with("is not configured, ask the admin of this mirror"), "{text}");
    assert_eq!(text.len(), PHRASE_LENGTH_MAX);
}

fn any_standing() -> impl Strategy<Value = Option<Standing>> {
    prop::sample::select(vec![
        None,
        Some(approved(None)),
        Some(approved(Some("2020-01-01T00:00:00Z"))),
        Some(revoked()),
    ])
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    let text = "[ -~\u{e9}\n]{0,100}";
    let manifest = prop_oneof![
        Just(Gathered::NotGathered),
        Just(Gathered::Absent),
        text.prop_map(Gathered::Failed),
        (any::<u64>(), any::<u64>(), prop::option::of(text), prop::option::of(text), any::<bool>())
            .prop_map(|(layers, image_bytes, malformed, artifact_type, foreign)| {
                Gathered::Found(ManifestFacts {
                    layers,
                    image_bytes,
                    malformed,
                    artifact_type,
                    foreign_layer: foreign.then(|| Digest::sha256(b"layer")),
                    ..facts()
                })
            }),
        Just(Gathered::Found(facts())),
    ];
    let junk = text.prop_map(|json| FoundSignature {
        source: Digest::sha256(b"s"),
        material: Material::Bundle { json },
    });
    let signatures = prop_oneof![
        Just(Gathered::NotGathered),
        Just(Gathered::Absent),
        text.prop_map(Gathered::Failed),
        prop::collection::vec(junk, 0..3).prop_map(|found| Gathered::Found(SignatureSearch {
            found,
            ..SignatureSearch::default()
        })),
    ];
    (manifest, signatures).prop_map(|(manifest, signatures)| Evidence {
        manifest,
        signatures,
        ..Evidence::default()
    })
}

const NAMES: [&str; 7] = [
    "up.test/open/a",
    "up.test/asked/a",
    "up.test/shut/a",
    "up.test/charts/a",
    "up.test/tagged/a",
    "up.test/none",
    "evil.test/a",
];

proptest! {
    #[test]
    fn deciding_never_panics_and_what_it_says_fits(
        name in prop::sample::select(NAMES.to_vec()),
        evidence in any_evidence(),
        standing in any_standing(),
        reason in ".{0,200}",
        request in prop::option::of("R-[0-9]{1,20}"),
        link in prop::option::of("https://[a-z.]{1,150}"),
    ) {
        let policy = policy(RULES);
        let standing = standing.map(|standing| match standing {
            Standing::Revoked { by, at, .. } => Standing::Revoked { by, at, reason },
            other => other,
        });
        let context = Context { standing: standing.as_ref(), ..context(&policy) };
        let outcome = decide(&subject(name), &evidence, &context);
        prop_assert_eq!(&outcome, &decide(&subject(name), &evidence, &context));
        let said = match &outcome {
            Outcome::Decided(judgement) => {
                let image = subject(name);
                prop_assert!(message(&image, judgement, request.as_deref(), link.as_deref()).is_ascii());
                prop_assert_eq!(judgement.admits(), judgement.reasons().is_empty());
                phrase(judgement, request.as_deref(), link.as_deref())
            }
            Outcome::Undecided(reasons) => undecided_phrase(reasons),
            Outcome::Missing(kinds) => {
                prop_assert!(!kinds.is_empty());
                String::new()
            }
        };
        prop_assert!(said.len() <= PHRASE_LENGTH_MAX, "{}", said);
        prop_assert!(said.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", said);
        if let Outcome::Decided(judgement) = &outcome && !judgement.admits() {
            let ends = [
                link.map(|link| format!(", see {link}")),
                request.map(|request| format!(", run: pratique show {request}")),
                Some(", ask the admin of this mirror".to_owned()),
            ];
            prop_assert!(ends.iter().flatten().any(|end| said.ends_with(end.as_str())), "{}", said);
        }
    }

    #[test]
    fn nothing_is_admitted_without_a_manifest_or_with_failed_evidence(
        name in prop::sample::select(NAMES.to_vec()),
        evidence in any_evidence(),
        standing in any_standing(),
    ) {
        let policy = policy(RULES);
        let context = Context { standing: standing.as_ref(), ..context(&policy) };
        if let Outcome::Decided(judgement) = decide(&subject(name), &evidence, &context)
            && judgement.admits()
        {
            let facts = evidence.manifest.found();
            prop_assert!(facts.is_some_and(|facts| facts.malformed.is_none()));
            prop_assert!(name.starts_with("up.test/open") || name.starts_with("up.test/asked"));
            let is_approved = matches!(&standing, Some(Standing::Approved { expires: None, .. }));
            prop_assert!(name.starts_with("up.test/open") || is_approved);
        }
    }

    #[test]
    fn a_further_denial_never_admits(
        name in prop::sample::select(NAMES.to_vec()),
        evidence in any_evidence(),
        standing in any_standing(),
    ) {
        let plain = policy(RULES);
        let context = Context { standing: standing.as_ref(), ..context(&plain) };
        let before = decide(&subject(name), &evidence, &context);
        let digest = subject(name).digest;
        let floor = format!("floor: {{denyImages: [{{digest: \"{digest}\", reason: x}}], ");
        let denying = policy(&RULES.replace("floor: {", &floor));
        let after = decide(&subject(name), &evidence, &Context { policy: &denying, ..context });
        prop_assert!(!decided(after).admits());
        let revoked = revoked();
        let after = decide(&subject(name), &evidence, &Context { standing: Some(&revoked), ..context });
        prop_assert!(!decided(after).admits());
        let mut worse = evidence.clone();
        if let Gathered::Found(facts) = &mut worse.manifest {
            facts.foreign_layer = Some(Digest::sha256(b"layer"));
            let was_denied = matches!(&before, Outcome::Decided(judgement) if !judgement.admits());
            let after = decide(&subject(name), &worse, &context);
            prop_assert!(!matches!(&after, Outcome::Decided(judgement) if judgement.admits()));
            prop_assert!(!was_denied || matches!(after, Outcome::Decided(_)));
        }
    }
}
