//! What people are told of, and how far it came.

use std::time::Instant;

use super::*;
use crate::ledger::{AuditKind, Error, PullOutcome, WebhookCursor, restore};

const DAY: Duration = Duration::from_hours(24);

impl Bench {
    /// Approves `subject(number)` for `days`, and has it pulled.
    async fn approve_for(&self, number: u64, days: u32) {
        let expires = Some(crate::time::Clock::now(&self.clock).after(DAY * days));
        let approval = Decision { expires, ..decision(number, "alice") };
        self.ledger.approve(approval).await.unwrap();
        self.ledger.count_pull(&subject(number), "node", PullOutcome::Admitted);
        self.ledger.flush().await;
    }

    async fn ring(&self) -> (u64, u64) {
        self.ledger.ring_endings(crate::time::Clock::now(&self.clock)).await.unwrap()
    }

    async fn rung(&self) -> Vec<String> {
        let rows = self.ledger.audit(1, 10_000).await.unwrap();
        let rung = rows.iter().filter(|row| row.event.kind == AuditKind::ApprovalExpiring);
        rung.map(|row| row.event.details["days"].clone()).collect()
    }
}

#[tokio::test]
async fn who_was_away_hears_of_the_step_that_is_reached_and_not_of_those_before() {
    let bench = Bench::new().await;
    bench.approve_for(1, 20).await;
    assert_eq!(bench.ring().await, (0, 0));
    bench.clock.advance(DAY * 18);
    assert_eq!((bench.ring().await, bench.ring().await), ((1, 1), (0, 1)));
    assert_eq!(bench.rung().await, ["3"]);
    bench.clock.advance(DAY * 2);
    assert_eq!(bench.ring().await, (0, 0), "it has ended");
}

#[tokio::test]
async fn a_later_decision_ends_it_and_a_new_approval_is_told_of_anew() {
    let bench = Bench::new().await;
    bench.approve_for(1, 20).await;
    bench.clock.advance(DAY * 7);
    assert_eq!(bench.ring().await, (1, 1));
    bench.ledger.revoke(decision(1, "bob")).await.unwrap();
    bench.clock.advance(DAY * 11);
    assert_eq!(bench.ring().await, (0, 0));
    bench.approve_for(1, 20).await;
    bench.clock.advance(DAY * 19);
    assert_eq!(bench.ring().await, (1, 1));
    assert_eq!(bench.rung().await, ["14", "1"]);
}

#[tokio::test]
async fn what_nobody_pulls_any_more_ends_in_silence() {
    let bench = Bench::new().await;
    bench.approve_for(1, 40).await;
    bench.clock.advance(DAY * 32);
    assert_eq!(bench.ring().await, (0, 0));
}

#[tokio::test]
async fn a_ring_that_somebody_writes_into_the_database_silences_nothing() {
    let mut bench = Bench::new().await;
    bench.approve_for(1, 10).await;
    bench.approve_for(2, 20).await;
    let forged = "INSERT INTO rings (decision, body, seal) SELECT id, '{\"at\":\"2026-11-20T10:00:00Z\",\"step\":0}', x'00' FROM decisions";
    bench.tamper(forged).await;
    bench.clock.advance(DAY * 8);
    assert_eq!(bench.ring().await, (2, 2));
    assert_eq!(bench.ring().await, (0, 2));
    let mut rung = bench.rung().await;
    rung.sort();
    assert_eq!(rung, ["14", "3"]);
}

#[tokio::test]
async fn a_decision_that_is_no_json_any_more_is_left_out_and_no_other() {
    let mut bench = Bench::new().await;
    bench.approve_for(1, 20).await;
    bench.approve_for(2, 20).await;
    bench.tamper("UPDATE decisions SET body = 'no json' WHERE id = 1").await;
    bench.clock.advance(DAY * 7);
    assert_eq!(bench.ring().await, (1, 1));
}

#[tokio::test]
async fn a_cursor_survives_a_backup_and_one_that_was_moved_is_none() {
    let mut bench = Bench::new().await;
    let cursor = WebhookCursor { sequence: 1, ..WebhookCursor::default() };
    bench.ledger.save_webhook_cursor("hook", cursor.clone()).await.unwrap();
    bench.reopen().await;
    assert_eq!(bench.ledger.webhook_cursor("hook").await.unwrap(), Some(cursor.clone()));
    assert_eq!(bench.ledger.webhook_cursor("other").await.unwrap(), None);
    let backup = bench.dir.path().join("backup");
    bench.ledger.backup_to(&backup).await.unwrap();
    bench
        .tamper("UPDATE webhooks SET body = replace(body, '\"sequence\":1', '\"sequence\":9')")
        .await;
    let moved = bench.ledger.webhook_cursor("hook").await.unwrap_err();
    assert!(matches!(moved, Error::CorruptRow { .. }), "{moved}");
    bench.ledger.close().await;
    restore(&backup, bench.dir.path(), true, &bench.clock).unwrap();
    bench.ledger = bench.open().await.unwrap();
    assert_eq!(bench.ledger.webhook_cursor("hook").await.unwrap(), Some(cursor));
}

/// What a look costs with much on record; run with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement, with a hundred thousand approvals"]
async fn a_look_at_a_hundred_thousand_approvals_costs_what_it_finds() {
    let bench = Bench::new().await;
    let now = crate::time::Clock::now(&bench.clock);
    for block in 0..400_u64 {
        let approve = (0..250).map(|at| {
            let number = block * 250 + at;
            let days = if number.is_multiple_of(1_000) { 20 } else { 365 };
            let expires = Some(now.after(DAY * days));
            bench.ledger.count_pull(&subject(number), "node", PullOutcome::Admitted);
            bench.ledger.approve(Decision { expires, ..decision(number, "alice") })
        });
        futures_util::future::try_join_all(approve).await.unwrap();
        bench.ledger.flush().await;
    }
    bench.clock.advance(DAY * 7);
    let since = Instant::now();
    let rung = bench.ring().await;
    let first = since.elapsed();
    let again = bench.ring().await;
    println!("{rung:?} in {first:?}, {again:?} in {:?}", since.elapsed().saturating_sub(first));
    assert_eq!((rung, again), ((100, 100), (0, 100)));
}
