//! The audit as people use it: what is signed, kept elsewhere, exported, proved, and asked why.

use pratique::oci::Digest;
use pratique::transparency::{Checkpoint, NodeHash, Signed, VerifierKey, verify_inclusion};
use serde_json::{Value, json};

use super::Desk;
use super::command_line::run;
use crate::support::upstream::{Image, Index};

const IMAGE: &str = "up.test/asked/app:1";

/// A mirror on which an image was approved, pulled and revoked, each on a day of its own.
struct Story {
    desk: Desk,
    digest: Digest,
}

impl Story {
    async fn start() -> Self {
        let desk = Desk::start().await;
        let digest = desk.push("asked/app", "1", "content");
        desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
        Self { desk, digest }
    }

    async fn approved() -> Self {
        let story = Self::start().await;
        story.next_day();
        let approval = json!({"target": "R-1", "reason": "reviewed with SEC-991"});
        assert_eq!(story.desk.post("/api/v1/approvals", &approval).await.status, 200);
        story.desk.mirror.pull("asked/app", "1").await.assert_complete();
        story
    }

    fn next_day(&self) {
        self.desk.mirror.clock.advance(std::time::Duration::from_hours(24));
    }

    fn path(&self, name: &str) -> String {
        self.desk.mirror.folder().join(name).to_str().expect("a path").to_owned()
    }

    async fn why(&self, image: &str, at: &str) -> Value {
        let reply = self.desk.get(&format!("/api/v1/audit/why?image={image}&at={at}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
}

#[tokio::test]
async fn what_was_kept_elsewhere_verifies_the_data_directory_and_an_export() {
    let story = Story::approved().await;
    let desk = &story.desk;
    let (key, kept) = (desk.run(&["audit", "key"]).await, story.path("kept"));
    let key = key.stdout.trim().to_owned();
    let checkpoint = desk.run(&["audit", "checkpoint", "--now"]).await;
    std::fs::write(&kept, &checkpoint.stdout).expect("a file");
    let parsed = Checkpoint::parse(&checkpoint.stdout).expect("a checkpoint");
    let public: VerifierKey = key.parse().expect("a key");
    assert_eq!(parsed.signed_by(&public), Signed::Yes);
    let asked = desk.run(&["audit", "verify"]).await;
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(asked.stdout.contains("not covered") || asked.stdout.contains(&key), "{asked:?}");

    let (config, export) = (desk.settings_file(), story.path("audit.jsonl"));
    let exported = desk.run(&["audit", "export", &export]).await;
    assert_eq!(exported.code, 0, "{exported:?}");
    let again = desk.run(&["audit", "export", &export]).await;
    assert_eq!(again.code, 1, "nothing is overwritten: {again:?}");
    let piped =
        run(&["audit", "export", "-", "--offline", "--from", "2", "--config", &config]).await;
    assert!(
        piped.stdout.starts_with("{\"format\":\"pratique audit export 1\",\"from\":2,"),
        "{piped:?}"
    );
    let data = story.path("data");
    for words in [
        &["audit", "verify", "--offline", "--config", &config][..],
        &["audit", "verify", "--key", &key, "--checkpoint", &kept, "--config", &config],
        &["audit", "verify", &data, "--key", &key],
        &["audit", "verify", &export],
        &["audit", "verify", &export, "--key", &key, "--checkpoint", &kept],
    ] {
        let verified = run(words).await;
        assert_eq!(verified.code, 0, "{words:?}: {verified:?}");
        assert!(verified.stdout.starts_with("audit intact: "), "{verified:?}");
        let own_word = words.iter().all(|word| !word.starts_with("--key"));
        assert_eq!(verified.stdout.contains("Whoever rewrote them"), own_word, "{verified:?}");
    }
    let text = std::fs::read_to_string(&export).expect("an export");
    std::fs::write(&export, text.replace("SEC-991", "SEC-992")).expect("a file");
    let changed = run(&["audit", "verify", &export, "--json"]).await;
    assert_eq!(changed.code, 3, "{changed:?}");
    let approved = desk.get("/api/v1/audit").await.json();
    let records = approved["records"].as_array().expect("records");
    let approval = records.iter().find(|record| record["action"] == "approved").expect("one");
    assert_eq!(changed.json()["first_bad"], approval["sequence"], "{changed:?}");
}

#[tokio::test]
async fn a_stopped_mirror_has_signed_everything_and_is_verified_all_the_same() {
    let story = Story::approved().await;
    let (config, key) =
        (story.desk.settings_file(), story.desk.run(&["audit", "key"]).await.stdout);
    let key = key.trim().to_owned();
    let mut seen = None;
    let mirror = story.desk.mirror;
    let mirror = mirror
        .restart_after(|data| {
            seen = Some(
                std::process::Command::new(env!("CARGO_BIN_EXE_pratique"))
                    .args(["audit", "verify", "--json", "--key", &key])
                    .arg(data)
                    .output()
                    .expect("a run"),
            );
        })
        .await;
    let seen = seen.expect("it was verified");
    let view: Value = serde_json::from_slice(&seen.stdout).expect("JSON");
    assert_eq!((&view["intact"], &view["covered"]), (&json!(true), &view["records"]), "{view}");
    assert_eq!(view["uncovered_since"], Value::Null, "{view}");
    let wrong = key.replace("pratique.dev", "other.dev");
    for (words, code) in [
        (&["audit", "verify", "--key", &wrong, "--config", &config][..], 64),
        (&["audit", "verify", "/nonexistent", "--config", &config], 2),
        (&["audit", "verify", "--checkpoint", "/nonexistent", "--config", &config], 2),
        (&["audit", "verify", "--checkpoint", &config, "--config", &config], 64),
        (&["audit", "verify", &config], 2),
    ] {
        let ran = run(words).await;
        assert_eq!(ran.code, code, "{words:?}: {ran:?}");
    }
    let offline = run(&["audit", "checkpoint", "--offline", "--config", &config, "--json"]).await;
    assert_eq!(offline.json()["key"], key);
    drop(mirror);
}

#[tokio::test]
async fn a_record_is_proved_to_whoever_has_a_checkpoint() {
    let story = Story::approved().await;
    let page = story.desk.get("/api/v1/audit").await.json();
    for record in page["records"].as_array().expect("records") {
        let sequence = record["sequence"].as_u64().expect("a number");
        let view = story.desk.get(&format!("/api/v1/audit/proof?seq={sequence}")).await.json();
        let hashes = view["hashes"].as_array().expect("hashes").iter();
        let hashes: Vec<NodeHash> = hashes
            .map(|hash| NodeHash::parse(hash.as_str().expect("text")).expect("a hash"))
            .collect();
        let checkpoint =
            Checkpoint::parse(view["checkpoint"].as_str().expect("text")).expect("one");
        let content = view["record"].as_str().expect("text");
        let (size, root) = (checkpoint.size(), checkpoint.root());
        assert!(verify_inclusion(content.as_bytes(), sequence - 1, size, &hashes, root), "{view}");
        let printed = story.desk.run(&["audit", "proof", &sequence.to_string()]).await;
        assert_eq!(Some(printed.stdout.as_str()), view["proof"].as_str());
    }
    let reply = story.desk.get("/api/v1/audit/proof?seq=999").await;
    assert_eq!((reply.status, reply.problem().as_str()), (404, "not-found"));
    assert_eq!(story.desk.get("/api/v1/audit/proof?seq=x").await.status, 400);
}

#[tokio::test]
async fn why_an_image_ran_is_told_from_the_chain() {
    let story = Story::approved().await;
    let by_digest = format!("up.test/asked/app@{}", story.digest);
    story.next_day();
    let revocation = json!({"target": by_digest, "reason": "key compromised"});
    assert_eq!(story.desk.post("/api/v1/revocations", &revocation).await.status, 200);
    story.next_day();
    let policy = format!("rules:{}", super::RULES.replace("id: asked", "id: reviewed"));
    story.desk.mirror.set_policy(&policy, 2).await;

    // The first day it waited, the second it ran, the third it was revoked.
    for (at, state, because) in [
        ("2026-11-20T09:00:00Z", "unknown", "no verdict"),
        ("2026-11-20T12:00:00Z", "pending", "rule asked asked for a decision"),
        ("2026-11-21T12:00:00Z", "admitted", "approved by first-run (\"reviewed with SEC-991\")"),
        ("2026-11-22T12:00:00Z", "refused", "revoked by first-run (\"key compromised\")"),
    ] {
        let view = story.why(&by_digest, at).await;
        assert_eq!(view["state"], state, "{at}: {view}");
        assert!(view["because"].as_str().is_some_and(|text| text.contains(because)), "{view}");
    }
    let view = story.why(IMAGE, "2026-11-21T12:00:00Z").await;
    assert_eq!(view["digest"], story.digest.to_string());
    assert_eq!(view["tag"]["tag"], "1");
    assert_eq!(
        (&view["verdict"]["rule"], &view["verdict"]["verdict"]),
        (&json!("asked"), &json!("admit"))
    );
    let checks = view["verdict"]["checks"].as_str().expect("what each gate said");
    assert!(checks.contains("approval pass"), "{checks}");
    assert_eq!(view["verdict"]["policy"], view["policy"]["id"]);
    assert_eq!(view["policy"]["revision"], "1");
    assert_eq!(
        (&view["decision"]["by"], &view["decision"]["request"]),
        (&json!("first-run"), &json!("R-1"))
    );
    let since: Vec<&str> = view["since"]
        .as_array()
        .expect("records")
        .iter()
        .filter_map(|record| record["action"].as_str())
        .collect();
    assert!(since.contains(&"revoked") && since.contains(&"policy-loaded"), "{since:?}");
    let early =
        story.desk.get(&format!("/api/v1/audit/why?image={IMAGE}&at=2026-11-20T12:00:00Z")).await;
    assert_eq!(early.status, 404, "the tag was not served by then: {}", early.text());

    let shown = story.desk.run(&["audit", "why", IMAGE, "--at", "2026-11-21"]).await;
    assert_eq!(shown.code, 0, "{shown:?}");
    for part in
        ["ADMITTED: rule asked admitted it", "reviewed with SEC-991", "revision 1", "revoked"]
    {
        assert!(shown.stdout.contains(part), "{part}: {shown:?}");
    }
    assert!(shown.stdout.lines().all(|line| line.chars().count() <= 100), "{shown:?}");
    assert_eq!(story.desk.run(&["audit", "why", &by_digest]).await.code, 3);
    assert_eq!(story.desk.run(&["audit", "why", &by_digest, "--at", "2026-11-19"]).await.code, 2);
    assert_eq!(story.desk.run(&["audit", "why", &by_digest, "--at", "then"]).await.code, 64);
}

#[tokio::test]
async fn what_an_approval_that_ran_out_meant_is_told_too() {
    let story = Story::start().await;
    let expires = "2026-11-21T10:00:00Z";
    let approval = json!({"target": "R-1", "reason": "for a day", "expires": expires});
    assert_eq!(story.desk.post("/api/v1/approvals", &approval).await.status, 200);
    let by_digest = format!("up.test/asked/app@{}", story.digest);
    story.desk.mirror.pull("asked/app", "1").await.assert_complete();
    assert_eq!(story.why(&by_digest, "2026-11-20T12:00:00Z").await["state"], "admitted");
    let view = story.why(&by_digest, "2026-11-21T12:00:00Z").await;
    assert_eq!(view["state"], "pending", "{view}");
    assert!(view["because"].as_str().is_some_and(|text| text.contains("had run out")), "{view}");
}

#[tokio::test]
async fn what_ran_by_its_index_is_told_by_its_index() {
    let desk = Desk::start().await;
    let child = Image::new().layer("content").build();
    let index = Index::new().child(child.clone()).build();
    desk.mirror.upstream.push("open/app", "1", &index);
    desk.mirror.pull("open/app", "1").await;
    let path = format!("/api/v1/audit/why?image=up.test/open/app@{}", child.digest());
    let view = desk.get(&path).await.json();
    assert_eq!(view["state"], "admitted", "{view}");
    assert_eq!(view["index"], format!("up.test/open/app@{}", index.digest()));
    let unknown = view["unknown"].to_string();
    assert!(unknown.contains("does not say which index lists an image"), "{unknown}");
}
