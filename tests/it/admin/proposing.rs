//! "Make this a rule": what is offered is a diff of the policy in force that applies, parses, and does what it
//! says; nothing is changed by offering it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Desk;
use crate::scanning::{know, openssl, vulnerable};
use crate::support::archive::debian;
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, Image};

async fn asking(team: &Signer) -> Desk {
    let policy = format!(
        "# What the shop may run.\n\
         signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{}\
         gates: {{strict: {{deny: [{{severity: critical}}]}}}}\n\
         rules:\n# People decide.\n- id: asked   # by four eyes, soon\n  match: [\"up.test/asked/**\"]\n  \
         trust: approve\n  signatures: {{atLeast: 1, of: [team]}}\n  gates: [strict]\n",
        team.policy_pem()
    );
    let desk = Desk::of(TestMirror::start_with(&policy, |_| {}).await);
    know(&desk.mirror, &[openssl()]).await;
    desk
}

fn sound(version: &str) -> Artifact {
    Image::new().layer(debian(&[("openssl", "3.0.13-1"), ("shop", version)])).build()
}

impl Desk {
    fn signed(&self, tag: &str, image: &Artifact, by: &Signer) {
        let digest = self.mirror.upstream.push("asked/app", tag, image);
        self.mirror.upstream.attach_by_fallback_tag("asked/app", &digest, &by.bundle(image));
    }

    async fn offered(&self, request: &str, query: &str) -> Value {
        self.mirror.mirror().ledger().flush().await;
        let reply = self.get(&format!("/api/v1/requests/{request}/proposal{query}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Makes the change `option` with git in a copy of the policy, checks it, and puts it in force.
    async fn make(&self, request: &str, option: &str) {
        let diff = self.run(&["policy", "propose", request, "--option", option]).await;
        assert_eq!(diff.code, 0, "{diff:?}");
        let (folder, kept) = (tempfile::tempdir().expect("a folder"), self.mirror.folder());
        let (file, change) = (folder.path().join("policy.yaml"), folder.path().join("change.diff"));
        std::fs::copy(kept.join("policy.yaml"), &file).expect("a copy");
        std::fs::write(&change, &diff.stdout).expect("a diff");
        applied(folder.path(), &change);
        let checked = self.run(&["policy", "check", file.to_str().expect("a path")]).await;
        assert_eq!(checked.code, 0, "{checked:?}\n{}", diff.stdout);
        let text = std::fs::read_to_string(&file).expect("a policy");
        for comment in ["# What the shop may run.", "# People decide.", "# by four eyes, soon"] {
            assert!(text.contains(comment), "{text}");
        }
        // What stands behind the head is what the mirror is given.
        let (_, rest) = text.split_once("# What the shop").expect("the head");
        let revision = self.mirror.mirror().policy().revision() + 1;
        self.mirror.set_policy(&format!("# What the shop{rest}"), revision).await;
    }
}

/// `git apply` takes it as it is; nothing is fuzzy about it.
fn applied(folder: &Path, change: &Path) {
    let ran = Command::new("git")
        .args(["apply", "-p0"])
        .arg(change)
        .current_dir(folder)
        .env("GIT_CEILING_DIRECTORIES", folder)
        .output()
        .expect("git");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn ids(view: &Value, key: &str) -> Vec<String> {
    let all = view[key].as_array().expect("a list").iter();
    all.map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn what_waits_for_people_is_offered_as_a_rule_that_does_what_it_says() {
    let team = Signer::generate();
    let desk = asking(&team).await;
    desk.signed("1.0.0", &sound("1"), &team);
    desk.mirror.pull("asked/app", "1.0.0").await.assert_refused("Pending approval R-1");
    let before = desk.get("/api/v1/policy").await.json();
    let view = desk.offered("R-1", "?days=7").await;
    assert_eq!(ids(&view, "options"), ["standing", "trust"], "{view:#}");
    let trust = &view["options"][1];
    let diff = trust["diff"].as_str().expect("a diff");
    for line in [
        "-metadata: {name: test, revision: 1}",
        "+metadata: {name: test, revision: 2}",
        "+# From R-1 (",
        "+- {id: asked-app, match: [\"up.test/asked/app\"], tags: {semver: \">=1.0.0, <2\"}, trust: allow, \
         signatures: {atLeast: 1, of: [team]}, gates: [\"strict\"]}",
    ] {
        assert!(diff.contains(line), "{line}\n{diff}");
    }
    // The first of a line is asked about all the same, so that a standing approval changes nothing yet.
    let figures = |of: &Value| [of["admitted"]["images"].clone(), of["held"]["images"].clone()];
    assert_eq!(figures(&trust["figures"]["before"]), [json!(0), json!(1)]);
    assert_eq!(figures(&trust["figures"]["after"]), [json!(1), json!(0)]);
    assert_eq!(figures(&view["options"][0]["figures"]["after"]), [json!(0), json!(1)]);
    assert!(desk.offered("R-1", "").await["options"][0]["figures"].is_null(), "not asked for");
    assert_eq!(desk.get("/api/v1/policy").await.json(), before, "offering changes nothing");

    desk.decide("/api/v1/approvals", "R-1").await;
    desk.make("R-1", "standing").await;
    desk.mirror.pull("asked/app", "1.0.0").await.assert_complete();
    desk.signed("1.0.1", &sound("2"), &team);
    desk.mirror.pull("asked/app", "1.0.1").await.assert_complete();
}

#[tokio::test]
async fn each_decision_has_the_change_that_says_it() {
    let team = Signer::generate();
    let desk = asking(&team).await;
    desk.signed("2.0.0", &vulnerable(), &team);
    desk.mirror.pull("asked/app", "2.0.0").await.assert_refused("Denied by rule asked: CVE-2026-1");
    let view = desk.offered("R-1", "").await;
    assert_eq!(ids(&view, "options"), ["except", "standing", "trust"], "{view:#}");
    let except = view["options"][0]["diff"].as_str().expect("a diff");
    assert!(
        except.contains("check: {vulnerability: \"CVE-2026-1\", package: \"openssl\"}"),
        "{except}"
    );
    assert!(except.contains("expires: "), "{except}");
    desk.make("R-1", "except").await;
    desk.mirror.pull("asked/app", "2.0.0").await.assert_refused("Pending approval R-1");

    // What nobody signed is not trusted, and why is said.
    desk.mirror.upstream.push("asked/bare", "1", &sound("3"));
    desk.mirror
        .pull("asked/bare", "1")
        .await
        .assert_refused("Denied by rule asked: not signed by team");
    let view = desk.offered("R-2", "").await;
    assert_eq!(ids(&view, "options"), Vec::<String>::new(), "{view:#}");
    assert!(view["not_offered"].to_string().contains("Nobody signed it"), "{view:#}");
    let refused = desk.run(&["policy", "propose", "R-2", "--option", "trust"]).await;
    assert_eq!(refused.code, 64, "{refused:?}");

    // No rule: people are asked. A no: it is the policy's.
    desk.mirror.upstream.push("new/tool", "1", &sound("4"));
    desk.mirror
        .pull("new/tool", "1")
        .await
        .assert_refused("Denied: no rule lists up.test/new/tool");
    assert_eq!(ids(&desk.offered("R-3", "").await, "options"), ["ask"]);
    desk.make("R-3", "ask").await;
    desk.mirror.pull("new/tool", "1").await.assert_refused("Pending approval R-");
    let rejected = desk.decide("/api/v1/rejections", "R-1").await;
    assert_eq!(rejected.status, 200, "{}", rejected.text());
    assert_eq!(ids(&desk.offered("R-1", "").await, "options"), ["deny-image", "deny-repository"]);
    desk.make("R-1", "deny-image").await;
    let denied = desk.mirror.mirror().policy().source().text.contains("denyImages: [{digest: ");
    assert!(denied, "it is in force");
}

#[tokio::test]
async fn nothing_is_offered_for_what_is_not_there_or_has_no_file() {
    let desk = Desk::start().await;
    let reply = desk.get("/api/v1/requests/R-9/proposal").await;
    assert_eq!((reply.status, reply.problem().as_str()), (404, "not-found"), "{reply:?}");
    desk.push("asked/app", "1", "a");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let reply = desk.get("/api/v1/requests/R-1/proposal?days=0").await;
    assert_eq!(reply.status, 400, "{reply:?}");
    let view = desk.offered("R-1", "").await;
    assert!(view["not_offered"].to_string().contains("no rule asked for them"), "{view:#}");
}
