//! Envelopes in CBOR that a library would not write (T26, T32).

use coset::cbor::Value as Cbor;
use coset::{AsCborValue as _, CborSerializable as _, CoseSign1, TaggedCborSerializable as _};

use super::forger::{Forger, image, now, payload};
use crate::signature::notation::verify;
use crate::signature::{Form, Proof, Refusal};

const SCHEME: &str = "io.cncf.notary.signingScheme";
const TIME: &str = "io.cncf.notary.signingTime";
const PAYLOAD_TYPE: &str = "application/vnd.cncf.notary.payload.v1+json";
const MALFORMED: Refusal = Refusal::Malformed("envelope");

fn text(text: &str) -> Cbor {
    Cbor::Text(text.to_owned())
}

fn number(number: i64) -> Cbor {
    Cbor::Integer(number.into())
}

/// The entries of a good protected header.
fn header() -> Vec<(Cbor, Cbor)> {
    vec![
        (number(1), number(-7)),
        (number(2), Cbor::Array(vec![text(SCHEME)])),
        (number(3), text(PAYLOAD_TYPE)),
        (text(SCHEME), text("notary.x509")),
        (text(TIME), Cbor::Tag(1, Box::new(number(1_777_000_000)))),
    ]
}

fn encoded(value: &Cbor) -> Vec<u8> {
    value.clone().to_vec().unwrap()
}

/// An envelope with these headers, validly signed over exactly those bytes.
fn envelope(forger: &Forger, protected: Vec<u8>, more: Vec<(Cbor, Cbor)>) -> Vec<u8> {
    let message = encoded(&Cbor::Array(vec![
        text("Signature1"),
        Cbor::Bytes(protected.clone()),
        Cbor::Bytes(Vec::new()),
        Cbor::Bytes(payload().into_bytes()),
    ]));
    let chain = forger.chain.iter().map(|der| Cbor::Bytes(der.clone())).collect();
    let mut unprotected = vec![(number(33), Cbor::Array(chain))];
    unprotected.extend(more);
    let signature = forger.sign(&message);
    let parts = vec![
        Cbor::Bytes(protected),
        Cbor::Map(unprotected),
        Cbor::Bytes(payload().into_bytes()),
        Cbor::Bytes(signature),
    ];
    encoded(&Cbor::Tag(18, Box::new(Cbor::Array(parts))))
}

fn judge(forger: &Forger, bytes: &[u8]) -> Result<Proof, Refusal> {
    verify(bytes, Form::NotationCose, &forger.signer(), &image(), now())
}

fn with_header(forger: &Forger, entries: Vec<(Cbor, Cbor)>) -> Result<Proof, Refusal> {
    judge(forger, &envelope(forger, encoded(&Cbor::Map(entries)), Vec::new()))
}

/// T26: what stands in a header twice is in none.
#[test]
fn headers_with_something_twice_are_refused() {
    let forger = Forger::new();
    assert!(with_header(&forger, header()).is_ok());
    for (key, value) in [
        (number(1), number(-7)),
        (number(1), number(-35)),
        (number(3), text("application/json")),
        (text(SCHEME), text("notary.x509.signingAuthority")),
        (text(TIME), Cbor::Tag(1, Box::new(number(0)))),
    ] {
        for front in [true, false] {
            let mut entries = header();
            entries.insert(if front { 0 } else { entries.len() }, (key.clone(), value.clone()));
            assert_eq!(with_header(&forger, entries), Err(MALFORMED), "{key:?}");
        }
    }
    let chain = Cbor::Array(vec![Cbor::Bytes(forger.chain[0].clone())]);
    let bytes = envelope(&forger, encoded(&Cbor::Map(header())), vec![(number(33), chain)]);
    assert_eq!(judge(&forger, &bytes), Err(MALFORMED));
}

/// T26: what is not signed says nothing about what is.
#[test]
fn nothing_in_the_unprotected_header_stands_in_for_the_protected_one() {
    let forger = Forger::new();
    for at in 0..header().len() {
        let mut entries = header();
        let moved = entries.remove(at);
        let outcome =
            judge(&forger, &envelope(&forger, encoded(&Cbor::Map(entries)), vec![moved.clone()]));
        assert!(outcome.is_err(), "{moved:?}: {outcome:?}");
        assert_ne!(outcome, Err(Refusal::LibraryPanicked), "{moved:?}");
    }
    let louder = vec![
        (number(1), number(5)),
        (number(3), text("application/json")),
        (text("io.cncf.notary.expiry"), Cbor::Tag(1, Box::new(number(0)))),
    ];
    let bytes = envelope(&forger, encoded(&Cbor::Map(header())), louder);
    assert!(judge(&forger, &bytes).is_ok(), "it is ignored");
    let nothing = judge(&forger, &envelope(&forger, Vec::new(), Vec::new()));
    assert_eq!(nothing, Err(Refusal::AlgorithmNotAllowed));
}

/// T26: an algorithm that is none, by any name, and a secret that everybody knows.
#[test]
fn only_the_algorithm_of_the_key_is_one() {
    let forger = Forger::new();
    for algorithm in
        [number(0), number(5), number(-8), number(-35), number(-257), text("none"), Cbor::Null]
    {
        let mut entries = header();
        entries[0].1 = algorithm.clone();
        let outcome = with_header(&forger, entries);
        let known = [Err(Refusal::AlgorithmNotAllowed), Err(MALFORMED)];
        assert!(known.contains(&outcome), "{algorithm:?}: {outcome:?}");
    }
}

/// T32, T38: other bytes for the same header are another signature, and no bytes may be left.
#[test]
fn the_bytes_that_were_signed_are_those_that_count() {
    let forger = Forger::new();
    let good = envelope(&forger, encoded(&Cbor::Map(header())), Vec::new());
    let parsed = CoseSign1::from_tagged_slice(&good).unwrap();
    let Cbor::Array(mut parts) = parsed.to_cbor_value().unwrap() else { panic!("no message") };
    // The same map with its entries in another order: equal, and not what was signed.
    let mut entries = header();
    entries.reverse();
    parts[0] = Cbor::Bytes(encoded(&Cbor::Map(entries)));
    let changed = encoded(&Cbor::Tag(18, Box::new(Cbor::Array(parts.clone()))));
    let refused = judge(&forger, &changed).unwrap_err().to_string();
    assert!(refused.contains("signature does not verify"), "{refused}");
    parts.push(Cbor::Null);
    let longer = encoded(&Cbor::Tag(18, Box::new(Cbor::Array(parts))));
    assert_eq!(judge(&forger, &longer), Err(MALFORMED));
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= [0x01, 0x20, 0x80][at % 3];
        let outcome = judge(&forger, &bytes);
        assert!(outcome.is_err(), "byte {at}: {outcome:?}");
        assert_ne!(outcome, Err(Refusal::LibraryPanicked), "byte {at}");
    }
}
