//! What makes certificates a chain, and what each of them may be for.
//!
//! Spec:
//! <https://github.com/notaryproject/specifications/blob/v1.1.0/specs/signature-specification.md#certificate-requirements>

use x509_cert::der::asn1::ObjectIdentifier;

use super::super::Refusal;
use super::certificate::Certificate;
use crate::time::Timestamp;

/// Purposes that a certificate for signing code must not have as well.
const FORBIDDEN: [ObjectIdentifier; 5] = [
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4"),
    TIME_STAMPING,
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9"),
];
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// Checks that `chain`, the signer's certificate first, is one: each issued by the next, ending in one
/// that issued itself, and each for what it is used for. Validity in time is another question.
pub(super) fn check(chain: &[Certificate]) -> Result<(), Refusal> {
    let Some((leaf, above)) = chain.split_first() else {
        return Err(Refusal::Malformed("chain of certificates"));
    };
    check_issuers(chain)?;
    check_signer(leaf)?;
    for (below, authority) in above.iter().enumerate() {
        check_authority(authority, below)?;
    }
    Ok(())
}

fn check_issuers(chain: &[Certificate]) -> Result<(), Refusal> {
    let issuers = chain.iter().skip(1);
    for (certificate, issuer) in chain.iter().zip(issuers) {
        if certificate.is_self_signed() {
            let why = format!("chain goes on after a root ({})", certificate.subject());
            return Err(Refusal::Proof(why));
        }
        if !certificate.is_issued_by(issuer) {
            let (subject, issuer) = (certificate.subject(), issuer.subject());
            let why = format!("certificate of {subject} was not issued by {issuer}");
            return Err(Refusal::Proof(why));
        }
    }
    match chain.last() {
        Some(root) if root.is_self_signed() => Ok(()),
        Some(last) => {
            let why = format!("chain does not end in a root but in {}", last.subject());
            Err(Refusal::Proof(why))
        }
        None => Err(Refusal::Malformed("chain of certificates")),
    }
}

/// Checks that `leaf` may sign code and do nothing else.
fn check_signer(leaf: &Certificate) -> Result<(), Refusal> {
    check_leaf(leaf)?;
    let extended = leaf.uses.extended.as_ref();
    if extended.is_some_and(|(_, uses)| uses.iter().any(|it| FORBIDDEN.contains(it))) {
        return Err(not_for("signing code only", leaf));
    }
    if leaf.algorithm().is_none() {
        return Err(Refusal::AlgorithmNotAllowed);
    }
    Ok(())
}

/// Checks that `leaf` may put timestamps on things, and do nothing else.
pub(super) fn check_timestamper(leaf: &Certificate) -> Result<(), Refusal> {
    check_leaf(leaf)?;
    match &leaf.uses.extended {
        Some((true, uses)) if uses.as_slice() == [TIME_STAMPING] => Ok(()),
        _ => Err(not_for("timestamps only", leaf)),
    }
}

fn check_leaf(leaf: &Certificate) -> Result<(), Refusal> {
    if leaf.is_authority() {
        return Err(Refusal::Proof(format!("{} is an authority, not a signer", leaf.subject())));
    }
    match &leaf.uses.key {
        Some((true, usage))
            if usage.digital_signature()
                && !usage.key_encipherment()
                && !usage.data_encipherment()
                && !usage.key_agreement()
                && !usage.key_cert_sign()
                && !usage.crl_sign()
                && !usage.encipher_only()
                && !usage.decipher_only() =>
        {
            Ok(())
        }
        _ => Err(not_for("signatures only", leaf)),
    }
}

/// Checks that `authority` may issue certificates, with as many authorities `below` it.
pub(super) fn check_authority(authority: &Certificate, below: usize) -> Result<(), Refusal> {
    let basic = authority.uses.basic.as_ref().filter(|basic| basic.ca);
    let usage = authority.uses.key.as_ref();
    let may_issue = usage.is_some_and(|(critical, usage)| *critical && usage.key_cert_sign());
    let Some(basic) = basic.filter(|_| may_issue) else {
        return Err(not_for("issuing certificates", authority));
    };
    if basic.path_len_constraint.is_some_and(|most| usize::from(most) < below) {
        let why = format!("chain is longer than {} allows", authority.subject());
        return Err(Refusal::Proof(why));
    }
    Ok(())
}

fn not_for(what: &str, certificate: &Certificate) -> Refusal {
    Refusal::Proof(format!("certificate of {} is not for {what}", certificate.subject()))
}

/// Checks that every certificate of `chain` was valid during all of the time from `earliest` to
/// `latest`.
pub(super) fn check_valid(
    chain: &[Certificate],
    earliest: Timestamp,
    latest: Timestamp,
) -> Result<(), Refusal> {
    for certificate in chain {
        let (from, to) = certificate.validity();
        if earliest < from || latest > to {
            let subject = certificate.subject();
            let word = if earliest < from { "not valid yet" } else { "expired" };
            let why =
                format!("certificate of {subject} was {word} at {latest} (valid {from} to {to})");
            return Err(Refusal::Proof(why));
        }
    }
    Ok(())
}

/// Until when all of `chain` is valid.
pub(super) fn end(chain: &[Certificate]) -> Option<Timestamp> {
    chain.iter().map(|certificate| certificate.validity().1).min()
}
