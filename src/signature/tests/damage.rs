//! One byte of a good one flipped, everywhere: never another accepted signature.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::forger::{Forger, found, name, statement, subject};
use super::instance::{Instance, PLACE, Signed, Simple, logged, outcome, signer};
use crate::signature::{
    AttestationForm, FoundSignature, Material, Refusal, Signer, SimpleSigningProof,
};
use crate::time::Timestamp;

/// How far apart the flipped bytes of a long text are.
const STEP: usize = 3;

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= [0x01, 0x20, 0x04, 0x80][at % 4];
    bytes
}

fn judge(found: &FoundSignature, signer: &Signer) -> Result<String, Refusal> {
    let proof = signer.verify(found, &name(), &subject(), Timestamp::from_milliseconds(0));
    assert_ne!(proof, Err(Refusal::LibraryPanicked), "{found:?}");
    proof.map(|proof| proof.by)
}

/// How many of the parts under `pointer` (a base64 text each) still count with one byte of what they
/// stand for flipped.
fn survivors(bundle: &Value, pointer: &str, signer: &Signer) -> usize {
    let good = STANDARD.decode(bundle.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
    let survives = |at: &usize| {
        let mut changed = bundle.clone();
        *changed.pointer_mut(pointer).unwrap() = json!(STANDARD.encode(flipped(&good, *at)));
        let outcome = outcome(&changed, signer);
        assert_ne!(outcome, Err(Refusal::LibraryPanicked), "{pointer} {at}");
        outcome.is_ok()
    };
    (0..good.len()).filter(survives).count()
}

/// Every byte of everything that is signed in some way, in every kind of bundle.
#[test]
fn no_byte_of_a_certificate_signature_statement_promise_or_entry_can_change() {
    let instance = Instance::new();
    let signed = instance.sign();
    let own = STANDARD.encode(signed.public());
    let entry = instance.rekor.entry(("dsse", "0.0.1"), &signed.dsse_with(&own), PLACE);
    let keyed = ("key", signed.keyed(&[entry]), logged(&signed.key, &instance.trusted()));
    let by_certificate = instance.good(&signed).into_iter();
    let all = by_certificate.map(|(kind, bundle)| (kind, bundle, instance.wanted()));
    for (kind, bundle, signer) in all.chain([keyed]) {
        let entry = "/verificationMaterial/tlogEntries/0";
        let mut tried = 0;
        for pointer in [
            "/dsseEnvelope/payload",
            "/dsseEnvelope/signatures/0/sig",
            "/verificationMaterial/certificate/rawBytes",
            &format!("{entry}/canonicalizedBody"),
            &format!("{entry}/inclusionPromise/signedEntryTimestamp"),
            &format!("{entry}/inclusionProof/hashes/0"),
            &format!("{entry}/logId/keyId"),
        ] {
            if bundle.pointer(pointer).is_some() {
                assert_eq!(survivors(&bundle, pointer, &signer), 0, "{kind}: {pointer}");
                tried += 1;
            }
        }
        assert!(tried >= 5, "{kind}");
        let stamp =
            "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
        if bundle.pointer(stamp).is_some() {
            let survivors = survivors(&bundle, stamp, &signer);
            // The certificate that comes along is not looked at: the root has it. Nor is what the
            // signer says about its certificate.
            assert!(survivors < 450, "{kind}: {survivors}");
        }
    }
}

/// What a bundle says, as far as anybody signed it.
fn essence(json: &str) -> BTreeMap<&'static str, Value> {
    let value: Value = serde_json::from_str(json).unwrap();
    let entry = "/verificationMaterial/tlogEntries/0";
    let parts = [
        ("payload", "/dsseEnvelope/payload".to_owned()),
        ("signature", "/dsseEnvelope/signatures/0/sig".to_owned()),
        ("certificate", "/verificationMaterial/certificate/rawBytes".to_owned()),
        ("body", format!("{entry}/canonicalizedBody")),
        ("log", format!("{entry}/logId/keyId")),
    ];
    parts.map(|(name, pointer)| (name, value.pointer(&pointer).cloned().unwrap_or_default())).into()
}

/// Every byte of the text itself.
#[test]
fn no_byte_of_a_bundles_text_makes_it_say_something_else() {
    let instance = Instance::new();
    for (kind, bundle) in instance.good(&instance.sign()) {
        let text = bundle.to_string();
        let good = essence(&text);
        let mut harmless = 0;
        for at in (0..text.len()).step_by(STEP) {
            let Ok(json) = String::from_utf8(flipped(text.as_bytes(), at)) else { continue };
            let changed = found(Material::Bundle { json: json.clone() });
            if judge(&changed, &instance.wanted()).is_ok() {
                assert_eq!(essence(&json), good, "{kind}: byte {at}");
                harmless += 1;
            }
        }
        assert!(harmless < text.len() / STEP / 5, "{kind}: {harmless} of {}", text.len());
    }
}

/// Every byte of the annotations of simple signing.
#[test]
fn no_byte_of_an_annotation_makes_a_signature_say_something_else() {
    let instance = Instance::new();
    let simple = Simple::new(&instance, "up.test/signed/web", &subject());
    let good = simple.found(&instance.rekor, PLACE);
    let Material::SimpleSigning { payload, signature, proof } = &good.material else {
        panic!("a bundle")
    };
    let (certificate, promise) = (proof.certificate.clone(), proof.bundle.clone());
    let with = |payload: &str, signature: &str, certificate: &str, promise: &str| {
        let proof = SimpleSigningProof {
            certificate: Some(certificate.to_owned()),
            bundle: Some(promise.to_owned()),
            ..proof.clone()
        };
        let (payload, signature) = (payload.to_owned(), signature.to_owned());
        judge(&found(Material::SimpleSigning { payload, signature, proof }), &instance.wanted())
    };
    let (certificate, promise) = (certificate.unwrap(), promise.unwrap());
    let by = with(payload, signature, &certificate, &promise).unwrap();
    let changes = |text: &str| {
        let changed = |at| String::from_utf8(flipped(text.as_bytes(), at)).ok();
        (0..text.len()).step_by(STEP).filter_map(changed).collect::<Vec<_>>()
    };
    for changed in changes(payload) {
        assert!(with(&changed, signature, &certificate, &promise).is_err(), "{changed}");
    }
    for changed in changes(signature) {
        assert!(with(payload, &changed, &certificate, &promise).is_err(), "{changed}");
    }
    let mut harmless = 0;
    for changed in changes(&certificate) {
        if let Ok(still) = with(payload, signature, &changed, &promise) {
            assert_eq!(still, by);
            harmless += 1;
        }
    }
    for changed in changes(&promise) {
        if let Ok(still) = with(payload, signature, &certificate, &changed) {
            assert_eq!(still, by);
            harmless += 1;
        }
    }
    // Line ends of PEM, and no more.
    assert!(harmless < 40, "{harmless}");
}

/// The same for attestations, which say more.
#[test]
fn no_byte_of_an_attestation_makes_it_say_something_else() {
    let instance = Instance::new();
    let mut text = statement(&subject());
    text["predicateType"] = json!("https://slsa.dev/provenance/v1");
    text["predicate"] = json!({"builder": {"id": "https://builder.test"}});
    let signed = instance.sign_statement(&signer(), &text.to_string());
    let bundle = signed.bundle(&[instance.entry(&signed)], &[]).to_string();
    let open = |content: &[u8]| {
        let form = AttestationForm::Bundle;
        let verified = instance.wanted().verify_attestation(
            content,
            &form,
            &subject(),
            Timestamp::from_milliseconds(0),
        );
        verified.map(|(_, statement)| statement.predicate.get().to_owned())
    };
    let good = open(bundle.as_bytes()).unwrap();
    assert_eq!(good, text["predicate"].to_string());
    for at in (0..bundle.len()).step_by(STEP) {
        match open(&flipped(bundle.as_bytes(), at)) {
            Ok(says) => assert_eq!(says, good, "byte {at}"),
            Err(refusal) => assert_ne!(refusal, Refusal::LibraryPanicked, "byte {at}"),
        }
    }
    let keyed = Signed::new(Forger::p256(), Vec::new(), &text.to_string());
    let envelope = keyed.envelope().to_string();
    let form = AttestationForm::Envelope { proof: SimpleSigningProof::default() };
    let holder = Signer::key(keyed.key.key());
    let open = |content: &[u8]| {
        let verified =
            holder.verify_attestation(content, &form, &subject(), Timestamp::from_milliseconds(0));
        verified.map(|(_, statement)| statement.predicate.get().to_owned())
    };
    assert_eq!(open(envelope.as_bytes()), Ok(good.clone()));
    for at in 0..envelope.len() {
        if let Ok(says) = open(&flipped(envelope.as_bytes(), at)) {
            assert_eq!(says, good, "byte {at}");
        }
    }
}
