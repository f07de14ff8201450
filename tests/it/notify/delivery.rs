//! What is on record arrives: in order, at least once, signed, and as it is called.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pratique::ledger::{AuditEvent, AuditKind};
use serde_json::json;

use super::{
    KEY, RETRY, RULES, has_begun, make_token, telling, telling_as, view, wait_until, webhook,
};
use crate::admin::Desk;
use crate::support::mirror::TestMirror;
use crate::support::receiver::{Manner, Received, Receiver};

/// Checks a delivery as a receiver should, by Standard Webhooks.
fn check_signature(arrived: &Received) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &KEY);
    let (id, at) = (arrived.header("webhook-id"), arrived.header("webhook-timestamp"));
    let mut signed = format!("{id}.{at}.").into_bytes();
    signed.extend_from_slice(&arrived.body);
    let signature = arrived.header("webhook-signature").strip_prefix("v1,").expect("a version");
    let signature = BASE64_STANDARD.decode(signature).expect("base64");
    hmac::verify(&key, &signed, &signature).expect("our signature");
    assert!(at.parse::<i64>().expect("seconds") > 1_700_000_000, "{at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_pull_and_what_people_make_of_it_is_told_and_signed() {
    let receiver = Receiver::start().await;
    let desk = telling(&receiver).await;
    let digest = desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let reply = desk.decide("/api/v1/approvals", "R-1").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let image = format!("up.test/asked/app@{digest}");
    desk.decide("/api/v1/revocations", &image).await;
    desk.push("asked/other", "1", "other");
    desk.mirror.pull("asked/other", "1").await.assert_refused("Pending approval R-2");
    desk.decide("/api/v1/rejections", "R-2").await;
    let arrived = receiver.wait_for(6).await;
    let kinds: Vec<String> = arrived.iter().map(Received::kind).collect();
    let expected = ["request.created", "request.approved", "image.revoked"];
    assert_eq!(
        kinds.iter().filter(|kind| expected.contains(&kind.as_str())).count(),
        4,
        "{kinds:?}"
    );
    for one in &arrived {
        check_signature(one);
        assert_eq!(one.header("content-type"), "application/cloudevents+json; charset=utf-8");
        assert_eq!(one.path, "/hook?key=s3cr3t");
        assert_eq!(one.json()["id"], one.id());
    }
    let created = arrived.iter().find(|one| one.kind() == "request.created").unwrap().json();
    assert_eq!(created["source"], "https://mirror.test");
    assert_eq!(created["subject"], image);
    assert_eq!(created["data"]["link"], "https://mirror.test/requests/R-1");
    assert_eq!(created["data"]["image"], "up.test/asked/app:1");
    let sequences: Vec<u64> =
        arrived.iter().map(|one| one.json()["data"]["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.is_sorted(), "{sequences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_asked_for_is_told() {
    let receiver = Receiver::start().await;
    let desk = telling_as(&receiver, |webhook| {
        webhook.events = vec!["request.*".parse().unwrap()];
    });
    let desk = desk.await;
    make_token(&desk, "robot").await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let arrived = receiver.wait_for(1).await;
    assert_eq!(arrived[0].kind(), "request.created");
    let idle = wait_until(&desk, |view| view.behind == 0).await;
    assert_eq!((idle.state.as_str(), idle.deliveries), ("idle", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_webhook_begins_at_the_end_and_an_old_one_where_it_was() {
    let receiver = Receiver::start().await;
    let desk = telling(&receiver).await;
    assert_eq!(receiver.count(), 0, "what was before is not told");
    make_token(&desk, "one").await;
    receiver.wait_for(1).await;
    receiver.usually(Manner::says(503));
    make_token(&desk, "two").await;
    receiver.wait_for(3).await;
    let token = desk.token.clone();
    let mirror = desk.mirror.restart().await;
    receiver.usually(Manner::says(200));
    let desk = Desk { mirror, token };
    make_token(&desk, "three").await;
    wait_until(&desk, |view| view.behind == 0 && view.deliveries == 2).await;
    let told: Vec<String> = receiver
        .received()
        .iter()
        .map(|one| one.json()["data"]["details"]["token"].as_str().unwrap().to_owned())
        .collect();
    let mut unique = told.clone();
    unique.dedup();
    assert_eq!(unique, ["one", "two", "three"], "{told:?}");
}

/// A mirror that ends between the receiver's having an event and its own knowing so, as a copy of its
/// data from that moment, which is what a killed process leaves.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_delivery_and_cursor_the_same_event_comes_again_and_none_is_missing() {
    let receiver = Receiver::start().await;
    let desk = telling_as(&receiver, |webhook| webhook.timeout = Duration::from_secs(20)).await;
    make_token(&desk, "one").await;
    wait_until(&desk, |view| view.deliveries == 1 && view.behind == 0).await;
    receiver.next([Manner::Silent]);
    make_token(&desk, "two").await;
    receiver.wait_for(2).await;
    let (data, copy) = (desk.mirror.folder().join("data"), desk.mirror.folder().join("copy"));
    copy_all(&data, &copy);
    let token = desk.token.clone();
    let mirror = desk.mirror.restart_after(|data| {
        std::fs::remove_dir_all(data).unwrap();
        std::fs::rename(&copy, data).unwrap();
    });
    let desk = Desk { mirror: mirror.await, token };
    make_token(&desk, "three").await;
    let arrived = receiver.wait_for(4).await;
    assert_eq!(arrived[1].id(), arrived[2].id(), "the same again");
    assert_eq!(arrived[1].body, arrived[2].body);
    let ids: Vec<String> = arrived.iter().map(Received::id).collect();
    assert!(ids[0] != ids[1] && ids[2] != ids[3], "{ids:?}");
    assert_eq!(arrived[3].json()["data"]["details"]["token"], "three");
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_events_that_waited_arrive_in_order_and_only_a_page_of_them_is_in_memory() {
    const EVENTS: usize = 10_000;
    let receiver = Receiver::start().await;
    receiver.usually(Manner::says(503));
    // A machine that is busy answers late: that is no failure here, and nothing is sent twice for it.
    let desk = telling_as(&receiver, |webhook| webhook.timeout = Duration::from_mins(1)).await;
    let ledger = desk.mirror.mirror().ledger().clone();
    let event = |number: usize| {
        AuditEvent::new(AuditKind::TokenCreated, "test")
            .with("token", number)
            .with("role", "viewer")
    };
    for block in 0..EVENTS / 250 {
        let appending = (0..250).map(|at| ledger.append_audit(event(block * 250 + at)));
        futures_util::future::try_join_all(appending).await.unwrap();
    }
    let behind = view(&desk).await;
    assert!(behind.behind >= u64::try_from(EVENTS).unwrap(), "{behind:?}");
    let failed = receiver.count();
    receiver.usually(Manner::says(200));
    // However long all of them take: it is given up only where nothing more arrives.
    let (mut arrived, mut still) = (0, 0);
    while view(&desk).await.behind > 0 && still < 600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = receiver.count();
        still = if now == arrived { still + 1 } else { 0 };
        arrived = now;
    }
    let sequence = |one: &Received| one.json()["data"]["sequence"].as_u64().unwrap();
    let told: Vec<u64> = receiver.received().iter().map(sequence).collect();
    let mut once = told.clone();
    once.dedup();
    assert!(once.is_sorted() && once.len() == EVENTS, "{} in order, or not", once.len());
    assert!(told.len() < EVENTS + failed + 50, "{} for {EVENTS}", told.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_leaves_the_settings_is_forgotten_and_begins_anew() {
    let receiver = Receiver::start().await;
    let desk = telling(&receiver).await;
    let ledger = desk.mirror.mirror().ledger();
    while ledger.webhook_cursor("hook").await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ledger.keep_webhooks(vec!["other".to_owned()]).await.unwrap(), ["hook"]);
    assert!(ledger.webhook_cursor("hook").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_upstream_moves_is_told_once() {
    let receiver = Receiver::start().await;
    let desk = telling_as(&receiver, |webhook| {
        webhook.events = vec!["upstream.*".parse().unwrap(), "image.blocked".parse().unwrap()];
    });
    let desk = desk.await;
    desk.push("asked/app", "1", "first");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    desk.decide("/api/v1/approvals", "R-1").await;
    desk.mirror.pull("asked/app", "1").await.assert_complete();
    let moved = desk.push("asked/app", "1", "second");
    desk.mirror.pull("asked/app", "1").await.assert_complete();
    desk.mirror.pull("asked/app", "1").await.assert_complete();
    let arrived = receiver.wait_for(1).await;
    assert_eq!(arrived[0].kind(), "upstream.tag-moved");
    let told = arrived[0].json();
    assert_eq!(told["subject"], format!("up.test/asked/app@{moved}"));
    assert_eq!(told["data"]["image"], "up.test/asked/app:1");
    assert_eq!(told["data"]["details"]["tag"], json!("1"));
    wait_until(&desk, |view| view.behind == 0).await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_and_its_answer_are_told_with_what_was_said() {
    let receiver = Receiver::start().await;
    let desk = telling_as(&receiver, |webhook| {
        webhook.events =
            vec!["request.question".parse().unwrap(), "request.answer".parse().unwrap()];
    });
    let desk = desk.await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    for (path, text) in [("questions", "what is it for?"), ("answers", "the shop")] {
        let path = format!("/api/v1/requests/R-1/{path}");
        assert_eq!(desk.post(&path, &serde_json::json!({"text": text})).await.status, 200);
    }
    let arrived = receiver.wait_for(2).await;
    let told: Vec<_> =
        arrived.iter().map(|one| (one.kind(), one.json()["data"]["reason"].clone())).collect();
    assert_eq!(told[0], ("request.question".to_owned(), serde_json::json!("what is it for?")));
    assert_eq!(told[1], ("request.answer".to_owned(), serde_json::json!("the shop")));
    assert_eq!(arrived[0].json()["data"]["request"], "R-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_an_older_policy_was_allowed_and_came_is_told_with_who_and_why() {
    let receiver = Receiver::start().await;
    let url = receiver.url();
    let text = |revision: u64| {
        let head = "apiVersion: pratique.dev/v1\nkind: Policy\n";
        format!("{head}metadata: {{name: site, revision: {revision}}}\nrules:\n{RULES}")
    };
    let mirror = TestMirror::start_with("", |settings| {
        let file = settings.data_dir.with_file_name("site.yaml");
        std::fs::write(&file, text(5)).expect("a policy");
        settings.policy = Some(file);
        let mut webhook = webhook(settings, &url);
        webhook.events = vec!["policy.*".parse().unwrap()];
        settings.notify.webhooks.push(webhook);
        settings.notify.retry = RETRY;
    });
    let desk = Desk::of(mirror.await);
    has_begun(&desk).await;
    let before = receiver.count();
    let allowed = desk.run(&["policy", "allow-rollback", "--reason", "a bad merge"]).await;
    assert_eq!(allowed.code, 0, "{allowed:?}");
    std::fs::write(desk.mirror.folder().join("site.yaml"), text(4)).expect("a policy");
    desk.mirror.mirror().reload_policy_soon();
    let arrived = receiver.wait_for(before + 2).await.split_off(before);
    let kinds: Vec<String> = arrived.iter().map(Received::kind).collect();
    assert_eq!(kinds, ["policy.rollback-allowed", "policy.changed"]);
    for one in &arrived {
        check_signature(one);
        assert_eq!(one.json()["data"]["reason"], "a bad merge", "{}", one.json());
    }
    let told = arrived[0].json();
    assert_eq!(told["data"]["by"], "first-run", "{told}");
    assert_eq!(told["data"]["details"]["revision"], "5", "{told}");
}
