//! The difference to what is served now.

use pratique::oci::Digest;
use serde_json::json;

use super::{Browser, RULES};
use crate::admin::Desk;
use crate::scanning::{know, openssl, other};
use crate::support::archive::{CRITICAL, debian, record, tar};
use crate::support::mirror::TestMirror;
use crate::support::upstream::{Artifact, Image};

const SCANNED: &str = "gates: {strict: {deny: [{severity: critical, fixable: false}], unknown: allow}}\n\
                       rules:\n- {id: a, match: [\"up.test/**\"], trust: approve, gates: [strict]}\n";

fn image(packages: &[(&str, &str)], user: &str, ports: &serde_json::Value) -> Artifact {
    let layers = [tar(&[("usr/bin/same", b"the same in both")]), debian(packages)];
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"User": user, "Env": ["PATH=/bin"], "ExposedPorts": ports},
        "rootfs": {"type": "layers", "diff_ids": layers.each_ref().map(|it| Digest::sha256(it))},
    });
    let [same, own] = layers;
    Image::new()
        .layer(same)
        .layer(own)
        .config("application/vnd.oci.image.config.v1+json", config.to_string())
        .build()
}

#[tokio::test]
async fn a_new_digest_is_compared_with_what_its_tag_is_served_as() {
    let desk = Desk::of(TestMirror::start_with(SCANNED, |_| {}).await);
    let zlib = record("CVE-2026-2", "Debian:12", "zlib1g", "9", CRITICAL);
    know(&desk.mirror, &[other(), openssl(), zlib]).await;
    let old =
        image(&[("openssl", "3.0.11-1"), ("curl", "8.1-1"), ("bash", "5.2-1")], "app", &json!({}));
    let new = image(
        &[("openssl", "3.0.13-1"), ("zlib1g", "1.3-1"), ("bash", "5.2-1")],
        "",
        &json!({"22/tcp": {}}),
    );
    let first = desk.mirror.upstream.push("app", "1.2", &old);
    desk.mirror.pull("app", "1.2").await.assert_refused("Pending");
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/requests/R-1").await;
    assert!(page.contains("Nothing to compare with: 1.2 was never served"), "{page}");
    assert_eq!(browser.decide("/requests/R-1", "approve", "fine").await.status, 303);
    desk.mirror.pull("app", "1.2").await.assert_complete();
    assert!(browser.page("/requests/R-1").await.contains("This is what 1.2 is served as."));

    let second = desk.mirror.upstream.push("app", "1.2", &new);
    desk.mirror.pull("app", &second).await.assert_refused("Pending approval R-2");
    desk.mirror.manifest("app", "1.2").await;
    let page = browser.page("/requests/R-2").await;
    let (_, told) = page.split_once("What is different").expect("the difference");
    let (told, _) = told.split_once("</section>").expect("its end");
    for said in [
        "what <strong><bdi>1.2</bdi></strong> is served as",
        &first.short(),
        "1 new layer",
        "1 shared",
        "1 gone",
        "1 added, 1 removed, 1 changed, 1 same",
        "<bdi>zlib1g</bdi> <bdi>1.3-1</bdi>",
        "<bdi>curl</bdi> <bdi>8.1-1</bdi>",
        "<bdi>openssl</bdi> <bdi>3.0.11-1</bdi> → <bdi>3.0.13-1</bdi>",
        "<strong>1 new</strong>, 1 gone, 0 same",
        "CVE-2026-2",
        "CVE-2026-1",
        "user: <bdi>app</bdi> → <strong><bdi>root, as nothing is said</bdi></strong>",
        "ports: <bdi>none</bdi> → <strong><bdi>22/tcp</bdi></strong>",
        "same: <bdi>not asked for</bdi>",
    ] {
        assert!(told.contains(said), "{said:?} is not in {told}");
    }
    let meanwhile = page.contains("Meanwhile the tag is served as");
    assert!(meanwhile, "{page}");
    assert!(page.contains("History of <bdi>1.2</bdi>") && page.contains("(this one)"), "{page}");
}

#[tokio::test]
async fn a_new_tag_is_compared_with_the_nearest_and_what_is_not_known_is_said_to_be() {
    let policy = format!("rules:\n{RULES}");
    let desk = Desk::of(TestMirror::start_with(&policy, |_| {}).await);
    let browser = Browser::signed_in(&desk).await;
    for (tag, content) in [("1.1", "a"), ("2.0", "b"), ("1.2", "c")] {
        desk.push("asked/app", tag, content);
        desk.mirror.pull("asked/app", tag).await.assert_refused("Pending");
        if tag != "1.2" {
            let path = format!("/images/up.test/asked/app:{tag}");
            assert_eq!(browser.decide(&path, "approve", "fine").await.status, 303);
            desk.mirror.pull("asked/app", tag).await.assert_complete();
        }
    }
    let page = browser.page("/images/up.test/asked/app:1.2").await;
    assert!(page.contains("<bdi>1.1</bdi></strong>, the nearest tag that was served"), "{page}");
    assert!(page.contains("of both: it was not scanned"), "{page}");
    // One that is revoked since is said to be so.
    let path = "/images/up.test/asked/app:1.1";
    assert_eq!(browser.decide(path, "revoke", "bad").await.status, 303);
    let page = browser.page("/images/up.test/asked/app:1.2").await;
    assert!(page.contains("It was admitted last, and is not now"), "{page}");
}
