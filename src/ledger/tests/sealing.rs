//! Who can write the database and has not the key makes nothing that counts.

use std::collections::BTreeSet;

use super::upgrading::{VERSION_1_TOKEN, with_old_ledger};
use super::*;
use crate::ledger::rows::Sealed;
use crate::ledger::sealer::{Sealer, remove_mark};
use crate::ledger::{Error, NewToken, Record, Role, Scope, TokenRow, restore, schema};
use crate::transparency::NoteSigner;

/// Somebody who writes the database: every byte of it, and no other file.
struct Mallory<'a>(&'a Bench);

impl Mallory<'_> {
    /// Has `change` done to the record of `subject(number)`, sealed as `sealer` seals.
    fn alter(&self, number: u64, sealer: &Sealer, change: impl FnOnce(&mut Record)) {
        let database = Connection::open(self.0.database()).unwrap();
        let (name, of) = (name().to_string(), digest(number).to_string());
        let body: String = database
            .query_row("SELECT body FROM records WHERE digest = ?1", [&of], |row| row.get(0))
            .unwrap();
        let mut record: Record = serde_json::from_str(&body).unwrap();
        change(&mut record);
        let row = Sealed::new(sealer, "records", &[&name, &of], &record).unwrap();
        let sql = "UPDATE records SET body = ?2, seal = ?3 WHERE digest = ?1";
        database.execute(sql, rusqlite::params![of, row.body, row.seal]).unwrap();
    }

    fn approve(&self, number: u64, sealer: &Sealer) {
        let approved = Standing::Approved {
            by: "mallory".to_owned(),
            at: at("2026-11-20T10:00:00Z"),
            expires: None,
            reason: "why not".to_owned(),
            voters: Vec::new(),
            seen: None,
            files: Vec::new(),
        };
        self.alter(number, sealer, |record| record.standing = Some(approved));
    }
}

fn sealers() -> [Sealer; 2] {
    [Sealer::plain(), Sealer::of(&NoteSigner::generate("pratique.dev/audit/ab12").unwrap())]
}

#[tokio::test]
async fn an_approval_or_a_verdict_that_is_written_into_the_database_counts_for_nothing() {
    for sealer in sealers() {
        for verdict in [false, true] {
            let mut bench = Bench::new().await;
            bench.ledger.record_judgement(new(1, pending())).await.unwrap();
            bench.ledger.close().await;
            let mallory = Mallory(&bench);
            if verdict {
                mallory
                    .alter(1, &sealer, |it| it.judgement = Some(new(1, Verdict::Admit).judgement));
            } else {
                mallory.approve(1, &sealer);
            }
            bench.reopen().await;
            let error = bench.ledger.record(&subject(1)).await.unwrap_err();
            assert!(matches!(error, Error::CorruptRow { .. }), "{error}");
            assert!(error.to_string().contains(&digest(1).to_string()), "{error}");
            // People decide again, and what was there is gone.
            bench.ledger.approve(decision(1, "alice")).await.unwrap();
            let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
            assert_eq!(approved_by(record.standing.as_ref()), Some("alice"));
        }
    }
}

#[tokio::test]
async fn a_token_that_is_written_into_the_database_opens_nothing() {
    for sealer in sealers() {
        let bench = Bench::new().await;
        bench.ledger.close().await;
        let row = TokenRow {
            name: "mallory".to_owned(),
            role: Role::Admin,
            groups: BTreeSet::default(),
            created_at: at("2026-11-20T10:00:00Z"),
            expires_at: None,
            scope: Scope::default(),
            owner: None,
        };
        let known = serde_json::json!({"row": row, "hash": Digest::sha256(b"secret").to_string()});
        let sealed = Sealed::new(&sealer, "tokens", &["mallory"], &known).unwrap();
        let database = Connection::open(bench.database()).unwrap();
        let sql = "INSERT INTO tokens (name, body, seal) VALUES ('mallory', ?1, ?2)";
        database.execute(sql, rusqlite::params![sealed.body, sealed.seal]).unwrap();
        drop(database);
        let ledger = bench.open().await.unwrap();
        assert!(ledger.authenticate("secret").is_none() && ledger.tokens().is_empty());
        let report = ledger.verify_audit().await.unwrap();
        assert!(!report.is_whole(), "a token that the audit does not know: {report:?}");
        // Whoever makes one of that name makes another.
        let secret =
            ledger.create_token(NewToken::new("mallory", Role::Viewer), "alice").await.unwrap();
        assert_eq!(ledger.authenticate(secret.expose()).unwrap().role, Role::Viewer);
        ledger.close().await;
    }
}

#[tokio::test]
async fn what_was_written_under_another_name_stays_what_it_was() {
    let mut bench = Bench::new().await;
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    bench.ledger.record_judgement(new(2, pending())).await.unwrap();
    bench
        .tamper(
            "UPDATE records SET (body, seal) = (SELECT body, seal FROM records ORDER BY id LIMIT 1)",
        )
        .await;
    assert!(bench.ledger.record(&subject(2)).await.is_err(), "the seal binds what it is about");
}

#[tokio::test]
async fn an_older_database_is_put_there_by_those_only_who_say_so() {
    let bench = with_old_ledger().await;
    bench.open().await.unwrap().close().await;
    // The same database once more, as somebody would who has only that: no row of it needs a key.
    let old = with_old_ledger().await;
    std::fs::copy(old.database(), bench.database()).unwrap();
    let error = bench.open().await.unwrap_err().to_string();
    assert!(error.contains("pratique restore"), "{error}");
    assert_eq!(schema::version(&Connection::open(bench.database()).unwrap()).unwrap(), 1);
}

#[tokio::test]
async fn a_database_without_its_key_is_refused_and_a_backup_takes_the_key_of_where_it_goes() {
    let bench = Bench::new().await;
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    let elsewhere = Bench::new().await;
    let backup = bench.dir.path().join("backup");
    bench.ledger.backup_to(&backup).await.unwrap();
    bench.ledger.close().await;
    elsewhere.ledger.close().await;
    std::fs::copy(bench.database(), elsewhere.database()).unwrap();
    std::fs::copy(bench.audit_file(), elsewhere.audit_file()).unwrap();
    remove_mark(elsewhere.dir.path()).unwrap();
    let error = elsewhere.open().await.unwrap_err().to_string();
    assert!(error.contains("put the key back"), "{error}");

    restore(&backup, elsewhere.dir.path(), true, &bench.clock).unwrap();
    let restored = elsewhere.open().await.unwrap();
    let record = restored.record(&subject(1)).await.unwrap().unwrap();
    assert_eq!(approved_by(record.standing.as_ref()), Some("alice"));
}

#[tokio::test]
async fn what_nobody_sealed_is_not_sealed_by_a_backup_and_restoring_it() {
    for sealer in sealers() {
        let mut bench = Bench::new().await;
        bench.ledger.approve(decision(1, "alice")).await.unwrap();
        bench.ledger.record_judgement(new(2, pending())).await.unwrap();
        bench.ledger.close().await;
        Mallory(&bench).approve(2, &sealer);
        bench.ledger = bench.open().await.unwrap();
        let backup = bench.dir.path().join("backup");
        bench.ledger.backup_to(&backup).await.unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        restore(&backup, elsewhere.path(), false, &bench.clock).unwrap();
        let restored =
            open(elsewhere.path(), Settings::default(), &bench.clock, &bench.tasks, &bench.metrics)
                .await
                .unwrap();
        let good = restored.record(&subject(1)).await.unwrap().unwrap();
        assert_eq!(approved_by(good.standing.as_ref()), Some("alice"));
        let forged = restored.record(&subject(2)).await;
        assert!(matches!(forged, Err(Error::CorruptRow { .. })), "{sealer:?}: {forged:?}");
    }
}

#[tokio::test]
async fn an_empty_database_in_the_place_of_a_ledger_begins_no_other_one() {
    let bench = Bench::new().await;
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    bench.ledger.close().await;
    for suffix in ["", "-wal", "-shm"] {
        let mut path = bench.database().into_os_string();
        path.push(suffix);
        drop(std::fs::remove_file(path));
    }
    bench.sql("CREATE TABLE empty (x); DROP TABLE empty; PRAGMA application_id = 1347572817");
    let error = bench.open().await.unwrap_err();
    assert!(matches!(error, Error::Missing { .. } | Error::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_no_reason_to_refuse_an_upgrade() {
    let bench = with_old_ledger().await;
    bench.sql(
        "PRAGMA foreign_keys = off;
         INSERT INTO records (repository, digest, body, seal) VALUES (99, 'sha256:00', '{}', x'00');
         INSERT INTO requests (key, name, state, filed_by, last_asked, body, seal)
         VALUES ('x', 'x', 'lapsed', 'x', 0, CAST(x'ff' AS TEXT), x'00');
         PRAGMA foreign_keys = on",
    );
    let ledger = bench.open().await.unwrap();
    assert!(ledger.authenticate(VERSION_1_TOKEN).is_some());
    ledger.close().await;
}

#[tokio::test]
async fn a_program_in_the_database_does_not_run() {
    let mut bench = Bench::new().await;
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    bench
        .tamper(
            "CREATE TABLE kept AS SELECT * FROM records;
             CREATE TRIGGER undo AFTER UPDATE ON records BEGIN
                 UPDATE records SET (body, seal) =
                     (SELECT body, seal FROM kept WHERE kept.id = records.id);
             END",
        )
        .await;
    bench.ledger.revoke(decision(1, "bob")).await.unwrap();
    bench.reopen().await;
    let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
    assert!(matches!(record.standing, Some(Standing::Revoked { .. })), "{record:?}");
}

#[tokio::test]
async fn ended_anywhere_while_rows_get_their_seals_the_next_start_goes_on() {
    let mut bench = with_old_ledger().await;
    bench.ledger = bench.open().await.unwrap();
    let before = bench.ledger.record(&subject(1)).await.unwrap();
    bench.ledger.close().await;
    // After the rows, before the mark.
    remove_mark(bench.dir.path()).unwrap();
    bench.ledger = bench.open().await.unwrap();
    assert_eq!(bench.ledger.record(&subject(1)).await.unwrap(), before);
    // And with another key: what is there is taken as it is.
    bench.ledger.close().await;
    std::fs::remove_file(bench.dir.path().join("audit-key")).unwrap();
    bench.ledger = bench.open().await.unwrap();
    assert_eq!(bench.ledger.record(&subject(1)).await.unwrap(), before);
}

/// What `sql` makes of a ledger in which 1 was approved and then revoked, 2 approved, 3 rejected and
/// reinstated, and 4 only judged; `kept` is the row of 1 as it was while it was approved.
async fn verified_after(sql: &str) -> crate::ledger::AuditReport {
    let mut bench = Bench::new().await;
    bench.ledger.record_judgement(new(4, pending())).await.unwrap();
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    bench.ledger.close().await;
    bench.sql("CREATE TABLE kept AS SELECT digest, body, seal FROM records");
    bench.reopen().await;
    bench.ledger.revoke(decision(1, "bob")).await.unwrap();
    bench.ledger.approve(decision(2, "alice")).await.unwrap();
    bench.ledger.reject(decision(3, "alice")).await.unwrap();
    bench.ledger.reinstate(decision(3, "alice")).await.unwrap();
    bench.ledger.create_token(NewToken::new("ci", Role::Admin), "alice").await.unwrap();
    bench.ledger.close().await;
    bench.sql("CREATE TABLE kept_tokens AS SELECT * FROM tokens");
    bench.reopen().await;
    bench.ledger.revoke_token("ci", "alice").await.unwrap();
    bench.ledger.record_judgement(new(4, denied())).await.unwrap();
    let report = bench.ledger.verify_audit().await.unwrap();
    assert!(report.is_whole(), "{report:?}");
    bench.tamper(&format!("PRAGMA foreign_keys = off; {sql}")).await;
    bench.ledger.verify_audit().await.unwrap()
}

#[tokio::test]
async fn a_row_that_was_put_back_or_removed_is_found_by_what_the_audit_says() {
    for (what, sql, sequence) in [
        ("nothing", "SELECT 1", None),
        (
            "what was approved before it was revoked",
            "UPDATE records SET (body, seal) = (SELECT body, seal FROM kept WHERE digest = records.digest)
             WHERE digest IN (SELECT digest FROM kept)",
            Some(3),
        ),
        ("a revocation", "DELETE FROM records WHERE id = 2", Some(3)),
        ("a token that was ended", "INSERT INTO tokens SELECT * FROM kept_tokens", Some(8)),
        (
            "a verdict of before",
            "UPDATE records SET body = replace(body, 'deny', 'admit') WHERE id = 1",
            Some(9),
        ),
        (
            "the row of another",
            "UPDATE records SET body = (SELECT body FROM records WHERE id = 3) WHERE id = 1",
            Some(9),
        ),
    ] {
        let report = verified_after(sql).await;
        let found = report.problem.map(|problem| (problem.sequence, problem.fault));
        let contradicted = |sequence| (sequence, crate::ledger::AuditFault::Contradicted);
        assert_eq!(found, sequence.map(contradicted), "{what}: {report:?}");
    }
}
