//! Requests.

use super::*;
use crate::ledger::{Error, RequestFilter, RequestId};

#[tokio::test]
async fn one_subject_has_one_request_however_many_ask() {
    let mut bench = Bench::new().await;
    let first = bench.ledger.file_request(filing(1, "node-1")).await.unwrap();
    for client in ["node-2", "node-1", "node-3", "node-1"] {
        bench.clock.advance(MINUTE);
        assert_eq!(bench.ledger.file_request(filing(1, client)).await.unwrap(), first);
    }
    let other = bench.ledger.file_request(filing(2, "node-1")).await.unwrap();
    assert_ne!(other, first);
    for _ in 0..2 {
        let row = bench.ledger.request(first).await.unwrap().unwrap();
        assert_eq!((row.pulls, row.clients.len(), row.unlisted_pulls), (5, 3, 0));
        assert_eq!((row.clients[0].client.as_str(), row.clients[0].pulls), ("node-1", 3));
        assert_eq!(row.first_asked, at("2026-11-20T10:00:00Z"));
        assert_eq!(row.last_asked, at("2026-11-20T10:04:00Z"));
        assert_eq!(bench.ledger.requests(RequestFilter::default()).await.unwrap()[0], row);
        assert_eq!(bench.metrics.open_requests.value(), 2);
        bench.reopen().await;
    }
}

#[tokio::test]
async fn a_thousand_nodes_make_one_request_of_bounded_size() {
    let bench = Bench::new().await;
    let all = (0..1000).map(|node| bench.ledger.file_request(filing(1, &format!("node-{node}"))));
    let ids = futures_util::future::try_join_all(all).await.unwrap();
    assert!(ids.iter().all(|id| *id == ids[0]));
    let row = bench.ledger.request(ids[0]).await.unwrap().unwrap();
    assert_eq!((row.pulls, row.clients.len(), row.unlisted_pulls), (1000, 256, 744));
}

#[tokio::test]
async fn what_a_request_says_follows_the_latest_filing() {
    let bench = Bench::new().await;
    let id = bench.ledger.file_request(filing(1, "node-1")).await.unwrap();
    let now_denied = Filing {
        state: RequestState::Denied,
        reasons: vec![reason(ReasonCode::Unsigned)],
        tag: Some(tag("1.2")),
        ..filing(1, "node-1")
    };
    assert_eq!(bench.ledger.file_request(now_denied).await.unwrap(), id);
    let row = bench.ledger.request(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.pulls, row.tag), (RequestState::Denied, 2, Some(tag("1.2"))));
    assert_eq!(row.reasons[0].code, ReasonCode::Unsigned);
}

#[tokio::test]
async fn open_requests_are_capped_per_client_and_in_all_until_they_are_idle() {
    let settings =
        Settings { open_requests_max: 5, open_requests_per_client_max: 3, ..Settings::default() };
    let bench = Bench::with(settings).await;
    for number in 0..3 {
        bench.ledger.file_request(filing(number, "node-1")).await.unwrap();
    }
    let error = bench.ledger.file_request(filing(3, "node-1")).await.unwrap_err();
    assert_eq!(error.to_string(), "too many open requests (3) of node-1");
    bench.ledger.file_request(filing(0, "node-1")).await.unwrap();
    for number in 3..5 {
        bench.ledger.file_request(filing(number, "node-2")).await.unwrap();
    }
    let error = bench.ledger.file_request(filing(5, "node-3")).await.unwrap_err();
    assert!(matches!(error, Error::TooManyRequests { client: None, limit: 5 }), "{error}");
    bench.ledger.approve(decision(0, "alice")).await.unwrap();
    bench.ledger.file_request(filing(5, "node-3")).await.unwrap();
    assert!(bench.ledger.file_request(filing(6, "node-3")).await.is_err());
    bench.clock.advance(Duration::from_hours(15 * 24));
    bench.ledger.file_request(filing(6, "node-3")).await.unwrap();
    let lapsed = RequestFilter { states: vec![RequestState::Lapsed], ..RequestFilter::default() };
    assert_eq!(bench.ledger.requests(lapsed).await.unwrap().len(), 5);
    assert_eq!(bench.metrics.open_requests.value(), 1);
}

#[tokio::test]
async fn caps_hold_when_all_ask_at_once() {
    let settings = Settings { open_requests_max: 10, ..Settings::default() };
    let bench = Bench::with(settings).await;
    let all = (0..100).map(|number| bench.ledger.file_request(filing(number, "node-1")));
    let outcomes = futures_util::future::join_all(all).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10);
}

#[tokio::test]
async fn a_request_without_a_digest_gives_way_to_the_one_with_it() {
    let bench = Bench::new().await;
    let without = Filing {
        reference: Reference::Tag(tag("1.2")),
        digest: None,
        tag: Some(tag("1.2")),
        state: RequestState::Denied,
        ..filing(1, "node-1")
    };
    let first = bench.ledger.file_request(without.clone()).await.unwrap();
    assert_eq!(bench.ledger.file_request(without.clone()).await.unwrap(), first);
    assert_eq!(bench.ledger.request(first).await.unwrap().unwrap().subject(), None);
    let with = Filing { digest: Some(digest(1)), state: RequestState::Pending, ..without };
    let second = bench.ledger.file_request(with).await.unwrap();
    assert_ne!(first, second);
    let state = bench.ledger.request(first).await.unwrap().unwrap().state;
    assert_eq!(state, RequestState::Lapsed);
}

#[tokio::test]
async fn a_request_lapses_when_a_rule_admits_its_subject() {
    let bench = Bench::new().await;
    bench.ledger.record_judgement(new(1, pending())).await.unwrap();
    let id = bench.ledger.file_request(filing(1, "node-1")).await.unwrap();
    assert_eq!(bench.ledger.record(&subject(1)).await.unwrap().unwrap().request, Some(id));
    bench.ledger.record_judgement(new(1, Verdict::Admit)).await.unwrap();
    let row = bench.ledger.request(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.decided_by), (RequestState::Lapsed, None));
    assert_ne!(bench.ledger.file_request(filing(1, "node-1")).await.unwrap(), id);
}

#[tokio::test]
async fn who_asks_again_after_a_rejection_is_counted_on_the_rejected_request() {
    let mut bench = Bench::new().await;
    let id = bench.ledger.file_request(filing(1, "node-1")).await.unwrap();
    bench.ledger.reject(decision(1, "bob")).await.unwrap();
    for _ in 0..2 {
        let again = Filing { state: RequestState::Denied, ..filing(1, "node-2") };
        assert_eq!(bench.ledger.file_request(again.clone()).await.unwrap(), id);
        assert_eq!(bench.ledger.file_request(again).await.unwrap(), id);
        bench.reopen().await;
    }
    let row = bench.ledger.request(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.pulls), (RequestState::Rejected, 5));
}

#[tokio::test]
async fn requests_are_listed_by_state_repository_and_place() {
    let bench = Bench::new().await;
    let other: Name = "up.test/lib/other".parse().unwrap();
    for number in 0..4 {
        let name = if number == 3 { other.clone() } else { name() };
        bench.ledger.file_request(Filing { name, ..filing(number, "node-1") }).await.unwrap();
    }
    bench.ledger.reject(decision(1, "bob")).await.unwrap();
    let ids = async |filter| {
        let rows = bench.ledger.requests(filter).await.unwrap();
        rows.iter().map(|row| row.id.0).collect::<Vec<u64>>()
    };
    let all = RequestFilter::default;
    assert_eq!(ids(all()).await, [1, 2, 3, 4]);
    assert_eq!(ids(RequestFilter { after: Some(RequestId(2)), limit: 1, ..all() }).await, [3]);
    assert_eq!(ids(RequestFilter { name: Some(other), ..all() }).await, [4]);
    let states = vec![RequestState::Rejected];
    assert_eq!(ids(RequestFilter { states, ..all() }).await, [2]);
    let states = vec![RequestState::Pending, RequestState::Denied];
    assert_eq!(ids(RequestFilter { states, ..all() }).await, [1, 3, 4]);
}

#[tokio::test]
async fn an_edited_request_is_named() {
    let mut bench = Bench::new().await;
    let id = bench.ledger.file_request(filing(1, "node-1")).await.unwrap();
    bench.tamper("UPDATE requests SET state = 'approved'").await;
    let error = bench.ledger.request(id).await.unwrap_err();
    assert_eq!(error.to_string(), "row R-1 of requests in the ledger is damaged; restore a backup");
    bench.ledger.revoke(decision(1, "bob")).await.unwrap();
}

#[test]
fn a_request_number_is_written_r_42() {
    assert_eq!("R-42".parse(), Ok(RequestId(42)));
    assert_eq!("42".parse(), Ok(RequestId(42)));
    assert_eq!(RequestId(42).to_string(), "R-42");
    for bad in
        ["", "R-", "R-0", "R--1", "+1", "R-1x", "99999999999999999999", "9999999999999999999"]
    {
        assert!(bad.parse::<RequestId>().is_err(), "{bad}");
    }
}
