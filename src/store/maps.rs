//! The maps of whole files that are kept for the next reader.
//!
//! A kept map costs address space, its page tables (2 MiB for each GiB that was sent) and, as long
//! as the kernel does not need them elsewhere, the pages that are the page cache's anyway. There are
//! only so many of them, of only so many bytes, and one that nobody has read for a while goes, so
//! that a process at rest is small, and a removed blob gives its space back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::content::{Content, Identity};
use super::map::WholeMap;
use crate::oci::Digest;
use crate::tasks::Tasks;

/// Most maps at a time.
const MAPS_MAX: usize = 256;

/// Most bytes mapped at a time: 16 GiB, with 32 MiB of page tables.
const MAPPED_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;

/// Smaller blobs are not mapped: 1 MiB.
pub(super) const SIZE_MIN: u64 = 1024 * 1024;

/// How long a map is kept after its last reader began, once that one has ended.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Maps by the state of the file that they are of; clones share one set.
#[derive(Clone)]
pub(super) struct Maps {
    kept: Arc<Mutex<Kept>>,
    tasks: Tasks,
    bytes_max: u64,
}

#[derive(Default)]
struct Kept {
    maps: HashMap<Identity, Entry>,
    bytes: u64,
    is_swept: bool,
}

struct Entry {
    digest: Digest,
    map: WholeMap,
    asked: Instant,
}

impl Maps {
    /// None yet.
    pub(super) fn new(tasks: Tasks) -> Self {
        Self { kept: Arc::default(), tasks, bytes_max: MAPPED_BYTES_MAX }
    }

    /// The map of a stored blob, made if it must be; `None` if the blob is too small, still arriving,
    /// or there is no room among maps that are all in use. Must be called on a runtime; waits for no
    /// disk.
    pub(super) fn of(&self, content: &Content) -> Option<WholeMap> {
        let identity = content.identity().filter(|_| content.size >= SIZE_MIN)?;
        let now = Instant::now();
        let mut kept = self.kept();
        if let Some(entry) = kept.maps.get_mut(&identity) {
            entry.asked = now;
            return Some(entry.map.clone());
        }
        if !kept.make_room(content.size, self.bytes_max) {
            return None;
        }
        let map = WholeMap::of(content.file().ok()?, content.size, &self.tasks).ok()?;
        if !content.is_current() {
            // Removed: for this reader alone, or its space would come back late.
            return Some(map);
        }
        kept.bytes = kept.bytes.saturating_add(content.size);
        let entry = Entry { digest: content.digest, map: map.clone(), asked: now };
        kept.maps.insert(identity, entry);
        if !std::mem::replace(&mut kept.is_swept, true) {
            let maps = self.clone();
            self.tasks.spawn(async move { maps.sweep().await });
        }
        Some(map)
    }

    /// Gives up the map of a blob that was removed; who reads it reads on.
    pub(super) fn forget(&self, digest: &Digest) {
        self.kept().remove_where(|entry| entry.digest == *digest);
    }

    /// Gives up what nobody asks for any more, until nothing is left or the program stops.
    async fn sweep(self) {
        let mut stopping = std::pin::pin!(self.tasks.stopping());
        loop {
            let is_stopping = tokio::select! {
                () = &mut stopping => true,
                () = tokio::time::sleep(IDLE_MAX) => false,
            };
            let mut kept = self.kept();
            let now = Instant::now();
            kept.remove_where(|entry| {
                entry.map.is_unused() && now.duration_since(entry.asked) >= IDLE_MAX
            });
            if is_stopping {
                kept.remove_where(|_| true);
            }
            if kept.maps.is_empty() {
                kept.is_swept = false;
                return;
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Makes room for a map of `size` bytes at the cost of those not asked for lately; gives whether
    /// there is room now.
    fn make_room(&mut self, size: u64, bytes_max: u64) -> bool {
        while self.maps.len() >= MAPS_MAX || self.bytes.saturating_add(size) > bytes_max {
            let unused = self.maps.iter().filter(|(_, entry)| entry.map.is_unused());
            let oldest = unused.min_by_key(|(_, entry)| entry.asked).map(|(identity, _)| *identity);
            let Some(entry) = oldest.and_then(|identity| self.maps.remove(&identity)) else {
                return false;
            };
            self.bytes = self.bytes.saturating_sub(entry.map.size());
        }
        true
    }

    fn remove_where(&mut self, is_over: impl Fn(&Entry) -> bool) {
        let bytes = &mut self.bytes;
        self.maps.retain(|_, entry| {
            let is_over = is_over(entry);
            if is_over {
                *bytes = bytes.saturating_sub(entry.map.size());
            }
            !is_over
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::Found;
    use super::*;

    fn stored(dir: &tempfile::TempDir, name: &str, size: u64) -> Content {
        let path = dir.path().join(name);
        let content = vec![7; usize::try_from(size).unwrap()];
        std::fs::write(&path, &content).unwrap();
        let found = Content::open(Digest::sha256(name.as_bytes()), &path).unwrap();
        let Found::Content(content) = found else { panic!("a regular file") };
        content
    }

    fn count(maps: &Maps) -> (usize, u64) {
        let kept = maps.kept();
        (kept.maps.len(), kept.bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn maps_stay_within_their_bytes_and_one_in_use_is_never_given_up_for_another() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second, third] =
            ["first", "second", "third"].map(|name| stored(&dir, name, SIZE_MIN));
        let maps = Maps { bytes_max: 2 * SIZE_MIN, ..Maps::new(Tasks::new()) };
        let read = maps.of(&first).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(maps.of(&second).unwrap());
        let other = maps.of(&third).expect("in the place of the second");
        assert_eq!(count(&maps), (2, 2 * SIZE_MIN));
        assert!(maps.of(&second).is_none(), "both others are being read");
        drop(other);
        assert!(maps.of(&second).is_some());
        assert_eq!(read.size(), SIZE_MIN);
        assert_eq!(count(&maps), (2, 2 * SIZE_MIN));
    }

    #[tokio::test(start_paused = true)]
    async fn a_map_that_nobody_reads_is_given_up_and_one_that_is_read_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (stored(&dir, "first", SIZE_MIN), stored(&dir, "second", SIZE_MIN));
        let tasks = Tasks::new();
        let maps = Maps::new(tasks.clone());
        let read = maps.of(&first).unwrap();
        drop(maps.of(&second).unwrap());
        tokio::time::sleep(2 * IDLE_MAX).await;
        assert_eq!(count(&maps), (1, SIZE_MIN));
        drop(read);
        tokio::time::sleep(2 * IDLE_MAX).await;
        assert_eq!(count(&maps), (0, 0));
        assert!(maps.of(&first).is_some(), "and can be had again");
        assert!(tasks.shut_down(Duration::from_secs(1)).await, "nothing sweeps on");
    }

    #[tokio::test]
    async fn a_removed_blob_leaves_no_map_behind_and_a_small_one_gets_none() {
        let dir = tempfile::tempdir().unwrap();
        let content = stored(&dir, "large", SIZE_MIN);
        let maps = Maps::new(Tasks::new());
        let read = maps.of(&content).unwrap();
        std::fs::remove_file(dir.path().join("large")).unwrap();
        maps.forget(&content.digest);
        assert_eq!(count(&maps), (0, 0));
        assert!(maps.of(&content).is_some(), "for who has it open");
        assert_eq!(count(&maps), (0, 0), "and for nobody else");
        assert_eq!(read.size(), SIZE_MIN, "who reads it reads on");
        assert!(maps.of(&stored(&dir, "small", SIZE_MIN - 1)).is_none());
    }
}
