//! Whether one connection is what limits a transfer, and whether more of them help.
//!
//! Pure: times and bytes in, decisions out.

use std::time::Duration;

/// A stream is short of bytes when its reader spent this share of the time waiting: half. It could take
/// twice as much then, which a second connection may bring; a layer that is scanned while it comes keeps
/// its reader busy for a third of the time at 200 Mbit/s.
const STARVED_SHARE: (u32, u32) = (1, 2);

/// The share of what more connections could bring at best that they have to bring: two fifths.
const GAIN_SHARE: (u64, u64) = (2, 5);

/// How fast one stream is, and who waits for whom.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    waited: Duration,
}

impl Pace {
    /// Notes that the reader waited for the upstream.
    pub(super) fn waited(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// Whether in `elapsed` the reader waited for half of it: disk, hash and scanner could take more.
    pub(super) fn is_starved(&self, elapsed: Duration) -> bool {
        let (share, whole) = STARVED_SHARE;
        self.waited.saturating_mul(whole) >= elapsed.saturating_mul(share)
    }
}

/// What to do with the number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// They brought enough: try so many.
    Grow(usize),
    /// Not even the second one brought anything: go back to one.
    Retire,
    /// Leave it as it is.
    Stay,
}

/// Looks for the number of connections beyond which more bring nothing.
#[derive(Debug)]
pub(super) struct Growth {
    /// Bytes in a second with the number of connections before this one.
    rate_before: u64,
    connections_before: u64,
    connections_max: usize,
    is_settled: bool,
}

impl Growth {
    /// After one connection gave `rate` bytes in a second; at most `connections_max` are tried.
    pub(super) fn from_one(rate: u64, connections_max: usize) -> Self {
        Self { rate_before: rate, connections_before: 1, connections_max, is_settled: false }
    }

    /// Without any trial.
    pub(super) fn settled() -> Self {
        Self { rate_before: 0, connections_before: 1, connections_max: 1, is_settled: true }
    }

    /// Whether there is nothing left to find out.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// What follows from `rate` bytes in a second over `connections`.
    pub(super) fn step(&mut self, rate: u64, connections: usize) -> Step {
        if self.is_settled {
            return Step::Stay;
        }
        let now = u64::try_from(connections).unwrap_or(u64::MAX);
        let (share, whole) = GAIN_SHARE;
        let best = self.rate_before.saturating_mul(now) / self.connections_before;
        let gain = best.saturating_sub(self.rate_before).saturating_mul(share) / whole;
        if rate < self.rate_before.saturating_add(gain) {
            self.is_settled = true;
            return if self.connections_before == 1 { Step::Retire } else { Step::Stay };
        }
        let next = connections.saturating_mul(2).min(self.connections_max);
        if next <= connections {
            self.is_settled = true;
            return Step::Stay;
        }
        (self.rate_before, self.connections_before) = (rate, now);
        Step::Grow(next)
    }
}

/// Bytes in a second.
pub(super) fn rate(bytes: u64, time: Duration) -> u64 {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    bytes.saturating_mul(1000) / milliseconds
}

/// What comes in `time`.
pub(super) fn bytes(rate: u64, time: Duration) -> u64 {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    rate.saturating_mul(milliseconds) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_a_reader_that_waits_half_of_the_time_is_starved() {
        for (waited_ms, starved) in [(0, false), (450, false), (500, true), (1000, true)] {
            let mut pace = Pace::default();
            pace.waited(Duration::from_millis(waited_ms));
            assert_eq!(pace.is_starved(SECOND), starved, "{waited_ms}");
        }
    }

    #[test]
    fn connections_grow_while_each_brings_its_share() {
        let mut growth = Growth::from_one(50, 8);
        assert_eq!(growth.step(98, 2), Step::Grow(4));
        assert_eq!(growth.step(190, 4), Step::Grow(8));
        assert_eq!(growth.step(380, 8), Step::Stay);
        assert!(growth.is_settled());
    }

    #[test]
    fn where_the_line_is_full_one_connection_is_enough() {
        let mut growth = Growth::from_one(100, 4);
        assert_eq!(growth.step(104, 2), Step::Retire);
        let mut growth = Growth::from_one(50, 8);
        assert_eq!(growth.step(100, 2), Step::Grow(4));
        assert_eq!(growth.step(105, 4), Step::Stay, "two were good");
    }

    #[test]
    fn a_rate_of_no_time_at_all_is_a_number() {
        assert_eq!(rate(5, Duration::ZERO), 5000);
        assert_eq!(rate(u64::MAX, SECOND), u64::MAX / 1000);
    }
}
