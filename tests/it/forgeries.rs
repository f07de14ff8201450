//! Forged and endless signatures through the whole mirror: denied by name, within bounds, and without
//! harm to anything else (T16, T21, T34, T35, T37).

use pratique::oci::{Digest, MediaType};
use serde_json::json;

use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, Image, Index};

const REPOSITORY: &str = "lib/app";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const NOT_SIGNED: &str = "Denied by rule signed: not signed by team";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/signatures/keyless/", $name))
    };
}

fn policy(team: &Signer) -> String {
    format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n      pem: |\n{}\
         rules: [{{id: signed, match: [\"up.test/lib/*\"], trust: allow, \
         signatures: {{atLeast: 1, of: [team]}}}}]\n",
        team.policy_pem().replace("      ", "        ")
    )
}

async fn mirror(team: &Signer) -> TestMirror {
    TestMirror::start_with(&policy(team), |_| {}).await
}

/// T35: a good signature of one repository beside the same bytes in another.
#[tokio::test]
async fn a_signature_for_one_repository_is_none_in_another() {
    let team = Signer::generate();
    let mirror = mirror(&team).await;
    let image = Image::new().layer("x").build();
    for repository in ["lib/app", "lib/other"] {
        let digest = mirror.upstream.push(repository, "1", &image);
        let signature = team.simple_signing("up.test/lib/app", &digest);
        mirror.upstream.attach_by_sig_tag(repository, &digest, &signature);
    }
    mirror.pull("lib/app", "1").await.assert_complete();
    let pulled = mirror.pull("lib/other", "1").await;
    pulled.assert_refused(NOT_SIGNED);
    let message = pulled.manifest.error()["message"].to_string();
    assert!(message.contains("signed for another repository (up.test/lib/app)"), "{message}");
}

/// T34: a signed index admits what it lists, and nothing that is put in the place of that.
#[tokio::test]
async fn a_signed_index_admits_its_own_children_and_no_other() {
    let team = Signer::generate();
    let mirror = mirror(&team).await;
    let index = Index::for_platforms(&["linux/amd64"]).build();
    let digest = mirror.upstream.push(REPOSITORY, "1", &index);
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &digest, &team.bundle(&index));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    mirror.pull(REPOSITORY, index.children[0].digest()).await.assert_complete();
    // The same index but for one child, with the signature of the first beside it.
    let evil = Image::new().platform("linux/amd64").layer("evil").build();
    let other = Index::new().child(evil.clone()).build();
    let swapped = mirror.upstream.push(REPOSITORY, "2", &other);
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &swapped, &team.bundle(&index));
    mirror.pull(REPOSITORY, "2").await.assert_refused(NOT_SIGNED);
    let pulled = mirror.pull(REPOSITORY, evil.digest()).await;
    pulled.assert_refused(NOT_SIGNED);
    // A signed child does not make the index that lists it signed.
    let child = Image::new().platform("linux/amd64").layer("good").build();
    let unsigned = Index::new().child(child.clone()).build();
    mirror.upstream.push(REPOSITORY, "3", &unsigned);
    let bundle = team.bundle(&child);
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &child.digest(), &bundle);
    mirror.pull(REPOSITORY, "3").await.assert_refused(NOT_SIGNED);
    mirror.pull(REPOSITORY, child.digest()).await.assert_complete();
}

/// T16 (CVE-2023-46737, CVE-2024-29902): ten thousand signatures are too many to look at.
#[tokio::test]
async fn endless_signatures_cost_a_bounded_number_of_requests_and_admit_nothing() {
    let team = Signer::generate();
    let mirror = mirror(&team).await;
    let layers = |count: u32| {
        let image = (0..count).fold(Image::new(), |image, number| {
            let annotations = [("dev.cosignproject.cosign/signature", "AA==")];
            image.layer_of(SIMPLE_SIGNING, format!("{{\"n\":{number}}}"), &annotations)
        });
        image.build()
    };
    for (tag, layers) in [("1", layers(900)), ("2", layers(10_000))] {
        let image = Image::new().layer(format!("image {tag}")).build();
        let digest = mirror.upstream.push(REPOSITORY, tag, &image);
        mirror.upstream.attach_by_sig_tag(REPOSITORY, &digest, &layers);
        mirror.upstream.clear_requests();
        let answer = mirror.manifest(REPOSITORY, tag).await;
        assert_eq!(answer.status, 403, "{tag}: {answer:?}");
        assert!(mirror.upstream.count("") < 200, "{}", mirror.upstream.count(""));
    }
    // The same in a list of referrers, which nobody has.
    let image = Image::new().layer("image 3").build();
    let digest = mirror.upstream.push(REPOSITORY, "3", &image);
    let listed: Vec<_> = (0..10_000)
        .map(|number| {
            json!({
                "mediaType": MediaType::OCI_MANIFEST,
                "digest": Digest::sha256(format!("{number}").as_bytes()),
                "size": 2,
                "artifactType": BUNDLE,
            })
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": listed});
    let index = mirror.upstream.put_manifest(REPOSITORY, MediaType::OCI_INDEX, index.to_string());
    mirror.upstream.tag(REPOSITORY, &format!("sha256-{}", digest.hex()), &[index]);
    mirror.upstream.clear_requests();
    let answer = mirror.manifest(REPOSITORY, "3").await;
    assert!([403, 503].contains(&answer.status), "{answer:?}");
    assert!(mirror.upstream.count("") < 200, "{}", mirror.upstream.count(""));
    // What is signed goes on as before.
    let image = Image::new().layer("image 4").build();
    let digest = mirror.upstream.push(REPOSITORY, "4", &image);
    let signature = team.simple_signing("up.test/lib/app", &digest);
    mirror.upstream.attach_by_sig_tag(REPOSITORY, &digest, &signature);
    mirror.pull(REPOSITORY, "4").await.assert_complete();
}

/// A referrer that says it is a bundle, with this in it.
fn referrer(image: &Artifact, content: &str) -> Artifact {
    Image::artifact(BUNDLE).layer_of(BUNDLE, content.to_owned(), &[]).subject(image).build()
}

/// T37 (CVE-2026-44310): whatever stands where a signature should is no signature, and no harm.
#[tokio::test]
async fn malformed_signatures_are_denied_and_hide_no_good_one() {
    let team = Signer::generate();
    let mirror = mirror(&team).await;
    let image = Image::new().layer("x").build();
    let digest = mirror.upstream.push(REPOSITORY, "1", &image);
    let good = fixture!("bundle-rekor1.json");
    let contents = [
        String::new(),
        "null".to_owned(),
        "{}".to_owned(),
        "[".repeat(10_000),
        "\u{feff}{}".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace("\"rawBytes\": \"M", "\"rawBytes\": \"N"),
        good.replace("mediaType", "mediatype"),
        good.replacen('{', "{\"dsseEnvelope\": null,", 1),
        "\0".repeat(500),
    ];
    for content in &contents {
        let malformed = referrer(&image, content);
        mirror.upstream.attach_by_fallback_tag(REPOSITORY, &digest, &malformed);
    }
    mirror.pull(REPOSITORY, "1").await.assert_refused(NOT_SIGNED);
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &digest, &team.bundle(&image));
    mirror.clock.advance(std::time::Duration::from_mins(2));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
}

/// What a mirror with this signer says to an image that a workflow signed.
async fn judged(signer: &str) -> u16 {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in
        [("root", fixture!("trusted-root.json")), ("other", fixture!("other-root.json"))]
    {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let place = folder.path().display();
    let policy = format!(
        "trustRoots:\n  corp: {{sigstore: {{trustedRoot: \"file:{place}/root\"}}}}\n  \
         other: {{sigstore: {{trustedRoot: \"file:{place}/other\"}}}}\n\
         signers: {{ci: {{keyless: {{{signer}}}}}}}\n\
         rules: [{{id: signed, match: [\"up.test/lib/*\"], trust: allow, \
         signatures: {{atLeast: 1, of: [ci]}}}}]\n"
    );
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    let image = Artifact::existing(
        include_bytes!("../fixtures/signatures/keyless/image-manifest.json"),
        &[
            include_bytes!("../fixtures/signatures/keyless/image-config.json"),
            include_bytes!("../fixtures/signatures/keyless/image-layer.tar"),
        ],
    );
    let digest = mirror.upstream.push(REPOSITORY, "1", &image);
    let bundle = referrer(&image, fixture!("bundle-rekor1.json"));
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &digest, &bundle);
    mirror.manifest(REPOSITORY, "1").await.status
}

/// T21 (CVE-2025-29778): there is no field of a signer that could be left out without a difference.
#[tokio::test]
async fn every_field_of_a_signer_decides() {
    let root = "root: corp";
    let issuer = "issuer: \"https://issuer.test\"";
    let subject = "subject: \"https://ci.test/acme/app/release.yml@refs/tags/v1\"";
    let issuers = "issuerRegexp: 'https://issuer\\.(test|example)'";
    let subjects = "subjectRegexp: 'https://ci\\.test/acme/app/.*'";
    for good in [
        format!("{root}, {issuer}, {subject}"),
        format!("{root}, {issuers}, {subjects}"),
        format!("{root}, {issuer}, {subjects}, subjectType: uri"),
        format!("{root}, {issuers}, {subject}, subjectType: uri"),
    ] {
        assert_eq!(judged(&good).await, 200, "{good}");
    }
    for bad in [
        format!("root: other, {issuer}, {subject}"),
        format!("{issuer}, {subject}"),
        format!("{root}, issuer: \"https://issuer.test/\", {subject}"),
        format!("{root}, {issuer}, subject: \"https://ci.test/acme/app/release.yml@refs/tags/v2\""),
        format!("{root}, issuerRegexp: 'https://issuer', {subject}"),
        format!("{root}, issuerRegexp: 'https://other\\.test|x', {subjects}"),
        format!("{root}, {issuer}, subjectRegexp: 'https://ci\\.test/acme/app/'"),
        format!("{root}, {issuers}, subjectRegexp: 'https://ci\\.test/acme/web/.*'"),
        format!("{root}, {issuer}, {subjects}, subjectType: email"),
        format!("{root}, {issuer}, {subject}, subjectType: email"),
    ] {
        assert_eq!(judged(&bad).await, 403, "{bad}");
    }
}
