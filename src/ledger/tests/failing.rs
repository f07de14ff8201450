//! Disks and files that fail, and files that are not ours.

use std::fs;
use std::io::Write as _;

use super::*;
use crate::ledger::{Error, NewToken};

/// Everything that must go on being answered from memory.
async fn known_things_are_answered(bench: &Bench, secret: &crate::oci::Secret) {
    let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
    assert!(record.judgement.as_ref().unwrap().admits());
    let granted = bench.ledger.granted(&name(), &digest(1001)).await.unwrap();
    assert_eq!(granted[0].subject, digest(1));
    assert_eq!(bench.ledger.admitted_tag(&name(), &tag("1")).await.unwrap(), Some(digest(1)));
    assert_eq!(bench.ledger.tags_of(&name(), &digest(1)).await.unwrap(), [tag("1")]);
    assert!(!bench.ledger.record_tag(&name(), &tag("1"), &digest(1)).await.unwrap());
    assert!(bench.ledger.authenticate(secret.expose()).is_some());
    let id = bench.ledger.file_request(filing(2, "node-9")).await.unwrap();
    assert_eq!(id.to_string(), "R-1");
}

async fn with_known_things() -> (Bench, crate::oci::Secret) {
    let mut bench = Bench::new().await;
    bench.ledger.record_tag(&name(), &tag("1"), &digest(1)).await.unwrap();
    bench.ledger.record_judgement(New { tags: 1, ..new(1, Verdict::Admit) }).await.unwrap();
    bench.ledger.record_admitted_tag(&name(), &tag("1"), &digest(1)).await.unwrap();
    bench.ledger.file_request(filing(2, "node-1")).await.unwrap();
    let role = crate::ledger::Role::Admin;
    let secret = bench.ledger.create_token(NewToken::new("first-run", role), "test").await.unwrap();
    bench.reopen().await;
    bench.ledger.warm().await.unwrap();
    bench.ledger.tags_of(&name(), &digest(1)).await.unwrap();
    (bench, secret)
}

#[tokio::test]
async fn with_an_unreadable_database_what_is_known_is_answered_and_nothing_else() {
    let (bench, secret) = with_known_things().await;
    let connection = Connection::open(bench.database()).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    let length = usize::try_from(fs::metadata(bench.database()).unwrap().len()).unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(bench.database()).unwrap();
    file.write_all(&vec![0x5a; length]).unwrap();
    for _ in 0..2 {
        known_things_are_answered(&bench, &secret).await;
        let error = bench.ledger.record(&subject(7)).await.unwrap_err();
        assert!(error.is_failure(), "unknown is not the same as absent: {error}");
        assert!(bench.ledger.granted(&name(), &digest(7)).await.unwrap_err().is_failure());
        assert!(bench.ledger.approve(decision(1, "alice")).await.unwrap_err().is_failure());
        bench.ledger.flush().await;
    }
    let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
    assert_eq!(record.standing, None, "a write that failed does not show");
    assert!(bench.metrics.ledger_failures.value() > 0);
}

#[tokio::test]
async fn on_a_full_disk_what_is_known_is_answered_and_later_writes_work_again() {
    let (mut bench, secret) = with_known_things().await;
    let limit = |pages: &'static str| {
        bench.ledger.write(move |writing| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            Ok(writing.connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?)
        })
    };
    limit("1").await.unwrap();
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for number in 100..200 {
        let mut large = new(number, denied());
        large.grants = granting((0..50).map(|step| layer(number * 1000 + step)).collect());
        match bench.ledger.record_judgement(large).await {
            Ok(_) => acknowledged.push(number),
            Err(error) => {
                assert!(error.is_disk_full(), "{error:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    known_things_are_answered(&bench, &secret).await;
    assert_eq!(bench.ledger.record(&subject(199)).await.unwrap(), None, "nothing half done");
    limit("1000000").await.unwrap();
    bench.ledger.approve(decision(199, "alice")).await.unwrap();
    bench.reopen().await;
    for number in acknowledged {
        assert!(bench.ledger.record(&subject(number)).await.unwrap().is_some(), "{number}");
    }
    assert!(bench.ledger.verify_audit().await.unwrap().is_whole());
}

#[tokio::test]
async fn when_no_head_can_be_written_decisions_are_still_taken() {
    let mut bench = Bench::new().await;
    fs::remove_dir_all(bench.audit_file().parent().unwrap()).unwrap();
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    assert!(bench.metrics.ledger_failures.value() > 0);
    bench.reopen().await;
    let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
    assert_eq!(approved_by(record.standing.as_ref()), Some("alice"));
    assert!(!bench.ledger.verify_audit().await.unwrap().is_whole(), "and the loss is on record");
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_read() {
    let (bench, secret) = with_known_things().await;
    let read_only = bench.ledger.write(|writing| {
        // Takes effect when this transaction ends.
        Ok(writing.connection.pragma_update(None, "query_only", true)?)
    });
    drop(read_only.await);
    assert!(bench.ledger.approve(decision(3, "alice")).await.unwrap_err().is_failure());
    known_things_are_answered(&bench, &secret).await;
    assert_eq!(bench.ledger.record(&subject(3)).await.unwrap(), None);
    assert_eq!(bench.ledger.subjects(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_second_ledger_on_one_directory_is_refused() {
    let bench = Bench::new().await;
    assert!(matches!(bench.open().await, Err(Error::AlreadyOpen { .. })));
    bench.ledger.close().await;
    let second = bench.open().await.unwrap();
    assert!(matches!(bench.ledger.approve(decision(1, "x")).await, Err(Error::Closed)));
    second.approve(decision(1, "x")).await.unwrap();
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_as_it_is() {
    for damage in ["header", "middle", "tail"] {
        let bench = Bench::new().await;
        let all = (0..200).map(|number| bench.ledger.record_judgement(new(number, denied())));
        futures_util::future::try_join_all(all).await.unwrap();
        bench.ledger.close().await;
        let mut bytes = fs::read(bench.database()).unwrap();
        let length = bytes.len();
        match damage {
            "header" => bytes[..16].fill(b'x'),
            "middle" => bytes[length / 4..length / 4 * 3].fill(0xa5),
            _ => bytes.truncate(length / 2),
        }
        fs::write(bench.database(), &bytes).unwrap();
        let error = bench.open().await.unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{damage}: {error:?}");
        assert!(error.to_string().contains("ledger.db is damaged"), "{error}");
        assert_eq!(fs::read(bench.database()).unwrap(), bytes, "{damage}");
    }
}

#[tokio::test]
async fn a_lost_database_is_not_silently_begun_anew() {
    for lose in [|path: &Path| fs::remove_file(path), |path: &Path| fs::write(path, b"")] {
        let bench = Bench::new().await;
        bench.ledger.approve(decision(1, "alice")).await.unwrap();
        bench.ledger.close().await;
        lose(&bench.database()).unwrap();
        let error = bench.open().await.unwrap_err();
        assert!(matches!(error, Error::Missing { records: 1, .. }), "{error:?}");
        fs::remove_dir_all(bench.audit_file().parent().unwrap()).unwrap();
        bench.open().await.unwrap();
    }
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused_and_left_alone() {
    let bench = Bench::new().await;
    bench.ledger.close().await;
    bench.sql("PRAGMA user_version = 99");
    let before = fs::read(bench.database()).unwrap();
    let error = bench.open().await.unwrap_err();
    assert!(matches!(error, Error::NewerSchema { found: 99, .. }), "{error}");
    assert_eq!(fs::read(bench.database()).unwrap(), before);
}
