use serde_json::{Value, json};

use super::registry::{Registry, Rig, digest_of, failed, found, image_of, index_of, subject_of};
use crate::evidence::{Collected, Limits};
use crate::gate::{Evidence, EvidenceKind, Gathered, GrantKind, SignatureSearch, Subject};
use crate::oci::{Descriptor, MediaType};
use crate::signature::{
    BUNDLE_MEDIA_TYPES, Form, FoundSignature, PAYLOAD_MEDIA_TYPE, SIGNATURE_ANNOTATION,
};

const BUNDLE: &str = BUNDLE_MEDIA_TYPES[0];

/// A registry with an image and nothing beside it.
fn registry() -> (Registry, Subject) {
    let mut registry = Registry::default();
    let image = registry.image("linux/amd64");
    (registry, subject_of(&image))
}

async fn gather(registry: &Registry, subject: &Subject) -> Collected {
    Rig::new(registry.clone()).await.collect(subject, EvidenceKind::Signatures).await
}

async fn search(registry: &Registry, subject: &Subject) -> SignatureSearch {
    found(&gather(registry, subject).await.evidence.signatures)
}

/// A bundle whose statement says `predicate_type`; nobody verifies it here.
fn bundle(predicate_type: &str) -> Vec<u8> {
    use base64::Engine as _;
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [],
        "predicateType": predicate_type,
    });
    let payload = base64::engine::general_purpose::STANDARD.encode(statement.to_string());
    let bundle = json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": ""}},
        "dsseEnvelope": {
            "payload": payload,
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": "AAAA"}],
        },
    });
    bundle.to_string().into_bytes()
}

fn signature() -> Vec<u8> {
    bundle("https://sigstore.dev/cosign/sign/v1")
}

/// Puts simple-signing layers with these payloads under the `.sig` tag.
pub(super) fn sign_by_tag(registry: &mut Registry, subject: &Subject, payloads: &[&[u8]]) -> Value {
    let config = registry.described(MediaType::OCI_CONFIG, b"{\"x\":1}");
    let layer = |payload: &&[u8]| {
        let mut layer = registry.described(PAYLOAD_MEDIA_TYPE, payload);
        layer["annotations"] = json!({SIGNATURE_ANNOTATION: "AAAA"});
        layer
    };
    let layers: Vec<_> = payloads.iter().map(layer).collect();
    let manifest = registry.manifest(&image_of(&config, &layers));
    registry.tag(&format!("sha256-{}.sig", subject.digest.hex()), &manifest);
    manifest
}

fn list_by_api(registry: &mut Registry, listed: &[Value]) {
    registry.referrers = Some(serde_json::from_value::<Vec<Descriptor>>(json!(listed)).unwrap());
}

fn list_by_tag(registry: &mut Registry, subject: &Subject, listed: &[Value]) -> Value {
    let index = registry.manifest(&index_of(listed));
    registry.tag(&format!("sha256-{}", subject.digest.hex()), &index);
    index
}

#[tokio::test]
async fn nothing_anywhere_is_found_to_be_nothing() {
    let (registry, subject) = registry();
    let search = search(&registry, &subject).await;
    assert!(search.found.is_empty() && search.skipped.is_empty() && search.incomplete.is_none());
    assert_eq!(search.looked_for.len(), 4, "{:?}", search.looked_for);
}

#[tokio::test]
async fn every_place_is_searched() {
    let (mut registry, subject) = registry();
    let by_tag = sign_by_tag(&mut registry, &subject, &[b"one", b"two"]);
    let api = registry.referrer(&subject.digest, BUNDLE, &signature());
    let other = [signature(), b" ".to_vec()].concat();
    let fallback = registry.referrer(&subject.digest, BUNDLE, &other);
    list_by_api(&mut registry, std::slice::from_ref(&api));
    let index = list_by_tag(&mut registry, &subject, &[api.clone(), fallback.clone()]);
    let rig = Rig::new(registry).await;
    let collected = rig.collect(&subject, EvidenceKind::Signatures).await;
    let search = found(&collected.evidence.signatures);
    let forms: Vec<_> = search.found.iter().map(FoundSignature::form).collect();
    assert_eq!(forms, [Form::SimpleSigning, Form::SimpleSigning, Form::Bundle, Form::Bundle]);
    assert_eq!(search.found[0].source, digest_of(&by_tag));
    assert_eq!(search.referrers.len(), 2);
    assert!(search.referrers.iter().all(|r| r.artifact_type.as_deref() == Some(BUNDLE)));
    let tags: Vec<_> = search.tags.iter().map(|tag| (tag.tag.to_string(), tag.digest)).collect();
    let hex = subject.digest.hex();
    assert_eq!(tags[0], (format!("sha256-{hex}.sig"), digest_of(&by_tag)));
    assert_eq!(tags[1], (format!("sha256-{hex}"), digest_of(&index)));
    assert_eq!(search.skipped, [""; 0]);
    for wanted in [&by_tag, &api, &fallback, &index] {
        let granted = collected.grants.iter().find(|grant| grant.digest == digest_of(wanted));
        assert_eq!(granted.unwrap().kind, GrantKind::Referrer);
        assert_eq!(json!(granted.unwrap().size), wanted["size"]);
    }
    for grant in &collected.grants {
        let once = collected.grants.iter().filter(|other| other.digest == grant.digest).count();
        assert_eq!(once, 1, "{grant:?}");
    }
    assert_eq!(collected.gathered, [EvidenceKind::Signatures]);
}

#[tokio::test]
async fn types_in_a_list_of_referrers_are_not_believed() {
    let (mut registry, subject) = registry();
    let mut lied = registry.referrer(&subject.digest, BUNDLE, &signature());
    lied["artifactType"] = json!("application/vnd.oci.empty.v1+json");
    lied["urls"] = json!(["http://169.254.169.254/"]);
    lied["platform"] = json!({"os": "linux", "architecture": "amd64"});
    lied["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    list_by_tag(&mut registry, &subject, &[lied]);
    let search = search(&registry, &subject).await;
    assert_eq!(search.found.len(), 1);
    let listed = &search.referrers[0];
    assert_eq!(listed.artifact_type.as_deref(), Some(BUNDLE));
    assert!(listed.urls.is_empty() && listed.platform.is_none(), "{listed:?}");
    assert!(listed.annotations.is_empty(), "{listed:?}");
}

#[tokio::test]
async fn a_bundle_is_found_under_the_type_of_every_version() {
    for spelling in BUNDLE_MEDIA_TYPES {
        let spaced = spelling.replace(';', "; ");
        let essence = spelling.split(';').next().unwrap();
        for spelling in [spelling, &spaced, essence] {
            let (mut registry, subject) = registry();
            let listed = registry.referrer(&subject.digest, spelling, &signature());
            list_by_tag(&mut registry, &subject, &[listed]);
            let search = search(&registry, &subject).await;
            let forms: Vec<Form> = search.found.iter().map(FoundSignature::form).collect();
            assert_eq!(forms, [Form::Bundle], "{spelling}");
        }
    }
    let (mut registry, subject) = registry();
    let newer = "application/vnd.dev.sigstore.bundle.v0.4+json";
    let listed = registry.referrer(&subject.digest, newer, &signature());
    list_by_tag(&mut registry, &subject, &[listed]);
    assert_eq!(search(&registry, &subject).await.found, []);
}

#[tokio::test]
async fn a_referrer_of_something_else_is_not_served_on() {
    let (mut registry, subject) = registry();
    let other = registry.referrer(&crate::oci::Digest::sha256(b"other"), BUNDLE, &signature());
    let image = registry.image("linux/arm64");
    let index = registry.manifest(&index_of(&[]));
    list_by_api(&mut registry, &[other, image, index]);
    let collected = gather(&registry, &subject).await;
    let search = found(&collected.evidence.signatures);
    assert!(search.found.is_empty() && search.referrers.is_empty() && collected.grants.is_empty());
    assert_eq!(search.skipped.len(), 3);
    assert_eq!(search.incomplete, None);
}

#[tokio::test]
async fn an_attestation_is_served_on_and_is_no_signature() {
    let (mut registry, subject) = registry();
    let slsa = bundle("https://slsa.dev/provenance/v1");
    let attestation = registry.referrer(&subject.digest, BUNDLE, &slsa);
    list_by_api(&mut registry, &[attestation]);
    let config = registry.described(MediaType::OCI_CONFIG, b"{}");
    let layer = registry.described("application/vnd.dsse.envelope.v1+json", b"{}");
    let attached = registry.manifest(&image_of(&config, &[layer]));
    registry.tag(&format!("sha256-{}.att", subject.digest.hex()), &attached);
    let collected = gather(&registry, &subject).await;
    let search = found(&collected.evidence.signatures);
    assert!(search.found.is_empty() && search.skipped.is_empty());
    assert_eq!(search.attestations.len(), 2);
    assert_eq!((search.referrers.len(), search.tags.len()), (1, 1));
    assert!(collected.grants.iter().any(|grant| grant.digest == digest_of(&attached)));
}

#[tokio::test]
async fn a_bad_entry_hides_no_good_one() {
    let (mut registry, subject) = registry();
    let digest = subject.digest;
    let not_json = registry.referrer(&digest, BUNDLE, b"not json");
    let not_text = registry.referrer(&digest, BUNDLE, b"\xff\xfe");
    let large = registry.referrer(&digest, BUNDLE, &vec![b' '; 300 * 1024]);
    let mut gone = registry.referrer(&digest, BUNDLE, b"gone");
    registry.content.remove(&digest_of(&gone));
    gone["annotations"] = json!({"a": "b"});
    let mut resized = registry.referrer(&digest, BUNDLE, b"resized");
    resized["size"] = json!(3);
    let garbage = registry.described(MediaType::OCI_MANIFEST, b"{}");
    let good = registry.referrer(&digest, BUNDLE, &signature());
    let all = [not_json, not_text, large, gone, resized, garbage, good];
    list_by_api(&mut registry, &all);
    let broken = registry.described(MediaType::OCI_INDEX, b"[]");
    registry.tag(&format!("sha256-{}.sig", digest.hex()), &broken);
    let search = search(&registry, &subject).await;
    assert_eq!(search.found.len(), 1);
    // What is too large for a signature may be an attestation still.
    assert_eq!(search.attestations.len(), 1);
    assert_eq!(search.skipped.len(), 6, "{:#?}", search.skipped);
    assert_eq!(search.incomplete, None);
}

#[tokio::test]
async fn what_cannot_be_fetched_is_never_taken_for_absent() {
    let (mut registry, subject) = registry();
    let manifest = sign_by_tag(&mut registry, &subject, &[b"one"]);
    let hex = subject.digest.hex();
    let payload = crate::oci::Digest::sha256(b"one").to_string();
    for what in [format!("sha256-{hex}.sig"), payload] {
        let mut failing = registry.clone();
        failing.failing.insert(what);
        let collected = gather(&failing, &subject).await;
        assert!(failed(&collected.evidence.signatures));
        assert!(collected.grants.is_empty() && collected.gathered.is_empty());
    }
    for what in [format!("sha256-{hex}"), format!("sha256-{hex}.att"), "referrers".to_owned()] {
        let mut failing = registry.clone();
        failing.failing.insert(what.clone());
        let search = search(&failing, &subject).await;
        assert_eq!(search.found.len(), 1, "{what}: what was found may count");
        assert!(search.incomplete.unwrap().contains(&what));
        failing.tags.clear();
        assert!(failed(&gather(&failing, &subject).await.evidence.signatures), "{what}");
    }
    let mut lying = registry.clone();
    lying.content.insert(crate::oci::Digest::sha256(b"one"), "two".into());
    assert!(failed(&gather(&lying, &subject).await.evidence.signatures), "other bytes");
    // An entry that stays unreadable keeps the others from nothing.
    let other = registry.referrer(&subject.digest, BUNDLE, &signature());
    list_by_api(&mut registry, std::slice::from_ref(&other));
    registry.failing.insert(digest_of(&other).to_string());
    let search = search(&registry, &subject).await;
    assert_eq!((search.found.len(), search.found[0].source), (1, digest_of(&manifest)));
    assert!(search.incomplete.is_some());
}

#[tokio::test]
async fn signatures_found_before_survive_a_failure() {
    let (mut registry, subject) = registry();
    sign_by_tag(&mut registry, &subject, &[b"one"]);
    let known = gather(&registry, &subject).await.evidence;
    let mut failing = registry.clone();
    failing.tags.clear();
    failing.failing.insert("referrers".to_owned());
    let rig = Rig::new(failing).await;
    let kinds = [EvidenceKind::Signatures];
    let after = rig.gatherer.collect(&subject, &kinds, known.clone()).await;
    assert_eq!(after.evidence.signatures, known.signatures);
    assert!(after.gathered.is_empty());
    let nothing =
        Evidence { signatures: Gathered::Found(SignatureSearch::default()), ..Evidence::default() };
    let after = rig.gatherer.collect(&subject, &kinds, nothing).await;
    assert!(failed(&after.evidence.signatures), "that nothing was there is not known any more");
}

#[tokio::test]
async fn how_much_is_looked_at_is_bounded() {
    let (mut registry, subject) = registry();
    let mut listed: Vec<_> =
        (0..100_u8).map(|n| registry.referrer(&subject.digest, "text/plain", &[n])).collect();
    let mut signed = registry.referrer(&subject.digest, BUNDLE, &signature());
    signed["annotations"] = json!({
        "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"
    });
    listed.push(signed);
    list_by_api(&mut registry, &listed);
    let found = search(&registry, &subject).await;
    assert_eq!(found.referrers.len(), Limits::default().referrers);
    assert_eq!(found.found.len(), 1, "likely signatures are looked at first");
    assert!(found.skipped.iter().any(|why| why.contains("37 more")), "{:?}", found.skipped);
    let payloads: Vec<_> = (0..100_u8).map(|n| [n]).collect();
    let payloads: Vec<&[u8]> = payloads.iter().map(|payload| &payload[..]).collect();
    sign_by_tag(&mut registry, &subject, &payloads);
    registry.asked.lock().unwrap().clear();
    let found = search(&registry, &subject).await;
    assert_eq!(found.found.len(), Limits::default().referrers);
    assert!(registry.asked.lock().unwrap().len() <= 140);
    let notes: Vec<_> = (0..200_u8)
        .map(|n| registry.described(MediaType::OCI_MANIFEST, &[b'{', n, b'}']))
        .collect();
    list_by_api(&mut registry, &notes);
    let limits = Limits { referrers: 1_000, ..Limits::default() };
    let rig = Rig::limited(registry, limits).await;
    let collected = rig.collect(&subject, EvidenceKind::Signatures).await;
    let found = super::registry::found(&collected.evidence.signatures);
    assert!(found.skipped.len() <= 65, "{}", found.skipped.len());
}

#[tokio::test]
async fn large_attachments_are_not_served_on() {
    let (mut registry, subject) = registry();
    let sbom = registry.referrer(&subject.digest, "application/spdx+json", &[b' '; 2_000]);
    list_by_api(&mut registry, &[sbom]);
    let limits = Limits { attachment_bytes: 1_000, ..Limits::default() };
    let rig = Rig::limited(registry, limits).await;
    let collected = rig.collect(&subject, EvidenceKind::Signatures).await;
    let layer = crate::oci::Digest::sha256(&[b' '; 2_000]);
    assert!(collected.grants.iter().all(|grant| grant.digest != layer));
    assert_eq!(found(&collected.evidence.signatures).skipped.len(), 1);
}
