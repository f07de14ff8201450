//! Who may ask what, and how a no looks.

use hyper::Method;
use serde_json::json;

use super::Desk;

const API: &str = "/api/v1";

/// Every route: method, path, body, and whether it changes anything.
fn routes() -> Vec<(Method, &'static str, Option<String>, bool)> {
    let decision = Some(json!({"target": "R-999", "reason": "x"}).to_string());
    let images = Some(json!({"images": ["up.test/open/none:1"]}).to_string());
    let token = Some(json!({"name": "made", "role": "viewer"}).to_string());
    let image = Some(json!({"image": "up.test/open/none:1"}).to_string());
    vec![
        (Method::GET, "/status", None, false),
        (Method::GET, "/requests", None, false),
        (Method::GET, "/requests/R-999", None, false),
        (Method::GET, "/explain?image=up.test/never/x:1", None, false),
        (Method::GET, "/audit", None, false),
        (Method::GET, "/audit/verify", None, false),
        (Method::GET, "/observed", None, false),
        (Method::GET, "/policy", None, false),
        (Method::GET, "/tokens", None, false),
        (Method::GET, "/cache", None, false),
        (Method::GET, "/cache/pins", None, false),
        (Method::GET, "/public-keys", None, false),
        (Method::GET, "/rejudgements", None, false),
        (Method::GET, "/nowhere", None, false),
        (Method::POST, "/simulate", Some(json!({"policy": ""}).to_string()), false),
        (Method::POST, "/cache/gc", None, true),
        (Method::POST, "/cache/pins", image, true),
        (Method::DELETE, "/cache/pins?image=up.test/open/none:1", None, true),
        (Method::POST, "/cache/scrub", Some("{}".to_owned()), true),
        (Method::POST, "/public-keys", None, true),
        (Method::POST, "/rejudgements", None, true),
        (Method::POST, "/scans/releases", None, true),
        (Method::POST, "/requests", images.clone(), true),
        (Method::POST, "/approvals", decision.clone(), true),
        (Method::POST, "/rejections", decision.clone(), true),
        (Method::POST, "/revocations", decision.clone(), true),
        (Method::POST, "/reinstatements", decision, true),
        (Method::POST, "/prefetch", images, true),
        (Method::POST, "/tokens", token, true),
        (Method::DELETE, "/tokens/made", None, true),
        (Method::POST, "/backup", None, true),
        (Method::PUT, "/status", None, true),
    ]
}

/// A route that is added to the API is added to the table above, or this fails.
#[test]
fn the_table_of_routes_is_the_whole_api() {
    let source = include_str!("../../../src/http/admin/mod.rs");
    let (api, _) = source.split_once(".nest(").expect("routes with a token before those without");
    let mut served: Vec<String> = Vec::new();
    for route in api.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
        let (path, handlers) = route.split_once('"').expect("a path");
        for method in ["get", "post", "put", "patch", "delete", "any"] {
            if handlers.contains(&format!("{method}(")) {
                served.push(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert!(served.len() > 25, "{served:?}");
    let table = routes();
    let is_listed = |route: &String| {
        table.iter().any(|(method, path, ..)| {
            let path = path.split('?').next().expect("a path");
            let (wanted, template) = route.split_once(' ').expect("a method");
            let same = |(part, of): (&str, &str)| part == of || of.starts_with('{');
            method.as_str() == wanted
                && path.split('/').count() == template.split('/').count()
                && path.split('/').zip(template.split('/')).all(same)
        })
    };
    let left_out: Vec<_> = served.iter().filter(|route| !is_listed(route)).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
}

#[tokio::test]
async fn every_route_takes_a_token_with_the_role_for_it() {
    let desk = Desk::start().await;
    let ledger = desk.mirror.mirror().ledger();
    let viewer = ledger.create_token("eve", pratique::ledger::Role::Viewer, "test").await.unwrap();
    let discover =
        ledger.create_token("renovate", pratique::ledger::Role::Discover, "test").await.unwrap();
    let wrong = "x".repeat(43);
    for (method, path, body, writes) in routes() {
        let path = format!("{API}{path}");
        let ask = |token: Option<String>| {
            let (method, path, body, desk) = (method.clone(), path.clone(), body.clone(), &desk);
            async move { desk.send(method, &path, token.as_deref(), body, &[]).await }
        };
        let tokens = [None, Some(wrong.clone())];
        for token in tokens {
            // Both look alike. The clock moves on, so that failing so often is not throttled.
            desk.mirror.clock.advance(std::time::Duration::from_secs(61));
            let reply = ask(token).await;
            assert_eq!(
                (reply.status, reply.problem().as_str()),
                (401, "unauthenticated"),
                "{path}"
            );
            assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"pratique\"");
        }
        let reply = ask(Some(discover.expose().to_owned())).await;
        assert_eq!((reply.status, reply.problem().as_str()), (403, "role"), "{method} {path}");
        let reply = ask(Some(viewer.expose().to_owned())).await;
        let refused = reply.status == 403 && reply.problem() == "role";
        assert_eq!(refused, writes, "{method} {path} for a viewer: {reply:?}");
        let reply = ask(Some(desk.token.clone())).await;
        let refused = reply.status == 401 || (reply.status == 403 && reply.problem() == "role");
        assert!(!refused, "{method} {path} for an admin: {reply:?}");
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
