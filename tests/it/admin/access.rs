//! Who may ask what, and how a no looks.

use hyper::Method;
use pratique::http::admin::{API, Route, api_routes};
use pratique::ledger::{NewToken, Role};
use serde_json::json;

use super::Desk;

/// A path and a body for `route` that harm nothing.
fn example(route: &Route) -> (String, Option<String>) {
    let query = match (route.method.as_str(), route.path) {
        ("GET", "/explain" | "/audit/why") => "?image=up.test/never/x:1",
        ("GET", "/inventory/images") => "?cluster=none",
        ("GET", "/inventory/where") => "?what=up.test/never/x",
        ("GET", "/audit/proof") => "?seq=1",
        ("DELETE", "/cache/pins") => "?image=up.test/open/none:1",
        _ => "",
    };
    let body = match (route.method.as_str(), route.path) {
        ("POST", "/approvals" | "/rejections" | "/revocations" | "/reinstatements") => {
            Some(json!({"target": "R-999", "reason": "x"}))
        }
        ("POST", "/requests/{id}/answers" | "/requests/{id}/questions") => {
            Some(json!({"text": "x"}))
        }
        ("POST", "/requests/{id}/votes") => Some(json!({"decision": "approve", "reason": "x"})),
        ("POST", "/requests" | "/prefetch") => Some(json!({"images": ["up.test/open/none:1"]})),
        ("POST", "/tokens") => Some(json!({"name": "made", "role": "viewer"})),
        ("POST", "/nodes") => {
            Some(json!({"node": "a", "at": "2026-11-20T10:00:00Z", "findings": []}))
        }
        ("POST", "/inventory") => Some(json!({
            "cluster": "a", "at": "2026-11-20T10:00:00Z", "pods": 0, "running": [], "cached": [],
        })),
        ("POST", "/people") => Some(json!({"name": "someone", "role": "viewer"})),
        ("POST", "/cache/pins") => Some(json!({"image": "up.test/open/none:1"})),
        ("POST", "/cache/scrub" | "/people/{id}" | "/people/{id}/reset") => Some(json!({})),
        ("POST", "/simulate") => Some(json!({"policy": ""})),
        _ => None,
    };
    let path = route.path.replace("{id}", "R-999").replace("{name}", "made");
    (format!("{API}{path}{query}"), body.map(|body| body.to_string()))
}

#[tokio::test]
async fn every_route_takes_a_token_with_the_role_for_it() {
    let desk = Desk::start().await;
    let ledger = desk.mirror.mirror().ledger();
    let mut tokens = Vec::new();
    for role in Role::ALL {
        let new = NewToken::new(format!("a-{role}"), role);
        tokens.push((role, ledger.create_token(new, "test").await.unwrap()));
    }
    let wrong = "x".repeat(43);
    let table = api_routes();
    assert!(table.len() > 30, "{table:?}");
    for route in table {
        let (path, body) = example(&route);
        let ask = |token: Option<String>| {
            let (method, path, body, desk) =
                (route.method.clone(), path.clone(), body.clone(), &desk);
            async move { desk.send(method, &path, token.as_deref(), body, &[]).await }
        };
        for token in [None, Some(wrong.clone())] {
            // Both look alike. The clock moves on, so that failing so often is not throttled.
            desk.mirror.clock.advance(std::time::Duration::from_secs(61));
            let reply = ask(token).await;
            let told = (reply.status, reply.problem());
            assert_eq!(told, (401, "unauthenticated".to_owned()), "{path}");
            assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"pratique\"");
        }
        let needed = route.needs.expect("nothing of the API is open");
        for (role, token) in &tokens {
            let reply = ask(Some(token.expose().to_owned())).await;
            let refused = reply.status == 403 && reply.problem() == "role";
            assert_eq!(refused, !role.may(needed), "{} {path} as {role}: {reply:?}", route.method);
            assert_ne!(reply.status, 401, "{path} as {role}");
        }
    }
}

#[tokio::test]
async fn what_is_no_route_is_told_to_those_only_who_have_a_token() {
    let desk = Desk::start().await;
    for (method, path, expected) in [
        (Method::GET, "/api/v1/nowhere", (404, "not-found")),
        (Method::PUT, "/api/v1/status", (405, "method")),
    ] {
        let reply = desk.send(method.clone(), path, None, None, &[]).await;
        assert_eq!((reply.status, reply.problem().as_str()), (401, "unauthenticated"), "{path}");
        let reply = desk.send(method, path, Some(&desk.token), None, &[]).await;
        assert_eq!((reply.status, reply.problem().as_str()), expected, "{path}");
    }
}

#[tokio::test]
async fn health_and_metrics_and_request_pages_take_no_token() {
    let desk = Desk::start().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    for (path, expected) in [
        ("/livez", "ok"),
        ("/readyz", "ready"),
        ("/metrics", "pratique_open_requests 1"),
        ("/r/R-1", "up.test/asked/app:1"),
        ("/r/1", "Someone has to approve it"),
    ] {
        let reply = desk.send(Method::GET, path, None, None, &[]).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert!(reply.text().contains(expected), "{path}: {}", reply.text());
        assert!(!reply.text().contains("127.0.0.1"), "{path} names a client: {}", reply.text());
    }
    let json = [("accept", "application/json")];
    let page = desk.send(Method::GET, "/r/R-1", None, None, &json).await.json();
    assert_eq!((page["state"].as_str(), page["rule"].as_str()), (Some("pending"), Some("asked")));
    let none = desk.send(Method::GET, "/r/R-7", None, None, &[]).await;
    assert_eq!((none.status, none.problem().as_str()), (404, "not-found"));
}

#[tokio::test]
async fn failing_often_is_throttled_and_locks_nobody_out() {
    let desk = Desk::start().await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let reply = desk.send(Method::GET, "/api/v1/status", Some("wrong"), None, &[]).await;
        statuses.push(reply.status);
        if reply.status == 429 {
            assert_eq!(reply.problem(), "throttled");
            assert_eq!(reply.header("retry-after"), "60");
        }
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert_eq!(desk.get("/api/v1/status").await.status, 200);
    desk.mirror.clock.advance(std::time::Duration::from_secs(61));
    let reply = desk.send(Method::GET, "/api/v1/status", Some("wrong"), None, &[]).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn bodies_are_bounded_strict_json_and_nothing_else() {
    let desk = Desk::start().await;
    let admin = Some(desk.token.as_str());
    let post = |body: String, content_type: &'static str| {
        let headers = [("content-type", content_type)];
        let desk = &desk;
        async move { desk.send(Method::POST, "/api/v1/approvals", admin, Some(body), &headers).await }
    };
    let good = json!({"target": "R-9", "reason": "x"}).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let reply = post(good.clone(), content_type).await;
        assert_eq!((reply.status, reply.problem().as_str()), (415, "media-type"), "{content_type}");
    }
    let large = json!({"target": "R-9", "reason": "x".repeat(65 * 1024)}).to_string();
    let reply = post(large, "application/json").await;
    assert_eq!((reply.status, reply.problem().as_str()), (413, "too-large"));
    for bad in [
        "",
        "{",
        "[]",
        r#"{"target":"R-9"}"#,
        r#"{"target":"R-9","reason":"x","more":1}"#,
        r#"{"target":"R-9","reason":"x","reason":"y"}"#,
        r#"{"target":"R-9","reason":"x","expires":"soon"}"#,
        r#"{"target":"R-9","reason":"  "}"#,
        r#"{"target":"R-9","reason":"a\u001b[2Jb"}"#,
        r#"{"target":"R-9","reason":"x","expires":"2020-01-01T00:00:00Z"}"#,
        r#"{"target":"UPPER/x@sha256:1","reason":"x"}"#,
    ] {
        let reply = post(bad.to_owned(), "application/json; charset=utf-8").await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{bad}");
    }
    let reply = post(good, "application/json").await;
    assert_eq!((reply.status, reply.problem().as_str()), (404, "not-found"));
    let reply = desk.get("/api/v1/requests?state=sad").await;
    assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"));
    let reply = desk.send(Method::PUT, "/api/v1/status", admin, None, &[]).await;
    assert_eq!((reply.status, reply.problem().as_str()), (405, "method"));
}

#[tokio::test]
async fn an_error_stays_short_however_long_the_mistake_is() {
    let desk = Desk::start().await;
    let long = "ü".repeat(4_000);
    let reply = desk.get(&format!("/api/v1/audit?{}=1", "x".repeat(8_000))).await;
    assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"));
    assert!(reply.text().len() < 4096, "{}", reply.text().len());
    let body = json!({"target": long, "reason": "x", long.as_str(): 1}).to_string();
    let headers = [("content-type", "application/json")];
    let admin = Some(desk.token.as_str());
    let reply = desk.send(Method::POST, "/api/v1/approvals", admin, Some(body), &headers).await;
    assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"));
    assert!(reply.text().len() < 4096, "{}", reply.text().len());
}

/// Found by fuzzing: the framework has words of its own for a path that is no text.
#[tokio::test]
async fn a_path_that_is_no_text_is_refused_as_everything_else_is() {
    let desk = Desk::start().await;
    for (method, path) in [
        (Method::GET, "/r/R-2%ff"),
        (Method::GET, "/api/v1/requests/%ff"),
        (Method::DELETE, "/api/v1/tokens/%c3%28"),
    ] {
        let reply = desk.send(method, path, Some(&desk.token), None, &[]).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{path}");
    }
}
