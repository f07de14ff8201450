//! Failed logins, counted per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Failures that an address may have within [`WINDOW`] before it is told to wait.
pub(super) const FAILURES_MAX: u32 = 10;
/// How long failures count.
pub(super) const WINDOW: Duration = Duration::from_mins(1);
/// Addresses that are remembered; beyond it, the one whose window began first is forgotten.
const ADDRESSES_MAX: usize = 1_024;

/// Counts failed logins per address, in bounded memory.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    since: Duration,
    count: u32,
}

impl Throttle {
    /// How long `address` has to wait at `now`, if it has failed too often.
    pub(super) fn wait(&self, address: IpAddr, now: Duration) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = failures.get(&network(address))?;
        let wait = WINDOW.saturating_sub(now.saturating_sub(entry.since));
        (entry.count >= FAILURES_MAX && !wait.is_zero()).then_some(wait)
    }

    /// Counts a failure of `address` at `now` (monotonic), and gives how long it has to wait if it
    /// has failed too often.
    pub(super) fn failed(&self, address: IpAddr, now: Duration) -> Option<Duration> {
        let address = network(address);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if !failures.contains_key(&address) && failures.len() >= ADDRESSES_MAX {
            make_room(&mut failures, now);
        }
        let entry = failures.entry(address).or_insert(Failures { since: now, count: 0 });
        if now.saturating_sub(entry.since) >= WINDOW {
            *entry = Failures { since: now, count: 0 };
        }
        entry.count = entry.count.saturating_add(1);
        let wait = WINDOW.saturating_sub(now.saturating_sub(entry.since));
        (entry.count > FAILURES_MAX).then_some(wait)
    }
}

fn make_room(failures: &mut HashMap<IpAddr, Failures>, now: Duration) {
    failures.retain(|_, entry| now.saturating_sub(entry.since) < WINDOW);
    while failures.len() >= ADDRESSES_MAX {
        let oldest = failures.iter().min_by_key(|(_, entry)| entry.since).map(|(at, _)| *at);
        let Some(oldest) = oldest else { return };
        failures.remove(&oldest);
    }
}

/// Who owns one address of a /64 owns all of it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(prefix.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_that_fails_often_waits_until_its_window_ends() {
        let throttle = Throttle::default();
        let (bad, good) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..FAILURES_MAX {
            assert_eq!(throttle.failed(bad, START), None);
        }
        let later = START + Duration::from_secs(20);
        assert_eq!(throttle.failed(bad, later), Some(Duration::from_secs(40)));
        assert_eq!(throttle.failed(good, later), None);
        assert_eq!(throttle.failed(bad, START + WINDOW), None);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let throttle = Throttle::default();
        for host in 0..FAILURES_MAX {
            throttle.failed(address(&format!("2001:db8::{host:x}")), START);
        }
        assert!(throttle.failed(address("2001:db8::ffff:1"), START).is_some());
        assert!(throttle.failed(address("2001:db8:0:1::1"), START).is_none());
    }

    #[test]
    fn memory_stays_bounded_however_many_addresses_fail() {
        let throttle = Throttle::default();
        for number in 0..5_000_u32 {
            throttle
                .failed(IpAddr::V4(number.into()), START + Duration::from_millis(number.into()));
        }
        assert_eq!(throttle.failures.lock().unwrap().len(), ADDRESSES_MAX);
    }
}
