//! What is attested: when it counts, when it is asked for, and what is said of what lacks.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;

use super::super::tests::{
    Pen, codes, context, decided, evidence, facts, policy, revoked, subject,
};
use super::super::{
    AttestationContents, CheckState, Context, Evidence, EvidenceKind, Gathered, Judgement, Outcome,
    ReadyPolicy, ReasonCode, SignatureSearch, decide,
};
use crate::oci::Digest;
use crate::signature::{AttestationForm, FoundAttestation, SimpleSigningProof};

const SPDX: &str = "https://spdx.dev/Document";
const SLSA: &str = "https://slsa.dev/provenance/v1";
const STATEMENT: &str = "application/vnd.in-toto+json";

/// A policy by which `asked` has to be attested, with `pens` as signers; the last key ends in 2027.
fn asking(pens: &[(&str, &Pen)], asked: &str) -> ReadyPolicy {
    let last = pens.len() - 1;
    let signer = |(at, (name, pen)): (usize, &(&str, &Pen))| {
        let end = if at == last { ", notAfter: 2027-01-01T00:00:00Z" } else { "" };
        format!("  {name}: {{key: {{pem: \"{}\"{end}}}, transparencyLog: none}}\n", pen.pem())
    };
    let signers: Vec<_> = pens.iter().enumerate().map(signer).collect();
    policy(&format!(
        "signers:\n{}rules: [{{id: attested, match: [\"up.test/a\"], trust: allow, attestations: [{asked}]}}]\n",
        signers.concat()
    ))
}

/// What is known about the image, and what is at hand of it.
#[derive(Clone)]
struct Known {
    evidence: Evidence,
    contents: BTreeMap<Digest, Bytes>,
}

impl Known {
    /// By each of `said`: who, of which kind, and what.
    fn of(said: &[(&Pen, &str, serde_json::Value)]) -> Self {
        let (mut attestations, mut contents) = (Vec::new(), BTreeMap::new());
        for (pen, kind, predicate) in said {
            let statement = json!({
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"digest": {"sha256": subject("up.test/a").digest.hex()}}],
                "predicateType": kind,
                "predicate": predicate,
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
            attestations.push(FoundAttestation {
                source: Digest::sha256(b"source"),
                content,
                size: u64::try_from(bytes.len()).unwrap(),
                form: AttestationForm::Envelope { proof: SimpleSigningProof::default() },
            });
            contents.insert(content, bytes);
        }
        let search = SignatureSearch { attestations, ..SignatureSearch::default() };
        let evidence = Evidence {
            signatures: Gathered::Found(search),
            attestations: Gathered::Found(AttestationContents::default()),
            ..evidence(facts())
        };
        Self { evidence, contents }
    }

    fn incomplete(mut self) -> Self {
        let Gathered::Found(search) = &mut self.evidence.signatures else { panic!("a search") };
        search.incomplete = Some("upstream timed out".to_owned());
        self
    }

    fn outcome(&self, policy: &ReadyPolicy) -> Outcome {
        let context = Context { contents: &self.contents, ..context(policy) };
        decide(&subject("up.test/a"), &self.evidence, &context)
    }

    #[track_caller]
    fn judged(&self, policy: &ReadyPolicy) -> Judgement {
        decided(self.outcome(policy))
    }
}

#[track_caller]
fn assert_lacks(judgement: &Judgement, text: &str) {
    assert_eq!(codes(judgement), [ReasonCode::NotAttested], "{judgement:?}");
    assert_eq!(judgement.reasons()[0].text, text);
}

fn check(judgement: &Judgement) -> &super::super::Check {
    judgement.checks.iter().find(|check| check.name == "attestation").unwrap()
}

#[test]
fn what_is_not_known_is_asked_for_and_what_could_not_be_had_is_no_answer() {
    let pen = Pen::new();
    let policy = asking(&[("team", &pen)], "{type: spdx, signers: [team]}");
    let good = Known::of(&[(&pen, SPDX, json!({}))]);
    assert!(good.judged(&policy).admits());
    assert!(good.clone().incomplete().judged(&policy).admits(), "what is there counts");
    let with = |change: fn(&mut Known)| {
        let mut known = good.clone();
        change(&mut known);
        known.outcome(&policy)
    };
    let missing = |kind| Outcome::Missing(vec![kind]);
    for (outcome, expected) in [
        (with(|it| it.evidence.signatures = Gathered::NotGathered), EvidenceKind::Signatures),
        (with(|it| it.evidence.attestations = Gathered::NotGathered), EvidenceKind::Attestations),
        (with(|it| it.evidence.attestations = Gathered::Absent), EvidenceKind::Attestations),
        (with(|it| it.contents.clear()), EvidenceKind::Attestations),
    ] {
        assert_eq!(outcome, missing(expected));
    }
    let failed = || "upstream timed out".to_owned();
    let mut known = good.clone();
    known.evidence.signatures = Gathered::Failed(failed());
    assert!(matches!(known.outcome(&policy), Outcome::Undecided(_)));
    let mut known = good.clone();
    known.evidence.attestations = Gathered::Failed(failed());
    assert!(matches!(known.outcome(&policy), Outcome::Undecided(_)));
    let stranger = Known::of(&[(&Pen::new(), SPDX, json!({}))]);
    assert!(matches!(stranger.clone().incomplete().outcome(&policy), Outcome::Undecided(_)));
    assert_lacks(&stranger.judged(&policy), "spdx not attested by team");
    // Nothing was found, so that there is nothing to fetch.
    let mut known = Known::of(&[]);
    known.evidence.attestations = Gathered::NotGathered;
    assert_lacks(&known.judged(&policy), "spdx not attested by team");
    let mut known = known.clone();
    known.evidence.signatures = Gathered::Absent;
    assert_lacks(&known.judged(&policy), "spdx not attested by team");
}

#[test]
fn what_upstream_does_not_have_as_listed_does_not_count_and_is_told() {
    let pen = Pen::new();
    let policy = asking(&[("team", &pen)], "{type: spdx, signers: [team]}");
    let mut known = Known::of(&[(&pen, SPDX, json!({}))]);
    let digest = *known.contents.keys().next().unwrap();
    let unavailable = BTreeMap::from([(digest, "it is not there as listed".to_owned())]);
    known.evidence.attestations = Gathered::Found(AttestationContents { unavailable });
    let judgement = known.judged(&policy);
    assert_lacks(&judgement, "spdx not attested by team");
    let text = &check(&judgement).text;
    assert!(text.ends_with("of 0 found; could not be read: it is not there as listed"), "{text}");
}

#[test]
fn a_subject_that_is_refused_already_has_nothing_looked_at() {
    let pen = Pen::new();
    let policy = asking(&[("team", &pen)], "{type: spdx, signers: [team]}");
    let (known, standing) = (Known::of(&[]), revoked());
    let context = Context { standing: Some(&standing), ..context(&policy) };
    let judgement = decided(decide(&subject("up.test/a"), &known.evidence, &context));
    assert_eq!(codes(&judgement), [ReasonCode::Revoked]);
    assert_eq!(check(&judgement).state, CheckState::NotLooked);
}

#[test]
fn it_takes_so_many_people_and_the_first_end_is_that_of_the_verdict() {
    let pens = [Pen::new(), Pen::new()];
    let signers = [("a", &pens[0]), ("b", &pens[1])];
    let both = asking(&signers, "{type: spdx, signers: [a, b], atLeast: 2}");
    let said = |by: &[usize]| -> Known {
        Known::of(&by.iter().map(|at| (&pens[*at], SPDX, json!({}))).collect::<Vec<_>>())
    };
    let judgement = said(&[0, 1]).judged(&both);
    assert!(judgement.admits());
    assert_eq!(check(&judgement).text, "spdx by 2 of [a, b]: attested by a, b");
    assert_eq!(judgement.good_until, Some("2027-01-01T00:00:00Z".parse().unwrap()));
    assert_lacks(&said(&[0]).judged(&both), "spdx not attested by b");
    assert_lacks(&said(&[0, 0]).judged(&both), "spdx not attested by b");
    assert_lacks(&said(&[]).judged(&both), "spdx not attested by a, b");
    let either = asking(&signers, "{type: spdx, signers: [a, b]}");
    let judgement = said(&[0]).judged(&either);
    assert!(judgement.admits());
    assert_eq!(judgement.good_until, None);
    // Everything that is asked for has to be there.
    let two = asking(&signers, "{type: spdx, signers: [a]}, {type: slsaprovenance1, signers: [b]}");
    assert_lacks(&said(&[0]).judged(&two), "slsaprovenance1 not attested by b");
    let all = Known::of(&[(&pens[0], SPDX, json!({})), (&pens[1], SLSA, json!({}))]);
    assert!(all.judged(&two).admits());
    assert!(
        !Known::of(&[(&pens[0], SLSA, json!({})), (&pens[1], SPDX, json!({}))])
            .judged(&two)
            .admits()
    );
}

#[test]
fn what_is_said_has_to_be_what_is_asked_for_and_why_not_is_told_when_it_is_telling() {
    let pen = Pen::new();
    let signers = [("team", &pen)];
    let by = |builder: &str| json!({"runDetails": {"builder": {"id": builder}}});
    let built =
        asking(&signers, "{type: slsaprovenance1, signers: [team], builder: \"https://ci.test\"}");
    let said = |predicate| Known::of(&[(&pen, SLSA, predicate)]);
    assert!(said(by("https://ci.test")).judged(&built).admits());
    for (predicate, why) in [
        (by("https://ci.test.evil"), " (built by https://ci.test.evil)"),
        (json!({}), " (names no builder)"),
    ] {
        let text = format!("slsaprovenance1 not attested by team{why}");
        assert_lacks(&said(predicate).judged(&built), &text);
    }
    let several = Known::of(&[(&pen, SLSA, by("https://x.test")), (&pen, SLSA, json!({}))]);
    let judgement = several.judged(&built);
    assert_lacks(&judgement, "slsaprovenance1 not attested by team");
    let text = &check(&judgement).text;
    assert!(
        text.contains("built by https://x.test") && text.contains("names no builder"),
        "{text}"
    );

    let good = asking(
        &signers,
        "{type: spdx, signers: [team], cel: \"predicate.good && signer == 'team' && repository == 'up.test/a'\"}",
    );
    let said = |predicate| Known::of(&[(&pen, SPDX, predicate)]);
    assert!(said(json!({"good": true})).judged(&good).admits());
    assert_lacks(
        &said(json!({"good": false})).judged(&good),
        "spdx not attested by team (condition is not met)",
    );
    let judgement = said(json!({})).judged(&good);
    let text = &judgement.reasons()[0].text;
    assert!(text.contains("condition cannot be answered"), "{text}");
}
