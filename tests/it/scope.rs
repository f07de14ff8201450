//! `scope`: whether an index, each image below it, or either must be signed.

use std::time::Duration;

use bytes::Bytes;
use pratique::oci::{Descriptor, Digest, MediaType};

use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, Fault, Image, Index};

const REPOSITORY: &str = "lib/app";
const BOTH: &str = "{platforms: [linux/amd64, linux/arm64]}";
/// Longer than what is missing is taken for missing.
const AFTER_ABSENCE: Duration = Duration::from_secs(61);
/// Longer than the pause after a search that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(301);

fn policy(team: &Signer, scope: &str, floor: &str) -> String {
    let pem = team.policy_pem();
    format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}\
         floor: {floor}\n\
         rules:\n- {{id: signed, match: [\"up.test/lib/app\"], trust: allow, \
         signatures: {{atLeast: 1, of: [team], scope: {scope}}}}}\n"
    )
}

async fn start(team: &Signer, scope: &str, floor: &str) -> TestMirror {
    TestMirror::start_with(&policy(team, scope, floor), |_| {}).await
}

fn sign(mirror: &TestMirror, signer: &Signer, digest: &Digest) {
    let signature = signer.simple_signing("up.test/lib/app", digest);
    mirror.upstream.attach_by_sig_tag(REPOSITORY, digest, &signature);
}

fn sign_each(mirror: &TestMirror, signer: &Signer, digests: &[Digest]) {
    for digest in digests {
        sign(mirror, signer, digest);
    }
}

fn two() -> Artifact {
    Index::for_platforms(&["linux/amd64", "linux/arm64"]).build()
}

/// Pushes an index that lists `children` just so, whether they are there or not.
fn put_index(mirror: &TestMirror, children: &[Descriptor]) -> Digest {
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_INDEX,
        "manifests": children,
    });
    let index = Bytes::from(index.to_string());
    mirror.upstream.put_manifest(REPOSITORY, MediaType::OCI_INDEX, index)
}

fn listed_for(artifact: &Artifact, platform: Option<&str>) -> Descriptor {
    let platform = platform.map(|platform| platform.parse().expect("a platform"));
    Descriptor { platform, ..artifact.descriptor() }
}

#[track_caller]
fn assert_denied(answer: &crate::support::mirror::Answer, why: &str) {
    assert_eq!(answer.status, 403, "{answer:?}");
    let message = answer.error()["message"].to_string();
    assert!(message.contains(why), "{message}");
}

#[tokio::test]
async fn each_scope_serves_what_is_signed_as_it_says() {
    let (team, stranger) = (Signer::generate(), Signer::generate());
    let index = two();
    let [first, second] = [index.children[0].digest(), index.children[1].digest()];
    for (signed, by_stranger, served) in [
        (vec![index.digest()], vec![], ["index", "either"].as_slice()),
        (vec![first, second], vec![], &["every-platform", "either"]),
        (vec![first, second], vec![index.digest()], &["every-platform", "either"]),
        (vec![first], vec![second], &[]),
        (vec![first], vec![index.digest()], &[]),
        (vec![], vec![], &[]),
        (vec![index.digest(), first, second], vec![], &["index", "every-platform", "either"]),
    ] {
        for scope in ["index", "every-platform", "either"] {
            let mirror = start(&team, scope, BOTH).await;
            mirror.upstream.push(REPOSITORY, "1", &index);
            sign_each(&mirror, &team, &signed);
            sign_each(&mirror, &stranger, &by_stranger);
            let answer = mirror.manifest(REPOSITORY, "1").await;
            if served.contains(&scope) {
                assert_eq!(answer.status, 200, "{scope} {signed:?} {answer:?}");
                for child in &index.children {
                    mirror.pull(REPOSITORY, child.digest()).await.assert_complete();
                }
            } else {
                assert_denied(&answer, "signed");
                let layer = index.children[0].layer(0);
                assert_eq!(mirror.blob(REPOSITORY, &layer).await.status, 403, "{scope}");
            }
        }
    }
}

#[tokio::test]
async fn bundles_over_images_count_and_what_lacks_one_is_named() {
    let team = Signer::generate();
    let mirror = start(&team, "every-platform", BOTH).await;
    let index = two();
    mirror.upstream.push(REPOSITORY, "1", &index);
    let [first, second] = [&index.children[0], &index.children[1]];
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &first.digest(), &team.bundle(first));
    // A signature over one image beside another is over the one.
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &second.digest(), &team.bundle(first));
    let lacking = format!("linux/arm64 ({}): not signed by team", second.digest().short());
    assert_denied(&mirror.manifest(REPOSITORY, "1").await, &lacking);
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &second.digest(), &team.bundle(second));
    mirror.clock.advance(AFTER_ABSENCE);
    assert_eq!(mirror.manifest(REPOSITORY, "1").await.status, 200);
}

#[tokio::test]
async fn an_image_that_no_index_lists_is_its_own_platform() {
    let team = Signer::generate();
    for scope in ["every-platform", "either"] {
        let mirror = start(&team, scope, BOTH).await;
        let (signed, unsigned) = (Image::new().layer("a").build(), Image::new().layer("b").build());
        let digest = mirror.upstream.push(REPOSITORY, "1", &signed);
        mirror.upstream.push(REPOSITORY, "2", &unsigned);
        sign(&mirror, &team, &digest);
        mirror.pull(REPOSITORY, "1").await.assert_complete();
        mirror.pull(REPOSITORY, "2").await.assert_refused("Denied by rule signed: not signed by");
    }
}

#[tokio::test]
async fn images_are_searched_for_signatures_only_where_the_index_does_not_do() {
    let team = Signer::generate();
    let index = two();
    let floor = "{platforms: [linux/amd64]}";
    // Nobody compares signers with those of before.
    let alone = &format!("{floor}\ndefaults: {{signerChange: allow}}");
    for (scope, floor, own, below) in [
        ("index", floor, true, false),
        ("either", floor, true, false),
        ("every-platform", floor, true, true),
        ("every-platform", alone, false, true),
    ] {
        let mirror = start(&team, scope, floor).await;
        mirror.upstream.push(REPOSITORY, "1", &index);
        let digests = [index.digest(), index.children[0].digest(), index.children[1].digest()];
        sign_each(&mirror, &team, &digests);
        assert_eq!(mirror.manifest(REPOSITORY, "1").await.status, 200);
        let asked =
            digests.map(|it| mirror.upstream.count(&format!("sha256-{}.sig", it.hex())) > 0);
        assert_eq!(asked, [own, below, false], "{scope}");
    }
}

#[tokio::test]
async fn an_attestation_in_an_index_needs_no_signature_and_an_image_in_its_guise_does() {
    let team = Signer::generate();
    let image = Image::new().layer("image").build();
    let statement = Image::new()
        .platform("unknown/unknown")
        .layer_of("application/vnd.in-toto+json", "{}", &[])
        .build();
    let evil = Image::new().layer("evil").build();
    let half = Image::new()
        .platform("unknown/unknown")
        .layer_of("application/vnd.in-toto+json", "{}", &[])
        .layer("evil half")
        .build();
    for (beside, is_served) in [(&statement, true), (&evil, false), (&half, false)] {
        for floor in ["{}", "{platforms: [linux/amd64]}"] {
            let mirror = start(&team, "every-platform", floor).await;
            for artifact in [&image, beside] {
                mirror.upstream.push_untagged(REPOSITORY, artifact);
            }
            sign(&mirror, &team, &image.digest());
            let listed = [image.descriptor(), listed_for(beside, Some("unknown/unknown"))];
            let index = put_index(&mirror, &listed);
            let answer = mirror.manifest(REPOSITORY, index).await;
            // Under a floor of platforms no layer of it is served.
            if is_served || floor != "{}" {
                assert_eq!(answer.status, 200, "{answer:?}");
                mirror.pull(REPOSITORY, image.digest()).await.assert_complete();
            } else {
                assert_denied(&answer, "unknown/unknown (");
            }
            let layer = mirror.blob(REPOSITORY, &beside.layer(0)).await;
            assert_eq!(layer.status == 200, is_served && floor == "{}", "{floor} {layer:?}");
        }
    }
}

#[tokio::test]
async fn whatever_an_image_is_listed_as_it_is_signed_or_its_layers_are_not_served() {
    let team = Signer::generate();
    let (good, evil) = (Image::new().layer("good").build(), Image::new().layer("evil").build());
    for (platform, is_denied) in [
        (Some("linux/amd64"), true),
        (Some("linux/amd64/v3"), true),
        (Some("linux/AMD64"), false),
        (Some("windows/amd64"), false),
        // Its config says what it is.
        (None, true),
    ] {
        let mirror = start(&team, "every-platform", "{platforms: [linux/amd64]}").await;
        for artifact in [&good, &evil] {
            mirror.upstream.push_untagged(REPOSITORY, artifact);
        }
        sign(&mirror, &team, &good.digest());
        // Listed a second time, for what is not served: that takes nothing from the first, and adds nothing.
        let again = listed_for(&evil, Some("windows/arm64"));
        let listed = [good.descriptor(), listed_for(&evil, platform), again];
        let index = put_index(&mirror, &listed);
        let answer = mirror.manifest(REPOSITORY, index).await;
        assert_eq!(answer.status == 403, is_denied, "{platform:?} {answer:?}");
        let layer = mirror.blob(REPOSITORY, &evil.layer(0)).await;
        assert_eq!(layer.status, 403, "{platform:?} {layer:?}");
    }
}

#[tokio::test]
async fn images_of_an_index_in_an_index_must_be_signed_too() {
    let team = Signer::generate();
    let mirror = start(&team, "every-platform", BOTH).await;
    let inner = Index::for_platforms(&["linux/arm64"]).build();
    let deep = inner.children[0].clone();
    let outer = Index::for_platforms(&["linux/amd64"]).child(inner.clone()).build();
    mirror.upstream.push(REPOSITORY, "1", &outer);
    sign(&mirror, &team, &outer.children[0].digest());
    sign(&mirror, &team, &inner.digest());
    assert_denied(&mirror.manifest(REPOSITORY, "1").await, "linux/arm64 (");
    sign(&mirror, &team, &deep.digest());
    mirror.clock.advance(AFTER_ABSENCE);
    assert_eq!(mirror.manifest(REPOSITORY, "1").await.status, 200);
    mirror.pull(REPOSITORY, deep.digest()).await.assert_complete();
}

#[tokio::test]
async fn a_child_that_upstream_does_not_have_must_be_signed_all_the_same() {
    let team = Signer::generate();
    let mirror = start(&team, "every-platform", BOTH).await;
    let index = two();
    let [here, late] = [index.children[0].clone(), index.children[1].clone()];
    mirror.upstream.push_untagged(REPOSITORY, &here);
    let digest = put_index(&mirror, &[here.descriptor(), late.descriptor()]);
    sign(&mirror, &team, &here.digest());
    assert_denied(&mirror.manifest(REPOSITORY, digest).await, "linux/arm64 (");
    sign(&mirror, &team, &late.digest());
    mirror.clock.advance(AFTER_ABSENCE);
    assert_eq!(mirror.manifest(REPOSITORY, digest).await.status, 200);
    assert_eq!(mirror.manifest(REPOSITORY, late.digest()).await.status, 404);
    mirror.upstream.push_untagged(REPOSITORY, &late);
    mirror.clock.advance(AFTER_ABSENCE);
    mirror.pull(REPOSITORY, late.digest()).await.assert_complete();
}

#[tokio::test]
async fn an_image_that_comes_late_in_the_guise_of_an_attestation_is_not_served() {
    let team = Signer::generate();
    let mirror = start(&team, "every-platform", "{}").await;
    let (good, evil) = (Image::new().layer("good").build(), Image::new().layer("evil").build());
    mirror.upstream.push_untagged(REPOSITORY, &good);
    sign(&mirror, &team, &good.digest());
    let listed = [good.descriptor(), listed_for(&evil, Some("unknown/unknown"))];
    let index = put_index(&mirror, &listed);
    assert_eq!(mirror.manifest(REPOSITORY, index).await.status, 200);
    mirror.upstream.push_untagged(REPOSITORY, &evil);
    mirror.clock.advance(AFTER_ABSENCE);
    assert_eq!(mirror.manifest(REPOSITORY, evil.digest()).await.status, 403);
    assert_eq!(mirror.blob(REPOSITORY, &evil.layer(0)).await.status, 403);
    assert_denied(&mirror.manifest(REPOSITORY, index).await, "unknown/unknown (");
}

#[tokio::test]
async fn a_search_below_an_index_that_failed_is_no_denial() {
    let team = Signer::generate();
    for scope in ["every-platform", "either"] {
        let mirror = start(&team, scope, BOTH).await;
        let index = two();
        mirror.upstream.push(REPOSITORY, "1", &index);
        let children = [index.children[0].digest(), index.children[1].digest()];
        sign_each(&mirror, &team, &children);
        let hex = index.children[1].digest().hex();
        mirror.upstream.fault(&format!("sha256-{hex}.sig"), Fault::Status(500));
        let answer = mirror.manifest(REPOSITORY, "1").await;
        assert_eq!(answer.status, 503, "{answer:?}");
        mirror.upstream.heal();
        mirror.clock.advance(AFTER_FAILURE);
        assert_eq!(mirror.manifest(REPOSITORY, "1").await.status, 200);
    }
}

#[tokio::test]
async fn a_policy_that_asks_for_more_platforms_has_those_searched_too() {
    let team = Signer::generate();
    let mirror = start(&team, "index", "{platforms: [linux/amd64]}").await;
    let index = two();
    mirror.upstream.push(REPOSITORY, "1", &index);
    sign(&mirror, &team, &index.digest());
    sign(&mirror, &team, &index.children[0].digest());
    let status = async |scope: &str, floor: &str, revision| {
        mirror.set_policy(&policy(&team, scope, floor), revision).await;
        mirror.manifest(REPOSITORY, "1").await.status
    };
    assert_eq!(status("index", "{platforms: [linux/amd64]}", 2).await, 200);
    assert_eq!(status("every-platform", "{platforms: [linux/amd64]}", 3).await, 200);
    assert_eq!(status("every-platform", BOTH, 4).await, 403);
    assert_eq!(status("either", BOTH, 5).await, 200);
    mirror.upstream.go_away();
    assert_eq!(status("index", BOTH, 6).await, 200);
}

#[tokio::test]
async fn signatures_of_images_are_served_on_with_their_index() {
    let team = Signer::generate();
    let mirror = start(&team, "every-platform", BOTH).await;
    let index = two();
    mirror.upstream.push(REPOSITORY, "1", &index);
    let [tagged, listed] = [&index.children[0], &index.children[1]];
    sign(&mirror, &team, &tagged.digest());
    let bundle = team.bundle(listed);
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &listed.digest(), &bundle);
    let tag = format!("sha256-{}.sig", tagged.digest().hex());
    assert_eq!(mirror.manifest(REPOSITORY, &tag).await.status, 403, "not before the index");
    assert_eq!(mirror.manifest(REPOSITORY, "1").await.status, 200);
    mirror.pull(REPOSITORY, bundle.digest()).await.assert_complete();
    mirror.pull(REPOSITORY, &tag).await.assert_complete();
    // What was found is kept, so it is there although upstream is not.
    let mirror = mirror.restart().await;
    mirror.upstream.go_away();
    mirror.pull(REPOSITORY, &tag).await.assert_complete();
    let referrers = mirror.get(&format!("{REPOSITORY}/referrers/{}", listed.digest())).await;
    assert_eq!(referrers.status, 200, "{referrers:?}");
    let text = String::from_utf8_lossy(referrers.bytes()).into_owned();
    assert!(text.contains(&bundle.digest().to_string()), "{text}");
    mirror.pull(REPOSITORY, bundle.digest()).await.assert_complete();
}
