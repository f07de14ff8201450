//! Ends without warning.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::*;
use crate::ledger::{Ballot, PersonId, Vote};

/// Where the child writes; set only by the test below.
const DIR_VARIABLE: &str = "PRATIQUE_LEDGER_CRASH_DIR";
/// How often the child is killed.
const KILLS: usize = 4;
/// After how many acknowledged approvals.
const APPROVALS: usize = 25;

#[tokio::test]
#[ignore = "the child process of the test below, which runs it"]
async fn child_that_approves_until_it_is_killed() {
    let dir = std::env::var_os(DIR_VARIABLE).expect("run by its parent");
    let clock = ManualClock::at(Timestamp::from_milliseconds(0));
    let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::default()));
    let ledger =
        open(Path::new(&dir), Settings::default(), &clock, &tasks, &metrics).await.unwrap();
    let first = ledger.verify_audit().await.unwrap().records;
    let approve = async |lane: u64| {
        for step in 0.. {
            let number = first + step * 8 + lane;
            ledger.approve(decision(number, "alice")).await.unwrap();
            println!("\nacknowledged {number}");
        }
    };
    futures_util::future::join_all((0..8).map(approve)).await;
}

/// Runs the test `child` on the ledger in `dir` and kills it, again and again, each time when it has said
/// `APPROVALS` times that something is `acknowledged`; gives all of that, as `read` reads it.
fn killed_again_and_again<T>(dir: &Path, child: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let mut acknowledged = Vec::new();
    for _ in 0..KILLS {
        let mut running = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("ledger::tests::crashing::{child}")])
            .args(["--ignored", "--nocapture"])
            .env(DIR_VARIABLE, dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(running.stdout.take().unwrap()).lines();
        let said = lines.filter_map(|line| {
            line.unwrap().strip_prefix("acknowledged ").map(|it| read(it).unwrap())
        });
        let seen: Vec<T> = said.take(APPROVALS).collect();
        running.kill().unwrap();
        running.wait().unwrap();
        assert_eq!(seen.len(), APPROVALS, "the child ended by itself");
        acknowledged.extend(seen);
    }
    acknowledged
}

#[tokio::test]
async fn killed_at_any_time_no_acknowledged_approval_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged: Vec<u64> =
        killed_again_and_again(dir.path(), "child_that_approves_until_it_is_killed", |text| {
            text.parse().ok()
        });
    let clock = ManualClock::at(Timestamp::from_milliseconds(0));
    let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::default()));
    let ledger = open(dir.path(), Settings::default(), &clock, &tasks, &metrics).await.unwrap();
    for number in acknowledged {
        let record = ledger.record(&subject(number)).await.unwrap().unwrap();
        assert_eq!(approved_by(record.standing.as_ref()), Some("alice"), "{number}");
    }
    let report = ledger.verify_audit().await.unwrap();
    assert_eq!(report.problem, None);
}

fn vote(number: u64, name: &str) -> Vote {
    let ballot = Ballot {
        policy: policy(),
        rule: "asked".to_owned(),
        approval: "four-eyes".to_owned(),
        quorum: 2,
        distinct_groups: false,
        approvers: vec!["group:security".to_owned()],
        findings: String::new(),
        signed: String::new(),
        reasons: String::new(),
        decisions: 0,
    };
    Vote {
        subject: subject(number),
        request: None,
        voter: PersonId::Token { name: name.to_owned() },
        since: Timestamp::from_milliseconds(0),
        display: name.to_owned(),
        stands_for: vec!["group:security".to_owned()],
        at: Timestamp::from_milliseconds(0),
        reason: "looked at it".to_owned(),
        expires: None,
        ballot,
        file: None,
    }
}

/// The approval that the second vote about `subject(number)` comes to.
fn by_two(number: u64) -> Decision {
    let voters = ["alice", "bob"].map(str::to_owned).to_vec();
    Decision { voters, ..decision(number, "bob") }
}

#[tokio::test]
#[ignore = "the child process of the test below, which runs it"]
async fn child_that_votes_until_it_is_killed() {
    let dir = std::env::var_os(DIR_VARIABLE).expect("run by its parent");
    let clock = ManualClock::at(Timestamp::from_milliseconds(0));
    let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::default()));
    let ledger =
        open(Path::new(&dir), Settings::default(), &clock, &tasks, &metrics).await.unwrap();
    let first = ledger.verify_audit().await.unwrap().records;
    let votes = async |lane: u64| {
        for step in 0.. {
            let number = first + step * 8 + lane;
            ledger.cast_vote(vote(number, "alice"), None, Vec::new()).await.unwrap();
            println!("\nacknowledged {number} alice");
            ledger.cast_vote(vote(number, "bob"), Some(by_two(number)), Vec::new()).await.unwrap();
            println!("\nacknowledged {number} bob");
        }
    };
    futures_util::future::join_all((0..8).map(votes)).await;
}

#[tokio::test]
async fn killed_at_any_time_no_acknowledged_vote_is_lost_and_none_half_applied() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged: Vec<(u64, String)> =
        killed_again_and_again(dir.path(), "child_that_votes_until_it_is_killed", |text| {
            let (number, name) = text.split_once(' ')?;
            Some((number.parse().ok()?, name.to_owned()))
        });
    let clock = ManualClock::at(Timestamp::from_milliseconds(0));
    let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::default()));
    let ledger = open(dir.path(), Settings::default(), &clock, &tasks, &metrics).await.unwrap();
    for (number, name) in &acknowledged {
        let votes = ledger.votes(&subject(*number)).await.unwrap();
        let cast = votes.cast.iter().find(|cast| cast.vote.display == *name);
        assert!(cast.is_some_and(|cast| cast.is_signed), "{number} {name}: {votes:?}");
    }
    // Whatever was under way: two votes are an approval, and one is none.
    let records = ledger.subjects(None, 1_000).await.unwrap();
    assert!(records.len() >= APPROVALS);
    for record in records {
        let votes = ledger.votes(&record.subject).await.unwrap();
        let is_approved = approved_by(record.standing.as_ref()) == Some("bob");
        assert_eq!(is_approved, votes.cast.len() == 2, "{votes:?}");
        assert_eq!(is_approved, votes.decisions == 1, "{votes:?}");
    }
    let report = ledger.verify_audit().await.unwrap();
    assert_eq!(report.problem, None);
}

#[tokio::test]
async fn a_write_outside_the_log_that_was_cut_off_is_taken_back() {
    let mut bench = Bench::new().await;
    for number in 0..50 {
        bench.ledger.approve(decision(number, "alice")).await.unwrap();
    }
    bench.ledger.close().await;
    let writer = Connection::open(bench.database()).unwrap();
    writer.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(())).unwrap();
    // With one page of memory, changed pages go to the file before the transaction ends.
    writer.execute_batch("PRAGMA cache_size = 1; BEGIN; UPDATE records SET seal = x'00'").unwrap();
    let (database, journal) = (bench.database(), bench.dir.path().join("ledger.db-journal"));
    let cut_off = [&database, &journal].map(|path| std::fs::read(path).unwrap());
    drop(writer);
    std::fs::write(&database, &cut_off[0]).unwrap();
    std::fs::write(&journal, &cut_off[1]).unwrap();
    bench.ledger = bench.open().await.unwrap();
    for number in 0..50 {
        let record = bench.ledger.record(&subject(number)).await.unwrap().unwrap();
        assert_eq!(approved_by(record.standing.as_ref()), Some("alice"), "{number}");
    }
    assert!(!journal.exists());
}

#[tokio::test]
async fn files_copied_while_running_open_as_after_a_power_cut() {
    let bench = Bench::new().await;
    for number in 0..20 {
        bench.ledger.approve(decision(number, "alice")).await.unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("audit")).unwrap();
    for file in ["ledger.db", "ledger.db-wal", "audit/head", "audit/sealed", "audit-key"] {
        std::fs::copy(bench.dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let settings = Settings::default();
    let copied =
        open(copy.path(), settings, &bench.clock, &bench.tasks, &bench.metrics).await.unwrap();
    for number in 0..20 {
        let record = copied.record(&subject(number)).await.unwrap().unwrap();
        assert_eq!(approved_by(record.standing.as_ref()), Some("alice"), "{number}");
    }
    assert!(copied.verify_audit().await.unwrap().is_whole());
}
