//! Summaries of admitted subjects, served as referrers of theirs.
//!
//! They are made when somebody asks for the referrers of a subject, and are remembered for as long as
//! there is room. One that was forgotten is made again, the very same, by the next list.

use std::sync::Arc;

use tracing::warn;

use super::{BlobAnswer, BlobBody, Error, ManifestAnswer, Mirror};
use crate::gate::{CheckState, Judgement, Standing, Subject};
use crate::ledger::Record;
use crate::oci::{Descriptor, Digest, MediaType, Name};
use crate::summary::{EMPTY, Passed, Summary};
use crate::time::Timestamp;

/// A summary that was made: of the verdict of that time, with a key of that generation.
#[derive(Debug, Clone)]
pub(super) struct Made {
    at: Timestamp,
    generation: u64,
    descriptor: Descriptor,
    /// The manifest, and what it lists.
    parts: [Digest; 3],
}

impl Mirror {
    /// What this mirror says about the subject of `record`, if that is admitted by a verdict of its
    /// own.
    pub(super) async fn summary_of(&self, record: &Arc<Record>) -> Option<Descriptor> {
        let policy = self.policy();
        let judgement = self.in_force(record, policy.id(), self.now())?;
        if !judgement.admits() {
            return None;
        }
        let (subject, at) = (record.subject.clone(), record.decided_at);
        let generation = self.inner.parts.keyring.generation();
        if let Some(Made { at: then, generation: with, descriptor: known, parts }) =
            self.inner.summaries.get(&subject)
            && (then, with) == (at, generation)
            && parts
                .iter()
                .all(|part| self.inner.said.get(&(subject.name.clone(), *part)).is_some())
        {
            return Some(known);
        }
        let (record, judgement) = (Arc::clone(record), judgement.clone());
        let (name, keyring) = (policy.name().to_owned(), Arc::clone(&self.inner.parts.keyring));
        let made = self.tasks().spawn_blocking(move || {
            let key = keyring.current();
            let key =
                key.inspect_err(|error| warn!(%error, "there is no key to sign with")).ok()?;
            Summary::new(&passed(&record, &judgement, &name)?, &key)
        });
        let summary = made.await.ok().flatten()?;
        let Summary { descriptor, manifest, blobs } = summary;
        let place = |digest: Digest| (subject.name.clone(), digest);
        let of = subject.digest;
        let parts = [descriptor.digest, blobs[0].0, blobs[1].0];
        self.inner.said.set(place(descriptor.digest), (of, manifest));
        for (digest, content) in blobs {
            self.inner.said.set(place(digest), (of, content));
        }
        let made = Made { at, generation, descriptor: descriptor.clone(), parts };
        self.inner.summaries.set(subject, made);
        Some(descriptor)
    }

    /// The manifest `digest` of `name`, if it is one of a summary, and its subject still admitted.
    pub(super) async fn said_manifest(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<ManifestAnswer>, Error> {
        let Some(bytes) = self.said(name, digest).await? else { return Ok(None) };
        let media_type = MediaType::from(MediaType::OCI_MANIFEST);
        let (digest, warning) = (*digest, None);
        Ok(Some(ManifestAnswer {
            digest,
            media_type,
            bytes,
            warning,
            is_refused: false,
            emergency: None,
        }))
    }

    /// The same for what such a manifest lists.
    pub(super) async fn said_blob(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<BlobAnswer>, Error> {
        let Some(bytes) = self.said(name, digest).await? else { return Ok(None) };
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(Some(BlobAnswer {
            digest: *digest,
            size,
            body: BlobBody::Memory(bytes),
            emergency: None,
        }))
    }

    async fn said(&self, name: &Name, digest: &Digest) -> Result<Option<bytes::Bytes>, Error> {
        let Some((of, bytes)) = self.inner.said.get(&(name.clone(), *digest)) else {
            return Ok(None);
        };
        // The empty config is that of every summary, and says nothing.
        if bytes.as_ref() == EMPTY {
            return Ok(Some(bytes));
        }
        // What is served because nothing is enforced is not admitted.
        let judged = self.judged_from_stored(&Self::subject(name, &of)).await?;
        let admitted = judged.is_some_and(|it| it.judgement().is_some_and(Judgement::admits));
        Ok(admitted.then_some(bytes))
    }
}

/// What `record` says of its subject, in the words of a summary.
fn passed<'a>(record: &'a Record, judgement: &'a Judgement, policy: &'a str) -> Option<Passed<'a>> {
    let Subject { name, digest } = &record.subject;
    let facts = record.evidence.manifest.found()?;
    let mut evidence = Vec::new();
    let below = record.evidence.child_signatures.found();
    let below = below.into_iter().flat_map(|below| below.searches.values());
    for search in record.evidence.signatures.found().into_iter().chain(below) {
        let signatures = search.found.iter().map(|found| found.source);
        evidence.extend(signatures.chain(search.attestations.iter().map(|found| found.source)));
    }
    evidence.sort();
    evidence.dedup();
    // Only an approval that the verdict rests on, or may rest on, is told.
    let counts = |check: &crate::gate::Check| {
        ["approval", "continuity"].contains(&check.name.as_str()) && check.state == CheckState::Pass
    };
    let approved = match &record.standing {
        Some(Standing::Approved { by, at, expires, .. })
            if judgement.checks.iter().any(counts)
                && expires.is_none_or(|expires| expires > record.decided_at) =>
        {
            Some((by.as_str(), *at))
        }
        Some(Standing::Approved { .. } | Standing::Rejected { .. } | Standing::Revoked { .. })
        | None => None,
    };
    Some(Passed {
        name,
        digest: *digest,
        media_type: &facts.media_type,
        size: facts.size,
        at: record.decided_at,
        policy: (policy, judgement.rule.as_ref().map(crate::gate::RuleId::as_str)),
        policy_digest: record.policy.as_ref().map(crate::policy::PolicyId::hex).unwrap_or_default(),
        evidence,
        approved,
    })
}
