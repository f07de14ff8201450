//! The feed of the queue: for who may look, bounded, escaped, and asked for cheaply.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Method;
use pratique::gate::{Reason, ReasonCode};
use pratique::ledger::{Filing, RequestState};
use pratique::oci::{Digest, Reference};
use serde_json::json;

use crate::admin::{Desk, Reply};

async fn ask(desk: &Desk, headers: &[(&'static str, &str)]) -> Reply {
    desk.send(Method::GET, "/feed.atom", None, None, headers).await
}

async fn token(desk: &Desk, name: &str, role: &str) -> String {
    let reply = desk.post("/api/v1/tokens", &json!({"name": name, "role": role})).await;
    reply.json()["token"].as_str().unwrap().to_owned()
}

fn basic(password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("anybody:{password}")))
}

#[tokio::test]
async fn the_feed_is_for_who_may_look_and_no_password_in_it_may_decide() {
    let desk = Desk::start().await;
    let bearer = |token: &str| format!("Bearer {token}");
    let viewer = token(&desk, "reader", "viewer").await;
    let discover = token(&desk, "renovate", "discover").await;
    let nobody = ask(&desk, &[]).await;
    assert_eq!((nobody.status, nobody.problem().as_str()), (401, "unauthenticated"));
    assert!(nobody.header("www-authenticate").starts_with("Basic "));
    for (authorization, status) in [
        (bearer(&desk.token), 200),
        (bearer(&viewer), 200),
        (basic(&viewer), 200),
        (basic(&desk.token), 403),
        (basic(&discover), 403),
        (bearer(&discover), 403),
        (basic("guessed"), 401),
        (basic(""), 401),
    ] {
        let reply = ask(&desk, &[("authorization", &authorization)]).await;
        assert_eq!(reply.status, status, "{authorization}: {}", reply.text());
    }
    // A token for some repositories shows those alone.
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let body = json!({"name": "team", "role": "viewer", "repositories": ["up.test/open/**"]});
    let scoped = desk.post("/api/v1/tokens", &body).await.json()["token"].clone();
    for (token, entries) in [(viewer.as_str(), 1), (scoped.as_str().unwrap(), 0)] {
        let feed = ask(&desk, &[("authorization", &basic(token))]).await;
        assert_eq!((feed.status, feed.text().matches("<entry>").count()), (200, entries));
    }
    // A password opens nothing else.
    let login = basic(&viewer);
    let headers = [("authorization", login.as_str())];
    for path in ["/api/v1/requests", "/"] {
        let reply = desk.send(Method::GET, path, None, None, &headers).await;
        assert!([401, 303].contains(&reply.status), "{path}: {reply:?}");
    }
}

fn filing(number: usize) -> Filing {
    let digest = Digest::sha256(&number.to_be_bytes());
    Filing {
        name: "up.test/asked/app".parse().unwrap(),
        reference: Reference::Digest(digest),
        digest: Some(digest),
        tag: None,
        state: RequestState::Pending,
        rule: Some("asked".to_owned()),
        reasons: vec![Reason {
            code: ReasonCode::ApprovalNeeded,
            text: "</content><script>alert(1)</script> & ]]> \u{202e}\u{0}".to_owned(),
            remedy: String::new(),
        }],
        client: "node".to_owned(),
        note: None,
        requester: None,
        group: None,
        ticket: None,
    }
}

#[tokio::test]
async fn the_feed_has_the_newest_hundred_escaped_and_says_when_nothing_changed() {
    let desk = Desk::start().await;
    let own = format!("Bearer {}", desk.token);
    let empty = ask(&desk, &[("authorization", &own)]).await;
    assert_eq!(empty.header("content-type"), "application/atom+xml; charset=utf-8");
    assert!(!empty.text().contains("<entry>"));
    for number in 1..=130 {
        desk.mirror.mirror().ledger().file_request(filing(number)).await.unwrap();
    }
    let full = ask(&desk, &[("authorization", &own)]).await;
    let text = full.text();
    assert_eq!(text.matches("<entry>").count(), 100);
    assert!(text.contains("urn:pratique:request:R-130<") && !text.contains(":R-30<"), "{text}");
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns="), "{text}");
    assert!(
        text.contains("&lt;/content&gt;&lt;script&gt;") && !text.contains("<script>"),
        "{text}"
    );
    assert!(!text.contains(['\u{202e}', '\u{0}']));
    assert!(text.contains("<link rel=\"alternate\" href=\"/requests/R-130\"></link>"), "{text}");
    let tag = full.header("etag").to_owned();
    assert_ne!(tag, empty.header("etag"));
    let headers = [("authorization", own.as_str()), ("if-none-match", tag.as_str())];
    let same = ask(&desk, &headers).await;
    assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, tag.as_str()));
    // One pull more is nothing new.
    desk.mirror.mirror().ledger().file_request(filing(130)).await.unwrap();
    assert_eq!(ask(&desk, &headers).await.status, 304);
    desk.mirror.mirror().ledger().file_request(filing(131)).await.unwrap();
    assert_eq!(ask(&desk, &headers).await.status, 200);
}

#[tokio::test]
async fn a_question_is_in_the_feed_and_makes_its_entry_new() {
    let desk = Desk::start().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let own = format!("Bearer {}", desk.token);
    let before = ask(&desk, &[("authorization", &own)]).await;
    desk.mirror.clock.advance(std::time::Duration::from_mins(5));
    let said = serde_json::json!({"text": "what <is> it for?"});
    assert_eq!(desk.post("/api/v1/requests/R-1/questions", &said).await.status, 200);
    let after = ask(&desk, &[("authorization", &own)]).await;
    assert_ne!(before.header("etag"), after.header("etag"));
    let text = after.text();
    for said in ["term=\"needs-info\"", "question by first-run: what &lt;is&gt; it for?"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!before.text().contains("needs-info"));
}
