//! What gates ask of the configurations of images.

use bytes::Bytes;
use pratique::oci::{Digest, MediaType};
use serde_json::{Value, json};

use crate::support::mirror::TestMirror;
use crate::support::upstream::{Artifact, Fault, Image, Index};

const REPOSITORY: &str = "lib/app";
const NON_ROOT: &str = "user: {nonRoot: true}";

/// A policy whose one gate is `gate`; without one the rule names none.
fn policy(gate: &str, rest: &str) -> String {
    let (gates, named) = match gate {
        "" => (String::new(), ""),
        gate => (format!("gates: {{strict: {{{gate}}}}}\n"), ", gates: [strict]"),
    };
    let rule = format!("{{id: app, match: [\"up.test/lib/*\"], trust: allow{named}}}");
    format!("{gates}{rest}\nrules: [{rule}]\n")
}

async fn start(gate: &str) -> TestMirror {
    TestMirror::start_with(&policy(gate, ""), |_| {}).await
}

/// An image for `linux/ARCHITECTURE` whose configuration says `config` of its container.
fn image(architecture: &str, config: &Value) -> Artifact {
    let config = json!({
        "os": "linux",
        "architecture": architecture,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": []},
    });
    with_config(architecture, &config.to_string())
}

fn with_config(architecture: &str, config: &str) -> Artifact {
    let layer = format!("layer of {}", Digest::sha256(config.as_bytes()));
    let image = Image::new().platform(&format!("linux/{architecture}"));
    image.config(MediaType::OCI_CONFIG, config.to_owned()).layer(layer).build()
}

/// Panics where anything below `folder` but the blobs themselves has `canary` in it.
fn assert_nowhere(folder: &std::path::Path, canary: &str) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if !path.ends_with("blobs") {
                assert_nowhere(&path, canary);
            }
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found, "{canary} is in {}", path.display());
    }
}

#[tokio::test]
async fn an_image_is_served_by_what_its_configuration_says_without_a_scan() {
    let mirror = start(NON_ROOT).await;
    for (tag, config) in [("app", json!({"User": "app"})), ("id", json!({"User": "1000:0"}))] {
        mirror.upstream.push(REPOSITORY, tag, &image("amd64", &config));
        mirror.pull(REPOSITORY, tag).await.assert_complete();
    }
    for (tag, config, why) in [
        ("none", json!({}), "runs as root: its configuration has no USER"),
        ("null", Value::Null, "runs as root: its configuration has no USER"),
        ("zero", json!({"User": "00:7"}), "runs as root: its USER is 00:7"),
        ("large", json!({"User": "4294967296"}), "its USER 4294967296 is nobody for certain"),
    ] {
        let artifact = image("amd64", &config);
        mirror.upstream.push(REPOSITORY, tag, &artifact);
        let phrase = format!("Denied by rule app: {why}");
        mirror.pull(REPOSITORY, tag).await.assert_refused(&phrase);
        let layer = artifact.layer(0);
        assert_eq!(mirror.blob(REPOSITORY, &layer).await.status, 403);
        assert_eq!(mirror.upstream.count(&layer.to_string()), 0, "no layer was asked for");
        let error = mirror.manifest(REPOSITORY, tag).await.error();
        let told = error["message"].to_string();
        assert!(told.contains("gates.strict.user"), "{told}");
    }
}

#[tokio::test]
async fn a_secret_in_the_environment_is_refused_and_told_to_nobody() {
    let gate = "env: {denySecretLike: true, denyNames: [\"*_canary_name\"]}";
    let mirror = start(gate).await;
    let secret = ["gh", "p_canary0canary0canary0canary0canary0can"].concat();
    let env =
        json!({"Env": ["PATH=/bin", format!("TOKEN={secret}"), "A_CANARY_NAME=canary-value"]});
    let bare = json!({"Env": [secret]});
    for (tag, config, expected) in [
        ("1", &env, "environment variable TOKEN looks like a secret (GitHub token)"),
        ("2", &bare, "environment variable (name withheld) looks like a secret"),
    ] {
        mirror.upstream.push(REPOSITORY, tag, &image("amd64", config));
        let answer = mirror.manifest(REPOSITORY, tag).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.phrase.contains(expected), "{answer:?}");
        let told = format!("{answer:?} {}", answer.error());
        assert!(!told.contains("canary0") && !told.contains("canary-value"), "{told}");
    }
    let told = mirror.manifest(REPOSITORY, "1").await.error()["message"].to_string();
    assert!(told.contains("A_CANARY_NAME is refused by its name"), "{told}");
    let data = mirror.folder().join("data");
    for canary in ["canary0canary0", "canary-value"] {
        assert_nowhere(&data, canary);
    }
}

#[tokio::test]
async fn every_image_of_an_index_that_is_served_must_pass() {
    let mirror = start(NON_ROOT).await;
    let good = image("amd64", &json!({"User": "7"}));
    let bad = image("arm64", &json!({"User": "root"}));
    let index = Index::new().child(good).child(bad).build();
    mirror.upstream.push(REPOSITORY, "1", &index);
    let why = "Denied by rule app: linux/arm64: runs as root: its USER is root";
    mirror.pull(REPOSITORY, "1").await.assert_refused(why);
    assert_eq!(mirror.blob(REPOSITORY, &index.children[0].layer(0)).await.status, 403);
    mirror.set_policy(&policy(NON_ROOT, "floor: {platforms: [linux/amd64]}"), 2).await;
    assert_eq!(mirror.manifest(REPOSITORY, "1").await.status, 200);
    mirror.pull(REPOSITORY, index.children[0].digest()).await.assert_complete();
    assert_eq!(mirror.blob(REPOSITORY, &index.children[1].layer(0)).await.status, 403);
}

/// An image that an index lists for `platform`, whatever its configuration says, of one layer.
fn listed(platform: &str, user: &str, layer: &str) -> Artifact {
    let config = json!({
        "os": "linux", "architecture": "amd64", "config": {"User": user},
        "rootfs": {"type": "layers", "diff_ids": []},
    });
    let image = Image::new().platform(platform).config(MediaType::OCI_CONFIG, config.to_string());
    image.layer(layer.to_owned()).build()
}

/// What is listed for a platform that is not served is not judged with the index: so it must not run.
#[tokio::test]
async fn what_is_listed_for_another_platform_cannot_be_run_by_it() {
    let mirror = start(NON_ROOT).await;
    mirror.set_policy(&policy(NON_ROOT, "floor: {platforms: [linux/amd64]}"), 2).await;
    let good = listed("linux/amd64", "7", "x");
    let same_layers = listed("linux/s390x", "root", "x");
    let index = Index::new().child(good.clone()).child(same_layers).build();
    mirror.upstream.push(REPOSITORY, "same", &index);
    let why = "Denied by rule app: runs as root: its USER is root";
    mirror.pull(REPOSITORY, "same").await.assert_refused(why);
    let own_layers = listed("linux/s390x", "root", "y");
    let index = Index::new().child(good).child(own_layers.clone()).build();
    mirror.upstream.push(REPOSITORY, "own", &index);
    mirror.upstream.push(REPOSITORY, "alone", &own_layers);
    assert_eq!(mirror.manifest(REPOSITORY, "own").await.status, 200);
    // Nodes may fetch all manifests of an index, but no tag leads to one that was refused by itself.
    assert_eq!(mirror.manifest(REPOSITORY, own_layers.digest()).await.status, 200);
    mirror.pull(REPOSITORY, "alone").await.assert_refused(why);
    assert_eq!(mirror.blob(REPOSITORY, &own_layers.layer(0)).await.status, 403);
}

#[tokio::test]
async fn a_configuration_that_nodes_read_in_another_way_is_refused() {
    let mirror = start(NON_ROOT).await;
    for (tag, config) in [
        ("letters", r#"{"config":{"User":"app","user":"root"}}"#),
        ("outer", r#"{"config":{"User":"app"},"Config":{"User":"root"}}"#),
        ("long-s", "{\"config\":{\"User\":\"app\",\"U\u{17f}er\":\"root\"}}"),
        ("array", r#"{"config":["app"]}"#),
    ] {
        mirror.upstream.push(REPOSITORY, tag, &with_config("amd64", config));
        let why = "Denied by rule app: its configuration is not well formed";
        mirror.pull(REPOSITORY, tag).await.assert_refused(why);
    }
    // A key that is there twice makes the image malformed whatever the rule asks for.
    let twice = r#"{"config":{"User":"app","User":"root"}}"#;
    mirror.upstream.push(REPOSITORY, "twice", &with_config("amd64", twice));
    mirror.pull(REPOSITORY, "twice").await.assert_refused("Denied: ");
}

#[tokio::test]
async fn a_flood_of_labels_is_refused_and_takes_no_room_in_the_ledger() {
    let mirror = start("labels: {require: [wanted]}").await;
    let labels: Vec<String> = (0..250_000).map(|i| format!("\"l{i}\":\"x\"")).collect();
    let config = format!(r#"{{"config":{{"Labels":{{"wanted":"x",{}}}}}}}"#, labels.join(","));
    assert!(config.len() < 4 << 20);
    mirror.upstream.push(REPOSITORY, "1", &with_config("amd64", &config));
    let why = "Denied by rule app: its configuration has more than 1000 labels";
    mirror.pull(REPOSITORY, "1").await.assert_refused(why);
    let length = |name: &str| {
        let path = mirror.folder().join("data").join(name);
        std::fs::metadata(path).map_or(0, |file| file.len())
    };
    let ledger = [length("ledger.db"), length("ledger.db-wal")];
    assert!(ledger[0] > 0 && ledger.iter().sum::<u64>() < 2 << 20, "{ledger:?}");
}

#[tokio::test]
async fn what_is_no_image_passes_only_where_the_gate_says_so() {
    for (gate, status) in [(NON_ROOT, 403), ("user: {nonRoot: true}, notApplicable: allow", 200)] {
        let mirror = start(gate).await;
        let chart = Image::artifact("application/vnd.cncf.helm.config.v1+json").layer("c").build();
        mirror.upstream.push(REPOSITORY, "chart", &chart);
        let answer = mirror.manifest(REPOSITORY, "chart").await;
        assert_eq!(answer.status, status, "{answer:?}");
        // Layers of an image under a configuration that calls itself something else.
        let root = r#"{"os":"linux","architecture":"amd64","config":{"User":"root"}}"#;
        let other = Image::new().config("application/vnd.x.config+json", root).layer("x").build();
        mirror.upstream.push(REPOSITORY, "other", &other);
        assert_eq!(mirror.manifest(REPOSITORY, "other").await.status, status);
    }
}

#[tokio::test]
async fn a_new_policy_is_asked_about_what_was_admitted_and_without_upstream() {
    let mirror = start("").await;
    let root = image("amd64", &json!({"User": "0", "ExposedPorts": {"20-25/tcp": {}}}));
    mirror.upstream.push(REPOSITORY, "1", &root);
    let digest = root.digest();
    mirror.pull(REPOSITORY, digest).await.assert_complete();
    mirror.upstream.go_away();
    for (revision, gate, why) in [
        (2, NON_ROOT, Some("runs as root: its USER is 0")),
        (3, "exposedPorts: {deny: [22]}", Some("port 22 is exposed, by 20-25/tcp")),
        (4, "exposedPorts: {deny: [80]}", None),
        (5, "", None),
    ] {
        mirror.set_policy(&policy(gate, ""), revision).await;
        let pulled = mirror.pull(REPOSITORY, digest).await;
        match why {
            Some(why) => pulled.assert_refused(&format!("Denied by rule app: {why}")),
            None => pulled.assert_complete(),
        }
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_had_decides_nothing() {
    let mirror = start(NON_ROOT).await;
    let artifact = image("amd64", &json!({"User": "7"}));
    mirror.upstream.push(REPOSITORY, "1", &artifact);
    mirror.upstream.fault(&artifact.config().to_string(), Fault::Status(500));
    let answer = mirror.manifest(REPOSITORY, "1").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    mirror.upstream.heal();
    mirror.clock.advance(std::time::Duration::from_secs(301));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
}

#[tokio::test]
async fn an_image_that_comes_later_is_looked_at_then() {
    let mirror = start(NON_ROOT).await;
    let [good, late] = ["amd64", "arm64"].map(|of| image(of, &json!({"User": "7"})));
    let children = [good.descriptor(), late.descriptor()];
    mirror.upstream.push_untagged(REPOSITORY, &good);
    let index =
        json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": children});
    let digest = mirror.upstream.put_manifest(
        REPOSITORY,
        MediaType::OCI_INDEX,
        Bytes::from(index.to_string()),
    );
    let why = "Denied by rule app: linux/arm64: its configuration is not there upstream";
    mirror.pull(REPOSITORY, digest).await.assert_refused(why);
    mirror.upstream.push_untagged(REPOSITORY, &late);
    mirror.clock.advance(std::time::Duration::from_secs(61));
    assert_eq!(mirror.manifest(REPOSITORY, digest).await.status, 200);
}

#[tokio::test]
async fn a_gate_that_is_only_observed_refuses_nothing() {
    let mirror =
        TestMirror::start_with(&format!("mode: audit\n{}", policy(NON_ROOT, "")), |_| {}).await;
    mirror.upstream.push(REPOSITORY, "1", &image("amd64", &json!({})));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
}
