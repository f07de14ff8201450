//! The first token and those after it, and the key that signs.

use std::os::unix::fs::PermissionsExt as _;

use hyper::Method;
use serde_json::json;

use super::Desk;

#[tokio::test]
async fn the_first_token_is_written_once_and_for_its_owner_alone() {
    let desk = Desk::start().await;
    let path = desk.mirror.folder().join("data/admin.token");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = desk.token.clone();
    let desk = Desk::of(desk.mirror.restart().await);
    assert_eq!(desk.token, before);
    assert_eq!(desk.get("/api/v1/tokens").await.json()[0]["name"], "first-run");
}

#[tokio::test]
async fn a_token_is_made_used_and_ended_and_its_secret_is_told_once() {
    let desk = Desk::start().await;
    let body = json!({"name": "alice", "role": "admin"});
    let made = desk.post("/api/v1/tokens", &body).await;
    assert_eq!(made.status, 201);
    let secret = made.json()["token"].as_str().expect("a secret").to_owned();
    let twice = desk.post("/api/v1/tokens", &body).await;
    assert_eq!((twice.status, twice.problem().as_str()), (409, "conflict"));
    for wrong in [json!({"name": "a b", "role": "admin"}), json!({"name": "b", "role": "king"})] {
        let reply = desk.post("/api/v1/tokens", &wrong).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{wrong}");
    }
    assert!(!desk.get("/api/v1/tokens").await.text().contains(&secret));
    let audit = desk.get("/api/v1/audit").await.text();
    assert!(audit.contains("token-created") && !audit.contains(&secret), "{audit}");

    let end = |name: &'static str, token: String| {
        let (desk, path) = (&desk, format!("/api/v1/tokens/{name}"));
        async move { desk.send(Method::DELETE, &path, Some(&token), None, &[]).await }
    };
    assert_eq!(end("first-run", secret.clone()).await.status, 204);
    assert_eq!(desk.get("/api/v1/status").await.status, 401, "an ended token still works");
    let last = end("alice", secret.clone()).await;
    assert_eq!((last.status, last.problem().as_str()), (409, "conflict"));
    assert_eq!(end("nobody", secret).await.status, 404);
}

#[tokio::test]
async fn an_old_token_file_is_kept_and_an_unfinished_one_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |name: &str| {
        let dir = folder.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let clock = std::sync::Arc::new(pratique::time::SystemClock);
        let (tasks, metrics) = (pratique::tasks::Tasks::new(), std::sync::Arc::default());
        let ledger = pratique::ledger::Ledger::open(&dir, clock, tasks, metrics).await.unwrap();
        (dir, ledger)
    };
    let (dir, ledger) = open("old").await;
    std::fs::write(dir.join("admin.token"), "of another ledger\n").unwrap();
    let made = pratique::mirror::desk::first_token(&ledger, &dir).await.unwrap();
    assert_eq!(made, Some(dir.join("admin.token")));
    let kept = std::fs::read_to_string(dir.join("admin.token.1")).unwrap();
    assert_eq!(kept, "of another ledger\n");

    // A start that ended between making the file and filling it.
    std::fs::write(dir.join("admin.token"), "").unwrap();
    pratique::mirror::desk::first_token(&ledger, &dir).await.unwrap().expect("a new token");
    let token = std::fs::read_to_string(dir.join("admin.token")).unwrap();
    assert_eq!(ledger.authenticate(token.trim()).unwrap().name, "first-run");
    assert_eq!(ledger.tokens().len(), 1);
    assert_eq!(pratique::mirror::desk::first_token(&ledger, &dir).await.unwrap(), None);
}

#[tokio::test]
async fn the_public_key_is_printed_and_a_new_one_is_on_record() {
    let desk = Desk::start().await;
    let printed = desk.run(&["public-key"]).await;
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
    assert!(pratique::signature::Key::from_pem(&printed.stdout).is_ok(), "{printed:?}");
    let before = desk.get("/api/v1/public-keys").await.json()["current"]["id"].clone();
    let rotated = desk.run(&["public-key", "--rotate"]).await;
    assert_eq!(rotated.code, 0, "{rotated:?}");
    assert_ne!(rotated.stdout, printed.stdout);
    let all = desk.run(&["public-key", "--all"]).await.stdout;
    assert_eq!(all, format!("{}{}", rotated.stdout, printed.stdout));
    let audit = desk.get("/api/v1/audit").await.json();
    let mut events = audit["records"].as_array().unwrap().iter();
    let event = events.find(|event| event["action"] == "signing-key-rotated").expect("an event");
    assert_eq!(event["by"], "first-run");
    assert_eq!(event["reason"], format!("before {}", before.as_str().unwrap()));
    let key = std::fs::read_to_string(desk.mirror.folder().join("data/signing-key.pem")).unwrap();
    let secret = key.lines().nth(1).expect("a line of the key");
    for text in [all, audit.to_string(), desk.get("/api/v1/public-keys").await.text()] {
        assert!(!text.contains(secret) && !text.contains("PRIVATE"), "{text}");
    }
}
