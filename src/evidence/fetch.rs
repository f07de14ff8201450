//! Fetching small content: verified, counted, and kept in the store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;
use tracing::warn;

use super::absence::{Absences, Absent};
use super::seen::{Form, Seen, Shown};
use super::source::Source;
use super::{Limits, Memory};
use crate::layout;
use crate::oci::{
    Algorithm, Descriptor, Digest, MANIFEST_BYTES_MAX, MediaType, Name, Reference, Tag,
};
use crate::store::Store;
use crate::time::Clock;
use crate::upstream;

/// Why something could not be gathered: nothing is decided by it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// More bytes than one subject is worth.
    #[error("more content than is read for one subject")]
    Bytes,
    /// What came has another digest than what was asked for.
    #[error("upstream sent other content than {0}")]
    Digest(Digest),
    /// A layout cannot be read, or is not what it says.
    #[error("{0}")]
    Layout(#[source] layout::Error),
    /// Upstream lists the content and does not have it.
    #[error("upstream lists {0} and does not have it so")]
    Missing(Digest),
    /// It took too long.
    #[error("gathering took too long")]
    Time,
    /// Larger than a manifest may be.
    #[error("manifest is larger than 4 MiB")]
    TooLarge,
    /// Upstream could not be asked, or its answer could not be used.
    #[error("{0}")]
    Upstream(#[source] upstream::Error),
}

/// Whether the subject's content was seen in its own repository before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// It was: what this machine has will do.
    Known,
    /// It was not: upstream has to show it.
    New,
}

/// A manifest whose bytes have the digest.
pub(super) struct Fetched {
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
    /// The type it was sent as.
    pub(super) media_type: Option<MediaType>,
}

/// Fetches for one gathering.
pub(super) struct Fetcher<'a, S> {
    source: &'a S,
    store: &'a Store,
    seen: &'a Seen,
    absences: &'a Absences,
    clock: &'a dyn Clock,
    /// When the oldest absence was confirmed that nobody was asked about again, in milliseconds of the
    /// monotonic clock.
    believed_since: AtomicU64,
    name: &'a Name,
    content: Content,
    bytes_left: AtomicU64,
    at_once: usize,
    /// One for each request that may be under way, however the work is cut.
    requests: Semaphore,
}

impl<'a, S: Source> Fetcher<'a, S> {
    pub(super) fn new(
        source: &'a S,
        (store, memory): (&'a Store, &'a Memory),
        clock: &'a dyn Clock,
        name: &'a Name,
        content: Content,
        limits: &Limits,
    ) -> Self {
        let bytes_left = AtomicU64::new(limits.bytes);
        let at_once = limits.fetches_at_once.max(1);
        Self {
            source,
            store,
            seen: &memory.seen,
            absences: &memory.absences,
            clock,
            believed_since: AtomicU64::new(u64::MAX),
            name,
            content,
            bytes_left,
            at_once,
            requests: Semaphore::new(at_once),
        }
    }

    /// The manifest `digest`; `None` when upstream does not have it.
    pub(super) async fn manifest(&self, digest: &Digest) -> Result<Option<Fetched>, Trouble> {
        if let Some(bytes) = self.stored(digest, Form::Manifest, MANIFEST_BYTES_MAX).await {
            let shown = self.seen.get(self.name, digest, Form::Manifest);
            let media_type = shown.and_then(|shown| shown.media_type);
            return Ok(Some(Fetched { bytes, digest: *digest, media_type }));
        }
        let reference = Reference::Digest(*digest);
        let received = self.asking(self.source.manifest(self.name, &reference)).await?;
        let Some(received) = received else { return Ok(None) };
        if !digest.matches(&received.bytes) {
            return Err(Trouble::Digest(*digest));
        }
        self.keep(digest, &received.bytes, Form::Manifest, received.media_type.as_ref()).await?;
        let (bytes, media_type) = (received.bytes, received.media_type);
        Ok(Some(Fetched { bytes, digest: *digest, media_type }))
    }

    /// The manifest that `tag` points at now; `None` when there is no such tag.
    pub(super) async fn tagged_manifest(&self, tag: &Tag) -> Result<Option<Fetched>, Trouble> {
        let absent = Absent::Tag(self.name.clone(), tag.clone());
        if self.is_absent(&absent) {
            return Ok(None);
        }
        let asked_at = self.clock.monotonic();
        // Asked for by HEAD first: registries that ration pulls count GETs.
        if !self.asking(self.source.has_tag(self.name, tag)).await? {
            self.absences.note(absent, asked_at);
            return Ok(None);
        }
        let reference = Reference::Tag(tag.clone());
        let received = self.asking(self.source.manifest(self.name, &reference)).await?;
        let Some(received) = received else { return Ok(None) };
        let digest = Digest::sha256(&received.bytes);
        self.keep(&digest, &received.bytes, Form::Manifest, received.media_type.as_ref()).await?;
        Ok(Some(Fetched { bytes: received.bytes, digest, media_type: received.media_type }))
    }

    /// The blob that `descriptor` points at, whole; `None` when upstream does not have it, or has
    /// one of another size than the descriptor states.
    pub(super) async fn blob(&self, descriptor: &Descriptor) -> Result<Option<Bytes>, Trouble> {
        self.content(&descriptor.digest, descriptor.size).await
    }

    /// The blob `digest` of `size` bytes, as [`Fetcher::blob`].
    pub(super) async fn content(
        &self,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<Bytes>, Trouble> {
        let size = usize::try_from(size).map_err(|_| Trouble::Bytes)?;
        let stored = self.stored(digest, Form::Blob, size).await;
        if let Some(bytes) = stored.filter(|bytes| bytes.len() == size) {
            return Ok(Some(bytes));
        }
        let fetched = self.asking(self.source.blob(self.name, digest, size)).await?;
        let Some(bytes) = fetched else { return Ok(None) };
        if bytes.len() > size {
            return Ok(None);
        }
        if !digest.matches(&bytes) {
            return Err(Trouble::Digest(*digest));
        }
        self.keep(digest, &bytes, Form::Blob, None).await?;
        Ok((bytes.len() == size).then_some(bytes))
    }

    /// Where referrers are listed.
    pub(super) fn referrers_place(&self) -> &'static str {
        self.source.referrers_place()
    }

    /// The referrers that upstream's API lists; `None` when it has none.
    pub(super) async fn referrers(
        &self,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Trouble> {
        let api = Absent::Api(self.name.clone());
        if self.is_absent(&api) {
            return Ok(None);
        }
        let none = Absent::Referrers(self.name.clone(), *digest);
        if self.is_absent(&none) {
            return Ok(Some(Vec::new()));
        }
        let asked_at = self.clock.monotonic();
        let listed = self.asking(self.source.referrers(self.name, digest)).await?;
        match &listed {
            // Some say "not found" where it is the digest that they do not have, or do not take: only an
            // answer about what upstream has shown here speaks of the whole repository.
            None if digest.algorithm() == Algorithm::Sha256
                && self.seen.get(self.name, digest, Form::Manifest).is_some() =>
            {
                self.absences.note(api, asked_at);
            }
            Some(listed) if listed.is_empty() => self.absences.note(none, asked_at),
            None | Some(_) => {}
        }
        Ok(listed)
    }

    /// The answer to `request`, made when fewer are under way than may be at once.
    async fn asking<F: Future>(&self, request: F) -> F::Output {
        // Nobody closes it.
        let _permit = self.requests.acquire().await.ok();
        request.await
    }

    /// How long ago the oldest absence was confirmed that was believed instead of asking again.
    pub(super) fn oldest_belief(&self) -> Option<Duration> {
        match self.believed_since.load(Ordering::Relaxed) {
            u64::MAX => None,
            since => Some(self.clock.monotonic().saturating_sub(Duration::from_millis(since))),
        }
    }

    fn is_absent(&self, absent: &Absent) -> bool {
        let now = self.clock.monotonic();
        let Some(age) = self.absences.age(absent, now) else { return false };
        let since = u64::try_from(now.saturating_sub(age).as_millis()).unwrap_or(u64::MAX);
        self.believed_since.fetch_min(since, Ordering::Relaxed);
        true
    }

    /// Runs `work`, a few at a time; the results come in the order of `work`.
    pub(super) async fn together<F: Future>(&self, work: Vec<F>) -> Vec<F::Output> {
        futures_util::stream::iter(work).buffered(self.at_once).collect().await
    }

    async fn stored(&self, digest: &Digest, form: Form, limit_bytes: usize) -> Option<Bytes> {
        if self.content == Content::New && self.seen.get(self.name, digest, form).is_none() {
            return None;
        }
        // A store that cannot be read costs a fetch, nothing else.
        self.store.read(digest, limit_bytes).await.ok().flatten()
    }

    async fn keep(
        &self,
        digest: &Digest,
        bytes: &Bytes,
        form: Form,
        media_type: Option<&MediaType>,
    ) -> Result<(), Trouble> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let take = |left: u64| left.checked_sub(length);
        self.bytes_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map_err(|_left| Trouble::Bytes)?;
        if let Err(error) = self.store.put(digest, bytes.clone()).await {
            warn!(%digest, %error, "evidence could not be stored; it will be fetched again");
        }
        self.seen.note(self.name, digest, form, Shown { media_type: media_type.cloned() });
        Ok(())
    }
}
