//! The cache under a quota, with bad disks, and in the hands of an admin.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use pratique::config::Settings;
use pratique::oci::Digest;
use serde_json::{Value, json};

use super::{Desk, RULES};
use crate::support::mirror::TestMirror;
use crate::support::upstream::{Artifact, Fault, Image};

const LAYER: usize = 1_000_000;

fn image(byte: u8) -> Artifact {
    Image::new().layer(Bytes::from(vec![byte; LAYER])).build()
}

async fn start(change: impl FnOnce(&mut Settings)) -> Desk {
    Desk::of(TestMirror::start_with(&format!("rules:\n{RULES}"), change).await)
}

/// A desk whose cache may hold `bytes`, once it knows its pins.
async fn of_quota(bytes: u64) -> Desk {
    let desk = start(|settings| {
        settings.store.keeping.quota_bytes = Some(bytes);
        settings.store.keeping.min_free_bytes = 0;
    });
    let desk = desk.await;
    desk.until(|cache| cache["pinned_contents"].is_u64() && cache["counted"] == true).await;
    desk
}

impl Desk {
    async fn cache(&self) -> Value {
        self.get("/api/v1/cache").await.json()
    }

    async fn until(&self, holds: impl Fn(&Value) -> bool) {
        for _ in 0..1_000 {
            if holds(&self.cache().await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never so: {}", self.cache().await);
    }

    fn file_of(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.mirror.folder().join("data/blobs/sha256").join(&hex[..2]).join(&hex)
    }

    /// Waits until the blob has its name: readers have the last byte a little earlier.
    async fn is_stored(&self, digest: &Digest) -> bool {
        for _ in 0..1_000 {
            if self.file_of(digest).exists() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    fn flip_bit(&self, digest: &Digest) {
        let path = self.file_of(digest);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("ours");
        let mut bytes = std::fs::read(&path).expect("a blob");
        bytes[LAYER / 2] ^= 1;
        std::fs::write(&path, bytes).expect("written");
    }

    async fn scrub(&self) -> Value {
        let reply = self.post("/api/v1/cache/scrub", &json!({"rate_bytes": 1_000_000_000})).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/x-ndjson"));
        let text = reply.text();
        serde_json::from_str(text.lines().last().expect("a line")).expect("JSON")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_beyond_the_quota_give_way_and_come_back_when_they_are_pulled() {
    let desk = of_quota(5_000_000).await;
    let images: Vec<Artifact> = (0..8).map(image).collect();
    for (number, image) in images.iter().enumerate() {
        desk.mirror.upstream.push("open/app", &number.to_string(), image);
        desk.mirror.pull("open/app", number).await.assert_complete();
        desk.mirror.clock.advance(Duration::from_mins(2));
    }
    let cache = desk.cache().await;
    assert!(cache["bytes"].as_u64().is_some_and(|bytes| bytes <= 5_000_000), "{cache}");
    assert!(cache["evicted"]["blobs"].as_u64().is_some_and(|blobs| blobs >= 3), "{cache}");
    assert!(!desk.file_of(&images[0].layer(0)).exists(), "the oldest layer");
    assert!(desk.file_of(&images[0].digest()).exists(), "manifests go last");
    assert!(desk.is_stored(&images[7].layer(0)).await, "the newest layer");
    desk.mirror.pull("open/app", 0).await.assert_complete();
    assert!(desk.is_stored(&images[0].layer(0)).await, "fetched again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_image_stays_and_a_pin_outlives_a_restart() {
    let desk = of_quota(4_000_000).await;
    let pinned = image(100);
    let digest = desk.mirror.upstream.push("open/kept", "1", &pinned);
    desk.mirror.pull("open/kept", "1").await.assert_complete();
    assert!(desk.is_stored(&pinned.layer(0)).await);
    let view = desk.post("/api/v1/cache/pins", &json!({"image": "up.test/open/kept:1"})).await;
    let view = view.json();
    assert_eq!(view["subject"], format!("up.test/open/kept@{digest}"));
    assert_eq!((&view["contents"], &view["cached"]), (&json!(3), &json!(3)), "{view}");
    let desk = Desk::of(desk.mirror.restart().await);
    desk.until(|cache| cache["pinned_contents"] == 3).await;
    for number in 0..10 {
        desk.mirror.upstream.push("open/app", &number.to_string(), &image(number));
        desk.mirror.pull("open/app", number).await.assert_complete();
        desk.mirror.clock.advance(Duration::from_mins(2));
    }
    assert!(desk.file_of(&pinned.layer(0)).exists(), "a pin was broken");
    let events = desk.get("/api/v1/audit").await.text();
    assert!(events.contains("pinned"), "{events}");
    let path = format!("/api/v1/cache/pins?image=up.test/open/kept@{digest}");
    let gone = desk.send(Method::DELETE, &path, Some(&desk.token), None, &[]).await;
    assert_eq!(gone.json(), json!([format!("up.test/open/kept@{digest}")]));
    let again = desk.send(Method::DELETE, &path, Some(&desk.token), None, &[]).await;
    assert_eq!((again.status, again.problem().as_str()), (404, "not-found"));
    assert_eq!(desk.get("/api/v1/cache/pins").await.json(), json!([]));
    assert_eq!(desk.get("/api/v1/audit/verify").await.json()["intact"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_admits_nothing() {
    let desk = start(|_| {}).await;
    desk.push("never/app", "1", "content");
    desk.post("/api/v1/cache/pins", &json!({"image": "up.test/never/app:1"})).await;
    desk.mirror.pull("never/app", "1").await.assert_refused("Denied");
    desk.push("asked/app", "1", "content");
    let pinned = desk.post("/api/v1/cache/pins", &json!({"image": "up.test/asked/app:1"})).await;
    assert_eq!(pinned.status, 200, "{pinned:?}");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_a_blob_goes_past_the_store_verified_and_the_rest_is_served() {
    let desk = of_quota(1_500_000).await;
    let small = image(1);
    desk.mirror.upstream.push("open/small", "1", &small);
    desk.mirror.pull("open/small", "1").await.assert_complete();
    assert!(desk.is_stored(&small.layer(0)).await);
    desk.post("/api/v1/cache/pins", &json!({"image": "up.test/open/small:1"})).await;
    let large = Image::new().layer(Bytes::from(vec![2; 3 * LAYER])).build();
    desk.mirror.upstream.push("open/large", "1", &large);
    for _ in 0..2 {
        desk.mirror.pull("open/large", "1").await.assert_complete();
    }
    assert!(!desk.file_of(&large.layer(0)).exists(), "kept although there is no room");
    assert_eq!(desk.cache().await["passed_through"], 2);
    let path = format!("/v2/open/large/blobs/{}?ns=up.test", large.layer(0));
    let part = desk.mirror.ask(Method::GET, &path, &[("range", "bytes=10-1000009")]).await;
    assert_eq!((part.status, part.bytes().len()), (206, 1_000_000));
    let prefetched =
        desk.post("/api/v1/prefetch", &json!({"images": ["up.test/open/large:1"]})).await;
    assert!(prefetched.text().contains("\"failed\""), "{prefetched:?}");

    let needle = format!("GET /v2/open/large/blobs/{}", large.layer(0));
    for wrong in [
        Fault::Body(Bytes::from(vec![3; 3 * LAYER])),
        Fault::Body(Bytes::from(vec![2; 3 * LAYER - 1])),
        Fault::Body(Bytes::from(vec![2; 3 * LAYER + 1])),
    ] {
        desk.mirror.upstream.fault(&needle, wrong);
        let answer = desk.mirror.blob("open/large", &large.layer(0)).await;
        assert!(answer.status != 200 || answer.body.is_none(), "a lie that ended cleanly");
        desk.mirror.upstream.heal();
    }
    desk.mirror.upstream.go_away();
    desk.mirror.pull("open/small", "1").await.assert_complete();
    desk.mirror.upstream.come_back();
    let path = "/api/v1/cache/pins?image=up.test/open/small:1";
    desk.send(Method::DELETE, path, Some(&desk.token), None, &[]).await;
    assert_eq!(desk.cache().await["reserved_bytes"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_past_the_store_to_what_is_not_granted() {
    let desk = of_quota(1_000).await;
    let asked = image(9);
    desk.mirror.upstream.push("asked/app", "1", &asked);
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval");
    let answer = desk.mirror.blob("asked/app", &asked.layer(0)).await;
    assert_eq!(answer.status, 403);
    assert_eq!(desk.mirror.upstream.count("GET /v2/asked/app/blobs/sha256"), 1, "only the config");
    assert_eq!(desk.cache().await["passed_through"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrub_heals_a_flipped_bit_under_the_verdict_that_holds() {
    let desk = start(|_| {}).await;
    let (open, revoked) = (image(1), image(2));
    desk.mirror.upstream.push("open/app", "1", &open);
    let digest = desk.mirror.upstream.push("open/gone", "1", &revoked);
    desk.mirror.pull("open/app", "1").await.assert_complete();
    desk.mirror.pull("open/gone", "1").await.assert_complete();
    assert!(desk.is_stored(&open.layer(0)).await && desk.is_stored(&revoked.layer(0)).await);
    let target = format!("up.test/open/gone@{digest}");
    assert_eq!(desk.decide("/api/v1/revocations", &target).await.status, 200);
    desk.flip_bit(&open.layer(0));
    desk.flip_bit(&revoked.layer(0));
    let report = desk.scrub().await;
    assert_eq!((&report["done"], &report["damaged"]), (&json!(true), &json!(2)), "{report}");
    desk.until(|cache| cache["healed"] == 1).await;
    desk.mirror.upstream.go_away();
    let answer = desk.mirror.blob("open/app", &open.layer(0)).await;
    assert!(open.layer(0).matches(answer.bytes()), "not healed");
    assert!(!desk.file_of(&revoked.layer(0)).exists(), "fetched without a verdict");
    let report = desk.scrub().await;
    assert_eq!(report["damaged"], 0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrub_heals_a_damaged_manifest() {
    let desk = start(|_| {}).await;
    let image = image(1);
    let digest = desk.mirror.upstream.push("open/app", "1", &image);
    desk.mirror.pull("open/app", "1").await.assert_complete();
    let path = desk.file_of(&digest);
    std::fs::remove_file(&path).expect("removed");
    std::fs::write(&path, b"{}").expect("written");
    assert_eq!(desk.scrub().await["damaged"], 1);
    desk.until(|cache| cache["healed"] == 1).await;
    assert_eq!(std::fs::read(path).expect("healed"), image.manifest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_keeps_the_blob_for_the_get_with_upstream_gone() {
    let desk = of_quota(3_500_000).await;
    let promised = image(50);
    desk.mirror.upstream.push("open/promised", "1", &promised);
    desk.mirror.pull("open/promised", "1").await.assert_complete();
    assert!(desk.is_stored(&promised.layer(0)).await);
    desk.mirror.clock.advance(Duration::from_mins(30));
    let path = format!("open/promised/blobs/{}", promised.layer(0));
    assert_eq!(desk.mirror.head(&path).await.status, 200);
    for number in 0..6 {
        desk.mirror.upstream.push("open/app", &number.to_string(), &image(number));
        desk.mirror.pull("open/app", number).await.assert_complete();
        desk.mirror.clock.advance(Duration::from_mins(1));
    }
    desk.mirror.upstream.go_away();
    let answer = desk.mirror.get(&path).await;
    assert!(promised.layer(0).matches(answer.bytes()), "HEAD promised what GET does not give");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_look_at_the_cache_and_change_nothing() {
    let desk = start(|_| {}).await;
    let made = desk.post("/api/v1/tokens", &json!({"name": "eve", "role": "viewer"})).await.json();
    let viewer = made["token"].as_str();
    for path in ["/api/v1/cache", "/api/v1/cache/pins"] {
        assert_eq!(desk.send(Method::GET, path, viewer, None, &[]).await.status, 200, "{path}");
        assert_eq!(desk.send(Method::GET, path, None, None, &[]).await.status, 401, "{path}");
    }
    let body = || Some(json!({"image": "up.test/open/app:1"}).to_string());
    for (method, path) in [
        (Method::POST, "/api/v1/cache/pins"),
        (Method::POST, "/api/v1/cache/gc"),
        (Method::POST, "/api/v1/cache/scrub"),
        (Method::DELETE, "/api/v1/cache/pins?image=up.test/open/app:1"),
    ] {
        let refused = desk.send(method, path, viewer, body(), &[]).await;
        assert_eq!((refused.status, refused.problem().as_str()), (403, "role"), "{path}");
    }
}
