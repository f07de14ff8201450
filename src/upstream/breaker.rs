//! Rests for upstreams that are not well: circuit breaker and rate limits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;

use super::usage::Usage;
use crate::time::Timestamp;

/// What an upstream said about the rate of requests it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per window.
    pub limit: u64,
    /// Requests left in the window.
    pub remaining: u64,
    /// Length of the window, when said.
    pub window: Option<Duration>,
}

impl RateLimit {
    /// Whether less than a tenth is left.
    fn is_low(&self) -> bool {
        self.remaining < self.limit / 10
    }
}

/// Whether an upstream is being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// It is.
    Closed,
    /// It failed too often: now and then one request is let through, all others fail at once.
    Open,
}

/// What is known of the health of one upstream; times are monotonic.
#[derive(Debug)]
pub(super) struct Health {
    failures_max: u32,
    probe_every: Duration,
    state: Mutex<State>,
}

/// The health of an upstream at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    failures: u32,
    last_attempt: Duration,
    limited_until: Duration,
    usage: Usage,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) last_success: Option<Timestamp>,
    pub(super) last_failure: Option<Timestamp>,
}

/// Why an upstream is not asked now, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Limited(Duration),
    Unwell(Duration),
}

impl State {
    /// In how long from `now` the rate limit is used up at the present rate, if it will be.
    pub(super) fn runs_out_in(&self, now: Duration) -> Option<Duration> {
        self.usage.runs_out_in(self.rate_limit.as_ref()?, now)
    }
}

impl Health {
    pub(super) fn new(failures_max: u32, probe_every: Duration) -> Self {
        Self { failures_max: failures_max.max(1), probe_every, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for leave to send a request at `now`. While the breaker is open, one caller gets it per
    /// probe interval; the interval, and not the outcome, frees the next probe, so that a caller
    /// that goes away in the middle blocks nobody.
    pub(super) fn admit(&self, now: Duration) -> Result<(), Rest> {
        let mut state = self.state();
        if let Some(left) = state.limited_until.checked_sub(now).filter(|left| !left.is_zero()) {
            return Err(Rest::Limited(left));
        }
        if state.failures >= self.failures_max {
            let next = state.last_attempt.saturating_add(self.probe_every);
            if let Some(left) = next.checked_sub(now).filter(|left| !left.is_zero()) {
                return Err(Rest::Unwell(left));
            }
        }
        state.last_attempt = now;
        Ok(())
    }

    /// An answer came, whatever its content.
    pub(super) fn succeeded(&self, at: Timestamp) {
        let mut state = self.state();
        state.failures = 0;
        state.last_success = Some(at);
    }

    /// No answer, or one that says the upstream is broken; gives whether this opened the breaker.
    pub(super) fn failed(&self, now: Duration, at: Timestamp) -> bool {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        state.last_attempt = now;
        state.last_failure = Some(at);
        state.failures == self.failures_max
    }

    /// Nobody asks until `until`.
    pub(super) fn limit_until(&self, until: Duration) {
        let mut state = self.state();
        state.limited_until = state.limited_until.max(until);
    }

    /// Keeps what the headers of an answer at `now` say about limits; gives the limit when little has
    /// become left of it with this answer.
    pub(super) fn account(&self, headers: &HeaderMap, now: Duration) -> Option<RateLimit> {
        let rate_limit = rate_limit(headers)?;
        let mut state = self.state();
        state.usage.note(rate_limit.remaining, now);
        let before = state.rate_limit.replace(rate_limit);
        (rate_limit.is_low() && !before.is_some_and(|before| before.is_low())).then_some(rate_limit)
    }

    pub(super) fn breaker(&self) -> Breaker {
        let open = self.state().failures >= self.failures_max;
        if open { Breaker::Open } else { Breaker::Closed }
    }

    pub(super) fn snapshot(&self) -> State {
        self.state().clone()
    }
}

/// `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 76;w=21600`, as Docker Hub sends them.
pub(super) fn rate_limit(headers: &HeaderMap) -> Option<RateLimit> {
    let value = |name: &str| {
        let text = headers.get(name)?.to_str().ok()?;
        let (count, parameters) = text.split_once(';').unwrap_or((text, ""));
        let window = parameters.split(';').find_map(|part| part.trim().strip_prefix("w="));
        let window = window.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        Some((count.trim().parse().ok()?, window))
    };
    let (limit, window) = value("ratelimit-limit")?;
    let (remaining, _) = value("ratelimit-remaining")?;
    Some(RateLimit { limit, remaining, window })
}

/// `Retry-After`: seconds, or a date of HTTP; at most `longest`.
///
/// Spec: RFC 9110 section 10.2.3.
pub(super) fn retry_after(
    headers: &HeaderMap,
    now: Timestamp,
    longest: Duration,
) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
        Timestamp::from_milliseconds(date).since(now)
    };
    Some(wait.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_milliseconds(1_700_000_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn after_repeated_failures_one_probe_passes_per_interval() {
        let health = Health::new(3, seconds(10));
        for expected in [false, false, true] {
            assert!(health.admit(seconds(1)).is_ok());
            assert_eq!(health.failed(seconds(1), NOW), expected);
        }
        assert_eq!(health.breaker(), Breaker::Open);
        assert_eq!(health.admit(seconds(4)), Err(Rest::Unwell(seconds(7))));
        assert!(health.admit(seconds(11)).is_ok());
        assert_eq!(health.admit(seconds(11)), Err(Rest::Unwell(seconds(10))));
        health.succeeded(NOW);
        assert_eq!(health.breaker(), Breaker::Closed);
        assert!(health.admit(seconds(11)).is_ok() && health.admit(seconds(11)).is_ok());
    }

    #[test]
    fn a_success_in_between_starts_the_count_again() {
        let health = Health::new(2, seconds(10));
        health.failed(seconds(1), NOW);
        health.succeeded(NOW);
        assert!(!health.failed(seconds(1), NOW));
        assert_eq!(health.breaker(), Breaker::Closed);
    }

    #[test]
    fn a_rate_limit_rests_everybody_until_it_ends() {
        let health = Health::new(2, seconds(10));
        health.limit_until(seconds(30));
        health.limit_until(seconds(20));
        assert_eq!(health.admit(seconds(10)), Err(Rest::Limited(seconds(20))));
        assert!(health.admit(seconds(30)).is_ok());
    }

    #[test]
    fn limits_are_read_from_headers() {
        let mut headers = HeaderMap::new();
        assert_eq!(rate_limit(&headers), None);
        headers.insert("ratelimit-limit", "100;w=21600".parse().unwrap());
        headers.insert("ratelimit-remaining", "76;w=21600".parse().unwrap());
        let expected = RateLimit { limit: 100, remaining: 76, window: Some(seconds(21600)) };
        assert_eq!(rate_limit(&headers), Some(expected));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_capped() {
        for (text, expected) in [
            ("5", Some(seconds(5))),
            ("0", Some(seconds(0))),
            ("1000000000", Some(seconds(600))),
            ("99999999999999999999999", Some(seconds(600))),
            ("Tue, 14 Nov 2023 22:13:50 GMT", Some(seconds(30))),
            ("Mon, 13 Nov 2023 22:13:50 GMT", Some(seconds(0))),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            assert_eq!(retry_after(&headers, NOW, seconds(600)), expected, "{text}");
        }
    }
}
