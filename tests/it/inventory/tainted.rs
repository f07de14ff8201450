//! A node takes pods once it is closed, and not before.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::api_server::{Answer, ApiServer};

const NODE: &str = "/api/v1/nodes/worker-1";
const PATCH: &str = "PATCH /api/v1/nodes/worker-1";
const KEY: &str = "pratique.dev/unverified";

fn node(taints: &Value) -> Answer {
    let node =
        json!({"kind": "Node", "metadata": {"name": "worker-1"}, "spec": {"taints": taints}});
    Answer::Whole(200, node.to_string())
}

fn said_no(status: u16, message: &str) -> Answer {
    Answer::Whole(status, json!({"kind": "Status", "message": message}).to_string())
}

/// A node of its own, in a folder, which `node install` can close.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etc/containerd/config.toml");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "version = 2\n").unwrap();
    folder
}

/// `node keep --once` as a pod of the cluster of `server` runs it: how it ended, and what it said.
async fn keep(server: &ApiServer, root: &std::path::Path, more: &[&str]) -> (Option<i32>, String) {
    let (host, port) = server.host_and_port();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pratique"));
    command
        .args(["node", "keep", "--once", "--node-name", "worker-1", "--root"])
        .arg(root)
        .arg("--account")
        .arg(server.account())
        .args(more)
        .env("KUBERNETES_SERVICE_HOST", host)
        .env("KUBERNETES_SERVICE_PORT", port)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

const CLOSE: [&str; 5] =
    ["--runtime", "containerd@1.7.24", "--mirror", "http://127.0.0.1:5000", "--remove-taint"];

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_closed_loses_the_taint_and_no_other() {
    let taints = json!([{"key": KEY, "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"}]);
    let there = taints.clone();
    let server = ApiServer::start(move |path| match path {
        NODE => node(&there),
        PATCH => Answer::Whole(200, "{}".to_owned()),
        _ => said_no(404, "not that"),
    })
    .await;
    let root = folder();
    let (code, said) = keep(&server, root.path(), &CLOSE).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("took the taint pratique.dev/unverified off worker-1"), "{said}");
    let patch: Value = serde_json::from_str(&server.bodies()[0]).unwrap();
    let expected = json!([
        {"op": "test", "path": "/spec/taints", "value": taints},
        {"op": "replace", "path": "/spec/taints", "value": [{"key": "a", "effect": "NoExecute"}]},
    ]);
    assert_eq!(patch, expected);
    let asked = server.asked();
    assert!(
        asked.iter().all(|it| it.to_lowercase().ends_with("authorization: bearer pods-own-token")),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_hole_keeps_it_and_nobody_is_asked() {
    let server = ApiServer::start(|_| said_no(500, "not asked")).await;
    let root = folder();
    let (code, said) = keep(&server, root.path(), &[&["--open"], &CLOSE[..]].concat()).await;
    assert_eq!((code, server.asked()), (Some(0), Vec::new()), "{said}");
    assert!(said.contains("hole open"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_meanwhile_is_not_overwritten() {
    let looks = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&looks);
    let server = ApiServer::start(move |path| match path {
        NODE => match seen.fetch_add(1, Ordering::Relaxed) {
            0 => node(&json!([{"key": KEY, "effect": "NoSchedule"}])),
            _ => node(&json!([{"key": "b", "effect": "NoSchedule"}, {"key": KEY, "effect": "NoSchedule"}])),
        },
        PATCH if seen.load(Ordering::Relaxed) == 1 => said_no(422, "the test failed"),
        PATCH => Answer::Whole(200, "{}".to_owned()),
        _ => said_no(404, "not that"),
    })
    .await;
    let root = folder();
    let (code, said) = keep(&server, root.path(), &CLOSE).await;
    assert_eq!(code, Some(0), "{said}");
    let last: Value = serde_json::from_str(server.bodies().last().unwrap()).unwrap();
    assert_eq!(last[1]["value"], json!([{"key": "b", "effect": "NoSchedule"}]));
    assert_eq!((looks.load(Ordering::Relaxed), server.bodies().len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_says_no_leaves_the_taint_and_that_is_told() {
    for (answer, expected) in [(403, "nodes is forbidden"), (422, "changed by others 3 times")] {
        let server = ApiServer::start(move |path| match path {
            NODE => node(&json!([{"key": KEY, "effect": "NoSchedule"}])),
            _ => said_no(answer, "nodes is forbidden"),
        })
        .await;
        let root = folder();
        let (code, said) = keep(&server, root.path(), &CLOSE).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("worker-1 keeps its taint") && said.contains(expected), "{said}");
    }
}
