//! Why a signature does not count.

use crate::oci::{Digest, Name};

/// The check that a signature failed, for one key and one subject.
///
/// What a refusal quotes is a parsed value or a bounded, printable extract: its text may go to
/// people as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It rests on a certificate, not on a key.
    #[error("bundle rests on a certificate, not on a public key")]
    Certificate,
    /// Text that should be standard base64 is not.
    #[error("{0} is not standard base64")]
    Encoding(&'static str),
    /// This form cannot be verified with this kind of key.
    #[error("a {form} cannot be verified with an {key} key")]
    KeyForForm {
        /// The form of the signature.
        form: super::Form,
        /// The kind of the key.
        key: &'static str,
    },
    /// The verifier gave up on this input in a way it never should.
    #[error("verifier broke down on this signature")]
    LibraryPanicked,
    /// Not strict JSON of the expected shape.
    #[error("{0} is not well formed")]
    Malformed(&'static str),
    /// A validly signed statement of another kind: an attestation is not a signature.
    #[error("statement is of type {0}, not an image signature")]
    NotASignature(String),
    /// The bundle signs a blob of bytes, not a statement about an image.
    #[error("bundle holds no signed statement")]
    NotAStatement,
    /// Signed by this key, but for another digest.
    #[error("signed for another digest ({0})")]
    OtherImage(Digest),
    /// Signed by this key, but for another repository.
    #[error("signed for another repository ({0})")]
    OtherRepository(Name),
    /// Signed by this key, and names no image.
    #[error("signed statement names no image")]
    NoImage,
    /// Signed by this key, and names no repository.
    #[error("signed payload names no repository")]
    NoRepository,
    /// The payload of the envelope is not an in-toto statement, or is one of an unknown version.
    #[error("envelope does not hold an in-toto statement")]
    PayloadType,
    /// The envelope has no signature, or more than one.
    #[error("envelope holds {0} signatures, expected exactly one")]
    SignatureCount(usize),
    /// Larger than any real signature.
    #[error("{0} is too large")]
    TooLarge(&'static str),
    /// Signed by this key, but the payload is not that of a cosign image signature.
    #[error("signed payload is not an image signature")]
    PayloadKind,
    /// A bundle of a version that is not supported.
    #[error("bundle is not of version 0.3")]
    Version,
    /// The signature was not made by this key over these bytes.
    #[error("signature does not verify with this key")]
    WrongKey,
}
