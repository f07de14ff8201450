//! Bundles judged with a trust root: the library's own verifier, and what it leaves to its callers.

use sigstore_verify::crypto::{KeyAlgorithm, SigningScheme};
use sigstore_verify::types::{Artifact, Bundle, Sha256Hash, SignatureContent};
use sigstore_verify::{
    CertificateError, Error, PublicKeyVerificationPolicy, TimestampError, TransparencyLogError,
    VerificationPolicy, VerificationResult,
};

use super::super::identity::Identity;
use super::super::refusal::quoted;
use super::super::{Key, Proof, Refusal, TrustRoot};
use super::{BUNDLE_BYTES_MAX, SignedStatement, check_claims, read, sizes};
use crate::oci::{Algorithm, Digest};
use crate::signature;
use crate::time::{Timestamp, Window};

/// What a signature has to rest on besides its log entry.
#[derive(Debug, Clone, Copy)]
pub(in crate::signature) enum Trust<'a> {
    /// A certificate of the root's authorities, for this identity.
    Certificate { root: &'a TrustRoot, identity: &'a Identity },
    /// A certificate of the root's authorities, for anybody: for telling who it was, never for judging.
    Anybody { root: &'a TrustRoot },
    /// This key, by signatures made within the window.
    Key { key: &'a Key, root: &'a TrustRoot, window: Window },
}

/// Verifies the bundle in `json`, and then what the signed statement says; gives who signed.
pub(in crate::signature) fn verify_logged(
    json: &str,
    trust: Trust<'_>,
    subject: &Digest,
) -> Result<Proof, Refusal> {
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
) -> Result<(Proof, T), Refusal> {
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
) -> Result<Proof, Refusal> {
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
) -> Result<Proof, Refusal> {
    verify_with(&parsed(json)?, trust, artifact)
}

fn parsed(json: &str) -> Result<Bundle, Refusal> {
    Bundle::from_json(json).map_err(|_| Refusal::Malformed("bundle"))
}

fn verify_with<'a>(
    bundle: &Bundle,
    trust: Trust<'_>,
    artifact: impl Into<Artifact<'a>>,
) -> Result<Proof, Refusal> {
    // Without an entry the library is content with a timestamp.
    if bundle.verification_material.tlog_entries.is_empty() {
        return Err(Refusal::NoLogEntry);
    }
    sizes::check(bundle)?;
    match trust {
        Trust::Certificate { root, identity } => {
            // Who it is for is compared here: the library compares exact texts only.
            let verified = certified(bundle, root, artifact)?;
            Ok(proof(identity.check(verified.issuer(), verified.identity())?, &verified))
        }
        Trust::Anybody { root } => {
            let verified = certified(bundle, root, artifact)?;
            let by = Identity::told(verified.issuer(), verified.identity())?;
            Ok(proof(by, &verified))
        }
        Trust::Key { key, root, window } => {
            let policy = PublicKeyVerificationPolicy::new(key.spki().clone());
            let verified = root.verifier().verify(artifact, bundle, &policy).map_err(refusal)?;
            if !verified.tlog_verified() {
                return Err(Refusal::Proof("log entry not verified".to_owned()));
            }
            if !scheme_of(&bundle.content, key).is_some_and(|scheme| key.takes(scheme)) {
                return Err(Refusal::AlgorithmNotAllowed);
            }
            root.check_demands(bundle, verified.verified_timestamps())?;
            check_made_within(window, &verified)?;
            Ok(proof(key.id(), &verified))
        }
    }
}

/// What the library verified of a bundle with a certificate, whomever that is for.
fn certified<'a>(
    bundle: &Bundle,
    root: &TrustRoot,
    artifact: impl Into<Artifact<'a>>,
) -> Result<VerificationResult, Refusal> {
    let policy = VerificationPolicy::any_identity();
    let verified = root.verifier().verify(artifact, bundle, &policy).map_err(refusal)?;
    if !is_proven(&verified) {
        return Err(Refusal::Proof("certificate or log entry not verified".to_owned()));
    }
    root.check_demands(bundle, verified.verified_timestamps())?;
    Ok(verified)
}

fn proof(by: String, verified: &VerificationResult) -> Proof {
    Proof { by, until: None, existed_at: times(verified).min() }
}

/// The times that were proven.
fn times(verified: &VerificationResult) -> impl Iterator<Item = Timestamp> {
    let times = verified.verified_timestamps().iter();
    times.map(|at| Timestamp::from_milliseconds(at.as_millisecond()))
}

/// By which algorithm the library verifies `content` with `key`.
fn scheme_of(content: &SignatureContent, key: &Key) -> Option<SigningScheme> {
    let algorithm = KeyAlgorithm::from_spki(key.spki()).ok()?;
    match content {
        SignatureContent::MessageSignature(signed) => match &signed.message_digest {
            Some(digest) => algorithm.resolve_signing_scheme(digest.algorithm).ok(),
            None => Some(algorithm.default_signing_scheme()),
        },
        SignatureContent::DsseEnvelope(_) => Some(algorithm.default_signing_scheme()),
        _ => None,
    }
}

/// Checks that the signature was made within `window`, by everybody's word who says when. An entry in
/// a log of the second generation does not.
fn check_made_within(window: Window, verified: &VerificationResult) -> Result<(), Refusal> {
    if window.is_always() {
        return Ok(());
    }
    if verified.verified_timestamps().is_empty() {
        return Err(Refusal::Proof("nothing proves when it was signed".to_owned()));
    }
    match times(verified).find(|at| !window.contains(*at)) {
        Some(at) => Err(Refusal::SignedOutsideWindow { at, window }),
        None => Ok(()),
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
