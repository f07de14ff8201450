//! The rebuildable index: what is good to know and may be lost.
//!
//! sled holds it, and only this module knows. Its calls block, and on a broken file it may panic, so
//! they are made on the pool for blocking work by one task, in batches, from a bounded queue; a note
//! that finds the queue full is dropped. If sled cannot be opened its files are moved aside, once;
//! if it still cannot, the store goes on without. Tags are answered from memory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::oci::{Algorithm, Digest, Name, Tag};
use crate::tasks::Tasks;
use crate::time::Timestamp;

/// Notes that may wait to be written.
const QUEUE_NOTES: usize = 4_096;

/// Notes written in one go.
const BATCH_NOTES: usize = 256;

/// Tags kept in memory, and loaded at start.
const TAGS_MAX: usize = 65_536;

/// How often, and after what pauses, sled's own lock is tried.
const LOCK_TRIES: u32 = 20;
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// How often sled writes to disk by itself, in milliseconds.
const FLUSH_MILLISECONDS: u64 = 1_000;

/// What a tag pointed to, and when that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenTag {
    /// What it pointed to.
    pub digest: Digest,
    /// When.
    pub at: Timestamp,
}

/// The index; clones share it.
#[derive(Clone)]
pub(super) struct Index {
    tags: Arc<Mutex<HashMap<String, SeenTag>>>,
    notes: mpsc::Sender<Note>,
    /// Gone as soon as it fails once.
    files: Arc<Mutex<Option<Files>>>,
    tasks: Tasks,
}

enum Note {
    Kept(&'static str, String),
    Removed(Digest),
    Seen(String, SeenTag),
    Used(Digest, Timestamp),
}

#[derive(Clone)]
struct Files {
    tags: sled::Tree,
    used: sled::Tree,
    /// What the keeper notes for itself.
    kept: sled::Tree,
    db: sled::Db,
}

impl Index {
    /// Opens the index in `dir`, or goes on without.
    pub(super) async fn open(
        dir: &Path,
        cache_bytes: u64,
        tasks: &Tasks,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let mut opened = try_open(dir, cache_bytes, tasks).await;
        if let Err(error) = &opened {
            tracing::warn!(%error, dir = %dir.display(), "index cannot be opened; moved aside");
            let dir_owned = dir.to_owned();
            if let Ok(Err(error)) = tasks.spawn_blocking(move || set_aside(&dir_owned)).await {
                tracing::warn!(%error, "broken index cannot be moved");
            }
            opened = try_open(dir, cache_bytes, tasks).await;
        }
        let (files, tags) = match opened {
            Ok((files, tags)) => (Some(files), tags),
            Err(error) => {
                tracing::warn!(%error, "going on without the index");
                (None, HashMap::new())
            }
        };
        metrics.index_available.set(i64::from(files.is_some()));
        let (notes, queue) = mpsc::channel(QUEUE_NOTES);
        let index = Self {
            tags: Arc::new(Mutex::new(tags)),
            notes,
            files: Arc::new(Mutex::new(files)),
            tasks: tasks.clone(),
        };
        let files = Arc::clone(&index.files);
        tasks.spawn(write(queue, files, tasks.clone(), Arc::clone(metrics)));
        index
    }

    pub(super) fn is_available(&self) -> bool {
        lock(&self.files).is_some()
    }

    pub(super) fn seen_tag(&self, name: &Name, tag: &Tag) -> Option<SeenTag> {
        self.tags().get(&key(name, tag)).copied()
    }

    pub(super) fn record_seen_tag(&self, name: &Name, tag: &Tag, seen: SeenTag) {
        let key = key(name, tag);
        {
            let mut tags = self.tags();
            if tags.len() >= TAGS_MAX
                && !tags.contains_key(&key)
                && let Some(any) = tags.keys().next().cloned()
            {
                tags.remove(&any);
            }
            tags.insert(key.clone(), seen);
        }
        self.send(Note::Seen(key, seen));
    }

    pub(super) fn record_used(&self, digest: Digest, at: Timestamp) {
        self.send(Note::Used(digest, at));
    }

    pub(super) async fn last_used(&self, digest: Digest) -> Option<Timestamp> {
        let files = lock(&self.files).clone()?;
        let work = move || files.used.get(digest.to_string()).ok().flatten();
        let value = self.tasks.spawn_blocking(work).await.ok()??;
        Some(Timestamp::from_milliseconds(std::str::from_utf8(&value).ok()?.parse().ok()?))
    }

    /// Notes that the blob is not stored any more.
    pub(super) fn record_removed(&self, digest: Digest) {
        self.send(Note::Removed(digest));
    }

    /// When the blobs whose hash begins with `prefix` were last asked for, as far as the index
    /// remembers. Blocks.
    pub(super) fn used_in(&self, algorithm: Algorithm, prefix: u8) -> HashMap<Digest, Timestamp> {
        let Some(files) = lock(&self.files).clone() else { return HashMap::new() };
        let start = format!("{}:{}", algorithm.as_str(), hex::encode([prefix]));
        let read = || {
            let entries = files.used.scan_prefix(start.as_bytes()).flatten();
            let entry = |(key, value): (sled::IVec, sled::IVec)| {
                let digest = std::str::from_utf8(&key).ok()?.parse().ok()?;
                let at = std::str::from_utf8(&value).ok()?.parse().ok()?;
                Some((digest, Timestamp::from_milliseconds(at)))
            };
            entries.filter_map(entry).collect()
        };
        // A broken file may make sled panic: nothing is known then.
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).unwrap_or_default()
    }

    /// What was noted under `key`.
    pub(super) async fn note(&self, key: &'static str) -> Option<String> {
        let files = lock(&self.files).clone()?;
        let work = move || files.kept.get(key).ok().flatten();
        let value = self.tasks.spawn_blocking(work).await.ok()??;
        std::str::from_utf8(&value).ok().map(str::to_owned)
    }

    /// Notes `value` under `key`; may be lost.
    pub(super) fn record_note(&self, key: &'static str, value: String) {
        self.send(Note::Kept(key, value));
    }

    fn send(&self, note: Note) {
        if self.notes.try_send(note).is_err() {
            tracing::trace!("index is behind or gone; a note was dropped");
        }
    }

    fn tags(&self) -> MutexGuard<'_, HashMap<String, SeenTag>> {
        lock(&self.tags)
    }
}

impl Files {
    fn open(dir: &Path, cache_bytes: u64) -> sled::Result<(Self, HashMap<String, SeenTag>)> {
        let db = sled::Config::default()
            .path(dir)
            .cache_capacity(cache_bytes)
            .flush_every_ms(Some(FLUSH_MILLISECONDS))
            .open()?;
        let open = |name: &str| db.open_tree(name);
        let (tags, used, kept) = (open("tags")?, open("used")?, open("kept")?);
        let files = Self { tags, used, kept, db };
        let mut tags = HashMap::new();
        for entry in files.tags.iter().take(TAGS_MAX) {
            let (key, value) = entry?;
            if let (Ok(key), Some(seen)) = (std::str::from_utf8(&key), SeenTag::parse(&value)) {
                tags.insert(key.to_owned(), seen);
            }
        }
        Ok((files, tags))
    }

    fn apply(&self, notes: Vec<Note>) -> sled::Result<()> {
        for note in notes {
            match note {
                Note::Kept(key, value) => self.kept.insert(key, value.as_bytes())?,
                Note::Removed(digest) => self.used.remove(digest.to_string())?,
                Note::Seen(key, seen) => self.tags.insert(key, seen.print().as_bytes())?,
                Note::Used(digest, at) => {
                    let at = at.milliseconds().to_string();
                    self.used.insert(digest.to_string(), at.as_bytes())?
                }
            };
        }
        Ok(())
    }
}

impl SeenTag {
    /// As the index keeps it: the digest, a space, milliseconds.
    pub(super) fn print(&self) -> String {
        format!("{} {}", self.digest, self.at.milliseconds())
    }

    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (digest, at) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        let at = Timestamp::from_milliseconds(at.parse().ok()?);
        Some(Self { digest: digest.parse().ok()?, at })
    }
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
enum Unavailable {
    #[error("the index's files are still in use")]
    Locked,
    #[error("the index's files are damaged beyond what sled reports")]
    Panicked,
    #[error(transparent)]
    Sled(#[from] sled::Error),
}

async fn try_open(
    dir: &Path,
    cache_bytes: u64,
    tasks: &Tasks,
) -> Result<(Files, HashMap<String, SeenTag>), Unavailable> {
    for _ in 0..LOCK_TRIES {
        let dir = dir.to_owned();
        let opened = tasks.spawn_blocking(move || Files::open(&dir, cache_bytes)).await;
        match opened.map_err(|_| Unavailable::Panicked)? {
            Err(error) if is_locked(&error) => tokio::time::sleep(LOCK_WAIT).await,
            opened => return Ok(opened?),
        }
    }
    Err(Unavailable::Locked)
}

/// Whether threads of sled's that this process left behind still have the files. No other process
/// can: the directory is locked.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// Moves a broken index out of the way, over the one that was moved before. Blocks.
fn set_aside(dir: &Path) -> std::io::Result<()> {
    let aside = dir.with_extension("broken");
    if let Err(error) = std::fs::remove_dir_all(&aside) {
        tracing::trace!(%error, "no earlier broken index");
    }
    std::fs::rename(dir, aside)
}

/// Writes notes until the store is gone or the program stops; gives the index up when it fails.
async fn write(
    mut queue: mpsc::Receiver<Note>,
    files: Arc<Mutex<Option<Files>>>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
) {
    let mut stopping = std::pin::pin!(tasks.stopping());
    let mut is_stopping = false;
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            _ = queue.recv_many(&mut batch, BATCH_NOTES) => {}
            () = &mut stopping, if !is_stopping => {
                is_stopping = true;
                queue.close();
                continue;
            }
        }
        let open = lock(&files).clone();
        let (Some(open), false) = (open, batch.is_empty()) else { break };
        let applied = tasks.spawn_blocking(move || open.apply(batch)).await;
        let failure = match applied {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => Unavailable::Sled(error),
            Err(_) => Unavailable::Panicked,
        };
        tracing::warn!(error = %failure, "index failed; going on without it");
        break;
    }
    metrics.index_available.set(0);
    let open = lock(&files).take();
    let close = move || open.map(|files| files.db.flush());
    if !matches!(tasks.spawn_blocking(close).await, Ok(None | Some(Ok(_)))) {
        tracing::warn!("index was not closed in good order");
    }
}

fn key(name: &Name, tag: &Tag) -> String {
    format!("{}/{}:{tag}", name.registry(), name.repository())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
