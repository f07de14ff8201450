//! A cluster is read whole, by its own authority, and what could not be read is told.

use std::sync::atomic::{AtomicUsize, Ordering};

use pratique::oci::Digest;
use serde_json::{Value, json};

use super::api_server::Answer;
use super::{ApiServer, inventory, pod, report, robot};
use crate::admin::Desk;
use crate::support::certs::Authority;

const PODS: &str = "/api/v1/pods?limit=500";
const NODES: &str = "/api/v1/nodes?limit=500";

fn list(items: &[Value], next: &str) -> Answer {
    let list = json!({"kind": "PodList", "metadata": {"continue": next}, "items": items});
    Answer::Whole(200, list.to_string())
}

fn said_no(status: u16, message: &str) -> Answer {
    Answer::Whole(status, json!({"kind": "Status", "message": message}).to_string())
}

type Hostile = fn(&str) -> Answer;

fn id(name: &str, content: &str) -> String {
    format!("{name}@{}", Digest::sha256(content.as_bytes()))
}

fn web() -> Value {
    pod("web", "worker-1", "up.test/open/web:1", &id("up.test/open/web", "web"))
}

fn cart() -> Value {
    pod(
        "cart",
        "worker-2",
        "up.test/open/cart:1",
        &id("docker-pullable://up.test/open/cart", "cart"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stretch_of_the_list_is_read_and_what_runs_is_found_again() {
    let desk = Desk::start().await;
    let token = robot(&desk, "prod-robot").await;
    let node = json!({
        "metadata": {"name": "worker-9"},
        "status": {"images": [{"names": [id("up.test/open/web", "web"), "up.test/open/web:1"]}]},
    });
    let server = ApiServer::start(move |path| match path {
        PODS => list(&[web()], "a/b=="),
        "/api/v1/pods?limit=500&continue=a%2Fb%3D%3D" => list(&[cart()], ""),
        NODES => list(std::slice::from_ref(&node), ""),
        _ => said_no(404, "not that"),
    })
    .await;
    let done = report(&desk, &server, &token, &[]).await;
    assert_eq!(done.code, 0, "{done:?}");
    let expected = "reported 2 pods of cluster prod: 2 entries, 1 cached image on 1 node\n";
    assert_eq!(done.out, expected, "{done:?}");
    assert_eq!(server.asked().len(), 3);
    for asked in server.asked() {
        assert!(asked.to_lowercase().ends_with("authorization: bearer pods-own-token"), "{asked}");
    }
    let web = Digest::sha256(b"web").to_string();
    let shown = desk.run(&["where", &web]).await;
    assert_eq!(shown.code, 0, "{shown:?}");
    for said in ["shop/Deployment/web", "worker-1", "worker-9", "up.test/open/web:1"] {
        assert!(shown.stdout.contains(said), "{said}: {}", shown.stdout);
    }
    assert!(!shown.stdout.contains("cart"), "{}", shown.stdout);
    assert!(shown.stdout.lines().all(|line| line.len() <= 100), "{}", shown.stdout);
    let cart = desk.run(&["where", "up.test/open/cart", "--json"]).await;
    let view: Value = serde_json::from_str(&cart.stdout).unwrap();
    assert_eq!(view["running"][0]["digest"], Digest::sha256(b"cart").to_string());
    let nothing = desk.run(&["where", "up.test/open/none"]).await;
    assert_eq!((nothing.code, nothing.stdout.contains("Nothing runs")), (1, true), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_expires_is_begun_anew_and_nothing_is_counted_twice() {
    let desk = Desk::start().await;
    let token = robot(&desk, "prod-robot").await;
    let times = AtomicUsize::new(0);
    let server = ApiServer::start(move |path| match path {
        PODS => list(&[web()], "next"),
        NODES => list(&[], ""),
        _ if times.fetch_add(1, Ordering::Relaxed) == 0 => said_no(410, "too old"),
        _ => list(&[cart()], ""),
    })
    .await;
    let done = report(&desk, &server, &token, &[]).await;
    assert!(done.code == 0 && done.out.starts_with("reported 2 pods"), "{done:?}");

    let server = ApiServer::start(|path| match path {
        PODS => list(&[web()], "next"),
        _ => said_no(410, "too old"),
    })
    .await;
    let never = report(&desk, &server, &token, &[]).await;
    assert_eq!(never.code, 2, "{never:?}");
    assert!(never.err.contains("expired 3 times"), "{never:?}");
    assert_eq!(desk.get("/api/v1/inventory").await.json()["clusters"][0]["pods"], 2, "it stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_list_pods_reports_nothing_and_who_may_not_list_nodes_says_so() {
    let desk = Desk::start().await;
    let token = robot(&desk, "prod-robot").await;
    for status in [401, 403] {
        let server = ApiServer::start(move |_| said_no(status, "pods is forbidden\u{1b}[2J")).await;
        let done = report(&desk, &server, &token, &[]).await;
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{done:?}");
        assert!(done.err.contains(&format!("answered {status} to /api/v1/pods")), "{done:?}");
        assert!(done.err.contains("pods is forbidden?[2J"), "{done:?}");
    }
    assert_eq!(desk.get("/api/v1/inventory").await.json(), json!({"clusters": []}));
    let server = ApiServer::start(|path| match path {
        PODS => list(&[web()], ""),
        _ => said_no(403, "nodes is forbidden"),
    })
    .await;
    let done = report(&desk, &server, &token, &[]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.out.contains("not in it: what lies on nodes: the API server answered 403"),
        "{done:?}"
    );
    let listed = desk.run(&["inventory", "ls"]).await;
    for said in ["prod", "not asked", "prod-robot", "nodes is", "forbidden"] {
        assert!(listed.stdout.contains(said), "{said}: {listed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_the_clusters_authority_does_not_vouch_for_gets_no_token() {
    let desk = Desk::start().await;
    let token = robot(&desk, "prod-robot").await;
    let server = ApiServer::start(|_| list(&[web()], "")).await;
    std::fs::write(server.account().join("ca.crt"), Authority::generate().pem()).unwrap();
    let done = report(&desk, &server, &token, &[]).await;
    assert_eq!(done.code, 2, "{done:?}");
    assert_eq!(server.asked(), Vec::<String>::new());
    for (file, text) in [("token", ""), ("token", "a b"), ("ca.crt", "none")] {
        let server = ApiServer::start(|_| list(&[web()], "")).await;
        std::fs::write(server.account().join(file), text).unwrap();
        let done = report(&desk, &server, &token, &[]).await;
        assert_eq!((done.code, server.asked().len()), (2, 0), "{file}: {done:?}");
        assert!(done.err.contains(file), "{done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_list_or_does_not_end_is_no_inventory() {
    let desk = Desk::start().await;
    let token = robot(&desk, "prod-robot").await;
    let hostile: [(&str, Hostile); 6] = [
        ("breaks off", |_| Answer::Cut),
        ("no JSON", |_| Answer::Whole(200, "<html>".to_owned())),
        ("deep", |_| Answer::Whole(200, format!("{{\"items\": {}", "[".repeat(100_000)))),
        ("other types", |_| Answer::Whole(200, "{\"items\": [{\"metadata\": 3}]}".to_owned())),
        ("goes on as before", |_| list(&[web()], "same")),
        ("too large", |_| Answer::Whole(200, format!("{{\"items\": []}}{}", " ".repeat(33 << 20)))),
    ];
    for (what, answers) in hostile {
        let server = ApiServer::start(answers).await;
        let done = report(&desk, &server, &token, &[]).await;
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{what}: {done:?}");
        assert!(server.asked().len() <= 2, "{what}: {:?}", server.asked());
    }
    assert_eq!(desk.get("/api/v1/inventory").await.json(), json!({"clusters": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kubectl_printed_is_read_from_a_file_and_told_to_nobody_when_dry() {
    let desk = Desk::start().await;
    let file = desk.mirror.folder().join("pods.json");
    let mut item = web();
    item["kind"] = json!("Pod");
    std::fs::write(&file, json!({"kind": "List", "items": [item]}).to_string()).unwrap();
    let file = file.display().to_string();
    let asked = ["inventory", "report", "--cluster", "test", "--file", &file];
    let dry = desk.run(&[&asked[..], &["--dry-run", "--json"]].concat()).await;
    assert_eq!(dry.code, 0, "{dry:?}");
    let told: Value = serde_json::from_str(&dry.stdout).unwrap();
    let id = Digest::sha256(b"web");
    let mut expected = inventory("test", &[("web", "up.test/open/web:1", Some(id))]);
    expected["running"][0]["pods"] = json!(1);
    assert_eq!(told["running"], expected["running"]);
    assert_eq!(desk.get("/api/v1/inventory").await.json(), json!({"clusters": []}));
    let done = desk.run(&asked).await;
    assert_eq!((done.code, done.stdout.as_str()), (0, "reported 1 pod of cluster test: 1 entry\n"));
    let missing = desk.run(&["inventory", "report", "--cluster", "a", "--file", "/nowhere"]).await;
    assert_eq!(missing.code, 2, "{missing:?}");
    let misused = desk.run(&["inventory", "report", "--cluster", "A/..", "--file", &file]).await;
    assert_eq!(misused.code, 64, "{misused:?}");
}
