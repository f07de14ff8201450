//! What the mirror says itself about admitted images, signed.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pratique::gate::Subject;
use pratique::ledger::Decision;
use pratique::oci::Digest;
use pratique::signature::{AttestationForm, Key, Signer as Wanted};
use pratique::time::Timestamp;
use serde_json::Value;

use crate::support::mirror::TestMirror;
use crate::support::upstream::Image;

/// Keys of the mirror count at any time.
const NOW: Timestamp = Timestamp::from_milliseconds(0);
const REPOSITORY: &str = "lib/app";
const RULES: &str = r#"- {id: open, match: ["up.test/lib/**"], trust: allow}"#;
const APPROVE: &str = r#"- {id: asked, match: ["up.test/lib/**"], trust: approve}"#;

/// The manifest of the one summary among the referrers of `digest`, by its digest.
async fn listed(mirror: &TestMirror, digest: &Digest) -> Vec<Digest> {
    let answer = mirror.get(&format!("{REPOSITORY}/referrers/{digest}")).await;
    if answer.status != 200 {
        return Vec::new();
    }
    let list: Value = serde_json::from_slice(answer.bytes()).unwrap();
    let said = |entry: &&Value| {
        entry["annotations"]["dev.sigstore.bundle.predicateType"]
            == "https://slsa.dev/verification_summary/v1"
    };
    let entries = list["manifests"].as_array().unwrap().iter().filter(said);
    entries.map(|entry| entry["digest"].as_str().unwrap().parse().unwrap()).collect()
}

/// The bundle that the summary `manifest` lists, whole and fetched as clients do.
async fn bundle(mirror: &TestMirror, manifest: &Digest) -> Vec<u8> {
    let answer = mirror.manifest(REPOSITORY, manifest).await;
    assert!(manifest.matches(answer.bytes()));
    let manifest: Value = serde_json::from_slice(answer.bytes()).unwrap();
    for part in [&manifest["config"], &manifest["layers"][0]] {
        let digest: Digest = part["digest"].as_str().unwrap().parse().unwrap();
        let blob = mirror.blob(REPOSITORY, &digest).await;
        assert_eq!((blob.status, digest.matches(blob.bytes())), (200, true));
        if *part == manifest["layers"][0] {
            return blob.bytes().to_vec();
        }
    }
    panic!("no layer")
}

fn decision(mirror: &TestMirror, digest: &Digest) -> Decision {
    Decision {
        subject: Subject { name: "up.test/lib/app".parse().unwrap(), digest: *digest },
        by: "alice".to_owned(),
        reason: "seen".to_owned(),
        expires: None,
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    }
}

fn key(mirror: &TestMirror) -> Key {
    let key = mirror.mirror().keyring().current().unwrap();
    Key::from_pem(&key.public().pem).unwrap()
}

#[tokio::test]
async fn an_admitted_image_has_a_summary_that_the_public_key_verifies() {
    let mirror = TestMirror::start(RULES).await;
    let image = Image::new().layer("content").build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    let [summary] = listed(&mirror, &image.digest()).await[..] else { panic!("one summary") };
    let content = bundle(&mirror, &summary).await;
    // Clients that show everything ask what refers to it: nothing does.
    let answer = mirror.get(&format!("{REPOSITORY}/referrers/{summary}")).await;
    let list: Value = serde_json::from_slice(answer.bytes()).unwrap();
    assert_eq!((answer.status, &list["manifests"]), (200, &serde_json::json!([])));
    let signer = Wanted::key(key(&mirror));
    let form = AttestationForm::Bundle;
    let (_, statement) = signer.verify_attestation(&content, &form, &image.digest(), NOW).unwrap();
    assert_eq!(statement.predicate_type, "https://slsa.dev/verification_summary/v1");
    let says: Value = serde_json::from_str(statement.predicate.get()).unwrap();
    assert_eq!(says["verificationResult"], "PASSED");
    assert_eq!(says["resourceUri"], format!("oci://up.test/lib/app@{}", image.digest()));
    assert_eq!(says["policy"]["digest"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(says["https://pratique.dev/rule"], "open");
    assert!(signer.verify_attestation(&content, &form, &Digest::sha256(b"other"), NOW).is_err());
    let envelope: Value = serde_json::from_slice(&content).unwrap();
    let payload = envelope["dsseEnvelope"]["payload"].as_str().unwrap();
    let mut changed = BASE64_STANDARD.decode(payload).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    let text = String::from_utf8(content.clone()).unwrap();
    let text = text.replace(payload, &BASE64_STANDARD.encode(changed));
    assert!(signer.verify_attestation(text.as_bytes(), &form, &image.digest(), NOW).is_err());
    // The same verdict is the same bytes, after a restart too.
    assert_eq!(listed(&mirror, &image.digest()).await, [summary]);
    let mirror = mirror.restart().await;
    assert_eq!(listed(&mirror, &image.digest()).await, [summary]);
    assert_eq!(bundle(&mirror, &summary).await, content);
}

#[tokio::test]
async fn what_is_not_admitted_has_none_and_what_is_revoked_loses_it() {
    let mirror = TestMirror::start(APPROVE).await;
    let image = Image::new().layer("content").build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    mirror.pull(REPOSITORY, "1").await.assert_refused("Pending");
    assert!(listed(&mirror, &image.digest()).await.is_empty());
    mirror.mirror().ledger().approve(decision(&mirror, &image.digest())).await.unwrap();
    let [summary] = listed(&mirror, &image.digest()).await[..] else { panic!("one summary") };
    let content = bundle(&mirror, &summary).await;
    let text = String::from_utf8(content).unwrap();
    let envelope: Value = serde_json::from_str(&text).unwrap();
    let payload = envelope["dsseEnvelope"]["payload"].as_str().unwrap();
    let statement: Value =
        serde_json::from_slice(&BASE64_STANDARD.decode(payload).unwrap()).unwrap();
    let approval = &statement["predicate"]["https://pratique.dev/approval"];
    assert!(approval["by"].is_string() && approval["at"].is_string(), "{approval}");
    mirror.mirror().ledger().revoke(decision(&mirror, &image.digest())).await.unwrap();
    assert!(listed(&mirror, &image.digest()).await.is_empty());
    let gone = mirror.manifest(REPOSITORY, &summary).await;
    assert_ne!(gone.status, 200);
}

#[tokio::test]
async fn a_new_key_signs_from_then_on() {
    let mirror = TestMirror::start(RULES).await;
    let image = Image::new().layer("content").build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    let [before] = listed(&mirror, &image.digest()).await[..] else { panic!("one summary") };
    let old = key(&mirror);
    mirror.mirror().keyring().rotate().unwrap();
    let [after] = listed(&mirror, &image.digest()).await[..] else { panic!("one summary") };
    assert_ne!(before, after);
    let content = bundle(&mirror, &after).await;
    let verified = |key: Key| {
        let form = AttestationForm::Bundle;
        Wanted::key(key).verify_attestation(&content, &form, &image.digest(), NOW).is_ok()
    };
    assert!(verified(key(&mirror)) && !verified(old));
}

#[tokio::test]
async fn what_is_served_because_nothing_is_enforced_has_none_once_it_is_revoked() {
    let mirror = TestMirror::start(
        r#"- {id: watched, match: ["up.test/lib/**"], trust: allow, mode: audit}"#,
    )
    .await;
    let image = Image::new().layer("content").build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    let mut listed_now = listed(&mirror, &image.digest()).await;
    while listed_now.is_empty() {
        // It is judged beside the pull.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        listed_now = listed(&mirror, &image.digest()).await;
    }
    let [summary] = listed_now[..] else { panic!("one summary") };
    assert_eq!(mirror.manifest(REPOSITORY, &summary).await.status, 200);
    mirror.mirror().ledger().revoke(decision(&mirror, &image.digest())).await.unwrap();
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    assert_ne!(mirror.manifest(REPOSITORY, &summary).await.status, 200);
}

#[tokio::test]
async fn a_signing_key_that_cannot_be_used_costs_the_summaries_and_nothing_else() {
    let mirror = TestMirror::start(RULES).await;
    let image = Image::new().layer("content").build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    let damage =
        |data: &std::path::Path| std::fs::write(data.join("signing-key.pem"), "x").unwrap();
    let mirror = mirror.restart_after(damage).await;
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    assert!(listed(&mirror, &image.digest()).await.is_empty());
    let error = mirror.mirror().keyring().current().unwrap_err().to_string();
    assert!(error.contains("signing-key.pem is not an RSA private key"), "{error}");
}
