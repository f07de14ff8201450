//! Which log has an entry, and what is too much to read: what the library leaves to its callers.
//!
//! The library verifies a checkpoint with whichever key of the root made it, and an entry beside a
//! proven one needs no proof. So the name of the log in an entry with a proof alone is anybody's word,
//! and whoever counts logs would count words (CVE-2026-49834).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sigstore_verify::crypto::VerificationKey;
use sigstore_verify::types::bundle::VerificationMaterialContent;
use sigstore_verify::types::{Bundle, DerCertificate, TransparencyLogEntry};

use super::super::der::check_sets;
use super::super::{Refusal, TrustRoot};

/// Checks that each entry of `bundle` says something that its own log has signed, be it a promise or a
/// checkpoint. Whether the promises, checkpoints and proofs hold is the library's to say.
pub(super) fn check_logs(bundle: &Bundle, root: &TrustRoot) -> Result<(), Refusal> {
    bundle.verification_material.tlog_entries.iter().try_for_each(|entry| check_log(entry, root))
}

fn check_log(entry: &TransparencyLogEntry, root: &TrustRoot) -> Result<(), Refusal> {
    let wrong = |why: &str| Err(Refusal::Proof(why.to_owned()));
    let Some(key) = root.log_key(&entry.log_id.key_id) else {
        return wrong("entry of an unknown transparency log");
    };
    let Some(proof) = &entry.inclusion_proof else {
        return match entry.inclusion_promise {
            Some(_) => Ok(()),
            None => wrong("log entry has neither promise nor proof"),
        };
    };
    let (Some(checkpoint), Ok(key)) =
        (proof.checkpoint.checkpoint(), VerificationKey::from_spki(key))
    else {
        return wrong("log entry has a proof without a checkpoint");
    };
    let is_by_log = checkpoint
        .signatures()
        .iter()
        .any(|signed| key.verify(checkpoint.signed_data(), &signed.signature).is_ok());
    if is_by_log { Ok(()) } else { wrong("checkpoint is not by the log that the entry names") }
}

/// Checks that nothing in `bundle` takes long to read: its certificates, those in its log entries, and
/// its timestamps.
pub(super) fn check_sizes(bundle: &Bundle) -> Result<(), Refusal> {
    let material = &bundle.verification_material;
    let certificate = |der: &[u8]| check_sets(der, "list inside a certificate");
    match &material.content {
        VerificationMaterialContent::Certificate(leaf) => certificate(leaf.raw_bytes.as_bytes())?,
        VerificationMaterialContent::X509CertificateChain { certificates } => {
            certificates.iter().try_for_each(|it| certificate(it.raw_bytes.as_bytes()))?;
        }
        VerificationMaterialContent::PublicKey(_) | _ => {}
    }
    for entry in &material.tlog_entries {
        if let Ok(body) = serde_json::from_slice(entry.canonicalized_body.as_bytes()) {
            check_texts(&body, &certificate)?;
        }
    }
    let stamps = &material.timestamp_verification_data.rfc3161_timestamps;
    stamps
        .iter()
        .try_for_each(|it| check_sets(it.signed_timestamp.as_bytes(), "list inside a timestamp"))
}

/// Gives every certificate in `body`, PEM in base64, to `check`.
fn check_texts(body: &Value, check: &impl Fn(&[u8]) -> Result<(), Refusal>) -> Result<(), Refusal> {
    match body {
        Value::String(text) => {
            let pem = STANDARD.decode(text).unwrap_or_default();
            let pem = std::str::from_utf8(&pem).unwrap_or_default();
            DerCertificate::from_pem(pem).map_or(Ok(()), |der| check(der.as_bytes()))
        }
        Value::Array(items) => items.iter().try_for_each(|item| check_texts(item, check)),
        Value::Object(members) => members.values().try_for_each(|item| check_texts(item, check)),
        Value::Bool(_) | Value::Null | Value::Number(_) => Ok(()),
    }
}
