//! What a manifest beside an image carries, as far as its own bytes say: pure.
//!
//! Lists of referrers lie about types, so nothing here looks at how a manifest was listed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Limits;
use super::image::grant;
use crate::gate::{Grant, GrantKind};
use crate::oci::{Descriptor, Digest, ImageManifest, MediaType};
use crate::signature::{
    ATTESTATION_BYTES_MAX, AttestationForm, BUNDLE_BYTES_MAX, BUNDLE_MEDIA_TYPES, COSE_MEDIA_TYPE,
    ENVELOPE_BYTES_MAX, ENVELOPE_MEDIA_TYPE, FoundAttestation, FoundSignature, JWS_MEDIA_TYPE,
    Material, PAYLOAD_BYTES_MAX, PAYLOAD_MEDIA_TYPE, PREDICATE_TYPE, SIGNATURE_ANNOTATION,
    SIGNATURE_TEXT_LENGTH_MAX, SimpleSigningProof, predicate_type, proof_in,
};

/// Most bytes of annotations that a referrer is listed with.
const ANNOTATION_BYTES_MAX: usize = 4 * 1024;

/// What a manifest carries.
#[derive(Debug, Default)]
pub(super) struct Attachment {
    /// Layers that may hold a signature.
    pub(super) candidates: Vec<Candidate>,
    /// Layers that are attestations, or too large to be signatures.
    pub(super) attestations: Vec<FoundAttestation>,
    /// What goes with the manifest, itself included.
    pub(super) grants: Vec<Grant>,
    /// What cannot be a signature or is not served on, with why.
    pub(super) skipped: Vec<String>,
}

/// A layer that may hold a signature.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The manifest that lists it.
    pub(super) source: Digest,
    /// The layer.
    pub(super) layer: Descriptor,
    form: Stored,
}

/// How a layer holds a signature.
#[derive(Debug, Clone)]
enum Stored {
    /// It is a bundle.
    Bundle,
    /// It is an envelope of the Notary Project in CBOR.
    Cose,
    /// It is an envelope of the Notary Project in JSON.
    Jws,
    /// It is what was signed; the signature and its proof stand beside it.
    SimpleSigning(String, SimpleSigningProof),
}

/// Looks through the manifest `image`, to which `own` points.
pub(super) fn inspect(image: &ImageManifest, own: &Descriptor, limits: &Limits) -> Attachment {
    let mut attachment =
        Attachment { grants: vec![grant(own, GrantKind::Referrer, None)], ..Attachment::default() };
    for part in std::iter::once(&image.config).chain(&image.layers) {
        if part.size <= limits.attachment_bytes {
            attachment.grants.push(grant(part, GrantKind::Referrer, None));
        } else {
            attachment.skipped.push(format!("{} is too large to be served on", part.digest));
        }
    }
    for layer in &image.layers {
        if let Some(attestation) = attestation(own.digest, layer) {
            attachment.attestations.push(attestation);
            continue;
        }
        match candidate(own.digest, layer) {
            Ok(Some(candidate)) => attachment.candidates.push(candidate),
            Ok(None) => {}
            Err(why) => attachment.skipped.push(format!("{} {why}", layer.digest)),
        }
    }
    attachment
}

fn candidate(source: Digest, layer: &Descriptor) -> Result<Option<Candidate>, &'static str> {
    let media_type = layer.media_type.as_str();
    let (limit, form) = if media_type == PAYLOAD_MEDIA_TYPE {
        let signature = layer.annotations.get(SIGNATURE_ANNOTATION);
        let signature = signature.ok_or("has no signature beside it")?;
        if signature.len() > SIGNATURE_TEXT_LENGTH_MAX {
            return Err("has too long a signature beside it");
        }
        let proof = proof_in(&layer.annotations).map_err(|_| "has too much beside it")?;
        (PAYLOAD_BYTES_MAX, Stored::SimpleSigning(signature.clone(), proof))
    } else if is_bundle(media_type) {
        (BUNDLE_BYTES_MAX, Stored::Bundle)
    } else if media_type == JWS_MEDIA_TYPE {
        (ENVELOPE_BYTES_MAX, Stored::Jws)
    } else if media_type == COSE_MEDIA_TYPE {
        (ENVELOPE_BYTES_MAX, Stored::Cose)
    } else {
        return Ok(None);
    };
    if layer.size > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err("is too large for a signature");
    }
    Ok(Some(Candidate { source, layer: layer.clone(), form }))
}

/// The attestation that `layer` is: an envelope, or a bundle too large to be a signature.
fn attestation(source: Digest, layer: &Descriptor) -> Option<FoundAttestation> {
    let media_type = layer.media_type.as_str();
    let large = layer.size > u64::try_from(BUNDLE_BYTES_MAX).unwrap_or(u64::MAX);
    let form = if media_type == ENVELOPE_MEDIA_TYPE {
        AttestationForm::Envelope { proof: proof_in(&layer.annotations).ok()? }
    } else if is_bundle(media_type) && large {
        AttestationForm::Bundle
    } else {
        return None;
    };
    let readable = layer.size <= u64::try_from(ATTESTATION_BYTES_MAX).unwrap_or(u64::MAX);
    readable.then_some(FoundAttestation { source, content: layer.digest, size: layer.size, form })
}

fn is_bundle(media_type: &str) -> bool {
    // The older spellings have the version in a parameter, which not everybody keeps; the bundle says
    // it again.
    let essence = MediaType::new(media_type);
    BUNDLE_MEDIA_TYPES.iter().any(|known| MediaType::new(known) == essence)
}

impl Candidate {
    /// The attestation that it is, once it is known that it is one.
    pub(super) fn attestation(&self) -> FoundAttestation {
        let (source, content, size) = (self.source, self.layer.digest, self.layer.size);
        FoundAttestation { source, content, size, form: AttestationForm::Bundle }
    }

    /// The signature in `content`, the bytes of the layer; `None` for an attestation.
    ///
    /// # Errors
    /// Why this cannot be a signature.
    pub(super) fn signature_in(&self, content: &[u8]) -> Result<Option<FoundSignature>, String> {
        let material = match &self.form {
            Stored::SimpleSigning(signature, proof) => {
                let payload = STANDARD.encode(content);
                let (signature, proof) = (signature.clone(), proof.clone());
                Material::SimpleSigning { payload, signature, proof }
            }
            Stored::Jws => Material::NotationJws { envelope: STANDARD.encode(content) },
            Stored::Cose => Material::NotationCose { envelope: STANDARD.encode(content) },
            Stored::Bundle => {
                let json = std::str::from_utf8(content).map_err(|_| "is not text".to_owned())?;
                match predicate_type(json) {
                    Ok(kind) if kind == PREDICATE_TYPE => {
                        Material::Bundle { json: json.to_owned() }
                    }
                    Ok(_attestation) => return Ok(None),
                    Err(refusal) => return Err(refusal.to_string()),
                }
            }
        };
        Ok(Some(FoundSignature { source: self.source, material }))
    }
}

/// How a list of referrers names the manifest `image`, to which `own` points.
///
/// Spec: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers>
pub(super) fn describe(image: &ImageManifest, own: &Descriptor) -> Descriptor {
    let config_type = || image.config.media_type.as_str().to_owned();
    let length: usize = image.annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    let annotations =
        if length <= ANNOTATION_BYTES_MAX { image.annotations.clone() } else { BTreeMap::new() };
    Descriptor {
        media_type: own.media_type.clone(),
        digest: own.digest,
        size: own.size,
        // Whatever a list of upstream's says besides is not handed on.
        urls: Vec::new(),
        platform: None,
        artifact_type: Some(image.artifact_type.clone().unwrap_or_else(config_type)),
        annotations,
    }
}
