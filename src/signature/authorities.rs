//! When the authorities of a trust root vouch for anything: while all their certificates are valid.
//!
//! The library takes each certificate that a trust root lists for an anchor, and an anchor has no
//! validity of its own; what limits it is the window that the trust root gives. So the window is
//! narrowed to that of the certificates before the library sees it (CVE-2026-24122).

use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::TimeRange;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// Narrows the window of each authority in `root` to when every certificate of its chain is valid.
/// Authorities for which that is never are taken out.
///
/// # Errors
/// When a certificate cannot be read: nothing is known of when it is valid then.
pub(super) fn narrow(root: &mut TrustedRoot) -> Result<(), x509_cert::der::Error> {
    for authority in &mut root.certificate_authorities {
        let chain = &authority.cert_chain.certificates;
        let chain = chain.iter().map(|it| it.raw_bytes.as_bytes());
        authority.valid_for = within(authority.valid_for, chain)?;
    }
    for authority in &mut root.timestamp_authorities {
        let chain = &authority.cert_chain.certificates;
        let chain = chain.iter().map(|it| it.raw_bytes.as_bytes());
        authority.valid_for = within(authority.valid_for, chain)?;
    }
    root.certificate_authorities.retain(|authority| is_ever(authority.valid_for));
    root.timestamp_authorities.retain(|authority| is_ever(authority.valid_for));
    Ok(())
}

/// The part of `range` in which every certificate of `chain` is valid.
fn within<'a>(
    range: Option<TimeRange>,
    mut chain: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<TimeRange>, x509_cert::der::Error> {
    chain.try_fold(range, |all, der| {
        let own = validity(der)?;
        Ok(Some(all.map_or(own, |all| both(all, own))))
    })
}

fn is_ever(range: Option<TimeRange>) -> bool {
    range.is_none_or(|range| range.end.is_none_or(|end| range.start <= end))
}

fn validity(der: &[u8]) -> Result<TimeRange, x509_cert::der::Error> {
    let validity = Certificate::from_der(der)?.tbs_certificate.validity;
    let moment =
        |time: x509_cert::time::Time| jiff::Timestamp::try_from(time.to_system_time()).ok();
    // What is beyond all times is never reached.
    let start = moment(validity.not_before).unwrap_or(jiff::Timestamp::MAX);
    Ok(TimeRange::new(start, moment(validity.not_after)))
}

fn both(one: TimeRange, other: TimeRange) -> TimeRange {
    let end = match (one.end, other.end) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    TimeRange::new(one.start.max(other.start), end)
}
