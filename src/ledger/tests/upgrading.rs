//! From the ledger of an earlier program to this one's, and back.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::gate::Logic;
use crate::ledger::sealer::remove_mark;
use crate::ledger::{
    AuditKind, AuditNote, Error, Loss, Trust, database, loss, restore, roll_back, schema, snapshot,
    snapshots, verify_audit,
};

/// What a program of schema version 1 wrote, and the anchored head of its chain.
const VERSION_1: &str = include_str!("version_1.sql");
const VERSION_1_HEAD: &str = concat!(
    r#"{"count":11,"hash":"#,
    r#""sha256:d4568af963fbbc7da6ac4c69a39ee96c9b5c0b0d2db7f906f2f4cba260d4fc97"}"#
);
/// The token that is in it.
pub(super) const VERSION_1_TOKEN: &str = "MVfY8LeD8SlcAdZi7M57aZ6Ur6HqE38AyeE92UN7Foc";

/// A bench whose directory holds the old ledger; its own is closed.
pub(super) async fn with_old_ledger() -> Bench {
    let bench = Bench::new().await;
    bench.ledger.close().await;
    fs::remove_file(bench.database()).unwrap();
    Connection::open(bench.database()).unwrap().execute_batch(VERSION_1).unwrap();
    fs::write(bench.audit_file(), VERSION_1_HEAD).unwrap();
    // Earlier programs know of no keyed seals.
    remove_mark(bench.dir.path()).unwrap();
    bench
}

fn schema_of(path: &Path) -> u32 {
    schema::version(&Connection::open(path).unwrap()).unwrap()
}

fn names(bench: &Bench) -> Vec<String> {
    snapshots(bench.dir.path()).unwrap().into_iter().map(|snapshot| snapshot.name).collect()
}

#[tokio::test]
async fn everything_that_an_earlier_program_knew_is_known_after_the_upgrade() {
    let mut bench = with_old_ledger().await;
    for _ in 0..2 {
        bench.ledger = bench.open().await.unwrap();
        let ledger = &bench.ledger;
        let verdict = async |number| {
            let record = ledger.record(&subject(number)).await.unwrap().unwrap();
            assert_eq!(record.logic, Logic::FIRST);
            record.judgement.as_ref().map(|judgement| judgement.verdict.clone())
        };
        assert_eq!(verdict(1).await, Some(Verdict::Admit));
        assert_eq!(verdict(2).await, Some(Verdict::Admit));
        assert_eq!(verdict(3).await, Some(denied()));
        assert_eq!(verdict(5).await, None);
        let approved = ledger.record(&subject(2)).await.unwrap().unwrap();
        assert_eq!(approved_by(approved.standing.as_ref()), Some("alice"));
        let revoked = ledger.record(&subject(5)).await.unwrap().unwrap();
        assert!(matches!(revoked.standing, Some(Standing::Revoked { .. })));
        assert_eq!(ledger.decisions(&subject(2)).await.unwrap().len(), 1);
        assert_eq!(ledger.granted(&name(), &digest(1001)).await.unwrap().len(), 1);
        assert_eq!(ledger.admitted_tag(&name(), &tag("1")).await.unwrap(), Some(digest(1)));
        assert!(ledger.authenticate(VERSION_1_TOKEN).is_some());
        assert_eq!(ledger.policy_in_force().unwrap().revision, 4);
        assert_eq!(ledger.pulls(&subject(1), 10).await.unwrap().len(), 1);
        assert_eq!(ledger.confirmed_logic().await.unwrap(), Logic::FIRST);
        let report = ledger.verify_audit().await.unwrap();
        assert_eq!((report.records, report.problem), (11, None));
        ledger.close().await;
    }
    assert_eq!(schema_of(&bench.database()), schema::latest(schema::MIGRATIONS));
    assert_eq!(names(&bench), ["ledger-1-20261120T100000Z.db"], "one, of before");
}

#[tokio::test]
async fn after_going_back_the_earlier_program_finds_what_it_left() {
    let bench = with_old_ledger().await;
    let ledger = bench.open().await.unwrap();
    bench.clock.advance(MINUTE);
    ledger.approve(decision(3, "carol")).await.unwrap();
    let all = snapshots(bench.dir.path()).unwrap();
    let back = &all[0];
    assert_eq!((back.schema, back.taken_at), (1, at("2026-11-20T10:00:00Z")));
    let running = roll_back(bench.dir.path(), back, &bench.clock).unwrap_err();
    assert!(matches!(running, Error::AlreadyOpen { .. }), "{running}");
    ledger.close().await;

    let Loss::Known(lost) = loss(bench.dir.path(), back).unwrap() else { panic!("it is readable") };
    assert_eq!((lost.records, lost.decisions), (1, 1));
    let told = &lost.told[0];
    assert_eq!((told.verb.as_str(), told.by.as_str()), ("approved", "carol"));
    assert_eq!(told.subject, subject(3).to_string());
    assert_eq!((told.sequence, told.at), (12, at("2026-11-20T10:01:00Z")));

    let restored = roll_back(bench.dir.path(), back, &bench.clock).unwrap();
    assert_eq!(restored.audit_records, 11);
    assert_eq!(schema_of(&bench.database()), 1, "as the earlier program wrote it");
    assert_eq!(
        schema_of(&restored.replaced.unwrap()),
        schema::latest(schema::MIGRATIONS),
        "and the later one is kept"
    );
    let connection = Connection::open(bench.database()).unwrap();
    let row: String = connection
        .query_row("SELECT body FROM audit WHERE sequence = 12", [], |row| row.get(0))
        .unwrap();
    for part in [r#""kind":"restored""#, r#""lost_decisions":"1""#, &back.name] {
        assert!(row.contains(part), "{row}");
    }
    drop(connection);

    // Up again: what the earlier program did meanwhile is there, and a snapshot of it.
    bench.clock.advance(MINUTE);
    let ledger = bench.open().await.unwrap();
    let record = ledger.record(&subject(3)).await.unwrap().unwrap();
    assert_eq!(record.standing, None, "carol's approval went, and it was said so");
    let report = ledger.verify_audit().await.unwrap();
    assert_eq!((report.records, report.problem), (12, None));
    assert_eq!(names(&bench).len(), 2);
}

#[tokio::test]
async fn going_back_past_a_ledger_that_cannot_be_read_says_that_the_loss_is_unknown() {
    let bench = with_old_ledger().await;
    bench.open().await.unwrap().close().await;
    let back = snapshots(bench.dir.path()).unwrap().remove(0);
    fs::write(bench.database(), b"torn").unwrap();
    assert!(matches!(loss(bench.dir.path(), &back).unwrap(), Loss::Unknown { .. }));
    let restored = roll_back(bench.dir.path(), &back, &bench.clock).unwrap();
    assert_eq!(fs::read(restored.replaced.unwrap()).unwrap(), b"torn");
    assert!(bench.open().await.unwrap().verify_audit().await.unwrap().is_whole());

    let other = with_old_ledger().await;
    other.sql("DELETE FROM audit");
    let loss = loss(other.dir.path(), &back).unwrap();
    assert!(matches!(loss, Loss::Unknown { .. }), "another history: {loss:?}");
}

#[tokio::test]
async fn a_snapshot_that_is_not_whole_changes_nothing() {
    let bench = with_old_ledger().await;
    bench.open().await.unwrap().close().await;
    let back = snapshots(bench.dir.path()).unwrap().remove(0);
    let before = fs::read(bench.database()).unwrap();
    Connection::open(&back.path)
        .unwrap()
        .execute_batch("UPDATE records SET body = replace(body, 'alice', 'mallory')")
        .unwrap();
    let error = roll_back(bench.dir.path(), &back, &bench.clock).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    fs::write(&back.path, b"torn").unwrap();
    assert!(roll_back(bench.dir.path(), &back, &bench.clock).is_err());
    assert_eq!(fs::read(bench.database()).unwrap(), before);
    let unknown = snapshot(bench.dir.path(), "../ledger.db").unwrap_err();
    assert!(matches!(unknown, Error::NoSuchSnapshot { .. }), "{unknown}");
}

#[tokio::test]
async fn without_room_for_a_snapshot_the_schema_is_left_as_it_is() {
    let bench = with_old_ledger().await;
    // Even root cannot make a directory where a file is.
    fs::write(bench.dir.path().join("snapshots"), b"").unwrap();
    let error = bench.open().await.unwrap_err();
    assert!(matches!(error, Error::Snapshot { .. }), "{error}");
    assert_eq!(schema_of(&bench.database()), 1);
    fs::remove_file(bench.dir.path().join("snapshots")).unwrap();
    bench.open().await.unwrap();
}

#[tokio::test]
async fn starts_that_fail_again_and_again_push_out_no_snapshot_of_an_earlier_schema() {
    let bench = with_old_ledger().await;
    let folder = bench.dir.path().join("snapshots");
    fs::create_dir(&folder).unwrap();
    let earlier: PathBuf = folder.join("ledger-0-20200101T000000Z.db");
    fs::write(&earlier, b"").unwrap();
    fs::write(folder.join("ledger-1-20260101T000000Z.db.partial"), b"half").unwrap();
    let path = bench.database();
    for _ in 0..5 {
        bench.clock.advance(MINUTE);
        let mut connection = database::open_writer(&path).unwrap();
        let broken = [schema::MIGRATIONS[0], "SELECT nothing FROM nowhere"];
        let now = crate::time::Clock::now(&bench.clock);
        let outcome = schema::migrate(&mut connection, &path, &broken, |connection, version| {
            let plain = crate::ledger::sealer::Sealer::plain();
            snapshots::take(connection, bench.dir.path(), (version, &plain), now)
        });
        assert!(outcome.is_err());
        assert_eq!(schema::version(&connection).unwrap(), 1, "all steps or none");
    }
    let expected = [
        "ledger-1-20261120T100500Z.db",
        "ledger-1-20261120T100400Z.db",
        "ledger-0-20200101T000000Z.db",
    ];
    assert_eq!(names(&bench), expected);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "nothing half written stays");
    assert!(bench.open().await.is_ok());
}

#[tokio::test]
async fn a_ledger_of_a_later_program_is_refused_with_the_way_back() {
    let bench = with_old_ledger().await;
    bench.open().await.unwrap().close().await;
    let later = schema::latest(schema::MIGRATIONS) + 1;
    bench.sql(&format!("PRAGMA user_version = {later}"));
    let error = bench.open().await.unwrap_err();
    assert!(error.to_string().contains("pratique rollback"), "{error}");
    let back = snapshots(bench.dir.path()).unwrap().remove(0);
    let Loss::Known(lost) = loss(bench.dir.path(), &back).unwrap() else { panic!("readable") };
    assert_eq!(lost.records, 0);
    roll_back(bench.dir.path(), &back, &bench.clock).unwrap();
    assert!(bench.open().await.is_ok());
}

#[tokio::test]
async fn a_new_ledger_begins_with_the_logic_of_its_program() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.ledger.confirmed_logic().await.unwrap(), Logic::CURRENT);
    bench.ledger.confirm_logic("alice").await.unwrap();
    bench.reopen().await;
    assert_eq!(bench.ledger.confirmed_logic().await.unwrap(), Logic::CURRENT);
    let rows = bench.ledger.audit(0, 10).await.unwrap();
    assert_eq!(rows[0].event.kind, AuditKind::LogicConfirmed);
    assert!(names(&bench).is_empty(), "nothing was migrated");
}

#[tokio::test]
async fn a_backup_of_an_earlier_program_restores_into_this_one() {
    let bench = with_old_ledger().await;
    bench.open().await.unwrap().close().await;
    let backup = snapshots(bench.dir.path()).unwrap().remove(0).path;
    let other = tempfile::tempdir().unwrap();
    restore(&backup, other.path(), false, &bench.clock).unwrap();
    assert_eq!(
        schema_of(&crate::ledger::open::database_path(other.path())),
        schema::latest(schema::MIGRATIONS)
    );
    assert!(
        snapshots(other.path()).unwrap().is_empty(),
        "the backup itself is there to go back to"
    );
}

#[tokio::test]
async fn what_was_signed_before_going_back_is_a_cut_that_is_known() {
    let mut bench = with_old_ledger().await;
    bench.ledger = bench.open().await.unwrap();
    bench.ledger.approve(decision(3, "carol")).await.unwrap();
    let signed = bench.ledger.checkpoint().await.unwrap().unwrap();
    bench.ledger.close().await;
    let snapshot = snapshots(bench.dir.path()).unwrap().remove(0);
    roll_back(bench.dir.path(), &snapshot, &bench.clock).unwrap();
    let report = verify_audit(bench.dir.path(), &Trust::default()).unwrap();
    assert_eq!(report.problem, None);
    let known = AuditNote::Restored { sequence: 12, checkpoints: 1, until: signed.size() };
    assert_eq!(report.notes, [known]);
}
