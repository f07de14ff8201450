//! Telling people: webhooks arrive, once their receiver lets them, and nobody is fooled by them.

mod checkpoints;
mod commands;
mod delivery;
mod endings;
mod feed;
mod hostile;
mod trouble;

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pratique::config::Settings;
use pratique::notify::{Address, EventPattern, Format, Retry, WebhookSettings, WebhookView};
use pratique::oci::Secret;

use crate::admin::Desk;
use crate::support::mirror::TestMirror;
use crate::support::receiver::Receiver;

/// Rules for every kind of answer.
const RULES: &str = r#"
- {id: open, match: ["up.test/open/**"], trust: allow}
- {id: asked, match: ["up.test/asked/**"], trust: approve}
- {id: never, match: ["up.test/never/**"], trust: deny}
"#;
/// With what deliveries are signed here.
const KEY: [u8; 32] = [7; 32];

fn whsec() -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(KEY))
}

/// A webhook called `hook` to `url`, which may be of this machine.
fn webhook(settings: &Settings, url: &str) -> WebhookSettings {
    let secret_file = settings.data_dir.with_file_name("hook.whsec");
    std::fs::write(&secret_file, whsec()).expect("a secret");
    WebhookSettings {
        name: "hook".to_owned(),
        address: Address::Url(Secret::new(url)),
        secret_file: Some(secret_file),
        format: Format::CloudEvents,
        events: vec![EventPattern::all()],
        ca_file: None,
        allow_private: true,
        danger_plain_http: true,
        timeout: Duration::from_secs(2),
    }
}

/// A try again almost at once.
const RETRY: Retry = Retry { min: Duration::from_millis(20), max: Duration::from_millis(100) };

/// A desk whose mirror tells `receiver`; `change` adapts the webhook.
async fn telling_as(receiver: &Receiver, change: impl FnOnce(&mut WebhookSettings)) -> Desk {
    let url = receiver.url();
    let policy = format!("rules:\n{RULES}");
    let mirror = TestMirror::start_with(&policy, |settings| {
        let mut webhook = webhook(settings, &url);
        change(&mut webhook);
        settings.notify.webhooks.push(webhook);
        settings.notify.retry = RETRY;
        settings.notify.public_url = Some("https://mirror.test".into());
    });
    let desk = Desk::of(mirror.await);
    has_begun(&desk).await;
    desk
}

async fn telling(receiver: &Receiver) -> Desk {
    telling_as(receiver, |_| {}).await
}

/// How the webhook is.
async fn view(desk: &Desk) -> WebhookView {
    let reply = desk.get("/api/v1/webhooks").await;
    let views: Vec<WebhookView> = serde_json::from_slice(&reply.body).expect("webhooks");
    views.into_iter().next().expect("a webhook")
}

/// Waits until the webhook is as `expected` says.
async fn wait_until(desk: &Desk, expected: impl Fn(&WebhookView) -> bool) -> WebhookView {
    for _ in 0..1500 {
        let view = view(desk).await;
        if expected(&view) {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not come to that: {:?}", view(desk).await);
}

async fn has_begun(desk: &Desk) {
    wait_until(desk, |view| view.state != "starting").await;
}

/// Has a token made, which is an event.
async fn make_token(desk: &Desk, name: &str) {
    let body = serde_json::json!({"name": name, "role": "viewer"});
    let reply = desk.post("/api/v1/tokens", &body).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
}
