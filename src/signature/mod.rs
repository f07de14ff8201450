//! Verifiers: bytes and keys in, who-signed-what out. No network.
//!
//! A [`FoundSignature`] is what somebody put beside an image, kept whole, so that another policy can
//! judge it later without asking the registry again. It proves nothing until a [`Signer`] accepts it
//! for one repository and one digest.
//!
//! What holds here:
//! - The algorithm follows from the form and the key, from a fixed list, never from the signature.
//! - Claims are read from the bytes whose signature verified, and from no others.
//! - Every size is bounded, and a panic of a library is a refusal.

mod attestation;
mod authorities;
mod bundle;
mod contents;
mod crypto;
mod der;
mod envelope;
mod found;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod identity;
mod jwk;
mod key;
mod logs;
mod notation;
mod refusal;
mod root;
mod signer;
mod simple_signing;
#[cfg(test)]
mod tests;
mod whoever;

pub use attestation::{
    ATTESTATION_BYTES_MAX, AttestationForm, Claim, ENVELOPE_MEDIA_TYPE, FoundAttestation,
    PREDICATE_TYPE_ANNOTATION, Statement, glance,
};
pub use bundle::{BUNDLE_BYTES_MAX, BUNDLE_MEDIA_TYPES, PREDICATE_TYPE, predicate_type};
pub use contents::{Part, PartKind, mistakes_in};
pub use envelope::{DSSE_BYTES_MAX, Envelope, EnvelopeError, SigningKey, SigningKeyError};
pub use found::{Form, FoundSignature, Material, SimpleSigningProof};
pub use identity::{Identity, Pattern, PatternError, SubjectKind, Wanted};
pub use key::{Key, KeyError};
pub use notation::{
    COSE_MEDIA_TYPE, DistinguishedName, ENVELOPE_BYTES_MAX, Enforced, JWS_MEDIA_TYPE, NameError,
    NotationSigner, REVOCATION_LIST_BYTES_MAX, TrustStore, TrustStoreError, TrustStoreFiles,
    WhenToTimestamp,
};
pub use refusal::Refusal;
pub use root::{Demands, TRUST_ROOT_BYTES_MAX, TrustRoot, TrustRootError};
pub use signer::{Artifact, Proof, Signer, verify_bundle};
pub use simple_signing::{
    PAYLOAD_BYTES_MAX, PAYLOAD_MEDIA_TYPE, PROOF_BYTES_MAX, SIGNATURE_ANNOTATION,
    SIGNATURE_TEXT_LENGTH_MAX, proof_in,
};
pub use whoever::Whoever;

use crate::oci::{Digest, Name};

/// Verifies that the holder of `key` signed the image `subject` of repository `name`.
///
/// This is the path of signers with `transparencyLog: none`: the key alone decides. Entries of a
/// transparency log and timestamps that a signature carries are not looked at: they are not under
/// the signature, so whoever would be refused because of them could strip them.
///
/// Success does not prove when the signature was made, nor that it still stands. A bundle names no
/// repository, so it holds for the same digest in every repository; simple signing names one.
///
/// # Errors
/// The check that failed. Every refusal is final for these arguments.
pub fn verify(
    found: &FoundSignature,
    key: &Key,
    name: &Name,
    subject: &Digest,
) -> Result<(), Refusal> {
    crypto::guarded(|| match &found.material {
        Material::Bundle { json } => bundle::verify(json, key, subject),
        Material::SimpleSigning { payload, signature, .. } => {
            simple_signing::verify(payload, signature, key, name, subject)
        }
        Material::NotationCose { .. } | Material::NotationJws { .. } => {
            Err(Refusal::OtherForm(found.form()))
        }
    })
}

/// Verifies that `key` signed exactly `content`; `signature` is it in base64, as `cosign sign-blob` and
/// `openssl dgst -sha256 -sign` with `base64` write it.
///
/// # Errors
/// The check that failed.
pub fn verify_detached(content: &[u8], signature: &str, key: &Key) -> Result<(), Refusal> {
    crypto::guarded(|| {
        let signature = crypto::decode_base64(signature.trim_ascii(), "signature")?;
        crypto::verify(Form::SimpleSigning, key, content, &signature)
    })
}
