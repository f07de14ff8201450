//! Texts that fit where they are shown: reason phrases are short and printable ASCII.

use crate::time::Timestamp;

/// Longest text of a reason, in characters.
pub(super) const REASON_LENGTH_MAX: usize = 80;
/// What stands where something was cut.
const CUT: &str = "...";

/// `text` in printable ASCII and at most [`REASON_LENGTH_MAX`] characters, the end cut if need be.
pub(super) fn ascii(text: &str) -> String {
    let mut plain = printable(text);
    if plain.len() > REASON_LENGTH_MAX {
        plain.truncate(REASON_LENGTH_MAX - CUT.len());
        plain.push_str(CUT);
    }
    plain
}

/// `text` with everything that is not printable ASCII replaced, so that one byte is one character.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ' '..='~' => c,
            _ if c.is_whitespace() => ' ',
            _ => '?',
        })
        .collect()
}

/// The day of `at`, in UTC.
pub(super) fn day(at: Timestamp) -> String {
    at.to_string().chars().take_while(|c| *c != 'T').collect()
}

/// `text`, which is ASCII, cut in the middle to at most `length_max` characters.
pub(super) fn cut_middle(text: &str, length_max: usize) -> String {
    if text.len() <= length_max {
        return text.to_owned();
    }
    let kept = length_max.saturating_sub(CUT.len());
    let tail = kept / 3;
    let head = text.get(..kept - tail).unwrap_or_default();
    let end = text.get(text.len() - tail..).unwrap_or_default();
    let whole = format!("{head}{CUT}{end}");
    whole.get(..length_max).map_or(whole.clone(), str::to_owned)
}

/// A few names in one text: `a, b and 3 more`.
pub(super) fn few(names: &[&str]) -> String {
    const NAMES_MAX: usize = 3;
    let shown = names.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A size for people: `4 MiB`, `1.5 GiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, factor) in UNITS {
        if bytes >= factor {
            let tenths = u128::from(bytes) * 10 / u128::from(factor);
            return match tenths % 10 {
                0 => format!("{} {unit}", tenths / 10),
                rest => format!("{}.{rest} {unit}", tenths / 10),
            };
        }
    }
    format!("{bytes} bytes")
}
