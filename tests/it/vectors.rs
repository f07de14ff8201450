//! The list of expected verdicts over other projects' test vectors, and the suites beside it, where
//! they are at hand (`PRATIQUE_TEST_DATA`).
//!
//! What of them does not apply: policies and predicates of cosign (CUE and its own types), signing
//! configurations, GPG signatures and registry settings of containers/image, trust stores by symbolic
//! link or directory (a policy names files), and the certificates for lists of changes, which nothing
//! here downloads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use coset::TaggedCborSerializable as _;
use pratique::oci::Digest;
use pratique::signature::{
    Artifact, AttestationForm, Enforced, FoundSignature, Identity, Key, Material, NotationSigner,
    Proof, Refusal, Signer, SubjectKind, TrustRoot, TrustStore, TrustStoreFiles, Wanted,
    WhenToTimestamp, proof_in, verify_bundle,
};
use pratique::time::Timestamp;
use serde_json::Value;

use crate::signatures::{conformance_signer, key, root_of, signed_name, vectors};

const GITHUB_LOGIN: &str = "https://github.com/login/oauth";
/// The cases in which we differ from the list, and how our refusal reads.
const DIFFERENT: [(&str, &str); 4] = [
    // A plug-in that others may have decides about these.
    ("ca_compatible_pluginver_sig_env_0.0.9.json", "insists on io.cncf.notary.verificationPlugin"),
    (
        "ca_compatible_pluginver_sig_env_1.0.0-alpha.json",
        "insists on io.cncf.notary.verificationPlugin",
    ),
    ("ca_compatible_pluginver_sig_env_1.0.0.json", "insists on io.cncf.notary.verificationPlugin"),
    // A certificate of one's own authority, without any log: by its key it counts, see below.
    ("dir-img-cosign-pki-valid", "signature has no transparency log entry"),
];

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// A signature in a directory of containers/image, with everything that stands beside it.
fn annotated(path: &Path) -> FoundSignature {
    let bytes = fs::read(path).unwrap();
    let json = bytes.rsplit(|byte| *byte == 0).next().unwrap();
    let start = json.iter().position(|byte| *byte == b'{').unwrap();
    let json: Value = serde_json::from_slice(&json[start..]).unwrap();
    let annotations: BTreeMap<String, String> =
        serde_json::from_value(json["annotations"].clone()).unwrap();
    let material = Material::SimpleSigning {
        payload: json["payload"].as_str().unwrap().to_owned(),
        signature: annotations["dev.cosignproject.cosign/signature"].clone(),
        proof: proof_in(&annotations).unwrap(),
    };
    FoundSignature { source: Digest::sha256(b""), material }
}

fn keyless(root: TrustRoot, subject: &str, issuer: &str) -> Signer {
    let exact = |text: &str| Wanted::Exact(text.to_owned());
    let (issuer, kind) = (exact(issuer), SubjectKind::of(subject));
    Signer::keyless(root, Identity { issuer, subject: exact(subject), kind })
}

/// What the signatures in `case` come to for `signer`: the first that counts, or the last refusal.
fn directory(case: &Path, signer: &Signer) -> Result<Proof, Refusal> {
    let image = Digest::sha256(&fs::read(case.join("manifest.json")).unwrap());
    let mut outcome = Err(Refusal::NoImage);
    for number in 1..9 {
        let path = case.join(format!("signature-{number}"));
        if !path.exists() {
            break;
        }
        let found = annotated(&path);
        outcome = signer.verify(&found, &signed_name(&found), &image, at("2026-01-01T00:00:00Z"));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn containers_image(case: &Path) -> Result<(), Refusal> {
    let name = case.file_name().unwrap().to_str().unwrap();
    let public_good = || keyless(TrustRoot::public_good(), "mitr@redhat.com", GITHUB_LOGIN);
    match name {
        "dir-img-cosign-fulcio-rekor-valid" | "dir-img-cosign-pki-valid" => {
            directory(case, &public_good()).map(drop)
        }
        _ => directory(case, &Signer::key(key(&case.with_file_name("cosign.pub")))).map(drop),
    }
}

fn conformance(case: &Path) -> Result<(), Refusal> {
    let json = text(&case.join("bundle.sigstore.json"));
    let content = fs::read(case.join("artifact"))
        .unwrap_or_else(|_| fs::read(case.join("../../a.txt")).unwrap());
    let signer = conformance_signer(case).ok_or(Refusal::Nameless)?;
    verify_bundle(&json, &signer, Artifact::Bytes(&content)).map(drop)
}

/// A signer of everything that `files` certify.
fn notation(files: &TrustStoreFiles) -> Signer {
    let store = Arc::new(TrustStore::new(files).unwrap());
    Signer::notation(NotationSigner { store, identity: None, enforced: Enforced::STRICT })
}

fn enveloped(envelope: &[u8], cose: bool) -> FoundSignature {
    let envelope = BASE64_STANDARD.encode(envelope);
    let material =
        if cose { Material::NotationCose { envelope } } else { Material::NotationJws { envelope } };
    FoundSignature { source: Digest::sha256(b""), material }
}

/// What the envelope in `path` comes to, over the image that it names, for whom its own root certifies.
fn envelope(path: &Path) -> Result<(), Refusal> {
    let bytes = fs::read(path).unwrap();
    let root = root_of(&bytes);
    let (ca, signing_authority) = (vec![root.clone()], vec![root]);
    let signer = notation(&TrustStoreFiles { ca, signing_authority, ..TrustStoreFiles::default() });
    let image = match path.file_name().unwrap().to_str().unwrap() {
        name if name.contains("pluginver") => {
            "fe7e9333395060c2f5e63cf36a38fba10176f183b4163a5794e081a480abba5f"
        }
        _ => "60043cf45eaebc4c0867fea485a039b598f52fd09fd5b07b0b2d2f88fad9d74e",
    };
    let image = format!("sha256:{image}").parse().unwrap();
    let name = "up.test/lib/app".parse().unwrap();
    let now = at("2023-06-01T00:00:00Z");
    signer.verify(&enveloped(&bytes, false), &name, &image, now).map(drop)
}

#[test]
fn every_case_of_the_list_is_judged_as_the_list_says() {
    let Some(folder) = vectors("") else { return };
    let mut counts = BTreeMap::new();
    for line in text(&folder.join("EXPECTED.tsv")).lines().skip(1) {
        let cells: Vec<_> = line.split('\t').collect();
        let [suite, expected, case, path] = cells.as_slice() else { panic!("{line}") };
        let path = folder.join(path);
        let outcome = match *suite {
            "sigstore-conformance" => conformance(&path),
            "containers-image" => containers_image(&path),
            "notation-go" => envelope(&path),
            other => panic!("a suite that nobody judges: {other}"),
        };
        assert_ne!(outcome, Err(Refusal::LibraryPanicked), "{case}");
        let different = DIFFERENT.iter().find(|(it, _)| it == case);
        match (*expected, &outcome, different) {
            ("accept", Ok(()), None) | ("reject", Err(_), None) | ("depends", _, None) => {}
            ("accept", Err(refusal), Some((_, why))) => {
                assert!(refusal.to_string().contains(why), "{case}: {refusal}");
            }
            _ => panic!("{case}: expected {expected}, {outcome:?}"),
        }
        *counts.entry(format!("{suite} {expected}")).or_insert(0) += 1;
    }
    println!("vectors: {counts:?}");
    assert!(counts.values().sum::<usize>() >= 51, "{counts:?}");
}

/// The cases that depend: on whose key is wanted, on who has the plug-in, and on what a certificate is
/// taken for.
#[test]
fn cases_that_depend_are_judged_both_ways() {
    let Some(folder) = vectors("containers-image/signature/fixtures") else { return };
    let case = |name: &str| folder.join(format!("dir-img-cosign-{name}"));
    let by = |file: &str, name: &str| directory(&case(name), &Signer::key(key(&folder.join(file))));
    // One of two signatures is by the wanted key, and the other one harms nothing.
    assert!(by("cosign.pub", "mixed").is_ok());
    assert_eq!(by("some-rsa-key.pub", "mixed"), Err(Refusal::WrongKey));
    assert!(by("cosign.pub", "valid-with-tag").is_ok());
    assert_eq!(by("cosign2.pub", "valid-with-tag"), Err(Refusal::WrongKey));
    assert!(matches!(by("cosign.pub", "manifest-digest-error"), Err(Refusal::OtherImage(_))));
    // A certificate of somebody's own authority proves nothing without a log; its key may be wanted.
    let pki = annotated(&case("pki-valid").join("signature-1"));
    let Material::SimpleSigning { proof, .. } = &pki.material else { panic!("a bundle") };
    let signer =
        Signer::key(Key::from_pem(&public_key(proof.certificate.as_ref().unwrap())).unwrap());
    assert!(directory(&case("pki-valid"), &signer).is_ok());
    let logged = case("fulcio-rekor-valid");
    let public_good = TrustRoot::public_good;
    for (root, who, issuer, why) in [
        (public_good(), "mitr@redhat.com", GITHUB_LOGIN, ""),
        (public_good(), "mitr@redhat.com", "https://accounts.google.com", "signed by mitr@"),
        (public_good(), "somebody@redhat.com", GITHUB_LOGIN, "signed by mitr@"),
        (TrustRoot::staging(), "mitr@redhat.com", GITHUB_LOGIN, "proof does not hold"),
    ] {
        match directory(&logged, &keyless(root, who, issuer)) {
            Ok(_) => assert!(why.is_empty(), "{who} {issuer}"),
            Err(refusal) => {
                let text = refusal.to_string();
                assert!(!why.is_empty() && text.contains(why), "{who} {issuer}: {text}");
            }
        }
    }
}

/// The public key of the certificate in `pem`, in PEM.
fn public_key(pem: &str) -> String {
    use rustls::pki_types::pem::PemObject as _;
    use x509_cert::der::{Decode as _, Encode as _};
    let der = rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let certificate = x509_cert::Certificate::from_der(&der).unwrap();
    let key = certificate.tbs_certificate.subject_public_key_info.to_der().unwrap();
    let text = BASE64_STANDARD.encode(key);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

#[test]
fn the_bundles_of_sigstore_go_are_judged_as_it_says() {
    let Some(folder) = vectors("sigstore-go/pkg/testing/data") else { return };
    let bundle = |name: &str| text(&folder.join(format!("bundles/{name}.sigstore.json")));
    let root = |name: &str| {
        TrustRoot::from_json(&text(&folder.join(format!("trusted-roots/{name}.json"))))
    };
    let attested = |json: &str, signer: &Signer| {
        let image = Digest::sha256(b"");
        let outcome = signer.verify_attestation(
            json.as_bytes(),
            &AttestationForm::Bundle,
            &image,
            at("2026-11-20T10:00:00Z"),
        );
        outcome.map(|(proof, _)| proof.by)
    };
    let release =
        "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main";
    let by = |who: &str, issuer: &str| keyless(root("public-good").unwrap(), who, issuer);
    // Two signatures in one envelope are refused before anything is looked at. The others are about
    // packages by SHA-512 only, which no image here is named by.
    let brian = by("brian@dehamer.com", GITHUB_LOGIN);
    assert_eq!(attested(&bundle("dsse-2sigs"), &brian), Err(Refusal::SignatureCount(2)));
    assert_eq!(attested(&bundle("dsse"), &brian), Err(Refusal::NoImage));
    let workflow = by(release, "https://token.actions.githubusercontent.com");
    let provenance = bundle("sigstore.js@2.0.0-provenance");
    assert_eq!(attested(&provenance, &workflow), Err(Refusal::NoImage));
    // A user name that is in no kind of name that counts.
    let json = bundle("othername");
    let signed: Value = serde_json::from_str(&json).unwrap();
    let digest = signed["messageSignature"]["messageDigest"]["digest"].as_str().unwrap();
    let digest = hex::encode(BASE64_STANDARD.decode(digest).unwrap());
    let artifact = || Artifact::Digest(format!("sha256:{digest}").parse().unwrap());
    let wanted = keyless(root("scaffolding").unwrap(), "foo!oidc.local", "http://oidc.local:8080");
    let refused = verify_bundle(&json, &wanted, artifact()).unwrap_err();
    assert_eq!(refused, Refusal::Nameless);
    // A key whose signature only a clock has seen: no log is no log.
    let managed = key(&folder.join("public-keys/public-key-validity.pem"));
    let wanted = Signer::logged_key(managed, root("public-good").unwrap());
    let refused = verify_bundle(&bundle("public-key-validity"), &wanted, artifact()).unwrap_err();
    assert_eq!(refused, Refusal::NoLogEntry);
    let error = root("public-key-validity").unwrap_err().to_string();
    assert!(error.contains("lists no transparency log"), "{error}");
}

#[test]
fn the_attestation_of_cosign_is_one_by_its_signer_about_its_image() {
    let Some(folder) = vectors("cosign/pkg/cosign/testdata") else { return };
    let json = text(&folder.join("oci-attestation.sigstore.json"));
    let root = TrustRoot::from_json(&text(&folder.join("trusted_root_pgi.json"))).unwrap();
    let image: Digest =
        "sha256:732112270d7e59418a8c080b134b24cabd67d250d0d0147a97ed95ba5c280aa4".parse().unwrap();
    let cody = keyless(root.clone(), "cody@soyland.com", GITHUB_LOGIN);
    let attested = |signer: &Signer, image: &Digest| {
        let outcome = signer.verify_attestation(
            json.as_bytes(),
            &AttestationForm::Bundle,
            image,
            at("2026-11-20T10:00:00Z"),
        );
        outcome.map(|(_, statement)| statement.predicate_type)
    };
    let kind = "https://cosign.sigstore.dev/attestation/v1";
    assert_eq!(attested(&cody, &image).as_deref(), Ok(kind));
    let other = attested(&cody, &Digest::sha256(b"another image"));
    assert_eq!(other, Err(Refusal::OtherImage(image)));
    let somebody = keyless(root, "somebody@soyland.com", GITHUB_LOGIN);
    assert!(matches!(attested(&somebody, &image), Err(Refusal::OtherIdentity { .. })));
    let elsewhere = keyless(TrustRoot::staging(), "cody@soyland.com", GITHUB_LOGIN);
    assert!(matches!(attested(&elsewhere, &image), Err(Refusal::Proof(_))));
    let found = FoundSignature { source: image, material: Material::Bundle { json: json.clone() } };
    let name = "up.test/lib/app".parse().unwrap();
    let refused = cody.verify(&found, &name, &image, at("2026-01-01T00:00:00Z"));
    assert_eq!(refused, Err(Refusal::NotASignature(kind.to_owned())));
}

/// What the certificates of notation-go's envelopes with timestamps end in.
fn roots_of(envelope: &[u8], cose: bool) -> Vec<Vec<u8>> {
    if !cose {
        return vec![root_of(envelope)];
    }
    let message = coset::CoseSign1::from_tagged_slice(envelope).unwrap();
    let chain = message.unprotected.rest.iter().find_map(|(_, value)| value.as_array()).unwrap();
    vec![chain.last().unwrap().as_bytes().unwrap().clone()]
}

#[test]
fn the_timestamped_envelopes_of_notation_go_are_judged_as_it_says() {
    let Some(folder) = vectors("notation-go/verifier/testdata") else { return };
    let image = "sha256:c0669ef34cdc14332c0f1ab0c2c01acb91d96014b172f1a76f3a39e63d1f0bda";
    let image = image.parse().unwrap();
    let name = "up.test/lib/app".parse().unwrap();
    let tsa = |file: &str| fs::read(folder.join("truststore/x509/tsa").join(file)).unwrap();
    let (right, wrong) =
        (tsa("test-timestamp/globalsignRoot.cer"), tsa("test-mismatch/DigiCertTSARootSHA384.cer"));
    let no_authority = "timestamp is by no authority of the trust root";
    for (file, cose, clock, why) in [
        ("jwsWithTimestamp", false, &right, ""),
        ("coseWithTimestamp", true, &right, ""),
        ("jwsExpiredWithTimestamp", false, &right, ""),
        ("coseExpiredWithTimestamp", true, &right, ""),
        ("jwsWithTimestamp", false, &wrong, no_authority),
        ("coseExpiredWithTimestamp", true, &wrong, no_authority),
        ("timestampBeforeNotBefore", false, &right, "was not valid yet at"),
        ("timestampAfterNotAfter", true, &right, "was expired at"),
        ("withoutTimestamp", false, &right, "nothing proves when it was signed"),
    ] {
        let bytes = fs::read(folder.join(format!("timestamp/sigEnv/{file}.sig"))).unwrap();
        let files = TrustStoreFiles {
            ca: roots_of(&bytes, cose),
            tsa: vec![clock.clone()],
            when: WhenToTimestamp::Always,
            ..TrustStoreFiles::default()
        };
        let found = enveloped(&bytes, cose);
        let outcome = notation(&files).verify(&found, &name, &image, at("2026-01-01T00:00:00Z"));
        match outcome {
            Ok(proof) => assert!(why.is_empty(), "{file}: {proof:?}"),
            Err(refusal) => {
                let text = refusal.to_string();
                assert!(!why.is_empty() && text.contains(why), "{file}: {text}, not {why}");
            }
        }
    }
    // And without an authority for time, what has expired has.
    let bytes = fs::read(folder.join("timestamp/sigEnv/jwsExpiredWithTimestamp.sig")).unwrap();
    let files = TrustStoreFiles { ca: roots_of(&bytes, false), ..TrustStoreFiles::default() };
    let found = enveloped(&bytes, false);
    let signer = notation(&files);
    let judge = |now: &str| signer.verify(&found, &name, &image, at(now)).map(drop);
    assert_eq!(judge("2024-06-18T07:25:00Z"), Ok(()));
    let refusal = judge("2026-01-01T00:00:00Z").unwrap_err().to_string();
    assert!(refusal.contains("was expired at"), "{refusal}");
}

#[test]
fn both_encodings_of_notation_go_count_for_the_image_beside_them_only() {
    let Some(folder) = vectors("notation-go/internal/testdata") else { return };
    let index: Value = serde_json::from_str(&text(&folder.join("oci-layout/index.json"))).unwrap();
    let listed = index["manifests"].as_array().unwrap();
    let images: Vec<Digest> =
        listed.iter().map(|it| it["digest"].as_str().unwrap().parse().unwrap()).collect();
    let name = "up.test/lib/app".parse().unwrap();
    for (file, cose) in [("jws_signature.sig", false), ("cose_signature.sig", true)] {
        let bytes = fs::read(folder.join(file)).unwrap();
        let files = TrustStoreFiles { ca: roots_of(&bytes, cose), ..TrustStoreFiles::default() };
        let signer = notation(&files);
        let found = enveloped(&bytes, cose);
        let judge =
            |image: &Digest| signer.verify(&found, &name, image, at("2026-01-01T00:00:00Z"));
        assert!(images.iter().any(|image| judge(image).is_ok()), "{file}");
        let other = judge(&Digest::sha256(b"another image"));
        assert!(matches!(other, Err(Refusal::OtherImage(_))), "{file}: {other:?}");
    }
}

#[test]
fn the_trust_stores_of_notation_are_read_or_refused_as_it_says() {
    let Some(folder) = vectors("notation-go/verifier/testdata/truststore/x509") else { return };
    let core = folder.join("../../../../../notation-core-go/x509/testdata");
    let read = |files: &[&Path]| -> Vec<Vec<u8>> {
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    };
    let all = |place: &str| -> Vec<Vec<u8>> {
        let entries = fs::read_dir(folder.join(place)).unwrap();
        entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    };
    let judge = |ca: Vec<Vec<u8>>, tsa: Vec<Vec<u8>>| {
        let store = TrustStore::new(&TrustStoreFiles { ca, tsa, ..TrustStoreFiles::default() });
        store.map(drop).map_err(|error| error.to_string())
    };
    let leaf = "which is neither an authority's nor signed by itself";
    let no_root = "which is no root authority's";
    for (place, why) in [
        ("ca/valid-trust-store", ""),
        ("ca/valid-trust-store-2", ""),
        ("ca/valid-trust-store-self-signed", ""),
        ("signingAuthority/valid-trust-store", ""),
        ("signingAuthority/valid-trust-store-2", ""),
        ("ca/trust-store-with-leaf-certs", leaf),
        ("ca/trust-store-with-leaf-certs-in-single-file", leaf),
        ("ca/trust-store-with-invalid-certs", "holds no certificate"),
    ] {
        match judge(all(place), Vec::new()) {
            Ok(()) => assert!(why.is_empty(), "{place}"),
            Err(error) => assert!(!why.is_empty() && error.contains(why), "{place}: {error}"),
        }
    }
    for (place, why) in [
        ("tsa/test-timestamp", ""),
        ("tsa/test-mismatch", ""),
        ("tsa/test-nonCA", no_root),
        ("tsa/test-nonSelfIssued", no_root),
    ] {
        match judge(Vec::new(), all(place)) {
            Ok(()) => assert!(why.is_empty(), "{place}"),
            Err(error) => assert!(!why.is_empty() && error.contains(why), "{place}: {error}"),
        }
    }
    for (file, why) in [
        ("der.der", ""),
        ("pem.crt", ""),
        ("multi-pem.crt", ""),
        ("openssl-minimum-self-signed.pem", ""),
        ("timestamp_root.crt", ""),
        // Two certificates in one file are for PEM to hold.
        ("multi-der.der", "is no usable certificate"),
        ("invalid", "holds no certificate"),
        ("timestamp_leaf.crt", leaf),
    ] {
        match judge(read(&[&core.join(file)]), Vec::new()) {
            Ok(()) => assert!(why.is_empty(), "{file}"),
            Err(error) => assert!(!why.is_empty() && error.contains(why), "{file}: {error}"),
        }
    }
}

#[test]
fn the_revocation_lists_of_notation_are_whole_ones_or_refused() {
    let Some(folder) = vectors("notation-core-go/revocation/crl/testdata") else { return };
    for (file, why) in [
        // Where changes are published is not asked; the list is whole without them.
        ("crlWithMultipleFreshestCRLs.crl", ""),
        ("delta.crl", "is a partial or indirect revocation list"),
        ("certificateWithDeltaCRL.cer", "holds no revocation list"),
    ] {
        let crls = vec![fs::read(folder.join(file)).unwrap()];
        let store = TrustStore::new(&TrustStoreFiles { crls, ..TrustStoreFiles::default() });
        match store {
            Ok(_) => assert!(why.is_empty(), "{file}"),
            Err(error) => assert!(!why.is_empty() && error.to_string().contains(why), "{error}"),
        }
    }
}
