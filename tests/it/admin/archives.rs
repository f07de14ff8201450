//! Old records of the audit that leave the database, as people see it.

use std::path::PathBuf;

use hyper::Method;
use pratique::oci::Digest;
use serde_json::{Value, json};

use super::Desk;
use super::command_line::run;

const IMAGE: &str = "up.test/asked/app:1";
const HOUR: std::time::Duration = std::time::Duration::from_hours(1);

/// A mirror on which an image was approved and pulled three days ago, and what is older than a day archived.
struct Archived {
    desk: Desk,
    digest: Digest,
    answer: Value,
}

impl Archived {
    async fn start() -> Self {
        let desk = Desk::start().await;
        let digest = desk.push("asked/app", "1", "content");
        desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
        let early = desk.run(&["audit", "checkpoint", "--now"]).await;
        std::fs::write(desk.mirror.folder().join("early"), early.stdout).expect("a file");
        let approval = json!({"target": "R-1", "reason": "reviewed with SEC-991"});
        assert_eq!(desk.post("/api/v1/approvals", &approval).await.status, 200);
        desk.mirror.pull("asked/app", "1").await.assert_complete();
        desk.mirror.clock.advance(HOUR * 72);
        let body = json!({"name": "late", "role": "viewer"});
        assert_eq!(desk.post("/api/v1/tokens", &body).await.status, 201);
        let words = ["audit", "archive", "--before", "2026-11-22", "--reason", "SEC-1", "--json"];
        let answer = desk.run(&words).await;
        assert_eq!(answer.code, 0, "{answer:?}");
        Self { answer: answer.json(), desk, digest }
    }

    fn file(&self) -> PathBuf {
        let name = self.answer["segments"][0]["file"].as_str().expect("a name");
        self.desk.mirror.folder().join("data/audit/segments").join(name)
    }

    fn path(&self, name: &str) -> String {
        self.desk.mirror.folder().join(name).to_str().expect("a path").to_owned()
    }
}

/// What was printed, as if lines had no end.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn what_is_old_is_archived_on_the_command_line_and_everything_reads_on() {
    let story = Archived::start().await;
    let desk = &story.desk;
    let count = story.answer["records"].as_u64().expect("a count");
    assert!(count > 3, "{}", story.answer);
    assert!(story.file().is_file());
    let verified = desk.run(&["audit", "verify", "--json"]).await;
    assert_eq!((verified.code, &verified.json()["intact"]), (0, &json!(true)), "{verified:?}");
    assert_eq!(verified.json()["notes"], Value::Null, "{verified:?}");
    let page = desk.get("/api/v1/audit?from=1&limit=1000").await.json();
    let records = page["records"].as_array().expect("records");
    assert_eq!(records[0]["sequence"], 1);
    let archived = records.iter().find(|record| record["action"] == "audit-archived").expect("one");
    assert!(archived["reason"].as_str().is_some_and(|it| it.starts_with("SEC-1, ")), "{archived}");
    let why = desk.run(&["audit", "why", IMAGE]).await;
    assert_eq!(why.code, 0, "{why:?}");
    assert!(why.stdout.contains("reviewed with SEC-991"), "{why:?}");
    let listed = desk.run(&["audit", "archive", "--list"]).await;
    assert!(listed.stdout.contains(&format!("1 to {count}, until ")), "{listed:?}");
    assert!(!listed.stdout.contains("NOT HERE"), "{listed:?}");
    let again = desk.run(&["audit", "archive", "--before", "2026-01-01", "--dry-run"]).await;
    assert!(again.stdout.starts_with("no record is older"), "{again:?}");
    let wrong = desk.run(&["audit", "archive", "--before", "soon"]).await;
    assert_eq!(wrong.code, 64, "{wrong:?}");
    assert_eq!(desk.run(&["audit", "archive"]).await.code, 64);
    // A segment is verified by itself, on any machine.
    let file = story.file().to_str().expect("a path").to_owned();
    let key = desk.run(&["audit", "key"]).await.stdout.trim().to_owned();
    let alone = run(&["audit", "verify", &file, "--key", &key, "--json"]).await;
    assert_eq!((alone.code, &alone.json()["covered"]), (0, &json!(count)), "{alone:?}");
}

#[tokio::test]
async fn where_the_file_is_not_it_is_named_and_nothing_is_made_up() {
    let story = Archived::start().await;
    let (desk, file) = (&story.desk, story.file());
    let (config, aside) = (desk.settings_file(), story.path("aside.zst"));
    std::fs::rename(&file, &aside).expect("moved");
    let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
    let reply = desk.get("/api/v1/audit?from=1").await;
    assert_eq!((reply.status, reply.problem().as_str()), (404, "not-found"));
    assert!(reply.text().contains(name), "{}", reply.text());
    let export = desk.run(&["audit", "export", &story.path("whole.jsonl")]).await;
    assert!(export.code != 0 && export.stderr.contains(name), "{export:?}");
    let why = desk.run(&["audit", "why", IMAGE]).await;
    assert!(why.code != 0 && why.stderr.contains(name), "{why:?}");
    let path = format!("/api/v1/audit/why?image=up.test/asked/app@{}", story.digest);
    let view = desk.get(&path).await.json();
    assert_eq!(view["state"], "unknown", "{view}");
    assert!(view["unknown"].to_string().contains(name), "{view}");
    let listed = desk.run(&["audit", "archive", "--list"]).await;
    assert!(listed.stdout.contains("NOT HERE"), "{listed:?}");
    let asked = desk.run(&["audit", "verify"]).await;
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(one_line(&asked.stdout).contains("which was not read"), "{asked:?}");
    // A checkpoint of before: not checked is not good, and with the file it is.
    let early = story.path("early");
    let without = run(&["audit", "verify", "--checkpoint", &early, "--config", &config]).await;
    assert_eq!(without.code, 2, "{without:?}");
    assert!(one_line(&without.stdout).contains("could not be checked"), "{without:?}");
    let words =
        ["audit", "verify", "--checkpoint", &early, "--segment", &aside, "--config", &config];
    let with = run(&words).await;
    assert_eq!(with.code, 0, "{with:?}");
    let wrong =
        run(&["audit", "verify", "--offline", "--segment", &config, "--config", &config]).await;
    assert_eq!(wrong.code, 2, "{wrong:?}");
}

#[tokio::test]
async fn only_who_administers_archives_and_everybody_who_looks_sees_what_went() {
    let story = Archived::start().await;
    let desk = &story.desk;
    let body = json!({"name": "eyes", "role": "auditor"});
    let token = desk.post("/api/v1/tokens", &body).await.json();
    let token = token["token"].as_str().expect("a token").to_owned();
    let body = json!({"before": "2026-11-21T00:00:00Z"}).to_string();
    let path = "/api/v1/audit/archives";
    let reply = desk.send(Method::POST, path, Some(&token), Some(body), &[]).await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    let reply = desk.send(Method::GET, path, Some(&token), None, &[]).await;
    assert_eq!((reply.status, &reply.json()["segments"][0]["here"]), (200, &json!(true)));
    let bad = json!({"before": "2026-11-21T00:00:00Z", "reason": " "});
    assert_eq!(desk.post("/api/v1/audit/archives", &bad).await.status, 400);
}
