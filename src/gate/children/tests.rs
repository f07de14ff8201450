//! Signatures over the images of an index: when they count, and when they are asked for.

use super::super::tests::{Pen, asking_on, codes, context, decided, evidence, facts, subject};
use super::super::{
    ChildImage, ChildSignatures, Evidence, EvidenceKind, Gathered, ManifestFacts, Outcome,
    ReadyPolicy, ReasonCode, SignatureSearch, Subject, decide,
};
use crate::oci::Digest;

const AMD64: &str = "linux/amd64";
const ARM64: &str = "linux/arm64";
const FLOOR: &str = "{platforms: [linux/amd64, linux/arm64]}";

fn index() -> Subject {
    subject("up.test/a")
}

fn digest(number: usize) -> Digest {
    Digest::sha256(&number.to_le_bytes())
}

fn image(number: usize, platform: Option<&str>) -> ChildImage {
    let platform = platform.map(|platform| platform.parse().unwrap());
    ChildImage { digest: digest(number), platform }
}

/// An index of one image for each of `platforms`, which are numbered.
fn lists(platforms: &[Option<&str>]) -> ManifestFacts {
    let images = platforms.iter().enumerate().map(|(at, platform)| image(at, *platform));
    let images: Vec<_> = images.collect();
    let platforms = images.iter().filter_map(|image| image.platform.clone()).collect();
    let children = images.iter().map(|image| image.digest).collect();
    ManifestFacts { is_index: true, platforms, children, images: Some(images), ..facts() }
}

fn search(found: Vec<crate::signature::FoundSignature>) -> SignatureSearch {
    let looked_for = vec!["referrers API".to_owned()];
    SignatureSearch { found, looked_for, ..SignatureSearch::default() }
}

/// What is known about an index that lists `facts`, signed by `index`, each image by those in `images`.
fn known(facts: ManifestFacts, index: &[&Pen], images: &[&[&Pen]]) -> Evidence {
    let by = |pens: &[&Pen], digest: Digest| {
        search(pens.iter().map(|pen| pen.sign("up.test/a", &digest)).collect())
    };
    let own = by(index, self::index().digest);
    let each = images.iter().enumerate();
    let searches = each.map(|(at, pens)| (digest(at), by(pens, digest(at)))).collect();
    Evidence {
        signatures: Gathered::Found(own),
        child_signatures: Gathered::Found(ChildSignatures { searches, keeps_attestations: true }),
        ..evidence(facts)
    }
}

fn timed_out<T>() -> Gathered<T> {
    Gathered::Failed("upstream timed out".to_owned())
}

fn policy(pen: &Pen, scope: &str, floor: &str) -> ReadyPolicy {
    let signatures = format!("{{atLeast: 1, of: [team], scope: {scope}}}");
    asking_on(&[("team", pen)], &signatures, floor)
}

fn verdict(policy: &ReadyPolicy, evidence: &Evidence) -> Vec<String> {
    let judgement = decided(decide(&index(), evidence, &context(policy)));
    judgement.reasons().iter().map(|reason| reason.text.clone()).collect()
}

fn both() -> ManifestFacts {
    lists(&[Some(AMD64), Some(ARM64)])
}

#[test]
fn each_scope_takes_what_it_names_and_nothing_else() {
    let (pen, other) = (Pen::new(), Pen::new());
    let (yes, no, stranger): (&[&Pen], &[&Pen], &[&Pen]) = (&[&pen], &[], &[&other]);
    for (signed, by_index, by_each, by_either) in [
        ((yes, [yes, yes]), true, true, true),
        ((yes, [no, no]), true, false, true),
        ((no, [yes, yes]), false, true, true),
        ((stranger, [yes, yes]), false, true, true),
        ((no, [yes, no]), false, false, false),
        ((no, [no, yes]), false, false, false),
        ((no, [yes, stranger]), false, false, false),
        ((yes, [stranger, stranger]), true, false, true),
        ((no, [no, no]), false, false, false),
    ] {
        let evidence = known(both(), signed.0, &signed.1);
        for (scope, expected) in
            [("index", by_index), ("every-platform", by_each), ("either", by_either)]
        {
            let policy = policy(&pen, scope, FLOOR);
            let judgement = decided(decide(&index(), &evidence, &context(&policy)));
            assert_eq!(judgement.admits(), expected, "{scope}: {:?}", judgement.checks);
            assert_eq!(judgement.verdict.rests_on_absence(), !expected, "{scope}");
        }
    }
}

#[test]
fn a_signature_over_one_image_counts_for_no_other() {
    let pen = Pen::new();
    let policy = policy(&pen, "every-platform", FLOOR);
    let mut evidence = known(both(), &[&pen], &[&[&pen], &[]]);
    let Gathered::Found(below) = &mut evidence.child_signatures else { panic!("not found") };
    for over in [digest(0), index().digest] {
        let copied = search(vec![pen.sign("up.test/a", &over)]);
        below.searches.insert(digest(1), copied);
    }
    let judgement = decided(decide(&index(), &evidence, &context(&policy)));
    assert_eq!(codes(&judgement), [ReasonCode::WrongSigner]);
    assert!(judgement.reasons()[0].text.starts_with("linux/arm64 ("), "{judgement:?}");
}

#[test]
fn every_quorum_must_be_met_by_each_image_itself() {
    let (a, b) = (Pen::new(), Pen::new());
    let all = "{all: [{atLeast: 1, of: [a]}, {atLeast: 1, of: [b]}], scope: every-platform}";
    let policy = asking_on(&[("a", &a), ("b", &b)], all, FLOOR);
    let evidence = known(both(), &[], &[&[&a, &b], &[&a, &b]]);
    assert_eq!(verdict(&policy, &evidence), [""; 0]);
    let evidence = known(both(), &[&a, &b], &[&[&a], &[&b]]);
    let (amd64, arm64) = (digest(0).short(), digest(1).short());
    let expected = [
        format!("linux/amd64 ({amd64}): not signed by b"),
        format!("linux/arm64 ({arm64}): not signed by a"),
    ];
    assert_eq!(verdict(&policy, &evidence), expected);
}

#[test]
fn a_refusal_names_the_images_that_lack_something_and_where_it_was_looked_for() {
    let pen = Pen::new();
    let policy = policy(&pen, "every-platform", FLOOR);
    let judgement =
        decided(decide(&index(), &known(both(), &[], &[&[&pen], &[]]), &context(&policy)));
    let arm64 = digest(1).short();
    assert_eq!(
        judgement.reasons()[0].remedy,
        format!("linux/arm64 ({arm64}) would have to be signed by team. Looked in referrers API.")
    );
    let check = judgement.checks.iter().find(|check| check.name == "signature").unwrap();
    let expected = format!(
        "each of 2 images needs 1 of [team]; not signed so: linux/arm64 ({arm64}): no signature found"
    );
    assert_eq!(check.text, expected);
    let many = [Some(AMD64); 10];
    let evidence = known(lists(&many), &[], &[&[][..]; 10]);
    let texts = verdict(&policy, &evidence);
    assert_eq!(texts.len(), 4);
    assert_eq!(texts[3], "7 more images are not signed so");
}

#[test]
fn images_that_are_served_to_nobody_need_no_signature() {
    let pen = Pen::new();
    let facts = || lists(&[Some(AMD64), Some("windows/amd64"), Some("unknown/unknown")]);
    let evidence = known(facts(), &[], &[&[&pen], &[], &[]]);
    let floor = "{platforms: [linux/amd64]}";
    assert_eq!(verdict(&policy(&pen, "every-platform", floor), &evidence), [""; 0]);
    assert_eq!(verdict(&policy(&pen, "every-platform", "{}"), &evidence).len(), 2);
    // What a floor without a variant lets through is asked for, whatever variant it calls itself.
    let variants = lists(&[Some("linux/arm/v7"), Some("linux/arm/v8"), Some("linux/arm64")]);
    let evidence = known(variants, &[], &[&[&pen], &[], &[]]);
    let texts = verdict(&policy(&pen, "every-platform", "{platforms: [linux/arm]}"), &evidence);
    assert!(texts.len() == 1 && texts[0].starts_with("linux/arm/v8 ("), "{texts:?}");
    let exact = policy(&pen, "every-platform", "{platforms: [linux/arm/v7]}");
    assert_eq!(verdict(&exact, &evidence), [""; 0]);
    // Nobody knows what it is, so it may be anything.
    let evidence = known(lists(&[Some(AMD64), None]), &[], &[&[&pen], &[]]);
    let texts = verdict(&policy(&pen, "every-platform", floor), &evidence);
    assert!(texts.len() == 1 && texts[0].starts_with("no stated platform ("), "{texts:?}");
}

#[test]
fn an_index_without_an_image_is_not_signed_on_every_platform() {
    let pen = Pen::new();
    for (facts, floor) in [(lists(&[]), "{}"), (lists(&[Some("windows/amd64")]), FLOOR)] {
        for scope in ["every-platform", "either"] {
            let evidence = known(facts.clone(), &[], &[&[&pen]]);
            assert_ne!(verdict(&policy(&pen, scope, floor), &evidence), [""; 0], "{scope}");
        }
    }
    let evidence = known(lists(&[]), &[&pen], &[]);
    assert_eq!(verdict(&policy(&pen, "either", "{}"), &evidence), [""; 0]);
    let expected = ["lists no image that could be signed"];
    assert_eq!(verdict(&policy(&pen, "every-platform", "{}"), &evidence), expected);
}

#[test]
fn an_image_that_is_asked_for_is_its_own_only_platform() {
    let pen = Pen::new();
    for scope in ["every-platform", "either", "index"] {
        let policy = policy(&pen, scope, FLOOR);
        let signed =
            Evidence { child_signatures: Gathered::NotGathered, ..known(facts(), &[&pen], &[]) };
        assert_eq!(verdict(&policy, &signed), [""; 0], "{scope}");
        let unsigned = known(facts(), &[], &[&[&pen]]);
        assert_eq!(verdict(&policy, &unsigned), ["not signed by team"], "{scope}");
    }
}

#[test]
fn images_are_asked_for_only_where_the_verdict_hangs_on_them() {
    let pen = Pen::new();
    let asks = |scope: &str, evidence: &Evidence| {
        decide(&index(), evidence, &context(&policy(&pen, scope, FLOOR)))
    };
    let nothing = Evidence::default();
    let (manifest, own) = (EvidenceKind::Manifest, EvidenceKind::Signatures);
    let below = || Outcome::Missing(vec![EvidenceKind::ChildSignatures]);
    // Nobody compares signers with those of before.
    let alone = "{atLeast: 1, of: [team], scope: every-platform}, signerChange: allow";
    let alone = asking_on(&[("team", &pen)], alone, FLOOR);
    let outcome = decide(&index(), &nothing, &context(&alone));
    assert_eq!(outcome, Outcome::Missing(vec![manifest]));
    assert_eq!(asks("every-platform", &nothing), Outcome::Missing(vec![manifest, own]));
    assert_eq!(asks("either", &nothing), Outcome::Missing(vec![manifest, own]));
    let unknown = |index: &[&Pen]| Evidence {
        child_signatures: Gathered::NotGathered,
        ..known(both(), index, &[])
    };
    assert_eq!(asks("every-platform", &unknown(&[&pen])), below());
    assert_eq!(asks("either", &unknown(&[])), below());
    assert!(decided(asks("either", &unknown(&[&pen]))).admits());
    let neither = Evidence { signatures: Gathered::NotGathered, ..unknown(&[]) };
    assert_eq!(asks("either", &neither), Outcome::Missing(vec![own]));
    assert_eq!(asks("every-platform", &neither), below());
    assert!(decided(asks("index", &unknown(&[&pen]))).admits());
    // Searched for under another floor: one image is missing.
    assert_eq!(asks("every-platform", &known(both(), &[], &[&[&pen]])), below());
    // Kept by a version that did not tell images apart.
    let old = ManifestFacts { images: None, ..both() };
    let old = known(old, &[], &[&[&pen], &[&pen]]);
    assert_eq!(asks("every-platform", &old), Outcome::Missing(vec![manifest]));
}

#[test]
fn a_search_below_an_index_that_failed_is_neither_yes_nor_no() {
    let pen = Pen::new();
    for scope in ["every-platform", "either"] {
        let policy = policy(&pen, scope, FLOOR);
        let outcome = |evidence: &Evidence| decide(&index(), evidence, &context(&policy));
        let evidence = Evidence { child_signatures: timed_out(), ..known(both(), &[], &[]) };
        assert!(matches!(outcome(&evidence), Outcome::Undecided(_)), "{scope}");
        let mut evidence = known(both(), &[], &[&[&pen], &[]]);
        let Gathered::Found(below) = &mut evidence.child_signatures else { panic!("not found") };
        below.searches.get_mut(&digest(1)).unwrap().incomplete = Some("timed out".to_owned());
        assert!(matches!(outcome(&evidence), Outcome::Undecided(_)), "{scope}");
        // One image that certainly is not signed is enough.
        let mut evidence = known(both(), &[], &[&[], &[]]);
        let Gathered::Found(below) = &mut evidence.child_signatures else { panic!("not found") };
        below.searches.get_mut(&digest(1)).unwrap().incomplete = Some("timed out".to_owned());
        let judgement = decided(outcome(&evidence));
        assert!(!judgement.admits(), "{scope}");
        assert!(judgement.reasons().iter().all(|it| !it.text.contains("linux/arm64")));
        // What could not be looked for on the index may be there, whatever the images lack.
        let evidence = Evidence { signatures: timed_out(), ..known(both(), &[], &[&[], &[]]) };
        let is_open = matches!(outcome(&evidence), Outcome::Undecided(_));
        assert_eq!(is_open, scope == "either");
        let evidence =
            Evidence { signatures: timed_out(), ..known(both(), &[], &[&[&pen], &[&pen]]) };
        assert!(decided(outcome(&evidence)).admits(), "{scope}");
    }
}

#[test]
fn what_denies_by_itself_needs_no_search_below() {
    let pen = Pen::new();
    let foreign = ManifestFacts { foreign_layer: Some(Digest::sha256(b"x")), ..both() };
    for child_signatures in [Gathered::NotGathered, timed_out()] {
        for scope in ["every-platform", "either"] {
            let evidence = Evidence {
                child_signatures: child_signatures.clone(),
                ..known(foreign.clone(), &[], &[])
            };
            let policy = policy(&pen, scope, FLOOR);
            let judgement = decided(decide(&index(), &evidence, &context(&policy)));
            assert_eq!(codes(&judgement), [ReasonCode::ForeignLayer], "{scope}");
        }
    }
}

#[test]
fn how_many_images_and_signatures_are_judged_is_bounded() {
    let pen = Pen::new();
    let policy = policy(&pen, "every-platform", "{}");
    let most = ChildSignatures::IMAGES_MAX;
    let many = vec![Some(AMD64); most + 1];
    let evidence =
        Evidence { child_signatures: Gathered::NotGathered, ..known(lists(&many), &[], &[]) };
    let texts = verdict(&policy, &evidence);
    assert_eq!(texts, [format!("lists {} images, of {most} signatures are judged", most + 1)]);
    let flood: Vec<&Pen> = vec![&pen; 65];
    let evidence = known(both(), &[], &[&[&pen], &flood]);
    let judgement = decided(decide(&index(), &evidence, &context(&policy)));
    assert_eq!(codes(&judgement), [ReasonCode::TooManySignatures]);
}

#[test]
fn evidence_about_images_survives_being_stored_and_older_evidence_is_read() {
    let pen = Pen::new();
    let evidence = known(both(), &[&pen], &[&[&pen], &[]]);
    let text = serde_json::to_string(&evidence).unwrap();
    assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value.as_object_mut().unwrap().remove("child_signatures");
    value["manifest"]["found"].as_object_mut().unwrap().remove("images");
    let old: Evidence = serde_json::from_value(value).unwrap();
    assert_eq!(old.child_signatures, Gathered::NotGathered);
    assert_eq!(old.manifest.found().unwrap().images, None);
    let empty = ChildSignatures::default();
    assert_eq!(ChildSignatures::default(), empty);
}
