//! Public keys of signers.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sigstore_verify::crypto::{
    KeyAlgorithm, SigningScheme, VerificationKey, validate_raw_public_key,
};
use sigstore_verify::types::DerPublicKey;

use super::{crypto, jwk};
use crate::oci::Digest;

/// Largest PEM text of a key: an RSA key of 8192 bits takes 1,500 bytes.
const PEM_BYTES_MAX: usize = 8 * 1024;
/// Where the algorithm of an RSA key stands in its SPKI: after the header of the outer sequence.
const RSA_ALGORITHM_OFFSET: usize = 4;
/// `rsaEncryption` with the NULL parameters of RFC 3279, as DER.
pub(super) const RSA_ALGORITHM: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// The object identifier of the curve P-521, as DER.
const P521: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
/// The algorithms that a policy may bind a key to, by the names that it has for them.
const ALGORITHMS: [(&str, Kind, SigningScheme); 5] = [
    ("ecdsa-p256-sha256", Kind::EcdsaP256, SigningScheme::EcdsaP256Sha256),
    ("ecdsa-p384-sha256", Kind::EcdsaP384, SigningScheme::EcdsaP384Sha256),
    ("ecdsa-p384-sha384", Kind::EcdsaP384, SigningScheme::EcdsaP384Sha384),
    ("ed25519", Kind::Ed25519, SigningScheme::Ed25519),
    ("rsa-pkcs1v15-sha256", Kind::Rsa, SigningScheme::RsaPkcs1Sha256),
];

/// A public key that signatures can be verified with.
///
/// There is one encoding for each key, so two are the same key exactly when their [`Key::id`] is
/// equal.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    spki: DerPublicKey,
    kind: Kind,
    /// The one algorithm that it signs by, where that was said.
    only: Option<SigningScheme>,
}

/// What a key is; with the form of a signature it fixes the algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    EcdsaP256,
    EcdsaP384,
    Ed25519,
    Rsa,
}

/// Why a text is not a key that signatures can be verified with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The policy has another algorithm for it than it can sign by, or than it says itself.
    #[error("{algorithm} is not an algorithm of this key ({kind}); write one of: {}", choices.join(", "))]
    Algorithm {
        /// What the policy says.
        algorithm: String,
        /// What the key is.
        kind: &'static str,
        /// What could be said.
        choices: Vec<&'static str>,
    },
    /// The content is not a key in its one accepted encoding, or not a point or modulus that can be
    /// one.
    #[error("key is damaged, or not in the usual encoding")]
    Damaged,
    /// Not a JSON Web Key that says what it is for in one way only.
    #[error("JSON Web Key {0}")]
    Jwk(String),
    /// Not one PEM block.
    #[error("expected one PEM block that begins with -----BEGIN PUBLIC KEY-----")]
    NotPem,
    /// A PEM block of something else, a certificate for example.
    #[error("PEM block is not a public key, expected -----BEGIN PUBLIC KEY-----")]
    OtherBlock,
    /// A key on the curve P-521.
    #[error(
        "ECDSA P-521 keys are not supported: what verifies Sigstore signatures here has P-256 and P-384 only; sign with one of these, Ed25519, or RSA"
    )]
    P521,
    /// A private key, which must never be in a policy.
    #[error("this is a private key; a policy takes the public one, and this one is now known")]
    Private,
    /// A public key of a kind that is not supported.
    #[error(
        "kind of key is not supported, expected ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits"
    )]
    Unsupported,
}

impl Key {
    /// The key in `pem`, one `PUBLIC KEY` block as `cosign generate-key-pair` and `openssl` write
    /// it.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let text = pem.trim();
        if text.len() > PEM_BYTES_MAX {
            return Err(KeyError::NotPem);
        }
        let label = text
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.split_once("-----"))
            .map(|(label, _)| label)
            .ok_or(KeyError::NotPem)?;
        if label.ends_with("PRIVATE KEY") {
            return Err(KeyError::Private);
        }
        if label != "PUBLIC KEY" {
            return Err(KeyError::OtherBlock);
        }
        if !text.ends_with("-----END PUBLIC KEY-----") || text.matches("-----BEGIN").count() != 1 {
            return Err(KeyError::NotPem);
        }
        crypto::caught(|| {
            let spki = DerPublicKey::from_pem(text).map_err(|_| KeyError::NotPem)?;
            Self::from_spki(spki)
        })
        .unwrap_or(Err(KeyError::Damaged))
    }

    /// The key in `json`, a JSON Web Key.
    ///
    /// Spec: <https://www.rfc-editor.org/rfc/rfc7517>, <https://www.rfc-editor.org/rfc/rfc7518#section-6>
    ///
    /// # Errors
    /// See [`KeyError`]; a private key is refused by the name of its private member.
    pub fn from_jwk(json: &str) -> Result<Self, KeyError> {
        if json.len() > PEM_BYTES_MAX {
            return Err(KeyError::Jwk("is larger than 8 KiB, which no public key is".to_owned()));
        }
        let jwk::Jwk { spki, algorithm } = jwk::read(json)?;
        let key = crypto::caught(|| Self::from_spki(DerPublicKey::new(spki)))
            .unwrap_or(Err(KeyError::Damaged))?;
        algorithm.map_or(Ok(key.clone()), |algorithm| key.bound_to(algorithm))
    }

    /// The same key, whose signatures count only if they are made by `algorithm`, one of
    /// `ecdsa-p256-sha256`, `ecdsa-p384-sha256`, `ecdsa-p384-sha384`, `ed25519`, `rsa-pkcs1v15-sha256`.
    ///
    /// # Errors
    /// When it is not an algorithm of this key, or the key is bound to another one already.
    pub fn bound_to(self, algorithm: &str) -> Result<Self, KeyError> {
        let of_kind = ALGORITHMS.iter().filter(|(_, kind, scheme)| {
            *kind == self.kind && self.only.is_none_or(|only| only == *scheme)
        });
        let named = of_kind.clone().find(|(name, ..)| *name == algorithm);
        let Some((_, _, scheme)) = named else {
            return Err(KeyError::Algorithm {
                algorithm: super::refusal::quoted(algorithm),
                kind: self.kind.name(),
                choices: of_kind.map(|(name, ..)| *name).collect(),
            });
        };
        Ok(Self { only: Some(*scheme), ..self })
    }

    pub(super) fn from_spki(spki: DerPublicKey) -> Result<Self, KeyError> {
        let unsupported = || {
            let names_p521 = spki.as_bytes().windows(P521.len()).any(|window| window == P521);
            if names_p521 { KeyError::P521 } else { KeyError::Unsupported }
        };
        let parsed = VerificationKey::from_spki(&spki).map_err(|_| unsupported())?;
        let kind = match parsed.scheme().key_algorithm() {
            KeyAlgorithm::EcdsaP256 => Kind::EcdsaP256,
            KeyAlgorithm::EcdsaP384 => Kind::EcdsaP384,
            KeyAlgorithm::Ed25519 => Kind::Ed25519,
            KeyAlgorithm::Rsa => Kind::Rsa,
            KeyAlgorithm::MlDsa44 | KeyAlgorithm::MlDsa65 | KeyAlgorithm::MlDsa87 | _ => {
                return Err(KeyError::Unsupported);
            }
        };
        validate_raw_public_key(parsed.scheme(), parsed.as_bytes()).map_err(|_| match kind {
            Kind::Rsa => KeyError::Unsupported,
            Kind::EcdsaP256 | Kind::EcdsaP384 | Kind::Ed25519 => KeyError::Damaged,
        })?;
        let algorithm: &'static dyn VerificationAlgorithm = match kind {
            Kind::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Kind::EcdsaP384 => &ECDSA_P384_SHA384_ASN1,
            Kind::Ed25519 => &ED25519,
            Kind::Rsa => &RSA_PKCS1_2048_8192_SHA256,
        };
        ParsedPublicKey::new(algorithm, parsed.as_bytes()).map_err(|_| KeyError::Damaged)?;
        let after_header = spki.as_bytes().get(RSA_ALGORITHM_OFFSET..).unwrap_or_default();
        if kind == Kind::Rsa && !after_header.starts_with(&RSA_ALGORITHM) {
            return Err(KeyError::Damaged);
        }
        Ok(Self { spki, kind, only: None })
    }

    /// The SHA-256 of the key's `SubjectPublicKeyInfo`, in lower-case hexadecimal.
    pub fn id(&self) -> String {
        Digest::sha256(self.spki.as_bytes()).hex()
    }

    /// The key as the body of its PEM text.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.spki.as_bytes())
    }

    pub(super) const fn spki(&self) -> &DerPublicKey {
        &self.spki
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether signatures by `scheme` count, as far as the policy has said.
    pub(super) fn takes(&self, scheme: SigningScheme) -> bool {
        self.only.is_none_or(|only| only == scheme)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.id())
    }
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::Ed25519 => "Ed25519",
            Self::Rsa => "RSA",
        }
    }
}
