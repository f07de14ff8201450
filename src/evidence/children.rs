//! The search for signatures over each image that an index lists.

use std::collections::{BTreeMap, HashSet};

use super::Limits;
use super::fetch::Fetcher;
use super::search::{self, Found};
use super::source::Source;
use crate::gate::{ChildImage, ChildSignatures, Grant, SignatureSearch, Subject};
use crate::signature::{AttestationForm, FoundAttestation, Material, SimpleSigningProof};

/// Bytes that are kept of the signatures over all images of an index. Each has an equal share, so that
/// whoever floods one hides no other.
const SIGNATURE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes that are kept of how the referrers of all images of an index describe themselves.
const DESCRIPTION_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes that are kept of where the attestations about all images of an index are, and of what stands
/// beside them.
const ATTESTATION_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes that one takes beside its proof: two digests and what names the fields.
const ATTESTATION_BYTES: usize = 256;
/// Most grants for what is attached to the images of an index. What is beyond is found again, image by
/// image, when a client asks for it.
const GRANTS_MAX: usize = 1024;

/// Searches for signatures over each of `images`, which `subject` lists; of more than
/// [`ChildSignatures::IMAGES_MAX`], over the first. What was known of one whose search comes to nothing
/// because something could not be fetched stays known.
pub(super) async fn gather<S: Source>(
    fetcher: &Fetcher<'_, S>,
    subject: &Subject,
    images: &[&ChildImage],
    before: Option<&ChildSignatures>,
    limits: &Limits,
) -> (ChildSignatures, Vec<Grant>) {
    let children: Vec<Subject> = images
        .iter()
        .take(ChildSignatures::IMAGES_MAX)
        .map(|image| Subject { name: subject.name.clone(), digest: image.digest })
        .collect();
    let share = children.len().max(1);
    let work = children.iter().map(|child| search::search(fetcher, child, limits)).collect();
    let (mut searches, mut grants) = (BTreeMap::new(), Vec::new());
    let mut granted = HashSet::new();
    for (child, found) in children.iter().zip(fetcher.together(work).await) {
        let Found { mut search, grants: given } = found;
        let known = before.and_then(|before| before.searches.get(&child.digest));
        match known.filter(|known| is_lost(known, &search)) {
            Some(known) => search.clone_from(known),
            None => shorten(&mut search, share),
        }
        searches.insert(child.digest, search);
        grants.extend(given.into_iter().filter(|grant| granted.insert(grant.digest)));
    }
    grants.truncate(GRANTS_MAX);
    (ChildSignatures { searches, keeps_attestations: true }, grants)
}

/// Whether `search` only failed to find what is `known`.
fn is_lost(known: &SignatureSearch, search: &SignatureSearch) -> bool {
    !known.found.is_empty() && search.found.is_empty() && search.incomplete.is_some()
}

/// Leaves of `search` no more than one of `share` images may take of a record.
fn shorten(search: &mut SignatureSearch, share: usize) {
    let mut left = ATTESTATION_BYTES_MAX / share;
    let before = search.attestations.len();
    search.attestations.retain(|found| take(&mut left, attestation_weight(found)));
    if search.attestations.len() < before {
        let dropped = before - search.attestations.len();
        search.skipped.push(format!("{dropped} attestations are more than is kept for one image"));
    }
    let mut left = SIGNATURE_BYTES_MAX / share;
    let before = search.found.len();
    search.found.retain(|found| take(&mut left, weight(&found.material)));
    if search.found.len() < before {
        let dropped = before - search.found.len();
        search.skipped.push(format!("{dropped} signatures are more than is kept for one image"));
    }
    let mut left = DESCRIPTION_BYTES_MAX / share;
    search.referrers.retain(|referrer| {
        let texts = referrer.annotations.iter().map(|(key, value)| key.len() + value.len());
        let own = referrer.artifact_type.as_ref().map_or(0, String::len);
        take(&mut left, texts.sum::<usize>() + own + referrer.media_type.as_str().len())
    });
}

fn take(left: &mut usize, weight: usize) -> bool {
    let rest = left.checked_sub(weight);
    *left = rest.unwrap_or(*left);
    rest.is_some()
}

fn weight(material: &Material) -> usize {
    match material {
        Material::Bundle { json } => json.len(),
        Material::NotationCose { envelope } | Material::NotationJws { envelope } => envelope.len(),
        Material::SimpleSigning { payload, signature, proof } => {
            payload.len() + signature.len() + proof_weight(proof)
        }
    }
}

fn proof_weight(proof: &SimpleSigningProof) -> usize {
    let parts = [&proof.certificate, &proof.chain, &proof.bundle, &proof.timestamp];
    parts.into_iter().flatten().map(String::len).sum()
}

fn attestation_weight(found: &FoundAttestation) -> usize {
    match &found.form {
        AttestationForm::Bundle => ATTESTATION_BYTES,
        AttestationForm::Envelope { proof } => ATTESTATION_BYTES + proof_weight(proof),
    }
}
