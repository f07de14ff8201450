//! What is asked of a registry here: the upstream client, or a registry of a test.

use std::future::Future;

use bytes::{Bytes, BytesMut};

use super::fetch::Trouble;
use super::layout::LayoutSource;
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
    /// Where referrers are listed, in words.
    fn referrers_place(&self) -> &'static str {
        "referrers API"
    }

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

/// Where evidence comes from.
#[derive(Clone)]
pub(super) enum Origin {
    /// A folder that stands for one repository.
    Layout(LayoutSource),
    /// The registries.
    Registries(Client),
}

impl Source for Origin {
    fn referrers_place(&self) -> &'static str {
        match self {
            Self::Layout(layout) => layout.referrers_place(),
            Self::Registries(client) => client.referrers_place(),
        }
    }

    async fn has_tag(&self, name: &Name, tag: &Tag) -> Result<bool, Trouble> {
        match self {
            Self::Layout(layout) => layout.has_tag(name, tag).await,
            Self::Registries(client) => client.has_tag(name, tag).await,
        }
    }

    async fn manifest(
        &self,
        name: &Name,
        reference: &Reference,
    ) -> Result<Option<Received>, Trouble> {
        match self {
            Self::Layout(layout) => layout.manifest(name, reference).await,
            Self::Registries(client) => client.manifest(name, reference).await,
        }
    }

    async fn blob(
        &self,
        name: &Name,
        digest: &Digest,
        limit_bytes: usize,
    ) -> Result<Option<Bytes>, Trouble> {
        match self {
            Self::Layout(layout) => layout.blob(name, digest, limit_bytes).await,
            Self::Registries(client) => client.blob(name, digest, limit_bytes).await,
        }
    }

    async fn referrers(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Trouble> {
        match self {
            Self::Layout(layout) => layout.referrers(name, digest).await,
            Self::Registries(client) => client.referrers(name, digest).await,
        }
    }
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
        if matches!(error, Error::TooLarge { .. }) {
            return Self::TooLarge;
        }
        Self::Upstream(error)
    }
}
