//! Questions on the page: asked, listed, answered, and never more than text.

use pratique::ledger::{NewToken, Role};
use serde_json::json;

use super::hostile::{HOSTILE, assert_harmless};
use super::{Browser, desk, hidden};
use crate::admin::Desk;

async fn signed_in<'a>(desk: &'a Desk, name: &str, role: Role) -> Browser<'a> {
    let ledger = desk.mirror.mirror().ledger();
    let token = ledger.create_token(NewToken::new(name, role), "test").await.unwrap();
    let browser = Browser::new(desk);
    browser.sign_in(token.expose()).await;
    browser
}

#[tokio::test]
async fn an_approver_asks_and_whoever_asked_answers_on_the_page() {
    let desk = desk().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let (alice, dev) = (
        signed_in(&desk, "alice", Role::Approver).await,
        signed_in(&desk, "dev", Role::Requester).await,
    );
    let eve = signed_in(&desk, "eve", Role::Viewer).await;
    let page = alice.page("/requests/R-1").await;
    assert!(
        page.contains("action=\"/questions\"") && !page.contains("action=\"/answers\""),
        "{page}"
    );
    let token = hidden(&page, "form_token");
    let form = [("form_token", &*token), ("target", "R-1"), ("text", "what is it\r\n for?")];
    let asked = alice.post("/questions", &form).await;
    assert_eq!(asked.header("location"), "/requests/R-1?done=question", "{}", asked.text());
    let queue = eve.page("/").await;
    for said in ["needs info", "what is it for?", "state=needs-info"] {
        assert!(queue.contains(said), "{said}: {queue}");
    }
    assert!(eve.page("/?state=needs-info").await.contains("/requests/R-1\""));
    let page = eve.page("/requests/R-1").await;
    assert!(
        page.contains("waits for an answer") && !page.contains("action=\"/answers\""),
        "{page}"
    );
    let token = hidden(&eve.page("/").await, "form_token");
    let form = [("form_token", &*token), ("target", "R-1"), ("text", "because")];
    assert_eq!(eve.post("/answers", &form).await.status, 403);
    let page = dev.page("/requests/R-1").await;
    assert!(
        page.contains("action=\"/answers\"") && !page.contains("action=\"/questions\""),
        "{page}"
    );
    let token = hidden(&page, "form_token");
    assert_eq!(dev.post("/questions", &form).await.status, 403);
    let foreign = [("form_token", "wrong"), ("target", "R-1"), ("text", "because")];
    assert_eq!(dev.post("/answers", &foreign).await.status, 403);
    let form = [("form_token", &*token), ("target", "R-1"), ("text", "the shop")];
    let answered = dev.post("/answers", &form).await;
    assert_eq!(answered.header("location"), "/requests/R-1?done=answer", "{}", answered.text());
    let page = alice.page("/requests/R-1").await;
    assert!(page.contains("the shop") && !page.contains("waits for an answer"), "{page}");
    assert!(!alice.page("/?state=needs-info").await.contains("/requests/R-1\""));
}

#[tokio::test]
async fn what_is_asked_answered_and_named_is_text() {
    let desk = desk().await;
    desk.push("asked/app", "1", "content");
    let short: String = HOSTILE.chars().take(100).collect();
    let body = json!({
        "images": ["up.test/asked/app:1"], "reason": HOSTILE, "group": short, "ticket": short,
    });
    assert_eq!(desk.post("/api/v1/requests", &body).await.status, 200);
    for what in ["questions", "answers", "questions"] {
        let path = format!("/api/v1/requests/R-1/{what}");
        let reply = desk.post(&path, &json!({"text": HOSTILE})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let browser = Browser::signed_in(&desk).await;
    let query = super::encoded(&[("group", &short)]);
    for path in ["/", "/?state=needs-info", &format!("/?{query}"), "/requests/R-1", "/audit"] {
        let page = browser.page(path).await;
        assert_harmless(&page, path);
    }
    assert!(browser.page(&format!("/?{query}")).await.contains("/requests/R-1\""));
}
