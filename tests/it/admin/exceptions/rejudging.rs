//! Exceptions while verdicts of an earlier program hold, and how many there are.

use serde_json::json;

use super::super::upgrading::as_an_earlier_program_judged;
use super::{FOUR_EYES, Office};
use crate::admin::Desk;

impl Office {
    /// What deciding again would change: how many it looks at, and the images.
    async fn would_change(&self) -> (u64, Vec<String>) {
        let dry = self.desk.run(&["rejudge", "--dry-run", "--json"]).await.json();
        let changes = dry["changes"].as_array().expect("changes").iter();
        let images = changes.map(|it| it["image"].as_str().expect("an image").to_owned());
        (dry["examined"].as_u64().expect("a number"), images.collect())
    }
}

#[tokio::test]
async fn while_an_earlier_programs_verdicts_hold_one_that_ends_is_taken_back_and_one_granted_heals()
{
    let office = Office::open(FOUR_EYES).await;
    let digest = office.push("lib/app", "1", "a");
    office.granted("X-1", &json!({})).await;
    office.served("lib/app", "1").await;
    let as_before = async |office: Office| {
        let Office { desk, tokens } = office;
        let mirror = desk.mirror.restart_after(as_an_earlier_program_judged).await;
        Office { desk: Desk { mirror, ..desk }, tokens }
    };
    let office = Box::pin(as_before(office)).await;
    office.served("lib/app", digest).await;
    assert_eq!(office.would_change().await, (1, vec![]), "this program admits it by X-1 as well");
    let body = json!({"reason": "over"});
    assert_eq!(office.send("dave", "/exceptions/X-1/end", &body).await.status, 200);
    office.denied("lib/app", "1").await;
    assert_eq!(office.would_change().await, (0, vec![]), "nothing holds that rested on it");
    office.granted("X-2", &json!({})).await;
    office.served("lib/app", "1").await;

    let office = Box::pin(as_before(office)).await;
    let confirm = ["rejudge", "--confirm", "--reason", "looked at", "--json"];
    let done = office.desk.run(&confirm).await.json();
    assert_eq!((&done["examined"], &done["changed"]), (&json!(1), &json!(0)), "{done}");
    office.served("lib/app", "1").await;
    assert_eq!(office.send("dave", "/exceptions/X-2/end", &body).await.status, 200);
    office.denied("lib/app", "1").await;
    assert!(office.is_intact().await);
}

#[tokio::test]
async fn status_counts_what_waits_and_what_is_in_force() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    let status = async || office.desk.run(&["status"]).await.stdout;
    assert!(!status().await.contains("exceptions"), "none are not told");
    office.ask("developer", &json!({})).await;
    assert!(status().await.contains("exceptions 1 waiting, 0 in force"), "{}", status().await);
    office.grant("alice", "X-1").await;
    office.grant("bob", "X-1").await;
    assert!(status().await.contains("exceptions 0 waiting, 1 in force"), "{}", status().await);
    let view = office.desk.get("/api/v1/status").await.json();
    assert_eq!((&view["asked_exceptions"], &view["granted_exceptions"]), (&json!(0), &json!(1)));
    office.send("dave", "/exceptions/X-1/end", &json!({"reason": "over"})).await;
    assert!(!status().await.contains("exceptions"), "{}", status().await);
}
