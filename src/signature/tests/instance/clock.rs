//! Tokens of a timestamp authority (RFC 3161), right or wrong in any part.

use sha2::{Digest as _, Sha256};

use super::certificate::Authority;
use super::der::{generalized_time, integer, octets, oid, sequence, set, tagged, tlv};

const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";
const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
const SIGNING_CERTIFICATE: &str = "1.2.840.113549.1.9.16.2.47";
pub(in crate::signature) const TIMESTAMP_INFO: &str = "1.2.840.113549.1.9.16.1.4";

/// What goes into a token, to be changed at will.
pub(in crate::signature) struct Stamp<'a> {
    /// Who signs it, with the certificate that it says it has.
    pub(in crate::signature) signer: &'a Authority,
    /// By whom that certificate is, as the token says it, and its number.
    pub(in crate::signature) issuer: &'a [u8],
    pub(in crate::signature) serial: u32,
    /// What was seen.
    pub(in crate::signature) seen: &'a [u8],
    pub(in crate::signature) at: i64,
    /// What kind of content it says is signed.
    pub(in crate::signature) kind: &'a str,
    /// The certificate that the signer says, under its signature, it has.
    pub(in crate::signature) bound: &'a [u8],
    /// The certificates that come with it.
    pub(in crate::signature) brings: Vec<Vec<u8>>,
}

fn attribute(number: &str, value: Vec<u8>) -> Vec<u8> {
    sequence(&[oid(number), set(vec![value])])
}

impl Stamp<'_> {
    fn info(&self) -> Vec<u8> {
        let imprint = sequence(&[sequence(&[oid(SHA256)]), octets(&Sha256::digest(self.seen))]);
        sequence(&[integer(1), oid("1.2.3.4"), imprint, integer(7), generalized_time(self.at)])
    }

    /// The token.
    pub(in crate::signature) fn token(&self) -> Vec<u8> {
        let info = self.info();
        let certificate = sequence(&[octets(&Sha256::digest(self.bound))]);
        let attributes = set(vec![
            attribute(CONTENT_TYPE, oid(self.kind)),
            attribute(MESSAGE_DIGEST, octets(&Sha256::digest(&info))),
            attribute(SIGNING_CERTIFICATE, sequence(&[sequence(&[certificate])])),
        ]);
        let signature = self.signer.key.sign(&attributes);
        // What is signed is a set; where it stands it has a tag of its own.
        let mut placed = attributes;
        placed[0] = 0xa0;
        let signer = sequence(&[
            integer(1),
            sequence(&[self.issuer.to_vec(), integer(self.serial)]),
            sequence(&[oid(SHA256)]),
            placed,
            sequence(&[oid(ECDSA_WITH_SHA256)]),
            octets(&signature),
        ]);
        let mut brings = self.brings.clone();
        brings.sort();
        let brings = if brings.is_empty() { Vec::new() } else { tlv(0xa0, &brings.concat()) };
        let data = sequence(&[
            integer(3),
            set(vec![sequence(&[oid(SHA256)])]),
            sequence(&[oid(self.kind), tagged(0, &octets(&info))]),
            brings,
            set(vec![signer]),
        ]);
        sequence(&[oid(SIGNED_DATA), tagged(0, &data)])
    }
}
