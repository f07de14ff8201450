//! Public keys of signers.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use sigstore_verify::crypto::{KeyAlgorithm, VerificationKey, validate_raw_public_key};
use sigstore_verify::types::DerPublicKey;

use super::crypto;
use crate::oci::Digest;

/// Largest PEM text of a key: an RSA key of 8192 bits takes 1,500 bytes.
const PEM_BYTES_MAX: usize = 8 * 1024;
/// Where the algorithm of an RSA key stands in its SPKI: after the header of the outer sequence.
const RSA_ALGORITHM_OFFSET: usize = 4;
/// `rsaEncryption` with the NULL parameters of RFC 3279, as DER.
const RSA_ALGORITHM: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// A public key that signatures can be verified with.
///
/// There is one encoding for each key, so keys are equal exactly when their [`Key::id`] is.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    spki: DerPublicKey,
    kind: Kind,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The content is not a key in its one accepted encoding, or not a point or modulus that can be
    /// one.
    #[error("key is damaged, or not in the usual encoding")]
    Damaged,
    /// Not one PEM block.
    #[error("expected one PEM block that begins with -----BEGIN PUBLIC KEY-----")]
    NotPem,
    /// A PEM block of something else, a certificate for example.
    #[error("PEM block is not a public key, expected -----BEGIN PUBLIC KEY-----")]
    OtherBlock,
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

    fn from_spki(spki: DerPublicKey) -> Result<Self, KeyError> {
        let parsed = VerificationKey::from_spki(&spki).map_err(|_| KeyError::Unsupported)?;
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
        Ok(Self { spki, kind })
    }

    /// The SHA-256 of the key's `SubjectPublicKeyInfo`, in lower-case hexadecimal.
    pub fn id(&self) -> String {
        Digest::sha256(self.spki.as_bytes()).hex()
    }

    pub(super) const fn spki(&self) -> &DerPublicKey {
        &self.spki
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
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
