//! What the gate must hold at the edge (hostile catalogue, section F).

use std::net::SocketAddr;

use hyper::Method;
use pratique::oci::Digest;
use pratique::upstream::RegistrySettings;
use serde_json::{Value, json};

use super::{OPEN, Said, exchange, get, request};
use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::upstream::{FakeUpstream, Fault, Gate, Image};

fn admin(mirror: &TestMirror) -> SocketAddr {
    mirror.admin_url().strip_prefix("http://").unwrap().parse().unwrap()
}

fn bearer(mirror: &TestMirror) -> String {
    let token = std::fs::read_to_string(mirror.folder().join("data/admin.token")).unwrap();
    format!("Authorization: Bearer {}", token.trim())
}

/// `POST` to the admin API with the first token.
async fn post(mirror: &TestMirror, path: &str, body: &Value) -> Said {
    let body = body.to_string();
    let length = format!("Content-Length: {}", body.len());
    let headers = [&bearer(mirror), "Content-Type: application/json", length.as_str()];
    let mut bytes = request("POST", path, &headers);
    bytes.extend_from_slice(body.as_bytes());
    exchange(admin(mirror), &bytes).await
}

async fn revoke(mirror: &TestMirror, repository: &str, digest: &Digest) {
    let target = format!("{REGISTRY}/{repository}@{digest}");
    let body = json!({"target": target, "reason": "because"});
    let said = post(mirror, "/api/v1/revocations", &body).await;
    assert_eq!(said.status, 200, "{said:?}");
}

/// Rows 101, 102 (TOCTOU; CVE-2023-33959, CVE-2022-47633): a tag that stands for something else at
/// every request upstream: each answer fits itself, and each is admitted.
#[tokio::test]
async fn a_tag_that_flips_gives_each_client_one_image_that_fits_itself() {
    let mirror = TestMirror::start(OPEN).await;
    let images: Vec<_> = (0..8).map(|i| Image::new().layer(format!("layer {i}")).build()).collect();
    let digests: Vec<_> =
        images.iter().map(|image| mirror.upstream.push_untagged("open/app", image)).collect();
    let flips: Vec<Digest> = digests.iter().copied().cycle().take(400).collect();
    mirror.upstream.tag("open/app", "1", &flips);
    let path = format!("/v2/open/app/manifests/1?ns={REGISTRY}");
    let answers = (0..100).map(|_| mirror.ask(Method::GET, &path, &[]));
    let mut distinct = std::collections::BTreeSet::new();
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer.status, 200, "{answer:?}");
        let digest = Digest::sha256(answer.bytes());
        assert!(digests.contains(&digest), "{digest}");
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        distinct.insert(digest);
    }
    for _ in 0..20 {
        let answer = mirror.ask(Method::GET, &path, &[]).await;
        let digest = Digest::sha256(answer.bytes());
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        distinct.insert(digest);
    }
    assert!(distinct.len() > 1, "the tag never flipped");
}

/// Row 118 (cache poisoning): the same repository and tag at two registries are two images.
#[tokio::test]
async fn two_registries_never_answer_for_each_other() {
    let other = FakeUpstream::start().await;
    let (url, registry) = (other.url(), "other.test");
    let rules = "rules:\n- {id: both, match: [\"up.test/open/**\", \"other.test/open/**\"], trust: allow}\n";
    let mirror = TestMirror::start_with(rules, |settings| {
        let mut added = RegistrySettings::new(registry.parse().unwrap(), url);
        added.danger_plain_http = true;
        settings.upstream.registries.push(added);
    })
    .await;
    let (one, two) = (Image::new().layer("one").build(), Image::new().layer("two").build());
    mirror.upstream.push("open/app", "1", &one);
    other.push("open/app", "1", &two);
    for (namespace, image) in [(REGISTRY, &one), (registry, &two), (REGISTRY, &one)] {
        let path = format!("/v2/open/app/manifests/1?ns={namespace}");
        let answer = mirror.ask(Method::GET, &path, &[]).await;
        assert_eq!(answer.header("docker-content-digest"), image.digest().to_string());
        assert_eq!(answer.header("oci-namespace"), namespace);
    }
    let crossed = format!("/v2/open/app/blobs/{}?ns={registry}", one.layer(0));
    assert_eq!(mirror.ask(Method::GET, &crossed, &[]).await.status, 403);
}

/// Row 119 (CVE-2025-23208, CVE-2026-35172): a revocation holds for the next request, by every name,
/// in every list and over every cache; a transfer that had begun ends as it began.
#[tokio::test]
async fn a_revocation_holds_for_the_next_request_and_a_running_transfer_completes() {
    let mirror = TestMirror::start(OPEN).await;
    let image = Image::new().layer(vec![6; 500_000]).layer("kept").build();
    let digest = mirror.upstream.push("open/app", "1", &image);
    mirror.upstream.push("open/other", "1", &image);
    assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
    assert_eq!(mirror.blob("open/app", &image.layer(1)).await.status, 200);
    let gate = Gate::closed();
    let needle = format!("GET /v2/open/app/blobs/{}", image.layer(0));
    mirror.upstream.fault(&needle, Fault::StallAfter(100_000, gate.clone()));
    let layer = image.layer(0);
    let running = mirror.blob("open/app", &layer);
    let deciding = async {
        mirror.upstream.wait_for(&needle, 1).await;
        revoke(&mirror, "open/app", &digest).await;
        for path in [
            "open/app/manifests/1".to_owned(),
            format!("open/app/manifests/{digest}"),
            format!("open/app/blobs/{digest}"),
            format!("open/app/blobs/{}", image.layer(0)),
            format!("open/app/blobs/{}", image.layer(1)),
            format!("open/other/blobs/{}", image.layer(1)),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let path = format!("/v2/{path}?ns={REGISTRY}");
                assert_eq!(mirror.ask(method, &path, &[]).await.status, 403, "{path}");
            }
        }
        gate.open();
    };
    let (transferred, ()) = tokio::join!(running, deciding);
    assert!(transferred.status == 200 && layer.matches(transferred.bytes()), "{transferred:?}");
    assert_eq!(mirror.blob("open/app", &layer).await.status, 403);
}

/// `tags/list` is what may be pulled: not what was revoked since, not what the policy refuses by name.
#[tokio::test]
async fn a_list_of_tags_has_no_tag_that_would_be_refused() {
    let mirror = TestMirror::start(OPEN).await;
    let mut digests = Vec::new();
    for tag in ["1", "2", "latest"] {
        let image = Image::new().layer(tag).build();
        digests.push(mirror.upstream.push("open/app", tag, &image));
        mirror.pull("open/app", tag).await.assert_complete();
    }
    let tags = || async {
        let list = mirror.get("open/app/tags/list").await;
        assert_eq!(list.status, 200, "{list:?}");
        let list: Value = serde_json::from_slice(list.bytes()).unwrap();
        list["tags"].clone()
    };
    assert_eq!(tags().await, json!(["1", "2", "latest"]));
    revoke(&mirror, "open/app", &digests[0]).await;
    assert_eq!(tags().await, json!(["2", "latest"]));
    let page = mirror.ask(Method::GET, "/v2/open/app/tags/list?n=1&ns=up.test", &[]).await;
    assert!(page.header("link").contains("last=2"), "{page:?}");
    mirror.set_policy(&format!("floor:\n  forbidTags: [latest]\nrules:\n{OPEN}"), 2).await;
    assert_eq!(tags().await, json!(["2"]));
    let denied = "rules:\n- {id: never, match: [\"up.test/open/**\"], trust: deny}\n";
    mirror.set_policy(denied, 3).await;
    mirror.upstream.clear_requests();
    assert_eq!(tags().await, json!([]));
    mirror.upstream.assert_untouched();
}

/// Decisions, 12: malformed content under its right digest is a no, in observe mode too.
#[tokio::test]
async fn malformed_content_is_refused_in_observe_mode_too() {
    let rules = "mode: audit\nrules:\n- {id: any, match: [\"up.test/**\"], trust: allow}\n";
    let mirror = TestMirror::start_with(rules, |_| {}).await;
    let both = json!({"schemaVersion": 2, "manifests": [], "layers": [], "config": {}}).to_string();
    let media_type = pratique::oci::MediaType::OCI_MANIFEST;
    let digest = mirror.upstream.put_manifest("lab/app", media_type, both);
    mirror.upstream.tag("lab/app", "1", &[digest]);
    for reference in ["1".to_owned(), digest.to_string()] {
        let answer = mirror.manifest("lab/app", reference).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (403, Some("DENIED")));
        assert!(answer.phrase.starts_with("Denied: "), "{answer:?}");
    }
}

/// Every decision answers with the verdict that it made.
#[tokio::test]
async fn the_answer_to_a_decision_names_the_verdict_that_now_holds() {
    let asked = r#"- {id: asked, match: ["up.test/asked/**"], trust: approve}"#;
    let mirror = TestMirror::start(&format!("{OPEN}\n{asked}")).await;
    let open = mirror.upstream.push("open/app", "1", &Image::new().layer("o").build());
    let asked = mirror.upstream.push("asked/app", "1", &Image::new().layer("a").build());
    let (open, asked) = (format!("up.test/open/app@{open}"), format!("up.test/asked/app@{asked}"));
    for (verb, target, verdict) in [
        ("approvals", &asked, "admit"),
        ("revocations", &asked, "deny"),
        ("approvals", &asked, "admit"),
        ("rejections", &asked, "deny"),
        ("revocations", &open, "deny"),
        ("reinstatements", &open, "admit"),
    ] {
        let body = json!({"target": target, "reason": "because"});
        let said = post(&mirror, &format!("/api/v1/{verb}"), &body).await;
        let decided: Value = serde_json::from_slice(&said.body).unwrap();
        assert_eq!(decided["verdict"], verdict, "{verb} {target}: {decided}");
    }
    mirror.upstream.go_away();
    let never = format!("up.test/asked/never@sha256:{}", "a".repeat(64));
    let body = json!({"target": never, "reason": "because"});
    let said = post(&mirror, "/api/v1/revocations", &body).await;
    let decided: Value = serde_json::from_slice(&said.body).unwrap();
    assert_eq!(decided["verdict"], "deny", "{decided}");
}

/// Row 127 (CVE-2025-32019): what people see of names and texts from outside is plain text.
#[tokio::test]
async fn pages_without_a_token_are_plain_text_or_may_do_nothing() {
    let mirror =
        TestMirror::start(r#"- {id: asked, match: ["up.test/asked/**"], trust: approve}"#).await;
    mirror.upstream.push("asked/app", "1", &Image::new().layer("x").build());
    mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    for address in [mirror.node_address(), admin(&mirror)] {
        for path in ["/r/R-1", "/livez"] {
            let said = exchange(address, &get(path, &["Accept: text/html"])).await;
            assert_eq!(said.status, 200, "{path}: {said:?}");
            let kind = said.header("content-type").unwrap();
            let is_page = address == admin(&mirror) && path == "/r/R-1";
            assert!(kind.starts_with(if is_page { "text/html" } else { "text/plain" }), "{kind}");
            let policy = said.header("content-security-policy").unwrap_or_default();
            assert_eq!(policy.starts_with("default-src 'none'; "), is_page, "{policy}");
        }
        let page = exchange(address, &get("/r/R-1", &[])).await;
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{page:?}");
        let none = exchange(address, &get("/r/%3Cscript%3E", &[])).await;
        let kind = none.header("content-type").unwrap();
        assert!(!kind.contains("html"), "{none:?}");
        assert_eq!(none.header("x-content-type-options"), Some("nosniff"), "{none:?}");
    }
}

/// Row 120 (CVE-2019-19025): no form of another site can decide by the API, because no cookie counts there
/// and no body that a form could send.
#[tokio::test]
async fn no_page_of_another_site_can_decide() {
    let mirror = TestMirror::start(OPEN).await;
    let body = r#"{"target":"up.test/open/app:1","reason":"x"}"#;
    let length = format!("Content-Length: {}", body.len());
    for (headers, status) in [
        (vec!["Cookie: token=abc", "Content-Type: application/json"], 401),
        (vec!["Origin: https://evil.test", "Content-Type: text/plain"], 401),
    ] {
        let mut lines = headers.clone();
        lines.push(&length);
        let mut bytes = request("POST", "/api/v1/revocations", &lines);
        bytes.extend_from_slice(body.as_bytes());
        let said = exchange(admin(&mirror), &bytes).await;
        assert_eq!(said.status, status, "{headers:?}");
        let allowed = said.headers.iter().any(|(name, _)| name.starts_with("access-control"));
        assert!(!allowed && said.header("set-cookie").is_none(), "{said:?}");
    }
    let token = bearer(&mirror);
    let form = [token.as_str(), "Content-Type: application/x-www-form-urlencoded", &length];
    let mut bytes = request("POST", "/api/v1/revocations", &form);
    bytes.extend_from_slice(body.as_bytes());
    assert_eq!(exchange(admin(&mirror), &bytes).await.status, 415);
    let preflight = ["Origin: https://evil.test", "Access-Control-Request-Method: POST"];
    let said =
        exchange(admin(&mirror), &request("OPTIONS", "/api/v1/revocations", &preflight)).await;
    assert!(matches!(said.status, 401 | 405), "{said:?}");
}

/// Rows 42 and 7 for admins (CVE-2026-42018, CVE-2026-17594): no spelling of a path goes around the
/// token, whatever it ends in.
#[tokio::test]
async fn no_spelling_of_an_admin_path_goes_around_the_token() {
    let mirror = TestMirror::start(OPEN).await;
    for path in [
        "/api/v1/status",
        "/api/v1/status/",
        "/api/v1//status",
        "//api/v1/status",
        "/api/v1/./status",
        "/api/v1/../v1/status",
        "/livez/../api/v1/status",
        "/api/v1/status;a=b",
        "/api/v1/status%2f",
        "/api/v1/%73tatus",
        "/API/v1/status",
        "/api/v1/status%00",
        "/api/v1/status?token=x",
        "/r/../api/v1/status",
        "/r/%2e%2e%2fapi%2fv1%2fstatus",
        "/metrics/../api/v1/tokens",
    ] {
        let said = exchange(admin(&mirror), &get(path, &[])).await;
        assert!(matches!(said.status, 400 | 401 | 404), "{path}: {said:?}");
        let text = String::from_utf8_lossy(&said.body).into_owned();
        assert!(!text.contains("revision"), "{path}: {text}");
    }
}
