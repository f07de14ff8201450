//! The queue: filters, search, pages, and that it stays quick.

use std::time::{Duration, Instant};

use pratique::gate::{Reason, ReasonCode};
use pratique::ledger::{Filing, RequestState};
use pratique::oci::Digest;

use super::{Browser, desk};
use crate::admin::Desk;

/// Most that any page of a long queue may take here, where nothing is optimised and other tests run.
const PATIENCE: Duration = Duration::from_secs(3);

async fn file(desk: &Desk, number: u64, state: RequestState) {
    let tag = format!("1.{number}");
    let text = if number % 100 == 7 { "not signed by team" } else { "waits for an approval" };
    let filing = Filing {
        name: "up.test/asked/app".parse().unwrap(),
        reference: tag.parse().unwrap(),
        digest: Some(Digest::sha256(&number.to_be_bytes())),
        tag: Some(tag.parse().unwrap()),
        state,
        rule: Some("asked".to_owned()),
        reasons: vec![Reason {
            code: ReasonCode::ApprovalNeeded,
            text: text.to_owned(),
            remedy: "Somebody has to approve it.".to_owned(),
        }],
        client: format!("node-{}", number % 40),
        note: None,
        requester: None,
        group: None,
        ticket: None,
    };
    desk.mirror.mirror().ledger().file_request(filing).await.unwrap();
}

/// The numbers of the requests on a page, in its order.
fn listed(page: &str) -> Vec<u64> {
    let ids = page.split("href=\"/requests/R-").skip(1);
    ids.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn the_newest_come_first_page_by_page_and_none_is_lost() {
    let desk = desk().await;
    for number in 1..=130 {
        let state = if number % 2 == 0 { RequestState::Pending } else { RequestState::Denied };
        file(&desk, number, state).await;
    }
    let browser = Browser::signed_in(&desk).await;
    for (state, expected) in [
        ("open", (1..=130).rev().collect::<Vec<u64>>()),
        ("pending", (1..=65).rev().map(|n| n * 2).collect()),
    ] {
        let (mut path, mut seen, mut pages) = (format!("/?state={state}"), Vec::new(), 0);
        loop {
            let page = browser.page(&path).await;
            seen.extend(listed(&page));
            pages += 1;
            let Some((_, rest)) = page.split_once("rel=\"next\" href=\"") else { break };
            path = rest.split('"').next().unwrap().replace("&amp;", "&");
        }
        assert_eq!(seen, expected, "{state}");
        assert_eq!(pages, expected.len().div_ceil(50), "{state}");
    }
    for (query, expected) in [
        ("/?state=approved", vec![]),
        ("/?q=R-77&state=all", vec![77]),
        ("/?q=NOT+signed&state=open", vec![107, 7]),
        ("/?q=1.130&state=pending", vec![130]),
        ("/?q=nowhere&state=all", vec![]),
    ] {
        assert_eq!(listed(&browser.page(query).await), expected, "{query}");
    }
    let none = browser.page("/?q=nowhere&state=all").await;
    assert!(none.contains("There is none.") && none.contains("value=\"nowhere\""), "{none}");
    for bad in ["/?state=sad", "/?before=x", "/?more=1"] {
        assert!(matches!(browser.get(bad).await.status, 400 | 404), "{bad}");
    }
}

#[tokio::test]
async fn an_empty_queue_says_how_it_fills() {
    let desk = desk().await;
    let page = Browser::signed_in(&desk).await.page("/").await;
    assert!(
        page.contains("Nothing waits.") && page.contains("appear here by themselves"),
        "{page}"
    );
}

#[tokio::test]
async fn a_thousand_requests_are_no_burden() {
    pages_of(1_000).await;
}

/// What it comes to is in docs/desk.md.
#[tokio::test]
#[ignore = "filing ten thousand requests takes a minute"]
async fn ten_thousand_requests_are_no_burden() {
    pages_of(10_000).await;
}

/// Files that many requests, and looks at pages of them.
async fn pages_of(requests: u64) {
    let desk = Desk::of(
        crate::support::mirror::TestMirror::start_with(
            &format!("rules:\n{}", super::RULES),
            |_| {},
        )
        .await,
    );
    let ledger = desk.mirror.mirror().ledger();
    let mut filing = Vec::new();
    for number in 1..=requests {
        let tag = format!("1.{number}");
        filing.push(Filing {
            name: "up.test/asked/app".parse().unwrap(),
            reference: tag.parse().unwrap(),
            digest: Some(Digest::sha256(&u64::to_be_bytes(number))),
            tag: Some(tag.parse().unwrap()),
            state: RequestState::Pending,
            rule: Some("asked".to_owned()),
            reasons: Vec::new(),
            client: format!("node-{}", number % 40),
            note: None,
            requester: None,
            group: None,
            ticket: None,
        });
    }
    let filed = filing.into_iter().map(|filing| ledger.file_request(filing));
    futures_util::future::try_join_all(filed).await.unwrap();
    let browser = Browser::signed_in(&desk).await;
    for path in [
        "/",
        &format!("/?before=R-{}", requests / 2),
        "/?q=node-7&state=open",
        "/?q=nowhere&state=all",
        "/?state=mine",
        "/?state=mine&q=nowhere",
        &format!("/requests/R-{}", requests / 2),
    ] {
        let began = Instant::now();
        let reply = browser.get(path).await;
        let took = began.elapsed();
        assert_eq!(reply.status, 200, "{path}");
        println!("{path}: {took:?}, {} bytes", reply.body.len());
        assert!(took < PATIENCE, "{path} took {took:?}");
    }
}
