//! Addresses that lead inside, certificates of others, and secrets that somebody would like to read.

use pratique::notify::{Address, EventPattern, Format};
use pratique::oci::Secret;

use super::{RETRY, RULES, make_token, telling, telling_as, view, wait_until, webhook, whsec};
use crate::admin::Desk;
use crate::support::certs::{Authority, Validity};
use crate::support::logs;
use crate::support::mirror::TestMirror;
use crate::support::receiver::{Manner, Receiver};
use crate::support::tls::Front;

/// Names of this machine and of what must not be reached, as somebody writes them who knows that the
/// plain ones are refused. One that resolves differently each time is none the better for it: what is
/// looked at is the address that is dialled.
const INSIDE: [&str; 9] = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "2130706433",
    "0x7f000001",
    "127.1",
    "169.254.169.254",
    "10.0.0.1",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_public_is_not_dialled_however_it_is_written() {
    let receiver = Receiver::start().await;
    let port = receiver.address().port();
    let policy = format!("rules:\n{RULES}");
    let mirror = TestMirror::start_with(&policy, |settings| {
        for (number, host) in INSIDE.iter().enumerate() {
            let mut webhook = webhook(settings, &format!("http://{host}:{port}/"));
            webhook.name = format!("hook-{number}");
            webhook.allow_private = false;
            settings.notify.webhooks.push(webhook);
        }
        settings.notify.retry = RETRY;
    });
    let desk = Desk::of(mirror.await);
    super::has_begun(&desk).await;
    make_token(&desk, "one").await;
    for _ in 0..500 {
        let views = desk.get("/api/v1/webhooks").await.json();
        let failed = |view: &serde_json::Value| view["failures"].as_u64().unwrap() > 0;
        if views.as_array().unwrap().iter().all(failed) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let views = desk.get("/api/v1/webhooks").await.json();
    for (host, view) in INSIDE.iter().zip(views.as_array().unwrap()) {
        let error = view["last_failure"]["error"].as_str().unwrap_or_default();
        // What the resolver does not take for an address is no connection either.
        assert!(
            error.contains("has no public address") || error.starts_with("no connection"),
            "{host}: {view}"
        );
    }
    for sure in [0, 1, 3, 7, 8] {
        let error = views[sure]["last_failure"]["error"].as_str().unwrap();
        assert!(error.contains("has no public address"), "{}: {error}", INSIDE[sure]);
    }
    assert_eq!(receiver.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_gets_nothing_and_that_of_the_right_one_does() {
    let receiver = Receiver::start().await;
    let (own, other) = (Authority::generate(), Authority::generate());
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.crt");
    std::fs::write(&ca_file, own.pem()).unwrap();
    for (pair, arrives) in [
        (other.sign("receiver", Validity::Now), false),
        (own.sign("receiver", Validity::Expired), false),
        (own.sign("receiver", Validity::Now), true),
    ] {
        let front = Front::start(&pair, &receiver.address().to_string()).await;
        let url = format!("https://{}/", front.address());
        let desk = telling_as(&receiver, |webhook| {
            webhook.address = Address::Url(Secret::new(url.as_str()));
            webhook.ca_file = Some(ca_file.clone());
            webhook.danger_plain_http = false;
        });
        let desk = desk.await;
        make_token(&desk, "one").await;
        if arrives {
            assert_eq!(wait_until(&desk, |view| view.deliveries == 1).await.failures, 0);
        } else {
            let failed = wait_until(&desk, |view| view.failures > 0).await;
            assert!(failed.last_failure.unwrap().error.starts_with("no TLS connection"));
            assert_eq!(receiver.count(), 0);
        }
    }
}

#[tokio::test]
async fn no_secret_of_a_webhook_is_in_any_log_answer_metric_or_record() {
    let log = logs::capture();
    let receiver = Receiver::start().await;
    let desk = telling(&receiver).await;
    receiver.next([Manner::says(500), Manner::HangsUp, Manner::says(302), Manner::says(410)]);
    make_token(&desk, "one").await;
    wait_until(&desk, |view| view.state == "paused").await;
    let mut said = log.text();
    assert!(said.contains("not delivered") && said.contains("it is gone"), "the log is read");
    let reply = desk.post("/api/v1/webhooks/hook/test", &serde_json::json!({})).await;
    said.push_str(&reply.text());
    for path in ["/api/v1/webhooks", "/metrics", "/api/v1/audit", "/api/v1/status"] {
        said.push_str(&desk.get(path).await.text());
    }
    said.push_str(&log.text());
    let secret = whsec();
    let key = secret.strip_prefix("whsec_").unwrap();
    for hidden in ["s3cr3t", "/hook", key] {
        assert!(!said.contains(hidden), "{hidden} was told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_without_a_secret_is_told_unsigned_and_escaped() {
    let receiver = Receiver::start().await;
    let desk = telling_as(&receiver, |webhook| {
        (webhook.secret_file, webhook.format) = (None, Format::Slack);
        webhook.events = vec![EventPattern::all()];
    });
    let desk = desk.await;
    let digest = desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let image = format!("up.test/asked/app@{digest}");
    let reason = "<!channel> see <https://evil.test|the desk> @here";
    let body = serde_json::json!({"target": image, "reason": reason});
    assert_eq!(desk.post("/api/v1/revocations", &body).await.status, 200);
    let idle = wait_until(&desk, |view| view.behind == 0 && view.deliveries >= 2).await;
    assert_eq!(idle.failures, 0);
    let arrived = receiver.received();
    let text = |at: usize| arrived[at].json()["text"].as_str().unwrap().to_owned();
    let all: Vec<String> = (0..arrived.len()).map(text).collect();
    let revoked = all.iter().find(|text| text.contains("revoked")).expect("a message");
    assert!(
        revoked.contains("&lt;!channel&gt; see &lt;https://evil.test|the desk&gt;"),
        "{revoked}"
    );
    assert!(!revoked.contains("@here"), "{revoked}");
    assert!(revoked.contains("<https://mirror.test/requests/R-1|R-1>"), "{revoked}");
    assert!(arrived.iter().all(|one| one.header("webhook-signature").is_empty()));
    assert_eq!(view(&desk).await.format, "slack");
}
