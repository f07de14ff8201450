//! The warm pull: answered at once, from memory alone.
//!
//! Nothing is decided here that [`Mirror::pull_manifest`] would decide otherwise: every question is
//! the same, and one that memory cannot answer with yes leaves the whole pull to that. So it may
//! refuse nothing, write nothing and wait for nothing, and what it leaves out (a refusal's text, a
//! warning, asking upstream) is exactly what a warm pull does not have.

use super::manifest::{ManifestAnswer, Pull};
use super::resolve::Answer;
use super::{Mirror, attachments};
use crate::gate::refuse_by_name;
use crate::ledger::PullOutcome;
use crate::oci::{Digest, Name, Reference, Tag};
use crate::policy::Mode;

impl Mirror {
    /// The manifest that `pull` asks for, if it is admitted by a verdict in force and that, the
    /// digest of the tag and the bytes are all in memory; counted as a pull then.
    ///
    /// `None` says nothing about the manifest: [`Mirror::pull_manifest`] does.
    pub fn pull_known(&self, pull: &Pull) -> Option<ManifestAnswer> {
        let name = &pull.name;
        self.known(name).ok()?;
        let policy = self.policy();
        let now = self.now();
        if policy.mode_for(name, now) == Mode::Audit {
            return None;
        }
        let (digest, tag) = match &pull.reference {
            Reference::Digest(digest) => (*digest, None),
            Reference::Tag(tag) => (self.digest_in_memory(name, tag)?, Some(tag)),
        };
        if refuse_by_name(&policy, name, tag, now).is_some() {
            return None;
        }
        let subject = Self::subject(name, &digest);
        let record = self.ledger().record_in_memory(&subject)?;
        let judgement = self.in_force(&record, policy.id(), now);
        // Who is to be warned is warned elsewhere.
        if !judgement.is_some_and(|judgement| judgement.admits() && !judgement.warns) {
            return None;
        }
        let carried = judgement.and_then(|judgement| judgement.carried.as_deref());
        if carried.is_some_and(|carried| !self.is_known_to_stand(carried, now)) {
            return None;
        }
        if tag.is_some_and(|tag| !self.ledger().is_admitted_tag(name, tag, &digest)) {
            return None;
        }
        let media_type = record.evidence.manifest.found()?.media_type.clone();
        let bytes = self.inner.manifests.get(&digest)?;
        // One atomic load in nearly every call; without it, what is hot in memory looks unused on disk.
        self.store().touch(&digest);
        self.metrics().manifests_admitted.increment();
        self.ledger().count_pull(&subject, pull.client.clone(), PullOutcome::Admitted);
        Some(ManifestAnswer {
            digest,
            media_type,
            bytes,
            warning: None,
            is_refused: false,
            emergency: None,
        })
    }

    /// What upstream said lately that `tag` stands for.
    fn digest_in_memory(&self, name: &Name, tag: &Tag) -> Option<Digest> {
        if attachments::subject_of_tag(tag).is_some() {
            return None;
        }
        match self.resolved_lately(name, tag)? {
            Answer::Upstream(digest) => Some(digest),
            Answer::Gone | Answer::Stale(_) => None,
        }
    }
}
