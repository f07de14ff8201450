//! VEX documents: what signers of the policy say does not matter is served, and nobody else's word is.

use std::time::Duration;

use pratique::gate::Subject;
use pratique::mirror::desk::Desk;
use pratique::mirror::{Freshness, Mirror};
use pratique::oci::Digest;
use serde_json::{Value, json};

use crate::scanning::{know, openssl, other, vulnerable};
use crate::support::archive::{CRITICAL, debian, record};
use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, Fault, Image, Index};

const OPENVEX: &str = "https://openvex.dev/ns/v0.2.0";
const CYCLONEDX: &str = "https://cyclonedx.org/bom/v1.5";
const REPOSITORY: &str = "app";
const REFUSED: &str = "Denied by rule a: CVE-2026-1 in openssl 3.0.11-1";

struct Case {
    mirror: TestMirror,
    image: Artifact,
    team: Signer,
    others: Signer,
}

/// What the policy says, with `gate` as the rest of its gate.
fn policy(team: &Signer, others: &Signer, gate: &str) -> String {
    let signer = |name: &str, signer: &Signer| {
        let pem = signer.public_pem().replace('\n', "\\n");
        format!("  {name}: {{key: {{pem: \"{pem}\"}}, transparencyLog: none}}\n")
    };
    format!(
        "signers:\n{}{}gates: {{strict: {{deny: [{{severity: high}}]{gate}}}}}\n\
         floor: {{platforms: [linux/amd64, linux/arm64]}}\n\
         rules: [{{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}}]\n",
        signer("team", team),
        signer("others", others),
    )
}

/// A vulnerable image upstream, and a mirror whose gate says `gate`.
async fn case(gate: &str) -> Case {
    let (team, others) = (Signer::generate(), Signer::generate());
    let mirror = TestMirror::start_with(&policy(&team, &others, gate), |_| {}).await;
    know(&mirror, &[openssl()]).await;
    let image = vulnerable();
    mirror.upstream.push(REPOSITORY, "1", &image);
    Case { mirror, image, team, others }
}

const TEAM: &str = ", vex: {from: [team]}";

impl Case {
    fn attach(&self, attestation: &Artifact) {
        let upstream = &self.mirror.upstream;
        upstream.attach_by_fallback_tag(REPOSITORY, &self.image.digest(), attestation);
        self.wait();
    }

    /// Until what was absent is looked for again.
    fn wait(&self) {
        self.mirror.clock.advance(Duration::from_mins(2));
    }

    /// `by` says `with` about CVE-2026-1 in the image.
    fn say(&self, by: &Signer, with: &Value) {
        self.attach(&by.attestation(&self.image, OPENVEX, &document(with)));
    }

    async fn assert_served(&self) {
        self.mirror.pull(REPOSITORY, "1").await.assert_complete();
    }

    async fn assert_refused(&self) {
        self.mirror.pull(REPOSITORY, "1").await.assert_refused(REFUSED);
    }

    async fn explained(&self) -> Value {
        explained(self.mirror.mirror(), &self.image.digest()).await
    }

    async fn scan_said(&self) -> String {
        let explained = self.explained().await;
        let checks = explained["checks"].as_array().unwrap();
        let scan = checks.iter().find(|check| check["name"] == "scan").unwrap();
        scan["text"].as_str().unwrap().to_owned()
    }
}

async fn explained(mirror: &Mirror, digest: &Digest) -> Value {
    let desk = Desk::new(mirror.clone());
    let target = format!("{REGISTRY}/{REPOSITORY}@{digest}");
    serde_json::to_value(desk.explain(&target).await.unwrap()).unwrap()
}

/// Until the scan is explained so; what happens beside may take a while.
async fn wait_until_explained(mirror: &TestMirror, digest: &Digest, expected: &str) {
    for _ in 0..600 {
        if explained(mirror.mirror(), digest).await.to_string().contains(expected) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never explained as {expected:?}");
}

/// A document of OpenVEX with one statement about openssl of the image it is attested about.
fn document(with: &Value) -> Value {
    let mut statement = json!({
        "vulnerability": {"name": "CVE-2026-1"},
        "products": [{"@id": "pkg:deb/debian/openssl@3.0.11-1"}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
    });
    for (key, value) in with.as_object().unwrap() {
        statement[key] = value.clone();
    }
    json!({
        "@context": OPENVEX, "@id": "https://acme.test/vex/1", "author": "team", "version": 1,
        "timestamp": "2026-01-01T00:00:00Z", "statements": [statement],
    })
}

#[tokio::test]
async fn what_a_signer_of_the_gate_says_does_not_matter_is_served_and_told() {
    let case = case(TEAM).await;
    case.assert_refused().await;
    case.say(&case.team, &json!({}));
    case.assert_served().await;
    assert_eq!(case.scan_said().await, "1 packages, 1 critical found, 1 not affected, by team");
    let explained = case.explained().await;
    let silenced = &explained["silenced"][0];
    for (key, expected) in [
        ("vulnerability", "CVE-2026-1"),
        ("package", "openssl"),
        ("version", "3.0.11-1"),
        ("status", "not_affected"),
        ("why", "vulnerable_code_not_in_execute_path"),
        ("by", "team"),
    ] {
        assert_eq!(silenced[key], expected, "{silenced}");
    }
    // It goes on so without upstream, and after a restart.
    case.mirror.upstream.go_away();
    let restarted = case.mirror.restart().await;
    restarted.pull(REPOSITORY, "1").await.assert_complete();
}

#[tokio::test]
async fn both_formats_count_as_bundle_and_as_envelope() {
    let bill = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5",
        "metadata": {"timestamp": "2026-01-01T00:00:00Z", "component": {"type": "container", "name": "app"}},
        "components": [{"bom-ref": "a", "type": "library", "name": "openssl", "purl": "pkg:deb/debian/openssl@3.0.11-1"}],
        "vulnerabilities": [{
            "id": "CVE-2026-1", "affects": [{"ref": "a"}],
            "analysis": {"state": "resolved_with_pedigree", "detail": "patched"},
        }],
    });
    let by_bill = case(TEAM).await;
    by_bill.attach(&by_bill.team.attestation(&by_bill.image, CYCLONEDX, &bill));
    by_bill.assert_served().await;
    assert!(by_bill.scan_said().await.ends_with("1 fixed, by team"));
    let by_tag = case(TEAM).await;
    let digest = by_tag.image.digest();
    let attached = by_tag.team.attached(&digest, "https://openvex.dev/ns", &document(&json!({})));
    let tag = format!("sha256-{}.att", digest.hex());
    by_tag.mirror.upstream.push(REPOSITORY, &tag, &attached);
    by_tag.assert_served().await;
}

/// T46: unsigned, by others, about others, or about something else.
#[tokio::test]
async fn forged_and_foreign_documents_take_nothing_away_and_are_told() {
    let not_used = "a VEX document was not used: ";
    let stranger = Signer::generate();
    let elsewhere = Image::new().layer("something else").build();
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";

    let by_stranger = case(TEAM).await;
    by_stranger.say(&stranger, &json!({}));
    by_stranger.assert_refused().await;
    let said = by_stranger.scan_said().await;
    assert!(said.contains(&format!("{not_used}not signed by team")), "{said}");

    let by_other = case(TEAM).await;
    by_other.say(&by_other.others, &json!({}));
    by_other.assert_refused().await;
    let said = by_other.scan_said().await;
    assert!(said.contains(&format!("{not_used}not signed by team")), "{said}");

    // Signed about another image, and laid beside this one.
    let moved = case(TEAM).await;
    let about_other = moved.team.attestation(&elsewhere, OPENVEX, &document(&json!({})));
    let content = about_other.blobs.last().cloned().unwrap();
    let layer = Image::artifact(bundle).layer_of(bundle, content, &[]);
    moved.attach(&layer.subject(&moved.image).build());
    moved.assert_refused().await;
    let said = moved.scan_said().await;
    assert!(said.contains(&format!("{not_used}signed for another digest")), "{said}");

    // As it is, signed by nobody.
    let unsigned = case(TEAM).await;
    let kind = "application/vnd.openvex+json";
    let raw = Image::artifact(kind).layer_of(kind, document(&json!({})).to_string(), &[]);
    unsigned.attach(&raw.subject(&unsigned.image).build());
    unsigned.assert_refused().await;
    let said = unsigned.scan_said().await;
    assert!(said.contains(not_used) && said.ends_with("is not signed"), "{said}");

    let hex = "0".repeat(64);
    for (with, told) in [
        (json!({"products": [{"@id": format!("pkg:oci/app@sha256:{hex}")}]}), ""),
        (json!({"products": [{"@id": "pkg:oci/app"}]}), "names an image without its digest"),
        (json!({"products": [{"@id": "pkg:deb/debian/openssl@3.0.12-1"}]}), ""),
        (json!({"products": [{"@id": "pkg:deb/ubuntu/openssl@3.0.11-1"}]}), ""),
        (json!({"vulnerability": {"name": "CVE-2026-2"}}), ""),
        (json!({"status": "unaffected"}), "no known status: unaffected"),
        (json!({"status": "affected"}), ""),
        (json!({"justification": null}), "not affected, by team, says not why"),
        (json!({"timestamp": "2027-01-01T00:00:00Z"}), "which is not yet"),
    ] {
        let case = case(TEAM).await;
        case.say(&case.team, &with);
        case.assert_refused().await;
        let said = case.scan_said().await;
        assert!(said.contains(told), "{with}: {said}");
    }
}

#[tokio::test]
async fn a_policy_that_hears_the_signer_no_more_takes_its_word_away() {
    let case = case(TEAM).await;
    case.say(&case.team, &json!({}));
    case.assert_served().await;
    let hears_others = policy(&case.team, &case.others, ", vex: {from: [others]}");
    case.mirror.set_policy(&hears_others, 2).await;
    case.assert_refused().await;
    case.mirror.set_policy(&policy(&case.team, &case.others, TEAM), 3).await;
    case.assert_served().await;
    // The name is the same and the key is another's; the gates have not changed.
    let other_key = policy(&Signer::generate(), &case.others, TEAM);
    case.mirror.set_policy(&other_key, 4).await;
    case.assert_refused().await;
    let accepts_fixed = policy(&case.team, &case.others, ", vex: {from: [team], accept: [fixed]}");
    case.mirror.set_policy(&accepts_fixed, 5).await;
    case.assert_refused().await;
    let hears_nobody = policy(&case.team, &case.others, "");
    case.mirror.set_policy(&hears_nobody, 6).await;
    case.assert_refused().await;
}

/// What passed by a document is looked at again when evidence is gathered, and is no new finding then.
#[tokio::test]
async fn what_is_taken_back_upstream_is_refused_when_it_is_seen() {
    let taken_back = case(TEAM).await;
    taken_back.say(&taken_back.team, &json!({}));
    taken_back.assert_served().await;
    let later = json!({"status": "affected", "timestamp": "2026-06-01T00:00:00Z"});
    taken_back.say(&taken_back.team, &later);
    taken_back.assert_served().await;
    // Once a day it is looked for again.
    taken_back.mirror.clock.advance(Duration::from_hours(25));
    let digest = taken_back.image.digest();
    wait_until_explained(&taken_back.mirror, &digest, "1 of them refused").await;
    taken_back.assert_refused().await;

    let removed = case(TEAM).await;
    removed.say(&removed.team, &json!({}));
    removed.assert_served().await;
    let tag = format!("sha256-{}", removed.image.digest().hex());
    removed.mirror.upstream.untag(REPOSITORY, &tag);
    removed.wait();
    let name = format!("{REGISTRY}/{REPOSITORY}").parse().unwrap();
    let subject = Subject { name, digest: removed.image.digest() };
    removed.mirror.mirror().judge(&subject, Freshness::Fresh).await.unwrap();
    removed.assert_refused().await;
}

#[tokio::test]
async fn a_new_database_finds_what_was_said_already() {
    let case = case(TEAM).await;
    know(&case.mirror, &[other()]).await;
    case.say(&case.team, &json!({}));
    case.assert_served().await;
    // Nothing was found yet, and what is said about it is known all the same.
    case.mirror.upstream.go_away();
    know(&case.mirror, &[other(), openssl()]).await;
    let digest = case.image.digest();
    wait_until_explained(&case.mirror, &digest, "1 not affected, by team").await;
    case.assert_served().await;
    // Malware is malware whatever anybody says.
    let mut malware = record("MAL-2026-1", "Debian:12", "openssl", "9", CRITICAL);
    malware["severity"] = json!([]);
    know(&case.mirror, &[other(), openssl(), malware]).await;
    wait_until_explained(&case.mirror, &digest, "malware MAL-2026-1").await;
    case.mirror.pull(REPOSITORY, "1").await.assert_refused("Denied by rule a: malware MAL-2026-1");
}

#[tokio::test]
async fn documents_that_were_evicted_are_fetched_when_images_are_judged_again() {
    let case = case(&format!("{TEAM}, onNewFinding: revoke")).await;
    know(&case.mirror, &[other()]).await;
    let attestation = case.team.attestation(&case.image, OPENVEX, &document(&json!({})));
    case.attach(&attestation);
    case.assert_served().await;
    case.mirror.mirror().store().remove(&attestation.layer(0)).await.unwrap();
    know(&case.mirror, &[other(), openssl()]).await;
    let digest = case.image.digest();
    wait_until_explained(&case.mirror, &digest, "1 not affected, by team").await;
    case.assert_served().await;
}

#[tokio::test]
async fn a_search_that_failed_is_no_refusal() {
    let case = case(TEAM).await;
    // What is in it is known by then.
    case.assert_refused().await;
    case.say(&case.team, &json!({}));
    let hex = case.image.digest().hex();
    case.mirror.upstream.fault(&format!("manifests/sha256-{hex}"), Fault::Status(500));
    let answer = case.mirror.manifest(REPOSITORY, "1").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.phrase.contains("could not look for VEX documents"), "{}", answer.phrase);
    case.mirror.upstream.heal();
    case.mirror.clock.advance(Duration::from_mins(6));
    case.assert_served().await;
}

#[tokio::test]
async fn of_an_index_a_document_is_about_the_index_or_about_one_image() {
    let case = case(TEAM).await;
    let upstream = &case.mirror.upstream;
    let arm =
        Image::new().platform("linux/arm64").layer(debian(&[("openssl", "3.0.11-1")])).build();
    let index = |tag: &str| {
        // Each its own, so that what is attached to one is attached to no other.
        let extra = Image::new().platform("linux/s390x").layer(tag.to_owned()).build();
        let built = Index::new().child(vulnerable()).child(arm.clone()).child(extra).build();
        upstream.push(REPOSITORY, tag, &built);
        built
    };
    let attach = |about: &Artifact, says: &Value| {
        let attestation = case.team.attestation(about, OPENVEX, says);
        upstream.attach_by_fallback_tag(REPOSITORY, &about.digest(), &attestation);
        case.wait();
    };
    let whole = index("whole");
    case.mirror
        .pull(REPOSITORY, "whole")
        .await
        .assert_refused("Denied by rule a: linux/amd64: CVE");
    attach(&whole, &document(&json!({})));
    assert_eq!(case.mirror.manifest(REPOSITORY, "whole").await.status, 200);
    let named = index("named");
    let product = json!([{"@id": format!("pkg:oci/app@{}", arm.digest())}]);
    attach(&named, &document(&json!({"products": product})));
    case.mirror
        .pull(REPOSITORY, "named")
        .await
        .assert_refused("Denied by rule a: linux/amd64: CVE");
    // What is said of the image itself is found, too, and both together are all of it.
    index("parts");
    attach(&arm, &document(&json!({})));
    let refused = case.mirror.pull(REPOSITORY, "parts").await;
    refused.assert_refused("Denied by rule a: linux/amd64: CVE");
    attach(&vulnerable(), &document(&json!({})));
    assert_eq!(case.mirror.manifest(REPOSITORY, "parts").await.status, 200);
}
