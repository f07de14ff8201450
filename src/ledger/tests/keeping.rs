//! Tags, tokens, policies and pulls.

use std::collections::BTreeMap;

use super::*;
use crate::ledger::{
    AuditKind, Error, NewToken, Offered, PolicyChange, PullOutcome, Role, Rollback,
};

#[tokio::test]
async fn tag_history_keeps_every_move() {
    let mut bench = Bench::new().await;
    let (a, b) = (digest(1), digest(2));
    for (digest, moved) in [(a, true), (a, false), (b, true), (a, true)] {
        bench.clock.advance(MINUTE);
        let outcome = bench.ledger.record_tag(&name(), &tag("1.2"), &digest).await.unwrap();
        assert_eq!(outcome, moved);
    }
    bench.ledger.record_tag(&name(), &tag("latest"), &b).await.unwrap();
    for _ in 0..2 {
        let history = bench.ledger.tag_history(&name(), &tag("1.2")).await.unwrap();
        let digests: Vec<Digest> = history.iter().map(|seen| seen.digest).collect();
        assert_eq!(digests, [a, b, a]);
        assert_eq!(history[1].seen_at, at("2026-11-20T10:03:00Z"));
        assert_eq!(bench.ledger.tags_of(&name(), &b).await.unwrap(), [tag("1.2"), tag("latest")]);
        assert_eq!(bench.ledger.tags_of(&name(), &a).await.unwrap(), [tag("1.2")]);
        assert_eq!(bench.ledger.tags_of(&name(), &digest(9)).await.unwrap(), []);
        let other: Name = "up.test/lib/other".parse().unwrap();
        assert_eq!(bench.ledger.tags_of(&other, &a).await.unwrap(), []);
        assert_eq!(bench.ledger.tag_history(&name(), &tag("2")).await.unwrap(), []);
        bench.reopen().await;
    }
}

#[tokio::test]
async fn a_full_tag_history_loses_its_oldest_but_never_the_admitted_one() {
    let bench = Bench::new().await;
    let edge = tag("edge");
    bench.ledger.record_tag(&name(), &edge, &digest(0)).await.unwrap();
    bench.ledger.record_admitted_tag(&name(), &edge, &digest(0)).await.unwrap();
    for number in 1..=150 {
        bench.ledger.record_tag(&name(), &edge, &digest(number)).await.unwrap();
    }
    let history = bench.ledger.tag_history(&name(), &edge).await.unwrap();
    assert_eq!(history.len(), 100);
    assert_eq!((history[0].digest, history[99].digest), (digest(0), digest(150)));
    assert_eq!(bench.ledger.tags_of(&name(), &digest(0)).await.unwrap(), [tag("edge")]);
    assert_eq!(bench.ledger.tags_of(&name(), &digest(1)).await.unwrap(), []);
}

#[tokio::test]
async fn the_last_admitted_digest_of_a_tag_outlives_restarts_and_moves() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.ledger.admitted_tag(&name(), &tag("1")).await.unwrap(), None);
    bench.ledger.record_admitted_tag(&name(), &tag("1"), &digest(1)).await.unwrap();
    bench.ledger.record_admitted_tag(&name(), &tag("1"), &digest(1)).await.unwrap();
    bench.ledger.record_tag(&name(), &tag("1"), &digest(2)).await.unwrap();
    bench.ledger.record_tag(&name(), &tag("2"), &digest(2)).await.unwrap();
    for _ in 0..2 {
        let admitted = bench.ledger.admitted_tag(&name(), &tag("1")).await.unwrap();
        assert_eq!(admitted, Some(digest(1)));
        assert_eq!(bench.ledger.admitted_tags(&name()).await.unwrap(), [tag("1")]);
        bench.reopen().await;
    }
    let rows = bench.ledger.audit(0, 10).await.unwrap();
    let kinds: Vec<AuditKind> = rows.iter().map(|row| row.event.kind).collect();
    assert_eq!(kinds, [AuditKind::TagAdmitted, AuditKind::TagMoved]);
    bench.tamper("UPDATE tags SET body = replace(body, 'admitted', 'admittex')").await;
    let error = bench.ledger.admitted_tag(&name(), &tag("1")).await.unwrap_err();
    assert!(matches!(error, Error::CorruptRow { table: "tags", .. }), "{error}");
}

#[tokio::test]
async fn a_token_opens_until_it_is_revoked_and_is_nowhere_on_disk() {
    let mut bench = Bench::new().await;
    let secret =
        bench.ledger.create_token(NewToken::new("ci", Role::Viewer), "first-run").await.unwrap();
    assert_eq!(secret.expose().len(), 43);
    bench.reopen().await;
    let token = bench.ledger.authenticate(secret.expose()).unwrap();
    assert_eq!((token.name.as_str(), token.role), ("ci", Role::Viewer));
    for wrong in ["", "x", &secret.expose()[..42], &format!("{}x", secret.expose())] {
        assert_eq!(bench.ledger.authenticate(wrong), None);
    }
    assert_eq!(bench.ledger.tokens().len(), 1);
    let again =
        bench.ledger.create_token(NewToken::new("ci", Role::Admin), "first-run").await.unwrap_err();
    assert!(matches!(again, Error::TokenExists(_)), "{again}");
    for bad in ["", "a b", "ü", &"x".repeat(65)] {
        assert!(
            bench.ledger.create_token(NewToken::new(bad, Role::Admin), "x").await.is_err(),
            "{bad}"
        );
    }
    for entry in std::fs::read_dir(bench.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let needle = secret.expose().as_bytes();
            assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{path:?}");
        }
    }
    bench.ledger.revoke_token("ci", "alice").await.unwrap();
    assert_eq!(bench.ledger.authenticate(secret.expose()), None);
    assert!(matches!(bench.ledger.revoke_token("ci", "alice").await, Err(Error::NoSuchToken(_))));
    bench.reopen().await;
    assert_eq!(bench.ledger.authenticate(secret.expose()), None);
    let kinds: Vec<AuditKind> =
        bench.ledger.audit(0, 10).await.unwrap().iter().map(|row| row.event.kind).collect();
    assert_eq!(kinds, [AuditKind::TokenCreated, AuditKind::TokenRevoked]);
}

fn offered(id: PolicyId, revision: u64) -> Offered {
    Offered { id, revision, name: "site".to_owned(), parts: BTreeMap::new() }
}

/// A policy with a file `shop` of these revisions: of one, of none, or no such file.
fn with_shop(text: &str, shop: &[Option<u64>]) -> Offered {
    let id = Digest::sha256(text.as_bytes()).to_string().parse().unwrap();
    let parts = shop.iter().map(|revision| ("shop".to_owned(), *revision)).collect();
    Offered { parts, ..offered(id, 1) }
}

#[tokio::test]
async fn no_file_of_a_policy_comes_back_older_not_even_after_having_been_away() {
    let mut bench = Bench::new().await;
    for (text, shop, change) in [
        ("no revision", &[None][..], PolicyChange::Newer),
        ("five", &[Some(5)], PolicyChange::Newer),
        ("five again", &[Some(5)], PolicyChange::SameRevision),
        ("six", &[Some(6)], PolicyChange::Newer),
        ("gone", &[], PolicyChange::SameRevision),
    ] {
        let offered = with_shop(text, shop);
        let outcome = bench.ledger.record_policy(offered, Rollback::Refused).await.unwrap();
        assert_eq!(outcome, change, "{text}");
    }
    bench.reopen().await;
    for (shop, offered) in [(Some(5), 5), (None, 0)] {
        let older = with_shop("older", &[shop]);
        let error = bench.ledger.record_policy(older, Rollback::Refused).await.unwrap_err();
        let Error::PolicyRollback { part: Some(part), in_force: 6, offered: it } = &error else {
            panic!("{error}")
        };
        assert_eq!((part.as_str(), *it), ("shop", offered), "{error}");
        assert!(error.to_string().contains("policy file shop revision"), "{error}");
    }
    let by = Rollback::By { who: "alice".to_owned(), reason: "a bad merge".to_owned() };
    let older = with_shop("older", &[Some(5)]);
    let outcome = bench.ledger.record_policy(older, by).await.unwrap();
    assert_eq!(outcome, PolicyChange::RolledBack);
    assert_eq!(bench.ledger.policy_in_force().unwrap().parts["shop"], 5);
    let last = bench.ledger.audit(0, 20).await.unwrap().pop().unwrap().event;
    assert_eq!(last.kind, AuditKind::PolicyRolledBack);
    assert_eq!(last.details["allowed_by"], "alice");
    assert_eq!(last.details["files"], "shop 5");
    assert_eq!(last.reason.as_deref(), Some("a bad merge"));
}

#[tokio::test]
async fn an_older_policy_comes_into_force_only_when_allowed_and_on_record() {
    let mut bench = Bench::new().await;
    let id = |text: &str| Digest::sha256(text.as_bytes()).to_string().parse::<PolicyId>().unwrap();
    assert_eq!(bench.ledger.policy_in_force(), None);
    for (policy, revision, allowed, change) in [
        ("one", 1, false, PolicyChange::Newer),
        ("one", 1, false, PolicyChange::Unchanged),
        ("two", 2, false, PolicyChange::Newer),
        ("two again", 2, false, PolicyChange::SameRevision),
        ("one", 1, true, PolicyChange::RolledBack),
        ("three", 3, true, PolicyChange::Newer),
    ] {
        let ledger = &bench.ledger;
        let rollback = if allowed { Rollback::AtStart } else { Rollback::Refused };
        let outcome = ledger.record_policy(offered(id(policy), revision), rollback).await.unwrap();
        assert_eq!(outcome, change, "{policy}");
    }
    bench.reopen().await;
    let again = bench.ledger.record_policy(offered(id("two"), 2), Rollback::Refused).await;
    let error = again.unwrap_err();
    assert!(
        matches!(error, Error::PolicyRollback { part: None, in_force: 3, offered: 2 }),
        "{error}"
    );
    let in_force = bench.ledger.policy_in_force().unwrap();
    assert_eq!((in_force.id, in_force.revision), (id("three"), 3));
    let rows = bench.ledger.audit(0, 10).await.unwrap();
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[3].event.kind, AuditKind::PolicyRolledBack);
}

#[tokio::test]
async fn pulls_are_counted_per_client_and_minute_outside_the_chain() {
    let mut bench = Bench::new().await;
    for _ in 0..3 {
        bench.ledger.count_pull(&subject(1), "node-1", PullOutcome::Admitted);
    }
    bench.ledger.count_pull(&subject(1), "node-2", PullOutcome::Denied);
    bench.clock.advance(MINUTE);
    bench.ledger.count_pull(&subject(1), "node-1", PullOutcome::Admitted);
    bench.ledger.count_pull(&subject(2), "node-1", PullOutcome::Admitted);
    bench.reopen().await;
    let mut pulls = bench.ledger.pulls(&subject(1), 10).await.unwrap();
    pulls.sort_by(|one, other| (one.minute, &one.client).cmp(&(other.minute, &other.client)));
    let counts: Vec<(&str, u64)> =
        pulls.iter().map(|pull| (pull.client.as_str(), pull.count)).collect();
    assert_eq!(counts, [("node-1", 3), ("node-2", 1), ("node-1", 1)]);
    assert_eq!(pulls[1].outcome, PullOutcome::Denied);
    assert_eq!(pulls[2].minute, at("2026-11-20T10:01:00Z"));
    assert_eq!(bench.ledger.verify_audit().await.unwrap().records, 0);
}

#[tokio::test]
async fn more_pulls_than_can_be_counted_cost_no_memory() {
    let bench = Bench::new().await;
    for number in 0..20_000 {
        bench.ledger.count_pull(&subject(number), "node-1", PullOutcome::Admitted);
    }
    bench.ledger.count_pull(&subject(0), "node-1", PullOutcome::Admitted);
    bench.ledger.flush().await;
    assert_eq!(bench.ledger.pulls(&subject(0), 10).await.unwrap()[0].count, 2);
    assert_eq!(bench.ledger.pulls(&subject(15_000), 10).await.unwrap(), []);
}

#[tokio::test]
async fn counts_reach_the_disk_when_the_program_stops() {
    let bench = Bench::new().await;
    bench.ledger.count_pull(&subject(1), "node-1", PullOutcome::Admitted);
    assert!(bench.tasks.shut_down(MINUTE).await);
    assert_eq!(bench.ledger.pulls(&subject(1), 10).await.unwrap().len(), 1);
}
