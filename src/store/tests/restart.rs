//! Starting: locks, leftovers, and an index that is lost.

use super::*;

fn tag() -> (Name, Tag) {
    (
        "up.test/lib/alpine".parse::<crate::oci::ImageReference>().unwrap().name,
        "3.20".parse().unwrap(),
    )
}

fn seen() -> SeenTag {
    SeenTag { digest: Digest::sha256(b"x"), at: Timestamp::from_milliseconds(7) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let settings = || Settings { dir: dir.path().to_owned(), ..Settings::default() };
    let open = || {
        let clock = Arc::new(ManualClock::at(Timestamp::from_milliseconds(0)));
        Store::open(settings(), clock, Tasks::new(), Arc::default())
    };
    let refused = open().await.unwrap_err();
    assert!(matches!(&refused, Error::Locked { dir: locked } if locked == dir.path()), "{refused}");
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
    running.stop().await;
    open().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_crash_are_swept_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let digest = running.store(b"content").await;
    running.stop().await;
    let ingest = dir.path().join("ingest");
    let half = Digest::sha256(b"half");
    std::fs::write(ingest.join(half.hex()), b"half").unwrap();
    std::fs::create_dir(ingest.join("dir")).unwrap();
    std::fs::write(ingest.join("dir").join("file"), b"").unwrap();
    std::os::unix::fs::symlink(dir.path().join("blobs"), ingest.join("link")).unwrap();

    let running = Running::open(dir.path()).await;
    assert_eq!(partial_files(dir.path()), 0);
    assert!(running.store.open_blob(&half, None).await.unwrap().is_none(), "served");
    assert_eq!(read(running.reader(&digest, ReadMode::Map).await).await, b"content", "kept");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_totals_are_right_after_a_restart_and_foreign_names_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let first = running.store(&content(1_000)).await;
    running.store(&content(500)).await;
    running.stop().await;
    let foreign = place(dir.path(), &first).with_file_name("README");
    std::fs::write(&foreign, b"not a blob").unwrap();
    let misplaced = place(dir.path(), &first).with_file_name(Digest::sha256(b"no").hex());
    std::fs::write(&misplaced, b"no").unwrap();

    let running = Running::open(dir.path()).await;
    running.store(&content(250)).await;
    running.store(&content(250)).await;
    running.store.remove(&first).await.unwrap();
    // The counting task ends by itself; one who asks meanwhile gets what was counted so far.
    while running.store.status().await.blobs < 2 {
        tokio::task::yield_now().await;
    }
    let status = running.store.status().await;
    assert_eq!((status.blobs, status.bytes), (2, 750));
    assert_eq!(
        (running.metrics.store_blobs.value(), running.metrics.store_bytes.value()),
        (2, 750)
    );
    assert!(foreign.exists() && misplaced.exists(), "removed");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_remembers_tags_and_use_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (name, tag) = tag();
    let running = Running::open(dir.path()).await;
    assert!(running.store.status().await.index_available, "no index");
    assert_eq!(running.store.seen_tag(&name, &tag), None);
    running.store.record_seen_tag(&name, &tag, seen());
    assert_eq!(running.store.seen_tag(&name, &tag), Some(seen()));
    let digest = running.store(b"content").await;
    running.reader(&digest, ReadMode::Copy).await;
    let metrics = Arc::clone(&running.metrics);
    assert_eq!(metrics.index_available.value(), 1);

    let running = running.restart(dir.path()).await;
    assert_eq!(running.store.seen_tag(&name, &tag), Some(seen()));
    let used = running.store.last_used(&digest).await;
    assert_eq!(used, Some(Timestamp::from_milliseconds(1_000)));
    assert_eq!(running.store.last_used(&Digest::sha256(b"?")).await, None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_broken_index_costs_only_what_it_knew() {
    let lose: [&dyn Fn(&Path); 4] = [
        &|index| std::fs::remove_dir_all(index).unwrap(),
        &|index| {
            for entry in std::fs::read_dir(index).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    std::fs::write(path, [0xA5; 4_096]).unwrap();
                }
            }
        },
        &|index| {
            std::fs::remove_dir_all(index).unwrap();
            std::fs::write(index, b"a file").unwrap();
        },
        &|index| {
            let db = index.join("db");
            let length = db.metadata().unwrap().len();
            std::fs::File::options().write(true).open(db).unwrap().set_len(length / 3).unwrap();
        },
    ];
    let (name, tag) = tag();
    for (number, lose) in lose.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::open(dir.path()).await;
        let digest = running.store(b"content").await;
        running.store.record_seen_tag(&name, &tag, seen());
        running.stop().await;
        lose(&dir.path().join("index"));

        let running = Running::open(dir.path()).await;
        assert!(running.store.status().await.index_available, "not rebuilt: {number}");
        assert_eq!(read(running.reader(&digest, ReadMode::Map).await).await, b"content");
        running.store.record_seen_tag(&name, &tag, seen());
        let running = running.restart(dir.path()).await;
        assert_eq!(running.store.seen_tag(&name, &tag), Some(seen()), "does not work: {number}");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_works_without_any_index() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("index/conf")).unwrap();
    std::fs::create_dir(dir.path().join("index/db")).unwrap();
    std::fs::write(dir.path().join("index.broken"), b"in the way").unwrap();

    let running = Running::open(dir.path()).await;
    assert!(!running.store.status().await.index_available, "it was broken for good");
    let (name, tag) = tag();
    running.store.record_seen_tag(&name, &tag, seen());
    assert_eq!(running.store.seen_tag(&name, &tag), Some(seen()), "from memory");
    let digest = running.store(b"content").await;
    assert_eq!(read(running.reader(&digest, ReadMode::Map).await).await, b"content");
    assert_eq!(running.store.last_used(&digest).await, None);
    let metrics = running.stop().await;
    assert_eq!(metrics.index_available.value(), 0);
}
