//! Parts of envelopes from the Notary Project's own tests, where they are at hand
//! (`PRATIQUE_TEST_DATA`).

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::signature::Refusal;
use crate::signature::notation::certificate::Certificate;
use crate::signature::notation::{cose, countersignature, jws};
use crate::signature::tests::instance::assert_refused;

/// The folder of vectors; `None`, with a line that says so, when there is none.
fn vectors(folder: &str) -> Option<PathBuf> {
    let data = std::env::var_os("PRATIQUE_TEST_DATA").map(PathBuf::from);
    let folder = data.map(|data| data.join("vectors").join(folder)).filter(|path| path.is_dir());
    if folder.is_none() {
        println!("skipped: PRATIQUE_TEST_DATA has no such vectors");
    }
    folder
}

/// Both insist on an attribute of their own, which a caller of theirs understands and nobody here.
#[test]
fn the_envelopes_of_the_specification_insist_on_something_unknown() {
    let Some(folder) = vectors("notation-core-go/signature") else { return };
    let read = |file: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap()
    };
    let mut envelope = read("jws/testdata/conformance.json");
    let unchained = jws::read(envelope.to_string().as_bytes()).map(drop);
    assert_eq!(unchained, Err(Refusal::Malformed("envelope")), "it has no certificates");
    envelope["header"]["x5c"] = json!([]);
    let outcome = jws::read(envelope.to_string().as_bytes()).map(drop);
    assert_eq!(outcome, Err(Refusal::CriticalAttribute("signedCritKey1".to_owned())));
    let envelope = read("cose/testdata/conformance.json");
    let bytes = hex::decode(envelope["expectedOutput"]["cborHex"].as_str().unwrap()).unwrap();
    let outcome = cose::read(&bytes).map(drop);
    assert_eq!(outcome, Err(Refusal::CriticalAttribute("signedCritKey1".to_owned())));
}

#[test]
fn the_tokens_of_notation_are_good_for_what_they_saw_or_refused_by_what_is_wrong() {
    let Some(go) = vectors("notation-go/verifier/testdata/timestamp") else { return };
    let Some(core) = vectors("notation-core-go/internal/timestamp/testdata") else { return };
    let root = |path: PathBuf| vec![Certificate::read(&fs::read(path).unwrap()).unwrap()];
    let global_sign = root(go.join("../truststore/x509/tsa/test-timestamp/globalsignRoot.cer"));
    let digi_cert = root(core.join("tsaRootCert.cer"));
    // What a token of each envelope saw is that envelope's signature.
    for (file, is_cose) in [
        ("jwsWithTimestamp", false),
        ("coseWithTimestamp", true),
        ("jwsExpiredWithTimestamp", false),
        ("coseExpiredWithTimestamp", true),
    ] {
        let bytes = fs::read(go.join(format!("sigEnv/{file}.sig"))).unwrap();
        let envelope = if is_cose { cose::read(&bytes) } else { jws::read(&bytes) }.unwrap();
        let token = envelope.timestamp.unwrap();
        let verified = countersignature::verify(&token, &envelope.signature, &global_sign);
        assert!(verified.is_ok(), "{file}: {verified:?}");
        let refused = countersignature::verify(&token, &envelope.signature, &digi_cert);
        assert_refused(refused.map(drop), "by no authority of the trust root");
        let refused = countersignature::verify(&token, b"something else", &global_sign);
        assert_refused(refused.map(drop), "timestamp is for another signature");
    }
    let message = b"notation";
    for (path, why) in [
        (go.join("countersignature/TimeStampToken.p7s"), ""),
        (
            go.join("countersignature/TimeStampTokenWithoutCertificate.p7s"),
            "does not bring the certificate of its signer",
        ),
        (
            go.join("countersignature/TimeStampTokenWithInvalideContentType.p7s"),
            "is a signature over something else",
        ),
        (
            go.join("countersignature/TimeStampTokenWithInvalidTSTInfo.p7s"),
            "timestamp is not well formed",
        ),
        (core.join("TimeStampTokenWithInvalidSignature.p7s"), "signature does not verify"),
    ] {
        let token = fs::read(&path).unwrap();
        let outcome = countersignature::verify(&token, message, &global_sign);
        if why.is_empty() {
            assert!(outcome.is_ok(), "{}: {outcome:?}", path.display());
        } else {
            assert_refused(outcome.map(drop), why);
        }
    }
}
