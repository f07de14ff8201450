//! What was attested about the subject and the images that it lists, as far as it is at hand.

use std::collections::BTreeMap;

use crate::gate::{
    AttestationContents, Context, Evidence, EvidenceKind, Gathered, ManifestFacts, SignatureSearch,
};
use crate::oci::Digest;
use crate::signature::FoundAttestation;

/// An attestation, and its bytes.
pub(super) type Attestation<'a> = (&'a FoundAttestation, &'a [u8]);

/// Everything that was found; whose it is and what it says was not looked at.
pub(super) struct Attestations<'a> {
    /// About the subject itself.
    pub(super) own: Vec<Attestation<'a>>,
    /// About the images that it lists.
    pub(super) below: BTreeMap<Digest, Vec<Attestation<'a>>>,
    /// The searches in which they were found.
    pub(super) searches: Vec<&'a SignatureSearch>,
    /// Why there may be more.
    pub(super) open: Option<String>,
}

impl<'a> Attestations<'a> {
    /// What there is.
    ///
    /// # Errors
    /// What has to be gathered first.
    pub(super) fn gather(
        (facts, images): (&ManifestFacts, &[(String, Digest)]),
        evidence: &'a Evidence,
        context: &'a Context<'a>,
    ) -> Result<Self, EvidenceKind> {
        let (own, below, searches) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut all = Self { own, below, searches, open: None };
        match &evidence.signatures {
            Gathered::NotGathered => return Err(EvidenceKind::Signatures),
            Gathered::Absent => {}
            Gathered::Failed(why) => all.is_open(why),
            Gathered::Found(search) => {
                let contents = (&evidence.attestations, EvidenceKind::Attestations);
                all.own = all.of(search, contents, context)?;
            }
        }
        if !facts.is_index {
            return Ok(all);
        }
        let missing = EvidenceKind::ChildSignatures;
        let below = match &evidence.child_signatures {
            Gathered::Found(below) if below.keeps_attestations => below,
            Gathered::Absent | Gathered::Found(_) | Gathered::NotGathered => return Err(missing),
            Gathered::Failed(why) => {
                all.is_open(why);
                return Ok(all);
            }
        };
        for (_, image) in images {
            let search = below.searches.get(image).ok_or(missing)?;
            let contents = (&evidence.child_attestations, EvidenceKind::ChildAttestations);
            let found = all.of(search, contents, context)?;
            all.below.insert(*image, found);
        }
        Ok(all)
    }

    fn is_open(&mut self, why: &str) {
        self.open.get_or_insert_with(|| why.to_owned());
    }

    /// What `search` found.
    fn of(
        &mut self,
        search: &'a SignatureSearch,
        (contents, kind): (&Gathered<AttestationContents>, EvidenceKind),
        context: &'a Context<'a>,
    ) -> Result<Vec<Attestation<'a>>, EvidenceKind> {
        if let Some(why) = &search.incomplete {
            self.is_open(why);
        }
        self.searches.push(search);
        let mut found = Vec::new();
        if search.attestations.is_empty() {
            return Ok(found);
        }
        let unavailable = match contents {
            Gathered::Absent | Gathered::NotGathered => return Err(kind),
            Gathered::Failed(why) => {
                self.is_open(why);
                return Ok(found);
            }
            Gathered::Found(contents) => &contents.unavailable,
        };
        for attestation in &search.attestations {
            if let Some(why) = unavailable.get(&attestation.content) {
                self.is_open(why);
                continue;
            }
            // It was here, and has been evicted since.
            let bytes = context.contents.get(&attestation.content).ok_or(kind)?;
            found.push((attestation, bytes.as_ref()));
        }
        Ok(found)
    }
}
