//! Blobs that arrive, as they should and as they should not.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

/// Polls `future` once and drops it.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Reads until `count` bytes have come.
async fn read_some(reader: &mut BlobReader, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        bytes.extend_from_slice(&reader.next().await.unwrap().unwrap());
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn content_with_another_digest_never_gets_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let (right, mut wrong) = (content(300_000), content(300_000));
    wrong[299_999] ^= 1;
    let digest = Digest::sha256(&right);
    let mut ingest = running.store.ingest(&digest, 300_000).unwrap();
    let mut readers = Vec::new();
    for range in [ByteRange::whole(300_000), ByteRange { start: 10, end: 20 }] {
        for mode in [ReadMode::Copy, ReadMode::Map] {
            readers.push((ingest.arriving().reader_in(range, mode), range));
        }
    }
    ingest.write(wrong.into()).await.unwrap();
    let refused = ingest.commit().await.unwrap_err();
    assert!(matches!(refused, Error::DigestMismatch { .. }), "{refused:?}");
    assert_eq!(partial_files(dir.path()), 0);
    assert!(!place(dir.path(), &digest).exists(), "it has the name");
    for (mut reader, range) in readers {
        let (bytes, outcome) = drain(&mut reader).await;
        assert!(matches!(outcome, Err(Error::DigestMismatch { .. })), "{outcome:?}");
        assert!(length_of(&bytes) <= range.length().saturating_sub(HOLD_BACK_BYTES), "{range:?}");
        assert!(reader.next().await.is_err(), "an error is the end");
    }
    let metrics = running.stop().await;
    assert_eq!(metrics.digest_mismatches.value(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_and_too_few_bytes_end_the_ingest_without_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let digest = Digest::sha256(b"content");
    let mut ingest = running.store.ingest(&digest, 7).unwrap();
    ingest.write(Bytes::from_static(b"content")).await.unwrap();
    let refused = ingest.write(Bytes::from_static(b"!")).await.unwrap_err();
    assert!(matches!(refused, Error::TooLong { size: 7, .. }), "{refused:?}");
    let refused = ingest.commit().await.unwrap_err();
    assert!(matches!(refused, Error::TooLong { .. }), "an ended ingest commits: {refused:?}");

    let mut ingest = running.store.ingest(&digest, 7).unwrap();
    let mut reader = ingest.arriving().reader(ByteRange::whole(7));
    ingest.write(Bytes::from_static(b"conten")).await.unwrap();
    assert_eq!(ingest.written(), 6);
    let refused = ingest.commit().await.unwrap_err();
    assert!(matches!(refused, Error::TooShort { size: 7, written: 6, .. }), "{refused:?}");
    let (bytes, outcome) = drain(&mut reader).await;
    assert!(bytes.is_empty() && matches!(outcome, Err(Error::Aborted { .. })), "{outcome:?}");
    assert!(running.store.open_blob(&digest, None).await.unwrap().is_none(), "stored");
    running.stop().await;
    assert_eq!(partial_files(dir.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_ingest_leaves_no_file_and_its_readers_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(500_000);
    let digest = Digest::sha256(&content);
    let mut ingest = running.store.ingest(&digest, 500_000).unwrap();
    let mut reader = ingest.arriving().reader(ByteRange::whole(500_000));
    ingest.write(Bytes::copy_from_slice(&content[..200_000])).await.unwrap();
    let begun = read_some(&mut reader, 100_000).await;
    assert_eq!(partial_files(dir.path()), 1);
    drop(ingest);
    let (rest, outcome) = drain(&mut reader).await;
    assert!(matches!(outcome, Err(Error::Aborted { .. })), "{outcome:?}");
    assert!(content.starts_with(&[begun, rest].concat()), "wrong bytes");
    assert_eq!(partial_files(dir.path()), 0, "readers hear of it after the file is gone");
    assert!(!place(dir.path(), &digest).exists(), "it has the name");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_reader_streams_from_the_growing_file_and_the_last_block_waits_for_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(1_000_000);
    let digest = Digest::sha256(&content);
    for mode in [ReadMode::Copy, ReadMode::Map] {
        let mut ingest = running.store.ingest(&digest, 1_000_000).unwrap();
        ingest.write(Bytes::copy_from_slice(&content[..600_000])).await.unwrap();
        let arriving = ingest.arriving();
        assert_eq!((arriving.digest(), arriving.size()), (digest, 1_000_000));
        let mut reader = arriving.reader_in(ByteRange::whole(1_000_000), mode);
        let mut bytes = read_some(&mut reader, 600_000).await;
        assert_eq!(bytes.len(), 600_000, "more than was written");

        ingest.write(Bytes::copy_from_slice(&content[600_000..])).await.unwrap();
        bytes.extend(read_some(&mut reader, 1_000_000 - 65_536 - 600_000).await);
        assert_eq!(bytes.len(), 1_000_000 - 65_536, "all but the last block");
        assert!(poll_once(reader.next()).is_pending(), "the last block came before the commit");

        ingest.commit().await.unwrap();
        let (rest, outcome) = drain(&mut reader).await;
        outcome.unwrap();
        bytes.extend(rest);
        assert!(bytes == content, "{mode:?}");
        running.store.remove(&digest).await.unwrap();
        let again = arriving.reader_in(ByteRange { start: 5, end: 800_000 }, mode);
        assert!(read(again).await == content[5..800_000], "readable after commit and removal");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_an_arriving_blob_holds_back_the_last_block_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(1_000_000);
    let digest = Digest::sha256(&content);
    let mut ingest = running.store.ingest(&digest, 1_000_000).unwrap();
    let wide = ByteRange { start: 100_000, end: 300_000 };
    let mut wide = ingest.arriving().reader(wide);
    let mut narrow = ingest.arriving().reader(ByteRange { start: 7, end: 65_543 });
    ingest.write(Bytes::copy_from_slice(&content[..999_999])).await.unwrap();
    let begun = read_some(&mut wide, 200_000 - 65_536).await;
    assert_eq!(begun.len(), 200_000 - 65_536);
    assert!(poll_once(wide.next()).is_pending(), "the last block of a range came too early");
    assert!(poll_once(narrow.next()).is_pending(), "a range of one block came too early");

    ingest.write(Bytes::copy_from_slice(&content[999_999..])).await.unwrap();
    ingest.commit().await.unwrap();
    let (rest, outcome) = drain(&mut wide).await;
    outcome.unwrap();
    assert!([begun, rest].concat() == content[100_000..300_000], "wide");
    assert!(read(narrow).await == content[7..65_543], "narrow");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_write_took_nothing_and_a_dropped_next_lost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(4_000_000);
    let digest = Digest::sha256(&content);
    let mut ingest = running.store.ingest(&digest, 4_000_000).unwrap();
    let mut reader = ingest.arriving().reader(ByteRange::whole(4_000_000));
    let mut bytes = Vec::new();
    for chunk in content.chunks(40_000) {
        let chunk = Bytes::copy_from_slice(chunk);
        if poll_once(ingest.write(chunk.clone())).is_pending() {
            ingest.write(chunk).await.unwrap();
        }
        if let Poll::Ready(chunk) = poll_once(reader.next()) {
            bytes.extend_from_slice(&chunk.unwrap().unwrap());
        }
    }
    ingest.commit().await.unwrap();
    let (rest, outcome) = drain(&mut reader).await;
    outcome.unwrap();
    bytes.extend(rest);
    assert!(bytes == content, "chunks lost or doubled");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_commit_commits_all_or_leaves_nothing() {
    for polls in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::open(dir.path()).await;
        let content = content(200_000);
        let digest = Digest::sha256(&content);
        let mut ingest = running.store.ingest(&digest, 200_000).unwrap();
        let mut reader = ingest.arriving().reader(ByteRange::whole(200_000));
        ingest.write(content.clone().into()).await.unwrap();
        let commit = ingest.commit();
        if polls > 0 {
            let _polled = poll_once(commit);
        } else {
            drop(commit);
        }
        let (bytes, outcome) = drain(&mut reader).await;
        running.stop().await;
        assert_eq!(partial_files(dir.path()), 0);
        let stored = std::fs::read(place(dir.path(), &digest)).ok();
        if polls > 0 {
            outcome.unwrap();
            assert!(bytes == content && stored.unwrap() == content, "half a commit");
        } else {
            assert!(stored.is_none() && outcome.is_err(), "committed without being asked");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ingests_of_one_digest_end_in_one_right_blob() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(400_000);
    let digest = Digest::sha256(&content);
    let mut one = running.store.ingest(&digest, 400_000).unwrap();
    let mut two = running.store.ingest(&digest, 400_000).unwrap();
    for chunk in content.chunks(100_000) {
        one.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        two.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    let (one, two) = tokio::join!(one.commit(), two.commit());
    let whole = ByteRange::whole(400_000);
    assert!(read(one.unwrap().reader(whole, ReadMode::Map)).await == content, "one");
    assert!(read(two.unwrap().reader(whole, ReadMode::Copy)).await == content, "two");
    assert!(read(running.reader(&digest, ReadMode::Map).await).await == content, "stored");
    assert_eq!(partial_files(dir.path()), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_blobs_are_written_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let digest = Digest::sha256(b"content");
    let mut ingests: Vec<_> =
        (0..INGESTS_MAX).map(|_| running.store.ingest(&digest, 7).unwrap()).collect();
    let refused = running.store.ingest(&digest, 7).unwrap_err();
    assert!(matches!(refused, Error::TooManyIngests { .. }), "{refused:?}");
    let mut reader = ingests[0].arriving().reader(ByteRange::whole(7));
    ingests.clear();
    assert!(reader.next().await.is_err(), "aborted");
    running.stop().await;
    assert_eq!(partial_files(dir.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_disk_fails_the_ingest_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    std::fs::remove_dir(dir.path().join("ingest")).unwrap();
    let digest = Digest::sha256(b"content");
    let mut ingest = running.store.ingest(&digest, 7).unwrap();
    let mut reader = ingest.arriving().reader(ByteRange::whole(7));
    let (_, outcome) = drain(&mut reader).await;
    assert!(matches!(outcome, Err(Error::Write { .. })), "{outcome:?}");
    let failed = match ingest.write(Bytes::from_static(b"content")).await {
        Ok(()) => ingest.commit().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(failed, Error::Write { .. }), "{failed:?}");
    let failed = running.store.put(&digest, Bytes::from_static(b"content")).await.unwrap_err();
    assert!(matches!(failed, Error::Write { .. }), "{failed:?}");
    let metrics = running.stop().await;
    assert_eq!(metrics.store_failures.value(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_is_read_by_one_map_as_it_is_by_copying() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::open(dir.path()).await;
    let content = content(4_000_000);
    let digest = Digest::sha256(&content);
    for is_complete in [false, true] {
        let mut ingest = running.store.ingest(&digest, 4_000_000).unwrap();
        let ranges = [(0, 4_000_000), (4_097, 3_999_999), (100, 70_000)];
        let readers = ranges.map(|(start, end)| {
            let mut reader = ingest.arriving().reader_in(ByteRange { start, end }, ReadMode::Map);
            (start, end, running.tasks.spawn(async move { drain(&mut reader).await }))
        });
        let arrives = if is_complete { 4_000_000 } else { 3_000_000 };
        for chunk in content[..arrives].chunks(150_000) {
            ingest.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        if is_complete {
            ingest.commit().await.unwrap();
        } else {
            drop(ingest);
        }
        for (start, end, reader) in readers {
            let (bytes, outcome) = reader.await.unwrap();
            let (start, end) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
            assert_eq!(outcome.is_ok(), is_complete, "{outcome:?}");
            assert_eq!(bytes.len() == end - start, is_complete, "{}", bytes.len());
            assert!(content[start..end].starts_with(&bytes), "wrong bytes");
        }
    }
    running.stop().await;
}
