//! What of a bundle is too much to read: the library leaves that to its callers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sigstore_verify::types::bundle::VerificationMaterialContent;
use sigstore_verify::types::{Bundle, DerCertificate};

use super::super::Refusal;
use super::super::der::check_sets;

/// Checks that nothing in `bundle` takes long to read: its certificates, those in its log entries, and
/// its timestamps.
pub(super) fn check(bundle: &Bundle) -> Result<(), Refusal> {
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
