//! Signing in, sessions, roles.

use std::time::Duration;

use hyper::Method;
use pratique::http::admin::web::routes;
use pratique::ledger::{NewToken, Permission, Role};

use super::{Browser, desk};
use crate::support::logs;

#[tokio::test]
async fn a_token_becomes_a_session_that_opens_pages_and_nothing_of_the_api() {
    let desk = desk().await;
    let browser = Browser::new(&desk);
    let sent = browser.get("/").await;
    assert_eq!((sent.status, sent.header("location")), (303, "/login?next=%2F"));
    let reply = browser.post("/login", &[("token", &desk.token), ("next", "/audit")]).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/audit"));
    let cookie = reply.header("set-cookie");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(&desk.token), "{cookie}");
    assert!(browser.page("/audit").await.contains("first-run"));
    for path in ["/api/v1/status", "/api/v1/requests", "/api/v1/tokens"] {
        assert_eq!(browser.get(path).await.status, 401, "{path}");
    }
    let headers = [("sec-fetch-site", "same-origin"), ("content-type", "application/json")];
    let body = Some(r#"{"target":"R-1","reason":"x"}"#.to_owned());
    let reply = browser.send(Method::POST, "/api/v1/approvals", body, &headers).await;
    assert_eq!(reply.status, 401);
    // And a token of the API opens no page.
    let reply = desk.send(Method::GET, "/", Some(&desk.token), None, &[]).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/login?next=%2F"));
}

#[tokio::test]
async fn wrong_tokens_are_told_alike_and_throttled_and_lock_nobody_out() {
    let desk = desk().await;
    let browser = Browser::new(&desk);
    let mut statuses = Vec::new();
    for wrong in ["", "x", &"x".repeat(43), &"x".repeat(600)].iter().cycle().take(12) {
        let reply = browser.post("/login", &[("token", wrong)]).await;
        let text = reply.text();
        assert!(!wrong.starts_with("xxx") || !text.contains(*wrong), "the token is told again");
        statuses.push(reply.status);
        if reply.status == 429 {
            assert_eq!(reply.header("retry-after"), "60");
        } else {
            assert!(text.contains("That is no valid token."), "{text}");
        }
    }
    assert_eq!(statuses.iter().filter(|status| **status == 403).count(), 10, "{statuses:?}");
    // The API counts with it.
    let api = desk.send(Method::GET, "/api/v1/status", Some("wrong"), None, &[]).await;
    assert_eq!(api.status, 429);
    browser.sign_in(&desk.token).await;
    desk.mirror.clock.advance(Duration::from_secs(61));
    assert_eq!(Browser::new(&desk).post("/login", &[("token", "x")]).await.status, 403);
}

#[tokio::test]
async fn a_session_ends_by_rest_age_signing_out_and_with_its_token() {
    let desk = desk().await;
    let is_in = async |browser: &Browser<'_>| browser.get("/").await.status == 200;
    let browser = Browser::signed_in(&desk).await;
    desk.mirror.clock.advance(Duration::from_mins(29));
    assert!(is_in(&browser).await);
    desk.mirror.clock.advance(Duration::from_mins(30));
    assert!(!is_in(&browser).await, "it rested");

    browser.sign_in(&desk.token).await;
    for _ in 0..25 {
        desk.mirror.clock.advance(Duration::from_mins(28));
        assert!(is_in(&browser).await);
    }
    desk.mirror.clock.advance(Duration::from_mins(28));
    assert!(!is_in(&browser).await, "it is old");

    browser.sign_in(&desk.token).await;
    let (cookie, page) = (browser.cookie(), browser.page("/").await);
    let token = super::hidden(&page, "form_token");
    let out = browser.post("/logout", &[("form_token", &token)]).await;
    assert_eq!((out.status, out.header("location")), (303, "/login"));
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{out:?}");
    *browser.cookie.lock().unwrap() = Some(cookie);
    assert!(!is_in(&browser).await, "the old cookie opens nothing");

    let ledger = desk.mirror.mirror().ledger();
    let viewer = ledger.create_token(NewToken::new("eve", Role::Viewer), "test").await.unwrap();
    let browser = Browser::new(&desk);
    browser.sign_in(viewer.expose()).await;
    assert!(is_in(&browser).await);
    ledger.revoke_token("eve", "test").await.unwrap();
    assert!(!is_in(&browser).await, "its token was revoked");
    desk.mirror.clock.advance(Duration::from_secs(1));
    ledger.create_token(NewToken::new("eve", Role::Admin), "test").await.unwrap();
    assert!(!is_in(&browser).await, "another token of that name is another's");
}

#[tokio::test]
async fn every_route_takes_the_role_that_the_table_says() {
    let desk = desk().await;
    let ledger = desk.mirror.mirror().ledger();
    let viewer = ledger.create_token(NewToken::new("eve", Role::Viewer), "test").await.unwrap();
    let discover =
        ledger.create_token(NewToken::new("renovate", Role::Discover), "test").await.unwrap();
    let nobody = Browser::new(&desk);
    let reply = nobody.post("/login", &[("token", discover.expose())]).await;
    assert_eq!(reply.status, 403);
    assert!(reply.headers.get("set-cookie").is_none(), "{reply:?}");
    let table = routes();
    assert!(
        table.len() >= 13 && table.iter().any(|route| route.needs == Some(Permission::Decide)),
        "{table:?}"
    );
    for route in table {
        let path = route.path.replace("{*image}", "up.test/never/a:1").replace("{id}", "R-999");
        let ask = async |browser: &Browser<'_>| match route.method {
            Method::GET => browser.get(&path).await,
            _ => browser.post(&path, &[("form_token", "wrong")]).await,
        };
        let reply = ask(&nobody).await;
        let is_led_to = reply.status == 303 && reply.header("location").starts_with("/login");
        // What a script listens to is nothing to be led from.
        let is_sent_away = if route.path == "/live" { reply.status == 204 } else { is_led_to };
        assert_eq!(is_sent_away, route.needs.is_some(), "{path}: {reply:?}");
        let looking = Browser::new(&desk);
        looking.sign_in(viewer.expose()).await;
        let reply = ask(&looking).await;
        let is_refused = reply.status == 403 && reply.text().contains("it takes role");
        let may = route.needs.is_none_or(|needed| Role::Viewer.may(needed));
        assert_eq!(is_refused, !may, "{path}: {reply:?}");
        let deciding = Browser::signed_in(&desk).await;
        let reply = ask(&deciding).await;
        assert!(!reply.text().contains("it takes role"), "{path}: {reply:?}");
        let twisted = deciding.send(Method::DELETE, &path, None, &[]).await;
        assert_eq!(twisted.status, 405, "{path}: {twisted:?}");
    }
}

#[tokio::test]
async fn whoever_may_look_sees_everything_and_no_form_to_decide() {
    let desk = desk().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let ledger = desk.mirror.mirror().ledger();
    let viewer = ledger.create_token(NewToken::new("eve", Role::Viewer), "test").await.unwrap();
    let browser = Browser::new(&desk);
    browser.sign_in(viewer.expose()).await;
    let page = browser.page("/requests/R-1").await;
    assert!(page.contains("You may look and not decide"), "{page}");
    assert!(!page.contains("/decisions"), "{page}");
    let own = Browser::signed_in(&desk).await.page("/requests/R-1").await;
    assert!(own.contains("action=\"/decisions\""), "{own}");
}

#[tokio::test]
async fn no_token_and_no_session_is_in_any_page_or_log() {
    let log = logs::capture();
    let desk = desk().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let browser = Browser::new(&desk);
    let mut said = String::new();
    let wrong = "canary-".repeat(6);
    for fields in [&[("token", wrong.as_str())][..], &[("token", &desk.token), ("more", "1")]] {
        said.push_str(&browser.post("/login", fields).await.text());
    }
    browser.sign_in(&desk.token).await;
    for path in
        ["/", "/requests/R-1", "/images/up.test/asked/app:1", "/audit", "/policy", "/health"]
    {
        said.push_str(&browser.page(path).await);
    }
    said.push_str(&browser.decide("/requests/R-1", "approve", "fine").await.text());
    let form_token = super::hidden(&browser.page("/").await, "form_token");
    let cookie = browser.cookie();
    let id = cookie.split_once('=').unwrap().1.to_owned();
    let written = log.text();
    assert!(written.contains("waits for approval"), "the log is kept: {written}");
    for secret in [&desk.token, &id, &wrong] {
        assert!(!said.contains(secret.as_str()), "a page tells {secret}");
        assert!(!written.contains(secret.as_str()), "the log tells {secret}");
    }
    assert!(!written.contains(&form_token), "the log tells what forms carry");
}
