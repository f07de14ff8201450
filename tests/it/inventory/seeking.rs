//! What runs is found by everything that it is known by, and what is not known is told.

use std::time::Duration;

use pratique::gate::{Gathered, Subject};
use pratique::oci::Digest;
use serde_json::{Value, json};

use super::{inventory, told, workloads};
use crate::admin::Desk;
use crate::scanning::{know, openssl, vulnerable};
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Image, Index};
use crate::web::Browser;

#[tokio::test]
async fn an_index_is_found_by_its_images_and_they_by_it() {
    let desk = Desk::start().await;
    let index = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
    let digest = desk.mirror.upstream.push("open/app", "1", &index);
    desk.mirror.pull("open/app", "1").await.assert_complete();
    let name = "up.test/open/app".parse().unwrap();
    let subject = Subject { name, digest };
    let record = desk.mirror.mirror().ledger().record(&subject).await.unwrap().unwrap();
    let children = record.evidence.manifest.found().unwrap().children.clone();
    let [first, second] = children.as_slice() else { panic!("{children:?}") };
    let stranger = Digest::sha256(b"stranger");
    let image = "up.test/open/app:1";
    desk.tell(&inventory(
        "prod",
        &[
            ("index", image, Some(digest)),
            ("first", image, Some(*first)),
            ("second", image, Some(*second)),
            ("stranger", "up.test/open/app:0", Some(stranger)),
            ("mirrored", "mirror.example:5000/up.test/open/app:1", Some(*first)),
            ("unknown", image, None),
        ],
    ))
    .await;
    let by_index = desk.sought(&digest.to_string()).await;
    let expected = told(&[
        ("index", "same"),
        ("first", "of-index"),
        ("second", "of-index"),
        ("mirrored", "of-index"),
    ]);
    assert_eq!((workloads(&by_index), &by_index["without_digest"]), (expected, &json!(2)));
    let by_image = desk.sought(&first.to_string()).await;
    let expected = told(&[("index", "in-index"), ("first", "same"), ("mirrored", "same")]);
    assert_eq!(workloads(&by_image), expected);
    let by_subject = desk.sought(&format!("up.test/open/app@{second}")).await;
    assert_eq!(workloads(&by_subject), told(&[("index", "in-index"), ("second", "same")]));
    let by_tag = desk.sought("up.test/open/app:1").await;
    let expected = told(&[
        ("index", "same"),
        ("first", "same"),
        ("second", "same"),
        ("mirrored", "same"),
        ("unknown", "written"),
    ]);
    assert_eq!(workloads(&by_tag), expected);
    assert_eq!(workloads(&desk.sought("up.test/open/app").await).len(), 6);
    assert_eq!(workloads(&desk.sought("up.test/open/app:0").await), told(&[("stranger", "same")]));
}

#[tokio::test]
async fn a_digest_of_a_configuration_is_never_taken_for_one_of_a_manifest() {
    let desk = Desk::start().await;
    let image = Image::new().layer("content".to_owned()).build();
    let digest = desk.mirror.upstream.push("open/app", "1", &image);
    desk.mirror.pull("open/app", "1").await.assert_complete();
    let config = image.config();
    let mut report = inventory("prod", &[("app", "up.test/open/app:1", None)]);
    report["running"][0]["config"] = json!(config.to_string());
    desk.tell(&report).await;
    let view = desk.sought(&digest.to_string()).await;
    assert_eq!(workloads(&view), told(&[("app", "config")]));
    assert_eq!(view["running"][0]["digest"], Value::Null);
    // Whatever else lies under that number is not what runs.
    let mut report = inventory("prod", &[("app", "up.test/open/app:1", None)]);
    report["running"][0]["config"] = json!(digest.to_string());
    desk.tell(&report).await;
    let matched = workloads(&desk.sought(&digest.to_string()).await);
    assert_eq!(matched, told(&[("app", "config")]), "told as what its node calls it");
}

/// A desk on which everything is gathered about what is pulled, that watches.
async fn watching(team: &Signer) -> Desk {
    let policy = format!(
        "mode: audit\nsigners:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{}\
         rules: [{{id: look, match: [\"up.test/**\"], trust: allow}}]\n\
         expressions:\n- {{id: look, when: \"size(signatures) >= 0 && size(scan.findings) >= 0\", \
         message: it could not be looked into}}\n",
        team.policy_pem()
    );
    let desk = Desk::of(TestMirror::start_with(&policy, |_| {}).await);
    know(&desk.mirror, &[openssl()]).await;
    desk
}

async fn watched(desk: &Desk, repository: &str, digest: Digest) {
    desk.mirror.pull(repository, "1").await.assert_complete();
    let subject = Subject { name: format!("up.test/{repository}").parse().unwrap(), digest };
    for _ in 0..1_000 {
        let record = desk.mirror.mirror().ledger().record(&subject).await.unwrap();
        if record.is_some_and(|it| {
            !it.evidence.signatures.is_not_gathered()
                && matches!(it.evidence.scan, Gathered::Found(_))
                && it.judgement.is_some()
        }) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{subject} was not judged");
}

#[tokio::test]
async fn findings_and_signers_lead_to_what_runs_and_what_was_not_looked_into_is_counted() {
    let team = Signer::generate();
    let desk = watching(&team).await;
    let weak = desk.mirror.upstream.push("weak", "1", &vulnerable());
    watched(&desk, "weak", weak).await;
    let image = Image::new().layer("signed".to_owned()).build();
    let signed = desk.mirror.upstream.push("signed", "1", &image);
    desk.mirror.upstream.attach_by_fallback_tag("signed", &signed, &team.bundle(&image));
    watched(&desk, "signed", signed).await;
    desk.tell(&inventory(
        "prod",
        &[
            ("weak", "up.test/weak:1", Some(weak)),
            ("signed", "up.test/signed:1", Some(signed)),
            ("stranger", "up.test/stranger:1", Some(Digest::sha256(b"x"))),
        ],
    ))
    .await;
    let found = desk.sought("CVE-2026-1").await;
    assert_eq!(workloads(&found), told(&[("weak", "same")]), "{found:#}");
    assert_eq!(found["running"][0]["because"], "openssl 3.0.11-1, fixed in 3.0.13-1");
    assert_eq!(found["not_known"], 1, "of the stranger nobody knows what is in it: {found:#}");
    assert_eq!(desk.sought("CVE-2020-999").await["running"], json!([]));
    let by_team = desk.sought("team").await;
    assert_eq!(workloads(&by_team), told(&[("signed", "same")]), "{by_team:#}");
    assert_eq!((&by_team["sought_as"], &by_team["not_known"]), (&json!("signer"), &json!(1)));
    let nobody = desk.sought("somebody@else.example").await;
    assert_eq!((&nobody["sought_as"], &nobody["running"]), (&json!("signer"), &json!([])));
    let shown = desk.run(&["where", "CVE-2026-1"]).await.stdout;
    for said in ["shop/Deployment/weak", "fixed in 3.0.13-1", "1 running image it is not known"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
}

#[tokio::test]
async fn what_cannot_be_sought_is_told() {
    let desk = Desk::start().await;
    let unknown = desk.run(&["where", "redis"]).await;
    assert_eq!(unknown.code, 2, "no cluster was reported: {unknown:?}");
    desk.tell(&inventory("prod", &[])).await;
    for (path, status) in [
        ("what=", 400),
        ("what=R-999", 404),
        ("what=UPPER/case", 400),
        ("what=sha256:12&as=digest", 400),
        ("what=redis&as=something", 400),
    ] {
        let reply = desk.get(&format!("/api/v1/inventory/where?{path}")).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_revocation_says_before_it_is_one_what_runs_the_image() {
    let desk = Desk::start().await;
    let digest = desk.push("open/app", "1", "content");
    desk.mirror.pull("open/app", "1").await.assert_complete();
    let page = format!("/images/up.test/open/app@{digest}");
    let browser = Browser::signed_in(&desk).await;
    assert!(!browser.page(&page).await.contains("as far as was reported"), "no cluster was");
    let running = [("web", "up.test/open/app:1", Some(digest)), ("b", "up.test/b:1", Some(digest))];
    desk.tell(&inventory("prod", &running)).await;
    let shown = browser.page(&page).await;
    for said in ["2 pods of 1 workload run it now", "in 1 cluster, as far as was reported."] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let dry = desk.run(&["revoke", "up.test/open/app:1", "--dry-run"]).await;
    assert_eq!(dry.code, 0, "{dry:?}");
    assert!(
        dry.stdout.contains("shop/Deployment/web") && !dry.stdout.contains("Deployment/b"),
        "{dry:?}"
    );
    assert!(dry.stderr.contains("nothing was revoked"), "{dry:?}");
    desk.mirror.pull("open/app", "1").await.assert_complete();
    assert_eq!(desk.run(&["revoke", "up.test/open/app:1"]).await.code, 64, "a reason is needed");
    let done = desk.run(&["revoke", "up.test/open/app:1", "--reason", "bad"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    desk.mirror.pull("open/app", "1").await.assert_refused("Revoked");
}
