//! Who is at the provider at the moment.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::http::admin::throttle::network;
use crate::http::admin::web::session;
use crate::oci::{Digest, Secret};
use crate::people::oidc::Attempt;

/// How long somebody may take at the provider.
const AWAY_MAX: Duration = Duration::from_mins(10);
/// Most who are away at a time, and from one network; one more ends the oldest.
const AWAY_COUNT_MAX: usize = 1_000;
const AWAY_OF_NETWORK_MAX: usize = 50;

/// Who is away, by the hash of what their browser holds.
#[derive(Debug, Default)]
pub(super) struct Travellers(Mutex<HashMap<Digest, Away>>);

/// Somebody who is away.
#[derive(Debug)]
pub(super) struct Away {
    /// What they take along.
    pub(super) attempt: Attempt,
    /// Where they go afterwards.
    pub(super) next: String,
    network: IpAddr,
    since: Duration,
}

impl Travellers {
    /// Keeps that somebody from `address` left, and gives what their browser is to hold.
    ///
    /// # Errors
    /// When there is no randomness.
    pub(super) fn keep(
        &self,
        attempt: Attempt,
        next: &str,
        address: IpAddr,
        now: Duration,
    ) -> Result<Secret, session::NoRandomness> {
        let id = session::random()?;
        let network = network(address);
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        away.retain(|_, one| now.saturating_sub(one.since) < AWAY_MAX);
        let of_network = away.values().filter(|one| one.network == network).count();
        let is_full = away.len() >= AWAY_COUNT_MAX;
        if of_network >= AWAY_OF_NETWORK_MAX || is_full {
            // Whoever fills a network fills their own; only where many networks do, any gives way.
            let own_only = of_network >= AWAY_OF_NETWORK_MAX;
            let those = away.iter().filter(|(_, one)| !own_only || one.network == network);
            let oldest = those.min_by_key(|(_, one)| one.since).map(|(id, _)| *id);
            oldest.and_then(|oldest| away.remove(&oldest));
        }
        let one = Away { attempt, next: next.to_owned(), network, since: now };
        away.insert(session::hash(id.expose()), one);
        Ok(id)
    }

    /// What was begun under `id`; it is over with that.
    pub(super) fn take(&self, id: &str, now: Duration) -> Option<Away> {
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        away.remove(&session::hash(id)).filter(|one| now.saturating_sub(one.since) < AWAY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(100);

    fn leave(travellers: &Travellers, address: IpAddr, now: Duration) -> Secret {
        travellers.keep(Attempt::begin().unwrap(), "/", address, now).unwrap()
    }

    #[test]
    fn a_network_that_sends_many_ends_its_own_only() {
        let travellers = Travellers::default();
        let alice = leave(&travellers, "192.0.2.1".parse().unwrap(), START);
        let flood: IpAddr = "198.51.100.1".parse().unwrap();
        let first = leave(&travellers, flood, START);
        let later = START + Duration::from_secs(1);
        for _ in 0..2 * AWAY_COUNT_MAX {
            leave(&travellers, flood, later);
        }
        assert!(travellers.take(first.expose(), later).is_none());
        assert!(travellers.take(alice.expose(), later).is_some());
        assert!(travellers.take(alice.expose(), later).is_none(), "good for one answer");
    }

    #[test]
    fn there_are_never_too_many_and_nobody_stays_away_for_ever() {
        let travellers = Travellers::default();
        for number in 0..30_u8 {
            let address = IpAddr::from([192, 0, 2, number]);
            for _ in 0..AWAY_OF_NETWORK_MAX {
                leave(&travellers, address, START);
            }
        }
        assert_eq!(travellers.0.lock().unwrap().len(), AWAY_COUNT_MAX);
        let last = leave(&travellers, IpAddr::from([203, 0, 113, 1]), START);
        assert!(travellers.take(last.expose(), START + AWAY_MAX).is_none());
    }
}
