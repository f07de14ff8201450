//! Newer versions of what people approved: asked for by the mirror itself where an approval policy follows
//! tags, and never approved by that.

use pratique::gate::Subject;
use pratique::ledger::{Decision, PersonId, RequestFilter, RequestRow, RequestState, Role};
use pratique::mirror::desk::{Belonging, Desk};
use pratique::oci::Digest;

use crate::support::mirror::TestMirror;
use crate::support::upstream::{Fault, Image};

fn policy(follow: &str) -> String {
    format!(
        "approvalPolicies:\n  eyes: {{approvers: [\"group:a\"]{follow}}}\nrules:\n\
         - {{id: a, match: [\"up.test/lib/*\"], trust: approve, approval: {{policy: eyes}}}}\n"
    )
}

fn push(mirror: &TestMirror, tag: &'static str) -> Digest {
    mirror.upstream.push("lib/app", tag, &Image::new().layer(tag).build())
}

fn subject(digest: Digest) -> Subject {
    Subject { name: "up.test/lib/app".parse().expect("a name"), digest }
}

/// A mirror in which renovate asked for 7.4.1, which was approved and is pulled; upstream has more.
async fn approved(follow: &str) -> (TestMirror, Desk) {
    let mirror = TestMirror::start_with(&policy(follow), |_| {}).await;
    let desk = Desk::new(mirror.mirror().clone());
    let digest = push(&mirror, "7.4.1");
    let renovate = mirror.holder_of("renovate", Role::Requester).await;
    desk.ask(&["up.test/lib/app:7.4.1".to_owned()], &renovate, None, &Belonging::default())
        .await
        .expect("a request");
    let decision = Decision {
        subject: subject(digest),
        by: "alice".to_owned(),
        reason: "reviewed".to_owned(),
        expires: None,
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    };
    mirror.mirror().ledger().approve(decision).await.expect("an approval");
    mirror.pull("lib/app", "7.4.1").await.assert_complete();
    mirror.mirror().ledger().flush().await;
    for tag in ["7.4.2", "7.4.3", "7.5.0", "8.0.0", "7.4.4-rc1"] {
        push(&mirror, tag);
    }
    (mirror, desk)
}

async fn look(desk: &Desk) -> usize {
    let view = desk.outdated(None).await.expect("a look");
    desk.draft_newer(&view).await.expect("drafts")
}

async fn open(mirror: &TestMirror) -> Vec<RequestRow> {
    let states = vec![RequestState::Denied, RequestState::Pending];
    let filter = RequestFilter { states, ..RequestFilter::default() };
    mirror.mirror().ledger().requests(filter).await.expect("requests")
}

fn tags(rows: &[RequestRow]) -> Vec<String> {
    rows.iter().filter_map(|row| row.tag.as_ref()).map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_newer_version_waits_for_people_before_anybody_pulls_it_and_is_not_approved() {
    let (mirror, desk) = approved(", tagFollow: patch").await;
    assert_eq!(look(&desk).await, 1);
    let rows = open(&mirror).await;
    assert_eq!(tags(&rows), ["7.4.3"], "the newest of its line");
    let row = rows.first().expect("a draft");
    assert_eq!((row.state, row.filed_by.as_str()), (RequestState::Pending, "mirror"));
    assert!(row.note.as_ref().is_some_and(|note| note.contains("newer than 7.4.1")), "{row:?}");
    let renovate = PersonId::Token { name: "renovate".to_owned() };
    assert_eq!(row.requesters, [renovate], "whoever asked for the one before asked for this one");
    mirror.pull("lib/app", "7.4.3").await.assert_refused("Pending approval");
    // Once is enough.
    mirror.mirror().ledger().flush().await;
    assert_eq!(look(&desk).await, 0);
    assert_eq!(open(&mirror).await.len(), 1);
}

#[tokio::test]
async fn it_follows_as_far_as_it_says_and_not_at_all_where_nothing_is_said() {
    for (follow, expected) in [
        ("", &[][..]),
        (", tagFollow: none", &[][..]),
        (", tagFollow: minor", &["7.4.3", "7.5.0"][..]),
    ] {
        let (mirror, desk) = approved(follow).await;
        assert_eq!(look(&desk).await, expected.len(), "{follow}");
        assert_eq!(tags(&open(&mirror).await), expected, "{follow}");
    }
}

#[tokio::test]
async fn nothing_is_asked_for_what_nobody_approved_or_cannot_be_had() {
    let (mirror, desk) = approved(", tagFollow: patch").await;
    mirror.upstream.fault("/manifests/7.4.3", Fault::Status(500));
    assert_eq!(look(&desk).await, 0, "upstream does not say what the tag stands for");
    mirror.upstream.heal();
    let digest = Image::new().layer("7.4.1").build().digest();
    let revoke = Decision {
        subject: subject(digest),
        by: "alice".to_owned(),
        reason: "not any more".to_owned(),
        expires: None,
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    };
    mirror.mirror().ledger().revoke(revoke).await.expect("a revocation");
    assert_eq!(look(&desk).await, 0);
    assert_eq!(open(&mirror).await, []);
}
