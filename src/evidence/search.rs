//! The search for signatures: every place where cosign puts them.

use std::collections::{BTreeMap, HashSet};

use super::Limits;
use super::attachment::{Candidate, describe, inspect};
use super::fetch::{Fetched, Fetcher, Trouble};
use super::image::is_attachment;
use super::manifests::as_listed;
use super::source::Source;
use crate::gate::{AttachedTag, Grant, GrantKind, SignatureSearch, Subject};
use crate::oci::{Descriptor, Digest, Manifest, MediaType, Tag};
use crate::signature::{FoundAttestation, PREDICATE_TYPE};

/// Most entries that are listed as skipped.
const SKIPPED_MAX: usize = 64;
/// Most hexadecimal digits of a digest in a referrers tag (distribution-spec, "Referrers Tag Schema").
const TAG_HEX_MAX: usize = 64;
/// What cosign writes beside a referrer: a hint, good for an order and nothing else.
const PREDICATE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";

/// What a search came to.
pub(super) struct Found {
    pub(super) search: SignatureSearch,
    pub(super) grants: Vec<Grant>,
}

/// Searches every place. What cannot be arrived makes the search incomplete, and what cannot be a
/// signature is skipped; neither keeps anything else from being found.
pub(super) async fn search<S: Source>(
    fetcher: &Fetcher<'_, S>,
    subject: &Subject,
    limits: &Limits,
) -> Found {
    let mut finding = Finding::new(limits);
    let [signatures, attestations, materials, fallback] =
        [".sig", ".att", ".sbom", ""].map(|suffix| tag_of(&subject.digest, suffix));
    let (signed, attested, described, tagged, listed) = tokio::join!(
        at_tag(fetcher, signatures.as_ref()),
        at_tag(fetcher, attestations.as_ref()),
        at_tag(fetcher, materials.as_ref()),
        at_tag(fetcher, fallback.as_ref()),
        fetcher.referrers(&subject.digest),
    );
    finding.looked_at(signatures.as_ref());
    finding.looked_at(attestations.as_ref());
    finding.looked_at(fallback.as_ref());
    let attached = [(&signatures, signed), (&attestations, attested), (&materials, described)];
    for (tag, outcome) in attached {
        if let Some((own, arrived)) = finding.tagged(tag.as_ref(), outcome) {
            finding.attached(
                &own,
                Manifest::parse(&arrived.bytes, Some(&own.media_type)).ok(),
                None,
            );
        }
    }
    let mut referrers = match finding.tagged(fallback.as_ref(), tagged) {
        Some((own, arrived)) => finding.fallback(&own, &arrived),
        None => Vec::new(),
    };
    referrers.extend(finding.listed(listed, fetcher.referrers_place()));
    let referrers = finding.chosen(referrers, subject);
    let work = referrers.into_iter().map(|referrer| referrer_of(fetcher, referrer)).collect();
    for (descriptor, outcome) in fetcher.together(work).await {
        match outcome {
            Ok(Some(manifest)) => finding.attached(&descriptor, Some(manifest), Some(subject)),
            Ok(None) => finding.skip(format!("{} is not there as listed", descriptor.digest)),
            Err(trouble) => finding.failed(&descriptor.digest.short(), &trouble),
        }
    }
    let candidates = finding.candidates();
    let work = candidates.into_iter().map(|candidate| content_of(fetcher, candidate)).collect();
    for (candidate, outcome) in fetcher.together(work).await {
        finding.candidate(&candidate, outcome);
    }
    Found { search: finding.search, grants: finding.grants }
}

/// The tag that attaches something to `digest`; `None` where no such tag can be written.
fn tag_of(digest: &Digest, suffix: &str) -> Option<Tag> {
    let hex = digest.hex();
    let hex = if suffix.is_empty() { hex.get(..TAG_HEX_MAX).unwrap_or(&hex) } else { &hex };
    format!("{}-{hex}{suffix}", digest.algorithm().as_str()).parse().ok()
}

async fn at_tag<S: Source>(
    fetcher: &Fetcher<'_, S>,
    tag: Option<&Tag>,
) -> Result<Option<Fetched>, Trouble> {
    match tag {
        Some(tag) => fetcher.tagged_manifest(tag).await,
        None => Ok(None),
    }
}

async fn referrer_of<S: Source>(
    fetcher: &Fetcher<'_, S>,
    descriptor: Descriptor,
) -> (Descriptor, Result<Option<Manifest>, Trouble>) {
    let outcome = match fetcher.manifest(&descriptor.digest).await {
        Ok(arrived) => Ok(arrived.and_then(|arrived| as_listed(&arrived, &descriptor))),
        Err(Trouble::TooLarge) => Ok(None),
        Err(trouble) => Err(trouble),
    };
    (descriptor, outcome)
}

type Content = Result<Option<bytes::Bytes>, Trouble>;

async fn content_of<S: Source>(
    fetcher: &Fetcher<'_, S>,
    candidate: Candidate,
) -> (Candidate, Content) {
    let content = fetcher.blob(&candidate.layer).await;
    (candidate, content)
}

/// A search under way.
struct Finding<'a> {
    limits: &'a Limits,
    search: SignatureSearch,
    grants: Vec<Grant>,
    granted: HashSet<Digest>,
    waiting: Vec<Candidate>,
}

impl<'a> Finding<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            search: SignatureSearch::default(),
            grants: Vec::new(),
            granted: HashSet::new(),
            waiting: Vec::new(),
        }
    }

    fn looked_at(&mut self, tag: Option<&Tag>) {
        self.search.looked_for.extend(tag.map(|tag| format!("tag {tag}")));
    }

    fn skip(&mut self, why: String) {
        match self.search.skipped.len() {
            0..SKIPPED_MAX => self.search.skipped.push(why),
            SKIPPED_MAX => self.search.skipped.push("and more".to_owned()),
            _ => {}
        }
    }

    fn failed(&mut self, what: &str, trouble: &Trouble) {
        self.search.incomplete.get_or_insert_with(|| format!("{what}: {trouble}"));
    }

    fn grant(&mut self, grants: Vec<Grant>) {
        let new = grants.into_iter().filter(|grant| self.granted.insert(grant.digest));
        self.grants.extend(new);
    }

    /// Notes what stands at `tag`, and gives the manifest with a descriptor of it.
    fn tagged(
        &mut self,
        tag: Option<&Tag>,
        outcome: Result<Option<Fetched>, Trouble>,
    ) -> Option<(Descriptor, Fetched)> {
        let tag = tag?;
        match outcome {
            Ok(None) => None,
            Ok(Some(arrived)) => {
                let declared = arrived.media_type.as_ref();
                let Ok(manifest) = Manifest::parse(&arrived.bytes, declared) else {
                    self.skip(format!("tag {tag} is not a manifest"));
                    return None;
                };
                if matches!(&manifest, Manifest::Image(image) if !is_attachment(image)) {
                    self.skip(format!("tag {tag} is an image of its own"));
                    return None;
                }
                let own = own_descriptor(&arrived, manifest.media_type());
                self.search.tags.push(AttachedTag { tag: tag.clone(), digest: arrived.digest });
                self.grant(vec![super::image::grant(&own, GrantKind::Referrer, None)]);
                Some((own, arrived))
            }
            // A tag that leads to more than a manifest may have leads to none.
            Err(Trouble::TooLarge) => {
                self.skip(format!("tag {tag} is not a manifest"));
                None
            }
            Err(trouble) => {
                self.failed(&format!("tag {tag}"), &trouble);
                None
            }
        }
    }

    /// The referrers that the fallback tag lists.
    fn fallback(&mut self, own: &Descriptor, arrived: &Fetched) -> Vec<Descriptor> {
        match Manifest::parse(&arrived.bytes, Some(&own.media_type)) {
            Ok(Manifest::Index(index)) => index.manifests,
            Ok(Manifest::Image(_)) | Err(_) => {
                self.skip(format!("{} is not a list of referrers", own.digest));
                Vec::new()
            }
        }
    }

    /// The referrers that the API lists, or whatever `place` stands for it.
    fn listed(
        &mut self,
        outcome: Result<Option<Vec<Descriptor>>, Trouble>,
        place: &str,
    ) -> Vec<Descriptor> {
        match outcome {
            Ok(Some(listed)) => {
                self.search.looked_for.push(place.to_owned());
                listed
            }
            Ok(None) => {
                self.search.looked_for.push(format!("{place} (not offered)"));
                Vec::new()
            }
            Err(trouble) => {
                self.failed(place, &trouble);
                Vec::new()
            }
        }
    }

    /// Those of `listed` that are looked at, each once: likely signatures first, because there may
    /// be more than are looked at.
    fn chosen(&mut self, listed: Vec<Descriptor>, subject: &Subject) -> Vec<Descriptor> {
        let mut by_digest = BTreeMap::new();
        for (at, descriptor) in listed.into_iter().enumerate() {
            if descriptor.digest != subject.digest {
                by_digest.entry(descriptor.digest).or_insert((at, descriptor));
            }
        }
        let mut chosen: Vec<_> = by_digest.into_values().collect();
        chosen.sort_by_key(|(at, descriptor)| (unlikeliness(descriptor), *at));
        let more = chosen.len().saturating_sub(self.limits.referrers);
        if more > 0 {
            self.skip(format!("{more} more referrers were not looked at"));
        }
        chosen.truncate(self.limits.referrers);
        chosen.into_iter().map(|(_, descriptor)| descriptor).collect()
    }

    /// Takes in what `manifest` carries. With a `subject`, it must be about that.
    fn attached(
        &mut self,
        own: &Descriptor,
        manifest: Option<Manifest>,
        subject: Option<&Subject>,
    ) {
        let Some(Manifest::Image(image)) = manifest else {
            return self.skip(format!("{} is an index", own.digest));
        };
        if let Some(subject) = subject {
            let about = image.subject.as_ref().map(|about| about.digest);
            if about != Some(subject.digest) {
                return self.skip(format!("{} is not about this image", own.digest));
            }
            if !is_attachment(&image) {
                return self.skip(format!("{} is an image of its own", own.digest));
            }
            self.search.referrers.push(describe(&image, own));
        }
        let attachment = inspect(&image, own, self.limits);
        self.grant(attachment.grants);
        attachment.skipped.into_iter().for_each(|why| self.skip(why));
        self.waiting.extend(attachment.candidates);
        attachment.attestations.into_iter().for_each(|found| self.attested(found));
    }

    fn attested(&mut self, found: FoundAttestation) {
        let attestations = &mut self.search.attestations;
        if attestations.contains(&found) {
            return;
        }
        if attestations.len() < self.limits.referrers {
            attestations.push(found);
        } else {
            self.skip(format!("{}: one attestation too many", found.content));
        }
    }

    /// The layers that may hold signatures, as many as are looked at.
    fn candidates(&mut self) -> Vec<Candidate> {
        let mut candidates = std::mem::take(&mut self.waiting);
        let more = candidates.len().saturating_sub(self.limits.referrers);
        if more > 0 {
            self.skip(format!("{more} more signatures were not looked at"));
        }
        candidates.truncate(self.limits.referrers);
        candidates
    }

    fn candidate(&mut self, candidate: &Candidate, content: Content) {
        let layer = candidate.layer.digest;
        match content {
            Ok(None) => self.skip(format!("{layer} is not there as listed")),
            Ok(Some(content)) => match candidate.signature_in(&content) {
                Ok(Some(found)) => {
                    let known = |other: &_| *other == found;
                    if !self.search.found.iter().any(known) {
                        self.search.found.push(found);
                    }
                }
                Ok(None) => self.attested(candidate.attestation()),
                Err(why) => self.skip(format!("{layer}: {why}")),
            },
            Err(trouble) => self.failed(&layer.short(), &trouble),
        }
    }
}

/// Smaller is looked at sooner.
fn unlikeliness(descriptor: &Descriptor) -> u8 {
    match descriptor.annotations.get(PREDICATE_ANNOTATION).map(String::as_str) {
        Some(PREDICATE_TYPE) => 0,
        None => 1,
        Some(_) => 2,
    }
}

fn own_descriptor(arrived: &Fetched, media_type: &MediaType) -> Descriptor {
    Descriptor {
        media_type: media_type.clone(),
        digest: arrived.digest,
        size: u64::try_from(arrived.bytes.len()).unwrap_or(u64::MAX),
        urls: Vec::new(),
        platform: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
    }
}
