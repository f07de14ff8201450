//! What becomes of an approved image when something is found that nobody was shown: it is served for its grace,
//! then people are asked again, and what they see is what is different.

mod before;
mod carried;
mod told;

use std::time::Duration;

use pratique::gate::Subject;
use pratique::ledger::{AuditKind, PersonId, RequestFilter, RequestRow, RequestState, Role};
use pratique::mirror::desk::{Desk, Verb, Wish};
use pratique::oci::Digest;
use serde_json::Value;

use crate::scanning::{know, openssl, other, vulnerable};
use crate::support::archive::{CRITICAL, debian, record};
use crate::support::mirror::TestMirror;
use crate::support::upstream::Image;

const NAME: &str = "up.test/lib/app";
const HOLD: &str = "onNewFinding: {action: hold, grace: {critical: 24h}}";
const FOUND: &str = "CVE-2026-1 in openssl";
const ASKED_AGAIN: &str = "Pending approval R-2: CVE-2026-1 in openssl";

fn policy(action: &str) -> String {
    format!(
        "approvalPolicies: {{eyes: {{approvers: [\"token:alice\"], {action}}}}}\n\
         gates: {{strict: {{deny: [{{severity: critical}}]}}}}\nrules:\n\
         - {{id: a, match: [\"up.test/lib/*\"], trust: approve, gates: [strict], approval: {{policy: eyes}}}}\n"
    )
}

async fn approve(mirror: &TestMirror, target: &str) -> Result<(), String> {
    let desk = Desk::new(mirror.mirror().clone());
    let id = PersonId::Token { name: "alice".to_owned() };
    let by = match mirror.mirror().ledger().caller(&id) {
        Some(alice) => alice,
        None => mirror.holder_of("alice", Role::Approver).await,
    };
    let (target, reason) = (target.to_owned(), "looked at it".to_owned());
    let (expires, seen, shown) = (None, None, None);
    let wish = Wish { verb: Verb::Approve, target, by, reason, expires, seen, shown };
    Box::pin(desk.decide(&wish)).await.map(drop).map_err(|error| error.to_string())
}

/// A mirror where the vulnerable image was approved before anything was known against it.
async fn approved(action: &str) -> (TestMirror, Digest) {
    let mirror = TestMirror::start_with(&policy(action), |_| {}).await;
    know(&mirror, &[other()]).await;
    let digest = mirror.upstream.push("lib/app", "1", &vulnerable());
    mirror.pull("lib/app", "1").await.assert_refused("Pending approval");
    approve(&mirror, &format!("{NAME}:1")).await.expect("an approval");
    mirror.pull("lib/app", "1").await.assert_complete();
    (mirror, digest)
}

async fn open(mirror: &TestMirror) -> Vec<RequestRow> {
    let states = vec![RequestState::Denied, RequestState::Pending];
    let filter = RequestFilter { states, ..RequestFilter::default() };
    mirror.mirror().ledger().requests(filter).await.expect("requests")
}

async fn explained(mirror: &TestMirror, digest: &Digest) -> Value {
    let desk = Desk::new(mirror.mirror().clone());
    serde_json::to_value(desk.explain(&format!("{NAME}@{digest}")).await.unwrap()).unwrap()
}

async fn wait_until_found(mirror: &TestMirror, digest: &Digest) {
    for _ in 0..1000 {
        if explained(mirror, digest).await.get("unseen").is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing was found since it was approved");
}

async fn audited(mirror: &TestMirror, kind: AuditKind) -> usize {
    let rows = mirror.mirror().ledger().audit(1, 10_000).await.expect("the audit");
    rows.iter().filter(|row| row.event.kind == kind).count()
}

#[tokio::test]
async fn a_critical_finding_is_served_for_its_grace_then_waits_and_is_served_when_approved_again() {
    let (mirror, digest) = approved(HOLD).await;
    know(&mirror, &[openssl(), other()]).await;
    wait_until_found(&mirror, &digest).await;
    mirror.pull("lib/app", "1").await.assert_complete();
    assert_eq!(audited(&mirror, AuditKind::FoundSinceApproval).await, 1, "it is told");
    mirror.clock.advance(Duration::from_hours(23));
    mirror.pull("lib/app", "1").await.assert_complete();
    mirror.clock.advance(Duration::from_hours(2));
    // The database is too old for anything new by now, and what was approved is judged by it all the same.
    mirror.pull("lib/app", &digest).await.assert_refused(ASKED_AGAIN);
    let rows = open(&mirror).await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(row.state, RequestState::Pending);
    assert_eq!(row.reasons.len(), 1);
    assert!(row.reasons[0].text.starts_with(FOUND), "{:?}", row.reasons);
    let view = explained(&mirror, &digest).await;
    assert_eq!(view["unseen"][0]["finding"], "CVE-2026-1 openssl", "{view}");
    approve(&mirror, &row.id.to_string()).await.expect("a second approval");
    mirror.pull("lib/app", &digest).await.assert_complete();
    let view = explained(&mirror, &digest).await;
    assert_eq!(view.get("unseen"), None, "they were shown it: {view}");
    assert_eq!(audited(&mirror, AuditKind::FoundSinceApproval).await, 1);
}

#[tokio::test]
async fn who_approves_again_within_the_grace_ends_it() {
    let (mirror, digest) = approved(HOLD).await;
    know(&mirror, &[openssl(), other()]).await;
    wait_until_found(&mirror, &digest).await;
    approve(&mirror, &format!("{NAME}@{digest}")).await.expect("a second approval");
    mirror.clock.advance(Duration::from_hours(48));
    mirror.pull("lib/app", &digest).await.assert_complete();
}

#[tokio::test]
async fn what_is_revoked_is_refused_and_nobody_can_approve_it() {
    let (mirror, digest) = approved("onNewFinding: revoke").await;
    know(&mirror, &[openssl(), other()]).await;
    for _ in 0..1000 {
        if mirror.manifest("lib/app", &digest).await.status == 403 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = mirror.pull("lib/app", &digest).await;
    refused.assert_refused("Denied by rule a: CVE-2026-1 in openssl");
    let error = approve(&mirror, &format!("{NAME}@{digest}")).await.expect_err("a refusal");
    assert!(error.contains("CVE-2026-1"), "{error}");
}

#[tokio::test]
async fn without_a_word_about_it_an_approval_holds_as_before() {
    let (mirror, digest) = approved("quorum: 1").await;
    know(&mirror, &[openssl(), other()]).await;
    mirror.mirror().rejudge_scanned(true).await.expect("judged again");
    mirror.clock.advance(Duration::from_hours(48));
    mirror.pull("lib/app", &digest).await.assert_complete();
    assert_eq!(audited(&mirror, AuditKind::FoundSinceApproval).await, 0);
}

#[tokio::test]
async fn a_database_that_would_have_people_asked_about_much_waits_for_a_person() {
    let mirror = TestMirror::start_with(&policy("onNewFinding: hold"), |_| {}).await;
    know(&mirror, &[other()]).await;
    let mut digests = Vec::new();
    for tag in ["1", "2", "3"] {
        let image = Image::new().layer(debian(&[("openssl", "3.0.11-1"), ("app", tag)])).build();
        digests.push(mirror.upstream.push("lib/app", tag, &image));
        mirror.pull("lib/app", tag).await.assert_refused("Pending approval");
        approve(&mirror, &format!("{NAME}:{tag}")).await.expect("an approval");
        mirror.pull("lib/app", tag).await.assert_complete();
    }
    know(&mirror, &[openssl(), other()]).await;
    for _ in 0..1000 {
        if mirror.mirror().metrics().scans_held.value() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for digest in &digests {
        mirror.pull("lib/app", digest).await.assert_complete();
    }
    let done = mirror.mirror().rejudge_scanned(true).await.expect("released");
    assert_eq!((done.revoked, done.held), (3, false));
    for digest in &digests {
        mirror.pull("lib/app", digest).await.assert_refused("Pending approval R-");
    }
}

#[tokio::test]
async fn malware_waits_for_no_grace_and_no_person() {
    let (mirror, digest) = approved(HOLD).await;
    know(&mirror, &[record("MAL-2026-1", "Debian:12", "openssl", "9", CRITICAL)]).await;
    mirror.mirror().rejudge_scanned(false).await.expect("judged again");
    mirror.pull("lib/app", &digest).await.assert_refused("Denied by rule a: malware MAL-2026-1");
    assert!(approve(&mirror, &format!("{NAME}@{digest}")).await.is_err());
}

#[tokio::test]
async fn a_grace_goes_on_where_it_was_after_a_restart() {
    let (mirror, digest) = approved(HOLD).await;
    know(&mirror, &[openssl(), other()]).await;
    wait_until_found(&mirror, &digest).await;
    mirror.clock.advance(Duration::from_hours(20));
    let mirror = mirror.restart().await;
    let subject = Subject { name: NAME.parse().unwrap(), digest };
    let record = mirror.mirror().ledger().record(&subject).await.unwrap().expect("a record");
    assert_eq!(record.unseen.len(), 1);
    mirror.pull("lib/app", &digest).await.assert_complete();
    mirror.clock.advance(Duration::from_hours(5));
    mirror.pull("lib/app", &digest).await.assert_refused(ASKED_AGAIN);
}
