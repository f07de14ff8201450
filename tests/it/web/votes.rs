//! For whom requests wait: how votes stand in the lists, and the list of those that wait for one person.

use pratique::ledger::{NewToken, Role};
use serde_json::{Value, json};

use super::{Browser, hidden};
use crate::admin::Desk;
use crate::support::mirror::TestMirror;

const POLICY: &str = "approvalPolicies:\n\
    \x20 eyes: {approvers: [\"token:alice\", \"token:bob\"], quorum: 2, distinctGroups: true}\n\
    \x20 others: {approvers: [\"token:carol\"], quorum: 1}\n\
    rules:\n\
    - {id: two, match: [\"up.test/two/**\"], trust: approve, approval: {policy: eyes}}\n\
    - {id: one, match: [\"up.test/one/**\"], trust: approve, approval: {policy: others}}\n\
    - {id: any, match: [\"up.test/any/**\"], trust: approve}\n\
    - {id: never, match: [\"up.test/never/**\"], trust: deny}\n";

struct Office {
    desk: Desk,
    tokens: Vec<(&'static str, String)>,
}

impl Office {
    /// A desk with four requests: R-1 for two votes, R-2 for carol's, R-3 for anybody's, R-4 refused.
    async fn open() -> Self {
        let desk = Desk::of(TestMirror::start_with(POLICY, |_| {}).await);
        for (number, place) in ["two", "one", "any", "never"].iter().enumerate() {
            let (repository, content) = (format!("{place}/app"), format!("content {number}"));
            desk.push(&repository, "1", &content);
            let phrase = if *place == "never" { "Denied" } else { "Pending" };
            desk.mirror.pull(&repository, "1").await.assert_refused(phrase);
        }
        let mut tokens = Vec::new();
        for (name, role) in [
            ("alice", Role::Approver),
            ("bob", Role::Approver),
            ("carol", Role::Approver),
            ("eve", Role::Viewer),
        ] {
            let ledger = desk.mirror.mirror().ledger();
            let secret = ledger.create_token(NewToken::new(name, role), "test").await.unwrap();
            tokens.push((name, secret.expose().to_owned()));
        }
        Self { desk, tokens }
    }

    fn token(&self, who: &str) -> &str {
        &self.tokens.iter().find(|(name, _)| *name == who).unwrap().1
    }

    async fn browser(&self, who: &str) -> Browser<'_> {
        let browser = Browser::new(&self.desk);
        browser.sign_in(self.token(who)).await;
        browser
    }

    async fn list(&self, who: &str, query: &str) -> Value {
        let path = format!("/api/v1/requests{query}");
        let reply =
            self.desk.send(hyper::Method::GET, &path, Some(self.token(who)), None, &[]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    async fn mine(&self, who: &str) -> Vec<String> {
        let list = self.list(who, "?mine=true").await;
        let ids = list.as_array().unwrap().iter();
        ids.map(|request| request["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn vote(&self, who: &str, target: &str) {
        let body = json!({"target": target, "reason": "looked at it"}).to_string();
        let token = Some(self.token(who));
        let path = "/api/v1/approvals";
        let reply = self.desk.send(hyper::Method::POST, path, token, Some(body), &[]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

/// The row of `request` in a queue.
fn row<'a>(page: &'a str, request: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("href=\"/requests/{request}\"")).expect("the row");
    rest.split_once("</tr>").expect("its end").0
}

#[tokio::test]
async fn the_queue_says_how_the_votes_stand_and_who_is_missing() {
    let office = Office::open().await;
    let browser = office.browser("alice").await;
    let page = browser.page("/").await;
    assert!(row(&page, "R-1").contains("0 of 2 votes"), "{page}");
    assert!(row(&page, "R-1").contains("2 more of token:alice, token:bob"), "{page}");
    assert!(row(&page, "R-2").contains("1 more of token:carol"), "{page}");
    assert!(row(&page, "R-3").contains("anybody who may decide"), "{page}");
    assert!(row(&page, "R-4").contains("nobody"), "{page}");
    office.vote("alice", "R-1").await;
    let page = browser.page("/").await;
    assert!(row(&page, "R-1").contains("1 of 2 votes"), "{page}");
    assert!(row(&page, "R-1").contains("1 more of token:alice, token:bob"), "{page}");
    let list = office.list("eve", "").await;
    assert_eq!(list[0]["votes"]["have"], 1, "{list}");
    assert_eq!(list[0]["votes"]["needed"], 2, "{list}");
    let missing = list[0]["waits_for"].as_str().unwrap_or_default();
    assert!(missing.starts_with("1 more of token:alice, token:bob"), "{list}");
    assert_eq!(list[2]["waits_for"], "anybody who may decide", "{list}");
    assert_eq!((&list[3]["waits_for"], &list[3]["votes"]), (&Value::Null, &Value::Null), "{list}");
}

#[tokio::test]
async fn what_waits_for_somebody_is_what_their_yes_counts_for_and_they_have_not_given_it() {
    let office = Office::open().await;
    for (who, expected) in [
        ("alice", &["R-1", "R-3"][..]),
        ("bob", &["R-1", "R-3"]),
        ("carol", &["R-2", "R-3"]),
        ("eve", &[]),
    ] {
        assert_eq!(office.mine(who).await, expected, "{who}");
    }
    office.vote("alice", "R-1").await;
    assert_eq!(office.mine("alice").await, ["R-3"]);
    assert_eq!(office.mine("bob").await, ["R-1", "R-3"], "the vote of another is not theirs");
    let (alice, bob) = (office.browser("alice").await, office.browser("bob").await);
    let page = alice.page("/?state=mine").await;
    assert!(!page.contains("/requests/R-1\"") && page.contains("/requests/R-3\""), "{page}");
    let page = bob.page("/?state=mine").await;
    assert!(page.contains("/requests/R-1\"") && !page.contains("/requests/R-2\""), "{page}");
    // Whoever asked does not approve it, so that it does not wait for them.
    let body = json!({"images": ["up.test/two/app:1"], "reason": "we need it"}).to_string();
    let token = Some(office.token("bob"));
    let asked =
        office.desk.send(hyper::Method::POST, "/api/v1/requests", token, Some(body), &[]).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    assert_eq!(office.mine("bob").await, ["R-3"]);
    office.vote("carol", "R-3").await;
    assert_eq!(office.mine("bob").await, [""; 0]);
    let none = bob.page("/?state=mine").await;
    assert!(none.contains("Nothing waits for you."), "{none}");
    // Who cannot decide has no such list to choose, and gets none.
    let eve = office.browser("eve").await;
    assert!(!eve.page("/").await.contains("state=mine"));
    assert!(eve.page("/?state=mine").await.contains("Nothing waits for you."));
    assert!(!hidden(&none, "form_token").is_empty());
}

#[tokio::test]
async fn a_vote_that_counts_no_more_is_asked_for_again() {
    let office = Office::open().await;
    office.vote("alice", "R-1").await;
    assert_eq!(office.mine("alice").await, ["R-3"]);
    let policy = POLICY.replace("quorum: 2, ", "quorum: 2, pendingTimeout: 1h, ");
    office.desk.mirror.set_policy(&policy, 2).await;
    assert_eq!(office.mine("alice").await, ["R-1", "R-3"]);
    let list = office.list("alice", "").await;
    assert_eq!(list[0]["votes"]["have"], 0, "{list}");
}
