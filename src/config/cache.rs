//! `[cache]`: how much the cache may hold, what gives way, and how often it is looked through.

use std::time::Duration;

use super::section::Section;
use crate::store::Keeping;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Larger than any disk, and far from overflowing.
const BYTES_MAX: u64 = 1 << 60;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const CENTURY: Duration = Duration::from_hours(24 * 36_525);

pub(super) fn read(block: Section<'_>) -> Keeping {
    let default = Keeping::default();
    let percent = |key, otherwise: u8| {
        let number = block.number(key, 1..=100).and_then(|number| u8::try_from(number).ok());
        number.unwrap_or(otherwise)
    };
    let high_percent = percent("high_watermark", default.high_percent);
    let low_percent = percent("low_watermark", default.low_percent);
    if low_percent >= high_percent {
        let text = format!(
            "{low_percent} is not below high_watermark, {high_percent}; what is evicted makes the room between them"
        );
        block.problem("low_watermark", text);
    }
    let scrub_every = match block.duration("scrub_every", Duration::ZERO..=CENTURY) {
        Some(never) if never.is_zero() => None,
        Some(every) if every < SECOND => {
            block.problem("scrub_every", "is less than a second; \"0s\" is never");
            None
        }
        Some(every) => Some(every),
        None => default.scrub_every,
    };
    let keeping = Keeping {
        quota_bytes: block.size("quota", MIB..=BYTES_MAX),
        high_percent,
        low_percent,
        min_free_bytes: block.size("min_free", 0..=BYTES_MAX).unwrap_or(default.min_free_bytes),
        retention: block.duration("retention", HOUR..=CENTURY),
        scrub_rate_bytes: block
            .size("scrub_rate", 64 * KIB..=BYTES_MAX)
            .unwrap_or(default.scrub_rate_bytes),
        scrub_every,
    };
    block.finish();
    keeping
}
