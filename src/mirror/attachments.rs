//! Signatures and other referrers of admitted subjects, served on.
//!
//! They get no verdict of their own: whoever may read a subject may read what is attached to it,
//! and loses both together. What is attached to a subject that is not admitted stays unread.

use super::{Error, Freshness, ManifestAnswer, Mirror, Pull};
use crate::gate::{EvidenceKind, Gathered, Outcome, SignatureSearch, Subject};
use crate::oci::{Descriptor, Digest, Name, Tag};
use crate::policy::Mode;

/// The suffixes that cosign puts behind `sha256-<hex>` for signatures, attestations and SBOMs; none
/// is the referrers tag of the distribution specification.
const SUFFIXES: [&str; 4] = ["", ".sig", ".att", ".sbom"];

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
        let search = self.attachments(name, digest).await?;
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
        let grant = self.inherited(&pull.name, &digest).await?.ok_or_else(absent)?;
        self.serve_granted(&Self::subject(&pull.name, &digest), &grant).await
    }

    /// What is attached to `digest`: from the stored evidence, else looked for now.
    async fn attachments(&self, name: &Name, digest: &Digest) -> Result<SignatureSearch, Error> {
        let subject = Self::subject(name, digest);
        let record = self.readable(&subject).await?;
        if let Gathered::Found(search) = &record.evidence.signatures
            && (!search.found.is_empty() || self.was_gathered_lately(&record.evidence))
        {
            return Ok(search.clone());
        }
        let evidence = self.gather_more(&record, &[EvidenceKind::Signatures]).await?;
        match evidence.signatures {
            Gathered::Found(search) => Ok(search),
            Gathered::Absent => Ok(SignatureSearch::default()),
            Gathered::Failed(_) | Gathered::NotGathered => Err(Error::Undecided {
                reasons: Vec::new(),
                retry_after: std::time::Duration::from_secs(5),
            }),
        }
    }

    /// The record of a subject whose attachments may be read.
    async fn readable(
        &self,
        subject: &Subject,
    ) -> Result<std::sync::Arc<crate::ledger::Record>, Error> {
        let observed = self.policy().mode_for(&subject.name) == Mode::Audit;
        let known = match self.judged_from_stored(subject).await? {
            Some(judged) => Some(judged),
            // A child of an admitted index is judged by itself here, so that what is attached to it
            // has a subject to hang on.
            None if observed || self.inherited(&subject.name, &subject.digest).await?.is_some() => {
                Some(self.judge(subject, Freshness::Stored).await?)
            }
            None => None,
        };
        match known {
            Some(judged) if judged.is_served() || observed => match (judged.record, judged.outcome)
            {
                (Some(record), _) => Ok(record),
                (None, Outcome::Undecided(reasons)) => Err(Error::Undecided {
                    reasons,
                    retry_after: std::time::Duration::from_secs(5),
                }),
                (None, Outcome::Decided(_) | Outcome::Missing(_)) => Err(Error::Ungranted),
            },
            _ => Err(Error::Ungranted),
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
