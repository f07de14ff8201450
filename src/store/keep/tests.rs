//! What the keeper promises, tried against crowds, thieves of room and bad disks.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::*;
use crate::oci::ByteRange;
use crate::store::{BlobReader, ReadMode, Settings, Store};
use crate::tasks::Tasks;
use crate::time::{Clock as _, ManualClock};

/// Later than any file time, so that what the clock of a test says counts.
const START: &str = "2100-01-01T00:00:00Z";
const BLOB: usize = 100_000;
const BLOB_BYTES: u64 = 100_000;

struct Bench {
    store: Store,
    clock: ManualClock,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    dir: tempfile::TempDir,
}

impl Bench {
    async fn open(keeping: Keeping) -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), keeping).await
    }

    async fn open_in(dir: tempfile::TempDir, keeping: Keeping) -> Self {
        let clock = ManualClock::at(START.parse().unwrap());
        let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::default()));
        let settings = Settings { dir: dir.path().to_owned(), keeping, ..Settings::default() };
        let store =
            Store::open(settings, Arc::new(clock.clone()), tasks.clone(), Arc::clone(&metrics));
        let store = store.await.unwrap();
        while !store.status().await.is_counted {
            tokio::task::yield_now().await;
        }
        Self { store, clock, tasks, metrics, dir }
    }

    /// A store of `quota` bytes in which nothing is pinned.
    async fn of(quota: u64) -> Self {
        let bench = Self::open(quota_of(quota)).await;
        bench.store.set_pinned(HashSet::new());
        bench
    }

    async fn stop(self) -> tempfile::TempDir {
        drop(self.store);
        assert!(self.tasks.shut_down(Duration::from_mins(1)).await, "tasks go on");
        self.dir
    }

    async fn fill(&self, content: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::sha256(content);
        let mut ingest = self.store.ingest(&digest, length(content)).unwrap();
        ingest.ready().await?;
        for chunk in content.chunks(30_000) {
            ingest.write(Bytes::copy_from_slice(chunk)).await?;
        }
        ingest.commit().await?;
        Ok(digest)
    }

    /// Stores the blob `number` and lets a minute pass.
    async fn blob(&self, number: u32) -> Digest {
        let digest = self.fill(&content(number)).await.unwrap();
        self.clock.advance(Duration::from_mins(1));
        digest
    }

    async fn ask(&self, digest: &Digest) -> bool {
        let found = self.store.open_blob(digest, None).await.unwrap().is_some();
        self.clock.advance(Duration::from_mins(1));
        found
    }

    /// Whether it is there, without asking for it.
    fn has(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        path(self.dir.path(), digest)
    }

    async fn used(&self) -> u64 {
        self.store.status().await.bytes
    }

    async fn scrub(&self) -> ScrubReport {
        let mut scrubbing = self.store.scrub(Some(1 << 40));
        *scrubbing.wait_for(|report| report.is_done).await.unwrap()
    }
}

fn quota_of(bytes: u64) -> Keeping {
    Keeping { quota_bytes: Some(bytes), min_free_bytes: 0, ..Keeping::default() }
}

fn path(dir: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    dir.join("blobs").join(digest.algorithm().as_str()).join(&hex[..2]).join(&hex)
}

fn content(number: u32) -> Vec<u8> {
    number.to_be_bytes().iter().copied().cycle().take(BLOB).collect()
}

fn length(content: &[u8]) -> u64 {
    u64::try_from(content.len()).unwrap()
}

async fn read(mut reader: BlobReader) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(chunk) = reader.next().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

fn flip_bit(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[77] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_asked_for_longest_gives_way_for_what_is_wanted() {
    let bench = Bench::of(10 * BLOB_BYTES).await;
    let mut digests = Vec::new();
    for number in 0..9 {
        digests.push(bench.blob(number).await);
    }
    assert!(bench.ask(&digests[0]).await, "the oldest, and in demand again");
    bench.blob(100).await;
    bench.blob(101).await;
    assert!(bench.has(&digests[0]), "in demand");
    assert!(!bench.has(&digests[1]), "the least recently asked for");
    assert!(bench.has(&digests[8]), "the youngest");
    assert!(bench.used().await <= 10 * BLOB_BYTES);
    let status = bench.store.status().await;
    assert!(status.evicted.blobs >= 1 && status.evicted.bytes == status.evicted.blobs * BLOB_BYTES);
    assert_eq!(status.reserved_bytes, 0);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_content_outlives_layers() {
    let bench = Bench::of(10 * BLOB_BYTES).await;
    let manifest = Digest::sha256(b"manifest");
    bench.store.put(&manifest, Bytes::from_static(b"manifest")).await.unwrap();
    bench.clock.advance(Duration::from_mins(1));
    for number in 0..30 {
        bench.blob(number).await;
    }
    assert!(bench.has(&manifest), "a manifest gave way to layers");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pinned_stays_and_what_does_not_fit_beside_it_is_refused() {
    // Nothing gives way in the background, whenever that gets its turn.
    let bench = Bench::open(Keeping { high_percent: 100, ..quota_of(3 * BLOB_BYTES) }).await;
    let pinned = [bench.blob(0).await, bench.blob(1).await];
    bench.store.set_pinned(pinned.into_iter().collect());
    for number in 10..15 {
        bench.blob(number).await;
        assert!(pinned.iter().all(|digest| bench.has(digest)), "a pin was broken");
    }
    let large = vec![7; BLOB * 2];
    let refused = bench.fill(&large).await.unwrap_err();
    assert!(matches!(refused, Error::NoRoom { bytes: 200_000, .. }), "{refused:?}");
    assert!(refused.is_disk_trouble());
    let last = Digest::sha256(&content(14));
    assert!(bench.has(&last), "evicted in vain");
    assert!(bench.ask(&pinned[0]).await, "what is cached is served");
    bench.store.set_pinned(HashSet::new());
    bench.fill(&large).await.unwrap();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_evicted_before_the_pins_are_known() {
    let bench = Bench::open(quota_of(2 * BLOB_BYTES)).await;
    let (first, second) = (bench.blob(0).await, bench.blob(1).await);
    let refused = bench.fill(&content(2)).await.unwrap_err();
    assert!(matches!(refused, Error::NoRoom { .. }), "{refused:?}");
    assert!(bench.has(&first) && bench.has(&second));
    bench.store.set_pinned(HashSet::from([first]));
    bench.fill(&content(2)).await.unwrap();
    assert!(bench.has(&first) && !bench.has(&second));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_head_promised_is_there_for_the_get() {
    let bench = Bench::of(3 * BLOB_BYTES).await;
    let promised = bench.blob(0).await;
    bench.store.promise(&promised);
    for number in 1..9 {
        bench.fill(&content(number)).await.unwrap();
        bench.clock.advance(Duration::from_secs(30));
        assert!(bench.has(&promised), "evicted between HEAD and GET");
    }
    bench.clock.advance(Duration::from_mins(10));
    bench.blob(20).await;
    bench.blob(21).await;
    bench.blob(22).await;
    assert!(!bench.has(&promised), "promised for ever");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_fills_never_overrun_the_quota() {
    let bench = Arc::new(Bench::of(5 * BLOB_BYTES).await);
    let over = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let (watch, look) = (Arc::clone(&over), Arc::clone(&bench));
    let stop = Arc::clone(&done);
    let watcher = bench.tasks.spawn_blocking(move || {
        while !stop.load(Ordering::Relaxed) {
            let room = &look.store.room;
            watch.fetch_max(room.used_and_reserved(), Ordering::Relaxed);
        }
    });
    let mut fills = JoinSet::new();
    for number in 0..60 {
        let bench = Arc::clone(&bench);
        fills.spawn(async move { bench.fill(&content(number)).await });
    }
    let (mut stored, mut refused) = (0, 0);
    while let Some(filled) = fills.join_next().await {
        match filled.unwrap() {
            Ok(_) => stored += 1,
            Err(Error::NoRoom { .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    done.store(true, Ordering::Relaxed);
    watcher.await.unwrap();
    assert!(stored >= 5 && stored + refused == 60, "{stored} stored, {refused} refused");
    assert!(over.load(Ordering::Relaxed) <= 5 * BLOB_BYTES, "quota overrun");
    assert_eq!(on_disk(&bench.dir.path().join("blobs")), bench.used().await, "counted wrong");
    assert_eq!(bench.store.status().await.reserved_bytes, 0);
    assert_eq!(bench.metrics.store_reserved_bytes.value(), 0);
    Arc::into_inner(bench).unwrap().stop().await;
}

/// Bytes of all files below `dir`.
fn on_disk(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => on_disk(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_fetch_gives_its_room_back() {
    let bench = Bench::of(2 * BLOB_BYTES).await;
    let large = vec![1; 2 * BLOB];
    for _ in 0..5 {
        let mut ingest = bench.store.ingest(&Digest::sha256(&large), length(&large)).unwrap();
        ingest.ready().await.unwrap();
        ingest.write(Bytes::from(vec![1; BLOB])).await.unwrap();
        assert_eq!(bench.store.status().await.reserved_bytes, 2 * BLOB_BYTES);
        let mut other = bench.store.ingest(&Digest::sha256(b"other"), 5).unwrap();
        assert!(matches!(other.ready().await, Err(Error::NoRoom { .. })), "reserved twice");
        drop(ingest);
        while bench.store.status().await.reserved_bytes > 0 {
            tokio::task::yield_now().await;
        }
        bench.clock.advance(FRUITLESS_REST);
    }
    bench.fill(&large).await.unwrap();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_never_notice_that_blobs_are_evicted_around_them() {
    let bench = Arc::new(Bench::of(8 * BLOB_BYTES).await);
    for number in 0..4 {
        bench.blob(number).await;
    }
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut readers = JoinSet::new();
    for number in 0..50_u32 {
        let (bench, stop, reads) = (Arc::clone(&bench), Arc::clone(&stop), Arc::clone(&reads));
        readers.spawn(async move {
            let wanted = content(number % 4);
            let digest = Digest::sha256(&wanted);
            let mode = if number % 2 == 0 { ReadMode::Map } else { ReadMode::Copy };
            while !stop.load(Ordering::Relaxed) {
                tokio::task::yield_now().await;
                // Gone is fine, it is fetched again; wrong, or failing half-way, is not.
                let Some(blob) = bench.store.open_blob(&digest, Some(BLOB_BYTES)).await.unwrap()
                else {
                    bench.fill(&wanted).await.map(drop).unwrap_or_default();
                    continue;
                };
                let bytes = read(blob.reader(ByteRange::whole(BLOB_BYTES), mode)).await.unwrap();
                assert!(bytes == wanted, "wrong bytes");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut fills = JoinSet::new();
    for filler in 0..10_u32 {
        let bench = Arc::clone(&bench);
        fills.spawn(async move {
            for number in 0..40 {
                let number = 1_000 + filler * 100 + number;
                // All room may be reserved by the others; it comes back.
                while let Err(error) = bench.fill(&content(number)).await {
                    assert!(matches!(error, Error::NoRoom { .. }), "{error:?}");
                    bench.clock.advance(FRUITLESS_REST);
                    tokio::task::yield_now().await;
                }
                bench.clock.advance(Duration::from_secs(20));
            }
        });
    }
    while let Some(filled) = fills.join_next().await {
        filled.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(reader) = readers.join_next().await {
        reader.unwrap();
    }
    assert!(reads.load(Ordering::Relaxed) >= 50, "nothing was read");
    assert!(bench.metrics.store_evicted_blobs.value() >= 400 - 8, "who made room then?");
    assert_eq!(bench.metrics.store_corrupt.value(), 0);
    Arc::into_inner(bench).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_an_evicted_blob_reads_to_its_end() {
    for mode in [ReadMode::Copy, ReadMode::Map] {
        let bench = Bench::of(30 * BLOB_BYTES).await;
        let large: Vec<u8> = (0..20_u32).flat_map(content).collect();
        let digest = bench.fill(&large).await.unwrap();
        bench.clock.advance(Duration::from_mins(1));
        let blob = bench.store.open_blob(&digest, None).await.unwrap().unwrap();
        let mut reader = blob.reader(ByteRange::whole(length(&large)), mode);
        let mut all = reader.next().await.unwrap().unwrap().to_vec();
        bench.clock.advance(Duration::from_mins(1));
        for number in 100..125 {
            bench.blob(number).await;
        }
        assert!(!bench.has(&digest), "not evicted");
        all.extend(read(reader).await.unwrap());
        assert!(all == large, "{mode:?}");
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_index_leaves_eviction_to_the_times_of_the_files() {
    let bench = Bench::of(10 * BLOB_BYTES).await;
    let mut digests = Vec::new();
    for number in 0..9 {
        digests.push(bench.blob(number).await);
    }
    for (number, digest) in (0_u64..).zip(&digests) {
        let file = std::fs::File::open(bench.path(digest)).unwrap();
        let at = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000 - number * 1_000);
        file.set_times(std::fs::FileTimes::new().set_modified(at).set_accessed(at)).unwrap();
    }
    let dir = bench.stop().await;
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let bench = Bench::open_in(dir, quota_of(10 * BLOB_BYTES)).await;
    bench.store.set_pinned(HashSet::new());
    let status = bench.store.status().await;
    assert_eq!((status.blobs, status.bytes), (9, 9 * BLOB_BYTES), "counted from the files");
    bench.blob(100).await;
    bench.blob(101).await;
    assert!(!bench.has(&digests[8]), "the oldest file");
    assert!(bench.has(&digests[0]), "the youngest file");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn use_is_remembered_over_a_restart() {
    let bench = Bench::of(10 * BLOB_BYTES).await;
    let mut digests = Vec::new();
    for number in 0..9 {
        digests.push(bench.blob(number).await);
    }
    bench.clock.advance(Duration::from_hours(2));
    bench.ask(&digests[0]).await;
    let bench = Bench::open_in(bench.stop().await, quota_of(10 * BLOB_BYTES)).await;
    bench.clock.advance(Duration::from_hours(3));
    bench.store.set_pinned(HashSet::new());
    bench.blob(100).await;
    bench.blob(101).await;
    assert!(bench.has(&digests[0]) && !bench.has(&digests[1]));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_over_its_quota_at_start_comes_down() {
    let bench = Bench::of(100 * BLOB_BYTES).await;
    for number in 0..20 {
        bench.blob(number).await;
    }
    let bench = Bench::open_in(bench.stop().await, quota_of(10 * BLOB_BYTES)).await;
    assert_eq!(bench.used().await, 20 * BLOB_BYTES, "nothing goes before the pins are known");
    bench.store.set_pinned(HashSet::new());
    while bench.used().await > 17 * BLOB_BYTES / 2 {
        tokio::task::yield_now().await;
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asks_for_within_the_retention_is_let_go() {
    let keeping = Keeping {
        retention: Some(Duration::from_hours(24 * 90)),
        min_free_bytes: 0,
        ..Keeping::default()
    };
    let bench = Bench::open(keeping).await;
    let (pinned, kept, idle) = (bench.blob(0).await, bench.blob(1).await, bench.blob(2).await);
    bench.store.set_pinned(HashSet::from([pinned]));
    bench.clock.advance(Duration::from_hours(24 * 60));
    bench.ask(&kept).await;
    assert_eq!(bench.store.tidy().await.unwrap().retired, Evicted::default());
    bench.clock.advance(Duration::from_hours(24 * 40));
    let tidied = bench.store.tidy().await.unwrap();
    assert_eq!(tidied.retired, Evicted { blobs: 1, bytes: BLOB_BYTES });
    assert!(bench.has(&pinned) && bench.has(&kept) && !bench.has(&idle));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_partial_files_are_swept_and_those_being_written_are_not() {
    let bench = Bench::of(100 * BLOB_BYTES).await;
    let content = content(1);
    let digest = Digest::sha256(&content);
    let mut ingest = bench.store.ingest(&digest, BLOB_BYTES).unwrap();
    ingest.ready().await.unwrap();
    ingest.write(Bytes::from(content[..50_000].to_vec())).await.unwrap();
    let folder = bench.dir.path().join("ingest");
    std::fs::write(folder.join(digest.hex()), &content).unwrap();
    std::fs::create_dir(folder.join("9-dir")).unwrap();
    assert_eq!(bench.store.tidy().await.unwrap().stale, 2);
    assert!(bench.store.open_blob(&digest, None).await.unwrap().is_none(), "a partial was served");
    ingest.write(Bytes::from(content[50_000..].to_vec())).await.unwrap();
    ingest.commit().await.unwrap();
    assert!(bench.has(&digest));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrub_finds_every_damage_and_tells_who_heals() {
    let bench = Bench::of(100 * BLOB_BYTES).await;
    let mut damaged = bench.store.take_damaged().unwrap();
    assert!(bench.store.take_damaged().is_none(), "given twice");
    let mut digests = Vec::new();
    for number in 0..8 {
        digests.push(bench.blob(number).await);
    }
    flip_bit(&bench.path(&digests[0]));
    let write = |digest: &Digest, bytes: &[u8]| {
        std::fs::remove_file(bench.path(digest)).unwrap();
        std::fs::write(bench.path(digest), bytes).unwrap();
    };
    write(&digests[1], &content(1)[..BLOB - 1]);
    write(&digests[2], b"");
    let (three, four) = (bench.path(&digests[3]), bench.path(&digests[4]));
    let swap = bench.dir.path().join("swap");
    std::fs::rename(&three, &swap).unwrap();
    std::fs::rename(&four, &three).unwrap();
    std::fs::rename(&swap, &four).unwrap();
    let report = bench.scrub().await;
    assert_eq!((report.damaged, report.failed, report.blobs), (5, 0, 8));
    assert_eq!(report.directories, ScrubReport::DIRECTORIES);
    let mut told = HashSet::new();
    while let Ok(digest) = damaged.try_recv() {
        told.insert(digest);
    }
    assert_eq!(told, digests[..5].iter().copied().collect());
    assert!(digests[..5].iter().all(|digest| !bench.has(digest)), "damaged and still there");
    assert!(digests[5..].iter().all(|digest| bench.has(digest)), "right and gone");
    assert_eq!(bench.used().await, 3 * BLOB_BYTES);
    assert_eq!(bench.metrics.store_corrupt.value(), 5);
    while bench.store.status().await.scrub_ended != Some(bench.clock.now()) {
        tokio::task::yield_now().await; // the note is on its way
    }
    assert_eq!(bench.scrub().await.damaged, 0, "clean the second time");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrub_sets_aside_what_is_no_blob_and_counts_it() {
    let bench = Bench::of(100 * BLOB_BYTES).await;
    let digest = bench.blob(0).await;
    let folder = bench.path(&digest).parent().unwrap().to_owned();
    let outside = bench.dir.path().join("outside");
    std::fs::write(&outside, b"content").unwrap();
    let name = |number: u8| {
        let mut name = digest.hex();
        name.truncate(2);
        name + &hex::encode([number; 31])
    };
    std::os::unix::fs::symlink(&outside, folder.join(name(1))).unwrap();
    std::fs::create_dir(folder.join(name(2))).unwrap();
    let mode = rustix::fs::Mode::RWXU;
    let fifo = folder.join(name(3));
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    std::fs::write(folder.join("README"), b"not a blob").unwrap();
    std::fs::write(folder.join(Digest::sha256(b"x").hex()), b"misplaced, perhaps").unwrap();
    let report = bench.scrub().await;
    assert_eq!((report.foreign, report.damaged, report.blobs), (5, 0, 1));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "only the blob is left");
    assert_eq!(std::fs::read_dir(bench.dir.path().join("aside")).unwrap().count(), 5);
    assert_eq!(std::fs::read(outside).unwrap(), b"content", "what a link leads to is untouched");
    assert_eq!(bench.metrics.store_foreign.value(), 5);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_scrub_keeps_to_its_rate() {
    let bench = Bench::of(100 * BLOB_BYTES).await;
    for number in 0..10 {
        bench.blob(number).await;
    }
    let began = tokio::time::Instant::now();
    let mut scrubbing = bench.store.scrub(Some(100_000));
    scrubbing.wait_for(|report| report.is_done).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_that_was_interrupted_goes_on_where_it_was() {
    let bench = Bench::of(100 * BLOB_BYTES).await;
    for number in 0..20 {
        bench.blob(number).await;
    }
    let whole = bench.scrub().await;
    assert_eq!(whole.blobs, 20);
    let mut scrubbing = bench.store.scrub(Some(400_000));
    scrubbing.wait_for(|report| report.blobs >= 2).await.unwrap();
    let dir = bench.stop().await;
    let before = *scrubbing.borrow();
    let bench = Bench::open_in(dir, quota_of(100 * BLOB_BYTES)).await;
    let after = bench.scrub().await;
    assert!(after.blobs < 20 && after.blobs + before.blobs >= 20, "{before:?} {after:?}");
    assert_eq!(after.directories, ScrubReport::DIRECTORIES);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_forgets_what_is_not_stored() {
    let bench = Bench::of(100 * BLOB_BYTES).await;
    let (gone, kept) = (bench.blob(0).await, bench.blob(1).await);
    while bench.store.last_used(&kept).await.is_none() {
        tokio::task::yield_now().await;
    }
    std::fs::remove_file(bench.path(&gone)).unwrap();
    bench.scrub().await;
    while bench.store.last_used(&gone).await.is_some() {
        tokio::task::yield_now().await;
    }
    assert!(bench.store.last_used(&kept).await.is_some());
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_scrubs_at_once_are_one() {
    let bench = Bench::of(100 * BLOB_BYTES).await;
    for number in 0..5 {
        bench.blob(number).await;
    }
    let (one, two) = (bench.store.scrub(Some(1 << 20)), bench.store.scrub(Some(1 << 40)));
    assert!(one.same_channel(&two));
    assert_eq!(bench.scrub().await.blobs, 5);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_was_full_is_tried_before_it_is_believed_again() {
    let bench = Bench::of(100 * BLOB_BYTES).await;
    let full = Error::write(Digest::sha256(b""))(std::io::ErrorKind::StorageFull.into());
    bench.store.room.count(full);
    assert!(bench.store.room.keep.suspect.load(Ordering::Relaxed));
    bench.fill(&content(1)).await.unwrap();
    assert!(!bench.store.room.keep.suspect.load(Ordering::Relaxed), "it gave room, so it has room");
    assert_eq!(std::fs::read_dir(bench.dir.path().join("ingest")).unwrap().count(), 0);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_is_no_reason_to_evict_everything() {
    let keeping = Keeping { quota_bytes: None, min_free_bytes: 0, ..Keeping::default() };
    let bench = Bench::open(keeping).await;
    bench.store.set_pinned(HashSet::new());
    let kept = bench.blob(0).await;
    // More than any disk has, and than everything that is stored.
    let mut ingest = bench.store.ingest(&Digest::sha256(b"huge"), 1 << 60).unwrap();
    assert!(matches!(ingest.ready().await, Err(Error::NoRoom { .. })));
    assert!(bench.has(&kept), "evicted in vain");
    assert_eq!(bench.store.status().await.reserved_bytes, 0);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_blob_costs_the_index_one_note_an_hour() {
    let bench = Bench::of(100 * BLOB_BYTES).await;
    let digest = bench.blob(0).await;
    let noted = bench.store.last_used(&digest).await;
    for _ in 0..50 {
        bench.store.open_blob(&digest, None).await.unwrap();
    }
    assert_eq!(bench.store.last_used(&digest).await, noted);
    bench.clock.advance(Duration::from_hours(1));
    bench.store.open_blob(&digest, None).await.unwrap();
    while bench.store.last_used(&digest).await == noted {
        tokio::task::yield_now().await;
    }
    bench.stop().await;
}
