//! A pull that is answered from memory says what any other would, and never what no longer holds.

use std::time::Duration;

use hyper::Method;
use pratique::gate::Subject;
use pratique::ledger::Decision;
use pratique::mirror::Pull;
use pratique::oci::{Digest, Reference};

use crate::support::mirror::TestMirror;
use crate::support::upstream::{Artifact, Image};

const TTL: Duration = Duration::from_mins(1);
const ALLOW: &str = "rules:\n- {id: app, match: [\"up.test/app\"], trust: allow}\n";

/// A mirror that remembers tags, has served the image as `app:1`, and knows it by heart.
async fn warm() -> (TestMirror, Artifact) {
    let mirror = TestMirror::start_with(ALLOW, |settings| {
        settings.mirror.tag_ttl_default = TTL;
    })
    .await;
    let image = Image::new().layer("x").build();
    mirror.upstream.push("app", "1", &image);
    assert!(!is_known(&mirror, "1"), "before it was asked for");
    mirror.pull("app", "1").await.assert_complete();
    assert!(is_known(&mirror, "1") && is_known(&mirror, image.digest()), "after it was");
    (mirror, image)
}

fn is_known(mirror: &TestMirror, reference: impl std::fmt::Display) -> bool {
    let name = "up.test/app".parse().unwrap();
    let reference: Reference = reference.to_string().parse().unwrap();
    mirror.mirror().pull_known(&Pull { name, reference, client: "node".into() }).is_some()
}

async fn revoke(mirror: &TestMirror, digest: Digest) {
    let decision = Decision {
        subject: Subject { name: "up.test/app".parse().unwrap(), digest },
        by: "alice".to_owned(),
        reason: "broken".to_owned(),
        expires: None,
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    };
    mirror.mirror().ledger().revoke(decision).await.unwrap();
}

#[tokio::test]
async fn a_warm_answer_is_that_of_the_cold_one_and_asks_nobody() {
    let (mirror, image) = warm().await;
    let digest = image.digest().to_string();
    let asked = mirror.upstream.requests().len();
    for reference in ["1", &digest] {
        let path = format!("/v2/app/manifests/{reference}?ns=up.test");
        let warm = mirror.ask(Method::GET, &path, &[]).await;
        let head = mirror.ask(Method::HEAD, &path, &[]).await;
        assert!(Digest::sha256(warm.bytes()) == image.digest(), "{reference}: wrong bytes");
        for answer in [&warm, &head] {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("docker-content-digest"), digest);
            assert_eq!(answer.header("etag"), format!("\"{digest}\""));
            assert_eq!(answer.header("content-length"), warm.bytes().len().to_string());
            assert_eq!(answer.header("oci-namespace"), "up.test");
            assert!(answer.header("content-type").ends_with("manifest.v1+json"));
        }
        assert!(head.bytes().is_empty());
    }
    let path = format!("/v2/app/manifests/{digest}?ns=up.test");
    let etag = format!("\"{digest}\"");
    let known = mirror.ask(Method::GET, &path, &[("if-none-match", &etag)]).await;
    assert_eq!((known.status, known.bytes().len()), (304, 0));
    assert_eq!(mirror.upstream.requests().len(), asked);
}

#[tokio::test]
async fn what_people_revoked_is_refused_at_the_next_pull_however_warm_it_was() {
    let (mirror, image) = warm().await;
    revoke(&mirror, image.digest()).await;
    for reference in ["1".to_owned(), image.digest().to_string()] {
        assert!(!is_known(&mirror, &reference));
        assert_eq!(mirror.manifest("app", &reference).await.status, 403, "{reference}");
    }
}

#[tokio::test]
async fn a_new_policy_is_in_force_for_the_next_pull_however_warm_it_was() {
    let (mirror, image) = warm().await;
    let forbid = format!("floor: {{forbidTags: [\"1\"]}}\n{ALLOW}");
    mirror.set_policy(&forbid, 2).await;
    mirror.manifest("app", image.digest()).await;
    assert!(is_known(&mirror, image.digest()) && !is_known(&mirror, "1"));
    assert_eq!(mirror.manifest("app", "1").await.status, 403);
    let deny = "rules:\n- {id: app, match: [\"up.test/app\"], trust: deny}\n";
    mirror.set_policy(deny, 3).await;
    assert!(!is_known(&mirror, image.digest()));
    assert_eq!(mirror.manifest("app", image.digest()).await.status, 403);
}

#[tokio::test]
async fn a_tag_is_asked_for_again_when_its_time_is_over() {
    let (mirror, image) = warm().await;
    mirror.clock.advance(TTL);
    assert!(!is_known(&mirror, "1") && is_known(&mirror, image.digest()));
    let other = Image::new().layer("y").build();
    mirror.upstream.push("app", "1", &other);
    let moved = mirror.manifest("app", "1").await;
    assert!(Digest::sha256(moved.bytes()) == other.digest());
}

#[tokio::test]
async fn warm_pulls_are_counted_as_pulls() {
    let (mirror, image) = warm().await;
    let before = mirror.mirror().metrics().manifests_admitted.value();
    for _ in 0..3 {
        assert_eq!(mirror.manifest("app", "1").await.status, 200);
    }
    assert_eq!(mirror.mirror().metrics().manifests_admitted.value(), before + 3);
    mirror.mirror().ledger().flush().await;
    let subject = Subject { name: "up.test/app".parse().unwrap(), digest: image.digest() };
    let counts = mirror.mirror().ledger().pulls(&subject, 10).await.unwrap();
    let counted: u64 = counts.iter().map(|count| count.count).sum();
    assert!(counted >= 4, "{counts:?}");
}
