//! Certificate revocation lists, from files.
//!
//! Nothing is asked over the network while an image is judged, so what is not in the files is not
//! known; whether that is enough is the policy's to say.
//!
//! Spec: RFC 5280, section 5.

use std::collections::BTreeSet;
use std::time::Duration;

use x509_cert::crl::CertificateList;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::name::Name;

use super::super::Refusal;
use super::certificate::{Certificate, Signed, moment};
use crate::time::Timestamp;

/// Largest revocation list in bytes.
pub const REVOCATION_LIST_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Extensions of a list that may be there: by which key it was signed, its number, where the
/// authority can be found, and (not critical) where changes are published.
const KNOWN: [ObjectIdentifier; 4] = [
    ObjectIdentifier::new_unwrap("2.5.29.35"),
    ObjectIdentifier::new_unwrap("2.5.29.20"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1"),
    ObjectIdentifier::new_unwrap("2.5.29.46"),
];

/// How much is known, and what is asked of it.
#[derive(Debug, Clone)]
pub(super) struct Revocation {
    pub(super) lists: Vec<RevocationList>,
    /// A list whose last issue is older than this says nothing.
    pub(super) age_max: Duration,
    /// Whether a certificate of which nothing is known is refused.
    pub(super) unknown_fails: bool,
}

/// What one authority has revoked.
#[derive(Debug, Clone)]
pub(super) struct RevocationList {
    signed: Signed,
    issuer: Name,
    serials: BTreeSet<Vec<u8>>,
    issued: Timestamp,
    next: Option<Timestamp>,
}

impl RevocationList {
    /// The list in `der`; who signed it is not verified.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(der: &[u8]) -> Result<Self, &'static str> {
        if der.len() > REVOCATION_LIST_BYTES_MAX {
            return Err("is larger than 8 MiB");
        }
        let malformed = "is no revocation list";
        let list = CertificateList::from_der(der).map_err(|_| malformed)?;
        let signed = Signed::read(der).ok_or(malformed)?;
        let content = list.tbs_cert_list;
        if list.signature_algorithm != content.signature {
            return Err(malformed);
        }
        for extension in content.crl_extensions.iter().flatten() {
            if extension.critical && !KNOWN.contains(&extension.extn_id) {
                return Err("is a partial or indirect revocation list, which is not supported");
            }
        }
        let mut serials = BTreeSet::new();
        for entry in content.revoked_certificates.into_iter().flatten() {
            if entry.crl_entry_extensions.iter().flatten().any(|extension| extension.critical) {
                return Err("is an indirect revocation list, which is not supported");
            }
            serials.insert(entry.serial_number.as_bytes().to_vec());
        }
        Ok(Self {
            signed,
            issuer: content.issuer,
            serials,
            issued: moment(content.this_update),
            next: content.next_update.map(moment),
        })
    }
}

/// What the lists say about one certificate.
enum Status {
    Good { until: Timestamp },
    Revoked,
    Unknown,
}

impl Revocation {
    /// Checks that no certificate of `chain` below its root is revoked; gives until when that is known,
    /// if anything is.
    pub(super) fn check(
        &self,
        chain: &[Certificate],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Refusal> {
        let mut known_until = None;
        for (certificate, issuer) in chain.iter().zip(chain.iter().skip(1)) {
            match self.status(certificate, issuer, now) {
                Status::Revoked => {
                    let why = format!("certificate of {} is revoked", certificate.subject());
                    return Err(Refusal::Proof(why));
                }
                Status::Unknown if self.unknown_fails => {
                    let subject = certificate.subject();
                    let why = format!("no revocation list in force covers {subject}");
                    return Err(Refusal::Proof(why));
                }
                Status::Unknown => {}
                Status::Good { until } => {
                    known_until =
                        Some(known_until.map_or(until, |known: Timestamp| known.min(until)));
                }
            }
        }
        Ok(known_until.filter(|_| self.unknown_fails))
    }

    fn status(&self, certificate: &Certificate, issuer: &Certificate, now: Timestamp) -> Status {
        let may_sign = issuer.uses.key.as_ref().is_some_and(|(_, usage)| usage.crl_sign());
        let name = &issuer.parsed.tbs_certificate.subject;
        let serial = certificate.parsed.tbs_certificate.serial_number.as_bytes();
        let mut status = Status::Unknown;
        for list in &self.lists {
            if list.issuer != *name || !may_sign || !list.signed.is_by(issuer.key()) {
                continue;
            }
            // What was revoked stays so, however old the list is.
            if list.serials.contains(serial) {
                return Status::Revoked;
            }
            let too_old = list.issued.after(self.age_max);
            let until = list.next.map_or(too_old, |next| next.min(too_old));
            if list.issued <= now && now < until {
                status = match status {
                    Status::Good { until: other } => Status::Good { until: other.max(until) },
                    Status::Revoked | Status::Unknown => Status::Good { until },
                };
            }
        }
        status
    }
}
