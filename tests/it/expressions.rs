//! Expressions at a mirror that runs: what is gathered for them, and what takes a verdict back.

use std::time::Duration;

use pratique::oci::MediaType;
use serde_json::json;

use crate::scanning::{know, openssl, other};
use crate::support::archive::debian;
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::Image;

const REPOSITORY: &str = "lib/app";

fn policy(team: &Signer, when: &str) -> String {
    let pem = team.policy_pem().replace("      ", "        ");
    format!(
        "signers:\n  team:\n    key:\n      pem: |\n{pem}    transparencyLog: none\n\
         rules: [{{id: app, match: [\"up.test/lib/*\"], trust: allow, signerChange: allow}}]\n\
         expressions: [{{id: x, when: \"{when}\", message: this is not served}}]\n"
    )
}

const REFUSED: &str = "Denied by rule app: expression x: this is not served";

#[tokio::test]
async fn a_tag_that_is_seen_later_is_asked_about_too() {
    let team = Signer::generate();
    let text = policy(&team, "!image.tag.endsWith('-debug')");
    let mirror = TestMirror::start_with(&text, |_| {}).await;
    let image = Image::new().layer("one").build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    mirror.upstream.push(REPOSITORY, "1-debug", &image);
    mirror.pull(REPOSITORY, "1-debug").await.assert_refused(REFUSED);
    // It is one digest, whatever it is asked by.
    mirror.pull(REPOSITORY, image.digest()).await.assert_refused(REFUSED);
    assert_eq!(mirror.blob(REPOSITORY, &image.layer(0)).await.status, 403);
}

#[tokio::test]
async fn what_was_true_of_the_time_is_asked_again_across_a_restart() {
    let team = Signer::generate();
    let text = policy(&team, "now - image.created < duration('30d')");
    let mirror = TestMirror::start_with(&text, |_| {}).await;
    let config = json!({
        "os": "linux", "architecture": "amd64", "created": "2026-10-22T10:00:00Z",
        "rootfs": {"type": "layers", "diff_ids": []},
    });
    let image = Image::new().config(MediaType::OCI_CONFIG, config.to_string()).layer("one").build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    mirror.clock.advance(Duration::from_hours(23));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    let mirror = mirror.restart().await;
    mirror.clock.advance(Duration::from_hours(2));
    mirror.pull(REPOSITORY, "1").await.assert_refused(REFUSED);
    assert_eq!(mirror.blob(REPOSITORY, &image.layer(0)).await.status, 403);
}

#[tokio::test]
async fn scans_and_attestations_are_there_for_expressions_alone() {
    let team = Signer::generate();
    let when = "scan.complete && scan.findings.all(f, f.severity != 'critical') && \
                attestations.exists(a, a.signer == 'team' && a.predicate.level > 2)";
    let mirror = TestMirror::start_with(&policy(&team, when), |_| {}).await;
    know(&mirror, &[other()]).await;
    let image = Image::new().layer(debian(&[("openssl", "3.0.11-1")])).build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    mirror.pull(REPOSITORY, "1").await.assert_refused(REFUSED);
    let said = team.attestation(&image, "https://acme.test/level", &json!({"level": 3}));
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &image.digest(), &said);
    mirror.clock.advance(Duration::from_mins(2));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    // What a new database knows takes it back, as soon as it is judged again.
    know(&mirror, &[openssl()]).await;
    for _ in 0..500 {
        let pulled = mirror.pull(REPOSITORY, "1").await;
        if pulled.manifest.status == 403 {
            return pulled.assert_refused(REFUSED);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the new database changed nothing");
}
