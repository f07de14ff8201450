//! Prefetching: an admitted image into the store before a node asks for it.

use tracing::warn;

use super::{Error, Freshness, Mirror};
use crate::gate::{GrantKind, Subject};

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
        if !self.serves(subject, &judged) {
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
                    if !self.fetch_whole(&subject.name, &grant.digest).await? {
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
}
