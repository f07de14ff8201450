//! Certificates of any content, issued by whoever has a key.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::super::forger::Forger;
use super::der::{bits, integer, octets, oid, sequence, set, tagged, tlv, truth, utc_time, utf8};

const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";
const COMMON_NAME: &str = "2.5.4.3";
const KEY_USAGE: &str = "2.5.29.15";
const ALTERNATIVE_NAME: &str = "2.5.29.17";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
const ISSUER: &str = "1.3.6.1.4.1.57264.1.1";
const ISSUER_V2: &str = "1.3.6.1.4.1.57264.1.8";
const SCT_LIST: &str = "1.3.6.1.4.1.11129.2.4.2";
pub(in crate::signature) const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
pub(in crate::signature) const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

/// The bits of a key usage.
pub(in crate::signature) const DIGITAL_SIGNATURE: [u8; 2] = [7, 0x80];
pub(in crate::signature) const CERTIFICATE_AND_LIST_SIGNING: [u8; 2] = [1, 0x06];

/// The content of a certificate, to be changed at will before somebody issues it.
#[derive(Clone)]
pub(in crate::signature) struct Draft {
    /// The subject, in DER.
    pub(in crate::signature) subject: Vec<u8>,
    pub(in crate::signature) serial: u32,
    /// From when and until when it is valid, in seconds since 1970.
    pub(in crate::signature) valid: (i64, i64),
    /// Extensions by their number, in DER.
    pub(in crate::signature) extensions: Vec<(&'static str, Vec<u8>)>,
}

/// Somebody who issues certificates.
#[derive(Clone)]
pub(in crate::signature) struct Authority {
    pub(in crate::signature) key: Arc<Forger>,
    /// Its name, in DER.
    pub(in crate::signature) name: Vec<u8>,
    /// Its own certificate.
    pub(in crate::signature) certificate: Vec<u8>,
}

/// A name with these attributes, each in a part of its own.
pub(in crate::signature) fn name(attributes: &[(&str, &str)]) -> Vec<u8> {
    let part = |(kind, text): &(&str, &str)| set(vec![sequence(&[oid(kind), utf8(text)])]);
    sequence(&attributes.iter().map(part).collect::<Vec<_>>())
}

pub(in crate::signature) fn common_name(text: &str) -> Vec<u8> {
    name(&[(COMMON_NAME, text)])
}

/// An alternative name that is a URI.
pub(in crate::signature) fn uri(text: &str) -> Vec<u8> {
    tlv(0x86, text.as_bytes())
}

/// An alternative name that is an e-mail address.
pub(in crate::signature) fn email(text: &str) -> Vec<u8> {
    tlv(0x81, text.as_bytes())
}

/// An alternative name of another kind, as Fulcio has for user names.
pub(in crate::signature) fn other_name(text: &str) -> Vec<u8> {
    tagged(0, &[oid("1.3.6.1.4.1.57264.1.7"), tagged(0, &utf8(text))].concat())
}

fn extension(number: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { truth() } else { Vec::new() };
    sequence(&[oid(number), critical, octets(value)])
}

impl Draft {
    fn new(subject: Vec<u8>, valid: (i64, i64)) -> Self {
        Self { subject, serial: 1, valid, extensions: Vec::new() }
    }

    /// An authority, with at most so many others below it.
    pub(in crate::signature) fn authority(
        text: &str,
        valid: (i64, i64),
        below: Option<u32>,
    ) -> Self {
        let below = below.map(integer).unwrap_or_default();
        Self::new(common_name(text), valid)
            .with(BASIC_CONSTRAINTS, true, &sequence(&[truth(), below]))
            .with(KEY_USAGE, true, &tlv(0x03, &CERTIFICATE_AND_LIST_SIGNING))
    }

    /// A signer as Fulcio certifies them.
    pub(in crate::signature) fn signer(names: &[Vec<u8>], issuer: &str, valid: (i64, i64)) -> Self {
        Self::new(sequence(&[]), valid)
            .with(KEY_USAGE, true, &tlv(0x03, &DIGITAL_SIGNATURE))
            .with(EXTENDED_KEY_USAGE, false, &sequence(&[oid(CODE_SIGNING)]))
            .with(ALTERNATIVE_NAME, true, &sequence(names))
            .with(ISSUER, false, issuer.as_bytes())
            .with(ISSUER_V2, false, &utf8(issuer))
    }

    /// A signer of timestamps.
    pub(in crate::signature) fn clock(subject: Vec<u8>, valid: (i64, i64)) -> Self {
        Self::new(subject, valid).with(KEY_USAGE, true, &tlv(0x03, &DIGITAL_SIGNATURE)).with(
            EXTENDED_KEY_USAGE,
            true,
            &sequence(&[oid(TIME_STAMPING)]),
        )
    }

    /// The same with this extension, in the place of one of that number.
    pub(in crate::signature) fn with(
        mut self,
        number: &'static str,
        critical: bool,
        value: &[u8],
    ) -> Self {
        self = self.without(number);
        self.extensions.push((number, extension(number, critical, value)));
        self
    }

    pub(in crate::signature) fn without(mut self, number: &str) -> Self {
        self.extensions.retain(|(it, _)| *it != number);
        self
    }

    /// The same for other purposes.
    pub(in crate::signature) fn purposes(self, purposes: &[&str]) -> Self {
        let purposes: Vec<_> = purposes.iter().map(|it| oid(it)).collect();
        self.with(EXTENDED_KEY_USAGE, true, &sequence(&purposes))
    }

    fn content(&self, key: &Forger, issuer: &[u8]) -> Vec<u8> {
        let extensions: Vec<_> = self.extensions.iter().map(|(_, der)| der.clone()).collect();
        sequence(&[
            tagged(0, &integer(2)),
            integer(self.serial),
            algorithm(),
            issuer.to_vec(),
            sequence(&[utc_time(self.valid.0), utc_time(self.valid.1)]),
            self.subject.clone(),
            key.spki(),
            tagged(3, &sequence(&extensions)),
        ])
    }

    /// The certificate of `key`, issued by `authority`.
    pub(in crate::signature) fn issued(&self, key: &Forger, authority: &Authority) -> Vec<u8> {
        signed(&self.content(key, &authority.name), &authority.key)
    }

    /// The same, seen by the log of certificates with the key `log` at `seen`, which says so.
    pub(in crate::signature) fn logged(
        &self,
        key: &Forger,
        authority: &Authority,
        log: &Forger,
        seen: i64,
    ) -> Vec<u8> {
        let promise = self.promise(key, authority, log, seen);
        self.clone().with(SCT_LIST, false, &promises(&[promise])).issued(key, authority)
    }

    /// What the log with the key `log` says when it has seen this.
    pub(in crate::signature) fn promise(
        &self,
        key: &Forger,
        authority: &Authority,
        log: &Forger,
        seen: i64,
    ) -> Vec<u8> {
        let content = self.content(key, &authority.name);
        let time = u64::try_from(seen * 1000).unwrap().to_be_bytes();
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        let message = [
            &[0, 0][..],
            &time,
            &[0, 1],
            &Sha256::digest(authority.key.spki()),
            &length[1..],
            &content,
            &[0, 0],
        ];
        let signature = log.sign(&message.concat());
        let length = u16::try_from(signature.len()).unwrap().to_be_bytes();
        let id = Sha256::digest(log.spki());
        [&[0][..], &id, &time, &[0, 0], &[4, 3], &length, &signature].concat()
    }

    /// A new authority with this certificate, issued by itself.
    pub(in crate::signature) fn root(&self) -> Authority {
        let key = Arc::new(Forger::p256());
        let certificate = signed(&self.content(&key, &self.subject), &key);
        Authority { key, name: self.subject.clone(), certificate }
    }

    /// A new authority with this certificate, issued by `authority`.
    pub(in crate::signature) fn below(&self, authority: &Authority) -> Authority {
        let key = Arc::new(Forger::p256());
        let certificate = self.issued(&key, authority);
        Authority { key, name: self.subject.clone(), certificate }
    }
}

/// What logs of certificates said, as a certificate has it.
pub(in crate::signature) fn promises(promises: &[Vec<u8>]) -> Vec<u8> {
    let sized = |content: &[u8]| {
        [&u16::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
    };
    let all: Vec<u8> = promises.iter().flat_map(|promise| sized(promise)).collect();
    octets(&sized(&all))
}

/// The extension of what logs said, to be put into a [`Draft`].
pub(in crate::signature) const fn promises_number() -> &'static str {
    SCT_LIST
}

fn algorithm() -> Vec<u8> {
    sequence(&[oid(ECDSA_WITH_SHA256)])
}

/// `content` with a signature by `key`, as certificates and revocation lists are.
pub(in crate::signature) fn signed(content: &[u8], key: &Forger) -> Vec<u8> {
    sequence(&[content.to_vec(), algorithm(), bits(&key.sign(content))])
}
