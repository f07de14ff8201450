//! `[limits]` and `[evidence]`: the bounds of every exchange with an upstream, and of what is
//! gathered about one subject.

use std::time::Duration;

use super::section::Section;
use crate::evidence;
use crate::oci::{INDEX_CHILDREN_MAX, MANIFEST_BYTES_MAX};
use crate::upstream::Limits;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
/// Sixteen segments may be in memory at a time.
const RANGE_SEGMENT_MAX: u64 = 32 * MIB;

pub(super) fn read(block: Section<'_>) -> Limits {
    let default = Limits::default();
    let time = |key, least, otherwise| block.duration(key, least..=HOUR).unwrap_or(otherwise);
    let size = |key, most: u64, otherwise: usize| {
        let bytes = block.size(key, KIB..=most).and_then(|bytes| usize::try_from(bytes).ok());
        bytes.unwrap_or(otherwise)
    };
    let count = |key, most: u64, otherwise: usize| {
        let number = block.number(key, 1..=most).and_then(|number| usize::try_from(number).ok());
        number.unwrap_or(otherwise)
    };
    let times = |key, least: u64, most: u64, otherwise: u32| {
        let number = block.number(key, least..=most).and_then(|number| u32::try_from(number).ok());
        number.unwrap_or(otherwise)
    };
    let manifest_max = u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX);
    let limits = Limits {
        connect_timeout: time("connect_timeout", SECOND, default.connect_timeout),
        first_byte_timeout: time("first_byte_timeout", SECOND, default.first_byte_timeout),
        idle_timeout: time("idle_timeout", SECOND, default.idle_timeout),
        pool_idle_timeout: time("pool_idle_timeout", Duration::ZERO, default.pool_idle_timeout),
        exchanges_max: count("max_exchanges", 10_000, default.exchanges_max),
        pool_idle_max: count("max_pool_idle", 1_000, default.pool_idle_max),
        manifest_bytes: size("manifest_size", manifest_max, default.manifest_bytes),
        token_bytes: size("token_size", MIB, default.token_bytes),
        header_bytes: size("header_size", MIB, default.header_bytes),
        redirects: count("max_redirects", 20, default.redirects),
        referrer_pages: count("max_referrer_pages", 100, default.referrer_pages),
        tag_pages: count("max_tag_pages", 1_000, default.tag_pages),
        attempts: times("max_attempts", 1, 10, default.attempts),
        retry_delay: time("retry_delay", Duration::from_millis(1), default.retry_delay),
        retry_after_wait: time("retry_after_wait", Duration::ZERO, default.retry_after_wait),
        retry_after_max: time("max_retry_after", SECOND, default.retry_after_max),
        resumes: times("max_resumes", 0, 1_000, default.resumes),
        range_connections: count("max_range_connections", 16, default.range_connections),
        range_after: time("range_after", Duration::ZERO, default.range_after),
        range_bytes_min: block.size("range_size", MIB..=TIB).unwrap_or(default.range_bytes_min),
        range_segment_bytes: block
            .size("range_segment", MIB..=RANGE_SEGMENT_MAX)
            .unwrap_or(default.range_segment_bytes),
        breaker_failures: times("breaker_failures", 1, 1_000, default.breaker_failures),
        breaker_probe: time("breaker_probe", SECOND, default.breaker_probe),
        login_rest: time("login_rest", SECOND, default.login_rest),
        helper_timeout: time("helper_timeout", SECOND, default.helper_timeout),
        helper_lifetime: time("helper_lifetime", Duration::ZERO, default.helper_lifetime),
    };
    block.finish();
    limits
}

pub(super) fn evidence(block: Section<'_>) -> evidence::Limits {
    let default = evidence::Limits::default();
    let count = |key, most: u64, otherwise: usize| {
        let number = block.number(key, 1..=most).and_then(|number| usize::try_from(number).ok());
        number.unwrap_or(otherwise)
    };
    let children_max = u64::try_from(INDEX_CHILDREN_MAX).unwrap_or(u64::MAX);
    let limits = evidence::Limits {
        fetches_at_once: count("max_fetches", 64, default.fetches_at_once),
        time: block.duration("timeout", SECOND..=HOUR).unwrap_or(default.time),
        bytes: block.size("size", MIB..=GIB).unwrap_or(default.bytes),
        children: count("max_children", children_max, default.children),
        referrers: count("max_referrers", 1_000, default.referrers),
        attachment_bytes: block
            .size("attachment_size", KIB..=GIB)
            .unwrap_or(default.attachment_bytes),
    };
    block.finish();
    limits
}
