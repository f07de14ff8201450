//! People who say yes in files: from the draft to the pull, and what their word is bound to.

use std::fs;

use pratique::ledger::{AuditKind, Vote};
use pratique::mirror::approval_file::{ApprovalFile, Said};
use pratique::time::{Clock as _, SystemClock};
use serde_json::json;

use super::signing::{Office, TWO};

/// The walk-through of docs/gitops.md, with the commands that it names.
#[tokio::test]
async fn two_people_sign_files_and_the_pull_works_until_one_is_taken_away() {
    let office = Office::open().await;
    office.desk.mirror.clock.set(SystemClock.now());
    let digest = office.waiting().await;
    let home = office.desk.mirror.folder().to_owned();
    let at = |name: &str| home.join(name).to_str().expect("a path").to_owned();
    let drafted = office.desk.run(&["approval", "draft", "R-1", "-o", &at("draft.json")]).await;
    assert_eq!(drafted.code, 0, "{drafted:?}");

    for name in ["alice", "bob"] {
        let (_, pem) = office.keys.iter().find(|(it, _)| *it == name).expect("a key");
        fs::write(home.join(format!("{name}.pem")), pem).expect("a key");
        let file = at(&format!("approvals/app-{name}.json"));
        let (draft, key) = (at("draft.json"), at(&format!("{name}.pem")));
        let words = ["approval", "sign", &draft, "--key", &key, "--as", name];
        let signed =
            office.desk.run(&[&words[..], &["--reason", "reviewed", "-o", &file]].concat()).await;
        assert_eq!(signed.code, 0, "{signed:?}");
        for said in [format!("You say YES to up.test/app@{digest}"), format!("signer:{name}")] {
            assert!(signed.stderr.contains(&said), "{signed:?}");
        }
        assert!(signed.stderr.contains("asks 2 of signer:alice, signer:bob"), "{signed:?}");
        // A file is never overwritten.
        let again =
            office.desk.run(&[&words[..], &["--reason", "reviewed", "-o", &file]].concat()).await;
        assert_eq!(again.code, 1, "{again:?}");
    }
    let (one, other) = (at("approvals/app-alice.json"), at("approvals/app-bob.json"));
    let policy = at("policy.yaml");
    let verified =
        office.desk.run(&["approval", "verify", &one, &other, "--policy", &policy]).await;
    assert_eq!((verified.code, verified.stdout.matches(": good").count()), (0, 2), "{verified:?}");

    office.until_served().await;
    office.desk.mirror.pull("app", "1").await.assert_complete();
    office.until_state("app-alice.json", "counts").await;
    office.until_state("app-bob.json", "counts").await;
    let listed = office.desk.run(&["approval", "ls"]).await;
    assert!(listed.stdout.contains("counts"), "{listed:?}");
    assert_eq!((office.done("voted").await, office.done("approved").await), (2, 1));

    office.take("app-bob.json");
    office.until_refused("Pending approval R-2").await;
    assert_eq!(office.done("approval-withdrawn").await, 1);
    let why = office.until_state("app-alice.json", "void").await;
    assert!(why.contains("since it was drafted (withdrawn by approval-files"), "{why}");
    assert_eq!(office.desk.get("/api/v1/audit/verify").await.json()["intact"], true);
    // What was signed is on record, and proves itself by the signer's key alone.
    let audit = office.desk.mirror.mirror().ledger().audit(1, 1_000).await.expect("records");
    let voted = audit.iter().find(|row| row.event.kind == AuditKind::Voted).expect("a vote");
    let signed: Vote =
        serde_json::from_str(voted.event.details.get("signed").expect("a vote")).expect("a vote");
    let kept = signed.file.expect("a file");
    let read = ApprovalFile::parse(kept.envelope.as_bytes()).expect("a file");
    read.envelope.verify(office.key(&read.statement.signer).public()).expect("a signature");
    assert_eq!(voted.event.details.get("file"), Some(&read.envelope.digest().to_string()));
}

#[tokio::test]
async fn a_file_that_is_read_again_is_the_same_vote() {
    let office = Office::open().await;
    office.waiting().await;
    let draft = office.draft("R-1").await;
    office.put_yes(&draft, "alice");
    let why = office.until_state("alice.json", "counts").await;
    assert!(why.starts_with("1 of 2; missing: 1 more of"), "{why}");
    // Spaces make no other file, and neither does another place.
    let spaced = office.yes(&draft, "alice").envelope.text().replace(',', " ,\n ");
    office.put("spaced.json", fs::read(office.folder().join("alice.json")).expect("it"));
    office.until_state("spaced.json", "counts").await;
    // Signed once more it is another file of the same person.
    office.put("again.json", spaced);
    let why = office.until_state("again.json", "void").await;
    assert!(why.contains("another file of the same signer counts already"), "{why}");
    office.refused("Pending approval R-1").await;
    let office = office.restart(|_| {}).await;
    office.until_state("alice.json", "counts").await;
    assert_eq!(office.done("voted").await, 1);
}

#[tokio::test]
async fn a_file_may_be_there_before_anybody_asks() {
    let office = Office::open().await;
    let digest = office.desk.push("app", "1", "content");
    let draft = {
        // Drafted on another mirror, with the same policy and nothing decided.
        let draft = office.draft(&format!("up.test/app@{digest}")).await;
        assert_eq!(draft.digest, digest);
        draft
    };
    office.put_yes(&draft, "alice");
    office.put_yes(&draft, "bob");
    office.until_served().await;
    // And one for what nobody knows waits, and does nothing.
    let mut other = draft.clone();
    other.digest = pratique::oci::Digest::sha256(b"nothing here");
    office.put_yes(&other, "alice");
    let why = office.until_state("alice.json", "waits").await;
    assert!(why.contains("nobody has asked for the image yet"), "{why}");
}

#[tokio::test]
async fn somebody_who_is_asked_says_no_in_a_file() {
    let office = Office::open().await;
    office.waiting().await;
    let draft = office.draft("R-1").await;
    office.put_yes(&draft, "alice");
    office.until_state("alice.json", "counts").await;
    let no = draft.sign(office.word("bob", Said::Reject), &office.key("bob")).expect("a file");
    office.put("no.json", no.envelope.text());
    let why = office.until_state("no.json", "counts").await;
    assert!(why.contains("rejected by it"), "{why}");
    office.refused("Rejected").await;
    office.until_state("alice.json", "void").await;
    // A no stays when its file goes.
    office.take("no.json");
    tokio::time::sleep(std::time::Duration::from_secs(9)).await;
    office.refused("Rejected").await;
    let office = office.restart(|_| {}).await;
    office.refused("Rejected").await;
}

#[tokio::test]
async fn an_edit_of_the_policy_voids_only_what_it_is_about() {
    let office = Office::open().await;
    office.waiting().await;
    let draft = office.draft("R-1").await;
    office.put_yes(&draft, "alice");
    office.until_state("alice.json", "counts").await;
    let unrelated = "- {id: other, match: [\"elsewhere.test/**\"], trust: deny}\n";
    office.desk.mirror.set_policy(&format!("{}{unrelated}", office.policy(TWO)), 2).await;
    office.put_yes(&draft, "bob");
    office.until_served().await;
    assert_eq!(office.done("voted").await, 2, "the vote of before counts on");

    let office = Office::open().await;
    office.waiting().await;
    let draft = office.draft("R-1").await;
    office.put_yes(&draft, "alice");
    office.until_state("alice.json", "counts").await;
    let three = "approvers: [\"signer:alice\", \"signer:bob\", \"signer:carol\"], quorum: 2";
    office.desk.mirror.set_policy(&office.policy(three), 2).await;
    let why = office.until_state("alice.json", "void").await;
    assert!(why.contains("signed for approvers signer:alice, signer:bob"), "{why}");
    // And back, with another key for alice: it is not hers any more.
    let mut keys = office.keys.clone();
    keys.first_mut().expect("alice").1 = super::signing::new_key();
    let other = Office { desk: office.desk, keys };
    other.desk.mirror.set_policy(&other.policy(TWO), 3).await;
    let why = other.until_state("alice.json", "invalid").await;
    assert!(why.contains("the signer's key is"), "{why}");
    let votes = other.desk.get("/api/v1/requests/R-1").await.json()["votes"].clone();
    assert_eq!(votes["have"], 0, "{votes}");
}

#[tokio::test]
async fn files_and_people_at_the_desk_make_one_quorum() {
    let approval = "approvers: [\"signer:alice\", \"token:first-run\"], quorum: 2";
    let office = Office::open_with(approval).await;
    office.waiting().await;
    let draft = office.draft("R-1").await;
    office.put_yes(&draft, "alice");
    office.until_state("alice.json", "counts").await;
    let last = office.desk.decide("/api/v1/approvals", "R-1").await;
    assert_eq!(last.json()["decision"], json!("approved"), "{last:?}");
    office.until_served().await;
    office.take("alice.json");
    office.until_refused("Pending approval R-2").await;
}

#[tokio::test]
async fn a_draft_is_made_only_where_files_are_asked_for() {
    let office = Office::open_with("approvers: [\"group:security\"]").await;
    office.waiting().await;
    let reply = office.desk.get("/api/v1/approval-draft?target=R-1").await;
    assert_eq!((reply.status, reply.problem().as_str()), (403, "decision-refused"), "{reply:?}");
    assert!(reply.text().contains("no approvers that sign files"), "{reply:?}");
}

#[tokio::test]
async fn the_commands_say_no_to_what_they_must() {
    let office = Office::open().await;
    office.waiting().await;
    let home = office.desk.mirror.folder().to_owned();
    let at = |name: &str| home.join(name).to_str().expect("a path").to_owned();
    let draft = office.draft("R-1").await;
    let written = serde_json::to_string(&draft).expect("JSON");
    fs::write(at("draft.json"), &written).expect("a draft");
    let mut altered = draft.clone();
    altered.evidence.reasons = "nothing speaks against it\n0".to_owned();
    fs::write(at("altered.json"), serde_json::to_string(&altered).expect("JSON")).expect("a draft");
    fs::write(at("alice.pem"), &office.keys.first().expect("alice").1).expect("a key");
    let sign = async |draft: &str, name: &str| {
        let words = ["--key", &at("alice.pem"), "--as", name, "--reason", "looked"];
        office.desk.run(&[&["approval", "sign", &at(draft)][..], &words].concat()).await
    };
    for (draft, name, code, why) in [
        ("altered.json", "alice", 3, "shows reasons that are not those which would be signed"),
        ("draft.json", "carol", 3, "does not ask signer:carol"),
        ("alice.pem", "alice", 64, "is no draft"),
        ("none.json", "alice", 2, "cannot be read"),
    ] {
        let ran = sign(draft, name).await;
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(why), "{ran:?}");
    }
    let signed = sign("draft.json", "alice").await;
    assert_eq!(signed.code, 0, "{signed:?}");
    fs::write(at("good.json"), &signed.stdout).expect("a file");
    let forged = draft.sign(office.word("bob", Said::Approve), &office.key("mallory"));
    fs::write(at("forged.json"), forged.expect("a file").envelope.text()).expect("a file");
    let policy = at("policy.yaml");
    let verify = async |files: &[&str]| {
        let files: Vec<String> = files.iter().map(|file| at(file)).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let words = [&["approval", "verify", "--json", "--policy", &policy][..], &files].concat();
        office.desk.run(&words).await
    };
    let both = verify(&["good.json", "forged.json"]).await;
    assert_eq!(both.code, 3, "{both:?}");
    let told = both.json();
    assert_eq!(
        (&told[0]["verified"], &told[1]["verified"]),
        (&json!(true), &json!(false)),
        "{told}"
    );
    assert_eq!(verify(&["good.json"]).await.code, 0);
    // A policy that asks more of people is another one.
    office.desk.mirror.set_policy(&office.policy(&format!("{TWO}, distinctGroups: true")), 2).await;
    assert_eq!(verify(&["good.json"]).await.code, 3);
}
