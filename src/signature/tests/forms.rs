use proptest::prelude::*;
use serde_json::{Value, json};

use super::forger::{
    Forger, STATEMENT, bundled, found, name, payload, simple, simple_material, statement, subject,
};
use crate::oci::{Algorithm, Digest, Name};
use crate::signature::{
    BUNDLE_BYTES_MAX, Form, FoundSignature, Material, PAYLOAD_BYTES_MAX, PREDICATE_TYPE, Refusal,
    predicate_type, verify,
};

/// How far apart the flipped bytes of a dense sample are.
const SAMPLE_STEP: usize = 3;

fn check(found: &FoundSignature, forger: &Forger) -> Result<(), Refusal> {
    verify(found, &forger.key(), &name(), &subject())
}

/// A statement after `change`, bundled and validly signed.
fn bundle_with(forger: &Forger, change: impl FnOnce(&mut Value)) -> FoundSignature {
    let mut statement = statement(&subject());
    change(&mut statement);
    bundled(&forger.bundle(&statement.to_string()))
}

/// A validly signed bundle that was changed afterwards.
fn changed_bundle(forger: &Forger, change: impl FnOnce(&mut Value)) -> FoundSignature {
    let mut bundle = forger.bundle(&statement(&subject()).to_string());
    change(&mut bundle);
    bundled(&bundle)
}

#[test]
fn a_signature_in_either_form_counts_for_its_key_and_no_other() {
    for forger in [Forger::p256(), Forger::p384(), Forger::rsa()] {
        let simple = forger.simple(&payload("up.test/signed/web", &subject()));
        let bundle = bundled(&forger.bundle(&statement(&subject()).to_string()));
        assert_eq!((simple.form(), bundle.form()), (Form::SimpleSigning, Form::Bundle));
        for found in [simple, bundle] {
            assert_eq!(check(&found, &forger), Ok(()));
            for other in [Forger::p256(), Forger::p384(), Forger::rsa()] {
                assert_eq!(check(&found, &other), Err(Refusal::WrongKey));
            }
        }
    }
}

#[test]
fn ed25519_counts_in_simple_signing_only() {
    let forger = Forger::ed25519();
    let simple = forger.simple(&payload("up.test/signed/web", &subject()));
    assert_eq!(check(&simple, &forger), Ok(()));
    assert_eq!(check(&simple, &Forger::ed25519()), Err(Refusal::WrongKey));
    let bundle = bundled(&forger.bundle(&statement(&subject()).to_string()));
    let refusal = Refusal::KeyForForm { form: Form::Bundle, key: "Ed25519" };
    assert_eq!(check(&bundle, &forger), Err(refusal));
}

#[test]
fn the_padding_of_rsa_is_not_the_signatures_choice() {
    let forger = Forger::rsa_pss();
    let simple = forger.simple(&payload("up.test/signed/web", &subject()));
    let bundle = bundled(&forger.bundle(&statement(&subject()).to_string()));
    for found in [simple, bundle] {
        assert_eq!(check(&found, &forger), Err(Refusal::WrongKey));
    }
}

#[test]
fn a_signature_for_another_image_is_refused() {
    let forger = Forger::p256();
    let other = Digest::sha256(b"another image");
    let found = forger.simple(&payload("up.test/signed/web", &other));
    assert_eq!(check(&found, &forger), Err(Refusal::OtherImage(other)));
    let found = bundled(&forger.bundle(&statement(&other).to_string()));
    assert_eq!(check(&found, &forger), Err(Refusal::OtherImage(other)));
    let long = Digest::of(Algorithm::Sha512, b"the image");
    let found = bundled(&forger.bundle(&statement(&long).to_string()));
    assert_eq!(check(&found, &forger), Err(Refusal::NoImage));
    assert_eq!(verify(&found, &forger.key(), &name(), &long), Ok(()));
}

#[test]
fn a_payload_for_another_repository_is_refused() {
    let forger = Forger::p256();
    for other in [
        "up.test/signed/api",
        "up.test/signed/web2",
        "up.test/signed",
        "web",
        "signed/web",
        "mirror.test:5000/signed/web",
        "mirror.test:5000/up.test/signed/web",
        "up.test:5000/signed/web",
    ] {
        let found = forger.simple(&payload(other, &subject()));
        let expected: Name = other.parse().unwrap();
        assert_eq!(check(&found, &forger), Err(Refusal::OtherRepository(expected)));
    }
    for good in [
        "up.test/signed/web",
        "UP.test/signed/web",
        "up.test:443/signed/web",
        "up.test./signed/web",
        "up.test/signed/web:v1",
        &format!("up.test/signed/web@{}", subject()),
    ] {
        assert_eq!(check(&forger.simple(&payload(good, &subject())), &forger), Ok(()), "{good}");
    }
    let other = Digest::sha256(b"another image");
    let found = forger.simple(&payload(&format!("up.test/signed/web@{other}"), &subject()));
    assert_eq!(check(&found, &forger), Err(Refusal::OtherImage(other)));
}

#[test]
fn the_names_of_docker_hub_are_one() {
    let forger = Forger::p256();
    let nginx: Name = "docker.io/library/nginx".parse().unwrap();
    for alias in [
        "nginx",
        "docker.io/nginx",
        "index.docker.io/library/nginx",
        "registry-1.docker.io/library/nginx:1",
    ] {
        let found = forger.simple(&payload(alias, &subject()));
        assert_eq!(verify(&found, &forger.key(), &nginx, &subject()), Ok(()), "{alias}");
    }
    let found = forger.simple(&payload("docker.io/evil/nginx", &subject()));
    assert!(verify(&found, &forger.key(), &nginx, &subject()).is_err());
}

#[test]
fn a_payload_that_names_too_little_is_refused() {
    let forger = Forger::p256();
    let digest = subject();
    let kind = "cosign container image signature";
    let image = json!({"docker-manifest-digest": digest});
    let identity = json!({"docker-reference": "up.test/signed/web"});
    let malformed = Refusal::Malformed("signed payload");
    for (critical, refusal) in [
        (json!({"identity": identity, "type": kind}), Refusal::NoImage),
        (json!({"identity": identity, "image": {}, "type": kind}), Refusal::NoImage),
        (json!({"identity": identity, "image": image}), malformed.clone()),
        (
            json!({"identity": identity, "image": image, "type": "atomic container signature"}),
            Refusal::PayloadKind,
        ),
        (json!({"image": image, "type": kind}), Refusal::NoRepository),
        (json!({"identity": null, "image": image, "type": kind}), Refusal::NoRepository),
        (json!({"identity": {}, "image": image, "type": kind}), Refusal::NoRepository),
        (
            json!({"identity": {"docker-reference": ""}, "image": image, "type": kind}),
            Refusal::NoRepository,
        ),
        (
            json!({"identity": {"docker-reference": "../web"}, "image": image, "type": kind}),
            Refusal::Malformed("signed reference"),
        ),
        (
            json!({"identity": identity, "image": {"docker-manifest-digest": digest.hex()}, "type": kind}),
            malformed.clone(),
        ),
        (json!({"identity": identity, "image": [image], "type": kind}), malformed.clone()),
        (json!([]), malformed.clone()),
    ] {
        let found = forger.simple(&json!({"critical": critical}).to_string());
        assert_eq!(check(&found, &forger), Err(refusal), "{critical}");
    }
    for text in ["", "null", "{}", "[]", "\u{feff}{}", "not json"] {
        assert_eq!(check(&forger.simple(text), &forger), Err(malformed.clone()), "{text}");
    }
}

#[test]
fn duplicate_keys_under_the_signature_are_refused() {
    let forger = Forger::p256();
    let good = payload("up.test/signed/web", &subject());
    let other = Digest::sha256(b"another image");
    let twice = good.replace(
        "\"docker-manifest-digest\"",
        &format!("\"docker-manifest-digest\":\"{other}\",\"docker-manifest-digest\""),
    );
    assert_ne!(twice, good);
    assert_eq!(check(&forger.simple(&twice), &forger), Err(Refusal::Malformed("signed payload")));
    let good = statement(&subject()).to_string();
    let twice = good.replace("\"subject\"", "\"subject\":[],\"subject\"");
    assert_ne!(twice, good);
    let found = bundled(&forger.bundle(&twice));
    assert_eq!(check(&found, &forger), Err(Refusal::Malformed("signed statement")));
    let bundle = forger.bundle(&good).to_string();
    let twice = bundle.replacen("\"dsseEnvelope\"", "\"dsseEnvelope\":null,\"dsseEnvelope\"", 1);
    let bundle = super::forger::found(Material::Bundle { json: twice });
    assert_eq!(check(&bundle, &forger), Err(Refusal::Malformed("bundle")));
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    for forger in [Forger::p256(), Forger::ed25519(), Forger::rsa()] {
        let payload = payload("up.test/signed/web", &subject()).into_bytes();
        let signature = forger.sign(&payload);
        assert_eq!(check(&simple(&payload, &signature), &forger), Ok(()));
        for at in (0..payload.len()).step_by(SAMPLE_STEP) {
            let mut damaged = payload.clone();
            damaged[at] ^= 1 << (at % 8);
            assert!(check(&simple(&damaged, &signature), &forger).is_err(), "payload {at}");
        }
        for at in 0..signature.len() {
            let mut damaged = signature.clone();
            damaged[at] ^= 1 << (at % 8);
            assert!(check(&simple(&payload, &damaged), &forger).is_err(), "signature {at}");
        }
        for cut in 0..signature.len() {
            assert!(check(&simple(&payload, &signature[..cut]), &forger).is_err(), "cut {cut}");
        }
        let longer = [&signature[..], &[0]].concat();
        assert!(check(&simple(&payload, &longer), &forger).is_err());
    }
}

#[test]
fn a_flipped_byte_in_a_bundle_never_makes_it_count_for_more() {
    let forger = Forger::p256();
    let json = forger.bundle(&statement(&subject()).to_string()).to_string();
    let hint = json.find("\"hint\"").unwrap();
    for at in (0..json.len()).step_by(SAMPLE_STEP) {
        let mut bytes = json.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(json) = String::from_utf8(bytes) else { continue };
        let outcome = check(&found(Material::Bundle { json }), &forger);
        // The hint stands last, and nobody believes it.
        assert!(at >= hint || outcome.is_err(), "byte {at}");
    }
}

#[test]
fn an_envelope_needs_exactly_one_signature() {
    let forger = Forger::p256();
    let good = forger.bundle(&statement(&subject()).to_string());
    let signature = good["dsseEnvelope"]["signatures"][0].clone();
    let bad = json!({"sig": "AAAA"});
    for signatures in [json!([]), json!([signature, signature]), json!([bad, signature])] {
        let count = signatures.as_array().unwrap().len();
        let found =
            changed_bundle(&forger, |bundle| bundle["dsseEnvelope"]["signatures"] = signatures);
        assert_eq!(check(&found, &forger), Err(Refusal::SignatureCount(count)));
    }
}

#[test]
fn an_attestation_is_not_a_signature() {
    let forger = Forger::p256();
    for kind in ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document", ""] {
        let found = bundle_with(&forger, |statement| statement["predicateType"] = json!(kind));
        assert_eq!(check(&found, &forger), Err(Refusal::NotASignature(kind.into())));
        let Material::Bundle { json } = &found.material else { panic!("not a bundle") };
        assert_eq!(predicate_type(json).as_deref(), Ok(kind));
    }
    let found = bundle_with(&forger, |statement| {
        statement["predicateType"] = json!(format!("{}\n\u{1b}[31m", "x".repeat(5_000)));
    });
    let Err(Refusal::NotASignature(quoted)) = check(&found, &forger) else { panic!("accepted") };
    assert_eq!(quoted, "x".repeat(160));
    let found = bundled(&forger.bundle(&statement(&subject()).to_string()));
    let Material::Bundle { json } = &found.material else { panic!("not a bundle") };
    assert_eq!(predicate_type(json).as_deref(), Ok(PREDICATE_TYPE));
}

#[test]
fn a_statement_of_another_type_or_about_nothing_is_refused() {
    let forger = Forger::p256();
    let about = |subject: Value| move |statement: &mut Value| statement["subject"] = subject;
    let hex = subject().hex();
    for (nothing, refusal) in [
        (json!([]), Refusal::NoImage),
        (json!([{}]), Refusal::NoImage),
        (json!([{"digest": {}}]), Refusal::NoImage),
        (json!([{"digest": {"sha1": "00"}}]), Refusal::NoImage),
        (json!([{"digest": {"sha256": hex.to_uppercase()}}]), Refusal::NoImage),
        (json!([{"digest": {"SHA256": hex}}]), Refusal::NoImage),
        (json!([{"digest": {"sha256": format!("sha256:{hex}")}}]), Refusal::NoImage),
        (json!([{"digest": {"sha512": hex}}]), Refusal::NoImage),
        (json!({"digest": {"sha256": hex}}), Refusal::Malformed("signed statement")),
        (Value::Null, Refusal::Malformed("signed statement")),
    ] {
        let found = bundle_with(&forger, about(nothing.clone()));
        assert_eq!(check(&found, &forger), Err(refusal), "{nothing}");
    }
    for kind in ["https://in-toto.io/Statement/v2", "https://in-toto.io/Link/v1", ""] {
        let found = bundle_with(&forger, |statement| statement["_type"] = json!(kind));
        assert_eq!(check(&found, &forger), Err(Refusal::PayloadType), "{kind}");
    }
    let older =
        |statement: &mut Value| statement["_type"] = json!("https://in-toto.io/Statement/v0.1");
    assert_eq!(check(&bundle_with(&forger, older), &forger), Ok(()));
    for text in ["", "null", "{}", "not json"] {
        let found = bundled(&forger.bundle(text));
        assert_eq!(check(&found, &forger), Err(Refusal::Malformed("signed statement")));
    }
}

#[test]
fn the_payload_type_is_taken_to_the_letter() {
    let forger = Forger::p256();
    let statement = statement(&subject()).to_string();
    for kind in
        ["application/json", "Application/vnd.in-toto+json", "application/vnd.in-toto+json ", ""]
    {
        let found = bundled(&forger.bundle_of(kind, &statement));
        assert_eq!(check(&found, &forger), Err(Refusal::PayloadType), "{kind}");
    }
    // A length that moves from the type into the payload gives other bytes, so another signature.
    let mut bundle = forger.bundle_of("application/vnd.in-toto+json 1", &statement);
    bundle["dsseEnvelope"]["payloadType"] = json!(STATEMENT);
    assert_eq!(check(&bundled(&bundle), &forger), Err(Refusal::WrongKey));
}

#[test]
fn a_log_entry_or_timestamp_neither_helps_nor_harms_a_key_signature() {
    let forger = Forger::p256();
    let entries = json!([{"logIndex": "1", "logId": {"keyId": "AAAA"}}]);
    let with_entry = |bundle: &mut Value| {
        bundle["verificationMaterial"]["tlogEntries"] = entries;
        bundle["verificationMaterial"]["timestampVerificationData"] = json!({});
    };
    let found = changed_bundle(&forger, with_entry);
    assert_eq!(check(&found, &forger), Ok(()));
    assert_eq!(check(&found, &Forger::p256()), Err(Refusal::WrongKey));
}

#[test]
fn a_bundle_that_rests_on_a_certificate_is_refused() {
    let forger = Forger::p256();
    let certificate = json!({"rawBytes": "MIIB"});
    let both = Refusal::Malformed("bundle");
    for (material, refusal) in [
        (json!({"certificate": certificate}), Refusal::Certificate),
        (json!({"certificate": certificate, "publicKey": {"hint": ""}}), both.clone()),
        (json!({"x509CertificateChain": {"certificates": [certificate]}}), Refusal::Certificate),
        (json!({"x509CertificateChain": {"certificates": []}, "publicKey": {"hint": ""}}), both),
    ] {
        let found = changed_bundle(&forger, |bundle| bundle["verificationMaterial"] = material);
        assert_eq!(check(&found, &forger), Err(refusal));
    }
}

#[test]
fn a_bundle_of_another_shape_is_refused() {
    let forger = Forger::p256();
    let set = |key: &'static str, value: Value| move |bundle: &mut Value| bundle[key] = value;
    let malformed = Refusal::Malformed("bundle");
    for (key, value, refusal) in [
        (
            "mediaType",
            json!("application/vnd.dev.sigstore.bundle+json;version=0.4"),
            Refusal::Version,
        ),
        ("mediaType", json!("application/vnd.dev.sigstore.bundle.v0.4+json"), Refusal::Version),
        ("mediaType", json!(""), Refusal::Version),
        ("mediaType", Value::Null, malformed.clone()),
        ("verificationMaterial", json!({}), malformed.clone()),
        ("verificationMaterial", Value::Null, malformed.clone()),
        ("dsseEnvelope", Value::Null, Refusal::NotAStatement),
        ("messageSignature", json!({"signature": "AAAA"}), Refusal::NotAStatement),
        ("dsseEnvelope", json!([]), malformed.clone()),
    ] {
        let found = changed_bundle(&forger, set(key, value.clone()));
        assert_eq!(check(&found, &forger), Err(refusal), "{key} {value}");
    }
    for version in ["0.1", "0.2", "0.3"] {
        let version = json!(format!("application/vnd.dev.sigstore.bundle+json;version={version}"));
        assert_eq!(check(&changed_bundle(&forger, set("mediaType", version)), &forger), Ok(()));
    }
}

#[test]
fn base64_of_another_alphabet_is_refused() {
    let forger = Forger::p256();
    let url_safe = |text: &str| text.replace('+', "-").replace('/', "_");
    // A signature that has a + or / in base64: nearly every one, but luck is not a test.
    let signature = loop {
        let found = forger.simple(&payload("up.test/signed/web", &subject()));
        let Material::SimpleSigning { payload, signature, .. } = found.material else { continue };
        if url_safe(&signature) != signature {
            break (payload, signature);
        }
    };
    let (payload, signature) = signature;
    let with = |signature: String| found(simple_material(payload.clone(), signature));
    assert_eq!(check(&with(signature.clone()), &forger), Ok(()));
    let (front, back) = signature.split_at(20);
    for lines in [format!("{signature}\n"), format!("{front}\r\n{back}\n")] {
        assert_eq!(check(&with(lines), &forger), Ok(()), "as openssl writes them");
    }
    for bad in [url_safe(&signature), format!("{front}\t{back}"), format!(" {signature}")] {
        assert_eq!(check(&with(bad), &forger), Err(Refusal::Encoding("signature")));
    }
    let found = changed_bundle(&forger, |bundle| {
        let text = bundle["dsseEnvelope"]["payload"].as_str().unwrap().to_owned();
        bundle["dsseEnvelope"]["payload"] = json!(format!("-{}", &text[1..]));
    });
    assert_eq!(check(&found, &forger), Err(Refusal::Encoding("payload")));
}

#[test]
fn sizes_are_bounded() {
    let forger = Forger::p256();
    let padded = |length: usize| {
        let mut text = payload("up.test/signed/web", &subject());
        text.push_str(&" ".repeat(length - text.len()));
        check(&forger.simple(&text), &forger)
    };
    assert_eq!(padded(PAYLOAD_BYTES_MAX), Ok(()));
    assert_eq!(padded(PAYLOAD_BYTES_MAX + 3), Err(Refusal::TooLarge("payload")));
    let text = payload("up.test/signed/web", &subject());
    let refusal = check(&simple(text.as_bytes(), &[0x30; 5_000]), &forger);
    assert_eq!(refusal, Err(Refusal::TooLarge("signature")));
    let mut json = forger.bundle(&statement(&subject()).to_string()).to_string();
    json.push_str(&" ".repeat(BUNDLE_BYTES_MAX - json.len()));
    assert_eq!(check(&found(Material::Bundle { json: json.clone() }), &forger), Ok(()));
    json.push(' ');
    let found = found(Material::Bundle { json });
    assert_eq!(check(&found, &forger), Err(Refusal::TooLarge("bundle")));
}

#[test]
fn nesting_is_bounded() {
    let forger = Forger::p256();
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let text = payload("up.test/signed/web", &subject()).replace("null", &deep);
    assert_eq!(check(&forger.simple(&text), &forger), Err(Refusal::Malformed("signed payload")));
    let bundle = forger.bundle(&statement(&subject()).to_string()).to_string();
    let json = bundle.replace("\"anything\"", &deep);
    assert_ne!(json, bundle);
    let found = found(Material::Bundle { json });
    assert_eq!(check(&found, &forger), Err(Refusal::Malformed("bundle")));
}

proptest! {
    #[test]
    fn verifying_never_panics(json in ".{0,300}", payload in ".{0,100}", signature in ".{0,100}") {
        let key = Forger::p256();
        let bundle = found(Material::Bundle { json });
        let simple = found(simple_material(payload, signature));
        prop_assert!(check(&bundle, &key).is_err() && check(&simple, &key).is_err());
    }

    #[test]
    fn damaged_bundles_never_panic(at in 0_usize..600, with in any::<char>()) {
        let forger = Forger::p256();
        let json = forger.bundle(&statement(&subject()).to_string()).to_string();
        let json = json.chars().enumerate().map(|(i, c)| if i == at { with } else { c }).collect();
        let outcome = check(&found(Material::Bundle { json }), &forger);
        prop_assert_ne!(outcome, Err(Refusal::LibraryPanicked));
    }
}
