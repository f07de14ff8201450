//! What HEAD promises, and ranges of blobs that are not here yet, under faults.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;

use crate::support::mirror::{Answer, REGISTRY, TestMirror};
use crate::support::upstream::{Artifact, Fault, Gate, Image};

const OPEN: &str = r#"- {id: open, match: ["up.test/open/**"], trust: allow}"#;
const SIZE: usize = 1_000_000;

/// Content in which no two places look alike.
fn content() -> Bytes {
    (0..SIZE).map(|place| u8::try_from(place * 7 / 256 % 251).expect("below 251")).collect()
}

/// An admitted image whose layer was never asked for.
async fn admitted() -> (Arc<TestMirror>, Artifact, String) {
    let mirror = Arc::new(TestMirror::start(OPEN).await);
    let image = Image::new().layer(content()).build();
    mirror.upstream.push("open/app", "1", &image);
    assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
    let path = format!("/v2/open/app/blobs/{}?ns={REGISTRY}", image.layer(0));
    (mirror, image, path)
}

async fn ranged(mirror: &TestMirror, path: &str, range: &str) -> Answer {
    mirror.ask(Method::GET, path, &[("range", range)]).await
}

#[tokio::test]
async fn a_tag_that_head_answered_can_be_got_by_its_digest_whatever_becomes_of_upstream() {
    let mirror = TestMirror::start(OPEN).await;
    let image = Image::new().layer("x").build();
    mirror.upstream.push("open/app", "1", &image);
    let head = mirror.head("open/app/manifests/1").await;
    assert_eq!(head.status, 200);
    mirror.upstream.go_away();
    let digest = head.header("docker-content-digest").to_owned();
    let got = mirror.manifest("open/app", &digest).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-length"), head.header("content-length"));
    assert!(image.digest().matches(got.bytes()));
}

#[tokio::test]
async fn a_manifest_that_head_answered_can_be_got_after_its_file_is_gone() {
    let (mirror, image, _) = admitted().await;
    let path = format!("open/app/manifests/{}", image.digest());
    assert_eq!(mirror.head(&path).await.status, 200);
    mirror.mirror().store().remove(&image.digest()).await.expect("a removal");
    assert!(image.digest().matches(mirror.get(&path).await.bytes()));
}

/// Removes what is cached, once it is: clients have it all before its file has its name, and who joins a
/// fetch that is about to end brings nothing into the cache.
async fn remove(mirror: &TestMirror, digest: &pratique::oci::Digest, path: &str) {
    while !mirror.mirror().store().remove(digest).await.expect("a removal") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        mirror.ask(Method::GET, path, &[]).await;
    }
}

#[tokio::test]
async fn a_blob_that_head_answered_is_fetched_again_after_its_file_is_gone() {
    let (mirror, image, path) = admitted().await;
    mirror.pull("open/app", "1").await.assert_complete();
    for method in [Method::HEAD, Method::GET] {
        assert_eq!(mirror.ask(method.clone(), &path, &[]).await.status, 200, "{method}");
        remove(&mirror, &image.layer(0), &path).await;
        let again = mirror.ask(Method::GET, &path, &[]).await;
        assert_eq!((again.status, again.bytes()), (200, &content()), "after {method}");
    }
    remove(&mirror, &image.layer(0), &path).await;
    mirror.upstream.go_away();
    let gone = async {
        loop {
            let away = mirror.ask(Method::GET, &path, &[]).await;
            if away.status != 200 {
                return (away.status, away.error()["code"].as_str().map(str::to_owned));
            }
            // Whoever joins the fetch before it has quite ended gets what it brought.
            assert_eq!(away.bytes(), &content());
        }
    };
    let gone = tokio::time::timeout(std::time::Duration::from_secs(30), gone).await;
    assert_eq!(gone, Ok((503, Some("UNAVAILABLE".to_owned()))));
}

#[tokio::test]
async fn a_bit_that_flipped_on_disk_reaches_nobody_and_is_healed_when_upstream_is_there() {
    let (mirror, image, path) = admitted().await;
    mirror.pull("open/app", "1").await.assert_complete();
    mirror.upstream.go_away();
    let hex = image.layer(0).hex();
    let file = mirror.folder().join(format!("data/blobs/sha256/{}/{hex}", &hex[..2]));
    while !file.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mut bytes = std::fs::read(&file).expect("the blob");
    bytes[SIZE / 2] ^= 1;
    std::fs::remove_file(&file).expect("a removal");
    std::fs::write(&file, bytes).expect("a damaged blob");
    for _ in 0..2 {
        let answer = mirror.ask(Method::GET, &path, &[]).await;
        assert!(answer.status != 200 || answer.body.is_none(), "{answer:?}");
    }
    let away = mirror.ask(Method::GET, &path, &[]).await;
    assert_eq!((away.status, away.error()["code"].as_str()), (503, Some("UNAVAILABLE")));
    mirror.upstream.come_back();
    mirror.clock.advance(std::time::Duration::from_mins(1));
    let healed = mirror.ask(Method::GET, &path, &[]).await;
    assert_eq!((healed.status, healed.bytes()), (200, &content()));
}

#[tokio::test]
async fn no_range_of_wrong_bytes_ends_cleanly() {
    for range in ["bytes=0-9", "bytes=500000-", "bytes=-5", "bytes=0-999998"] {
        let (mirror, image, path) = admitted().await;
        let wrong = Bytes::from(vec![1; SIZE]);
        mirror.upstream.fault_times(&image.layer(0).to_string(), 1, Fault::Body(wrong));
        let answer = ranged(&mirror, &path, range).await;
        assert!(answer.status != 206 || answer.body.is_none(), "{range}: {answer:?}");
        let again = ranged(&mirror, &path, range).await;
        assert_eq!(again.status, 206, "{range}: {again:?}");
        assert!(again.body.is_some(), "{range}");
    }
}

#[tokio::test]
async fn a_range_of_a_blob_that_breaks_off_for_good_is_no_clean_answer() {
    let (mirror, image, path) = admitted().await;
    mirror.upstream.fault(&image.layer(0).to_string(), Fault::CutAfter(0));
    let answer = ranged(&mirror, &path, "bytes=0-9").await;
    assert!(answer.status == 503 || answer.body.is_none(), "{answer:?}");
}

#[tokio::test]
async fn a_range_of_a_blob_that_breaks_off_once_is_right() {
    let (mirror, image, path) = admitted().await;
    mirror.upstream.fault_times(&image.layer(0).to_string(), 1, Fault::CutAfter(300_000));
    let answer = ranged(&mirror, &path, "bytes=299990-300009").await;
    assert_eq!(answer.status, 206);
    assert_eq!(answer.bytes(), &content().slice(299_990..300_010));
}

#[tokio::test]
async fn a_range_of_a_blob_that_upstream_lost_is_404() {
    let (mirror, image, path) = admitted().await;
    mirror.upstream.fault(&image.layer(0).to_string(), Fault::Status(404));
    assert_eq!(ranged(&mirror, &path, "bytes=0-9").await.status, 404);
}

#[tokio::test]
async fn many_ranges_of_a_blob_that_arrives_cost_one_fetch_and_fit_together() {
    let (mirror, image, path) = admitted().await;
    let needle = image.layer(0).to_string();
    let gate = Gate::closed();
    mirror.upstream.fault(&needle, Fault::StallAfter(450_000, gate.clone()));
    let parts: Vec<_> = (0..10)
        .map(|part| {
            let range = format!("bytes={}-{}", part * SIZE / 10, (part + 1) * SIZE / 10 - 1);
            let (asker, path) = (Arc::clone(&mirror), path.clone());
            mirror.mirror().tasks().spawn(async move { ranged(&asker, &path, &range).await })
        })
        .collect();
    mirror.upstream.wait_for(&needle, 1).await;
    gate.open();
    let mut whole = Vec::new();
    for part in parts {
        let part = part.await.expect("an answer");
        assert_eq!(part.status, 206);
        whole.extend_from_slice(part.bytes());
    }
    assert!(image.layer(0).matches(&whole));
    assert_eq!(mirror.upstream.count(&needle), 1);
}
