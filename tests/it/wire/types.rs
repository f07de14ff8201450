//! What a client accepts, and the type that a manifest has (hostile catalogue, section D).

use hyper::Method;
use pratique::oci::MediaType;
use serde_json::json;

use super::OPEN;
use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::upstream::{Fault, Image, Index};

/// Rows 55, 56, 57 (GHSA-qq97-vm5h-rrhg): nothing is converted, whatever a client would rather have.
#[tokio::test]
async fn what_a_client_accepts_never_changes_what_it_gets() {
    let mirror = TestMirror::start(OPEN).await;
    let index = Index::new().child(Image::new().layer("x").build()).build();
    mirror.upstream.push("open/app", "1", &index);
    let path = format!("/v2/open/app/manifests/1?ns={REGISTRY}");
    let thousand = vec!["application/x"; 1_000].join(",");
    let long = "a".repeat(8 * 1024);
    for accept in [
        None,
        Some("*/*"),
        Some(MediaType::DOCKER_MANIFEST),
        Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
        Some("text/html;q=NaN, */*;q=-1"),
        Some(""),
        Some(thousand.as_str()),
        Some(long.as_str()),
    ] {
        let headers: Vec<_> = accept.iter().map(|accept| ("accept", *accept)).collect();
        let answer = mirror.ask(Method::GET, &path, &headers).await;
        assert_eq!(answer.status, 200, "{accept:?}");
        assert_eq!(answer.header("content-type"), MediaType::OCI_INDEX, "{accept:?}");
        assert_eq!(answer.bytes(), &index.manifest, "{accept:?}");
    }
    assert!(
        mirror.upstream.requests_of("/manifests/").iter().all(|seen| {
            seen.header("accept").is_none_or(|accept| !accept.contains("v1+prettyjws"))
        }),
        "a client's wish was handed on"
    );
}

/// Rows 60, 61 (CVE-2021-41190): the type is that of the bytes, fixed when they are first judged.
#[tokio::test]
async fn the_type_of_a_manifest_stays_what_it_was() {
    let mirror = TestMirror::start(OPEN).await;
    let config = br#"{"architecture":"amd64","os":"linux"}"#;
    let digest = mirror.upstream.put_blob("open/app", config.to_vec());
    let untyped = json!({
        "schemaVersion": 2,
        "config": {"mediaType": MediaType::OCI_CONFIG, "digest": digest, "size": config.len()},
        "layers": [],
    });
    let upstream = &mirror.upstream;
    let image = upstream.put_manifest("open/app", MediaType::OCI_MANIFEST, untyped.to_string());
    upstream.tag("open/app", "1", &[image]);
    let first = mirror.manifest("open/app", "1").await;
    assert_eq!((first.status, first.header("content-type")), (200, MediaType::OCI_MANIFEST));
    let other = Fault::Header("content-type", MediaType::OCI_INDEX.to_owned());
    upstream.fault("/manifests/", other);
    for reference in ["1".to_owned(), image.to_string()] {
        let again = mirror.manifest("open/app", &reference).await;
        assert_eq!(again.header("content-type"), MediaType::OCI_MANIFEST, "{reference}");
    }
    let mirror = mirror.restart().await;
    let again = mirror.manifest("open/app", &image).await;
    assert_eq!(again.header("content-type"), MediaType::OCI_MANIFEST);

    let typed = Image::new().layer("typed").build();
    mirror.upstream.push("open/other", "1", &typed);
    let swapped = mirror.manifest("open/other", "1").await;
    assert_eq!((swapped.status, swapped.error()["code"].as_str()), (403, Some("DENIED")));
}
