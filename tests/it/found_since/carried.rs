//! An approval that counts under another name holds no longer there than where it was given.

use std::time::Duration;

use pratique::gate::Subject;
use pratique::ledger::AuditKind;
use pratique::oci::Digest;

use super::{HOLD, approve, audited};
use crate::scanning::{know, openssl, other, vulnerable};
use crate::support::mirror::TestMirror;

const TEAM: &str = "up.test/team/app";
const PROD: &str = "up.test/prod/app";

/// What a pull is told that waits because of it.
fn asked_again(request: usize) -> String {
    format!("Pending approval R-{request}: CVE-2026-1 in openssl")
}

/// What team approves counts in prod; each asks of new findings what is given.
fn policy(team: &str, prod: &str) -> String {
    format!(
        "approvalPolicies:\n  ours: {{approvers: [\"token:alice\"], {team}}}\n  \
         theirs: {{approvers: [\"token:alice\"], {prod}}}\n\
         gates: {{strict: {{deny: [{{severity: critical}}]}}}}\nrules:\n\
         - {{id: team, match: [\"up.test/team/*\"], trust: approve, gates: [strict], approval: {{policy: ours}}}}\n\
         - {{id: prod, match: [\"up.test/prod/*\"], trust: approve, gates: [strict],\n\
         \x20  approval: {{policy: theirs, carries: {{from: [\"up.test/team/**\"], policies: [ours]}}}}}}\n"
    )
}

/// A mirror that serves the vulnerable image under both names by the approval of team; it was given before
/// anything was known against it.
async fn carried(team: &str, prod: &str) -> (TestMirror, Digest) {
    let mirror = TestMirror::start_with(&policy(team, prod), |_| {}).await;
    know(&mirror, &[other()]).await;
    let digest = mirror.upstream.push("team/app", "1", &vulnerable());
    mirror.upstream.push("prod/app", "1", &vulnerable());
    for repository in ["team/app", "prod/app"] {
        mirror.pull(repository, "1").await.assert_refused("Pending approval");
    }
    approve(&mirror, &format!("{TEAM}:1")).await.expect("an approval");
    for repository in ["team/app", "prod/app"] {
        mirror.pull(repository, "1").await.assert_complete();
    }
    (mirror, digest)
}

/// Has the vulnerability known and the image judged by it, whatever the brake says.
async fn find(mirror: &TestMirror) {
    know(mirror, &[openssl(), other()]).await;
    mirror.mirror().rejudge_scanned(true).await.expect("judged again");
}

async fn unseen(mirror: &TestMirror, name: &str, digest: Digest) -> Vec<String> {
    let subject = Subject { name: name.parse().unwrap(), digest };
    let record = mirror.mirror().ledger().record(&subject).await.unwrap().expect("a record");
    record.unseen.keys().cloned().collect()
}

#[tokio::test]
async fn a_carried_approval_waits_as_the_one_that_was_given_and_is_served_with_it_again() {
    let (mirror, digest) = carried(HOLD, HOLD).await;
    find(&mirror).await;
    for (repository, name) in [("team/app", TEAM), ("prod/app", PROD)] {
        mirror.pull(repository, digest).await.assert_complete();
        assert_eq!(unseen(&mirror, name, digest).await, ["CVE-2026-1 openssl"]);
    }
    assert_eq!(audited(&mirror, AuditKind::FoundSinceApproval).await, 2, "once of each");
    mirror.clock.advance(Duration::from_hours(25));
    for (repository, request) in [("team/app", 3), ("prod/app", 4)] {
        mirror.pull(repository, digest).await.assert_refused(&asked_again(request));
    }
    // Who approves it where it was given was shown it; that counts under the other name again.
    approve(&mirror, &format!("{TEAM}@{digest}")).await.expect("a second approval");
    for (repository, name) in [("team/app", TEAM), ("prod/app", PROD)] {
        mirror.pull(repository, digest).await.assert_complete();
        assert_eq!(unseen(&mirror, name, digest).await, Vec::<String>::new());
    }
    assert_eq!(audited(&mirror, AuditKind::FoundSinceApproval).await, 2);
}

#[tokio::test]
async fn who_approves_it_here_has_it_served_here_alone() {
    let (mirror, digest) = carried("onNewFinding: hold", "onNewFinding: hold").await;
    find(&mirror).await;
    mirror.pull("prod/app", digest).await.assert_refused(&asked_again(3));
    approve(&mirror, &format!("{PROD}@{digest}")).await.expect("an approval");
    mirror.pull("prod/app", digest).await.assert_complete();
    mirror.pull("team/app", digest).await.assert_refused(&asked_again(4));
}

#[tokio::test]
async fn the_stricter_of_both_policies_says_what_becomes_of_a_carried_approval() {
    const NOTHING: &str = "quorum: 1";
    const SERVE: &str = "onNewFinding: serve";
    const AT_ONCE: &str = "onNewFinding: hold";
    const REVOKE: &str = "onNewFinding: revoke";
    const PENDING: Option<&str> = Some("Pending approval");
    const DENIED: Option<&str> = Some("Denied by rule prod: CVE-2026-1");
    for (team, prod, refused) in [
        (NOTHING, NOTHING, None),
        (SERVE, NOTHING, None),
        (AT_ONCE, NOTHING, PENDING),
        (AT_ONCE, SERVE, PENDING),
        (AT_ONCE, HOLD, PENDING),
        (NOTHING, AT_ONCE, PENDING),
        (HOLD, AT_ONCE, PENDING),
        (HOLD, NOTHING, None),
        (REVOKE, AT_ONCE, DENIED),
        (AT_ONCE, REVOKE, DENIED),
    ] {
        let (mirror, digest) = carried(team, prod).await;
        find(&mirror).await;
        let status = mirror.manifest("prod/app", digest).await.status;
        assert_eq!(status == 200, refused.is_none(), "{team} / {prod}");
        if let Some(told) = refused {
            mirror.pull("prod/app", digest).await.assert_refused(told);
        }
    }
}
