//! Other projects' test vectors, where they are at hand (`PRATIQUE_TEST_DATA`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pratique::oci::{Digest, Name};
use pratique::signature::{
    Artifact, Enforced, FoundSignature, Identity, Key, Material, NotationSigner, Refusal, Signer,
    SimpleSigningProof, SubjectKind, TrustRoot, TrustStore, TrustStoreFiles, Wanted, verify,
    verify_bundle,
};
use serde_json::Value;

/// The folder of vectors; `None`, with a line that says so, when there is none.
pub(crate) fn vectors(folder: &str) -> Option<PathBuf> {
    let data = std::env::var_os("PRATIQUE_TEST_DATA").map(PathBuf::from);
    let folder = data.map(|data| data.join("vectors").join(folder)).filter(|path| path.is_dir());
    if folder.is_none() {
        println!("skipped: PRATIQUE_TEST_DATA has no such vectors");
    }
    folder
}

pub(crate) fn key(path: &Path) -> Key {
    Key::from_pem(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A signature as containers/image keeps it in a directory: a header, a NUL, and JSON.
fn signature(path: &Path) -> FoundSignature {
    let bytes = fs::read(path).unwrap();
    let json = bytes.rsplit(|byte| *byte == b'\n').find(|line| !line.is_empty()).unwrap();
    let json: Value = serde_json::from_slice(json).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let material = Material::SimpleSigning {
        payload: text(&json["payload"]),
        signature: text(&json["annotations"]["dev.cosignproject.cosign/signature"]),
        proof: SimpleSigningProof::default(),
    };
    FoundSignature { source: Digest::sha256(b""), material }
}

pub(crate) fn signed_name(found: &FoundSignature) -> Name {
    let Material::SimpleSigning { payload, .. } = &found.material else { panic!("a bundle") };
    let payload: Value = serde_json::from_slice(&BASE64_STANDARD.decode(payload).unwrap()).unwrap();
    let reference = payload["critical"]["identity"]["docker-reference"].as_str().unwrap();
    reference.parse::<pratique::oci::ImageReference>().unwrap().name
}

#[test]
fn signatures_that_containers_image_accepts_count_and_the_others_do_not() {
    let Some(folder) = vectors("containers-image/signature/fixtures") else { return };
    let manifest = |image: &str| fs::read(folder.join(image).join("manifest.json")).unwrap();
    let keys = [key(&folder.join("cosign.pub")), key(&folder.join("cosign2.pub"))];
    let valid = "dir-img-cosign-valid-with-tag";
    let found = signature(&folder.join(valid).join("signature-1"));
    let (name, digest) = (signed_name(&found), Digest::sha256(&manifest(valid)));
    let outcomes = keys.each_ref().map(|key| verify(&found, key, &name, &digest));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert!(outcomes.contains(&Err(Refusal::WrongKey)), "{outcomes:?}");
    let other = "up.test/lib/web".parse().unwrap();
    assert!(keys.iter().all(|key| verify(&found, key, &other, &digest).is_err()));

    let wrong = "dir-img-cosign-manifest-digest-error";
    let found = signature(&folder.join(wrong).join("signature-1"));
    let digest = Digest::sha256(&manifest(wrong));
    assert!(keys.iter().all(|key| verify(&found, key, &signed_name(&found), &digest).is_err()));

    let mixed = "dir-img-cosign-mixed";
    let digest = Digest::sha256(&manifest(mixed));
    let good = ["signature-1", "signature-2"].map(|file| {
        let found = signature(&folder.join(mixed).join(file));
        keys.iter().any(|key| verify(&found, key, &signed_name(&found), &digest).is_ok())
    });
    assert!(good.contains(&true), "{good:?}");
}

const CONFORMANCE_IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const CONFORMANCE_ISSUER: &str = "https://token.actions.githubusercontent.com";

/// Whose signature a case of the conformance suite is about.
pub(crate) fn conformance_signer(case: &Path) -> Option<Signer> {
    let text = |file: &str| fs::read_to_string(case.join(file)).ok();
    let root = match text("trusted_root.json") {
        Some(json) => TrustRoot::from_json(&json).ok()?,
        None => TrustRoot::public_good(),
    };
    if let Some(pem) = text("key.pub") {
        return Some(Signer::logged_key(Key::from_pem(&pem).ok()?, root));
    }
    let wanted = |file: &str, default: &str| {
        let text = text(file).unwrap_or_else(|| default.to_owned());
        text.trim().to_owned()
    };
    let subject = wanted("identity", CONFORMANCE_IDENTITY);
    let identity = Identity {
        issuer: Wanted::Exact(wanted("issuer", CONFORMANCE_ISSUER)),
        kind: SubjectKind::of(&subject),
        subject: Wanted::Exact(subject),
    };
    Some(Signer::keyless(root, identity))
}

#[test]
fn the_conformance_suite_is_judged_as_it_says_by_content_and_by_digest() {
    let Some(folder) = vectors("sigstore-conformance/test/assets") else { return };
    let (mut accepted, mut rejected) = (0, 0);
    for entry in fs::read_dir(folder.join("bundle-verify")).unwrap() {
        let case = entry.unwrap().path();
        let Ok(json) = fs::read_to_string(case.join("bundle.sigstore.json")) else { continue };
        let content = fs::read(case.join("artifact"))
            .unwrap_or_else(|_| fs::read(folder.join("a.txt")).unwrap());
        let is_bad = case.display().to_string().ends_with("_fail");
        for artifact in [Artifact::Bytes(&content), Artifact::Digest(Digest::sha256(&content))] {
            let outcome = conformance_signer(&case)
                .ok_or(Refusal::Nameless)
                .and_then(|signer| verify_bundle(&json, &signer, artifact));
            assert_eq!(outcome.is_err(), is_bad, "{} {artifact:?}: {outcome:?}", case.display());
            assert_ne!(outcome, Err(Refusal::LibraryPanicked), "{}", case.display());
            *(if is_bad { &mut rejected } else { &mut accepted }) += 1;
        }
    }
    println!("conformance: {accepted} accepted, {rejected} rejected");
    assert!(accepted > 20 && rejected > 40, "{accepted} {rejected}");
}

#[test]
fn no_bundle_of_the_conformance_suite_is_an_image_signature() {
    let Some(folder) = vectors("sigstore-conformance/test/assets/bundle-verify") else { return };
    let managed = key(&folder.join("managed-key-and-trusted-root/key.pub"));
    let name: Name = "up.test/lib/web".parse().unwrap();
    let subject = Digest::sha256(b"");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path().join("bundle.sigstore.json");
        let Ok(json) = fs::read_to_string(&path) else { continue };
        let found = FoundSignature { source: subject, material: Material::Bundle { json } };
        let outcome = verify(&found, &managed, &name, &subject);
        let refusal = outcome.expect_err(&path.display().to_string());
        assert_ne!(refusal, Refusal::LibraryPanicked, "{}", path.display());
        count += 1;
    }
    assert!(count > 20, "{count}");
}

/// The chain in a JWS envelope of the Notary Project, its root last.
pub(crate) fn root_of(envelope: &[u8]) -> Vec<u8> {
    let envelope: Value = serde_json::from_slice(envelope).unwrap();
    let chain = envelope["header"]["x5c"].as_array().unwrap();
    BASE64_STANDARD.decode(chain.last().unwrap().as_str().unwrap()).unwrap()
}

#[test]
fn the_envelopes_of_notation_go_are_judged_as_it_says() {
    let Some(folder) = vectors("notation-go/internal/mock/testdata") else { return };
    let now = "2023-06-01T00:00:00Z".parse().unwrap();
    for (file, image, why) in [
        (
            "sa_valid_sig_env.json",
            "60043cf45eaebc4c0867fea485a039b598f52fd09fd5b07b0b2d2f88fad9d74e",
            None,
        ),
        (
            "sa_invalid_sig_env.json",
            "60043cf45eaebc4c0867fea485a039b598f52fd09fd5b07b0b2d2f88fad9d74e",
            Some("payload is not base64url"),
        ),
        (
            "ca_invalid_sig_env.json",
            "60043cf45eaebc4c0867fea485a039b598f52fd09fd5b07b0b2d2f88fad9d74e",
            Some("payload is not base64url"),
        ),
        // These ask for a plug-in, which other verifiers may have.
        (
            "ca_plugin_sig_env.json",
            "60043cf45eaebc4c0867fea485a039b598f52fd09fd5b07b0b2d2f88fad9d74e",
            Some("insists on io.cncf.notary.verificationPlugin"),
        ),
        (
            "ca_compatible_pluginver_sig_env_1.0.0.json",
            "fe7e9333395060c2f5e63cf36a38fba10176f183b4163a5794e081a480abba5f",
            Some("insists on io.cncf.notary.verificationPlugin"),
        ),
        (
            "ca_incompatible_pluginver_sig_env_1.0.9.json",
            "fe7e9333395060c2f5e63cf36a38fba10176f183b4163a5794e081a480abba5f",
            Some("insists on io.cncf.notary.verificationPlugin"),
        ),
    ] {
        let envelope = fs::read(folder.join(file)).unwrap();
        let root = root_of(&envelope);
        let files = TrustStoreFiles {
            ca: vec![root.clone()],
            signing_authority: vec![root],
            ..TrustStoreFiles::default()
        };
        let store = Arc::new(TrustStore::new(&files).unwrap());
        let signer = NotationSigner { store, identity: None, enforced: Enforced::STRICT };
        let envelope = BASE64_STANDARD.encode(envelope);
        let material = Material::NotationJws { envelope };
        let found = FoundSignature { source: Digest::sha256(b""), material };
        let name = "up.test/lib/app".parse().unwrap();
        let image = format!("sha256:{image}").parse().unwrap();
        let outcome = Signer::notation(signer).verify(&found, &name, &image, now);
        match (outcome, why) {
            (Ok(_), None) => {}
            (Err(refusal), Some(why)) => {
                assert!(refusal.to_string().contains(why), "{file}: {refusal}");
            }
            (outcome, _) => panic!("{file}: {outcome:?}"),
        }
    }
}
