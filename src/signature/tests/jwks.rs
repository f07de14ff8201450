//! JSON Web Keys: the same keys in another spelling, and everything that contradicts itself.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::forger::{Forger, pem};
use crate::signature::{Key, KeyError};

fn url(bytes: &[u8]) -> Value {
    json!(URL_SAFE_NO_PAD.encode(bytes))
}

/// The numbers of an RSA key out of its `SubjectPublicKeyInfo`, of 2048 bits.
fn numbers(spki: &[u8]) -> (&[u8], &[u8]) {
    let start = spki.len() - 5 - 256;
    (&spki[start..start + 256], &spki[spki.len() - 3..])
}

fn jwk(forger: &Forger) -> Value {
    let spki = forger.spki();
    match (forger, spki.len()) {
        (Forger::Ecdsa(_), length) => {
            let (name, half) = if length < 100 { ("P-256", 32) } else { ("P-384", 48) };
            let (x, y) = spki[length - 2 * half..].split_at(half);
            json!({"kty": "EC", "crv": name, "x": url(x), "y": url(y)})
        }
        (Forger::Ed25519(_), length) => {
            json!({"kty": "OKP", "crv": "Ed25519", "x": url(&spki[length - 32..])})
        }
        (Forger::Rsa(..), _) => {
            let (n, e) = numbers(&spki);
            json!({"kty": "RSA", "n": url(n), "e": url(e)})
        }
    }
}

fn read(jwk: &Value) -> Result<Key, KeyError> {
    Key::from_jwk(&jwk.to_string())
}

fn with(jwk: &Value, name: &str, value: Value) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = value;
    jwk
}

fn all() -> [Forger; 4] {
    [Forger::p256(), Forger::p384(), Forger::ed25519(), Forger::rsa()]
}

#[test]
fn a_json_web_key_is_the_same_key_as_its_pem() {
    for (forger, algs) in
        all().iter().zip([["ES256"; 2], ["ES384"; 2], ["EdDSA", "Ed25519"], ["RS256"; 2]])
    {
        let jwk = jwk(forger);
        let key = read(&jwk).unwrap_or_else(|error| panic!("{error}: {jwk}"));
        assert_eq!(key, forger.key());
        for alg in algs {
            let said =
                json!({"alg": alg, "use": "sig", "key_ops": ["verify"], "kid": "a", "ext": true});
            let mut jwk = jwk.clone();
            jwk.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            assert_eq!(read(&jwk).unwrap().id(), key.id(), "{alg}");
        }
    }
    // RFC 7517, appendix A.1.
    let x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    let y = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
    assert!(read(&json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})).is_ok());
}

#[test]
fn a_private_key_is_refused_by_the_name_of_what_is_private_in_it() {
    for forger in &all() {
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            let error = read(&with(&jwk(forger), name, json!("AQAB"))).unwrap_err().to_string();
            assert!(error.contains(&format!("private member \"{name}\"")), "{error}");
            assert!(!error.contains("AQAB"), "{error}");
        }
    }
    let secret = read(&json!({"kty": "oct", "k": "c2VjcmV0"})).unwrap_err().to_string();
    assert!(secret.contains("private member \"k\""), "{secret}");
}

#[test]
fn what_a_key_says_it_is_for_is_held_against_it() {
    for forger in &all() {
        let jwk = jwk(forger);
        for (name, value) in [
            ("use", json!("enc")),
            ("use", json!("")),
            ("use", json!(["sig"])),
            ("key_ops", json!(["sign"])),
            ("key_ops", json!(["verify", "sign"])),
            ("key_ops", json!(["verify", "verify"])),
            ("key_ops", json!([])),
            ("key_ops", json!("verify")),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("alg", json!("PS256")),
            ("alg", json!("ES512")),
            ("alg", json!("ES256K")),
            ("alg", json!(null)),
            ("alg", json!("")),
            ("x5c", json!(["MIIB"])),
            ("x5u", json!("https://evil.test/key")),
            ("crit", json!(["exp"])),
            ("exp", json!(1)),
        ] {
            let error = read(&with(&jwk, name, value.clone())).unwrap_err();
            assert!(
                matches!(&error, KeyError::Jwk(text) if text.contains(name)),
                "{value} {error}"
            );
        }
    }
}

#[test]
fn an_alg_binds_the_key_and_may_not_be_another_than_the_policy_says() {
    let forger = Forger::p384();
    let said = with(&jwk(&forger), "alg", json!("ES384"));
    let key = read(&said).unwrap();
    assert!(key.clone().bound_to("ecdsa-p384-sha384").is_ok());
    assert!(key.bound_to("ecdsa-p384-sha256").is_err());
}

#[test]
fn kinds_and_spellings_that_are_not_the_one_are_refused() {
    let (p256, ed25519, rsa) = (jwk(&Forger::p256()), jwk(&Forger::ed25519()), jwk(&Forger::rsa()));
    let padded = |jwk: &Value, name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        with(jwk, name, json!(STANDARD.encode(bytes)))
    };
    let zero = |jwk: &Value, name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        with(jwk, name, url(&[&[0], bytes.as_slice()].concat()))
    };
    for bad in [
        padded(&p256, "x"),
        padded(&ed25519, "x"),
        zero(&p256, "x"),
        zero(&rsa, "n"),
        zero(&rsa, "e"),
        with(&p256, "x", url(&[1; 31])),
        with(&p256, "x", url(&[1; 32])),
        with(&p256, "y", json!(1)),
        with(&p256, "crv", json!("P-384")),
        with(&p256, "crv", json!("secp256k1")),
        with(&p256, "crv", json!("Ed25519")),
        with(&p256, "kty", json!("RSA")),
        with(&p256, "kty", json!("ec")),
        with(&ed25519, "crv", json!("X25519")),
        with(&ed25519, "crv", json!("Ed448")),
        with(&ed25519, "y", json!("AQAB")),
        with(&rsa, "crv", json!("P-256")),
        with(&rsa, "n", url(&[0xff; 128])),
        with(&rsa, "n", url(&[0xff; 1025])),
        with(&rsa, "e", json!("")),
        json!({"kty": "EC", "crv": "P-256"}),
        json!({"crv": "P-256"}),
        json!({"keys": [p256]}),
        json!({}),
    ] {
        assert!(read(&bad).is_err(), "{bad}");
    }
    let p521 = json!({"kty": "EC", "crv": "P-521", "x": url(&[1; 66]), "y": url(&[1; 66])});
    assert_eq!(read(&p521), Err(KeyError::P521));
    let text = jwk(&Forger::p256()).to_string();
    for bad in [
        text.replacen('{', "{\"kty\":\"EC\",", 1),
        format!("{text} x"),
        format!("[{text}]"),
        "{".to_owned(),
        pem("PUBLIC KEY", &Forger::p256().spki()),
        format!("{text}{}", " ".repeat(9000)),
    ] {
        assert!(matches!(Key::from_jwk(&bad), Err(KeyError::Jwk(_))), "{bad}");
    }
}

proptest! {
    #[test]
    fn reading_a_json_web_key_never_panics(at in 0_usize..150, with in any::<u8>()) {
        let mut text = jwk(&Forger::p256()).to_string().into_bytes();
        let at = at % text.len();
        text[at] = with;
        if let Ok(text) = String::from_utf8(text) {
            drop(Key::from_jwk(&text));
        }
    }
}
