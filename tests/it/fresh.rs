//! What gates ask of the time of images: for how long they are known here, and when they were built.

use std::time::Duration;

use pratique::ledger::Role;
use pratique::mirror::desk::{Desk, Verb, Wish};
use pratique::oci::MediaType;
use serde_json::json;

use crate::scanning::{know, openssl, other};
use crate::support::archive::{CRITICAL, debian, record};
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, Image, Index};

const REPOSITORY: &str = "lib/app";
const NAME: &str = "up.test/lib/app";
const HOUR: Duration = Duration::from_hours(1);
const COOLING: &str = "Denied by rule app: cooling down until 2026-1";

fn policy(gates: &str, named: &str, rest: &str) -> String {
    let rule = format!(
        "{{id: app, match: [\"up.test/lib/*\"], trust: allow, signerChange: allow, gates: [{named}]}}"
    );
    format!("{rest}\ngates: {{{gates}}}\nrules: [{rule}]\n")
}

async fn start(gate: &str) -> TestMirror {
    TestMirror::start_with(&policy(&format!("fresh: {{{gate}}}"), "fresh", ""), |_| {}).await
}

/// An image for `linux/ARCHITECTURE` that says that it was built `created`.
fn built(architecture: &str, created: &str) -> Artifact {
    let config = json!({
        "os": "linux", "architecture": architecture, "created": created,
        "rootfs": {"type": "layers", "diff_ids": []},
    });
    let image = Image::new().platform(&format!("linux/{architecture}"));
    let layer = format!("layer of {architecture} of {created}");
    image.config(MediaType::OCI_CONFIG, config.to_string()).layer(layer).build()
}

#[tokio::test]
async fn a_new_image_is_served_once_it_has_been_known_for_long_enough() {
    let mirror = start("minObservedAge: 72h").await;
    let image = Image::new().layer("one").build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    let pulled = mirror.pull(REPOSITORY, "1").await;
    pulled.assert_refused(&format!("{COOLING}1-23T10:01Z, here since 2026-11-20T10:00Z"));
    let told = pulled.manifest.error()["message"].to_string();
    assert!(told.contains("gates.fresh.minObservedAge"), "{told}");
    for digest in [image.layer(0), image.config()] {
        assert_eq!(mirror.blob(REPOSITORY, &digest).await.status, 403);
    }
    mirror.clock.advance(71 * HOUR);
    mirror
        .pull(REPOSITORY, image.digest())
        .await
        .assert_refused(&format!("{COOLING}1-23T10:01Z, here since 2026-11-20T10:00Z"));
    // What is known is known after a restart and under another policy, too.
    let mirror = mirror.restart().await;
    mirror.set_policy(&policy("fresh: {minObservedAge: 3d}", "fresh", "# another"), 2).await;
    mirror
        .pull(REPOSITORY, "1")
        .await
        .assert_refused(&format!("{COOLING}1-23T10:01Z, here since 2026-11-20T10:00Z"));
    mirror.clock.advance(HOUR);
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    // A clock that is set back takes nothing back that was admitted.
    mirror.clock.set("2026-11-20T10:00:00Z".parse().expect("a time"));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
}

#[tokio::test]
async fn while_what_a_tag_moved_to_cools_down_what_it_was_goes_on() {
    let mirror = start("minObservedAge: 72h").await;
    let old = Image::new().layer("old").build();
    mirror.upstream.push(REPOSITORY, "1", &old);
    mirror.pull(REPOSITORY, "1").await.assert_refused(COOLING);
    mirror.clock.advance(73 * HOUR);
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    let new = Image::new().layer("new").build();
    mirror.upstream.push(REPOSITORY, "1", &new);
    let held = mirror.pull(REPOSITORY, "1").await;
    held.assert_complete();
    assert_eq!(held.manifest.header("docker-content-digest"), old.digest().to_string());
    mirror.pull(REPOSITORY, new.digest()).await.assert_refused(COOLING);
    mirror.clock.advance(73 * HOUR);
    let pulled = mirror.pull(REPOSITORY, "1").await;
    pulled.assert_complete();
    assert_eq!(pulled.manifest.header("docker-content-digest"), new.digest().to_string());
}

#[tokio::test]
async fn every_digest_cools_down_for_itself() {
    let mirror = start("minObservedAge: 72h").await;
    mirror.upstream.push(REPOSITORY, "1", &Image::new().layer("one").build());
    mirror.pull(REPOSITORY, "1").await.assert_refused(COOLING);
    mirror.clock.advance(73 * HOUR);
    // The same digest under another name was not known there.
    let image = Image::new().layer("one").build();
    mirror.upstream.push("lib/other", "1", &image);
    mirror.pull("lib/other", "1").await.assert_refused(COOLING);
    mirror.pull(REPOSITORY, "1").await.assert_complete();
}

fn signers(team: &Signer, other: &Signer) -> String {
    let signer = |name: &str, signer: &Signer| {
        let pem = signer.policy_pem();
        format!("  {name}:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}")
    };
    format!("signers:\n{}{}", signer("team", team), signer("other", other))
}

#[tokio::test]
async fn whoever_the_gate_names_has_an_image_served_at_once_by_signing_it() {
    let (team, other) = (Signer::generate(), Signer::generate());
    let gate = "fresh: {minObservedAge: 72h, fastTrack: {signers: [team]}}";
    let text = policy(gate, "fresh", &signers(&team, &other));
    let mirror = TestMirror::start_with(&text, |_| {}).await;
    let digest = mirror.upstream.push(REPOSITORY, "1", &Image::new().layer("one").build());
    mirror.pull(REPOSITORY, "1").await.assert_refused(COOLING);
    let signature = other.simple_signing(NAME, &digest);
    mirror.upstream.attach_by_sig_tag(REPOSITORY, &digest, &signature);
    mirror.clock.advance(Duration::from_mins(2));
    mirror.pull(REPOSITORY, "1").await.assert_refused(COOLING);
    let signature = team.simple_signing(NAME, &digest);
    mirror.upstream.attach_by_sig_tag(REPOSITORY, &digest, &signature);
    mirror.clock.advance(Duration::from_mins(2));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    // A signature over something else shortens nothing.
    let next = mirror.upstream.push(REPOSITORY, "2", &Image::new().layer("two").build());
    mirror.upstream.attach_by_sig_tag(REPOSITORY, &next, &signature);
    mirror.pull(REPOSITORY, "2").await.assert_refused(COOLING);
}

#[tokio::test]
async fn a_signed_fix_is_served_at_once_and_what_fixes_nothing_is_not() {
    let (team, other_signer) = (Signer::generate(), Signer::generate());
    let gates = "scanned: {deny: [{severity: critical, olderThan: 9000d}]}, fresh: \
         {minObservedAge: 72h, fastTrack: {signers: [team], when: fixes-critical}}";
    let text = policy(gates, "fresh, scanned", &signers(&team, &other_signer));
    let mirror = TestMirror::start_with(&text, |_| {}).await;
    know(&mirror, &[other()]).await;
    let plain = |version: &str| Image::new().layer(debian(&[("openssl", version)])).build();
    mirror.upstream.push(REPOSITORY, "1", &plain("3.0.11-1"));
    mirror.pull(REPOSITORY, "1").await.assert_refused(COOLING);
    mirror.clock.advance(73 * HOUR);
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    know(&mirror, &[openssl(), other()]).await;
    let push = |image: &Artifact, by: &Signer| {
        let digest = mirror.upstream.push(REPOSITORY, "1", image);
        let signature = by.simple_signing(NAME, &digest);
        mirror.upstream.attach_by_sig_tag(REPOSITORY, &digest, &signature);
        digest
    };
    let useless = push(&plain("3.0.12-1"), &team);
    mirror.clock.advance(Duration::from_mins(2));
    let served = mirror.pull(REPOSITORY, "1").await;
    assert_ne!(served.manifest.header("docker-content-digest"), useless.to_string());
    mirror.pull(REPOSITORY, useless).await.assert_refused(COOLING);
    let unsigned = push(&plain("3.0.13-1"), &other_signer);
    mirror.clock.advance(Duration::from_mins(2));
    let served = mirror.pull(REPOSITORY, "1").await;
    assert_ne!(served.manifest.header("docker-content-digest"), unsigned.to_string());
    let fixed = push(&plain("3.0.14-1"), &team);
    mirror.clock.advance(Duration::from_mins(2));
    let served = mirror.pull(REPOSITORY, "1").await;
    served.assert_complete();
    assert_eq!(served.manifest.header("docker-content-digest"), fixed.to_string());
    // It goes on: there is nothing before it to compare it with any more, and nobody has to ask.
    know(&mirror, &[openssl(), other(), record("CVE-2026-9", "Debian:12", "other", "2", CRITICAL)])
        .await;
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    mirror.set_policy(&format!("{text}# another"), 2).await;
    mirror.pull(REPOSITORY, fixed).await.assert_complete();
    mirror.upstream.tag(REPOSITORY, "1.0", &[fixed]);
    mirror.pull(REPOSITORY, "1.0").await.assert_complete();
    mirror.restart().await.pull(REPOSITORY, "1").await.assert_complete();
}

#[tokio::test]
async fn what_was_admitted_before_the_gate_came_is_served_on() {
    let text = policy("fresh: {exposedPorts: {deny: [22]}}", "fresh", "");
    let mirror = TestMirror::start_with(&text, |_| {}).await;
    mirror.upstream.push(REPOSITORY, "1", &Image::new().layer("one").build());
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    mirror.set_policy(&policy("fresh: {minObservedAge: 72h}", "fresh", ""), 2).await;
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    mirror.upstream.push(REPOSITORY, "2", &Image::new().layer("two").build());
    mirror.pull(REPOSITORY, "2").await.assert_refused(COOLING);
}

#[tokio::test]
async fn people_decide_once_the_wait_is_over() {
    let text = policy("fresh: {minObservedAge: 72h}", "fresh", "")
        .replace("trust: allow", "trust: approve");
    let mirror = TestMirror::start_with(&text, |_| {}).await;
    let digest = mirror.upstream.push(REPOSITORY, "1", &Image::new().layer("one").build());
    mirror.pull(REPOSITORY, "1").await.assert_refused(COOLING);
    let desk = Desk::new(mirror.mirror().clone());
    let alice = mirror.holder_of("alice", Role::Approver).await;
    let wish = |verb| Wish {
        verb,
        target: format!("{NAME}@{digest}"),
        reason: "reviewed".to_owned(),
        expires: None,
        by: alice.clone(),
        seen: None,
        shown: None,
    };
    let early = desk.decide(&wish(Verb::Approve)).await.expect_err("it waits");
    assert!(early.to_string().contains(NAME), "{early}");
    mirror.clock.advance(72 * HOUR);
    mirror.pull(REPOSITORY, "1").await.assert_refused("Pending approval");
    desk.decide(&wish(Verb::Approve)).await.expect("an approval");
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    desk.decide(&wish(Verb::Revoke)).await.expect("a revocation");
    mirror.pull(REPOSITORY, "1").await.assert_refused("Revoked");
    desk.decide(&wish(Verb::Approve)).await.expect("another approval");
    mirror.pull(REPOSITORY, "1").await.assert_complete();
}

#[tokio::test]
async fn an_image_of_an_index_that_comes_late_is_dated_then() {
    let mirror = start("maxImageAge: 180d").await;
    let good = built("amd64", "2026-11-01T00:00:00Z");
    let late = built("arm64", "2026-11-02T00:00:00Z");
    mirror.upstream.push_untagged(REPOSITORY, &good);
    let children = [good.descriptor(), late.descriptor()];
    let index =
        json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": children});
    let index = index.to_string().into_bytes();
    let digest = mirror.upstream.put_manifest(REPOSITORY, MediaType::OCI_INDEX, index);
    let why = "Denied by rule app: linux/arm64: its configuration is not there upstream";
    mirror.pull(REPOSITORY, digest).await.assert_refused(why);
    mirror.upstream.push_untagged(REPOSITORY, &late);
    mirror.clock.advance(Duration::from_mins(2));
    assert_eq!(mirror.manifest(REPOSITORY, digest).await.status, 200);
}

#[tokio::test]
async fn an_image_that_was_built_too_long_ago_is_refused_and_one_that_grows_too_old_too() {
    let mirror = start("maxImageAge: 180d").await;
    for (tag, created, why) in [
        ("old", "2025-11-20T10:00:00Z", "built 2025-11-20, more than 180 days ago"),
        ("zero", "1970-01-01T00:00:00Z", "nothing says when it was built"),
        ("later", "2031-01-01T00:00:00Z", "says that it was built 2031-01-01, which is to come"),
    ] {
        let image = built("amd64", created);
        mirror.upstream.push(REPOSITORY, tag, &image);
        mirror.pull(REPOSITORY, tag).await.assert_refused(&format!("Denied by rule app: {why}"));
        assert_eq!(mirror.upstream.count(&image.layer(0).to_string()), 0, "no layer was asked for");
    }
    mirror.upstream.push(REPOSITORY, "1", &built("amd64", "2026-06-01T00:00:00Z"));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    mirror.clock.advance(10 * 24 * HOUR);
    let why = "Denied by rule app: built 2026-06-01, more than 180 days ago";
    mirror.pull(REPOSITORY, "1").await.assert_refused(why);
}

#[tokio::test]
async fn every_image_of_an_index_is_dated() {
    let mirror = start("maxImageAge: 180d").await;
    let index = Index::new()
        .child(built("amd64", "2026-11-01T00:00:00Z"))
        .child(built("arm64", "2025-11-20T10:00:00Z"))
        .build();
    mirror.upstream.push(REPOSITORY, "1", &index);
    let why = "Denied by rule app: linux/arm64: built 2025-11-20, more than 180";
    mirror.pull(REPOSITORY, "1").await.assert_refused(why);
    let floor = "floor: {platforms: [linux/amd64]}";
    mirror.set_policy(&policy("fresh: {maxImageAge: 180d}", "fresh", floor), 2).await;
    assert_eq!(mirror.manifest(REPOSITORY, "1").await.status, 200);
}

#[tokio::test]
async fn what_was_admitted_before_is_dated_without_upstream() {
    let old = "fresh: {exposedPorts: {deny: [22]}}";
    let mirror = TestMirror::start_with(&policy(old, "fresh", ""), |_| {}).await;
    mirror.upstream.push(REPOSITORY, "1", &built("amd64", "2025-11-20T10:00:00Z"));
    let digest = built("amd64", "2025-11-20T10:00:00Z").digest();
    mirror.pull(REPOSITORY, digest).await.assert_complete();
    let asked = mirror.upstream.requests().len();
    mirror.set_policy(&policy("fresh: {maxImageAge: 180d}", "fresh", ""), 2).await;
    let why = "Denied by rule app: built 2025-11-20";
    mirror.pull(REPOSITORY, digest).await.assert_refused(why);
    assert_eq!(mirror.upstream.requests().len(), asked);
}
