//! Fuzz targets for keys, simple signing and bundles.
//!
//! The seeds were made by the real cosign with the keys below, so a mutation that still verifies is
//! close at hand. Whatever verifies must carry the very bytes that were signed.

use serde_json::Value;

use super::{
    FoundSignature, Key, Material, bundle, crypto, predicate_type, simple_signing, verify,
};
use crate::oci::{Digest, Name};

/// The keys of the seeds.
const KEYS: [&str; 4] = [
    include_str!("../../tests/fixtures/signatures/p256.pub"),
    include_str!("../../tests/fixtures/signatures/p384.pub"),
    include_str!("../../tests/fixtures/signatures/rsa3072.pub"),
    include_str!("../../tests/fixtures/signatures/ed25519.pub"),
];
/// What the seeds are about.
const IMAGE: &str = "sha256:73b0af51dc1448ea133e073f51ac117df2026c9b5b7043ebe8c04f126710cfff";
const NAME: &str = "up.test/signed/web";

/// A key in PEM, a signature as evidence keeps it, or the inside of one; every reader looks.
pub(crate) fn signature(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = Key::from_pem(text) {
        let again = Key::from_pem(&format!("\n{}\n\n", text.trim()));
        assert_eq!(again.as_ref(), Ok(&key), "space around a key changes it");
        assert_eq!(key.id().len(), 64);
    }
    let (Ok(name), Ok(image)) = (NAME.parse::<Name>(), IMAGE.parse::<Digest>()) else { return };
    claims(bytes, &name, &image);
    if let Ok(found) = serde_json::from_str::<FoundSignature>(text) {
        stored(&found, &name, &image);
    }
    let found = FoundSignature {
        source: Digest::sha256(bytes),
        material: Material::Bundle { json: text.to_owned() },
    };
    stored(&found, &name, &image);
}

/// The readers behind the signature, as if it had verified.
fn claims(bytes: &[u8], name: &Name, image: &Digest) {
    let value = serde_json::from_slice::<Value>(bytes).ok();
    let at = |pointer: &str| value.as_ref().and_then(|value| value.pointer(pointer));
    if simple_signing::check_claims(bytes, name, image).is_ok() {
        assert_eq!(at("/critical/image/docker-manifest-digest"), Some(&Value::from(IMAGE)));
    }
    if bundle::check_claims(bytes, image).is_ok() {
        let hex = Value::from(image.hex());
        let subjects = at("/subject").and_then(Value::as_array);
        let names_it = |subject: &Value| subject.pointer("/digest/sha256") == Some(&hex);
        assert!(subjects.is_some_and(|subjects| subjects.iter().any(names_it)));
    }
}

fn stored(found: &FoundSignature, name: &Name, image: &Digest) {
    for pem in KEYS {
        let Ok(key) = Key::from_pem(pem) else { continue };
        if verify(found, &key, name, image).is_err() {
            continue;
        }
        let other = verify(found, &key, name, &Digest::sha256(b"another image"));
        assert!(other.is_err(), "one signature for two images");
        assert!(SIGNED.contains(&signed(found).as_str()), "verified, and nobody signed this");
        if let Material::Bundle { json } = &found.material {
            assert_eq!(predicate_type(json).as_deref(), Ok(bundle::PREDICATE_TYPE));
        }
    }
}

/// The SHA-256 of every payload that the keys above signed.
const SIGNED: [&str; 2] = [
    "343c84dae675d4066241461cc904be73084588e6cecb965813c5955831b00e8e",
    "743b0b3d231f1c8e8dad52fca5138ad68807dc9303f474a773fae6f70e91d3a9",
];

fn signed(found: &FoundSignature) -> String {
    let envelope;
    let payload = match &found.material {
        Material::SimpleSigning { payload, .. } => payload.as_str(),
        Material::Bundle { json } => {
            envelope = serde_json::from_str::<Value>(json).unwrap_or_default();
            envelope.pointer("/dsseEnvelope/payload").and_then(Value::as_str).unwrap_or_default()
        }
    };
    Digest::sha256(&crypto::decode_base64(payload, "payload").unwrap_or_default()).hex()
}
