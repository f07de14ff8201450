//! Files that must not count, and must not be in the way of others.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pratique::ledger::{Ballot, PersonId, Vote, VoteFile};
use pratique::mirror::approval_file::{Draft, PAYLOAD_TYPE, Said};
use pratique::time::{Clock as _, Timestamp};
use rusqlite::Connection;
use serde_json::Value;

use super::signing::{Office, TWO};

/// `text`, an envelope, with `change` made to it.
fn changed(text: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut envelope: Value = serde_json::from_str(text).expect("JSON");
    change(&mut envelope);
    envelope.to_string()
}

/// What can be wrong with a file that alice and bob are asked for, the state it gets, and in which words.
fn wrong(
    office: &Office,
    draft: &Draft,
) -> Vec<(&'static str, String, &'static str, &'static str)> {
    let good = office.yes(draft, "alice").envelope.text().to_owned();
    let sign = |draft: &Draft, signer: &str, key: &str| {
        let word = office.word(signer, Said::Approve);
        draft.sign(word, &office.key(key)).expect("a file").envelope.text().to_owned()
    };
    let mut lower = draft.clone();
    lower.asked.quorum = 1;
    let mut older = draft.clone();
    older.asked.decisions = 7;
    let mut elsewhere = draft.clone();
    elsewhere.name = "up.test/other".parse().expect("a name");
    let mut strangers = draft.clone();
    strangers.asked.approvers.push("signer:mallory".to_owned());
    strangers.asked.approvers.push("signer:carol".to_owned());
    let mut late = office.word("alice", Said::Approve);
    late.at = late.at.after(Duration::from_hours(1));
    let late = draft.sign(late, &office.key("alice")).expect("a file");
    let of_alice = office.key("alice").public().id();
    let payload = office.yes(draft, "alice").envelope.payload().to_vec();
    let spaced = String::from_utf8(payload).expect("text").replacen(':', ": ", 1);
    let spaced = office.key("alice").sign(PAYLOAD_TYPE, spaced.as_bytes()).expect("an envelope");
    let no_signature = changed(&good, |it| it["signatures"] = Value::Array(Vec::new()));
    let two = changed(&good, |it| {
        let one = it["signatures"][0].clone();
        it["signatures"] = Value::Array(vec![one.clone(), one]);
    });
    let empty = changed(&good, |it| it["signatures"][0]["sig"] = "".into());
    let borrowed = changed(&sign(draft, "alice", "mallory"), |it| {
        it["signatures"][0]["keyid"] = of_alice.clone().into();
    });
    let moved = changed(&good, |it| {
        let text = BASE64_STANDARD.decode(it["payload"].as_str().expect("text")).expect("base64");
        let text = String::from_utf8(text).expect("text").replace("up.test/app", "up.test/oth");
        it["payload"] = BASE64_STANDARD.encode(text).into();
    });
    let other_type = changed(&good, |it| it["payloadType"] = "application/vnd.in-toto+json".into());
    let more = changed(&good, |it| it["comment"] = "mine".into());
    let twice = good.replacen('{', "{\"payloadType\":\"x\",", 1);
    vec![
        ("nothing.json", String::new(), "invalid", "is no envelope"),
        ("other.json", "{\"a\": 1}".to_owned(), "invalid", "is no envelope"),
        ("unsigned.json", no_signature, "invalid", "has 0 signatures"),
        ("two.json", two, "invalid", "has 2 signatures"),
        ("empty.json", empty, "invalid", "not signed by the key"),
        ("wrong-key.json", sign(draft, "alice", "mallory"), "invalid", "the signer's key is"),
        ("borrowed.json", borrowed, "invalid", "not signed by the key"),
        ("moved.json", moved, "invalid", "not signed by the key"),
        ("spaced.json", spaced.text().to_owned(), "invalid", "not canonical JSON"),
        ("type.json", other_type, "invalid", "holds something else"),
        ("more.json", more, "invalid", "is no envelope"),
        ("twice.json", twice, "invalid", "is no envelope"),
        ("trailing.json", format!("{good}{{}}"), "invalid", "is no envelope"),
        ("large.json", format!("{good}{}", " ".repeat(70_000)), "invalid", "is larger than 65536"),
        ("unknown.json", sign(&strangers, "mallory", "mallory"), "invalid", "has no signer"),
        ("not-asked.json", sign(&strangers, "carol", "carol"), "void", "signed for approvers"),
        ("quorum.json", sign(&lower, "alice", "alice"), "void", "signed for a quorum of 1"),
        ("round.json", sign(&older, "alice", "alice"), "void", "since it was drafted"),
        ("late.json", late.envelope.text().to_owned(), "void", "yet to come"),
        ("elsewhere.json", sign(&elsewhere, "alice", "alice"), "waits", "nobody has asked"),
    ]
}

#[tokio::test]
async fn nothing_that_is_wrong_counts_and_nothing_disturbs_what_is_right() {
    let office = Office::open().await;
    office.waiting().await;
    let draft = office.draft("R-1").await;
    let wrong = wrong(&office, &draft);
    for (name, text, ..) in &wrong {
        office.put(name, text);
    }
    let outside = office.desk.mirror.folder().join("outside.json");
    fs::write(&outside, office.yes(&draft, "alice").envelope.text()).expect("a file");
    symlink(&outside, office.folder().join("link.json")).expect("a link");
    symlink("/nowhere", office.folder().join("dangling.json")).expect("a link");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        office.folder().join("pipe.json"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .expect("a pipe");
    for (name, _, state, why) in &wrong {
        let told = office.until_state(name, state).await;
        assert!(told.contains(why), "{name}: {told}");
    }
    for (name, why) in
        [("link.json", "is a link"), ("dangling.json", "is a link"), ("pipe.json", "is no file")]
    {
        let told = office.until_state(name, "invalid").await;
        assert!(told.contains(why), "{name}: {told}");
    }
    let votes = office.desk.get("/api/v1/requests/R-1").await.json()["votes"].clone();
    assert_eq!(votes["have"], 0, "{votes}");
    assert!(office.desk.mirror.mirror().metrics().approval_files_refused.value() >= 18);
    office.refused("Pending approval R-1").await;

    // Beside all of it, what is right counts.
    office.put_yes(&draft, "alice");
    office.until_state("alice.json", "counts").await;
    office.put_yes(&draft, "bob");
    office.until_served().await;
}

#[tokio::test]
async fn a_file_counts_once() {
    let office = Office::open().await;
    let digest = office.approved().await;
    let target = format!("up.test/app@{digest}");
    let revoked = office.desk.decide("/api/v1/revocations", &target).await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let why = office.until_state("alice.json", "void").await;
    assert!(why.contains("(revoked by first-run"), "{why}");
    office.refused("Revoked").await;
    let office = office.restart(|_| {}).await;
    office.until_state("bob.json", "void").await;
    office.refused("Revoked").await;
    // A new draft is for what was decided since, and people may say yes again.
    let draft = office.draft(&target).await;
    office.put_yes(&draft, "alice");
    office.put_yes(&draft, "bob");
    office.until_served().await;
}

#[tokio::test]
async fn a_file_does_not_outlive_what_it_was_for() {
    let approval = "approvers: [\"signer:alice\"], expiresAfter: 10d, pendingTimeout: 5d";
    let office = Office::open_with(approval).await;
    office.waiting().await;
    let draft = office.draft("R-1").await;
    let old = office.yes(&draft, "alice");
    office.put_yes(&draft, "alice");
    office.until_served().await;
    office.desk.mirror.clock.advance(Duration::from_hours(24 * 11));
    office.until_refused("Pending approval").await;
    office.put("touched.md", "so that it is looked at");
    let why = office.until_state("alice.json", "void").await;
    assert!(why.contains("has run out"), "{why}");
    office.take("alice.json");
    office.put("replayed.json", old.envelope.text());
    office.until_state("replayed.json", "void").await;
    office.until_refused("Pending approval").await;

    // Signed in time and put there too late.
    let draft = office.draft(&format!("up.test/app@{}", draft.digest)).await;
    let late = office.yes(&draft, "alice");
    office.desk.mirror.clock.advance(Duration::from_hours(24 * 6));
    office.put("late.json", late.envelope.text());
    let why = office.until_state("late.json", "void").await;
    assert!(why.contains("signed too long ago"), "{why}");
}

#[tokio::test]
async fn a_file_counts_no_more_when_its_approval_policy_says_less_than_it_was_signed_for() {
    let office = Office::open_with(&format!("{TWO}, reEvaluate: {{every: 24h}}")).await;
    office.waiting().await;
    let draft = office.draft("R-1").await;
    assert_eq!(draft.asked.looks_again_after, Some(24 * 60 * 60));
    office.put_yes(&draft, "alice");
    office.until_state("alice.json", "counts").await;
    office.desk.mirror.set_policy(&office.policy(TWO), 2).await;
    office.put("touched.md", "so that it is looked at");
    let why = office.until_state("alice.json", "void").await;
    assert!(why.contains("onNewFinding or reEvaluate"), "{why}");
    // Nothing of it was decided: what it was signed for is so again.
    office
        .desk
        .mirror
        .set_policy(&office.policy(&format!("{TWO}, reEvaluate: {{every: 24h}}")), 3)
        .await;
    office.put("touched.md", "again");
    office.until_state("alice.json", "counts").await;
    office.put_yes(&draft, "bob");
    office.until_served().await;
}

#[tokio::test]
async fn who_leaves_the_policy_takes_a_vote_along_and_no_approval_that_was_reached() {
    let office = Office::open().await;
    office.waiting().await;
    let draft = office.draft("R-1").await;
    office.put_yes(&draft, "alice");
    office.put_yes(&draft, "bob");
    office.until_served().await;
    let without = "approvers: [\"signer:alice\", \"signer:carol\"], quorum: 2";
    office.desk.mirror.set_policy(&office.policy_without("bob", without), 2).await;
    office.until_state("bob.json", "invalid").await;
    office.until_served().await;
    // What is not decided yet needs those who are asked now.
    let other = office.desk.push("other", "1", "more");
    office.desk.mirror.pull("other", "1").await.assert_refused("Pending approval");
    let draft = office.draft(&format!("up.test/other@{other}")).await;
    office.put("alice-other.json", office.yes(&draft, "alice").envelope.text());
    office.until_state("alice-other.json", "counts").await;
    let without = "approvers: [\"signer:bob\", \"signer:carol\"], quorum: 1";
    office.desk.mirror.set_policy(&office.policy_without("alice", without), 3).await;
    office.until_state("alice-other.json", "invalid").await;
    office.desk.mirror.pull("other", "1").await.assert_refused("Pending approval");
}

#[tokio::test]
async fn whoever_writes_the_database_makes_no_vote_of_a_file() {
    let office = Office::open().await;
    let digest = office.waiting().await;
    let draft = office.draft("R-1").await;
    office.put_yes(&draft, "alice");
    office.until_state("alice.json", "counts").await;
    // The one vote becomes that of somebody else: it counts for nothing, and hers is cast again.
    let bob = office.key("bob").public().id();
    let alice = office.key("alice").public().id();
    let database =
        Connection::open(office.desk.mirror.folder().join("data/ledger.db")).expect("it");
    let sql = "UPDATE votes SET body = replace(replace(body, ?1, ?2), '\"alice\"', '\"bob\"')";
    assert_eq!(database.execute(sql, [&alice, &bob]).expect("a change"), 1);
    office.put("touched.md", "so that it is looked at");
    for _ in 0..100 {
        let votes = office.desk.get("/api/v1/requests/R-1").await.json()["votes"].clone();
        if votes["have"] == 1 && votes["damaged"] == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let votes = office.desk.get("/api/v1/requests/R-1").await.json()["votes"].clone();
    assert_eq!((&votes["have"], &votes["damaged"]), (&1.into(), &1.into()), "{votes}");
    office.refused("Pending approval R-1").await;

    // Even a row with a good seal needs the signature of its voter.
    let forged = draft.sign(office.word("bob", Said::Approve), &office.key("mallory"));
    let forged = forged.expect("a file").envelope;
    let asked = &draft.asked;
    let vote = Vote {
        subject: pratique::gate::Subject { name: draft.name.clone(), digest },
        request: None,
        voter: PersonId::Signer { name: "bob".to_owned(), key: bob },
        since: Timestamp::from_milliseconds(0),
        display: "bob".to_owned(),
        stands_for: vec!["signer:bob".to_owned()],
        at: office.desk.mirror.clock.now(),
        reason: "bob looked at it".to_owned(),
        expires: None,
        ballot: Ballot {
            policy: *office.desk.mirror.mirror().policy().id(),
            rule: asked.rule.clone(),
            approval: asked.approval.clone(),
            quorum: asked.quorum,
            distinct_groups: asked.distinct_groups,
            approvers: asked.approvers.clone(),
            findings: asked.findings.clone(),
            signed: asked.signed.clone(),
            reasons: asked.reasons.clone(),
            decisions: asked.decisions,
        },
        file: Some(VoteFile {
            digest: *forged.digest(),
            envelope: forged.text().to_owned(),
            public_key: office.key("mallory").public().base64(),
        }),
    };
    let ledger = office.desk.mirror.mirror().ledger();
    ledger.cast_vote(vote, None, Vec::new()).await.expect("a vote");
    let votes = office.desk.get("/api/v1/requests/R-1").await.json()["votes"].clone();
    assert_eq!(votes["have"], 1, "{votes}");
    office.refused("Pending approval R-1").await;
}
