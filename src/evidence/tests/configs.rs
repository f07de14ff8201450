use serde_json::{Value, json};

use super::registry::{Registry, Rig, digest_of, failed, found, image_of, index_of, subject_of};
use crate::evidence::Limits;
use crate::gate::{ConfigOf, Evidence, EvidenceKind, Gathered, ImageConfigs};
use crate::oci::{Digest, MediaType};

const BOTH: [EvidenceKind; 2] = [EvidenceKind::Manifest, EvidenceKind::Configs];

fn image(registry: &mut Registry, media_type: &str, config: &[u8]) -> Value {
    let config = registry.described(media_type, config);
    registry.manifest(&image_of(&config, &[]))
}

fn with_user(registry: &mut Registry, architecture: &str, user: &str) -> Value {
    let config = json!({"os": "linux", "architecture": architecture, "config": {"User": user}});
    let mut described = image(registry, MediaType::OCI_CONFIG, config.to_string().as_bytes());
    described["platform"] = json!({"os": "linux", "architecture": architecture});
    described
}

async fn gathered(rig: &Rig, described: &Value) -> Gathered<ImageConfigs> {
    let subject = subject_of(described);
    rig.gatherer.collect(&subject, &BOTH, Evidence::default()).await.evidence.configs
}

fn users(configs: &ImageConfigs, listed: &[&Value]) -> Vec<String> {
    let user = |described: &&Value| match &configs.images[&digest_of(described)] {
        ConfigOf::Read(config) => config.user.clone(),
        other => format!("{other:?}"),
    };
    listed.iter().map(user).collect()
}

#[tokio::test]
async fn the_configuration_of_an_image_is_read_without_another_request() {
    let mut registry = Registry::default();
    let described = with_user(&mut registry, "amd64", "app");
    let asked = registry.asked.clone();
    let rig = Rig::new(registry).await;
    let subject = subject_of(&described);
    let manifest = [EvidenceKind::Manifest];
    let known = rig.gatherer.collect(&subject, &manifest, Evidence::default()).await.evidence;
    let before = asked.lock().unwrap().len();
    let kinds = [EvidenceKind::Configs];
    let collected = rig.gatherer.collect(&subject, &kinds, known.clone()).await;
    assert_eq!(asked.lock().unwrap().len(), before);
    assert_eq!(users(&found(&collected.evidence.configs), &[&described]), ["app"]);
    assert!(collected.grants.is_empty() && collected.gathered.is_empty());
    assert_eq!(collected.evidence.gathered_at, known.gathered_at, "nothing was looked for anew");
}

#[tokio::test]
async fn each_image_of_an_index_has_its_own_and_what_is_not_there_is_told() {
    let mut registry = Registry::default();
    let amd64 = with_user(&mut registry, "amd64", "app");
    let arm64 = with_user(&mut registry, "arm64", "root");
    let absent = json!({"mediaType": MediaType::OCI_MANIFEST, "size": 9,
        "digest": Digest::sha256(b"not there"), "platform": {"os": "linux", "architecture": "arm"}});
    let inner = registry.manifest(&index_of(std::slice::from_ref(&arm64)));
    let index = registry.manifest(&index_of(&[amd64.clone(), inner, absent.clone()]));
    let rig = Rig::new(registry).await;
    let configs = found(&gathered(&rig, &index).await);
    assert_eq!(users(&configs, &[&amd64, &arm64, &absent]), ["app", "root", "Absent"]);
    assert_eq!(configs.images.len(), 3);
}

#[tokio::test]
async fn what_is_no_configuration_of_an_image_is_told_from_one_that_cannot_be_read() {
    let mut registry = Registry::default();
    let other = image(&mut registry, "application/vnd.x.config+json", b"{\"config\":{}}");
    let empty = image(&mut registry, MediaType::OCI_EMPTY, b"{}");
    let odd = format!("{}; charset=utf-8", MediaType::OCI_CONFIG.to_uppercase());
    let odd = image(&mut registry, &odd, b"{\"config\":{\"User\":\"odd\"}}");
    let twice = image(
        &mut registry,
        MediaType::OCI_CONFIG,
        b"{\"config\":{\"User\":\"app\",\"user\":\"root\"}}",
    );
    let outer = image(&mut registry, MediaType::OCI_CONFIG, b"{\"config\":{},\"Config\":{}}");
    let null = image(&mut registry, MediaType::DOCKER_CONFIG, b"{\"config\":null}");
    let rig = Rig::new(registry).await;
    for (described, expected) in [
        (&other, "NoImage"),
        (&empty, "NoImage"),
        (&odd, "odd"),
        (&twice, "Unreadable(\"is not well formed: unexpected content at line 1 column "),
        (&outer, "Unreadable(\"is not well formed: unexpected content at line 1 column "),
        (&null, ""),
    ] {
        let configs = found(&gathered(&rig, described).await);
        let told = users(&configs, &[described]).remove(0);
        assert!(told.starts_with(expected) && expected.is_empty() == told.is_empty(), "{told}");
    }
}

#[tokio::test]
async fn what_cannot_be_had_is_failed_and_more_than_enough_is_not_read() {
    let mut registry = Registry::default();
    let described = with_user(&mut registry, "amd64", "app");
    let known = Rig::new(registry.clone()).await;
    let known = known.collect(&subject_of(&described), EvidenceKind::Manifest).await.evidence;
    // As if the cache had lost it, and upstream were away.
    registry.failing.insert(digest_of(&described).to_string());
    let rig = Rig::new(registry.clone()).await;
    let subject = subject_of(&described);
    let kinds = [EvidenceKind::Configs];
    let collected = rig.gatherer.collect(&subject, &kinds, known.clone()).await;
    assert!(failed(&collected.evidence.configs));
    registry.failing.clear();
    registry.silent = true;
    let limits = Limits { time: std::time::Duration::from_millis(10), ..Limits::default() };
    let rig = Rig::limited(registry, limits).await;
    let collected = rig.gatherer.collect(&subject, &kinds, known).await;
    assert!(failed(&collected.evidence.configs), "it took too long");
    // Where nothing is known of the manifest, there is nothing to read.
    let collected = rig.gatherer.collect(&subject, &kinds, Evidence::default()).await;
    assert_eq!(collected.evidence.configs, Gathered::NotGathered);
}
