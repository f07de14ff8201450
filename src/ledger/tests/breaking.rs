//! Broken glass: what is on record, what survives, and that no row that was put there opens anything.

use super::*;
use crate::gate::EmergencyId;
use crate::ledger::{
    AuditEvent, AuditKind, Caller, EmergencyChange, EmergencyReview, EmergencyRow, EmergencyScope,
    EmergencyState, EmergencyVote, Error, Loss, NewEmergency, PersonId, Role, Scope, loss, restore,
    snapshots,
};

const TTL: Duration = Duration::from_hours(1);
const WITHIN: Duration = Duration::from_hours(72);

fn person(name: &str) -> Caller {
    Caller {
        id: PersonId::Local { name: name.to_owned() },
        display: name.to_owned(),
        role: Role::Approver,
        groups: std::collections::BTreeSet::new(),
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        scope: Scope::default(),
    }
}

fn id(number: u64) -> EmergencyId {
    EmergencyId::new(number).unwrap()
}

impl Bench {
    fn new_emergency(&self, quorum: u64) -> NewEmergency {
        NewEmergency {
            scope: EmergencyScope::Image { subject: subject(1) },
            by: person("alice"),
            reason: "prod is down \"break_glass\":\"B-9\"".to_owned(),
            ticket: Some("INC-7".to_owned()),
            ttl: TTL,
            quorum,
            review_within: WITHIN,
            policy: policy(),
            now: self.ledger.now(),
            proof: None,
        }
    }

    async fn open_one(&self) -> Arc<EmergencyRow> {
        self.ledger.begin_emergency(self.new_emergency(1)).await.unwrap()
    }

    fn is_open(&self) -> bool {
        let covers = |row: &EmergencyRow| row.scope.covers(&subject(1));
        !self.ledger.emergencies_in_force(self.ledger.now(), covers).is_empty()
    }

    async fn end(&self, number: u64) -> Result<(), Error> {
        let (by, why, now) = ("user:bob".to_owned(), "mended".to_owned(), self.ledger.now());
        let change = EmergencyChange::End { by, why, now };
        self.ledger.change_emergency(id(number), change).await.map(drop)
    }

    async fn vote(&self, name: &str, opens: bool) -> Result<(), Error> {
        let by = person(name);
        let vote = EmergencyVote {
            by: by.id,
            since: by.since,
            display: by.display,
            at: self.ledger.now(),
            comment: "yes".to_owned(),
        };
        let opens = opens.then_some(WITHIN);
        let change = EmergencyChange::Vote { vote, opens, have: 2, proof: None };
        self.ledger.change_emergency(id(1), change).await.map(drop)
    }

    fn review(&self) -> EmergencyChange {
        EmergencyChange::Review(EmergencyReview {
            by: person("carol").id,
            display: "carol".to_owned(),
            at: self.ledger.now(),
            is_justified: true,
            comment: "it was".to_owned(),
        })
    }

    /// The row of the first one, as it lies in the database.
    fn row(&self) -> (String, Vec<u8>) {
        let connection = Connection::open(self.database()).unwrap();
        let sql = "SELECT body, seal FROM emergencies WHERE id = 1";
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    /// Puts that row back behind the ledger's back.
    fn put_back(&self, (body, seal): &(String, Vec<u8>)) {
        let connection = Connection::open(self.database()).unwrap();
        let sql = "INSERT OR REPLACE INTO emergencies (id, body, seal) VALUES (1, ?1, ?2)";
        connection.execute(sql, rusqlite::params![body, seal]).unwrap();
    }

    async fn is_intact(&self) -> bool {
        self.ledger.verify_audit().await.unwrap().is_whole()
    }
}

#[tokio::test]
async fn every_step_is_on_record_and_the_chain_agrees() {
    let mut bench = Bench::new().await;
    let row = bench.ledger.begin_emergency(bench.new_emergency(2)).await.unwrap();
    assert_eq!((row.id, row.state), (id(1), EmergencyState::Waiting));
    assert!(!bench.is_open());
    assert!(matches!(bench.vote("alice", true).await, Err(Error::EmergencyState { .. })));
    bench.vote("bob", true).await.unwrap();
    assert!(bench.is_open());
    assert!(matches!(bench.vote("bob", true).await, Err(Error::EmergencyState { .. })));
    let early = bench.ledger.change_emergency(id(1), bench.review()).await;
    assert!(matches!(early, Err(Error::EmergencyState { .. })), "it is not over");
    bench.end(1).await.unwrap();
    assert!(!bench.is_open() && bench.end(1).await.is_err());
    bench.ledger.change_emergency(id(1), EmergencyChange::Overdue).await.unwrap();
    assert!(bench.ledger.change_emergency(id(1), EmergencyChange::Overdue).await.is_err());
    bench.ledger.change_emergency(id(1), bench.review()).await.unwrap();
    assert!(bench.ledger.change_emergency(id(1), bench.review()).await.is_err(), "once");
    assert!(bench.ledger.emergencies_held().is_empty());
    let records = bench.ledger.audit(1, 100).await.unwrap();
    let kinds: Vec<AuditKind> = records.iter().map(|row| row.event.kind).collect();
    assert_eq!(
        kinds,
        [
            AuditKind::BreakGlassUsed,
            AuditKind::BreakGlassVoted,
            AuditKind::BreakGlassEnded,
            AuditKind::BreakGlassUnreviewed,
            AuditKind::BreakGlassReviewed,
        ]
    );
    assert!(records.iter().all(|row| row.event.subject == Some(subject(1))));
    bench.reopen().await;
    let row = bench.ledger.emergency(id(1)).await.unwrap().unwrap();
    assert!(row.review.unwrap().is_justified && row.votes.len() == 1);
    assert!(bench.is_intact().await);
}

#[tokio::test]
async fn a_use_that_was_acknowledged_survives_and_its_end_too() {
    let mut bench = Bench::new().await;
    let row = bench.open_one().await;
    bench.reopen().await;
    assert!(bench.is_open());
    bench.clock.advance(TTL.saturating_sub(Duration::from_millis(1)));
    assert!(bench.is_open());
    bench.reopen().await;
    assert!(bench.is_open());
    bench.clock.advance(Duration::from_millis(1));
    assert!(!bench.is_open() && bench.ledger.is_emergency_over(&row, bench.ledger.now()));
    bench.reopen().await;
    assert!(!bench.is_open(), "expired");
    bench.end(1).await.unwrap();
    bench.reopen().await;
    assert!(!bench.is_open() && bench.is_intact().await);
    assert!(
        bench.ledger.has_overdue_emergency(&person("alice").id, bench.ledger.now().after(WITHIN))
    );
}

#[tokio::test]
async fn no_clock_that_is_set_back_makes_one_longer() {
    let mut bench = Bench::new().await;
    bench.open_one().await;
    bench.clock.advance(Duration::from_mins(30));
    bench.clock.set("2026-11-20T10:01:00Z".parse().unwrap());
    assert!(bench.is_open());
    bench.clock.advance(Duration::from_mins(30));
    assert!(!bench.is_open(), "an hour has passed, whatever the wall clock says");
    // Something was put on record after its end: after a start, that counts as well.
    bench.clock.set("2026-11-20T11:30:00Z".parse().unwrap());
    let event = AuditEvent::new(AuditKind::Started, "test");
    bench.ledger.append_audit(event).await.unwrap();
    bench.clock.set("2026-11-20T10:30:00Z".parse().unwrap());
    bench.reopen().await;
    assert!(!bench.is_open());
    // Before it came into force, it is not in force either.
    let mut bench = Bench::new().await;
    bench.open_one().await;
    bench.clock.set("2026-11-20T09:00:00Z".parse().unwrap());
    bench.reopen().await;
    assert!(!bench.is_open());
}

#[tokio::test]
async fn an_edited_row_opens_nothing_and_an_older_one_neither() {
    // Longer.
    let mut bench = Bench::new().await;
    bench.open_one().await;
    bench
        .tamper("UPDATE emergencies SET body = replace(body, '2026-11-20T11', '2026-11-29T11')")
        .await;
    assert!(!bench.is_open());
    assert!(matches!(bench.ledger.emergency(id(1)).await, Err(Error::CorruptRow { .. })));
    // Made up.
    let mut bench = Bench::new().await;
    bench.open_one().await;
    let row = bench.row();
    bench.end(1).await.unwrap();
    assert!(bench.is_intact().await);
    let sql = "INSERT INTO emergencies (id, body, seal) SELECT 2, body, seal FROM emergencies";
    bench.tamper(sql).await;
    assert!(!bench.is_open() && !bench.is_intact().await);
    // Put back: its seal fits, and the chain knows better.
    bench.ledger.close().await;
    bench.sql("DELETE FROM emergencies WHERE id = 2");
    bench.put_back(&row);
    bench.ledger = bench.open().await.unwrap();
    assert!(!bench.is_open());
    assert!(!bench.is_intact().await);
    // With the record of its end gone from the chain, the chain is no chain.
    bench.ledger.close().await;
    bench.sql("DELETE FROM audit WHERE body LIKE '%break-glass-ended%'");
    let event = "INSERT INTO audit SELECT sequence + 1, body, previous, hash FROM audit
                 WHERE sequence = (SELECT max(sequence) FROM audit)";
    bench.sql(event);
    bench.ledger = bench.open().await.unwrap();
    assert!(!bench.is_open());
}

#[tokio::test]
async fn an_older_row_that_is_put_back_while_it_runs_is_not_gone_on_with() {
    let bench = Bench::new().await;
    bench.ledger.begin_emergency(bench.new_emergency(2)).await.unwrap();
    let waiting = bench.row();
    bench.vote("bob", true).await.unwrap();
    let open = bench.row();
    bench.end(1).await.unwrap();
    for row in [waiting, open] {
        bench.put_back(&row);
        for outcome in [bench.vote("carol", true).await, bench.end(1).await] {
            assert!(matches!(outcome, Err(Error::CorruptRow { .. })), "{outcome:?}");
        }
        assert!(!bench.is_open());
    }
}

#[tokio::test]
async fn a_backup_has_them_and_a_restored_ledger_goes_on() {
    let mut bench = Bench::new().await;
    bench.open_one().await;
    let backup = bench.dir.path().join("backup");
    bench.ledger.backup_to(&backup).await.unwrap();
    bench.end(1).await.unwrap();
    bench.ledger.close().await;
    restore(&backup, bench.dir.path(), true, &bench.clock).unwrap();
    bench.ledger = bench.open().await.unwrap();
    assert!(bench.is_open(), "as it was when the backup was made");
    assert!(bench.is_intact().await);
    bench.end(1).await.unwrap();
    assert!(!bench.is_open());
}

#[tokio::test]
async fn going_back_names_those_that_people_used_ended_and_reviewed() {
    let mut bench = Bench::new().await;
    bench.tamper(excepting::AS_VERSION_3).await;
    bench.open_one().await;
    bench.end(1).await.unwrap();
    bench.ledger.change_emergency(id(1), bench.review()).await.unwrap();
    // What ends by its time is no decision of anybody.
    bench.open_one().await;
    let (by, why) = ("server".to_owned(), "its time is over".to_owned());
    let change = EmergencyChange::End { by, why, now: bench.ledger.now() };
    bench.ledger.change_emergency(id(2), change).await.unwrap();
    let back = snapshots(bench.dir.path()).unwrap().remove(0);
    let Loss::Known(lost) = loss(bench.dir.path(), &back).unwrap() else { panic!("readable") };
    let told: Vec<_> =
        lost.told.iter().map(|it| (it.verb.as_str(), it.by.as_str(), it.subject.clone())).collect();
    let about = |number: u64| format!("B-{number} ({})", subject(1));
    assert_eq!(
        told,
        [
            ("break-glass-used", "user:alice", about(1)),
            ("break-glass-ended", "user:bob", about(1)),
            ("break-glass-reviewed", "user:carol", about(1)),
            ("break-glass-used", "user:alice", about(2)),
        ]
    );
}

#[tokio::test]
async fn there_are_never_too_many() {
    let bench = Bench::new().await;
    for number in 1..=20 {
        assert_eq!(bench.open_one().await.id, id(number));
    }
    let more = bench.ledger.begin_emergency(bench.new_emergency(1)).await;
    assert!(matches!(more, Err(Error::TooManyEmergencies { open: 20, .. })), "{more:?}");
    bench.end(20).await.unwrap();
    assert_eq!(bench.open_one().await.id, id(21));
    let page = bench.ledger.emergencies(Some(id(21)), 2).await.unwrap();
    assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [id(20), id(19)]);
}

/// Where the child writes; set only by the test below.
const DIR_VARIABLE: &str = "PRATIQUE_LEDGER_BREAK_DIR";
/// How often the child is killed.
const KILLS: usize = 3;
/// After how many acknowledged steps.
const STEPS: usize = 20;

async fn open_there(dir: &Path) -> Bench {
    let clock = ManualClock::at("2026-11-20T10:00:00Z".parse().unwrap());
    let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::default()));
    let ledger = open(dir, Settings::default(), &clock, &tasks, &metrics).await.unwrap();
    Bench { dir: tempfile::tempdir().unwrap(), clock, tasks, metrics, ledger }
}

#[tokio::test]
#[ignore = "the child process of the test below, which runs it"]
async fn child_that_breaks_glass_until_it_is_killed() {
    let dir = std::env::var_os(DIR_VARIABLE).expect("run by its parent");
    let bench = open_there(Path::new(&dir)).await;
    loop {
        let number = bench.open_one().await.id.number();
        println!("\nused {number}");
        bench.end(number).await.unwrap();
        println!("\nended {number}");
        bench.ledger.change_emergency(id(number), bench.review()).await.unwrap();
    }
}

#[tokio::test]
async fn killed_at_any_time_no_acknowledged_use_and_no_acknowledged_end_is_lost() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let mut seen: Vec<(String, u64)> = Vec::new();
    for _ in 0..KILLS {
        let child = "ledger::tests::breaking::child_that_breaks_glass_until_it_is_killed";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", child, "--ignored", "--nocapture"])
            .env(DIR_VARIABLE, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let steps = lines.filter_map(|line| {
            let line = line.unwrap();
            let (step, number) = line.split_once(' ')?;
            let is_step = matches!(step, "used" | "ended");
            is_step.then(|| (step.to_owned(), number.parse().unwrap()))
        });
        let of_child: Vec<(String, u64)> = steps.take(STEPS).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(of_child.len(), STEPS, "the child ended by itself");
        seen.extend(of_child);
    }
    let bench = open_there(dir.path()).await;
    for (step, number) in seen {
        let row = bench.ledger.emergency(id(number)).await.unwrap().expect("it was used");
        assert!(step == "used" || row.state == EmergencyState::Ended, "{number} was ended");
    }
    assert!(bench.is_intact().await);
}

#[tokio::test]
async fn what_is_on_record_since_one_began_is_not_archived_before_it_is_settled() {
    let mut bench = Bench::new().await;
    for _ in 0..3 {
        bench.ledger.append_audit(AuditEvent::new(AuditKind::Started, "test")).await.unwrap();
    }
    let row = bench.open_one().await;
    assert_eq!(row.begun, 4);
    let everything = || crate::ledger::Archiving {
        before: at("2999-01-01T00:00:00Z"),
        by: "alice".to_owned(),
        reason: None,
    };
    let archived = bench.ledger.archive(everything()).await.unwrap();
    let held = archived.held.unwrap();
    assert_eq!(
        (archived.segments[0].to, held.by.as_str(), held.sequence),
        (3, "break-glass B-1", 3)
    );
    bench.reopen().await;
    assert!(bench.is_open(), "the chain from there on is enough");
    bench.end(1).await.unwrap();
    let archived = bench.ledger.archive(everything()).await.unwrap();
    assert_eq!((archived.segments.len(), archived.held.is_some()), (0, true), "nobody reviewed it");
    bench.reopen().await;
    bench.ledger.change_emergency(id(1), bench.review()).await.unwrap();
    let archived = bench.ledger.archive(everything()).await.unwrap();
    assert!(archived.segments[0].to > 6, "{archived:?}");
    assert_eq!(archived.held, None);
    bench.reopen().await;
    let again = bench.end(1).await.unwrap_err();
    assert!(matches!(again, Error::EmergencyState { .. }), "{again}");
    assert!(bench.is_intact().await);
    std::fs::remove_dir_all(bench.dir.path().join("audit/segments")).unwrap();
    assert!(bench.is_intact().await, "its row goes back to what was not read");
}
