//! Images that were signed by somebody, and then are not.

use std::time::Duration;

use pratique::gate::Subject;
use pratique::ledger::Decision;
use pratique::mirror::Freshness;
use pratique::oci::Digest;

use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, Fault, Image, Index};

const REPOSITORY: &str = "lib/app";
/// What a rule says beside: nothing about signatures, or that one of two has to sign.
const EITHER: &str = ", signatures: {atLeast: 1, of: [team, other]}";

/// A policy with two signers and one rule, which goes on with `rest`.
fn policy(team: &Signer, other: &Signer, rest: &str) -> String {
    let signer = |name: &str, signer: &Signer| {
        let pem = signer.policy_pem();
        format!("  {name}:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}")
    };
    format!(
        "signers:\n{}{}rules:\n- {{id: open, match: [\"up.test/lib/**\"], trust: allow{rest}}}\n",
        signer("team", team),
        signer("other", other)
    )
}

/// A mirror whose rule goes on with `rest`, which has served tag `1` as signed by the team.
async fn signed_before(rest: &str) -> (TestMirror, Digest, [Signer; 2]) {
    let signers = [Signer::generate(), Signer::generate()];
    let [team, other] = &signers;
    let mirror = TestMirror::start_with(&policy(team, other, rest), |_| {}).await;
    let signed = push(&mirror, "first", Some(team));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    (mirror, signed, signers)
}

/// Makes tag `1` stand for new content, signed by `signer`.
fn push(mirror: &TestMirror, content: &'static str, signer: Option<&Signer>) -> Digest {
    let digest = mirror.upstream.push(REPOSITORY, "1", &Image::new().layer(content).build());
    if let Some(signer) = signer {
        let signature = signer.simple_signing("up.test/lib/app", &digest);
        mirror.upstream.attach_by_sig_tag(REPOSITORY, &digest, &signature);
    }
    digest
}

/// That tag `1` is still served as `expected`, and that `held` waits for a person, because of the team.
async fn assert_held(mirror: &TestMirror, expected: &Digest, held: &Digest) {
    let served = mirror.manifest(REPOSITORY, "1").await;
    assert_eq!(served.header("docker-content-digest"), expected.to_string());
    assert!(served.header("warning").contains("has moved upstream"), "{served:?}");
    let refused = mirror.pull(REPOSITORY, *held).await;
    refused.assert_refused("Pending approval R-1:");
    let phrase = &refused.manifest.phrase;
    assert!(phrase.contains("not by team") || phrase.contains("not signed by team"), "{phrase}");
}

fn approval(mirror: &TestMirror, digest: &Digest) -> Decision {
    Decision {
        subject: Subject { name: "up.test/lib/app".parse().unwrap(), digest: *digest },
        by: "alice".to_owned(),
        reason: "the team's key is being replaced".to_owned(),
        expires: None,
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    }
}

#[tokio::test]
async fn what_is_no_longer_signed_is_held_where_nobody_asks_for_signatures() {
    let (mirror, signed, _) = signed_before("").await;
    let unsigned = push(&mirror, "second", None);
    assert_held(&mirror, &signed, &unsigned).await;
}

#[tokio::test]
async fn what_is_signed_by_another_is_held_even_where_the_rule_takes_both() {
    let (mirror, signed, [_, other]) = signed_before(EITHER).await;
    let foreign = push(&mirror, "second", Some(&other));
    assert_held(&mirror, &signed, &foreign).await;
    // It stays so with a restart, and when the tag is asked for again.
    let mirror = mirror.restart().await;
    assert_held(&mirror, &signed, &foreign).await;
}

#[tokio::test]
async fn what_goes_on_being_signed_is_not_held() {
    for rest in ["", EITHER] {
        let (mirror, _, [team, _]) = signed_before(rest).await;
        let next = push(&mirror, "second", Some(&team));
        let pulled = mirror.pull(REPOSITORY, "1").await;
        pulled.assert_complete();
        assert_eq!(pulled.manifest.header("docker-content-digest"), next.to_string());
    }
}

#[tokio::test]
async fn a_person_may_let_it_pass_and_from_then_on_the_new_signer_is_the_known_one() {
    let (mirror, _, [_, other]) = signed_before(EITHER).await;
    let foreign = push(&mirror, "second", Some(&other));
    let pulled = mirror.pull(REPOSITORY, "1").await;
    assert_ne!(pulled.manifest.header("docker-content-digest"), foreign.to_string());
    let subject = approval(&mirror, &foreign).subject;
    let judged = mirror.mirror().judge(&subject, Freshness::Stored).await.unwrap();
    let checks = &judged.judgement().unwrap().checks;
    let check = checks.iter().find(|check| check.name == "continuity").unwrap();
    assert!(check.text.contains("signed by other, not by team"), "{check:?}");
    mirror.mirror().ledger().approve(approval(&mirror, &foreign)).await.unwrap();
    let pulled = mirror.pull(REPOSITORY, "1").await;
    pulled.assert_complete();
    assert_eq!(pulled.manifest.header("docker-content-digest"), foreign.to_string());
    let next = push(&mirror, "third", Some(&other));
    let pulled = mirror.pull(REPOSITORY, "1").await;
    assert_eq!(pulled.manifest.header("docker-content-digest"), next.to_string());
}

#[tokio::test]
async fn it_is_not_held_where_the_policy_lets_signers_change_or_says_that_none_sign() {
    for rest in [", signerChange: allow", ", signatures: {none: \"not signed\"}"] {
        let (mirror, _, _) = signed_before(rest).await;
        let next = push(&mirror, "second", None);
        let pulled = mirror.pull(REPOSITORY, "1").await;
        assert_eq!(pulled.manifest.header("docker-content-digest"), next.to_string(), "{rest}");
    }
}

#[tokio::test]
async fn whether_it_is_signed_could_not_be_found_out_is_neither_yes_nor_no() {
    let (mirror, signed, _) = signed_before("").await;
    let second = push(&mirror, "second", None);
    mirror.upstream.fault(".sig", Fault::Status(500));
    mirror.upstream.fault("/referrers/", Fault::Status(500));
    let pulled = mirror.pull(REPOSITORY, "1").await;
    assert_eq!(pulled.manifest.header("docker-content-digest"), signed.to_string());
    assert_eq!(mirror.manifest(REPOSITORY, second).await.status, 503);
    mirror.upstream.heal();
    mirror.clock.advance(Duration::from_secs(301));
    assert_held(&mirror, &signed, &second).await;
}

#[tokio::test]
async fn a_failing_search_does_not_let_by_a_digest_what_its_tag_would_hold() {
    let (mirror, signed, _) = signed_before("").await;
    mirror.upstream.fault(".sig", Fault::Status(500));
    // By its digest alone there is nothing to compare it with.
    let second = push(&mirror, "second", None);
    mirror.pull(REPOSITORY, second).await.assert_complete();
    let pulled = mirror.pull(REPOSITORY, "1").await;
    assert_eq!(pulled.manifest.header("docker-content-digest"), signed.to_string());
    assert_eq!(mirror.manifest(REPOSITORY, second).await.status, 503);
}

#[tokio::test]
async fn what_nobody_was_known_to_sign_needs_nobodys_signature_now() {
    let signers = [Signer::generate(), Signer::generate()];
    let mirror = TestMirror::start_with(&policy(&signers[0], &signers[1], ""), |_| {}).await;
    // Nothing to compare with, so that a failing search is no matter.
    mirror.upstream.fault("/referrers/", Fault::Status(500));
    push(&mirror, "first", Some(&Signer::generate()));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    let second = push(&mirror, "second", None);
    let pulled = mirror.pull(REPOSITORY, "1").await;
    assert_eq!(pulled.manifest.header("docker-content-digest"), second.to_string());
}

#[tokio::test]
async fn content_that_was_served_by_digest_is_held_once_a_signed_tag_moves_to_it() {
    let (mirror, signed, _) = signed_before("").await;
    let image = Image::new().layer("second").build();
    let unsigned = mirror.upstream.push(REPOSITORY, "other", &image);
    mirror.pull(REPOSITORY, unsigned).await.assert_complete();
    mirror.upstream.push(REPOSITORY, "1", &image);
    assert_held(&mirror, &signed, &unsigned).await;
}

#[tokio::test]
async fn a_tag_that_moves_back_to_what_was_unsigned_is_compared_too() {
    let signers = [Signer::generate(), Signer::generate()];
    let mirror = TestMirror::start_with(&policy(&signers[0], &signers[1], ""), |_| {}).await;
    let unsigned = push(&mirror, "first", None);
    assert_served(&mirror, &unsigned).await;
    let signed = push(&mirror, "second", Some(&signers[0]));
    assert_served(&mirror, &signed).await;
    // Pinned by its digest, the first is no successor of the second.
    mirror.pull(REPOSITORY, unsigned).await.assert_complete();
    let again = push(&mirror, "first", None);
    assert_eq!(again, unsigned);
    assert_held(&mirror, &signed, &unsigned).await;
}

#[tokio::test]
async fn what_is_pinned_is_not_held_against_what_came_after_it() {
    let signers = [Signer::generate(), Signer::generate()];
    let rules = policy(&signers[0], &signers[1], "");
    let mirror = TestMirror::start_with(&rules, |_| {}).await;
    let unsigned = push(&mirror, "first", None);
    assert_served(&mirror, &unsigned).await;
    let signed = push(&mirror, "second", Some(&signers[0]));
    assert_served(&mirror, &signed).await;
    // A new policy decides about both anew.
    mirror.set_policy(&format!("{rules}# as before, but for this line\n"), 2).await;
    mirror.pull(REPOSITORY, unsigned).await.assert_complete();
    assert_served(&mirror, &signed).await;
}

#[tokio::test]
async fn an_index_that_lists_it_does_not_let_a_tag_go_on_unsigned() {
    let (mirror, signed, _) = signed_before("").await;
    let image = Image::new().layer("second").build();
    let index = Index::new().child(image.clone()).build();
    mirror.upstream.push(REPOSITORY, "nightly", &index);
    mirror.pull(REPOSITORY, "nightly").await.assert_complete();
    mirror.upstream.push(REPOSITORY, "1", &image);
    assert_served(&mirror, &signed).await;
}

/// Makes tag `1` stand for an index with `content`, of which `by` signed what `which` gives.
fn push_index(
    mirror: &TestMirror,
    content: &'static str,
    by: &Signer,
    which: fn(&Artifact) -> Vec<Digest>,
) -> Digest {
    let index = ["linux/amd64", "linux/arm64"].iter().fold(Index::new(), |index, platform| {
        index.child(Image::new().platform(platform).layer(content).build())
    });
    let index = index.build();
    let digest = mirror.upstream.push(REPOSITORY, "1", &index);
    for signed in which(&index) {
        let signature = by.simple_signing("up.test/lib/app", &signed);
        mirror.upstream.attach_by_sig_tag(REPOSITORY, &signed, &signature);
    }
    digest
}

fn images(index: &Artifact) -> Vec<Digest> {
    index.children.iter().map(Artifact::digest).collect()
}

fn itself(index: &Artifact) -> Vec<Digest> {
    vec![index.digest()]
}

#[tokio::test]
async fn who_signs_every_image_of_an_index_is_a_signer_where_the_rule_is_content_with_that() {
    for scope in ["every-platform", "either"] {
        let rest = format!(", signatures: {{atLeast: 1, of: [team, other], scope: {scope}}}");
        let [team, other] = [Signer::generate(), Signer::generate()];
        let mirror = TestMirror::start_with(&policy(&team, &other, &rest), |_| {}).await;
        let first = push_index(&mirror, "first", &team, images);
        assert_served(&mirror, &first).await;
        // The same signer, over the index itself where that is enough.
        let which = if scope == "either" { itself } else { images };
        let second = push_index(&mirror, "second", &team, which);
        assert_served(&mirror, &second).await;
        let third = push_index(&mirror, "third", &team, images);
        assert_served(&mirror, &third).await;
        let foreign = push_index(&mirror, "fourth", &other, images);
        assert_held(&mirror, &third, &foreign).await;
    }
}

async fn assert_served(mirror: &TestMirror, expected: &Digest) {
    let answer = mirror.manifest(REPOSITORY, "1").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("docker-content-digest"), expected.to_string());
}
