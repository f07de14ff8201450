//! Prefetching: an admitted image into the store before a node asks for it.

use tracing::warn;

use super::{Error, Freshness, Mirror};
use crate::gate::{GrantKind, Subject};
use crate::oci::ByteRange;
use crate::store::ReadMode;

/// What came of prefetching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefetched {
    /// Blobs that had to be fetched.
    pub fetched: u64,
    /// Blobs that were there already.
    pub present: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Mirror {
    /// Brings the manifest of an admitted subject and every blob that a node could ask for into the
    /// store.
    ///
    /// # Errors
    /// When the subject is not admitted ([`Error::Ungranted`]), or the first blob that fails.
    pub async fn prefetch(&self, subject: &Subject) -> Result<Prefetched, Error> {
        let judged = self.judge(subject, Freshness::Stored).await?;
        if !judged.is_served() {
            return Err(Error::Ungranted);
        }
        self.manifest_bytes(subject).await?;
        let mut done = Prefetched { fetched: 0, present: 0, bytes: 0 };
        for grant in &*self.ledger().grants_of(subject).await? {
            if matches!(grant.kind, GrantKind::Manifest) {
                let child = Self::subject(&subject.name, &grant.digest);
                self.manifest_bytes(&child).await?;
                continue;
            }
            match self.store().open_blob(&grant.digest, Some(grant.size)).await {
                Ok(Some(_)) => done.present += 1,
                Ok(None) => {
                    if !self.fetch_into_store(subject, &grant.digest).await? {
                        continue;
                    }
                    done.fetched += 1;
                }
                Err(error) => warn!(digest = %grant.digest, %error, "stored blob not opened"),
            }
            done.bytes += grant.size;
        }
        Ok(done)
    }

    /// Reads a blob to its end, so that it is in the store; `false` when no node may have it.
    async fn fetch_into_store(
        &self,
        subject: &Subject,
        digest: &crate::oci::Digest,
    ) -> Result<bool, Error> {
        let answer = match self.pull_blob(&subject.name, digest, true).await {
            Ok(answer) => answer,
            Err(Error::Ungranted) => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut reader = answer.body.reader(ByteRange::whole(answer.size), ReadMode::Copy);
        while reader.next().await?.is_some() {}
        Ok(true)
    }
}
