//! When keys count, and by which algorithm.

use serde_json::{Value, json};

use super::forger::{Forger, bundled, name, payload, simple, statement, subject};
use super::log::{Log, body_of, root_of};
use crate::signature::{AttestationForm, FoundSignature, Key, KeyError, Refusal, Signer};
use crate::time::{Timestamp, Window};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_milliseconds(seconds * 1000)
}

/// From the thousandth second until the two thousandth.
fn window() -> Window {
    Window { start: Some(at(1000)), end: Some(at(2000)) }
}

fn attested(forger: &Forger) -> Value {
    let mut statement = statement(&subject());
    statement["predicateType"] = json!("https://spdx.dev/Document");
    forger.bundle(&statement.to_string())
}

#[test]
fn a_key_that_counts_alone_counts_while_it_is_time_and_its_verdicts_end_then() {
    let forger = Forger::p256();
    let signer = Signer::key_within(forger.key(), window());
    let bundle = bundled(&forger.bundle(&statement(&subject()).to_string()));
    let attestation = attested(&forger).to_string();
    for found in [bundle, forger.simple(&payload("up.test/signed/web", &subject()))] {
        for (now, counts) in [(0, false), (999, false), (1000, true), (1999, true), (2000, false)] {
            let outcome = signer.verify(&found, &name(), &subject(), at(now));
            let said = signer.verify_attestation(
                attestation.as_bytes(),
                &AttestationForm::Bundle,
                &subject(),
                at(now),
            );
            if counts {
                assert_eq!(outcome.unwrap().until, Some(at(2000)), "{now}");
                assert_eq!(said.unwrap().0.until, Some(at(2000)), "{now}");
            } else {
                let refusal = Refusal::KeyNotInForce(window());
                assert_eq!(outcome, Err(refusal.clone()), "{now}");
                assert_eq!(said.unwrap_err(), refusal, "{now}");
            }
        }
        // By nobody's key, it is that, whatever the time.
        let outcome = Signer::key_within(Forger::p256().key(), window());
        let outcome = outcome.verify(&found, &name(), &subject(), at(0));
        assert_eq!(outcome, Err(Refusal::WrongKey));
    }
    let open = Window { start: None, end: None };
    let found = forger.simple(&payload("up.test/signed/web", &subject()));
    let proof = Signer::key_within(forger.key(), open).verify(&found, &name(), &subject(), at(-1));
    assert_eq!(proof.unwrap().until, None);
}

fn logged(bundle: &Value, entries: &[Value]) -> FoundSignature {
    let mut bundle = bundle.clone();
    bundle["verificationMaterial"]["tlogEntries"] = json!(entries);
    bundled(&bundle)
}

#[test]
fn a_logged_key_counts_by_when_it_signed_and_never_by_when_it_is_asked() {
    let (forger, log) = (Forger::p256(), Log::new("https://log.test"));
    let bundle = forger.bundle(&statement(&subject()).to_string());
    let body = body_of(&bundle, &forger);
    let base = 1_700_000_000;
    let window = Window { start: Some(at(base)), end: Some(at(base + 1000)) };
    let root = root_of(&[log.trusted()]);
    let signer = Signer::logged_key_within(forger.key(), root.clone(), window);
    let outcome = |entries: &[Value], now: i64| {
        let found = logged(&bundle, entries);
        signer.verify(&found, &name(), &subject(), at(now)).map(|proof| proof.until)
    };
    for now in [0, base + 500, base + 90_000] {
        for (signed, counts) in [(-1, false), (0, true), (999, true), (1000, false)] {
            let outcome = outcome(&[log.entry(&body, base + signed)], now);
            let at = at(base + signed);
            let refused = Err(Refusal::SignedOutsideWindow { at, window });
            assert_eq!(outcome, if counts { Ok(None) } else { refused }, "{signed} at {now}");
        }
    }
    // Every time that is proven has to be one at which the key counted.
    let late = [log.entry(&body, base + 10), log.entry(&body, base + 5000)];
    assert!(matches!(outcome(&late, base), Err(Refusal::SignedOutsideWindow { .. })));
    // A time that the log has not promised is none, and a promise for another time does not verify.
    let mut timeless = log.entry(&body, base + 10);
    timeless.as_object_mut().unwrap().remove("inclusionPromise");
    let nothing = Refusal::Proof("nothing proves when it was signed".to_owned());
    assert_eq!(outcome(&[timeless.clone()], base), Err(nothing));
    let always = Signer::logged_key(forger.key(), root);
    let found = logged(&bundle, &[timeless]);
    assert!(always.verify(&found, &name(), &subject(), at(0)).is_ok());
    let mut moved = log.entry(&body, base + 5000);
    moved["integratedTime"] = json!((base + 10).to_string());
    assert!(matches!(outcome(&[moved], base), Err(Refusal::Proof(_))));
}

#[test]
fn a_key_bound_to_an_algorithm_signs_by_no_other() {
    let forger = Forger::p384();
    let found = forger.simple(&payload("up.test/signed/web", &subject()));
    let bundle = bundled(&forger.bundle(&statement(&subject()).to_string()));
    let bound = |algorithm: &str| Signer::key(forger.key().bound_to(algorithm).unwrap());
    for found in [found, bundle] {
        let outcome = |signer: Signer| signer.verify(&found, &name(), &subject(), at(0));
        assert!(outcome(bound("ecdsa-p384-sha384")).is_ok());
        let refused = outcome(bound("ecdsa-p384-sha256"));
        assert_eq!(refused, Err(Refusal::AlgorithmNotAllowed));
    }
    let (forger, log) = (Forger::p384(), Log::new("https://log.test"));
    let bundle = forger.bundle(&statement(&subject()).to_string());
    let found = logged(&bundle, &[log.entry(&body_of(&bundle, &forger), 1_700_000_000)]);
    for (algorithm, counts) in [("ecdsa-p384-sha384", true), ("ecdsa-p384-sha256", false)] {
        let key = forger.key().bound_to(algorithm).unwrap();
        let signer = Signer::logged_key(key, root_of(&[log.trusted()]));
        let outcome = signer.verify(&found, &name(), &subject(), at(0));
        assert_eq!(outcome.is_ok(), counts, "{algorithm} {outcome:?}");
    }
}

#[test]
fn an_algorithm_is_one_of_the_key() {
    type Made = fn() -> Forger;
    let of: [(Made, &[&str]); 4] = [
        (Forger::p256, &["ecdsa-p256-sha256"]),
        (Forger::p384, &["ecdsa-p384-sha256", "ecdsa-p384-sha384"]),
        (Forger::ed25519, &["ed25519"]),
        (Forger::rsa, &["rsa-pkcs1v15-sha256"]),
    ];
    let others =
        ["ecdsa-p256-sha512", "ed25519ph", "rsa-pss-sha256", "none", "", "ED25519", "HS256"];
    for (made, names) in of {
        let key = made().key();
        let all = of.iter().flat_map(|(_, names)| names.iter()).chain(&others);
        for name in all {
            let bound = key.clone().bound_to(name);
            assert_eq!(bound.is_ok(), names.contains(name), "{key:?} {name}");
            if let Ok(bound) = bound {
                assert_eq!(bound.id(), key.id());
                assert!(bound.clone().bound_to(name).is_ok());
                for other in names.iter().filter(|other| *other != name) {
                    let again = bound.clone().bound_to(other);
                    assert!(matches!(again, Err(KeyError::Algorithm { .. })), "{again:?}");
                }
            }
        }
    }
    let error = Key::bound_to(Forger::rsa().key(), "ed25519").unwrap_err().to_string();
    let expected =
        "ed25519 is not an algorithm of this key (RSA); write one of: rsa-pkcs1v15-sha256";
    assert_eq!(error, expected);
    // What is signed by a bound key still has to be signed by it.
    let found = simple(b"{}", b"nothing");
    let bound = Signer::key(Forger::ed25519().key().bound_to("ed25519").unwrap());
    assert_eq!(bound.verify(&found, &name(), &subject(), at(0)), Err(Refusal::WrongKey));
}
