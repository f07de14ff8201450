//! Tags that move, vanish or lie upstream.

use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Fault, Image};

fn policy(signer: &Signer, tag_move: &str) -> String {
    let pem = signer.policy_pem();
    format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}\
         rules:\n- {{id: signed, match: [\"up.test/lib/**\"], trust: allow, tagMove: {tag_move}, \
         signatures: {{atLeast: 1, of: [team]}}}}\n"
    )
}

async fn moved(tag_move: &str) -> (TestMirror, [pratique::oci::Digest; 2]) {
    let team = Signer::generate();
    let mirror = TestMirror::start_with(&policy(&team, tag_move), |_| {}).await;
    let (old, new) = (Image::new().layer("old").build(), Image::new().layer("new").build());
    let signed = mirror.upstream.push("lib/app", "1", &old);
    let signature = team.simple_signing("up.test/lib/app", &signed);
    mirror.upstream.attach_by_sig_tag("lib/app", &signed, &signature);
    mirror.pull("lib/app", "1").await.assert_complete();
    let unsigned = mirror.upstream.push("lib/app", "1", &new);
    (mirror, [signed, unsigned])
}

#[tokio::test]
async fn a_tag_that_moved_to_a_refused_digest_goes_on_with_the_last_admitted_one() {
    let (mirror, [signed, unsigned]) = moved("hold-new").await;
    let pulled = mirror.pull("lib/app", "1").await;
    pulled.assert_complete();
    assert_eq!(pulled.manifest.header("docker-content-digest"), signed.to_string());
    assert!(pulled.manifest.header("warning").contains("has moved upstream"), "{pulled:?}");
    mirror.pull("lib/app", unsigned).await.assert_refused("Denied by rule signed");
}

#[tokio::test]
async fn a_strict_rule_follows_the_tag_and_refuses() {
    let (mirror, _) = moved("strict").await;
    mirror.pull("lib/app", "1").await.assert_refused("Denied by rule signed");
    mirror.upstream.untag("lib/app", "1");
    assert_eq!(mirror.manifest("lib/app", "1").await.status, 404);
}

#[tokio::test]
async fn a_tag_deleted_upstream_goes_on_with_the_last_admitted_digest() {
    let (mirror, [signed, _]) = moved("hold-new").await;
    mirror.upstream.untag("lib/app", "1");
    let pulled = mirror.pull("lib/app", "1").await;
    pulled.assert_complete();
    assert_eq!(pulled.manifest.header("docker-content-digest"), signed.to_string());
    assert!(pulled.manifest.header("warning").contains("gone upstream"), "{pulled:?}");
    assert_eq!(mirror.manifest("lib/app", "never-there").await.status, 404);
}

#[tokio::test]
async fn a_tag_whose_rule_asks_for_more_is_judged_by_that_rule() {
    let team = Signer::generate();
    let pem = team.policy_pem();
    let policy = format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}\
         rules:\n- {{id: open, match: [\"up.test/lib/**\"], trust: allow, signerChange: allow}}\n\
         - {{id: release, match: [\"up.test/lib/**\"], tags: {{exact: [\"1\"]}}, trust: allow, \
         signatures: {{atLeast: 1, of: [team]}}}}\n"
    );
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    let image = Image::new().layer("x").build();
    let digest = mirror.upstream.push("lib/app", "nightly", &image);
    mirror.pull("lib/app", digest).await.assert_complete();
    mirror.upstream.push("lib/app", "1", &image);
    mirror.pull("lib/app", "1").await.assert_refused("Denied by rule release: not signed by team");
    mirror
        .pull("lib/app", digest)
        .await
        .assert_refused("Denied by rule release: not signed by team");
}

#[tokio::test]
async fn a_signature_that_comes_later_is_found_later() {
    let team = Signer::generate();
    let mirror = TestMirror::start_with(&policy(&team, "strict"), |_| {}).await;
    let image = Image::new().layer("late").build();
    let digest = mirror.upstream.push("lib/app", "1", &image);
    mirror.pull("lib/app", "1").await.assert_refused("Denied by rule signed: not signed");
    let signature = team.simple_signing("up.test/lib/app", &digest);
    mirror.upstream.attach_by_sig_tag("lib/app", &digest, &signature);
    mirror.pull("lib/app", "1").await.assert_refused("Denied by rule signed");
    mirror.clock.advance(std::time::Duration::from_secs(61));
    mirror.pull("lib/app", "1").await.assert_complete();
}

#[tokio::test]
async fn a_search_for_signatures_that_failed_is_no_denial() {
    let team = Signer::generate();
    let mirror = TestMirror::start_with(&policy(&team, "strict"), |_| {}).await;
    let image = Image::new().layer("x").build();
    let digest = mirror.upstream.push("lib/app", "1", &image);
    let signature = team.simple_signing("up.test/lib/app", &digest);
    mirror.upstream.attach_by_sig_tag("lib/app", &digest, &signature);
    mirror.upstream.fault(".sig", Fault::Status(500));
    mirror.upstream.fault("/referrers/", Fault::Status(500));
    let answer = mirror.manifest("lib/app", "1").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    mirror.upstream.heal();
    mirror.clock.advance(std::time::Duration::from_secs(301));
    mirror.pull("lib/app", "1").await.assert_complete();
}

#[tokio::test]
async fn attached_signatures_are_served_with_their_subject_and_only_then() {
    let team = Signer::generate();
    let mirror = TestMirror::start_with(&policy(&team, "strict"), |_| {}).await;
    let (signed, unsigned) = (Image::new().layer("a").build(), Image::new().layer("b").build());
    let digest = mirror.upstream.push("lib/app", "1", &signed);
    mirror.upstream.push("lib/app", "2", &unsigned);
    let signature = team.simple_signing("up.test/lib/app", &digest);
    mirror.upstream.attach_by_sig_tag("lib/app", &digest, &signature);
    mirror.upstream.attach_by_fallback_tag("lib/app", &digest, &team.bundle(&signed));
    mirror.pull("lib/app", "1").await.assert_complete();
    mirror.pull("lib/app", format!("sha256-{}.sig", digest.hex())).await.assert_complete();
    let referrers = mirror.get(&format!("lib/app/referrers/{digest}")).await;
    assert_eq!(referrers.status, 200);
    let index: serde_json::Value = serde_json::from_slice(referrers.bytes()).unwrap();
    assert_eq!(
        index["manifests"].as_array().map(Vec::len),
        Some(2),
        "the bundle, and what the mirror says itself: {index}"
    );
    let bundle = index["manifests"][0]["digest"].as_str().unwrap();
    mirror.pull("lib/app", bundle).await.assert_complete();

    let other = unsigned.digest();
    assert_eq!(mirror.get(&format!("lib/app/referrers/{other}")).await.status, 403);
    let tag = format!("sha256-{}.sig", other.hex());
    assert_eq!(mirror.manifest("lib/app", tag).await.status, 403);
}
