//! Evidence from an image layout in the place of a registry.

use std::sync::Arc;

use bytes::Bytes;

use super::fetch::Trouble;
use super::source::{Received, Source};
use crate::layout::{Error, Layout};
use crate::oci::{Descriptor, Digest, MANIFEST_BYTES_MAX, Name, Reference, Tag};
use crate::tasks::Tasks;

/// A layout that stands for one repository, whatever that is called.
#[derive(Clone)]
pub(super) struct LayoutSource {
    layout: Arc<Layout>,
    tasks: Tasks,
}

impl LayoutSource {
    pub(super) fn new(layout: Arc<Layout>, tasks: Tasks) -> Self {
        Self { layout, tasks }
    }

    /// Asks the layout away from the runtime's workers.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Layout) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Trouble> {
        let layout = Arc::clone(&self.layout);
        let answer = self.tasks.spawn_blocking(move || question(&layout)).await;
        answer.map_err(|_panicked| Trouble::Time)?.map_err(Trouble::Layout)
    }
}

impl Source for LayoutSource {
    fn referrers_place(&self) -> &'static str {
        "referrers in the layout"
    }

    async fn has_tag(&self, _: &Name, tag: &Tag) -> Result<bool, Trouble> {
        Ok(self.layout.tagged(tag).map_err(Trouble::Layout)?.is_some())
    }

    async fn manifest(&self, _: &Name, reference: &Reference) -> Result<Option<Received>, Trouble> {
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => match self.layout.tagged(tag).map_err(Trouble::Layout)? {
                Some(listed) => listed.digest,
                None => return Ok(None),
            },
        };
        let listed = self.layout.listed().iter().find(|listed| listed.digest == digest);
        let media_type = listed.map(|listed| listed.media_type.clone());
        match self.ask(move |layout| layout.read(&digest, MANIFEST_BYTES_MAX)).await? {
            None => Ok(None),
            Some(bytes) if bytes.len() > MANIFEST_BYTES_MAX => Err(Trouble::TooLarge),
            Some(bytes) => Ok(Some(Received { bytes, media_type })),
        }
    }

    async fn blob(
        &self,
        _: &Name,
        digest: &Digest,
        limit_bytes: usize,
    ) -> Result<Option<Bytes>, Trouble> {
        let digest = *digest;
        self.ask(move |layout| layout.read(&digest, limit_bytes)).await
    }

    async fn referrers(
        &self,
        _: &Name,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Trouble> {
        let digest = *digest;
        self.ask(move |layout| layout.referrers(&digest)).await.map(Some)
    }
}
