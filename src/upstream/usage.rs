//! How an upstream's rate limit is used up, and when it will be.
//!
//! Only what the upstream itself says counts: others behind the same address or login use the same
//! limit, and registries differ in what they count (Docker Hub counts GETs of manifests, and no HEAD).

use std::collections::VecDeque;
use std::time::Duration;

use super::breaker::RateLimit;

/// How far back the present rate is measured.
const SPAN_MAX: Duration = Duration::from_hours(1);
/// The least time over which it is measured, so that one pull of many layers is no trend.
const SPAN_MIN: Duration = Duration::from_mins(10);
/// In steps of this length.
const STEP: Duration = Duration::from_mins(1);

/// What was used up lately; times are monotonic.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    /// When the limit was heard of first, and how much was left when it was heard of last.
    known: Option<(Duration, u64)>,
    /// Beginning of a step, and what was used up in it; at most as many as [`SPAN_MAX`] has.
    steps: VecDeque<(Duration, u64)>,
}

impl Usage {
    /// Notes that so much is left at `now`.
    pub(super) fn note(&mut self, remaining: u64, now: Duration) {
        let (since, before) = self.known.unwrap_or((now, remaining));
        self.known = Some((since, remaining));
        // More than before: the window moved on, and what was used before it says nothing of later.
        let used = before.saturating_sub(remaining);
        match self.steps.back_mut() {
            Some((start, count)) if now.saturating_sub(*start) < STEP => *count += used,
            _ => self.steps.push_back((now, used)),
        }
        while self.steps.front().is_some_and(|(start, _)| now.saturating_sub(*start) > SPAN_MAX) {
            self.steps.pop_front();
        }
    }

    /// In how long from `now` nothing is left at the present rate; `None`: not before the window
    /// gives everything back.
    pub(super) fn runs_out_in(&self, limit: &RateLimit, now: Duration) -> Option<Duration> {
        if limit.remaining == 0 {
            return Some(Duration::ZERO);
        }
        let (since, _) = self.known?;
        let span = now.saturating_sub(since).clamp(SPAN_MIN, SPAN_MAX);
        let lately = self.steps.iter().filter(|(start, _)| now.saturating_sub(*start) <= span);
        let used: u64 = lately.map(|(_, used)| used).sum();
        if used == 0 {
            return None;
        }
        let seconds = span.as_secs().saturating_mul(limit.remaining) / used;
        let left = Duration::from_secs(seconds);
        limit.window.is_none_or(|window| left < window).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(remaining: u64) -> RateLimit {
        RateLimit { limit: 100, remaining, window: Some(Duration::from_hours(6)) }
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_mins(minutes)
    }

    #[test]
    fn the_present_rate_says_when_nothing_is_left() {
        let mut usage = Usage::default();
        usage.note(100, minutes(0));
        assert_eq!(usage.runs_out_in(&limit(100), minutes(0)), None, "nothing was used yet");
        for minute in 1..=30 {
            usage.note(100 - minute, minutes(minute));
        }
        assert_eq!(usage.runs_out_in(&limit(70), minutes(30)), Some(minutes(70)));
        // An hour of nothing: the rate is that of the last hour.
        usage.note(70, minutes(95));
        assert_eq!(usage.runs_out_in(&limit(70), minutes(95)), None);
        assert_eq!(usage.runs_out_in(&limit(0), minutes(95)), Some(Duration::ZERO));
    }

    #[test]
    fn a_rate_that_the_window_bears_runs_out_never() {
        let mut usage = Usage::default();
        usage.note(100, minutes(0));
        usage.note(99, minutes(30));
        assert_eq!(usage.runs_out_in(&limit(99), minutes(30)), None, "99 half hours are more");
        usage.note(100, minutes(31));
        assert_eq!(usage.steps.iter().map(|(_, used)| used).sum::<u64>(), 1, "given back");
    }

    #[test]
    fn a_burst_is_no_trend_and_the_memory_of_it_is_bounded() {
        let mut usage = Usage::default();
        usage.note(100, minutes(0));
        usage.note(90, Duration::from_secs(5));
        assert_eq!(usage.runs_out_in(&limit(90), Duration::from_secs(5)), Some(minutes(90)));
        for second in 0..100_000 {
            usage.note(90 - second % 2, Duration::from_secs(5 + second));
        }
        assert!(usage.steps.len() <= 62, "{}", usage.steps.len());
    }
}
