//! How values look to people: times, spans, counts, sizes; for the command line and the page alike.

use std::time::Duration;

use crate::time::Timestamp;

const SECOND: u64 = 1;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How times are shown: relative to now, or absolute.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    now: Timestamp,
    utc: bool,
}

impl Times {
    /// Relative to `now`, or absolute in UTC if `utc`.
    pub const fn new(now: Timestamp, utc: bool) -> Self {
        Self { now, utc }
    }

    /// A moment in the past: `4 min ago`, or `2026-11-20 10:00:00Z`.
    pub fn past(self, at: Timestamp) -> String {
        if self.utc {
            return absolute(at);
        }
        match self.now.since(at).as_secs() {
            0 => "just now".to_owned(),
            _ => format!("{} ago", span(self.now.since(at))),
        }
    }

    /// A moment in the future, as a date; with the time of day if that is near or asked for.
    pub fn until(self, at: Timestamp) -> String {
        if self.utc || at.since(self.now).as_secs() < 2 * DAY {
            return absolute(at);
        }
        date(at)
    }
}

/// `2026-11-20 10:00:00Z`.
pub fn absolute(at: Timestamp) -> String {
    let seconds = Timestamp::from_milliseconds(at.milliseconds().div_euclid(1000) * 1000);
    seconds.to_string().replacen('T', " ", 1)
}

fn date(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('T').map_or_else(|| text.clone(), |(date, _)| date.to_owned())
}

/// A length of time in its largest unit: `4 min`, `3 h`, `12 d`.
pub fn span(length: Duration) -> String {
    match length.as_secs() {
        seconds @ 0..MINUTE => format!("{seconds} s"),
        seconds @ MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        seconds @ HOUR..DAY => format!("{} h", seconds / HOUR),
        seconds => format!("{} d", seconds / DAY),
    }
}

/// A count with its noun: `1 node`, `3 nodes`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A number of bytes with a unit of 1000s: `912 B`, `3.1 GB`.
#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "one decimal is shown; the loss is in the sixteenth"
)]
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1000.0;
    let mut unit = "kB";
    for larger in UNITS.iter().skip(1) {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// `text` without characters that nobody sees, or that make others look different: each is told by its
/// number. Everything that came from outside is escaped by then; this is about what is left.
pub fn plain_to_see(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) {
            let number = format!("[U+{:04X}]", u32::from(c));
            plain.push_str(&number);
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Control characters, marks of writing direction, and what has no width.
fn is_deceptive(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_relative_unless_absolute_ones_are_asked_for() {
        let times = Times::new(at("2026-11-20T10:00:00Z"), false);
        for (moment, text) in [
            ("2026-11-20T10:00:00Z", "just now"),
            ("2026-11-20T10:00:05Z", "just now"),
            ("2026-11-20T09:59:18Z", "42 s ago"),
            ("2026-11-20T09:56:00Z", "4 min ago"),
            ("2026-11-20T07:01:00Z", "2 h ago"),
            ("2026-11-01T10:00:00Z", "19 d ago"),
        ] {
            assert_eq!(times.past(at(moment)), text, "{moment}");
        }
        assert_eq!(times.until(at("2027-02-18T10:00:00Z")), "2027-02-18");
        assert_eq!(times.until(at("2026-11-20T12:00:00Z")), "2026-11-20 12:00:00Z");
        let utc = Times::new(at("2026-11-20T10:00:00Z"), true);
        assert_eq!(utc.past(at("2026-11-20T09:56:00.123Z")), "2026-11-20 09:56:00Z");
    }

    #[test]
    fn counts_and_sizes_have_their_units() {
        assert_eq!((count(1, "node"), count(3, "pull")), ("1 node".into(), "3 pulls".into()));
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_960, "1.0 MB"),
            (3_100_000_000, "3.1 GB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
