//! What VEX documents take away, and what they never do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::tests::{codes, decided, found, report, scanned, scans};
use super::*;
use crate::gate::tests::{Pen, context, policy, subject};
use crate::gate::{
    AttestationContents, ChildImage, ChildSignatures, Judgement, Outcome, ReadyPolicy,
    SignatureSearch, decide,
};
use crate::scan::{Finding as Found, Severity};
use crate::signature::{AttestationForm, FoundAttestation, SimpleSigningProof};

const STATEMENT: &str = "application/vnd.in-toto+json";
const OPENVEX: &str = "https://openvex.dev/ns/v0.2.0";
const CVE: &str = "CVE-2026-1";

/// A policy whose gate refuses what is high, with `vex`; the last of `pens` counts until 2027.
fn hearing(pens: &[(&str, &Pen)], vex: &str) -> ReadyPolicy {
    let last = pens.len() - 1;
    let signer = |(at, (name, pen)): (usize, &(&str, &Pen))| {
        let end = if at == last { ", notAfter: 2027-01-01T00:00:00Z" } else { "" };
        format!("  {name}: {{key: {{pem: \"{}\"{end}}}, transparencyLog: none}}\n", pen.pem())
    };
    let signers: String = pens.iter().enumerate().map(signer).collect();
    policy(&format!(
        "signers:\n{signers}gates: {{strict: {{deny: [{{severity: high}}]{vex}}}}}\n\
         rules: [{{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}}]\n"
    ))
}

fn high(id: &str) -> Found {
    found(id, Some(Severity::High))
}

/// A statement about whatever it is attached to.
fn statement(with: &Value) -> Value {
    let mut statement = json!({
        "vulnerability": {"name": CVE}, "status": "not_affected",
        "justification": "vulnerable_code_not_present", "timestamp": "2026-01-01T00:00:00Z",
    });
    for (key, value) in with.as_object().unwrap() {
        statement[key] = value.clone();
    }
    statement
}

fn document(statements: &[Value]) -> Value {
    json!({
        "@context": OPENVEX, "@id": "x", "author": "x", "version": 1,
        "timestamp": "2026-01-01T00:00:00Z", "statements": statements,
    })
}

/// What is known about an image, and what was said about it.
#[derive(Clone)]
struct Known {
    evidence: Evidence,
    contents: BTreeMap<Digest, Bytes>,
    findings: Vec<Found>,
}

impl Known {
    fn with(findings: Vec<Found>) -> Self {
        let digest = subject("up.test/a").digest;
        let attestations = Gathered::Found(AttestationContents::default());
        let evidence = Evidence { attestations, ..scanned(&[(digest, "i")]) };
        Self { evidence, contents: BTreeMap::new(), findings }
    }

    fn attest(mut self, pen: &Pen, about: &Digest, kind: &str, predicate: &Value) -> Self {
        let attestation = self.put(pen, about, kind, predicate);
        let Gathered::Found(search) = &mut self.evidence.signatures else { panic!("a search") };
        search.attestations.push(attestation);
        self
    }

    /// Says `with` about CVE-2026-1 in the image.
    fn say(self, pen: &Pen, with: &Value) -> Self {
        let document = document(&[statement(with)]);
        self.attest(pen, &subject("up.test/a").digest, OPENVEX, &document)
    }

    fn put(&mut self, pen: &Pen, about: &Digest, kind: &str, says: &Value) -> FoundAttestation {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": about.hex()}}],
            "predicateType": kind,
            "predicate": says,
        });
        let statement = statement.to_string();
        let length = statement.len();
        let signed = format!("DSSEv1 {} {STATEMENT} {length} {statement}", STATEMENT.len());
        let envelope = json!({
            "payloadType": STATEMENT,
            "payload": STANDARD.encode(&statement),
            "signatures": [{"sig": pen.sign_bytes(signed.as_bytes())}],
        });
        let bytes = Bytes::from(envelope.to_string());
        let content = Digest::sha256(&bytes);
        let size = u64::try_from(bytes.len()).unwrap();
        self.contents.insert(content, bytes);
        let form = AttestationForm::Envelope { proof: SimpleSigningProof::default() };
        FoundAttestation { source: Digest::sha256(b"source"), content, size, form }
    }

    fn search(&mut self) -> &mut SignatureSearch {
        let Gathered::Found(search) = &mut self.evidence.signatures else { panic!("a search") };
        search
    }

    fn outcome(&self, policy: &ReadyPolicy) -> Outcome {
        self.outcome_after(policy, None)
    }

    /// What is decided when `before` was decided last.
    fn outcome_after(&self, policy: &ReadyPolicy, before: Option<&Judgement>) -> Outcome {
        let scans = scans(vec![("i", Inventory::default(), report(self.findings.clone()))]);
        let context = Context {
            contents: &self.contents,
            scans: &scans,
            passed: before.and_then(|before| before.passed.as_deref()),
            silenced: before.map_or(&[], |before| &before.silenced),
            granted: &[],
            ..context(policy)
        };
        decide(&subject("up.test/a"), &self.evidence, &context)
    }

    #[track_caller]
    fn judged(&self, policy: &ReadyPolicy) -> Judgement {
        decided(self.outcome(policy))
    }
}

fn told(judgement: &Judgement) -> &str {
    &judgement.checks.iter().find(|check| check.name == "scan").unwrap().text
}

const TEAM: &str = ", vex: {from: [team]}";

#[test]
fn a_finding_that_a_named_signer_takes_away_does_not_count_and_is_told() {
    let pen = Pen::new();
    let policy = hearing(&[("team", &pen)], TEAM);
    let known = Known::with(vec![high(CVE), high("CVE-2026-2")]).say(&pen, &json!({}));
    let judgement = known.judged(&policy);
    assert_eq!(codes(&judgement), [ReasonCode::Vulnerable]);
    assert!(judgement.reasons()[0].text.starts_with("CVE-2026-2"), "{judgement:?}");
    assert!(judgement.rests_on_absence(), "another document may appear");
    let known = Known::with(vec![high(CVE)]).say(&pen, &json!({}));
    let judgement = known.judged(&policy);
    assert!(judgement.admits(), "{judgement:?}");
    assert_eq!(told(&judgement), "0 packages, 1 high found, 1 not affected, by team");
    let [silenced] = judgement.silenced.as_slice() else { panic!("{judgement:?}") };
    assert_eq!((silenced.vulnerability.as_str(), silenced.by.as_str()), (CVE, "team"));
    assert_eq!(silenced.why.as_deref(), Some("vulnerable_code_not_present"));
    assert_eq!(judgement.good_until, Some("2027-01-01T00:00:00Z".parse().unwrap()));
    // A gate that hears nobody is not told.
    let deaf = hearing(&[("team", &pen)], "");
    assert_eq!(codes(&known.judged(&deaf)), [ReasonCode::Vulnerable]);
    assert!(!known.judged(&deaf).rests_on_absence());
}

#[test]
fn what_others_signed_or_is_about_others_is_not_used_and_why_is_told() {
    let (pen, stranger) = (Pen::new(), Pen::new());
    let policy = hearing(&[("other", &Pen::new()), ("team", &pen)], TEAM);
    let image = subject("up.test/a").digest;
    let good = document(&[statement(&json!({}))]);
    let known = || Known::with(vec![high(CVE)]);
    let elsewhere = Digest::sha256(b"another image");
    let of_nothing = document(&[statement(&json!({"products": ["pkg:oci/app"]}))]);
    let bill = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"bom-ref": "a", "purl": "pkg:a/b"}],
        "vulnerabilities": [{"id": CVE, "analysis": {"state": "resolved"}, "affects": [{"ref": "a"}]}],
    });
    let cyclonedx = "https://cyclonedx.org/bom/v1.5";
    for (known, why) in [
        (known().say(&stranger, &json!({})), "document was not used: not signed by team"),
        (
            known().attest(&stranger, &image, cyclonedx, &bill),
            "document was not used: not signed by team",
        ),
        (
            known().attest(&pen, &elsewhere, OPENVEX, &good),
            "document was not used: signed for another digest",
        ),
        (
            known().attest(&pen, &image, OPENVEX, &json!({})),
            "document was not used: that of team: it is not well formed",
        ),
        (known().attest(&pen, &image, "https://openvex.dev/nsx", &good), ""),
        (known().attest(&pen, &image, "https://spdx.dev/Document", &good), ""),
        (
            known().attest(
                &stranger,
                &image,
                cyclonedx,
                &json!({"bomFormat": "CycloneDX", "specVersion": "1.5"}),
            ),
            "",
        ),
        (
            known().attest(&pen, &image, OPENVEX, &of_nothing),
            "document was not used: in that of team: statement 1 names an image without its digest",
        ),
        (
            known().say(&pen, &json!({"status": "fine"})),
            "in that of team: statement 1 has no known status: fine",
        ),
        (known().say(&pen, &json!({"vulnerability": "CVE-2026-9"})), ""),
        (known().say(&pen, &json!({"products": ["pkg:deb/debian/curl"]})), ""),
        (known().say(&pen, &json!({"status": "affected"})), ""),
        (known().say(&pen, &json!({"status": "under_investigation"})), ""),
        (
            known().say(&pen, &json!({"justification": null})),
            "statement was not used: CVE-2026-1 not affected, by team, says not why",
        ),
        (
            known().say(&pen, &json!({"timestamp": "2030-01-01T00:00:00Z"})),
            "statement was not used: CVE-2026-1 not affected, by team, is of 2030-01-01T00:00:00Z, which is not yet",
        ),
        (known(), ""),
    ] {
        let judgement = known.judged(&policy);
        assert_eq!(codes(&judgement), [ReasonCode::Vulnerable], "{why}");
        assert!(told(&judgement).contains(why), "{}, not {why}", told(&judgement));
        assert_eq!(told(&judgement).contains("VEX"), !why.is_empty(), "{}", told(&judgement));
        assert_eq!(judgement.silenced, []);
    }
}

#[test]
fn what_nobody_signed_is_not_used() {
    let pen = Pen::new();
    let policy = hearing(&[("team", &pen)], TEAM);
    let known = || Known::with(vec![high(CVE)]);
    let mut unsigned = known().say(&pen, &json!({}));
    let (digest, bytes) = unsigned.contents.pop_first().unwrap();
    let mut envelope: Value = serde_json::from_slice(&bytes).unwrap();
    envelope["signatures"] = json!([]);
    unsigned.contents.insert(digest, Bytes::from(envelope.to_string()));
    let mut changed = unsigned.clone();
    envelope["signatures"] = json!([{"sig": pen.sign_bytes(b"something else")}]);
    changed.contents.insert(digest, Bytes::from(envelope.to_string()));
    for (known, why) in [
        (unsigned, "document was not used: envelope holds 0 signatures, expected exactly one"),
        (changed, "document was not used: not signed by team"),
    ] {
        let judgement = known.judged(&policy);
        assert_eq!(codes(&judgement), [ReasonCode::Vulnerable], "{why}");
        assert!(told(&judgement).contains(why), "{}, not {why}", told(&judgement));
    }
    let mut beside = known();
    let mut referrer = beside_image();
    beside.search().referrers.push(referrer.clone());
    assert!(told(&beside.judged(&policy)).contains("a VEX document was not used: "));
    assert!(told(&beside.judged(&policy)).ends_with(" is not signed"));
    referrer.artifact_type = Some("application/spdx+json".to_owned());
    beside.search().referrers = vec![referrer];
    assert!(!told(&beside.judged(&policy)).contains("VEX"));
}

/// A VEX document that lies beside an image as it is.
fn beside_image() -> crate::oci::Descriptor {
    serde_json::from_value(json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7,
        "digest": Digest::sha256(b"document"), "artifactType": "application/vnd.openvex+json",
    }))
    .unwrap()
}

#[test]
fn the_gate_says_which_words_count_and_whether_they_need_a_reason() {
    let pen = Pen::new();
    let because = json!({"justification": null, "impact_statement": "not built in"});
    let plain = json!({"justification": null});
    let fixed = json!({"status": "fixed", "justification": null});
    for (vex, with, passes) in [
        ("", &because, true),
        ("", &plain, false),
        ("", &fixed, true),
        (", requireJustification: false", &plain, true),
        (", accept: [not_affected]", &because, true),
        (", accept: [not_affected]", &fixed, false),
        (", accept: [fixed]", &fixed, true),
        (", accept: [fixed]", &because, false),
    ] {
        let policy = hearing(&[("team", &pen)], &format!(", vex: {{from: [team]{vex}}}"));
        let judgement = Known::with(vec![high(CVE)]).say(&pen, with).judged(&policy);
        assert_eq!(judgement.admits(), passes, "{vex} {with}: {}", told(&judgement));
        assert_eq!(
            told(&judgement).contains("VEX statement was not used"),
            !passes,
            "{vex} {with}"
        );
    }
}

#[test]
fn the_last_word_of_all_who_are_heard_decides() {
    let pens = [Pen::new(), Pen::new()];
    let signers = [("one", &pens[0]), ("two", &pens[1])];
    let both = hearing(&signers, ", vex: {from: [one, two]}");
    let later = json!({"status": "affected", "timestamp": "2026-02-01T00:00:00Z"});
    let known = Known::with(vec![high(CVE)]).say(&pens[0], &json!({})).say(&pens[1], &later);
    assert_eq!(codes(&known.judged(&both)), [ReasonCode::Vulnerable]);
    // Whoever is not heard takes nothing back.
    let one = hearing(&signers, ", vex: {from: [one]}");
    assert!(known.judged(&one).admits());
    let again = json!({"timestamp": "2026-03-01T00:00:00Z"});
    assert!(known.clone().say(&pens[0], &again).judged(&both).admits());
    // Of two gates each hears its own.
    let two = policy(&format!(
        "signers: {{one: {{key: {{pem: \"{}\"}}, transparencyLog: none}}}}\n\
         gates: {{a: {{deny: [{{severity: high}}], vex: {{from: [one]}}}}, b: {{deny: [{{severity: high}}]}}}}\n\
         rules: [{{id: a, match: [\"up.test/**\"], trust: allow, gates: [a, b]}}]\n",
        pens[0].pem()
    ));
    let judgement = known.judged(&two);
    assert_eq!(codes(&judgement), [ReasonCode::Vulnerable]);
    assert_eq!(judgement.silenced, [], "it counts by the other");
}

#[test]
fn malware_is_malware_whatever_anybody_says() {
    let pen = Pen::new();
    let policy = hearing(&[("team", &pen)], TEAM);
    let malware = Found { malware: true, ..high(CVE) };
    let mut known = Known::with(vec![malware]).say(&pen, &json!({}));
    assert_eq!(codes(&known.judged(&policy)), [ReasonCode::Malware]);
    assert!(!known.judged(&policy).rests_on_absence());
    // Nothing is looked for, either.
    known.evidence.signatures = Gathered::NotGathered;
    assert_eq!(codes(&known.judged(&policy)), [ReasonCode::Malware]);
}

#[test]
fn what_was_not_looked_for_is_asked_for_and_what_could_not_be_had_decides_no_refusal() {
    let pen = Pen::new();
    let policy = hearing(&[("team", &pen)], TEAM);
    let known = Known::with(vec![high(CVE)]).say(&pen, &json!({}));
    let with = |change: fn(&mut Known)| {
        let mut known = known.clone();
        change(&mut known);
        known
    };
    let missing = |kind| Outcome::Missing(vec![kind]);
    for (known, expected) in [
        (with(|it| it.evidence.signatures = Gathered::NotGathered), EvidenceKind::Signatures),
        (with(|it| it.evidence.attestations = Gathered::NotGathered), EvidenceKind::Attestations),
        (with(|it| it.contents.clear()), EvidenceKind::Attestations),
    ] {
        assert_eq!(known.outcome(&policy), missing(expected));
    }
    let why = || "upstream timed out".to_owned();
    let failed = || Gathered::Failed("upstream timed out".to_owned());
    for known in [
        with(|it| it.evidence.signatures = Gathered::Failed("upstream timed out".to_owned())),
        with(|it| it.evidence.attestations = Gathered::Failed("upstream timed out".to_owned())),
    ] {
        let Outcome::Undecided(reasons) = known.outcome(&policy) else { panic!("decided") };
        assert_eq!(reasons[0].text, "could not look for VEX documents: upstream timed out");
        // What nothing speaks against passes all the same.
        assert!(Known { findings: Vec::new(), ..known }.judged(&policy).admits());
    }
    let mut half = known.clone();
    half.search().incomplete = Some(why());
    assert!(half.judged(&policy).admits(), "what is there counts");
    half.search().attestations.clear();
    assert!(matches!(half.outcome(&policy), Outcome::Undecided(_)));
    let mut gone = known.clone();
    let digest = *gone.contents.keys().next().unwrap();
    let unavailable = BTreeMap::from([(digest, "it is not there as listed".to_owned())]);
    gone.evidence.attestations = Gathered::Found(AttestationContents { unavailable });
    assert!(matches!(gone.outcome(&policy), Outcome::Undecided(_)));
    let mut absent = known.clone();
    absent.evidence.signatures = Gathered::Absent;
    assert_eq!(codes(&absent.judged(&policy)), [ReasonCode::Vulnerable]);
    let mut none =
        Known { evidence: Evidence { attestations: failed(), ..known.evidence }, ..known };
    none.search().attestations.clear();
    assert_eq!(codes(&none.judged(&policy)), [ReasonCode::Vulnerable], "there is nothing to fetch");
}

#[test]
fn what_was_taken_away_and_is_not_any_more_is_no_new_finding() {
    let (pen, other) = (Pen::new(), Pen::new());
    let policy = hearing(&[("team", &pen)], TEAM);
    let known = Known::with(vec![high(CVE)]).say(&pen, &json!({}));
    let before = known.judged(&policy);
    assert!(before.admits());
    let after = |known: &Known, policy: &ReadyPolicy, before: &Judgement| {
        decided(known.outcome_after(policy, Some(before)))
    };
    // Found later, it would be served on by the same gates.
    let clean = Known::with(Vec::new()).judged(&policy);
    let found = Known::with(vec![high(CVE)]);
    assert!(after(&found, &policy, &clean).admits());
    // Taken back, it is refused, and so it is when the key of that name is another one.
    assert_eq!(codes(&after(&found, &policy, &before)), [ReasonCode::Vulnerable]);
    let another_key = hearing(&[("team", &other)], TEAM);
    assert_eq!(codes(&after(&known, &another_key, &before)), [ReasonCode::Vulnerable]);
    // A gate that hears somebody else is another gate.
    let pens = [("other", &other), ("team", &pen)];
    let others = hearing(&pens, ", vex: {from: [other]}");
    assert_eq!(codes(&after(&known, &others, &before)), [ReasonCode::Vulnerable]);
    // Where more was taken away than is kept, it may have been any.
    let mut many = clean.clone();
    many.silenced = vec![before.silenced[0].clone(); crate::gate::Silenced::MAX];
    let other = Known::with(vec![high("CVE-2026-7")]);
    assert_eq!(codes(&after(&other, &policy, &many)), [ReasonCode::Vulnerable]);
    assert!(after(&other, &policy, &before).admits(), "this one is new");
}

#[test]
fn of_an_index_what_is_said_of_an_image_is_about_that_image() {
    let pen = Pen::new();
    let policy = hearing(&[("team", &pen)], TEAM);
    let index = subject("up.test/a").digest;
    let [amd, arm] = [Digest::sha256(b"amd"), Digest::sha256(b"arm")];
    let images = [(amd, "linux/amd64"), (arm, "linux/arm64")];
    let mut known = Known::with(Vec::new());
    let Gathered::Found(facts) = &mut known.evidence.manifest else { panic!("facts") };
    facts.is_index = true;
    let child = |(digest, platform): (Digest, &str)| ChildImage {
        digest,
        platform: Some(platform.parse().unwrap()),
    };
    facts.images = Some(images.map(child).to_vec());
    known.evidence.scan = scanned(&[(amd, "amd"), (arm, "arm")]).scan;
    let found = || report(vec![high(CVE)]);
    let scans =
        scans(vec![("amd", Inventory::default(), found()), ("arm", Inventory::default(), found())]);
    let outcome = |known: &Known| {
        let context = Context { contents: &known.contents, scans: &scans, ..context(&policy) };
        decide(&subject("up.test/a"), &known.evidence, &context)
    };
    assert_eq!(outcome(&known), Outcome::Missing(vec![EvidenceKind::ChildSignatures]));
    let searches = |of: &[(Digest, Vec<FoundAttestation>)], keeps_attestations| {
        let search = |attestations: &Vec<_>| SignatureSearch {
            attestations: attestations.clone(),
            ..SignatureSearch::default()
        };
        let searches = of.iter().map(|(image, found)| (*image, search(found))).collect();
        Gathered::Found(ChildSignatures { searches, keeps_attestations })
    };
    let none = [(amd, Vec::new()), (arm, Vec::new())];
    known.evidence.child_signatures = searches(&none, false);
    assert_eq!(outcome(&known), Outcome::Missing(vec![EvidenceKind::ChildSignatures]), "old");
    known.evidence.child_signatures = searches(&none[..1], true);
    assert_eq!(outcome(&known), Outcome::Missing(vec![EvidenceKind::ChildSignatures]), "one");
    known.evidence.child_signatures = searches(&none, true);
    let both = decided(outcome(&known));
    assert_eq!(codes(&both), [ReasonCode::Vulnerable, ReasonCode::Vulnerable]);
    let says = document(&[statement(&json!({}))]);
    // About the index, it is about all its images, unless it names one.
    let of_index = known.clone().attest(&pen, &index, OPENVEX, &says);
    assert!(decided(outcome(&of_index)).admits());
    let product = json!([{"@id": format!("pkg:oci/app@{arm}")}]);
    let one = document(&[statement(&json!({"products": product}))]);
    let of_index = known.clone().attest(&pen, &index, OPENVEX, &one);
    let judgement = decided(outcome(&of_index));
    assert!(judgement.reasons()[0].text.starts_with("linux/amd64: CVE-2026-1"), "{judgement:?}");
    assert_eq!(codes(&judgement), [ReasonCode::Vulnerable]);
    // About one image, it is about no other, and has to be fetched first.
    let attested = known.put(&pen, &arm, OPENVEX, &says);
    known.evidence.child_signatures =
        searches(&[(amd, Vec::new()), (arm, vec![attested.clone()])], true);
    assert_eq!(outcome(&known), Outcome::Missing(vec![EvidenceKind::ChildAttestations]));
    known.evidence.child_attestations = Gathered::Found(AttestationContents::default());
    let judgement = decided(outcome(&known));
    assert_eq!(codes(&judgement), [ReasonCode::Vulnerable]);
    assert_eq!(judgement.silenced[0].image, arm);
    // Beside another image than it is about, it says nothing.
    known.evidence.child_signatures = searches(&[(amd, vec![attested]), (arm, Vec::new())], true);
    let judgement = decided(outcome(&known));
    assert_eq!(codes(&judgement), [ReasonCode::Vulnerable, ReasonCode::Vulnerable]);
    assert!(told(&judgement).contains("signed for another digest"), "{}", told(&judgement));
    known.evidence.child_signatures = Gathered::Failed("upstream timed out".to_owned());
    assert!(matches!(outcome(&known), Outcome::Undecided(_)));
}
