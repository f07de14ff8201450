//! Images signed by identities: certificates, logs and timestamps, without a network.

use pratique::signature::{FoundSignature, Material, SimpleSigningProof};

use crate::support::mirror::TestMirror;
use crate::support::upstream::{Artifact, Image};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/signatures/keyless/", $name, ".json"))
    };
}

const REPOSITORY: &str = "lib/app";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SUBJECT: &str = "subject: \"https://ci.test/acme/app/release.yml@refs/tags/v1\"";

fn image() -> Artifact {
    Artifact::existing(
        include_bytes!("../fixtures/signatures/keyless/image-manifest.json"),
        &[
            include_bytes!("../fixtures/signatures/keyless/image-config.json"),
            include_bytes!("../fixtures/signatures/keyless/image-layer.tar"),
        ],
    )
}

fn bundle(json: &str) -> Artifact {
    Image::artifact(BUNDLE).layer_of(BUNDLE, json.to_owned(), &[]).subject(&image()).build()
}

fn simple(json: &str) -> Artifact {
    use base64::Engine as _;
    let found: FoundSignature = serde_json::from_str(json).unwrap();
    let Material::SimpleSigning { payload, signature, proof } = found.material else {
        panic!("a bundle")
    };
    let payload = base64::prelude::BASE64_STANDARD.decode(payload).unwrap();
    let SimpleSigningProof { certificate, bundle, timestamp, .. } = proof;
    let text = Option::unwrap_or_default;
    let annotations = [
        ("dev.cosignproject.cosign/signature", signature),
        ("dev.sigstore.cosign/certificate", text(certificate)),
        ("dev.sigstore.cosign/bundle", text(bundle)),
        ("dev.sigstore.cosign/rfc3161timestamp", text(timestamp)),
    ];
    let annotations: Vec<_> =
        annotations.iter().map(|(key, value)| (*key, value.as_str())).collect();
    Image::new().layer_of(SIMPLE_SIGNING, payload, &annotations).build()
}

/// A mirror that serves what `identity` signed under the trust root `root`.
async fn mirror(root: &str, identity: &str) -> TestMirror {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trusted_root.json");
    std::fs::write(&file, root).unwrap();
    let policy = format!(
        "trustRoots: {{corp: {{sigstore: {{trustedRoot: \"file:{}\"}}}}}}\n\
         signers: {{ci: {{keyless: {{root: corp, issuer: \"https://issuer.test\", {identity}}}}}}}\n\
         rules: [{{id: signed, match: [\"up.test/lib/*\"], trust: allow, \
         signatures: {{atLeast: 1, of: [ci]}}}}]\n",
        file.display()
    );
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    mirror.upstream.push(REPOSITORY, "1", &image());
    mirror
}

#[tokio::test]
async fn an_image_signed_by_the_named_identity_is_served_in_every_form() {
    for json in [
        fixture!("bundle-rekor1"),
        fixture!("bundle-rekor1-tsa"),
        fixture!("bundle-rekor2-tsa"),
        fixture!("bundle-intoto-rekor1"),
    ] {
        let mirror = mirror(fixture!("trusted-root"), SUBJECT).await;
        mirror.upstream.attach_by_fallback_tag(REPOSITORY, &image().digest(), &bundle(json));
        mirror.pull(REPOSITORY, "1").await.assert_complete();
    }
    let by_pattern = r"subjectRegexp: 'https://ci\.test/acme/app/release\.yml@refs/tags/v[0-9]+'";
    let mirror = mirror(fixture!("trusted-root"), by_pattern).await;
    let signature = simple(fixture!("simple"));
    mirror.upstream.attach_by_sig_tag(REPOSITORY, &image().digest(), &signature);
    mirror.pull(REPOSITORY, "1").await.assert_complete();
}

#[tokio::test]
async fn what_others_signed_or_nobody_can_prove_is_refused_with_who_and_why() {
    let (root, other) = (fixture!("trusted-root"), fixture!("other-root"));
    let good = fixture!("bundle-rekor1");
    for (root, json, why) in [
        (root, fixture!("stranger"), "signed by https://ci.test/evil/app/release.yml"),
        (root, fixture!("no-log"), "no transparency log entry"),
        (root, fixture!("no-time"), "nothing proves when it was signed"),
        (root, fixture!("other-image"), "signed for another digest"),
        (root, fixture!("other-instance"), "proof does not hold"),
        (other, good, "proof does not hold"),
    ] {
        let mirror = mirror(root, SUBJECT).await;
        mirror.upstream.attach_by_fallback_tag(REPOSITORY, &image().digest(), &bundle(json));
        let pulled = mirror.pull(REPOSITORY, "1").await;
        pulled.assert_refused("Denied by rule signed: not signed by ci");
        let message = pulled.manifest.error()["message"].to_string();
        assert!(message.contains(why), "{message}");
    }
    // An attestation by the right identity is no signature; with a good one beside it, it harms nothing.
    let mirror = mirror(root, SUBJECT).await;
    let upstream = &mirror.upstream;
    upstream.attach_by_fallback_tag(REPOSITORY, &image().digest(), &bundle(fixture!("provenance")));
    mirror.pull(REPOSITORY, "1").await.assert_refused("Denied by rule signed: not signed by ci");
    upstream.attach_by_fallback_tag(REPOSITORY, &image().digest(), &bundle(fixture!("stranger")));
    upstream.attach_by_fallback_tag(REPOSITORY, &image().digest(), &bundle(good));
    mirror.clock.advance(std::time::Duration::from_mins(2));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
}

#[tokio::test]
async fn one_identity_under_two_names_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trusted_root.json");
    std::fs::write(&file, fixture!("trusted-root")).unwrap();
    let anybody = r"subjectRegexp: 'https://ci\.test/acme/.+'";
    for (signatures, expected) in [
        ("{atLeast: 2, of: [ci, any]}", Some("signed by 1 of 2 needed, under several names")),
        ("{all: [{atLeast: 1, of: [ci]}, {atLeast: 1, of: [any]}]}", None),
    ] {
        let policy = format!(
            "trustRoots: {{corp: {{sigstore: {{trustedRoot: \"file:{}\"}}}}}}\n\
             signers:\n  ci: {{keyless: {{root: corp, issuer: \"https://issuer.test\", {SUBJECT}}}}}\n\
             \x20 any: {{keyless: {{root: corp, issuer: \"https://issuer.test\", {anybody}}}}}\n\
             rules: [{{id: signed, match: [\"up.test/lib/*\"], trust: allow, \
             signatures: {signatures}}}]\n",
            file.display()
        );
        let mirror = TestMirror::start_with(&policy, |_| {}).await;
        mirror.upstream.push(REPOSITORY, "1", &image());
        let signature = bundle(fixture!("bundle-rekor1"));
        mirror.upstream.attach_by_fallback_tag(REPOSITORY, &image().digest(), &signature);
        let pulled = mirror.pull(REPOSITORY, "1").await;
        match expected {
            Some(why) => pulled.assert_refused(&format!("Denied by rule signed: {why}")),
            None => pulled.assert_complete(),
        }
    }
}
