//! Where a rule asks several people: whose yes counts, what it is bound to, and what takes it away.

use std::time::Duration;

use hyper::Method;
use pratique::ledger::{NewToken, PersonId, Role, Vouched};
use pratique::oci::Digest;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Desk, Reply};
use crate::support::mirror::TestMirror;
use crate::support::upstream::Image;

/// A policy with one rule, which asks as `approval` says.
fn policy(approval: &str) -> String {
    format!(
        "approvalPolicies: {{eyes: {approval}}}\n\
         rules:\n\
         - {{id: asked, match: [\"up.test/**\"], trust: approve, approval: {{policy: eyes}}}}\n"
    )
}

const FOUR_EYES: &str =
    "{approvers: [\"group:security\", \"group:leads\"], quorum: 2, distinctGroups: true}";
const TWO: &str = "{approvers: [\"group:security\", \"group:leads\"], quorum: 2}";

/// Who vouches for the people of the office.
const PROVIDER: &str = "https://login.test";

/// A desk with people: alice and mallory of security, bob of leads, carol of both, dave of neither; each with
/// a token of their own. A robot, and an admin who is nobody in particular.
struct Office {
    desk: Desk,
    tokens: Vec<(&'static str, String)>,
}

/// What the audit calls `who`.
fn called(who: &str) -> String {
    format!("oidc:{PROVIDER}#{who}")
}

fn vouched(who: &str, groups: &[&str]) -> Vouched {
    Vouched {
        issuer: PROVIDER.to_owned(),
        subject: who.to_owned(),
        display: who.to_owned(),
        role: Role::Approver,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

impl Office {
    async fn open(approval: &str) -> Self {
        let mirror = TestMirror::start_with(&policy(approval), |_| {}).await;
        let mut office = Self { desk: Desk::of(mirror), tokens: Vec::new() };
        for (name, groups) in [
            ("alice", &["security"][..]),
            ("mallory", &["security"]),
            ("bob", &["leads"]),
            ("carol", &["security", "leads"]),
            ("dave", &["others"]),
        ] {
            let person = office.ledger().vouch(vouched(name, groups)).await.expect("somebody");
            office
                .token_of(
                    name,
                    NewToken { owner: Some(person.id), ..NewToken::new(name, Role::Approver) },
                )
                .await;
        }
        office.token_of("root", NewToken::new("root", Role::Admin)).await;
        for (name, role) in [("renovate", Role::Requester), ("robot", Role::Approver)] {
            let groups = [String::from("security")].into();
            office.token_of(name, NewToken { groups, ..NewToken::new(name, role) }).await;
        }
        office
    }

    fn ledger(&self) -> &pratique::ledger::Ledger {
        self.desk.mirror.mirror().ledger()
    }

    async fn token_of(&mut self, who: &'static str, new: NewToken) {
        let secret = self.ledger().create_token(new, "test").await.expect("a token");
        self.tokens.push((who, secret.expose().to_owned()));
    }

    fn token(&self, who: &str) -> &str {
        &self.tokens.iter().find(|(name, _)| *name == who).expect("somebody").1
    }

    async fn send(&self, who: &str, path: &str, body: &Value) -> Reply {
        let body = Some(body.to_string());
        self.desk.send(Method::POST, path, Some(self.token(who)), body, &[]).await
    }

    async fn vote(&self, who: &str, target: &str) -> Reply {
        let body = json!({"target": target, "reason": format!("{who} looked at it")});
        self.send(who, "/api/v1/approvals", &body).await
    }

    /// An image that waits, asked for by a node.
    async fn waiting(&self) -> Digest {
        let digest = self.desk.push("app", "1", "content");
        self.desk.mirror.pull("app", "1").await.assert_refused("Pending approval R-1");
        digest
    }

    async fn votes(&self) -> Value {
        self.desk.get("/api/v1/requests/R-1").await.json()["votes"].clone()
    }

    fn database(&self) -> Connection {
        Connection::open(self.desk.mirror.folder().join("data/ledger.db")).expect("a ledger")
    }
}

fn told(reply: &Reply) -> (u16, Value) {
    (reply.status, reply.json()["decision"].clone())
}

#[tokio::test]
async fn two_of_different_groups_open_the_way_and_one_alone_does_not() {
    let office = Office::open(FOUR_EYES).await;
    let digest = office.waiting().await;
    let first = office.vote("alice", "R-1").await;
    assert_eq!(told(&first), (200, json!("voted")), "{first:?}");
    assert_eq!(first.json()["votes"]["have"], 1);
    assert_eq!(first.json()["verdict"], "pending");
    office.desk.mirror.pull("app", "1").await.assert_refused("Pending approval R-1");

    // The same person again, another of the same group, somebody of none, the one who administers.
    let again = office.vote("alice", "R-1").await.json();
    assert_eq!((&again["decision"], &again["already"]), (&json!("voted"), &json!(true)), "{again}");
    let same = office.vote("mallory", "R-1").await;
    assert_eq!(told(&same), (200, json!("voted")), "{same:?}");
    assert_eq!(same.json()["votes"]["have"], 1, "one group has one voice");
    for who in ["dave", "root", "robot"] {
        let reply = office.vote(who, "R-1").await;
        assert_eq!((reply.status, reply.problem().as_str()), (403, "decision-refused"), "{who}");
        assert!(reply.text().contains("group:security"), "{reply:?}");
    }
    let robot = office.vote("renovate", "R-1").await;
    assert_eq!((robot.status, robot.problem().as_str()), (403, "role"));
    office.desk.mirror.pull("app", "1").await.assert_refused("Pending approval R-1");

    let votes = office.votes().await;
    assert_eq!((&votes["have"], &votes["needed"]), (&json!(1), &json!(2)), "{votes}");
    assert!(votes["missing"].as_str().is_some_and(|text| text.contains("1 more of")), "{votes}");
    let last = office.vote("bob", "R-1").await;
    assert_eq!(told(&last), (200, json!("approved")), "{last:?}");
    assert_eq!(last.json()["verdict"], "admit");
    office.desk.mirror.pull("app", "1").await.assert_complete();

    let explained = office.desk.get(&format!("/api/v1/explain?image=up.test/app@{digest}")).await;
    let counted = explained.json()["standing"]["voters"].clone();
    assert_eq!(counted, json!(["alice", "mallory", "bob"].map(called)));
    let audit = office.desk.get("/api/v1/audit").await.json();
    let actions: Vec<_> = audit["records"].as_array().expect("records").iter().collect();
    let of = |kind| actions.iter().filter(|row| row["action"] == kind).count();
    assert_eq!((of("voted"), of("approved")), (3, 1), "{audit}");
    assert_eq!(office.desk.get("/api/v1/audit/verify").await.json()["intact"], true);

    // Once more is nothing more; and a no takes one person.
    let more = office.vote("carol", "R-1").await;
    assert_ne!(more.json()["decision"], "voted", "{more:?}");
    let body = json!({"target": format!("up.test/app@{digest}"), "reason": "found out"});
    assert_eq!(office.send("mallory", "/api/v1/revocations", &body).await.status, 200);
    office.desk.mirror.pull("app", "1").await.assert_refused("Revoked");
}

#[tokio::test]
async fn votes_before_a_no_are_worth_nothing_after_it() {
    let office = Office::open(TWO).await;
    let digest = office.waiting().await;
    let target = format!("up.test/app@{digest}");
    assert_eq!(told(&office.vote("alice", "R-1").await), (200, json!("voted")));
    let body = json!({"target": "R-1", "reason": "no"});
    assert_eq!(office.send("bob", "/api/v1/rejections", &body).await.status, 200);
    let reply = office.vote("carol", &target).await;
    assert_eq!(told(&reply), (200, json!("voted")), "{reply:?}");
    assert_eq!(reply.json()["votes"]["have"], 1, "{reply:?}");
    office.desk.mirror.pull("app", "1").await.assert_refused("Rejected");
    let last = office.vote("alice", &target).await;
    assert_eq!(told(&last), (200, json!("approved")), "{last:?}");
}

#[tokio::test]
async fn who_asked_for_an_image_does_not_approve_it_unless_the_policy_says_so() {
    for (approval, may) in [(TWO, false), (&TWO.replace('}', ", selfApproval: true}"), true)] {
        let office = Office::open(approval).await;
        office.waiting().await;
        let asked = json!({"images": ["up.test/app:1"], "reason": "we need it"});
        assert_eq!(office.send("alice", "/api/v1/requests", &asked).await.status, 200);
        let own = office.vote("alice", "R-1").await;
        assert_eq!(own.status == 200, may, "{own:?}");
        assert_eq!(told(&office.vote("bob", "R-1").await).0, 200);
        // Who asks after having voted has not voted.
        let asked = office.send("bob", "/api/v1/requests", &asked).await;
        assert_eq!(asked.status, 200, "{asked:?}");
        if !may {
            let votes = office.votes().await;
            assert_eq!(votes["have"], 0, "{votes}");
            assert!(votes["votes"][0]["void"].as_str().is_some_and(|it| it.contains("asked for")));
        }
    }
}

#[tokio::test]
async fn what_changes_takes_votes_away_and_says_what() {
    let office = Office::open(TWO).await;
    office.waiting().await;
    let void = async |expected: &str| {
        let votes = office.votes().await;
        assert_eq!(votes["have"], 0, "{votes}");
        let why =
            votes["votes"].as_array().and_then(|all| all.last()).expect("a vote")["void"].clone();
        assert!(why.as_str().is_some_and(|why| why.contains(expected)), "{expected}: {votes}");
    };
    assert_eq!(told(&office.vote("alice", "R-1").await), (200, json!("voted")));
    // Another policy, also where it asks the same.
    office.desk.mirror.set_policy(&policy(TWO), 2).await;
    void("another policy").await;
    office.desk.mirror.set_policy(&policy(&TWO.replace("quorum: 2", "quorum: 1")), 3).await;
    office.desk.mirror.pull("app", "1").await.assert_refused("Pending approval R-1");
    void("another policy").await;
    // The voter's group, and the voter.
    office.desk.mirror.set_policy(&policy(TWO), 4).await;
    assert_eq!(told(&office.vote("alice", "R-1").await), (200, json!("voted")));
    assert_eq!(office.votes().await["have"], 1);
    office.ledger().vouch(vouched("alice", &["others"])).await.expect("another group");
    void("none of the approvers any more").await;
    office.ledger().vouch(vouched("alice", &["security"])).await.expect("the group again");
    assert_eq!(office.votes().await["have"], 1);
    let alice = PersonId::Oidc { issuer: PROVIDER.to_owned(), subject: "alice".to_owned() };
    office.ledger().remove_person(&alice, "root").await.expect("a removal");
    void("may not decide any more").await;
    let reply = office.vote("alice", "R-1").await;
    assert_eq!(reply.status, 401, "the token of somebody who is gone: {reply:?}");
    // Whoever comes back under the same name did not vote.
    office.desk.mirror.clock.advance(Duration::from_secs(1));
    office.ledger().vouch(vouched("alice", &["security"])).await.expect("somebody");
    void("may not decide any more").await;
}

#[tokio::test]
async fn a_person_has_one_vote_whatever_they_come_with() {
    let mut office = Office::open(TWO).await;
    office.waiting().await;
    let alice = PersonId::Oidc { issuer: PROVIDER.to_owned(), subject: "alice".to_owned() };
    let new = NewToken { owner: Some(alice), ..NewToken::new("alice-too", Role::Admin) };
    office.token_of("alice-too", new).await;
    assert_eq!(told(&office.vote("alice", "R-1").await), (200, json!("voted")));
    let again = office.vote("alice-too", "R-1").await;
    assert_eq!(told(&again), (200, json!("voted")), "{again:?}");
    assert_eq!(again.json()["votes"]["have"], 1, "{again:?}");
    // What a token may is no more than its owner may.
    let body = json!({"name": "x", "role": "admin"});
    assert_eq!(office.send("alice-too", "/api/v1/tokens", &body).await.status, 403);
    // Nor is a group that somebody wrote on a token a second person.
    let robot = office.vote("robot", "R-1").await;
    assert_eq!((robot.status, robot.problem().as_str()), (403, "decision-refused"), "{robot:?}");
    // Asking with one and approving with the other is asking and approving.
    let asked = json!({"images": ["up.test/app:1"]});
    assert_eq!(office.send("alice-too", "/api/v1/requests", &asked).await.status, 200);
    assert_eq!(office.vote("alice", "R-1").await.status, 403);
    assert_eq!(office.votes().await["have"], 0);
}

#[tokio::test]
async fn a_token_is_asked_where_the_policy_names_it() {
    let approval =
        "{approvers: [\"token:robot\", \"group:leads\"], quorum: 2, distinctGroups: true}";
    let office = Office::open(approval).await;
    office.waiting().await;
    assert_eq!(told(&office.vote("robot", "R-1").await), (200, json!("voted")));
    assert_eq!(told(&office.vote("bob", "R-1").await), (200, json!("approved")));
}

#[tokio::test]
async fn a_vote_grows_old_and_an_approval_ends_when_the_policy_says() {
    let approval = TWO.replace('}', ", expiresAfter: 30d, pendingTimeout: 2d}");
    let office = Office::open(&approval).await;
    let digest = office.waiting().await;
    office.vote("alice", "R-1").await;
    office.desk.mirror.clock.advance(Duration::from_hours(48));
    let reply = office.vote("bob", "R-1").await;
    assert_eq!(told(&reply), (200, json!("voted")), "{reply:?}");
    let votes = reply.json()["votes"].clone();
    assert!(
        votes["votes"][1]["void"].as_str().is_some_and(|it| it.contains("long ago")),
        "{votes}"
    );
    // The shorter of what voters want and the policy lets.
    let body = json!({"target": "R-1", "reason": "for a week", "expires": "2026-11-29T10:00:00Z"});
    let last = office.send("carol", "/api/v1/approvals", &body).await;
    assert_eq!(told(&last), (200, json!("approved")), "{last:?}");
    office.desk.mirror.pull("app", "1").await.assert_complete();
    office.desk.mirror.clock.advance(Duration::from_hours(24 * 8));
    office.desk.mirror.pull("app", "1").await.assert_refused("Pending approval");
    let target = format!("up.test/app@{digest}");
    for who in ["alice", "bob"] {
        assert_eq!(office.vote(who, &target).await.status, 200);
    }
    office.desk.mirror.pull("app", "1").await.assert_complete();
    office.desk.mirror.clock.advance(Duration::from_hours(24 * 31));
    office.desk.mirror.pull("app", "1").await.assert_refused("Pending approval");
}

#[tokio::test]
async fn a_rule_that_asks_more_people_takes_no_approval_by_fewer() {
    let office = Office::open(&TWO.replace("quorum: 2", "quorum: 1")).await;
    let digest = office.waiting().await;
    assert_eq!(told(&office.vote("alice", "R-1").await), (200, json!("approved")));
    office.desk.mirror.pull("app", "1").await.assert_complete();
    office.desk.mirror.set_policy(&policy(TWO), 2).await;
    office.desk.mirror.pull("app", "1").await.assert_refused("Pending approval");
    // And those whom it asks now can say yes to it.
    let target = format!("up.test/app@{digest}");
    assert_eq!(told(&office.vote("alice", &target).await), (200, json!("voted")));
    assert_eq!(told(&office.vote("bob", &target).await), (200, json!("approved")));
    office.desk.mirror.pull("app", "1").await.assert_complete();
}

#[tokio::test]
async fn a_vote_is_for_one_digest_and_what_the_tag_moves_to_begins_anew() {
    let office = Office::open(TWO).await;
    office.waiting().await;
    office.vote("alice", "R-1").await;
    let other = Image::new().layer("other".to_owned()).build();
    office.desk.mirror.upstream.push("app", "1", &other);
    office.desk.mirror.clock.advance(Duration::from_mins(2));
    office.desk.mirror.pull("app", "1").await.assert_refused("Pending approval R-2");
    let reply = office.vote("bob", "R-2").await;
    assert_eq!(told(&reply), (200, json!("voted")), "{reply:?}");
}

#[tokio::test]
async fn votes_that_somebody_writes_into_the_database_are_none() {
    // Mallory has the whole database, and no other file.
    for what in [
        "UPDATE votes SET body = replace(body, '\"quorum\":2', '\"quorum\":1')",
        "UPDATE votes SET body = replace(body, 'alice', 'bobby')",
        "UPDATE votes SET seal = x'00'",
    ] {
        let office = Office::open(TWO).await;
        office.waiting().await;
        office.vote("alice", "R-1").await;
        office.database().execute_batch(what).expect("a change");
        let reply = office.vote("bob", "R-1").await;
        assert_eq!(told(&reply), (200, json!("voted")), "{what}: {reply:?}");
        assert_eq!(reply.json()["votes"]["damaged"], 1, "{what}: {reply:?}");
        office.desk.mirror.pull("app", "1").await.assert_refused("Pending approval R-1");
    }
    // A no that is taken away brings no vote back that was before it.
    let office = Office::open(TWO).await;
    let digest = office.waiting().await;
    office.vote("alice", "R-1").await;
    let body = json!({"target": "R-1", "reason": "no"});
    assert_eq!(office.send("carol", "/api/v1/rejections", &body).await.status, 200);
    office.database().execute_batch("DELETE FROM decisions").expect("a change");
    let reply = office.vote("bob", &format!("up.test/app@{digest}")).await;
    assert_eq!(told(&reply), (200, json!("voted")), "{reply:?}");
    // The same vote once more, and one about another image, have seals that fit, or not.
    let office = Office::open(TWO).await;
    office.waiting().await;
    office.desk.push("other", "1", "other");
    office.desk.mirror.pull("other", "1").await.assert_refused("Pending approval R-2");
    office.vote("alice", "R-1").await;
    let copied = "INSERT INTO votes (record, body, seal) SELECT record, body, seal FROM votes";
    office.database().execute_batch(copied).expect("a copy");
    assert_eq!(office.votes().await["have"], 1, "one person has one vote");
    let moved = "INSERT INTO votes (record, body, seal)
                 SELECT (SELECT max(id) FROM records), body, seal FROM votes LIMIT 1";
    office.database().execute_batch(moved).expect("a copy");
    let forged = "INSERT INTO votes (record, body, seal)
                  SELECT record, replace(body, 'alice', 'bob'), seal FROM votes LIMIT 1";
    office.database().execute_batch(forged).expect("a forgery");
    let votes = office.votes().await;
    assert_eq!((&votes["have"], &votes["damaged"]), (&json!(1), &json!(1)), "{votes}");
    let reply = office.vote("bob", "R-2").await;
    assert_eq!(told(&reply), (200, json!("voted")), "{reply:?}");
}

#[tokio::test]
async fn of_two_votes_at_once_both_count_and_one_decides() {
    let office = Office::open(TWO).await;
    office.waiting().await;
    let replies = tokio::join!(office.vote("alice", "R-1"), office.vote("bob", "R-1"));
    let mut decisions =
        [told(&replies.0), told(&replies.1)].map(|(_, decision)| decision.to_string());
    decisions.sort_unstable();
    assert_eq!(decisions, ["\"approved\"", "\"voted\""]);
    office.desk.mirror.pull("app", "1").await.assert_complete();
}

#[tokio::test]
async fn what_somebody_voted_on_has_another_version_after_another_vote() {
    let office = Office::open(TWO).await;
    office.waiting().await;
    let seen = office.desk.get("/api/v1/requests/R-1").await.header("etag").to_owned();
    office.vote("alice", "R-1").await;
    let body = Some(json!({"decision": "approve", "reason": "as I saw it"}).to_string());
    let path = "/api/v1/requests/R-1/votes";
    let headers = [("if-match", seen.as_str())];
    let reply =
        office.desk.send(Method::POST, path, Some(office.token("bob")), body.clone(), &headers);
    let reply = reply.await;
    assert_eq!((reply.status, reply.problem().as_str()), (412, "conflict"), "{reply:?}");
    let reply = office.desk.send(Method::POST, path, Some(office.token("bob")), body, &[]).await;
    assert_eq!(told(&reply), (200, json!("approved")), "{reply:?}");
    let wrong = json!({"decision": "perhaps", "reason": "x"});
    assert_eq!(office.send("bob", path, &wrong).await.status, 400);
}

#[tokio::test]
async fn a_yes_is_to_what_was_seen_of_the_image_and_a_no_to_the_image() {
    let office = Office::open(TWO).await;
    office.waiting().await;
    let seen = async || office.desk.get("/api/v1/requests/R-1").await.header("etag").to_owned();
    let before = seen().await;
    assert_eq!(seen().await, before, "nothing changed");
    office.desk.mirror.set_policy(&policy(TWO), 2).await;
    let send = async |decision: &str, seen: &str| {
        let body = Some(json!({"decision": decision, "reason": "as I saw it"}).to_string());
        let headers = [("if-match", seen)];
        let path = "/api/v1/requests/R-1/votes";
        office.desk.send(Method::POST, path, Some(office.token("alice")), body, &headers).await
    };
    let reply = send("approve", &before).await;
    assert_eq!((reply.status, reply.problem().as_str()), (412, "conflict"), "{reply:?}");
    let now = seen().await;
    assert_ne!(now, before);
    let reply = send("approve", &now).await;
    assert_eq!(told(&reply), (200, json!("voted")), "{reply:?}");
    // A no is as good whatever became of the image, but not after somebody said something else.
    assert_eq!(send("reject", &now).await.status, 412);
    let now = seen().await;
    office.desk.mirror.set_policy(&policy(TWO), 3).await;
    let reply = send("reject", &now).await;
    assert_eq!(told(&reply), (200, json!("rejected")), "{reply:?}");
}

#[tokio::test]
async fn a_policy_may_name_who_asks() {
    let approval = TWO.replace('}', ", requesters: [\"token:renovate\", \"group:others\"]}");
    let office = Office::open(&approval).await;
    office.desk.push("app", "1", "content");
    let body = json!({"images": ["up.test/app:1"]});
    let ledger = office.desk.mirror.mirror().ledger();
    let eve =
        ledger.create_token(NewToken::new("eve", Role::Requester), "test").await.expect("one");
    let path = "/api/v1/requests";
    let reply =
        office.desk.send(Method::POST, path, Some(eve.expose()), Some(body.to_string()), &[]).await;
    assert_eq!((reply.status, reply.problem().as_str()), (403, "decision-refused"), "{reply:?}");
    let reply = office.send("renovate", path, &body).await;
    assert_eq!((reply.status, &reply.json()[0]["request"]), (200, &json!("R-1")), "{reply:?}");
    let request = office.desk.get("/api/v1/requests/R-1").await.json();
    assert_eq!(request["requesters"], json!(["renovate"]));
}
