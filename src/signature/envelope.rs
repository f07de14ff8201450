//! Envelopes with one signature by a key: how somebody puts their word into a file.
//!
//! An envelope is read in one way only. Strict JSON, no member that is not known, one signature, standard
//! base64: whatever else two readers could take differently is refused. What it is known by is the digest of its
//! canonical text, so that spaces make no other envelope and every other byte does.
//!
//! Spec: <https://github.com/secure-systems-lab/dsse/blob/v1.0.2/envelope.md>

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sigstore_verify::types::{DerPublicKey, pae};

use super::{Form, Key, KeyError, Refusal, crypto};
use crate::oci::{Digest, JsonError, from_strict_slice};

/// Largest envelope in bytes.
pub const DSSE_BYTES_MAX: usize = 64 * 1024;
/// Largest PEM text of a private key.
const PEM_BYTES_MAX: usize = 8 * 1024;

/// Why a text is no envelope, or not by the key.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The signature names another key.
    #[error("is signed with key {found}, and the signer's key is {expected}")]
    OtherKey {
        /// The key that it names.
        found: String,
        /// The key by which it is verified.
        expected: String,
    },
    /// It holds something else.
    #[error("holds something else: its payloadType is {0}")]
    OtherPayload(String),
    /// The signature does not verify.
    #[error("is not signed by the key: {0}")]
    Refused(Refusal),
    /// Not one signature.
    #[error("has {0} signatures; every vote is a file of its own with one")]
    Signatures(usize),
    /// Larger than is read.
    #[error("is larger than {DSSE_BYTES_MAX} bytes")]
    TooLarge,
    /// No envelope.
    #[error("is no envelope in strict JSON: {}", .0.without_content())]
    Unreadable(JsonError),
    /// Part of it is no base64.
    #[error("has a {0} that is not standard base64")]
    Encoding(&'static str),
}

/// An envelope as it is written; its members are in the order of the canonical text.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    payload: String,
    payload_type: String,
    signatures: Vec<WrittenSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSignature {
    keyid: String,
    sig: String,
}

/// An envelope with one signature, not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    text: String,
    digest: Digest,
    payload_type: String,
    payload: Vec<u8>,
    key_id: String,
    signature: Vec<u8>,
}

impl Envelope {
    /// The envelope in `bytes` that holds something of `payload_type`.
    ///
    /// # Errors
    /// See [`EnvelopeError`].
    pub fn parse(bytes: &[u8], payload_type: &str) -> Result<Self, EnvelopeError> {
        if bytes.len() > DSSE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge);
        }
        let written: Written = from_strict_slice(bytes).map_err(EnvelopeError::Unreadable)?;
        if written.payload_type != payload_type {
            let found = super::refusal::quoted(&written.payload_type);
            return Err(EnvelopeError::OtherPayload(found));
        }
        let [signature] = written.signatures.as_slice() else {
            return Err(EnvelopeError::Signatures(written.signatures.len()));
        };
        let decoded = |text: &str, what| {
            crypto::decode_base64(text, what).map_err(|_| EnvelopeError::Encoding(what))
        };
        let payload = decoded(&written.payload, "payload")?;
        let bytes = decoded(&signature.sig, "signature")?;
        let key_id = signature.keyid.clone();
        Ok(Self::of(&written, payload, bytes, key_id))
    }

    fn of(written: &Written, payload: Vec<u8>, signature: Vec<u8>, key_id: String) -> Self {
        // Texts only: there is nothing in it that could not be JSON.
        let text = serde_json::to_string(written).unwrap_or_default();
        let digest = Digest::sha256(text.as_bytes());
        let payload_type = written.payload_type.clone();
        Self { text, digest, payload_type, payload, key_id, signature }
    }

    /// Its canonical text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The digest of that.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What it holds; only what [`verify`](Self::verify) said of it makes that somebody's word.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The id of the key that it names.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// That it is signed by `key`, and names it.
    ///
    /// # Errors
    /// [`EnvelopeError::OtherKey`], [`EnvelopeError::Refused`].
    pub fn verify(&self, key: &Key) -> Result<(), EnvelopeError> {
        if self.key_id != key.id() {
            let found = super::refusal::quoted(&self.key_id);
            return Err(EnvelopeError::OtherKey { found, expected: key.id() });
        }
        let message = pae(&self.payload_type, &self.payload);
        crypto::guarded(|| crypto::verify(Form::SimpleSigning, key, &message, &self.signature))
            .map_err(EnvelopeError::Refused)
    }
}

/// A private key with which somebody signs.
pub struct SigningKey {
    pair: Pair,
    public: Key,
}

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// Why a text is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// It is something else, or in another form.
    #[error(
        "is no private key in PKCS#8 without a passphrase (-----BEGIN PRIVATE KEY-----); make one of it with \
         openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.pem"
    )]
    Form,
    /// It is a key of another kind.
    #[error("is no key of ECDSA P-256, ECDSA P-384 or Ed25519")]
    Kind,
    /// Its public half is none that signatures are verified with.
    #[error("has a public half that cannot be used: {0}")]
    Public(KeyError),
    /// The system gives no random bytes.
    #[error("cannot sign: the system gives no random bytes")]
    Random,
}

impl SigningKey {
    /// The key in `pem`: PKCS#8 without a passphrase, of ECDSA P-256 or P-384, or Ed25519.
    ///
    /// # Errors
    /// See [`SigningKeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, SigningKeyError> {
        let text = pem.trim();
        let body = text
            .strip_prefix("-----BEGIN PRIVATE KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PRIVATE KEY-----"))
            .filter(|_| text.len() <= PEM_BYTES_MAX)
            .ok_or(SigningKeyError::Form)?;
        let body: String = body.split_ascii_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| SigningKeyError::Form)?;
        let ecdsa = [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING];
        let ecdsa = ecdsa.into_iter().find_map(|it| EcdsaKeyPair::from_pkcs8(it, &der).ok());
        let (pair, spki) = if let Some(pair) = ecdsa {
            let spki: Result<PublicKeyX509Der<'_>, _> = pair.public_key().as_der();
            let spki = spki.map(|der| der.as_ref().to_vec());
            (Pair::Ecdsa(Box::new(pair)), spki)
        } else {
            let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| SigningKeyError::Kind)?;
            let spki: Result<PublicKeyX509Der<'_>, _> = pair.public_key().as_der();
            let spki = spki.map(|der| der.as_ref().to_vec());
            (Pair::Ed25519(Box::new(pair)), spki)
        };
        let spki = spki.map_err(|_| SigningKeyError::Kind)?;
        let public = Key::from_spki(DerPublicKey::new(spki)).map_err(SigningKeyError::Public)?;
        Ok(Self { pair, public })
    }

    /// The public half.
    pub fn public(&self) -> &Key {
        &self.public
    }

    /// An envelope with `payload`, signed.
    ///
    /// # Errors
    /// [`SigningKeyError::Random`].
    pub fn sign(&self, payload_type: &str, payload: &[u8]) -> Result<Envelope, SigningKeyError> {
        let message = pae(payload_type, payload);
        let signature = match &self.pair {
            Pair::Ecdsa(pair) => {
                let signed = pair.sign(&SystemRandom::new(), &message);
                signed.map_err(|_| SigningKeyError::Random)?.as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(&message).as_ref().to_vec(),
        };
        let key_id = self.public.id();
        let written = Written {
            payload: STANDARD.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![WrittenSignature {
                keyid: key_id.clone(),
                sig: STANDARD.encode(&signature),
            }],
        };
        Ok(Envelope::of(&written, payload.to_vec(), signature, key_id))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "application/vnd.example+json";

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    fn keys() -> Vec<SigningKey> {
        let random = SystemRandom::new();
        let ecdsa = [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING];
        let ecdsa = ecdsa.map(|it| EcdsaKeyPair::generate_pkcs8(it, &random).unwrap());
        let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ders = ecdsa.iter().map(AsRef::as_ref).chain([ed25519.as_ref()]);
        ders.map(|der| SigningKey::from_pem(&pem(der)).unwrap()).collect()
    }

    #[test]
    fn what_one_key_signed_is_by_that_key_alone() {
        let keys = keys();
        for (at, key) in keys.iter().enumerate() {
            let signed = key.sign(TYPE, b"{}").unwrap();
            let read = Envelope::parse(signed.text().as_bytes(), TYPE).unwrap();
            assert_eq!((read.payload(), read.digest()), (&b"{}"[..], signed.digest()));
            for (other, by) in keys.iter().enumerate() {
                assert_eq!(read.verify(by.public()).is_ok(), at == other, "{key:?} {by:?}");
            }
            let other = signed.text().replace("e30=", "e30K");
            let other = Envelope::parse(other.as_bytes(), TYPE).unwrap();
            assert!(matches!(other.verify(key.public()), Err(EnvelopeError::Refused(_))));
            assert_ne!(other.digest(), read.digest());
        }
    }

    #[test]
    fn spaces_make_no_other_envelope() {
        let signed = keys().remove(0).sign(TYPE, b"{}").unwrap();
        let spaced = signed.text().replace(',', " ,\n");
        let spaced = Envelope::parse(spaced.as_bytes(), TYPE).unwrap();
        assert_eq!(spaced, signed);
    }

    #[test]
    fn only_a_bare_private_key_signs() {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let good = pem(der.as_ref());
        assert!(SigningKey::from_pem(&good).is_ok());
        for bad in [
            String::new(),
            good.replace("PRIVATE", "PUBLIC"),
            good.replace("PRIVATE", "ENCRYPTED PRIVATE"),
            good.replace("PRIVATE", "EC PRIVATE"),
            format!("{good}{good}"),
            pem(b"nothing"),
        ] {
            assert!(SigningKey::from_pem(&bad).is_err(), "{bad}");
        }
        let key = SigningKey::from_pem(&good).unwrap();
        assert!(!format!("{key:?}").contains("BEGIN"), "{key:?}");
    }
}
