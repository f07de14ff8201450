//! Signatures and other referrers of admitted subjects, served on.
//!
//! They get no verdict of their own: whoever may read a subject may read what is attached to it,
//! and loses both together. What is attached to a subject that is not admitted stays unread.

use std::time::Duration;

use super::judge::{ABSENCE_RETRY, Kept};
use super::{Error, Freshness, Judged, ManifestAnswer, Mirror, Pull};
use crate::gate::{Evidence, EvidenceKind, Gathered, Judgement, Outcome, SignatureSearch, Subject};
use crate::ledger::{NewGrants, Record};
use crate::oci::{Descriptor, Digest, Name, Tag};
use crate::policy::Mode;

/// The suffixes that cosign puts behind `sha256-<hex>` for signatures, attestations and SBOMs; none
/// is the referrers tag of the distribution specification.
const SUFFIXES: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// Grants that the attachments of one child may add to those of its parent at a time.
const ATTACHED_GRANTS_MAX: usize = 256;
/// When a search that failed is worth asking for again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The subject that a tag is about, when it is one of those that attach something to a digest.
pub(super) fn subject_of_tag(tag: &Tag) -> Option<Digest> {
    let (algorithm, rest) = tag.as_str().split_once('-')?;
    let hex = rest.split('.').next()?;
    let suffix = rest.strip_prefix(hex)?;
    if !SUFFIXES.contains(&suffix) {
        return None;
    }
    format!("{algorithm}:{hex}").parse().ok()
}

impl Mirror {
    /// The referrers of `digest`, if that is admitted; all, or those of one artifact type.
    ///
    /// # Errors
    /// [`Error::Ungranted`] when the subject is not admitted; [`Error::Undecided`] when upstream
    /// could not be asked, never an empty list instead.
    pub async fn referrers(
        &self,
        name: &Name,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, Error> {
        self.known(name)?;
        if self.said_manifest(name, digest).await?.is_some()
            || self.bill_manifest(name, digest).await?.is_some()
        {
            // Clients that show everything ask for the referrers of referrers. What the mirror says itself
            // is unknown upstream, so that nobody attaches anything to it.
            return Ok(Vec::new());
        }
        let mut search = self.attachments(name, digest).await?;
        if let Some(record) = self.ledger().record(&Self::subject(name, digest)).await? {
            search.referrers.extend(self.summary_of(&record).await);
        }
        search.referrers.extend(self.bills_of(name, digest, artifact_type).await?);
        let wanted = |descriptor: &Descriptor| {
            artifact_type.is_none_or(|wanted| descriptor.artifact_type.as_deref() == Some(wanted))
        };
        Ok(search.referrers.into_iter().filter(wanted).collect())
    }

    /// The manifest behind a tag that attaches something to `subject`.
    pub(super) async fn attached_manifest(
        &self,
        pull: &Pull,
        tag: &Tag,
        subject: &Digest,
    ) -> Result<ManifestAnswer, Error> {
        let search = self.attachments(&pull.name, subject).await?;
        let found = search.tags.iter().find(|attached| attached.tag == *tag);
        let absent = || Error::Absent(format!("{}:{tag}", pull.name).into());
        let digest = found.ok_or_else(absent)?.digest;
        let listed = self.listed_by(&pull.name, &digest).await?.ok_or_else(absent)?;
        self.serve_granted(&Self::subject(&pull.name, &digest), &listed).await
    }

    /// What is attached to `digest`: from the stored evidence, else looked for now.
    async fn attachments(&self, name: &Name, digest: &Digest) -> Result<SignatureSearch, Error> {
        let subject = Self::subject(name, digest);
        let observed = self.policy().mode_for(name, self.now()) != Mode::Enforce;
        let own = self.judged_from_stored(&subject).await?;
        let is_served = own.as_ref().is_some_and(|own| self.serves(&subject, own));
        if !is_served && let Some(listed) = self.listed_by(name, digest).await? {
            return self.attachments_of_child(&subject, &listed.granted.subject).await;
        }
        let judged = match own {
            Some(judged) => judged,
            None if observed => self.judge(&subject, Freshness::Stored).await?,
            None => return Err(Error::Ungranted),
        };
        if !self.serves(&subject, &judged) && !observed {
            return Err(Error::Ungranted);
        }
        match (judged.record, judged.outcome) {
            (Some(record), _) => self.attachments_on_record(&record).await,
            (None, Outcome::Undecided(reasons)) => {
                Err(Error::Undecided { reasons, retry_after: RETRY_AFTER })
            }
            (None, Outcome::Decided(_) | Outcome::Missing(_)) => Err(Error::Ungranted),
        }
    }

    async fn attachments_on_record(&self, record: &Record) -> Result<SignatureSearch, Error> {
        if let Gathered::Found(search) = &record.evidence.signatures
            && (!search.found.is_empty() || self.was_gathered_lately(&record.evidence))
        {
            return Ok(search.clone());
        }
        let evidence = self.gather_more(record, &[EvidenceKind::Signatures]).await?;
        found(evidence.signatures)
    }

    /// What is attached to `child`, which is served because `parent` lists it: it has no verdict and
    /// no record of its own, so what is found hangs on its parent.
    async fn attachments_of_child(
        &self,
        child: &Subject,
        parent: &Digest,
    ) -> Result<SignatureSearch, Error> {
        let now = self.clock().monotonic();
        let known = self.inner.attached.get(child);
        if let Some((search, at)) = &known
            && now.saturating_sub(*at) < ABSENCE_RETRY
        {
            return Ok(search.clone());
        }
        let (mirror, searched) = (self.clone(), child.clone());
        let parent = Self::subject(&child.name, parent);
        let of = parent.clone();
        let attaching = self.inner.attaching.join(child.clone(), || async move {
            Box::pin(mirror.attach_to_parent(&searched, &parent)).await
        })?;
        match (attaching.landed().await?, known) {
            (Ok(search), _) | (Err(_), Some((search, _))) => Ok(search),
            (Err(error), None) => self.found_with_parent(child, &of).await?.ok_or(error),
        }
    }

    /// What was found on `child` when `parent` was judged by the signatures over its images.
    async fn found_with_parent(
        &self,
        child: &Subject,
        parent: &Subject,
    ) -> Result<Option<SignatureSearch>, Error> {
        let Some(record) = self.ledger().record(parent).await? else { return Ok(None) };
        let below = record.evidence.child_signatures.found();
        Ok(below.and_then(|below| below.searches.get(&child.digest)).cloned())
    }

    async fn attach_to_parent(
        &self,
        child: &Subject,
        parent: &Subject,
    ) -> Result<SignatureSearch, Error> {
        let kinds = [EvidenceKind::Signatures];
        let collected = self.collect(child, &kinds, Evidence::default()).await?;
        let search = found(collected.evidence.signatures)?;
        let now = self.now();
        let known = self.ledger().grants_of(parent).await?;
        let mut given = collected.grants;
        given.retain(|grant| !known.contains(grant));
        given.truncate(ATTACHED_GRANTS_MAX);
        let tags = self.ledger().tags_of(&parent.name, &parent.digest).await?.len();
        let policy = self.policy();
        if !given.is_empty()
            && let Some(Judged { record: Some(record), outcome: Outcome::Decided(judgement), .. }) =
                self.judged_from_stored(parent).await?
            // A verdict by a policy that came into force meanwhile is that one's to keep.
            && record.policy.as_ref() == Some(policy.id())
        {
            let (evidence, grants) =
                (record.evidence.clone(), NewGrants { given, gathered: Vec::new() });
            // The verdict is written once more, with what it let pass.
            let judgement = Judgement { passed: record.passed.clone(), ..judgement };
            let exceptions = record.exceptions;
            let kept = Kept { evidence, judgement, tags, exceptions, now, grants };
            self.keep(parent, kept, Some(&record), &policy).await?;
        }
        let remembered = (search.clone(), self.clock().monotonic());
        self.inner.attached.set(child.clone(), remembered);
        Ok(search)
    }
}

/// What a search found; that it could not be made is not "nothing".
fn found(signatures: Gathered<SignatureSearch>) -> Result<SignatureSearch, Error> {
    match signatures {
        Gathered::Found(search) => Ok(search),
        Gathered::Absent => Ok(SignatureSearch::default()),
        Gathered::Failed(_) | Gathered::NotGathered => {
            Err(Error::Undecided { reasons: Vec::new(), retry_after: RETRY_AFTER })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_attach_are_told_from_tags_that_name() {
        let digest = Digest::sha256(b"x");
        let hex = digest.hex();
        for suffix in SUFFIXES {
            let tag: Tag = format!("sha256-{hex}{suffix}").parse().unwrap();
            assert_eq!(subject_of_tag(&tag), Some(digest), "{tag}");
        }
        for other in ["latest", "sha256-abc", "1.2-alpine"] {
            assert_eq!(subject_of_tag(&other.parse().unwrap()), None, "{other}");
        }
        let other: Tag = format!("sha256-{hex}.other").parse().unwrap();
        assert_eq!(subject_of_tag(&other), None);
    }
}
