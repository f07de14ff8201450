//! Certificates, logs and timestamps: what a throw-away Sigstore instance made
//! (`tests/fixtures/signatures/keyless`).

use serde_json::Value;

use crate::oci::{Algorithm, Digest, Name};
use crate::signature::{
    FoundSignature, Identity, Key, Material, Pattern, Refusal, Signer, SubjectKind, TrustRoot,
    Wanted, Whoever,
};
use crate::time::Timestamp;

/// Nothing of Sigstore depends on it.
const NOW: Timestamp = Timestamp::from_milliseconds(0);

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/signatures/keyless/", $name, ".json"))
    };
}

pub(super) const ROOT: &str = fixture!("trusted-root");
pub(super) const OTHER_ROOT: &str = fixture!("other-root");
pub(super) const IMAGE: &str =
    "sha256:bf5c4ecb7abeae800cd612409315078c2e88747e1506be9bfb665e8dda3f7f7d";
pub(super) const REPOSITORY: &str = "up.test/lib/app";
const OURS: &str = "https://ci.test/acme/app/release.yml@refs/tags/v1";
const ISSUER: &str = "https://issuer.test";
pub(super) const GOOD: [&str; 4] = [
    fixture!("bundle-rekor1"),
    fixture!("bundle-rekor1-tsa"),
    fixture!("bundle-rekor2-tsa"),
    fixture!("bundle-intoto-rekor1"),
];

fn root() -> TrustRoot {
    TrustRoot::from_json(fixture!("trusted-root")).unwrap()
}

fn exact(text: &str) -> Wanted {
    Wanted::Exact(text.to_owned())
}

fn signer_of(issuer: Wanted, subject: Wanted, kind: SubjectKind) -> Signer {
    Signer::keyless(root(), Identity { issuer, subject, kind })
}

fn ours() -> Signer {
    signer_of(exact(ISSUER), exact(OURS), SubjectKind::Uri)
}

/// Who made the good ones.
pub(super) fn identity() -> Identity {
    Identity { issuer: exact(ISSUER), subject: exact(OURS), kind: SubjectKind::Uri }
}

fn bundled(json: &str) -> FoundSignature {
    let material = Material::Bundle { json: json.to_owned() };
    FoundSignature { source: Digest::sha256(json.as_bytes()), material }
}

pub(super) fn simple() -> FoundSignature {
    serde_json::from_str(fixture!("simple")).unwrap()
}

fn outcome(found: &FoundSignature, signer: &Signer) -> Result<String, Refusal> {
    let name: Name = REPOSITORY.parse().unwrap();
    signer.verify(found, &name, &IMAGE.parse().unwrap(), NOW).map(|proof| proof.by)
}

#[test]
fn every_form_counts_for_whom_the_certificate_is_for_long_after_it_expired() {
    let pattern = |text: &str| Wanted::Pattern(Pattern::new(text).unwrap());
    let tags = pattern(r"https://ci\.test/acme/[a-z]+/release\.yml@refs/tags/v\d+");
    let matching = signer_of(pattern(r"https://issuer\.(test|example)"), tags, SubjectKind::Uri);
    for found in GOOD.map(bundled).iter().chain([&simple()]) {
        let by = outcome(found, &ours()).unwrap_or_else(|why| panic!("{why}: {found:?}"));
        assert_eq!(by, format!("uri {OURS} by {ISSUER}"));
        assert_eq!(outcome(found, &matching), Ok(by));
        assert_eq!(
            serde_json::from_str::<FoundSignature>(&serde_json::to_string(found).unwrap()).unwrap(),
            *found
        );
    }
}

#[test]
fn whoever_is_not_exactly_whom_the_policy_names_does_not_count() {
    let somebody = Refusal::OtherIdentity { subject: OURS.into(), issuer: ISSUER.into() };
    let pattern = |text: &str| Wanted::Pattern(Pattern::new(text).unwrap());
    for (issuer, subject, kind) in [
        (exact("https://issuer.test/"), exact(OURS), SubjectKind::Uri),
        (exact(OURS), exact(ISSUER), SubjectKind::Uri),
        (exact(ISSUER), exact(OURS), SubjectKind::Email),
        (exact(ISSUER), exact(&OURS.to_uppercase()), SubjectKind::Uri),
        (exact(ISSUER), exact(&OURS[..OURS.len() - 1]), SubjectKind::Uri),
        (exact(ISSUER), pattern(r"https://ci\.test/acme/"), SubjectKind::Uri),
        (exact(ISSUER), pattern(r"x|y"), SubjectKind::Uri),
        (pattern("issuer"), exact(OURS), SubjectKind::Uri),
    ] {
        let signer = signer_of(issuer, subject, kind);
        for found in GOOD.map(bundled).iter().chain([&simple()]) {
            assert_eq!(outcome(found, &signer), Err(somebody.clone()), "{signer:?}");
        }
    }
    let stranger = outcome(&bundled(fixture!("stranger")), &ours());
    assert!(matches!(stranger, Err(Refusal::OtherIdentity { .. })), "{stranger:?}");
}

#[test]
fn each_missing_or_foreign_proof_is_refused_by_its_own_name() {
    let image: Digest = Digest::sha256(b"another image");
    for (json, expected) in [
        (fixture!("provenance"), Refusal::NotASignature("https://slsa.dev/provenance/v1".into())),
        (fixture!("other-image"), Refusal::OtherImage(image)),
        (fixture!("no-log"), Refusal::NoLogEntry),
        (fixture!("no-time"), Refusal::Proof("nothing proves when it was signed".into())),
        (fixture!("message"), Refusal::NotAStatement),
    ] {
        assert_eq!(outcome(&bundled(json), &ours()), Err(expected));
    }
    let foreign = outcome(&bundled(fixture!("other-instance")), &ours());
    assert!(matches!(foreign, Err(Refusal::Proof(_))), "{foreign:?}");
    let elsewhere = TrustRoot::from_json(fixture!("other-root")).unwrap();
    let identity = Identity { issuer: exact(ISSUER), subject: exact(OURS), kind: SubjectKind::Uri };
    let elsewhere = Signer::keyless(elsewhere, identity);
    for found in GOOD.map(bundled).iter().chain([&simple()]) {
        let refused = outcome(found, &elsewhere);
        assert!(matches!(refused, Err(Refusal::Proof(_))), "{refused:?}");
        let other = ours().verify(found, &REPOSITORY.parse().unwrap(), &image, NOW);
        assert!(matches!(other, Err(Refusal::OtherImage(_))), "{other:?}");
    }
    let other: FoundSignature = serde_json::from_str(fixture!("simple-other-repository")).unwrap();
    assert!(matches!(outcome(&other, &ours()), Err(Refusal::OtherRepository(_))));
}

#[test]
fn keys_and_certificates_are_not_taken_for_each_other() {
    let pem = include_str!("../../../tests/fixtures/signatures/p256.pub");
    let key = Key::from_pem(pem).unwrap();
    let keyed = include_str!("../../../tests/fixtures/signatures/cosign-3.1-p256.json");
    let keyed: FoundSignature = serde_json::from_str(keyed).unwrap();
    assert_eq!(outcome(&keyed, &ours()), Err(Refusal::NoCertificate));
    let logged = Signer::logged_key(key.clone(), root());
    for json in GOOD {
        assert_eq!(outcome(&bundled(json), &Signer::key(key.clone())), Err(Refusal::Certificate));
        assert_eq!(outcome(&bundled(json), &logged), Err(Refusal::Certificate));
    }
    // Where a log entry is asked for, the key alone is not enough.
    assert_eq!(outcome(&keyed, &logged), Err(Refusal::NoLogEntry));
    let simple = include_str!("../../../tests/fixtures/signatures/cosign-2.5-p256.json");
    let simple: FoundSignature = serde_json::from_str(simple).unwrap();
    assert_eq!(outcome(&simple, &logged), Err(Refusal::NoLogEntry));
    assert_eq!(outcome(&simple, &ours()), Err(Refusal::NoLogEntry));
}

#[test]
fn a_subject_of_another_algorithm_is_refused_and_not_mistaken() {
    let mut hasher = Algorithm::Sha512.hasher();
    hasher.update(b"image");
    let subject = hasher.finish();
    let outcome = ours().verify(&bundled(GOOD[0]), &REPOSITORY.parse().unwrap(), &subject, NOW);
    assert_eq!(outcome, Err(Refusal::Algorithm));
}

/// Members by which one reader could take this for the signature, and another reader that.
#[test]
fn no_second_spelling_of_a_member_changes_what_is_verified() {
    let (good, stranger) = (GOOD[0], fixture!("stranger"));
    let parse = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    for (ours_name, theirs_name) in
        [("dsseEnvelope", "dsse_envelope"), ("verificationMaterial", "verification_material")]
    {
        for (front, back) in [(ours_name, theirs_name), (theirs_name, ours_name)] {
            // One part of the right signature, and the other spelling from somebody else's.
            let mut mixed = parse(good);
            mixed[front] = parse(stranger)[ours_name].clone();
            mixed[back] = parse(good)[ours_name].clone();
            let outcome = outcome(&bundled(&mixed.to_string()), &ours());
            assert_eq!(outcome.is_ok(), back == ours_name, "{front} {back}: {outcome:?}");
        }
    }
    let mut unlogged = parse(good);
    let entries = unlogged["verificationMaterial"]["tlogEntries"].take();
    unlogged["verificationMaterial"]["tlog_entries"] = entries;
    unlogged["verificationMaterial"]["tlogEntries"] = Value::Array(Vec::new());
    assert_eq!(outcome(&bundled(&unlogged.to_string()), &ours()), Err(Refusal::NoLogEntry));
}

/// What makes a bundle this signature by this signer.
fn essence(json: &str) -> Option<[Value; 3]> {
    let value: Value = serde_json::from_str(json).ok()?;
    let at = |pointer: &str| value.pointer(pointer).cloned();
    Some([
        at("/dsseEnvelope/payload")?,
        at("/dsseEnvelope/signatures/0/sig")?,
        at("/verificationMaterial/certificate/rawBytes")?,
    ])
}

#[test]
fn no_flipped_byte_of_a_bundle_makes_it_another_signature() {
    let signer = ours();
    for json in GOOD {
        let good = essence(json).unwrap();
        let mut harmless = 0;
        for at in (0..json.len()).step_by(3) {
            let mut bytes = json.as_bytes().to_vec();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            if outcome(&bundled(&changed), &signer).is_ok() {
                assert_eq!(essence(&changed).as_ref(), Some(&good), "byte {at}");
                harmless += 1;
            }
        }
        // Space, names of members that nobody reads, and what Rekor 2 repeats without signing it.
        assert!(harmless < json.len() / 9, "{harmless} of {}", json.len() / 3);
    }
}

#[test]
fn no_flipped_byte_beside_simple_signing_makes_it_another_signature() {
    let (signer, good) = (ours(), simple());
    let text = serde_json::to_string(&good.material).unwrap();
    let mut verified = 0;
    for at in (0..text.len()).step_by(3) {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= 1;
        let Ok(material) = serde_json::from_slice::<Material>(&bytes) else { continue };
        let found = FoundSignature { material, ..good.clone() };
        if outcome(&found, &signer).is_ok() {
            let Material::SimpleSigning { payload, signature, .. } = &found.material else {
                panic!("a bundle")
            };
            let Material::SimpleSigning { payload: p, signature: s, .. } = &good.material else {
                panic!("a bundle")
            };
            assert_eq!((payload, signature), (p, s), "byte {at}");
            verified += 1;
        }
    }
    assert!(verified < text.len() / 9, "{verified} of {}", text.len() / 3);
}

#[test]
fn who_signed_is_told_as_the_exact_signer_would_take_it_and_never_by_another_root() {
    let name: Name = REPOSITORY.parse().unwrap();
    let image: Digest = IMAGE.parse().unwrap();
    let other = TrustRoot::from_json(OTHER_ROOT).unwrap();
    for json in GOOD {
        let found = bundled(json);
        let told = Whoever::signed(&found, &root(), &name, &image, NOW).unwrap();
        assert_eq!(
            (told.issuer.as_str(), told.subject.as_str(), told.kind),
            (ISSUER, OURS, SubjectKind::Uri)
        );
        assert!(Whoever::signed(&found, &other, &name, &image, NOW).is_err());
        let another = Digest::sha256(b"another");
        assert!(Whoever::signed(&found, &root(), &name, &another, NOW).is_err());
    }
    let found = bundled("{}");
    assert!(Whoever::signed(&found, &root(), &name, &image, NOW).is_err());
}
