//! A signature envelope of the Notary Project, in whichever of its two encodings.
//!
//! Spec: <https://github.com/notaryproject/specifications/blob/v1.1.0/specs/signature-specification.md>

use serde_json::{Map, Value};

use super::super::Refusal;
use super::super::refusal::quoted;
use crate::oci::{Digest, from_strict_slice};
use crate::time::Timestamp;

/// Largest envelope in bytes: with a chain and a countersignature one takes about 12 kB.
pub const ENVELOPE_BYTES_MAX: usize = 256 * 1024;
/// Most certificates in the chain of one envelope.
pub(super) const CHAIN_LENGTH_MAX: usize = 10;
/// What the payload of an envelope must be.
pub(super) const PAYLOAD_TYPE: &str = "application/vnd.cncf.notary.payload.v1+json";
/// The attributes that this verifier understands, of those that may be marked critical.
pub(super) const SCHEME: &str = "io.cncf.notary.signingScheme";
pub(super) const EXPIRY: &str = "io.cncf.notary.expiry";
pub(super) const AUTHENTIC_SIGNING_TIME: &str = "io.cncf.notary.authenticSigningTime";
pub(super) const SIGNING_TIME: &str = "io.cncf.notary.signingTime";
/// Attributes that hand the verification to a program of the signer's choice.
const PLUGIN: &str = "io.cncf.notary.verificationPlugin";

/// What an envelope holds, none of it believed.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The signed payload.
    pub(super) payload: Vec<u8>,
    /// The bytes under the signature.
    pub(super) signed: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) algorithm: Algorithm,
    pub(super) scheme: Scheme,
    /// When it was signed, by the signer's own word.
    pub(super) signing_time: Timestamp,
    pub(super) expiry: Option<Timestamp>,
    /// The chain of the signer, in DER, its own certificate first.
    pub(super) chain: Vec<Vec<u8>>,
    /// The countersignature of a timestamp authority.
    pub(super) timestamp: Option<Vec<u8>>,
}

/// The six algorithms of the specification; the key fixes which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
}

/// Who vouches for the signing time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// A timestamp authority, or nobody.
    X509,
    /// The authority that signs.
    SigningAuthority,
}

/// The signed attributes as an encoding has them, before they are checked against each other.
pub(super) struct Attributes {
    pub(super) scheme: String,
    pub(super) signing_time: Option<Timestamp>,
    pub(super) authentic_signing_time: Option<Timestamp>,
    pub(super) expiry: Option<Timestamp>,
    pub(super) critical: Vec<String>,
    /// The names of all others.
    pub(super) extended: Vec<String>,
}

/// What is left of the attributes once they are consistent.
pub(super) struct Claims {
    pub(super) scheme: Scheme,
    pub(super) signing_time: Timestamp,
    pub(super) expiry: Option<Timestamp>,
}

impl Attributes {
    /// Checks that everything is there that must be, and that nothing critical is unknown.
    pub(super) fn check(self) -> Result<Claims, Refusal> {
        if let Some(plugin) = self.extended.iter().find(|name| name.starts_with(PLUGIN)) {
            return Err(Refusal::CriticalAttribute(quoted(plugin)));
        }
        let (scheme, signing_time, other) = match self.scheme.as_str() {
            "notary.x509" => (Scheme::X509, self.signing_time, self.authentic_signing_time),
            "notary.x509.signingAuthority" => {
                (Scheme::SigningAuthority, self.authentic_signing_time, self.signing_time)
            }
            other => {
                let why = format!("signing scheme {} is not supported", quoted(other));
                return Err(Refusal::Proof(why));
            }
        };
        let (Some(signing_time), None) = (signing_time, other) else {
            return Err(Refusal::Malformed("signing time of the envelope"));
        };
        let mut must = vec![SCHEME];
        must.extend(self.expiry.map(|_| EXPIRY));
        must.extend((scheme == Scheme::SigningAuthority).then_some(AUTHENTIC_SIGNING_TIME));
        for name in &self.critical {
            let Some(at) = must.iter().position(|must| must == name) else {
                return Err(Refusal::CriticalAttribute(quoted(name)));
            };
            must.swap_remove(at);
        }
        if !must.is_empty() {
            return Err(Refusal::Malformed("list of critical attributes"));
        }
        if self.expiry.is_some_and(|expiry| expiry <= signing_time) {
            return Err(Refusal::Proof("signature expires before it was made".to_owned()));
        }
        Ok(Claims { scheme, signing_time, expiry: self.expiry })
    }
}

/// Checks that `payload`, whose signature has verified, is about `subject`.
pub(super) fn check_target(payload: &[u8], subject: &Digest) -> Result<(), Refusal> {
    const MALFORMED: Refusal = Refusal::Malformed("signed payload");
    let payload: Map<String, Value> = from_strict_slice(payload).map_err(|_| MALFORMED)?;
    let target = payload.get("targetArtifact").and_then(Value::as_object).ok_or(MALFORMED)?;
    let digest = target.get("digest").and_then(Value::as_str).ok_or(MALFORMED)?;
    let digest: Digest = digest.parse().map_err(|_| MALFORMED)?;
    if digest == *subject { Ok(()) } else { Err(Refusal::OtherImage(digest)) }
}
