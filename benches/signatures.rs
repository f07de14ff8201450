//! What one signature costs: by key, by certificate and log, in each form. Nothing is read from disk or network.
//!
//! Everything here happens once per image, when it is judged; a warm pull looks at no signature.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be prepared has to end")]

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use pratique::oci::{Digest, Name};
use pratique::signature::{
    FoundSignature, Identity, Key, Material, Signer, SubjectKind, TrustRoot, Wanted,
};
use pratique::time::Timestamp;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../tests/fixtures/signatures/", $name))
    };
}

const KEYED_IMAGE: &str = "sha256:73b0af51dc1448ea133e073f51ac117df2026c9b5b7043ebe8c04f126710cfff";
const KEYLESS_IMAGE: &str =
    "sha256:bf5c4ecb7abeae800cd612409315078c2e88747e1506be9bfb665e8dda3f7f7d";

/// Signatures by keys and by Sigstore's certificates do not end.
const NOW: Timestamp = Timestamp::from_milliseconds(0);

fn stored(json: &str) -> FoundSignature {
    serde_json::from_str(json).expect("a signature as evidence keeps it")
}

fn bundled(json: &str) -> FoundSignature {
    let material = Material::Bundle { json: json.to_owned() };
    FoundSignature { source: Digest::sha256(json.as_bytes()), material }
}

fn by_key(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("signature by key");
    let (name, image): (Name, Digest) =
        ("up.test/signed/web".parse().expect("a name"), KEYED_IMAGE.parse().expect("a digest"));
    for (what, pem, json) in [
        ("simple, P-256", fixture!("p256.pub"), fixture!("cosign-2.5-p256.json")),
        ("simple, P-384", fixture!("p384.pub"), fixture!("cosign-2.5-p384.json")),
        ("simple, RSA 3072", fixture!("rsa3072.pub"), fixture!("cosign-2.5-rsa3072.json")),
        ("simple, Ed25519", fixture!("ed25519.pub"), fixture!("cosign-2.5-ed25519.json")),
        ("bundle, P-256", fixture!("p256.pub"), fixture!("cosign-3.1-p256.json")),
    ] {
        let signer = Signer::key(Key::from_pem(pem).expect("a key"));
        let found = stored(json);
        group.bench_function(what, |bencher| {
            bencher
                .iter(|| signer.verify(black_box(&found), &name, &image, NOW).expect("it is good"));
        });
    }
    group.finish();
}

fn by_identity(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("signature by identity");
    let root = fixture!("keyless/trusted-root.json");
    group.bench_function("read a trust root", |bencher| {
        bencher.iter(|| TrustRoot::from_json(black_box(root)).expect("a root"));
    });
    let exact = |text: &str| Wanted::Exact(text.to_owned());
    let identity = Identity {
        issuer: exact("https://issuer.test"),
        subject: exact("https://ci.test/acme/app/release.yml@refs/tags/v1"),
        kind: SubjectKind::Uri,
    };
    let signer = Signer::keyless(TrustRoot::from_json(root).expect("a root"), identity);
    let (name, image): (Name, Digest) =
        ("up.test/lib/app".parse().expect("a name"), KEYLESS_IMAGE.parse().expect("a digest"));
    for (what, found) in [
        ("simple, Rekor 1, timestamp", stored(fixture!("keyless/simple.json"))),
        ("bundle, Rekor 1", bundled(fixture!("keyless/bundle-rekor1.json"))),
        ("bundle, Rekor 1, timestamp", bundled(fixture!("keyless/bundle-rekor1-tsa.json"))),
        ("bundle, Rekor 2, timestamp", bundled(fixture!("keyless/bundle-rekor2-tsa.json"))),
    ] {
        group.bench_function(what, |bencher| {
            bencher
                .iter(|| signer.verify(black_box(&found), &name, &image, NOW).expect("it is good"));
        });
    }
    group.finish();
}

fn main() {
    let criterion = Criterion::default().warm_up_time(Duration::from_millis(300));
    let mut criterion = criterion.measurement_time(Duration::from_secs(1)).configure_from_args();
    by_key(&mut criterion);
    by_identity(&mut criterion);
    criterion.final_summary();
}
