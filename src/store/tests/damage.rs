//! What a disk, or somebody with access to it, does to stored blobs.

use std::os::unix::fs::symlink;

use super::*;

const MODES: [ReadMode; 2] = [ReadMode::Copy, ReadMode::Map];

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_never_ends_cleanly_and_the_blob_is_removed() {
    let content = content(2_000_000);
    for mode in MODES {
        for (offset, range) in [
            (0, ByteRange::whole(2_000_000)),
            (1_999_999, ByteRange::whole(2_000_000)),
            (1_000_000, ByteRange { start: 10, end: 500_000 }),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let running = Running::open(dir.path()).await;
            let digest = running.store(&content).await;
            assert!(read(running.reader(&digest, mode).await).await == content, "before");
            flip_bit(&place(dir.path(), &digest), offset);

            let blob = running.store.open_blob(&digest, Some(2_000_000)).await.unwrap().unwrap();
            let mut reader = blob.reader(range, mode);
            let (bytes, outcome) = drain(&mut reader).await;
            assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{mode:?} {outcome:?}");
            assert!(length_of(&bytes) <= range.length() - HOLD_BACK_BYTES, "the last block came");
            assert!(!place(dir.path(), &digest).exists(), "it stays");
            assert!(running.store.open_blob(&digest, None).await.unwrap().is_none(), "given again");
            assert!(running.store(&content).await == digest, "it can be fetched again");
            assert!(read(running.reader(&digest, mode).await).await == content, "after");
            let metrics = running.stop().await;
            assert_eq!(metrics.store_corrupt.value(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_flipped_while_the_store_was_down_is_found_by_the_first_reader() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(100_000);
    let digest = running.store(&content).await;
    running.stop().await;
    flip_bit(&place(dir.path(), &digest), 50_000);
    let running = Running::open(dir.path()).await;
    let (_, outcome) = drain(&mut running.reader(&digest, ReadMode::Map).await).await;
    assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_content_is_hashed_at_every_read() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open_verifying(dir.path(), VerifyReads::Never).await;
    let digest = Digest::sha256(b"manifest");
    running.store.put(&digest, Bytes::from_static(b"manifest")).await.unwrap();
    assert!(running.store.read(&digest, 100).await.unwrap().is_some(), "before");
    flip_bit(&place(dir.path(), &digest), 3);
    assert!(running.store.read(&digest, 100).await.unwrap().is_none(), "corrupt");
    assert!(!place(dir.path(), &digest).exists(), "it stays");
    running.store.put(&digest, Bytes::from_static(b"manifest")).await.unwrap();
    flip_bit(&place(dir.path(), &digest), 3);
    running.store.put(&digest, Bytes::from_static(b"manifest")).await.unwrap();
    assert_eq!(running.store.read(&digest, 100).await.unwrap().unwrap(), "manifest", "put heals");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_claim_about_the_size_does_not_cost_the_right_blob() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(100_000);
    let digest = running.store(&content).await;
    assert!(running.store.open_blob(&digest, Some(100_001)).await.unwrap().is_none());
    assert!(running.store.open_blob(&digest, Some(100_000)).await.unwrap().is_some());
    running.stop().await;
    for mode in [VerifyReads::Changed, VerifyReads::Always, VerifyReads::Never] {
        let running = Running::open_verifying(dir.path(), mode).await;
        assert!(running.store.open_blob(&digest, Some(100_001)).await.unwrap().is_none());
        assert!(
            running.store.open_blob(&digest, Some(100_000)).await.unwrap().is_some(),
            "{mode:?}: not hashed since the start"
        );
        let metrics = running.stop().await;
        assert_eq!(metrics.store_corrupt.value(), 0, "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_or_emptied_blob_is_never_served() {
    for length in [0, 1, 1_999_999] {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::open(dir.path()).await;
        let content = content(2_000_000);
        let digest = running.store(&content).await;
        let path = place(dir.path(), &digest);
        let truncate = || {
            std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        };
        truncate();
        let given = running.store.open_blob(&digest, Some(2_000_000)).await.unwrap();
        assert!(given.is_none() && !path.exists(), "known size, {length} bytes left");
        for mode in MODES {
            running.store(&content).await;
            truncate();
            let (bytes, outcome) = drain(&mut running.reader(&digest, mode).await).await;
            assert!(matches!(outcome, Err(Error::Corrupt { .. })), "unknown size: {outcome:?}");
            assert!(length_of(&bytes) <= length.saturating_sub(HOLD_BACK_BYTES), "unknown size");
            assert!(!path.exists(), "it stays");

            running.store(&content).await;
            let mut reader = running.reader(&digest, mode).await;
            truncate();
            let (_, outcome) = drain(&mut reader).await;
            assert!(matches!(outcome, Err(Error::Corrupt { .. })), "while open: {outcome:?}");
        }
        running.store(&content).await;
        truncate();
        assert!(running.store.read(&digest, 9_000_000).await.unwrap().is_none(), "read");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_regular_file_is_never_served_and_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let digest = running.store(b"content").await;
    let path = place(dir.path(), &digest);
    let outside = dir.path().join("outside");
    std::fs::write(&outside, b"content").unwrap();
    let plant: [&dyn Fn(); 5] = [
        &|| symlink(&outside, &path).unwrap(),
        &|| symlink(dir.path().join("nowhere"), &path).unwrap(),
        &|| {
            let mode = rustix::fs::Mode::RWXU;
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        },
        &|| drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
        &|| {
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("inside"), b"content").unwrap();
        },
    ];
    for (number, plant) in plant.iter().enumerate() {
        running.store.remove(&digest).await.unwrap();
        plant();
        let given = running.store.open_blob(&digest, Some(7)).await.unwrap();
        assert!(given.is_none() && path.symlink_metadata().is_err(), "opened: {number}");
        plant();
        assert!(running.store.read(&digest, 100).await.unwrap().is_none(), "read: {number}");
        plant();
        running.store(b"content").await;
        assert_eq!(std::fs::read(&path).unwrap(), b"content", "replaced: {number}");
        running.store.remove(&digest).await.unwrap();
        plant();
        running.store.put(&digest, Bytes::from_static(b"content")).await.unwrap();
        assert!(path.symlink_metadata().unwrap().is_file(), "put: {number}");
    }
    assert_eq!(std::fs::read(outside).unwrap(), b"content", "what a link leads to is untouched");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_swapped_for_another_is_hashed_again() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let (right, other) = (content(200_000), vec![1; 200_000]);
    let digest = running.store(&right).await;
    assert!(read(running.reader(&digest, ReadMode::Map).await).await == right, "before");
    let swapped = dir.path().join("swapped");
    std::fs::write(&swapped, other).unwrap();
    std::fs::rename(swapped, place(dir.path(), &digest)).unwrap();
    let (_, outcome) = drain(&mut running.reader(&digest, ReadMode::Map).await).await;
    assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn discarding_a_damaged_file_spares_the_right_one_that_took_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(200_000);
    let digest = running.store(&content).await;
    flip_bit(&place(dir.path(), &digest), 9);
    let damaged = running.store.open_blob(&digest, None).await.unwrap().unwrap();
    running.store(&content).await;
    let mut reader = damaged.reader(ByteRange::whole(200_000), ReadMode::Copy);
    let (_, outcome) = drain(&mut reader).await;
    assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    assert!(read(running.reader(&digest, ReadMode::Copy).await).await == content, "removed");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_verified_as_often_as_the_setting_says() {
    let dir = tempfile::tempdir().unwrap();
    let content = content(100_000);
    let running = Running::open(dir.path()).await;
    let digest = running.store(&content).await;
    let is_hashed = async |running: &Running| {
        let blob = running.store.open_blob(&digest, None).await.unwrap().unwrap();
        let is_hashed = blob.room.hashing(&blob.content).is_some();
        assert!(read(blob.reader(ByteRange::whole(100_000), ReadMode::Copy)).await == content);
        is_hashed
    };
    assert!(!is_hashed(&running).await, "hashed when it was written");
    let running = running.restart(dir.path()).await;
    assert!(is_hashed(&running).await, "first read after a start");
    assert!(!is_hashed(&running).await, "second read");
    std::fs::set_permissions(place(dir.path(), &digest), Permissions::from_mode(0o400)).unwrap();
    assert!(is_hashed(&running).await, "touched");
    running.stop().await;

    let running = Running::open_verifying(dir.path(), VerifyReads::Always).await;
    assert!(is_hashed(&running).await && is_hashed(&running).await, "always");
    running.stop().await;
    let running = Running::open_verifying(dir.path(), VerifyReads::Never).await;
    assert!(!is_hashed(&running).await, "never");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_one_blob_share_one_hashing_and_outlive_those_who_leave() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(3_000_000);
    let digest = running.store(&content).await;
    let running = running.restart(dir.path()).await;
    let blob = running.store.open_blob(&digest, None).await.unwrap().unwrap();
    let others = blob.room.hashings.acquire_many(4).await.unwrap();
    let one = blob.room.hashing(&blob.content).unwrap();
    let two = blob.room.hashing(&blob.content).unwrap();
    assert!(one.same_channel(&two), "hashed twice");
    drop((one, two, others));
    for _ in 0..20 {
        let left = blob.reader(ByteRange::whole(3_000_000), ReadMode::Copy);
        let stays = blob.reader(ByteRange::whole(3_000_000), ReadMode::Map);
        drop(left);
        assert!(read(stays).await == content, "left alone");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_cut_while_it_is_read_by_a_kept_map_ends_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(20_000_000);
    let digest = running.store(&content).await;
    assert!(read(running.reader(&digest, ReadMode::Map).await).await == content, "maps it");

    let mut reader = running.reader(&digest, ReadMode::Map).await;
    let first = reader.next().await.unwrap().unwrap();
    let path = place(dir.path(), &digest);
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(9_000_000).unwrap();
    let (rest, outcome) = drain(&mut reader).await;
    assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    let given = [&first[..], &rest[..]].concat();
    assert!(given == content[..given.len()] && given.len() <= 9_000_000, "{}", given.len());
    assert!(!path.exists(), "it stays");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_cache_has_lost_is_read_from_disk_by_a_kept_map() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(20_000_000);
    let digest = running.store(&content).await;
    let mut reader = running.reader(&digest, ReadMode::Map).await;
    let first = reader.next().await.unwrap().unwrap();
    let file = std::fs::File::open(place(dir.path(), &digest)).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let (rest, outcome) = drain(&mut reader).await;
    outcome.unwrap();
    assert!([&first[..], &rest[..]].concat() == content);
    running.stop().await;
}
