//! Timestamps that an authority put on a signature.
//!
//! The library that verifies timestamps of Sigstore knows the signing certificate beforehand, and
//! elliptic curves only. Here the token brings its chain, and most authorities sign with RSA.
//!
//! Spec: RFC 3161, RFC 5652 section 5.4, RFC 5816.

use aws_lc_rs::digest::{self, digest};
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use x509_cert::attr::Attributes;
use x509_cert::der::asn1::{ObjectIdentifier, OctetStringRef};
use x509_cert::der::{
    Any, AnyRef, Decode, Encode as _, Reader as _, SliceReader, Tag, Tagged as _,
};
use x509_cert::ext::pkix::SubjectKeyIdentifier;

use super::super::Refusal;
use super::super::der::check_sets;
use super::certificate::{Certificate, verifies};
use super::chain;
use super::envelope::CHAIN_LENGTH_MAX;
use crate::time::Timestamp;

/// Largest token in bytes.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TIMESTAMP_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// With which algorithm an RSA key signed when the token says no more than "RSA", by its hash.
const RSA_WITH: [(ObjectIdentifier, ObjectIdentifier); 3] = [
    (SHA256, ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11")),
    (SHA384, ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12")),
    (SHA512, ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13")),
];
const ECDSA_WITH: [(ObjectIdentifier, ObjectIdentifier); 3] = [
    (SHA256, ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2")),
    (SHA384, ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3")),
    (SHA512, ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4")),
];

/// Between which moments something was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SignedBetween {
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
}

fn wrong(why: &str) -> Refusal {
    Refusal::Proof(format!("timestamp {why}"))
}

fn malformed<E>(_: E) -> Refusal {
    Refusal::Malformed("timestamp")
}

/// Verifies that an authority below one of `roots` saw `signature`, by `token`, and when. Gives the
/// chain of the authority, too.
pub(super) fn verify(
    token: &[u8],
    signature: &[u8],
    roots: &[Certificate],
) -> Result<(SignedBetween, Vec<Certificate>), Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::TooLarge("timestamp"));
    }
    check_sets(token, "list inside a timestamp")?;
    let data = signed_data(token)?;
    let [signer] = data.signer_infos.0.as_slice() else {
        return Err(wrong("has not exactly one signer"));
    };
    let content = data.encap_content_info.econtent.as_ref().ok_or_else(|| malformed(()))?;
    let content = content.decode_as::<OctetStringRef<'_>>().map_err(malformed)?.as_bytes();
    let between = read_info(content, signature)?;
    let embedded = embedded(&data)?;
    let found = embedded.iter().find(|certificate| is_signer(&signer.sid, certificate));
    let leaf = found.ok_or_else(|| wrong("does not bring the certificate of its signer"))?;
    check_attributes(signer, content, leaf)?;
    let chain = chain_of(leaf, &embedded, roots)?;
    chain::check_valid(&chain, between.earliest, between.latest)?;
    Ok((between, chain))
}

fn signed_data(token: &[u8]) -> Result<SignedData, Refusal> {
    let outer = ContentInfo::from_der(token).map_err(malformed)?;
    if outer.content_type != SIGNED_DATA {
        return Err(malformed(()));
    }
    let data: SignedData = outer.content.decode_as().map_err(malformed)?;
    if data.encap_content_info.econtent_type == TIMESTAMP_INFO {
        Ok(data)
    } else {
        Err(wrong("is a signature over something else"))
    }
}

/// The certificates that came with the token.
fn embedded(data: &SignedData) -> Result<Vec<Certificate>, Refusal> {
    let choices = data.certificates.as_ref().map_or(&[][..], |set| set.0.as_slice());
    if choices.len() > CHAIN_LENGTH_MAX {
        return Err(Refusal::TooLarge("timestamp"));
    }
    let mut certificates = Vec::new();
    for choice in choices {
        if let CertificateChoices::Certificate(certificate) = choice {
            let der = certificate.to_der().map_err(malformed)?;
            // One that nobody can read is not the one that is looked for.
            certificates.extend(Certificate::read(&der).ok());
        }
    }
    Ok(certificates)
}

fn is_signer(id: &SignerIdentifier, certificate: &Certificate) -> bool {
    let content = &certificate.parsed.tbs_certificate;
    match id {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            content.issuer == id.issuer && content.serial_number == id.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(id) => content
            .get::<SubjectKeyIdentifier>()
            .is_ok_and(|own| own.is_some_and(|(_, own)| own == *id)),
    }
}

/// Checks what the signer signed: that content, this certificate, and nothing by halves.
fn check_attributes(
    signer: &SignerInfo,
    content: &[u8],
    leaf: &Certificate,
) -> Result<(), Refusal> {
    let attributes = signer.signed_attrs.as_ref().ok_or_else(|| malformed(()))?;
    let kind: ObjectIdentifier =
        single(attributes, CONTENT_TYPE)?.decode_as().map_err(malformed)?;
    let hashed = single(attributes, MESSAGE_DIGEST)?;
    let hashed = hashed.decode_as::<OctetStringRef<'_>>().map_err(malformed)?;
    let hash = hash(signer.digest_alg.oid)?;
    if kind != TIMESTAMP_INFO || digest(hash, content).as_ref() != hashed.as_bytes() {
        return Err(wrong("does not sign its own content"));
    }
    if !names(attributes, leaf)? {
        return Err(wrong("was signed for another certificate"));
    }
    let algorithm =
        algorithm(signer, leaf).ok_or_else(|| wrong("uses an unsupported algorithm"))?;
    let message = attributes.to_der().map_err(malformed)?;
    if verifies(leaf.key(), &algorithm, &message, signer.signature.as_bytes()) {
        Ok(())
    } else {
        Err(wrong("signature does not verify"))
    }
}

fn single(attributes: &Attributes, oid: ObjectIdentifier) -> Result<&Any, Refusal> {
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    let (Some(attribute), None) = (found.next(), found.next()) else { return Err(malformed(())) };
    let [value] = attribute.values.as_slice() else { return Err(malformed(())) };
    Ok(value)
}

/// Whether the signer signed that `leaf` is its certificate: otherwise another certificate for the
/// same key could take its place.
fn names(attributes: &Attributes, leaf: &Certificate) -> Result<bool, Refusal> {
    let has = |oid| attributes.iter().any(|attribute| attribute.oid == oid);
    let second = has(SIGNING_CERTIFICATE_V2);
    let oid = if second { SIGNING_CERTIFICATE_V2 } else { SIGNING_CERTIFICATE };
    let value = single(attributes, oid)?;
    // SigningCertificate holds a list of identifiers, of which the first is that of the signer.
    let mut outer = SliceReader::new(value.value()).map_err(malformed)?;
    let list = AnyRef::decode(&mut outer).map_err(malformed)?;
    let mut list = SliceReader::new(list.value()).map_err(malformed)?;
    let identifier = AnyRef::decode(&mut list).map_err(malformed)?;
    let mut identifier = SliceReader::new(identifier.value()).map_err(malformed)?;
    let mut algorithm = if second { &digest::SHA256 } else { &digest::SHA1_FOR_LEGACY_USE_ONLY };
    if second && identifier.peek_tag().map_err(malformed)? == Tag::Sequence {
        let named = AnyRef::decode(&mut identifier).map_err(malformed)?;
        let mut named = SliceReader::new(named.value()).map_err(malformed)?;
        algorithm = hash(ObjectIdentifier::decode(&mut named).map_err(malformed)?)?;
    }
    let expected = OctetStringRef::decode(&mut identifier).map_err(malformed)?;
    Ok(digest(algorithm, leaf.der()).as_ref() == expected.as_bytes())
}

/// The inside of the identifier of the algorithm that the signer used, for the kind of its key.
fn algorithm(signer: &SignerInfo, leaf: &Certificate) -> Option<Vec<u8>> {
    let by_hash = |table: &[(ObjectIdentifier, ObjectIdentifier)]| {
        table.iter().find(|(hash, _)| *hash == signer.digest_alg.oid).map(|(_, with)| *with)
    };
    let stated = signer.signature_algorithm.oid;
    if leaf.key().algorithm.oid == RSA {
        let with = by_hash(&RSA_WITH).filter(|with| stated == RSA || stated == *with)?;
        // RFC 4055: with these the parameters are NULL.
        return Some([with.to_der().ok()?, vec![0x05, 0x00]].concat());
    }
    by_hash(&ECDSA_WITH).filter(|with| stated == *with)?.to_der().ok()
}

fn hash(oid: ObjectIdentifier) -> Result<&'static digest::Algorithm, Refusal> {
    match oid {
        SHA256 => Ok(&digest::SHA256),
        SHA384 => Ok(&digest::SHA384),
        SHA512 => Ok(&digest::SHA512),
        _ => Err(wrong("uses an unsupported hash")),
    }
}

/// `leaf` and those who issued it, up to one of `roots`.
fn chain_of(
    leaf: &Certificate,
    embedded: &[Certificate],
    roots: &[Certificate],
) -> Result<Vec<Certificate>, Refusal> {
    chain::check_timestamper(leaf)?;
    let mut chain = vec![leaf.clone()];
    while let Some(last) = chain.last().filter(|_| chain.len() <= CHAIN_LENGTH_MAX) {
        let issuer = |it: &&Certificate| last.is_issued_by(it);
        let (issuer, is_root) = match roots.iter().find(issuer) {
            Some(root) => (root, true),
            None => match embedded.iter().find(issuer) {
                Some(issuer) => (issuer, false),
                None => break,
            },
        };
        chain::check_authority(issuer, chain.len().saturating_sub(1))?;
        chain.push(issuer.clone());
        if is_root {
            return Ok(chain);
        }
    }
    Err(wrong("is by no authority of the trust root"))
}

/// Reads `content`, a `TSTInfo`: checks that it is about `signature`, and gives when.
fn read_info(content: &[u8], signature: &[u8]) -> Result<SignedBetween, Refusal> {
    let whole = AnyRef::from_der(content).map_err(malformed)?;
    let mut reader = SliceReader::new(whole.value()).map_err(malformed)?;
    let mut next = || AnyRef::decode(&mut reader).map_err(malformed);
    let (_version, _policy) = (next()?, next()?);
    let imprint = next()?;
    let _serial_number = next()?;
    let time = next()?;
    let mut imprint = SliceReader::new(imprint.value()).map_err(malformed)?;
    let algorithm = AnyRef::decode(&mut imprint).map_err(malformed)?;
    let mut algorithm = SliceReader::new(algorithm.value()).map_err(malformed)?;
    let algorithm = hash(ObjectIdentifier::decode(&mut algorithm).map_err(malformed)?)?;
    let hashed = OctetStringRef::decode(&mut imprint).map_err(malformed)?;
    if digest(algorithm, signature).as_ref() != hashed.as_bytes() {
        return Err(wrong("is for another signature"));
    }
    let at = generalized_time(time)?;
    let accuracy = match AnyRef::decode(&mut reader) {
        Ok(next) if next.tag() == Tag::Sequence => accuracy(next.value())?,
        _ => 0,
    };
    let at = at.milliseconds();
    let moment = Timestamp::from_milliseconds;
    Ok(SignedBetween {
        earliest: moment(at.saturating_sub(accuracy)),
        latest: moment(at.saturating_add(accuracy)),
    })
}

/// By how many milliseconds the time may be wrong, rounded up.
fn accuracy(content: &[u8]) -> Result<i64, Refusal> {
    let mut reader = SliceReader::new(content).map_err(malformed)?;
    let mut most = 0_i64;
    while !reader.is_finished() {
        let part = AnyRef::decode(&mut reader).map_err(malformed)?;
        let bytes = part.value();
        let mut number = 0_i64;
        for byte in bytes.iter().take(bytes.len().min(6)) {
            number = number << 8 | i64::from(*byte);
        }
        if bytes.len() > 6 || bytes.first().is_some_and(|first| *first >= 0x80) {
            return Err(malformed(()));
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "every tag that is not named is wrong")]
        let milliseconds = match part.tag() {
            Tag::Integer => number.saturating_mul(1_000),
            // Milliseconds, then microseconds.
            Tag::ContextSpecific { number: tag, .. } if tag.value() == 0 => number,
            Tag::ContextSpecific { number: tag, .. } if tag.value() == 1 => i64::from(number > 0),
            _ => return Err(malformed(())),
        };
        most = most.saturating_add(milliseconds);
    }
    Ok(most)
}

/// `YYYYMMDDhhmmss[.f]Z`: with fractions of a second, which RFC 3161 allows here.
fn generalized_time(time: AnyRef<'_>) -> Result<Timestamp, Refusal> {
    if time.tag() != Tag::GeneralizedTime {
        return Err(malformed(()));
    }
    let text = std::str::from_utf8(time.value()).map_err(malformed)?;
    let text = text.strip_suffix('Z').ok_or_else(|| malformed(()))?;
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(it, f)| (it, Some(f)));
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || fraction.is_some_and(|it| !digits(it)) {
        return Err(malformed(()));
    }
    let part = |from: usize, to: usize| whole.get(from..to).unwrap_or_default();
    let fraction = fraction.map(|it| format!(".{}", it.get(..9).unwrap_or(it))).unwrap_or_default();
    let (date, clock) = (
        format!("{}-{}-{}", part(0, 4), part(4, 6), part(6, 8)),
        format!("{}:{}:{}", part(8, 10), part(10, 12), part(12, 14)),
    );
    format!("{date}T{clock}{fraction}Z").parse().map_err(malformed)
}
