//! Attestations: signed statements about an image that say more than that it is somebody's.
//!
//! Spec: <https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/statement.md>,
//! <https://github.com/sigstore/cosign/blob/v2.5.0/specs/COSIGN_PREDICATE_SPEC.md>

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sigstore_verify::types::pae;

use super::bundle::{self, Envelope, PAYLOAD_TYPE, Trust};
use super::{
    Form, Key, PREDICATE_TYPE, Proof, Refusal, SimpleSigningProof, crypto, simple_signing,
};
use crate::oci::{Digest, from_strict_slice};

/// Largest attestation in bytes that is read: bills of materials are large.
pub const ATTESTATION_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest attestation in bytes that is looked at only to tell what it is.
const GLANCE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The type of a layer that holds an envelope of cosign 1 and 2.
pub const ENVELOPE_MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// The annotation of a layer that says what its statement is about: a hint that anybody may write.
pub const PREDICATE_TYPE_ANNOTATION: &str = "predicateType";

/// An attestation as it was found beside an image: where its content is, and what stood beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundAttestation {
    /// The manifest that carries it.
    pub source: Digest,
    /// The content: a bundle or an envelope.
    pub content: Digest,
    /// The size of the content in bytes.
    pub size: u64,
    /// In which form the content is.
    pub form: AttestationForm,
}

/// The forms of attestations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttestationForm {
    /// A Sigstore bundle, which holds its own proof.
    Bundle,
    /// A DSSE envelope under the `.att` tag, with its proof in annotations.
    Envelope {
        /// What stands beside it.
        #[serde(default)]
        proof: SimpleSigningProof,
    },
}

/// A statement whose signature has verified, and that is about the image.
#[derive(Debug)]
pub struct Statement {
    /// What kind of statement it is.
    pub predicate_type: String,
    /// What it says: JSON, exactly as it was signed.
    pub predicate: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    predicate_type: String,
    predicate: Box<RawValue>,
}

/// What an attestation claims to say, whoever made it.
#[derive(Debug)]
pub struct Claim {
    /// What kind of statement it claims to be.
    pub predicate_type: String,
    /// What it claims to say.
    pub predicate: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Unopened {
    #[serde(default)]
    dsse_envelope: Option<UnopenedEnvelope>,
    #[serde(default)]
    payload: Option<String>,
}

#[derive(Deserialize)]
struct UnopenedEnvelope {
    payload: String,
}

/// What the bundle or envelope in `content` claims to say. Nothing of it is verified, and nothing may rest
/// on it: it serves to tell people what was not used. `None` where that cannot be told, or is not worth
/// the time.
pub fn glance(content: &[u8]) -> Option<Claim> {
    if content.len() > GLANCE_BYTES_MAX {
        return None;
    }
    let unopened: Unopened = from_strict_slice(content).ok()?;
    let payload = unopened.dsse_envelope.map(|it| it.payload).or(unopened.payload)?;
    let payload = crypto::decode_base64(&payload, "payload").ok()?;
    let Predicate { predicate_type, predicate } = from_strict_slice(&payload).ok()?;
    Some(Claim { predicate_type, predicate })
}

/// Opens `payload`, a statement whose signature has verified, if it is about `subject`.
fn open(payload: &[u8], subject: &Digest) -> Result<Statement, Refusal> {
    bundle::check_subject(payload, subject)?;
    let Predicate { predicate_type, predicate } =
        from_strict_slice(payload).map_err(|_| Refusal::Malformed("signed statement"))?;
    if predicate_type == PREDICATE_TYPE {
        return Err(Refusal::NotAnAttestation);
    }
    Ok(Statement { predicate_type, predicate })
}

fn text(content: &[u8]) -> Result<&str, Refusal> {
    if content.len() > ATTESTATION_BYTES_MAX {
        return Err(Refusal::TooLarge("attestation"));
    }
    std::str::from_utf8(content).map_err(|_| Refusal::Malformed("attestation"))
}

fn envelope(content: &[u8]) -> Result<bundle::SignedStatement, Refusal> {
    let text = text(content)?;
    let envelope: Envelope =
        from_strict_slice(text.as_bytes()).map_err(|_| Refusal::Malformed("envelope"))?;
    envelope.statement()
}

/// Verifies the attestation in `content` with a key that counts alone.
pub(super) fn verify(
    content: &[u8],
    form: &AttestationForm,
    key: &Key,
    subject: &Digest,
) -> Result<Statement, Refusal> {
    let (form, signed) = match form {
        AttestationForm::Bundle => (Form::Bundle, bundle::by_key(text(content)?)?),
        // cosign 2 chooses algorithms here as it does for image signatures.
        AttestationForm::Envelope { .. } => (Form::SimpleSigning, envelope(content)?),
    };
    crypto::verify(form, key, &pae(PAYLOAD_TYPE, &signed.payload), &signed.signature)?;
    open(&signed.payload, subject)
}

/// Verifies the attestation in `content` by certificate or log; gives who signed, too.
pub(super) fn verify_logged(
    content: &[u8],
    form: &AttestationForm,
    trust: Trust<'_>,
    subject: &Digest,
) -> Result<(Proof, Statement), Refusal> {
    let (json, limit) = match form {
        AttestationForm::Bundle => (text(content)?.to_owned(), ATTESTATION_BYTES_MAX),
        AttestationForm::Envelope { proof } => {
            // Read once more as a part of the bundle, from the same strict text.
            envelope(content)?;
            let bundle = simple_signing::envelope_as_bundle(text(content)?, proof, trust)?;
            // Base64 of the same bytes, and the proof around it.
            (bundle, 2 * ATTESTATION_BYTES_MAX)
        }
    };
    bundle::verify_statement(&json, limit, trust, subject, |payload| open(payload, subject))
}
