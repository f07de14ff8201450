//! Signed checkpoints: that they are made, and that nothing fails with them.

use std::fs;

use super::*;
use crate::ledger::checkpoints::journal;
use crate::ledger::{
    AuditEvent, AuditFault, AuditKind, AuditNote, Error, Trust, audit_keys, last_checkpoint,
    restore, verify_audit,
};
use crate::transparency::{Checkpoint, Signed, verify_inclusion};

async fn add(bench: &Bench, count: u64) {
    for number in 0..count {
        let event = AuditEvent::new(AuditKind::Started, format!("test-{number}"));
        bench.ledger.append_audit(event).await.unwrap();
    }
}

async fn sign(bench: &Bench) -> Checkpoint {
    bench.ledger.checkpoint().await.unwrap().unwrap()
}

fn sizes(bench: &Bench) -> Vec<u64> {
    let journal = journal::read(bench.dir.path()).unwrap();
    journal.entries.iter().flatten().map(Checkpoint::size).collect()
}

#[tokio::test]
async fn a_checkpoint_covers_every_record_and_goes_on_after_a_restart() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.ledger.checkpoint().await.unwrap(), None, "there is nothing to sign");
    add(&bench, 3).await;
    let first = sign(&bench).await;
    assert_eq!((first.size(), sign(&bench).await), (3, first.clone()), "nothing was added");
    bench.reopen().await;
    assert_eq!(sign(&bench).await, first, "nor by a restart");
    add(&bench, 2).await;
    let second = sign(&bench).await;
    assert_eq!((second.size(), second.origin()), (5, first.origin()));
    assert_eq!(sizes(&bench), [3, 5]);
    assert_eq!(last_checkpoint(bench.dir.path()).unwrap(), Some(second.clone()));
    let keys = audit_keys(bench.dir.path()).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(second.signed_by(&keys[0]), Signed::Yes);
    assert_eq!(second.origin(), keys[0].name());
    let report = bench.ledger.verify_audit().await.unwrap();
    assert_eq!((report.problem, &report.notes[..]), (None, &[][..]));
    assert_eq!((report.coverage.checkpoints, report.coverage.records), (2, 5));
    assert_eq!(report.coverage.uncovered_since, None);
    add(&bench, 1).await;
    let report = verify_audit(bench.dir.path(), &Trust::default()).unwrap();
    assert_eq!((report.records, report.coverage.records), (6, 5));
    assert_eq!(report.coverage.uncovered_since, Some(at("2026-11-20T10:00:00Z")));
}

#[tokio::test(start_paused = true)]
async fn each_record_is_signed_within_a_minute_and_the_last_ones_at_the_end() {
    let bench = Bench::new().await;
    add(&bench, 1).await;
    bench.ledger.keep_checkpoints(&bench.tasks);
    let covered = async |size: u64| {
        let begun = tokio::time::Instant::now();
        while last_checkpoint(bench.dir.path()).unwrap().is_none_or(|last| last.size() < size) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(begun.elapsed() < 10 * MINUTE, "{size} records were never signed");
        }
        begun.elapsed()
    };
    covered(1).await;
    add(&bench, 1).await;
    let waited = covered(2).await;
    assert!(waited <= Duration::from_secs(62), "{waited:?}");
    add(&bench, 1).await;
    bench.ledger.close().await;
    assert_eq!(sizes(&bench).last(), Some(&3), "closing signs what is left");
}

#[tokio::test]
async fn many_records_do_not_wait_for_the_minute() {
    let bench = Bench::new().await;
    bench.ledger.keep_checkpoints(&bench.tasks);
    let adding = (0..2_100).map(|number| {
        let event = AuditEvent::new(AuditKind::Started, format!("test-{number}"));
        bench.ledger.append_audit(event)
    });
    for added in futures_util::future::join_all(adding).await {
        added.unwrap();
    }
    let begun = std::time::Instant::now();
    while last_checkpoint(bench.dir.path()).unwrap().is_none_or(|last| last.size() < 1_000) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(begun.elapsed() < Duration::from_secs(50), "they waited");
    }
    bench.ledger.close().await;
}

#[tokio::test]
async fn a_disk_that_takes_no_checkpoint_stops_no_decision_and_none_is_lost() {
    let bench = Bench::new().await;
    add(&bench, 2).await;
    let blocked = bench.dir.path().join("audit/checkpoints");
    fs::create_dir(&blocked).unwrap();
    assert!(bench.ledger.checkpoint().await.unwrap_err().is_failure());
    bench.ledger.approve(decision(2, "alice")).await.unwrap();
    let report = bench.ledger.verify_audit().await;
    assert!(report.is_err(), "what cannot be read is not found good: {report:?}");
    fs::remove_dir(&blocked).unwrap();
    let report = bench.ledger.verify_audit().await.unwrap();
    assert_eq!((report.problem, report.coverage.records), (None, 0));
    assert_eq!(sign(&bench).await.size(), 3);
}

#[tokio::test]
async fn a_damaged_key_is_never_replaced_unasked() {
    let mut bench = Bench::new().await;
    add(&bench, 2).await;
    sign(&bench).await;
    bench.ledger.close().await;
    let path = bench.dir.path().join("audit-key");
    let good = fs::read(&path).unwrap();
    fs::write(&path, "PRIVATE+KEY+x").unwrap();
    let error = bench.open().await.unwrap_err();
    assert!(matches!(error, Error::AuditKey { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"PRIVATE+KEY+x");
    fs::write(&path, good).unwrap();
    bench.ledger = bench.open().await.unwrap();
    bench.ledger.approve(decision(2, "alice")).await.unwrap();
    assert_eq!(sign(&bench).await.size(), 3);
}

#[tokio::test]
async fn another_key_is_on_record_before_it_signs() {
    let mut bench = Bench::new().await;
    add(&bench, 2).await;
    let first = sign(&bench).await;
    bench.ledger.close().await;
    fs::remove_file(bench.dir.path().join("audit-key")).unwrap();
    bench.ledger = bench.open().await.unwrap();
    let second = sign(&bench).await;
    assert_eq!(second.size(), 3);
    assert_ne!(second.origin(), first.origin());
    let row = bench.ledger.audit(3, 1).await.unwrap().pop().unwrap();
    assert_eq!(row.event.kind, AuditKind::AuditKeyReplaced);
    let keys = audit_keys(bench.dir.path()).unwrap();
    assert_eq!(row.event.details["key"], keys[1].to_string());
    let report = bench.ledger.verify_audit().await.unwrap();
    let note = AuditNote::KeyReplaced { sequence: 3, key: keys[1].to_string() };
    assert_eq!((report.problem, report.notes), (None, vec![note]));
    let trust = Trust { keys: keys[..1].to_vec(), checkpoints: Vec::new(), segments: Vec::new() };
    let report = verify_audit(bench.dir.path(), &trust).unwrap();
    assert_eq!(report.problem.unwrap().fault, AuditFault::Untrusted, "the first key alone");
    let trust = Trust { keys, checkpoints: vec![first], segments: Vec::new() };
    assert!(verify_audit(bench.dir.path(), &trust).unwrap().is_whole());
}

#[tokio::test]
async fn a_restored_ledger_is_a_cut_that_is_known_and_not_a_false_alarm() {
    let mut bench = Bench::new().await;
    add(&bench, 3).await;
    sign(&bench).await;
    let backup = bench.dir.path().join("backup");
    bench.ledger.backup_to(&backup).await.unwrap();
    add(&bench, 4).await;
    let lost = sign(&bench).await;
    bench.ledger.close().await;
    restore(&backup, bench.dir.path(), true, &bench.clock).unwrap();
    let known = vec![AuditNote::Restored { sequence: 4, checkpoints: 1, until: 7 }];
    let report = verify_audit(bench.dir.path(), &Trust::default()).unwrap();
    assert_eq!((report.problem, &report.notes), (None, &known), "before the next start");
    bench.ledger = bench.open().await.unwrap();
    add(&bench, 6).await;
    let continued = sign(&bench).await;
    assert!(continued.origin().ends_with("/restored-4"), "{}", continued.origin());
    bench.reopen().await;
    sign(&bench).await;
    let report = bench.ledger.verify_audit().await.unwrap();
    assert_eq!((report.records, report.problem, report.notes), (10, None, known));
    // Whoever kept a checkpoint of what was lost is told that it is lost, and by what.
    let trust = Trust { keys: Vec::new(), checkpoints: vec![lost], segments: Vec::new() };
    let report = verify_audit(bench.dir.path(), &trust).unwrap();
    let problem = report.problem.unwrap();
    assert_eq!((problem.sequence, problem.fault), (1, AuditFault::NotAsSigned { until: 7 }));
    assert!(report.notes.contains(&AuditNote::TrustedBeforeRestore { size: 7, sequence: 4 }));
}

#[tokio::test]
async fn restoring_what_nothing_was_added_to_is_no_cut_at_all() {
    let mut bench = Bench::new().await;
    add(&bench, 3).await;
    let signed = sign(&bench).await;
    let backup = bench.dir.path().join("backup");
    bench.ledger.backup_to(&backup).await.unwrap();
    bench.ledger.close().await;
    restore(&backup, bench.dir.path(), true, &bench.clock).unwrap();
    bench.ledger = bench.open().await.unwrap();
    let continued = sign(&bench).await;
    assert_eq!((continued.size(), continued.origin()), (4, signed.origin()));
    let trust = Trust { keys: Vec::new(), checkpoints: vec![signed], segments: Vec::new() };
    let report = verify_audit(bench.dir.path(), &trust).unwrap();
    assert_eq!((report.problem, report.notes), (None, Vec::new()));
}

#[tokio::test]
async fn every_record_can_be_proved_from_a_checkpoint() {
    let bench = Bench::new().await;
    add(&bench, 11).await;
    for sequence in 1..=11_u64 {
        let proof = bench.ledger.audit_proof(sequence).await.unwrap().unwrap();
        let (size, root) = (proof.checkpoint.size(), *proof.checkpoint.root());
        let content = proof.record.as_bytes();
        assert!(verify_inclusion(content, sequence - 1, size, &proof.inclusion, &root));
        assert!(!verify_inclusion(b"{}", sequence - 1, size, &proof.inclusion, &root));
        assert!(proof.record.contains(&format!("\"test-{}\"", sequence - 1)), "{}", proof.record);
    }
    for none in [0, 12] {
        assert_eq!(bench.ledger.audit_proof(none).await.unwrap(), None);
    }
}

/// How long a million records take to sign, to verify and to export. On demand only.
#[tokio::test]
#[ignore = "a measurement, of half a minute and half a gigabyte"]
async fn a_million_records_are_measured() {
    const RECORDS: u32 = 1_000_000;
    let mut bench = Bench::new().await;
    bench.ledger.close().await;
    let mut connection = Connection::open(bench.database()).unwrap();
    let transaction = connection.transaction().unwrap();
    let mut chain = crate::ledger::audit::Chain::empty();
    for number in 0..RECORDS {
        let event = AuditEvent::new(AuditKind::Judged, "gate")
            .about(&subject(number.into()))
            .with("verdict", "admit")
            .with("rule", "signed")
            .with("checks", "allowlist pass: listed; signature pass: signed by team")
            .with("policy", policy());
        chain.append(&transaction, at("2026-11-20T10:00:00Z"), &event).unwrap();
    }
    transaction.commit().unwrap();
    crate::ledger::head::write(bench.dir.path(), chain).unwrap();
    let bytes = fs::metadata(bench.database()).unwrap().len();
    bench.ledger = bench.open().await.unwrap();
    let timed = |what: &str, begun: std::time::Instant| println!("{what}: {:?}", begun.elapsed());
    println!("{RECORDS} records, {bytes} bytes");
    let begun = std::time::Instant::now();
    assert_eq!(sign(&bench).await.size(), u64::from(RECORDS));
    timed("the first checkpoint after a start", begun);
    add(&bench, 1).await;
    let begun = std::time::Instant::now();
    sign(&bench).await;
    timed("the next one", begun);
    let begun = std::time::Instant::now();
    assert!(verify_audit(bench.dir.path(), &Trust::default()).unwrap().is_whole());
    timed("verify", begun);
    let begun = std::time::Instant::now();
    bench.ledger.audit_proof(500_000).await.unwrap().unwrap();
    timed("a proof", begun);
    let begun = std::time::Instant::now();
    let found = bench.ledger.trail(&digest(7).to_string(), |_| true).await.unwrap();
    assert_eq!(found.rows.len(), 1);
    timed("a search", begun);
    let path = bench.dir.path().join("export");
    let begun = std::time::Instant::now();
    let mut file = std::io::BufWriter::new(fs::File::create(&path).unwrap());
    crate::ledger::export_audit(bench.dir.path(), 1, &mut file).unwrap();
    timed("export", begun);
    drop(file);
    let begun = std::time::Instant::now();
    let file = fs::File::open(&path).unwrap();
    assert!(crate::ledger::verify_export(file, &Trust::default()).unwrap().is_whole());
    timed("verify the export", begun);
}
