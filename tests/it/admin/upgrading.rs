//! Upgrade and back: verdicts of an earlier program, and its ledger.

use std::path::Path;

use pratique::oci::Digest;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::command_line::run;
use super::{Desk, RULES};
use crate::support::mirror::TestMirror;

/// A ledger as a program of schema version 1 wrote it, and the anchored head of its audit chain.
const VERSION_1: &str = include_str!("../../../src/ledger/tests/version_1.sql");
const VERSION_1_HEAD: &str = concat!(
    r#"{"count":11,"hash":"#,
    r#""sha256:d4568af963fbbc7da6ac4c69a39ee96c9b5c0b0d2db7f906f2f4cba260d4fc97"}"#
);

/// The seal of a row, as programs made it whose seals took no key.
fn seal(parts: &[&str]) -> Vec<u8> {
    let mut sealed = Vec::new();
    for part in parts {
        sealed.extend(u64::try_from(part.len()).expect("a length").to_be_bytes());
        sealed.extend(part.as_bytes());
    }
    Digest::sha256(&sealed).as_bytes().to_vec()
}

/// Makes the ledger in `data` one whose verdicts an earlier program reached, which admitted all.
pub(super) fn as_an_earlier_program_judged(data: &Path) {
    let ledger = Connection::open(data.join("ledger.db")).expect("a ledger");
    let mut statement = ledger
        .prepare(
            "SELECT r.id, n.name, r.digest, r.body
             FROM records r JOIN repositories n ON n.id = r.repository",
        )
        .expect("a statement");
    let rows: Vec<(i64, String, String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("rows");
    assert!(!rows.is_empty());
    for (id, name, digest, body) in rows {
        let mut record: Value = serde_json::from_str(&body).expect("a record");
        record["logic"] = json!(0);
        record["judgement"]["verdict"] = json!({"state": "admit"});
        let body = record.to_string();
        let seal = seal(&["records", &name, &digest, &body]);
        let sql = "UPDATE records SET body = ?2, seal = ?3 WHERE id = ?1";
        ledger.execute(sql, params![id, body, seal]).expect("an update");
    }
    let body = json!({"version": 0, "since": "2026-11-20T10:00:00Z", "by": "server"}).to_string();
    let sql = "INSERT INTO logics (body, seal) VALUES (?1, ?2)";
    ledger.execute(sql, params![body, seal(&["logics", &body])]).expect("an insert");
    // Without it the next start takes such seals for right, once.
    std::fs::remove_file(data.join("audit/sealed")).expect("a mark");
}

#[tokio::test]
async fn verdicts_of_an_earlier_program_hold_until_a_person_confirms_what_changes() {
    let mirror = TestMirror::start(RULES).await;
    let desk = Desk::of(mirror);
    let digest = desk.push("asked/app", "1", "asked");
    desk.push("open/app", "1", "open");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval");
    desk.mirror.pull("open/app", "1").await.assert_complete();
    let nothing = desk.run(&["rejudge", "--dry-run"]).await;
    assert!(nothing.stdout.starts_with("Nothing to decide again"), "{nothing:?}");

    let desk = Desk::of(desk.mirror.restart_after(as_an_earlier_program_judged).await);
    desk.mirror.pull("asked/app", "1").await.assert_complete();
    let status = desk.run(&["status"]).await;
    assert!(status.stdout.contains("rejudge    waits"), "{status:?}");
    for _ in 0..2 {
        let dry = desk.run(&["rejudge", "--dry-run", "--json"]).await.json();
        assert_eq!((&dry["examined"], &dry["changed"]), (&json!(2), &json!(1)), "{dry}");
        assert_eq!((&dry["waits"], &dry["confirmed"]), (&json!(true), &json!(false)), "{dry}");
        let change = &dry["changes"][0];
        assert_eq!(change["image"], format!("up.test/asked/app@{digest}"));
        assert_eq!((&change["before"], &change["after"]), (&json!("admit"), &json!("pending")));
        assert_eq!(change["reasons"][0]["code"], "approval-needed");
        desk.mirror.pull("asked/app", "1").await.assert_complete();
    }
    let shown = desk.run(&["rejudge", "--dry-run"]).await;
    assert!(shown.stdout.contains("1 would change. Nothing was changed"), "{shown:?}");
    for wrong in
        [&["rejudge"][..], &["rejudge", "--confirm"], &["rejudge", "--confirm", "--dry-run"]]
    {
        assert_eq!(desk.run(wrong).await.code, 64, "{wrong:?}");
    }
    let viewer = desk.post("/api/v1/tokens", &json!({"name": "eve", "role": "viewer"})).await;
    let eve = viewer.json()["token"].as_str().expect("a secret").to_owned();
    let body = Some(json!({"reason": "mine"}).to_string());
    let (post, path) = (hyper::Method::POST, "/api/v1/rejudgements");
    assert_eq!(desk.send(post, path, Some(&eve), body, &[]).await.status, 403);

    let done = desk.run(&["rejudge", "--confirm", "--reason", "looked at", "--json"]).await.json();
    assert_eq!((&done["confirmed"], &done["waits"]), (&json!(true), &json!(false)), "{done}");
    assert_eq!((&done["changed"], &done["left"]), (&json!(1), &json!(0)), "{done}");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval");
    desk.mirror.pull("open/app", "1").await.assert_complete();
    let audit = desk.run(&["audit", "--json"]).await.stdout;
    assert!(audit.contains("rejudge-confirmed") && audit.contains("looked at"), "{audit}");
    assert!(audit.contains("logic-confirmed"), "{audit}");
    let desk = Desk::of(desk.mirror.restart().await);
    let status = desk.run(&["status"]).await;
    assert!(!status.stdout.contains("rejudge"), "{status:?}");
    let nothing = desk.run(&["rejudge", "--dry-run"]).await;
    assert!(nothing.stdout.starts_with("Nothing to decide again"), "{nothing:?}");
}

#[tokio::test]
async fn going_back_shows_its_price_and_asks_before_it_is_paid() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    std::fs::create_dir_all(data.join("audit")).expect("a folder");
    std::fs::write(data.join("audit/head"), VERSION_1_HEAD).expect("a head");
    let database = data.join("ledger.db");
    let schema = || -> u32 {
        let ledger = Connection::open(&database).expect("a ledger");
        ledger.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version")
    };
    Connection::open(&database).expect("a ledger").execute_batch(VERSION_1).expect("its rows");
    let config = folder.path().join("pratique.toml");
    std::fs::write(&config, format!("data_dir = {data:?}\n")).expect("a settings file");
    let config = config.to_str().expect("a path");

    let none = run(&["rollback", "--config", config]).await;
    assert_eq!((none.code, none.stdout.contains("no snapshots")), (0, true), "{none:?}");
    let upgraded = run(&["token", "new", "late", "--offline", "--config", config]).await;
    let latest = schema();
    assert_eq!((upgraded.code, latest > 1), (0, true), "{upgraded:?}");
    let listed = run(&["rollback", "--config", config, "--json"]).await.json();
    let name = listed[0]["name"].as_str().expect("a name");
    assert!(name.starts_with("ledger-1-"), "{listed}");
    assert_eq!(listed[0]["lost"]["records"], 1, "the token: {listed}");
    assert_eq!(listed[0]["lost"]["decisions"], 0, "{listed}");

    let asked = run(&["rollback", name, "--config", config]).await;
    assert_eq!((asked.code, schema()), (3, latest), "{asked:?}");
    assert!(asked.stdout.contains("1 audit record, 0 decisions"), "{asked:?}");
    assert_eq!(run(&["rollback", "ledger-9.db", "--yes", "--config", config]).await.code, 1);
    let back = run(&["rollback", name, "--yes", "--config", config]).await;
    assert_eq!((back.code, schema()), (0, 1), "{back:?}");
    assert!(back.stdout.contains("ledger.db.replaced-"), "{back:?}");
}

#[tokio::test]
async fn no_one_goes_back_under_a_running_server() {
    let desk = Desk::start().await;
    let config = desk.settings_file();
    let snapshots = desk.mirror.folder().join("data/snapshots");
    std::fs::create_dir(&snapshots).expect("a folder");
    let backup = snapshots.join("ledger-1-20260101T000000Z.db");
    assert_eq!(desk.run(&["backup", backup.to_str().expect("a path")]).await.code, 0);
    let back =
        run(&["rollback", "ledger-1-20260101T000000Z.db", "--yes", "--config", &config]).await;
    assert_eq!(back.code, 1, "{back:?}");
    assert!(back.stderr.contains("in use by another process"), "{back:?}");
}
