//! A signer that signs whatever it is told to, in either form.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::oci::{Digest, Name};
use crate::signature::{FoundSignature, Key, Material, SimpleSigningProof};

pub(in crate::signature) const STATEMENT: &str = "application/vnd.in-toto+json";

pub(in crate::signature) enum Forger {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl Forger {
    pub(in crate::signature) fn p256() -> Self {
        Self::ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)
    }

    pub(in crate::signature) fn p384() -> Self {
        Self::ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING)
    }

    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        Self::Ecdsa(EcdsaKeyPair::generate(algorithm).unwrap())
    }

    pub(in crate::signature) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(in crate::signature) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), &RSA_PKCS1_SHA256)
    }

    pub(in crate::signature) fn rsa_pss() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), &RSA_PSS_SHA256)
    }

    pub(in crate::signature) fn spki(&self) -> Vec<u8> {
        match self {
            Self::Ecdsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Rsa(pair, _) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }

    pub(in crate::signature) fn key(&self) -> Key {
        Key::from_pem(&pem("PUBLIC KEY", &self.spki())).unwrap()
    }

    pub(in crate::signature) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ecdsa(pair) => {
                pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// `payload`, validly signed.
    pub(in crate::signature) fn simple(&self, payload: &str) -> FoundSignature {
        simple(payload.as_bytes(), &self.sign(payload.as_bytes()))
    }

    /// A bundle around `statement`, validly signed.
    pub(in crate::signature) fn bundle(&self, statement: &str) -> Value {
        self.bundle_of(STATEMENT, statement)
    }

    pub(in crate::signature) fn bundle_of(&self, payload_type: &str, statement: &str) -> Value {
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "anything"}},
            "dsseEnvelope": {
                "payload": STANDARD.encode(statement),
                "payloadType": payload_type,
                "signatures": [{"sig": STANDARD.encode(self.sign(&pae(payload_type, statement)))}],
            },
        })
    }
}

pub(in crate::signature) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

pub(in crate::signature) fn simple(payload: &[u8], signature: &[u8]) -> FoundSignature {
    found(simple_material(STANDARD.encode(payload), STANDARD.encode(signature)))
}

pub(in crate::signature) fn simple_material(payload: String, signature: String) -> Material {
    Material::SimpleSigning { payload, signature, proof: SimpleSigningProof::default() }
}

pub(in crate::signature) fn bundled(json: &Value) -> FoundSignature {
    found(Material::Bundle { json: json.to_string() })
}

pub(in crate::signature) fn found(material: Material) -> FoundSignature {
    FoundSignature { source: Digest::sha256(b"manifest of the signature"), material }
}

pub(in crate::signature) fn payload(reference: &str, digest: &Digest) -> String {
    json!({
        "critical": {
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": null,
    })
    .to_string()
}

pub(in crate::signature) fn statement(digest: &Digest) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {digest.algorithm().as_str(): digest.hex()}, "annotations": {}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    })
}

/// Written here once more, so that a mistake in the other one shows.
pub(in crate::signature) fn pae(payload_type: &str, payload: &str) -> Vec<u8> {
    format!("DSSEv1 {} {payload_type} {} {payload}", payload_type.len(), payload.len()).into_bytes()
}

pub(in crate::signature) fn subject() -> Digest {
    Digest::sha256(b"the image")
}

pub(in crate::signature) fn name() -> Name {
    "up.test/signed/web".parse().unwrap()
}
