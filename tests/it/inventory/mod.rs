//! What runs: read from clusters, kept, and found again by image, digest, finding and signer.

mod adopting;
mod api_server;
mod keeping;
mod reading;
mod seeking;
mod tainted;

use std::process::Stdio;

use pratique::ledger::{NewToken, Role};
use pratique::oci::{Digest, ImageReference};
use serde_json::{Value, json};

use self::api_server::ApiServer;
use crate::admin::Desk;

/// How a command ended, and what it said.
#[derive(Debug)]
struct Told {
    code: i32,
    out: String,
    err: String,
}

/// A token of role node, in a file.
async fn robot(desk: &Desk, name: &str) -> String {
    let new = NewToken::new(name, Role::Node);
    let secret = desk.mirror.mirror().ledger().create_token(new, "test").await.unwrap();
    let path = desk.mirror.folder().join(format!("{name}.token"));
    std::fs::write(&path, secret.expose()).unwrap();
    path.display().to_string()
}

/// `inventory report` about the cluster of `server`, as a pod there would run it.
async fn report(desk: &Desk, server: &ApiServer, token: &str, more: &[&str]) -> Told {
    let (host, port) = server.host_and_port();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pratique"));
    command
        .args(["inventory", "report", "--cluster", "prod", "--account"])
        .arg(server.account())
        .args(["--admin-url", &desk.mirror.admin_url(), "--token-file", token])
        .args(more)
        .env("KUBERNETES_SERVICE_HOST", host)
        .env("KUBERNETES_SERVICE_PORT", port)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Told {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// A pod of a `Deployment`, that runs `image` as `id`.
fn pod(workload: &str, node: &str, image: &str, id: &str) -> Value {
    json!({
        "metadata": {
            "name": format!("{workload}-5d8c-x"), "namespace": "shop",
            "labels": {"pod-template-hash": "5d8c"},
            "ownerReferences": [
                {"kind": "ReplicaSet", "name": format!("{workload}-5d8c"), "controller": true},
            ],
        },
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": image}]},
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "c", "imageID": id,
            "state": {"running": {"startedAt": "2026-11-20T08:00:00Z"}},
        }]},
    })
}

/// A report of a cluster in which `running` runs: workload, image, digest.
fn inventory(cluster: &str, running: &[(&str, &str, Option<Digest>)]) -> Value {
    let running: Vec<Value> = running
        .iter()
        .map(|(workload, image, digest)| {
            let name = image.parse::<ImageReference>().unwrap().name.to_string();
            let mut one = json!({
                "namespace": "shop", "workload": {"kind": "Deployment", "name": workload},
                "role": "container", "image": image, "name": name, "pods": 2,
                "since": "2026-11-20T08:00:00Z", "nodes": ["worker-1"],
            });
            if let Some(digest) = digest {
                one["digest"] = json!(digest.to_string());
            }
            one
        })
        .collect();
    json!({
        "cluster": cluster, "at": "2026-11-20T10:00:00Z", "every_seconds": 300,
        "pods": running.len() * 2, "running": running, "cached": [],
    })
}

impl Desk {
    async fn tell(&self, report: &Value) {
        let reply = self.post("/api/v1/inventory", report).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    async fn sought(&self, what: &str) -> Value {
        let reply = self.get(&format!("/api/v1/inventory/where?what={what}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
}

/// The workloads of `view`, each with why it is told of.
fn workloads(view: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = view["running"].as_array().unwrap();
    rows.iter().map(|it| (text(&it["workload"]["name"]), text(&it["match"]))).collect()
}

fn told(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(name, why)| ((*name).to_owned(), (*why).to_owned())).collect()
}
