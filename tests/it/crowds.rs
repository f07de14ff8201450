//! Many who want the same, and upstreams that spoil it: what one meets, no other has to bear.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use pratique::oci::Digest;
use pratique::upstream::RegistrySettings;

use crate::support::mirror::{Answer, REGISTRY, TestMirror};
use crate::support::upstream::{Artifact, FakeUpstream, Fault, Gate, Image};

/// A second registry beside [`REGISTRY`].
const OTHER: &str = "other.test";
const OPEN: &str = r#"rules:
- {id: open, match: ["up.test/open/**", "other.test/open/**"], trust: allow}
"#;
/// Longer than a missing thing is taken for missing without another look.
const AFTER_ABSENCE: Duration = Duration::from_secs(11);
/// How often, and at most how many times, something is looked for that needs no clock of ours.
const POLL: Duration = Duration::from_millis(20);
const POLLS_MAX: u32 = 250;

fn big(byte: u8) -> Bytes {
    Bytes::from(vec![byte; 1_000_000])
}

async fn with_another(other: &FakeUpstream) -> Arc<TestMirror> {
    let other = RegistrySettings {
        registry: OTHER.parse().expect("a registry"),
        url: other.url(),
        token_hosts: Vec::new(),
        redirect_hosts: Vec::new(),
        credentials: Vec::new(),
        ca_file: None,
        danger_plain_http: true,
    };
    let change = |settings: &mut pratique::config::Settings| {
        settings.upstream.registries.push(other);
    };
    Arc::new(TestMirror::start_with(OPEN, change).await)
}

/// The same request from `count` clients at once.
async fn crowd(mirror: &Arc<TestMirror>, count: usize, path: &str) -> Vec<Answer> {
    let clients: Vec<_> = (0..count).map(|_| asking(mirror, REGISTRY, path)).collect();
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.await.expect("an answer"));
    }
    answers
}

/// A client that has begun to ask `registry` for `path`.
fn asking(mirror: &Arc<TestMirror>, registry: &str, path: &str) -> tokio::task::JoinHandle<Answer> {
    let (asker, path) = (Arc::clone(mirror), format!("/v2/{path}?ns={registry}"));
    mirror.mirror().tasks().spawn(async move { asker.ask(Method::GET, &path, &[]).await })
}

async fn manifest_of(mirror: &TestMirror, registry: &str, repository: &str, image: &Artifact) {
    let path = format!("/v2/{repository}/manifests/{}?ns={registry}", image.digest());
    assert_eq!(mirror.ask(Method::GET, &path, &[]).await.status, 200);
}

fn partial_files(mirror: &TestMirror) -> usize {
    std::fs::read_dir(mirror.folder().join("data/ingest")).expect("a directory").count()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..POLLS_MAX {
        if holds() {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
    panic!("in vain: {what}");
}

fn blob_path(repository: &str, digest: &Digest) -> String {
    format!("{repository}/blobs/{digest}")
}

#[tokio::test]
async fn a_registry_that_stalls_spoils_no_pull_from_another() {
    let other = FakeUpstream::start().await;
    let mirror = with_another(&other).await;
    let image = Image::new().layer(big(1)).build();
    let layer = image.layer(0);
    for upstream in [&mirror.upstream, &other] {
        upstream.push("open/app", "1", &image);
    }
    for registry in [REGISTRY, OTHER] {
        manifest_of(&mirror, registry, "open/app", &image).await;
    }
    let gate = Gate::closed();
    let path = blob_path("open/app", &layer);
    mirror.upstream.fault(&path, Fault::StallAfter(1_000, gate.clone()));
    let slow = asking(&mirror, REGISTRY, &path);
    mirror.upstream.wait_for(&path, 1).await;
    let quick = asking(&mirror, OTHER, &path).await.expect("an answer");
    assert!(layer.matches(quick.bytes()), "{quick:?}");
    gate.open();
    assert!(layer.matches(slow.await.expect("an answer").bytes()));
}

#[tokio::test]
async fn a_registry_without_the_layer_spoils_no_pull_from_another() {
    let other = FakeUpstream::start().await;
    let mirror = with_another(&other).await;
    let image = Image::new().layer(big(2)).build();
    let layer = image.layer(0);
    for upstream in [&mirror.upstream, &other] {
        upstream.push("open/app", "1", &image);
    }
    for registry in [REGISTRY, OTHER] {
        manifest_of(&mirror, registry, "open/app", &image).await;
    }
    let path = blob_path("open/app", &layer);
    mirror.upstream.fault(&path, Fault::Status(404));
    let (without, with) = (asking(&mirror, REGISTRY, &path), asking(&mirror, OTHER, &path));
    assert_eq!(without.await.expect("an answer").status, 404);
    assert!(layer.matches(with.await.expect("an answer").bytes()));
}

#[tokio::test]
async fn a_repository_that_lost_a_layer_spoils_no_pull_from_another_of_the_registry() {
    let mirror = Arc::new(TestMirror::start_with(OPEN, |_| {}).await);
    let image = Image::new().layer(big(3)).build();
    let layer = image.layer(0);
    mirror.upstream.push("open/kept", "1", &image);
    mirror.upstream.put_manifest("open/lost", image.media_type.as_str(), image.manifest.clone());
    mirror.upstream.put_blob("open/lost", image.blobs[0].clone());
    for repository in ["open/lost", "open/kept"] {
        manifest_of(&mirror, REGISTRY, repository, &image).await;
    }
    let gate = Gate::closed();
    let (lost, kept) = (blob_path("open/lost", &layer), blob_path("open/kept", &layer));
    mirror.upstream.fault(&lost, Fault::Hold(gate.clone()));
    let first = asking(&mirror, REGISTRY, &lost);
    mirror.upstream.wait_for(&lost, 1).await;
    let second = asking(&mirror, REGISTRY, &kept);
    until("the second waits or is served", || {
        mirror.mirror().metrics().flights.value() > 0 || second.is_finished()
    })
    .await;
    gate.open();
    assert!(layer.matches(second.await.expect("an answer").bytes()));
    let first = first.await.expect("an answer");
    assert!(first.status == 404 || layer.matches(first.bytes()), "{first:?}");
    assert_eq!(mirror.upstream.count(&kept), 1);
}

#[tokio::test]
async fn two_repositories_of_one_registry_fetch_a_layer_once() {
    let mirror = Arc::new(TestMirror::start_with(OPEN, |_| {}).await);
    let image = Image::new().layer(big(4)).build();
    let layer = image.layer(0);
    for repository in ["open/one", "open/two"] {
        mirror.upstream.push(repository, "1", &image);
        manifest_of(&mirror, REGISTRY, repository, &image).await;
    }
    let gate = Gate::closed();
    mirror.upstream.fault(&layer.to_string(), Fault::StallAfter(500_000, gate.clone()));
    let one = asking(&mirror, REGISTRY, &blob_path("open/one", &layer));
    mirror.upstream.wait_for(&layer.to_string(), 1).await;
    let two = asking(&mirror, REGISTRY, &blob_path("open/two", &layer));
    gate.open();
    for client in [one, two] {
        assert!(layer.matches(client.await.expect("an answer").bytes()));
    }
    assert_eq!(mirror.upstream.count(&layer.to_string()), 1);
}

#[tokio::test]
async fn a_registry_that_stalls_leaves_room_for_the_fetches_of_another() {
    let other = FakeUpstream::start().await;
    let mirror = with_another(&other).await;
    let layers = 100_u8;
    let image = (0..layers).fold(Image::new(), |image, byte| image.layer(vec![byte; 100_000]));
    let image = image.build();
    let quick = Image::new().layer(big(5)).build();
    mirror.upstream.push("open/app", "1", &image);
    other.push("open/app", "1", &quick);
    manifest_of(&mirror, REGISTRY, "open/app", &image).await;
    manifest_of(&mirror, OTHER, "open/app", &quick).await;
    let gate = Gate::closed();
    let needle = "GET /v2/open/app/blobs/";
    mirror.upstream.clear_requests();
    mirror.upstream.fault(needle, Fault::StallAfter(1_000, gate.clone()));
    let slow: Vec<_> = (0..usize::from(layers))
        .map(|layer| asking(&mirror, REGISTRY, &blob_path("open/app", &image.layer(layer))))
        .collect();
    mirror.upstream.wait_for(needle, 32).await;
    let path = blob_path("open/app", &quick.layer(0));
    let answer = asking(&mirror, OTHER, &path).await.expect("an answer");
    assert!(quick.layer(0).matches(answer.bytes()), "{answer:?}");
    gate.open();
    for (index, client) in slow.into_iter().enumerate() {
        let answer = client.await.expect("an answer");
        assert!(image.layer(index).matches(answer.bytes()), "{answer:?}");
    }
}

#[tokio::test]
async fn a_crowd_that_asks_for_a_missing_manifest_asks_upstream_once_and_sees_it_come() {
    let mirror = Arc::new(TestMirror::start_with(OPEN, |_| {}).await);
    let image = Image::new().layer("late").build();
    let path = format!("open/app/manifests/{}", image.digest());
    for _ in 0..3 {
        for answer in crowd(&mirror, 20, &path).await {
            assert_eq!(answer.status, 404, "{answer:?}");
        }
    }
    assert_eq!(mirror.upstream.count(&path), 1);
    mirror.upstream.push_untagged("open/app", &image);
    mirror.clock.advance(AFTER_ABSENCE);
    assert_eq!(mirror.get(&path).await.status, 200);
}

#[tokio::test]
async fn a_tag_that_names_what_was_missing_shows_it_at_once() {
    let mirror = TestMirror::start_with(OPEN, |_| {}).await;
    let image = Image::new().layer("late").build();
    assert_eq!(mirror.manifest("open/app", image.digest()).await.status, 404);
    mirror.upstream.push("open/app", "1", &image);
    mirror.pull("open/app", "1").await.assert_complete();
}

#[tokio::test]
async fn a_crowd_that_asks_for_a_missing_layer_asks_upstream_once_and_sees_it_come() {
    let mirror = Arc::new(TestMirror::start_with(OPEN, |_| {}).await);
    let image = Image::new().layer(big(6)).build();
    mirror.upstream.push("open/app", "1", &image);
    manifest_of(&mirror, REGISTRY, "open/app", &image).await;
    let path = blob_path("open/app", &image.layer(0));
    mirror.upstream.fault(&path, Fault::Status(404));
    for _ in 0..3 {
        for answer in crowd(&mirror, 20, &path).await {
            assert_eq!(answer.status, 404, "{answer:?}");
        }
    }
    assert_eq!(mirror.upstream.count(&path), 1);
    mirror.upstream.heal();
    mirror.clock.advance(AFTER_ABSENCE);
    assert!(image.layer(0).matches(mirror.get(&path).await.bytes()));
}

#[tokio::test]
async fn a_tag_that_was_gone_is_looked_for_again_however_long_tags_are_kept() {
    let keep = Duration::from_hours(24);
    let change = |settings: &mut pratique::config::Settings| {
        settings.mirror.tag_ttl_default = keep;
    };
    let mirror = TestMirror::start_with(OPEN, change).await;
    assert_eq!(mirror.manifest("open/app", "1").await.status, 404);
    assert_eq!(mirror.manifest("open/app", "1").await.status, 404);
    assert_eq!(mirror.upstream.count("/v2/open/app/manifests/1"), 1);
    mirror.upstream.push("open/app", "1", &Image::new().layer("late").build());
    mirror.clock.advance(AFTER_ABSENCE);
    mirror.pull("open/app", "1").await.assert_complete();
}

#[tokio::test]
async fn a_crowd_that_asks_for_a_manifest_whose_file_is_gone_fetches_it_once() {
    let mirror = TestMirror::start_with(OPEN, |_| {}).await;
    let image = Image::new().layer("x").build();
    mirror.upstream.push("open/app", "1", &image);
    mirror.pull("open/app", "1").await.assert_complete();
    let mirror = Arc::new(mirror.restart().await);
    mirror.mirror().store().remove(&image.digest()).await.expect("a removal");
    mirror.upstream.clear_requests();
    let path = format!("open/app/manifests/{}", image.digest());
    for answer in crowd(&mirror, 40, &path).await {
        assert!(image.digest().matches(answer.bytes()), "{answer:?}");
    }
    assert_eq!(mirror.upstream.count(&path), 1);
}

#[tokio::test]
async fn a_crowd_in_observe_mode_costs_one_fetch() {
    let rules = r#"rules: [{id: watched, match: ["up.test/open/**"], trust: allow, mode: audit}]
mode: audit
"#;
    let mirror = Arc::new(TestMirror::start_with(rules, |_| {}).await);
    let image = Image::new().layer(big(7)).build();
    let layer = image.layer(0);
    mirror.upstream.push_untagged("open/app", &image);
    let path = blob_path("open/app", &layer);
    for answer in crowd(&mirror, 40, &path).await {
        assert!(layer.matches(answer.bytes()), "{answer:?}");
    }
    assert_eq!(mirror.upstream.count(&path), 1);
}

/// A client that hangs up in the middle of a fetch which has come as far as `bytes`.
async fn left_at(bytes: usize) -> (Arc<TestMirror>, Artifact, Gate) {
    let mirror = Arc::new(TestMirror::start_with(OPEN, |_| {}).await);
    let image = Image::new().layer(big(8)).build();
    mirror.upstream.push("open/app", "1", &image);
    manifest_of(&mirror, REGISTRY, "open/app", &image).await;
    let gate = Gate::closed();
    let path = blob_path("open/app", &image.layer(0));
    mirror.upstream.fault_times(&path, 1, Fault::StallAfter(bytes, gate.clone()));
    let client = asking(&mirror, REGISTRY, &path);
    mirror.upstream.wait_for(&path, 1).await;
    let ingest = mirror.folder().join("data/ingest");
    until("the bytes have come", || {
        let sizes = std::fs::read_dir(&ingest).expect("a directory").flatten();
        let sizes = sizes.filter_map(|entry| entry.metadata().ok().map(|metadata| metadata.len()));
        sizes.sum::<u64>() >= u64::try_from(bytes).expect("a size")
    })
    .await;
    client.abort();
    assert!(client.await.is_err());
    (mirror, image, gate)
}

#[tokio::test]
async fn a_fetch_that_everybody_left_early_stops_and_leaves_nothing() {
    let (mirror, image, gate) = left_at(200_000).await;
    until("the fetch ends", || mirror.mirror().metrics().flights.value() == 0).await;
    until("nothing is left", || partial_files(&mirror) == 0).await;
    let layer = image.layer(0);
    assert!(mirror.mirror().store().open_blob(&layer, None).await.expect("a look").is_none());
    gate.open();
    let answer = mirror.blob("open/app", &layer).await;
    assert!(layer.matches(answer.bytes()), "the next client has it from the start");
    assert_eq!(mirror.upstream.count(&blob_path("open/app", &layer)), 2);
}

#[tokio::test]
async fn a_fetch_that_everybody_left_late_is_finished() {
    let (mirror, image, gate) = left_at(600_000).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(mirror.mirror().metrics().flights.value(), 1, "still under way");
    gate.open();
    until("the fetch ends", || mirror.mirror().metrics().flights.value() == 0).await;
    mirror.upstream.go_away();
    let layer = image.layer(0);
    assert!(layer.matches(mirror.blob("open/app", &layer).await.bytes()));
}

#[tokio::test]
async fn a_pinned_blob_that_everybody_left_early_is_finished() {
    let (mirror, image, gate) = left_at(200_000).await;
    let layer = image.layer(0);
    mirror.mirror().keep_whole_if(Box::new(move |digest| *digest == layer));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(mirror.mirror().metrics().flights.value(), 1, "still under way");
    gate.open();
    until("the fetch ends", || mirror.mirror().metrics().flights.value() == 0).await;
    mirror.upstream.go_away();
    assert!(layer.matches(mirror.blob("open/app", &layer).await.bytes()));
}

#[tokio::test]
async fn a_client_that_comes_back_in_time_finds_its_fetch_going_on() {
    let (mirror, image, gate) = left_at(200_000).await;
    let layer = image.layer(0);
    let again = asking(&mirror, REGISTRY, &blob_path("open/app", &layer));
    tokio::time::sleep(Duration::from_secs(3)).await;
    gate.open();
    assert!(layer.matches(again.await.expect("an answer").bytes()));
    assert_eq!(mirror.upstream.count(&blob_path("open/app", &layer)), 1);
}
