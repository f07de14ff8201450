//! The distribution API as clients meet it.

use hyper::Method;

use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::upstream::Image;

const OPEN: &str = r#"- {id: open, match: ["up.test/open/**"], trust: allow}"#;

#[tokio::test]
async fn everything_that_writes_is_405() {
    let mirror = TestMirror::start(OPEN).await;
    for method in [Method::PUT, Method::POST, Method::PATCH, Method::DELETE] {
        let answer = mirror.ask(method, "/v2/open/app/blobs/uploads/", &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
        assert_eq!(answer.error()["code"], "UNSUPPORTED");
    }
    mirror.upstream.assert_untouched();
}

#[tokio::test]
async fn both_addressings_reach_the_same_image() {
    let mirror = TestMirror::start(OPEN).await;
    let digest = mirror.upstream.push("open/app", "1", &Image::new().layer("x").build());
    for path in ["/v2/open/app/manifests/1?ns=up.test", "/v2/up.test/open/app/manifests/1"] {
        let answer = mirror.ask(Method::GET, path, &[]).await;
        assert_eq!(answer.header("docker-content-digest"), digest.to_string(), "{path}");
    }
    let base = mirror.ask(Method::GET, "/v2/", &[]).await;
    assert_eq!(
        (base.status, base.header("docker-distribution-api-version")),
        (200, "registry/2.0")
    );
}

#[tokio::test]
async fn malformed_names_are_400_and_paths_elsewhere_404() {
    let mirror = TestMirror::start(OPEN).await;
    for (path, status, code) in [
        ("/v2/a/../b/manifests/x", 400, "NAME_INVALID"),
        ("/v2/%2e%2e/%2e%2e/etc/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a//b/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a/blobs/sha256:zz", 400, "DIGEST_INVALID"),
        ("/v2/a/manifests/x?ns=a.b&ns=a.b", 400, "NAME_INVALID"),
        ("/v2/a/manifests/.x", 404, "MANIFEST_UNKNOWN"),
        ("/v2/_catalog?n=9223372036854775808", 404, "UNSUPPORTED"),
        ("/v1/search", 404, "UNSUPPORTED"),
    ] {
        let answer = mirror.ask(Method::GET, path, &[]).await;
        assert_eq!(
            (answer.status, answer.error()["code"].as_str()),
            (status, Some(code)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn ranges_and_conditions_are_those_of_the_rfc() {
    let mirror = TestMirror::start(OPEN).await;
    let content: Vec<u8> = (0..200_000_u32).map(|i| i.to_be_bytes()[3]).collect();
    let image = Image::new().layer(content.clone()).build();
    mirror.upstream.push("open/app", "1", &image);
    assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
    let layer = image.layer(0);
    let path = format!("/v2/open/app/blobs/{layer}?ns={REGISTRY}");
    let etag = format!("\"{layer}\"");
    let last = content.len() - 1;
    for _ in ["cold", "warm"] {
        for (range, status, start, end) in [
            ("bytes=0-9", 206, 0, 10),
            ("bytes=-5", 206, last - 4, last + 1),
            ("bytes=150000-", 206, 150_000, last + 1),
            ("bytes=0-0,5-5", 200, 0, last + 1),
            ("items=0-1", 200, 0, last + 1),
        ] {
            let answer = mirror.ask(Method::GET, &path, &[("range", range)]).await;
            assert_eq!(answer.status, status, "{range}");
            assert_eq!(&answer.bytes()[..], &content[start..end], "{range}");
        }
        let beyond = mirror.ask(Method::GET, &path, &[("range", "bytes=200000-")]).await;
        assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */200000"));
        for (condition, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
            let headers = [("range", "bytes=0-9"), ("if-range", condition)];
            assert_eq!(mirror.ask(Method::GET, &path, &headers).await.status, status);
        }
    }
    let head = mirror.ask(Method::HEAD, &path, &[("range", "bytes=0-9")]).await;
    assert_eq!((head.status, head.header("content-length")), (200, "200000"));
    let manifest = format!("/v2/open/app/manifests/{}?ns={REGISTRY}", image.digest());
    let known = format!("\"{}\"", image.digest());
    let unchanged = mirror.ask(Method::GET, &manifest, &[("if-none-match", &known)]).await;
    assert_eq!(unchanged.status, 304);
}

#[tokio::test]
async fn a_request_with_a_body_is_refused_and_the_connection_closed() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mirror = TestMirror::start(OPEN).await;
    for smuggled in [
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let address = mirror.node_address();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(smuggled.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{smuggled:?} -> {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn tags_lists_what_was_admitted_and_nothing_else() {
    let mirror = TestMirror::start(OPEN).await;
    for tag in ["1", "2", "3"] {
        mirror.upstream.push("open/app", tag, &Image::new().layer(tag).build());
    }
    mirror.pull("open/app", "1").await.assert_complete();
    mirror.pull("open/app", "3").await.assert_complete();
    let list = mirror.get("open/app/tags/list").await;
    let list: serde_json::Value = serde_json::from_slice(list.bytes()).unwrap();
    assert_eq!(list["tags"], serde_json::json!(["1", "3"]));
    let page = mirror.ask(Method::GET, "/v2/open/app/tags/list?n=1&ns=up.test", &[]).await;
    assert!(page.header("link").contains("last=1"), "{page:?}");
}
