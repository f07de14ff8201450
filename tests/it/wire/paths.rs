//! Paths and names (hostile catalogue, section A).

use pratique::oci::{Algorithm, Digest, MediaType};
use serde_json::json;

use super::{OPEN, exchange, get};
use crate::support::mirror::TestMirror;
use crate::support::upstream::Image;

/// Rows 1, 2, 4, 5, 6, 7, 9 (CWE-22, CWE-117; CVE-2024-4956 and CVE-2026-42018 class): one way to read
/// a path, no redirect to another, nothing asked upstream.
#[tokio::test]
async fn a_path_that_is_no_name_is_refused_and_never_redirected() {
    let mirror = TestMirror::start(OPEN).await;
    let long = format!("/v2/{}manifests/x", "a/".repeat(1_000));
    let wide = format!("/v2/{}/manifests/x", "a".repeat(300));
    for path in [
        "/v2/../../etc/passwd",
        "/v2/a/../b/manifests/x",
        "/v2/./a/manifests/x",
        "/v2/%2e%2e/%2e%2e/etc/manifests/x",
        "/v2/open%2Fapp/manifests/x",
        "/v2/open/app%2F..%2F..%2Fetc/manifests/x",
        "/v2/%252e%252e/a/manifests/x",
        "/v2//manifests/x",
        "/v2/a//b/manifests/x",
        "//v2/a/manifests/x",
        "/v2/a%00/manifests/x",
        "/v2/a%0d%0aX-Evil:%201/manifests/x",
        "/v2/A/b/manifests/x",
        "/v2/a-/manifests/x",
        "/v2/.a/manifests/x",
        "/v2/a___b/manifests/x",
        "/v2/a..b/manifests/x",
        "/v2/a;b/manifests/x",
        "/v2/open/app/manifests/1/",
        "/V2/open/app/manifests/1",
        long.as_str(),
        wide.as_str(),
    ] {
        let said = exchange(mirror.node_address(), &get(path, &[])).await;
        assert!(matches!(said.status, 400 | 404), "{path}: {said:?}");
        assert!(matches!(said.code().as_str(), "NAME_INVALID" | "UNSUPPORTED"), "{path}: {said:?}");
        assert_eq!(said.header("location"), None, "{path}");
        assert_eq!(said.header("x-evil"), None, "{path}");
    }
    mirror.upstream.assert_untouched();
}

/// Row 6: what is no URI at all does not get as far as a path.
#[tokio::test]
async fn raw_control_bytes_and_bytes_beyond_ascii_in_a_path_are_refused() {
    let mirror = TestMirror::start(OPEN).await;
    for bad in [&b"\x00"[..], b"\x07", b"\x1b[2J", b"\x7f", b" "] {
        let mut bytes = b"GET /v2/a".to_vec();
        bytes.extend_from_slice(bad);
        bytes.extend_from_slice(b"/manifests/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let said = exchange(mirror.node_address(), &bytes).await;
        assert_eq!(said.status, 400, "{bad:?}: {said:?}");
    }
    for bad in [&b"\xff\xfe"[..], "\u{e9}".as_bytes()] {
        let mut bytes = b"GET /v2/a".to_vec();
        bytes.extend_from_slice(bad);
        bytes.extend_from_slice(b"/manifests/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let said = exchange(mirror.node_address(), &bytes).await;
        assert_eq!(said.status, 400, "{bad:?}: {said:?}");
    }
    mirror.upstream.assert_untouched();
}

/// Rows 10, 11, 12, 14 (CVE-2024-3727, CVE-2026-95839).
#[tokio::test]
async fn a_malformed_digest_or_tag_is_refused_before_anything_is_looked_up() {
    let mirror = TestMirror::start(OPEN).await;
    let hex = "ab".repeat(32);
    let digests = [
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}a"),
        "sha256:zz".to_owned(),
        "sha256:baddigeststring".to_owned(),
        "sha256:../../x".to_owned(),
        format!("SHA256:{hex}"),
        format!("md5:{}", &hex[..32]),
        format!("sha1:{}", &hex[..40]),
        format!("sha512:{hex}"),
    ];
    for digest in &digests {
        for kind in ["blobs", "manifests", "referrers"] {
            let path = format!("/v2/open/app/{kind}/{digest}");
            let said = exchange(mirror.node_address(), &get(&path, &[])).await;
            let code = said.code();
            assert_eq!(said.status, 400, "{path}: {said:?}");
            let form = if digest.contains('/') { "NAME_INVALID" } else { "DIGEST_INVALID" };
            assert_eq!(code, form, "{path}");
        }
    }
    let path = format!("/v2/open/app/blobs/sha256-{hex}");
    assert_eq!(exchange(mirror.node_address(), &get(&path, &[])).await.code(), "DIGEST_INVALID");
    for tag in ["-x".to_owned(), ".x".to_owned(), "a".repeat(129), "a+b".to_owned()] {
        let path = format!("/v2/open/app/manifests/{tag}");
        let said = exchange(mirror.node_address(), &get(&path, &[])).await;
        assert_eq!((said.status, said.code().as_str()), (404, "MANIFEST_UNKNOWN"), "{tag}");
    }
    let deeper = exchange(mirror.node_address(), &get("/v2/open/app/manifests/a/b", &[])).await;
    assert_eq!((deeper.status, deeper.code().as_str()), (404, "UNSUPPORTED"), "{deeper:?}");
    mirror.upstream.assert_untouched();
    let longest = "a".repeat(128);
    mirror.upstream.push("open/app", &longest, &Image::new().layer("x").build());
    mirror.pull("open/app", &longest).await.assert_complete();
}

/// Row 13: sha512 is an algorithm like sha256, with a key of its own.
#[tokio::test]
async fn content_named_by_sha512_is_verified_by_sha512() {
    let mirror = TestMirror::start(OPEN).await;
    let (right, wrong) = ([7_u8; 3_000], [8_u8; 3_000]);
    let good = Digest::of(Algorithm::Sha512, &right);
    let bad = Digest::of(Algorithm::Sha512, b"something else");
    let config = br#"{"architecture":"amd64","os":"linux"}"#;
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": {
            "mediaType": MediaType::OCI_CONFIG,
            "digest": Digest::sha256(config),
            "size": config.len(),
        },
        "layers": [
            {"mediaType": layer, "digest": good, "size": 3_000},
            {"mediaType": layer, "digest": bad, "size": 3_000},
        ],
    });
    let upstream = &mirror.upstream;
    upstream.put_blob("open/app", config.to_vec());
    let bytes = manifest.to_string();
    let digest = upstream.put_manifest("open/app", MediaType::OCI_MANIFEST, bytes);
    upstream.tag("open/app", "1", &[digest]);
    upstream.put_file(&format!("/v2/open/app/blobs/{good}"), right.to_vec());
    upstream.put_file(&format!("/v2/open/app/blobs/{bad}"), wrong.to_vec());
    assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
    for _ in ["cold", "warm"] {
        let served = mirror.blob("open/app", &good).await;
        assert_eq!((served.status, &served.bytes()[..]), (200, &right[..]), "{served:?}");
        assert_eq!(served.header("docker-content-digest"), good.to_string());
        let lied = mirror.blob("open/app", &bad).await;
        assert!(lied.status != 200 || lied.body.is_none(), "{lied:?}");
    }
}

/// Row 16 (CWE-918): `ns` is looked up among what is configured, never dialled.
#[tokio::test]
async fn a_namespace_is_never_an_address_to_dial() {
    let mirror = TestMirror::start(r#"- {id: all, match: ["**"], trust: allow}"#).await;
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let port = canary.local_addr().unwrap().port();
    for (namespace, status) in [
        (format!("127.0.0.1:{port}"), 403),
        (format!("localhost:{port}"), 403),
        (format!("2130706433:{port}"), 403),
        (format!("user@127.0.0.1:{port}"), 400),
        (format!("http://127.0.0.1:{port}"), 400),
        (format!("127.0.0.1:{port}/x"), 400),
        ("host/../x".to_owned(), 400),
        ("%00".to_owned(), 400),
        (format!("up.test&ns=127.0.0.1:{port}"), 400),
        (String::new(), 400),
    ] {
        for what in ["manifests/1", "tags/list"] {
            let path = format!("/v2/open/app/{what}?ns={namespace}");
            let said = exchange(mirror.node_address(), &get(&path, &[])).await;
            let code = if status == 403 { "DENIED" } else { "NAME_INVALID" };
            assert_eq!((said.status, said.code().as_str()), (status, code), "{path}: {said:?}");
        }
    }
    let nobody = canary.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
    mirror.upstream.assert_untouched();
}

/// Row 18 (CVE-2026-24686, CVE-2026-24137 class): names from outside are never names of files.
#[tokio::test]
async fn no_file_is_named_by_a_repository_or_a_tag() {
    let mirror = TestMirror::start(OPEN).await;
    let repository = "open/con/aux/xqzrepo";
    let image = Image::new().layer("x").build();
    mirror.upstream.push(repository, "xqztag.wh.x", &image);
    mirror.pull(repository, "xqztag.wh.x").await.assert_complete();
    let mut folders = vec![mirror.folder().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = path.to_string_lossy().into_owned();
            assert!(!text.contains("xqz") && !text.ends_with("con"), "{text}");
            if path.is_dir() {
                folders.push(path);
            } else {
                files += 1;
            }
        }
    }
    assert!(files > 3, "nothing was stored");
}

/// Row 19: what is reached as one kind is not served as another.
#[tokio::test]
async fn a_layer_is_no_manifest_even_if_its_bytes_would_be_one() {
    let mirror = TestMirror::start(OPEN).await;
    let hidden = Image::new().layer("hidden").build();
    let image = Image::new().layer(hidden.manifest.clone()).build();
    mirror.upstream.push("open/app", "1", &image);
    mirror.pull("open/app", "1").await.assert_complete();
    let as_manifest = mirror.manifest("open/app", image.layer(0)).await;
    assert_eq!(as_manifest.status, 404, "{as_manifest:?}");
    assert_eq!(as_manifest.error()["code"], "MANIFEST_UNKNOWN");
    assert_eq!(mirror.blob("open/app", &hidden.layer(0)).await.status, 403);
    let as_blob = mirror.blob("open/app", &image.digest()).await;
    assert_eq!(as_blob.bytes(), &image.manifest, "an admitted manifest is served as a blob too");
}

/// Rows 21, 22 (CVE-2023-2253, CVE-2020-29662): lists are bounded whatever is asked of them.
#[tokio::test]
async fn lists_are_bounded_whatever_the_query_says() {
    let mirror = TestMirror::start(OPEN).await;
    for tag in ["1", "2", "3"] {
        mirror.upstream.push("open/app", tag, &Image::new().layer(tag).build());
        mirror.pull("open/app", tag).await.assert_complete();
    }
    for (query, status, tags) in [
        ("n=-1", 400, None),
        ("n=abc", 400, None),
        ("n=99999999999999999999999999", 400, None),
        ("n=1&n=2", 400, None),
        ("n=0", 200, Some(json!([]))),
        ("n=2", 200, Some(json!(["1", "2"]))),
        ("n=9223372036854775808", 200, Some(json!(["1", "2", "3"]))),
        ("last=0", 200, Some(json!(["1", "2", "3"]))),
        ("last=2", 200, Some(json!(["3"]))),
        ("last=2a", 200, Some(json!(["3"]))),
        ("last=zzz", 200, Some(json!([]))),
        ("last=%00", 400, None),
    ] {
        let path = format!("/v2/open/app/tags/list?ns=up.test&{query}");
        let said = exchange(mirror.node_address(), &get(&path, &[])).await;
        assert_eq!(said.status, status, "{query}: {said:?}");
        if let Some(tags) = tags {
            let body: serde_json::Value = serde_json::from_slice(&said.body).unwrap();
            assert_eq!(body["tags"], tags, "{query}");
        }
    }
    let digest = Image::new().layer("1").build().digest();
    for query in ["n=9223372036854775808", "n=-1", "n=abc&last=zzz"] {
        let path = format!("/v2/open/app/referrers/{digest}?ns=up.test&{query}");
        let said = exchange(mirror.node_address(), &get(&path, &[])).await;
        assert!(matches!(said.status, 200 | 400), "{query}: {said:?}");
        if said.status == 200 {
            let body: serde_json::Value = serde_json::from_slice(&said.body).unwrap();
            let manifests = body["manifests"].as_array().unwrap();
            assert_eq!(manifests.len(), 1, "what the mirror says itself, {query}");
        }
    }
    for path in ["/v2/_catalog", "/v2/_catalog?n=9223372036854775808", "/v2/_catalog?n=-1"] {
        let said = exchange(mirror.node_address(), &get(path, &[])).await;
        assert_eq!((said.status, said.code().as_str()), (404, "UNSUPPORTED"), "{path}");
    }
}
