//! Everything that can be done to records, head, checkpoints and key, by whether and how it shows: by the
//! ledger's own word, and with a key and a checkpoint that were kept elsewhere.

use std::fs;

use rusqlite::params;

use super::*;
use crate::ledger::audit::{Chain, link};
use crate::ledger::checkpoints::journal;
use crate::ledger::{
    AuditEvent, AuditFault, AuditKind, AuditNote, AuditProblem, AuditReport, Trust, audit_keys,
    export_audit, head, last_checkpoint, verify_audit, verify_export,
};
use crate::transparency::{Checkpoint, NoteSigner, Tree, Unsigned};

use AuditFault::{
    Changed, CheckpointForeign, CheckpointForged, CheckpointUnreadable, CheckpointsCut, Cut,
    KeyReplaced, Moved, NoCheckpoint, NotAsSigned, Removed, Unfinished, Untrusted,
};

/// A closed ledger of twelve records with checkpoints of 5, 8 and 10 of them, and what an admin kept.
struct Case {
    bench: Bench,
    kept: Trust,
}

impl Case {
    async fn new() -> Self {
        let bench = Bench::new().await;
        for number in 1..=12_u64 {
            let event = AuditEvent::new(AuditKind::Started, format!("test-{number}"));
            bench.ledger.append_audit(event).await.unwrap();
            if [5, 8, 10].contains(&number) {
                bench.ledger.checkpoint().await.unwrap();
            }
        }
        let dir = bench.dir.path();
        let checkpoints = last_checkpoint(dir).unwrap().into_iter().collect();
        let kept = Trust { keys: audit_keys(dir).unwrap(), checkpoints, segments: Vec::new() };
        bench.ledger.close().await;
        Self { bench, kept }
    }

    fn dir(&self) -> &Path {
        self.bench.dir.path()
    }

    fn audit(&self, name: &str) -> std::path::PathBuf {
        self.dir().join("audit").join(name)
    }

    fn sql(&self, sql: &str) {
        self.bench.sql(sql);
    }

    /// Has the head say what the chain says.
    fn fit_head(&self) {
        let chain = Chain::load(&Connection::open(self.bench.database()).unwrap()).unwrap();
        head::write(self.dir(), chain).unwrap();
    }

    /// Writes another text into record `from`, and fitting hashes into it, all after it and the head.
    fn rewrite(&self, from: u64) {
        let connection = Connection::open(self.bench.database()).unwrap();
        let mut previous: Option<Vec<u8>> = None;
        for sequence in from..=12 {
            let (body, before): (String, Vec<u8>) = connection
                .query_row(
                    "SELECT body, previous FROM audit WHERE sequence = ?1",
                    [i64::try_from(sequence).unwrap()],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap();
            let body = if sequence == from { body.replace("test", "fake") } else { body };
            let before = previous.unwrap_or(before);
            let hash = link(&before, &body);
            connection
                .execute(
                    "UPDATE audit SET body = ?1, previous = ?2, hash = ?3 WHERE sequence = ?4",
                    params![body, before, hash.as_bytes(), i64::try_from(sequence).unwrap()],
                )
                .unwrap();
            previous = Some(hash.as_bytes().to_vec());
        }
        self.fit_head();
    }

    fn checkpoints(&self) -> Vec<Checkpoint> {
        journal::read(self.dir()).unwrap().entries.into_iter().map(Result::unwrap).collect()
    }

    /// Puts these in the place of all checkpoints.
    fn put_checkpoints(&self, checkpoints: &[Checkpoint]) {
        for file in ["checkpoints", "checkpoint"] {
            fs::remove_file(self.audit(file)).unwrap();
        }
        let mut at = 0;
        for checkpoint in checkpoints {
            at = journal::append(self.dir(), checkpoint, at).unwrap();
        }
    }

    /// Only the first two checkpoints are left.
    fn forget_the_last(&self) {
        self.put_checkpoints(&self.checkpoints()[..2]);
    }

    /// What `signer` says of the first `size` records as they are now.
    fn signed_by(&self, signer: &NoteSigner, size: usize) -> Checkpoint {
        let connection = Connection::open(self.bench.database()).unwrap();
        let mut statement = connection.prepare("SELECT body FROM audit ORDER BY sequence").unwrap();
        let bodies = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let mut tree = Tree::default();
        bodies.take(size).for_each(|body| tree.push(body.unwrap().as_bytes()));
        Unsigned { origin: signer.public().name(), tree: &tree }.sign(signer).unwrap()
    }

    /// Another key takes the place of this ledger's and signs all that there is, as if it always had.
    fn take_over(&self) {
        let thief = NoteSigner::generate("pratique.dev/audit/thief").unwrap();
        fs::write(self.dir().join("audit-key"), thief.to_text().unwrap()).unwrap();
        fs::write(self.audit("keys"), format!("{}\n", thief.public())).unwrap();
        self.put_checkpoints(&[5, 8, 10].map(|size| self.signed_by(&thief, size)));
    }

    fn edit(&self, file: &str, edit: impl FnOnce(String) -> String) {
        let path = self.audit(file);
        fs::write(&path, edit(fs::read_to_string(&path).unwrap())).unwrap();
    }
}

/// What is found by the ledger's own word, and with what was kept.
fn found(case: &Case) -> (Option<AuditProblem>, Option<AuditProblem>) {
    let own = verify_audit(case.dir(), &Trust::default()).unwrap();
    let kept = verify_audit(case.dir(), &case.kept).unwrap();
    (own.problem, kept.problem)
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in tables beside nothing")]
fn bad(sequence: u64, fault: AuditFault) -> Option<AuditProblem> {
    Some(AuditProblem { sequence, fault })
}

type Tampering = (&'static str, fn(&Case), Option<AuditProblem>, Option<AuditProblem>);

/// What shows the same by the ledger's own word and by what was kept.
fn both(name: &'static str, tamper: fn(&Case), found: Option<AuditProblem>) -> Tampering {
    (name, tamper, found, found)
}

/// Tables of what is done, what shows by the ledger's own word, and what shows by what was kept.
fn tamperings() -> Vec<Tampering> {
    [with_records(), with_checkpoints(), with_keys()].concat()
}

fn with_records() -> Vec<Tampering> {
    vec![
        both("nothing", |_| {}, None),
        both("removed", |case| case.sql("DELETE FROM audit WHERE sequence = 4"), bad(4, Removed)),
        both(
            "changed",
            |case| case.sql("UPDATE audit SET body = replace(body, 'test-4', 'test-x')"),
            bad(4, Changed),
        ),
        both(
            "reordered",
            |case| {
                case.sql(
                    "UPDATE audit SET sequence = -4 WHERE sequence = 4;
                     UPDATE audit SET sequence = 4 WHERE sequence = 5;
                     UPDATE audit SET sequence = 5 WHERE sequence = -4",
                );
            },
            bad(4, Moved),
        ),
        both("cut", |case| case.sql("DELETE FROM audit WHERE sequence > 8"), bad(9, Cut)),
        both(
            "cut, and the head with it: a checkpoint is larger than the chain",
            |case| {
                case.sql("DELETE FROM audit WHERE sequence > 8");
                case.fit_head();
            },
            bad(9, Cut),
        ),
        both("rewritten from 4 on, hashes and head", |case| case.rewrite(4), {
            bad(1, NotAsSigned { until: 5 })
        }),
        (
            "rewritten from 7 on, hashes and head",
            |case| case.rewrite(7),
            bad(6, NotAsSigned { until: 8 }),
            bad(1, NotAsSigned { until: 10 }),
        ),
        (
            "rewritten from 9 on, hashes, head and checkpoints",
            |case| {
                case.rewrite(9);
                case.forget_the_last();
            },
            None,
            bad(1, NotAsSigned { until: 10 }),
        ),
        (
            "cut, and head and checkpoints with it",
            |case| {
                case.sql("DELETE FROM audit WHERE sequence > 8");
                case.fit_head();
                case.forget_the_last();
            },
            None,
            bad(9, Cut),
        ),
    ]
}

fn with_checkpoints() -> Vec<Tampering> {
    vec![
        both(
            "the last checkpoint is removed from the journal",
            |case| {
                let latest = fs::read(case.audit("checkpoint")).unwrap();
                case.forget_the_last();
                fs::write(case.audit("checkpoint"), latest).unwrap();
            },
            bad(10, CheckpointsCut),
        ),
        both(
            "the journal is removed",
            |case| fs::remove_file(case.audit("checkpoints")).unwrap(),
            bad(10, CheckpointsCut),
        ),
        both("the last checkpoint is removed everywhere", Case::forget_the_last, None),
        (
            "everything about checkpoints is removed",
            |case| {
                for file in ["checkpoints", "checkpoint", "keys"] {
                    fs::remove_file(case.audit(file)).unwrap();
                }
                case.rewrite(2);
            },
            None,
            bad(1, NotAsSigned { until: 10 }),
        ),
        (
            "a checkpoint of another ledger",
            |case| {
                let other = NoteSigner::generate("pratique.dev/audit/other").unwrap();
                let mut all = case.checkpoints();
                all.insert(2, case.signed_by(&other, 9));
                case.put_checkpoints(&all);
            },
            bad(9, CheckpointForeign),
            bad(9, Untrusted),
        ),
        both(
            "a checkpoint that says another size than was signed",
            |case| case.edit("checkpoints", |text| text.replace("\n8\n", "\n9\n")),
            bad(9, CheckpointForged),
        ),
        both(
            "a checkpoint that is no longer one",
            |case| case.edit("checkpoints", |text| text.replace("\n8\n", "\neight\n")),
            bad(5, CheckpointUnreadable),
        ),
    ]
}

fn with_keys() -> Vec<Tampering> {
    vec![
        (
            "another key signs, and no record says so",
            |case| {
                let thief = NoteSigner::generate("pratique.dev/audit/thief").unwrap();
                case.edit("keys", |text| format!("{text}{}\n", thief.public()));
                let mut all = case.checkpoints();
                all.push(case.signed_by(&thief, 12));
                case.put_checkpoints(&all);
            },
            bad(12, KeyReplaced),
            bad(12, Untrusted),
        ),
        ("another key signs, as if it always had", Case::take_over, None, bad(5, Untrusted)),
        (
            "everything is rewritten, key and all",
            |case| {
                case.rewrite(3);
                case.take_over();
            },
            None,
            bad(1, NotAsSigned { until: 10 }),
        ),
    ]
}

#[tokio::test]
async fn what_is_tampered_with_is_found_and_the_first_bad_record_named() {
    for (name, tamper, own, kept) in tamperings() {
        let case = Case::new().await;
        tamper(&case);
        assert_eq!(found(&case), (own, kept), "{name}");
    }
}

#[tokio::test]
async fn a_kept_key_alone_finds_another_key_and_none() {
    let without: fn(&Case) = |case| {
        for file in ["checkpoints", "checkpoint"] {
            fs::remove_file(case.audit(file)).unwrap();
        }
    };
    let by_another: fn(&Case) = Case::take_over;
    for (tamper, fault) in [(by_another, bad(5, Untrusted)), (without, bad(1, NoCheckpoint))] {
        let mut case = Case::new().await;
        case.kept.checkpoints.clear();
        assert_eq!(verify_audit(case.dir(), &case.kept).unwrap().problem, None);
        tamper(&case);
        assert_eq!(verify_audit(case.dir(), &case.kept).unwrap().problem, fault);
    }
}

#[tokio::test]
async fn a_checkpoint_that_was_not_written_to_its_end_is_no_alarm() {
    let mut case = Case::new().await;
    case.edit("checkpoints", |text| format!("{text}pratique.dev/audit/12"));
    let report = verify_audit(case.dir(), &case.kept).unwrap();
    assert_eq!((report.problem, report.notes), (None, vec![AuditNote::TornJournal]));
    case.bench.ledger = case.bench.open().await.unwrap();
    assert_eq!(case.bench.ledger.checkpoint().await.unwrap().unwrap().size(), 12);
    let report = verify_audit(case.dir(), &case.kept).unwrap();
    assert_eq!((report.problem, report.notes, report.coverage.checkpoints), (None, Vec::new(), 4));
}

#[tokio::test]
async fn a_start_signs_no_other_chain_in_silence() {
    let mut case = Case::new().await;
    case.rewrite(7);
    case.bench.ledger = case.bench.open().await.unwrap();
    let checkpoint = case.bench.ledger.checkpoint().await.unwrap().unwrap();
    assert!(checkpoint.origin().ends_with("/cut-13"), "{}", checkpoint.origin());
    let row = case.bench.ledger.audit(13, 1).await.unwrap().pop().unwrap();
    assert_eq!(row.event.kind, AuditKind::ChainCut);
    assert_eq!(row.event.details["checkpoint"], "10");
    case.bench.reopen().await;
    case.bench.ledger.checkpoint().await.unwrap();
    assert_eq!(case.bench.ledger.audit(14, 1).await.unwrap(), [], "it is told once");
    assert_eq!(found(&case).0, bad(6, NotAsSigned { until: 8 }));
    case.forget_the_last();
    assert_eq!(found(&case).0, bad(6, NotAsSigned { until: 8 }), "whatever is signed later");
}

#[tokio::test]
async fn a_record_that_claims_a_restoring_excuses_no_cut() {
    let mut case = Case::new().await;
    case.sql("DELETE FROM audit WHERE sequence > 8");
    let connection = Connection::open(case.bench.database()).unwrap();
    let mut chain = Chain::load(&connection).unwrap();
    let event = AuditEvent::new(AuditKind::Restored, "restore").with("records", 8);
    chain.append(&connection, at("2026-11-20T11:00:00Z"), &event).unwrap();
    head::write(case.dir(), chain).unwrap();
    assert_eq!(found(&case).0, bad(10, Cut));
    case.bench.ledger = case.bench.open().await.unwrap();
    case.bench.ledger.checkpoint().await.unwrap();
    let found = found(&case).0.unwrap();
    assert_eq!((found.sequence, found.fault), (9, NotAsSigned { until: 10 }), "nor after a start");
}

#[tokio::test]
async fn a_broken_chain_is_not_signed_any_further() {
    let mut case = Case::new().await;
    case.sql("UPDATE audit SET body = replace(body, 'test-12', 'test-x')");
    case.bench.ledger = case.bench.open().await.unwrap();
    let error = case.bench.ledger.checkpoint().await.unwrap_err().to_string();
    assert!(error.contains("record 12 was changed"), "{error}");
    case.bench.ledger.approve(decision(2, "alice")).await.unwrap();
    assert_eq!(last_checkpoint(case.dir()).unwrap().unwrap().size(), 10);
}

fn exported(case: &Case, from: u64) -> String {
    let mut bytes = Vec::new();
    export_audit(case.dir(), from, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn checked(export: &str, trust: &Trust) -> AuditReport {
    verify_export(export.as_bytes(), trust).unwrap()
}

#[tokio::test]
async fn an_export_from_any_record_on_is_verified_by_itself_and_by_what_was_kept() {
    let case = Case::new().await;
    for from in 1..=14 {
        let export = exported(&case, from);
        let first = from.min(13);
        for trust in [&Trust::default(), &case.kept] {
            let report = checked(&export, trust);
            // Of what is after the last checkpoint, nothing is signed, and a kept key says so.
            let problem = (first > 11 && !trust.keys.is_empty()).then_some(NoCheckpoint);
            assert_eq!(report.problem.map(|problem| problem.fault), problem, "from {from}");
            assert_eq!((report.first, report.records), (first, 12), "from {from}");
        }
        let records = export.lines().filter(|line| line.starts_with("{\"record\"")).count();
        assert_eq!(records, usize::try_from(13 - first).unwrap(), "from {from}");
    }
}

#[tokio::test]
async fn whatever_is_done_to_an_export_shows() {
    let case = Case::new().await;
    let export = exported(&case, 1);
    let lines: Vec<&str> = export.lines().collect();
    let record = |number: usize| lines[3 + number];
    let without = |line: &str| export.replace(&format!("{line}\n"), "");
    let swapped =
        export.replace(record(4), "four").replace(record(5), record(4)).replace("four", record(5));
    let cut = format!("{}\n", lines[..12].join("\n"));
    for (name, export, problem) in [
        ("removed", without(record(4)), bad(4, Removed)),
        ("changed", export.replace("test-4", "test-x"), bad(4, Changed)),
        ("reordered", swapped, bad(4, Removed)),
        ("cut", cut.clone(), bad(9, Unfinished)),
        ("cut in a line", cut[..cut.len() - 9].to_owned(), bad(8, Unfinished)),
        ("cut, with an end", format!("{cut}{{\"end\":8}}\n"), bad(9, Unfinished)),
        ("a checkpoint removed", without(lines[3]), bad(10, CheckpointsCut)),
        ("a checkpoint forged", export.replace("\\n8\\n", "\\n9\\n"), bad(9, CheckpointForged)),
    ] {
        assert_eq!(checked(&export, &Trust::default()).problem, problem, "{name}");
    }
    case.rewrite(7);
    case.take_over();
    let export = exported(&case, 1);
    assert_eq!(checked(&export, &Trust::default()).problem, None);
    assert_eq!(checked(&export, &case.kept).problem, bad(1, NotAsSigned { until: 10 }));
    let later = exported(&case, 9);
    assert_eq!(checked(&later, &case.kept).problem.map(|problem| problem.fault), Some(Untrusted));
}

#[test]
fn what_is_no_export_is_refused_with_its_line() {
    for (text, line) in [
        ("", "line 1 "),
        ("{}\n", "line 1 "),
        ("{\"format\":\"other\"}\n", "line 1 "),
        ("SQLite format 3\0\n", "line 1 "),
    ] {
        let error = verify_export(text.as_bytes(), &Trust::default()).unwrap_err().to_string();
        assert!(error.starts_with(line), "{error}");
    }
}

#[tokio::test]
async fn nothing_may_follow_the_last_line_of_an_export() {
    let export = exported(&Case::new().await, 1);
    assert!(verify_export(export.as_bytes(), &Trust::default()).unwrap().is_whole());
    let lines = export.lines().count() + 1;
    for more in ["x", "\n", "{\"end\":1}\n", &export] {
        let text = format!("{export}{more}");
        let error = verify_export(text.as_bytes(), &Trust::default()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("line {lines} ")), "{error}");
    }
}
