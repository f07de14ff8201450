//! What was learnt of content: small files beside the blobs, each written once, all of them rebuildable.
//!
//! ```text
//! facts/<kind>/ab/<hex>      written whole, then named; never synced: losing one costs time only
//! ```
//!
//! Who reads them checks them: nothing here says that bytes are what was written.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use tracing::warn;

use crate::oci::Digest;
use crate::tasks::Tasks;

/// Largest file that is kept, in bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// How much of the bound is left when facts had to give way, in per cent.
const LOW_PERCENT: u64 = 80;

/// What facts are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FactKind {
    /// A layer, by the digest of its blob.
    Layer,
    /// What is in an image, by the digest of the facts themselves.
    Inventory,
    /// What another scanner said of an image, by the digest of the facts themselves.
    Report,
}

impl FactKind {
    const ALL: [Self; 3] = [Self::Layer, Self::Inventory, Self::Report];

    const fn folder(self) -> &'static str {
        match self {
            Self::Layer => "layers",
            Self::Inventory => "inventories",
            Self::Report => "reports",
        }
    }
}

/// The facts of one data directory; clones are the same.
#[derive(Debug, Clone)]
pub struct Facts(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    dir: PathBuf,
    bytes_max: u64,
    bytes: AtomicU64,
    partial: AtomicU64,
    tasks: Tasks,
}

impl Facts {
    /// The facts in `dir`, which is made when the first is put there. Beyond `bytes_max` in all the ones
    /// that were written first give way. Blocks while it counts what is there.
    pub fn open(dir: PathBuf, bytes_max: u64, tasks: Tasks) -> Self {
        let shelf =
            Shelf { bytes: AtomicU64::new(0), partial: AtomicU64::new(0), dir, bytes_max, tasks };
        let bytes = shelf.listed().iter().map(|file| file.bytes).sum();
        shelf.bytes.store(bytes, Ordering::Relaxed);
        Self(Arc::new(shelf))
    }

    /// Facts that are never kept.
    pub fn none(tasks: Tasks) -> Self {
        let zero = || AtomicU64::new(0);
        let dir = PathBuf::new();
        Self(Arc::new(Shelf { dir, bytes_max: 0, bytes: zero(), partial: zero(), tasks }))
    }

    /// The facts about `digest`, if there are any. One that cannot be read is none.
    pub async fn get(&self, kind: FactKind, digest: &Digest) -> Option<Bytes> {
        let path = self.0.path(kind, digest);
        let read = self.0.tasks.spawn_blocking(move || read(&path)).await;
        read.ok().flatten()
    }

    /// Keeps `bytes` about `digest`, in the place of what was there. That it cannot is told in the log:
    /// whoever needs it makes it anew.
    pub async fn put(&self, kind: FactKind, digest: &Digest, bytes: Bytes) {
        let (kept, path) = (Arc::clone(&self.0), self.0.path(kind, digest));
        let (shown, written) = (path.clone(), move || kept.write(&path, &bytes));
        if let Ok(Err(error)) = self.0.tasks.spawn_blocking(written).await {
            warn!(path = %shown.display(), %error, "facts not kept; they are made again");
        }
    }

    /// Bytes of all that is kept.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

struct Listed {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

impl Shelf {
    fn path(&self, kind: FactKind, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let first = hex.get(..2).unwrap_or_default();
        self.dir.join(kind.folder()).join(first).join(hex)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > FILE_BYTES_MAX || size > self.bytes_max {
            return Err(io::Error::other("they are larger than what may be kept"));
        }
        if self.bytes.load(Ordering::Relaxed).saturating_add(size) > self.bytes_max {
            self.make_room(size);
        }
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder)?;
        let number = self.partial.fetch_add(1, Ordering::Relaxed);
        let partial = folder.join(format!(".partial-{}-{number}", std::process::id()));
        let before = fs::metadata(path).map_or(0, |metadata| metadata.len());
        let written = File::create(&partial)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&partial, path));
        if let Err(error) = written {
            drop(fs::remove_file(&partial));
            return Err(error);
        }
        self.bytes.fetch_add(size, Ordering::Relaxed);
        self.forget(before);
        Ok(())
    }

    fn forget(&self, bytes: u64) {
        let less = |all: u64| Some(all.saturating_sub(bytes));
        let _before = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Removes what was written first, until there is room for `more` and some.
    fn make_room(&self, more: u64) {
        let mut listed = self.listed();
        listed.sort_by_key(|file| file.written);
        let mut bytes: u64 = listed.iter().map(|file| file.bytes).sum();
        let most = (self.bytes_max / 100 * LOW_PERCENT).saturating_sub(more);
        for file in listed {
            if bytes <= most {
                break;
            }
            if fs::remove_file(&file.path).is_ok() {
                bytes = bytes.saturating_sub(file.bytes);
            }
        }
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Everything that is there, partial files included.
    fn listed(&self) -> Vec<Listed> {
        let folders = FactKind::ALL.iter().map(|kind| self.dir.join(kind.folder()));
        let shelves = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let files = shelves.filter_map(|shelf| fs::read_dir(shelf.ok()?.path()).ok()).flatten();
        let listed = files.filter_map(|file| {
            let file = file.ok()?;
            let metadata = file.metadata().ok()?;
            let written = metadata.modified().ok()?;
            Some(Listed { path: file.path(), bytes: metadata.len(), written })
        });
        listed.collect()
    }
}

fn read(path: &Path) -> Option<Bytes> {
    let file = File::open(path).ok()?;
    let size = file.metadata().ok().filter(fs::Metadata::is_file)?.len();
    if size > FILE_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).ok()?);
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(dir: &Path, bytes_max: u64) -> Facts {
        Facts::open(dir.join("facts"), bytes_max, Tasks::new())
    }

    #[tokio::test]
    async fn what_was_put_is_there_after_a_start_and_only_under_its_kind() {
        let dir = tempfile::tempdir().unwrap();
        let digest = Digest::sha256(b"layer");
        let kept = facts(dir.path(), 1 << 20);
        assert_eq!(kept.get(FactKind::Layer, &digest).await, None);
        kept.put(FactKind::Layer, &digest, Bytes::from_static(b"first")).await;
        kept.put(FactKind::Layer, &digest, Bytes::from_static(b"second!")).await;
        assert_eq!(kept.bytes(), 7);
        let again = facts(dir.path(), 1 << 20);
        assert_eq!(again.get(FactKind::Layer, &digest).await.unwrap(), "second!");
        assert_eq!(again.get(FactKind::Inventory, &digest).await, None);
        assert_eq!(again.bytes(), 7);
    }

    #[tokio::test]
    async fn what_was_written_first_gives_way() {
        let dir = tempfile::tempdir().unwrap();
        let kept = facts(dir.path(), 1000);
        let digests: Vec<Digest> = (0..8_u8).map(|i| Digest::sha256(&[i])).collect();
        for (age, digest) in (0_u64..).zip(&digests) {
            kept.put(FactKind::Layer, digest, Bytes::from(vec![0; 200])).await;
            let written = std::time::UNIX_EPOCH + std::time::Duration::from_secs(age);
            let path = kept.0.path(FactKind::Layer, digest);
            if let Ok(file) = File::open(path) {
                file.set_modified(written).unwrap();
            }
            assert!(kept.bytes() <= 1000, "{}", kept.bytes());
        }
        assert_eq!(kept.get(FactKind::Layer, &digests[0]).await, None);
        assert!(kept.get(FactKind::Layer, &digests[7]).await.is_some());
    }

    #[tokio::test]
    async fn what_is_too_large_or_cannot_be_written_is_just_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let digest = Digest::sha256(b"layer");
        let kept = facts(dir.path(), 100);
        kept.put(FactKind::Layer, &digest, Bytes::from(vec![0; 200])).await;
        assert_eq!(kept.get(FactKind::Layer, &digest).await, None);
        fs::write(dir.path().join("facts"), "a file").unwrap();
        kept.put(FactKind::Layer, &digest, Bytes::from_static(b"x")).await;
        assert_eq!(kept.get(FactKind::Layer, &digest).await, None);
    }
}
