//! Forms: that a page of ours sent them, and that they are what a form is (CWE-352).

use hyper::Method;

use super::{Browser, desk, hidden};

#[tokio::test]
async fn a_form_that_no_page_of_this_session_sent_changes_nothing() {
    let desk = desk().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/requests/R-1").await;
    let (token, shown) = (hidden(&page, "form_token"), hidden(&page, "shown"));
    assert!(token.len() >= 43 && !shown.is_empty(), "{page}");
    let other = Browser::signed_in(&desk).await.page("/").await;
    let others = hidden(&other, "form_token");
    let form = |token: &str| {
        vec![
            ("form_token".to_owned(), token.to_owned()),
            ("verb".to_owned(), "approve".to_owned()),
            ("target".to_owned(), "R-1".to_owned()),
            ("reason".to_owned(), "x".to_owned()),
            ("shown".to_owned(), shown.clone()),
        ]
    };
    let own = [("sec-fetch-site", "same-origin")];
    for (token, headers) in [
        ("", &own[..]),
        (others.as_str(), &own),
        (token.as_str(), &[]),
        (&token, &[("sec-fetch-site", "cross-site")]),
        (&token, &[("sec-fetch-site", "same-site")]),
        (&token, &[("sec-fetch-site", "none")]),
        (&token, &[("origin", "http://evil.test")]),
        (&token, &[("origin", "null")]),
        (&token, &[("sec-fetch-site", "cross-site"), ("origin", "http://desk.test")]),
    ] {
        let form = form(token);
        let fields: Vec<(&str, &str)> =
            form.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let reply = browser.post_from("/decisions", &fields, headers).await;
        assert_eq!(reply.status, 403, "{headers:?}");
        assert!(reply.text().contains("does not come from a page of this server"), "{reply:?}");
    }
    let elsewhere = [("origin", "http://evil.test")];
    let out = browser.post_from("/logout", &[("form_token", &token)], &elsewhere).await;
    assert_eq!(out.status, 403);
    let out = browser.post("/logout", &[("form_token", "wrong")]).await;
    assert_eq!(out.status, 403);
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    // An older browser names the origin instead.
    let form = form(&token);
    let fields: Vec<(&str, &str)> = form.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let reply = browser.post_from("/decisions", &fields, &[("origin", "http://desk.test")]).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    desk.mirror.pull("asked/app", "1").await.assert_complete();
}

#[tokio::test]
async fn nobody_is_signed_in_by_a_form_of_another_site() {
    let desk = desk().await;
    for headers in [&[("sec-fetch-site", "cross-site")][..], &[("origin", "http://evil.test")], &[]]
    {
        let browser = Browser::new(&desk);
        let reply = browser.post_from("/login", &[("token", &desk.token)], headers).await;
        assert_eq!(reply.status, 403, "{headers:?}");
        assert!(reply.headers.get("set-cookie").is_none());
    }
}

#[tokio::test]
async fn signing_in_leads_to_no_other_site() {
    let desk = desk().await;
    for next in ["//evil.test", "https://evil.test/", "/\\evil.test", "/logout", "/api/v1/status"] {
        let browser = Browser::new(&desk);
        let reply = browser.post("/login", &[("token", &desk.token), ("next", next)]).await;
        assert_eq!((reply.status, reply.header("location")), (303, "/"), "{next}");
    }
    let browser = Browser::new(&desk);
    let sent = browser.get("/requests/R-1").await;
    assert_eq!(sent.header("location"), "/login?next=%2Frequests%2FR-1");
    let page = browser.page("/login?next=%2Frequests%2FR-1").await;
    assert_eq!(hidden(&page, "next"), "/requests/R-1");
}

#[tokio::test]
async fn forms_are_bounded_and_forms_and_nothing_else() {
    let desk = desk().await;
    let browser = Browser::signed_in(&desk).await;
    let own = ("sec-fetch-site", "same-origin");
    for content_type in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
        let headers = [own, ("content-type", content_type)];
        let body = Some("token=x".to_owned());
        let reply = browser.send(Method::POST, "/login", body, &headers).await;
        assert_eq!(reply.status, 415, "{content_type}");
    }
    let large = "x".repeat(65 * 1024);
    assert_eq!(browser.post("/login", &[("token", &large)]).await.status, 413);
    let token = hidden(&browser.page("/").await, "form_token");
    for fields in [
        &[("form_token", token.as_str())][..],
        &[("form_token", &token), ("verb", "explode"), ("target", "R-1"), ("reason", "x")],
        &[("form_token", &token), ("verb", "approve"), ("target", "R-1"), ("reason", "x")],
        &[
            ("form_token", &token),
            ("verb", "approve"),
            ("target", "R-1"),
            ("reason", "x"),
            ("shown", "bm90aGluZw"),
        ],
        &[
            ("form_token", &token),
            ("verb", "reject"),
            ("target", "R-1"),
            ("reason", "x"),
            ("term", "-1"),
        ],
        &[("form_token", &token), ("form_token", &token)],
    ] {
        let reply = browser.post("/decisions", fields).await;
        assert_eq!(reply.status, 400, "{fields:?} {}", reply.text());
    }
}
