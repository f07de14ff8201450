//! What nodes report: by a token that opens nothing else, bounded, and never taken for more than a claim.

use std::time::Duration;

use hyper::Method;
use pratique::ledger::{NewToken, Role};
use serde_json::{Value, json};

use super::pratique;
use crate::admin::Desk;

fn finding(state: &str) -> Value {
    json!({"way": "unlisted", "by": "cri", "about": "127.0.0.1:1", "state": state, "saw": "it"})
}

fn report(node: &str, state: &str) -> Value {
    json!({
        "node": node, "at": "2026-11-20T10:00:00Z", "every_seconds": 300, "findings": [finding(state)],
    })
}

async fn node_token(desk: &Desk) -> String {
    let new = NewToken::new("nodes", Role::Node);
    let secret = desk.mirror.mirror().ledger().create_token(new, "test").await.unwrap();
    secret.expose().to_owned()
}

async fn send(desk: &Desk, token: &str, body: &Value) -> u16 {
    let body = Some(body.to_string());
    desk.send(Method::POST, "/api/v1/nodes", Some(token), body, &[]).await.status
}

#[tokio::test]
async fn the_last_word_of_each_node_is_kept_the_worst_first_and_silence_is_told() {
    let desk = Desk::start().await;
    let token = node_token(&desk).await;
    for (node, state) in [("b", "closed"), ("c", "open"), ("a", "closed"), ("b", "untried")] {
        assert_eq!(send(&desk, &token, &report(node, state)).await, 200);
    }
    let nodes = |reply: Value| -> Vec<(String, bool)> {
        let nodes = reply["nodes"].as_array().unwrap().clone();
        let of = |it: &Value| {
            let name = it["report"]["node"].as_str().unwrap().to_owned();
            assert_eq!(it["reporter"], "nodes");
            (name, it["is_silent"].as_bool().unwrap())
        };
        nodes.iter().map(of).collect()
    };
    let told = |names: &[(&str, bool)]| -> Vec<(String, bool)> {
        names.iter().map(|(name, silent)| ((*name).to_owned(), *silent)).collect()
    };
    let all = nodes(desk.get("/api/v1/nodes").await.json());
    assert_eq!(all, told(&[("c", false), ("b", false), ("a", false)]));
    desk.mirror.clock.advance(Duration::from_secs(901));
    assert_eq!(send(&desk, &token, &report("a", "closed")).await, 200);
    let all = nodes(desk.get("/api/v1/nodes").await.json());
    assert_eq!(all, told(&[("c", true), ("b", true), ("a", false)]));
    // A node's token reads nothing.
    let read = desk.send(Method::GET, "/api/v1/nodes", Some(&token), None, &[]).await;
    assert_eq!((read.status, read.problem().as_str()), (403, "role"));
}

fn opening(what: &str, reason: &str) -> Value {
    json!({
        "at": "2026-11-20T09:00:00Z", "what": what, "until": "2026-11-20T10:00:00Z", "permit": "NP-0123abcd",
        "signers": if what == "opened" { json!(["alice", "bob"]) } else { json!([]) },
        "reason": reason, "by": "uid 0, signed in as uid 1000",
    })
}

#[tokio::test]
async fn what_was_opened_on_a_node_is_put_on_record_once_however_often_it_is_told() {
    let desk = Desk::start().await;
    let token = node_token(&desk).await;
    let mut told = report("worker-1", "declared");
    told["openings"] = json!([opening("opened", "INC-77"), opening("closed", "INC-77")]);
    for _ in 0..3 {
        assert_eq!(send(&desk, &token, &told).await, 200);
    }
    // Another node with the same words, and the next line of the first.
    told["node"] = json!("worker-2");
    assert_eq!(send(&desk, &token, &told).await, 200);
    told["node"] = json!("worker-1");
    told["openings"] = json!([opening("closed", "INC-77"), opening("opened", "INC-78")]);
    assert_eq!(send(&desk, &token, &told).await, 200);
    let audit = desk.get("/api/v1/audit?limit=1000").await.json();
    let rows = audit["records"].as_array().unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let about: Vec<&Value> =
        rows.iter().filter(|row| text(row, "action").starts_with("node-")).collect();
    let said: Vec<String> = about
        .iter()
        .map(|row| {
            let reason = text(row, "reason");
            let node = reason.split("node ").nth(1).unwrap();
            format!("{} {} {}", text(row, "action"), &node[..8], &reason[..6])
        })
        .collect();
    let expected = [
        "node-opened worker-1 INC-77",
        "node-closed worker-1 INC-77",
        "node-opened worker-2 INC-77",
        "node-closed worker-2 INC-77",
        "node-opened worker-1 INC-78",
    ];
    assert_eq!(said, expected);
    assert_eq!(about[0]["by"], "nodes", "it is what the token says, not what the mirror saw");
    let reason = text(about[0], "reason");
    for told in ["permit NP-0123abcd", "signers alice, bob", "done_by uid 0, signed in as uid 1000"]
    {
        assert!(reason.contains(told), "{reason}");
    }
}

#[tokio::test]
async fn a_token_of_a_node_cannot_fill_the_audit() {
    let desk = Desk::start().await;
    let token = node_token(&desk).await;
    let mut told = report("worker-1", "declared");
    for round in 0..100 {
        let lines = (0..16).map(|line| opening("opened", &format!("{round}-{line}")));
        told["openings"] = lines.collect();
        assert_eq!(send(&desk, &token, &told).await, 200);
    }
    let ledger = desk.mirror.mirror().ledger();
    let trail = ledger.trail("node-opened", |_| true).await.unwrap();
    assert!((1_000..1_016).contains(&trail.rows.len()), "{}", trail.rows.len());
    desk.mirror.clock.advance(Duration::from_hours(1));
    assert_eq!(send(&desk, &token, &told).await, 200);
    let trail = ledger.trail("node-opened", |_| true).await.unwrap();
    assert!(trail.rows.len() >= 1_016, "what was left out is taken when it is told again");
}

#[tokio::test]
async fn what_no_doctor_writes_is_not_taken() {
    let desk = Desk::start().await;
    let token = node_token(&desk).await;
    let mut many = report("a", "closed");
    many["findings"] = Value::Array(vec![finding("closed"); 129]);
    let mut long = report("a", "closed");
    long["findings"][0]["saw"] = json!("x".repeat(301));
    let mut steering = report("a", "closed");
    steering["findings"][0]["saw"] = json!("\u{1b}[31m");
    let mut never = report("a", "closed");
    never["every_seconds"] = json!(0);
    let mut more = report("a", "closed");
    more["verdict"] = json!("closed");
    let mut opened_often = report("a", "closed");
    opened_often["openings"] = Value::Array(vec![opening("opened", "x"); 17]);
    let mut opened_long = report("a", "closed");
    opened_long["openings"] = json!([opening("opened", &"x".repeat(301))]);
    let mut opened_steering = report("a", "closed");
    opened_steering["openings"] = json!([opening("opened", "\u{1b}[31m")]);
    for body in [
        opened_often,
        opened_long,
        opened_steering,
        many,
        long,
        steering,
        never,
        more,
        report("A/b", "closed"),
        report("a", "green"),
        json!({}),
    ] {
        assert_eq!(send(&desk, &token, &body).await, 400, "{body}");
    }
    let mut huge = report("a", "closed");
    huge["findings"] = Value::Array(vec![finding(&"x".repeat(1_000)); 400]);
    assert_eq!(send(&desk, &token, &huge).await, 413);
    assert_eq!(desk.get("/api/v1/nodes").await.json(), json!({"nodes": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_all_nodes_says_what_is_open_and_that_nodes_say_it_themselves() {
    let desk = Desk::start().await;
    let token = node_token(&desk).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, &desk.token).unwrap();
    let (url, file) = (desk.mirror.admin_url(), file.display().to_string());
    let cluster = ["doctor", "--cluster", "--admin-url", &url, "--token-file", &file];
    let none = pratique(&cluster).await;
    assert_eq!(none.code, 2, "{none:?}");
    assert_eq!(send(&desk, &token, &report("worker-2", "closed")).await, 200);
    let all_closed = pratique(&cluster).await;
    assert_eq!(all_closed.code, 0, "{all_closed:?}");
    assert_eq!(send(&desk, &token, &report("worker-9", "open")).await, 200);
    let open = pratique(&cluster).await;
    assert_eq!(open.code, 3, "{open:?}");
    let lines: Vec<&str> = open.out.lines().collect();
    assert!(lines[1].starts_with("open    worker-9"), "{open:?}");
    assert_eq!(*lines.last().unwrap(), "Each line is what the node says of itself.");
    let json = pratique(&[&cluster[..], &["--json"]].concat()).await;
    let view: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(view["nodes"][0]["report"]["node"], "worker-9");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_reports_by_itself() {
    let desk = Desk::start().await;
    let token = node_token(&desk).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, token).unwrap();
    let (url, file) = (desk.mirror.admin_url(), file.display().to_string());
    let mirror = format!("http://{}", desk.mirror.node_address());
    let told = pratique(&[
        "doctor",
        "--mirror",
        &mirror,
        "--node",
        "worker-1",
        "--runtime",
        "cri=/nowhere/sock",
        "--no-fallback",
        "--no-egress",
        "--report",
        &url,
        "--token-file",
        &file,
    ])
    .await;
    assert_eq!(told.code, 2, "{told:?}");
    assert!(told.out.contains("worker-1: not proven closed"), "{told:?}");
    let nodes = desk.get("/api/v1/nodes").await.json();
    assert_eq!(nodes["nodes"][0]["report"]["node"], "worker-1");
    assert_eq!(nodes["nodes"][0]["report"]["findings"][0]["state"], "closed");
}
