//! Ways around the gate: every route to the same content gives the same answer.

use std::time::Duration;

use hyper::Method;
use pratique::gate::Subject;
use pratique::ledger::Decision;
use pratique::oci::Digest;

use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::signer::Signer;
use crate::support::upstream::{Fault, Gate, Image, Index};

const OPEN: &str = r#"- {id: open, match: ["up.test/open/**"], trust: allow}"#;

fn signed(signer: &Signer, mode: &str) -> String {
    let pem = signer.policy_pem();
    format!(
        "mode: {mode}\nsigners:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}\
         rules:\n- {{id: signed, match: [\"up.test/lib/**\"], trust: allow, \
         signatures: {{atLeast: 1, of: [team]}}}}\n"
    )
}

fn subject(repository: &str, digest: Digest) -> Subject {
    Subject { name: format!("{REGISTRY}/{repository}").parse().unwrap(), digest }
}

async fn revoke(mirror: &TestMirror, subject: Subject) {
    let decision = Decision {
        subject,
        by: "admin".to_owned(),
        reason: "bad".to_owned(),
        expires: None,
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    };
    mirror.mirror().ledger().revoke(decision).await.unwrap();
}

#[tokio::test]
async fn an_image_attached_to_a_signed_one_is_still_an_image_that_nobody_signed() {
    let team = Signer::generate();
    let mirror = TestMirror::start_with(&signed(&team, "enforce"), |_| {}).await;
    let upstream = &mirror.upstream;
    let good = Image::new().layer("good").build();
    let digest = upstream.push("lib/app", "1", &good);
    upstream.attach_by_fallback_tag("lib/app", &digest, &team.bundle(&good));
    let referrer = Image::new().layer("evil referrer").subject(&good).build();
    upstream.attach_by_fallback_tag("lib/app", &digest, &referrer);
    let tagged = Image::new().layer("evil tag").build();
    upstream.attach_by_sig_tag("lib/app", &digest, &tagged);
    mirror.pull("lib/app", "1").await.assert_complete();

    for evil in [&referrer, &tagged] {
        mirror.pull("lib/app", evil.digest()).await.assert_refused("Denied by rule signed");
        for blob in [evil.layer(0), evil.config(), evil.digest()] {
            assert_eq!(mirror.blob("lib/app", &blob).await.status, 403);
        }
    }
    let tag = format!("sha256-{}.sig", digest.hex());
    assert_ne!(mirror.manifest("lib/app", tag).await.status, 200);
}

#[tokio::test]
async fn a_child_that_people_revoked_is_refused_as_a_blob_too() {
    let mirror = TestMirror::start(OPEN).await;
    let index = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
    mirror.upstream.push("open/multi", "1", &index);
    mirror.pull("open/multi", "1").await.assert_complete();
    let child = index.children[0].digest();
    assert_eq!(mirror.blob("open/multi", &child).await.status, 200);
    revoke(&mirror, subject("open/multi", child)).await;
    assert_eq!(mirror.manifest("open/multi", child).await.status, 403);
    assert_eq!(mirror.blob("open/multi", &child).await.status, 403);
}

#[tokio::test]
async fn a_child_of_an_admitted_index_is_the_same_by_tag_and_by_digest() {
    let team = Signer::generate();
    let mirror = TestMirror::start_with(&signed(&team, "enforce"), |_| {}).await;
    let index = Index::for_platforms(&["linux/amd64"]).build();
    let digest = mirror.upstream.push("lib/multi", "1", &index);
    let signature = team.simple_signing("up.test/lib/multi", &digest);
    mirror.upstream.attach_by_sig_tag("lib/multi", &digest, &signature);
    let child = index.children[0].digest();
    mirror.upstream.tag("lib/multi", "1-amd64", &[child]);
    mirror.pull("lib/multi", "1-amd64").await.assert_refused("Denied by rule signed");
    mirror.pull("lib/multi", "1").await.assert_complete();
    mirror.pull("lib/multi", child).await.assert_complete();
    mirror.pull("lib/multi", "1-amd64").await.assert_complete();
}

#[tokio::test]
async fn a_denied_image_is_refused_as_a_blob_under_an_observed_rule_too() {
    let image = Image::new().layer("denied").build();
    let digest = image.digest();
    let policy = format!(
        "floor:\n  registries: [up.test]\n  denyImages: [{{digest: \"{digest}\", reason: known bad}}]\n\
         rules:\n- {{id: lab, match: [\"up.test/lab/**\"], trust: allow, mode: audit}}\n"
    );
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    mirror.upstream.push("lab/app", "1", &image);
    mirror.upstream.put_blob("lab/app", image.manifest.clone());
    assert_eq!(mirror.manifest("lab/app", digest).await.status, 403);
    assert_eq!(mirror.blob("lab/app", &digest).await.status, 403);
}

#[tokio::test]
async fn an_observed_repository_gives_nothing_that_upstream_does_not_have_there() {
    let rules = "- {id: secret, match: [\"up.test/secret/**\"], trust: allow}\n\
                 - {id: lab, match: [\"up.test/lab/**\"], trust: allow, mode: audit}\n";
    let mirror = TestMirror::start(rules).await;
    let image = Image::new().layer("secret").build();
    let digest = mirror.upstream.push("secret/app", "1", &image);
    mirror.pull("secret/app", "1").await.assert_complete();
    assert_eq!(mirror.blob("lab/app", &image.layer(0)).await.status, 404);
    assert_eq!(mirror.manifest("lab/app", digest).await.status, 404);
}

#[tokio::test]
async fn head_of_a_blob_in_observe_mode_fetches_nothing() {
    let mirror = TestMirror::start_with(
        "mode: audit\nrules:\n- {id: any, match: [\"up.test/**\"], trust: approve}\n",
        |_| {},
    )
    .await;
    let image = Image::new().layer(vec![7; 1_000_000]).build();
    mirror.upstream.push("any/app", "1", &image);
    let layer = image.layer(0);
    let gate = Gate::closed();
    mirror.upstream.fault(&format!("blobs/{layer}"), Fault::StallAfter(1_000, gate.clone()));
    let path = format!("/v2/any/app/blobs/{layer}?ns={REGISTRY}");
    let answer = mirror.ask(Method::HEAD, &path, &[]).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, "1000000"));
    assert_eq!(mirror.mirror().metrics().flights.value(), 0);
    gate.open();
}

#[tokio::test]
async fn what_is_attached_is_served_on_while_upstream_is_away() {
    let mirror = TestMirror::start(OPEN).await;
    mirror.upstream.set_referrers_api(true);
    let image = Image::new().layer("x").build();
    let digest = mirror.upstream.push("open/app", "1", &image);
    let sbom = Image::artifact("application/spdx+json")
        .layer_of("application/spdx+json", "{\"sbom\":1}", &[])
        .subject(&image)
        .build();
    let attached = mirror.upstream.attach_referrer("open/app", &digest, &sbom);
    mirror.pull("open/app", "1").await.assert_complete();
    let path = format!("open/app/referrers/{digest}");
    assert_eq!(mirror.get(&path).await.status, 200);
    mirror.pull("open/app", attached).await.assert_complete();

    mirror.upstream.clear_requests();
    assert_eq!(mirror.get(&path).await.status, 200);
    mirror.upstream.assert_untouched();

    mirror.upstream.go_away();
    mirror.clock.advance(Duration::from_secs(61));
    let referrers = mirror.get(&path).await;
    assert_eq!(referrers.status, 200, "{referrers:?}");
    mirror.pull("open/app", attached).await.assert_complete();
}

#[tokio::test]
async fn a_denial_that_cannot_be_looked_at_again_backs_off() {
    let team = Signer::generate();
    let mirror = TestMirror::start_with(&signed(&team, "enforce"), |_| {}).await;
    let image = Image::new().layer("x").build();
    let digest = mirror.upstream.push("lib/app", "1", &image);
    assert_eq!(mirror.manifest("lib/app", digest).await.status, 403);
    mirror.clock.advance(Duration::from_secs(61));
    mirror.upstream.fault(".sig", Fault::Status(418));
    mirror.upstream.fault("/referrers/", Fault::Status(418));
    assert_eq!(mirror.manifest("lib/app", digest).await.status, 503);
    mirror.upstream.clear_requests();
    assert_eq!(mirror.manifest("lib/app", digest).await.status, 503);
    mirror.upstream.assert_untouched();
}

#[tokio::test]
async fn what_observe_mode_lets_pass_does_not_take_the_place_of_what_was_admitted() {
    let team = Signer::generate();
    let mirror = TestMirror::start_with(&signed(&team, "enforce"), |_| {}).await;
    let (old, new) = (Image::new().layer("old").build(), Image::new().layer("new").build());
    let admitted = mirror.upstream.push("lib/app", "1", &old);
    let signature = team.simple_signing("up.test/lib/app", &admitted);
    mirror.upstream.attach_by_sig_tag("lib/app", &admitted, &signature);
    mirror.pull("lib/app", "1").await.assert_complete();

    mirror.set_policy(&signed(&team, "audit"), 2).await;
    let unsigned = mirror.upstream.push("lib/app", "1", &new);
    let mut warned = false;
    for _ in 0..500 {
        let answer = mirror.manifest("lib/app", "1").await;
        assert_eq!(answer.header("docker-content-digest"), unsigned.to_string());
        warned = answer.header("warning").contains("would be refused");
        if warned {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(warned, "the pull was not judged beside");

    mirror.set_policy(&signed(&team, "enforce"), 3).await;
    let answer = mirror.manifest("lib/app", "1").await;
    assert_eq!(answer.header("docker-content-digest"), admitted.to_string(), "{answer:?}");
}
