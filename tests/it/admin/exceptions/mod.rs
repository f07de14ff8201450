//! Exceptions granted at the desk: who may, what each takes out, for how long, and what makes none.

mod rejudging;

use std::time::Duration;

use hyper::Method;
use pratique::ledger::{NewToken, PersonId, Role, Vouched};
use pratique::oci::Digest;
use pratique::time::Clock as _;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Desk, Reply};
use crate::scanning::{OPENSSL, know, openssl, other};
use crate::support::archive::{CRITICAL, debian, record};
use crate::support::mirror::TestMirror;
use crate::support::upstream::Image;

const FOUR_EYES: &str = "{policy: four-eyes, longest: 30d}";
const SOON: &str = "2026-12-01T10:00:00Z";
const DAY: Duration = Duration::from_hours(24);
/// Who vouches for the people of the office.
const PROVIDER: &str = "https://login.test";
/// What a blocked pull is told.
const DENIED: &str = "Denied by rule app: CVE-2026-1";

/// A policy with a gate that refuses what is critical; `granting` is who grants exceptions from it.
fn policy(granting: &str, approval: &str) -> String {
    let granting = if granting.is_empty() {
        String::new()
    } else {
        format!(", exceptionApproval: {granting}")
    };
    format!(
        "floor: {{vulnerabilities: {{denyMalware: true}}}}\n\
         gates: {{strict: {{deny: [{{severity: critical}}]}}}}\n\
         approvalPolicies: {{four-eyes: {{approvers: [\"group:security\", \"group:leads\"], \
         quorum: 2, distinctGroups: true{approval}}}}}\n\
         rules: [{{id: app, match: [\"up.test/lib/*\"], trust: allow, gates: [strict]{granting}}}]\n"
    )
}

/// A desk with people: alice of security, bob of leads, carol of both, dave of neither, and a developer who
/// asks; each with a token of their own.
struct Office {
    desk: Desk,
    tokens: Vec<(&'static str, String)>,
}

/// What the audit calls `who`.
fn called(who: &str) -> String {
    format!("oidc:{PROVIDER}#{who}")
}

impl Office {
    async fn open(granting: &str) -> Self {
        Self::open_with(&policy(granting, "")).await
    }

    async fn open_with(policy: &str) -> Self {
        let mirror = TestMirror::start_with(policy, |_| {}).await;
        know(&mirror, &[openssl(), other()]).await;
        let mut office = Self { desk: Desk::of(mirror), tokens: Vec::new() };
        for (name, role, groups) in [
            ("alice", Role::Approver, &["security"][..]),
            ("bob", Role::Approver, &["leads"]),
            ("carol", Role::Approver, &["security", "leads"]),
            ("dave", Role::Approver, &["others"]),
            ("developer", Role::Requester, &["developers"]),
            ("viewer", Role::Viewer, &["security"]),
        ] {
            let vouched = Vouched {
                issuer: PROVIDER.to_owned(),
                subject: name.to_owned(),
                display: name.to_owned(),
                role,
                groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            };
            let ledger = office.desk.mirror.mirror().ledger();
            let person: PersonId = ledger.vouch(vouched).await.expect("somebody").id;
            let new = NewToken { owner: Some(person), ..NewToken::new(name, role) };
            let secret = ledger.create_token(new, "test").await.expect("a token");
            office.tokens.push((name, secret.expose().to_owned()));
        }
        office
    }

    async fn send(&self, who: &str, path: &str, body: &Value) -> Reply {
        let token = &self.tokens.iter().find(|(name, _)| *name == who).expect("somebody").1;
        let path = format!("/api/v1{path}");
        self.desk.send(Method::POST, &path, Some(token), Some(body.to_string()), &[]).await
    }

    async fn ask(&self, who: &str, change: &Value) -> Reply {
        let mut body = json!({
            "image": "up.test/lib/app:1", "vulnerability": OPENSSL, "reason": format!("{who} wants it"),
            "expires": SOON,
        });
        for (key, value) in change.as_object().expect("changes") {
            body[key] = value.clone();
        }
        self.send(who, "/exceptions", &body).await
    }

    async fn grant(&self, who: &str, id: &str) -> Reply {
        let body = json!({"decision": "grant", "reason": format!("{who} looked at it")});
        self.send(who, &format!("/exceptions/{id}/votes"), &body).await
    }

    /// Asks and has it granted by two.
    async fn granted(&self, id: &str, change: &Value) {
        let asked = self.ask("developer", change).await;
        assert_eq!(asked.status, 200, "{asked:?}");
        assert_eq!(asked.json()["exception"]["id"], id);
        assert_eq!(self.grant("alice", id).await.json()["decision"], "voted");
        let last = self.grant("bob", id).await;
        assert_eq!(last.json()["decision"], "granted", "{last:?}");
    }

    async fn show(&self, id: &str) -> Value {
        self.desk.get(&format!("/api/v1/exceptions/{id}")).await.json()
    }

    /// Pushes an image with openssl that has the finding.
    fn push(&self, repository: &str, tag: &str, more: &str) -> Digest {
        let image = Image::new().layer(debian(&[("openssl", "3.0.11-1"), (more, "1")])).build();
        self.desk.mirror.upstream.push(repository, tag, &image)
    }

    async fn served(&self, repository: &str, tag: impl std::fmt::Display) {
        self.desk.mirror.pull(repository, tag).await.assert_complete();
    }

    async fn denied(&self, repository: &str, tag: impl std::fmt::Display) {
        self.desk.mirror.pull(repository, tag).await.assert_refused(DENIED);
    }

    async fn is_intact(&self) -> bool {
        self.desk.get("/api/v1/audit/verify").await.json()["intact"] == true
    }

    fn actions(audit: &Value, kind: &str) -> usize {
        let records = audit["records"].as_array().expect("records");
        records.iter().filter(|row| row["action"] == kind).count()
    }
}

#[tokio::test]
async fn two_take_one_finding_out_of_a_blocked_image_until_a_day_and_it_ends_by_itself() {
    let office = Office::open(FOUR_EYES).await;
    let digest = office.push("lib/app", "1", "a");
    office.denied("lib/app", "1").await;
    let asked = office.ask("developer", &json!({"ticket": "SEC-1"})).await;
    let view = &asked.json()["exception"];
    assert_eq!((&view["id"], &view["state"]), (&json!("X-1"), &json!("asked")), "{asked:?}");
    assert_eq!(view["image"], format!("up.test/lib/app@{digest}"), "bound to the digest");
    assert_eq!(view["finding"], json!(["CVE-2026-1 in openssl: critical, fixed in 3.0.13-1"]));
    assert!(view.get("still_refused").is_none(), "{view}");
    office.denied("lib/app", "1").await;

    let first = office.grant("alice", "X-1").await;
    assert_eq!((first.status, &first.json()["decision"]), (200, &json!("voted")), "{first:?}");
    office.denied("lib/app", "1").await;
    for who in ["dave", "developer", "viewer"] {
        let reply = office.grant(who, "X-1").await;
        assert_eq!(reply.status, 403, "{who}: {reply:?}");
    }
    let last = office.grant("bob", "X-1").await.json();
    assert_eq!(
        (&last["decision"], &last["exception"]["state"]),
        (&json!("granted"), &json!("granted"))
    );
    office.served("lib/app", "1").await;

    let explained = office.desk.get("/api/v1/explain?image=up.test/lib/app:1").await.json();
    let excepted = &explained["excepted"][0];
    assert_eq!((&excepted["exception"], &excepted["until"]), (&json!("X-1"), &json!(SOON)));
    assert_eq!(excepted["by"], json!([called("alice"), called("bob")]));
    let scan = explained["checks"].as_array().expect("checks").iter();
    let scan = scan.clone().find(|check| check["name"] == "scan").expect("a scan");
    assert!(scan["text"].as_str().expect("text").contains("excepted by X-1 (granted by"), "{scan}");

    // It holds through a restart, and ends to the second, whatever the clock says later.
    let Office { desk, tokens } = office;
    let office = Office { desk: Desk { mirror: desk.mirror.restart().await, ..desk }, tokens };
    office.served("lib/app", "1").await;
    let before = office.desk.mirror.clock.now();
    office.desk.mirror.clock.set(SOON.parse().expect("a time"));
    office.denied("lib/app", "1").await;
    assert_eq!(office.desk.mirror.mirror().end_exceptions().await.expect("a ledger"), 1);
    office.desk.mirror.clock.set(before);
    office.denied("lib/app", "1").await;
    let Office { desk, tokens } = office;
    let office = Office { desk: Desk { mirror: desk.mirror.restart().await, ..desk }, tokens };
    office.desk.mirror.clock.set(before);
    office.denied("lib/app", "1").await;
    let ended = office.show("X-1").await;
    assert_eq!((&ended["state"], &ended["closed"]["how"]), (&json!("ended"), &json!("expired")));

    let audit = office.desk.get("/api/v1/audit").await.json();
    for (kind, count) in [
        ("exception-asked", 1),
        ("exception-voted", 2),
        ("exception-granted", 1),
        ("exception-ended", 1),
    ] {
        assert_eq!(Office::actions(&audit, kind), count, "{kind}: {audit}");
    }
    assert!(office.is_intact().await);
}

#[tokio::test]
async fn what_is_withdrawn_is_refused_with_the_next_pull_and_who_asked_takes_back_only_their_own() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    office.granted("X-1", &json!({})).await;
    office.served("lib/app", "1").await;
    let end = |who: &'static str, id: &'static str| {
        let body = json!({"reason": "found out"});
        let path = format!("/exceptions/{id}/end");
        let office = &office;
        async move { office.send(who, &path, &body).await }
    };
    assert_eq!(end("developer", "X-1").await.status, 403);
    office.served("lib/app", "1").await;
    assert_eq!(end("dave", "X-1").await.json()["exception"]["state"], "ended");
    office.denied("lib/app", "1").await;
    assert_eq!(end("dave", "X-1").await.status, 409, "once");
    assert_eq!(office.grant("carol", "X-1").await.status, 409, "nothing brings it back");
    // What waits: whoever asked alone takes it back, and not what others asked for, too.
    assert_eq!(office.ask("developer", &json!({})).await.json()["exception"]["id"], "X-2");
    assert_eq!(end("developer", "X-2").await.json()["exception"]["closed"]["how"], "withdrawn");
    assert_eq!(office.ask("developer", &json!({})).await.json()["exception"]["id"], "X-3");
    assert_eq!(office.ask("dave", &json!({})).await.json()["exception"]["id"], "X-3");
    assert_eq!(end("developer", "X-3").await.status, 403);
    assert_eq!(end("developer", "X-9").await.status, 404);
    assert!(office.is_intact().await);
}

#[tokio::test]
async fn asking_for_the_same_joins_and_a_no_closes_it_for_good() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    assert_eq!(office.ask("developer", &json!({})).await.json()["already"], false);
    assert_eq!(office.ask("developer", &json!({})).await.json()["already"], true);
    let joined = office.ask("dave", &json!({"expires": "2026-11-25T00:00:00Z"})).await.json();
    assert_eq!((&joined["exception"]["id"], &joined["already"]), (&json!("X-1"), &json!(false)));
    let asked = joined["exception"]["asked"].as_array().expect("askers").clone();
    assert_eq!(asked.len(), 2, "{joined}");
    assert_eq!(joined["exception"]["expires"], SOON, "what it says stays as it was asked for");
    let other = office.ask("developer", &json!({"package": "openssl"})).await.json();
    assert_eq!(other["exception"]["id"], "X-2", "about a package it is another");
    let body = json!({"decision": "refuse", "reason": "fix it"});
    assert_eq!(
        office.send("dave", "/exceptions/X-1/votes", &body).await.json()["decision"],
        "refused"
    );
    assert_eq!(office.grant("alice", "X-1").await.status, 409);
    assert_eq!(office.ask("developer", &json!({})).await.json()["exception"]["id"], "X-3");
    assert_eq!(office.grant("alice", "X-3").await.json()["exception"]["votes"]["have"], 1);
    office.denied("lib/app", "1").await;
    let listed = |state: &'static str| {
        let desk = &office.desk;
        async move {
            let all = desk.get(&format!("/api/v1/exceptions?state={state}")).await.json();
            let ids = all.as_array().expect("a list").iter().map(|it| it["id"].clone());
            ids.collect::<Vec<Value>>()
        }
    };
    assert_eq!(listed("refused").await, ["X-1"]);
    assert_eq!(listed("open").await, ["X-2", "X-3"]);
    assert_eq!(listed("all").await.len(), 3);
    assert_eq!(office.desk.get("/api/v1/exceptions?state=waived").await.status, 400);
}

#[tokio::test]
async fn where_nothing_is_written_the_desk_grants_none_and_says_which_key_would_allow_it() {
    for granting in ["", "none"] {
        let office = Office::open(granting).await;
        office.push("lib/app", "1", "a");
        let reply = office.ask("developer", &json!({})).await;
        assert_eq!((reply.status, reply.problem().as_str()), (403, "decision-refused"));
        assert!(reply.text().contains("exceptionApproval"), "{reply:?}");
    }
}

#[tokio::test]
async fn what_is_asked_for_has_an_end_a_reason_and_something_to_take_out() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    office.push("lib/clean", "1", "a");
    let clean = Image::new().layer(debian(&[("other", "2")])).build();
    office.desk.mirror.upstream.push("lib/clean", "2", &clean);
    for (change, status, says) in [
        (json!({"expires": "2027-01-01T00:00:00Z"}), 400, "30 days at most"),
        (json!({"expires": "2026-11-20T10:00:00Z"}), 400, "in the past"),
        (json!({"expires": null}), 400, ""),
        (json!({"reason": "  "}), 400, "reason"),
        (json!({"reason": "two\nlines"}), 400, "reason"),
        (json!({"vulnerability": "CVE-2026-1 or so"}), 400, "one word"),
        (json!({"vulnerability": ""}), 400, "one word"),
        (json!({"vulnerability": "MAL-2026-1"}), 400, "malware"),
        (json!({"package": "a b"}), 400, "one word"),
        (json!({"ticket": "a\u{7}"}), 400, "ticket"),
        (json!({"justification": "because"}), 400, "OpenVEX"),
        (json!({"scope": "registry"}), 400, "scope"),
        (json!({"image": "up.test/lib/*"}), 400, ""),
        (json!({"vulnerability": "CVE-2099-1"}), 403, "nothing to except"),
        (json!({"package": "libc6"}), 403, "nothing to except"),
        (json!({"image": "up.test/lib/clean:2"}), 403, "nothing to except"),
        (json!({"image": "up.test/lib/none", "scope": "repository"}), 403, "nothing to except"),
        (json!({"image": "up.test/lib/gone:1"}), 404, ""),
    ] {
        let reply = office.ask("developer", &change).await;
        assert_eq!(reply.status, status, "{change}: {reply:?}");
        assert!(reply.text().contains(says), "{change}: {reply:?}");
    }
    let all = office.desk.get("/api/v1/exceptions?state=all").await.json();
    assert_eq!(all, json!([]), "nothing was filed");
    let justified = json!({"justification": "vulnerable_code_not_in_execute_path"});
    assert_eq!(office.ask("developer", &justified).await.status, 200);
    let viewer = office.ask("viewer", &json!({})).await;
    assert_eq!((viewer.status, viewer.problem().as_str()), (403, "role"));
}

#[tokio::test]
async fn an_exception_of_one_image_or_repository_never_holds_in_another() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    let next = office.push("lib/app", "2", "b");
    let same = office.push("lib/twin", "1", "a");
    office.granted("X-1", &json!({})).await;
    office.served("lib/app", "1").await;
    // Another digest of the repository; the same digest in another repository.
    office.denied("lib/app", "2").await;
    office.denied("lib/app", next).await;
    office.denied("lib/twin", "1").await;
    office.denied("lib/twin", same).await;
    // Of the repository: what comes later, too, and nobody else's.
    office.granted("X-2", &json!({"scope": "repository"})).await;
    office.served("lib/app", "2").await;
    office.push("lib/app", "3", "c");
    office.served("lib/app", "3").await;
    office.denied("lib/twin", "1").await;
    // A name that only looks like it.
    office.push("lib/app2", "1", "a");
    office.denied("lib/app2", "1").await;
    // A tag that moves takes nothing of an image with it.
    let body = json!({"reason": "over"});
    assert_eq!(office.send("dave", "/exceptions/X-2/end", &body).await.status, 200);
    office.served("lib/app", "1").await;
    office.denied("lib/app", "2").await;
    office.denied("lib/app", "3").await;
}

#[tokio::test]
async fn neither_the_floor_nor_a_refusal_of_people_is_loosened() {
    let office = Office::open(FOUR_EYES).await;
    let digest = office.push("lib/app", "1", "a");
    office.granted("X-1", &json!({})).await;
    office.served("lib/app", "1").await;
    let body = json!({"target": format!("up.test/lib/app@{digest}"), "reason": "no"});
    assert_eq!(office.send("dave", "/revocations", &body).await.status, 200);
    office.desk.mirror.pull("lib/app", "1").await.assert_refused("Revoked");
    assert_eq!(office.ask("developer", &json!({"package": "openssl"})).await.status, 403);

    let evil = record("MAL-2026-5", "Debian:12", "openssl", "9", CRITICAL);
    know(&office.desk.mirror, &[openssl(), other(), evil]).await;
    office.push("lib/evil", "1", "a");
    let malware = json!({"image": "up.test/lib/evil:1", "vulnerability": "MAL-2026-5"});
    assert_eq!(office.ask("developer", &malware).await.status, 400);
    office.desk.mirror.pull("lib/evil", "1").await.assert_refused("Denied by rule app: malware");
}

#[tokio::test]
async fn a_vote_counts_while_all_of_it_is_so_that_its_voter_was_shown() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    office.ask("developer", &json!({})).await;
    assert_eq!(office.grant("alice", "X-1").await.json()["exception"]["votes"]["have"], 1);
    let why = |view: Value| view["votes"]["votes"][0]["void"].as_str().unwrap_or("").to_owned();
    assert_eq!(why(office.show("X-1").await), "");
    // The finding is another: there is another fix.
    let fixed = record(OPENSSL, "Debian:12", "openssl", "3.0.14-1", CRITICAL);
    know(&office.desk.mirror, &[fixed, other()]).await;
    let void = why(office.show("X-1").await);
    assert!(void.contains("the finding is another: it was") && void.contains("3.0.14-1"), "{void}");
    let alone = office.grant("bob", "X-1").await.json();
    assert_eq!(alone["decision"], "voted", "{alone}");
    office.denied("lib/app", "1").await;
    // Another policy, and whom it asks.
    office.desk.mirror.set_policy(&policy(FOUR_EYES, ", pendingTimeout: 48h"), 2).await;
    assert_eq!(why(office.show("X-1").await), "another policy is in force");
    assert_eq!(office.grant("alice", "X-1").await.json()["decision"], "voted");
    // Too long ago.
    office.desk.mirror.clock.advance(3 * DAY);
    let votes = office.show("X-1").await;
    let told = votes.to_string();
    assert!(told.contains("it was given too long ago"), "{told}");
    // Who asks after having voted has not voted.
    let joined = office.ask("alice", &json!({"expires": "2026-12-05T00:00:00Z"})).await;
    assert_eq!(joined.status, 200, "{joined:?}");
    let own = office.grant("alice", "X-1").await;
    assert_eq!(own.status, 403);
    assert!(own.text().contains("asked for this exception"), "{own:?}");
}

#[tokio::test]
async fn what_was_granted_falls_with_what_let_it_be_granted() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    office.granted("X-1", &json!({})).await;
    office.served("lib/app", "1").await;
    let three = policy(FOUR_EYES, "").replace("quorum: 2, distinctGroups: true", "quorum: 3");
    for (revision, text, served) in [
        (2, policy("none", ""), false),
        (3, policy(FOUR_EYES, ""), true),
        (4, policy("{policy: four-eyes, longest: 7d}", ""), false),
        (5, format!("maxException: 7d\n{}", policy(FOUR_EYES, "")), false),
        (6, three, false),
        (7, policy(FOUR_EYES, ""), true),
    ] {
        office.desk.mirror.set_policy(&text, revision).await;
        if served {
            office.served("lib/app", "1").await;
        } else {
            office.denied("lib/app", "1").await;
        }
    }
}

#[tokio::test]
async fn a_row_that_is_edited_or_put_back_makes_no_exception() {
    let office = Office::open(FOUR_EYES).await;
    let digest = office.push("lib/app", "1", "a");
    office.push("lib/twin", "1", "a");
    office.denied("lib/twin", "1").await;
    office.granted("X-1", &json!({})).await;
    office.served("lib/app", "1").await;
    let read = |path: &std::path::Path| -> (String, Vec<u8>) {
        let database = Connection::open(path.join("ledger.db")).expect("a ledger");
        let sql = "SELECT body, seal FROM exceptions WHERE id = 1";
        database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("a row")
    };
    let data = office.desk.mirror.folder().join("data");
    let granted = read(&data);
    let body = json!({"reason": "over"});
    assert_eq!(office.send("dave", "/exceptions/X-1/end", &body).await.status, 200);
    office.denied("lib/app", "1").await;
    let Office { mut desk, tokens } = office;
    let twin = granted.0.replace("lib/app", "lib/twin");
    let longer = granted.0.replace(SOON, "2026-12-20T10:00:00Z");
    let sql = "UPDATE exceptions SET state = 'granted', body = ?1, seal = ?2 WHERE id = 1";
    let key = "UPDATE exceptions SET key = replace(key, 'lib/app', 'lib/twin'), name = 'up.test/lib/twin'";
    for (what, row, more) in [
        ("put back as it was", granted.clone(), ""),
        ("put back for longer", (longer, granted.1.clone()), ""),
        ("moved to another repository", (twin, granted.1.clone()), key),
    ] {
        let put = |folder: &std::path::Path| {
            let database = Connection::open(folder.join("ledger.db")).expect("a ledger");
            database.execute(sql, rusqlite::params![row.0, row.1]).expect("a row");
            database.execute_batch(more).expect("a row");
        };
        desk.mirror = desk.mirror.restart_after(put).await;
        let office = Office { desk, tokens: tokens.clone() };
        office.denied("lib/app", "1").await;
        office.denied("lib/app", digest).await;
        office.denied("lib/twin", "1").await;
        assert_eq!(office.desk.get("/api/v1/exceptions/X-1").await.status, 404, "{what}");
        let reply = office.desk.get("/api/v1/audit/verify").await.json();
        assert_eq!(reply["intact"], false, "{what}: {reply}");
        desk = office.desk;
    }
}

#[tokio::test]
async fn a_vote_that_is_written_into_the_database_counts_for_nothing() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    office.ask("developer", &json!({})).await;
    assert_eq!(office.grant("alice", "X-1").await.json()["decision"], "voted");
    let database = Connection::open(office.desk.mirror.folder().join("data/ledger.db"));
    let forge = "INSERT INTO exception_votes (exception, body, seal)
                 SELECT exception, replace(body, 'alice', 'bob'), seal FROM exception_votes";
    database.expect("a ledger").execute_batch(forge).expect("a row");
    assert_eq!(office.show("X-1").await["votes"]["have"], 1);
    let alone = office.grant("alice", "X-1").await.json();
    assert_eq!(alone["decision"], "voted", "{alone}");
    office.denied("lib/app", "1").await;
}

#[tokio::test]
async fn one_who_renews_an_exception_puts_it_in_the_place_of_the_one_before() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    office.granted("X-1", &json!({})).await;
    let sooner = office.ask("developer", &json!({"expires": "2026-11-25T00:00:00Z"})).await;
    assert_eq!(sooner.status, 403, "{sooner:?}");
    assert!(sooner.text().contains("X-1 takes it out until"), "{sooner:?}");
    office.granted("X-2", &json!({"expires": "2026-12-10T00:00:00Z"})).await;
    let before = office.show("X-1").await;
    assert_eq!(
        (&before["state"], &before["closed"]["reason"]),
        (&json!("ended"), &json!("X-2 takes its place"))
    );
    office.desk.mirror.clock.set(SOON.parse().expect("a time"));
    know(&office.desk.mirror, &[openssl(), other()]).await;
    office.served("lib/app", "1").await;
    assert!(office.is_intact().await);
}

#[tokio::test]
async fn people_are_told_14_3_and_1_days_before_it_ends() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    office.granted("X-1", &json!({"expires": "2026-12-20T10:00:00Z"})).await;
    let mirror = office.desk.mirror.mirror();
    let mut rung = Vec::new();
    for _ in 0..30 {
        rung.push(mirror.ring_endings().await.expect("a ledger"));
        office.desk.mirror.clock.advance(DAY);
    }
    let days: Vec<usize> = (0..30).filter(|day| rung[*day] > 0).collect();
    assert_eq!((days, rung.iter().sum::<u64>()), (vec![16, 27, 29], 3));
    let audit = office.desk.get("/api/v1/audit?limit=1000").await.json();
    assert_eq!(Office::actions(&audit, "exception-expiring"), 3);
    assert!(office.is_intact().await);
    assert_eq!(office.show("X-1").await["state"], "granted", "the word about its end ends nothing");
}

#[tokio::test]
async fn a_vote_on_what_changed_since_it_was_looked_at_is_refused() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    office.ask("developer", &json!({})).await;
    let shown = office.desk.get("/api/v1/exceptions/X-1").await;
    let version = shown.header("etag").to_owned();
    let token = &office.tokens[0].1;
    let body = json!({"decision": "grant", "reason": "looked"}).to_string();
    let send = |version: String| {
        let (body, desk) = (body.clone(), &office.desk);
        async move {
            let headers = [("if-match", version.as_str())];
            let path = "/api/v1/exceptions/X-1/votes";
            desk.send(Method::POST, path, Some(token), Some(body), &headers).await
        }
    };
    office.ask("dave", &json!({})).await;
    assert_eq!(send(version).await.status, 412);
    let now = office.desk.get("/api/v1/exceptions/X-1").await.header("etag").to_owned();
    assert_eq!(send(now).await.json()["decision"], "voted");
}

#[tokio::test]
async fn the_commands_ask_grant_list_show_and_end_and_say_no_with_their_code() {
    let text = "gates: {strict: {deny: [{severity: critical}], scanner: {maxDbAge: 99999d, warnDbAge: 99998d}}}\n\
                approvalPolicies: {one: {approvers: [\"token:first-run\"], selfApproval: true}}\n\
                rules: [{id: app, match: [\"up.test/lib/*\"], trust: allow, gates: [strict], \
                exceptionApproval: {policy: one, longest: 30d}}]\n";
    let office = Office::open_with(text).await;
    // The commands go by the clock of the machine.
    office.desk.mirror.clock.set(pratique::time::SystemClock.now());
    let digest = office.push("lib/app", "1", "a");
    office.denied("lib/app", "1").await;
    let run = |arguments: &'static [&'static str]| {
        let command: Vec<&str> = ["exception"].iter().chain(arguments).copied().collect();
        let desk = &office.desk;
        async move { desk.run(&command).await }
    };
    let none = run(&["ls"]).await;
    assert_eq!((none.code, none.stdout.contains("No exception waits")), (0, true), "{none:?}");
    let ask: &[&str] = &[
        "ask",
        "up.test/lib/app:1",
        OPENSSL,
        "--reason",
        "not reachable",
        "--until",
        "7d",
        "--ticket",
        "SEC-1",
    ];
    let asked = run(ask).await;
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(
        asked.stdout.starts_with("asked for X-1\nX-1  asked  CVE-2026-1\n"),
        "{}",
        asked.stdout
    );
    for says in [&digest.to_string()[..], "SEC-1", "takes out", "0 of 1"] {
        assert!(asked.stdout.contains(says), "{says}: {}", asked.stdout);
    }
    assert!(run(ask).await.stdout.starts_with("already asked for X-1"));
    let granted = run(&["grant", "X-1", "--reason", "looked at it"]).await;
    assert_eq!(granted.code, 0, "{granted:?}");
    assert!(granted.stdout.starts_with("granted X-1\n"), "{}", granted.stdout);
    office.served("lib/app", "1").await;
    let listed = run(&["ls", "--repository", "up.test/lib/app"]).await.stdout;
    assert!(
        listed.contains("X-1  granted  CVE-2026-1") && listed.contains("first-run"),
        "{listed}"
    );
    let explained = office.desk.run(&["explain", "up.test/lib/app:1"]).await;
    assert_eq!(explained.code, 0, "{explained:?}");
    assert!(explained.stdout.contains("exception  X-1"), "{}", explained.stdout);
    assert!(explained.stdout.contains("granted by first-run, until"), "{}", explained.stdout);
    let ended = run(&["end", "X-1", "--reason", "over"]).await;
    assert!(ended.stdout.starts_with("ended X-1\n"), "{ended:?}");
    office.denied("lib/app", "1").await;
    let json = run(&["show", "X-1", "--json"]).await.json();
    assert_eq!((&json["state"], &json["closed"]["how"]), (&json!("ended"), &json!("withdrawn")));
    let again = run(&["grant", "X-1", "--reason", "once more"]).await;
    assert_ne!(again.code, 0);
    assert!(again.stderr.contains("X-1 is ended already"), "{again:?}");
    let nothing =
        run(&["ask", "up.test/lib/app:1", "CVE-2099-1", "--reason", "x", "--until", "7d"]).await;
    assert_eq!(nothing.code, 3, "the policy says no: {nothing:?}");
    let late =
        run(&["ask", "up.test/lib/app:1", OPENSSL, "--reason", "x", "--until", "2001-01-01"]).await;
    assert_eq!((late.code, late.stderr.contains("--until is in the past")), (64, true), "{late:?}");
    assert_eq!(run(&["ls", "--state", "all"]).await.stdout.lines().count(), 2);
}

#[tokio::test]
async fn a_simulation_sees_what_was_granted() {
    let office = Office::open(FOUR_EYES).await;
    office.push("lib/app", "1", "a");
    office.granted("X-1", &json!({})).await;
    office.served("lib/app", "1").await;
    let head = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: test, revision: 9}\n";
    for (draft, refused) in [(policy(FOUR_EYES, ""), 0), (policy("none", ""), 1)] {
        let body = json!({"policy": format!("{head}{draft}"), "days": 30});
        let reply = office.desk.post("/api/v1/simulate", &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let told = reply.text();
        assert!(told.contains(&format!("\"refused\":{refused}")), "{told}");
    }
}

#[tokio::test]
async fn what_rests_on_an_exception_that_was_ended_is_not_served_on_while_nothing_can_be_decided() {
    for ends in [false, true] {
        let text =
            policy(FOUR_EYES, "").replace("gates: [strict]", "gates: [strict], onError: stale");
        let office = Office::open_with(&text).await;
        office.push("lib/app", "1", "a");
        office.granted("X-1", &json!({})).await;
        office.served("lib/app", "1").await;
        if ends {
            let body = json!({"reason": "over"});
            assert_eq!(office.send("dave", "/exceptions/X-1/end", &body).await.status, 200);
        }
        // Nothing can be compared any more, and another policy asks anew.
        let database = office.desk.mirror.folder().join("vulnerabilities.db");
        let Office { desk, tokens } = office;
        let remove = |_: &std::path::Path| std::fs::remove_file(database).expect("a database");
        let mirror = desk.mirror.restart_after(remove).await;
        let office = Office { desk: Desk { mirror, ..desk }, tokens };
        office.desk.mirror.set_policy(&format!("{text}# another\n"), 2).await;
        let pulled = office.desk.mirror.pull("lib/app", "1").await;
        if ends {
            assert_eq!(pulled.manifest.status, 503, "{:?}", pulled.manifest);
        } else {
            pulled.assert_complete();
        }
    }
}
