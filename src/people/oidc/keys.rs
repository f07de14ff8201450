//! The keys that a provider signs with, and signatures by them.
//!
//! A token says by which algorithm and key it is signed; that is a claim of whoever made it. What counts
//! is the key: which algorithms fit it is the key's to say, and a key that fits is only ever one of the
//! provider's own document. There are no shared secrets among them, and no `none`.
//!
//! Spec: RFC 7517, RFC 7518.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::oci::from_strict_slice;

/// Most bytes of the document with the keys.
pub(super) const KEYS_BYTES_MAX: usize = 256 * 1024;
/// Most keys in it.
const KEYS_MAX: usize = 100;
/// Most bytes of a modulus: 8,192 bits and a leading zero.
const MODULUS_BYTES_MAX: usize = 1025;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignedBy {
    EdDsa,
    Es256,
    Es384,
    Ps256,
    Ps384,
    Ps512,
    Rs256,
    Rs384,
    Rs512,
}

impl SignedBy {
    /// The algorithm that a header names; none that needs no key, or one that both sides know.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "EdDSA" | "Ed25519" => Self::EdDsa,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            _ => return None,
        })
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
            Self::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
            Self::EdDsa | Self::Es256 | Self::Es384 => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
    P384(Vec<u8>),
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

/// A key of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<SignedBy>,
    material: Material,
}

/// Why no key speaks for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// More than one could be meant.
    Ambiguous,
    /// None could.
    Unknown,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys in a document; those that are of no use to us are left out, whatever is in them.
/// `None`: it is no such document, or has too many.
pub(super) fn parse(bytes: &[u8]) -> Option<Vec<Key>> {
    crate::oci::check_strict(bytes).ok()?;
    let document: Document<'_> = serde_json::from_slice(bytes).ok()?;
    if document.keys.len() > KEYS_MAX {
        return None;
    }
    let key = |raw: &&RawValue| from_strict_slice(raw.get().as_bytes()).ok().and_then(Key::new);
    Some(document.keys.iter().filter_map(key).collect())
}

impl Key {
    fn new(jwk: Jwk) -> Option<Self> {
        let is_for_signatures = jwk.used_for.as_deref().is_none_or(|used_for| used_for == "sig");
        let verifies = |operations: &Vec<String>| operations.iter().any(|it| it == "verify");
        if !is_for_signatures || !jwk.key_ops.as_ref().is_none_or(verifies) {
            return None;
        }
        let algorithm = match &jwk.alg {
            Some(text) => Some(SignedBy::parse(text)?),
            None => None,
        };
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (modulus, exponent) = (bytes(jwk.n.as_deref())?, bytes(jwk.e.as_deref())?);
                (modulus.len() <= MODULUS_BYTES_MAX && exponent.len() <= 8)
                    .then_some(Material::Rsa { modulus, exponent })?
            }
            ("EC", Some("P-256")) => Material::P256(point(&jwk, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(&jwk, 48)?),
            ("OKP", Some("Ed25519")) => {
                Material::Ed25519(bytes(jwk.x.as_deref()).filter(|x| x.len() == 32)?)
            }
            _ => return None,
        };
        Some(Self { id: jwk.kid, algorithm, material })
    }

    fn fits(&self, by: SignedBy) -> bool {
        let is_kind = match self.material {
            Material::Ed25519(_) => by == SignedBy::EdDsa,
            Material::P256(_) => by == SignedBy::Es256,
            Material::P384(_) => by == SignedBy::Es384,
            Material::Rsa { .. } => by.rsa().is_some(),
        };
        is_kind && self.algorithm.is_none_or(|only| only == by)
    }

    /// Whether `signature` over `message` is by this key.
    pub(super) fn verifies(&self, by: SignedBy, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(by) {
            return false;
        }
        let outcome = match (&self.material, by.rsa()) {
            (Material::Rsa { modulus, exponent }, Some(parameters)) => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(parameters, message, signature)
            }
            (Material::Ed25519(key), None) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
            (Material::P256(key), None) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
            }
            (Material::P384(key), None) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key).verify(message, signature)
            }
            (Material::Rsa { .. }, None)
            | (Material::Ed25519(_) | Material::P256(_) | Material::P384(_), Some(_)) => {
                return false;
            }
        };
        outcome.is_ok()
    }
}

/// The one key that a token may be signed with which names `id`, signed by `by`.
pub(super) fn find<'k>(keys: &'k [Key], id: Option<&str>, by: SignedBy) -> Result<&'k Key, NoKey> {
    let named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
    let mut found = keys.iter().filter(named).filter(|key| key.fits(by));
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => Err(NoKey::Ambiguous),
        (None, _) => Err(NoKey::Unknown),
    }
}

fn bytes(text: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

/// An uncompressed point whose coordinates have `length` bytes.
fn point(jwk: &Jwk, length: usize) -> Option<Vec<u8>> {
    let (x, y) = (bytes(jwk.x.as_deref())?, bytes(jwk.y.as_deref())?);
    (x.len() == length && y.len() == length).then(|| [&[4], x.as_slice(), &y].concat())
}
