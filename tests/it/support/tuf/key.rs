//! Keys that sign metadata.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What stands before a point of P-256 in a public key by X.509.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// What stands before a key of Ed25519 in one.
const ED25519_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

#[derive(Clone)]
enum Pair {
    Ecdsa(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
}

/// A key, made for one test.
#[derive(Clone)]
pub(crate) struct Key {
    pair: Pair,
    /// What the metadata call it.
    pub(crate) id: String,
    /// As the metadata list it.
    pub(crate) public: Value,
}

impl Key {
    /// A new one of ECDSA P-256.
    pub(crate) fn ecdsa() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let text = pem(&P256_PREFIX, pair.public_key().as_ref());
        Self::new(Pair::Ecdsa(Arc::new(pair)), "ecdsa", "ecdsa-sha2-nistp256", &text)
    }

    /// A new one of Ed25519.
    pub(crate) fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let text = hex::encode(pair.public_key());
        Self::new(Pair::Ed25519(Arc::new(pair)), "ed25519", "ed25519", &text)
    }

    fn new(pair: Pair, kind: &str, scheme: &str, text: &str) -> Self {
        let public = json!({"keytype": kind, "scheme": scheme, "keyval": {"public": text}});
        let id = hex::encode(Sha256::digest(public.to_string()));
        Self { pair, id, public }
    }

    /// The same key under another name.
    pub(crate) fn called(&self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self.clone() }
    }

    /// The same key of Ed25519 under another name, written in another way.
    pub(crate) fn in_pem_called(&self, id: &str) -> Self {
        let Pair::Ed25519(pair) = &self.pair else { panic!("not of Ed25519") };
        let mut key = self.called(id);
        key.public["keyval"]["public"] = pem(&ED25519_PREFIX, pair.public_key().as_ref()).into();
        key
    }

    /// A signature of `bytes`, in hexadecimal digits.
    pub(crate) fn sign(&self, bytes: &[u8]) -> String {
        match &self.pair {
            Pair::Ecdsa(pair) => hex::encode(pair.sign(&SystemRandom::new(), bytes).unwrap()),
            Pair::Ed25519(pair) => hex::encode(pair.sign(bytes)),
        }
    }
}

fn pem(prefix: &[u8], key: &[u8]) -> String {
    let text = BASE64_STANDARD.encode([prefix, key].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}
