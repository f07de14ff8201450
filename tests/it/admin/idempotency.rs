//! `Idempotency-Key`: what was asked for twice is done once.

use hyper::Method;
use pratique::ledger::{NewToken, Role};
use serde_json::{Value, json};

use super::{Desk, Reply};

async fn send(desk: &Desk, path: &str, key: &str, body: &Value) -> Reply {
    let headers = [("idempotency-key", key)];
    desk.send(Method::POST, path, Some(&desk.token), Some(body.to_string()), &headers).await
}

/// How often the audit has a decision of this kind.
async fn count(desk: &Desk, action: &str) -> usize {
    let audit = desk.get("/api/v1/audit").await.json();
    let records = audit["records"].as_array().unwrap();
    records.iter().filter(|record| record["action"] == action).count()
}

#[tokio::test]
async fn the_same_request_with_the_same_key_is_done_once_and_answered_alike() {
    let desk = Desk::start().await;
    desk.push("asked/app", "1", "content");
    let body = json!({"target": "up.test/asked/app:1", "reason": "reviewed"});
    let first = send(&desk, "/api/v1/approvals", "k-1", &body).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, ""), "{first:?}");
    assert_eq!(first.json()["already"], false);
    for key in ["k-1", "\"k-1\""] {
        let again = send(&desk, "/api/v1/approvals", key, &body).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (200, "true"));
        assert_eq!((&again.body, again.header("content-type")), (&first.body, "application/json"));
    }
    let other = send(&desk, "/api/v1/approvals", "k-2", &body).await;
    assert_eq!(other.json()["already"], true, "another key is another request");
    assert_eq!(count(&desk, "approved").await, 1);
}

#[tokio::test]
async fn a_key_is_for_one_request_of_one_caller_for_a_day() {
    let desk = Desk::start().await;
    let ask = |image: &str| json!({"images": [image]});
    let path = "/api/v1/requests";
    assert_eq!(send(&desk, path, "k", &ask("up.test/never/a:1")).await.status, 200);
    let other = send(&desk, path, "k", &ask("up.test/never/b:1")).await;
    assert_eq!((other.status, other.problem().as_str()), (422, "key-reused"));
    let elsewhere = send(&desk, "/api/v1/cache/gc", "k", &json!({})).await;
    assert_eq!((elsewhere.status, elsewhere.problem().as_str()), (422, "key-reused"));
    let ledger = desk.mirror.mirror().ledger();
    let bob = ledger.create_token(NewToken::new("bob", Role::Requester), "test").await.unwrap();
    let headers = [("idempotency-key", "k")];
    let body = Some(ask("up.test/never/b:1").to_string());
    let reply = desk.send(Method::POST, path, Some(bob.expose()), body, &headers).await;
    assert_eq!((reply.status, reply.header("idempotency-replayed")), (200, ""), "{reply:?}");
    desk.mirror.clock.advance(std::time::Duration::from_hours(24));
    let later = send(&desk, path, "k", &ask("up.test/never/b:1")).await;
    assert_eq!((later.status, later.header("idempotency-replayed")), (200, ""));
}

#[tokio::test]
async fn a_no_is_given_again_and_a_mistake_or_a_failure_is_not() {
    let desk = Desk::start().await;
    let path = "/api/v1/approvals";
    let body = json!({"target": "R-7", "reason": "reviewed"});
    assert_eq!(send(&desk, path, "no", &body).await.status, 404);
    let again = send(&desk, path, "no", &body).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (404, "true"));
    for (key, bad) in [("mistake", json!({"target": "R-7"})), ("empty", json!({}))] {
        for _ in 0..2 {
            let reply = send(&desk, path, key, &bad).await;
            assert_eq!((reply.status, reply.header("idempotency-replayed")), (400, ""));
        }
    }
    desk.push("asked/app", "1", "content");
    let body = json!({"target": "up.test/asked/app:1", "reason": "reviewed"});
    desk.mirror.upstream.go_away();
    assert_eq!(send(&desk, path, "away", &body).await.status, 503);
    let again = send(&desk, path, "away", &body).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (503, ""));
}

#[tokio::test]
async fn no_answer_with_a_secret_is_kept_and_keys_have_a_form() {
    let desk = Desk::start().await;
    let token = json!({"name": "made", "role": "viewer"});
    let reply = send(&desk, "/api/v1/tokens", "k", &token).await;
    assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{reply:?}");
    let person = json!({"name": "alice", "role": "viewer"});
    for (path, body) in [
        ("/api/v1/people", &person),
        ("/api/v1/people/alice/reset", &json!({})),
        ("/api/v1/prefetch", &json!({"images": ["up.test/open/app:1"]})),
        ("/api/v1/backup", &json!({})),
    ] {
        let reply = send(&desk, path, "k", body).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{path}");
    }
    let tokens = desk.get("/api/v1/tokens").await.json();
    assert_eq!(tokens.as_array().unwrap().len(), 1, "nothing was made");
    let body = json!({"images": ["up.test/never/a:1"]});
    for bad in ["", "a b", &"k".repeat(256)] {
        let reply = send(&desk, "/api/v1/requests", bad, &body).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{bad}");
    }
}

#[tokio::test]
async fn of_two_at_once_one_is_done_and_the_other_is_told_to_wait_or_gets_its_answer() {
    let desk = Desk::start().await;
    desk.push("asked/app", "1", "content");
    let body = json!({"target": "up.test/asked/app:1", "reason": "reviewed"});
    let (one, two) = tokio::join!(
        send(&desk, "/api/v1/approvals", "k", &body),
        send(&desk, "/api/v1/approvals", "k", &body)
    );
    for reply in [&one, &two] {
        let is_fine =
            reply.status == 200 || (reply.status, reply.problem().as_str()) == (409, "conflict");
        assert!(is_fine, "{reply:?}");
    }
    assert!(one.status == 200 || two.status == 200, "{one:?} {two:?}");
    assert_eq!(count(&desk, "approved").await, 1);
}
