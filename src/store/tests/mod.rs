//! What the store promises, tried from outside and against a hostile disk.

mod arrival;
mod damage;
mod restart;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::oci::{Algorithm, ByteRange};
use crate::time::ManualClock;

/// A running store, as one process would have it.
struct Running {
    store: Store,
    tasks: Tasks,
    metrics: Arc<Metrics>,
}

impl Running {
    async fn open(dir: &Path) -> Self {
        Self::open_verifying(dir, VerifyReads::Changed).await
    }

    async fn open_verifying(dir: &Path, verify_reads: VerifyReads) -> Self {
        let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::default()));
        let settings = Settings { dir: dir.to_owned(), verify_reads, ..Settings::default() };
        let clock = Arc::new(ManualClock::at(Timestamp::from_milliseconds(1_000)));
        let store =
            Store::open(settings, clock, tasks.clone(), Arc::clone(&metrics)).await.unwrap();
        Self { store, tasks, metrics }
    }

    /// Stops as a process does: everything has ended when this is done.
    async fn stop(self) -> Arc<Metrics> {
        drop(self.store);
        assert!(self.tasks.shut_down(Duration::from_mins(1)).await, "tasks go on");
        self.metrics
    }

    async fn restart(self, dir: &Path) -> Self {
        self.stop().await;
        Self::open(dir).await
    }

    /// Stores `content` as a pull would.
    async fn store(&self, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        let mut ingest = self.store.ingest(&digest, length_of(content)).unwrap();
        for chunk in content.chunks(50_000) {
            ingest.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        ingest.commit().await.unwrap();
        digest
    }

    async fn reader(&self, digest: &Digest, mode: ReadMode) -> BlobReader {
        let blob = self.store.open_blob(digest, None).await.unwrap().unwrap();
        blob.reader(ByteRange::whole(blob.size()), mode)
    }
}

/// Bytes that differ from place to place.
fn content(size: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..size).map(|_| next()).collect()
}

/// All that a reader gives, and how it ended.
async fn drain(reader: &mut BlobReader) -> (Vec<u8>, Result<(), Error>) {
    let mut all = Vec::new();
    loop {
        match reader.next().await {
            Ok(Some(chunk)) => {
                assert!(!chunk.is_empty() && chunk.len() <= CHUNK_BYTES_MAX, "size of a chunk");
                all.extend_from_slice(&chunk);
            }
            Ok(None) => return (all, Ok(())),
            Err(error) => return (all, Err(error)),
        }
    }
}

/// All that a reader gives, which must end cleanly.
async fn read(mut reader: BlobReader) -> Vec<u8> {
    let (all, outcome) = drain(&mut reader).await;
    outcome.unwrap();
    all
}

/// Where a blob lies, as the documentation says.
fn place(dir: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    dir.join("blobs").join(digest.algorithm().as_str()).join(&hex[..2]).join(&hex)
}

fn partial_files(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("ingest")).unwrap().count()
}

/// Flips one bit of a stored file, as a disk does, and as somebody who hides it.
fn flip_bit(path: &Path, offset: usize) {
    let modified = path.metadata().unwrap().modified().unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset] ^= 4;
    std::fs::write(path, bytes).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_is_read_back_in_both_modes_and_in_any_range() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(9_500_000);
    let digest = running.store(&content).await;
    let size = length_of(&content);
    let blob = running.store.open_blob(&digest, Some(size)).await.unwrap().unwrap();
    assert_eq!((blob.digest(), blob.size()), (digest, size));
    for mode in [ReadMode::Copy, ReadMode::Map] {
        for (start, end) in [(0, size), (0, 1), (size - 1, size), (4_095, 8_500_001), (7, 7)] {
            let range = &content[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
            let bytes = read(blob.reader(ByteRange { start, end }, mode)).await;
            assert!(bytes == range, "{mode:?} {start}..{end}");
        }
        let beyond = read(blob.reader(ByteRange { start: size - 3, end: size + 10 }, mode)).await;
        assert_eq!(beyond, content[content.len() - 3..], "a range is cut to the blob");
    }
    let mode = place(dir.path(), &digest).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o444);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_outlives_the_removal_of_its_blob() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(3_000_000);
    let digest = running.store(&content).await;
    for mode in [ReadMode::Copy, ReadMode::Map] {
        running.store(&content).await;
        let mut reader = running.reader(&digest, mode).await;
        let first = reader.next().await.unwrap().unwrap();
        assert!(running.store.remove(&digest).await.unwrap());
        assert!(!running.store.remove(&digest).await.unwrap(), "removed twice");
        assert!(running.store.open_blob(&digest, None).await.unwrap().is_none(), "removed");
        let (rest, outcome) = drain(&mut reader).await;
        outcome.unwrap();
        assert!([&first[..], &rest[..]].concat() == content, "{mode:?}");
    }
    running.stop().await;
}

/// Whether this process has the removed file of a blob open, which keeps its blocks on the disk.
fn holds_removed(digest: &Digest) -> bool {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mut links = links.filter_map(|entry| entry.path().read_link().ok());
    links.any(|to| to.to_string_lossy().ends_with(&format!("{} (deleted)", digest.hex())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_goes_while_it_is_opened_gives_its_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    // Of a length of its own: other tests remove theirs in this process meanwhile.
    let digest = running.store(&content(3_141_592)).await;
    let opened = running.store.room.find(&digest).unwrap().unwrap();
    assert!(running.store.remove(&digest).await.unwrap());
    assert!(holds_removed(&digest), "by whoever has just opened it");
    drop(running.store.room.keep_open(opened));
    // The thread that took the blob in may close its file a moment after it has said that it is done.
    let closed = async {
        while holds_removed(&digest) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.expect("it is kept open");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_of_no_bytes_and_of_sha512_are_blobs_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let empty = running.store(b"").await;
    assert_eq!(read(running.reader(&empty, ReadMode::Map).await).await, b"");
    assert_eq!(running.store.read(&empty, 0).await.unwrap().unwrap(), "");

    let long = Digest::of(Algorithm::Sha512, b"content");
    let mut ingest = running.store.ingest(&long, 7).unwrap();
    ingest.write(Bytes::from_static(b"content")).await.unwrap();
    ingest.commit().await.unwrap();
    assert!(place(dir.path(), &long).starts_with(dir.path().join("blobs/sha512")));
    let running = running.restart(dir.path()).await;
    assert_eq!(read(running.reader(&long, ReadMode::Copy).await).await, b"content");
    assert_eq!(read(running.reader(&empty, ReadMode::Copy).await).await, b"");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_content_is_put_once_and_only_under_its_own_digest() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let digest = Digest::sha256(b"manifest");
    let refused = running.store.put(&digest, Bytes::from_static(b"another")).await.unwrap_err();
    assert!(matches!(refused, Error::DigestMismatch { .. }), "{refused:?}");
    assert!(running.store.read(&digest, 100).await.unwrap().is_none(), "not stored");

    running.store.put(&digest, Bytes::from_static(b"manifest")).await.unwrap();
    let first = place(dir.path(), &digest).metadata().unwrap();
    running.store.put(&digest, Bytes::from_static(b"manifest")).await.unwrap();
    let second = place(dir.path(), &digest).metadata().unwrap();
    assert_eq!(first.modified().unwrap(), second.modified().unwrap(), "written once");
    assert_eq!(running.store.read(&digest, 8).await.unwrap().unwrap(), "manifest");
    let refused = running.store.read(&digest, 7).await.unwrap_err();
    assert!(matches!(refused, Error::TooLarge { size: 8, limit_bytes: 7, .. }), "{refused:?}");
    assert_eq!(partial_files(dir.path()), 0);
    running.stop().await;
}

#[test]
fn a_full_disk_can_be_told_from_other_failures() {
    let digest = Digest::sha256(b"");
    let failure = |kind: std::io::ErrorKind| Error::write(digest)(kind.into());
    assert!(failure(std::io::ErrorKind::StorageFull).is_disk_full());
    assert!(failure(std::io::ErrorKind::QuotaExceeded).is_disk_full());
    assert!(!failure(std::io::ErrorKind::PermissionDenied).is_disk_full());
    assert!(!Error::Aborted { digest }.is_disk_full());
}
