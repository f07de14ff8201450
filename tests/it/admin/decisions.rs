//! What people may decide, and what it changes.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::Desk;
use pratique::time::Clock as _;

const APPROVE: &str = "/api/v1/approvals";
const REJECT: &str = "/api/v1/rejections";
const REVOKE: &str = "/api/v1/revocations";
const REINSTATE: &str = "/api/v1/reinstatements";

#[tokio::test]
async fn a_blocked_pull_is_approved_by_its_request_and_pulls_at_the_next_try() {
    let desk = Desk::start().await;
    let digest = desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let requests = desk.get("/api/v1/requests").await.json();
    assert_eq!(requests.as_array().map(Vec::len), Some(1), "{requests}");
    let request = &requests[0];
    assert_eq!(
        (request["id"].as_str(), request["state"].as_str(), request["image"].as_str()),
        (Some("R-1"), Some("pending"), Some("up.test/asked/app:1"))
    );
    assert_eq!(request["digest"], digest.to_string());
    assert_eq!(request["reasons"][0]["code"], "approval-needed");

    let body = json!({"target": "R-1", "reason": "reviewed", "expires": "2026-12-01T00:00:00Z"});
    let decided = desk.post(APPROVE, &body).await;
    assert_eq!(decided.status, 200, "{decided:?}");
    let decided = decided.json();
    assert_eq!(decided["image"], format!("up.test/asked/app@{digest}"));
    assert_eq!((&decided["by"], &decided["already"]), (&json!("first-run"), &json!(false)));
    assert_eq!((&decided["verdict"], &decided["clients"]), (&json!("admit"), &json!(1)));
    desk.mirror.pull("asked/app", "1").await.assert_complete();

    let again = desk.post(APPROVE, &body).await.json();
    assert_eq!((&again["already"], &again["by"]), (&json!(true), &json!("first-run")));
    assert_eq!(desk.get("/api/v1/requests").await.json(), json!([]));
    let all = desk.get("/api/v1/requests?state=approved").await.json();
    assert_eq!(all[0]["id"], "R-1");

    desk.mirror.clock.advance(Duration::from_hours(24 * 12));
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval");
}

#[tokio::test]
async fn what_is_refused_again_soon_after_it_was_served_is_asked_for_again() {
    let desk = Desk::start().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let expires = desk.mirror.clock.now().after(Duration::from_secs(10));
    let body = json!({"target": "R-1", "reason": "for a moment", "expires": expires});
    assert_eq!(desk.post(APPROVE, &body).await.status, 200);
    desk.mirror.pull("asked/app", "1").await.assert_complete();
    desk.mirror.clock.advance(Duration::from_secs(11));
    // Less than half a minute after the first, which is when the same refusal is not filed again.
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-2");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-2");
    let open = desk.get("/api/v1/requests").await.json();
    assert_eq!((open[0]["id"].as_str(), open[0]["clients"].as_u64()), (Some("R-2"), Some(1)));
}

#[tokio::test]
async fn every_decision_is_in_the_audit_under_the_name_of_its_token() {
    let desk = Desk::start().await;
    let digest = desk.push("asked/app", "1", "content");
    let image = format!("up.test/asked/app@{digest}");
    for path in [APPROVE, REVOKE, APPROVE, REJECT] {
        assert_eq!(desk.decide(path, &image).await.status, 200, "{path}");
    }
    let page = desk.get("/api/v1/audit").await.json();
    let records = page["records"].as_array().expect("records");
    let of_people: Vec<&str> = records
        .iter()
        .filter(|record| record["by"] == "first-run" && record["subject"] == image)
        .filter_map(|record| record["action"].as_str())
        .collect();
    assert_eq!(of_people, ["approved", "revoked", "approved", "rejected"]);
    let report = desk.get("/api/v1/audit/verify").await.json();
    assert_eq!(report["intact"], true, "{report}");
    assert_eq!(report["records"], records.len());
    let second = desk.get("/api/v1/audit?from=2&limit=1").await.json();
    assert_eq!((&second["records"][0]["sequence"], &second["next"]), (&json!(2), &json!(3)));
    let explained = desk.get(&format!("/api/v1/explain?image={image}")).await.json();
    assert_eq!(explained["history"][0]["decision"], "rejected", "{explained}");
}

#[tokio::test]
async fn what_the_policy_denies_cannot_be_approved_and_the_answer_names_the_rule() {
    let desk = Desk::start().await;
    let digest = desk.push("never/app", "1", "content");
    desk.push("other/app", "1", "content");
    let target = format!("up.test/never/app@{digest}");
    let reply = desk.decide(APPROVE, &target).await;
    assert_eq!((reply.status, reply.problem().as_str()), (403, "decision-refused"));
    let body = reply.json();
    assert_eq!(body["reasons"][0]["code"], "denied-by-rule", "{body}");
    assert!(body["detail"].as_str().unwrap().contains("trust: approve"), "{body}");

    let reply = desk.decide(APPROVE, "up.test/other/app:1").await;
    assert_eq!((reply.status, reply.problem().as_str()), (403, "decision-refused"));
    assert_eq!(reply.json()["reasons"][0]["code"], "no-rule");
    desk.mirror.pull("other/app", "1").await.assert_refused("Denied");
    let reply = desk.decide(APPROVE, "R-1").await;
    assert_eq!((reply.status, reply.problem().as_str()), (403, "decision-refused"));
    assert!(reply.json()["detail"].as_str().unwrap().contains("no digest"), "{reply:?}");
    desk.mirror.pull("never/app", &digest).await.assert_refused("Denied by rule never");
    desk.mirror.upstream.assert_untouched();

    desk.push("open/app", "1", "content");
    let reply = desk.decide(APPROVE, "up.test/open/app:1").await;
    assert_eq!((reply.status, reply.problem().as_str()), (403, "decision-refused"));
    assert!(reply.json()["detail"].as_str().unwrap().contains("rule open"), "{reply:?}");
}

#[tokio::test]
async fn an_approval_holds_for_the_digest_and_not_for_the_tag() {
    let desk = Desk::start().await;
    let first = desk.push("asked/app", "1", "first");
    let reply = desk.decide(APPROVE, "up.test/asked/app:1").await.json();
    assert_eq!(reply["digest"], first.to_string());
    let second = desk.push("asked/app", "1", "second");
    desk.mirror.manifest("asked/app", second).await;
    let refused = desk.mirror.pull("asked/app", second).await;
    refused.assert_refused("Pending approval");
    desk.mirror.pull("asked/app", first).await.assert_complete();
    desk.push("asked/other", "1", "first");
    desk.mirror.pull("asked/other", first).await.assert_refused("Pending approval");
}

#[tokio::test]
async fn a_refusal_of_people_stands_until_people_undo_it() {
    let desk = Desk::start().await;
    let open = desk.push("open/app", "1", "content");
    let image = format!("up.test/open/app@{open}");
    desk.mirror.pull("open/app", open).await.assert_complete();
    let nothing = desk.decide(REINSTATE, &image).await;
    assert_eq!((nothing.status, nothing.problem().as_str()), (409, "conflict"));

    assert_eq!(desk.decide(REVOKE, &image).await.json()["verdict"], "deny");
    desk.mirror.pull("open/app", open).await.assert_refused("Revoked");
    let approving = desk.decide(APPROVE, &image).await;
    assert!(approving.json()["detail"].as_str().unwrap().contains("reinstate"), "{approving:?}");
    let back = desk.decide(REINSTATE, &image).await.json();
    assert_eq!(
        (&back["verdict"], &back["replaced"]["decision"]),
        (&json!("admit"), &json!("revoked"))
    );
    desk.mirror.pull("open/app", open).await.assert_complete();

    let asked = desk.push("asked/app", "1", "content");
    let image = format!("up.test/asked/app@{asked}");
    assert_eq!(desk.decide(REJECT, &image).await.status, 200);
    desk.mirror.pull("asked/app", asked).await.assert_refused("Rejected");
    let instead = desk.decide(REINSTATE, &image).await;
    assert_eq!((instead.status, instead.problem().as_str()), (403, "decision-refused"));
    assert_eq!(desk.decide(APPROVE, &image).await.json()["verdict"], "admit");
    desk.mirror.pull("asked/app", asked).await.assert_complete();
}

#[tokio::test]
async fn refusing_needs_neither_upstream_nor_rule() {
    let desk = Desk::start().await;
    let digest = desk.push("open/app", "1", "content");
    let image = format!("up.test/open/app@{digest}");
    for target in [image, format!("up.test/nowhere/app@{digest}")] {
        let reply = desk.decide(REVOKE, &target).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(desk.decide(REVOKE, &target).await.json()["already"], true);
    }
    desk.mirror.upstream.assert_untouched();
    desk.mirror.pull("open/app", digest).await.assert_refused("Revoked");
}

#[tokio::test]
async fn of_two_who_decide_one_request_at_once_one_wins_and_the_other_is_told() {
    let desk = Desk::start().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let (yes, no) = tokio::join!(desk.decide(APPROVE, "R-1"), desk.decide(REJECT, "R-1"));
    let mut statuses = [yes.status, no.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{yes:?} {no:?}");
    let won = if yes.status == 200 { "approved" } else { "rejected" };
    let request = desk.get("/api/v1/requests/R-1").await.json();
    assert_eq!((&request["state"], &request["standing"]["decision"]), (&json!(won), &json!(won)));
}

#[tokio::test]
async fn a_decision_on_what_was_seen_fails_when_that_has_changed() {
    let desk = Desk::start().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let seen = desk.get("/api/v1/requests/R-1").await.header("etag").to_owned();
    let digest = desk.get("/api/v1/requests/R-1").await.json()["digest"].clone();
    let image = format!("up.test/asked/app@{}", digest.as_str().expect("a digest"));
    let approve = |version: String| {
        let body = json!({"target": image, "reason": "x"}).to_string();
        let desk = &desk;
        async move {
            let headers = [("if-match", version.as_str())];
            let token = Some(desk.token.as_str());
            desk.send(Method::POST, APPROVE, token, Some(body), &headers).await
        }
    };
    assert_eq!(desk.decide(REJECT, "R-1").await.status, 200);
    let late = approve(seen.clone()).await;
    assert_eq!((late.status, late.problem().as_str()), (412, "conflict"));
    assert_eq!(approve("R-1".to_owned()).await.status, 400);
    let now = desk.get("/api/v1/requests/R-1").await.header("etag").to_owned();
    assert_ne!(now, seen);
    assert_eq!(approve(now).await.status, 200);
}

#[tokio::test]
async fn explain_tells_rule_checks_verdict_and_what_would_have_to_change() {
    let desk = Desk::start().await;
    let digest = desk.push("asked/app", "1", "content");
    let view = desk.get("/api/v1/explain?image=up.test/asked/app:1").await.json();
    assert_eq!(view["digest"], digest.to_string());
    assert_eq!((&view["verdict"], &view["rule"]["id"]), (&json!("pending"), &json!("asked")));
    assert_eq!(view["rule"]["pattern"], "up.test/asked/**");
    let checks: Vec<&str> = view["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter_map(|check| check["name"].as_str())
        .collect();
    assert_eq!(checks, ["floor", "allowlist", "manifest", "signature", "approval"]);
    assert!(!view["reasons"][0]["remedy"].as_str().unwrap().is_empty(), "{view}");
    assert_eq!(view["tag_history"][0]["digest"], digest.to_string());

    let denied = desk.get("/api/v1/explain?image=up.test/other/app:1").await.json();
    assert_eq!((&denied["verdict"], &denied["digest"]), (&json!("deny"), &Value::Null));
    let absent = desk.get("/api/v1/explain?image=up.test/asked/app:none").await;
    assert_eq!((absent.status, absent.problem().as_str()), (404, "not-found"));
}

#[tokio::test]
async fn asking_files_requests_as_a_pull_would_and_says_how_each_image_stands() {
    let desk = Desk::start().await;
    desk.push("asked/app", "1", "content");
    desk.push("open/app", "1", "content");
    let images = ["open/app:1", "asked/app:1", "never/app:1", "open/app:none"];
    let images: Vec<String> = images.map(|image| format!("up.test/{image}")).to_vec();
    let body = json!({"images": images, "reason": "for the shop"});
    let asked = desk.post("/api/v1/requests", &body).await.json();
    let states: Vec<&str> =
        asked.as_array().expect("a list").iter().filter_map(|one| one["state"].as_str()).collect();
    assert_eq!(states, ["admitted", "pending", "denied", "absent"]);
    let id = asked[1]["request"].as_str().expect("a request");
    let request = desk.get(&format!("/api/v1/requests/{id}")).await.json();
    assert_eq!(request["note"], "for the shop", "{request}");
    assert_eq!(request["client_names"], json!(["first-run"]));
    let wrong = desk.post("/api/v1/requests", &json!({"images": ["a b"]})).await;
    assert_eq!((wrong.status, wrong.problem().as_str()), (400, "invalid"));
}

#[tokio::test]
async fn an_upstream_that_is_away_is_not_a_no() {
    let desk = Desk::start().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.upstream.go_away();
    let reply = desk.decide(APPROVE, "up.test/asked/app:1").await;
    assert_eq!((reply.status, reply.problem().as_str()), (503, "undecided"), "{reply:?}");
    assert!(!reply.header("retry-after").is_empty());
}
