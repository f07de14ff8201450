//! Backup and restore.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::ledger::{AuditKind, Error, NewToken, Offered, Role, Rollback, restore};

/// How large a page of the database is.
const PAGE_BYTES: usize = 4096;

async fn with_backup() -> (Bench, std::path::PathBuf, crate::oci::Secret) {
    let bench = Bench::new().await;
    bench.ledger.record_judgement(new(1, Verdict::Admit)).await.unwrap();
    bench.ledger.approve(decision(2, "alice")).await.unwrap();
    bench.ledger.file_request(filing(3, "node-1")).await.unwrap();
    bench.ledger.record_admitted_tag(&name(), &tag("1"), &digest(1)).await.unwrap();
    let offered = Offered {
        id: policy(),
        revision: 4,
        name: "site".to_owned(),
        parts: std::collections::BTreeMap::new(),
    };
    bench.ledger.record_policy(offered, Rollback::Refused).await.unwrap();
    let secret =
        bench.ledger.create_token(NewToken::new("ci", Role::Admin), "alice").await.unwrap();
    let backup = bench.dir.path().join("backup");
    bench.ledger.backup_to(&backup).await.unwrap();
    bench.ledger.revoke(decision(2, "bob")).await.unwrap();
    (bench, backup, secret)
}

#[tokio::test]
async fn a_restored_ledger_knows_what_it_knew_and_its_chain_verifies() {
    let (mut bench, backup, secret) = with_backup().await;
    let mode = fs::metadata(&backup).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "hashes of tokens are in it");
    let other = tempfile::tempdir().unwrap();
    let restored = restore(&backup, other.path(), false, &bench.clock).unwrap();
    assert_eq!((restored.audit_records, &restored.replaced), (6, &None));
    bench.ledger.close().await;
    bench.dir = other;
    bench.ledger = bench.open().await.unwrap();
    for _ in 0..2 {
        let record = bench.ledger.record(&subject(2)).await.unwrap().unwrap();
        assert_eq!(approved_by(record.standing.as_ref()), Some("alice"));
        assert_eq!(bench.ledger.granted(&name(), &digest(1001)).await.unwrap().len(), 1);
        assert_eq!(bench.ledger.admitted_tag(&name(), &tag("1")).await.unwrap(), Some(digest(1)));
        assert!(bench.ledger.authenticate(secret.expose()).is_some());
        assert_eq!(bench.ledger.policy_in_force().unwrap().revision, 4);
        let report = bench.ledger.verify_audit().await.unwrap();
        assert_eq!((report.records, report.problem), (7, None));
        bench.reopen().await;
    }
    let last = bench.ledger.audit(7, 1).await.unwrap().pop().unwrap();
    assert_eq!(last.event.kind, AuditKind::Restored);
}

#[tokio::test]
async fn nothing_is_overwritten_unless_told_and_then_it_is_kept_aside() {
    let (bench, backup, _) = with_backup().await;
    let error = restore(&backup, bench.dir.path(), true, &bench.clock).unwrap_err();
    assert!(matches!(error, Error::AlreadyOpen { .. }), "{error}");
    bench.ledger.close().await;
    let error = restore(&backup, bench.dir.path(), false, &bench.clock).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    let restored = restore(&backup, bench.dir.path(), true, &bench.clock).unwrap();
    let aside = Connection::open(restored.replaced.unwrap()).unwrap();
    let rows: i64 = aside.query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 7, "with the revocation");
    let ledger = bench.open().await.unwrap();
    assert!(ledger.verify_audit().await.unwrap().is_whole());
    let error = ledger.backup_to(&backup).await.unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
}

#[tokio::test]
async fn a_backup_that_is_not_whole_restores_nothing() {
    let (bench, backup, _) = with_backup().await;
    bench.ledger.close().await;
    let whole = fs::read(&backup).unwrap();
    let edited = bench.dir.path().join("edited");
    for sql in [
        "UPDATE records SET body = replace(body, 'alice', 'mallory')",
        "UPDATE grants SET digest = 'sha256:00'",
        "UPDATE requests SET seal = x''",
        "UPDATE tags SET body = replace(body, 'seen_at', 'seen_ax')",
        "UPDATE tokens SET name = 'mallory'",
        "UPDATE decisions SET record = 1",
        "UPDATE policies SET body = '{}'",
        "UPDATE audit SET body = replace(body, 'alice', 'mallory')",
        "DELETE FROM audit WHERE sequence = 6",
        "DELETE FROM audit WHERE sequence = 2",
        "DELETE FROM backup",
        "DROP TABLE backup",
        "PRAGMA user_version = 99",
        "PRAGMA application_id = 1",
    ] {
        fs::write(&edited, &whole).unwrap();
        Connection::open(&edited).unwrap().execute_batch(sql).unwrap();
        refused(&bench, &edited, sql);
    }
    // The beginning of a page is in use, whatever lies where; its middle may not be.
    let middle = whole.len() / 2;
    for at in [0, middle - middle % PAGE_BYTES] {
        let mut bytes = whole.clone();
        bytes[at..at + 2000].fill(0xa5);
        fs::write(&edited, bytes).unwrap();
        refused(&bench, &edited, "overwritten");
    }
    fs::write(&edited, &whole[..whole.len() / 2]).unwrap();
    refused(&bench, &edited, "cut short");
    fs::write(&edited, b"").unwrap();
    refused(&bench, &edited, "empty");
}

fn refused(bench: &Bench, edited: &Path, what: &str) {
    let target = tempfile::tempdir().unwrap();
    let error = restore(edited, target.path(), false, &bench.clock).expect_err(what);
    let clear = matches!(
        error,
        Error::Damaged { .. } | Error::CorruptRow { .. } | Error::NewerSchema { .. }
    );
    assert!(clear, "{what}: {error:?}");
    let left: Vec<_> = fs::read_dir(target.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "ledger.lock")
        .collect();
    assert!(left.is_empty(), "{what}: {left:?}");
}

#[tokio::test]
async fn a_backup_under_load_holds_a_moment_that_was() {
    let bench = Bench::new().await;
    let ledger = bench.ledger.clone();
    let writer = bench.tasks.spawn(async move {
        for number in 0..200 {
            ledger.approve(decision(number, "alice")).await.unwrap();
        }
    });
    for copy in 0..5 {
        let backup = bench.dir.path().join(format!("backup-{copy}"));
        bench.ledger.backup_to(&backup).await.unwrap();
        let target = tempfile::tempdir().unwrap();
        restore(&backup, target.path(), false, &bench.clock).unwrap();
    }
    writer.await.unwrap();
}
