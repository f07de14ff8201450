//! Why a signature does not count.

use crate::oci::{Digest, Name};
use crate::time::{Timestamp, Window};

/// Most characters that are quoted.
const QUOTE_LENGTH_MAX: usize = 160;

/// The check that a signature failed, for one key and one subject.
///
/// What a refusal quotes is a parsed value or a bounded, printable extract: its text may go to
/// people as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The subject's digest is not SHA-256, which is all that logs and certificates are made for.
    #[error("this form of signature cannot be verified for a digest other than sha256")]
    Algorithm,
    /// Not one of the algorithms, or not the one that goes with the key.
    #[error("signature algorithm is not the one for its key")]
    AlgorithmNotAllowed,
    /// It rests on a certificate, not on a key.
    #[error("bundle rests on a certificate, not on a public key")]
    Certificate,
    /// The signer insists on something that is not understood here.
    #[error("signature insists on {0}, which is not supported")]
    CriticalAttribute(String),
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
    /// Signed by this key, which does not count now.
    #[error("its key counts only {0}")]
    KeyNotInForce(Window),
    /// Signed by this key at a time when it did not count.
    #[error("signed at {at}, its key counts only {window}")]
    SignedOutsideWindow {
        /// When, as a log or a timestamp authority says.
        at: Timestamp,
        /// When the key counts.
        window: Window,
    },
    /// The verifier gave up on this input in a way it never should.
    #[error("verifier broke down on this signature")]
    LibraryPanicked,
    /// Not strict JSON of the expected shape.
    #[error("{0} is not well formed")]
    Malformed(&'static str),
    /// The certificate does not say whom it is for.
    #[error("certificate names no subject or no issuer")]
    Nameless,
    /// It rests on a key, not on a certificate.
    #[error("signature rests on a public key, not on a certificate")]
    NoCertificate,
    /// No transparency log vouches for it.
    #[error("signature has no transparency log entry")]
    NoLogEntry,
    /// No timestamp authority has seen it.
    #[error("signature has no timestamp by an authority of the trust root")]
    NoTimestamp,
    /// A validly signed image signature, where an attestation is wanted.
    #[error("statement is an image signature, not an attestation")]
    NotAnAttestation,
    /// A validly signed statement of another kind: an attestation is not a signature.
    #[error("statement is of type {0}, not an image signature")]
    NotASignature(String),
    /// The bundle signs a blob of bytes, not a statement about an image.
    #[error("bundle holds no signed statement")]
    NotAStatement,
    /// The library read other signed content than what was asked about.
    #[error("signed for other content")]
    OtherArtifact,
    /// This signer makes signatures of another form.
    #[error("a {0} is not what this signer makes")]
    OtherForm(super::Form),
    /// A good certificate, for somebody else.
    #[error("signed by {subject} ({issuer})")]
    OtherIdentity {
        /// Whom the certificate is for.
        subject: String,
        /// Who says so.
        issuer: String,
    },
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
    /// The certificate, the log entry or the timestamp does not hold.
    #[error("proof does not hold: {0}")]
    Proof(String),
    /// Not enough distinct transparency logs vouch for it.
    #[error("signature stands in {found} of {wanted} transparency logs needed")]
    TooFewLogs {
        /// How many do.
        found: usize,
        /// How many are asked for.
        wanted: usize,
    },
    /// Larger than any real signature.
    #[error("{0} is too large")]
    TooLarge(&'static str),
    /// Signed by this key, but the payload is not that of a cosign image signature.
    #[error("signed payload is not an image signature")]
    PayloadKind,
    /// No certificate of the chain is one that counts.
    #[error("certificate is by no authority of the trust root")]
    UnknownAuthority,
    /// Text that should be base64url is not.
    #[error("{0} is not base64url")]
    UrlEncoding(&'static str),
    /// A bundle of a version that is not supported.
    #[error("bundle is not of a known version (0.1 to 0.3)")]
    Version,
    /// The signature was not made by this key over these bytes.
    #[error("signature does not verify with this key")]
    WrongKey,
}

/// A bounded, printable extract of `text`.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.chars().take(QUOTE_LENGTH_MAX).map(plain).collect()
}
