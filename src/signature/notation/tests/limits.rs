//! To the bit and to the second: where certificates and revocation lists begin and cease to count.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::authorities::{Company, LISTS_AGE_MAX, List, builder, judged, list, with_lists};
use super::forger::image;
use crate::oci::Digest;
use crate::signature::notation::revocation::REVOCATION_LIST_BYTES_MAX;
use crate::signature::notation::store::ENTRIES_MAX;
use crate::signature::notation::{
    ENVELOPE_BYTES_MAX, Enforced, NotationSigner, TrustStore, TrustStoreFiles,
};
use crate::signature::tests::instance::certificate::{Draft, common_name};
use crate::signature::tests::instance::der::{integer, octets, oid, sequence, tlv, truth};
use crate::signature::tests::instance::{DAY, LONG, SIGNED, assert_refused};
use crate::signature::{FoundSignature, Material, Refusal, Signer};
use crate::time::Timestamp;

const KEY_USAGE: &str = "2.5.29.15";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_milliseconds(seconds * 1000)
}

#[test]
fn a_signer_may_sign_and_every_other_use_is_one_too_many() {
    let judge = |critical: bool, bits: &[u8]| {
        let company = Company::with(&builder().with(KEY_USAGE, critical, &tlv(0x03, bits)));
        judged(&company.envelope(|_| None), &company.files(), Enforced::STRICT, 1)
    };
    // The first number is how many bits at the end mean nothing.
    for bits in [&[7, 0x80][..], &[6, 0xc0]] {
        assert!(judge(true, bits).is_ok(), "{bits:02x?}");
        assert_refused(judge(false, bits), "is not for signatures only");
    }
    for (bits, what) in [
        (&[6, 0x40][..], "no signatures"),
        (&[5, 0xa0], "key encipherment"),
        (&[4, 0x90], "data encipherment"),
        (&[3, 0x88], "key agreement"),
        (&[2, 0x84], "certificate signing"),
        (&[1, 0x82], "list signing"),
        (&[0, 0x81], "encipher only"),
        (&[7, 0x80, 0x80], "decipher only"),
    ] {
        let outcome = judge(true, bits);
        assert!(outcome.is_err(), "{what}");
        assert_refused(outcome, "is not for signatures only");
    }
}

#[test]
fn a_certificate_counts_from_its_first_second_to_its_last() {
    let company = Company::with(&Draft { valid: (SIGNED, SIGNED + 3 * DAY), ..builder() });
    let envelope = company.envelope(|_| None);
    let judge = |days: i64| judged(&envelope, &company.files(), Enforced::STRICT, days);
    assert_refused(judge(-1), "was not valid yet at");
    for days in [0, 3] {
        assert_eq!(judge(days).unwrap().until, Some(at(SIGNED + 3 * DAY)), "{days}");
    }
    assert_refused(judge(4), "was expired at");
}

#[test]
fn a_revocation_list_counts_from_its_issue_until_the_next_or_until_it_is_too_old() {
    let company = Company::new();
    let envelope = company.envelope(|_| None);
    let uncovered = "no revocation list in force covers";
    let age = i64::try_from(LISTS_AGE_MAX.as_secs()).unwrap();
    for (age_max, end) in [(LISTS_AGE_MAX, age), (Duration::from_hours(400 * 24), 30 * DAY)] {
        let judge = |hard: bool, days: i64| {
            let crls = vec![List { issued: SIGNED + DAY, ..list(&company.root, &[]) }.der()];
            let files = with_lists(company.files(), crls, hard);
            let files = TrustStoreFiles { crl_age_max: age_max, ..files };
            judged(&envelope, &files, Enforced::STRICT, days)
        };
        let end = SIGNED + DAY + end;
        let days = (end - SIGNED) / DAY;
        assert_refused(judge(true, 0), uncovered);
        for inside in [1, days - 1] {
            assert_eq!(judge(true, inside).unwrap().until, Some(at(end)), "{inside}");
            // Where it does not matter that none is in force, its end is nobody's.
            assert_ne!(judge(false, inside).unwrap().until, Some(at(end)), "{inside}");
        }
        assert_refused(judge(true, days), uncovered);
        assert!(judge(false, days).is_ok());
    }
}

#[test]
fn of_several_lists_the_one_that_counts_longest_does_and_a_revocation_in_any() {
    let company = Company::new();
    let envelope = company.envelope(|_| None);
    let age = i64::try_from(LISTS_AGE_MAX.as_secs()).unwrap();
    let issued = |days: i64, revoked: &'static [u32]| {
        List { issued: SIGNED + days * DAY, ..list(&company.root, revoked) }.der()
    };
    let judge = |crls: Vec<Vec<u8>>, days: i64| {
        let files = with_lists(company.files(), crls, true);
        judged(&envelope, &files, Enforced::STRICT, days)
    };
    for crls in [vec![issued(0, &[]), issued(2, &[])], vec![issued(2, &[]), issued(0, &[])]] {
        assert_eq!(judge(crls.clone(), 3).unwrap().until, Some(at(SIGNED + 2 * DAY + age)));
        assert_eq!(judge(crls, 1).unwrap().until, Some(at(SIGNED + age)));
    }
    for crls in [vec![issued(0, &[]), issued(0, &[77])], vec![issued(0, &[77]), issued(0, &[])]] {
        assert_refused(judge(crls, 1), "is revoked");
    }
}

#[test]
fn a_store_takes_authorities_and_those_who_vouch_for_themselves() {
    let company = Company::new();
    let read = |ca: &[u8], tsa: &[u8]| {
        let some = |der: &[u8]| if der.is_empty() { Vec::new() } else { vec![der.to_vec()] };
        let files = TrustStoreFiles { ca: some(ca), tsa: some(tsa), ..company.files() };
        TrustStore::new(&files).map(drop).map_err(|error| error.to_string())
    };
    let below = Draft::authority("below", LONG, None).below(&company.root).certificate;
    let alone = Draft::clock(common_name("alone"), LONG).root().certificate;
    let root = &company.root.certificate;
    for good in [root, &below, &alone] {
        assert_eq!(read(good, &[]), Ok(()));
    }
    let error = read(&company.leaf, &[]).unwrap_err();
    assert!(error.starts_with("ca: file 1 has the certificate of"), "{error}");
    assert_eq!(read(root, root), Ok(()));
    for bad in [&below, &alone, &company.leaf] {
        let error = read(root, bad).unwrap_err();
        assert!(error.contains("which is no root authority's"), "{error}");
    }
    let many = |count: usize| {
        let files = TrustStoreFiles { ca: vec![root.clone(); count], ..company.files() };
        TrustStore::new(&files).map(drop).map_err(|error| (error.number, error.why))
    };
    assert_eq!(many(ENTRIES_MAX), Ok(()));
    let why = format!("makes it more than {ENTRIES_MAX} entries");
    assert_eq!(many(ENTRIES_MAX + 1), Err((ENTRIES_MAX + 1, why)));
    let files = TrustStoreFiles {
        ca: vec![root.clone(), root.clone(), b"no certificate".to_vec()],
        ..company.files()
    };
    let error = TrustStore::new(&files).unwrap_err();
    assert_eq!((error.kind, error.number), ("ca", 3));
}

#[test]
fn an_envelope_takes_256_kibibytes_at_most() {
    let company = Company::new();
    let store = Arc::new(TrustStore::new(&company.files()).unwrap());
    let signer = NotationSigner { store, identity: None, enforced: Enforced::STRICT };
    let signer = Signer::notation(signer);
    let envelope = company.envelope(|_| None);
    let judge = |length: usize| {
        let padded = [vec![b' '; length - envelope.len()], envelope.clone()].concat();
        let material = Material::NotationJws { envelope: STANDARD.encode(padded) };
        let found = FoundSignature { source: Digest::sha256(b"source"), material };
        signer.verify(&found, &"up.test/a".parse().unwrap(), &image(), at(SIGNED + DAY))
    };
    for length in [envelope.len(), ENVELOPE_BYTES_MAX] {
        assert!(judge(length).is_ok(), "{length}");
    }
    for more in [1, 1_000] {
        let outcome = judge(ENVELOPE_BYTES_MAX + more);
        assert_eq!(outcome, Err(Refusal::TooLarge("envelope")), "{more}");
    }
}

#[test]
fn a_list_of_many_thousands_is_read_and_found_in() {
    let company = Company::new();
    let envelope = company.envelope(|_| None);
    let others: Vec<u32> = (1_000..61_000).collect();
    for (more, is_revoked) in [(None, false), (Some(77), true)] {
        let revoked: Vec<u32> = others.iter().copied().chain(more).collect();
        let crl = list(&company.root, &revoked).der();
        assert!(crl.len() > 1024 * 1024 && crl.len() < 8 * 1024 * 1024, "{}", crl.len());
        let files = with_lists(company.files(), vec![crl], true);
        let outcome = judged(&envelope, &files, Enforced::STRICT, 1);
        assert_eq!(outcome.is_err(), is_revoked, "{outcome:?}");
    }
}

#[test]
fn a_revocation_list_may_say_more_as_long_as_nobody_has_to_understand_it() {
    let company = Company::new();
    let read = |number: &str, critical: bool| {
        let critical = if critical { truth() } else { Vec::new() };
        let extensions = vec![sequence(&[oid(number), critical, octets(&integer(4))])];
        let crl = List { extensions, ..list(&company.root, &[77]) }.der();
        let files = with_lists(company.files(), vec![crl], true);
        TrustStore::new(&files).map(drop).map_err(|error| error.why)
    };
    // A number of the list, which is known, and one of nobody's.
    for (number, known) in [("2.5.29.20", true), ("1.2.3.4", false)] {
        assert_eq!(read(number, false), Ok(()), "{number}");
        assert_eq!(read(number, true).is_ok(), known, "{number}");
    }
    let garbage = [&[0x30, 0x84][..], &vec![0; REVOCATION_LIST_BYTES_MAX - 2]].concat();
    let error = TrustStore::new(&with_lists(company.files(), vec![garbage], true)).unwrap_err();
    assert_eq!(error.why, "is no revocation list");
}
