//! What needs nobody's yes: what is signed by somebody whom people named, in a range that they named, and no
//! worse than what they let pass.

use std::time::Duration;

use pratique::ledger::Role;
use pratique::mirror::desk::{Desk, Verb, Wish};
use pratique::oci::Digest;
use serde_json::{Value, json};

use crate::scanning::{know, openssl, other};
use crate::support::archive::{CRITICAL, debian, record};
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::Image;

const REPOSITORY: &str = "lib/app";
const NAME: &str = "up.test/lib/app";
const WAITS: &str = "Pending approval";

/// Somebody who signs, somebody else who does, and a mirror that asks people but for `standing`.
struct Line {
    mirror: TestMirror,
    team: Signer,
    stranger: Signer,
}

fn policy(team: &Signer, stranger: &Signer, standing: &str) -> String {
    let signer = |name: &str, signer: &Signer| {
        let pem = signer.policy_pem();
        format!("  {name}:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}")
    };
    format!(
        "signers:\n{}{}\
         gates: {{scanned: {{deny: [{{severity: critical, olderThan: 9000d}}]}}}}\n\
         rules:\n\
         - {{id: app, match: [\"up.test/lib/*\"], trust: approve, signerChange: allow, gates: [scanned],\n\
         \x20  approval: {{standing: [{standing}]}}}}\n",
        signer("team", team),
        signer("stranger", stranger)
    )
}

const NO_WORSE: &str = "{tags: {semver: \">=1.4, <2\"}, signers: [team]}";

impl Line {
    async fn start(standing: &str) -> Self {
        let (team, stranger) = (Signer::generate(), Signer::generate());
        let mirror = TestMirror::start_with(&policy(&team, &stranger, standing), |_| {}).await;
        know(&mirror, &known()).await;
        Self { mirror, team, stranger }
    }

    /// Pushes `tag` with openssl in `version` and `more`, signed by `by`.
    fn push(&self, tag: &str, version: &str, more: &[(&str, &str)], by: Option<&Signer>) -> Digest {
        let packages: Vec<_> = [("openssl", version)].iter().chain(more).copied().collect();
        let image = Image::new().layer(debian(&packages)).build();
        let digest = self.mirror.upstream.push(REPOSITORY, tag, &image);
        if let Some(by) = by {
            let signature = by.simple_signing(NAME, &digest);
            self.mirror.upstream.attach_by_sig_tag(REPOSITORY, &digest, &signature);
        }
        digest
    }

    async fn approve(&self, tag: &str) {
        let desk = Desk::new(self.mirror.mirror().clone());
        let by = self.mirror.holder_of(&format!("alice-{tag}"), Role::Approver).await;
        let (target, reason) = (format!("{NAME}:{tag}"), "looked at it".to_owned());
        let (expires, seen, shown) = (None, None, None);
        let wish = Wish { verb: Verb::Approve, target, by, reason, expires, seen, shown };
        Box::pin(desk.decide(&wish)).await.expect("an approval");
    }

    async fn served(&self, tag: &str) {
        self.mirror.pull(REPOSITORY, tag).await.assert_complete();
    }

    async fn waits(&self, tag: &str) {
        self.mirror.pull(REPOSITORY, tag).await.assert_refused(WAITS);
    }
}

/// What is known: one critical finding against old openssl, and one against `evil`.
fn known() -> Vec<Value> {
    let evil = record("CVE-2026-9", "Debian:12", "evil", "9", CRITICAL);
    vec![openssl(), other(), evil]
}

#[tokio::test]
async fn new_versions_of_a_line_cost_one_decision() {
    let line = Line::start(NO_WORSE).await;
    line.push("1.4.0", "3.0.11-1", &[], Some(&line.team));
    line.waits("1.4.0").await;
    line.approve("1.4.0").await;
    line.served("1.4.0").await;
    for number in 1..=60 {
        let tag = format!("1.4.{number}");
        let more = format!("{number}");
        line.push(&tag, "3.0.11-1", &[("app", &more)], Some(&line.team));
        line.served(&tag).await;
    }
    let record = line.mirror.mirror().ledger();
    let digest = line.push("1.5.0", "3.0.13-1", &[], Some(&line.team));
    line.served("1.5.0").await;
    let name = NAME.parse().expect("a name");
    let record = record.record(&pratique::gate::Subject { name, digest }).await;
    let record = record.expect("readable").expect("a record");
    let checks = serde_json::to_value(&record.judgement.as_ref().expect("a verdict").checks);
    let checks = checks.expect("JSON").to_string();
    assert!(checks.contains("standing approval: signed by team, and no worse than"), "{checks}");
    assert!(record.standing.is_none(), "nobody decided");
}

#[tokio::test]
async fn what_is_worse_unsigned_or_of_another_line_is_asked_for() {
    let line = Line::start(NO_WORSE).await;
    line.push("1.4.0", "3.0.13-1", &[], Some(&line.team));
    line.approve("1.4.0").await;
    line.served("1.4.0").await;
    // It brings a finding; somebody else signs it; nobody does; it is beyond the range; no version.
    line.push("1.4.1", "3.0.13-1", &[("evil", "1")], Some(&line.team));
    line.push("1.4.2", "3.0.13-1", &[("b", "2")], Some(&line.stranger));
    line.push("1.4.3", "3.0.13-1", &[("b", "3")], None);
    line.push("2.0.0", "3.0.13-1", &[("b", "4")], Some(&line.team));
    line.push("edge", "3.0.13-1", &[("b", "5")], Some(&line.team));
    for tag in ["1.4.1", "1.4.2", "1.4.3", "2.0.0", "edge"] {
        line.waits(tag).await;
    }
    // A signature over another digest is none over this one.
    let digest = line.push("1.4.4", "3.0.13-1", &[("b", "6")], None);
    let foreign = line.team.simple_signing(NAME, &Digest::sha256(b"another"));
    line.mirror.upstream.attach_by_sig_tag(REPOSITORY, &digest, &foreign);
    line.waits("1.4.4").await;
    // The same digest under a tag that is in the range is what it is.
    line.push("1.4.5", "3.0.13-1", &[], Some(&line.team));
    line.served("1.4.5").await;
}

#[tokio::test]
async fn without_anything_admitted_to_compare_with_people_are_asked() {
    let line = Line::start(NO_WORSE).await;
    line.push("1.4.0", "3.0.13-1", &[], Some(&line.team));
    line.push("1.4.1", "3.0.13-1", &[("b", "1")], Some(&line.team));
    line.waits("1.4.0").await;
    line.waits("1.4.1").await;
    line.approve("1.4.0").await;
    line.served("1.4.0").await;
    line.mirror.set_policy(&policy(&line.team, &line.stranger, NO_WORSE), 2).await;
    line.mirror.clock.advance(Duration::from_mins(2));
    line.served("1.4.1").await;
}

#[tokio::test]
async fn what_people_refused_stays_refused_and_takes_the_line_along() {
    let line = Line::start(NO_WORSE).await;
    line.push("1.4.0", "3.0.13-1", &[], Some(&line.team));
    line.approve("1.4.0").await;
    line.served("1.4.0").await;
    let digest = line.push("1.4.1", "3.0.13-1", &[("b", "1")], Some(&line.team));
    line.served("1.4.1").await;
    let desk = crate::admin::Desk::of(line.mirror);
    let body = json!({"target": format!("{NAME}@{digest}"), "reason": "found out"});
    assert_eq!(desk.post("/api/v1/revocations", &body).await.status, 200);
    desk.mirror.pull(REPOSITORY, "1.4.1").await.assert_refused("Revoked");
    desk.mirror.set_policy(&policy(&line.team, &line.stranger, NO_WORSE), 2).await;
    desk.mirror.pull(REPOSITORY, "1.4.1").await.assert_refused("Revoked");
    let body = json!({"target": format!("{NAME}:1.4.0"), "reason": "this one, too"});
    assert_eq!(desk.post("/api/v1/revocations", &body).await.status, 200);
    let image = Image::new().layer(debian(&[("openssl", "3.0.13-1"), ("b", "2")])).build();
    let digest = desk.mirror.upstream.push(REPOSITORY, "1.4.2", &image);
    let signature = line.team.simple_signing(NAME, &digest);
    desk.mirror.upstream.attach_by_sig_tag(REPOSITORY, &digest, &signature);
    desk.mirror.pull(REPOSITORY, "1.4.2").await.assert_refused(WAITS);
}

#[tokio::test]
async fn whose_word_is_enough_for_any_finding_is_for_the_policy_to_say() {
    let line = Line::start("{tags: {glob: [\"1.*\"]}, signers: [team], findings: any}").await;
    line.push("1.4.1", "3.0.11-1", &[("evil", "1")], Some(&line.team));
    line.push("1.4.2", "3.0.11-1", &[("b", "1")], Some(&line.stranger));
    line.served("1.4.1").await;
    line.waits("1.4.2").await;
}
