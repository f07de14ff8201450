//! What people decide.

use super::*;
use crate::ledger::{AuditKind, Error, Verb};

#[tokio::test]
async fn an_approval_shows_at_once_and_survives_a_restart() {
    let mut bench = Bench::new().await;
    bench.ledger.record_judgement(new(1, pending())).await.unwrap();
    let id = bench.ledger.file_request(filing(1, "node-1")).await.unwrap();
    let approval = Decision { request: Some(id), ..decision(1, "alice") };
    bench.ledger.approve(approval).await.unwrap();
    for _ in 0..2 {
        let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
        assert_eq!(approved_by(record.standing.as_ref()), Some("alice"));
        assert_eq!(record.judgement, None, "the verdict was reached before");
        assert_eq!(record.request, Some(id));
        let request = bench.ledger.request(id).await.unwrap().unwrap();
        assert_eq!(request.state, RequestState::Approved);
        assert_eq!(request.decided_by.as_deref(), Some("alice"));
        bench.reopen().await;
    }
    let row = bench.ledger.audit(0, 100).await.unwrap().pop().unwrap();
    assert_eq!((row.event.kind, row.event.request), (AuditKind::Approved, Some(id)));
    assert_eq!(row.event.reason.as_deref(), Some("because alice says so"));
}

#[tokio::test]
async fn a_subject_can_be_decided_about_before_it_is_ever_pulled() {
    let bench = Bench::new().await;
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
    assert_eq!(approved_by(record.standing.as_ref()), Some("alice"));
}

#[tokio::test]
async fn a_revocation_wins_over_the_approval_before_it() {
    let mut bench = Bench::new().await;
    let id = bench.ledger.file_request(filing(1, "node-1")).await.unwrap();
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    bench.ledger.revoke(decision(1, "bob")).await.unwrap();
    for _ in 0..2 {
        let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
        assert!(matches!(&record.standing, Some(Standing::Revoked { by, .. }) if by == "bob"));
        let request = bench.ledger.request(id).await.unwrap().unwrap();
        assert_eq!(request.state, RequestState::Revoked);
        bench.reopen().await;
    }
    let verbs: Vec<Verb> =
        bench.ledger.decisions(&subject(1)).await.unwrap().iter().map(|one| one.verb).collect();
    assert_eq!(verbs, [Verb::Approve, Verb::Revoke]);
    bench.ledger.approve(decision(1, "carol")).await.unwrap();
    let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
    assert_eq!(approved_by(record.standing.as_ref()), Some("carol"), "a later approval undoes it");
}

#[tokio::test]
async fn a_verdict_reached_before_a_revocation_is_not_taken_after_it() {
    let bench = Bench::new().await;
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    let standing = bench.ledger.record(&subject(1)).await.unwrap().unwrap().standing.clone();
    let late = New { standing, ..new(1, Verdict::Admit) };
    let record = bench.ledger.record_judgement(late.clone()).await.unwrap();
    assert!(record.judgement_in_force(&policy(), 0, bench.clock_now()).is_some());
    bench.ledger.revoke(decision(1, "bob")).await.unwrap();
    let record = bench.ledger.record_judgement(late).await.unwrap();
    assert_eq!((&record.judgement, &record.policy), (&None, &None));
    let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
    assert_eq!(record.judgement, None);
    assert!(matches!(record.standing, Some(Standing::Revoked { .. })));
}

impl Bench {
    fn clock_now(&self) -> Timestamp {
        crate::time::Clock::now(&self.clock)
    }
}

#[tokio::test]
async fn a_verdict_holds_only_under_its_policy_and_as_long_as_its_approval() {
    let bench = Bench::new().await;
    let expires = bench.clock_now().after(MINUTE);
    let approval = Decision { expires: Some(expires), ..decision(1, "alice") };
    let standing = bench.ledger.approve(approval).await.unwrap().standing.clone();
    let admitted = New { standing, ..new(1, Verdict::Admit) };
    let record = bench.ledger.record_judgement(admitted.clone()).await.unwrap();
    assert!(record.judgement_in_force(&policy(), 0, bench.clock_now()).is_some());
    let other: PolicyId = Digest::sha256(b"other").to_string().parse().unwrap();
    assert!(record.judgement_in_force(&other, 0, bench.clock_now()).is_none());
    bench.clock.advance(MINUTE);
    assert!(record.judgement_in_force(&policy(), 0, bench.clock_now()).is_none());
    let now = bench.clock_now();
    let again = New { judgement: new(1, pending()).judgement, now, ..admitted };
    let record = bench.ledger.record_judgement(again).await.unwrap();
    assert!(record.judgement_in_force(&policy(), 0, bench.clock_now()).is_some(), "decided since");
}

#[tokio::test]
async fn of_two_decisions_about_one_request_one_wins_and_the_other_is_told() {
    let bench = Bench::new().await;
    for number in 0..20 {
        let id = bench.ledger.file_request(filing(number, "node-1")).await.unwrap();
        let yes = Decision { request: Some(id), ..decision(number, "alice") };
        let no = Decision { request: Some(id), ..decision(number, "bob") };
        let (yes, no) = tokio::join!(bench.ledger.approve(yes), bench.ledger.reject(no));
        let request = bench.ledger.request(id).await.unwrap().unwrap();
        let record = bench.ledger.record(&subject(number)).await.unwrap().unwrap();
        match (yes, no) {
            (Ok(_), Err(Error::AlreadyDecided { request: told, state })) => {
                assert_eq!((told, state), (id, RequestState::Approved));
                assert_eq!(request.state, RequestState::Approved);
                assert!(matches!(record.standing, Some(Standing::Approved { .. })));
            }
            (Err(Error::AlreadyDecided { request: told, state }), Ok(_)) => {
                assert_eq!((told, state), (id, RequestState::Rejected));
                assert_eq!(request.state, RequestState::Rejected);
                assert!(matches!(record.standing, Some(Standing::Rejected { .. })));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.ledger.decisions(&subject(number)).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_request_answers_only_for_its_own_subject() {
    let bench = Bench::new().await;
    let id = bench.ledger.file_request(filing(1, "node-1")).await.unwrap();
    let wrong = Decision { request: Some(id), ..decision(2, "alice") };
    let error = bench.ledger.approve(wrong).await.unwrap_err();
    assert!(matches!(error, Error::OtherSubject { .. }), "{error}");
    let unknown = "R-4711".parse().unwrap();
    let wrong = Decision { request: Some(unknown), ..decision(1, "alice") };
    let error = bench.ledger.approve(wrong).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no request R-4711");
    assert_eq!(bench.ledger.record(&subject(2)).await.unwrap(), None);
}

#[tokio::test]
async fn reinstating_takes_a_denial_back_and_approves_nothing() {
    let bench = Bench::new().await;
    let error = bench.ledger.reinstate(decision(1, "alice")).await.unwrap_err();
    assert!(matches!(error, Error::NothingToReinstate(_)), "{error}");
    bench.ledger.approve(decision(1, "alice")).await.unwrap();
    assert!(bench.ledger.reinstate(decision(1, "alice")).await.is_err(), "approved is not denied");
    for deny in [Verb::Reject, Verb::Revoke] {
        match deny {
            Verb::Reject => bench.ledger.reject(decision(1, "bob")).await.unwrap(),
            _ => bench.ledger.revoke(decision(1, "bob")).await.unwrap(),
        };
        let record = bench.ledger.reinstate(decision(1, "alice")).await.unwrap();
        assert_eq!(record.standing, None);
        let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
        assert_eq!((&record.standing, &record.judgement), (&None, &None));
    }
}

#[tokio::test]
async fn a_damaged_record_can_still_be_revoked() {
    let mut bench = Bench::new().await;
    bench.ledger.record_judgement(new(1, Verdict::Admit)).await.unwrap();
    bench.tamper("UPDATE records SET seal = x'00'").await;
    assert!(bench.ledger.record(&subject(1)).await.is_err());
    assert!(bench.ledger.reinstate(decision(1, "bob")).await.is_err());
    bench.ledger.revoke(decision(1, "bob")).await.unwrap();
    bench.reopen().await;
    let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
    assert!(matches!(record.standing, Some(Standing::Revoked { .. })));
    assert_eq!(record.judgement, None);
}
