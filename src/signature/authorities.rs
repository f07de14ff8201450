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
pub(super) fn narrow(root: &mut TrustedRoot) {
    root.certificate_authorities.retain_mut(|authority| {
        let chain = &authority.cert_chain.certificates;
        authority.valid_for =
            within(authority.valid_for, chain.iter().map(|it| it.raw_bytes.as_bytes()));
        is_ever(authority.valid_for)
    });
    root.timestamp_authorities.retain_mut(|authority| {
        let chain = &authority.cert_chain.certificates;
        authority.valid_for =
            within(authority.valid_for, chain.iter().map(|it| it.raw_bytes.as_bytes()));
        is_ever(authority.valid_for)
    });
}

/// The part of `range` in which every certificate of `chain` is valid. Those that cannot be read are
/// the library's to refuse.
fn within<'a>(
    range: Option<TimeRange>,
    chain: impl Iterator<Item = &'a [u8]>,
) -> Option<TimeRange> {
    chain.filter_map(validity).fold(range, |all, own| Some(all.map_or(own, |all| both(all, own))))
}

fn is_ever(range: Option<TimeRange>) -> bool {
    range.is_none_or(|range| range.end.is_none_or(|end| range.start <= end))
}

fn validity(der: &[u8]) -> Option<TimeRange> {
    let validity = Certificate::from_der(der).ok()?.tbs_certificate.validity;
    let moment =
        |time: x509_cert::time::Time| jiff::Timestamp::try_from(time.to_system_time()).ok();
    Some(TimeRange::new(moment(validity.not_before)?, moment(validity.not_after)))
}

fn both(one: TimeRange, other: TimeRange) -> TimeRange {
    let end = match (one.end, other.end) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    TimeRange::new(one.start.max(other.start), end)
}
