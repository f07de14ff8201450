//! What every answer of the page carries.

use hyper::Method;
use pratique::http::admin::web::routes;

use super::{Browser, RULES, desk};
use crate::admin::Desk;
use crate::support::mirror::TestMirror;

const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                   connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[tokio::test]
async fn every_page_lets_the_browser_do_nothing_but_show_it_and_is_kept_nowhere() {
    let desk = desk().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let browser = Browser::signed_in(&desk).await;
    let mut replies = Vec::new();
    for route in routes().iter().filter(|route| route.method == Method::GET) {
        let path = route.path.replace("{*image}", "up.test/asked/app:1").replace("{id}", "R-1");
        replies.push((path.clone(), browser.get(&path).await));
    }
    for path in ["/requests/R-999", "/images/%3Cscript%3E", "/?state=sad", "/audit?before=x"] {
        let reply = browser.get(path).await;
        assert!((400..500).contains(&reply.status), "{path}: {reply:?}");
        replies.push((path.to_owned(), reply));
    }
    let html = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    replies.push(("/r/R-1".to_owned(), browser.send(Method::GET, "/r/R-1", None, &html).await));
    replies.push(("/login".to_owned(), browser.post("/login", &[("token", "x")]).await));
    for (path, reply) in &replies {
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(reply.header("cross-origin-opener-policy"), "same-origin", "{path}");
        if path == "/live" {
            assert_eq!(reply.header("content-type"), "text/event-stream");
            continue;
        }
        if path.starts_with("/assets/") {
            assert!(reply.header("cache-control").contains("immutable"), "{path}");
            continue;
        }
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(reply.header("content-security-policy"), CSP, "{path}");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        let text = reply.text();
        assert!(!text.contains("style=") && !text.contains(" onclick"), "{path}: {text}");
        assert_eq!(text.matches("<script").count(), 1, "{path}");
        assert!(text.contains("<script src=\"/assets/keys.js?"), "{path}: {text}");
        for once in ["<h1>", "<h1", "<main ", "</html>", "<title>", "lang=\"en\""] {
            let found = text.matches(once).count();
            assert!(found == 1 || (once == "<h1>" && found == 0), "{path}: {once} {found} times");
        }
    }
}

#[tokio::test]
async fn the_link_of_a_refusal_is_a_page_for_browsers_and_a_text_for_others() {
    let desk = desk().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let nobody = Browser::new(&desk);
    let html = [("accept", "text/html")];
    let page = nobody.send(Method::GET, "/r/R-1", None, &html).await;
    let text = page.text();
    assert!(
        text.contains("up.test/asked/app:1") && text.contains("href=\"/requests/R-1\""),
        "{text}"
    );
    assert!(!text.contains("127.0.0.1"), "it names a client: {text}");
    let plain = nobody.get("/r/R-1").await;
    assert_eq!(plain.header("content-type"), "text/plain; charset=utf-8");
}

#[tokio::test]
async fn a_style_sheet_and_a_script_are_all_that_a_page_asks_for() {
    let desk = desk().await;
    let page = Browser::new(&desk).page("/login").await;
    let mut asked: Vec<&str> = page.split("href=\"/assets").skip(1).collect();
    asked.extend(page.split("src=\"/assets").skip(1));
    assert_eq!(asked.len(), 3, "{page}");
    for rest in asked {
        let path = format!("/assets{}", rest.split('"').next().unwrap());
        let file = desk.send(Method::GET, &path, None, None, &[]).await;
        assert_eq!(file.status, 200, "{path}");
        assert!(file.body.len() < 32 * 1024, "{path} has {} bytes", file.body.len());
        let text = file.text();
        assert!(!text.contains("@import") && !text.contains("url("), "{path}");
        assert!(!text.contains("innerHTML") && !text.contains("eval("), "{path}");
    }
}

#[tokio::test]
async fn behind_something_that_speaks_tls_cookies_are_for_tls_alone() {
    for (public_url, name, is_secure) in [
        (Some("https://mirror.test"), "__Host-pratique=", true),
        (Some("http://mirror.test"), "pratique-session=", false),
        (None, "pratique-session=", false),
    ] {
        let policy = format!("rules:\n{RULES}");
        let mirror = TestMirror::start_with(&policy, |settings| {
            settings.node.public_url = public_url.map(Into::into);
        });
        let desk = Desk::of(mirror.await);
        let browser = Browser::new(&desk);
        let reply = browser.post("/login", &[("token", &desk.token)]).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        let cookie = reply.header("set-cookie");
        assert!(cookie.starts_with(name), "{public_url:?}: {cookie}");
        assert_eq!(cookie.contains("; Secure"), is_secure, "{public_url:?}: {cookie}");
        assert_eq!(browser.get("/policy").await.status, 200, "{public_url:?}");
    }
}
