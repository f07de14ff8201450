//! What the real notation 1.3 and OpenSSL made (`tests/fixtures/signatures/notation`).

use std::sync::Arc;
use std::time::Duration;

use crate::oci::Digest;
use crate::signature::notation::{
    DistinguishedName, Enforced, NotationSigner, TrustStore, TrustStoreFiles, WhenToTimestamp,
    verify,
};
use crate::signature::{Form, Refusal};
use crate::time::Timestamp;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/signatures/notation/", $name)).as_slice()
    };
}

const GOOD: [(&[u8], Form, &str); 8] = [
    (fixture!("p256.jws.json"), Form::NotationJws, "CN=builder"),
    (fixture!("p256.cose"), Form::NotationCose, "CN=builder"),
    (fixture!("p384.jws.json"), Form::NotationJws, "CN=p384 builder"),
    (fixture!("p384.cose"), Form::NotationCose, "CN=p384 builder"),
    (fixture!("p521.jws.json"), Form::NotationJws, "CN=p521 builder"),
    (fixture!("p521.cose"), Form::NotationCose, "CN=p521 builder"),
    (fixture!("rsa3072.jws.json"), Form::NotationJws, "CN=rsa builder"),
    (fixture!("rsa3072.cose"), Form::NotationCose, "CN=rsa builder"),
];
const STAMPED: [(&[u8], Form); 2] = [
    (fixture!("stamped.jws.json"), Form::NotationJws),
    (fixture!("stamped.cose"), Form::NotationCose),
];
const EXPIRING: [(&[u8], Form); 2] = [
    (fixture!("expiring.jws.json"), Form::NotationJws),
    (fixture!("expiring.cose"), Form::NotationCose),
];
const REVOKED: &[u8] = fixture!("revoked.jws.json");
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(24 * 365);

fn image() -> Digest {
    let text = include_str!("../../../../tests/fixtures/signatures/notation/image.txt");
    text.trim().parse().unwrap()
}

fn made() -> Timestamp {
    let text = include_str!("../../../../tests/fixtures/signatures/notation/made.txt");
    text.trim().parse().unwrap()
}

fn files() -> TrustStoreFiles {
    TrustStoreFiles { ca: vec![fixture!("root.pem").to_vec()], ..TrustStoreFiles::default() }
}

fn with_clock(when: WhenToTimestamp) -> TrustStoreFiles {
    TrustStoreFiles { tsa: vec![fixture!("clock-root.pem").to_vec()], when, ..files() }
}

fn with_lists(lists: &[&[u8]], unknown_fails: bool) -> TrustStoreFiles {
    let crls = lists.iter().map(|list| list.to_vec()).collect();
    TrustStoreFiles { crls, unknown_fails, crl_age_max: 7 * DAY, ..files() }
}

fn signer(files: &TrustStoreFiles) -> NotationSigner {
    let store = Arc::new(TrustStore::new(files).unwrap());
    NotationSigner { store, identity: None, enforced: Enforced::STRICT }
}

/// Who signed, as things stood `after` the fixtures were made; or why nobody did.
fn outcome(
    (envelope, form): (&[u8], Form),
    signer: &NotationSigner,
    after: Duration,
) -> Result<(String, Option<Timestamp>), String> {
    let proof = verify(envelope, form, signer, &image(), made().after(after));
    proof.map(|proof| (proof.by, proof.until)).map_err(|refusal| refusal.to_string())
}

#[track_caller]
fn assert_refused(outcome: Result<(String, Option<Timestamp>), String>, why: &str) {
    match outcome {
        Err(text) => assert!(text.contains(why), "{text}, not {why}"),
        Ok(proof) => panic!("accepted: {proof:?}, not {why}"),
    }
}

#[test]
fn what_notation_signs_counts_for_whom_the_store_certifies() {
    for (envelope, form, who) in GOOD {
        let (by, until) = outcome((envelope, form), &signer(&files()), DAY).unwrap();
        assert!(by.contains(who) && by.starts_with("x509 "), "{by}");
        assert!(until.is_some_and(|until| until > made().after(50 * YEAR)), "{until:?}");
        let mut named = signer(&files());
        let wanted = format!("{who}, O=Acme Test, ST=WA, C=US");
        named.identity = Some(DistinguishedName::parse(&wanted).unwrap());
        assert!(outcome((envelope, form), &named, DAY).is_ok(), "{wanted}");
        named.identity =
            Some(DistinguishedName::parse("CN=other, O=Acme Test, ST=WA, C=US").unwrap());
        assert_refused(outcome((envelope, form), &named, DAY), "signed by ");
        let other = Digest::sha256(b"another image");
        let outcome = verify(envelope, form, &signer(&files()), &other, made());
        assert_eq!(outcome, Err(Refusal::OtherImage(image())));
    }
}

#[test]
fn only_authorities_of_the_store_count_and_each_for_its_scheme() {
    let lone = (fixture!("lone.jws.json"), Form::NotationJws);
    let own =
        TrustStoreFiles { ca: vec![fixture!("lone.pem").to_vec()], ..TrustStoreFiles::default() };
    assert!(outcome(lone, &signer(&own), DAY).is_ok());
    assert_refused(outcome(lone, &signer(&files()), DAY), "no authority of the trust root");
    let (envelope, form, _) = GOOD[0];
    assert_refused(outcome((envelope, form), &signer(&own), DAY), "no authority of the trust root");
    let elsewhere = TrustStoreFiles {
        signing_authority: vec![fixture!("root.pem").to_vec()],
        ca: vec![fixture!("lone.pem").to_vec()],
        ..TrustStoreFiles::default()
    };
    let refused = outcome((envelope, form), &signer(&elsewhere), DAY);
    assert_refused(refused, "no authority of the trust root");
}

#[test]
fn no_byte_of_an_envelope_can_change() {
    let signer = signer(&with_clock(WhenToTimestamp::Always));
    let mut tried = 0;
    for (envelope, form) in STAMPED {
        let by = outcome((envelope, form), &signer, 2 * YEAR).unwrap().0;
        for at in 0..envelope.len() {
            let change = [0x01, 0x20, 0x80][at % 3];
            let mut bytes = envelope.to_vec();
            bytes[at] ^= change;
            // Some bytes are nobody's: names that are ignored, the signing agent, the order of a set.
            if let Ok((still, _)) = outcome((&bytes, form), &signer, 2 * YEAR) {
                assert_eq!(still, by, "byte {at}");
                assert!(is_without_meaning(envelope, &bytes, form), "byte {at} ^ {change}");
            }
            tried += 1;
        }
    }
    assert!(tried > 9_000, "{tried}");
}

/// Whether two envelopes say the same in everything that counts.
fn is_without_meaning(one: &[u8], other: &[u8], form: Form) -> bool {
    let read = |bytes: &[u8]| match form {
        Form::NotationJws => crate::signature::notation::jws::read(bytes).unwrap(),
        _ => crate::signature::notation::cose::read(bytes).unwrap(),
    };
    let (one, other) = (read(one), read(other));
    one.signed == other.signed && one.signature == other.signature && one.chain == other.chain
}

#[test]
fn an_expiry_ends_it_unless_the_level_says_otherwise() {
    for envelope in EXPIRING {
        let mut signer = signer(&files());
        let (_, until) = outcome(envelope, &signer, DAY / 2).unwrap();
        assert!(until.is_some_and(|until| until <= made().after(DAY)), "{until:?}");
        assert_refused(outcome(envelope, &signer, DAY), "signature expired at ");
        signer.enforced.expiry = false;
        assert!(outcome(envelope, &signer, DAY).is_ok());
    }
}

#[test]
fn a_certificate_may_expire_once_a_clock_has_seen_the_signature() {
    let bare = (fixture!("short.jws.json"), Form::NotationJws);
    let without = signer(&files());
    assert!(outcome(bare, &without, DAY / 2).is_ok());
    assert_refused(outcome(bare, &without, 2 * DAY), "ST=WA,C=US was expired at ");
    let mut permissive = signer(&files());
    permissive.enforced = Enforced::PERMISSIVE;
    assert!(outcome(bare, &permissive, 2 * DAY).is_ok());
    let always = signer(&with_clock(WhenToTimestamp::Always));
    let afterwards = signer(&with_clock(WhenToTimestamp::AfterCertificateExpiry));
    assert_refused(outcome(bare, &always, DAY / 2), "nothing proves when it was signed");
    assert!(outcome(bare, &afterwards, DAY / 2).is_ok());
    assert_refused(outcome(bare, &afterwards, 2 * DAY), "nothing proves when it was signed");
    for envelope in STAMPED {
        assert_refused(outcome(envelope, &without, 2 * DAY), "ST=WA,C=US was expired at ");
        for signer in [&always, &afterwards] {
            assert_eq!(outcome(envelope, signer, 50 * YEAR).unwrap().1, None);
        }
        let mut stranger = with_clock(WhenToTimestamp::Always);
        stranger.tsa = vec![fixture!("root.pem").to_vec()];
        let refused = outcome(envelope, &signer(&stranger), DAY / 2);
        assert_refused(refused, "timestamp is by no authority of the trust root");
    }
}

#[test]
fn a_revoked_certificate_is_refused_for_as_long_as_the_lists_say_so() {
    let revoked = (REVOKED, Form::NotationJws);
    let good = (GOOD[0].0, GOOD[0].1);
    let lists = [fixture!("inter.crl"), fixture!("root.crl")];
    assert!(outcome(revoked, &signer(&files()), DAY).is_ok(), "nothing is known without lists");
    for unknown_fails in [true, false] {
        let judge = signer(&with_lists(&lists, unknown_fails));
        assert_refused(outcome(revoked, &judge, DAY), "ST=WA,C=US is revoked");
        assert_refused(outcome(revoked, &judge, YEAR), "ST=WA,C=US is revoked");
        let (_, until) = outcome(good, &judge, DAY).unwrap();
        assert_eq!(until.is_some_and(|until| until <= made().after(7 * DAY)), unknown_fails);
        let mut observing = signer(&with_lists(&lists, unknown_fails));
        observing.enforced.revocation = false;
        assert!(outcome(revoked, &observing, DAY).is_ok());
    }
    let hard = signer(&with_lists(&lists, true));
    assert_refused(outcome(good, &hard, 8 * DAY), "no revocation list in force covers");
    assert!(outcome(good, &signer(&with_lists(&lists, false)), 8 * DAY).is_ok());
    let half = signer(&with_lists(&lists[..1], true));
    assert_refused(outcome(good, &half, DAY), "no revocation list in force covers C");
    // A list counts for the authority that signed it.
    let mut foreign = with_lists(&lists, true);
    foreign.ca.push(fixture!("lone.pem").to_vec());
    let lone = (fixture!("lone.jws.json"), Form::NotationJws);
    assert!(outcome(lone, &signer(&foreign), DAY).is_ok(), "a root is not revoked by itself");
}

#[test]
fn files_that_make_no_store_are_refused_with_what_is_wrong() {
    let (root, lone, list) = (fixture!("root.pem"), fixture!("lone.pem"), fixture!("inter.crl"));
    let damaged = root.iter().map(|byte| if *byte == b'M' { b'N' } else { *byte }).collect();
    for (files, expected) in [
        (TrustStoreFiles { ca: vec![Vec::new()], ..files() }, "ca: file 1 holds no certificate"),
        (TrustStoreFiles { ca: vec![list.to_vec()], ..files() }, "ca: file 1 holds no certificate"),
        (TrustStoreFiles { ca: vec![root.to_vec(), damaged], ..files() }, "ca: file 2 is no"),
        (TrustStoreFiles { ca: vec![vec![0x30, 0x80]], ..files() }, "ca: file 1 is no usable"),
        (
            TrustStoreFiles { tsa: vec![lone.to_vec()], ..files() },
            "tsa: file 1 has the certificate of",
        ),
        (
            TrustStoreFiles { crls: vec![root.to_vec()], ..files() },
            "crls: file 1 holds no revocation",
        ),
        (
            TrustStoreFiles { crls: vec![vec![0x30, 0x00]], ..files() },
            "crls: file 1 is no revocation",
        ),
        (TrustStoreFiles { ca: vec![root.repeat(200)], ..files() }, "more than 100 entries"),
    ] {
        let error = TrustStore::new(&files).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}, not {expected}");
    }
}
