//! Pulling a blob: granted by an admitted manifest of that repository, or not at all.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tracing::warn;

use super::board::{Boarded, Place};
use super::keeping::{Through, ThroughReader};
use super::listed::ServedAs;
use super::{Error, Mirror};
use crate::gate::{Emergency, Grant, GrantKind, ReadyPolicy, Subject};
use crate::oci::{ByteRange, Descriptor, Digest, MediaType, Name, Platform};
use crate::policy::{Mode, Outright, OutrightCause, Policy};
use crate::store::{self, Blob, ReadMode};

/// How long the size that upstream told of a blob is good for, in observe mode.
const SIZED_TTL: Duration = Duration::from_secs(10);

/// A blob that may be sent.
#[derive(Debug)]
pub struct BlobAnswer {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Where its bytes come from.
    pub body: BlobBody,
    /// The break-glass by which alone it is served.
    pub emergency: Option<Emergency>,
}

/// Where the bytes of a blob come from.
#[derive(Debug, Clone)]
pub enum BlobBody {
    /// From the growing file of a fetch under way.
    Arriving(Arriving),
    /// From the store.
    Cached(Blob),
    /// From memory (a manifest that was asked for as a blob).
    Memory(Bytes),
    /// From upstream, past the store.
    Through(Through),
    /// From nowhere yet: the size is known, and nobody asked for the bytes.
    Unread,
}

/// A fetch under way and a place in it, which keeps it going.
#[derive(Debug, Clone)]
pub struct Arriving {
    blob: store::Arriving,
    place: Arc<Place>,
}

/// A reader behind the write mark of a fetch, which goes on for as long as somebody reads.
#[derive(Debug)]
pub struct ArrivingReader {
    reader: store::BlobReader,
    _place: Arc<Place>,
}

/// What upstream told of a blob that no grant speaks of.
#[derive(Debug, Clone)]
pub(crate) struct Sized {
    size: u64,
    boarded: Option<Boarded>,
}

/// Bytes of a blob in order; ends early only with an error.
#[derive(Debug)]
pub enum BlobReader {
    /// From a fetch under way.
    Arriving(ArrivingReader),
    /// From memory.
    Memory(Option<Bytes>),
    /// From the store.
    Stored(store::BlobReader),
    /// From upstream, past the store.
    Through(ThroughReader),
}

impl BlobAnswer {
    /// What the client should be told besides.
    pub fn warning(&self) -> Option<String> {
        self.emergency.as_ref().map(super::emergency::warning)
    }
}

impl BlobBody {
    /// A reader of `range`, which must lie within the blob.
    pub fn reader(&self, range: ByteRange, mode: ReadMode) -> BlobReader {
        match self {
            Self::Arriving(Arriving { blob, place }) => {
                let (reader, place) = (blob.reader_in(range, mode), Arc::clone(place));
                BlobReader::Arriving(ArrivingReader { reader, _place: place })
            }
            Self::Cached(blob) => BlobReader::Stored(blob.reader(range, mode)),
            Self::Memory(bytes) => {
                let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                BlobReader::Memory(Some(bytes.slice(index(range.start)..index(range.end))))
            }
            Self::Through(through) => BlobReader::Through(through.reader(range)),
            Self::Unread => BlobReader::Memory(None),
        }
    }
}

impl BlobReader {
    /// The next bytes; `None` at the clean end.
    ///
    /// # Errors
    /// When the bytes cannot be had or turned out not to have the digest; what was read before must
    /// then not be ended cleanly.
    ///
    /// # Cancel safety
    /// Cancel safe: a chunk is either given or still to come.
    pub async fn next(&mut self) -> Result<Option<Bytes>, store::Error> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// What [`BlobReader::next`] waits for, as a poll, for response bodies.
    ///
    /// # Errors
    /// As [`BlobReader::next`].
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, store::Error>> {
        match self {
            Self::Memory(bytes) => Poll::Ready(Ok(bytes.take().filter(|bytes| !bytes.is_empty()))),
            Self::Arriving(ArrivingReader { reader, .. }) | Self::Stored(reader) => {
                reader.poll_next(context)
            }
            Self::Through(reader) => reader.poll_next(context),
        }
    }
}

impl Mirror {
    /// The blob `digest` of `name`, if an admitted manifest of that repository lists it.
    ///
    /// With `with_body` false only its existence and size are told, and nothing is fetched.
    ///
    /// # Errors
    /// [`Error::Ungranted`], the same whether the blob exists or not; else could not be had.
    pub async fn pull_blob(
        &self,
        name: &Name,
        digest: &Digest,
        with_body: bool,
    ) -> Result<BlobAnswer, Error> {
        self.known(name)?;
        let policy = self.policy();
        let granted = self.blob_grant(name, digest, &policy).await?;
        if granted.is_none()
            && let Some(answer) = self.said_blob(name, digest).await?
        {
            return Ok(answer);
        }
        if granted.is_none()
            && let Some(answer) = self.bill_blob(name, digest, with_body).await?
        {
            return Ok(answer);
        }
        let (grant, emergency) = match granted {
            Some((grant, by)) => (grant, by.emergency),
            // No rule loosens the floor, and neither does observing one.
            None if policy.mode_for(name, self.now()) != Mode::Enforce
                && (policy.mode(self.now()) != Mode::Enforce
                    || policy.denied_image(digest).is_none()) =>
            {
                return self.observed_blob(name, digest, with_body).await;
            }
            None => {
                self.metrics().blobs_ungranted.increment();
                return Err(Error::Ungranted);
            }
        };
        if emergency.is_some() {
            self.metrics().emergency_blobs.increment();
        }
        let answer = self.granted_blob(name, digest, &grant, with_body).await?;
        Ok(BlobAnswer { emergency, ..answer })
    }

    /// The blob that `grant` lets be read.
    async fn granted_blob(
        &self,
        name: &Name,
        digest: &Digest,
        grant: &Grant,
        with_body: bool,
    ) -> Result<BlobAnswer, Error> {
        if matches!(grant.kind, GrantKind::Manifest) {
            let bytes = self.manifest_bytes(&Self::subject(name, digest)).await?;
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            return Ok(BlobAnswer {
                digest: *digest,
                size,
                body: BlobBody::Memory(bytes),
                emergency: None,
            });
        }
        let size = grant.size;
        if !with_body {
            self.store().promise(digest);
            return Ok(BlobAnswer {
                digest: *digest,
                size,
                body: BlobBody::Unread,
                emergency: None,
            });
        }
        let body = self.content(name, digest, size).await?;
        Ok(BlobAnswer { digest: *digest, size, body, emergency: None })
    }

    /// The bytes of the blob, from the store or on their way from upstream. Whether they may be sent to
    /// anybody is not asked.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(super) async fn content(
        &self,
        name: &Name,
        digest: &Digest,
        size: u64,
    ) -> Result<BlobBody, Error> {
        if let Some(blob) = self.cached(digest, Some(size)).await {
            return Ok(BlobBody::Cached(blob));
        }
        if let Some(layout) = &self.inner.parts.layout {
            return self.content_of_layout(layout, name, digest, size).await;
        }
        let subject = Self::subject(name, digest);
        self.not_absent(&subject)?;
        let boarded = self.inner.boards.board(name, digest, size, None).await;
        if let Some(why) = disk_trouble(&boarded) {
            let through = self.pass_through(name, digest, size, why).await;
            return Ok(BlobBody::Through(self.note_absence(&subject, through)?));
        }
        let boarded = self.note_absence(&subject, boarded)?;
        Ok(self.boarded(boarded, digest, size).body)
    }

    /// All of a small blob; `None` when it is larger than `bytes_max`.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(super) async fn small_content(
        &self,
        name: &Name,
        blob: &Descriptor,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, Error> {
        if usize::try_from(blob.size).map_or(true, |size| size > bytes_max) {
            return Ok(None);
        }
        let body = self.content(name, &blob.digest, blob.size).await?;
        let mut reader = body.reader(ByteRange::whole(blob.size), ReadMode::Copy);
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes.into()))
    }

    /// The grant by which the blob may be read now, if there is one.
    pub(super) async fn grant_now(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<Grant>, Error> {
        let policy = self.policy();
        Ok(self.blob_grant(name, digest, &policy).await?.map(|(grant, _)| grant))
    }

    fn boarded(&self, boarded: Boarded, digest: &Digest, size: u64) -> BlobAnswer {
        let body = match boarded {
            Boarded::Arriving(blob, place) => {
                self.metrics().blobs_arriving.increment();
                BlobBody::Arriving(Arriving { blob, place })
            }
            Boarded::Stored(blob) => {
                self.metrics().blobs_cached.increment();
                BlobBody::Cached(blob)
            }
        };
        BlobAnswer { digest: *digest, size, body, emergency: None }
    }

    /// A disk that cannot be read is not an answer: the blob is fetched again.
    async fn cached(&self, digest: &Digest, size: Option<u64>) -> Option<Blob> {
        match self.store().open_blob(digest, size).await {
            Ok(Some(blob)) => {
                self.metrics().blobs_cached.increment();
                Some(blob)
            }
            Ok(None) => None,
            Err(error) => {
                warn!(%digest, %error, "stored blob not opened; fetching it again");
                None
            }
        }
    }

    /// The grant by which the blob may be read, if there is one whose subject is served now, and by what.
    async fn blob_grant(
        &self,
        name: &Name,
        digest: &Digest,
        policy: &Arc<ReadyPolicy>,
    ) -> Result<Option<(Grant, ServedAs)>, Error> {
        let outright = policy.refuses_outright(name, self.now());
        let outright = outright.filter(|outright| outright.mode == Mode::Enforce);
        let is_shut =
            |it: Outright| it.cause == OutrightCause::Registry || !self.is_emergency_at(name);
        if outright.is_some_and(is_shut) {
            return Ok(None);
        }
        let mut found: Option<(Grant, ServedAs)> = None;
        for granted in self.ledger().granted(name, digest).await?.iter() {
            if !platform_is_served(&granted.grant, policy) {
                continue;
            }
            let Some(by) = self.served_as(name, &granted.subject).await? else { continue };
            found = Some((granted.grant.clone(), by));
            // What is admitted needs no emergency.
            if by.emergency.is_none() {
                break;
            }
        }
        if let Some((grant, _)) = &found {
            let may_be_manifest = matches!(grant.kind, GrantKind::Manifest | GrantKind::Referrer);
            let withheld = may_be_manifest && self.is_withheld(name, digest).await?;
            return Ok(found.filter(|_| !withheld));
        }
        let Some(by) = self.served_as(name, digest).await? else { return Ok(None) };
        let media_type = MediaType::new(MediaType::OCI_MANIFEST);
        let kind = GrantKind::Manifest;
        let own = Grant { digest: *digest, size: 0, media_type, kind, platform: None };
        Ok(Some((own, by)))
    }

    /// Observe mode, before anything admits it: what upstream has there. It is asked even about
    /// content that is cached, which may be that of another repository.
    async fn observed_blob(
        &self,
        name: &Name,
        digest: &Digest,
        with_body: bool,
    ) -> Result<BlobAnswer, Error> {
        let Sized { size, boarded } = self.sized(name, digest, with_body).await?;
        if !with_body {
            return Ok(BlobAnswer {
                digest: *digest,
                size,
                body: BlobBody::Unread,
                emergency: None,
            });
        }
        if let Some(boarded) = boarded {
            return Ok(self.boarded(boarded, digest, size));
        }
        if let Some(blob) = self.cached(digest, Some(size)).await {
            return Ok(BlobAnswer {
                digest: *digest,
                size,
                body: BlobBody::Cached(blob),
                emergency: None,
            });
        }
        let boarded = self.inner.boards.board(name, digest, size, None).await;
        if let Some(why) = disk_trouble(&boarded) {
            let body = BlobBody::Through(self.pass_through(name, digest, size, why).await?);
            return Ok(BlobAnswer { digest: *digest, size, body, emergency: None });
        }
        Ok(self.boarded(boarded?, digest, size))
    }

    /// What upstream says of a blob whose size nobody else has told; asked once for a crowd.
    async fn sized(&self, name: &Name, digest: &Digest, with_body: bool) -> Result<Sized, Error> {
        let subject = Self::subject(name, digest);
        if let Some(known) = self.sized_lately(&subject) {
            return Ok(known);
        }
        self.not_absent(&subject)?;
        let (mirror, asked) = (self.clone(), subject.clone());
        let asking = self.inner.sizing.join((subject, with_body), || async move {
            let outcome = mirror.ask_size(&asked, with_body).await;
            mirror.note_absence(&asked, outcome)
        })?;
        asking.landed().await?
    }

    fn sized_lately(&self, subject: &Subject) -> Option<Sized> {
        let (size, at) = self.inner.sized.get(subject)?;
        let age = self.clock().monotonic().saturating_sub(at);
        (age < SIZED_TTL).then_some(Sized { size, boarded: None })
    }

    async fn ask_size(&self, subject: &Subject, with_body: bool) -> Result<Sized, Error> {
        // A flight that landed between the look of whoever began this one and its start has told.
        if let Some(known) = self.sized_lately(subject) {
            return Ok(known);
        }
        let Subject { name, digest } = subject;
        let absent = || Error::Absent(subject.to_string().into());
        let permit = self.inner.gatherings.acquire(name.registry()).await?;
        let stream = self.client().fetch_blob(name, digest).await?.ok_or_else(absent)?;
        drop(permit);
        let size = stream.size().ok_or_else(absent)?;
        let told = || self.inner.sized.set(subject.clone(), (size, self.clock().monotonic()));
        if !with_body || self.cached(digest, Some(size)).await.is_some() {
            told();
            return Ok(Sized { size, boarded: None });
        }
        let boarded = self.inner.boards.board(name, digest, size, Some(stream)).await;
        // Not before: whoever knows the size begins a fetch of its own if there is none.
        told();
        if disk_trouble(&boarded).is_some() {
            // Whoever wants it tries again, and finds a way past the store.
            return Ok(Sized { size, boarded: None });
        }
        Ok(Sized { size, boarded: Some(boarded?) })
    }
}

/// Why the store did not take the blob, if it could not for want of room or a sane disk.
fn disk_trouble(boarded: &Result<Boarded, Error>) -> Option<Arc<store::Error>> {
    match boarded {
        Err(Error::Store(error)) if error.is_disk_trouble() => Some(Arc::clone(error)),
        _ => None,
    }
}

/// Layers are served for the platforms of the floor only; everything else of an index is.
fn platform_is_served(grant: &Grant, policy: &Policy) -> bool {
    grant.kind != GrantKind::Layer || platform_is_covered(grant, policy)
}

/// Whether a grant is for a platform of the floor, or for none.
pub(super) fn platform_is_covered(grant: &Grant, policy: &Policy) -> bool {
    let wanted = policy.platforms();
    let covered =
        |platform: &Platform| wanted.is_empty() || wanted.iter().any(|it| it.covers(platform));
    grant.platform.as_ref().is_none_or(covered)
}
