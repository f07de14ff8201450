use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::registry::{Registry, Rig, digest_of, failed, found, image_of, index_of, subject_of};
use crate::evidence::{Collected, Limits};
use crate::gate::{Evidence, EvidenceKind, Gathered, GrantKind, ManifestFacts};
use crate::oci::{Digest, MediaType};

async fn gather(registry: Registry, described: &Value) -> Collected {
    Rig::new(registry).await.collect(&subject_of(described), EvidenceKind::Manifest).await
}

async fn facts(registry: Registry, described: &Value) -> ManifestFacts {
    found(&gather(registry, described).await.evidence.manifest)
}

fn count(collected: &Collected, kind: GrantKind) -> usize {
    collected.grants.iter().filter(|grant| grant.kind == kind).count()
}

fn platforms(facts: &ManifestFacts) -> Vec<String> {
    facts.platforms.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn an_image_gives_its_platform_and_grants_what_it_lists() {
    let mut registry = Registry::default();
    let image = registry.image("linux/amd64");
    let rig = Rig::new(registry).await;
    let collected = rig.collect(&subject_of(&image), EvidenceKind::Manifest).await;
    let facts = found(&collected.evidence.manifest);
    assert_eq!(platforms(&facts), ["linux/amd64"]);
    assert_eq!((facts.layers, facts.is_index, facts.artifact_type), (1, false, None));
    assert_eq!(facts.malformed, None);
    assert_eq!(collected.gathered, [EvidenceKind::Manifest]);
    assert_eq!(collected.evidence.gathered_at.unwrap().milliseconds(), 1_000);
    assert_eq!((count(&collected, GrantKind::Config), count(&collected, GrantKind::Layer)), (1, 1));
    let platform = "linux/amd64".parse().unwrap();
    assert!(collected.grants.iter().all(|grant| grant.platform.as_ref() == Some(&platform)));
    let stored = rig.store.read(&digest_of(&image), 4096).await.unwrap();
    assert!(stored.is_some(), "the manifest is kept");
    for grant in &collected.grants {
        let stored = rig.store.read(&grant.digest, 4096).await.unwrap().is_some();
        assert_eq!(stored, grant.kind == GrantKind::Config, "configs are kept, layers not fetched");
    }
}

#[tokio::test]
async fn an_index_grants_its_children_by_platform() {
    let mut registry = Registry::default();
    let mut children = vec![registry.image("linux/amd64"), registry.image("linux/arm64")];
    children[0]["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let inner = index_of(&[registry.image("linux/s390x")]);
    children.push(registry.manifest(&inner));
    let missing = json!({"mediaType": MediaType::OCI_MANIFEST, "size": 9,
        "digest": Digest::sha256(b"not there")});
    children.push(missing.clone());
    children.push(json!({"mediaType": "text/plain", "size": 1, "digest": Digest::sha256(b"x")}));
    let index = registry.manifest(&index_of(&children));
    let collected = gather(registry, &index).await;
    let facts = found(&collected.evidence.manifest);
    assert!(facts.is_index);
    assert_eq!(platforms(&facts), ["linux/amd64", "linux/arm64", "linux/s390x"]);
    assert_eq!((facts.children.len(), facts.layers), (6, 1));
    assert!(facts.children.contains(&digest_of(&missing)), "listed all the same");
    assert_eq!(count(&collected, GrantKind::Manifest), 4);
    assert_eq!((count(&collected, GrantKind::Config), count(&collected, GrantKind::Layer)), (3, 3));
    assert!(collected.grants.iter().all(|grant| grant.digest != digest_of(&missing)));
    for grant in collected.grants.iter().filter(|grant| grant.kind == GrantKind::Layer) {
        let layer = format!("layer of {}", grant.platform.as_ref().unwrap());
        assert_eq!(grant.digest, Digest::sha256(layer.as_bytes()));
    }
}

#[tokio::test]
async fn absence_is_told_from_failure() {
    let mut registry = Registry::default();
    let image = registry.image("linux/amd64");
    let mut without = registry.clone();
    without.content.remove(&digest_of(&image));
    assert_eq!(gather(without, &image).await.evidence.manifest, Gathered::Absent);
    let config = serde_json::from_slice::<Value>(&registry.content[&digest_of(&image)]).unwrap();
    let config = digest_of(&config["config"]);
    for fails in [digest_of(&image), config] {
        let mut failing = registry.clone();
        failing.failing.insert(fails.to_string());
        let collected = gather(failing, &image).await;
        assert!(failed(&collected.evidence.manifest));
        assert!(collected.grants.is_empty() && collected.gathered.is_empty());
    }
    let mut lying = registry.clone();
    lying.content.insert(digest_of(&image), "{}".into());
    assert!(failed(&gather(lying, &image).await.evidence.manifest), "other bytes");
    let mut lying = registry.clone();
    let length = lying.content[&config].len();
    lying.content.insert(config, " ".repeat(length).into());
    assert!(failed(&gather(lying, &image).await.evidence.manifest), "another config");
    registry.content.remove(&config);
    assert!(failed(&gather(registry, &image).await.evidence.manifest), "no config");
}

#[tokio::test]
async fn a_child_that_cannot_be_fetched_fails_the_index() {
    let mut registry = Registry::default();
    let child = registry.image("linux/amd64");
    let index = registry.manifest(&index_of(std::slice::from_ref(&child)));
    registry.failing.insert(digest_of(&child).to_string());
    assert!(failed(&gather(registry, &index).await.evidence.manifest));
}

#[tokio::test]
async fn content_that_is_wrong_under_its_right_digest_is_decided() {
    let mut registry = Registry::default();
    let config = registry.described(MediaType::OCI_CONFIG, b"not json");
    let mut lists_both = index_of(&[]);
    lists_both["config"] = config.clone();
    let huge = json!({"mediaType": MediaType::OCI_CONFIG, "digest": digest_of(&config),
        "size": 5 * 1024 * 1024});
    for wrong in [lists_both, image_of(&config, &[]), image_of(&huge, &[]), json!({})] {
        let described = registry.manifest(&wrong);
        let facts = facts(registry.clone(), &described).await;
        assert!(facts.malformed.is_some(), "{wrong}");
    }
    let large = registry.described(MediaType::OCI_MANIFEST, &vec![b' '; 5 * 1024 * 1024]);
    assert!(facts(registry, &large).await.malformed.is_some());
}

#[tokio::test]
async fn a_child_that_is_not_what_the_index_says_is_not_granted() {
    let mut registry = Registry::default();
    let good = registry.image("linux/amd64");
    let mut wrong_size = registry.image("linux/arm64");
    wrong_size["size"] = json!(1);
    let mut wrong_type = registry.image("linux/s390x");
    wrong_type["mediaType"] = json!(MediaType::OCI_INDEX);
    let broken = registry.described(MediaType::OCI_MANIFEST, b"{}");
    let large = registry.described(MediaType::OCI_MANIFEST, &vec![b' '; 5 * 1024 * 1024]);
    let children = [good.clone(), wrong_size, wrong_type, broken, large];
    let index = registry.manifest(&index_of(&children));
    let collected = gather(registry, &index).await;
    assert_eq!(found(&collected.evidence.manifest).malformed, None);
    let granted: Vec<_> =
        collected.grants.iter().filter(|grant| grant.kind == GrantKind::Manifest).collect();
    assert_eq!(granted.len(), 1);
    assert_eq!(granted[0].digest, digest_of(&good));
}

#[tokio::test]
async fn nesting_and_counts_are_bounded() {
    let mut registry = Registry::default();
    let mut level = registry.image("linux/amd64");
    for depth in 0..4 {
        level = registry.manifest(&index_of(&[level]));
        let facts = facts(registry.clone(), &level).await;
        assert_eq!(facts.malformed.is_some(), depth >= 2, "{depth}");
    }
    let children: Vec<_> = (0..6).map(|n| registry.image(&format!("linux/{n}"))).collect();
    let index = registry.manifest(&index_of(&children));
    let limits = Limits { children: 5, ..Limits::default() };
    let rig = Rig::limited(registry.clone(), limits).await;
    let collected = rig.collect(&subject_of(&index), EvidenceKind::Manifest).await;
    assert!(found(&collected.evidence.manifest).malformed.is_some());
    assert!(registry.asked.lock().unwrap().len() < 40, "children were not fetched");
    let limits = Limits { bytes: 1_500, ..Limits::default() };
    let rig = Rig::limited(registry, limits).await;
    let collected = rig.collect(&subject_of(&index), EvidenceKind::Manifest).await;
    assert!(failed(&collected.evidence.manifest));
}

/// Nodes take the entry for their platform, wherever in the list it stands.
#[tokio::test]
async fn an_image_that_is_listed_as_an_attestation_and_for_a_platform_is_an_image() {
    let mut registry = Registry::default();
    let unknown = json!({"os": "unknown", "architecture": "unknown"});
    let config = registry.described(MediaType::OCI_CONFIG, unknown.to_string().as_bytes());
    let layer = registry.described("application/vnd.in-toto+json", b"a tar all the same");
    let mut as_attestation = registry.manifest(&image_of(&config, &[layer]));
    as_attestation["platform"] = unknown;
    let mut as_image = as_attestation.clone();
    as_image["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let other = registry.image("linux/arm64");
    for (listed, count) in [
        (vec![as_attestation.clone(), other.clone()], 1),
        (vec![as_attestation.clone(), as_image.clone(), other.clone()], 2),
        (vec![as_image, as_attestation, other], 2),
    ] {
        let index = registry.manifest(&index_of(&listed));
        let facts = facts(registry.clone(), &index).await;
        assert_eq!(facts.images_for(&[]).unwrap().len(), count, "{listed:?}");
        let amd64 = "linux/amd64".parse().unwrap();
        assert_eq!(facts.images_for(&[amd64]).unwrap().len(), count - 1, "{listed:?}");
        assert_eq!(facts.children.len(), 2);
    }
}

#[tokio::test]
async fn an_image_of_layers_for_other_platforms_can_run_there() {
    let mut registry = Registry::default();
    let config = registry.described(MediaType::OCI_CONFIG, b"{}");
    let layer_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    let mut image = |layers: &[&str], platform: &str| {
        let layers: Vec<Value> =
            layers.iter().map(|layer| registry.described(layer_type, layer.as_bytes())).collect();
        let mut image = registry.manifest(&image_of(&config, &layers));
        let (os, architecture) = platform.split_once('/').unwrap();
        image["platform"] = json!({"os": os, "architecture": architecture});
        image
    };
    let amd64 = image(&["a", "b", "c"], "linux/amd64");
    let part = image(&["a", "b"], "linux/s390x");
    let mixed = image(&["a", "own"], "linux/arm64");
    let none = image(&[], "linux/riscv64");
    // Listed before with another size, under which nobody has it: that hides no layer.
    let mut wrong = part.clone();
    wrong["size"] = json!(1);
    wrong["platform"] = json!({"os": "linux", "architecture": "ppc64le"});
    let listed = [wrong, amd64.clone(), part.clone(), mixed, none];
    let index = registry.manifest(&index_of(&listed));
    let facts = facts(registry, &index).await;
    let served = facts.images_for(&["linux/amd64".parse().unwrap()]).unwrap();
    let served: Vec<Digest> = served.into_iter().map(|image| image.digest).collect();
    assert_eq!(served, [digest_of(&amd64), digest_of(&part)]);
    assert_eq!(facts.images_for(&[]).unwrap().len(), 4, "each is there once");
}

#[tokio::test]
async fn a_child_listed_many_times_is_fetched_once() {
    let mut registry = Registry::default();
    let child = registry.image("linux/amd64");
    let index = registry.manifest(&index_of(&vec![child.clone(); 50]));
    let collected = gather(registry.clone(), &index).await;
    assert_eq!(found(&collected.evidence.manifest).children.len(), 1);
    let child = digest_of(&child).to_string();
    assert_eq!(registry.asked.lock().unwrap().iter().filter(|asked| **asked == child).count(), 1);
}

#[tokio::test]
async fn foreign_layers_are_named_and_not_granted() {
    let mut registry = Registry::default();
    let mut manifest = registry.image_manifest("windows/amd64");
    manifest["layers"][0]["urls"] = json!(["http://169.254.169.254/"]);
    let image = registry.manifest(&manifest);
    let index = registry.manifest(&index_of(std::slice::from_ref(&image)));
    for described in [image, index] {
        let collected = gather(registry.clone(), &described).await;
        let facts = found(&collected.evidence.manifest);
        assert_eq!(facts.foreign_layer, Some(digest_of(&manifest["layers"][0])));
        assert_eq!(count(&collected, GrantKind::Layer), 0);
    }
}

#[tokio::test]
async fn parameters_make_no_artifact_of_an_image_and_hide_none_in_an_index() {
    let mut registry = Registry::default();
    let with_parameter = |described: &mut Value| {
        let written = format!("{}; x=1", described["mediaType"].as_str().unwrap());
        described["mediaType"] = json!(written);
    };
    let mut disguised = registry.image_manifest("windows/amd64");
    disguised["artifactType"] = json!("application/vnd.cncf.helm.config.v1+json");
    with_parameter(&mut disguised["config"]);
    let mut disguised = registry.manifest(&disguised);
    let read = facts(registry.clone(), &disguised).await;
    assert_eq!(read.artifact_type, None);
    assert_eq!(read.platforms, ["windows/amd64".parse().unwrap()]);
    with_parameter(&mut disguised);
    let index = registry.manifest(&index_of(std::slice::from_ref(&disguised)));
    let read = facts(registry, &index).await;
    assert_eq!(read.platforms, ["windows/amd64".parse().unwrap()]);
    assert_eq!(read.images.unwrap().len(), 1, "it is looked at as the image that it is");
}

#[tokio::test]
async fn an_artifact_has_no_platform_and_an_image_is_no_artifact() {
    let mut registry = Registry::default();
    let config = registry.described("application/vnd.cncf.helm.config.v1+json", b"{}");
    let chart = registry.manifest(&image_of(&config, &[]));
    let facts_of_chart = facts(registry.clone(), &chart).await;
    let artifact_type = facts_of_chart.artifact_type.as_deref();
    assert_eq!(artifact_type, Some("application/vnd.cncf.helm.config.v1+json"));
    assert!(facts_of_chart.platforms.is_empty());
    let mut disguised = registry.image_manifest("linux/amd64");
    disguised["artifactType"] = json!("application/vnd.cncf.helm.config.v1+json");
    let disguised = registry.manifest(&disguised);
    assert_eq!(facts(registry.clone(), &disguised).await.artifact_type, None);
    let mut index = index_of(&[chart, disguised]);
    index["artifactType"] = json!("application/vnd.cncf.helm.config.v1+json");
    let index = registry.manifest(&index);
    assert_eq!(facts(registry, &index).await.artifact_type, None);
}

#[tokio::test]
async fn the_first_look_is_upstreams_whatever_the_store_has() {
    let mut registry = Registry::default();
    let image = registry.image("linux/amd64");
    let rig = Rig::new(registry).await;
    let subject = subject_of(&image);
    let collected = rig.collect(&subject, EvidenceKind::Manifest).await;
    let mut elsewhere = Rig::new(Registry::default()).await;
    elsewhere.gatherer.store = rig.store.clone();
    let stranger = elsewhere.collect(&subject, EvidenceKind::Manifest).await;
    assert_eq!(stranger.evidence.manifest, Gathered::Absent, "another repository's content");
    // Seen before in this repository, the content here will do, and a failure loses nothing.
    let kinds = [EvidenceKind::Manifest];
    let again = elsewhere.gatherer.collect(&subject, &kinds, collected.evidence.clone()).await;
    assert_eq!(again.evidence.manifest, collected.evidence.manifest);
    assert_eq!(again.grants, collected.grants);
}

#[tokio::test]
async fn what_was_shown_as_a_blob_was_not_shown_as_a_manifest() {
    let mut registry = Registry::default();
    let hidden = registry.image("linux/amd64");
    let mut config = hidden.clone();
    config["mediaType"] = json!(MediaType::OCI_CONFIG);
    let showing = registry.manifest(&image_of(&config, &[]));
    let asked = Arc::clone(&registry.asked);
    let rig = Rig::new(registry).await;
    for described in [&showing, &hidden, &showing, &hidden] {
        rig.collect(&subject_of(described), EvidenceKind::Manifest).await;
    }
    let digest = digest_of(&hidden).to_string();
    let count = asked.lock().unwrap().iter().filter(|what| **what == digest).count();
    assert_eq!(count, 2, "once as a blob, once as a manifest");
}

#[tokio::test]
async fn a_known_manifest_survives_a_failure() {
    let mut registry = Registry::default();
    let image = registry.image("linux/amd64");
    let subject = subject_of(&image);
    let known = Rig::new(registry.clone()).await.collect(&subject, EvidenceKind::Manifest).await;
    registry.failing.insert(subject.digest.to_string());
    let rig = Rig::new(registry).await;
    let kinds = [EvidenceKind::Manifest];
    let after = rig.gatherer.collect(&subject, &kinds, known.evidence.clone()).await;
    assert_eq!(after.evidence.manifest, known.evidence.manifest);
    assert!(after.gathered.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_never_answers_is_a_failure() {
    let registry = Registry { silent: true, ..Registry::default() };
    let limits = Limits { time: Duration::from_mins(1), ..Limits::default() };
    let rig = Rig::limited(registry, limits).await;
    let subject = subject_of(&json!({"digest": Digest::sha256(b"x")}));
    let kinds = [EvidenceKind::Manifest, EvidenceKind::Signatures];
    let collected = rig.gatherer.collect(&subject, &kinds, Evidence::default()).await;
    assert!(failed(&collected.evidence.manifest) && failed(&collected.evidence.signatures));
}
