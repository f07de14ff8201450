//! The audit chain, and everything that can be done to it.

use super::*;
use crate::ledger::{AuditEvent, AuditFault, AuditKind, AuditProblem, Error};

async fn with_ten_records() -> Bench {
    let bench = Bench::new().await;
    for number in 0..10 {
        let event = AuditEvent::new(AuditKind::Started, format!("test-{number}"));
        bench.ledger.append_audit(event).await.unwrap();
    }
    assert_eq!(bench.ledger.verify_audit().await.unwrap().problem, None);
    bench
}

/// What `verify_audit` finds after `sql`, without a restart in between.
async fn found_after(sql: &str) -> Option<AuditProblem> {
    let bench = with_ten_records().await;
    bench.sql(sql);
    bench.ledger.verify_audit().await.unwrap().problem
}

#[tokio::test]
async fn whatever_is_done_to_the_chain_the_first_bad_record_is_named() {
    let swap = "UPDATE audit SET sequence = -4 WHERE sequence = 4;
                UPDATE audit SET sequence = 4 WHERE sequence = 5;
                UPDATE audit SET sequence = 5 WHERE sequence = -4";
    let close_gap = "DELETE FROM audit WHERE sequence = 4;
                     UPDATE audit SET sequence = -sequence WHERE sequence > 4;
                     UPDATE audit SET sequence = -sequence - 1 WHERE sequence < 0";
    for (sql, sequence, fault) in [
        ("UPDATE audit SET body = replace(body, 'test-3', 'test-x')", 4, AuditFault::Changed),
        ("UPDATE audit SET hash = x'00' WHERE sequence = 7", 7, AuditFault::Changed),
        ("UPDATE audit SET previous = hash WHERE sequence = 7", 7, AuditFault::Changed),
        ("DELETE FROM audit WHERE sequence = 4", 4, AuditFault::Removed),
        ("DELETE FROM audit WHERE sequence = 1", 1, AuditFault::Removed),
        (close_gap, 4, AuditFault::Moved),
        (swap, 4, AuditFault::Moved),
        ("DELETE FROM audit WHERE sequence > 8", 9, AuditFault::Cut),
        ("DELETE FROM audit", 1, AuditFault::Cut),
    ] {
        let found = found_after(sql).await;
        assert_eq!(found, Some(AuditProblem { sequence, fault }), "{sql}");
    }
}

#[tokio::test]
async fn a_record_rewritten_with_a_fitting_hash_is_named() {
    for sequence in [4_u32, 10] {
        let bench = with_ten_records().await;
        let connection = Connection::open(bench.database()).unwrap();
        let (body, previous): (String, Vec<u8>) = connection
            .query_row("SELECT body, previous FROM audit WHERE sequence = ?1", [sequence], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        let body = body.replace("test", "fake");
        let hash = super::super::audit::link(&previous, &body);
        connection
            .execute(
                "UPDATE audit SET body = ?1, hash = ?2 WHERE sequence = ?3",
                rusqlite::params![body, hash.as_bytes(), sequence],
            )
            .unwrap();
        let problem = bench.ledger.verify_audit().await.unwrap().problem.unwrap();
        assert_eq!((problem.sequence, problem.fault), (sequence.into(), AuditFault::Changed));
        assert_eq!(problem.to_string(), format!("record {sequence} was changed"));
    }
}

#[tokio::test]
async fn a_cut_stays_on_record_after_the_chain_has_grown_again() {
    let mut bench = with_ten_records().await;
    bench.tamper("DELETE FROM audit WHERE sequence > 8").await;
    for _ in 0..5 {
        let event = AuditEvent::new(AuditKind::Started, "test");
        bench.ledger.append_audit(event).await.unwrap();
    }
    bench.reopen().await;
    let report = bench.ledger.verify_audit().await.unwrap();
    let problem = Some(AuditProblem { sequence: 9, fault: AuditFault::Cut });
    assert_eq!((report.records, report.problem), (14, problem));
    let row = bench.ledger.audit(9, 1).await.unwrap().pop().unwrap();
    assert_eq!(row.event.kind, AuditKind::ChainCut);
    assert_eq!((&*row.event.details["head"], &*row.event.details["found"]), ("10", "8"));
}

#[tokio::test]
async fn a_head_one_behind_is_no_cut_and_none_at_all_is_reported() {
    let mut bench = with_ten_records().await;
    let behind = std::fs::read(bench.audit_file()).unwrap();
    let event = AuditEvent::new(AuditKind::Started, "test");
    bench.ledger.append_audit(event).await.unwrap();
    bench.ledger.close().await;
    std::fs::write(bench.audit_file(), behind).unwrap();
    bench.ledger = bench.open().await.unwrap();
    let report = bench.ledger.verify_audit().await.unwrap();
    assert_eq!((report.records, report.problem), (11, None));
    std::fs::remove_file(bench.audit_file()).unwrap();
    let problem = bench.ledger.verify_audit().await.unwrap().problem.unwrap();
    assert_eq!(problem.fault, AuditFault::HeadMissing);
    bench.reopen().await;
    assert!(!bench.ledger.verify_audit().await.unwrap().is_whole(), "nor after a restart");
}

#[tokio::test]
async fn an_edited_record_is_not_shown_as_if_it_were_true() {
    let bench = with_ten_records().await;
    bench.sql("UPDATE audit SET body = replace(body, 'test-3', 'test-x')");
    let error = bench.ledger.audit(1, 100).await.unwrap_err();
    assert!(matches!(&error, Error::CorruptRow { table: "audit", key } if key == "4"), "{error}");
    assert_eq!(bench.ledger.audit(5, 3).await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_chain_can_be_checked_while_it_grows() {
    let bench = Bench::new().await;
    let ledger = bench.ledger.clone();
    let writer = bench.tasks.spawn(async move {
        for number in 0..200 {
            let event = AuditEvent::new(AuditKind::Started, format!("test-{number}"));
            ledger.append_audit(event).await.unwrap();
        }
    });
    while !writer.is_finished() {
        let report = bench.ledger.verify_audit().await.unwrap();
        assert_eq!(report.problem, None, "at {}", report.records);
    }
    writer.await.unwrap();
    assert_eq!(bench.ledger.verify_audit().await.unwrap().records, 200);
}
