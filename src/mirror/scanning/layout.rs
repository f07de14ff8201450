//! Layers out of an image layout, for who judges without a registry.

use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;

use crate::layout::Layout;
use crate::mirror::{BlobBody, Error, Mirror};
use crate::oci::{Digest, Name};

/// How much of a file is read at once.
const CHUNK_BYTES: usize = 1 << 20;

impl Mirror {
    /// The blob out of `layout`, in the store from now on, which checks it.
    ///
    /// # Errors
    /// [`Error::Absent`] when the layout does not have it; else when it cannot be read or is another.
    pub(in crate::mirror) async fn content_of_layout(
        &self,
        layout: &Arc<Layout>,
        name: &Name,
        digest: &Digest,
        size: u64,
    ) -> Result<BlobBody, Error> {
        let absent = || Error::Absent(format!("{name}@{digest}").into());
        let (opened, wanted) = (Arc::clone(layout), *digest);
        let opening = self.tasks().spawn_blocking(move || opened.open_blob(&wanted).ok().flatten());
        let broke_down = |_| Error::Abandoned(crate::mirror::Abandoned);
        let mut file = opening.await.map_err(broke_down)?.ok_or_else(absent)?;
        let mut ingest = self.store().ingest(digest, size)?;
        ingest.ready().await?;
        loop {
            let reading = self.tasks().spawn_blocking(move || {
                let mut chunk = vec![0; CHUNK_BYTES];
                let read = file.read(&mut chunk);
                (file, read.map(|length| Bytes::from(chunk).slice(..length)))
            });
            let (back, read) = reading.await.map_err(broke_down)?;
            file = back;
            let chunk = read.map_err(|_unreadable| absent())?;
            if chunk.is_empty() {
                break;
            }
            ingest.write(chunk).await?;
        }
        Ok(BlobBody::Cached(ingest.commit().await?))
    }
}
