//! A first pull: admitted content comes whole, is fetched once, and stays.

use bytes::Bytes;
use hyper::Method;

use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::upstream::{Fault, Gate, Image, Index};

const OPEN: &str = r#"- {id: open, match: ["up.test/open/**"], trust: allow}"#;

fn big(byte: u8) -> Bytes {
    Bytes::from(vec![byte; 1_000_000])
}

#[tokio::test]
async fn an_allowed_image_is_pulled_by_tag_and_by_digest() {
    let mirror = TestMirror::start(OPEN).await;
    let image = Image::new().layer("one").layer(big(2)).build();
    let digest = mirror.upstream.push("open/app", "1", &image);
    mirror.pull("open/app", "1").await.assert_complete();
    let by_digest = mirror.pull("open/app", digest).await;
    by_digest.assert_complete();
    assert_eq!(by_digest.manifest.header("content-type"), image.media_type.as_str());
    assert_eq!(by_digest.manifest.header("oci-namespace"), REGISTRY);
    assert_eq!(mirror.upstream.count("GET /v2/open/app/blobs/"), image.blobs.len());
}

#[tokio::test]
async fn what_is_cached_is_served_with_upstream_gone_and_after_a_restart() {
    let mirror = TestMirror::start(OPEN).await;
    let image = Image::new().layer("one").layer(big(1)).build();
    mirror.upstream.push("open/app", "1", &image);
    mirror.pull("open/app", "1").await.assert_complete();
    mirror.upstream.go_away();
    mirror.pull("open/app", "1").await.assert_complete();
    let mirror = mirror.restart().await;
    let pulled = mirror.pull("open/app", "1").await;
    pulled.assert_complete();
    assert!(pulled.manifest.header("warning").contains("as last known"), "{pulled:?}");
}

#[tokio::test]
async fn an_index_is_served_with_the_layers_of_allowed_platforms_only() {
    let policy =
        format!("floor: {{registries: [up.test], platforms: [linux/amd64]}}\nrules:\n{OPEN}");
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    let index = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
    mirror.upstream.push("open/multi", "1", &index);
    assert_eq!(mirror.manifest("open/multi", "1").await.status, 200);
    for (child, served) in index.children.iter().zip([200, 403]) {
        assert_eq!(mirror.manifest("open/multi", child.digest()).await.status, 200);
        assert_eq!(mirror.blob("open/multi", &child.config()).await.status, 200);
        assert_eq!(mirror.blob("open/multi", &child.layer(0)).await.status, served);
    }
}

#[tokio::test]
async fn forty_clients_cost_one_fetch() {
    let mirror = std::sync::Arc::new(TestMirror::start(OPEN).await);
    let image = Image::new().layer(big(7)).build();
    let gate = Gate::closed();
    mirror.upstream.push("open/app", "1", &image);
    let needle = format!("GET /v2/open/app/blobs/{}", image.layer(0));
    mirror.upstream.fault(&needle, Fault::StallAfter(100_000, gate.clone()));
    assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let (mirror, layer) = (mirror.clone(), image.layer(0));
            mirror
                .clone()
                .mirror()
                .tasks()
                .spawn(async move { mirror.blob("open/app", &layer).await })
        })
        .collect();
    mirror.upstream.wait_for(&needle, 1).await;
    gate.open();
    for client in clients {
        let answer = client.await.expect("an answer");
        assert!(image.layer(0).matches(answer.bytes()));
    }
    assert_eq!(mirror.upstream.count(&needle), 1);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_spoil_the_fetch() {
    let mirror = std::sync::Arc::new(TestMirror::start(OPEN).await);
    let image = Image::new().layer(big(7)).build();
    let gate = Gate::closed();
    mirror.upstream.push("open/app", "1", &image);
    let needle = format!("GET /v2/open/app/blobs/{}", image.layer(0));
    mirror.upstream.fault_times(&needle, 1, Fault::StallAfter(500_000, gate.clone()));
    assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
    let first = {
        let (mirror, layer) = (mirror.clone(), image.layer(0));
        mirror.clone().mirror().tasks().spawn(async move { mirror.blob("open/app", &layer).await })
    };
    mirror.upstream.wait_for(&needle, 1).await;
    first.abort();
    gate.open();
    let second = mirror.blob("open/app", &image.layer(0)).await;
    assert!(image.layer(0).matches(second.bytes()));
    assert_eq!(mirror.upstream.count(&needle), 1);
}

#[tokio::test]
async fn a_broken_connection_is_resumed_where_it_broke() {
    let mirror = TestMirror::start(OPEN).await;
    let image = Image::new().layer(big(9)).build();
    mirror.upstream.push("open/app", "1", &image);
    let needle = format!("GET /v2/open/app/blobs/{}", image.layer(0));
    mirror.upstream.fault_times(&needle, 1, Fault::CutAfter(600_000));
    mirror.pull("open/app", "1").await.assert_complete();
    let ranges: Vec<_> =
        mirror.upstream.requests_of(&needle).iter().map(|r| r.range().map(str::to_owned)).collect();
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    assert!(ranges[1].as_deref().is_some_and(|range| range.starts_with("bytes=")), "{ranges:?}");
}

#[tokio::test]
async fn wrong_bytes_never_end_cleanly_and_are_not_kept() {
    let mirror = TestMirror::start(OPEN).await;
    let image = Image::new().layer(big(9)).build();
    mirror.upstream.push("open/app", "1", &image);
    let needle = format!("GET /v2/open/app/blobs/{}", image.layer(0));
    mirror.upstream.fault_times(&needle, 1, Fault::Body(big(8)));
    assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
    let lied = mirror.blob("open/app", &image.layer(0)).await;
    assert!(lied.body.is_none() || lied.status != 200, "{:?}", lied.status);
    let again = mirror.blob("open/app", &image.layer(0)).await;
    assert!(image.layer(0).matches(again.bytes()));
}

#[tokio::test]
async fn a_range_is_served_from_a_blob_that_is_still_arriving() {
    let mirror = std::sync::Arc::new(TestMirror::start(OPEN).await);
    let image = Image::new().layer(big(3)).build();
    let gate = Gate::closed();
    mirror.upstream.push("open/app", "1", &image);
    let layer = image.layer(0);
    let needle = format!("GET /v2/open/app/blobs/{layer}");
    mirror.upstream.fault(&needle, Fault::StallAfter(900_000, gate.clone()));
    assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
    let path = format!("/v2/open/app/blobs/{layer}?ns={REGISTRY}");
    let asking = {
        let mirror = mirror.clone();
        mirror.clone().mirror().tasks().spawn(async move {
            mirror.ask(Method::GET, &path, &[("range", "bytes=400000-")]).await
        })
    };
    mirror.upstream.wait_for(&needle, 1).await;
    gate.open();
    let answer = asking.await.expect("an answer");
    assert_eq!(answer.status, 206);
    assert_eq!(answer.header("content-range"), "bytes 400000-999999/1000000");
    assert_eq!(answer.bytes(), &big(3).slice(400_000..));
}

#[tokio::test]
async fn a_manifest_that_is_not_what_its_digest_says_is_not_served() {
    let mirror = TestMirror::start(OPEN).await;
    let image = Image::new().layer("good").build();
    let other = Image::new().layer("evil").build();
    let digest = mirror.upstream.push("open/app", "1", &image);
    let needle = format!("GET /v2/open/app/manifests/{digest}");
    mirror.upstream.fault(&needle, Fault::Body(other.manifest.clone()));
    let answer = mirror.manifest("open/app", "1").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.error()["code"], "UNAVAILABLE");
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_layer_that_is_listed_as_empty_is_never_an_empty_answer() {
    let mirror = TestMirror::start(OPEN).await;
    let lying = Image::new().layer(big(1)).describe_last(|layer| layer.size = 0).build();
    let right = Image::new().layer(big(1)).layer("").build();
    mirror.upstream.push("open/lying", "1", &lying);
    mirror.upstream.push("open/right", "1", &right);
    assert_eq!(mirror.manifest("open/lying", "1").await.status, 200);
    let gate = Gate::closed();
    let needle = format!("GET /v2/open/lying/blobs/{}", lying.layer(0));
    mirror.upstream.fault(&needle, Fault::StallAfter(0, gate.clone()));
    let arrives = async {
        while mirror.mirror().metrics().blobs_arriving.value() == 0 {
            tokio::task::yield_now().await;
        }
        // What has not been answered by now is answered from what upstream sends.
        gate.open();
    };
    let layer = lying.layer(0);
    let (cold, ()) = tokio::join!(mirror.blob("open/lying", &layer), arrives);
    assert_eq!(cold.status, 503, "{cold:?}");
    mirror.pull("open/right", "1").await.assert_complete();
    let cached = mirror.blob("open/lying", &layer).await;
    assert_eq!(cached.status, 503, "{cached:?}");
    let empty = mirror.blob("open/right", &right.layer(1)).await;
    assert_eq!((empty.status, empty.bytes().len()), (200, 0));
}
