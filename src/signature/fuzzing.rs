//! Fuzz targets for keys, simple signing and bundles.
//!
//! The seeds were made by the real cosign with the keys below, so a mutation that still verifies is
//! close at hand. Whatever verifies must carry the very bytes that were signed.

use std::sync::LazyLock;

use serde_json::Value;

use super::{
    AttestationForm, FoundSignature, Identity, Key, Material, Refusal, Signer, SimpleSigningProof,
    SubjectKind, TrustRoot, Wanted, bundle, crypto, mistakes_in, predicate_type, simple_signing,
    verify,
};
use crate::oci::{Digest, Name};
use crate::time::Timestamp;

/// When it is judged.
const NOW: Timestamp = Timestamp::from_milliseconds(1_798_000_000_000);

pub(crate) use super::notation::fuzzing::notation;

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
    // Whatever is a trust root can be asked what it is for.
    if let Ok(root) = TrustRoot::from_json(text) {
        let _: bool = root.is_for_certificates();
        drop((root.parts(), root.warnings(NOW)));
        assert!(mistakes_in(text).is_empty(), "a root that can be used has no mistakes");
    } else {
        assert!(!mistakes_in(text).is_empty(), "what cannot be used has mistakes");
    }
    if let Ok(key) = Key::from_jwk(text) {
        assert_eq!(key.id().len(), 64);
    }
    if let Ok(key) = Key::from_pem(text) {
        let again = Key::from_pem(&format!("\n{}\n\n", text.trim()));
        assert_eq!(again.as_ref(), Ok(&key), "space around a key changes it");
        assert_eq!(key.id().len(), 64);
    }
    let (Ok(name), Ok(image)) = (NAME.parse::<Name>(), IMAGE.parse::<Digest>()) else { return };
    claims(bytes, &name, &image);
    attestation(bytes, &image);
    if let Ok(found) = serde_json::from_str::<FoundSignature>(text) {
        stored(&found, &name, &image);
    }
    let found = FoundSignature {
        source: Digest::sha256(bytes),
        material: Material::Bundle { json: text.to_owned() },
    };
    stored(&found, &name, &image);
}

/// Nobody attested anything with the keys of the seeds: what they signed are image signatures.
fn attestation(content: &[u8], image: &Digest) {
    let forms = [
        AttestationForm::Bundle,
        AttestationForm::Envelope { proof: SimpleSigningProof::default() },
    ];
    for form in forms {
        for pem in KEYS {
            let Ok(key) = Key::from_pem(pem) else { continue };
            let outcome = Signer::key(key).verify_attestation(content, &form, image, NOW);
            let refusal = outcome.err();
            assert!(refusal.is_some(), "an attestation that nobody made");
            assert_ne!(refusal, Some(Refusal::LibraryPanicked), "a panic is a finding");
        }
        if let Some(signer) = KEYLESS.as_ref() {
            let refusal = signer.verify_attestation(content, &form, image, NOW).err();
            assert_ne!(refusal, Some(Refusal::LibraryPanicked), "a panic is a finding");
        }
    }
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

/// Who signed the seeds with certificates, by the root of the instance that issued them.
static KEYLESS: LazyLock<Option<Signer>> = LazyLock::new(|| {
    let root = include_str!("../../tests/fixtures/signatures/keyless/trusted-root.json");
    let exact = |text: &str| Wanted::Exact(text.to_owned());
    let identity = Identity {
        issuer: exact("https://issuer.test"),
        subject: exact("https://ci.test/acme/app/release.yml@refs/tags/v1"),
        kind: SubjectKind::Uri,
    };
    Some(Signer::keyless(TrustRoot::from_json(root).ok()?, identity))
});
/// What those seeds are about.
const KEYLESS_IMAGE: &str =
    "sha256:bf5c4ecb7abeae800cd612409315078c2e88747e1506be9bfb665e8dda3f7f7d";
const KEYLESS_NAME: &str = "up.test/lib/app";

/// What verifies with a certificate must be about the image of the seeds and no other.
fn keyless(found: &FoundSignature) {
    let (Ok(name), Ok(image)) = (KEYLESS_NAME.parse::<Name>(), KEYLESS_IMAGE.parse::<Digest>())
    else {
        return;
    };
    let Some(signer) = KEYLESS.as_ref() else { return };
    let other = signer.verify(found, &name, &Digest::sha256(b"a third image"), NOW);
    assert!(other.is_err(), "nobody signed a third image");
    let verified = signer.verify(found, &name, &image, NOW);
    assert_ne!(verified, Err(Refusal::LibraryPanicked), "a panic is a finding");
    if verified.is_ok() {
        let payload = crypto::decode_base64(&payload(found), "payload").unwrap_or_default();
        let payload = String::from_utf8_lossy(&payload);
        assert!(payload.contains(&image.hex()), "verified, and does not name the image");
    }
}

fn stored(found: &FoundSignature, name: &Name, image: &Digest) {
    keyless(found);
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
    let payload = payload(found);
    Digest::sha256(&crypto::decode_base64(&payload, "payload").unwrap_or_default()).hex()
}

fn payload(found: &FoundSignature) -> String {
    match &found.material {
        Material::SimpleSigning { payload, .. } => payload.clone(),
        Material::Bundle { json } => {
            let envelope = serde_json::from_str::<Value>(json).unwrap_or_default();
            let payload = envelope.pointer("/dsseEnvelope/payload").and_then(Value::as_str);
            payload.unwrap_or_default().to_owned()
        }
        // Neither a key nor a certificate of Sigstore takes these.
        Material::NotationCose { .. } | Material::NotationJws { .. } => String::new(),
    }
}
