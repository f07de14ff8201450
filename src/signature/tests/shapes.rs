//! What is signed, and how it is wrapped: one envelope, one statement, one reading (T08, T13, T15,
//! T32, T37, T38), by certificates.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use super::forger::{STATEMENT, found, name, pae, statement, subject};
use super::instance::{Instance, PLACE, SIGNED, Signed, Simple, assert_refused, outcome, signer};
use crate::oci::Digest;
use crate::signature::{
    ATTESTATION_BYTES_MAX, AttestationForm, Material, Refusal, SimpleSigningProof, Statement,
};
use crate::time::Timestamp;

const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// What comes of a statement that the right signer signed, and that is logged as it should be.
fn stated(instance: &Instance, text: &str) -> Result<String, Refusal> {
    let signed = instance.sign_statement(&signer(), text);
    let first = outcome(&signed.bundle(&[instance.entry(&signed)], &[]), &instance.wanted());
    let stamp = instance.stamp(&signed.signature, SIGNED);
    let second =
        outcome(&signed.bundle(&[instance.second_entry(&signed)], &[stamp]), &instance.wanted());
    assert_eq!(first, second, "{text}");
    first
}

/// T13: one envelope has one signature.
#[test]
fn an_envelope_with_no_signature_or_two_is_refused() {
    let instance = Instance::new();
    let signed = instance.sign();
    let good = json!({"sig": STANDARD.encode(&signed.signature)});
    let bad = json!({"sig": STANDARD.encode(&instance.sign().signature)});
    for (_, bundle) in instance.good(&signed) {
        for signatures in [json!([]), json!([good, good]), json!([bad, good]), json!([good, bad])] {
            let mut changed = bundle.clone();
            changed["dsseEnvelope"]["signatures"] = signatures.clone();
            let count = signatures.as_array().unwrap().len();
            let refused = outcome(&changed, &instance.wanted());
            assert_eq!(refused, Err(Refusal::SignatureCount(count)));
        }
        let mut changed = bundle.clone();
        changed["dsseEnvelope"]["signatures"] = json!([bad]);
        assert!(outcome(&changed, &instance.wanted()).is_err());
    }
}

/// T15: the type of the payload, the version of the statement, the alphabet.
#[test]
fn an_envelope_of_another_type_version_or_alphabet_is_refused() {
    let instance = Instance::new();
    let signed = instance.sign();
    let good = signed.bundle(&[instance.entry(&signed)], &[]);
    let with = |member: &str, value: Value| {
        let mut bundle = good.clone();
        bundle["dsseEnvelope"][member] = value;
        outcome(&bundle, &instance.wanted())
    };
    for kind in
        ["", "application/json", "Application/vnd.in-toto+json", "application/vnd.in-toto+json "]
    {
        assert_eq!(with("payloadType", json!(kind)), Err(Refusal::PayloadType));
    }
    let padded = format!("{} ", signed.payload);
    let payload = STANDARD.encode(&padded);
    assert_refused(with("payload", json!(payload)), "does not");
    let bare = STANDARD.encode(&signed.payload).trim_end_matches('=').to_owned();
    if bare != STANDARD.encode(&signed.payload) {
        assert_eq!(with("payload", json!(bare)), Err(Refusal::Encoding("payload")));
    }
    // A payload whose text differs in the two alphabets.
    let mut text = statement(&subject());
    text["predicate"]["note"] = json!("\u{fbff}\u{fffe}???>>>");
    let signed = instance.sign_statement(&signer(), &text.to_string());
    let mut bundle = signed.bundle(&[instance.entry(&signed)], &[]);
    assert!(outcome(&bundle, &instance.wanted()).is_ok());
    let other = URL_SAFE.encode(&signed.payload);
    assert_ne!(other, STANDARD.encode(&signed.payload));
    bundle["dsseEnvelope"]["payload"] = json!(other);
    assert_eq!(outcome(&bundle, &instance.wanted()), Err(Refusal::Encoding("payload")));
    for kind in ["https://in-toto.io/Statement/v2", "https://in-toto.io/Statement/v1/", ""] {
        let mut text = statement(&subject());
        text["_type"] = json!(kind);
        assert_eq!(stated(&instance, &text.to_string()), Err(Refusal::PayloadType));
    }
}

/// T15: what is signed is type and payload with their lengths, and neither runs into the other.
#[test]
fn no_other_cut_between_type_and_payload_is_signed() {
    let instance = Instance::new();
    let text = statement(&subject()).to_string();
    let signed = instance.sign_statement(&signer(), &text);
    for message in [
        text.clone().into_bytes(),
        format!("DSSEv1 {STATEMENT} {text}").into_bytes(),
        pae("", &text),
        pae(STATEMENT, &format!("{text} ")),
        pae(&format!("{STATEMENT} {}", text.len()), &text),
    ] {
        let signature = signed.key.sign(&message);
        let certificate = signed.certificate.clone();
        let key = super::forger::Forger::p256();
        let wrong = Signed { key, certificate, payload: text.clone(), signature };
        let refused = outcome(&wrong.bundle(&[instance.entry(&wrong)], &[]), &instance.wanted());
        assert_eq!(refused, Err(Refusal::WrongKey));
    }
}

/// T32: what can be read in two ways is read in none, under a good signature, too.
#[test]
fn statements_that_can_be_read_in_two_ways_are_refused() {
    let instance = Instance::new();
    let text = statement(&subject()).to_string();
    assert!(stated(&instance, &text).is_ok());
    let hex = Digest::sha256(b"another image").hex();
    let malformed = Err(Refusal::Malformed("signed statement"));
    for (from, to) in [
        ("\"subject\"", r#""subject":[],"subject""#.to_owned()),
        ("\"sha256\"", format!(r#""sha256":"{hex}","sha256""#)),
        ("\"_type\"", r#""_type":"x","_type""#.to_owned()),
        ("\"predicateType\"", r#""predicateType":"x","predicate\u0054ype""#.to_owned()),
        ("\"predicate\":{}", r#""predicate":{"a":1,"a":2}"#.to_owned()),
        ("\"predicate\":{}", format!(r#""predicate":{}1{}"#, "[".repeat(200), "]".repeat(200))),
        ("\"predicate\":{}", r#""predicate":1e999"#.to_owned()),
        ("\"predicate\":{}", r#""predicate":"\ud800""#.to_owned()),
        ("\"predicate\":{}", r#""predicate":01"#.to_owned()),
        ("\"predicate\":{}", r#""predicate":NaN"#.to_owned()),
    ] {
        let changed = text.replacen(from, &to, 1);
        assert_ne!(changed, text, "{from}");
        assert_eq!(stated(&instance, &changed), malformed, "{to}");
    }
    for changed in [
        format!("\u{feff}{text}"),
        format!("{text}{text}"),
        format!("{text}x"),
        format!("{text}\0"),
        format!("[{text}]"),
        format!("\"{}\"", STANDARD.encode(&text)),
        String::new(),
    ] {
        assert_eq!(stated(&instance, &changed), malformed, "{changed:?}");
    }
}

/// T32 around the signature: bundles.
#[test]
fn bundles_that_can_be_read_in_two_ways_are_refused() {
    let instance = Instance::new();
    let (signed, other) = (instance.sign(), instance.sign());
    let good = signed.bundle(&[instance.entry(&signed)], &[]).to_string();
    let entry = instance.entry(&other).to_string();
    let judge = |json: String| {
        let found = found(Material::Bundle { json });
        instance.wanted().verify(&found, &name(), &subject(), Timestamp::from_milliseconds(0))
    };
    assert!(judge(good.clone()).is_ok());
    let malformed = Err(Refusal::Malformed("bundle"));
    for (from, to) in [
        ("\"payload\"", r#""payload":"e30=","payload""#.to_owned()),
        ("\"certificate\"", r#""certificate":{},"certificate""#.to_owned()),
        ("\"tlogEntries\"", format!(r#""tlogEntries":[{entry}],"tlogEntries""#)),
        ("\"canonicalizedBody\"", r#""canonicalizedBody":"e30=","canonicalizedBody""#.to_owned()),
        ("\"sig\"", r#""sig":"AA==","si\u0067""#.to_owned()),
        ("\"mediaType\"", r#""mediaType":"x","mediaType""#.to_owned()),
    ] {
        let changed = good.replacen(from, &to, 1);
        assert_ne!(changed, good, "{from}");
        assert_eq!(judge(changed), malformed, "{to}");
    }
    for changed in [
        format!("\u{feff}{good}"),
        format!("{good}{good}"),
        format!("{good} x"),
        format!("[{good}]"),
        "{".repeat(10_000),
        "[".repeat(10_000),
        good.replacen('{', r#"{"x":"\ud800","#, 1),
        good.replacen('{', r#"{"x":1e999,"#, 1),
    ] {
        assert_eq!(judge(changed), malformed);
    }
}

fn attested(
    instance: &Instance,
    content: &str,
    form: &AttestationForm,
) -> Result<(String, Statement), Refusal> {
    let verified = instance.wanted().verify_attestation(
        content.as_bytes(),
        form,
        &subject(),
        Timestamp::from_milliseconds(0),
    );
    verified.map(|(proof, statement)| (proof.by, statement))
}

/// A statement of that type with a predicate.
fn provenance(kind: &str, digest: &Digest) -> String {
    let mut text = statement(digest);
    text["predicateType"] = json!(kind);
    text["predicate"] = json!({"builder": {"id": "https://builder.test"}});
    text.to_string()
}

/// T08 (CVE-2022-35929, CVE-2022-35930): neither stands in for the other, in either form.
#[test]
fn an_image_signature_is_no_attestation_and_the_reverse() {
    let instance = Instance::new();
    let bundle = |text: &str| {
        let signed = instance.sign_statement(&signer(), text);
        signed.bundle(&[instance.entry(&signed)], &[]).to_string()
    };
    let good = bundle(&provenance(PROVENANCE, &subject()));
    let (by, opened) = attested(&instance, &good, &AttestationForm::Bundle).unwrap();
    assert_eq!(opened.predicate_type, PROVENANCE);
    assert!(by.starts_with("uri https://ci.test/acme/app/"), "{by}");
    let as_signature = outcome(&serde_json::from_str(&good).unwrap(), &instance.wanted());
    assert_eq!(as_signature, Err(Refusal::NotASignature(PROVENANCE.to_owned())));
    let signature = bundle(&statement(&subject()).to_string());
    let refused = attested(&instance, &signature, &AttestationForm::Bundle).unwrap_err();
    assert_eq!(refused, Refusal::NotAnAttestation);
    let other = bundle(&provenance(PROVENANCE, &Digest::sha256(b"another image")));
    let refused = attested(&instance, &other, &AttestationForm::Bundle).unwrap_err();
    assert!(matches!(refused, Refusal::OtherImage(_)), "{refused}");
    for text in ["", "not json", "{}", "[]", "null"] {
        let refused = attested(&instance, &bundle(text), &AttestationForm::Bundle).unwrap_err();
        assert_eq!(refused, Refusal::Malformed("signed statement"), "{text:?}");
        let refused = attested(&instance, text, &AttestationForm::Bundle).unwrap_err();
        assert_eq!(refused, Refusal::Malformed("bundle"), "{text:?}");
    }
    let large = " ".repeat(ATTESTATION_BYTES_MAX + 1);
    let refused = attested(&instance, &large, &AttestationForm::Bundle).unwrap_err();
    assert_eq!(refused, Refusal::TooLarge("attestation"));
}

/// T02, T08, T32 for envelopes under the `.att` tag, whose proof stands in annotations.
#[test]
fn an_attached_envelope_counts_by_its_own_proof_only() {
    let instance = Instance::new();
    let signed = instance.sign_statement(&signer(), &provenance(PROVENANCE, &subject()));
    let other = instance.sign_statement(&signer(), &provenance("x", &subject()));
    let form = |entered: &Signed| {
        let body = entered.intoto();
        let promise = json!({
            "SignedEntryTimestamp": instance.rekor.promise(&body, PLACE),
            "Payload": {
                "body": STANDARD.encode(&body),
                "integratedTime": PLACE.at,
                "logIndex": PLACE.index,
                "logID": hex::encode(instance.rekor.id()),
            },
        });
        let certificate = super::forger::pem("CERTIFICATE", &signed.certificate);
        let proof = SimpleSigningProof {
            certificate: Some(certificate),
            bundle: Some(promise.to_string()),
            ..SimpleSigningProof::default()
        };
        AttestationForm::Envelope { proof }
    };
    let good = signed.envelope().to_string();
    assert!(attested(&instance, &good, &form(&signed)).is_ok());
    let refused = attested(&instance, &good, &form(&other));
    assert_refused(refused.map(|(by, _)| by), "payload hash does not match intoto Rekor entry");
    let none = AttestationForm::Envelope { proof: SimpleSigningProof::default() };
    assert_eq!(attested(&instance, &good, &none).unwrap_err(), Refusal::NoLogEntry);
    let malformed = Refusal::Malformed("envelope");
    for text in [
        good.replacen("\"payload\"", r#""payload":"e30=","payload""#, 1),
        format!("{good},\"messageSignature\":{{}}"),
        format!("{good}}}"),
        format!("[{good}]"),
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
    ] {
        assert_eq!(attested(&instance, &text, &form(&signed)).unwrap_err(), malformed, "{text}");
    }
}

/// T38 (CVE-2026-44309): the bytes that came are what is verified, not what they mean.
#[test]
fn what_means_the_same_in_other_bytes_is_not_what_was_signed() {
    let instance = Instance::new();
    let signed = instance.sign();
    let value: Value = serde_json::from_str(&signed.payload).unwrap();
    for text in [
        serde_json::to_string_pretty(&value).unwrap(),
        format!(" {}", signed.payload),
        format!("{}\n", signed.payload),
        signed.payload.replacen("\"subject\"", "\"s\\u0075bject\"", 1),
    ] {
        assert_ne!(text, signed.payload);
        let mut bundle = signed.bundle(&[instance.entry(&signed)], &[]);
        bundle["dsseEnvelope"]["payload"] = json!(STANDARD.encode(&text));
        assert_eq!(outcome(&bundle, &instance.wanted()), Err(Refusal::WrongKey), "{text}");
    }
    let mut simple = Simple::new(&instance, "up.test/signed/web", &subject());
    let judge = |simple: &Simple| {
        let found = simple.found(&instance.rekor, PLACE);
        instance.wanted().verify(&found, &name(), &subject(), Timestamp::from_milliseconds(0))
    };
    assert!(judge(&simple).is_ok());
    let value: Value = serde_json::from_str(&simple.payload).unwrap();
    simple.payload = serde_json::to_string_pretty(&value).unwrap();
    assert_eq!(judge(&simple), Err(Refusal::WrongKey));
}

/// What every verifier must take: statements about several things at once, by other hashes, too.
#[test]
fn a_statement_about_several_things_counts_for_each_image_among_them() {
    let instance = Instance::new();
    let package = json!({"name": "pkg:npm/acme@1.0.0", "digest": {"sha512": "ab".repeat(64)}});
    let hex = subject().hex();
    let other = Digest::sha256(b"another image");
    let mut text = statement(&subject());
    text["subject"] = json!([
        package,
        {"name": "up.test/other", "digest": {"sha256": other.hex()}},
        {"name": "up.test/signed/web", "digest": {"sha512": "cd".repeat(64), "sha256": hex}},
    ]);
    assert!(stated(&instance, &text.to_string()).is_ok());
    let mut attestation = text.clone();
    attestation["predicateType"] = json!(PROVENANCE);
    let signed = instance.sign_statement(&signer(), &attestation.to_string());
    let bundle = signed.bundle(&[instance.entry(&signed)], &[]).to_string();
    for image in [subject(), other] {
        let form = AttestationForm::Bundle;
        let verified = instance.wanted().verify_attestation(
            bundle.as_bytes(),
            &form,
            &image,
            Timestamp::from_milliseconds(0),
        );
        assert!(verified.is_ok(), "{verified:?}");
    }
    text["subject"].as_array_mut().unwrap().pop();
    assert_eq!(stated(&instance, &text.to_string()), Err(Refusal::OtherImage(other)));
    text["subject"] = json!([package]);
    assert_eq!(stated(&instance, &text.to_string()), Err(Refusal::NoImage));
}

/// T16: how many certificates a bundle may bring.
#[test]
fn a_bundle_that_brings_a_hundred_certificates_is_not_looked_at() {
    let instance = Instance::new();
    let signed = instance.sign();
    let with = |above: usize| {
        let mut bundle = signed.bundle(&[instance.entry(&signed)], &[]);
        bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
        let material = bundle["verificationMaterial"].as_object_mut().unwrap();
        let leaf = material.remove("certificate").unwrap();
        let above =
            vec![json!({"rawBytes": STANDARD.encode(&instance.between.certificate)}); above];
        let certificates = [vec![leaf], above].concat();
        material.insert("x509CertificateChain".to_owned(), json!({"certificates": certificates}));
        outcome(&bundle, &instance.wanted())
    };
    assert!(with(1).is_ok());
    assert!(with(8).is_ok());
    for above in [9, 100, 300] {
        assert_eq!(with(above), Err(Refusal::TooLarge("chain of certificates")), "{above}");
    }
}
