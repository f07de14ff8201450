//! The bytes of manifests: from memory, from disk, or from upstream.

use std::sync::Arc;

use bytes::Bytes;
use tracing::{error, warn};

use super::{Error, Mirror};
use crate::gate::Subject;
use crate::oci::{MANIFEST_BYTES_MAX, Manifest, MediaType, Reference};

impl Mirror {
    /// The bytes of a manifest: from memory, from disk, or fetched again; hashed wherever they come
    /// from.
    pub(super) async fn manifest_bytes(&self, subject: &Subject) -> Result<Bytes, Error> {
        if let Some(bytes) = self.inner.manifests.get(&subject.digest) {
            self.store().touch(&subject.digest);
            return Ok(bytes);
        }
        let (mirror, wanted) = (self.clone(), subject.clone());
        let reading = self.inner.reading.join(subject.clone(), || async move {
            let bytes = match mirror.stored_manifest(&wanted).await {
                Some(bytes) => bytes,
                None => mirror.refetch_manifest(&wanted).await?,
            };
            mirror.inner.manifests.insert(wanted.digest, bytes.clone());
            Ok(bytes)
        })?;
        reading.landed().await?
    }

    async fn stored_manifest(&self, subject: &Subject) -> Option<Bytes> {
        match self.store().read(&subject.digest, MANIFEST_BYTES_MAX).await {
            Ok(stored) => stored,
            Err(error) => {
                warn!(%subject, %error, "stored manifest not read; fetching it again");
                None
            }
        }
    }

    pub(super) async fn refetch_manifest(&self, subject: &Subject) -> Result<Bytes, Error> {
        self.not_absent(subject)?;
        let _permit = self.inner.gatherings.acquire(subject.name.registry()).await?;
        let fetched = self.fetch_manifest(subject).await;
        self.note_absence(subject, fetched)
    }

    async fn fetch_manifest(&self, subject: &Subject) -> Result<Bytes, Error> {
        let reference = Reference::Digest(subject.digest);
        let remote = self.client().fetch_manifest(&subject.name, &reference).await?;
        let remote = remote.ok_or_else(|| Error::Absent(subject.to_string().into()))?;
        if !subject.digest.matches(&remote.bytes) {
            error!(%subject, got = %remote.digest, "refetched manifest has another digest");
            return Err(Error::Absent(subject.to_string().into()));
        }
        if let Err(error) = self.store().put(&subject.digest, remote.bytes.clone()).await {
            warn!(%subject, %error, "manifest not stored; served from memory");
        }
        Ok(remote.bytes)
    }
}

/// The type of a manifest from its own body.
pub(super) fn sniffed(bytes: &Bytes) -> Result<MediaType, Error> {
    match Manifest::parse(bytes, None) {
        Ok(manifest) => Ok(manifest.media_type().clone()),
        Err(error) => Err(Error::Malformed(Arc::new(error))),
    }
}
