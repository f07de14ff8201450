//! `pratique webhook ls` and `pratique webhook test`.

use super::{make_token, telling, wait_until};
use crate::admin::Desk;
use crate::support::receiver::{Manner, Receiver};

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_listed_and_tried_from_the_command_line() {
    let receiver = Receiver::start().await;
    let desk = telling(&receiver).await;
    let never = desk.run(&["webhook", "ls"]).await;
    assert!(never.stdout.contains("never") && never.stdout.contains("idle"), "{never:?}");
    receiver.next([Manner::says(200)]);
    let took = desk.run(&["webhook", "test", "hook"]).await;
    assert_eq!(took.code, 0, "{took:?}");
    assert!(
        took.stdout.contains("hook: took test-") && took.stdout.contains("with 200"),
        "{took:?}"
    );
    assert!(took.stdout.contains("it said: heard"), "{took:?}");
    assert_eq!(receiver.received()[0].kind(), "webhook.test");
    receiver.usually(Manner::says(500));
    let no = desk.run(&["webhook", "test", "hook", "--json"]).await;
    assert_eq!(no.code, 1, "{no:?}");
    let said = no.json();
    assert_eq!((&said["delivered"], &said["status"]), (&false.into(), &500.into()), "{said}");
    make_token(&desk, "one").await;
    wait_until(&desk, |view| view.failures > 0).await;
    let waiting = desk.run(&["webhook", "ls"]).await;
    assert!(waiting.stdout.contains("it answered 500"), "{waiting:?}");
    let listed = desk.run(&["webhook", "ls", "--json"]).await.json();
    assert_eq!(listed[0]["name"], "hook");
    assert_eq!(listed[0]["to"], format!("http://{}", receiver.address()));
    let unknown = desk.run(&["webhook", "test", "nobody"]).await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.stderr.contains("there is no such webhook"), "{unknown:?}");
}

#[tokio::test]
async fn a_mirror_without_webhooks_says_so_and_how_to_have_some() {
    let desk = Desk::start().await;
    let none = desk.run(&["webhook", "ls"]).await;
    assert!(none.stdout.contains("[[notify.webhook]]"), "{none:?}");
    assert_eq!(desk.run(&["webhook", "ls", "--json"]).await.json(), serde_json::json!([]));
}
