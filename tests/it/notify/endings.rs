//! Approvals that end: told in time, once, and only of what is still pulled.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use super::{telling_as, wait_until};
use crate::admin::Desk;
use crate::support::receiver::{Received, Receiver};

const DAY: Duration = Duration::from_hours(24);

/// Approves `image` until `days` from now, and has a node pull it if `pulled`.
async fn approve(desk: &Desk, app: &str, days: u64, pulled: bool) -> String {
    desk.push(&format!("asked/{app}"), "1", app);
    let refused = desk.mirror.pull(&format!("asked/{app}"), "1").await;
    assert_eq!(refused.manifest.status, 403);
    let expires = desk.mirror.mirror().clock().now().after(DAY * u32::try_from(days).unwrap());
    let image = format!("up.test/asked/{app}:1");
    let body = json!({"target": image, "reason": "reviewed", "expires": expires.to_string()});
    let reply = desk.post("/api/v1/approvals", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    if pulled {
        desk.mirror.pull(&format!("asked/{app}"), "1").await.assert_complete();
        desk.mirror.mirror().ledger().flush().await;
    }
    image
}

async fn ring(desk: &Desk) -> u64 {
    desk.mirror.mirror().ring_endings().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_ends_is_told_at_14_3_and_1_days_once_each_also_across_restarts() {
    let receiver = Receiver::start().await;
    let desk = telling_as(&receiver, |webhook| {
        webhook.events = vec!["approval.*".parse().unwrap()];
    });
    let mut desk = desk.await;
    approve(&desk, "app", 20, true).await;
    approve(&desk, "idle", 20, false).await;
    let mut told = Vec::new();
    for day in 1..=20 {
        desk.mirror.clock.advance(DAY);
        let rung = ring(&desk).await;
        told.extend((rung > 0).then_some(day));
        assert_eq!(ring(&desk).await, 0, "twice on day {day}");
        if day == 6 || day == 18 {
            let token = desk.token.clone();
            desk = Desk { mirror: desk.mirror.restart().await, token };
            assert_eq!(ring(&desk).await, 0, "again after a restart on day {day}");
        }
    }
    assert_eq!(told, [6, 17, 19]);
    wait_until(&desk, |view| view.behind == 0).await;
    // A stop in the middle of a delivery has it come again, with the id that it had.
    let mut arrived = receiver.received();
    let mut ids = HashSet::new();
    arrived.retain(|one| ids.insert(one.id()));
    let days: Vec<String> = arrived
        .iter()
        .map(|one| one.json()["data"]["details"]["days"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(days, ["14", "3", "1"]);
    let kinds: Vec<String> = arrived.iter().map(Received::kind).collect();
    assert!(kinds.iter().all(|kind| kind == "approval.expiring"), "{kinds:?}");
    assert_eq!(arrived[0].json()["data"]["request"], "R-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_soon_is_in_queue_status_and_metric_until_people_decide_anew() {
    let receiver = Receiver::start().await;
    let desk = telling_as(&receiver, |_| {}).await;
    let image = approve(&desk, "app", 20, true).await;
    approve(&desk, "late", 60, true).await;
    let status = desk.get("/api/v1/status").await.json();
    assert!(status.get("endings").is_none(), "{status}");
    desk.mirror.clock.advance(DAY * 10);
    ring(&desk).await;
    let status = desk.get("/api/v1/status").await.json();
    assert_eq!(status["endings"][0]["image"], image.as_str());
    assert_eq!(status["endings"].as_array().unwrap().len(), 1);
    let metrics = desk.get("/metrics").await.text();
    assert!(metrics.contains("pratique_approvals_ending 1\n"), "{metrics}");
    let ran = desk.run(&["status"]).await;
    assert!(ran.stdout.contains("1 ends within 14 days"), "{ran:?}");
    assert!(ran.stdout.contains("up.test/asked/app:1"), "{ran:?}");
    desk.decide("/api/v1/revocations", &image).await;
    assert_eq!(ring(&desk).await, 0);
    let status = desk.get("/api/v1/status").await.json();
    assert!(status.get("endings").is_none(), "{status}");
    assert!(desk.get("/metrics").await.text().contains("pratique_approvals_ending 0\n"));
}
