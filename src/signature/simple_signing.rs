//! Simple signing: a JSON payload as a layer, its signature as an annotation.
//!
//! Spec: <https://github.com/sigstore/cosign/blob/v2.5.0/specs/SIGNATURE_SPEC.md>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sigstore_verify::types::DerCertificate;

use super::bundle::{Trust, verify_artifact};
use super::crypto::{self, decode_base64};
use super::{Form, Key, Proof, Refusal, SimpleSigningProof};
use crate::oci::{Digest, ImageReference, Name, from_strict_slice};

/// The type of a layer that holds a payload.
pub const PAYLOAD_MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of that layer that holds the signature.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// Largest payload in bytes: one of cosign's takes 250, besides what people add.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Longest text of a signature: 1024 bytes in base64.
pub const SIGNATURE_TEXT_LENGTH_MAX: usize = 1368;

/// Most bytes of the annotations that prove a signature, together: certificates take 3 kB, the promise
/// of a log 2 kB, a timestamp 2 kB.
pub const PROOF_BYTES_MAX: usize = 64 * 1024;

const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";
const CHAIN_ANNOTATION: &str = "dev.sigstore.cosign/chain";
const BUNDLE_ANNOTATION: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP_ANNOTATION: &str = "dev.sigstore.cosign/rfc3161timestamp";
/// Most certificates above that of the signer.
pub(super) const CHAIN_LENGTH_MAX: usize = 8;
/// As what a proof of simple signing is put before the verifier: bundles of this version need no more
/// than the promise of a log.
const BUNDLE_VERSION: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";

/// What `critical.type` says in an image signature of cosign.
const PAYLOAD_TYPE: &str = "cosign container image signature";

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    identity: Option<Identity>,
    image: Option<Image>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: Option<Digest>,
}

/// What a log says of a signature, as cosign keeps it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Promise {
    signed_entry_timestamp: String,
    payload: Entry,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    body: String,
    integrated_time: i64,
    log_index: i64,
    #[serde(rename = "logID")]
    log_id: String,
}

/// What kind of entry the body of one is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryKind {
    kind: String,
    api_version: String,
}

/// A token of a timestamp authority, as cosign keeps it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Token {
    #[serde(rename = "SignedRFC3161Timestamp")]
    signed: String,
}

/// What `annotations` of a payload say besides the signature.
///
/// # Errors
/// When they are larger than [`PROOF_BYTES_MAX`].
pub fn proof_in(annotations: &BTreeMap<String, String>) -> Result<SimpleSigningProof, Refusal> {
    let text = |name: &str| annotations.get(name).filter(|text| !text.is_empty()).cloned();
    let proof = SimpleSigningProof {
        certificate: text(CERTIFICATE_ANNOTATION),
        chain: text(CHAIN_ANNOTATION),
        bundle: text(BUNDLE_ANNOTATION),
        timestamp: text(TIMESTAMP_ANNOTATION),
    };
    if length(&proof) > PROOF_BYTES_MAX {
        return Err(Refusal::TooLarge("proof beside the signature"));
    }
    Ok(proof)
}

fn length(proof: &SimpleSigningProof) -> usize {
    let texts = [&proof.certificate, &proof.chain, &proof.bundle, &proof.timestamp];
    texts.into_iter().flatten().map(String::len).sum()
}

/// Verifies the signature with a key that counts alone, and then what the signed payload says.
pub(super) fn verify(
    payload: &str,
    signature: &str,
    key: &Key,
    name: &Name,
    subject: &Digest,
) -> Result<(), Refusal> {
    let (payload, signature) = decoded(payload, signature)?;
    crypto::verify(Form::SimpleSigning, key, &payload, &signature)?;
    check_claims(&payload, name, subject)
}

/// Verifies the signature by what its `proof` says, and then what the signed payload says; gives who
/// signed.
pub(super) fn verify_logged(
    payload: &str,
    signature: &str,
    proof: &SimpleSigningProof,
    trust: Trust<'_>,
    name: &Name,
    subject: &Digest,
) -> Result<Proof, Refusal> {
    if length(proof) > PROOF_BYTES_MAX {
        return Err(Refusal::TooLarge("proof beside the signature"));
    }
    let (payload, signature) = decoded(payload, signature)?;
    let bundle = as_bundle(&payload, &signature, proof, trust)?;
    let by = verify_artifact(&bundle.to_string(), trust, payload.as_slice())?;
    check_claims(&payload, name, subject)?;
    Ok(by)
}

/// The same signature in the form of a bundle.
fn as_bundle(
    payload: &[u8],
    signature: &[u8],
    proof: &SimpleSigningProof,
    trust: Trust<'_>,
) -> Result<Value, Refusal> {
    let digest = STANDARD.encode(Sha256::digest(payload));
    Ok(json!({
        "mediaType": BUNDLE_VERSION,
        "verificationMaterial": verification_material(proof, trust)?,
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": digest},
            "signature": STANDARD.encode(signature),
        },
    }))
}

/// `envelope`, a DSSE envelope with its proof in annotations, in the form of a bundle.
pub(super) fn envelope_as_bundle(
    envelope: &str,
    proof: &SimpleSigningProof,
    trust: Trust<'_>,
) -> Result<String, Refusal> {
    if length(proof) > PROOF_BYTES_MAX {
        return Err(Refusal::TooLarge("proof beside the signature"));
    }
    let material = verification_material(proof, trust)?;
    Ok(format!(
        "{{\"mediaType\":\"{BUNDLE_VERSION}\",\"verificationMaterial\":{material},\
         \"dsseEnvelope\":{envelope}}}"
    ))
}

/// What a bundle says besides the signature, out of annotations.
fn verification_material(proof: &SimpleSigningProof, trust: Trust<'_>) -> Result<Value, Refusal> {
    let promise = proof.bundle.as_deref().ok_or(Refusal::NoLogEntry)?;
    let (kind, material) = match (trust, &proof.certificate) {
        (Trust::Certificate { .. } | Trust::Anybody { .. }, Some(leaf)) => {
            let certificates = certificates(leaf, proof.chain.as_deref())?;
            ("x509CertificateChain", json!({"certificates": certificates}))
        }
        (Trust::Certificate { .. } | Trust::Anybody { .. }, None) => {
            return Err(Refusal::NoCertificate);
        }
        (Trust::Key { .. }, _) => ("publicKey", json!({"hint": ""})),
    };
    let timestamps: Vec<Value> = match &proof.timestamp {
        None => Vec::new(),
        Some(token) => {
            let token: Token =
                from_strict_slice(token.as_bytes()).map_err(|_| Refusal::Malformed("timestamp"))?;
            vec![json!({"signedTimestamp": token.signed})]
        }
    };
    Ok(json!({
        kind: material,
        "tlogEntries": [entry(promise)?],
        "timestampVerificationData": {"rfc3161Timestamps": timestamps},
    }))
}

/// The certificate of the signer and those above it, as bundles have them.
fn certificates(leaf: &str, chain: Option<&str>) -> Result<Vec<Value>, Refusal> {
    const END: &str = "-----END CERTIFICATE-----";
    let malformed = || Refusal::Malformed("certificate beside the signature");
    let chain = chain.unwrap_or_default().split_inclusive(END);
    let chain = chain.filter(|block| !block.trim().is_empty());
    let blocks: Vec<&str> = std::iter::once(leaf).chain(chain).collect();
    if blocks.len() > CHAIN_LENGTH_MAX + 1 {
        return Err(Refusal::TooLarge("chain of certificates"));
    }
    let der = |block: &str| {
        let one = block.matches(END).count() == 1;
        let parsed = DerCertificate::from_pem(block).ok().filter(|_| one);
        let der = parsed.ok_or_else(malformed)?;
        Ok(json!({"rawBytes": STANDARD.encode(der.as_bytes())}))
    };
    blocks.into_iter().map(der).collect()
}

/// The log entry in `promise`, as bundles have it.
fn entry(promise: &str) -> Result<Value, Refusal> {
    let malformed = |_| Refusal::Malformed("log entry beside the signature");
    let Promise { signed_entry_timestamp, payload } =
        from_strict_slice(promise.as_bytes()).map_err(malformed)?;
    let log_id = hex::decode(&payload.log_id)
        .map_err(|_| Refusal::Malformed("log entry beside the signature"))?;
    let body = decode_base64(&payload.body, "log entry")?;
    let EntryKind { kind, api_version } = from_strict_slice(&body).map_err(malformed)?;
    Ok(json!({
        "logIndex": payload.log_index.to_string(),
        "logId": {"keyId": STANDARD.encode(log_id)},
        "kindVersion": {"kind": kind, "version": api_version},
        "integratedTime": payload.integrated_time.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": signed_entry_timestamp},
        "canonicalizedBody": payload.body,
    }))
}

fn decoded(payload: &str, signature: &str) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
    if payload.len() > PAYLOAD_BYTES_MAX.div_ceil(3) * 4 {
        return Err(Refusal::TooLarge("payload"));
    }
    if signature.len() > SIGNATURE_TEXT_LENGTH_MAX {
        return Err(Refusal::TooLarge("signature"));
    }
    // In lines, as `openssl base64` writes them and cosign attaches and reads them.
    let signature = signature.replace(['\r', '\n'], "");
    Ok((decode_base64(payload, "payload")?, decode_base64(&signature, "signature")?))
}

/// Checks what `payload`, whose signature has verified, claims.
pub(super) fn check_claims(payload: &[u8], name: &Name, subject: &Digest) -> Result<(), Refusal> {
    let Payload { critical } =
        from_strict_slice(payload).map_err(|_| Refusal::Malformed("signed payload"))?;
    if critical.kind != PAYLOAD_TYPE {
        return Err(Refusal::PayloadKind);
    }
    let signed = critical.image.and_then(|image| image.docker_manifest_digest);
    let signed = signed.ok_or(Refusal::NoImage)?;
    if signed != *subject {
        return Err(Refusal::OtherImage(signed));
    }
    let reference = critical.identity.and_then(|identity| identity.docker_reference);
    let reference = reference.filter(|text| !text.is_empty()).ok_or(Refusal::NoRepository)?;
    let image: ImageReference =
        reference.parse().map_err(|_| Refusal::Malformed("signed reference"))?;
    if image.name != *name {
        return Err(Refusal::OtherRepository(image.name));
    }
    match image.digest {
        Some(digest) if digest != *subject => Err(Refusal::OtherImage(digest)),
        _ => Ok(()),
    }
}
