//! What is signed and attested in a case.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::pen::Pens;
use crate::gate::{
    AttestationContents, ChildSignatures, Evidence, Gathered, ManifestFacts, SignatureSearch,
    Subject,
};
use crate::oci::Digest;
use crate::policy::{AttestedFact, Case};
use crate::signature::{AttestationForm, FoundAttestation};

/// Where the signatures of a case are found.
const PLACE: &str = "the test";

/// Puts signatures and attestations of `case` into `evidence`, and their contents among `contents`. A case
/// that speaks of none leaves open whether there are any; one that speaks of some says that there is nothing
/// else, neither on an index nor on the images that it lists.
pub(super) fn put(
    case: &Case,
    subject: &Subject,
    facts: &ManifestFacts,
    pens: &Pens,
    evidence: &mut Evidence,
    contents: &mut BTreeMap<Digest, Bytes>,
) {
    let (signed, attested) = (&case.facts.signed_by, &case.facts.attested);
    let is_said = signed.is_some() || attested.is_some();
    if is_said {
        let mut search = signed_by(signed.as_deref().unwrap_or_default(), subject, pens);
        for fact in attested.iter().flatten() {
            search.attestations.extend(attestation(fact, subject, pens, contents));
        }
        evidence.signatures = Gathered::Found(search);
        evidence.attestations = Gathered::Found(AttestationContents::default());
    }
    let below = case.facts.images_signed_by.as_deref();
    let Some(images) = facts.images.as_ref().filter(|_| is_said || below.is_some()) else { return };
    let names = below.unwrap_or_default();
    let searches = images.iter().map(|image| {
        let image = Subject { name: subject.name.clone(), digest: image.digest };
        (image.digest, signed_by(names, &image, pens))
    });
    let searches = searches.collect();
    evidence.child_signatures =
        Gathered::Found(ChildSignatures { searches, keeps_attestations: true });
    evidence.child_attestations = Gathered::Found(AttestationContents::default());
}

fn signed_by(names: &[String], subject: &Subject, pens: &Pens) -> SignatureSearch {
    SignatureSearch {
        found: names.iter().filter_map(|name| pens.sign(name, subject)).collect(),
        looked_for: vec![PLACE.to_owned()],
        ..SignatureSearch::default()
    }
}

fn attestation(
    fact: &AttestedFact,
    subject: &Subject,
    pens: &Pens,
    contents: &mut BTreeMap<Digest, Bytes>,
) -> Option<FoundAttestation> {
    let AttestedFact { predicate_type, signer, .. } = fact;
    let bundle = pens.attest(signer, subject, predicate_type, &predicate(fact))?;
    let bundle = Bytes::from(bundle);
    let content = Digest::sha256(&bundle);
    let size = u64::try_from(bundle.len()).ok()?;
    contents.insert(content, bundle);
    let source = Digest::sha256(format!("carries {content}").as_bytes());
    Some(FoundAttestation { source, content, size, form: AttestationForm::Bundle })
}

/// What the statement says: what is written, or else who built it, in the words of either version of
/// provenance.
fn predicate(fact: &AttestedFact) -> Value {
    // The reader has seen that it is JSON.
    let written = fact.predicate.as_deref().and_then(|text| serde_json::from_str(text).ok());
    written.unwrap_or_else(|| match &fact.builder {
        Some(builder) => {
            json!({"builder": {"id": builder}, "runDetails": {"builder": {"id": builder}}})
        }
        None => json!({}),
    })
}
