//! Whose bills of materials count, and what is asked for before that is known.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::gate::tests::{NOW, Pen, context, evidence, facts, policy, subject};
use crate::gate::{
    AttestationContents, CheckState, Context, ImageScan, Judgement, Outcome, ScannedImage,
    ScannedImages, Scans, decide,
};
use crate::scan::{DatabaseId, Distribution, PackageKind, Report};
use crate::signature::{AttestationForm, SimpleSigningProof};

const CYCLONEDX: &str = "https://cyclonedx.org/bom";
const STATEMENT: &str = "application/vnd.in-toto+json";

/// A policy whose gate takes bills by `team`; `other` is a signer too.
fn taking(team: &Pen, other: &Pen) -> ReadyPolicy {
    let signer = |name: &str, pen: &Pen, end: &str| {
        format!("  {name}: {{key: {{pem: \"{}\"{end}}}, transparencyLog: none}}\n", pen.pem())
    };
    let signers = signer("team", team, ", notAfter: 2027-01-01T00:00:00Z");
    policy(&format!(
        "signers:\n{signers}{}gates: {{strict: {{deny: [{{severity: high}}], sbom: {{from: [team]}}}}}}\n\
         rules: [{{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}}]\n",
        signer("other", other, "")
    ))
}

fn cyclonedx(urls: &[&str]) -> Value {
    let component = |url: &&str| json!({"type": "library", "name": "x", "purl": url});
    json!({"bomFormat": "CycloneDX", "components": urls.iter().map(component).collect::<Vec<_>>()})
}

/// What lies beside the image, and what is in the store of it.
#[derive(Clone, Default)]
struct Beside {
    attestations: Vec<FoundAttestation>,
    contents: BTreeMap<Digest, Bytes>,
}

impl Beside {
    fn with(mut self, pen: &Pen, about: &Digest, kind: &str, says: &Value) -> Self {
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
        self.attestations.push(FoundAttestation {
            source: Digest::sha256(b"source"),
            content,
            size: u64::try_from(bytes.len()).unwrap(),
            form: AttestationForm::Envelope { proof: SimpleSigningProof::default() },
        });
        self.contents.insert(content, bytes);
        self
    }

    fn evidence(&self) -> Evidence {
        let attestations = self.attestations.clone();
        let search = SignatureSearch { attestations, ..SignatureSearch::default() };
        let image = ScannedImage {
            inventory: Some(Digest::sha256(b"i")),
            unread: Vec::new(),
            is_complete: true,
            read_by: Digest::sha256(b"all"),
            others: BTreeMap::new(),
        };
        let images = BTreeMap::from([(subject("up.test/a").digest, image)]);
        Evidence {
            signatures: Gathered::Found(search),
            attestations: Gathered::Found(AttestationContents::default()),
            scan: Gathered::Found(ScannedImages { images }),
            ..evidence(facts())
        }
    }

    fn bills(&self, policy: &ReadyPolicy) -> Bills {
        let (contents, now) = (&self.contents, NOW.parse().unwrap());
        let limits = Limits { packages: 10, ..Limits::default() };
        let search = BillSearch { policy, tags: &[], contents, now, limits: &limits };
        Bills::of(&subject("up.test/a"), &self.evidence(), &search)
    }

    /// What is decided when the mirror has looked at the bills, and `evidence` is what it knows.
    fn outcome(&self, policy: &ReadyPolicy, evidence: &Evidence) -> Outcome {
        let bills = self.bills(policy);
        let (inventory, attested) = bills.added_to(&debian(), &Limits::default());
        let database = DatabaseId { digest: Digest::sha256(b"db"), as_of: NOW.parse().unwrap() };
        let report = Report {
            database,
            findings: Vec::new(),
            exploited_as_of: None,
            likelihood_as_of: None,
            unmatched: Vec::new(),
            gaps: Vec::new(),
        };
        let scan = ImageScan {
            inventory: Arc::new(inventory),
            report: Arc::new(report),
            attested: Arc::new(attested),
        };
        let known = BTreeMap::from([(Digest::sha256(b"i"), scan)]);
        let scans = Scans { known, bills: Some(Arc::new(bills)), ..Scans::default() };
        let context = Context { contents: &self.contents, scans: &scans, ..context(policy) };
        decide(&subject("up.test/a"), evidence, &context)
    }

    #[track_caller]
    fn judged(&self, policy: &ReadyPolicy) -> Judgement {
        match self.outcome(policy, &self.evidence()) {
            Outcome::Decided(judgement) => judgement,
            other @ (Outcome::Missing(_) | Outcome::Undecided(_)) => panic!("{other:?}"),
        }
    }
}

fn debian() -> Inventory {
    let distribution = Distribution {
        id: "debian".to_owned(),
        version: Some("12".to_owned()),
        ..Distribution::default()
    };
    Inventory { distribution: Some(distribution), ..Inventory::default() }
}

fn text(judgement: &Judgement) -> &str {
    &judgement.checks.iter().find(|check| check.name == "scan").unwrap().text
}

#[test]
fn a_bill_by_whom_the_gate_names_adds_its_packages_and_says_so() {
    let (team, other) = (Pen::new(), Pen::new());
    let policy = taking(&team, &other);
    let digest = subject("up.test/a").digest;
    let says = cyclonedx(&["pkg:deb/debian/openssl@3.0.11-1", "pkg:npm/left-pad@1"]);
    for kind in [CYCLONEDX, "https://cyclonedx.org/bom/v1.6"] {
        let beside = Beside::default().with(&team, &digest, kind, &says);
        let (inventory, attested) = beside.bills(&policy).added_to(&debian(), &Limits::default());
        assert_eq!((inventory.packages.len(), attested.by.len()), (2, 2), "{kind}");
        assert_eq!(inventory.packages[0].kind, PackageKind::Deb);
        assert!(inventory.packages[0].found_in.contains("attestation sha256:"));
        let judgement = beside.judged(&policy);
        assert!(judgement.admits());
        assert_eq!(
            text(&judgement),
            "bills of materials by team (2 packages); 2 packages, nothing found; 2 of them listed \
             by team"
        );
        // Who is believed for a time only makes a verdict for that time.
        assert_eq!(judgement.good_until, Some("2027-01-01T00:00:00Z".parse().unwrap()));
    }
    assert_eq!(
        text(&Beside::default().judged(&policy)),
        "no bill of materials by [team]; 0 packages, nothing found"
    );
}

#[test]
fn what_does_not_count_adds_nothing_and_is_told() {
    let (team, other) = (Pen::new(), Pen::new());
    let policy = taking(&team, &other);
    let digest = subject("up.test/a").digest;
    let says = cyclonedx(&["pkg:npm/left-pad@1"]);
    let elsewhere = Digest::sha256(b"elsewhere");
    let many: Vec<String> = (0..11).map(|number| format!("pkg:npm/a{number}@1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let beside = Beside::default;
    let mut tampered = beside().with(&team, &digest, CYCLONEDX, &says);
    let content = tampered.attestations[0].content;
    let envelope = String::from_utf8(tampered.contents[&content].to_vec()).unwrap();
    let mut envelope: Value = serde_json::from_str(&envelope).unwrap();
    envelope["signatures"][0]["sig"] = json!(team.sign_bytes(b"something else"));
    tampered.contents.insert(content, Bytes::from(envelope.to_string()));
    for (beside, told) in [
        (beside().with(&other, &digest, CYCLONEDX, &says), "1 attestations by others"),
        (beside().with(&Pen::new(), &digest, CYCLONEDX, &says), "1 attestations by others"),
        (beside().with(&team, &elsewhere, CYCLONEDX, &says), "not used: "),
        (tampered, "not used: "),
        (
            beside().with(&team, &digest, CYCLONEDX, &cyclonedx(&many)),
            "lists more than 10 packages",
        ),
        (beside().with(&team, &digest, CYCLONEDX, &json!({})), "the one by team is no CycloneDX"),
        (beside().with(&team, &digest, "https://spdx.dev/Document", &says), "is no SPDX 2 as JSON"),
    ] {
        let bills = beside.bills(&policy);
        assert_eq!((bills.accepted.len(), bills.id()), (0, None), "{bills:?}");
        let judgement = beside.judged(&policy);
        let text = text(&judgement);
        assert!(judgement.admits() && text.contains("0 packages, nothing found"), "{text}");
        assert!(text.contains(told), "{told}: {text}");
    }
    // A statement of another kind is no bill, and no news.
    let provenance = beside().with(&team, &digest, "https://slsa.dev/provenance/v1", &json!({}));
    assert_eq!(provenance.bills(&policy), Bills::default());
}

#[test]
fn a_component_that_cannot_be_read_is_unknown() {
    let (team, other) = (Pen::new(), Pen::new());
    let policy = taking(&team, &other);
    let digest = subject("up.test/a").digest;
    let says = cyclonedx(&["pkg:generic/thing@1"]);
    let judgement = Beside::default().with(&team, &digest, CYCLONEDX, &says).judged(&policy);
    let reasons: Vec<_> = judgement.reasons().iter().map(|reason| reason.code).collect();
    assert_eq!(reasons, [crate::gate::ReasonCode::ScanUnknown]);
    assert!(text(&judgement).contains("pkg:generic/thing@1"), "{}", text(&judgement));
}

#[test]
fn only_so_many_bills_are_used_and_one_lies_beside_it_once() {
    let (team, other) = (Pen::new(), Pen::new());
    let policy = taking(&team, &other);
    let digest = subject("up.test/a").digest;
    let mut beside = Beside::default();
    for number in 0..BILLS_MAX + 3 {
        let says = cyclonedx(&[&format!("pkg:npm/a{number}@1")]);
        beside = beside.with(&team, &digest, CYCLONEDX, &says);
    }
    let bills = beside.bills(&policy);
    assert_eq!(bills.accepted.len(), BILLS_MAX);
    assert_eq!(bills.unused, ["more than 8 bills of materials"]);
    let mut twice = Beside::default().with(&team, &digest, CYCLONEDX, &cyclonedx(&[]));
    twice.attestations.push(twice.attestations[0].clone());
    assert_eq!(twice.bills(&policy).accepted.len(), 1);
}

#[test]
fn what_was_not_looked_at_is_asked_for_and_what_could_not_be_had_is_no_answer() {
    let (team, other) = (Pen::new(), Pen::new());
    let policy = taking(&team, &other);
    let digest = subject("up.test/a").digest;
    let good = Beside::default().with(&team, &digest, CYCLONEDX, &cyclonedx(&[]));
    let with = |change: &dyn Fn(&mut Evidence)| {
        let mut evidence = good.evidence();
        change(&mut evidence);
        good.outcome(&policy, &evidence)
    };
    let missing = |kind| Outcome::Missing(vec![kind]);
    assert_eq!(
        with(&|it| it.signatures = Gathered::NotGathered),
        missing(EvidenceKind::Signatures)
    );
    for gathered in [Gathered::NotGathered, Gathered::Absent] {
        let outcome = with(&|it| it.attestations = gathered.clone());
        assert_eq!(outcome, missing(EvidenceKind::Attestations));
    }
    let failed = || "upstream timed out".to_owned();
    let undecided = |outcome: Outcome| matches!(outcome, Outcome::Undecided(_));
    assert!(undecided(with(&|it| it.signatures = Gathered::Failed(failed()))));
    assert!(undecided(with(&|it| it.attestations = Gathered::Failed(failed()))));
    assert!(undecided(with(&|it| {
        let Gathered::Found(search) = &mut it.signatures else { panic!("a search") };
        search.incomplete = Some(failed());
    })));
    // It was here, and has been evicted since.
    let evicted = Beside { contents: BTreeMap::new(), ..good.clone() };
    let outcome = evicted.outcome(&policy, &good.evidence());
    assert_eq!(outcome, missing(EvidenceKind::Attestations));
    // Nothing is attested at all, or upstream does not have what is listed: that is an answer.
    let outcome = with(&|it| it.signatures = Gathered::Absent);
    assert!(matches!(outcome, Outcome::Decided(_)), "{outcome:?}");
    let mut evidence = good.evidence();
    let unavailable =
        BTreeMap::from([(good.attestations[0].content, "it is not there".to_owned())]);
    evidence.attestations = Gathered::Found(AttestationContents { unavailable });
    let outcome = evicted.outcome(&policy, &evidence);
    assert!(matches!(outcome, Outcome::Decided(_)), "{outcome:?}");
    // The mirror has not looked at the bills.
    let context = Context { contents: &good.contents, ..context(&policy) };
    let outcome = decide(&subject("up.test/a"), &good.evidence(), &context);
    assert_eq!(outcome, missing(EvidenceKind::Attestations));
    let judgement = good.judged(&policy);
    assert!(judgement.checks.iter().any(|check| check.state == CheckState::Pass));
}
