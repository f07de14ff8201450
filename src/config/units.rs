//! Durations and sizes as people write them: `30s`, `1m30s`, `20GiB`.

use std::time::Duration;

/// Units of durations, largest first, in milliseconds.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Units of sizes, largest first, in bytes.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads one or more numbers with units, largest unit first: `90s`, `1h30m`.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is not a duration; write one such as \"500ms\", \"30s\" or \"1h30m\"");
    let (mut rest, mut total, mut smallest) = (text, 0_u64, u64::MAX);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, after) = leading_number(rest).ok_or_else(wrong)?;
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let (_, millis) =
            DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        if *millis >= smallest {
            return Err(wrong());
        }
        smallest = *millis;
        total = number
            .checked_mul(*millis)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(wrong)?;
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

/// Reads a number with a unit: `64KiB`, `20GiB`.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; write one such as \"64KiB\" or \"20GiB\"");
    let (number, unit) = leading_number(text).ok_or_else(wrong)?;
    let (_, bytes) =
        SIZE_UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(wrong)?;
    number.checked_mul(*bytes).ok_or_else(wrong)
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

/// Writes a duration so that [`duration`] reads the same one (to the millisecond).
pub(super) fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let exact = DURATION_UNITS.iter().find(|(_, millis)| rest.is_multiple_of(*millis));
    if let Some((unit, millis)) = exact.filter(|(_, millis)| rest / millis < 1_000) {
        return format!("{}{unit}", rest / millis);
    }
    let part = |(unit, millis): &(&str, u64)| {
        let count = rest / millis;
        rest %= millis;
        if count == 0 { String::new() } else { format!("{count}{unit}") }
    };
    DURATION_UNITS.iter().map(part).collect()
}

/// Writes a size so that [`size`] reads the same one.
pub(super) fn show_size(bytes: u64) -> String {
    let exact = SIZE_UNITS.iter().find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit));
    let (unit, factor) = exact.copied().unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_unit_or_a_wrong_one_is_refused() {
        for bad in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10 s",
            "10S",
            "1s1m",
            "1s1s",
            "1sec",
            "99999999999999999999s",
            "999999999999d",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "10", "B", "-1B", "1.5GiB", "10gib", "99999999999TiB", "1GiB1B"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn units_mean_what_they_say() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("20 GB"), Ok(20_000_000_000));
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        assert_eq!(show_duration(Duration::from_mins(1)), "1m");
        assert_eq!(show_duration(Duration::from_millis(90_061_001)), "1d1h1m1s1ms");
        assert_eq!(show_size(16 << 20), "16MiB");
    }

    proptest! {
        #[test]
        fn durations_read_back_as_written(millis in 0_u64..10_000_000_000) {
            let written = Duration::from_millis(millis);
            prop_assert_eq!(duration(&show_duration(written)), Ok(written));
        }

        #[test]
        fn sizes_read_back_as_written(bytes: u64) {
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in ".{0,40}") {
            drop(duration(&text));
            drop(size(&text));
        }
    }
}
