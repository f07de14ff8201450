//! An approval that does not say what was shown: it was given before that was kept.

use std::time::Duration;

use pratique::gate::Subject;
use pratique::ledger::{AuditKind, Decision};
use pratique::oci::Digest;

use super::{ASKED_AGAIN, HOLD, NAME, audited, explained, policy, wait_until_found};
use crate::scanning::{know, openssl, other, vulnerable};
use crate::support::mirror::TestMirror;

/// A mirror where the vulnerable image was approved as it was done before anything was kept, and is served
/// under a policy that asks nothing.
async fn approved_before() -> (TestMirror, Digest) {
    let mirror = TestMirror::start_with(&policy("quorum: 1"), |_| {}).await;
    know(&mirror, &[other()]).await;
    let digest = mirror.upstream.push("lib/app", "1", &vulnerable());
    mirror.pull("lib/app", "1").await.assert_refused("Pending approval");
    let decision = Decision {
        subject: Subject { name: NAME.parse().unwrap(), digest },
        by: "alice".to_owned(),
        reason: "looked at it".to_owned(),
        expires: None,
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    };
    mirror.mirror().ledger().approve(decision).await.expect("an approval");
    mirror.pull("lib/app", "1").await.assert_complete();
    (mirror, digest)
}

async fn told(mirror: &TestMirror) -> usize {
    audited(mirror, AuditKind::FoundSinceApproval).await
}

#[tokio::test]
async fn an_approval_of_before_is_served_for_the_grace_then_waits_and_that_is_told_once() {
    let (mirror, digest) = approved_before().await;
    know(&mirror, &[openssl(), other()]).await;
    mirror.mirror().rejudge_scanned(false).await.expect("judged again");
    mirror.pull("lib/app", &digest).await.assert_complete();
    assert_eq!(told(&mirror).await, 0, "nothing was asked so far");

    mirror.set_policy(&policy(HOLD), 2).await;
    mirror.pull("lib/app", &digest).await.assert_complete();
    wait_until_found(&mirror, &digest).await;
    assert_eq!(told(&mirror).await, 1);
    // However often it is looked at, in whatever way, and after a restart, too.
    let since = explained(&mirror, &digest).await["unseen"].clone();
    for _ in 0..3 {
        mirror.clock.advance(Duration::from_hours(1));
        mirror.mirror().rejudge_scanned(false).await.expect("judged again");
        mirror.pull("lib/app", &digest).await.assert_complete();
    }
    mirror.set_policy(&format!("{}# again\n", policy(HOLD)), 3).await;
    mirror.pull("lib/app", &digest).await.assert_complete();
    let mirror = mirror.restart().await;
    mirror.pull("lib/app", &digest).await.assert_complete();
    assert_eq!(explained(&mirror, &digest).await["unseen"], since, "the grace is what it was");
    assert_eq!(told(&mirror).await, 1);

    mirror.clock.advance(Duration::from_hours(21));
    mirror.pull("lib/app", &digest).await.assert_refused(ASKED_AGAIN);
    for _ in 0..3 {
        mirror.pull("lib/app", &digest).await.assert_refused(ASKED_AGAIN);
        mirror.clock.advance(Duration::from_hours(1));
    }
    assert_eq!(told(&mirror).await, 1, "the end of the grace is no news");
    super::approve(&mirror, "R-2").await.expect("a second approval");
    mirror.pull("lib/app", &digest).await.assert_complete();
    assert_eq!(told(&mirror).await, 1);
}

#[tokio::test]
async fn an_approval_of_before_holds_where_nothing_is_known_against_the_image() {
    let (mirror, digest) = approved_before().await;
    mirror.set_policy(&policy("onNewFinding: hold"), 2).await;
    mirror.clock.advance(Duration::from_hours(48));
    mirror.pull("lib/app", &digest).await.assert_complete();
    assert_eq!(told(&mirror).await, 0);
    assert_eq!(explained(&mirror, &digest).await.get("unseen"), None);
}
