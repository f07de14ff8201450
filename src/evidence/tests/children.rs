use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::registry::{Registry, Rig, digest_of, failed, found, image_of, index_of, subject_of};
use super::signatures::sign_by_tag;
use crate::evidence::{Collected, Limits};
use crate::gate::{Evidence, EvidenceKind, Gathered, ManifestFacts, Subject};
use crate::oci::{Digest, MediaType};

const MANIFEST: EvidenceKind = EvidenceKind::Manifest;
const BELOW: EvidenceKind = EvidenceKind::ChildSignatures;

/// What `image`, a listing of an index, is as a subject.
fn child(image: &Value) -> Subject {
    subject_of(image)
}

async fn gather(rig: &Rig, index: &Value) -> Collected {
    rig.gatherer.collect(&subject_of(index), &[MANIFEST, BELOW], Evidence::default()).await
}

/// What the index is taken to list, with platforms.
async fn images(registry: Registry, index: &Value) -> Vec<(Digest, String)> {
    let collected = Rig::new(registry).await.collect(&subject_of(index), MANIFEST).await;
    let facts: ManifestFacts = found(&collected.evidence.manifest);
    let platform = |platform: Option<crate::oci::Platform>| match platform {
        Some(platform) => platform.to_string(),
        None => "none".to_owned(),
    };
    let images = facts.images.expect("an index").into_iter();
    images.map(|image| (image.digest, platform(image.platform))).collect()
}

fn listed_as(mut listed: Value, os: &str, architecture: &str) -> Value {
    listed["platform"] = json!({"os": os, "architecture": architecture});
    listed
}

#[tokio::test]
async fn images_of_an_index_are_told_by_what_it_says_or_else_by_what_they_say() {
    let mut registry = Registry::default();
    let plain = registry.image("linux/amd64");
    let called = listed_as(registry.image("linux/riscv64"), "linux", "arm64");
    let absent = json!({"mediaType": MediaType::OCI_MANIFEST, "size": 9,
        "digest": Digest::sha256(b"not there")});
    let hidden = listed_as(
        json!({"mediaType": MediaType::OCI_MANIFEST, "size": 9, "digest": Digest::sha256(b"gone")}),
        "unknown",
        "unknown",
    );
    let deep = registry.image("linux/s390x");
    let inner = registry.manifest(&index_of(std::slice::from_ref(&deep)));
    let text = json!({"mediaType": "text/plain", "size": 1, "digest": Digest::sha256(b"x")});
    let empty = registry.described(MediaType::OCI_EMPTY, b"{}");
    let artifact = registry.manifest(&image_of(&empty, &[]));
    let mute = registry.described(MediaType::OCI_CONFIG, b"{}");
    let nowhere = registry.manifest(&image_of(&mute, &[]));
    let listed = [
        plain.clone(),
        called.clone(),
        absent.clone(),
        hidden,
        inner,
        text,
        artifact.clone(),
        nowhere.clone(),
    ];
    let index = registry.manifest(&index_of(&listed));
    let expected = [
        (&plain, "linux/amd64"),
        (&called, "linux/arm64"),
        (&absent, "none"),
        (&artifact, "none"),
        (&nowhere, "unknown/unknown"),
        (&deep, "linux/s390x"),
    ];
    let expected = expected.map(|(image, platform)| (digest_of(image), platform.to_owned()));
    assert_eq!(images(registry, &index).await, expected);
}

#[tokio::test]
async fn an_attestation_of_a_builder_is_told_by_all_that_is_in_it() {
    let statement = "application/vnd.in-toto+json";
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    for (config, layers, is_attestation) in [
        (r#"{"os":"unknown","architecture":"unknown"}"#, vec![statement, statement], true),
        ("{}", vec![statement], true),
        (r#"{"os":"linux","architecture":"amd64"}"#, vec![statement], false),
        (r#"{"os":"unknown","architecture":"unknown"}"#, vec![statement, layer], false),
        (r#"{"os":"unknown","architecture":"unknown"}"#, vec![], false),
    ] {
        for (os, architecture) in [("unknown", "unknown"), ("linux", "amd64")] {
            let mut registry = Registry::default();
            let config = registry.described(MediaType::OCI_CONFIG, config.as_bytes());
            let layers: Vec<_> = layers.iter().map(|it| registry.described(it, b"x")).collect();
            let image = registry.manifest(&image_of(&config, &layers));
            let index = index_of(&[listed_as(image, os, architecture)]);
            let index = registry.manifest(&index);
            let is_left_out = images(registry, &index).await.is_empty();
            assert_eq!(is_left_out, is_attestation && os == "unknown", "{config} {layers:?} {os}");
        }
    }
}

/// An index of signed images for these platforms.
fn signed(platforms: &[&str]) -> (Registry, Value, Vec<Value>) {
    let mut registry = Registry::default();
    let children: Vec<_> = platforms.iter().map(|platform| registry.image(platform)).collect();
    for image in &children {
        sign_by_tag(&mut registry, &child(image), &[b"signed"]);
    }
    let index = registry.manifest(&index_of(&children));
    (registry, index, children)
}

#[tokio::test]
async fn each_image_of_a_platform_that_is_served_is_searched_and_no_other() {
    let (registry, index, children) = signed(&["linux/amd64", "linux/arm64"]);
    let mut rig = Rig::new(registry).await;
    let collected = gather(&rig, &index).await;
    let below = found(&collected.evidence.child_signatures);
    for image in &children {
        assert_eq!(below.searches[&digest_of(image)].found.len(), 1);
    }
    assert_eq!(collected.gathered, [MANIFEST, BELOW]);
    assert_eq!(collected.evidence.signatures, Gathered::NotGathered);
    rig.gatherer.platforms = Arc::from(["linux/arm64".parse().unwrap()]);
    let below = found(&gather(&rig, &index).await.evidence.child_signatures);
    assert_eq!(below.searches.keys().collect::<Vec<_>>(), [&digest_of(&children[1])]);
}

#[tokio::test]
async fn what_was_found_on_an_image_is_not_lost_by_a_search_that_fails() {
    let (registry, index, children) = signed(&["linux/amd64", "linux/arm64"]);
    let mut rig = Rig::new(registry).await;
    let before = gather(&rig, &index).await.evidence;
    let tag = format!("sha256-{}.sig", digest_of(&children[0]).hex());
    rig.gatherer.source.failing.insert(tag);
    let subject = subject_of(&index);
    let again = rig.gatherer.collect(&subject, &[BELOW], before.clone()).await;
    assert_eq!(again.evidence.child_signatures, before.child_signatures);
    let anew = gather(&rig, &index).await.evidence;
    let below = found(&anew.child_signatures);
    let [first, second] = [0, 1].map(|at| &below.searches[&digest_of(&children[at])]);
    assert!(first.found.is_empty() && first.incomplete.is_some(), "{first:?}");
    assert!(second.found.len() == 1 && second.incomplete.is_none(), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn all_images_of_an_index_share_one_time() {
    let (registry, index, _) = signed(&["linux/amd64", "linux/arm64"]);
    let limits = Limits { time: Duration::from_secs(5), ..Limits::default() };
    let mut rig = Rig::limited(registry, limits).await;
    let before = gather(&rig, &index).await.evidence;
    rig.gatherer.source.silent = true;
    let subject = subject_of(&index);
    let unknown = Evidence { child_signatures: Gathered::NotGathered, ..before.clone() };
    let started = tokio::time::Instant::now();
    let after = rig.gatherer.collect(&subject, &[BELOW], unknown).await.evidence;
    assert!(failed(&after.child_signatures), "{after:?}");
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    let after = rig.gatherer.collect(&subject, &[BELOW], before.clone()).await.evidence;
    assert_eq!(after.child_signatures, before.child_signatures, "what was known stays");
}

#[tokio::test]
async fn what_is_kept_of_each_image_is_bounded_and_no_other_pays_for_it() {
    let (mut registry, index, children) = signed(&["linux/amd64", "linux/arm64"]);
    // Envelopes of 200 KiB, of which each image has room for 4 MiB in base64.
    let envelope = "application/jose+json";
    let flood = child(&children[0]).digest;
    let listed: Vec<_> = (0..32_u8)
        .map(|number| registry.referrer(&flood, envelope, &vec![number; 200 * 1024]))
        .collect();
    let list = registry.manifest(&index_of(&listed));
    registry.tag(&format!("sha256-{}", flood.hex()), &list);
    let rig = Rig::new(registry).await;
    let collected = gather(&rig, &index).await;
    let below = found(&collected.evidence.child_signatures);
    let [flooded, other] = [0, 1].map(|at| &below.searches[&digest_of(&children[at])]);
    assert_eq!(flooded.found.len(), 1 + 15);
    assert_eq!(flooded.skipped, ["17 signatures are more than is kept for one image"]);
    assert_eq!((other.found.len(), other.skipped.len()), (1, 0));
}

#[tokio::test]
async fn requests_for_all_images_together_are_no_more_than_for_one_subject() {
    let platforms: Vec<String> = (0..12).map(|number| format!("linux/p{number}")).collect();
    let platforms: Vec<&str> = platforms.iter().map(String::as_str).collect();
    let (mut registry, index, _) = signed(&platforms);
    let most = Arc::new(AtomicUsize::new(0));
    registry.at_once = Some((Arc::new(AtomicUsize::new(0)), Arc::clone(&most)));
    let limits = Limits { fetches_at_once: 3, ..Limits::default() };
    let rig = Rig::limited(registry, limits).await;
    let below = found(&gather(&rig, &index).await.evidence.child_signatures);
    assert_eq!(below.searches.len(), 12);
    assert_eq!(most.load(Ordering::Relaxed), 3);
}
