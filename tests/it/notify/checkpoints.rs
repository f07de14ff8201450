//! Checkpoints of the audit, sent to whoever asks for them by name.

use pratique::transparency::{Checkpoint, Signed, VerifierKey};

use super::{make_token, telling, telling_as, wait_until};
use crate::admin::Desk;
use crate::support::receiver::{Received, Receiver};

fn checkpoint_in(received: &Received) -> Checkpoint {
    let body = received.json();
    let details = &body["data"]["details"];
    let checkpoint = Checkpoint::parse(details["checkpoint"].as_str().expect("text")).expect("one");
    assert_eq!(details["records"], checkpoint.size().to_string());
    checkpoint
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_checkpoint_is_sent_once_and_not_again_after_a_restart() {
    let receiver = Receiver::start().await;
    let asking = |webhook: &mut pratique::notify::WebhookSettings| {
        webhook.events = vec!["audit.checkpoint".parse().expect("an event")];
    };
    let desk = telling_as(&receiver, asking).await;
    let arrived = receiver.wait_for(1).await;
    assert_eq!(arrived[0].kind(), "audit.checkpoint");
    let sent = checkpoint_in(&arrived[0]);
    let key = desk.run(&["audit", "key"]).await.stdout;
    let key: VerifierKey = key.trim().parse().expect("a key");
    assert_eq!(sent.signed_by(&key), Signed::Yes);
    // The next one is sent a minute later at the earliest, whatever is signed until then.
    make_token(&desk, "one").await;
    desk.run(&["audit", "checkpoint", "--now"]).await;
    wait_until(&desk, |view| view.behind == 0).await;
    assert_eq!(receiver.count(), 1);
    let token = desk.token.clone();
    let mirror = desk.mirror.restart().await;
    let desk = Desk { mirror, token };
    let arrived = receiver.wait_for(2).await;
    let next = checkpoint_in(&arrived[1]);
    assert!(next.size() > sent.size(), "another one, after the restart");
    assert_eq!(next.origin(), sent.origin());
    wait_until(&desk, |view| view.state == "idle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_checkpoints_who_asks_for_everything() {
    let receiver = Receiver::start().await;
    let desk = telling(&receiver).await;
    desk.run(&["audit", "checkpoint", "--now"]).await;
    make_token(&desk, "one").await;
    desk.run(&["audit", "checkpoint", "--now"]).await;
    receiver.wait_for(1).await;
    wait_until(&desk, |view| view.behind == 0 && view.state == "idle").await;
    let kinds: Vec<String> = receiver.received().iter().map(Received::kind).collect();
    assert_eq!(kinds, ["token.created"]);
}
