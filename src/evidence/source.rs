//! What is asked of a registry here: the upstream client, or a registry of a test.

use std::future::Future;

use bytes::{Bytes, BytesMut};

use super::fetch::Trouble;
use crate::oci::{Descriptor, Digest, MediaType, Name, Reference, Tag};
use crate::upstream::{Client, Error};

/// A manifest as it came.
pub(super) struct Received {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// The type it was sent as.
    pub(super) media_type: Option<MediaType>,
}

/// Gives content of a registry; `None` is a confirmed absence, never a failure.
pub(super) trait Source: Send + Sync {
    /// Whether there is a manifest under `tag`.
    fn has_tag(&self, name: &Name, tag: &Tag)
    -> impl Future<Output = Result<bool, Trouble>> + Send;

    /// The manifest at `reference`, at most as large as a manifest may be.
    fn manifest(
        &self,
        name: &Name,
        reference: &Reference,
    ) -> impl Future<Output = Result<Option<Received>, Trouble>> + Send;

    /// The first `limit_bytes` and one more of the blob `digest`.
    fn blob(
        &self,
        name: &Name,
        digest: &Digest,
        limit_bytes: usize,
    ) -> impl Future<Output = Result<Option<Bytes>, Trouble>> + Send;

    /// The referrers that the API lists; `None` when there is no such API.
    fn referrers(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> impl Future<Output = Result<Option<Vec<Descriptor>>, Trouble>> + Send;
}

impl Source for Client {
    async fn has_tag(&self, name: &Name, tag: &Tag) -> Result<bool, Trouble> {
        Ok(self.resolve_tag(name, tag).await?.is_some())
    }

    async fn manifest(
        &self,
        name: &Name,
        reference: &Reference,
    ) -> Result<Option<Received>, Trouble> {
        let manifest = self.fetch_manifest(name, reference).await?;
        Ok(manifest
            .map(|manifest| Received { bytes: manifest.bytes, media_type: manifest.media_type }))
    }

    async fn blob(
        &self,
        name: &Name,
        digest: &Digest,
        limit_bytes: usize,
    ) -> Result<Option<Bytes>, Trouble> {
        let Some(mut stream) = self.fetch_blob(name, digest).await? else { return Ok(None) };
        let mut content = BytesMut::new();
        while let Some(chunk) = stream.next().await? {
            content.extend_from_slice(&chunk);
            if content.len() > limit_bytes {
                break;
            }
        }
        content.truncate(limit_bytes.saturating_add(1));
        Ok(Some(content.freeze()))
    }

    async fn referrers(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Trouble> {
        Ok(self.fetch_referrers(name, digest).await?)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::TooLarge { .. } => Self::TooLarge,
            other => Self::Upstream(other),
        }
    }
}
