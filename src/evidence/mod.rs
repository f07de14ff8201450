//! Gathers what the gate needs, bounded and in parallel.
//!
//! Promises: nothing is taken for absent because it could not be fetched; whatever is kept has the
//! digest it is kept under; one bad entry beside an image never hides a good one; and neither an
//! upstream nor whoever may push to it decides how much is fetched. It must not judge: what the
//! content is worth is the gate's to say.
//!
//! The first look at a subject is always upstream's answer, in the subject's own repository: that
//! this machine has the same content from another repository proves nothing about this one. What
//! upstream has shown there once is not fetched a second time.

mod absence;
mod attachment;
mod attestations;
mod children;
mod configs;
mod fetch;
mod image;
mod layout;
mod manifests;
mod search;
mod seen;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use crate::gate::{
    AttestationContents, ChildSignatures, Evidence, EvidenceKind, Gathered, Grant, SignatureSearch,
    Subject,
};
use crate::layout::Layout;
use crate::oci::Platform;
use crate::signature::FoundAttestation;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::time::{Clock, Timestamp};
use crate::upstream::Client;

use absence::Absences;
use fetch::{Content, Fetcher, Trouble};
use layout::LayoutSource;
use seen::Seen;
use source::{Origin, Source};

/// How much is gathered about one subject before it is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests for one subject that are under way at once.
    pub fetches_at_once: usize,
    /// Time for one kind of evidence.
    pub time: Duration,
    /// Bytes of manifests, configs and signatures that are read for one kind of evidence.
    pub bytes: u64,
    /// Manifests below an index, at all depths.
    pub children: usize,
    /// Signatures, attestations and other referrers that are looked at.
    pub referrers: usize,
    /// Largest content of a referrer that is served on, in bytes.
    pub attachment_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fetches_at_once: 8,
            time: Duration::from_mins(1),
            bytes: 64 * 1024 * 1024,
            children: 1_000,
            referrers: 64,
            attachment_bytes: 16 * 1024 * 1024,
        }
    }
}

/// Gathers evidence; clones share everything.
#[derive(Clone)]
pub struct Collector {
    gatherer: Gatherer<Origin>,
}

impl Collector {
    /// A collector that asks `client` and keeps what it reads in `store`.
    pub fn new(client: Client, store: Store, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self::from_origin(Origin::Registries(client), store, clock, limits)
    }

    /// A collector that reads `layout`, which then stands for the repository of every subject, and
    /// asks no registry.
    pub fn of_layout(
        layout: Arc<Layout>,
        tasks: Tasks,
        store: Store,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        Self::from_origin(Origin::Layout(LayoutSource::new(layout, tasks)), store, clock, limits)
    }

    fn from_origin(source: Origin, store: Store, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let (memory, platforms) = (Arc::default(), Arc::default());
        Self { gatherer: Gatherer { source, store, memory, clock, limits, platforms } }
    }

    /// The same, searching for signatures over those images of an index only whose layers are served
    /// where only `platforms` are.
    #[must_use]
    pub fn for_platforms(&self, platforms: &[Platform]) -> Self {
        let platforms = Arc::from(platforms);
        Self { gatherer: Gatherer { platforms, ..self.gatherer.clone() } }
    }

    /// Gathers `kinds` about `subject` and gives `evidence`, which is what is known, with them.
    ///
    /// Of what was known nothing is lost by a failure: a manifest stays what it was, and so do
    /// signatures that were found before.
    ///
    /// # Cancel safety
    /// Dropping the future ends the gathering; what was stored stays stored.
    pub async fn collect(
        &self,
        subject: &Subject,
        kinds: &[EvidenceKind],
        evidence: Evidence,
    ) -> Collected {
        Box::pin(self.gatherer.collect(subject, kinds, evidence)).await
    }
}

/// What a gathering came to.
#[derive(Debug, Clone)]
pub struct Collected {
    /// Everything known now.
    pub evidence: Evidence,
    /// What the subject entitles its repository to serve, by the kinds gathered this time.
    pub grants: Vec<Grant>,
    /// The kinds that were gathered this time: their grants replace older ones, the grants of all
    /// others stay as they were.
    pub gathered: Vec<EvidenceKind>,
}

/// What upstream has shown, and what it lately said that it does not have.
#[derive(Debug, Default)]
struct Memory {
    seen: Seen,
    absences: Absences,
}

/// The work itself, whatever stands for the registry.
#[derive(Clone)]
struct Gatherer<S> {
    source: S,
    store: Store,
    memory: Arc<Memory>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    /// Whose images have their signatures searched for; none listed is all.
    platforms: Arc<[Platform]>,
}

impl<S: Source> Gatherer<S> {
    async fn collect(
        &self,
        subject: &Subject,
        kinds: &[EvidenceKind],
        evidence: Evidence,
    ) -> Collected {
        let mut collected = Collected { evidence, grants: Vec::new(), gathered: Vec::new() };
        if kinds.contains(&EvidenceKind::Manifest) {
            self.collect_manifest(subject, &mut collected).await;
        }
        let mut believed = None;
        // Nothing hangs on what may be attached to something that is not there.
        if kinds.contains(&EvidenceKind::Signatures)
            && collected.evidence.manifest != Gathered::Absent
        {
            believed = self.collect_signatures(subject, &mut collected).await;
        }
        if kinds.contains(&EvidenceKind::ChildSignatures) {
            let also = self.collect_child_signatures(subject, &mut collected).await;
            believed = believed.max(also);
        }
        if kinds.contains(&EvidenceKind::Attestations) {
            let found = collected.evidence.signatures.found();
            let found = found.map(|search| search.attestations.clone()).unwrap_or_default();
            collected.evidence.attestations = self.collect_attestations(subject, found).await;
        }
        if kinds.contains(&EvidenceKind::ChildAttestations) {
            let found = collected.evidence.child_signatures.found();
            let found = found.map(|below| below.attestations().cloned().collect());
            let contents = self.collect_attestations(subject, found.unwrap_or_default()).await;
            collected.evidence.child_attestations = contents;
        }
        if kinds.contains(&EvidenceKind::Configs) {
            self.collect_configs(subject, &mut collected).await;
        }
        // What was only believed has not been looked at now: it is looked at again as soon as if nobody
        // had asked in between.
        let age = believed.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let now = self.clock.now().milliseconds();
        let at = Timestamp::from_milliseconds(now.saturating_sub(age));
        // The contents of what was found say nothing of what there may be besides.
        let are_contents =
            [EvidenceKind::Attestations, EvidenceKind::ChildAttestations, EvidenceKind::Configs];
        let searched = kinds.iter().any(|kind| !are_contents.contains(kind));
        if searched || collected.evidence.gathered_at.is_none() {
            collected.evidence.gathered_at = Some(at);
        }
        collected
    }

    async fn collect_manifest(&self, subject: &Subject, collected: &mut Collected) {
        let known = matches!(collected.evidence.manifest, Gathered::Found(_));
        let content = if known { Content::Known } else { Content::New };
        let fetcher = self.fetcher(subject, content);
        let walk = manifests::gather(&fetcher, subject, &self.limits);
        match tokio::time::timeout(self.limits.time, walk).await.unwrap_or(Err(Trouble::Time)) {
            Ok(Some(image)) => {
                collected.evidence.manifest = Gathered::Found(image.facts);
                collected.grants.extend(image.grants);
                collected.gathered.push(EvidenceKind::Manifest);
            }
            Ok(None) => collected.evidence.manifest = Gathered::Absent,
            Err(trouble) => {
                info!(%subject, %trouble, "manifest could not be gathered");
                // What an earlier version kept of an index does not do where its images are asked for.
                let facts = collected.evidence.manifest.found();
                if facts.is_none_or(|facts| facts.is_index && facts.images.is_none()) {
                    collected.evidence.manifest = Gathered::Failed(trouble.to_string());
                }
            }
        }
    }

    /// Gives how long ago the oldest absence was confirmed that was not asked about again.
    async fn collect_signatures(
        &self,
        subject: &Subject,
        collected: &mut Collected,
    ) -> Option<Duration> {
        let fetcher = self.fetcher(subject, Content::New);
        let walk = search::search(&fetcher, subject, &self.limits);
        let before = collected.evidence.signatures.found().is_some_and(has_signatures);
        let failed = match tokio::time::timeout(self.limits.time, walk).await {
            Ok(found) if has_signatures(&found.search) || found.search.incomplete.is_none() => {
                collected.evidence.signatures = Gathered::Found(found.search);
                collected.evidence.attestations = Gathered::NotGathered;
                collected.grants.extend(found.grants);
                collected.gathered.push(EvidenceKind::Signatures);
                return fetcher.oldest_belief();
            }
            Ok(found) => found.search.incomplete.unwrap_or_default(),
            Err(_elapsed) => Trouble::Time.to_string(),
        };
        info!(%subject, failed, "signatures could not be searched for");
        if !before {
            collected.evidence.signatures = Gathered::Failed(failed);
        }
        fetcher.oldest_belief()
    }

    /// As [`Gatherer::collect_signatures`], over the images below an index.
    async fn collect_child_signatures(
        &self,
        subject: &Subject,
        collected: &mut Collected,
    ) -> Option<Duration> {
        let Collected { evidence, .. } = &*collected;
        // Which images those are is asked for first.
        let facts = evidence.manifest.found()?;
        let images = facts.images_for(&self.platforms)?;
        let before = evidence.child_signatures.found();
        let fetcher = self.fetcher(subject, Content::New);
        let work = children::gather(&fetcher, subject, &images, before, &self.limits);
        if let Ok((found, grants)) = tokio::time::timeout(self.limits.time, work).await {
            collected.evidence.child_signatures = Gathered::Found(found);
            collected.evidence.child_attestations = Gathered::NotGathered;
            collected.grants.extend(grants);
            collected.gathered.push(EvidenceKind::ChildSignatures);
            return fetcher.oldest_belief();
        }
        info!(%subject, "signatures over images of the index could not be searched for");
        let will_do =
            |before: &ChildSignatures| before.keeps_attestations && any_has_signatures(before);
        if !before.is_some_and(will_do) {
            collected.evidence.child_signatures = Gathered::Failed(Trouble::Time.to_string());
        }
        fetcher.oldest_belief()
    }

    /// Fetches the contents of the attestations in `found`, which are known to be there.
    async fn collect_attestations(
        &self,
        subject: &Subject,
        found: Vec<FoundAttestation>,
    ) -> Gathered<AttestationContents> {
        // What upstream showed a moment ago in this repository need not be fetched twice.
        let fetcher = self.fetcher(subject, Content::New);
        let work = found.iter().map(|attestation| attestations::fetch(&fetcher, attestation));
        let work = fetcher.together(work.collect());
        let outcome = match tokio::time::timeout(self.limits.time, work).await {
            Ok(results) => results.into_iter().collect::<Result<Vec<_>, Trouble>>(),
            Err(_elapsed) => Err(Trouble::Time),
        };
        match outcome {
            Ok(checked) => {
                let unavailable = checked.into_iter().flatten().collect();
                Gathered::Found(AttestationContents { unavailable })
            }
            Err(trouble) => {
                info!(%subject, %trouble, "attestations could not be fetched");
                Gathered::Failed(trouble.to_string())
            }
        }
    }

    fn fetcher<'a>(&'a self, subject: &'a Subject, content: Content) -> Fetcher<'a, S> {
        let kept = (&self.store, &*self.memory);
        Fetcher::new(&self.source, kept, &*self.clock, &subject.name, content, &self.limits)
    }
}

fn any_has_signatures(children: &ChildSignatures) -> bool {
    children.searches.values().any(has_signatures)
}

fn has_signatures(search: &SignatureSearch) -> bool {
    !search.found.is_empty()
}
