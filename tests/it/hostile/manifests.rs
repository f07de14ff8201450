//! Manifests that are not what they seem, and what upstreams say about them.

use bytes::Bytes;
use hyper::Method;
use pratique::oci::{Digest, MediaType};
use serde_json::{Value, json};

use crate::support::hostile::Fault;
use crate::support::hostile::rig::Rig;
use crate::support::upstream::{Artifact, Image, Index};

const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
const SCHEMA_1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

fn image(content: &str) -> (Artifact, Value) {
    let image = Image::new().layer(content.to_owned()).build();
    let manifest = serde_json::from_slice(&image.manifest).expect("JSON");
    (image, manifest)
}

/// Pushes `bytes` as the manifest of `open/odd` under their right digest and the tag 1, beside what
/// `image` has.
fn put(rig: &Rig, image: &Artifact, media_type: &str, bytes: impl Into<Bytes>) -> Digest {
    rig.upstream.push_untagged("open/odd", image);
    let digest = rig.upstream.put_manifest("open/odd", media_type, bytes);
    rig.upstream.tag("open/odd", "1", &[digest]);
    digest
}

/// By tag and by digest, HEAD and GET: a decided no, and no blob of it.
async fn assert_denied(rig: &Rig, image: &Artifact, digest: Digest, what: &str) {
    for reference in ["1".to_owned(), digest.to_string()] {
        let path = format!("open/odd/manifests/{reference}");
        assert_eq!(rig.ask(Method::HEAD, &path, &[]).await.status, 403, "{what}");
        let answer = rig.ask(Method::GET, &path, &[]).await;
        assert_eq!(
            (answer.status, answer.error()["code"].as_str()),
            (403, Some("DENIED")),
            "{what}"
        );
    }
    for blob in &image.blobs {
        assert_eq!(rig.blob("open/odd", &Digest::sha256(blob)).await.status, 403, "{what}");
    }
    rig.check().await;
}

#[tokio::test]
async fn a_manifest_that_two_parsers_may_read_differently_is_denied() {
    let rig = Rig::start().await;
    let (image, manifest) = image("two readings");
    let with = |key: &str, value: Value| {
        let mut changed = manifest.clone();
        changed[key] = value;
        changed.to_string().into_bytes()
    };
    let text = manifest.to_string();
    let twice = |key: &str| {
        let again = format!("\"{key}\":{},", manifest[key]);
        text.replacen('{', &format!("{{{again}"), 1).into_bytes()
    };
    let config = &manifest["config"];
    let fields = json!([config["mediaType"], config["digest"], config["size"], [], null, null, {}]);
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let oci = MediaType::OCI_MANIFEST;
    for (what, media_type, bytes) in [
        ("layers and manifests", oci, with("manifests", json!([]))),
        ("index by header", MediaType::OCI_INDEX, text.clone().into_bytes()),
        ("index by body", oci, with("mediaType", json!(MediaType::OCI_INDEX))),
        ("config twice", oci, twice("config")),
        ("layers twice", oci, twice("layers")),
        ("mediaType twice", oci, twice("mediaType")),
        // Go, by which nodes read, takes each for the one before, and of both the last.
        ("layers in two spellings", oci, with("Layers", json!([]))),
        ("layers by a long s", oci, with("layer\u{17f}", json!([]))),
        ("config in two spellings", oci, with("CONFIG", config.clone())),
        ("layers in another spelling", oci, text.replace("\"layers\"", "\"Layers\"").into_bytes()),
        ("digest in two spellings", oci, {
            let mut config = config.clone();
            config["Digest"] = manifest["layers"][0]["digest"].clone();
            with("config", config)
        }),
        (
            "100,000 arrays",
            oci,
            with("annotations", json!({})).into_iter().chain(deep.bytes()).collect(),
        ),
        (
            "deep arrays inside",
            oci,
            text.replacen('{', &format!("{{\"x\":{deep},"), 1).into_bytes(),
        ),
        ("an array", oci, format!("[2,null,null,{},[]]", manifest["config"]).into_bytes()),
        ("a list of fields", oci, with("config", fields)),
        ("byte order mark", oci, [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat()),
        ("UTF-16", oci, utf16),
        ("garbage behind", oci, format!("{text}x").into_bytes()),
        ("two documents", oci, format!("{text}{text}").into_bytes()),
        ("no JSON", oci, b"<html>".to_vec()),
        ("nothing", oci, Vec::new()),
        (
            "schema 1",
            SCHEMA_1,
            br#"{"schemaVersion":1,"name":"x","fsLayers":[],"history":[]}"#.to_vec(),
        ),
        (
            "signed schema 1",
            SCHEMA_1_SIGNED,
            br#"{"schemaVersion":1,"fsLayers":[],"signatures":[]}"#.to_vec(),
        ),
    ] {
        let digest = put(&rig, &image, media_type, bytes);
        assert_denied(&rig, &image, digest, what).await;
    }
}

#[tokio::test]
async fn a_size_that_is_no_size_is_denied() {
    let rig = Rig::start().await;
    let (image, manifest) = image("sizes");
    let size = manifest["layers"][0]["size"].to_string();
    for wrong in
        ["-1", "9223372036854775808", "18446744073709551616", "1e3", "1.0", "\"5\"", "null"]
    {
        let text = manifest.to_string();
        let (before, layers) = text.split_once("\"layers\"").expect("layers");
        let layers = layers.replacen(&format!("\"size\":{size}"), &format!("\"size\":{wrong}"), 1);
        let bytes = format!("{before}\"layers\"{layers}");
        assert_ne!(bytes, text);
        let digest = put(&rig, &image, MediaType::OCI_MANIFEST, bytes);
        assert_denied(&rig, &image, digest, wrong).await;
    }
}

#[tokio::test]
async fn a_layer_of_another_size_than_its_descriptor_never_ends_cleanly() {
    let rig = Rig::start().await;
    for (number, by) in [1_i64, -1, 1_000_000].into_iter().enumerate() {
        let image = Image::new()
            .layer(vec![u8::try_from(number).unwrap(); 100_000])
            .describe_last(|layer| layer.size = layer.size.checked_add_signed(by).unwrap())
            .build();
        let repository = format!("open/size-{number}");
        rig.upstream.push(&repository, "1", &image);
        assert!(!rig.pull(&repository, "1").await, "{by}");
        let stored = rig.mirror.mirror().store().open_blob(&image.layer(0), None).await.unwrap();
        assert!(stored.is_none(), "{by}: not kept");
    }
}

#[tokio::test]
async fn what_is_too_large_or_too_much_is_denied() {
    let rig = Rig::start().await;
    let (image, manifest) = image("too much");
    let sized = |bytes: usize| {
        let mut text = manifest.to_string();
        let padding = " ".repeat(bytes - text.len());
        text.insert_str(1, &padding);
        text
    };
    let limit = 4 * 1024 * 1024;
    for bytes in [limit - 1, limit] {
        put(&rig, &image, MediaType::OCI_MANIFEST, sized(bytes));
        assert!(rig.pull("open/odd", "1").await, "{bytes} bytes are allowed");
    }
    // Another mirror: this one would go on with what the tag was admitted as.
    let rig = Rig::start().await;
    let (other, _) = self::image("too much of another");
    let digest = put(&rig, &other, MediaType::OCI_MANIFEST, sized(limit + 1));
    assert_denied(&rig, &other, digest, "a byte too many").await;
    let mut many = manifest.clone();
    many["layers"] = json!(vec![manifest["layers"][0].clone(); 10_000]);
    let digest = put(&rig, &other, MediaType::OCI_MANIFEST, many.to_string());
    assert_denied(&rig, &other, digest, "10,000 layers").await;
    let mut index = Index::new();
    for number in 0..1_001 {
        index = index.child(self::image(&number.to_string()).0);
    }
    let digest = put(&rig, &other, MediaType::OCI_INDEX, index.build().manifest);
    assert_denied(&rig, &other, digest, "1,001 children").await;
    let asked = rig.upstream.count("GET /v2/open/odd/manifests/sha256");
    assert_eq!(asked, 3, "children were not asked for");
}

#[tokio::test]
async fn an_endless_manifest_is_read_to_the_cap_and_no_further() {
    let rig = Rig::start().await;
    let (image, _) = image("endless");
    rig.upstream.push("open/odd", "1", &image);
    rig.upstream.plan("GET /v2/open/odd/manifests/", Fault::EndlessBody);
    assert!(!rig.pull("open/odd", "1").await);
    for entry in rig.upstream.entries_of("GET /v2/open/odd/manifests/") {
        assert!(entry.bytes_sent() < 16 << 20, "{}", entry.bytes_sent());
    }
    rig.check().await;
}

#[tokio::test]
async fn an_index_may_hold_an_index_and_no_more() {
    let rig = Rig::start().await;
    let (image, _) = image("nested");
    let mut nested = Index::new().child(image.clone()).build();
    for depth in 1..=50 {
        let digest = rig.upstream.push("open/odd", "1", &nested);
        match depth {
            1 | 2 => assert_eq!(rig.manifest("open/odd", digest).await.status, 200, "{depth}"),
            3 | 50 => assert_eq!(rig.manifest("open/odd", digest).await.status, 403, "{depth}"),
            _ => {}
        }
        nested = Index::new().child(nested).build();
    }
    rig.check().await;
}

#[tokio::test]
async fn names_of_types_and_platforms_are_bounded_and_nobody_is_shown_them() {
    let rig = Rig::start().await;
    let (image, manifest) = image("long names");
    let long = format!("a/{}", "canary".repeat(10 * 1024 / 6));
    let with = |pointer: &str, key: &str, value: Value| {
        let mut changed = manifest.clone();
        changed.pointer_mut(pointer).expect("a place")[key] = value;
        (MediaType::OCI_MANIFEST, changed.to_string())
    };
    let child = |key: &str, value: Value| {
        let mut index = json!({"schemaVersion": 2, "manifests": [image.descriptor()]});
        index["manifests"][0][key] = value;
        (MediaType::OCI_INDEX, index.to_string())
    };
    for (what, (media_type, bytes)) in [
        ("artifact", with("", "artifactType", json!(long))),
        ("config", with("/config", "mediaType", json!(long))),
        ("layer", with("/layers/0", "mediaType", json!(long))),
        ("listed artifact", child("artifactType", json!(long))),
        ("listed platform", child("platform", json!({"os": long, "architecture": "amd64"}))),
    ] {
        let digest = put(&rig, &image, media_type, bytes);
        assert_denied(&rig, &image, digest, what).await;
        let answer = rig.manifest("open/odd", digest).await;
        assert!(answer.bytes().len() < 2_000, "{what}: {} bytes", answer.bytes().len());
        assert!(!String::from_utf8_lossy(answer.bytes()).contains("canary"), "{what}");
    }
    let config = json!({"os": long, "architecture": "amd64"}).to_string();
    let odd = Image::new().config(MediaType::OCI_CONFIG, config).layer("odd").build();
    let digest = put(&rig, &odd, MediaType::OCI_MANIFEST, odd.manifest.clone());
    assert_denied(&rig, &odd, digest, "a platform in a config").await;
    assert!(!rig.log().contains(&long), "the log repeats what upstream wrote");
}

#[tokio::test]
async fn annotations_are_served_as_they_are_and_kept_nowhere_else() {
    let rig = Rig::start().await;
    let (image, manifest) = image("annotated");
    let many: serde_json::Map<_, _> =
        (0..10_000).map(|number| (format!("canary-{number}"), json!("x"))).collect();
    for annotations in [Value::Object(many), json!({"canary": "canary".repeat(500_000)})] {
        let mut changed = manifest.clone();
        changed["annotations"] = annotations;
        let digest = put(&rig, &image, MediaType::OCI_MANIFEST, changed.to_string());
        assert!(rig.pull("open/odd", digest).await);
        assert_eq!(*rig.manifest("open/odd", digest).await.bytes(), changed.to_string());
        let token = std::fs::read_to_string(rig.mirror.folder().join("data/admin.token")).unwrap();
        let path = format!("/api/v1/explain?image=up.test/open/odd@{digest}");
        let explained = super::admin(&rig, &path, &token).await;
        assert!(explained.starts_with("HTTP/1.1 200"), "{explained:.200}");
        assert!(!explained.contains("canary") && !rig.log().contains("canary-9"), "repeated");
        rig.check().await;
    }
}

#[tokio::test]
async fn a_layer_whose_type_says_that_it_is_elsewhere_is_denied_without_an_address_too() {
    let rig = Rig::start().await;
    for (number, media_type) in [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ]
    .into_iter()
    .enumerate()
    {
        let content = format!("foreign {number}");
        let image = Image::new().layer_of(media_type, content, &[]).build();
        let digest = put(&rig, &image, MediaType::OCI_MANIFEST, image.manifest.clone());
        assert_denied(&rig, &image, digest, media_type).await;
    }
}

#[tokio::test]
async fn the_addresses_in_a_manifest_are_never_dialled() {
    let rig = Rig::start().await;
    let image = Image::new()
        .layer("foreign")
        .describe_last(|layer| {
            layer.urls = vec![
                format!("{}/layer", rig.elsewhere.url()),
                "http://169.254.169.254/latest/meta-data".to_owned(),
                "file:///etc/passwd".to_owned(),
            ];
        })
        .build();
    let digest = rig.upstream.push("open/odd", "1", &image);
    assert_denied(&rig, &image, digest, "foreign layer").await;
}

#[tokio::test]
async fn a_subject_that_is_missing_or_foreign_changes_nothing() {
    let rig = Rig::start().await;
    let (missing, _) = image("never pushed");
    let image = Image::new().layer("about it").subject(&missing).build();
    rig.upstream.push("open/odd", "1", &image);
    assert!(rig.pull("open/odd", "1").await);
    let answer = rig.manifest("open/odd", missing.digest()).await;
    assert_eq!(answer.status, 404);
    rig.check().await;
}

#[tokio::test]
async fn a_layer_as_config_or_a_config_as_layer_is_served_as_bytes_or_denied() {
    let rig = Rig::start().await;
    let (image, mut manifest) = image("swapped");
    let (config, layer) = (manifest["config"].clone(), manifest["layers"][0].clone());
    for key in ["digest", "size"] {
        manifest["config"][key] = layer[key].clone();
        manifest["layers"][0][key] = config[key].clone();
    }
    let digest = put(&rig, &image, MediaType::OCI_MANIFEST, manifest.to_string());
    assert_denied(&rig, &image, digest, "a config that is no config").await;
}

#[tokio::test]
async fn the_stored_type_is_served_whatever_accept_says() {
    let rig = Rig::start().await;
    let long = format!("{}*/*", "application/x;q=0.1,".repeat(400));
    for accept in ["", "*/*", SCHEMA_1, MediaType::OCI_INDEX, "text/html;q=NaN", ";;;,,,=", &long] {
        let headers = [("accept", accept)];
        let headers = if accept.is_empty() { &[][..] } else { &headers };
        let answer = rig.ask(Method::GET, "open/warm/manifests/1", headers).await;
        assert_eq!(answer.status, 200, "{accept:.40}");
        assert_eq!(answer.header("content-type"), MediaType::OCI_MANIFEST, "{accept:.40}");
    }
    rig.check().await;
}

#[tokio::test]
async fn a_type_that_only_the_header_tells_is_the_same_for_ever() {
    let rig = Rig::start().await;
    let (image, mut manifest) = image("no type");
    manifest.as_object_mut().expect("an object").remove("mediaType");
    let digest = put(&rig, &image, MediaType::OCI_MANIFEST, manifest.to_string());
    let first = rig.manifest("open/odd", digest).await;
    assert_eq!((first.status, first.header("content-type")), (200, MediaType::OCI_MANIFEST));
    // Upstream changes its mind about what it sent; the cache is lost.
    rig.upstream.put_manifest("open/odd", MediaType::OCI_INDEX, manifest.to_string());
    rig.mirror.mirror().store().remove(&digest).await.expect("a removal");
    let second = rig.manifest("open/odd", digest).await;
    assert_eq!((second.status, second.header("content-type")), (200, MediaType::OCI_MANIFEST));
}

#[tokio::test]
async fn a_digest_that_a_header_invents_is_promised_to_nobody() {
    let rig = Rig::start().await;
    let (image, _) = image("lie");
    rig.upstream.push("open/odd", "1", &image);
    let other = Digest::sha256(b"never seen").to_string();
    for (method, invented) in
        [("HEAD", other.as_str()), ("GET", other.as_str()), ("HEAD", "sha256:x")]
    {
        let needle = format!("{method} /v2/open/odd/manifests/");
        let lie = Fault::Header("docker-content-digest", invented.to_owned());
        rig.upstream.plan(&needle, lie);
        for asked in [Method::HEAD, Method::GET] {
            let answer = rig.ask(asked, "open/odd/manifests/1", &[]).await;
            assert_ne!(answer.header("docker-content-digest"), other, "{method}: {answer:?}");
        }
        rig.check().await;
        rig.upstream.heal();
        rig.later();
    }
    assert!(rig.pull("open/odd", "1").await);
}

#[tokio::test]
async fn a_tag_that_flips_with_every_request_gives_answers_that_are_each_of_a_piece() {
    let rig = Rig::start().await;
    let images: Vec<_> = (0..5).map(|it| image(&format!("flip {it}")).0).collect();
    let digests: Vec<_> =
        images.iter().map(|image| rig.upstream.push_untagged("open/odd", image)).collect();
    rig.upstream.tag("open/odd", "1", &digests);
    let pulls = (0..100).map(|_| rig.manifest("open/odd", "1"));
    for answer in futures_util::future::join_all(pulls).await {
        assert_eq!(answer.status, 200);
        let claimed: Digest = answer.header("docker-content-digest").parse().expect("a digest");
        assert!(claimed.matches(answer.bytes()) && digests.contains(&claimed));
    }
    rig.check().await;
}

#[tokio::test]
async fn what_waits_for_a_yes_gives_not_a_byte_whatever_upstream_does() {
    let rig = Rig::start().await;
    let canary = crate::support::hostile::rig::CLOSED_CANARY;
    let config = format!(r#"{{"os":"linux","architecture":"amd64","author":"{canary}"}}"#);
    let image = Image::new().config(MediaType::OCI_CONFIG, config).layer(canary).build();
    let digest = rig.upstream.push("closed/app", "1", &image);
    let faults =
        [None, Some(Fault::Status(500, None)), Some(Fault::WrongBytes), Some(Fault::NoLength)];
    for fault in faults {
        if let Some(fault) = fault {
            rig.upstream.plan("/v2/closed/", fault);
        }
        assert!(!rig.pull("closed/app", "1").await);
        assert!(!rig.pull("closed/app", digest).await);
        for blob in [image.config(), image.layer(0), digest] {
            assert_eq!(rig.blob("closed/app", &blob).await.status, 403);
            assert_eq!(rig.blob("open/warm", &blob).await.status, 403, "nor through another");
        }
        rig.upstream.heal();
        rig.later();
        rig.check().await;
    }
}

#[tokio::test]
async fn what_upstream_deletes_is_served_on_and_says_so() {
    let rig = Rig::start().await;
    rig.upstream.clear("open/warm");
    rig.upstream.clear_entries();
    for _ in 0..3 {
        assert!(rig.pull("open/warm", "1").await);
        let answer = rig.manifest("open/warm", "1").await;
        assert!(answer.header("warning").contains("is gone upstream"), "{answer:?}");
        rig.later();
    }
    assert_eq!(rig.upstream.count("GET /v2/open/warm/blobs/"), 0);
    rig.check().await;
}
