//! From a tag to a digest.
//!
//! Upstream is asked no more often than the registry's `tag_ttl`; when it cannot answer, the last
//! known answer stands in, and says so. What upstream claims is only ever a name for what to judge:
//! the digest is judged by its bytes.

use std::time::Duration;

use tracing::warn;

use super::absence::ABSENT_TTL;
use super::{Error, Mirror};
use crate::oci::{Digest, Name, Reference, Tag};
use crate::store::SeenTag;
use crate::upstream;

/// What a tag stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Upstream says that there is no such tag.
    Gone,
    /// Upstream could not be asked; this is what it said last.
    Stale(Digest),
    /// Upstream says so.
    Upstream(Digest),
}

/// An answer and when, on the monotonic clock, it was given.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    answer: Answer,
    at: Duration,
}

/// How long a stale answer stands before upstream is asked again, at least.
const STALE_TTL: Duration = Duration::from_secs(5);

impl Mirror {
    /// The digest that `reference` stands for, as a pull would have it.
    ///
    /// # Errors
    /// [`Error::Absent`] when upstream confirmed that there is no such tag; [`Error::Upstream`] when
    /// it could not be asked and nothing is known from before.
    pub async fn resolve(&self, name: &Name, reference: &Reference) -> Result<Digest, Error> {
        self.known(name)?;
        let tag = match reference {
            Reference::Digest(digest) => return Ok(*digest),
            Reference::Tag(tag) => tag,
        };
        match self.resolve_tag(name, tag).await? {
            Answer::Stale(digest) | Answer::Upstream(digest) => Ok(digest),
            Answer::Gone => Err(Error::Absent(format!("{name}:{tag}").into())),
        }
    }

    /// What `tag` stands for now.
    pub(super) async fn resolve_tag(&self, name: &Name, tag: &Tag) -> Result<Answer, Error> {
        if let Some(answer) = self.resolved_lately(name, tag) {
            return Ok(answer);
        }
        let key = (name.clone(), tag.clone());
        let mirror = self.clone();
        let flight = key.clone();
        self.inner
            .resolving
            .join(key, || async move { mirror.ask_upstream(flight.0, flight.1).await })?
            .landed()
            .await?
    }

    /// What `tag` stands for, if that was found out so lately that nobody is asked again.
    pub(super) fn resolved_lately(&self, name: &Name, tag: &Tag) -> Option<Answer> {
        let remembered = self.inner.tags.get(&(name.clone(), tag.clone()))?;
        let fresh_for = match remembered.answer {
            Answer::Stale(_) => STALE_TTL.min(self.tag_ttl(name)),
            // However long tags are kept, one that appears is seen soon.
            Answer::Gone => ABSENT_TTL.min(self.tag_ttl(name)),
            Answer::Upstream(_) => self.tag_ttl(name),
        };
        let age = self.clock().monotonic().saturating_sub(remembered.at);
        (age < fresh_for).then_some(remembered.answer)
    }

    fn tag_ttl(&self, name: &Name) -> Duration {
        let settings = &self.inner.settings;
        settings.tag_ttl.get(name.registry()).copied().unwrap_or(settings.tag_ttl_default)
    }

    async fn ask_upstream(self, name: Name, tag: Tag) -> Result<Answer, Error> {
        let answer = match self.claimed_digest(&name, &tag).await {
            Ok(Some(digest)) => {
                self.forget_absence(&Self::subject(&name, &digest));
                let seen = SeenTag { digest, at: self.clock().now() };
                self.store().record_seen_tag(&name, &tag, seen);
                if let Err(error) = self.note_tag(&name, &tag, &digest).await {
                    warn!(%name, %tag, %digest, %error, "tag history not written");
                }
                Answer::Upstream(digest)
            }
            Ok(None) => Answer::Gone,
            Err(error) => {
                let last = self.last_known(&name, &tag).await;
                warn!(%name, %tag, %error, known = last.is_some(), "tag not resolved upstream");
                match last {
                    Some(digest) => Answer::Stale(digest),
                    None => return Err(error.into()),
                }
            }
        };
        let remembered = Remembered { answer: answer.clone(), at: self.clock().monotonic() };
        self.inner.tags.set((name, tag), remembered);
        Ok(answer)
    }

    async fn note_tag(&self, name: &Name, tag: &Tag, digest: &Digest) -> Result<(), Error> {
        let known = self.ledger().tags_of(name, digest).await?.contains(tag);
        self.ledger().record_tag(name, tag, digest).await?;
        if !known {
            self.judge_by_new_tag(&Self::subject(name, digest)).await?;
        }
        Ok(())
    }

    /// The digest that upstream claims for `tag`; where it claims none on HEAD, the hash of what it
    /// sends.
    async fn claimed_digest(
        &self,
        name: &Name,
        tag: &Tag,
    ) -> Result<Option<Digest>, upstream::Error> {
        let Some(remote) = self.client().resolve_tag(name, tag).await? else { return Ok(None) };
        if let Some(digest) = remote.digest {
            return Ok(Some(digest));
        }
        let reference = Reference::Tag(tag.clone());
        let manifest = self.client().fetch_manifest(name, &reference).await?;
        Ok(manifest.map(|manifest| manifest.digest))
    }

    /// What the tag last stood for: what was seen last, else what was served last.
    async fn last_known(&self, name: &Name, tag: &Tag) -> Option<Digest> {
        if let Some(seen) = self.store().seen_tag(name, tag) {
            return Some(seen.digest);
        }
        match self.ledger().admitted_tag(name, tag).await {
            Ok(digest) => digest,
            Err(error) => {
                warn!(%name, %tag, %error, "admitted tag not read");
                None
            }
        }
    }
}
