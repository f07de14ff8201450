//! `request --manifests`: what a release needs, asked for as one group.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Desk;
use super::command_line::run;

fn deployment(name: &str, release: &str, images: &[&str]) -> String {
    let containers: Vec<String> = images.iter().map(|it| format!("{{image: \"{it}\"}}")).collect();
    let containers = containers.join(", ");
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n  labels: \
         {{app.kubernetes.io/instance: {release}}}\nspec: {{template: {{spec: {{containers: [{containers}]}}}}}}\n"
    )
}

/// Runs `request --manifests -` with `text` as its standard input; gives code, output and messages.
async fn piped(desk: &Desk, text: &str, more: &[&str]) -> (i32, String, String) {
    let token = desk.mirror.folder().join("data/admin.token");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pratique"));
    command.args(["request", "--manifests", "-", "--admin-url", &desk.mirror.admin_url()]);
    command.arg("--token-file").arg(token).args(more);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a run");
    let mut stdin = child.stdin.take().expect("its input");
    // It stops reading what is too much.
    drop(stdin.write_all(text.as_bytes()).await);
    drop(stdin);
    let ran = child.wait_with_output().await.expect("an end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (ran.status.code().expect("a code"), text(ran.stdout), text(ran.stderr))
}

async fn requests(desk: &Desk) -> Vec<Value> {
    let listed = desk.get("/api/v1/requests").await.json();
    listed.as_array().expect("requests").clone()
}

#[tokio::test]
async fn every_image_of_a_release_is_asked_for_as_one_group_of_its_name() {
    let desk = Desk::start().await;
    for (repository, tag) in [("asked/app", "1"), ("asked/side", "latest"), ("open/a", "1")] {
        desk.push(repository, tag, repository);
    }
    let custom = "---\napiVersion: acme.test/v1\nkind: Shop\nmetadata: {name: main}\nspec: {image: up.test/asked/app:1, \
                  more: {image: \"no image at all\"}}\n";
    let text = deployment("web", "shop", &["up.test/asked/app:1", "up.test/asked/side"])
        + &deployment("back", "shop", &["up.test/open/a:1", "up.test/asked/app:1"])
        + custom;
    let (code, out, told) = piped(&desk, &text, &["--reason", "shop 1.4", "--json"]).await;
    assert_eq!(code, 0, "{out}{told}");
    let views: Vec<Value> = serde_json::from_str(&out).expect("JSON");
    let states: Vec<(&str, &str)> = views
        .iter()
        .map(|it| (it["image"].as_str().expect("an image"), it["state"].as_str().expect("a state")))
        .collect();
    assert_eq!(
        states,
        [
            ("up.test/asked/app:1", "pending"),
            ("up.test/asked/side:latest", "pending"),
            ("up.test/open/a:1", "admitted"),
        ]
    );
    assert!(told.contains("left out: Shop main, spec.more.image"), "{told}");
    assert!(!told.contains("taken for an image"), "a pod template names it: {told}");
    let filed = requests(&desk).await;
    assert_eq!(filed.len(), 2, "{filed:?}");
    assert!(filed.iter().all(|it| it["group"] == "shop"), "{filed:?}");
    let grouped = desk.run(&["requests", "--group", "shop", "--json"]).await.json();
    assert_eq!(grouped.as_array().map(Vec::len), Some(2));
    // What only a field called image names is asked for as well, and said.
    let guess = custom.replace("asked/app:1", "asked/other:1");
    desk.push("asked/other", "1", "other");
    let (code, _, told) = piped(&desk, &guess, &["--group", "by hand"]).await;
    assert_eq!(code, 0, "{told}");
    let expected = "taken for an image, by the name of its field: up.test/asked/other:1 in Shop main, spec.image";
    assert!(told.contains(expected), "{told}");
    assert!(requests(&desk).await.iter().any(|it| it["group"] == "by hand"));
}

#[tokio::test]
async fn what_cannot_be_read_or_has_no_name_asks_for_nothing() {
    let desk = Desk::start().await;
    let app = deployment("web", "shop", &["up.test/asked/app:1"]);
    let nameless = app.replace("app.kubernetes.io/instance", "app");
    let two = app.clone() + &deployment("back", "other", &["up.test/asked/app:1"]);
    let none = deployment("web", "shop", &[]);
    let twisted = deployment("web", "shop", &["up.test/asked/app:1", "Not An Image"]);
    let hidden = deployment("web", "shop", &["up.test/\\u001b[2Japp"]);
    for (text, why) in [
        (nameless.as_str(), "no object says of which release it is"),
        (&two, "several releases (other, shop)"),
        (&none, "no object in it names an image"),
        (&twisted, "Deployment web, spec.template.spec.containers[1].image (line 7) is no image"),
        (&hidden, "is no image"),
        ("a: b\n", "no Kubernetes object"),
        ("", "no Kubernetes object"),
        ("apiVersion: v1\nkind: [\n", "line "),
        (&"x".repeat(9 << 20), "larger than 8 MiB"),
    ] {
        let (code, out, told) = piped(&desk, text, &[]).await;
        assert_eq!((code, out.as_str()), (64, ""), "{why}: {told}");
        assert!(told.contains(why), "{why}: {told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }
    assert!(requests(&desk).await.is_empty());
    let absent = run(&["request", "--manifests", "/nowhere/at/all.yaml"]).await;
    assert_eq!(absent.code, 2, "{absent:?}");
}

#[tokio::test]
async fn a_dry_run_asks_nobody_and_more_than_one_request_takes_are_one_group() {
    let desk = Desk::start().await;
    let file = desk.mirror.folder().join("rendered.yaml");
    let images: Vec<String> = (0..101).map(|it| format!("elsewhere.test/app:{it}")).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    std::fs::write(&file, deployment("web", "shop", &images)).expect("a file");
    let file = file.to_str().expect("a path");
    let dry = run(&["request", "--manifests", file, "--dry-run"]).await;
    assert_eq!((dry.code, dry.stdout.lines().count()), (0, 101), "{dry:?}");
    let dry = run(&["request", "--manifests", file, "--dry-run", "--json"]).await.json();
    assert_eq!((&dry["group"], &dry["images"][100]), (&json!("shop"), &json!(images[100])));
    let asked = desk.run(&["request", "--manifests", file, "--json"]).await;
    assert_eq!(asked.code, 3, "no rule lists them: {asked:?}");
    assert_eq!(asked.json().as_array().map(Vec::len), Some(101));
    assert_eq!(run(&["request"]).await.code, 64);
    assert_eq!(run(&["request", "up.test/a:1", "--dry-run"]).await.code, 64);
}
