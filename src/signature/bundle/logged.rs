//! Bundles judged with a trust root: the library's own verifier, and what it leaves to its callers.

use sigstore_verify::types::{Artifact, Bundle, Sha256Hash, SignatureContent};
use sigstore_verify::{
    CertificateError, Error, PublicKeyVerificationPolicy, TimestampError, TransparencyLogError,
    VerificationPolicy, VerificationResult,
};

use super::super::identity::Identity;
use super::super::refusal::quoted;
use super::super::{Key, Refusal, TrustRoot};
use super::entries::{check_logs, check_sizes};
use super::{BUNDLE_BYTES_MAX, SignedStatement, check_claims, read};
use crate::oci::{Algorithm, Digest};
use crate::signature;

/// What a signature has to rest on besides its log entry.
#[derive(Debug, Clone, Copy)]
pub(in crate::signature) enum Trust<'a> {
    /// A certificate of the root's authorities, for this identity.
    Certificate { root: &'a TrustRoot, identity: &'a Identity },
    /// This key.
    Key { key: &'a Key, root: &'a TrustRoot },
}

/// Verifies the bundle in `json`, and then what the signed statement says; gives who signed.
pub(in crate::signature) fn verify_logged(
    json: &str,
    trust: Trust<'_>,
    subject: &Digest,
) -> Result<String, Refusal> {
    // What is claimed comes first: an attestation or a signature of another image is that, whoever
    // made it. None of it counts before the library has verified it.
    let check = |payload: &[u8]| check_claims(payload, subject);
    verify_statement(json, BUNDLE_BYTES_MAX, trust, subject, check).map(|(by, ())| by)
}

/// Verifies the bundle in `json`, of `bytes_max` at most, over a statement about `subject`; gives who
/// signed, and what `open` makes of the statement.
pub(in crate::signature) fn verify_statement<T>(
    json: &str,
    bytes_max: usize,
    trust: Trust<'_>,
    subject: &Digest,
    open: impl FnOnce(&[u8]) -> Result<T, Refusal>,
) -> Result<(String, T), Refusal> {
    let SignedStatement { payload, .. } = read(json, bytes_max)?.check(&trust)?.statement()?;
    let artifact = sha256(subject)?;
    let bundle = parsed(json)?;
    // Claims are read by us and signatures by the library: from one text, and so from the same bytes.
    let SignatureContent::DsseEnvelope(envelope) = &bundle.content else {
        return Err(Refusal::NotAStatement);
    };
    if envelope.payload.as_bytes() != payload {
        return Err(Refusal::Malformed("bundle"));
    }
    let opened = open(&payload)?;
    Ok((verify_with(&bundle, trust, artifact)?, opened))
}

/// Verifies the bundle in `json`, whatever it says about `artifact`; gives who signed.
pub(in crate::signature) fn verify_any(
    json: &str,
    trust: Trust<'_>,
    artifact: signature::Artifact<'_>,
) -> Result<String, Refusal> {
    read(json, BUNDLE_BYTES_MAX)?.check(&trust)?;
    match artifact {
        signature::Artifact::Bytes(bytes) => verify_artifact(json, trust, bytes),
        signature::Artifact::Digest(digest) => verify_artifact(json, trust, sha256(&digest)?),
    }
}

fn sha256(digest: &Digest) -> Result<Sha256Hash, Refusal> {
    if digest.algorithm() != Algorithm::Sha256 {
        return Err(Refusal::Algorithm);
    }
    Sha256Hash::from_hex(&digest.hex()).map_err(|_| Refusal::Malformed("digest"))
}

/// Verifies the bundle in `json` over `artifact`; gives who signed.
pub(in crate::signature) fn verify_artifact<'a>(
    json: &str,
    trust: Trust<'_>,
    artifact: impl Into<Artifact<'a>>,
) -> Result<String, Refusal> {
    verify_with(&parsed(json)?, trust, artifact)
}

fn parsed(json: &str) -> Result<Bundle, Refusal> {
    Bundle::from_json(json).map_err(|_| Refusal::Malformed("bundle"))
}

fn verify_with<'a>(
    bundle: &Bundle,
    trust: Trust<'_>,
    artifact: impl Into<Artifact<'a>>,
) -> Result<String, Refusal> {
    // Without an entry the library is content with a timestamp.
    if bundle.verification_material.tlog_entries.is_empty() {
        return Err(Refusal::NoLogEntry);
    }
    check_sizes(bundle)?;
    match trust {
        Trust::Certificate { root, identity } => {
            // Who it is for is compared here: the library compares exact texts only.
            let policy = VerificationPolicy::any_identity();
            let verified = root.verifier().verify(artifact, bundle, &policy).map_err(refusal)?;
            if !is_proven(&verified) {
                return Err(Refusal::Proof("certificate or log entry not verified".to_owned()));
            }
            check_logs(bundle, root)?;
            identity.check(verified.issuer(), verified.identity())
        }
        Trust::Key { key, root } => {
            let policy = PublicKeyVerificationPolicy::new(key.spki().clone());
            let verified = root.verifier().verify(artifact, bundle, &policy).map_err(refusal)?;
            if !verified.tlog_verified() {
                return Err(Refusal::Proof("log entry not verified".to_owned()));
            }
            check_logs(bundle, root)?;
            Ok(key.id())
        }
    }
}

fn is_proven(verified: &VerificationResult) -> bool {
    verified.certificate_verified()
        && verified.sct_verified()
        && verified.tlog_verified()
        && !verified.verified_timestamps().is_empty()
}

/// What the library found wrong, by the check that failed.
fn refusal(error: Error) -> Refusal {
    match error {
        Error::SignatureInvalid(_) => Refusal::WrongKey,
        Error::ArtifactMismatch(_) => Refusal::OtherArtifact,
        Error::Certificate(CertificateError::Sct(why)) => {
            Refusal::Proof(quoted(&format!("certificate is in no trusted log: {why}")))
        }
        Error::Certificate(why) => Refusal::Proof(quoted(&why.to_string())),
        Error::TransparencyLog(TransparencyLogError::UnknownLog { .. }) => {
            Refusal::Proof("entry of an unknown transparency log".to_owned())
        }
        Error::TransparencyLog(why) => Refusal::Proof(quoted(&why.to_string())),
        Error::Timestamp(TimestampError::NoVerifiedTimestamp(_)) => {
            Refusal::Proof("nothing proves when it was signed".to_owned())
        }
        Error::Timestamp(why) => Refusal::Proof(quoted(&why.to_string())),
        other @ (Error::IdentityMismatch { .. }
        | Error::IssuerMismatch { .. }
        | Error::UnsupportedArtifact(_)
        | Error::InvalidBundle(_)
        | Error::UnsupportedBundle(_)
        | Error::InvalidTrustRoot(_)
        | Error::Types(_)
        | Error::Crypto(_)
        | Error::Bundle(_)
        | Error::TrustRoot(_)
        | Error::TrustedCertificate(_)
        | Error::ArtifactRead(_)
        | _) => Refusal::Proof(quoted(&other.to_string())),
    }
}
