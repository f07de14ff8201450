//! Damaged blobs come back by the way of every pull.

use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::gate::GrantKind;
use crate::mirror::{BlobBody, Error, Mirror};
use crate::oci::{ByteRange, Digest, Name};
use crate::store::ReadMode;

impl Mirror {
    /// Fetches again what the store found damaged, one after the other, until the program stops.
    pub(super) async fn heal(self, mut damaged: mpsc::Receiver<Digest>) {
        let mut stopping = std::pin::pin!(self.tasks().stopping());
        loop {
            let digest = tokio::select! {
                () = &mut stopping => return,
                digest = damaged.recv() => digest,
            };
            let Some(digest) = digest else { return };
            tokio::select! {
                () = &mut stopping => return,
                healed = self.heal_one(&digest) => match healed {
                    Ok(true) => {
                        self.metrics().store_healed.increment();
                        info!(%digest, "damaged content was fetched again");
                    }
                    Ok(false) => debug!(%digest, "damaged content is nobody's any more"),
                    Err(error) => warn!(%digest, %error, "damaged content was not fetched again"),
                },
            }
        }
    }

    /// Fetches `digest` for the first repository that may have it now; gives whether one may.
    async fn heal_one(&self, digest: &Digest) -> Result<bool, Error> {
        let mut failure = None;
        for name in self.ledger().holders(digest).await? {
            match self.fetch_again(&name, digest).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(false), Err)
    }

    /// Fetches `digest` under a verdict of `name` that holds now; `false` if there is none.
    async fn fetch_again(&self, name: &Name, digest: &Digest) -> Result<bool, Error> {
        let Some(grant) = self.grant_now(name, digest).await? else { return Ok(false) };
        if matches!(grant.kind, GrantKind::Manifest) {
            let subject = Self::subject(name, digest);
            // From memory, if it is there; nothing is written if it was stored by that.
            let bytes = self.manifest_bytes(&subject).await?;
            self.store().put(digest, bytes).await?;
            return Ok(true);
        }
        self.fetch_whole(name, digest).await
    }

    /// Reads a blob to its end, so that it is in the store; `false` when no node may have it.
    ///
    /// # Errors
    /// When it cannot be fetched, or not be kept.
    pub(in crate::mirror) async fn fetch_whole(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let answer = match self.pull_blob(name, digest, true).await {
            Ok(answer) => answer,
            Err(Error::Ungranted) => return Ok(false),
            Err(error) => return Err(error),
        };
        if let BlobBody::Through(through) = &answer.body {
            return Err(through.why_not_stored());
        }
        let mut reader = answer.body.reader(ByteRange::whole(answer.size), ReadMode::Copy);
        while reader.next().await?.is_some() {}
        Ok(true)
    }
}
