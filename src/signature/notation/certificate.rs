//! Certificates, and everything that is signed as they are.

use std::sync::LazyLock;
use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use x509_cert::Certificate as Parsed;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{AnyRef, Decode, Encode as _, Reader as _, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::super::Refusal;
use super::super::der::check_sets;
use super::super::refusal::quoted;
use super::envelope::Algorithm;
use super::name::DistinguishedName;
use crate::time::Timestamp;

/// Most extensions of a certificate.
const EXTENSIONS_MAX: usize = 64;
/// Largest certificate in bytes.
pub(super) const CERTIFICATE_BYTES_MAX: usize = 32 * 1024;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// Extensions that may be critical without changing what is judged here: alternative names of the
/// subject, and the policies under which it was issued.
const WITHOUT_EFFECT: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("2.5.29.17"), ObjectIdentifier::new_unwrap("2.5.29.32")];

/// The algorithms by which certificates may be signed: none with SHA-1 among them.
static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms
});

/// A certificate, read and not verified.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    der: Vec<u8>,
    signed: Signed,
    pub(super) parsed: Parsed,
    pub(super) uses: Uses,
}

/// What its extensions say a certificate is for.
#[derive(Debug, Clone, Default)]
pub(super) struct Uses {
    pub(super) basic: Option<BasicConstraints>,
    /// With whether the extension is critical.
    pub(super) key: Option<(bool, KeyUsage)>,
    /// With whether the extension is critical.
    pub(super) extended: Option<(bool, Vec<ObjectIdentifier>)>,
}

/// Content with a signature, as certificates and revocation lists are made.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    /// The bytes under the signature, as received.
    content: Vec<u8>,
    /// The inside of the algorithm identifier.
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Takes `der`, a sequence of content, algorithm and signature, apart.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let whole = AnyRef::from_der(der).ok()?;
        let mut reader = SliceReader::new(whole.value()).ok()?;
        let content = reader.tlv_bytes().ok()?.to_vec();
        let algorithm = AnyRef::from_der(reader.tlv_bytes().ok()?).ok()?.value().to_vec();
        let signature = x509_cert::der::asn1::BitStringRef::decode(&mut reader).ok()?;
        let signature = signature.as_bytes()?.to_vec();
        reader.is_finished().then_some(Self { content, algorithm, signature })
    }

    /// Whether `key` made the signature.
    pub(super) fn is_by(&self, key: &SubjectPublicKeyInfoOwned) -> bool {
        verifies(key, &self.algorithm, &self.content, &self.signature)
    }
}

/// Whether `key` made `signature` over `content` by the algorithm of that identifier.
pub(super) fn verifies(
    key: &SubjectPublicKeyInfoOwned,
    algorithm: &[u8],
    content: &[u8],
    signature: &[u8],
) -> bool {
    let Some((kind, bits)) = parts(key) else { return false };
    ALGORITHMS.all.iter().any(|known| {
        known.signature_alg_id().as_ref() == algorithm
            && known.public_key_alg_id().as_ref() == kind
            && known.verify_signature(&bits, content, signature).is_ok()
    })
}

/// The inside of the algorithm identifier of `key`, and its bits.
pub(super) fn parts(key: &SubjectPublicKeyInfoOwned) -> Option<(Vec<u8>, Vec<u8>)> {
    let kind = key.algorithm.to_der().ok()?;
    let kind = AnyRef::from_der(&kind).ok()?.value().to_vec();
    Some((kind, key.subject_public_key.as_bytes()?.to_vec()))
}

impl Certificate {
    /// The certificate in `der`.
    pub(super) fn read(der: &[u8]) -> Result<Self, Refusal> {
        const MALFORMED: Refusal = Refusal::Malformed("certificate");
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(Refusal::TooLarge("certificate"));
        }
        check_sets(der, "list inside a certificate")?;
        let parsed = Parsed::from_der(der).map_err(|_| MALFORMED)?;
        let signed = Signed::read(der).ok_or(MALFORMED)?;
        if parsed.signature_algorithm != parsed.tbs_certificate.signature {
            return Err(MALFORMED);
        }
        let uses = Uses::of(&parsed)?;
        Ok(Self { der: der.to_vec(), signed, parsed, uses })
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.parsed.tbs_certificate.subject_public_key_info
    }

    /// Whether `issuer` issued this, by name and by signature.
    pub(super) fn is_issued_by(&self, issuer: &Self) -> bool {
        self.parsed.tbs_certificate.issuer == issuer.parsed.tbs_certificate.subject
            && self.signed.is_by(issuer.key())
    }

    pub(super) fn is_self_signed(&self) -> bool {
        self.is_issued_by(self)
    }

    pub(super) fn is_authority(&self) -> bool {
        self.uses.basic.as_ref().is_some_and(|basic| basic.ca)
    }

    pub(super) fn name(&self) -> Result<DistinguishedName, Refusal> {
        DistinguishedName::of(&self.parsed.tbs_certificate.subject)
            .map_err(|error| Refusal::Proof(format!("subject of the certificate {error}")))
    }

    /// The subject as text, for people.
    pub(super) fn subject(&self) -> String {
        quoted(&self.parsed.tbs_certificate.subject.to_string())
    }

    /// From when on and up to when it is valid, both included.
    pub(super) fn validity(&self) -> (Timestamp, Timestamp) {
        let validity = &self.parsed.tbs_certificate.validity;
        (moment(validity.not_before), moment(validity.not_after))
    }

    /// The one algorithm that goes with its key, if it is of a size that the specification allows.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        let key = self.key();
        if key.algorithm.oid == RSA {
            return match rsa_bits(key.subject_public_key.as_bytes()?)? {
                2048 => Some(Algorithm::Ps256),
                3072 => Some(Algorithm::Ps384),
                4096 => Some(Algorithm::Ps512),
                _ => None,
            };
        }
        let curve: ObjectIdentifier = key.algorithm.parameters.as_ref()?.decode_as().ok()?;
        match (key.algorithm.oid, curve) {
            (EC, P256) => Some(Algorithm::Es256),
            (EC, P384) => Some(Algorithm::Es384),
            (EC, P521) => Some(Algorithm::Es512),
            _ => None,
        }
    }
}

/// `time` as we count it.
pub(super) fn moment(time: x509_cert::time::Time) -> Timestamp {
    let since: Duration = time.to_unix_duration();
    Timestamp::from_milliseconds(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// How many bits the modulus of an RSA key has.
fn rsa_bits(key: &[u8]) -> Option<u32> {
    let mut reader = SliceReader::new(AnyRef::from_der(key).ok()?.value()).ok()?;
    let modulus = UintRef::decode(&mut reader).ok()?;
    let bytes = modulus.as_bytes();
    let first = bytes.first()?;
    u32::try_from(bytes.len()).ok()?.checked_mul(8)?.checked_sub(first.leading_zeros())
}

impl Uses {
    fn of(certificate: &Parsed) -> Result<Self, Refusal> {
        const MALFORMED: Refusal = Refusal::Malformed("extension of a certificate");
        let mut uses = Self::default();
        let mut seen = Vec::new();
        for extension in certificate.tbs_certificate.extensions.iter().flatten() {
            let (oid, value) = (extension.extn_id, extension.extn_value.as_bytes());
            if seen.contains(&oid) {
                return Err(MALFORMED);
            }
            if seen.len() >= EXTENSIONS_MAX {
                return Err(Refusal::TooLarge("list of extensions"));
            }
            seen.push(oid);
            if oid == BASIC_CONSTRAINTS {
                uses.basic = Some(BasicConstraints::from_der(value).map_err(|_| MALFORMED)?);
            } else if oid == KEY_USAGE {
                let usage = KeyUsage::from_der(value).map_err(|_| MALFORMED)?;
                uses.key = Some((extension.critical, usage));
            } else if oid == EXTENDED_KEY_USAGE {
                let usage = ExtendedKeyUsage::from_der(value).map_err(|_| MALFORMED)?;
                uses.extended = Some((extension.critical, usage.0));
            } else if extension.critical && !WITHOUT_EFFECT.contains(&oid) {
                let why =
                    format!("certificate has the critical extension {oid}, which is not supported");
                return Err(Refusal::Proof(why));
            }
        }
        Ok(uses)
    }
}
