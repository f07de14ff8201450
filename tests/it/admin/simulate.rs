//! What a draft of a policy would change: told, and nothing done.

use hyper::Method;
use pratique::mirror::desk::simulate::SimulateBody;
use pratique::mirror::desk::{self, Desk as Office};
use serde_json::{Value, json};

use super::{Desk, RULES};
use crate::support::signer::Signer;

const SIMULATE: &str = "/api/v1/simulate";
const HEAD: &str =
    "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: draft, revision: 9}\n";

impl Desk {
    /// The lines of the answer about `draft`, which is all of a policy but its head.
    async fn simulate(&self, draft: &str) -> Vec<Value> {
        let body = json!({"policy": format!("{HEAD}{draft}"), "days": 7});
        let reply = self.post(SIMULATE, &body).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/x-ndjson"));
        let text = reply.text();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// What a draft comes to, and the images that change.
    async fn flips(&self, draft: &str) -> (Value, Vec<Value>) {
        let lines = self.simulate(draft).await;
        let flips = lines.iter().filter_map(|line| line.get("flip")).cloned().collect();
        let done = lines.iter().find_map(|line| line.get("done")).expect("an end").clone();
        (done, flips)
    }

    async fn audited(&self) -> u64 {
        let verified = self.get("/api/v1/audit/verify").await.json();
        verified["records"].as_u64().unwrap_or_else(|| panic!("{verified}"))
    }
}

fn summary(done: &Value) -> [u64; 6] {
    ["examined", "refused", "unknown", "served", "otherwise", "tag_forbidden"]
        .map(|key| done[key].as_u64().expect("a count"))
}

#[tokio::test]
async fn a_draft_is_tried_on_everything_on_record_and_changes_nothing() {
    let desk = Desk::start().await;
    desk.push("open/a", "1", "a");
    let b = desk.push("open/b", "1", "b");
    desk.push("asked/c", "1", "c");
    for _ in 0..3 {
        desk.mirror.pull("open/b", "1").await.assert_complete();
    }
    desk.mirror.pull("open/a", "1").await.assert_complete();
    desk.mirror.pull("asked/c", "1").await.assert_refused("Pending approval R-1");
    desk.mirror.mirror().ledger().flush().await;
    let (before, audited) = (desk.get("/api/v1/policy").await.json(), desk.audited().await);

    let same = format!("rules:{RULES}");
    let (done, flips) = desk.flips(&same).await;
    assert_eq!((summary(&done), flips.len()), ([3, 0, 0, 0, 0, 0], 0), "{done} {flips:?}");

    let draft = r#"
rules:
- {id: shut, match: ["up.test/open/**"], trust: deny}
- {id: eased, match: ["up.test/asked/**"], trust: allow}
"#;
    let (done, flips) = desk.flips(draft).await;
    assert_eq!(summary(&done), [3, 2, 0, 1, 0, 0], "{done}");
    assert_eq!((done["draft"]["name"].as_str(), done["days"].as_u64()), (Some("draft"), Some(7)));
    let images: Vec<&str> = flips.iter().filter_map(|flip| flip["image"].as_str()).collect();
    assert_eq!(images[0], format!("up.test/open/b@{b}"), "what is pulled most comes first");
    let first = &flips[0];
    assert_eq!(
        (first["effect"].as_str(), first["before"].as_str(), first["after"].as_str()),
        (Some("refused"), Some("admit"), Some("deny"))
    );
    assert_eq!(first["tags"], json!(["1"]));
    assert_eq!((&first["rule_before"], &first["rule_after"]), (&json!("open"), &json!("shut")));
    assert_eq!(first["reasons"][0]["code"], "denied-by-rule");
    assert!(first["last_pull"].is_string(), "{first}");
    let pulls: u64 = flips.iter().take(2).filter_map(|flip| flip["pulls"].as_u64()).sum();
    assert_eq!(done["pulls_refused"].as_u64(), Some(pulls));
    assert!(first["pulls"].as_u64() > flips[1]["pulls"].as_u64(), "{flips:?}");
    assert_eq!(flips[2]["effect"], "served");

    // Nothing of it is in force, on record, or remembered.
    assert_eq!(desk.get("/api/v1/policy").await.json(), before);
    assert_eq!(desk.audited().await, audited);
    desk.mirror.pull("open/b", "1").await.assert_complete();
    desk.mirror.pull("asked/c", "1").await.assert_refused("Pending approval R-1");
    let (again, _) = desk.flips(&same).await;
    assert_eq!(summary(&again), [3, 0, 0, 0, 0, 0], "{again}");
}

#[tokio::test]
async fn what_nobody_gathered_is_unknown_and_never_guessed() {
    let desk = Desk::start().await;
    desk.push("open/a", "1", "a");
    desk.mirror.pull("open/a", "1").await.assert_complete();
    let key = Signer::generate().policy_pem();
    let signed = format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{key}\
         rules: [{{id: open, match: [\"up.test/**\"], trust: allow, signatures: {{atLeast: 1, of: [team]}}}}]\n"
    );
    let scanned = "gates: {strict: {deny: [{severity: high}]}}\n\
         rules: [{id: open, match: [\"up.test/**\"], trust: allow, gates: [strict]}]\n";
    for (draft, expected) in [(signed.as_str(), "signatures"), (scanned, "a scan")] {
        let (done, flips) = desk.flips(draft).await;
        assert_eq!(summary(&done), [1, 0, 1, 0, 0, 0], "{done}");
        let why = flips[0]["reasons"][0]["text"].as_str().unwrap();
        assert_eq!(why, format!("hangs on {expected}, which nobody has gathered yet"));
    }
    // A denial that is certain is one, whatever else is not known.
    let (done, _) = desk.flips(&format!("floor: {{limits: {{imageBytes: 1B}}}}\n{scanned}")).await;
    assert_eq!(summary(&done), [1, 1, 0, 0, 0, 0], "{done}");
}

#[tokio::test]
async fn a_tag_that_would_be_forbidden_is_told() {
    let desk = Desk::start().await;
    desk.push("open/a", "nightly-1", "a");
    desk.mirror.pull("open/a", "nightly-1").await.assert_complete();
    let (done, flips) =
        desk.flips(&format!("floor: {{forbidTags: [\"nightly-*\"]}}\nrules:{RULES}")).await;
    assert_eq!(summary(&done), [1, 0, 0, 0, 0, 1], "{done}");
    assert_eq!(flips[0]["reasons"][0]["text"], "tag nightly-1 is forbidden");
}

#[tokio::test]
async fn a_draft_reads_no_file_of_the_server_and_mistakes_are_told() {
    let desk = Desk::start().await;
    let file = desk.mirror.folder().join("secret.pub");
    std::fs::write(&file, Signer::generate().public_pem()).expect("a file");
    let draft = format!(
        "{HEAD}signers: {{x: {{key: {{pem: \"file:{}\"}}, transparencyLog: none}}}}\n\
         rules: [{{id: a, match: [\"**\"], trust: deny}}]\n",
        file.display()
    );
    let reply = desk.post(SIMULATE, &json!({"policy": draft})).await;
    assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{reply:?}");
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("a draft names no files of the server"), "{detail}");
    for (body, expected) in [
        (json!({"policy": "rules: []"}), "line 1:1"),
        (json!({"policy": HEAD, "days": 0}), "days is a number from 1 to 366"),
        (
            json!({"policy": HEAD, "path": "/etc/pratique/policy.yaml"}),
            "the body is not as expected",
        ),
        (json!({"policy": "x".repeat(9 << 20)}), "a body has at most 8388608 bytes"),
    ] {
        let reply = desk.post(SIMULATE, &body).await;
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(matches!(reply.status, 400 | 413) && detail.contains(expected), "{detail}");
    }
    let other = desk.send(Method::GET, SIMULATE, Some(&desk.token), None, &[]).await;
    assert_eq!(other.status, 405, "{other:?}");
}

#[tokio::test]
async fn there_is_one_simulation_at_a_time() {
    let desk = Desk::start().await;
    let office = Office::new(desk.mirror.mirror().clone());
    let body = || SimulateBody {
        directory: std::collections::BTreeMap::new(),
        policy: format!("{HEAD}rules:{RULES}"),
        files: std::collections::BTreeMap::new(),
        days: 1,
    };
    let first = office.simulate(body(), true).await.expect("the first");
    assert!(matches!(office.clone().simulate(body(), true).await, Err(desk::Error::Simulating)));
    // One that is given up makes room, and so does one that has come to its end.
    drop(first);
    let second = office.simulate(body(), true).await.expect("the second");
    second.run().await.expect("an end");
    office.simulate(body(), true).await.expect("the third");
}

#[tokio::test]
async fn the_command_sends_key_files_along_and_ends_with_what_a_script_needs() {
    let desk = Desk::start().await;
    desk.push("open/a", "1", "a");
    desk.mirror.pull("open/a", "1").await.assert_complete();
    desk.mirror.mirror().ledger().flush().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("key.pub"), Signer::generate().public_pem()).expect("a key");
    let write = |rules: &str| {
        let signers = "signers: {team: {key: {pem: file:key.pub}, transparencyLog: none}}\n";
        let path = folder.path().join("policy.yaml");
        std::fs::write(&path, format!("{HEAD}{signers}rules:{rules}")).expect("a policy");
        path.to_str().expect("a path").to_owned()
    };
    let file = write(RULES);
    let same = desk.run(&["policy", "diff", &file, "--against-history", "--exit-code"]).await;
    assert_eq!(same.code, 0, "{same:?}");
    assert!(same.stdout.contains("It would change nothing about them."), "{same:?}");

    let file = write("\n- {id: open, match: [\"up.test/**\"], trust: deny}\n");
    let arguments = ["policy", "diff", &file, "--against-history", "--days", "2"];
    let told = desk.run(&arguments).await;
    assert_eq!(told.code, 0, "{told:?}");
    // How wide a column is hangs on how long ago the mirror's clock says it was.
    let head: Vec<&str> =
        told.stdout.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(head.join(" "), "WOULD BE NOW THEN PULLS LAST DIGEST IMAGE", "{told:?}");
    assert!(told.stdout.contains("REFUSED   admit  deny"), "{told:?}");
    assert!(told.stdout.contains("1 would be refused ("), "{told:?}");
    assert!(
        told.stdout.contains("up.test/open/a:1\n") || told.stdout.contains("up.test/open/a:1 "),
        "{told:?}"
    );
    let code = desk.run(&[&arguments[..], &["--exit-code"]].concat()).await.code;
    assert_eq!(code, 3);
    let json = desk.run(&[&arguments[..], &["--json"]].concat()).await.json();
    assert_eq!((&json["refused"], &json["flips"][0]["effect"]), (&json!(1), &json!("refused")));

    let mistaken = write(" []\n");
    let refused = desk.run(&["policy", "diff", &mistaken, "--against-history"]).await;
    assert_eq!(refused.code, 64, "{refused:?}");
}

#[tokio::test]
async fn a_directory_is_sent_along_and_what_a_file_of_it_changes_is_told() {
    let desk = Desk::start().await;
    desk.push("open/a", "1", "a");
    desk.mirror.pull("open/a", "1").await.assert_complete();
    desk.mirror.mirror().ledger().flush().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("teams")).expect("a folder");
    let base = "rules: [{id: asked, match: [\"up.test/asked/**\"], trust: approve}]\n";
    std::fs::write(folder.path().join("base.yaml"), format!("{HEAD}{base}")).expect("a file");
    let team = |trust: &str| {
        let head = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: team-open, \
                    owner: \"group:open\", scope: [\"up.test/open/**\"]}\n";
        let rule =
            format!("rules: [{{id: theirs, match: [\"up.test/open/*\"], trust: {trust}}}]\n");
        let file = folder.path().join("teams/open.yaml");
        std::fs::write(file, format!("{head}{rule}")).expect("a file");
    };
    let path = folder.path().to_str().expect("a path");
    let arguments = ["policy", "diff", path, "--against-history", "--exit-code"];
    team("deny");
    let told = desk.run(&[&arguments[..], &["--json"]].concat()).await;
    assert_eq!(told.code, 3, "{told:?}");
    let told = told.json();
    assert_eq!((&told["refused"], &told["flips"][0]["effect"]), (&json!(1), &json!("refused")));
    team("\"allow\", signatures: {none: ours}");
    let told = desk.run(&arguments).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stdout.contains("rule open -> theirs"), "{told:?}");
    // One file that is wrong is told by its name, and nothing is asked.
    team("perhaps");
    let refused = desk.run(&arguments).await;
    assert_eq!(refused.code, 64, "{refused:?}");
    assert!(refused.stderr.contains("teams/open.yaml"), "{refused:?}");
}
