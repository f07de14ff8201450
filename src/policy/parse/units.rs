//! Numbers with a unit.

use std::time::Duration;

use super::super::fields::{Fields, Problems};
use super::super::problem::Position;
use crate::time::Timestamp;

/// The time at `key`, a whole number of hours or days, if it is written.
pub(super) fn time_at(fields: &mut Fields, key: &str, problems: &mut Problems) -> Option<Duration> {
    let (text, position) = fields.text(key, problems)?;
    let time = duration(&text);
    if time.is_none() {
        problems.add(position, &fields.path_of(key), "must be a time like 12h or 7d");
    }
    time
}

/// A whole number of hours or days.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, hours) = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(number), _) => (number, 1),
        (None, Some(number)) => (number, 24),
        (None, None) => return None,
    };
    let plain = number.len() <= 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|number| plain && *number > 0)?;
    Some(Duration::from_hours(number * hours))
}

/// The time at `key`, a whole number of minutes, hours or days, if it is written.
pub(super) fn short_time_at(
    fields: &mut Fields,
    key: &str,
    problems: &mut Problems,
) -> Option<(Duration, Position)> {
    let (text, position) = fields.text(key, problems)?;
    let time = time_in(&text);
    if time.is_none() {
        problems.add(position, &fields.path_of(key), "must be a time like 30m or 2h");
    }
    time.map(|time| (time, position))
}

/// The time that `text` means: a whole number of minutes, hours or days, as `30m`, `2h` or `7d`.
pub fn time_in(text: &str) -> Option<Duration> {
    let minutes = text.strip_suffix('m').filter(|number| {
        (1..=5).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    let minutes = minutes.and_then(|number| number.parse().ok()).filter(|number| *number > 0);
    minutes.map(Duration::from_mins).or_else(|| duration(text))
}

/// The moment at `key`, with its zone, if it is written.
pub(super) fn moment_at(
    fields: &mut Fields,
    key: &str,
    problems: &mut Problems,
) -> Option<(Timestamp, Position)> {
    let (text, position) = fields.text(key, problems)?;
    let time = text.parse::<Timestamp>().ok();
    if time.is_none() {
        let text = "must be a time with its zone like 2027-06-30T00:00:00Z";
        problems.add(position, &fields.path_of(key), text);
    }
    time.map(|time| (time, position))
}

/// The moment at `key`, or the beginning of that day in UTC, if it is written.
pub(super) fn day_at(
    fields: &mut Fields,
    key: &str,
    problems: &mut Problems,
) -> Option<(Timestamp, Position)> {
    let (text, position) = fields.text(key, problems)?;
    let day = || format!("{text}T00:00:00Z").parse::<Timestamp>().ok();
    let time = text.parse::<Timestamp>().ok().or_else(day);
    if time.is_none() {
        let text = "must be a day like 2027-01-31, or a time like 2027-01-31T12:00:00Z";
        problems.add(position, &fields.path_of(key), text);
    }
    time.map(|time| (time, position))
}

/// The share at `key` in hundredths of a per cent, if it is written: `1%`, `0.25%`.
pub(super) fn share_at(fields: &mut Fields, key: &str, problems: &mut Problems) -> Option<u16> {
    let (text, position) = fields.text(key, problems)?;
    let share = share(&text);
    if share.is_none() {
        let text = "must be a percentage above 0% and up to 100%, like 10% or 0.25%";
        problems.add(position, &fields.path_of(key), text);
    }
    share
}

fn share(text: &str) -> Option<u16> {
    let number = text.strip_suffix('%')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, 3) || !digits(part, 2) {
        return None;
    }
    let hundredths = part.parse::<u16>().ok()? * if part.len() == 1 { 10 } else { 1 };
    let share = whole.parse::<u16>().ok()? * 100 + hundredths;
    (1..=10_000).contains(&share).then_some(share)
}

/// The size in bytes at `key`, a whole number with its unit, if it is written: `4MiB`, `10GiB`, `100B`.
pub(super) fn size_at(
    fields: &mut Fields,
    key: &str,
    problems: &mut Problems,
) -> Option<(u64, Position)> {
    const UNITS: [(&str, u64); 5] =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)];
    let (text, position) = fields.text(key, problems)?;
    let bytes = UNITS.iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?.trim_end();
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        number.parse::<u64>().ok()?.checked_mul(*factor)
    });
    if bytes.is_none() {
        let text = "must be a whole number with a unit: 512KiB, 4MiB, 10GiB";
        problems.add(position, &fields.path_of(key), text);
    }
    Some((bytes?, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages() {
        for (text, expected) in [
            ("1%", Some(100)),
            ("0.25%", Some(25)),
            ("0.5%", Some(50)),
            ("100%", Some(10_000)),
            ("0.01%", Some(1)),
            ("0%", None),
            ("100.01%", None),
            ("101%", None),
            ("1", None),
            ("0.1", None),
            ("-1%", None),
            ("1.%", None),
            (".5%", None),
            ("1.234%", None),
            ("9999%", None),
        ] {
            assert_eq!(share(text), expected, "{text}");
        }
    }

    #[test]
    fn times_are_whole_hours_or_days() {
        for (text, hours) in
            [("12h", Some(12)), ("7d", Some(168)), ("0h", None), ("7", None), ("1.5d", None)]
        {
            assert_eq!(duration(text), hours.map(Duration::from_hours), "{text}");
        }
    }
}
