//! Overlays and modes, at a mirror that runs: what is gathered for them, what is served, and until when.

use std::time::Duration;

use serde_json::json;

use crate::scanning::{know, openssl, other};
use crate::support::archive::debian;
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Fault, Image};

const REPOSITORY: &str = "lib/app";
const DAY: Duration = Duration::from_hours(24);

/// A policy with the signer `team`, and `rest`.
fn policy(team: &Signer, rest: &str) -> String {
    let pem = team.policy_pem().replace("      ", "        ");
    format!(
        "signers:\n  team:\n    key:\n      pem: |\n{pem}    transparencyLog: none\n\
         gates: {{strict: {{deny: [{{severity: critical}}]}}}}\n{rest}"
    )
}

const ALLOW: &str = "rules: [{id: app, match: [\"up.test/lib/*\"], trust: allow}]\n";
const SIGNED: &str =
    "overlays: [{id: prod, match: [\"**\"], signatures: {atLeast: 1, of: [team]}}]\n";

#[tokio::test]
async fn what_an_overlay_asks_for_is_looked_for_and_nothing_is_served_without_it() {
    let team = Signer::generate();
    let said = "attestations: [{type: spdx, signers: [team]}], gates: [strict]";
    let overlays = format!("{SIGNED}- {{id: said, match: [\"**\"], {said}}}\n").replace(
        "overlays: [{id: prod, match: [\"**\"], signatures: {atLeast: 1, of: [team]}}]\n",
        "overlays:\n- {id: prod, match: [\"**\"], signatures: {atLeast: 1, of: [team]}}\n",
    );
    let text = policy(&team, &format!("{ALLOW}{overlays}"));
    let mirror = TestMirror::start_with(&text, |_| {}).await;
    know(&mirror, &[other()]).await;
    let image = Image::new().layer(debian(&[("openssl", "3.0.11-1")])).build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    let refused = mirror.pull(REPOSITORY, "1").await;
    refused.assert_refused("Denied by rule app: overlay prod: not signed by team");
    for digest in [image.layer(0), image.config()] {
        assert_eq!(mirror.blob(REPOSITORY, &digest).await.status, 403);
    }
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &image.digest(), &team.bundle(&image));
    mirror.clock.advance(Duration::from_mins(2));
    let refused = mirror.pull(REPOSITORY, "1").await;
    refused.assert_refused("Denied by rule app: overlay said: spdx not attested by team");
    let spdx = team.attestation(&image, "https://spdx.dev/Document", &json!({}));
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &image.digest(), &spdx);
    mirror.clock.advance(Duration::from_mins(2));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    // A new database says something of what only an overlay has scanned.
    let vulnerable = Image::new().layer(debian(&[("openssl", "3.0.12-1")])).build();
    mirror.upstream.push(REPOSITORY, "2", &vulnerable);
    for attached in [
        team.bundle(&vulnerable),
        team.attestation(&vulnerable, "https://spdx.dev/Document", &json!({})),
    ] {
        mirror.upstream.attach_by_fallback_tag(REPOSITORY, &vulnerable.digest(), &attached);
    }
    know(&mirror, &[openssl()]).await;
    let refused = mirror.pull(REPOSITORY, "2").await;
    refused.assert_refused("Denied by rule app: overlay said: CVE-2026-");
    mirror.restart().await.pull(REPOSITORY, "2").await.assert_refused("Denied by rule app");
}

#[tokio::test]
async fn warn_mode_judges_first_serves_and_says_so_until_it_enforces() {
    let team = Signer::generate();
    let rest = "mode: warn\nmodeUntil: 2026-11-30\nfloor: {forbidTags: [latest]}\n\
                rules: [{id: app, match: [\"up.test/lib/*\"], trust: allow, signatures: {atLeast: 1, of: [team]}}]\n";
    let mirror = TestMirror::start_with(&policy(&team, rest), |_| {}).await;
    let image = Image::new().layer("one").build();
    for (repository, tag) in [(REPOSITORY, "1"), (REPOSITORY, "latest"), ("none/app", "1")] {
        mirror.upstream.push(repository, tag, &image);
    }
    let warned = async |mirror: &TestMirror, repository: &str, reference: &str, text: &str| {
        let pulled = mirror.pull(repository, reference).await;
        pulled.assert_complete();
        let warning = pulled.manifest.header("warning");
        assert!(warning.contains(text), "{repository}:{reference}: {warning}");
    };
    // The very first pull says it: it has waited for the verdict.
    let text = "served in warn mode, would be refused by rule app: not signed by team";
    warned(&mirror, REPOSITORY, "1", text).await;
    warned(&mirror, REPOSITORY, &image.digest().to_string(), text).await;
    warned(&mirror, REPOSITORY, "latest", text).await;
    warned(&mirror, "none/app", "1", "would be refused: no rule lists up.test/none/app").await;
    assert!(mirror.mirror().metrics().warned.value() >= 8, "each pull is counted");
    let subject = pratique::gate::Subject {
        name: "up.test/lib/app".parse().unwrap(),
        digest: image.digest(),
    };
    let record = mirror.mirror().ledger().record(&subject).await.unwrap().unwrap();
    let judgement = record.judgement.as_ref().unwrap();
    assert!(judgement.warns && !judgement.enforced && !judgement.admits(), "{judgement:?}");
    // What is signed is served without a word, and so is a tag that is forbidden only with one.
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &image.digest(), &team.bundle(&image));
    mirror.clock.advance(Duration::from_mins(2));
    let pulled = mirror.pull(REPOSITORY, "1").await;
    pulled.assert_complete();
    assert!(!pulled.manifest.headers.contains_key("warning"), "{:?}", pulled.manifest);
    warned(&mirror, REPOSITORY, "latest", "would be refused: tag latest is forbidden").await;
    // From that day on it enforces, whatever was on record, and after a start too.
    mirror.clock.set("2026-11-29T23:59:59Z".parse().unwrap());
    warned(&mirror, "none/app", "1", "no rule lists").await;
    mirror.clock.advance(Duration::from_secs(1));
    mirror.pull("none/app", "1").await.assert_refused("Denied: no rule lists");
    let refused = mirror.manifest(REPOSITORY, "latest").await;
    assert!(refused.phrase.starts_with("Denied: tag latest is forbidden"), "{refused:?}");
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    let mirror = mirror.restart().await;
    mirror.pull("none/app", "1").await.assert_refused("Denied: no rule lists");
}

#[tokio::test]
async fn a_verdict_on_record_ends_with_its_mode_across_a_restart() {
    let team = Signer::generate();
    for mode in ["warn", "audit"] {
        let rest = format!(
            "rules: [{{id: app, match: [\"up.test/lib/*\"], trust: allow, signatures: {{atLeast: 1, of: [team]}}, mode: {mode}, modeUntil: 2026-11-30}}]\n"
        );
        let mirror = TestMirror::start_with(&policy(&team, &rest), |_| {}).await;
        let image = Image::new().layer("one").build();
        mirror.upstream.push(REPOSITORY, "1", &image);
        mirror.pull(REPOSITORY, "1").await.assert_complete();
        let subject = pratique::gate::Subject {
            name: "up.test/lib/app".parse().unwrap(),
            digest: image.digest(),
        };
        for _ in 0..500 {
            let record = mirror.mirror().ledger().record(&subject).await.unwrap();
            if record.is_some_and(|record| record.judgement.is_some()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let clock = mirror.clock.clone();
        let mirror =
            mirror.restart_after(|_| clock.set("2026-12-01T00:00:00Z".parse().unwrap())).await;
        let refused = mirror.pull(REPOSITORY, "1").await;
        refused.assert_refused("Denied by rule app: not signed by team");
        // What was given out with the old verdict is taken back with it.
        assert_eq!(mirror.blob(REPOSITORY, &image.layer(0)).await.status, 403, "{mode}");
    }
}

#[tokio::test]
async fn warn_mode_serves_what_cannot_be_judged_and_keeps_the_floor() {
    let team = Signer::generate();
    let image = Image::new().layer("one").build();
    let rest = format!(
        "floor: {{denyImages: [{{digest: \"{}\", reason: bad}}]}}\n\
         rules: [{{id: app, match: [\"up.test/lib/*\"], trust: allow, signatures: {{atLeast: 1, of: [team]}}, mode: warn}}]\n",
        image.digest()
    );
    let mirror = TestMirror::start_with(&policy(&team, &rest), |_| {}).await;
    mirror.upstream.push(REPOSITORY, "1", &image);
    mirror.pull(REPOSITORY, "1").await.assert_refused("Denied: denied image: bad");
    assert_eq!(mirror.blob(REPOSITORY, &image.digest()).await.status, 403);
    let other = Image::new().layer("two").build();
    mirror.upstream.push(REPOSITORY, "2", &other);
    let referrers = format!("GET /v2/{REPOSITORY}/referrers/");
    mirror.upstream.fault(&referrers, Fault::Status(500));
    let sig = format!("GET /v2/{REPOSITORY}/manifests/sha256-");
    mirror.upstream.fault(&sig, Fault::Status(500));
    let pulled = mirror.pull(REPOSITORY, "2").await;
    pulled.assert_complete();
    let warning = pulled.manifest.header("warning");
    assert!(warning.contains("served in warn mode, could not be decided"), "{warning}");
}

#[tokio::test]
async fn an_overlay_that_only_warns_leaves_the_verdict_of_the_rule_alone() {
    let team = Signer::generate();
    let overlay = "overlays: [{id: soon, match: [\"**\"], signatures: {atLeast: 1, of: [team]}, mode: warn, modeUntil: 2026-11-30}]\n";
    let mirror = TestMirror::start_with(&policy(&team, &format!("{ALLOW}{overlay}")), |_| {}).await;
    let image = Image::new().layer("one").build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    for _ in 0..2 {
        let pulled = mirror.pull(REPOSITORY, "1").await;
        pulled.assert_complete();
        let warning = pulled.manifest.header("warning");
        let text = "served in warn mode, would be refused: overlay soon: not signed by team";
        assert!(warning.contains(text), "{warning}");
    }
    // It is admitted: the tag is held when it moves to what the rule refuses.
    let tag = "1".parse().unwrap();
    let name = "up.test/lib/app".parse().unwrap();
    let admitted = mirror.mirror().ledger().admitted_tag(&name, &tag).await.unwrap();
    assert_eq!(admitted, Some(image.digest()));
    let desk = pratique::mirror::desk::Desk::new(mirror.mirror().clone());
    let observed = desk.observed(Some(10)).await.unwrap();
    let told = serde_json::to_string(&observed).unwrap();
    assert!(told.contains("overlay soon: not signed by team"), "{told}");
    mirror.clock.advance(11 * DAY);
    let refused = mirror.pull(REPOSITORY, "1").await;
    refused.assert_refused("Denied by rule app: overlay soon: not signed by team");
}
