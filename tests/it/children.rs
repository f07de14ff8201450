//! Children of an index: what they inherit, and what they do not.

use std::time::Duration;

use bytes::Bytes;
use pratique::gate::Subject;
use pratique::ledger::{Decision, RequestFilter};
use pratique::oci::{Digest, MediaType};

use crate::support::mirror::TestMirror;
use crate::support::upstream::{Artifact, Fault, Gate, Image, Index};

const ASKED: &str = r#"- {id: asked, match: ["up.test/asked/**"], trust: approve}"#;
const OPEN: &str = r#"- {id: open, match: ["up.test/open/**"], trust: allow}"#;
/// Longer than what is missing is taken for missing.
const AFTER_ABSENCE: Duration = Duration::from_secs(61);

/// Approves the image that was just refused.
async fn approve(mirror: &TestMirror, repository: &str, digest: Digest) {
    let name = format!("up.test/{repository}").parse().expect("a name");
    let decision = Decision {
        subject: Subject { name, digest },
        by: "alice".to_owned(),
        reason: "seen".to_owned(),
        expires: None,
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    };
    mirror.mirror().ledger().approve(decision).await.expect("an approval");
}

async fn open_requests(mirror: &TestMirror) -> usize {
    let filter = RequestFilter { limit: 100, ..RequestFilter::default() };
    mirror.mirror().ledger().requests(filter).await.expect("requests").len()
}

/// An approved index in `asked/app`, pulled once.
async fn approved(index: &Artifact) -> TestMirror {
    let mirror = TestMirror::start(ASKED).await;
    mirror.upstream.push("asked/app", "1", index);
    mirror.pull("asked/app", "1").await.assert_refused("Pending");
    approve(&mirror, "asked/app", index.digest()).await;
    assert_eq!(mirror.manifest("asked/app", "1").await.status, 200);
    mirror
}

#[tokio::test]
async fn a_child_that_comes_to_upstream_later_inherits_like_its_siblings() {
    let index = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
    let [here, late] = [index.children[0].clone(), index.children[1].clone()];
    let mirror = TestMirror::start(ASKED).await;
    mirror.upstream.push_untagged("asked/app", &here);
    let digest =
        mirror.upstream.put_manifest("asked/app", MediaType::OCI_INDEX, index.manifest.clone());
    mirror.upstream.tag("asked/app", "1", &[digest]);
    mirror.pull("asked/app", "1").await.assert_refused("Pending");
    approve(&mirror, "asked/app", digest).await;
    assert_eq!(mirror.manifest("asked/app", "1").await.status, 200);
    mirror.pull("asked/app", here.digest()).await.assert_complete();
    assert_eq!(mirror.manifest("asked/app", late.digest()).await.status, 404);
    mirror.clock.advance(AFTER_ABSENCE);
    assert_eq!(mirror.manifest("asked/app", late.digest()).await.status, 404, "looked for again");
    let asked = mirror.upstream.count(&late.digest().to_string());
    assert_eq!(mirror.manifest("asked/app", late.digest()).await.status, 404);
    assert_eq!(mirror.upstream.count(&late.digest().to_string()), asked, "and not each time");
    mirror.upstream.push_untagged("asked/app", &late);
    mirror.clock.advance(AFTER_ABSENCE);
    mirror.pull("asked/app", late.digest()).await.assert_complete();
    mirror.pull("asked/app", here.digest()).await.assert_complete();
    assert_eq!(open_requests(&mirror).await, 1, "only the index was ever asked for");
}

#[tokio::test]
async fn referrers_of_a_child_are_served_with_the_index_that_was_approved() {
    let index = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
    let child = &index.children[0];
    let mirror = TestMirror::start(ASKED).await;
    mirror.upstream.set_referrers_api(true);
    mirror.upstream.push("asked/app", "1", &index);
    let notes = Image::artifact("application/vnd.test.notes").layer("notes").subject(child).build();
    mirror.upstream.attach_referrer("asked/app", &child.digest(), &notes);
    let path = format!("asked/app/referrers/{}", child.digest());
    mirror.pull("asked/app", "1").await.assert_refused("Pending");
    assert_eq!(mirror.get(&path).await.status, 403, "the index is not approved");
    approve(&mirror, "asked/app", index.digest()).await;
    assert_eq!(mirror.manifest("asked/app", "1").await.status, 200);
    let listed = mirror.get(&path).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    let text = String::from_utf8_lossy(listed.bytes()).into_owned();
    assert!(text.contains(&notes.digest().to_string()), "{text}");
    mirror.pull("asked/app", notes.digest()).await.assert_complete();
    mirror.clock.advance(AFTER_ABSENCE);
    assert_eq!(mirror.get(&format!("asked/app/referrers/{}", index.digest())).await.status, 200);
    mirror.pull("asked/app", notes.digest()).await.assert_complete();
    assert_eq!(open_requests(&mirror).await, 1, "nobody has to approve the child");
}

#[tokio::test]
async fn what_refers_to_an_admitted_manifest_is_served_under_no_tag_of_its_repository() {
    let mirror = TestMirror::start(ASKED).await;
    mirror.upstream.set_referrers_api(true);
    let good = Image::new().layer("good").build();
    mirror.upstream.push("asked/app", "1", &good);
    let bad = Image::artifact("application/vnd.test.notes").layer("bad").subject(&good).build();
    mirror.upstream.attach_referrer("asked/app", &good.digest(), &bad);
    mirror.pull("asked/app", "1").await.assert_refused("Pending");
    approve(&mirror, "asked/app", good.digest()).await;
    mirror.pull("asked/app", "1").await.assert_complete();
    // By its digest it is what somebody says about the image, and served with it.
    assert_eq!(mirror.get(&format!("asked/app/referrers/{}", good.digest())).await.status, 200);
    mirror.pull("asked/app", bad.digest()).await.assert_complete();
    mirror.upstream.tag("asked/app", "1", &[bad.digest()]);
    mirror.upstream.tag("asked/app", "2", &[bad.digest()]);
    let held = mirror.pull("asked/app", "1").await;
    assert_eq!(held.manifest.header("docker-content-digest"), good.digest().to_string());
    mirror.pull("asked/app", "2").await.assert_refused("Pending");
}

#[tokio::test]
async fn what_is_attached_to_two_children_is_served_though_both_were_asked_about_at_once() {
    let index = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
    let mirror = TestMirror::start(ASKED).await;
    mirror.upstream.set_referrers_api(true);
    mirror.upstream.push("asked/app", "1", &index);
    let gate = Gate::closed();
    let notes: Vec<Artifact> = index
        .children
        .iter()
        .map(|child| {
            let notes = Image::artifact("application/vnd.test.notes");
            let notes = notes.layer(child.digest().to_string()).subject(child).build();
            mirror.upstream.attach_referrer("asked/app", &child.digest(), &notes);
            let asked = format!("GET /v2/asked/app/referrers/{}", child.digest());
            mirror.upstream.fault(&asked, Fault::Hold(gate.clone()));
            notes
        })
        .collect();
    mirror.pull("asked/app", "1").await.assert_refused("Pending");
    approve(&mirror, "asked/app", index.digest()).await;
    mirror.pull("asked/app", "1").await.assert_complete();
    let [one, other] =
        [0, 1].map(|child| format!("asked/app/referrers/{}", index.children[child].digest()));
    let both_wait = async {
        mirror.upstream.wait_for("GET /v2/asked/app/referrers/", 2).await;
        gate.open();
    };
    let (one, other, ()) = tokio::join!(mirror.get(&one), mirror.get(&other), both_wait);
    assert_eq!((one.status, other.status), (200, 200));
    for notes in &notes {
        mirror.pull("asked/app", notes.digest()).await.assert_complete();
    }
}

#[tokio::test]
async fn a_bill_of_materials_by_tag_is_served_with_its_image() {
    let mirror = TestMirror::start(OPEN).await;
    let image = Image::new().layer("app").build();
    let digest = mirror.upstream.push("open/app", "1", &image);
    let materials = Image::new()
        .config("application/vnd.oci.empty.v1+json", "{}")
        .layer_of("text/spdx+json", "{\"spdx\":1}", &[])
        .build();
    let tag = format!("sha256-{}.sbom", digest.hex());
    mirror.upstream.push("open/app", &tag, &materials);
    mirror.pull("open/app", "1").await.assert_complete();
    let found = mirror.manifest("open/app", &tag).await;
    assert_eq!(found.status, 200, "{found:?}");
    assert!(materials.digest().matches(found.bytes()));
}

#[tokio::test]
async fn layers_of_a_child_that_tells_no_platform_are_served_for_none() {
    let policy =
        format!("floor: {{registries: [up.test], platforms: [linux/amd64]}}\nrules:\n{OPEN}");
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    let config = |text: &'static str| Image::new().config(MediaType::OCI_CONFIG, text);
    let silent = config("{}").layer("silent").build();
    let large = Image::new()
        .config(MediaType::OCI_CONFIG, Bytes::from(vec![b' '; 4 * 1024 * 1024 + 1]))
        .layer("large")
        .build();
    let broken = config("no JSON").layer("broken").build();
    let good = Image::new().layer("good").build();
    let listed = |artifact: &Artifact| {
        let mut descriptor = artifact.descriptor();
        descriptor.platform = None;
        descriptor
    };
    let children = [&good, &silent, &large, &broken];
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_INDEX,
        "manifests": children.map(listed),
    });
    for child in children {
        mirror.upstream.push_untagged("open/multi", child);
    }
    let index = Bytes::from(index.to_string());
    let digest = mirror.upstream.put_manifest("open/multi", MediaType::OCI_INDEX, index);
    assert_eq!(mirror.manifest("open/multi", digest).await.status, 200);
    for (child, status) in children.into_iter().zip([200, 403, 403, 403]) {
        assert_eq!(mirror.manifest("open/multi", child.digest()).await.status, 200);
        let answer = mirror.blob("open/multi", &child.layer(0)).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn an_index_is_served_with_all_below_it_although_the_ledger_cannot_be_read() {
    let index = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
    let mirror = approved(&index).await;
    let children = index.children.clone();
    for child in &children {
        mirror.pull("asked/app", child.digest()).await.assert_complete();
    }
    let mirror = mirror.restart().await;
    assert_eq!(mirror.manifest("asked/app", index.digest()).await.status, 200);
    for child in &children {
        mirror.pull("asked/app", child.digest()).await.assert_complete();
    }
    mirror.upstream.go_away();
    ruin(&mirror);
    assert_eq!(mirror.manifest("asked/app", index.digest()).await.status, 200);
    for child in &children {
        mirror.pull("asked/app", child.digest()).await.assert_complete();
    }
    let unknown = Image::new().layer("unknown").build();
    assert_eq!(mirror.manifest("asked/app", unknown.digest()).await.status, 503);
}

/// Overwrites the ledger's database with noise.
fn ruin(mirror: &TestMirror) {
    for file in ["ledger.db", "ledger.db-wal"] {
        let path = mirror.folder().join("data").join(file);
        let length = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let noise = vec![0x5a; usize::try_from(length).expect("a size")];
        let mut open = std::fs::OpenOptions::new().write(true).open(&path).expect("a file");
        std::io::Write::write_all(&mut open, &noise).expect("a write");
    }
}
