//! The latest inventory of each cluster is kept, whole, over a restart, and as the claim that it is.

use std::time::Duration;

use hyper::Method;
use pratique::oci::Digest;
use serde_json::{Value, json};

use super::{inventory, robot, told, workloads};
use crate::admin::Desk;

async fn send(desk: &Desk, token_file: &str, body: &Value) -> (u16, String) {
    let token = std::fs::read_to_string(token_file).unwrap();
    let body = Some(body.to_string());
    let reply = desk.send(Method::POST, "/api/v1/inventory", Some(&token), body, &[]).await;
    let said = if reply.status == 200 { String::new() } else { reply.json()["detail"].to_string() };
    (reply.status, said)
}

fn one(cluster: &str, workload: &str) -> Value {
    inventory(cluster, &[(workload, "up.test/open/app:1", Some(Digest::sha256(b"a")))])
}

#[tokio::test]
async fn an_inventory_is_replaced_whole_outlives_a_restart_and_grows_stale() {
    let desk = Desk::start().await;
    desk.tell(&one("prod", "old")).await;
    desk.tell(&one("prod", "new")).await;
    desk.tell(&one("test", "other")).await;
    let expected = told(&[("new", "same"), ("other", "same")]);
    assert_eq!(workloads(&desk.sought("up.test/open/app").await), expected);
    let desk = Desk::of(Box::pin(desk.mirror.restart()).await);
    let view = desk.sought("up.test/open/app").await;
    assert_eq!((workloads(&view), &view["pods"]), (expected, &json!(4)));
    assert_eq!(view["running"][0]["is_stale"], false);
    desk.mirror.clock.advance(Duration::from_secs(901));
    desk.tell(&one("test", "other")).await;
    let view = desk.sought("up.test/open/app").await;
    let stale: Vec<_> =
        view["clusters"].as_array().unwrap().iter().map(|it| &it["is_stale"]).collect();
    assert_eq!(stale, [&json!(true), &json!(false)]);
    let shown = desk.run(&["where", "up.test/open/app"]).await.stdout;
    assert!(
        shown.contains("prod (stale)") && shown.contains("What is known of prod is stale"),
        "{shown}"
    );
    desk.mirror.clock.advance(Duration::from_hours(24 * 31));
    assert_eq!(desk.get("/api/v1/inventory").await.json(), json!({"clusters": []}));
}

#[tokio::test]
async fn a_large_inventory_is_taken_with_a_key_as_without_one() {
    let desk = Desk::start().await;
    let token = std::fs::read_to_string(robot(&desk, "own").await).unwrap();
    let mut report = one("prod", "a");
    let entry = report["running"][0].clone();
    report["running"] = Value::Array(vec![entry; 500]);
    let body = report.to_string();
    assert!(body.len() > 64 * 1024, "more than other bodies may have");
    for headers in [&[][..], &[("idempotency-key", "once")]] {
        let body = Some(body.clone());
        let reply = desk.send(Method::POST, "/api/v1/inventory", Some(&token), body, headers).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[tokio::test]
async fn a_file_that_was_changed_is_left_out_and_nothing_else_is() {
    let desk = Desk::start().await;
    desk.tell(&one("prod", "a")).await;
    desk.tell(&one("test", "b")).await;
    let mirror = desk.mirror.restart_after(|data| {
        std::fs::write(data.join("inventory/prod.json"), "{\"report\": {}}").unwrap();
        std::fs::write(data.join("inventory/more.json"), "[").unwrap();
    });
    let desk = Desk::of(Box::pin(mirror).await);
    assert_eq!(workloads(&desk.sought("up.test/open/app").await), told(&[("b", "same")]));
}

#[tokio::test]
async fn a_token_for_reports_reads_nothing_and_cannot_speak_for_a_cluster_of_another() {
    let desk = Desk::start().await;
    let (own, other) = (robot(&desk, "own").await, robot(&desk, "other").await);
    assert_eq!(send(&desk, &own, &one("prod", "true")).await.0, 200);
    let (status, said) = send(&desk, &other, &one("prod", "lie")).await;
    assert_eq!(status, 409, "{said}");
    assert!(said.contains("cluster prod is reported by the token own"), "{said}");
    assert_eq!(workloads(&desk.sought("up.test/open/app").await), told(&[("true", "same")]));
    let token = std::fs::read_to_string(&other).unwrap();
    for path in ["/api/v1/inventory", "/api/v1/inventory/where?what=redis"] {
        let reply = desk.send(Method::GET, path, Some(&token), None, &[]).await;
        assert_eq!((reply.status, reply.problem().as_str()), (403, "role"), "{path}");
    }
    desk.mirror.mirror().ledger().revoke_token("own", "test").await.unwrap();
    assert_eq!(send(&desk, &other, &one("prod", "next")).await.0, 200);
    desk.mirror.clock.advance(Duration::from_secs(901));
    let third = robot(&desk, "third").await;
    assert_eq!(send(&desk, &third, &one("prod", "third")).await.0, 200, "the other is silent");
}

#[tokio::test]
async fn what_no_reporter_writes_is_not_taken_and_there_is_an_end_to_clusters() {
    let desk = Desk::start().await;
    let token = robot(&desk, "robot").await;
    let with = |pointer: &str, value: Value| {
        let mut report = one("prod", "a");
        *report.pointer_mut(pointer).unwrap() = value;
        report
    };
    let mut more = one("prod", "a");
    more["verdict"] = json!("admit");
    for body in [
        with("/cluster", json!("../a")),
        with("/running/0/namespace", json!("\u{1b}[31m")),
        with("/running/0/image", json!("x".repeat(513))),
        with("/running/0/digest", json!("sha256:1")),
        with("/running/0/nodes", json!(vec!["a"; 1_001])),
        with("/running/0/nodes", json!(["A/b"])),
        with("/every_seconds", json!(0)),
        more,
        json!({}),
    ] {
        assert_eq!(send(&desk, &token, &body).await.0, 400, "{body:.200}");
    }
    let huge = with("/running/0/image", json!("x".repeat(9 << 20)));
    assert_eq!(send(&desk, &token, &huge).await.0, 413);
    assert_eq!(desk.get("/api/v1/inventory").await.json(), json!({"clusters": []}));
    for number in 0..16 {
        assert_eq!(send(&desk, &token, &one(&format!("c{number}"), "a")).await.0, 200);
    }
    let (status, said) = send(&desk, &token, &one("one-more", "a")).await;
    assert!(status == 409 && said.contains("16 clusters"), "{said}");
    assert_eq!(send(&desk, &token, &one("c3", "b")).await.0, 200, "those that are there go on");
}

#[tokio::test]
async fn an_inventory_that_lies_admits_nothing() {
    let desk = Desk::start().await;
    let digest = desk.push("asked/app", "1", "content");
    desk.tell(&inventory("prod", &[("app", "up.test/asked/app:1", Some(digest))])).await;
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    desk.tell(&inventory("prod", &[])).await;
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
}
