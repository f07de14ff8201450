//! How much of simple signing is read: up to the byte, and not one more.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::forger::{Forger, found, name, payload, pem, simple_material, subject};
use super::keyless::{ROOT, identity};
use crate::signature::simple_signing::{CHAIN_LENGTH_MAX, PROOF_BYTES_MAX, envelope_as_bundle};
use crate::signature::{FoundSignature, bundle};
use crate::signature::{
    Material, PAYLOAD_BYTES_MAX, Refusal, SIGNATURE_TEXT_LENGTH_MAX, Signer, SimpleSigningProof,
    TrustRoot, proof_in,
};
use crate::time::{Timestamp, Window};

const NOW: Timestamp = Timestamp::from_milliseconds(0);
const PROOF: Refusal = Refusal::TooLarge("proof beside the signature");

fn root() -> TrustRoot {
    TrustRoot::from_json(ROOT).unwrap()
}

#[test]
fn a_payload_takes_64_kibibytes_and_a_signature_1368_characters() {
    let forger = Forger::p256();
    let signer = Signer::key(forger.key());
    let judge = |found: FoundSignature| signer.verify(&found, &name(), &subject(), NOW);
    let good = payload("up.test/signed/web", &subject());
    let padded = |length: usize| format!("{good}{}", " ".repeat(length - good.len()));
    assert!(judge(forger.simple(&padded(PAYLOAD_BYTES_MAX))).is_ok());
    // What is counted is base64, three bytes at a time.
    let outcome = judge(forger.simple(&padded(PAYLOAD_BYTES_MAX + 3)));
    assert_eq!(outcome, Err(Refusal::TooLarge("payload")));
    let signature = STANDARD.encode(forger.sign(good.as_bytes()));
    let in_lines = |length: usize| {
        let lines = "\n".repeat(length - signature.len());
        judge(found(simple_material(STANDARD.encode(&good), format!("{signature}{lines}"))))
    };
    assert!(in_lines(SIGNATURE_TEXT_LENGTH_MAX).is_ok());
    let outcome = in_lines(SIGNATURE_TEXT_LENGTH_MAX + 1);
    assert_eq!(outcome, Err(Refusal::TooLarge("signature")));
}

#[test]
fn what_stands_beside_a_signature_takes_64_kibibytes_together() {
    let forger = Forger::p256();
    let key = forger.key();
    let root = root();
    let signer = Signer::logged_key(key.clone(), root.clone());
    let trust = bundle::Trust::Key { key: &key, root: &root, window: Window::default() };
    let good = payload("up.test/signed/web", &subject());
    for (length, too_large) in [(PROOF_BYTES_MAX, false), (PROOF_BYTES_MAX + 1, true)] {
        let parts = ["certificate", "chain", "bundle", "rfc3161timestamp"];
        let annotations: BTreeMap<_, _> = parts
            .map(|part| {
                let rest = length - 3;
                let text = "x".repeat(if part == "bundle" { rest } else { 1 });
                (format!("dev.sigstore.cosign/{part}"), text)
            })
            .into();
        assert_eq!(proof_in(&annotations).is_err(), too_large);
        let proof = SimpleSigningProof {
            certificate: Some("x".to_owned()),
            chain: Some("x".to_owned()),
            bundle: Some("x".repeat(length - 3)),
            timestamp: Some("x".to_owned()),
        };
        let material = Material::SimpleSigning {
            payload: STANDARD.encode(&good),
            signature: STANDARD.encode(forger.sign(good.as_bytes())),
            proof: proof.clone(),
        };
        let outcome = signer.verify(&found(material), &name(), &subject(), NOW);
        assert_eq!(outcome == Err(PROOF), too_large, "{outcome:?}");
        let outcome = envelope_as_bundle("{}", &proof, trust);
        assert_eq!(outcome == Err(PROOF), too_large, "{outcome:?}");
    }
    assert_eq!(proof_in(&BTreeMap::new()), Ok(SimpleSigningProof::default()));
}

#[test]
fn a_chain_beside_a_signature_has_eight_certificates_above_the_signers() {
    let signer = Signer::keyless(root(), identity());
    let certificate = pem("CERTIFICATE", b"whatever");
    let good = payload("up.test/signed/web", &subject());
    for (above, too_many) in [(0, false), (CHAIN_LENGTH_MAX, false), (CHAIN_LENGTH_MAX + 1, true)] {
        let proof = SimpleSigningProof {
            certificate: Some(certificate.clone()),
            chain: Some(certificate.repeat(above)),
            bundle: Some("{}".to_owned()),
            timestamp: None,
        };
        let material = Material::SimpleSigning {
            payload: STANDARD.encode(&good),
            signature: STANDARD.encode(b"whatever"),
            proof,
        };
        let outcome = signer.verify(&found(material), &name(), &subject(), NOW);
        let expected = Err(Refusal::TooLarge("chain of certificates"));
        assert_eq!(outcome == expected, too_many, "{above}: {outcome:?}");
        assert!(outcome.is_err(), "{above}");
    }
}
