//! Sigstore bundles v0.1 to v0.3 that sign an in-toto statement.
//!
//! The library's own verifier wants a log entry or a timestamp in every bundle, and cosign makes
//! bundles without either when it is told to; so the path of keys that count alone is read here, and
//! only the primitives are the library's. Everything else is [`logged`].
//!
//! Spec: <https://github.com/sigstore/protobuf-specs/blob/v0.4.3/protos/sigstore_bundle.proto>,
//! <https://github.com/secure-systems-lab/dsse/blob/v1.0.2/envelope.md>,
//! <https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/statement.md>

mod logged;
mod sizes;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use sigstore_verify::types::pae;

pub(super) use logged::{Trust, verify_any, verify_artifact, verify_logged, verify_statement};

use super::crypto::{self, decode_base64};
use super::refusal::quoted;
use super::simple_signing::CHAIN_LENGTH_MAX;
use super::{ATTESTATION_BYTES_MAX, Form, Key, Refusal};
use crate::oci::{Digest, from_strict_slice};

/// The media types of bundles, the newest first; each is an artifact type and the type of a layer
/// too.
pub const BUNDLE_MEDIA_TYPES: [&str; 4] = [
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
];
/// Largest bundle in bytes that is read as a signature: with log entries one takes about 10 kB.
pub const BUNDLE_BYTES_MAX: usize = 256 * 1024;
/// What a statement is about when it is an image signature of cosign.
pub const PREDICATE_TYPE: &str = "https://sigstore.dev/cosign/sign/v1";

/// What an envelope holds when it holds an in-toto statement.
pub(super) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The versions of in-toto statements that cosign writes.
const STATEMENT_TYPES: [&str; 2] =
    ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
/// Most log entries of one bundle: cosign writes one.
const LOG_ENTRIES_MAX: usize = 16;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: VerificationMaterial,
    dsse_envelope: Option<Envelope>,
    message_signature: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerificationMaterial {
    public_key: Option<IgnoredAny>,
    certificate: Option<IgnoredAny>,
    #[serde(rename = "x509CertificateChain")]
    certificate_chain: Option<CertificateChain>,
    #[serde(default)]
    tlog_entries: Vec<IgnoredAny>,
    #[serde(default)]
    timestamp_verification_data: Option<Timestamps>,
}

#[derive(Deserialize)]
struct CertificateChain {
    #[serde(default)]
    certificates: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Timestamps {
    #[serde(default)]
    rfc3161_timestamps: Vec<IgnoredAny>,
}

/// A DSSE envelope.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<StatementSubject>,
}

#[derive(Deserialize)]
struct StatementSubject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// A signature over a statement, not verified yet.
pub(super) struct SignedStatement {
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// Verifies the signature and then what the signed statement says, with a key that counts alone.
pub(super) fn verify(json: &str, key: &Key, subject: &Digest) -> Result<(), Refusal> {
    let signed = signed_by_key(read(json, BUNDLE_BYTES_MAX)?)?;
    crypto::verify(Form::Bundle, key, &pae(PAYLOAD_TYPE, &signed.payload), &signed.signature)?;
    check_claims(&signed.payload, subject)
}

/// The statement in the bundle in `json`, not verified, which rests on a key; for attestations, which
/// may be large.
pub(super) fn by_key(json: &str) -> Result<SignedStatement, Refusal> {
    signed_by_key(read(json, ATTESTATION_BYTES_MAX)?)
}

fn signed_by_key(bundle: Bundle) -> Result<SignedStatement, Refusal> {
    if bundle.rests_on_certificate() { Err(Refusal::Certificate) } else { bundle.statement() }
}

/// What the statement in a bundle says it is about, unverified: to tell signatures from the
/// attestations that lie beside them under the same type, before any key is tried.
///
/// # Errors
/// When `json` is not a bundle that any signer could verify.
pub fn predicate_type(json: &str) -> Result<String, Refusal> {
    crypto::guarded(|| {
        let signed = read(json, BUNDLE_BYTES_MAX)?.statement()?;
        Ok(statement(&signed.payload)?.predicate_type)
    })
}

fn read(json: &str, bytes_max: usize) -> Result<Bundle, Refusal> {
    if json.len() > bytes_max {
        return Err(Refusal::TooLarge("bundle"));
    }
    let bundle: Bundle =
        from_strict_slice(json.as_bytes()).map_err(|_| Refusal::Malformed("bundle"))?;
    if !BUNDLE_MEDIA_TYPES.contains(&bundle.media_type.as_str()) {
        return Err(Refusal::Version);
    }
    let material = &bundle.verification_material;
    let chain = material.certificate_chain.as_ref();
    let materials = [&material.public_key, &material.certificate].into_iter().flatten().count();
    if materials + usize::from(chain.is_some()) != 1 {
        return Err(Refusal::Malformed("bundle"));
    }
    if chain.is_some_and(|chain| chain.certificates.len() > CHAIN_LENGTH_MAX + 1) {
        return Err(Refusal::TooLarge("chain of certificates"));
    }
    let timestamps = material.timestamp_verification_data.as_ref();
    let timestamps = timestamps.map_or(0, |data| data.rfc3161_timestamps.len());
    if material.tlog_entries.len().max(timestamps) > LOG_ENTRIES_MAX {
        return Err(Refusal::TooLarge("list of log entries"));
    }
    Ok(bundle)
}

impl Bundle {
    fn rests_on_certificate(&self) -> bool {
        self.verification_material.public_key.is_none()
    }

    /// Whether this is the kind of bundle that `trust` is about, with a log entry.
    fn check(self, trust: &Trust<'_>) -> Result<Self, Refusal> {
        match (trust, self.rests_on_certificate()) {
            (Trust::Certificate { .. } | Trust::Anybody { .. }, false) => {
                Err(Refusal::NoCertificate)
            }
            (Trust::Key { .. }, true) => Err(Refusal::Certificate),
            _ if self.verification_material.tlog_entries.is_empty() => Err(Refusal::NoLogEntry),
            _ => Ok(self),
        }
    }

    fn statement(self) -> Result<SignedStatement, Refusal> {
        let (Some(envelope), None) = (self.dsse_envelope, self.message_signature) else {
            return Err(Refusal::NotAStatement);
        };
        envelope.statement()
    }
}

impl Envelope {
    pub(super) fn statement(self) -> Result<SignedStatement, Refusal> {
        if self.payload_type != PAYLOAD_TYPE {
            return Err(Refusal::PayloadType);
        }
        let [signature] = self.signatures.as_slice() else {
            return Err(Refusal::SignatureCount(self.signatures.len()));
        };
        Ok(SignedStatement {
            payload: decode_base64(&self.payload, "payload")?,
            signature: decode_base64(&signature.sig, "signature")?,
        })
    }
}

fn statement(payload: &[u8]) -> Result<Statement, Refusal> {
    let statement: Statement =
        from_strict_slice(payload).map_err(|_| Refusal::Malformed("signed statement"))?;
    if !STATEMENT_TYPES.contains(&statement.kind.as_str()) {
        return Err(Refusal::PayloadType);
    }
    Ok(statement)
}

/// Checks what `payload`, whose signature has verified, claims.
pub(super) fn check_claims(payload: &[u8], subject: &Digest) -> Result<(), Refusal> {
    let statement = statement(payload)?;
    if statement.predicate_type != PREDICATE_TYPE {
        return Err(Refusal::NotASignature(quoted(&statement.predicate_type)));
    }
    names(&statement, subject)
}

/// Checks that the statement in `payload` is about `subject`, whatever it says.
pub(super) fn check_subject(payload: &[u8], subject: &Digest) -> Result<(), Refusal> {
    names(&statement(payload)?, subject)
}

fn names(statement: &Statement, subject: &Digest) -> Result<(), Refusal> {
    let algorithm = subject.algorithm().as_str();
    let signed = |about: &StatementSubject| -> Option<Digest> {
        format!("{algorithm}:{}", about.digest.get(algorithm)?).parse().ok()
    };
    let mut signed = statement.subject.iter().filter_map(signed).peekable();
    let first = *signed.peek().ok_or(Refusal::NoImage)?;
    if signed.any(|digest| digest == *subject) { Ok(()) } else { Err(Refusal::OtherImage(first)) }
}
