//! Envelopes that are validly signed by a good certificate, and wrong.

use coset::cbor::Value as Cbor;
use coset::{CoseSign1Builder, HeaderBuilder, TaggedCborSerializable as _, iana};
use rcgen::{BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use serde_json::{Value, json};

use super::forger::{Forger, authority, image, leaf, named, now, payload, protected};
use crate::signature::Form;
use crate::signature::notation::verify;

#[track_caller]
fn assert_refused(forger: &Forger, envelope: &str, why: &str) {
    match forger.outcome(envelope) {
        Err(text) => assert!(text.contains(why), "{text}, not {why}"),
        Ok(proof) => panic!("accepted: {proof:?}, not {why}"),
    }
}

/// The protected header with some of it changed; `null` takes away.
fn changed(changes: &Value) -> String {
    let mut header = protected();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            header.as_object_mut().unwrap().remove(key);
        } else {
            header[key] = value.clone();
        }
    }
    header.to_string()
}

#[test]
fn the_forger_can_do_it_right() {
    let forger = Forger::new();
    assert!(forger.outcome(&forger.good().to_string()).is_ok());
    let authority = json!({
        "crit": ["io.cncf.notary.signingScheme", "io.cncf.notary.authenticSigningTime"],
        "io.cncf.notary.signingScheme": "notary.x509.signingAuthority",
        "io.cncf.notary.signingTime": null,
        "io.cncf.notary.authenticSigningTime": "2026-05-01T00:00:00Z",
        "a note": "that nobody has to understand",
    });
    let envelope = forger.envelope(&changed(&authority), &payload());
    assert!(forger.outcome(&envelope.to_string()).is_ok());
}

/// T26: what a signed header may not say, or must.
#[test]
fn headers_that_say_too_much_or_too_little_are_refused() {
    const SCHEME: &str = "io.cncf.notary.signingScheme";
    const EXPIRY: &str = "io.cncf.notary.expiry";
    const PLUGIN: &str = "io.cncf.notary.verificationPlugin";
    let forger = Forger::new();
    let algorithm = "algorithm is not the one for its key";
    let critical = "list of critical attributes is not well formed";
    let header = "protected header is not well formed";
    let time = "signing time of the envelope is not well formed";
    for (changes, why) in [
        (json!({"alg": "none"}), algorithm),
        (json!({"alg": "HS256"}), algorithm),
        (json!({"alg": "ES384"}), algorithm),
        (json!({"alg": "PS256"}), algorithm),
        (json!({"alg": "RS256"}), algorithm),
        (json!({"alg": "es256"}), algorithm),
        (json!({"alg": ["ES256"]}), header),
        (json!({"alg": null}), header),
        (json!({"cty": "application/json"}), "payload is not an image signature"),
        (json!({"cty": null}), header),
        (json!({"crit": null}), header),
        (json!({"crit": "io.cncf.notary.signingScheme"}), header),
        (json!({"crit": []}), critical),
        (json!({"crit": [SCHEME, SCHEME]}), "insists on io.cncf.notary.signingScheme"),
        (json!({"crit": [SCHEME, "b64"], "b64": false}), "insists on b64"),
        (json!({"crit": [SCHEME, "x"], "x": 1}), "insists on x"),
        (json!({"crit": [SCHEME, "absent"]}), "insists on absent"),
        (json!({"crit": [SCHEME, "alg"]}), "insists on alg"),
        (json!({(EXPIRY): "2027-01-01T00:00:00Z"}), critical),
        (json!({"crit": [SCHEME, EXPIRY], (EXPIRY): 1}), header),
        (json!({"crit": [SCHEME, EXPIRY], (EXPIRY): "2026-05-02"}), header),
        (json!({"crit": [SCHEME, EXPIRY], (EXPIRY): "2026-05-31T00:00:00Z"}), "expired at"),
        (json!({"crit": [SCHEME, EXPIRY], (EXPIRY): "2026-05-01T00:00:00Z"}), "expires before"),
        (json!({"crit": [SCHEME, PLUGIN], (PLUGIN): "p"}), "insists on io.cncf.notary.verif"),
        (json!({(PLUGIN): "p"}), "insists on io.cncf.notary.verificationPlugin"),
        (json!({(SCHEME): "notary.x509.other"}), "scheme notary.x509.other is not supported"),
        (json!({(SCHEME): null}), header),
        (json!({"io.cncf.notary.signingTime": null}), time),
        (json!({"io.cncf.notary.authenticSigningTime": "2026-05-01T00:00:00Z"}), time),
        (json!({(SCHEME): "notary.x509.signingAuthority"}), time),
    ] {
        let envelope = forger.envelope(&changed(&changes), &payload());
        assert_refused(&forger, &envelope.to_string(), why);
    }
    let twice = protected().to_string().replacen('{', "{\"alg\": \"none\",", 1);
    assert_refused(&forger, &forger.envelope(&twice, &payload()).to_string(), header);
}

/// T26: what is not signed cannot say anything about what is.
#[test]
fn nothing_outside_the_signature_counts() {
    let forger = Forger::new();
    let good = forger.good();
    let mut louder = good.clone();
    louder["header"]["alg"] = json!("none");
    louder["header"]["io.cncf.notary.expiry"] = json!("2020-01-01T00:00:00Z");
    assert!(forger.outcome(&louder.to_string()).is_ok(), "it is ignored");
    for (member, value, why) in [
        ("signature", json!(""), "signature does not verify"),
        ("signature", json!("AA=="), "signature is not base64url"),
        ("payload", json!("eyJ9"), "signature does not verify"),
        ("signature", Value::Null, "envelope is not well formed"),
        ("header", json!({"x5c": []}), "chain of certificates is not well formed"),
        ("header", json!({}), "envelope is not well formed"),
        ("header", json!({"x5c": ["AA"]}), "certificate is not standard base64"),
        ("header", json!({"x5c": ["MAA="]}), "certificate is not well formed"),
        ("header", json!({"x5c": vec!["MAA="; 11]}), "chain of certificates is too large"),
    ] {
        let mut envelope = good.clone();
        envelope[member] = value;
        assert_refused(&forger, &envelope.to_string(), why);
    }
    let other = Forger::new();
    let mut swapped = good.clone();
    swapped["header"]["x5c"] = other.good()["header"]["x5c"].clone();
    assert_refused(&forger, &swapped.to_string(), "signature does not verify with its certificate");
    let text = good.to_string();
    for (text, why) in [
        (format!("{text} "), ""),
        (format!("{text}x"), "envelope is not well formed"),
        (format!("\u{feff}{text}"), "envelope is not well formed"),
        (text.replacen('{', "{\"payload\": \"e30\",", 1), "envelope is not well formed"),
        (format!("[{text}]"), "envelope is not well formed"),
        (" ".repeat(300_000), "envelope is too large"),
        ("[".repeat(100_000), "envelope is not well formed"),
    ] {
        if why.is_empty() {
            assert!(forger.outcome(&text).is_ok(), "space behind it");
        } else {
            assert_refused(&forger, &text, why);
        }
    }
}

/// T32: what is signed must be plain.
#[test]
fn payloads_that_can_be_read_in_two_ways_are_refused() {
    let forger = Forger::new();
    let digest = image();
    let other = crate::oci::Digest::sha256(b"other");
    for (payload, why) in [
        (format!(r#"{{"targetArtifact":{{"digest":"{other}"}}}}"#), "signed for another digest"),
        (
            format!(r#"{{"targetArtifact":{{"digest":"{other}","digest":"{digest}"}}}}"#),
            "signed payload is not well formed",
        ),
        (
            format!(r#"{{"targetArtifact":{{}},"targetArtifact":{{"digest":"{digest}"}}}}"#),
            "signed payload is not well formed",
        ),
        (format!(r#"{{"targetArtifact":["{digest}"]}}"#), "signed payload is not well formed"),
        (format!(r#"{{"digest":"{digest}"}}"#), "signed payload is not well formed"),
        (format!(r#"{{"targetArtifact":{{"digest":"{digest}"}}}} x"#), "is not well formed"),
        (r#"{"targetArtifact":{"digest":"sha256:0"}}"#.to_owned(), "is not well formed"),
        (String::new(), "is not well formed"),
    ] {
        assert_refused(
            &forger,
            &forger.envelope(&protected().to_string(), &payload).to_string(),
            why,
        );
    }
}

/// Certificates that a good authority issued, for something else.
#[test]
fn certificates_for_other_purposes_are_refused() {
    let mut forger = Forger::new();
    let with = |change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let mut params = leaf();
        change(&mut params);
        params
    };
    let strange = || {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        extension
    };
    for (params, why) in [
        (with(&|it| it.key_usages.clear()), "is not for signatures only"),
        (with(&|it| it.key_usages.push(KeyUsagePurpose::CrlSign)), "is not for signatures only"),
        (with(&|it| it.key_usages.push(KeyUsagePurpose::KeyCertSign)), "not for signatures only"),
        (
            with(&|it| it.key_usages = vec![KeyUsagePurpose::KeyAgreement]),
            "not for signatures only",
        ),
        (
            with(&|it| it.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth)),
            "is not for signing code only",
        ),
        (
            with(&|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping]),
            "is not for signing code only",
        ),
        (
            with(&|it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            "is an authority, not a signer",
        ),
        (with(&|it| it.custom_extensions.push(strange())), "critical extension 1.2.3.4"),
        (with(&|it| it.not_before = rcgen::date_time_ymd(2026, 7, 1)), "was not valid yet at"),
        (with(&|it| it.not_after = rcgen::date_time_ymd(2026, 5, 1)), "was expired at"),
    ] {
        forger.chain = forger.certified(&params);
        assert_refused(&forger, &forger.good().to_string(), why);
    }
    let mut nobody = leaf();
    nobody.distinguished_name = rcgen::DistinguishedName::new();
    forger.chain = forger.certified(&nobody);
    assert_refused(&forger, &forger.good().to_string(), "subject of the certificate has no C");
}

#[test]
fn chains_that_are_none_are_refused() {
    let mut forger = Forger::new();
    let good = forger.chain.clone();
    let mut constrained = authority("between");
    constrained.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    forger.chain = forger.below(constrained);
    assert!(forger.outcome(&forger.good().to_string()).is_ok());
    let mut no_authority = named("between");
    no_authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut no_issuer = authority("between");
    no_issuer.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    for between in [no_authority, no_issuer] {
        forger.chain = forger.below(between);
        assert_refused(&forger, &forger.good().to_string(), "is not for issuing certificates");
    }
    for (chain, why) in [
        (vec![good[0].clone()], "chain does not end in a root"),
        (vec![good[0].clone(), good[1].clone(), good[1].clone()], "chain goes on after a root"),
        (vec![good[0].clone(), Forger::new().chain[1].clone()], "was not issued by"),
        (vec![good[1].clone(), good[0].clone()], "chain goes on after a root"),
    ] {
        forger.chain = chain;
        assert_refused(&forger, &forger.good().to_string(), why);
    }
    let mut short = authority("root");
    short.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let mut forger = Forger::with_root(short);
    forger.chain = forger.below(authority("between"));
    assert_refused(&forger, &forger.good().to_string(), "chain is longer than");
    forger.chain = forger.alone(&leaf());
    assert!(forger.outcome(&forger.good().to_string()).is_ok(), "a signer may be its own root");
    // Nothing of the right length, name or key makes up for bytes that the store does not have.
    let twin = Forger::with_root(authority("root"));
    let judged = verify(
        twin.good().to_string().as_bytes(),
        Form::NotationJws,
        &Forger::new().signer(),
        &image(),
        now(),
    );
    assert_eq!(judged.unwrap_err().to_string(), "certificate is by no authority of the trust root");
}

/// What is done to a good header and payload before they are signed.
type Change<'a> = &'a dyn Fn(&mut coset::Header, &mut Option<Vec<u8>>);

fn cose(forger: &Forger, change: Change<'_>) -> Vec<u8> {
    let text = |text: &str| Cbor::Text(text.to_owned());
    let time = || Cbor::Tag(1, Box::new(Cbor::Integer(1_777_000_000.into())));
    let mut header = HeaderBuilder::new()
        .algorithm(iana::Algorithm::ES256)
        .content_type("application/vnd.cncf.notary.payload.v1+json".to_owned())
        .text_value("io.cncf.notary.signingScheme".to_owned(), text("notary.x509"))
        .text_value("io.cncf.notary.signingTime".to_owned(), time())
        .build();
    header.crit =
        vec![coset::RegisteredLabelWithPrivate::Text("io.cncf.notary.signingScheme".to_owned())];
    let mut payload = Some(payload().into_bytes());
    change(&mut header, &mut payload);
    let chain = forger.chain.iter().map(|der| Cbor::Bytes(der.clone())).collect();
    let unprotected = HeaderBuilder::new().value(33, Cbor::Array(chain)).build();
    let mut builder = CoseSign1Builder::new().protected(header).unprotected(unprotected);
    if let Some(payload) = payload {
        builder = builder.payload(payload);
    }
    builder.create_signature(&[], |message| forger.sign(message)).build().to_tagged_vec().unwrap()
}

/// T26 in the other encoding.
#[test]
fn the_same_holds_for_cose() {
    let forger = Forger::new();
    let judge = |bytes: &[u8]| {
        forger.judge(bytes, Form::NotationCose).map_err(|refusal| refusal.to_string())
    };
    let good = cose(&forger, &|_, _| {});
    assert!(judge(&good).is_ok());
    let algorithm = |of| coset::RegisteredLabelWithPrivate::Assigned(of);
    let label = |text: &str| coset::Label::Text(text.to_owned());
    let drop = |header: &mut coset::Header, name: &str| {
        header.rest.retain(|(key, _)| *key != coset::Label::Text(name.to_owned()));
    };
    let critical = |text: &str| coset::RegisteredLabelWithPrivate::Text(text.to_owned());
    let cases: [(Change<'_>, &str); 11] = [
        (&|it, _| it.alg = Some(algorithm(iana::Algorithm::ES384)), "not the one for its key"),
        (
            &|it, _| it.alg = Some(algorithm(iana::Algorithm::HMAC_256_256)),
            "not the one for its key",
        ),
        (&|it, _| it.alg = None, "not the one for its key"),
        (&|it, _| it.content_type = None, "payload is not an image signature"),
        (&|it, _| it.crit.clear(), "list of critical attributes"),
        (&|it, _| it.crit.push(critical("x")), "insists on x"),
        (
            &|it, _| {
                it.crit
                    .push(coset::RegisteredLabelWithPrivate::Assigned(iana::HeaderParameter::Kid));
            },
            "insists on 4",
        ),
        (&|it, _| drop(it, "io.cncf.notary.signingScheme"), "envelope is not well formed"),
        (
            &|it, _| {
                drop(it, "io.cncf.notary.signingTime");
                it.rest.push((label("io.cncf.notary.signingTime"), Cbor::Integer(1.into())));
            },
            "envelope is not well formed",
        ),
        (
            &|it, _| it.rest.push((label("io.cncf.notary.verificationPlugin"), Cbor::Null)),
            "insists on io.cncf.notary.verificationPlugin",
        ),
        (&|_, payload| *payload = None, "envelope is not well formed"),
    ];
    for (change, why) in cases {
        match judge(&cose(&forger, change)) {
            Err(text) => assert!(text.contains(why), "{text}, not {why}"),
            Ok(proof) => panic!("accepted: {proof:?}, not {why}"),
        }
    }
    let untagged = good.get(1..).unwrap();
    let longer = [good.as_slice(), &[0]].concat();
    let deep = [vec![0x81; 100_000], vec![0]].concat();
    let endless = [&[0xd2, 0x84, 0x5b][..], &[0x7f; 8]].concat();
    for bytes in [untagged, &longer, &deep, &endless, &[], &[0xd2]] {
        assert!(judge(bytes).is_err());
    }
}
