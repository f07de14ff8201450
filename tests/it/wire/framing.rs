//! How requests are framed (hostile catalogue, section B).

use serde_json::Value;

use super::{OPEN, Said, exchange, get, request, sent};
use crate::support::mirror::TestMirror;
use crate::support::upstream::{Auth, Image, TokenService};

/// Rows 23, 24, 25, 27 (CWE-444, RUSTSEC-2021-0078, RUSTSEC-2021-0020): what two readers could take
/// for two different requests is refused, and nothing behind it is read.
#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_gets_one_refusal_and_a_closed_connection() {
    let mirror = TestMirror::start(OPEN).await;
    let next = "GET /v2/open/app/manifests/smuggled?ns=up.test HTTP/1.1\r\nHost: a\r\n\r\n";
    for head in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 18446744073709551616",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding:  chunked",
        "Transfer-Encoding: \tchunked",
        "Transfer-Encoding : chunked",
        "Content-Length : 5",
        "X-A: b\r\n folded: c",
        "X-A: a\0b",
        "X-A: a\rb",
        "X A: b",
        ": b",
    ] {
        let bytes = format!("GET /v2/ HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{next}");
        let said = exchange(mirror.node_address(), bytes.as_bytes()).await;
        assert!(matches!(said.status, 400 | 501), "{head:?}: {said:?}");
    }
    mirror.upstream.assert_untouched();
}

/// Row 28: a Host decides nothing, and one that is missing, doubled or contradicted is refused.
#[tokio::test]
async fn the_host_of_a_request_never_decides_what_is_asked_upstream() {
    let mirror = TestMirror::start(OPEN).await;
    mirror.upstream.push("open/app", "1", &Image::new().layer("x").build());
    let path = "/v2/open/app/manifests/1?ns=up.test";
    for (text, status) in [
        (format!("GET {path} HTTP/1.1\r\n\r\n"), 400),
        (format!("GET {path} HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400),
        (format!("GET {path} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400),
        (
            format!("GET http://evil.test{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            400,
        ),
        (format!("GET http://a{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 200),
        (format!("GET {path} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"), 200),
        (format!("GET {path} HTTP/1.0\r\n\r\n"), 200),
    ] {
        let answer = sent(mirror.node_address(), text.as_bytes()).await;
        let line = String::from_utf8_lossy(&answer);
        let line = line.lines().next().unwrap_or_default();
        assert!(line.contains(&format!(" {status} ")), "{text:?}: {line}");
    }
    assert!(mirror.upstream.requests().iter().all(|seen| seen.path.starts_with("/v2/open/app")));
}

/// Rows 29, 30: what stands in front of us is not believed about who asks; the peer's address is.
#[tokio::test]
async fn a_client_is_known_by_its_connection_whatever_its_headers_claim() {
    let rules = r#"- {id: asked, match: ["up.test/asked/**"], trust: approve}"#;
    let mirror = TestMirror::start(rules).await;
    mirror.upstream.push("asked/app", "1", &Image::new().layer("x").build());
    let claims = [
        "X-Forwarded-For: 6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
        "X-Remote-User: root",
        "X-Original-URL: /v2/open/app/manifests/1",
        "X-HTTP-Method-Override: DELETE",
    ];
    let path = "/v2/asked/app/manifests/1?ns=up.test";
    let said = exchange(mirror.node_address(), &get(path, &claims)).await;
    assert_eq!((said.status, said.code().as_str()), (403, "DENIED"));
    let token = std::fs::read_to_string(mirror.folder().join("data/admin.token")).unwrap();
    let token = format!("Authorization: Bearer {}", token.trim());
    let admin = mirror.admin_url();
    let admin = admin.strip_prefix("http://").unwrap().parse().unwrap();
    let shown = exchange(admin, &get("/api/v1/requests/R-1", &[&token])).await;
    let shown: Value = serde_json::from_slice(&shown.body).unwrap();
    let text = shown.to_string();
    assert!(text.contains("127.0.0.1") && !text.contains("6.6.6.6"), "{text}");
    assert!(!text.contains("root"), "{text}");
}

/// Row 29 (CWE-444): a hop-by-hop list takes no header out of our sight.
#[tokio::test]
async fn a_hop_by_hop_list_strips_no_credential_and_adds_none() {
    let mirror = TestMirror::start(OPEN).await;
    let token = std::fs::read_to_string(mirror.folder().join("data/admin.token")).unwrap();
    let token = format!("Authorization: Bearer {}", token.trim());
    let admin: std::net::SocketAddr =
        mirror.admin_url().strip_prefix("http://").unwrap().parse().unwrap();
    let ask = |lines: Vec<String>| async move {
        let mut text = "GET /api/v1/status HTTP/1.1\r\nHost: a\r\n".to_owned();
        for line in lines {
            text.push_str(&line);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        exchange(admin, text.as_bytes()).await.status
    };
    let hop = "Connection: close, authorization, x-admin".to_owned();
    assert_eq!(ask(vec![hop.clone(), token.clone()]).await, 200);
    assert_eq!(ask(vec![hop, "X-Admin: yes".to_owned()]).await, 401);
    assert_eq!(ask(vec!["Connection: close".to_owned(), token.clone(), token]).await, 401);
}

/// Rows 29, 31 (CVE-2026-33540 class): what goes upstream is made anew, and holds nothing that a
/// client sent along, also where upstream asks who is there.
#[tokio::test]
async fn nothing_that_a_client_sends_along_reaches_upstream() {
    let mirror = TestMirror::start(OPEN).await;
    let upstream = &mirror.upstream;
    let lines = [
        "Authorization: Basic Y2FuYXJ5OmNhbmFyeQ==",
        "Proxy-Authorization: Basic Y2FuYXJ5OmNhbmFyeQ==",
        "Cookie: canary=canary",
        "User-Agent: canary",
        "Referer: http://canary.test/",
        "X-Registry-Auth: canary",
        "X-Forwarded-Host: canary.test",
        "Forwarded: host=canary.test",
        "Accept: application/vnd.canary+json",
        "Accept-Encoding: gzip, canary",
        "Traceparent: 00-canary",
        "Via: 1.1 canary",
        "If-None-Match: \"canary\"",
    ];
    let login = TokenService { login: Some(("user", "word")), ..TokenService::default() };
    upstream.set_token_service(login);
    for (tag, auth) in [
        ("open", Auth::Open),
        ("basic", Auth::Basic("canary", "canary")),
        ("token", Auth::Token { realm: upstream.realm() }),
    ] {
        let image = Image::new().layer(tag).build();
        upstream.push("open/app", tag, &image);
        upstream.set_auth(auth);
        for path in [
            format!("manifests/{tag}?ns=up.test&token=canary"),
            format!("manifests/{}?ns=up.test&account=canary", image.digest()),
            format!("blobs/{}?ns=up.test&canary", image.layer(0)),
            format!("referrers/{}?ns=up.test&artifactType=canary", image.digest()),
        ] {
            let path = format!("/v2/open/app/{path}");
            let said = exchange(mirror.node_address(), &get(&path, &lines)).await;
            // The login that the client shows would be the right one for `basic`.
            assert_eq!(said.status == 200, tag == "open", "{path}: {said:?}");
        }
    }
    let seen = upstream.requests();
    assert!(seen.len() > 8, "upstream was not asked: {seen:?}");
    for seen in seen {
        let text = format!("{seen:?}").to_lowercase();
        assert!(!text.contains("canary") && !text.contains("y2fuyxj5"), "{text}");
    }
}

/// `count` header fields.
fn fields(count: usize) -> String {
    (0..count).map(|number| format!("X-{number}: a")).collect::<Vec<_>>().join("\r\n")
}

/// Row 32: heads are bounded in bytes and in number.
#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let mirror = TestMirror::start(OPEN).await;
    let long = format!("X-A: {}", "a".repeat(100 * 1024));
    let many = fields(10_000);
    let target = format!("/v2/{}", "a".repeat(70 * 1024));
    let address = mirror.node_address();
    let ask = async |bytes: Vec<u8>| {
        let answer = sent(address, &bytes).await;
        // Closing on bytes that nobody will read may cost the client the answer.
        if answer.is_empty() { None } else { Some(Said::parse(&answer).status) }
    };
    for bytes in [get("/v2/", &[&long]), get("/v2/", &[&many]), get(&target, &[])] {
        let status = ask(bytes).await;
        assert!(matches!(status, None | Some(400 | 414 | 431)), "{status:?}");
    }
    let hundred = fields(100);
    assert_eq!(ask(get("/v2/", &[&hundred])).await, Some(200));
}

/// Rows 35, 36 (CVE-2026-61833, CVE-2026-117685): a read-only mirror has two methods.
#[tokio::test]
async fn every_other_method_is_refused_by_name() {
    let mirror = TestMirror::start(OPEN).await;
    let blob = format!("/v2/open/app/blobs/sha256:{}", "a".repeat(64));
    let mount = "/v2/open/app/blobs/uploads/?mount=sha256:aa&from=open/other";
    let name = "X".repeat(1_000);
    for (method, target) in [
        ("PUT", "/v2/open/app/manifests/1"),
        ("POST", mount),
        ("PATCH", "/v2/open/app/blobs/uploads/1"),
        ("DELETE", blob.as_str()),
        ("OPTIONS", "/v2/"),
        ("TRACE", "/v2/"),
        ("PROPFIND", "/v2/"),
        ("get", "/v2/"),
        (name.as_str(), "/v2/"),
    ] {
        let said = exchange(mirror.node_address(), &request(method, target, &[])).await;
        assert_eq!((said.status, said.code().as_str()), (405, "UNSUPPORTED"), "{method}: {said:?}");
        assert_eq!(said.header("allow"), Some("GET, HEAD"), "{method}");
    }
    for bytes in [
        request("CONNECT", "evil.test:443", &[]),
        request(&"X".repeat(10 * 1024), "/v2/", &[]),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET /v2/ HTTP/3.0\r\nHost: a\r\n\r\n".to_vec(),
        b"GET /v2/\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20),
    ] {
        let answer = sent(mirror.node_address(), &bytes).await;
        let head = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
        let refused = ["HTTP/1.1 400 ", "HTTP/1.1 405 ", "HTTP/1.1 505 "];
        assert!(answer.is_empty() || refused.iter().any(|no| head.starts_with(no)), "{head:?}");
    }
    mirror.upstream.assert_untouched();
}

/// Row 41 (h2c smuggling): the node listener speaks HTTP/1.1 and never turns into something else.
#[tokio::test]
async fn the_node_listener_never_upgrades() {
    let mirror = TestMirror::start(OPEN).await;
    let h2c = ["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"];
    let websocket = [
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ];
    for headers in [&h2c[..], &websocket] {
        let said = exchange(mirror.node_address(), &get("/v2/", headers)).await;
        assert_eq!(said.status, 200, "{said:?}");
        assert_eq!(said.header("upgrade"), None, "{said:?}");
    }
    let expecting = get("/v2/", &["Expect: 100-continue", "Content-Length: 5"]);
    assert_eq!(exchange(mirror.node_address(), &expecting).await.status, 400);
    assert_eq!(
        exchange(mirror.node_address(), &get("/v2/", &["Expect: 100-continue"])).await.status,
        200
    );
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let answer = sent(mirror.node_address(), preface).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
}

/// Requests sent ahead are answered one after the other, in their order.
#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order() {
    let mirror = TestMirror::start(OPEN).await;
    let image = Image::new().layer(vec![9; 300_000]).build();
    mirror.upstream.push("open/app", "1", &image);
    mirror.pull("open/app", "1").await.assert_complete();
    let head = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n");
    let blob = format!("/v2/open/app/blobs/{}?ns=up.test", image.layer(0));
    let text = format!(
        "{}\r\n{}\r\n{}Connection: close\r\n\r\n",
        head(&blob),
        head("/livez"),
        head("/v2/open/app/manifests/1?ns=up.test")
    );
    let answer = sent(mirror.node_address(), text.as_bytes()).await;
    let first = Said::parse(&answer);
    let (content, rest) = first.body.split_at(300_000);
    assert!(content.iter().all(|byte| *byte == 9));
    let second = Said::parse(rest);
    assert!(second.body.starts_with(b"ok\n"), "{second:?}");
    let third = Said::parse(&second.body[3..]);
    assert_eq!(third.body, image.manifest);
}
