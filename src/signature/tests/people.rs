//! Certificates of good authorities for somebody else, or for nobody (T20, T22, T24, T31).

use serde_json::json;

use super::forger::{Forger, statement, subject};
use super::instance::certificate::{
    Draft, common_name, email, name, other_name, promises, promises_number, uri,
};
use super::instance::der::{octets, sequence, tagged, tlv, utf8};
use super::instance::{
    ISSUER, Instance, LONG, SHORT, SIGNED, Signed, WHO, assert_refused, outcome, signer, trust,
    wanted,
};
use crate::signature::{Identity, Pattern, Refusal, Signer, SubjectKind, Wanted};

const ISSUER_V1: &str = "1.3.6.1.4.1.57264.1.1";
const ISSUER_V2: &str = "1.3.6.1.4.1.57264.1.8";
const ALTERNATIVE_NAME: &str = "2.5.29.17";
const NAME_CONSTRAINTS: &str = "2.5.29.30";
const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
const SERVER: &str = "1.3.6.1.5.5.7.3.1";

/// What comes of the signature of somebody with this certificate.
fn signed_by(instance: &Instance, draft: &Draft, wanted: &Signer) -> Result<String, Refusal> {
    let signed = instance.sign_by(draft);
    outcome(&signed.bundle(&[instance.entry(&signed)], &[]), wanted)
}

fn identity(issuer: Wanted, subject: Wanted, kind: SubjectKind) -> Identity {
    Identity { issuer, subject, kind }
}

fn exact(text: &str) -> Wanted {
    Wanted::Exact(text.to_owned())
}

/// T22: issuer and subject are one pair, and a name is of one kind.
#[test]
fn the_right_name_by_another_issuer_or_of_another_kind_is_somebody_else() {
    let instance = Instance::new();
    let wanted = instance.wanted();
    let other = |subject: &str, issuer: &str| {
        Err(Refusal::OtherIdentity { subject: subject.to_owned(), issuer: issuer.to_owned() })
    };
    let by = |names: &[Vec<u8>], issuer: &str| {
        signed_by(&instance, &Draft::signer(names, issuer, SHORT), &wanted)
    };
    assert!(by(&[uri(WHO)], ISSUER).is_ok());
    let elsewhere = "https://issuer.test.evil.test";
    assert_eq!(by(&[uri(WHO)], elsewhere), other(WHO, elsewhere));
    assert_eq!(by(&[uri(ISSUER)], WHO), other(ISSUER, WHO));
    assert_eq!(by(&[email(WHO)], ISSUER), other(WHO, ISSUER));
    for close in [
        &format!("{WHO}x"),
        &WHO[..WHO.len() - 1],
        &WHO.to_uppercase(),
        &WHO.replace("release.yml", "evil.yml"),
        &format!("{WHO}@evil"),
    ] {
        assert_eq!(by(&[uri(close)], ISSUER), other(close, ISSUER));
    }
    // A person with the address that somebody wants, and a machine whose name reads the same.
    let address = "dev@acme.test";
    let person = Signer::keyless(
        trust(&instance.trusted()),
        identity(exact(ISSUER), exact(address), SubjectKind::Email),
    );
    let draft = |it: Vec<u8>| Draft::signer(&[it], ISSUER, SHORT);
    assert!(signed_by(&instance, &draft(email(address)), &person).is_ok());
    assert_eq!(signed_by(&instance, &draft(uri(address)), &person), other(address, ISSUER));
}

/// T22: whoever has no name of a kind that counts is nobody.
#[test]
fn a_certificate_without_a_name_or_an_issuer_is_nobodys() {
    let instance = Instance::new();
    let wanted = instance.wanted();
    let by = |draft: &Draft| signed_by(&instance, draft, &wanted);
    let named = |names: &[Vec<u8>]| Draft::signer(names, ISSUER, SHORT);
    assert_eq!(by(&named(&[other_name(WHO)])), Err(Refusal::Nameless));
    assert_eq!(by(&named(&[tlv(0x82, b"ci.test")])), Err(Refusal::Nameless), "a DNS name");
    assert_eq!(by(&signer().without(ALTERNATIVE_NAME)), Err(Refusal::Nameless));
    let unnamed = Draft { subject: common_name(WHO), ..signer().without(ALTERNATIVE_NAME) };
    assert_eq!(by(&unnamed), Err(Refusal::Nameless), "the subject is no name here");
    let no_issuer = signer().without(ISSUER_V1).without(ISSUER_V2);
    assert_eq!(by(&no_issuer), Err(Refusal::Nameless));
    for empty in [uri(""), email("")] {
        let refused = by(&named(&[empty]));
        assert!(matches!(refused, Err(Refusal::OtherIdentity { .. })), "{refused:?}");
    }
    // What is called issuer in the old extension does not count beside the new one.
    let two = signer().with(ISSUER_V2, false, &utf8("https://evil.test"));
    let refused = by(&two);
    assert!(matches!(refused, Err(Refusal::OtherIdentity { .. })), "{refused:?}");
    assert_refused(by(&signer().with(ISSUER_V2, false, ISSUER.as_bytes())), "Fulcio issuer");
    assert!(by(&signer().without(ISSUER_V1)).is_ok());
    assert!(by(&signer().without(ISSUER_V2)).is_ok(), "certificates from before");
}

/// T20: a pattern speaks of the whole name, as one line, and as it is written.
#[test]
fn names_that_only_contain_or_resemble_what_is_wanted_are_refused() {
    let instance = Instance::new();
    let pattern = |text: &str| Wanted::Pattern(Pattern::new(text).unwrap());
    let root = trust(&instance.trusted());
    let ours = Signer::keyless(
        root.clone(),
        identity(
            pattern(r"https://issuer\.test|https://login\.test"),
            pattern(r"https://ci\.test/acme/app/.*|https://ci\.test/acme/web/release\.yml@refs/.*"),
            SubjectKind::Uri,
        ),
    );
    let by = |subject: &str, issuer: &str| {
        signed_by(&instance, &Draft::signer(&[uri(subject)], issuer, SHORT), &ours)
    };
    assert!(by(WHO, ISSUER).is_ok());
    assert!(
        by("https://ci.test/acme/web/release.yml@refs/heads/main", "https://login.test").is_ok()
    );
    for subject in [
        "https://evil.test/?https://ci.test/acme/app/x",
        "https://ci.test/acme/app/x\nhttps://evil.test",
        "https://evil.test\nhttps://ci.test/acme/app/x",
        "https://ci.test/acme/app/x\r",
        "https://ci.test/acme/app/x\0",
        "https://CI.test/acme/app/x",
        "https://ci_test/acme/app/x",
        "https://ci.test/acme/web/release_yml@refs/tags/v1",
        "https://ci.test/acme/web/release.yml",
        "",
    ] {
        let refused = by(subject, ISSUER);
        assert!(matches!(refused, Err(Refusal::OtherIdentity { .. })), "{subject:?}: {refused:?}");
    }
    let long = format!("https://ci.test/acme/app/{}", "x".repeat(3_000));
    assert!(matches!(by(&long, ISSUER), Err(Refusal::OtherIdentity { .. })), "too long to be one");
    for issuer in ["https://issuer.test@evil", "https://issuer.test\n", "https://issuerxtest", ""] {
        let refused = by(WHO, issuer);
        assert!(matches!(refused, Err(Refusal::OtherIdentity { .. })), "{issuer:?}: {refused:?}");
    }
}

/// What comes of a signature with this certificate.
fn with(instance: &Instance, key: Forger, certificate: Vec<u8>) -> Result<String, Refusal> {
    let signed = Signed::new(key, certificate, &statement(&subject()).to_string());
    outcome(&signed.bundle(&[instance.entry(&signed)], &[]), &instance.wanted())
}

/// T24: what no log of certificates has seen may be anybody's.
#[test]
fn a_certificate_that_no_trusted_log_has_seen_is_refused() {
    let instance = Instance::new();
    let (log, authority) = (&instance.certificates, &instance.between);
    let key = Forger::p256;
    let listed = |words: &[Vec<u8>]| signer().with(promises_number(), false, &promises(words));
    let none = "certificate is in no trusted log: certificate is missing SCT extension";
    let holder = key();
    assert_refused(with(&instance, Forger::p256(), signer().issued(&key(), authority)), none);
    let certificate = signer().issued(&holder, authority);
    assert_refused(with(&instance, holder, certificate), none);
    let holder = key();
    let certificate = listed(&[]).issued(&holder, authority);
    assert_refused(with(&instance, holder, certificate), "certificate is in no trusted log");
    let holder = key();
    let certificate = signer().logged(&holder, authority, &key(), SIGNED);
    assert_refused(with(&instance, holder, certificate), "key not found or not valid at");
    // The word of the right log for another certificate: of another key, for another name, by
    // another authority, and about another time.
    let failed = "certificate is in no trusted log: SCT signature verification failed";
    let holder = key();
    let words = [
        signer().promise(&key(), authority, log, SIGNED),
        Draft::signer(&[uri("https://evil.test")], ISSUER, SHORT)
            .promise(&holder, authority, log, SIGNED),
        signer().promise(&holder, &instance.root, log, SIGNED),
    ];
    for word in words {
        let signed = listed(&[word]).issued(&holder, authority);
        assert_refused(with(&instance, Forger::p256(), signed), failed);
    }
    let mut word = signer().promise(&holder, authority, log, SIGNED);
    word[40] ^= 1;
    let certificate = listed(&[word]).issued(&holder, authority);
    assert_refused(with(&instance, holder, certificate), failed);
    for garbage in [vec![], octets(&[]), octets(&[0, 1, 0]), octets(&[0xff; 40]), vec![0xff; 9]] {
        let holder = key();
        let draft = signer().with(promises_number(), false, &garbage);
        let certificate = draft.issued(&holder, authority);
        let refused = with(&instance, holder, certificate).unwrap_err().to_string();
        let known = ["malformed certificate", "certificate is in no trusted log"];
        assert!(known.iter().any(|why| refused.contains(why)), "{refused}");
    }
}

/// T24: a log of certificates vouches for what it saw while its key was in use.
#[test]
fn the_word_of_a_log_from_outside_its_time_is_refused() {
    let instance = Instance::new();
    let signed = instance.sign();
    let bundle = signed.bundle(&[instance.entry(&signed)], &[]);
    let mut root = instance.trusted();
    root["ctlogs"][0]["publicKey"]["validFor"]["end"] = json!("2023-01-01T00:00:00Z");
    assert_refused(outcome(&bundle, &wanted(&root)), "key not found or not valid at");
    root["ctlogs"] = json!([]);
    assert_refused(outcome(&bundle, &wanted(&root)), "no CT log keys");
}

/// T31 (RUSTSEC-2026-0098): what an authority may not issue, it has not issued.
#[test]
fn the_constraints_of_an_authority_on_names_are_kept() {
    let mut instance = Instance::new();
    let constrained = |tree: &[u8]| {
        let permitted = tagged(0, &sequence(&[tree.to_vec()]));
        Draft::authority("constrained", LONG, Some(0)).purposes(&[CODE_SIGNING]).with(
            NAME_CONSTRAINTS,
            true,
            &sequence(&[permitted]),
        )
    };
    for tree in [uri("allowed.test"), email("allowed.test"), tlv(0x82, b"allowed.test")] {
        instance.between = constrained(&tree).below(&instance.root);
        let refused = signed_by(&instance, &signer(), &instance.wanted());
        let about_uris = tree == uri("allowed.test");
        if about_uris {
            assert_refused(refused, "certificate chain validation failed: NameConstraintViolation");
        } else {
            assert!(refused.is_ok(), "that is about other kinds of names: {refused:?}");
        }
    }
}

/// Certificates that a good authority issued, for something else.
#[test]
fn certificates_for_other_purposes_or_by_no_authority_are_refused() {
    let mut instance = Instance::new();
    let wanted = instance.wanted();
    let by = |draft: &Draft| signed_by(&instance, draft, &wanted);
    assert_refused(by(&signer().purposes(&[SERVER])), "RequiredEkuNotFound");
    assert_refused(by(&signer().without("2.5.29.37")), "RequiredEkuNotFound");
    let authority = sequence(&[tlv(0x01, &[0xff])]);
    let also = signer().with("2.5.29.19", true, &authority);
    assert_refused(by(&also), "CaUsedAsEndEntity");
    assert_refused(by(&signer().with("1.2.3.4", true, &[5, 0])), "UnsupportedCriticalExtension");
    let named = Draft { subject: name(&[("2.5.4.3", WHO)]), ..signer() };
    assert!(by(&named).is_ok(), "a subject of its own changes nothing");
    // A signer is no authority, and neither is one of the same name.
    let leaf = signer().purposes(&[CODE_SIGNING]).below(&instance.between);
    let impostor = Draft::authority("between", LONG, Some(0)).purposes(&[CODE_SIGNING]).root();
    for by in [leaf, impostor] {
        instance.between = by;
        let signed = instance.sign();
        let refused = outcome(&signed.bundle(&[instance.entry(&signed)], &[]), &wanted);
        assert_refused(refused, "certificate chain is invalid");
    }
}
