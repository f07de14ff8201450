//! The blobs that are arriving, each fetched once for everybody.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use tracing::{debug, warn};

use super::{Error, FETCHES_MAX, Parts};
use crate::oci::{Digest, Name};
use crate::store::{Arriving, Blob, Ingest};
use crate::upstream::{self, BlobStream};

/// A blob under way: what has arrived can be read while the rest comes.
#[derive(Debug, Clone)]
pub(crate) struct Boarded {
    /// The growing file.
    pub(crate) arriving: Arriving,
    started: watch::Receiver<Started>,
}

/// Whether upstream has begun to send.
#[derive(Debug, Clone)]
enum Started {
    Failed(Error),
    No,
    Yes,
}

/// One blob: a repository may lie about a size, so the size is part of the key.
type Key = (Digest, u64);

/// All blobs under way; clones are the same board.
#[derive(Clone)]
pub(crate) struct Boards {
    parts: Parts,
    permits: Arc<Semaphore>,
    seats: Arc<Mutex<HashMap<Key, Boarded>>>,
}

impl Boards {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, permits: Arc::new(Semaphore::new(FETCHES_MAX)), seats: Arc::default() }
    }

    /// Joins the fetch of a blob, or begins it; `stream` is used if upstream was asked already.
    pub(crate) fn board(
        &self,
        name: &Name,
        digest: &Digest,
        size: u64,
        stream: Option<BlobStream>,
    ) -> Result<Boarded, Error> {
        let mut seats = self.lock();
        if let Some(boarded) = seats.get(&(*digest, size)) {
            return Ok(boarded.clone());
        }
        let ingest = self.parts.store.ingest(digest, size)?;
        let (tell, started) = watch::channel(Started::No);
        let boarded = Boarded { arriving: ingest.arriving(), started };
        seats.insert((*digest, size), boarded.clone());
        drop(seats);
        let clear = Clear { boards: self.clone(), key: (*digest, size) };
        self.parts.metrics.flights.add(1);
        let (boards, name, digest) = (self.clone(), name.clone(), *digest);
        drop(self.parts.tasks.spawn(async move {
            let fetched = boards.fetch(&name, &digest, ingest, stream, &tell).await;
            drop(clear);
            match fetched {
                Ok(blob) => debug!(%name, %digest, bytes = blob.size(), "blob fetched"),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(%name, %digest, %error, cause, "blob not fetched");
                    tell.send_replace(Started::Failed(error));
                }
            }
        }));
        Ok(boarded)
    }

    async fn fetch(
        &self,
        name: &Name,
        digest: &Digest,
        mut ingest: Ingest,
        stream: Option<BlobStream>,
        tell: &watch::Sender<Started>,
    ) -> Result<Blob, Error> {
        let _permit = self.permits.acquire().await.map_err(|_closed| Error::Overloaded)?;
        let mut stream = match stream {
            Some(stream) => stream,
            None => self
                .parts
                .client
                .fetch_blob(name, digest)
                .await?
                .ok_or_else(|| Error::Absent(format!("{name}@{digest}").into()))?,
        };
        tell.send_replace(Started::Yes);
        while let Some(chunk) = stream.next().await? {
            ingest.write(chunk).await?;
        }
        Ok(ingest.commit().await?)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Boarded>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Boarded {
    /// Waits until upstream has begun to send.
    pub(crate) async fn started(&mut self) -> Result<(), Error> {
        let started = self
            .started
            .wait_for(|started| !matches!(started, Started::No))
            .await
            .map_err(|_closed| Error::Abandoned(super::Abandoned))?;
        match &*started {
            Started::Failed(error) => Err(error.clone()),
            Started::No | Started::Yes => Ok(()),
        }
    }
}

impl fmt::Debug for Boards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Boards").finish_non_exhaustive()
    }
}

struct Clear {
    boards: Boards,
    key: Key,
}

impl Drop for Clear {
    fn drop(&mut self) {
        self.boards.lock().remove(&self.key);
        self.boards.parts.metrics.flights.add(-1);
    }
}

/// Asks upstream for a blob whose size nobody has said.
pub(crate) async fn sized_stream(
    client: &upstream::Client,
    name: &Name,
    digest: &Digest,
) -> Result<(BlobStream, u64), Error> {
    let absent = || Error::Absent(format!("{name}@{digest}").into());
    let stream = client.fetch_blob(name, digest).await?.ok_or_else(absent)?;
    let size = stream.size().ok_or_else(absent)?;
    Ok((stream, size))
}
