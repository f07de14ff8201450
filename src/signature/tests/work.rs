//! Input that is small and would take long (T16).

use super::forger::{Forger, pem, statement, subject};
use super::instance::certificate::Draft;
use super::instance::clock::Stamp;
use super::instance::der::{octets, oid, sequence, tagged, tlv, utf8};
use super::instance::{Instance, PLACE, SIGNED, Signed, outcome, signer};
use crate::signature::Refusal;

const ALTERNATIVE_NAME: &str = "2.5.29.17";
const MANY: usize = 1_500;

/// A set of so many attributes, in the order that costs most to put right.
fn backwards(count: usize) -> Vec<u8> {
    let attribute = |number: usize| sequence(&[oid("2.5.4.3"), utf8(&format!("{number:06}"))]);
    let content: Vec<u8> = (0..count).rev().flat_map(attribute).collect();
    tlv(0x31, &content)
}

fn signed_by(instance: &Instance, draft: &Draft) -> Signed {
    let key = Forger::p256();
    let certificate = draft.logged(&key, &instance.between, &instance.certificates, SIGNED);
    Signed::new(key, certificate, &statement(&subject()).to_string())
}

/// The library takes the square of their number to put them in order: four thousand took seconds.
#[test]
fn a_certificate_or_timestamp_with_a_large_set_is_not_read() {
    let instance = Instance::new();
    let directory = tagged(4, &sequence(&[backwards(MANY)]));
    for draft in [
        Draft { subject: sequence(&[backwards(MANY)]), ..signer() },
        signer().with(ALTERNATIVE_NAME, true, &sequence(&[directory])),
        signer().with("1.2.3", false, &octets(&backwards(MANY))),
    ] {
        let signed = signed_by(&instance, &draft);
        let refused = outcome(&signed.bundle(&[instance.entry(&signed)], &[]), &instance.wanted());
        assert_eq!(refused, Err(Refusal::TooLarge("list inside a certificate")));
    }
    let signed = instance.sign();
    let mut brings = vec![instance.clock.certificate.clone()];
    brings.extend((0..40_u8).map(|number| sequence(&[octets(&[number])])));
    let stamp = Stamp { brings, ..instance.stamped(&signed.signature) }.token();
    let refused = outcome(&signed.bundle(&[instance.entry(&signed)], &[stamp]), &instance.wanted());
    assert_eq!(refused, Err(Refusal::TooLarge("list inside a timestamp")));
}

/// An entry has a certificate of its own, which is read to be compared.
#[test]
fn a_log_entry_with_a_certificate_like_that_is_not_read() {
    let instance = Instance::new();
    let signed = instance.sign();
    let draft = Draft { subject: sequence(&[backwards(MANY)]), ..signer() };
    let certificate = draft.issued(&signed.key, &instance.between);
    let (payload, signature) = (signed.payload.clone(), signed.signature.clone());
    let entered = Signed { key: Forger::p256(), certificate, payload, signature };
    let entry = instance.rekor.entry(("intoto", "0.0.2"), &entered.intoto(), PLACE);
    let refused = outcome(&signed.bundle(&[entry], &[]), &instance.wanted());
    assert_eq!(refused, Err(Refusal::TooLarge("list inside a certificate")));
    assert!(pem("CERTIFICATE", &entered.certificate).len() > 20_000);
}

/// What real certificates and timestamps have is far from that.
#[test]
fn sets_as_they_are_in_the_world_are_read() {
    let instance = Instance::new();
    for count in [1, 2, 20] {
        let mut names: Vec<_> = (0..count)
            .map(|number| sequence(&[oid("2.5.4.11"), utf8(&format!("{number}"))]))
            .collect();
        names.sort();
        let subject = sequence(&[tlv(0x31, &names.concat())]);
        let signed = signed_by(&instance, &Draft { subject, ..signer() });
        let bundle = signed.bundle(&[instance.entry(&signed)], &[]);
        assert!(outcome(&bundle, &instance.wanted()).is_ok(), "{count}");
    }
}
