//! Approvals that count elsewhere: of the same digest under another name, and of an index for what it lists.

use std::time::Duration;

use pratique::gate::Subject;
use pratique::ledger::Decision;
use pratique::oci::{Digest, MediaType};
use pratique::time::{Clock as _, Timestamp};
use serde_json::json;

use crate::scanning::{know, other};
use crate::support::archive::debian;
use crate::support::mirror::TestMirror;
use crate::support::upstream::{Artifact, Image, Index};

const HOUR: Duration = Duration::from_hours(1);

fn policy(there: &str) -> String {
    format!(
        "approvalPolicies:\n  eyes: {{approvers: [\"group:a\"]}}\nrules:\n\
         - {{id: team, match: [\"up.test/team/*\"], trust: approve, approval: {{policy: eyes}}{there}}}\n\
         - {{id: prod, match: [\"up.test/prod/*\"], trust: approve, \
         approval: {{policy: eyes, carries: {{from: [\"up.test/team/**\"]}}}}}}\n\
         - {{id: edge, match: [\"up.test/edge/*\"], trust: approve, \
         approval: {{policy: eyes, carries: {{from: [\"up.test/prod/**\"]}}}}}}\n"
    )
}

fn decision(
    mirror: &TestMirror,
    repository: &str,
    digest: Digest,
    expires: Option<Timestamp>,
) -> Decision {
    Decision {
        subject: Subject { name: format!("up.test/{repository}").parse().expect("a name"), digest },
        by: "alice".to_owned(),
        reason: "because".to_owned(),
        expires,
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    }
}

async fn approve(
    mirror: &TestMirror,
    repository: &str,
    digest: Digest,
    expires: Option<Timestamp>,
) {
    let decision = decision(mirror, repository, digest, expires);
    mirror.mirror().ledger().approve(decision).await.expect("an approval");
}

/// A mirror where the same image is in three repositories, and waits in each.
async fn everywhere(there: &str) -> (TestMirror, Digest) {
    let mirror = TestMirror::start_with(&policy(there), |_| {}).await;
    let image = Image::new().layer("app").build();
    for repository in ["team/app", "prod/app", "edge/app"] {
        mirror.upstream.push(repository, "1", &image);
    }
    mirror.pull("prod/app", "1").await.assert_refused("Pending approval");
    mirror.pull("edge/app", "1").await.assert_refused("Pending approval");
    let _seen = mirror.manifest("team/app", "1").await;
    (mirror, image.digest())
}

#[tokio::test]
async fn an_approval_counts_under_another_name_where_the_rule_says_so_and_no_further() {
    let (mirror, digest) = everywhere("").await;
    approve(&mirror, "team/app", digest, None).await;
    mirror.pull("prod/app", "1").await.assert_complete();
    // What counts in prod was given for team: it goes no further by that.
    mirror.pull("edge/app", "1").await.assert_refused("Pending approval");
    let rows = mirror.mirror().ledger().audit(1, 10_000).await.unwrap();
    let told = rows.iter().filter_map(|row| row.event.details.get("approved_as"));
    assert_eq!(told.collect::<Vec<_>>(), [&format!("up.test/team/app@{digest}")]);
    let other = mirror.upstream.push("prod/app", "2", &Image::new().layer("other").build());
    mirror.pull("prod/app", other).await.assert_refused("Pending approval");
}

#[tokio::test]
async fn it_ends_when_the_one_that_was_given_does() {
    let (mirror, digest) = everywhere("").await;
    approve(&mirror, "team/app", digest, None).await;
    mirror.pull("prod/app", digest).await.assert_complete();
    let layer = Image::new().layer("app").build().layer(0);
    let revoke = decision(&mirror, "team/app", digest, None);
    mirror.mirror().ledger().revoke(revoke).await.unwrap();
    // From memory as from the ledger, whatever is asked for first.
    assert_eq!(mirror.manifest("prod/app", digest).await.status, 403);
    assert_eq!(mirror.blob("prod/app", &layer).await.status, 403);
    mirror.pull("prod/app", digest).await.assert_refused("Pending approval");

    let now = mirror.clock.now();
    approve(&mirror, "team/app", digest, Some(now.after(HOUR))).await;
    mirror.pull("prod/app", digest).await.assert_complete();
    mirror.clock.advance(HOUR);
    mirror.pull("prod/app", digest).await.assert_refused("Pending approval");
    // No clock brings it back.
    mirror.clock.set(now);
    let mirror = mirror.restart().await;
    mirror.pull("prod/app", digest).await.assert_refused("Pending approval");
    mirror.set_policy(&policy(", tagMove: strict"), 2).await;
    mirror.pull("prod/app", digest).await.assert_refused("Pending approval");
}

#[tokio::test]
async fn a_no_here_wins_and_only_a_yes_here_ends_it() {
    let (mirror, digest) = everywhere("").await;
    approve(&mirror, "team/app", digest, None).await;
    mirror.pull("prod/app", digest).await.assert_complete();
    let revoke = decision(&mirror, "prod/app", digest, None);
    mirror.mirror().ledger().revoke(revoke).await.unwrap();
    mirror.pull("prod/app", digest).await.assert_refused("Revoked");
    approve(&mirror, "team/app", digest, None).await;
    mirror.pull("prod/app", digest).await.assert_refused("Revoked");
    approve(&mirror, "prod/app", digest, None).await;
    mirror.pull("prod/app", digest).await.assert_complete();
}

#[tokio::test]
async fn where_verdicts_are_only_watched_nothing_was_approved() {
    for mode in ["audit", "warn"] {
        let (mirror, digest) = everywhere(&format!(", mode: {mode}")).await;
        approve(&mirror, "team/app", digest, None).await;
        mirror.pull("prod/app", digest).await.assert_refused("Pending approval");
    }
    // Nor any more, once it is only watched there.
    let (mirror, digest) = everywhere("").await;
    approve(&mirror, "team/app", digest, None).await;
    mirror.pull("prod/app", digest).await.assert_complete();
    mirror.set_policy(&policy(", mode: audit"), 2).await;
    mirror.pull("prod/app", digest).await.assert_refused("Pending approval");
}

fn image(architecture: &str, user: &str, layer: &'static str) -> Artifact {
    let config = json!({
        "os": "linux",
        "architecture": architecture,
        "config": {"User": user},
        "rootfs": {"type": "layers", "diff_ids": []},
    });
    let image = Image::new().platform(&format!("linux/{architecture}"));
    image.config(MediaType::OCI_CONFIG, config.to_string()).layer(layer).build()
}

#[tokio::test]
async fn an_index_covers_exactly_what_it_lists() {
    let policy = |binds: &str, gates: &str| {
        format!(
            "approvalPolicies:\n  eyes: {{approvers: [\"group:a\"]{binds}}}\n\
             gates: {{config: {{user: {{nonRoot: true}}}}}}\nrules:\n\
             - {{id: a, match: [\"up.test/**\"], trust: approve, approval: {{policy: eyes}}{gates}}}\n"
        )
    };
    let whole = ", binds: digest+children";
    let mirror = TestMirror::start_with(&policy(whole, ""), |_| {}).await;
    let good = image("amd64", "1000", "good");
    let root = image("arm64", "0", "root");
    let stranger = image("amd64", "1000", "stranger");
    let index = Index::new().child(good.clone()).child(root.clone()).build();
    let digest = mirror.upstream.push("lib/app", "1", &index);
    mirror.upstream.push("lib/app", "other", &stranger);
    mirror.pull("lib/app", "1").await.assert_refused("Pending approval");
    approve(&mirror, "lib/app", digest, None).await;
    mirror.pull("lib/app", "1").await.assert_complete();
    // The index is refused now, for one of its images; the other is approved, by itself.
    mirror.set_policy(&policy(whole, ", gates: [config]"), 2).await;
    mirror.pull("lib/app", digest).await.assert_refused("Denied by rule a");
    mirror.pull("lib/app", good.digest()).await.assert_complete();
    mirror.pull("lib/app", root.digest()).await.assert_refused("Denied by rule a");
    mirror.pull("lib/app", stranger.digest()).await.assert_refused("Pending approval");
    let revoke = decision(&mirror, "lib/app", digest, None);
    mirror.mirror().ledger().revoke(revoke).await.unwrap();
    mirror.pull("lib/app", good.digest()).await.assert_refused("Pending approval");
    // Without the word, a yes for the index is none for what it lists.
    approve(&mirror, "lib/app", digest, None).await;
    mirror.pull("lib/app", good.digest()).await.assert_complete();
    mirror.set_policy(&policy("", ", gates: [config]"), 3).await;
    mirror.pull("lib/app", good.digest()).await.assert_refused("Pending approval");
}

#[tokio::test]
async fn the_same_image_under_another_name_is_read_once() {
    let rules = "gates: {s: {deny: [{severity: critical}]}}\nrules:\n\
         - {id: a, match: [\"up.test/**\"], trust: allow, gates: [s]}\n";
    let mirror = TestMirror::start_with(rules, |_| {}).await;
    know(&mirror, &[other()]).await;
    let image = Image::new().layer(debian(&[("openssl", "3.0.13-1")])).build();
    mirror.upstream.push("one/app", "1", &image);
    mirror.upstream.push("two/app", "1", &image);
    mirror.pull("one/app", "1").await.assert_complete();
    let read = mirror.mirror().metrics().layers_scanned.value();
    mirror.pull("two/app", "1").await.assert_complete();
    assert_eq!(mirror.mirror().metrics().layers_scanned.value(), read);
    assert_eq!(read, 1);
    let inventory = |repository: &str| {
        let name = format!("up.test/{repository}").parse().unwrap();
        let subject = Subject { name, digest: image.digest() };
        let ledger = mirror.mirror().ledger().clone();
        async move {
            let record = ledger.record(&subject).await.unwrap().unwrap();
            let scanned = record.evidence.scan.found().unwrap().clone();
            scanned.images.values().map(|image| image.inventory).collect::<Vec<_>>()
        }
    };
    assert_eq!(inventory("one/app").await, inventory("two/app").await);
}
