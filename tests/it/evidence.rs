//! Evidence as it is gathered over the wire.

use std::sync::Arc;

use pratique::evidence::{Collected, Collector, Limits};
use pratique::gate::{Evidence, EvidenceKind, Gathered, GrantKind, SignatureSearch, Subject};
use pratique::metrics::Metrics;
use pratique::oci::Digest;
use pratique::signature::{Form, FoundSignature, Key, verify};
use pratique::store::{Settings, Store};
use pratique::tasks::Tasks;
use pratique::time::SystemClock;

use crate::support::client::{REPOSITORY, TestClient, name};
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, FakeUpstream, Fault, Image, Index};

const BOTH: [EvidenceKind; 2] = [EvidenceKind::Manifest, EvidenceKind::Signatures];

struct Rig {
    upstream: FakeUpstream,
    collector: Collector,
    _dir: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Self {
        let upstream = FakeUpstream::start().await;
        let client = TestClient::of(&upstream).build();
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { dir: dir.path().to_owned(), ..Settings::default() };
        let clock = Arc::new(SystemClock);
        let metrics = Arc::new(Metrics::default());
        let store = Store::open(settings, clock.clone(), Tasks::new(), metrics).await.unwrap();
        let collector = Collector::new(client, store, clock, Limits::default());
        Self { upstream, collector, _dir: dir }
    }

    fn push(&self, image: &Artifact) -> Subject {
        let digest = self.upstream.push(REPOSITORY, "1", image);
        Subject { name: name(), digest }
    }

    async fn collect(&self, subject: &Subject) -> Collected {
        Box::pin(self.collector.collect(subject, &BOTH, Evidence::default())).await
    }

    async fn search(&self, subject: &Subject) -> SignatureSearch {
        let signatures = self.collect(subject).await.evidence.signatures;
        signatures.found().unwrap_or_else(|| panic!("{signatures:?}")).clone()
    }
}

fn image() -> Artifact {
    Image::new().layer("layer").build()
}

fn valid(search: &SignatureSearch, signer: &Signer, subject: &Subject) -> Vec<Form> {
    let key = Key::from_pem(&signer.public_pem()).unwrap();
    let good =
        |found: &&FoundSignature| verify(found, &key, &subject.name, &subject.digest).is_ok();
    search.found.iter().filter(good).map(FoundSignature::form).collect()
}

#[tokio::test]
async fn signatures_are_found_wherever_cosign_puts_them() {
    let signer = Signer::generate();
    let text = name().to_string();
    for api in [false, true] {
        let rig = Rig::new().await;
        let image = image();
        let subject = rig.push(&image);
        rig.upstream.set_referrers_api(api);
        assert!(rig.search(&subject).await.found.is_empty());
        let simple = signer.simple_signing(&text, &subject.digest);
        rig.upstream.attach_by_sig_tag(REPOSITORY, &subject.digest, &simple);
        let search = rig.search(&subject).await;
        assert_eq!(valid(&search, &signer, &subject), [Form::SimpleSigning]);
        let bundle = signer.bundle(&image);
        if api {
            rig.upstream.attach_referrer(REPOSITORY, &subject.digest, &bundle);
        } else {
            rig.upstream.attach_by_fallback_tag(REPOSITORY, &subject.digest, &bundle);
        }
        let collected = rig.collect(&subject).await;
        let Gathered::Found(search) = &collected.evidence.signatures else { panic!("not found") };
        assert_eq!(valid(search, &signer, &subject), [Form::SimpleSigning, Form::Bundle]);
        assert!(valid(search, &Signer::generate(), &subject).is_empty());
        assert_eq!(search.referrers.len(), 1);
        assert_eq!(search.tags.len(), if api { 1 } else { 2 });
        for digest in [simple.digest(), simple.layer(0), bundle.digest(), bundle.layer(0)] {
            let granted = collected.grants.iter().find(|grant| grant.digest == digest);
            assert_eq!(granted.unwrap().kind, GrantKind::Referrer);
        }
    }
}

#[tokio::test]
async fn an_upstream_that_fails_leaves_nothing_absent() {
    let signer = Signer::generate();
    for status in [401, 403, 429, 500, 503] {
        let rig = Rig::new().await;
        let subject = rig.push(&image());
        let simple = signer.simple_signing("up.test/lib/app", &subject.digest);
        rig.upstream.attach_by_sig_tag(REPOSITORY, &subject.digest, &simple);
        rig.upstream.fault(".sig", Fault::Status(status));
        let collected = rig.collect(&subject).await;
        let signatures = &collected.evidence.signatures;
        assert!(matches!(signatures, Gathered::Failed(_)), "{status} {signatures:?}");
        assert!(matches!(collected.evidence.manifest, Gathered::Found(_)), "{status}");
        let never_shown = rig.push(&Image::new().layer("another").build());
        rig.upstream.fault("/manifests/", Fault::Status(status));
        let collected = rig.collect(&never_shown).await;
        assert!(matches!(collected.evidence.manifest, Gathered::Failed(_)), "{status}");
        assert!(collected.grants.is_empty());
    }
}

#[tokio::test]
async fn other_bytes_than_the_digest_asked_for_are_no_evidence() {
    let rig = Rig::new().await;
    let subject = rig.push(&image());
    let needle = format!("/manifests/{}", subject.digest);
    rig.upstream.fault(&needle, Fault::Body(Image::new().build().manifest));
    let collected = rig.collect(&subject).await;
    assert!(matches!(collected.evidence.manifest, Gathered::Failed(_)));
    rig.upstream.heal();
    let absent = Subject { name: name(), digest: Digest::sha256(b"absent") };
    assert_eq!(rig.collect(&absent).await.evidence.manifest, Gathered::Absent);
}

#[tokio::test]
async fn an_index_is_gathered_with_all_below_it() {
    let rig = Rig::new().await;
    let index = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
    let subject = rig.push(&index);
    let collected = rig.collect(&subject).await;
    let Gathered::Found(facts) = &collected.evidence.manifest else { panic!("not found") };
    let platforms: Vec<_> = facts.platforms.iter().map(ToString::to_string).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    for child in &index.children {
        for digest in [child.digest(), child.config(), child.layer(0)] {
            assert!(collected.grants.iter().any(|grant| grant.digest == digest));
        }
        assert_eq!(rig.upstream.count(&format!("/blobs/{}", child.layer(0))), 0, "layers stay");
    }
}
