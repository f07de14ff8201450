//! Exceptions through everything that happens to a ledger: a backup, an earlier schema, going back, archiving.

use std::collections::BTreeSet;

use super::*;
use crate::ledger::{
    Archiving, AuditFault, Caller, ExceptionBallot, ExceptionEnd, ExceptionGrant, ExceptionId,
    ExceptionScope, ExceptionState, ExceptionVote, ExceptionWish, Loss, PersonId, Role, Scope,
    loss, restore, roll_back, schema, snapshots,
};

const DAY: Duration = Duration::from_hours(24);
/// What the step to version 4 of the schema added, taken away again.
pub(super) const AS_VERSION_3: &str = "
    DROP INDEX audit_by_exception; DROP TABLE openings; DROP TABLE exception_votes; DROP TABLE exceptions;
    DROP TABLE emergencies; DROP TABLE segments; DROP INDEX records_by_digest;
    DROP INDEX votes_by_file; DROP INDEX records_by_files;
    PRAGMA user_version = 3;";

fn somebody(name: &str) -> PersonId {
    PersonId::Local { name: name.to_owned() }
}

fn scope(package: &str) -> ExceptionScope {
    ExceptionScope {
        name: name(),
        digest: None,
        vulnerability: "CVE-2026-1".to_owned(),
        package: Some(package.to_owned()),
    }
}

impl Bench {
    async fn asked(&self, package: &str) -> ExceptionId {
        let by = Caller {
            id: somebody("dev"),
            display: "dev".to_owned(),
            role: Role::Requester,
            groups: BTreeSet::new(),
            since: self.ledger.now(),
            scope: Scope::default(),
        };
        let (expires, reason) = (self.ledger.now().after(DAY * 90), "not reachable".to_owned());
        let scope = scope(package);
        let wish = ExceptionWish { scope, expires, justification: None, by, reason, ticket: None };
        self.ledger.ask_exception(wish).await.unwrap().0
    }

    async fn granted(&self, package: &str) -> ExceptionId {
        let id = self.asked(package).await;
        let row = self.ledger.exception(id).await.unwrap().unwrap();
        let ballot = ExceptionBallot {
            policy: policy(),
            rule: "app".to_owned(),
            approval: "four-eyes".to_owned(),
            quorum: 1,
            distinct_groups: false,
            approvers: vec!["group:security".to_owned()],
            finding: Vec::new(),
            expires: row.expires,
        };
        let vote = ExceptionVote {
            exception: id,
            scope: row.scope,
            voter: somebody("alice"),
            since: self.ledger.now(),
            display: "alice".to_owned(),
            stands_for: vec!["group:security".to_owned()],
            at: self.ledger.now(),
            reason: "looked at it".to_owned(),
            expires: None,
            ballot,
        };
        let by = vec!["user:alice".to_owned()];
        let grant = ExceptionGrant { by, counted: 1, expires: row.expires };
        self.ledger.vote_on_exception(vote, Some(grant)).await.unwrap();
        id
    }

    async fn ended(&self, id: ExceptionId) {
        let (by, reason) = ("user:bob".to_owned(), "over".to_owned());
        self.ledger.end_exception(ExceptionEnd { id, by, reason, refuses: false }).await.unwrap();
    }

    /// How many are in force for the repository, by memory.
    fn in_force(&self) -> usize {
        self.ledger.exceptions_of(&name()).0.len()
    }

    async fn state(&self, id: ExceptionId) -> Option<ExceptionState> {
        self.ledger.exception(id).await.unwrap().map(|row| row.state)
    }

    fn exception_row(&self) -> (String, String, Vec<u8>) {
        let sql = "SELECT state, body, seal FROM exceptions WHERE id = 1";
        let database = Connection::open(self.database()).unwrap();
        database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    }

    fn put_exception_row(&self, row: &(String, String, Vec<u8>)) {
        let sql = "UPDATE exceptions SET state = ?1, body = ?2, seal = ?3 WHERE id = 1";
        let changed = Connection::open(self.database())
            .unwrap()
            .execute(sql, rusqlite::params![row.0, row.1, row.2]);
        assert_eq!(changed.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_backup_has_exceptions_and_what_ended_since_is_in_force_again_after_restoring_it() {
    let mut bench = Bench::new().await;
    let (granted, asked) = (bench.granted("openssl").await, bench.asked("zlib").await);
    let backup = bench.dir.path().join("backup");
    bench.ledger.backup_to(&backup).await.unwrap();
    bench.ended(granted).await;
    bench.granted("curl").await;
    bench.ledger.close().await;
    restore(&backup, bench.dir.path(), true, &bench.clock).unwrap();
    bench.ledger = bench.open().await.unwrap();
    for _ in 0..2 {
        assert_eq!(bench.in_force(), 1, "as it was when the backup was made");
        assert_eq!(bench.state(granted).await, Some(ExceptionState::Granted));
        assert_eq!(bench.state(asked).await, Some(ExceptionState::Asked));
        assert_eq!(bench.state(ExceptionId(3)).await, None);
        let votes = bench.ledger.exception_votes(granted).await.unwrap();
        assert!(votes.len() == 1 && votes[0].is_signed, "{votes:?}");
        assert!(bench.ledger.verify_audit().await.unwrap().is_whole());
        bench.reopen().await;
    }
    bench.ended(granted).await;
    bench.reopen().await;
    assert_eq!(bench.in_force(), 0);
    assert!(bench.ledger.verify_audit().await.unwrap().is_whole());
}

#[tokio::test]
async fn a_ledger_of_schema_version_3_takes_exceptions_and_going_back_names_what_goes() {
    let mut bench = Bench::new().await;
    bench.ledger.record_judgement(new(1, Verdict::Admit)).await.unwrap();
    bench.ledger.approve(decision(2, "alice")).await.unwrap();
    bench.tamper(AS_VERSION_3).await;
    let latest = schema::latest(schema::MIGRATIONS);
    let version = || schema::version(&Connection::open(bench.database()).unwrap()).unwrap();
    assert!(version() == latest && latest > 3);
    let approved = bench.ledger.record(&subject(2)).await.unwrap().unwrap();
    assert_eq!(approved_by(approved.standing.as_ref()), Some("alice"), "what was there stayed");
    let granted = bench.granted("openssl").await;
    bench.ended(granted).await;
    let refused = bench.asked("zlib").await;
    let (by, reason) = ("user:bob".to_owned(), "no".to_owned());
    let end = ExceptionEnd { id: refused, by, reason, refuses: true };
    bench.ledger.end_exception(end).await.unwrap();
    // What ends by itself is no decision of anybody.
    bench.granted("curl").await;
    bench.clock.advance(DAY * 91);
    let expired = bench.ledger.end_expired_exceptions(bench.ledger.now()).await.unwrap();
    assert_eq!(expired.len(), 1);
    assert!(bench.ledger.verify_audit().await.unwrap().is_whole());
    bench.ledger.close().await;

    let back = snapshots(bench.dir.path()).unwrap().remove(0);
    assert_eq!(back.schema, 3);
    let Loss::Known(lost) = loss(bench.dir.path(), &back).unwrap() else { panic!("readable") };
    let told: Vec<_> = lost
        .told
        .iter()
        .map(|it| (it.verb.as_str(), it.by.as_str(), it.subject.as_str(), it.reason.as_str()))
        .collect();
    let about = |id: u64, package: &str| format!("X-{id} (CVE-2026-1 in {package} of {})", name());
    assert_eq!(
        told,
        [
            ("exception-granted", "user:alice", about(1, "openssl").as_str(), "looked at it"),
            ("exception-ended", "user:bob", about(1, "openssl").as_str(), "over"),
            ("exception-refused", "user:bob", about(2, "zlib").as_str(), "no"),
            ("exception-granted", "user:alice", about(3, "curl").as_str(), "looked at it"),
        ]
    );
    assert_eq!(lost.decisions, 4);
    roll_back(bench.dir.path(), &back, &bench.clock).unwrap();
    let before = schema::version(&Connection::open(bench.database()).unwrap()).unwrap();
    assert_eq!(before, 3, "as the earlier program wrote it");
    bench.ledger = bench.open().await.unwrap();
    assert_eq!((bench.in_force(), bench.state(granted).await), (0, None));
}

#[tokio::test]
async fn a_row_that_is_put_back_after_its_end_was_archived_makes_no_exception_and_is_named() {
    let mut bench = Bench::new().await;
    let id = bench.granted("openssl").await;
    let granted = bench.exception_row();
    assert_eq!(granted.0, "granted");
    bench.ended(id).await;
    let over = bench.exception_row();
    bench.clock.advance(DAY);
    let before = bench.ledger.now();
    let wish = || Archiving { before, by: "alice".to_owned(), reason: None };
    let archived = bench.ledger.archive(wish()).await.unwrap();
    assert!(archived.segments[0].to >= 4 && archived.held.is_none(), "{archived:?}");
    bench.put_exception_row(&granted);
    for _ in 0..2 {
        assert_eq!(bench.state(id).await, None);
        let report = bench.ledger.verify_audit().await.unwrap();
        let problem = report.problem.expect("the row says what the audit does not say");
        assert_eq!(problem.fault, AuditFault::Contradicted);
        bench.reopen().await;
        assert_eq!(bench.in_force(), 0, "and a start takes it for none");
    }
    // Nor does it count, or is it passed over in silence, where the file with its end is not there.
    std::fs::remove_dir_all(bench.dir.path().join("audit/segments")).unwrap();
    bench.reopen().await;
    assert_eq!((bench.in_force(), bench.state(id).await), (0, None));
    let report = bench.ledger.verify_audit().await.unwrap();
    assert!(report.problem.is_some(), "one that is in force has its records in the database");
    bench.put_exception_row(&over);
    bench.reopen().await;
    assert_eq!(bench.state(id).await, Some(ExceptionState::Ended));
    assert_eq!(bench.ledger.verify_audit().await.unwrap().problem, None);
}
