//! What the real cosign 2.5 and 3.1 made, with throw-away keys (`tests/fixtures/signatures`).

use crate::oci::Digest;
use crate::signature::{Form, FoundSignature, Key, Refusal, verify};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/signatures/", $name))
    };
}

const KEYS: [&str; 4] =
    [fixture!("p256.pub"), fixture!("p384.pub"), fixture!("rsa3072.pub"), fixture!("ed25519.pub")];
const SIMPLE: [&str; 4] = [
    fixture!("cosign-2.5-p256.json"),
    fixture!("cosign-2.5-p384.json"),
    fixture!("cosign-2.5-rsa3072.json"),
    fixture!("cosign-2.5-ed25519.json"),
];
const BUNDLES: [&str; 4] = [
    fixture!("cosign-3.1-p256.json"),
    fixture!("cosign-3.1-p384.json"),
    fixture!("cosign-3.1-rsa3072.json"),
    fixture!("cosign-3.1-ed25519.json"),
];
const IMAGE: &str = "sha256:73b0af51dc1448ea133e073f51ac117df2026c9b5b7043ebe8c04f126710cfff";

#[test]
fn what_cosign_signs_counts_for_its_key_only() {
    let name = "up.test/signed/web".parse().unwrap();
    let image: Digest = IMAGE.parse().unwrap();
    let keys = KEYS.map(|pem| Key::from_pem(pem).unwrap());
    for (made_by, text) in SIMPLE.iter().chain(&BUNDLES).enumerate() {
        let found: FoundSignature = serde_json::from_str(text).unwrap();
        let made_by = made_by % KEYS.len();
        for (index, key) in keys.iter().enumerate() {
            let outcome = verify(&found, key, &name, &image);
            let ed25519 = format!("{key:?}").starts_with("Ed25519");
            let expected = match found.form() {
                Form::Bundle if ed25519 => {
                    Err(Refusal::KeyForForm { form: Form::Bundle, key: "Ed25519" })
                }
                _ if index == made_by => Ok(()),
                _ => Err(Refusal::WrongKey),
            };
            assert_eq!(outcome, expected, "{text} {key:?}");
        }
        if let Ok(()) = verify(&found, &keys[made_by], &name, &image) {
            let other = verify(&found, &keys[made_by], &name, &Digest::sha256(b""));
            assert_eq!(other, Err(Refusal::OtherImage(image)));
        }
    }
}

#[test]
fn a_found_signature_survives_being_stored() {
    for text in SIMPLE.iter().chain(&BUNDLES) {
        let found: FoundSignature = serde_json::from_str(text).unwrap();
        let stored = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<FoundSignature>(&stored).unwrap(), found);
    }
}
