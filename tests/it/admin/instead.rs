//! What may be pulled instead: admitted versions of the same line.

use serde_json::{Value, json};

use super::Desk;
use crate::web::Browser;

/// What is told to be used instead: tag, relation and step.
fn told(view: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = view["alternatives"].as_array().cloned().unwrap_or_default();
    all.iter().map(|it| (text(&it["tag"]), text(&it["relation"]), text(&it["step"]))).collect()
}

fn other(tag: &str, relation: &str, step: &str) -> (String, String, String) {
    (tag.to_owned(), relation.to_owned(), step.to_owned())
}

async fn approve(desk: &Desk, tag: &str) {
    desk.mirror.pull("asked/app", tag).await.assert_refused("Pending");
    let image = format!("up.test/asked/app:{tag}");
    assert_eq!(desk.decide("/api/v1/approvals", &image).await.status, 200);
    desk.mirror.pull("asked/app", tag).await.assert_complete();
}

#[tokio::test]
async fn an_admitted_version_of_the_line_is_named_without_a_request_upstream() {
    let desk = Desk::start().await;
    for tag in ["7.2.9", "7.3.0", "7.4.0", "7.4.1", "8.0.0", "7.4.1-alpine", "latest"] {
        desk.push("asked/app", tag, tag);
    }
    for tag in ["7.2.9", "7.3.0", "7.4.1", "7.4.1-alpine"] {
        approve(&desk, tag).await;
    }
    desk.mirror.pull("asked/app", "7.4.0").await.assert_refused("Pending");
    let requests = desk.get("/api/v1/requests").await.json();
    let id = requests[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(requests[0].get("alternatives"), None, "lists are kept short: {requests}");
    let before = desk.mirror.upstream.requests().len();
    let view = desk.get(&format!("/api/v1/requests/{id}")).await.json();
    let expected = [other("7.4.1", "newer", "patch"), other("7.3.0", "older", "minor")];
    assert_eq!(told(&view), expected, "{view}");
    assert_eq!(view["alternatives"][0]["approved_by"], "first-run", "{view}");
    assert_eq!(view["alternatives"][0]["image"], "up.test/asked/app:7.4.1", "{view}");
    assert_eq!(desk.mirror.upstream.requests().len(), before, "nothing was asked upstream");
    let explained = desk.get("/api/v1/explain?image=up.test/asked/app:7.4.0").await.json();
    assert_eq!(told(&explained), expected, "{explained}");
    let admitted = desk.get("/api/v1/explain?image=up.test/asked/app:7.4.1").await.json();
    assert_eq!(told(&admitted), [], "{admitted}");
    let shown = desk.run(&["show", &id]).await;
    assert!(shown.stdout.contains("up.test/asked/app:7.4.1"), "{shown:?}");
    let explained = desk.run(&["explain", "up.test/asked/app:7.4.0"]).await;
    assert!(explained.stdout.contains("newer (patch), approved by first-run"), "{explained:?}");
    let page = Browser::signed_in(&desk).await.page(&format!("/requests/{id}")).await;
    assert!(page.contains("is newer (patch) and approved by <bdi>first-run</bdi>"), "{page}");
    // What was taken back is nothing to use.
    let revoked = desk.decide("/api/v1/revocations", "up.test/asked/app:7.4.1").await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let view = desk.get(&format!("/api/v1/requests/{id}")).await.json();
    assert_eq!(told(&view), [other("7.3.0", "older", "minor")], "{view}");
}

#[tokio::test]
async fn what_has_no_version_or_no_line_here_has_nothing_instead() {
    let desk = Desk::start().await;
    for tag in ["7.4.1", "latest", "7.5.0-alpine"] {
        desk.push("asked/app", tag, tag);
    }
    approve(&desk, "7.4.1").await;
    for tag in ["latest", "7.5.0-alpine"] {
        desk.mirror.pull("asked/app", tag).await.assert_refused("Pending");
        let path = format!("/api/v1/explain?image=up.test/asked/app:{tag}");
        assert_eq!(told(&desk.get(&path).await.json()), [], "{tag}");
    }
    let denied = desk.get("/api/v1/explain?image=up.test/never/app:1.0").await.json();
    assert_eq!((told(&denied), &denied["verdict"]), (Vec::new(), &json!("deny")));
}
