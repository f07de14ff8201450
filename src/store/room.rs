//! What all parts of one store share, and what it trusts about the files it has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::VerifyReads;
use super::buffers::Buffers;
use super::content::{Content, Found, Identity};
use super::error::Error;
use super::index::Index;
use super::keep::{Keep, Keeping};
use super::layout::Layout;
use super::maps::Maps;
use super::progress::{self, Reporter, Watch};
use crate::metrics::Metrics;
use crate::oci::Digest;
use crate::tasks::Tasks;
use crate::time::Clock;

/// Files kept open, so that a blob in demand is served without looking its name up.
const OPEN_FILES_MAX: usize = 128;

/// Files whose hash is known to be right; beyond it, one is forgotten and will be hashed again.
const VERIFIED_MAX: usize = 65_536;

/// Files that are hashed at a time; others wait.
const HASHINGS_MAX: usize = 4;

/// Shared by all clones of a store, its blobs and its readers.
pub(super) struct Room {
    pub(super) layout: Layout,
    pub(super) index: Index,
    pub(super) keep: Keep,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
    pub(super) metrics: Arc<Metrics>,
    pub(super) buffers: Buffers,
    pub(super) maps: Maps,
    verify_reads: VerifyReads,
    pub(super) hashings: Semaphore,
    trust: Mutex<Trust>,
}

/// What this process has found out about stored files since it started. Never held across an await.
#[derive(Default)]
struct Trust {
    open: HashMap<Digest, Arc<Content>>,
    verified: HashMap<Digest, Identity>,
    hashing: HashMap<Digest, (Identity, Reporter)>,
}

impl Room {
    pub(super) fn new(
        (layout, index): (Layout, Index),
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        metrics: Arc<Metrics>,
        verify_reads: VerifyReads,
        keeping: Keeping,
    ) -> Self {
        let maps = Maps::new(tasks.clone());
        Self {
            layout,
            index,
            keep: Keep::new(keeping, &metrics),
            clock,
            tasks,
            metrics,
            buffers: Buffers::default(),
            maps,
            verify_reads,
            hashings: Semaphore::new(HASHINGS_MAX),
            trust: Mutex::default(),
        }
    }

    /// Runs `work`, which blocks, on the pool for that.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let room = Arc::clone(self);
        let done = self.tasks.spawn_blocking(move || work(&room)).await;
        let result = done.unwrap_or(Err(Error::Interrupted));
        result.map_err(|error| self.count(error))
    }

    /// The blob's content if its file is open already and still what its name leads to; does not
    /// block.
    pub(super) fn already_open(&self, digest: &Digest) -> Option<Arc<Content>> {
        let content = self.trust().open.get(digest).cloned()?;
        if content.is_current() {
            return Some(content);
        }
        self.trust().open.remove(digest);
        None
    }

    /// The blob's content if it is stored, kept open for the next who asks. Blocks.
    pub(super) fn open(&self, digest: &Digest) -> Result<Option<Arc<Content>>, Error> {
        Ok(self.find(digest)?.map(|content| self.keep_open(content)))
    }

    /// Keeps the file of `content` open for the next who asks, unless it was removed meanwhile: whoever
    /// removes it closes it after that, so one of the two sees the other.
    pub(super) fn keep_open(&self, content: Content) -> Arc<Content> {
        let (digest, content) = (content.digest, Arc::new(content));
        let closed = {
            let mut trust = self.trust();
            let displaced = make_room(&mut trust.open, OPEN_FILES_MAX);
            (displaced, trust.open.insert(digest, Arc::clone(&content)))
        };
        // Closing the last handle of a removed file frees its blocks; nobody should wait for that.
        drop(closed);
        if !content.is_current() {
            drop(self.trust().open.remove(&digest));
        }
        content
    }

    /// The blob's content if it is stored; what else has its name is removed. Blocks.
    pub(super) fn find(&self, digest: &Digest) -> Result<Option<Content>, Error> {
        let path = self.layout.path(digest);
        match Content::open(*digest, &path).map_err(Error::open(*digest))? {
            Found::Content(content) => Ok(Some(content)),
            Found::Foreign => {
                tracing::warn!(%digest, path = %path.display(), "not a regular file; removed");
                self.metrics.store_corrupt.increment();
                self.layout.remove(digest, None).map_err(Error::remove(*digest))?;
                Ok(None)
            }
            Found::Nothing => Ok(None),
        }
    }

    /// Notes that `content` has been hashed and is right.
    pub(super) fn trust_in(&self, content: &Content) {
        if let Some(identity) = content.identity() {
            let mut trust = self.trust();
            make_room(&mut trust.verified, VERIFIED_MAX);
            trust.verified.insert(content.digest, identity);
        }
    }

    /// Whether `content` has been hashed and is right, by the state in which it was opened.
    pub(super) fn trusts(&self, content: &Content) -> bool {
        content
            .identity()
            .is_some_and(|identity| self.trust().verified.get(&content.digest) == Some(&identity))
    }

    /// Removes whatever has the name of `digest`; with `only`, only if it is that file. Gives whether
    /// there was something to remove; who reads it reads on. Blocks.
    pub(super) fn remove(&self, digest: &Digest, only: Option<Identity>) -> std::io::Result<bool> {
        // Not trusted any more even if it cannot be removed; and once more afterwards, for those who
        // have opened it in between.
        self.forget(digest);
        let is_removed = self.layout.remove(digest, only)?;
        if is_removed {
            self.forget(digest);
            self.index.record_removed(*digest);
        }
        Ok(is_removed)
    }

    /// Forgets what is known about a blob.
    fn forget(&self, digest: &Digest) {
        let closed = {
            let mut trust = self.trust();
            trust.verified.remove(digest);
            trust.open.remove(digest)
        };
        drop(closed);
        self.maps.forget(digest);
    }

    /// Removes a stored file whose content is not what its name says, and nothing that has taken
    /// its place since. Blocks.
    pub(super) fn discard(&self, content: &Content, why: &str) {
        let digest = content.digest;
        let Some(identity) = content.identity() else { return };
        self.metrics.store_corrupt.increment();
        match self.remove(&digest, Some(identity)) {
            Ok(is_removed) => {
                tracing::warn!(%digest, why, "stored blob is damaged; removed");
                if is_removed {
                    self.keep.found_damaged(digest);
                }
            }
            Err(error) => tracing::error!(%digest, why, %error, "damaged blob cannot be removed"),
        }
    }

    /// What a reader of stored `content` has to wait for before it may give the last of its
    /// response: a hashing that it shares with other readers; `None` if the file is trusted.
    pub(super) fn hashing(self: &Arc<Self>, content: &Arc<Content>) -> Option<Watch> {
        match self.verify_reads {
            VerifyReads::Never => None,
            VerifyReads::Always | VerifyReads::Changed => self.begin_hashing(content),
        }
    }

    /// Begins to hash a stored file, or joins those who wait for that already, unless every reader has
    /// a hashing of its own; `None` if it is trusted by now.
    fn begin_hashing(self: &Arc<Self>, content: &Arc<Content>) -> Option<Watch> {
        let identity = content.identity()?;
        let mut trust = self.trust();
        if self.verify_reads != VerifyReads::Always {
            if trust.verified.get(&content.digest) == Some(&identity) {
                return None;
            }
            if let Some((of, reporter)) = trust.hashing.get(&content.digest)
                && *of == identity
            {
                return Some(reporter.subscribe());
            }
        }
        let (reporter, watch) = progress::begin(content.size);
        trust.hashing.insert(content.digest, (identity, reporter.clone()));
        drop(trust);
        let (room, content) = (Arc::clone(self), Arc::clone(content));
        self.tasks.spawn(async move { room.hash(content, reporter).await });
        Some(watch)
    }

    /// Waits until stored `content` has been hashed, and been removed if it is damaged, whatever the
    /// settings say of reads.
    pub(super) async fn hashed(self: &Arc<Self>, content: &Arc<Content>) {
        let Some(mut watch) = self.begin_hashing(content) else { return };
        // Without an outcome the program stops, and nothing is removed.
        drop(watch.wait_for(|progress| progress.settled.is_some()).await);
    }

    /// Hashes a stored file for those who wait for it, and gives up when nobody does any more.
    async fn hash(self: Arc<Self>, content: Arc<Content>, reporter: Reporter) {
        let Ok(_permit) = self.hashings.acquire().await else { return };
        let (room, hashed, waiting) = (Arc::clone(&self), Arc::clone(&content), reporter.clone());
        let work = self.tasks.spawn_bulk_blocking(move || room.hash_now(&hashed, &waiting));
        let outcome = match work.await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return,
            Err(_) => Err(Error::Interrupted),
        };
        self.trust().end_hashing(&content, &reporter);
        progress::settle(&reporter, outcome);
    }

    /// Hashes a stored file and draws the consequences; `None` if nobody waits for it. Blocks.
    fn hash_now(&self, content: &Content, reporter: &Reporter) -> Option<Result<(), Error>> {
        match content.hash(|| !self.is_deserted(content, reporter)) {
            Ok(None) => None,
            Ok(Some(digest)) if digest == content.digest => {
                self.trust_in(content);
                Some(Ok(()))
            }
            Ok(Some(_)) => {
                self.discard(content, "its hash is another");
                Some(Err(Error::Corrupt { digest: content.digest }))
            }
            Err(error) => Some(Err(self.count(self.read_failed(content, error)))),
        }
    }

    /// What a failure to read `content` means; what is damaged is removed. Blocks.
    pub(super) fn read_failed(&self, content: &Content, error: std::io::Error) -> Error {
        let digest = content.digest;
        if content.identity().is_some() && super::content::is_damage(&error) {
            self.discard(content, "it cannot be read");
            return Error::Corrupt { digest };
        }
        Error::read(digest)(error)
    }

    /// Counts the error if it is a failure of the store; gives it back.
    pub(super) fn count(&self, error: Error) -> Error {
        if error.is_failure() {
            self.metrics.store_failures.increment();
            self.keep.write_failed(&error);
        }
        error
    }

    /// Whether nobody waits for this hashing; if so, nobody can join it any more.
    fn is_deserted(&self, content: &Content, reporter: &Reporter) -> bool {
        if reporter.receiver_count() > 0 {
            return false;
        }
        let mut trust = self.trust();
        let is_deserted = reporter.receiver_count() == 0;
        if is_deserted {
            trust.end_hashing(content, reporter);
        }
        is_deserted
    }

    fn trust(&self) -> MutexGuard<'_, Trust> {
        self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trust {
    /// Lets nobody join this hashing any more; a later one of the same blob stays.
    fn end_hashing(&mut self, content: &Content, reporter: &Reporter) {
        let digest = &content.digest;
        if self.hashing.get(digest).is_some_and(|(_, other)| other.same_channel(reporter)) {
            self.hashing.remove(digest);
        }
    }
}

/// Makes room for one more entry in a map of at most `limit`, at the cost of any one of them.
fn make_room<V>(map: &mut HashMap<Digest, V>, limit: usize) -> Option<V> {
    if map.len() < limit {
        return None;
    }
    let any = map.keys().next().copied()?;
    map.remove(&any)
}
