//! Archiving that does not come to its end: nothing of it, or all of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::*;
use crate::ledger::{Archiving, AuditEvent, AuditKind, AuditNote, Error, archive};

/// Where the child writes; set only by the test below.
const DIR_VARIABLE: &str = "PRATIQUE_LEDGER_ARCHIVE_DIR";
/// How often the child is killed.
const KILLS: u64 = 12;
/// Records between two archivings.
const RECORDS: u64 = 300;

fn everything() -> Archiving {
    let before = at("2999-01-01T00:00:00Z");
    Archiving { before, by: "alice".to_owned(), reason: None }
}

async fn some_records(ledger: &Ledger) {
    let work = ledger.write(|writing| {
        for number in 0..RECORDS {
            writing.audit(&AuditEvent::new(AuditKind::Started, format!("test-{number}")))?;
        }
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
#[ignore = "the child process of the test below, which runs it"]
async fn child_that_archives_until_it_is_killed() {
    let dir = std::env::var_os(DIR_VARIABLE).expect("run by its parent");
    let clock = ManualClock::at(Timestamp::from_milliseconds(0));
    let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::default()));
    let ledger =
        open(Path::new(&dir), Settings::default(), &clock, &tasks, &metrics).await.unwrap();
    loop {
        some_records(&ledger).await;
        println!("\nbegins");
        let archived = ledger.archive(everything()).await.unwrap();
        println!("\narchived {}", archived.segments[0].to);
    }
}

#[tokio::test]
async fn killed_at_any_time_every_record_is_in_the_database_or_in_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::from_milliseconds(0));
    let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::default()));
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "ledger::tests::archiving_ended::child_that_archives_until_it_is_killed",
            ])
            .args(["--ignored", "--nocapture"])
            .env(DIR_VARIABLE, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let begun = lines.by_ref().filter(|line| line == "begins").take(2).count();
        assert_eq!(begun, 2, "the child ended by itself");
        tokio::time::sleep(Duration::from_millis(kill * 7)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let told: Vec<u64> = lines
            .filter_map(|line| line.strip_prefix("archived ").and_then(|it| it.parse().ok()))
            .collect();
        let ledger = open(dir.path(), Settings::default(), &clock, &tasks, &metrics).await.unwrap();
        let report = ledger.verify_audit().await.unwrap();
        assert_eq!((report.first, report.read, report.problem), (1, report.records, None));
        let is_stray = |note: &AuditNote| matches!(note, AuditNote::Stray { .. });
        assert!(report.notes.iter().all(is_stray), "{:?}", report.notes);
        let segments = ledger.segments().await.unwrap();
        let last = segments.last().map_or(0, |(last, _)| last.to);
        assert!(told.iter().all(|to| *to <= last), "what was told is done: {told:?}, {last}");
        some_records(&ledger).await;
        ledger.archive(everything()).await.unwrap();
        let report = ledger.verify_audit().await.unwrap();
        assert_eq!((report.problem, report.notes), (None, vec![]), "what was left is cleared away");
        let files = fs::read_dir(archive::directory(dir.path())).unwrap().count();
        assert_eq!(files, ledger.segments().await.unwrap().len());
        ledger.close().await;
    }
}

#[tokio::test]
async fn where_the_file_cannot_be_written_or_the_database_fails_nothing_has_left() {
    let mut bench = Bench::new().await;
    some_records(&bench.ledger).await;
    let segments = archive::directory(bench.dir.path());
    fs::create_dir_all(segments.parent().unwrap()).unwrap();
    fs::write(&segments, "a file in its place").unwrap();
    let error = bench.ledger.archive(everything()).await.unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    fs::remove_file(&segments).unwrap();
    bench.sql("ALTER TABLE segments RENAME TO elsewhere");
    let error = bench.ledger.archive(everything()).await.unwrap_err();
    assert!(matches!(error, Error::Database(_) | Error::Commit(_)), "{error}");
    assert_eq!(fs::read_dir(&segments).unwrap().count(), 0, "nothing relies on the file");
    let report = bench.ledger.verify_audit().await.unwrap();
    assert_eq!((report.first, report.records, report.problem), (1, RECORDS, None));
    bench.tamper("ALTER TABLE elsewhere RENAME TO segments").await;
    let archived = bench.ledger.archive(everything()).await.unwrap();
    assert_eq!(archived.segments[0].to, RECORDS);
    assert_eq!(bench.ledger.verify_audit().await.unwrap().problem, None);
}

#[tokio::test]
async fn a_file_that_an_end_without_warning_left_is_taken_away_or_used_again() {
    let bench = Bench::new().await;
    some_records(&bench.ledger).await;
    let archived = bench.ledger.archive(everything()).await.unwrap();
    let file = archived.segments[0].path(bench.dir.path());
    let whole = fs::read(&file).unwrap();
    // As if it had ended before its transaction: the records are there, and so is the file.
    let fresh = Bench::new().await;
    some_records(&fresh.ledger).await;
    let segments = archive::directory(fresh.dir.path());
    fs::create_dir_all(&segments).unwrap();
    fs::write(segments.join(file.file_name().unwrap()), &whole).unwrap();
    fs::write(segments.join("000000000001-000000000077.jsonl.zst.partial"), "half").unwrap();
    fs::write(segments.join("000000000001-000000000078.jsonl.zst"), "damaged").unwrap();
    let report = fresh.ledger.verify_audit().await.unwrap();
    assert_eq!((report.problem, report.notes.len()), (None, 2), "{:?}", report.notes);
    fresh.ledger.archive(everything()).await.unwrap();
    let mut names: Vec<_> =
        fs::read_dir(&segments).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    // What is no segment may be anybody's.
    let damaged = std::ffi::OsStr::new("000000000001-000000000078.jsonl.zst");
    assert_eq!(names, [damaged, file.file_name().unwrap()]);
    assert_eq!(fresh.ledger.verify_audit().await.unwrap().problem, None);
}
