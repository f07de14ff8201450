//! An authority of the mirror's own, and the certificate of its listeners.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::time::{Clock as _, SystemClock};

/// How long the authority is good: nodes are told of it by hand.
const AUTHORITY_YEARS: u16 = 10;
/// How long the certificate is; a new one is put in its place and read while the mirror runs.
const CERTIFICATE_YEARS: u16 = 2;

/// As PEM.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) authority: String,
    pub(super) authority_key: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

/// New ones, for these names and addresses.
///
/// # Errors
/// When a name is none that a certificate may have, or there is no randomness.
pub(super) fn make(names: Vec<String>) -> Result<Certificates, rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Pratique authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, AUTHORITY_YEARS);
    let authority = params.self_signed(&authority_key)?.pem();
    let authority_key_pem = authority_key.serialize_pem();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Pratique");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    valid_for(&mut params, CERTIFICATE_YEARS);
    let certificate = params.signed_by(&key, &issuer)?.pem();
    Ok(Certificates {
        authority,
        authority_key: authority_key_pem,
        certificate,
        key: key.serialize_pem(),
    })
}

/// From a day ago, for clocks that are behind.
fn valid_for(params: &mut CertificateParams, years: u16) {
    let now = SystemClock.now().milliseconds() / 1000;
    let day = |seconds: i64| {
        let text = crate::time::Timestamp::from_milliseconds(seconds * 1000).to_string();
        let mut numbers = text.split(['-', 'T']).filter_map(|part| part.parse::<i32>().ok());
        let (year, month, day) = (numbers.next(), numbers.next(), numbers.next());
        let small = |number: Option<i32>| number.and_then(|it| u8::try_from(it).ok()).unwrap_or(1);
        rcgen::date_time_ymd(year.unwrap_or(1970), small(month), small(day))
    };
    let seconds =
        |days: u64| i64::try_from(Duration::from_hours(24 * days).as_secs()).unwrap_or(i64::MAX);
    params.not_before = day(now - seconds(1));
    params.not_after = day(now + seconds(u64::from(years) * 365));
}
