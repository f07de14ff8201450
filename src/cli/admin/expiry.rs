//! `--expires`: a length of time from now, or a date.

use std::time::Duration;

use crate::time::Timestamp;

/// Longest validity that can be asked for, in days: a century is a slip of the finger.
const DAYS_MAX: u64 = 36_500;
const DAY: u64 = 24 * 60 * 60;

/// Why a text is no expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExpiryError {
    /// It is neither a length of time nor a date.
    #[error("write --expires as 12h, 90d, 8w, 2027-02-21 or 2027-02-21T12:00:00Z")]
    Form,
    /// It is over already.
    #[error("--expires is in the past")]
    Past,
    /// It is longer than [`DAYS_MAX`].
    #[error("--expires is more than 100 years away; leave it out for no end")]
    TooLong,
}

/// The moment that `text` means at `now`: `90d` from now, or the end of the day `2027-02-21` (UTC).
///
/// # Errors
/// When `text` is of neither form, or means a moment that is not after `now`.
pub(super) fn parse(text: &str, now: Timestamp) -> Result<Timestamp, ExpiryError> {
    let at = match length(text) {
        Some(Ok(length)) => now.after(length),
        Some(Err(error)) => return Err(error),
        None => moment(text).ok_or(ExpiryError::Form)?,
    };
    if at <= now {
        return Err(ExpiryError::Past);
    }
    if at.since(now) > Duration::from_secs(DAYS_MAX * DAY) {
        return Err(ExpiryError::TooLong);
    }
    Ok(at)
}

fn length(text: &str) -> Option<Result<Duration, ExpiryError>> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "m" => 60,
        "h" => 60 * 60,
        "d" => DAY,
        "w" => 7 * DAY,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let total = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
    Some(total.map(Duration::from_secs).ok_or(ExpiryError::TooLong))
}

fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    format!("{day}T23:59:59Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_counts_from_now_and_a_date_means_its_end() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        for (text, moment) in [
            ("90d", "2027-02-21T10:00:00Z"),
            ("12h", "2026-11-23T22:00:00Z"),
            ("30m", "2026-11-23T10:30:00Z"),
            ("2w", "2026-12-07T10:00:00Z"),
            ("2027-02-21", "2027-02-21T23:59:59Z"),
            ("2026-11-23", "2026-11-23T23:59:59Z"),
            ("2027-02-21T12:00:00Z", "2027-02-21T12:00:00Z"),
            ("2027-02-21T12:00:00+02:00", "2027-02-21T10:00:00Z"),
        ] {
            assert_eq!(parse(text, now).unwrap().to_string(), moment, "{text}");
        }
    }

    #[test]
    fn what_is_no_future_moment_is_refused() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        for (text, error) in [
            ("", ExpiryError::Form),
            ("d", ExpiryError::Form),
            ("90", ExpiryError::Form),
            ("-1d", ExpiryError::Form),
            ("9x", ExpiryError::Form),
            ("2027-13-01", ExpiryError::Form),
            ("tomorrow", ExpiryError::Form),
            ("é", ExpiryError::Form),
            ("0d", ExpiryError::Past),
            ("2026-11-22", ExpiryError::Past),
            ("99999999999999999999d", ExpiryError::TooLong),
            ("99999999d", ExpiryError::TooLong),
        ] {
            assert_eq!(parse(text, now), Err(error), "{text}");
        }
    }
}
