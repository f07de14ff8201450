//! Signatures of the Notary Project (notation): X.509 chains, trust stores and trusted identities.
//!
//! Spec: <https://github.com/notaryproject/specifications/blob/v1.1.0/specs/trust-store-trust-policy.md>

mod certificate;
mod chain;
mod cose;
mod countersignature;
mod envelope;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod jws;
mod name;
mod revocation;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};

pub use envelope::ENVELOPE_BYTES_MAX;
pub use name::{DistinguishedName, NameError};
pub use revocation::REVOCATION_LIST_BYTES_MAX;
pub use store::{TrustStore, TrustStoreError, TrustStoreFiles, WhenToTimestamp};

use super::refusal::quoted;
use super::signer::Proof;
use super::{Form, Refusal};
use crate::oci::Digest;
use crate::time::Timestamp;
use certificate::Certificate;
use envelope::{Algorithm, Envelope, Scheme};

/// The media type of the envelopes in JSON.
pub const JWS_MEDIA_TYPE: &str = "application/jose+json";
/// The media type of the envelopes in CBOR.
pub const COSE_MEDIA_TYPE: &str = "application/cose";

/// Someone whom an authority of a trust store certifies.
#[derive(Debug, Clone)]
pub struct NotationSigner {
    /// Whose certificates count.
    pub store: Arc<TrustStore>,
    /// What the certificate must be for; `None` is whoever the authorities certify.
    pub identity: Option<DistinguishedName>,
    /// Which failures refuse.
    pub enforced: Enforced,
}

/// The checks that a level of verification may turn into mere observations. Whose signature it is, over
/// what, is always enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforced {
    /// That the certificates were valid when it was signed.
    pub authentic_timestamp: bool,
    /// That the signer's own expiry has not passed.
    pub expiry: bool,
    /// That no certificate is revoked.
    pub revocation: bool,
}

impl Enforced {
    /// The level `strict`: everything.
    pub const STRICT: Self = Self { authentic_timestamp: true, expiry: true, revocation: true };
    /// The level `permissive`: nothing that time alone can break.
    pub const PERMISSIVE: Self =
        Self { authentic_timestamp: false, expiry: false, revocation: false };
}

/// Verifies that `signer` signed the image `subject`, by an envelope of the form `form`.
pub(super) fn verify(
    bytes: &[u8],
    form: Form,
    signer: &NotationSigner,
    subject: &Digest,
    now: Timestamp,
) -> Result<Proof, Refusal> {
    if bytes.len() > ENVELOPE_BYTES_MAX {
        return Err(Refusal::TooLarge("envelope"));
    }
    let envelope = match form {
        Form::NotationJws => jws::read(bytes)?,
        Form::NotationCose => cose::read(bytes)?,
        Form::Bundle | Form::SimpleSigning => return Err(Refusal::OtherForm(form)),
    };
    let chain = read_chain(&envelope)?;
    chain::check(&chain)?;
    let leaf = chain.first().ok_or(Refusal::Malformed("chain of certificates"))?;
    check_signature(&envelope, leaf)?;
    envelope::check_target(&envelope.payload, subject)?;
    let trusted = signer.store.trusted(&chain, envelope.scheme).ok_or(Refusal::UnknownAuthority)?;
    let subject = leaf.name()?;
    if signer.identity.as_ref().is_some_and(|wanted| !wanted.is_within(&subject)) {
        let subject = quoted(&subject.to_string());
        let issuer = quoted(&leaf.parsed.tbs_certificate.issuer.to_string());
        return Err(Refusal::OtherIdentity { subject, issuer });
    }
    let InTime { until, existed_at } = check_in_time(&envelope, &chain, signer, now)?;
    let authority = Digest::sha256(trusted.der()).hex();
    Ok(Proof { by: format!("x509 {subject} by {authority}"), until, existed_at })
}

fn read_chain(envelope: &Envelope) -> Result<Vec<Certificate>, Refusal> {
    envelope.chain.iter().map(|der| Certificate::read(der)).collect()
}

/// Checks that the key of `leaf` made the signature, by the one algorithm that goes with it.
fn check_signature(envelope: &Envelope, leaf: &Certificate) -> Result<(), Refusal> {
    if leaf.algorithm() != Some(envelope.algorithm) {
        return Err(Refusal::AlgorithmNotAllowed);
    }
    let algorithm: &dyn VerificationAlgorithm = match envelope.algorithm {
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
        Algorithm::Es512 => &ECDSA_P521_SHA512_FIXED,
    };
    let (_, key) = certificate::parts(leaf.key()).ok_or(Refusal::Malformed("certificate"))?;
    UnparsedPublicKey::new(algorithm, key)
        .verify(&envelope.signed, &envelope.signature)
        .map_err(|_| Refusal::Proof("signature does not verify with its certificate".to_owned()))
}

/// That a signature counts now.
struct InTime {
    /// Until when.
    until: Option<Timestamp>,
    /// When it was there, by the word of an authority.
    existed_at: Option<Timestamp>,
}

/// Checks everything that depends on the time; gives until when the answer holds.
fn check_in_time(
    envelope: &Envelope,
    chain: &[Certificate],
    signer: &NotationSigner,
    now: Timestamp,
) -> Result<InTime, Refusal> {
    let Enforced { authentic_timestamp, expiry, revocation } = signer.enforced;
    let (mut ends, mut existed_at) = (Vec::new(), None);
    if let Some(end) = envelope.expiry.filter(|_| expiry) {
        if end <= now {
            return Err(Refusal::Proof(format!("signature expired at {end}")));
        }
        ends.push(end);
    }
    if authentic_timestamp {
        let in_time = check_signing_time(envelope, chain, signer, now)?;
        existed_at = in_time.existed_at;
        ends.extend(in_time.until);
    }
    if revocation && let Some(lists) = &signer.store.revocation {
        ends.extend(lists.check(chain, now)?);
    }
    Ok(InTime { until: ends.into_iter().min(), existed_at })
}

/// Checks that the chain was valid when it was signed, by somebody's word who can be trusted with that.
fn check_signing_time(
    envelope: &Envelope,
    chain: &[Certificate],
    signer: &NotationSigner,
    now: Timestamp,
) -> Result<InTime, Refusal> {
    if envelope.scheme == Scheme::SigningAuthority {
        let at = envelope.signing_time;
        chain::check_valid(chain, at, at)?;
        return Ok(InTime { until: None, existed_at: Some(at) });
    }
    let end = chain::end(chain);
    let has_expired = end.is_some_and(|end| end < now);
    let store = &signer.store;
    let by_authority =
        !store.tsa.is_empty() && (store.when == WhenToTimestamp::Always || has_expired);
    if !by_authority {
        chain::check_valid(chain, now, now)?;
        return Ok(InTime { until: end, existed_at: None });
    }
    let token = envelope.timestamp.as_deref();
    let token =
        token.ok_or_else(|| Refusal::Proof("nothing proves when it was signed".to_owned()))?;
    let (when, authority) = countersignature::verify(token, &envelope.signature, &store.tsa)?;
    chain::check_valid(chain, when.earliest, when.latest)?;
    let until = match &store.revocation {
        Some(lists) if signer.enforced.revocation => lists.check(&authority, now)?,
        _ => None,
    };
    Ok(InTime { until, existed_at: Some(when.latest) })
}
