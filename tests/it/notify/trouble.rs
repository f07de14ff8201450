//! Receivers that are down, slow, broken, gone or endless: nothing is lost, and nobody waits.

use std::time::{Duration, Instant};

use pratique::notify::Address;
use tokio::net::TcpListener;

use super::{make_token, telling, telling_as, wait_until};
use crate::admin::Desk;
use crate::support::receiver::{Manner, Received, Receiver};

/// Has two tokens made while the receiver behaves so, and then well: both arrive, in order.
async fn survives(manners: Vec<Manner>, says: &str) {
    let count = manners.len();
    let receiver = Receiver::start().await;
    let desk = telling_as(&receiver, |webhook| webhook.timeout = Duration::from_secs(1)).await;
    receiver.next(manners);
    make_token(&desk, "one").await;
    let failed = wait_until(&desk, |view| view.failures > 0).await;
    assert!(failed.last_failure.unwrap().error.contains(says), "{says}");
    make_token(&desk, "two").await;
    let arrived = receiver.wait_for(count + 2).await;
    let tokens: Vec<String> = arrived
        .iter()
        .map(|one| one.json()["data"]["details"]["token"].as_str().unwrap().to_owned())
        .collect();
    assert!(tokens[..=count].iter().all(|token| token == "one"), "{tokens:?}");
    assert_eq!(tokens[count + 1], "two");
    let ids: Vec<String> = arrived.iter().map(Received::id).collect();
    assert!(ids[..=count].iter().all(|id| *id == ids[0]), "{ids:?}");
    let view = wait_until(&desk, |view| view.behind == 0).await;
    assert_eq!((view.deliveries, view.waiting_since), (2, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_a_server_are_tried_again() {
    survives(vec![Manner::says(500), Manner::says(503), Manner::says(404)], "it answered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_up_or_never_answers_is_tried_again() {
    survives(vec![Manner::HangsUp], "the connection broke").await;
    survives(vec![Manner::Silent], "no answer in time").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_failure_and_nobody_follows_it() {
    let elsewhere = Receiver::start().await;
    for status in [301, 302, 307, 308] {
        let to = Manner::Says(status, vec![("location", elsewhere.url())]);
        survives(vec![to], "redirects, which is not followed").await;
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_ends_is_an_answer() {
    let receiver = Receiver::start().await;
    let desk = telling(&receiver).await;
    receiver.usually(Manner::Endless);
    make_token(&desk, "one").await;
    make_token(&desk, "two").await;
    let view = wait_until(&desk, |view| view.deliveries == 2).await;
    assert_eq!(view.failures, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_not_there_holds_up_nobody_and_gets_all_when_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let away = Receiver::start().await;
    let desk = telling_as(&away, |webhook| {
        webhook.address = Address::Url(pratique::oci::Secret::new(format!("http://{address}/")));
    });
    let desk = desk.await;
    let since = Instant::now();
    for number in 0..20 {
        make_token(&desk, &format!("token-{number}")).await;
    }
    assert!(since.elapsed() < Duration::from_secs(20), "decisions waited");
    let view = wait_until(&desk, |view| view.failures > 2).await;
    assert!(view.last_failure.unwrap().error.starts_with("no connection"));
    assert!(view.waiting_since.is_some());
    let metrics = desk.get("/metrics").await.text();
    assert!(metrics.contains("pratique_webhook_oldest_undelivered_seconds{webhook=\"hook\"} 0"));
    desk.mirror.clock.advance(Duration::from_secs(90));
    let metrics = desk.get("/metrics").await.text();
    assert!(metrics.contains("pratique_webhook_oldest_undelivered_seconds{webhook=\"hook\"} 90"));
    let receiver = Receiver::on(TcpListener::bind(address).await.unwrap());
    assert_eq!(receiver.wait_for(20).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_pauses_across_restarts_until_a_test_arrives() {
    let receiver = Receiver::start().await;
    let desk = telling(&receiver).await;
    receiver.usually(Manner::says(410));
    make_token(&desk, "one").await;
    wait_until(&desk, |view| view.state == "paused").await;
    make_token(&desk, "two").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(receiver.count(), 1, "nothing is sent to who is gone");
    let token = desk.token.clone();
    let desk = Desk { mirror: desk.mirror.restart().await, token };
    let paused = wait_until(&desk, |view| view.state == "paused").await;
    assert!(paused.paused_since.is_some());
    assert_eq!(receiver.count(), 1);
    let metrics = desk.get("/metrics").await.text();
    assert!(metrics.contains("pratique_webhook_paused{webhook=\"hook\"} 1"), "{metrics}");
    receiver.usually(Manner::says(200));
    let reply = desk.post("/api/v1/webhooks/hook/test", &serde_json::json!({})).await;
    assert_eq!((reply.status, &reply.json()["resumed"]), (200, &serde_json::json!(true)));
    let arrived = receiver.wait_for(4).await;
    assert_eq!(arrived[1].kind(), "webhook.test");
    assert_eq!(arrived[0].id(), arrived[2].id());
    assert_eq!(arrived[3].json()["data"]["details"]["token"], "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_with_the_address_that_asked_for_it() {
    let (old, new) = (Receiver::start().await, Receiver::start().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hook.url");
    std::fs::write(&file, old.url()).unwrap();
    let desk = telling_as(&old, |webhook| webhook.address = Address::File(file.clone())).await;
    old.usually(Manner::says(410));
    make_token(&desk, "one").await;
    wait_until(&desk, |view| view.state == "paused").await;
    std::fs::write(&file, format!("{}\n", new.url())).unwrap();
    let token = desk.token.clone();
    let desk = Desk { mirror: desk.mirror.restart().await, token };
    new.wait_for(1).await;
    wait_until(&desk, |view| view.state == "idle").await;
    assert_eq!(old.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_refused_as_such_is_given_up_and_the_next_one_arrives() {
    let receiver = Receiver::start().await;
    let desk = telling(&receiver).await;
    receiver.next(vec![Manner::says(422); 24]);
    make_token(&desk, "one").await;
    make_token(&desk, "two").await;
    let arrived = receiver.wait_for(25).await;
    assert_eq!(arrived[23].id(), arrived[0].id());
    assert_eq!(arrived[24].json()["data"]["details"]["token"], "two");
    assert_eq!(wait_until(&desk, |view| view.deliveries == 1).await.given_up, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_is_used_at_once_and_one_that_is_missing_sends_nothing() {
    let receiver = Receiver::start().await;
    let desk = telling(&receiver).await;
    let file = desk.mirror.folder().join("hook.whsec");
    std::fs::remove_file(&file).unwrap();
    make_token(&desk, "one").await;
    let failed = wait_until(&desk, |view| view.failures > 0).await;
    assert!(failed.last_failure.unwrap().error.contains("cannot be read"));
    assert_eq!(receiver.count(), 0, "nothing is sent unsigned");
    let two = format!("{}\n{}\n", super::whsec(), super::whsec());
    std::fs::write(&file, two).unwrap();
    let arrived = receiver.wait_for(1).await;
    assert_eq!(arrived[0].header("webhook-signature").split(' ').count(), 2);
}
