//! Signatures as they were found, self-contained and not yet believed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::oci::Digest;

/// A signature as it was found beside an image; [`super::verify`] says what it is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundSignature {
    /// The manifest that carries it.
    pub source: Digest,
    /// Everything that verifying takes, besides the key.
    pub material: Material,
}

impl FoundSignature {
    /// In which form the signature was made.
    pub const fn form(&self) -> Form {
        match self.material {
            Material::Bundle { .. } => Form::Bundle,
            Material::NotationCose { .. } => Form::NotationCose,
            Material::NotationJws { .. } => Form::NotationJws,
            Material::SimpleSigning { .. } => Form::SimpleSigning,
        }
    }
}

/// The signature itself, exactly as received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "kebab-case")]
pub enum Material {
    /// A Sigstore bundle.
    Bundle {
        /// The text of the bundle.
        json: String,
    },
    /// An envelope of the Notary Project in CBOR.
    NotationCose {
        /// The bytes of the envelope, in base64.
        envelope: String,
    },
    /// An envelope of the Notary Project in JSON.
    NotationJws {
        /// The bytes of the envelope, in base64.
        envelope: String,
    },
    /// Simple signing as cosign stores it.
    SimpleSigning {
        /// The signed payload: the bytes of the layer, in base64.
        payload: String,
        /// The signature over those bytes, in base64 as it stood in the annotation.
        signature: String,
        /// What else stood beside it.
        #[serde(default, skip_serializing_if = "SimpleSigningProof::is_empty")]
        proof: SimpleSigningProof,
    },
}

/// What stands beside a signature of simple signing, in annotations, to prove who made it and when.
///
/// Spec: <https://github.com/sigstore/cosign/blob/v2.5.0/specs/SIGNATURE_SPEC.md#properties>
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SimpleSigningProof {
    /// The certificate of the key, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The certificates above it, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The promise of a transparency log, in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// The token of a timestamp authority, in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

impl SimpleSigningProof {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The forms of signatures that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// Sigstore bundle, made by cosign 3.
    Bundle,
    /// Envelope of the Notary Project in CBOR, made by notation.
    NotationCose,
    /// Envelope of the Notary Project in JSON, made by notation.
    NotationJws,
    /// Simple signing under the `.sig` tag, made by cosign 1 and 2.
    SimpleSigning,
}

impl Form {
    /// Whether what is signed names the repository, too, and not only the digest.
    pub const fn names_repository(self) -> bool {
        match self {
            Self::SimpleSigning => true,
            Self::Bundle | Self::NotationCose | Self::NotationJws => false,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bundle => "sigstore bundle",
            Self::NotationCose => "notation signature (COSE)",
            Self::NotationJws => "notation signature (JWS)",
            Self::SimpleSigning => "simple signing",
        })
    }
}
