//! Simple signing: a JSON payload as a layer, its signature as an annotation.
//!
//! Spec: <https://github.com/sigstore/cosign/blob/v2.5.0/specs/SIGNATURE_SPEC.md>

use serde::Deserialize;

use super::crypto::{self, decode_base64};
use super::{Form, Key, Refusal};
use crate::oci::{Digest, ImageReference, Name, from_strict_slice};

/// The type of a layer that holds a payload.
pub const PAYLOAD_MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of that layer that holds the signature.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// Largest payload in bytes: one of cosign's takes 250, besides what people add.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Longest text of a signature: 1024 bytes in base64.
pub const SIGNATURE_TEXT_LENGTH_MAX: usize = 1368;

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

/// Verifies the signature and then what the signed payload says.
pub(super) fn verify(
    payload: &str,
    signature: &str,
    key: &Key,
    name: &Name,
    subject: &Digest,
) -> Result<(), Refusal> {
    if payload.len() > PAYLOAD_BYTES_MAX.div_ceil(3) * 4 {
        return Err(Refusal::TooLarge("payload"));
    }
    if signature.len() > SIGNATURE_TEXT_LENGTH_MAX {
        return Err(Refusal::TooLarge("signature"));
    }
    let payload = decode_base64(payload, "payload")?;
    let signature = decode_base64(signature, "signature")?;
    crypto::verify(Form::SimpleSigning, key, &payload, &signature)?;
    check_claims(&payload, name, subject)
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
