//! When something was signed, by whose word (T09, T10, T12).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::forger::{Forger, statement, subject};
use super::instance::certificate::{Authority, CODE_SIGNING, Draft, common_name, uri};
use super::instance::clock::Stamp;
use super::instance::log::Place;
use super::instance::{
    DAY, ISSUER, Instance, LONG, PLACE, SHORT, SIGNED, Signed, Simple, WHO, assert_refused, logged,
    outcome, wanted,
};
use crate::signature::Refusal;
use crate::time::Timestamp;

const DSSE: (&str, &str) = ("dsse", "0.0.1");
const NO_TIME: &str = "nothing proves when it was signed";
/// In the year 2096.
const FUTURE: i64 = 4_000_000_000;

/// What comes of a signature that a log has seen at `logged`, and the clock at each of `stamped`.
fn seen(
    instance: &Instance,
    signed: &Signed,
    logged: i64,
    stamped: &[i64],
) -> Result<String, Refusal> {
    let entry = instance.rekor.entry(DSSE, &signed.dsse(), Place { at: logged, ..PLACE });
    let stamps: Vec<_> = stamped.iter().map(|at| instance.stamp(&signed.signature, *at)).collect();
    outcome(&signed.bundle(&[entry], &stamps), &instance.wanted())
}

/// T09: every time that is proven must be one at which the certificate was valid.
#[test]
fn a_certificate_must_have_been_valid_whenever_anybody_saw_it_sign() {
    let instance = Instance::new();
    let signed = instance.sign();
    let expired = "CertExpired";
    let early = "CertNotValidYet";
    assert!(seen(&instance, &signed, SHORT.0, &[SHORT.1]).is_ok(), "both ends are within");
    assert_refused(seen(&instance, &signed, SHORT.1 + 1, &[]), expired);
    assert_refused(seen(&instance, &signed, SHORT.0 - 1, &[]), early);
    assert_refused(seen(&instance, &signed, SIGNED, &[SHORT.1 + 1]), expired);
    assert_refused(seen(&instance, &signed, SIGNED, &[SHORT.0 - 1]), early);
    assert_refused(seen(&instance, &signed, SIGNED, &[SIGNED, SIGNED + DAY]), expired);
    assert_refused(seen(&instance, &signed, SIGNED + DAY, &[SIGNED]), expired);
    let simple = Simple::new(&instance, "up.test/signed/web", &subject());
    let late = simple.found(&instance.rekor, Place { at: SHORT.1 + 1, ..PLACE });
    let now = Timestamp::from_milliseconds(SIGNED * 1000);
    let name = super::forger::name();
    assert_refused(instance.wanted().verify(&late, &name, &subject(), now), expired);
}

/// T09: a time that nobody signed is none.
#[test]
fn a_time_without_a_promise_of_the_log_proves_nothing() {
    let instance = Instance::new();
    let signed = instance.sign();
    let mut entry = instance.entry(&signed);
    entry.as_object_mut().unwrap().remove("inclusionPromise");
    let refused = outcome(&signed.bundle(&[entry.clone()], &[]), &instance.wanted());
    assert_refused(refused, NO_TIME);
    let stamp = instance.stamp(&signed.signature, SIGNED);
    entry["integratedTime"] = json!(FUTURE.to_string());
    let stamped = outcome(&signed.bundle(&[entry], &[stamp]), &instance.wanted());
    assert!(stamped.is_ok(), "that time is not looked at: {stamped:?}");
    let unstamped = signed.bundle(&[instance.second_entry(&signed)], &[]);
    assert_refused(outcome(&unstamped, &instance.wanted()), NO_TIME);
    // An entry that says it is of Rekor 2 has no time, with whatever promise.
    let mut entry = instance.second_entry(&signed);
    entry["integratedTime"] = json!(SIGNED.to_string());
    let promise = instance.second.promise(&signed.hashed(), Place { index: 1, at: SIGNED });
    entry["inclusionPromise"] = json!({"signedEntryTimestamp": promise});
    assert_refused(outcome(&signed.bundle(&[entry], &[]), &instance.wanted()), NO_TIME);
}

/// T09: a time that was changed, and one that has not come yet.
#[test]
fn a_promise_for_another_time_or_from_the_future_is_refused() {
    let instance = Instance::new();
    let signed = instance.sign();
    for at in [SIGNED - 1, SIGNED + 1, 0, -1] {
        let mut entry = instance.entry(&signed);
        entry["integratedTime"] = json!(at.to_string());
        let refused = outcome(&signed.bundle(&[entry], &[]), &instance.wanted()).unwrap_err();
        let text = refused.to_string();
        let known = ["SET verification failed", "No log key valid", NO_TIME];
        assert!(known.iter().any(|why| text.contains(why)), "{at}: {text}");
    }
    let signed = instance.sign_by(&Draft::signer(&[uri(WHO)], ISSUER, (SIGNED, FUTURE + DAY)));
    assert_refused(seen(&instance, &signed, FUTURE, &[]), "is in the future");
    let keyed = Signed::new(Forger::p256(), Vec::new(), &statement(&subject()).to_string());
    let body = keyed.dsse_with(&STANDARD.encode(keyed.public()));
    let entry = instance.rekor.entry(DSSE, &body, Place { at: FUTURE, ..PLACE });
    let wanted = logged(&keyed.key, &instance.trusted());
    assert_refused(outcome(&keyed.keyed(&[entry]), &wanted), "is in the future");
}

/// T10 (CVE-2026-24122): the whole chain must have been valid, up to the root.
#[test]
fn an_authority_that_had_expired_when_it_was_signed_vouches_for_nobody() {
    let ended = (SIGNED - 100 * DAY, SIGNED - DAY);
    let not_begun = (SIGNED + DAY, SIGNED + 100 * DAY);
    for window in [ended, not_begun] {
        for instance in [Instance::with(window, LONG), Instance::with(LONG, window)] {
            for (kind, bundle) in instance.good(&instance.sign()) {
                match outcome(&bundle, &instance.wanted()) {
                    Ok(by) => panic!("{kind}: accepted: {by}"),
                    Err(refusal) => assert_refused(
                        Err::<(), _>(refusal),
                        "no trusted certificate authority is valid at 2023-11-14T22:13:20Z",
                    ),
                }
            }
        }
    }
    // That they have expired since is as it should be.
    let since = (SIGNED - DAY, SIGNED + DAY);
    let instance = Instance::with(since, since);
    for (kind, bundle) in instance.good(&instance.sign()) {
        assert!(outcome(&bundle, &instance.wanted()).is_ok(), "{kind}");
    }
}

/// T10: an authority that the bundle brings is judged like one of the root.
#[test]
fn an_authority_that_a_bundle_brings_must_have_been_valid_too() {
    for (between, why) in [
        (LONG, ""),
        ((SIGNED - 100 * DAY, SIGNED - DAY), "CertExpired"),
        ((SIGNED + DAY, LONG.1), "CertNotValidYet"),
    ] {
        let instance = Instance::with(LONG, between);
        let mut root = instance.trusted();
        let chain = &mut root["certificateAuthorities"][0]["certChain"]["certificates"];
        chain.as_array_mut().unwrap().remove(0);
        let signed = instance.sign();
        let mut bundle = signed.bundle(&[instance.entry(&signed)], &[]);
        bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
        let material = bundle["verificationMaterial"].as_object_mut().unwrap();
        let leaf = material.remove("certificate").unwrap();
        let above = json!({"rawBytes": STANDARD.encode(&instance.between.certificate)});
        material.insert("x509CertificateChain".to_owned(), json!({"certificates": [leaf, above]}));
        let outcome = outcome(&bundle, &wanted(&root));
        if why.is_empty() {
            assert!(outcome.is_ok(), "{outcome:?}");
        } else {
            assert_refused(outcome, why);
        }
    }
}

/// What comes of an entry of Rekor 2 with that token of a clock, under that root.
fn stamped(
    instance: &Instance,
    signed: &Signed,
    token: Vec<u8>,
    root: &Value,
) -> Result<String, Refusal> {
    let bundle = signed.bundle(&[instance.second_entry(signed)], &[token]);
    outcome(&bundle, &wanted(root))
}

/// T12 (CVE-2026-39984): a token counts by the authority that the root lists, for this signature.
#[test]
fn a_timestamp_of_another_authority_purpose_or_signature_is_refused() {
    let instance = Instance::new();
    let signed = instance.sign();
    let root = instance.trusted();
    let judge = |stamp: Stamp<'_>| stamped(&instance, &signed, stamp.token(), &root);
    let good = || instance.stamped(&signed.signature);
    assert!(judge(good()).is_ok());
    assert!(judge(Stamp { brings: Vec::new(), ..good() }).is_ok(), "the root has the certificate");
    let stranger = Instance::new();
    assert_refused(
        judge(Stamp { signer: &stranger.clock, ..good() }),
        "TSA timestamp verification",
    );
    // The right name and number in front of a stranger's certificate and signature.
    let forged = Stamp {
        signer: &stranger.clock,
        bound: &stranger.clock.certificate,
        brings: vec![stranger.clock.certificate.clone(), stranger.clock_root.certificate.clone()],
        ..good()
    };
    assert_refused(judge(forged), "TSA timestamp verification failed");
    // Another certificate of the same authority, which the root does not list.
    let sibling = Draft { serial: 2, ..Draft::clock(common_name("clock"), LONG) };
    let sibling: Authority = sibling.below(&instance.clock_root);
    let by_sibling = || Stamp {
        signer: &sibling,
        bound: &sibling.certificate,
        brings: vec![sibling.certificate.clone()],
        ..good()
    };
    assert_refused(judge(Stamp { serial: 2, ..by_sibling() }), "does not match any trusted TSA");
    assert_refused(judge(by_sibling()), "TSA timestamp verification failed");
    assert_refused(judge(Stamp { seen: b"another signature", ..good() }), "hash mismatch");
    assert_refused(judge(Stamp { seen: signed.payload.as_bytes(), ..good() }), "hash mismatch");
    let other = Stamp { kind: "1.2.840.113549.1.7.1", ..good() };
    assert_refused(judge(other), "content type is not TSTInfo");
    let plain = stamped(&instance, &signed, b"no token".to_vec(), &root);
    assert_refused(plain, "TSA timestamp verification failed");
    assert_refused(stamped(&instance, &signed, Vec::new(), &root), "TSA timestamp");
}

/// T12 (TOB-SIGSTORE-11): the time must be one of this authority, not of any.
#[test]
fn a_timestamp_outside_the_time_of_its_own_authority_is_refused() {
    let instance = Instance::new();
    let signed = instance.sign();
    let token = || instance.stamp(&signed.signature, SIGNED);
    let mut root = instance.trusted();
    root["timestampAuthorities"][0]["validFor"]["end"] = json!("2023-01-01T00:00:00Z");
    let why = "2023-11-14T22:13:20Z";
    assert_refused(stamped(&instance, &signed, token(), &root), why);
    // Another authority whose time it would be does not help.
    let other = Instance::new().trusted()["timestampAuthorities"][0].clone();
    root["timestampAuthorities"].as_array_mut().unwrap().push(other);
    assert_refused(stamped(&instance, &signed, token(), &root), why);
    root["timestampAuthorities"] = json!([]);
    assert_refused(stamped(&instance, &signed, token(), &root), "no timestamp authorities");
}

/// T12, T10: a clock whose certificates are for something else, or were not valid then.
#[test]
fn a_clock_whose_certificate_is_not_for_that_or_had_expired_is_none() {
    let with = |clock: Draft, clock_root: (i64, i64)| {
        let mut instance = Instance::new();
        instance.clock_root = Draft::authority("clock root", clock_root, None).root();
        instance.clock = clock.below(&instance.clock_root);
        let signed = instance.sign();
        let token = instance.stamp(&signed.signature, SIGNED);
        stamped(&instance, &signed, token, &instance.trusted())
    };
    let clock = |valid| Draft::clock(common_name("clock"), valid);
    assert!(with(clock(LONG), LONG).is_ok());
    assert_refused(with(clock(LONG).purposes(&[CODE_SIGNING]), LONG), "RequiredEkuNotFound");
    let ended = (SIGNED - 100 * DAY, SIGNED - DAY);
    for window in [ended, (SIGNED + DAY, LONG.1)] {
        for outcome in [with(clock(window), LONG), with(clock(LONG), window)] {
            match outcome {
                Err(Refusal::Proof(why)) => {
                    let known = ["CertExpired", "CertNotValidYet", "outside the validity period"];
                    assert!(known.iter().any(|it| why.contains(it)), "{why}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// T09: a log that no longer signed when it was signed, whose key may be anybody's since.
#[test]
fn a_log_vouches_for_nothing_after_its_end() {
    let instance = Instance::new();
    let signed = instance.sign();
    let stamp = instance.stamp(&signed.signature, SIGNED);
    let bundle = signed.bundle(&[instance.second_entry(&signed)], &[stamp]);
    let ending = |end: &str| {
        let mut root = instance.trusted();
        root["tlogs"][1]["publicKey"]["validFor"]["end"] = json!(end);
        outcome(&bundle, &wanted(&root))
    };
    // It was signed on 14 November 2023.
    assert!(ending("2023-11-15T00:00:00Z").is_ok());
    let refused = ending("2023-11-14T00:00:00Z");
    assert_refused(refused, "log entry is of a log that did not sign at that time");
}

/// T10: of an authority whose certificate cannot be read, nobody knows when it vouched for anything.
#[test]
fn a_trust_root_with_a_certificate_that_cannot_be_read_is_refused() {
    let mut root = Instance::new().trusted();
    for kind in ["certificateAuthorities", "timestampAuthorities"] {
        let good = root[kind].clone();
        root[kind][0]["certChain"]["certificates"][1]["rawBytes"] = json!("MAA=");
        let error = crate::signature::TrustRoot::from_json(&root.to_string()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("a certificate of an authority"), "{kind}: {text}");
        root[kind] = good;
    }
    assert!(crate::signature::TrustRoot::from_json(&root.to_string()).is_ok());
}
