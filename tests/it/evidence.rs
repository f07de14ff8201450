//! Evidence as it is gathered over the wire.

use std::sync::Arc;
use std::time::Duration;

use pratique::evidence::{Collected, Collector, Limits};
use pratique::gate::{Evidence, EvidenceKind, Gathered, GrantKind, SignatureSearch, Subject};
use pratique::metrics::Metrics;
use pratique::oci::Digest;
use pratique::signature::{Form, FoundSignature, Key, verify};
use pratique::store::{Settings, Store};
use pratique::tasks::Tasks;
use pratique::time::{ManualClock, Timestamp};

use crate::support::client::{REPOSITORY, TestClient, name};
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, FakeUpstream, Fault, Image, Index};

/// How long an absence is believed.
const MINUTE: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);
const BOTH: [EvidenceKind; 2] = [EvidenceKind::Manifest, EvidenceKind::Signatures];

struct Rig {
    upstream: FakeUpstream,
    collector: Collector,
    clock: ManualClock,
    _dir: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Self {
        let upstream = FakeUpstream::start().await;
        let client = TestClient::of(&upstream).build();
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { dir: dir.path().to_owned(), ..Settings::default() };
        let clock = ManualClock::at(Timestamp::from_milliseconds(1_000_000));
        let time = Arc::new(clock.clone());
        let metrics = Arc::new(Metrics::default());
        let store = Store::open(settings, time.clone(), Tasks::new(), metrics).await.unwrap();
        let collector = Collector::new(client, store, time, Limits::default());
        Self { upstream, collector, clock, _dir: dir }
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
        rig.clock.advance(MINUTE);
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
        rig.clock.advance(MINUTE);
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

impl Rig {
    /// How often tags that attach something to `subject` were asked for, and the API about it.
    fn asked(&self, subject: &Subject) -> (usize, usize) {
        let tags = self.upstream.count(&format!("/manifests/sha256-{}", subject.digest.hex()));
        (tags, self.upstream.count(&format!("/referrers/{}", subject.digest)))
    }
}

#[tokio::test]
async fn what_upstream_does_not_have_is_not_asked_for_again_within_a_minute() {
    let signer = Signer::generate();
    for api in [false, true] {
        let rig = Rig::new().await;
        rig.upstream.set_referrers_api(api);
        let image = image();
        let subject = rig.push(&image);
        let first = rig.collect(&subject).await.evidence;
        assert_eq!(rig.asked(&subject), (4, 1));
        assert!(
            rig.upstream.requests_of("/manifests/sha256-").iter().all(|it| it.method == "HEAD")
        );
        rig.upstream.attach_referrer(REPOSITORY, &subject.digest, &signer.bundle(&image));
        let simple = signer.simple_signing(&name().to_string(), &subject.digest);
        rig.upstream.attach_by_sig_tag(REPOSITORY, &subject.digest, &simple);
        rig.clock.advance(SECOND * 59);
        let again = rig.collect(&subject).await.evidence;
        assert_eq!((rig.asked(&subject), &again.signatures), ((4, 1), &first.signatures));
        // It is as old as what it rests on, so that nobody takes it for a new look.
        assert_eq!(again.gathered_at, first.gathered_at);
        rig.clock.advance(SECOND);
        let search = rig.search(&subject).await;
        assert_eq!(search.found.len(), if api { 2 } else { 1 });
        // Four by HEAD, and one of them by GET.
        assert_eq!(rig.asked(&subject), (9, 2));
    }
}

#[tokio::test]
async fn a_repository_without_referrers_api_is_not_asked_for_each_image() {
    let rig = Rig::new().await;
    let [one, two] = ["one", "two"].map(|layer| rig.push(&Image::new().layer(layer).build()));
    let offered = |search: SignatureSearch| {
        search.looked_for.iter().any(|place| place == "referrers API (not offered)")
    };
    assert!(offered(rig.search(&one).await) && offered(rig.search(&two).await));
    assert_eq!((rig.asked(&one), rig.asked(&two)), ((4, 1), (4, 0)));
    rig.clock.advance(MINUTE);
    rig.search(&two).await;
    assert_eq!(rig.asked(&two), (8, 1));
    // Where there is one, it is asked about each.
    let rig = Rig::new().await;
    rig.upstream.set_referrers_api(true);
    let [one, two] = ["one", "two"].map(|layer| rig.push(&Image::new().layer(layer).build()));
    assert!(!offered(rig.search(&one).await) && !offered(rig.search(&two).await));
    assert_eq!((rig.asked(&one), rig.asked(&two)), ((4, 1), (4, 1)));
}

#[tokio::test]
async fn a_failure_is_asked_again_and_only_what_failed() {
    let rig = Rig::new().await;
    let subject = rig.push(&image());
    for failing in [".att", "/referrers/"] {
        rig.clock.advance(MINUTE);
        rig.upstream.fault(failing, Fault::Status(500));
        assert!(matches!(rig.collect(&subject).await.evidence.signatures, Gathered::Failed(_)));
        rig.upstream.heal();
        rig.upstream.clear_requests();
        rig.search(&subject).await;
        let by_tag = failing == ".att";
        assert_eq!(rig.asked(&subject), if by_tag { (1, 0) } else { (0, 1) }, "{failing}");
    }
}

#[tokio::test]
async fn only_what_upstream_has_shown_tells_whether_there_is_a_referrers_api() {
    let rig = Rig::new().await;
    let image = image();
    let subject = rig.push(&image);
    let absent = Subject { name: name(), digest: Digest::sha256(b"absent") };
    let kinds = [EvidenceKind::Signatures];
    Box::pin(rig.collector.collect(&absent, &kinds, Evidence::default())).await;
    assert_eq!(rig.asked(&absent), (4, 1));
    rig.upstream.set_referrers_api(true);
    let bundle = Signer::generate().bundle(&image);
    rig.upstream.attach_referrer(REPOSITORY, &subject.digest, &bundle);
    assert_eq!(rig.search(&subject).await.found.len(), 1);
    // Nothing hangs on what is attached to something that is not there.
    let other = Subject { name: name(), digest: Digest::sha256(b"other") };
    assert_eq!(rig.collect(&other).await.evidence.manifest, Gathered::Absent);
    assert_eq!(rig.asked(&other), (0, 0));
}

#[tokio::test]
async fn what_is_believed_to_be_absent_delays_no_signature_beyond_a_minute() {
    let signer = Signer::generate();
    let policy = format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{}rules:\n- {{id: signed, match: [\"up.test/**\"], trust: allow, signatures: {{atLeast: 1, of: [team]}}}}\n",
        signer.policy_pem()
    );
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    let digest = mirror.upstream.push("lib/app", "1", &image());
    mirror.upstream.fault(".att", Fault::Status(500));
    assert_eq!(mirror.manifest("lib/app", digest).await.status, 503);
    mirror.upstream.heal();
    mirror.clock.advance(MINUTE / 2);
    mirror.pull("lib/app", digest).await.assert_refused("Denied by rule signed");
    assert_eq!(mirror.upstream.count(".sig"), 1);
    let signature = signer.simple_signing("up.test/lib/app", &digest);
    mirror.upstream.attach_by_sig_tag("lib/app", &digest, &signature);
    mirror.clock.advance(MINUTE / 2);
    mirror.pull("lib/app", digest).await.assert_complete();
}
