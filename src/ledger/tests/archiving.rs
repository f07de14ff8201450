//! Records that leave the database: the chain stays verifiable, and nothing is lost or made up on the way.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::ledger::archive::{self, Segment};
use crate::ledger::sealer::Sealer;
use crate::ledger::{
    Archived, Archiving, AuditEvent, AuditFault, AuditKind, AuditNote, AuditReport, Caller, Error,
    ExceptionEnd, ExceptionScope, ExceptionState, ExceptionWish, Held, NewToken, PersonId, Role,
    Scope, Trust, WebhookCursor, export_audit, restore, verify_audit, verify_export,
};
use crate::transparency::{Checkpoint, verify_inclusion};

const DAY: Duration = Duration::from_hours(24);

impl Bench {
    /// Puts a record of each of so many days on record, a day apart.
    async fn days(&self, count: u64) {
        for number in 0..count {
            let event = AuditEvent::new(AuditKind::Started, format!("day-{number}"));
            self.ledger.append_audit(event).await.unwrap();
            self.clock.advance(DAY);
        }
    }

    /// Archives what is older than so many days.
    async fn archive(&self, days: u32) -> Vec<Segment> {
        self.archived(days).await.segments
    }

    async fn archived(&self, days: u32) -> Archived {
        let before = self.ledger.now().before(DAY * days);
        let wish = Archiving { before, by: "alice".to_owned(), reason: Some("SEC-1".to_owned()) };
        self.ledger.archive(wish).await.unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(archive::directory(self.dir.path()))
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        files.sort();
        files
    }

    async fn found(&self) -> AuditReport {
        let report = self.ledger.verify_audit().await.unwrap();
        let offline = verify_audit(self.dir.path(), &Trust::default()).unwrap();
        assert_eq!(report, offline, "the server and the directory say the same");
        report
    }

    fn count(&self, table: &str) -> i64 {
        let connection = Connection::open(self.database()).unwrap();
        connection
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            .unwrap()
    }

    fn trust_of(&self, checkpoint: &Checkpoint, segments: &[PathBuf]) -> Trust {
        let keys = crate::ledger::audit_keys(self.dir.path()).unwrap();
        Trust { keys, checkpoints: vec![checkpoint.clone()], segments: segments.to_vec() }
    }
}

fn not_read(report: &AuditReport) -> Vec<(u64, u64, u64)> {
    let gap = |note: &AuditNote| match note {
        AuditNote::NotRead { from, to, more, .. } => Some((*from, *to, *more)),
        _ => None,
    };
    report.notes.iter().filter_map(gap).collect()
}

#[tokio::test]
async fn what_is_archived_leaves_the_database_and_the_chain_is_verified_with_and_without_it() {
    let mut bench = Bench::new().await;
    bench.days(20).await;
    let segments = bench.archive(10).await;
    assert_eq!(segments.len(), 1);
    let segment = &segments[0];
    assert_eq!((segment.from, segment.to, segment.recorded), (1, 10, 21));
    assert_eq!(bench.count("audit"), 11);
    let rows = bench.ledger.audit(21, 10).await.unwrap();
    assert_eq!(
        (rows[0].event.kind, rows[0].event.by.as_str()),
        (AuditKind::AuditArchived, "alice")
    );
    assert_eq!(rows[0].event.details["digest"], segment.digest.to_string());
    for _ in 0..2 {
        let report = bench.found().await;
        assert_eq!((report.first, report.read, report.records), (1, 21, 21));
        assert_eq!((report.problem, report.notes), (None, vec![]));
        let all = bench.ledger.audit(1, 100).await.unwrap();
        assert_eq!(
            all.iter().map(|row| row.sequence).collect::<Vec<_>>(),
            (1..=21).collect::<Vec<_>>()
        );
        bench.reopen().await;
    }
    let file = bench.files().remove(0);
    let aside = bench.dir.path().join("aside.zst");
    fs::rename(&file, &aside).unwrap();
    let report = bench.found().await;
    assert_eq!((report.first, report.read, report.records), (11, 11, 21));
    assert_eq!((report.problem, not_read(&report)), (None, vec![(1, 10, 0)]));
    assert!(
        report.notes[0].to_string().contains(&segment.digest.to_string()),
        "{}",
        report.notes[0]
    );
    let given = Trust { segments: vec![aside.clone()], ..Trust::default() };
    let report = verify_audit(bench.dir.path(), &given).unwrap();
    assert_eq!((report.first, report.read, report.problem), (1, 21, None));
    // By itself, as on another machine: up to its end, by the key of this ledger.
    let keys = crate::ledger::audit_keys(bench.dir.path()).unwrap();
    let alone = Trust { keys, ..Trust::default() };
    let report = verify_export(fs::File::open(&aside).unwrap(), &alone).unwrap();
    assert_eq!((report.read, report.coverage.records, report.problem), (10, 10, None));
}

#[tokio::test]
async fn again_and_again_each_segment_follows_the_one_before() {
    let mut bench = Bench::new().await;
    bench.days(30).await;
    assert_eq!(bench.archive(20).await[0].to, 10);
    assert_eq!(bench.archive(20).await, [], "nothing is older");
    bench.days(5).await;
    let second = bench.archive(20).await.remove(0);
    assert_eq!((second.from, second.to), (11, 15));
    bench.days(20).await;
    // Record 31 says that the first ones left; it may leave, too.
    let third = bench.archive(10).await.remove(0);
    assert_eq!(third.from, 16);
    assert!(third.to > 32);
    let report = bench.found().await;
    assert_eq!((report.first, report.read, report.problem), (1, report.records, None));
    assert_eq!(report.notes, []);
    bench.reopen().await;
    bench.days(1).await;
    assert_eq!(bench.found().await.problem, None);
    // One of the middle is not there.
    fs::remove_file(&bench.files()[1]).unwrap();
    let report = bench.found().await;
    assert_eq!((report.first, report.problem, not_read(&report)), (1, None, vec![(11, 15, 0)]));
    fs::remove_file(&bench.files()[0]).unwrap();
    let report = bench.found().await;
    assert_eq!((report.first, report.problem, not_read(&report)), (16, None, vec![(1, 15, 1)]));
}

#[tokio::test]
async fn checkpoints_go_on_over_what_left_and_old_ones_are_checked_where_the_segment_is() {
    let mut bench = Bench::new().await;
    bench.days(7).await;
    let early = bench.ledger.checkpoint().await.unwrap().unwrap();
    bench.days(13).await;
    let late = bench.ledger.checkpoint().await.unwrap().unwrap();
    bench.archive(10).await;
    bench.days(3).await;
    bench.reopen().await;
    let after = bench.ledger.checkpoint().await.unwrap().unwrap();
    assert_eq!(after.origin(), early.origin(), "it is the same log");
    assert_eq!(bench.ledger.audit(1, 100).await.unwrap().len(), 24);
    let dir = bench.dir.path();
    for checkpoint in [&early, &late, &after] {
        let report = verify_audit(dir, &bench.trust_of(checkpoint, &[])).unwrap();
        assert_eq!((report.problem, report.coverage.unchecked.as_slice()), (None, [].as_slice()));
    }
    let aside = dir.join("aside");
    fs::rename(&bench.files()[0], &aside).unwrap();
    for checkpoint in [&late, &after] {
        let report = verify_audit(dir, &bench.trust_of(checkpoint, &[])).unwrap();
        assert_eq!((report.problem, report.coverage.unchecked.as_slice()), (None, [].as_slice()));
    }
    let report = verify_audit(dir, &bench.trust_of(&early, &[])).unwrap();
    assert_eq!((report.problem, report.coverage.unchecked), (None, vec![7]));
    assert!(report.notes.contains(&AuditNote::NotCheckable { size: 7 }), "{:?}", report.notes);
    let report = verify_audit(dir, &bench.trust_of(&early, &[aside])).unwrap();
    assert_eq!((report.problem, report.coverage.unchecked), (None, vec![]));
}

#[tokio::test]
async fn what_no_checkpoint_covers_or_a_webhook_has_not_dealt_with_stays() {
    let bench = Bench::new().await;
    bench.days(10).await;
    let cursor = WebhookCursor { sequence: 4, ..WebhookCursor::default() };
    bench.ledger.save_webhook_cursor("chat", cursor).await.unwrap();
    let before = bench.ledger.now();
    let plan = bench.ledger.plan_archive(before).await.unwrap();
    let held = Held { by: "webhook chat".to_owned(), sequence: 4 };
    assert_eq!((plan.from, plan.to, plan.held), (1, 4, Some(held.clone())));
    assert_eq!((bench.count("audit"), bench.files().len()), (10, 0), "a plan changes nothing");
    let wish = Archiving { before, by: "alice".to_owned(), reason: None };
    let archived = bench.ledger.archive(wish.clone()).await.unwrap();
    assert_eq!((archived.segments[0].to, archived.held), (4, Some(held)));
    let again = bench.ledger.archive(wish.clone()).await.unwrap();
    assert_eq!(again.segments, []);
    // Nothing that is signed wrong is archived: no checkpoint can be had.
    let cursor = WebhookCursor { sequence: 99, ..WebhookCursor::default() };
    bench.ledger.save_webhook_cursor("chat", cursor).await.unwrap();
    bench.sql("UPDATE audit SET body = replace(body, 'day-6', 'day-x')");
    let error = bench.ledger.archive(wish).await.unwrap_err();
    assert!(matches!(error, Error::ChainBroken(_)), "{error}");
    assert_eq!(bench.count("segments"), 1);
}

#[tokio::test]
async fn a_setting_archives_at_most_once_a_day() {
    let bench = Bench::new().await;
    bench.days(20).await;
    let keep = DAY * 10;
    let archived = bench.ledger.archive_when_due(keep).await.unwrap().unwrap();
    assert_eq!(archived.segments[0].to, 10);
    bench.clock.advance(Duration::from_mins(24 * 60 - 1));
    assert_eq!(bench.ledger.archive_when_due(keep).await.unwrap(), None);
    bench.clock.advance(MINUTE);
    let archived = bench.ledger.archive_when_due(keep).await.unwrap().unwrap();
    assert_eq!((archived.segments[0].from, archived.segments[0].to), (11, 11));
    let rows = bench.ledger.audit(22, 1).await.unwrap();
    assert_eq!(
        (rows[0].event.kind, rows[0].event.by.as_str()),
        (AuditKind::AuditArchived, "server")
    );
}

#[tokio::test]
async fn records_in_segments_are_listed_searched_exported_and_proved() {
    let bench = Bench::new().await;
    bench.days(12).await;
    bench.archive(8).await;
    bench.days(4).await;
    bench.archive(6).await;
    let ledger = &bench.ledger;
    let trail = ledger.trail("day-", |_| true).await.unwrap();
    assert_eq!((trail.rows.len(), trail.unread.len()), (16, 0));
    let mut whole = Vec::new();
    export_audit(bench.dir.path(), 1, &mut whole).unwrap();
    let report = verify_export(whole.as_slice(), &Trust::default()).unwrap();
    assert_eq!((report.read, report.problem), (18, None));
    let mut part = Vec::new();
    export_audit(bench.dir.path(), 7, &mut part).unwrap();
    let report = verify_export(part.as_slice(), &Trust::default()).unwrap();
    assert_eq!((report.first, report.read, report.problem), (7, 12, None));
    let proves = async |sequence: u64| {
        let proof = ledger.audit_proof(sequence).await?.unwrap();
        let (size, root) = (proof.checkpoint.size(), *proof.checkpoint.root());
        let record = proof.record.as_bytes();
        assert!(
            verify_inclusion(record, sequence - 1, size, &proof.inclusion, &root),
            "{sequence}"
        );
        Ok::<(), Error>(())
    };
    for sequence in 1..=18 {
        proves(sequence).await.unwrap();
    }
    let files = bench.files();
    fs::rename(&files[0], files[0].with_extension("away")).unwrap();
    for sequence in 5..=18 {
        proves(sequence).await.unwrap();
    }
    assert!(matches!(proves(4).await, Err(Error::Archived(_))));
    assert!(matches!(ledger.audit(3, 10).await, Err(Error::Archived(_))));
    assert_eq!(ledger.audit(5, 100).await.unwrap().len(), 14);
    let trail = ledger.trail("day-", |_| true).await.unwrap();
    assert_eq!((trail.rows.len(), trail.unread.len(), trail.unread[0].to), (12, 1, 4));
    let error = export_audit(bench.dir.path(), 1, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains(&trail.unread[0].file), "{error}");
    // With the segment given, the rest of it is the whole again.
    let mut part = Vec::new();
    export_audit(bench.dir.path(), 5, &mut part).unwrap();
    let given = Trust { segments: vec![files[0].with_extension("away")], ..Trust::default() };
    let report = verify_export(part.as_slice(), &given).unwrap();
    assert_eq!((report.first, report.read, report.problem), (1, 18, None));
}

/// What somebody makes of what is kept.
type Edit = fn(&mut serde_json::Value);
type Tampering = (&'static str, fn(&Bench), u64, AuditFault);

/// Reads the one segment, has `edit` done to what is kept of it, and puts it back with the seal of `sealer`.
fn edit_base(bench: &Bench, sealer: Option<&Sealer>, edit: impl FnOnce(&mut serde_json::Value)) {
    let connection = Connection::open(bench.database()).unwrap();
    let body: String =
        connection.query_row("SELECT body FROM segments", [], |row| row.get(0)).unwrap();
    let mut value = serde_json::from_str(&body).unwrap();
    edit(&mut value);
    let body = crate::ledger::canonical::to_canonical(&value).unwrap();
    let last = value["to"].to_string();
    connection.execute("UPDATE segments SET body = ?1, last = ?2", [&body, &last]).unwrap();
    if let Some(sealer) = sealer {
        let seal = sealer.seal("segments", &[&last], &body);
        connection.execute("UPDATE segments SET seal = ?1", [seal]).unwrap();
    }
}

/// As somebody who has the key, too.
fn edit_with_key(bench: &Bench, edit: impl FnOnce(&mut serde_json::Value)) {
    let sealer = crate::ledger::sealer::known(bench.dir.path()).unwrap();
    edit_base(bench, Some(&sealer), edit);
}

fn repack(bench: &Bench, edit: impl FnOnce(String) -> String) {
    let file = bench.files().remove(0);
    let text = zstd::decode_all(fs::File::open(&file).unwrap()).unwrap();
    let text = edit(String::from_utf8(text).unwrap());
    fs::write(&file, zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn tamperings() -> Vec<Tampering> {
    use AuditFault::{
        ArchiveChanged, ArchiveUnknown, Changed, NotArchived, Removed, SegmentChanged,
        SegmentUnreadable,
    };
    vec![
        ("count", |it| edit_base(it, None, |base| base["to"] = 9.into()), 9, ArchiveChanged),
        (
            "hash",
            |it| edit_base(it, None, |base| base["hash"] = base["digest"].clone()),
            10,
            ArchiveChanged,
        ),
        (
            "subtrees",
            |it| edit_base(it, None, |base| base["subtrees"][0] = base["subtrees"][1].clone()),
            10,
            ArchiveChanged,
        ),
        ("no JSON", |it| it.sql("UPDATE segments SET body = 'x'"), 10, ArchiveChanged),
        ("no base", |it| it.sql("DELETE FROM segments"), 1, Removed),
        ("rows after the base", |it| it.sql("DELETE FROM audit WHERE sequence <= 12"), 11, Removed),
        (
            "digest, with the key",
            |it| edit_with_key(it, |base| base["digest"] = base["hash"].clone()),
            1,
            SegmentChanged,
        ),
        (
            "hash, with the key",
            |it| edit_with_key(it, |base| base["hash"] = base["digest"].clone()),
            10,
            ArchiveChanged,
        ),
        (
            "subtrees, with the key",
            |it| edit_with_key(it, |base| base["subtrees"][0] = base["subtrees"][1].clone()),
            10,
            ArchiveChanged,
        ),
        (
            "record, with the key",
            |it| edit_with_key(it, |base| base["recorded"] = 20.into()),
            1,
            NotArchived,
        ),
        (
            "a record of the segment",
            |it| repack(it, |text| text.replace("day-3", "day-x")),
            4,
            Changed,
        ),
        ("packed anew", |it| repack(it, |text| text), 1, SegmentChanged),
        (
            "cut",
            |it| {
                let file = it.files().remove(0);
                let bytes = fs::read(&file).unwrap();
                fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
            },
            1,
            SegmentUnreadable,
        ),
        ("empty", |it| fs::write(it.files().remove(0), "").unwrap(), 1, SegmentUnreadable),
        (
            "cut between lines",
            |it| {
                repack(it, |text| {
                    let lines: Vec<&str> = text.lines().collect();
                    lines[..lines.len() - 3].join("\n") + "\n"
                });
            },
            9,
            SegmentUnreadable,
        ),
        (
            "unknown to the ledger",
            |it| {
                // Another one that was never archived is claimed in a chain whose hashes fit.
                forge_archival(it);
            },
            22,
            ArchiveUnknown,
        ),
    ]
}

/// Puts a record on the end of the chain, and fits the head, that says that others left.
fn forge_archival(bench: &Bench) {
    let connection = Connection::open(bench.database()).unwrap();
    let mut chain = crate::ledger::audit::Chain::load(&connection).unwrap();
    let event =
        AuditEvent::new(AuditKind::AuditArchived, "mallory").with("from", 11).with("to", 12);
    chain.append(&connection, bench.ledger.now(), &event).unwrap();
    crate::ledger::head::write(bench.dir.path(), chain).unwrap();
}

#[tokio::test]
async fn whatever_is_done_to_what_is_kept_or_to_the_files_shows() {
    for (name, tamper, sequence, fault) in tamperings() {
        let bench = Bench::new().await;
        bench.days(20).await;
        bench.archive(10).await;
        bench.ledger.close().await;
        tamper(&bench);
        let report = verify_audit(bench.dir.path(), &Trust::default()).unwrap();
        let problem = report.problem.unwrap_or_else(|| panic!("{name}: not found"));
        assert_eq!((problem.sequence, problem.fault), (sequence, fault), "{name}: {problem}");
    }
}

#[tokio::test]
async fn without_the_file_what_is_kept_is_held_against_record_and_checkpoints() {
    let edits: [(&str, Edit); 4] = [
        ("hash", |base| base["hash"] = base["digest"].clone()),
        ("digest", |base| base["digest"] = base["hash"].clone()),
        ("subtrees", |base| base["subtrees"][0] = base["subtrees"][1].clone()),
        ("from", |base| base["from"] = 2.into()),
    ];
    for (name, edit) in edits {
        let bench = Bench::new().await;
        bench.days(20).await;
        bench.archive(10).await;
        bench.ledger.checkpoint().await.unwrap();
        bench.ledger.close().await;
        fs::remove_file(&bench.files()[0]).unwrap();
        assert_eq!(verify_audit(bench.dir.path(), &Trust::default()).unwrap().problem, None);
        edit_with_key(&bench, edit);
        let report = verify_audit(bench.dir.path(), &Trust::default()).unwrap();
        assert!(report.problem.is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_segment_of_another_ledger_is_not_taken_for_ones_own() {
    let (one, other) = (Bench::new().await, Bench::new().await);
    for bench in [&one, &other] {
        bench.days(20).await;
        bench.archive(10).await;
    }
    fs::copy(&other.files()[0], &one.files()[0]).unwrap();
    let problem = one.found().await.problem.unwrap();
    assert_eq!(problem.fault, AuditFault::SegmentChanged, "the records are alike, the file is not");
    assert!(matches!(one.ledger.audit(1, 1).await, Err(Error::Damaged { .. })));
    // Given as a file, it has to be one of this ledger.
    fs::remove_file(&one.files()[0]).unwrap();
    let given = Trust { segments: vec![other.database()], ..Trust::default() };
    let error = verify_audit(one.dir.path(), &given).unwrap_err();
    assert!(matches!(error, Error::NotASegment { .. }), "{error}");
}

#[tokio::test]
async fn rows_deleted_without_archiving_are_a_cut_with_and_without_segments() {
    let bench = Bench::new().await;
    bench.days(20).await;
    bench.archive(15).await;
    bench.ledger.close().await;
    bench.sql("DELETE FROM audit WHERE sequence <= 8");
    let problem = verify_audit(bench.dir.path(), &Trust::default()).unwrap().problem.unwrap();
    assert_eq!((problem.sequence, problem.fault), (6, AuditFault::Removed));
    let ledger = bench.open().await.unwrap();
    let error = ledger.checkpoint().await.unwrap_err();
    assert!(matches!(error, Error::ChainBroken(_)), "it is not signed any further: {error}");
}

#[tokio::test]
async fn a_base_that_is_damaged_keeps_nothing_from_being_served_and_nothing_is_signed() {
    let mut bench = Bench::new().await;
    bench.days(20).await;
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    bench.archive(10).await;
    bench.tamper("UPDATE segments SET body = 'x'").await;
    let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
    assert_eq!(approved_by(record.standing.as_ref()), Some("alice"));
    bench.ledger.approve(decision(2, "alice")).await.unwrap();
    assert!(matches!(bench.ledger.checkpoint().await, Err(Error::CorruptRow { .. })));
    let report = bench.found().await;
    assert_eq!(report.problem.unwrap().fault, AuditFault::ArchiveChanged);
}

#[tokio::test]
async fn rows_that_go_back_to_what_was_not_read_are_counted_and_neither_good_nor_bad() {
    let bench = Bench::new().await;
    let role = Role::Viewer;
    bench.ledger.create_token(NewToken::new("early", role), "test").await.unwrap();
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    bench.ledger.reject(decision(2, "alice")).await.unwrap();
    bench.days(20).await;
    bench.ledger.approve(decision(3, "alice")).await.unwrap();
    bench.archive(10).await;
    let report = bench.found().await;
    assert_eq!((report.problem, report.notes), (None, vec![]));
    let aside = bench.dir.path().join("aside");
    fs::rename(&bench.files()[0], &aside).unwrap();
    let report = bench.found().await;
    assert_eq!(report.problem, None);
    assert!(report.notes.contains(&AuditNote::NotCompared { rows: 3 }), "{:?}", report.notes);
    // A row that was put back is found where the segment is, and one that was not archived in any case.
    bench.ledger.close().await;
    let whole = Trust { segments: vec![aside], ..Trust::default() };
    bench.sql("DELETE FROM tokens WHERE name = 'early'");
    let found = |trust: &Trust| verify_audit(bench.dir.path(), trust).unwrap();
    assert_eq!(found(&whole).problem.unwrap().fault, AuditFault::Contradicted);
    let report = found(&Trust::default());
    assert!(report.notes.contains(&AuditNote::NotCompared { rows: 2 }), "{:?}", report.notes);
    bench.sql("UPDATE records SET body = replace(body, 'approved', 'rejected') WHERE id = 3");
    assert_eq!(found(&Trust::default()).problem.unwrap().fault, AuditFault::Contradicted);
}

#[tokio::test]
async fn a_backup_has_what_is_kept_and_an_older_one_brings_the_records_back() {
    let mut bench = Bench::new().await;
    bench.days(20).await;
    let (before, after) = (bench.dir.path().join("before"), bench.dir.path().join("after"));
    bench.ledger.backup_to(&before).await.unwrap();
    bench.archive(10).await;
    bench.ledger.backup_to(&after).await.unwrap();
    bench.ledger.close().await;
    // On another machine, without the files.
    let elsewhere = tempfile::tempdir().unwrap();
    restore(&after, elsewhere.path(), false, &bench.clock).unwrap();
    let tasks = Tasks::new();
    let ledger = open(elsewhere.path(), Settings::default(), &bench.clock, &tasks, &bench.metrics)
        .await
        .unwrap();
    assert_eq!(ledger.checkpoint().await.unwrap().unwrap().size(), 22, "the last says restored");
    let report = ledger.verify_audit().await.unwrap();
    assert_eq!((report.problem, not_read(&report)), (None, vec![(1, 10, 0)]));
    ledger.close().await;
    // Here, with them.
    restore(&after, bench.dir.path(), true, &bench.clock).unwrap();
    bench.ledger = bench.open().await.unwrap();
    let report = bench.found().await;
    assert_eq!((report.first, report.problem), (1, None));
    bench.ledger.close().await;
    // The older one has all records; the file that is left is none of it, and is not overwritten.
    restore(&before, bench.dir.path(), true, &bench.clock).unwrap();
    bench.ledger = bench.open().await.unwrap();
    let report = bench.found().await;
    assert_eq!((report.first, report.read, report.problem), (1, 21, None));
    assert!(report.notes.iter().any(|note| matches!(note, AuditNote::Stray { .. })));
    let kept = fs::read(&bench.files()[0]).unwrap();
    assert_eq!(bench.archive(10).await[0].to, 10);
    let report = bench.found().await;
    assert_eq!((report.first, report.problem), (1, None));
    assert_eq!(bench.files().len(), 1, "the same records once");
    assert_ne!(kept, Vec::<u8>::new());
}

#[tokio::test]
async fn a_file_of_a_ledger_that_was_replaced_is_moved_aside_and_not_lost() {
    let mut bench = Bench::new().await;
    bench.days(5).await;
    let before = bench.dir.path().join("before");
    bench.ledger.backup_to(&before).await.unwrap();
    bench.days(10).await;
    bench.archive(5).await;
    let lost = fs::read(&bench.files()[0]).unwrap();
    bench.ledger.close().await;
    restore(&before, bench.dir.path(), true, &bench.clock).unwrap();
    bench.ledger = bench.open().await.unwrap();
    bench.days(9).await;
    let segment = bench.archive(5).await.remove(0);
    assert_eq!((segment.from, segment.to), (1, 10), "of the same name");
    let files = bench.files();
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(fs::read(&files[1]).unwrap(), lost);
    assert_eq!(bench.found().await.problem, None);
}

#[tokio::test]
async fn all_of_it_can_be_archived_and_what_says_so_stays() {
    let mut bench = Bench::new().await;
    bench.days(5).await;
    let everything =
        || Archiving { before: at("2999-01-01T00:00:00Z"), by: "alice".to_owned(), reason: None };
    let archived = bench.ledger.archive(everything()).await.unwrap();
    assert_eq!((archived.segments.len(), archived.segments[0].to), (1, 5));
    assert_eq!(bench.count("audit"), 1);
    bench.reopen().await;
    assert_eq!(bench.found().await.problem, None);
    let archived = bench.ledger.archive(everything()).await.unwrap();
    assert_eq!((archived.segments.len(), archived.segments[0].to), (1, 6));
    let report = bench.found().await;
    assert_eq!((report.first, report.records, report.problem), (1, 7, None));
}

#[tokio::test]
async fn after_another_key_signs_records_of_before_can_be_archived() {
    let mut bench = Bench::new().await;
    bench.days(10).await;
    bench.ledger.checkpoint().await.unwrap();
    bench.ledger.close().await;
    fs::remove_file(bench.dir.path().join("audit-key")).unwrap();
    bench.ledger = bench.open().await.unwrap();
    bench.days(2).await;
    assert_eq!(bench.archive(5).await[0].to, 7);
    let report = bench.found().await;
    assert_eq!(report.problem, None, "{:?}", report.notes);
    let file = bench.files().remove(0);
    let alone = verify_export(fs::File::open(&file).unwrap(), &Trust::default()).unwrap();
    assert_eq!((alone.problem, alone.coverage.records), (None, 7));
    fs::remove_file(file).unwrap();
    assert_eq!(bench.found().await.problem, None);
}

#[tokio::test]
async fn what_an_exception_that_is_open_needs_stays_and_one_that_is_over_needs_nothing() {
    let mut bench = Bench::new().await;
    bench.days(3).await;
    let by = Caller {
        id: PersonId::Local { name: "dev".to_owned() },
        display: "dev".to_owned(),
        role: Role::Requester,
        groups: std::collections::BTreeSet::new(),
        since: bench.ledger.now(),
        scope: Scope::default(),
    };
    let scope = ExceptionScope {
        name: name(),
        digest: None,
        vulnerability: "CVE-2026-1".to_owned(),
        package: None,
    };
    let (expires, reason) = (bench.ledger.now().after(DAY * 90), "not reachable".to_owned());
    let wish = ExceptionWish { scope, expires, justification: None, by, reason, ticket: None };
    let (id, _) = bench.ledger.ask_exception(wish).await.unwrap();
    bench.days(20).await;
    let archived = bench.archived(5).await;
    let held = archived.held.expect("something keeps records back");
    assert_eq!((held.by.as_str(), held.sequence), ("exception X-1", 3));
    assert_eq!(archived.segments.last().map(|segment| segment.to), Some(3));
    bench.reopen().await;
    let open = bench.ledger.exception(id).await.unwrap().expect("an exception");
    assert_eq!(open.state, ExceptionState::Asked);
    let end = ExceptionEnd { id, by: "dev".to_owned(), reason: "over".to_owned(), refuses: false };
    bench.ledger.end_exception(end).await.unwrap();
    bench.days(20).await;
    assert_eq!(bench.archived(5).await.held, None);
    bench.reopen().await;
    let over = bench.ledger.exception(id).await.unwrap().expect("an exception");
    assert_eq!(over.state, ExceptionState::Ended);
    assert!(bench.ledger.verify_audit().await.unwrap().is_whole());
}
