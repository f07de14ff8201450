//! Log entries that are genuine, and about something else (T01 to T05).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::forger::{Forger, name, pem, statement, subject};
use super::instance::certificate::{promises, promises_number};
use super::instance::log::{Log, Place};
use super::instance::{
    Instance, PLACE, SIGNED, Signed, Simple, WHO, assert_refused, logged, outcome, rekord, signer,
};
use crate::oci::Digest;
use crate::signature::{FoundSignature, Material, Refusal, Signer};
use crate::time::Timestamp;

const DSSE: (&str, &str) = ("dsse", "0.0.1");
const INTOTO: (&str, &str) = ("intoto", "0.0.2");
const HASHED: (&str, &str) = ("hashedrekord", "0.0.2");

fn base64(content: impl AsRef<[u8]>) -> String {
    STANDARD.encode(content)
}

fn simple_outcome(found: &FoundSignature, signer: &Signer) -> Result<String, Refusal> {
    let proof = signer.verify(found, &name(), &subject(), Timestamp::from_milliseconds(0));
    proof.map(|proof| proof.by)
}

/// What a bundle of `signed` comes to with the log's entries for `entered` instead of its own.
fn with_entries_of(instance: &Instance, signed: &Signed, entered: &Signed) -> [Refusal; 3] {
    let entry = |kind, body: String| instance.rekor.entry(kind, &body, PLACE);
    let stamp = instance.stamp(&signed.signature, SIGNED);
    [
        signed.bundle(&[entry(DSSE, entered.dsse())], &[]),
        signed.bundle(&[entry(INTOTO, entered.intoto())], &[]),
        signed.bundle(&[instance.second_entry(entered)], &[stamp]),
    ]
    .map(|bundle| outcome(&bundle, &instance.wanted()).unwrap_err())
}

#[track_caller]
fn assert_texts(refusals: [Refusal; 3], expected: [&str; 3]) {
    for (refusal, expected) in refusals.into_iter().zip(expected) {
        assert_refused(Err::<(), _>(refusal), expected);
    }
}

#[test]
fn the_instance_can_do_it_right() {
    let instance = Instance::new();
    for (kind, bundle) in instance.good(&instance.sign()) {
        let by = outcome(&bundle, &instance.wanted()).unwrap_or_else(|why| panic!("{kind}: {why}"));
        assert_eq!(by, format!("uri {WHO} by https://issuer.test"));
    }
    let simple = Simple::new(&instance, "up.test/signed/web", &subject());
    let found = simple.found(&instance.rekor, PLACE);
    assert!(simple_outcome(&found, &instance.wanted()).is_ok());
}

/// T01 (CVE-2026-22703): digest, signature and certificate each bind the entry.
#[test]
fn a_log_entry_for_another_payload_signature_or_certificate_is_refused() {
    let instance = Instance::new();
    let signed = instance.sign();
    let again = |payload: &str, certificate: Vec<u8>, signature: Vec<u8>| Signed {
        key: Forger::p256(),
        certificate,
        payload: payload.to_owned(),
        signature,
    };
    let other = statement(&Digest::sha256(b"another image")).to_string();
    let entered = again(&other, signed.certificate.clone(), signed.signature.clone());
    assert_texts(
        with_entries_of(&instance, &signed, &entered),
        [
            "DSSE payload hash mismatch",
            "payload hash does not match intoto Rekor entry",
            "signed for other content",
        ],
    );
    // The same key over the same statement once more: an entry of that is none of this.
    let twice = signed.key.sign(&super::forger::pae(super::forger::STATEMENT, &signed.payload));
    let entered = again(&signed.payload, signed.certificate.clone(), twice);
    assert_texts(
        with_entries_of(&instance, &signed, &entered),
        [
            "DSSE signature in bundle does not match",
            "does not match the intoto Rekor signature",
            "DSSE signature in bundle does not match signature in Rekor",
        ],
    );
    // Somebody else's certificate in the entry, over the very same bytes.
    let theirs = instance.sign().certificate;
    let entered = again(&signed.payload, theirs, signed.signature.clone());
    assert_texts(
        with_entries_of(&instance, &signed, &entered),
        [
            "signature or verifier mismatch",
            "signing certificate does not match the intoto Rekor verifier",
            "certificate in bundle does not match",
        ],
    );
}

/// T01: an entry of Rekor 2 is over what is signed, and not over the statement alone.
#[test]
fn an_entry_over_the_bare_statement_is_none_over_what_was_signed() {
    let instance = Instance::new();
    let signed = instance.sign();
    let stamp = instance.stamp(&signed.signature, SIGNED);
    let entry =
        instance.second.second_entry(HASHED, &signed.hashed_over(signed.payload.as_bytes()));
    let refused = outcome(&signed.bundle(&[entry], &[stamp]), &instance.wanted());
    assert_eq!(refused, Err(Refusal::OtherArtifact));
}

/// T01 for keys: the entry must be of that key.
#[test]
fn an_entry_of_another_key_or_signature_does_not_log_a_key_signature() {
    let instance = Instance::new();
    let signed = Signed::new(Forger::p256(), Vec::new(), &statement(&subject()).to_string());
    let wanted = logged(&signed.key, &instance.trusted());
    let entry = |body: String| instance.rekor.entry(DSSE, &body, PLACE);
    let own = base64(signed.public());
    let good = signed.keyed(&[entry(signed.dsse_with(&own))]);
    assert_eq!(outcome(&good, &wanted), Ok(signed.key.key().id()));
    let other = Signed::new(Forger::p256(), Vec::new(), &signed.payload);
    let by_other = entry(signed.dsse_with(&base64(other.public())));
    let why = "managed public key does not match the Rekor verifier";
    assert_refused(outcome(&signed.keyed(&[by_other]), &wanted), why);
    let of_other = entry(other.dsse_with(&own));
    assert_refused(outcome(&signed.keyed(&[of_other]), &wanted), "DSSE signature in bundle");
    let other =
        Signed::new(Forger::p256(), Vec::new(), &statement(&Digest::sha256(b"")).to_string());
    let of_other = entry(Signed { signature: signed.signature.clone(), ..other }.dsse_with(&own));
    assert_refused(outcome(&signed.keyed(&[of_other]), &wanted), "DSSE payload hash mismatch");
    // A certificate of a good authority for the same key is not the key's own entry.
    assert_eq!(outcome(&signed.keyed(&[]), &wanted), Err(Refusal::NoLogEntry));
}

/// T02 (CVE-2022-23649): what stands in annotations is compared with what is signed.
#[test]
fn a_promise_in_annotations_for_something_else_or_by_nobody_is_refused() {
    let instance = Instance::new();
    let good = || Simple::new(&instance, "up.test/signed/web", &subject());
    let judge =
        |simple: &Simple| simple_outcome(&simple.found(&instance.rekor, PLACE), &instance.wanted());
    let verifier = |simple: &Simple| pem("CERTIFICATE", &simple.certificate);
    let mut simple = good();
    simple.body = rekord("something else", &simple.signature, &verifier(&simple));
    assert_eq!(judge(&simple), Err(Refusal::OtherArtifact));
    let mut simple = good();
    simple.body = rekord(&simple.payload, &good().signature, &verifier(&simple));
    assert_refused(judge(&simple), "signature in bundle does not match signature in Rekor entry");
    let mut simple = good();
    simple.body = rekord(&simple.payload, &simple.signature, &verifier(&good()));
    assert_refused(judge(&simple), "certificate in bundle does not match");
    let stranger = Log::new("rekor.test");
    let found = good().found(&stranger, PLACE);
    assert_refused(simple_outcome(&found, &instance.wanted()), "No log key valid");
    assert_eq!(
        simple_outcome(&good().found_with(None), &instance.wanted()),
        Err(Refusal::NoLogEntry)
    );
    // In its own words it is another log, by its signature it is a stranger.
    let simple = good();
    let Material::SimpleSigning { proof, .. } = simple.found(&stranger, PLACE).material else {
        panic!("a bundle")
    };
    let mut promise: Value = serde_json::from_str(&proof.bundle.unwrap()).unwrap();
    promise["Payload"]["logID"] = json!(hex::encode(instance.rekor.id()));
    let found = simple.found_with(Some(promise.to_string()));
    assert_refused(simple_outcome(&found, &instance.wanted()), "SET verification failed");
}

/// T02: no word of a promise can be another.
#[test]
fn a_promise_covers_its_body_time_place_and_log() {
    let instance = Instance::new();
    let simple = Simple::new(&instance, "up.test/signed/web", &subject());
    let Material::SimpleSigning { proof, .. } = simple.found(&instance.rekor, PLACE).material
    else {
        panic!("a bundle")
    };
    let good: Value = serde_json::from_str(&proof.bundle.unwrap()).unwrap();
    let judge = |promise: &str| {
        let found = simple.found_with(Some(promise.to_owned()));
        simple_outcome(&found, &instance.wanted())
    };
    assert!(judge(&good.to_string()).is_ok());
    let failed = "SET verification failed";
    for (member, value, why) in [
        ("integratedTime", json!(SIGNED + 1), failed),
        ("logIndex", json!(4712), failed),
        ("logID", json!(hex::encode(instance.second.id())), failed),
        ("logID", json!("zz"), "log entry beside the signature is not well formed"),
        ("integratedTime", json!(1.5), "log entry beside the signature is not well formed"),
        ("body", json!(base64(format!("{} ", simple.body))), failed),
        ("body", json!(base64("{}")), "log entry beside the signature is not well formed"),
        ("body", json!("?"), "log entry is not standard base64"),
    ] {
        let mut promise = good.clone();
        promise["Payload"][member] = value;
        assert_refused(judge(&promise.to_string()), why);
    }
    let twice = good.to_string().replacen("\"logID\"", "\"logID\":\"00\",\"logID\"", 1);
    assert_refused(judge(&twice), "log entry beside the signature is not well formed");
}

/// T03 (CVE-2024-51746): a right entry does not make up for a wrong one, in whatever order.
#[test]
fn every_entry_must_be_about_this_signature() {
    let instance = Instance::new();
    let (signed, other) = (instance.sign(), instance.sign());
    let (right, wrong) = (instance.entry(&signed), instance.entry(&other));
    assert!(
        outcome(&signed.bundle(&[right.clone(), right.clone()], &[]), &instance.wanted()).is_ok()
    );
    for entries in [[right.clone(), wrong.clone()], [wrong.clone(), right.clone()]] {
        assert_refused(
            outcome(&signed.bundle(&entries, &[]), &instance.wanted()),
            "DSSE signature in bundle does not match",
        );
    }
    let mut unproven = wrong;
    unproven["inclusionProof"].take();
    unproven["inclusionPromise"].take();
    let refused = outcome(&signed.bundle(&[right, unproven], &[]), &instance.wanted());
    assert_refused(refused, "DSSE signature in bundle does not match");
    assert_eq!(outcome(&signed.bundle(&[], &[]), &instance.wanted()), Err(Refusal::NoLogEntry));
}

/// T03, T04 (CVE-2023-47122): a proof is one only by a log of the trust root, for this very entry.
#[test]
fn a_proof_by_a_stranger_or_for_another_entry_is_refused() {
    let instance = Instance::new();
    let signed = instance.sign();
    let stranger = Log::new("rekor.test");
    let judge = |entry: Value| {
        let stamp = instance.stamp(&signed.signature, SIGNED);
        outcome(&signed.bundle(&[entry], &[stamp]), &instance.wanted())
    };
    let good = instance.second_entry(&signed);
    let with = |proof: Value| {
        let mut entry = good.clone();
        entry["inclusionProof"] = proof;
        entry
    };
    assert!(judge(good.clone()).is_ok());
    let foreign = with(stranger.proof(&signed.hashed()));
    assert_refused(judge(foreign), "No matching Rekor key found for checkpoint signature");
    let other = with(instance.second.proof("another entry"));
    assert_refused(judge(other), "inclusion proof verification failed");
    // A name and a hint of the right log under a stranger's signature.
    let mut forged = stranger.proof(&signed.hashed());
    let envelope = forged["checkpoint"]["envelope"].as_str().unwrap();
    let (note, line) = envelope.split_once("\n\n\u{2014} rekor.test ").unwrap();
    let mut line = STANDARD.decode(line.trim()).unwrap();
    line[..4].copy_from_slice(&instance.second.id()[..4]);
    let text = format!("{note}\n\n\u{2014} log.test {}\n", base64(line));
    forged["checkpoint"]["envelope"] = json!(text);
    assert_refused(judge(with(forged)), "No valid Rekor signature found on checkpoint");
    for (index, why) in [("0", "inclusion proof verification failed"), ("2", "out of range")] {
        let mut entry = good.clone();
        entry["logIndex"] = json!(index);
        assert_refused(judge(entry), why);
    }
    let mut bare = good.clone();
    bare.as_object_mut().unwrap().remove("inclusionProof");
    assert_refused(judge(bare), "inclusion proof");
    let first = instance.rekor.entry(DSSE, &signed.dsse(), PLACE);
    for (member, value, why) in [
        ("rootHash", json!(base64([0; 32])), "root"),
        ("treeSize", json!("3"), "inclusion proof verification failed"),
        ("logIndex", json!("0"), "inclusion proof verification failed"),
        ("hashes", json!([]), "inclusion proof verification failed"),
        ("hashes", json!([base64([0; 32])]), "inclusion proof verification failed"),
    ] {
        let mut entry = first.clone();
        entry["inclusionProof"][member] = value;
        assert_refused(judge(entry), why);
    }
}

/// T04: what a log says of itself, or a bundle of a log, is no key.
#[test]
fn a_log_that_the_root_does_not_list_is_none_whatever_it_brings() {
    let instance = Instance::new();
    let signed = instance.sign();
    let stranger = Log::new("rekor.test");
    let mut entry = stranger.entry(DSSE, &signed.dsse(), PLACE);
    entry["publicKey"] = json!({"rawBytes": base64(stranger.key.spki())});
    entry["logId"]["publicKey"] = json!(base64(stranger.key.spki()));
    let refused = outcome(&signed.bundle(&[entry.clone()], &[]), &instance.wanted());
    assert_refused(refused, "No log key valid");
    entry["logId"]["keyId"] = json!(base64(instance.rekor.id()));
    let refused = outcome(&signed.bundle(&[entry], &[]), &instance.wanted());
    assert_refused(refused, "SET verification failed");
}

/// T05 (CVE-2026-49834): several entries, or certificates, of one person are that person once.
#[test]
fn one_person_is_one_however_often_they_are_logged() {
    let instance = Instance::new();
    let signed = instance.sign();
    let entries: Vec<_> = (1..5)
        .map(|index| instance.rekor.entry(DSSE, &signed.dsse(), Place { index, ..PLACE }))
        .collect();
    let many = outcome(&signed.bundle(&entries, &[]), &instance.wanted());
    let (_, other) = instance.good(&instance.sign()).remove(3);
    assert_eq!(many, outcome(&other, &instance.wanted()));
    assert!(many.is_ok());
    let entries: Vec<_> = (0..17)
        .map(|index| instance.rekor.entry(DSSE, &signed.dsse(), Place { index, ..PLACE }))
        .collect();
    let refused = outcome(&signed.bundle(&entries, &[]), &instance.wanted());
    assert_eq!(refused, Err(Refusal::TooLarge("list of log entries")));
}

/// T05, T24: one word of one log of certificates is wanted, not several.
#[test]
fn a_certificate_with_the_word_of_one_log_twice_is_refused() {
    let instance = Instance::new();
    let key = Forger::p256();
    let word = |at| signer().promise(&key, &instance.between, &instance.certificates, at);
    let draft =
        signer().with(promises_number(), false, &promises(&[word(SIGNED), word(SIGNED + 1)]));
    let certificate = draft.issued(&key, &instance.between);
    let signed = Signed::new(key, certificate, &statement(&subject()).to_string());
    let refused = outcome(&signed.bundle(&[instance.entry(&signed)], &[]), &instance.wanted());
    assert_refused(refused, "certificate contains multiple SCTs");
}

/// T05: which log has an entry is that log's word, whatever the entry says.
#[test]
fn an_entry_in_the_name_of_another_log_or_of_none_is_refused() {
    let instance = Instance::new();
    let signed = instance.sign();
    let stamp = || instance.stamp(&signed.signature, SIGNED);
    let judge =
        |entries: &[Value]| outcome(&signed.bundle(entries, &[stamp()]), &instance.wanted());
    let good = instance.second_entry(&signed);
    let mut renamed = good.clone();
    renamed["logId"]["keyId"] = json!(base64(instance.rekor.id()));
    let why = "checkpoint is not by the log that the entry names";
    assert_refused(judge(&[renamed.clone()]), why);
    assert_refused(judge(&[good.clone(), renamed.clone()]), why);
    renamed["logId"]["keyId"] = json!(base64([7; 32]));
    assert_refused(judge(&[renamed.clone()]), "entry of an unknown transparency log");
    renamed["logId"]["keyId"] = json!("");
    assert_refused(judge(&[renamed]), "entry of an unknown transparency log");
    // A promise by one log, and a proof by another.
    let mut mixed = instance.entry(&signed);
    mixed["inclusionProof"] = instance.second.proof(&signed.dsse());
    assert_refused(judge(&[mixed]), why);
    let mut unproven = instance.entry(&signed);
    unproven.as_object_mut().unwrap().remove("inclusionProof");
    assert!(judge(&[good.clone(), unproven.clone()]).is_ok(), "a promise is a proof of its own");
    unproven.as_object_mut().unwrap().remove("inclusionPromise");
    assert_refused(judge(&[good, unproven]), "log entry has neither promise nor proof");
}
